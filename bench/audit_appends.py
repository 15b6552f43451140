"""Durable appends to one log by writers of one process, or of several at once.

`python -m bench.audit_appends FOLDER --writers 4` is one process of several: it opens a log that
is held, says so, begins when it is given a line, and prints what each writer waited. Rules:
- Each writer waits for its own event's durability before it writes the next, as the API's requests
  do.
- An event that the database does not take in time is counted (`refused`): a partnership's goes to
  the second journal then, which the bench has none of.
- What is told of the processor is of the processes that write, not of the database's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import Any

from audit.events import AuditEvent, EventOutcome
from bench.audit_fill import held_store, person
from schemas.dates import Instant
from schemas.errors import LogFailed
from store.sql_store import SqlStore

WRITERS = 8
SECONDS = 8.0
RATE = 200


@dataclass(frozen=True)
class Written:
    """What writers did. Attributes: waits, held: seconds, of each append and each write lock;
    took: of the clock; worked: of the processor; refused: events that were not taken."""

    waits: list[float]
    held: list[float]
    took: float
    worked: float
    refused: int

    def figures(self) -> dict[str, float]:
        """A second, and how long one waited."""
        return {
            "a_second": round(len(self.waits) / self.took),
            "processor_us": round(self.worked / len(self.waits) * 1e6),
            "refused": self.refused,
            "together": round(len(self.waits) / len(self.held), 1),
            **spread("wait", self.waits),
            **spread("lock", self.held),
            "lock_most_ms": round(max(self.held) * 1e3, 1),
        }


def told(number: int) -> AuditEvent:
    """What opening a record tells."""
    return AuditEvent(
        at=Instant("2026-11-02T10:00:00Z"), action="everything", outcome=EventOutcome.PERMITTED,
        actor=f"ST{number % 97:05d}", role="gp", purpose="direct-care", organisation="ZZ01A",
        persons=(person(number % 9_973),),
        details={"issuer": "https://idp.example", "team": "T1", "policies": ["care-read"],
                 "shown": 40, "request": f"{number:032x}", "relationship": "registration"},
    )  # fmt: skip


def spread(name: str, seconds: list[float]) -> dict[str, float]:
    """Median and 99th of a hundred, in milliseconds."""
    cut = statistics.quantiles(seconds, n=100)
    return {f"{name}_p50_ms": round(cut[49] * 1e3, 2), f"{name}_p99_ms": round(cut[98] * 1e3, 2)}


def written(store: SqlStore, seconds: float, writers: int = WRITERS) -> Written:
    """Appends by so many threads for so long."""
    held: list[float] = []
    ways = {name: getattr(store.database, name) for name in ("writing", "alone")}

    @contextmanager
    def timed(way: Any, **given: int) -> Iterator[Any]:
        with way(**given) as conn:
            began = perf_counter()
            yield conn
        held.append(perf_counter() - began)  # the commit included

    for name, way in ways.items():
        setattr(store.database, name, partial(timed, way))
    waits: list[list[float]] = [[] for _ in range(writers)]
    refused: list[int] = []
    ends = perf_counter() + seconds

    def write(mine: list[float], number: int) -> None:
        while (began := perf_counter()) < ends:
            number += writers
            try:
                store.append_event(told(number))
            except LogFailed:
                refused.append(number)
            else:
                mine.append(perf_counter() - began)

    begun, worked = perf_counter(), process_time()
    threads = [threading.Thread(target=write, args=(mine, n)) for n, mine in enumerate(waits)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, worked = perf_counter() - begun, process_time() - worked
    for name, way in ways.items():
        setattr(store.database, name, way)
    return Written([one for mine in waits for one in mine], held, took, worked, len(refused))


def at_a_rate(store: SqlStore, seconds: float = SECONDS) -> dict[str, float]:
    """What one request waits for its event where `RATE` a second come in."""
    waits: list[float] = []
    refused: list[int] = []

    def one(number: int) -> None:
        began = perf_counter()
        try:
            store.append_event(told(number))
        except LogFailed:
            refused.append(number)
        else:
            waits.append(perf_counter() - began)

    threads = []
    begun = perf_counter()
    for number in range(int(RATE * seconds)):
        sleep(max(0.0, begun + number / RATE - perf_counter()))
        threads.append(threading.Thread(target=one, args=(number,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return {"rate": RATE, "refused": len(refused), **spread("wait", waits)}


def by_processes(folder: Path, url: str | None, processes: int, seconds: float) -> dict[str, float]:
    """Appends by `WRITERS` writers in so many processes at once, each with as many of them. The log
    is that of the folder. Requires: `processes` divides `WRITERS`."""
    writers = WRITERS // processes
    command = [sys.executable, "-m", "bench.audit_appends", str(folder)]
    command += ["--writers", str(writers), "--seconds", str(seconds)]
    command += ["--url", url] if url else []
    begun = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    for one in begun:
        assert one.stdout
        assert one.stdout.readline() == "ready\n", "it did not begin"
    for one in begun:
        assert one.stdin
        one.stdin.write("\n")
        one.stdin.flush()
    parts = [Written(**json.loads(one.communicate()[0])) for one in begun]
    assert not any(one.returncode for one in begun)
    whole = Written(
        waits=[wait for part in parts for wait in part.waits],
        held=[held for part in parts for held in part.held],
        took=max(part.took for part in parts),
        worked=sum(part.worked for part in parts),
        refused=sum(part.refused for part in parts),
    )
    return {"processes": processes, "writers_each": writers, **whole.figures()}


def main() -> None:
    """One process of several: see the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--url", help="of the database, where it is not the folder's own")
    parser.add_argument("--writers", type=int, default=WRITERS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    given = parser.parse_args()
    store = held_store(given.folder, given.url)
    store.append_event(told(0))  # what is loaded late is loaded before the others begin
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(vars(written(store, given.seconds, given.writers))))
    store.close()


if __name__ == "__main__":
    main()
