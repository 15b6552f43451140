"""What the functional tests share: a PostgreSQL server, and a demo partnership in small."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drawings import drawn_once
from tests.functional import road
from tests.functional.reviewing import queue_workspace
from tests.postgres import fresh_database, running_server

__all__ = ["drawn_once"]

KEPT = {
    "adult_avonmere": ("clients_*", "referrals_*"),
    "acute_northmoor": ("adt_*", "siu_*"),
    "gp_harbour": ("Patient_*", "Condition_*"),
    "staff_directory": ("staff_*",),
}
"""What of the demo's inbox stays: every format and every kind, and little of each."""
BATCH_UNITS = 20


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with running_server() as uri:
        yield uri


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def demo_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo workspace cut down to a few feeds and to small batches, nothing loaded yet."""
    root = tmp_path_factory.mktemp("demo") / "partnership"
    road.done(root, "demo", "--people", 250, "--items-per-person", 1)
    for folder in (root / "inbox").iterdir():
        kept = {f for pattern in KEPT.get(folder.name, ()) for f in folder.glob(pattern)}
        for file in set(folder.iterdir()) - kept:
            file.unlink()
    settings = root / "partnership.toml"
    text = settings.read_text("utf-8")
    changed = text.replace("[limits]\n", f"[limits]\nbatch_units = {BATCH_UNITS}\n")
    assert changed != text
    settings.write_text(changed, "utf-8")
    return root


@pytest.fixture
def workspace(demo_workspace: Path, tmp_path: Path) -> Path:
    """A copy of the demo workspace of one's own."""
    return road.copy_of(demo_workspace, tmp_path / "partnership")


def on_postgres(root: Path, url: str) -> None:
    """Makes the workspace keep its persons in PostgreSQL."""
    settings = root / "partnership.toml"
    text = settings.read_text("utf-8")
    settings.write_text(text.replace("sqlite:///partnership.db", url), "utf-8")
    shutil.rmtree(root / "partnership.db", ignore_errors=True)


@pytest.fixture(scope="session")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small partnership with something to review."""
    return queue_workspace(tmp_path_factory.mktemp("review") / "p")


@pytest.fixture
def root(queue: Path, tmp_path: Path) -> Path:
    """A copy of it, for one test."""
    return road.copy_of(queue, tmp_path / "p")
