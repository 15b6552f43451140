"""The log read through the API, by whom policy lets read it: searched, and one event by its leaf.

Rules:
- What is asked for is found by what stands in clear; only what is shown is opened.
- The reader is written down like everybody else, before anything is shown.
- Pages go by leaf, so that what comes in meanwhile (the reader's own events) moves none of them.
- An identity that the reader must not know of is named in no event.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from audit.events import EventOutcome
from consent.decide import Administration
from consent.shared import Refusal
from schemas.errors import NotFound, NotPermitted
from schemas.identifiers import PersonId
from schemas.sharing import Requester
from service.audit_ports import AuditQuery, Numbered
from service.sharing_asked import EventPage
from service.sharing_desk import Desk, said

NO_EVENT = "no such event, or none whose time to be kept is not over"


def audit_events(desk: Desk, requester: Requester, query: AuditQuery) -> EventPage:
    """A page of audit events, the newest first. Requires: the query has a limit.

    Raises: NotPermitted.
    """
    _check_may_read(desk, requester, "audit-events")
    most = query.limit or 0
    hidden = desk.opener.hidden_from(requester)
    found: list[Numbered] = []
    total = 0
    if query.person not in hidden:
        wanted = msgspec.structs.replace(query, newest_first=True, limit=most + 1)
        total = sum(desk.store.count_events(query).values())
        for page in desk.store.find_numbered(wanted) if most else ():
            found += page
    shown = tuple(_without(one, hidden) for one in found[:most])
    desk.write(
        requester, "audit-events", EventOutcome.PERMITTED,
        persons=[query.person] if query.person else [], shown=len(shown),
    )  # fmt: skip
    return EventPage(shown, total, shown[-1].leaf if len(found) > most and shown else None)


def audit_event(desk: Desk, requester: Requester, leaf: int) -> Numbered:
    """One event. Raises: NotPermitted; NotFound: there is none, or it was erased."""
    _check_may_read(desk, requester, "audit-event")
    hidden = desk.opener.hidden_from(requester)
    pages = desk.store.find_numbered(AuditQuery(after=leaf - 1, limit=1))
    found = [one for page in pages for one in page if one.leaf == leaf]
    outcome = EventOutcome.PERMITTED if found else EventOutcome.FAILED
    desk.write(requester, "audit-event", outcome, leaf=leaf)
    if not found:
        raise NotFound(NO_EVENT)
    return _without(found[0], hidden)


def _check_may_read(desk: Desk, requester: Requester, action: str) -> None:
    """Raises: NotPermitted, once it is written down."""
    decision = desk.opener.decider.may_administer(requester, Administration.AUDIT_EVENTS)
    if isinstance(decision, Refusal):
        desk.write(requester, action, EventOutcome.REFUSED, policies=list(decision.policies))
        raise NotPermitted(said(decision, desk.settings))


def _without(one: Numbered, hidden: Collection[PersonId]) -> Numbered:
    """The event without those who are hidden from the reader."""
    if not any(person in hidden for person in one.event.persons):
        return one
    persons = tuple(person for person in one.event.persons if person not in hidden)
    event = msgspec.structs.replace(one.event, persons=persons)
    return msgspec.structs.replace(one, event=event, told=b"")
