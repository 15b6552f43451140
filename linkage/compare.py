"""The kernel: pairs of records in, one level code per field out. Vectorised over a chunk of pairs.

Rules:
- Level 0 is missing; the others are numbered in the order of the field's levels.
- Levels are tried in order, each on the pairs that none took before.
- It works in two steps: `cheap` stops a field at its first costly test and leaves its pairs OPEN;
  `finish` takes up the pairs that turned out to matter (linkage/score.py decides which).
- A field of which no record has a value costs nothing.

The levels of all fields pack into one integer per pair, its *pattern* (`pack`, `unpack`), because
a million pairs show only some thousand distinct patterns.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from linkage.columns import Features
from linkage.comparators import COMPARATORS, Comparator, comparator_of, passes
from linkage.model import Field, Level
from linkage.views import Bools, Places, Rows, View
from schemas.errors import InvalidValue

Levels = npt.NDArray[np.uint8]
Patterns = npt.NDArray[np.signedinteger[Any]]
Step = tuple[Comparator, tuple[tuple[int, Level], ...]]
"""A test and the consecutive levels (code, level) that ask for it."""


def _steps(features: Features, field: Field) -> tuple[Step, ...]:
    """The field's tests in order, those left out that no pair of these features can pass;
    consecutive levels of one measure share it."""
    steps: list[Step] = []
    for code, level in enumerate(field.levels[:-1], start=1):
        test = comparator_of(level)
        _check_level(features, field, level, test)
        if _never(features, field, level):
            continue
        if steps and test.measures:
            last, levels = steps[-1]
            before = levels[-1][1]
            looser = level.at >= before.at if test.distance else level.at <= before.at
            if looser and before.test == level.test and before.of == level.of:
                steps[-1] = (last, (*levels, (code, level)))
                continue
        steps.append((test, ((code, level),)))
    return tuple(steps)


def _first_costly(field: Field, steps: Sequence[Step]) -> int:
    """The code of the first level that waits; the last level's where none does."""
    return next((levels[0][0] for test, levels in steps if test.costly), len(field.levels))


class Comparer:
    """Compares pairs of rows of the features in all fields of a model.

    Attributes:
        open: (fields,) the code of OPEN.
        undecided: (fields,) the first level that a pair left OPEN can have.
    """

    def __init__(self, features: Features, fields: Sequence[Field]) -> None:
        self.features, self.fields = features, tuple(fields)
        self.open = np.array([len(f.levels) + 1 for f in fields], np.uint8)
        # A field without a value is always missing: it takes no place in a pattern.
        radix = np.array(
            [1 if features.column(f.column).empty else len(f.levels) + 2 for f in fields], np.int64
        )
        self._radix = radix
        self._place = np.concatenate([[1], np.cumprod(radix[:-1])])
        self._packed: type[np.signedinteger[Any]] = (
            np.int32 if math.prod(radix.tolist()) < 2**31 else np.int64
        )
        self._steps = [_steps(features, f) for f in fields]
        held = (f.column for f in fields if not features.column(f.column).empty)
        self._columns = tuple(dict.fromkeys(held))
        self.undecided = np.array(
            [_first_costly(f, s) for f, s in zip(fields, self._steps, strict=True)], np.uint8
        )

    def prepare(self, threads: int | None = None) -> None:
        """Makes what all comparisons read, side by side, before many ask for it at once."""
        jobs = {
            (id(values), part): (values, part)
            for field, steps in zip(self.fields, self._steps, strict=True)
            if field.column in self._columns
            for values in [self.features.column(field.column).values]
            for _, levels in steps
            for part in parts_read(level for _, level in levels)
        }
        with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
            rows = pool.submit(self.features.rowwise, self._columns)
            # The longest columns take longest: they come first.
            longest = sorted(jobs.values(), key=lambda job: -len(job[0]))
            list(pool.map(lambda job: job[0].part(job[1]), longest))
            rows.result()

    def cheap(self, left: Rows, right: Rows) -> Levels:
        """(fields, pairs) levels; OPEN (one more than the last) where a costly test is due."""
        out = np.zeros((len(self.fields), len(left)), np.uint8)
        one, two = left.astype(np.intp), right.astype(np.intp)
        rows = self.features.rowwise(self._columns)
        codes = dict(
            zip(self._columns, zip(rows.take(one), rows.take(two), strict=True), strict=True)
        )
        for row, field in enumerate(self.fields):
            if field.column in codes:
                view = View(self.features, field, one, two, codes)
                self._cheap_field(out[row], row, view)
        return out

    def _cheap_field(self, out: Levels, row: int, view: View) -> None:
        field, steps = self.fields[row], self._steps[row]
        last = np.uint8(len(field.levels))
        a, b = view.codes()
        present = (a | b) >= 0  # codes are negative just where missing
        if field.comparable:
            present &= _comparable(view, field.comparable)
        costly = next((i for i, (test, _) in enumerate(steps) if test.costly), len(steps))
        out[:] = rest = last if costly == len(steps) else self.open[row]
        start = 0
        if costly and (
            steps[0][1][0][1].test == "equal"
            or (steps[0][1][0][1].test == "any_equal" and view.column.slots == 1)
        ):
            # Sums of small integers: several times as fast as putting values in places.
            out -= (a == b).view(np.uint8) * np.uint8(rest - steps[0][1][0][0])
            start = 1
        out *= present.view(np.uint8)
        if start < len(steps):
            view, places = self._run(out, steps[start:costly], view, np.flatnonzero(out >= last))
            if costly < len(steps) and all(test.possible for test, _ in steps[costly:]):
                self._rule_out(out, steps[costly:], view, places)

    def _rule_out(self, out: Levels, steps: Sequence[Step], view: View, places: Places) -> None:
        """Gives the last level to pairs that cannot pass any of the costly tests."""
        possible = np.zeros(len(places), bool)
        for test, levels in steps:
            assert test.possible
            possible |= test.possible(view, levels[-1][1])
        out[places.take(np.flatnonzero(~possible))] = len(view.field.levels)

    def finish(self, levels: Levels, left: Rows, right: Rows) -> None:
        """Puts the level in place of every OPEN."""
        for row, field in enumerate(self.fields):
            places = np.flatnonzero(levels[row] == self.open[row])
            if len(places):
                steps = self._steps[row]
                costly = next(i for i, (test, _) in enumerate(steps) if test.costly)
                one, two = left.astype(np.intp), right.astype(np.intp)
                view = View(self.features, field, one, two)
                _, rest = self._run(levels[row], steps[costly:], view, places)
                levels[row][rest] = len(field.levels)

    def _run(
        self, out: Levels, steps: Sequence[Step], view: View, places: Places
    ) -> tuple[View, Places]:
        """Runs the tests in order on the pairs at the places; what none of them took."""
        view = view.narrowed(places)
        for test, levels in steps:
            if not len(places):
                break
            loosest = levels[-1][1]
            found = test.function(view, loosest)
            taken = np.zeros(len(places), bool)
            for code, level in levels:
                hit = passes(test, found, level) & ~taken
                out[places.take(np.flatnonzero(hit))] = code
                taken |= hit
            if taken.any():
                rest = np.flatnonzero(~taken)
                places, view = places.take(rest), view.narrowed(rest)
        return view, places

    def compare(self, left: Rows, right: Rows) -> Levels:
        """Levels of all fields, every test done: (fields, pairs)."""
        levels = self.cheap(left, right)
        self.finish(levels, left, right)
        return levels

    def pack(self, levels: Levels) -> Patterns:
        """(fields, pairs) levels as one integer per pair."""
        out: Patterns = np.zeros(levels.shape[1], self._packed)
        for place, radix, row in zip(self._place, self._radix, levels, strict=True):
            if radix > 1:
                out += np.multiply(row, place, dtype=self._packed)
        return out

    def unpack(self, patterns: Patterns) -> Levels:
        """The inverse of `pack`."""
        return np.asarray(
            patterns[None, :] // self._place[:, None] % self._radix[:, None], np.uint8
        )


