"""Restore: the tables of a backup become the database, without what was erased since.

Rules:
- A restore fills a database that nobody sees: another file, another schema of PostgreSQL. What
  was erased since the backup is erased there, and only then does it take the old one's place.
- Rows are restored into the schema they were saved from, which is then migrated.
- A saved keystore is never opened where it lies: opening changes the file.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from sqlalchemy import Connection, MetaData, Table, inspect, text
from sqlalchemy.engine import make_url

from schemas.dates import Clock
from schemas.errors import StoreError
from service.durable import make_durable
from service.ports import LogPlaces
from store import audit_keeping, erasing
from store.database import Database, open_engine
from store.keyring import KEYSTORE_FILE, KeyRing, WorkspaceKey, open_keyring
from store.log_keys import take_over
from store.log_restoring import go_on
from store.schema import alembic_config, prepare_schema, schema_revision
from store.sql_store import SqlStore
from store.tables import all_tables

STAGING_SCHEMA = "commonthread_restoring"
_STAGED = ".restoring"
_BATCH_ROWS = 2_000


@contextmanager
def saved_ring(folder: Path, key: Callable[[Path], WorkspaceKey]) -> Iterator[KeyRing]:
    """The keys of a backup, opened from a copy of the file. Raises: StoreError."""
    with tempfile.TemporaryDirectory(prefix="commonthread-") as name:
        copy = Path(name)
        with suppress(FileNotFoundError):
            shutil.copyfile(folder / KEYSTORE_FILE, copy / KEYSTORE_FILE)
        ring = open_keyring(copy, key(folder))
        try:
            yield ring
        finally:
            ring.close()


class Landing:
    """Where a restore puts the tables: beside the database first, then in its place.

    Args:
        url: of the database that is to hold them.
        key: keys folder → where its workspace key is kept.
        origin: the audit log's name, of the settings; empty where they name none.
        clock: tells when what was lost of the log is said to be.
    """

    def __init__(
        self, url: str, key: Callable[[Path], WorkspaceKey], origin: str, clock: Clock
    ) -> None:
        self._key, self._origin, self._clock = key, origin, clock
        parsed = make_url(url)
        self._file = Path(parsed.database or "") if parsed.drivername.startswith("sqlite") else None
        self.url = url

    def occupied(self) -> bool:
        """Whether the database holds tables. Raises: StoreError: of something else."""
        if self._file is not None and not self._file.exists():
            return False
        engine = open_engine(self.url)
        try:
            with engine.connect() as conn:
                return schema_revision(conn) is not None
        finally:
            engine.dispose()

    def discard(self) -> None:
        """Removes what a restore that died left."""
        if self._file is not None:
            for part in ("", "-wal", "-shm", "-journal"):
                self._beside(part).unlink(missing_ok=True)
            return
        self._run(f"DROP SCHEMA IF EXISTS {STAGING_SCHEMA} CASCADE")

    def stage(
        self,
        tables: Path,
        schema: str,
        rows: Mapping[str, int],
        keys: Path,
        lists: Sequence[Path],
        live: Path | None,
        logs: LogPlaces,
    ) -> tuple[SqlStore, Mapping[str, object]]:
        """The database as saved, beside the one there is, without what was erased since.

        Args:
            tables, schema, rows: the files, the schema they were saved from, rows of each.
            keys: folder with the keystore that goes with them; it is changed.
            lists: folders of other backups of the keys, for what was erased since.
            live: keys folder of the workspace that is replaced, likewise.
            logs: where the audit log was, is, and is to be.

        Returns: the database, and what became of the log (store/log_restoring.py).

        Raises: StoreError: a newer schema, other keys, keys that are not there, rows missing.
        """
        ring = open_keyring(keys, self._key(keys))
        try:
            self._merge_lists(ring, lists, live)
            store = SqlStore(Database(self._staging_engine(), ring))
        except BaseException:
            ring.close()
            raise
        try:
            _fill(store.database, tables, schema, rows)
            prepare_schema(store.database)
            _check_keys(store.database)
            # First of all: whatever is written from now on stands in the log behind what was lost.
            told = go_on(store, self._origin, logs, self._clock())
            audit_keeping.finish_restored(store.database)
            erasing.finish(store.database, restored=True)
        except BaseException:
            store.close()
            raise
        return store, told

    def _merge_lists(self, ring: KeyRing, lists: Sequence[Path], live: Path | None) -> None:
        for folder in lists:
            with saved_ring(folder, self._key) as other:
                _merge(ring, other, folder)
        if live is not None:
            other = open_keyring(live, self._key(live))
            try:
                _merge(ring, other, live)
            finally:
                other.close()

    def _staging_engine(self) -> Any:
        if self._file is not None:
            return open_engine(f"sqlite:///{self._beside('')}")
        self._run(f"CREATE SCHEMA {STAGING_SCHEMA}")
        return open_engine(self.url, schema=STAGING_SCHEMA)

    def show(self) -> None:
        """Puts what was staged in the place of the database. May be repeated."""
        if self._file is not None:
            if self._beside("").exists():
                with closing(sqlite3.connect(self._beside(""))) as staged:
                    staged.execute("PRAGMA journal_mode = DELETE")
                for part in ("-wal", "-shm"):
                    Path(f"{self._file}{part}").unlink(missing_ok=True)
                self._beside("").replace(self._file)
                make_durable(self._file.parent)
            return
        engine = open_engine(self.url)
        try:
            with engine.begin() as conn:
                self._swap(conn)
        finally:
            engine.dispose()

    def _swap(self, conn: Connection) -> None:
        look = inspect(conn)
        if STAGING_SCHEMA not in look.get_schema_names():
            return
        name = conn.dialect.identifier_preparer.quote
        home = name(str(conn.scalar(text("SELECT current_schema()"))))
        staged = look.get_table_names(schema=STAGING_SCHEMA)
        for table in set(look.get_table_names()) & {*staged, *all_tables.tables}:
            conn.execute(text(f"DROP TABLE {home}.{name(table)} CASCADE"))
        for table in staged:
            conn.execute(text(f"ALTER TABLE {STAGING_SCHEMA}.{name(table)} SET SCHEMA {home}"))
        conn.execute(text(f"DROP SCHEMA {STAGING_SCHEMA} CASCADE"))

    def _beside(self, part: str) -> Path:
        return Path(f"{self._file}{_STAGED}{part}")

    def _run(self, statement: str) -> None:
        engine = open_engine(self.url)
        try:
            with engine.begin() as conn:
                conn.execute(text(statement))
        finally:
            engine.dispose()


def _merge(ring: KeyRing, other: KeyRing, where: Path) -> None:
    """Takes over what the other list says was erased. Raises: StoreError: another workspace's."""
    if ring.identity != other.identity:
        raise StoreError(
            f"{where}: these are another workspace's keys; restore into an empty folder, or name"
            " backups of the same keys"
        )
    held = other.keystore
    ring.keystore.extend(held.erasures(), held.destroyed(), held.last_key())
    take_over(ring, other)


