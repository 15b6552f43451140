"""The log's folder: files that are there whole or not at all, durable when a call returns.

Rules:
- A file is written under another name, made durable, given its name, and then every folder above
  it is made durable, whoever made that folder. Whatever failed is written again from nothing:
  after a failed fsync nobody knows what the disk holds.
- What is left of a write that died lies under a name beginning with a dot, and is overwritten.
- One process at a time writes: whoever holds the lock on `.sequencer`. Anybody reads.
- An unfinished tile is kept until the full one is durable and a checkpoint covers it; whoever
  still asks for it is answered from the full one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from audit.merkle import HASH_BYTES
from audit.tiles import HEIGHT, WIDTH, entries_path, tile_path, unbundled
from schemas.errors import AuditBroken, InvalidValue, StoreError
from service.durable import make_durable
from store.journal import write_all

CHECKPOINT, VKEYS, RETIRED = "checkpoint", "vkeys", "vkeys.retired"
_LOCK, _WITNESS_LOCK = ".sequencer", ".witnessed"
MANY, AT_ONCE = 32, 16
"""From so many files on, so many are written at once."""


class LogFiles:
    """The files of one log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, path: str) -> bytes | None:
        """A file of the log; None where it is not there. Raises: StoreError: it cannot be read."""
        try:
            return (self.folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _not_read(path, error) from None

    def tile(self, level: int, index: int, width: int) -> bytes:
        """That many hashes of a tile. Raises: AuditBroken: they are not there."""
        for path in (tile_path(level, index, width), tile_path(level, index)):
            found = self.read(path)
            if found is not None and len(found) >= width * HASH_BYTES:
                return found[: width * HASH_BYTES]
        raise _missing(tile_path(level, index, width))

    def entries(self, index: int, width: int) -> list[bytes]:
        """That many entries of a bundle. Raises: AuditBroken: they are not there."""
        for path in (entries_path(index, width), entries_path(index)):
            found = self.read(path)
            try:
                entries = unbundled(found or b"")
            except InvalidValue:
                entries = []
            if len(entries) >= width:
                return entries[:width]
        raise _missing(entries_path(index, width))

    def names(self, folder: str) -> list[str]:
        """Names of what lies in a folder of the log; none where it is not there. Raises:
        StoreError: it cannot be read."""
        try:
            return os.listdir(self.folder / folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise _not_read(folder, error) from None

    def write(self, files: Mapping[str, bytes]) -> None:
        """Writes files, in the place of what is there. Raises: StoreError: not all are durable."""
        try:
            if len(files) < MANY:
                for path, data in files.items():
                    _write_whole(self.folder / path, data)
            else:
                # The disk makes durable in one go what waits for it at once.
                with ThreadPoolExecutor(AT_ONCE) as pool:
                    paths = [self.folder / path for path in files]
                    list(pool.map(_write_whole, paths, files.values()))
            for folder in self._above(files):
                make_durable(folder)
        except OSError as error:
            raise StoreError(
                f"the audit log's files cannot be written ({error.strerror or 'input or output'});"
                " its events are safe in the database, and are published by the next command or"
                " within seconds of `serve`, once the folder log/ has room and can be written to"
            ) from None

    def _above(self, paths: Iterable[str]) -> list[Path]:
        """The folders above the files, the deepest first, to that which holds the log."""
        above = {self.folder.parent}
        for path in paths:
            folder = (self.folder / path).parent
            while folder not in above:
                above.add(folder)
                folder = folder.parent
        return sorted(above, key=lambda folder: len(folder.parts), reverse=True)

    def drop_unfinished(self, paths: Iterable[str]) -> None:
        """Removes what unfinished tiles are left of full ones. What cannot be removed stays."""
        for path in paths:
            with suppress(OSError):
                shutil.rmtree(self.folder / f"{path}.p")

    @contextmanager
    def elected(self) -> Iterator[bool]:
        """Whether this caller is the one that writes, until the end. Raises: StoreError."""
        with self._lock_file(_LOCK) as handle:
            yield _locked(handle)

    @contextmanager
    def witnessing(self) -> Iterator[None]:
        """Nobody else changes what witnesses signed until the end; waits for whoever does. Raises:
        StoreError."""
        with self._lock_file(_WITNESS_LOCK) as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
            except OSError as error:
                raise _no_lock(error) from None
            yield

    @contextmanager
    def _lock_file(self, name: str) -> Iterator[int]:
        try:
            self.folder.mkdir(exist_ok=True)
            handle = os.open(self.folder / name, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(
                f"the audit log's folder cannot be used ({error.strerror}): the account that runs"
                " the program must own log/ in the workspace and be able to write there"
            ) from None
        try:
            yield handle
        finally:
            # Unlocked first: what closing comes to does not matter then.
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_UN)
            with suppress(OSError):
                os.close(handle)


def _no_lock(error: OSError) -> StoreError:
    return StoreError(
        f"the audit log's folder cannot be locked ({error.strerror}): put log/ on storage that"
        " knows locks (flock), a disk of this machine rather than one over the network"
    )


def _not_read(path: str, error: OSError) -> StoreError:
    return StoreError(
        f"the audit log: {path} cannot be read ({error.strerror}): the account that runs the"
        " program must be able to read log/ in the workspace. Where the disk is at fault, put the"
        " file back from a copy of log/; one under tile/ may be taken away instead, and is written"
        " anew by `commonthread audit mend`"
    )


def _missing(path: str) -> AuditBroken:
    return AuditBroken(
        f"the audit log: {path} is missing, or cut off: keep a copy of log/, see with"
        " `commonthread audit verify` what else is wrong, then run `commonthread audit mend`,"
        " which writes it anew from the database"
    )


def _locked(handle: int) -> bool:
    """Whether the lock could be had at once. Raises: StoreError: there are no locks here."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise _no_lock(error) from None
    return True


def full_paths(paths: Iterable[str]) -> list[str]:
    """Those of the paths that are of full tiles or bundles."""
    return [path for path in paths if ".p/" not in path]


def unfinished_paths(size: int) -> set[str]:
    """Where the unfinished tiles and the unfinished bundle of a log of this size stand."""
    paths, level = set[str](), 0
    while count := size >> HEIGHT * level:
        index, width = divmod(count, WIDTH)
        if width:
            paths |= {tile_path(level, index, width)}
            paths |= set() if level else {entries_path(index, width)}
        level += 1
    return paths


def left_behind(size: int) -> list[str]:
    """The full tiles and bundles at the end of a log of this size: what a sequencer that died may
    have left unfinished ones of."""
    paths, level = list[str](), 0
    while count := size >> HEIGHT * level:
        if count >= WIDTH:
            last = count // WIDTH - 1
            paths += [tile_path(level, last)] + ([] if level else [entries_path(last)])
        level += 1
    return paths


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        write_all(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    part.rename(path)
