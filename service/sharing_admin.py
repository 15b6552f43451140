"""Wishes, proxies, findings and declarations, from the command line: for the IG officer.

Rules:
- Permit first, event with the change, answer last.
- What is laid down counts from the next request on, and belongs to the records that make up the
  person now.
- An identity of before a protected change is named, and described, to named staff only.
- `check` tells what one member of staff would see of a person and why, class by class; it shows no
  item and no value.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from audit.events import AuditEvent, EventOutcome
from consent.commands import Action
from consent.shared import Decision, Obligation, Refusal
from schemas.dates import Clock, to_instant
from schemas.errors import NotFound, NotPermitted
from schemas.held import Competence, Proxy
from schemas.identifiers import OdsCode, PersonId
from schemas.sharing import AccessClass, Directive, Requester, SignedIn
from service.access import Actor, event, permit, record
from service.looking import present_person
from service.sharing_desk import Desk
from service.sharing_ports import Claim, Provision, SharingStore
from service.shielded import hidden_of, seen_by


def lay_down(
    desk: Desk,
    actor: Actor,
    asked: str,
    what: Directive | Proxy | Competence | str,
    reason: str,
) -> Provision:
    """Lays something down about a person: a wish, a proxy, a finding of competence, or (its staff
    id) a named investigator. Raises: NotPermitted; NotFound; InvalidValue."""
    action = Action.CONSENT_WRITE
    permit(actor, action, desk.store, desk.clock)
    store = seen_by(actor, desk.store)
    person = present_person(store, actor, action, asked, desk.clock)
    laid_down = Provision(
        made_by=f"account {actor.name}",
        made_at=desk.clock(),
        reason=reason,
        directive=what if isinstance(what, Directive) else None,
        proxy=what if isinstance(what, Proxy) else None,
        competence=what if isinstance(what, Competence) else None,
        investigator=what if isinstance(what, str) else None,
    )
    records = [held.record_id for held in store.person_records(person)]
    told = event(actor, action, desk.clock, persons=[person], what=_kind(laid_down))
    return desk.store.write_provision(laid_down, records, told)


def end_provision(desk: Desk, actor: Actor, number: int) -> None:
    """Ends what was laid down. Raises: NotPermitted; NotFound; InvalidValue: it has ended."""
    permit(actor, Action.CONSENT_WRITE, desk.store, desk.clock)
    persons = sorted(desk.store.provision_persons(number))
    told = event(actor, Action.CONSENT_WRITE, desk.clock, persons=persons, ended=number)
    desk.store.end_provision(number, desk.clock(), told)


def provisions(desk: Desk, actor: Actor, asked: str) -> list[dict[str, Any]]:
    """What was laid down about a person, and what feeds say of their wishes, as rows.

    Raises: NotPermitted; NotFound.
    """
    action = Action.CONSENT_LIST
    permit(actor, action, desk.store, desk.clock)
    store = seen_by(actor, desk.store)
    person = present_person(store, actor, action, asked, desk.clock)
    at = desk.clock()
    officer = _officer(actor, desk)
    known = desk.opener.known(officer, [person], frozenset(), at, reading=False)
    if person not in known:
        raise NotFound("no person of that id")
    one = known[person]
    rows = [_provision_row(provision) for provision in one.view.provisions]
    fed = [d for d in one.directives if d.directive_id.startswith("feed-")]
    rows += [
        {"number": None, "kind": d.kind.value, "effect": d.effect.value, "from": d.start,
         "until": d.end, "made_by": d.made_by, "in_force": True, "parted": False}
        for d in fed
    ]  # fmt: skip
    record(actor, action, desk.store, desk.clock, persons=[person], shown=len(rows))
    return rows


def _provision_row(one: Provision) -> dict[str, Any]:
    wish = one.directive
    return {
        "number": one.provision_id,
        "kind": _kind(one),
        "effect": wish.effect.value if wish else None,
        "from": wish.start if wish else one.made_at,
        "until": one.ended_at or (wish.end if wish else None),
        "made_by": one.made_by,
        "in_force": one.ended_at is None,
        "parted": one.parted,
    }


def _kind(one: Provision) -> str:
    if one.directive is not None:
        return one.directive.kind.value
    if one.proxy is not None:
        return "proxy"
    return "competence" if one.competence is not None else "investigator"


def _officer(actor: Actor, desk: Desk) -> Requester:
    """The account as a requester; whether it may is asked of the commands' grants."""
    member = desk.settings.organisations[0].code if desk.settings.organisations else OdsCode("NONE")
    return desk.opener.requester(
        SignedIn(
            issuer="command line", subject=actor.name, organisation=member,
            role=actor.role or "-", purpose=actor.purpose,
        )
    )  # fmt: skip


