"""Care items of HL7 v2 segments that report and plan: OBR and OBX, TXA, SCH and its resources, RF1.

Rules (HL7 v2.9, chapters 7, 9, 10, 11; ids: adapters/hl7v2_group.py):
- One OBX is one observation, with what its OBR says of the order; an OBR without OBX is itself one.
- In a document message (MDM) the OBX segments are the document: their text is its text, what they
  enclose or point to its attachments, other values its details.
- A value keeps its text. Codes of a coded value stand beside it; an enclosed file stays as sent.
- The appointment's service, place and people (AIS, AIG, AIL, AIP) are its details; its start is
  SCH-11's, else that of its service.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adapters.hl7v2_group import Group, Handler
from adapters.hl7v2_message import Segment, Syntax
from adapters.hl7v2_tables import (
    APPOINTMENT_STATUS,
    DOCUMENT_STATUS,
    OBSERVATION_STATUS,
    REFERRAL_STATUS,
)
from adapters.hl7v2_types import (
    FieldTable,
    as_plain,
    note_fields,
    read_clinician,
    read_codes,
    read_concept_text,
    read_first,
    read_place,
    read_time,
    start_of,
)
from schemas.dates import Instant, PartialDate
from schemas.errors import InvalidValue
from schemas.items import Coding, Heading

_CODED_TYPES = frozenset({"CE", "CWE", "CNE", "CF", "IS", "ID"})
_TEXT_TYPES = frozenset({"TX", "FT", "ST", ""})
_MEASURED_TYPES = frozenset({"NM", "SN", "ST", "TX", ""})
_PARTED_TYPES = frozenset({"CX", "XPN", "XAD", "XTN", "XCN", "XON", "PN", "AD", "TN", "SN", "CQ"})


def _is_document(group: Group) -> bool:
    return group.kind.startswith("MDM")


def _order(group: Group, obr: Segment) -> None:
    close_order(group)
    group.notes = group.order_notes = {}
    if _is_document(group):
        group.ahead.append(obr.syntax.field.join(obr.fields))
    else:
        group.order, group.order_item = obr, None


def close_order(group: Group) -> None:
    """Makes an item of the open order if no result did."""
    obr = group.order
    group.order = None
    if obr is None or group.order_item is not None:
        return
    sent = obr.first(4)
    codes = read_codes(obr.syntax, sent) if sent else ()
    words = read_concept_text(obr.syntax, sent) if sent else ""
    start = start_of(obr, 7, group.rules.zone, group.issues)
    group.add(
        Heading.OBSERVATION,
        _order_id(obr) or group.derived("OBR", codes[0].code if codes else "", start),
        group.order_notes,
        codes=codes,
        text=words or "Order",
        status=OBSERVATION_STATUS.get(obr.value(25).upper(), "registered"),
        start=start,
        author=_reporter(obr),
    )


def _order_id(obr: Segment) -> str:
    return obr.value(3) or obr.value(2)


def _reporter(obr: Segment) -> str | None:
    return read_clinician(obr.syntax, obr.first(32)) or None


def _observation(group: Group, obx: Segment) -> None:
    if _is_document(group) and group.document is not None:
        _document_content(group, group.document, obx)
        return
    syntax, zone, obr = obx.syntax, group.rules.zone, group.order
    sent, kind = obx.first(3), obx.value(2).upper()
    codes = read_codes(syntax, sent) if sent else ()
    details: dict[str, Any] = {}
    value = _value(obx, kind, details)
    units = obx.value(6) if value and kind in _MEASURED_TYPES else ""
    result = f"{value} {units}" if units else value
    words = result or (read_concept_text(syntax, sent) if sent else "")
    if not codes and not words:
        group.issues.append(("OBX-3", "names nothing"))
        group.keep("OBX", syntax.field.join(obx.fields))
        return
    note_fields(details, obx, _OBSERVATION_DETAILS)
    if len(obx.fields) > 8 and obx.fields[8]:
        flags = [f for f in (syntax.plain(_first_part(syntax, r)) for r in obx.repetitions(8)) if f]
        details["flags"] = flags
    start = start_of(obx, 14, zone, group.issues)
    author = read_clinician(syntax, obx.first(16)) if len(obx.fields) > 16 else ""
    if obr is not None:
        start = start or start_of(obr, 7, zone, group.issues)
        _note_order(group, obr, details)
    if group.visit_id:
        details["visit"] = group.visit_id
    draft = group.add(
        Heading.OBSERVATION,
        obx.value(21) or _observation_id(group, obx, codes, words, start),
        details,
        codes=codes,
        text=words or None,
        status=OBSERVATION_STATUS.get(obx.value(11).upper(), "unknown"),
        start=start,
        recorded_at=_recorded(group, obx, obr),
        author=author or (_reporter(obr) if obr is not None else None),
    )
    group.order_item = draft if obr is not None else None


def _observation_id(
    group: Group,
    obx: Segment,
    codes: tuple[Coding, ...],
    words: str,
    start: PartialDate | Instant | None,
) -> str:
    """Derived from the order, or where there is none from the visit and the time."""
    code = codes[0].code if codes else words
    order = _order_id(group.order) if group.order is not None else ""
    if order:
        return group.derived("OBX", order, code, obx.value(4))
    return group.derived("OBX", group.visit_id, code, obx.value(4), start)


def _recorded(group: Group, obx: Segment, obr: Segment | None) -> Instant | None:
    """When the result was reported, where it says so to the hour."""
    for segment, number in ((obx, 19), (obr, 22)):
        text = segment.value(number) if segment is not None else ""
        try:
            moment = read_time(text, group.rules.zone) if text else ""
        except InvalidValue:
            group.issues.append(("OBX-19" if segment is obx else "OBR-22", "not a time"))
            continue
        if len(moment) > 10:
            return Instant(moment)
    return None


def _note_order(group: Group, obr: Segment, details: dict[str, Any]) -> None:
    words = read_concept_text(obr.syntax, obr.first(4))
    if words:
        details["report"] = words
    order = _order_id(obr)
    if order:
        details["order"] = order
    if group.order_notes:
        details.update(group.order_notes)
        group.order_notes = {}


_OBSERVATION_DETAILS: FieldTable = (
    (2, "value_type", read_first),
    (4, "sub_id", read_first),
    (6, "units", read_first),
    (7, "reference_range", Syntax.plain),
    (17, "method", read_concept_text),
    (20, "site", read_concept_text),
    (23, "performer", read_first),
)


def _first_part(syntax: Syntax, text: str) -> str:
    return text.partition(syntax.component)[0]


def _value(obx: Segment, kind: str, details: dict[str, Any]) -> str:
    """OBX-5 as text, as its type (OBX-2) says; codes and enclosed files go to `details`."""
    sent = obx.raw(5)
    if not sent:
        return ""
    syntax = obx.syntax
    if kind in _CODED_TYPES:
        repetitions = obx.repetitions(5)
        codes = [code for text in repetitions for code in read_codes(syntax, text)]
        if codes:
            details["value_codes"] = as_plain(codes)
        return ", ".join(t for t in (read_concept_text(syntax, r) for r in repetitions) if t)
    if kind in ("ED", "RP"):
        names = _ENCLOSED if kind == "ED" else _POINTER
        enclosed = dict(zip(names, syntax.parts(sent, len(names)), strict=False))
        details["attachment"] = {name: text for name, text in enclosed.items() if text}
        return " ".join(t for t in (enclosed["type"], enclosed["subtype"]) if t) or "Attachment"
    if kind in _PARTED_TYPES:
        return syntax.every(sent)
    joint = "\n" if kind in _TEXT_TYPES else ", "
    return joint.join(syntax.plain(text) for text in obx.repetitions(5))


_ENCLOSED = ("source", "type", "subtype", "encoding", "data")
_POINTER = ("pointer", "application", "type", "subtype")


# --- documents ----------------------------------------------------------------------------------
def _document(group: Group, txa: Segment) -> None:
    close_order(group)
    syntax, zone = txa.syntax, group.rules.zone
    sent = txa.first(2)
    codes = read_codes(syntax, sent) if sent else ()
    if codes and codes[0].system is None:
        codes = (Coding(codes[0].code, "HL70270", codes[0].display), *codes[1:])
    details, group.order_notes = group.order_notes, {}
    note_fields(details, txa, _DOCUMENT_DETAILS)
    start = start_of(txa, 4, zone, group.issues) or start_of(txa, 6, zone, group.issues)
    words = read_concept_text(syntax, sent) if sent else ""
    clinicians = (read_clinician(syntax, txa.first(n)) for n in (9, 5, 10))
    confidentiality = txa.value(18).upper()
    recorded = start_of(txa, 7, zone, group.issues)
    group.document = group.add(
        Heading.DOCUMENT,
        txa.value(12) or txa.value(16) or group.derived("TXA", words, start),
        details,
        codes=codes,
        text=None if codes else "Document",
        status=group.event.item or DOCUMENT_STATUS.get(txa.value(19).upper(), "current"),
        start=start,
        recorded_at=recorded if recorded and len(recorded) > 10 else None,
        author=next((c for c in clinicians if c), None),
        sensitivity=(confidentiality,) if confidentiality else (),
    )


_DOCUMENT_DETAILS: FieldTable = (
    (3, "presentation", read_concept_text),
    (13, "replaces", read_first),
    (14, "placer_order", read_first),
    (15, "filler_order", read_first),
    (16, "file_name", read_first),
    (17, "completion", read_first),
    (21, "change_reason", read_concept_text),
    (22, "authenticated_by", read_clinician),
    (25, "title", Syntax.plain),
)


def _document_content(group: Group, document: dict[str, Any], obx: Segment) -> None:
    found: dict[str, Any] = {}
    kind, title = obx.value(2).upper(), read_concept_text(obx.syntax, obx.first(3))
    value = _value(obx, kind, found)
    details = document["details"]
    attachment = found.get("attachment")
    if attachment:
        details.setdefault("attachments", []).append({"title": title, **attachment})
    elif value and kind not in _TEXT_TYPES:
        details.setdefault("values", []).append({"title": title, "value": value, **found})
    elif value:
        text = document["text"] if document["text"] != "Document" else None
        document["text"] = f"{text}\n{value}" if text else value
    group.notes = details


# --- appointments and referrals -----------------------------------------------------------------
def _appointment(group: Group, sch: Segment) -> None:
    zone = group.rules.zone
    details: dict[str, Any] = {}
    note_fields(details, sch, _APPOINTMENT_DETAILS)
    start, end = _timing(group, sch, 4), _timing(group, sch, 5)
    sent = sch.first(8) or sch.first(7)
    words = read_concept_text(sch.syntax, sent) if sent else ""
    status = APPOINTMENT_STATUS.get(sch.value(25).upper().replace(" ", ""), "booked")
    start = start or start_of(sch, 12, zone, group.issues)
    group.appointment = group.add(
        Heading.APPOINTMENT,
        sch.value(2) or sch.value(1) or group.derived("SCH", words, start),
        details,
        codes=read_codes(sch.syntax, sent) if sent else (),
        text=words or "Appointment",
        status=group.event.item or status,
        start=start,
        end=end,
        author=read_clinician(sch.syntax, sch.first(16)) or None,
    )


_APPOINTMENT_DETAILS: FieldTable = (
    (6, "event_reason", read_concept_text),
    (7, "reason", read_concept_text),
    (9, "duration", read_concept_text),
    (10, "duration_units", read_concept_text),
    (25, "filler_status", read_concept_text),
)


def _timing(group: Group, sch: Segment, component: int) -> PartialDate | Instant | None:
    text = sch.value(11, component)
    try:
        return read_time(text, group.rules.zone) if text else None
    except InvalidValue:
        group.issues.append((f"SCH-11.{component}", "not a time"))
        return None


def _resource(group: Group, segment: Segment) -> None:
    """AIS service, AIG anything, AIL place, AIP person: what the appointment needs."""
    name = segment.fields[0]
    if group.appointment is None:
        group.keep(name, segment.syntax.field.join(segment.fields))
        return
    details = group.appointment["details"]
    key, reader = _RESOURCES[name]
    sent = segment.first(3)
    words = reader(segment.syntax, sent) if sent else ""
    if words:
        details.setdefault(key, []).append(words)
    if name == "AIS" and group.appointment["start"] is None:
        group.appointment["start"] = start_of(segment, 4, group.rules.zone, group.issues)
    group.notes = details


_RESOURCES: dict[str, tuple[str, Callable[[Syntax, str], str]]] = {
    "AIS": ("services", read_concept_text),
    "AIG": ("resources", read_concept_text),
    "AIL": ("locations", read_place),
    "AIP": ("people", read_clinician),
}


def _referral(group: Group, rf1: Segment) -> None:
    syntax = rf1.syntax
    sent = rf1.first(10)
    words = read_concept_text(syntax, sent) if sent else ""
    details: dict[str, Any] = {}
    note_fields(details, rf1, _REFERRAL_DETAILS)
    start = start_of(rf1, 7, group.rules.zone, group.issues)
    group.add(
        Heading.REFERRAL,
        rf1.value(6) or rf1.value(11) or group.derived("RF1", words, start),
        details,
        codes=read_codes(syntax, sent) if sent else (),
        text=words or "Referral",
        status=group.event.item or REFERRAL_STATUS.get(rf1.value(1).upper(), "active"),
        start=start,
        end=start_of(rf1, 8, group.rules.zone, group.issues),
    )


_REFERRAL_DETAILS: FieldTable = (
    (1, "referral_status", read_concept_text),
    (2, "priority", read_concept_text),
    (3, "type", read_concept_text),
    (4, "disposition", read_concept_text),
    (5, "category", read_concept_text),
    (11, "external_id", read_first),
)


def _common_order(group: Group, orc: Segment) -> None:
    close_order(group)
    group.ahead.append(orc.syntax.field.join(orc.fields))


def _timing_segment(group: Group, tq1: Segment) -> None:
    """Between ORC and OBR it speaks of the order to come, else of the one that stands."""
    line = tq1.syntax.field.join(tq1.fields)
    if group.ahead:
        group.ahead.append(line)
    else:
        group.keep(tq1.fields[0], line)


HANDLERS: dict[str, Handler] = {
    "ORC": _common_order,
    "TQ1": _timing_segment,
    "OBR": _order,
    "OBX": _observation,
    "TXA": _document,
    "SCH": _appointment,
    "AIS": _resource,
    "AIG": _resource,
    "AIL": _resource,
    "AIP": _resource,
    "RF1": _referral,
}
"""Segment → its reader."""
