"""Exports: who is who, to a file; what was quarantined, to a list. Both are written down."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from consent.commands import Action
from schemas.dates import Instant
from schemas.errors import InputError, NotFound
from schemas.identifiers import SourceId
from schemas.settings import Settings
from service.access import Actor, permit, record
from service.looking import export_persons
from service.ports import Store

Clock = Callable[[], Instant]
_SCHEMA = pa.schema([(n, pa.string()) for n in ("source", "local_id", "person_id")])
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export_file(store: Store, actor: Actor, out: Path, clock: Clock) -> int:
    """Writes the published state, sorted, whole or not at all; returns the number of rows.

    Raises: NotPermitted, InputError (the name's ending, or no room).
    """
    if out.suffix.lower() not in (".csv", ".parquet"):
        raise InputError(f"{out}: expected a name ending in .csv or .parquet")
    rows = sorted(row for chunk in export_persons(store, actor, clock) for row in chunk)
    temporary = out.with_name(out.name + ".part")
    try:
        if out.suffix.lower() == ".parquet":
            columns = list(zip(*rows, strict=True)) or [(), (), ()]
            arrays = [pa.array(c, pa.string()) for c in columns]
            pq.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA), temporary)
        else:
            with temporary.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream)
                writer.writerow(_SCHEMA.names)
                writer.writerows([_harmless(v) for v in row] for row in rows)
        temporary.replace(out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from None
    finally:
        temporary.unlink(missing_ok=True)
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
        raise NotFound(f"no source {source!r} in partnership.toml")
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