@dataclass(frozen=True)
class Asking:
    """Whose eyes a check looks through."""

    staff_id: str
    organisation: OdsCode
    role: str
    purpose: str


def check(desk: Desk, actor: Actor, asked: str, asking: Asking) -> dict[str, Any]:
    """What a member of staff would see of a person, and why. Raises: NotPermitted; NotFound."""
    action = Action.CONSENT_CHECK
    permit(actor, action, desk.store, desk.clock)
    store = seen_by(actor, desk.store)
    person = present_person(store, actor, action, asked, desk.clock)
    at = desk.clock()
    if asking.staff_id in desk.opener.identity_team and not actor.named:
        record(actor, action, desk.store, desk.clock, persons=[person],
               staff=asking.staff_id, outcome=EventOutcome.REFUSED)  # fmt: skip
        raise NotPermitted("what the named team sees is shown to the named team only")
    requester = desk.opener.requester(
        SignedIn(
            issuer="command line", subject=asking.staff_id, organisation=asking.organisation,
            role=asking.role, purpose=asking.purpose,
        )
    )  # fmt: skip
    known = desk.opener.known(requester, [person], None, at)
    record(actor, action, desk.store, desk.clock, persons=[person], staff=asking.staff_id)
    if person not in known:
        return {"person_id": person, "absent": True, "classes": []}
    one = known[person]
    (trace,) = desk.opener.trace_decisions(requester, [one], frozenset(), at)
    decision = desk.opener.read_decision(one, at)
    counts: dict[Any, int] = {}
    for class_id in one.class_of.values():
        counts[class_id] = counts.get(class_id, 0) + 1
    return {
        "person_id": person,
        "absent": decision.absent,
        "active": requester.active,
        "labels": list(decision.labels),
        "trace": _told(trace.decision),
        "opening": _told(decision.opening),
        "safeguarding_flags": _told(decision.flags),
        "obligations": sorted(decision.obligations),
        "classes": [
            {**_class(one.classes[key]), "items": counts.get(key, 0), **_told(decided)}
            for key, decided in sorted(decision.classes.items())
        ],
        "items": [
            {"item": key, **_told(decided)} for key, decided in sorted(decision.items.items())
        ],
    }


def _class(held: AccessClass) -> dict[str, Any]:
    return {
        "category": held.category.value,
        "source": held.source,
        "custodian": held.custodian,
        "labels": sorted(held.labels),
    }


def _told(decision: Decision) -> dict[str, Any]:
    told: dict[str, Any] = {
        "permitted": not isinstance(decision, Refusal),
        "policies": list(decision.policies),
        "reasons": list(decision.reasons),
    }
    if isinstance(decision, Refusal):
        told |= {"tell": decision.tell.value, "remedies": list(decision.remedies)}
    return told


ALARMS: dict[str, str] = {
    Obligation.ALARM_IG_OFFICER: "safeguarding flag without an agreement",
    Obligation.SAMPLE_EMERGENCY: "declared emergency, to be sampled",
}
"""Obligation of a look → what somebody must look into."""


# --- declarations -------------------------------------------------------------------------------


