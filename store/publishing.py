"""Publishing a link run: many short transactions that nobody sees, then one that shows it all.

Rules:
- Rows are written under the run's id while its state is `publishing`; readers go by the published
  run's id (store/linking.py), which the last transaction moves on.
- Run ids are dense. What a publish that died left under the next id is cleared first: memberships
  it opened, memberships it closed (opened again), persons, stays it began or ended, tasks, delta,
  its row. The run that follows takes the same id, so the outcome is that of a publish that never
  died.
- That a run was published, or held, is written to the log in the transaction that shows it.
- The time of a run is never before that of the run before it, whatever the clock says.
- A publication that does not fit what is held (an unknown record or person, a membership that is
  not open, or open twice, a person that ends though it is not present) is refused as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pyarrow as pa
from sqlalchemy import Connection, Table, delete, func, insert, select, update

from audit.events import AuditEvent, EventOutcome
from schemas.dates import Instant
from schemas.errors import StoreError
from service.ports import Publication
from service.runs import NewRun, RunState
from store.arrow import packed, parts
from store.bulk import Rows
from store.database import PUBLISHED, Database, advance, next_id, read_counter
from store.events import write_event
from store.tables import link_delta, link_run, membership, person, person_return, review_task
from store.undoing import shown_by

RUN_SOURCE = "link-run"
"""The key group that run summaries and deltas are sealed in."""
CHUNK_ROWS = 5_000
"""Rows per transaction: well under 50 ms of write lock."""
COUNTS = ("records", "persons", "created", "joined", "split", "moved", "withdrawn", "tasks")
"""Of a run's summary, what its event tells."""


def publish(database: Database, run: NewRun, changes: Publication, now: Instant) -> int:
    """See service.ports.Store.publish. Raises: StoreError: it does not fit what is held."""
    with database.reading() as conn:
        published = read_counter(conn, PUBLISHED)
        c = link_run.c
        last = conn.execute(select(c.started_at, c.model_hash).where(c.run_id == published)).first()
    before, model = (last.started_at, last.model_hash) if last else (None, None)
    run_id = published + 1
    clear(database, run_id)
    plain = msgspec.json.encode(run.summary)
    row = {
        "run_id": run_id,
        "state": RunState.PUBLISHING.value,
        "kind": run.kind.value,
        "model_hash": run.model_hash,
        "generation": run.generation,
        "started_at": max(now, before or now),
        "state_id": run.state_id,
        "summary": database.sealer.seal(RUN_SOURCE, link_run, "summary", run_id, plain),
    }
    with database.writing() as conn:
        conn.execute(insert(link_run), row)
    try:
        _write(database, run_id, changes)
        _write_delta(database, run_id, run.delta)
    except StoreError:
        clear(database, run_id)
        raise
    state = RunState.HELD if run.held else RunState.PUBLISHED
    with database.writing() as conn:
        conn.execute(update(link_run).where(link_run.c.run_id == run_id).values(state=state.value))
        if not run.held:
            shown_by(conn, run_id)
        if model != run.model_hash:
            write_event(database, conn, _event(run, now, "model-changed", _models(model, run)))
        write_event(database, conn, _published(run_id, run, now))
        if not advance(conn, PUBLISHED, published):
            raise StoreError(f"link run {run_id}: another run was published meanwhile")
    return run_id


def _published(run_id: int, run: NewRun, now: Instant) -> AuditEvent:
    """The event of a run: what it changed, in counts, or that it was held."""
    counts = {name: run.summary[name] for name in COUNTS if name in run.summary}
    told = {"run": run_id, "kind": run.kind.value, "held": run.held, "model": run.model_hash}
    return _event(run, now, "publish", told | counts)


def _models(before: str | None, run: NewRun) -> dict[str, Any]:
    """Details of the event of another model: the first run has the first one."""
    return {"model": run.model_hash, "first": before is None}


def _event(run: NewRun, now: Instant, action: str, told: dict[str, Any]) -> AuditEvent:
    held = run.held and action == "publish"
    return AuditEvent(
        at=now,
        action=action,
        outcome=EventOutcome.REFUSED if held else EventOutcome.PERMITTED,
        actor=run.by,
        role=run.role,
        purpose=run.purpose,
        details=told,
    )


