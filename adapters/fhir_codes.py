"""Codes and systems that UK senders of FHIR use, as tables, each with its source.

A code that is in no table is never guessed at: the mappings keep it as sent and count it.
"""

from __future__ import annotations

from typing import Any

from adapters.fhir_values import codings, obj, objects, text
from schemas.codes import ETHNIC_CATEGORIES, Gender, NumberStatus
from schemas.errors import InvalidValue
from schemas.identifiers import OdsCode, parse_ods_code
from schemas.items import Heading

NHS_NUMBER_SYSTEMS = frozenset(
    {
        "https://fhir.nhs.uk/Id/nhs-number",
        "http://fhir.nhs.uk/Id/nhs-number",
        "https://fhir.nhs.net/Id/nhs-number",
        "http://fhir.nhs.net/Id/nhs-number",
        "https://fhir.hl7.org.uk/Id/nhs-number",
        "urn:oid:2.16.840.1.113883.2.1.4.1",
        "2.16.840.1.113883.2.1.4.1",
    }
)

ODS_SYSTEMS = frozenset(
    f"{scheme}://fhir.{home}/Id/{name}"
    for scheme in ("https", "http")
    for home in ("nhs.uk", "nhs.net", "hl7.org.uk")
    for name in ("ods-organization-code", "ods-site-code")
)

NUMBER_STATUSES: dict[str, NumberStatus] = {
    **{status.value: status for status in NumberStatus},
    "number-present-and-verified": NumberStatus.VERIFIED,
    "number-present-but-not-traced": NumberStatus.PRESENT_NOT_TRACED,
    "trace-required": NumberStatus.TRACE_REQUIRED,
    "trace-attempted-no-match-or-multiple-match": NumberStatus.TRACE_NO_MATCH,
    "trace-attempted-no-match-or-multiple-match-found": NumberStatus.TRACE_NO_MATCH,
    "trace-needs-to-be-resolved": NumberStatus.TRACE_NEEDS_RESOLVING,
    "trace-needs-to-be-resolved-nhs-number-or-patient-detail-conflict": (
        NumberStatus.TRACE_NEEDS_RESOLVING
    ),
    "trace-in-progress": NumberStatus.TRACE_IN_PROGRESS,
    "number-not-present-and-trace-not-required": NumberStatus.NOT_PRESENT,
    "trace-postponed": NumberStatus.TRACE_POSTPONED,
    "trace-postponed-baby-under-six-weeks-old": NumberStatus.TRACE_POSTPONED,
}
"""NHS Data Dictionary status codes, and the names of the UK Core and CareConnect code systems."""

BIRTH_SEXES: dict[str, Gender] = {
    "M": Gender.MALE,
    "F": Gender.FEMALE,
    "MALE": Gender.MALE,
    "FEMALE": Gender.FEMALE,
    "I": Gender.OTHER,
    "UN": Gender.OTHER,
    "INDETERMINATE": Gender.OTHER,
    "1": Gender.MALE,
    "2": Gender.FEMALE,
    "9": Gender.OTHER,
    "U": Gender.UNKNOWN,
    "UNK": Gender.UNKNOWN,
    "UNKNOWN": Gender.UNKNOWN,
    "X": Gender.UNKNOWN,
    "0": Gender.UNKNOWN,
}
"""v3-AdministrativeGender, administrative-gender and NHS Data Dictionary PERSON PHENOTYPIC SEX."""

RESTRICTED_LABELS = frozenset({"R", "V", "RESTRICTED", "VERY RESTRICTED", "REDACTED"})
"""meta.security codes: v3-Confidentiality restricted and very restricted, and PDS's own."""

SAFEGUARDING_CODES = frozenset(
    {
        "342191000000101",  # SNOMED CT: subject to child protection plan
        "764841000000100",  # SNOMED CT: looked after child
        "818901000000100",  # SNOMED CT: unborn child subject to child protection plan
        "safeguarding",
        "child-protection",
        "child-protection-plan",
        "looked-after-child",
        "cp-is",
        "cpp",
        "cin",
        "lac",
        "ucpp",
    }
)
"""Flag.code and Flag.category codes that mean safeguarding: those of Child Protection - Information
Sharing (UK Core), and the words local systems use. Compared in lower case."""

SAFEGUARDING_WORDS = ("safeguard", "child protection", "looked after child", "looked-after child")
"""Words in a Flag's category or code texts that mean safeguarding: local systems often send only
words, and a safeguarding flag shown as a common alert could reach the person who does the harm."""

REGISTRATION_CODES = frozenset(
    {"184047000", "registration", "gp-registration", "patient-registration"}
)
"""EpisodeOfCare.type codes that mean being registered (184047000: SNOMED CT patient registration)
rather than being on a caseload. Compared in lower case."""

INPATIENT_CLASSES = frozenset({"IMP", "ACUTE", "NONAC"})
"""Encounter.class codes that mean an admission (v3-ActEncounterCode: inpatient and its children).
An emergency or short-stay encounter is an attendance until the source says it is inpatient."""

LIST_HEADINGS: dict[str, Heading] = {
    "886921000000105": Heading.ALLERGY,
    "48765-2": Heading.ALLERGY,
    "52472-8": Heading.ALLERGY,
    "933361000000108": Heading.MEDICATION,
    "10160-0": Heading.MEDICATION,
    "717711000000103": Heading.CONDITION,
    "11450-4": Heading.CONDITION,
    "1102181000000102": Heading.IMMUNISATION,
    "11369-6": Heading.IMMUNISATION,
    "887191000000108": Heading.OBSERVATION,
    "792931000000107": Heading.REFERRAL,
    "1149501000000101": Heading.ENCOUNTER,
}
"""List.code to the heading that an empty List speaks of: SNOMED CT codes of GP Connect Access
Record Structured and UK Core, LOINC codes of the FHIR examples."""


def ods_identifier(identifiers: Any) -> OdsCode | None:
    """The ODS code among identifiers, or None."""
    for identifier in objects(identifiers):
        if text(identifier.get("system")) in ODS_SYSTEMS:
            try:
                return parse_ods_code(text(identifier.get("value")) or "")
            except InvalidValue:
                continue
    return None


def ethnic_category(code: str) -> str | None:
    """The national category of a code: itself, or the letter that a local code begins with
    (NHS Data Dictionary: the second character is local)."""
    upper = code.upper()
    if upper in ETHNIC_CATEGORIES:
        return upper
    return upper[0] if len(upper) == 2 and upper[0] in ETHNIC_CATEGORIES else None


def security_labels(resource: dict[str, Any]) -> tuple[str, ...]:
    """The codes of meta.security, as sent."""
    labels = obj(resource.get("meta")).get("security")
    return tuple(coding.code for coding in codings(labels)) if labels else ()


def is_restricted(resource: dict[str, Any]) -> bool:
    """Whether a security label restricts the resource."""
    return any(label.upper() in RESTRICTED_LABELS for label in security_labels(resource))
