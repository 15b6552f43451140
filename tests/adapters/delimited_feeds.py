"""Builds small delimited feeds for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.delimited import read_delimited
from schemas.columns import UnitBatch
from schemas.dates import Instant
from schemas.identifiers import OdsCode, SourceId
from schemas.settings import FileSettings, Limits, SourceSettings
from service.ports import FeedFile

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "local_id": ("ID",),
    "nhs_number": ("NHS",),
    "name.given": ("FORENAME",),
    "name.family": ("SURNAME",),
    "birth_date": ("DOB",),
    "gender": ("SEX",),
    "address.line": ("STREET", "TOWN"),
    "address.postcode": ("POSTCODE",),
}
HEADER = "ID,NHS,FORENAME,SURNAME,DOB,SEX,STREET,TOWN,POSTCODE"
ROW = "1,9434765919,John Paul,Smith,17/05/1980,M,1 High Street,Bristol,bs1 5tr"
DEFAULTS = Limits()
SEXES = {"gender": {"M": "male", "F": "female"}}


def file_settings(**changes: Any) -> FileSettings:
    """Settings of a client file with `COLUMNS`, changed as said."""
    settings: dict[str, Any] = {
        "pattern": "*.csv",
        "format": "delimited",
        "columns": COLUMNS,
        "codes": SEXES,
        "date_formats": ("%d/%m/%Y",),
    }
    return FileSettings(**(settings | changes))


def source_settings(file: FileSettings, **changes: Any) -> SourceSettings:
    """A source with one kind of file."""
    settings: dict[str, Any] = {
        "id": SourceId("pas"),
        "name": "PAS",
        "organisations": (OdsCode("RA7"),),
        "files": (file,),
    }
    return SourceSettings(**(settings | changes))


def read(
    folder: Path,
    data: bytes | str,
    file: FileSettings | None = None,
    limits: Limits = DEFAULTS,
    **source: Any,
) -> list[UnitBatch]:
    """What the reader makes of the bytes of a file."""
    file = file or file_settings()
    path = folder / "feed.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    at = Instant("2026-03-01T00:00:00Z")
    feed = FeedFile(path, "0" * 64, path.stat().st_size, at, file)
    return list(read_delimited(feed, source_settings(file, **source), limits))


def loaded(batches: list[UnitBatch], table: str = "records") -> list[dict[str, Any]]:
    """The rows of a table of all batches."""
    return [row for batch in batches for row in getattr(batch, table).to_pylist()]


def rejections(batches: list[UnitBatch]) -> list[tuple[str, str, str]]:
    """Where, field and reason of every rejected unit."""
    return [(r.where, r.field, r.reason) for batch in batches for r in batch.rejected]


def issues(batches: list[UnitBatch]) -> dict[tuple[str, str], int]:
    """The issues of all batches together."""
    counts: dict[tuple[str, str], int] = {}
    for batch in batches:
        for key, count in batch.issues.items():
            counts[key] = counts.get(key, 0) + count
    return counts
