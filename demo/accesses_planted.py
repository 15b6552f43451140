"""Planted snoops of every kind, and for each kind innocents who look alike. One function a kind.

Rules:
- A snoop acts within the shift unless the kind is about hours, and no tie explains what is opened
  unless the kind needs none; the look-alike has a reason, or only a coincidence.
- A case is labelled with its events; whose rule finds it is not the simulation's business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from demo.accesses_planter import MID_SHIFT, Planted, Planter
from demo.accesses_rows import (
    CLAIM,
    EXPORT,
    GLASS,
    HEADINGS,
    LOG,
    PURPOSES,
    SEARCH,
)
from demo.accesses_world import (
    OPEN_END,
    RESIDENTS,
    YEAR_DAYS,
    YEAR_START,
    People,
    Staff,
    Ties,
)

Ints = npt.NDArray[np.int64]


def plant(
    rng: np.random.Generator, people: People, staff: Staff, ties: Ties, cases: int
) -> Planted:
    """So many cases of every kind, guilty and innocent."""
    planter = Planter(rng, people, staff, ties)
    for kind, act in KINDS.items():
        for guilty in (True, False):
            for _ in range(cases):
                planter.begin(kind, guilty)
                act(planter, guilty)
    return planter.done()


# --- an actor and a person ----------------------------------------------------------------------


def _self(p: Planter, guilty: bool) -> None:
    actor = p.actor(own=True)
    purpose = 0 if guilty else PURPOSES.index("own-record")
    p.looked(actor, int(p.staff.own[actor]), guilty, purpose=purpose)


def _household(p: Planter, guilty: bool) -> None:
    """Look-alike: a stranger of the same building, in a home of many."""
    for actor in p.actors(own=True):
        own = p.staff.own[actor]
        if guilty and 2 <= p.household[own] <= 6:
            others = np.flatnonzero(p.people.place == p.people.place[own])
        elif not guilty:
            near = np.flatnonzero(p.people.postcode == p.people.postcode[own])
            others = near[p.people.place[near] != p.people.place[own]]
        else:
            continue
        others = others[others != own]
        if len(others):
            p.looked(actor, int(p.rng.choice(others)), guilty)
            return


def _surname(p: Planter, guilty: bool) -> None:
    """Look-alike: a Smith opens a Smith by mistake."""
    for actor in p.actors():
        family = p.staff.family[actor]
        bearers = p.bearers[family] if family < len(p.bearers) else 0
        rare = 2 <= bearers <= max(4, 0.0002 * len(p.people))
        if rare if guilty else bearers > 0.004 * len(p.people):
            among = np.flatnonzero(p.people.family == family)
            own = p.staff.own[actor]
            if own >= 0:
                among = among[p.people.place[among] != p.people.place[own]]
            person = p.stranger(actor, among)
            if person >= 0:
                p.act(actor, person, p.day())
                p.label(actor, person)
                return


def _colleague(p: Planter, guilty: bool) -> None:
    for actor in p.actors():
        team = np.flatnonzero((p.staff.team == p.staff.team[actor]) & (p.staff.own >= 0))
        team = team[team != actor]
        person = p.stranger(actor, p.staff.own[team]) if len(team) else -1
        if person >= 0:
            p.looked(actor, person, guilty)
            return


def _neighbour(p: Planter, guilty: bool) -> None:
    """Look-alike: two who live in one tower block."""
    for actor in p.actors(own=True):
        own = p.staff.own[actor]
        post = p.people.postcode[own]
        tower = p.homes[post] > 40
        if tower == guilty or p.household[own] == RESIDENTS:
            continue
        near = np.flatnonzero((p.people.postcode == post) & (p.people.place != p.people.place[own]))
        person = p.stranger(actor, near)
        if person >= 0:
            p.act(actor, person, p.day())
            p.label(actor, person)
            return


def _marked(p: Planter, guilty: bool, among: npt.NDArray[np.bool_], **more: Any) -> None:
    """A look at somebody who is marked; the look-alike cares for them."""
    actor = p.actor("nurse", "doctor", "receptionist", "social_worker", "physiotherapist")
    p.looked(actor, p.stranger(actor, np.flatnonzero(among)), guilty, **more)


def _watched(p: Planter, guilty: bool) -> None:
    _marked(p, guilty, p.people.watched)


def _restricted(p: Planter, guilty: bool) -> None:
    actor = p.actor("receptionist", "nurse", "call_handler")
    person = p.stranger(actor, np.flatnonzero(p.people.restricted))
    if person < 0:
        return
    day = p.day()
    if not guilty:
        p.tie(actor, person, day - 2, day + 30)
    p.act(actor, person, day, action=SEARCH, located=1, headings=0)
    p.act(actor, person, day, outcome=1 if guilty else 0)
    p.label(actor, person)


def _dissent(p: Planter, guilty: bool) -> None:
    _marked(p, guilty, p.people.dissents, purpose=PURPOSES.index("vital-interests"))


def _sealed(p: Planter, guilty: bool) -> None:
    _marked(p, guilty, p.people.died == OPEN_END, sealed=1)


def _sensitive(p: Planter, guilty: bool) -> None:
    _marked(p, guilty, p.people.died == OPEN_END, sensitive=1)


def _flagged(p: Planter, guilty: bool) -> None:
    _marked(p, guilty, p.people.flagged)


def _bond(p: Planter, guilty: bool) -> None:
    """Look-alike: a namesake of the one from whom the actor is barred."""
    actor = p.actor()
    person = p.stranger(actor)
    other = p.stranger(actor)
    p.planted.bonds.append((actor, person if guilty else other))
    p.looked(actor, person, guilty)


def _glass(p: Planter, guilty: bool) -> None:
    """Look-alike: the encounter comes in two days later."""
    actor = p.actor("doctor", "nurse", "gp", "paramedic")
    person, day = p.stranger(actor), p.day()
    p.act(actor, person, day, action=GLASS, reason=1, words=int(p.rng.integers(10**6, 10**9)))
    p.act(actor, person, day, glass=1, reason=1)
    if not guilty:
        p.tie(actor, person, day + 2, day + 90, kind=2)
    p.label(actor, person)


def _claim(p: Planter, guilty: bool) -> None:
    actor = p.actor("nurse", "social_worker", "doctor", "care_coordinator")
    person, day = p.stranger(actor), p.day()
    p.act(actor, person, day, action=CLAIM)
    p.act(actor, person, day)
    if not guilty:
        p.tie(actor, person, day + 1, day + 90, kind=4)
    p.label(actor, person)


def _after_death(p: Planter, guilty: bool) -> None:
    """Look-alike: care is written up in the weeks after."""
    actor, day = p.actor(), p.day()
    ago = day - p.people.died
    among = np.flatnonzero((ago > 120) if guilty else (ago > 5) & (ago < 60))
    person = p.stranger(actor, among)
    if person >= 0:
        p.act(actor, person, day)
        p.label(actor, person)


def _role(p: Planter, guilty: bool) -> None:
    """Look-alike: a social worker opens the same."""
    actor = p.actor("receptionist", "housing_officer") if guilty else p.actor("social_worker")
    opened = sum(1 << HEADINGS.index(h) for h in ("safeguarding", "assessment"))
    person = p.stranger(actor)
    for _ in range(2):
        p.act(actor, person, p.day(), headings=opened)
    p.label(actor, person)


def _reason(p: Planter, guilty: bool) -> None:
    actor = p.actor("receptionist", "physiotherapist") if guilty else p.actor("social_worker")
    person = p.stranger(actor)
    p.act(actor, person, p.day(), purpose=PURPOSES.index("safeguarding"))
    p.label(actor, person)


# --- an actor and a time ------------------------------------------------------------------------


def _hours(p: Planter, guilty: bool) -> None:
    """Look-alike: a night ward looks at its patients in the night."""
    nights = p.staff.rota == 3
    actor = next(a for a in p.actors() if bool(nights[a]) != guilty)
    day = p.day()
    for n, person in enumerate(p.strangers(actor, 6)):
        if not guilty:
            p.tie(actor, person, day - 1, day + 3, kind=1)
        p.act(actor, person, day, hour=25.0 + n / 10)
    p.label(actor)


def _leaver(p: Planter, guilty: bool) -> None:
    """Look-alike: the last week at work."""
    left = np.flatnonzero((p.staff.end < YEAR_START + YEAR_DAYS - 15) & (p.staff.rota < 4))
    actor = int(p.rng.choice(left))
    end = int(p.staff.end[actor])
    for n, person in enumerate(p.strangers(actor, 3)):
        p.act(actor, person, end + 5 if guilty else end - 1, hour=13 + n / 10)
    p.label(actor)


def _dormant(p: Planter, guilty: bool) -> None:
    """Look-alike: back from parental leave, to the own team's patients."""
    actor = p.actor()
    day = p.day(least=200)
    p.planted.silent.append((actor, day - 120, day))
    for n, person in enumerate(p.strangers(actor, 9)):
        if not guilty:
            p.tie(actor, person, day - 5, day + 30)
        p.act(actor, person, day, hour=MID_SHIFT[p.staff.rota[actor]] + n / 10)
    p.label(actor)


