"""The FHIR reader: forms of feed, references, and the real public examples."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from adapters.fhir_check import oracle_errors
from adapters.fhir_spec import resource_spec
from adapters.fhir_write import resource_of
from schemas.errors import FeedRefused
from schemas.items import Heading
from schemas.records import SourceMerge
from schemas.settings import Limits
from tests.adapters.fhir_feeds import (
    NHS_NUMBER,
    ODS,
    SHARED,
    Read,
    observation,
    patient,
    read_bundle,
    read_bytes,
    read_ndjson,
)

PATIENT = json.dumps(patient()).encode()
XML = b'<Patient xmlns="http://hl7.org/fhir"><id value="p1"/></Patient>'
BUNDLE = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": []}).encode()
MRN = "https://trust.example/mrn"


@pytest.mark.parametrize(
    ("data", "records"),
    [
        pytest.param(PATIENT, 1, id="one resource, no line end"),
        pytest.param(PATIENT + b"\n", 1, id="one line"),
        pytest.param(PATIENT + b"\r\n\r\n" + PATIENT + b"\n", 2, id="NDJSON with a blank line"),
        pytest.param(b"\xef\xbb\xbf" + PATIENT + b"\n" + PATIENT, 2, id="NDJSON with a BOM"),
        pytest.param(json.dumps(patient(), indent=2).encode(), 1, id="one pretty resource"),
        pytest.param(b"[" + PATIENT + b"," + PATIENT + b"]", 2, id="a list on one line"),
        pytest.param(b"[\n" + PATIENT + b",\n" + PATIENT + b"\n]", 2, id="a list over lines"),
        pytest.param(gzip.compress(PATIENT + b"\n" + PATIENT), 2, id="gzipped NDJSON"),
        pytest.param(b"  \n" + XML, 1, id="XML after white space"),
        pytest.param(b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>' + XML, 1, id="XML, BOM"),
        pytest.param(
            b'<Bundle xmlns="http://hl7.org/fhir"><type value="collection"/><entry><resource>'
            + XML
            + b"</resource></entry><entry><resource>"
            + XML
            + b"</resource></entry></Bundle>",
            2,
            id="XML Bundle",
        ),
    ],
)
def test_forms(tmp_path: Path, data: bytes, records: int) -> None:
    read = read_bytes(tmp_path, data)
    assert [r.local_id for r in read.records] == ["p1"] * records
    assert read.rejected == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "empty", id="nothing"),
        pytest.param(b" \n\n ", "empty", id="white space"),
        pytest.param(b"[]", "empty", id="empty list"),
        pytest.param(b"id,name\n1,x\n", "not_the_format", id="CSV"),
        pytest.param(PATIENT.decode().encode("utf-16"), "encoding", id="UTF-16"),
        pytest.param(b'{"resourceType": "Patient",\n "id": \n', "torn", id="torn document"),
        pytest.param(b'{\n"a": 1,,\n}', "bad_syntax", id="broken document"),
        pytest.param(b"<Patient><id", "bad_syntax", id="broken XML"),
        pytest.param(b"<html></html>", "not_the_format", id="another XML"),
        pytest.param(b'<!DOCTYPE p [<!ENTITY a "b">]>' + XML, "bomb", id="DOCTYPE"),
        pytest.param(b'<?xml version="1.0" encoding="UTF-16"?>' + XML, "encoding", id="XML UTF-16"),
        pytest.param(b"[" * 100_000, "bad_syntax", id="deep list"),
    ],
)
def test_refused_feeds(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(FeedRefused) as caught:
        read_bytes(tmp_path, data)
    assert caught.value.reason == reason


def test_a_document_over_the_limit_is_refused(tmp_path: Path) -> None:
    data = json.dumps([patient()] * 50, indent=1).encode()
    with pytest.raises(FeedRefused) as caught:
        read_bytes(tmp_path, data, Limits(max_document_bytes=1000))
    assert caught.value.reason == "too_long"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(b'{"resourceType": "Patient", "id": "\xff"}', "encoding", id="not UTF-8"),
        pytest.param(b'{"resourceType": "Patient", "id": "a\0"}', "nul", id="NUL byte"),
        pytest.param(b'{"resourceType":"Patient","language":"\\u0000"}', "nul", id="escaped NUL"),
        pytest.param(b'{"resourceType": "Patient"', "bad_syntax", id="broken off"),
        pytest.param(b'{"resourceType": "Patient", "x": NaN}', "bad_syntax", id="NaN"),
        pytest.param(b'{"resourceType": "Patient", "id": "\\ud800"}', "bad_syntax", id="surrogate"),
        pytest.param(b'{"resourceType": "Patient", "id":"a","id":"b"}', "bad_syntax", id="doubled"),
        pytest.param(
            b'{"resourceType": "Patient", "id" :"a","id" :"b"}', "bad_syntax", id="doubled, spaced"
        ),
        pytest.param(
            b'{"resourceType":"Patient","a":' + b"[" * 300 + b"]" * 300 + b"}",
            "bad_syntax",
            id="deep",
        ),
        pytest.param(b'{"resourceType":"Zz","n":1e400}', "bad_resource", id="huge decimal"),
        pytest.param(b'{"resourceType":"Zz","n":%s}' % (b"9" * 50), "bad_resource", id="huge int"),
        pytest.param(b'{"resourceType":"Zz","n":%s}' % (b"9" * 5000), "bad_syntax", id="huger int"),
        pytest.param(b"[]", "bad_resource", id="a list"),
        pytest.param(b"null", "bad_resource", id="null"),
        pytest.param(b'"text"', "bad_resource", id="a text"),
        pytest.param(b"{}", "bad_resource", id="no type"),
        pytest.param(b'{"resourceType": 7}', "bad_resource", id="a type that is a number"),
        pytest.param(b'{"resourceType":"Patient","id":"a","birthDate":"1970-02-30"}',
                     "bad_resource", id="no such day"),
        pytest.param(b'{"resourceType":"Patient","id":"a","nome":"x"}', "bad_resource", id="key"),
        pytest.param(b'{"resourceType":"Observation","id":"a"}', "bad_resource", id="required"),
        pytest.param(b'{"resourceType":"Patient","gender":"male"}', "missing_value", id="no id"),
        pytest.param(b'{"resourceType":"Patient","id":"%s"}' % (b"a" * 2000), "too_long", id="big"),
    ],
)  # fmt: skip
def test_bad_lines_are_quarantined_alone(tmp_path: Path, line: bytes, reason: str) -> None:
    limits = Limits(max_message_bytes=1900 if reason == "too_long" else 1 << 20)
    read = read_bytes(tmp_path, PATIENT + b"\n" + line + b"\n" + PATIENT, limits)
    assert len(read.records) == 2
    (rejected,) = read.rejected
    assert (rejected.reason, rejected.where) == (reason, "line 2")
    assert rejected.raw == line[: len(rejected.raw)]
    assert rejected.raw


@pytest.mark.parametrize("first", [b'{"resourceType": "Pat', b"junk", b"\xff\xfe", b"[1,"])
def test_ndjson_whose_first_line_is_bad(tmp_path: Path, first: bytes) -> None:
    read = read_bytes(tmp_path, first + b"\n" + PATIENT + b"\n")
    assert len(read.records) == 1
    assert [r.where for r in read.rejected] == ["line 1"]


def test_a_last_line_that_breaks_off_is_torn(tmp_path: Path) -> None:
    read = read_bytes(tmp_path, PATIENT + b"\n" + PATIENT[:-5])
    assert [r.reason for r in read.rejected] == ["torn"]


def test_batches_are_bounded_and_deterministic(tmp_path: Path) -> None:
    data = b"\n".join(json.dumps(patient(id=f"p{n}")).encode() for n in range(25))
    limits = Limits(batch_units=10)
    reads = [read_bytes(tmp_path, data, limits) for _ in range(2)]
    assert [b.units for b in reads[0].batches] == [10, 10, 5]
    assert reads[0].records == reads[1].records


def test_doubled_keys_in_a_document_cost_one_entry(tmp_path: Path) -> None:
    data = b'[\n{"resourceType":"Patient","id":"a","id":"b"},\n' + PATIENT + b"\n]"
    read = read_bytes(tmp_path, data)
    assert [r.reason for r in read.rejected] == ["bad_syntax"]
    assert len(read.records) == 1


def test_bundles_are_opened(tmp_path: Path) -> None:
    inner = {"resourceType": "Bundle", "type": "collection", "timestamp": "2026-01-01T00:00:00Z",
             "entry": [{"resource": patient(id="deep")}]}  # fmt: skip
    read = read_bundle(
        tmp_path,
        {"resource": patient()},
        {"resource": inner},
        {"request": {"method": "DELETE", "url": "Patient/9"}},
        "junk",
    )
    assert [r.local_id for r in read.records] == ["p1", "deep"]
    assert read.as_at == [None, "2026-01-01T00:00:00Z"]
    assert [(r.where, r.reason) for r in read.rejected] == [
        ("entry 3", "not_supported"), ("entry 4", "bad_resource"),
    ]  # fmt: skip


def deletions(folder: Path, *entries: object, kind: str = "transaction", **source: Any) -> Read:
    bundle = {"resourceType": "Bundle", "type": kind, "entry": list(entries)}
    return read_ndjson(folder, bundle | {"timestamp": "2026-02-01T00:00:00Z"}, **source)


def delete(url: object) -> dict[str, object]:
    return {"request": {"method": "DELETE", "url": url}}


def withdrawn(read: Read) -> list[tuple[str, str, str]]:
    rows = [row for batch in read.batches for row in batch.withdrawals.to_pylist()]
    return [(row["local_id"], row["reason"], row["as_at"]) for row in rows]


def test_deleted_patients_are_withdrawn(tmp_path: Path) -> None:
    read = deletions(tmp_path, delete("Patient/9"), delete("https://pas.example/fhir/Patient/p1"))
    stamp = "2026-02-01T00:00:00Z"
    assert withdrawn(read) == [("9", "deleted", stamp), ("p1", "deleted", stamp)]
    assert (read.rejected, read.records) == ([], [])


@pytest.mark.parametrize(
    ("entry", "kind", "reason"),
    [
        (delete("Observation/9"), "transaction", "not_supported"),
        (delete("Patient/9/_history/2"), "transaction", "not_supported"),
        (delete("Patient?identifier=x|1"), "transaction", "missing_value"),
        (delete(9), "transaction", "not_supported"),
        (delete("Patient/9"), "batch", "not_supported"),
        ({"request": {"method": "PUT", "url": "Patient/9"}}, "transaction", "not_supported"),
    ],
)
def test_what_deletes_no_patient(tmp_path: Path, entry: object, kind: str, reason: str) -> None:
    read = deletions(tmp_path, entry, kind=kind)
    assert withdrawn(read) == []
    assert [r.reason for r in read.rejected] == [reason]


def test_a_deletion_by_another_id_than_the_sources_needs_the_patient(tmp_path: Path) -> None:
    own = patient(identifier=[{"system": "urn:mrn", "value": "M1"}])
    bundle = {"resource": own}, delete("Patient/p1"), delete("Patient/9")
    read = deletions(tmp_path, *bundle, local_id_system="urn:mrn")
    assert [row[0] for row in withdrawn(read)] == ["M1"]
    assert [r.reason for r in read.rejected] == ["missing_value"]


SIGN = "https://pas.example/new-identity"


def parts(**values: object) -> dict[str, object]:
    """The extension with parts."""
    names = {str: "valueString", bool: "valueBoolean"}
    told = [{"url": name, names[type(value)]: value} for name, value in values.items()]
    return {"url": SIGN, "extension": told}


@pytest.mark.parametrize(
    ("extension", "declared"),
    [
        ({"url": SIGN, "valueBoolean": True}, [("p1", "p1", False)]),
        ({"url": SIGN, "valueBoolean": False}, [("p1", "p1", True)]),
        (parts(former="p0"), [("p0", "p1", False)]),
        (parts(former="p0", undone=True), [("p0", "p1", True)]),
        ({"url": "https://else.example", "valueBoolean": True}, []),
    ],
)
def test_a_declared_extension_is_a_new_identity(
    tmp_path: Path, extension: object, declared: list[tuple[str, str, bool]]
) -> None:
    read = read_ndjson(tmp_path, patient(extension=[extension]), identity_change_sign=SIGN)
    rows = [row for batch in read.batches for row in batch.changes.to_pylist()]
    assert [(row["before"], row["after"], row["undone"]) for row in rows] == declared
    assert ([r.local_id for r in read.records], read.rejected) == (["p1"], [])
    without = read_ndjson(tmp_path, patient(extension=[extension]))
    assert not any(batch.changes.num_rows for batch in without.batches)


@pytest.mark.parametrize("extension", [{"url": SIGN, "valueString": "p0"}, parts(undone=True)])
def test_a_new_identity_in_another_form_is_quarantined_not_lost(
    tmp_path: Path, extension: object
) -> None:
    read = read_ndjson(tmp_path, patient(extension=[extension]), identity_change_sign=SIGN)
    assert ([r.reason for r in read.rejected], read.records) == (["bad_value"], [])


def test_an_inactive_patient_is_not_withdrawn(tmp_path: Path) -> None:
    read = read_ndjson(tmp_path, patient(active=False))
    assert ([r.local_id for r in read.records], withdrawn(read)) == (["p1"], [])


def test_an_empty_bundle_is_kept(tmp_path: Path) -> None:
    (item,) = read_bytes(tmp_path, BUNDLE).items
    assert item.heading is Heading.UNCLASSIFIED
    assert item.original == json.loads(BUNDLE)


def test_unknown_types_are_kept_and_counted(tmp_path: Path) -> None:
    resource = {"resourceType": "MedicinalProduct", "id": "m", "anything": {"a": 1.50}}
    read = read_ndjson(tmp_path, resource)
    assert [i.heading for i in read.items] == [Heading.UNCLASSIFIED]
    assert read.items[0].original == resource
    assert read.issues == {("resourceType", "not_supported"): 1}


def test_decimals_keep_their_digits(tmp_path: Path) -> None:
    line = json.dumps(observation())[:-1] + ', "valueQuantity": {"value": 1.50, "unit": "mg"}}'
    read = read_bytes(tmp_path, line.encode())
    (content,) = read.batches[0].items["content"].to_pylist()
    assert b'"valueQuantity":{"unit":"mg","value":1.50}' in content
    assert read.items[0].details == {"value": "1.50 mg"}


# --- whom a reference means --------------------------------------------------------------------
UUID = "urn:uuid:3f1c2a52-0d1e-4c5a-9f62-0c8f2b9a7d11"
KNOWN = patient(identifier=[{"system": MRN, "value": "M1"},
                            {"system": NHS_NUMBER, "value": "9912003888"}])  # fmt: skip
REFERENCES = [
    ({"reference": "Patient/p1"}, "p1", "M1"),
    ({"reference": "https://fhir.example/r4/Patient/p1/_history/2"}, "p1", "M1"),
    ({"reference": UUID}, "p1", "M1"),
    ({"identifier": {"system": NHS_NUMBER, "value": "991 200 3888"}}, "p1", "M1"),
    ({"identifier": {"system": MRN, "value": "M7"}}, None, "M7"),
    ({"reference": "Patient/p9"}, "p9", None),
    ({"reference": "urn:uuid:00000000-0000-4000-8000-000000000000"},
     "00000000-0000-4000-8000-000000000000", None),
    ({"reference": "#held"}, "p1", "M1"),
    ({"reference": "#absent"}, None, None),
    ({"display": "Ann"}, None, None),
    ({"reference": "Patient?name=x"}, None, None),
]  # fmt: skip


@pytest.mark.parametrize("form", ["bundle", "ndjson"])
@pytest.mark.parametrize("system", [None, MRN], ids=["by id", "by number"])
@pytest.mark.parametrize(("reference", "by_id", "by_number"), REFERENCES)
def test_references(
    tmp_path: Path,
    reference: dict[str, Any],
    by_id: str | None,
    by_number: str | None,
    system: str | None,
    form: str,
) -> None:
    held = {"resourceType": "Patient", "id": "held", "identifier": KNOWN["identifier"]}
    item = observation(subject=reference, contained=[held])
    entries = [{"resource": item}, {"fullUrl": UUID, "resource": KNOWN}]
    if form == "bundle":
        read = read_bundle(tmp_path, *entries, local_id_system=system)
    else:
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
        read = read_ndjson(tmp_path, bundle, local_id_system=system)
    expected = by_id if system is None else by_number
    assert [i.subject for i in read.items] == ([expected] if expected else [])
    assert [r.reason for r in read.rejected] == ([] if expected else ["missing_value"])


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "Group/g"},
        {"type": "Device", "identifier": {"value": "x"}},
        {"reference": "urn:uuid:other"},
    ],
)
def test_what_is_not_about_a_patient_belongs_to_nobody(
    tmp_path: Path, subject: dict[str, Any]
) -> None:
    group = {"fullUrl": "urn:uuid:other",
             "resource": {"resourceType": "Group", "type": "person", "actual": True}}  # fmt: skip
    read = read_bundle(tmp_path, {"resource": observation(subject=subject)}, group)
    assert [(i.heading, i.subject) for i in read.items] == [(Heading.UNCLASSIFIED, None)] * 2


def test_a_number_that_two_patients_bear_names_neither(tmp_path: Path) -> None:
    number = [{"system": NHS_NUMBER, "value": "9912003888"}]
    read = read_ndjson(
        tmp_path,
        patient(id="a", identifier=number),
        patient(id="b", identifier=number),
        observation(subject={"identifier": number[0]}),
    )
    assert [r.field for r in read.rejected] == ["subject"]


def test_merges(tmp_path: Path) -> None:
    number = {"system": MRN, "value": "M2"}
    read = read_ndjson(
        tmp_path,
        patient(
            identifier=[{"system": MRN, "value": "M1"}],
            link=[
                {"type": "replaced-by", "other": {"identifier": number}},
                {"type": "replaces", "other": {"reference": "Patient/p3"}},
                {"type": "replaces", "other": {"reference": "Patient/unknown"}},
                {"type": "seealso", "other": {"reference": "Patient/p3"}},
            ],
        ),
        patient(id="p3", identifier=[{"system": MRN, "value": "M3"}]),
        local_id_system=MRN,
    )
    assert read.merges == [SourceMerge("M1", "M2"), SourceMerge("M3", "M1")]
    assert read.records[0].replaced_by == "M2"
    assert read.records[0].unread == {"link.replaces": "Patient/unknown"}


def test_organisations_are_found_in_the_feed(tmp_path: Path) -> None:
    organisation = {"resourceType": "Organization", "id": "99",
                    "identifier": [{"system": ODS, "value": "rvj"}]}  # fmt: skip
    read = read_ndjson(
        tmp_path,
        patient(managingOrganization={"reference": "Organization/99"}),
        patient(managingOrganization={"reference": "Organization/12345"}),
        organisation,
    )
    assert [r.organisation for r in read.records] == ["RVJ", None]


# --- real public examples ----------------------------------------------------------------------
public = pytest.mark.skipif(not SHARED.exists(), reason="the public examples are not here")
EXAMPLES = sorted([*SHARED.glob("ukcore/*.xml"), *SHARED.glob("fhir/*.ndjson"),
                   *SHARED.glob("fhir/pixm/*.*")])  # fmt: skip
REJECTED_BY_R4B: dict[str, str] = {}
"""Examples that the R4B models reject, with the reason: none of these."""
NOT_LOADED = {
    "UKCore-Bundle-Batch-Example.xml": (3, "not_supported"),  # requests without resources
}


@public
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_public_examples_are_kept_and_written_out_again(tmp_path: Path, path: Path) -> None:
    read = read_bytes(tmp_path, path.read_bytes())
    count, reason = NOT_LOADED.get(path.name, (0, ""))
    assert [r.reason for r in read.rejected] == [reason] * count
    for kept in (*read.records, *read.items):
        resource = resource_of(kept)
        spec = resource_spec(resource["resourceType"])
        assert spec is not None
        assert (oracle_errors(resource, spec) == []) is (path.name not in REJECTED_BY_R4B)


@public
def test_public_ndjson_round_trips_unchanged(tmp_path: Path) -> None:
    data = (SHARED / "fhir" / "100-patients.Patient.ndjson").read_bytes()
    read = read_bytes(tmp_path, data)
    assert [resource_of(r) for r in read.records] == [json.loads(x) for x in data.splitlines()]


@public
def test_the_public_merge_example(tmp_path: Path) -> None:
    path = SHARED / "fhir/pixm/Patient-MohrMaidenResolvedByMohrMalice-Red.json"
    system = "urn:oid:1.3.6.1.4.1.21367.13.20.1000"
    read = read_bytes(tmp_path, path.read_bytes(), local_id_system=system)
    assert read.merges == [SourceMerge("IHERED-m94", "IHERED-994")]
