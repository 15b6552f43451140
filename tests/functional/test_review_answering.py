"""Answering task after task with one key, and what a task says of the two persons and of others."""

from __future__ import annotations

import io
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.functional import road
from tests.functional.reviewing import (
    EMERY,
    LIND,
    TWINS,
    WHY,
    as_account,
    by,
    done_by,
    person_of,
    put_later,
    task_of,
)
from tests.functional.small import FEEDS
from wiring import account

CHAINED = "with what was decided before it joins records that a guard rail keeps apart"
NAMELESS = replace(LIND, local_id="T3", given="")


def answering(
    monkeypatch: pytest.MonkeyPatch, name: str, root: Path, typed: str, *more: str
) -> road.Ended:
    """`review next --answer` of an account, with this on standard input."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    with as_account(name):
        return road.call(root, "review", "next", "--answer", *more)


def decided(name: str, root: Path) -> list[tuple[str, str]]:
    rows = done_by(name, root, "review", "decisions", "--json").document
    return [(row["verdict"], row["reason"]) for row in rows[::-1]]


def open_tasks(name: str, root: Path) -> list[str]:
    listed = done_by(name, root, "review", "list", "--limit", 100, "--json").document
    return [task["task"] for task in listed["tasks"]]


# --- one key a task ----------------------------------------------------------------------------


def test_task_after_task_is_answered(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, *_ = open_tasks("bob", root)
    ended = answering(monkeypatch, "bob", root, "d\ntwo heights\nu\nring the practice\nq\n")
    assert ended.code == 0, ended.said
    assert decided("bob", root) == [
        ("different", "two heights"),
        ("undecided", "ring the practice"),
    ]
    assert ended.out.index(f"task {first}") < ended.out.index(f"task {second}")
    assert "comes back in" in ended.out
    assert ended.out.endswith("2 answered, 0 left for later\n")
    told = [e["details"]["verdict"] for e in road.events(root) if e["action"] == "review-decide"]
    assert told == ["different", "undecided"], "each with its event"
    shown = [e["details"]["task"] for e in road.events(root) if e["action"] == "review-show"]
    assert shown[:2] == [first, second]


@pytest.mark.parametrize(
    ("typed", "answered", "later"),
    [
        ("q\n", 0, 0),
        ("", 0, 0),
        ("l\nq\n", 0, 1),
        ("x\n\nl\nl\nq\n", 0, 2),
        ("s\n\nd\nother heights\nq\n", 1, 0),
        ("S\n", 0, 0),
        ("d\n  \nl\nd\nother heights\n", 1, 1),
    ],
    ids=["quit", "end", "later", "other keys", "taken back", "no reason", "blank reason"],
)
def test_keys(
    root: Path, monkeypatch: pytest.MonkeyPatch, typed: str, answered: int, later: int
) -> None:
    ended = answering(monkeypatch, "bob", root, typed)
    assert ended.code == 0, ended.said
    assert ended.out.endswith(f"{answered} answered, {later} left for later\n")
    assert [verdict for verdict, _ in decided("bob", root)] == ["different"] * answered


def test_the_end_of_the_queue(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    n = len(open_tasks("bob", root))
    assert n > 1
    ended = answering(monkeypatch, "bob", root, "d\ntwo heights\n" * n)
    assert ended.code == 0, ended.said
    assert "no open task for this account" in ended.out
    assert ended.out.endswith(f"{n} answered, 0 left for later\n")
    again = answering(monkeypatch, "bob", root, "q\n")
    assert (again.code, again.out) == (5, "")


def test_one_kind_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done_by("cat", root, "person", "merge", *(person_of(root, r) for r in TWINS), *WHY)
    ended = answering(monkeypatch, "bob", root, "s\nseen both\n", "--kind", "second person")
    assert ended.code == 0, ended.said
    assert ended.out.endswith("1 answered, 0 left for later\n")
    rows = done_by("bob", root, "review", "decisions", "--json").document
    assert [(r["standing"], r["confirmed_by"]) for r in rows] == [("live", "bob")]


def test_what_is_refused_is_told_and_left(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else answered between the view and the key."""
    named = open_tasks("bob", root)[0]

    class Meanwhile(io.StringIO):
        def readline(self, *_: Any) -> str:
            if self.tell() == 0:
                with as_account("bob"):
                    road.done(root, "review", "decide", named, "different", *WHY)
                sys.stdin = self
            return super().readline()

    monkeypatch.setattr(sys, "stdin", Meanwhile("s\nalike\nq\n"))
    ended = by("bob", root, "review", "next", "--answer")
    assert ended.code == 0, ended.said
    assert "may have been answered meanwhile" in ended.err
    assert decided("bob", root) == [("different", WHY[1])]


