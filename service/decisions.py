"""Decisions about two records: what they contradict, when two people are needed, how they are made.

Rules:
- An answer about two records is one about the two persons in which they are shown: it is written
  for every pair across them. Else a must-link would tear a record out of its own person, and a
  cannot-link leave it to another.
- A decision that contradicts acting ones, directly or through a chain of them (A and B one, B and C
  one, so A and C are not two), is refused, and the contradicted ones are named.
- `same` waits for a second, different account where a row of `TWO_PEOPLE` says so; until then it
  has no effect. `different` acts at once: separating is the safe side.
- A second account that answers otherwise ends what was waiting.
- "Wrong person" separates at once, against decisions too, and asks for a review.
- Every change is written together with its event; an event holds no reason that somebody typed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from consent.commands import Action
from linkage.model import Model
from schemas.dates import Clock
from schemas.decisions import Decision, Origin, Standing, Verdict
from schemas.errors import InputError, NeedsDecision, NotFound
from schemas.settings import ReviewSettings, Settings
from service.access import Actor, about, event, permit
from service.looking import explain_records
from service.ports import HeldRecord, Store
from service.protected import refuse_across
from service.shielded import seen_by

Pair = tuple[int, int]
MOST_PAIRS = 2_500
"""More pairs than this are not decided in one go: such persons are not put right by hand."""


@dataclass(frozen=True)
class Desk:
    """What somebody who decides sits at. The store is as they may see it."""

    store: Store
    settings: Settings
    model: Model
    actor: Actor
    clock: Clock

    def __post_init__(self) -> None:
        object.__setattr__(self, "store", seen_by(self.actor, self.store))


@dataclass(frozen=True)
class TwoPeople:
    """One row of `TWO_PEOPLE`: when a `same` needs a second person. `because` is shown."""

    because: str
    holds: Callable[[int, str | None, ReviewSettings], bool]


TWO_PEOPLE: tuple[TwoPeople, ...] = (
    TwoPeople("a guard rail forbids it", lambda _size, guard, _settings: guard is not None),
    TwoPeople(
        "it would make a very large person",
        lambda size, _guard, settings: size > settings.two_people_above,
    ),
)
"""(records of the person that would come of it, the guard that forbids the pair in words or None,
settings) → whether a second person is needed. The first row that holds gives the reason."""


def needs_second(size: int, guard: str | None, settings: ReviewSettings) -> str:
    """Why a `same` needs a second person, '' if it does not."""
    return next((row.because for row in TWO_PEOPLE if row.holds(size, guard, settings)), "")


class Acting:
    """The decisions that act now: groups of records held to be one, and pairs held to be two.

    The groups are kept up to date as decisions are added, the smaller joining the larger; a chain
    is walked only where there is something to tell.
    """

    def __init__(self, decisions: Iterable[Decision] = ()) -> None:
        self.decisions: list[Decision] = []
        self._same: dict[int, list[Decision]] = {}
        self._apart: dict[int, list[Decision]] = {}
        self._groups: dict[int, set[int]] = {}
        for one in decisions:
            self.add(one)

    def add(self, one: Decision) -> None:
        """One more, of one person or two. Whether it contradicts these is not asked."""
        self.decisions.append(one)
        table = self._same if one.verdict is Verdict.SAME else self._apart
        for end in one.pair:
            table.setdefault(end, []).append(one)
        if one.verdict is Verdict.SAME:
            small, large = sorted(map(self.group, one.pair), key=len)
            if small is not large:
                large |= small
                both_new = len(large) == 2
                self._groups |= dict.fromkeys(large if both_new else small, large)

    def group(self, record: int) -> set[int]:
        """Every record that `record` is held to be one with, itself included; not to be changed."""
        return self._groups.get(record) or {record}

    def chains(self, record: int) -> dict[int, tuple[Decision, ...]]:
        """As `group`, and by which decisions."""
        found: dict[int, tuple[Decision, ...]] = {record: ()}
        waiting = deque([record])
        while waiting:
            here = waiting.popleft()
            for one in self._same.get(here, ()):
                other = one.left + one.right - here
                if other not in found:
                    found[other] = (*found[here], one)
                    waiting.append(other)
        return found

    def apart(self, ones: Collection[int], others: Collection[int]) -> list[Decision]:
        """The decisions that hold a record of one group apart from a record of the other."""
        return [
            one
            for record in ones
            for one in self._apart.get(record, ())
            if one.left + one.right - record in others
        ]

    def answer(self, ones: Collection[int], others: Collection[int]) -> Verdict | None:
        """What follows for two groups of records, each taken to be one person, from all that was
        decided; None: nothing."""
        near = set[int]().union(*map(self.group, ones))
        if not near.isdisjoint(others):
            return Verdict.SAME
        far = set[int]().union(*map(self.group, others))
        return Verdict.DIFFERENT if self.apart(near, far) else None

    def contradicted(self, left: int, right: int, verdict: Verdict) -> list[Decision]:
        """The acting decisions that cannot stand beside the verdict; [] if it may be given."""
        together = right in self.group(left)
        if verdict is Verdict.DIFFERENT:
            return sorted(self.chains(left)[right], key=_by_id) if together else []
        if verdict is Verdict.UNDECIDED or together:
            return []
        walls = self.apart(*sorted((self.group(left), self.group(right)), key=len))
        if not walls:
            return []
        ones, others = self.chains(left), self.chains(right)
        found: dict[int, Decision] = {}
        for apart in walls:
            near, far = apart.pair if apart.left in ones else apart.pair[::-1]
            for one in (apart, *ones[near], *others[far]):
                found[one.decision_id] = one
        return sorted(found.values(), key=_by_id)

    def without(self, gone: Collection[int]) -> Acting:
        """These without the ones of these ids."""
        return Acting(one for one in self.decisions if one.decision_id not in gone)


def _by_id(one: Decision) -> int:
    return one.decision_id


def acting(store: Store, decisions: Sequence[Decision]) -> Acting:
    """The decisions that act now."""
    rests = store.resting_decisions()
    return Acting(d for d in decisions if d.binds and d.decision_id not in rests)


# --- one pair ----------------------------------------------------------------------------------


def decide(
    desk: Desk, pair: Pair, verdict: Verdict, reason: str, *, action: Action = Action.REVIEW_DECIDE
) -> Decision:
    """Decides a pair, or confirms or ends what waits on it; returns its decision as it stands.

    Raises:
        NotPermitted, NotFound: a record is not held, or no longer.
        InputError: no reason; decided so already; a second person is needed.
        NeedsDecision: it contradicts acting decisions.
    """
    permit(desk.actor, action, desk.store, desk.clock)
    seen, decisions = read(desk.store, reason)
    one, two = held_pair(desk.store, pair)
    waiting = [d for d in decisions if d.standing is Standing.PENDING and d.pair == pair]
    reported = [d for d in decisions if d.standing is Standing.PROVISIONAL and d.pair == pair]
    if waiting and verdict is Verdict.SAME:
        return _confirm(desk, seen, decisions, waiting[0], (one, two), action)
    if reported and verdict is Verdict.DIFFERENT:
        return _uphold(desk, seen, decisions, reported[0], (one, two), action)
    ended = _act_of(decisions, waiting)
    if verdict is Verdict.SAME:
        ended += _reports_on(decisions, reported)
    resting = desk.store.resting_decisions()
    rests = [d for d in decisions if d.decision_id in resting]
    acts = {d.act for d in rests if d.pair == pair}
    ended += [d for d in rests if d.act in acts]
    now = acting(desk.store, decisions).without({d.decision_id for d in ended})
    pairs = [(one, two)] if verdict is Verdict.UNDECIDED else _across(desk.store, one, two)
    new = draft_all(desk, now, pairs, verdict, reason, Origin.REVIEW)
    changed = [revoked(desk, d, f"answered: {verdict.value}") for d in ended]
    noted = event(
        desk.actor, action, desk.clock, **about((one, two)), verdict=verdict.value,
        standing=new[0].standing.value, decisions=len(new), ended=len(ended),
    )  # fmt: skip
    return desk.store.write_decisions(seen, new, changed, noted)[0]


def _across(store: Store, one: HeldRecord, two: HeldRecord) -> list[tuple[HeldRecord, HeldRecord]]:
    """The pair, then every other pair across the two persons that its records are shown in. The
    pair alone where both are in one."""
    if one.person_id and one.person_id == two.person_id:
        return [(one, two)]
    ours, theirs = ([held, *_others(store, held)] for held in (one, two))
    return [(a, b) for a in ours for b in theirs]


def _others(store: Store, held: HeldRecord) -> list[HeldRecord]:
    """The other records of the person that a record is shown in."""
    everyone = store.person_records(held.person_id) if held.person_id else []
    return [other for other in everyone if other.record_id != held.record_id]


def draft_all(
    desk: Desk,
    now: Acting,
    pairs: Sequence[tuple[HeldRecord, HeldRecord]],
    verdict: Verdict,
    reason: str,
    origin: Origin,
) -> list[Decision]:
    """The decisions, of one act, that give every pair the verdict; pairs that have it are left out.

    Args:
        now: what acts; what is drafted is added to it.

    Raises:
        InputError: too many pairs, or all have it already, or it waits for a second person already,
            or a protected change of identity lies between them.
        NeedsDecision: it contradicts acting decisions.
    """
    if len(pairs) > MOST_PAIRS:
        raise InputError(f"{len(pairs):,} pairs of records; at most {MOST_PAIRS:,} are decided so")
    known = {d.pair: d for d in now.decisions if d.verdict is verdict}
    new: list[Decision] = []
    fresh: list[tuple[HeldRecord, HeldRecord]] = []
    if verdict is Verdict.SAME:
        refuse_across(desk.store, pairs)
        refuse_waiting(desk.store, pairs)
    for one, two in pairs:
        drafted = draft(desk, one, two, verdict, reason, origin)
        if drafted.pair not in known:
            refuse(now, drafted.pair, verdict)
            new.append(drafted)
            fresh.append((one, two))
            if drafted.binds:
                now.add(drafted)
    if not new:
        first = min(d.decision_id for d in known.values())
        raise InputError(f"decided so already: decision {first}")
    awaits = awaits_second(desk, now, fresh) if verdict is Verdict.SAME else ""
    if awaits:
        new = [replace(d, standing=Standing.PENDING, awaits=awaits) for d in new]
    return new


def refuse_waiting(store: Store, pairs: Sequence[tuple[HeldRecord, HeldRecord]]) -> None:
    """Raises: InputError where the same is asked of a second person already; it names where."""
    wanted = {tuple(sorted((one.record_id, two.record_id))) for one, two in pairs}
    for held in store.decisions():
        if held.standing is Standing.PENDING and held.pair in wanted:
            raise InputError(
                f"decision {held.decision_id} says so and waits for a second person already"
                f" ({held.awaits}); they find it with `commonthread review next --kind"
                " 'second person'`"
            )


def read(store: Store, reason: str) -> tuple[int, Sequence[Decision]]:
    """The decisions, and the sequence that they are weighed on. Raises: InputError: no reason."""
    if not reason.strip():
        raise InputError("a decision needs a reason: --reason 'why'")
    seen = store.decision_sequence()
    return seen, store.decisions()


def held_pair(store: Store, pair: Pair) -> tuple[HeldRecord, HeldRecord]:
    """Both records, in the pair's order. Raises: NotFound."""
    found = {held.record_id: held for held in store.held(pair)}
    if pair[0] not in found or pair[1] not in found:
        raise NotFound("a record of this pair is not held, or was withdrawn by its source")
    return found[pair[0]], found[pair[1]]


