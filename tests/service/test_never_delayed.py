"""What neither a hold nor an undo delays: restrictions, deaths, records of another person."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from schemas.dates import PartialDate
from schemas.demographics import Death
from schemas.identifiers import PersonId
from service.held import approve_run
from service.runs import Fate
from service.undo import undo_run
from service.urgent import RESTRICTION_WAITS
from tests.service.living import TIGHT, Living, bridged, human, living
from tests.store_samples import one


@pytest.fixture
def index() -> Iterator[Living]:
    with living() as made:
        yield made


def restrict(index: Living, source: str, local_id: str, who: int) -> None:
    record = human(local_id, who)
    index.tell(source, one(msgspec.structs.replace(record, restricted=True)))


def test_a_restriction_reaches_the_person_though_the_run_is_held(index: Living) -> None:
    index.put("gp", "5", 5)
    bridged(index)
    restrict(index, "soc", "5", 5)
    index.put("pas", "5", 5)
    index.held(**TIGHT)
    persons = index.persons()
    assert persons["soc/5"] == persons["gp/5"]
    assert "pas/5" not in persons, "what does not protect waits"
    approve_run(index.store, 2, index.now)
    assert index.published() == index.from_nothing()


def died(index: Living, source: str, local_id: str, who: int, on: str | None = None) -> None:
    death = Death(PartialDate(on) if on else None)
    index.tell(source, one(msgspec.structs.replace(human(local_id, who), death=death)))


@pytest.mark.parametrize("on", ["2026-10-01", None], ids=["with its day", "day unknown"])
def test_a_death_reaches_the_person_though_the_run_is_held(index: Living, on: str | None) -> None:
    index.put("gp", "5", 5)
    bridged(index)
    died(index, "soc", "5", 5, on)
    index.put("pas", "5", 5)
    index.held(**TIGHT)
    persons = index.persons()
    assert persons["soc/5"] == persons["gp/5"]
    assert "pas/5" not in persons, "what tells no death waits"
    approve_run(index.store, 2, index.now)
    assert index.published() == index.from_nothing()


def test_a_death_that_may_be_of_two_persons_goes_to_none_and_is_asked(index: Living) -> None:
    bridged(index)
    died(index, "soc", "1", 1, "2026-10-01")
    index.held(**TIGHT)
    assert "soc/1" not in index.persons()
    assert index.store.review_tasks()["reason"].to_pylist().count(RESTRICTION_WAITS) == 2


def test_a_death_outlives_the_undo_of_the_run_that_brought_it(index: Living) -> None:
    for who in (1, 2):
        index.put("gp", str(who), who)
    index.link()
    died(index, "soc", "1", 1, "2026-10-01")
    index.put("pas", "2", 2)
    index.link()
    index.undo(2)
    assert index.partition() == {frozenset({"gp/1", "soc/1"}), frozenset({"gp/2"})}
    assert index.published() == index.from_nothing()


def test_a_restriction_that_may_be_of_two_persons_goes_to_none_and_is_asked(index: Living) -> None:
    bridged(index)
    restrict(index, "soc", "1", 1)
    index.held(**TIGHT)
    assert "soc/1" not in index.persons()
    assert index.store.review_tasks()["reason"].to_pylist().count(RESTRICTION_WAITS) == 2


def test_a_restriction_outlives_the_undo_of_the_run_that_brought_it(index: Living) -> None:
    for who in (1, 2):
        index.put("gp", str(who), who)
    index.link()
    restrict(index, "soc", "1", 1)
    index.put("pas", "2", 2)
    index.link()
    index.undo(2)
    assert index.partition() == {frozenset({"gp/1", "soc/1"}), frozenset({"gp/2"})}
    assert index.published() == index.from_nothing()


def test_a_record_of_another_person_steps_out_though_the_run_is_held(index: Living) -> None:
    index.put("gp", "5", 5)
    index.put("pas", "5", 5)
    bridged(index)
    index.put("pas", "5", 6)
    index.held(**TIGHT)
    persons = index.persons()
    assert persons["gp/5"] != persons["pas/5"]
    index.put("soc", "9", 9)
    index.held(**TIGHT)
    assert index.persons()["pas/5"] == persons["pas/5"], "it is parted once"
    approve_run(index.store, 3, index.now)
    assert index.persons()["pas/5"] == persons["pas/5"]
    assert index.published() == index.from_nothing()


def test_a_restricted_record_of_another_person_reaches_that_one(index: Living) -> None:
    for record, who in (("5", 5), ("6", 6)):
        index.put("gp", record, who)
    index.put("pas", "5", 5)
    bridged(index)
    restrict(index, "pas", "5", 6)
    index.held(**TIGHT)
    persons = index.persons()
    assert persons["pas/5"] == persons["gp/6"] != persons["gp/5"]


def test_a_record_that_steps_out_tells_nothing_of_where_a_restriction_belongs(
    index: Living,
) -> None:
    for record, who in (("5", 5), ("6", 6)):
        index.put("gp", record, who)
    index.put("pas", "5", 5)
    bridged(index)
    index.put("pas", "5", 6)
    restrict(index, "soc", "6", 6)
    index.held(**TIGHT)
    persons = index.persons()
    assert persons["soc/6"] == persons["gp/6"] != persons["gp/5"]
    assert RESTRICTION_WAITS not in index.store.review_tasks()["reason"].to_pylist()


def test_one_that_returns_restricted_elsewhere_ends_its_last_persons_id_under_a_hold(
    index: Living,
) -> None:
    for source in ("gp", "pas"):
        index.put(source, "5", 5)
    index.put("gp", "6", 6)
    index.link()
    first = PersonId(index.persons()["gp/5"])
    index.withdraw("pas", "5")
    bridged(index)
    assert index.store.resolve(first).fate is Fate.PRESENT
    restrict(index, "pas", "5", 6)
    index.held(**TIGHT)
    persons = index.persons()
    assert persons["pas/5"] == persons["gp/6"]
    assert index.store.resolve(first).fate is Fate.SPLIT


def test_a_restriction_that_an_undone_run_showed_in_two_former_persons_goes_to_none(
    index: Living,
) -> None:
    for who in (1, 2):
        index.put("gp", str(who), who)
    index.link()
    index.put("gp", "2", 1, was=2)
    restrict(index, "soc", "1", 1)
    index.link()
    assert len(index.partition()) == 1
    index.undo(2)
    assert index.partition() == {frozenset({"gp/1"}), frozenset({"gp/2"})}


def test_an_undo_shows_nobody_inside_another_person(index: Living) -> None:
    index.put("gp", "1", 1)
    index.put("pas", "1", 1)
    index.put("gp", "3", 3)
    index.link()
    first = index.persons()
    index.put("pas", "1", 2)
    index.put("gp", "3", 4)
    index.link()
    index.undo(2)
    assert index.partition() == {frozenset({"gp/1"}), frozenset({"pas/1"}), frozenset({"gp/3"})}
    assert index.persons()["gp/1"] == first["gp/1"]
    assert index.store.resolve(PersonId(first["gp/3"])).fate is Fate.EMPTIED


def test_a_record_that_returns_elsewhere_ends_the_id_of_its_last_person(index: Living) -> None:
    for source in ("gp", "pas"):
        index.put(source, "1", 1)
    index.link()
    first = PersonId(index.persons()["gp/1"])
    index.withdraw("pas", "1")
    index.link()
    assert index.store.resolve(first).fate is Fate.PRESENT
    index.put("pas", "1", 2)
    index.link()
    assert index.store.resolve(first).fate is Fate.SPLIT
    index.withdraw("pas", "1")
    index.link()
    second = index.persons()["gp/1"]
    index.put("gp", "1", 1, slip=2)
    index.link()
    assert index.persons()["gp/1"] == second


def test_an_undo_takes_no_inputs_of_an_undo_that_was_released(index: Living) -> None:
    for who in range(3):
        index.put("gp", str(who), who)
        index.link(review_bits=1.0 + who / 10)
    index.undo(3)
    index.put("pas", "7", 7)
    index.link()
    assert index.last == 5
    index.release(3)
    undo_run(index.store, 5, index.now())
    (undone,) = (u for u in index.store.undos() if u.active)
    assert (undone.basis, undone.inputs["review_bits"]) == (3, 1.2)