def _write(database: Database, run_id: int, changes: Publication) -> None:
    persons = ("person_id", "founder", "counter", "continues", "founded_run")
    # In the order of their key, so that the index grows at its end and not all over.
    _insert(database, person, persons, changes.founded.sort_by("person_id"), run_id)
    _end(database, run_id, _rows(changes.ended.select(["person_id", "ending", "into"])))
    _revive(database, run_id, changes.revived["person_id"].to_pylist())
    _close(database, run_id, changes.closed["record_id"].to_pylist())
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


def _end(database: Database, run_id: int, ended: Rows) -> None:
    """Ends the stays of persons: (person id, ending, merged into)."""
    for part in _chunks(ended):
        with database.writing() as conn:
            present = _present(database, conn, [row[0] for row in part])
            if len(present) != len(part):
                raise StoreError("publication: a person that it ends is not present")
            first = [(gone, ending, into, run_id) for gone, ending, into in part]
            columns = ("ending", "merged_into", "ended_run")
            own = [row for row in first if present[row[0]] is None]
            database.bulk.update(conn, person, "person_id", columns, own)
            for gone, ending, into, _ in first:
                since = present[gone]
                if since is not None:
                    row = person_return.c.person_id == gone, person_return.c.from_run == since
                    values = {"ending": ending, "merged_into": into, "to_run": run_id}
                    conn.execute(update(person_return).where(*row).values(values))


def _present(database: Database, conn: Connection, ids: Sequence[str]) -> dict[str, int | None]:
    """Which of the persons are present, and the run of their latest return (None: first stay)."""
    look = database.bulk.lookup
    held = look(conn, person, "person_id", ("person_id", "ended_run"), ids)
    found: dict[str, int | None] = {key: None for key, ended in held if ended is None}
    columns = ("person_id", "from_run")
    found.update(look(conn, person_return, "person_id", columns, ids, "to_run IS NULL"))
    return found


def _revive(database: Database, run_id: int, revived: Sequence[str]) -> None:
    for start in range(0, len(revived), CHUNK_ROWS):
        part = revived[start : start + CHUNK_ROWS]
        with database.writing() as conn:
            if _present(database, conn, part):
                raise StoreError("publication: a person that it brings back is present")
            rows = [(key, run_id) for key in part]
            database.bulk.insert(conn, person_return, ("person_id", "from_run"), rows)


def _close(database: Database, run_id: int, record_ids: Sequence[int]) -> None:
    for start in range(0, len(record_ids), CHUNK_ROWS):
        part = record_ids[start : start + CHUNK_ROWS]
        open_rows = membership.c.record_id.in_(part), membership.c.to_run.is_(None)
        with database.writing() as conn:
            closed = conn.execute(update(membership).where(*open_rows).values(to_run=run_id))
            if closed.rowcount != len(part):
                raise StoreError("publication: a membership that it closes is not open")


def _write_delta(database: Database, run_id: int, delta: pa.Table) -> None:
    for part in parts(delta) if delta.num_rows else ():
        with database.reading() as conn:
            delta_id = next_id(conn, link_delta.c.delta_id)
        body = database.sealer.seal(RUN_SOURCE, link_delta, "body", delta_id, packed(part))
        row = {"delta_id": delta_id, "run_id": run_id, "row_count": part.num_rows, "body": body}
        with database.writing() as conn:
            conn.execute(insert(link_delta), row)


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
        conn.execute(ended.values(merged_into=None, ending=None, ended_run=None))
        conn.execute(delete(person_return).where(person_return.c.from_run == run_id))
        ended = update(person_return).where(person_return.c.to_run == run_id)
        conn.execute(ended.values(merged_into=None, ending=None, to_run=None))
        conn.execute(delete(review_task).where(review_task.c.run_id == run_id))
        conn.execute(delete(link_delta).where(link_delta.c.run_id == run_id))
    founded = select(person.c.person_id).where(person.c.founded_run == run_id).limit(CHUNK_ROWS)
    removed = CHUNK_ROWS
    while removed == CHUNK_ROWS:
        with database.writing() as conn:
            found = delete(person).where(person.c.person_id.in_(founded.scalar_subquery()))
            removed = conn.execute(found).rowcount
    with database.writing() as conn:
        conn.execute(delete(link_run).where(link_run.c.run_id == run_id))
