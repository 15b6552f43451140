"""Events of several threads at once, and statements that the driver runs, on every store."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from sqlalchemy import bindparam, select, text

from audit.events import AuditEvent, EventOutcome, entry_of_bytes
from schemas.dates import Instant
from schemas.errors import InvalidValue, StoreError
from schemas.identifiers import PersonId
from service.audit_ports import AuditQuery
from store import entering
from store.audit_tables import audit_event
from store.prepared import Prepared
from store.sql_store import SqlStore
from store.tables import store_meta
from tests.contract.test_store_sharing import ANN, NOW, filled

BEFORE_LONG = 20


def said(actor: str) -> AuditEvent:
    return AuditEvent(
        at=Instant("2026-11-02T03:00:00Z"), action="read", outcome=EventOutcome.PERMITTED,
        actor=actor, role="r", purpose="audit",
    )  # fmt: skip


class Gate:
    """Holds a store's first transaction until it is opened; counts them, may fail them."""

    def __init__(self, store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened, self.entered, self.count, self.fails = (
            threading.Event(),
            threading.Event(),
            0,
            0,
        )
        writing, alone = store.database.writing, store.database.alone

        @contextmanager
        def held(**given: int) -> Iterator[Any]:
            number = self.number()
            with writing(**given) as conn:
                yield conn
                if number == self.fails:
                    raise StoreError("the disc is full")

        @contextmanager
        def held_alone(**given: int) -> Iterator[Any]:
            if self.number() == self.fails:
                raise StoreError("the disc is full")
            with alone(**given) as conn:
                yield conn

        monkeypatch.setattr(store.database, "writing", held)
        monkeypatch.setattr(store.database, "alone", held_alone)

    def number(self) -> int:
        """Which transaction this is, once the gate is open."""
        self.count += 1
        number = self.count
        self.entered.set()
        assert self.opened.wait(BEFORE_LONG)
        return number


def appended(store: SqlStore, gate: Gate, names: list[str]) -> list[StoreError | None]:
    """What came of events that are all under way before the first is written."""

    def one(name: str) -> StoreError | None:
        try:
            store.append_event(said(name))
        except StoreError as error:
            return error
        return None

    with ThreadPoolExecutor(len(names)) as pool:
        first = pool.submit(one, names[0])
        assert gate.entered.wait(BEFORE_LONG)
        rest = [pool.submit(one, name) for name in names[1:]]
        waiting = store._appender._waiting
        for _ in range(BEFORE_LONG * 100):
            if len(waiting) == len(rest):
                break
            threading.Event().wait(0.01)
        gate.opened.set()
        return [first.result(BEFORE_LONG), *(done.result(BEFORE_LONG) for done in rest)]


NAMES = [f"n{number}" for number in range(9)]


def test_what_comes_in_during_a_commit_is_written_by_the_next(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(store, monkeypatch)
    assert appended(store, gate, NAMES) == [None] * len(NAMES)
    assert gate.count == 2
    kept = [event.actor for event in store.events()]
    assert kept[0] == "n0"
    assert sorted(kept) == NAMES


def test_numbers_have_no_gaps(store: SqlStore) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: store.append_event(said(f"n{number}")), range(60)))
    with store.database.reading() as conn:
        numbers = list(conn.scalars(select(audit_event.c.seq).order_by(audit_event.c.seq)))
    assert numbers == list(range(1, 61))


@pytest.mark.parametrize(("fails", "kept"), [(1, NAMES[1:]), (2, NAMES[:1])])
def test_whoever_waits_hears_that_its_event_was_not_kept(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, fails: int, kept: list[str]
) -> None:
    gate = Gate(store, monkeypatch)
    gate.fails = fails
    told = appended(store, gate, NAMES)
    assert [name for name, error in zip(NAMES, told, strict=True) if error is None] == kept
    store.append_event(said("after"))
    assert sorted(event.actor for event in store.events()) == sorted([*kept, "after"])


def test_what_cannot_be_written_fails_alone(store: SqlStore) -> None:
    odd = AuditEvent(
        at=NOW, action="read", outcome=EventOutcome.PERMITTED, actor="a", role="r",
        purpose="audit", details={"held": object()},
    )  # fmt: skip
    with pytest.raises(TypeError):
        store.append_event(odd)
    store.append_event(said("after"))
    assert [event.actor for event in store.events()] == ["after"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 9])
