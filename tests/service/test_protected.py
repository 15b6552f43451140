"""Protected changes of identity: nobody but the named team is told anything of the old one."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from schemas.errors import InputError, InvalidSearch
from schemas.identifiers import NhsNumber
from service.corrections import merge
from service.decisions import decide
from service.matching import question
from service.ports import Store
from service.protected import bound
from service.shielded import TELLS_OF_NOBODY, Shielded, hidden_of, seen_by
from tests.spec.lifecycle_steps import run
from tests.spec.lifecycle_text import scenarios
from tests.spec.lifecycle_world import World, number_of, world

OLD = (
    "Robert Teal, male, born 1971-03-04, of 3 Mill Lane BS9 1AA, telephone 0117 496 0300, "
    "NHS number A traced"
)
NEW = (
    "called Olivia Quill, female, of 40 Park Row BS1 5TR, telephone 0117 496 0311, "
    "NHS number B traced"
)
OLD_VALUES = ("Robert", "Teal", "3 Mill Lane", "BS9 1AA", "496 0300", str(number_of("A")))


def told(partnership: World, *sentences: str) -> None:
    """The sentences of a lifecycle, said and done."""
    text = "\n".join(f"  when  {sentence}" for sentence in sentences)
    run(scenarios(f"== Chapter\n\nA name\n{text}\n")[0].lines, partnership)


def test_every_reading_of_the_store_hides_or_tells_of_nobody() -> None:
    methods = {name for name, _ in inspect.getmembers(Store, inspect.isfunction) if name[0] != "_"}
    hides = {name for name, _ in inspect.getmembers(Shielded, inspect.isfunction) if name[0] != "_"}
    assert methods == hides | TELLS_OF_NOBODY
    assert hides.isdisjoint(TELLS_OF_NOBODY)


def test_nobody_else_is_told_an_old_value_or_id() -> None:
    with world() as partnership:
        told(
            partnership, f"pas/1 is {OLD}", "gp/1 is as pas/1",
            "gp/2 is as pas/1, but called Jo Umber, born 1990-09-09, NHS number C traced",
            "all is linked", "the id of gp/1 is noted as A",
            "gp gives gp/1 a protected new identity", f"gp/1 now says: {NEW}",
            f"soc/1 is {OLD.replace('A traced', 'A')}", "soc/1 now says: called Olivia Quill",
            "all is linked",
        )  # fmt: skip
        mine = partnership.told("ann")
        assert all(value in mine for value in OLD_VALUES)
        theirs = partnership.told("cat")
        assert "Olivia" in theirs
        shared = {"3 Mill Lane", "BS9 1AA", "496 0300"}  # a housemate has them too
        assert not [v for v in OLD_VALUES if v not in shared and v in theirs]
        assert partnership.noted["A"] not in theirs
        seen = seen_by(partnership.actor("cat"), partnership.store)
        assert seen.numbered(NhsNumber(number_of("A"))) == []
        assert len(seen.numbered(NhsNumber(number_of("B")))) == 1


def test_without_a_change_everybody_sees_the_store_itself() -> None:
    with world() as partnership:
        told(partnership, f"pas/1 is {OLD}", "all is linked")
        assert not hidden_of(partnership.store)
        assert seen_by(partnership.actor("cat"), partnership.store) is partnership.store
        decided = partnership.store.decided()
        assert bound(partnership.store, partnership.store.match_columns, decided).decided is decided


EVENTS = (
    "gp gives gp/1 a protected new identity",
    f"gp/1 now says: {NEW}",
    f"soc/1 now says: {NEW}",
    "soc/1 now says: telephone 0117 496 0399",
    "pas/1 now says: of 9 Hostel Road BS2 8HW",
    f"soc/2 is {OLD}",
    "soc/2 is as gp/1",
    "pas withdraws pas/1",
    "all is linked",
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.permutations(EVENTS))
def test_any_course_of_events_ends_alike(events: Sequence[str]) -> None:
    """Whatever came first, the old and the new are two; an increment is a link from nothing; and
    the old answers to nobody else."""
    note("; ".join(events))
    with world() as partnership:
        told(
            partnership, f"pas/1 is {OLD}", "gp/1 is as pas/1", "soc/1 is as pas/1",
            "all is linked", "the id of gp/1 is noted as A",
        )  # fmt: skip
        told(partnership, *events, "gp/1 now says: NHS number B traced", "all is linked")
        told(partnership, "all is linked anew from nothing")
        persons = partnership.persons()
        assert persons["gp/1"] != partnership.noted["A"]
        assert persons["gp/1"] != persons.get("pas/1")
        theirs = partnership.told("cat")
        assert partnership.noted["A"] not in theirs
        assert str(number_of("A")) not in theirs
        assert persons["gp/1"] in theirs


def test_the_same_act_is_not_asked_of_a_second_person_twice() -> None:
    with world() as partnership:
        told(
            partnership, "pas/1 is Alma Teal, female, born 1971-03-04, NHS number A traced",
            "gp/1 is as pas/1, but NHS number B traced", "all is linked",
        )  # fmt: skip
        persons = partnership.persons()
        one, two = persons["pas/1"], persons["gp/1"]
        first = merge(partnership.desk("ann"), one, two, "one person")
        assert first.awaits
        for again in ("ann", "bob"):
            with pytest.raises(
                InputError, match=f"decision {first.first_decision} says so and wait"
            ):
                merge(partnership.desk(again), one, two, "one person")
        assert len(partnership.store.decisions()) == 1
        pair = partnership.pair("pas/1", "gp/1")
        decide(partnership.desk("bob"), pair, partnership.store.decisions()[0].verdict, "yes")
        assert partnership.store.decisions()[0].confirmed_by == "bob"


@pytest.mark.parametrize("value", ["12345", "|12345", "urn:x|", " | ", ["urn:x|1", "2"]])
def test_an_identifier_without_its_system_is_refused(value: Any) -> None:
    with pytest.raises(InvalidSearch, match="identifier: expected the system and the value"):
        question({"identifier": value})
    assert question({"identifier": "urn:x|1"})["identifier"].to_pylist() == [["urn:x|1"]]
