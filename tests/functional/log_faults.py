"""Failures at the file-system calls of an append and of a publication, by strace.

A child process, forked from one that has everything loaded, appends events to a workspace and
publishes them, and acknowledges each once it is durable. strace lets the nth call of one kind fail,
or kills the child there. Then another process opens the workspace, recovers, and checks:

- every acknowledged event is in the log;
- the checkpoint is signed, its root is that of the entries in the database, and of the tiles;
- it is consistent with the latest that the child had acknowledged;
- nothing else came of it than an error of ours.

    python -m tests.functional.test_log_faults --all
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from audit.events import AuditEvent, EventOutcome
from audit.merkle import is_consistent, is_included
from audit.notes import parse_note, verified
from schemas.dates import Instant
from schemas.errors import CommonthreadError
from service.audit_log import AuditLog
from store.sql_store import SqlStore
from tests.audit import naive_tree as naive
from wiring import create_workspace, open_workspace, publish

BEFORE = 253
"""Events that are published beforehand: the child's fill a tile."""
STEPS = (2, 2)
"""Events that the child appends before it publishes, each time."""
SETTINGS = """
[partnership]
name = "Partnership"
"""
KINDS = {
    "EIO": ("read", "pread64", "write", "pwrite64", "fsync", "fdatasync", "openat", "close",
            "rename", "mkdir", "unlink", "unlinkat", "rmdir", "ftruncate", "flock", "fcntl",
            "newfstatat", "lseek", "getdents64"),
    "ENOSPC": ("write", "pwrite64", "fsync", "fdatasync", "openat", "rename", "mkdir",
               "ftruncate"),
}  # fmt: skip
UNSWEPT = {
    "writev": "the child acknowledges by it, and nothing else writes so",
    "readv": "the child waits by it for the beginning",
    "ioctl": "asks of a file that was opened whether it is a terminal; none is",
    "exit_group": "the end",
}
"""Kind of call that is not let fail → why."""
WATCHED = "%file,%desc,%process"
"""Classes of calls that touch files, or begin somebody else who may."""
MEMORY = Path("/dev/shm")
"""Where files cost no time. Their calls are the same ones, and it is the calls that fail."""
KILLED = KINDS["EIO"]
FULL = ("write", "pwrite64", "fsync", "fdatasync", "rename", "mkdir", "ftruncate")
"""Calls of which all fail, from one on, when a disk is full for good."""


class Fault(NamedTuple):
    """One failure: what comes of the nth call of a kind (`kept`: of every one from there on)."""

    kind: str
    error: str
    nth: int
    kept: bool = False

    def options(self) -> list[str]:
        """Of strace."""
        when = f"when={self.nth}{'+' if self.kept else ''}"
        what = "signal=SIGKILL" if self.error == "SIGKILL" else f"error={self.error}"
        if self.kept:
            names = ",".join(FULL)
            return ["-e", f"trace={names}", "-e", f"inject={names}:{what}:{when}"]
        return ["-e", f"trace={self.kind}", "-e", f"inject={self.kind}:{what}:{when}"]


@dataclass(frozen=True)
class Told:
    """What a child acknowledged: events, and (size, root) of checkpoints; how it ended."""

    events: tuple[str, ...]
    checkpoints: tuple[tuple[int, bytes], ...]
    failures: tuple[str, ...]
    unforeseen: tuple[str, ...]
    killed: bool
    reached: bool


def event(name: str) -> AuditEvent:
    """An event that can be told from others."""
    return AuditEvent(
        at=Instant("2026-11-02T03:00:00Z"), action="nightly", outcome=EventOutcome.PERMITTED,
        actor="a", role="r", purpose="audit", details={"run": name},
    )  # fmt: skip


def prepared(folder: Path) -> Path:
    """A workspace with a published log; everything that a child needs is loaded afterwards."""
    for name in ("warm", "p"):
        root = folder / name
        workspace = create_workspace(root, SETTINGS)
        with workspace.store() as store:
            for n in range(BEFORE if name == "p" else 255):
                store.append_event(event(f"before-{n}"))
        if name == "warm":
            _work_here(root)
    return folder / "p"


def _work_here(root: Path) -> None:
    """In this process, so that what is loaded late is loaded before any child begins."""
    workspace = open_workspace(root)
    with workspace.store() as store:
        log = workspace.log(store)
        store.append_event(event("warm"))
        publish(store, log)
        recovered(root, Told((), (), (), (), killed=False, reached=True))


