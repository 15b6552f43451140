"""What a power cut must not take.

Rules:
- A file that bears a new name is found again once its bytes are durable, and then each folder in
  which a name is new.
- After a failure nobody knows what the disk holds: whoever asked takes the name away again, or
  writes anew, and tells nobody that it was done.
"""

from __future__ import annotations

import os
from pathlib import Path


def make_durable(path: Path) -> None:
    """Makes a file's bytes, or the names in a folder, durable. Raises: OSError: they may not be."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
