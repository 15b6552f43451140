"""The IG officer's commands: consent, agreement, break-glass. Permits, events, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import NotFound
from schemas.identifiers import PersonId
from schemas.sharing import SignedIn
from tests.functional import road
from tests.functional.small import FEEDS, Client, clients, new_workspace, put
from wiring import open_workspace

HIDDEN = Client(
    "HIDDEN", "Ottilie", "Quill", "1960-06-07", "female", "", "5 Secret Street", "SY9 9ZZ",
    "0117 496 7777", "ottilie@example.org", restricted=True,
)  # fmt: skip
SECRETS = ("Ottilie", "Quill", "Secret Street", "SY9 9ZZ", "1960-06-07", "7777", "HIDDEN")
DOCTOR = ("--staff", "D1", "--organisation", "RA7", "--role", "doctor")
AGREEMENT: dict[str, Any] = {
    "agreement_id": "care-1", "version": 1, "provider": "RA7", "receiver": "XX1",
    "categories": ["allergy"], "purposes": ["direct-care"], "start": "2026-01-01",
    "end": "2036-01-01", "article_6": "6(1)(e)", "article_9": "9(2)(h)", "schedule_1": "2",
    "confidentiality": "implied", "gateway": "251B", "signed_by": ["RA7", "XX1"],
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace after its night, whose account is then the IG officer's."""
    root = new_workspace(tmp_path_factory.mktemp("sharing") / "p")
    put(root, "pas", "all.csv", FEEDS["pas"]([*clients(6), HIDDEN]))
    road.done(root, "nightly")
    settings = root / "partnership.toml"
    second = '\n[[organisation]]\ncode = "XX1"\nname = "Council"\nkind = "council"\n'
    text = settings.read_text().replace('"data_team"', '"ig_officer"')
    settings.write_text(text + second)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return road.copy_of(made, tmp_path / "p")


def person(root: Path, local_id: str = "HIDDEN") -> str:
    return road.persons(root)["pas", local_id]


def check(root: Path, who: str) -> Any:
    return road.done(root, "consent", "check", who, *DOCTOR, "--json").document


def test_a_wish_counts_at_once_until_it_is_ended(root: Path) -> None:
    who = person(root)
    assert "opted out" not in check(root, who)["labels"]
    laid = road.done(root, "consent", "add", who, "opt-out", "--reason", "asked", "--json")
    assert "opted out" in check(root, who)["labels"]
    (row,) = road.done(root, "consent", "list", who, "--json").document
    assert (row["number"], row["kind"], row["in_force"]) == (
        laid.document["number"], "opt-out", True,
    )  # fmt: skip
    road.done(root, "consent", "end", row["number"])
    assert "opted out" not in check(root, who)["labels"]
    (row,) = road.done(root, "consent", "list", who, "--json").document
    assert not row["in_force"]


def test_barred_staff_are_told_nothing_and_others_something(root: Path) -> None:
    who = person(root)
    road.done(root, "consent", "add", who, "bar-staff", "--staff", "D1", "--reason", "asked")
    told = check(root, who)
    assert told["absent"]
    assert told["opening"]["tell"] == "silent"
    other = ("--staff", "D2", *DOCTOR[2:])
    assert not road.done(root, "consent", "check", who, *other, "--json").document["absent"]


def test_a_check_shows_no_item_and_no_value(root: Path) -> None:
    who = person(root)
    for how in ((), ("--json",)):
        said = road.done(root, "consent", "check", who, *DOCTOR, *how).said
        for secret in SECRETS:
            assert secret not in said
        assert "demographics" in said


def test_each_command_is_written_down_with_the_person(root: Path) -> None:
    who = person(root)
    check(root, who)
    road.done(root, "consent", "list", who)
    road.done(root, "consent", "add", who, "type-1", "--reason", "a reason of hers")
    told = [(e["action"], e["persons"], e["outcome"]) for e in road.events(root)[-3:]]
    assert told == [
        (action, [who], "permitted")
        for action in ("consent-check", "consent-list", "consent-write")
    ]
    assert "a reason of hers" not in json.dumps(road.events(root))


