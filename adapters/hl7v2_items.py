"""Care items of HL7 v2 segments about a visit, its people and its problems: PV1, PV2, NK1, AL1,
IAM, DG1, PR1, ARV, NTE (ids: adapters/hl7v2_group.py).

Rules:
- In an event that is not about a visit (results, letters, person-level updates, merges) PV1 only
  points at one: its number goes to the items, and the visit itself stays as its own events left it.
- A PV1 of class "not applicable", or with neither number, time, place nor clinician, is there only
  because the message needs one: it makes no visit.
- A segment that its type needs to name something, and that names nothing, is kept as sent.
- ARV and PV1-16 can restrict the person; a visit's own restrictions are its sensitivity.
"""

from __future__ import annotations

from typing import Any

from adapters.hl7v2_group import Draft, Group, Handler
from adapters.hl7v2_message import Segment
from adapters.hl7v2_person import read_retired_ids
from adapters.hl7v2_tables import (
    ALLERGY_STATUS,
    DELETE_ACTION,
    NO_VISIT_CLASSES,
    OCCURRED_AS,
    RESTRICTING_ACCESS,
    RESTRICTING_PV1_16,
    VISIT_CLASSES,
    Moves,
)
from adapters.hl7v2_types import (
    CODE_SYSTEMS,
    FieldTable,
    note_fields,
    read_clinician,
    read_codes,
    read_concept_text,
    read_first,
    read_name,
    read_place,
    read_telecoms,
    start_of,
)
from schemas.demographics import HumanName
from schemas.items import Coding, Heading

_VISIT_DETAILS: FieldTable = (
    (3, "location", read_place),
    (4, "admission_type", read_concept_text),
    (6, "prior_location", read_place),
    (7, "attending", read_clinician),
    (8, "referring", read_clinician),
    (9, "consulting", read_clinician),
    (10, "service", read_concept_text),
    (14, "admit_source", read_concept_text),
    (17, "admitting", read_clinician),
    (18, "patient_type", read_concept_text),
    (36, "discharge_disposition", read_concept_text),
    (37, "discharged_to", read_first),
    (39, "servicing_facility", read_concept_text),
    (42, "pending_location", read_place),
    (43, "temporary_location", read_place),
    (50, "alternate_visit_id", read_first),
)
_VISIT_MORE: FieldTable = (
    (3, "reason", read_concept_text),
    (8, "expected_start", read_first),
    (9, "expected_end", read_first),
    (12, "description", read_concept_text),
    (24, "patient_status", read_concept_text),
    (25, "priority", read_concept_text),
)


NAMES_NO_VISIT = ("PV1-19", "names no visit")
"""The issue of a PV1 that tells of a visit, but not of which."""


def _visit(group: Group, pv1: Segment) -> None:
    code = pv1.value(2).upper()
    access = pv1.value(16).upper()
    if access in RESTRICTING_PV1_16:
        group.person.restricted = True
    if code in NO_VISIT_CLASSES:
        return
    if group.event.visit is None:
        group.visit_id = pv1.value(19) or None
        return
    details: dict[str, Any] = {}
    note_fields(details, pv1, _VISIT_DETAILS)
    zone, event = group.rules.zone, group.event
    start = start_of(pv1, 44, zone, group.issues)
    end = start_of(pv1, 45, zone, group.issues)
    number = pv1.value(19)
    if not (number or start or end or details):
        group.issues.append(NAMES_NO_VISIT)
        return
    item_id = number or group.derived("PV1", code, start or group.control_id)
    occurred = OCCURRED_AS.get(group.kind)
    if occurred and group.evn is not None:
        moment = start_of(group.evn, 6, zone, group.issues)
        start = start or (moment if occurred == "start" else None)
        end = end or (moment if occurred == "end" else None)
    kind = VISIT_CLASSES.get(code, VISIT_CLASSES["U"])
    group.visit = group.add(
        kind.heading,
        item_id,
        details,
        codes=(Coding(code, "HL70004", kind.title),) if code else (),
        text=kind.title,
        status=event.visit or _status_by_times(code, end),
        start=start,
        end=None if event.reopens else end,
        author=details.get("attending") or details.get("consulting") or details.get("admitting"),
        sensitivity=(access,) if access else (),
    )
    group.visit_id = item_id
    _former_visit(group, group.visit)


