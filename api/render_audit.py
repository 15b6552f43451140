"""Audit events as FHIR R4 AuditEvent, by the profiles of IHE Basic Audit Log Patterns (BALP).

Rules:
- An action's pattern stands in audit/actions.py. `meta.profile` names it where the event has all
  that the profile asks for: the RESTful profiles are of successes, and need to know where the
  request came from.
- A refusal about a person is an authorisation decision (AuthZ-Consent); broken glass and claimed
  relationships are too, whichever way they went.
- A system that takes data under its own sign-in receives a disclosure.
- Profiles about one patient have one: of an event that names several persons there is an AuditEvent
  for each, with the same request.
- Persons stand by their ids alone, and nothing of what was searched for is told but the names of
  the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from api import balp
from api.balp import Server
from audit.actions import Pattern, row_of
from audit.events import AuditEvent, EventOutcome
from schemas.fhir_items import Resource, without_empty
from schemas.identifiers import PersonId
from service.audit_ports import Numbered

OUTCOMES = {EventOutcome.PERMITTED: "0", EventOutcome.REFUSED: "4", EventOutcome.FAILED: "8"}
"""FHIR R4 audit-event-outcome: a refusal is a minor failure, what failed a serious one."""
_PREFIX = "leaf-"
_TAKING = frozenset({"read", "everything", "items", "item"})
"""Actions by which a system takes data."""
_OF_A_PATIENT = frozenset(
    {
        Pattern.PATIENT_READ, Pattern.PATIENT_QUERY, Pattern.PATIENT_CREATE, Pattern.CONSENT,
        Pattern.DISCLOSURE,
    }
)  # fmt: skip


def pattern_of(event: AuditEvent) -> Pattern | None:
    """The pattern that an event renders by."""
    named = row_of(event.action).pattern
    if named is Pattern.READ and event.persons:
        named = Pattern.PATIENT_READ
    if event.outcome is EventOutcome.REFUSED and event.persons and named in _OF_A_PATIENT:
        return Pattern.CONSENT
    if named is Pattern.CONSENT and not event.persons:
        return None
    taken = event.action in _TAKING and event.details.get("system") and event.persons
    if taken and event.outcome is EventOutcome.PERMITTED:
        return Pattern.DISCLOSURE
    if named is Pattern.PATIENT_QUERY and not event.persons:
        return Pattern.QUERY
    return Pattern.PATIENT_QUERY if named is Pattern.QUERY and event.persons else named


def conforms(event: AuditEvent, pattern: Pattern) -> bool:
    """Whether the event has all that the profile asks for."""
    if balp.network_of(event) is None or event.organisation == "-":
        return False
    if pattern is Pattern.IMPORT:  # it asks from where the feed was sent; a folder does not say
        return False
    if pattern in _OF_A_PATIENT and not event.persons:
        return False
    if pattern is Pattern.CONSENT:
        return not event.details.get("system")
    return event.outcome is EventOutcome.PERMITTED


def audit_events(one: Numbered, here: Server) -> list[Resource]:
    """The AuditEvents of one event: one, or one for each person."""
    event = one.event
    pattern = pattern_of(event)
    if pattern in _OF_A_PATIENT and len(event.persons) > 1:
        return [_rendered(one, here, pattern, person) for person in event.persons]
    only = event.persons[0] if len(event.persons) == 1 else None
    return [_rendered(one, here, pattern, only)]


def id_of(one: Numbered, person: PersonId | None = None) -> str:
    """The id of an event's AuditEvent; of several, that of one person. Nobody can tell from it
    which person that is: the event's own salt is in it."""
    leaf = f"{_PREFIX}{one.leaf}"
    if person is None or len(one.event.persons) < 2:
        return leaf
    return f"{leaf}-{sha256(one.salt + person.encode()).hexdigest()[:16]}"


def leaf_of(asked: str) -> int | None:
    """The leaf that an id names; None for what is no such id."""
    number = asked.removeprefix(_PREFIX).partition("-")[0]
    known = asked.startswith(_PREFIX) and number.isascii() and number.isdigit()
    return int(number) if known and len(number) < 16 else None


def _rendered(
    one: Numbered, here: Server, pattern: Pattern | None, person: PersonId | None
) -> Resource:
    event = one.event
    build = _BUILDERS.get(pattern, _bare) if pattern else _bare
    reason = event.details.get("reason") or event.details.get("error")
    meta: Resource = {"tag": [{"system": balp.ACTIONS, "code": event.action}]}
    if pattern is not None and conforms(event, pattern):
        meta["profile"] = [balp.PROFILES + pattern]
    common: Resource = {
        "resourceType": "AuditEvent",
        "id": id_of(one, person),
        "meta": meta,
        "recorded": event.at,
        "outcome": OUTCOMES[event.outcome],
        "outcomeDesc": str(reason)
        if reason and event.outcome is not EventOutcome.PERMITTED
        else "",
        "purposeOfEvent": balp.purposes(event),
        "source": {
            "observer": here.who,
            "type": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/security-source-type",
                    "code": "4",
                }
            ],
        },
    }
    made = common | build(event, here, person)
    made["agent"] = [without_empty(agent) for agent in made["agent"]]
    return without_empty(made)


