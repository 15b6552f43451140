"""What linkage reads: the columns of every live record, and the published partition.

Rules:
- Readers see the published run and nothing of one being published: memberships with from_run at
  or before it whose to_run is null or after it; likewise persons.
- Everything of one answer is read on one snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from schemas.columns import MATCH_SCHEMA
from schemas.dates import Instant
from service.ports import RunRow
from store.database import GENERATION, PUBLISHED, Database, read_counter
from store.merges import all_leads
from store.segments import live_ids, live_rows
from store.tables import link_run, membership, person, record

COLUMNS_SCHEMA = pa.schema(
    [
        ("record_id", pa.int64()),
        ("source", pa.string()),
        ("founder", pa.binary()),
        ("same_as", pa.int64()),
        *MATCH_SCHEMA,
    ]
)
SOURCES_SCHEMA = pa.schema(
    [("record_id", pa.int64()), ("source", pa.string()), ("local_id", pa.string())]
)
MEMBERS_SCHEMA = pa.schema([("record_id", pa.int64()), ("person_id", pa.string())])
_PAGE = 100_000


def match_columns(database: Database) -> pa.Table:
    """See service.ports.Store.match_columns."""
    parts = [COLUMNS_SCHEMA.empty_table()]
    with database.reading() as conn:
        same_ids, same_targets = _same_as(database, conn)
        for source, ids, features in live_rows(database, conn):
            found = pc.index_in(ids["record_id"], value_set=same_ids)
            columns = [
                ids["record_id"],
                pa.repeat(pa.scalar(source), ids.num_rows),
                ids["founder"],
                pc.take(same_targets, found),
                *features.columns,
            ]
            parts.append(pa.Table.from_arrays(columns, schema=COLUMNS_SCHEMA))
    return _by_record(pa.concat_tables(parts))


def _same_as(database: Database, conn: Connection) -> tuple[pa.Array, pa.Array]:
    """Ids of merged-away records that are held, and of the records that they lead to."""
    leads = all_leads(conn)
    keys = {key for pair in leads.items() for key in pair}
    ids = dict(database.bulk.lookup(conn, record, "record_key", ("record_key", "record_id"), keys))
    pairs = [
        (ids[retired], ids[survivor])
        for retired, survivor in leads.items()
        if retired in ids and survivor in ids
    ]
    return (
        pa.array([pair[0] for pair in pairs], pa.int64()),
        pa.array([pair[1] for pair in pairs], pa.int64()),
    )


def record_sources(database: Database) -> pa.Table:
    """See service.ports.Store.record_sources."""
    parts = [SOURCES_SCHEMA.empty_table()]
    with database.reading() as conn:
        for source, ids in live_ids(database, conn):
            columns = [
                ids["record_id"],
                pa.repeat(pa.scalar(source), ids.num_rows),
                ids["local_id"],
            ]
            parts.append(pa.Table.from_arrays(columns, schema=SOURCES_SCHEMA))
    return _by_record(pa.concat_tables(parts))


def _by_record(table: pa.Table) -> pa.Table:
    ids = table["record_id"].to_numpy()
    if np.all(ids[1:] > ids[:-1]):
        return table
    return table.take(pa.array(np.argsort(ids, kind="stable")))


def is_published(run_id: int) -> ColumnElement[bool]:
    """Whether a membership holds as of the run."""
    ended = membership.c.to_run
    return and_(membership.c.from_run <= run_id, or_(ended.is_(None), ended > run_id))


def memberships(database: Database) -> pa.Table:
    """See service.ports.Store.memberships."""
    parts = [MEMBERS_SCHEMA.empty_table()]
    with database.reading() as conn:
        for records, persons in _membership_pages(conn, read_counter(conn, PUBLISHED)):
            parts.append(pa.table([records, persons], schema=MEMBERS_SCHEMA))
    return pa.concat_tables(parts)


def _membership_pages(
    conn: Connection, run_id: int
) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    columns = membership.c.record_id, membership.c.person_id
    query = select(*columns).where(is_published(run_id)).order_by(columns[0]).limit(_PAGE)
    last = 0
    while rows := conn.execute(query.where(columns[0] > last)).all():
        records, persons = zip(*rows, strict=True)
        yield records, persons
        last = records[-1]


def founded_counts(database: Database) -> dict[int, int]:
    """See service.ports.Store.founded_counts."""
    with database.reading() as conn:
        rows = conn.execute(
            select(person.c.founder, func.count())
            .where(person.c.founded_run <= read_counter(conn, PUBLISHED))
            .group_by(person.c.founder)
        )
        return {int(founder): int(count) for founder, count in rows}


def last_run(database: Database) -> RunRow | None:
    """See service.ports.Store.last_run."""
    with database.reading() as conn:
        run_id = read_counter(conn, PUBLISHED)
        row = conn.execute(select(link_run).where(link_run.c.run_id == run_id)).one_or_none()
    if row is None:
        return None
    return RunRow(
        run_id=row.run_id,
        state=row.state,
        model_hash=row.model_hash,
        started_at=Instant(row.started_at),
        generation=row.generation,
        summary=msgspec.json.decode(
            database.sealer.unseal(link_run, "summary", row.run_id, row.summary)
        ),
    )


def generation(database: Database) -> int:
    """See service.ports.Store.generation."""
    with database.reading() as conn:
        return read_counter(conn, GENERATION)
