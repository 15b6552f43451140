"""Backup: the tables of a database as Parquet files, the same from either kind of database.

Rules:
- All tables are read on one snapshot, while others write. Payloads are written as they stand:
  sealed. The keystore is copied after that snapshot was taken, so that it holds every key of it;
  where an erasure destroyed one meanwhile, both are copied anew.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Column, Connection, Float, Integer, LargeBinary, Table, select

from schemas.errors import StoreError
from service.ports import SavedKeys, SavedTables
from store import erasing
from store.database import GENERATION, PUBLISHED, Database, read_counter
from store.keyring import KEYSTORE_FILE, KeyRing
from store.schema import schema_revision
from store.tables import all_tables

_BATCH_ROWS = 2_000
_GROUP_BYTES = 32_000_000
_ATTEMPTS = 3
_WRITES = {"compression": "zstd", "write_statistics": False}


def save(database: Database, tables: Path, keys: Path | None) -> tuple[SavedTables, SavedKeys]:
    """See service.ports.Store.save."""
    for _ in range(_ATTEMPTS):
        shutil.rmtree(tables, ignore_errors=True)
        tables.mkdir(mode=0o700)
        with database.reading() as conn:
            saved = _save_tables(conn, tables)
            used = erasing.used_keys(conn)
        held = _save_keys(database.keys, keys)
        if used <= held:
            identity = f"{database.keys.identity:016x}"
            return saved, SavedKeys(identity, database.keys.keystore.last_key())
    raise StoreError("records are being erased; run the backup again when that has ended")


def _save_tables(conn: Connection, folder: Path) -> SavedTables:
    rows = {}
    for table in all_tables.sorted_tables:
        rows[table.name] = _save_table(conn, table, folder / f"{table.name}.parquet")
    return SavedTables(
        schema=schema_revision(conn) or "",
        rows=rows,
        generation=read_counter(conn, GENERATION),
        run=read_counter(conn, PUBLISHED),
    )


def _save_table(conn: Connection, table: Table, path: Path) -> int:
    schema = pa.schema([(column.name, _arrow_type(column)) for column in table.columns])
    count, held, size = 0, list[pa.RecordBatch](), 0
    with pq.ParquetWriter(path, schema, **_WRITES) as writer:
        found = conn.execution_options(stream_results=True).execute(select(table))
        for rows in found.partitions(_BATCH_ROWS):
            columns = zip(*rows, strict=True)
            arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
            held.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
            count, size = count + len(rows), size + held[-1].nbytes
            if size > _GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(held))
                held, size = [], 0
        writer.write_table(pa.Table.from_batches(held, schema))
    path.chmod(0o600)
    return count


def _arrow_type(column: Column[Any]) -> pa.DataType:
    for kind, arrow in ((Integer, pa.int64()), (Float, pa.float64()), (LargeBinary, pa.binary())):
        if isinstance(column.type, kind):
            return arrow
    return pa.string()


def _save_keys(keys: KeyRing, folder: Path | None) -> set[int]:
    """Copies the keystore; returns the ids of the data keys in the copy."""
    if folder is None:
        return set(keys.keystore.key_sources())
    path = folder / KEYSTORE_FILE
    path.unlink(missing_ok=True)
    keys.keystore.copy_to(path)
    return set(keys.keystore.key_sources())
