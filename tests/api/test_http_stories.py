"""The planted stories, walked through the API and the command line of one workspace: domestic
abuse, adoption, proxy, barred staff. What a command writes counts at the next request."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.identifiers import OdsCode
from tests.api.in_process import Api, Who, asked, matches
from tests.functional import road
from tests.functional.small import WRITTEN, Client, new_workspace, nhs_number, patient, put, row
from wiring import open_workspace

RA7 = OdsCode("RA7")
DOCTOR, NURSE = Who("ST1", RA7, "doctor"), Who("ST2", RA7, "nurse")
LEAD = Who("ST5", RA7, "safeguarding_lead", "safeguarding")
MOTHER = Who("mother", RA7, "proxy", "own-record")
NOBODY = "pnobody"

HESTER = Client(
    "H1", "Hester", "Harbour", "1975-06-07", "female", nhs_number(430), "3 Secretlane",
    "BS7 3CC", "0117 496 0803", "hester@x.example", restricted=True,
)  # fmt: skip
NELL = Client(
    "N1", "Nell", "Harbour", "2015-02-03", "female", nhs_number(431), "3 Secretlane",
    "BS7 3CC", "0117 496 0803", "nell@x.example",
)  # fmt: skip
EVE = Client(
    "E1", "Eve", "Plumtree", "2020-02-03", "female", nhs_number(432), "9 Openroad", "BS2 8AA",
    "0117 496 0901", "eve@x.example",
)  # fmt: skip
UNA = Client(
    "U1", "Una", "Vantage", "1980-05-04", "female", nhs_number(433), "1 Plainway", "BS3 1AA",
    "0117 496 0902", "una@x.example",
)  # fmt: skip
OLD = Client(
    "A1", "Rosalind", "Quillfeather", "2018-03-04", "female", nhs_number(434), "3 Zebrafinch Lane",
    "BS9 1AA", "0117 496 0300", "old@x.example",
)  # fmt: skip
NEW = Client(
    "A1", "Olivia", "Thistledown", "2018-03-04", "female", nhs_number(435), "40 Parkrow",
    "BS4 5TR", "0117 496 0311", "new@x.example",
)  # fmt: skip
HEAD = "ID,NHS,FORENAME,SURNAME,DOB,SEX,STREET,POSTCODE,PHONE,EMAIL,RESTRICTED,ACTION\n"
LOCATING = ("Secretlane", "BS7 3CC", "496 0803", "x.example", "source:pas", "source:gp", '"RA7"')
OLD_VALUES = (OLD.given, OLD.family, OLD.nhs_number, "Zebrafinch", OLD.postcode, "496 0300")


def care(client: Client) -> list[str]:
    """The practice's record of somebody, with items of every kind that the stories ask for."""
    me = {"reference": f"Patient/{client.local_id}"}
    sensitive = {"security": [{"code": "ADOPTION"}]}
    made: list[dict[str, Any]] = [
        {"resourceType": "EpisodeOfCare", "status": "active", "patient": me,
         "period": {"start": "2025-11-01"}, "type": [{"coding": [{"code": "registration"}]}]},
        {"resourceType": "AllergyIntolerance", "patient": me, "code": {"text": "Penicillin"}},
        {"resourceType": "Condition", "subject": me, "code": {"text": "Eczema"},
         "onsetDateTime": "2024-01-01"},
        {"resourceType": "Condition", "subject": me, "code": {"text": "Panel on 3 May"},
         "meta": sensitive},
        {"resourceType": "Appointment", "status": "booked", "start": "2026-12-01T10:00:00Z",
         "description": "Clinic at Secretlane",
         "participant": [{"status": "accepted", "actor": me}]},
        {"resourceType": "DocumentReference", "status": "current", "subject": me,
         "description": "Letter to 3 Secretlane",
         "content": [{"attachment": {"contentType": "text/plain", "data": "SGVsbG8="}}]},
    ]  # fmt: skip
    lines = [patient(client, id=client.local_id)]
    for number, resource in enumerate(made):
        lines.append(json.dumps({"id": f"{client.local_id}-{number}", **resource}))
    return lines


