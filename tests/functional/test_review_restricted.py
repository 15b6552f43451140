"""Tasks and reasons about restricted persons and colleagues' families: for named staff."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.functional import road
from tests.functional.reviewing import (
    EMERYS,
    HIDDEN,
    RESTRICTED,
    WHY,
    by,
    decide,
    done_by,
    person_of,
    task,
    task_of,
)

FAMILY = ("pas/F", "gp/F2")


@pytest.mark.parametrize(
    ("pair", "may", "may_not"),
    [
        pytest.param(RESTRICTED, ["bob"], ["ann", "cat"], id="restricted: named staff"),
        pytest.param(FAMILY, ["bob"], ["ann", "cat"], id="a colleague's family: named staff"),
        pytest.param(EMERYS, ["ann", "bob", "cat"], [], id="anybody else: everybody"),
    ],
)
def test_who_sees_a_task(
    root: Path, pair: tuple[str, str], may: list[str], may_not: list[str]
) -> None:
    named = task("bob", root, *pair)
    for name in may:
        assert task_of(name, root, *pair)
        assert by(name, root, "review", "show", named).code == 0
    for name in may_not:
        assert task_of(name, root, *pair) is None
        assert done_by(name, root, "review", "list", "--json").document["for_others"]
        for words in (("show", named), ("decide", named, "same", *WHY)):
            ended = by(name, root, "review", *words)
            assert (ended.code, ended.out) == (6, "")
            assert road.events(root)[-1]["outcome"] == "refused"


def test_named_staff_never_review_their_own_family(root: Path) -> None:
    path = root / "partnership.toml"
    path.write_text(path.read_text().replace('["bob"]', '["ann", "bob"]'))
    assert task_of("ann", root, *RESTRICTED)
    assert task_of("ann", root, *FAMILY) is None
    assert task_of("bob", root, *FAMILY)


def test_where_a_restricted_person_lives_is_not_shown(root: Path) -> None:
    shown = done_by("bob", root, "review", "show", task("bob", root, *RESTRICTED))
    assert HIDDEN.family in shown.out
    assert "withheld" in shown.out
    for told in (HIDDEN.street, HIDDEN.postcode, HIDDEN.phone, HIDDEN.email, "gp /", "pas /"):
        assert told not in shown.out


def reasons(name: str, root: Path, *options: object) -> set[str]:
    rows = done_by(name, root, "review", "decisions", *options, "--json").document
    return {row["reason"] for row in rows}


@pytest.mark.parametrize(
    ("pair", "reads", "does_not"),
    [
        pytest.param(RESTRICTED, ["bob"], ["ann", "cat", "igor"], id="restricted: named staff"),
        pytest.param(FAMILY, ["bob"], ["ann", "cat", "igor"], id="a colleague's family"),
        pytest.param(EMERYS, ["ann", "bob", "cat", "igor"], [], id="anybody else: everybody"),
    ],
)
def test_who_reads_a_reason(
    root: Path, pair: tuple[str, str], reads: list[str], does_not: list[str]
) -> None:
    purpose = {"igor": ("--purpose", "audit")}
    number = decide("bob", root, pair, "different")["decision"]
    done_by("bob", root, "review", "revoke", number, "--reason", "Okapi after all")
    for name in [*reads, *does_not]:
        words = ("review", "decisions", *purpose.get(name, ()))
        for ended in (done_by(name, root, *words), done_by(name, root, *words, "--json")):
            for typed in (WHY[1], "Okapi"):
                assert (typed in ended.out) == (name in reads)
            assert ("withheld: for named staff" in ended.out) == (name in does_not)
        assert set(road.events(root)[-1]["persons"]) == {person_of(root, r) for r in pair}


def test_named_staff_read_no_reason_about_their_own_family(root: Path) -> None:
    path = root / "partnership.toml"
    path.write_text(path.read_text().replace('["bob"]', '["ann", "bob"]'))
    decide("bob", root, FAMILY, "different")
    assert reasons("ann", root) == {"withheld: for named staff"}
    assert reasons("bob", root) == {WHY[1]}


def test_a_reason_about_a_record_that_is_held_no_longer_is_for_named_staff(root: Path) -> None:
    decide("bob", root, EMERYS, "different")
    assert reasons("cat", root) == {WHY[1]}
    done_by("igor", root, "person", "erase", "gp/B", *WHY, "--purpose", "data-quality")
    assert reasons("cat", root, "pas/A") == {"withheld: for named staff"}
    assert reasons("bob", root, "pas/A") == {WHY[1]}


def test_what_was_decided_before_keeps_its_reason_about_a_restricted_person(root: Path) -> None:
    """A task that everybody may see, of a record that was judged beside a restricted one."""
    ids = [person_of(root, record) for record in ("gp/B", "pas/H")]
    done_by("bob", root, "person", "merge", *ids, "--reason", "Okapi")
    done_by("bob", root, "review", "revoke", 1, "--reason", "Okapi not")
    named = task("cat", root, *EMERYS)
    shown = done_by("cat", root, "review", "show", named, "--json").document
    assert [d["reason"] for d in shown["decisions"]] == ["withheld: for named staff"]
    assert person_of(root, "pas/H") in road.events(root)[-1]["persons"]
    shown = done_by("bob", root, "review", "show", named, "--json").document
    assert [d["reason"] for d in shown["decisions"]] == ["Okapi"]
