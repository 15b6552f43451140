"""What sources take back is held and not shown, whatever the order. On both databases."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from schemas.errors import FeedRefused
from schemas.identifiers import LocalId, NhsNumber, PersonId, SourceId
from schemas.records import Outcome
from service.ports import FeedState
from store.sql_store import SqlStore
from store.tables import record_version
from tests.store_samples import (
    NOW,
    SOURCE,
    Part,
    Unit,
    batches,
    client,
    day,
    feed_file,
    full_client,
    item,
    load,
    one,
    outcomes,
    withdraw,
)

NEW, CHANGED, UNCHANGED = Outcome.NEW, Outcome.CHANGED, Outcome.UNCHANGED
GONE = None


def parts(saying: str) -> Unit:
    """`A3`: the record with content A, as at day 3. `-3`: its withdrawal."""
    part: Part = withdraw("1") if saying[0] == "-" else client("1", saying[0])
    return one(part, day(int(saying[1:])))


def live(store: SqlStore, source: SourceId = SOURCE) -> str | None:
    held = store.record(source, LocalId("1"))
    return held.record.names[0].family if held else GONE


WITHDRAWALS = [
    # what, sayings in order of arrival, their outcomes, what is live then
    ("withdrawn", "A1 -2", [NEW, CHANGED], GONE),
    ("twice", "A1 -2 -2", [NEW, CHANGED, UNCHANGED], GONE),
    ("again, later", "A1 -2 -3", [NEW, CHANGED, UNCHANGED], GONE),
    ("again, earlier", "A1 -3 -2", [NEW, CHANGED, UNCHANGED], GONE),
    ("older than the record", "A3 -2", [NEW, UNCHANGED], "A"),
    ("at the record's moment", "A2 -2", [NEW, CHANGED], GONE),
    ("before the record of its moment", "-2 A2", [UNCHANGED, NEW], GONE),
    ("never held", "-2", [UNCHANGED], GONE),
    ("early", "-2 A1", [UNCHANGED, NEW], GONE),
    ("early, twice", "-2 -3 A3", [UNCHANGED, UNCHANGED, NEW], GONE),
    ("early, twice, the later first", "-3 -2 A3", [UNCHANGED, UNCHANGED, NEW], GONE),
    ("early, and a newer record", "-2 A3", [UNCHANGED, NEW], "A"),
    ("back with the same content", "A1 -2 A3", [NEW, CHANGED, CHANGED], "A"),
    ("back with other content", "A1 -2 B3", [NEW, CHANGED, CHANGED], "B"),
    ("an older content does not bring it back", "A1 -4 B3", [NEW, CHANGED, CHANGED], GONE),
    ("nor after an older withdrawal", "A1 -4 -2 B3", [NEW, CHANGED, UNCHANGED, CHANGED], GONE),
    ("an older word of it does not either", "A1 -4 A3", [NEW, CHANGED, UNCHANGED], GONE),
    ("back, and what came between", "A1 -4 B3 B5", [NEW, CHANGED, CHANGED, CHANGED], "B"),
    ("back and gone again", "A1 -2 A3 -4", [NEW, CHANGED, CHANGED, CHANGED], GONE),
    ("back, and the old withdrawal again", "A1 -2 A3 -2", [NEW, CHANGED, CHANGED, UNCHANGED], "A"),
]  # fmt: skip


def versions_held(store: SqlStore) -> int:
    """How many versions of records there are, each of them counted."""
    with store.database.reading() as conn:
        return int(conn.scalar(select(func.count()).select_from(record_version)) or 0)


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in one batch"])
@pytest.mark.parametrize(
    ("sayings", "expected", "left"), [pytest.param(*r[1:], id=r[0]) for r in WITHDRAWALS]
)
def test_withdrawals(
    store: SqlStore, together: bool, sayings: str, expected: list[Outcome], left: str | None
) -> None:
    units = [parts(saying) for saying in sayings.split()]
    if together:
        load(store, units)
    else:
        found = [load(store, [unit], f"{n}.csv") for n, unit in enumerate(units)]
        assert found == [{outcome: 1} for outcome in expected]
    assert live(store) == left
    assert store.match_columns()["family"].to_pylist() == ([[left]] if left else [])
    assert store.record_sources()["local_id"].to_pylist() == (["1"] if left else [])
    assert store.counts()["records"] == store.source_states()[SOURCE].records == bool(left)
    assert store.counts()["versions"] == versions_held(store)


@pytest.mark.parametrize("sayings", ["A1 -2 B3", "A1 B3 -4 C2", "A1 -2 A3 -4"])
def test_the_order_decides_nothing(store: SqlStore, sayings: str) -> None:
    found = set()
    for at, order in enumerate(itertools.permutations(sayings.split())):
        source = SourceId(f"s{at}")
        load(store, map(parts, order), f"{at}.csv", source=source, size=1 + at % 3)
        found.add(live(store, source))
    assert len(found) == 1


def test_nothing_of_a_withdrawn_record_is_shown_and_all_is_held(store: SqlStore) -> None:
    load(store, [one(full_client("1"), day(1)), one(item("i", "1"), day(1))], "a.csv")
    before = store.counts()
    load(store, [one(withdraw("1"), day(2))], "b.csv")
    assert store.numbered(NhsNumber("9434765919")) == []
    assert store.person_records(PersonId("P1")) == []
    assert store.counts() == before | {"records": 0, "events": before["events"] + 1}


GENERATIONS = [
    # what, sayings held, saying, by how much the generation grows
    ("withdrawn", "A1", "-2", 1),
    ("known", "A1 -2", "-2", 0),
    ("withdrawn already", "A1 -2", "-3", 0),
    ("never held", "", "-2", 0),
    ("stale", "A3", "-2", 0),
    ("back with the same content", "A1 -2", "A3", 1),
    ("still withdrawn, with other content", "A1 -4", "B3", 0),
    ("withdrawn as it comes", "-4", "B3", 0),
]


@pytest.mark.parametrize(
    ("held", "saying", "growth"), [pytest.param(*r[1:], id=r[0]) for r in GENERATIONS]
)
def test_generation_grows_when_a_record_comes_or_goes(
    store: SqlStore, held: str, saying: str, growth: int
) -> None:
    load(store, [parts(each) for each in held.split()], "a.csv")
    before = store.generation()
    load(store, [parts(saying)], "b.csv")
    assert store.generation() - before == growth


# --- whole lists -------------------------------------------------------------------------------


def load_whole(
    store: SqlStore,
    local_ids: Sequence[str],
    at: int,
    source: SourceId = SOURCE,
    most: float = 1.0,
) -> int:
    """Loads a source's whole list as at a day; returns how many records it withdraws."""
    file = feed_file(f"whole {source} {at} {local_ids}", day(at))
    row = store.begin_feed(source, file, "reader-1", NOW)
    if row.state is FeedState.LOADED:
        return 0
    for number, batch in enumerate(batches([one(client(i)) for i in local_ids])):
        store.load_batch(row.feed_id, number, batch, row.as_at)
    withdrawn = store.withdraw_absent(row.feed_id, most)
    store.end_feed(row.feed_id, FeedState.LOADED, "", NOW)
    return withdrawn