def test_who_may_not_answer(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = answering(monkeypatch, "igor", root, "s\nalike\n", "--purpose", "audit")
    assert ended.code == 6
    assert ended.out == ""
    assert by("bob", root, "review", "next", "--answer", "--json").code == 4


def test_on_a_terminal_one_key_is_enough_and_what_was_answered_survives(root: Path) -> None:
    """The process is killed after its first answer, in the middle of the second task."""
    path = root / "partnership.toml"
    named = path.read_text().replace('named_staff = ["bob"]', f'named_staff = ["{account()}"]')
    path.write_text(named)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        road.command(root, "review", "next", "--answer"),
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        until(ours, "[s/d/u/l/q]")
        until_one_key_is_read(ours)
        os.write(ours, b"d")
        until(ours, "reason")
        os.write(ours, b"two heights\n")
        told = until(ours, "[s/d/u/l/q]")
        assert "decision 1: different" in told
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours)
    rows = road.done(root, "review", "decisions", "--json").document
    assert [(r["verdict"], r["reason"]) for r in rows] == [("different", "two heights")]
    assert [e["details"]["verdict"] for e in road.events(root) if e["action"] == "review-decide"]


def until_one_key_is_read(terminal: int) -> None:
    """What is typed before is thrown away: nobody answers a task that they have not seen."""
    end = time.monotonic() + 60
    while termios.tcgetattr(terminal)[3] & termios.ICANON:
        assert time.monotonic() < end
        time.sleep(0.01)


def until(terminal: int, wanted: str) -> str:
    """What the terminal shows up to these words."""
    shown, end = b"", time.monotonic() + 60
    while wanted.encode() not in shown:
        assert time.monotonic() < end, shown
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 4096)
    return shown.decode(errors="replace")


# --- what stands across the two persons --------------------------------------------------------


def shown_task(name: str, root: Path, kind: str) -> tuple[dict[str, Any], str]:
    words = ("review", "next", "--kind", kind)
    document = done_by(name, root, *words, "--json").document
    assert isinstance(document, dict)
    return document, done_by(name, root, *words).out


def test_a_pair_alone_needs_no_second_person(root: Path) -> None:
    named = task_of("cat", root, "pas/A", "gp/B")
    found = done_by("cat", root, "review", "show", named, "--json").document
    assert {k: found["across"][k] for k in ("pairs", "between", "forbidden", "second_person")} == {
        "pairs": 1, "between": 1, "forbidden": 0, "second_person": "",
    }  # fmt: skip
    assert found["thirds"] == []
    assert EMERY.family in done_by("cat", root, "review", "show", named).out


def nameless(root: Path, *decided_first: str) -> Path:
    """A third record of the twins' birth date and address that bears no forename; then decisions
    that it is one with each of these, linked."""
    put_later(root, "acute", "late.hl7", FEEDS["acute"]([NAMELESS]))
    road.done(root, "nightly")
    for other in decided_first:
        ids = person_of(root, "acute/T3"), person_of(root, other)
        done_by("cat", root, "person", "merge", *ids, *WHY)
    road.done(root, "link")
    return root


