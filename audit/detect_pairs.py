"""Signals of an actor and a person: one function a rule, each a mask over the accesses.

Rules:
- Who is whose kin, neighbour or colleague is joined from the facts, not looked up by access.
- A function says what it sees; whether an explanation excuses it, `detect` decides by the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit.detect_explain import Explained
from audit.detect_facts import CLASS, NOBODY, PERMITTED, REFUSED, Accesses, Facts, Mask, Vocabulary
from audit.detect_levels import NONE
from audit.detect_rules import ROTAS, RULES

LEAST_HABIT = 1_000
"""Looks of a role from which on it is known what it hardly ever does."""
FEW_BEARERS = 4
"""A name of so few is rare however small the partnership is."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What a rule may look at.

    Attributes:
        habits: what each role does, the days before included: role, what (`looks`, `heading NAME`,
            `purpose NAME`), count.
    """

    rows: Accesses
    facts: Facts
    words: Vocabulary
    explained: Explained
    habits: pd.DataFrame


def _among(scene: Scene, pairs: pd.DataFrame) -> Mask:
    """The looks whose actor and person stand side by side in a table of names."""
    width = len(scene.words.persons) + 1
    actor, person = scene.words.actors.codes(pairs.actor), scene.words.persons.codes(pairs.person)
    keys = np.unique((actor.astype(np.int64) * width + person)[(actor >= 0) & (person >= 0)])
    rows = scene.rows
    asked = rows.actor.astype(np.int64) * width + rows.person
    at = np.searchsorted(keys, asked)
    found = np.zeros(len(rows), np.bool_)
    if len(keys):
        found = keys[np.minimum(at, len(keys) - 1)] == asked
    return found & rows.opens


def _of_person(scene: Scene, marked: pd.Series[bool]) -> Mask:
    """The accesses to persons that are marked in `facts.people`."""
    codes = scene.words.persons.codes(scene.facts.people.person[marked.to_numpy(bool)])
    known = np.zeros(len(scene.words.persons) + 1, np.bool_)
    known[codes] = True
    known[-1] = False  # the place of NOBODY
    return np.asarray(known[scene.rows.person], np.bool_)


def unexplained(scene: Scene) -> Mask:
    """Looks that no tie explains."""
    return np.asarray(scene.rows.opens & (scene.explained.level == NONE), np.bool_)


def own_record(scene: Scene) -> Mask:
    """Looks at the own record, other than by the person's own way in."""
    own_way = scene.rows.purpose == scene.words.purposes.code("own-record")
    return np.asarray(_among(scene, scene.facts.own) & ~own_way, np.bool_)


def own_homes(facts: Facts) -> pd.DataFrame:
    """actor, own, place, postcode: where members of staff live."""
    return facts.own.rename(columns={"person": "own"}).merge(
        facts.homes.rename(columns={"person": "own"}), on="own"
    )


def household(scene: Scene) -> Mask:
    """Looks at those who live at one address with the actor."""
    facts = scene.facts
    people = facts.place_people
    small = people.index[people <= RULES["household"].threshold]
    mine = own_homes(facts)
    mine = mine[mine.place.isin(small)][["actor", "own", "place"]]
    pairs = mine.merge(facts.homes[["person", "place"]], on="place")
    return _among(scene, pairs[pairs.own != pairs.person])


def neighbour(scene: Scene) -> Mask:
    """Looks at those who live at another address of the actor's postcode."""
    facts = scene.facts
    homes = facts.postcode_homes
    small = homes.index[(homes <= RULES["neighbour"].threshold) & (homes.index != "")]
    mine = own_homes(facts)
    mine = mine[mine.postcode.isin(small)].rename(columns={"place": "own_place"})
    near = mine.merge(facts.homes, on="postcode")
    return _among(scene, near[(near.place != near.own_place) & (near.person != near.own)])


def surname(scene: Scene) -> Mask:
    """Looks at those who bear the actor's rare family name."""
    facts = scene.facts
    most = max(FEW_BEARERS, RULES["surname"].threshold * facts.population)
    counts = facts.family_counts
    rare = counts.index[(counts <= most) & (counts.index != "")]
    mine = facts.staff.loc[facts.staff.family.isin(rare), ["actor", "family"]]
    pairs = mine.merge(facts.names[facts.names.family.isin(rare)], on="family")
    return np.asarray(_among(scene, pairs) & ~_among(scene, facts.own), np.bool_)


