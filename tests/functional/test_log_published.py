"""When the log is published: at the end of each command, and all the while the API is served."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.functional import road
from tests.functional.log_faults import event
from tests.functional.small import new_workspace
from wiring import open_workspace

PATIENCE = 60.0
"""Seconds that a busy machine is given for what takes one."""


@pytest.fixture
def partnership(tmp_path: Path) -> Path:
    return new_workspace(tmp_path / "p")


def published(root: Path) -> int:
    """How many events the checkpoint is of."""
    return int((root / "log" / "checkpoint").read_text("utf-8").splitlines()[1])


def test_a_command_publishes_what_it_wrote(partnership: Path) -> None:
    road.done(partnership, "ingest")
    before = published(partnership)
    road.done(partnership, "ingest")
    assert published(partnership) > before
    road.call(partnership, "link", "--approve", 9)
    with road.opened(partnership) as store:
        assert store.event_count() == published(partnership), "also one that failed"


def test_events_are_published_while_the_api_is_served(partnership: Path) -> None:
    workspace = open_workspace(partnership)
    with workspace.served(), workspace.store() as store:
        store.append_event(event("one"))
        wanted, began = store.event_count(), time.monotonic()
        while not (partnership / "log" / "checkpoint").exists() or published(partnership) < wanted:
            assert time.monotonic() - began < PATIENCE
            time.sleep(0.05)


def test_a_log_that_cannot_be_written_stops_no_command(partnership: Path) -> None:
    road.done(partnership, "ingest")
    before = published(partnership)
    (partnership / "log").rename(partnership / "kept")
    (partnership / "log").write_text("in the way")
    ended = road.run(partnership, "ingest")
    assert ended.code == 0
    assert "the audit log was not published" in ended.said
    (partnership / "log").unlink()
    (partnership / "kept").rename(partnership / "log")
    road.done(partnership, "ingest")
    assert published(partnership) > before + 1
