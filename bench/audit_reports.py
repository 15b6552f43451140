"""How long reports take over a long log: one person's, and the monthly pack.

`python -m bench.audit_reports FOLDER [--month 2026-10]` on a database that `bench.audit_fill`
made. It prints seconds and peak memory; the pack is made, drawn and written whole. Each report adds
its own event to the log.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from audit.detect_facts import Facts
from bench.audit_fill import held_store, person
from schemas.dates import Instant
from schemas.settings_file import parse_settings
from service import audit_reports_desk
from service.access import Actor
from service.audit_ports import AuditQuery
from service.audit_reports_asked import LogState
from service.audit_reports_desk import Desk, Wanted, make_report
from service.audit_reports_files import write_files
from store.sql_store import SqlStore

NOW = Instant("2027-06-01T09:00:00Z")
REPORTS = ("person", "busiest", "person-own", "pack")
"""Whom the first and third are about was looked at as often as most; the second is about whom most
looked at."""


def timed(desk: Desk, wanted: Wanted) -> dict[str, float]:
    """One report, made and written."""
    began, worked = time.perf_counter(), time.process_time()
    report, asked = make_report(desk, wanted)
    made = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as out:
        files = write_files(Path(out), report, asked, ("html", "csv", "json"))
        size = sum(path.stat().st_size for path in files)
    return {
        "made_s": round(made, 3),
        "written_s": round(time.perf_counter() - began, 3),
        "cpu_s": round(time.process_time() - worked, 3),
        "entries": report.leaves().count,
        "files_mb": round(size / 1e6, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def desk_of(store: SqlStore) -> Desk:
    """A desk of which the log alone is known: the bench has no persons and no alerts."""
    return Desk(
        store=store, settings=parse_settings('[partnership]\nname = "Bench"\n', "bench"),
        clock=lambda: NOW, actor=Actor("bench", "ig_officer", "audit"),
        log=lambda: LogState(0, "", "", 0),
        facts=lambda persons, *, names: Facts(),  # noqa: ARG005 - of a log without persons
    )  # fmt: skip


def measured(store: SqlStore, names: tuple[str, ...], month: str) -> dict[str, Any]:
    """What each of these reports took; those of a person three times, the quickest."""
    desk, found = desk_of(store), dict[str, Any]()
    counted = store.count_events(AuditQuery(), ("month",))
    busiest = max(counted, key=lambda key: counted[key])[0]
    usual = person(1)
    for page in store.find_numbered(AuditQuery(limit=200)):
        usual = next((p for one in page for p in one.event.persons), usual)
    for name in names:
        if name == "pack":
            found[name] = timed(desk, Wanted(name, month=month or busiest))
            continue
        about = person(0) if name == "busiest" else usual
        # Whose looks are told is asked of the log alone.
        known = (about, frozenset({about}))
        with patch.object(audit_reports_desk, "_person", lambda *_, known=known: known):
            wanted = Wanted("person" if name == "busiest" else name, person=about)
            every = [timed(desk, wanted) for _ in range(3)]
        found[name] = min(every, key=lambda one: one["made_s"])
    return found | {"events": store.event_count(), "month": month or busiest}


def main() -> None:
    """Prints it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--url", help="of the database, where it is not the folder's own")
    parser.add_argument("--month", default="", help="of the pack; by default the busiest")
    parser.add_argument("--reports", nargs="*", default=REPORTS, choices=REPORTS)
    given = parser.parse_args()
    store = held_store(given.folder, given.url)
    print(json.dumps(measured(store, tuple(given.reports), given.month), indent=1))
    store.close()


if __name__ == "__main__":
    main()
