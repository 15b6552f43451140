"""Exports: who is who, to a file; what was quarantined, to a list. Both are written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from consent.commands import Action
from schemas.dates import Clock, Instant
from schemas.identifiers import SourceId
from schemas.settings import Settings
from service.access import Actor, permit, record
from service.ingest import unknown_source
from service.looking import export_persons
from service.ports import Store
from service.table_files import check_outputs, write_table

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export_file(
    store: Store, actor: Actor, out: Path, clock: Clock, as_at: Instant | None = None
) -> int:
    """Writes the published state, now or as at a time, sorted, whole or not at all; returns the
    number of rows.

    Parquet holds ids as they are. CSV is for spreadsheets: a text that one would take for a
    formula gets an apostrophe before it. Raises: NotPermitted, InputError, NotFound.
    """
    check_outputs([out], [])
    rows = sorted(row for chunk in export_persons(store, actor, clock, as_at) for row in chunk)
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    if out.suffix.lower() == ".csv":
        columns = [[_harmless(value) for value in column] for column in columns]
    arrays = [pa.array(column, pa.string()) for column in columns]
    write_table(pa.Table.from_arrays(arrays, names=["source", "local_id", "person_id"]), out)
    return len(rows)


def _harmless(value: str) -> str:
    """A text that a spreadsheet will not take for a formula."""
    return f"'{value}" if value.startswith(_FORMULA) else value


def quarantined(
    store: Store, settings: Settings, actor: Actor, source: str | None, limit: int, clock: Clock
) -> list[dict[str, Any]]:
    """What was not loaded and why, without values; of one source (of the settings, or once of
    them and still held) or of all. Raises: NotPermitted, NotFound (a source)."""
    permit(actor, Action.QUARANTINE_LIST, store, clock)
    chosen = SourceId(source) if source else None
    if chosen and settings.source(chosen) is None and chosen not in store.source_states():
        raise unknown_source(settings)
    record(actor, Action.QUARANTINE_LIST, store, clock, source=source or "all")
    return [
        {
            "source": row.source,
            "feed": row.sha256[:12],
            "unit": row.unit,
            "where": row.where,
            "field": row.field,
            "reason": row.reason,
            "message": row.message,
        }
        for row in store.quarantined(chosen, limit)
    ]
