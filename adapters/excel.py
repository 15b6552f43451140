"""Reads Excel workbooks by the mappings that the settings declare for their sheets.

Rules:
- Every row below a sheet's header that shows anything is one unit. Blank rows between rows are left
  out and counted.
- The header is the row declared, or the first that has all the columns that may not be lacking:
  titles and merged cells above it are passed over.
- Sheets that nothing is declared for are left out and counted, hidden ones apart; a declared sheet
  that is hidden is read, and that it is hidden is told. A declared sheet that is not there refuses
  the workbook before any row is loaded.
- A date cell in a column of dates is given as the first declared format writes it; elsewhere, and
  where a field joins several columns, in ISO 8601.
- An error of Excel or a formula that was never calculated in a mapped column quarantines its row,
  unless `missing_values` has the error. So does, in a column of identifiers, what Excel cannot have
  kept as it was typed: a date, a number that is not whole or has more than 15 digits.
- No message holds a value; a sheet is named as the settings name it, because its own name could be
  a person's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from functools import lru_cache, partial

from adapters.batches import BatchBuilder
from adapters.delimited_lines import Row, RowFault
from adapters.excel_book import Sheet, Workbook, open_workbook
from adapters.excel_sheet import UNCALCULATED, Cells, Inexact, Lost, Moment, SheetRows
from adapters.feed_bytes import expanded_limit
from adapters.row_units import RowUnits
from schemas.columns import UnitBatch
from schemas.dates import read_format
from schemas.errors import FeedRefused
from schemas.settings import IDENTITY_FIELDS, Limits, SheetSettings, SourceSettings
from service.ports import FeedFile

_TOO_LONG = RowFault("too_long", "the row is over max_unit_bytes")
HEADER_WITHIN = 100
"""Rows with anything on them among which a header is looked for."""
HELD = 1 << 23
"""Characters of rows handed on at a time."""
_ISO_FORMATS = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M")
_DATES = frozenset({
    "as_at", "birth_date", "death_date", "nhs_number_traced_on", "start", "end", "recorded_at",
})  # fmt: skip
_NUMBERS = frozenset({
    "nhs_number", "replaced_by", "former_local_id", "gp_practice", "organisation", "address.uprn",
    "phone", "mobile", "code", *IDENTITY_FIELDS,
})  # fmt: skip
"""Fields of which every digit counts, beside `identifier.SYSTEM`."""


def read_excel(feed: FeedFile, source: SourceSettings, limits: Limits) -> Iterator[UnitBatch]:
    """The rows of a workbook's sheets as batches. Raises (as it goes): FeedRefused."""
    with open_workbook(feed.path, limits) as book:
        builder = BatchBuilder(limits.batch_units)
        room = _Room(expanded_limit(feed.size, limits))
        for sheet, settings in _chosen(book, feed.settings.sheets, builder):
            place, units = _place(sheet, settings), None
            cells = SheetRows(book, sheet, limits.max_unit_bytes)
            rows = _MappedRows(cells, settings, place, builder, limits.max_unit_bytes, room)
            for header, block in rows.blocks():
                if units is None:
                    units = RowUnits(header, rows.settings, source, builder)
                yield from units.load(block, partial(_where, place))
        last = builder.take()
        if last.units or last.issues:
            yield last


def _chosen(
    book: Workbook, declared: Sequence[SheetSettings], builder: BatchBuilder
) -> list[tuple[Sheet, SheetSettings]]:
    """The sheets to read, in the order of the workbook. Raises: FeedRefused."""
    chosen: list[tuple[Sheet, SheetSettings]] = []
    for sheet in book.sheets:
        name = sheet.name.casefold()
        settings = next((s for s in declared if fnmatchcase(name, s.name.casefold())), None)
        if settings is not None:
            chosen.append((sheet, settings))
            if sheet.hidden:
                builder.issue(_place(sheet, settings), "sheet is hidden")
        else:
            builder.issue("workbook", f"{'hidden ' if sheet.hidden else ''}sheet not mapped")
    for settings in declared:
        if all(settings is not found for _, found in chosen):
            raise FeedRefused(
                "missing_sheet",
                f"sheet {settings.name!r} is not among the {len(book.sheets)} of the workbook:"
                " compare its tabs (`*` and `?` stand for letters)",
            )
    return chosen


def _place(sheet: Sheet, settings: SheetSettings) -> str:
    exact = sheet.name.casefold() == settings.name.casefold()
    return f"sheet {settings.name}" if exact else f"sheet {sheet.place} ({settings.name})"


def _where(place: str, number: int) -> str:
    return f"{place}, row {number}"


class _Room:
    """How many characters the workbook's rows may still show: a cell of a few bytes can name a
    shared text of any length."""

    def __init__(self, characters: int) -> None:
        self._left = characters

    def taken(self, characters: int) -> int:
        """As many, taken from the room. Raises: FeedRefused."""
        self._left -= characters
        if self._left < 0:
            raise FeedRefused(
                "bomb", "the rows expand beyond the limit; see [limits] in partnership.toml"
            )
        return characters