def test_a_third_person_in_the_question_is_shown(root: Path) -> None:
    nameless(root)
    kinds = done_by("bob", root, "review", "list", "--json").document["kinds"]
    found, text = shown_task("bob", root, "contested" if "contested" in kinds else "review band")
    assert [third["record"]["names"] for third in found["thirds"]]
    stances = {third[side]["stance"] for third in found["thirds"] for side in ("left", "right")}
    assert "forbidden" in stances, text
    assert "also in question: " in text
    assert "twins" in text
    told = road.events(root)[-1]
    assert len(told["persons"]) == 3, "the third person is written down too"


def test_a_chain_round_a_guard_rail_needs_a_second_person(root: Path) -> None:
    nameless(root)
    answers = []
    for other in TWINS:
        ids = person_of(root, "acute/T3"), person_of(root, other)
        answers.append(done_by("cat", root, "person", "merge", *ids, *WHY, "--json").document)
    assert [answer["awaits"] for answer in answers] == ["", CHAINED]
    road.done(root, "link")
    together = {person_of(root, r) for r in ("acute/T3", *TWINS)}
    assert len(together) > 1, "the guard rail between the twins holds"


def test_that_a_chain_needs_a_second_person_is_told_before_it_is_asked(root: Path) -> None:
    nameless(root)
    one, other = (task_of("bob", root, "acute/T3", twin) for twin in TWINS)

    def across() -> dict[str, Any]:
        shown = done_by("bob", root, "review", "show", other, "--json").document
        return {name: shown["across"][name] for name in ("forbidden", "second_person")}

    assert across() == {"forbidden": 0, "second_person": ""}
    done_by("cat", root, "review", "decide", one, "same", *WHY)
    assert across() == {"forbidden": 0, "second_person": CHAINED}


def merged_by_its_source(root: Path) -> None:
    """The nameless twin is held to be the one; its source merges it into a record of the other."""
    nameless(root, TWINS[1])
    stamp = b"20260305010000"
    merge = (
        b"MSH|^~\\&|PAS|RA7|CT|P|" + stamp + b"||ADT^A40|M1|P|2.4\rEVN|A40|" + stamp + b"\r"
        b"PID|1||T4^^^RA7^MR\rMRG|T3^^^RA7^MR\r"
    )
    later = FEEDS["acute"]([replace(LIND, local_id="T4")]) + merge
    put_later(root, "acute", "later.hl7", later)
    road.done(root, "nightly")


def test_a_decision_that_the_link_cannot_follow_is_a_task_again(root: Path) -> None:
    merged_by_its_source(root)
    together = {person_of(root, r) for r in ("acute/T3", *TWINS)}
    assert len(together) > 1, "the guard rail between the twins holds"
    found, text = shown_task("bob", root, "still apart")
    assert "a decision has no effect" in text
    assert "decided before" in text
    assert found["across"]["second_person"] == "a guard rail forbids it"
    done_by("bob", root, "review", "decide", found["task"], "same", *WHY)
    waiting = done_by("cat", root, "review", "next", "--kind", "second person", "--json").document
    assert waiting["across"]["forbidden"] == 2
    assert waiting["across"]["second_person"] == "", "the second person is the one who is asked"
    assert waiting["across"]["worst"][0]["guard"]
    done_by("cat", root, "review", "decide", waiting["task"], "same", *WHY)
    road.done(root, "link")
    assert len({person_of(root, r) for r in ("acute/T3", *TWINS)}) == 1
    assert "still apart" not in done_by("bob", root, "review", "list", "--json").document["kinds"]


def test_one_line_for_what_was_decided_in_one_go(root: Path) -> None:
    person = person_of(root, "pas/L0")
    done_by("cat", root, "person", "merge", person, person_of(root, "pas/A"), *WHY)
    text = shown_task("bob", root, "second person")[1]
    assert text.count(WHY[1]) == 1
    assert "more pairs)" in text
    assert "2 pairs of records across the two" in text