def _status_by_times(code: str, end: object) -> str:
    if end:
        return "finished"
    return "planned" if code == "P" else "in-progress"


def _former_visit(group: Group, visit: Draft) -> None:
    """The visit that this one replaces: another number, or another heading."""
    prior = group.mrg.value(5) if group.mrg is not None else ""
    moves, heading = group.event.moves, visit["heading"]
    notes = group.notes
    if moves is Moves.VISIT and prior and prior != visit["item_id"]:
        retired = read_retired_ids(group.mrg, group.rules) if group.mrg is not None else []
        former = group.add(
            heading,
            prior,
            {"replaced_by": visit["item_id"]},
            text="Now part of another visit",
            status="entered-in-error",
        )
        former["subject"] = retired[0] if retired else group.local_id
    elif moves is Moves.CLASS:
        admission = heading is Heading.ADMISSION
        group.add(
            Heading.ENCOUNTER if admission else Heading.ADMISSION,
            prior or visit["item_id"],
            {"continued_as": visit["item_id"]},
            text="Became an admission" if admission else "Became an attendance",
            status="finished",
        )
    group.notes = notes


def _visit_more(group: Group, pv2: Segment) -> None:
    if group.visit is None:
        return
    details = group.visit["details"]
    note_fields(details, pv2, _VISIT_MORE)
    if pv2.value(22).upper() == "Y":
        group.visit["sensitivity"] += ("protected",)
    group.notes = details


def _access(group: Group, arv: Segment) -> None:
    """Access restrictions (ARV, since 2.6) of the person, or of the visit they follow."""
    group.notes.setdefault("ARV", []).append(arv.every(5) or arv.value(3))
    if arv.value(2).upper() == DELETE_ACTION:
        return
    values = tuple(arv.syntax.plain(v).upper() for v in arv.repetitions(3))
    if group.visit is not None:
        group.visit["sensitivity"] += tuple(v for v in values if v)
    elif RESTRICTING_ACCESS.intersection(values):
        group.person.restricted = True


def _shown(name: HumanName) -> str:
    return " ".join(p for p in (name.prefix, *name.given, name.family) if p)


def _contact(group: Group, nk1: Segment) -> None:
    syntax = nk1.syntax
    sent = nk1.first(2)
    name = read_name(syntax, sent) if sent else None
    who = _shown(name) if name else nk1.value(13)
    if not who:
        group.issues.append(("NK1-2", "names nobody"))
        group.keep("NK1", syntax.field.join(nk1.fields))
        return
    relation = read_concept_text(syntax, nk1.first(3))
    details: dict[str, Any] = {"name": who}
    if relation:
        details["relationship"] = relation
    role = read_concept_text(syntax, nk1.first(7))
    if role:
        details["role"] = role
    telecoms = [
        telecom.value
        for number, use in ((5, "home"), (6, "work"), (40, None))
        for text in nk1.repetitions(number)
        for telecom in read_telecoms(syntax, text, use, f"NK1-{number}", group.issues)
    ]
    if telecoms:
        details["telecoms"] = telecoms
    addresses = [syntax.every(text) for text in nk1.repetitions(4)]
    if any(addresses):
        details["addresses"] = [a for a in addresses if a]
    group.add(
        Heading.PERSONAL_CONTACT,
        group.derived("NK1", nk1.value(33) or who, relation),
        details,
        codes=read_codes(syntax, nk1.first(3)),
        text=f"{relation or role or 'Contact'}: {who}",
        start=start_of(nk1, 8, group.rules.zone, group.issues),
        end=start_of(nk1, 9, group.rules.zone, group.issues),
    )


def _named(group: Group, segment: Segment, code: int, text: int) -> tuple[tuple[Coding, ...], str]:
    """Code and words of a coded field with a text field beside it; keeps a segment with neither."""
    sent = segment.first(code)
    codes = read_codes(segment.syntax, sent) if sent else ()
    words = segment.value(text) if text else ""
    words = words or (read_concept_text(segment.syntax, sent) if sent else "")
    if not codes and not words:
        name = segment.fields[0]
        group.issues.append((f"{name}-{code}", "names nothing"))
        group.keep(name, segment.syntax.field.join(segment.fields))
    return codes, words


