"""How long reports take over a long log: one person's, and the monthly pack.

`python -m bench.audit_reports FOLDER [--month 2026-10]` on a database that `bench.audit_fill`
made. Rules:
- Each report is made in a process of its own: `written_s` is of the first, with what the system
  holds of the database's file put out of memory (SQLite), everything looked up that a report looks
  up, and the pages written. `again_s` is the quickest of three that follow. Starting the program
  is in neither.
- The persons asked about are made known first, with one record of twenty items each: others that
  the log names are nobody's.
- Each report adds its own event to the log.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.audit_fill import held_store, person
from schemas.dates import Instant
from schemas.identifiers import LocalId, PersonId, SourceId
from schemas.settings_file import parse_settings
from service.access import Actor
from service.audit_facts import collect
from service.audit_ports import AuditQuery
from service.audit_reports_asked import LogState
from service.audit_reports_desk import Desk, Wanted, make_report
from service.audit_reports_files import write_files
from service.runs import Fate
from store.sql_store import SqlStore
from tests.store_samples import client, item, load, one, publication, publish

NOW = Instant("2027-06-01T09:00:00Z")
REPORTS = ("person", "busiest", "person-own", "pack")
"""Whom the first and third are about was looked at as often as most; the second is about whom most
looked at."""
ITEMS = 20
SOURCE = SourceId("bench")


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
    """A desk over the bench's database; nobody vouches for its log."""
    settings = parse_settings('[partnership]\nname = "Bench"\n', "bench")
    return Desk(
        store=store, settings=settings, clock=lambda: NOW,
        actor=Actor("bench", "ig_officer", "audit"), log=lambda: LogState(0, "", "", 0),
        facts=lambda persons, *, names: collect(store, settings, persons, (), NOW, names=names),
    )  # fmt: skip


def asked_about(store: SqlStore) -> dict[str, PersonId]:
    """Whom each report is about, made known."""
    usual = person(1)
    for page in store.find_numbered(AuditQuery(limit=200)):
        usual = next((p for one in page for p in one.event.persons), usual)
    about = {"person": usual, "busiest": person(0), "person-own": usual}
    for name in sorted({*about.values()}):
        if store.resolve(name).fate is Fate.UNKNOWN:
            units = [one(client(name)), *(one(item(f"{name}-{n}", name)) for n in range(ITEMS))]
            load(store, units, f"{name}.csv", source=SOURCE)
            held = store.record(SOURCE, LocalId(name))
            assert held is not None
            number = held.record_id
            publish(store, publication(founded=[(name, number)], opened=[(number, name)]))
    return about


def put_out(folder: Path) -> None:
    """Has the system forget what it holds of the database's file, which nobody has open."""
    path = folder / "partnership.db"
    if path.exists():
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def alone(given: argparse.Namespace, name: str, *more: str) -> dict[str, Any]:
    """What a process of its own found of one report."""
    put_out(given.folder)
    command = [sys.executable, "-m", "bench.audit_reports", str(given.folder), "--one", name]
    command += ["--url", given.url] if given.url else []
    done = subprocess.run([*command, *more], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def first_and_again(store: SqlStore, wanted: Wanted, again: int) -> dict[str, float]:
    """The report as it is made first, and the quickest of those that follow."""
    desk = desk_of(store)
    first = timed(desk, wanted)
    more = [timed(desk, wanted)["written_s"] for _ in range(again)]
    return first | ({"again_s": min(more)} if more else {})


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """What each of the reports took."""
    store = held_store(given.folder, given.url)
    about, found = asked_about(store), dict[str, Any]()
    month = given.month
    if not month:
        counted = store.count_events(AuditQuery(), ("month",))
        month = max(counted, key=lambda key: counted[key])[0]
    events = store.event_count()
    store.close()
    for name in given.reports:
        more = ("--month", month) if name == "pack" else ("--person", about[name])
        found[name] = alone(given, name, *more)
    return found | {"events": events, "month": month}


def main() -> None:
    """Prints it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--url", help="of the database, where it is not the folder's own")
    parser.add_argument("--month", default="", help="of the pack; by default the busiest")
    parser.add_argument("--reports", nargs="*", default=REPORTS, choices=REPORTS)
    parser.add_argument("--one", choices=REPORTS, help="this one, here: what each process does")
    parser.add_argument("--person", help="whom it is about")
    given = parser.parse_args()
    if given.one is None:
        print(json.dumps(measured(given), indent=1))
        return
    store = held_store(given.folder, given.url)
    kind = "person" if given.one == "busiest" else given.one
    wanted = Wanted(kind, person=given.person, month=given.month or None)
    print(json.dumps(first_and_again(store, wanted, 0 if kind == "pack" else 3)))
    store.close()


if __name__ == "__main__":
    main()
