"""From what is known to what policies ask: relationships in date, agreements in force, wishes that
touch this requester and this class. Nothing is decided here; the policies say what it means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from consent.labels import LEGALLY_BARRED
from consent.policy_files import Attribute
from consent.roles import ROLES
from consent.same import Same
from consent.scopes import categories_in
from consent.terms import Terms, flag_stands, holds, long_dead, proxy_stands, surely
from schemas.dates import Instant
from schemas.held import PersonFacts
from schemas.identifiers import OdsCode
from schemas.sharing import (
    Agreement,
    Category,
    Directive,
    DirectiveKind,
    Effect,
    Label,
    Relationship,
    Requester,
)

OWN_VIEW_ROLES = frozenset({"person", "proxy"})
NO_GRANT = "none"
KINDS: dict[Category, str] = {
    Category.WHEREABOUTS: "whereabouts",
    Category.SAFEGUARDING: "safeguarding",
    Category.DOCUMENT: "document",
    Category.APPOINTMENT: "gives a place away",
    Category.REGISTRATION: "gives a place away",
    Category.CASELOAD: "gives a place away",
    Category.PROFESSIONAL_CONTACT: "gives a place away",
    Category.PERSONAL_CONTACT: "gives a place away",
    Category.REFERRAL: "gives a place away",
}
"""Category → what policies call its kind; `other` for the rest."""


@dataclass(frozen=True)
class Situation:
    """All that a decision about one person's record rests on, at one moment.

    Attributes:
        wishes: directives in force that are about this requester.
        grants: category → what the table of roles grants, for this purpose; scope: categories that
            the token is for; agreed: custodian and category that an agreement in force covers.
    """

    requester: Requester
    facts: PersonFacts
    relationships: tuple[Relationship, ...]
    wishes: tuple[Directive, ...]
    terms: Terms
    at: Instant
    by_place: bool = False
    exempt: bool = False
    second_person: str | None = None
    grants: Mapping[Category, str] = field(default_factory=dict)
    scope: frozenset[Category] = frozenset()
    agreed: frozenset[tuple[OdsCode, Category]] = frozenset()


def grants_of(role: str, purpose: str) -> dict[Category, str]:
    """What the table of roles grants a role for a purpose, by category; nothing for other roles
    and purposes."""
    row = ROLES.get(role)
    if row is None or purpose not in row.purposes:
        return {}
    return (
        dict.fromkeys(row.notices_for(purpose), "presence")
        | dict.fromkeys(row.attends, "attendance")
        | dict.fromkeys(row.reads_for(purpose), "in full")
    )


def situation(
    requester: Requester,
    facts: PersonFacts,
    terms: Terms,
    at: Instant,
    *,
    relationships: Iterable[Relationship] = (),
    agreements: Iterable[Agreement] = (),
    directives: Iterable[Directive] = (),
    by_place: bool = False,
    exempt: bool = False,
    second_person: str | None = None,
) -> Situation:
    """What counts now, of all that is known."""
    ties = tuple(one for one in relationships if tied(one, requester, at))
    wishes = tuple(d for d in directives if holds(d.start, d.end, at) and is_about(d, requester))
    return Situation(
        requester, facts, ties, wishes, terms, at, by_place, exempt, second_person,
        grants=grants_of(requester.role, requester.purpose),
        scope=categories_in(requester.scopes),
        agreed=_agreed(Same(agreements), requester.organisation, requester.purpose, at[:10])
        if isinstance(agreements, tuple)
        else _in_force_for(agreements, requester.organisation, requester.purpose, at),
    )  # fmt: skip


@lru_cache(maxsize=512)
def _agreed(
    agreements: Same[tuple[Agreement, ...]], receiver: OdsCode, purpose: str, day: str
) -> frozenset[tuple[OdsCode, Category]]:
    """As `_in_force_for`, of one reading of the register on one day: agreements begin and end with
    days."""
    return _in_force_for(agreements.held, receiver, purpose, Instant(f"{day}T00:00:00Z"))


def _in_force_for(
    agreements: Iterable[Agreement], receiver: OdsCode, purpose: str, at: Instant
) -> frozenset[tuple[OdsCode, Category]]:
    """Custodian and category of what the receiver may see for the purpose by an agreement."""
    mine = (one for one in agreements if one.receiver == receiver)
    return frozenset(
        (one.provider, category)
        for one in in_force(mine, at)
        if purpose in one.purposes
        for category in one.categories
    )


def in_force(agreements: Iterable[Agreement], at: Instant) -> tuple[Agreement, ...]:
    """Signed by both and in date; of each agreement only the highest version that has begun."""
    newest: dict[str, Agreement] = {}
    for one in agreements:
        signed = one.signed_by == {one.provider, one.receiver}
        if not signed or not one.start <= at:
            continue
        held = newest.get(one.agreement_id)
        if held is None or held.version < one.version:
            newest[one.agreement_id] = one
    return tuple(one for one in newest.values() if holds(one.start, one.end, at))


def tied(one: Relationship, requester: Requester, at: Instant) -> bool:
    """Whether a relationship is the requester's, and holds now."""
    return (
        one.organisation == requester.organisation
        and (one.team is None or one.team == requester.team)
        and (one.staff_id is None or one.staff_id == requester.staff_id)
        and holds(one.start, one.end, at)
    )


