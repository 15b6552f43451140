"""Codes, agents and entities of IHE Basic Audit Log Patterns (BALP), as parts of an AuditEvent.

Which part a profile asks for, and how often, is decided in api/render_audit.py; here stands how it
is written. Persons stand by their ids, staff and organisations by their identifiers.
"""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass
from typing import Any

from audit.actions import EventClass, Pattern
from audit.events import AuditEvent
from schemas.fhir_items import ODS_CODE, TERMINOLOGY, Resource
from schemas.identifiers import PersonId
from schemas.sharing import ACT_REASONS

PROFILES = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
REST = {"system": f"{TERMINOLOGY}/audit-event-type", "code": "rest", "display": "Restful Operation"}
INTERACTION = "http://hl7.org/fhir/restful-interaction"
ACTIONS = "urn:commonthread:action"
POLICIES = "urn:commonthread:policy"
REQUESTS = "urn:commonthread:request"
CLIENTS = "urn:commonthread:client"
SOURCES = "urn:commonthread:source"
_BALP = "https://profiles.ihe.net/ITI/BALP/CodeSystem/"
AUTHZ_CONSENT = {"system": f"{_BALP}AuthZsubType", "code": "AuthZ-Consent"}
DISCLOSE = {"system": f"{TERMINOLOGY}/iso-21089-lifecycle", "code": "disclose"}
_ENTITY_TYPE = f"{TERMINOLOGY}/audit-entity-type"
_ROLE = f"{TERMINOLOGY}/object-role"
_ACT_REASON = f"{TERMINOLOGY}/v3-ActReason"
_PARTICIPATION = f"{TERMINOLOGY}/v3-ParticipationType"
BREAK_GLASS = "BTG"
SYSTEM_OBJECT = {"system": _ENTITY_TYPE, "code": "2", "display": "System Object"}
SOURCE, DESTINATION = "110153", "110152"
"""DICOM participant roles: who sends, who receives."""

TYPES: dict[EventClass, tuple[str, str]] = {
    EventClass.ACCESS: ("110110", "Patient Record"),
    EventClass.SEARCH: ("110112", "Query"),
    EventClass.BREAK_GLASS: ("110113", "Security Alert"),
    EventClass.CONSENT: ("110110", "Patient Record"),
    EventClass.LINKAGE: ("110110", "Patient Record"),
    EventClass.EXPORT: ("110106", "Export"),
    EventClass.ADMINISTRATION: ("110136", "Security Configuration"),
    EventClass.SYSTEM: ("110100", "Application Activity"),
    EventClass.AUDIT: ("110101", "Audit Log Used"),
}
"""Class → DICOM event, of actions for which IHE has no pattern."""

INTERACTIONS: dict[Pattern, tuple[str, str]] = {
    Pattern.READ: ("read", "R"),
    Pattern.PATIENT_READ: ("read", "R"),
    Pattern.QUERY: ("search-type", "E"),
    Pattern.PATIENT_QUERY: ("search-type", "E"),
    Pattern.PATIENT_CREATE: ("create", "C"),
}
"""RESTful pattern → FHIR interaction, AuditEvent.action."""


@dataclass(frozen=True)
class Server:
    """Who recorded the event, and where: the partnership's name, the address of its API."""

    name: str
    base: str

    @property
    def who(self) -> Resource:
        """As agent and as observer: the same."""
        return {"identifier": {"system": "urn:ietf:rfc:3986", "value": self.base},
                "display": self.name}  # fmt: skip

    @property
    def network(self) -> Resource:
        """Address by URI."""
        return {"address": self.base, "type": "5"}


def coded(system: str, code: str, display: str | None = None) -> Resource:
    """A CodeableConcept of one code."""
    coding = {"system": system, "code": code}
    return {"coding": [coding | ({"display": display} if display else {})]}


def dicom(code: str, display: str) -> Resource:
    """A DICOM event type, as a Coding."""
    return {"system": DCM, "code": code, "display": display}


def purposes(event: AuditEvent) -> list[Resource]:
    """Why: the purpose as an ActReason; of a broken glass that it was broken."""
    glass = event.details.get("break_glass") or event.action == "break-glass"
    codes = [ACT_REASONS.get(event.purpose), BREAK_GLASS if glass else None]
    return [coded(_ACT_REASON, code) for code in codes if code]


# --- agents ------------------------------------------------------------------------------------


def network_of(event: AuditEvent) -> Resource | None:
    """Where the request came from, as known."""
    terminal = event.details.get("terminal")
    if not isinstance(terminal, str) or not terminal:
        return None
    try:
        ipaddress.ip_address(terminal)
    except ValueError:
        return {"address": terminal, "type": "1"}
    return {"address": terminal, "type": "2"}


