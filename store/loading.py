"""Loads one batch of a feed: everything it holds, its outcomes and the feed's progress, at once.

Rules:
- Hashing, classifying and sealing are done on a snapshot, before the write transaction opens; that
  transaction only writes prepared rows (store/database.py, `optimistic`).
- Which version is live, and what an arrival counts as: store/versions.py.
- What a withdrawal counts as: store/withdrawals.py. A merge, the undoing of one and a change of
  identity are `changed` when they are news, `unchanged` when known.
- A unit's outcome: quarantined if rejected; else new if any part of it is new, changed if any
  changed, unchanged otherwise; but a unit with a client record that was held before counts as
  changed where any part is new.
- The generation grows when a live record changed, came or went, or where a merge leads, and with
  every change of identity that is news.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, Table, insert, update

from schemas.columns import MATCH_SCHEMA, UnitBatch
from schemas.dates import Instant
from schemas.errors import StoreError
from schemas.records import Outcome
from service.ports import FeedRow, FeedState
from store.barring import next_version, without_barred
from store.bulk import Rows
from store.classing import CLASS_COLUMNS, Classes
from store.database import GENERATION, LOADS, Database, advance, next_id, read_counter
from store.feeds import Detail, progress, read_feed, sealed_details
from store.identity_changes import COLUMNS as CHANGE_COLUMNS
from store.identity_changes import Moments, after_the_change, plan_changes
from store.kinds import KINDS, RECORD, Kind
from store.merges import plan_merges
from store.segments import COLUMNS as SEGMENT_COLUMNS
from store.segments import IDS_SCHEMA, segment_row
from store.tables import (
    access_class,
    field_issue,
    identity_change,
    match_segment,
    quarantine,
    withdrawal,
)
from store.versions import (
    CHANGED,
    NEW,
    UNCHANGED,
    Arrivals,
    Head,
    History,
    Plan,
    TakenBack,
    fold,
    heads_needing_history,
)
from store.withdrawals import COLUMNS as WITHDRAWAL_COLUMNS
from store.withdrawals import Withdrawals, plan_withdrawals, read_withdrawals, taken_back

_REJECTED = NEW + 1
_OUTCOMES = {
    UNCHANGED: Outcome.UNCHANGED,
    CHANGED: Outcome.CHANGED,
    NEW: Outcome.NEW,
    _REJECTED: Outcome.QUARANTINED,
}
_HEAD_COLUMNS = ("as_at", "content_hash", "version_id")
_VERSION_COLUMNS = ("feed_id", "first_as_at", "last_as_at", "content_hash", "content")
_QUARANTINE_COLUMNS = ("quarantine_id", "feed_id", "unit", "reason", "detail")


def load_batch(
    database: Database, feed_id: int, number: int, batch: UnitBatch, default_as_at: Instant
) -> Mapping[Outcome, int]:
    """See service.ports.Store.load_batch.

    Raises: StoreError: not the feed's next batch, or a unit without an outcome.
    """
    with database.reading() as conn:
        source = read_feed(conn, feed_id).source
    batch = without_barred(database, source, batch)
    arrivals = {
        kind: _arrivals(database, kind, source, kind.rows(batch), default_as_at) for kind in KINDS
    }
    arrivals[RECORD], together = after_the_change(
        database, source, batch.changes, arrivals[RECORD], default_as_at
    )
    withdrawals = read_withdrawals(database, source, batch.withdrawals, default_as_at)

    def prepare(snapshot: Connection, _: int) -> Callable[[Connection], Mapping[Outcome, int]]:
        known = read_feed(snapshot, feed_id)
        _check_next(known, number)
        work, units = _Work(database, snapshot, known, batch), _UnitOutcomes(batch)
        records, taken = work.fold_records(arrivals[RECORD], withdrawals)
        units.add(arrivals[RECORD].units, records, is_record=True)
        units.add(withdrawals.units, taken, is_record=False)
        for kind in KINDS:
            if kind is not RECORD:
                units.add(arrivals[kind].units, work.fold_kind(kind, arrivals[kind]))
        units.add(*work.fold_merges(default_as_at))
        units.add(*work.fold_changes(default_as_at, together))
        work.quarantine()
        counts = units.counts()

        def write(conn: Connection) -> Mapping[Outcome, int]:
            work.write(conn)
            _count_issues(conn, feed_id, batch.issues)
            conn.execute(progress(feed_id, number + 1, counts))
            return counts

        return write

    return database.optimistic(LOADS, prepare)


def _check_next(known: FeedRow, number: int) -> None:
    if known.state is not FeedState.LOADING or known.batches_done != number:
        raise StoreError(
            f"feed {known.feed_id}, batch {number}: expected batch {known.batches_done} of a feed"
            f" that is loading; it is {known.state}"
        )


def _arrivals(
    database: Database, kind: Kind, source: str, rows: pa.Table, default_as_at: Instant
) -> Arrivals:
    contents = rows["content"].to_pylist()
    indexes = database.keys.indexes
    return Arrivals(
        units=rows["unit"].to_pylist(),
        keys=kind.keys(indexes, source, rows),
        as_ats=[as_at or default_as_at for as_at in rows["as_at"].to_pylist()],
        hashes=indexes.content_hashes(kind.name, source, contents),
        contents=contents,
    )


class _Work:
    """What one batch of a feed writes, prepared on a snapshot.

    Attributes:
        inserts: (table, columns, rows), in order.
        updates: (table, key column, columns, rows of (key, *values)).
        relinks: whether linkage would see a difference.
    """

    def __init__(
        self, database: Database, snapshot: Connection, known: FeedRow, batch: UnitBatch
    ) -> None:
        self.database, self.snapshot, self.known, self.batch = database, snapshot, known, batch
        self.inserts: list[tuple[Table, Sequence[str], Rows]] = []
        self.updates: list[tuple[Table, str, Sequence[str], Rows]] = []
        self.relinks = False
        self._classes = Classes(database, snapshot)
        self._records: dict[bytes, Head] = {}

    def fold_kind(self, kind: Kind, arrivals: Arrivals) -> list[int]:
        """Plans the arrivals of a kind that is never withdrawn; returns their outcomes."""
        if not arrivals.keys:
            return []
        heads = self._held(kind, arrivals.keys)
        plan = self._fold(kind, arrivals, heads, TakenBack())
        self._heads(kind, plan, heads)
        return plan.outcomes

    def fold_records(
        self, arrivals: Arrivals, withdrawals: Withdrawals
    ) -> tuple[list[int], list[int]]:
        """Plans client records, then withdrawals; returns the outcomes of each."""
        if not arrivals.keys and not withdrawals.keys:
            return [], []
        heads = self._records = self._held(RECORD, [*arrivals.keys, *withdrawals.keys])
        standing = {key for key, head in heads.items() if head.stood}
        unsure = [key for key in arrivals.keys if key not in standing]
        taken = taken_back(self.database, self.snapshot, self.known.source, unsure)
        plan = self._fold(RECORD, arrivals, heads, taken)
        back = plan_withdrawals(self.database, self.snapshot, self.known, withdrawals, heads)
        self.inserts.append((withdrawal, WITHDRAWAL_COLUMNS, back.founded))
        self._heads(RECORD, plan, heads)
        self._segment(heads)
        self.relinks |= any(
            not head.stood or head.row >= 0 if head.withdrawn_at is None else head.stood
            for head in heads.values()
        )
        return plan.outcomes, back.outcomes

    def _held(self, kind: Kind, keys: Sequence[bytes]) -> dict[bytes, Head]:
        """What is held under the keys."""
        columns = (kind.key_column, kind.id_column, *_HEAD_COLUMNS, *kind.withdrawn_columns)
        found = self.database.bulk.lookup(self.snapshot, kind.head, kind.key_column, columns, keys)
        heads = {row[0]: Head(*row[1:]) for row in found}
        for head in heads.values():
            head.stood = head.withdrawn_at is None
        return heads

    def _fold(
        self, kind: Kind, arrivals: Arrivals, heads: dict[bytes, Head], taken: TakenBack
    ) -> Plan:
        plan = fold(
            arrivals,
            heads,
            self._history(kind, heads_needing_history(arrivals, heads)),
            next_id(self.snapshot, kind.head.c[kind.id_column]),
            next_version(self.snapshot, kind),
            taken,
        )
        self._versions(kind, arrivals, plan)
        return plan

    def _history(self, kind: Kind, head_ids: set[int]) -> History:
        spans: dict[tuple[int, bytes], list[tuple[str, str]]] = {}
        columns = (kind.id_column, "content_hash", "first_as_at", "last_as_at")
        for head_id, digest, first, last in self.database.bulk.lookup(
            self.snapshot, kind.version, kind.id_column, columns, head_ids, "last_as_at IS NOT NULL"
        ):
            spans.setdefault((head_id, digest), []).append((first, last))
        return spans

    def _heads(self, kind: Kind, plan: Plan, heads: Mapping[bytes, Head]) -> None:
        """Rows of heads founded, of those whose live version changed, of those moved on or
        withdrawn."""
        source = self.known.source
        founded = {head.head_id for _, head in plan.founded}
        changed = [h for h in heads.values() if h.changed and h.head_id not in founded]
        rows = [h.row for _, h in plan.founded] + [h.row for h in changed]
        taken = kind.rows(self.batch).select(kind.extra_sources).take(pa.array(rows, pa.int64()))
        extras = iter(kind.extras(self.database.keys.indexes, source, taken, self._classes))
        withdrawn = kind.withdrawn_columns
        state = (*_HEAD_COLUMNS, *withdrawn)
        columns = (kind.id_column, "source", kind.key_column, *state, *kind.extra_columns)

        def values(head: Head) -> tuple[Any, ...]:
            since = (head.withdrawn_at,) if withdrawn else ()
            return (head.as_at, head.content_hash, head.version_id, *since)

        self.inserts.append(
            (
                kind.head,
                columns,
                [(h.head_id, source, key, *values(h), *next(extras)) for key, h in plan.founded],
            )
        )
        self.updates += [
            (
                kind.head,
                kind.id_column,
                (*state, *kind.extra_columns),
                [(h.head_id, *values(h), *next(extras)) for h in changed],
            ),
            (
                kind.head,
                kind.id_column,
                state,
                [
                    (h.head_id, *values(h))
                    for h in heads.values()
                    if (h.advanced or h.retaken) and not h.changed and h.head_id not in founded
                ],
            ),
        ]

    def _versions(self, kind: Kind, arrivals: Arrivals, plan: Plan) -> None:
        sealed = self.database.sealer.seal_many(
            self.known.source,
            kind.version,
            "content",
            [v.version_id for v in plan.versions],
            [arrivals.contents[v.row] for v in plan.versions],
        )
        feed_id, hashes = self.known.feed_id, arrivals.hashes
        rows = [
            (v.version_id, v.head_id, feed_id, v.first_as_at, v.last_as_at, hashes[v.row], content)
            for v, content in zip(plan.versions, sealed, strict=True)
        ]
        self.inserts.append((kind.version, ("version_id", kind.id_column, *_VERSION_COLUMNS), rows))
        self.updates.append((kind.version, "version_id", ("last_as_at",), plan.superseded))

    def _segment(self, heads: Mapping[bytes, Head]) -> None:
        """The match segment of the versions that this batch made their records' own. Withdrawn
        records have theirs too: they may come back without another."""
        live = sorted(
            ((key, head) for key, head in heads.items() if head.row >= 0),
            key=lambda pair: pair[1].head_id,
        )
        if not live:
            return
        columns = ["local_id", *MATCH_SCHEMA.names]
        rows = self.batch.records.select(columns).take([head.row for _, head in live])
        ids = pa.table(
            [
                [head.head_id for _, head in live],
                [head.version_id for _, head in live],
                [key for key, _ in live],
                rows["local_id"],
            ],
            schema=IDS_SCHEMA,
        )
        segment_id = next_id(self.snapshot, match_segment.c.segment_id)
        row = segment_row(
            self.database, segment_id, self.known.source, ids, rows.select(MATCH_SCHEMA.names)
        )
        self.inserts.append((match_segment, SEGMENT_COLUMNS, [row]))

    def fold_merges(self, default_as_at: Instant) -> tuple[list[int], list[int]]:
        """Plans the batch's merges, after its records; returns their units and outcomes."""
        rows = self.batch.merges
        plan = plan_merges(
            self.database, self.snapshot, self.known, rows, default_as_at, self._records
        )
        self.inserts += plan.inserts
        self.updates += [(table, key, ("as_at",), moved) for table, key, moved in plan.updates]
        self.relinks |= plan.relinks
        return rows["unit"].to_pylist(), plan.outcomes

    def fold_changes(
        self, default_as_at: Instant, together: Moments
    ) -> tuple[list[int], list[int]]:
        """Plans the batch's changes of identity; returns their units and outcomes."""
        rows = self.batch.changes
        plan = plan_changes(self.database, self.snapshot, self.known, rows, default_as_at, together)
        self.inserts.append((identity_change, CHANGE_COLUMNS, plan.founded))
        self.relinks |= bool(plan.founded)
        return rows["unit"].to_pylist(), plan.outcomes

    def quarantine(self) -> None:
        """Plans rows for the units that were not loaded."""
        rejected = self.batch.rejected
        if not rejected:
            return
        first = next_id(self.snapshot, quarantine.c.quarantine_id)
        details = [Detail(r.where, r.field, r.message, r.raw) for r in rejected]
        sealed = sealed_details(self.database, self.known.source, first, details)
        rows = [
            (first + at, self.known.feed_id, r.unit, r.reason, detail)
            for at, (r, detail) in enumerate(zip(rejected, sealed, strict=True))
        ]
        self.inserts.append((quarantine, _QUARANTINE_COLUMNS, rows))

    def write(self, conn: Connection) -> None:
        """Writes what was planned."""
        self.database.bulk.insert(conn, access_class, CLASS_COLUMNS, self._classes.founded)
        for table, columns, rows in self.inserts:
            self.database.bulk.insert(conn, table, columns, rows)
        for table, key, columns, rows in self.updates:
            self.database.bulk.update(conn, table, key, columns, rows)
        if self.relinks:
            advance(conn, GENERATION, read_counter(conn, GENERATION))


