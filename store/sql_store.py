"""The store: one class for SQLite and PostgreSQL, that implements service.ports.Store and
service.sharing_ports.SharingStore; and, by store/audit_events.py, service.audit_ports.AuditStore.

Each method stands in the module of its concern: feeds, loading, linking, publishing, looking. What
the two databases do differently stands in store/bulk.py and store/database.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit.events import AuditEvent
from linkage.prepared import Prepared
from linkage.state import Decided
from schemas.columns import UnitBatch
from schemas.dates import Instant
from schemas.decisions import Decision
from schemas.errors import StoreError
from schemas.identifiers import LocalId, NhsNumber, PersonId, SourceId
from schemas.items import CareItem, Heading
from schemas.records import Outcome, StaffEntry
from schemas.sharing import AccessClass, Agreement, ClassId
from service.former import FormerIdentity, Hidden
from service.ports import (
    Erased,
    FeedFile,
    FeedRow,
    FeedState,
    HeldRecord,
    Publication,
    QuarantinedUnit,
    SavedKeys,
    SavedTables,
    SourceState,
)
from service.runs import KeptState, NewRun, PersonPast, Resolution, RunRow, StateKey, Undo
from service.sharing_ports import Claim, FeedNews, PersonView, Provision, SealedItem
from store import (
    backup,
    barring,
    classing,
    decisions,
    erasing,
    feature_sets,
    feeds,
    identity_changes,
    link_state,
    linking,
    loading,
    looking,
    persons,
    publishing,
    registers,
    review,
    sharing,
    undoing,
    withdrawals,
)
from store.alerts import Alerts
from store.audit_events import AuditEvents
from store.database import Database, open_engine
from store.journal import SecondJournal
from store.keyring import KeyRing
from store.schema import prepare_schema


def open_store(url: str, keys: KeyRing, second: SecondJournal | None = None) -> SqlStore:
    """Opens the database, creating or migrating its schema as needed, and brings in what its second
    journal holds.

    Args:
        url: `sqlite:///FILE` or `postgresql+psycopg://...`.
        keys: of the same workspace; `close` releases their file too.
        second: where audit events go that the database does not take; without it they fail.

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
    store = SqlStore(database, second)
    with suppress(StoreError):  # a database that takes nothing now may take it at a later turn
        store.reconcile_journal()
    return store


