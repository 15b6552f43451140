"""A FHIR server in a thread, over HTTP: it pages as it is told, and fails when it is told to."""

from __future__ import annotations

import json
import operator
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

JSON = "application/fhir+json; charset=utf-8"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FhirServer

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(self.server.moment, usegmt=True)

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Type": JSON} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.asked.append(self.path)
            server.tokens.append(self.headers.get("Authorization"))
            fault = server.faults.pop(len(server.asked), server.always)
        if fault is not None and not fault(self):
            return
        if server.token is not None and self.headers.get("Authorization") != server.token:
            self.send(401, outcome("login"))
            return
        self.send(200, json.dumps(server.page(self.path)).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.posted.append((self.headers["Authorization"], body))
        self.send(*self.server.issue())


Fault = Callable[[Handler], bool | None]
"""What happens instead of an answer; true: the answer comes as well."""


class FhirServer(ThreadingHTTPServer):
    """The server; its resources are `held`, by type and then id.

    Pages are counted off afresh each time.

    Attributes:
        sorts: whether it puts them in the order that is asked for; or as they came.
        asked, tokens: what was asked for, and with which Authorization.
        faults: by the number of the request, from 1; always: of every other.
        moment: its clock.
        token: the Authorization that it wants.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.held: dict[str, dict[str, dict[str, Any]]] = {}
        self.asked: list[str] = []
        self.tokens: list[str | None] = []
        self.posted: list[tuple[str, str]] = []
        self.faults: dict[int, Fault] = {}
        self.always: Fault | None = None
        self.moment = datetime(2026, 3, 1, tzinfo=UTC)
        self.token: str | None = None
        self.sorts = True
        self.issue: Callable[[], tuple[int, bytes]] = lambda: (404, b"")
        self.lock = threading.Lock()
        self.change: Callable[[dict[str, Any]], None] = lambda _: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/r4"

    def put(self, kind: str, id_: str, changed: datetime, **fields: Any) -> None:
        stamp = changed.strftime("%Y-%m-%dT%H:%M:%SZ")
        resource = {"resourceType": kind, "id": id_, "meta": {"lastUpdated": stamp}, **fields}
        self.held.setdefault(kind, {})[id_] = resource

    def page(self, path: str) -> dict[str, Any]:
        """The page that an address names: a search, or a place in one."""
        parts = urlsplit(path)
        asked = parse_qs(parts.query)
        kind = parts.path.removeprefix("/r4/")
        found = list(self.held.get(kind, {}).values())
        for bound in asked.get("_lastUpdated", []):
            inside = {"ge": operator.ge, "lt": operator.lt}[bound[:2]]
            found = [one for one in found if inside(one["meta"]["lastUpdated"], bound[2:])]
        if self.sorts:
            backwards = asked["_sort"] == ["-_lastUpdated"]
            found.sort(key=lambda one: one["meta"]["lastUpdated"], reverse=backwards)
        begin, size = int(asked.get("_offset", ["0"])[0]), int(asked["_count"][0])
        rest = found[begin + size :]
        link = [{"relation": "self", "url": f"{self.url}/{kind}?{parts.query}"}]
        if rest:
            kept = {name: values for name, values in asked.items() if name != "_offset"}
            query = urlencode(kept | {"_offset": begin + size}, doseq=True)
            link.append({"relation": "next", "url": f"{self.url}/{kind}?{query}"})
        entries = [
            {"fullUrl": f"{self.url}/{kind}/{r['id']}", "resource": r, "search": {"mode": "match"}}
            for r in found[begin : begin + size]
        ]
        bundle = {"resourceType": "Bundle", "type": "searchset", "link": link, "entry": entries}
        self.change(bundle)
        return bundle


@contextmanager
def fhir_server() -> Iterator[FhirServer]:
    with FhirServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def outcome(code: str, words: str = "Mr Pemberton-Smythe is not known") -> bytes:
    issue = {"severity": "error", "code": code, "diagnostics": words, "details": {"text": words}}
    return json.dumps({"resourceType": "OperationOutcome", "issue": [issue]}).encode()


def says(status: int, body: bytes = b"{}", **headers: str) -> Fault:
    """An answer of that kind."""
    return lambda handler: handler.send(status, body, **headers)


def breaks_off(handler: Handler) -> None:
    """The connection ends amid the page."""
    handler.send_response(200)
    handler.send_header("Content-Type", JSON)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(b'{"resourceType":"Bundle","type":"searchset","entry":[{"resource":')
    handler.close_connection = True