def claims(desk: Desk, actor: Actor, *, all_of_them: bool) -> list[dict[str, Any]]:
    """Break-glass and claimed relationships that wait for a follow-up, or all, as rows.

    Raises: NotPermitted.
    """
    permit(actor, Action.BREAK_GLASS_LIST, desk.store, desk.clock)
    found = desk.store.claims(unreviewed=not all_of_them)
    hidden = _hidden_from(desk, actor)
    persons = sorted({one.person for one in found} - hidden)
    record(actor, Action.BREAK_GLASS_LIST, desk.store, desk.clock, persons=persons)
    return [_claim_row(one, hidden) for one in found]


def _hidden_from(desk: Desk, actor: Actor) -> frozenset[PersonId]:
    """Identities that the actor must not know of."""
    return frozenset() if actor.named else hidden_of(desk.store).persons


def alarms(desk: Desk, actor: Actor, days: int) -> list[dict[str, Any]]:
    """What of the last days somebody must look into, newest first: attempts to be escalated,
    broken glass, safeguarding flags without an agreement, declared emergencies to be sampled.

    Raises: NotPermitted.
    """
    permit(actor, Action.BREAK_GLASS_LIST, desk.store, desk.clock)
    now = desk.clock()
    since = to_instant(datetime.fromisoformat(now) - timedelta(days=days))
    until = to_instant(datetime.fromisoformat(now) + timedelta(seconds=1))
    found = [(one, what) for one in desk.store.find_events(since, until) for what in _alarming(one)]
    hidden = _hidden_from(desk, actor)
    persons = sorted({person for one, _ in found for person in one.persons} - hidden)
    record(actor, Action.BREAK_GLASS_LIST, desk.store, desk.clock, persons=persons)
    return [
        {
            "at": one.at,
            "what": what,
            "action": one.action,
            "outcome": one.outcome.value,
            "staff_id": one.actor,
            "role": one.role,
            "organisation": one.organisation,
            "persons": [person for person in one.persons if person not in hidden],
        }
        for one, what in found
    ]


def _alarming(one: AuditEvent) -> list[str]:
    """What of an event somebody must look into."""
    told = one.details
    escalated = ["attempt to be escalated"] if told.get("escalate") else []
    broken = ["break-glass"] if told.get("alert") else []
    wanted = set(told.get("obligations") or ())
    return escalated + broken + [ALARMS[one] for one in sorted(ALARMS) if one in wanted]


def review_claim(
    store: SharingStore,
    actor: Actor,
    number: int,
    finding: str,
    clock: Clock,
    *,
    ends: bool = False,
) -> Claim:
    """Writes down what the follow-up of a claim found. ends: the claim counts no more, from the
    next request on. Raises: NotPermitted; NotFound."""
    action = Action.BREAK_GLASS_REVIEW
    permit(actor, action, store, clock)
    held = next((one for one in store.claims(unreviewed=False) if one.claim_id == number), None)
    if held is None:
        record(actor, action, store, clock, outcome=EventOutcome.FAILED)
        raise NotFound("no declaration of that number; `break-glass list --all` shows them")
    now = clock()
    until = min(held.expires_at, now) if ends else held.expires_at
    done = replace(held, reviewed_at=now, reviewed_by=actor.name, finding=finding, expires_at=until)
    told = event(actor, action, clock, persons=[held.person], claim=number, ends=ends)
    store.review_claim(done, told)
    return done


def _claim_row(one: Claim, hidden: Collection[PersonId]) -> dict[str, Any]:
    """A claim as JSON takes it. The words in which it was declared and followed up are the
    officer's to read, save of a person who is hidden from them: words can name somebody."""
    shown = one.person not in hidden
    return {
        "number": one.claim_id,
        "kind": one.kind.value,
        "person_id": one.person if shown else None,
        "staff_id": one.staff_id,
        "organisation": one.organisation,
        "role": one.role,
        "purpose": one.purpose,
        "reason": one.reason,
        "text": one.text if shown else None,
        "made_at": one.made_at,
        "expires_at": one.expires_at,
        "second_person": one.second_person,
        "reviewed_at": one.reviewed_at,
        "finding": one.finding if shown else None,
    }
