"""Feature sets: records as linkage read them once, as sealed Arrow parts.

Rules:
- A set follows from the records that are held and from what it was read under. It is kept to save
  time: without it, or with an older one, every answer is the same.
- A set is whole or it is not there: its parts are written first, in short transactions; the row
  that names it comes at the end, as that of the one before goes.
- An erasure drops the sets and destroys the keys that they were sealed under.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from linkage.prepared import Prepared
from store.arrow import packed, parts, unpacked
from store.database import Database, next_id
from store.segments import columns_since, live_versions
from store.tables import feature_part, feature_set, match_segment

FEATURE_SOURCE = "feature-set"
"""The key group that sets are sealed in."""


def read_set(database: Database, input_hash: str) -> tuple[int, Prepared] | None:
    """See service.ports.Store.prepared. One that is not whole is none."""
    with database.reading() as conn:
        newest = select(feature_set).order_by(feature_set.c.set_id.desc()).limit(1)
        head = conn.execute(newest).one_or_none()
        if head is None or head.input_hash != input_hash:
            return None
        tables = _tables(database, conn, head.set_id, head.parts)
    return None if tables is None else (head.last_segment, Prepared.of_tables(tables))


def _tables(
    database: Database, conn: Connection, set_id: int, expected: int
) -> dict[str, pa.Table] | None:
    rows = conn.execute(
        select(feature_part.c.part_id, feature_part.c.kind, feature_part.c.body)
        .where(feature_part.c.set_id == set_id)
        .order_by(feature_part.c.part_id)
    )
    found: dict[str, list[pa.Table]] = {}
    with ThreadPoolExecutor() as pool:

        def opened(row: tuple[int, str, bytes]) -> tuple[str, pa.Table]:
            part_id, kind, body = row
            return kind, unpacked(database.sealer.unseal(feature_part, "body", part_id, body))

        for kind, table in pool.map(opened, (tuple(row) for row in rows)):
            found.setdefault(kind, []).append(table)
    if sum(map(len, found.values())) != expected:
        return None
    return {kind: pa.concat_tables(tables) for kind, tables in found.items()}


def keep_set(database: Database, input_hash: str, prepared: Prepared) -> None:
    """See service.ports.Store.keep_prepared."""
    with database.reading() as conn:
        newest = conn.scalar(select(func.max(feature_set.c.set_id))) or 0
        last_segment = conn.scalar(select(func.max(match_segment.c.segment_id))) or 0
    _drop_parts(database, feature_part.c.set_id > newest)
    set_id, number = newest + 1, 0
    for kind, table in prepared.tables().items():
        for part in parts(table):
            _write_part(database, set_id, kind, part)
            number += 1
    row = {
        "set_id": set_id,
        "input_hash": input_hash,
        "last_segment": last_segment,
        "parts": number,
    }
    with database.writing() as conn:
        conn.execute(insert(feature_set), row)
        conn.execute(delete(feature_set).where(feature_set.c.set_id < set_id))
    _drop_parts(database, feature_part.c.set_id < set_id)


def _write_part(database: Database, set_id: int, kind: str, part: pa.Table) -> None:
    with database.reading() as conn:
        part_id = next_id(conn, feature_part.c.part_id)
    body = database.sealer.seal(FEATURE_SOURCE, feature_part, "body", part_id, packed(part))
    row = {
        "part_id": part_id,
        "set_id": set_id,
        "kind": kind,
        "row_count": part.num_rows,
        "body": body,
    }
    with database.writing() as conn:
        conn.execute(insert(feature_part), row)


def forget_sets(database: Database) -> None:
    """Drops all there is; what is sealed next is sealed under keys that are made for it."""
    with database.writing() as conn:
        conn.execute(delete(feature_set))
    _drop_parts(database, feature_part.c.part_id > 0)
    database.keys.held_back(FEATURE_SOURCE)


def _drop_parts(database: Database, which: ColumnElement[bool]) -> None:
    """A part a transaction: a part is large."""
    with database.reading() as conn:
        found = conn.scalars(select(feature_part.c.part_id).where(which)).all()
    for part_id in found:
        with database.writing() as conn:
            conn.execute(delete(feature_part).where(feature_part.c.part_id == part_id))


def live_version_ids(database: Database) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """See service.ports.Store.live_versions."""
    with database.reading() as conn:
        return np.flatnonzero(live_versions(conn))


def recent_columns(database: Database, since: int, versions: Collection[int]) -> pa.Table:
    """See service.ports.Store.recent_columns."""
    with database.reading() as conn:
        return columns_since(database, conn, since, versions).drop_columns(["local_id"])