def draft(
    desk: Desk,
    one: HeldRecord,
    two: HeldRecord,
    verdict: Verdict,
    reason: str,
    origin: Origin,
) -> Decision:
    """A decision about two records as they are now."""
    left, right = sorted((one, two), key=lambda held: held.record_id)
    return Decision(
        left=left.record_id,
        right=right.record_id,
        left_version=left.version_id,
        right_version=right.version_id,
        verdict=verdict,
        standing=Standing.LIVE,
        origin=origin,
        reason=reason.strip(),
        author=desk.actor.name,
        decided_at=desk.clock(),
    )


def revoked(desk: Desk, one: Decision, reason: str) -> Decision:
    """The decision, ended by this actor."""
    return replace(
        one,
        standing=Standing.REVOKED,
        revoked_by=desk.actor.name,
        revoked_at=desk.clock(),
        revoked_reason=reason,
    )


def _confirmed(desk: Desk, one: Decision) -> Decision:
    return replace(
        one,
        standing=Standing.LIVE,
        confirmed_by=desk.actor.name,
        confirmed_at=desk.clock(),
    )


def refuse(now: Acting, pair: Pair, verdict: Verdict) -> None:
    """Raises: NeedsDecision: the verdict contradicts decisions; it names them, no reasons."""
    against = now.contradicted(*pair, verdict)
    if against:
        told = "; ".join(
            f"decision {d.decision_id} ({d.verdict.value}, by {d.author}, {d.decided_at[:10]})"
            for d in against
        )
        raise NeedsDecision(
            f"'{verdict.value}' contradicts what was decided: {told}. Nothing was written. Look at"
            " `commonthread review decisions`; revoke what is wrong, then decide"
        )


