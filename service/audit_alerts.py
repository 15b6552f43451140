"""Alerts worked by people: listed, shown, assigned, closed; the watch list; how right rules are.

Rules:
- Whoever looks at alerts is written down with the persons that they are about.
- Nobody sees, is given or closes an alert about themselves; who tried is written down as refused.
- An identity of before a protected change is named to the named staff only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

import msgspec

from audit.alerts import (
    BY_HAND,
    Alert,
    AlertOutcome,
    AlertState,
    Precision,
    assigned,
    closed,
    precision,
)
from audit.detect_rules import RULES
from audit.events import EventOutcome
from consent.commands import Action
from schemas.dates import Clock
from schemas.errors import InvalidValue, NotFound, NotPermitted
from schemas.identifiers import PersonId
from service.access import Actor, event, permit, record
from service.alert_ports import AlertStore, Watch
from service.audit_detection import unworked
from service.looking import present_person
from service.ports import Store
from service.shielded import hidden_of, seen_by


class WorkedStore(Store, AlertStore, Protocol):
    """A store whose alerts people work."""


def _hidden(store: Store, actor: Actor) -> Collection[PersonId]:
    return frozenset() if actor.named else hidden_of(store).persons


def _persons(alerts: Sequence[Alert], hidden: Collection[PersonId]) -> list[PersonId]:
    return sorted({one.person for one in alerts if one.person and one.person not in hidden})


def list_alerts(
    store: WorkedStore, actor: Actor, clock: Clock, *, all_of_them: bool = False
) -> list[dict[str, Any]]:
    """Alerts that wait, what is due first in front; or all. Raises: NotPermitted."""
    permit(actor, Action.AUDIT_ALERT_LIST, store, clock)
    held = store.alerts(closed=all_of_them)
    hidden = _hidden(store, actor)
    shown = [one for one in (held if all_of_them else unworked(held))
             if not one.is_about(actor.name)]  # fmt: skip
    record(actor, Action.AUDIT_ALERT_LIST, store, clock, persons=_persons(shown, hidden),
           shown=len(shown))  # fmt: skip
    return [_row(one, hidden) for one in shown]


def _row(one: Alert, hidden: Collection[PersonId]) -> dict[str, Any]:
    return {
        "alert": one.alert_id,
        "state": one.state.value,
        "due": one.due,
        "bits": one.bits,
        "rules": [signal.rule for signal in one.signals],
        "actor": one.actor,
        "role": one.role,
        "organisation": one.organisation,
        "person": None if one.person in hidden else one.person,
        "week": one.week,
        "owner": one.owner,
        "assigned_to": one.assigned_to,
        "outcome": one.outcome.value if one.outcome else None,
    }


def show_alert(store: WorkedStore, actor: Actor, alert_id: int, clock: Clock) -> dict[str, Any]:
    """One alert with what was seen, rule by rule. Raises: NotPermitted; NotFound."""
    alert, hidden = _held(store, actor, Action.AUDIT_ALERT_SHOW, alert_id, clock)
    persons = _persons([alert], hidden)
    record(actor, Action.AUDIT_ALERT_SHOW, store, clock, persons=persons, alert=alert_id)
    return _whole(alert, hidden)


def _whole(alert: Alert, hidden: Collection[PersonId]) -> dict[str, Any]:
    return _row(alert, hidden) | {
        "level": alert.level,
        "first_at": alert.first_at,
        "last_at": alert.last_at,
        "raised_at": alert.raised_at,
        "signals": [
            {"rule": one.rule, "words": RULES[one.rule].words, "bits": one.bits,
             "evidence": RULES[one.rule].evidence, "strength": RULES[one.rule].strength.value,
             "leaves": list(one.leaves)}
            for one in alert.signals
        ],
        "reason": alert.reason,
        "closed_by": alert.closed_by,
        "closed_at": alert.closed_at,
    }  # fmt: skip


def _held(
    store: WorkedStore, actor: Actor, action: Action, alert_id: int, clock: Clock
) -> tuple[Alert, Collection[PersonId]]:
    """The alert, of somebody else's doing; and whom the actor must not know of."""
    permit(actor, action, store, clock)
    try:
        alert = store.alert(alert_id)
    except NotFound:
        record(actor, action, store, clock, outcome=EventOutcome.FAILED, alert=alert_id)
        raise
    if alert.is_about(actor.name):
        record(actor, action, store, clock, outcome=EventOutcome.REFUSED, alert=alert_id)
        raise NotPermitted("an alert about yourself is for somebody else to see and to work")
    return alert, _hidden(store, actor)


