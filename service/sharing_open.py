"""Opening persons for one request: who asks, what is known, what is decided.

Rules:
- Everything that a decision rests on is read when it is asked for: the staff directory, wishes,
  agreements, declarations. A role that ended or a wish that was stated a moment ago counts.
- Payloads are unsealed for facts and for what is permitted; never to be counted or sorted out.
- An identity of before a protected change, and what bears its number, is as if it were not there to
  everyone but the named team.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from consent.decide import Decider
from consent.facts import OWN_VIEW_ROLES
from consent.roles import ROLES, role_of_directory
from consent.shared import Locator, ReadDecision, TraceDecision
from consent.terms import Terms, holds
from schemas.dates import Clock, Instant
from schemas.held import FeedState as SourceState
from schemas.held import HeldDemographics, HeldItem, PersonFacts, SourceView
from schemas.identifiers import LocalId, OdsCode, PersonId, SourceId
from schemas.items import CareItem, Heading
from schemas.records import StaffEntry
from schemas.settings import Settings
from schemas.sharing import (
    AccessClass,
    Agreement,
    Category,
    ClassId,
    Directive,
    Label,
    Relationship,
    Requester,
    SignedIn,
)
from service.ports import HeldRecord
from service.sharing_facts import (
    FACTS,
    WISHES,
    OpenItem,
    Surroundings,
    broken_glass,
    directives_of,
    facts_of,
    in_household,
    opted_out,
    relationships_of,
)
from service.sharing_ports import PersonView, SealedItem, SharingStore
from service.sharing_state import Identities, SharingState, places_of

PERSON, PROXY = "person", "proxy"
"""Roles of somebody who looks at their own record, and of one who acts for another."""
PRACTICE = "general_practice"
"""Kind of organisation whose items a Type 1 opt-out is about."""


@dataclass(frozen=True)
class Known:
    """A present person with all that a decision rests on.

    Attributes:
        requester: with what this person makes of them: own household, a broken glass.
        open: the items that facts were read from, by row id.
        classes: access classes of what is held; `class_of`: item row id → its class.
        sources, agreements: those of the partnership, as of the same moment.
    """

    view: PersonView
    requester: Requester
    facts: PersonFacts
    open: Mapping[int, OpenItem]
    directives: Sequence[Directive]
    relationships: Sequence[Relationship]
    demographics: Sequence[HeldDemographics]
    classes: Mapping[ClassId, AccessClass]
    class_of: Mapping[int, ClassId]
    sources: Sequence[SourceView]
    agreements: Sequence[Agreement]


class Opener:
    """Opens persons. One per process; thread-safe."""

    def __init__(self, store: SharingStore, settings: Settings, clock: Clock) -> None:
        self.store, self.settings, self.clock = store, settings, clock
        self.state = SharingState(store, settings)
        self.identity_team = frozenset(
            {*settings.sharing.identity_team, *settings.review.named_staff}
        )
        self.terms = Terms(
            practices=frozenset(o.code for o in settings.organisations if o.kind == PRACTICE),
            break_glass_minutes=settings.sharing.break_glass_minutes,
            care_days_after_death=settings.sharing.care_days_after_death,
            flag_months=settings.sharing.flag_months,
        )
        self.decider = Decider(self.terms)

    # --- who asks ---------------------------------------------------------------------------
    def requester(self, signed_in: SignedIn) -> Requester:
        """Who asks, looked up in the staff directory where the settings name one. A person signs in
        as their own person's id."""
        role = role_of_directory(signed_in.role) or signed_in.role
        own_view = role in OWN_VIEW_ROLES
        entry = None if signed_in.system or own_view else self._entry(signed_in.subject)
        return Requester(
            staff_id=signed_in.subject,
            organisation=signed_in.organisation,
            role=role,
            purpose=signed_in.purpose,
            active=self._active(signed_in, role, entry),
            team=(entry.team if entry else None) or signed_in.team,
            issuer=signed_in.issuer,
            scopes=signed_in.scopes,
            system=signed_in.system,
            emergency_declared=signed_in.emergency_declared,
            subject=PersonId(signed_in.subject) if role == PERSON else None,
        )

    def _entry(self, staff_id: str) -> StaffEntry | None:
        directory = self.settings.sharing.staff_directory
        return None if directory is None else self.store.staff_entry(directory, staff_id)

    def _active(self, signed_in: SignedIn, role: str, entry: StaffEntry | None) -> bool:
        directory = self.settings.sharing.staff_directory
        if signed_in.system or role in OWN_VIEW_ROLES or directory is None:
            return role in ROLES
        return (
            entry is not None
            and at_work(entry, self.clock())
            and entry.organisation == signed_in.organisation
            and role_of_directory(entry.role) == role
        )

    # --- what is known ----------------------------------------------------------------------
    def known(
        self,
        requester: Requester,
        persons: Collection[PersonId],
        headings: Collection[Heading] | None,
        at: Instant,
        *,
        reading: bool = True,
    ) -> dict[PersonId, Known]:
        """What is known of those of the persons that are present, and that the requester may know
        of at all. reading: with what a read is decided on, else what a trace is."""
        needed = FACTS if reading else WISHES
        counters, views = self.store.views_now(
            sorted(set(persons)), None if headings is None else needed | set(headings), at
        )
        identities = self.state.identities(counters)
        if not self._named(requester):
            views = {
                person: shown
                for person, view in views.items()
                if person not in identities.hidden.persons and (shown := _shown(view, identities))
            }
        places = self.state.restricted_places(counters)
        around = _Around(
            requester=requester,
            own=self._own(requester),
            identities=identities,
            places=places,
            sources=self.state.sources(counters, at),
            agreements=self.state.agreements(counters),
            at=at,
        )
        return {person: self._known(view, around, needed) for person, view in views.items()}

    def hidden_from(self, requester: Requester) -> frozenset[PersonId]:
        """Identities that the requester must not know of."""
        if self._named(requester):
            return frozenset()
        return self.state.identities(self.store.counters()).hidden.persons

    def _named(self, requester: Requester) -> bool:
        return requester.staff_id in self.identity_team

    def _known(self, view: PersonView, around: _Around, needed: Collection[Heading]) -> Known:
        mine = places_of(held.record for held in view.records)
        items = [one for one in view.items if one.heading in needed]
        opened = self.opened(items)
        about = Surroundings(
            restricted_household=in_household(view.records, around.places, mine),
            former=view.person in around.identities.hidden.persons,
            changed=any(view.person in one.new_persons for one in around.identities.changes),
            identity_team=self.identity_team,
        )
        own = around.own
        is_own = bool(own.records & {h.record_id for h in view.records} or own.places & mine)
        facts = facts_of(view, opened.values(), about, around.at)
        acts_for = any(one.proxy_id == around.requester.staff_id for one in facts.proxies)
        asks = replace(
            around.requester,
            subject=view.person
            if around.requester.role == PROXY and acts_for
            else around.requester.subject,
            own_persons=frozenset({view.person}) if is_own else frozenset(),
            break_glass=broken_glass(view.claims, around.requester, around.at),
        )
        demographics, classes = self._demographics(view, around)
        class_of = self._class_items(view.items, around.identities, classes)
        return Known(
            view=view,
            requester=asks,
            facts=facts,
            open=opened,
            directives=directives_of(view, opened.values(), around.at),
            relationships=relationships_of(
                opened.values(), demographics, view.claims, self.terms.practices
            ),
            demographics=demographics,
            classes=classes,
            class_of=class_of,
            sources=around.sources,
            agreements=around.agreements,
        )

    def opened(self, items: Sequence[SealedItem]) -> dict[int, OpenItem]:
        """The items unsealed, by row id."""
        contents = self.store.open_items(items)
        return {
            held.care_item_id: OpenItem(held, item, self._custodian(held.source, item))
            for held, item in zip(items, contents, strict=True)
        }

    def _custodian(self, source: SourceId, item: CareItem) -> OdsCode | None:
        return item.organisation or self.state.custodian_of.get(source)

    def _own(self, requester: Requester) -> _Own:
        """The requester's own records, and where they live."""
        names = self.settings.sharing.own_records.get(requester.staff_id, ())
        held: list[HeldRecord] = []
        for name in names:
            source, _, local_id = name.partition("/")
            found = self.store.record(SourceId(source), LocalId(local_id))
            held += [found] if found else []
            if found and found.person_id:
                held += self.store.person_records(found.person_id)
        return _Own(frozenset(one.record_id for one in held), places_of(one.record for one in held))

    # --- classes ----------------------------------------------------------------------------
    def _demographics(
        self, view: PersonView, around: _Around
    ) -> tuple[list[HeldDemographics], dict[ClassId, AccessClass]]:
        """The person's records, and classes of their own for who and where: numbers below 0."""
        stale = _stale(around.sources)
        numbers: dict[AccessClass, ClassId] = {}
        held = []
        for one in view.records:
            custodian = one.record.organisation or self.state.custodian_of.get(one.source)
            former = one.record_id in around.identities.hidden.records
            labels = frozenset({Label.FORMER_IDENTITY}) if former else frozenset[Label]()
            ids = []
            for category in (Category.DEMOGRAPHICS, Category.WHEREABOUTS):
                told = self.state.labelled(AccessClass(category, one.source, custodian, labels))
                ids.append(numbers.setdefault(told, ClassId(-1 - len(numbers))))
            held.append(
                HeldDemographics(
                    record=one.record,
                    source=one.source,
                    custodian=custodian,
                    demographics=ids[0],
                    whereabouts=ids[1],
                    as_at=one.as_at,
                    received_at=view.received[one.record_id],
                    stale=one.source in stale,
                )
            )
        return held, {class_id: told for told, class_id in numbers.items()}

    def _class_items(
        self,
        items: Iterable[SealedItem],
        identities: Identities,
        classes: dict[ClassId, AccessClass],
    ) -> dict[int, ClassId]:
        """Item row id → its class; the classes are added. An item of a former identity has one
        that says so."""
        held = list(items)
        plain = self.state.classes({one.class_id for one in held})
        classes |= plain
        former: dict[ClassId, ClassId] = {}
        class_of = {}
        for one in held:
            class_id = one.class_id
            if one.record_id in identities.hidden.records:
                own = former.setdefault(class_id, ClassId(-1_000_000 - len(former)))
                told = plain[class_id]
                classes[own] = replace(told, labels=told.labels | {Label.FORMER_IDENTITY})
                class_id = own
            class_of[one.care_item_id] = class_id
        return class_of

    # --- deciding ---------------------------------------------------------------------------
    def read_decision(self, known: Known, at: Instant) -> ReadDecision:
        """What of a person may be read."""
        return self.decider.may_read(
            known.requester,
            known.facts,
            known.relationships,
            known.agreements,
            known.directives,
            known.classes,
            at,
            sources=known.sources,
        )

    def trace_decisions(
        self,
        requester: Requester,
        known: Sequence[Known],
        locators: frozenset[Locator],
        at: Instant,
    ) -> tuple[TraceDecision, ...]:
        """Who of the persons may be among the answers to a trace."""
        own = frozenset[PersonId]().union(*(one.requester.own_persons for one in known))
        asks = replace(requester, own_persons=own)
        decided: dict[PersonId, TraceDecision] = {}
        for glass in {one.requester.break_glass for one in known}:
            facts = [
                replace(one.facts, opted_out=opted_out(one.directives, requester, at))
                for one in known
                if one.requester.break_glass == glass
            ]
            through = self.decider.may_trace(replace(asks, break_glass=glass), locators, facts, at)
            decided |= {one.person: one for one in through}
        return tuple(decided[one.view.person] for one in known)

    def held_items(self, known: Known, wanted: Sequence[SealedItem]) -> list[HeldItem]:
        """Items as redaction takes them; those not open yet are unsealed."""
        missing = [one for one in wanted if one.care_item_id not in known.open]
        opened = {**known.open, **self.opened(missing)}
        stale = _stale(known.sources)
        return [
            HeldItem(
                item_key=one.name,
                item=opened[one.care_item_id].item,
                source=one.source,
                custodian=opened[one.care_item_id].custodian,
                class_id=known.class_of[one.care_item_id],
                received_at=one.received_at,
                stale=one.source in stale,
            )
            for one in wanted
        ]


