"""Routes of the log, for information governance: what was asked, by whom, about whom."""

from __future__ import annotations

from api.balp import Server
from api.bundles import entry, searchset
from api.item_routes import person_of
from api.outcomes import Refused
from api.params import COUNT, CURSOR, SHAPE, Kind, Param, date_span, moments
from api.render_audit import OUTCOMES, audit_events, leaf_of
from api.route import Answer, Ask, Does, Form, Route, absent, search_forms
from audit.actions import ACTIONS
from schemas.fhir_items import Resource
from schemas.identifiers import PersonId
from service.audit_ports import AuditQuery, Numbered

_OUTCOME_OF = {code: outcome for outcome, code in OUTCOMES.items()}


def search_events(ask: Ask) -> Answer:
    """Events by time, person, staff, organisation, action and outcome, newest first."""
    since, until = moments(date_span("date", ask.params.all("date")))
    action, outcome = ask.params.one("_tag"), ask.params.one("outcome")
    if action is not None and _bare(action) not in ACTIONS:
        raise Refused("INVALID_VALUE", "_tag: no action of that name; see docs/audit-log.md")
    agent, organisation = ask.params.one("agent"), ask.params.one("organisation")
    query = AuditQuery(
        since=since,
        until=until,
        person=person_of(ask) if "patient" in ask.params else None,
        actor=_bare(agent) if agent else None,
        organisation=_bare(organisation) if organisation else None,
        actions=frozenset({_bare(action)} if action else ()),
        outcomes=frozenset({_OUTCOME_OF[outcome]} if outcome else ()),
        after=ask.offset or None,
        limit=ask.page_size(),
    )
    page = ask.desk.sharing.audit_events(ask.requester, query)
    entries = [one for event in page.events for one in _entries(ask, event, query.person)]
    return Answer(searchset(entries, total=page.total, links=ask.links(page.next)))


def _entries(ask: Ask, event: Numbered, person: PersonId | None) -> list[Resource]:
    """The event's AuditEvents: one is the match (of the person who was asked for, where one was),
    those of others whom it names stand beside it."""
    found = audit_events(event, _server(ask))
    mine = f"Patient/{person}"
    first = next((one for one in found if person and _names(one, mine)), found[0])
    rest = [] if person else [one for one in found if one is not first]
    return [entry(ask.base, first), *(entry(ask.base, one, "include") for one in rest)]


def _names(event: Resource, person: str) -> bool:
    return any(one.get("what", {}).get("reference") == person for one in event.get("entity", ()))


def read_event(ask: Ask) -> Answer:
    """One event; of one about several persons, the AuditEvent of one of them."""
    asked = ask.path["id"]
    leaf = leaf_of(asked)
    if leaf is None:
        raise absent("AuditEvent")
    event = ask.desk.sharing.audit_event(ask.requester, leaf)
    for one in audit_events(event, _server(ask)):
        if one["id"] == asked:
            return Answer(one, etag=True)
    raise absent("AuditEvent")


def _server(ask: Ask) -> Server:
    return Server(ask.desk.settings.name, ask.base)


def _bare(token: str) -> str:
    """The value of SYSTEM|VALUE."""
    return token.rpartition("|")[2]


AUDIT_ROUTES: tuple[Route, ...] = (
    Route(
        name="search AuditEvent", action="audit-events",
        kind="AuditEvent", does=Does.SEARCH, letter="s",
        handler=search_events, forms=search_forms("AuditEvent"),
        params=(
            Param("date", Kind.DATE, "When it was recorded", many=2),
            Param("patient", Kind.REFERENCE, "About whom: Patient/ID, or the id alone"),
            Param("outcome", Kind.TOKEN, "0 permitted, 4 refused, 8 failed",
                  choices=tuple(_OUTCOME_OF)),
            Param("_tag", Kind.TOKEN, "What was done: an action of the log"),
            Param("agent", Kind.TOKEN, "By whom: a staff or client id", standard=False),
            Param("organisation", Kind.TOKEN, "For whom they asked: ODS code", standard=False),
            COUNT, CURSOR, *SHAPE,
        ),
        summary="What was asked, by whom, about whom, newest first", statuses=(410,),
    ),
    Route(
        name="read AuditEvent", action="audit-event", kind="AuditEvent", does=Does.READ,
        letter="r", handler=read_event, forms=(Form("GET", "AuditEvent/{id}"),), params=SHAPE,
        summary="One event of the log", statuses=(304,),
    ),
)  # fmt: skip
