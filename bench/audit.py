"""`python -m bench.audit`: what the log costs: appends, and everything as the log grows.

Rules:
- Appends: 8 writers, each of whom waits for its own event's durability before it writes the next,
  as the API's requests do. SQLite on this disc, and PostgreSQL with `fsync` on. Seconds of the
  clock, and of this process's processor, because the machine may be shared.
- What a request waits: the time of one append, 99th of a hundred, at 8 at once and at a rate.
- The lock: the longest that any append held the write lock.
- `--processes N`: the same 8 writers in N processes at once, as workers of `serve` are.
- Growth: appends, sequencing, proofs, checks, one person's report and the monthly pack of logs of
  growing size. `--sizes` are filled for it, `--held FOLDER` are logs that `bench.audit_fill` made:
  10,000,000 events take it a quarter of an hour and 8 GB. Measuring adds some events to them.
- `--only picture` draws docs/images/audit-growth.svg from what was kept; `growth` draws it too.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import psycopg

from bench.audit_appends import SECONDS, WRITERS, at_a_rate, by_processes, written
from bench.audit_fill import fill, held_store, new_store
from tests.postgres import fresh_database, running_server

RESULTS = Path(__file__).parent / "results"
PICTURE = RESULTS.parent.parent / "docs" / "images" / "audit-growth.svg"


def growth(folder: Path) -> dict[str, Any]:
    """A log that was filled, measured: a row of the table. Each part in a process of its own, so
    that its memory is told apart; the appends last, because they make the log longer."""
    checked = _told_by("bench.audit_verify", folder)
    answered = _told_by("bench.audit_reports", folder)
    store = held_store(folder)
    row: dict[str, Any] = {"events": checked["events"]}
    row["bytes_an_event"] = round((folder / "partnership.db").stat().st_size / row["events"])
    appended = written(store, 3.0).figures()
    store.close()
    row |= {f"append_{name}": appended[name] for name in ("a_second", "wait_p50_ms", "wait_p99_ms")}
    if checked["sequenced"] == checked["events"]:  # not of a tree that was there before
        row["sequenced_a_second"] = round(checked["events"] / max(checked["sequence_s"], 0.01))
    row |= {name: checked[name] for name in ("verify_s", "verify_cpu_s", "files_alone_s", "sound")}
    row["verify_mb"] = checked["peak_mb"]
    for name in ("inclusion", "consistency", "check"):
        row |= {f"{name}_{what}_ms": checked[f"{name}_{what}_ms"] for what in ("median", "worst")}
    for name in ("person", "busiest", "pack"):
        row |= {f"{name}_{what}": answered[name][what] for what in ("written_s", "entries")}
    row |= {f"{name}_again_s": answered[name]["again_s"] for name in ("person", "busiest")}
    row |= {f"pack_{what}": answered["pack"][what] for what in ("cpu_s", "peak_mb")}
    return row


def _told_by(module: str, folder: Path) -> dict[str, Any]:
    """What a bench prints of a folder."""
    command = [sys.executable, "-m", module, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


WAITED = {
    "append_wait_p50_ms": ("an append, 8 at once", 1e-3),
    "append_wait_p99_ms": ("99th of a hundred appends", 1e-3),
    "inclusion_median_ms": ("a proof", 1e-3),
    "inclusion_worst_ms": ("the slowest of 200 proofs", 1e-3),
    "person_written_s": ("one person's report, cold", 1.0),
    "busiest_written_s": ("the busiest person's, cold", 1.0),
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
    fits = [n for n in range(1, WRITERS + 1) if WRITERS % n == 0]
    parser.add_argument("--processes", type=int, choices=fits, default=1)
    parser.add_argument("--only", choices=["appends", "growth", "picture"])
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / "audit.json"
    held = json.loads(kept.read_text()) if kept.exists() else {}
    if options.only == "picture":
        plot(held["growth"], PICTURE)
        return
    figures: dict[str, Any] = {}
    folder = Path(tempfile.mkdtemp(prefix="commonthread-bench-", dir=RESULTS.parent))
    try:
        if options.only != "growth":
            name = "appends" if options.processes == 1 else f"appends_of_{options.processes}"
            figures[name] = _appends(folder, options.seconds, options.processes)
        if options.only != "appends":
            figures["growth"] = _grown(folder, options.sizes, options.held)
            plot(figures["growth"], PICTURE)
    finally:
        shutil.rmtree(folder)
    print(json.dumps(figures, indent=1))
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


def _appends(folder: Path, seconds: float, processes: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    found["sqlite"] = _measured(folder / "sqlite", None, seconds, processes)
    with running_server() as uri:
        with psycopg.connect(uri, autocommit=True) as admin:
            admin.execute("ALTER SYSTEM SET fsync = on")
            admin.execute("SELECT pg_reload_conf()")
        with fresh_database(uri) as url:
            found["postgresql"] = _measured(folder / "postgresql", url, seconds, processes)
    return found


def _measured(folder: Path, url: str | None, seconds: float, processes: int) -> dict[str, Any]:
    store = new_store(folder, url)
    try:
        if processes > 1:
            return by_processes(folder, url, processes, seconds)
        return written(store, seconds).figures() | {"at_a_rate": at_a_rate(store, seconds)}
    finally:
        store.close()


if __name__ == "__main__":
    main()
