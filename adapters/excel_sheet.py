"""The rows of one sheet of a workbook: its part in, texts by column out, in bounded memory.

Rules:
- Cells give what they show: texts as they stand, numbers with the leading noughts of their format,
  dates in ISO 8601, true and false, and of a formula what it gave when it was last calculated.
- A cell that shows an error of Excel, a formula that was never calculated, and a number that is no
  whole one of up to 15 digits are told apart, because what they stand for may be lost.
- The part is read in blocks of whole rows. A block in the form that Excel writes is taken apart at
  once; only one that holds anything else is given to an XML parser.
- A row over the limit is passed over in pieces, and is lost alone.
- Dates count from 1900 with Excel's 29 February of that year, or from 1904, as the workbook says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import BinaryIO

from lxml import etree

from adapters.excel_book import MOMENT, Sheet, Workbook, parse_part, string_of, unescaped
from schemas.errors import FeedRefused

_BLOCK = 1 << 16
_MOST_HEAD = 1 << 20
"""Bytes that may come before the first row."""
_MOST_DIGITS = 15
"""Excel keeps no more digits of a number."""
_BEGIN = re.compile(rb"<((?:\w+:)?)sheetData\s*(/?)>")
_DECLARED = re.compile(rb"""^[^<]*<\?xml[^>]*encoding\s*=\s*["']([^"']*)""")
_PIECE = re.compile(
    r'((?:<c r="([A-Z]{1,3}+)[0-9]{1,7}+"(?: s="([0-9]{1,5}+)")?+(?: t="([a-zA-Z]++)")?+'
    r"(?:/>|>(<f[^<>]*?(?:/>|>[^<&]*+</f>))?"
    r'(?:<(?:v|is><t(?: xml:space="preserve")?+)>([^<&]*+)</(?:v|t></is)>|<v ?/>)?+</c>)'
    r"|(</row>|<row(?: [^<>]*?)?/>)|<row( [^<>]*?)?>)\s*+)"
)
"""What a row is made of where Excel wrote it: a cell (column, style, type, formula, value or text),
the end of a row or an empty row, the beginning of one (its attributes)."""
_ROW_NUMBER = re.compile(r'\br="([0-9]{1,7})"')
_REFERENCE = re.compile(r"([A-Z]{1,3})[0-9]{1,7}")
Cells = dict[int, str]
"""Column, from 0 → what the cell shows; without cells that show nothing."""


class Inexact(str):
    """A number that cannot be an identifier: not whole, below nought, or of more than 15 digits."""

    __slots__ = ()


class Lost(str):
    """What stands for a value that is not there: the name of Excel's error, or a formula."""

    __slots__ = ()


class Moment(str):
    """A date, a time of day, or both, in ISO 8601 with a space between."""

    __slots__ = ()


UNCALCULATED = Lost("=")
"""A formula that was never calculated."""


class SheetRows:
    """The rows of a sheet; `blocks` is to be called once."""

    def __init__(self, book: Workbook, sheet: Sheet, max_bytes: int) -> None:
        self._book, self._sheet, self._max_bytes = book, sheet, max_bytes
        self._moments: dict[str, str] = {}
        self._number = 0
        self._head = b""
        self._prefix = b""

    def blocks(self) -> Iterator[list[tuple[int, Cells | None]]]:
        """Number and cells of row after row, some rows at a time; None for a row over the limit.

        Raises (as it goes): FeedRefused.
        """
        with self._book.open(self._sheet.part) as stream:
            data = self._begin(stream)
            if data is None:
                return
            start, end = b"<" + self._prefix + b"row", b"</" + self._prefix + b"sheetData"
            more = True
            while more:
                stop = data.find(end)
                if stop >= 0:
                    yield self._rows(data[:stop])
                    while stream.read(_BLOCK):
                        pass  # the checksum of the part is compared at its end
                    return
                cut = data.rfind(start)
                if cut > 0:
                    yield self._rows(data[:cut])
                    data = data[cut:]
                elif len(data) > self._max_bytes:
                    self._number = _numbered(data[:200].decode("latin-1"), self._number)
                    yield [(self._number, None)]
                    data = _next_row(stream, data[-len(end) :], start, end)
                    continue
                chunk = stream.read(_BLOCK)
                more, data = bool(chunk), data + chunk
        raise FeedRefused("torn", f"{self._named()} breaks off after row {self._number}")

    def _begin(self, stream: BinaryIO) -> bytes | None:
        """Reads up to the first row: what was read of the rows; None where the sheet is empty."""
        head = b""
        while (found := _BEGIN.search(head)) is None:
            chunk = stream.read(_BLOCK)
            if not chunk or len(head) > _MOST_HEAD:
                raise FeedRefused("not_the_format", f"{self._named()} has no rows where they stand")
            head += chunk
        declared = _DECLARED.match(head)
        if declared and declared[1].lower() not in (b"utf-8", b"us-ascii"):
            raise FeedRefused("encoding", f"expected {self._named()} in UTF-8")
        if b"<!DOCTYPE" in head[: found.start()]:
            raise FeedRefused("bomb", f"{self._named()} declares a document type")
        self._head, self._prefix = head[: found.start()], found[1]
        return None if found[2] else head[found.end() :]

    def _named(self) -> str:
        return f"sheet {self._sheet.place}"

    def _rows(self, block: bytes) -> list[tuple[int, Cells | None]]:
        """The rows of a block of whole ones."""
        rows = None if self._prefix else self._plain_rows(block)
        return list(self._parsed_rows(block)) if rows is None else rows

    def _plain_rows(self, block: bytes) -> list[tuple[int, Cells | None]] | None:
        """The rows of a block with nothing unusual; None where there is anything."""
        try:
            text = block.decode("utf-8").lstrip()
        except UnicodeDecodeError:
            return None
        rows: list[tuple[int, Cells | None]] = []
        cells: Cells = {}
        number, taken, within = self._number, 0, False
        strings, shows = self._book.strings, self._shows
        for token, column, style, kind, formula, sent, end, attributes in _PIECE.findall(text):
            taken += len(token)
            if within != (bool(column) or end == "</row>"):
                return None
            if column:
                if kind == "s" and _few_digits(sent) and int(sent) < len(strings):
                    shown = strings[int(sent)]
                else:
                    shown = shows(kind, style, sent, bool(formula))
                if shown:
                    cells[_column(column)] = shown
            elif end == "</row>":
                rows.append((number, cells))
                within = False
            else:
                number, cells, within = _numbered(end or attributes, number), {}, not end
                if end:
                    rows.append((number, cells))
        if taken != len(text) or within:
            return None
        self._number = number
        return rows

    def _parsed_rows(self, block: bytes) -> Iterator[tuple[int, Cells | None]]:
        """The rows of a block that only an XML parser can read. Raises: FeedRefused."""
        name = self._prefix
        close = b"</" + name + b"sheetData></" + name + b"worksheet>"
        root = parse_part(self._head + b"<" + name + b"sheetData>" + block + close)
        for row in root.iterfind("{*}sheetData/{*}row"):
            given = row.get("r") or ""
            self._number = int(given) if _few_digits(given) else self._number + 1
            cells: Cells = {}
            column = -1
            for cell in row.iterfind("{*}c"):
                reference = _REFERENCE.fullmatch(cell.get("r") or "")
                column = _column(reference[1]) if reference else column + 1
                shown = self._cell(cell)
                if shown:
                    cells[column] = shown
            yield self._number, cells

    def _cell(self, cell: etree._Element) -> str:
        value, own = cell.find("{*}v"), cell.find("{*}is")
        sent = (value.text or "") if value is not None else ""
        if own is not None:
            sent = string_of(own)
        kind, style = cell.get("t") or "", cell.get("s") or ""
        return self._shows(kind, style, sent, cell.find("{*}f") is not None)

    def _shows(self, kind: str, style: str, sent: str, formula: bool) -> str:
        """What a cell of a type and style shows; '' for nothing. Raises: FeedRefused."""
        if kind in ("inlineStr", "str"):
            return unescaped(sent)
        if not sent:
            return UNCALCULATED if formula else ""
        if kind in ("", "n"):
            return self._number_shown(style, sent)
        if kind == "s" and _few_digits(sent) and int(sent) < len(self._book.strings):
            return self._book.strings[int(sent)]
        if kind not in _OTHER_TYPES:
            raise self._damaged()
        return _OTHER_TYPES[kind](sent)

    def _damaged(self) -> FeedRefused:
        where = f"{self._named()}, after row {self._number}"
        return FeedRefused("bad_syntax", f"{where}: a cell is not as ECMA-376 says")

    def _number_shown(self, style: str, value: str) -> str:
        shows = self._book.shown
        at = int(style) if _few_digits(style) else 0 if not style else len(shows)
        if at >= len(shows):
            raise self._damaged()
        shown = shows[at]
        if shown == MOMENT:
            if value not in self._moments:
                self._moments[value] = _serial_text(value, self._book.from_1904) or Inexact(value)
            return self._moments[value]
        text = value if value.isdecimal() and len(value) <= _MOST_DIGITS else _number_text(value)
        return text.zfill(shown) if shown > 0 and type(text) is str else text


def _next_row(stream: BinaryIO, tail: bytes, start: bytes, end: bytes) -> bytes:
    """Passes over the rest of a row: the bytes from the next one, or from the end, on."""
    while chunk := stream.read(_BLOCK):
        tail += chunk
        places = [at for at in (tail.find(start), tail.find(end)) if at >= 0]
        if places:
            return tail[min(places) :]
        tail = tail[-len(end) :]
    return b"<"


def _few_digits(text: str) -> bool:
    """Whether it is a number such as counts rows, styles or texts."""
    return len(text) < _MOST_DIGITS and text.isdecimal()


def _numbered(attributes: str, before: int) -> int:
    found = _ROW_NUMBER.search(attributes)
    return int(found[1]) if found else before + 1


@lru_cache(maxsize=20_000)
def _column(letters: str) -> int:
    """The number of a column, from 0, by its letters."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _number_text(value: str) -> str:
    """A number as Excel shows it: at most 15 digits count."""
    try:
        number = float(value)
        digits = f"{number:.15g}"
        if number.is_integer() and 0 <= number < 10**_MOST_DIGITS:
            return str(int(number))
    except (ValueError, OverflowError):
        return Lost(value[:20])
    return Inexact(digits)


def _serial_text(value: str, from_1904: bool) -> str | None:
    """The date or time of a serial number; None where it is none."""
    try:
        serial = float(value)
        seconds = round((serial % 1) * 86_400)
        if 0 <= serial < 1:
            return Moment(str(timedelta(seconds=seconds)).zfill(8)) if seconds < 86_400 else None
        if from_1904:
            first = datetime(1904, 1, 1)  # noqa: DTZ001 - dates in sheets have no zone
        elif 60 <= serial < 61 or serial < 0:
            return None
        else:
            first = datetime(1899, 12, 31 if serial < 60 else 30)  # noqa: DTZ001 - likewise
        return _moment_text(first + timedelta(days=int(serial), seconds=seconds))
    except (ValueError, OverflowError):
        return None


_OTHER_TYPES: dict[str, Callable[[str], str]] = {
    "b": lambda sent: "TRUE" if sent in ("1", "true") else "FALSE",
    "e": Lost,
    "d": lambda sent: _moment_text(_iso(sent)) or sent,
}
"""What cells of the rarer types show."""


def _iso(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value).replace(tzinfo=None)
    except ValueError:
        return None


def _moment_text(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    text = moment.isoformat(" ", "seconds")
    return Moment(text.removesuffix(" 00:00:00"))
