"""Looking things up: one person's records, one record, what is held.

Rules:
- A record is found by keyed digest or by row id; its content is unsealed only then.
- Persons and memberships are those of the published run.
- A withdrawn record is neither shown nor counted, and the care items of its client are not shown;
  both are held.
- What an id answers over time: store/persons.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import ColumnElement, Connection, and_, func, select

from schemas.dates import Instant
from schemas.identifiers import LocalId, NhsNumber, PersonId, SourceId
from schemas.records import ClientRecord
from service.former import Hidden
from service.ports import FeedState, HeldRecord, SourceState
from store import audit_tables, tables
from store.database import PUBLISHED, Database, read_counter
from store.linking import SOURCES_SCHEMA, is_published, memberships, record_sources
from store.persons import present_count
from store.tables import care_item, feed, field_issue, membership, quarantine, record
from store.tables import record_version as version

_DECODER = msgspec.json.Decoder(ClientRecord)
_EXPORT_ROWS = 10_000
_COUNTED = {
    "items": tables.care_item,
    "quarantine": tables.quarantine,
    "staff": tables.staff_entry,
    "events": audit_tables.audit_event,
}


def held_records(
    database: Database, conn: Connection, where: ColumnElement[bool]
) -> list[HeldRecord]:
    """The live records that the condition on record and membership picks, by record id."""
    joined = and_(
        membership.c.record_id == record.c.record_id,
        is_published(read_counter(conn, PUBLISHED)),
    )
    rows = conn.execute(
        select(record, version.c.content, membership.c.person_id)
        .join(version, version.c.version_id == record.c.version_id)
        .outerjoin(membership, joined)
        .where(where, record.c.withdrawn_at.is_(None))
        .order_by(record.c.record_id)
    ).all()
    contents = database.sealer.unseal_many(
        version, "content", ((row.version_id, row.content) for row in rows)
    )
    return [
        HeldRecord(
            record_id=row.record_id,
            version_id=row.version_id,
            source=SourceId(row.source),
            as_at=Instant(row.as_at),
            record=_DECODER.decode(content),
            person_id=row.person_id,
        )
        for row, content in zip(rows, contents, strict=True)
    ]


def person_records(database: Database, person_id: PersonId) -> Sequence[HeldRecord]:
    """See service.ports.Store.person_records."""
    with database.reading() as conn:
        return held_records(database, conn, membership.c.person_id == person_id)


def held_record(database: Database, source: SourceId, local_id: LocalId) -> HeldRecord | None:
    """See service.ports.Store.record."""
    (key,) = database.keys.indexes.record_keys(source, [local_id])
    with database.reading() as conn:
        found = held_records(database, conn, record.c.record_key == key)
    return found[0] if found else None


def numbered(database: Database, number: NhsNumber) -> Sequence[HeldRecord]:
    """See service.ports.Store.numbered."""
    (key,) = database.keys.indexes.number_keys([number])
    with database.reading() as conn:
        return held_records(database, conn, record.c.nhs_key == key)


def person_items(database: Database, person_id: PersonId) -> dict[str, int]:
    """See service.ports.Store.person_items."""
    with database.reading() as conn:
        rows = conn.execute(
            select(care_item.c.heading, func.count())
            .join(record, record.c.record_key == care_item.c.subject_key)
            .join(membership, membership.c.record_id == record.c.record_id)
            .where(
                membership.c.person_id == person_id,
                is_published(read_counter(conn, PUBLISHED)),
                record.c.withdrawn_at.is_(None),
            )
            .group_by(care_item.c.heading)
            .order_by(care_item.c.heading)
        )
        return {str(heading): int(count) for heading, count in rows}


def export_rows(
    database: Database, run_id: int | None = None, hidden: Hidden | None = None
) -> Iterator[Sequence[tuple[SourceId, LocalId, PersonId]]]:
    """See service.ports.Store.export_rows. In order of record id.

    A record that is shown but was withdrawn since is left out of what is published now.
    """
    members, held = _shown(memberships(database, run_id), run_id, hidden), record_sources(database)
    if run_id is not None:
        held = _with_withdrawn(database, held, members["record_id"])
    known = pc.is_in(members["record_id"], value_set=held["record_id"])
    members = members.filter(known)
    places = np.searchsorted(held["record_id"].to_numpy(), members["record_id"].to_numpy())
    for start in range(0, members.num_rows, _EXPORT_ROWS):
        rows = held.take(places[start : start + _EXPORT_ROWS])
        part = members.slice(start, _EXPORT_ROWS)
        yield list(
            zip(
                rows["source"].to_pylist(),
                rows["local_id"].to_pylist(),
                part["person_id"].to_pylist(),
                strict=True,
            )
        )


def _shown(members: pa.Table, run_id: int | None, hidden: Hidden | None) -> pa.Table:
    """Memberships without those that are hidden."""
    if not hidden:
        return members
    late = {r for r, first in hidden.since.items() if run_id is not None and run_id < first}
    records = pa.array(sorted(hidden.records | late), pa.int64())
    persons = pa.array(sorted(hidden.persons), pa.string())
    left_out = pc.or_(
        pc.is_in(members["record_id"], value_set=records),
        pc.is_in(members["person_id"], value_set=persons),
    )
    return members.filter(pc.invert(left_out))


def _with_withdrawn(database: Database, held: pa.Table, wanted: pa.ChunkedArray) -> pa.Table:
    """The live records' sources, and those of wanted records that are live no more."""
    missing = wanted.filter(pc.invert(pc.is_in(wanted, value_set=held["record_id"]))).to_pylist()
    if not missing:
        return held
    look = database.bulk.lookup
    with database.reading() as conn:
        heads = list(
            look(conn, record, "record_id", ("version_id", "record_id", "source"), missing)
        )
        known = {row[0]: row[1:] for row in heads}
        rows = list(look(conn, version, "version_id", ("version_id", "content"), known))
        contents = list(database.sealer.unseal_many(version, "content", rows))
    found = [
        (*known[row[0]], _DECODER.decode(content).local_id)
        for row, content in zip(rows, contents, strict=True)
    ]
    columns = list(zip(*found, strict=True)) or [(), (), ()]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SOURCES_SCHEMA, strict=True)]
    whole = pa.concat_tables([held, pa.Table.from_arrays(arrays, schema=SOURCES_SCHEMA)])
    return whole.sort_by("record_id")


