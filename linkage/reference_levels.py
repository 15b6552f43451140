"""The reference's comparators: records as texts and numbers, levels one pair of records at a time.

Rules:
- Written from the words of linkage/comparators.py and linkage/columns.py, on values, not codes;
  nothing of the kernel is used. `recordlinkage` computes equality and similarity of texts where it
  can, rapidfuzz by single calls what is left, plain Python all else.
- Measures are compared with their thresholds in single precision, as the engine's are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import recordlinkage
from rapidfuzz import fuzz

from linkage import nicknames
from linkage.comparators import EARTH_RADIUS_KM, REGISTERED
from linkage.model import Field, Level, Model

Value = Any
"""A standardised value: a text, or a date as the number yyyymmdd."""
Pair = tuple[int, int]
"""Two places in the features, the lower first."""
Levels = Mapping[str, str | None]
"""Field → name of the level; None is missing."""
Similar = Mapping[tuple[str, str], float]
"""(column, test) → what `recordlinkage` makes of a pair."""


@dataclass(frozen=True)
class Record:
    """One record: column → its values, the current one first; () where missing."""

    columns: Mapping[str, tuple[Value, ...]]
    apart: bool
    verified: bool

    def values(self, column: str) -> tuple[Value, ...]:
        """All values of a column."""
        return self.columns.get(column, ())

    def current(self, column: str) -> Value:
        """The current value; None where missing."""
        return next(iter(self.values(column)), None)


@cache
def _nicknames() -> frozenset[frozenset[str]]:
    return frozenset(
        frozenset(pair) for line in nicknames.families() for pair in combinations(line, 2)
    )


PARTS: Mapping[str, Callable[[Value], Value]] = {
    "length": len,
    "initial": lambda v: v[:1],
    "start": lambda v: v[:4],
    "nickname": lambda v: v if any(v in pair for pair in _nicknames()) else "",
    "sector": lambda v: v[:-2],
    "district": lambda v: v.split(" ")[0],
    "area": lambda v: _first_match("^([A-Z]{1,2})", v),
    "system": lambda v: v.split("|")[0],
    "figures": lambda v: " ".join(w for w in v.split() if any(c.isdigit() for c in w)),
    "year": lambda v: v // 10_000,
    "month": lambda v: v // 100 % 100,
    "day": lambda v: v % 100,
    "decade": lambda v: v // 100_000,
}


def _first_match(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.ASCII)
    return found[1] if found else ""


def part_of(name: str, value: Value) -> Value:
    """A part of a value; None where it has none."""
    found = PARTS[name](value)
    return None if found == "" else found


@dataclass(frozen=True)
class Compared:
    """Two records seen through one field and level; both have a value there."""

    a: Record
    b: Record
    column: str
    of: str

    @property
    def current(self) -> tuple[Value, Value]:
        """The current values."""
        return self.a.current(self.column), self.b.current(self.column)

    @property
    def sets(self) -> tuple[set[Value], set[Value]]:
        """All values."""
        return set(self.a.values(self.column)), set(self.b.values(self.column))

    @property
    def others(self) -> tuple[Value, Value]:
        """The current values of the other column."""
        return self.a.current(self.of), self.b.current(self.of)

    @property
    def dates(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Years, months and days; 0 where unknown."""
        one, two = ((v // 10_000, v // 100 % 100, v % 100) for v in self.current)
        return one, two


def _share_part(pair: Compared) -> bool:
    one, two = ({part_of(pair.of, v) for v in values} - {None} for values in pair.sets)
    return bool(one & two)


def _other_part(pair: Compared) -> bool:
    one, two = (part_of(pair.of, value) for value in pair.current)
    return None not in (one, two) and one != two


def _initial(pair: Compared) -> bool:
    one, two = pair.current
    return one[:1] == two[:1] and 1 in (len(one), len(two))


def _swapped(pair: Compared) -> bool:
    (year_a, month_a, day_a), (year_b, month_b, day_b) = pair.dates
    return (year_a, month_a, day_a) == (year_b, day_b, month_b) and month_a != day_a


def _one_digit(pair: Compared) -> bool:
    if 0 in (pair.dates[0][2], pair.dates[1][2]):
        return False
    one, two = (f"{v:08d}" for v in pair.current)
    return sum(x != y for x, y in zip(one, two, strict=True)) == 1


def _partly_known(pair: Compared) -> bool:
    one, two = pair.dates
    if one[0] != two[0]:
        return False
    if (1, 1) in (one[1:], two[1:]):
        return True
    return 0 in (one[2], two[2]) and (one[1] == two[1] or 0 in (one[1], two[1]))


def _crosswise(pair: Compared) -> tuple[bool, bool]:
    """Whether each current value is the other record's value of the other column."""
    return pair.current[0] == pair.others[1], pair.current[1] == pair.others[0]


TESTS: Mapping[str, Callable[[Compared], bool]] = {
    "equal": lambda p: p.current[0] == p.current[1],
    "unequal": lambda p: p.current[0] != p.current[1],
    "flagged": lambda p: p.a.apart and p.b.apart,
    "any_equal": lambda p: bool(p.sets[0] & p.sets[1]),
    "same_part": _share_part,
    "other_part": _other_part,
    "nickname": lambda p: frozenset(p.current) in _nicknames(),
    "initial": _initial,
    "equal_in": lambda p: p.others[0] is not None and p.others[0] == p.others[1],
    "equal_to": lambda p: any(_crosswise(p)),
    "transposed": lambda p: all(_crosswise(p)),
    "same_date": lambda p: (
        p.current[0] == p.current[1] and p.dates[0][2] > 0 and p.dates[0][1:] != (1, 1)
    ),
    "same_first_january": lambda p: p.current[0] == p.current[1] and p.dates[0][1:] == (1, 1),
    "day_month_swapped": _swapped,
    "one_digit": _one_digit,
    "partly_known": _partly_known,
    "two_parts": lambda p: sum(x == y for x, y in zip(*p.dates, strict=True)) == 2,
    "same_month": lambda p: p.dates[0][:2] == p.dates[1][:2] and p.dates[0][1] > 0,
}
"""Tests that are true or false of a pair."""


def _number(value: Value) -> float:
    """A value as a number; NaN where it is none."""
    if isinstance(value, int):
        return float(value)
    sound = re.fullmatch(r"[-+]?\d{1,15}(\.\d{1,15})?", value or "", re.ASCII)
    return float(value) if sound else math.nan


def _days_apart(pair: Compared) -> float:
    if 0 in (pair.dates[0][2], pair.dates[1][2]):
        return math.inf
    one, two = (date(y, m, 1) + timedelta(d - 1) for y, m, d in pair.dates)
    return abs((one - two).days)


def _share_apart(pair: Compared) -> float:
    one, two = map(_number, pair.current)
    if math.isnan(one) or math.isnan(two):
        return math.inf
    return 0.0 if one == two else abs(one - two) / max(abs(one), abs(two))


def _km_apart(pair: Compared) -> float:
    """Great-circle distance by the haversine formula."""
    lat_a, lat_b, lon_a, lon_b = (
        math.radians(_number(value)) for value in (*pair.current, *pair.others)
    )
    half = math.sin((lat_b - lat_a) / 2) ** 2
    half += math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(min(math.sqrt(half), 1.0))


def _overlap(pair: Compared) -> float:
    one, two = pair.sets
    return len(one & two) / len(one | two)


SIMILARITIES: Mapping[str, Callable[[Compared], float]] = {
    "overlap": _overlap,
    "token_set": lambda p: fuzz.token_set_ratio(*p.current) / 100,
    "token_sort": lambda p: fuzz.token_sort_ratio(*p.current) / 100,
}
DISTANCES: Mapping[str, Callable[[Compared], float]] = {
    "years_apart": lambda p: abs(p.dates[0][0] - p.dates[1][0]),
    "days_apart": _days_apart,
    "number_apart": lambda p: abs(_number(p.current[0]) - _number(p.current[1])),
    "share_apart": _share_apart,
    "km_apart": _km_apart,
}
BY_RECORDLINKAGE = {
    "jaro_winkler": "jarowinkler",
    "jaro": "jaro",
    "levenshtein_share": "levenshtein",
    "levenshtein": "levenshtein",
    "damerau_levenshtein": "damerau_levenshtein",
}
"""Our test → the method of `recordlinkage.Compare.string`, which gives a similarity in [0, 1]."""
EDITS = ("levenshtein", "damerau_levenshtein")
"""Tests that count edits."""


def similarities(records: Sequence[Record], model: Model, pairs: Sequence[Pair]) -> list[Similar]:
    """(column, test) → similarity, for each pair."""
    wanted = {
        (field.column, level.test)
        for field in model.fields
        for level in field.levels
        if level.test in {"equal", *BY_RECORDLINKAGE}
    }
    if not wanted or not pairs:
        return [{} for _ in pairs]
    compare = recordlinkage.Compare()
    for column, test in sorted(wanted):
        if test == "equal":
            compare.exact(column, column, label=(column, test))
        else:
            method = BY_RECORDLINKAGE[test]
            compare.string(column, column, method=method, label=(column, test))
    # A missing value gets no level; recordlinkage would divide by the length of an empty text.
    texts = pd.DataFrame({c: [str(r.current(c)) for r in records] for c, _ in wanted})
    table = compare.compute(pd.MultiIndex.from_tuples(pairs), texts)
    keys = [tuple(label) for label in table.columns]
    return [dict(zip(keys, row, strict=True)) for row in table.to_numpy().tolist()]


def _holds(pair: Compared, level: Level, similar: Similar) -> bool:
    """Whether a pair of present values passes the test of a level."""
    if level.test == "equal":
        return bool(similar[pair.column, level.test])
    if level.test in TESTS:
        return TESTS[level.test](pair)
    at = np.float32(level.at)
    if level.test in DISTANCES or level.test in EDITS:
        return bool(np.float32(_distance(pair, level.test, similar)) <= at)
    return bool(np.float32(_similarity(pair, level.test, similar)) >= at)


def _distance(pair: Compared, test: str, similar: Similar) -> float:
    if test in DISTANCES:
        return DISTANCES[test](pair)
    longest = max(len(value) for value in pair.current)
    return round((1 - similar[pair.column, test]) * longest)


def _similarity(pair: Compared, test: str, similar: Similar) -> float:
    if test in SIMILARITIES:
        return SIMILARITIES[test](pair)
    if test in BY_RECORDLINKAGE:
        return similar[pair.column, test]
    one, two = pair.current
    return float(np.asarray(REGISTERED[test.removeprefix("custom:")]([one], [two]))[0])


def level_of(a: Record, b: Record, field: Field, similar: Similar) -> str | None:
    """The name of the first level whose test the pair passes; None where one has no value."""
    if not a.values(field.column) or not b.values(field.column):
        return None
    if field.comparable and not _share_part(Compared(a, b, field.column, field.comparable)):
        return None
    for level in field.levels[:-1]:
        if _holds(Compared(a, b, field.column, level.of), level, similar):
            return level.name
    return field.levels[-1].name