def standing(store: SqlStore, source: SourceId = SOURCE) -> list[str]:
    held = store.record_sources()
    rows = zip(held["source"].to_pylist(), held["local_id"].to_pylist(), strict=True)
    return sorted(local_id for of, local_id in rows if of == source)


def test_a_whole_list_withdraws_what_it_lacks(store: SqlStore) -> None:
    load(store, [one(client("9"), day(1))], "other.csv", source=SourceId("other"))
    assert load_whole(store, "123", 1) == 0
    before = store.generation()
    assert load_whole(store, "13", 2) == 1
    assert store.generation() > before
    assert standing(store) == ["1", "3"]
    assert load_whole(store, "123", 3) == 0
    assert standing(store) == ["1", "2", "3"]
    assert standing(store, SourceId("other")) == ["9"]


def test_a_record_said_after_a_whole_list_stands(store: SqlStore) -> None:
    load_whole(store, "1", 5)
    load(store, [one(client("2"), day(5)), one(client("3"), day(4))], "late.csv")
    assert standing(store) == ["1", "2"]


def test_an_older_whole_list_that_comes_late_changes_nothing(store: SqlStore) -> None:
    load_whole(store, "13", 5)
    load_whole(store, "12", 3)
    assert standing(store) == ["1", "3"]


@pytest.mark.parametrize(("most", "withdrawn"), [(0.25, True), (0.24, False), (0.0, False)])
def test_a_whole_list_that_lacks_too_much_withdraws_nothing(
    store: SqlStore, most: float, withdrawn: bool
) -> None:
    load_whole(store, "1234", 1)
    if withdrawn:
        assert load_whole(store, "123", 2, most=most) == 1
        return
    before = store.generation()
    with pytest.raises(FeedRefused, match="lacks 1 of the 4 records held") as refused:
        load_whole(store, "123", 2, most=most)
    assert refused.value.reason == "incomplete"
    assert standing(store) == ["1", "2", "3", "4"]
    assert store.generation() == before


