"""Care items as FHIR R4 resources, each with where it comes from.

Rules:
- Takes what stands in a SharedRecord, and shows all of it: nothing is decided here.
- What came as FHIR goes out with the elements it came with, save those that speak of the sender's
  own world: its ids, narrative, contained resources and addresses of other resources. Identifiers
  and displays of what it refers to stay.
- What came otherwise is built of what is kept (schemas/fhir_items.py).
- The subject is always the person, by the partnership's id.
- `meta` says source, custodian, when recorded, when received, how fresh, and the security labels.
"""

from __future__ import annotations

from typing import Any

import msgspec

from api.words import ATTENDANCE_ONLY, CUSTODIAN, FRESHNESS, PRESENCE_ONLY, RECORDED, SOURCE_SYSTEM
from consent.shared import SharedItem
from schemas.fhir_items import TERMINOLOGY, Resource, item_resource, organisation, without_empty
from schemas.items import HEADINGS, CareItem, Heading

SUBJECTS: dict[str, str] = {
    **dict.fromkeys(
        (
            "AllergyIntolerance", "Consent", "EpisodeOfCare", "Immunization", "RelatedPerson",
            "NutritionOrder", "Coverage", "Device", "ImmunizationRecommendation",
        ),
        "patient",
    ),
    **dict.fromkeys(
        (
            "CarePlan", "CareTeam", "Communication", "CommunicationRequest", "Composition",
            "Condition", "DeviceRequest", "DiagnosticReport", "DocumentReference", "Encounter",
            "FamilyMemberHistory", "Flag", "Goal", "List", "Media", "MedicationAdministration",
            "MedicationDispense", "MedicationRequest", "MedicationStatement", "Observation",
            "Procedure", "QuestionnaireResponse", "RiskAssessment", "ServiceRequest", "Specimen",
        ),
        "subject",
    ),
}  # fmt: skip
"""Resource type → the element that says whose it is. Of an Appointment it is a participant."""

_SENDERS_OWN = ("id", "meta", "text", "contained", "implicitRules")
_WITHOUT_ORIGINAL = frozenset({"List", "Patient", "Bundle", "PractitionerRole", "Practitioner"})


def kind_of(item: CareItem) -> str | None:
    """The resource type that an item is written as; None where it has none of its own (an empty
    List is told as what silence means)."""
    if item.original is not None:
        kind = item.original.get("resourceType")
        return None if kind in _WITHOUT_ORIGINAL else kind
    kinds = HEADINGS[item.heading].fhir_types
    return kinds[0] if kinds else None


def resource(shared: SharedItem, subject: Resource) -> Resource:
    """The resource of an item.

    Args:
        subject: a Reference to the person.

    Requires: `kind_of` of the item is not None.
    """
    item = shared.item
    built = _as_received(item) if item.original is not None else _built(item, shared)
    kind = built.pop("resourceType")
    head: Resource = {"resourceType": kind, "id": shared.item_key, "meta": _meta(shared)}
    _set_subject(kind, built, subject)
    return head | built


def provenance(shared: SharedItem) -> Resource:
    """Where an item comes from, as a resource of its own."""
    item = shared.item
    agents = [
        _agent("custodian", organisation(shared.custodian)),
        _agent("author", {"display": item.author} if item.author else None),
        _agent(
            "assembler",
            {"identifier": {"system": SOURCE_SYSTEM[:-1], "value": shared.source}}
            if shared.source
            else None,
        ),
    ]
    held = [agent for agent in agents if agent is not None]
    unsaid: Resource = {"who": {"display": "withheld"}}
    return without_empty(
        {
            "resourceType": "Provenance",
            "id": shared.item_key,
            "target": [{"reference": f"{kind_of(item)}/{shared.item_key}"}],
            "occurredDateTime": shared.recorded_at,
            "recorded": shared.received_at,
            "agent": held or [unsaid],
        }
    )


def _agent(kind: str, who: Resource | None) -> Resource | None:
    if who is None:
        return None
    system = f"{TERMINOLOGY}/provenance-participant-type"
    return {"type": {"coding": [{"system": system, "code": kind}]}, "who": who}