def colleague(scene: Scene) -> Mask:
    """Looks at those who work in the actor's team."""
    staff = scene.facts.staff
    posts = staff.loc[staff.team != "", ["actor", "organisation", "team"]]
    others = posts.merge(scene.facts.own, on="actor").rename(columns={"actor": "other"})
    pairs = posts.merge(others, on=["organisation", "team"])
    return _among(scene, pairs[pairs.actor != pairs.other])


def bond(scene: Scene) -> Mask:
    """Looks at those from whom the actor is barred."""
    return _among(scene, scene.facts.bonds)


def watched(scene: Scene) -> Mask:
    """Looks at persons on the watch list."""
    return scene.rows.opens & _of_person(scene, scene.facts.people.watched)


def flagged(scene: Scene) -> Mask:
    """Looks at persons with a safeguarding flag, other than for safeguarding."""
    meant = scene.rows.purpose == scene.words.purposes.code("safeguarding")
    seen = scene.rows.opens & ~meant & _of_person(scene, scene.facts.people.flagged)
    return np.asarray(seen, np.bool_)


def restricted(scene: Scene) -> Mask:
    """Searches by address that come upon a restricted person, and looks at one turned away."""
    rows = scene.rows
    searched = (rows.kind == CLASS["search"]) & (rows.located | rows.escalate)
    tried = rows.opens & ((rows.outcome == REFUSED) | rows.escalate)
    seen = (searched | tried) & _of_person(scene, scene.facts.people.restricted)
    return np.asarray(seen, np.bool_)


def dissent(scene: Scene) -> Mask:
    """Records opened on days on which the person does not wish it."""
    rows, wishes = scene.rows, scene.facts.wishes
    opened = rows.opens & (rows.outcome == PERMITTED)
    held = pd.DataFrame(
        {
            "person": scene.words.persons.codes(wishes.person),
            "start": wishes.start.to_numpy(np.int64), "end": wishes.end.to_numpy(np.int64),
        }
    )  # fmt: skip
    held = held[held.person != NOBODY]
    looked = np.flatnonzero(opened & np.isin(rows.person, held.person.to_numpy()))
    asked = pd.DataFrame({"row": looked, "person": rows.person[looked], "day": rows.day[looked]})
    both = asked.merge(held, on="person")
    found = np.zeros(len(rows), np.bool_)
    found[both.row[(both.start <= both.day) & (both.day <= both.end)].to_numpy()] = True
    return found


def sealed(scene: Scene) -> Mask:
    """Looks that showed what was sealed."""
    return scene.rows.opens & scene.rows.sealed


def sensitive(scene: Scene) -> Mask:
    """Looks that showed another organisation's sensitive data."""
    return scene.rows.opens & scene.rows.sensitive


def glass(scene: Scene) -> Mask:
    """Broken glasses, and looks through them."""
    rows = scene.rows
    declared = rows.action == scene.words.actions.code("break-glass")
    seen = declared | (rows.opens & rows.glass)
    return np.asarray(seen & (rows.outcome == PERMITTED) & (rows.person >= 0), np.bool_)


def claim(scene: Scene) -> Mask:
    """Claims to be caring for the person."""
    rows = scene.rows
    declared = rows.action == scene.words.actions.code("claim")
    return np.asarray(declared & (rows.outcome == PERMITTED) & (rows.person >= 0), np.bool_)


