"""Every use of a command passes here: decided by consent, written to the audit log, then done.

Rules:
- The decision's event is durable before anything about a person is returned.
- A refusal is written down like a permit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from audit.events import AuditEvent, EventOutcome
from consent.commands import Action, decide
from schemas.dates import Instant
from schemas.errors import NotPermitted
from schemas.identifiers import PersonId
from service.ports import Store


@dataclass(frozen=True)
class Actor:
    """Who asks: an account, and the role it is mapped to (None: no role)."""

    name: str
    role: str | None
    purpose: str


def permit(actor: Actor, action: Action, store: Store, clock: Callable[[], Instant]) -> None:
    """Lets the actor go on, or writes the refusal down and raises NotPermitted."""
    decision = decide(actor.role, action, actor.purpose)
    if not decision.permitted:
        record(actor, action, store, clock, outcome=EventOutcome.REFUSED)
        raise NotPermitted(f"{action.value}: {decision.reason}")


def record(
    actor: Actor,
    action: Action,
    store: Store,
    clock: Callable[[], Instant],
    *,
    persons: Sequence[PersonId] = (),
    outcome: EventOutcome = EventOutcome.PERMITTED,
    **details: Any,
) -> None:
    """Writes the event durably; call it before showing what it is about."""
    store.append_event(
        AuditEvent(
            at=clock(),
            action=action.value,
            outcome=outcome,
            actor=actor.name,
            role=actor.role or "-",
            purpose=actor.purpose,
            persons=tuple(persons),
            details=details,
        )
    )
