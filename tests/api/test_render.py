"""Shared records as FHIR R4: every heading and type, valid, with where it comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from api.render_items import kind_of, provenance, resource
from api.render_lists import lists
from api.render_patient import patient, reference
from api.shaping import shaped
from api.words import ALTERNATIVE, CUSTODIAN, FRESHNESS, RECORDED, SOURCE
from consent.shared import Obligation
from schemas.codes import Gender, NameUse, NumberStatus, TelecomSystem
from schemas.demographics import (
    Address,
    Death,
    HumanName,
    Identifier,
    NhsNumberClaim,
    Telecom,
)
from schemas.held import FeedState
from schemas.items import HEADINGS, CareItem, Coding, Heading
from schemas.records import ClientRecord
from tests.adapters.fhir_feeds import read_ndjson
from tests.api.shared import PERSON, shared
from tests.api.valid import valid
from tests.spec.test_fhir_headings import ROWS
from tests.spec.test_fhir_headings import resource as received

WRITTEN = [heading for heading in Heading if heading is not Heading.UNCLASSIFIED]
FULL: dict[str, Any] = {
    "subject": "c1", "item_id": "i1", "text": "Blood pressure", "status": "entered-in-error",
    "codes": (Coding("75367002", "http://snomed.info/sct", "BP"),), "start": "2020-05",
    "end": "2021-01-01T10:00:00Z", "recorded_at": "2021-01-02T10:00:00Z", "author": "Dr Who",
    "organisation": "RA7", "sensitivity": ("SEX",),
}  # fmt: skip


def rendered(item: CareItem, **changes: Any) -> dict[str, Any]:
    record = shared(item, **changes)
    (one,) = record.items
    return valid(resource(one, reference(record)))


def extensions(element: dict[str, Any]) -> dict[str, Any]:
    return {
        one["url"]: next(value for name, value in one.items() if name.startswith("value"))
        for one in element["extension"]
        if any(name.startswith("value") for name in one)
    }


@pytest.mark.parametrize("heading", WRITTEN)
def test_an_item_of_each_heading_says_where_it_comes_from(heading: Heading) -> None:
    written = rendered(CareItem(heading=heading, **FULL))
    assert written["resourceType"] == HEADINGS[heading].fhir_types[0]
    assert written["id"] == f"k{0:025}"
    assert written["meta"]["source"] == "urn:commonthread:source:pas"
    assert written["meta"]["lastUpdated"] == "2026-03-01T06:00:00Z"
    assert written["meta"]["security"] == [{"code": "SEX"}]
    said = extensions(written["meta"])
    assert said[FRESHNESS] == "current"
    assert said[RECORDED] == "2021-01-02T10:00:00Z"
    assert said[CUSTODIAN]["identifier"]["value"] == "RA7"
    assert f"Patient/{PERSON}" in json.dumps(written)
    assert '"c1"' not in json.dumps(written)


@pytest.mark.parametrize("heading", WRITTEN)
def test_provenance_of_each_heading(heading: Heading) -> None:
    (one,) = shared(CareItem(heading=heading, **FULL)).items
    told = valid(provenance(one))
    assert told["target"] == [{"reference": f"{kind_of(one.item)}/{one.item_key}"}]
    who = {agent["type"]["coding"][0]["code"]: agent["who"] for agent in told["agent"]}
    assert who["custodian"]["identifier"]["value"] == "RA7"
    assert who["author"] == {"display": "Dr Who"}
    assert who["assembler"]["identifier"]["value"] == "pas"


@pytest.mark.parametrize(
    ("kind", "says", "heading", "_"), [row for row in ROWS if row[0] not in ("List", "Location")]
)
def test_what_came_as_fhir_goes_out_without_the_sender_s_own_world(
    tmp_path: Path, kind: str, says: str, heading: str, _: str
) -> None:
    sent = received(kind, says) | {
        "meta": {"security": [{"system": "urn:x", "code": "SEX"}], "source": "urn:sender"},
        "text": {"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml'>x</div>"},
        "contained": [{"resourceType": "Organization", "id": "o", "name": "Their own"}],
    }
    (item,) = read_ndjson(tmp_path, sent).items
    if item.subject is None or item.heading is Heading.UNCLASSIFIED:
        return
    written = rendered(item)
    assert written["resourceType"] == kind
    assert written["meta"]["security"] == [{"system": "urn:x", "code": "SEX"}]
    text = json.dumps(written)
    for gone in ("x1", "Patient/p1", "Practitioner/1", "Their own", "urn:sender"):
        assert f'"{gone}"' not in text, gone
    assert f"Patient/{PERSON}" in text


def test_a_result_stands_as_the_value_beside_its_code() -> None:
    said = FULL | {"text": "120/80 mmHg", "status": "final"}
    written = rendered(CareItem(heading=Heading.OBSERVATION, **said))
    assert written["valueString"] == "120/80 mmHg"
    assert written["code"] == {
        "coding": [{"system": "http://snomed.info/sct", "code": "75367002", "display": "BP"}]
    }
    named = rendered(CareItem(heading=Heading.OBSERVATION, **FULL | {"text": "bp"}))
    assert "valueString" not in named


def test_reactions_are_shown_with_an_allergy() -> None:
    item = CareItem(heading=Heading.ALLERGY, **FULL, details={"reactions": ["Rash", "Hives"]})
    written = rendered(item)
    shown = [one["manifestation"][0]["text"] for one in written["reaction"]]
    assert shown == ["Rash", "Hives"]


# --- persons -----------------------------------------------------------------------------------

NUMBER = NhsNumberClaim("9990000018", NumberStatus.VERIFIED)
GP = ClientRecord(
    local_id="g1", nhs_number=NUMBER, names=(HumanName("Okafor", ("Martha",), NameUse.USUAL),),
    birth_date="1980-05-04", gender=Gender.FEMALE, birth_sex=Gender.FEMALE, ethnicity="N",
    addresses=(Address(("1 High Street",), "BS1 5TR", "1234"),),
    telecoms=(Telecom(TelecomSystem.PHONE, "0117 496 0001"),), gp_practice="L81001",
    identifiers=(Identifier("pas", "77"), Identifier("urn:x", "88")),
)  # fmt: skip
PAS = ClientRecord(
    local_id="77", nhs_number=NUMBER,
    names=(HumanName("Okafor", ("Martha",), NameUse.USUAL), HumanName("Bell", ("Marti",))),
    birth_date="1980-04-05", gender=Gender.OTHER, death=Death("2026-02-01"),
    addresses=(Address(("2 Low Street",), "BS9 9AA"),),
)  # fmt: skip


def test_what_sources_say_stands_side_by_side() -> None:
    shown = valid(patient(shared(records={"gp": GP, "pas": PAS})))
    names = {
        (one["family"], *one["given"]): [e["valueCode"] for e in one["extension"]]
        for one in shown["name"]
    }
    assert names == {("Okafor", "Martha"): ["pas", "gp"], ("Bell", "Marti"): ["pas"]}
    assert {one["postalCode"] for one in shown["address"]} == {"BS1 5TR", "BS9 9AA"}
    for one in shown["address"]:
        assert SOURCE in [extension["url"] for extension in one["extension"]]
    assert shown["birthDate"] == "1980-04-05"
    (other,) = shown["_birthDate"]["extension"]
    assert other["url"] == ALTERNATIVE
    assert {"url": "value", "valueDate": "1980-05-04"} in other["extension"]
    assert {"url": "source", "valueCode": "gp"} in other["extension"]
    assert shown["gender"] == "other"
    assert shown["deceasedDateTime"] == "2026-02-01"
    identifiers = {(one.get("system"), one["value"]) for one in shown["identifier"]}
    assert ("https://fhir.nhs.uk/Id/nhs-number", "9990000018") in identifiers
    assert ("urn:commonthread:source:gp", "g1") in identifiers
    assert ("urn:commonthread:person", PERSON) in identifiers
    assert len(identifiers) == len(shown["identifier"]), "each once"


def test_the_least_person_and_the_restricted_one() -> None:
    assert valid(patient(shared())) == {
        "resourceType": "Patient", "id": PERSON,
        "identifier": [
            {"use": "usual", "system": "urn:commonthread:person", "value": PERSON}
        ],
    }  # fmt: skip
    strip = frozenset({Obligation.STRIP_PLACES})
    hidden = shared(records={"gp": GP}, obligations=strip, labels=("restricted",))
    shown = valid(patient(hidden))
    assert shown["meta"]["security"][0]["code"] == "R"
    assert [tag["code"] for tag in shown["meta"]["tag"]] == ["restricted"]
    assert "urn:commonthread:source" not in json.dumps(shown)
    assert '"g1"' not in json.dumps(shown)


def test_a_restricted_person_s_item_names_no_source() -> None:
    strip = frozenset({Obligation.STRIP_PLACES})
    written = rendered(CareItem(heading=Heading.CONDITION, **FULL), obligations=strip)
    for gone in ("pas", "RA7", "Dr Who", "i1"):
        assert f'"{gone}"' not in json.dumps(written), gone
        assert not json.dumps(written["meta"]).count(gone)


# --- silence -----------------------------------------------------------------------------------


def test_each_silence_is_told_per_heading_and_source() -> None:
    states = {"gp": FeedState.CURRENT, "old": FeedState.STALE, "broken": FeedState.FAILED}
    record = shared(
        CareItem(heading=Heading.ALLERGY, **FULL | {"status": "active"}),
        sources=states, headings=frozenset({Heading.ALLERGY}),
    )  # fmt: skip
    told = [valid(one) for one in lists(record, lambda code: f"Name of {code}")]
    assert len({one["id"] for one in told}) == len(told)
    by_source = {
        extension["valueCode"]: one
        for one in told
        for extension in one["extension"]
        if extension["url"] == SOURCE
    }
    assert by_source["pas"]["entry"] == [{"item": {"reference": f"AllergyIntolerance/k{0:025}"}}]
    assert "emptyReason" not in by_source["pas"]
    reasons = {
        source: [coding["code"] for coding in one["emptyReason"]["coding"]]
        for source, one in by_source.items()
        if source != "pas"
    }
    assert reasons == {
        "gp": ["nothing-recorded"],
        "old": ["unavailable", "stale-since"],
        "broken": ["unavailable", "feed-failed"],
    }
    assert by_source["gp"]["note"] == [{"text": "nothing recorded: Name of gp"}]


def test_sources_that_are_silent_alike_share_a_list_that_names_them() -> None:
    states = {"gp": FeedState.CURRENT, "pas": FeedState.CURRENT}
    record = shared(sources=states, headings=frozenset({Heading.ALLERGY}))
    (told,) = lists(record, lambda code: f"Name of {code}")
    assert told["note"] == [{"text": "nothing recorded: Name of gp, Name of pas"}]


def test_what_is_present_on_another_page_is_not_said_to_be_empty() -> None:
    record = shared(
        headings=frozenset({Heading.ALLERGY}), present=frozenset({("pas", Heading.ALLERGY)})
    )
    (told,) = lists(record, str)
    assert valid(told)["note"] == [{"text": "present: pas"}]
    assert "emptyReason" not in told
    assert "entry" not in told


def test_none_known_is_said_only_where_a_source_said_so() -> None:
    none = FULL | {"status": "active", "codes": (Coding("716186003", "http://snomed.info/sct"),)}
    record = shared(
        CareItem(heading=Heading.ALLERGY, **none), headings=frozenset({Heading.ALLERGY})
    )
    (told,) = lists(record, str)
    assert "recorded as none" in json.dumps(told)


# --- how much is shown -------------------------------------------------------------------------


@pytest.mark.parametrize("summary", ["true", "text", "data"])
@pytest.mark.parametrize("heading", WRITTEN)
def test_summaries_of_each_heading_are_valid(heading: Heading, summary: str) -> None:
    record = shared(CareItem(heading=heading, **FULL))
    whole = resource(record.items[0], reference(record))
    less = valid(shaped(whole, summary, ()))
    assert set(less) <= set(whole)
    tagged = any(tag["code"] == "SUBSETTED" for tag in less["meta"].get("tag", ()))
    assert tagged is (set(less) != set(whole))


def test_elements_keep_what_is_asked_for_and_what_is_required() -> None:
    record = shared(CareItem(heading=Heading.OBSERVATION, **FULL))
    less = valid(shaped(resource(record.items[0], reference(record)), None, ("subject",)))
    assert set(less) == {"resourceType", "id", "meta", "status", "code", "subject"}
