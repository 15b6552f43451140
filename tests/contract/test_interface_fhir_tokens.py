"""How a FHIR server knows us: tokens are sent to it alone, renewed in time, and never shown."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.http_server import Patience, http_client
from adapters.http_tokens import ClientToken
from schemas.settings_interfaces import FhirInterface
from tests.contract.fhir_wards import Wards
from tests.fhir_server import FhirServer, fhir_server, says

FILE = "token_file = 'wards.token'\n"


@pytest.fixture
def wards(tmp_path: Path) -> Iterator[Wards]:
    with fhir_server() as server:
        made = Wards(server, tmp_path / "workspace")
        made.put(*range(1, 11))
        yield made


def secret(wards: Wards, name: str, text: str) -> None:
    path = wards.root / name
    path.write_text(f"{text}\n")
    path.chmod(0o600)


def client(wards: Wards, more: str = "") -> str:
    secret(wards, "wards.secret", "swordfish/+")
    address = wards.server.url.replace("/r4", "/token")
    return (
        f"token_url = '{address}'\nclient_id = 'common thread'\n"
        f"client_secret_file = 'wards.secret'\n{more}"
    )


def issue(server: FhirServer, *tokens: str, **fields: Any) -> None:
    """The endpoint gives these tokens, one after another, and the server wants the one given."""
    left = list(tokens)

    def given() -> tuple[int, bytes]:
        server.token = f"Bearer {left[0]}"
        answer = {"access_token": left.pop(0), "token_type": "bearer", "expires_in": 3600} | fields
        return 200, json.dumps({k: v for k, v in answer.items() if v is not None}).encode()

    server.issue = given


def test_the_token_is_a_file_of_its_owner(wards: Wards) -> None:
    wards.server.token = "Bearer swordfish"
    assert "wards.token: this secret cannot be read" in wards.fails(FILE)
    secret(wards, "wards.token", "swordfish")
    (wards.root / "wards.token").chmod(0o644)
    assert "chmod 600" in wards.fails(FILE)
    (wards.root / "wards.token").chmod(0o600)
    assert wards.collect(FILE) == []
    assert set(wards.server.tokens) == {"Bearer swordfish"}


@pytest.mark.parametrize("text", ["swordfish two", "swördfish", "swordfish\x07"])
def test_a_token_that_cannot_be_sent(wards: Wards, text: str) -> None:
    secret(wards, "wards.token", text)
    assert "expected a token, of visible ASCII characters" in wards.fails(FILE)
    assert wards.asked() == 0


def test_a_token_that_is_refused_is_read_once_more(wards: Wards) -> None:
    wards.server.token = "Bearer swordfish"
    secret(wards, "wards.token", "swordfish-of-yesterday")
    told = wards.fails(FILE)
    assert told == "Patient: the server answered 401 (login); asked again next time"
    assert (wards.asked(), wards.waits) == (2, [])

    def renewed(handler: Any) -> None:
        secret(wards, "wards.token", "swordfish")
        handler.send(401, b"")

    wards.server.faults = {1: renewed}
    assert wards.collect(FILE) == []
    assert len(wards.ids()) == 10


def test_a_client_gets_a_token_and_keeps_it(wards: Wards) -> None:
    issue(wards.server, "first")
    assert wards.collect(client(wards, "scope = 'system/*.read'\n")) == []
    assert wards.server.posted == [(
        # common+thread:swordfish%2F%2B
        "Basic Y29tbW9uK3RocmVhZDpzd29yZGZpc2glMkYlMkI=",
        "grant_type=client_credentials&scope=system%2F%2A.read",
    )]  # fmt: skip
    assert wards.server.tokens == ["Bearer first"] * 3


def test_a_token_that_a_client_loses_is_got_anew(wards: Wards) -> None:
    issue(wards.server, "first", "second", "third", "fourth")
    wards.server.faults = {2: says(401)}
    assert wards.collect(client(wards)) == []
    sent = ["Bearer first", "Bearer first", "Bearer second", "Bearer second"]
    assert (wards.server.tokens, len(wards.ids())) == (sent, 10)
    wards.server.faults = {6: says(401), 7: says(401)}
    assert "the server answered 401" in wards.fails(client(wards))
    assert wards.server.tokens[4:] == ["Bearer third", "Bearer third", "Bearer fourth"]


@pytest.mark.parametrize(
    ("seconds", "kept"), [(3600, 3570), (40, 20), (None, 270), ("120", 90), (0, 0)]
)
def test_a_token_is_used_until_shortly_before_its_end(
    wards: Wards, seconds: Any, kept: float
) -> None:
    issue(wards.server, "one-1", "two-2", expires_in=seconds)
    client(wards)
    settings = FhirInterface(
        wards.server.url,
        token_url=wards.server.url,
        client_id="c",
        client_secret_file="wards.secret",
    )
    now = [1000.0]
    with http_client(5) as connection:
        token = ClientToken(settings, wards.root, connection, Patience(1, 5), lambda: now[0])
        assert token.bearer() == "one-1"
        now[0] += kept - 0.001
        assert token.bearer() == "one-1"
        now[0] += 0.001
        assert token.bearer() == "two-2"
        assert "two-2" not in repr(token)


REFUSED = [
    ("unknown", (401, b'{"error":"invalid_client","error_description":"swordfish"}'),
     "the server answered 401 (invalid_client)"),
    ("in words", (400, b'{"error":"swordfish"}'), "the server answered 400; asked|answered 400"),
    ("away", (503, b""), "the server answered 503"),
    ("no JSON", (200, b"swordfish"), "expected JSON with a bearer token"),
    ("no token", (200, b'{"token_type":"bearer"}'), "expected JSON with a bearer token"),
    ("another kind", (200, b'{"access_token":"swordfish","token_type":"mac"}'), "expected JSON"),
    ("none to be sent", (200, b'{"access_token":"sword fish","token_type":"bearer"}'), "expected"),
    ("of no kind", (200, b'{"access_token":7,"token_type":"bearer"}'), "expected JSON"),
    ("for a strange while",
     (200, b'{"access_token":"a","token_type":"bearer","expires_in":"swordfish"}'), "expected"),
    ("too long", (200, b" " * (1 << 17)), "`token_url` gives no token"),
    ("elsewhere", (302, b""), "the server answered 302"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "answer", "told"), REFUSED, ids=[r[0] for r in REFUSED])
def test_a_client_that_gets_no_token(
    wards: Wards, name: str, answer: tuple[int, bytes], told: str
) -> None:
    wards.server.issue = lambda: answer
    message = wards.fails(client(wards, "tries = 2\n"))
    assert message.startswith("`token_url` gives no token: ")
    assert any(part in message for part in told.split("|"))
    assert (wards.asked(), len(wards.server.posted)) == (0, 2 if name == "away" else 1)


def test_no_token_goes_to_another_server(wards: Wards) -> None:
    issue(wards.server, "first")
    with fhir_server() as other:
        wards.server.faults = {2: says(302, Location=f"{other.url}/Patient?_count=4")}
        wards.fails(client(wards))
        assert other.tokens == []


def test_no_log_holds_an_address_a_token_or_a_value(
    wards: Wards, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    issue(wards.server, "swordfish-1", "swordfish-2")
    wards.server.faults = {2: says(401), 3: says(503)}
    wards.collect(client(wards))
    assert len(wards.ids()) == 10
    for word in ("_count", "_offset", "swordfish", "Pemberton", wards.server.url):
        assert word not in caplog.text
