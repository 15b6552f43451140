"""Who may trace, read, break the glass, state a wish, draw an extract: values with reasons.

Rules:
- Each distinct access class of a person is decided once, by a full evaluation of all policies.
- Facts are asked for anew by every request: a role, a wish or an agreement that ends is gone for
  the next one. What is remembered is what policies say to a question, which names nobody.
- A record that may not be opened has no class that may be read.
- Forbidding outranks permitting, and what nothing permits is refused (Cedar's semantics).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from consent.facts import (
    Aspect,
    Situation,
    aspect_key,
    attributes_of,
    context,
    opted_out,
    principal,
    sealed_item,
    situation,
)
from consent.policy_files import Asked, Attribute, Attributes, Policies
from consent.same import Same
from consent.shared import (
    LOCATING,
    Decision,
    Locator,
    Permit,
    ReadDecision,
    Refusal,
    TraceDecision,
)
from consent.terms import Terms
from schemas.dates import Instant, to_instant
from schemas.held import PersonFacts, SourceView
from schemas.identifiers import OdsCode
from schemas.sharing import (
    AccessClass,
    Agreement,
    BreakGlass,
    Category,
    ClassId,
    Directive,
    DirectiveKind,
    Label,
    Relationship,
    Requester,
)

_NO_LABELS: frozenset[Label] = frozenset()


class Administration(StrEnum):
    """What information governance officers do beside reading."""

    AGREEMENTS = "agreements"
    DIRECTORY = "directory"
    BREAK_GLASS = "break-glass"
    AUDIT_EVENTS = "audit-events"


class Decider:
    """The policies, ready to be asked. One per process; thread-safe."""

    def __init__(
        self, terms: Terms | None = None, policies: Policies | None = None, *, checked: bool = False
    ) -> None:
        """Args: `checked` holds every request to the schema as well (slower; for tests).

        Raises: SettingsError where the policies are at fault.
        """
        self.terms = terms or Terms()
        self._policies = policies or Policies()
        self._checked = checked
        self._kept: dict[tuple[object, ...], _Verdicts] = {}

    def may_search(self, requester: Requester, locators: frozenset[Locator]) -> Decision:
        """Whether the requester may look for people by these at all."""
        search = {"by_place": bool(locators & LOCATING)}
        return self._decide(requester, [Asked("search", "Search", search, {})])[0]

    def may_trace(
        self,
        requester: Requester,
        locators: frozenset[Locator],
        facts: Sequence[PersonFacts],
        at: Instant,
    ) -> tuple[TraceDecision, ...]:
        """For each candidate, whether it may be among the answers. A silent refusal leaves it out
        before hits are counted, cut off or scored."""
        by_place = bool(locators & LOCATING)
        moments = [situation(requester, one, self.terms, at, by_place=by_place) for one in facts]
        asked: list[Asked] = []
        for now in moments:
            known = context(now)
            asked += [Asked("trace", "Person", {}, known), Asked("locate", "Person", {}, known)]
        decisions = self._decide(requester, asked)
        return tuple(
            TraceDecision(
                now.facts.person,
                trace,
                whereabouts=isinstance(locate, Permit),
                history=not now.facts.protected_change
                or requester.staff_id in now.facts.identity_team,
                former=requester.staff_id in now.facts.identity_team,
                labels=_labels(now),
            )
            for now, trace, locate in zip(moments, decisions[::2], decisions[1::2], strict=True)
        )

    def may_read(
        self,
        requester: Requester,
        facts: PersonFacts,
        relationships: Iterable[Relationship],
        agreements: Iterable[Agreement],
        directives: Iterable[Directive],
        classes: Mapping[ClassId, AccessClass],
        at: Instant,
        *,
        sources: Sequence[SourceView] = (),
    ) -> ReadDecision:
        """What of a person's record may be read.

        Args:
            classes: the distinct access classes of what is held of the person, of items and of
                each source's demographics and whereabouts.
            sources: all sources of the partnership: what their silence means is decided with it.
        """
        now = situation(
            requester, facts, self.terms, at,
            relationships=relationships, agreements=agreements, directives=directives,
        )  # fmt: skip
        return self._read("read", now, classes, _ordinary(tuple(sources)))

    def may_disclose(
        self,
        requester: Requester,
        facts: PersonFacts,
        agreements: Iterable[Agreement],
        directives: Iterable[Directive],
        classes: Mapping[ClassId, AccessClass],
        at: Instant,
        *,
        exemption: str | None = None,
    ) -> ReadDecision:
        """What of a person may go into an extract for planning or research (rule 4).

        Args: `exemption`: the recorded ground on which the National Data Opt-out does not apply.
        """
        now = situation(
            requester, facts, self.terms, at,
            agreements=agreements, directives=directives, exempt=bool(exemption),
        )  # fmt: skip
        return self._read("disclose", now, classes, ())

    def may_break_glass(
        self,
        requester: Requester,
        facts: PersonFacts,
        reason: str,
        text: str,
        at: Instant,
        *,
        directives: Iterable[Directive] = (),
        second_person: str | None = None,
    ) -> BreakGlass | Refusal:
        """The broken glass, for a short time and this person alone, or why it does not break.

        Raises: InvalidValue: no such reason, or too few words.
        """
        ends = datetime.fromisoformat(at) + timedelta(minutes=self.terms.break_glass_minutes)
        broken = BreakGlass(reason, text, facts.person, at, to_instant(ends), second_person)
        now = situation(
            requester, facts, self.terms, at, directives=directives, second_person=second_person
        )
        asked = Asked("break-glass", "Person", {}, context(now))
        decision = self._decide(requester, [asked])[0]
        return decision if isinstance(decision, Refusal) else broken

    def may_direct(
        self,
        requester: Requester,
        facts: PersonFacts,
        directive: Directive,
        at: Instant,
        *,
        relationships: Iterable[Relationship] = (),
        directives: Iterable[Directive] = (),
    ) -> Decision:
        """Whether the requester may write down this wish of, or order about, the person."""
        now = situation(
            requester, facts, self.terms, at, relationships=relationships, directives=directives
        )
        wish = {
            "kind": directive.kind.value,
            "about": tuple(sorted(directive.targets.categories)),
        }
        return self._decide(requester, [Asked("direct", "Wish", wish, context(now))])[0]

    def may_administer(self, requester: Requester, what: Administration) -> Decision:
        """Whether the requester may do the work of an information governance officer."""
        return self._decide(requester, [Asked("administer", "Task", {"name": what.value}, {})])[0]

    def _read(
        self,
        action: str,
        now: Situation,
        classes: Mapping[ClassId, AccessClass],
        ordinary: Sequence[Aspect],
    ) -> ReadDecision:
        known = context(now)
        aspects = {key: (one.category, one.custodian, one.labels) for key, one in classes.items()}
        verdicts = self._verdicts(action, now, known, (*aspects.values(), *ordinary))
        seals = _item_seals(now)
        sealed = [Asked("unseal", "Holding", sealed_item(one), known) for one in seals.values()]
        unsealed = self._decide(now.requester, sealed) if sealed else []
        opening, flags = verdicts.opening, verdicts.flags
        shut = opening if isinstance(opening, Refusal) else None
        obligations = opening.obligations if isinstance(opening, Permit) else frozenset()
        if isinstance(flags, Permit):
            obligations |= flags.obligations
        return ReadDecision(
            person=now.facts.person,
            opening=opening,
            classes={key: verdicts.of[aspect] for key, aspect in aspects.items()},
            items={key: shut or one for key, one in zip(seals, unsealed, strict=True)},
            flags=flags,
            obligations=obligations,
            labels=_labels(now),
            ordinary=verdicts.ordinary(ordinary),
        )

    def _verdicts(
        self, action: str, now: Situation, known: Attributes, aspects: Iterable[Aspect]
    ) -> _Verdicts:
        """What is decided of the record, its flags and these aspects.

        Where nobody wished anything and nobody was found competent, the decisions hang on what is
        in `_situated` and on nothing else: they are remembered by it, as in `Policies.decide`.
        """
        plain = not now.wishes and not now.facts.competences and not self._checked
        key = _situated(action, now, known)
        verdicts = self._kept.get(key) if plain else None
        wanted = dict.fromkeys(aspects)
        missing = [one for one in wanted if verdicts is None or one not in verdicts.of]
        if verdicts is not None and not missing:
            return verdicts
        holdings, numbers = _holdings(missing, now)
        openings = [] if action == "disclose" else [Asked("open", "Person", {}, known)]
        decided = self._decide(
            now.requester,
            [
                *openings,
                Asked("flag", "Person", {}, known),
                *(Asked(action, "Holding", one, known) for one in holdings),
            ],
        )
        opening = decided.pop(0) if openings else Permit((), ())
        flags, *held = decided
        shut = opening if isinstance(opening, Refusal) else None
        of = {aspect: shut or _ringing(held[number], aspect) for aspect, number in numbers.items()}
        if verdicts is not None:
            of = {**verdicts.of, **of}
        verdicts = _Verdicts(opening, flags, of)
        if plain:
            if len(self._kept) >= KEPT:
                self._kept = {}
            self._kept[key] = verdicts
        return verdicts

    def _decide(self, requester: Requester, asked: Sequence[Asked]) -> list[Decision]:
        return self._policies.decide(principal(requester), asked, checked=self._checked)


KEPT = 2_000
"""Situations whose decisions are remembered before all are forgotten."""


@dataclass(frozen=True)
class _Verdicts:
    """What is decided in one situation: of the record, its flags, and aspects."""

    opening: Decision
    flags: Decision
    of: Mapping[Aspect, Decision]
    _ordinary: dict[Same[Sequence[Aspect]], Mapping[tuple[Category, OdsCode | None], Decision]] = (
        field(default_factory=dict)
    )

    def ordinary(
        self, aspects: Sequence[Aspect]
    ) -> Mapping[tuple[Category, OdsCode | None], Decision]:
        """What is decided of unlabelled items; of the same aspects, the very same answer."""
        key = Same(aspects)
        found = self._ordinary.get(key)
        if found is None:
            found = {(aspect[0], aspect[1]): self.of[aspect] for aspect in aspects}
            self._ordinary[key] = found
        return found


def _situated(action: str, now: Situation, known: Attributes) -> tuple[object, ...]:
    """All that decisions hang on in a situation without wishes and findings of competence, beside
    the aspects. It names no person."""
    asks = now.requester
    return (
        action, tuple(principal(asks).values()), asks.organisation, tuple(known.values()),
        now.scope, now.agreed,
    )  # fmt: skip


def _ordinary(sources: tuple[SourceView, ...]) -> tuple[Aspect, ...]:
    return _ordinary_of(Same(sources))


@lru_cache(maxsize=8)
def _ordinary_of(sources: Same[tuple[SourceView, ...]]) -> tuple[Aspect, ...]:
    """All that sources send, of whomever, without labels: what is decided of it says what a
    source's silence means, and does not hang on what is held of a person."""
    found = {
        (Category(heading.value), custodian, _NO_LABELS): None
        for view in sources.held
        for custodian in view.custodians
        for heading in sorted(view.headings)
    }
    return tuple(found)


