"""How long events are kept, on every store: what is due and not held goes, with its keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select, text

from audit.actions import EventClass, class_of
from audit.events import AUDIT_ERASE, AuditEvent, EventOutcome
from schemas.dates import Instant
from schemas.errors import InvalidValue, NotFound, StoreError
from schemas.identifiers import PersonId
from service.audit_ports import AuditQuery, Hold
from store import audit_keeping
from store.audit_keeping import finish_restored, ranges
from store.audit_tables import audit_event, audit_event_person
from store.keyring import KeyRing
from store.sql_store import SqlStore, open_store

ACTIONS = ("read", "search", "break-glass")
DAYS = tuple(Instant(f"2026-01-{day:02d}T12:00:00Z") for day in range(1, 13))
NOW = Instant("2026-06-01T12:00:00Z")
ANN, BOB = PersonId("PA"), PersonId("PB")


def said(
    action: str = "read",
    at: Instant = DAYS[0],
    actor: str = "a",
    persons: tuple[PersonId, ...] = (),
) -> AuditEvent:
    return AuditEvent(
        at=at, action=action, outcome=EventOutcome.PERMITTED, actor=actor, role="r",
        purpose="audit", persons=persons,
    )  # fmt: skip


ERASE = said(AUDIT_ERASE, NOW)


def hold(**named: Any) -> Hold:
    return Hold(made_at=NOW, by="ig", reason="a claim", **named)


def shred(store: SqlStore, **days: Instant) -> Any:
    """Erases what is older, by class."""
    before = {EventClass(name.replace("_", "-")): at for name, at in days.items()}
    return store.shred_events(before, ERASE, NOW)


def shred_and_die(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """An erasure that dies when the events are empty and their keys are still there."""

    def dies(*_: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(audit_keeping, "_destroy", dies)
        with pytest.raises(KeyboardInterrupt):
            shred(store, access=DAYS[5])


def left(store: SqlStore) -> list[int]:
    """Leaves that still have a payload, those of this test's own events only."""
    return [one.leaf for page in store.find_numbered(AuditQuery(actions=frozenset(ACTIONS)))
            for one in page]  # fmt: skip


def named(store: SqlStore) -> list[int]:
    """Leaves that erasure events name."""
    return sorted(
        leaf
        for event in store.events()
        if event.action == AUDIT_ERASE
        for first, last in event.details["leaves"]
        for leaf in range(first, last + 1)
    )


EVENTS = st.lists(
    st.builds(
        said,
        st.sampled_from(ACTIONS),
        st.sampled_from(DAYS),
        st.sampled_from(["a", "b"]),
        st.sampled_from([(), (ANN,), (BOB,), (ANN, BOB)]),
    ),
    min_size=1,
    max_size=25,
)
HOLDS = st.lists(
    st.builds(
        lambda person, actor, since, until: (person, actor, since, until),
        st.none() | st.sampled_from([ANN, BOB]),
        st.none() | st.sampled_from(["a", "b"]),
        st.none() | st.sampled_from(DAYS[:6]),
        st.none() | st.sampled_from(DAYS[6:]),
    ).filter(any),
    max_size=2,
)


def test_as_a_plain_filter_would(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_keeping, "_PART", 4)
    monkeypatch.setattr(audit_keeping, "_PAGE", 3)

    @settings(max_examples=12, deadline=None,
              suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
    @given(EVENTS, HOLDS, st.sampled_from(DAYS), st.sampled_from(DAYS))
    def one_history(
        told: list[AuditEvent], holding: list[Any], reads: Instant, searches: Instant
    ) -> None:
        with store.database.writing() as conn:
            for table in ("audit_event", "audit_event_person", "audit_hold"):
                conn.execute(text(f"DELETE FROM {table}"))
            conn.execute(text("UPDATE store_meta SET value = 0 WHERE name = 'events'"))
        for event in told:
            store.append_event(event)
        entries = store.entries(0, len(told))
        holds = [hold(person=p, actor=a, since=s, until=u) for p, a, s, u in holding]
        for one in holds:
            store.write_hold(one, said("audit-hold", NOW))
        before = {"access": reads, "search": searches}
        stays = [
            leaf
            for leaf, event in enumerate(told)
            if event.at >= before.get(class_of(event.action).value, "")
            or any(
                (h.person is None or h.person in event.persons)
                and (h.actor is None or h.actor == event.actor)
                and (h.since is None or event.at >= h.since)
                and (h.until is None or event.at < h.until)
                for h in holds
            )
        ]
        due = store.due_events({EventClass(name): at for name, at in before.items()})
        done = shred(store, **before)
        assert left(store) == stays
        assert named(store) == [leaf for leaf in range(len(told)) if leaf not in stays]
        assert done.events == len(told) - len(stays) == sum(one.due - one.held for one in due)
        assert store.entries(0, len(told)) == entries
        with store.database.reading() as conn:
            about = set(conn.execute(select(audit_event_person)))
        assert about == {(p, leaf + 1) for leaf in stays for p in told[leaf].persons}
        assert shred(store, **before).events == 0

    one_history()


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((), []),
        ((1,), [[0, 0]]),
        ((3, 1, 2), [[0, 2]]),
        ((1, 2, 4, 9, 10), [[0, 1], [3, 3], [8, 9]]),
    ],
)
def test_ranges_name_leaves(numbers: tuple[int, ...], expected: list[list[int]]) -> None:
    assert ranges(numbers) == expected


