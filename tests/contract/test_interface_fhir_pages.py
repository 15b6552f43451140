"""Pages of a FHIR server that are none, or lead where nobody should go: told, and left alone."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.contract.fhir_wards import AGAIN, NAME, TEN, Wards
from tests.fhir_server import Handler, fhir_server, outcome, says


@pytest.fixture
def wards(tmp_path: Path) -> Iterator[Wards]:
    with fhir_server() as server:
        yield Wards(server, tmp_path / "workspace")


BOMB = gzip.compress(b" " * (1 << 22))
SEARCHSET = {"resourceType": "Bundle", "type": "searchset"}
SMALL = "max_unit_bytes = 1024\nmax_message_bytes = 2048\nmax_document_bytes = 4096\n"


def _bundle(**fields: Any) -> bytes:
    return json.dumps(SEARCHSET | fields).encode()


BAD_PAGES = [
    ("text", says(200, NAME.encode(), Content_Type="text/plain"), "a page is not JSON"),
    ("XML", says(200, b"<Bundle/>", Content_Type="application/fhir+xml"), "a page is not JSON"),
    ("not JSON", says(200, f'{{"a": {NAME}}}'.encode()), "not well-formed"),
    ("half of it", says(200, _bundle()[:-1]), "not well-formed"),
    ("nothing", says(200, b""), "not well-formed"),
    ("a list", says(200, b"[]"), "not well-formed JSON, or no Bundle"),
    ("entries that are none", says(200, _bundle(entry=[NAME])), "or no Bundle"),
    ("links that are none", says(200, _bundle(link=[NAME])), "or no Bundle"),
    ("a history", says(200, _bundle(type="history")), "no Bundle of type searchset"),
    ("an outcome", says(200, outcome("invalid")), "no Bundle of type searchset"),
    ("a link of no kind", says(200, _bundle(link=[{"relation": "next", "url": 1}])), "no address"),
    ("a huge page", says(200, _bundle(x="x" * 5000)), r"over 4096 bytes \(max_document_bytes\)"),
    ("a bomb", says(200, BOMB, Content_Encoding="gzip"), "over 4096 bytes"),
    ("a bomb in a bomb", says(200, gzip.compress(BOMB), Content_Encoding="gzip, gzip"), "packed"),
    ("not as it is packed", says(200, b"not packed", Content_Encoding="gzip"), "DecodingError"),
    ("no content", says(204, b""), "answered 204"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fault", "told"), BAD_PAGES, ids=[bad[0] for bad in BAD_PAGES])
def test_a_page_that_is_none_is_told(
    wards: Wards, name: str, fault: Callable[[Handler], bool | None], told: str
) -> None:
    wards.put(*range(1, 11))
    wards.server.faults = dict.fromkeys((2, 3), fault)
    message = wards.fails("tries = 2\n", SMALL)
    assert re.search(told, message), message
    assert wards.ids() == []
    wards.server.faults.clear()
    wards.collect()
    assert wards.ids() == AGAIN


def test_messages_of_the_server_are_no_data(wards: Wards) -> None:
    wards.put(1, 2)

    def add(bundle: dict[str, Any]) -> None:
        warning = json.loads(outcome("informational"))
        bundle["entry"] += [
            {"resource": warning},
            {"resource": {"resourceType": "Basic"}, "search": {"mode": "outcome"}},
            {"fullUrl": NAME},
            {"resource": None},
        ]

    wards.server.change = add
    assert wards.collect() == [
        "Patient: 2 messages of the server (OperationOutcome) left out",
        "Patient: 2 entries without a resource left out",
    ]
    assert wards.ids() == ["P1", "P2"]


def _next_is(address: Callable[[str], str]) -> Callable[[dict[str, Any]], None]:
    def change(bundle: dict[str, Any]) -> None:
        bundle["link"] = [{"relation": "next", "url": address(bundle["link"][0]["url"])}]

    return change


ELSEWHERE = {
    "another host": lambda url: url.replace("127.0.0.1", "localhost"),
    "another port": lambda url: re.sub(r":[0-9]+/", ":1/", url),
    "another scheme": lambda url: url.replace("http:", "https:"),
    "no scheme": lambda url: "//localhost/r4/Patient",
    "with a name": lambda url: url.replace("http://", "http://a:b@"),
    "a host that looks like ours": lambda url: url.replace("http://", "http://127.0.0.1@evil."),
    "a file": lambda url: "file:///etc/passwd",
    "no address": lambda url: "http://[::1",
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_pages_of_another_server_are_not_asked_for(wards: Wards, name: str) -> None:
    wards.put(1)
    wards.server.change = _next_is(ELSEWHERE[name])
    assert "a page leads to another server" in wards.fails()
    assert (wards.ids(), wards.asked()) == ([], 1)


def test_a_next_page_may_be_told_relative_to_this_one(wards: Wards) -> None:
    wards.put(*range(1, 11))

    def shorten(bundle: dict[str, Any]) -> None:
        for link in bundle["link"]:
            link["url"] = link["url"].removeprefix(f"{wards.server.url}/")

    wards.server.change = shorten
    wards.collect()
    assert wards.ids() == TEN


@pytest.mark.parametrize("fresh", [False, True])
def test_pages_without_an_end(wards: Wards, fresh: bool) -> None:
    wards.put(1)
    numbers = count()
    tail = (lambda: f"&n={next(numbers)}") if fresh else (lambda: "")
    wards.server.change = _next_is(lambda url: url.partition("&n=")[0] + tail())
    told = wards.fails("max_pages = 5\n")
    assert told == "Patient: the pages lead on for ever; asked again next time"
    assert wards.asked() == (5 if fresh else 1)
    assert wards.names() == [], "what was read of them is of no use"


def test_redirects_within_the_server_are_followed(wards: Wards) -> None:
    wards.put(*range(1, 11))
    found = wards.server.url.removesuffix("/r4") + "/r4/Patient?_count=4&_sort=-_lastUpdated"
    wards.server.faults = {
        1: says(307, Location=found),
        3: says(302, Location=f"{found}&_offset=4"),
    }
    wards.collect()
    assert wards.ids() == TEN


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_elsewhere_are_not(wards: Wards, status: int) -> None:
    with fhir_server() as other:
        wards.server.faults = {1: says(status, Location=f"{other.url}/Patient?_count=4")}
        assert "sends us to another server" in wards.fails()
        assert other.asked == []
    wards.server.always = lambda handler: handler.send(status, b"", Location=handler.path)
    assert "without end" in wards.fails()