# --- the child ----------------------------------------------------------------------------------


def _work(root: Path, told: int | None) -> None:
    """Appends and publishes. Told: a pipe to acknowledge to, once a line came by standard input."""

    def tell(*what: Any) -> None:
        if told is not None:
            # writev: acknowledging is none of the calls that fail.
            os.writev(told, [json.dumps(what).encode() + b"\n"])

    workspace = open_workspace(root)
    try:
        with workspace.store() as store:
            log = workspace.log(store)
            if told is not None:
                tell("ready")
                os.readv(0, [bytearray(1)])  # neither is waiting for the beginning
            _steps(store, log, tell)
    except CommonthreadError as error:
        tell("failed", str(error))
    except BaseException:
        tell("unforeseen", traceback.format_exc())


def _steps(store: SqlStore, log: AuditLog, tell: Callable[..., None]) -> None:
    for step, count in enumerate(STEPS):
        for n in range(count):
            name = f"new-{step}-{n}"
            try:
                store.append_event(event(name))
                tell("event", name)
            except CommonthreadError as error:
                tell("failed", str(error))
        try:
            found = publish(store, log)
            assert found is not None
            tell("checkpoint", found.size, found.root.hex())
        except CommonthreadError as error:
            tell("failed", str(error))


class Child:
    """A forked child that waits to begin."""

    def __init__(self, root: Path) -> None:
        gate, self._go = os.pipe()
        self._told, told = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.dup2(gate, 0)
            try:
                _work(root, told)
            finally:
                os._exit(0)
        os.close(gate)
        os.close(told)
        self._lines = os.fdopen(self._told, "rb")
        first = self._lines.readline()
        assert json.loads(first) == ["ready"], first

    def ended(self) -> tuple[list[list[Any]], bool]:
        """Lets it begin; all that it told, and whether it was killed."""
        os.write(self._go, b"\n")
        told = [json.loads(line) for line in self._lines.read().split(b"\n")[:-1]]
        _, status = os.waitpid(self.pid, 0)
        os.close(self._go)
        self._lines.close()
        return told, os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def strace() -> str:
    """The tracer. Fails where there is none, or where it may not trace."""
    found = shutil.which("strace")
    assert found, "no strace on the path: `make strace` installs it"
    tried = subprocess.run([found, "-qq", "true"], capture_output=True, check=False)
    assert tried.returncode == 0, (
        "strace may not trace here, so that no failure can be shown to be survived: allow ptrace"
        f" (in a container: --cap-add SYS_PTRACE). It said: {tried.stderr.decode()}"
    )
    return found


def traced(root: Path, options: Sequence[str], out: Path) -> Told:
    """What a child told under strace with these options, which writes to `out`."""
    child = Child(root)
    with subprocess.Popen(
        [strace(), "-o", str(out), *options, "-p", str(child.pid)], stderr=subprocess.PIPE
    ) as tracer:
        assert tracer.stderr
        line = tracer.stderr.readline()
        assert b"attached" in line, line
        told, killed = child.ended()
    text = out.read_text(errors="replace")
    by = {kind: [tuple(one[1:]) for one in told if one[0] == kind] for kind in
          ("event", "checkpoint", "failed", "unforeseen")}  # fmt: skip
    return Told(
        tuple(name for (name,) in by["event"]),
        tuple((size, bytes.fromhex(root)) for size, root in by["checkpoint"]),
        tuple(text for (text,) in by["failed"]),
        tuple(text for (text,) in by["unforeseen"]),
        killed,
        reached=killed or "INJECTED" in text,
    )


def calls(root: Path, out: Path) -> Counter[str]:
    """How often a child makes each kind of call, from its beginning to its end; no kind is missing
    from the failures, and none is made by a thread of which nothing is traced."""
    told = traced(root, ["-e", f"trace={WATCHED}"], out)
    assert (len(told.events), len(told.checkpoints)) == (sum(STEPS), len(STEPS)), told
    made = counted(out.read_text(errors="replace"))
    missed = made.keys() - {*KINDS["EIO"]} - UNSWEPT.keys()
    assert not missed, f"calls that no failure is tried at: {sorted(missed)}"
    return made


