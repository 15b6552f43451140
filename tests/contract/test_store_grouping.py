"""Groups of events on every store: whoever took the lock in between, whichever key has gone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import select

from audit.events import AuditEvent, EventOutcome
from schemas.dates import Instant
from schemas.errors import StoreError
from schemas.identifiers import PersonId
from service.audit_ports import AuditQuery
from store import events
from store.audit_tables import audit_event
from store.database import EVENTS, next_value
from store.entering import key_group, salted, write_salted
from store.events import Appender, write_event
from store.grouping import GroupWriter
from store.keyring import KEY_FILE, FileKey, KeyRing, open_keyring
from store.sql_store import SqlStore, open_store

PATIENCE = 5_000
BEFORE_LONG = 20


def said(actor: str, persons: int = 1) -> AuditEvent:
    return AuditEvent(
        at=Instant("2026-11-02T03:00:00Z"), action="read", outcome=EventOutcome.PERMITTED,
        actor=actor, role="r", purpose="audit",
        persons=tuple(PersonId(f"p{number:04d}") for number in range(persons)),
    )  # fmt: skip


def actors(store: SqlStore) -> list[str]:
    return [event.actor for event in store.events()]


def numbers(store: SqlStore) -> list[int]:
    with store.database.reading() as conn:
        return list(conn.scalars(select(audit_event.c.seq).order_by(audit_event.c.seq)))


@contextmanager
def counted(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Which ways to the database were gone, in order."""
    ways: list[str] = []
    with monkeypatch.context() as watched:
        for name in ("writing", "alone"):
            way = getattr(store.database, name)

            def gone(*, name: str = name, way: Any = way, **given: int) -> Any:
                ways.append(name)
                return way(**given)

            watched.setattr(store.database, name, gone)
        yield ways


def at_once(store: SqlStore) -> list[str]:
    """How a group goes that nobody disturbs."""
    return ["alone" if store.database.engine.dialect.name == "postgresql" else "writing"]


def locked_again(store: SqlStore) -> list[str]:
    """How a group goes where somebody took the lock since the last."""
    return [*at_once(store), "writing"] if "alone" in at_once(store) else ["writing"]


