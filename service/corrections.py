"""Putting published persons right by hand: split, merge, "wrong person", and who saw the mix.

Rules:
- Each writes decisions between records (service/decisions.py); the next link publishes them.
- Split: each record named steps apart from every record that stays. Merge: each record of the one
  is one person with each of the other, because a guard rail on any pair could hold them apart.
- "Wrong person" acts at once and against decisions too: every `same` between the source's records
  and the others is ended, and a review is asked for.
- A split or merge is written whole or not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import product
from typing import Any

from audit.events import AuditEvent, EventOutcome
from consent.commands import Action
from schemas.dates import Instant
from schemas.decisions import Decision, Origin, Standing, Verdict
from schemas.errors import InputError, NotFound
from schemas.identifiers import PersonId, SourceId
from service.access import event, permit
from service.acting import Acting, acting
from service.decisions import Desk, draft, draft_all, read, revoked
from service.looking import present_person
from service.ports import HeldRecord, Store

_BULK = frozenset({Action.PERSON_EXPORT.value})
"""Actions that show very many persons at once and name none."""


@dataclass(frozen=True)
class Viewer:
    """Who saw a person, doing what, how often, from when to when."""

    actor: str
    role: str
    purpose: str
    action: str
    times: int
    first: Instant
    last: Instant


@dataclass(frozen=True)
class Correction:
    """What was written.

    Attributes:
        persons: whom it is about.
        decisions: how many were written; ended: how many that stood against them were ended.
        awaits: why a second person must confirm it before it has an effect, '' if none must.
        viewers: who saw the mixed record ("wrong person" only); exports: bulk extracts since.
        mixed_since: from when the records were shown as one person.
    """

    persons: tuple[PersonId, ...]
    decisions: int
    first_decision: int
    ended: int = 0
    awaits: str = ""
    mixed_since: Instant | None = None
    viewers: tuple[Viewer, ...] = ()
    exports: tuple[Viewer, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """For a script."""
        return asdict(self)


def split(desk: Desk, asked: str, apart: Sequence[tuple[str, str]], reason: str) -> Correction:
    """The records named step apart from the rest of the person.

    Raises: NotPermitted, NotFound, InputError, NeedsDecision: it contradicts decisions.
    """
    permit(desk.actor, Action.PERSON_SPLIT, desk.store, desk.clock)
    person, records = _person(desk, Action.PERSON_SPLIT, asked)
    named = {(str(h.source), str(h.record.local_id)): h for h in records}
    if [name for name in apart if name not in named]:
        raise NotFound("--apart names a record that is not one of this person's")
    going = [named[name] for name in dict.fromkeys(apart)]
    staying = [h for h in records if h not in going]
    if not going or not staying:
        raise InputError("--apart: name at least one record of the person, and not all of them")
    return _write(desk, Action.PERSON_SPLIT, Origin.SPLIT, [person], going, staying, reason)


def merge(desk: Desk, one: str, two: str, reason: str) -> Correction:
    """Two persons are one.

    Raises: NotPermitted, NotFound, InputError, NeedsDecision: it contradicts decisions.
    """
    permit(desk.actor, Action.PERSON_MERGE, desk.store, desk.clock)
    first, ours = _person(desk, Action.PERSON_MERGE, one)
    second, theirs = _person(desk, Action.PERSON_MERGE, two)
    if first == second:
        raise InputError("both ids lead to the same person already")
    persons = sorted([first, second])
    return _write(desk, Action.PERSON_MERGE, Origin.MERGE, persons, ours, theirs, reason)


def _person(desk: Desk, action: Action, asked: str) -> tuple[PersonId, Sequence[HeldRecord]]:
    person = present_person(desk.store, desk.actor, action, asked, desk.clock)
    return person, desk.store.person_records(person)


def _write(
    desk: Desk,
    action: Action,
    origin: Origin,
    persons: Sequence[PersonId],
    ones: Sequence[HeldRecord],
    others: Sequence[HeldRecord],
    reason: str,
) -> Correction:
    """Decides every pair across two groups of records in one go."""
    verdict = Verdict.SAME if origin is Origin.MERGE else Verdict.DIFFERENT
    seen, decisions = read(desk.store, reason)
    now = acting(desk.store, decisions)
    new = draft_all(desk, now, list(product(ones, others)), verdict, reason, origin)
    noted = event(desk.actor, action, desk.clock, persons=persons, decisions=len(new))
    written = desk.store.write_decisions(seen, new, [], noted)
    first = written[0]
    return Correction(tuple(persons), len(written), first.decision_id, awaits=first.awaits)


def wrong(desk: Desk, asked: str, source: str, reason: str) -> Correction:
    """The source's records step apart from the rest of the person at once, pending review; tells
    who saw them together.

    Raises: NotPermitted, NotFound, InputError: no such records, or nothing else in the person.
    """
    permit(desk.actor, Action.PERSON_WRONG, desk.store, desk.clock)
    person, records = _person(desk, Action.PERSON_WRONG, asked)
    going = [h for h in records if h.source == SourceId(source)]
    staying = [h for h in records if h.source != SourceId(source)]
    if not going:
        raise NotFound(f"the person has no record of source {source!r}")
    if not staying:
        raise InputError(f"the person has records of {source!r} only; `person split` names records")
    seen, decisions = read(desk.store, reason)
    now = acting(desk.store, decisions)
    new, ended = _apart(desk, now, decisions, going, staying, reason)
    mixed = desk.store.shown_together(_ids(going), _ids(staying))
    since = min(mixed.values(), default=None)
    viewers, exports = who_saw(desk.store, mixed) if mixed else ((), ())
    noted = event(
        desk.actor, Action.PERSON_WRONG, desk.clock, persons=[person], source=source,
        decisions=len(new), ended=len(ended),
    )  # fmt: skip
    changed = [revoked(desk, d, "a wrong person was reported") for d in ended]
    written = desk.store.write_decisions(seen, new, changed, noted)
    first = written[0].decision_id if written else 0
    return Correction((person,), len(written), first, len(ended), "", since, viewers, exports)


def _apart(
    desk: Desk,
    now: Acting,
    decisions: Sequence[Decision],
    going: Sequence[HeldRecord],
    staying: Sequence[HeldRecord],
    reason: str,
) -> tuple[list[Decision], list[Decision]]:
    """The decisions to write, and those on the same pairs that they end."""
    pairs = {(h.record_id, s.record_id) for h, s in product(going, staying)}
    across = {tuple(sorted(pair)) for pair in pairs}
    ended = [
        d
        for d in decisions
        if d.pair in across
        and d.verdict is Verdict.SAME
        and d.standing in (Standing.LIVE, Standing.PENDING)
    ]
    apart = {d.pair for d in now.decisions if d.verdict is Verdict.DIFFERENT}
    new = []
    for here, there in product(going, staying):
        drafted = draft(desk, here, there, Verdict.DIFFERENT, reason, Origin.WRONG_PERSON)
        if drafted.pair not in apart:
            new.append(
                replace(
                    drafted,
                    standing=Standing.PROVISIONAL,
                    awaits="a wrong person was reported",
                    reported=here.record_id,
                )
            )
    return new, ended


def _ids(records: Iterable[HeldRecord]) -> set[int]:
    return {held.record_id for held in records}


def who_saw(
    store: Store, mixed: Mapping[PersonId, Instant]
) -> tuple[tuple[Viewer, ...], tuple[Viewer, ...]]:
    """Who saw a mixed record, and who took bulk extracts since it was first shown; each account,
    purpose and action once, the latest look first. Ids merged into a person count as the person.

    Args:
        mixed: the persons that showed it, those that have gone since included, and since when.
            At least one.
    """
    since = min(mixed.values())

    @cache
    def shown_from(asked: PersonId) -> Instant | None:
        leads_to = store.resolve(asked).person
        return mixed.get(asked) or (mixed.get(leads_to) if leads_to else None)

    def saw(seen: AuditEvent) -> bool:
        moments = map(shown_from, seen.persons)
        return any(moment is not None and seen.at >= moment for moment in moments)

    looks: list[AuditEvent] = []
    extracts: list[AuditEvent] = []
    for seen in store.events():
        if seen.at < since or seen.outcome is not EventOutcome.PERMITTED:
            continue
        if seen.action in _BULK:
            extracts.append(seen)
        elif saw(seen):
            looks.append(seen)
    return _viewers(looks), _viewers(extracts)


def _viewers(events: Iterable[AuditEvent]) -> tuple[Viewer, ...]:
    times: Counter[tuple[str, str, str, str]] = Counter()
    first: dict[tuple[str, str, str, str], Instant] = {}
    last: dict[tuple[str, str, str, str], Instant] = {}
    for one in events:
        key = one.actor, one.role, one.purpose, one.action
        times[key] += 1
        first.setdefault(key, one.at)
        last[key] = one.at
    found = [Viewer(*key, n, first[key], last[key]) for key, n in times.items()]
    return tuple(sorted(found, key=lambda v: (v.last, v.actor, v.action), reverse=True))
