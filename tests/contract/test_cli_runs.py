"""Runs on the command line: held, approved, tried in the shadow, undone, told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.test_cli import PEOPLE, guarded
from tests.functional import road
from tests.functional.small import (
    FEEDS,
    Client,
    new_workspace,
    put,
    put_all,
    rewrite_settings,
    with_ids,
)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace after its first night."""
    root = new_workspace(tmp_path / "p")
    put_all(root, PEOPLE)
    road.done(root, "nightly")
    return root


def export(root: Path, *options: object) -> bytes:
    """The bytes of an export."""
    out = root.parent / "out.csv"
    road.done(root, "person", "export", "--out", out, *options)
    return out.read_bytes()


def renamed(one: int, other: int) -> Client:
    """A client of the practice under another's name, born on the same day still: it leaves its
    person, and is not taken for a local id that went to somebody else."""
    client, name = with_ids(PEOPLE, "gp")[one], PEOPLE[other]
    return replace(client, given=name.given, family=name.family, nhs_number="")


def actions(root: Path) -> list[tuple[str, str]]:
    return [(event["action"], event["outcome"]) for event in road.events(root)]


def test_a_held_night_is_read_and_approved(workspace: Path) -> None:
    before = export(workspace)
    guarded(workspace)
    held = road.call(workspace, "nightly")
    assert held.code == 10
    assert "run 2 is held" in held.err
    assert export(workspace) == before
    assert road.call(workspace, "nightly").code == 10
    assert road.call(workspace, "link", "--approve", 1).code == 5
    told = road.done(workspace, "person", "difference", 2, "--json").document
    assert told["split"] == 6
    assert set(told["sources"]) == {"acute", "gp", "pas"}
    assert 0 < len(told["examples"]) <= 20
    shown = road.done(workspace, "person", "difference", 2).out
    assert PEOPLE[0].family in shown, "examples show minimum demographics"
    approved = road.done(workspace, "link", "--approve", 2, "--json").document
    assert (approved["run_id"], approved["split"]) == (3, 6)
    assert export(workspace) != before
    assert "up to date" in road.done(workspace, "link").out
    assert road.call(workspace, "person", "difference", 3).code == 5
    assert actions(workspace)[-2:] == [("link", "permitted"), ("person-difference", "failed")]
    assert ("link-approve", "permitted") in actions(workspace)


def test_a_shadow_run_says_and_does_nothing(workspace: Path) -> None:
    guarded(workspace)
    road.done(workspace, "ingest")
    before = road.without_events(road.dump(workspace))
    told = road.done(workspace, "link", "--shadow", "--json").document
    assert told["split"] == 6
    assert all(isinstance(r, int) for example in told["examples"] for r in example["records"])
    assert road.without_events(road.dump(workspace)) == before
    model = workspace / "other.json"
    model.write_bytes((workspace / "model.json").read_bytes())
    lines = road.done(workspace, "link", "--shadow", "--model", model).out
    assert "split 6" in lines
    assert PEOPLE[0].family not in lines
    assert actions(workspace)[-1] == ("link-shadow", "permitted")


@pytest.mark.parametrize(
    "words", [("--full", "--shadow"), ("--approve", "1", "--full"), ("--model", "model.json")]
)
def test_options_that_do_not_go_together(workspace: Path, words: tuple[str, ...]) -> None:
    put_back = [str(workspace / w) if w.endswith(".json") else w for w in words]
    assert road.call(workspace, "link", *put_back).code == 2


