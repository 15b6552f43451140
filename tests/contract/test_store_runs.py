"""What every store does for the living index: link states, runs over time, stays, undos."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest
from alembic import command
from sqlalchemy import Connection, delete, select, text, update

from linkage.state import EDGES, RECORDS, TASKS, Decided, LinkState
from schemas.dates import Instant
from schemas.errors import StoreError
from schemas.identifiers import PersonId, SourceId
from service.runs import (
    DELTA_SCHEMA,
    Fate,
    KeptState,
    Resolution,
    RunKind,
    RunState,
    StateKey,
    Stay,
)
from store import arrow, link_state
from store.database import Database, open_engine
from store.dump import logical_dump
from store.keyring import KeyRing
from store.schema import alembic_config
from store.sql_store import SqlStore, open_store
from store.tables import link_run, link_state_part, record_version
from tests.store_samples import (
    NOW,
    SOURCE,
    client,
    day,
    full_client,
    load,
    one,
    publication,
    publish,
    withdraw,
)

PAIRS = EDGES.names[:2]


def table(schema: pa.Schema, *rows: tuple[Any, ...]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def state(number: int = 1, size: int = 5) -> KeptState:
    """A link state; `number` tells it from others."""
    pair = pa.schema([EDGES.field(name) for name in PAIRS])
    return KeptState(
        state_id=0,
        key=StateKey(f"inputs-{number}", number, 2, 3),
        state=LinkState(
            table(RECORDS, *((n, 10 + n, 1) for n in range(1, size + 1))),
            table(EDGES, (1, 2, 9.5, None), (1, 3, float("inf"), "decided apart")),
            table(TASKS),
        ),
        decided=Decided(table(pair, (1, 2)), table(pair), table(pair, (1, 3))),
        delta=table(DELTA_SCHEMA, (4, None, 14), (5, 15, None)),
        persons=pa.chunked_array([["P1", *[None] * (size - 1)]], pa.string()),
        report={"records": size},
    )


def tables_of(kept: KeptState) -> list[pa.Table | pa.ChunkedArray]:
    s, d = kept.state, kept.decided
    return [s.records, s.edges, s.tasks, d.same, d.merged, d.apart, kept.delta, kept.persons]


def same(found: KeptState | None, expected: KeptState) -> bool:
    assert found is not None
    assert (found.key, found.report) == (expected.key, expected.report)
    return all(a.equals(b) for a, b in zip(tables_of(found), tables_of(expected), strict=True))


# --- link states -------------------------------------------------------------------------------


def test_a_state_is_kept_in_parts_and_read_whole(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow, "PART_ROWS", 2)
    assert (store.state_key(), store.link_state()) == (None, None)
    assert store.save_link_state(state()) == 1
    assert store.state_key() == (1, state().key)
    assert same(store.link_state(), state())
    with store.database.reading() as conn:
        rows = conn.execute(select(link_state_part.c.kind, link_state_part.c.row_count)).all()
    assert sorted(rows) == [
        ("apart", 1), ("delta", 2), ("edges", 2), ("merged", 0), ("records", 1), ("records", 2),
        ("records", 2), ("same", 1), ("tasks", 0),
    ]  # fmt: skip


def test_a_state_takes_the_place_of_the_one_before(store: SqlStore) -> None:
    assert [store.save_link_state(state(n, size=n)) for n in (1, 2, 3)] == [1, 2, 3]
    assert same(store.link_state(), state(3, size=3))
    with store.database.reading() as conn:
        assert set(conn.scalars(select(link_state_part.c.state_id))) == {3}


@pytest.mark.parametrize("moment", range(8))
def test_a_save_that_dies_leaves_the_state_before(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    monkeypatch.setattr(arrow, "PART_ROWS", 2)
    monkeypatch.setattr(link_state, "PART_ROWS", 2)
    store.save_link_state(state(1))
    real, left = Database.writing, iter(range(moment, -1, -1))

    @contextmanager
    def dying(self: Database) -> Iterator[Connection]:
        with real(self) as conn:
            if next(left) == 0:
                raise KeyboardInterrupt
            yield conn

    with monkeypatch.context() as patch:
        patch.setattr(Database, "writing", dying)
        with pytest.raises(KeyboardInterrupt):
            store.save_link_state(state(2))
    whole = moment > 6  # six batches of parts, then the row that names the state
    assert same(store.link_state(), state(2 if whole else 1))
    if not whole:
        assert store.save_link_state(state(2)) == 2
        assert same(store.link_state(), state(2))
        with store.database.reading() as conn:
            assert set(conn.scalars(select(link_state_part.c.state_id))) == {2}


def test_a_state_that_lost_a_part_is_told(store: SqlStore) -> None:
    store.save_link_state(state())
    with store.database.writing() as conn:
        conn.execute(delete(link_state_part).where(link_state_part.c.kind == "edges"))
    with pytest.raises(StoreError, match="6 parts; expected 7"):
        store.link_state()


# --- former versions ---------------------------------------------------------------------------


def test_former_versions_have_the_columns_they_had_when_live(store: SqlStore) -> None:
    load(store, [one(full_client("1")), one(client("2"))], "a.csv")
    load(store, [one(client("1"))], "b.csv", source=SourceId("other"))
    then = store.match_columns()
    load(store, [one(client("1", "Changed"), day(20)), one(client("2", "Changed"), day(20))], "c")
    load(store, [one(withdraw("1"), day(20))], "d.csv", source=SourceId("other"))
    now = store.match_columns()
    assert (len(then), len(now)) == (3, 2)
    found = store.past_columns(then["version_id"].to_pylist()[::-1])
    assert found.schema.equals(then.schema)
    assert found.equals(then)
    assert store.past_columns(now["version_id"].to_pylist()).equals(now)
    assert store.past_columns([]).num_rows == 0


def test_a_version_that_is_not_held_is_absent(store: SqlStore) -> None:
    load(store, [one(client("1")), one(client("2"))])
    with store.database.writing() as conn:
        conn.execute(delete(record_version).where(record_version.c.version_id == 1))
    assert store.past_columns([1, 2, 99])["version_id"].to_pylist() == [2]


# --- runs over time ----------------------------------------------------------------------------


def two_nights(store: SqlStore) -> None:
    load(store, [one(client(str(n))) for n in (1, 2, 3)])
    opened = [(1, "P1"), (2, "P2"), (3, "P2")]
    publish(store, publication([("P1", 1), ("P2", 2)], opened), Instant("2026-11-02T03:00:00Z"))
    joined = publication(closed=[1], opened=[(1, "P2")], merged=[("P1", "P2")])
    publish(store, joined, Instant("2026-11-03T03:00:00Z"))


def test_former_runs_are_told(store: SqlStore) -> None:
    two_nights(store)
    assert store.memberships(1)["person_id"].to_pylist() == ["P1", "P2", "P2"]
    assert store.memberships(2).equals(store.memberships())
    assert store.memberships(0).num_rows == 0
    assert [
        store.run_as_at(Instant(f"2026-11-0{at}"))
        for at in ("1T00:00:00Z", "2T02:59:59Z", "2T03:00:00Z", "3T02:00:00Z", "9T00:00:00Z")
    ] == [0, 0, 1, 1, 2]
    rows = [row for chunk in store.export_rows(1) for row in chunk]
    assert rows == [(SOURCE, "1", "P1"), (SOURCE, "2", "P2"), (SOURCE, "3", "P2")]


def test_what_was_exported_stays_though_a_record_was_withdrawn(store: SqlStore) -> None:
    two_nights(store)
    load(store, [one(withdraw("2"), day(20))], "later.csv")
    assert [row[1:] for chunk in store.export_rows() for row in chunk] == [
        ("1", "P2"), ("3", "P2"),
    ]  # fmt: skip
    assert [row[1:] for chunk in store.export_rows(1) for row in chunk] == [
        ("1", "P1"), ("2", "P2"), ("3", "P2"),
    ]  # fmt: skip


def test_a_run_keeps_what_it_was_made_of(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "PART_ROWS", 2)
    load(store, [one(client("1"))])
    delta = table(DELTA_SCHEMA, (1, None, 1), (2, 5, None), (3, 7, 8))
    more = {"kind": RunKind.APPROVAL, "state_id": 4, "delta": delta}
    publish(store, publication([("P1", 1)], [(1, "P1")]), **more)
    publish(store, publication(), held=True)
    first, second = store.runs()
    assert (first.kind, first.state, first.state_id) == (RunKind.APPROVAL, RunState.PUBLISHED, 4)
    assert (second.kind, second.state, second.state_id) == (RunKind.LINK, RunState.HELD, None)
    assert store.run_delta(1).equals(delta)
    assert store.run_delta(2).num_rows == 0


def test_the_time_of_a_run_is_never_before_the_last(store: SqlStore) -> None:
    times = [Instant(f"2026-11-02T0{hour}:00:00Z") for hour in (3, 1, 5)]
    for at in times:
        publish(store, publication(), at)
    assert [run.started_at for run in store.runs()] == [times[0], times[0], times[2]]


def test_persons_of_the_schema_before_go_on(empty_url: str, keys: KeyRing) -> None:
    database = Database(open_engine(empty_url), keys)
    with database.writing() as conn:
        command.upgrade(alembic_config(conn), "0001")
        conn.execute(text(
            "INSERT INTO store_meta VALUES ('keystore', :identity), ('loads', 0), ('events', 0),"
            " ('generation', 1), ('published_run', 2)"
        ), {"identity": keys.identity})  # fmt: skip
        for run_id in (1, 2):
            body = database.sealer.seal("link-run", link_run, "summary", run_id, b"{}")
            conn.execute(text(
                "INSERT INTO link_run (run_id, state, model_hash, generation, started_at, summary)"
                " VALUES (:run, 'published', 'm', 1, '2026-01-01T00:00:00Z', :body)"
            ), {"run": run_id, "body": body})  # fmt: skip
        conn.execute(text(
            "INSERT INTO record (record_id, source, record_key, as_at, content_hash, version_id)"
            " VALUES (1, 's', :key, '2026', :key, 1)"
        ), {"key": b"k"})  # fmt: skip
        conn.execute(text(
            "INSERT INTO person VALUES ('P1', 1, 0, 1, NULL, NULL), ('P2', 1, 1, 1, 'P1', 2),"
            " ('P3', 1, 2, 1, NULL, 2)"
        ))  # fmt: skip
    database.engine.dispose()
    store = open_store(empty_url, keys)
    assert resolved(store, "P1", "P2", "P3") == [
        Resolution(PersonId("P1"), Fate.PRESENT),
        Resolution(PersonId("P1"), Fate.MERGED),
        Resolution(None, Fate.SPLIT),
    ]
    assert [(run.kind, run.state) for run in store.runs()] == [
        (RunKind.LINK, RunState.PUBLISHED)
    ] * 2
    assert (store.state_key(), store.undo_sequence(), store.counts()["persons"]) == (None, 0, 1)
    store.close()


# --- who records were last shown as ------------------------------------------------------------


def last(store: SqlStore, *record_ids: int) -> dict[int, str]:
    found = store.last_persons(record_ids)
    assert found.schema.equals(store.memberships().schema)
    assert found["record_id"].to_pylist() == sorted(found["record_id"].to_pylist())
    return dict(zip(*(column.to_pylist() for column in found.columns), strict=True))


def test_only_records_that_are_in_no_person_now_have_a_last_one(store: SqlStore) -> None:
    two_nights(store)
    assert last(store, 1, 2, 3, 99) == {}, "1 has left P1 and is in P2; 99 was never shown"
    publish(store, publication(closed=[1, 3]))
    assert last(store, 3, 1, 2) == {1: "P2", 3: "P2"}
    assert last(store, 1) == {1: "P2"}
    assert last(store) == {}
    publish(store, publication(opened=[(1, "P2")]))
    assert last(store, 1, 3) == {3: "P2"}, "back, it is in a person"


def test_the_last_person_is_the_one_that_it_leads_to_and_none_where_that_is_gone(
    store: SqlStore,
) -> None:
    load(store, [one(client(str(n))) for n in (1, 2, 3, 4)])
    opened = [(1, "P1"), (2, "P2"), (3, "P1"), (4, "P4")]
    publish(store, publication([("P1", 1), ("P2", 2), ("P4", 4)], opened))
    publish(store, publication(closed=[3]))
    assert last(store, 3) == {3: "P1"}
    joined = publication(closed=[1, 4], opened=[(1, "P2")], merged=[("P1", "P2")],
                         gone=[("P4", "emptied")])  # fmt: skip
    publish(store, joined)
    assert last(store, 3, 4) == {3: "P2"}, "P1 leads to P2; nobody of P4 is left"
    publish(store, publication([("P5", 1), ("P6", 2)], [(1, "P5"), (2, "P6")], [1, 2],
                               gone=[("P2", "split")]))  # fmt: skip
    assert last(store, 3) == {}, "an id that leads nowhere is nobody's last"


def test_of_several_persons_that_a_record_was_in_the_last_counts(store: SqlStore) -> None:
    load(store, [one(client(str(n))) for n in (1, 2, 3)])
    publish(store, publication([("P1", 1), ("P2", 2)], [(1, "P1"), (2, "P2"), (3, "P2")]))
    publish(store, publication(closed=[3], opened=[(3, "P1")]))
    publish(store, publication(closed=[3]))
    assert last(store, 3) == {3: "P1"}


# --- stays -------------------------------------------------------------------------------------


def resolved(store: SqlStore, *ids: str) -> list[Resolution]:
    return [store.resolve(PersonId(person)) for person in ids]


def test_a_split_person_opens_nobody_nor_does_one_that_was_merged_into_it(store: SqlStore) -> None:
    two_nights(store)
    assert resolved(store, "P1", "P2") == [
        Resolution(PersonId("P2"), Fate.MERGED), Resolution(PersonId("P2"), Fate.PRESENT),
    ]  # fmt: skip
    parts = publication(
        [("P3", 1), ("P4", 2)], [(1, "P3"), (2, "P4"), (3, "P4")], [1, 2, 3],
        gone=[("P2", "split")], continues={"P4": "P2"},
    )  # fmt: skip
    publish(store, parts)
    assert resolved(store, "P1", "P2") == [Resolution(None, Fate.SPLIT)] * 2
    assert store.counts()["persons"] == 2
    past = store.person_past(PersonId("P2"))
    assert past is not None
    assert past.stays == (Stay(1, 3, Fate.SPLIT),)
    assert (past.arrivals, past.departures) == ({1: 2, 2: 1}, {3: 3})
    assert (past.merged, past.parts) == (((2, "P1"),), ((3, "P3"), (3, "P4")))
    continued = store.person_past(PersonId("P4"))
    assert continued is not None
    assert (continued.continues, set(continued.runs)) == ("P2", {3})
    assert store.person_past(PersonId("P9")) is None


def test_a_person_comes_back_and_ends_again(store: SqlStore) -> None:
    two_nights(store)
    publish(store, publication(closed=[1], opened=[(1, "P1")], revived=["P1"]))
    assert resolved(store, "P1") == [Resolution(PersonId("P1"), Fate.PRESENT)]
    assert store.counts()["persons"] == 2
    publish(store, publication(closed=[1], gone=[("P1", "emptied")]))
    assert resolved(store, "P1") == [Resolution(None, Fate.EMPTIED)]
    publish(store, publication(opened=[(1, "P1")], revived=["P1"]))
    past = store.person_past(PersonId("P1"))
    assert past is not None
    assert past.stays == (
        Stay(1, 2, Fate.MERGED, PersonId("P2")), Stay(3, 4, Fate.EMPTIED), Stay(5),
    )  # fmt: skip
    assert store.founded_counts() == {1: 1, 2: 1}


def test_stays_of_a_run_that_does_not_fit_are_taken_back(store: SqlStore) -> None:
    two_nights(store)
    publish(store, publication(closed=[1], opened=[(1, "P1")], revived=["P1"]))
    before = list(logical_dump(store.database))
    for misfit in (
        publication(gone=[("P1", "split")], closed=[9]),
        publication(gone=[("P2", "split")], closed=[9]),
        publication(gone=[("P9", "split")]),
        publication(gone=[("P1", "split")], revived=["P2"]),
    ):
        with pytest.raises(StoreError):
            publish(store, misfit)
        assert list(logical_dump(store.database)) == before


# --- undos -------------------------------------------------------------------------------------


def test_an_undo_is_kept_shown_and_released(store: SqlStore) -> None:
    publish(store, publication())
    publish(store, publication())
    assert (store.undo_sequence(), store.undos()) == (0, [])
    made = store.undo_run(2, 1, {"model": "m", "keeps_apart": ["a"]}, NOW)
    assert (made.active, made.pending, store.undo_sequence()) == (True, True, 1)
    assert store.undos() == [made]
    publish(store, publication(), held=True)
    assert store.undos() == [made], "a held run does not show it"
    publish(store, publication())
    (shown,) = store.undos()
    assert (shown.undone_by, shown.pending) == (4, False)
    lifted = store.release_run(2, day(20))
    assert (lifted.active, lifted.pending, store.undo_sequence()) == (False, True, 2)
    publish(store, publication())
    (over,) = store.undos()
    assert (over.released_at, over.released_by, over.pending) == (day(20), 5, False)
    assert store.undo_run(2, 1, {}, NOW).undo_id == 2


def test_an_undo_of_what_is_not_there_is_refused(store: SqlStore) -> None:
    publish(store, publication())
    for number in (0, 2):
        with pytest.raises(StoreError, match="not published"):
            store.undo_run(number, 0, {}, NOW)
    with pytest.raises(StoreError, match="not undone"):
        store.release_run(1, NOW)
    store.undo_run(1, 0, {}, NOW)
    with pytest.raises(StoreError, match="undone already"):
        store.undo_run(1, 0, {}, NOW)
    assert store.undo_sequence() == 1


def test_the_parts_of_a_state_are_sealed_for_their_place(store: SqlStore) -> None:
    store.save_link_state(state())
    column = link_state_part.c.body
    with store.database.writing() as conn:
        first, second = conn.execute(select(link_state_part).limit(2)).all()
        row = link_state_part.c.part_id == second.part_id
        conn.execute(update(link_state_part).where(row).values({column: first.body}))
    with pytest.raises(StoreError, match="the seal is broken"):
        store.link_state()
