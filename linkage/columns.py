"""Columns of features: integer codes per record, and what is known of each distinct value.

Rules:
- A code is an index into the column's distinct `Values`; -1 is "missing".
- A column may hold several values per record (telephones, previous names): one slot each, the
  current one first. Slot 0 is missing only where all are.
- A *part* is an integer derived from a value (a name's initial, a postcode's sector, a date's
  year), computed once per distinct value when first asked for.
- Columns that share one `Values` object compare across each other by code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage import nicknames, phonetics
from linkage import standardise as std
from schemas.errors import InvalidValue

Codes = npt.NDArray[np.int32]
Part = npt.NDArray[np.int32]
"""Integers per distinct value, of the smallest type that holds them."""


class Values:
    """The distinct values of one or more columns: texts, or numbers (dates as yyyymmdd)."""

    def __init__(self, array: pa.Array) -> None:
        self.array = array
        self._parts: dict[str, Part] = {}

    def __len__(self) -> int:
        return len(self.array)

    @property
    def kind(self) -> str:
        """What the values are: `text` or `date`."""
        return "text" if pa.types.is_string(self.array.type) else "date"

    @cached_property
    def texts(self) -> npt.NDArray[np.object_]:
        """All values as Python texts."""
        return np.array(self.array.to_pylist() or [""], dtype=object)

    def texts_at(self, places: npt.NDArray[np.int64], *, sort_words: bool = False) -> list[str]:
        """The values at some places as Python texts, their words in order of the alphabet if asked
        for. Only what is compared becomes a Python object: of a million addresses, few are."""
        texts: list[str] = self.array.take(pa.array(places)).to_pylist()
        return [" ".join(sorted(text.split())) for text in texts] if sort_words else texts

    @cached_property
    def numbers(self) -> npt.NDArray[np.float64]:
        """The values as numbers; NaN where a text is none. (size,), at least one."""
        array = self.array if len(self) else pa.array([""])
        if not pa.types.is_string(array.type):
            return np.asarray(array.to_numpy(zero_copy_only=False), np.float64)
        sound = pc.match_substring_regex(array, r"^[-+]?\d{1,15}(?:\.\d{1,15})?$")
        numbers = pc.cast(pc.if_else(sound, array, None), pa.float64())
        return np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64)

    def part(self, name: str) -> Part:
        """The named part of each distinct value, (size,), at least one entry long."""
        if name not in self._parts:
            if name not in PARTS:
                raise InvalidValue(f"no part '{name}' of a value; there are {', '.join(PARTS)}")
            if len(self) and (name in DATE_PARTS) != (self.kind == "date"):
                raise InvalidValue(f"a {self.kind} has no part '{name}'")
            found = PARTS[name](self) if len(self) else np.full(1, -1)
            self._parts[name] = found.astype(_smallest(found))
        return self._parts[name]

    def set_part(self, name: str, numbers: Part) -> None:
        """Gives a part that is not made from the values themselves; (size,), at least one."""
        self._parts[name] = numbers


def _smallest(numbers: Part) -> type[np.signedinteger[Any]]:
    """The smallest type that holds the numbers: what is read per pair should stay in the cache."""
    low, high = int(numbers.min()), int(numbers.max())
    if low >= -(2**15) and high < 2**15:
        return np.int16
    return np.int32 if low >= -(2**31) and high < 2**31 else np.int64


def _coded(array: pa.Array) -> Part:
    """Equal texts get equal numbers; null and the empty text -1."""
    null = pc.fill_null(pc.equal(array, ""), True)
    codes = pc.dictionary_encode(pc.if_else(null, pa.scalar(None, pa.string()), array)).indices
    return np.asarray(pc.fill_null(codes, -1).to_numpy(zero_copy_only=False), np.int64)


def _slice(start: int, stop: int | None) -> Callable[[Values], Part]:
    return lambda v: _coded(pc.utf8_slice_codeunits(v.array, start=start, stop=stop))


def _before(pattern: str) -> Callable[[Values], Part]:
    """What comes before the first occurrence of a text."""
    return lambda v: _coded(pc.list_element(pc.split_pattern(v.array, pattern, max_splits=1), 0))


def _found(pattern: str) -> Callable[[Values], Part]:
    """The part of the text that a pattern finds, under the name `x`."""
    return lambda v: _coded(pc.struct_field(pc.extract_regex(v.array, pattern=pattern), "x"))


def _figures(v: Values) -> Part:
    """The words that hold a digit: flat and house number of an address."""
    text = pc.replace_substring_regex(v.array, r"\b[^\s\d]+\b", "")
    return _coded(pc.utf8_trim_whitespace(pc.replace_substring_regex(text, r"\s+", " ")))


def _date_part(divisor: int, modulus: int) -> Callable[[Values], Part]:
    return lambda v: np.asarray(v.array.to_numpy() // divisor % modulus, np.int32)


def _binary_coded(v: Values) -> Part:
    """The eight digits of a date, four bits each."""
    dates = np.asarray(v.array.to_numpy(), np.int32)
    places = np.arange(8)
    return np.asarray((dates[:, None] // 10**places % 10 << 4 * places).sum(axis=1), np.int32)


_LETTERS = "ETAOINSRHLDCUMPGWFYBVKXJQZ"
_CLASS = np.full(256, 36, np.int64)
"""Class of each byte: letters 0 to 25, the commonest first; digits 26 to 35; all else 36."""
for _number, _letter in enumerate(_LETTERS):
    _CLASS[[ord(_letter), ord(_letter.lower())]] = _number
_CLASS[48:58] = np.arange(26, 36)
_TWICE = np.concatenate([np.arange(18), np.arange(26, 36)])
"""Classes of which a second one is noted too: as many as 64 bits hold."""


def _letters(v: Values) -> Any:
    """A bit for each letter and digit that a text holds, and for some that it holds twice.

    One insertion or deletion changes at most one bit, one substitution at most two, an exchange of
    neighbours none: what bounds a distance from below at the price of one exclusive or.
    """
    out = np.empty(len(v), np.int64)
    array = pc.cast(v.array, pa.large_string())
    for start in range(0, len(array), 50_000):
        part = array.slice(start, 50_000)
        offsets = np.frombuffer(part.buffers()[1], np.int64)[part.offset :][: len(part) + 1]
        text = np.frombuffer(part.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
        owner = np.repeat(np.arange(len(part)), np.diff(offsets))
        counts = np.bincount(owner * 37 + _CLASS[text], minlength=37 * len(part)).reshape(-1, 37)
        once = (counts[:, :36] >= 1) @ (1 << np.arange(36, dtype=np.int64))
        twice = (counts[:, _TWICE] >= 2) @ (1 << np.arange(28, dtype=np.int64))
        out[start : start + len(part)] = once | twice << 36
    return out


PARTS: dict[str, Callable[[Values], Part]] = {
    "length": lambda v: np.asarray(pc.utf8_length(v.array).to_numpy(), np.int64),
    "initial": lambda v: _coded(phonetics.initial(v.array)),
    "start": lambda v: _coded(phonetics.prefix(v.array, 4)),
    "phonetic": lambda v: _coded(phonetics.key(v.array)),
    "soundex": lambda v: _coded(phonetics.soundex(v.array)),
    "family_key": lambda v: _coded(std.family_key(v.array)),
    "nickname": lambda v: nicknames.numbers_of(v.array.to_pylist()).astype(np.int32),
    "sector": _slice(0, -2),
    "district": _before(" "),
    "area": _found(r"^(?P<x>[A-Z]{1,2})"),
    "system": _before("|"),
    "figures": _figures,
    "letters": _letters,
    "digits": _binary_coded,
    "year": _date_part(10_000, 10_000),
    "month": _date_part(100, 100),
    "day": _date_part(1, 100),
    "decade": _date_part(100_000, 1_000),
}
"""Part → how it is made from the distinct values. -1 is "none"."""
DATE_PARTS = frozenset(("year", "month", "day", "decade", "digits"))
"""Parts of dates; the others are of texts."""


@dataclass(frozen=True)
class Column:
    """One feature: codes (slots, n) into `values`; -1 missing."""

    codes: Codes
    values: Values

    @cached_property
    def empty(self) -> bool:
        """Whether no record has a value."""
        return not len(self.values) or bool((self.codes[0] < 0).all())

    @property
    def slots(self) -> int:
        """How many values a record may have."""
        return len(self.codes)


@dataclass(frozen=True)
class Features:
    """Standardised records as columns; n rows, in founder order.

    Attributes:
        row: (n,) position of each record in the table it came from.
        columns: name → column. Names of people share one `Values`: given, middle, family.
        apart: (n,) whether the record's source keeps its own people apart.
        verified: (n,) whether the NHS number was traced.
    """

    row: npt.NDArray[np.int64]
    columns: Mapping[str, Column]
    apart: npt.NDArray[np.bool_]
    verified: npt.NDArray[np.bool_]
    _absent: dict[str, Column] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.row)

    def column(self, name: str) -> Column:
        """The column of this name; one without any value where the table had none."""
        found = self.columns.get(name) or self._absent.get(name)
        if found is None:
            none = np.full((1, len(self)), -1, np.int32)
            found = self._absent[name] = Column(none, Values(pa.array([], pa.string())))
        return found

    def main(self, name: str) -> Codes:
        """(n,) the current value's codes of a column."""
        return np.asarray(self.column(name).codes[0])

    def part(self, name: str, part: str) -> Part:
        """(n,) the part of each record's current value, -1 where missing."""
        column = self.column(name)
        if column.empty:
            return np.full(len(self), -1, np.int64)
        found = column.values.part(part)
        return np.where(column.codes[0] >= 0, found[column.codes[0]], np.int32(-1))


def encode(array: pa.Array) -> tuple[Codes, pa.Array]:
    """Integer codes (-1 for null) and the distinct values, both in order of first appearance: the
    numbering depends on the order of rows alone, not on what a dictionary array came with."""
    if not pa.types.is_dictionary(array.type):
        encoded = pc.dictionary_encode(array)
        codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        return codes.astype(np.int32, copy=False), encoded.dictionary
    codes, used = encode(pc.cast(array.indices, pa.int32()))
    values = array.dictionary.take(used)
    if not values.null_count:
        return codes, values
    held = values.is_valid().to_numpy(zero_copy_only=False)
    place = np.where(held, np.cumsum(held) - 1, -1).astype(np.int32)
    return np.where(codes >= 0, place[codes], -1).astype(np.int32), values.drop_null()


def distinct(numbers: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], Codes]:
    """The distinct numbers, in order of first appearance, and for each number which it is.

    By hashing, several times as fast as sorting where few are distinct.
    """
    codes, values = encode(pa.array(numbers))
    return np.asarray(values.to_numpy(), np.int64), codes