def _holdings(
    aspects: Iterable[Aspect], now: Situation
) -> tuple[list[dict[str, Attribute]], dict[Aspect, int]]:
    """What policies ask about the classes, of those that they cannot tell apart only once, and
    which class is which."""
    holdings: list[dict[str, Attribute]] = []
    numbers: dict[Aspect, int] = {}
    known: dict[tuple[object, ...], int] = {}
    tell = aspect_key(now)
    for aspect in aspects:
        if aspect not in numbers:
            alike = tell(aspect)
            number = known.get(alike)
            if number is None:
                number = known[alike] = len(holdings)
                holdings.append(attributes_of(*aspect, now))
            numbers[aspect] = number
    return holdings, numbers


def _item_seals(now: Situation) -> dict[str, list[Directive]]:
    """Seals of single items that are about this requester, by item."""
    found: dict[str, list[Directive]] = {}
    for one in now.wishes:
        if one.kind is DirectiveKind.SEAL and one.item_key is not None:
            found.setdefault(one.item_key, []).append(one)
    return found


def _ringing(decision: Decision, aspect: Aspect) -> Decision:
    """The decision, with the custodian's office to ring where it is the custodian's."""
    if isinstance(decision, Refusal) and decision.ring and decision.ring.of_custodian:
        return replace(decision, ring=replace(decision.ring, organisation=aspect[1]))
    return decision


def _labels(now: Situation) -> tuple[str, ...]:
    """Words to show beside the person."""
    facts = now.facts
    words = (
        ("restricted", facts.restricted or facts.restricted_household),
        ("opted out", opted_out(now)),
        ("deceased", facts.deceased_on is not None),
    )
    return tuple(word for word, stands in words if stands)
