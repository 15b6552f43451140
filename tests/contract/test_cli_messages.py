"""Messages to whoever slipped: what is wrong, where, what next; and no value of a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.functional import road
from tests.functional.small import Client, clients, new_workspace, put_all

NAME = "Zqxwort"
WHY = ("--reason", "seen on paper")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace after its first night, with a person of a name that stands nowhere else."""
    root = new_workspace(tmp_path_factory.mktemp("messages") / "p")
    put_all(root, [*clients(6), Client("Z1", NAME, NAME)])
    road.done(root, "nightly")
    return root


SLIPS: tuple[tuple[tuple[object, ...], int, tuple[str, ...]], ...] = (
    (("link", "--approve", 1), 5, ("run 1 is not held", "it was published")),
    (("link", "--approve", 77), 5, ("there is no such run", "the latest is 1")),
    (("person", "difference", 1), 5, ("run 1: it was not held", "only a held run")),
    (("person", "difference", 77), 5, ("run 77: there is no such run",)),
    (("person", "undo", "run", 77), 5, ("no run 77 was published", "the latest is 1")),
    (("person", "show", "P123"), 5, ("no person of that id", "p and 16 small letters or digits")),
    (("person", "history", "P123"), 5, ("no person of that id", "`person export`")),
    (("person", "export", "--out", "x.csv", "--as-at", "now"), 4, ("--as-at", "2026-11-03T06")),
    (("explain", "pas", "gp"), 4, ("SOURCE/LOCAL_ID", "hospice/H-17")),
    (("review", "decide", "tzzzzzz", "same", *WHY), 5, ("`commonthread review list`",)),
    (("review", "next", "--kind", "quality"), 5, ("no open task of that kind for this account",)),
    (("evaluate",), 4, ("truth.parquet: no such file", "--truth")),
)


@pytest.mark.parametrize(("words", "code", "parts"), SLIPS, ids=lambda v: str(v)[:40])
def test_a_slip_is_told_what_is_there_and_what_next(
    workspace: Path, words: tuple[object, ...], code: int, parts: tuple[str, ...]
) -> None:
    ended = road.call(workspace, *words)
    assert (ended.code, ended.out) == (code, "")
    for part in parts:
        assert part in ended.err


QUESTIONS = {
    "": "cannot be read as JSON",
    f'{{"given": "{NAME}"': "cannot be read as JSON",
    f'{{"given": {NAME}}}': "cannot be read as JSON",
    f'["{NAME}"]': "something of another kind",
    f'{{"{NAME}": 3}}': "something of another kind",
}


@pytest.mark.parametrize("question", QUESTIONS, ids=list("abcde"))
def test_a_question_that_cannot_be_read_is_named_and_not_shown(
    workspace: Path, tmp_path: Path, question: str
) -> None:
    path = tmp_path / "who.json"
    path.write_text(question, "utf-8")
    ended = road.call(workspace, "match", path)
    assert (ended.code, ended.out) == (4, "")
    assert f"{path}: the question" in ended.err
    assert QUESTIONS[question] in ended.err
    assert NAME not in ended.err


@pytest.mark.parametrize("words", [("link", "--shadow", "--model"), ("evaluate", "--truth")])
def test_a_file_of_another_kind_is_named_and_not_shown(
    workspace: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    path = tmp_path / "other.txt"
    path.write_text(NAME, "utf-8")
    ended = road.call(workspace, *words, path)
    assert (ended.code, ended.out) == (4, "")
    assert f"{path}: " in ended.err
    assert NAME not in ended.err


def test_an_undo_of_the_first_run_warns_that_hardly_anybody_is_left(
    workspace: Path, tmp_path: Path
) -> None:
    root = road.copy_of(workspace, tmp_path / "p")
    said = road.done(root, "person", "undo", "run", 1).out
    assert "leaves hardly anybody published" in said
    road.done(root, "link")
    assert not road.persons(root)


def test_a_merge_that_waits_does_not_promise_to_be_published(
    workspace: Path, tmp_path: Path
) -> None:
    root = road.copy_of(workspace, tmp_path / "p")
    persons = road.persons(root)
    ids = (persons["pas", "pasL1"], persons["pas", "pasL2"])
    said = road.done(root, "person", "merge", *ids, *WHY).out
    assert "no effect until a second person confirms it" in said
    assert "publishes it" not in said
    road.done(root, "link")
    assert road.persons(root) == persons
