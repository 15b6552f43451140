"""Errors and refusals as OperationOutcome: one table from code to status and issue.

Rules:
- Every answer that is not what was asked for is a row here; nothing else sets a status.
- Diagnostics say where, what was expected and what to do; never a person's value.
- What is silently refused answers as what is absent does: by the same row and the same words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.errors import (
    CommonthreadError,
    InputError,
    InvalidSearch,
    InvalidValue,
    LogFailed,
    NeedsDecision,
    NotFound,
    NotPermitted,
    PersonGone,
    StoreError,
    WorkspaceBusy,
)

SPINE_CODES = "https://fhir.nhs.uk/R4/CodeSystem/Spine-ErrorOrWarningCode"
OWN_CODES = "urn:commonthread:outcome"


@dataclass(frozen=True)
class OutcomeSpec:
    """One row of `OUTCOMES`.

    Attributes:
        status: of HTTP.
        issue: FHIR R4 value set issue-type.
        display: what it means, in a few words.
        system: of the code: the Spine's for those that the Personal Demographics Service has.
        severity: FHIR R4 value set issue-severity.
    """

    status: int
    issue: str
    display: str
    system: str = OWN_CODES
    severity: str = "error"


OUTCOMES: dict[str, OutcomeSpec] = {
    "INVALID_SEARCH_DATA": OutcomeSpec(
        400, "invalid", "Too little or contradictory to search by", SPINE_CODES
    ),
    "INVALID_VALUE": OutcomeSpec(400, "value", "A parameter has an invalid value", SPINE_CODES),
    "MISSING_VALUE": OutcomeSpec(400, "required", "A required value is missing", SPINE_CODES),
    "ADDITIONAL_PROPERTIES": OutcomeSpec(
        400, "not-supported", "Parameters that this search does not have", SPINE_CODES
    ),
    "UNSUPPORTED_SERVICE": OutcomeSpec(
        400, "not-supported", "Not enough was given to serve the request", SPINE_CODES
    ),
    "INVALID_RESOURCE": OutcomeSpec(
        400, "structure", "The body is not the FHIR resource expected here"
    ),
    "INVALID_CURSOR": OutcomeSpec(
        400, "value", "The page address is not one that was given to you: search again"
    ),
    "USE_POST_SEARCH": OutcomeSpec(
        400, "security", "Persons' details do not belong in addresses: use POST _search"
    ),
    "ACCESS_DENIED": OutcomeSpec(401, "login", "No access token was given", SPINE_CODES),
    "INVALID_TOKEN": OutcomeSpec(401, "login", "The access token does not count here"),
    "EXPIRED_TOKEN": OutcomeSpec(401, "expired", "The access token has expired"),
    "PURPOSE_NEEDED": OutcomeSpec(
        403, "required", "A purpose of use that the token carries has to be chosen"
    ),
    "ROLE_NEEDED": OutcomeSpec(403, "forbidden", "The token names no role that is known here"),
    "INSUFFICIENT_SCOPE": OutcomeSpec(403, "forbidden", "The token's scopes do not include this"),
    "NOT_PERMITTED": OutcomeSpec(403, "forbidden", "This may not be shown or done"),
    "RESOURCE_NOT_FOUND": OutcomeSpec(
        404, "not-found", "Nothing of this id, or nothing that may be known of", SPINE_CODES
    ),
    "TARGET_SYSTEM_NOT_FOUND": OutcomeSpec(
        403, "code-invalid", "No identifiers of that system are held here"
    ),
    "IDENTIFIER_NOT_FOUND": OutcomeSpec(404, "not-found", "No person has that identifier"),
    "SOURCE_SYSTEM_NOT_FOUND": OutcomeSpec(
        400, "code-invalid", "No identifiers of that system are held here"
    ),
    "NO_SUCH_ROUTE": OutcomeSpec(404, "not-supported", "The API has no such address"),
    "METHOD_NOT_ALLOWED": OutcomeSpec(405, "not-supported", "Not with this method"),
    "NOT_ACCEPTABLE": OutcomeSpec(406, "not-supported", "Answers are FHIR R4 as JSON"),
    "CONFLICT": OutcomeSpec(409, "conflict", "Something else was changed meanwhile: try again"),
    "GONE": OutcomeSpec(410, "deleted", "This id is gone: identify the person again"),
    "TOO_LONG": OutcomeSpec(413, "too-long", "The request is too long"),
    "UNSUPPORTED_MEDIA_TYPE": OutcomeSpec(415, "not-supported", "This content type is not read"),
    "THROTTLED": OutcomeSpec(429, "throttled", "Too many requests: wait"),
    "TOO_MANY_MATCHES": OutcomeSpec(
        200, "multiple-matches", "More persons match than may be shown", SPINE_CODES
    ),
    "UNFORESEEN": OutcomeSpec(500, "exception", "An error nobody foresaw", severity="fatal"),
    "LOG_FAILED": OutcomeSpec(
        503, "transient", "The audit log cannot be written, so nothing is shown"
    ),
    "UNAVAILABLE": OutcomeSpec(503, "transient", "Not ready to answer: try again shortly"),
}
"""Code → what it answers with."""

_BY_ERROR: dict[type[CommonthreadError], str] = {
    NotFound: "RESOURCE_NOT_FOUND",
    PersonGone: "GONE",
    NotPermitted: "NOT_PERMITTED",
    InvalidValue: "INVALID_VALUE",
    InputError: "UNAVAILABLE",
    StoreError: "UNAVAILABLE",
    LogFailed: "LOG_FAILED",
    WorkspaceBusy: "CONFLICT",
    NeedsDecision: "CONFLICT",
}
"""Class of error → its code (its nearest listed ancestor counts)."""


class Refused(CommonthreadError):
    """The API does not do what was asked.

    Args:
        code: a key of `OUTCOMES`.
        message: where, what was expected, what to do. Never a person's value.
        headers: of the answer, such as Retry-After.
    """

    def __init__(self, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        super().__init__(f"{code}: {message}")


def code_of(error: CommonthreadError) -> str:
    """The code that an error answers with."""
    if isinstance(error, Refused):
        return error.code
    if isinstance(error, InvalidSearch) and error.code in OUTCOMES:
        return error.code
    for cls in type(error).__mro__:
        if cls in _BY_ERROR:
            return _BY_ERROR[cls]
    return "UNFORESEEN"


_SAME_WORDS = frozenset({"RESOURCE_NOT_FOUND", "UNAVAILABLE", "UNFORESEEN"})
"""Codes that always answer with the words of the table: of what is not there, so that nothing tells
it from what is silently refused; of our own troubles, because they are nobody else's business."""


def message_of(error: CommonthreadError) -> str:
    """What an error says to who asked."""
    if isinstance(error, Refused):
        return error.message
    if isinstance(error, InvalidSearch):
        return error.reason.removeprefix(f"{error.code}: ")
    if code_of(error) in _SAME_WORDS:
        return OUTCOMES[code_of(error)].display
    return str(error)


def outcome(code: str, diagnostics: str) -> dict[str, Any]:
    """An OperationOutcome with one issue."""
    spec = OUTCOMES[code]
    coding = {"system": spec.system, "code": code, "display": spec.display}
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": spec.severity,
                "code": spec.issue,
                "details": {"coding": [coding]},
                "diagnostics": diagnostics,
            }
        ],
    }
