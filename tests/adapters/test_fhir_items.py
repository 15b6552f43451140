"""FHIR resources to care items and staff entries, field by field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from schemas.items import CareItem, Coding, Heading
from schemas.records import StaffEntry
from tests.adapters.fhir_feeds import ODS, observation, read_bundle, read_ndjson

TRUST = {"identifier": {"system": ODS, "value": "RA7"}}


def test_every_field(tmp_path: Path) -> None:
    sent = {
        "resourceType": "DocumentReference",
        "id": "d1",
        "meta": {"lastUpdated": "2026-01-05T00:00:00Z", "security": [{"code": "SEX"}]},
        "status": "current",
        "type": {"coding": [{"system": "http://snomed.info/sct", "code": "1", "display": "ECG"}]},
        "subject": {"reference": "Patient/p1"},
        "date": "2025-01-24T15:30:00+01:00",
        "author": [{"reference": "Practitioner/7", "display": "Dr Who"}],
        "custodian": TRUST,
        "content": [{"attachment": {"title": "ECG report"}}],
        "context": {"period": {"start": "2025-01-24", "end": "2025-01-24T14:00:00Z"}},
    }
    read = read_ndjson(tmp_path, sent)
    assert read.as_at == ["2026-01-05T00:00:00Z"]
    assert read.items == [
        CareItem(
            heading=Heading.DOCUMENT,
            item_id="DocumentReference/d1",
            subject="p1",
            codes=(Coding("1", "http://snomed.info/sct", "ECG"),),
            text="ECG report",
            status="current",
            start="2025-01-24",
            end="2025-01-24T14:00:00Z",
            recorded_at="2025-01-24T14:30:00Z",
            author="Dr Who",
            organisation="RA7",
            sensitivity=("SEX",),
            original=sent,
        )
    ]


def test_an_empty_list_says_why(tmp_path: Path) -> None:
    sent = {
        "resourceType": "List", "id": "l", "status": "current", "mode": "snapshot",
        "code": {"coding": [{"code": "886921000000105"}]},
        "subject": {"reference": "Patient/p1"},
        "emptyReason": {"coding": [{"code": "nilknown"}]},
    }  # fmt: skip
    (item,) = read_ndjson(tmp_path, sent).items
    assert (item.heading, item.details) == (Heading.ALLERGY, {"empty_reason": "nilknown"})


def medication(**medicine: Any) -> dict[str, Any]:
    return {"resourceType": "MedicationStatement", "id": "m", "status": "active",
            "subject": {"reference": "Patient/p1"}, **medicine}  # fmt: skip


def test_medicines_that_stand_in_resources_of_their_own(tmp_path: Path) -> None:
    code = {"coding": [{"code": "27658006", "display": "Amoxicillin"}]}
    contained = {"resourceType": "Medication", "id": "here", "code": code}
    read = read_bundle(
        tmp_path,
        {"resource": medication(medicationReference={"reference": "#here"}, contained=[contained])},
        {"resource": medication(medicationReference={"reference": "Medication/far"})},
        {"resource": medication(medicationReference={"reference": "Medication/gone"})},
        {"resource": {"resourceType": "Medication", "id": "far", "code": code}},
    )
    assert [i.text for i in read.items[:3]] == ["Amoxicillin", "Amoxicillin", "Medication/gone"]
    assert read.items[0].codes == read.items[1].codes == (Coding("27658006", None, "Amoxicillin"),)


def test_an_item_without_what_its_heading_needs_is_kept_for_its_subject(tmp_path: Path) -> None:
    sent = {"resourceType": "ServiceRequest", "id": "s", "status": "active", "intent": "order",
            "subject": {"reference": "Patient/p1"}}  # fmt: skip
    read = read_ndjson(tmp_path, sent)
    assert [(i.heading, i.subject) for i in read.items] == [(Heading.UNCLASSIFIED, "p1")]
    assert read.issues == {("ServiceRequest.code", "missing_value"): 1}


def test_ids_of_items(tmp_path: Path) -> None:
    bare = {k: v for k, v in observation().items() if k != "id"}
    read = read_bundle(
        tmp_path,
        {"resource": observation()},
        {"resource": {**bare, "identifier": [{"value": "9"}]}},
        {"resource": bare, "fullUrl": "urn:uuid:7"},
        {"resource": bare},
        {"resource": bare},
    )
    ids = [item.item_id for item in read.items]
    assert ids[:3] == ["Observation/o1", "Observation/9", "Observation/urn:uuid:7"]
    assert ids[3] == ids[4] != ids[2]


def test_dates_that_are_none_are_counted(tmp_path: Path) -> None:
    read = read_ndjson(tmp_path, observation(effectiveDateTime="1066"))
    assert read.items[0].start is None
    assert read.issues == {("start", "bad_value"): 1}


def role(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "PractitionerRole", "id": "r1", **elements}


def test_staff(tmp_path: Path) -> None:
    full = role(
        organization=TRUST,
        practitioner={"identifier": {"value": "G123"}, "display": "Dr Who"},
        code=[{"coding": [{"code": "R0260", "display": "GP"}]}],
        healthcareService=[{"display": "Diabetes team"}],
        period={"start": "2020-01-01"},
        active=False,
    )
    read = read_ndjson(tmp_path, full, role(organization=TRUST), role())
    assert read.staff == [
        StaffEntry(
            staff_id="G123", organisation="RA7", role="GP", name="Dr Who", team="Diabetes team",
            start="2020-01-01", end="2026-03-01", details={"role_codes": ["R0260"]},
        ),
        StaffEntry(staff_id="r1", organisation="RA7", role="not stated",
                   details={"role_codes": []}),
    ]  # fmt: skip
    assert [i.original for i in read.items] == [full, role(organization=TRUST), role()]