def after_death(scene: Scene) -> Mask:
    """Looks long after a death."""
    people = scene.facts.people
    died = np.full(len(scene.words.persons) + 1, np.iinfo(np.int32).max // 2, np.int64)
    died[scene.words.persons.codes(people.person)] = people.died.to_numpy(np.int64)
    died[-1] = np.iinfo(np.int32).max // 2
    rows = scene.rows
    return rows.opens & (rows.day > died[rows.person] + RULES["after-death"].threshold)


def rota_of(scene: Scene) -> np.ndarray:
    """Actor code → index of their rota in `ROTAS`, -1 where nothing is known."""
    names = list(ROTAS)
    found = np.full(len(scene.words.actors) + 1, -1, np.int8)
    staff = scene.facts.staff
    rota = pd.Categorical(staff.rota, categories=names).codes
    found[scene.words.actors.codes(staff.actor)] = rota
    found[-1] = -1
    return found


def hours(scene: Scene) -> Mask:
    """Looks outside the hours of the actor's rota."""
    rows, slack = scene.rows, RULES["hours"].threshold
    rota = rota_of(scene)[rows.actor]
    off = np.zeros(len(rows), np.bool_)
    for n, shift in enumerate(ROTAS.values()):
        since, until = shift.since - slack, shift.until + slack
        if shift.since < shift.until:
            within = (rows.hour >= since) & (rows.hour <= until) & (rows.weekday < shift.days)
        else:
            within = (rows.hour >= since) | (rows.hour <= until)
        off |= (rota == n) & ~within
    return off & rows.opens


def habits_of(scene_rows: Accesses, words: Vocabulary) -> pd.DataFrame:
    """What each role did in these accesses: see `Scene`."""
    rows = scene_rows
    looks = rows.opens & (rows.role != NOBODY)
    found = []
    size = len(words.roles)

    def add(what: str, where: Mask) -> None:
        counts = np.bincount(rows.role[where], minlength=size)
        found.append(pd.DataFrame({"role": words.roles.list, "what": what, "count": counts}))

    add("looks", looks)
    for n, name in enumerate(words.headings.list[:62]):
        add(f"heading {name}", looks & ((rows.headings >> n) & 1).astype(np.bool_))
    for n, name in enumerate(words.purposes.list):
        add(f"purpose {name}", looks & (rows.purpose == n))
    habits = pd.concat(found, ignore_index=True)
    return habits[habits["count"] > 0].reset_index(drop=True)


def _hardly(scene: Scene, rule: str, what: str) -> Mask:
    """Role code → whether the role, of which enough is known, hardly ever does so."""
    habits = scene.habits
    size = len(scene.words.roles) + 1
    counts = {}
    for name in ("looks", what):
        part = habits[habits.what == name]
        counts[name] = np.zeros(size)
        np.add.at(counts[name], scene.words.roles.codes(part.role), part["count"].to_numpy())
    known = counts["looks"] >= LEAST_HABIT
    known[-1] = False
    return known & (counts[what] < RULES[rule].threshold * counts["looks"])


def role(scene: Scene) -> Mask:
    """Looks at headings that the actor's role hardly ever opens."""
    rows, found = scene.rows, np.zeros(len(scene.rows), np.bool_)
    for n, name in enumerate(scene.words.headings.list[:62]):
        opened = ((rows.headings >> n) & 1).astype(np.bool_)
        found |= opened & _hardly(scene, "role", f"heading {name}")[rows.role]
    return found & rows.opens


def reason(scene: Scene) -> Mask:
    """Looks for a purpose that the actor's role hardly ever gives."""
    rows, found = scene.rows, np.zeros(len(scene.rows), np.bool_)
    for n, name in enumerate(scene.words.purposes.list):
        found |= (rows.purpose == n) & _hardly(scene, "reason", f"purpose {name}")[rows.role]
    return found & rows.opens


PAIR_RULES: dict[str, Callable[[Scene], Mask]] = {
    "unexplained": unexplained,
    "self": own_record,
    "household": household,
    "surname": surname,
    "colleague": colleague,
    "neighbour": neighbour,
    "watched": watched,
    "restricted": restricted,
    "dissent": dissent,
    "sealed": sealed,
    "sensitive": sensitive,
    "glass-unborne": glass,
    "claim-unborne": claim,
    "bond": bond,
    "flagged": flagged,
    "hours": hours,
    "after-death": after_death,
    "role": role,
    "reason": reason,
}
"""Rule of the scope `PAIR` → what it sees."""
LATER_RULES = frozenset({"glass-unborne", "claim-unborne", "restricted", "dissent"})
"""Rules that a tie excuses which began a little later, too."""
