"""The application asked in process: real tokens, real store, no socket, and nothing waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import time
from typing import Any
from unittest import mock

import httpx

from api.app import build_app
from api.demo_issuer import SCOPES, mint
from api.serving import service_over
from api.words import BASE
from schemas.identifiers import OdsCode
from schemas.records import StaffEntry
from schemas.settings import Settings
from service.sharing import Sharing
from tests.api.valid import valid

ADDRESS = "http://api.example"
EVER_SO_MANY = 1_000_000


@dataclass(frozen=True)
class Who:
    """Who asks: what the token will say."""

    staff_id: str
    organisation: OdsCode
    role: str
    purpose: str = "direct-care"
    scopes: str = SCOPES
    emergency: bool = False


@dataclass
class Api:
    """The application over one partnership."""

    sharing: Sharing
    settings: Settings
    keys: Path
    runner: asyncio.Runner
    client: httpx.AsyncClient
    tokens: dict[tuple[str, ...], str] = field(default_factory=dict)

    def token(self, who: Who) -> str:
        """A token, minted once and checked at every request."""
        key = (who.staff_id, who.organisation, who.role, who.purpose, who.scopes)
        if key not in self.tokens:
            entry = StaffEntry(staff_id=who.staff_id, organisation=who.organisation, role=who.role)
            self.tokens[key] = mint(
                self.settings, self.keys, entry, who.role, (who.purpose,), time(),
                scopes=who.scopes,
            )  # fmt: skip
        return self.tokens[key]

    def ask(
        self, who: Who, path: str, method: str = "GET", *, checked: bool = True, **more: Any
    ) -> httpx.Response:
        """An answer; valid FHIR, if it is to be checked."""
        headers = {"Authorization": f"Bearer {self.token(who)}", **more.pop("headers", {})}
        if who.emergency:
            headers["Emergency-Declared"] = "true"
        address = path if path.startswith(ADDRESS) else f"{ADDRESS}{BASE}/{path}"
        answer = self.runner.run(self.client.request(method, address, headers=headers, **more))
        if checked and answer.content:
            valid(answer.json())
        return answer

    def search(self, who: Who, kind: str, **form: Any) -> httpx.Response:
        """A search by POST."""
        return self.ask(who, f"{kind}/_search", "POST", data=form)


@contextmanager
def asked(sharing: Sharing, keys: Path) -> Iterator[Api]:
    """The application over open records, with the demo's sign-in and without limits. Answers do
    not wait for whole steps of time: that they do is tested of the real server."""
    limits = replace(
        sharing.settings.api, searches_per_minute=EVER_SO_MANY, reads_per_minute=EVER_SO_MANY
    )
    settings = replace(sharing.settings, demo=True, api=limits)
    service = service_over(sharing, settings, keys, clock=sharing.clock)
    with mock.patch("api.app.STEP", 1e-6), asyncio.Runner() as runner:
        transport = httpx.ASGITransport(app=build_app(service), raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport)
        yield Api(sharing, settings, keys, runner, client)
        runner.run(client.aclose())


def matches(answer: httpx.Response, mode: str = "match") -> list[dict[str, Any]]:
    """The resources of a Bundle's entries of one mode."""
    assert answer.status_code == 200, answer.text
    held = answer.json().get("entry", [])
    return [one["resource"] for one in held if one["search"]["mode"] == mode]


def code_of(answer: httpx.Response) -> str:
    """The code of an error."""
    (issue,) = answer.json()["issue"]
    return str(issue["details"]["coding"][0]["code"])
