"""Merges that sources make among their own records: which are news, and where they lead.

Rules:
- A merge is known by its pair (retired, survivor) of keyed digests; its local ids are sealed.
- Said again later, it keeps the latest as_at.
- A retired record leads to the survivor of its merge with the greatest (as_at, survivor key),
  whatever the order of arrival.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
from sqlalchemy import Connection, select

from schemas.dates import Instant
from schemas.records import SourceMerge
from service.ports import FeedRow
from store.database import Database, next_id
from store.tables import source_merge
from store.versions import CHANGED, UNCHANGED

COLUMNS = ("merge_id", "feed_id", "source", "retired_key", "survivor_key", "as_at", "content")
_KNOWN_COLUMNS = ("merge_id", "retired_key", "survivor_key", "as_at")
_ENCODER = msgspec.json.Encoder()

Saying = tuple[bytes, bytes, str]
"""(retired key, survivor key, as_at)."""


@dataclass
class MergePlan:
    """What a batch's merges write.

    Attributes:
        outcomes: per merge row.
        founded: rows of `COLUMNS`.
        advanced: (merge id, as_at).
        relinks: whether any retired record leads elsewhere than before.
    """

    outcomes: list[int] = field(default_factory=list)
    founded: list[tuple[Any, ...]] = field(default_factory=list)
    advanced: list[tuple[int, str]] = field(default_factory=list)
    relinks: bool = False


def leads(sayings: Iterable[Saying]) -> dict[bytes, bytes]:
    """Retired key → the survivor's key."""
    ranked = sorted(sayings, key=lambda saying: (saying[2], saying[1]))
    return {retired: survivor for retired, survivor, _ in ranked}


def plan_merges(
    database: Database,
    snapshot: Connection,
    known: FeedRow,
    rows: pa.Table,
    default_as_at: Instant,
) -> MergePlan:
    """Plans rows of `MERGE_SCHEMA`."""
    merges = [
        SourceMerge(retired, survivor)
        for retired, survivor in zip(
            rows["retired"].to_pylist(), rows["survivor"].to_pylist(), strict=True
        )
    ]
    indexes = database.keys.indexes
    retired = indexes.record_keys(known.source, (m.retired for m in merges))
    survivors = indexes.record_keys(known.source, (m.survivor for m in merges))
    found = list(
        database.bulk.lookup(snapshot, source_merge, "retired_key", _KNOWN_COLUMNS, retired)
    )
    held = {(row[1], row[2]): (row[0], row[3]) for row in found}
    before = {pair: as_at for pair, (_, as_at) in held.items()}
    after, contents = dict(before), dict[tuple[bytes, bytes], bytes]()
    plan = MergePlan()
    for row, pair in enumerate(zip(retired, survivors, strict=True)):
        as_at = rows["as_at"][row].as_py() or default_as_at
        if pair in after:
            plan.outcomes.append(UNCHANGED)
            after[pair] = max(after[pair], as_at)
        else:
            plan.outcomes.append(CHANGED)
            after[pair], contents[pair] = as_at, _ENCODER.encode(merges[row])
    first = next_id(snapshot, source_merge.c.merge_id)
    sealed = database.sealer.seal_many(
        known.source,
        source_merge,
        "content",
        range(first, first + len(contents)),
        list(contents.values()),
    )
    plan.founded = [
        (first + at, known.feed_id, known.source, *pair, after[pair], payload)
        for at, (pair, payload) in enumerate(zip(contents, sealed, strict=True))
    ]
    plan.advanced = [
        (merge_id, after[pair]) for pair, (merge_id, as_at) in held.items() if after[pair] > as_at
    ]
    plan.relinks = _leads(before) != _leads(after)
    return plan


def _leads(pairs: dict[tuple[bytes, bytes], str]) -> dict[bytes, bytes]:
    return leads((*pair, as_at) for pair, as_at in pairs.items())


def all_leads(conn: Connection) -> dict[bytes, bytes]:
    """Retired key → the survivor's key, of every merge held."""
    columns = source_merge.c.retired_key, source_merge.c.survivor_key, source_merge.c.as_at
    return leads((row[0], row[1], row[2]) for row in conn.execute(select(*columns)))
