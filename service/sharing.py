"""Sharing: who may see what of whom, asked for by the API and by commands. One facade.

Rules:
- Decide, write the event down durably, answer: in this order, whatever the answer is.
- One event a request; it names every person that was matched or opened, shown or not.
- What is refused silently is answered as what is not there, by the same words.
- Totals, pages and scores are of what may be seen: they are worked out after the decision.
- What must be done because of what was shown (a check, an alert, an escalation) stands in the
  event; of escalations nothing reaches the asker.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from audit.events import AuditEvent, EventOutcome
from consent.redact import redact_read
from consent.shared import LOCATING, Locator, Refusal, SharedRecord, Tell
from schemas.dates import Clock, Instant
from schemas.errors import InvalidSearch, InvalidValue, NotFound, NotPermitted
from schemas.identifiers import LocalId, OdsCode, PersonId, SourceId, parse_nhs_number
from schemas.items import Heading
from schemas.records import StaffEntry
from schemas.settings import Settings
from schemas.sharing import BreakGlass, Call, Directive, Requester, SignedIn
from service import sharing_log
from service import sharing_wishes as wishes
from service.audit_ports import AuditQuery, Numbered
from service.exact_search import find_exactly
from service.matching import (
    Asking,
    FoundBySearch,
    find_by_search,
    find_matches,
    most_shown,
    question,
)
from service.sharing_asked import (
    LOCATORS,
    EventPage,
    ItemPage,
    Matched,
    Matches,
    PersonQuery,
)
from service.sharing_desk import NOBODY, Desk, called, said
from service.sharing_gate import TraceGate
from service.sharing_items import Wanted, may_be_seen, pick, refusal_of, tellable
from service.sharing_open import at_work
from service.sharing_ports import SharingStore
from service.sharing_told import told_of_search
from service.warm_index import WarmIndex, open_index

__all__ = ["EventPage", "ItemPage", "Matched", "Matches", "PersonQuery", "Sharing"]

NO_ITEM = "no such item, or none that may be known of"
NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
PERSON_SYSTEM = "urn:commonthread:person"
SOURCE_SYSTEM = "urn:commonthread:source:"
"""Systems of the identifiers by which a person is found."""
T = TypeVar("T")


class Sharing(Desk):
    """See the module. One per process; thread-safe.

    Args: `model_file`: the model that the warm index scores with.
    """

    def __init__(
        self, store: SharingStore, settings: Settings, model_file: Path, clock: Clock
    ) -> None:
        super().__init__(store, settings, clock)
        self._model_file = model_file
        self._index: WarmIndex | None = None
        self._opening = threading.Lock()

    # --- who asks ---------------------------------------------------------------------------
    def requester(self, signed_in: SignedIn) -> Requester:
        """Who asks, looked up in the staff directory."""
        return self.opener.requester(signed_in)

    def staff(
        self, *, role: str | None = None, organisation: OdsCode | None = None
    ) -> Sequence[StaffEntry]:
        """The staff directory's entries of those who are at work, by staff id."""
        directory = self.settings.sharing.staff_directory
        entries = () if directory is None else self.store.staff_entries(directory)
        return [
            entry
            for entry in entries
            if at_work(entry, self.clock())
            and role in (None, entry.role)
            and organisation in (None, entry.organisation)
        ]

    def ready(self) -> None:
        """Opens what a first request would wait for. Raises: StoreError; NotFound; InputError."""
        self.store.counters()
        self.index()

    def sign(self, document: bytes) -> str:
        """The store's keyed digest of a document, hex."""
        return self.store.sign(document)

    def index(self) -> WarmIndex:
        """The warm index of the run that is published now. Raises: as `open_index`."""
        held = self._index
        if held is not None and held.is_fresh(self.store):
            return held
        # One thread opens what all wait for: each would hold a whole index.
        with self.turns.aside(), self._opening:
            held = self._index
            if held is None or not held.is_fresh(self.store):
                held = self._index = open_index(self.store, self.settings, self._model_file)
            return held

    def refused(
        self,
        requester: Requester,
        action: str,
        reason: str,
        outcome: EventOutcome = EventOutcome.REFUSED,
    ) -> None:
        """Writes down a request that came to its end before it came here. reason: a code."""
        self.write(requester, action, outcome, reason=reason)

    def turned_away(
        self,
        issuer: str,
        subject: str,
        action: str,
        reason: str,
        call: Call,
        outcome: EventOutcome = EventOutcome.REFUSED,
    ) -> None:
        """Writes down that somebody asked whose sign-in does not say in which role and for what
        purpose, or does not count (issuer and subject `-`). reason: a code."""
        told = {"issuer": issuer, "reason": reason} | called(call)
        self.append(
            AuditEvent(
                at=self.clock(), action=action, outcome=outcome, actor=subject, role="-",
                purpose="-", details={name: value for name, value in told.items() if value},
            ),
            call,
        )  # fmt: skip

    # --- tracing ----------------------------------------------------------------------------
    def search(self, requester: Requester, query: PersonQuery) -> Matches:
        """The persons who meet all parameters. Raises: NotPermitted; InvalidSearch."""
        locators = query.locators()
        self._may_search(requester, "search", locators)
        gate = TraceGate(self, requester, locators)
        found = self._asked(requester, "search", lambda: self._found(gate, requester, query))
        shown = {one.person_id: (one.score, one.grade) for one in found.result.matches}
        self._traced(gate, requester, "search", found.persons, len(shown), locators)
        return Matches(gate.matched(shown), too_many=found.result.issue is not None)

    def _found(self, gate: TraceGate, requester: Requester, query: PersonQuery) -> FoundBySearch:
        most = most_shown(requester.system, query.max_results)
        if not query.fuzzy:
            return find_exactly(gate, self.index(), query, most)
        fields = dict(query.fields)
        for name, (first, last) in (("birth_date", query.born), ("death", query.died)):
            if first != last:
                raise InvalidSearch("INVALID_SEARCH_DATA", f"{name}: a fuzzy search takes one day")
            if first is not None:
                fields[name] = first
        asked = Asking(fuzzy=True, exact=query.exact, history=query.history, most=most)
        return find_by_search(gate, self.index(), fields, asked)

    def match(
        self,
        requester: Requester,
        fields: Mapping[str, Any],
        *,
        only_certain: bool = False,
        count: int | None = None,
    ) -> Matches:
        """The persons who may be the one described, the likeliest first. What says where a
        restricted person is is no evidence. Raises: NotPermitted; InvalidSearch."""
        locators = frozenset(LOCATORS[name] for name in fields if name in LOCATORS)
        self._may_search(requester, "match", locators)
        row = self._asked(requester, "match", lambda: _described(fields, count))
        gate = TraceGate(self, requester, locators - LOCATING)
        found = find_matches(
            gate, self.index(), row, only_certain=only_certain, count=count, hides=True
        )
        shown = {one.person_id: (one.score, one.grade) for one in found.result.matches}
        self._traced(gate, requester, "match", found.persons, len(shown), locators)
        return Matches(gate.matched(shown), cautions=found.result.cautions)

    def find_by_identifier(
        self, requester: Requester, system: str, value: str
    ) -> tuple[SharedRecord, ...]:
        """The persons that an identifier names: an NHS number, a person's own id, or a source's
        local id (`SOURCE_SYSTEM` and the source). Raises: NotPermitted; InvalidSearch."""
        locators = frozenset({Locator.NUMBER})
        self._may_search(requester, "identify", locators)
        named = self._asked(requester, "identify", lambda: self._identified(system, value))
        gate = TraceGate(self, requester, locators)
        through = gate([person for person, _ in named])
        found = {
            person: (1.0, None)
            for person, record_id in named
            if person in through and (record_id is None or gate.tells(person, record_id))
        }
        self._traced(gate, requester, "identify", [*found, *gate.refused], len(found), locators)
        return tuple(one.record for one in gate.matched(found))

    def _traced(
        self,
        gate: TraceGate,
        requester: Requester,
        action: str,
        persons: Sequence[PersonId],
        shown: int,
        locators: frozenset[Locator],
    ) -> None:
        """Writes a trace down: with whom it found, and whom it must not find and somebody has to
        hear of."""
        named = frozenset(persons) | gate.escalated
        escalate = True if gate.escalated else None
        self.write(
            requester, action, EventOutcome.PERMITTED,
            persons=sorted(named), shown=shown, escalate=escalate, **told_of_search(locators),
        )  # fmt: skip

    def _identified(self, system: str, value: str) -> list[tuple[PersonId, int | None]]:
        """The persons, each with the record that is named where a source's own id was given.
        Raises: InvalidSearch."""
        if system == NHS_NUMBER:
            try:
                held = self.store.numbered(parse_nhs_number(value))
            except InvalidValue as error:
                raise InvalidSearch("INVALID_VALUE", f"identifier: {error.reason}") from None
            return [(person, None) for person in sorted({h.person_id for h in held if h.person_id})]
        if system == PERSON_SYSTEM:
            found = self.store.resolve(PersonId(value)).person
            return [(found, None)] if found else []
        source = system.removeprefix(SOURCE_SYSTEM)
        if source == system or self.settings.source(source) is None:
            raise InvalidSearch("INVALID_VALUE", "identifier: no system that is known here")
        record = self.store.record(SourceId(source), LocalId(value))
        if record is None or record.person_id is None:
            return []
        return [(record.person_id, record.record_id)]

    def _may_search(self, requester: Requester, action: str, locators: frozenset[Locator]) -> None:
        """Raises: NotPermitted, once it is written down."""
        decision = self.opener.decider.may_search(requester, locators)
        if isinstance(decision, Refusal):
            self.write(
                requester, action, EventOutcome.REFUSED, policies=list(decision.policies),
                **told_of_search(locators),
            )  # fmt: skip
            raise NotPermitted(said(decision, self.settings))

    def _asked(self, requester: Requester, action: str, ask: Callable[[], T]) -> T:
        """What is asked for; a question at fault is written down by its code. Raises:
        InvalidSearch."""
        try:
            return ask()
        except InvalidSearch as error:
            self.write(requester, action, EventOutcome.FAILED, reason=error.code)
            raise

    # --- reading ----------------------------------------------------------------------------
    def read(self, requester: Requester, person: PersonId) -> SharedRecord:
        """Who somebody is, source by source. Raises: NotFound; PersonGone."""
        return self._page(requester, "read", person, frozenset(), Wanted(count=0)).record

    def everything(self, requester: Requester, person: PersonId) -> SharedRecord:
        """All of a person's record that may be seen. Raises: NotFound; PersonGone."""
        return self._page(requester, "everything", person, None, Wanted(count=None)).record

    def items(
        self,
        requester: Requester,
        person: PersonId,
        headings: frozenset[Heading] | None,
        *,
        types: frozenset[str] | None = None,
        offset: int = 0,
        count: int | None = 50,
        status: str | None = None,
        since: str | None = None,
        until: str | None = None,
        code: str | None = None,
        action: str = "items",
    ) -> ItemPage:
        """A page of the items under some headings, the newest first; None asks for all headings.

        Args:
            action: as it is written down: `everything` for a page of the whole record.
            types: FHIR resource types as the items are written. since, until: days or moments at
                which an item begins. code: `system|code`, or a code alone.

        Raises: NotFound; PersonGone.
        """
        wanted = Wanted(types, offset, count, status, since, until, code)
        return self._page(requester, action, person, headings, wanted)

    def _page(
        self,
        requester: Requester,
        action: str,
        person: PersonId,
        headings: frozenset[Heading] | None,
        wanted: Wanted,
    ) -> ItemPage:
        at = self.clock()
        known = self.present(requester, action, person, headings, at)
        decision = tellable(known, self.opener.read_decision(known, at))
        picked = pick(self.opener, known, decision, headings, wanted)
        shared = redact_read(
            decision,
            known.demographics,
            picked.page,
            known.sources,
            known.classes,
            at,
            headings=headings,
            flags=known.facts.safeguarding_flags,
            present=picked.present,
            none_said=picked.none_said,
            terms=self.opener.terms,
        )
        shown = len(shared.items) if shared else 0
        self.write_read(known, action, decision, headings, shown, shared=shared)
        if shared is None:
            raise NotFound(NOBODY)
        return ItemPage(shared, picked.total, picked.next)

    def item(
        self, requester: Requester, headings: frozenset[Heading] | None, item_key: str
    ) -> SharedRecord:
        """The record with one item in it. Raises: NotFound; NotPermitted, saying whom to ring."""
        at = self.clock()
        place = self.store.item_named(item_key)
        if place is None or (headings is not None and place[1] not in headings):
            self.write(requester, "item", EventOutcome.FAILED)
            raise NotFound(NO_ITEM)
        only = frozenset({place[1]})
        known = self.present(requester, "item", place[0], only, at, missing=NO_ITEM)
        decision = tellable(known, self.opener.read_decision(known, at))
        mine = [one for one in known.view.items if one.name == item_key]
        seen = [one for one in mine if may_be_seen(known, decision, one)]
        shared = redact_read(
            decision,
            known.demographics,
            self.opener.held_items(known, seen),
            known.sources,
            known.classes,
            at,
            headings=only,
            terms=self.opener.terms,
        )
        refusal = refusal_of(known, decision, mine[0]) if mine else None
        count = len(shared.items) if shared else 0
        self.write_read(
            known, "item", decision, only, count, shared=shared, refusal=refusal, item=item_key
        )
        if shared is not None and shared.items:
            return shared
        if shared is None or refusal is None or refusal.tell is Tell.SILENT:
            raise NotFound(NO_ITEM)
        raise NotPermitted(said(refusal, self.settings))

    # --- wishes and declarations --------------------------------------------------------------
    def write_directive(
        self, requester: Requester, person: PersonId, directive: Directive, reason: str
    ) -> Directive:
        """See service.sharing_wishes."""
        return wishes.write_directive(self, requester, person, directive, reason)

    def end_directive(self, requester: Requester, directive_id: str) -> None:
        """See service.sharing_wishes."""
        wishes.end_directive(self, requester, directive_id)

    def directives(self, requester: Requester, person: PersonId) -> Sequence[Directive]:
        """See service.sharing_wishes."""
        return wishes.directives(self, requester, person)

    def directive(self, requester: Requester, directive_id: str) -> tuple[PersonId, Directive]:
        """See service.sharing_wishes."""
        return wishes.directive(self, requester, directive_id)

    def break_glass(
        self,
        requester: Requester,
        person: PersonId,
        reason: str,
        text: str,
        *,
        second_person: str | None = None,
    ) -> BreakGlass:
        """See service.sharing_wishes."""
        return wishes.break_glass(self, requester, person, reason, text, second_person)

    def claim_relationship(self, requester: Requester, person: PersonId, text: str) -> Instant:
        """See service.sharing_wishes."""
        return wishes.claim_relationship(self, requester, person, text)

    def audit_events(self, requester: Requester, query: AuditQuery) -> EventPage:
        """See service.sharing_log."""
        return sharing_log.audit_events(self, requester, query)

    def audit_event(self, requester: Requester, leaf: int) -> Numbered:
        """See service.sharing_log."""
        return sharing_log.audit_event(self, requester, leaf)


def _described(fields: Mapping[str, Any], count: int | None) -> Any:
    """The question of a match. Raises: InvalidSearch."""
    if count is not None and count < 1:
        raise InvalidSearch("INVALID_VALUE", "count: expected 1 or more")
    return question(fields)
