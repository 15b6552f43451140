"""A simulated year of accesses to a partnership: true care with its ties, and what planted snoops
and their innocent look-alikes do, labelled. Columns from a seed; no person of the demo is in it.

Rules:
- Care makes accesses: an episode of a team is looked at by the team, by staff who cover for it, by
  other teams of the house, and now and then by another organisation that was asked along.
- General practices look at whom they register; clerks look walk-ins up, open and register them.
- A search often comes first and finds namesakes too; now and then the wrong one is opened.
- Emergencies break the glass, and the encounter comes in days later, or never.
- What detection is told of care (`facts`) lacks what was never recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from audit.detect_facts import Facts
from demo.accesses_life import Life
from demo.accesses_planted import plant
from demo.accesses_planter import Planted
from demo.accesses_rows import (
    Batch,
    chosen,
    joined,
    table_of,
)
from demo.accesses_world import (
    KINDS,
    OPEN_END,
    ROTA_NAMES,
    YEAR_START,
    People,
    Staff,
    Ties,
    build_episodes,
    build_people,
    build_staff,
    joined_ties,
)
from demo.partnership import ORGANISATIONS

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Year:
    """A simulated year.

    Attributes:
        rows: the events, in order. facts: what is known beside them.
        names: texts of the numbers.
        labels: case, kind, guilty, actor, person ('' where of nobody), and `leaves`, its events.
    """

    rows: Batch
    facts: Facts
    labels: pd.DataFrame
    people: People
    staff: Staff
    ties: Ties
    names: dict[str, pa.Array]

    def __len__(self) -> int:
        return len(self.rows["at"])

    def months(self, months: int = 1) -> Iterator[pa.Table]:
        """The events in tables of so many months each."""
        marks = np.arange("2025-04", "2026-05", months, dtype="datetime64[M]")
        first = marks.astype("datetime64[s]").astype(np.int64)
        cuts = [0, *np.searchsorted(self.rows["at"], first[1:]).tolist(), len(self)]
        for low, high in pairwise(cuts):
            if high > low:
                yield self.table(low, high)

    def table(self, low: int, high: int) -> pa.Table:
        """The events from one number to before another."""
        part = chosen(self.rows, np.arange(low, high))
        posts = {"role": self.staff.role, "organisation": self.staff.organisation}
        return table_of(part, low, self.names, posts)


def simulate(accesses: int, seed: int = 1, cases: int = 12) -> Year:
    """About so many events in a year, with so many cases of every kind of snoop and as many of its
    look-alikes. About eight events for each person, a thousand for each member of staff.

    Requires: accesses of 20,000 or more.
    """
    rng = np.random.default_rng(seed)
    people = build_people(rng, max(2_500, accesses // 8))
    staff = build_staff(rng, max(170, accesses // 1_000), people)
    life = Life(rng, people, staff)
    looks = accesses / 1.14  # searches and mistakes come on top
    episodes, ties = build_episodes(rng, int(looks * 0.72 / 2.8), people, staff)
    parts = [life.episodes(episodes), *life.practices(int(looks * 0.22))]
    parts += [life.walk_ins(int(looks * 0.04)), *life.emergencies(max(20, accesses // 1_000))]
    parts += [life.claims(max(20, accesses // 1_200)), life.refusals(max(20, accesses // 120))]
    parts += [life.clerks_of_data()]
    ties = joined_ties([ties, *life.ties, life.registrations()])
    looked = joined(parts)
    planted = plant(rng, people, staff, ties, cases)
    rows = joined([_without(looked, planted), *planted.batches])
    ties = joined_ties([ties, *planted.ties])
    facts = facts_of(people, staff, ties, planted)
    names = {name: pa.array(texts) for name, texts in _names(people, staff).items()}
    return Year(rows, facts, _labels(rows, planted), people, staff, ties, names)


def _without(looked: Batch, planted: Planted) -> Batch:
    """What was done without that of accounts while they are planted as silent."""
    kept = np.ones(len(looked["at"]), np.bool_)
    for actor, since, until in planted.silent:
        days = looked["at"] // 86_400
        kept &= ~((looked["actor"] == actor) & (days >= since) & (days < until))
    return chosen(looked, kept)


# --- in names -----------------------------------------------------------------------------------


def _names(people: People, staff: Staff) -> dict[str, list[str]]:
    return {
        "actor": [f"ST{n:06d}" for n in range(len(staff))],
        "person": [f"P{n:09d}" for n in range(len(people))],
        "role": list(staff.roles),
        "team": [f"team {n}" for n in range(len(staff.team_first))],
    }


def _named(codes: Ints, texts: list[str]) -> npt.NDArray[np.object_]:
    return np.array([*texts, ""], object)[codes]


def facts_of(people: People, staff: Staff, ties: Ties, planted: Planted) -> Facts:
    """What detection is told beside the log."""
    names = _names(people, staff)
    codes = [o.code for o in ORGANISATIONS]
    person = np.array(names["person"], object)
    actor = np.array(names["actor"], object)
    family = np.char.add("family", people.family.astype(str)).astype(object)
    place = np.char.add("place", people.place.astype(str)).astype(object)
    postcode = np.char.add("post", people.postcode.astype(str)).astype(object)
    homes = pd.DataFrame({"person": person, "place": place, "postcode": postcode})
    has_own = staff.own >= 0
    tie_texts = {"person": names["person"], "organisation": codes, "team": names["team"],
                 "actor": names["actor"], "kind": list(KINDS)}  # fmt: skip
    dissenting = person[people.dissents]
    return Facts(
        people=pd.DataFrame(
            {"person": person, "died": people.died, "restricted": people.restricted,
             "watched": people.watched, "flagged": people.flagged}
        ),
        names=pd.DataFrame({"person": person, "family": family}),
        homes=homes,
        staff=pd.DataFrame(
            {"actor": actor, "organisation": _named(staff.organisation, codes),
             "role": _named(staff.role, names["role"]), "team": _named(staff.team, names["team"]),
             "start": staff.start, "end": staff.end, "rota": _named(staff.rota, list(ROTA_NAMES)),
             "family": np.char.add("family", staff.family.astype(str)).astype(object)}
        ),
        own=pd.DataFrame({"actor": actor[has_own], "person": person[staff.own[has_own]]}),
        ties=_tie_table(ties, tie_texts),
        wishes=pd.DataFrame(
            {"person": dissenting, "start": YEAR_START - 1_000, "end": OPEN_END}
        ),
        bonds=pd.DataFrame(planted.bonds, columns=["actor", "person"]).pipe(
            lambda t: pd.DataFrame({"actor": _named(t.actor.to_numpy(np.int64), names["actor"]),
                                    "person": _named(t.person.to_numpy(np.int64),
                                                     names["person"])})
        ),
        family_counts=pd.Series(family).value_counts(),
        place_people=homes.place.value_counts(),
        postcode_homes=homes.drop_duplicates("place").postcode.value_counts(),
        population=len(people),
    )  # fmt: skip


def _tie_table(ties: Ties, texts: Mapping[str, list[str]]) -> pd.DataFrame:
    """The ties by name, as categories: there are millions of them."""
    columns: dict[str, Any] = {"start": ties.start, "end": ties.end}
    for name, known in texts.items():
        codes = getattr(ties, name)
        placed: npt.NDArray[np.int32] = np.where(codes < 0, len(known), codes).astype(np.int32)
        columns[name] = pd.Categorical.from_codes(placed, pd.Index([*known, ""]))
    return pd.DataFrame(columns)


def _labels(rows: Batch, planted: Planted) -> pd.DataFrame:
    """The cases with the numbers of their events."""
    told = pd.DataFrame(planted.cases, columns=["case", "kind", "guilty", "actor", "person"])
    at = np.flatnonzero(rows["case"] >= 0)
    leaves = pd.Series(at).groupby(rows["case"][at]).agg(list)
    told["leaves"] = told.case.map(leaves)
    told["actor"] = [f"ST{n:06d}" for n in told.actor]
    told["person"] = [f"P{n:09d}" if n >= 0 else "" for n in told.person]
    return told
