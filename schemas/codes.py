"""Code lists of the domain. Tables, each with its source; no behaviour beyond looking up."""

from __future__ import annotations

from enum import StrEnum


class Gender(StrEnum):
    """Administrative gender (FHIR R4 value set administrative-gender)."""

    MALE = "male"
    FEMALE = "female"
    OTHER = "other"
    UNKNOWN = "unknown"


class NumberStatus(StrEnum):
    """How far an NHS number can be trusted (NHS Data Dictionary, status indicator code)."""

    VERIFIED = "01"
    """Number present and verified: traced against the spine."""
    PRESENT_NOT_TRACED = "02"
    TRACE_REQUIRED = "03"
    TRACE_NO_MATCH = "04"
    TRACE_NEEDS_RESOLVING = "05"
    TRACE_IN_PROGRESS = "06"
    NOT_PRESENT = "07"
    TRACE_POSTPONED = "08"


class NameUse(StrEnum):
    """FHIR R4 value set name-use."""

    USUAL = "usual"
    OFFICIAL = "official"
    TEMP = "temp"
    NICKNAME = "nickname"
    ANONYMOUS = "anonymous"
    OLD = "old"
    MAIDEN = "maiden"


class AddressUse(StrEnum):
    """FHIR R4 value set address-use."""

    HOME = "home"
    WORK = "work"
    TEMP = "temp"
    OLD = "old"
    BILLING = "billing"


class TelecomSystem(StrEnum):
    """FHIR R4 value set contact-point-system."""

    PHONE = "phone"
    EMAIL = "email"
    SMS = "sms"
    FAX = "fax"
    PAGER = "pager"
    URL = "url"
    OTHER = "other"


ETHNIC_CATEGORIES: dict[str, str] = {
    "A": "White: British",
    "B": "White: Irish",
    "C": "White: any other",
    "D": "Mixed: White and Black Caribbean",
    "E": "Mixed: White and Black African",
    "F": "Mixed: White and Asian",
    "G": "Mixed: any other",
    "H": "Asian: Indian",
    "J": "Asian: Pakistani",
    "K": "Asian: Bangladeshi",
    "L": "Asian: any other",
    "M": "Black: Caribbean",
    "N": "Black: African",
    "P": "Black: any other",
    "R": "Chinese",
    "S": "Any other ethnic group",
    "Z": "Not stated",
    "99": "Not known",
}
"""NHS Data Dictionary, ETHNIC CATEGORY CODE 2001."""

PURPOSES: dict[str, str] = {
    "direct-care": "Direct care of the person",
    "explicit-consent": "The person has agreed to this look",
    "vital-interests": "To protect life",
    "safeguarding": "To protect a child or an adult at risk",
    "data-quality": "To keep the records right: matching, review, correction",
    "audit": "To check who looked and why",
    "own-record": "The person, or one who acts for them, looks at the own record",
    "planning": "Planning of services, not the care of this person",
    "research": "Research",
}
"""Reasons for access that can be chosen. One is always chosen (DESIGN: sharing rules)."""
