"""Held runs: what waits, what lets them through, and the shadow run that publishes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from schemas.errors import NeedsDecision, NotFound
from schemas.identifiers import PersonId
from service.access import Actor
from service.held import approve_run, shadow_run, show_difference
from service.looking import WITHHELD
from service.runs import Fate, RunKind, RunState
from service.undo import undo_run
from tests.service.living import TIGHT, Living, bridged, human, living
from tests.service.living import settings as partnership
from tests.store_samples import one


@pytest.fixture
def index() -> Iterator[Living]:
    with living() as made:
        yield made


def test_a_held_run_publishes_nothing_until_it_is_approved(index: Living) -> None:
    bridged(index)
    index.put("soc", "9", 9)
    before = index.export()
    said = index.held(**TIGHT)
    assert "run 2 is held" in said
    assert "max_joined" in said
    assert index.export() == before
    assert "run 2 is held" in index.held(**TIGHT), "nothing new: it waits on, and is no new run"
    run = index.store.last_run()
    assert run is not None
    assert (run.run_id, run.state) == (2, RunState.HELD)
    told = run.summary["difference"]
    assert (told["joined"], told["split"], told["created"]) == (1, 0, 1)
    assert told["sources"]["gp"]["joined"] == 1
    assert {example["kind"] for example in told["examples"]} == {"joined", "moved"}
    report = approve_run(index.store, 2, index.now)
    assert (report.run_id, report.joined) == (3, 1)
    assert index.partition() == {
        frozenset({"gp/1", "pas/1", "gp/2", "pas/2"}), frozenset({"soc/9"}),
    }  # fmt: skip
    assert index.link(**TIGHT).run_id is None
    with pytest.raises(NotFound, match="not held"):
        approve_run(index.store, 3, index.now)
    index.undo(3)
    assert index.export() == before


def test_a_hold_does_not_delay_withdrawals(index: Living) -> None:
    bridged(index)
    index.withdraw("pas", "1")
    index.held(**TIGHT)
    members = index.store.memberships()
    assert len(members) == 3
    assert index.partition() == {frozenset({"gp/1"}), frozenset({"gp/2", "pas/2"})}


def test_a_hold_does_not_delay_what_people_decided_apart(index: Living) -> None:
    bridged(index)
    index.put("gp", "3", 3)
    index.put("pas", "3", 3)
    index.put("soc", "3", 3)
    index.held(**TIGHT)
    approve_run(index.store, 2, index.now)
    index.put("gp", "4", 4)
    index.put("pas", "4", 4)
    index.link()
    index.put("pas", "4", 1)
    index.put("gp", "4", 1)
    index.decide_apart("gp/3", "soc/3")
    assert "run 5 is held" in index.held(**TIGHT)
    persons = index.persons()
    assert persons["gp/3"] != persons["soc/3"]
    assert {"gp/4", "pas/4"} in index.partition()
    before = index.store.resolve(PersonId(persons["gp/3"]))
    assert before.fate is Fate.PRESENT
    approve_run(index.store, 5, index.now)
    assert index.published() == index.from_nothing()


def test_a_higher_limit_lets_a_held_run_through(index: Living) -> None:
    bridged(index)
    index.held(**TIGHT)
    assert index.link().run_id == 3
    assert len(index.partition()) == 1


def test_a_held_run_goes_on_with_the_next_night_and_can_be_undone(index: Living) -> None:
    bridged(index)
    before = index.export()
    index.held(**TIGHT)
    index.put("soc", "9", 9)
    assert "run 3 is held" in index.held(**TIGHT)
    with pytest.raises(NotFound, match="run 2 is not held, or is not the latest"):
        approve_run(index.store, 2, index.now)
    index.undo(3)
    assert index.export() == before


def test_a_small_partnership_may_change_a_little(index: Living) -> None:
    bridged(index)
    assert index.link().joined == 1


def test_a_shadow_run_says_what_would_change_and_changes_nothing(index: Living) -> None:
    bridged(index)
    before, state = index.export(), index.store.state_key()
    found = shadow_run(index.store, partnership(), index.model_file, threads=1)
    assert (found.joined, found.split, found.moved) == (1, 0, 2)
    assert (index.export(), index.store.state_key(), index.last) == (before, state, 1)


def test_what_was_decided_apart_since_is_not_approved_as_one(index: Living) -> None:
    bridged(index)
    index.held(**TIGHT)
    before = index.export()
    index.decide_apart("gp/1", "gp/2")
    with pytest.raises(NeedsDecision, match="1 pairs of records as one person that were decided"):
        approve_run(index.store, 2, index.now)
    assert (index.last, index.export()) == (2, before)
    index.link()
    persons = index.persons()
    assert persons["gp/1"] != persons["gp/2"]


def test_a_held_run_that_was_undone_since_is_not_approved(index: Living) -> None:
    bridged(index)
    before = index.export()
    index.held(**TIGHT)
    undo_run(index.store, 2, index.now())
    with pytest.raises(NeedsDecision, match="an undo or a release was asked for since"):
        approve_run(index.store, 2, index.now)
    assert (index.last, index.export()) == (2, before)
    (undone,) = index.store.undos()
    assert undone.pending
    index.link()
    assert index.export() == before


def test_the_approval_of_a_held_undo_brings_the_former_ids_back(index: Living) -> None:
    index.put("gp", "5", 5)
    index.put("gp", "6", 6)
    bridged(index)
    before = index.persons()
    index.link()
    undo_run(index.store, 2, index.now())
    index.put("gp", "6", 5, was=6)  # news besides, so that the run that shows the undo is held
    assert "run 3 is held" in index.held(**TIGHT)
    approve_run(index.store, 3, index.now)
    after = index.persons()
    again = {"gp/1", "pas/1", "gp/2", "pas/2"}
    assert {name: after[name] for name in again} == {name: before[name] for name in again}
    assert after["gp/5"] == after["gp/6"]
    last = index.store.last_run()
    assert last is not None
    assert (last.run_id, last.kind) == (4, RunKind.UNDO)
    assert not any(undo.pending for undo in index.store.undos())


def test_examples_hide_whoever_is_restricted_by_a_record_that_is_in_none(index: Living) -> None:
    for source in ("gp", "pas"):
        index.put(source, "1", 1)
        index.put(source, "2", 2)
    index.tell("soc", one(msgspec.structs.replace(human("1", 1), restricted=True)))
    index.link()
    index.put("pas", "1", 2, was=1)
    index.held(max_moved=0, max_moved_fraction=0.0)
    actor = Actor("ann", "data_team", "data-quality")
    shown = show_difference(index.store, actor, 2, index.now)["examples"]
    (moved,) = (example["records"] for example in shown if example["kind"] == "moved")
    assert len(moved) == 3
    assert {row["source"] for row in moved} == {row["addresses"] for row in moved} == {WITHHELD}
