"""Who works and who is cared for in a simulated year of accesses: columns, drawn from a seed.

Rules:
- Nothing here is a record of the demo partnership: persons and staff are numbers until named.
- Persons live in households; fifteen households share a postcode, in tower blocks two hundred; a
  few addresses are homes of 28 residents. Family names follow Zipf's law, with Smiths in front.
- Staff belong to an organisation and a team of about ten; three in four are persons of the area.
- An episode of care makes a tie and looks; a small share of ties is never recorded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demo.partnership import ORGANISATIONS
from demo.staff import ROLES

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

YEAR_START = int(np.datetime64("2025-04-01", "D").astype(np.int64))
YEAR_DAYS = 365
OPEN_END = 2_000_000
"""A day that does not come."""
HOME_HOUSEHOLDS = 15
TOWER_HOUSEHOLDS = 200
RESIDENTS = 28
RECORDED = 0.97
"""Share of episodes that end up as a tie."""
ROTA_NAMES = ("weekdays", "early", "late", "nights", "bank")
ROTA_SHARES: dict[str, tuple[float, ...]] = {
    "acute": (0.35, 0.20, 0.20, 0.20, 0.05),
    "ambulance": (0.0, 0.33, 0.33, 0.31, 0.03),
    "out_of_hours": (0.0, 0.1, 0.4, 0.5, 0.0),
    "hospice": (0.4, 0.2, 0.2, 0.2, 0.0),
}
"""Kind of organisation → share of each rota; elsewhere most work on weekdays."""
USUAL_ROTA = (0.93, 0.02, 0.02, 0.0, 0.03)
STAFF_SHARES: dict[str, float] = {
    "acute": 0.13, "mental_health": 0.09, "community": 0.10, "council": 0.06, "ambulance": 0.05,
    "general_practice": 0.06, "out_of_hours": 0.02, "hospice": 0.02, "sexual_health": 0.01,
    "voluntary": 0.01,
}  # fmt: skip
"""Kind of organisation → share of the staff at each organisation of it."""

KINDS = ("registration", "admission", "encounter", "appointment", "referral", "caseload")
CARE: dict[str, tuple[tuple[int, float], ...]] = {
    "acute": ((1, 0.4), (3, 0.5), (2, 0.1)),
    "mental_health": ((5, 0.6), (4, 0.4)),
    "community": ((5, 0.5), (3, 0.5)),
    "council": ((5, 1.0),),
    "ambulance": ((2, 1.0),),
    "out_of_hours": ((2, 1.0),),
    "hospice": ((5, 1.0),),
    "sexual_health": ((3, 1.0),),
    "voluntary": ((5, 1.0),),
}
"""Kind of organisation → kinds of its ties (index of `KINDS`) and their shares."""
AROUND: dict[int, tuple[int, int]] = {1: (14, 90), 2: (0, 90), 3: (14, 90), 4: (0, 90), 5: (0, 90)}
"""Kind of tie → days that it holds before it begins and after it ends, as sharing has it."""
LASTS: dict[int, float] = {1: 5.0, 2: 0.5, 3: 0.5, 4: 40.0, 5: 120.0}
"""Kind of tie → mean days of the care itself."""


@dataclass(frozen=True, eq=False)
class People:
    """Columns by person. `died` a day or `OPEN_END`; `practice` an organisation."""

    place: Ints
    postcode: Ints
    family: Ints
    died: Ints
    practice: Ints
    restricted: Flags
    flagged: Flags
    watched: Flags
    dissents: Flags

    def __len__(self) -> int:
        return len(self.place)


@dataclass(frozen=True, eq=False)
class Staff:
    """Columns by member of staff, in order of organisation and team. `own` a person or -1."""

    organisation: Ints
    role: Ints
    team: Ints
    rota: Ints
    start: Ints
    end: Ints
    own: Ints
    family: Ints
    roles: tuple[str, ...]
    team_first: Ints
    team_size: Ints
    team_organisation: Ints

    def __len__(self) -> int:
        return len(self.organisation)

    def role_is(self, *names: str) -> Flags:
        """Who has one of these roles."""
        return np.isin(self.role, [self.roles.index(n) for n in names if n in self.roles])


@dataclass(frozen=True, eq=False)
class Ties:
    """Columns by tie; team and actor -1 where it is not of one alone. Both days included."""

    person: Ints
    organisation: Ints
    team: Ints
    actor: Ints
    kind: Ints
    start: Ints
    end: Ints


def tie_rows(**columns: object) -> Ties:
    """Ties of columns or single values."""
    arrays = np.broadcast_arrays(*(np.asarray(c, np.int64) for c in columns.values()))
    return Ties(**{n: np.atleast_1d(a) for n, a in zip(columns, arrays, strict=True)})


def joined_ties(parts: list[Ties]) -> Ties:
    """All of them in one."""
    names = Ties.__dataclass_fields__
    return Ties(**{n: np.concatenate([getattr(one, n) for one in parts]) for n in names})


def zipf(rng: np.random.Generator, count: int, names: int = 20_000) -> Ints:
    """Family names: the first is borne by about one in a hundred."""
    weights = 1.0 / (np.arange(names) + 8.0) ** 1.02
    return np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(count)).astype(np.int64)


def build_people(rng: np.random.Generator, count: int) -> People:
    """So many persons."""
    sizes = rng.choice([1, 2, 3, 4, 5, RESIDENTS], size=count,
                       p=[0.30, 0.34, 0.16, 0.14, 0.059, 0.001])  # fmt: skip
    place = np.repeat(np.arange(count), sizes)[:count].astype(np.int64)
    homes = int(place[-1]) + 1
    blocks = rng.choice([HOME_HOUSEHOLDS, TOWER_HOUSEHOLDS], size=homes, p=[0.985, 0.015])
    postcode_of = np.repeat(np.arange(homes), blocks)[:homes]
    shared = zipf(rng, homes)[place]
    unlike = (rng.random(count) < 0.22) | (sizes[place] == RESIDENTS)
    family = np.where(unlike, zipf(rng, count), shared)
    died = np.where(
        rng.random(count) < 0.04, YEAR_START + rng.integers(-900, YEAR_DAYS, size=count), OPEN_END
    )
    practices = [n for n, o in enumerate(ORGANISATIONS) if o.kind == "general_practice"]
    return People(
        place=place, postcode=postcode_of[place].astype(np.int64), family=family, died=died,
        practice=np.array(practices)[rng.integers(0, len(practices), size=homes)[place]],
        restricted=rng.random(count) < 0.0015, flagged=rng.random(count) < 0.008,
        watched=rng.random(count) < min(0.002, 60 / count), dissents=rng.random(count) < 0.005,
    )  # fmt: skip


def build_staff(rng: np.random.Generator, count: int, people: People) -> Staff:
    """So many members of staff."""
    shares = np.array([STAFF_SHARES[o.kind] for o in ORGANISATIONS])
    sizes = np.maximum(8, np.round(count * shares / shares.sum())).astype(np.int64)
    organisation = np.repeat(np.arange(len(sizes)), sizes)
    roles = tuple(sorted({r for kind in ROLES.values() for r in kind} | {"receptionist"}))
    role, rota = np.empty(len(organisation), np.int64), np.empty(len(organisation), np.int64)
    for n, member in enumerate(ORGANISATIONS):
        mine = np.flatnonzero(organisation == n)
        names = ROLES[member.kind]
        rare = {"ig_officer", "data_team", "practice_manager", "safeguarding_lead"}
        weights = np.array([0.02 if r in rare else 1.0 for r in names])
        drawn = rng.choice(len(names), size=len(mine), p=weights / weights.sum())
        drawn[: len(names)] = np.arange(len(names))[: len(mine)]
        role[mine] = [roles.index(names[d]) for d in drawn]
        rota[mine] = rng.choice(5, size=len(mine), p=ROTA_SHARES.get(member.kind, USUAL_ROTA))
        rng.shuffle(role[mine[0] : mine[-1] + 1])
    within = np.arange(len(organisation)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    teams_each = np.maximum(1, sizes // 10)
    team = (np.cumsum(teams_each) - teams_each)[organisation] + np.minimum(
        within // 10, teams_each[organisation] - 1
    )
    rota[np.isin(role, [roles.index("ig_officer"), roles.index("data_team")])] = 0
    start = YEAR_START - rng.exponential(1_500, size=len(role)).astype(np.int64) - 1
    joins = rng.random(len(role)) < 0.08
    start[joins] = YEAR_START + rng.integers(0, YEAR_DAYS, size=int(joins.sum()))
    leaves = ~joins & (rng.random(len(role)) < 0.08)
    end = np.where(leaves, YEAR_START + rng.integers(30, YEAR_DAYS, size=len(role)), OPEN_END)
    free = rng.permutation(np.flatnonzero(people.died == OPEN_END))[: len(role)]
    own = np.where(rng.random(len(role)) < 0.75, free, -1)
    family = np.where(own >= 0, people.family[own], zipf(rng, len(role)))
    first = np.searchsorted(team, np.arange(int(team[-1]) + 1))
    return Staff(
        organisation=organisation, role=role, team=team, rota=rota, start=start, end=end, own=own,
        family=family, roles=roles, team_first=first, team_size=np.bincount(team),
        team_organisation=organisation[first],
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Episodes:
    """Care given by a team: columns by episode. `begin`, `until` days of the care itself."""

    person: Ints
    team: Ints
    kind: Ints
    begin: Ints
    until: Ints
    recorded: Flags


def build_episodes(
    rng: np.random.Generator, count: int, people: People, staff: Staff
) -> tuple[Episodes, Ties]:
    """So many episodes within the year, and the ties that they leave."""
    caring = [n for n, o in enumerate(ORGANISATIONS) if o.kind in CARE]
    teams = np.flatnonzero(np.isin(staff.team_organisation, caring))
    team = teams[rng.integers(0, len(teams), size=count)]
    need = np.cumsum(rng.pareto(1.8, size=len(people)) + 0.15)
    person = np.searchsorted(need, rng.random(count) * need[-1]).astype(np.int64)
    kind = np.empty(count, np.int64)
    names = [o.kind for o in ORGANISATIONS]
    for name, shares in CARE.items():
        of = [n for n, one in enumerate(names) if one == name]
        mine = np.flatnonzero(np.isin(staff.team_organisation[team], of))
        kinds, odds = zip(*shares, strict=True)
        kind[mine] = rng.choice(kinds, size=len(mine), p=odds)
    lasts = np.array([LASTS.get(k, 0.0) for k in range(len(KINDS))])[kind]
    begin = YEAR_START + rng.integers(-30, YEAR_DAYS, size=count)
    until = begin + rng.exponential(lasts).astype(np.int64)
    alive = begin < people.died[person]
    person, team, kind, begin = person[alive], team[alive], kind[alive], begin[alive]
    until = np.minimum(until[alive], people.died[person])
    recorded = rng.random(len(person)) < RECORDED
    before = np.array([AROUND.get(k, (0, 0))[0] for k in range(len(KINDS))])[kind]
    after = np.array([AROUND.get(k, (0, 0))[1] for k in range(len(KINDS))])[kind]
    says_team = rng.random(len(person)) < 0.7
    ties = tie_rows(
        person=person[recorded], organisation=staff.team_organisation[team][recorded],
        team=np.where(says_team, team, -1)[recorded], actor=-1, kind=kind[recorded],
        start=(begin - before)[recorded], end=(until + after)[recorded],
    )  # fmt: skip
    return Episodes(person, team, kind, begin, until, recorded), ties
