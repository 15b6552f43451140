"""A night killed at a moment that nobody chose, then run again, ends as one left alone.

The real program, as a process, by its own steps. Audit events are left out of the comparison: a
night killed while it wrote its report has written itself down, and so has the one after it.
"""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.functional import road
from tests.functional.conftest import on_postgres
from tests.functional.second_night import add_second_night


@pytest.fixture(scope="module")
def real_night(
    demo_workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, float]:
    """An undisturbed night of the real program, and how many seconds it took."""
    root = road.copy_of(demo_workspace, tmp_path_factory.mktemp("real") / "partnership")
    begun = time.monotonic()
    assert road.run(root, "nightly").code == 0
    return root, time.monotonic() - begun


def killed_after(root: Path, seconds: float) -> None:
    """Starts a real night and kills it after so long (if it takes so long)."""
    process = subprocess.Popen(
        road.command(root, "nightly"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    assert process.wait() in (0, -signal.SIGKILL)


def delays(seed: int, count: int) -> list[float]:
    """Shares of a night, one in each of as many equal parts of it."""
    draw = random.Random(seed)
    return [(n + draw.random()) / count for n in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("share", delays(1, 6), ids="{:.2f}".format)
def test_killed_at_a_random_moment(
    workspace: Path, real_night: tuple[Path, float], share: float
) -> None:
    undisturbed, seconds = real_night
    killed_after(workspace, share * seconds)
    road.done(workspace, "nightly")
    found, expected = road.dump(workspace), road.dump(undisturbed)
    assert road.without_events(found) == road.without_events(expected)


@pytest.mark.slow
@pytest.mark.parametrize("share", delays(2, 2), ids="{:.2f}".format)
def test_killed_at_a_random_moment_on_postgresql(
    workspace: Path, postgres_url: str, real_night: tuple[Path, float], share: float
) -> None:
    undisturbed, seconds = real_night
    on_postgres(workspace, postgres_url)
    killed_after(workspace, share * seconds)
    road.done(workspace, "nightly")
    found, expected = road.dump(workspace), road.dump(undisturbed)
    assert road.without_agreements(found) == road.without_agreements(expected)


@pytest.fixture(scope="module")
def real_second_night(
    real_night: tuple[Path, float], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The workspace before and after an undisturbed second night of the real program."""
    folder = tmp_path_factory.mktemp("real-second")
    before = road.copy_of(real_night[0], folder / "before")
    add_second_night(before)
    after = road.copy_of(before, folder / "after")
    road.done(after, "nightly")
    return before, after


@pytest.mark.slow
@pytest.mark.parametrize("share", delays(3, 2), ids="{:.2f}".format)
def test_the_second_night_killed_at_a_random_moment(
    real_night: tuple[Path, float],
    real_second_night: tuple[Path, Path],
    tmp_path: Path,
    share: float,
) -> None:
    before, after = real_second_night
    root = road.copy_of(before, tmp_path / "partnership")
    killed_after(root, share * real_night[1])
    assert road.persons(root) in (road.still_live(root, before), road.persons(after))
    road.done(root, "nightly")
    found, expected = road.dump(root), road.dump(after)
    assert road.without_events(found) == road.without_events(expected)