def counted(trace: str) -> Counter[str]:
    """Kind of call → how often, in what strace wrote. Memory that is no file's is left out."""
    calls = re.findall(r"^(?:\d+ +)?(\w+)\((.*)$", trace, re.MULTILINE)
    return Counter(name for name, rest in calls if "MAP_ANONYMOUS" not in rest)


def faults(made: Counter[str]) -> Iterator[Fault]:
    """Every failure there is."""
    for error, kinds in (*KINDS.items(), ("SIGKILL", KILLED)):
        for kind in kinds:
            yield from (Fault(kind, error, nth) for nth in range(1, made[kind] + 1))
    most = max(made[kind] for kind in FULL)
    yield from (Fault("all", "ENOSPC", nth, kept=True) for nth in range(1, most + 1))


# --- afterwards ---------------------------------------------------------------------------------


def forked(run: Callable[[], Any]) -> Any:
    """What a function gives in a process of its own."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        try:
            answer = run() or []
        except BaseException:
            answer = [traceback.format_exc()]
        with os.fdopen(write, "w") as stream:
            json.dump(answer, stream)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        text = stream.read()
    os.waitpid(pid, 0)
    return json.loads(text) if text else ["the process that checks died"]


def recovered(root: Path, told: Told) -> list[str]:
    """What is wrong with the workspace, once it was opened and published anew; nothing, if all is
    well."""
    workspace = open_workspace(root)
    with workspace.store() as store:
        log = workspace.log(store)
        latest = publish(store, log)
        held = Counter(one.details.get("run") for one in store.events())
        entries = store.entries(0, store.event_count())
    assert latest is not None
    wrong = [f"lost: {name}" for name in told.events if not held[name]]
    wrong += [f"lost: before-{n}" for n in range(BEFORE) if not held[f"before-{n}"]]
    wrong += [f"twice: {name}" for name, count in held.items() if name and count > 1]
    if not verified(parse_note(log.note()), log.verifiers()):
        wrong.append("the checkpoint is not signed")
    if (latest.size, latest.root) != (len(entries), naive.mth(entries)):
        wrong.append("the checkpoint is not of the entries in the database")
    if [one for part in log.entries(0, latest.size) for one in part] != entries:
        wrong.append("the published entries are not those in the database")
    for leaf in range(0, latest.size, 50):
        proof = log.prove(leaf)
        if not is_included(leaf, latest.size, proof.leaf_hash, proof.hashes, latest.root):
            wrong.append(f"leaf {leaf} cannot be proven")
    for size, old_root in told.checkpoints:
        proven = size <= latest.size and is_consistent(
            size, latest.size, log.consistency(size), old_root, latest.root
        )
        if not proven:
            wrong.append(f"not consistent with the checkpoint at {size}")
    return wrong + [f"unforeseen: {text}" for text in told.unforeseen]


@dataclass
class Shown:
    """What came of many failures."""

    tried: int = 0
    reached: int = 0
    killed: int = 0
    acknowledged: int = 0
    refused: int = 0

    def add(self, told: Told) -> None:
        """Counts one."""
        self.tried += 1
        self.reached += told.reached
        self.killed += told.killed
        self.acknowledged += len(told.events)
        self.refused += len(told.failures)


def survived(template: Path, folder: Path, fault: Fault, shown: Shown) -> list[str]:
    """What is wrong after one failure."""
    root = folder / "copy"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(template, root)
    told = traced(root, fault.options(), folder / "strace.txt")
    shown.add(told)
    return [f"{fault}: {one}" for one in forked(lambda: recovered(root, told))]


@contextmanager
def in_memory() -> Iterator[Path]:
    """A folder in memory where the system has that, else one on disk."""
    place = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as name:
        yield Path(name)


def main() -> int:
    """Every failure, in a shuffled order; prints a line each fifty, and the sums."""
    with in_memory() as folder:
        template = prepared(folder)
        shutil.copytree(template, folder / "counted")
        made = calls(folder / "counted", folder / "strace.txt")
        print({kind: made[kind] for kind in sorted({*KILLED, *FULL}) if made[kind]})
        shown, wrong = Shown(), list[str]()
        every = list(faults(made))
        Random(1).shuffle(every)
        for fault in every:
            found = survived(template, folder, fault, shown)
            print(*found, sep="\n", end="\n" if found else "", flush=True)
            wrong += found
            if shown.tried % 50 == 0:
                print(f"{shown.tried} of {len(every)}:", shown, len(wrong), "wrong", flush=True)
        print(shown, len(wrong), "wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
