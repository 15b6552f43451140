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

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage import nicknames, phonetics
from linkage import standardise as std
from linkage.rowwise import Rowwise
from schemas.errors import InvalidValue

Codes = npt.NDArray[np.int32]
Part = npt.NDArray[np.int32]
"""Integers per distinct value, of the smallest type that holds them."""


class Values:
    """The distinct values of one or more columns: texts, or numbers (dates as yyyymmdd)."""

    def __init__(self, array: pa.Array) -> None:
        self.array = array
        self._parts: dict[str, Part] = {}
        self._making = Lock()

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
            with self._making:
                if name not in self._parts:
                    self._parts[name] = self._made(name)
        return self._parts[name]

    def _made(self, name: str) -> Part:
        if name not in PARTS:
            raise InvalidValue(f"no part '{name}' of a value; there are {', '.join(PARTS)}")
        if len(self) and (name in DATE_PARTS) != (self.kind == "date"):
            raise InvalidValue(f"a {self.kind} has no part '{name}'")
        found = PARTS[name](self) if len(self) else np.full(1, -1)
        return found.astype(_smallest(found))

    def taken(self, places: npt.NDArray[np.int64]) -> Values:
        """The values at some places (at least one), with the parts that are known of them."""
        some = Values(self.array.take(pa.array(places)))
        some._parts = {name: part[places] for name, part in self._parts.items()}
        return some

    def set_part(self, name: str, numbers: Part) -> None:
        """Gives a part that is not made from the values themselves; (size,), at least one."""
        self._parts[name] = numbers


def _smallest(numbers: Part) -> type[np.signedinteger[Any]]:
    """The smallest type that holds the numbers: what is read per pair should stay in the cache."""
    low, high = int(numbers.min()), int(numbers.max())
    if low >= -(2**15) and high < 2**15:
        return np.int16
    return np.int32 if low >= -(2**31) and high < 2**31 else np.int64


def coded(array: pa.Array) -> tuple[Part, pa.Array]:
    """Equal texts get equal numbers, null and the empty text -1; and the text of each number."""
    null = pc.fill_null(pc.equal(array, ""), True)
    found = pc.dictionary_encode(pc.if_else(null, pa.scalar(None, pa.string()), array))
    codes = pc.fill_null(found.indices, -1).to_numpy(zero_copy_only=False)
    return np.asarray(codes, np.int64), found.dictionary


TextPart = Callable[[pa.Array], pa.Array]


def _coded(name: str) -> Callable[[Values], Part]:
    return lambda v: coded(TEXT_PARTS[name](v.array))[0]


def _slice(start: int, stop: int | None) -> TextPart:
    return lambda texts: pc.utf8_slice_codeunits(texts, start=start, stop=stop)


def _before(pattern: str) -> TextPart:
    """What comes before the first occurrence of a text."""
    return lambda texts: pc.list_element(pc.split_pattern(texts, pattern, max_splits=1), 0)


def _found(pattern: str) -> TextPart:
    """The part of the text that a pattern finds, under the name `x`."""
    return lambda texts: pc.struct_field(pc.extract_regex(texts, pattern=pattern), "x")


def _figures(texts: pa.Array) -> pa.Array:
    """The words that hold a digit: flat and house number of an address."""
    lists = pc.split_pattern(pc.fill_null(texts, ""), pattern=" ")
    words = pc.dictionary_encode(lists.flatten())
    figure = pc.match_substring_regex(words.dictionary, r"\d")
    held = figure.take(words.indices)
    before = np.append(0, np.cumsum(held.to_numpy(zero_copy_only=False))).astype(np.int32)
    offsets = before[lists.offsets.to_numpy() - lists.offsets[0].as_py()]
    kept = words.filter(held).dictionary_decode()
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), kept), " ")


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
_ONCE = np.append(1 << np.arange(36, dtype=np.int64), 0)[_CLASS]
"""The bit of each byte's class; none for what is no letter or digit."""
_SECOND = np.zeros(37, np.int64)
_SECOND[[*range(18), *range(26, 36)]] = 1 << np.arange(36, 64, dtype=np.uint64).astype(np.int64)
_TWICE = _SECOND[_CLASS]
"""The bit for a second one of a byte's class, of as many classes as 64 bits hold."""


