"""What each HL7 v2 message means here: literal tables, no behaviour.

Rules (HL7 v2.9, chapters 3, 7, 9, 10, 11):
- `EVENTS` says per message type what it changes. A type that is not in it is kept in quarantine
  (`not_supported`): queries, acknowledgements, orders, billing.
- A cancelled event is a new version of the same item: of the visit, under the same visit number.
  Cancelling a transfer, a discharge or an absence puts the visit back to how it stood before.
- A29 withdraws the person's record; A23 deletes a visit, or the record where it names no visit.
- A37 undoes a merge of its two persons. Moved identifiers (A43, A44) say nothing of who is who, and
  a link (A24) is a note: the standard has it combine no records.
- Events that merge or renumber carry the person's demographics as a pointer, not as news
  (chapter 3: other changes are sent by A08 or A31 beside them).
- Words for a status are FHIR R4's for the resource of the heading (encounter-status,
  appointmentstatus, observation-status, document-reference-status), so that all feeds agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schemas.codes import Gender
from schemas.items import Heading
from schemas.records import WithdrawalReason


class Moves(StrEnum):
    """What the MRG segments of an event do."""

    NOTHING = ""
    PERSON = "person"
    """MRG-1 names records that are now part of PID-3's; without one the message says nothing."""
    PERSON_ID = "person id"
    """PID-3 replaces MRG-1: the same as a merge, where MRG-1 holds a local id."""
    VISIT = "visit"
    """MRG-5 names a visit that is now part of, or renumbered to, PV1-19."""
    CLASS = "class"
    """The visit changes between attendance and admission; MRG-5 may name its former number."""
    APART = "apart"
    """The two persons of the message are not one: a merge of them no longer holds."""
    NOTE = "note"
    """Account, alternate or moved identifiers: kept with the record, nothing is joined."""


@dataclass(frozen=True)
class Event:
    """What one message type does.

    Attributes:
        visit: status of the visit in PV1; '' where the visit's own times tell it, None where the
            event is not about a visit and PV1 only points at one.
        item: status of the message's appointment, document or referral; '' where it tells itself.
        snapshot: the demographics replace what was held; False: they do only where PID names the
            person by name and birth date.
        persons: how many PID segments the message may hold: 1, 2, or 0 for any number.
        moves: what its MRG segments do.
        record: status noted in the client record's details.
        reopens: the visit's end no longer holds.
        withdraws: the person's record is taken back, unless the message names a visit: then it is
            that visit which goes.
    """

    visit: str | None = None
    item: str = ""
    snapshot: bool = True
    persons: int = 1
    moves: Moves = Moves.NOTHING
    record: str = ""
    reopens: bool = False
    withdraws: WithdrawalReason | None = None


def _merge(moves: Moves) -> Event:
    return Event("" if moves is Moves.VISIT else None, snapshot=False, persons=0, moves=moves)