def client(event: AuditEvent, type_: Resource) -> Resource:
    """The program, or system, that asked."""
    name = event.actor if event.details.get("system") else event.details.get("client")
    known = {"identifier": {"system": CLIENTS, "value": str(name)}} if name else None
    return {
        "type": type_,
        "who": known or {"display": "a client that its token does not name"},
        "requestor": bool(event.details.get("system")),
        "network": network_of(event),
    }


def user(event: AuditEvent, type_: str = "IRCP") -> list[Resource]:
    """The member of staff; nobody where a system asked for itself."""
    if event.details.get("system"):
        return []
    identifier = {"system": event.details.get("issuer"), "value": event.actor}
    return [
        {
            "type": coded(_PARTICIPATION, type_),
            "who": {"identifier": {key: value for key, value in identifier.items() if value}},
            "requestor": True,
            "role": [{"text": event.role}],
            "purposeOfUse": purposes(event),
        }
    ]


def organisation(event: AuditEvent) -> list[Resource]:
    """For whom the actor asked."""
    if event.organisation == "-":
        return []
    return [
        {
            "type": coded(f"{TERMINOLOGY}/v3-RoleClass", "PROV", "healthcare provider"),
            "who": {"identifier": {"system": ODS_CODE, "value": event.organisation}},
            "requestor": False,
        }
    ]


def custodians(event: AuditEvent) -> list[Resource]:
    """Whose records were shown."""
    return [
        {
            "type": coded(_PARTICIPATION, "CST", "custodian"),
            "who": {"identifier": {"system": ODS_CODE, "value": str(code)}},
            "requestor": False,
        }
        for code in event.details.get("custodians") or ()
    ]


def releasing(event: AuditEvent) -> list[Resource]:
    """The one custodian that released what was disclosed; nobody where there were several."""
    codes = event.details.get("custodians") or ()
    type_ = coded("http://snomed.info/sct", "159541003", "Record keeping/library clerk")
    who = [{"identifier": {"system": ODS_CODE, "value": str(code)}} for code in codes]
    return [{"type": type_, "who": who[0], "requestor": False}] if len(who) == 1 else []


def server(here: Server, role: str) -> Resource:
    """This service. role: `SOURCE` or `DESTINATION`."""
    return {
        "type": participant(role),
        "who": here.who,
        "requestor": False,
        "network": here.network,
    }


def participant(role: str) -> Resource:
    """A DICOM participant role."""
    return coded(DCM, role, "Source Role ID" if role == SOURCE else "Destination Role ID")


def authorizer(here: Server) -> Resource:
    """This service, as the one that decides."""
    type_ = coded(f"{TERMINOLOGY}/extra-security-role-type", "authserver", "authorization server")
    return {"type": type_, "who": here.who, "requestor": False}


# --- entities ----------------------------------------------------------------------------------


def subject(person: PersonId) -> Resource:
    """The person, by id."""
    return {
        "what": {"reference": f"Patient/{person}"},
        "type": {"system": _ENTITY_TYPE, "code": "1", "display": "Person"},
        "role": {"system": _ROLE, "code": "1", "display": "Patient"},
    }


def data(what: Resource) -> Resource:
    """What was read or written."""
    return {
        "what": what,
        "type": SYSTEM_OBJECT,
        "role": {"system": _ROLE, "code": "4", "display": "Domain Resource"},
    }


def query(event: AuditEvent) -> Resource:
    """What was asked: the way in and the names of its parameters. Their values are a person's
    details; they are kept nowhere, so that reading the log discloses none."""
    asked = str(event.details.get("asked") or event.action)
    return {
        "type": SYSTEM_OBJECT,
        "role": {"system": _ROLE, "code": "24", "display": "Query"},
        "description": f"{asked} (names of parameters; their values are not kept)",
        "query": base64.b64encode(asked.encode()).decode(),
    }


def transaction(event: AuditEvent) -> list[Resource]:
    """The request's id, which its answer carried."""
    request = event.details.get("request")
    if not isinstance(request, str):
        return []
    type_ = {"system": f"{_BALP}BasicAuditEntityType", "code": "XrequestId"}
    return [{"what": {"identifier": {"system": REQUESTS, "value": request}}, "type": type_}]


def consents(event: AuditEvent) -> list[Resource]:
    """What the decision rests on: the policies; else the declaration itself."""
    policies: list[Any] = list(event.details.get("policies") or ())
    found = [{"system": POLICIES, "value": str(one)} for one in policies]
    declared = {"system": REQUESTS, "value": str(event.details.get("request") or event.at)}
    type_ = {"system": "http://hl7.org/fhir/resource-types", "code": "Consent"}
    return [{"what": {"identifier": one}, "type": type_} for one in found or [declared]]
