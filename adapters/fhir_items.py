"""FHIR resources other than Patient to care items and staff entries.

Rules:
- Fields and headings are told by the tables of adapters/fhir_layouts.py.
- `item_id` is `Type/id`, because several types share a heading; without an id, the first
  identifier, the Bundle's address, or a digest of the content.
- A resource that names no patient (a Location), or somebody else than a patient, is kept
  unclassified and belongs to nobody. One that names a patient who cannot be told is not loaded:
  filed under nobody, it would be out of reach of every rule about that person.
- A resource without what its heading needs is kept unclassified, for its subject, and counted.
- An empty List with a reason says "recorded as none" (or why not) under the heading it is about.
- Items entered in error are kept, with that status. `original` is the resource as received.
- A PractitionerRole with an ODS organisation is also a staff entry; one that is not active has
  ended when the source says so.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

from adapters.fhir_codes import security_labels
from adapters.fhir_directory import Directory, Meant, Subject
from adapters.fhir_layouts import CLINICAL, Layout, Path, heading_of, layout_of
from adapters.fhir_patient import human_names
from adapters.fhir_values import (
    Issue,
    at,
    codings,
    concept_text,
    display_name,
    first_code,
    held,
    instant,
    moment,
    obj,
    objects,
    partial_date,
    text,
)
from schemas.columns import canonical_json
from schemas.dates import Instant, PartialDate
from schemas.identifiers import LocalId
from schemas.items import HEADINGS, CareItem, Heading
from schemas.records import StaffEntry


class ItemReader:
    """Reads the resources of one feed that are not Patients.

    Args:
        directory: resolves their references.
        today: ISO date of the feed: when a role that is not active has ended at the latest.
        issue: counts what could not be read.
    """

    def __init__(self, directory: Directory, today: str, issue: Issue) -> None:
        self._directory, self._today, self._issue = directory, today, issue

    def subject(self, resource: dict[str, Any]) -> Subject:
        """Whose resource it is."""
        if resource["resourceType"] == "Appointment":
            return self._attending(resource)
        found = Subject(Meant.OTHER)
        for path in layout_of(resource).subject:
            reference = at(resource, path)
            found = self._directory.subject(obj(reference) or None, resource)
            if found.meant is not Meant.OTHER:
                return found
        return found

    def _attending(self, appointment: dict[str, Any]) -> Subject:
        """The one patient among the participants of an Appointment."""
        found = Subject(Meant.OTHER)
        for participant in objects(appointment.get("participant")):
            actor = obj(participant.get("actor"))
            subject = self._directory.subject(actor, appointment)
            named = "reference" in actor or actor.get("type") == "Patient"
            if subject.meant is Meant.OTHER or not (named or subject.local_id):
                continue
            if found.local_id not in (None, subject.local_id):
                return Subject(Meant.UNRESOLVED)
            found = subject
        return found

    def item(
        self, resource: dict[str, Any], local_id: LocalId | None, full_url: str | None
    ) -> CareItem:
        """The care item of a resource, filed under its subject's local id."""
        layout = layout_of(resource)
        kind = resource["resourceType"]
        heading = heading_of(resource) if local_id is not None else Heading.UNCLASSIFIED
        fields: dict[str, Any] = {
            "codes": tuple(c for path in layout.codes for c in codings(at(resource, path))),
            "text": self._text(resource, layout),
            "status": _status(resource, layout),
            "start": self._when(resource, layout.start, "start"),
            "end": self._when(resource, layout.end, "end"),
            "recorded_at": self._recorded(resource, layout),
            "author": _author(resource, layout),
            "organisation": self._organisation(resource, layout),
            "original": held(resource),
        }
        if kind.startswith("Medication") and not fields["codes"]:
            fields |= self._medication(resource, fields["text"])
        if not any(fields[need] for need in HEADINGS[heading].needs):
            heading = Heading.UNCLASSIFIED
            self._issue(f"{kind}.code", "missing_value")
        return CareItem(
            heading=heading,
            item_id=_item_id(resource, full_url),
            subject=local_id,
            sensitivity=security_labels(resource),
            details=_details(resource),
            **fields,
        )

    def _text(self, resource: dict[str, Any], layout: Layout) -> str | None:
        if resource["resourceType"] == "RelatedPerson":
            names = human_names(resource.get("name"), self._issue)
            if names:
                return display_name(names[0])
        for path in layout.text:
            said = text(at(resource, path))
            if said:
                return said
        told = (concept_text(at(resource, path)) for path in layout.codes)
        return next((said for said in told if said), None)

    def _medication(self, resource: dict[str, Any], said: str | None) -> dict[str, Any]:
        """Codes and text of a medicine that stands in a resource of its own."""
        reference = resource.get("medicationReference")
        code = self._directory.medication(reference, resource)
        named = obj(reference)
        words = concept_text(code) or text(named.get("display")) or text(named.get("reference"))
        return {"codes": tuple(codings(code)), "text": said or words}

    def _when(
        self, resource: dict[str, Any], paths: tuple[Path, ...], field: str
    ) -> PartialDate | Instant | None:
        for path in paths:
            sent = at(resource, path)
            if sent is not None:
                read = moment(sent)
                if read is None:
                    self._issue(field, "bad_value")
                return read
        return None

    def _recorded(self, resource: dict[str, Any], layout: Layout) -> Instant | None:
        for path in layout.recorded:
            sent = text(at(resource, path))
            if sent is not None:
                # A whole day counts from its midnight; a month or year is no moment.
                return instant(sent) if len(sent) >= 10 else None
        return None

    def _organisation(self, resource: dict[str, Any], layout: Layout) -> Any:
        for path in layout.organisation:
            code = self._directory.organisation(obj(at(resource, path)))
            if code is not None:
                return code
        return None

    def staff(self, role: dict[str, Any]) -> StaffEntry | None:
        """The staff entry of a PractitionerRole; None where it has no ODS organisation or nobody
        can be told by it."""
        organisation = self._directory.organisation(obj(role.get("organization")))
        person = obj(role.get("practitioner"))
        staff_id = (
            text(at(person, ("identifier", "value")))
            or (text(person.get("reference")) or "").rpartition("/")[2]
            or text(at(role, ("identifier", "value")))
            or text(role.get("id"))
        )
        if organisation is None or not staff_id:
            return None
        end = partial_date(at(role, ("period", "end")))
        if role.get("active") is False and end is None:
            said = partial_date(at(role, ("meta", "lastUpdated")))
            end = said or PartialDate(self._today)
        return StaffEntry(
            staff_id=staff_id,
            organisation=organisation,
            role=concept_text(role.get("code")) or first_code(role.get("code")) or "not stated",
            name=text(person.get("display")),
            team=_shown(obj(role.get("healthcareService"))),
            start=partial_date(at(role, ("period", "start"))),
            end=end,
            details={"role_codes": [c.code for c in codings(role.get("code"))]},
        )


