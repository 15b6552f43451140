"""The second journal: where events go durably while the database cannot take them.

Rules:
- It is a folder, best on other storage than the database's. Each process writes a file of its own
  there, which it holds locked; a file is begun when it is first needed and never taken up again.
  It gets its name once it is locked: whoever sees it unlocked knows that its writer has left it.
- A record is `CTJ1`, its length, a random nonce, and the salted event sealed with AES-256-GCM under
  a key derived from the workspace key (HKDF-SHA-256, RFC 5869). Associated data are the file's name
  and the record's offset: a record that is moved does not open.
- Records are acknowledged after fsync of the file, and of the folder where the file is new. After
  any error the file is cut back to what was acknowledged and left, and the next events go to
  another.
- A file that cannot be closed is told of and left: what it acknowledged is durable before that.
- Reading takes what opens. What does not, and has a record that opens behind it, is damage; so is
  what is left over at the end of a file that its writer has left, whether the writer died there or
  somebody altered it: nobody can tell the two apart, so neither is passed over.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit.events import SALT_BYTES
from schemas.dates import Clock
from service.durable import make_durable

SUFFIX = ".journal"
_MAGIC = b"CTJ1"
_HEAD = struct.Struct(">4sI")
_NONCE_BYTES, _TAG_BYTES = 12, 16
_LEAST = _HEAD.size + _NONCE_BYTES + _TAG_BYTES + SALT_BYTES
_OFFSET = struct.Struct(">Q")
_LOGGER = logging.getLogger(__name__)


class Kept(msgspec.Struct, frozen=True):
    """A salted event as it was kept: `told` are its canonical bytes. `end` is the offset in the
    file behind its record."""

    salt: bytes
    told: bytes
    end: int


@dataclass(frozen=True)
class Read:
    """What a file holds: events in order, and [first, last) byte ranges that do not open."""

    events: tuple[Kept, ...]
    damaged: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class SecondJournal:
    """Where the second journal is, and the time of what is told of it."""

    folder: Path
    clock: Clock


class Journal:
    """Writes to one file at a time. Requires: one caller at a time."""

    def __init__(self, folder: Path, key: AESGCM) -> None:
        self.folder, self.key = folder, key
        self._file: int | None = None
        self._name, self._end = "", 0
        self._named_in = {folder.parent}
        """Folders whose names may not be durable: whoever made them may have died, or failed."""

    def append(self, salted: Sequence[tuple[bytes, bytes]]) -> None:
        """Keeps events durably, given as (salt, canonical bytes). Raises: OSError: they are not."""
        try:
            handle = self._opened()
            parts, at = [], self._end
            for salt, told in salted:
                parts.append(_record(self.key, self._name, at, salt + told))
                at += len(parts[-1])
            write_all(handle, b"".join(parts))
            os.fsync(handle)
            self._end = at
        except OSError:
            self._cut_back()
            raise

    def close(self) -> None:
        """Leaves the file; the next event begins another."""
        if self._file is not None:
            handle, self._file = self._file, None
            try:
                os.close(handle)
            except OSError as error:
                # Every event in it was acknowledged after fsync; the next begins another file.
                _LOGGER.warning(
                    "the second journal: %s was not closed as it should (%s); what it keeps is"
                    " durable",
                    self._name,
                    error.strerror,
                )

    def files(self) -> list[Path]:
        """The files that are there, in order of their names."""
        try:
            return sorted(self.folder.glob(f"*{SUFFIX}"))
        except OSError:
            return []

    def _cut_back(self) -> None:
        """Takes off what was not acknowledged, so that it is not taken for damage, and leaves."""
        if self._file is not None:
            with suppress(OSError):
                os.ftruncate(self._file, self._end)
                os.fsync(self._file)
        self.close()

    def _opened(self) -> int:
        if self._file is None:
            missing = [at for at in (self.folder, *self.folder.parents) if not at.exists()]
            self._named_in |= {folder.parent for folder in missing}
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._name = f"{secrets.token_hex(16)}{SUFFIX}"
            part = self.folder / f".{self._name}.part"
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND
            self._file = os.open(part, flags, 0o600)
            self._end = 0
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX)
                part.rename(self.folder / self._name)
            except OSError:
                with suppress(OSError):
                    part.unlink()
                raise
            make_durable(self.folder)
            for folder in sorted(self._named_in):
                make_durable(folder)
            self._named_in.clear()  # not before: what failed is made durable with the next event
        return self._file


def read_journal(path: Path, key: AESGCM, start: int = 0, *, left: bool) -> Read:
    """What a file holds from an offset on. `left`: its writer has left it. Raises: OSError."""
    data = path.read_bytes()
    events: list[Kept] = []
    damaged: list[tuple[int, int]] = []
    at = start
    while at < len(data):
        kept = _opened_record(data, key, path.name, at)
        if kept is None:
            following = _next_record(data, key, path.name, at + 1)
            if following is None:
                break
            damaged.append((at, following))
            at = following
            continue
        events.append(kept)
        at = kept.end
    if left and at < len(data):
        damaged.append((at, len(data)))
    return Read(tuple(events), tuple(damaged))


def is_left(path: Path) -> bool:
    """Whether nobody writes to the file any more; True for one that is gone."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def remove(path: Path) -> None:
    """Removes a file that is in the log; one that cannot be removed stays, and brings nothing in
    again."""
    with suppress(OSError):
        path.unlink()
        make_durable(path.parent)


def write_all(handle: int, data: bytes) -> None:
    """Writes all of the data to an open file. Raises: OSError."""
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]


def _place(name: str, offset: int) -> bytes:
    return name.encode() + b"\0" + _OFFSET.pack(offset)


def _record(key: AESGCM, name: str, offset: int, plain: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    sealed = nonce + key.encrypt(nonce, plain, _place(name, offset))
    return _HEAD.pack(_MAGIC, len(sealed)) + sealed


def _opened_record(data: bytes, key: AESGCM, name: str, at: int) -> Kept | None:
    """The record at the offset, or None if there is none that opens."""
    if len(data) - at < _LEAST:
        return None
    magic, length = _HEAD.unpack_from(data, at)
    end = at + _HEAD.size + length
    if magic != _MAGIC or end > len(data) or end - at < _LEAST:
        return None
    body = at + _HEAD.size
    nonce, sealed = data[body : body + _NONCE_BYTES], data[body + _NONCE_BYTES : end]
    try:
        plain = key.decrypt(nonce, sealed, _place(name, at))
    except InvalidTag:
        return None
    return Kept(plain[:SALT_BYTES], plain[SALT_BYTES:], end)


def _next_record(data: bytes, key: AESGCM, name: str, start: int) -> int | None:
    """The offset of the next record that opens."""
    at = data.find(_MAGIC, start)
    while at >= 0 and _opened_record(data, key, name, at) is None:
        at = data.find(_MAGIC, at + 1)
    return at if at >= 0 else None