def test_the_driver_finds_what_the_library_finds(store: SqlStore, size: int) -> None:
    statement = (
        select(store_meta.c.name, store_meta.c.value)
        .where(
            store_meta.c.name.in_(bindparam("names", expanding=True)),
            store_meta.c.value >= bindparam("least"),
        )
        .order_by(store_meta.c.name)
    )
    names = ["loads", "events", "sharing", "undos", "x", "y", "z", "decisions", "link_states"]
    given = {"names": names[:size], "least": 0}
    prepared = Prepared(statement)
    with store.database.reading() as conn:
        direct = [tuple(row) for row in prepared.rows(conn, given)]
        again = [tuple(row) for row in prepared.rows(conn, given)]
        assert direct == again == [tuple(row) for row in conn.execute(statement, given)]
    assert direct


def test_views_come_with_the_counters_of_their_snapshot(store: SqlStore) -> None:
    filled(store)
    counted, views = store.views_now([ANN], None, NOW)
    assert counted == store.counters()
    assert list(views) == [ANN]
    assert views[ANN].records
    assert store.views_now([PersonId("pnobody")], None, NOW) == (counted, {})
    assert store.views_now([], None, NOW) == (counted, {})


# --- events of before there were entries ---------------------------------------------------------


def test_older_events_are_filled(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a database of before has them: sealed without salt, the organisation among the details,
    actions that are known no more."""
    monkeypatch.setattr(entering, "_PAGE", 2)
    old = [
        {
            "action": "read",
            "details": {"organisation": "ZZ01A", "shown": 3},
            "persons": ["PA", "PB"],
        },
        {"action": "link", "details": {"run": 7}, "persons": []},
        {"action": "an-action-of-old", "details": {}, "persons": ["PA"]},
        {"action": "search", "details": {}, "persons": []},
        {"action": "read", "details": {}, "persons": ["PB"]},
    ]
    usual = {"at": NOW, "outcome": "permitted", "actor": "ann", "role": "gp", "purpose": "audit"}
    plains = [msgspec.json.encode(usual | one, order="sorted") for one in old]
    numbers = range(1, len(old) + 1)
    bodies = store.database.sealer.seal_many("audit", audit_event, "body", numbers, plains)
    with store.database.writing() as conn:
        for seq, one, body in zip(numbers, old, bodies, strict=True):
            conn.execute(
                audit_event.insert(),
                {
                    "seq": seq,
                    "at": NOW,
                    "action": one["action"],
                    "outcome": "permitted",
                    "body": body,
                },
            )
        conn.execute(text("UPDATE store_meta SET value = 5 WHERE name = 'events'"))
    entering.fill(store.database)
    entering.fill(store.database)
    found = [one for page in store.find_numbered(AuditQuery()) for one in page]
    assert [one.event.organisation for one in found] == ["ZZ01A", "-", "-", "-", "-"]
    assert [one.event.details for one in found] == [{"shown": 3}, {"run": 7}, {}, {}, {}]
    assert store.entries(0, 5) == [entry_of_bytes(one.salt, one.told) for one in found]
    classes = [name for (name,) in store.count_events(AuditQuery(), ("class",))]
    assert sorted(classes) == ["access", "linkage", "search", "system"]
    about = [
        one.leaf for page in store.find_numbered(AuditQuery(person=PersonId("PB"))) for one in page
    ]
    assert about == [0, 4]
    assert store.count_events(AuditQuery(actor="ann")) == {(): 5}
    store.append_event(said("after"))
    assert store.event_count() == 6


def test_an_entry_that_another_process_filled_stays(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes open an older database at once: what one filled may be signed already."""
    store.append_event(said("a"))
    (plain,) = (one.told for page in store.find_numbered(AuditQuery()) for one in page)
    (body,) = store.database.sealer.seal_many("audit", audit_event, "body", [1], [plain])
    with store.database.writing() as conn:
        conn.execute(audit_event.update().values(event_class=None, entry=None, body=body))
    real, first = entering.event_rows, list[bytes]()

    def meanwhile(*given: Any) -> Any:
        if not first:
            first.append(b"")
            entering.fill(store.database)
            first[:] = store.entries(0, 1)
        return real(*given)

    monkeypatch.setattr(entering, "event_rows", meanwhile)
    entering.fill(store.database)
    assert store.entries(0, 1) == first


def test_an_action_that_is_none_is_not_written(store: SqlStore) -> None:
    odd = msgspec.structs.replace(said("a"), action="made-up")
    with pytest.raises(InvalidValue):
        store.append_event(odd)
    assert store.event_count() == 0