def test_proxy_competence_and_investigator_are_laid_down(root: Path) -> None:
    who = person(root)
    reason = ("--reason", "seen")
    road.done(root, "consent", "proxy", who, "M1", "--basis", "court-order", "--evidenced",
              "--from", "2026-01-05", *reason)  # fmt: skip
    road.done(root, "consent", "competence", who, "--about", "condition", "--found-by", "Dr A",
              "--on", "2026-01-05", *reason)  # fmt: skip
    road.done(root, "consent", "investigator", who, "S9", *reason)
    rows = road.done(root, "consent", "list", who, "--json").document
    assert [row["kind"] for row in rows] == ["proxy", "competence", "investigator"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("consent", "add", "PERSON", "wish", "--reason", "x"), 4, "a wish is one of"),
        (("consent", "add", "PERSON", "seal", "--reason", "x"), 4, "a seal names an item"),
        (("consent", "add", "PERSON", "party", "--for", "x", "--reason", "x"), 4, "--for"),
        (("consent", "add", "PERSON", "seal", "--category", "x", "--reason", "x"), 4, "--category"),
        (("consent", "add", "PERSON", "opt-out", "--from", "May", "--reason", "x"), 4, "--from"),
        (("consent", "add", "pnobody", "opt-out", "--reason", "x"), 5, "no person of that id"),
        (("consent", "add", "PERSON", "opt-out", "--permit", "--reason", "x"), 4, "denies"),
        (("consent", "proxy", "PERSON", "M", "--basis", "x", "--from", "2026-01-01", "--reason",
          "x"), 4, "--basis"),
        (("consent", "end", "99"), 5, "nothing of that number"),
        (("consent", "list", "pnobody"), 5, "no person of that id"),
        (("consent", "check", "pnobody", *DOCTOR), 5, "no person of that id"),
        (("agreement", "show", "none"), 5, "no agreement of that id"),
        (("agreement", "end", "none"), 5, "no agreement of that id"),
        (("break-glass", "review", "9", "--finding", "x"), 5, "no declaration of that number"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_says_why(
    made: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    given = [person(made) if word == "PERSON" else word for word in words]
    ended = road.call(made, *given)
    assert ended.code == code, ended.said
    assert said in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ("consent", "list", "p"),
        ("consent", "add", "p", "opt-out", "--reason", "x"),
        ("consent", "end", "1"),
        ("consent", "check", "p", *DOCTOR),
        ("agreement", "list"),
        ("agreement", "show", "a"),
        ("agreement", "end", "a"),
        ("break-glass", "list"),
        ("break-glass", "alarms"),
        ("break-glass", "review", "1", "--finding", "x"),
    ],
)
def test_other_roles_are_refused_and_that_is_written_down(
    root: Path, words: tuple[str, ...]
) -> None:
    settings = root / "partnership.toml"
    settings.write_text(settings.read_text().replace('"ig_officer"', '"data_team"'))
    assert road.call(root, *words).code == 6
    assert road.events(root)[-1]["outcome"] == "refused"


def test_agreements_are_added_listed_and_ended(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "agreement.json"
    path.write_text(json.dumps(AGREEMENT))
    assert road.done(root, "agreement", "add", path, "--json").document["in_force"]
    (row,) = road.done(root, "agreement", "list", "--organisation", "XX1", "--json").document
    assert {k: row[k] for k in AGREEMENT} == AGREEMENT
    assert road.call(root, "agreement", "add", path).code == 4
    road.done(root, "agreement", "end", "care-1")
    assert road.done(root, "agreement", "list", "--json").document == []
    versions = road.done(root, "agreement", "show", "care-1", "--json").document
    assert [v["version"] for v in versions] == [1, 2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"provider": "YY9", "signed_by": ["XX1"]}, "YY9 is no organisation"),
        ({"gateway": " "}, "states its gateway"),
        ({"start": "May"}, "start"),
        ({"categories": ["nothing"]}, "cannot be read"),
        ({"colour": "red"}, "no fields of an agreement: colour"),
        ({"receiver": "RA7", "signed_by": ["RA7"]}, "between two organisations"),
    ],
)
def test_an_agreement_at_fault_is_refused(
    made: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = tmp_path / "agreement.json"
    path.write_text(json.dumps(AGREEMENT | change))
    ended = road.call(made, "agreement", "add", path)
    assert ended.code == 4, ended.said
    assert said in ended.err


def test_broken_glass_is_listed_and_followed_up(root: Path) -> None:
    who = PersonId(person(root))
    with open_workspace(root).sharing() as sharing:
        asks = sharing.requester(
            SignedIn(issuer="t", subject="D1", organisation="RA7", role="doctor",
                     purpose="vital-interests")
        )  # fmt: skip
        sharing.break_glass(asks, who, "unconscious", "brought in by ambulance")
    (row,) = road.done(root, "break-glass", "list", "--json").document
    assert (row["staff_id"], row["person_id"], row["text"]) == (
        "D1", who, "brought in by ambulance",
    )  # fmt: skip
    road.done(root, "break-glass", "review", row["number"], "--finding", "in order")
    assert road.done(root, "break-glass", "list", "--json").document == []
    (row,) = road.done(root, "break-glass", "list", "--all", "--json").document
    assert row["finding"] == "in order"


def test_a_barred_attempt_raises_an_alarm_that_names_who_and_whom(root: Path) -> None:
    who = PersonId(person(root))
    road.done(root, "consent", "add", who, "bar-staff", "--staff", "D1", "--reason", "asked")
    assert road.done(root, "break-glass", "alarms", "--json").document == []
    with open_workspace(root).sharing() as sharing:
        asks = sharing.requester(
            SignedIn(issuer="t", subject="D1", organisation="RA7", role="doctor",
                     purpose="direct-care")
        )  # fmt: skip
        with pytest.raises(NotFound):
            sharing.everything(asks, who)
    (row,) = road.done(root, "break-glass", "alarms", "--json").document
    assert (row["what"], row["staff_id"], row["persons"]) == (
        "attempt to be escalated", "D1", [who],
    )  # fmt: skip
    assert "D1" in road.done(root, "break-glass", "alarms").out


def test_policies_are_told_in_sentences(made: Path) -> None:
    said = road.done(made, "consent", "explain-policy").out
    assert "Who may see what, in sentences" in said
    assert "relationship" in said
