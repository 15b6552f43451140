"""The IG officer's commands for alerts: permits, events, exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands.audit_alerts import whom
from schemas.errors import InvalidValue, NotFound, NotPermitted, exit_code
from tests.functional import road
from tests.functional.small import FEEDS, clients, new_workspace, put


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace after its night, whose account is then the IG officer's."""
    folder = new_workspace(tmp_path_factory.mktemp("alerts") / "p")
    put(folder, "pas", "all.csv", FEEDS["pas"](clients(6)))
    road.done(folder, "nightly")
    refused = road.call(folder, "audit", "alerts", "list")
    assert refused.code == exit_code(NotPermitted("no"))
    settings = folder / "partnership.toml"
    settings.write_text(settings.read_text().replace('"data_team"', '"ig_officer"'))
    return folder


def test_detection_runs_and_says_what_it_saw(root: Path) -> None:
    found = road.done(root, "audit", "detect", "--json").document
    assert found["raised"] == 0
    assert road.done(root, "audit", "alerts", "list", "--json").document == []
    assert road.done(root, "audit", "alerts", "list", "--all", "--json").document == []
    assert road.done(root, "audit", "alerts", "precision", "--json").document == []


def test_an_unknown_alert(root: Path) -> None:
    alerts = ("audit", "alerts")
    for words in (("show", "1"), ("assign", "1", "--to", "petra")):
        assert road.call(root, *alerts, *words).code == exit_code(NotFound("none"))
    odd = ("close", "1", "--outcome", "odd", "--reason", "because")
    assert road.call(root, *alerts, *odd).code == exit_code(InvalidValue("odd"))


@pytest.mark.parametrize(
    ("person", "week", "said"),
    [
        ("p1", None, "p1"),
        (None, "2026-11-02", "week of 2026-11-02"),
        (None, None, "a person shown to the named staff only"),
    ],
)
def test_what_an_alert_is_about(person: str | None, week: str | None, said: str) -> None:
    assert whom({"person": person, "week": week}) == said


def test_the_watch_list(root: Path) -> None:
    (person, *_) = sorted(set(road.persons(root).values()))
    why = ("--reason", "in the papers this week")
    held = road.done(root, "audit", "watch", "add", person, *why, "--json").document
    listed = road.done(root, "audit", "watch", "list", "--json").document
    assert [one["person"] for one in listed] == [person]
    road.done(root, "audit", "watch", "remove", str(held["watch_id"]))
    assert road.done(root, "audit", "watch", "list", "--json").document == []