class SqlStore(AuditEvents, Alerts):
    """See service.ports.Store and service.sharing_ports.SharingStore for what each method does."""

    def feeds(
        self, source: SourceId, digests: Sequence[str] | None = None
    ) -> Mapping[str, FeedRow]:
        """The source's feeds, by sha256."""
        return feeds.feeds(self.database, source, digests)

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

    def withdraw_absent(self, feed_id: int, most: float) -> int:
        """Withdraws what a whole list lacks; returns how many records."""
        return withdrawals.withdraw_absent(self.database, feed_id, most)

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

    def past_columns(self, version_ids: Sequence[int]) -> pa.Table:
        """Versions, live or former, as columns."""
        return linking.past_columns(self.database, version_ids)

    def live_versions(self) -> npt.NDArray[np.int64]:
        """Ids of the versions of live records."""
        return feature_sets.live_version_ids(self.database)

    def prepared(self, input_hash: str) -> tuple[int, Prepared] | None:
        """What was read for an earlier link."""
        return feature_sets.read_set(self.database, input_hash)

    def keep_prepared(self, input_hash: str, prepared: Prepared) -> None:
        """Keeps what was read for the next link."""
        feature_sets.keep_set(self.database, input_hash, prepared)

    def recent_columns(self, since: int, versions: Collection[int]) -> pa.Table:
        """Columns of versions that were loaded since."""
        return feature_sets.recent_columns(self.database, since, versions)

    def memberships(self, run_id: int | None = None) -> pa.Table:
        """The published partition, or that of a former run."""
        return linking.memberships(self.database, run_id)

    def founded_counts(self, of: Collection[int] | None = None) -> Mapping[int, int]:
        """Record id → persons founded so far."""
        return linking.founded_counts(self.database, of)

    def former_identities(self) -> Sequence[FormerIdentity]:
        """What the changes of identity that hold set apart."""
        return identity_changes.former_identities(self.database)

    def published_run(self) -> int:
        """The number of the latest published run; 0 before the first."""
        return linking.published_run(self.database)

    def last_run(self) -> RunRow | None:
        """The latest published run."""
        return linking.last_run(self.database)

    def runs(self) -> Sequence[RunRow]:
        """Every published run, oldest first."""
        return linking.runs(self.database)

    def run_as_at(self, at: Instant) -> int:
        """The run whose persons were shown at that time."""
        return linking.run_as_at(self.database, at)

    def run_delta(self, run_id: int) -> pa.Table:
        """How a run's records differ from those of the run before."""
        return linking.run_delta(self.database, run_id)

    def generation(self) -> int:
        """A number that grows with every batch that linkage should see."""
        return linking.generation(self.database)

    def state_key(self) -> tuple[int, StateKey] | None:
        """What the latest link state was computed from."""
        return link_state.state_key(self.database)

    def link_state(self) -> KeptState | None:
        """The latest link state."""
        return link_state.read_state(self.database)

    def save_link_state(self, kept: KeptState) -> int:
        """Keeps a link state; returns its id."""
        return link_state.save_state(self.database, kept)

    def publish(self, run: NewRun, changes: Publication, now: Instant) -> int:
        """Publishes a run; returns its id."""
        return publishing.publish(self.database, run, changes, now)

    def undos(self) -> Sequence[Undo]:
        """Every undo, oldest first."""
        return undoing.undos(self.database)

    def undo_sequence(self) -> int:
        """A number that grows with every undo and release."""
        return undoing.undo_sequence(self.database)

    def undo_run(self, run_id: int, basis: int, inputs: Mapping[str, Any], now: Instant) -> Undo:
        """Undoes a run, from the next link on."""
        return undoing.undo_run(self.database, run_id, basis, inputs, now)

    def release_run(self, run_id: int, now: Instant) -> Undo:
        """Lifts the undo of a run."""
        return undoing.release_run(self.database, run_id, now)

    def decisions(self) -> Sequence[Decision]:
        """Every decision, oldest first."""
        return decisions.decisions(self.database)

    def decision_sequence(self) -> int:
        """A number that grows with every change of a decision."""
        return decisions.sequence(self.database)

    def write_decisions(
        self, seen: int, new: Sequence[Decision], changed: Sequence[Decision], event: AuditEvent
    ) -> Sequence[Decision]:
        """Writes decisions together with their event."""
        return decisions.write(self.database, seen, new, changed, event)

    def decided(self) -> Decided:
        """What decisions and the sources' own merges bind linkage to."""
        return decisions.decided(self.database)

    def resting_decisions(self) -> frozenset[int]:
        """Ids of decisions of which a record is another person now."""
        return decisions.resting(self.database)

    def review_tasks(self) -> pa.Table:
        """The review tasks of the latest run."""
        return review.review_tasks(self.database)

    def held(self, record_ids: Collection[int]) -> Sequence[HeldRecord]:
        """The live ones of these records."""
        return review.held(self.database, record_ids)

    def members(self, persons: Collection[PersonId]) -> frozenset[int]:
        """Ids of the records published in these persons."""
        return review.members(self.database, persons)

    def with_items(self, record_ids: Collection[int], heading: Heading) -> frozenset[int]:
        """Those of the records that have a care item under the heading."""
        return review.with_items(self.database, record_ids, heading)

    def shown_together(
        self, ones: Collection[int], others: Collection[int]
    ) -> Mapping[PersonId, Instant]:
        """Persons that ever showed records of both groups, and since when."""
        return review.shown_together(self.database, ones, others)

    def add_quality_pairs(self, pairs: pa.Table, now: Instant) -> None:
        """Keeps pairs drawn for quality control."""
        review.add_quality_pairs(self.database, pairs, now)

    def quality_pairs(self) -> pa.Table:
        """Every pair drawn for quality control."""
        return review.quality_pairs(self.database)

    def person_records(self, person: PersonId) -> Sequence[HeldRecord]:
        """The person's live records."""
        return looking.person_records(self.database, person)

    def resolve(self, person: PersonId) -> Resolution:
        """The present person that an id leads to, or why to none."""
        return persons.resolve(self.database, person)

    def last_persons(self, record_ids: Sequence[int]) -> pa.Table:
        """The person that the last one of each record that left leads to."""
        return persons.last_persons(self.database, record_ids)

    def person_past(self, person: PersonId) -> PersonPast | None:
        """What is known of a person over time."""
        return persons.person_past(self.database, person)

    def record(self, source: SourceId, local_id: LocalId) -> HeldRecord | None:
        """One live record by its source's id."""
        return looking.held_record(self.database, source, local_id)

    def numbered(self, number: NhsNumber) -> Sequence[HeldRecord]:
        """The live records that bear this NHS number."""
        return looking.numbered(self.database, number)

    def person_items(self, person: PersonId) -> Mapping[str, int]:
        """Heading → number of care items."""
        return looking.person_items(self.database, person)

    def export_rows(
        self, run_id: int | None = None, hidden: Hidden | None = None
    ) -> Iterator[Sequence[tuple[SourceId, LocalId, PersonId]]]:
        """(source, local id, person id) of every published membership, or of a former run's."""
        return looking.export_rows(self.database, run_id, hidden)

    def record_sources(self) -> pa.Table:
        """Record id, source, local id of every live record."""
        return linking.record_sources(self.database)

    def last_feeds(self) -> Mapping[SourceId, Instant]:
        """When the last loaded feed of each source came."""
        return looking.last_feeds(self.database)

    def source_states(self) -> Mapping[SourceId, SourceState]:
        """What is held, per source."""
        return looking.source_states(self.database)

    def counts(self) -> Mapping[str, int]:
        """Row counts."""
        return looking.counts(self.database)

    def erase(
        self, source: SourceId, local_id: LocalId, now: Instant, *, may_return: bool
    ) -> Erased:
        """Erases one record for ever."""
        return erasing.erase(self.database, source, local_id, now, may_return=may_return)

    def finish_erasures(self) -> Erased:
        """Finishes erasures that were begun and died."""
        return erasing.finish(self.database)

    def barred_units(self, feed_id: int) -> int:
        """Units of a feed that name an erased record."""
        return barring.barred_units(self.database, feed_id)

    def save(self, tables: Path, keys: Path | None) -> tuple[SavedTables, SavedKeys]:
        """Saves every table, and the keystore apart from them."""
        return backup.save(self.database, tables, keys)

    def sign(self, document: bytes) -> str:
        """A keyed digest of a document."""
        return self.database.keys.sign(document)

    def counters(self) -> Mapping[str, int]:
        """The store's counters by name."""
        return sharing.counters(self.database)

    def views_now(
        self,
        persons: Collection[PersonId],
        headings: Collection[Heading] | None,
        now: Instant,
    ) -> tuple[Mapping[str, int], Mapping[PersonId, PersonView]]:
        """What is held of the persons, and the counters on the same snapshot."""
        return sharing.views_now(self.database, persons, headings, now)

    def open_items(self, items: Sequence[SealedItem]) -> list[CareItem]:
        """The items unsealed, in order."""
        return sharing.open_items(self.database, items)

    def item_named(self, name: str) -> tuple[PersonId, Heading] | None:
        """Whose care item it is, and its heading."""
        return sharing.item_named(self.database, name)

    def access_classes(self, after: int = 0) -> Mapping[ClassId, AccessClass]:
        """The access classes with greater numbers than this."""
        return classing.access_classes(self.database, after)

    def feed_news(self) -> Mapping[SourceId, FeedNews]:
        """When each source's feeds last came."""
        return sharing.feed_news(self.database)

    def restricted_versions(self) -> Mapping[int, int]:
        """Record id → live version id, of records whose source restricts the person."""
        return sharing.restricted_versions(self.database)

    def staff_entries(self, source: SourceId) -> Sequence[StaffEntry]:
        """The whole staff directory of a source."""
        return sharing.staff_entries(self.database, source)

    def staff_entry(self, source: SourceId, staff_id: str) -> StaffEntry | None:
        """The staff directory's entry of this id."""
        return sharing.staff_of(self.database, source, staff_id)

    def write_provision(
        self, provision: Provision, records: Collection[int], event: AuditEvent
    ) -> Provision:
        """Keeps what was laid down about a person."""
        return registers.write_provision(self.database, provision, records, event)

    def end_provision(self, provision_id: int, at: Instant, event: AuditEvent) -> None:
        """Ends a provision."""
        registers.end_provision(self.database, provision_id, at, event)

    def provision_persons(self, provision_id: int) -> frozenset[PersonId]:
        """The present persons that a provision is about."""
        return registers.provision_persons(self.database, provision_id)

    def agreements(self) -> Sequence[Agreement]:
        """Every version of every agreement, oldest first."""
        return registers.agreements(self.database)

    def write_agreements(self, agreements: Sequence[Agreement], event: AuditEvent) -> None:
        """Keeps versions of agreements."""
        registers.write_agreements(self.database, agreements, event)

    def claims(self, *, unreviewed: bool) -> Sequence[Claim]:
        """Every claim, or those that nobody has reviewed, oldest first."""
        return registers.claims(self.database, unreviewed=unreviewed)

    def write_claim(self, claim: Claim, event: AuditEvent) -> Claim:
        """Keeps a new claim, under an id of its own."""
        return registers.write_claim(self.database, claim, event)

    def review_claim(self, claim: Claim, event: AuditEvent) -> None:
        """Writes a claim's follow-up down."""
        registers.review_claim(self.database, claim, event)
