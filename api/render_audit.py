"""Audit events as FHIR R4 AuditEvent, in the shape of IHE Basic Audit Log Patterns."""

from __future__ import annotations

from hashlib import sha256

from audit.events import AuditEvent, EventOutcome, canonical
from schemas.fhir_items import TERMINOLOGY, Resource, without_empty
from schemas.sharing import ACT_REASONS

_SOURCE_ROLE = {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "110153"}
_ACTIONS = "urn:commonthread:action"
_OUTCOMES = {EventOutcome.PERMITTED: "0", EventOutcome.REFUSED: "4", EventOutcome.FAILED: "8"}
"""FHIR R4 audit-event-outcome: a refusal is a minor failure, what failed a serious one."""


def audit_event(event: AuditEvent, partnership: str) -> Resource:
    """One event. Persons stand by their ids alone."""
    reason = ACT_REASONS.get(event.purpose)
    purpose = [{"coding": [{"system": f"{TERMINOLOGY}/v3-ActReason", "code": reason}]}]
    return without_empty(
        {
            "resourceType": "AuditEvent",
            "id": sha256(canonical(event)).hexdigest()[:32],
            "type": {"system": f"{TERMINOLOGY}/audit-event-type", "code": "rest"},
            "subtype": [{"system": _ACTIONS, "code": event.action}],
            "action": "E",
            "recorded": event.at,
            "outcome": _OUTCOMES[event.outcome],
            "purposeOfEvent": purpose if reason else [],
            "agent": [
                {
                    "type": {"coding": [_SOURCE_ROLE]},
                    "role": [{"text": event.role}],
                    "who": {"identifier": {"value": event.actor}},
                    "requestor": True,
                }
            ],
            "source": {"observer": {"display": partnership}},
            "entity": [
                {
                    "what": {"reference": f"Patient/{person}"},
                    "type": {"system": f"{TERMINOLOGY}/audit-entity-type", "code": "1"},
                    "role": {"system": f"{TERMINOLOGY}/object-role", "code": "1"},
                }
                for person in event.persons
            ],
        }
    )
