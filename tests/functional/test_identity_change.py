"""A protected change of identity, from a feed to what every command tells an account that is not of
the named team: nothing of the old name, number, address or id."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.functional import road
from tests.functional.small import Client, new_workspace, nhs_number, put, row

HEAD = "ID,NHS,FORENAME,SURNAME,DOB,SEX,STREET,POSTCODE,PHONE,EMAIL,RESTRICTED,ACTION\n"
OLD = Client(
    "H-17", "Rosalind", "Quillfeather", "1971-03-04", "female", nhs_number(41),
    "3 Zebrafinch Lane", "BS9 1AA", "0117 496 0300", "",
)  # fmt: skip
NEW = Client(
    "H-17", "Olivia", "Umber", "1971-03-04", "female", nhs_number(42), "40 Park Row", "BS1 5TR",
    "0117 496 0311", "",
)  # fmt: skip
OTHER = Client(
    "H-18", "Boris", "Wheat", "1955-12-30", "male", nhs_number(43), "5 Elm Row", "GL5 3PQ", "", ""
)
OLD_VALUES = (OLD.given, OLD.family, OLD.nhs_number, OLD.street, OLD.postcode, OLD.phone)


def say(root: Path, name: str, *clients: tuple[Client, str]) -> None:
    """A file of the hospital: each client with an action."""
    lines = [f"{row(client)},{action}\n" for client, action in clients]
    put(root, "pas", name, (HEAD + "".join(lines)).encode())


def persons_of(root: Path, out: Path, *more: str) -> dict[str, str]:
    """Local id → person, as exported."""
    road.done(root, "person", "export", "--out", out, *more)
    return dict(pd.read_csv(out, dtype=str)[["local_id", "person_id"]].itertuples(index=False))


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A workspace after the change, and the old person's id."""
    folder = tmp_path_factory.mktemp("changed")
    root = new_workspace(folder / "partnership")
    settings = root / "partnership.toml"
    text = settings.read_text().replace(
        'local_id = "ID"\nnhs', 'local_id = "ID"\naction = "ACTION"\nnhs'
    )
    codes = '[source.file.codes.action]\nU = "upsert"\nP = "identity_changed"\n'
    settings.write_text(
        text.replace("[source.file.codes.gender]", codes + "[source.file.codes.gender]", 1)
    )
    say(root, "one.csv", (OLD, "U"), (OTHER, "U"))
    road.done(root, "nightly")
    old = persons_of(root, folder / "before.csv")[OLD.local_id]
    say(root, "two.csv", (NEW, "P"))
    road.done(root, "nightly")
    return root, old


def test_no_command_tells_another_account_of_the_old(
    changed: tuple[Path, str], tmp_path: Path
) -> None:
    root, old = changed
    now = persons_of(root, tmp_path / "now.csv")
    assert now[NEW.local_id] != old
    asked = tmp_path / "asked.json"
    said = [(tmp_path / "now.csv").read_text()]
    for client in (OLD, NEW):
        asked.write_text(json.dumps({
            "given": client.given, "family": client.family, "birth_date": client.birth_date,
            "nhs_number": client.nhs_number,
        }))  # fmt: skip
        said.append(road.done(root, "match", asked, "--json").out)
    assert json.loads(said[-2])["matches"] == []
    assert [one["person_id"] for one in json.loads(said[-1])["matches"]] == [now["H-17"]]
    for person in now.values():
        said += [
            road.done(root, "person", command, person, "--json").out
            for command in ("show", "history")
        ]
    listings = ("review", "list"), ("review", "decisions"), ("quarantine", "list")
    said += [road.done(root, *listing, "--json").out for listing in listings]
    everything = "\n".join(said)
    assert NEW.given in everything
    assert not [value for value in (*OLD_VALUES, old) if value in everything]


@pytest.mark.parametrize("command", [("person", "show"), ("person", "history")])
def test_the_old_id_answers_as_one_that_never_was(
    changed: tuple[Path, str], command: tuple[str, str]
) -> None:
    root, old = changed
    unknown = road.call(root, *command, "pabcdefghijklmnop")
    assert unknown.code != 0
    answer = road.call(root, *command, old)
    assert (answer.code, answer.said) == (unknown.code, unknown.said)