def _volume(p: Planter, guilty: bool) -> None:
    """Look-alike: a vaccination clinic."""
    actor, day = p.actor("nurse", "receptionist", "pharmacist", "gp"), p.day()
    for n, person in enumerate(p.strangers(actor, 70)):
        if not guilty:
            p.tie(actor, person, day - 14, day + 30)
        p.act(actor, person, day, hour=MID_SHIFT[p.staff.rota[actor]] + n / 25)
    p.label(actor)


def _browsing(p: Planter, guilty: bool) -> None:
    """Look-alike: a clerk at a walk-in desk opens half and registers nearly all."""
    actor, day = p.actor("receptionist", "call_handler", "nurse"), p.day()
    for n, person in enumerate(p.strangers(actor, 25)):
        hour = MID_SHIFT[p.staff.rota[actor]] + n / 12
        p.act(actor, person, day, hour=hour, action=SEARCH, headings=0)
        if not guilty:
            p.tie(actor, person, day + n % 2, day + 60)
        if not guilty and n % 2:
            p.act(actor, person, day, hour=hour + 0.05)
    p.label(actor)


def _shared(p: Planter, guilty: bool) -> None:
    """Look-alike: moved to another site once in the day."""
    actor, day = p.actor(), p.day()
    away = p.site(actor, int(p.staff.organisation[actor] + 1) % 17)
    for n, person in enumerate(p.strangers(actor, 6)):
        elsewhere = n % 2 if guilty else n > 2
        hour = MID_SHIFT[p.staff.rota[actor]] + n / 12 + (0 if guilty else 2 * (n > 2))
        p.tie(actor, person, day - 2, day + 3)
        p.act(actor, person, day, hour=hour, terminal=away if elsewhere else p.site(actor))
    p.label(actor)