def is_about(directive: Directive, requester: Requester) -> bool:
    """Whether a wish is about this requester. That of barring is told by its staff alone."""
    targets = directive.targets
    if directive.kind is DirectiveKind.BAR_STAFF:
        return requester.staff_id in targets.staff
    return (
        (not targets.organisations or requester.organisation in targets.organisations)
        and (not targets.roles or requester.role in targets.roles)
        and (not targets.staff or requester.staff_id in targets.staff)
        and (not targets.purposes or requester.purpose in targets.purposes)
    )


def _covers(directive: Directive, category: Category, labels: frozenset[Label]) -> bool:
    targets = directive.targets
    return (not targets.categories or category in targets.categories) and (
        not targets.labels or bool(labels & targets.labels)
    )


def principal(requester: Requester) -> dict[str, Attribute]:
    """What the policies ask about the requester."""
    role = ROLES.get(requester.role)
    has_purpose = role is not None and requester.purpose in role.purposes
    return {
        "role": requester.role,
        "purpose": requester.purpose,
        "in_directory": requester.active,
        "has_purpose": has_purpose,
        "staff": requester.role not in OWN_VIEW_ROLES,
        "finds_people": Category.DEMOGRAPHICS in categories_in(requester.scopes),
        "opens": role is not None and has_purpose and bool(role.reads_for(requester.purpose)),
        "own_labels": _texts(role.own_labels if role else ()),
        "powers": _texts(role.powers if role else ()),
    }


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(values))


Aspect = tuple[Category, OdsCode | None, frozenset[Label]]
"""What policy can tell of an access class: its category, custodian and labels."""


def aspect_key(now: Situation) -> Callable[[Aspect], tuple[object, ...]]:
    """A quick test of which aspects have the same attributes: equal keys, equal attributes."""
    by_category = {
        category: (
            now.grants.get(category, NO_GRANT),
            category in now.scope,
            KINDS.get(category, "other"),
            any(category in one.about for one in now.facts.competences),
            tuple(
                number
                for number, one in enumerate(now.wishes)
                if not one.targets.categories or category in one.targets.categories
            ),
        )
        for category in Category
    }
    ours, practices, agreed = now.requester.organisation, now.terms.practices, now.agreed

    def key(aspect: Aspect) -> tuple[object, ...]:
        category, custodian, labels = aspect
        return (
            by_category[category], custodian == ours, custodian in practices,
            (custodian, category) in agreed, labels,
        )  # fmt: skip

    return key