def _fill(database: Database, folder: Path, schema: str, rows: Mapping[str, int]) -> None:
    """Makes the schema of the backup and fills it, in one transaction."""
    from alembic import command  # noqa: PLC0415 - see `newest_schema`
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    known = {s.revision for s in ScriptDirectory.from_config(alembic_config()).walk_revisions()}
    if schema not in known:
        raise StoreError(
            f"backup: schema {schema} is not known here; restore it with the newer program that"
            " wrote it"
        )
    with database.writing() as conn:
        command.upgrade(alembic_config(conn), schema)
        made = MetaData()
        made.reflect(conn)
        for table in made.sorted_tables:
            if table.name not in rows:
                continue
            count = _fill_table(database, conn, table, folder / f"{table.name}.parquet")
            if count != rows[table.name]:
                raise StoreError(f"backup: {table.name} holds {count} rows; not as many as told")


def _fill_table(database: Database, conn: Connection, table: Table, path: Path) -> int:
    count = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH_ROWS):
            rows = list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
            database.bulk.insert(conn, table, batch.schema.names, rows)
            count += len(rows)
    return count


def _check_keys(database: Database) -> None:
    with database.reading() as conn:
        missing = erasing.used_keys(conn) - database.keys.keystore.key_sources().keys()
        missing -= audit_keeping.destroyed_keys(database).keys()  # emptied once the log fits again
    if missing:
        raise StoreError(
            f"backup: {len(missing)} data keys of this database are not among these keys: they are"
            " older than it, or of after an erasure; name the keys that were saved with it, and"
            " newer ones with --erasures"
        )
