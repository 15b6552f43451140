"""Audit events: appended, never changed. The body is sealed; time, action and outcome are clear.

Rules:
- Events are numbered without gaps, in the order in which they became durable.
- An event is durable when the call returns: whoever shows a person appends first.
- It is numbered and sealed inside the transaction that writes it: those who write at once wait for
  one another's commit, and nobody's work is thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from sqlalchemy import Connection, insert, select

from audit.events import AuditEvent, canonical
from schemas.dates import Instant
from schemas.identifiers import PersonId
from store.database import EVENTS, Database, next_value
from store.tables import audit_event

EVENT_SOURCE = "audit"
"""The key group that events are sealed in."""
_PAGE = 5_000
_DECODER = msgspec.json.Decoder(AuditEvent)


def append_event(database: Database, event: AuditEvent) -> None:
    """See service.ports.Store.append_event."""

    with database.writing() as conn:
        write_event(database, conn, event)


def write_event(database: Database, conn: Connection, event: AuditEvent) -> None:
    """Writes the event within a writing transaction, as the next in the log."""
    seq = next_value(conn, EVENTS)
    row = {
        "seq": seq,
        "at": event.at,
        "action": event.action,
        "outcome": event.outcome.value,
        "body": database.sealer.seal(EVENT_SOURCE, audit_event, "body", seq, canonical(event)),
    }
    conn.execute(insert(audit_event), row)


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


def find_events(
    database: Database, since: Instant, until: Instant, person: PersonId | None = None
) -> Sequence[AuditEvent]:
    """See service.sharing_ports.SharingStore.find_events. Whom an event is about is sealed: the
    span's events are opened, in pages."""
    found: list[AuditEvent] = []
    c = audit_event.c
    query = select(c.seq, c.body).where(c.at >= since, c.at < until).order_by(c.seq.desc())
    seen: int | None = None
    while True:
        page = query if seen is None else query.where(c.seq < seen)
        with database.reading() as conn:
            rows = conn.execute(page.limit(_PAGE)).all()
        if not rows:
            return found
        pairs = ((row.seq, row.body) for row in rows)
        opened = map(_DECODER.decode, database.sealer.unseal_many(audit_event, "body", pairs))
        found += [event for event in opened if person is None or person in event.persons]
        seen = rows[-1].seq
