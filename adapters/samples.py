"""The first rows of a file of an unknown source, and what its form tells: for drafting settings.

Rules:
- Delimited text: a byte order mark, or UTF-8 that is right, else Windows' encoding; the delimiter
  that gives most lines the same number of columns; a header if no cell of the first line looks like
  a value and none stands twice.
- Workbooks: each sheet, and as header the first row that has as many cells as most rows below.
- FHIR and HL7 v2 say by themselves what is what: they need no mapping.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from adapters.excel_book import open_workbook
from adapters.excel_sheet import SheetRows
from adapters.feed_bytes import open_feed
from schemas.errors import FeedRefused, InputError
from schemas.settings import Limits
from service.source_draft import Sample, TableSample

_BYTES, _ROWS, _HEADER_WITHIN = 1 << 20, 2_000, 30
_DELIMITERS = (",", "|", "\t", ";", "~")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def sample_of(path: Path, limits: Limits) -> Sample:
    """Raises: InputError: the file is of no form that a mapping can be drafted for."""
    try:
        head = _head(path, limits)
        if path.suffix.lower() == ".xlsx":
            return Sample("excel", tuple(_sheets(path, limits)), {})
        stripped = head.lstrip(codecs.BOM_UTF8 + b" \r\n\t\x0b")
        for begins, fmt in ((b"MSH|", "hl7v2"), (b"FHS|", "hl7v2"), (b"BHS|", "hl7v2"),
                            (b"{", "fhir")):  # fmt: skip
            if stripped.startswith(begins):
                return Sample(fmt, (), {})
        if stripped.startswith(b"<"):
            raise InputError(
                f"{path.name}: for XML write the mapping by hand; see XML extracts in the guide"
            )
        return _delimited(head)
    except FeedRefused as refusal:
        raise InputError(f"{path.name}: {refusal}") from None


def _head(path: Path, limits: Limits) -> bytes:
    if path.suffix.lower() == ".xlsx":
        return b""
    with open_feed(path, limits) as stream:
        data = stream.read(_BYTES)
    return data if len(data) < _BYTES else data[: data.rfind(b"\n") + 1]


def _delimited(head: bytes) -> Sample:
    encoding = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if encoding is None:
        try:
            head.decode("utf-8")
            encoding = "utf-8"
        except UnicodeDecodeError:
            encoding = "cp1252"
    text = head.decode(encoding, errors="replace").removeprefix("\ufeff")
    if "\0" in text or not text.strip():
        raise InputError("the file is no text, or holds nothing")
    delimiter, rows = max(
        ((one, _split(text, one)) for one in _DELIMITERS), key=lambda found: _regular(found[1])
    )
    width = Counter(map(len, rows)).most_common(1)[0][0]
    rows = [row for row in rows if len(row) == width]
    if width < 2:
        raise InputError("no delimiter gives the file columns; tried , | ; ~ and tab")
    said: dict[str, str | list[str]] = {}
    if encoding not in ("utf-8", "utf-16"):
        said["encoding"] = encoding
    if delimiter != ",":
        said["delimiter"] = delimiter
    header, *below = rows
    if not _is_header(header):
        header, below = [f"column {n}" for n in range(1, width + 1)], rows
        said["header"] = header
    header = [name.strip() for name in header]
    table = TableSample("", tuple(header), tuple(map(tuple, below)))
    return Sample("delimited", (table,), said)


def _split(text: str, delimiter: str) -> list[list[str]]:
    try:
        lines = csv.reader(io.StringIO(text), delimiter=delimiter)
        return [row for row in islice(lines, _ROWS) if any(map(str.strip, row))]
    except csv.Error:
        return []


def _regular(rows: Sequence[Sequence[str]]) -> tuple[float, int]:
    """How far rows have one number of columns, and that number."""
    counted = Counter(map(len, rows))
    counted.pop(1, None)
    if not counted:
        return 0.0, 0
    width, count = counted.most_common(1)[0]
    return count / len(rows), width


def _is_header(row: Sequence[str]) -> bool:
    names = [cell.strip() for cell in row]
    return all(names) and len(set(names)) == len(names) and not any(_valued(n) for n in names)


def _valued(text: str) -> bool:
    """Whether a text looks like a value, not like a column's name."""
    return sum(c.isdigit() for c in text) > 3 or "@" in text


def _sheets(path: Path, limits: Limits) -> Iterator[TableSample]:
    with open_workbook(path, limits) as book:
        for sheet in book.sheets:
            cells = SheetRows(book, sheet, limits.max_unit_bytes)
            read = (row for block in cells.blocks() for _, row in block)
            rows = [row for row in islice(read, _ROWS) if row and any(map(str.strip, row.values()))]
            if len(rows) < 2:
                continue
            usual = Counter(map(len, rows)).most_common(1)[0][0]
            at = next((n for n, row in enumerate(rows[:_HEADER_WITHIN]) if len(row) >= usual), 0)
            places = sorted(rows[at])
            header = [" ".join(rows[at][place].split()) for place in places]
            below = [tuple(str(row.get(place, "")) for place in places) for row in rows[at + 1 :]]
            named = [n for n, name in enumerate(header) if name and header.count(name) == 1]
            yield TableSample(
                sheet.name,
                tuple(header[n] for n in named),
                tuple(tuple(row[n] for n in named) for row in below),
            )
