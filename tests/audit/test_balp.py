"""Events as FHIR AuditEvent hold what IHE Basic Audit Log Patterns ask for, profile by profile."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from api.balp import Server
from api.render_audit import audit_events, conforms, id_of, leaf_of, pattern_of
from audit.actions import ACTIONS, Pattern
from audit.events import AuditEvent, EventOutcome
from schemas.dates import Instant
from schemas.identifiers import PersonId
from schemas.sharing import Call, SignedIn
from service.audit_ports import AuditQuery, Numbered
from tests.api.in_process import Api, Who, asked, matches
from tests.api.valid import valid
from tests.audit.balp_checklist import PREFIX, PROFILES, faults
from tests.service.sharing_world import AMY, ANN, EVE, MUM, STAFF, TOM, TRUST, asks, world

DOCTOR, NURSE, OFFICER, GP = (
    Who(*next(s for s in STAFF if s[0] == one), purpose=purpose)
    for one, purpose in (
        ("ST1", "direct-care"), ("ST2", "direct-care"), ("ST8", "audit"), ("ST6", "direct-care"),
    )
)  # fmt: skip
HERE = Server("Story", "http://api.example/fhir/R4")
SEVERAL = {"family": "Hidden", "birthdate": ["ge1980-01-01", "le2015-01-01"]}
CANARIES = ("Zqfamily", "9434765919", "BS1 5TR", "Hidden Row", "seen in the clinic")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, list[dict[str, Any]]]]:
    """The application after a day's work, and all its AuditEvents as the IG officer reads them."""
    folder = tmp_path_factory.mktemp("balp")
    with world(folder) as sharing, asked(sharing, folder / "keys") as api:
        work(api)
        pages, address = [], "AuditEvent?_count=20"
        while address:
            bundle = api.ask(OFFICER, address).json()
            pages += [one["resource"] for one in bundle["entry"]]
            address = next((x["url"] for x in bundle["link"] if x["relation"] == "next"), "")
        yield api, pages


def parameters(**values: str) -> dict[str, Any]:
    given = [{"name": name, "valueString": value} for name, value in values.items()]
    return {"resourceType": "Parameters", "parameter": given}


def work(api: Api) -> None:
    """What a day holds: reads, searches, refusals, an emergency, a wish, a system that takes."""
    assert api.ask(DOCTOR, f"Patient/{TOM}").status_code == 200
    assert api.ask(DOCTOR, f"Patient/{TOM}/$everything").status_code == 200
    listed = api.ask(DOCTOR, f"Condition?patient={TOM}&_include=Condition:patient")
    key = matches(listed)[0]["id"]
    assert api.ask(DOCTOR, f"Condition/{key}").status_code == 200
    assert len(matches(api.search(DOCTOR, "Patient", **SEVERAL))) == 2
    assert not matches(api.search(DOCTOR, "Patient", family="Zqfamily", birthdate="1980-05-04"))
    api.search(DOCTOR, "Patient", identifier="https://fhir.nhs.uk/Id/nhs-number|9434765919")
    described = {"resourceType": "Patient", "birthDate": "1980-05-04",
                 "name": [{"family": "Open", "given": ["Tom"]}]}  # fmt: skip
    api.ask(DOCTOR, "Patient/$match", "POST", json=described)
    api.ask(
        DOCTOR, "Patient/$ihe-pix", "POST",
        json=parameters(sourceIdentifier="https://fhir.nhs.uk/Id/nhs-number|9434765919"),
    )  # fmt: skip
    assert api.ask(DOCTOR, f"Patient/{MUM}").status_code == 403
    assert api.ask(DOCTOR, f"Patient/{MUM}/$everything").status_code == 200
    glass = {"resourceType": "Parameters", "parameter": [
        {"name": "reason", "valueCode": "life-at-risk"},
        {"name": "text", "valueString": "unconscious, seen in the clinic"}]}  # fmt: skip
    assert api.ask(DOCTOR, f"Patient/{MUM}/$break-glass", "POST", json=glass).status_code == 201
    assert api.ask(DOCTOR, f"Patient/{MUM}/$everything").status_code == 200
    claimed = api.ask(
        NURSE, f"Patient/{MUM}/$claim-relationship", "POST",
        json=parameters(text="seen in the clinic today"),
    )  # fmt: skip
    assert claimed.status_code in (201, 403)
    assert api.ask(OFFICER, f"AuditEvent?patient={TOM}").status_code == 200
    assert api.ask(OFFICER, "AuditEvent/leaf-0").status_code == 200
    assert api.ask(DOCTOR, "AuditEvent").status_code == 403
    wishes(api)
    taking(api)


