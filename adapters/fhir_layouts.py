"""Where each FHIR resource type keeps the fields of a care item, and its heading.

Rules:
- `LAYOUTS` has a row per type that goes under a heading; all others share `OTHER`.
- The heading is that of `schemas.items.HEADINGS`, but for the types in `_HEADING_OF`, which are
  told apart by their codes. A safeguarding flag is told by code or by word, because taking one for
  a common alert is the worse mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from adapters.fhir_codes import (
    INPATIENT_CLASSES,
    LIST_HEADINGS,
    REGISTRATION_CODES,
    SAFEGUARDING_CODES,
    SAFEGUARDING_WORDS,
)
from adapters.fhir_values import codings, concept_text, first_code, objects
from schemas.items import HEADINGS, Heading

Path = tuple[str, ...]


def paths(spec: str) -> tuple[Path, ...]:
    return tuple(tuple(path.split(".")) for path in spec.split())


@dataclass(frozen=True)
class Layout:
    """Where a resource type keeps the fields of an item. Each is paths, tried in order."""

    subject: tuple[Path, ...]
    codes: tuple[Path, ...] = ()
    text: tuple[Path, ...] = ()
    status: tuple[Path, ...] = (("status",),)
    start: tuple[Path, ...] = ()
    end: tuple[Path, ...] = ()
    recorded: tuple[Path, ...] = ()
    author: tuple[Path, ...] = ()
    organisation: tuple[Path, ...] = ()


def _layout(subject: str, **fields: str) -> Layout:
    return Layout(paths(subject), **{name: paths(spec) for name, spec in fields.items()})


_EFFECTIVE = "effectiveDateTime effectiveInstant effectivePeriod.start"
_TWO_STATUSES = "verificationStatus clinicalStatus"
CLINICAL = paths(_TWO_STATUSES)
"""Statuses of types that have two: which one counts is told by adapters/fhir_items.py."""

LAYOUTS: dict[str, Layout] = {
    "Encounter": _layout(
        "subject", codes="type serviceType reasonCode", start="period.start", end="period.end",
        author="participant.individual", organisation="serviceProvider",
    ),
    "Condition": _layout(
        "subject", codes="code", status=_TWO_STATUSES, start="onsetDateTime onsetPeriod.start",
        end="abatementDateTime abatementPeriod.end", recorded="recordedDate",
        author="recorder asserter",
    ),
    "MedicationStatement": _layout(
        "subject", codes="medicationCodeableConcept", start=_EFFECTIVE,
        end="effectivePeriod.end", recorded="dateAsserted", author="informationSource",
    ),
    "MedicationRequest": _layout(
        "subject", codes="medicationCodeableConcept", start="authoredOn",
        end="dispenseRequest.validityPeriod.end", recorded="authoredOn", author="requester",
    ),
    "MedicationAdministration": _layout(
        "subject", codes="medicationCodeableConcept", start=_EFFECTIVE,
        end="effectivePeriod.end", author="performer.actor",
    ),
    "MedicationDispense": _layout(
        "subject", codes="medicationCodeableConcept", start="whenHandedOver whenPrepared",
        author="performer.actor",
    ),
    "AllergyIntolerance": _layout(
        "patient", codes="code", status=_TWO_STATUSES, start="onsetDateTime onsetPeriod.start",
        recorded="recordedDate", author="recorder asserter",
    ),
    "Observation": _layout(
        "subject", codes="code", start=_EFFECTIVE, end="effectivePeriod.end", recorded="issued",
        author="performer",
    ),
    "DiagnosticReport": _layout(
        "subject", codes="code", start=_EFFECTIVE, end="effectivePeriod.end", recorded="issued",
        author="performer resultsInterpreter",
    ),
    "Procedure": _layout(
        "subject", codes="code", start="performedDateTime performedPeriod.start",
        end="performedPeriod.end", author="performer.actor recorder asserter",
    ),
    "Immunization": _layout(
        "patient", codes="vaccineCode", start="occurrenceDateTime", recorded="recorded",
        author="performer.actor",
    ),
    "CarePlan": _layout(
        "subject", codes="category", text="title description", start="period.start",
        end="period.end", recorded="created", author="author contributor",
    ),
    "QuestionnaireResponse": _layout(
        "subject", text="questionnaire", start="authored", recorded="authored", author="author",
    ),
    "Flag": _layout(
        "subject", codes="code category", start="period.start", end="period.end", author="author",
    ),
    "ServiceRequest": _layout(
        "subject", codes="code category", start="occurrenceDateTime occurrencePeriod.start",
        end="occurrencePeriod.end", recorded="authoredOn", author="requester",
    ),
    "Appointment": _layout(
        "", codes="serviceType appointmentType specialty reasonCode", text="description",
        start="start", end="end", recorded="created",
    ),
    "EpisodeOfCare": _layout(
        "patient", codes="type", start="period.start", end="period.end", author="careManager",
        organisation="managingOrganization",
    ),
    "CareTeam": _layout(
        "subject", codes="category", text="name", start="period.start", end="period.end",
        author="participant.member", organisation="managingOrganization",
    ),
    "RelatedPerson": _layout(
        "patient", codes="relationship", status="", start="period.start", end="period.end",
    ),
    "DocumentReference": _layout(
        "subject", codes="type category", text="description content.attachment.title",
        start="context.period.start date", end="context.period.end", recorded="date",
        author="author", organisation="custodian",
    ),
    "Binary": _layout("securityContext", status=""),
    "Consent": _layout(
        "patient", codes="scope category", start="provision.period.start dateTime",
        end="provision.period.end", recorded="dateTime", author="performer",
        organisation="organization",
    ),
    "List": _layout("subject", codes="code", text="title", start="date", author="source"),
}  # fmt: skip

OTHER = _layout(
    "subject patient for beneficiary", codes="code type category", start="period.start",
    end="period.end",
)  # fmt: skip
"""Any type without a layout: kept unclassified."""

_HEADING_BY_TYPE = {kind: heading for heading, spec in HEADINGS.items() for kind in spec.fhir_types}


def _encounter_heading(resource: dict[str, Any]) -> Heading:
    inpatient = first_code(resource.get("class")) in INPATIENT_CLASSES
    return Heading.ADMISSION if inpatient else Heading.ENCOUNTER


def _flag_heading(resource: dict[str, Any]) -> Heading:
    concepts = (*objects(resource.get("category")), *objects(resource.get("code")))
    for concept in concepts:
        told = codings(concept)
        words = [concept_text(concept) or "", *(coding.display or "" for coding in told)]
        if any(coding.code.lower() in SAFEGUARDING_CODES for coding in told):
            return Heading.SAFEGUARDING
        if any(mark in word.lower() for word in words for mark in SAFEGUARDING_WORDS):
            return Heading.SAFEGUARDING
    return Heading.ALERT


def _episode_heading(resource: dict[str, Any]) -> Heading:
    told = codings(resource.get("type"))
    registered = any(coding.code.lower() in REGISTRATION_CODES for coding in told)
    return Heading.REGISTRATION if registered else Heading.CASELOAD


def _list_heading(resource: dict[str, Any]) -> Heading:
    if "emptyReason" not in resource:
        return Heading.UNCLASSIFIED
    told = (LIST_HEADINGS.get(coding.code) for coding in codings(resource.get("code")))
    return next((heading for heading in told if heading), Heading.UNCLASSIFIED)


_HEADING_OF: dict[str, Callable[[dict[str, Any]], Heading]] = {
    "Encounter": _encounter_heading,
    "Flag": _flag_heading,
    "EpisodeOfCare": _episode_heading,
    "List": _list_heading,
}


def layout_of(resource: dict[str, Any]) -> Layout:
    """Where a resource keeps its fields."""
    return LAYOUTS.get(resource["resourceType"], OTHER)


def heading_of(resource: dict[str, Any]) -> Heading:
    """The heading under which a patient's resource is kept."""
    kind = resource["resourceType"]
    tell = _HEADING_OF.get(kind)
    return tell(resource) if tell else _HEADING_BY_TYPE.get(kind, Heading.UNCLASSIFIED)