def send(root: Path, name: str, *clients: tuple[Client, str], later: int = 0) -> None:
    """A file of the trust: each client with an action. later: seconds after the first."""
    lines = [f"{row(client)},{action}\n" for client, action in clients]
    path = put(root, "pas", name, (HEAD + "".join(lines)).encode())
    os.utime(path, (WRITTEN + later, WRITTEN + later))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace after its night; its account is the IG officer's."""
    root = new_workspace(tmp_path_factory.mktemp("stories") / "p")
    settings = root / "partnership.toml"
    text = settings.read_text()
    codes = '[source.file.codes.action]\nU = "upsert"\nP = "identity_changed"\n'
    for before, after in (
        ("[partnership]\n", "[partnership]\ndemo = true\n"),
        ('local_id = "ID"\nnhs', 'local_id = "ID"\naction = "ACTION"\nnhs'),
        ("[source.file.codes.gender]", codes + "[source.file.codes.gender]"),
    ):
        text = text.replace(before, after, 1)
    settings.write_text(text)
    send(root, "one.csv", *((one, "U") for one in (HESTER, NELL, EVE, UNA, OLD)))
    lines = [line for one in (HESTER, NELL, EVE, UNA) for line in care(one)]
    put(root, "gp", "one.ndjson", ("\n".join(lines) + "\n").encode())
    road.done(root, "nightly")
    as_role(root, "ig_officer")
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return road.copy_of(made, tmp_path / "p")


@pytest.fixture
def api(root: Path) -> Iterator[Api]:
    workspace = open_workspace(root)
    with workspace.sharing() as sharing, asked(sharing, workspace.keys) as opened:
        yield opened


def as_role(root: Path, role: str) -> None:
    """Gives the account of the commands a role."""
    settings = root / "partnership.toml"
    before = "data_team" if role == "ig_officer" else "ig_officer"
    settings.write_text(settings.read_text().replace(f'"{before}"', f'"{role}"'))


def person(root: Path, client: Client) -> str:
    return road.persons(root)["pas", client.local_id]


def found(api: Api, who: Who, client: Client, **more: str) -> list[str]:
    """Ids of those whom a search for somebody finds."""
    form = {"family": client.family, "given": client.given, "birthdate": client.birth_date}
    return [one["id"] for one in matches(api.search(who, "Patient", **form, **more))]


def texts(api: Api, who: Who, who_is: str) -> set[str]:
    """What is shown of somebody: the words of their items."""
    answer = api.ask(who, f"Patient/{who_is}/$everything")
    return {
        one["code"]["text"] for one in matches(answer) if "text" in one.get("code", {})
    }  # fmt: skip


def checked(root: Path, who_is: str, who: Who) -> dict[str, Any]:
    """What the command says that somebody would see."""
    asking = ("--staff", who.staff_id, "--organisation", "RA7", "--role", who.role,
              "--for", who.purpose, "--json")  # fmt: skip
    return dict(road.done(root, "consent", "check", who_is, *asking).document)


def same_as_nobody(api: Api, who: Who, who_is: str) -> None:
    """Whatever is asked of somebody is answered as it is of nobody."""
    declared = {"resourceType": "Parameters", "parameter": [
        {"name": "reason", "valueCode": "unconscious"},
        {"name": "text", "valueString": "brought in by ambulance"},
    ]}  # fmt: skip
    claimed = {"resourceType": "Parameters", "parameter": [
        {"name": "text", "valueString": "seen in the clinic today"},
    ]}  # fmt: skip
    for method, path, more in (
        ("GET", "Patient/{}", {}),
        ("GET", "Patient/{}/$everything", {}),
        ("GET", "AllergyIntolerance?patient={}", {}),
        ("GET", "Flag?patient={}&_summary=count", {}),
        ("GET", "List?patient={}", {}),
        ("GET", "Consent?patient={}", {}),
        ("POST", "Patient/{}/$break-glass", {"json": declared}),
        ("POST", "Patient/{}/$claim-relationship", {"json": claimed}),
    ):
        one, other = (
            api.ask(who, path.format(named), method, **more) for named in (who_is, NOBODY)
        )
        assert (one.status_code, one.content) == (404, other.content), path
    listed = api.search(who, "Patient", _id=who_is)
    assert listed.content == api.search(who, "Patient", _id=NOBODY).content


# --- domestic abuse ----------------------------------------------------------------------------