def test_the_keys_go_and_copies_open_no_more(store: SqlStore) -> None:
    for at in DAYS:
        store.append_event(said(at=at, persons=(ANN,)))
    with store.database.reading() as conn:
        copies = [(row[0], row[1]) for row in conn.execute(
            select(audit_event.c.seq, audit_event.c.body).order_by(audit_event.c.seq))]  # fmt: skip
    done = shred(store, access=DAYS[5])
    assert (done.events, done.resealed, done.keys) == (5, 7, 1)
    for copy in copies:
        with pytest.raises(StoreError, match="no data key"):
            list(store.database.sealer.unseal_many(audit_event, "body", [copy]))
    assert left(store) == list(range(5, 12))
    with store.database.reading() as conn:
        rows = conn.execute(select(audit_event).where(audit_event.c.seq <= 5)).all()
    assert {(row.body, row.actor_key, row.key_id) for row in rows} == {(b"", b"", None)}
    assert store.count_events(AuditQuery(classes=frozenset({EventClass.ACCESS}))) == {(): 12}


def test_who_has_a_key_that_was_destroyed_takes_another(
    store: SqlStore, url: str, keys: KeyRing
) -> None:
    """Another process that seals under the same key group must not seal under what is gone."""
    store.append_event(said())
    worker, other = _worker(url, keys)
    worker.append_event(said(at=DAYS[1]))
    assert shred(store, access=DAYS[11]).events == 2
    worker.append_event(said(at=DAYS[11], actor="after"))
    assert [event.actor for event in store.events() if event.action == "read"] == ["after"]
    worker.database.engine.dispose()
    other.close()


def _worker(url: str, keys: KeyRing) -> tuple[SqlStore, KeyRing]:
    """Another process, with keys of its own making."""
    worker = open_store(url, keys)
    worker.database.keys = other = _another_ring(keys)
    worker.database.sealer._keys = other
    return worker, other


