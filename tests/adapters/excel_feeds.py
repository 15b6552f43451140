"""Builds small workbooks for tests, by another program than the one that reads them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from openpyxl import Workbook

from adapters.excel import read_excel
from schemas.columns import UnitBatch
from schemas.dates import Instant
from schemas.settings import FileSettings, Limits, SheetSettings
from service.ports import FeedFile
from tests.adapters.delimited_feeds import COLUMNS, DEFAULTS, SEXES, source_settings

HEADER = [column for columns in COLUMNS.values() for column in columns]
PERSON = [
    "1", "9434765919", "John", "Smith", "17/05/1980", "M", "1 High Street", "Bristol", "BS1 5TR",
]  # fmt: skip


def workbook(
    sheets: Mapping[str, Sequence[Sequence[Any]]], change: Callable[[Workbook], None] | None = None
) -> bytes:
    """A workbook with these rows on its sheets, changed as said."""
    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    if change:
        change(book)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def clients(*rows: Sequence[Any], change: Callable[[Workbook], None] | None = None) -> bytes:
    """A workbook whose one sheet has the header and these rows."""
    return workbook({"Clients": [HEADER, *rows]}, change)


def person(**values: Any) -> list[Any]:
    """A sound row, with some columns changed."""
    row = dict(zip(HEADER, PERSON, strict=True)) | values
    return [row[name] for name in HEADER]


def sheet_settings(**changes: Any) -> SheetSettings:
    """Settings of a client sheet with the columns of `COLUMNS`, changed as said."""
    settings: dict[str, Any] = {
        "name": "Clients",
        "columns": COLUMNS,
        "codes": SEXES,
        "date_formats": ("%d/%m/%Y",),
    }
    return SheetSettings(**(settings | changes))


def read_in_turn(
    folder: Path, data: bytes, *sheets: SheetSettings, limits: Limits = DEFAULTS
) -> Iterator[UnitBatch]:
    """What the reader makes of the bytes of a workbook, batch after batch."""
    file = FileSettings("*.xlsx", "excel", sheets=sheets or (sheet_settings(),))
    path = folder / "feed.xlsx"
    path.write_bytes(data)
    feed = FeedFile(path, "0" * 64, len(data), Instant("2026-03-01T00:00:00Z"), file)
    yield from read_excel(feed, source_settings(file), limits)


def read(
    folder: Path, data: bytes, *sheets: SheetSettings, limits: Limits = DEFAULTS
) -> list[UnitBatch]:
    """What the reader makes of the bytes of a workbook."""
    return list(read_in_turn(folder, data, *sheets, limits=limits))


SHEET = "xl/worksheets/sheet1.xml"
_SPACE = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def with_part(data: bytes, name: str, content: bytes) -> bytes:
    """The workbook with one part put in another's place, or beside the others."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for part in old.namelist():
            if part != name:
                new.writestr(part, old.read(part))
        new.writestr(name, content)
    return stream.getvalue()


def raw_sheet(rows: str, before: str = "", after: str = "") -> bytes:
    """The part of a sheet with these rows as they stand."""
    text = f'<?xml version="1.0" encoding="UTF-8"?>{before}<worksheet {_SPACE}><sheetData>{rows}'
    return f"{text}</sheetData>{after}</worksheet>".encode()


def raw_row(number: int, *texts: str) -> str:
    """A row of texts as another program might write it."""
    cells = "".join(
        f'<c r="{chr(65 + at)}{number}" t="inlineStr"><is><t>{text}</t></is></c>'
        for at, text in enumerate(texts)
    )
    return f'<row r="{number}">{cells}</row>'


_RELATIONS = "xl/_rels/workbook.xml.rels"
_KIND = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"


def with_strings(data: bytes, *items: str) -> bytes:
    """The workbook with these shared string items, which openpyxl does not write."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        relations = old.read(_RELATIONS).decode()
    more = f'<Relationship Type="{_KIND}" Target="sharedStrings.xml" Id="s"/></Relationships>'
    relations = relations.replace("</Relationships>", more)
    strings = f"<sst {_SPACE}>{''.join(f'<si>{item}</si>' for item in items)}</sst>"
    data = with_part(data, _RELATIONS, relations.encode())
    return with_part(data, "xl/sharedStrings.xml", strings.encode())