def last_feeds(database: Database) -> dict[SourceId, Instant]:
    """See service.ports.Store.last_feeds."""
    with database.reading() as conn:
        found = _last_feeds(conn)
    return {SourceId(source): Instant(at) for source, at in found.items()}


def _last_feeds(conn: Connection) -> dict[str, Any]:
    loaded = feed.c.state == FeedState.LOADED.value
    latest = select(feed.c.source, func.max(feed.c.received_at)).where(loaded)
    return _by_source(conn, latest.group_by(feed.c.source))


def source_states(database: Database) -> dict[SourceId, SourceState]:
    """See service.ports.Store.source_states. Every source that ever sent a feed."""
    with database.reading() as conn:
        sources = conn.scalars(select(feed.c.source).distinct().order_by(feed.c.source)).all()
        live = select(record.c.source, func.count()).where(record.c.withdrawn_at.is_(None))
        records = _by_source(conn, live.group_by("source"))
        items = _by_source(conn, select(care_item.c.source, func.count()).group_by("source"))
        rejected = select(feed.c.source, func.count()).join_from(quarantine, feed)
        quarantined = _by_source(conn, rejected.group_by(feed.c.source))
        last = _last_feeds(conn)
        issues: dict[str, Counter[tuple[str, str]]] = {source: Counter() for source in sources}
        rows = conn.execute(select(field_issue, feed.c.source).join(feed))
        for row in rows:
            issues[row.source][row.field, row.reason] += row.units
    return {
        SourceId(source): SourceState(
            records=records.get(source, 0),
            items=items.get(source, 0),
            quarantined=quarantined.get(source, 0),
            last_feed_at=last.get(source),
            issues=dict(issues[source]),
        )
        for source in sources
    }


def _by_source(conn: Connection, query: Any) -> dict[str, Any]:
    return {row[0]: row[1] for row in conn.execute(query)}


def counts(database: Database) -> dict[str, int]:
    """See service.ports.Store.counts. Records are those that are live, persons those present,
    memberships those published."""
    with database.reading() as conn:
        published = read_counter(conn, PUBLISHED)
        live, versions = _live_and_versions(conn)
        found = {"versions": versions} | {
            name: int(conn.scalar(select(func.count()).select_from(table)) or 0)
            for name, table in _COUNTED.items()
        }
        found["records"] = live
        found["persons"] = present_count(conn, published)
        shown = select(func.count()).select_from(membership).where(is_published(published))
        found["memberships"] = int(conn.scalar(shown) or 0)
        return found


def _live_and_versions(conn: Connection) -> tuple[int, int]:
    """How many records are live, and how many versions there are of all.

    A head has one version that stands, but for an erased one, which has none; the others are found
    by the index of history. So nobody goes through the versions, which hold the contents.
    """
    gone = record.c.withdrawn_at.is_not(None)
    heads = select(
        func.count().filter(~gone), func.count().filter(gone & (record.c.version_id > 0))
    ).select_from(record)
    past = select(func.count()).select_from(version).where(version.c.last_as_at.is_not(None))
    live, withdrawn = conn.execute(heads).one()
    return live, live + withdrawn + int(conn.scalar(past) or 0)
