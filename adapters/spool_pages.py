"""A file of the spool that comes page by page, and can go on when whoever wrote it died.

Rules:
- A page counts once its bytes are durable, and then the note on it: what is beyond the bytes of the
  note is written over.
- The name that the file shall have is noted before it gets it, so that it gets only one.
- A note belongs to the question that the pages answer: another question begins from nothing. So
  does one whose file or note is not what was written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.spool import POSITION, Spool
from service.durable import make_durable


class Pages:
    """The file NAME_TIME.SUFFIX that is on its way, and what is noted of it."""

    def __init__(self, spool: Spool, name: str, suffix: str, question: str) -> None:
        self._spool, self._name, self._suffix = spool, name, suffix
        self._question = hashlib.sha256(question.encode()).hexdigest()
        self._part = spool.folder / f".{name}.{suffix}.pages"
        self._state = spool.folder / f"{POSITION}{name}.pages.json"
        self._bytes, self._file, self._note = self._read()

    @property
    def note(self) -> Mapping[str, Any] | None:
        """What was noted with the last page; None: there is none yet."""
        return self._note

    @property
    def ended(self) -> bool:
        """Whether the file had its last page."""
        return self._file is not None

    def append(self, data: bytes, note: Mapping[str, Any]) -> None:
        """Writes a page and what is to be remembered with it, durably."""
        with os.fdopen(os.open(self._part, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            file.seek(self._bytes)
            file.write(data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        self._bytes += len(data)
        self._note = dict(note)
        self._write()

    def cut(self, length: int, note: Mapping[str, Any]) -> None:
        """Takes back the last bytes of what was written."""
        self._bytes -= length
        self._note = dict(note)
        self._write()

    def end(self) -> None:
        """The last page is in: gives the file its name, if it holds anything."""
        if self._file is None:
            self._file = self._spool.free_path(self._name, self._suffix).name
            self._write()
        if self._bytes and self._part.exists():
            if self._part.stat().st_size > self._bytes:
                os.truncate(self._part, self._bytes)
                make_durable(self._part)
            self._part.rename(self._spool.folder / self._file)
        make_durable(self._spool.folder)

    def forget(self) -> None:
        """Removes what is noted, and a file that has no name yet."""
        self._state.unlink(missing_ok=True)
        self._part.unlink(missing_ok=True)
        make_durable(self._spool.folder)
        self._bytes, self._file, self._note = 0, None, None

    def _read(self) -> tuple[int, str | None, Mapping[str, Any] | None]:
        nothing = 0, None, None
        try:
            held = json.loads(self._state.read_text(encoding="utf-8"))
            size, file, note = int(held["bytes"]), held["file"], held["note"]
            if held["question"] != self._question or not isinstance(note, dict):
                return nothing
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return nothing
        place = self._part
        if file is not None and not place.exists():
            place = self._spool.folder / Path(str(file)).name
        there = place.stat().st_size if place.is_file() else 0
        return (size, file, note) if there >= size else nothing

    def _write(self) -> None:
        held = {"question": self._question, "bytes": self._bytes, "file": self._file,
                "note": self._note}  # fmt: skip
        part = self._state.with_name(f"{self._state.name}.part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(held, file)
            file.flush()
            os.fsync(file.fileno())
        part.rename(self._state)
        make_durable(self._spool.folder)