def _letters(v: Values) -> Any:
    """A bit for each letter and digit that a text holds, and for some that it holds twice.

    One insertion or deletion changes at most one bit, one substitution at most two, an exchange of
    neighbours none: what bounds a distance from below at the price of one exclusive or.
    """
    text, offsets = std.bytes_of(v.array)
    lengths = np.diff(offsets)
    longest_first = np.argsort(-lengths, kind="stable")
    starts, lengths = offsets[:-1][longest_first], lengths[longest_first]
    once, twice = np.zeros((2, len(v)), np.int64)
    for place in range(int(lengths.max(initial=0))):
        reach = int(np.searchsorted(-lengths, -place))  # so many texts are longer than `place`
        letter = text.take(starts[:reach] + place)
        first, second = _ONCE.take(letter), _TWICE.take(letter)
        twice[:reach] |= second * ((once[:reach] & first) != 0)
        once[:reach] |= first
    out = np.empty(len(v), np.int64)
    out[longest_first] = once | twice
    return out


TEXT_PARTS: dict[str, TextPart] = {
    "initial": phonetics.initial,
    "start": lambda texts: phonetics.prefix(texts, 4),
    "phonetic": phonetics.key,
    "soundex": phonetics.soundex,
    "family_key": std.family_key,
    "sector": _slice(0, -2),
    "district": _before(" "),
    "area": _found(r"^(?P<x>[A-Z]{1,2})"),
    "system": _before("|"),
    "figures": _figures,
}
"""Part that is a text itself → how it is made; the part is the number of that text."""
PARTS: dict[str, Callable[[Values], Part]] = {
    "length": lambda v: np.asarray(pc.utf8_length(v.array).to_numpy(), np.int64),
    **{name: _coded(name) for name in TEXT_PARTS},
    "nickname": lambda v: nicknames.numbers_of(v.array).astype(np.int32),
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
        return not len(self.values) or int(self.codes[0].max(initial=-1)) < 0

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """(values,) how many records bear each as their current value; at least one entry."""
        return np.bincount(self.codes[0] + 1, minlength=max(len(self.values), 1) + 1)[1:]

    @property
    def slots(self) -> int:
        """How many values a record may have."""
        return len(self.codes)


@dataclass(frozen=True)
class Versions:
    """Which rows stand for records as they are now, and which for records as they were before: an
    unchanged record's row for both.

    Attributes:
        now, before: (n,) flags; each row has at least one.
    """

    now: npt.NDArray[np.bool_]
    before: npt.NDArray[np.bool_]


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
    _rowwise: dict[tuple[str, ...], Rowwise] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.row)

    def column(self, name: str) -> Column:
        """The column of this name; one without any value where the table had none."""
        found = self.columns.get(name) or self._absent.get(name)
        if found is None:
            none = np.full((1, len(self)), -1, np.int32)
            found = self._absent[name] = Column(none, Values(pa.array([], pa.string())))
        return found

    def only(self, rows: npt.NDArray[np.integer]) -> Features:
        """The features of some rows, in the order given, with the values that they bear: what is
        done once per distinct value then costs what these rows cost."""
        held: dict[int, list[str]] = {}
        for name, column in self.columns.items():
            held.setdefault(id(column.values), []).append(name)
        columns: dict[str, Column] = {}
        for names in held.values():
            values = self.columns[names[0]].values
            codes = {name: self.columns[name].codes.take(rows, axis=1) for name in names}
            # At a cost that follows the rows, however many values there are.
            every = np.sort(np.concatenate([found.reshape(-1) for found in codes.values()]))
            every = every[np.searchsorted(every, 0) :]  # the missing stand first
            places = every[np.append(True, every[1:] != every[:-1])[: len(every)]]
            number = np.empty(len(values) + 1, np.int32)
            number[places] = np.arange(len(places), dtype=np.int32)
            number[-1] = -1  # where the missing look
            some = values.taken(places) if len(places) else None
            for name, found in codes.items():
                if some is not None and (found[0] >= 0).any():
                    columns[name] = Column(number[found], some)
        return Features(self.row[rows], columns, self.apart[rows], self.verified[rows])

    def rowwise(self, names: tuple[str, ...]) -> Rowwise:
        """The current values' codes of some columns, record by record."""
        if names not in self._rowwise:
            self._rowwise[names] = Rowwise([self.main(name) for name in names])
        return self._rowwise[names]

    def main(self, name: str) -> Codes:
        """(n,) the current value's codes of a column."""
        return np.asarray(self.column(name).codes[0])

    def part(self, name: str, part: str) -> Part:
        """(n,) the part of each record's current value, -1 where missing."""
        column = self.column(name)
        if column.empty:
            return np.full(len(self), -1, np.int64)
        return by_code(column.values.part(part), column.codes[0])


def by_code(numbers: npt.NDArray[Any], codes: Codes) -> npt.NDArray[Any]:
    """What belongs to each code, -1 to a missing one."""
    # A code of -1 reads the last entry.
    return np.append(numbers, numbers.dtype.type(-1)).take(codes)