def attributes_of(
    category: Category, custodian: OdsCode | None, labels: frozenset[Label], now: Situation
) -> dict[str, Attribute]:
    """What the policies ask about an access class, and no more."""
    barred = labels & LEGALLY_BARRED
    wishes = [d for d in now.wishes if _covers(d, category, labels)]
    seals = [d for d in wishes if d.kind is DirectiveKind.SEAL and d.item_key is None]
    parties = [d for d in wishes if d.kind is DirectiveKind.PARTY]
    denials = [d for d in parties if d.effect is Effect.DENY]
    allowed: set[Label] = set()
    for one in wishes:
        if one.kind is DirectiveKind.PERMISSION:
            allowed |= one.targets.labels
    return {
        "grant": now.grants.get(category, NO_GRANT),
        "in_scope": category in now.scope,
        "kind": KINDS.get(category, "other"),
        "labels": _texts(labels),
        "barred": _texts(barred),
        "own": custodian == now.requester.organisation,
        "agreed": (custodian, category) in now.agreed,
        "from_practice": custodian in now.terms.practices,
        "sealed": any(not d.invisible for d in seals),
        "sealed_invisibly": any(d.invisible for d in seals),
        "denied": any(not d.invisible for d in denials),
        "denied_invisibly": any(d.invisible for d in denials),
        "permitted_labels": bool(barred) and barred <= allowed,
        "consented": any(d.effect is Effect.PERMIT for d in parties),
        "child_decides": any(category in one.about for one in now.facts.competences),
    }


def sealed_item(seals: Sequence[Directive]) -> dict[str, Attribute]:
    """What the policies ask about a single item that seals are about, of whatever class."""
    return {
        "grant": NO_GRANT,
        "in_scope": True,
        "kind": "other",
        "labels": (),
        "barred": (),
        "own": False,
        "agreed": False,
        "from_practice": False,
        "sealed": any(not d.invisible for d in seals),
        "sealed_invisibly": any(d.invisible for d in seals),
        "denied": False,
        "denied_invisibly": False,
        "permitted_labels": False,
        "consented": True,
        "child_decides": False,
    }


def context(now: Situation) -> dict[str, Attribute]:
    """What the policies ask about the person and the requester together."""
    requester, facts, terms, at = now.requester, now.facts, now.terms, now.at
    kinds = {directive.kind for directive in now.wishes}
    return {
        "related": any(not one.self_claimed for one in now.relationships),
        "claimed": any(one.self_claimed for one in now.relationships),
        "declared": requester.emergency_declared,
        "glass": _glass(now),
        "second_person": _second_person(now),
        "consented": any(
            one.kind is DirectiveKind.PARTY and one.effect is Effect.PERMIT for one in now.wishes
        ),
        "own_person": facts.person in requester.own_persons,
        "barred": requester.staff_id in facts.barred_staff or DirectiveKind.BAR_STAFF in kinds,
        "investigator": requester.staff_id in facts.investigators,
        "identity_team": requester.staff_id in facts.identity_team,
        "restricted": facts.restricted or facts.restricted_household,
        "opted_out": opted_out(now),
        "former_identity": facts.former_identity,
        "protected_change": facts.protected_change,
        "dead": facts.deceased_on is not None,
        "long_dead": long_dead(facts, terms, at),
        "subject": requester.subject is not None and requester.subject == facts.person,
        "proxy_stands": proxy_stands(requester.staff_id, facts, terms, at),
        "of_age_for_own_view": surely(facts, terms.own_view_age, at),
        "of_age_for_national_opt_out": surely(facts, terms.national_opt_out_age, at),
        "competent": bool(facts.competences),
        "flag_agreed": _flag_agreed(now),
        "by_place": now.by_place,
        "national_opt_out": DirectiveKind.NATIONAL_DATA_OPT_OUT in kinds,
        "type_1": DirectiveKind.TYPE_1 in kinds,
        "exempt": now.exempt,
    }


def opted_out(now: Situation) -> bool:
    """Whether the person is out of the shared record, by what is said or by a wish in force."""
    kinds = {directive.kind for directive in now.wishes}
    return now.facts.opted_out or bool(kinds & {DirectiveKind.OPT_OUT, DirectiveKind.GP_DISSENT})


def _glass(now: Situation) -> bool:
    broken = now.requester.break_glass
    return (
        broken is not None
        and broken.person == now.facts.person
        and broken.at <= now.at < broken.expires
    )


def _second_person(now: Situation) -> bool:
    broken = now.requester.break_glass
    second = now.second_person or (broken.second_person if broken else None)
    return second is not None and second != now.requester.staff_id


def _flag_agreed(now: Situation) -> bool:
    standing = [f for f in now.facts.safeguarding_flags if flag_stands(f, now.terms, now.at)]
    return all(
        flag.custodian == now.requester.organisation
        or (flag.custodian, Category.SAFEGUARDING) in now.agreed
        for flag in standing
    )
