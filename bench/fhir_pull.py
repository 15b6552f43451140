"""How fast a FHIR server is pulled, and what comes of it stored.

`python -m bench.fhir_pull`: patients with a condition each, from a server on this machine whose
pages are ready. Two figures: resources a second of the clock until the files are there, and until
all is stored.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

from adapters.inbox import find_feeds
from adapters.interfaces import collector_of
from adapters.registry import READERS
from schemas.dates import Instant, to_instant
from schemas.settings_file import parse_settings
from service.ingest import ingest
from store.sql_store import open_store
from tests.blank import blank_keys, blank_sqlite

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def _resource(kind: str, n: int) -> dict[str, Any]:
    meta = {"lastUpdated": (BEGUN + timedelta(seconds=n)).isoformat()}
    if kind == "Patient":
        return {
            "resourceType": kind, "id": f"P{n}", "meta": meta, "gender": "female",
            "name": [{"family": f"Smith{n % 5_000}", "given": [f"Ann{n % 300}"]}],
            "birthDate": (BEGUN - timedelta(days=n % 30_000)).date().isoformat(),
            "address": [{"line": [f"{n % 200} High Street"], "city": "Bristol",
                         "postalCode": "BS1 5TR"}],
            "telecom": [{"system": "phone", "value": f"0117 496 {n % 10_000:04}"}],
        }  # fmt: skip
    code = {"system": "http://snomed.info/sct", "code": "195967001", "display": "Asthma"}
    return {
        "resourceType": kind, "id": f"C{n}", "meta": meta, "code": {"coding": [code]},
        "subject": {"reference": f"Patient/P{n}"}, "recordedDate": "2020-05-17",
    }  # fmt: skip


def _serve(told: Connection, people: int, size: int) -> None:
    """A server whose pages are ready before it tells its port."""
    pages: dict[tuple[str, int], bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            body = pages[parts.path[1:], int(parse_qs(parts.query).get("page", ["0"])[0])]
            self.send_response(200)
            self.send_header("Content-Type", "application/fhir+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    for kind in ("Patient", "Condition"):
        for page, at in enumerate(range(0, people, size)):
            held = [_resource(kind, n) for n in range(at, min(at + size, people))]
            bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
            if at + size < people:
                bundle["link"] = [{"relation": "next", "url": f"/{kind}?page={page + 1}"}]
            entries = [{"resource": one, "search": {"mode": "match"}} for one in held]
            pages[kind, page] = json.dumps(bundle | {"entry": entries}).encode()
    told.send(server.server_address[1])
    server.serve_forever()


def _pulled(port: int, root: Path, size: int) -> tuple[float, float]:
    """Seconds until the files are there, and until all is stored."""
    said = parse_settings(
        "[partnership]\nname = 'P'\n[[organisation]]\ncode = 'A1A1A'\nname = 'A'\nkind = 'k'\n"
        "[[source]]\nid = 'wards'\nname = 'W'\nformat = 'fhir'\norganisations = 'A1A1A'\n"
        f"[source.interface]\nkind = 'fhir'\nurl = 'http://127.0.0.1:{port}'\n"
        f"page_size = {size}\nresources = ['Patient', 'Condition']\n"
    )
    said = replace(said, limits=replace(said.limits, settle_seconds=0))
    (source,) = said.sources
    inbox = root / "inbox"
    (inbox / source.id).mkdir(parents=True)

    def clock() -> Instant:
        return to_instant(datetime.now(UTC))

    keys = blank_keys(root / "keys")
    store = open_store(blank_sqlite(root / "store.db"), keys)
    began = perf_counter()
    collector_of(source, root, inbox, clock, said.limits).collect()
    there = perf_counter()
    (report,) = ingest(store, said, inbox, READERS, find_feeds, clock)
    stored = perf_counter()
    print("  ", {str(outcome): count for outcome, count in report.counts.items() if count})
    store.close()
    keys.close()
    return there - began, stored - began


def main() -> None:
    """Pulls with pages of several sizes, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=20_000)
    people = parser.parse_args().people
    rows = []
    for size in (100, 1_000):
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.Process(target=_serve, args=(theirs, people, size), daemon=True)
        server.start()
        with tempfile.TemporaryDirectory(prefix="commonthread-bench-") as folder:
            there, stored = _pulled(ours.recv(), Path(folder), size)
        server.terminate()
        server.join()
        rows.append((size, 2 * people / there, 2 * people / stored))
    print(f"\n{2 * people:,} resources, load {os.getloadavg()[0]:.1f}\n")
    print("| page | resources/s to files | resources/s to stored |\n|---|---|---|")
    for size, to_files, to_stored in rows:
        print(f"| {size:,} | {to_files:,.0f} | {to_stored:,.0f} |")


if __name__ == "__main__":
    main()
