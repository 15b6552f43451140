"""Who an HL7 v2 message is about: PID, PD1 and MRG to a client record and its retired ids.

Rules (HL7 v2.9, chapter 3; HL7 UK's use of PID-3 and PID-32):
- Every identifier is told by its assigning authority (namespace or universal id) or its type, never
  by its form. An NHS number is one whose authority or type is in `NHS_NUMBER_NAMES` or in the
  source's `nhs_number_systems`.
- The local id is the identifier of the source's `local_id_system`; without that setting, the first
  of PID-3 that is no NHS number. None: the message is quarantined (`missing_value`).
- Any of these systems may also be named by the field that carries it (`PID-2`, `PID-4`, `PID-19`),
  for senders of old versions that name no authority.
- Other identifiers keep the name given in `identifier_systems`, else their authority. One without
  either belongs to this source alone and says so, because equal numbers of two unnamed authorities
  are no sign of one person.
- PID-7 that is not a date quarantines the message (`bad_value`): a wrong birth date joins
  strangers. Every other field that cannot be read is kept in `unread` and counted.
- The mother's name and number (PID-6, PID-21) and the partner's name never become the person's.
- The first name, address and number are current ones: former, maiden, bad and expired ones follow.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from adapters.hl7v2_message import MessageFault, Segment, Syntax
from adapters.hl7v2_tables import GENDERS
from adapters.hl7v2_types import (
    FieldTable,
    Issues,
    is_current_name,
    note_fields,
    read_address,
    read_clinician,
    read_concept_text,
    read_date,
    read_every,
    read_first,
    read_name,
    read_telecoms,
)
from schemas.codes import ETHNIC_CATEGORIES, AddressUse, Gender, NameUse, NumberStatus
from schemas.dates import Instant, PartialDate
from schemas.demographics import Address, Death, HumanName, Identifier, NhsNumberClaim, Telecom
from schemas.errors import InvalidValue
from schemas.identifiers import LocalId, OdsCode, parse_nhs_number, parse_ods_code
from schemas.records import ClientRecord
from schemas.settings import FileSettings, SourceSettings

NHS_NUMBER_NAMES = frozenset(
    {
        "nhs",
        "nh",
        "nhsnmbr",
        "nhsnbr",
        "nhsno",
        "https://fhir.nhs.uk/id/nhs-number",
        "2.16.840.1.113883.2.1.4.1",
    }
)
"""Authorities and types under which NHS numbers arrive, in lower case."""
NHS_NUMBER_SYSTEM = "https://fhir.nhs.uk/Id/nhs-number"

_PID_FIELDS = ((3, "PID-3"), (2, "PID-2"), (4, "PID-4"), (19, "PID-19"))
_MRG_FIELDS = ((1, "PID-3"), (4, "PID-2"), (2, "PID-4"))
"""Field of MRG → the field of PID whose former value it holds."""

_DETAILS: FieldTable = (
    (6, "mothers_maiden_name", read_every),
    (15, "language", read_concept_text),
    (16, "marital_status", read_concept_text),
    (17, "religion", read_concept_text),
    (18, "account", read_first),
    (21, "mothers_identifier", read_first),
    (23, "birth_place", read_first),
    (24, "multiple_birth", read_first),
    (25, "birth_order", read_first),
    (26, "citizenship", read_concept_text),
    (28, "nationality", read_concept_text),
    (31, "identity_unknown", read_first),
)
"""Fields of PID kept in the record's details as text."""

_STATUSES = {status.value: status for status in NumberStatus}
_GENDER_WORDS = {gender.value: gender for gender in Gender}
_FOREIGN_LIST = re.compile(r"HL7|CDCREC|2\.16\.840\.1\.113883\.(5|6)\.", re.IGNORECASE)
_PRACTICE_CODE = re.compile(r"[A-Y][0-9]{5}")
"""ODS code of a GP practice; told from a GP's own code (a letter and seven digits)."""


