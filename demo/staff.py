"""The staff directory: who works where, as what, in which team and rota, from when to when.

Rules:
- Every organisation has the roles of its kind (`ROLES`); about one member of staff per hundred
  people of the population, and at least one in every role.
- Some start after the extract date, some have left: the directory says so by dates alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from demo.families import forenames_of, surnames_of
from demo.households import EXTRACT_DAY, YEAR
from demo.names import CUSTOM, Texts
from demo.partnership import ORGANISATIONS
from demo.records import iso_days

ROLES: dict[str, tuple[str, ...]] = {
    "council": ("social_worker", "team_manager", "safeguarding_lead", "occupational_therapist",
                "ig_officer", "data_team", "early_help_worker"),
    "acute": ("doctor", "nurse", "pharmacist", "receptionist", "ig_officer", "data_team"),
    "ambulance": ("paramedic", "control_room", "ig_officer"),
    "mental_health": ("psychiatrist", "nurse", "care_coordinator", "ig_officer"),
    "community": ("nurse", "health_visitor", "physiotherapist", "ig_officer"),
    "sexual_health": ("doctor", "nurse", "receptionist"),
    "general_practice": ("gp", "nurse", "receptionist", "practice_manager"),
    "out_of_hours": ("gp", "call_handler"),
    "hospice": ("doctor", "nurse", "volunteer_coordinator"),
    "voluntary": ("housing_officer", "support_worker"),
}  # fmt: skip
"""Kind of organisation → roles."""
_TEAMS = ("North", "South", "East", "West", "Central", "Duty")
_ROTAS = ("weekdays", "early", "late", "nights", "bank")
_CLINICAL = frozenset({"doctor", "gp", "psychiatrist"})


@dataclass(frozen=True, eq=False)
class Staff:
    """The directory, as columns. Dates are ISO, `end` empty where none is set."""

    staff_id: Texts
    organisation: Texts
    role: Texts
    name: Texts
    team: Texts
    start: Texts
    end: Texts
    rota: Texts

    def __len__(self) -> int:
        return len(self.staff_id)

    def authors(self, organisations: tuple[str, ...]) -> Texts:
        """Names of those who work or worked at these organisations."""
        return self.name[np.isin(self.organisation.astype(str), organisations)]


def build_staff(rng: np.random.Generator, people: int) -> Staff:
    """The directory for a population of this size."""
    posts = [(o.code, role) for o in ORGANISATIONS for role in ROLES[o.kind]]
    extra = max(0, people // 100 - len(posts))
    drawn = rng.integers(0, len(posts), size=extra).tolist()
    posts += [posts[n] for n in drawn]
    n = len(posts)
    customs = list(CUSTOM.values())
    custom = np.array(customs, dtype=np.int32)[
        np.where(rng.random(n) < 0.65, 0, rng.integers(0, len(customs), size=n))
    ]
    female = rng.random(n) < 0.72
    birth = (EXTRACT_DAY - rng.uniform(23, 64, size=n) * YEAR).astype(np.int32)
    given = forenames_of(rng, custom, female, birth)
    family = surnames_of(rng, custom, female)
    role = np.array([role for _, role in posts], dtype=object)
    title = np.array(["Dr " if r in _CLINICAL else "" for r in role], dtype=object)
    start = (EXTRACT_DAY - rng.exponential(4.0, size=n) * YEAR).astype(np.int32)
    joining = rng.random(n) < 0.01
    start[joining] = EXTRACT_DAY + rng.integers(1, 60, size=int(joining.sum()))
    leaves = ~joining & (rng.random(n) < 0.12)
    end = np.maximum(start + 30, EXTRACT_DAY + rng.integers(-400, 60, size=n))
    team = np.array(_TEAMS, dtype=object)[rng.integers(0, len(_TEAMS), size=n)]
    return Staff(
        staff_id=np.array([f"ST{i:06d}" for i in range(1, n + 1)], dtype=object),
        organisation=np.array([code for code, _ in posts], dtype=object),
        role=role, name=title + given + " " + family, team=team,
        start=iso_days(start),
        end=np.where(leaves, iso_days(end.astype(np.int32)), "").astype(object),
        rota=np.array(_ROTAS, dtype=object)[rng.integers(0, len(_ROTAS), size=n)],
    )  # fmt: skip
