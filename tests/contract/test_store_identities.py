"""Protected changes of identity as the store keeps them. On both databases."""

from __future__ import annotations

from itertools import permutations

import pytest
from sqlalchemy import select

from schemas.identifiers import LocalId, PersonId
from schemas.records import Outcome
from service.former import FormerIdentity, Hidden
from store.sql_store import SqlStore
from store.tables import identity_change
from tests.store_samples import (
    NOW,
    SOURCE,
    Part,
    Unit,
    client,
    day,
    load,
    one,
    publication,
    publish,
    renew,
    withdraw,
)

NEW, CHANGED, UNCHANGED = Outcome.NEW, Outcome.CHANGED, Outcome.UNCHANGED
OLD, LATER, OTHER = PersonId("p0000000000000001"), PersonId("p0000000000000002"), PersonId("p3")


def saying(text: str) -> Unit:
    """`A3`: record 1 with content A, as at day 3; `B3`: record 2, with content B. `+3`: the change
    of record 1 under its own id; `+2`…; `>3`: of record 1 into 2; `-3`, `<3`: these undone."""
    parts: dict[str, Part] = {
        "A": client("1", "A"), "N": client("1", "N"), "B": client("2", "B"),
        "+": renew("1", "1"), "-": renew("1", "1", undone=True),
        ">": renew("1", "2"), "<": renew("1", "2", undone=True), "W": withdraw("1"),
    }  # fmt: skip
    return one(parts[text[0]], day(int(text[1:])))


def told(store: SqlStore, *sayings: str) -> list[dict[Outcome, int]]:
    """Loads each in a feed of its own; outcomes."""
    start = sum(1 for _ in store.feeds(SOURCE))
    return [load(store, [saying(s)], f"f{start + n}") for n, s in enumerate(sayings)]


def record_id(store: SqlStore, local_id: str = "1") -> int:
    held = store.record(SOURCE, LocalId(local_id))
    assert held
    return held.record_id


OUTCOMES = [
    ("news", "A1 +2", [NEW, CHANGED]),
    ("said again", "A1 +2 +2", [NEW, CHANGED, UNCHANGED]),
    ("once more, later", "A1 +2 +4", [NEW, CHANGED, CHANGED]),
    ("before the record", "+2 A1", [CHANGED, NEW]),
    ("taken back", "A1 +2 -3", [NEW, CHANGED, CHANGED]),
    ("into another", "A1 B1 >2", [NEW, NEW, CHANGED]),
]


@pytest.mark.parametrize(
    ("sayings", "expected"), [pytest.param(*row[1:], id=row[0]) for row in OUTCOMES]
)
def test_outcomes(store: SqlStore, sayings: str, expected: list[Outcome]) -> None:
    assert told(store, *sayings.split()) == [{outcome: 1} for outcome in expected]


def test_a_change_is_something_that_linkage_should_see(store: SqlStore) -> None:
    told(store, "A1")
    before = store.generation()
    told(store, "+2")
    assert store.generation() == before + 1
    told(store, "+2")
    assert store.generation() == before + 1


# what holds, by the record's own id: versions of the old identity, and whether the new one is here
HOLDS = [
    ("nothing was declared", "A1 N2", None),
    ("declared, and said anew", "A1 +2 N3", (1, True)),
    ("declared at the moment of the new", "A1 +2 N2", (1, True)),
    ("declared, not said anew yet", "A1 +2", (1, False)),
    ("the same content said again after it", "A1 +2 A3", (0, True)),
    ("a late word of before", "N3 +2 A1", (1, True)),
    ("taken back", "A1 +2 N3 -4", None),
    ("taken back at its moment", "A1 +2 -2", None),
    ("taken back before", "A1 -1 +2 N3", (1, True)),
    ("never held", "+2", None),
    ("withdrawn", "A1 +2 N3 W4", (1, False)),
]


@pytest.mark.parametrize(
    ("sayings", "expected"), [pytest.param(*row[1:], id=row[0]) for row in HOLDS]
)
def test_what_holds_does_not_hang_on_the_order(
    store: SqlStore, sayings: str, expected: tuple[int, bool] | None
) -> None:
    told(store, *sayings.split())
    found = store.former_identities()
    summed = [(len(one.old_versions), one.after is not None) for one in found]
    assert summed == ([] if expected is None else [expected])


@pytest.mark.parametrize("order", list(permutations(["A1", "+2", "N3", "-1", "+1"]))[::9])
def test_any_order_of_arrival_gives_the_same(store: SqlStore, order: tuple[str, ...]) -> None:
    told(store, *order)
    found = only(store)
    assert (found.after, found.as_at) == (record_id(store), day(2))
    former = store.past_columns(sorted(found.old_versions))
    assert former["family"].to_pylist() == [["A"]]