EVENTS: dict[str, Event] = {
    "ADT^A01": Event("in-progress"),
    "ADT^A02": Event("in-progress"),
    "ADT^A03": Event("finished"),
    "ADT^A04": Event("arrived"),
    "ADT^A05": Event("planned"),
    "ADT^A06": Event("in-progress", moves=Moves.CLASS),
    "ADT^A07": Event("in-progress", moves=Moves.CLASS),
    "ADT^A08": Event(""),
    "ADT^A09": Event("in-progress"),
    "ADT^A10": Event("in-progress"),
    "ADT^A11": Event("cancelled"),
    "ADT^A12": Event("in-progress"),
    "ADT^A13": Event("in-progress", reopens=True),
    "ADT^A14": Event("planned"),
    "ADT^A15": Event("in-progress"),
    "ADT^A16": Event("in-progress"),
    "ADT^A17": Event("in-progress", persons=2),
    "ADT^A18": _merge(Moves.PERSON),
    "ADT^A21": Event("onleave"),
    "ADT^A22": Event("in-progress"),
    "ADT^A23": Event("entered-in-error", snapshot=False, withdraws=WithdrawalReason.IN_ERROR),
    "ADT^A24": Event(snapshot=False, persons=2, record="linked"),
    "ADT^A25": Event("in-progress"),
    "ADT^A26": Event("in-progress"),
    "ADT^A27": Event("cancelled"),
    "ADT^A28": Event(),
    "ADT^A29": Event(snapshot=False, withdraws=WithdrawalReason.DELETED),
    "ADT^A30": _merge(Moves.PERSON),
    "ADT^A31": Event(),
    "ADT^A32": Event("in-progress"),
    "ADT^A33": Event("in-progress"),
    "ADT^A34": _merge(Moves.PERSON),
    "ADT^A35": _merge(Moves.NOTE),
    "ADT^A36": _merge(Moves.PERSON),
    "ADT^A37": Event(snapshot=False, persons=2, moves=Moves.APART, record="unlinked"),
    "ADT^A38": Event("cancelled"),
    "ADT^A39": _merge(Moves.PERSON),
    "ADT^A40": _merge(Moves.PERSON),
    "ADT^A41": _merge(Moves.NOTE),
    "ADT^A42": _merge(Moves.VISIT),
    "ADT^A43": _merge(Moves.NOTE),
    "ADT^A44": _merge(Moves.NOTE),
    "ADT^A45": _merge(Moves.VISIT),
    "ADT^A46": _merge(Moves.PERSON_ID),
    "ADT^A47": _merge(Moves.PERSON_ID),
    "ADT^A48": _merge(Moves.NOTE),
    "ADT^A49": _merge(Moves.NOTE),
    "ADT^A50": _merge(Moves.VISIT),
    "ADT^A51": _merge(Moves.NOTE),
    "ADT^A52": Event("in-progress"),
    "ADT^A53": Event("onleave"),
    "ADT^A54": Event(""),
    "ADT^A55": Event(""),
    "ADT^A60": Event(snapshot=False),
    "ADT^A61": Event(""),
    "ADT^A62": Event(""),
    "ORU^R01": Event(snapshot=False, persons=0),
    "ORU^R03": Event(snapshot=False, persons=0),
    "ORU^R30": Event(snapshot=False, persons=0),
    "ORU^R31": Event(snapshot=False, persons=0),
    "ORU^R32": Event(snapshot=False, persons=0),
    "ORU^R40": Event(snapshot=False, persons=0),
    "MDM^T01": Event(snapshot=False),
    "MDM^T02": Event(snapshot=False),
    "MDM^T03": Event(snapshot=False),
    "MDM^T04": Event(snapshot=False),
    "MDM^T05": Event(snapshot=False),
    "MDM^T06": Event(snapshot=False),
    "MDM^T07": Event(snapshot=False),
    "MDM^T08": Event(snapshot=False),
    "MDM^T09": Event(snapshot=False),
    "MDM^T10": Event(snapshot=False),
    "MDM^T11": Event(snapshot=False, item="entered-in-error"),
    "SIU^S12": Event(snapshot=False),
    "SIU^S13": Event(snapshot=False),
    "SIU^S14": Event(snapshot=False),
    "SIU^S15": Event(snapshot=False, item="cancelled"),
    "SIU^S16": Event(snapshot=False, item="cancelled"),
    "SIU^S17": Event(snapshot=False, item="entered-in-error"),
    "SIU^S18": Event(snapshot=False),
    "SIU^S19": Event(snapshot=False),
    "SIU^S20": Event(snapshot=False),
    "SIU^S21": Event(snapshot=False),
    "SIU^S22": Event(snapshot=False),
    "SIU^S26": Event(snapshot=False, item="noshow"),
    "REF^I12": Event(snapshot=False),
    "REF^I13": Event(snapshot=False),
    "REF^I14": Event(snapshot=False, item="revoked"),
    "REF^I15": Event(snapshot=False),
}
"""Message type ^ trigger → what it does. Not there on purpose: A19 (query), A20 (a bed, nobody's
record), A56 to A59 (withdrawn)."""


OCCURRED_AS: dict[str, str] = {"ADT^A01": "start", "ADT^A04": "start", "ADT^A03": "end"}
"""Events whose moment (EVN-6) is the visit's start or end, where PV1 does not tell it."""


@dataclass(frozen=True)
class VisitClass:
    """Where a visit of one patient class belongs."""

    heading: Heading
    title: str


