"""How the engines are run for the measurements: each as a whole process, watched from outside.

Rules:
- commonthread is driven by its command line alone, the peers by bench/peers/run_*.py.
- An option that `link-file` does not list in its help is left out, and a line says so once.
- Peak memory is the greatest sum of resident sets over the process and its descendants, looked at
  every 20 ms; CPU time is user and system of all of them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from time import perf_counter, sleep
from typing import IO

from bench.sets import PEER_PYTHON, PEERS

PEER_NAMES = ("splink", "recordlinkage")
WATCH_SECONDS = 0.02
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Run:
    """One process, watched: seconds, bytes, and what it printed (None where it was stopped)."""

    wall: float
    cpu: float
    peak_bytes: int
    output: str | None


def watched(command: Sequence[str | Path], limit: float | None = None) -> Run:
    """Runs the command to its end, or kills it after `limit` seconds (None: no limit).

    Raises: RuntimeError with the end of its error output where it fails.
    """
    with TemporaryFile("w+") as out, TemporaryFile("w+") as errors:
        began, before = perf_counter(), os.times()
        process = subprocess.Popen(
            [str(word) for word in command], stdout=out, stderr=errors, start_new_session=True
        )
        peak, stopped = 0, False
        while process.poll() is None:
            peak = max(peak, _resident(process.pid))
            if limit is not None and not stopped and perf_counter() - began > limit:
                os.killpg(process.pid, signal.SIGKILL)
                stopped = True
            sleep(WATCH_SECONDS)
        wall, after = perf_counter() - began, os.times()
        printed, complaints = (_text(stream) for stream in (out, errors))
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    if process.returncode and not stopped:
        raise RuntimeError(f"{Path(command[0]).name} failed:\n{complaints[-2000:]}")
    return Run(wall, cpu, peak, None if stopped else printed)


def _text(stream: IO[str]) -> str:
    stream.seek(0)
    return stream.read()


def _resident(pid: int) -> int:
    """Resident bytes of a process and its descendants; 0 once it is gone. Read from the system's
    files: a look must not cost what is looked at its time."""
    total, family = 0, [pid]
    while family:
        folder = Path("/proc", str(family.pop()))
        with suppress(OSError):  # it has ended meanwhile
            total += int((folder / "statm").read_text().split()[1]) * PAGE_BYTES
            for task in (folder / "task").iterdir():
                family += map(int, (task / "children").read_text().split())
    return total


@lru_cache(maxsize=4)
def options_of(program: Path) -> frozenset[str]:
    """The options that `link-file --help` lists."""
    shown = subprocess.run(
        [program, "link-file", "--help"], check=True, capture_output=True, text=True
    )
    return frozenset(word for word in shown.stdout.split() if word.startswith("--"))


def our_command(
    program: Path, inputs: Sequence[Path], out: Path, arguments: Sequence[str]
) -> list[str | Path]:
    """The `link-file` command, without pairs of option and value that the program lacks."""
    known = options_of(program)
    kept: list[str | Path] = [program, "link-file", *inputs, "--out", out, "--id", "record_id"]
    lacking = set()
    for option, value in zip(arguments[::2], arguments[1::2], strict=True):
        if option in known:
            kept += [option, value]
        else:
            lacking.add(option)
    _say_once(tuple(sorted(lacking)))
    return kept


@lru_cache(maxsize=16)
def _say_once(lacking: tuple[str, ...]) -> None:
    if lacking:
        print(f"link-file has no {', '.join(lacking)}: left out")


def peer_command(peer: str, job: dict, out: Path, pairs: Path | None = None) -> list[str | Path]:
    """The peer's command; the job is written beside its output."""
    path = out.with_suffix(".job.json")
    path.write_text(json.dumps(job), encoding="utf-8")
    command: list[str | Path] = [PEER_PYTHON, PEERS / f"run_{peer}.py", path, "--out", out]
    return [*command, "--pairs", pairs] if pairs else command
