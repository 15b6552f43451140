"""Care items that came in another format than FHIR, as FHIR R4 resources. Values in, values out.

It stands among the words of the domain because both those who write feeds and those who answer
queries say items so.

Rules:
- Built is the first resource type of the item's heading: what the item has, and the least that the
  type requires. What a type requires and the item does not say is said to be unknown, in the way
  that the type has for it; nothing is made up.
- A status that the type does not have is not forced into it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from schemas.items import HEADINGS, CareItem, Coding, Heading

ODS_CODE = "https://fhir.nhs.uk/Id/ods-organization-code"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_ABSENT = {
    "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
    "valueCode": "unknown",
}

Resource = dict[str, Any]


def without_empty(resource: Mapping[str, Any]) -> Resource:
    """The resource without its empty elements, which FHIR does not allow."""
    return {key: value for key, value in resource.items() if value or value is False or value == 0}


def organisation(code: str | None) -> Resource | None:
    """A Reference to an organisation by its ODS code."""
    return {"identifier": {"system": ODS_CODE, "value": code}} if code else None


def client(local_id: str | None) -> Resource | None:
    """A Reference to a client by the source's id of them."""
    return {"type": "Patient", "identifier": {"value": local_id}} if local_id else None


def item_resource(item: CareItem) -> Resource:
    """The FHIR R4 resource of an item that came in another format.

    Requires: a heading other than unclassified; what is kept there always has its original.
    """
    return without_empty(
        {
            "resourceType": HEADINGS[item.heading].fhir_types[0],
            "meta": {"security": [{"code": code} for code in item.sensitivity]}
            if item.sensitivity
            else None,
            "identifier": [{"value": item.item_id}],
            **_BUILDERS[item.heading](item),
        }
    )


def _concept(item: CareItem) -> Resource | None:
    """The item's codes and text as one CodeableConcept."""
    codings = [_coding(one) for one in item.codes]
    return without_empty({"coding": codings, "text": item.text}) or None


@lru_cache(maxsize=8_192)
def _coding(sent: Coding) -> Resource:
    """A code as a Coding; the same for whomever it is about, so it is built once. Not to be changed
    by whoever gets it."""
    code = " ".join(sent.code.split())
    return without_empty({"system": _uri(sent.system), "code": code, "display": sent.display})


def _uri(system: str | None) -> str | None:
    return system if system and not any(c.isspace() for c in system) else None


def _stated(item: CareItem) -> Resource:
    """The item's concept where FHIR demands one."""
    return _concept(item) or {"text": HEADINGS[item.heading].title}


def _between(item: CareItem) -> Resource | None:
    return without_empty({"start": item.start, "end": item.end}) or None


def _status(item: CareItem, known: frozenset[str]) -> Resource:
    """The item's status where the type has it; else that it is unknown, as the type can say so."""
    if item.status in known:
        return {"status": item.status}
    return {"status": "unknown"} if "unknown" in known else {"_status": {"extension": [_ABSENT]}}


def _named(author: str | None) -> Resource | None:
    return {"display": author} if author else None