def test_an_empty_list_of_a_new_source_is_believed(store: SqlStore) -> None:
    assert load_whole(store, "", 1, most=0.05) == 0


def test_a_whole_list_withdraws_in_short_transactions(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.withdrawals._PAGE", 2)
    load_whole(store, "12345", 1)
    before = store.generation()
    assert load_whole(store, "", 2) == 5
    assert store.generation() - before == 3
    assert standing(store) == []


# --- against a naive reference -----------------------------------------------------------------

Event = tuple[str, int, str]
"""(kind, day, local ids): a record said or taken back, or a whole list."""


def expected(events: Sequence[Event]) -> list[str]:
    """Who stands: last said not before the last whole list, and after every withdrawal."""
    said: dict[str, int] = {}
    for kind, at, local_ids in events:
        if kind != "withdraw":
            for local_id in local_ids:
                said[local_id] = max(at, said.get(local_id, 0))
    whole_at = max((at for kind, at, _ in events if kind == "whole"), default=0)
    gone = {
        local_id
        for kind, at, local_ids in events
        if kind == "withdraw"
        for local_id in local_ids
        if at >= said.get(local_id, 0)
    }
    return sorted(i for i, at in said.items() if at >= whole_at and i not in gone)


LOCAL_IDS = "abc"
EVENT = st.one_of(
    st.tuples(st.sampled_from(["say", "withdraw"]), st.integers(1, 5), st.sampled_from(LOCAL_IDS)),
    st.tuples(
        st.just("whole"),
        st.integers(1, 5),
        st.sets(st.sampled_from(LOCAL_IDS)).map(lambda ids: "".join(sorted(ids))),
    ),
)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(events=st.lists(EVENT, min_size=1, max_size=7), data=st.data())
def test_who_stands_is_a_function_of_what_was_said(
    store: SqlStore, events: list[Event], data: st.DataObject
) -> None:
    for round_ in range(2):
        order = data.draw(st.permutations(events), label=f"order {round_}")
        source = SourceId(f"s{len(store.source_states())}")
        for at, (kind, when, local_ids) in enumerate(order):
            if kind == "whole":
                load_whole(store, local_ids, when, source=source)
            else:
                part = withdraw(local_ids) if kind == "withdraw" else client(local_ids)
                load(store, [one(part, day(when))], f"{source} {at}", source=source)
        assert standing(store, source) == expected(events), order


def test_the_accounts_hold(store: SqlStore) -> None:
    load(store, [one(client("1"), day(1)), one(client("2"), day(1))], "a.csv")
    units: list[Unit] = [one(withdraw("1"), day(2)), one(withdraw("3"), day(2))]
    units += [one(client("2"), day(1)), [(client("4"), day(2)), (withdraw("4"), day(2))]]
    load(store, units, "b.csv", size=2)
    row = store.feeds(SOURCE)[feed_file("b.csv").sha256]
    assert outcomes(row) == {CHANGED: 1, UNCHANGED: 2, NEW: 1}
