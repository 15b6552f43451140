"""What every store does. Runs on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import dataclasses
import inspect
import itertools

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.events import AuditEvent, EventOutcome
from schemas.columns import MATCH_SCHEMA
from schemas.dates import Instant
from schemas.errors import NotFound, StoreError
from schemas.identifiers import LocalId, PersonId, SourceId
from schemas.items import Heading
from schemas.records import Outcome
from service.ports import FeedState, Store
from store import segments as store_segments
from store.dump import logical_dump
from store.sql_store import SqlStore
from tests.store_samples import (
    DEFAULT,
    NOW,
    SOURCE,
    Bad,
    Unit,
    batches,
    client,
    day,
    feed_file,
    full_client,
    item,
    load,
    merge,
    one,
    outcomes,
    staff,
)

NEW, CHANGED, UNCHANGED, QUARANTINED = (
    Outcome.NEW,
    Outcome.CHANGED,
    Outcome.UNCHANGED,
    Outcome.QUARANTINED,
)


def dump(store: SqlStore) -> list[str]:
    return list(logical_dump(store.database))


def family(store: Store, local_id: str = "1") -> tuple[str | None, str]:
    held = store.record(SOURCE, LocalId(local_id))
    assert held is not None
    return held.record.names[0].family, held.as_at


def test_it_implements_the_port(store: SqlStore) -> None:
    methods = {n: m for n, m in vars(Store).items() if not n.startswith("_")}
    assert methods
    for name, method in methods.items():
        assert inspect.signature(getattr(type(store), name)) == inspect.signature(method), name


# --- feeds -------------------------------------------------------------------------------------


def test_a_feed_begins_goes_on_and_ends(store: SqlStore) -> None:
    row = store.begin_feed(SOURCE, feed_file(), "reader-1", NOW)
    assert (row.state, row.batches_done, outcomes(row)) == (FeedState.LOADING, 0, {})
    first, second = batches([one(client("1")), one(client("2")), one(Bad())], size=2)
    store.load_batch(row.feed_id, 0, first, DEFAULT)
    again = store.begin_feed(SOURCE, feed_file(), "reader-1", NOW)
    assert (again.feed_id, again.batches_done, outcomes(again)) == (row.feed_id, 1, {NEW: 2})
    assert store.load_batch(row.feed_id, 1, second, DEFAULT)[QUARANTINED] == 1
    store.end_feed(row.feed_id, FeedState.LOADED, "", NOW)
    done = store.begin_feed(SOURCE, feed_file(), "reader-2", NOW)
    assert (done.state, done.batches_done) == (FeedState.LOADED, 2)
    assert store.feeds(SOURCE) == {feed_file().sha256: done}
    many = [f"{n:064}" for n in range(1_000)]
    for asked in ([*many, feed_file().sha256], [feed_file().sha256, *many]):
        assert store.feeds(SOURCE, asked) == {feed_file().sha256: done}
    assert store.feeds(SOURCE, many) == store.feeds(SOURCE, []) == {}
    assert store.feeds(SourceId("other")) == {}


@pytest.mark.parametrize("number", [1, -1])
def test_a_batch_out_of_turn_is_refused(store: SqlStore, number: int) -> None:
    row = store.begin_feed(SOURCE, feed_file(), "reader-1", NOW)
    (batch,) = batches([one(client("1"))])
    with pytest.raises(StoreError, match="expected batch 0"):
        store.load_batch(row.feed_id, number, batch, DEFAULT)
    assert store.counts()["records"] == 0


def test_a_batch_is_not_loaded_twice_nor_after_the_end(store: SqlStore) -> None:
    row = store.begin_feed(SOURCE, feed_file(), "reader-1", NOW)
    (batch,) = batches([one(client("1"))])
    store.load_batch(row.feed_id, 0, batch, DEFAULT)
    with pytest.raises(StoreError, match="expected batch 1"):
        store.load_batch(row.feed_id, 0, batch, DEFAULT)
    store.end_feed(row.feed_id, FeedState.LOADED, "", NOW)
    with pytest.raises(StoreError, match="it is loaded"):
        store.load_batch(row.feed_id, 1, batch, DEFAULT)
    with pytest.raises(StoreError, match="it is loaded"):
        store.end_feed(row.feed_id, FeedState.LOADED, "", NOW)
    with pytest.raises(NotFound):
        store.load_batch(99, 0, batch, DEFAULT)


def test_a_refused_feed_counts_one_unit_and_begins_again_with_other_settings(
    store: SqlStore,
) -> None:
    row = store.begin_feed(SOURCE, feed_file(), "reader-1", NOW)
    (batch,) = batches([one(client("1")), one(Bad())], issues={("gp_practice", "bad_value"): 2})
    store.load_batch(row.feed_id, 0, batch, DEFAULT)
    store.end_feed(row.feed_id, FeedState.REFUSED, "torn: the file breaks off", NOW)
    refused = store.begin_feed(SOURCE, feed_file(), "reader-1", NOW)
    assert refused.state is FeedState.REFUSED
    assert outcomes(refused) == {NEW: 1, QUARANTINED: 2}
    assert [(u.unit, u.where, u.reason, u.message) for u in store.quarantined()] == [
        (1, "line 2", "bad_value", "expected 10 digits"),
        (None, "whole file", "torn", "the file breaks off"),
    ]
    again = store.begin_feed(SOURCE, feed_file(), "reader-2", NOW)
    assert (again.feed_id, again.state) == (row.feed_id, FeedState.LOADING)
    assert (again.batches_done, outcomes(again)) == (0, {})
    assert list(store.quarantined()) == []
    assert store.source_states()[SOURCE].issues == {}
    assert outcomes(again) == {}
    assert store.load_batch(row.feed_id, 0, batch, DEFAULT)[UNCHANGED] == 1


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        pytest.param(FeedState.LOADING, "", id="not an end"),
        pytest.param(FeedState.LOADED, "torn", id="loaded with a reason"),
        pytest.param(FeedState.REFUSED, "", id="refused without one"),
        pytest.param(FeedState.REFUSED, "because", id="refused with an unknown one"),
    ],
)
def test_an_end_that_is_none_is_refused(store: SqlStore, state: FeedState, reason: str) -> None:
    row = store.begin_feed(SOURCE, feed_file(), "reader-1", NOW)
    with pytest.raises(ValueError, match="a feed ends"):
        store.end_feed(row.feed_id, state, reason, NOW)


def test_quarantine_is_listed_by_source_and_up_to_a_limit(store: SqlStore) -> None:
    load(store, [one(Bad(f"message {n}")) for n in range(3)], "a.csv")
    load(store, [one(Bad("elsewhere"))], "b.csv", source=SourceId("other"))
    assert [u.message for u in store.quarantined(limit=2)] == ["message 0", "message 1"]
    assert [u.message for u in store.quarantined(SourceId("other"))] == ["elsewhere"]
    assert len(list(store.quarantined())) == 4
    assert list(store.quarantined(limit=0)) == []


# --- outcomes and versions ---------------------------------------------------------------------

VERSION_RULES = [
    # what, [(content, day)...] in order of arrival, their outcomes, live (content, day)
    ("same again", [("A", 1), ("A", 1)], [NEW, UNCHANGED], ("A", 1)),
    ("same, later", [("A", 1), ("A", 3)], [NEW, UNCHANGED], ("A", 3)),
    ("same, earlier", [("A", 3), ("A", 1)], [NEW, UNCHANGED], ("A", 3)),
    ("other, later", [("A", 1), ("B", 2)], [NEW, CHANGED], ("B", 2)),
    ("other, earlier", [("A", 2), ("B", 1)], [NEW, CHANGED], ("A", 2)),
    ("earlier twice", [("A", 2), ("B", 1), ("B", 1)], [NEW, CHANGED, UNCHANGED], ("A", 2)),
    ("there and back", [("A", 1), ("B", 2), ("A", 3)], [NEW, CHANGED, CHANGED], ("A", 3)),
    ("old one replayed", [("A", 1), ("B", 2), ("A", 1)], [NEW, CHANGED, UNCHANGED], ("B", 2)),
    (
        "moved on, then older than that",
        [("A", 1), ("A", 4), ("B", 3)],
        [NEW, UNCHANGED, CHANGED],
        ("A", 4),
    ),
    (
        "within a span held as history",
        [("A", 1), ("A", 3), ("B", 5), ("A", 3)],
        [NEW, UNCHANGED, CHANGED, UNCHANGED],
        ("B", 5),
    ),
    ("default as_at", [("A", 14), ("B", None), ("C", 16)], [NEW, CHANGED, CHANGED], ("C", 16)),
    ("default as_at is later", [("A", 16), ("B", None)], [NEW, CHANGED], ("A", 16)),
]


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in one batch"])
@pytest.mark.parametrize(
    ("arrivals", "expected", "live"),
    [pytest.param(*row[1:], id=row[0]) for row in VERSION_RULES],
)
def test_version_rule(
    store: SqlStore,
    together: bool,
    arrivals: list[tuple[str, int | None]],
    expected: list[Outcome],
    live: tuple[str, int],
) -> None:
    units = [one(client("1", name), day(d) if d else None) for name, d in arrivals]
    if together:
        found = load(store, units)
        assert found == {o: expected.count(o) for o in dict.fromkeys(expected)}
    else:
        for number, (unit, outcome) in enumerate(zip(units, expected, strict=True)):
            assert load(store, [unit], f"{number}.csv") == {outcome: 1}
    assert family(store) == (live[0], day(live[1]))
    assert store.counts()["records"] == 1
    assert store.match_columns()["family"].to_pylist() == [[live[0]]]


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    versions=st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 4)), min_size=3, max_size=4),
    size=st.integers(1, 4),
)
def test_the_live_version_does_not_hang_on_the_order(
    store: SqlStore, versions: list[tuple[str, int]], size: int
) -> None:
    orders = list(itertools.permutations(versions))[:: 1 if len(versions) == 3 else 4]
    start = store.counts()["records"]
    lives = set()
    for at, order in enumerate(orders):
        # The local id is part of the content, so each order takes the same id in its own source.
        source = SourceId(f"s{start + at}")
        units = [one(item("1", "1", name), day(d)) for name, d in order]
        units += [one(client("1", name), day(d)) for name, d in order]
        load(store, units, f"{source}.csv", source=source, size=size)
        held = store.record(source, LocalId("1"))
        assert held is not None
        lives.add((held.record.names[0].family, held.as_at))
    latest = max(d for _, d in versions)
    candidates = {(name, day(d)) for name, d in versions if d == latest}
    assert lives <= candidates
    # Contents of one moment are told apart by a digest that is bound to the source.
    if len(candidates) == 1:
        assert lives == candidates


def test_a_tie_is_settled_alike_in_every_order(store: SqlStore) -> None:
    lives = set()
    for order in itertools.permutations("ABC"):
        load(store, [one(client("1", name), day(5)) for name in order], f"{order}.csv")
        lives.add(family(store))
    assert len(lives) == 1


OUTCOME_RULES: list[tuple[str, Unit, Unit, Outcome]] = [
    ("all known", [(client("1"), None), (item("i", "1"), None)], [(client("1"), None)], UNCHANGED),
    ("new item of a known client", one(client("1")), [
        (client("1"), None), (item("i", "1"), None)], CHANGED),
    ("new item alone", one(client("1")), one(item("i", "1")), NEW),
    ("changed item", one(item("i", "1")), one(item("i", "1", "other"), day(20)), CHANGED),
    ("known merge", one(merge("1", "2")), one(merge("1", "2"), day(20)), UNCHANGED),
    ("news of a merge", one(merge("1", "2")), one(merge("1", "3")), CHANGED),
    ("new client that merges", one(client("2")), [
        (client("1"), None), (merge("2", "1"), None)], NEW),
    ("changed staff", one(staff("s")), one(staff("s", "manager"), day(20)), CHANGED),
    ("another heading's item of the same id", one(item("i", "1")), one(
        item("i", "1", heading=Heading.ALERT)), NEW),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "unit", "expected"), [pytest.param(*r[1:], id=r[0]) for r in OUTCOME_RULES]
)
def test_outcome_of_a_unit(store: SqlStore, before: Unit, unit: Unit, expected: Outcome) -> None:
    load(store, [before], "before.csv")
    assert load(store, [unit], "unit.csv") == {expected: 1}


def test_read_is_new_changed_unchanged_and_quarantined(store: SqlStore) -> None:
    load(store, [one(client("1")), one(client("2"))], "a.csv")
    units = [
        one(client("1")),
        one(client("2", "Changed"), day(20)),
        one(client("3")),
        one(Bad()),
        one(staff("s")),
    ]
    found = load(store, units, "b.csv", size=2)
    assert found == {NEW: 2, CHANGED: 1, UNCHANGED: 1, QUARANTINED: 1}
    assert sum(found.values()) == len(units)
    assert store.counts() == {
        "records": 3, "versions": 4, "items": 0, "persons": 0, "memberships": 0,
        "quarantine": 1, "staff": 1, "events": 2,
    }  # fmt: skip


def test_a_unit_that_its_reader_lost_is_found(store: SqlStore) -> None:
    row = store.begin_feed(SOURCE, feed_file(), "reader-1", NOW)
    (batch,) = batches([one(client("1")), one(client("2"))])
    lost = dataclasses.replace(batch, units=3)
    with pytest.raises(StoreError, match="unit 2: neither rejected nor in any table"):
        store.load_batch(row.feed_id, 0, lost, DEFAULT)


def test_states_per_source(store: SqlStore) -> None:
    units = [one(client("1")), one(item("i", "1")), one(Bad())]
    load(store, units, "a.csv", issues={("gp_practice", "bad_value"): 2})
    load(store, [one(client("1"))], "b.csv", issues={("gp_practice", "bad_value"): 1})
    refused = store.begin_feed(SourceId("other"), feed_file("c.csv"), "reader-1", NOW)
    store.end_feed(refused.feed_id, FeedState.REFUSED, "empty", NOW)
    states = store.source_states()
    found = states[SOURCE]
    assert (found.records, found.items, found.quarantined) == (1, 1, 1)
    assert (found.last_feed_at, found.issues) == (NOW, {("gp_practice", "bad_value"): 3})
    other = states[SourceId("other")]
    assert (other.records, other.quarantined, other.last_feed_at) == (0, 1, None)


# --- what linkage reads ------------------------------------------------------------------------


def test_match_columns_are_those_of_live_records_in_order(store: SqlStore) -> None:
    assert store.match_columns().num_rows == 0
    load(store, [one(full_client("1")), one(client("2"))], "a.csv")
    load(store, [one(client("3"))], "b.csv", source=SourceId("other"))
    load(store, [one(client("1", "Later"), day(20))], "c.csv")
    found = store.match_columns()
    columns = ["record_id", "version_id", "source", "founder", "same_as"]
    assert found.column_names == [*columns, *MATCH_SCHEMA.names]
    assert found["record_id"].to_pylist() == [1, 2, 3]
    assert found["family"].to_pylist() == [["Later"], ["Example"], ["Example"]]
    assert found["source"].to_pylist() == [SOURCE, SOURCE, "other"]
    assert found["same_as"].to_pylist() == [None, None, None]
    assert len(set(found["founder"].to_pylist())) == 3
    sources = store.record_sources()
    assert sources.schema == pa.schema(
        [("record_id", pa.int64()), ("source", pa.string()), ("local_id", pa.string())]
    )
    assert sources["local_id"].to_pylist() == ["1", "2", "3"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_merges_lead_to_the_latest_survivor(store: SqlStore, order: tuple[int, ...]) -> None:
    sayings = [
        one(merge("1", "2"), day(1)),
        one(merge("1", "3"), day(2)),
        one(merge("2", "gone"), day(1)),
    ]
    load(store, [sayings[at] for at in order], "merges.csv")
    load(store, [one(client(n), day(1)) for n in "123"], "a.csv")
    assert store.match_columns()["same_as"].to_pylist() == [3, None, None]


GENERATION_RULES: list[tuple[str, Unit, int]] = [
    ("new record", one(client("2")), 1),
    ("changed record", one(client("1", "Changed"), day(20)), 1),
    ("unchanged record, later", one(client("1"), day(16)), 0),
    ("merged record, said after its merge", one(client("1"), day(17)), 1),
    ("older version", one(client("1", "Older"), day(1)), 0),
    ("item", one(item("i", "1")), 0),
    ("merge", one(merge("1", "9"), day(17)), 1),
    ("known merge, later", one(merge("1", "8"), day(20)), 0),
    ("older merge", one(merge("1", "7"), day(1)), 0),
    ("rejected", one(Bad()), 0),
]


@pytest.mark.parametrize(
    ("unit", "grows"), [pytest.param(*r[1:], id=r[0]) for r in GENERATION_RULES]
)
def test_generation_grows_when_linkage_would_see_it(
    store: SqlStore, unit: Unit, grows: int
) -> None:
    load(store, [one(client("1")), one(merge("1", "8"), day(16))], "a.csv")
    before = store.generation()
    load(store, [unit], "b.csv")
    assert store.generation() == before + grows


def test_compaction_changes_no_answer(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        load(store, [one(client(str(number % 3), f"Name{number}"), day(number + 1))], f"{number}")
    before, lines = store.match_columns(), dump(store)
    monkeypatch.setattr(store_segments, "SMALL_SEGMENTS", 2)
    monkeypatch.setattr(store_segments, "FULL_ROWS", 4)
    load(store, [], "empty.csv")
    with store.database.reading() as conn:
        rows = conn.exec_driver_sql("SELECT row_count FROM match_segment").fetchall()
    assert sum(row[0] for row in rows) == 3
    assert store.match_columns().equals(before)
    assert [x for x in dump(store) if x.startswith("match")] == [
        x for x in lines if x.startswith("match")
    ]


# --- audit ---------------------------------------------------------------------------------------


def test_events_are_kept_in_order(store: SqlStore) -> None:
    for number in range(3):
        store.append_event(
            AuditEvent(
                at=Instant(f"2026-11-02T10:00:0{number}Z"),
                action="person-show",
                outcome=EventOutcome.PERMITTED,
                actor=f"show-{number}",
                role="data-team",
                purpose="data-quality",
                persons=(PersonId("P1"),),
            )
        )
    assert store.counts()["events"] == 3
    lines = [line for line in dump(store) if line.startswith("audit_event\t")]
    assert [f"show-{n}" in line for n, line in enumerate(lines)] == [True] * 3