def _meta(shared: SharedItem) -> Resource:
    custodian = organisation(shared.custodian)
    extensions: list[Resource] = [
        {"url": FRESHNESS, "valueCode": "stale" if shared.stale else "current"}
    ]
    if shared.recorded_at:
        extensions.append({"url": RECORDED, "valueInstant": shared.recorded_at})
    if custodian:
        extensions.append({"url": CUSTODIAN, "valueReference": custodian})
    if shared.attendance_only:
        extensions.append({"url": ATTENDANCE_ONLY, "valueBoolean": True})
    if shared.presence_only:
        extensions.append({"url": PRESENCE_ONLY, "valueBoolean": True})
    made: Resource = {"extension": extensions, "lastUpdated": shared.received_at}
    if shared.source:
        made["source"] = f"{SOURCE_SYSTEM}{shared.source}"
    security = _security(shared.item)
    return made | {"security": security} if security else made


def _security(item: CareItem) -> list[Resource]:
    """Labels as sent; of what came as FHIR whole."""
    sent = ((item.original or {}).get("meta") or {}).get("security")
    if isinstance(sent, list) and sent:
        return list(sent)
    return [{"code": label} for label in item.sensitivity if not any(c.isspace() for c in label)]


def _built(item: CareItem, shared: SharedItem) -> Resource:
    built = item_resource(msgspec.structs.replace(item, subject=None))
    built.pop("meta", None)
    built.pop("participant" if item.heading is Heading.APPOINTMENT else "", None)
    if shared.source is None:
        built.pop("identifier", None)
    if item.heading is Heading.OBSERVATION and item.codes and item.text:
        _value(built, item.text)
    reactions = item.details.get("reactions")
    if item.heading is Heading.ALLERGY and isinstance(reactions, list):
        built["reaction"] = [{"manifestation": [{"text": str(said)}]} for said in reactions]
    return built


def _value(observation: Resource, words: str) -> None:
    """Where an observation has codes, its words are the result, unless they only name it."""
    code = observation["code"]
    named = {str(coding.get("display", "")).casefold() for coding in code.get("coding", ())}
    if words.casefold() not in named:
        observation["valueString"] = words
        code.pop("text", None)


def _as_received(item: CareItem) -> Resource:
    original = dict(item.original or {})
    status = None
    if original.get("resourceType") == "Appointment":
        original["participant"], status = _attending(original.get("participant"))
    kept = {
        key: _without_addresses(value)
        for key, value in original.items()
        if key not in _SENDERS_OWN and not key.startswith("_text")
    }
    built = without_empty(kept | {"_attending": status})
    if original.get("resourceType") == "DocumentReference" and "content" not in built:
        title = item.text or HEADINGS[item.heading].title
        built["content"] = [{"attachment": {"title": title}}]
    if "medicationReference" in original:
        # What it refers to is a resource of the sender's: its code is held with the item.
        built.pop("medicationReference", None)
        built["medicationCodeableConcept"] = without_empty(
            {
                "coding": [
                    without_empty({"system": c.system, "code": c.code, "display": c.display})
                    for c in item.codes
                    if not any(char.isspace() for char in c.code)
                ],
                "text": item.text or HEADINGS[item.heading].title,
            }
        )
    return built


def _without_addresses(value: Any) -> Any:
    """The value without addresses of other resources of the sender's, and what is left empty."""
    if isinstance(value, dict):
        kept: Resource = {}
        for key, held in value.items():
            if isinstance(held, str):
                if held and key != "reference":
                    kept[key] = held
                continue
            inner = _without_addresses(held)
            if inner or inner is False or inner == 0:
                kept[key] = inner
        return kept
    if isinstance(value, list):
        return [held for held in map(_without_addresses, value) if held not in ({}, [], None)]
    return value


def _set_subject(kind: str, built: Resource, subject: Resource) -> None:
    if kind == "Appointment":
        others = [p for p in built.get("participant", ()) if p.get("actor")]
        mine = {"actor": subject, "status": built.pop("_attending", "accepted")}
        built["participant"] = [mine, *others]
    elif kind in SUBJECTS:
        built[SUBJECTS[kind]] = subject


def _attending(participants: Any) -> tuple[list[Any], str]:
    """The participants of an appointment who are not the patient, and the patient's status."""
    others, status = [], "accepted"
    for participant in participants if isinstance(participants, list) else []:
        actor = participant.get("actor") or {}
        if actor.get("type") == "Patient" or "Patient/" in str(actor.get("reference", "")):
            status = participant.get("status", status)
        else:
            others.append(participant)
    return others, status
