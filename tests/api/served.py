"""A demo workspace served over HTTP, by the real server in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from click.testing import CliRunner

from api.demo_issuer import SCOPES, mint
from cli import commonthread
from consent.roles import role_of_directory
from schemas.records import StaffEntry
from tests.api.real_provider import free_port
from tests.api.valid import valid
from wiring import Workspace


def run(root: Path, *words: str) -> str:
    """A command in the workspace, which must end well."""
    done = CliRunner().invoke(commonthread, ["-w", str(root), *words])
    assert done.exit_code == 0, f"{words}: {done.output} {done.exception!r}"
    return done.stdout


@contextmanager
def listening(app: Any) -> Iterator[str]:
    """The application, served until the end, at this address."""
    port = free_port()
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="warning", access_log=False, ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < until, "the server did not start"
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)


@dataclass
class Served:
    """A served workspace, and ways to ask it."""

    workspace: Workspace
    address: str
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30))

    @property
    def base(self) -> str:
        return f"{self.address}/fhir/R4"

    def token(
        self, who: StaffEntry, *purposes: str, scopes: str = SCOPES, minutes: int = 60
    ) -> str:
        role = role_of_directory(who.role)
        assert role
        return mint(
            self.workspace.settings, self.workspace.keys, who, role, purposes or ("direct-care",),
            time.time(), scopes=scopes, minutes=minutes,
        )  # fmt: skip

    def ask(
        self, path: str, who: StaffEntry, *purposes: str, method: str = "GET", **more: Any
    ) -> httpx.Response:
        """An answer, valid FHIR whatever it says."""
        headers = {
            "Authorization": f"Bearer {self.token(who, *purposes)}",
            **more.pop("headers", {}),
        }
        answer = self.client.request(method, f"{self.base}/{path}", headers=headers, **more)
        if answer.content:
            valid(answer.json())
        return answer

    def search(self, kind: str, who: StaffEntry, *purposes: str, **form: Any) -> httpx.Response:
        """A search by POST."""
        return self.ask(f"{kind}/_search", who, *purposes, method="POST", data=form)
