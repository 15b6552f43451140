"""Draws who snoops at whom, and writes down what they do: the tools of `accesses_planted`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from demo.accesses_rows import DEFAULTS, ITEMS, SITES, Batch, batch, moment
from demo.accesses_world import OPEN_END, YEAR_DAYS, YEAR_START, People, Staff, Ties, tie_rows

Ints = npt.NDArray[np.int64]
MID_SHIFT = (13.0, 10.0, 17.0, 23.0, 14.0)
"""Hour in the middle of each rota's shift."""


@dataclass(eq=False)
class Planted:
    """What was planted.

    Attributes:
        cases: case, kind, guilty, actor, person (-1 where of nobody).
        bonds: actor and person who must not meet.
        silent: actor, since, until: days without any look.
    """

    batches: list[Batch] = field(default_factory=list)
    ties: list[Ties] = field(default_factory=list)
    cases: list[tuple[int, str, bool, int, int]] = field(default_factory=list)
    bonds: list[tuple[int, int]] = field(default_factory=list)
    silent: list[tuple[int, int, int]] = field(default_factory=list)


class Planter:
    """Draws actors and persons, and writes down what they do."""

    def __init__(self, rng: np.random.Generator, people: People, staff: Staff, ties: Ties) -> None:
        self.rng, self.people, self.staff = rng, people, staff
        self.planted = Planted()
        self._width = len(people) + 1
        self._tied = np.unique(ties.organisation * self._width + ties.person)
        size = np.bincount(people.place)
        self.household = size[people.place]
        self.homes = np.bincount(people.postcode[np.unique(people.place, return_index=True)[1]])
        self.bearers = np.bincount(people.family)
        whole = (staff.start <= YEAR_START) & (staff.end == OPEN_END)
        self.steady = np.flatnonzero(whole & (staff.rota < 4))
        self._case, self._kind, self._guilty = -1, "", False
        self._used: set[int] = set()
        self._acts: list[dict[str, Any]] = []

    def begin(self, kind: str, guilty: bool) -> None:
        """A new case."""
        self._case, self._kind, self._guilty = self._case + 1, kind, guilty

    def done(self) -> Planted:
        """What was planted, the looks as one batch."""
        names = {name for act in self._acts for name in act} - {"day", "hour"}
        columns = {
            name: np.array([act.get(name, DEFAULTS[name]) for act in self._acts]) for name in names
        }
        day, hour = (np.array([act[name] for act in self._acts]) for name in ("day", "hour"))
        self.planted.batches.append(batch(at=moment(day, hour), **columns))
        return self.planted

    def label(self, actor: int, person: int = -1) -> None:
        """Whose case it is."""
        self.planted.cases.append((self._case, self._kind, self._guilty, actor, person))

    # --- drawing ----------------------------------------------------------------------------
    def actors(self, *roles: str, own: bool = False) -> Iterator[int]:
        """Steady members of staff in a drawn order, unused ones first."""
        who = self.steady
        if roles:
            who = who[self.staff.role_is(*roles)[who]]
        if own:
            who = who[self.staff.own[who] >= 0]
        order = self.rng.permutation(who).tolist()
        yield from sorted(order, key=lambda actor: actor in self._used)

    def actor(self, *roles: str, own: bool = False) -> int:
        """One of them."""
        found = next(self.actors(*roles, own=own))
        self._used.add(found)
        return found

    def tied(self, actor: int, person: int) -> bool:
        """Whether the actor's organisation has to do with the person at any time."""
        key = int(self.staff.organisation[actor]) * self._width + person
        at = int(np.searchsorted(self._tied, key))
        return at < len(self._tied) and bool(self._tied[at] == key)

    def stranger(self, actor: int, among: Ints | None = None) -> int:
        """A living person whom nothing ties to the actor's organisation; -1: there is none."""
        drawn = self.rng.permutation(among) if among is not None else iter(self._anybody, -1)
        alive = (int(p) for p in drawn if among is not None or self.people.died[p] == OPEN_END)
        own = self.staff.own[actor]
        return next((p for p in alive if p != own and not self.tied(actor, p)), -1)

    def _anybody(self) -> int:
        return int(self.rng.integers(0, len(self.people)))

    def strangers(self, actor: int, count: int) -> list[int]:
        """So many."""
        return list(islice((self.stranger(actor) for _ in range(10 * count)), count))

    def day(self, *, least: int = 10, most: int = YEAR_DAYS - 40) -> int:
        """A Tuesday, Wednesday or Thursday of the year."""
        drawn = YEAR_START + int(self.rng.integers(least, most))
        return drawn - (drawn + 3) % 7 + 1 + int(self.rng.integers(0, 3))

    # --- acting -----------------------------------------------------------------------------
    def act(
        self, actor: int, person: int, day: int, hour: float | None = None, **more: Any
    ) -> None:
        """A look, mid-shift if no hour is named; `more` are columns of `accesses_rows`."""
        rota = int(self.staff.rota[actor])
        at = MID_SHIFT[rota] + self.rng.random() * 2 if hour is None else hour
        named = {"action": ITEMS, "headings": 1, "terminal": self.site(actor)} | more
        self._acts.append({"day": day, "hour": at, "actor": actor, "person": person,
                           "case": self._case, **named})  # fmt: skip

    def site(self, actor: int, organisation: int | None = None) -> int:
        """The terminal that the actor mostly uses, there or at another organisation."""
        house = int(self.staff.organisation[actor]) if organisation is None else organisation
        return house * SITES + actor % SITES

    def tie(self, actor: int, person: int, start: int, end: int, *, kind: int = 3) -> None:
        """The actor's team has to do with the person."""
        self.planted.ties.append(
            tie_rows(person=person, organisation=self.staff.organisation[actor],
                     team=self.staff.team[actor], actor=-1, kind=kind, start=start, end=end)
        )  # fmt: skip

    def looked(self, actor: int, person: int, guilty: bool, **more: Any) -> None:
        """The common case: one look or two of days in a row, explained if innocent."""
        if person < 0:
            return
        day = self.day()
        if not guilty:
            self.tie(actor, person, day - 2, day + 30)
        for n in range(int(self.rng.integers(1, 3))):
            self.act(actor, person, day + n, **more)
        self.label(actor, person)
