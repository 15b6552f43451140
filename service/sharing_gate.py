"""Who may be among the answers to one trace, and what is shown of them.

Rules:
- Whom the decision leaves out leaves no trace in the answer; where somebody has to hear of the
  attempt, it is remembered for the event.
- A record that only its own organisation may know of is, for others, not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from consent.labels import LEGALLY_BARRED
from consent.redact import redact_trace
from consent.shared import Locator, Refusal, TraceDecision
from linkage.grades import Grade
from schemas.identifiers import PersonId
from schemas.sharing import Requester
from service.candidates import Standing
from service.sharing_asked import Matched
from service.sharing_desk import Desk
from service.sharing_open import Known


class TraceGate:
    """Who may be among the answers to one trace, and what is shown of them."""

    def __init__(self, desk: Desk, requester: Requester, locators: frozenset[Locator]) -> None:
        self._opener, self._requester, self._locators = desk.opener, requester, locators
        self._at = desk.clock()
        self._decided: dict[PersonId, tuple[Known, TraceDecision]] = {}
        self._escalated: set[PersonId] = set()
        self._refused: set[PersonId] = set()

    @property
    def escalated(self) -> frozenset[PersonId]:
        """Whom the trace came upon and was refused in a way that somebody has to hear of."""
        return frozenset(self._escalated)

    @property
    def refused(self) -> frozenset[PersonId]:
        """Whom the trace came upon and was refused, of those that the asker may know to be held."""
        return frozenset(self._refused)

    def __call__(self, persons: Sequence[PersonId]) -> Mapping[PersonId, Standing]:
        """See service.candidates.Gate."""
        opener = self._opener
        known = list(
            opener.known(self._requester, persons, frozenset(), self._at, reading=False).values()
        )
        decided = opener.trace_decisions(self._requester, known, self._locators, self._at)
        through = {}
        for one, decision in zip(known, decided, strict=True):
            if isinstance(decision.decision, Refusal):
                self._refused.add(one.view.person)
                if decision.decision.escalate:
                    self._escalated.add(one.view.person)
                continue
            told = self._told(one)
            if not told.demographics:
                continue
            self._decided[one.view.person] = told, decision
            facts = one.facts
            restricted = facts.restricted or facts.restricted_household
            through[one.view.person] = Standing(told.view.records, restricted, decision.history)
        return through

    def _told(self, known: Known) -> Known:
        """The person without records that only their own organisation may know of: that somebody
        is known there at all is what the law bars."""
        mine = self._requester.organisation
        plain = [
            one.custodian == mine or not known.classes[one.demographics].labels & LEGALLY_BARRED
            for one in known.demographics
        ]
        if all(plain):
            return known
        kept = zip(known.view.records, known.demographics, plain, strict=True)
        records, demographics = [], []
        for held, shown, tells in kept:
            if tells:
                records.append(held)
                demographics.append(shown)
        view = replace(known.view, records=records)
        return replace(known, view=view, demographics=demographics)

    def tells(self, person: PersonId, record_id: int) -> bool:
        """Whether a source's own id of a person who was let through may lead to them: not where
        that would say which source knows a restricted person, save to that source's own."""
        known, _ = self._decided[person]
        hidden = known.facts.restricted or known.facts.restricted_household
        mine = self._requester.organisation
        return any(
            held.record_id == record_id and (not hidden or shown.custodian == mine)
            for held, shown in zip(known.view.records, known.demographics, strict=True)
        )

    def matched(self, scored: Mapping[PersonId, tuple[float, Grade | None]]) -> tuple[Matched, ...]:
        """What is shown of the persons, in their order."""
        found = []
        for person, (score, grade) in scored.items():
            known, decision = self._decided[person]
            record = redact_trace(known.demographics, decision, known.classes)
            if record is not None:
                found.append(Matched(record, score, grade))
        return tuple(found)
