"""Searching for persons over HTTP, as spec tables: the Personal Demographics Service's behaviours,
IHE PDQm $match (ITI-119) and IHE PIXm (ITI-83)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.small_demo import DOCTOR, HIDDEN, NAMESAKES, PATIENT, SmallDemo
from tests.api.test_http import code_of, entries
from tests.functional.small import Client, nhs_number

PEOPLE = {"martha": PATIENT, "pearl 1": NAMESAKES[0], "pearl 2": NAMESAKES[1], "hester": HIDDEN}
MARTHA = {"family": "Okafor", "given": "Martha", "birthdate": "1980-05-04"}
PEARL = {"family": "Quince", "birthdate": "1962-02-03"}
HESTER = {"family": "Harbour", "birthdate": "1975-06-07"}


def named(served: SmallDemo, answer: httpx.Response) -> set[str]:
    """Who is in an answer."""
    ids = {served.person(client): name for name, client in PEOPLE.items()}
    return {ids.get(one["id"], "somebody else") for one in entries(answer)}


FOUND: list[tuple[str, dict[str, Any], set[str]]] = [
    # what is tried, the parameters, who is found
    ("exactly", MARTHA, {"martha"}),
    ("in another case", MARTHA | {"family": "OKAFOR"}, {"martha"}),
    ("a slip is not exact", MARTHA | {"family": "Okafar"}, set()),
    ("a slip, fuzzily", MARTHA | {"family": "Okafar", "_fuzzy-match": "true"}, {"martha"}),
    ("two of a name", PEARL, {"pearl 1", "pearl 2"}),
    ("two of a name, one postcode", PEARL | {"address-postalcode": "BS5 1AA"}, {"pearl 1"}),
    ("two of a name, one telephone", PEARL | {"phone": "0117 496 0802"}, {"pearl 2"}),
    ("a wildcard", MARTHA | {"family": "Oka*"}, {"martha"}),
    ("a wildcard in the given name", MARTHA | {"given": "Ma*"}, {"martha"}),
    ("a wildcard that fits nobody", MARTHA | {"given": "Mi*"}, set()),
    ("a range of birth dates", MARTHA | {"birthdate": ["ge1980-05-01", "le1980-05-31"]},
     {"martha"}),
    ("a range beside it", MARTHA | {"birthdate": ["ge1980-06-01", "le1980-06-30"]}, set()),
    ("a month", MARTHA | {"birthdate": "1980-05"}, {"martha"}),
    ("a gender that is not theirs", MARTHA | {"gender": "male"}, set()),
    ("only what is current", MARTHA | {"_exact-match": "true"}, {"martha"}),
    ("a restricted person by name", HESTER, {"hester"}),
    ("a restricted person by postcode", HESTER | {"address-postalcode": "BS7 3CC"}, set()),
    ("a restricted person by telephone", HESTER | {"phone": "0117 496 0803"}, set()),
    ("a restricted person by e-mail", HESTER | {"email": "h@x.org"}, set()),
    ("a restricted person by practice", HESTER | {"general-practitioner": "RA7"}, set()),
    ("nobody", {"family": "Nemo", "birthdate": "1911-11-11"}, set()),
]  # fmt: skip


@pytest.mark.parametrize(("_", "form", "found"), FOUND, ids=[case[0] for case in FOUND])
def test_who_is_found(served: SmallDemo, _: str, form: Any, found: set[str]) -> None:
    answer = served.search("Patient", DOCTOR, **form)
    assert named(served, answer) == found
    assert answer.json()["total"] == len(found)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"family": "Okafor"}, "INVALID_SEARCH_DATA"),
    ({"given": "Martha", "birthdate": "1980-05-04"}, "INVALID_SEARCH_DATA"),
    (MARTHA | {"family": "O*"}, "INVALID_VALUE"),
    (MARTHA | {"_max-results": "51"}, "INVALID_VALUE"),
    (MARTHA | {"_max-results": "0"}, "INVALID_VALUE"),
    (MARTHA | {"birthdate": "04-05-1980"}, "INVALID_VALUE"),
    (MARTHA | {"birthdate": ["ge1990", "le1980"]}, "INVALID_VALUE"),
    (MARTHA | {"surname": "Okafor"}, "ADDITIONAL_PROPERTIES"),
    (MARTHA | {"_fuzzy-match": "true", "_exact-match": "true"}, "INVALID_SEARCH_DATA"),
]


@pytest.mark.parametrize(("form", "code"), REFUSED)
def test_searches_that_are_refused(served: SmallDemo, form: Any, code: str) -> None:
    answer = served.search("Patient", DOCTOR, **form)
    assert (answer.status_code, code_of(answer)) == (400, code)


@pytest.mark.parametrize(
    ("form", "too_many"),
    [
        ({"family": "Throngley", "birthdate": "1990-01-02"}, True),
        (PEARL | {"_max-results": "1"}, True),
        (PEARL | {"_max-results": "2"}, False),
    ],
)
def test_too_many_matches_show_nobody(served: SmallDemo, form: Any, too_many: bool) -> None:
    answer = served.search("Patient", DOCTOR, **form)
    assert answer.status_code == 200
    if too_many:
        assert code_of(answer) == "TOO_MANY_MATCHES"
        assert "Throngley" not in answer.text
    else:
        assert len(entries(answer)) == 2


def test_a_restricted_person_is_found_and_nothing_says_where(served: SmallDemo) -> None:
    (found,) = entries(served.search("Patient", DOCTOR, **HESTER))
    assert found["meta"]["security"][0]["code"] == "R"
    text = str(found)
    for where in (HIDDEN.street, HIDDEN.postcode, HIDDEN.phone, HIDDEN.email, "RA7", "pas"):
        assert where not in text


def test_by_identifier(served: SmallDemo) -> None:
    number = f"https://fhir.nhs.uk/Id/nhs-number|{PATIENT.nhs_number}"
    assert named(served, served.search("Patient", DOCTOR, identifier=number)) == {"martha"}
    local = served.search("Patient", DOCTOR, identifier="urn:commonthread:source:pas|M1")
    assert named(served, local) == {"martha"}
    by_id = served.search("Patient", DOCTOR, _id=served.person(PATIENT))
    assert named(served, by_id) == {"martha"}
    nobody = served.search("Patient", DOCTOR, _id="p0000000000000000")
    assert nobody.json()["total"] == 0


# --- ITI-119 -----------------------------------------------------------------------------------


def described(client: Client, **changes: Any) -> dict[str, Any]:
    """A Patient that says all that is known of somebody."""
    number = {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": client.nhs_number}
    whole = {
        "resourceType": "Patient",
        "identifier": [number],
        "name": [{"family": client.family, "given": [client.given]}],
        "birthDate": client.birth_date,
        "gender": client.gender,
        "address": [{"line": [client.street], "postalCode": client.postcode}],
        "telecom": [{"system": "phone", "value": client.phone}],
    } | changes
    return {name: value for name, value in whole.items() if value is not None}


BY_NAME = {"identifier": None, "address": None, "telecom": None}
STRANGER = Client("X", "Boris", "Zzyzx", "1931-01-02", nhs_number="", street="9 No Road",
                  postcode="EX1 1AA", phone="01392 000000")  # fmt: skip
LIKE_HER = described(
    PATIENT, identifier=None, telecom=None, name=[{"family": "Smith", "given": ["Martha"]}]
)
CASES: list[tuple[int, Any, dict[str, Any], list[tuple[str, str]]]] = [
    # case of 2:3.119.4.1.3, who is described, other parameters, who is answered and how graded
    (1, described(PATIENT), {}, [("martha", "certain")]),
    (2, described(NAMESAKES[0], **BY_NAME), {}, [("pearl 1", "possible"), ("pearl 2", "possible")]),
    (3, described(PATIENT), {"onlyCertainMatches": True}, [("martha", "certain")]),
    (4, LIKE_HER, {"onlyCertainMatches": True}, []),
    (5, described(NAMESAKES[0], **BY_NAME), {"onlyCertainMatches": True}, []),
    (6, described(NAMESAKES[0], **BY_NAME), {"count": 1}, [("pearl", "possible")]),
    (7, described(STRANGER, identifier=None), {}, []),
]


def parameters(patient: Any, more: dict[str, Any]) -> dict[str, Any]:
    kinds = {"onlyCertainMatches": "valueBoolean", "count": "valueInteger"}
    held = [{"name": "resource", "resource": patient}]
    held += [{"name": name, kinds[name]: value} for name, value in more.items()]
    return {"resourceType": "Parameters", "parameter": held}


def match(served: SmallDemo, body: dict[str, Any]) -> httpx.Response:
    return served.ask("Patient/$match", DOCTOR, method="POST", json=body)


@pytest.mark.parametrize(
    ("case", "patient", "more", "expected"), CASES, ids=[f"case {case[0]}" for case in CASES]
)
def test_iti_119(
    served: SmallDemo, case: int, patient: Any, more: Any, expected: list[tuple[str, str]]
) -> None:
    answer = match(served, parameters(patient, more))
    assert answer.status_code == 200
    ids = {served.person(client): name for name, client in PEOPLE.items()}
    found = [
        (ids[one["resource"]["id"]], one["search"]["extension"][0]["valueCode"])
        for one in answer.json().get("entry", ())
        if one["search"]["mode"] == "match"
    ]
    scores = [
        one["search"]["score"]
        for one in answer.json().get("entry", ())
        if one["search"]["mode"] == "match"
    ]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    if case == 6:
        assert [(name.split()[0], grade) for name, grade in found] == expected
        (warned,) = entries(answer, "outcome")
        assert warned["issue"][0]["severity"] == "warning"
    else:
        assert sorted(found) == sorted(expected)


def test_case_4_is_a_match_that_is_not_certain(served: SmallDemo) -> None:
    (one,) = match(served, LIKE_HER).json()["entry"]
    assert one["search"]["extension"][0]["valueCode"] in ("probable", "possible")


def test_iti_119_case_8_a_deprecated_record_is_not_in_the_answer(served: SmallDemo) -> None:
    answer = match(served, described(PATIENT))
    assert all("active" not in one for one in entries(answer))
    assert named(served, answer) == {"martha"}


def test_iti_119_case_9_an_issue_is_an_operation_outcome(served: SmallDemo) -> None:
    answer = match(served, described(PATIENT, birthDate="not a date"))
    assert (answer.status_code, code_of(answer)) == (400, "INVALID_VALUE")
    assert "not a date" not in answer.text


def test_iti_119_case_10_a_warning_stands_beside_the_answer(served: SmallDemo) -> None:
    answer = match(served, parameters(described(NAMESAKES[1], **BY_NAME), {"count": 1}))
    assert len(entries(answer)) == 1
    (warned,) = entries(answer, "outcome")
    assert {issue["severity"] for issue in warned["issue"]} == {"warning"}


# --- ITI-83 ------------------------------------------------------------------------------------

NHS = "https://fhir.nhs.uk/Id/nhs-number"
PERSON = "urn:commonthread:person"
CROSS: list[tuple[str, str | None, str | int]] = [
    # the identifier, the target system, what is answered
    (f"{NHS}|{PATIENT.nhs_number}", None, "found"),
    (f"{NHS}|{PATIENT.nhs_number}", PERSON, "found"),
    ("urn:commonthread:source:pas|M1", NHS, "found"),
    (f"{NHS}|{PATIENT.nhs_number}", "urn:commonthread:source:acute", "nothing"),
    ("urn:nobody|1", None, "SOURCE_SYSTEM_NOT_FOUND"),
    (f"{NHS}|{nhs_number(900)}", None, "IDENTIFIER_NOT_FOUND"),
    (f"{NHS}|{PATIENT.nhs_number}", "urn:nobody", "TARGET_SYSTEM_NOT_FOUND"),
]


@pytest.mark.parametrize(("source", "target", "answered"), CROSS)
def test_iti_83(served: SmallDemo, source: str, target: str | None, answered: str) -> None:
    held = [{"name": "sourceIdentifier", "valueString": source}]
    held += [{"name": "targetSystem", "valueUri": target}] if target else []
    body = {"resourceType": "Parameters", "parameter": held}
    answer = served.ask("Patient/$ihe-pix", DOCTOR, method="POST", json=body)
    if answered not in ("found", "nothing"):
        assert code_of(answer) == answered
        return
    assert answer.status_code == 200
    names = {one["name"] for one in answer.json().get("parameter", ())}
    assert bool(names) is (answered == "found")
    for one in answer.json().get("parameter", ()):
        if one["name"] == "targetIdentifier" and target:
            assert one["valueIdentifier"]["system"] == target