def assign_alert(
    store: WorkedStore, actor: Actor, alert_id: int, to: str, clock: Clock
) -> dict[str, Any]:
    """Gives an alert to somebody, and tells it as the actor may see it. Raises: NotPermitted;
    NotFound; InvalidValue."""
    if not to.strip():
        raise InvalidValue("assigned to whom? expected an account")
    return _worked(store, actor, alert_id, clock, lambda one: assigned(one, to, actor.name), to=to)


def close_alert(
    store: WorkedStore, actor: Actor, alert_id: int, outcome: str, reason: str, clock: Clock
) -> dict[str, Any]:
    """Gives an alert its outcome, and tells it as the actor may see it. Raises: NotPermitted;
    NotFound; InvalidValue."""
    if outcome not in set(BY_HAND):
        raise InvalidValue(f"an outcome is one of {', '.join(BY_HAND)}")
    at, chosen = clock(), AlertOutcome(outcome)
    return _worked(
        store, actor, alert_id, clock,
        lambda one: closed(one, chosen, reason, actor.name, at), closed_as=outcome,
    )  # fmt: skip


def _worked(
    store: WorkedStore,
    actor: Actor,
    alert_id: int,
    clock: Clock,
    work: Callable[[Alert], Alert],
    **details: Any,
) -> dict[str, Any]:
    """The alert as it is after the work, written down with its event, as the actor may see it."""
    action = Action.AUDIT_ALERT_WRITE
    alert, hidden = _held(store, actor, action, alert_id, clock)
    persons = _persons([alert], hidden)
    try:
        done = work(alert)
    except NotPermitted:
        record(actor, action, store, clock, persons=persons, outcome=EventOutcome.REFUSED,
               alert=alert_id, **details)  # fmt: skip
        raise
    told = event(actor, action, clock, persons=persons, alert=alert_id, **details)
    store.write_alerts([], [done], None, told)
    return _whole(done, hidden)


def rule_precision(store: WorkedStore, actor: Actor, clock: Clock) -> list[Precision]:
    """How right each rule was, over closed alerts. Raises: NotPermitted."""
    permit(actor, Action.AUDIT_ALERT_LIST, store, clock)
    ended = [one for one in store.alerts() if one.state is AlertState.CLOSED]
    record(actor, Action.AUDIT_ALERT_LIST, store, clock, closed=len(ended))
    return precision(ended)


# --- the watch list -----------------------------------------------------------------------------


def add_watch(store: WorkedStore, actor: Actor, asked: str, reason: str, clock: Clock) -> Watch:
    """Has looks at a person reported. Raises: NotPermitted; NotFound; InvalidValue."""
    action = Action.AUDIT_WATCH
    permit(actor, action, store, clock)
    person = present_person(seen_by(actor, store), actor, action, asked, clock)
    watch = Watch(person=person, by=actor.name, reason=reason, made_at=clock())
    return store.write_watch(watch, event(actor, action, clock, persons=[person], watched=True))


def list_watches(store: WorkedStore, actor: Actor, clock: Clock) -> list[Watch]:
    """Whose looks are reported. Raises: NotPermitted."""
    permit(actor, Action.AUDIT_WATCH, store, clock)
    hidden = _hidden(store, actor)
    shown = [one for one in store.watches() if one.ended_at is None and one.person not in hidden]
    record(actor, Action.AUDIT_WATCH, store, clock, persons=sorted({one.person for one in shown}))
    return shown


def end_watch(store: WorkedStore, actor: Actor, watch_id: int, clock: Clock) -> None:
    """Ends a watch. Raises: NotPermitted; NotFound; InvalidValue."""
    permit(actor, Action.AUDIT_WATCH, store, clock)
    persons = [one.person for one in store.watches() if one.watch_id == watch_id]
    told = event(actor, Action.AUDIT_WATCH, clock, persons=persons, ended=watch_id)
    store.end_watch(watch_id, clock(), told)


def as_document(value: Any) -> Any:
    """Alerts, watches and precisions as JSON takes them."""
    return msgspec.to_builtins(value)
