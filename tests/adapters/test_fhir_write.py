"""What is kept goes out as FHIR R4 that the fhir.resources models accept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.fhir_check import oracle_errors
from adapters.fhir_spec import resource_spec
from adapters.fhir_write import resource_of
from schemas.items import HEADINGS, CareItem, Coding, Heading
from schemas.records import ClientRecord
from tests.adapters.fhir_feeds import full_patient, read_bytes, read_ndjson

WRITTEN = [heading for heading in Heading if heading is not Heading.UNCLASSIFIED]
FULL: dict[str, Any] = {
    "subject": "c1", "item_id": "i1", "codes": (Coding("75367002", "urn:oid:2.16.1", "BP"),),
    "text": "Blood pressure", "status": "entered-in-error", "start": "2020-05",
    "end": "2021-01-01T10:00:00Z", "recorded_at": "2021-01-02T10:00:00Z", "author": "Dr Who",
    "organisation": "RA7", "sensitivity": ("SEX",),
}  # fmt: skip
LEAST: dict[str, Any] = {"subject": "c1", "item_id": "i1"}
NEEDED = {"codes": (Coding("odd  code", "My own list"),), "text": "x", "start": "2020",
          "end": "2020", "author": "Dr", "organisation": "RA7"}  # fmt: skip

LEAST_ITEMS = [(h, need) for h in WRITTEN for need in HEADINGS[h].needs if need in NEEDED]


def accepted(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource, as sent over the wire, if the models accept it."""
    sent = json.loads(json.dumps(resource))
    spec = resource_spec(sent["resourceType"])
    assert spec is not None
    assert oracle_errors(sent, spec) == []
    return dict(sent)


@pytest.mark.parametrize("heading", WRITTEN)
@pytest.mark.parametrize("status", ["entered-in-error", "no such status", None])
def test_full_items(tmp_path: Path, heading: Heading, status: str | None) -> None:
    item = CareItem(heading=heading, **(FULL | {"status": status}))
    resource = accepted(resource_of(item))
    assert resource["resourceType"] == HEADINGS[heading].fhir_types[0]
    if heading is not Heading.PERSONAL_CONTACT and status == "entered-in-error":
        assert "entered-in-error" in json.dumps(resource)
    assert "no such status" not in json.dumps(resource) or heading in (
        Heading.CONDITION, Heading.ALLERGY,
    )  # fmt: skip
    resource["id"] = "back"
    again = read_ndjson(tmp_path, accepted(resource), patient_of("c1"), local_id_system="urn:c")
    assert [r.field for r in again.rejected] == ["subject"]


def patient_of(local_id: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": "urn:c", "value": local_id}]}


@pytest.mark.parametrize(("heading", "need"), LEAST_ITEMS)
def test_items_with_the_least(heading: Heading, need: str) -> None:
    accepted(resource_of(CareItem(heading=heading, **LEAST, **{need: NEEDED[need]})))


def test_unclassified_items_are_written_from_their_original() -> None:
    original = {"resourceType": "Location", "id": "l"}
    item = CareItem(
        heading=Heading.UNCLASSIFIED, item_id="Location/l", subject=None, original=original
    )
    written = resource_of(item)
    written["id"] = "changed"
    assert resource_of(item) == original


def test_a_record_that_came_in_another_format_reads_back_the_same(tmp_path: Path) -> None:
    (record,) = read_ndjson(tmp_path, full_patient()).records
    plain = ClientRecord(
        **{
            name: getattr(record, name)
            for name in record.__struct_fields__
            if name not in ("original", "details")
        }
    )
    written = accepted(resource_of(plain))
    written["identifier"][-2]["system"] = "urn:local"
    data = json.dumps(written).encode()
    (again,) = read_bytes(tmp_path, data, local_id_system="urn:local").records
    different = {"identifiers", "telecoms", "original"}
    for name in set(plain.__struct_fields__) - different:
        assert getattr(again, name) == getattr(plain, name), name


def test_the_least_record() -> None:
    assert accepted(resource_of(ClientRecord(local_id="c1"))) == {
        "resourceType": "Patient",
        "identifier": [{"use": "secondary", "value": "c1"}],
    }
