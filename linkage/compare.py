"""The kernel: pairs of records in, one level code per field out. Vectorised over a chunk of pairs.

Rules:
- Level 0 is missing; the others are numbered in the order of `LEVELS`, strongest first.
- Equality is a comparison of integer codes. A similarity is computed once per distinct pair of
  unequal values in the chunk, by rapidfuzz.
- A comparator reads features only; it knows no weights.

The levels of all fields pack into one integer per pair, its *pattern* (`pack`, `unpack`), because
a million pairs show only some thousand distinct patterns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import JaroWinkler
from rapidfuzz.process import cpdist

from linkage import nicknames
from linkage.features import Features

Rows = npt.NDArray[np.int32]
Levels = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Comparator = Callable[[Features, Rows, Rows], Levels]

LEVELS: dict[str, tuple[str, ...]] = {
    "nhs_number": ("same", "different"),
    "given": ("same", "equivalent", "close", "initial", "middle", "swapped", "different"),
    "family": ("same", "alternative", "close", "swapped", "different"),
    "birth_date": (
        "same", "same 1 January", "day and month swapped", "one slip", "partly known",
        "two parts same", "different",
    ),
    "sex": ("same", "different"),
    "postcode": ("same", "same sector", "same district", "different"),
    "address": ("same", "close", "different"),
    "phone": ("same", "different"),
    "email": ("same", "different"),
    "practice": ("same", "different"),
    "identifier": ("same", "different"),
    "source": ("different", "same", "same, kept apart"),
}  # fmt: skip
"""Level names per field, strongest first."""

CLOSE_GIVEN = 0.90
CLOSE_FAMILY = 0.90
CLOSE_ADDRESS = 0.92
"""Jaro-Winkler similarity (Winkler 1990) from which two values count as close."""


def _pick(conditions: Sequence[Bools], missing: Bools) -> Levels:
    """1 + index of the first condition that holds; the last level where none does; 0 if missing."""
    n = len(missing)
    out = np.full(n, len(conditions) + 1, np.uint8)
    for index in range(len(conditions) - 1, -1, -1):
        out[conditions[index]] = index + 1
    out[missing] = 0
    return out


def _any_equal(a: npt.NDArray[np.int32], b: npt.NDArray[np.int32]) -> Bools:
    out = np.zeros(len(a), bool)
    for i in range(a.shape[1]):
        for j in range(b.shape[1]):
            out |= (a[:, i] >= 0) & (a[:, i] == b[:, j])
    return out


def _similar(a: Rows, b: Rows, where: Bools, values: Sequence[str], at_least: float) -> Bools:
    """Whether the values behind two codes are alike, for the pairs of `where`."""
    out = np.zeros(len(a), bool)
    places = np.flatnonzero(where)
    if not len(places):
        return out
    low = np.minimum(a[places], b[places]).astype(np.int64)
    high = np.maximum(a[places], b[places]).astype(np.int64)
    distinct, inverse = np.unique(low * len(values) + high, return_inverse=True)
    left = [values[i] for i in (distinct // len(values)).tolist()]
    right = [values[i] for i in (distinct % len(values)).tolist()]
    scores = cpdist(
        left, right, scorer=JaroWinkler.similarity, score_cutoff=at_least, dtype=np.float32
    )
    out[places] = (scores >= at_least)[inverse]
    return out


def compare_nhs_number(f: Features, left: Rows, right: Rows) -> Levels:
    """NHS numbers: a slip of the pen breaks the check digit, so there is no "close"."""
    a, b = f.nhs[left], f.nhs[right]
    return _pick([a == b], (a < 0) | (b < 0))


def compare_given(f: Features, left: Rows, right: Rows) -> Levels:
    """Forenames: nicknames, initials, the second name used as first, family name in its place."""
    a, b = f.given[left], f.given[right]
    missing = (a < 0) | (b < 0)
    same = a == b
    unequal = ~same & ~missing
    initial = np.zeros(len(a), bool)
    equivalent = np.zeros(len(a), bool)
    ua, ub = a[unequal], b[unequal]
    initial[unequal] = ((f.name_length[ua] == 1) | (f.name_length[ub] == 1)) & (
        f.name_first[ua] == f.name_first[ub]
    )
    equivalent[unequal] = nicknames.equivalent(f.name_nickname[ua], f.name_nickname[ub])
    other = (a == f.given_other[right, 0]) | (b == f.given_other[left, 0])
    middle = ((a == f.middle[right]) & (a >= 0)) | ((b == f.middle[left]) & (b >= 0))
    swapped = (a == f.family[right]) & (b == f.family[left])
    undecided = unequal & ~initial & ~equivalent & ~other & ~middle & ~swapped
    close = _similar(a, b, undecided, f.names, CLOSE_GIVEN)
    return _pick([same, equivalent | other, close, initial, middle, swapped], missing)


def compare_family(f: Features, left: Rows, right: Rows) -> Levels:
    """Family names: previous names and parts of hyphenated ones count as alternatives."""
    a, b = f.family[left], f.family[right]
    missing = (a < 0) | (b < 0)
    same = a == b
    all_a = np.column_stack([a, f.family_other[left]])
    all_b = np.column_stack([b, f.family_other[right]])
    alternative = _any_equal(all_a, all_b) & ~same
    swapped = (a == f.given[right]) & (b == f.given[left])
    undecided = ~same & ~missing & ~alternative & ~swapped
    close = _similar(a, b, undecided, f.names, CLOSE_FAMILY)
    return _pick([same, alternative, close, swapped], missing)


_POWERS = 10 ** np.arange(8)


def compare_birth_date(f: Features, left: Rows, right: Rows) -> Levels:
    """Birth dates: 1 January is often a placeholder; day and month swap; one digit slips."""
    a, b = f.birth[left], f.birth[right]
    missing = (a == 0) | (b == 0)
    same = a == b
    year_a, year_b = a // 10_000, b // 10_000
    month_a, month_b = a // 100 % 100, b // 100 % 100
    day_a, day_b = a % 100, b % 100
    new_year = same & (a % 10_000 == 101)
    same_year = year_a == year_b
    swapped = same_year & (month_a == day_b) & (day_a == month_b)
    digits_a = a[:, None] // _POWERS % 10
    digits_b = b[:, None] // _POWERS % 10
    slip = (digits_a != digits_b).sum(axis=1) == 1
    unknown = (day_a == 0) | (day_b == 0)
    first = (a % 10_000 == 101) | (b % 10_000 == 101)
    known_agree = ((month_a == month_b) | (month_a == 0) | (month_b == 0)) & same_year
    partly = (unknown & known_agree) | (first & same_year)
    parts = same_year.astype(np.int8) + (month_a == month_b) + (day_a == day_b)
    return _pick(
        [
            same & ~new_year & ~unknown,
            new_year,
            swapped & ~same,
            slip & ~unknown,
            partly,
            parts == 2,
        ],
        missing,
    )


def compare_sex(f: Features, left: Rows, right: Rows) -> Levels:
    """Recorded gender; never decisive by itself."""
    a, b = f.sex[left], f.sex[right]
    return _pick([a == b], (a == 0) | (b == 0))


def compare_postcode(f: Features, left: Rows, right: Rows) -> Levels:
    """Postcodes, now or before: the unit, then the sector, then the district."""
    a, b = f.postcode[left], f.postcode[right]
    sectors_a = np.where(a >= 0, f.sector[np.maximum(a, 0)], -1)
    sectors_b = np.where(b >= 0, f.sector[np.maximum(b, 0)], -1)
    districts_a = np.where(a >= 0, f.district[np.maximum(a, 0)], -1)
    districts_b = np.where(b >= 0, f.district[np.maximum(b, 0)], -1)
    missing = (a.max(axis=1) < 0) | (b.max(axis=1) < 0)
    return _pick(
        [_any_equal(a, b), _any_equal(sectors_a, sectors_b), _any_equal(districts_a, districts_b)],
        missing,
    )


def compare_address(f: Features, left: Rows, right: Rows) -> Levels:
    """House and street, now or before."""
    a, b = f.address[left], f.address[right]
    missing = (a.max(axis=1) < 0) | (b.max(axis=1) < 0)
    same = _any_equal(a, b)
    both = ~same & (a[:, 0] >= 0) & (b[:, 0] >= 0)
    close = _similar(a[:, 0], b[:, 0], both, f.addresses, CLOSE_ADDRESS)
    return _pick([same, close], missing)


def _compare_sets(a: npt.NDArray[np.int32], b: npt.NDArray[np.int32]) -> Levels:
    return _pick([_any_equal(a, b)], (a.max(axis=1) < 0) | (b.max(axis=1) < 0))


def compare_identifier(f: Features, left: Rows, right: Rows) -> Levels:
    """Further identifiers: only numbers of one system can differ."""
    a, b = f.identifier[left], f.identifier[right]
    systems_a = np.where(a >= 0, f.identifier_system[np.maximum(a, 0)], -1)
    systems_b = np.where(b >= 0, f.identifier_system[np.maximum(b, 0)], -1)
    return _pick([_any_equal(a, b)], ~_any_equal(systems_a, systems_b))


def compare_source(f: Features, left: Rows, right: Rows) -> Levels:
    """Whether one source holds both: one that keeps its people apart has told them apart."""
    same = f.source[left] == f.source[right]
    return _pick([~same, same & ~f.apart[left]], np.zeros(len(left), bool))


COMPARATORS: dict[str, Comparator] = {
    "nhs_number": compare_nhs_number,
    "given": compare_given,
    "family": compare_family,
    "birth_date": compare_birth_date,
    "sex": compare_sex,
    "postcode": compare_postcode,
    "address": compare_address,
    "phone": lambda f, i, j: _compare_sets(f.phone[i], f.phone[j]),
    "email": lambda f, i, j: _compare_sets(f.email[i], f.email[j]),
    "practice": lambda f, i, j: _compare_sets(f.practice[i, None], f.practice[j, None]),
    "identifier": compare_identifier,
    "source": compare_source,
}

FIELDS = tuple(LEVELS)
"""Order of fields in levels and patterns."""
_RADIX = np.array([len(levels) + 1 for levels in LEVELS.values()], np.int64)
_PLACE = np.concatenate([[1], np.cumprod(_RADIX[:-1])])


def compare(features: Features, left: Rows, right: Rows) -> Levels:
    """Levels of all fields: (len(FIELDS), pairs)."""
    return np.stack([COMPARATORS[name](features, left, right) for name in FIELDS])


def pack(levels: Levels) -> npt.NDArray[np.int64]:
    """(fields, pairs) levels as one integer per pair."""
    out = np.zeros(levels.shape[1], np.int64)
    for place, row in zip(_PLACE, levels, strict=True):
        out += place * row
    return out


def unpack(patterns: npt.NDArray[np.int64]) -> Levels:
    """The inverse of `pack`."""
    return np.asarray(patterns[None, :] // _PLACE[:, None] % _RADIX[:, None], np.uint8)
