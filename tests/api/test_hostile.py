"""What is tried at the door: purposes that a token does not carry, bodies that are meant to cost,
ids that no database takes, a log that fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from api.asked import MOST_ELEMENTS
from api.claims import signed_in
from api.outcomes import Refused
from api.tokens import Checked
from audit.events import AuditEvent
from schemas.errors import StoreError
from schemas.identifiers import OdsCode
from schemas.settings_api import ClientSettings
from schemas.sharing import DirectiveKind, Targets
from tests.api.in_process import Api, Who, asked, code_of, matches
from tests.api.signing import PROVIDER, claims
from tests.service.sharing_world import MUM, STAFF, TOM, TRUST, last_event, lay_down, wish, world

DOCTOR, NURSE, GP = (Who(*next(s for s in STAFF if s[0] == one)) for one in ("ST1", "ST2", "ST6"))
PATIENT = {"resourceType": "Patient", "birthDate": "1980-05-04"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("hostile")
    with world(folder) as sharing, asked(sharing, folder / "keys") as opened:
        yield opened


def given(**values: str) -> dict[str, Any]:
    told = [{"name": name, "valueString": value} for name, value in values.items()]
    return {"resourceType": "Parameters", "parameter": told}


# --- sign-in --------------------------------------------------------------------------------------

CLIENT = ClientSettings(
    id="labs", organisation=OdsCode("RA7"), role="integration",
    purposes=("direct-care", "audit"),
)  # fmt: skip


def system(purpose: Any = None, **changes: Any) -> str:
    provider = replace(PROVIDER, clients=(CLIENT,), purpose="purpose_of_use", **changes)
    held = claims(client_id="labs", sub="labs") | ({"purpose_of_use": purpose} if purpose else {})
    return signed_in(Checked(provider, held), "direct-care", emergency=False).purpose


def test_a_purpose_that_nobody_knows_is_not_every_purpose() -> None:
    assert system() == system("TREAT") == "direct-care"
    for purpose in ("HMARKT", ["HMARKT"], "HCOMPL", [{"code": "x"}]):
        with pytest.raises(Refused) as refused:
            system(purpose)
        assert refused.value.code == "PURPOSE_NEEDED"


def test_a_token_of_a_member_of_staff_is_no_systems_for_want_of_a_subject() -> None:
    held = claims(client_id="labs", uid="ST000001")
    del held["sub"]
    provider = replace(PROVIDER, clients=(CLIENT,), staff_id="uid")
    found = signed_in(Checked(provider, held), "direct-care", emergency=False)
    assert (found.system, found.subject, found.role) == (False, "ST000001", "doctor")


def test_a_purpose_that_the_token_does_not_carry_is_refused_and_written_down(api: Api) -> None:
    answer = api.ask(DOCTOR, f"Patient/{TOM}", headers={"Purpose-Of-Use": "audit"})
    assert (answer.status_code, code_of(answer)) == (403, "PURPOSE_NEEDED")
    event = last_event(api.sharing)
    assert (event.actor, event.outcome, event.action) == ("ST1", "refused", "read")
    assert event.details["reason"] == "PURPOSE_NEEDED"


# --- what is sent ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        {"name": [{"family": "Open"}] * (MOST_ELEMENTS + 1)},
        {"name": [{"family": "Open", "given": ["Tom"] * (MOST_ELEMENTS + 1)}]},
        {"telecom": [{"system": "phone", "value": "1"}] * (MOST_ELEMENTS + 1)},
        {"name": [{"family": "O" * 1_001}]},
        {"name": [{"family": "O\0pen"}]},
        {"birthDate": "1980-05-04\0"},
    ],
)
def test_nobody_is_described_without_end(api: Api, more: dict[str, Any]) -> None:
    answer = api.ask(DOCTOR, "Patient/$match", "POST", json=PATIENT | more)
    assert (answer.status_code, code_of(answer)) == (400, "INVALID_RESOURCE")


def test_ids_that_no_database_takes_are_refused(api: Api) -> None:
    for source in ("urn:commonthread:person|p\0", "urn:commonthread:source:gp|" + "x" * 1_001):
        answer = api.ask(DOCTOR, "Patient/$ihe-pix", "POST", json=given(sourceIdentifier=source))
        assert (answer.status_code, code_of(answer)) == (400, "INVALID_VALUE")
    for person in ("p\0", "p" * 65, "p' OR 1=1 --"):
        body = {"resourceType": "Consent", "patient": {"reference": f"Patient/{person}"}}
        answer = api.ask(DOCTOR, "Consent", "POST", json=body)
        assert (answer.status_code, code_of(answer)) == (400, "INVALID_RESOURCE")


def test_a_number_for_a_request_id_does_not_reach_the_log(api: Api) -> None:
    kept = api.ask(DOCTOR, f"Patient/{TOM}", headers={"X-Request-ID": "abcdef-123"})
    assert kept.headers["X-Request-ID"] == "abcdef-123"
    number = api.ask(DOCTOR, f"Patient/{TOM}", headers={"X-Request-ID": "9434765919"})
    assert number.headers["X-Request-ID"] != "9434765919"


# --- who is there ---------------------------------------------------------------------------------


def test_broken_glass_and_claims_do_not_tell_who_is_there(api: Api) -> None:
    """Of somebody whom the nurse is barred from, and of nobody."""
    targets = Targets(staff=frozenset({"ST2"}))
    lay_down(api.sharing, MUM, directive=wish(DirectiveKind.BAR_STAFF, targets=targets))
    words = "brought in by ambulance"
    for operation, body in (
        ("break-glass", given(reason="curiosity", text=words)),
        ("break-glass", given(reason="unconscious", text="short")),
        ("break-glass", given(reason="unconscious", text=words)),
        ("break-glass", given(reason="unconscious", text=words, secondPerson="ST1")),
        ("claim-relationship", given(text="short")),
        ("claim-relationship", given(text=words)),
    ):
        answers = [
            api.ask(NURSE, f"Patient/{person}/${operation}", "POST", json=body)
            for person in (MUM, "pnobody")
        ]
        assert answers[0].status_code == answers[1].status_code
        assert answers[0].content == answers[1].content
    assert api.sharing.store.claims(unreviewed=False) == []


def test_a_denial_that_is_not_to_be_told_is_not_found_among_the_wishes(api: Api) -> None:
    targets = Targets(staff=frozenset({"ST6"}))
    kept = lay_down(
        api.sharing, TOM, directive=wish(DirectiveKind.PARTY, targets=targets, invisible=True)
    )
    name = f"d{kept.provision_id}"
    assert matches(api.search(GP, "Consent", patient=TOM)) == []
    nothing = {"resourceType": "Parameters"}
    for path, method, more in (
        ("Consent/{}", "GET", {}), ("Consent/{}/$end", "POST", {"json": nothing}),
    ):  # fmt: skip
        hidden = api.ask(GP, path.format(name), method, **more)
        absent = api.ask(GP, path.format("d999"), method, **more)
        assert (hidden.status_code, hidden.content) == (404, absent.content)


# --- a log that fails -----------------------------------------------------------------------------


def test_where_the_log_fails_nothing_is_shown_and_it_is_said_whom_to_ring(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(event: AuditEvent) -> None:
        raise StoreError("database: the operation failed (DiskFull); nothing of it was kept")

    monkeypatch.setattr(api.sharing.store, "append_event", fails)
    asks = (
        api.ask(DOCTOR, f"Patient/{TOM}"),
        api.ask(DOCTOR, f"Patient/{TOM}/$everything"),
        api.search(DOCTOR, "AllergyIntolerance", patient=TOM),
        api.search(DOCTOR, "Patient", family="Open", birthdate="1980-05-04"),
        api.ask(DOCTOR, "Patient/$match", "POST", json=PATIENT | {"name": [{"family": "Open"}]}),
        api.ask(DOCTOR, f"Patient/{TOM}", headers={"Purpose-Of-Use": "audit"}),
    )
    for answer in asks:
        assert (answer.status_code, code_of(answer)) == (503, "LOG_FAILED")
        assert "ring the IG officer" in answer.json()["issue"][0]["diagnostics"]
        assert TOM not in answer.text
        assert "DiskFull" not in answer.text
    assert str(TRUST) not in asks[0].text


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RuntimeError("NHS number 9990000018"), 500, "UNFORESEEN"),
        (StoreError("database: the operation failed"), 503, "UNAVAILABLE"),
    ],
)
def test_who_asked_is_written_down_though_they_cannot_be_looked_up(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    status: int,
    code: str,
) -> None:
    def fails(_: object) -> None:
        raise error

    monkeypatch.setattr(api.sharing, "requester", fails)
    answer = api.ask(DOCTOR, f"Patient/{TOM}")
    assert (answer.status_code, code_of(answer)) == (status, code)
    event = last_event(api.sharing)
    assert (event.actor, event.action, event.outcome) == (DOCTOR.staff_id, "read", "failed")
    assert event.details["reason"] == code
    assert event.details["request"] == answer.headers["X-Request-ID"]
    assert "9990000018" not in answer.text + caplog.text


def test_where_writing_fails_as_nobody_foresaw_it_is_answered_as_every_error(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(event: AuditEvent) -> None:
        raise RuntimeError("NHS number 9990000018")

    monkeypatch.setattr(api.sharing.store, "append_event", fails)
    for answer in (api.ask(DOCTOR, f"Patient/{TOM}"), api.ask(DOCTOR, "Patient?family=Open")):
        assert (answer.status_code, code_of(answer)) == (500, "UNFORESEEN")
        assert answer.headers["X-Request-ID"] in caplog.text
        assert "9990000018" not in answer.text + caplog.text
