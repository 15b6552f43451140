"""audit retention, audit hold: who may, what is written down, and that the log still proves."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from schemas.dates import Instant
from schemas.identifiers import PersonId
from tests.audit.small_log import event
from tests.functional import road
from tests.functional.small import new_workspace
from wiring import open_workspace

OLD = Instant("2011-03-01T10:00:00Z")
ANN = PersonId("pann")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with twelve events of long ago, three of them about Ann, and some of now."""
    root = new_workspace(tmp_path_factory.mktemp("keep") / "p")
    with open_workspace(root).store() as store:
        for number in range(12):
            persons = (ANN,) if number % 4 == 0 else ()
            old = msgspec.structs.replace(
                event(number), at=OLD, action="everything", persons=persons, actor=f"s{number % 2}"
            )
            store.append_event(old)
    as_role(root, "data_team", "ig_officer")
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return road.copy_of(made, tmp_path / "p")


def as_role(root: Path, old: str, new: str) -> None:
    settings = root / "partnership.toml"
    settings.write_text(settings.read_text().replace(f'"{old}"', f'"{new}"'))


def access(document: dict) -> tuple[int, int]:
    (row,) = (one for one in document["classes"] if one["event_class"] == "access")
    return row["due"], row["held"]


def test_what_is_due_is_told_and_nothing_goes(root: Path) -> None:
    for _ in range(2):
        found = road.done(root, "audit", "retention", "--json").document
        assert access(found) == (12, 0)
        assert found["erased"] is None
    told = [e["details"] for e in road.events(root) if e["action"] == "audit-retention"]
    assert [(one["due"], one["on_hold"], one["applied"]) for one in told] == [(12, 0, False)] * 2


def test_what_is_held_stays_and_the_log_still_proves(root: Path) -> None:
    reason = "a claim is pending"
    named = ("--person", ANN, "--reason", reason)
    assert road.done(root, "audit", "hold", "add", *named, "--json").document["hold_id"] == 1
    found = road.done(root, "audit", "retention", "--apply", "--json").document
    assert access(found) == (12, 3)
    assert found["erased"]["events"] == 9
    verified = road.done(root, "audit", "verify", "--json").document
    assert (verified["sound"], verified["faults"]) == (True, [])
    events = road.events(root)
    assert [e["persons"] for e in events if e["action"] == "everything"] == [[ANN]] * 3
    (erased,) = (e for e in events if e["action"] == "audit-erase")
    leaves = [n for first, last in erased["details"]["leaves"] for n in range(first, last + 1)]
    assert len(leaves) == 9
    assert not any(reason in str(e["details"]) for e in events)
    road.done(root, "audit", "hold", "release", "1", "--reason", "it is over")
    again = road.done(root, "audit", "retention", "--apply", "--json").document
    assert again["erased"]["events"] == 3
    (hold,) = road.done(root, "audit", "hold", "list", "--json").document
    assert (hold["reason"], hold["person"], bool(hold["released_at"])) == (reason, ANN, True)
    assert road.done(root, "audit", "verify", "--json").document["sound"] is True


def test_a_span_and_an_actor_together(root: Path) -> None:
    span = ("--actor", "s0", "--since", "2011-01-01", "--until", "2011-06-01")
    road.done(root, "audit", "hold", "add", *span, "--reason", "an inquiry")
    found = road.done(root, "audit", "retention", "--json").document
    assert access(found) == (12, 6)


def test_a_time_of_its_own_for_a_class(root: Path) -> None:
    settings = root / "partnership.toml"
    settings.write_text(settings.read_text() + "\n[audit.retention]\naccess = 36_525\n")
    found = road.done(root, "audit", "retention", "--json").document
    assert access(found) == (0, 0)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("hold", "add", "--reason", "why"), 4),
        (("hold", "add", "--actor", "x", "--reason", " "), 4),
        (("hold", "add", "--since", "2026-02-01", "--until", "2026-01-01", "--reason", "why"), 4),
        (("hold", "add", "--since", "soon", "--reason", "why"), 4),
        (("hold", "add", "--person", "pnobody", "--reason", "why"), 5),
        (("hold", "release", "9", "--reason", "why"), 5),
    ],
)
def test_what_cannot_be(root: Path, command: tuple[str, ...], code: int) -> None:
    assert road.call(root, "audit", *command).code == code


def test_a_hold_on_nobody_is_not_laid_down_and_the_try_is_written_down(root: Path) -> None:
    ended = road.call(root, "audit", "hold", "add", "--person", "pnobody", "--reason", "why")
    assert ended.code == 5
    assert "no person of that id" in ended.err
    last = road.events(root)[-1]
    told = (last["action"], last["outcome"], last["details"]["error"])
    assert told == ("audit-hold", "failed", "NotFound")
    assert road.done(root, "audit", "hold", "list", "--json").document == []


@pytest.mark.parametrize(
    "command",
    [("retention",), ("retention", "--apply"), ("hold", "list"),
     ("hold", "add", "--actor", "x", "--reason", "why"), ("hold", "release", "1", "--reason", "w")],
)  # fmt: skip
def test_others_may_not_and_that_is_written_down(root: Path, command: tuple[str, ...]) -> None:
    as_role(root, "ig_officer", "data_team")
    before = len(road.events(root))
    assert road.call(root, "audit", *command).code == 6
    last = road.events(root)[-1]
    assert (last["outcome"], len(road.events(root)) > before) == ("refused", True)
