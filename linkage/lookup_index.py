"""What a warm index keeps of records: where a value stands, which rows bear a key, and a few rows'
features on their own.

Rules:
- A value of the record asked about that no record bears is a value like any other: its text is
  compared; it only proposes nobody.
- Blocks are those of the model's rules (linkage/blocking.py); a block over its cap keeps its size
  and lets its rows go.
- Numbers and texts stand in sorted arrays: nothing is a Python object per record or value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage.asked import Asked, Value
from linkage.blocking import Key, groups_of, joined, key_values, pair_step
from linkage.columns import PARTS, TEXT_PARTS, Codes, Column, Features, Part, Values, coded
from linkage.model import Rule
from linkage.standardise import bytes_of

Ints = npt.NDArray[np.int64]
RowNumbers = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]
PartOf = Callable[[str, str], int]
"""Column and part → the number of that part of the record's current value."""
NOWHERE = -1


class Texts:
    """Where each of some distinct texts stands among them: by binary search over their bytes."""

    def __init__(self, array: pa.Array) -> None:
        order = pc.sort_indices(array)
        self._order = order.to_numpy().astype(np.int32)
        data, self._offsets = bytes_of(array.take(order))
        self._data = data

    def find(self, text: str) -> int:
        """The place of a text, `NOWHERE` where it is not among them."""
        wanted = text.encode()
        low, high = 0, len(self._order)
        while low < high:
            middle = (low + high) // 2
            if self._at(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        found = low < len(self._order) and self._at(low) == wanted
        return int(self._order[low]) if found else NOWHERE

    def _at(self, place: int) -> bytes:
        return self._data[self._offsets[place] : self._offsets[place + 1]].tobytes()


class Numbers:
    """Where each of some distinct numbers stands among them."""

    def __init__(self, array: pa.Array) -> None:
        numbers = array.to_numpy(zero_copy_only=False)
        self._order = np.argsort(numbers).astype(np.int32)
        self._sorted = numbers[self._order]

    def find(self, number: int) -> int:
        """The place of a number, `NOWHERE` where it is not among them."""
        at = int(np.searchsorted(self._sorted, number))
        found = at < len(self._sorted) and int(self._sorted[at]) == number
        return int(self._order[at]) if found else NOWHERE


class Dictionary:
    """The distinct values of a column (or of several that share them), which can be asked."""

    def __init__(self, values: Values) -> None:
        self.values, self.kind = values, values.kind
        self._places = Texts(values.array) if values.kind == "text" else Numbers(values.array)
        self._part_texts: dict[str, Texts] = {}

    def find(self, value: Value) -> int:
        """The code of a value, `NOWHERE` where no record bears it."""
        return self._places.find(value)  # type: ignore[arg-type]  # text or date: as the column is

    def part(self, name: str) -> Part:
        """The part of each value. Made once, with the text of each number where it is one."""
        if name in TEXT_PARTS and name not in self._part_texts:
            numbers, texts = coded(TEXT_PARTS[name](self.values.array))
            self.values.set_part(name, numbers.astype(np.int32))
            self._part_texts[name] = Texts(texts)
        return self.values.part(name)

    def part_of(self, name: str, values: Sequence[Value]) -> Part:
        """The part of values that no record bears, in the numbers of those that some do; what no
        record has stands beyond them. A part that is given and not made (linkage/columns.py,
        `set_part`) is 0."""
        size = len(self.part(name))
        if name not in PARTS:
            return np.zeros(len(values), np.int32)
        small = Values(pa.array(values, self.values.array.type))
        if name not in TEXT_PARTS:
            return small.part(name)
        numbers, texts = coded(TEXT_PARTS[name](small.array))
        known = self._part_texts[name]
        found = [known.find(text) for text in texts.to_pylist()]
        of_number = np.array(
            [size + i if at == NOWHERE else at for i, at in enumerate(found)] or [NOWHERE], np.int32
        )
        return np.where(numbers >= 0, of_number[numbers], NOWHERE)


class Bearers:
    """Which rows bear each code: for questions about few codes of very many rows.

    Args:
        codes: (slots, n) codes of rows from 0 on; below 0 for none.
        size: one more than the greatest code.
    """

    def __init__(self, codes: npt.NDArray[Any], size: int) -> None:
        slots, places = np.nonzero(codes >= 0)
        held = codes[slots, places]
        order = np.argsort(held, kind="stable")
        self._rows = places[order].astype(np.int32)
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(held, minlength=size))])

    def count(self, codes: Ints) -> int:
        """How many times rows bear one of these codes."""
        return int((self._starts[codes + 1] - self._starts[codes]).sum())

    def rows(self, codes: Ints) -> RowNumbers:
        """The rows that bear one of these codes; one that bears several stands there as often."""
        starts, ends = self._starts[codes], self._starts[codes + 1]
        parts = [self._rows[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
        return np.concatenate([np.zeros(0, np.int32), *parts])


class Gathered(Values):
    """Some of a dictionary's values and some that are not in it, under small codes.

    Args:
        places: (k,) codes in the dictionary; their small codes are 0 to k - 1.
        new: values that it does not hold, k and on.
    """

    def __init__(self, whole: Dictionary, places: Ints, new: Sequence[Value]) -> None:
        self._parts = {}
        self._whole, self._places, self._new = whole, places, new

    @cached_property
    def array(self) -> pa.Array:  # gathered where a test reads values
        """All values, the dictionary's first."""
        array = self._whole.values.array.take(pa.array(self._places))
        return pa.concat_arrays([array, pa.array(self._new, array.type)]) if self._new else array

    def __len__(self) -> int:
        return len(self._places) + len(self._new)

    @property
    def kind(self) -> str:
        """What the values are: `text` or `date`."""
        return self._whole.kind

    def part(self, name: str) -> Part:
        """The part of each value, taken from the dictionary's."""
        if name not in self._parts:
            found = self._whole.part(name).take(self._places)
            if self._new:
                found = np.concatenate([found, self._whole.part_of(name, self._new)])
            self._parts[name] = found if len(found) else np.full(1, NOWHERE, np.int32)
        return self._parts[name]


class ColumnGroup:
    """The columns that share one dictionary."""

    def __init__(self, columns: Mapping[str, Column], dictionary: Dictionary) -> None:
        self.columns, self.dictionary = columns, dictionary

    def counts(self, asked: Asked) -> bool:
        """Whether they can tell anything of the record asked about: where it has a value in one. A
        field is missing where one side is; but a death forbids a birth after it all the same."""
        of_births = "birth_date" in self.columns and "death" in asked.columns
        return (
            of_births or "death" in self.columns or bool(self.columns.keys() & asked.columns.keys())
        )

    def gathered(
        self,
        rows: RowNumbers,
        asked: Asked,
        crowds: Mapping[str, Flags],
        locating: Collection[str],
        hidden: Flags,
    ) -> dict[str, Column]:
        """The columns of some rows and, behind them, the record asked about, over the few values
        that they hold."""
        new: list[Value] = []
        stacked: list[Codes] = []
        size = len(self.dictionary.values)
        for name, column in self.columns.items():
            values = self._own(asked.columns.get(name, ()), crowds.get(name), size, new)
            codes = np.full((max(column.slots, len(values)), len(rows) + 1), NOWHERE, np.int32)
            codes[: column.slots, :-1] = column.codes[:, rows]
            if name in locating and hidden.any():
                codes[:, :-1][:, hidden] = NOWHERE
            codes[: len(values), -1] = values
            stacked.append(codes)
        used, places = np.unique(
            np.concatenate([c.reshape(-1) for c in stacked]), return_inverse=True
        )
        missing = int(len(used) > 0 and used[0] < 0)
        places = places - missing
        used = used[missing:]
        small = Gathered(self.dictionary, used[used < size].astype(np.int64), new)
        out, start = {}, 0
        for name, codes in zip(self.columns, stacked, strict=True):
            mine = places[start : start + codes.size].reshape(codes.shape)
            out[name] = Column(mine.astype(np.int32), small)
            start += codes.size
        return out

    def _own(
        self, values: Sequence[Value], crowd: Flags | None, size: int, new: list[Value]
    ) -> list[int]:
        """Codes of the record's own values; those that no record bears stand behind the others."""
        out = []
        for value in values:
            code = self.dictionary.find(value)
            if code == NOWHERE:
                if value not in new:
                    new.append(value)
                code = size + new.index(value)
            elif crowd is not None and crowd[code]:
                continue
            out.append(code)
        return out


@dataclass(frozen=True)
class Block:
    """The rows that one rule proposes for a record, and whether some block was over the cap."""

    rows: RowNumbers
    too_common: bool


class RuleIndex:
    """One blocking rule's blocks, by key.

    Attributes:
        rule: the rule. columns: the columns of features that it reads.
    """

    def __init__(self, features: Features, rule: Rule) -> None:
        self.rule = rule
        self._read = [Key.of(key) for key in rule.keys]
        self.columns = frozenset(name for key in self._read for name in key.columns)
        columns = [key_values(features, key) for key in rule.keys]
        self._sizes = [int(column.max(initial=0)) + 1 for column in columns]
        self._steps = {key: pair_step(features, key) for key in self._read if len(key.columns) == 2}
        keys, renumbered = joined(columns)
        self._numbers = {place: Numbers(pa.array(held)) for place, held in renumbered.items()}
        n = max(keys.shape[1], 1)
        flat = keys.reshape(-1)
        order, sizes = groups_of(flat)
        live = sizes <= rule.cap
        self._rows = (order[np.repeat(live, sizes)] % n).astype(np.int32)
        self._ends = np.cumsum(np.where(live, sizes, 0))
        self._kept = np.where(live, sizes, NOWHERE).astype(np.int32)
        self._groups = Numbers(pa.array(flat[order[np.cumsum(sizes) - sizes]]))

    def find(self, codes: Mapping[str, Sequence[int]], parts: PartOf) -> Block:
        """The rows that agree with a record on all keys. codes: column → the codes of its values,
        `NOWHERE` for those that no record bears."""
        keys = [self._values(key, codes, parts) for key in self._read]
        wanted = keys[0]
        for place, values in enumerate(keys[1:], start=1):
            numbers = self._numbers.get(place)
            if numbers is not None:
                wanted = [at for one in wanted if (at := numbers.find(one)) != NOWHERE]
            size = self._sizes[place]
            wanted = [one * size + two for one in wanted for two in values if two < size]
        found, too_common = [], False
        for key in wanted:
            at = self._groups.find(key)
            if at == NOWHERE:
                continue
            size = int(self._kept[at])
            too_common |= size == NOWHERE
            if size > 0:
                end = int(self._ends[at])
                found.append(self._rows[end - size : end])
        rows = np.concatenate(found) if found else np.zeros(0, np.int32)
        return Block(rows, too_common)

    def _values(self, key: Key, codes: Mapping[str, Sequence[int]], parts: PartOf) -> list[int]:
        """The record's values of one key, none where no record can agree."""
        if not key.columns:
            return [0]
        held = [codes.get(name, ()) for name in key.columns]
        if len(held) == 2:
            current = sorted(of_one[0] if of_one else NOWHERE for of_one in held)
            return [current[0] * self._steps[key] + current[1]] if current[0] != NOWHERE else []
        if key.part:
            number = parts(key.columns[0], key.part)
            return [number] if number >= 0 else []
        return [code for code in held[0][: key.slots or 1] if code != NOWHERE]
