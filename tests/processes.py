"""Processes of their own for what a test ends, limits or breaks, without the seconds that it takes
to start an interpreter: a server in which the program is imported already splits them off.

The program as its users start it is tested too, where its start is the point (tests/contract/
test_cli.py, tests/functional/test_kill_anytime.py).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

PATIENCE = 300
"""Seconds after which a process that does not end fails its test."""
_SERVER = get_context("forkserver")
_SERVER.set_forkserver_preload(["cli", "wiring", "service.nightly", "service.training"])


@dataclass(frozen=True)
class Left:
    """How a process ended: its exit code, or -N after signal N; and what it wrote."""

    code: int
    out: str
    err: str


def _begun(out: Path, err: Path, main: Callable[[list[str]], None], told: list[str]) -> None:
    for stream, path in ((1, out), (2, err)):
        file = os.open(path, os.O_CREAT | os.O_WRONLY)
        os.dup2(file, stream)
        os.close(file)
    sys.argv = ["commonthread", *told]
    main(told)


@contextmanager
def beside(main: Callable[[list[str]], None], told: Sequence[object]) -> Iterator[Beside]:
    """Calls a function of a module in a process that goes on beside the test; killed at the end, if
    it is still there."""
    with TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = _SERVER.Process(target=_begun, args=(out, err, main, [*map(str, told)]))
        process.start()
        try:
            yield Beside(process, err)
        finally:
            process.kill()
            process.join()
            process.close()


@dataclass(frozen=True)
class Beside:
    """A process that goes on."""

    process: Any
    err: Path

    def said(self, pattern: str) -> re.Match[str]:
        """Waits until it has written something to standard error."""
        until = monotonic() + PATIENCE
        while True:
            text = self.err.read_text("utf-8") if self.err.exists() else ""
            found = re.search(pattern, text)
            if found:
                return found
            assert monotonic() < until, f"no {pattern}: {text}"
            assert self.process.exitcode is None, f"it ended: {text}"
            sleep(0.01)

    def ended(self, number: int) -> int:
        """Sends it a signal, and waits for its end: its exit code, or -N after signal N."""
        os.kill(self.process.pid, number)
        self.process.join(PATIENCE)
        return int(self.process.exitcode)


def split_off(main: Callable[[list[str]], None], told: Sequence[object]) -> Left:
    """Calls a function of a module with arguments, in a process that ends with it."""
    with TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = _SERVER.Process(target=_begun, args=(out, err, main, [*map(str, told)]))
        process.start()
        process.join(PATIENCE)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise AssertionError(f"{told} did not end within {PATIENCE} seconds")
        code = process.exitcode
        process.close()
        return Left(code, *(p.read_text("utf-8") if p.exists() else "" for p in (out, err)))
