"""Attacks on the database behind a log, by somebody who holds its keys: what `verify` finds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from audit.detect_facts import Facts
from audit.events import AUDIT_ERASE, AuditEvent, canonical
from schemas.dates import Instant
from schemas.errors import AuditBroken
from schemas.settings_file import parse_settings
from service.access import Actor
from service.audit_ports import AuditQuery
from service.audit_reports_asked import LogState
from service.audit_reports_desk import Desk, Wanted, make_report
from store.audit_tables import audit_event, audit_event_person
from store.database import EVENTS
from store.entering import EVENT_COLUMNS, event_rows, salted
from store.tables import store_meta
from tests.audit.attacks import shows
from tests.audit.kept import COUNT, Kept, log_of, rewrite_tuesday, roll_back, tuesday
from tests.audit.small_log import event

_E, _P = audit_event.c, audit_event_person.c


def test_what_was_not_attacked_is_sound(kept: Kept) -> None:
    found = kept.check([tuesday(kept)])
    assert found.faults() == []
    assert (found.opened, found.log.checked, found.unsigned) == (COUNT, COUNT, 0)
    kept.store.append_event(event(COUNT))
    again = kept.check()
    assert (again.sound, again.opened, again.unsigned) == (True, COUNT + 1, 1)


@shows("an event is deleted from the database")
@pytest.mark.parametrize("leaf", [0, 137, 299])
def test_a_deleted_event(kept: Kept, leaf: int) -> None:
    kept.change(
        delete(audit_event).where(_E.seq == leaf + 1),
        delete(audit_event_person).where(_P.seq == leaf + 1),
    )
    assert kept.check().faults() == [f"leaf {leaf}: no such event in the database"]


@shows("an event is deleted from the database")
def test_a_deleted_event_and_those_behind_it_moved_up(kept: Kept) -> None:
    for leaf in range(290, COUNT - 1):
        kept.write_over(leaf, event(leaf + 1))
    kept.change(
        delete(audit_event).where(_E.seq == COUNT),
        delete(audit_event_person).where(_P.seq == COUNT),
        update(store_meta).where(store_meta.c.name == EVENTS).values(value=COUNT - 1),
    )
    assert kept.check().faults() == [
        *(f"leaf {leaf}: another event than was published" for leaf in range(290, COUNT - 1)),
        f"the database holds {COUNT - 1} events, {COUNT} were signed",
    ]


@shows("events of the database change places")
def test_events_that_change_places(kept: Kept) -> None:
    one, other = event(10), event(20)
    kept.write_over(10, other)
    kept.write_over(20, one)
    assert kept.check().faults() == [
        f"leaf {leaf}: another event than was published" for leaf in (10, 20)
    ]


@shows("events of the database change places")
def test_rows_that_change_places(kept: Kept) -> None:
    for old, new in ((11, 10_000), (21, 11), (10_000, 21)):
        kept.change(update(audit_event).where(_E.seq == old).values(seq=new))
    faults = kept.check().faults()
    for leaf in (10, 20):
        assert f"leaf {leaf}: another event than was published" in faults
        assert f"leaf {leaf}: its payload does not open" in faults


@shows("an event of the database is replaced by another")
def test_an_event_replaced_by_another(kept: Kept) -> None:
    kept.write_over(137, event(137, actor="somebody-else"))
    assert kept.check().faults() == ["leaf 137: another event than was published"]
    kept.write_over(299, event(299, actor="somebody-else"))
    kept.store.append_event(event(COUNT))
    with pytest.raises(AuditBroken, match="leaf 299 is another event"):
        log_of(kept.root, kept.store, kept.ring).publish()


@shows("an event of the database is replaced by another")
def test_only_the_payload_replaced(kept: Kept) -> None:
    database = kept.store.database
    forged = event(137, actor="somebody-else")
    plain = bytes(32) + canonical(forged)
    body = database.sealer.seal("audit/access", audit_event, "body", 138, plain)
    kept.change(update(audit_event).where(_E.seq == 138).values(body=body))
    faults = kept.check().faults()
    assert faults[0] == "leaf 137: its payload is not what its entry commits to"
    assert "in clear otherwise than sealed: actor_key, key_id" in faults[1]


@shows("an event is put in between, or added with no number of its own")
def test_an_event_put_in_between(kept: Kept) -> None:
    kept.store.append_event(event(COUNT - 1))
    kept.write_over(290, event(5_000))
    for leaf in range(291, COUNT):
        kept.write_over(leaf, event(leaf - 1))
    assert kept.check().faults() == [
        f"leaf {leaf}: another event than was published" for leaf in range(290, COUNT)
    ]


@shows("an event is put in between, or added with no number of its own")
def test_an_event_beyond_the_last_number_counts_for_nothing(kept: Kept) -> None:
    rows, _ = event_rows(kept.store.database, [COUNT + 5], [salted(event(5_000))])
    kept.change(insert(audit_event).values(**dict(zip(EVENT_COLUMNS, rows[0], strict=True))))
    stray = f"leaf {COUNT + 4}: a row whose number no event was given"
    assert kept.check().faults() == [stray]
    kept.change(update(store_meta).where(store_meta.c.name == EVENTS).values(value=COUNT + 5))
    faults = kept.check().faults()
    assert faults == [
        *(f"leaf {leaf}: no such event in the database" for leaf in range(COUNT, COUNT + 4)),
        f"leaf {COUNT + 4}: about others in clear than sealed",
    ]


@shows("the latest events are deleted from the database")
def test_the_latest_events_deleted(kept: Kept) -> None:
    kept.change(
        delete(audit_event).where(_E.seq > 250),
        delete(audit_event_person).where(_P.seq > 250),
        update(store_meta).where(store_meta.c.name == EVENTS).values(value=250),
    )
    assert kept.check().faults() == [f"the database holds 250 events, {COUNT} were signed"]
    with pytest.raises(AuditBroken, match="250 events"):
        kept.log.publish()


GONE = "leaf 137: its payload is gone, and no event says why"


def take_away(kept: Kept) -> None:
    """The payload of leaf 137, as an erasure leaves it."""
    empty = {"body": b"", "actor_key": b""}
    kept.change(
        update(audit_event).where(_E.seq == 138).values(**empty),
        delete(audit_event_person).where(_P.seq == 138),
    )


def erasure(number: int, first: int, last: int) -> AuditEvent:
    """An event that says that these leaves were erased."""
    leaves = {"leaves": [[first, last]]}
    return event(number, action=AUDIT_ERASE, persons=(), actor="admin", details=leaves)


def officer(kept: Kept) -> Desk:
    """Where an IG officer asks for reports of this log alone, a day later."""
    return Desk(
        store=kept.store, settings=parse_settings('[partnership]\nname = "P"\n', "test"),
        clock=lambda: Instant("2026-11-02T09:00:00Z"),
        actor=Actor("officer", "ig_officer", "audit"),
        log=lambda: LogState(0, "", "", 0), facts=lambda persons, *, names: Facts(),
    )  # fmt: skip


@shows("a payload is taken away, and no event says that it was erased")
def test_a_payload_taken_away(kept: Kept) -> None:
    take_away(kept)
    assert kept.check().faults() == [GONE]
    kept.store.append_event(erasure(COUNT, 130, 136))
    kept.store.append_event(erasure(COUNT + 1, 138, 150))
    kept.log.publish()
    assert kept.check().faults() == [GONE]


@shows("a payload is taken away, and no event says that it was erased")
def test_an_erasure_that_was_logged_before_the_event(kept: Kept) -> None:
    """Whoever may log an erasure cannot log one of what is yet to come."""
    kept.store.append_event(erasure(COUNT, COUNT + 1, COUNT + 1))
    kept.store.append_event(event(COUNT + 1))
    kept.log.publish()
    kept.change(update(audit_event).where(_E.seq == COUNT + 2).values(body=b"", actor_key=b""))
    gone = GONE.replace("137", str(COUNT + 1))
    assert gone in kept.check().faults()


@shows("a payload is taken away, and the event that says so is not the log's")
@pytest.mark.parametrize("over", [138, 250, 299])
def test_an_erasure_written_over_a_later_event(kept: Kept, over: int) -> None:
    take_away(kept)
    kept.write_over(over, erasure(over, 137, 137))
    assert kept.check().faults() == [f"leaf {over}: another event than was published"]


@shows("a payload is taken away, and the event that says so is not the log's")
def test_an_erasure_whose_number_no_event_was_given(kept: Kept) -> None:
    take_away(kept)
    rows, _ = event_rows(kept.store.database, [COUNT + 1], [salted(erasure(COUNT, 137, 137))])
    kept.change(insert(audit_event).values(**dict(zip(EVENT_COLUMNS, rows[0], strict=True))))
    stray = f"leaf {COUNT}: a row whose number no event was given"
    assert sorted(kept.check().faults()) == [GONE, stray]


@shows("a payload is taken away, and a false erasure is logged as true ones are")
def test_a_false_erasure_that_was_truly_logged(kept: Kept) -> None:
    """No check finds it; who did it stays in the log for good."""
    take_away(kept)
    kept.store.append_event(erasure(COUNT, 137, 137))
    kept.log.publish()
    found = kept.check([tuesday(kept)])
    assert (found.faults(), found.erased, found.opened) == ([], 1, COUNT)
    report, _ = make_report(officer(kept), Wanted("integrity"))
    (listed,) = (one for one in report.tables if one.name == "keeping")
    assert [[*row.leaves] for row in listed.rows if row.leaves] == [[COUNT]]
    (page,) = kept.store.find_numbered(AuditQuery(after=COUNT - 1, limit=1))
    assert [(one.event.action, one.event.actor) for one in page] == [(AUDIT_ERASE, "admin")]
    # Nor can it be taken out again: what it said was signed.
    kept.write_over(COUNT, event(COUNT))
    assert GONE in kept.check().faults()


def test_an_erasure_that_does_not_say_what(kept: Kept) -> None:
    erase = event(COUNT, action=AUDIT_ERASE, persons=(), details={"leaves": "all"})
    kept.store.append_event(erase)
    assert kept.check().faults() == [f"leaf {COUNT}: it does not say what was erased"]


CLEAR: dict[str, Any] = {
    "at": "2026-11-01T00:00:00.000000Z", "action": "explain", "event_class": "linkage",
    "outcome": "refused", "actor_key": bytes(16), "organisation": "X26", "key_id": 999_999,
    "entry": b"\x01" + bytes(32),
}  # fmt: skip


@shows("what stands in clear is changed")
def test_every_clear_column_is_attacked() -> None:
    assert {*CLEAR, "seq", "body"} == set(EVENT_COLUMNS)


@shows("what stands in clear is changed")
@pytest.mark.parametrize("column", CLEAR)
def test_a_clear_column_changed(kept: Kept, column: str) -> None:
    kept.change(update(audit_event).where(_E.seq == 138).values(**{column: CLEAR[column]}))
    faults = kept.check().faults()
    assert faults
    assert all(fault.startswith("leaf 137: ") for fault in faults)
    if column != "entry":
        assert faults == [f"leaf 137: in clear otherwise than sealed: {column}"]


PERSONS: dict[str, Callable[[], Any]] = {
    "one more": lambda: insert(audit_event_person).values(person_id="other", seq=138),
    "one less": lambda: delete(audit_event_person).where(_P.seq == 138),
    "another": lambda: update(audit_event_person).where(_P.seq == 138).values(person_id="other"),
    "moved": lambda: update(audit_event_person).where(_P.seq == 138).values(seq=140),
}


@shows("what stands in clear is changed")
@pytest.mark.parametrize("how", PERSONS)
def test_whom_an_event_is_about_changed(kept: Kept, how: str) -> None:
    kept.change(PERSONS[how]())
    faults = kept.check().faults()
    leaves = (137, 139) if how == "moved" else (137,)
    assert faults == [f"leaf {leaf}: about others in clear than sealed" for leaf in leaves]


@shows("the clock is set back")
def test_a_clock_set_back(kept: Kept) -> None:
    last_week = Instant("2026-10-25T03:00:00.000000Z")
    kept.store.append_event(event(COUNT, at=last_week))
    kept.store.append_event(event(COUNT + 1))
    found = kept.check()
    assert found.clock_steps == [(COUNT, last_week, event(COUNT - 1).at)]
    assert found.document()["clock_step_count"] == 1
    # A few minutes are no step: clocks of two servers, a request that took its time.
    kept.store.append_event(event(COUNT - 5))
    assert kept.check().clock_step_count == 1


@shows("two writers sign at once")
def test_two_writers_at_once(kept: Kept) -> None:
    failed: list[BaseException] = []

    def write(first: int) -> None:
        mine = log_of(kept.root, kept.store, kept.ring)
        try:
            for number in range(first, first + 30):
                kept.store.append_event(event(number))
                mine.publish()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(1_000 * n,)) for n in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept.log.publish()
    found = kept.check([tuesday(kept)])
    assert (failed, found.faults()) == ([], [])
    assert (found.log.size, found.unsigned) == (COUNT + 90, 0)


# --- what only somebody outside can tell --------------------------------------------------------


OUTSIDE = {
    "an administrator with key and database writes last Tuesday anew": rewrite_tuesday,
    "the log and the database are rolled back together": roll_back,
}


@shows("an administrator with key and database writes last Tuesday anew")
@pytest.mark.parametrize("name", OUTSIDE)
def test_without_a_checkpoint_outside_it_is_not_detected(kept: Kept, name: str) -> None:
    OUTSIDE[name](kept)
    found = kept.check()
    assert found.faults() == []
    assert (found.log.size, found.opened) == (COUNT, COUNT)


@shows("the log and the database are rolled back together")
@shows("an administrator with key and database writes last Tuesday anew")
@pytest.mark.parametrize("name", OUTSIDE)
def test_a_checkpoint_kept_outside_detects_it(kept: Kept, name: str) -> None:
    held = tuesday(kept)
    OUTSIDE[name](kept)
    assert kept.check([held]).faults() == ["held 0: its root is not that of the first 200 entries"]


def test_no_event_says_less_than_it_did(kept: Kept) -> None:
    """What was checked is what is in the table: the count of rows is the count of leaves."""
    with kept.store.database.reading() as conn:
        assert len(conn.execute(select(_E.seq)).all()) == kept.check().opened
