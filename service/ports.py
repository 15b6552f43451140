"""What the use cases ask of the outside: a reader of feeds, and a store.

The layers above (adapters, store) implement these; `wiring.py` brings them together. Every store
passes tests/contract/test_store.py; every reader passes tests/contract/test_readers.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from audit.events import AuditEvent
from linkage.state import Decided
from schemas.columns import UnitBatch
from schemas.dates import Instant
from schemas.decisions import Decision
from schemas.identifiers import LocalId, NhsNumber, PersonId, SourceId
from schemas.items import Heading
from schemas.records import ClientRecord, Outcome
from schemas.settings import FileSettings, Limits, SourceSettings
from service.former import FormerIdentity, Hidden
from service.link_ports import LinkStore
from service.runs import (
    NewRun,
    PersonPast,
    Resolution,
    RunRow,
    Undo,
)


@dataclass(frozen=True)
class FeedFile:
    """One file found in `inbox/SOURCE/`.

    Attributes:
        path: where it lies; its name may hold anything and is shown to nobody but data teams.
        sha256: hex digest of its bytes; of a source's whole list, of its bytes and `as_at`, because
            the same list on another day is news.
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


class Collector(Protocol):
    """Collects from one source's interface what is new, as files of its inbox folder.

    May be repeated: what was collected before is collected again only if nobody knows that it was.
    Raises: InputError: nothing, or not all, could be collected now; what was is whole.
    """

    def collect(self) -> list[str]:
        """Sentences on what a data team should know of it."""
        ...


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
class Publication:
    """What one link run changes, as columns. All ids are of records and persons known to the store
    or founded here; `closed` and `opened` together move a record.

    Attributes:
        founded: new persons: person_id string, founder int64 (record_id), counter int32, continues
            string (the person whose larger part it takes on after a split; or null).
        ended: persons that are no longer present: person_id string, ending string (a `Fate`), into
            string (the person it was merged into; null for every other ending).
        revived: person_id string: persons that had ended and are present again.
        closed: record_id int64: memberships that end.
        opened: record_id int64, person_id string: memberships that begin.
        tasks: review tasks of this run: left int64, right int64 (record ids, left < right), bits
            float64, reason string.
    """

    founded: pa.Table
    ended: pa.Table
    revived: pa.Table
    closed: pa.Table
    opened: pa.Table
    tasks: pa.Table


@dataclass(frozen=True)
class HeldRecord:
    """One record as the store holds it, unsealed."""

    record_id: int
    version_id: int
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


@dataclass(frozen=True)
class Erased:
    """What an erasure did.

    Attributes:
        records, versions, items: how many were erased; nothing of what they held is left.
        resealed: rows of others that shared a data key with them and were sealed anew.
        segments: match segments written anew.
        keys: data keys destroyed.
        lifted: nothing was erased; a record erased before may come back.
    """

    records: int = 0
    versions: int = 0
    items: int = 0
    resealed: int = 0
    segments: int = 0
    keys: int = 0
    lifted: bool = False

    def plus(self, **more: int) -> Erased:
        """With more of what is counted."""
        return replace(self, **{name: getattr(self, name) + n for name, n in more.items()})


@dataclass(frozen=True)
class SavedTables:
    """What was saved of a database.

    Attributes:
        schema: its revision.
        rows: table → rows.
        generation, run: how far it was: batches that linkage should see, latest published run.
    """

    schema: str
    rows: Mapping[str, int]
    generation: int
    run: int


@dataclass(frozen=True)
class SavedKeys:
    """Which keys go with it: the keystore's identity, the latest data key that it ever gave."""

    identity: str
    last_key: int


@dataclass(frozen=True)
class LogPlaces:
    """Where a restore finds the audit log, and by whom it is made.

    Attributes:
        saved: what the backup holds of it. live: the folder of the workspace that is replaced.
            Either may be missing.
        staged: where a folder is made that is to take the live one's place, if that cannot stay.
        by: who restores.
    """

    saved: Path
    live: Path
    staged: Path
    by: str


