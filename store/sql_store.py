"""The store: one class for SQLite and PostgreSQL, that implements service.ports.Store.

Each method stands in the module of its concern: feeds, loading, linking, publishing, looking,
events. What the two databases do differently stands in store/bulk.py and store/database.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from audit.events import AuditEvent
from schemas.columns import UnitBatch
from schemas.dates import Instant
from schemas.identifiers import LocalId, NhsNumber, PersonId, SourceId
from schemas.records import Outcome
from service.ports import (
    FeedFile,
    FeedRow,
    FeedState,
    HeldRecord,
    Publication,
    QuarantinedUnit,
    RunRow,
    SourceState,
)
from store import events, feeds, linking, loading, looking, publishing
from store.database import Database, open_engine
from store.keyring import KeyRing
from store.schema import prepare_schema


def open_store(url: str, keys: KeyRing) -> SqlStore:
    """Opens the database, creating or migrating its schema as needed.

    Args:
        url: `sqlite:///FILE` or `postgresql+psycopg://...`.
        keys: of the same workspace; `close` releases their file too.

    Raises:
        StoreError: the database cannot be reached, has a newer or foreign schema, or belongs to
            other keys.
    """
    database = Database(open_engine(url), keys)
    try:
        prepare_schema(database)
    except BaseException:
        database.close()
        raise
    return SqlStore(database)


class SqlStore:
    """See service.ports.Store for what each method does."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def close(self) -> None:
        """Releases connections and the keystore's file."""
        self.database.close()

    def feeds(self, source: SourceId) -> Mapping[str, FeedRow]:
        """Every feed of the source, by sha256."""
        return feeds.feeds(self.database, source)

    def begin_feed(
        self, source: SourceId, feed: FeedFile, reader_hash: str, now: Instant
    ) -> FeedRow:
        """The feed's row, new or to go on with."""
        return feeds.begin_feed(self.database, source, feed, reader_hash, now)

    def load_batch(
        self, feed_id: int, number: int, batch: UnitBatch, default_as_at: Instant
    ) -> Mapping[Outcome, int]:
        """Loads one batch and counts its outcomes."""
        return loading.load_batch(self.database, feed_id, number, batch, default_as_at)

    def end_feed(self, feed_id: int, state: FeedState, reason: str, now: Instant) -> None:
        """Marks a feed loaded or refused."""
        feeds.end_feed(self.database, feed_id, state, reason, now)

    def quarantined(
        self, source: SourceId | None = None, limit: int | None = None
    ) -> Iterator[QuarantinedUnit]:
        """Units that were not loaded."""
        return feeds.quarantined(self.database, source, limit)

    def match_columns(self) -> pa.Table:
        """Every live record, as columns."""
        return linking.match_columns(self.database)

    def memberships(self) -> pa.Table:
        """The published partition."""
        return linking.memberships(self.database)

    def founded_counts(self) -> Mapping[int, int]:
        """Record id → persons founded so far."""
        return linking.founded_counts(self.database)

    def last_run(self) -> RunRow | None:
        """The latest published run."""
        return linking.last_run(self.database)

    def generation(self) -> int:
        """A number that grows with every batch that linkage should see."""
        return linking.generation(self.database)

    def publish(
        self,
        model_hash: str,
        generation: int,
        changes: Publication,
        summary: Mapping[str, Any],
        now: Instant,
    ) -> int:
        """Publishes a run; returns its id."""
        return publishing.publish(
            self.database,
            changes,
            model_hash=model_hash,
            generation=generation,
            summary=summary,
            now=now,
        )

    def person_records(self, person: PersonId) -> Sequence[HeldRecord]:
        """The person's live records."""
        return looking.person_records(self.database, person)

    def resolve(self, person: PersonId) -> PersonId | None:
        """The present person that an id leads to."""
        return looking.resolve(self.database, person)

    def record(self, source: SourceId, local_id: LocalId) -> HeldRecord | None:
        """One live record by its source's id."""
        return looking.held_record(self.database, source, local_id)

    def numbered(self, number: NhsNumber) -> Sequence[HeldRecord]:
        """The live records that bear this NHS number."""
        return looking.numbered(self.database, number)

    def person_items(self, person: PersonId) -> Mapping[str, int]:
        """Heading → number of care items."""
        return looking.person_items(self.database, person)

    def export_rows(self) -> Iterator[Sequence[tuple[SourceId, LocalId, PersonId]]]:
        """(source, local id, person id) of every published membership."""
        return looking.export_rows(self.database)

    def record_sources(self) -> pa.Table:
        """Record id, source, local id of every live record."""
        return linking.record_sources(self.database)

    def source_states(self) -> Mapping[SourceId, SourceState]:
        """What is held, per source."""
        return looking.source_states(self.database)

    def counts(self) -> Mapping[str, int]:
        """Row counts."""
        return looking.counts(self.database)

    def append_event(self, event: AuditEvent) -> None:
        """Writes one audit event durably."""
        events.append_event(self.database, event)