def _statuses(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ENCOUNTER = _statuses(
    "planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown"
)
_EVENT = _statuses(
    "preparation in-progress not-done on-hold stopped completed entered-in-error unknown"
)
_REQUEST = _statuses("draft active on-hold revoked completed entered-in-error unknown")
_APPOINTMENT = _statuses(
    "proposed pending booked arrived fulfilled cancelled noshow entered-in-error"
    " checked-in waitlist"
)
_EPISODE = _statuses("planned waitlist active onhold finished cancelled entered-in-error")


def _encounter(code: str) -> Callable[[CareItem], Resource]:
    def build(item: CareItem) -> Resource:
        return {
            **_status(item, _ENCOUNTER),
            "class": {"system": f"{TERMINOLOGY}/v3-ActCode", "code": code},
            "type": [_concept(item)] if _concept(item) else [],
            "subject": client(item.subject),
            "period": _between(item),
            "serviceProvider": organisation(item.organisation),
        }

    return build


def _condition(item: CareItem) -> Resource:
    error = item.status == "entered-in-error"
    system, code = (
        ("condition-ver-status", "entered-in-error") if error else ("condition-clinical", None)
    )
    status = {"coding": [{"system": f"{TERMINOLOGY}/{system}", "code": code or item.status}]}
    return {
        "verificationStatus" if error else "clinicalStatus": status if item.status else None,
        "code": _concept(item),
        "subject": client(item.subject),
        "onsetDateTime": item.start,
        "abatementDateTime": item.end,
        "recordedDate": item.recorded_at,
        "recorder": _named(item.author),
    }


def _allergy(item: CareItem) -> Resource:
    error = item.status == "entered-in-error"
    name = "verification" if error else "clinical"
    coding = {"system": f"{TERMINOLOGY}/allergyintolerance-{name}", "code": item.status}
    return {
        f"{name}Status": {"coding": [coding]} if item.status else None,
        "code": _concept(item),
        "patient": client(item.subject),
        "onsetDateTime": item.start,
        "recordedDate": item.recorded_at,
        "recorder": _named(item.author),
    }


def _medication(item: CareItem) -> Resource:
    known = _statuses(
        "active completed entered-in-error intended stopped on-hold unknown not-taken"
    )
    return {
        **_status(item, known),
        "medicationCodeableConcept": _stated(item),
        "subject": client(item.subject),
        "effectivePeriod": _between(item),
        "dateAsserted": item.recorded_at,
        "informationSource": _named(item.author),
    }


def _observation(item: CareItem) -> Resource:
    known = _statuses(
        "registered preliminary final amended corrected cancelled entered-in-error unknown"
    )
    return {
        **_status(item, known),
        "code": _stated(item),
        "subject": client(item.subject),
        "effectivePeriod": _between(item),
        "issued": item.recorded_at,
        "performer": [_named(item.author)] if item.author else [],
    }


def _procedure(item: CareItem) -> Resource:
    return {
        **_status(item, _EVENT),
        "code": _concept(item),
        "subject": client(item.subject),
        "performedPeriod": _between(item),
        "recorder": _named(item.author),
    }


def _immunisation(item: CareItem) -> Resource:
    known = _statuses("completed entered-in-error not-done")
    return {
        **_status(item, known),
        "vaccineCode": _stated(item),
        "patient": client(item.subject),
        "occurrenceDateTime": item.start,
        "occurrenceString": None if item.start else "unknown",
        "recorded": item.recorded_at,
        "performer": [{"actor": _named(item.author)}] if item.author else [],
    }


def _plan(item: CareItem) -> Resource:
    return {
        **_status(item, _REQUEST),
        "intent": "plan",
        "category": [_concept(item)] if item.codes else [],
        "title": item.text,
        "subject": client(item.subject),
        "period": _between(item),
        "created": item.recorded_at,
        "author": _named(item.author),
    }


def _assessment(item: CareItem) -> Resource:
    # The type has no code: what was asked stands as the text of a group.
    known = _statuses("in-progress completed amended entered-in-error stopped")
    said = item.text or item.codes[0].display or item.codes[0].code
    return {
        "identifier": {"value": item.item_id},
        **_status(item, known),
        "subject": client(item.subject),
        "authored": item.start or item.recorded_at,
        "author": _named(item.author),
        "item": [{"linkId": "1", "text": said}],
    }


def _flag(item: CareItem) -> Resource:
    known = _statuses("active inactive entered-in-error")
    safeguarding = {"coding": [{"code": "safeguarding"}], "text": "Safeguarding"}
    return {
        **_status(item, known),
        "category": [safeguarding] if item.heading is Heading.SAFEGUARDING else [],
        "code": _stated(item),
        "subject": client(item.subject),
        "period": _between(item),
        "author": _named(item.author),
    }


def _referral(item: CareItem) -> Resource:
    return {
        **_status(item, _REQUEST),
        "intent": "order",
        "code": _concept(item),
        "subject": client(item.subject),
        "occurrencePeriod": _between(item),
        "authoredOn": item.recorded_at,
        "requester": _named(item.author),
    }


def _appointment(item: CareItem) -> Resource:
    timed = {"start": item.start, "end": item.end}
    return {
        **_status(item, _APPOINTMENT),
        "serviceType": [_concept(item)] if item.codes else [],
        "description": item.text,
        **{key: value for key, value in timed.items() if value and "T" in value},
        "requestedPeriod": [
            without_empty({key: v for key, v in timed.items() if v and "T" not in v})
        ]
        if any(v and "T" not in v for v in timed.values())
        else [],
        "created": item.recorded_at,
        "participant": [{"actor": client(item.subject), "status": "accepted"}],
    }


def _episode(item: CareItem) -> Resource:
    registration = {"coding": [{"code": "registration"}], "text": "Registration"}
    types = [_concept(item)] if _concept(item) else []
    return {
        **_status(item, _EPISODE),
        "type": [registration, *types] if item.heading is Heading.REGISTRATION else types,
        "patient": client(item.subject),
        "managingOrganization": organisation(item.organisation),
        "period": _between(item),
        "careManager": _named(item.author),
    }


def _team(item: CareItem) -> Resource:
    known = _statuses("proposed active suspended inactive entered-in-error")
    return {
        "status": item.status if item.status in known else None,
        "category": [_concept(item)] if item.codes else [],
        "name": item.text,
        "subject": client(item.subject),
        "period": _between(item),
        "participant": [{"member": _named(item.author)}] if item.author else [],
        "managingOrganization": [organisation(item.organisation)] if item.organisation else [],
    }


def _related(item: CareItem) -> Resource:
    relation = _concept(item) if item.codes else None
    return {
        "patient": client(item.subject),
        "relationship": [without_empty({**relation, "text": None})] if relation else [],
        "name": [{"text": item.text}] if item.text else [],
        "period": _between(item),
    }


def _document(item: CareItem) -> Resource:
    known = _statuses("current superseded entered-in-error")
    return {
        **_status(item, known),
        "type": _concept(item),
        "subject": client(item.subject),
        "date": item.recorded_at,
        "author": [_named(item.author)] if item.author else [],
        "custodian": organisation(item.organisation),
        "description": item.text,
        "content": [{"attachment": {"title": item.text or HEADINGS[item.heading].title}}],
        "context": {"period": _between(item)} if _between(item) else None,
    }


def _consent(item: CareItem) -> Resource:
    known = _statuses("draft proposed active rejected inactive entered-in-error")
    scope = {"system": f"{TERMINOLOGY}/consentscope", "code": "patient-privacy"}
    return {
        **_status(item, known),
        "scope": {"coding": [scope]},
        "category": [_stated(item)],
        "patient": client(item.subject),
        "dateTime": item.recorded_at or item.start,
        "performer": [_named(item.author)] if item.author else [],
        "organization": [organisation(item.organisation)] if item.organisation else [],
        "policyRule": {"text": "not stated"},
        "provision": {"period": _between(item)} if _between(item) else None,
    }


_BUILDERS: dict[Heading, Callable[[CareItem], Resource]] = {
    Heading.ENCOUNTER: _encounter("AMB"),
    Heading.ADMISSION: _encounter("IMP"),
    Heading.CONDITION: _condition,
    Heading.MEDICATION: _medication,
    Heading.ALLERGY: _allergy,
    Heading.OBSERVATION: _observation,
    Heading.PROCEDURE: _procedure,
    Heading.IMMUNISATION: _immunisation,
    Heading.CARE_PLAN: _plan,
    Heading.ASSESSMENT: _assessment,
    Heading.SAFEGUARDING: _flag,
    Heading.ALERT: _flag,
    Heading.REFERRAL: _referral,
    Heading.APPOINTMENT: _appointment,
    Heading.CASELOAD: _episode,
    Heading.REGISTRATION: _episode,
    Heading.PROFESSIONAL_CONTACT: _team,
    Heading.PERSONAL_CONTACT: _related,
    Heading.DOCUMENT: _document,
    Heading.SHARING_PREFERENCE: _consent,
}
