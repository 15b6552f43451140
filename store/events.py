"""Audit events: appended, never changed. The body is sealed; time, action and outcome are clear.

Rules:
- Events are numbered without gaps, in the order in which they became durable.
- An event is durable when the call returns: whoever shows a person appends first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
from sqlalchemy import Connection, insert, select

from audit.events import AuditEvent, canonical
from store.database import EVENTS, Database
from store.tables import audit_event

EVENT_SOURCE = "audit"
"""The key group that events are sealed in."""
_PAGE = 5_000
_DECODER = msgspec.json.Decoder(AuditEvent)


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


def events(database: Database) -> Iterator[AuditEvent]:
    """See service.ports.Store.events. In pages, so that a long log is never held whole."""
    seen = 0
    while True:
        query = select(audit_event.c.seq, audit_event.c.body).order_by(audit_event.c.seq)
        with database.reading() as conn:
            rows = conn.execute(query.where(audit_event.c.seq > seen).limit(_PAGE)).all()
        if not rows:
            return
        pairs = ((row.seq, row.body) for row in rows)
        for body in database.sealer.unseal_many(audit_event, "body", pairs):
            yield _DECODER.decode(body)
        seen = rows[-1].seq