class _UnitOutcomes:
    """Gathers the outcomes of a batch's units from those of their parts."""

    def __init__(self, batch: UnitBatch) -> None:
        self._first = batch.first_unit
        self._best = [0] * batch.units
        self._held_before = [False] * batch.units
        self._rejected = [r.unit - batch.first_unit for r in batch.rejected]

    def add(
        self, units: Sequence[int], outcomes: Sequence[int], *, is_record: bool = False
    ) -> None:
        """Adds the outcomes of parts, one per unit given."""
        best, first = self._best, self._first
        for unit, outcome in zip(units, outcomes, strict=True):
            at = unit - first
            best[at] = max(best[at], outcome)
            if is_record and outcome != NEW:
                self._held_before[at] = True

    def counts(self) -> dict[Outcome, int]:
        """Outcome → units. Raises: StoreError where a unit has none."""
        best = [
            CHANGED if outcome == NEW and held else outcome
            for outcome, held in zip(self._best, self._held_before, strict=True)
        ]
        for at in self._rejected:
            best[at] = _REJECTED
        if 0 in best:
            raise StoreError(
                f"unit {self._first + best.index(0)}: neither rejected nor in any table of its"
                " batch; its reader lost it"
            )
        return {outcome: best.count(code) for code, outcome in _OUTCOMES.items()}


def _count_issues(conn: Connection, feed_id: int, issues: Mapping[tuple[str, str], int]) -> None:
    for (name, reason), count in issues.items():
        c = field_issue.c
        grown = conn.execute(
            update(field_issue)
            .where(c.feed_id == feed_id, c.field == name, c.reason == reason)
            .values(units=c.units + count)
        )
        if not grown.rowcount:
            row = {"feed_id": feed_id, "field": name, "reason": reason, "units": count}
            conn.execute(insert(field_issue), row)