def _stale(sources: Iterable[SourceView]) -> frozenset[SourceId]:
    """The sources that have sent nothing for longer than they should, or nothing that was read."""
    late = SourceState.STALE, SourceState.FAILED
    return frozenset(one.source for one in sources if one.state in late)


@dataclass(frozen=True)
class _Around:
    """What counts for all persons of one request."""

    requester: Requester
    own: _Own
    identities: Identities
    places: Mapping[bytes, frozenset[int]]
    sources: Sequence[SourceView]
    agreements: Sequence[Agreement]
    at: Instant


@dataclass(frozen=True)
class _Own:
    """A requester's own records, by row id, and the places where they live."""

    records: frozenset[int]
    places: frozenset[bytes]


def at_work(entry: StaffEntry, at: Instant) -> bool:
    """Whether a member of staff has begun and has not left, by that day."""
    return holds(entry.start or "", entry.end, at)


def _shown(view: PersonView, identities: Identities) -> PersonView | None:
    """The person without what is hidden; None where nothing is left."""
    hidden = identities.hidden.records
    if not hidden & {held.record_id for held in view.records}:
        return view
    records = [held for held in view.records if held.record_id not in hidden]
    items = [one for one in view.items if one.record_id not in hidden]
    return replace(view, records=records, items=items) if records else None
