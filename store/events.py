"""Audit events: appended, never changed. The body is sealed; what events are found by is clear.

Rules:
- Events are numbered without gaps, in the order in which they became durable.
- An event is durable when the call returns: whoever shows a person appends first.
- It is numbered and sealed inside the transaction that writes it: those who write at once wait for
  one another's commit, and nobody's work is thrown away.
- Events that come in while one commit is under way are written together by the next, which the
  thread of the first of them carries out. Each caller waits for the commit of its own event, and
  hears if that failed; nobody is woken for another's.
- Where the database does not take them, or not within `PATIENCE_MS`, they go to the second journal
  (store/journal.py), and those of the next `REST_SECONDS` too, so that not every request waits for
  a database that is away. Only where both fail does the caller hear LogFailed.
- What the journal holds is brought into the log when the database is opened and by the sequencer's
  turns. Such an event keeps its own time, and stands in the log where it came in.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, select

from audit.events import AuditEvent
from schemas.errors import LogFailed, StoreError
from service.audit_ports import NOT_WRITTEN
from store.audit_tables import audit_event
from store.database import Database
from store.entering import DECODER, Salted, opened_bodies, salted, write_salted
from store.grouping import GroupWriter
from store.journal import Journal

PATIENCE_MS = 2_000
"""How long an event waits for the database's write lock; nobody who behaves holds it for 50 ms."""
REST_SECONDS = 5.0
_LOGGER = logging.getLogger("commonthread")
_PAGE = 5_000
_TOGETHER = 200
"""Events that one transaction writes at most, so that it holds the lock for milliseconds."""


class _Waiting:
    """An event on its way, of a thread that waits until it is kept, or its turn to write."""

    def __init__(self, told: Salted) -> None:
        self.told = told
        self.turn = False
        self.done = False
        self.failed: StoreError | None = None
        self._asleep = threading.Lock()
        self._asleep.acquire()

    def wait(self) -> None:
        """Returns once it was woken; that happens once."""
        self._asleep.acquire()

    def wake(self) -> None:
        """Lets the thread go on."""
        self._asleep.release()


class Appender:
    """Writes events, those of several threads in one transaction. One per database.

    Args: `journal`: where events go that the database does not take; without one they fail.
    """

    def __init__(self, database: Database, journal: Journal | None = None) -> None:
        self._writer, self._journal = GroupWriter(database), journal
        self._turn = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._busy = False
        self._rests_until = 0.0
        self._trouble = ""
        """Why the database takes nothing, as it was last logged."""

    def append(self, event: AuditEvent) -> None:
        """Returns once the event is durable. Raises: LogFailed where it is not; InvalidValue where
        its action is none."""
        mine = _Waiting(salted(event))  # what cannot be written fails here, not with its neighbours
        with self._turn:
            self._waiting.append(mine)
            mine.turn, self._busy = not self._busy, True
        if not mine.turn:
            self._wait(mine)
        if not mine.done:
            self._write()
        if mine.failed is not None:
            raise LogFailed(str(mine.failed)) from None

    def close(self) -> None:
        """Leaves the journal's file."""
        with self._turn:
            while self._busy:
                self._turn.wait()
            if self._journal is not None:
                self._journal.close()

    def _wait(self, mine: _Waiting) -> None:
        """Returns once the event is kept, or it is its thread's turn to write."""
        try:
            mine.wait()
        except BaseException:  # the others must not wait for a thread that was interrupted
            with self._turn:
                if mine in self._waiting:
                    self._waiting.remove(mine)
                if mine.turn:
                    self._pass_on()
            raise

    def _write(self) -> None:
        """Writes a group, then leaves the turn to the first who waits. Requires: the turn."""
        batch: list[_Waiting] = []
        failed: StoreError | None = StoreError(NOT_WRITTEN)
        try:
            with self._turn:
                batch += self._waiting[:_TOGETHER]
                del self._waiting[:_TOGETHER]
            failed = self._kept([one.told for one in batch])
        finally:
            with self._turn:
                self._pass_on()
            for one in batch:
                one.done, one.failed = True, failed
                one.wake()

    def _pass_on(self) -> None:
        """Leaves the turn to the first who waits; to nobody where none does. Requires: the lock."""
        if self._waiting:
            self._waiting[0].turn = True
            self._waiting[0].wake()
        else:
            self._busy = False
            self._turn.notify_all()

    def _kept(self, told: Sequence[Salted]) -> StoreError | None:
        """Keeps the events in the log or the journal; why not, where neither takes them."""
        if self._journal is None or time.monotonic() >= self._rests_until:
            try:
                self._writer.write(told, PATIENCE_MS)
            except StoreError as error:
                self._rests_until = time.monotonic() + REST_SECONDS
                if str(error) != self._trouble:
                    self._trouble = str(error)
                    _LOGGER.error("audit events do not come into the database: %s", error)
            else:
                self._rests_until, self._trouble = 0.0, ""
                if self._journal is not None:
                    self._journal.close()
                return None
        if self._journal is None:
            return StoreError(NOT_WRITTEN)
        try:
            self._journal.append([(one.salt, one.told) for one in told])
        except OSError as error:
            folder, why = self._journal.folder, error.strerror
            _LOGGER.error("audit events do not come into the journal at %s either: %s", folder, why)
            return StoreError(NOT_WRITTEN)
        return None


def write_event(database: Database, conn: Connection, event: AuditEvent) -> None:
    """Writes the event within a writing transaction, as the next in the log."""
    write_salted(database, conn, [salted(event)])


def events(database: Database) -> Iterator[AuditEvent]:
    """See service.ports.Store.events. In pages, so that a long log is never held whole."""
    seen = 0
    c = audit_event.c
    query = select(c.seq, c.body).order_by(c.seq).limit(_PAGE)
    while True:
        with database.reading() as conn:
            rows = [(row.seq, row.body) for row in conn.execute(query.where(c.seq > seen))]
        if not rows:
            return
        for _, _, told in opened_bodies(database, rows):
            yield DECODER.decode(told)
        seen = rows[-1][0]
