"""Alerts are brought together, worked to an outcome, and counted."""

from __future__ import annotations

from typing import Any

import pytest

from audit.alerts import (
    BY_HAND,
    Alert,
    AlertOutcome,
    AlertState,
    Signal,
    alerts_of,
    assigned,
    brought_together,
    closed,
    explained,
    precision,
)
from audit.detect_rules import RULES, Scope
from schemas.dates import Instant
from schemas.errors import InvalidValue, NotPermitted
from schemas.identifiers import PersonId
from tests.audit.test_detect import look, raised

NOW = Instant("2026-11-02T03:00:00Z")
WHY = "it was her own record"


def alert(rule: str = "self", leaves: tuple[int, ...] = (3,), **more: Any) -> Alert:
    given: dict[str, Any] = {
        "scope": Scope.PAIR, "actor": "ST1", "role": "nurse", "organisation": "ORG1", "bits": 12.3,
        "level": "none", "signals": (Signal(rule=rule, bits=12.3, leaves=leaves),),
        "owner": RULES[rule].owner, "due": "2026-11-12", "raised_at": NOW, "first_at": NOW,
        "last_at": NOW, "person": PersonId("SUE"),
    }  # fmt: skip
    return Alert(**(given | more))


def test_an_alert_of_a_detection() -> None:
    found = raised([look("Q4", 9), look("SUE", 10)])
    (one,) = alerts_of(found, NOW)
    assert (one.actor, one.person, one.week, one.level) == ("ST1", "SUE", None, "none")
    assert {signal.rule: signal.leaves for signal in one.signals} == {
        "self": (1,), "unexplained": (1,),
    }  # fmt: skip
    assert one.owner == RULES["self"].owner
    assert one.due == "2026-11-12"
    assert one.first_at == one.last_at == "2026-04-07T10:00:00Z"


def test_an_alert_of_a_week() -> None:
    (one,) = alerts_of(raised([look("Q4", actor="ST3")]), NOW)
    assert (one.actor, one.person) == ("ST3", None)
    assert one.week == "2026-04-06"


def test_what_is_seen_again_is_added_to_what_waits() -> None:
    held = alert(leaves=(3,), alert_id=7)
    again = alert("bond", leaves=(9,), bits=14.0, due="2026-11-04")
    new, changed = brought_together([held], [again])
    assert new == []
    (one,) = changed
    assert one.alert_id == 7
    assert {signal.rule for signal in one.signals} == {"self", "bond"}
    assert (one.bits, one.due) == (14.0, "2026-11-04")
    assert brought_together([held], [alert(leaves=(3,))]) == ([], [])


def test_after_an_outcome_only_new_evidence_raises_anew() -> None:
    done = closed(alert(leaves=(3,)), AlertOutcome.JUSTIFIED, WHY, "iris", NOW)
    assert brought_together([done], [alert(leaves=(3,))]) == ([], [])
    new, changed = brought_together([done], [alert(leaves=(3, 8))])
    assert (len(new), changed) == (1, [])


def test_nobody_works_an_alert_about_themselves() -> None:
    with pytest.raises(NotPermitted):
        closed(alert(), AlertOutcome.FALSE_ALARM, WHY, "ST1", NOW)
    with pytest.raises(NotPermitted):
        assigned(alert(), "iris", "ST1")
    with pytest.raises(NotPermitted):
        assigned(alert(), "ST1", "iris")


@pytest.mark.parametrize("outcome", BY_HAND)
def test_an_alert_ends_once_and_with_a_reason(outcome: AlertOutcome) -> None:
    done = closed(alert(), outcome, WHY, "iris", NOW)
    assert (done.state, done.outcome, done.closed_by) == (AlertState.CLOSED, outcome, "iris")
    with pytest.raises(InvalidValue):
        closed(done, outcome, WHY, "iris", NOW)
    with pytest.raises(InvalidValue):
        closed(alert(), outcome, "  short ", "iris", NOW)


def test_only_the_program_says_that_a_late_tie_explains() -> None:
    assert explained(alert(), NOW).outcome is AlertOutcome.EXPLAINED
    with pytest.raises(InvalidValue):
        closed(alert(), AlertOutcome.EXPLAINED, WHY, "iris", NOW)


def test_an_alert_is_about_a_person_or_a_week() -> None:
    with pytest.raises(InvalidValue):
        alert(person=None)
    with pytest.raises(InvalidValue):
        alert(week="2026-11-02")


def test_how_right_the_rules_are() -> None:
    outcomes = [*[AlertOutcome.TRAINING] * 2, AlertOutcome.MISCONDUCT, AlertOutcome.FALSE_ALARM]
    ended = [closed(alert(), one, WHY, "iris", NOW) for one in outcomes]
    ended += [explained(alert(), NOW), explained(alert("bond"), NOW), alert("bond")]
    own, bond = precision(ended)
    assert (own.rule, own.closed, own.right) == ("self", 5, 0.75)
    assert own.outcomes == {"training": 2, "misconduct": 1, "false-alarm": 1, "explained": 1}
    assert (bond.rule, bond.closed, bond.right) == ("bond", 1, None)