def wishes(api: Api) -> None:
    from api.render_consent import consent
    from tests.service.sharing_world import DirectiveKind, wish  # type: ignore[attr-defined]

    made = consent(TOM, wish(DirectiveKind.OPT_OUT))
    made.pop("id")
    made["extension"] = [
        {"url": "urn:commonthread:extension:reason", "valueString": "seen in the clinic"}
    ]
    answer = api.ask(GP, "Consent", "POST", json=made, checked=False)
    assert answer.status_code in (201, 400, 403), answer.text


def taking(api: Api) -> None:
    """A partner's system, signed in by itself."""
    from dataclasses import replace

    who = api.sharing.requester(
        SignedIn(issuer="i", subject="labs", organisation=TRUST, role="integration",
                 purpose="direct-care", system=True)
    )  # fmt: skip
    call = Call("request-of-labs", "2001:db8::7", "labs", "GET Patient/{id}")
    api.sharing.read(replace(who, call=call), EVE)
    assert call.events == 1


def test_every_event_validates_and_holds_what_its_profile_asks_for(
    told: tuple[Api, list[dict[str, Any]]],
) -> None:
    _, events = told
    seen = set()
    for event in events:
        valid(event)
        for profile in event["meta"].get("profile", ()):
            name = profile.removeprefix(PREFIX)
            seen.add(name)
            assert not list(faults(event, name)), (name, list(faults(event, name)), event)
    assert seen >= {
        "Read", "PatientRead", "Query", "PatientQuery", "AuthZconsent", "PrivacyDisclosure.Source",
    }, seen  # fmt: skip


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_the_checklist_sees_what_is_missing(
    name: str, told: tuple[Api, list[dict[str, Any]]]
) -> None:
    """Each element that a profile asks for, taken away, is missed."""
    found = [e for e in told[1] if PREFIX + name in e["meta"].get("profile", ())]
    found = found or [example(name)]
    for element in ("type", "subtype", "action", "outcome", "source"):
        broken = {key: value for key, value in found[0].items() if key != element}
        assert list(faults(broken, name)), element
    for where, slices in (("agent", PROFILES[name].agents), ("entity", PROFILES[name].entities)):
        needed = sum(one.low for one in slices.values())
        for number in range(len(found[0][where])):
            broken = copy.deepcopy(found[0])
            gone = broken[where].pop(number)
            code = gone["type"].get("code") or gone["type"]["coding"][0]["code"]
            asked_for = [s for s in slices.values() if s.low and code in {c for _, c in s.types}]
            if asked_for and sum(
                code in {c for _, c in one.types} for one in slices.values() if one.low
            ):
                alike = [x for x in broken[where] if x["type"] == gone["type"]]
                assert list(faults(broken, name)) or alike, (where, code)
        assert needed


def example(name: str) -> dict[str, Any]:
    """An event of a pattern that the day's work does not hold, rendered from a bare event."""
    action = next(a for a, row in ACTIONS.items() if row.pattern == f"IHE.BasicAudit.{name}")
    (made,) = audit_events(numbered(action, persons=(TOM,), source="gp", feed="abcdef"), HERE)
    if name == "PrivacyDisclosure.Recipient":
        made["agent"][0]["network"] = {"address": "192.0.2.1", "type": "2"}
    assert not list(faults(made, name)), list(faults(made, name))
    return made


