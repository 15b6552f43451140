"""Cuts the bytes of an HL7 v2 file into messages, in bounded memory. No text, no fields.

Rules:
- A message begins at a line that begins with `MSH`, or wherever the usual delimiters `|^~\\&` stand
  behind three bytes: no field can hold these unescaped, so a header is found though its name or the
  line end before it is damaged, and one damaged header never glues two persons' messages together.
- Framing is looked through: MLLP (0x0B ... 0x1C 0x0D), batch and file envelopes (FHS BHS BTS FTS),
  byte order marks, blank lines, CR, LF and CRLF.
- A message is torn if nothing ended its last segment though another message stands before or after
  it in the file, or if MLLP began it and did not end it. (A file of one message without a last line
  end is complete: many senders write none.)
- A batch trailer that counts other than what came, or that never came, is an issue, not a loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from adapters.feed_bytes import KEPT_RAW_BYTES
from adapters.hl7v2_types import Issues
from schemas.errors import FeedRefused

_CHUNK = 1 << 20
_USUAL_DELIMITERS = b"|^~\\&"
_BOM = b"\xef\xbb\xbf"
_LINE_ENDS = b"\r\n\x0b\x1c"
_PADDING = b" \t\r\n\x0b\x1c\x1a"
_OVERLAP = 16
"""Bytes looked at again when more arrive, so that no header is missed at a border."""
_BROKEN_NAMES = (b"M", b"MS")
"""What the end of a file can leave of a header, behind messages that are whole."""
_ENVELOPES = frozenset({b"FHS", b"BHS", b"BTS", b"FTS"})


class Frame(NamedTuple):
    """One message, or bytes in the place of one.

    Attributes:
        raw: the bytes without framing; of one over the limit only the first 64 KiB.
        length: how long it really is with its framing, in bytes.
        too_long: it is over the limit.
        is_message: it begins with MSH.
        torn: it was not ended, see the module's rules.
    """

    raw: bytes
    length: int
    too_long: bool
    is_message: bool
    torn: bool


class _Piece(NamedTuple):
    """Bytes from one beginning to the next: of one over the limit, at least the first 64 KiB."""

    data: bytes
    length: int
    framed: bool
    """An MLLP start byte stood before it."""


class _Content(NamedTuple):
    """A piece without framing and envelope."""

    raw: bytes
    length: int
    too_long: bool
    ended: bool
    framed: bool

    def frame(self, alone: bool) -> Frame:
        is_message = self.raw.startswith(b"MSH")
        begun = is_message or self.raw in _BROKEN_NAMES
        torn = begun and not self.ended and (self.framed or not alone)
        return Frame(self.raw, self.length, self.too_long, is_message, torn)


def read_frames(stream: BinaryIO, max_bytes: int, issues: Issues) -> Iterator[Frame]:
    """The messages of a file, in order.

    Args:
        stream: the file's bytes, decompressed.
        max_bytes: a longer message (its framing has 16 bytes of grace) is skipped in pieces; its
            beginning is kept.
        issues: what is wrong with the envelope is added here, at the latest when iteration ends.

    Raises: FeedRefused: `empty`, `encoding` (UTF-16 or UTF-32), `not_the_format`.
    """
    envelope = _Envelope(issues, max_bytes)
    waiting: _Content | None = None
    headers = contents = 0
    for piece in _pieces(stream, max_bytes):
        content = envelope.take(piece)
        if content is None:
            continue
        contents += 1
        headers += content.raw[3:].startswith(_USUAL_DELIMITERS) or content.raw.startswith(b"MSH")
        if waiting is not None:
            yield waiting.frame(alone=False)
        waiting = content
    envelope.close()
    if not headers and not envelope.found:
        if not contents:
            raise FeedRefused("empty", "the file holds nothing but blanks")
        raise FeedRefused("not_the_format", "expected HL7 v2 messages; no line begins with MSH")
    if waiting is not None:
        yield waiting.frame(alone=contents == 1 and not envelope.found)


def _pieces(stream: BinaryIO, max_bytes: int) -> Iterator[_Piece]:
    buffer = _without_mark(stream.read(_CHUNK))
    head, dropped, scanned, framed = b"", 0, 0, False
    while True:
        start = 0
        for cut in _beginnings(buffer, scanned):
            piece = buffer[start:cut]
            yield _Piece(head + piece, dropped + len(piece), framed)
            framed = piece.endswith(b"\x0b")
            start, head, dropped = cut, b"", 0
        buffer = buffer[start:]
        if len(buffer) > max_bytes + _OVERLAP:
            head += buffer[: min(len(buffer) - _OVERLAP, KEPT_RAW_BYTES - len(head))]
            dropped += len(buffer) - _OVERLAP
            buffer = buffer[-_OVERLAP:]
        scanned = max(0, len(buffer) - _OVERLAP)
        chunk = stream.read(_CHUNK)
        if not chunk:
            break
        buffer += chunk
    for name in _BROKEN_NAMES:
        if buffer.endswith(name) and buffer[: -len(name)].endswith((b"\r", b"\n", b"\x0b")):
            whole = buffer[: -len(name)]
            yield _Piece(head + whole, dropped + len(whole), framed)
            buffer, head, dropped, framed = name, b"", 0, whole.endswith(b"\x0b")
    yield _Piece(head + buffer, dropped + len(buffer), framed)


def _without_mark(chunk: bytes) -> bytes:
    if chunk.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
        raise FeedRefused("encoding", "expected HL7 v2 in an 8-bit encoding; this is UTF-16 or -32")
    return chunk.removeprefix(_BOM)


def _beginnings(buffer: bytes, start: int) -> list[int]:
    """Where messages begin, except at 0: there begins what the buffer already holds."""
    found = set()
    at = buffer.find(_USUAL_DELIMITERS, start)
    while at >= 0:
        begin = at
        while begin and at - begin < 3 and buffer[begin - 1] not in _LINE_ENDS:
            begin -= 1
        found.add(begin)
        at = buffer.find(_USUAL_DELIMITERS, at + 1)
    at = buffer.find(b"MSH", start)
    while at >= 0:
        if at and (buffer[at - 1] in _LINE_ENDS or buffer.endswith(_BOM, 0, at)):
            found.add(at)
        at = buffer.find(b"MSH", at + 1)
    found.discard(0)
    return sorted(found)


class _Envelope:
    """Takes framing and envelope off the pieces, and checks the envelope's counts."""

    def __init__(self, issues: Issues, max_bytes: int) -> None:
        self._issues, self._limit = issues, max_bytes + _OVERLAP
        self.found = False
        self._in_file = self._in_batch = False
        self._messages = self._batches = 0

    def take(self, piece: _Piece) -> _Content | None:
        """What is left of a piece; None if nothing is."""
        if piece.length > self._limit:
            self._messages += 1
            return _Content(piece.data[:KEPT_RAW_BYTES], piece.length, True, True, piece.framed)
        data = piece.data
        raw = data.rstrip(_PADDING)
        if raw.endswith(_BOM):
            raw = raw[:-3].rstrip(_PADDING)
        if not raw.startswith(b"MSH"):
            raw = self._take_leading(raw.lstrip(_PADDING))
        raw, trailing = _split_trailing(raw)
        rest = data[len(raw) :] if data.startswith(b"MSH") else data[-8:]
        ended = b"\x1c" in rest if piece.framed else any(e in rest for e in _ENDINGS)
        if raw:
            self._messages += 1
        for line in trailing:
            self._line(line)
        return _Content(raw, piece.length, False, ended, piece.framed) if raw else None

    def close(self) -> None:
        """At the end of the file."""
        if self._in_batch:
            self._issues.append(("BTS", "missing"))
        if self._in_file:
            self._issues.append(("FTS", "missing"))

    def _take_leading(self, raw: bytes) -> bytes:
        while raw[:3] in _ENVELOPES:
            end = _line_end(raw)
            self._line(raw[:end])
            raw = raw[end:].lstrip(_PADDING)
        return raw

    def _line(self, line: bytes) -> None:
        self.found = True
        name = line[:3]
        if name == b"FHS":
            self._in_file, self._batches = True, 0
        elif name == b"BHS":
            if self._in_batch:
                self._issues.append(("BTS", "missing"))
            self._in_batch, self._messages = True, 0
        elif name == b"BTS":
            self._compare("BTS-1", line, self._messages)
            self._in_batch, self._messages = False, 0
            self._batches += 1
        else:
            self._compare("FTS-1", line, self._batches)
            self._in_file = False

    def _compare(self, field: str, line: bytes, came: int) -> None:
        fields = line.split(line[3:4]) if len(line) > 3 else []
        declared = fields[1].strip() if len(fields) > 1 else b""
        if declared and (not declared.isdigit() or int(declared) != came):
            self._issues.append((field, "count differs"))


_ENDINGS = (b"\r", b"\n", b"\x1c")


def _line_end(raw: bytes) -> int:
    ends = [at for at in (raw.find(b"\r"), raw.find(b"\n")) if at >= 0]
    return min(ends, default=len(raw))


def _split_trailing(raw: bytes) -> tuple[bytes, list[bytes]]:
    """Takes envelope lines off the end."""
    lines: list[bytes] = []
    while raw:
        start = max(raw.rfind(b"\r"), raw.rfind(b"\n")) + 1
        if raw[start : start + 3] not in _ENVELOPES or start == 0:
            break
        lines.insert(0, raw[start:])
        raw = raw[:start].rstrip(_PADDING)
    return raw, lines
