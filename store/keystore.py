"""The keystore: a small SQLite file outside the database that holds wrapped keys.

Rules:
- It stands in `keys/keystore.db`, readable by its owner only, and is backed up apart from the
  database: whoever holds the database alone can open nothing.
- A data key is committed here, durably (write-ahead log, synchronous=FULL), before any row sealed
  under it is written to the database.
- Key ids only grow; an id is never given twice, even when its key has been destroyed.
- What is kept is opaque to this module: wrapping is store/keyring.py's.
- It also keeps the erasure list: which records were erased, when, which of them may come back,
  and which data keys were destroyed. The list only grows, and a restore merges lists: what was
  erased stays erased, whatever is brought back. Records are named by keyed digests.
- A wrapped key that is destroyed is overwritten in the file, and leaves the write-ahead log.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from schemas.errors import StoreError

_APPLICATION_ID = 0x636F7468
_VERSION = 2
_SCHEMA = """
CREATE TABLE fixed_key (name TEXT PRIMARY KEY, wrapped BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE data_key (
    key_id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, wrapped BLOB NOT NULL
) STRICT;
"""
_ERASURES = """
CREATE TABLE erasure (
    record_key BLOB NOT NULL, at TEXT NOT NULL, act TEXT NOT NULL, source TEXT NOT NULL,
    PRIMARY KEY (record_key, at, act)
) STRICT, WITHOUT ROWID;
CREATE TABLE destroyed_key (
    key_id INTEGER PRIMARY KEY, source TEXT NOT NULL, at TEXT NOT NULL
) STRICT;
"""
_LAST_KEY = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'data_key'), 0)"


class Act(StrEnum):
    """What an entry of the erasure list says. Of one moment, the later one listed here counts."""

    DONE = "done"
    """All of the erasure of that moment has been carried out here."""
    ERASED = "erased"
    LIFTED = "lifted"
    """The record may come back."""


@dataclass(frozen=True)
class Erasure:
    """One entry of the erasure list. `record_key` is a keyed digest (store/indexes.py)."""

    record_key: bytes
    at: str
    act: Act
    source: str


@dataclass(frozen=True)
class DestroyedKey:
    """A data key that was destroyed: whose rows it sealed, and when it went."""

    key_id: int
    source: str
    at: str


class KeyStore:
    """The wrapped keys of one workspace. Safe to use from several threads and processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._open: sqlite3.Connection | None = None

    @classmethod
    def create(cls, path: Path, fixed: Mapping[str, bytes]) -> KeyStore:
        """A new keystore with the given fixed keys (name → wrapped).

        Raises: StoreError if the file is there already.
        """
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            raise StoreError(f"{path.name}: a keystore is there already; not overwritten") from None
        store = cls(path)
        with store._lock:
            connection = store._connect()
            connection.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} {_ERASURES} PRAGMA application_id = {_APPLICATION_ID};"
                f" PRAGMA user_version = {_VERSION};"
            )
            connection.executemany("INSERT INTO fixed_key VALUES (?, ?)", list(fixed.items()))
            connection.execute("COMMIT")
        return store

    @classmethod
    def open(cls, path: Path) -> KeyStore:
        """The keystore in this file. Raises: StoreError where there is none, or not one of ours."""
        if not path.is_file():
            raise StoreError(f"{path.name}: no keystore there; restore it from its own backup")
        store = cls(path)
        with store._lock:
            try:
                connection = store._connect()
                found = connection.execute("PRAGMA application_id").fetchone()[0]
                version = _brought_up(connection) if found == _APPLICATION_ID else 0
            except sqlite3.DatabaseError:
                found = version = 0
        if (found, version) != (_APPLICATION_ID, _VERSION):
            store.close()
            raise StoreError(f"{path.name}: expected a commonthread keystore of version {_VERSION}")
        return store

    def close(self) -> None:
        """Releases the file; the next use opens it again."""
        with self._lock:
            if self._open is not None:
                self._open.close()
                self._open = None

    def fixed(self) -> dict[str, bytes]:
        """Name → wrapped key of every fixed key."""
        with self._reading() as connection:
            return dict(connection.execute("SELECT name, wrapped FROM fixed_key"))

    def change_fixed(
        self,
        kept: Mapping[str, bytes],
        dropped: Collection[str],
        check: Callable[[Collection[str]], None] | None = None,
    ) -> None:
        """Adds fixed keys (name → wrapped) and destroys others, together; first `check` may refuse
        it, by the names that are there.

        Raises: StoreError: the file is in use, so that they cannot be taken out of its log.
        """
        with self._changing() as connection:
            if check is not None:
                check([name for (name,) in connection.execute("SELECT name FROM fixed_key")])
            connection.executemany("INSERT INTO fixed_key VALUES (?, ?)", list(kept.items()))
            connection.executemany(
                "DELETE FROM fixed_key WHERE name = ?", [(name,) for name in dropped]
            )
        if dropped:
            self.empty_log()

    def add(self, source: str, count: int, wrap_new: Callable[[int], bytes]) -> range:
        """Adds `count` data keys and commits them; returns their ids.

        Args:
            source: whose rows they will seal.
            wrap_new: key id → a new key, wrapped.
        """
        with self._changing() as connection:
            first = connection.execute(_LAST_KEY).fetchone()[0] + 1
            ids = range(first, first + count)
            connection.executemany(
                "INSERT INTO data_key VALUES (?, ?, ?)", [(k, source, wrap_new(k)) for k in ids]
            )
            return ids

    def data_keys(self, first: int, last: int) -> dict[int, bytes]:
        """Key id → wrapped key of the data keys with first <= id <= last that are there."""
        with self._reading() as connection:
            return dict(
                connection.execute(
                    "SELECT key_id, wrapped FROM data_key WHERE key_id BETWEEN ? AND ?",
                    (first, last),
                )
            )

    def last_key(self) -> int:
        """The greatest data key id ever given; 0 for none."""
        with self._reading() as connection:
            return int(connection.execute(_LAST_KEY).fetchone()[0])

    def key_sources(self) -> dict[int, str]:
        """Key id → source, of every data key that is there."""
        with self._reading() as connection:
            return dict(connection.execute("SELECT key_id, source FROM data_key"))

    def erasures(self) -> list[Erasure]:
        """The erasure list: for each record its entries in the order in which they count."""
        with self._reading() as connection:
            rows = connection.execute("SELECT record_key, at, act, source FROM erasure").fetchall()
        acts = list(Act)
        entries = [Erasure(key, at, Act(act), source) for key, at, act, source in rows]
        return sorted(entries, key=lambda e: (e.record_key, e.at, acts.index(e.act)))

    def destroyed(self) -> list[DestroyedKey]:
        """The data keys that were destroyed, by id."""
        with self._reading() as connection:
            rows = connection.execute("SELECT key_id, source, at FROM destroyed_key ORDER BY 1")
            return [DestroyedKey(*row) for row in rows]

    def extend(
        self,
        entries: Iterable[Erasure] = (),
        destroyed: Iterable[DestroyedKey] = (),
        last_key: int = 0,
    ) -> None:
        """Adds to the list what it does not hold yet; ids up to `last_key` are not given again."""
        with self._changing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO erasure VALUES (?, ?, ?, ?)",
                [(e.record_key, e.at, e.act.value, e.source) for e in entries],
            )
            connection.executemany(
                "INSERT OR IGNORE INTO destroyed_key VALUES (?, ?, ?)",
                [(d.key_id, d.source, d.at) for d in destroyed],
            )
            last = max(last_key, connection.execute(_LAST_KEY).fetchone()[0])
            connection.execute("DELETE FROM sqlite_sequence WHERE name = 'data_key'")
            connection.execute("INSERT INTO sqlite_sequence VALUES ('data_key', ?)", (last,))

    def forget_done(self) -> None:
        """Takes it that no erasure has been carried out yet: the database was put back."""
        with self._changing() as connection:
            connection.execute("DELETE FROM erasure WHERE act = ?", (Act.DONE.value,))

    def destroy(self, key_ids: Collection[int], at: str) -> None:
        """Destroys data keys for ever and lists them. Raises: StoreError: the file is in use, so
        that they cannot be taken out of its log."""
        with self._changing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO destroyed_key"
                " SELECT key_id, source, ? FROM data_key WHERE key_id = ?",
                [(at, key_id) for key_id in key_ids],
            )
            connection.executemany(
                "DELETE FROM data_key WHERE key_id = ?", [(key_id,) for key_id in key_ids]
            )
        self.empty_log()

    def empty_log(self) -> None:
        """Takes what was destroyed out of the write-ahead log. Raises: StoreError."""
        with self._reading() as connection:
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise StoreError(
                f"{self._path.name}: another program is reading the keystore, so that destroyed"
                " keys are still in its log; end that program and run this again"
            )

    def copy_to(self, path: Path) -> None:
        """A consistent copy in a new file, readable by its owner only. Raises: StoreError."""
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with self._reading() as connection, closing(sqlite3.connect(path)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connect()
            except sqlite3.Error as error:
                raise StoreError(
                    f"{self._path.name}: the keystore cannot be used ({type(error).__name__})"
                ) from error

    def _connect(self) -> sqlite3.Connection:
        if self._open is None:
            self._open = sqlite3.connect(
                self._path, timeout=30, isolation_level=None, check_same_thread=False
            )
            self._open.execute("PRAGMA journal_mode = WAL")
            self._open.execute("PRAGMA synchronous = FULL")
            self._open.execute("PRAGMA secure_delete = ON")
        return self._open


def _brought_up(connection: sqlite3.Connection) -> int:
    """The version of the file, brought up to date if it is one that had no erasure list."""
    connection.execute("BEGIN IMMEDIATE")
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version == 1:
        for statement in _ERASURES.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        version = _VERSION
    connection.execute("COMMIT")
    return version
