"""Undos of runs and their releases: inputs to the next link, kept for ever.

Rules:
- An undo and its release each move the counter of undos on, in the same transaction.
- A run is undone at most once at a time; undone and released, it can be undone again.
- The run that first shows an undo or a release is noted with it, as that run is published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from schemas.dates import Instant
from schemas.errors import StoreError
from service.runs import Undo
from store.database import PUBLISHED, UNDOS, Database, next_id, read_counter
from store.tables import undo

UNDO_SOURCE = "undo"
"""The key group that undos are sealed in."""


def undos(database: Database) -> Sequence[Undo]:
    """See service.ports.Store.undos."""
    with database.reading() as conn:
        return _undos(database, conn)


def _undos(database: Database, conn: Connection) -> list[Undo]:
    rows = conn.execute(select(undo).order_by(undo.c.undo_id)).all()
    return [_opened(database, row) for row in rows]


def _opened(database: Database, row: Row[Any]) -> Undo:
    return Undo(
        undo_id=row.undo_id,
        run_id=row.run_id,
        basis=row.basis,
        inputs=msgspec.json.decode(database.sealer.unseal(undo, "inputs", row.undo_id, row.inputs)),
        undone_at=Instant(row.undone_at),
        undone_by=row.undone_by,
        released_at=None if row.released_at is None else Instant(row.released_at),
        released_by=row.released_by,
    )


def undo_sequence(database: Database) -> int:
    """See service.ports.Store.undo_sequence."""
    with database.reading() as conn:
        return read_counter(conn, UNDOS)


def undo_run(
    database: Database, run_id: int, basis: int, inputs: Mapping[str, Any], now: Instant
) -> Undo:
    """See service.ports.Store.undo_run."""

    def prepare(snapshot: Connection, _: int) -> Callable[[Connection], Undo]:
        if not 0 < run_id <= read_counter(snapshot, PUBLISHED):
            raise StoreError(f"link run {run_id}: not published; nothing to undo")
        if any(held.run_id == run_id and held.active for held in _undos(database, snapshot)):
            raise StoreError(f"link run {run_id}: undone already")
        undo_id = next_id(snapshot, undo.c.undo_id)
        plain = msgspec.json.encode(inputs)
        row = {
            "undo_id": undo_id,
            "run_id": run_id,
            "basis": basis,
            "undone_at": now,
            "inputs": database.sealer.seal(UNDO_SOURCE, undo, "inputs", undo_id, plain),
        }

        def write(conn: Connection) -> Undo:
            conn.execute(insert(undo), row)
            return Undo(undo_id, run_id, basis, inputs, now)

        return write

    return database.optimistic(UNDOS, prepare)


def release_run(database: Database, run_id: int, now: Instant) -> Undo:
    """See service.ports.Store.release_run."""

    def prepare(snapshot: Connection, _: int) -> Callable[[Connection], Undo]:
        held = [u for u in _undos(database, snapshot) if u.run_id == run_id and u.active]
        if not held:
            raise StoreError(f"link run {run_id}: it is not undone; nothing to release")
        (found,) = held

        def write(conn: Connection) -> Undo:
            row = undo.c.undo_id == found.undo_id
            conn.execute(update(undo).where(row).values(released_at=now))
            return replace(found, released_at=now)

        return write

    return database.optimistic(UNDOS, prepare)


def shown_by(conn: Connection, run_id: int) -> None:
    """Notes that the run shows every undo and release there is."""
    conn.execute(update(undo).where(undo.c.undone_by.is_(None)).values(undone_by=run_id))
    released = undo.c.released_at.is_not(None), undo.c.released_by.is_(None)
    conn.execute(update(undo).where(*released).values(released_by=run_id))
