"""Client records and care items as FHIR R4 resources.

Rules:
- What came as FHIR goes out as it came: its `original`, whole.
- What came in another format is built: of what is kept, nothing more (items:
  schemas/fhir_items.py).
- Nothing is read from a clock or a database: equal input gives equal output.
"""

from __future__ import annotations

import copy

from schemas.fhir_items import (
    TERMINOLOGY,
    Resource,
    client,
    item_resource,
    organisation,
    without_empty,
)
from schemas.fhir_person import (
    address_of,
    coded_extension,
    contact_point,
    human_name,
    identifier,
    nhs_number,
)
from schemas.items import CareItem
from schemas.records import ClientRecord


def resource_of(kept: ClientRecord | CareItem) -> Resource:
    """The FHIR R4 resource of a record or item; the caller may change it freely."""
    if kept.original is not None:
        return copy.deepcopy(kept.original)
    return _patient(kept) if isinstance(kept, ClientRecord) else item_resource(kept)


def _patient(record: ClientRecord) -> Resource:
    return without_empty(
        {
            "resourceType": "Patient",
            "meta": {"security": [_restriction()]} if record.restricted else None,
            "extension": _patient_extensions(record),
            "identifier": _identifiers(record),
            "name": [human_name(name) for name in record.names],
            "telecom": [contact_point(telecom) for telecom in record.telecoms],
            "gender": record.gender and record.gender.value,
            "birthDate": record.birth_date,
            "deceasedDateTime": record.death and record.death.on,
            "deceasedBoolean": True if record.death and not record.death.on else None,
            "address": [address_of(address) for address in record.addresses],
            "generalPractitioner": [organisation(record.gp_practice)] if record.gp_practice else [],
            "managingOrganization": organisation(record.organisation),
            "link": _replaced_by(record),
        }
    )


def _restriction() -> Resource:
    return {"system": f"{TERMINOLOGY}/v3-Confidentiality", "code": "R", "display": "restricted"}


def _patient_extensions(record: ClientRecord) -> list[Resource]:
    found = []
    if record.ethnicity:
        found.append(coded_extension("EthnicCategory", "EthnicCategoryEngland", record.ethnicity))
    if record.birth_sex:
        found.append(coded_extension("BirthSex", "BirthSex", record.birth_sex.value))
    return found


def _identifiers(record: ClientRecord) -> list[Resource]:
    found: list[Resource] = [{"use": "secondary", "value": record.local_id}]
    claim = record.nhs_number
    if claim is not None:
        found.insert(0, nhs_number(claim))
    found += [identifier(i.system, i.value) for i in record.identifiers]
    return found


def _replaced_by(record: ClientRecord) -> list[Resource]:
    if record.replaced_by is None:
        return []
    return [{"other": client(record.replaced_by), "type": "replaced-by"}]