def test_domestic_abuse_she_and_her_daughter_are_found_and_not_located(
    api: Api, root: Path
) -> None:
    for client in (HESTER, NELL):
        who_is = person(root, client)
        # Found by who she is, by no place.
        assert found(api, DOCTOR, client) == [who_is]
        for place in (
            {"address-postalcode": "BS7 3CC"}, {"address-postalcode": "BS7*"},
            {"phone": "0117 496 0803"}, {"email": client.email},
        ):  # fmt: skip
            assert found(api, DOCTOR, client, **place) == []
        described = {
            "resourceType": "Patient",
            "gender": client.gender,
            "address": [{"line": [client.street], "postalCode": client.postcode}],
        }
        matched = api.ask(DOCTOR, "Patient/$match", "POST", json=described)
        assert matches(matched) == []
        # What can be treated is told; what gives the place away is not there.
        shown = texts(api, DOCTOR, who_is)
        assert {"Penicillin", "Eczema"} <= shown
        whole = "".join(
            api.ask(DOCTOR, path.format(who_is)).text
            for path in ("Patient/{}", "Patient/{}/$everything?_revinclude=Provenance:target")
        )
        told = [value for value in LOCATING if value in whole]
        assert not told
        assert '"code":"R"' in whole
        for kind in ("Appointment", "DocumentReference", "EpisodeOfCare"):
            assert api.ask(DOCTOR, kind, params={"patient": who_is}).json()["total"] == 0


def test_domestic_abuse_on_the_command_line(root: Path) -> None:
    who_is = person(root, HESTER)
    told = checked(root, who_is, DOCTOR)
    places = [one for one in told["classes"] if one["category"] == "whereabouts"]
    assert places
    assert not any(one["permitted"] for one in places)
    assert {one["tell"] for one in places} == {"silent"}
    as_role(root, "data_team")
    for how in ((), ("--json",)):
        said = road.done(root, "person", "show", who_is, *how).said
        assert not [value for value in LOCATING[:4] if value in said]
        assert "restricted" in said.lower()


# --- adoption ----------------------------------------------------------------------------------


def test_adoption_the_child_of_before_is_as_nobody(api: Api, root: Path) -> None:
    before = person(root, OLD)
    assert found(api, DOCTOR, OLD) == [before]
    as_role(root, "data_team")
    send(root, "two.csv", (NEW, "P"), later=60)
    road.done(root, "nightly")
    after = person(root, NEW)
    assert after != before
    # The API: by name, by number, by the source's own id, by the partnership's.
    assert found(api, DOCTOR, OLD) == []
    assert found(api, DOCTOR, NEW) == [after]
    number = f"https://fhir.nhs.uk/Id/nhs-number|{OLD.nhs_number}"
    assert matches(api.search(DOCTOR, "Patient", identifier=number)) == []
    same_as_nobody(api, DOCTOR, before)
    same_as_nobody(api, LEAD, before)
    traced = api.search(DOCTOR, "Patient", family=NEW.family, birthdate=NEW.birth_date).text
    assert NEW.given in traced
    assert not [value for value in (*OLD_VALUES, before) if value in traced]
    # The command line: the old id and one that never was say the same.
    for words in (("person", "show"), ("person", "history")):
        one, other = (road.call(root, *words, named) for named in (before, NOBODY))
        assert (one.code, one.said) == (other.code, other.said)
    as_role(root, "ig_officer")
    asking = ("--staff", "ST1", "--organisation", "RA7", "--role", "doctor")
    wish = ("opt-out", "--reason", "asked")
    for words, more in ((("consent", "check"), asking), (("consent", "list"), ()),
                        (("consent", "add"), wish)):  # fmt: skip
        one, other = (road.call(root, *words, named, *more) for named in (before, NOBODY))
        assert (one.code, one.said) == (other.code, other.said)
        assert one.code != 0


def test_adoption_a_note_travels_by_specific_permission_only(api: Api, root: Path) -> None:
    who_is = person(root, EVE)
    assert "Panel on 3 May" not in texts(api, DOCTOR, who_is)
    before = api.ask(DOCTOR, "Condition", params={"patient": who_is})
    assert before.json()["total"] == 1
    assert "withheld" not in before.text
    laid = road.done(
        root, "consent", "add", who_is, "permission", "--permit", "--label", "adoption",
        "--reason", "asked", "--json",
    ).document  # fmt: skip
    assert "Panel on 3 May" in texts(api, DOCTOR, who_is)
    road.done(root, "consent", "end", laid["number"])
    assert "Panel on 3 May" not in texts(api, DOCTOR, who_is)