class _MappedRows:
    """The rows of one sheet by its mapping.

    Attributes:
        settings: the sheet's, reading also the dates that date cells are given as.
    """

    def __init__(
        self,
        rows: SheetRows,
        settings: SheetSettings,
        place: str,
        builder: BatchBuilder,
        most: int,
        room: _Room,
    ) -> None:
        self._rows, self._place, self._builder = rows, place, builder
        self._most, self._room = most, room
        self._declared = settings
        formats = dict.fromkeys((*settings.date_formats, *_ISO_FORMATS))
        self.settings = replace(settings, date_formats=tuple(formats))
        self._needed = {c for columns in settings.columns.values() for c in columns}
        self._needed -= settings.optional
        self._header: list[str] = []
        self._nearest: tuple[int, set[str]] | None = None
        self._dates: list[int] = []
        self._mapped: list[tuple[int, str]] = []

    def blocks(self) -> Iterator[tuple[list[str], list[Row]]]:
        """The header, and rows below it, some at a time. Raises (as it goes): FeedRefused."""
        looked, last = 0, 0
        for read in self._rows.blocks():
            block: list[Row] = []
            held = 0
            for number, cells in read:
                if cells is not None and not any(map(str.strip, cells.values())):
                    continue
                if self._header:
                    if number > last + 1:
                        self._builder.issue(self._place, "blank row", number - last - 1)
                    block.append(self._row(number, cells))
                    held += self._room.taken(len(block[-1][-1]))
                    if held > HELD:
                        yield self._header, block
                        block, held = [], 0
                elif cells is not None:
                    looked += 1
                    self._look_for_header(number, cells)
                    declared = self._declared.header_row is not None
                    if looked == HEADER_WITHIN and not self._header and not declared:
                        raise self._no_header(looked)
                last = number
            if self._header:
                yield self._header, block
        if not self._header:
            raise self._no_header(looked)

    def _look_for_header(self, number: int, cells: Cells) -> None:
        """Takes the row for the header if it is one. Raises: FeedRefused."""
        names = {column: " ".join(text.split()) for column, text in cells.items()}
        lacking = self._needed - set(names.values())
        row = self._declared.header_row
        if row is None:
            if self._nearest is None or len(lacking) < len(self._nearest[1]):
                self._nearest = number, lacking
        elif number == row and lacking:
            told = f"declared as the header, lacks {_quoted(lacking)}"
            raise FeedRefused("missing_column", f"{_where(self._place, number)}: {told}")
        if not lacking if row is None else number == row:
            header = [names.get(column, "") for column in range(max(names) + 1)]
            for name in self._needed | self._declared.optional:
                if header.count(name) > 1:
                    raise FeedRefused(
                        "not_the_format",
                        f"{_where(self._place, number)}: column {name!r} stands twice",
                    )
            self._take_header(header)

    def _take_header(self, header: list[str]) -> None:
        self._header = header
        place = {name: at for at, name in enumerate(header) if name}
        for field, columns in self._declared.columns.items():
            found = [place[column] for column in columns if column in place]
            self._mapped += [(at, field) for at in found]
            if field in _DATES and len(columns) == 1:
                self._dates += found

    def _no_header(self, looked: int) -> FeedRefused:
        row = self._declared.header_row
        if row is not None:
            message = f"row {row}, declared as the header, shows nothing"
        else:
            message = f"no row has all the columns that are mapped ({looked} show anything)"
            if self._nearest is not None:
                number, lacking = self._nearest
                message += f"; the likest, row {number}, lacks {_quoted(lacking)}; capitals count"
        return FeedRefused("missing_column", f"{self._place}: {message}")

    def _row(self, number: int, cells: Cells | None) -> Row:
        if cells is None:
            return number, _TOO_LONG, b""
        header, get = self._header, cells.get
        if next(reversed(cells)) >= len(header):
            self._builder.issue(self._place, "value beside the header's columns")
        fields = [get(at, "") for at in range(len(header))]
        if sum(map(len, fields)) > self._most:  # a short cell can name a shared text of any length
            return number, _TOO_LONG, b""
        raw = "\t".join(fields)
        for at, field in self._mapped:
            if type(fields[at]) is not str:
                fault = self._fault(field, header[at], fields[at])
                if fault:
                    return number, fault, raw
        for at in self._dates:
            if type(fields[at]) is Moment:
                fields[at] = _as_written(fields[at], self._declared.date_formats)
        return number, fields, raw

    def _fault(self, field: str, column: str, value: str) -> RowFault | None:
        """What speaks against loading a row with this value."""
        message = ""
        if value is UNCALCULATED:
            message = "a formula that was never calculated: open the workbook in Excel and save it"
        elif type(value) is Lost and value not in self._declared.missing_values:
            message = "an error of Excel (#N/A, #REF! and their like)"
        elif type(value) in (Inexact, Moment) and (
            field in _NUMBERS or field.startswith("identifier.")
        ):
            found = "a date" if type(value) is Moment else "a number not whole or over 15 digits"
            message = f"{found} where every character counts: format the column as text"
        if not message:
            return None
        return RowFault("bad_value", f"column {column!r} holds {message}", field)


def _quoted(names: Collection[str]) -> str:
    """Columns as the settings name them."""
    return ", ".join(map(repr, sorted(names)))


@lru_cache(maxsize=65_536)
def _as_written(text: str, formats: tuple[str, ...]) -> str:
    """A date or time in ISO 8601 as the first of the formats writes it that loses nothing and is
    read as what it is; else as it stands."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return str(text)  # a time of day
    for fmt in formats:
        written = moment.strftime(fmt)
        if next((m for f in formats if (m := read_format(written, f))), None) == moment:
            return written
    return str(text)
