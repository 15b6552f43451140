"""Alerts, watches and the progress of detection, on every store."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from audit.alerts import Alert, AlertOutcome, AlertState, Signal, assigned, closed
from audit.detect_rules import Scope
from audit.events import AuditEvent, EventOutcome
from schemas.dates import Instant
from schemas.errors import InvalidValue, NotFound
from schemas.identifiers import PersonId
from service.alert_ports import Progress, Watch
from store.sql_store import SqlStore

NOW = Instant("2026-11-02T03:00:00Z")
LATER = Instant("2026-11-02T04:00:00Z")


def said(action: str = "audit-detect") -> AuditEvent:
    return AuditEvent(
        at=NOW, action=action, outcome=EventOutcome.PERMITTED, actor="iris", role="ig_officer",
        purpose="audit",
    )  # fmt: skip


def alert(actor: str = "ST1", leaf: int = 3) -> Alert:
    return Alert(
        scope=Scope.PAIR, actor=actor, role="nurse", organisation="ORG1", bits=12.3, level="none",
        signals=(Signal(rule="self", bits=12.3, leaves=(leaf,)),), owner="privacy_officer",
        due="2026-11-12", raised_at=NOW, first_at=NOW, last_at=NOW, person=PersonId("pquill"),
    )  # fmt: skip


def test_alerts_are_kept_under_numbers_of_their_own(store: SqlStore) -> None:
    first = store.write_alerts([alert("ST1"), alert("ST2")], [], None, said())
    second = store.write_alerts([alert("ST3")], [], None, said())
    assert [one.alert_id for one in (*first, *second)] == [1, 2, 3]
    assert store.alerts() == [*first, *second]
    assert store.alert(2) == first[1]
    assert store.event_count() == 2


def test_an_alert_is_worked(store: SqlStore) -> None:
    (held,) = store.write_alerts([alert()], [], None, said())
    given = assigned(held, "petra", "iris")
    store.write_alerts([], [given], None, said("audit-alert-write"))
    assert store.alert(1).state is AlertState.ASSIGNED
    done = closed(given, AlertOutcome.TRAINING, "own results looked up", "petra", LATER)
    store.write_alerts([], [done], None, said("audit-alert-write"))
    assert store.alert(1) == done
    assert store.alerts(closed=False) == []
    assert store.alerts() == [done]


def test_an_unknown_alert_changes_nothing(store: SqlStore) -> None:
    with pytest.raises(NotFound):
        store.alert(1)
    with pytest.raises(NotFound):
        store.write_alerts([alert()], [alert()], None, said())
    assert store.alerts() == []
    assert store.event_count() == 0


def test_only_the_last_progress_is_kept(store: SqlStore) -> None:
    assert store.detection_progress() is None
    for leaf in (4, 9):
        store.write_alerts([], [], Progress(leaf=leaf, at=NOW, history=b"\x00" * leaf), said())
    assert store.detection_progress() == Progress(leaf=9, at=NOW, history=b"\x00" * 9)


def test_the_watch_list(store: SqlStore) -> None:
    wanted = Watch(person=PersonId("pvip"), by="iris", reason="in the papers", made_at=NOW)
    held = store.write_watch(wanted, said("audit-watch"))
    assert held.watch_id == 1
    assert store.watches() == [held]
    store.end_watch(1, LATER, said("audit-watch"))
    assert store.watches()[0].ended_at == LATER
    with pytest.raises(InvalidValue):
        store.end_watch(1, LATER, said("audit-watch"))
    with pytest.raises(NotFound):
        store.end_watch(2, LATER, said("audit-watch"))
    assert store.event_count() == 2


def test_what_an_alert_says_does_not_stand_in_clear(store: SqlStore) -> None:
    store.write_alerts([alert("STzebra")], [], None, said())
    watch = Watch(person=PersonId("pvip"), by="iris", reason="zebrafinch", made_at=NOW)
    store.write_watch(watch, said("audit-watch"))
    with store.database.reading() as conn:
        for table in ("audit_alert", "audit_watch"):
            row = conn.execute(text(f"select * from {table}")).one()
            told = b" ".join(bytes(v) if not isinstance(v, (str, int)) else str(v).encode()
                             for v in row if v is not None)  # fmt: skip
            assert not any(w in told for w in (b"zebra", b"quill", b"pvip", b"self", b"iris"))