def test_who_finishes_anothers_erasure_does_not_seal_under_what_goes(
    store: SqlStore, url: str, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key that is to go is still the worker's own: what it wrote since is kept."""
    worker, other = _worker(url, keys)
    worker.append_event(said())

    shred_and_die(store, monkeypatch)
    worker.append_event(said(at=DAYS[11], actor="after"))
    assert shred(worker, access=DAYS[5]).keys == 1
    assert [event.actor for event in worker.events() if event.action == "read"] == ["after"]
    worker.database.engine.dispose()
    other.close()


def test_a_commit_that_fails_takes_no_key_with_it(
    store: SqlStore, url: str, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stays is sealed anew, and that is durable, before the key goes."""
    worker, other = _worker(url, keys)
    worker.append_event(said())
    shred_and_die(store, monkeypatch)
    worker.append_event(said(at=DAYS[11], actor="after"))
    writing = worker.database.writing

    @contextmanager
    def failing(**given: Any) -> Iterator[Connection]:
        with writing(**given) as conn:
            yield conn
            raise StoreError("no room")

    with monkeypatch.context() as full:
        full.setattr(worker.database, "writing", failing)
        with pytest.raises(StoreError, match="no room"):
            shred(worker, access=DAYS[5])
    assert [event.actor for event in worker.events() if event.action == "read"] == ["after"]
    assert shred(worker, access=DAYS[5]).keys == 1
    assert [event.actor for event in worker.events() if event.action == "read"] == ["after"]
    worker.database.engine.dispose()
    other.close()


def test_two_erasures_at_once_are_one(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another erasure comes between: each leaf is named once, and nothing comes back."""
    for at in DAYS[:8]:
        store.append_event(said(at=at, persons=(ANN,)))
    real, waiting = audit_keeping._persons, [DAYS[6]]

    def meanwhile(*given: Any) -> Any:
        found = real(*given)
        if waiting:
            shred(store, access=waiting.pop())
        return found

    monkeypatch.setattr(audit_keeping, "_persons", meanwhile)
    shred(store, access=DAYS[5])
    assert named(store) == list(range(6))
    assert left(store) == [6, 7]


def _another_ring(keys: KeyRing) -> KeyRing:
    from store.keyring import KEY_FILE, FileKey, open_keyring

    folder = keys.keystore._path.parent
    return open_keyring(folder, FileKey(folder / KEY_FILE))


def test_a_run_that_died_before_its_keys_is_finished(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in DAYS:
        store.append_event(said(at=at))

    shred_and_die(store, monkeypatch)
    assert left(store) == list(range(5, 12))
    assert store.database.keys.keystore.destroyed() == []
    store.append_event(said(at=DAYS[11]))
    done = shred(store, access=DAYS[5])
    assert (done.events, done.keys) == (0, 1)
    assert len(store.database.keys.keystore.destroyed()) == 1
    assert left(store) == [*range(5, 12), 13]


def test_a_hold_that_comes_in_meanwhile_counts(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append_event(said(persons=(ANN,)))
    store.append_event(said(persons=(BOB,)))
    persons = audit_keeping._persons
    waiting = [hold(person=ANN)]

    def meanwhile(*given: Any) -> Any:
        if waiting:
            store.write_hold(waiting.pop(), said("audit-hold", NOW))
        return persons(*given)

    monkeypatch.setattr(audit_keeping, "_persons", meanwhile)
    assert shred(store, access=DAYS[5]).events == 1
    assert left(store) == [0]


def test_what_names_the_erased_is_never_erased(store: SqlStore) -> None:
    store.append_event(said())
    shred(store, access=NOW)
    store.append_event(said("audit-report", DAYS[0]))
    assert shred(store, audit=Instant("2030-01-01T00:00:00Z")).events == 1
    assert named(store) == [0, 2]


def test_holds_are_kept_released_and_told(store: SqlStore) -> None:
    first = store.write_hold(hold(person=ANN), said("audit-hold", NOW))
    second = store.write_hold(hold(actor="a", since=DAYS[0]), said("audit-hold", NOW))
    assert (first.hold_id, second.hold_id) == (1, 2)
    store.release_hold(1, NOW, said("audit-hold-release", NOW))
    kept = store.holds()
    assert [one.released_at for one in kept] == [NOW, None]
    assert kept[1] == second
    with pytest.raises(InvalidValue, match="released already"):
        store.release_hold(1, NOW, said("audit-hold-release", NOW))
    with pytest.raises(NotFound):
        store.release_hold(7, NOW, said("audit-hold-release", NOW))
    found = [(e.action, e.details.get("hold")) for e in store.events()]
    assert found == [("audit-hold", 1), ("audit-hold", 2), ("audit-hold-release", None)]


def test_a_released_hold_keeps_nothing(store: SqlStore) -> None:
    store.append_event(said(persons=(ANN,)))
    store.write_hold(hold(person=ANN), said("audit-hold", NOW))
    assert shred(store, access=NOW).events == 0
    store.release_hold(1, NOW, said("audit-hold-release", NOW))
    assert shred(store, access=NOW).events == 1


@pytest.mark.parametrize(
    "named",
    [{}, {"person": ANN, "reason": " "}, {"person": ANN, "by": ""},
     {"since": DAYS[1], "until": DAYS[1]}],
)  # fmt: skip
def test_a_hold_that_says_nothing_is_none(named: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        Hold(**({"made_at": NOW, "by": "ig", "reason": "a claim"} | named))


def test_a_backup_of_before_is_emptied(store: SqlStore) -> None:
    """As a restore does: bodies come back whose keys were destroyed since."""
    for at in DAYS:
        store.append_event(said(at=at, persons=(ANN,)))
    with store.database.reading() as conn:
        saved = conn.execute(select(audit_event)).mappings().all()
        about = conn.execute(select(audit_event_person)).mappings().all()
    shred(store, access=DAYS[5])
    with store.database.writing() as conn:
        conn.execute(audit_event.delete())
        conn.execute(audit_event_person.delete())
        conn.execute(audit_event.insert(), [dict(row) for row in saved])
        conn.execute(audit_event_person.insert(), [dict(row) for row in about])
        conn.execute(text("UPDATE store_meta SET value = 12 WHERE name = 'events'"))
    assert finish_restored(store.database) == 12
    assert left(store) == []
    assert named(store) == list(range(12))
    assert finish_restored(store.database) == 0