def _item_id(resource: dict[str, Any], full_url: str | None) -> str:
    kind = resource["resourceType"]
    own = (
        text(resource.get("id"))
        or text(at(resource, ("identifier", "value")))
        or full_url
        or sha256(canonical_json(resource)).hexdigest()[:32]
    )
    return f"{kind}/{own}"


_OVERRULING = frozenset({"entered-in-error", "refuted"})
"""Verification statuses that say more than the clinical status."""


def _status(resource: dict[str, Any], layout: Layout) -> str | None:
    if layout.status == CLINICAL:
        verified = first_code(resource.get("verificationStatus"))
        clinical = first_code(resource.get("clinicalStatus"))
        return verified if verified in _OVERRULING else clinical or verified
    sent = (text(at(resource, path)) for path in layout.status)
    return next((status for status in sent if status), None)


def _author(resource: dict[str, Any], layout: Layout) -> str | None:
    shown = (_shown(obj(at(resource, path))) for path in layout.author)
    return next((who for who in shown if who), None)


def _shown(reference: dict[str, Any]) -> str | None:
    """How a Reference names its target: display, identifier or address."""
    return (
        text(reference.get("display"))
        or text(at(reference, ("identifier", "value")))
        or text(reference.get("reference"))
    )


class _Detail(NamedTuple):
    name: str
    read: Callable[[dict[str, Any]], Any]


def _value(observation: dict[str, Any]) -> str | None:
    """An Observation's value as text."""
    quantity = obj(observation.get("valueQuantity"))
    number = quantity.get("value")
    if number is not None:
        unit = text(quantity.get("unit")) or text(quantity.get("code"))
        return " ".join(str(p) for p in (text(quantity.get("comparator")), number, unit) if p)
    coded = concept_text(observation.get("valueCodeableConcept"))
    return coded or text(observation.get("valueString"))


_DETAILS: dict[str, tuple[_Detail, ...]] = {
    "List": (
        _Detail(
            "empty_reason",
            lambda r: first_code(r.get("emptyReason")) or concept_text(r.get("emptyReason")),
        ),
    ),
    "Observation": (_Detail("value", _value),),
    "DiagnosticReport": (_Detail("conclusion", lambda r: text(r.get("conclusion"))),),
    "Condition": (_Detail("verification", lambda r: first_code(r.get("verificationStatus"))),),
    "AllergyIntolerance": (
        _Detail("verification", lambda r: first_code(r.get("verificationStatus"))),
    ),
    "Encounter": (_Detail("class", lambda r: first_code(r.get("class"))),),
    "Consent": (_Detail("provision", lambda r: text(at(r, ("provision", "type")))),),
}
"""What an item shows of its own kind, beside the original."""


def _details(resource: dict[str, Any]) -> dict[str, Any]:
    wanted = _DETAILS.get(resource["resourceType"], ())
    found = ((detail.name, detail.read(resource)) for detail in wanted)
    return {name: value for name, value in found if value is not None}
