"""Names, addresses, telecoms and identifiers as FHIR R4 data types. Values in, values out."""

from __future__ import annotations

from schemas.demographics import Address, HumanName, NhsNumberClaim, Period, Telecom
from schemas.fhir_items import Resource, without_empty

NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
UK_CORE = "https://fhir.hl7.org.uk"


def coded_extension(name: str, code_system: str, code: str) -> Resource:
    """A UK Core extension that holds one code."""
    coding = {"system": f"{UK_CORE}/CodeSystem/UKCore-{code_system}", "code": code}
    url = f"{UK_CORE}/StructureDefinition/Extension-UKCore-{name}"
    return {"url": url, "valueCodeableConcept": {"coding": [coding]}}


def identifier(system: str, value: str) -> Resource:
    """A system that is a URI stands as one; the sender's own name of it goes into the type."""
    if ":" in system and not any(c.isspace() for c in system):
        return {"system": system, "value": value}
    return {"type": {"text": system}, "value": value}


def human_name(name: HumanName) -> Resource:
    """A HumanName."""
    return without_empty(
        {
            "use": name.use and name.use.value,
            "text": name.text,
            "family": name.family,
            "given": list(name.given),
            "prefix": [name.prefix] if name.prefix else [],
            "suffix": [name.suffix] if name.suffix else [],
            "period": period_of(name.period),
        }
    )


def period_of(period: Period | None) -> Resource | None:
    """A Period, None for none."""
    return without_empty({"start": period.start, "end": period.end}) if period else None


def contact_point(telecom: Telecom) -> Resource:
    """A ContactPoint."""
    return without_empty(
        {
            "system": telecom.system.value,
            "value": telecom.value,
            "use": telecom.use,
            "period": period_of(telecom.period),
        }
    )


def address_of(address: Address) -> Resource:
    """An Address, with its UPRN where it has one."""
    key = [
        {"url": "type", "valueCoding": {"code": "UPRN"}},
        {"url": "value", "valueString": address.uprn},
    ]
    url = f"{UK_CORE}/StructureDefinition/Extension-UKCore-AddressKey"
    return without_empty(
        {
            "extension": [{"url": url, "extension": key}] if address.uprn else [],
            "use": address.use and address.use.value,
            "line": list(address.lines),
            "postalCode": address.postcode,
            "period": period_of(address.period),
        }
    )


def nhs_number(claim: NhsNumberClaim) -> Resource:
    """An NHS number as an Identifier that says how far it is verified."""
    verification = "NHSNumberVerificationStatus"
    status = coded_extension(verification, f"{verification}England", claim.status.value)
    return {"extension": [status], "system": NHS_NUMBER, "value": claim.value}
