"""Load on the API: requests on a schedule (open loop), or as many as it takes; CPU by process."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psutil

PORT = 8977
CONNECTIONS = 48
"""Kept open: those of so many readers, whichever worker accepted each."""


class Client:
    """Keeps connections open and asks over them in turn, as many readers would; no more HTTP than
    the bench needs."""

    def __init__(self) -> None:
        self._idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()

    async def open(self, asked: list[bytes]) -> None:
        """Opens the connections, each with a request."""
        await asyncio.gather(*(self.ask(asked[n % len(asked)]) for n in range(CONNECTIONS)))

    async def ask(self, request: bytes) -> tuple[int, int]:
        """Status and length of the answer."""
        opened = self._idle.popleft() if self._idle else None
        reader, writer = opened or await asyncio.open_connection("127.0.0.1", PORT)
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


def get(path: str, token: str) -> bytes:
    """A GET."""
    return _request("GET", path, token, "", b"")


def post(path: str, token: str, kind: str, body: bytes) -> bytes:
    """A POST."""
    return _request("POST", path, token, f"Content-Type: {kind}\r\n", body)


def _request(method: str, path: str, token: str, more: str, body: bytes) -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n{more}"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def open_loop(
    asked: list[bytes], rate: float, seconds: float, lasts: Callable[[], bool] | None = None
) -> dict[str, Any]:
    """Latencies in milliseconds of requests that arrive at a steady rate, each timed from when it
    was due.

    Args: `lasts`: goes on while this holds, instead of so many seconds.
    """
    client = Client()
    await client.open(asked)
    took: list[float] = []
    statuses: dict[int, int] = {}
    lengths: list[int] = []

    async def one(due: float, request: bytes) -> None:
        status, length = await client.ask(request)
        took.append((time.perf_counter() - due) * 1_000)
        statuses[status] = statuses.get(status, 0) + 1
        lengths.append(length)

    begun, tasks, n = time.perf_counter(), [], 0
    while lasts() if lasts else n < rate * seconds:
        due = begun + n / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due, asked[n % len(asked)])))
        n += 1
    await asyncio.gather(*tasks)
    took.sort()
    return {
        "rate": rate,
        "requests": len(took),
        "answered_a_second": round(len(took) / (time.perf_counter() - begun), 1),
        "p50_ms": round(took[len(took) // 2], 1),
        "p99_ms": round(took[int(len(took) * 0.99)], 1),
        "statuses": statuses,
        "bytes": round(sum(lengths) / len(lengths)),
    }


async def saturation(asked: list[bytes], seconds: float, at_once: int = 16) -> dict[str, Any]:
    """Answers a second while so many requests are always under way."""
    client = Client()
    await client.open(asked)
    begun = time.perf_counter()
    done = 0

    async def keep_asking(first: int) -> None:
        nonlocal done
        n = first
        while time.perf_counter() < begun + seconds:
            await client.ask(asked[n % len(asked)])
            done += 1
            n += at_once

    await asyncio.gather(*(keep_asking(n) for n in range(at_once)))
    passed = time.perf_counter() - begun
    return {"requests": done, "saturation_a_second": round(done / passed, 1)}


class Spent:
    """CPU seconds of groups of processes since this was made; the bench itself is `generator`."""

    def __init__(self, groups: Mapping[str, int]) -> None:
        """Args: group → id of its first process; its children count with it."""
        self._groups = dict(groups)
        self._before = self._now()

    def per_request(self, requests: int) -> dict[str, float]:
        """Milliseconds of CPU that each request cost, by group."""
        now = self._now()
        return {
            name: round((seconds - self._before[name]) * 1_000 / requests, 2)
            for name, seconds in now.items()
        }

    def _now(self) -> dict[str, float]:
        found = {name: _seconds(_family(first)) for name, first in self._groups.items()}
        return found | {"generator": time.process_time()}


def _family(first: int) -> Iterable[psutil.Process]:
    parent = psutil.Process(first)
    return [parent, *parent.children(recursive=True)]


def _seconds(processes: Iterable[psutil.Process]) -> float:
    total = 0.0
    for one in processes:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total