Builder = Callable[[AuditEvent, Server, PersonId | None], Resource]


def _rest(event: AuditEvent, here: Server, person: PersonId | None) -> Resource:
    """RESTful read, query and create. Of a read the data flows from the server; of the others IHE
    has the client as the source."""
    pattern = pattern_of(event) or Pattern.QUERY
    interaction, letter = balp.INTERACTIONS[pattern]
    reads, creates = interaction == "read", interaction == "create"
    mine, theirs = balp.SOURCE, balp.DESTINATION
    if not reads:
        mine, theirs = theirs, mine
    agents = [
        balp.client(event, balp.participant(theirs)),
        balp.server(here, mine),
        *balp.user(event, "AUT" if creates else "IRCP"),
        *balp.organisation(event),
        *([] if creates else balp.custodians(event)),
    ]
    entity = [balp.subject(person)] if person else []
    entity.append(_data(event, person) if reads or creates else balp.query(event))
    return {
        "type": balp.REST,
        "subtype": [
            {"system": balp.INTERACTION, "code": interaction},
            {"system": balp.ACTIONS, "code": event.action},
        ],
        "action": letter,
        "agent": agents,
        "entity": [*entity, *balp.transaction(event)],
    }


def _data(event: AuditEvent, person: PersonId | None) -> Resource:
    """What was read or written, as far as the event names it."""
    item = event.details.get("item")
    kind = str(event.details.get("asked") or "").partition(" ")[2].partition("/")[0]
    if item:
        return balp.data({"reference": f"{kind}/{item}"} if kind else {"display": str(item)})
    if person and event.action == "read":
        return balp.data({"reference": f"Patient/{person}"})
    request = {"system": balp.REQUESTS, "value": str(event.details.get("request") or event.at)}
    return balp.data({"identifier": request, **({"type": kind} if kind else {})})


def _decision(event: AuditEvent, here: Server, person: PersonId | None) -> Resource:
    """A decision to let somebody in, or not. Its entities are a closed list: the request's id
    stands elsewhere."""
    application = balp.coded(balp.DCM, "110150", "Application")
    return {
        "type": balp.dicom("110113", "Security Alert"),
        "subtype": [balp.AUTHZ_CONSENT],
        "action": "E",
        "agent": [
            balp.client(event, application),
            *balp.user(event),
            *balp.organisation(event),
            balp.authorizer(here),
        ],
        "entity": [*([balp.subject(person)] if person else []), *balp.consents(event)],
    }


def _disclosure(event: AuditEvent, here: Server, person: PersonId | None) -> Resource:
    """What left to somebody who keeps it."""
    recipient = balp.client(event, balp.participant(balp.DESTINATION))
    entity = [balp.subject(person)] if person else []
    return {
        "type": balp.dicom("110106", "Export"),
        "subtype": [balp.DISCLOSE, {"system": balp.ACTIONS, "code": event.action}],
        "action": "R",
        "agent": [
            balp.server(here, balp.SOURCE),
            recipient,
            *balp.user(event),
            *balp.organisation(event),
            *balp.releasing(event),
        ],
        "entity": [*entity, _data(event, person), *balp.transaction(event)],
    }


def _import(event: AuditEvent, here: Server, person: PersonId | None) -> Resource:
    """A feed that came in. It names its source, not whom it is about, who may be thousands: the
    shape is that of a disclosure at its recipient, the profile asks for one patient."""
    source = {
        "type": balp.participant(balp.SOURCE),
        "who": {"identifier": {"system": balp.SOURCES, "value": str(event.details.get("source"))}},
        "requestor": False,
    }
    digest = {"system": "urn:commonthread:feed", "value": str(event.details.get("feed"))}
    return {
        "type": balp.dicom("110107", "Import"),
        "subtype": [balp.DISCLOSE, {"system": balp.ACTIONS, "code": event.action}],
        "action": "C",
        "agent": [source, balp.server(here, balp.DESTINATION)],
        "entity": [
            *(balp.subject(one) for one in ([person] if person else event.persons)),
            balp.data({"identifier": digest}),
        ],
    }


def _bare(event: AuditEvent, _: Server, person: PersonId | None) -> Resource:
    """An event for which IHE has no pattern, with everybody whom it names."""
    code, display = balp.TYPES[row_of(event.action).event_class]
    persons = [person] if person else list(event.persons)
    network = balp.network_of(event)
    actor = balp.user(event) or [balp.client(event, balp.participant(balp.SOURCE))]
    if network and "network" not in actor[0]:
        actor[0]["network"] = network
    return {
        "type": balp.dicom(code, display),
        "subtype": [{"system": balp.ACTIONS, "code": event.action}],
        "action": "E",
        "agent": [*actor, *balp.organisation(event)],
        "entity": [*(balp.subject(one) for one in persons), *balp.transaction(event)],
    }


_BUILDERS: dict[Pattern, Builder] = {
    Pattern.READ: _rest,
    Pattern.PATIENT_READ: _rest,
    Pattern.QUERY: _rest,
    Pattern.PATIENT_QUERY: _rest,
    Pattern.PATIENT_CREATE: _rest,
    Pattern.CONSENT: _decision,
    Pattern.DISCLOSURE: _disclosure,
    Pattern.IMPORT: _import,
}
