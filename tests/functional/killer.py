"""Runs a command in a process that dies by SIGKILL at a chosen moment.

    python -m tests.functional.killer TARGET NTH WHEN -- ARGUMENTS...

TARGET is `module:name` or `module:Class.name`; the process is killed on its NTH call, `before` it
or `after` it. Publication goes in small chunks and little is enough to train on, so that there are
moments to choose from in a small workspace (`small_steps`, which whoever compares uses too). Where
the target is of reading ahead, every feed is read in another process.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import wraps
from importlib import import_module
from itertools import count
from typing import Any

import cli
from adapters import ahead
from service import linking
from store import publishing

CHUNK_ROWS = 40
SMALLEST_TRAINING = 60


def small_steps(set_attribute: Any) -> None:
    """Sets the sizes by `set_attribute(object, name, value)`."""
    set_attribute(publishing, "CHUNK_ROWS", CHUNK_ROWS)
    set_attribute(linking, "SMALLEST_TRAINING", SMALLEST_TRAINING)


def die_at(target: str, nth: int, when: str) -> None:
    """Arms the process: its `nth` call of the target is its last act."""
    module_name, _, path = target.partition(":")
    holder: Any = import_module(module_name)
    *owners, name = path.split(".")
    for owner in owners:
        holder = getattr(holder, owner)
    real, calls = getattr(holder, name), count(1)

    @wraps(real)
    def last(*arguments: Any, **options: Any) -> Any:
        mine = next(calls) == nth
        if mine and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **options)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(holder, name, last)


def main(arguments: list[str]) -> None:
    """See the module."""
    target, nth, when, _, *command_line = arguments
    small_steps(setattr)
    if target.startswith(ahead.__name__):
        ahead.WORTH_A_PROCESS = 1
    die_at(target, int(nth), when)
    sys.argv = ["commonthread", *command_line]
    cli.main()


if __name__ == "__main__":
    main(sys.argv[1:])
