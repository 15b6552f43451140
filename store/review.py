"""What the review queue stands on: tasks, the records they are about, pairs for quality control.

Rules:
- Tasks are those of the latest run that was published, in full or in part.
- Records are live ones; which person they belong to is what is published.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import product
from typing import TypeVar

import pyarrow as pa
from sqlalchemy import Connection, insert, select

from schemas.dates import Instant
from schemas.identifiers import PersonId
from schemas.items import Heading
from service.ports import HeldRecord
from store.database import PUBLISHED, Database, next_id, read_counter
from store.linking import is_published
from store.looking import held_records
from store.tables import care_item, link_run, membership, quality_pair, record, review_task

TASKS_SCHEMA = pa.schema(
    [
        ("left", pa.int64()),
        ("right", pa.int64()),
        ("bits", pa.float64()),
        ("reason", pa.string()),
    ]
)
QUALITY_SCHEMA = pa.schema(
    [
        ("left", pa.int64()),
        ("right", pa.int64()),
        ("drawn_at", pa.string()),
        ("bits", pa.float64()),
        ("low", pa.float64()),
        ("stratum_pairs", pa.int64()),
        ("judgements", pa.int64()),
    ]
)
_PAGE = 500
T = TypeVar("T", int, PersonId)
_QUALITY_COLUMNS = (
    quality_pair.c.left_id,
    quality_pair.c.right_id,
    quality_pair.c.drawn_at,
    quality_pair.c.bits,
    quality_pair.c.low,
    quality_pair.c.stratum_pairs,
    quality_pair.c.judgements,
)


def review_tasks(database: Database) -> pa.Table:
    """See service.ports.Store.review_tasks."""
    columns = review_task.c.left_id, review_task.c.right_id, review_task.c.bits
    with database.reading() as conn:
        latest = review_task.c.run_id == read_counter(conn, PUBLISHED)
        query = select(*columns, review_task.c.reason).where(latest).order_by(*columns[:2])
        return _table(conn.execute(query).all(), TASKS_SCHEMA)


def _table(rows: Sequence[Sequence[object]], schema: pa.Schema) -> pa.Table:
    columns = [[row[at] for row in rows] for at in range(len(schema))]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _parts(wanted: Collection[T]) -> Iterable[list[T]]:
    ids = sorted(set(wanted))
    return (ids[start : start + _PAGE] for start in range(0, len(ids), _PAGE))


def held(database: Database, record_ids: Collection[int]) -> list[HeldRecord]:
    """See service.ports.Store.held."""
    found: list[HeldRecord] = []
    with database.reading() as conn:
        for part in _parts(record_ids):
            found += held_records(database, conn, record.c.record_id.in_(part))
    return found


def members(database: Database, persons: Collection[PersonId]) -> frozenset[int]:
    """See service.ports.Store.members."""
    found: set[int] = set()
    with database.reading() as conn:
        published = is_published(read_counter(conn, PUBLISHED))
        query = select(membership.c.record_id).where(published)
        for part in _parts(persons):
            found |= {int(i) for i in conn.scalars(query.where(membership.c.person_id.in_(part)))}
    return frozenset(found)


def with_items(database: Database, record_ids: Collection[int], heading: Heading) -> frozenset[int]:
    """See service.ports.Store.with_items."""
    query = (
        select(record.c.record_id)
        .join(care_item, care_item.c.subject_key == record.c.record_key)
        .where(care_item.c.heading == heading.value)
        .distinct()
    )
    found: set[int] = set()
    with database.reading() as conn:
        for part in _parts(record_ids):
            found |= {int(i) for i in conn.scalars(query.where(record.c.record_id.in_(part)))}
    return frozenset(found)


def shown_together(
    database: Database, ones: Collection[int], others: Collection[int]
) -> dict[PersonId, Instant]:
    """See service.ports.Store.shown_together."""
    with database.reading() as conn:
        published = read_counter(conn, PUBLISHED)
        here, there = _stays(conn, ones, published), _stays(conn, others, published)
        began = {
            PersonId(person): min(runs)
            for person in here.keys() & there.keys()
            if (runs := list(_overlaps(here[person], there[person])))
        }
        at = dict(
            conn.execute(
                select(link_run.c.run_id, link_run.c.started_at).where(
                    link_run.c.run_id.in_(sorted(set(began.values())))
                )
            ).all()
        )
    return {person: Instant(at[run]) for person, run in began.items()}


_Span = tuple[int, int | None]
"""The run that began to show a record in a person, and the one that ended it; None: still."""


def _stays(conn: Connection, record_ids: Collection[int], published: int) -> dict[str, list[_Span]]:
    """Person → when it showed one of the records."""
    query = select(membership.c.person_id, membership.c.from_run, membership.c.to_run)
    found: dict[str, list[_Span]] = {}
    for part in _parts(record_ids):
        where = membership.c.record_id.in_(part), membership.c.from_run <= published
        for person, begun, ended in conn.execute(query.where(*where)):
            found.setdefault(person, []).append((begun, ended))
    return found


def _overlaps(ones: Iterable[_Span], others: Iterable[_Span]) -> Iterator[int]:
    """The runs from which a stay of the one and a stay of the other are shown at once."""
    for (begun, ended), (since, until) in product(ones, others):
        first = max(begun, since)
        if (ended is None or first < ended) and (until is None or first < until):
            yield first


def add_quality_pairs(database: Database, pairs: pa.Table, now: Instant) -> None:
    """See service.ports.Store.add_quality_pairs."""
    kept = ("bits", "low", "stratum_pairs", "judgements")
    with database.writing() as conn:
        first = next_id(conn, quality_pair.c.pair_id)
        rows = [
            {
                "pair_id": first + at,
                "left_id": row["left"],
                "right_id": row["right"],
                "drawn_at": now,
                **{name: row[name] for name in kept},
            }
            for at, row in enumerate(pairs.to_pylist())
        ]
        if rows:
            conn.execute(insert(quality_pair), rows)


def quality_pairs(database: Database) -> pa.Table:
    """See service.ports.Store.quality_pairs."""
    with database.reading() as conn:
        query = select(*_QUALITY_COLUMNS).order_by(quality_pair.c.pair_id)
        return _table(conn.execute(query).all(), QUALITY_SCHEMA)