def test_undisturbed_groups_go_at_once(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = GroupWriter(store.database)
    writer.write([salted(said("a"))], PATIENCE)
    for group in (["b"], ["c", "d", "e"], ["f"] * 200):
        with counted(store, monkeypatch) as ways:
            writer.write([salted(said(name, persons=3)) for name in group], PATIENCE)
        assert ways == at_once(store)
    assert actors(store) == ["a", "b", "c", "d", "e", *["f"] * 200]
    assert numbers(store) == list(range(1, 206))
    assert store.count_events(AuditQuery(person=PersonId("p0002"))) == {(): 204}


def another_writes(store: SqlStore) -> None:
    with store.database.writing() as conn:
        write_event(store.database, conn, said("other"))


def another_waits_only(store: SqlStore) -> None:
    """As an erasure does before it destroys keys."""
    with store.database.writing() as conn:
        next_value(conn, EVENTS, 0)


@pytest.mark.parametrize("other", [another_writes, another_waits_only])
def test_whoever_took_the_lock_in_between_is_noticed(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, other: Callable[[SqlStore], None]
) -> None:
    writer = GroupWriter(store.database)
    writer.write([salted(said("a"))], PATIENCE)
    other(store)
    between = store.event_count() - 1
    with counted(store, monkeypatch) as ways:
        writer.write([salted(said("b")), salted(said("c"))], PATIENCE)
    assert ways == locked_again(store)
    with counted(store, monkeypatch) as ways:
        writer.write([salted(said("d"))], PATIENCE)
    assert ways == at_once(store)
    assert actors(store) == ["a", *["other"] * between, "b", "c", "d"]
    assert numbers(store) == list(range(1, 5 + between))


def test_the_short_way_is_tried_ever_more_rarely(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another process writes between any two groups; and again once that is over."""
    writer = GroupWriter(store.database)
    with counted(store, monkeypatch) as ways:
        for _ in range(150):
            writer.write([salted(said("a"))], PATIENCE)
            with store.database.engine.begin() as conn:
                next_value(conn, EVENTS, 0)
    assert ways.count("writing") == 150
    # The second group, and then with 0, 1, 3, 7, 15, 31 and 63 between one try and the next.
    assert ways.count("alone") == (8 if "alone" in at_once(store) else 0)
    with counted(store, monkeypatch) as ways:
        for _ in range(80):
            writer.write([salted(said("b"))], PATIENCE)
    assert ways[-2:] == at_once(store) * 2
    assert numbers(store) == list(range(1, 231))


def test_writers_in_turn_leave_no_gaps(store: SqlStore) -> None:
    writers = [GroupWriter(store.database) for _ in range(3)]
    ready = threading.Barrier(3)

    def write(place: int) -> None:
        ready.wait(BEFORE_LONG)
        for group in range(12):
            told = [salted(said(f"{place}.{group}.{one}")) for one in range(1 + group % 3)]
            writers[place].write(told, PATIENCE)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, range(3)))
    kept = actors(store)
    assert numbers(store) == list(range(1, 3 * 24 + 1))
    for place in range(3):
        wanted = [f"{place}.{group}.{one}" for group in range(12) for one in range(1 + group % 3)]
        assert [name for name in kept if name.startswith(f"{place}.")] == wanted


def test_a_key_that_an_erasure_destroyed_seals_nothing_more(
    store: SqlStore, keys: KeyRing, tmp_path: Any, url: str
) -> None:
    """Another process's erasure destroyed a key and then died, so that no version tells of it."""
    writer = GroupWriter(store.database)
    writer.write([salted(said("a"))], PATIENCE)
    (gone,) = keys.keystore.key_sources()
    folder = tmp_path / "keys"
    ring = open_keyring(folder, FileKey(folder / KEY_FILE))
    other = open_store(url, ring)

    def destroy_and_die() -> None:
        with other.database.writing() as conn:
            next_value(conn, EVENTS, 0)
            ring.destroy(key_group("access"), [gone], "2026-11-02T03:00:00Z")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        destroy_and_die()
    writer.write([salted(said("b")), salted(said("c"))], PATIENCE)
    with store.database.reading() as conn:
        used = list(conn.scalars(select(audit_event.c.key_id).order_by(audit_event.c.seq)))
    assert used[0] == gone
    assert used[1] == used[2] != gone
    found = [one for page in other.find_numbered(AuditQuery(after=0)) for one in page]
    assert [one.event.actor for one in found] == ["b", "c"]
    other.close()


def test_a_lock_that_is_held_too_long_fails_the_group_alone(store: SqlStore) -> None:
    writer = GroupWriter(store.database)
    writer.write([salted(said("a"))], PATIENCE)
    with store.database.writing() as conn:
        next_value(conn, EVENTS, 0)
        with pytest.raises(StoreError):
            writer.write([salted(said("b"))], 60)
    writer.write([salted(said("c"))], PATIENCE)
    writer.write([salted(said("d"))], PATIENCE)
    assert actors(store) == ["a", "c", "d"]
    assert numbers(store) == [1, 2, 3]


def test_a_connection_that_was_lost_is_replaced(store: SqlStore) -> None:
    if store.database.engine.dialect.name != "postgresql":
        pytest.skip("there is no connection to lose")
    writer = GroupWriter(store.database)
    writer.write([salted(said("a"))], PATIENCE)
    address = store.database.engine.url.render_as_string(hide_password=False)
    with psycopg.connect(address.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    with pytest.raises(StoreError):
        writer.write([salted(said("b"))], PATIENCE)
    writer.write([salted(said("c"))], PATIENCE)
    assert actors(store) == ["a", "c"]
    assert numbers(store) == [1, 2]


def test_a_thread_that_is_interrupted_leaves_its_turn(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted while it waits, before and after the turn was given to it."""
    appender = Appender(store.database)
    busy, goes_on = threading.Event(), threading.Event()
    kept = appender._kept

    def slow(told: Any) -> Any:
        busy.set()
        assert goes_on.wait(BEFORE_LONG)
        return kept(told)

    monkeypatch.setattr(appender, "_kept", slow)
    wait = events._Waiting.wait

    def interrupted(mine: Any) -> None:
        if mine.told.event.actor == "early":
            raise KeyboardInterrupt
        wait(mine)
        if mine.told.event.actor == "late":
            raise KeyboardInterrupt

    monkeypatch.setattr(events._Waiting, "wait", interrupted)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(appender.append, said("first"))
        assert busy.wait(BEFORE_LONG)
        early = pool.submit(appender.append, said("early"))
        assert isinstance(early.exception(BEFORE_LONG), KeyboardInterrupt)
        late = pool.submit(appender.append, said("late"))
        _until(lambda: len(appender._waiting) == 1)
        last = pool.submit(appender.append, said("last"))
        _until(lambda: len(appender._waiting) == 2)
        goes_on.set()
        assert isinstance(late.exception(BEFORE_LONG), KeyboardInterrupt)
        first.result(BEFORE_LONG)
        last.result(BEFORE_LONG)
    assert actors(store) == ["first", "last"]
    appender.append(said("after"))
    appender.close()


def _until(holds: Callable[[], bool]) -> None:
    for _ in range(BEFORE_LONG * 100):
        if holds():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come to that")


def test_a_group_in_the_way_of_a_transaction_is_numbered_after_it(store: SqlStore) -> None:
    """An event that is written with the work it tells of, between two groups."""
    writer = GroupWriter(store.database)
    writer.write([salted(said("a"))], PATIENCE)
    with store.database.writing() as conn, ThreadPoolExecutor(1) as pool:
        write_salted(store.database, conn, [salted(said("work"))])
        waits = pool.submit(writer.write, [salted(said("b"))], PATIENCE)
        threading.Event().wait(0.05)
        assert not waits.done()
        conn.commit()
        waits.result(BEFORE_LONG)
    assert actors(store) == ["a", "work", "b"]
