"""A source's records of a wrong person step apart at once, whatever else is at work."""

from __future__ import annotations

import fcntl
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.errors import StoreError
from tests.functional import road
from tests.functional.reviewing import (
    EMERYS,
    PEOPLE,
    WHY,
    by,
    decide,
    done_by,
    person_of,
    put_later,
    task,
    task_of,
    together,
)
from tests.functional.small import FEEDS


def test_a_wrong_person_steps_apart_at_once_and_who_saw_it_is_told(root: Path) -> None:
    person = person_of(root, "pas/L0")
    done_by("bob", root, "person", "show", person)
    done_by("bob", root, "person", "show", person)
    done_by("ann", root, "person", "show", person_of(root, "pas/L1"))
    done_by("ann", root, "person", "export", "--out", root / "all.csv")
    found = done_by("cat", root, "person", "wrong", person, "--source", "gp", *WHY, "--json")
    assert not together(root, "pas/L0", "gp/gL0")
    assert [(v["actor"], v["action"], v["times"]) for v in found.document["viewers"]] == [
        ("bob", "person-show", 2)
    ]
    assert [(v["actor"], v["action"]) for v in found.document["exports"]] == [
        ("ann", "person-export")
    ]
    assert "the records are apart, in run 2" in found.document["published"]


def test_a_wrong_person_is_reviewed_and_stays_apart(root: Path) -> None:
    done_by("cat", root, "person", "wrong", person_of(root, "pas/L0"), "--source", "gp", *WHY)
    listed = done_by("bob", root, "review", "list", "--kind", "wrong person", "--json").document
    assert [t["task"] for t in listed["tasks"]] == [task("bob", root, "pas/L0", "gp/gL0")]
    assert decide("bob", root, ("pas/L0", "gp/gL0"), "different")["standing"] == "live"
    assert task_of("bob", root, "pas/L0", "gp/gL0") is None
    road.done(root, "link")
    assert not together(root, "pas/L0", "gp/gL0")


def test_a_wrong_person_that_was_right_is_joined_again(root: Path) -> None:
    done_by("cat", root, "person", "wrong", person_of(root, "pas/L0"), "--source", "gp", *WHY)
    decide("bob", root, ("pas/L0", "gp/gL0"), "same")
    road.done(root, "link")
    assert together(root, "pas/L0", "gp/gL0")


def test_a_wrong_person_ends_what_was_decided_otherwise(root: Path) -> None:
    number = decide("cat", root, EMERYS, "same")["decision"]
    road.done(root, "link")
    person = person_of(root, "gp/B")
    found = done_by("bob", root, "person", "wrong", person, "--source", "gp", *WHY, "--json")
    assert found.document["ended"] == 1
    assert not together(root, *EMERYS)
    rows = done_by("bob", root, "review", "decisions", "--json").document
    assert {r["decision"]: r["standing"] for r in rows}[number] == "revoked"


def test_a_wrong_person_is_written_while_another_run_is_at_work(root: Path) -> None:
    person = person_of(root, "pas/L0")
    with (root / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        told = done_by("cat", root, "person", "wrong", person, "--source", "gp", *WHY)
    assert "the next link publishes it" in told.out
    road.done(root, "link")
    assert not together(root, "pas/L0", "gp/gL0")


def test_a_wrong_person_steps_apart_even_from_a_run_that_is_held(root: Path) -> None:
    path = root / "partnership.toml"
    path.write_text(path.read_text().replace("[link]\n", "[link]\nmax_changed_fraction = 0.01\n"))
    twin = replace(PEOPLE[1], local_id="gL1", given="Zoltan", family="Kovacs", nhs_number="")
    put_later(root, "gp", "b.ndjson", FEEDS["gp"]([twin]))
    road.done(root, "ingest")
    assert road.call(root, "link").code == 10
    person = person_of(root, "pas/L0")
    told = done_by("cat", root, "person", "wrong", person, "--source", "gp", *WHY)
    assert "held until somebody approves it" in told.out
    assert not together(root, "pas/L0", "gp/gL0")
    assert together(root, "pas/L1", "gp/gL1"), "the rest still waits"


def test_a_wrong_person_whose_link_is_held_leaves_an_event_of_its_own(root: Path) -> None:
    path = root / "partnership.toml"
    path.write_text(path.read_text().replace("[link]\n", "[link]\nmax_changed_fraction = 0.01\n"))
    one, two = PEOPLE[1], PEOPLE[2]
    swapped = [replace(two, local_id="gL1"), replace(one, local_id="gL2")]
    put_later(root, "gp", "b.ndjson", FEEDS["gp"](swapped))
    road.done(root, "ingest")
    person = person_of(root, "pas/L0")
    done_by("cat", root, "person", "wrong", person, "--source", "gp", *WHY)
    written, held = road.events(root)[-2:]
    assert {written["action"], held["action"]} == {"person-wrong"}
    assert (written["outcome"], held["outcome"]) == ("permitted", "failed")
    assert written["persons"] == held["persons"] == [person]
    assert held["details"]["error"] == "NeedsDecision"


@pytest.mark.parametrize(
    ("error", "code"), [(StoreError("no room on the disk"), 9), (KeyboardInterrupt(), 130)]
)
def test_a_wrong_person_whose_link_fails_says_what_was_written_and_what_to_run(
    root: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    person = person_of(root, "pas/L0")
    done_by("bob", root, "person", "show", person)

    def failing(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr("service.linking.link_records", failing)
    ended = by("cat", root, "person", "wrong", person, "--source", "gp", *WHY)
    assert ended.code == code
    assert "1 decisions written" in ended.out
    assert "NOT PUBLISHED" in ended.out
    assert "run `commonthread link`" in ended.out
    assert "bob" in ended.out, "who saw it is told all the same"
    assert together(root, "pas/L0", "gp/gL0")
    monkeypatch.undo()
    road.done(root, "link")
    assert not together(root, "pas/L0", "gp/gL0")


@pytest.mark.parametrize(
    ("record", "source", "code"), [("pas/L0", "acute", 5), ("pas/A", "pas", 4), (None, "gp", 5)]
)
def test_a_wrong_person_that_is_none(
    root: Path, record: str | None, source: str, code: int
) -> None:
    person = person_of(root, record) if record else "nobody"
    assert by("cat", root, "person", "wrong", person, "--source", source, *WHY).code == code
