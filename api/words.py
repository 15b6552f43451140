"""Names of ours on the wire: extensions, code systems, addresses of what the API says beside FHIR.

They are URNs: nothing has to answer at them. docs/api.md says what each means.
"""

from __future__ import annotations

from consent.shared import SilenceState
from schemas.items import HEADINGS, Heading

BASE = "/fhir/R4"

EXTENSION = "urn:commonthread:extension:"
SOURCE = EXTENSION + "source"
CUSTODIAN = EXTENSION + "custodian"
RECORDED = EXTENSION + "recorded"
FRESHNESS = EXTENSION + "freshness"
ALTERNATIVE = EXTENSION + "alternative"
RING = EXTENSION + "ring"
SINCE = EXTENSION + "since"
ATTENDANCE_ONLY = EXTENSION + "attendance-only"
PRESENCE_ONLY = EXTENSION + "presence-only"

SOURCE_SYSTEM = "urn:commonthread:source:"
"""Begins the system of a source's local ids, and `meta.source` of what it sent."""
PERSON_SYSTEM = "urn:commonthread:person"
"""System of the partnership's own person ids."""
HEADING_CODES = "urn:commonthread:heading"
SILENCE_CODES = "urn:commonthread:silence"
LABEL_CODES = "urn:commonthread:label"
FLAG_CODES = "urn:commonthread:safeguarding-flag"

EMPTY_REASONS = "http://terminology.hl7.org/CodeSystem/list-empty-reason"
EMPTY_REASON_OF: dict[SilenceState, str | None] = {
    SilenceState.PRESENT: None,
    SilenceState.RECORDED_AS_NONE: "nilknown",
    SilenceState.NOTHING_RECORDED: None,
    SilenceState.WITHHELD: "withheld",
    SilenceState.STALE: "unavailable",
    SilenceState.FEED_FAILED: "unavailable",
    SilenceState.NOT_CONNECTED: "unavailable",
}
"""What silence means → FHIR's code where it has one for that; ours always stands beside it."""

HEADINGS_OF_TYPE: dict[str, frozenset[Heading]] = {
    kind: frozenset(h for h, spec in HEADINGS.items() if kind in spec.fhir_types)
    for kind in sorted({kind for spec in HEADINGS.values() for kind in spec.fhir_types})
}
"""FHIR resource type → headings whose items can be of it."""


def slug(text: str) -> str:
    """A text as part of a FHIR id or code: spaces and underscores become hyphens."""
    return text.replace("_", "-").replace(" ", "-")
