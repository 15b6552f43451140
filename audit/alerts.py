"""Alerts: what detection asks somebody to look into, and how they are worked to an outcome.

Rules:
- An alert names an actor and a person, or an actor and a week; it holds what was seen, by rule,
  with the leaves of the events, and no value of anybody's.
- It is open, then assigned, then closed with an outcome and a reason. Nobody closes an alert about
  themselves, nor is one assigned to whom it is about.
- What is seen again of an alert that is not closed is added to it; after it was closed, what is
  seen anew is a new alert.
- The outcome `explained` is given when a tie that came in late explains the looks after all.
- How right a rule is, is counted over closed alerts: those it is named in, by outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from audit.detect_rules import RULES, Scope
from schemas.dates import Instant
from schemas.errors import InvalidValue, NotPermitted
from schemas.identifiers import PersonId

if TYPE_CHECKING:
    from audit.detect import Detection


class AlertState(StrEnum):
    """How far an alert has been worked."""

    OPEN = "open"
    ASSIGNED = "assigned"
    CLOSED = "closed"


class AlertOutcome(StrEnum):
    """What it came to."""

    JUSTIFIED = "justified"
    """There was a reason; it is written down."""
    TRAINING = "training"
    """A mistake: the member of staff is trained."""
    MISCONDUCT = "misconduct"
    """Referred to whoever deals with misconduct."""
    FALSE_ALARM = "false-alarm"
    """What was seen is not so, or says nothing."""
    EXPLAINED = "explained"
    """A tie that came in late explains it; given by the program alone."""


BY_HAND = tuple(one for one in AlertOutcome if one is not AlertOutcome.EXPLAINED)
"""Outcomes that people give."""
RIGHT = frozenset({AlertOutcome.TRAINING, AlertOutcome.MISCONDUCT})
"""Outcomes after which the rule was right to speak."""
MOST_LEAVES = 50
"""Leaves kept for one rule of one alert."""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule saw.

    Attributes:
        rule: a key of `audit.detect_rules.RULES`; bits: its match weight when it was seen.
        leaves: of the events, the first `MOST_LEAVES`.
    """

    rule: str
    bits: float
    leaves: tuple[int, ...]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert.

    Attributes:
        alert_id: 0 until it is held. scope: `pair` or `period`.
        person: of a pair; week: of a period, the Monday it begins on.
        bits: score; level: how closely the looks are explained, of a pair.
        owner: role that works it; due: the day by which.
        first_at, last_at: of the looks.
    """

    scope: Scope
    actor: str
    role: str
    organisation: str
    bits: float
    level: str
    signals: tuple[Signal, ...]
    owner: str
    due: str
    raised_at: Instant
    first_at: Instant
    last_at: Instant
    person: PersonId | None = None
    week: str | None = None
    alert_id: int = 0
    state: AlertState = AlertState.OPEN
    assigned_to: str | None = None
    outcome: AlertOutcome | None = None
    reason: str | None = None
    closed_at: Instant | None = None
    closed_by: str | None = None

    def __post_init__(self) -> None:
        if (self.person is None) == (self.week is None):
            raise InvalidValue("an alert is about a person or about a week")
        if (self.state is AlertState.CLOSED) != (self.outcome is not None):
            raise InvalidValue("a closed alert has an outcome, and no other has")

    @property
    def subject(self) -> tuple[str, str]:
        """What the alert is about: alerts of one subject are one."""
        return self.actor, self.person or f"week {self.week}"

    def is_about(self, account: str) -> bool:
        """Whether it is about what this account did."""
        return self.actor == account


def alerts_of(found: Detection, at: Instant) -> list[Alert]:
    """The alerts of a detection, raised at this moment."""
    signals = _signals(found)
    return [
        _alert(row, signals[n], at) for n, row in enumerate(found.alerts.itertuples(index=False))
    ]


def _signals(found: Detection) -> list[tuple[Signal, ...]]:
    told: list[list[Signal]] = [[] for _ in range(len(found.alerts))]
    seen: dict[tuple[int, str], set[int]] = {}
    columns = (found.evidence[name].tolist() for name in ("alert", "rule", "leaf"))
    for alert, rule, leaf in zip(*columns, strict=True):
        seen.setdefault((alert, rule), set()).add(leaf)
    for (alert, rule), leaves in seen.items():
        bits = round(found.weights[rule], 1)
        told[alert].append(Signal(rule=rule, bits=bits, leaves=tuple(sorted(leaves)[:MOST_LEAVES])))
    return [tuple(sorted(one, key=lambda signal: -signal.bits)) for one in told]


def _alert(row: object, signals: tuple[Signal, ...], at: Instant) -> Alert:
    get = row.__getattribute__
    whole = get("scope") == Scope.PERIOD.value
    return Alert(
        scope=Scope(get("scope")), actor=get("actor"), role=get("role"),
        organisation=get("organisation"), bits=round(float(get("bits")), 1), level=get("level"),
        signals=signals, owner=RULES[signals[0].rule].owner, due=_due(signals, at), raised_at=at,
        first_at=_instant(get("first_at")), last_at=_instant(get("last_at")),
        person=None if whole else PersonId(get("person")),
        week=_monday(int(get("week"))) if whole else None,
    )  # fmt: skip


def _due(signals: Sequence[Signal], at: Instant) -> str:
    days = min(RULES[one.rule].due for one in signals)
    return (date.fromisoformat(at[:10]) + timedelta(days=days)).isoformat()


def _instant(seconds: int) -> Instant:
    return Instant(f"{np.datetime64(int(seconds), 's')}Z")


def _monday(week: int) -> str:
    """The first day of a week by its number (see detect_periods.week_of)."""
    return str(np.datetime64(week * 7 - 3, "D"))


def added(held: Alert, seen: Alert) -> Alert:
    """An alert that is not closed, with what was seen of its subject again."""
    by_rule = {one.rule: one for one in held.signals}
    for one in seen.signals:
        before = by_rule.get(one.rule)
        leaves = sorted({*(before.leaves if before else ()), *one.leaves})[:MOST_LEAVES]
        bits = max(one.bits, before.bits if before else one.bits)
        by_rule[one.rule] = Signal(rule=one.rule, bits=bits, leaves=tuple(leaves))
    signals = tuple(sorted(by_rule.values(), key=lambda one: -one.bits))
    return msgspec.structs.replace(
        held, signals=signals, bits=max(held.bits, seen.bits), due=min(held.due, seen.due),
        first_at=min(held.first_at, seen.first_at), last_at=max(held.last_at, seen.last_at),
    )  # fmt: skip


def brought_together(
    held: Iterable[Alert], seen: Iterable[Alert]
) -> tuple[list[Alert], list[Alert]]:
    """New alerts, and held ones that something was added to. Of a closed alert what was evidence
    already is not raised again."""
    waiting: dict[tuple[str, str], Alert] = {}
    settled: dict[tuple[str, str], set[int]] = {}
    for one in held:
        if one.state is AlertState.CLOSED:
            leaves = settled.setdefault(one.subject, set())
            leaves.update(leaf for signal in one.signals for leaf in signal.leaves)
        else:
            waiting[one.subject] = one
    new, changed = [], []
    for one in seen:
        before = waiting.get(one.subject)
        leaves = {leaf for signal in one.signals for leaf in signal.leaves}
        if before is None:
            if leaves - settled.get(one.subject, set()):
                new.append(one)
        elif (after := added(before, one)) != before:
            changed.append(after)
    return new, changed


def assigned(alert: Alert, to: str, by: str) -> Alert:
    """The alert given to somebody to work. Raises: NotPermitted; InvalidValue."""
    _may_work(alert, by)
    if alert.is_about(to):
        raise NotPermitted("nobody works an alert about themselves: assign it to somebody else")
    return msgspec.structs.replace(alert, state=AlertState.ASSIGNED, assigned_to=to)


def closed(alert: Alert, outcome: AlertOutcome, reason: str, by: str, at: Instant) -> Alert:
    """The alert with its outcome. Raises: NotPermitted; InvalidValue."""
    _may_work(alert, by)
    if outcome not in BY_HAND:
        raise InvalidValue(f"an outcome is one of {', '.join(BY_HAND)}")
    return _ended(alert, outcome, reason, by, at)


def explained(alert: Alert, at: Instant) -> Alert:
    """The alert closed because a tie that came in late explains it."""
    reason = "a tie between the person and the organisation came in later"
    return _ended(alert, AlertOutcome.EXPLAINED, reason, "commonthread", at)


def _ended(alert: Alert, outcome: AlertOutcome, reason: str, by: str, at: Instant) -> Alert:
    if len(reason.strip()) < 10:
        raise InvalidValue("an outcome needs a reason in words, of ten characters or more")
    return msgspec.structs.replace(
        alert, state=AlertState.CLOSED, outcome=outcome, reason=reason, closed_by=by, closed_at=at
    )


def _may_work(alert: Alert, by: str) -> None:
    if alert.state is AlertState.CLOSED:
        raise InvalidValue("the alert is closed; what is seen anew raises a new one")
    if alert.is_about(by):
        raise NotPermitted("nobody works an alert about themselves: a second person has to")


class Precision(msgspec.Struct, frozen=True, kw_only=True):
    """How right a rule was: closed alerts that name it, how many of each outcome, and the share of
    those worked by hand after which it was right (None: there are none)."""

    rule: str
    closed: int
    outcomes: dict[str, int]
    right: float | None


def precision(alerts: Iterable[Alert]) -> list[Precision]:
    """Over closed alerts, for every rule that spoke."""
    counts: dict[str, dict[AlertOutcome, int]] = {}
    for alert in alerts:
        if alert.outcome is not None:
            for one in alert.signals:
                by = counts.setdefault(one.rule, {})
                by[alert.outcome] = by.get(alert.outcome, 0) + 1
    return [_precision(rule, counts[rule]) for rule in RULES if rule in counts]


def _precision(rule: str, by: dict[AlertOutcome, int]) -> Precision:
    worked = sum(n for outcome, n in by.items() if outcome in BY_HAND)
    right = sum(n for outcome, n in by.items() if outcome in RIGHT)
    return Precision(
        rule=rule, closed=sum(by.values()),
        outcomes={outcome.value: by[outcome] for outcome in AlertOutcome if outcome in by},
        right=round(right / worked, 3) if worked else None,
    )  # fmt: skip
