"""Writing feeds: whole or not at all, dated by the simulated extract.

Rules:
- A feed is written under a temporary name and renamed when complete.
- Its modification time is the extract's, so that nothing takes it for a file still being written
  and the same seed gives the same folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from demo.partnership import EXTRACT_DATE

STAMP = f"{EXTRACT_DATE:%Y%m%d}"
"""The date in the name of every feed of the first night."""


def write_feed(
    path: Path, pieces: Iterable[str], encoding: str = "utf-8", stamp: str = STAMP
) -> Path:
    """Writes the pieces of text as one file, as of the night of `stamp`; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    with temporary.open("w", encoding=encoding, newline="") as file:
        for piece in pieces:
            file.write(piece)
    set_extract_time(temporary, stamp)
    temporary.replace(path)
    return path


def set_extract_time(path: Path, stamp: str = STAMP) -> None:
    """Dates a file as of the night's extract, at four o'clock."""
    day = datetime.strptime(stamp, "%Y%m%d").replace(hour=4, tzinfo=UTC)
    os.utime(path, (day.timestamp(), day.timestamp()))
