"""Reviewing: the queue as a list, two records side by side, what was decided before.

Rules:
- A list names tasks: no person, no source. Who is shown records is written down first, person by
  person, and so is a refusal.
- Of restricted persons what locates them is withheld even from named staff: the marks say whether
  it agrees.
- What somebody typed as a reason is withheld from whom the task would be. Where a record is held no
  longer, nothing tells whose it was: it counts as a restricted person's.
- A judgement for quality control is independent: the other one is not shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from audit.events import EventOutcome
from consent.commands import Action
from schemas.decisions import Decision, Origin, Verdict, task_id
from schemas.errors import NotFound, NotPermitted
from schemas.identifiers import LocalId, SourceId
from service.access import about, permit, record
from service.decisions import Desk, decide
from service.looking import explain_records, shown_record
from service.ports import HeldRecord
from service.quality_control import judge
from service.review_across import Third, across, thirds
from service.review_persons import Persons, locked
from service.review_queue import QUALITY, Queue, Task


def list_tasks(desk: Desk, limit: int, kind: str | None = None) -> dict[str, Any]:
    """The queue's head, for this actor, and how many tasks there are. Raises: NotPermitted,
    InputError: no such kind."""
    permit(desk.actor, Action.REVIEW_LIST, desk.store, desk.clock)
    queue = Queue(desk)
    found = queue.of_kind(kind)
    record(desk.actor, Action.REVIEW_LIST, desk.store, desk.clock, tasks=len(queue.mine))
    return {
        "tasks": [task.document for task in found[:limit]],
        "open": len(found),
        "for_others": len(queue.tasks) - len(queue.mine),
        "undecided": len(queue.undecided),
        "yours_waiting": queue.waiting,
        "kinds": dict(Counter(task.kind for task in queue.mine).most_common()),
    }


COMPARED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("names", ("given", "family")),
    ("birth_date", ("birth_date",)),
    ("gender", ("sex",)),
    ("nhs_number", ("nhs_number",)),
    ("addresses", ("postcode", "address")),
    ("telecoms", ("phone", "email")),
    ("gp_practice", ("practice",)),
)
"""What is shown of a record, and the model's fields that compare it."""
_AGREES = frozenset({"same", "same 1 January", "equivalent"})


def show_task(
    desk: Desk, name: str | None = None, kind: str | None = None, later: Collection[str] = ()
) -> dict[str, Any]:
    """Two records side by side; without a name, those of the first task, of a kind or of any.

    Args:
        later: names of tasks that are passed over.

    Raises: NotPermitted, NotFound, InputError.
    """
    permit(desk.actor, Action.REVIEW_SHOW, desk.store, desk.clock)
    queue = Queue(desk)
    task = _found(
        desk,
        Action.REVIEW_SHOW,
        lambda: queue.find(name) if name else queue.first(kind, later),
    )
    held = desk.store.held(task.pair)
    before = _Telling(desk, _prior(queue, task))
    near = _near(queue, held)
    whom = about([*held, *before.held.values(), *(r for one in near for r in one.records)])
    record(desk.actor, Action.REVIEW_SHOW, desk.store, desk.clock, task=task.task, **whom)
    return _shown(queue, task, held) | {
        "thirds": [one.shown for one in near],
        "decisions": before.rows,
    }


def _found(desk: Desk, action: Action, find: Callable[[], Task]) -> Task:
    """The task that is looked for. A refusal is written down."""
    try:
        return find()
    except (NotPermitted, NotFound) as refused:
        kind = EventOutcome.REFUSED if isinstance(refused, NotPermitted) else EventOutcome.FAILED
        record(desk.actor, action, desk.store, desk.clock, outcome=kind)
        raise


Sides = tuple[Sequence[HeldRecord], Sequence[HeldRecord]]


def _sides(everyone: Persons, held: Sequence[HeldRecord]) -> Sides:
    """All records of either person, the one in front first."""
    one, two = (list(everyone.of([mine]).values()) for mine in held)
    return one, two


def _together(held: Sequence[HeldRecord]) -> bool:
    one, two = held
    return one.person_id is not None and one.person_id == two.person_id


def _near(queue: Queue, held: Sequence[HeldRecord]) -> list[Third]:
    """Third persons in the question; none where a restricted person is in it."""
    everyone = Persons(queue.desk, held)
    if _together(held) or everyone.restricted(held):
        return []
    return thirds(queue, _sides(everyone, held))


def _shown(queue: Queue, task: Task, held: Sequence[HeldRecord]) -> dict[str, Any]:
    desk, (one, two) = queue.desk, held
    everyone = Persons(desk, held)
    restricted = everyone.restricted(held)
    together = _together(held)
    found = explain_records(desk.settings, desk.model, one, two, together)
    levels = {f["field"]: f["level"] for f in found.fields}
    return {
        **task.document,
        "bits": found.bits,
        "probability": found.probability,
        "guard": found.guard,
        "verdict_of_the_model": found.verdict,
        "published_as_one": together,
        "restricted": restricted,
        "records": [
            shown_record(h, restricted)
            | {"person_id": h.person_id, "records_of_person": everyone.size([h])}
            for h in held
        ],
        "others": [
            [shown_record(h, restricted) for h in everyone.of([mine]).values() if h not in held]
            for mine in (held[:1] if together else held)
        ],
        "marks": {name: _mark([levels.get(f) for f in fields]) for name, fields in COMPARED},
        "fields": found.fields,
        "across": None if together else across(queue, _sides(everyone, held)),
        "open": len(queue.mine),
    }