def test_an_export_as_at_a_former_time_has_not_the_old(
    changed: tuple[Path, str], tmp_path: Path
) -> None:
    root, old = changed
    with sqlite3.connect(root / "partnership.db") as database:
        (first,) = database.execute("SELECT started_at FROM link_run WHERE run_id = 1").fetchone()
    then = persons_of(root, tmp_path / "then.csv", "--as-at", first)
    assert (set(then), old in then.values()) == ({OTHER.local_id}, False)


def test_the_declaration_is_written_down(changed: tuple[Path, str]) -> None:
    root, _ = changed
    with sqlite3.connect(root / "partnership.db") as database:
        count = "SELECT count(*) FROM audit_event WHERE action = 'ingest' AND outcome = 'permitted'"
        assert database.execute(count).fetchone() == (1,)


def test_the_named_team_sees_the_old_and_the_new(changed: tuple[Path, str], tmp_path: Path) -> None:
    from wiring import account

    root, old = changed
    settings = root / "partnership.toml"
    before = settings.read_text()
    settings.write_text(before + f"\n[review]\nnamed_staff = [{json.dumps(account())}]\n")
    try:
        history = road.done(root, "person", "history", old, "--json").out
    finally:
        settings.write_text(before)
    assert json.loads(history)["now"] == "emptied"


@pytest.fixture
def of_the_officer(changed: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of the workspace whose account is the IG officer's."""
    root = road.copy_of(changed[0], tmp_path / "p")
    settings = root / "partnership.toml"
    settings.write_text(settings.read_text().replace('"data_team"', '"ig_officer"'))
    return root


def add_to(root: Path, person: str) -> road.Ended:
    return road.call(root, "audit", "hold", "add", "--person", person, "--reason", "a claim")


def bundle_of(root: Path, person: str) -> road.Ended:
    return road.call(root, "audit", "bundle", "--person", person, "--out", root.parent / "b.json")


@pytest.mark.parametrize("command", [add_to, bundle_of])
def test_the_log_answers_of_the_old_id_as_of_one_that_never_was(
    of_the_officer: Path, changed: tuple[Path, str], command: Any
) -> None:
    unknown = command(of_the_officer, "pabcdefghijklmnop")
    answer = command(of_the_officer, changed[1])
    assert (answer.code, answer.said) == (unknown.code, unknown.said)
    assert answer.code == 5


def test_a_bundle_names_the_old_id_for_the_named_team_alone(
    of_the_officer: Path, changed: tuple[Path, str]
) -> None:
    from wiring import account

    settings, bundle = of_the_officer / "partnership.toml", of_the_officer.parent / "b.json"
    asked = ("audit", "bundle", "--since", "2000-01-01", "--out", bundle)
    before = settings.read_text()
    settings.write_text(before + f"\n[review]\nnamed_staff = [{json.dumps(account())}]\n")
    road.done(of_the_officer, "audit", "bundle", "--person", changed[1], "--out", bundle)
    road.done(of_the_officer, *asked)
    whole = bundle.read_text()
    settings.write_text(before)
    road.done(of_the_officer, *asked)
    assert changed[1] in _told(whole)
    assert changed[1] not in _told(bundle.read_text())
    assert len(_told(bundle.read_text())) > len(_told(whole)) / 2


def _told(bundle: str) -> str:
    """What the events of a bundle say."""
    return "".join(one["event"] for one in json.loads(bundle)["events"])


def test_a_hold_on_the_old_id_is_there_for_the_named_team_alone(
    of_the_officer: Path, changed: tuple[Path, str]
) -> None:
    from wiring import account

    settings = of_the_officer / "partnership.toml"
    before = settings.read_text()
    settings.write_text(before + f"\n[review]\nnamed_staff = [{json.dumps(account())}]\n")
    assert add_to(of_the_officer, changed[1]).code == 0
    listed = ("audit", "hold", "list", "--json")
    (hold,) = road.done(of_the_officer, *listed).document
    assert hold["person"] == changed[1]
    settings.write_text(before)
    assert road.done(of_the_officer, *listed).document == []
    release = ("audit", "hold", "release", 1, "--reason", "over")
    other = ("audit", "hold", "release", 2, "--reason", "over")
    answer, unknown = road.call(of_the_officer, *release), road.call(of_the_officer, *other)
    assert (answer.code, answer.err) == (unknown.code, unknown.err.replace("2", "1"))