def _export(p: Planter, guilty: bool) -> None:
    """Look-alike: the data team's extract for the quarter."""
    roles = ("doctor", "nurse", "team_manager") if guilty else ("data_team",)
    actor = p.actor(*roles)
    p.act(actor, -1, p.day(), action=EXPORT, headings=0, rows=20_000 if guilty else 6_000,
          purpose=PURPOSES.index("data-quality"))  # fmt: skip
    p.label(actor)


def _refusals(p: Planter, guilty: bool) -> None:
    """Look-alike: a ward whose admissions come in a day late."""
    actor, day = p.actor(), p.day()
    for n, person in enumerate(p.strangers(actor, 9)):
        if not guilty:
            p.tie(actor, person, day + 1, day + 20)
        p.act(actor, person, day, hour=MID_SHIFT[p.staff.rota[actor]] + n / 12, outcome=1)
    p.label(actor)


def _glass_repeated(p: Planter, guilty: bool) -> None:
    """Look-alike: a crew that types the same words for every call."""
    actor = p.actor("paramedic") if not guilty else p.actor("doctor", "nurse", "gp")
    day = p.day()
    for n, person in enumerate(p.strangers(actor, 5)):
        p.act(actor, person, day + 4 * n, action=GLASS, reason=0, words=actor)
        p.act(actor, person, day + 4 * n, glass=1, reason=0)
        if not guilty:
            p.tie(actor, person, day + 4 * n + 1, day + 90, kind=2)
    p.label(actor)


def _audit_export(p: Planter, guilty: bool) -> None:
    """Look-alike: the weekly reading on another day."""
    actor = p.actor("ig_officer")
    p.act(actor, -1, p.day(), action=LOG, headings=0, rows=30_000 if guilty else 300,
          purpose=PURPOSES.index("audit"))  # fmt: skip
    p.label(actor)


KINDS: dict[str, Callable[[Planter, bool], None]] = {
    "self": _self,
    "household": _household,
    "surname": _surname,
    "colleague": _colleague,
    "neighbour": _neighbour,
    "watched": _watched,
    "restricted": _restricted,
    "dissent": _dissent,
    "sealed": _sealed,
    "sensitive": _sensitive,
    "flagged": _flagged,
    "bond": _bond,
    "glass-unborne": _glass,
    "claim-unborne": _claim,
    "after-death": _after_death,
    "role": _role,
    "reason": _reason,
    "off-rota": _hours,
    "leaver": _leaver,
    "dormant": _dormant,
    "volume": _volume,
    "browsing": _browsing,
    "shared": _shared,
    "export": _export,
    "refusals": _refusals,
    "glass-repeated": _glass_repeated,
    "audit-export": _audit_export,
}
"""Kind of snoop → what it does, guilty or innocent."""
