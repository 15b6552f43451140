"""The rows of a delimited file: bytes in, fields or a fault per row out. Knows no field's meaning.

Rules:
- A byte order mark tells UTF-8 and UTF-16 whatever the settings say. UTF-16 is turned into UTF-8
  as it is read; what is no UTF-16 becomes bytes that are no UTF-8, and so is found row by row.
- Lines end in LF or CRLF. Fields are quoted as RFC 4180 says, strictly: after a closing quote
  comes a delimiter or the line's end.
- A block of whole lines is decoded and split at once. Only a block that holds something unusual
  (a NUL, a byte not in the encoding, a row over several lines, a fault) is read line by line, by
  the rules of `adapters.delimited_lines`.
- Memory is bounded by a block and a row at its limit; a longer line is passed over in pieces.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from typing import BinaryIO, cast

from adapters.delimited_lines import LineRows, Row, RowFault, RowForm
from adapters.feed_bytes import KEPT_RAW_BYTES, read_lines
from schemas.errors import FeedRefused
from schemas.settings import FileSettings

_BLOCK = 1 << 16
"""Bytes read at once. Small, so that the rows of a block are gone before the garbage collector has
moved them to its oldest generation, whose every pass goes through all there is."""
_WIDEST_CHARACTER = 4
"""Bytes that one character takes at most in the encodings that the settings allow."""


class DelimitedFile:
    """One open delimited file: its header, then its rows.

    Attributes:
        header: the column names, trimmed.
        form: what is the same for all rows, the encoding among it: as declared, or as the byte
            order mark tells.
    """

    def __init__(self, stream: BinaryIO, settings: FileSettings, max_bytes: int) -> None:
        """Reads the header. Raises: FeedRefused (no header, a name twice, not text)."""
        self._stream, encoding = _without_mark(stream, settings.encoding)
        self._number = 1
        csv.field_size_limit(max(csv.field_size_limit(), max_bytes))
        form = RowForm(encoding, settings.delimiter, settings.quote, 0, max_bytes)
        self.header = settings.header or self._read_header(form)
        self.form = RowForm(
            encoding,
            settings.delimiter,
            settings.quote,
            len(self.header),
            max_bytes,
            settings.collected,
        )

    def _read_header(self, form: RowForm) -> tuple[str, ...]:
        for line in read_lines(self._stream, form.max_bytes):
            self._number = line.number + 1
            if line.too_long:
                raise FeedRefused("too_long", f"line {line.number}, the header, is over the limit")
            fault = form.unfit(line.data)
            if fault and fault.reason == "nul":
                raise FeedRefused("not_the_format", "the header holds NUL bytes: this is no text")
            if fault:
                raise FeedRefused(fault.reason, f"line {line.number}, the header: {fault.message}")
            text = line.data.decode(form.encoding)
            if text.strip():
                return _column_names(form, text)
        raise FeedRefused("empty", "the file holds no header")

    def blocks(self) -> Iterator[list[Row]]:
        """The rows after the header, in order, a block at a time. To be called once."""
        carry, more = b"", True
        while more:
            chunk = self._stream.read(_BLOCK)
            more = bool(chunk)
            data = carry + chunk
            cut = data.rfind(b"\n") + 1 if more else len(data)
            if not cut and len(data) > self.form.max_bytes:
                row, carry = self._skip_line(data)
                yield [row]
                continue
            block, carry = data[:cut], data[cut:]
            plain = self._plain_rows(block)
            if plain is not None:
                yield plain
            else:
                # No open row can take in a line that is over the limit already.
                final = not more or len(carry) > self.form.max_bytes
                lines = LineRows(self.form, block, self._number, final)
                yield list(lines.rows())
                self._number = lines.number
                carry = lines.rest + carry

    def _plain_rows(self, block: bytes) -> list[Row] | None:
        """The rows of a block with nothing unusual; None where there is anything."""
        if b"\0" in block or not block.endswith(b"\n"):
            return None
        try:
            lines = block.decode(self.form.encoding).split("\n")
        except UnicodeDecodeError:
            return None
        lines.pop()
        if max(map(len, lines)) * _WIDEST_CHARACTER > self.form.max_bytes:
            return None
        try:
            split = list(self.form.split(lines))
        except csv.Error:
            return None
        if len(split) != len(lines):
            return None
        first = self._number
        self._number += len(lines)
        return [
            (number, fields, line)
            for number, (fields, line) in enumerate(zip(split, lines, strict=True), first)
            if len(fields) > 1 or line.strip()
        ]

    def _skip_line(self, head: bytes) -> tuple[Row, bytes]:
        """Passes over the rest of a line that is over the limit: its fault, and what follows."""
        length, rest = len(head), b""
        while chunk := self._stream.read(_BLOCK):
            piece, end, rest = chunk.partition(b"\n")
            length += len(piece)
            if end:
                break
        message = f"the row has {length} bytes; at most {self.form.max_bytes}"
        row: Row = (self._number, RowFault("too_long", message), head[:KEPT_RAW_BYTES])
        self._number += 1
        return row, rest


def _column_names(form: RowForm, text: str) -> tuple[str, ...]:
    try:
        names = tuple(name.strip() for name in next(form.split([text])))
    except csv.Error:
        raise FeedRefused(
            "not_the_format", "the header's quotes or line ends are not well-formed"
        ) from None
    named = [name for name in names if name]
    if len(set(named)) != len(named):
        raise FeedRefused("not_the_format", "the header holds a column name more than once")
    return names


_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def _without_mark(stream: BinaryIO, declared: str) -> tuple[BinaryIO, str]:
    """The stream after its byte order mark, and the encoding in which it is to be read."""
    encoding = codecs.lookup(declared).name
    start = cast("io.BufferedReader", stream).peek(len(codecs.BOM_UTF8))
    for mark, marked in _MARKS:
        if start.startswith(mark):
            stream.read(len(mark))
            encoding = marked
            break
    if encoding.startswith("utf-16"):
        return io.BufferedReader(_AsUtf8(stream, encoding), _BLOCK), "utf-8"
    return stream, "utf-8" if encoding == "utf-8-sig" else encoding


class _AsUtf8(io.RawIOBase):
    """A UTF-16 stream as UTF-8. Lone surrogates stay, as bytes that strict UTF-8 does not allow;
    half a unit at the end becomes such a byte too."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer)).cast("B")
        while not self._ready:
            data = self._stream.read(_BLOCK)
            if not data:
                self._ready = b"\xff" if self._decoder.getstate()[0] else b""
                self._decoder.reset()
                break
            self._ready = self._decoder.decode(data).encode("utf-8", "surrogatepass")
        piece, self._ready = self._ready[: len(view)], self._ready[len(view) :]
        view[: len(piece)] = piece
        return len(piece)
