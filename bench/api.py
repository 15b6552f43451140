"""How fast the API answers: a record read through HTTP, arrivals timed from a schedule (open loop).

    python -m bench.api WORKSPACE [--rate 80] [--seconds 20] [--workers 2] [--route everything]

The workspace is a demo after its night. Every request goes the whole way: token, staff directory,
decision, redaction, a durable audit event, rendering. A request that begins late because the server
is behind is timed from when it should have begun. The generator runs on the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.demo_issuer import mint
from consent.roles import role_of_directory
from schemas.identifiers import PersonId
from schemas.sharing import SignedIn
from wiring import Workspace, open_workspace


@dataclass(frozen=True)
class Reader:
    """A member of staff with a token, and the persons whose records are open to them."""

    token: str
    persons: tuple[PersonId, ...]


def readers(workspace: Workspace, ids: list[PersonId], wanted: int, least: int) -> list[Reader]:
    """Staff who may open records of at least so many items, with up to `wanted` persons each."""
    found = []
    with workspace.sharing() as sharing:
        for entry in sharing.staff():
            role = role_of_directory(entry.role)
            if role not in ("gp", "doctor", "nurse", "social_worker"):
                continue
            signed_in = SignedIn(
                issuer="bench", subject=entry.staff_id, organisation=entry.organisation,
                role=role, purpose="direct-care",
            )  # fmt: skip
            asker = sharing.requester(signed_in)
            if not asker.active:
                continue
            persons = []
            for person in ids[:400]:
                page = sharing.items(asker, person, None, count=50)
                if len(page.record.items) >= least:
                    persons.append(person)
                if len(persons) == wanted:
                    break
            if persons:
                token = mint(
                    workspace.settings, workspace.keys, entry, role, ("direct-care",), time.time()
                )
                found.append(Reader(token, tuple(persons)))
            if len(found) == 3:
                break
    return found


@contextlib.contextmanager
def serving(root: Path, port: int, workers: int) -> Iterator[int]:
    """The server, as operators start it; gives its process id."""
    command = [
        sys.executable, "-m", "cli", "-w", str(root), "serve", "--port", str(port),
        "--workers", str(workers),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.2)
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=20)


class Client:
    """Keeps connections open and asks over them; no more HTTP than the bench needs."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes) -> tuple[int, int]:
        """Status and length of the answer."""
        opened = self._idle.pop() if self._idle else None
        reader, writer = opened or await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(request)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        await reader.readexactly(length)
        self._idle.append((reader, writer))
        return int(head.split(b" ", 2)[1]), length


def requests(route: str, found: list[Reader]) -> list[bytes]:
    """Requests to go through in turn."""
    paths = {
        "everything": "/fhir/R4/Patient/{}/$everything?_count=50",
        "allergies": "/fhir/R4/AllergyIntolerance?patient={}",
        "patient": "/fhir/R4/Patient/{}",
        "health": "/healthz",
    }
    return [
        (
            f"GET {paths[route].format(person)} HTTP/1.1\r\nHost: bench\r\n"
            f"Authorization: Bearer {reader.token}\r\n\r\n"
        ).encode()
        for reader in found
        for person in reader.persons
    ]


async def open_loop(port: int, asked: list[bytes], rate: float, seconds: float) -> dict[str, Any]:
    """Latencies in milliseconds of requests that arrive at a steady rate."""
    client = Client(port)
    for request in asked[:20]:
        await client.ask(request)
    took: list[float] = []
    statuses: dict[int, int] = {}
    lengths: list[int] = []

    async def one(due: float, request: bytes) -> None:
        status, length = await client.ask(request)
        took.append((time.perf_counter() - due) * 1_000)
        statuses[status] = statuses.get(status, 0) + 1
        lengths.append(length)

    begun = time.perf_counter()
    tasks = []
    for n in range(int(rate * seconds)):
        due = begun + n / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due, asked[n % len(asked)])))
    await asyncio.gather(*tasks)
    took.sort()
    return {
        "rate": rate,
        "answered_a_second": round(len(took) / (time.perf_counter() - begun), 1),
        "p50_ms": round(took[len(took) // 2], 1),
        "p99_ms": round(took[int(len(took) * 0.99)], 1),
        "statuses": statuses,
        "bytes": round(sum(lengths) / len(lengths)),
    }


async def saturation(port: int, asked: list[bytes], seconds: float, at_once: int) -> float:
    """Answers a second while so many requests are always under way."""
    client = Client(port)
    until = time.perf_counter() + seconds
    done = 0

    async def keep_asking(first: int) -> None:
        nonlocal done
        n = first
        while time.perf_counter() < until:
            await client.ask(asked[n % len(asked)])
            done += 1
            n += at_once

    begun = time.perf_counter()
    await asyncio.gather(*(keep_asking(n) for n in range(at_once)))
    return round(done / (time.perf_counter() - begun), 1)


def main() -> None:
    """Measures and prints one JSON document."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--rate", type=float, default=80)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--route", default="everything")
    parser.add_argument("--least", type=int, default=40, help="Items that a record has at least")
    parser.add_argument("--port", type=int, default=8977)
    given = parser.parse_args()
    workspace = open_workspace(given.workspace)
    if workspace.settings.api.reads_per_minute < given.rate * 60:
        raise SystemExit("raise reads_per_minute under [api] in the workspace's settings first")
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "persons.csv"
        command = [sys.executable, "-m", "cli", "-w", str(given.workspace), "person", "export",
                   "--out", str(listed)]  # fmt: skip
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with listed.open(newline="") as stream:
            ids = sorted({PersonId(row["person_id"]) for row in csv.DictReader(stream)})
    found = readers(workspace, ids, 20, given.least)
    if not found:
        raise SystemExit(f"no record of {given.least} items is open to any member of staff")
    asked = requests(given.route, found)
    with serving(given.workspace, given.port, given.workers):
        timed = asyncio.run(open_loop(given.port, asked, given.rate, given.seconds))
        most = asyncio.run(saturation(given.port, asked, given.seconds / 2, 16))
    load = os.getloadavg()[0]
    print(json.dumps({"route": given.route, "workers": given.workers, "requests": len(asked),
                      "load_average": round(load, 1), **timed, "saturation_a_second": most},
                     indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
