"""`python -m bench.audit`: what the log costs: appends, requests, reports, and growth.

Rules:
- Appends: 8 writers, each of whom waits for its own event's durability before it writes the next,
  as the API's requests do. SQLite on this disc, and PostgreSQL with `fsync` on. Seconds of the
  clock, and of this process's processor, because the machine may be shared.
- What a request waits: the time of one append, 99th of a hundred, at 8 at once and at a rate.
- The lock: the longest that any append held the write lock.
- One person: every event about them, opened, in logs of growing size. Also a month's counts.
- Growth: `--sizes 10000 100000 1000000`; 10,000,000 takes a quarter of an hour to fill and 6 GB.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import Any

import altair as alt
import pandas as pd
import psycopg

from audit.events import AuditEvent, EventOutcome
from bench.audit_fill import PER_PERSON, fill, new_store, person
from schemas.dates import Instant
from service.audit_ports import AuditQuery
from store.sql_store import SqlStore
from tests.postgres import fresh_database, running_server

RESULTS = Path(__file__).parent / "results"
WRITERS = 8
SECONDS = 8.0
RATE = 200
MONTH = (Instant("2026-03-01T00:00:00Z"), Instant("2026-04-01T00:00:00Z"))


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
    writing = store.database.writing

    @contextmanager
    def timed(**given: int) -> Iterator[Any]:
        with writing(**given) as conn:
            began = perf_counter()
            yield conn
        held.append(perf_counter() - began)  # the commit included

    store.database.writing = timed  # type: ignore[method-assign]
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
    store.database.writing = writing  # type: ignore[method-assign]
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


def reports(store: SqlStore, events: int) -> dict[str, float]:
    """One person's events, a busy one's and a usual one's, and a month's counts, in seconds."""
    usual = person(max(events // PER_PERSON, 40) // 2)
    found: dict[str, float] = {}
    for name, whom in (("busiest_person", person(0)), ("usual_person", usual)):
        query = AuditQuery(person=whom)
        found[name], count = _timed(lambda query=query: sum(map(len, store.find_numbered(query))))
        found[f"{name}_events"] = count
    month = AuditQuery(since=MONTH[0], until=MONTH[1])
    found["month_counts"], _ = _timed(lambda: len(store.count_events(month, ("action", "day"))))
    found["month_columns"], rows = _timed(
        lambda: sum(b.num_rows for b in store.event_columns(month))
    )
    found["month_events"] = rows
    return found


def _timed(what: Callable[[], int]) -> tuple[float, int]:
    began = perf_counter()
    count = what()
    return round(perf_counter() - began, 3), count


def growth(folder: Path, sizes: list[int]) -> list[dict[str, Any]]:
    """The same log, filled on from size to size."""
    store = new_store(folder)
    rows: list[dict[str, Any]] = []
    events = 0
    for size in sizes:
        seconds, _ = _timed(lambda more=size - events: fill(store.database, more) or 0)
        done, events = size - events, size
        row: dict[str, Any] = {"events": events, "fill_a_second": round(done / seconds)}
        row |= reports(store, events)
        row |= {f"append_{k}": v for k, v in appends(store, 3.0).items()}
        row["bytes_an_event"] = round((folder / "partnership.db").stat().st_size / events)
        events = store.event_count()
        rows.append(row)
        print(json.dumps(row))
    store.close()
    return rows


def plot(rows: list[dict[str, Any]]) -> None:
    """Seconds against events, both by powers of ten."""
    names = ["busiest_person", "usual_person", "month_counts", "month_columns"]
    table = pd.DataFrame(rows).melt("events", names, "what", "seconds")
    table["seconds"] = table["seconds"].clip(lower=0.001)
    chart = (
        alt.Chart(table, title="Answers from the audit log")
        .mark_line(point=True)
        .encode(
            x=alt.X("events", scale=alt.Scale(type="log"), title="events in the log"),
            y=alt.Y("seconds", scale=alt.Scale(type="log")),
            color="what",
        )
    )
    chart.save(RESULTS / "audit.svg")


def main() -> None:
    """Measures, prints, and keeps the figures in bench/results/audit.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--only", choices=["appends", "growth"])
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    folder = Path(tempfile.mkdtemp(prefix="commonthread-bench-", dir=RESULTS.parent))
    try:
        if options.only != "growth":
            figures |= _appends(folder, options.seconds)
        if options.only != "appends":
            figures["growth"] = growth(folder / "growth", options.sizes)
            plot(figures["growth"])
    finally:
        shutil.rmtree(folder)
    print(json.dumps(figures, indent=1))
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / "audit.json"
    held = json.loads(kept.read_text()) if kept.exists() else {}
    kept.write_text(json.dumps(held | figures, indent=1) + "\n")


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
