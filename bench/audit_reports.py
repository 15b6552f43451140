"""How long reports take over a long log: one person's, and the monthly pack.

`python -m bench.audit_reports FOLDER [--month 2026-10]` on a database that `bench.audit_fill`
made. It prints seconds and peak memory; the pack is made, drawn and written whole.
The 10,000,000 run: `python -m bench.audit_fill FOLDER 10000000`, then this.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from audit.detect_facts import Facts
from bench.audit_fill import new_store, person
from schemas.dates import Instant
from schemas.settings_file import parse_settings
from service.access import Actor
from service.audit_ports import AuditQuery
from service.audit_reports_asked import LogState
from service.audit_reports_desk import REPORTS, Desk, Wanted, make_report
from service.audit_reports_files import write_files
from store.keyring import KEY_FILE, FileKey, open_keyring
from store.sql_store import open_store

NOW = Instant("2027-06-01T09:00:00Z")


def opened(folder: Path) -> Any:
    """The store of a folder that was filled before; a new one where there is none."""
    if not (folder / "partnership.db").exists():
        return new_store(folder)
    ring = open_keyring(folder / "keys", FileKey(folder / "keys" / KEY_FILE))
    return open_store(f"sqlite:///{folder}/partnership.db", ring)


def timed(desk: Desk, wanted: Wanted) -> None:
    """One report, made and written; its line."""
    began, worked = time.perf_counter(), time.process_time()
    report, asked = make_report(desk, wanted)
    made = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as out:
        files = write_files(Path(out), report, asked, ("html", "csv", "json"))
        size = sum(path.stat().st_size for path in files)
    total, work = time.perf_counter() - began, time.process_time() - worked
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{wanted.name:12} made {made:7.2f} s, written {total:7.2f} s ({work:.2f} s of CPU),"
        f" {report.leaves().count:>9,} entries behind it, {size / 1e6:.1f} MB of files,"
        f" peak {memory:,.0f} MB",
        flush=True,
    )


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--month", default="")
    parser.add_argument("--reports", nargs="*", default=["person", "person-own", "pack"])
    given = parser.parse_args()
    store = opened(given.folder)
    settings = parse_settings('[partnership]\nname = "Bench"\n', "bench")
    desk = Desk(
        store=store, settings=settings, clock=lambda: NOW,
        actor=Actor("bench", "ig_officer", "audit"), log=lambda: LogState(0, "", "", 0),
        facts=lambda persons, *, names: Facts(),  # noqa: ARG005 - of a log without persons
    )  # fmt: skip
    counted = store.count_events(AuditQuery(), ("month",))
    busiest = max(counted, key=lambda key: counted[key])[0]
    print(f"{sum(counted.values()):,} events; the busiest month {busiest} has"
          f" {counted[(busiest,)]:,}", flush=True)  # fmt: skip
    about = person(1)
    for page in store.find_numbered(AuditQuery(limit=200)):
        about = next((p for one in page for p in one.event.persons), about)
    for name in given.reports:
        monthly = None if REPORTS[name].needs == "person" else given.month or busiest
        # The bench has no persons: whose looks are told is asked of the log alone.
        if REPORTS[name].needs == "person":
            _person(desk, name, about)
        else:
            timed(desk, Wanted(name, month=monthly))
    store.close()


def _person(desk: Desk, name: str, about: str) -> None:
    """A report of one person, whose id the log alone knows."""
    from unittest.mock import patch  # noqa: PLC0415 - only here

    from service import audit_reports_desk  # noqa: PLC0415 - only here

    known = patch.object(audit_reports_desk, "_person", lambda *_: (about, frozenset({about})))
    with known:
        for _ in range(3):
            timed(desk, Wanted(name, person=about))


if __name__ == "__main__":
    main()
