"""Who lives with whom: households drawn from a table of kinds, with ages that fit the family.

Rules:
- A family is drawn from its youngest child upwards: children first, then parents old enough.
- Households fill the dwellings in random order; communal houses have residents without relatives.
- Days are counted from 1 January 1970 (`datetime64[D]` as an integer).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demo.names import Flags, Ints
from demo.partnership import EXTRACT_DATE
from demo.places import COMMUNAL, Communal

EXTRACT_DAY = int(np.datetime64(EXTRACT_DATE, "D").astype(np.int64))
YEAR = 365.25
"""Days."""

SINGLE, COUPLE, FAMILY, LONE, SHARERS, THREE_GENERATIONS, RESIDENT = range(7)
_KIND_SHARES = (0.30, 0.27, 0.26, 0.09, 0.06, 0.02)
"""Kinds of private household. Assumed, near the 2021 census of England."""
_CHILDREN = (0.44, 0.39, 0.13, 0.04)
"""Shares of families with one, two, three, four children. Assumed."""
TWIN_SHARE = 0.016
"""Share of next-born children who are the last one's twin: about 1.5 % of maternities are of twins
(national birth statistics)."""
LEAST_TWINS = 4
"""Pairs of twins, however small the population."""

FIRST, SECOND, CHILD, SHARER, GRANDPARENT, ALONE = range(6)
"""Roles in a household: FIRST and SECOND are the couple, or FIRST the lone parent."""


@dataclass(frozen=True, eq=False)
class Households:
    """People in order of household, as columns.

    Attributes:
        household: number of the household, from 0, ascending.
        kind, role: of the household, of the person in it.
        birth: day of birth.
        female: sex at birth.
        mother, father: row of the parent living in the household, or -1.
        twin_of: row of the twin born before, or -1.
        homes: how many private households there are; communal houses follow them.
        communal: the communal houses, in order of household.
    """

    household: Ints
    kind: npt.NDArray[np.int8]
    role: npt.NDArray[np.int8]
    birth: Ints
    female: Flags
    mother: Ints
    father: Ints
    twin_of: Ints
    homes: int
    communal: list[Communal]


def _communal_residents(people: int) -> tuple[list[Communal], list[int]]:
    """Communal houses and how many live in each; a small population has fewer kinds."""
    houses: list[Communal] = []
    residents: list[int] = []
    for kind in COMMUNAL:
        left = round(people * kind.share)
        while left >= min(5, kind.residents):
            houses.append(kind)
            residents.append(min(left, kind.residents))
            left -= kind.residents
    return houses, residents


def _adult_ages(rng: np.random.Generator, count: int, spans: list[tuple[float, int, int]]) -> Ints:
    """Ages in days from a mixture of (share, youngest, oldest in years)."""
    choice = rng.choice(len(spans), size=count, p=[share for share, _, _ in spans])
    low = np.array([low for _, low, _ in spans])[choice]
    high = np.array([high for _, _, high in spans])[choice]
    ages: Ints = ((low + (high - low) * rng.random(count)) * YEAR).astype(np.int32)
    return ages


def build_households(rng: np.random.Generator, people: int) -> Households:
    """Exactly `people` people in households. Requires: people >= 100."""
    houses, residents = _communal_residents(people)
    private = people - sum(residents)
    kind = rng.choice(6, size=private, p=_KIND_SHARES).astype(np.int8)
    children = 1 + rng.choice(4, size=private, p=_CHILDREN)
    size = np.select(
        [kind == SINGLE, kind == COUPLE, kind == FAMILY, kind == LONE, kind == SHARERS],
        [1, 2, 2 + children, 1 + children, rng.integers(2, 5, size=private)],
        3 + children,
    )
    homes = int(np.searchsorted(np.cumsum(size), private)) + 1
    kind, size = kind[:homes], size[:homes]
    size[-1] -= int(size.sum()) - private
    all_kinds = np.concatenate([kind, np.full(len(houses), RESIDENT, dtype=np.int8)])
    all_sizes = np.concatenate([size, np.array(residents, dtype=size.dtype)])
    household = np.repeat(np.arange(len(all_sizes), dtype=np.int32), all_sizes)
    first_row = np.concatenate([[0], np.cumsum(all_sizes)[:-1]]).astype(np.int32)
    position = np.arange(people, dtype=np.int32) - first_row[household]
    person_kind = all_kinds[household]
    role = _roles(person_kind, position)
    birth, twin_of = _births(rng, person_kind, role, household, first_row)
    for n, house in enumerate(houses):
        rows = household == homes + n
        span = [(1.0, house.youngest, house.oldest)]
        birth[rows] = EXTRACT_DAY - _adult_ages(rng, int(rows.sum()), span)
    female = _sexes(rng, person_kind, role, twin_of)
    mother, father = _parents(role, household, first_row, female)
    return Households(household, person_kind, role, birth, female, mother, father, twin_of,
                      homes, houses)  # fmt: skip


def _roles(kind: npt.NDArray[np.int8], position: Ints) -> npt.NDArray[np.int8]:
    role = np.full(len(kind), ALONE, dtype=np.int8)
    couple = np.isin(kind, [COUPLE, FAMILY, THREE_GENERATIONS])
    role[(couple | (kind == LONE)) & (position == 0)] = FIRST
    role[couple & (position == 1)] = SECOND
    role[kind == SHARERS] = SHARER
    role[(kind == THREE_GENERATIONS) & (position == 2)] = GRANDPARENT
    first_child = np.select(
        [kind == FAMILY, kind == LONE, kind == THREE_GENERATIONS], [2, 1, 3], 99
    )
    role[position >= first_child] = CHILD
    return role


def _births(
    rng: np.random.Generator, kind: npt.NDArray[np.int8], role: npt.NDArray[np.int8],
    household: Ints, first_row: Ints,
) -> tuple[Ints, Ints]:  # fmt: skip
    """Days of birth, and each younger twin's row → the row of the twin listed before."""
    n = len(kind)
    child = role == CHILD
    youngest = child & np.concatenate([[True], ~child[:-1]])
    gap = (rng.uniform(1.1, 4.6, size=n) * YEAR).astype(np.int64)
    luck = np.where(child & ~youngest, rng.random(n), 1.0)
    twin = luck < max(TWIN_SHARE, float(np.partition(luck, LEAST_TWINS)[LEAST_TWINS]))
    gap[twin] = 0
    gap[youngest] = (rng.uniform(0.0, 19.0, size=n) * YEAR)[youngest].astype(np.int64)
    _plant_newborns(rng, gap, youngest)
    gap[~child] = 0
    run = np.cumsum(gap)
    before = (run - gap)[first_row[household]]
    age = run - before
    singles = [(0.30, 19, 35), (0.35, 35, 65), (0.35, 65, 97)]
    couples = [(0.28, 22, 38), (0.30, 38, 62), (0.42, 58, 92)]
    age = np.where(role == ALONE, _adult_ages(rng, n, singles), age)
    age = np.where(role == SHARER, _adult_ages(rng, n, [(1.0, 18, 33)]), age)
    oldest = np.zeros(len(first_row), dtype=np.int64)
    np.maximum.at(oldest, household[child], age[child])
    at_birth = np.clip(rng.normal(27.5, 5.3, size=len(first_row)), 16, 43) * YEAR
    parent = oldest + at_birth.astype(np.int64)
    pair = _adult_ages(rng, len(first_row), couples).astype(np.int64)
    has_children = oldest > 0
    adult = np.where(has_children, parent, pair)[household]
    elder = (np.clip(rng.normal(2.2, 3.5, size=n), -5, 14) * YEAR).astype(np.int64)
    age = np.where(role == FIRST, adult, age)
    age = np.where(role == SECOND, adult + elder, age)
    granny = adult + (np.clip(rng.normal(28, 4, size=n), 18, 40) * YEAR).astype(np.int64)
    age = np.where(role == GRANDPARENT, granny, age)
    age = np.minimum(age, int(104 * YEAR))
    twin_of = np.where(twin, np.arange(n) - 1, -1).astype(np.int32)
    return (EXTRACT_DAY - age).astype(np.int32), twin_of


