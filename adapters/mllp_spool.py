"""Messages that came over the network, on the disk before they are answered, until they are a feed.

Rules:
- What comes is written behind what came before, in a file that no reader of feeds takes up; many
  messages are made durable at once.
- A file is locked by whoever writes it, for as long as that process lives. One that nobody holds
  was left by a process that died: what stands whole in it becomes a feed, and the piece of a
  message behind it, which was never answered, is cut off.
- After a failure to write, nobody knows what the disk holds: the file is left as if its process had
  died, and the next message begins another.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from adapters.mllp_frames import END
from adapters.spool import OPEN, Spool
from schemas.settings_interfaces import MESSAGES, MllpInterface
from service.durable import make_durable

_CHUNK = 1 << 20
SUFFIX = "hl7"


class MessageSpool:
    """The messages of one source that are not a feed yet. For one thread at a time."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._file: FileIO | None = None
        self._path = spool.folder

    def append(self, blocks: Sequence[bytes]) -> None:
        """Writes framed messages durably. Raises: OSError: they may not be."""
        file = self._file or self._begin()
        try:
            data = memoryview(b"".join(blocks))
            while data:
                data = data[os.write(file.fileno(), data) :]
            os.fdatasync(file.fileno())
        except OSError:
            self.close()
            raise

    def roll(self) -> Path | None:
        """Makes what came a feed; None if nothing did. Raises: OSError: it is left as it was."""
        if self._file is None:
            return None
        try:
            return self._spool.give_name(self._path, MESSAGES, SUFFIX)
        finally:
            self.close()

    def close(self) -> None:
        """Lets go of the file: whoever collects next finishes it."""
        if self._file is not None:
            file, self._file = self._file, None
            with suppress(OSError):  # nothing is buffered, and what was answered is durable
                file.close()

    def _begin(self) -> FileIO:
        """A new file, locked and found again after a power cut."""
        while True:
            path = self._spool.folder / f"{OPEN}{MESSAGES}-{secrets.token_hex(8)}.{SUFFIX}"
            file = path.open("xb", buffering=0)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                if _is_at(path, file):  # between its making and its locking it may be cleared away
                    make_durable(self._spool.folder)
                    self._file, self._path = file, path
                    return file
            except BaseException:
                file.close()
                raise
            file.close()


@dataclass(frozen=True)
class MllpSource:
    """What a listener that died has left. `root` is the workspace's folder."""

    settings: MllpInterface
    spool: Spool
    root: Path

    def collect(self) -> list[str]:
        """See service.ports.Collector."""
        for path in sorted(self.spool.folder.glob(f"{OPEN}{MESSAGES}-*")):
            with suppress(FileNotFoundError):
                self._finish(path)
        return []

    def _finish(self, path: Path) -> None:
        with path.open("r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            if not _is_at(path, file):
                return
            whole = whole_length(file)
            if os.fstat(file.fileno()).st_nlink > 1 or not whole:
                path.unlink()  # it died once the feed had its name, or before anything was whole
                return
            file.truncate(whole)
            os.fsync(file.fileno())
            self.spool.give_name(path, MESSAGES, SUFFIX)


def whole_length(file: BinaryIO) -> int:
    """Bytes of a file up to the end of the last frame that has one."""
    end = file.seek(0, os.SEEK_END)
    behind = b""
    while end:
        start = max(0, end - _CHUNK)
        file.seek(start)
        data = file.read(end - start) + behind
        found = data.rfind(END)
        if found >= 0:
            return start + found + len(END)
        behind, end = data[:1], start
    return 0


def _is_at(path: Path, file: BinaryIO | FileIO) -> bool:
    """Whether the open file is still the one of this name."""
    try:
        found, held = path.stat(), os.fstat(file.fileno())
    except FileNotFoundError:
        return False
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)
