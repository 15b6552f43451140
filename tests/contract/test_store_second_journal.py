"""A database that does not take events: they go to the second journal, and come back once."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, text

from audit.actions import EventClass
from audit.events import AUDIT_ERASE, AuditEvent, EventOutcome, entry_of_bytes
from schemas.dates import Instant
from schemas.errors import LogFailed, RowRefused, StoreError
from service.audit_ports import AuditQuery
from store import events, journal, reconciling
from store.database import Database
from store.entering import Salted, key_group, salted, write_salted
from store.journal import SecondJournal
from store.keyring import KEY_FILE, FileKey, KeyRing, create_keyring, open_keyring
from store.sql_store import SqlStore, open_store

LATER = Instant("2026-11-03T09:00:00Z")


def said(actor: str) -> AuditEvent:
    return AuditEvent(
        at=Instant("2026-11-02T03:00:00Z"), action="read", outcome=EventOutcome.PERMITTED,
        actor=actor, role="r", purpose="audit",
    )  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> SecondJournal:
    return SecondJournal(tmp_path / "second", lambda: LATER)


@pytest.fixture
def journalled(
    url: str, keys: KeyRing, place: SecondJournal, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SqlStore]:
    monkeypatch.setattr(events, "PATIENCE_MS", 60)
    monkeypatch.setattr(events, "REST_SECONDS", 0.0)
    opened = open_store(url, keys, place)
    yield opened
    opened.close()


def actors(store: SqlStore) -> list[str]:
    return [event.actor for event in store.events() if event.action == "read"]


def told(store: SqlStore, action: str) -> list[dict]:
    return [event.details for event in store.events() if event.action == action]


@contextmanager
def table_away(store: SqlStore) -> Iterator[None]:
    """The table has gone: what every database calls an error."""
    with store.database.writing() as conn:
        conn.execute(text("ALTER TABLE audit_event RENAME TO away"))
    yield
    with store.database.writing() as conn:
        conn.execute(text("ALTER TABLE away RENAME TO audit_event"))


@contextmanager
def locked(store: SqlStore) -> Iterator[None]:
    """Another program holds the write lock."""
    engine = store.database.engine
    if engine.dialect.name == "sqlite":
        other = sqlite3.connect(str(engine.url.database), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
        other.close()
        return
    address = engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    with psycopg.connect(address) as conn:
        conn.execute("UPDATE store_meta SET value = value WHERE name = 'events'")
        yield
        conn.rollback()


@contextmanager
def full(store: SqlStore) -> Iterator[None]:
    """No file may grow: but the journal's small one."""
    if store.database.engine.dialect.name != "sqlite":
        pytest.skip("the server's files are another process's")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(store: SqlStore) -> Iterator[None]:
    """The database takes nothing."""
    engine = store.database.engine
    if engine.dialect.name == "sqlite":
        statements = ("PRAGMA query_only = ON", "PRAGMA query_only = OFF")
    else:
        statements = (
            "SET default_transaction_read_only = on",
            "RESET default_transaction_read_only",
        )
    raw = engine.raw_connection()
    driver = raw.driver_connection
    driver.execute(statements[0])
    if engine.dialect.name != "sqlite":
        driver.commit()
    raw.close()
    yield
    raw = engine.raw_connection()
    driver = raw.driver_connection
    driver.execute(statements[1])
    if engine.dialect.name != "sqlite":
        driver.commit()
    raw.close()


@contextmanager
def removed(store: SqlStore) -> Iterator[None]:
    """The file has gone, and everybody still has it open."""
    if store.database.engine.dialect.name != "sqlite":
        pytest.skip("the server's files are another process's")
    path = Path(str(store.database.engine.url.database))
    path.rename(path.with_suffix(".away"))
    yield
    path.with_suffix(".away").rename(path)


