"""The store's part for the audit log: see service.audit_ports.AuditStore for what each method does.

Appending stands in store/events.py, finding and counting in store/audit_queries.py, the second
journal in store/journal.py and store/reconciling.py, retention and holds in store/audit_keeping.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from audit.actions import EventClass
from audit.events import AuditEvent
from schemas.dates import Instant
from schemas.identifiers import PersonId
from service.audit_ports import AuditQuery, Due, Hold, Numbered, Shredded
from store import audit_keeping, audit_queries, events, reconciling
from store.audit_checking import EventChecker
from store.database import Database
from store.journal import Journal, SecondJournal


class AuditEvents:
    """Implements service.audit_ports.AuditStore over one database and its second journal."""

    def __init__(self, database: Database, second: SecondJournal | None = None) -> None:
        self.database = database
        self._second = second
        self._journal = None if second is None else Journal(second.folder, database.keys.journal)
        self._appender = events.Appender(database, self._journal)

    def close(self) -> None:
        """Releases connections, the keystore's file and the second journal's."""
        self._appender.close()
        self.database.close()

    def append_event(self, event: AuditEvent) -> None:
        """Writes one audit event durably."""
        self._appender.append(event)

    def reconcile_journal(self) -> int:
        """Brings what the second journal holds into the log."""
        if self._journal is None or self._second is None:
            return 0
        return reconciling.reconcile(self.database, self._journal, self._second.clock)

    def journal_told(self) -> list[str]:
        """Files of the second journal of which not everything came in, by name."""
        return reconciling.files_told(self.database)

    def retry_journal(self) -> int:
        """Tries those files once more, from their beginning; returns how many events came in."""
        if self._journal is None or self._second is None:
            return 0
        return reconciling.tried_again(self.database, self._journal, self._second.clock)

    def events(self) -> Iterator[AuditEvent]:
        """Every audit event, oldest first."""
        return events.events(self.database)

    def find_events(
        self, since: Instant, until: Instant, person: PersonId | None = None
    ) -> Sequence[AuditEvent]:
        """Audit events of a span of time, newest first."""
        return audit_queries.find_events(self.database, since, until, person)

    def event_count(self) -> int:
        """How many events the log has."""
        return audit_queries.event_count(self.database)

    def entries(self, first: int, last: int) -> list[bytes]:
        """The entries of the leaves from `first` to before `last`."""
        return audit_queries.entries(self.database, first, last)

    def find_numbered(self, query: AuditQuery) -> Iterator[Sequence[Numbered]]:
        """Audit events with their places in the log, in pages."""
        return audit_queries.find_numbered(self.database, query)

    def count_events(
        self, query: AuditQuery, by: tuple[str, ...] = ()
    ) -> Mapping[tuple[str, ...], int]:
        """How many audit events there are, by what is named."""
        return audit_queries.count_events(self.database, query, by)

    def event_columns(self, query: AuditQuery) -> Iterator[pa.RecordBatch]:
        """Audit events as columns."""
        return audit_queries.event_columns(self.database, query)

    def event_checker(self) -> EventChecker:
        """A check of every event against its entry and its clear columns."""
        return EventChecker(self.database)

    def holds(self) -> Sequence[Hold]:
        """Every legal hold, oldest first."""
        return audit_keeping.holds(self.database)

    def write_hold(self, hold: Hold, event: AuditEvent) -> Hold:
        """Keeps a new hold together with its event."""
        return audit_keeping.write_hold(self.database, hold, event)

    def release_hold(self, hold_id: int, at: Instant, event: AuditEvent) -> None:
        """Lifts a hold."""
        audit_keeping.release_hold(self.database, hold_id, at, event)

    def due_events(self, before: Mapping[EventClass, Instant]) -> Sequence[Due]:
        """What is older than its class is kept."""
        return audit_keeping.due_events(self.database, before)

    def shred_events(
        self, before: Mapping[EventClass, Instant], event: AuditEvent, now: Instant
    ) -> Shredded:
        """Erases what is over its time and not held."""
        return audit_keeping.shred_events(self.database, before, event, now)