# --- proxy -------------------------------------------------------------------------------------


def act_for(root: Path, who_is: str, *more: str) -> int:
    laid = road.done(
        root, "consent", "proxy", who_is, MOTHER.staff_id, "--basis", "parental-responsibility",
        "--from", "2020-03-01", "--reason", "birth certificate", "--json", *more,
    )  # fmt: skip
    return int(laid.document["number"])


def test_proxy_sees_what_evidence_and_the_child_allow(api: Api, root: Path) -> None:
    child, other = person(root, EVE), person(root, UNA)
    same = api.ask(MOTHER, f"Patient/{NOBODY}")
    assert api.ask(MOTHER, f"Patient/{child}").content == same.content
    number = act_for(root, child)
    refused = api.ask(MOTHER, f"Patient/{child}")
    assert refused.status_code == 403
    assert "bring the evidence" in refused.text
    road.done(root, "consent", "end", number)
    number = act_for(root, child, "--evidenced", "--orders-checked")
    shown = texts(api, MOTHER, child)
    assert {"Penicillin", "Eczema"} <= shown
    assert "Panel on 3 May" not in shown
    assert api.ask(MOTHER, f"Patient/{other}").content == same.content
    # What the child was found competent to decide about is not there for her.
    finding = road.done(
        root, "consent", "competence", child, "--about", "condition", "--found-by", "Dr A",
        "--on", "2026-01-05", "--reason", "found so", "--json",
    ).document  # fmt: skip
    conditions = api.ask(MOTHER, "Condition", params={"patient": child})
    assert conditions.json()["total"] == 0
    assert "withheld" not in conditions.text
    assert api.ask(DOCTOR, "Condition", params={"patient": child}).json()["total"] == 1
    road.done(root, "consent", "end", finding["number"])
    road.done(root, "consent", "end", number)
    assert api.ask(MOTHER, f"Patient/{child}").content == same.content


def test_proxy_of_a_restricted_household_is_suspended(api: Api, root: Path) -> None:
    child = person(root, NELL)
    act_for(root, child, "--evidenced", "--orders-checked", "--reviewed-on", "2026-03-01")
    answer = api.ask(MOTHER, f"Patient/{child}/$everything")
    assert matches(answer)[1:] == []
    assert not [value for value in (*LOCATING, "Penicillin") if value in answer.text]


# --- barred staff ------------------------------------------------------------------------------


def test_barred_staff_learn_nothing_and_somebody_hears_of_it(api: Api, root: Path) -> None:
    who_is = person(root, UNA)
    (allergy,) = matches(api.ask(NURSE, "AllergyIntolerance", params={"patient": who_is}))
    laid = road.done(
        root, "consent", "add", who_is, "bar-staff", "--staff", NURSE.staff_id, "--reason",
        "her former husband", "--json",
    ).document  # fmt: skip
    assert road.done(root, "break-glass", "alarms", "--json").document == []
    same_as_nobody(api, NURSE, who_is)
    assert found(api, NURSE, UNA) == []
    read = api.ask(NURSE, f"AllergyIntolerance/{allergy['id']}")
    unknown = api.ask(NURSE, f"AllergyIntolerance/{'ab' * 16}")
    assert (read.status_code, read.content) == (404, unknown.content)
    # Others go on, the command says what she would see, and the attempts are told.
    assert "Penicillin" in texts(api, DOCTOR, who_is)
    assert checked(root, who_is, NURSE)["absent"]
    assert not checked(root, who_is, DOCTOR)["absent"]
    alarms = road.done(root, "break-glass", "alarms", "--json").document
    assert {one["staff_id"] for one in alarms} == {NURSE.staff_id}
    assert {person for one in alarms for person in one["persons"]} == {who_is}
    assert "her former husband" not in json.dumps(road.events(root))
    road.done(root, "consent", "end", laid["number"])
    assert found(api, NURSE, UNA) == [who_is]
    assert "Penicillin" in texts(api, NURSE, who_is)