FAULTS = {one.__name__: one for one in (table_away, locked, full, read_only, removed)}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_the_database_does_not_take_comes_in_later(
    journalled: SqlStore, place: SecondJournal, fault: str
) -> None:
    journalled.append_event(said("before"))
    with FAULTS[fault](journalled):
        journalled.append_event(said("one"))
        journalled.append_event(said("two"))
    assert actors(journalled) == ["before"]
    journalled.append_event(said("after"))
    assert journalled.reconcile_journal() == 2
    assert actors(journalled) == ["before", "after", "one", "two"]
    assert journalled.reconcile_journal() == 0
    assert list(place.folder.iterdir()) == []
    (came,) = told(journalled, reconciling.RECONCILED)
    assert (came["events"], came["earliest"], came["latest"]) == (
        2, "2026-11-02T03:00:00Z", "2026-11-02T03:00:00Z",
    )  # fmt: skip
    held = [one for page in journalled.find_numbered(AuditQuery()) for one in page]
    assert journalled.entries(0, 5) == [entry_of_bytes(one.salt, one.told) for one in held]


@pytest.mark.parametrize("fault", ["table_away", "full"])
def test_only_where_both_fail_nothing_may_be_shown(
    journalled: SqlStore, place: SecondJournal, fault: str
) -> None:
    place.folder.write_text("a file where the folder should be")
    with FAULTS[fault](journalled), pytest.raises(LogFailed, match="ring the IG officer"):
        journalled.append_event(said("one"))
    journalled.append_event(said("two"))
    assert actors(journalled) == ["two"]


def test_without_a_second_journal_an_event_fails(store: SqlStore) -> None:
    with table_away(store), pytest.raises(LogFailed, match="nothing is shown or done"):
        store.append_event(said("one"))
    assert store.reconcile_journal() == 0


def test_while_the_database_rests_nobody_waits_for_it(
    journalled: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "REST_SECONDS", 600.0)
    with table_away(journalled):
        journalled.append_event(said("one"))
    with monkeypatch.context() as watched:
        for way in ("writing", "alone"):
            watched.setattr(journalled.database, way, None)  # would be a TypeError
        journalled.append_event(said("two"))
    journalled._appender._rests_until = 0.0
    journalled.append_event(said("three"))
    assert journalled.reconcile_journal() == 2
    assert actors(journalled) == ["three", "one", "two"]


def test_opening_brings_it_in(
    journalled: SqlStore, url: str, keys: KeyRing, place: SecondJournal
) -> None:
    with table_away(journalled):
        journalled.append_event(said("one"))
    journalled.close()
    again = open_store(url, keys, place)
    assert actors(again) == ["one"]
    again.close()


def test_a_file_put_back_brings_nothing_twice(
    journalled: SqlStore, place: SecondJournal, tmp_path: Path
) -> None:
    with table_away(journalled):
        journalled.append_event(said("one"))
        journalled._journal.close()
        (path,) = place.folder.iterdir()
        shutil.copy(path, tmp_path / path.name)
    assert journalled.reconcile_journal() == 1
    shutil.copy(tmp_path / path.name, path)
    assert journalled.reconcile_journal() == 0
    assert actors(journalled) == ["one"]
    assert not path.exists()


def test_what_the_database_took_after_all_comes_in_once(
    journalled: SqlStore, place: SecondJournal
) -> None:
    """A commit whose answer was lost: the event is in the log and in the journal."""
    one, two = salted(said("one")), salted(said("two"))
    with journalled.database.writing() as conn:
        write_salted(journalled.database, conn, [one])
    kept = journal.Journal(place.folder, journalled.database.keys.journal)
    kept.append([(one.salt, one.told), (two.salt, two.told)])
    kept.close()
    assert journalled.reconcile_journal() == 1
    assert actors(journalled) == ["one", "two"]


def with_two_damaged(store: SqlStore, place: SecondJournal) -> Path:
    """The journal's file of events one, two and three, of which the second does not open."""
    with table_away(store):
        for name in ("one", "two", "three"):
            store.append_event(said(name))
    store._journal.close()
    (path,) = place.folder.iterdir()
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    return path


def test_damage_is_told_once_and_kept(journalled: SqlStore, place: SecondJournal) -> None:
    path = with_two_damaged(journalled, place)
    whole = path.read_bytes()
    assert journalled.reconcile_journal() == 2
    assert journalled.reconcile_journal() == 0
    assert actors(journalled) == ["one", "three"]
    (damage,) = told(journalled, reconciling.DAMAGED)
    assert damage["file"] == path.name
    assert damage["bytes"][0][0] <= len(whole) // 2 < damage["bytes"][0][1]
    assert path.read_bytes() == whole