def _plant_newborns(rng: np.random.Generator, gap: npt.NDArray[np.int64], youngest: Flags) -> None:
    """Makes some of the youngest children newborn (2 to 40 days), however small the population."""
    rows = np.flatnonzero(youngest)
    wanted = min(len(rows), max(6, len(gap) // 500))
    nearest = rows[np.argsort(gap[rows], kind="stable")[:wanted]]
    gap[nearest] = rng.integers(2, 41, size=wanted)


def _sexes(
    rng: np.random.Generator, kind: npt.NDArray[np.int8], role: npt.NDArray[np.int8], twin_of: Ints
) -> Flags:
    n = len(kind)
    female = rng.random(n) < 0.507
    female[role == FIRST] = True
    female[(role == FIRST) & (kind == LONE) & (rng.random(n) < 0.12)] = False
    female[role == SECOND] = rng.random(int((role == SECOND).sum())) < 0.02
    same = (twin_of >= 0) & (rng.random(n) < 0.66)
    female[same] = female[twin_of[same]]
    return female


def _parents(
    role: npt.NDArray[np.int8], household: Ints, first_row: Ints, female: Flags
) -> tuple[Ints, Ints]:
    n = len(role)
    child = role == CHILD
    first = first_row[household]
    second = np.minimum(first + 1, n - 1)
    has_second = (role[second] == SECOND) & (household[second] == household)
    mother = np.where(child & female[first], first, -1)
    father = np.where(child & has_second & ~female[second], second, -1)
    father = np.where(child & ~female[first], first, father)
    return mother.astype(np.int32), father.astype(np.int32)