def _allergy(group: Group, segment: Segment) -> None:
    codes, words = _named(group, segment, 3, 0)
    if not words:
        return
    managed = segment.fields[0] == "IAM"
    details: dict[str, Any] = {}
    note_fields(details, segment, _ALLERGY_DETAILS)
    reactions = [segment.syntax.plain(r) for r in segment.repetitions(5)]
    if any(reactions):
        details["reactions"] = [r for r in reactions if r]
    status = "active"
    if managed:
        status = ALLERGY_STATUS.get(segment.value(17).upper(), status)
        if segment.value(6).upper() == DELETE_ACTION:
            status = "entered-in-error"
    own = segment.value(7) if managed else ""
    group.add(
        Heading.ALLERGY,
        own or group.derived("AL1", codes[0].code if codes else words),
        details,
        codes=codes,
        text=words,
        status=status,
        start=start_of(segment, 11 if managed else 6, group.rules.zone, group.issues),
        author=read_clinician(segment.syntax, segment.first(18)) or None if managed else None,
    )


_ALLERGY_DETAILS: FieldTable = (
    (2, "type", read_concept_text),
    (4, "severity", read_concept_text),
)


def _coded_by_method(codes: tuple[Coding, ...], method: str) -> tuple[Coding, ...]:
    """Old versions name the code list in a field of its own (DG1-2, PR1-2)."""
    if not method or not codes or codes[0].system:
        return codes
    system = CODE_SYSTEMS.get(method.upper(), method)
    return (Coding(codes[0].code, system, codes[0].display), *codes[1:])


def _condition(group: Group, dg1: Segment) -> None:
    codes, words = _named(group, dg1, 3, 4)
    if not words:
        return
    codes = _coded_by_method(codes, dg1.value(2))
    details: dict[str, Any] = {}
    note_fields(details, dg1, ((6, "type", read_concept_text), (15, "priority", read_concept_text)))
    if group.visit_id:
        details["visit"] = group.visit_id
    start = start_of(dg1, 5, group.rules.zone, group.issues)
    group.add(
        Heading.CONDITION,
        dg1.value(20) or group.derived("DG1", codes[0].code if codes else words, start),
        details,
        codes=codes,
        text=words,
        status="entered-in-error" if dg1.value(21).upper() == DELETE_ACTION else "active",
        start=start,
        author=read_clinician(dg1.syntax, dg1.first(16)) or None,
        sensitivity=("confidential",) if dg1.value(18).upper() == "Y" else (),
    )


def _procedure(group: Group, pr1: Segment) -> None:
    codes, words = _named(group, pr1, 3, 4)
    if not words:
        return
    codes = _coded_by_method(codes, pr1.value(2))
    details: dict[str, Any] = {}
    note_fields(details, pr1, _PROCEDURE_DETAILS)
    if group.visit_id:
        details["visit"] = group.visit_id
    start = start_of(pr1, 5, group.rules.zone, group.issues)
    clinicians = (read_clinician(pr1.syntax, pr1.first(n)) for n in (11, 12, 8))
    group.add(
        Heading.PROCEDURE,
        pr1.value(19) or group.derived("PR1", codes[0].code if codes else words, start),
        details,
        codes=codes,
        text=words,
        status="entered-in-error" if pr1.value(20).upper() == DELETE_ACTION else "completed",
        start=start,
        author=next((c for c in clinicians if c), None),
    )


_PROCEDURE_DETAILS: FieldTable = (
    (6, "type", read_concept_text),
    (7, "minutes", read_concept_text),
    (15, "diagnosis", read_concept_text),
)


def _note(group: Group, nte: Segment) -> None:
    words = nte.every(3)
    if words:
        group.notes.setdefault("notes", []).append(words)


def _practice_segment(group: Group, pd1: Segment) -> None:
    group.person.pd1 = pd1


def _merge_segment(group: Group, mrg: Segment) -> None:
    group.mrg = mrg
    group.merged.append(mrg)
    if group.event.moves is Moves.NOTE:
        group.keep("MRG", mrg.syntax.field.join(mrg.fields))


HANDLERS: dict[str, Handler] = {
    "PD1": _practice_segment,
    "MRG": _merge_segment,
    "PV1": _visit,
    "PV2": _visit_more,
    "ARV": _access,
    "NK1": _contact,
    "AL1": _allergy,
    "IAM": _allergy,
    "DG1": _condition,
    "PR1": _procedure,
    "NTE": _note,
}
"""Segment → its reader."""
