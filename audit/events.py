"""Audit events: who did what, to whom, when, why, and how it ended. Values only; no I/O.

Rules:
- An event names persons by their opaque ids, never by a demographic value.
- The canonical bytes of an event are its JSON with sorted keys: what a log commits to.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from schemas.dates import Instant
from schemas.errors import InvalidValue
from schemas.identifiers import PersonId


class EventOutcome(StrEnum):
    """How what was asked for ended."""

    PERMITTED = "permitted"
    REFUSED = "refused"
    FAILED = "failed"


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event.

    Attributes:
        at: when, in UTC.
        action: what was done, e.g. `person-show`, `person-export`, `explain`, `nightly`.
        outcome: permitted, refused, failed.
        actor, role: who asked, in which role (`-` where none is mapped).
        purpose: a key of `schemas.codes.PURPOSES`, or `-` for housekeeping.
        persons: whom it was about.
        details: counts, run ids, ids of records that are in no person, reasons; never a person's
            value.
    """

    at: Instant
    action: str
    outcome: EventOutcome
    actor: str
    role: str
    purpose: str
    persons: tuple[PersonId, ...] = ()
    details: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.action or not self.actor:
            raise InvalidValue("an audit event needs an action and an actor")


_ENCODER = msgspec.json.Encoder(order="sorted")


def canonical(event: AuditEvent) -> bytes:
    """The event's canonical bytes."""
    return _ENCODER.encode(event)
