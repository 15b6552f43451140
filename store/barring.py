"""What was erased does not come back by itself: later units that name it, ids of its versions.

Rules:
- A unit that names an erased record is quarantined as a whole, without its bytes, unless the record
  was let back in.
- Version ids of erased versions are not given again: runs and states name them.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, func, select

from schemas.columns import UnitBatch
from schemas.identifiers import SourceId
from schemas.records import Rejected
from store.database import ERASED, Database, next_id, read_counter
from store.keystore import Act
from store.kinds import Kind
from store.tables import quarantine

BARRED = "erased"
"""The reason under which units that name an erased record are quarantined."""


def barred_keys(database: Database) -> frozenset[bytes]:
    """Keyed digests of the records that were erased and may not come back."""
    latest = {
        entry.record_key: entry.act
        for entry in database.keys.keystore.erasures()
        if entry.act is not Act.DONE
    }
    return frozenset(key for key, act in latest.items() if act is Act.ERASED)


def next_version(conn: Connection, kind: Kind) -> int:
    """The next version id of a kind: none that was ever given, erased ones included."""
    column = kind.version.c.version_id
    return max(next_id(conn, column), read_counter(conn, ERASED) + 1)


def without_barred(database: Database, source: SourceId, batch: UnitBatch) -> UnitBatch:
    """The batch with the units that name an erased record rejected as a whole, bytes and all."""
    barred = barred_keys(database)
    if not barred:
        return batch
    naming = (
        (batch.records, "local_id"),
        (batch.items, "subject"),
        (batch.merges, "retired"),
        (batch.merges, "survivor"),
        (batch.withdrawals, "local_id"),
        (batch.changes, "before"),
        (batch.changes, "after"),
    )
    units: set[int] = set()
    for rows, column in naming:
        named = [local_id or "" for local_id in rows[column].to_pylist()]
        keys = database.keys.indexes.record_keys(source, named)
        units |= {
            unit for unit, key in zip(rows["unit"].to_pylist(), keys, strict=True) if key in barred
        }
    if not units:
        return batch
    gone = pa.array(sorted(units), pa.int64())

    def left(rows: pa.Table) -> pa.Table:
        named = pc.is_in(pc.cast(rows["unit"], pa.int64()), value_set=gone)
        return rows.filter(pc.invert(named))

    message = "its record was erased on instruction, and may not come back"
    rejected = [Rejected(unit, f"unit {unit}", "", BARRED, message) for unit in sorted(units)]
    return replace(
        batch,
        records=left(batch.records),
        items=left(batch.items),
        merges=left(batch.merges),
        staff=left(batch.staff),
        withdrawals=left(batch.withdrawals),
        changes=left(batch.changes),
        rejected=(*batch.rejected, *rejected),
    )


def barred_units(database: Database, feed_id: int) -> int:
    """See service.ports.Store.barred_units."""
    with database.reading() as conn:
        query = select(func.count()).select_from(quarantine)
        where = quarantine.c.feed_id == feed_id, quarantine.c.reason == BARRED
        return int(conn.scalar(query.where(*where)) or 0)