_PIECE = 65_536
"""Values standardised at a time: few enough that what they become on the way stays close by."""


def in_pieces(read: Callable[[pa.Array], pa.Array], values: pa.Array) -> pa.Array:
    """`read(values)`, where each value is read for itself: many, in pieces side by side."""
    if len(values) <= _PIECE:
        return read(values)
    pieces = (values.slice(start, _PIECE) for start in range(0, len(values), _PIECE))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return pa.concat_arrays(list(pool.map(read, pieces)))


def encode(array: pa.Array) -> tuple[Codes, pa.Array]:
    """Integer codes (-1 for null) and the distinct values, both in order of first appearance: the
    numbering depends on the order of rows alone, not on what a dictionary array came with."""
    if not pa.types.is_dictionary(array.type):
        encoded = pc.dictionary_encode(array)
        return _as_codes(encoded.indices), encoded.dictionary
    codes, values = _as_codes(array.indices), array.dictionary
    if not _canonical(codes, len(values)):
        used, codes = _by_first_appearance(codes, len(values))
        values = values.take(pa.array(used))
    if not values.null_count:
        return codes, values
    held = values.is_valid().to_numpy(zero_copy_only=False)
    place = np.where(held, np.cumsum(held) - 1, -1).astype(np.int32)
    return np.where(codes >= 0, place[codes], -1).astype(np.int32), values.drop_null()


def _as_codes(indices: pa.Array) -> Codes:
    """Indices as int32, -1 for null."""
    if not pa.types.is_int32(indices.type):
        indices = pc.cast(indices, pa.int32())
    present, data = indices.buffers()
    begin, end = indices.offset, indices.offset + len(indices)
    codes = np.frombuffer(data, np.int32)[begin:end] if end else np.zeros(0, np.int32)
    missing = indices.null_count
    # What stands where there is nothing is often -1 already.
    if not missing or (codes.min() == -1 and np.count_nonzero(codes < 0) == missing):
        return codes
    held = np.unpackbits(np.frombuffer(present, np.uint8), count=end, bitorder="little")[begin:]
    return np.where(held.view(np.bool_), codes, np.int32(-1))


def as_indices(codes: Codes) -> pa.Array:
    """Codes as Arrow has them, without a copy: -1 is null."""
    codes = np.ascontiguousarray(codes, np.int32)
    held = codes >= 0
    missing = len(codes) - int(np.count_nonzero(held))
    present = pa.py_buffer(np.packbits(held, bitorder="little")) if missing else None
    return pa.Array.from_buffers(pa.int32(), len(codes), [present, pa.py_buffer(codes)], missing)


def _canonical(codes: Codes, size: int) -> bool:
    """Whether codes from 0 to size - 1 all occur, each for the first time after all before it."""
    if not len(codes):
        return not size
    highest = -1
    for start in range(0, len(codes), _PIECE):
        some = np.maximum(np.maximum.accumulate(codes[start : start + _PIECE]), highest)
        if some[0] > highest + 1 or (some[1:] - some[:-1] > 1).any():
            return False
        highest = int(some[-1])
        if highest == size - 1:  # all were met: no later one is new
            return True
    return not size


def _by_first_appearance(codes: Codes, size: int) -> tuple[Codes, Codes]:
    """The codes that occur, in order of first appearance, and all codes by their new numbers."""
    first = np.full(size + 1, len(codes), np.int64)
    # Of several places written to one entry the last remains: here the first that bears the code.
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    used = np.argsort(first[:size], kind="stable")[: int((first[:size] < len(codes)).sum())]
    place = np.full(size + 1, -1, np.int32)
    place[used] = np.arange(len(used), dtype=np.int32)
    return used.astype(np.int32), place[codes]


def order_of(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The places of numbers from nought up in ascending order, of equal ones in their own."""
    bits = len(numbers).bit_length()
    if int(numbers.max(initial=0)) >= 2 ** (62 - bits):
        return np.argsort(numbers, kind="stable")
    # One sort of plain integers: the number in the upper bits, the place in the lower.
    packed = np.sort(numbers << bits | np.arange(len(numbers)))
    return packed & ((1 << bits) - 1)


def distinct(numbers: npt.NDArray[np.signedinteger[Any]]) -> tuple[npt.NDArray[np.int64], Codes]:
    """The distinct numbers, in order of first appearance, and for each number which it is.

    By hashing, several times as fast as sorting where few are distinct.
    """
    codes, values = encode(pa.array(numbers))
    return np.asarray(values.to_numpy(), np.int64), codes
