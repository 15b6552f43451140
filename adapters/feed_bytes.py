"""The bytes of a feed, safely: plain, gzip or zip, bounded in size, split into lines.

Rules:
- Compression is told by the first bytes, not by the file's name. A zip holds exactly one file.
- What expands beyond `max_expanded_bytes`, or by more than `max_expansion_ratio` (once past a
  megabyte), is a bomb: the feed is refused before memory or disk fills.
- Nothing is ever unpacked to disk, and no name inside an archive is used as a path.
- A line longer than the limit is skipped over in pieces; its beginning and place are kept.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from schemas.errors import FeedRefused
from schemas.settings import Limits

KEPT_RAW_BYTES = 64 << 10
"""How much of a rejected unit is kept."""
_RATIO_FLOOR = 1 << 20
_CHUNK = 1 << 20


class _Bounded(io.RawIOBase):
    """A stream that gives no more bytes than its limit, and turns damage into FeedRefused."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream, self._left = stream, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer)).cast("B")
        try:
            data = self._stream.read(min(len(view), _CHUNK))
        except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
            raise FeedRefused(
                "torn", f"the compressed file is damaged ({type(error).__name__})"
            ) from None
        except OSError as error:
            raise FeedRefused(
                "unreadable", f"the bytes could not be read ({error.strerror})"
            ) from None
        self._left -= len(data)
        if self._left < 0:
            raise FeedRefused(
                "bomb", "the file expands beyond the limit; see [limits] in partnership.toml"
            )
        view[: len(data)] = data
        return len(data)


def bounded(stream: BinaryIO, limit: int) -> io.BufferedReader:
    """The stream, which raises FeedRefused where it is damaged or gives more than `limit` bytes."""
    return io.BufferedReader(_Bounded(stream, limit), _CHUNK)


def expanded_limit(size: int, limits: Limits) -> int:
    """How many bytes a compressed file of `size` bytes may expand to."""
    most = max(_RATIO_FLOOR, size * limits.max_expansion_ratio)
    return min(limits.max_expanded_bytes, most)


@contextmanager
def open_feed(path: Path, limits: Limits) -> Iterator[BinaryIO]:
    """The feed's bytes, decompressed, as a buffered stream. Raises: FeedRefused."""
    try:
        size = path.stat().st_size
        raw = path.open("rb")
    except OSError as error:
        raise FeedRefused(
            "unreadable", f"the file could not be opened ({error.strerror})"
        ) from None
    with raw:
        if size == 0:
            raise FeedRefused("empty", "the file holds no bytes")
        magic = raw.read(4)
        raw.seek(0)
        expanded = expanded_limit(size, limits)
        if magic[:2] == b"\x1f\x8b":
            with gzip.open(raw, "rb") as unzipped:
                yield bounded(cast("BinaryIO", unzipped), expanded)
        elif magic == b"PK\x03\x04":
            with _zip_member(raw) as member:
                yield bounded(member, expanded)
        else:
            yield bounded(raw, max(size, 1) + _CHUNK)


@contextmanager
def _zip_member(raw: BinaryIO) -> Iterator[BinaryIO]:
    # NotImplementedError is what zipfile raises of a compression or version that it does not know,
    # RuntimeError what it raises of an encrypted member.
    try:
        archive = zipfile.ZipFile(raw)
    except (zipfile.BadZipFile, NotImplementedError, OSError) as error:
        raise FeedRefused("torn", f"the zip file is damaged ({type(error).__name__})") from None
    with archive:
        members = [m for m in archive.infolist() if not m.filename.endswith("/")]
        if len(members) != 1:
            raise FeedRefused(
                "not_the_format", f"a zipped feed holds exactly one file; this holds {len(members)}"
            )
        try:
            stream = archive.open(members[0])
        except (RuntimeError, NotImplementedError, zipfile.BadZipFile, OSError) as error:
            raise FeedRefused(
                "not_the_format", f"the zip file cannot be opened ({type(error).__name__})"
            ) from None
        with stream:
            yield cast("BinaryIO", stream)


@dataclass(frozen=True)
class Line:
    """One line without its end.

    Attributes:
        number: from 1, as an editor counts.
        data: the bytes; for a line over the limit only its beginning.
        length: how long it really is, in bytes.
        ended: whether a line end followed (False only for the file's last line).
    """

    number: int
    data: bytes
    length: int
    ended: bool

    @property
    def too_long(self) -> bool:
        """Whether the line was over the limit and `data` is only its beginning."""
        return self.length != len(self.data)


def read_lines(stream: BinaryIO, max_bytes: int) -> Iterator[Line]:
    """Lines ended by LF or CRLF, in bounded memory whatever their length."""
    number = 0
    kept = min(KEPT_RAW_BYTES, max_bytes)
    while True:
        data = stream.readline(max_bytes + 2)
        if not data:
            return
        number += 1
        ended = data.endswith(b"\n")
        body = data[:-1].removesuffix(b"\r") if ended else data
        if ended or len(data) < max_bytes + 2:
            if len(body) <= max_bytes:
                yield Line(number, body, len(body), ended)
            else:
                yield Line(number, body[:kept], len(body), ended)
            continue
        length = len(data)
        while not ended:
            piece = stream.readline(_CHUNK)
            if not piece:
                break
            length += len(piece)
            ended = piece.endswith(b"\n")
        yield Line(number, data[:kept], length, ended)
