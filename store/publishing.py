"""Publishes a link run: many short transactions that nobody sees, then one that shows them all.

Rules:
- Rows are written under the run's id while its state is `publishing`; readers go by the published
  run's id (store/linking.py), which the last transaction moves on.
- Run ids are dense. What a publish that died left under the next id is cleared first: memberships
  it opened, memberships it closed (opened again), persons, merges, tasks, its row. The run that
  follows takes the same id, so the outcome is that of a publish that never died.
- An id that was merged into a person leads nowhere once that person is split: it might lead to a
  stranger.
- A publication that does not fit what is held (an unknown record or person, a membership that is
  not open, or open twice) is refused as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa
from sqlalchemy import Table, delete, func, insert, select, update

from schemas.dates import Instant
from schemas.errors import StoreError
from service.ports import Publication
from store.bulk import Rows
from store.database import PUBLISHED, Database, advance, read_counter
from store.tables import link_run, membership, person, review_task

PUBLISHING, SHOWN = "publishing", "published"
RUN_SOURCE = "link-run"
"""The key group that run summaries are sealed in."""
CHUNK_ROWS = 5_000
"""Rows per transaction: well under 50 ms of write lock."""


def publish(
    database: Database,
    changes: Publication,
    *,
    model_hash: str,
    generation: int,
    summary: Mapping[str, Any],
    now: Instant,
) -> int:
    """See service.ports.Store.publish. Raises: StoreError: it does not fit what is held."""
    with database.reading() as conn:
        published = read_counter(conn, PUBLISHED)
    run_id = published + 1
    clear(database, run_id)
    plain = msgspec.json.encode(summary)
    row = {
        "run_id": run_id,
        "state": PUBLISHING,
        "model_hash": model_hash,
        "generation": generation,
        "started_at": now,
        "summary": database.sealer.seal(RUN_SOURCE, link_run, "summary", run_id, plain),
    }
    with database.writing() as conn:
        conn.execute(insert(link_run), row)
    try:
        _write(database, run_id, changes)
    except StoreError:
        clear(database, run_id)
        raise
    with database.writing() as conn:
        conn.execute(update(link_run).where(link_run.c.run_id == run_id).values(state=SHOWN))
        for start in range(0, len(changes.split), CHUNK_ROWS):
            led = person.c.merged_into.in_(changes.split[start : start + CHUNK_ROWS])
            conn.execute(update(person).where(led).values(merged_into=None))
        if not advance(conn, PUBLISHED, published):
            raise StoreError(f"link run {run_id}: another run was published meanwhile")
    return run_id


def _write(database: Database, run_id: int, changes: Publication) -> None:
    persons = ("person_id", "founder", "counter", "founded_run")
    # In the order of their key, so that the index grows at its end and not all over.
    _insert(database, person, persons, changes.founded.sort_by("person_id"), run_id)
    merged = [(gone, into, run_id) for gone, into in _rows(changes.merged)]
    _update(database, person, "person_id", ("merged_into", "ended_run"), merged)
    _close(database, run_id, [record_id for (record_id,) in _rows(changes.closed)])
    members = ("record_id", "person_id", "from_run")
    _insert(database, membership, members, changes.opened, run_id)
    tasks = ("left_id", "right_id", "bits", "reason", "run_id")
    _insert(database, review_task, tasks, changes.tasks, run_id)


def _rows(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _chunks(rows: Rows) -> Iterator[Rows]:
    for start in range(0, len(rows), CHUNK_ROWS):
        yield rows[start : start + CHUNK_ROWS]


def _insert(
    database: Database, table: Table, columns: Sequence[str], given: pa.Table, run_id: int
) -> None:
    """Inserts the table's rows, `run_id` their last column."""
    for start in range(0, given.num_rows, CHUNK_ROWS):
        rows = [(*row, run_id) for row in _rows(given.slice(start, CHUNK_ROWS))]
        with database.writing() as conn:
            database.bulk.insert(conn, table, columns, rows)


def _update(database: Database, table: Table, key: str, columns: Sequence[str], rows: Rows) -> None:
    for part in _chunks(rows):
        with database.writing() as conn:
            if database.bulk.update(conn, table, key, columns, part) != len(part):
                raise StoreError(f"publication: a {table.name} it changes is not held")


def _close(database: Database, run_id: int, record_ids: Sequence[int]) -> None:
    for start in range(0, len(record_ids), CHUNK_ROWS):
        part = record_ids[start : start + CHUNK_ROWS]
        open_rows = membership.c.record_id.in_(part), membership.c.to_run.is_(None)
        with database.writing() as conn:
            closed = conn.execute(update(membership).where(*open_rows).values(to_run=run_id))
            if closed.rowcount != len(part):
                raise StoreError("publication: a membership that it closes is not open")


def clear(database: Database, run_id: int) -> None:
    """Removes every trace of a run that was not published, in short transactions."""
    with database.reading() as conn:
        if conn.scalar(select(link_run.c.run_id).where(link_run.c.run_id == run_id)) is None:
            return
        last = conn.scalar(select(func.max(membership.c.record_id))) or 0
    for start in range(0, last + 1, CHUNK_ROWS):
        rows = membership.c.record_id.between(start, start + CHUNK_ROWS - 1)
        opened = delete(membership).where(rows, membership.c.from_run == run_id)
        closed = update(membership).where(rows, membership.c.to_run == run_id)
        with database.writing() as conn:
            conn.execute(opened)
            conn.execute(closed.values(to_run=None))
    with database.writing() as conn:
        ended = update(person).where(person.c.ended_run == run_id)
        conn.execute(ended.values(merged_into=None, ended_run=None))
        conn.execute(delete(review_task).where(review_task.c.run_id == run_id))
    founded = select(person.c.person_id).where(person.c.founded_run == run_id).limit(CHUNK_ROWS)
    removed = CHUNK_ROWS
    while removed == CHUNK_ROWS:
        with database.writing() as conn:
            found = delete(person).where(person.c.person_id.in_(founded.scalar_subquery()))
            removed = conn.execute(found).rowcount
    with database.writing() as conn:
        conn.execute(delete(link_run).where(link_run.c.run_id == run_id))
