"""Audit events: appended, never changed. The body is sealed; time, action and outcome are clear.

Rules:
- Events are numbered without gaps, in the order in which they became durable.
- An event is durable when the call returns: whoever shows a person appends first.
- It is numbered and sealed inside the transaction that writes it: those who write at once wait for
  one another's commit, and nobody's work is thrown away.
- Events that come in while one commit is under way are written together by the next. Each caller
  waits for the commit of its own event, and hears if that failed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, insert, select

from audit.events import AuditEvent, canonical
from schemas.dates import Instant
from schemas.errors import StoreError
from schemas.identifiers import PersonId
from store.database import EVENTS, Database, next_value
from store.tables import audit_event

EVENT_SOURCE = "audit"
"""The key group that events are sealed in."""
_PAGE = 5_000
_TOGETHER = 200
"""Events that one transaction writes at most, so that it holds the lock for milliseconds."""
_INSERT = insert(audit_event)
_DECODER = msgspec.json.Decoder(AuditEvent)


@dataclass(eq=False)
class _Waiting:
    """An event on its way, of a thread that waits for it."""

    event: AuditEvent
    done: bool = False
    failed: StoreError | None = None


class Appender:
    """Writes events, those of several threads in one transaction. One per database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._busy = False

    def append(self, event: AuditEvent) -> None:
        """Returns once the event is durable. Raises: StoreError where it is not."""
        canonical(event)  # what cannot be written fails here, not with its neighbours
        mine = _Waiting(event)
        with self._turn:
            self._waiting.append(mine)
        while batch := self._next(mine):
            self._write(batch)
        if mine.failed is not None:
            raise StoreError(str(mine.failed)) from None

    def _next(self, mine: _Waiting) -> list[_Waiting]:
        """The events that this thread writes, once no other is writing; none once its own is
        done."""
        with self._turn:
            while self._busy and not mine.done:
                self._turn.wait()
            if mine.done:
                return []
            self._busy = True
            batch = self._waiting[:_TOGETHER]
            del self._waiting[:_TOGETHER]
            return batch

    def _write(self, batch: Sequence[_Waiting]) -> None:
        failed: StoreError | None = StoreError("the audit log could not be written")
        try:
            with self._database.writing() as conn:
                write_events(self._database, conn, [one.event for one in batch])
            failed = None
        except StoreError as error:
            failed = error
        finally:
            with self._turn:
                for one in batch:
                    one.done, one.failed = True, failed
                self._busy = False
                self._turn.notify_all()


def write_event(database: Database, conn: Connection, event: AuditEvent) -> None:
    """Writes the event within a writing transaction, as the next in the log."""
    write_events(database, conn, [event])


def write_events(database: Database, conn: Connection, told: Sequence[AuditEvent]) -> None:
    """Writes events within a writing transaction, as the next in the log, in order."""
    last = next_value(conn, EVENTS, len(told))
    numbers = range(last - len(told) + 1, last + 1)
    plains = [canonical(event) for event in told]
    bodies = database.sealer.seal_many(EVENT_SOURCE, audit_event, "body", numbers, plains)
    rows = [
        {"seq": seq, "at": event.at, "action": event.action, "outcome": event.outcome.value,
         "body": body}
        for seq, event, body in zip(numbers, told, bodies, strict=True)
    ]  # fmt: skip
    conn.execute(_INSERT, rows)


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
