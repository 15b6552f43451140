"""What every request to share goes through: the person opened, the event written down.

Rules:
- One event a request, durable before the answer; it names the persons by their opaque ids, the
  policies by their ids, and holds no value of anybody's.
- A person whose record is refused silently, and one who is not there, are answered by the same
  words.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from audit.events import AuditEvent, EventOutcome
from consent.shared import ReadDecision, Refusal
from schemas.dates import Clock, Instant
from schemas.errors import NotFound, PersonGone
from schemas.identifiers import PersonId
from schemas.items import Heading
from schemas.settings import Settings
from schemas.sharing import Requester
from service.runs import Fate
from service.sharing_open import Known, Opener
from service.sharing_ports import SharingStore

NOBODY = "no such person, or none that may be known of"
GONE = {
    Fate.SPLIT: "that id is gone: its records lie in several persons now; identify it again",
    Fate.EMPTIED: "that id is gone: no record of it is held any more",
    Fate.UNDONE: "that id is gone: the run that made it was undone; identify the person again",
}


class Desk:
    """Where requests are dealt with. Thread-safe."""

    def __init__(self, store: SharingStore, settings: Settings, clock: Clock) -> None:
        self.store, self.settings, self.clock = store, settings, clock
        self.opener = Opener(store, settings, clock)

    def event(
        self,
        requester: Requester,
        action: str,
        outcome: EventOutcome,
        *,
        persons: Sequence[PersonId] = (),
        **details: Any,
    ) -> AuditEvent:
        """The event of a request."""
        told = {"organisation": requester.organisation, "issuer": requester.issuer or None,
                "team": requester.team, "system": requester.system or None}  # fmt: skip
        return AuditEvent(
            at=self.clock(),
            action=action,
            outcome=outcome,
            actor=requester.staff_id,
            role=requester.role,
            purpose=requester.purpose,
            persons=tuple(sorted(persons)),
            details={name: value for name, value in (told | details).items() if value is not None},
        )

    def write(
        self,
        requester: Requester,
        action: str,
        outcome: EventOutcome,
        *,
        persons: Sequence[PersonId] = (),
        **details: Any,
    ) -> None:
        """Writes the event durably."""
        self.store.append_event(self.event(requester, action, outcome, persons=persons, **details))

    def write_read(
        self,
        known: Known,
        action: str,
        decision: ReadDecision,
        headings: Collection[Heading] | None,
        shown: int,
    ) -> None:
        """Writes down that a record was opened, or was not, and what follows from it."""
        opening = decision.opening
        refused = isinstance(opening, Refusal)
        glass = known.requester.break_glass
        self.write(
            known.requester,
            action,
            EventOutcome.REFUSED if refused else EventOutcome.PERMITTED,
            persons=[known.view.person],
            policies=list(opening.policies),
            headings=None if headings is None else sorted(headings),
            shown=shown,
            break_glass=glass.reason if glass else None,
            obligations=sorted(decision.obligations) or None,
            escalate=True if isinstance(opening, Refusal) and opening.escalate else None,
        )

    def present(
        self,
        requester: Requester,
        action: str,
        person: PersonId,
        headings: Collection[Heading] | None,
        at: Instant,
        *,
        missing: str = NOBODY,
    ) -> Known:
        """The present person that an id leads to. Raises: NotFound; PersonGone."""
        found = self.opener.known(requester, [person], headings, at)
        if person in found:
            return found[person]
        lead = self.store.resolve(person)
        if lead.person is not None and lead.person != person:
            found = self.opener.known(requester, [lead.person], headings, at)
            if lead.person in found and not found[lead.person].facts.former_identity:
                return found[lead.person]
        self.write(requester, action, EventOutcome.FAILED, persons=[])
        if lead.fate in GONE and person not in self.opener.hidden_from(requester):
            raise PersonGone(GONE[lead.fate])
        raise NotFound(missing)


def said(refusal: Refusal) -> str:
    """What the asker is told of a refusal that may be told."""
    ring = refusal.ring
    whom = "" if ring is None else f"; ring the {ring.office}"
    of = f" of {ring.organisation}" if ring is not None and ring.organisation else ""
    reasons = " ".join(refusal.reasons) or "not permitted"
    return f"{reasons.rstrip('.')}{whom}{of}"
