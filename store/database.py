"""The database connection: transactions, durability, counters.

Rules:
- SQLite runs with a write-ahead log and synchronous=FULL: a commit that returned survives a power
  cut, and readers never wait for a writer. Writers take the lock at once (BEGIN IMMEDIATE).
- A reading transaction sees one snapshot of everything it reads, on both databases.
- Work is prepared outside the write transaction, on a snapshot, and written only if the counter
  that guards it has not moved meanwhile; else it is prepared anew (`optimistic`). So the write
  lock is held for milliseconds, and two writers never build on one another's half.
- A new database file is readable by its owner only.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    bindparam,
    create_engine,
    event,
    func,
    select,
    update,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from schemas.errors import RowRefused, StoreError
from store.bulk import BULK, Bulk
from store.keyring import KeyRing
from store.prepared import Prepared, Rows
from store.sealing import Sealer
from store.snapshots import Question, Snapshots, snapshots_of
from store.tables import store_meta

(
    KEYSTORE,
    LOADS,
    EVENTS,
    GENERATION,
    PUBLISHED,
    STATES,
    UNDOS,
    DECISIONS,
    ERASED,
    SHARING,
    CLASSED,
) = (
    "keystore",
    "loads",
    "events",
    "generation",
    "published_run",
    "link_states",
    "undos",
    "decisions",
    "erased_version",
    "sharing",
    "classed",
)
COUNTERS = (
    LOADS, EVENTS, GENERATION, PUBLISHED, STATES, UNDOS, DECISIONS, ERASED, SHARING, CLASSED,
)  # fmt: skip
"""Counters in store_meta, all from 0: writes to feeds and what they brought, audit events, the
ingest generation, the latest published run, the latest link state, undos and releases of runs,
changes of decisions, the greatest version id that was erased, changes of provisions, agreements
and claims, the version of the label lists that access classes were told by.
`keystore` is the identity of the keys."""

_WRITES, _PATIENCE = "commonthread_writes", "commonthread_patience"
PATIENCE_MS = 30_000
"""How long a transaction waits for another's lock, where nothing else is said."""
_SQLITE_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    f"PRAGMA busy_timeout = {PATIENCE_MS}",
    "PRAGMA cache_size = -262144",
    # In pages: a checkpoint every 64 MiB instead of after nearly every batch.
    "PRAGMA wal_autocheckpoint = 16384",
)
_COUNTER = Prepared(select(store_meta.c.value).where(store_meta.c.name == bindparam("wanted")))
_MOVED = Prepared(
    update(store_meta)
    .where(store_meta.c.name == bindparam("wanted"))
    .values(value=store_meta.c.value + bindparam("step"))
    .returning(store_meta.c.value)
)

T = TypeVar("T")


class Database:
    """One open database with the keys of its payloads."""

    def __init__(self, engine: Engine, keys: KeyRing) -> None:
        self.engine = engine
        self.keys = keys
        self.sealer = Sealer(keys)
        self.bulk: Bulk = BULK[engine.dialect.name]
        if engine.dialect.name == "postgresql":
            self._readers: Engine = engine.execution_options(isolation_level="REPEATABLE READ")
        else:
            self._readers = engine
        self._snapshots: Snapshots = snapshots_of(engine)
        self._writers = engine.execution_options(**{_WRITES: True})
        self._patient = {PATIENCE_MS: self._writers}
        self._alone = engine.execution_options(isolation_level="AUTOCOMMIT")
        file = engine.url.database if engine.dialect.name == "sqlite" else None
        self._file = None if file is None else (Path(file), _identity(Path(file)))

    def close(self) -> None:
        """Releases connections and the keystore's file."""
        self._snapshots.close()
        self.engine.dispose()
        self.keys.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction on one snapshot. Raises: StoreError where the database fails."""
        with _as_store_error(), self._readers.connect() as conn:
            yield conn

    def snapshot(self, *asked: Question) -> list[Rows]:
        """Rows of each of the questions, all on one snapshot. Raises: StoreError, as `reading`."""
        with _as_store_error():
            return self._snapshots.rows(asked)

    def counter(self, name: str) -> int:
        """The value of one of `COUNTERS` now. Raises: StoreError, as `reading`."""
        return _value(name, self.snapshot((_COUNTER, {"wanted": name}))[0])

    @contextmanager
    def writing(self, patience_ms: int = PATIENCE_MS) -> Iterator[Connection]:
        """A transaction that is committed at the end. Raises: StoreError, as `reading`; also where
        others hold a lock for longer than this."""
        writers = self._patient.get(patience_ms)
        if writers is None:
            told = {_PATIENCE: patience_ms}
            writers = self._patient[patience_ms] = self._writers.execution_options(**told)
        self._check_file()
        with _as_store_error(), writers.begin() as conn:
            if conn.dialect.name != "postgresql" or conn.info.get(_PATIENCE) == patience_ms:
                yield conn
                return
            conn.exec_driver_sql(f"SET lock_timeout = {patience_ms}")
            info = conn.info
            yield conn
        info[_PATIENCE] = patience_ms  # after the commit: what is rolled back is not set either

    @contextmanager
    def alone(self, patience_ms: int = PATIENCE_MS) -> Iterator[Connection]:
        """A connection on which each statement that the driver runs is a transaction of its own,
        committed when it has run. PostgreSQL only. Raises: StoreError, as `writing`."""
        with _as_store_error(), self._alone.connect() as conn:
            try:
                if conn.info.get(_PATIENCE) != patience_ms:
                    _run(conn, f"SET lock_timeout = {patience_ms}")
                    conn.info[_PATIENCE] = patience_ms
                yield conn
            except _of_postgresql().Error:
                driver: Any = conn.connection.driver_connection
                if driver.closed:
                    conn.invalidate()  # the next one begins with a fresh one
                raise

    def _check_file(self) -> None:
        """What is written to a file that has no name any more is lost with the last who has it
        open, and no commit says so."""
        if self._file is not None and _identity(self._file[0]) != self._file[1]:
            raise StoreError(
                f"database: {self._file[0].name} was removed or replaced since it was opened;"
                " start this program again"
            )

    def optimistic(
        self, counter: str, prepare: Callable[[Connection, int], Callable[[Connection], T]]
    ) -> T:
        """Prepares on a snapshot, then writes if the counter has not moved, and moves it.

        Args:
            counter: one of `COUNTERS`; grows by one with every write that it guards.
            prepare: (snapshot, counter) → what writes. Called anew after a lost race.
        """
        while True:
            with self.reading() as snapshot:
                seen = read_counter(snapshot, counter)
                write = prepare(snapshot, seen)
            with self.writing() as conn:
                if advance(conn, counter, seen):
                    return write(conn)


def _run(conn: Connection, statement: str) -> None:
    """Runs a statement by the driver itself, so that no transaction is begun around it."""
    cursor = conn.connection.cursor()
    try:
        cursor.execute(statement)
    finally:
        cursor.close()


def _identity(file: Path) -> tuple[int, int] | None:
    """Which file bears the name."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def read_counter(conn: Connection, name: str) -> int:
    """The counter's value. Raises: StoreError if the database has none of this name."""
    return _value(name, _COUNTER.rows(conn, {"wanted": name}))


