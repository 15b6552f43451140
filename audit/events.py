"""Audit events: who did what, to whom, when, why, and how it ended. Values only; no I/O.

Rules:
- An event names persons by their opaque ids, never by a demographic value.
- The canonical bytes of an event are its JSON with sorted keys, as it was first written: what was
  once committed to is kept byte for byte and never encoded anew.
- The log holds of an event 33 bytes, its entry: the version byte 1, then
  SHA-256(salt ‖ canonical bytes). The salt is 32 random bytes, sealed together with the event:
  without it nobody can test a guess at an event against its entry.
- Events are numbered from 1 without gaps, in the order in which they became durable; the event of
  number n is the log's leaf n - 1.
- An event whose time to be kept is over loses its salt and its bytes; its entry stays. A later
  event `audit-erase` names it: `details.leaves` are ranges [first, last] of leaves, both ends
  included, `details.class` is their class. Such an event is never erased itself.
"""

from __future__ import annotations

import hashlib
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
        action: what was done: a row of `audit.actions.ACTIONS`.
        outcome: permitted, refused, failed.
        actor, role: who asked, in which role (`-` where none is mapped).
        purpose: a key of `schemas.codes.PURPOSES`, or `-` for housekeeping.
        organisation: the ODS code of whom the actor asked for; `-` for the partnership itself.
        persons: everyone it was about; of a search, everyone who was matched.
        details: counts, run ids, ids of records that are in no person, reasons; never a person's
            value.
    """

    at: Instant
    action: str
    outcome: EventOutcome
    actor: str
    role: str
    purpose: str
    organisation: str = "-"
    persons: tuple[PersonId, ...] = ()
    details: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.action or not self.actor:
            raise InvalidValue("an audit event needs an action and an actor")


AUDIT_ERASE = "audit-erase"
"""The action of the event that says whose time to be kept was over."""
ENTRY_VERSION = b"\x01"
ENTRY_BYTES = 33
SALT_BYTES = 32
_ENCODER = msgspec.json.Encoder(order="sorted")


def canonical(event: AuditEvent) -> bytes:
    """The event's canonical bytes."""
    return _ENCODER.encode(event)


def entry_of(salt: bytes, event: AuditEvent) -> bytes:
    """What the log holds of a new event. Requires: 32 random bytes of salt."""
    return entry_of_bytes(salt, canonical(event))


def entry_of_bytes(salt: bytes, told: bytes) -> bytes:
    """What the log holds of an event of which these are the canonical bytes."""
    return ENTRY_VERSION + hashlib.sha256(salt + told).digest()
