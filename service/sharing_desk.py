"""What every request to share goes through: the person opened, the event written down.

Rules:
- One event a request, durable before the answer; it names the persons by their opaque ids, the
  policies by their ids, and holds no value of anybody's.
- A person whose record is refused silently, and one who is not there, are answered by the same
  words.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from audit.events import AuditEvent, EventOutcome
from consent.shared import ReadDecision, Refusal, SharedRecord
from schemas.dates import Clock, Instant
from schemas.errors import LogFailed, NotFound, PersonGone, StoreError
from schemas.identifiers import PersonId
from schemas.items import Heading
from schemas.settings import Settings
from schemas.sharing import Call, Requester
from service.runs import Fate
from service.sharing_open import Known, Opener
from service.sharing_ports import SharingStore
from service.sharing_told import told_of_look
from service.turns import Turns

NOBODY = "no such person, or none that may be known of"
NOT_WRITTEN = (
    "the audit log cannot be written, so nothing is shown; ring the IG officer, and in an emergency"
    " the custodian of the record"
)
WHOLE = frozenset({"read", "everything"})
"""Actions that show who somebody is, beside items."""
GONE = {
    Fate.SPLIT: "that id is gone: its records lie in several persons now; identify it again",
    Fate.EMPTIED: "that id is gone: no record of it is held any more",
    Fate.UNDONE: "that id is gone: the run that made it was undone; identify the person again",
}


@contextmanager
def durably(call: Call | None) -> Iterator[None]:
    """What is done only together with its event. Raises: LogFailed, where that cannot be kept."""
    try:
        yield
    except StoreError:
        raise LogFailed(NOT_WRITTEN) from None
    if call is not None:
        call.events += 1


class Desk:
    """Where requests are dealt with. Thread-safe."""

    def __init__(self, store: SharingStore, settings: Settings, clock: Clock) -> None:
        self.store, self.settings, self.clock = store, settings, clock
        self.turns = Turns()
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
        told = {"issuer": requester.issuer or None, "team": requester.team,
                "system": requester.system or None, **called(requester.call)}  # fmt: skip
        return AuditEvent(
            at=self.clock(),
            action=action,
            outcome=outcome,
            actor=requester.staff_id,
            role=requester.role,
            purpose=requester.purpose,
            organisation=requester.organisation,
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
        """Writes the event of a request durably. Raises: LogFailed, as `append`."""
        event = self.event(requester, action, outcome, persons=persons, **details)
        self.append(event, requester.call)

    def append(self, event: AuditEvent, call: Call | None = None) -> None:
        """Writes an event durably. Raises: LogFailed: nothing may be shown then."""
        with durably(call), self.turns.aside():
            self.store.append_event(event)

    def write_read(
        self,
        known: Known,
        action: str,
        decision: ReadDecision,
        headings: Collection[Heading] | None,
        shown: int,
        *,
        shared: SharedRecord | None = None,
        refusal: Refusal | None = None,
        item: str | None = None,
    ) -> None:
        """Writes down that a record was opened, or was not, and what follows from it.

        Args:
            shared: what is shown; None where nothing is.
            item: the one item that was asked for, by its opaque key; refusal: of it.
        """
        opening = decision.opening
        refused = isinstance(opening, Refusal) or refusal is not None
        glass = known.requester.break_glass
        self.write(
            known.requester,
            action,
            EventOutcome.REFUSED if refused else EventOutcome.PERMITTED,
            persons=[known.view.person],
            policies=list((refusal or opening).policies),
            headings=None if headings is None else sorted(headings),
            shown=shown,
            item=item,
            break_glass=glass.reason if glass else None,
            obligations=sorted(decision.obligations) or None,
            escalate=True if isinstance(opening, Refusal) and opening.escalate else None,
            **told_of_look(known, decision, headings, self.clock(), shared, who=action in WHOLE),
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


def called(call: Call | None) -> dict[str, Any]:
    """How a request came in, for its event."""
    if call is None:
        return {}
    return {
        "request": call.request_id,
        "terminal": call.terminal,
        "client": call.client,
        "asked": call.asked,
    }


def said(refusal: Refusal, settings: Settings) -> str:
    """What the asker is told of a refusal that may be told: why, and whom to ring where. Where no
    organisation is named it is the partnership, unless that is a custodian who must not be."""
    reasons = (" ".join(refusal.reasons) or "not permitted").rstrip(".")
    ring = refusal.ring
    if ring is None:
        return reasons
    names = {one.code: one.name for one in settings.organisations}
    of = "" if ring.of_custodian else f" of {settings.name}"
    if ring.organisation is not None:
        of = f" of {names.get(ring.organisation, ring.organisation)}"
    return f"{reasons}; ring the {ring.office}{of}"
