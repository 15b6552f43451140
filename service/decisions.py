"""Decisions about two records: what they contradict, when two people are needed, how they are made.

Rules:
- An answer about two records is one about the two persons in which they are shown: it is written
  for every pair across them. Else a must-link would tear a record out of its own person, and a
  cannot-link leave it to another.
- A decision that contradicts acting ones, directly or through a chain of them (A and B one, B and C
  one, so A and C are not two), is refused, and the contradicted ones are named.
- `same` waits for a second, different account where service/forecast.py says so; until then it has
  no effect. `different` acts at once: separating is the safe side.
- A second account that answers otherwise ends what was waiting.
- "Wrong person" separates at once, against decisions too, and asks for a review.
- Every change is written together with its event; an event holds no reason that somebody typed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from consent.commands import Action
from linkage.model import Model
from schemas.dates import Clock
from schemas.decisions import Decision, Origin, Standing, Verdict
from schemas.errors import InputError, NeedsDecision, NotFound
from schemas.settings import Settings
from service.access import Actor, about, event, permit
from service.acting import Acting, acting
from service.forecast import awaits_second, what_follows
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
    follow = what_follows(now, [(one.record_id, two.record_id) for one, two in pairs])
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
    awaits = ""
    if verdict is Verdict.SAME:
        awaits = awaits_second(desk.store, desk.settings, desk.model, now, fresh, follow)
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