@pytest.mark.parametrize("order", [("A", "new"), ("new", "A")])
@pytest.mark.parametrize("family", ["N", "M", "O", "P"])
def test_what_was_said_in_the_moment_of_the_change_is_of_before(
    store: SqlStore, order: tuple[str, str], family: str
) -> None:
    """A file of the same time, before or after: whose content ranks higher does not matter."""
    units = {
        "A": [one(client("1", "A"), day(2))],
        "new": [one(client("1", family), day(2)), one(renew("1", "1"), day(2))],
    }
    for name in order:
        load(store, units[name], name)
    found = only(store)
    assert found.after == record_id(store)
    held = store.record(SOURCE, LocalId("1"))
    assert held
    assert held.record.names[0].family == family
    former = store.past_columns(sorted(found.old_versions))
    assert former["family"].to_pylist() == [["A"]]
    load(store, [saying("-2")], "taken back")
    assert not store.former_identities()


def shown(store: SqlStore, founded: list[tuple[str, int]], opened: list[tuple[int, str]]) -> int:
    return publish(store, publication(founded, opened))


def only(store: SqlStore) -> FormerIdentity:
    (found,) = store.former_identities()
    return found


def test_the_person_that_showed_it_is_the_old_one(store: SqlStore) -> None:
    load(store, [one(client("1", "A"), day(1)), one(client("9", "X"), day(1))], "both")
    one_id, other = record_id(store), record_id(store, "9")
    shown(store, [(OLD, one_id)], [(one_id, OLD), (other, OLD)])
    told(store, "+2", "N3")
    found = only(store)
    assert (found.old, found.persons, found.new_persons) == ({other}, {OLD}, frozenset())
    assert found.first_run == 2
    publish(store, publication([(LATER, one_id)], [(one_id, LATER)], closed=[one_id]))
    found = only(store)
    assert (found.old, found.persons, found.new_persons) == ({other}, {OLD}, {LATER})
    assert found.crosses(other, OLD, one_id, LATER)
    assert not found.crosses(other, OLD, other, OLD)
    hidden = Hidden.of([found])
    now = [row for chunk in store.export_rows(None, hidden) for row in chunk]
    assert now == [(SOURCE, "1", LATER)]
    assert [row for chunk in store.export_rows(1, hidden) for row in chunk] == []
    assert len([row for chunk in store.export_rows(1) for row in chunk]) == 2


def test_ids_that_led_to_the_old_person_are_of_it(store: SqlStore) -> None:
    load(store, [one(client("1", "A"), day(1)), one(client("9", "X"), day(1))], "both")
    one_id, other = record_id(store), record_id(store, "9")
    shown(store, [(OLD, one_id), (OTHER, other)], [(one_id, OLD), (other, OTHER)])
    publish(store, publication(opened=[(other, OLD)], closed=[other], merged=[(OTHER, OLD)]))
    told(store, "+2", "N3")
    assert only(store).persons == {OLD, OTHER}


def test_a_record_that_goes_over_is_of_the_new_one(store: SqlStore) -> None:
    load(store, [one(client("1", "A"), day(1)), one(client("9", "X"), day(1))], "both")
    one_id, other = record_id(store), record_id(store, "9")
    shown(store, [(OLD, one_id)], [(one_id, OLD), (other, OLD)])
    told(store, "+2", "N3")
    both = [one_id, other]
    opened = [(r, LATER) for r in both]
    publish(store, publication([(LATER, one_id)], opened, closed=both, gone=[(OLD, "emptied")]))
    found = only(store)
    assert (found.old, found.persons, found.new_persons) == (frozenset(), {OLD}, {LATER})


def test_an_old_record_that_is_erased_stays_hidden(store: SqlStore) -> None:
    told(store, "A1", "B1", ">2")
    one_id = record_id(store)
    assert only(store).old == {one_id}
    store.erase(SOURCE, LocalId("1"), NOW, may_return=False)
    assert only(store).old == {one_id}


def test_nothing_in_clear_leads_from_the_old_to_the_new(store: SqlStore) -> None:
    told(store, "A1", "B1", ">2")
    with store.database.reading() as conn:
        keys = set(store.database.keys.indexes.record_keys(SOURCE, ["1", "2"]))
        (row,) = conn.execute(select(identity_change)).all()
    assert row.content_hash not in keys
    assert not any(key in row.content or key.hex().encode() in row.content for key in keys)
