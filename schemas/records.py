"""What one unit of a feed can be: a client record, care items, a merge, a staff entry, or rejected.

A *unit* is the smallest thing a format delivers whole: a row, a message, a resource. Every unit
read ends in exactly one outcome: new, changed, unchanged or quarantined.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from schemas.codes import Gender
from schemas.dates import PartialDate, check_partial_date
from schemas.demographics import Address, Death, HumanName, Identifier, NhsNumberClaim, Telecom
from schemas.errors import InvalidValue
from schemas.identifiers import LocalId, OdsCode


class Outcome(StrEnum):
    """How a unit ended. read = new + changed + unchanged + quarantined, always."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    QUARANTINED = "quarantined"


class ClientRecord(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """One client as one source knows them now. Its canonical JSON is what the content hash covers.

    The first entry of each tuple is the current one; the others are history or alternatives.
    `unread` keeps, field by field, text as sent that could not be read as its type: it carries no
    evidence and is not lost. `original` is the FHIR Patient as received, where the feed is FHIR.
    """

    local_id: LocalId
    nhs_number: NhsNumberClaim | None = None
    identifiers: tuple[Identifier, ...] = ()
    names: tuple[HumanName, ...] = ()
    birth_date: PartialDate | None = None
    gender: Gender | None = None
    birth_sex: Gender | None = None
    ethnicity: str | None = None
    addresses: tuple[Address, ...] = ()
    telecoms: tuple[Telecom, ...] = ()
    gp_practice: OdsCode | None = None
    organisation: OdsCode | None = None
    """The organisation whose client this is, where the system serves several."""
    death: Death | None = None
    restricted: bool = False
    """The source flags the person's whereabouts as restricted (DESIGN section 5, rule 2)."""
    replaced_by: LocalId | None = None
    """The source itself says that this record was merged into another of its records."""
    unread: dict[str, str] = msgspec.field(default_factory=dict)
    details: dict[str, Any] = msgspec.field(default_factory=dict)
    original: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.local_id:
            raise InvalidValue("a client record needs the source's id of the client")
        if self.birth_date is not None:
            check_partial_date(self.birth_date)


class SourceMerge(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A source says that two of its records are one client: `retired` is now part of `survivor`
    (HL7 v2 MRG, FHIR Patient.link replaced-by); or, where `undone`, that they are not: a merge of
    the two, either way round, no longer holds (HL7 v2 A37)."""

    retired: LocalId
    survivor: LocalId
    undone: bool = False

    def __post_init__(self) -> None:
        if not self.retired or not self.survivor or self.retired == self.survivor:
            raise InvalidValue("a merge needs two different local ids")


class WithdrawalReason(StrEnum):
    """Why a source takes a record back."""

    DELETED = "deleted"
    """The source holds it no longer, and does not say why."""
    IN_ERROR = "in_error"
    """It should never have been there, or been sent."""
    MOVED_AWAY = "moved_away"
    """The person is no longer a client of the source."""


class Withdrawal(msgspec.Struct, frozen=True, gc=False):
    """A source says that it has no client of this local id any more (HL7 v2 A29, a FHIR DELETE, a
    row whose action says so). Not the same as an inactive client, whose record still stands."""

    local_id: LocalId
    reason: WithdrawalReason

    def __post_init__(self) -> None:
        if not self.local_id:
            raise InvalidValue("a withdrawal needs the source's id of the client")


class IdentityChanged(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A source says that the client whom it knew as `before` has a protected new identity
    (adoption, gender recognition, witness protection) as `after`, which may be the same local id:
    then what was said of it before the moment of this is the old identity. Or, where `undone`, that
    it said so in error. Never inferred: only a source's instruction makes one."""

    before: LocalId
    after: LocalId
    undone: bool = False

    def __post_init__(self) -> None:
        if not self.before or not self.after:
            raise InvalidValue("a change of identity needs the local ids before and after it")


class StaffEntry(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """One line of a staff directory: who works where, as what, from when to when."""

    staff_id: str
    organisation: OdsCode
    role: str
    name: str | None = None
    team: str | None = None
    start: PartialDate | None = None
    end: PartialDate | None = None
    rota: str | None = None
    details: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.staff_id:
            raise InvalidValue("a staff entry needs a staff id")


REASONS: dict[str, str] = {
    "encoding": "bytes that are not in the declared encoding",
    "nul": "a NUL byte inside the unit",
    "torn": "the unit breaks off: the file ends in the middle of it",
    "columns": "the number of fields differs from the header's",
    "missing_column": "a declared column is not in the header",
    "missing_sheet": "a declared sheet is not in the workbook",
    "missing_value": "a field that every unit must carry is empty",
    "bad_value": "a field that identifies the person does not hold what its type says",
    "too_long": "the unit is longer than the limit",
    "bad_syntax": "the unit is not well-formed in its format",
    "bad_resource": "the FHIR resource breaks the FHIR R4 structure",
    "not_supported": "a kind of unit that this reader does not take (kept, counted)",
    "bomb": "the file expands beyond the limit (compressed or entity bomb)",
    "not_the_format": "the file is not in the format that its source declares",
    "empty": "the file holds nothing",
    "erased": "the record was erased on instruction, and may not come back",
    "incomplete": "the source's whole list lacks more of its records than the settings allow",
    "unforeseen": "the reader failed in a way nobody foresaw: report it",
    "unreadable": "the operating system would not give the file's bytes",
}
"""Codes for why a unit was quarantined, with their meaning (docs list them; a test compares)."""


@dataclass(frozen=True)
class Rejected:
    """A unit that was not loaded. `message` holds no person's value; `raw` does, and is sealed.

    Attributes:
        unit: ordinal of the unit in its feed, from 0.
        where: place for a person to look, e.g. `line 17` or `message 3, PID-7`.
        field: the field at fault, canonical name or the format's own, '' for the whole unit.
        reason: a key of `REASONS`.
        message: what was expected and what kind of thing came.
        raw: the unit's bytes, cut at 64 KiB (the feed's digest and place find the rest).
    """

    unit: int
    where: str
    field: str
    reason: str
    message: str
    raw: bytes = dataclasses.field(repr=False, default=b"")

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise ValueError(f"unknown reason {self.reason!r}")
