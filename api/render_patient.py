"""A person as a FHIR R4 Patient: what the sources say side by side, never silently merged.

Rules:
- Takes a SharedRecord, and shows all of its demographics: nothing is decided here.
- A value that several sources give stands once, with each source beside it. Where the type holds
  one value only (birth date, gender), the best known is that value and the others stand beside it.
- Best known: what a verified NHS number stands with first, then the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from api.words import (
    ALTERNATIVE,
    CUSTODIAN,
    FRESHNESS,
    LABEL_CODES,
    PERSON_SYSTEM,
    SOURCE,
    SOURCE_SYSTEM,
    slug,
)
from consent.shared import SharedDemographics, SharedRecord
from schemas.codes import NumberStatus
from schemas.fhir_items import TERMINOLOGY, Resource, organisation, without_empty
from schemas.fhir_person import (
    address_of,
    coded_extension,
    contact_point,
    human_name,
    identifier,
    nhs_number,
)

Side = tuple[SharedDemographics, Any]
"""A value, and which source's demographics it stands in."""


def patient(record: SharedRecord) -> Resource:
    """The Patient of a record."""
    held = _best_first(record.demographics)
    return without_empty(
        {
            "resourceType": "Patient",
            "id": record.person,
            "meta": _meta(record),
            "extension": _extensions(held),
            "identifier": _identifiers(record, held),
            "name": _beside(_all(held, lambda d: d.names), human_name),
            "telecom": _beside(_all(held, lambda d: d.telecoms), contact_point),
            **_single("gender", [(d, d.gender.value) for d in held if d.gender]),
            **_single("birthDate", [(d, d.birth_date) for d in held if d.birth_date]),
            **_death(held),
            "address": _beside(_all(held, lambda d: d.addresses), address_of),
            "generalPractitioner": _beside(
                [(d, d.gp_practice) for d in held if d.gp_practice],
                lambda code: organisation(code) or {},
            ),
        }
    )


def reference(record: SharedRecord) -> Resource:
    """A Reference to the Patient."""
    return {"reference": f"Patient/{record.person}", "type": "Patient"}


def _best_first(sides: Iterable[SharedDemographics]) -> list[SharedDemographics]:
    def verified(one: SharedDemographics) -> bool:
        return one.nhs_number is not None and one.nhs_number.status is NumberStatus.VERIFIED

    return sorted(sides, key=lambda one: (verified(one), one.as_at, one.source or ""), reverse=True)


def _meta(record: SharedRecord) -> Resource:
    restricted = "restricted" in record.labels
    confidentiality = f"{TERMINOLOGY}/v3-Confidentiality"
    newest = max((one.received_at for one in record.demographics), default=None)
    return without_empty(
        {
            "lastUpdated": newest,
            "security": [{"system": confidentiality, "code": "R", "display": "restricted"}]
            if restricted
            else [],
            "tag": [
                {"system": LABEL_CODES, "code": slug(label), "display": label}
                for label in record.labels
            ],
        }
    )


def _all(
    held: Iterable[SharedDemographics], values: Callable[[SharedDemographics], Iterable[Any]]
) -> list[Side]:
    return [(one, value) for one in held for value in values(one)]


def _beside(sides: list[Side], render: Callable[[Any], Resource]) -> list[Resource]:
    """Each different value once, with the sources that give it."""
    shown: dict[bytes, Resource] = {}
    for one, value in sides:
        element = render(value)
        key = msgspec.json.encode(element, order="sorted")
        kept = shown.setdefault(key, element)
        if not one.source:
            continue
        said = {"url": SOURCE, "valueCode": one.source}
        if said not in kept.get("extension", ()):
            kept["extension"] = [*kept.get("extension", ()), said]
    return list(shown.values())


def _single(name: str, sides: list[Side]) -> Resource:
    """An element that holds one value: the first; the values that differ stand in an extension."""
    if not sides:
        return {}
    chosen = sides[0][1]
    kind = "valueDate" if name == "birthDate" else "valueCode"
    others = [
        {
            "url": ALTERNATIVE,
            "extension": [
                {"url": "value", kind: value},
                *([{"url": "source", "valueCode": one.source}] if one.source else []),
            ],
        }
        for one, value in sides
        if value != chosen
    ]
    return {name: chosen, f"_{name}": {"extension": others} if others else None}


def _death(held: list[SharedDemographics]) -> Resource:
    deaths = [one.death for one in held if one.death is not None]
    dated = next((death.on for death in deaths if death.on), None)
    if dated:
        return {"deceasedDateTime": dated}
    return {"deceasedBoolean": True} if deaths else {}


def _extensions(held: list[SharedDemographics]) -> list[Resource]:
    found = []
    ethnicity = next((one.ethnicity for one in held if one.ethnicity), None)
    if ethnicity:
        found.append(coded_extension("EthnicCategory", "EthnicCategoryEngland", ethnicity))
    birth_sex = next((one.birth_sex for one in held if one.birth_sex), None)
    if birth_sex:
        found.append(coded_extension("BirthSex", "BirthSex", birth_sex.value))
    return found


def _identifiers(record: SharedRecord, held: list[SharedDemographics]) -> list[Resource]:
    numbers = [(one, one.nhs_number) for one in held if one.nhs_number]
    others = _all(held, lambda one: one.identifiers)
    return [
        {"use": "usual", "system": PERSON_SYSTEM, "value": record.person},
        *_beside(numbers, nhs_number),
        *(_local_id(one) for one in held if one.source and one.local_id),
        *_beside(others, lambda held: identifier(held.system, held.value)),
    ]


def _local_id(one: SharedDemographics) -> Resource:
    """What a source calls the person, with how fresh its record is."""
    custodian = organisation(one.custodian)
    return without_empty(
        {
            "extension": [
                {"url": FRESHNESS, "valueCode": "stale" if one.stale else "current"},
                *([{"url": CUSTODIAN, "valueReference": custodian}] if custodian else []),
            ],
            "use": "secondary",
            "system": f"{SOURCE_SYSTEM}{one.source}",
            "value": one.local_id,
            "period": {"start": one.as_at},
            "assigner": custodian,
        }
    )
