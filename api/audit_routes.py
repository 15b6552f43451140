"""Routes of the log, for information governance: what was asked, by whom, about whom."""

from __future__ import annotations

from api.bundles import entry, searchset
from api.item_routes import person_of
from api.params import COUNT, CURSOR, SHAPE, Kind, Param, date_span, moments
from api.render_audit import audit_event
from api.route import Answer, Ask, Does, Route, search_forms
from schemas.dates import Instant

EVER = Instant("1900-01-01T00:00:00Z")
ALWAYS = Instant("9998-12-31T23:59:59Z")
"""Before the first event of any log, and after the last."""


def search_events(ask: Ask) -> Answer:
    """Events of a span of time, newest first; of one person, where one is named."""
    since, until = moments(date_span("date", ask.params.all("date")))
    page = ask.desk.sharing.audit_events(
        ask.requester,
        since=since or EVER,
        until=until or ALWAYS,
        person=person_of(ask) if "patient" in ask.params else None,
        offset=ask.offset,
        count=ask.page_size(),
    )
    name = ask.desk.settings.name
    entries = [entry(ask.base, audit_event(event, name)) for event in page.events]
    return Answer(searchset(entries, total=page.total, links=ask.links(page.next)))


AUDIT_ROUTES: tuple[Route, ...] = (
    Route(
        name="search AuditEvent", kind="AuditEvent", does=Does.SEARCH, letter="s",
        handler=search_events, forms=search_forms("AuditEvent"),
        params=(
            Param("date", Kind.DATE, "When it was recorded", many=2),
            Param("patient", Kind.REFERENCE, "About whom: Patient/ID, or the id alone"),
            COUNT, CURSOR, *SHAPE,
        ),
        summary="What was asked, by whom, about whom, newest first", statuses=(410,),
    ),
)  # fmt: skip
