"""Rows in bulk, the one place where SQLite and PostgreSQL are told apart.

Rules:
- Each operation is set-based and within the caller's transaction; none commits.
- Table and column names come from store/tables.py only; values are always bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import Column, Connection, Integer, Table, Text
from sqlalchemy.types import LargeBinary

if TYPE_CHECKING:
    from store.arrays import Array

Rows = Sequence[tuple[Any, ...]]

_LOOKUP_KEYS = 2_000
"""Keys per IN list on SQLite: its parser takes 32,766 parameters; past a few thousand nothing is
gained."""


class Bulk(Protocol):
    """What the store asks of a database beyond plain SQL."""

    def insert(self, conn: Connection, table: Table, columns: Sequence[str], rows: Rows) -> None:
        """Inserts the rows, given in the order of `columns`."""

    def update(
        self, conn: Connection, table: Table, key: str, columns: Sequence[str], rows: Rows
    ) -> int:
        """Sets `columns` of the rows whose `key` is given: (key, *values) each. Returns how many
        rows there were."""

    def lookup(
        self,
        conn: Connection,
        table: Table,
        key: str,
        columns: Sequence[str],
        keys: Iterable[Any],
        only: str = "",
    ) -> Iterator[tuple[Any, ...]]:
        """`columns` of every row whose `key` is among the keys, in no order; `only` is a condition
        that a partial index has."""


class SqliteBulk:
    """SQLite: raw executemany, which its driver runs in C, and IN lists."""

    def insert(self, conn: Connection, table: Table, columns: Sequence[str], rows: Rows) -> None:
        """See Bulk."""
        if rows:
            marks = ", ".join("?" * len(columns))
            _cursor(conn).executemany(
                f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})",  # noqa: S608
                rows,
            )

    def update(
        self, conn: Connection, table: Table, key: str, columns: Sequence[str], rows: Rows
    ) -> int:
        """See Bulk."""
        if not rows:
            return 0
        # The key stands first in each row, so the parameters are numbered.
        sets = ", ".join(f"{name} = ?{at}" for at, name in enumerate(columns, start=2))
        cursor = _cursor(conn)
        cursor.executemany(
            f"UPDATE {table.name} SET {sets} WHERE {key} = ?1",  # noqa: S608
            rows,
        )
        return int(cursor.rowcount)

    def lookup(
        self,
        conn: Connection,
        table: Table,
        key: str,
        columns: Sequence[str],
        keys: Iterable[Any],
        only: str = "",
    ) -> Iterator[tuple[Any, ...]]:
        """See Bulk."""
        wanted = list(dict.fromkeys(keys))
        cursor = _cursor(conn)
        for start in range(0, len(wanted), _LOOKUP_KEYS):
            part = wanted[start : start + _LOOKUP_KEYS]
            marks = ", ".join("?" * len(part))
            yield from cursor.execute(
                f"SELECT {', '.join(columns)} FROM {table.name}"  # noqa: S608
                f" WHERE {key} IN ({marks}){_and(only)}",
                part,
            )


_FEW = 256
"""Rows up to which one statement is sooner done than COPY, which takes several messages."""
_PG_TYPES: tuple[tuple[type[Any], str], ...] = (
    (Text, "text"),
    (LargeBinary, "bytea"),
    (Integer, "bigint"),
)


class PostgresBulk:
    """PostgreSQL: binary COPY in, arrays for few rows, updates and look-ups."""

    def insert(self, conn: Connection, table: Table, columns: Sequence[str], rows: Rows) -> None:
        """See Bulk."""
        names = ", ".join(columns)
        if 0 < len(rows) <= _FEW:
            marks = ", ".join(["%s"] * len(columns))
            _cursor(conn).execute(
                f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({marks})",  # noqa: S608
                arrays(table, columns, rows),
            )
        elif rows:
            statement = f"COPY {table.name} ({names}) FROM STDIN (FORMAT BINARY)"
            with _cursor(conn).copy(statement) as copy:
                copy.set_types([_pg_type(table.c[name]) for name in columns])
                for row in rows:
                    copy.write_row(row)

    def update(
        self, conn: Connection, table: Table, key: str, columns: Sequence[str], rows: Rows
    ) -> int:
        """See Bulk."""
        if not rows:
            return 0
        names = (key, *columns)
        marks = ", ".join(["%s"] * len(names))
        sets = ", ".join(f"{name} = given.{name}" for name in columns)
        cursor = _cursor(conn)
        cursor.execute(
            f"UPDATE {table.name} AS held SET {sets}"  # noqa: S608
            f" FROM unnest({marks}) AS given({', '.join(names)}) WHERE held.{key} = given.{key}",
            arrays(table, names, rows),
        )
        return int(cursor.rowcount)

    def lookup(
        self,
        conn: Connection,
        table: Table,
        key: str,
        columns: Sequence[str],
        keys: Iterable[Any],
        only: str = "",
    ) -> Iterator[tuple[Any, ...]]:
        """See Bulk."""
        wanted = list(dict.fromkeys(keys))
        if wanted:
            yield from _cursor(conn).execute(
                f"SELECT {', '.join(columns)} FROM {table.name}"  # noqa: S608
                f" WHERE {key} = ANY(%s){_and(only)}",
                [_array(_pg_type(table.c[key]), wanted)],
            )


BULK: dict[str, Bulk] = {"sqlite": SqliteBulk(), "postgresql": PostgresBulk()}
"""By SQLAlchemy's name of the dialect."""


def arrays(table: Table, columns: Sequence[str], rows: Rows) -> list[Array]:
    """The rows as an array for each of the table's columns, for `unnest`; PostgreSQL only."""
    values: Iterable[Sequence[Any]] = zip(*rows, strict=True) if rows else [()] * len(columns)
    kinds = (_pg_type(table.c[name]) for name in columns)
    return [_array(kind, column) for kind, column in zip(kinds, values, strict=True)]


def _array(kind: str, values: Sequence[Any]) -> Array:
    from store.arrays import array_of  # noqa: PLC0415 - PostgreSQL's driver, only where it works

    return array_of(kind, values)


def _and(condition: str) -> str:
    return f" AND {condition}" if condition else ""


def _cursor(conn: Connection) -> Any:
    return conn.connection.cursor()


@cache
def _pg_type(column: Column[Any]) -> str:
    if column.type.python_type is float:
        return "double precision"
    return next(name for kind, name in _PG_TYPES if isinstance(column.type, kind))