def awaits_second(desk: Desk, now: Acting, pairs: Sequence[tuple[HeldRecord, HeldRecord]]) -> str:
    """Why a `same` of these pairs, together, needs a second person; '' if it does not. No more of
    them are compared than it takes: the first alone where their number settles it."""
    size = _size(desk.store, now, {h.record_id for pair in pairs for h in pair})
    for one, two in pairs:
        guard = explain_records(desk.settings, desk.model, one, two, together=False).guard
        because = needs_second(size, guard, desk.settings.review)
        if because:
            return because
    return ""


def _size(store: Store, now: Acting, records: Collection[int]) -> int:
    """Records of the person that would come of these being one."""
    held = store.held(set[int]().union(*map(now.group, records)))
    persons = {h.person_id for h in held if h.person_id}
    members = {h.record_id for person in persons for h in store.person_records(person)}
    return len(members | {h.record_id for h in held})


def _act_of(decisions: Sequence[Decision], some: Sequence[Decision]) -> list[Decision]:
    """All that stands as these do and was decided in one go with them."""
    acts = {d.act for d in some}
    return [d for d in decisions if some and d.act in acts and d.standing is some[0].standing]


def _reports_on(decisions: Sequence[Decision], some: Sequence[Decision]) -> list[Decision]:
    """What a report of a wrong person says about the same reported record."""
    return [d for d in _act_of(decisions, some) if d.reported == some[0].reported] if some else []


