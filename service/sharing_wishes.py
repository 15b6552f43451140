"""What is laid down about a person, and what staff declare to see one: decided, then written.

Rules:
- A wish is written by whom policy lets write it; it counts from the next request on.
- A wish that is not to be told is shown, and can be ended, by the person and by IG officers only.
- Nobody lifts a protection on their own word: what permits is written, and what denies is ended, by
  those whom a system says to care for the person.
- A second person who agrees to a broken glass has signed in and broken it too, of late.
- Break-glass opens one person's record to one member of staff in one role, for a short time; it
  raises an alert, and stays a task of the privacy officer until somebody has followed it up.
- A claimed relationship is a task likewise.
- The words in which somebody says why are sealed with what they declare; the event has the code,
  and a keyed digest of the words, by which the same words are known again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from audit.events import EventOutcome
from consent.relationships import CLAIM_DAYS
from consent.roles import ROLES, Power
from consent.shared import Refusal, Tell
from schemas.dates import Instant, to_instant
from schemas.errors import InvalidValue, NotFound, NotPermitted
from schemas.identifiers import PersonId
from schemas.sharing import BreakGlass, Directive, Effect, Requester
from service.sharing_desk import NOBODY, Desk, durably, said
from service.sharing_open import PERSON, Known
from service.sharing_ports import Claim, ClaimKind, Provision

_NO_WISH = "no such wish, or none that may be known of"
_A_MINUTE = timedelta(minutes=1)
MOST_WORDS = 2_000
"""Characters of a reason in words."""


def write_directive(
    desk: Desk, requester: Requester, person: PersonId, wish: Directive, reason: str
) -> Directive:
    """Writes a wish down. Raises: NotFound; NotPermitted; InvalidValue."""
    at = desk.clock()
    known = desk.present(requester, "directive-write", person, frozenset(), at)
    _check_may_direct(desk, known, "directive-write", wish, at, lifts=wish.effect is Effect.PERMIT)
    laid_down = Provision(
        made_by=f"staff {requester.staff_id}", made_at=at, reason=reason, directive=wish,
    )  # fmt: skip
    event = desk.event(
        known.requester, "directive-write", EventOutcome.PERMITTED,
        persons=[known.view.person], kind=wish.kind.value, effect=wish.effect.value,
    )  # fmt: skip
    records = [held.record_id for held in known.view.records]
    with durably(requester.call):
        kept = desk.store.write_provision(laid_down, records, event).directive
    assert kept is not None
    return kept


def end_directive(desk: Desk, requester: Requester, directive_id: str) -> None:
    """Ends a wish from now on. Raises: NotFound; NotPermitted; InvalidValue: it has ended."""
    known, laid_down = _laid_down(desk, requester, "directive-end", directive_id)
    assert laid_down.directive is not None
    at = desk.clock()
    if not _may_know(known, laid_down.directive):
        desk.write(known.requester, "directive-end", EventOutcome.REFUSED,
                   persons=[known.view.person])  # fmt: skip
        raise NotFound(_NO_WISH)
    lifts = laid_down.directive.effect is Effect.DENY
    _check_may_direct(
        desk, known, "directive-end", laid_down.directive, at, lifts=lifts, missing=_NO_WISH
    )
    event = desk.event(
        known.requester, "directive-end", EventOutcome.PERMITTED,
        persons=[known.view.person], directive=directive_id,
    )  # fmt: skip
    with durably(requester.call):
        desk.store.end_provision(laid_down.provision_id, at, event)


def directives(desk: Desk, requester: Requester, person: PersonId) -> Sequence[Directive]:
    """The wishes that stand, of those that the requester may write. Raises: NotFound."""
    at = desk.clock()
    known = desk.present(requester, "directives", person, frozenset(), at)
    decision = desk.opener.read_decision(known, at)
    if decision.absent:
        desk.write_read(known, "directives", decision, None, 0)
        raise NotFound(NOBODY)
    shown = [
        one
        for one in known.directives
        if _may_know(known, one) and _may_direct(desk, known, one, at) is None
    ]
    desk.write(
        known.requester, "directives", EventOutcome.PERMITTED,
        persons=[known.view.person], shown=len(shown),
    )  # fmt: skip
    return shown


def directive(desk: Desk, requester: Requester, directive_id: str) -> tuple[PersonId, Directive]:
    """A wish and whose it is. Raises: NotFound."""
    known, laid_down = _laid_down(desk, requester, "directives", directive_id)
    wish = laid_down.directive
    assert wish is not None
    if not _may_know(known, wish) or _may_direct(desk, known, wish, desk.clock()) is not None:
        desk.write(known.requester, "directives", EventOutcome.REFUSED,
                   persons=[known.view.person])  # fmt: skip
        raise NotFound(_NO_WISH)
    desk.write(
        known.requester, "directives", EventOutcome.PERMITTED,
        persons=[known.view.person], shown=1,
    )  # fmt: skip
    return known.view.person, wish


def _laid_down(
    desk: Desk, requester: Requester, action: str, directive_id: str
) -> tuple[Known, Provision]:
    number = directive_id.removeprefix("d")
    known_form = number != directive_id and number.isascii() and number.isdigit()
    row = int(number) if known_form and len(number) < 16 else 0
    at = desk.clock()
    for person in sorted(desk.store.provision_persons(row)):
        known = desk.present(requester, action, person, frozenset(), at, missing=_NO_WISH)
        for one in known.view.provisions:
            if one.provision_id == row and one.directive is not None:
                return known, one
    desk.write(requester, action, EventOutcome.FAILED)
    raise NotFound(_NO_WISH)


def _may_know(known: Known, wish: Directive) -> bool:
    """Whether the requester may be told of a wish that they may write."""
    role = ROLES.get(known.requester.role)
    tells_all = known.requester.role == PERSON or (role and role.may(Power.ADMINISTER))
    return not wish.invisible or bool(tells_all)


def _may_direct(
    desk: Desk, known: Known, wish: Directive, at: Instant, *, lifts: bool = False
) -> Refusal | None:
    decision = desk.opener.decider.may_direct(
        known.requester, known.facts, wish, at,
        relationships=[tie for tie in known.relationships if not (lifts and tie.self_claimed)],
        directives=known.directives,
    )  # fmt: skip
    return decision if isinstance(decision, Refusal) else None


def _check_may_direct(
    desk: Desk,
    known: Known,
    action: str,
    wish: Directive,
    at: Instant,
    *,
    lifts: bool,
    missing: str = NOBODY,
) -> None:
    refusal = _may_direct(desk, known, wish, at, lifts=lifts)
    if refusal is None:
        return
    desk.write(
        known.requester, action, EventOutcome.REFUSED,
        persons=[known.view.person], policies=list(refusal.policies),
        escalate=refusal.escalate or None,
    )  # fmt: skip
    if refusal.tell is Tell.SILENT:
        raise NotFound(missing)
    raise NotPermitted(said(refusal, desk.settings))


def break_glass(
    desk: Desk,
    requester: Requester,
    person: PersonId,
    reason: str,
    text: str,
    second_person: str | None = None,
) -> BreakGlass:
    """Opens one person's record for a short time. Raises: NotFound; NotPermitted; InvalidValue."""
    at = desk.clock()
    # What is wrong with the words is said before anybody is looked for: it tells of nobody.
    _check_words(text)
    BreakGlass(reason, text, person, at, to_instant(datetime.fromisoformat(at) + _A_MINUTE))
    known = desk.present(requester, "break-glass", person, frozenset(), at)
    if requester.system:
        desk.write(known.requester, "break-glass", EventOutcome.REFUSED,
                   persons=[known.view.person], reason=reason)  # fmt: skip
        raise NotPermitted("a system by itself breaks no glass; a member of staff has to sign in")
    agrees = second_person if _agrees(known, second_person, at) else None
    given = desk.opener.decider.may_break_glass(
        known.requester, known.facts, reason, text, at,
        directives=known.directives, second_person=agrees,
    )  # fmt: skip
    if isinstance(given, Refusal):
        desk.write(
            known.requester, "break-glass", EventOutcome.REFUSED,
            persons=[known.view.person], reason=reason, policies=list(given.policies),
            escalate=given.escalate or None,
        )  # fmt: skip
        if given.tell is Tell.SILENT:
            raise NotFound(NOBODY)
        raise NotPermitted(said(given, desk.settings))
    claim = _claim(known, ClaimKind.BREAK_GLASS, reason, text, at, given.expires, agrees)
    event = desk.event(
        known.requester, "break-glass", EventOutcome.PERMITTED,
        persons=[known.view.person], reason=reason, expires=given.expires, alert=True,
        second_person=agrees, words=_digest(desk, text),
    )  # fmt: skip
    with durably(requester.call):
        desk.store.write_claim(claim, event)
    return given


