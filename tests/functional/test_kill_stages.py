"""A night killed at a stage of its work, then run again, ends as one that nothing disturbed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.functional import road
from tests.functional.conftest import on_postgres
from tests.functional.killer import small_steps
from tests.functional.second_night import add_second_night

SQL_STORE = "store.sql_store:SqlStore"
STAGES = {
    # moment: (target, nth call, before or after)
    "a first run, settings read and nothing done": ("wiring:open_store", 1, "before"),
    "the schema just made": ("wiring:open_store", 1, "after"),
    "a feed begun, none of it loaded": (f"{SQL_STORE}.begin_feed", 2, "after"),
    "a feed being read by a second process": ("adapters.ahead:ReadAhead._started", 3, "after"),
    "the first batch committed": (f"{SQL_STORE}.load_batch", 1, "after"),
    "some batch committed": (f"{SQL_STORE}.load_batch", 7, "after"),
    "within a batch": ("store.loading:_count_issues", 6, "before"),
    "all batches of a feed loaded, its end not told": (f"{SQL_STORE}.end_feed", 1, "before"),
    "a feed ended, its segments not compacted": ("store.feeds:compact", 2, "before"),
    "everything read, linkage not begun": ("service.nightly:link_records", 1, "before"),
    "trained, the model not yet in its file": ("service.linking:write_whole", 1, "before"),
    "the model written beside its place": ("pathlib:Path.replace", 1, "before"),
    "the model in its place": ("service.linking:write_whole", 1, "after"),
    "the link state written in part": ("store.link_state:_write_parts", 1, "after"),
    "the link state kept, not published": (f"{SQL_STORE}.save_link_state", 1, "after"),
    "publication decided, not begun": (f"{SQL_STORE}.publish", 1, "before"),
    "between two chunks of persons": ("store.publishing:_rows", 2, "before"),
    "between two chunks of memberships": ("store.publishing:_rows", 6, "before"),
    "publication written, not shown": ("store.publishing:advance", 1, "before"),
    "published, the audit event not written": (f"{SQL_STORE}.publish", 1, "after"),
}
QUICK = ("some batch committed", "between two chunks of memberships")
SECOND_NIGHT = {
    "a changed feed half loaded": (f"{SQL_STORE}.load_batch", 3, "after"),
    "the second link state written in part": ("store.link_state:_write_parts", 1, "after"),
    "the second link state kept, not published": (f"{SQL_STORE}.save_link_state", 1, "after"),
    "between two chunks": ("store.publishing:_rows", 4, "before"),
    "publication written, not shown": ("store.publishing:advance", 1, "before"),
}
AFTER_THE_EVENT = {
    "the report not begun": ("commands.nightly:finish", 1, "before"),
    "the report written beside its place": ("pathlib:Path.replace", 2, "before"),
}


def spec(table: dict[str, tuple[str, int, str]], quick: tuple[str, ...] = ()) -> list[object]:
    return [
        pytest.param(*row, id=name, marks=() if name in quick else pytest.mark.slow)
        for name, row in table.items()
    ]


@pytest.fixture(autouse=True)
def _steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs here goes by the same small steps as in the killed process."""
    small_steps(monkeypatch.setattr)


@pytest.fixture(scope="module")
def undisturbed(demo_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace after one night that nothing disturbed, by small steps."""
    root = road.copy_of(demo_workspace, tmp_path_factory.mktemp("undisturbed") / "partnership")
    with pytest.MonkeyPatch.context() as patch:
        small_steps(patch.setattr)
        road.done(root, "nightly")
    return root


def killed(root: Path, target: str, nth: int, when: str) -> None:
    """A night that dies where told."""
    arguments = (target, str(nth), when)
    ended = road.driven("tests.functional.killer", root, arguments, "nightly")
    assert ended.code == -signal.SIGKILL, ended.said


@pytest.mark.parametrize(("target", "nth", "when"), spec(STAGES, QUICK))
def test_killed_at_a_stage(
    workspace: Path, undisturbed: Path, target: str, nth: int, when: str
) -> None:
    killed(workspace, target, nth, when)
    if (workspace / "partnership.db").exists():
        seen = road.persons(workspace)
        assert seen in ({}, road.persons(undisturbed)), "half a run is never seen"
    road.done(workspace, "nightly")
    assert road.dump(workspace) == road.dump(undisturbed)
    assert (workspace / "model.json").read_bytes() == (undisturbed / "model.json").read_bytes()


@pytest.mark.parametrize(("target", "nth", "when"), spec(AFTER_THE_EVENT))
def test_killed_after_the_night_was_written_down(
    workspace: Path, undisturbed: Path, target: str, nth: int, when: str
) -> None:
    killed(workspace, target, nth, when)
    road.done(workspace, "nightly")
    found, expected = road.dump(workspace), road.dump(undisturbed)
    assert road.without_events(found) == road.without_events(expected)
    nights = [event for event in road.events(workspace) if event["action"] == "nightly"]
    assert len(nights) == 2, "two nights, both written down"
    assert not list(workspace.rglob("*.part")), "nothing half-written is left lying"


@pytest.mark.slow
def test_killed_again_and_again(workspace: Path, undisturbed: Path) -> None:
    for name in ("some batch committed", "the first batch committed", *QUICK):
        killed(workspace, *STAGES[name])
    road.done(workspace, "nightly")
    assert road.dump(workspace) == road.dump(undisturbed)


@pytest.fixture(scope="module")
def second_night(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The workspace before and after an undisturbed second night, by small steps."""
    folder = tmp_path_factory.mktemp("second")
    before = road.copy_of(undisturbed, folder / "before")
    add_second_night(before)
    after = road.copy_of(before, folder / "after")
    with pytest.MonkeyPatch.context() as patch:
        small_steps(patch.setattr)
        report = road.done(after, "nightly", "--json").document
    assert report["link"]["joined"] + report["link"]["moved"] > 0, "the night changes persons"
    return before, after


@pytest.mark.parametrize(("target", "nth", "when"), spec(SECOND_NIGHT))
def test_killed_in_the_second_night(
    second_night: tuple[Path, Path], tmp_path: Path, target: str, nth: int, when: str
) -> None:
    before, after = second_night
    root = road.copy_of(before, tmp_path / "partnership")
    killed(root, target, nth, when)
    seen = road.persons(root)
    assert seen == road.still_live(root, before), "the first night's persons are still shown"
    road.done(root, "nightly")
    assert road.dump(root) == road.dump(after)


@pytest.mark.parametrize(
    ("target", "nth", "when"),
    spec({k: STAGES[k] for k in ("within a batch", "between two chunks of memberships")}),
)
def test_killed_on_postgresql(
    workspace: Path, undisturbed: Path, postgres_url: str, target: str, nth: int, when: str
) -> None:
    on_postgres(workspace, postgres_url)
    killed(workspace, target, nth, when)
    road.done(workspace, "nightly")
    found, expected = road.dump(workspace), road.dump(undisturbed)
    assert road.without_agreements(found) == road.without_agreements(expected)
