"""Several statements on one snapshot: the same moment for all, and what becomes of errors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import bindparam, func, select, text, update

from schemas.errors import StoreError
from store.database import COUNTERS, LOADS, next_value
from store.prepared import Prepared
from store.sql_store import SqlStore
from store.tables import store_meta

_ALL = Prepared(select(store_meta.c.name, store_meta.c.value).order_by(store_meta.c.name))
_ONE = Prepared(select(store_meta.c.value).where(store_meta.c.name == bindparam("wanted")))
_MANY = Prepared(
    select(func.count()).where(store_meta.c.name.in_(bindparam("names", expanding=True)))
)
_WRONG = Prepared(text("SELECT value FROM no_such_table"))


def test_each_question_has_its_rows_in_order(store: SqlStore) -> None:
    whole, one, none, many = store.database.snapshot(
        (_ALL, {}), (_ONE, {"wanted": LOADS}), (_ONE, {"wanted": "nothing"}),
        (_MANY, {"names": list(COUNTERS)}),
    )  # fmt: skip
    assert dict(whole)[LOADS] == one[0][0] == store.database.counter(LOADS)
    assert list(none) == []
    assert many[0][0] == len(COUNTERS)


def test_a_snapshot_sees_what_was_committed_before_it_and_all_of_it_alike(store: SqlStore) -> None:
    before = store.database.counter(LOADS)
    with store.database.writing() as conn:
        next_value(conn, LOADS)
        assert store.database.counter(LOADS) == before
    first, second = store.database.snapshot((_ONE, {"wanted": LOADS}), (_ONE, {"wanted": LOADS}))
    assert first[0][0] == second[0][0] == before + 1


def test_no_commit_comes_between_two_questions(store: SqlStore) -> None:
    if store.database.engine.dialect.name != "postgresql":
        pytest.skip("SQLite's readers are asked nothing that takes time")
    slow = Prepared(text("SELECT pg_sleep(0.5)"))
    asked = ((_ONE, {"wanted": LOADS}), (slow, {}), (_ONE, {"wanted": LOADS}))
    with ThreadPoolExecutor(1) as reader:
        answer = reader.submit(store.database.snapshot, *asked)  # type: ignore[arg-type]
        while not answer.done():
            with store.database.writing() as conn:
                next_value(conn, LOADS)
        first, _, second = answer.result()
    assert first[0][0] == second[0][0] < store.database.counter(LOADS)


def test_a_snapshot_writes_nothing(store: SqlStore) -> None:
    moved = Prepared(
        update(store_meta).values(value=store_meta.c.value + 1).returning(store_meta.c.name)
    )
    before = store.database.counter(LOADS)
    if store.database.engine.dialect.name == "postgresql":
        with pytest.raises(StoreError):
            store.database.snapshot((_ALL, {}), (moved, {}))
    assert store.database.counter(LOADS) == before


def test_an_unknown_counter_is_a_clear_error(store: SqlStore) -> None:
    with pytest.raises(StoreError, match="no row 'nothing'"):
        store.database.counter("nothing")


def test_a_statement_at_fault_is_a_clear_error_and_harms_no_other(store: SqlStore) -> None:
    for asked in ([(_WRONG, {})], [(_ALL, {}), (_WRONG, {}), (_ALL, {})]):
        with pytest.raises(StoreError, match="the operation failed") as caught:
            store.database.snapshot(*asked)  # type: ignore[arg-type]
        assert "no_such_table" not in str(caught.value)
        assert dict(store.database.snapshot((_ALL, {}))[0])[LOADS] >= 0


def test_a_server_that_went_and_came_back_costs_no_reader_anything(store: SqlStore) -> None:
    if store.database.engine.dialect.name != "postgresql":
        pytest.skip("there is no connection to lose")
    with ThreadPoolExecutor(4) as readers:
        list(readers.map(lambda _: store.database.snapshot((_ALL, {})), range(16)))
        address = store.database.engine.url.render_as_string(hide_password=False)
        with psycopg.connect(address.replace("+psycopg", ""), autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        found = list(
            readers.map(lambda _: store.database.snapshot((_ALL, {}), (_ALL, {})), range(16))
        )
    assert {len(rows) for rows in found} == {2}