VISIT_CLASSES: dict[str, VisitClass] = {
    "I": VisitClass(Heading.ADMISSION, "Inpatient admission"),
    "P": VisitClass(Heading.ADMISSION, "Planned admission"),
    "B": VisitClass(Heading.ADMISSION, "Maternity admission"),
    "D": VisitClass(Heading.ADMISSION, "Day case"),
    "E": VisitClass(Heading.ENCOUNTER, "Emergency attendance"),
    "O": VisitClass(Heading.ENCOUNTER, "Outpatient attendance"),
    "R": VisitClass(Heading.ENCOUNTER, "Recurring attendance"),
    "U": VisitClass(Heading.ENCOUNTER, "Visit"),
}
"""HL7 table 0004, and `D` as UK systems use it. Other codes are read as `U`, code kept."""
NO_VISIT_CLASSES = frozenset({"N", "C"})
"""Not applicable, and a commercial account: PV1 is only there because the message needs one."""

GENDERS: dict[str, Gender] = {
    "M": Gender.MALE,
    "F": Gender.FEMALE,
    "O": Gender.OTHER,
    "A": Gender.OTHER,
    "N": Gender.OTHER,
    "U": Gender.UNKNOWN,
    "1": Gender.MALE,
    "2": Gender.FEMALE,
    "9": Gender.OTHER,
    "0": Gender.UNKNOWN,
    "X": Gender.UNKNOWN,
}
"""HL7 table 0001, and the NHS Data Dictionary's PERSON STATED GENDER CODE."""

OBSERVATION_STATUS: dict[str, str] = {
    "F": "final",
    "U": "final",
    "P": "preliminary",
    "R": "preliminary",
    "S": "preliminary",
    "C": "corrected",
    "A": "amended",
    "B": "amended",
    "I": "registered",
    "O": "registered",
    "X": "cancelled",
    "N": "cancelled",
    "D": "entered-in-error",
    "W": "entered-in-error",
}
"""HL7 tables 0085 (OBX-11) and 0123 (OBR-25)."""

DOCUMENT_STATUS: dict[str, str] = {
    "CA": "entered-in-error",
    "OB": "superseded",
    "AV": "current",
    "UN": "current",
}
"""HL7 table 0273 (TXA-19). The state of completion (TXA-17) is kept beside it."""

APPOINTMENT_STATUS: dict[str, str] = {
    "PENDING": "proposed",
    "WAITLIST": "waitlist",
    "BOOKED": "booked",
    "OVERBOOK": "booked",
    "STARTED": "arrived",
    "ARRIVED": "arrived",
    "COMPLETE": "fulfilled",
    "CANCELLED": "cancelled",
    "DC": "cancelled",
    "DELETED": "entered-in-error",
    "BLOCKED": "cancelled",
    "NOSHOW": "noshow",
}
"""HL7 table 0278 (SCH-25)."""

REFERRAL_STATUS: dict[str, str] = {
    "A": "active",
    "P": "draft",
    "R": "revoked",
    "E": "completed",
}
"""HL7 table 0283 (RF1-1): accepted, pending, rejected, expired."""

ALLERGY_STATUS: dict[str, str] = {"I": "inactive", "E": "entered-in-error"}
"""HL7 table 0438 (IAM-17); any other is active."""

DELETE_ACTION = "D"
"""HL7 tables 0206 and 0323: the sender takes the entry back."""

RESTRICTING_ACCESS = frozenset({"ALL", "DEM", "LOC"})
"""HL7 table 0717 (ARV-3): values that hide where the person is."""
RESTRICTING_PV1_16 = frozenset({"Y", "R", "V"})
"""PV1-16: yes, restricted, very restricted (HL7 tables 0136 and 0177); others are only noted."""

LEFT_OUT = frozenset(
    {
        *("SFT", "UAC", "DSC", "ERR", "MSA", "EVN", "RGS", "AUT"),
        *("GT1", "IN1", "IN2", "IN3", "FT1", "UB1", "UB2", "DRG", "BLG", "CTI"),
    }
)
"""Segments that say nothing about care: the envelope, insurance and billing, empty group marks.
Any other segment without a reader, Z-segments among them, is kept as sent in `details`."""
