"""What the audit capability asks of a store: events by number, found, counted, as columns.

Rules:
- A leaf is an event's place in the log, from 0; entries are what the log holds of it.
- Finding and counting go by what stands in clear (time, action, class, outcome, organisation,
  digest of the actor, ids of the persons); only what is answered is opened.
- What was erased because its time was over is counted, has its entry, and is found no more.
- A span of time is `since` <= at < `until`. Events that were kept in the second journal for a while
  stand later in the log than their time says, so that order is of leaves, not of times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import msgspec
import pyarrow as pa

from audit.actions import EventClass
from audit.events import AuditEvent, EventOutcome
from schemas.dates import Instant
from schemas.errors import InvalidValue
from schemas.identifiers import PersonId

COUNTED_BY = ("class", "action", "outcome", "organisation", "month", "day", "hour")
"""What events can be counted by. `month` is YYYY-MM, `day` YYYY-MM-DD, `hour` 00 to 23, in UTC."""

NOT_WRITTEN = (
    "the audit log cannot be written, neither in the database nor in the second journal, so nothing"
    " is shown or done; ring the IG officer, and in an emergency the custodian of the record"
)


class Numbered(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its place in the log.

    Attributes:
        leaf: from 0.
        salt: 32 bytes.
        event: as it reads today.
        told: its canonical bytes as they were committed to: `audit.events.entry_of_bytes(salt,
            told)` is the entry, whatever events are made of later.
    """

    leaf: int
    salt: bytes
    event: AuditEvent
    told: bytes


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which events; None and empty leave it open.

    Attributes:
        since, until: of the event's own time, from since to before until.
        person, actor, organisation: about whom, by whom, of which organisation.
        actions, classes, outcomes: one of these.
        after: only leaves behind this one, in the order asked for.
        newest_first: from the end of the log to its beginning.
        limit: so many at most.
    """

    since: Instant | None = None
    until: Instant | None = None
    person: PersonId | None = None
    actor: str | None = None
    organisation: str | None = None
    actions: frozenset[str] = frozenset()
    classes: frozenset[EventClass] = frozenset()
    outcomes: frozenset[EventOutcome] = frozenset()
    after: int | None = None
    newest_first: bool = False
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 0:
            raise InvalidValue("limit: expected a whole number from 0")


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A legal hold: what it names is kept, however old.

    Attributes:
        hold_id: 0 until the store has kept it.
        made_at, released_at: when it was laid down, and when it was lifted.
        by, reason: who laid it down, and why.
        person, actor, since, until: what it holds: events that meet all that is named.
    """

    hold_id: int = 0
    made_at: Instant
    by: str
    reason: str
    person: PersonId | None = None
    actor: str | None = None
    since: Instant | None = None
    until: Instant | None = None
    released_at: Instant | None = None

    def __post_init__(self) -> None:
        if not (self.person or self.actor or self.since or self.until):
            raise InvalidValue("a hold names a person, an actor, or a span of time")
        if not self.by or not self.reason.strip():
            raise InvalidValue("a hold needs an author and a reason")
        if self.since and self.until and self.since >= self.until:
            raise InvalidValue("a hold's span begins before it ends")


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """What of one class is over its time: `due` events older than `before`, of which `held` are
    kept by a hold."""

    event_class: EventClass
    before: Instant
    due: int
    held: int


class Shredded(msgspec.Struct, frozen=True, kw_only=True):
    """What a retention run did: events erased, rows of others sealed anew, data keys destroyed."""

    events: int = 0
    resealed: int = 0
    keys: int = 0


class AuditStore(Protocol):
    """What stands behind the log. One class implements it for SQLite and PostgreSQL."""

    def append_event(self, event: AuditEvent) -> None:
        """Writes one event durably, in the log or the second journal. Raises: LogFailed: in
        neither, so that nothing may be shown."""

    def event_count(self) -> int:
        """How many events the log has; erased ones too."""

    def entries(self, first: int, last: int) -> list[bytes]:
        """The entries, of 33 bytes, of the leaves from `first` to before `last`; erased ones too.
        Raises: StoreError: one of them is not there."""

    def find_numbered(self, query: AuditQuery) -> Iterator[Sequence[Numbered]]:
        """The events in pages; none of the pages is empty."""

    def count_events(
        self, query: AuditQuery, by: tuple[str, ...] = ()
    ) -> Mapping[tuple[str, ...], int]:
        """How many there are, by what of `COUNTED_BY` is named, in that order; erased ones too.
        `after`, `newest_first` and `limit` do not count. Raises: InvalidValue: not such a name."""

    def event_columns(self, query: AuditQuery) -> Iterator[pa.RecordBatch]:
        """The events as audit.event_columns.EVENT_COLUMNS, in batches of at most 65,536 rows."""

    def reconcile_journal(self) -> int:
        """Brings what the second journal holds into the log; returns how many events. May be
        repeated. Raises: StoreError: the log cannot be written yet."""

    # --- retention and holds ---------------------------------------------------------------
    def holds(self) -> Sequence[Hold]:
        """Every hold, released ones too, oldest first."""

    def write_hold(self, hold: Hold, event: AuditEvent) -> Hold:
        """Keeps a new hold, under an id of its own, together with its event."""

    def release_hold(self, hold_id: int, at: Instant, event: AuditEvent) -> None:
        """Lifts a hold. Raises: NotFound; InvalidValue: lifted already."""

    def due_events(self, before: Mapping[EventClass, Instant]) -> Sequence[Due]:
        """What is older than its class is kept, in the order of the classes."""

    def shred_events(
        self, before: Mapping[EventClass, Instant], event: AuditEvent, now: Instant
    ) -> Shredded:
        """Erases what is over its time and not held; the event (`audit-erase`) is written for each
        part with its leaves, in the transaction that empties it, and then the keys go. May be
        repeated after a crash. Whoever calls this holds the workspace."""
