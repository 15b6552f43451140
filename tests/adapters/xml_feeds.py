"""Builds small XML extracts for tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adapters.xml_rows import read_xml
from schemas.columns import UnitBatch
from schemas.dates import Instant
from schemas.settings import FileSettings, Limits
from service.ports import FeedFile
from tests.adapters.delimited_feeds import DEFAULTS, SEXES, source_settings

PATHS: Mapping[str, tuple[str, ...]] = {
    "local_id": ("@id",),
    "nhs_number": ("Ids/Id[@type='NHS']",),
    "name.given": ("Name/Given",),
    "name.family": ("Name/Family",),
    "birth_date": ("Born",),
    "gender": ("Sex/@code",),
    "address.line": ("Address/Line",),
    "address.postcode": ("Address/Postcode",),
    "phone": ("Tel[1]", "Tel[2]"),
}


def file_settings(**changes: Any) -> FileSettings:
    """Settings of an extract with `PATHS`, changed as said."""
    settings: dict[str, Any] = {
        "pattern": "*.xml",
        "format": "xml",
        "record": "Extract/Clients/Client",
        "columns": PATHS,
        "codes": SEXES,
        "date_formats": ("%d/%m/%Y",),
    }
    return FileSettings(**(settings | changes))


def client(number: object, family: str = "Smith", **changes: str) -> str:
    """A client's element; `changes` replace or add elements by name."""
    parts = {
        "Ids": '<Id type="PAS">7</Id><Id type="NHS">9434765919</Id>',
        "Name": f"<Given>Ann</Given><Given>Bea</Given><Family>{family}</Family>",
        "Born": "17/05/1980",
        "Address": "<Line>1 High Street</Line><Line>Bristol</Line><Postcode>BS1 5TR</Postcode>",
    } | changes
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in parts.items())
    return f'<Client id="{number}">{inner}<Sex code="F"/></Client>'


def extract(*clients: str, before: str = "", root: str = "<Extract>") -> bytes:
    """An extract of these clients."""
    head = f'<?xml version="1.0" encoding="UTF-8"?>{before}{root}<Made>today</Made><Clients>'
    return f"{head}{''.join(clients)}</Clients></Extract>".encode()


def read_in_turn(
    folder: Path, data: bytes, file: FileSettings | None = None, limits: Limits = DEFAULTS
) -> Iterator[UnitBatch]:
    """What the reader makes of the bytes of an extract, batch after batch."""
    file = file or file_settings()
    path = folder / "feed.xml"
    path.write_bytes(data)
    feed = FeedFile(path, "0" * 64, len(data), Instant("2026-03-01T00:00:00Z"), file)
    yield from read_xml(feed, source_settings(file), limits)


def read(
    folder: Path, data: bytes, file: FileSettings | None = None, limits: Limits = DEFAULTS
) -> list[UnitBatch]:
    """What the reader makes of the bytes of an extract."""
    return list(read_in_turn(folder, data, file, limits))
