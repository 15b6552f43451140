"""`commonthread match`: asked with a file or standard input, one JSON document, events first."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.functional import road
from tests.functional.small import FEEDS, Client, clients, new_workspace, put, put_all, with_ids

PEOPLE = clients(6)
WHO = PEOPLE[3]
HIDDEN = Client(
    "HIDDEN", "Ottilie", "Quill", "1960-06-07", "female", "", "5 Secret Street", "SY9 9ZZ",
    "0117 496 7777", "ottilie@example.org", restricted=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = new_workspace(tmp_path_factory.mktemp("match") / "p")
    put_all(root, PEOPLE)
    put(root, "pas", "more.csv", FEEDS["pas"]([HIDDEN]))
    road.done(root, "nightly")
    return root


def asked(client: Client, **more: Any) -> dict[str, Any]:
    """What a desk knows of a client."""
    known = {
        "given": client.given, "family": client.family, "birth_date": client.birth_date,
        "gender": client.gender, "postcode": client.postcode, "phone": client.phone,
    }  # fmt: skip
    return known | more


def ask(root: Path, tmp_path: Path, question: Any, *options: str) -> road.Ended:
    path = tmp_path / "who.json"
    path.write_text(question if isinstance(question, str) else json.dumps(question))
    return road.call(root, "match", path, *options)


def test_a_person_is_found_and_written_down(workspace: Path, tmp_path: Path) -> None:
    ended = ask(workspace, tmp_path, asked(WHO), "--json")
    assert ended.code == 0, ended.said
    (first, *_) = ended.document["matches"]
    local_id = with_ids([WHO], "pas")[0].local_id
    assert first["person_id"] == road.persons(workspace)["pas", local_id]
    assert first["grade"] == "certain"
    event = road.events(workspace)[-1]
    assert event["action"] == "match"
    assert first["person_id"] in event["persons"]


def test_lines_for_people(workspace: Path, tmp_path: Path) -> None:
    ended = ask(workspace, tmp_path, asked(WHO), "--count", "1")
    assert ended.out.startswith("certain")
    assert WHO.postcode not in ended.out
    assert ask(workspace, tmp_path, {"given": "Nobody", "family": "Atall"}).out == "nobody\n"


def test_the_question_may_come_by_standard_input(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = io.TextIOWrapper(io.BytesIO(json.dumps(asked(WHO)).encode()))
    monkeypatch.setattr(sys, "stdin", text)
    ended = road.call(workspace, "match", "--only-certain", "--json")
    assert [one["grade"] for one in ended.document["matches"]] == ["certain"]


def test_a_restricted_person_is_not_found_by_place_or_contact(
    workspace: Path, tmp_path: Path
) -> None:
    by_place = {name: asked(HIDDEN)[name] for name in ("given", "postcode", "phone")}
    assert ask(workspace, tmp_path, by_place, "--json").document["matches"] == []
    by_name = {name: asked(HIDDEN)[name] for name in ("given", "family", "birth_date")}
    (one,) = ask(workspace, tmp_path, by_name, "--json").document["matches"]
    assert one["restricted"]
    for secret in (HIDDEN.street, HIDDEN.postcode, HIDDEN.phone, HIDDEN.email):
        assert secret not in json.dumps(one)


@pytest.mark.parametrize(
    "question",
    ["[1]", "{", '{"given": 7}', '{"nickname": "Zebedee"}', '{"birth_date": "Zebedee"}', "{}"],
)
def test_a_question_that_cannot_be_asked(workspace: Path, tmp_path: Path, question: str) -> None:
    ended = ask(workspace, tmp_path, question)
    assert ended.code == 4
    assert "Zebedee" not in ended.said


def test_nobody_can_be_matched_before_the_first_night(tmp_path: Path) -> None:
    root = new_workspace(tmp_path / "p")
    assert ask(root, tmp_path, asked(WHO)).code == 4


def test_a_purpose_that_is_not_granted(workspace: Path, tmp_path: Path) -> None:
    ended = ask(workspace, tmp_path, asked(WHO), "--purpose", "audit")
    assert (ended.code, ended.out) == (6, "")
    assert road.events(workspace)[-1]["outcome"] == "refused"
