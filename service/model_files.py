"""Model files on disk."""

from __future__ import annotations

import os
from pathlib import Path

from linkage.model import Model
from schemas.errors import InputError


def load_model(path: Path) -> Model:
    """A model from its file. Raises: InvalidValue."""
    return Model.from_json(path.read_bytes())


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file so that it is there whole or not at all, whatever happens meanwhile.

    Raises: InputError where it cannot be written.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or 'no room'})") from None
    finally:
        temporary.unlink(missing_ok=True)