def numbered(
    action: str,
    outcome: EventOutcome = EventOutcome.PERMITTED,
    persons: tuple[PersonId, ...] = (),
    leaf: int = 7,
    **details: Any,
) -> Numbered:
    given = {"request": "r-1", "terminal": "192.0.2.7", "asked": "GET Patient/{id}", **details}
    event = AuditEvent(
        at=Instant("2026-11-02T12:00:00Z"), action=action, outcome=outcome, actor="ST1",
        role="doctor", purpose="direct-care", organisation=TRUST, persons=persons, details=given,
    )  # fmt: skip
    return Numbered(leaf=leaf, salt=b"s" * 32, event=event, told=b"")


@pytest.mark.parametrize("action", sorted(ACTIONS))
@pytest.mark.parametrize("outcome", list(EventOutcome))
def test_every_action_renders_whatever_its_end(action: str, outcome: EventOutcome) -> None:
    for persons in ((), (TOM,), (EVE, TOM)):
        one = numbered(action, outcome, persons)
        made = audit_events(one, HERE)
        assert len({event["id"] for event in made}) == len(made)
        for event in made:
            valid(event)
            assert leaf_of(event["id"]) == 7
            assert event["meta"]["tag"][0]["code"] == action
            for profile in event["meta"].get("profile", ()):
                assert not list(faults(event, profile.removeprefix(PREFIX)))
        named = {
            entity["what"]["reference"].removeprefix("Patient/")
            for event in made
            for entity in event.get("entity", ())
            if entity["type"]["code"] == "1"
        }
        assert named == set(persons)


def test_a_success_about_a_patient_claims_its_profile_and_an_old_event_claims_none() -> None:
    one = numbered("read", persons=(TOM,)).event
    assert conforms(one, Pattern.PATIENT_READ)
    (old,) = audit_events(numbered("read", persons=(TOM,), terminal=None), HERE)
    assert "profile" not in old["meta"]
    refused = numbered("items", EventOutcome.REFUSED, (TOM,)).event
    assert pattern_of(refused) is Pattern.CONSENT
    assert pattern_of(numbered("search").event) is Pattern.QUERY


def test_no_event_tells_what_was_searched_for_or_said(
    told: tuple[Api, list[dict[str, Any]]],
) -> None:
    api, events = told
    texts = [json.dumps(event) for event in events]
    texts += [
        base64.b64decode(entity["query"]).decode()
        for event in events
        for entity in event.get("entity", ())
        if "query" in entity
    ]
    held = [
        str(one.event)
        for page in api.sharing.store.find_numbered(AuditQuery())
        for one in page
    ]  # fmt: skip
    for canary in CANARIES:
        assert not [text for text in (*texts, *held) if canary.casefold() in text.casefold()]
    assert any("birthdate&family" in text for text in texts), "names of parameters are told"


def test_each_matched_person_is_in_the_event(told: tuple[Api, list[dict[str, Any]]]) -> None:
    """Of a search that matched several there is an AuditEvent for each, with one request's id."""
    api, events = told
    answer = api.search(DOCTOR, "Patient", **SEVERAL)
    shown = {one["id"] for one in matches(answer)}
    assert shown == {AMY, ANN}
    request = answer.headers["X-Request-ID"]
    for action, who in (("search", DOCTOR),):
        bundle = api.ask(OFFICER, f"AuditEvent?_tag={action}&agent={who.staff_id}&_count=1").json()
        mine = [one["resource"] for one in bundle["entry"]]
        assert bundle["entry"][0]["search"]["mode"] == "match"
        assert {one["search"]["mode"] for one in bundle["entry"][1:]} == {"include"}
        about = [
            entity["what"]["reference"].removeprefix("Patient/")
            for event in mine
            for entity in event["entity"]
            if entity["type"]["code"] == "1"
        ]
        assert set(about) >= shown
        assert len(about) == len(mine), "one patient an AuditEvent"
        assert {
            entity["what"]["identifier"]["value"]
            for event in mine
            for entity in event["entity"]
            if entity["type"]["code"] == "XrequestId"
        } == {request}
    by_name = {tag: [e for e in events if e["meta"]["tag"][0]["code"] == tag] for tag in
               ("match", "identify", "everything", "items")}  # fmt: skip
    for tag, found in by_name.items():
        assert any(
            entity["type"]["code"] == "1" for event in found for entity in event.get("entity", ())
        ), tag


