"""Audit events: appended, never changed. The body is sealed; time, action and outcome are clear.

Rules:
- Events are numbered without gaps, in the order in which they became durable.
- An event is durable when the call returns: whoever shows a person appends first.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, insert

from audit.events import AuditEvent, canonical
from store.database import EVENTS, Database
from store.tables import audit_event

EVENT_SOURCE = "audit"
"""The key group that events are sealed in."""


def append_event(database: Database, event: AuditEvent) -> None:
    """See service.ports.Store.append_event."""

    def prepare(_: Connection, seen: int) -> Callable[[Connection], None]:
        seq = seen + 1
        row = {
            "seq": seq,
            "at": event.at,
            "action": event.action,
            "outcome": event.outcome.value,
            "body": database.sealer.seal(EVENT_SOURCE, audit_event, "body", seq, canonical(event)),
        }

        def write(conn: Connection) -> None:
            conn.execute(insert(audit_event), row)

        return write

    database.optimistic(EVENTS, prepare)