@dataclass(frozen=True)
class IdKind:
    """What an identifier of one authority and type is to this source."""

    nhs: bool
    local: bool
    shared: bool
    """Named in `identifier_systems`: other sources hold it too."""
    system: str


class SourceRules:
    """The settings of one source and file, made ready for reading person after person."""

    def __init__(self, source: SourceSettings, settings: FileSettings) -> None:
        self.source = source
        self.encoding = settings.encoding
        self.zone = source.time_zone
        self.records = settings.kind == "client_record"
        self._nhs = NHS_NUMBER_NAMES | {s.lower() for s in source.nhs_number_systems}
        self._local = source.local_id_system.lower() if source.local_id_system else None
        self._names = {s.lower(): name for s, name in source.identifier_systems.items()}
        self._codes = settings.codes
        self._organisations = frozenset(source.organisations)
        self.identity_change_segment = source.identity_change_sign
        self.kind: Callable[[str, str, str], IdKind] = lru_cache(maxsize=4096)(self._kind)

    @property
    def names_local_system(self) -> bool:
        """Whether the settings say which identifier is the local id."""
        return self._local is not None

    def _kind(self, authority: str, code: str, place: str) -> IdKind:
        """Requires: `authority` as plain parts joined by line ends, `place` as in `_PID_FIELDS`."""
        parts = [p for p in authority.split("\n") if p]
        names = {p.lower() for p in (*parts, code, place) if p}
        shared = next((self._names[n] for n in sorted(names) if n in self._names), None)
        own = f"{self.source.id}:{code or place}"
        return IdKind(
            nhs=bool(names & self._nhs),
            local=self._local in names,
            shared=shared is not None,
            system=shared or (parts[0] if parts else own),
        )

    def coded(self, field: str, sent: str) -> str:
        """What the file's settings make of a sent code; the code itself where they say nothing."""
        return self._codes[field].get(sent, sent) if field in self._codes else sent

    def organisation(self, header: Segment) -> OdsCode | None:
        """The sending facility (MSH-4), where it is one of several that this source serves."""
        if len(self._organisations) < 2:
            return None
        for component in (1, 2):
            code = OdsCode(header.value(4, component).upper())
            if code in self._organisations:
                return code
        return None


class SentId(NamedTuple):
    """One identifier as sent: its value, what it is, and its authority to compare by."""

    value: str
    kind: IdKind
    authority: str
    place: str


def _sent_ids(
    segment: Segment, fields: tuple[tuple[int, str], ...], rules: SourceRules
) -> list[SentId]:
    syntax = segment.syntax
    found = []
    for number, place in fields:
        for text in segment.repetitions(number):
            parts = syntax.parts(text, 5)
            value, authority, code = parts[0], parts[3], parts[4]
            if value:
                if syntax.sub in text:
                    authority = "\n".join(syntax.subparts(text, 4))
                found.append(SentId(value, rules.kind(authority, code, place), authority, place))
    return found


def _local_ids(ids: list[SentId], rules: SourceRules) -> list[SentId]:
    """The identifiers that are local ids, the one to use first."""
    if rules.names_local_system:
        return [i for i in ids if i.kind.local]
    usable = [i for i in ids if i.place == "PID-3" and not i.kind.nhs]
    return [i for i in usable if i.authority == usable[0].authority]


def read_local_id(pid: Segment, rules: SourceRules) -> tuple[LocalId, list[SentId]]:
    """The person's local id and all identifiers of PID. Raises: MessageFault (`missing_value`)."""
    ids = _sent_ids(pid, _PID_FIELDS, rules)
    local = _local_ids(ids, rules)
    if not local:
        expected = "the local id's system" if rules.names_local_system else "one not an NHS number"
        raise MessageFault(
            "PID-3", "missing_value", f"expected an identifier of {expected}; {len(ids)} came"
        )
    return LocalId(local[0].value), ids


