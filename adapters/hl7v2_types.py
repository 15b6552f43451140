"""HL7 v2 data types as domain values: times, codes, names, addresses, telecoms, people, places.

Rules (HL7 v2.9, chapter 2A):
- A time (DTM, TS) has the precision it was sent with. A date stays a partial date; a time of day
  becomes an instant, in the zone it names, else in the source's.
- A coded element (CE, CWE, CNE) gives its code and its alternative; well-known code lists get their
  URI, all others keep the sender's own name for them.
- Legacy forms are read too: a name in one piece, a telephone number as free text.
- What does not fit its type stays as text and is told to the caller (`Issues`).
- Readers of things that repeat between messages (codes, clinicians, places, times) remember their
  last answers; those of things that do not (names, addresses) work straight through.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from adapters.hl7v2_message import Segment, Syntax
from schemas.codes import AddressUse, NameUse, TelecomSystem
from schemas.dates import EARLIEST_YEAR, Instant, PartialDate, check_partial_date
from schemas.demographics import Address, HumanName, Period, Telecom
from schemas.errors import InvalidValue, shape_of
from schemas.identifiers import Postcode, Uprn, parse_postcode, parse_uprn
from schemas.items import Coding

Issues = list[tuple[str, str]]
"""(field, reason) of what could not be read as its type."""

_DTM = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.\d{1,6})?)?)?)?)?)?([+-]\d{4})?"
)

CODE_SYSTEMS: dict[str, str] = {
    "LN": "http://loinc.org",
    "LOINC": "http://loinc.org",
    "SCT": "http://snomed.info/sct",
    "SNM3": "http://snomed.info/sct",
    "SNOMED": "http://snomed.info/sct",
    "SNOMED-CT": "http://snomed.info/sct",
    "I10": "http://hl7.org/fhir/sid/icd-10",
    "ICD10": "http://hl7.org/fhir/sid/icd-10",
    "I9": "http://hl7.org/fhir/sid/icd-9",
    "DMD": "https://dmd.nhs.uk",
}
"""HL7 table 0396 (and spellings in use) → the URI under which FHIR feeds send the same list."""

NAME_USES: dict[str, NameUse] = {
    "L": NameUse.OFFICIAL,
    "D": NameUse.USUAL,
    "M": NameUse.MAIDEN,
    "N": NameUse.NICKNAME,
    "A": NameUse.NICKNAME,
    "B": NameUse.OLD,
    "BAD": NameUse.OLD,
    "C": NameUse.OFFICIAL,
    "I": NameUse.OFFICIAL,
    "R": NameUse.OFFICIAL,
    "S": NameUse.ANONYMOUS,
    "MSK": NameUse.ANONYMOUS,
    "NAV": NameUse.TEMP,
    "TEMP": NameUse.TEMP,
}
"""HL7 table 0200. `P` (the partner's name) is not the person's and is left out of `names`."""
PARTNER_NAME = "P"
_CURRENT_NAMES = (None, NameUse.OFFICIAL, NameUse.USUAL)

ADDRESS_USES: dict[str, AddressUse] = {
    "H": AddressUse.HOME,
    "P": AddressUse.HOME,
    "RH": AddressUse.HOME,
    "B": AddressUse.WORK,
    "O": AddressUse.WORK,
    "C": AddressUse.TEMP,
    "V": AddressUse.TEMP,
    "BI": AddressUse.BILLING,
    "BA": AddressUse.OLD,
    "N": AddressUse.OLD,
    "BDL": AddressUse.OLD,
    "BR": AddressUse.OLD,
    "F": AddressUse.OLD,
}
"""HL7 table 0190. A bad address, and places of birth or origin, are never the current one."""

TELECOM_SYSTEMS: dict[str, TelecomSystem] = {
    "PH": TelecomSystem.PHONE,
    "CP": TelecomSystem.PHONE,
    "SAT": TelecomSystem.PHONE,
    "FX": TelecomSystem.FAX,
    "BP": TelecomSystem.PAGER,
    "INTERNET": TelecomSystem.EMAIL,
    "X.400": TelecomSystem.EMAIL,
    "MD": TelecomSystem.OTHER,
    "TDD": TelecomSystem.OTHER,
    "TTY": TelecomSystem.OTHER,
}
"""HL7 table 0202."""

TELECOM_USES: dict[str, str] = {
    "PRN": "home",
    "ORN": "home",
    "WPN": "work",
    "VHN": "temp",
    "PRS": "mobile",
}
"""HL7 table 0201."""

_HOME_COUNTRIES = frozenset({"GB", "GBR", "UK", "ENG", "UNITED KINGDOM", "ENGLAND"})
_UPRN = re.compile(r"UPRN[ :=]*(\d{1,12})", re.IGNORECASE)


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    """The IANA zone of this name."""
    return ZoneInfo(name)


@lru_cache(maxsize=131_072)
def read_date(text: str) -> PartialDate:
    """The date of an HL7 time, at its precision; the time of day is left out.

    Raises: InvalidValue: not an HL7 time, no such day, or a year before `EARLIEST_YEAR`.
    """
    match = _DTM.fullmatch(text)
    if not match:
        raise InvalidValue(f"expected YYYY[MM[DD[HHMM[SS]]]]; got {shape_of(text)}")
    year, month, day = match.group(1, 2, 3)
    if not EARLIEST_YEAR <= int(year) <= 2200:
        raise InvalidValue(f"the year is outside {EARLIEST_YEAR} to 2200")
    return check_partial_date("-".join(part for part in (year, month, day) if part))


@lru_cache(maxsize=65_536)
def read_time(text: str, zone: str) -> PartialDate | Instant:
    """An HL7 time at its precision: a partial date, or an instant once it has an hour.

    Args:
        text: the field's text.
        zone: IANA name of the zone of times that name none.

    Raises: InvalidValue.
    """
    match = _DTM.fullmatch(text)
    if not match or match.group(4) is None:
        return read_date(text)
    day, offset = text[:8], match.group(7) or ""
    hour, minute, second = (part or "00" for part in match.group(4, 5, 6))
    try:
        moment = datetime.fromisoformat(f"{day}T{hour}{minute}{second}{offset}")
        if not offset:
            moment = moment.replace(tzinfo=zone_of(zone))
        return Instant(f"{moment.astimezone(UTC).isoformat()[:19]}Z")
    except (ValueError, OverflowError):
        raise InvalidValue(f"no such time; got {shape_of(text)}") from None


def read_instant(text: str, zone: str) -> Instant:
    """An HL7 time as an instant; a date alone is its midnight in `zone`. Raises: InvalidValue."""
    value = read_time(text, zone)
    if len(value) > 10:
        return Instant(value)
    day = (value.replace("-", "") + "0101")[:8]
    return Instant(read_time(f"{day}00", zone))


@lru_cache(maxsize=16_384)
def read_codes(syntax: Syntax, text: str) -> tuple[Coding, ...]:
    """The code of a coded element and its alternative, as far as they are there."""
    parts = syntax.parts(text, 6)
    found = []
    for code, display, system in (parts[:3], parts[3:6]):
        if code:
            found.append(
                Coding(code, CODE_SYSTEMS.get(system.upper(), system) or None, display or None)
            )
    return tuple(found)


@lru_cache(maxsize=16_384)
def read_concept_text(syntax: Syntax, text: str) -> str:
    """A coded element in words: its original text, else a display, else its code."""
    parts = syntax.parts(text, 9)
    return parts[8] or parts[1] or parts[4] or parts[0] or parts[3]


@lru_cache(maxsize=16_384)
def read_clinician(syntax: Syntax, text: str) -> str:
    """A clinician (XCN, CNN) as `Dr Ann Example (C1234567)`, as far as it is told."""
    if syntax.component not in text:
        text = text.replace(syntax.sub, syntax.component)
    number, family, given, _, _, prefix = syntax.parts(text, 6)[:6]
    name = " ".join(p for p in (prefix, given, family) if p)
    return f"{name} ({number})" if name and number else name or number


@lru_cache(maxsize=16_384)
def read_place(syntax: Syntax, text: str) -> str:
    """A location (PL) from the large to the small: facility, building, floor, ward, room, bed."""
    ward, room, bed, facility, _, _, building, floor, description = syntax.parts(text, 9)[:9]
    names = (facility, building, floor, ward, room, bed, description)
    return ", ".join(name for name in names if name)


def read_name(syntax: Syntax, text: str, default: NameUse | None = None) -> HumanName | None:
    """A person's name (XPN), or None where it names nobody or names the partner."""
    parts = syntax.parts(text, 7)
    family, first, middle, suffix, prefix, _, kind = parts[:7]
    kind = kind.upper()
    if kind == PARTNER_NAME:
        return None
    given = (*first.split(), *middle.split())
    if not family and not given:
        return None
    return HumanName(
        family=family or None,
        given=given,
        use=NAME_USES.get(kind, default),
        prefix=prefix or None,
        suffix=suffix or None,
        period=_period(parts[11:13]) if len(parts) > 11 else None,
    )


def is_current_name(name: HumanName) -> bool:
    """Whether the name's type is one of a name in use, not a former, maiden or nickname."""
    return name.use in _CURRENT_NAMES


def _period(texts: list[str]) -> Period | None:
    """Effective and expiration date; one that cannot be read is open, like one not sent."""
    ends: list[PartialDate | None] = []
    for text in texts:
        try:
            ends.append(read_date(text) if text else None)
        except InvalidValue:
            ends.append(None)
    return Period(*ends) if any(ends) else None


def read_address(syntax: Syntax, text: str, field: str, issues: Issues) -> Address | None:
    """An address (XAD, AD). A postcode or UPRN that is none stays in the lines.

    Args:
        field: the HL7 name of the field, for `issues`.
    """
    parts = syntax.parts(text, 8)
    street, *lines, zip_code, country, kind, other = parts[:8]
    if syntax.sub in text:
        street = " ".join(syntax.subparts(text, 1))
    lines.insert(0, street)
    postcode = _postcode(zip_code, lines, field, issues)
    if country and country.upper() not in _HOME_COUNTRIES:
        lines.append(country)
    uprn = _uprn(other, lines)
    kept = tuple(line for line in lines if line)
    if not kept and postcode is None and uprn is None:
        return None
    period = _period(parts[12:14]) if len(parts) > 12 else None
    return Address(kept, postcode, uprn, ADDRESS_USES.get(kind.upper()), period)


def _postcode(text: str, lines: list[str], field: str, issues: Issues) -> Postcode | None:
    if not text:
        return None
    try:
        return parse_postcode(text)
    except InvalidValue:
        lines.append(text)
        issues.append((f"{field}.5", "not a UK postcode"))
        return None


def _uprn(text: str, lines: list[str]) -> Uprn | None:
    """XAD.8 is a free "other geographic designation": a UPRN only where it says so."""
    if not text:
        return None
    match = _UPRN.fullmatch(text)
    if match and match.group(1).strip("0"):
        return parse_uprn(match.group(1))
    lines.append(text)
    return None


def read_telecoms(
    syntax: Syntax, text: str, default_use: str | None, field: str, issues: Issues
) -> list[Telecom]:
    """A telephone number, an e-mail address, or both, from one XTN or a legacy free text."""
    parts = syntax.parts(text, 1)
    number = parts[0]
    if len(parts) == 1:
        system = TelecomSystem.EMAIL if "@" in number else TelecomSystem.PHONE
        return [Telecom(system, number, default_use)] if number else []
    parts += [""] * (12 - len(parts))
    equipment, email = parts[2].upper(), parts[3]
    use = "mobile" if equipment == "CP" else TELECOM_USES.get(parts[1].upper(), default_use)
    if "@" in number and not email:
        number, email = "", number
    number = number or parts[11] or _dialled(*parts[4:8])
    found = []
    if number:
        system = TELECOM_SYSTEMS.get(equipment, TelecomSystem.PHONE)
        if system is TelecomSystem.EMAIL:
            issues.append((field, "not an e-mail address"))
            system = TelecomSystem.OTHER
        found.append(Telecom(system, number, use))
    if "@" in email:
        found.append(Telecom(TelecomSystem.EMAIL, email, None if use == "mobile" else use))
    return found


def _dialled(country: str, area: str, local: str, extension: str) -> str:
    """A number sent in pieces (XTN.5 to XTN.8)."""
    if not local:
        return ""
    pieces = [f"+{country.lstrip('+')}" if country else "", area, local]
    pieces.append(f"ext {extension}" if extension else "")
    return " ".join(piece for piece in pieces if piece)


def read_first(syntax: Syntax, text: str) -> str:
    """The first component: an id without its authority, a code without its name."""
    return syntax.plain(text.partition(syntax.component)[0].partition(syntax.sub)[0])


def read_every(syntax: Syntax, text: str) -> str:
    """All components as one text."""
    return syntax.every(text)


FieldTable = tuple[tuple[int, str, Callable[[Syntax, str], str]], ...]
"""Field number, its name in details, its reader."""


def note_fields(details: dict[str, Any], segment: Segment, table: FieldTable) -> None:
    """Puts the fields of `table` that have something in them into details, as text.

    A field of letters and digits only has no parts: every reader gives it back as it is.
    """
    fields, present = segment.fields, len(segment.fields)
    for number, name, reader in table:
        if number < present:
            text = fields[number]
            if text and not text.isalnum():
                text = segment.first(number)
                text = reader(segment.syntax, text) if text else ""
            if text:
                details[name] = text


def as_plain(value: object) -> object:
    """A struct as plain data, for `details`."""
    return msgspec.to_builtins(value)


def start_of(
    segment: Segment, number: int, zone: str, issues: Issues
) -> PartialDate | Instant | None:
    """A time field of a care item; one that cannot be read counts as an issue and is None."""
    if number >= len(segment.fields):
        return None
    text = segment.value(number)
    if not text:
        return None
    try:
        return read_time(text, zone)
    except InvalidValue:
        issues.append((f"{segment.fields[0]}-{number}", "not a time"))
        return None
