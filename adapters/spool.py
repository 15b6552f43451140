"""Where what a system was asked for becomes a feed: files that are whole or not there, and how far
the asking has come.

Rules:
- A file is written under a name that no reader of feeds takes up, made durable, and only then given
  its own. Whatever dies before that leaves nothing, and is asked for again.
- How far the asking has come is written after the files, never before: what is asked for twice is
  unchanged the second time; what was not asked for would be lost.
- It belongs to the question it was an answer to: another question begins from nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from schemas.dates import Clock, Instant
from schemas.errors import InputError
from service.durable import make_durable

POSITION = ".position-"
"""How the names of files begin that say how far the asking has come."""
OPEN = ".spool-"
"""How the names of files begin that messages are still written to (adapters.mllp_spool)."""
STAMP = "%Y%m%dT%H%M%SZ"
"""When a file was asked for, in its name; schemas.settings_feeds reads it there."""


class Spool:
    """The inbox folder of one source, as whoever collects for it sees it."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder, self._clock = folder, clock

    def now(self) -> Instant:
        """The present moment."""
        return self._clock()

    @contextmanager
    def file(self, name: str, suffix: str) -> Iterator[IO[str]]:
        """A file NAME_TIME.SUFFIX, in UTF-8; it is there once the block has ended well."""
        path = self.free_path(name, suffix)
        part = path.with_name(f".{path.name}.part")
        self._clear(name)
        try:
            with part.open("w", encoding="utf-8", newline="") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
        make_durable(self.folder)

    def free_path(self, name: str, suffix: str) -> Path:
        """The name that the present moment gives, or the next that no file has."""
        moment = datetime.fromisoformat(self._clock()).astimezone(UTC)
        while (path := self.folder / f"{name}_{moment:{STAMP}}.{suffix}").exists():
            moment += timedelta(seconds=1)
        return path

    def give_name(self, path: Path, name: str, suffix: str) -> Path:
        """Makes a durable file of this folder NAME_TIME.SUFFIX: it is there then, under its former
        name, or under both. Whatever else gets such a name meanwhile is not overwritten."""
        while True:
            free = self.free_path(name, suffix)
            try:
                os.link(path, free)
                break
            except FileExistsError:
                continue
        make_durable(self.folder)
        path.unlink()
        return free

    def position(self, name: str, question: str) -> Any:
        """How far it has come with this question, as it was told; None: nothing was asked yet.
        Raises: InputError: what is written there cannot be read."""
        path = self.folder / f"{POSITION}{name}.json"
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            if held["question"] != _digest(question):
                return None
            return _READ[held["kind"]](held["position"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"{path.name}: how far {name} was asked for cannot be read; remove the file, and"
                " all is asked for anew"
            ) from None

    def set_position(self, name: str, question: str, position: Any) -> None:
        """Writes down how far it has come, durably."""
        kind, text = next(
            (kind, write(position)) for kind, (of, write) in _WRITE.items() if type(position) is of
        )
        held = {"question": _digest(question), "kind": kind, "position": text}
        path = self.folder / f"{POSITION}{name}.json"
        part = path.with_name(f"{path.name}.part")
        with part.open("w", encoding="utf-8") as file:
            json.dump(held, file)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        make_durable(self.folder)

    def _clear(self, name: str) -> None:
        """Removes what is left of files whose writing died: one process collects at a time."""
        for left in self.folder.glob(f".{name}_*.part"):
            left.unlink(missing_ok=True)


_WRITE: dict[str, tuple[type, Any]] = {
    "whole": (int, int),
    "text": (str, str),
    "time": (datetime, datetime.isoformat),
    "date": (date, date.isoformat),
}
"""What a position can be, and how each is written."""
_READ: dict[str, Any] = {
    "whole": int, "text": str, "time": datetime.fromisoformat, "date": date.fromisoformat,
}  # fmt: skip
POSITIONS = tuple(of for of, _ in _WRITE.values())


def _digest(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()
