"""The review queue: what a person must look at, most consequential first.

Rules:
- Tasks come from the latest link, from decisions that wait for a second person, from reports of a
  wrong person, from decisions that rest, and from quality control (`KINDS`).
- Two persons are one task, however many of their records want a look: the strongest pair stands
  for all. An answer about any of these pairs, or what follows from others, answers it.
- Where a source merges what people decided apart, the decision holds, and the task stays until the
  decision or the merge is taken back.
- Where a guard rail between other records keeps the link from what people held to be one, it is a
  task again after that link: the decision alone has no effect (`STILL_APART`).
- A task that somebody could not decide comes back after the days that the settings say.
- Points are those of `FACTORS`, summed; ties go to what is nearest the join threshold. Quality
  control comes after all that waits for an answer.
- Of equal points, tasks that share a person follow one another: who has read one has read most of
  the next (service/review_order.py).
- What bears something of an old and of a new identity is a task for named staff; a pair of the two
  identities is nobody's.
- Tasks of restricted persons go to named staff only. So do tasks of a colleague's own family, and
  never to that colleague (service/review_persons.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from math import isfinite, isinf
from typing import Any

from linkage.guards import DECIDED_APART, GUARDS
from schemas.dates import to_instant
from schemas.decisions import Origin, Standing, TaskId, Verdict, task_id
from schemas.errors import InputError, NotFound, NotPermitted
from service.acting import Acting, acting
from service.decisions import Desk, Pair
from service.former import FormerIdentity
from service.ports import HeldRecord
from service.review_order import kin_together
from service.review_persons import Persons, locked
from service.urgent import RESTRICTION_WAITS

SECOND, REPORTED, REUSED, QUALITY = "second person", "wrong person", "reused id", "quality"
PROTECTED, STILL_APART = "protected identity", "still apart"
KINDS: dict[str, str] = {
    SECOND: "somebody held them to be one person; a second person must confirm",
    REPORTED: "somebody reported a wrong person; the records are apart until you have looked",
    REUSED: "a record that was judged is another person now; the decision rests",
    PROTECTED: "one bears something of an old and of a new identity; it is shown with neither",
    RESTRICTION_WAITS: "a restriction or a death waits: whose is it?",
    STILL_APART: "held to be one, yet the link keeps them apart: a guard rail lies between others",
    "contested": "other records of the group speak against joining them",
    "review band": "alike, but not enough to join without a look",
    **{guard.code: guard.reason for guard in GUARDS},
    QUALITY: "quality control: they are joined; is that right?",
}
"""Why a task is there, in words. Where a pair is there for several reasons, the first counts."""
NEAR_BITS = 2.0
"""A pair within so many bits of the join threshold is near it."""
FEWEST_LETTERS = 4
"""A task may be named by the beginning of its name, of at least so many letters."""


@dataclass(frozen=True)
class Facts:
    """What decides how much hangs on a task.

    Attributes:
        kind: a key of `KINDS`. bits: match weight, None where it was not scored.
        near: the pair's weight is within `NEAR_BITS` of the join threshold.
        records: how many records the two persons have together; large: more than one person may
            join alone.
    """

    kind: str
    bits: float | None
    near: bool
    records: int
    large: bool
    restricted: bool
    safeguarding: bool


@dataclass(frozen=True)
class Factor:
    """One row of `FACTORS`."""

    code: str
    points: int
    reason: str
    holds: Callable[[Facts], bool]


FACTORS: tuple[Factor, ...] = (
    Factor("safeguarding", 50, "a safeguarding item hangs on it", lambda f: f.safeguarding),
    Factor("restricted", 50, "a restricted person", lambda f: f.restricted),
    Factor("protected", 50, "a protected identity", lambda f: f.kind == PROTECTED),
    Factor("wrong_person", 40, "somebody reported a wrong person", lambda f: f.kind == REPORTED),
    Factor("second_person", 30, "only a second person is missing", lambda f: f.kind == SECOND),
    Factor("reused_id", 30, "a decision rests meanwhile", lambda f: f.kind == REUSED),
    Factor("still_apart", 30, "a decision has no effect", lambda f: f.kind == STILL_APART),
    Factor("contested", 20, "records speak for it and against it", lambda f: f.kind == "contested"),
    Factor("many_records", 20, "it touches very many records", lambda f: f.large),
    Factor("near_threshold", 10, "close to the join threshold", lambda f: f.near),
)
"""What makes a task more urgent: points are summed."""


@dataclass(frozen=True)
class Task:
    """One task of the queue, as this actor may see it."""

    task: TaskId
    pair: Pair = field(repr=False)
    kind: str
    bits: float | None
    points: int
    reasons: tuple[str, ...]
    records: int
    locked: str
    """Why this actor may not see it, '' if they may."""

    @property
    def document(self) -> dict[str, Any]:
        """For a list: no person, no source."""
        return {
            "task": self.task,
            "kind": self.kind,
            "why": KINDS[self.kind],
            "points": self.points,
            "reasons": list(self.reasons),
            "bits": round(self.bits, 2) if self.bits is not None and isfinite(self.bits) else None,
            "records": self.records,
        }


@dataclass(frozen=True)
class _Open:
    """A pair that somebody must look at, before what hangs on it is known."""

    pair: Pair
    kind: str
    bits: float | None = None

    @property
    def linked(self) -> bool:
        """Whether the link asks; else a person did."""
        return self.kind not in (SECOND, REPORTED, REUSED, QUALITY, PROTECTED)


class Queue:
    """The queue as it stands, read once."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.decisions = desk.store.decisions()
        self.resting = desk.store.resting_decisions()
        now = acting(desk.store, self.decisions).decisions
        waiting = [d for d in self.decisions if d.standing is Standing.PENDING]
        self.answers = Acting((*now, *waiting))
        """What answers a task of the link: what acts, and what a second person is asked about."""

    @cached_property
    def tasks(self) -> list[Task]:
        """Every open task, most consequential first."""
        opened = self._open()
        held = {h.record_id: h for h in self.desk.store.held({r for o in opened for r in o.pair})}
        opened = [o for o in opened if o.pair[0] in held and o.pair[1] in held]
        opened = [o for o in opened if not self.crosses(*(held[r] for r in o.pair))]
        persons = Persons(self.desk, [held[r] for o in opened for r in o.pair])
        tasks = [
            self._task(one, [held[r] for r in one.pair], persons)
            for one in self._one_each(opened, held, persons)
        ]
        tasks.sort(key=lambda t: (t.kind == QUALITY, -t.points, self._distance(t.bits), t.task))
        urgency = [(t.kind == QUALITY, t.points) for t in tasks]
        ends = [(_person(held[one]), _person(held[two])) for one, two in (t.pair for t in tasks)]
        return [tasks[at] for at in kin_together(urgency, ends)]

    def crosses(self, one: HeldRecord, two: HeldRecord) -> bool:
        """Whether a protected change of identity lies between them: nobody is asked then."""
        ends = one.record_id, one.person_id, two.record_id, two.person_id
        return any(change.crosses(*ends) for change in self._former)

    @cached_property
    def _former(self) -> Sequence[FormerIdentity]:
        return self.desk.store.former_identities()

    @cached_property
    def mine(self) -> list[Task]:
        """Those that this actor may see."""
        return [task for task in self.tasks if not task.locked]

    def first(self, kind: str | None = None, later: Collection[str] = ()) -> Task:
        """The most consequential task that this actor may see, of one kind or of any. Raises:
        NotFound: there is none. InputError: no such kind.

        Args:
            later: names of tasks to pass over.
        """
        found = [task for task in self.of_kind(kind) if task.task not in later]
        if not found:
            what = "no open task" if kind is None else "no open task of that kind"
            raise NotFound(
                f"{what} for this account; `commonthread review list` says how many wait for others"
            )
        return found[0]

    def of_kind(self, kind: str | None) -> list[Task]:
        """Those that this actor may see, of one kind or of any. Raises: InputError: no such."""
        if kind is not None and kind not in KINDS:
            raise InputError(f"no such kind of task; there are {', '.join(KINDS)}")
        return [task for task in self.mine if kind in (None, task.kind)]

    @cached_property
    def waiting(self) -> int:
        """How many acts of this actor wait for a second person."""
        name = self.desk.actor.name
        own = {d.act for d in self.decisions if d.standing is Standing.PENDING and d.author == name}
        return len(own)

    @cached_property
    def undecided(self) -> set[Pair]:
        """Pairs left out because somebody could not decide lately."""
        now = datetime.fromisoformat(self.desk.clock())
        since = to_instant(now - timedelta(days=self.desk.settings.review.undecided_days))
        return {
            d.pair
            for d in self.decisions
            if d.verdict is Verdict.UNDECIDED
            and d.standing is Standing.LIVE
            and d.decided_at >= since
        }

    def find(self, name: str) -> Task:
        """The task of this name or of this beginning of one. Raises: NotFound, InputError,
        NotPermitted: it goes to somebody else."""
        wanted = name.strip().lower()
        if len(wanted) < FEWEST_LETTERS:
            raise InputError(f"a task is named by at least {FEWEST_LETTERS} letters")
        found = [task for task in self.tasks if task.task.startswith(wanted)]
        if not found:
            raise NotFound(
                "no open task of that name; it may have been answered meanwhile:"
                " `commonthread review list` shows what is open, `commonthread review decisions`"
                " what was decided"
            )
        if len(found) > 1:
            raise InputError(f"{len(found)} tasks begin so; give more letters")
        if found[0].locked:
            raise NotPermitted(found[0].locked)
        return found[0]

    def _one_each(
        self, opened: Sequence[_Open], held: Mapping[int, HeldRecord], persons: Persons
    ) -> list[_Open]:
        """Of what the link asks about two persons, the strongest pair, if nothing answers it."""
        kept = [one for one in opened if not one.linked]
        strongest: dict[frozenset[str], _Open] = {}
        for one in sorted((o for o in opened if o.linked), key=lambda o: (-(o.bits or 0), o.pair)):
            left, right = (held[r] for r in one.pair)
            key = frozenset((_person(left), _person(right)))
            if len(key) == 1:  # both are in one person already: each pair is its own question
                key = frozenset(map(str, one.pair))
                answered = self.answers.answer([one.pair[0]], [one.pair[1]])
            else:
                answered = self.answers.answer(persons.of([left]), persons.of([right]))
            if one.kind == STILL_APART:
                if self._since(persons.of([left]), persons.of([right])):
                    continue
            elif answered is not None and one.kind != DECIDED_APART:
                continue
            if not self._left_open(persons.of([left]), persons.of([right])):
                strongest.setdefault(key, one)
        return [*kept, *strongest.values()]

    def _left_open(self, ones: Collection[int], others: Collection[int]) -> bool:
        """Whether somebody could not decide lately about two records of these persons."""
        return any(
            (a in ones and b in others) or (b in ones and a in others) for a, b in self.undecided
        )

    def _distance(self, bits: float | None) -> float:
        return float("inf") if bits is None else abs(bits - self.desk.settings.link.join_bits)

    def _open(self) -> list[_Open]:
        """Each pair once, under the first of its kinds."""
        rank = {kind: at for at, kind in enumerate(KINDS)}
        found: dict[Pair, _Open] = {}
        for one in sorted(self._sayings(), key=lambda o: rank[o.kind]):
            if one.pair not in found and not (one.kind == REUSED and one.pair in self.undecided):
                found[one.pair] = one
        bits = {(row["left"], row["right"]): row["bits"] for row in self.linked}
        return [_Open(o.pair, o.kind, bits.get(o.pair, o.bits)) for o in found.values()]

    @cached_property
    def linked(self) -> list[dict[str, Any]]:
        """Pairs that the latest link asks about: left, right, bits, reason."""
        rows: list[dict[str, Any]] = self.desk.store.review_tasks().to_pylist()
        return rows

    def _sayings(self) -> Iterable[_Open]:
        yield from self._from_decisions()
        for row in self.linked:
            pair = row["left"], row["right"]
            yield _Open(pair, self._kind(row), row["bits"])
        last = self.desk.store.last_run() if self._former else None
        for left, right in last.summary.get("protected", {}).get("unsure", ()) if last else ():
            yield _Open((left, right), PROTECTED)
        for pair, bits in self._quality_pairs():
            yield _Open(pair, QUALITY, bits)

    def _kind(self, row: dict[str, Any]) -> str:
        """Why the link asks. Infinite bits are those of a decision that it knew, and could not
        follow."""
        reason = str(row["reason"])
        if reason == DECIDED_APART or not isinf(row["bits"]):
            return reason
        held = self.answers.answer([row["left"]], [row["right"]]) is Verdict.SAME
        return STILL_APART if held else reason

    def _since(self, ones: Collection[int], others: Collection[int]) -> bool:
        """Whether two persons were held to be one after the latest link began, or wait for it."""
        last = self.desk.store.last_run()
        between = [
            one
            for one in self.answers.decisions
            if one.verdict is Verdict.SAME
            and any(a in ones and b in others for a, b in (one.pair, one.pair[::-1]))
        ]
        return last is None or any(
            one.standing is Standing.PENDING
            or max(one.decided_at, one.confirmed_at or "") > last.started_at
            for one in between
        )

    def _from_decisions(self) -> Iterable[_Open]:
        acts: set[tuple[int, int | None, Standing]] = set()
        for one in self.decisions:
            act = one.act, one.reported, one.standing
            if one.standing is Standing.PENDING and act not in acts:
                acts.add(act)
                if one.author != self.desk.actor.name:
                    yield _Open(one.pair, SECOND)
            elif one.standing is Standing.PROVISIONAL and act not in acts:
                acts.add(act)
                yield _Open(one.pair, REPORTED)
            elif one.decision_id in self.resting and act not in acts:
                acts.add(act)
                yield _Open(one.pair, REUSED)

    def _quality_pairs(self) -> Iterable[tuple[Pair, float]]:
        """Drawn pairs that still want a judgement, and not one of this actor's."""
        judged: Counter[Pair] = Counter()
        own: set[Pair] = set()
        for one in self.decisions:
            if one.origin is Origin.QUALITY and one.standing is not Standing.REVOKED:
                judged[one.pair] += 1
                if one.author == self.desk.actor.name:
                    own.add(one.pair)
        wanted: dict[Pair, tuple[int, float]] = {}
        for row in self.desk.store.quality_pairs().to_pylist():
            wanted[row["left"], row["right"]] = row["judgements"], row["bits"]
        for pair, (judgements, bits) in wanted.items():
            if judged[pair] < judgements and pair not in own:
                yield pair, bits

    def _task(self, one: _Open, records: Sequence[HeldRecord], persons: Persons) -> Task:
        settings = self.desk.settings
        size = persons.size(records)
        facts = Facts(
            kind=one.kind,
            bits=one.bits,
            near=self._distance(one.bits) <= NEAR_BITS,
            records=size,
            large=size > settings.review.two_people_above,
            restricted=persons.restricted(records),
            safeguarding=persons.safeguarding(records),
        )
        found = [factor for factor in FACTORS if factor.holds(facts)]
        return Task(
            task=task_id(*one.pair),
            pair=one.pair,
            kind=one.kind,
            bits=one.bits,
            points=sum(factor.points for factor in found),
            reasons=tuple(factor.reason for factor in found),
            records=size,
            locked=locked(self.desk, facts.restricted, persons.families(records)),
        )


def _person(held: HeldRecord) -> str:
    return held.person_id or f"record {held.record_id}"