def _agrees(known: Known, second: str | None, at: Instant) -> bool:
    """Whether the second person who is named agrees: another member of staff, whom nobody barred,
    who broke the same glass and holds it still. A name alone is no agreement."""
    if second is None or second == known.requester.staff_id or second in known.facts.barred_staff:
        return False
    return any(
        claim.kind is ClaimKind.BREAK_GLASS
        and claim.staff_id == second
        and claim.made_at <= at < claim.expires_at
        for claim in known.view.claims
    )


def _check_words(text: str) -> None:
    """Raises: InvalidValue."""
    if len(text) > MOST_WORDS:
        raise InvalidValue(f"a reason in words takes at most {MOST_WORDS} characters")


def _digest(desk: Desk, text: str) -> str:
    """A keyed digest of words: the same words can be seen to come again, and not be read."""
    return desk.store.sign(" ".join(text.casefold().split()).encode())[:32]


def claim_relationship(desk: Desk, requester: Requester, person: PersonId, text: str) -> Instant:
    """Claims to be caring for a person; returns until when that counts.

    Raises: NotFound; NotPermitted: the role claims no relationships; InvalidValue: too few words.
    """
    if len(text.strip()) < 10:
        raise InvalidValue("a claim needs a reason in words, of ten characters or more")
    _check_words(text)
    at = desk.clock()
    known = desk.present(requester, "claim", person, frozenset(), at)
    (trace,) = desk.opener.trace_decisions(known.requester, [known], frozenset(), at)
    role = ROLES.get(requester.role)
    refusal = trace.decision if isinstance(trace.decision, Refusal) else None
    hidden = refusal is not None and refusal.tell is Tell.SILENT
    may = role is not None and role.may(Power.CLAIM) and requester.active and not requester.system
    if refusal is not None or not may:
        escalate = refusal is not None and refusal.escalate
        desk.write(known.requester, "claim", EventOutcome.REFUSED,
                   persons=[known.view.person], escalate=escalate or None)  # fmt: skip
        if hidden:
            raise NotFound(NOBODY)
        raise NotPermitted("this role claims no relationships; break the glass in an emergency")
    until = to_instant(datetime.fromisoformat(at) + timedelta(days=CLAIM_DAYS))
    claim = _claim(known, ClaimKind.RELATIONSHIP, "care", text, at, until)
    event = desk.event(
        known.requester, "claim", EventOutcome.PERMITTED,
        persons=[known.view.person], expires=until, words=_digest(desk, text),
    )  # fmt: skip
    with durably(requester.call):
        desk.store.write_claim(claim, event)
    return until


def _claim(
    known: Known,
    kind: ClaimKind,
    reason: str,
    text: str,
    at: Instant,
    expires: Instant,
    second_person: str | None = None,
) -> Claim:
    asks = known.requester
    return Claim(
        kind=kind, person=known.view.person, staff_id=asks.staff_id,
        organisation=asks.organisation, role=asks.role, purpose=asks.purpose, team=asks.team,
        reason=reason, text=text, made_at=at, expires_at=expires, second_person=second_person,
    )  # fmt: skip
