"""The keystore: a small SQLite file outside the database that holds wrapped keys.

Rules:
- It stands in `keys/keystore.db`, readable by its owner only, and is backed up apart from the
  database: whoever holds the database alone can open nothing.
- A data key is committed here, durably (write-ahead log, synchronous=FULL), before any row sealed
  under it is written to the database.
- Key ids only grow; an id is never given twice, even when its key has been destroyed.
- What is kept is opaque to this module: wrapping is store/keyring.py's.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import StoreError

_APPLICATION_ID = 0x636F7468
_VERSION = 1
_SCHEMA = """
CREATE TABLE fixed_key (name TEXT PRIMARY KEY, wrapped BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE data_key (
    key_id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, wrapped BLOB NOT NULL
) STRICT;
"""
_LAST_KEY = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'data_key'), 0)"


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
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id = {_APPLICATION_ID};"
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
                version = connection.execute("PRAGMA user_version").fetchone()[0]
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

    def add(self, source: str, count: int, wrap_new: Callable[[int], bytes]) -> range:
        """Adds `count` data keys and commits them; returns their ids.

        Args:
            source: whose rows they will seal.
            wrap_new: key id → a new key, wrapped.
        """
        with self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                first = connection.execute(_LAST_KEY).fetchone()[0] + 1
                ids = range(first, first + count)
                connection.executemany(
                    "INSERT INTO data_key VALUES (?, ?, ?)", [(k, source, wrap_new(k)) for k in ids]
                )
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
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
        return self._open