def _value(name: str, rows: Rows) -> int:
    if not rows:
        raise StoreError(f"store_meta: no row {name!r}; the database is not whole")
    return int(rows[0][0])


def advance(conn: Connection, name: str, seen: int) -> bool:
    """Moves the counter on from `seen`; False if it stands elsewhere by now."""
    moved = conn.execute(
        update(store_meta)
        .where(store_meta.c.name == name, store_meta.c.value == seen)
        .values(value=seen + 1)
    )
    return moved.rowcount == 1


def next_value(conn: Connection, name: str, by: int = 1) -> int:
    """Moves the counter on, within a writing transaction, and returns where it stands. Who else
    wants it waits for this transaction's end. Raises: StoreError, as `read_counter`."""
    return _value(name, _MOVED.rows(conn, {"wanted": name, "step": by}))


def next_id(conn: Connection, column: Column[int]) -> int:
    """The id after the greatest one in use; ids begin at 1."""
    return int(conn.scalar(select(func.coalesce(func.max(column), 0))) or 0) + 1


def open_engine(url: str, schema: str | None = None) -> Engine:
    """An engine for `sqlite:///FILE` or `postgresql+psycopg://...`; there in another schema than
    the account's own, if one is named.

    Raises: StoreError: not such a URL, or SQLite without a file.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError("database: expected a URL such as sqlite:///partnership.db") from None
    if parsed.drivername not in _OPENERS:
        raise StoreError(
            f"database: expected {' or '.join(sorted(_OPENERS))}; got {parsed.drivername}"
        )
    return _OPENERS[parsed.drivername](parsed, schema)


def _open_sqlite(url: URL, _: str | None) -> Engine:
    if not url.database or url.database == ":memory:":
        raise StoreError("database: expected a file after sqlite:///; nothing durable is in memory")
    path = Path(url.database)
    if not path.parent.is_dir():
        raise StoreError(f"database: the folder of {path.name} is not there")
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    # The driver must not begin transactions by itself, or BEGIN IMMEDIATE would come too late.
    engine = create_engine(url, connect_args={"isolation_level": None, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: object) -> None:
        for pragma in _SQLITE_PRAGMAS:
            connection.execute(pragma).close()

    @event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        options = conn.get_execution_options()
        writes = options.get(_WRITES)
        # By the driver itself: what every transaction begins with should cost next to nothing.
        driver: Any = conn.connection.driver_connection
        patience = options.get(_PATIENCE, PATIENCE_MS)
        if conn.info.get(_PATIENCE, PATIENCE_MS) != patience:
            driver.execute(f"PRAGMA busy_timeout = {patience}").close()
            conn.info[_PATIENCE] = patience
        driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN").close()

    return engine


def _open_postgresql(url: URL, schema: str | None) -> Engine:
    # A connection knows the kinds of parameter that were there when it was made.
    from store import arrays  # noqa: F401, PLC0415

    if schema is None:
        return create_engine(url)
    return create_engine(url, connect_args={"options": f"-c search_path={schema}"})


_OPENERS: Mapping[str, Callable[[URL, str | None], Engine]] = {
    "sqlite": _open_sqlite,
    "sqlite+pysqlite": _open_sqlite,
    "postgresql+psycopg": _open_postgresql,
}


def _of_postgresql() -> ModuleType:
    """Its driver: told from other errors by nobody who meets none."""
    import psycopg  # noqa: PLC0415 - slow to bring in, and a workspace on SQLite needs it not

    return psycopg


def _of_the_row(error: BaseException) -> bool:
    """Whether it is about a text that no column holds, or that is too long for its index."""
    other = _of_postgresql()
    kinds = (sqlite3.DataError, other.DataError, other.errors.ProgramLimitExceeded)
    return isinstance(error, kinds)


@contextmanager
def _as_store_error() -> Iterator[None]:
    """Turns database errors into StoreError, without the statement and its values; into RowRefused
    where a value is at fault, and not what the database can do now."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, _of_postgresql().Error) as error:
        cause = getattr(error, "orig", None) or error
        raise (RowRefused if _of_the_row(cause) else StoreError)(
            f"database: the operation failed ({type(cause).__name__}); nothing of it was kept"
        ) from None
