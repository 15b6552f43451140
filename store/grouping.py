"""A group of events made durable together, in as few messages to the database as that allows.

Rules:
- SQLite: the group is numbered, sealed and written within a writing transaction, under its lock.
- PostgreSQL: where nobody took the lock since this writer's last group, the next one is numbered
  and sealed before the lock is asked for, and goes as one statement that is a transaction of its
  own. It moves the counter only if the counter's row is still the version that this writer left
  (`xmin`, the transaction that wrote it), and inserts only if the counter moved. Whoever takes the
  lock writes that row anew (`next_value`), whatever for: an unchanged version is as good as having
  held the lock ever since. Else nothing is written, and the group goes the way of SQLite's; the
  more often in a row that happens, the longer is it before the short way is tried again, because
  then other processes write as much.
- A transaction that destroyed a key and then failed leaves no version behind, and a database that
  failed over may give a version again. So the keys are looked for when the statement is through:
  what was sealed under one that has gone is sealed anew before anybody is told that it is kept.
  Where that fails, the events go to the second journal, which finds them and does it
  (store/reconciling.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from store.audit_tables import audit_event, audit_event_person
from store.bulk import Rows, arrays
from store.database import EVENTS, Database
from store.entering import (
    EVENT_COLUMNS,
    PERSON_COLUMNS,
    Salted,
    event_rows,
    keys_gone,
    seal_anew,
    write_salted,
)
from store.sealing import key_of

_AT_ONCE = f"""
WITH moved AS (
  UPDATE store_meta SET value = value + %s
  WHERE name = '{EVENTS}' AND value = %s AND xmin = %s::xid RETURNING xmin::text AS version
), events AS (
  INSERT INTO audit_event ({", ".join(EVENT_COLUMNS)})
  SELECT given.* FROM moved, unnest({", ".join(["%s"] * len(EVENT_COLUMNS))}) AS given
), persons AS (
  INSERT INTO audit_event_person ({", ".join(PERSON_COLUMNS)})
  SELECT given.* FROM moved, unnest({", ".join(["%s"] * len(PERSON_COLUMNS))}) AS given
)
SELECT version FROM moved
"""  # noqa: S608 - names of columns, never values
_MISSES = 6
"""The short way is tried again after 2^6 - 1 groups at the latest."""
_VERSION = text(f"SELECT xmin::text FROM store_meta WHERE name = '{EVENTS}'")  # noqa: S608


class _Place(NamedTuple):
    """Where a writer left the counter of events, and the version of the counter's row."""

    last: int
    version: str


class GroupWriter:
    """Writes groups of events. Requires: one caller at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._place: _Place | None = None
        self._misses = 0  # in a row
        self._rests = 0 if database.engine.dialect.name == "postgresql" else math.inf

    def write(self, told: Sequence[Salted], patience_ms: int) -> None:
        """Returns once the events are durable, as the next in the log, in order.

        Args: `patience_ms`: how long to wait for the lock. Raises: StoreError: they are not.
        """
        place, self._place = self._place, None  # not known again until a group is through
        if place is not None:
            if self._written_at_once(told, place, patience_ms):
                self._misses = 0
                return
            self._rests = 2**self._misses - 1
            self._misses = min(self._misses + 1, _MISSES)
        self._write_locked(told, patience_ms)

    def _write_locked(self, told: Sequence[Salted], patience_ms: int) -> None:
        place = None
        with self._database.writing(patience_ms=patience_ms) as conn:
            numbers = write_salted(self._database, conn, told)
            if self._rests:
                self._rests -= 1
            else:
                place = _Place(numbers[-1], str(conn.scalar(_VERSION)))
        self._place = place

    def _written_at_once(self, told: Sequence[Salted], place: _Place, patience_ms: int) -> bool:
        """False: somebody else took the lock since; nothing was written."""
        numbers = range(place.last + 1, place.last + 1 + len(told))
        rows, persons = event_rows(self._database, numbers, told)
        given = [
            len(told), *place, *arrays(audit_event, EVENT_COLUMNS, rows),
            *arrays(audit_event_person, PERSON_COLUMNS, persons),
        ]  # fmt: skip
        with self._database.alone(patience_ms=patience_ms) as conn:
            version = _answered(conn, _AT_ONCE, given)
        if version is None:
            return False
        self._check_keys(told, rows, patience_ms)
        self._place = _Place(numbers[-1], version)
        return True

    def _check_keys(self, told: Sequence[Salted], rows: Rows, patience_ms: int) -> None:
        """Seals anew what was sealed under a key that has gone meanwhile."""
        sealed = [(row[0], key_of(row[-1]), one) for row, one in zip(rows, told, strict=True)]
        if keys_gone(self._database, {key for _, key, _ in sealed}):
            with self._database.writing(patience_ms=patience_ms) as conn:
                seal_anew(self._database, conn, sealed)


def _answered(conn: Connection, statement: str, given: Sequence[object]) -> str | None:
    """The only value of the only row; None: there is no row."""
    cursor = conn.connection.cursor()
    try:
        cursor.execute(statement, given)
        row = cursor.fetchone()
    finally:
        cursor.close()
    return None if row is None else str(row[0])
