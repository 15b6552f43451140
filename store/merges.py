"""Merges that sources make among their own records: which are news, and where they lead.

Rules:
- A merge is known by its pair (retired, survivor) of keyed digests, the end of one by its pair,
  either way round; the local ids are sealed. Said again later, each keeps the latest as_at.
- Of all merges of a retired record only the latest counts: that with the greatest (as_at,
  survivor key), whatever the order of arrival.
- It holds until the source undoes it, or says the retired record anew: then the local id is in use
  again, perhaps for somebody else. At the same moment an undoing outranks the merge, and the merge
  the record (a record that names its survivor is said at the moment of its merge).
- Where the survivor is not held, or withdrawn, the retired record leads on to the survivor's own
  survivor. Merges in a circle lead each to the next that stands; a record never leads to itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
from sqlalchemy import Connection, Table, select

from schemas.dates import Instant
from schemas.records import SourceMerge
from service.ports import FeedRow
from store.database import Database, next_id
from store.tables import record, source_merge, source_unmerge
from store.versions import CHANGED, UNCHANGED, Head

_ENCODER = msgspec.json.Encoder()

Pair = tuple[bytes, bytes]
"""(retired key, survivor key); of an undoing, the smaller key first."""
Saying = tuple[bytes, bytes, str]
"""(retired key, survivor key, as_at)."""


@dataclass(frozen=True)
class _Form:
    """One of the two tables: what was merged, and what undone."""

    table: Table
    id_column: str
    pair: tuple[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.id_column, "feed_id", "source", *self.pair, "as_at", "content")


_MERGES = _Form(source_merge, "merge_id", ("retired_key", "survivor_key"))
_UNDOINGS = _Form(source_unmerge, "unmerge_id", ("left_key", "right_key"))


@dataclass
class MergePlan:
    """What a batch's merges write.

    Attributes:
        outcomes: per merge row.
        inserts: (table, columns, rows).
        updates: (table, key column, rows of (key, as_at)).
        relinks: whether any retired record leads elsewhere than before.
    """

    outcomes: list[int] = field(default_factory=list)
    inserts: list[tuple[Table, Sequence[str], list[tuple[Any, ...]]]] = field(default_factory=list)
    updates: list[tuple[Table, str, list[tuple[int, str]]]] = field(default_factory=list)
    relinks: bool = False


def leads(
    sayings: Iterable[Saying], undone: Mapping[Pair, str], said: Mapping[bytes, str]
) -> dict[bytes, bytes]:
    """Retired key → the survivor's key.

    Args:
        sayings: merges, in any order.
        undone: pair, the smaller key first → as_at of its latest undoing.
        said: key → as_at of the record, where it is held.
    """
    latest = {
        retired: (survivor, as_at)
        for retired, survivor, as_at in sorted(sayings, key=lambda s: (s[2], s[1]))
    }
    return {
        retired: survivor
        for retired, (survivor, as_at) in latest.items()
        if as_at > undone.get(_pair(retired, survivor), "") and as_at >= said.get(retired, "")
    }


def followed(leading: Mapping[bytes, bytes], stands: Mapping[bytes, Any]) -> Iterator[Pair]:
    """(retired key, key of the record it leads to) of each retired record, both of which stand."""
    for retired, survivor in leading.items():
        passed, end = {retired}, survivor
        while end not in stands and end in leading and end not in passed:
            passed.add(end)
            end = leading[end]
        if retired in stands and end in stands and end != retired:
            yield retired, end


def _pair(one: bytes, other: bytes) -> Pair:
    return (one, other) if one < other else (other, one)


def plan_merges(
    database: Database,
    snapshot: Connection,
    known: FeedRow,
    rows: pa.Table,
    default_as_at: Instant,
    heads: Mapping[bytes, Head],
) -> MergePlan:
    """Plans rows of `MERGE_SCHEMA`, and finds what records said anew have made of merges held.

    Args:
        heads: the records that the batch says or withdraws, as they are after it.
    """
    merges = [SourceMerge(*row) for row in _parts(rows, "retired", "survivor", "undone")]
    as_ats = [as_at or default_as_at for as_at in rows["as_at"].to_pylist()]
    indexes = database.keys.indexes
    retired = indexes.record_keys(known.source, (m.retired for m in merges))
    survivors = indexes.record_keys(known.source, (m.survivor for m in merges))
    plan = MergePlan([UNCHANGED] * len(merges))
    told: dict[bool, list[_Told]] = {False: [], True: []}
    for row, (merge, left, right) in enumerate(zip(merges, retired, survivors, strict=True)):
        pair = _pair(left, right) if merge.undone else (left, right)
        told[merge.undone].append(_Told(row, pair, as_ats[row], merge))
    said_anew = [key for key, head in heads.items() if head.advanced and not head.changed]
    concerned = {*retired, *survivors, *said_anew}
    if not concerned:
        return plan
    merged = _Side(database, snapshot, _MERGES, concerned)
    concerned |= {key for pair in merged.before for key in pair}
    undone = _Side(database, snapshot, _UNDOINGS, concerned)
    before = _leading(database, snapshot, merged.before, undone.before, {})
    merged.add(plan, known, told[False])
    undone.add(plan, known, told[True])
    after = _leading(database, snapshot, merged.after, undone.after, heads)
    plan.relinks = before != after
    return plan


def _parts(rows: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(rows[name].to_pylist() for name in names), strict=True)


@dataclass(frozen=True)
class _Told:
    """One arrival."""

    row: int
    pair: Pair
    as_at: str
    merge: SourceMerge


class _Side:
    """What is held of one of the tables about some records, and what a batch makes of it."""

    def __init__(
        self, database: Database, snapshot: Connection, form: _Form, keys: Iterable[bytes]
    ) -> None:
        self.database, self.snapshot, self.form = database, snapshot, form
        columns = (form.id_column, *form.pair, "as_at")
        found = database.bulk.lookup(snapshot, form.table, form.pair[0], columns, keys)
        self._ids = {(row[1], row[2]): (row[0], row[3]) for row in found}
        self.before: dict[Pair, str] = {pair: as_at for pair, (_, as_at) in self._ids.items()}
        self.after = dict(self.before)

    def add(self, plan: MergePlan, known: FeedRow, told: Sequence[_Told]) -> None:
        """Takes in the arrivals: outcomes and rows to write go to the plan."""
        form, contents = self.form, dict[Pair, bytes]()
        for arrival in told:
            if arrival.pair in self.after:
                self.after[arrival.pair] = max(self.after[arrival.pair], arrival.as_at)
            else:
                plan.outcomes[arrival.row] = CHANGED
                self.after[arrival.pair] = arrival.as_at
                contents[arrival.pair] = _ENCODER.encode(arrival.merge)
        first = next_id(self.snapshot, form.table.c[form.id_column])
        ids = range(first, first + len(contents))
        sealed = self.database.sealer.seal_many(
            known.source, form.table, "content", ids, list(contents.values())
        )
        rows = [
            (row_id, known.feed_id, known.source, *pair, self.after[pair], payload)
            for row_id, pair, payload in zip(ids, contents, sealed, strict=True)
        ]
        plan.inserts.append((form.table, form.columns, rows))
        moved = [(i, self.after[p]) for p, (i, as_at) in self._ids.items() if self.after[p] > as_at]
        plan.updates.append((form.table, form.id_column, moved))


def _leading(
    database: Database,
    snapshot: Connection,
    merged: Mapping[Pair, str],
    undone: Mapping[Pair, str],
    heads: Mapping[bytes, Head],
) -> dict[bytes, bytes]:
    """Where the merges lead, with the records as held but for the heads given."""
    columns = ("record_key", "as_at")
    retired = {pair[0] for pair in merged}
    said = dict(database.bulk.lookup(snapshot, record, "record_key", columns, retired))
    said |= {key: head.as_at for key, head in heads.items() if key in retired}
    return leads(((*pair, as_at) for pair, as_at in merged.items()), undone, said)


def same_as(database: Database, conn: Connection) -> tuple[pa.Array, pa.Array]:
    """Ids of the merged-away records that stand, and of the records that they lead to: int64."""
    merges = list(_rows(conn, _MERGES))
    undone = {(left, right): as_at for left, right, as_at in _rows(conn, _UNDOINGS)}
    keys = {key for retired, survivor, _ in merges for key in (retired, survivor)}
    columns = ("record_key", "record_id", "as_at", "withdrawn_at")
    held = {
        row[0]: row[1:] for row in database.bulk.lookup(conn, record, "record_key", columns, keys)
    }
    leading = leads(merges, undone, {key: row[1] for key, row in held.items()})
    stands = {key: record_id for key, (record_id, _, withdrawn) in held.items() if not withdrawn}
    pairs = [(stands[one], stands[other]) for one, other in followed(leading, stands)]
    return (
        pa.array([pair[0] for pair in pairs], pa.int64()),
        pa.array([pair[1] for pair in pairs], pa.int64()),
    )


def _rows(conn: Connection, form: _Form) -> Iterator[Saying]:
    columns = (*form.pair, "as_at")
    for row in conn.execute(select(*(form.table.c[name] for name in columns))):
        yield row[0], row[1], row[2]
