"""How long the audit log's events are kept: what is due, erased, held.

Rules:
- Each class of event has its time (settings [audit]); a hold outranks every time.
- Permitted and written down like every other use of the log; that something is erased is told by
  events of its own (`audit-erase`), which name the leaves.
- A hold's reason is kept sealed with the hold. The ids of the persons that holds name are opaque.
- A hold names a person whom somebody knows (service/audit_persons.py): one on a misspelt id would
  keep nothing. Holds on who is hidden from an actor are not there for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from audit.actions import EventClass
from audit.events import AUDIT_ERASE
from consent.commands import Action
from schemas.dates import Clock, Instant, to_instant
from schemas.errors import InputError, NotFound
from schemas.settings_audit import AuditSettings
from service.access import Actor, event, failure_recorded, permit, record
from service.audit_persons import EventsOfPersons, hidden_from, person_of_log
from service.audit_ports import Due, Hold, Shredded


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """What was due, and what was erased of it; None: it was only asked about."""

    due: Sequence[Due]
    done: Shredded | None


def cutoffs(settings: AuditSettings, now: Instant) -> Mapping[EventClass, Instant]:
    """Class → the moment before which its events are over their time."""
    here = datetime.fromisoformat(now)
    return {
        one: to_instant(here - timedelta(days=settings.kept_days(one.value))) for one in EventClass
    }


def retention(
    store: EventsOfPersons, actor: Actor, settings: AuditSettings, clock: Clock, *, apply: bool
) -> Retention:
    """What is over its time, and with `apply` its erasure. Raises: NotPermitted; StoreError."""
    action = Action.AUDIT_RETENTION
    permit(actor, action, store, clock)
    now = clock()
    before = cutoffs(settings, now)
    due = store.due_events(before)
    over, on_hold = sum(one.due for one in due), sum(one.held for one in due)
    record(actor, action, store, clock, applied=apply, due=over, on_hold=on_hold)
    if not apply:
        return Retention(due=due, done=None)
    with failure_recorded(actor, action, store, clock):
        done = store.shred_events(before, event(actor, AUDIT_ERASE, clock), now)
    return Retention(due=due, done=done)


def add_hold(
    store: EventsOfPersons,
    actor: Actor,
    clock: Clock,
    reason: str,
    *,
    person: str | None = None,
    about: str | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
) -> Hold:
    """Lays a hold down on events about a person, of an actor (`about`), of a span of time, or what
    meets all that is named. Raises: NotPermitted; InputError: it names nothing, or no reason;
    NotFound: nobody knows that person."""
    permit(actor, Action.AUDIT_HOLD, store, clock)
    if not reason.strip():
        raise InputError("--reason: expected who asked for the hold and why; got nothing")
    if not (person or about or since or until):
        raise InputError("a hold names a person, an actor, or a span of time; got none of them")
    if since and until and since >= until:
        raise InputError("--until: expected a moment after --since")
    whom = None
    if person is not None:
        with failure_recorded(actor, Action.AUDIT_HOLD, store, clock):
            whom = person_of_log(store, actor, person)
    hold = Hold(
        made_at=clock(), by=actor.name, reason=reason, person=whom, actor=about, since=since,
        until=until,
    )  # fmt: skip
    persons = [] if whom is None else [whom]
    return store.write_hold(hold, event(actor, Action.AUDIT_HOLD, clock, persons=persons))


def list_holds(store: EventsOfPersons, actor: Actor, clock: Clock) -> Sequence[Hold]:
    """Every hold, released ones too, oldest first. Raises: NotPermitted."""
    permit(actor, Action.AUDIT_HOLD_LIST, store, clock)
    found = _holds(store, actor)
    persons = sorted({one.person for one in found if one.person})
    record(actor, Action.AUDIT_HOLD_LIST, store, clock, persons=persons)
    return found


def _holds(store: EventsOfPersons, actor: Actor) -> list[Hold]:
    """Those that the actor may know of."""
    hidden = hidden_from(store, actor).persons
    return [one for one in store.holds() if one.person not in hidden]


def release_hold(
    store: EventsOfPersons, actor: Actor, clock: Clock, hold_id: int, instruction: str
) -> None:
    """Lifts a hold: what it kept falls due by its class. Raises: NotPermitted; InputError;
    NotFound; InvalidValue: lifted already."""
    permit(actor, Action.AUDIT_HOLD_RELEASE, store, clock)
    if not instruction.strip():
        raise InputError("--reason: expected who lifted the hold and why; got nothing")
    with failure_recorded(actor, Action.AUDIT_HOLD_RELEASE, store, clock, hold=hold_id):
        held = next((one for one in _holds(store, actor) if one.hold_id == hold_id), None)
        if held is None:
            raise NotFound(f"no hold {hold_id}")
        persons = [held.person] if held.person else []
        told = event(
            actor, Action.AUDIT_HOLD_RELEASE, clock, persons=persons, hold=hold_id,
            instruction=instruction,
        )  # fmt: skip
        store.release_hold(hold_id, clock(), told)


# --- told to people -----------------------------------------------------------------------------


def retention_document(found: Retention) -> dict[str, Any]:
    """For scripts."""
    return {
        "classes": [msgspec.structs.asdict(one) for one in found.due],
        "erased": None if found.done is None else msgspec.structs.asdict(found.done),
    }


def retention_lines(found: Retention) -> list[str]:
    """For people."""
    lines = [f"{'class':16}{'before':24}{'due':>10}{'on hold':>10}"]
    lines += [
        f"{one.event_class.value:16}{one.before:24}{one.due:>10,}{one.held:>10,}"
        for one in found.due
    ]
    if found.done is None:
        return [*lines, "nothing was erased; --apply erases what is due and not on hold"]
    done = found.done
    return [
        *lines,
        f"erased: {done.events:,} events; {done.keys:,} data keys destroyed, {done.resealed:,}"
        " other events sealed anew",
    ]


def hold_document(hold: Hold) -> dict[str, Any]:
    """For scripts."""
    return msgspec.structs.asdict(hold)


def hold_lines(holds: Sequence[Hold]) -> list[str]:
    """For people: one line a hold."""
    if not holds:
        return ["no holds"]
    return [
        f"{one.hold_id:>4}  {_named(one)}; {one.by}, {one.made_at}: {one.reason}"
        + (f"; released {one.released_at}" if one.released_at else "")
        for one in holds
    ]


def _named(hold: Hold) -> str:
    parts = {"person": hold.person, "by": hold.actor, "from": hold.since, "until": hold.until}
    return ", ".join(f"{name} {value}" for name, value in parts.items() if value)
