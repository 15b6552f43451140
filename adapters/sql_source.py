"""Asks a database of a source for what is new, by the queries that its settings declare.

Rules:
- The answer to a query becomes one delimited file in the source's inbox folder, whole or not at
  all; an empty one becomes none. Rows are streamed: memory holds some thousands. Lines end in CRLF,
  so that every line end in a value is quoted.
- The database is only read: in a transaction that says so, where the database knows such.
- `:since` is the greatest value of the watermark that was written to a file. A query says by itself
  how far it looks back beyond that for rows that were committed late.
- No message shows what a database says of a failure: that may quote values, or hold an address. It
  names the query and the kind of failure.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import URL, Connection, CursorResult, Engine, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from adapters.secrets import read_secret
from adapters.spool import POSITIONS, Spool
from schemas.errors import InputError
from schemas.settings_interfaces import SqlInterface, SqlQuery, Watermark

_ROWS_AT_ONCE = 5_000
_EXACT = 2**53


@dataclass(frozen=True)
class SqlSource:
    """The database of one source, ready to be asked. `root` is the workspace's folder."""

    settings: SqlInterface
    spool: Spool
    root: Path

    def collect(self) -> list[str]:
        """See service.ports.Collector."""
        engine = self._engine()
        try:
            return [line for query in self.settings.queries for line in self._ask(engine, query)]
        finally:
            engine.dispose()

    def _ask(self, engine: Engine, query: SqlQuery) -> list[str]:
        """Writes the answer to one query, and how far it goes. Raises: InputError."""
        question = f"{self.settings.url}\n{query.sql}\n{query.watermark}"
        since = self.spool.position(query.name, question)
        try:
            with _reading(engine) as conn, _answer(conn, query, since) as answer:
                newest = self._write(query, answer)
        except SQLAlchemyError as error:
            raise InputError(f"query {query.name}: {_told(error)}; asked again next time") from None
        if newest is not None:
            self.spool.set_position(query.name, question, newest)
        return []

    def _write(self, query: SqlQuery, answer: CursorResult[Any]) -> Watermark | None:
        """Writes the rows as a file; the greatest watermark in them."""
        columns = list(answer.keys())
        if len(set(columns)) < len(columns):
            raise InputError(f"query {query.name}: two columns have one name; name them with AS")
        watched = _place_of(query, columns)
        blocks = answer.partitions(_ROWS_AT_ONCE)
        block: Sequence[Sequence[Any]] | None = next(blocks, None)
        if block is None:
            return None
        newest: Any = None
        with self.spool.file(query.name, "csv") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            while block is not None:
                writer.writerows(texts(query, columns, row) for row in block)
                if watched is not None:
                    newest = _greatest(query, newest, (row[watched] for row in block))
                block = next(blocks, None)
        return newest if type(newest) in POSITIONS else None

    def _engine(self) -> Engine:
        """Raises: InputError: nothing can be asked at this URL."""
        try:
            url = make_url(self.settings.url)
            if self.settings.password_file is not None:
                url = url.set(password=read_secret(self.root, self.settings.password_file))
            if url.get_backend_name() == "sqlite" and url.database:
                url = _read_only(url, self.root)
            return create_engine(url, poolclass=NullPool, connect_args=self._limits(url.drivername))
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise InputError(
                f"`url` of the interface cannot be used ({type(error).__name__}): expected"
                " DIALECT+DRIVER://HOST/DATABASE, with the driver installed"
            ) from None

    def _limits(self, driver: str) -> dict[str, Any]:
        """How long a driver waits for an answer, where it can be told."""
        seconds = self.settings.timeout_seconds
        if driver.startswith("sqlite"):
            return {"timeout": seconds}
        if driver.startswith("postgresql"):
            wait = f"-c statement_timeout={1_000 * seconds}"
            return {"connect_timeout": seconds, "options": wait}
        return {}


def _read_only(url: URL, root: Path) -> URL:
    """The URL of a file of SQLite that is not to be made, nor written."""
    path = quote(str(root / (url.database or "")))
    return url.set(database=f"file:{path}", query={"mode": "ro", "uri": "true"})


@contextmanager
def _reading(engine: Engine) -> Iterator[Connection]:
    """A connection on which one moment is read, and nothing written."""
    options: dict[str, Any] = {"stream_results": True, "yield_per": _ROWS_AT_ONCE}
    if engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect() as conn:
        yield conn.execution_options(**options)


@contextmanager
def _answer(
    conn: Connection, query: SqlQuery, since: Watermark | None
) -> Iterator[CursorResult[Any]]:
    known = {} if query.watermark is None else {"since": query.first if since is None else since}
    with conn.execute(text(query.sql), known) as answer:
        if not answer.returns_rows:
            raise InputError(f"query {query.name}: answers no rows; expected a SELECT")
        yield answer


def _place_of(query: SqlQuery, columns: list[str]) -> int | None:
    if query.watermark is None:
        return None
    if query.watermark not in columns:
        raise InputError(
            f"query {query.name}: selects no column {query.watermark!r}, its watermark"
        )
    return columns.index(query.watermark)


def _greatest(query: SqlQuery, newest: Any, values: Iterable[Any]) -> Any:
    """The greatest watermark; what has none does not count. Raises: InputError."""
    for value in values:
        if value is None:
            continue
        if type(value) not in POSITIONS or type(newest or value) is not type(value):
            kinds = "whole numbers, dates, times or texts, all of one kind"
            raise InputError(f"query {query.name}: the watermark holds other than {kinds}")
        if newest is None or value > newest:
            newest = value
    return newest


def texts(query: SqlQuery, columns: list[str], row: Sequence[Any]) -> list[str]:
    return [
        value if type(value) is str else _text(query, column, value)
        for column, value in zip(columns, row, strict=True)
    ]


def _text(query: SqlQuery, column: str, value: Any) -> str:
    """A value as the file shows it. Raises: InputError: it is of a kind that has no text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) < _EXACT
        return str(int(value)) if whole else repr(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, (date, time)):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, (int, UUID, str)):
        return str(value)
    kind = type(value).__name__
    raise InputError(
        f"query {query.name}: column {column!r} holds {kind}; CAST it to text in the query"
    )


def _told(error: SQLAlchemyError) -> str:
    """What kind of failure it was, and its SQLSTATE where the driver tells one."""
    code = getattr(getattr(error, "orig", None), "sqlstate", None)
    found = f", SQLSTATE {code}" if isinstance(code, str) and code.isalnum() else ""
    return f"the database did not answer ({type(error).__name__}{found})"
