"""The link state: what a link leaves for the next, as sealed Arrow parts.

Rules:
- A state is whole or it is not there: its parts are written first, in short transactions; the
  counter of states moves on with the row that names it, at the end.
- One state is kept: those before it go when it stands. Parts that a save left that died are
  cleared by the next save, and read by nobody.
- The persons of a state's records count only while the latest run is the one that published that
  state (whoever reads compares `link_run.state_id`).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, delete, insert, select

from linkage.state import Decided, LinkState
from schemas.errors import StoreError
from service.runs import KeptState, StateKey
from store.arrow import PART_ROWS, packed, parts, unpacked
from store.database import STATES, Database, advance, next_id, read_counter
from store.tables import link_state, link_state_part

STATE_SOURCE = "link-state"
"""The key group that states are sealed in."""
KINDS = ("records", "edges", "tasks", "same", "merged", "apart", "delta")
"""Tables of a state, in the order in which they are kept."""
_PERSON = "person_id"


def state_key(database: Database) -> tuple[int, StateKey] | None:
    """See service.ports.Store.state_key."""
    with database.reading() as conn:
        return _head(conn)


def _head(conn: Connection) -> tuple[int, StateKey] | None:
    state_id = read_counter(conn, STATES)
    row = conn.execute(select(link_state).where(link_state.c.state_id == state_id)).one_or_none()
    if row is None:
        return None
    return state_id, StateKey(row.input_hash, row.generation, row.decisions, row.holds)


def read_state(database: Database) -> KeptState | None:
    """See service.ports.Store.link_state. Raises: StoreError where a part is gone or altered."""
    with database.reading() as conn:
        head = _head(conn)
        if head is None:
            return None
        state_id, key = head
        tables = _tables(database, conn, state_id)
        sealed = conn.execute(
            select(link_state.c.report).where(link_state.c.state_id == state_id)
        ).scalar_one()
    report = msgspec.json.decode(database.sealer.unseal(link_state, "report", state_id, sealed))
    records = tables["records"]
    return KeptState(
        state_id=state_id,
        key=key,
        state=LinkState(records.drop_columns([_PERSON]), tables["edges"], tables["tasks"]),
        decided=Decided(tables["same"], tables["merged"], tables["apart"]),
        delta=tables["delta"],
        report=report,
        persons=records[_PERSON],
    )


def _tables(database: Database, conn: Connection, state_id: int) -> dict[str, pa.Table]:
    rows = conn.execute(
        select(link_state_part)
        .where(link_state_part.c.state_id == state_id)
        .order_by(link_state_part.c.part_id)
    ).all()
    expected = conn.scalar(select(link_state.c.parts).where(link_state.c.state_id == state_id))
    if len(rows) != expected:
        raise StoreError(f"link state {state_id}: {len(rows)} parts; expected {expected}")
    opened = database.sealer.unseal_many(
        link_state_part, "body", ((row.part_id, row.body) for row in rows)
    )
    found: dict[str, list[pa.Table]] = {kind: [] for kind in KINDS}
    for row, plain in zip(rows, opened, strict=True):
        found[row.kind].append(unpacked(plain))
    return {kind: pa.concat_tables(tables) for kind, tables in found.items()}


def save_state(database: Database, kept: KeptState) -> int:
    """See service.ports.Store.save_link_state."""
    with database.reading() as conn:
        seen = read_counter(conn, STATES)
    state_id = seen + 1
    _drop_parts(database, link_state_part.c.state_id > seen)
    number = 0
    for batch in _batches(kept):
        _write_parts(database, state_id, batch)
        number += len(batch)
    key = kept.key
    row = {
        "state_id": state_id,
        "input_hash": key.input_hash,
        "generation": key.generation,
        "decisions": key.decisions,
        "holds": key.holds,
        "parts": number,
        "report": database.sealer.seal(
            STATE_SOURCE, link_state, "report", state_id, msgspec.json.encode(kept.report)
        ),
    }
    with database.writing() as conn:
        if not advance(conn, STATES, seen):
            raise StoreError(f"link state {state_id}: another one was kept meanwhile")
        conn.execute(insert(link_state), row)
        conn.execute(delete(link_state).where(link_state.c.state_id < state_id))
    _drop_parts(database, link_state_part.c.state_id < state_id)
    return state_id


def kept_tables(kept: KeptState) -> Iterator[tuple[str, pa.Table]]:
    """What is kept of a state, as (kind, table)."""
    state, decided = kept.state, kept.decided
    tables = (
        state.records.append_column(_PERSON, kept.persons),
        state.edges,
        state.tasks,
        decided.same,
        decided.merged,
        decided.apart,
        kept.delta,
    )
    return zip(KINDS, tables, strict=True)


_Batch = list[tuple[str, pa.Table]]


def _batches(kept: KeptState) -> Iterator[_Batch]:
    """Parts of a state, as many at a time as together are no larger than one may be."""
    batch: _Batch = []
    rows = 0
    for kind, table in kept_tables(kept):
        for part in parts(table):
            if batch and rows + part.num_rows > PART_ROWS:
                yield batch
                batch, rows = [], 0
            batch.append((kind, part))
            rows += part.num_rows
    yield batch


def _write_parts(database: Database, state_id: int, batch: _Batch) -> None:
    with database.reading() as conn:
        first = next_id(conn, link_state_part.c.part_id)
    ids = range(first, first + len(batch))
    bodies = database.sealer.seal_many(
        STATE_SOURCE, link_state_part, "body", ids, [packed(part) for _, part in batch]
    )
    rows = [
        {
            "part_id": part_id,
            "state_id": state_id,
            "kind": kind,
            "row_count": part.num_rows,
            "body": body,
        }
        for part_id, (kind, part), body in zip(ids, batch, bodies, strict=True)
    ]
    with database.writing() as conn:
        conn.execute(insert(link_state_part), rows)


def _drop_parts(database: Database, which: ColumnElement[bool]) -> None:
    """A part a transaction: a part is large."""
    with database.reading() as conn:
        found = conn.scalars(select(link_state_part.c.part_id).where(which)).all()
    for part_id in found:
        with database.writing() as conn:
            conn.execute(delete(link_state_part).where(link_state_part.c.part_id == part_id))