def read_retired_ids(mrg: Segment, rules: SourceRules) -> list[LocalId]:
    """The local ids that MRG says are no longer in use."""
    return [LocalId(i.value) for i in _local_ids(_sent_ids(mrg, _MRG_FIELDS, rules), rules)]


@dataclass
class PersonSegments:
    """What is read of one person before the record is built."""

    pid: Segment
    local_id: LocalId
    ids: list[SentId]
    details: dict[str, Any]
    pd1: Segment | None = None
    restricted: bool = False
    organisation: OdsCode | None = None


def read_record(
    person: PersonSegments, rules: SourceRules, as_at: Instant | None, issues: Issues
) -> ClientRecord:
    """The client record of one person. Raises: MessageFault (PID-7 `bad_value`)."""
    pid, unread = person.pid, dict[str, str]()
    claim, identifiers = _numbers(person, rules, unread, issues)
    practice = None
    if person.pd1 is not None:
        practice = _practice(person.pd1, person.details, unread, issues)
        if person.pd1.value(12).upper() == "Y":
            person.restricted = True
    note_fields(person.details, pid, _DETAILS)
    day = as_at[:10] if as_at else ""
    return ClientRecord(
        local_id=person.local_id,
        nhs_number=claim,
        identifiers=identifiers,
        names=_names(pid, day, person.details),
        birth_date=_birth_date(pid),
        gender=_gender(pid, rules, unread, issues),
        ethnicity=_ethnicity(pid, rules, unread, issues),
        addresses=_addresses(pid, day, issues),
        telecoms=_telecoms(pid, issues),
        gp_practice=practice,
        organisation=person.organisation,
        death=_death(pid, unread, issues),
        restricted=person.restricted,
        unread=unread,
        details=person.details,
    )


def _numbers(
    person: PersonSegments, rules: SourceRules, unread: dict[str, str], issues: Issues
) -> tuple[NhsNumberClaim | None, tuple[Identifier, ...]]:
    """The NHS number claimed and the other identifiers; a second NHS number is one of these."""
    claim: NhsNumberClaim | None = None
    others: dict[tuple[str, str], Identifier] = {}
    for sent in person.ids:
        system = sent.kind.system
        if sent.kind.nhs:
            try:
                number = parse_nhs_number(sent.value)
            except InvalidValue:
                unread["nhs_number"] = sent.value
                issues.append((sent.place, "not an NHS number"))
                continue
            if claim is None:
                claim = NhsNumberClaim(number, _number_status(person.pid, rules))
                continue
            system = NHS_NUMBER_SYSTEM
            if number == claim.value:
                continue
        elif sent.value == person.local_id and not sent.kind.shared:
            continue
        others[system, sent.value] = Identifier(system, sent.value)
    return claim, tuple(others.values())


def _number_status(pid: Segment, rules: SourceRules) -> NumberStatus:
    """PID-32 as UK senders use it: the NHS Data Dictionary's status indicator code."""
    for text in pid.repetitions(32):
        code = rules.coded("nhs_number_status", pid.syntax.plain(text))
        if code.zfill(2) in _STATUSES:
            return _STATUSES[code.zfill(2)]
    return NumberStatus.PRESENT_NOT_TRACED


def _names(pid: Segment, day: str, details: dict[str, Any]) -> tuple[HumanName, ...]:
    current: list[HumanName] = []
    former: list[HumanName] = []
    for number, use in ((5, None), (9, NameUse.NICKNAME)):
        for text in pid.repetitions(number):
            name = read_name(pid.syntax, text, use)
            if name is None:
                _note_partner(pid.syntax, text, details)
            elif is_current_name(name) and not _expired(name, day):
                current.append(name)
            else:
                former.append(name)
    return tuple(current + former)


def _note_partner(syntax: Syntax, text: str, details: dict[str, Any]) -> None:
    words = syntax.every(text)
    if words:
        details.setdefault("partner_name", []).append(words)


def _expired(held: HumanName | Address, day: str) -> bool:
    period = held.period
    return period is not None and period.end is not None and period.end < day


