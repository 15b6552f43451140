"""How feeds arrive does not decide who is who: order, split into nights, names, twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.functional import road
from tests.functional.second_night import add_second_night
from tests.functional.small import ENDINGS, FEEDS, clients, new_workspace, put, put_all, with_ids


@pytest.fixture(scope="module")
def at_once(demo_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both nights' feeds, loaded in one night."""
    root = road.copy_of(demo_workspace, tmp_path_factory.mktemp("once") / "partnership")
    add_second_night(root)
    road.done(root, "nightly")
    return root


ORDERS = {
    # nights: the sources whose feeds come in each; `*` for all that is left
    "a source a night": (("gp_harbour",), ("adult_avonmere",), ("acute_northmoor",), ("*",)),
    "the other way round": (("acute_northmoor",), ("adult_avonmere",), ("*",)),
}


@pytest.mark.slow
@pytest.mark.parametrize("nights", ORDERS.values(), ids=ORDERS)
def test_the_order_of_arrival_decides_nothing(
    at_once: Path, workspace: Path, tmp_path: Path, nights: tuple[tuple[str, ...], ...]
) -> None:
    add_second_night(workspace)
    waiting = tmp_path / "waiting"
    shutil.move(workspace / "inbox", waiting)
    (workspace / "inbox").mkdir()
    for sources in nights:
        wanted = {f.name for f in waiting.iterdir()} if sources == ("*",) else sources
        for source in wanted:
            shutil.move(waiting / source, workspace / "inbox" / source)
        road.done(workspace, "nightly")
    assert road.partition(workspace) == road.partition(at_once)


@pytest.mark.slow
def test_the_later_feed_first_decides_nothing(at_once: Path, workspace: Path) -> None:
    """The older files come a night late: what they say is history, not news."""
    add_second_night(workspace)
    older = [f for f in (workspace / "inbox").glob("*/*20260301*") if f.parent.name != "staff"]
    bytes_of = {path: path.read_bytes() for path in older}
    for path in older:
        path.unlink()
    road.done(workspace, "nightly")
    for path, data in bytes_of.items():
        path.write_bytes(data)
    road.done(workspace, "nightly")
    assert road.partition(workspace) == road.partition(at_once)


def test_a_feed_under_another_name_is_known(tmp_path: Path) -> None:
    root = new_workspace(tmp_path / "p")
    put_all(root, clients(6))
    first = road.done(root, "nightly", "--json").document
    before = road.persons(root)
    for source, ending in ENDINGS.items():
        folder = root / "inbox" / source
        (folder / f"first{ending}").rename(folder / f"again{ending}")
        shutil.copy(folder / f"again{ending}", folder / f"copy{ending}")
    again = road.done(root, "nightly", "--json").document
    assert [s["new"] for s in first["sources"]] == [6, 6, 6]
    assert [s["already_known"] for s in again["sources"]] == [2, 2, 2]
    assert [s["read"] for s in again["sources"]] == [0, 0, 0]
    assert road.persons(root) == before


def test_a_second_night_without_news_does_nothing(tmp_path: Path) -> None:
    root = new_workspace(tmp_path / "p")
    put_all(root, clients(6))
    road.done(root, "nightly")
    before, report = road.dump(root), road.done(root, "nightly", "--json").document
    assert report["link"]["run_id"] is None
    assert sum(s["read"] for s in report["sources"]) == 0
    assert road.without_events(road.dump(root)) == road.without_events(before)
    assert "persons are up to date" in road.done(root, "link").out


def test_the_same_people_in_three_systems_are_as_many_persons(tmp_path: Path) -> None:
    root = new_workspace(tmp_path / "p")
    people = clients(6)
    put_all(root, people)
    road.done(root, "nightly")
    assert road.partition(root) == {
        frozenset((source, source + client.local_id) for source in FEEDS) for client in people
    }


def test_a_changed_record_leaves_and_the_others_go_on_under_a_new_id(tmp_path: Path) -> None:
    root = new_workspace(tmp_path / "p")
    people = clients(6)
    put_all(root, people)
    road.done(root, "nightly")
    before = road.persons(root)
    other = clients(1, first=50)[0]
    changed = [replace(other, local_id=people[0].local_id), people[1]]
    path = put(root, "pas", "second.csv", FEEDS["pas"](with_ids(changed, "pas")))
    path.touch()
    report = road.done(root, "nightly", "--json").document
    (pas,) = (s for s in report["sources"] if s["source"] == "pas")
    assert (pas["new"], pas["changed"], pas["unchanged"]) == (0, 1, 1)
    after = road.persons(root)
    moved = {record for record in before if after[record] != before[record]}
    assert moved == {(source, source + "L0") for source in FEEDS}, "one person was split"
    assert after["gp", "gpL0"] == after["acute", "acuteL0"] != after["pas", "pasL0"]
    assert (report["link"]["split"], report["link"]["moved"]) == (1, 1)
    gone = road.call(root, "person", "show", before["gp", "gpL0"])
    assert (gone.code, "identify it again" in gone.err) == (5, True)
