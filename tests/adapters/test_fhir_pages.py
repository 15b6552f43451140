"""Pages of a FHIR search as lines, and files that are written page by page: whatever pages hold and
wherever writing stops, the lines are the resources of the server."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.fhir_pages import read_page
from adapters.spool import Spool
from adapters.spool_pages import Pages
from schemas.dates import Instant
from schemas.settings_interfaces import FhirInterface

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
RESOURCES = st.lists(
    st.dictionaries(st.sampled_from(["id", "name", "text", "é"]), VALUES, max_size=3), max_size=5
)


def page_of(
    resources: list[dict[str, Any]], indent: int | None = None, ascii_: bool = True
) -> bytes:
    entries = [{"resource": {"resourceType": "Basic"} | resource} for resource in resources]
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    text = json.dumps(bundle, indent=indent, ensure_ascii=ascii_)
    return text.replace("\n", "\r\n").encode()


@given(RESOURCES, st.sampled_from([None, 0, 2]), st.booleans())
def test_a_resource_is_passed_on_as_it_is(
    resources: list[dict[str, Any]], indent: int | None, ascii_: bool
) -> None:
    page = read_page(page_of(resources, indent, ascii_), "application/fhir+json")
    lines = page.lines.decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == [
        {"resourceType": "Basic"} | resource for resource in resources
    ]
    assert (page.fault, page.resources) == ("", len(resources))


def test_digits_and_doubled_keys_are_kept() -> None:
    resource = b'{"resourceType":"Basic","a":1.10,"a":1e400,\n"b":"\xff"}'
    body = b'{"resourceType":"Bundle","type":"searchset","entry":[{"resource":' + resource + b"}]}"
    assert read_page(body, "application/json").lines == resource.replace(b"\n", b" ") + b"\n"


@pytest.mark.parametrize(
    ("stamps", "newest"),
    [
        ([], None),
        ([None, 7, "soon", ["2026-01-01T00:00:00Z"]], None),
        (["2026-01-01T00:00:00Z", "2026-01-02T00:30:00+01:00", "2026-01-01T23:29:59.9Z"],
         "2026-01-01T23:30:00Z"),
    ],
)  # fmt: skip
def test_the_latest_change(stamps: list[Any], newest: str | None) -> None:
    resources: list[dict[str, Any]] = [{"meta": {"lastUpdated": stamp}} for stamp in stamps]
    page = read_page(page_of([*resources, {}, {"meta": 7}]), "application/fhir+json")
    assert (page.newest, page.resources) == (newest, len(stamps) + 2)


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=6), st.data())
def test_pages_are_there_once_wherever_writing_stops(written: list[bytes], data: Any) -> None:
    """Each time it stops, what is beyond the last note is of no account."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        spool = Spool(folder, lambda: Instant("2026-03-01T00:00:00Z"))
        at = 0
        while at < len(written):
            pages = Pages(spool, "Patient", "ndjson", "question")
            assert (pages.note or {"at": 0})["at"] == at
            for _ in range(data.draw(st.integers(1, 3))):
                if at < len(written):
                    at += 1
                    pages.append(written[at - 1], {"at": at})
            with (folder / ".Patient.ndjson.pages").open("ab") as file:
                file.write(data.draw(st.binary(max_size=5)))
        other = Pages(spool, "Patient", "ndjson", "another question")
        assert other.note is None
        pages = Pages(spool, "Patient", "ndjson", "question")
        pages.end()
        again = Pages(spool, "Patient", "ndjson", "question")
        assert (again.ended, again.note) == (True, pages.note)
        again.end()
        again.forget()
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        whole = b"".join(written)
        assert files == ({"Patient_20260301T000000Z.ndjson": whole} if whole else {})


def test_the_types_asked_for_are_those_that_have_a_place() -> None:
    """All types that are read into fields, but Binaries: nobody can search for those by date."""
    from adapters.fhir_layouts import LAYOUTS

    types = {*LAYOUTS, "Patient", "PractitionerRole"} - {"Binary"}
    assert set(FhirInterface("").resources) == types