def _confirm(
    desk: Desk,
    seen: int,
    decisions: Sequence[Decision],
    waiting: Decision,
    records: tuple[HeldRecord, HeldRecord],
    action: Action,
) -> Decision:
    if waiting.author == desk.actor.name:
        raise InputError(
            f"a second person must confirm decision {waiting.decision_id} ({waiting.awaits}); it is"
            " your own"
        )
    now = acting(desk.store, decisions)
    changed = []
    for one in _act_of(decisions, [waiting]):
        refuse(now, one.pair, one.verdict)
        changed.append(_confirmed(desk, one))
        now.add(changed[-1])
    noted = event(desk.actor, action, desk.clock, **about(records), confirmed=waiting.decision_id)
    desk.store.write_decisions(seen, [], changed, noted)
    return next(d for d in changed if d.decision_id == waiting.decision_id)


def _uphold(
    desk: Desk,
    seen: int,
    decisions: Sequence[Decision],
    reported: Decision,
    records: tuple[HeldRecord, HeldRecord],
    action: Action,
) -> Decision:
    changed = [_confirmed(desk, one) for one in _reports_on(decisions, [reported])]
    noted = event(desk.actor, action, desk.clock, **about(records), upheld=reported.decision_id)
    desk.store.write_decisions(seen, [], changed, noted)
    return next(d for d in changed if d.decision_id == reported.decision_id)


def revoke(desk: Desk, decision_id: int, reason: str) -> list[Decision]:
    """Ends a decision, with all that was decided in one go with it.

    Raises: NotPermitted, NotFound, InputError: no reason, or it is revoked already.
    """
    permit(desk.actor, Action.REVIEW_REVOKE, desk.store, desk.clock)
    seen, decisions = read(desk.store, reason)
    found = next((d for d in decisions if d.decision_id == decision_id), None)
    if found is None:
        raise NotFound(f"no decision {decision_id}")
    if found.standing is Standing.REVOKED:
        raise InputError(f"decision {decision_id} is revoked already")
    ended = [d for d in decisions if d.act == found.act and d.standing is not Standing.REVOKED]
    changed = [revoked(desk, d, reason.strip()) for d in ended]
    records = desk.store.held({end for d in ended for end in d.pair})
    noted = event(
        desk.actor,
        Action.REVIEW_REVOKE,
        desk.clock,
        **about(records),
        decisions=[d.decision_id for d in ended],
    )
    desk.store.write_decisions(seen, [], changed, noted)
    return changed
