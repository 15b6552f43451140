"""Every use of a command passes here: decided by consent, written to the audit log, then done.

Rules:
- The decision's event is durable before anything about a person is returned.
- A refusal is written down like a permit.
- An event names the persons that it is about; a record that is in none yet, by its record id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from audit.events import AuditEvent, EventOutcome
from consent.commands import Action, decide
from schemas.codes import PURPOSES
from schemas.dates import Clock
from schemas.errors import CommonthreadError, NotPermitted
from schemas.identifiers import PersonId
from service.ports import HeldRecord, Store


@dataclass(frozen=True)
class Actor:
    """Who asks: an account, and the role it is mapped to (None: no role). `named`: it is one of the
    named staff, who see restricted persons' tasks and former identities. `terminal`: the machine
    that the command was given at."""

    name: str
    role: str | None
    purpose: str
    named: bool = False
    terminal: str | None = None


def permit(actor: Actor, action: Action, store: Store, clock: Clock) -> None:
    """Lets the actor go on, or writes the refusal down and raises NotPermitted."""
    decision = decide(actor.role, action, actor.purpose)
    if not decision.permitted:
        record(actor, action, store, clock, outcome=EventOutcome.REFUSED)
        raise NotPermitted(f"{action.value}: {decision.reason}")


def record(
    actor: Actor,
    action: str,
    store: Store,
    clock: Clock,
    *,
    persons: Sequence[PersonId] = (),
    outcome: EventOutcome = EventOutcome.PERMITTED,
    **details: Any,
) -> None:
    """Writes the event durably; call it before showing what it is about."""
    store.append_event(event(actor, action, clock, persons=persons, outcome=outcome, **details))


def about(held: Iterable[HeldRecord]) -> dict[str, Any]:
    """Whom an event about these records names, as arguments of `event` and `record`: `persons`, and
    `records` (record ids) where some are in no person yet."""
    shown = list(held)
    persons = sorted({one.person_id for one in shown if one.person_id})
    alone = sorted({one.record_id for one in shown if not one.person_id})
    return {"persons": persons} | ({"records": alone} if alone else {})


@contextmanager
def failure_recorded(
    actor: Actor,
    action: Action,
    store: Store,
    clock: Clock,
    **details: Any,
) -> Iterator[None]:
    """What fails within is written down by the kind of its error: a run that is held, a request
    that is turned down."""
    try:
        yield
    except CommonthreadError as error:
        failed = EventOutcome.FAILED
        kind = type(error).__name__
        record(actor, action, store, clock, outcome=failed, error=kind, **details)
        raise


def event(
    actor: Actor,
    action: str,
    clock: Clock,
    *,
    persons: Sequence[PersonId] = (),
    outcome: EventOutcome = EventOutcome.PERMITTED,
    **details: Any,
) -> AuditEvent:
    """The event, for a change that is written in one transaction with it.

    Args: `action`: a row of audit.actions.
    """
    if actor.terminal is not None:
        details["terminal"] = actor.terminal
    return AuditEvent(
        at=clock(),
        action=str(action),
        outcome=outcome,
        actor=actor.name,
        role=actor.role or "-",
        purpose=actor.purpose if actor.purpose in PURPOSES else "-",
        persons=tuple(persons),
        details=details,
    )
