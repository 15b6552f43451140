"""The logical content of a store, line by line: what two stores must agree on to be the same.

Rules:
- Every table's rows in order of their keys, payloads unsealed, ids included.
- Left out is what may differ between equal histories: nonces, salts and key ids, digests (they
  hang on the keyring), wall-clock times, how match rows are split into segments and link states
  into parts; feature sets, which follow from the rest; how far detection has read.
- It shows everything that is held. It is for checks of this program, never for a user's eyes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Row, Table, select

from audit.events import SALT_BYTES
from store import audit_tables, columns, tables
from store.arrow import unpacked
from store.database import KEYSTORE, LOADS, Database
from store.feeds import opened_detail
from store.link_state import kept_tables, read_state
from store.segments import live_rows

_DIGESTS = frozenset(
    {"record_key", "item_key", "staff_key", "subject_key", "nhs_key", "content_hash"}
    | {"retired_key", "survivor_key", "left_key", "right_key", "class_key"}
    | {"actor_key", "entry"}
)
_WALL_CLOCK = frozenset({"received_at", "ended_at", "started_at", "at"})
_OWN_META = frozenset({KEYSTORE, LOADS})
_LEFT_OUT = _DIGESTS | _WALL_CLOCK | {"key_id"}


def logical_dump(database: Database) -> Iterator[str]:
    """One line per row: table name, tab, JSON with sorted keys."""
    for table in sorted(tables.all_tables.tables.values(), key=lambda t: t.name):
        if table is tables.match_segment:
            yield from _match_lines(database)
        elif table in (tables.feature_set, tables.feature_part, audit_tables.audit_detection):
            continue
        elif table is tables.link_state_part:
            yield from _state_lines(database)
        else:
            yield from _table_lines(database, table)


def _table_lines(database: Database, table: Table) -> Iterator[str]:
    with database.reading() as conn:
        for row in conn.execute(select(table).order_by(*table.primary_key.columns)):
            if table is tables.store_meta and row.name in _OWN_META:
                continue
            values = {
                column.name: _opened(database, table, column.name, row)
                if columns.is_sealed(column)
                else getattr(row, column.name)
                for column in table.columns
                if column.name not in _LEFT_OUT
            }
            yield _line(table.name, values)


def _opened(database: Database, table: Table, column: str, row: Row[Any]) -> Any:
    payload = getattr(row, column)
    if table is tables.quarantine:
        detail = opened_detail(database, row.quarantine_id, payload)
        return [detail.where, detail.field, detail.message, detail.raw.hex()]
    if table is audit_tables.audit_event and not payload:
        return None
    (key,) = table.primary_key.columns
    plain = database.sealer.unseal(table, column, getattr(row, key.name), payload)
    return _READ.get(table.name, _json)(plain)


def _json(plain: bytes) -> Any:
    return json.loads(plain)


def _event(plain: bytes) -> Any:
    told = json.loads(plain[SALT_BYTES:])
    return {name: value for name, value in told.items() if name not in _WALL_CLOCK}


_READ: dict[str, Callable[[bytes], Any]] = {
    tables.feed.name: lambda plain: plain.decode("utf-8", "surrogateescape"),
    audit_tables.audit_event.name: _event,
    tables.link_delta.name: lambda plain: unpacked(plain).to_pydict(),
}
"""How a table's sealed column reads, where it is not plain JSON."""


def _match_lines(database: Database) -> Iterator[str]:
    found = []
    with database.reading() as conn:
        for source, ids, features in live_rows(database, conn):
            rows = zip(ids.drop_columns(["founder"]).to_pylist(), features.to_pylist(), strict=True)
            found += [{"source": source, **first, **second} for first, second in rows]
    for row in sorted(found, key=lambda row: int(row["record_id"])):
        yield _line(tables.match_segment.name, row)


def _state_lines(database: Database) -> Iterator[str]:
    """The latest link state's tables, however they are split into parts."""
    kept = read_state(database)
    for kind, table in kept_tables(kept) if kept else ():
        for row in table.to_pylist():
            yield _line(tables.link_state_part.name, {"kind": kind, **row})


def _line(table: str, values: dict[str, Any]) -> str:
    return f"{table}\t{json.dumps(values, sort_keys=True)}"
