"""Care items: what a shared record holds beside demographics, by PRSB heading.

The headings follow the PRSB Core Information Standard. One type serves all headings; the table
`HEADINGS` says for each its title, the FHIR R4 resource types it comes from and goes to, and what
an item must carry, so that a new heading is a row, not a class.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from schemas.dates import Instant, PartialDate
from schemas.errors import InvalidValue
from schemas.identifiers import LocalId, OdsCode


class Heading(StrEnum):
    """The headings under which a shared record is kept and shown."""

    ENCOUNTER = "encounter"
    ADMISSION = "admission"
    CONDITION = "condition"
    MEDICATION = "medication"
    ALLERGY = "allergy"
    OBSERVATION = "observation"
    PROCEDURE = "procedure"
    IMMUNISATION = "immunisation"
    CARE_PLAN = "care_plan"
    ASSESSMENT = "assessment"
    SAFEGUARDING = "safeguarding"
    ALERT = "alert"
    REFERRAL = "referral"
    APPOINTMENT = "appointment"
    CASELOAD = "caseload"
    REGISTRATION = "registration"
    PROFESSIONAL_CONTACT = "professional_contact"
    PERSONAL_CONTACT = "personal_contact"
    DOCUMENT = "document"
    SHARING_PREFERENCE = "sharing_preference"
    UNCLASSIFIED = "unclassified"


@dataclass(frozen=True)
class HeadingSpec:
    """One row of `HEADINGS`.

    Attributes:
        title: as a reader sees it (PRSB Core Information Standard wording where it has one).
        fhir_types: FHIR R4 resource types that arrive under this heading; the first is written.
        needs: fields of CareItem of which at least one must be present.
    """

    title: str
    fhir_types: tuple[str, ...]
    needs: tuple[str, ...] = ("codes", "text")


HEADINGS: dict[Heading, HeadingSpec] = {
    Heading.ENCOUNTER: HeadingSpec(
        "Contacts and attendances", ("Encounter",), ("codes", "text", "start")
    ),
    Heading.ADMISSION: HeadingSpec(
        "Admission and discharge", ("Encounter",), ("start", "end", "text")
    ),
    Heading.CONDITION: HeadingSpec("Problems and diagnoses", ("Condition",)),
    Heading.MEDICATION: HeadingSpec(
        "Medications",
        (
            "MedicationStatement",
            "MedicationRequest",
            "MedicationAdministration",
            "MedicationDispense",
        ),
    ),
    Heading.ALLERGY: HeadingSpec("Allergies and adverse reactions", ("AllergyIntolerance",)),
    Heading.OBSERVATION: HeadingSpec(
        "Investigation results and observations", ("Observation", "DiagnosticReport")
    ),
    Heading.PROCEDURE: HeadingSpec("Procedures and therapies", ("Procedure",)),
    Heading.IMMUNISATION: HeadingSpec("Vaccinations", ("Immunization",)),
    Heading.CARE_PLAN: HeadingSpec("Care and support plan", ("CarePlan",)),
    Heading.ASSESSMENT: HeadingSpec("Assessments", ("QuestionnaireResponse",)),
    Heading.SAFEGUARDING: HeadingSpec("Safeguarding", ("Flag",)),
    Heading.ALERT: HeadingSpec("Alerts", ("Flag",)),
    Heading.REFERRAL: HeadingSpec("Referrals", ("ServiceRequest",)),
    Heading.APPOINTMENT: HeadingSpec("Appointments", ("Appointment",), ("codes", "text", "start")),
    Heading.CASELOAD: HeadingSpec("Caseloads", ("EpisodeOfCare",), ("codes", "text", "author")),
    Heading.REGISTRATION: HeadingSpec("Registration", ("EpisodeOfCare",), ("organisation", "text")),
    Heading.PROFESSIONAL_CONTACT: HeadingSpec(
        "Professional contacts", ("CareTeam",), ("text", "author")
    ),
    Heading.PERSONAL_CONTACT: HeadingSpec("Personal contacts", ("RelatedPerson",), ("text",)),
    Heading.DOCUMENT: HeadingSpec(
        "Documents", ("DocumentReference", "Binary"), ("codes", "text", "original")
    ),
    Heading.SHARING_PREFERENCE: HeadingSpec("Sharing preferences", ("Consent",)),
    Heading.UNCLASSIFIED: HeadingSpec("Kept as received", (), ("original",)),
}


class Coding(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A code as sent. `system` is a URI or the sender's own name of the code list."""

    code: str
    system: str | None = None
    display: str | None = None


class CareItem(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """One care item of one client of one source.

    `item_id` is the source's own id of it, unique in the source within its heading; an item sent
    again under the same id is a new version of it. `subject` is the client's local id, None only
    for resources that belong to nobody (a Location, a Medication) and are kept unclassified.
    `original` holds the FHIR resource as received where the feed is FHIR, so that it can be
    written out again.
    """

    heading: Heading
    item_id: str
    subject: LocalId | None
    codes: tuple[Coding, ...] = ()
    text: str | None = None
    status: str | None = None
    start: PartialDate | Instant | None = None
    end: PartialDate | Instant | None = None
    recorded_at: Instant | None = None
    author: str | None = None
    organisation: OdsCode | None = None
    """The custodian: the organisation that holds and answers for the item."""
    sensitivity: tuple[str, ...] = ()
    """Security labels as sent (e.g. sexual health); policy decides what they mean."""
    details: dict[str, Any] = msgspec.field(default_factory=dict)
    original: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.item_id:
            raise InvalidValue("a care item needs the source's id of it")
        needs = HEADINGS[self.heading].needs
        for name in needs:
            if getattr(self, name):
                return
        raise InvalidValue(f"an item under '{self.heading}' needs one of: {', '.join(needs)}")
