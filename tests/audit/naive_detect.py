"""Detection the slow way, event by event from the words of the rules: a reference for tests."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa

from audit.detect_facts import EVENT_SCHEMA, NEVER, Facts, empty
from audit.detect_rules import ROTAS, RULES

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONDON = ZoneInfo("Europe/London")
OPENING = {"read", "everything", "items", "item"}


@dataclass
class Event:
    """One event, as the tests write it."""

    at: datetime
    actor: str
    persons: tuple[str, ...] = ()
    action: str = "items"
    outcome: str = "permitted"
    role: str = "nurse"
    purpose: str = "direct-care"
    organisation: str = "ORG1"
    details: dict[str, Any] = field(default_factory=dict)
    leaf: int = -1

    @property
    def day(self) -> int:
        return (self.at - EPOCH).days

    @property
    def opens(self) -> bool:
        return self.action in OPENING and self.outcome != "failed"


def table(events: list[Event]) -> pa.Table:
    """The events as the log gives them; numbers them."""
    for n, one in enumerate(events):
        one.leaf = n
    return pa.table(
        {
            "leaf": [e.leaf for e in events],
            "at": pa.array([e.at.replace(tzinfo=None) for e in events], pa.timestamp("us")),
            "action": [e.action for e in events], "outcome": [e.outcome for e in events],
            "actor": [e.actor for e in events], "role": [e.role for e in events],
            "purpose": [e.purpose for e in events],
            "organisation": [e.organisation for e in events],
            "persons": [list(e.persons) for e in events],
            "details": [json.dumps(e.details) for e in events],
        },
        schema=EVENT_SCHEMA,
    )  # fmt: skip


def frame(name: str, rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    """A table of facts."""
    whole = empty(name)
    return pd.DataFrame(rows, columns=whole.columns).astype(whole.dtypes) if rows else whole


def facts_of(**tables: list[tuple[Any, ...]]) -> Facts:
    """Facts with the counts that follow from the rows."""
    made = {name: frame(name, rows) for name, rows in tables.items()}
    names, homes = made.get("names", empty("names")), made.get("homes", empty("homes"))
    return Facts(
        **made,
        family_counts=names.family.value_counts(),
        place_people=homes.place.value_counts(),
        postcode_homes=homes.drop_duplicates("place").postcode.value_counts(),
        population=len(made.get("people", ())),
    )


class Naive:
    """The rules one event at a time."""

    def __init__(self, facts: Facts, events: list[Event]) -> None:
        self.facts, self.events = facts, events
        rows = {n: list(getattr(facts, n).itertuples(index=False)) for n in
                ("people", "homes", "names", "staff", "own", "ties", "wishes",
                 "bonds")}  # fmt: skip
        self.rows = rows
        self.own: dict[str, set[str]] = defaultdict(set)
        for actor, person in rows["own"]:
            self.own[actor].add(person)
        self.staff = {one.actor: one for one in rows["staff"]}
        self.home: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for person, place, postcode in rows["homes"]:
            self.home[person].add((place, postcode))
        self.family: dict[str, set[str]] = defaultdict(set)
        for person, family in rows["names"]:
            self.family[person].add(family)

    # --- explanations -----------------------------------------------------------------------
    def plain_level(self, e: Event, person: str, later: int = 0) -> int:
        team = e.details.get("team") or (self.staff[e.actor].team if e.actor in self.staff else "")
        best = 0
        for tie in self.rows["ties"]:
            if tie.kind == "claimed" or (tie.person, tie.organisation) != (person, e.organisation):
                continue
            if not tie.start <= e.day + later or not e.day <= tie.end:
                continue
            if tie.actor == e.actor or (not tie.actor and tie.team and tie.team == team):
                best = max(best, 3)
            elif not tie.actor and not tie.team and tie.kind != "registration":
                best = max(best, 2)
            else:
                best = max(best, 1)
        return best

    def level(self, e: Event, person: str, later: int = 0) -> int:
        best = self.plain_level(e, person, later)
        duty = {"data-quality": {"data_team", "operator"}, "audit": {"ig_officer",
                "privacy_officer"}, "own-record": {"person", "proxy"}}  # fmt: skip
        if e.role in duty.get(e.purpose, ()):
            best = max(best, 1)
        return max(best, 1) if self.slip(e, person) else best

    def slip(self, e: Event, person: str) -> bool:
        if not e.opens or self.plain_level(e, person) > 0:
            return False
        mine = [(x, p) for x in self.events if x.opens and x.actor == e.actor for p in x.persons]
        mine.sort(key=lambda one: (one[0].at, one[0].leaf))
        at = next(n for n, (x, p) in enumerate(mine) if x is e and p == person)
        if at + 1 == len(mine):
            return False
        then, other = mine[at + 1]
        near = (then.at - e.at).total_seconds() <= 120
        same = bool(self.family[person] & self.family[other])
        return near and same and person != other and self.plain_level(then, other) >= 2

    # --- rules of pairs ---------------------------------------------------------------------
    def sees(self, rule: str, e: Event, person: str) -> bool:
        known = {one.person: one for one in self.rows["people"]}
        about = known.get(person)
        match rule:
            case "unexplained":
                return e.opens and self.level(e, person) == 0
            case "self":
                return e.opens and person in self.own[e.actor] and e.purpose != "own-record"
            case "household" | "neighbour":
                return e.opens and self._near(rule, e.actor, person)
            case "surname":
                return e.opens and self._namesake(e.actor, person)
            case "colleague":
                return e.opens and self._colleague(e.actor, person)
            case "bond":
                return e.opens and (e.actor, person) in {tuple(b) for b in self.rows["bonds"]}
            case "watched":
                return e.opens and about is not None and about.watched
            case "flagged":
                return (e.opens and about is not None and about.flagged
                        and e.purpose != "safeguarding")  # fmt: skip
            case "restricted":
                searched = e.action == "search" and bool(
                    e.details.get("located") or e.details.get("escalate")
                )
                tried = e.opens and (e.outcome == "refused" or bool(e.details.get("escalate")))
                return (searched or tried) and about is not None and about.restricted
            case "dissent":
                wishes = [w for w in self.rows["wishes"] if w.person == person]
                stands = any(w.start <= e.day <= w.end for w in wishes)
                return e.opens and e.outcome == "permitted" and stands
            case "sealed" | "sensitive":
                return e.opens and bool(e.details.get(rule))
            case "glass-unborne":
                declared = e.action == "break-glass"
                through = e.opens and bool(e.details.get("break_glass"))
                return (declared or through) and e.outcome == "permitted"
            case "claim-unborne":
                return e.action == "claim" and e.outcome == "permitted"
            case "hours":
                return e.opens and self.off(e)
            case "after-death":
                died = about.died if about is not None else NEVER
                return e.opens and e.day > died + RULES[rule].threshold
        raise AssertionError(rule)

    def _near(self, rule: str, actor: str, person: str) -> bool:
        for own in self.own[actor] - {person}:
            for place, postcode in self.home[own]:
                for other, code in self.home[person]:
                    people = self.facts.place_people[other]
                    if rule == "household" and other == place and people <= 12:
                        return True
                    homes = self.facts.postcode_homes[code]
                    if rule == "neighbour" and code == postcode and other != place and homes <= 40:
                        return True
        return False

    def _namesake(self, actor: str, person: str) -> bool:
        if actor not in self.staff or person in self.own[actor]:
            return False
        family = self.staff[actor].family
        counts = self.facts.family_counts
        rare = family in counts and counts[family] <= max(4, 0.0002 * self.facts.population)
        return bool(family) and rare and family in self.family[person]

    def _colleague(self, actor: str, person: str) -> bool:
        mine = self.staff.get(actor)
        return mine is not None and bool(mine.team) and any(
            other != actor and person in self.own[other]
            and (one.organisation, one.team) == (mine.organisation, mine.team)
            for other, one in self.staff.items()
        )  # fmt: skip

    def off(self, e: Event) -> bool:
        rota = self.staff[e.actor].rota if e.actor in self.staff else ""
        if rota not in ROTAS:
            return False
        shift, local = ROTAS[rota], e.at.astimezone(LONDON)
        hour = local.hour + local.minute / 60
        since, until = shift.since - 1.5, shift.until + 1.5
        if shift.since > shift.until:
            return not (hour >= since or hour <= until)
        return not (since <= hour <= until and local.weekday() < shift.days)

    # --- rules of periods -------------------------------------------------------------------
    def days(self, rule: str) -> set[tuple[str, int]]:
        """Actor and day on which the rule speaks."""
        by_day: dict[tuple[str, int], set[Any]] = defaultdict(set)
        for e in self.events:
            for person in e.persons:
                self._count(rule, by_day, e, person)
        least = {"off-rota": 3, "refusals": 5, "leaver": 1}
        return {key for key, found in by_day.items() if len(found) >= least[rule]}

    def _count(self, rule: str, by_day: dict[Any, set[Any]], e: Event, person: str) -> None:
        match rule:
            case "off-rota":
                hit = e.opens and self.off(e) and self.level(e, person) == 0
            case "refusals":
                hit = e.opens and e.outcome == "refused" and self.level(e, person, 3) == 0
            case _:
                one = self.staff.get(e.actor)
                hit = e.opens and one is not None and not one.start <= e.day <= one.end
        if hit:
            by_day[e.actor, e.day].add(person)

    def moves(self) -> set[tuple[str, int]]:
        """Actor and day with two changes of terminal or more, each within ten minutes."""
        counts: dict[tuple[str, int], int] = defaultdict(int)
        last: dict[str, Event] = {}
        for e in sorted(self.events, key=lambda one: one.at):
            if "terminal" not in e.details:
                continue
            before = last.get(e.actor)
            quick = before is not None and e.at - before.at <= timedelta(minutes=10)
            if before is not None and quick and before.details != e.details:
                counts[e.actor, e.day] += 1
            last[e.actor] = e
        return {key for key, n in counts.items() if n >= 2}
