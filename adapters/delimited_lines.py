"""Rows of a delimited file taken line by line: where a block holds anything but plain whole lines.

Rules:
- A line with nothing on it, spaces aside, is no row.
- A line with a NUL, with bytes that are not in the encoding, or over the limit, is lost alone.
- Where a quote is open at a line's end, the row goes on over the next lines until the quote is
  closed and the row has the header's number of fields. The quote is taken for one that was never
  closed when one of those lines is a whole row by itself or is no text, when the quote closes amid
  a field, or when the row grows beyond the limit: then only the line where the row began is lost,
  and reading goes on at the next line.
- A line is no whole row by itself if it closes a quote with which its row began, or in a file of
  so few columns that any text would be one.
- A file that breaks off inside a row (no line end after it) ends with one torn row.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field

from adapters.feed_bytes import KEPT_RAW_BYTES

_FEWEST_TELLING = 3
"""With fewer columns than this, a line of a quoted text is too easily a whole row by itself."""
_QUOTES = "the row's quotes or line ends are not well-formed"
_OPEN = "a quoted field is not closed"
_TORN = "the file ends inside this row: it has no line end, and a field or a quote is missing"


@dataclass(frozen=True)
class RowFault:
    """Why a row could not be taken apart: a key of `schemas.records.REASONS`, a sentence, and the
    field at fault, '' for the whole row."""

    reason: str
    message: str
    field: str = ""


Row = tuple[int, list[str] | RowFault, str | bytes]
"""The line where a row begins (from 1), its fields or its fault, and the row as it stood."""


@dataclass(frozen=True)
class RowForm:
    """What is the same for all rows of a file. `quote` is empty where nothing is quoted; `width`
    is the number of columns; `max_bytes` bounds a row."""

    encoding: str
    delimiter: str
    quote: str
    width: int
    max_bytes: int
    well_formed: bool = False
    """Quotes are right whatever stands between them: no line is a row while one is open."""

    def split(self, lines: Iterator[str] | list[str]) -> Iterator[list[str]]:
        """The fields of row after row. Raises (as it goes): csv.Error."""
        if self.quote:
            return csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote, strict=True)
        return csv.reader(
            lines, delimiter=self.delimiter, quotechar=None, quoting=csv.QUOTE_NONE, strict=True
        )

    def is_row(self, text: str, begun: str) -> bool:
        """Whether a line by itself is a whole row rather than a part of the row `begun` before."""
        if (
            self.well_formed
            or self.width < _FEWEST_TELLING
            or text.count(self.delimiter) < self.width - 1
        ):
            return False
        if self.quote in text and begun.startswith(self.quote):
            return False
        try:
            return len(next(self.split([text]))) == self.width
        except csv.Error:
            return False

    def unfit(self, line: bytes) -> RowFault | None:
        """Why a line is no text, if it is none."""
        length = len(line.removesuffix(b"\r"))
        if length > self.max_bytes:
            return RowFault("too_long", f"the row has {length} bytes; at most {self.max_bytes}")
        if b"\0" in line:
            return RowFault("nul", "the row holds a NUL byte")
        try:
            line.decode(self.encoding)
        except UnicodeDecodeError as error:
            return RowFault("encoding", f"byte {error.start + 1} of the row is not {self.encoding}")
        return None


@dataclass
class LineRows:
    """Reads the rows of one block.

    Attributes:
        form: what is the same for all rows.
        block: whole lines; in the file's last block, the last may lack its end.
        number: of the block's first line; afterwards, of the line after those read.
        final: nothing that follows the block can complete its last row.
        rest: afterwards, the lines of a row that the next block may complete.
    """

    form: RowForm
    block: bytes
    number: int
    final: bool
    rest: bytes = b""
    _lines: list[bytes] = field(default_factory=list)
    _ended: bool = True

    def rows(self) -> Iterator[Row]:
        """Every row that ends in this block; in the last block, every row."""
        self._lines = self.block.split(b"\n")
        self._ended = not self._lines[-1]
        if self._ended:
            self._lines.pop()
        at = 0
        while at < len(self._lines):
            taken = self._take(at)
            if taken is None:
                self.rest = b"\n".join([*self._lines[at:], b""])
                return
            outcome, used = taken
            if outcome is not None:
                raw = b"\n".join(self._lines[at : at + used])
                yield self.number, outcome, raw[: self.form.max_bytes + KEPT_RAW_BYTES]
            at += used
            self.number += used

    def _take(self, at: int) -> tuple[list[str] | RowFault | None, int] | None:
        """The row that begins at a line and how many lines it takes; None if it may go on in the
        next block. A blank line is a line without a row."""
        line = self._lines[at]
        fault = self.form.unfit(line)
        if fault:
            return (self._torn_text(at) or fault), 1
        text = line.decode(self.form.encoding)
        if not text.strip():
            return None, 1
        lines = _RowLines(self.form, self._lines, at)
        try:
            fields = next(self.form.split(lines.texts()))
        except csv.Error:
            return self._broken(at, lines)
        if lines.used > 1 and len(fields) != self.form.width:
            return RowFault("bad_syntax", _OPEN), 1
        last = at + lines.used == len(self._lines)
        if last and not self._ended and len(fields) < self.form.width:
            return RowFault("torn", _TORN), lines.used
        return fields, lines.used

    def _broken(self, at: int, lines: _RowLines) -> tuple[RowFault, int] | None:
        """What becomes of a row whose quotes do not come out right."""
        if not lines.ran_out:
            goes_on = lines.stopped or lines.used > 1
            return RowFault("bad_syntax", _OPEN if goes_on else _QUOTES), 1
        if not self.final:
            return None
        if self._ended:
            return RowFault("bad_syntax", _OPEN), 1
        return RowFault("torn", _TORN), len(self._lines) - at

    def _torn_text(self, at: int) -> RowFault | None:
        """The fault of a file that breaks off inside a character."""
        line = self._lines[at]
        if self._ended or at + 1 < len(self._lines) or b"\0" in line:
            return None
        try:
            line.decode(self.form.encoding)
        except UnicodeDecodeError as error:
            if error.end == len(line) and "unexpected end" in error.reason:
                return RowFault("torn", _TORN)
        return None


class _RowLines:
    """Gives a row its lines one by one, for as long as they can belong to it.

    Attributes:
        used: how many lines the row was given.
        ran_out: it asked for more than the block has.
        stopped: it asked for a line that cannot belong to it.
    """

    def __init__(self, form: RowForm, lines: list[bytes], at: int) -> None:
        self._form, self._lines, self._at = form, lines, at
        self.used = 0
        self.ran_out = self.stopped = False

    def texts(self) -> Iterator[str]:
        """The lines, each with its end. Requires: the first is text."""
        begun = self._lines[self._at].decode(self._form.encoding)
        size = len(self._lines[self._at])
        yield self._given(begun)
        for at in range(self._at + 1, len(self._lines)):
            line = self._lines[at]
            size += 1 + len(line)
            if size > self._form.max_bytes or self._form.unfit(line):
                self.stopped = True
                return
            text = line.decode(self._form.encoding)
            if self._form.is_row(text, begun):
                self.stopped = True
                return
            yield self._given(text)
        self.ran_out = True

    def _given(self, text: str) -> str:
        self.used += 1
        return text + "\n"
