"""Passwords and tokens of the interfaces: files of the workspace that only their owner can read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from schemas.errors import InputError

_MOST_BYTES = 1 << 16


def read_secret(root: Path, name: str) -> str:
    """The first line of a file of the workspace. Raises: InputError: it is not there, empty, or
    open to others."""
    try:
        with (root / name).open("rb") as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise InputError(f"{name}: others can read this secret; run chmod 600 on it")
            lines = file.read(_MOST_BYTES).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{name}: this secret cannot be read ({type(error).__name__}); expected a file of the"
            " workspace with one line"
        ) from None
    if not lines or not lines[0]:
        raise InputError(f"{name}: expected one line with the secret; it is empty")
    return lines[0]


def check_private(root: Path, name: str) -> None:
    """That nobody but its owner can read a file of the workspace. Raises: InputError."""
    try:
        mode = (root / name).stat().st_mode
    except OSError as error:
        raise InputError(
            f"{name}: cannot be read ({type(error).__name__}); expected a file of the workspace"
        ) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InputError(f"{name}: others can read this secret; run chmod 600 on it")
