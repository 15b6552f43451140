"""Client records and care items as FHIR R4 resources.

Rules:
- What came as FHIR goes out as it came: its `original`, whole.
- What came in another format is built: of what is kept, nothing more (items:
  adapters/fhir_write_items.py).
- Nothing is read from a clock or a database: equal input gives equal output.
"""

from __future__ import annotations

import copy

from adapters.fhir_write_items import (
    TERMINOLOGY,
    Resource,
    client,
    item_resource,
    organisation,
    without_empty,
)
from schemas.demographics import Address, HumanName, Period, Telecom
from schemas.items import CareItem
from schemas.records import ClientRecord

NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
_UK_CORE = "https://fhir.hl7.org.uk"


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
            "name": [_name(name) for name in record.names],
            "telecom": [_telecom(telecom) for telecom in record.telecoms],
            "gender": record.gender and record.gender.value,
            "birthDate": record.birth_date,
            "deceasedDateTime": record.death and record.death.on,
            "deceasedBoolean": True if record.death and not record.death.on else None,
            "address": [_address(address) for address in record.addresses],
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
        found.append(_coded_extension("EthnicCategory", "EthnicCategoryEngland", record.ethnicity))
    if record.birth_sex:
        found.append(_coded_extension("BirthSex", "BirthSex", record.birth_sex.value))
    return found


def _coded_extension(name: str, code_system: str, code: str) -> Resource:
    coding = {"system": f"{_UK_CORE}/CodeSystem/UKCore-{code_system}", "code": code}
    url = f"{_UK_CORE}/StructureDefinition/Extension-UKCore-{name}"
    return {"url": url, "valueCodeableConcept": {"coding": [coding]}}


def _identifiers(record: ClientRecord) -> list[Resource]:
    found: list[Resource] = [{"use": "secondary", "value": record.local_id}]
    claim = record.nhs_number
    if claim is not None:
        verification = "NHSNumberVerificationStatus"
        status = _coded_extension(verification, f"{verification}England", claim.status.value)
        found.insert(0, {"extension": [status], "system": NHS_NUMBER, "value": claim.value})
    found += [_identifier(i.system, i.value) for i in record.identifiers]
    return found


def _identifier(system: str, value: str) -> Resource:
    """A system that is a URI stands as one; the sender's own name of it goes into the type."""
    if ":" in system and not any(c.isspace() for c in system):
        return {"system": system, "value": value}
    return {"type": {"text": system}, "value": value}


def _name(name: HumanName) -> Resource:
    return without_empty(
        {
            "use": name.use and name.use.value,
            "text": name.text,
            "family": name.family,
            "given": list(name.given),
            "prefix": [name.prefix] if name.prefix else [],
            "suffix": [name.suffix] if name.suffix else [],
            "period": _period(name.period),
        }
    )


def _period(period: Period | None) -> Resource | None:
    return without_empty({"start": period.start, "end": period.end}) if period else None


def _telecom(telecom: Telecom) -> Resource:
    return without_empty(
        {
            "system": telecom.system.value,
            "value": telecom.value,
            "use": telecom.use,
            "period": _period(telecom.period),
        }
    )


def _address(address: Address) -> Resource:
    key = [
        {"url": "type", "valueCoding": {"code": "UPRN"}},
        {"url": "value", "valueString": address.uprn},
    ]
    url = f"{_UK_CORE}/StructureDefinition/Extension-UKCore-AddressKey"
    return without_empty(
        {
            "extension": [{"url": url, "extension": key}] if address.uprn else [],
            "use": address.use and address.use.value,
            "line": list(address.lines),
            "postalCode": address.postcode,
            "period": _period(address.period),
        }
    )


def _replaced_by(record: ClientRecord) -> list[Resource]:
    if record.replaced_by is None:
        return []
    return [{"other": client(record.replaced_by), "type": "replaced-by"}]