def _comparable(view: View, part: str) -> Bools:
    """Whether the two records have values of one system, whatever their slots."""
    found = view.column.values.part(part)
    codes = view.column.codes
    out = np.zeros(len(view.left), bool)
    for i in range(view.column.slots):
        a = codes[i][view.left]
        of_a = np.where(a >= 0, found[a], -1)
        for j in range(view.column.slots):
            b = codes[j][view.right]
            out |= (a >= 0) & (b >= 0) & (of_a == found[b])
    return out


def _never(features: Features, field: Field, level: Level) -> bool:
    """Whether no pair of these features can pass a level's test and none before it."""
    column = features.column(field.column)
    if column.empty:
        return False
    if level.test == "any_equal":
        return column.slots == 1 and field.levels[0].test == "equal" and level != field.levels[0]
    if level.test in ("equal_to", "equal_in", "transposed", "km_apart"):
        return features.column(level.of).empty
    if level.test == "flagged":
        return not (column.values.part(level.of) > 0).any()
    if level.test == "initial":
        return not (column.values.part("length") == 1).any()
    return False


def parts_read(levels: Iterable[Level]) -> set[str]:
    """Parts of values that the tests of some levels read."""
    read: set[str] = set()
    for level in levels:
        test = comparator_of(level)
        read |= {*test.reads, *((level.of,) if test.needs == "part" else ())}
    return read


OF_DATES = frozenset(
    ("same_date", "same_first_january", "day_month_swapped", "one_digit", "partly_known",
     "two_parts", "same_month", "years_apart", "days_apart")
)  # fmt: skip
OF_TEXTS = frozenset(["initial", "nickname", *(n for n, x in COMPARATORS.items() if x.costly)])
"""Tests that only values of one kind can take."""


def _check_level(features: Features, field: Field, level: Level, test: Comparator) -> None:
    """Tests across columns compare codes: the columns must share their values."""
    where = f"field '{field.name}', level '{level.name}'"
    column = features.column(field.column)
    wanted = "date" if level.test in OF_DATES else "text" if level.test in OF_TEXTS else ""
    if not column.empty and wanted not in ("", column.values.kind):
        raise InvalidValue(f"{where}: '{level.test}' compares {wanted}s, not {column.values.kind}s")
    if bool(test.needs) != bool(level.of):
        wants = f"needs `of`, the name of a {test.needs}" if test.needs else "takes no `of`"
        raise InvalidValue(f"{where}: the test '{level.test}' {wants}")
    if level.test in ("equal_to", "transposed"):
        one, other = features.column(field.column), features.column(level.of)
        if not one.empty and not other.empty and one.values is not other.values:
            raise InvalidValue(
                f"{where}: the columns '{field.column}' and '{level.of}' do not share their values"
            )
