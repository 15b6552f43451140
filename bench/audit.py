"""`python -m bench.audit`: what the log costs: appends, and everything as the log grows.

Rules:
- Appends: 8 writers, each of whom waits for its own event's durability before it writes the next,
  as the API's requests do. SQLite on this disc, and PostgreSQL with `fsync` on. Seconds of the
  clock, and of this process's processor, because the machine may be shared.
- What a request waits: the time of one append, 99th of a hundred, at 8 at once and at a rate.
- The lock: the longest that any append held the write lock.
- Growth: appends, sequencing, proofs, checks, one person's report and the monthly pack of logs of
  growing size. `--sizes` are filled for it, `--held FOLDER` are logs that `bench.audit_fill` made:
  10,000,000 events take it a quarter of an hour and 8 GB. Measuring adds some events to them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import Any

import altair as alt
import pandas as pd
import psycopg

from audit.events import AuditEvent, EventOutcome
from bench.audit_fill import fill, held_store, new_store, person
from schemas.dates import Instant
from store.sql_store import SqlStore
from tests.postgres import fresh_database, running_server

RESULTS = Path(__file__).parent / "results"
WRITERS = 8
SECONDS = 8.0
RATE = 200
PICTURE = RESULTS.parent.parent / "docs" / "images" / "audit-growth.svg"


def told(number: int) -> AuditEvent:
    """What opening a record tells."""
    return AuditEvent(
        at=Instant("2026-11-02T10:00:00Z"), action="everything", outcome=EventOutcome.PERMITTED,
        actor=f"ST{number % 97:05d}", role="gp", purpose="direct-care", organisation="ZZ01A",
        persons=(person(number % 9_973),),
        details={"issuer": "https://idp.example", "team": "T1", "policies": ["care-read"],
                 "shown": 40, "request": f"{number:032x}", "relationship": "registration"},
    )  # fmt: skip


def appends(store: SqlStore, seconds: float = SECONDS) -> dict[str, float]:
    """Durable appends a second by `WRITERS` threads, and how long one waited."""
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
    waits: list[list[float]] = [[] for _ in range(WRITERS)]
    ends = perf_counter() + seconds

    def write(mine: list[float], number: int) -> None:
        while (began := perf_counter()) < ends:
            store.append_event(told(number))
            mine.append(perf_counter() - began)
            number += WRITERS

    begun, worked = perf_counter(), process_time()
    threads = [threading.Thread(target=write, args=(mine, n)) for n, mine in enumerate(waits)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, worked = perf_counter() - begun, process_time() - worked
    for name, way in ways.items():
        setattr(store.database, name, way)
    every = [one for mine in waits for one in mine]
    return {
        "a_second": round(len(every) / took),
        "processor_us": round(worked / len(every) * 1e6),
        "together": round(len(every) / len(held), 1),
        **_spread("wait", every),
        **_spread("lock", held),
        "lock_most_ms": round(max(held) * 1e3, 1),
    }


def at_a_rate(store: SqlStore, seconds: float = SECONDS) -> dict[str, float]:
    """What one request waits for its event where `RATE` a second come in."""
    waits: list[float] = []

    def one(number: int) -> None:
        began = perf_counter()
        store.append_event(told(number))
        waits.append(perf_counter() - began)

    threads = []
    begun = perf_counter()
    for number in range(int(RATE * seconds)):
        sleep(max(0.0, begun + number / RATE - perf_counter()))
        threads.append(threading.Thread(target=one, args=(number,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return {"rate": RATE, **_spread("wait", waits)}


def _spread(name: str, seconds: list[float]) -> dict[str, float]:
    cut = statistics.quantiles(seconds, n=100)
    return {f"{name}_p50_ms": round(cut[49] * 1e3, 2), f"{name}_p99_ms": round(cut[98] * 1e3, 2)}


def growth(folder: Path) -> dict[str, Any]:
    """A log that was filled, measured: a row of the table. Each part in a process of its own, so
    that its memory is told apart; the appends last, because they make the log longer."""
    checked = _told_by("bench.audit_verify", folder)
    answered = _told_by("bench.audit_reports", folder)
    store = held_store(folder)
    row: dict[str, Any] = {"events": checked["events"]}
    row["bytes_an_event"] = round((folder / "partnership.db").stat().st_size / row["events"])
    appended = appends(store, 3.0)
    store.close()
    row |= {f"append_{name}": appended[name] for name in ("a_second", "wait_p50_ms", "wait_p99_ms")}
    if checked["sequenced"] == checked["events"]:  # not of a tree that was there before
        row["sequenced_a_second"] = round(checked["events"] / max(checked["sequence_s"], 0.01))
    row |= {name: checked[name] for name in ("verify_s", "verify_cpu_s", "files_alone_s", "sound")}
    row["verify_mb"] = checked["peak_mb"]
    row |= {name: checked[f"{name}_median_ms"] for name in ("inclusion", "consistency", "check")}
    for name in ("person", "busiest", "pack"):
        row |= {f"{name}_{what}": answered[name][what] for what in ("made_s", "entries")}
    row |= {f"pack_{what}": answered["pack"][what] for what in ("written_s", "cpu_s", "peak_mb")}
    return row


def _told_by(module: str, folder: Path) -> dict[str, Any]:
    """What a bench prints of a folder."""
    command = [sys.executable, "-m", module, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


WAITED = {
    "append_wait_p50_ms": ("an append, 8 at once", 1e-3), "inclusion": ("a proof", 1e-3),
    "person_made_s": ("one person's report", 1.0), "busiest_made_s": ("the busiest person's", 1.0),
    "pack_written_s": ("the monthly pack", 1.0), "files_alone_s": ("check of the files", 1.0),
    "verify_s": ("check of everything", 1.0),
}  # fmt: skip
"""Figure of a row → what somebody waited for, and what turns it into seconds."""


def plot(rows: list[dict[str, Any]], picture: Path) -> None:
    """Seconds against events, both by powers of ten."""
    told = [
        {"events": row["events"], "what": what, "seconds": max(row[name] * unit, 1e-4)}
        for row in rows
        for name, (what, unit) in WAITED.items()
    ]
    power = alt.Scale(type="log", nice=False)
    chart = (
        alt.Chart(pd.DataFrame(told), title="How long one waits for the audit log as it grows")
        .mark_line(point=True)
        .encode(
            x=alt.X("events", scale=power, title="events in the log", axis=alt.Axis(format="~s")),
            y=alt.Y("seconds", scale=power, axis=alt.Axis(format="~g")),
            color=alt.Color("what", title=None, sort=[what for what, _ in WAITED.values()]),
        )
        .properties(width=520, height=340)
    )
    chart.save(picture)


def main() -> None:
    """Measures, prints, and keeps the figures in bench/results/audit.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--held", type=Path, nargs="*", default=[], help="logs that were filled")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--only", choices=["appends", "growth"])
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    folder = Path(tempfile.mkdtemp(prefix="commonthread-bench-", dir=RESULTS.parent))
    try:
        if options.only != "growth":
            figures |= _appends(folder, options.seconds)
        if options.only != "appends":
            figures["growth"] = _grown(folder, options.sizes, options.held)
            plot(figures["growth"], PICTURE)
    finally:
        shutil.rmtree(folder)
    print(json.dumps(figures, indent=1))
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / "audit.json"
    held = json.loads(kept.read_text()) if kept.exists() else {}
    kept.write_text(json.dumps(held | figures, indent=1) + "\n")


def _grown(folder: Path, sizes: list[int], held: list[Path]) -> list[dict[str, Any]]:
    """A row for each log, the shortest first."""
    rows = []
    for size in sizes:
        store = new_store(folder / str(size))
        fill(store.database, size)
        store.close()
        rows.append(growth(folder / str(size)))
        print(json.dumps(rows[-1]), flush=True)
        shutil.rmtree(folder / str(size))
    for log in held:
        rows.append(growth(log))
        print(json.dumps(rows[-1]), flush=True)
    return sorted(rows, key=lambda row: row["events"])


def _appends(folder: Path, seconds: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    store = new_store(folder / "sqlite")
    found["sqlite"] = appends(store, seconds) | {"at_a_rate": at_a_rate(store, seconds)}
    store.close()
    with running_server() as uri:
        with psycopg.connect(uri, autocommit=True) as admin:
            admin.execute("ALTER SYSTEM SET fsync = on")
            admin.execute("SELECT pg_reload_conf()")
        with fresh_database(uri) as url:
            store = new_store(folder / "postgresql", url)
            found["postgresql"] = appends(store, seconds) | {"at_a_rate": at_a_rate(store, seconds)}
            store.close()
    return found


if __name__ == "__main__":
    main()
