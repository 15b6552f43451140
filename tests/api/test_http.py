"""The API over HTTP, by the real server: what works, what is claimed, what is refused."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from api.app import STEP
from api.outcomes import OUTCOMES
from api.route import Does, Route
from api.table import ROUTES
from api.words import HEADINGS_OF_TYPE
from tests.api.small_demo import DOCTOR, ELSEWHERE, OFFICER, PATIENT, SmallDemo
from tests.api.valid import valid


def code_of(answer: httpx.Response) -> str:
    (issue,) = answer.json()["issue"]
    return str(issue["details"]["coding"][0]["code"])


def entries(answer: httpx.Response, mode: str = "match") -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    held = answer.json().get("entry", [])
    return [one["resource"] for one in held if one["search"]["mode"] == mode]


# --- what is claimed is what works -------------------------------------------------------------


def test_metadata_lists_exactly_the_routes(served: SmallDemo) -> None:
    answer = served.client.get(f"{served.base}/metadata")
    statement = valid(answer.json())
    claimed = {
        (held["type"], one["code"])
        for held in statement["rest"][0]["resource"]
        for one in held["interaction"]
    }
    operations = {
        (held["type"], one["name"])
        for held in statement["rest"][0]["resource"]
        for one in held.get("operation", ())
    }
    assert claimed == {(r.kind, r.does.value) for r in ROUTES if r.does is not Does.OPERATION}
    assert operations == {(r.kind, r.operation) for r in ROUTES if r.does is Does.OPERATION}
    for held in statement["rest"][0]["resource"]:
        (search,) = [r for r in ROUTES if (r.kind, r.does) == (held["type"], Does.SEARCH)] or [None]
        told = {param["name"] for param in held.get("searchParam", ())}
        assert told == ({p.name for p in search.params if p.standard} if search else set())


@pytest.mark.parametrize(
    ("route", "form"),
    [(r, f) for r in ROUTES for f in r.forms],
    ids=lambda x: getattr(x, "path", ""),
)
def test_every_route_is_there_and_asks_for_a_token(
    served: SmallDemo, route: Route, form: Any
) -> None:
    answer = served.client.request(form.method, f"{served.base}/{form.path.format(id='x')}")
    assert (answer.status_code, code_of(answer)) == (401, "ACCESS_DENIED")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["Practitioner/1", "Patient/x/$nope", "nope", "Observation/x/y"])
def test_what_is_not_claimed_is_not_there(served: SmallDemo, path: str) -> None:
    answer = served.client.get(f"{served.base}/{path}")
    valid(answer.json())
    assert (answer.status_code, code_of(answer)) == (404, "NO_SUCH_ROUTE")


def test_a_method_that_a_route_does_not_have(served: SmallDemo) -> None:
    answer = served.client.delete(f"{served.base}/Patient/x")
    assert (answer.status_code, code_of(answer)) == (405, "METHOD_NOT_ALLOWED")


def test_the_openapi_lists_exactly_the_routes(served: SmallDemo) -> None:
    paths = served.client.get(f"{served.address}/openapi.json").json()["paths"]
    told = {
        (method.upper(), path.removeprefix("/fhir/R4/"))
        for path, methods in paths.items()
        for method in methods
        if path.startswith("/fhir/R4/") and "metadata" not in path and "smart" not in path
    }
    assert told == {(form.method, form.path) for route in ROUTES for form in route.forms}


# --- one record --------------------------------------------------------------------------------

SEARCHED = sorted(
    kind for kind in HEADINGS_OF_TYPE
    if kind not in ("Binary", "Consent", "MedicationAdministration", "MedicationDispense")
)  # fmt: skip


@pytest.mark.parametrize("kind", SEARCHED)
def test_each_type_is_searched_read_and_has_its_provenance(served: SmallDemo, kind: str) -> None:
    person = served.person(PATIENT)
    answer = served.search(
        kind, DOCTOR, patient=f"Patient/{person}", _revinclude="Provenance:target"
    )
    found = entries(answer)
    assert {one["resourceType"] for one in found} == {kind}
    assert answer.json()["total"] >= len(found) >= 1
    one = found[0]
    assert one["meta"]["source"] == "urn:commonthread:source:gp"
    provenance = [r for r in entries(answer, "include") if r["resourceType"] == "Provenance"]
    assert {r["id"] for r in provenance} == {r["id"] for r in found}
    assert any(r["resourceType"] == "List" for r in entries(answer, "include"))
    read = served.ask(f"{kind}/{one['id']}", DOCTOR)
    assert read.json() == one
    told = served.ask(f"Provenance/{one['id']}", DOCTOR)
    assert told.json()["target"] == [{"reference": f"{kind}/{one['id']}"}]
    other = "Observation" if kind != "Observation" else "Condition"
    assert served.ask(f"{other}/{one['id']}", DOCTOR).status_code == 404


def test_the_whole_record_page_by_page(served: SmallDemo) -> None:
    person = served.person(PATIENT)
    answer = served.ask(f"Patient/{person}/$everything?_count=20", DOCTOR)
    seen: list[str] = []
    pages = 0
    while True:
        pages += 1
        seen += [
            one["id"] for one in entries(answer)
            if one["resourceType"] not in ("Patient",)
        ]  # fmt: skip
        links = {link["relation"]: link["url"] for link in answer.json()["link"]}
        if "next" not in links:
            break
        assert re.fullmatch(r"http://[^?]+\?_cursor=[\w-]+", links["next"])
        path = links["next"].removeprefix(f"{served.base}/")
        answer = served.ask(path, DOCTOR)
    assert pages == 4
    assert len(seen) == len(set(seen)) == answer.json()["total"] == 77


def test_a_page_is_not_another_s(served: SmallDemo) -> None:
    person = served.person(PATIENT)
    answer = served.ask(f"Patient/{person}/$everything?_count=20", DOCTOR)
    (link,) = [one["url"] for one in answer.json()["link"] if one["relation"] == "next"]
    stolen = served.ask(link.removeprefix(f"{served.base}/"), ELSEWHERE)
    assert (stolen.status_code, code_of(stolen)) == (400, "INVALID_CURSOR")


def test_filters_and_totals(served: SmallDemo) -> None:
    person = served.person(PATIENT)
    january = served.search(
        "Observation", DOCTOR, patient=person, date=["ge2025-01", "le2025-01-31"]
    )
    assert january.json()["total"] == len(entries(january)) == 5
    assert all(one["effectiveDateTime"].startswith("2025-01") for one in entries(january))
    none = served.search("Observation", DOCTOR, patient=person, status="preliminary")
    assert none.json()["total"] == 0
    counted = served.search("Observation", DOCTOR, patient=person, _summary="count")
    assert counted.json() == {"resourceType": "Bundle", "type": "searchset", "total": 60}
    coded = served.search(
        "Observation", DOCTOR, patient=person, code="http://snomed.info/sct|38341003"
    )
    assert coded.json()["total"] == 60
    few = served.search("Observation", DOCTOR, patient=person, _count="7", _elements="status")
    assert len(entries(few)) == 7
    assert set(entries(few)[0]) == {"resourceType", "id", "meta", "status", "code"}


def test_if_none_match(served: SmallDemo) -> None:
    person = served.person(PATIENT)
    first = served.ask(f"Patient/{person}", DOCTOR)
    tag = first.headers["ETag"]
    again = served.ask(f"Patient/{person}", DOCTOR, headers={"If-None-Match": f'W/"x", {tag}'})
    assert (again.status_code, again.content) == (304, b"")
    other = served.ask(f"Patient/{person}", DOCTOR, headers={"If-None-Match": 'W/"x"'})
    assert other.status_code == 200


def test_gzip_and_request_ids(served: SmallDemo) -> None:
    person = served.person(PATIENT)
    answer = served.ask(
        f"Patient/{person}/$everything", DOCTOR, headers={"X-Request-ID": "abcd-1234-efgh"}
    )
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["X-Request-ID"] == "abcd-1234-efgh"
    assert answer.headers["Cache-Control"] == "no-store"
    strange = served.ask("Patient/x", DOCTOR, headers={"X-Request-ID": "a b\tc"})
    assert re.fullmatch(r"[0-9a-f-]{36}", strange.headers["X-Request-ID"])


# --- errors ------------------------------------------------------------------------------------

NHS = "https://fhir.nhs.uk/Id/nhs-number"
BORN_X = {"resourceType": "Patient", "birthDate": "x"}
LONG = {"resourceType": "Patient", "x": "y" * 300_000}
TWO = {"identifier": "a|b", "family": "X"}
MATCH: dict[str, Any] = {"resourceType": "Parameters", "parameter": []}
ERRORS: list[tuple[str, str, dict[str, Any], str]] = [
    ("GET", "Patient/9990000018", {}, "USE_POST_SEARCH"),
    ("GET", f"Patient?identifier={NHS}|9990000018", {}, "USE_POST_SEARCH"),
    ("GET", "Patient?family=Okafor&birthdate=1980-05-04", {}, "USE_POST_SEARCH"),
    ("GET", "Patient/$ihe-pix?sourceIdentifier=urn:x|1", {}, "USE_POST_SEARCH"),
    ("GET", "Patient/..%2f..%2fetc", {}, "NO_SUCH_ROUTE"),
    ("GET", "Patient/a'%20OR%20'1'='1", {}, "RESOURCE_NOT_FOUND"),
    ("GET", "Observation/%00", {}, "RESOURCE_NOT_FOUND"),
    ("GET", "Patient/x", {}, "RESOURCE_NOT_FOUND"),
    ("GET", "Patient/x/$everything", {}, "RESOURCE_NOT_FOUND"),
    ("GET", "Observation?patient=x", {}, "RESOURCE_NOT_FOUND"),
    ("GET", "Observation", {}, "MISSING_VALUE"),
    ("GET", "Observation?patient=Group/x", {}, "INVALID_VALUE"),
    ("GET", "Observation?patient=x&_cursor=abc", {}, "INVALID_CURSOR"),
    ("GET", "Observation?patient=x&nope=1", {}, "ADDITIONAL_PROPERTIES"),
    ("GET", "Observation?patient=x&date=%27;DROP", {}, "INVALID_VALUE"),
    ("GET", "Observation?patient=x&_format=xml", {}, "NOT_ACCEPTABLE"),
    ("GET", "Observation?patient=x%ff", {}, "INVALID_VALUE"),
    ("GET", "Patient/x", {"headers": {"Accept": "application/fhir+xml"}}, "NOT_ACCEPTABLE"),
    ("GET", "Patient/x", {"headers": {"Purpose-Of-Use": "safeguarding"}}, "PURPOSE_NEEDED"),
    ("GET", "Patient/x", {"headers": {"Emergency-Declared": "perhaps"}}, "INVALID_VALUE"),
    ("GET", "Patient/x", {"headers": {"Authorization": "Bearer a.b.c"}}, "INVALID_TOKEN"),
    ("GET", "Patient/x", {"headers": {"Authorization": "Basic YTpi"}}, "ACCESS_DENIED"),
    ("POST", "Patient/_search", {"json": {}}, "UNSUPPORTED_MEDIA_TYPE"),
    ("POST", "Patient/_search", {"data": {"family": "Okafor"}}, "INVALID_SEARCH_DATA"),
    ("POST", "Patient/_search", {"data": {"family": "O*", "birthdate": "1980"}}, "INVALID_VALUE"),
    ("POST", "Patient/_search", {"data": {"identifier": "9990000018"}}, "INVALID_VALUE"),
    ("POST", "Patient/_search", {"data": TWO}, "INVALID_SEARCH_DATA"),
    ("POST", "Patient/$match", {"content": b"{"}, "UNSUPPORTED_MEDIA_TYPE"),
    ("POST", "Patient/$match", {"json": [1]}, "INVALID_RESOURCE"),
    ("POST", "Patient/$match", {"json": {"resourceType": "Observation"}}, "INVALID_RESOURCE"),
    ("POST", "Patient/$match", {"json": MATCH}, "INVALID_RESOURCE"),
    ("POST", "Patient/$match", {"json": {"resourceType": "Patient"}}, "UNSUPPORTED_SERVICE"),
    ("POST", "Patient/$match", {"json": BORN_X}, "INVALID_VALUE"),
    ("POST", "Patient/$match", {"json": LONG}, "TOO_LONG"),
    ("POST", "Patient/x/$break-glass", {"json": MATCH}, "MISSING_VALUE"),
    ("POST", "Consent", {"json": {"resourceType": "Consent"}}, "INVALID_RESOURCE"),
    ("GET", "AuditEvent", {}, "NOT_PERMITTED"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "more", "code"), ERRORS)
def test_errors(served: SmallDemo, method: str, path: str, more: Any, code: str) -> None:
    answer = served.ask(path, DOCTOR, method=method, **more)
    assert (answer.status_code, code_of(answer)) == (OUTCOMES[code].status, code)
    assert "Okafor" not in answer.text
    assert "9990000018" not in answer.text


def test_a_scope_that_is_missing_is_named(served: SmallDemo) -> None:
    token = served.token(DOCTOR, scopes="user/Patient.rs")
    answer = served.client.get(
        f"{served.base}/Condition/x", headers={"Authorization": f"Bearer {token}"}
    )
    assert (answer.status_code, code_of(answer)) == (403, "INSUFFICIENT_SCOPE")
    assert "user/Condition.r" in answer.text


def test_scopes_narrow_the_whole_record_and_its_total(served: SmallDemo) -> None:
    person = served.person(PATIENT)
    token = served.token(DOCTOR, scopes="user/Patient.r user/Condition.r")
    answer = served.client.get(
        f"{served.base}/Patient/{person}/$everything", headers={"Authorization": f"Bearer {token}"}
    )
    assert {one["resourceType"] for one in entries(answer)} == {"Patient", "Condition"}
    assert answer.json()["total"] == 1


@pytest.mark.parametrize(
    ("kind", "form"),
    [("Patient", {"family": "Nemo", "birthdate": "1911-11-11"}), ("Observation", {"patient": "x"})],
)
def test_how_long_it_took_to_find_nothing_does_not_show(
    served: SmallDemo, kind: str, form: Any
) -> None:
    for _ in range(5):
        answer = served.search(kind, DOCTOR, **form)
        assert answer.elapsed.total_seconds() >= STEP


# --- what may be told, and what was written down -----------------------------------------------


def test_without_a_relationship_whom_to_ring_is_told(served: SmallDemo) -> None:
    person = served.person(PATIENT)
    answer = served.ask(f"Patient/{person}", ELSEWHERE)
    assert answer.status_code == 403
    assert "Ring" in answer.text
    for value in ("Okafor", "BS1 4QA", "0117 496 0777"):
        assert value not in answer.text


def test_an_officer_reads_what_was_asked(served: SmallDemo) -> None:
    person = served.person(PATIENT)
    served.ask(f"Patient/{person}", DOCTOR)
    answer = served.search("AuditEvent", OFFICER, "audit", patient=person)
    events = entries(answer)
    assert answer.json()["total"] >= len(events) > 0
    who = [agent["who"] for event in events for agent in event["agent"]]
    staff = {one["identifier"]["value"] for one in who if "identifier" in one}
    assert staff & {"ST1", "ST3", "ST4"}
    assert {e["purposeOfEvent"][0]["coding"][0]["code"] for e in events} >= {"TREAT"}


def test_counts_hold_no_values(served: SmallDemo) -> None:
    person = served.person(PATIENT)
    served.ask(f"Patient/{person}", DOCTOR)
    counts = served.client.get(f"{served.address}/metrics").text
    assert 'commonthread_requests_total{route="read Patient",status="200"}' in counts
    assert person not in counts


def test_health(served: SmallDemo) -> None:
    for path in ("healthz", "readyz"):
        assert served.client.get(f"{served.address}/{path}").status_code == 200
