"""Match segments: what linkage reads of live records, as sealed Arrow tables.

Rules:
- A segment holds the rows that became live in one batch, in two payloads: `ids` (record, version,
  founder key, local id) and `features` (MATCH_SCHEMA), so that what needs only ids opens only ids.
- A segment is never updated. A row counts while its version is its record's own: a newer version's
  row, in a later segment, takes its place. The row of a withdrawn record stays, and is not given.
- Each segment has a data key of its own.
- Compaction rewrites many small segments of a source as few of at most `FULL_ROWS` rows, without
  the rows that no longer count; all segments, once most of their rows are dead. It changes no
  answer.
- Rows are filtered as columns, never one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection, delete, func, select

from store.database import LOADS, Database, next_id
from store.tables import match_segment, record

IDS_SCHEMA = pa.schema(
    [
        ("record_id", pa.int64()),
        ("version_id", pa.int64()),
        ("founder", pa.binary()),
        ("local_id", pa.string()),
    ]
)
COLUMNS = ("segment_id", "source", "row_count", "ids", "features")
FULL_ROWS = 65_536
"""Rows of a full segment."""
SMALL_ROWS = 1_024
SMALL_SEGMENTS = 64
"""So many segments of fewer than `SMALL_ROWS` rows are worth writing as few."""
_WRITE = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=1))

Live = npt.NDArray[np.bool_]
"""Whether a version id is that of a live record, by id."""


def segment_row(
    database: Database, segment_id: int, source: str, ids: pa.Table, features: pa.Table
) -> tuple[Any, ...]:
    """A sealed segment as a row of `COLUMNS`. Requires: `ids` and `features` run in parallel."""
    sealed = database.sealer.seal_alone(
        source, match_segment, segment_id, {"ids": _bytes(ids), "features": _bytes(features)}
    )
    return segment_id, source, ids.num_rows, sealed["ids"], sealed["features"]


def live_versions(conn: Connection) -> Live:
    """Which version ids are live."""
    result = conn.execute(select(record.c.version_id).where(record.c.withdrawn_at.is_(None)))
    ids = np.fromiter(result.scalars(), np.int64)
    live = np.zeros(int(ids.max(initial=0)) + 1, np.bool_)
    live[ids] = True
    return live


def live_ids(database: Database, conn: Connection) -> Iterator[tuple[str, pa.Table]]:
    """(source, ids) per segment, only rows of live versions."""
    live = live_versions(conn)
    for segment_id, source in _segments(conn):
        ids = _opened(database, conn, segment_id, "ids")
        yield source, ids.filter(_mask(ids, live))


def live_rows(database: Database, conn: Connection) -> Iterator[tuple[str, pa.Table, pa.Table]]:
    """(source, ids, features) per segment, only rows of live versions."""
    live = live_versions(conn)
    for segment_id, source in _segments(conn):
        ids = _opened(database, conn, segment_id, "ids")
        mask = _mask(ids, live)
        yield source, ids.filter(mask), _opened(database, conn, segment_id, "features").filter(mask)


def compact(database: Database, source: str) -> None:
    """Rewrites the source's segments where that is worth while."""
    for group in _groups(database, source):
        database.optimistic(LOADS, _rewriting(database, source, group))


def _groups(database: Database, source: str) -> list[list[int]]:
    """Segments to write as one, a group each."""
    with database.reading() as conn:
        sizes = conn.execute(
            select(match_segment.c.segment_id, match_segment.c.row_count)
            .where(match_segment.c.source == source)
            .order_by(match_segment.c.segment_id)
        ).all()
        worth = [(key, rows) for key, rows in sizes if rows < SMALL_ROWS]
        if len(worth) < SMALL_SEGMENTS:
            return []
        held = conn.scalar(
            select(func.count()).select_from(record).where(record.c.source == source)
        )
    if sum(rows for _, rows in sizes) > 2 * (held or 0) + FULL_ROWS:
        worth = [(key, rows) for key, rows in sizes]
    groups: list[list[int]] = []
    room = 0
    for segment_id, rows in worth:
        if rows > room:
            groups.append([])
            room = FULL_ROWS
        groups[-1].append(segment_id)
        room -= rows
    return groups


def _rewriting(
    database: Database, source: str, group: Sequence[int]
) -> Callable[[Connection, int], Callable[[Connection], None]]:
    def prepare(snapshot: Connection, _: int) -> Callable[[Connection], None]:
        parts = [_still_live(database, snapshot, segment_id) for segment_id in group]
        ids = pa.concat_tables([part[0] for part in parts])
        features = pa.concat_tables([part[1] for part in parts])
        order = pa.compute.sort_indices(ids["record_id"])
        segment_id = next_id(snapshot, match_segment.c.segment_id)
        row = segment_row(database, segment_id, source, ids.take(order), features.take(order))

        def write(conn: Connection) -> None:
            conn.execute(delete(match_segment).where(match_segment.c.segment_id.in_(group)))
            database.bulk.insert(conn, match_segment, COLUMNS, [row] if ids.num_rows else [])

        return write

    return prepare


def _segments(conn: Connection) -> list[tuple[int, str]]:
    columns = match_segment.c.segment_id, match_segment.c.source
    rows = conn.execute(select(*columns).order_by(match_segment.c.segment_id))
    return [(int(segment_id), str(source)) for segment_id, source in rows]


def _still_live(database: Database, conn: Connection, segment_id: int) -> tuple[pa.Table, pa.Table]:
    ids = _opened(database, conn, segment_id, "ids")
    columns = ("version_id",)
    records = ids["record_id"].to_pylist()
    held = database.bulk.lookup(conn, record, "record_id", columns, records)
    live = np.fromiter((row[0] for row in held), np.int64)
    mask = pa.array(np.isin(ids["version_id"].to_numpy(), live))
    return ids.filter(mask), _opened(database, conn, segment_id, "features").filter(mask)


def _mask(ids: pa.Table, live: Live) -> pa.Array:
    versions = ids["version_id"].to_numpy()
    inside = versions < len(live)
    return pa.array(inside & live[np.where(inside, versions, 0)])


def _opened(database: Database, conn: Connection, segment_id: int, column: str) -> pa.Table:
    payload = conn.scalar(
        select(match_segment.c[column]).where(match_segment.c.segment_id == segment_id)
    )
    assert payload is not None  # the segment was listed in this snapshot
    plain = database.sealer.unseal(match_segment, column, segment_id, payload)
    return pa.ipc.open_stream(plain).read_all()


def _bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_WRITE) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue().to_pybytes())
