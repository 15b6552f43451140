"""What the use cases ask of the outside: a reader of feeds, and a store.

The layers above (adapters, store) implement these; `wiring.py` brings them together. Every store
passes tests/contract/test_store.py; every reader passes tests/contract/test_readers.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from audit.events import AuditEvent
from schemas.columns import UnitBatch
from schemas.dates import Instant
from schemas.identifiers import LocalId, NhsNumber, PersonId, SourceId
from schemas.records import ClientRecord, Outcome
from schemas.settings import FileSettings, Limits, SourceSettings


@dataclass(frozen=True)
class FeedFile:
    """One file found in `inbox/SOURCE/`.

    Attributes:
        path: where it lies; its name may hold anything and is shown to nobody but data teams.
        sha256: hex digest of its bytes.
        size: bytes.
        as_at: when its content stood so, for units that do not say: from its name where the
            settings say how, else its modification time.
        settings: how to read it.
    """

    path: Path
    sha256: str
    size: int
    as_at: Instant
    settings: FileSettings


class Reader(Protocol):
    """Reads one feed into batches.

    Deterministic: the same bytes, settings and limits give the same batches. Bounded memory: a
    batch holds at most `limits.batch_units` units. Raises FeedRefused where the file as a whole
    cannot be read; anything less quarantines the smallest unit possible and goes on.
    """

    def __call__(
        self, feed: FeedFile, source: SourceSettings, limits: Limits
    ) -> Iterator[UnitBatch]: ...


class FeedState(StrEnum):
    """How far a feed has come."""

    LOADING = "loading"
    LOADED = "loaded"
    REFUSED = "refused"


@dataclass(frozen=True)
class FeedRow:
    """A feed as the store knows it."""

    feed_id: int
    source: SourceId
    sha256: str
    state: FeedState
    batches_done: int
    reader_hash: str
    """Digest of the settings it was read with; a refused feed is tried again when they change."""
    counts: Mapping[Outcome, int]
    as_at: Instant
    """When its content stood so, as first told: a run that goes on keeps to it."""


@dataclass(frozen=True)
class QuarantinedUnit:
    """One unit that was not loaded, for data teams. Holds no person's value.

    Attributes:
        sha256: of the feed it came in.
        unit: its ordinal, None where the whole feed was refused.
        where, field, reason, message: see schemas.records.Rejected.
    """

    source: SourceId
    sha256: str
    unit: int | None
    where: str
    field: str
    reason: str
    message: str


@dataclass(frozen=True)
class RunRow:
    """One link run."""

    run_id: int
    state: str
    model_hash: str
    started_at: Instant
    generation: int
    """The ingest generation it covers: the highest batch loaded before it began."""
    summary: Mapping[str, Any]


@dataclass(frozen=True)
class Publication:
    """What one link run changes, as columns. All ids are of records and persons known to the store
    or founded here; `close` and `open` together move a record.

    Attributes:
        founded: new persons: person_id string, founder int64 (record_id), counter int32.
        merged: persons that end: person_id string, into string (the person that keeps its place;
            null where the id must lead nowhere).
        closed: record_id int64: memberships that end.
        opened: record_id int64, person_id string: memberships that begin.
    """

    founded: pa.Table
    merged: pa.Table
    closed: pa.Table
    opened: pa.Table
    tasks: pa.Table
    """Review tasks of this run: left int64, right int64 (record ids, left < right), bits float64,
    reason string."""
    split: tuple[PersonId, ...] = ()
    """Persons whose records now lie in more than one: ids merged into them earlier lead nowhere
    any more, because they might lead to a stranger."""


@dataclass(frozen=True)
class HeldRecord:
    """One record as the store holds it, unsealed."""

    record_id: int
    source: SourceId
    as_at: Instant
    record: ClientRecord
    person_id: PersonId | None


@dataclass(frozen=True)
class SourceState:
    """What the store holds of one source."""

    records: int
    items: int
    quarantined: int
    last_feed_at: Instant | None
    issues: Mapping[tuple[str, str], int] = field(default_factory=dict)


class Store(Protocol):
    """Everything durable. Each method is one transaction or a few short ones; a method that
    returns has committed."""

    def close(self) -> None:
        """Releases connections."""

    # --- feeds -----------------------------------------------------------------------------
    def feeds(self, source: SourceId) -> Mapping[str, FeedRow]:
        """Every feed of the source, by sha256."""

    def begin_feed(
        self, source: SourceId, feed: FeedFile, reader_hash: str, now: Instant
    ) -> FeedRow:
        """The feed's row: a new one, or the one left `loading` by a run that died, to go on from
        `batches_done`. A refused one is begun again when `reader_hash` differs."""

    def load_batch(
        self, feed_id: int, number: int, batch: UnitBatch, default_as_at: Instant
    ) -> Mapping[Outcome, int]:
        """Loads batch `number` (from 0) of a feed and counts its units' outcomes, in one
        transaction with the feed's progress. Requires: number == batches_done."""

    def end_feed(self, feed_id: int, state: FeedState, reason: str, now: Instant) -> None:
        """Marks a feed loaded or refused. A refused one counts as one unit, quarantined."""

    def quarantined(
        self, source: SourceId | None = None, limit: int | None = None
    ) -> Iterator[QuarantinedUnit]:
        """Units that were not loaded, of one source or all, in order of arrival."""

    # --- linkage ---------------------------------------------------------------------------
    def match_columns(self) -> pa.Table:
        """Every live record: record_id int64, source string, founder binary (a stable key of
        source and local id), same_as int64 (the record of the same source that the source merged
        it into, or null), and MATCH_SCHEMA. Sorted by record_id."""

    def memberships(self) -> pa.Table:
        """The published partition: record_id int64, person_id string. Sorted by record_id."""

    def founded_counts(self) -> Mapping[int, int]:
        """record_id → how many persons it has founded so far (only those with any)."""

    def last_run(self) -> RunRow | None:
        """The latest published run."""

    def generation(self) -> int:
        """A number that grows with every batch that changed a live record."""

    def publish(
        self,
        model_hash: str,
        generation: int,
        changes: Publication,
        summary: Mapping[str, Any],
        now: Instant,
    ) -> int:
        """Publishes a run in short transactions, visible all at once; returns its id. What a
        publish that died left behind is cleared first, so that the result is the same."""

    # --- looking ---------------------------------------------------------------------------
    def person_records(self, person: PersonId) -> Sequence[HeldRecord]:
        """The person's live records, or [] for an unknown id. Resolves nothing."""

    def resolve(self, person: PersonId) -> PersonId | None:
        """The present person that a merged-away id leads to; itself if present; None if unknown,
        or if the person it was merged into has been split since (gone: identify again)."""

    def record(self, source: SourceId, local_id: LocalId) -> HeldRecord | None:
        """One live record by its source's id."""

    def numbered(self, number: NhsNumber) -> Sequence[HeldRecord]:
        """The live records that bear this NHS number, by record id."""

    def person_items(self, person: PersonId) -> Mapping[str, int]:
        """Heading → number of care items held for the person's records."""

    def export_rows(self) -> Iterator[Sequence[tuple[SourceId, LocalId, PersonId]]]:
        """(source, local id, person id) of every published membership, in chunks."""

    def record_sources(self) -> pa.Table:
        """record_id int64, source string, local_id string of every live record (unsealed)."""

    def source_states(self) -> Mapping[SourceId, SourceState]:
        """What is held, per source."""

    def counts(self) -> Mapping[str, int]:
        """Row counts: records, versions, items, persons, memberships, quarantine, staff, events."""

    # --- audit -----------------------------------------------------------------------------
    def append_event(self, event: AuditEvent) -> None:
        """Writes one audit event durably. Whoever shows a person calls this first."""
