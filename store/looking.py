"""Looking things up: one person's records, one record, what is held.

Rules:
- A record is found by keyed digest or by row id; its content is unsealed only then.
- Persons and memberships are those of the published run.
- A merged-away person's id leads, step by step, to the person that is present.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from sqlalchemy import ColumnElement, Connection, and_, func, select

from schemas.dates import Instant
from schemas.identifiers import LocalId, NhsNumber, PersonId, SourceId
from schemas.records import ClientRecord
from service.ports import FeedState, HeldRecord, SourceState
from store import tables
from store.database import PUBLISHED, Database, read_counter
from store.linking import is_published, memberships, record_sources
from store.tables import care_item, feed, field_issue, membership, person, quarantine, record
from store.tables import record_version as version

_DECODER = msgspec.json.Decoder(ClientRecord)
_EXPORT_ROWS = 10_000
_COUNTED = {
    "records": tables.record,
    "versions": tables.record_version,
    "items": tables.care_item,
    "quarantine": tables.quarantine,
    "staff": tables.staff_entry,
    "events": tables.audit_event,
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
        .where(where)
        .order_by(record.c.record_id)
    ).all()
    contents = database.sealer.unseal_many(
        version, "content", ((row.version_id, row.content) for row in rows)
    )
    return [
        HeldRecord(
            record_id=row.record_id,
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


def resolve(database: Database, person_id: PersonId) -> PersonId | None:
    """See service.ports.Store.resolve."""
    with database.reading() as conn:
        published = read_counter(conn, PUBLISHED)
        present: PersonId | None = None
        leads_to: PersonId | None = person_id
        while leads_to is not None:
            row = conn.execute(
                select(person).where(
                    person.c.person_id == leads_to, person.c.founded_run <= published
                )
            ).one_or_none()
            if row is None:
                return None
            present = leads_to
            ended = row.ended_run is not None and row.ended_run <= published
            if ended and row.merged_into is None:
                return None
            leads_to = row.merged_into if ended else None
        return present


def person_items(database: Database, person_id: PersonId) -> dict[str, int]:
    """See service.ports.Store.person_items."""
    with database.reading() as conn:
        rows = conn.execute(
            select(care_item.c.heading, func.count())
            .join(record, record.c.record_key == care_item.c.subject_key)
            .join(membership, membership.c.record_id == record.c.record_id)
            .where(membership.c.person_id == person_id, is_published(read_counter(conn, PUBLISHED)))
            .group_by(care_item.c.heading)
            .order_by(care_item.c.heading)
        )
        return {str(heading): int(count) for heading, count in rows}


def export_rows(database: Database) -> Iterator[Sequence[tuple[SourceId, LocalId, PersonId]]]:
    """See service.ports.Store.export_rows. In order of record id."""
    members, held = memberships(database), record_sources(database)
    record_ids = held["record_id"].to_numpy()
    places = np.searchsorted(record_ids, members["record_id"].to_numpy())
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


def source_states(database: Database) -> dict[SourceId, SourceState]:
    """See service.ports.Store.source_states. Every source that ever sent a feed."""
    with database.reading() as conn:
        sources = conn.scalars(select(feed.c.source).distinct().order_by(feed.c.source)).all()
        records = _by_source(conn, select(record.c.source, func.count()).group_by("source"))
        items = _by_source(conn, select(care_item.c.source, func.count()).group_by("source"))
        rejected = select(feed.c.source, func.count()).join_from(quarantine, feed)
        quarantined = _by_source(conn, rejected.group_by(feed.c.source))
        loaded = feed.c.state == FeedState.LOADED.value
        latest = select(feed.c.source, func.max(feed.c.received_at)).where(loaded)
        last = _by_source(conn, latest.group_by(feed.c.source))
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
    """See service.ports.Store.counts. Persons are those present, memberships those published."""
    with database.reading() as conn:
        published = read_counter(conn, PUBLISHED)
        found = {
            name: int(conn.scalar(select(func.count()).select_from(table)) or 0)
            for name, table in _COUNTED.items()
        }
        present = and_(
            person.c.founded_run <= published,
            person.c.ended_run.is_(None) | (person.c.ended_run > published),
        )
        for name, table, where in (
            ("persons", person, present),
            ("memberships", membership, is_published(published)),
        ):
            query = select(func.count()).select_from(table).where(where)
            found[name] = int(conn.scalar(query) or 0)
        return found
