"""The review queue, decisions and corrections, on the command line, by several people."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import wiring
from schemas.dates import Instant, to_instant
from schemas.identifiers import LocalId, SourceId
from tests.functional import road
from tests.functional.reviewing import (
    EMERY,
    EMERYS,
    PEOPLE,
    RESTRICTED,
    TWINS,
    WHY,
    as_account,
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

# --- looking -----------------------------------------------------------------------------------


def test_the_queue_names_no_person(root: Path) -> None:
    listed = done_by("bob", root, "review", "list")
    assert "review band" in listed.out
    for told in ("Emery", "Christopher", "BS13", "pas", "Quill", "Secret"):
        assert told not in listed.out


def test_two_records_side_by_side(root: Path) -> None:
    named = task("cat", root, *EMERYS)
    shown = done_by("cat", root, "review", "show", named[:6])
    for told in ("Christopher Emery", "16 Highfield Grove", "match weight", "x telecoms", named):
        assert told in shown.out
    document = done_by("cat", root, "review", "show", named, "--json").document
    assert document["marks"] == {
        "names": "partly", "birth_date": "partly", "gender": "agrees", "nhs_number": "unknown",
        "addresses": "agrees", "telecoms": "differs", "gp_practice": "unknown",
    }  # fmt: skip
    assert {r["source"] for r in document["records"]} == {"pas", "gp"}
    assert document["bits"] == pytest.approx(sum_of_evidence(document), abs=60)
    seen = road.events(root)[-1]
    assert (seen["action"], seen["actor"], seen["outcome"]) == ("review-show", "cat", "permitted")
    assert set(seen["persons"]) == {person_of(root, r) for r in EMERYS}


def sum_of_evidence(document: dict[str, Any]) -> float:
    return float(sum(f["bits_against_strangers"] for f in document["fields"]))


def test_next_is_the_first_of_the_list(root: Path) -> None:
    first = done_by("bob", root, "review", "list", "--json").document["tasks"][0]
    shown = done_by("bob", root, "review", "next", "--json").document
    assert shown["task"] == first["task"]
    assert shown["points"] == first["points"] > 0, "the restricted person comes first"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("show", "tzzzzzzzzzz"), 5, "no open task"),
        (("show", "t"), 4, "at least 4 letters"),
        (("decide", "tzzzzzzzzzz", "same", *WHY), 5, "no open task"),
        (("decide", "tzzzzzzzzzz", "same"), 2, "Missing option"),
        (("decide", "tzzzzzzzzzz", "perhaps", *WHY), 2, "'same', 'different', 'undecided'"),
        (("list", "--kind", "nosuch"), 4, "no such kind"),
        (("revoke", "7", *WHY), 5, "no decision 7"),
        (("decisions", "pas/nosuch"), 5, "no record"),
        (("decisions", "pas"), 4, "SOURCE/LOCAL_ID"),
    ],
)
def test_what_is_not_there(root: Path, words: tuple[str, ...], code: int, said: str) -> None:
    ended = by("cat", root, "review", *words)
    assert ended.code == code, ended.said
    assert said in ended.err
    assert ended.out == ""


@pytest.mark.parametrize(
    "words",
    [
        ("review", "list"), ("review", "next"), ("review", "sample"),
        ("review", "revoke", "1", *WHY),
        ("person", "split", "p", "--apart", "pas/A", *WHY), ("person", "merge", "p", "q", *WHY),
        ("person", "wrong", "p", "--source", "gp", *WHY),
    ],
    ids=" ".join,
)  # fmt: skip
def test_who_may_not(root: Path, words: tuple[str, ...]) -> None:
    assert by("igor", root, *words, "--purpose", "audit").code == 6
    assert road.events(root)[-1]["outcome"] == "refused"
    assert by("nobody", root, *words).code == 6
    assert by("cat", root, *words, "--purpose", "direct-care").code == 6


def test_an_ig_officer_reads_decisions(root: Path) -> None:
    decide("cat", root, EMERYS, "same")
    rows = done_by("igor", root, "review", "decisions", "--purpose", "audit", "--json").document
    assert [(r["verdict"], r["author"], r["reason"]) for r in rows] == [("same", "cat", WHY[1])]


# --- deciding ----------------------------------------------------------------------------------


def test_same_joins_and_revoking_parts_again(root: Path) -> None:
    assert not together(root, *EMERYS)
    answer = decide("cat", root, EMERYS, "same")
    assert answer["standing"] == "live"
    assert task_of("cat", root, *EMERYS) is None, "an answered task is gone at once"
    road.done(root, "link")
    assert together(root, *EMERYS)
    done_by("bob", root, "review", "revoke", answer["decision"], "--reason", "a slip of mine")
    road.done(root, "link")
    assert not together(root, *EMERYS)
    assert task_of("cat", root, *EMERYS), "it is a question again"
    assert by("bob", root, "review", "revoke", answer["decision"], *WHY).code == 4


def test_different_keeps_apart_and_answers_the_task(root: Path) -> None:
    decide("cat", root, EMERYS, "different")
    assert task_of("bob", root, *EMERYS) is None
    road.done(root, "link")
    assert not together(root, *EMERYS)
    assert task_of("bob", root, *EMERYS) is None


def test_a_decision_is_written_down_without_its_reason(root: Path) -> None:
    decide("cat", root, EMERYS, "same")
    told = [e for e in road.events(root) if e["action"] == "review-decide"]
    assert [(e["actor"], e["details"]["verdict"]) for e in told] == [("cat", "same")]
    assert set(told[0]["persons"]) == {person_of(root, r) for r in EMERYS}
    assert "Quokka" not in json.dumps(road.events(root))
    assert b"Quokka" not in b"".join(p.read_bytes() for p in root.glob("partnership.db*"))


def test_undecided_comes_back_after_its_days(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decide("cat", root, EMERYS, "undecided")
    listed = done_by("bob", root, "review", "list", "--json").document
    assert listed["undecided"] == 1
    assert task_of("bob", root, *EMERYS) is None
    monkeypatch.setattr(wiring, "clock", later(29))
    assert task_of("bob", root, *EMERYS) is None
    monkeypatch.setattr(wiring, "clock", later(31))
    assert task_of("bob", root, *EMERYS)


def later(days: int) -> Callable[[], Instant]:
    now = datetime.fromisoformat(wiring.clock())
    return lambda: to_instant(now + timedelta(days=days))


def test_a_contradiction_is_refused_and_names_what_it_contradicts(root: Path) -> None:
    number = decide("cat", root, EMERYS, "same")["decision"]
    road.done(root, "link")
    person = person_of(root, "gp/B")
    ended = by("bob", root, "person", "split", person, "--apart", "gp/B", *WHY)
    assert ended.code == 10
    assert f"decision {number} (same, by cat" in ended.err
    assert "Quokka" not in ended.err
    rows = done_by("bob", root, "review", "decisions", "pas/A", "--json").document
    assert len(rows) == 1


def test_an_id_used_again_lets_its_decision_rest(root: Path) -> None:
    decide("cat", root, EMERYS, "same")
    stranger = replace(PEOPLE[0], local_id="A", nhs_number="", street="1 New Road")
    put_later(
        root, "pas", "b.csv", FEEDS["pas"]([replace(stranger, given="Zoltan", family="Kovacs")])
    )
    road.done(root, "nightly")
    assert not together(root, *EMERYS)
    shown = done_by("cat", root, "review", "show", task("cat", root, *EMERYS), "--json").document
    assert shown["kind"] == "reused id"
    decide("cat", root, EMERYS, "different")
    assert task_of("cat", root, *EMERYS) is None
    (old, new) = done_by("cat", root, "review", "decisions", "--json").document[::-1]
    assert (old["standing"], new["standing"], new["verdict"]) == ("revoked", "live", "different")


def test_a_decision_about_a_record_that_is_not_held_is_refused(root: Path) -> None:
    from commands.review import at_the_desk
    from schemas.decisions import Verdict
    from schemas.errors import NotFound
    from service.decisions import decide as decide_pair

    with as_account("cat"), at_the_desk(root, "review-decide", None) as desk:
        with pytest.raises(NotFound, match="not held, or was withdrawn"):
            decide_pair(desk, (1, 99_999), Verdict.SAME, "seen")
        assert list(desk.store.decisions()) == []


# --- two people --------------------------------------------------------------------------------


def merge_twins(root: Path, name: str = "cat") -> dict[str, Any]:
    ids = [person_of(root, r) for r in TWINS]
    document = done_by(name, root, "person", "merge", *ids, *WHY, "--json").document
    assert isinstance(document, dict)
    return document


def test_against_a_guard_rail_a_second_person_must_confirm(root: Path) -> None:
    assert merge_twins(root)["awaits"] == "a guard rail forbids it"
    road.done(root, "link")
    assert not together(root, *TWINS), "what waits has no effect"
    assert done_by("cat", root, "review", "list", "--json").document["yours_waiting"] == 1
    assert task_of("cat", root, *TWINS) is None, "nobody confirms their own"
    assert decide("bob", root, TWINS, "same")["confirmed_by"] == "bob"
    road.done(root, "link")
    assert together(root, *TWINS)


@pytest.mark.parametrize("verdict", ["different", "undecided"])
def test_a_second_person_who_does_not_agree_ends_it(root: Path, verdict: str) -> None:
    first = merge_twins(root)["first_decision"]
    decide("bob", root, TWINS, verdict)
    rows = {
        r["decision"]: r
        for r in done_by("cat", root, "review", "decisions", "--json").document
    }  # fmt: skip
    assert (rows[first]["standing"], rows[first]["revoked_by"]) == ("revoked", "bob")
    road.done(root, "link")
    assert not together(root, *TWINS)


def test_a_large_person_needs_a_second_person(root: Path) -> None:
    path = root / "partnership.toml"
    path.write_text(path.read_text().replace("two_people_above = 8", "two_people_above = 1"))
    assert decide("cat", root, EMERYS, "same")["awaits"] == "it would make a very large person"
    assert task_of("cat", root, *EMERYS) is None
    assert decide("bob", root, EMERYS, "same")["standing"] == "live"


# --- persons -----------------------------------------------------------------------------------


def test_a_split_holds(root: Path) -> None:
    person = person_of(root, "pas/L0")
    assert person_of(root, "gp/gL0") == person
    done_by("cat", root, "person", "split", person, "--apart", "gp/gL0", *WHY)
    road.done(root, "link")
    assert not together(root, "pas/L0", "gp/gL0")
    road.done(root, "link", "--full")
    assert not together(root, "pas/L0", "gp/gL0")


@pytest.mark.parametrize(
    ("apart", "code", "said"),
    [
        (("pas/L1",), 5, "not one of this person's"),
        (("pas/L0", "gp/gL0"), 4, "not all of them"),
        (("pas",), 4, "SOURCE/LOCAL_ID"),
    ],
)
def test_a_split_that_is_none(root: Path, apart: tuple[str, ...], code: int, said: str) -> None:
    options = [word for one in apart for word in ("--apart", one)]
    ended = by("cat", root, "person", "split", person_of(root, "pas/L0"), *options, *WHY)
    assert (ended.code, said in ended.err) == (code, True), ended.said


def test_one_person_is_not_merged_with_itself(root: Path) -> None:
    person = person_of(root, "pas/L0")
    assert by("cat", root, "person", "merge", person, person, *WHY).code == 4
    assert by("cat", root, "person", "merge", person, "nobody", *WHY).code == 5


# --- whom an event names -----------------------------------------------------------------------


def test_records_in_no_person_yet_are_named_by_their_ids(root: Path) -> None:
    """Loaded and not linked yet: what is shown of them is written down all the same."""
    new = replace(EMERY, local_id="N", family="Emory")
    put_later(root, "gp", "b.ndjson", FEEDS["gp"]([new]))
    road.done(root, "ingest")
    with road.opened(root) as store:
        held = store.record(SourceId("gp"), LocalId("N"))
    assert held
    assert held.person_id is None
    done_by("cat", root, "explain", "pas/A", "gp/N")
    told = road.events(root)[-1]
    assert (told["action"], told["persons"]) == ("explain", [person_of(root, "pas/A")])
    assert told["details"]["records"] == [held.record_id]
    done_by("cat", root, "explain", "pas/A", "gp/B")
    assert "records" not in road.events(root)[-1]["details"], "all are in persons"


def test_a_decision_about_a_record_in_no_person_yet_names_it(root: Path) -> None:
    from commands.review import at_the_desk
    from schemas.decisions import Verdict
    from service.decisions import decide as decide_pair

    put_later(root, "gp", "b.ndjson", FEEDS["gp"]([replace(EMERY, local_id="N")]))
    road.done(root, "ingest")
    with as_account("cat"), at_the_desk(root, "review-decide", None) as desk:
        old = desk.store.record(SourceId("pas"), LocalId("A"))
        new = desk.store.record(SourceId("gp"), LocalId("N"))
        assert old
        assert new
        decide_pair(desk, (old.record_id, new.record_id), Verdict.DIFFERENT, "seen")
    done_by("cat", root, "review", "decisions")
    for told in road.events(root)[-2:]:
        assert told["persons"] == [person_of(root, "pas/A")]
        assert told["details"]["records"] == [new.record_id]


def test_a_difference_names_new_records_by_their_ids(root: Path) -> None:
    path = root / "partnership.toml"
    path.write_text(path.read_text().replace("[link]\n", "[link]\nmax_changed_fraction = 0.01\n"))
    strangers = [replace(PEOPLE[n], local_id=f"x{n}") for n in range(4)]
    put_later(root, "pas", "b.csv", FEEDS["pas"]([*strangers, replace(EMERY, local_id="N")]))
    swapped = [replace(PEOPLE[2], local_id="gL1"), replace(PEOPLE[1], local_id="gL2")]
    put_later(root, "gp", "b.ndjson", FEEDS["gp"](swapped))
    road.done(root, "ingest")
    assert road.call(root, "link").code == 10
    document = done_by("cat", root, "person", "difference", 2, "--json").document
    alone = {
        r["record"] for e in document["examples"] for r in e["records"] if not r["person_id"]
    }  # fmt: skip
    assert alone
    assert road.events(root)[-1]["details"]["records"] == sorted(alone)


# --- quality control ---------------------------------------------------------------------------


def drawn(root: Path, size: int = 6) -> list[str]:
    done_by("cat", root, "review", "sample", "--size", size, "--seed", 1, "--json")
    listed = done_by("bob", root, "review", "list", "--kind", "quality", "--json").document
    shown = done_by("bob", root, "review", "next", "--kind", "quality", "--json").document
    everything = done_by("bob", root, "review", "list", "--json").document["tasks"]
    assert everything[-len(listed["tasks"]) :] == listed["tasks"], "quality control comes last"
    assert shown["task"] == listed["tasks"][0]["task"]
    return [t["task"] for t in listed["tasks"]]


def test_quality_control_from_draw_to_figures(root: Path) -> None:
    path = root / "partnership.toml"
    text = path.read_text().replace("two_people_above", "double_share = 1.0\ntwo_people_above")
    path.write_text(text)
    tasks = drawn(root)
    assert len(tasks) == 6
    assert "nothing is judged yet" in done_by("cat", root, "review", "agreement").out
    for at, named in enumerate(tasks):
        done_by("bob", root, "review", "decide", named, "same", *WHY)
        shown = done_by("cat", root, "review", "show", named, "--json").document
        assert shown["decisions"] == [], "the second judgement is independent"
        verdict = "same" if at else "undecided"
        done_by("cat", root, "review", "decide", named, verdict, *WHY)
    found = done_by("igor", root, "review", "agreement", "--purpose", "audit", "--json").document
    assert (found["judged"], found["twice"], found["agreed"]) == (6, 6, 5)
    assert [(r["one"], r["two"], r["pairs"], r["kappa"]) for r in found["reviewers"]] == [
        ("bob", "cat", 6, 0.0)
    ]
    assert (found["precision"], found["upper"], found["covered"]) == (1.0, 1.0, 1.0)
    assert sum(s["unsure"] for s in found["strata"]) == 1
    assert "95 % interval" in done_by("cat", root, "review", "agreement").out
    assert done_by("bob", root, "review", "list", "--kind", "quality").out.startswith("nothing")


def test_a_judgement_of_same_binds_nothing_and_different_parts(root: Path) -> None:
    first, second, *_ = drawn(root)
    for named, verdict, standing in ((first, "same", "label"), (second, "different", "live")):
        document = done_by("bob", root, "review", "decide", named, verdict, *WHY, "--json").document
        assert document["standing"] == standing
    before = set(road.partition(root))
    road.done(root, "link")
    after = set(road.partition(root))
    assert len(after - before) == 2, "one person of two records became two"


def test_nothing_is_drawn_twice(root: Path) -> None:
    assert len(drawn(root, 4)) == 4
    assert len(drawn(root, 4)) == 6
    assert by("cat", root, "review", "sample").code == 5


def test_deciding_shows_the_next(root: Path) -> None:
    named = task("bob", root, *RESTRICTED)
    ended = done_by("bob", root, "review", "decide", named, "undecided", *WHY, "--next")
    assert "task t" in ended.out
    assert EMERY.family in ended.out or "Marchbanks" in ended.out