def test_the_log_is_searched_by_its_clear_columns(told: tuple[Api, list[dict[str, Any]]]) -> None:
    api, _ = told
    store = api.sharing.store
    every = [one for page in store.find_numbered(AuditQuery()) for one in page]

    def asked_for(query: str) -> set[int]:
        found, address = set(), f"AuditEvent?_count=7&{query}"
        while address:
            bundle = api.ask(OFFICER, address).json()
            found |= {leaf_of(one["id"]) or 0 for one in matches_of(bundle)}
            address = next((x["url"] for x in bundle["link"] if x["relation"] == "next"), "")
        return {leaf for leaf in found if leaf < len(every)}

    for query, keep in (
        ("agent=ST1", lambda e: e.actor == "ST1"),
        (f"agent=urn:x|ST2&organisation={TRUST}", lambda e: e.actor == "ST2"),
        ("outcome=4", lambda e: e.outcome == "refused"),
        (
            "outcome=4&_tag=urn:commonthread:action|read",
            lambda e: (e.action, e.outcome) == ("read", "refused"),
        ),
        (f"patient={TOM}", lambda e: TOM in e.persons),
        ("date=2026-11-02", lambda e: True),
        ("date=lt2026-11-02", lambda e: False),
    ):
        assert asked_for(query) == {one.leaf for one in every if keep(one.event)}, query
    assert api.ask(OFFICER, "AuditEvent?_tag=nothing").status_code == 400


def matches_of(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    return [e["resource"] for e in bundle.get("entry", ()) if e["search"]["mode"] == "match"]


def test_one_event_is_read_by_its_id_and_of_several_persons_by_one(
    told: tuple[Api, list[dict[str, Any]]],
) -> None:
    api, events = told
    for event in (events[0], next(e for e in events if e["id"].count("-") == 2)):
        answer = api.ask(OFFICER, f"AuditEvent/{event['id']}")
        assert answer.status_code == 200
        assert answer.json() == event
    for strange in ("leaf-999999", "leaf-x", "leaf-0-abc", "x1", "leaf-99999999999999999999"):
        assert api.ask(OFFICER, f"AuditEvent/{strange}").status_code == 404
    assert api.ask(DOCTOR, "AuditEvent/leaf-0").status_code == 403
    one = numbered("search", persons=(EVE, TOM))
    assert id_of(one, TOM) != id_of(one, EVE)
    assert id_of(numbered("read", persons=(TOM,)), TOM) == "leaf-7"


def test_a_look_says_on_what_it_rested_and_what_was_shown(
    told: tuple[Api, list[dict[str, Any]]],
) -> None:
    api, _ = told
    looks = [
        one.event
        for page in api.sharing.store.find_numbered(AuditQuery(actions=frozenset({"everything"})))
        for one in page
    ]
    tom = next(e for e in looks if e.persons == (TOM,))
    assert tom.organisation == TRUST
    assert tom.details["relationship"] not in ("none", "break-glass")
    assert tom.details["basis"]
    assert "demographics" in tom.details["categories"]
    assert TRUST in tom.details["custodians"]
    mum = [e for e in looks if e.persons == (MUM,)]
    assert [(e.outcome.value, e.details["relationship"]) for e in mum] == [
        ("refused", "none"), ("permitted", "break-glass"),
    ]  # fmt: skip
    assert mum[1].details["break_glass"] == "life-at-risk"
    assert mum[1].details["basis"].startswith("claim-")
    glass = [
        one.event
        for page in api.sharing.store.find_numbered(AuditQuery(actions=frozenset({"break-glass"})))
        for one in page
    ]
    assert len(glass[0].details["words"]) == 32
    assert asks(api.sharing, "ST1").call is None