def _mark(levels: Sequence[str | None]) -> str:
    """How two records compare in what one row shows."""
    known = [level for level in levels if level not in (None, "missing")]
    if not known:
        return "unknown"
    if all(level in _AGREES for level in known):
        return "agrees"
    return "differs" if all(level == "different" for level in known) else "partly"


def _prior(queue: Queue, task: Task) -> list[Decision]:
    """Decisions on either record. Of a quality task, not the other judgement: it is independent."""
    return [
        d
        for d in queue.decisions
        if {*d.pair} & {*task.pair}
        and not (task.kind == QUALITY and d.pair == task.pair and d.origin is Origin.QUALITY)
    ]


def _told(one: Decision) -> dict[str, Any]:
    return {
        "decision": one.decision_id,
        "act": one.act,
        "task": task_id(*one.pair),
        "verdict": one.verdict.value,
        "standing": one.standing.value,
        "origin": one.origin.value,
        "reason": one.reason,
        "author": one.author,
        "decided_at": one.decided_at,
        "awaits": one.awaits,
        "confirmed_by": one.confirmed_by,
        "revoked_by": one.revoked_by,
        "revoked_reason": one.revoked_reason,
    }


WITHHELD_REASON = "withheld: for named staff"


class _Telling:
    """Decisions as this actor may read them.

    Attributes:
        held: the records that they are about, those that are held still.
        rows: one a decision, in their order.
    """

    def __init__(self, desk: Desk, decisions: Sequence[Decision]) -> None:
        found = desk.store.held({end for one in decisions for end in one.pair})
        self.held = {held.record_id: held for held in found}
        self._desk, self._persons = desk, Persons(desk, found)
        self.rows = [self._row(one) for one in decisions]

    def _row(self, one: Decision) -> dict[str, Any]:
        records = [self.held[end] for end in one.pair if end in self.held]
        told = _told(one)
        if self._withheld(records):
            told["reason"] = WITHHELD_REASON
            told["revoked_reason"] = WITHHELD_REASON if one.revoked_reason else None
        return told

    def _withheld(self, records: Sequence[HeldRecord]) -> bool:
        unknown = len(records) < 2
        restricted = unknown or self._persons.restricted(records)
        return bool(locked(self._desk, restricted, self._persons.families(records)))


@dataclass(frozen=True)
class Answered:
    """What became of an answer.

    Attributes:
        pairs: pairs of records that it was written for.
        against: decisions that keep a judgement for quality control from acting.
        left: open tasks that this actor may see.
        days: after so many an undecided task comes back.
    """

    decision: Decision
    pairs: int
    against: tuple[Decision, ...]
    left: int
    days: int

    @property
    def document(self) -> dict[str, Any]:
        """For a script."""
        against = [d.decision_id for d in self.against]
        more = {"pairs": self.pairs, "contradicts": against, "open": self.left}
        return _told(self.decision) | more


def answer(desk: Desk, name: str, verdict: Verdict, reason: str) -> Answered:
    """Answers a task: a decision, or a judgement where the task is one of quality control.

    Raises: NotPermitted, NotFound, InputError, NeedsDecision: it contradicts decisions.
    """
    permit(desk.actor, Action.REVIEW_DECIDE, desk.store, desk.clock)
    task = _found(desk, Action.REVIEW_DECIDE, lambda: Queue(desk).find(name))
    against: Sequence[Decision] = ()
    if task.kind == QUALITY:
        decision, against = judge(desk, task.pair, verdict, reason)
    else:
        decision = decide(desk, task.pair, verdict, reason)
    queue = Queue(desk)
    pairs = sum(d.act == decision.act and d.standing is decision.standing for d in queue.decisions)
    days = desk.settings.review.undecided_days
    return Answered(decision, pairs, tuple(against), len(queue.mine), days)


def list_decisions(
    desk: Desk, limit: int, of: tuple[str, str] | None = None
) -> list[dict[str, Any]]:
    """The latest decisions, newest first: of one record, or all. Raises: NotPermitted, NotFound."""
    permit(desk.actor, Action.REVIEW_DECISIONS, desk.store, desk.clock)
    decisions, resting = desk.store.decisions(), desk.store.resting_decisions()
    asked: list[HeldRecord] = []
    if of is not None:
        held = desk.store.record(SourceId(of[0]), LocalId(of[1]))
        if held is None:
            failed = EventOutcome.FAILED
            record(desk.actor, Action.REVIEW_DECISIONS, desk.store, desk.clock, outcome=failed)
            raise NotFound(f"no record of that local id in source {of[0]!r}")
        decisions = [d for d in decisions if held.record_id in d.pair]
        asked = [held]
    chosen = sorted(decisions, key=lambda d: -d.decision_id)[:limit]
    telling = _Telling(desk, chosen)
    whom = about([*asked, *telling.held.values()])
    n = len(chosen)
    record(desk.actor, Action.REVIEW_DECISIONS, desk.store, desk.clock, decisions=n, **whom)
    return [
        row | {"rests": d.decision_id in resting}
        for d, row in zip(chosen, telling.rows, strict=True)
    ]
