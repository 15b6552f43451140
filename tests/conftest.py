"""Where tests write: in memory, where the machine has room there.

The store and the log wait for the disc after every write, as they must; nothing that tests write
outlives them, so that they need not wait for a real one. A process that is killed loses nothing
either way.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

IN_MEMORY = Path("/dev/shm")
ROOM = 6 * 1024**3
"""Bytes that have to be free: more than the tests hold at any time."""


def _room() -> bool:
    """Whether there is such a place, with room, that we may write to."""
    if not os.access(IN_MEMORY, os.W_OK | os.X_OK):
        return False
    return shutil.disk_usage(IN_MEMORY).free >= ROOM


if "TMPDIR" not in os.environ and _room():
    os.environ["TMPDIR"] = str(IN_MEMORY)
    tempfile.tempdir = None  # it may have been looked up before
