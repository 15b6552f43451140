"""The road as its users walk it: a workspace in a folder, and the real command line on it."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import cli
from store.dump import logical_dump
from store.sql_store import SqlStore
from tests.processes import split_off
from wiring import open_workspace

CHECKOUT = Path(__file__).parents[2]
SCRIPT = Path(sys.executable).with_name("commonthread")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as the one JSON document that it must be."""
        return json.loads(self.out)

    @property
    def said(self) -> str:
        return self.out + self.err


def call(root: Path, *arguments: object) -> Ended:
    """Runs a command in this process: the whole of it, from the arguments to the exit code."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    argv = ["commonthread", "--workspace", str(root), *map(str, arguments)]
    with patch.object(sys, "argv", argv), redirect_stdout(out), redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as done:
            code = int(done.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())


def done(root: Path, *arguments: object) -> Ended:
    """Runs a command in this process that must end well."""
    ended = call(root, *arguments)
    assert ended.code == 0, ended.said
    return ended


def command(root: Path, *arguments: object) -> list[str]:
    """The command line of a real process."""
    return [str(SCRIPT), "--workspace", str(root), *map(str, arguments)]


def run(root: Path, *arguments: object, environment: Mapping[str, str] | None = None) -> Ended:
    """Runs a command as a process of its own."""
    ended = subprocess.run(
        command(root, *arguments),
        cwd=root.parent,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        timeout=300,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def driven(driver: str, root: Path, arguments: tuple[str, ...], *command_line: str) -> Ended:
    """Runs a command in a process in which a driver module of the tests changed something first."""
    main = import_module(driver).main
    ended = split_off(main, [*arguments, "--", "-w", root, *command_line])
    return Ended(ended.code, ended.out, ended.err)


@contextmanager
def opened(root: Path) -> Iterator[SqlStore]:
    """The workspace's store."""
    with open_workspace(root).store() as store:
        yield cast("SqlStore", store)


def dump(root: Path) -> list[str]:
    """All that the store holds, as lines; the same for equal histories."""
    with opened(root) as store:
        return list(logical_dump(store.database))


def without_events(lines: list[str]) -> list[str]:
    """A dump without the audit events and their counter."""
    told = ("audit_event\t", "audit_event_person\t")
    return [x for x in lines if not x.startswith(told) and '"events"' not in x]


def without_agreements(lines: list[str]) -> list[str]:
    """A dump without audit events, and without what `demo` writes into the database that it makes:
    the agreements and the counter of what sharing lays down."""
    return [
        x for x in without_events(lines) if not x.startswith("agreement\t") and '"sharing"' not in x
    ]


def persons(root: Path) -> dict[tuple[str, str], str]:
    """(source, local id) → person id, as published."""
    with opened(root) as store:
        return {(s, i): p for chunk in store.export_rows() for s, i, p in chunk}


def still_live(root: Path, before: Path) -> dict[tuple[str, str], str]:
    """What was published in the workspace before, of the records that are live in this one: a
    record that its source took back is shown no more, whatever becomes of the night."""
    with opened(root) as store:
        held = store.record_sources().select(["source", "local_id"]).to_pylist()
    live = {(row["source"], row["local_id"]) for row in held}
    return {record: person for record, person in persons(before).items() if record in live}


def partition(root: Path) -> set[frozenset[tuple[str, str]]]:
    """The published persons as sets of (source, local id)."""
    groups: dict[str, set[tuple[str, str]]] = {}
    for record, person in persons(root).items():
        groups.setdefault(person, set()).add(record)
    return {frozenset(group) for group in groups.values()}


OF_ITSELF = frozenset(
    {"settings-changed", "policies-changed", "model-changed", "feed", "publish"}
)  # fmt: skip
"""Actions of the program itself, on the way to what somebody asked for."""


def events(root: Path) -> list[dict[str, Any]]:
    """The audit events that have a payload, oldest first; of what people asked for."""
    lines = [x.partition("\t")[2] for x in dump(root) if x.startswith("audit_event\t")]
    told = [body for line in lines if (body := json.loads(line)["body"])]
    return [one for one in told if one["action"] not in OF_ITSELF]


def copy_of(root: Path, target: Path) -> Path:
    """The workspace again, keys, times of files and all."""
    return Path(shutil.copytree(root, target, symlinks=True))