class Store(LinkStore, Protocol):
    """Everything durable. Each method is one transaction or a few short ones; a method that
    returns has committed."""

    def close(self) -> None:
        """Releases connections."""

    # --- feeds -----------------------------------------------------------------------------
    def feeds(
        self, source: SourceId, digests: Sequence[str] | None = None
    ) -> Mapping[str, FeedRow]:
        """The feeds of the source, by sha256: every one, or those of `digests` that are known."""

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

    def withdraw_absent(self, feed_id: int, most: float) -> int:
        """Withdraws the source's live records that were last said before a feed, because the feed
        is the source's whole list and has been loaded; returns how many.

        Raises: FeedRefused (`incomplete`): more than this share of the source's live records;
        nothing is withdrawn then.
        """

    def end_feed(self, feed_id: int, state: FeedState, reason: str, now: Instant) -> None:
        """Marks a feed loaded or refused. A refused one counts as one unit, quarantined."""

    def quarantined(
        self, source: SourceId | None = None, limit: int | None = None
    ) -> Iterator[QuarantinedUnit]:
        """Units that were not loaded, of one source or all, in order of arrival."""

    # --- linkage ---------------------------------------------------------------------------
    def match_columns(self) -> pa.Table:
        """Every live record: record_id int64, version_id int64, source string, founder binary (a
        stable key of source and local id), same_as int64 (the record of the same source that the
        source merged it into, or null), and MATCH_SCHEMA. Sorted by record_id."""

    def past_columns(self, version_ids: Sequence[int]) -> pa.Table:
        """The columns of `match_columns` for these versions, live or former, sorted by record_id;
        `same_as` is null. A version that is not held (erased) is absent."""

    def memberships(self, run_id: int | None = None) -> pa.Table:
        """The published partition, or that of a former run: record_id int64, person_id string.
        Sorted by record_id."""

    def last_persons(self, record_ids: Sequence[int]) -> pa.Table:
        """Those of the records that were in a person and are in none now: record_id int64,
        person_id string, the present person that the last one they were in leads to (absent where
        it leads to none). Sorted by record_id."""

    def founded_counts(self, of: Collection[int] | None = None) -> Mapping[int, int]:
        """record_id → persons it has founded so far, where any; `of` asks of some records only."""

    def former_identities(self) -> Sequence[FormerIdentity]:
        """What the changes of identity that hold set apart, the earliest change first."""

    def published_run(self) -> int:
        """The number of the latest published run; 0 before the first."""

    def last_run(self) -> RunRow | None:
        """The latest published run."""

    def runs(self) -> Sequence[RunRow]:
        """Every published run, oldest first."""

    def run_as_at(self, at: Instant) -> int:
        """The run whose persons were shown at that time; 0 where there was none yet."""

    def run_delta(self, run_id: int) -> pa.Table:
        """A run's delta (see NewRun): of DELTA_SCHEMA, sorted by record_id."""

    def generation(self) -> int:
        """A number that grows with every batch that changed a live record."""

    def publish(self, run: NewRun, changes: Publication, now: Instant) -> int:
        """Publishes a run in short transactions, visible all at once; returns its id. What a
        publish that died left behind is cleared first, so that the result is the same. Undos and
        releases that were pending are shown by it. Its time is never before that of the run before
        it."""

    def undos(self) -> Sequence[Undo]:
        """Every undo, oldest first."""

    def undo_sequence(self) -> int:
        """A number that grows with every undo and release."""

    def undo_run(self, run_id: int, basis: int, inputs: Mapping[str, Any], now: Instant) -> Undo:
        """Undoes a published run, from the next link on. Raises: StoreError: not published, or
        undone already."""

    def release_run(self, run_id: int, now: Instant) -> Undo:
        """Lifts the undo of a run, from the next link on. Raises: StoreError: not undone."""

    # --- decisions and review --------------------------------------------------------------
    def decisions(self) -> Sequence[Decision]:
        """Every decision, oldest first: those that act and those that do not."""

    def decision_sequence(self) -> int:
        """A number that grows with every change of a decision."""

    def write_decisions(
        self, seen: int, new: Sequence[Decision], changed: Sequence[Decision], event: AuditEvent
    ) -> Sequence[Decision]:
        """Writes decisions together with their event, in one transaction; returns the new ones
        with their ids. `changed` are held ones with another standing. A new one whose `act` is 0
        belongs to the act of the first. Raises: WorkspaceBusy: the sequence is no longer `seen`."""

    def decided(self) -> Decided:
        """What decisions, and the sources' own merges, bind linkage to, of live records."""

    def resting_decisions(self) -> frozenset[int]:
        """Ids of decisions that would act, were not one of their records another person now."""

    def review_tasks(self) -> pa.Table:
        """The review tasks of the latest run: left int64, right int64 (record ids, left < right),
        bits float64, reason string. Sorted by pair."""

    def held(self, record_ids: Collection[int]) -> Sequence[HeldRecord]:
        """The live ones of these records, by record id."""

    def members(self, persons: Collection[PersonId]) -> frozenset[int]:
        """Ids of the records that are published in any of these persons."""

    def with_items(self, record_ids: Collection[int], heading: Heading) -> frozenset[int]:
        """Those of the records that have a care item under the heading."""

    def shown_together(
        self, ones: Collection[int], others: Collection[int]
    ) -> Mapping[PersonId, Instant]:
        """Every person, present or gone, that ever showed a record of the one group with one of the
        other, and since when it first did."""

    def add_quality_pairs(self, pairs: pa.Table, now: Instant) -> None:
        """Keeps pairs drawn for quality control: left int64, right int64, bits float64, low float64
        (where the stratum begins), stratum_pairs int64 (how many pairs it has), judgements int64
        (how many people are to judge the pair)."""

    def quality_pairs(self) -> pa.Table:
        """Every pair drawn, as `add_quality_pairs`, with drawn_at string; oldest draw first."""

    # --- looking ---------------------------------------------------------------------------
    def person_records(self, person: PersonId) -> Sequence[HeldRecord]:
        """The person's live records, or [] for an unknown id. Resolves nothing."""

    def resolve(self, person: PersonId) -> Resolution:
        """The present person that an id leads to (itself, or one it was merged into), or why it
        leads to none."""

    def person_past(self, person: PersonId) -> PersonPast | None:
        """What is known of a person over time; None for an unknown id."""

    def record(self, source: SourceId, local_id: LocalId) -> HeldRecord | None:
        """One live record by its source's id."""

    def numbered(self, number: NhsNumber) -> Sequence[HeldRecord]:
        """The live records that bear this NHS number, by record id."""

    def person_items(self, person: PersonId) -> Mapping[str, int]:
        """Heading → number of care items held for the person's records."""

    def export_rows(
        self, run_id: int | None = None, hidden: Hidden | None = None
    ) -> Iterator[Sequence[tuple[SourceId, LocalId, PersonId]]]:
        """(source, local id, person id) of every published membership, in chunks; or of those of a
        former run. What is hidden is left out."""

    def record_sources(self) -> pa.Table:
        """record_id int64, source string, local_id string of every live record (unsealed)."""

    def last_feeds(self) -> Mapping[SourceId, Instant]:
        """When the last feed of each source came that was loaded."""

    def source_states(self) -> Mapping[SourceId, SourceState]:
        """What is held, per source."""

    def counts(self) -> Mapping[str, int]:
        """Row counts: records, versions, items, persons, memberships, quarantine, staff, events."""

    # --- erasure ---------------------------------------------------------------------------
    def erase(
        self, source: SourceId, local_id: LocalId, now: Instant, *, may_return: bool
    ) -> Erased:
        """Erases one record for ever: its versions, items and match rows, and the data keys that
        sealed them. Later feeds that name it are quarantined, unless it may return. One that was
        begun before and died is finished. With `may_return`, one erased before is let back in.

        Requires: whoever asks holds the workspace. Raises: NotFound; InvalidValue: erased already.
        """

    def finish_erasures(self) -> Erased:
        """Finishes erasures that were begun and died. Requires: as `erase`."""

    def barred_units(self, feed_id: int) -> int:
        """How many units of the feed were quarantined because they name an erased record."""

    # --- backup ----------------------------------------------------------------------------
    def save(self, tables: Path, keys: Path | None) -> tuple[SavedTables, SavedKeys]:
        """Saves every table, as one moment saw them, to a folder that is made, and the keystore to
        another, which is there, or not at all. Others may write meanwhile."""

    def sign(self, document: bytes) -> str:
        """A keyed digest, hex, that only who has these keys can make."""

    # --- audit -----------------------------------------------------------------------------
    def append_event(self, event: AuditEvent) -> None:
        """Writes one audit event durably. Whoever shows a person calls this first."""

    def events(self) -> Iterator[AuditEvent]:
        """Every audit event, oldest first."""