def test_a_night_is_undone_to_the_byte_and_done_again(workspace: Path) -> None:
    before = export(workspace)
    put(workspace, "gp", "second.ndjson", FEEDS["gp"]([renamed(3, 0)])).touch()
    put(workspace, "pas", "third.csv", FEEDS["pas"](with_ids(PEOPLE, "new")))
    road.done(workspace, "nightly")
    after = export(workspace)
    assert after != before
    said = road.done(workspace, "person", "undo", "run", 2).out
    assert "run 2 is undone" in said
    road.done(workspace, "link")
    assert export(workspace) == before
    assert road.call(workspace, "person", "undo", "run", 2).code == 4
    released = road.done(workspace, "person", "undo", "release", 2, "--json").document
    assert (released["run_id"], released["undone_by"]) == (2, 3)
    road.done(workspace, "link")
    assert export(workspace) == after
    assert road.call(workspace, "person", "undo", "release", 2).code == 5
    assert road.call(workspace, "person", "undo", "run", 99).code == 5
    assert actions(workspace).count(("person-undo", "permitted")) == 2
    assert actions(workspace).count(("person-undo", "failed")) == 3, "what is turned down too"


def test_what_was_published_at_a_time(workspace: Path) -> None:
    before = export(workspace)
    with road.opened(workspace) as store:
        (first,) = store.runs()
    put(workspace, "pas", "third.csv", FEEDS["pas"](with_ids(PEOPLE, "new")))
    road.done(workspace, "nightly")
    with road.opened(workspace) as store:
        second = store.runs()[-1]
    assert export(workspace, "--as-at", second.started_at) == export(workspace) != before
    if second.started_at > first.started_at:
        assert export(workspace, "--as-at", first.started_at) == before
    out = workspace.parent / "none.csv"
    early = road.call(workspace, "person", "export", "--out", out, "--as-at", "2020-01-01")
    assert (early.code, out.exists()) == (5, False)
    assert "no person was published yet" in early.err
    wrong = road.call(workspace, "person", "export", "--out", out, "--as-at", "yesterday")
    assert (wrong.code, "ISO 8601" in wrong.err) == (4, True)


def test_the_history_of_a_person_in_sentences(workspace: Path) -> None:
    persons = road.persons(workspace)
    old = persons["gp", "gpL0"]
    put(workspace, "gp", "second.ndjson", FEEDS["gp"]([renamed(0, 1)])).touch()
    road.done(workspace, "nightly")
    after = road.persons(workspace)
    now, other = after["pas", "pasL0"], after["gp", "gpL0"]
    road.done(workspace, "person", "undo", "run", 2)
    road.done(workspace, "link")
    told = road.done(workspace, "person", "history", old, "--json").document
    assert [said["text"] for said in told["history"]] == [
        "founded by matching run 1 with 3 records",
        f"split by matching run 2 into {', '.join(sorted({now, other}))}; the id leads nowhere",
        "present again with 3 records, because of the undo of run 2, shown by run 3",
    ]
    assert (told["now"], told["leads_to"]) == ("present", old)
    lines = road.done(workspace, "person", "history", now).out
    assert f"taking on the larger part of {old}" in lines
    assert "gone, because of the undo of run 2" in lines
    assert PEOPLE[0].family not in lines
    assert road.call(workspace, "person", "show", now).code == 5
    assert road.call(workspace, "person", "history", "nobody").code == 5


def test_a_full_link_is_compared_with_the_increment(workspace: Path) -> None:
    put(workspace, "pas", "third.csv", FEEDS["pas"](with_ids(PEOPLE, "new")))
    road.done(workspace, "ingest")
    ended = road.done(workspace, "link", "--full", "--json").document
    assert (ended["full"], ended["differing"]) == (True, 0)
    assert "those that the changes alone gave" in road.done(workspace, "link", "--full").out


def test_who_may_not_is_refused(workspace: Path) -> None:
    rewrite_settings(workspace, role="operator")
    for words in (
        ("link", "--approve", 1), ("link", "--shadow"), ("person", "undo", "run", 1),
        ("person", "undo", "release", 1), ("person", "difference", 1), ("person", "history", "p"),
    ):  # fmt: skip
        assert road.call(workspace, *words).code == 6
        assert actions(workspace)[-1][1] == "refused"
