"""Detection over a real store: facts collected, alerts raised once, explained by late ties."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from audit.alerts import Alert, AlertOutcome, AlertState
from schemas.dates import Instant
from schemas.errors import CommonthreadError, InvalidValue, NotPermitted, StoreError
from schemas.identifiers import SourceId
from schemas.items import Heading
from schemas.sharing import DirectiveKind, Targets
from service.access import Actor
from service.audit_alerts import (
    add_watch,
    assign_alert,
    close_alert,
    end_watch,
    list_alerts,
    list_watches,
    rule_precision,
    show_alert,
)
from service.audit_detection import Detected, detect_new, opened_history, packed_history
from service.audit_facts import collect
from service.former import Hidden
from service.sharing import Sharing
from tests.service.sharing_world import (
    ANN,
    EVE,
    MUM,
    NOW,
    TOM,
    asks,
    care,
    lay_down,
    wish,
)
from tests.store_samples import load, one

IRIS = Actor("iris", "ig_officer", "audit")
WHY = "spoken to, and trained again"
LATER = Instant("2026-11-03T09:00:00Z")


def looks(sharing: Sharing, staff_id: str, person: Any) -> None:
    """A member of staff tries to open the record."""
    with suppress(CommonthreadError):
        sharing.everything(asks(sharing, staff_id), person)


def run(sharing: Sharing, at: Instant = NOW) -> Detected:
    return detect_new(sharing.store, sharing.settings, IRIS, lambda: at)  # type: ignore[arg-type]


def alerts(sharing: Sharing) -> dict[tuple[str, str | None], Alert]:
    found = sharing.store.alerts()  # type: ignore[attr-defined]
    return {(one.actor, one.person): one for one in found}


def rules(alert: Alert) -> set[str]:
    return {signal.rule for signal in alert.signals}


def test_the_facts_of_the_story(sharing: Sharing) -> None:
    lay_down(sharing, MUM, directive=wish(DirectiveKind.BAR_STAFF,
             targets=Targets(staff=frozenset({"ST1"}))))  # fmt: skip
    lay_down(sharing, MUM, directive=wish(DirectiveKind.OPT_OUT))
    persons = [ANN, EVE, MUM, TOM]
    facts = collect(sharing.store, sharing.settings, persons, {TOM}, NOW)
    people = facts.people.set_index("person")
    assert people.restricted.to_dict() == {ANN: True, EVE: False, MUM: False, TOM: False}
    assert people.flagged.to_dict() == {ANN: False, EVE: True, MUM: False, TOM: False}
    assert people.watched[TOM]
    kinds = {(r.person, r.organisation, r.kind) for r in facts.ties.itertuples()}
    assert {(TOM, "TR001", "admission"), (TOM, "CO001", "caseload")} <= kinds
    assert {(p, "GP001", "registration") for p in persons} <= kinds
    assert facts.own.values.tolist() == [["ST4", TOM]]
    assert facts.bonds.values.tolist() == [["ST1", MUM]]
    assert facts.wishes.person.tolist() == [MUM]
    place = facts.homes.set_index("person").place
    assert place[TOM] == place[EVE] != place[ANN]
    assert facts.staff.set_index("actor").role["ST3"] == "social_worker"
    assert facts.population == 5


def test_a_record_of_ones_own_and_of_the_household(sharing: Sharing) -> None:
    leaf = len(list(sharing.store.events()))
    looks(sharing, "ST4", TOM)
    looks(sharing, "ST4", EVE)
    looks(sharing, "ST1", TOM)
    found = run(sharing)
    assert (found.raised, found.added_to) == (2, 0)
    held = alerts(sharing)
    assert "self" in rules(held["ST4", TOM])
    assert "household" in rules(held["ST4", EVE])
    assert ("ST1", TOM) not in held
    assert held["ST4", TOM].signals[0].leaves == (leaf,)


def test_nothing_is_raised_twice(sharing: Sharing) -> None:
    looks(sharing, "ST4", TOM)
    run(sharing)
    before = len(list(sharing.store.events()))
    assert run(sharing) == Detected(0, 0, 0, 0, 0, 0)
    assert len(list(sharing.store.events())) == before
    looks(sharing, "ST4", TOM)
    again = run(sharing)
    assert (again.raised, again.added_to) == (0, 1)
    (alert,) = alerts(sharing).values()
    own = next(signal for signal in alert.signals if signal.rule == "self")
    assert len(own.leaves) == 2


def test_a_run_that_died_before_it_was_written_is_run_again(
    sharing: Sharing, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks(sharing, "ST4", TOM)

    def dies(*_: Any) -> None:
        raise StoreError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(sharing.store, "write_alerts", dies)
        with pytest.raises(StoreError):
            run(sharing)
    assert not alerts(sharing)
    assert run(sharing).raised == 1


def test_a_contact_that_comes_in_late_explains_a_broken_glass(sharing: Sharing) -> None:
    sharing.break_glass(asks(sharing, "ST1"), MUM, "life-at-risk", "collapsed in the foyer")
    run(sharing)
    (alert,) = alerts(sharing).values()
    assert "glass-unborne" in rules(alert)
    late = care(Heading.ADMISSION, "v5", "h5", "Admitted", start=NOW)
    load(sharing.store, [one(late)], "late.feed", SourceId("pas"))
    assert run(sharing, LATER).explained_late == 1
    (alert,) = alerts(sharing).values()
    assert (alert.state, alert.outcome) == (AlertState.CLOSED, AlertOutcome.EXPLAINED)
    assert run(sharing, LATER).raised == 0


def test_somebody_on_the_watch_list(sharing: Sharing) -> None:
    looks(sharing, "ST1", MUM)
    assert run(sharing).raised == 0
    watch = add_watch(sharing.store, IRIS, MUM, "in the papers", lambda: NOW)  # type: ignore[arg-type]
    looks(sharing, "ST1", MUM)
    run(sharing)
    assert "watched" in rules(alerts(sharing)["ST1", MUM])
    assert list_watches(sharing.store, IRIS, lambda: NOW) == [watch]  # type: ignore[arg-type]
    end_watch(sharing.store, IRIS, watch.watch_id, lambda: NOW)  # type: ignore[arg-type]
    assert list_watches(sharing.store, IRIS, lambda: NOW) == []  # type: ignore[arg-type]


def test_a_watch_that_ends_explains_no_look(sharing: Sharing) -> None:
    store: Any = sharing.store
    watch = add_watch(store, IRIS, MUM, "in the papers", lambda: NOW)
    looks(sharing, "ST1", MUM)
    run(sharing)
    end_watch(store, IRIS, watch.watch_id, lambda: LATER)
    assert run(sharing, LATER).explained_late == 0
    assert alerts(sharing)["ST1", MUM].state is AlertState.OPEN


def test_a_hidden_person_is_told_by_no_work_on_an_alert(
    sharing: Sharing, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Any = sharing.store
    looks(sharing, "ST4", TOM)
    run(sharing)
    found = Hidden(persons=frozenset({TOM}))
    monkeypatch.setattr("service.audit_alerts.hidden_of", lambda _: found)
    named = replace(IRIS, named=True)
    assert show_alert(store, named, 1, lambda: NOW)["person"] == TOM
    told = [
        *list_alerts(store, IRIS, lambda: NOW),
        show_alert(store, IRIS, 1, lambda: NOW),
        assign_alert(store, IRIS, 1, "petra", lambda: NOW),
        close_alert(store, IRIS, 1, "training", WHY, lambda: NOW),
    ]
    assert TOM not in str(told)
    assert told[-1]["closed_by"] == "iris"
    assert store.alert(1).person == TOM


def test_who_left_looks_no_more(sharing: Sharing) -> None:
    looks(sharing, "ST0", TOM)
    run(sharing)
    (alert,) = alerts(sharing).values()
    assert rules(alert) == {"leaver"}
    assert alert.week == "2026-11-02"


def test_alerts_are_worked_and_written_down(sharing: Sharing) -> None:
    looks(sharing, "ST4", TOM)
    run(sharing)
    store: Any = sharing.store
    (row,) = list_alerts(store, IRIS, lambda: NOW)
    shown = show_alert(store, IRIS, row["alert"], lambda: NOW)
    assert shown["person"] == TOM
    assert shown["signals"][0]["words"]
    assign_alert(store, IRIS, row["alert"], "petra", lambda: NOW)
    with pytest.raises(InvalidValue):
        close_alert(store, IRIS, row["alert"], "no-such", WHY, lambda: NOW)
    close_alert(store, IRIS, row["alert"], "training", WHY, lambda: NOW)
    assert list_alerts(store, IRIS, lambda: NOW) == []
    (rate, *_) = rule_precision(store, IRIS, lambda: NOW)
    assert rate.right == 1.0
    actions = [event.action for event in store.events()][-6:]
    assert actions == ["audit-alert-list", "audit-alert-show", "audit-alert-write",
                       "audit-alert-write", "audit-alert-list", "audit-alert-list"]  # fmt: skip
    named = [event for event in store.events() if event.action == "audit-alert-show"]
    assert named[0].persons == (TOM,)


def test_an_alert_about_oneself_is_seen_and_closed_by_somebody_else(sharing: Sharing) -> None:
    looks(sharing, "ST4", TOM)
    run(sharing)
    store: Any = sharing.store
    herself = Actor("ST4", "ig_officer", "audit")
    assert list_alerts(store, herself, lambda: NOW) == []
    for work in (
        lambda: show_alert(store, herself, 1, lambda: NOW),
        lambda: close_alert(store, herself, 1, "justified", WHY, lambda: NOW),
        lambda: assign_alert(store, herself, 1, "petra", lambda: NOW),
        lambda: assign_alert(store, IRIS, 1, "ST4", lambda: NOW),
    ):
        with pytest.raises(NotPermitted):
            work()
        last = list(store.events())[-1]
        assert (last.outcome.value, last.details["alert"]) == ("refused", 1)
    assert store.alert(1).state is AlertState.OPEN


@pytest.mark.parametrize("role", [None, "data_team", "operator"])
def test_only_ig_officers_see_alerts(sharing: Sharing, role: str | None) -> None:
    other = Actor("dan", role, "audit")
    with pytest.raises(NotPermitted):
        list_alerts(sharing.store, other, lambda: NOW)  # type: ignore[arg-type]
    assert list(sharing.store.events())[-1].outcome.value == "refused"


def test_history_is_packed_and_opened_again(sharing: Sharing) -> None:
    looks(sharing, "ST1", TOM)
    run(sharing)
    store: Any = sharing.store
    kept = store.detection_progress()
    history = opened_history(kept.history)
    assert history.days.actor.tolist() == ["ST1"]
    assert packed_history(history) == kept.history
    assert kept.leaf == store.event_count() - 2
