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

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Column, ColumnElement, Connection, Text, cast, delete, func, select

from schemas.columns import MATCH_SCHEMA
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
    ids = numbers(conn, record.c.version_id, record.c.withdrawn_at.is_(None))
    live = np.zeros(int(ids.max(initial=0)) + 1, np.bool_)
    live[ids] = True
    return live


def live_table(database: Database, conn: Connection, schemas: Mapping[str, pa.Schema]) -> pa.Table:
    """The rows of live versions, by record id.

    Segments are opened side by side, and columns put in order likewise: Arrow lets other threads
    run meanwhile.

    Args:
        schemas: payload → its columns; `ids` is among them. The table has them all, one after the
            other, and `source` before them.
    """
    live = live_versions(conn)
    columns = [match_segment.c[name] for name in ("segment_id", "source", *schemas)]
    rows = conn.execute(select(*columns).order_by(match_segment.c.segment_id))
    parts: dict[str, list[Future[pa.Table]]] = {name: [] for name in schemas}
    sources: list[str] = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for segment_id, source, *payloads in rows:
            sources.append(source)
            for name, payload in zip(schemas, payloads, strict=True):
                plain = database.sealer.unseal(match_segment, name, segment_id, payload)
                parts[name].append(pool.submit(_table, plain))
        tables = {name: [part.result() for part in found] for name, found in parts.items()}
        ids = pa.concat_tables([schemas["ids"].empty_table(), *tables["ids"]])
        order = _live_order(ids, live)
        jobs = [
            pool.submit(_in_order, [part[column] for part in tables[name]], field.type, order)
            for name, schema in schemas.items()
            for column, field in zip(schema.names, schema, strict=True)
        ]
        owner = np.repeat(np.arange(len(sources)), [len(part) for part in tables["ids"]])
        source = pa.array(sources, pa.string()).take(pa.array(owner[order]))
        found = [source, *(job.result() for job in jobs)]
    names = [column for schema in schemas.values() for column in schema.names]
    return pa.Table.from_arrays(found, names=["source", *names])


def _live_order(ids: pa.Table, live: Live) -> npt.NDArray[np.int64]:
    """The places of rows of live versions, by record id."""
    places = np.flatnonzero(_mask(ids, live))
    by_record = np.argsort(ids["record_id"].to_numpy()[places], kind="stable")
    return places[by_record]


def _in_order(
    parts: list[pa.ChunkedArray], kind: pa.DataType, order: npt.NDArray[np.int64]
) -> pa.Array:
    whole = pa.chunked_array([chunk for part in parts for chunk in part.chunks], kind)
    return whole.combine_chunks().take(pa.array(order))


def columns_since(
    database: Database, conn: Connection, since: int, versions: Collection[int]
) -> pa.Table:
    """Source, ids and features of the rows of some versions in segments after `since`."""
    wanted = pa.array(sorted(versions), pa.int64())
    found = [pa.schema([("source", pa.string()), *IDS_SCHEMA, *MATCH_SCHEMA]).empty_table()]
    for segment_id, source in _segments(conn, match_segment.c.segment_id > since):
        ids = _opened(database, conn, segment_id, "ids")
        rows = pc.is_in(ids["version_id"], value_set=wanted)
        if pc.any(rows).as_py():
            features = _opened(database, conn, segment_id, "features").filter(rows)
            ids = ids.filter(rows)
            columns = [pa.array([source] * len(ids), pa.string()), *ids.columns, *features.columns]
            names = ["source", *ids.column_names, *features.column_names]
            found.append(pa.Table.from_arrays(columns, names).select(found[0].column_names))
    return pa.concat_tables(found)


def numbers(
    conn: Connection, column: Column[int], where: ColumnElement[bool]
) -> npt.NDArray[np.int64]:
    """A column of whole numbers, in no order. The database writes them down as one text: a million
    rows of Python objects would cost a second."""
    listed = func.aggregate_strings(cast(column, Text), ",")
    text = conn.scalar(select(listed).where(where))
    return np.fromstring(text or "", np.int64, sep=",")


def live_rows(database: Database, conn: Connection) -> Iterator[tuple[str, pa.Table, pa.Table]]:
    """(source, ids, features) per segment, only rows of live versions."""
    live = live_versions(conn)
    for segment_id, source in _segments(conn):
        ids = _opened(database, conn, segment_id, "ids")
        mask = pa.array(_mask(ids, live))
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
        order = pc.sort_indices(ids["record_id"])
        segment_id = next_id(snapshot, match_segment.c.segment_id)
        row = segment_row(database, segment_id, source, ids.take(order), features.take(order))

        def write(conn: Connection) -> None:
            conn.execute(delete(match_segment).where(match_segment.c.segment_id.in_(group)))
            database.bulk.insert(conn, match_segment, COLUMNS, [row] if ids.num_rows else [])

        return write

    return prepare


def _segments(conn: Connection, *which: ColumnElement[bool]) -> list[tuple[int, str]]:
    columns = match_segment.c.segment_id, match_segment.c.source
    rows = conn.execute(select(*columns).where(*which).order_by(match_segment.c.segment_id))
    return [(int(segment_id), str(source)) for segment_id, source in rows]


def _still_live(database: Database, conn: Connection, segment_id: int) -> tuple[pa.Table, pa.Table]:
    ids = _opened(database, conn, segment_id, "ids")
    columns = ("version_id",)
    records = ids["record_id"].to_pylist()
    held = database.bulk.lookup(conn, record, "record_id", columns, records)
    live = np.fromiter((row[0] for row in held), np.int64)
    mask = pa.array(np.isin(ids["version_id"].to_numpy(), live))
    return ids.filter(mask), _opened(database, conn, segment_id, "features").filter(mask)


def _mask(ids: pa.Table, live: Live) -> Live:
    versions = ids["version_id"].to_numpy()
    inside = versions < len(live)
    return np.asarray(inside & live[np.where(inside, versions, 0)])


def _opened(database: Database, conn: Connection, segment_id: int, column: str) -> pa.Table:
    payload = conn.scalar(
        select(match_segment.c[column]).where(match_segment.c.segment_id == segment_id)
    )
    assert payload is not None  # the segment was listed in this snapshot
    plain = database.sealer.unseal(match_segment, column, segment_id, payload)
    return _table(plain)


def _table(plain: bytes) -> pa.Table:
    return pa.ipc.open_stream(plain).read_all()


def _bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_WRITE) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue().to_pybytes())
