"""Loads one batch of a feed: everything it holds, its outcomes and the feed's progress, at once.

Rules:
- Hashing, classifying and sealing are done on a snapshot, before the write transaction opens; that
  transaction only writes prepared rows (store/database.py, `optimistic`).
- Which version is live, and what an arrival counts as: store/versions.py.
- A merge is `changed` when it is news, `unchanged` when known.
- A unit's outcome: quarantined if rejected; else new if any part of it is new, changed if any
  changed, unchanged otherwise; but a unit with a client record that was held before counts as
  changed where any part is new.
- The generation grows when a live record changed, or where a merge leads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
from sqlalchemy import Connection, Table, insert, update

from schemas.columns import MATCH_SCHEMA, UnitBatch
from schemas.dates import Instant
from schemas.errors import StoreError
from schemas.records import Outcome
from service.ports import FeedRow, FeedState
from store.bulk import Rows
from store.database import GENERATION, LOADS, Database, advance, next_id, read_counter
from store.feeds import Detail, progress, read_feed, sealed_details
from store.kinds import KINDS, RECORD, Kind
from store.merges import COLUMNS as MERGE_COLUMNS
from store.merges import plan_merges
from store.segments import COLUMNS as SEGMENT_COLUMNS
from store.segments import IDS_SCHEMA, segment_row
from store.tables import field_issue, match_segment, quarantine, source_merge
from store.versions import (
    CHANGED,
    NEW,
    UNCHANGED,
    Arrivals,
    Head,
    History,
    Plan,
    fold,
    heads_needing_history,
)

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
    arrivals = {
        kind: _arrivals(database, kind, source, kind.rows(batch), default_as_at)
        for kind in KINDS
        if kind.rows(batch).num_rows
    }

    def prepare(snapshot: Connection, _: int) -> Callable[[Connection], Mapping[Outcome, int]]:
        known = read_feed(snapshot, feed_id)
        _check_next(known, number)
        work, units = _Work(database, snapshot, known, batch), _UnitOutcomes(batch)
        for kind, rows in arrivals.items():
            units.add(rows.units, work.fold_kind(kind, rows), is_record=kind is RECORD)
        merge_units, outcomes = work.fold_merges(default_as_at)
        units.add(merge_units, outcomes, is_record=False)
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

    def fold_kind(self, kind: Kind, arrivals: Arrivals) -> list[int]:
        """Plans the arrivals of one kind; returns their outcomes."""
        found = self.database.bulk.lookup(
            self.snapshot,
            kind.head,
            kind.key_column,
            (kind.key_column, kind.id_column, *_HEAD_COLUMNS),
            arrivals.keys,
        )
        heads = {row[0]: Head(*row[1:]) for row in found}
        plan = fold(
            arrivals,
            heads,
            self._history(kind, heads_needing_history(arrivals, heads)),
            next_id(self.snapshot, kind.head.c[kind.id_column]),
            next_id(self.snapshot, kind.version.c.version_id),
        )
        self._heads(kind, plan, heads)
        self._versions(kind, arrivals, plan)
        if kind is RECORD:
            self._segment(heads)
        return plan.outcomes

    def _history(self, kind: Kind, head_ids: set[int]) -> History:
        spans: dict[tuple[int, bytes], list[tuple[str, str]]] = {}
        columns = (kind.id_column, "content_hash", "first_as_at", "last_as_at")
        for head_id, digest, first, last in self.database.bulk.lookup(
            self.snapshot, kind.version, kind.id_column, columns, head_ids, "last_as_at IS NOT NULL"
        ):
            spans.setdefault((head_id, digest), []).append((first, last))
        return spans

    def _heads(self, kind: Kind, plan: Plan, heads: Mapping[bytes, Head]) -> None:
        """Rows of heads founded, of those whose live version changed, of those moved on."""
        source = self.known.source
        founded = {head.head_id for _, head in plan.founded}
        changed = [h for h in heads.values() if h.changed and h.head_id not in founded]
        rows = [h.row for _, h in plan.founded] + [h.row for h in changed]
        taken = kind.rows(self.batch).select(kind.extra_sources).take(pa.array(rows, pa.int64()))
        extras = iter(kind.extras(self.database.keys.indexes, source, taken))
        columns = (kind.id_column, "source", kind.key_column, *_HEAD_COLUMNS, *kind.extra_columns)
        self.inserts.append(
            (
                kind.head,
                columns,
                [
                    (h.head_id, source, key, h.as_at, h.content_hash, h.version_id, *next(extras))
                    for key, h in plan.founded
                ],
            )
        )
        self.updates += [
            (
                kind.head,
                kind.id_column,
                (*_HEAD_COLUMNS, *kind.extra_columns),
                [
                    (h.head_id, h.as_at, h.content_hash, h.version_id, *next(extras))
                    for h in changed
                ],
            ),
            (
                kind.head,
                kind.id_column,
                ("as_at",),
                [
                    (h.head_id, h.as_at)
                    for h in heads.values()
                    if h.advanced and not h.changed and h.head_id not in founded
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
        """The match segment of the records that this batch made live."""
        live = sorted(
            ((key, head) for key, head in heads.items() if head.row >= 0),
            key=lambda pair: pair[1].head_id,
        )
        if not live:
            return
        self.relinks = True
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
        """Plans the batch's merges; returns their units and outcomes."""
        rows = self.batch.merges
        if not rows.num_rows:
            return [], []
        plan = plan_merges(self.database, self.snapshot, self.known, rows, default_as_at)
        self.inserts.append((source_merge, MERGE_COLUMNS, plan.founded))
        self.updates.append((source_merge, "merge_id", ("as_at",), plan.advanced))
        self.relinks |= plan.relinks
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

    def add(self, units: Sequence[int], outcomes: Sequence[int], *, is_record: bool) -> None:
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