def _birth_date(pid: Segment) -> PartialDate | None:
    text = pid.value(7)
    if not text:
        return None
    try:
        return read_date(text)
    except InvalidValue as error:
        raise MessageFault("PID-7", "bad_value", error.reason) from None


def _gender(
    pid: Segment, rules: SourceRules, unread: dict[str, str], issues: Issues
) -> Gender | None:
    sent = pid.value(8)
    if not sent:
        return None
    code = rules.coded("gender", sent)
    gender = GENDERS.get(code.upper()) or _GENDER_WORDS.get(code)
    if gender is None:
        unread["gender"] = sent
        issues.append(("PID-8", "unknown code"))
    return gender


def _ethnicity(
    pid: Segment, rules: SourceRules, unread: dict[str, str], issues: Issues
) -> str | None:
    """PID-22 is where UK senders put it, PID-10 where the standard puts race.

    HL7's and the United States' own lists use the NHS's letters for other groups (`N`, `H`): a code
    that names one of them is kept as sent.
    """
    found: tuple[str, int] | None = None
    for number in (22, 10):
        sent = pid.value(number)
        if sent:
            found = found or (sent, number)
            code = rules.coded("ethnicity", sent).upper()
            if code in ETHNIC_CATEGORIES and not _FOREIGN_LIST.match(pid.value(number, 3)):
                return code
    if found:
        unread["ethnicity"] = found[0]
        issues.append((f"PID-{found[1]}", "unknown code"))
    return None


def _addresses(pid: Segment, day: str, issues: Issues) -> tuple[Address, ...]:
    current: list[Address] = []
    former: list[Address] = []
    for text in pid.repetitions(11):
        address = read_address(pid.syntax, text, "PID-11", issues)
        if address is None:
            continue
        late = address.use is AddressUse.OLD or _expired(address, day)
        (former if late else current).append(address)
    return tuple(current + former)


def _telecoms(pid: Segment, issues: Issues) -> tuple[Telecom, ...]:
    found: list[Telecom] = []
    for number, use in ((13, "home"), (14, "work"), (40, None)):
        for text in pid.repetitions(number):
            for telecom in read_telecoms(pid.syntax, text, use, f"PID-{number}", issues):
                if telecom not in found:
                    found.append(telecom)
    return tuple(found)


def _death(pid: Segment, unread: dict[str, str], issues: Issues) -> Death | None:
    text, flag = pid.value(29), pid.value(30).upper()
    if flag not in ("Y", "N", ""):
        unread["deceased"] = flag
        issues.append(("PID-30", "unknown code"))
    if not text:
        return Death() if flag == "Y" else None
    try:
        on = read_date(text)
    except InvalidValue:
        unread["death_date"] = text
        issues.append(("PID-29", "not a date"))
        return Death() if flag == "Y" else None
    if flag == "N":
        unread["death_date"] = text
        issues.append(("PID-29", "contradicts PID-30"))
        return None
    return Death(on)


def _practice(
    pd1: Segment, details: dict[str, Any], unread: dict[str, str], issues: Issues
) -> OdsCode | None:
    """The GP practice: PD1-3 (its identifier), else PD1-4 where that is a practice's code."""
    gp, practice = pd1.first(4), pd1.first(3)
    if gp:
        words = read_clinician(pd1.syntax, gp)
        if words:
            details["gp"] = words
        if not practice:
            parts = pd1.syntax.parts(gp, 14)
            codes = (parts[0].upper(), parts[13].upper())
            return next((OdsCode(c) for c in codes if _PRACTICE_CODE.fullmatch(c)), None)
    parts = pd1.syntax.parts(practice, 10)
    sent = parts[9] or parts[2]
    if not sent:
        return None
    try:
        return parse_ods_code(sent)
    except InvalidValue:
        unread["gp_practice"] = sent
        issues.append(("PD1-3", "not an ODS code"))
        return None
