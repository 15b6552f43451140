"""From what the store holds of a person to what a decision rests on. No I/O.

Rules:
- Where sources disagree, all that they say is given: the decision takes the cautious side.
- What was laid down about records that lie in several persons by now still denies in each of them,
  and permits in none; a proxy is suspended until somebody decides.
- Wishes stand by source: a practice's later consent does not take another practice's dissent back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from consent import directives as wishes
from consent import flags, relationships
from consent.facts import is_about
from consent.terms import holds
from schemas.dates import Instant, PartialDate
from schemas.held import HeldDemographics, PersonFacts
from schemas.identifiers import OdsCode, SourceId
from schemas.items import CareItem, Heading
from schemas.sharing import (
    BreakGlass,
    Directive,
    DirectiveKind,
    Effect,
    Relationship,
    RelationshipKind,
    Requester,
)
from service.ports import HeldRecord
from service.sharing_ports import Claim, ClaimKind, PersonView, Provision, SealedItem

WISHES = frozenset({Heading.SHARING_PREFERENCE})
"""Headings whose items a trace is decided on."""
FACTS = WISHES | {Heading.SAFEGUARDING, *relationships.LASTING}
"""Headings whose items a read is decided on."""

OPTING_OUT = frozenset({DirectiveKind.OPT_OUT, DirectiveKind.GP_DISSENT})


class OpenItem(msgspec.Struct, frozen=True):
    """A care item unsealed, with what the store knows of it."""

    held: SealedItem
    item: CareItem
    custodian: OdsCode | None


@dataclass(frozen=True)
class Surroundings:
    """What is known beside the person's own records.

    Attributes:
        restricted_household: somebody restricted lives where the person does.
        former: the person is an identity of before a protected change; changed: of after one.
        identity_team: who may see across such a change.
    """

    restricted_household: bool = False
    former: bool = False
    changed: bool = False
    identity_team: frozenset[str] = frozenset()


def directives_of(view: PersonView, items: Iterable[OpenItem], at: Instant) -> list[Directive]:
    """The wishes that stand: what was laid down, and what feeds say."""
    found = [
        one.directive
        for one in standing(view.provisions, at)
        if one.directive is not None and not (one.parted and one.directive.effect is Effect.PERMIT)
    ]
    by_source: dict[SourceId, list[tuple[str, CareItem]]] = {}
    for one in items:
        if one.item.heading is Heading.SHARING_PREFERENCE:
            by_source.setdefault(one.held.source, []).append((one.held.name, one.item))
    for preferences in by_source.values():
        found += wishes.standing(preferences)
    return found


def opted_out(directives: Iterable[Directive], requester: Requester, at: Instant) -> bool:
    """Whether one of the wishes takes the person out of what the requester is shown."""
    return any(
        one.kind in OPTING_OUT and holds(one.start, one.end, at) and is_about(one, requester)
        for one in directives
    )


def standing(provisions: Iterable[Provision], at: Instant) -> Iterator[Provision]:
    """Those that have begun and have not ended."""
    for one in provisions:
        if one.made_at <= at and (one.ended_at is None or at < one.ended_at):
            yield one


def relationships_of(
    items: Iterable[OpenItem],
    demographics: Iterable[HeldDemographics],
    claims: Iterable[Claim],
    practices: Collection[OdsCode],
) -> list[Relationship]:
    """Who cares for the person: by their items, by a general practice's record of its patient, and
    by what staff claim."""
    found = [tie for one in items for tie in relationships.from_item(one.item, one.custodian)]
    found += [
        Relationship(
            kind=RelationshipKind.REGISTRATION,
            organisation=held.custodian,
            start=PartialDate(min(held.as_at, held.received_at)[:10]),
            basis=Heading.REGISTRATION,
        )
        for held in demographics
        if held.custodian in practices
        and held.custodian is not None
        and held.record.gp_practice is not None
        and held.record.death is None
    ]
    return found + [
        relationships.claimed(claim.organisation, claim.staff_id, claim.made_at)
        for claim in claims
        if claim.kind is ClaimKind.RELATIONSHIP
    ]


def facts_of(
    view: PersonView, items: Iterable[OpenItem], about: Surroundings, at: Instant
) -> PersonFacts:
    """What is known of the person beside their items."""
    records = [held.record for held in view.records]
    laid_down = list(standing(view.provisions, at))
    barring = [
        one.directive.targets.staff
        for one in laid_down
        if one.directive is not None
        and one.directive.kind is DirectiveKind.BAR_STAFF
        and holds(one.directive.start, one.directive.end, at)
    ]
    told = (flags.from_item(one.item, one.custodian) for one in items)
    return PersonFacts(
        person=view.person,
        restricted=any(record.restricted for record in records),
        restricted_household=about.restricted_household,
        birth_dates=frozenset(r.birth_date for r in records if r.birth_date),
        deceased_on=_death(view.records),
        competences=tuple(one.competence for one in laid_down if one.competence is not None),
        proxies=tuple(one.proxy for one in laid_down if one.proxy is not None),
        proxies_suspended=any(one.proxy is not None and one.parted for one in laid_down),
        barred_staff=frozenset[str]().union(*barring),
        investigators=frozenset(
            one.investigator for one in laid_down if one.investigator and not one.parted
        ),
        identity_team=about.identity_team,
        safeguarding_flags=tuple(flag for flag in told if flag is not None),
        protected_change=about.changed,
        former_identity=about.former,
    )


def _death(records: Sequence[HeldRecord]) -> PartialDate | None:
    """When the person died: the latest day that a source gives; where none does, the day on which
    one said so first."""
    deaths = [(held.record.death, held.as_at) for held in records if held.record.death]
    days = [death.on for death, _ in deaths if death.on]
    if days:
        return max(days)
    said = [PartialDate((death.recorded_at or as_at)[:10]) for death, as_at in deaths]
    return min(said, default=None)


def broken_glass(claims: Iterable[Claim], requester: Requester, at: Instant) -> BreakGlass | None:
    """What the requester declared about the person and still holds; the latest."""
    mine = [
        claim
        for claim in claims
        if claim.kind is ClaimKind.BREAK_GLASS
        and claim.staff_id == requester.staff_id
        and claim.organisation == requester.organisation
        and claim.role == requester.role
        and claim.purpose == requester.purpose
        and claim.made_at <= at < claim.expires_at
    ]
    if not mine:
        return None
    last = max(mine, key=lambda claim: claim.claim_id)
    return BreakGlass(
        last.reason, last.text, last.person, last.made_at, last.expires_at, last.second_person
    )


def in_household(
    records: Sequence[HeldRecord], places: Mapping[bytes, frozenset[int]], mine: frozenset[bytes]
) -> bool:
    """Whether a record that is not the person's own names one of the person's places."""
    own = {held.record_id for held in records}
    return any(places.get(place, frozenset()) - own for place in mine)
