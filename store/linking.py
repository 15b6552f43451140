"""What linkage reads: the columns of live records and former versions, what runs published.

Rules:
- Readers see the published run and nothing of one being published: memberships with from_run at
  or before it whose to_run is null or after it; likewise persons.
- Everything of one answer is read on one snapshot.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    ScalarSelect,
    and_,
    func,
    literal_column,
    or_,
    select,
)

from schemas.columns import MATCH_SCHEMA, match_table
from schemas.dates import Instant
from schemas.records import ClientRecord
from service.runs import DELTA_SCHEMA, RunKind, RunRow, RunState
from store.arrow import unpacked
from store.database import GENERATION, PUBLISHED, Database, read_counter
from store.merges import same_as
from store.segments import IDS_SCHEMA, live_table, numbers
from store.tables import (
    link_delta,
    link_run,
    membership,
    person,
    record,
    record_version,
    store_meta,
)

COLUMNS_SCHEMA = pa.schema(
    [
        ("record_id", pa.int64()),
        ("version_id", pa.int64()),
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
PUBLISHED_NOW = (
    select(store_meta.c.value)
    .where(store_meta.c.name == literal_column(f"'{PUBLISHED}'"))
    .scalar_subquery()
)
"""The run that is published now, within a statement; no parameter of it."""
_PAGE = 100_000
_OPENED_ROWS = 10_000
_RECORD = msgspec.json.Decoder(ClientRecord)


def match_columns(database: Database) -> pa.Table:
    """See service.ports.Store.match_columns."""
    with database.reading() as conn:
        same_ids, same_targets = same_as(database, conn)
        held = live_table(database, conn, {"ids": IDS_SCHEMA, "features": MATCH_SCHEMA})
    place = pc.index_in(held["record_id"], value_set=same_ids)
    held = held.append_column("same_as", pc.take(same_targets, place))
    return held.select(COLUMNS_SCHEMA.names).cast(COLUMNS_SCHEMA)


def declared_merges(database: Database, conn: Connection) -> list[tuple[int, int]]:
    """(retired, survivor) of the records that their source declared to be one and that stand."""
    retired, survivors = same_as(database, conn)
    return list(zip(retired.to_pylist(), survivors.to_pylist(), strict=True))


def past_columns(database: Database, version_ids: Sequence[int]) -> pa.Table:
    """See service.ports.Store.past_columns."""
    parts = [COLUMNS_SCHEMA.empty_table()]
    with database.reading() as conn:
        for start in range(0, len(version_ids), _OPENED_ROWS):
            wanted = [int(version_id) for version_id in version_ids[start : start + _OPENED_ROWS]]
            parts.append(_opened_versions(database, conn, wanted))
    return _by_record(pa.concat_tables(parts))


def _opened_versions(database: Database, conn: Connection, version_ids: list[int]) -> pa.Table:
    """Columns of the versions that are held, from their contents."""
    columns = ("version_id", "record_id", "content")
    held = list(database.bulk.lookup(conn, record_version, "version_id", columns, version_ids))
    contents = database.sealer.unseal_many(
        record_version, "content", ((row[0], row[2]) for row in held)
    )
    features = match_table(_RECORD.decode(content) for content in contents)
    heads = database.bulk.lookup(
        conn, record, "record_id", ("record_id", "source", "record_key"), (row[1] for row in held)
    )
    known = {record_id: (source, key) for record_id, source, key in heads}
    owners = [known[row[1]] for row in held]
    ids = {
        "record_id": [row[1] for row in held],
        "version_id": [row[0] for row in held],
        "source": [source for source, _ in owners],
        "founder": [key for _, key in owners],
        "same_as": [None] * len(held),
    }
    arrays = [pa.array(ids[name], COLUMNS_SCHEMA.field(name).type) for name in ids]
    return pa.Table.from_arrays([*arrays, *features.columns], schema=COLUMNS_SCHEMA)


def record_sources(database: Database) -> pa.Table:
    """See service.ports.Store.record_sources."""
    with database.reading() as conn:
        held = live_table(database, conn, {"ids": IDS_SCHEMA})
    return held.select(SOURCES_SCHEMA.names).cast(SOURCES_SCHEMA)


def _by_record(table: pa.Table) -> pa.Table:
    ids = table["record_id"].to_numpy()
    if np.all(ids[1:] > ids[:-1]):
        return table
    return table.take(pa.array(np.argsort(ids, kind="stable")))


def is_published(run_id: int | BindParameter[int] | ScalarSelect[int]) -> ColumnElement[bool]:
    """Whether a membership holds as of the run."""
    ended = membership.c.to_run
    return and_(membership.c.from_run <= run_id, or_(ended.is_(None), ended > run_id))


def memberships(database: Database, run_id: int | None = None) -> pa.Table:
    """See service.ports.Store.memberships."""
    parts = [MEMBERS_SCHEMA.empty_table()]
    with database.reading() as conn:
        published = read_counter(conn, PUBLISHED)
        shown = published if run_id is None else min(run_id, published)
        for records, persons in _membership_pages(conn, shown):
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


def founded_counts(database: Database, of: Collection[int] | None) -> dict[int, int]:
    """See service.ports.Store.founded_counts."""
    with database.reading() as conn:
        shown = person.c.founded_run <= read_counter(conn, PUBLISHED)
        founders = numbers(conn, person.c.founder, shown)
    if of is not None:
        founders = founders[np.isin(founders, np.fromiter(of, np.int64))]
    records, counts = np.unique(founders, return_counts=True)
    return dict(zip(records.tolist(), counts.tolist(), strict=True))


def published_run(database: Database) -> int:
    """See service.ports.Store.published_run."""
    return database.counter(PUBLISHED)


def last_run(database: Database) -> RunRow | None:
    """See service.ports.Store.last_run."""
    with database.reading() as conn:
        found = read_runs(database, conn, link_run.c.run_id == read_counter(conn, PUBLISHED))
    return found[0] if found else None


def runs(database: Database) -> Sequence[RunRow]:
    """See service.ports.Store.runs."""
    with database.reading() as conn:
        return read_runs(database, conn, link_run.c.run_id <= read_counter(conn, PUBLISHED))


def read_runs(database: Database, conn: Connection, which: ColumnElement[bool]) -> list[RunRow]:
    """The runs of a condition, oldest first."""
    rows = conn.execute(select(link_run).where(which).order_by(link_run.c.run_id)).all()
    summaries = database.sealer.unseal_many(
        link_run, "summary", ((row.run_id, row.summary) for row in rows)
    )
    return [
        RunRow(
            run_id=row.run_id,
            state=RunState(row.state),
            kind=RunKind(row.kind),
            model_hash=row.model_hash,
            generation=row.generation,
            started_at=Instant(row.started_at),
            state_id=row.state_id,
            summary=msgspec.json.decode(summary),
        )
        for row, summary in zip(rows, summaries, strict=True)
    ]


def run_as_at(database: Database, at: Instant) -> int:
    """See service.ports.Store.run_as_at."""
    with database.reading() as conn:
        shown = link_run.c.run_id <= read_counter(conn, PUBLISHED), link_run.c.started_at <= at
        return int(conn.scalar(select(func.max(link_run.c.run_id)).where(*shown)) or 0)


def run_delta(database: Database, run_id: int) -> pa.Table:
    """See service.ports.Store.run_delta."""
    with database.reading() as conn:
        rows = conn.execute(
            select(link_delta).where(link_delta.c.run_id == run_id).order_by(link_delta.c.delta_id)
        ).all()
    opened = database.sealer.unseal_many(
        link_delta, "body", ((row.delta_id, row.body) for row in rows)
    )
    return pa.concat_tables([DELTA_SCHEMA.empty_table(), *(unpacked(plain) for plain in opened)])


def generation(database: Database) -> int:
    """See service.ports.Store.generation."""
    with database.reading() as conn:
        return read_counter(conn, GENERATION)