def test_an_event_that_is_refused_holds_up_no_other(
    journalled: SqlStore, place: SecondJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = journal.Journal(place.folder, journalled.database.keys.journal)
    for name in ("one", "poison", "three"):
        told_of = salted(said(name))
        kept.append([(told_of.salt, told_of.told)])
    kept.close()
    (path,) = place.folder.iterdir()
    later = journal.Journal(place.folder, journalled.database.keys.journal)
    four = salted(said("four"))
    later.append([(four.salt, four.told)])
    later.close()

    def refusing(database: Database, conn: Connection, given: Sequence[Salted]) -> range:
        if any(one.event.actor == "poison" for one in given):
            raise RowRefused("database: the operation failed")
        return write_salted(database, conn, given)

    monkeypatch.setattr(reconciling, "write_salted", refusing)
    for _ in range(3):
        journalled.reconcile_journal()
    assert sorted(actors(journalled)) == ["four", "one", "three"]
    (damage,) = told(journalled, reconciling.DAMAGED)
    assert damage["file"] == path.name
    assert list(place.folder.iterdir()) == [path]
    assert journalled.journal_told() == [path.name]
    assert journalled.retry_journal() == 0
    monkeypatch.setattr(reconciling, "write_salted", write_salted)
    assert journalled.retry_journal() == 1
    assert sorted(actors(journalled)) == ["four", "one", "poison", "three"]
    assert (journalled.journal_told(), list(place.folder.iterdir())) == ([], [])


@pytest.mark.parametrize("fails", [1, 2, 3])
def test_what_fails_for_a_while_is_never_passed_over(
    journalled: SqlStore, place: SecondJournal, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    """A full disk or a lock is not the event's fault: it waits for a better time."""
    kept = journal.Journal(place.folder, journalled.database.keys.journal)
    for name in ("one", "two"):
        told_of = salted(said(name))
        kept.append([(told_of.salt, told_of.told)])
    kept.close()
    left = iter(range(fails))

    def failing(database: Database, conn: Connection, given: Sequence[Salted]) -> range:
        if next(left, None) is not None:
            raise StoreError("database: the operation failed")
        return write_salted(database, conn, given)

    monkeypatch.setattr(reconciling, "write_salted", failing)
    for _ in range(fails):
        with pytest.raises(StoreError):
            journalled.reconcile_journal()
    assert journalled.reconcile_journal() == 2
    assert actors(journalled) == ["one", "two"]
    assert told(journalled, reconciling.DAMAGED) == []


def test_an_event_of_another_version_is_told_and_holds_up_nothing(
    journalled: SqlStore, place: SecondJournal
) -> None:
    one, two = salted(said("one")), salted(said("two"))
    strange = one.told.replace(b'"permitted"', b'"postponed"')
    assert strange != one.told
    kept = journal.Journal(place.folder, journalled.database.keys.journal)
    kept.append([(one.salt, strange)])
    kept.append([(two.salt, two.told)])
    kept.close()
    assert journalled.reconcile_journal() == 1
    assert actors(journalled) == ["two"]
    assert len(told(journalled, reconciling.DAMAGED)) == 1


def test_a_value_that_no_column_holds_is_told_from_a_database_that_is_away(
    journalled: SqlStore,
) -> None:
    if journalled.database.engine.dialect.name != "postgresql":
        pytest.skip("SQLite holds every text")
    with pytest.raises(RowRefused), journalled.database.writing() as conn:
        conn.execute(text("SELECT 'a' || chr(0)"))
    with pytest.raises(StoreError) as caught, journalled.database.writing() as conn:
        conn.execute(text("SELECT * FROM nowhere"))
    assert not isinstance(caught.value, RowRefused)


def test_what_a_lost_key_sealed_is_sealed_anew_from_the_journal(
    journalled: SqlStore, place: SecondJournal, keys: KeyRing
) -> None:
    """The event came in under a key that another process destroyed, and its writer found no time to
    look after that: it is in the log, and in the journal."""
    one = salted(said("one"))
    with journalled.database.writing() as conn:
        write_salted(journalled.database, conn, [one])
    (key,) = keys.keystore.key_sources()
    keys.destroy(key_group("access"), [key], LATER)
    with pytest.raises(StoreError, match="no data key"):
        actors(journalled)
    kept = journal.Journal(place.folder, journalled.database.keys.journal)
    kept.append([(one.salt, one.told)])
    kept.close()
    assert journalled.reconcile_journal() == 0
    assert actors(journalled) == ["one"]


def test_what_was_erased_does_not_come_back_from_the_journal(
    journalled: SqlStore, place: SecondJournal
) -> None:
    one = salted(said("one"))
    with journalled.database.writing() as conn:
        write_salted(journalled.database, conn, [one])
    kept = journal.Journal(place.folder, journalled.database.keys.journal)
    kept.append([(one.salt, one.told)])
    kept.close()
    erase = AuditEvent(
        at=LATER, action=AUDIT_ERASE, outcome=EventOutcome.PERMITTED, actor="a", role="r",
        purpose="audit",
    )  # fmt: skip
    assert journalled.shred_events({EventClass.ACCESS: LATER}, erase, LATER).events == 1
    assert journalled.reconcile_journal() == 0
    assert actors(journalled) == []


@pytest.mark.parametrize("dies_in", ["_write_page", "_tell_damage"])
def test_damage_is_told_although_a_turn_died_half_way(
    journalled: SqlStore, place: SecondJournal, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    path = with_two_damaged(journalled, place)
    whole = path.read_bytes()

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(reconciling, dies_in, dies)
        with pytest.raises(KeyboardInterrupt):
            journalled.reconcile_journal()
    journalled.reconcile_journal()
    journalled.reconcile_journal()
    assert actors(journalled) == ["one", "three"]
    assert len(told(journalled, reconciling.DAMAGED)) == 1
    assert path.read_bytes() == whole


def test_another_workspaces_file_is_told_and_left(
    journalled: SqlStore, place: SecondJournal, tmp_path: Path
) -> None:
    folder = tmp_path / "other keys"
    other = create_keyring(folder, FileKey(folder / KEY_FILE))
    strange = journal.Journal(place.folder, other.journal)
    one = salted(said("strange"))
    strange.append([(one.salt, one.told)])
    strange.close()
    assert [journalled.reconcile_journal() for _ in range(3)] == [0, 0, 0]
    assert actors(journalled) == []
    assert len(told(journalled, reconciling.DAMAGED)) == 1
    assert len(list(place.folder.iterdir())) == 1
    other.close()


def _keep(url: str, keys: Path, folder: Path, name: str, count: int) -> None:
    """One of several processes whose database is away."""
    ring = open_keyring(keys, FileKey(keys / KEY_FILE))
    kept = journal.Journal(folder, ring.journal)
    for number in range(count):
        one = salted(said(f"{name}{number}"))
        kept.append([(one.salt, one.told)])
    os._exit(0)


def test_processes_keep_apart_and_come_in_once(
    journalled: SqlStore, url: str, keys: KeyRing, place: SecondJournal, tmp_path: Path
) -> None:
    fork = multiprocessing.get_context("spawn")
    some = [
        fork.Process(target=_keep, args=(url, tmp_path / "keys", place.folder, name, 12))
        for name in "ab"
    ]
    for process in some:
        process.start()
    for process in some:
        process.join(60)
    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        stores = [journalled]
        for _ in range(3):
            stores.append(open_store(url, keys, None))
            stack.callback(stores[-1].database.engine.dispose)
            stores[-1]._journal = journalled._journal
            stores[-1]._second = place
        ready = threading.Barrier(4)

        def reconciled(store: SqlStore) -> int:
            ready.wait(20)
            return store.reconcile_journal()

        brought = sum(pool.map(reconciled, stores))
        brought += journalled.reconcile_journal()
    assert brought == 24
    for name in "ab":
        mine = [actor for actor in actors(journalled) if actor.startswith(name)]
        assert mine == [f"{name}{number}" for number in range(12)]
