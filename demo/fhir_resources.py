"""FHIR R4 resources of records and care items, shaped as UK Core profiles them. Dictionaries.

Rules:
- The local id is the resource's id; NHS numbers carry the UK Core verification status; practices
  and organisations are referred to by ODS code.
- `RESOURCES` has one builder per heading; each gives what R4 requires of its type.
- Text is never put into narrative: nothing here needs a reader's eye to be understood.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from demo.catalogue import Entry
from demo.items import Items
from demo.names import Texts
from schemas.codes import ETHNIC_CATEGORIES

Resource = dict[str, Any]

_UK_CORE = "https://fhir.hl7.org.uk/StructureDefinition/"
_ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
_NHS = "https://fhir.nhs.uk/Id/nhs-number"
_TERMS = "http://terminology.hl7.org/CodeSystem/"

_STATUS_CODES = {
    "01": "number-present-and-verified",
    "02": "number-present-but-not-traced",
    "03": "trace-required",
    "04": "trace-attempted-no-match-or-multiple-match",
    "06": "trace-in-progress",
}
_GENDERS = {"M": "male", "F": "female", "O": "other", "U": "unknown"}


def _concept(code: str, system: str | None = None, display: str | None = None) -> Resource:
    coding = {"system": system, "code": code, "display": display}
    return {"coding": [{k: v for k, v in coding.items() if v}]}


def _entry(entry: Entry) -> Resource:
    return {**_concept(entry.code, entry.system, entry.display), "text": entry.display}


def _organisation(code: str) -> Resource:
    return {"identifier": {"system": _ODS, "value": code}}


def _extension(name: str, **value: Any) -> Resource:
    return {"url": _UK_CORE + name, **value}


def _nhs_number(number: str, status: str) -> Resource:
    system = "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatusEngland"
    verified = _extension(
        "Extension-UKCore-NHSNumberVerificationStatus",
        valueCodeableConcept=_concept(_STATUS_CODES[status], system),
    )
    return {"extension": [verified], "system": _NHS, "value": number}


def _names(c: dict[str, Texts], row: int) -> list[Resource]:
    given = [name for name in (c["given"][row], c["middle"][row]) if name]
    name: Resource = {"use": "official"}
    if c["family"][row]:
        name["family"] = c["family"][row]
    if given:
        name["given"] = given
    if c["prefix"][row]:
        name["prefix"] = [c["prefix"][row]]
    names = [name]
    if c["previous_family"][row]:
        names.append({"use": "old", "family": c["previous_family"][row], "given": given[:1]})
    if c["known_as"][row]:
        names.append({"use": "nickname", "given": [c["known_as"][row]]})
    return [n for n in names if n.get("given") or n.get("family")]


def _addresses(c: dict[str, Texts], row: int) -> list[Resource]:
    out = []
    for prefix, use in (("", "home"), ("previous_", "old")):
        lines = [c[prefix + part][row] for part in ("line1", "line2") if c[prefix + part][row]]
        town, postcode = c[prefix + "town"][row], c[prefix + "postcode"][row]
        if not (lines or postcode):
            continue
        address: Resource = {"use": use}
        if c[prefix + "uprn"][row] and not prefix:
            address["extension"] = [_address_key(c["uprn"][row])]
        if lines:
            address["line"] = lines
        if town:
            address["city"] = town
        if postcode:
            address["postalCode"] = postcode
        out.append(address)
    return out


def _address_key(uprn: str) -> Resource:
    system = "https://fhir.hl7.org.uk/CodeSystem/UKCore-AddressKeyType"
    return _extension(
        "Extension-UKCore-AddressKey",
        extension=[
            {"url": "type", "valueCodeableConcept": _concept("UPRN", system)},
            {"url": "value", "valueString": uprn},
        ],
    )


def _telecoms(c: dict[str, Texts], row: int) -> list[Resource]:
    kinds = (("landline", "phone", "home"), ("mobile", "phone", "mobile"), ("email", "email", ""))
    out = []
    for column, system, use in kinds:
        value = c[column][row]
        if value:
            out.append({"system": system, "value": value, **({"use": use} if use else {})})
    return out


def patient(c: dict[str, Texts], row: int) -> Resource:
    """The Patient resource of a record (columns of a view, row)."""
    resource: Resource = {
        "resourceType": "Patient",
        "id": c["local_id"][row],
        "meta": {
            "lastUpdated": c["as_at"][row] + "+00:00",
            "profile": [_UK_CORE + "UKCore-Patient"],
        },
    }
    if c["restricted"][row]:
        resource["meta"]["security"] = [
            {"system": _TERMS + "v3-Confidentiality", "code": "R", "display": "restricted"}
        ]
    if c["ethnicity"][row]:
        code = c["ethnicity"][row]
        concept = _concept(
            code,
            "https://fhir.hl7.org.uk/CodeSystem/UKCore-EthnicCategoryEngland",
            ETHNIC_CATEGORIES[code],
        )
        resource["extension"] = [
            _extension("Extension-UKCore-EthnicCategory", valueCodeableConcept=concept)
        ]
    if c["nhs"][row]:
        resource["identifier"] = [_nhs_number(c["nhs"][row], c["nhs_status"][row])]
    optional = {
        "name": _names(c, row),
        "telecom": _telecoms(c, row),
        "gender": _GENDERS.get(c["gender"][row]),
        "birthDate": c["birth"][row],
        "address": _addresses(c, row),
    }
    resource |= {name: value for name, value in optional.items() if value}
    if c["deceased"][row]:
        died = c["death"][row]
        resource |= {"deceasedDateTime": died} if died else {"deceasedBoolean": True}
    if c["gp_practice"][row]:
        resource["generalPractitioner"] = [_organisation(c["gp_practice"][row])]
    resource["managingOrganization"] = _organisation(c["organisation"][row])
    return resource


class Item:
    """One row of `Items` with what its builder needs."""

    def __init__(self, items: Items, n: int, subject: str, organisation: str, stamp: str) -> None:
        self.id, self.status, self.entry = items.item_id[n], items.status[n], items.entry[n]
        self.code = _entry(self.entry)
        self.start, self.end, self.value = items.start[n], items.end[n], items.value[n]
        self.began = f"{self.start}T{items.time[n]}+00:00"
        self.subject: Resource = {"reference": f"Patient/{subject}"}
        self.custodian = _organisation(organisation)
        self.author: Resource = {"display": items.author[n]}
        self.stamp = stamp

    @property
    def period(self) -> Resource:
        """Start and, where it ended, end, as dates."""
        return {"start": self.start, **({"end": self.end} if self.end else {})}


def _encounter(i: Item) -> Resource:
    return {"resourceType": "Encounter", "status": "finished",
            "class": {"system": _TERMS + "v3-ActCode", "code": "AMB"}, "type": [i.code],
            "subject": i.subject, "period": {"start": i.began},
            "participant": [{"individual": i.author}], "serviceProvider": i.custodian}  # fmt: skip


def _condition(i: Item) -> Resource:
    clinical = "active" if i.status == "active" else "inactive"
    return {"resourceType": "Condition",
            "clinicalStatus": _concept(clinical, _TERMS + "condition-clinical"),
            "verificationStatus": _concept("confirmed", _TERMS + "condition-ver-status"),
            "category": [_concept("problem-list-item", _TERMS + "condition-category")],
            "code": i.code, "subject": i.subject, "onsetDateTime": i.start,
            "recordedDate": i.start, "recorder": i.author}  # fmt: skip


def _medication(i: Item) -> Resource:
    return {"resourceType": "MedicationRequest", "status": i.status, "intent": "order",
            "medicationCodeableConcept": i.code, "subject": i.subject, "authoredOn": i.start,
            "requester": i.author}  # fmt: skip


def _allergy(i: Item) -> Resource:
    clinical = "active" if i.status == "active" else "resolved"
    return {"resourceType": "AllergyIntolerance",
            "clinicalStatus": _concept(clinical, _TERMS + "allergyintolerance-clinical"),
            "verificationStatus": _concept("confirmed", _TERMS + "allergyintolerance-verification"),
            "code": i.code, "patient": i.subject, "recordedDate": i.start,
            "recorder": i.author}  # fmt: skip


def _observation(i: Item) -> Resource:
    unit = i.entry.unit
    quantity = {"value": float(i.value), "unit": unit, "system": "http://unitsofmeasure.org",
                "code": "mm[Hg]" if unit == "mmHg" else unit}  # fmt: skip
    return {"resourceType": "Observation", "status": "final", "code": i.code,
            "category": [_concept("vital-signs", _TERMS + "observation-category")],
            "subject": i.subject, "effectiveDateTime": i.began, "performer": [i.author],
            "valueQuantity": quantity}  # fmt: skip


def _procedure(i: Item) -> Resource:
    return {"resourceType": "Procedure", "status": "completed", "code": i.code,
            "subject": i.subject, "performedDateTime": i.start, "recorder": i.author}  # fmt: skip


def _immunisation(i: Item) -> Resource:
    return {"resourceType": "Immunization", "status": "completed", "vaccineCode": i.code,
            "patient": i.subject, "occurrenceDateTime": i.start, "primarySource": True,
            "performer": [{"actor": i.author}]}  # fmt: skip


def _care_plan(i: Item) -> Resource:
    status = "active" if i.status == "active" else "completed"
    return {"resourceType": "CarePlan", "status": status, "intent": "plan",
            "title": i.entry.display, "category": [i.code], "subject": i.subject,
            "period": i.period, "author": i.author}  # fmt: skip


def _assessment(i: Item) -> Resource:
    return {"resourceType": "QuestionnaireResponse", "status": "completed", "subject": i.subject,
            "questionnaire": f"{i.entry.system}/{i.entry.code}", "authored": i.start,
            "author": i.author,
            "item": [{"linkId": "1", "text": i.entry.display,
                      "answer": [{"valueString": i.entry.display}]}]}  # fmt: skip


def _flag(i: Item, category: str) -> Resource:
    status = "active" if i.status == "active" else "inactive"
    return {"resourceType": "Flag", "status": status,
            "category": [_concept(category, _TERMS + "flag-category")], "code": i.code,
            "subject": i.subject, "period": i.period, "author": i.author}  # fmt: skip


def _safeguarding(i: Item) -> Resource:
    return _flag(i, "safeguarding")


def _alert(i: Item) -> Resource:
    return _flag(i, "safety")


def _referral(i: Item) -> Resource:
    return {"resourceType": "ServiceRequest", "status": i.status, "intent": "order",
            "code": i.code, "subject": i.subject, "authoredOn": i.start,
            "requester": i.author}  # fmt: skip


def _appointment(i: Item) -> Resource:
    end = i.began.replace(":00+", ":20+") if i.began[17:19] == "00" else i.began
    return {"resourceType": "Appointment", "status": i.status, "serviceType": [i.code],
            "description": i.entry.display, "start": i.began, "end": end,
            "participant": [{"actor": i.subject, "status": "accepted"},
                            {"actor": i.author, "status": "accepted"}]}  # fmt: skip


def _registration(i: Item) -> Resource:
    return {"resourceType": "EpisodeOfCare", "status": "active",
            "type": [_concept("registration", i.entry.system, i.entry.display)],
            "patient": i.subject, "managingOrganization": i.custodian,
            "period": {"start": i.start}}  # fmt: skip


def _professional_contact(i: Item) -> Resource:
    return {"resourceType": "CareTeam", "status": "active", "name": i.entry.display,
            "subject": i.subject, "period": i.period,
            "participant": [{"role": [i.code], "member": i.author}]}  # fmt: skip


def _personal_contact(i: Item) -> Resource:
    return {"resourceType": "RelatedPerson", "active": True, "patient": i.subject,
            "relationship": [i.code], "name": [{"text": i.value}],
            "period": i.period}  # fmt: skip


def _document(i: Item) -> Resource:
    title = {"contentType": "text/plain", "title": i.entry.display, "creation": i.start}
    return {"resourceType": "DocumentReference", "status": "current", "type": i.code,
            "subject": i.subject, "date": i.began, "author": [i.author],
            "custodian": i.custodian, "description": i.entry.display,
            "content": [{"attachment": title}]}  # fmt: skip


def _sharing_preference(i: Item) -> Resource:
    deny = not i.entry.code.startswith("93C0")
    rule = _concept("OPTOUT" if deny else "OPTIN", _TERMS + "v3-ActCode")
    return {"resourceType": "Consent", "status": "active",
            "scope": _concept("patient-privacy", _TERMS + "consentscope"),
            "category": [i.code], "patient": i.subject, "dateTime": i.start,
            "organization": [i.custodian], "policyRule": rule,
            "provision": {"type": "deny" if deny else "permit"}}  # fmt: skip


RESOURCES: dict[str, Callable[[Item], Resource]] = {
    "encounter": _encounter,
    "condition": _condition,
    "medication": _medication,
    "allergy": _allergy,
    "observation": _observation,
    "procedure": _procedure,
    "immunisation": _immunisation,
    "care_plan": _care_plan,
    "assessment": _assessment,
    "safeguarding": _safeguarding,
    "alert": _alert,
    "referral": _referral,
    "appointment": _appointment,
    "registration": _registration,
    "professional_contact": _professional_contact,
    "personal_contact": _personal_contact,
    "document": _document,
    "sharing_preference": _sharing_preference,
}
"""Heading → builder of its resource."""


def item_resource(heading: str, item: Item) -> Resource:
    """The resource of a care item, with id, time of last change and security label."""
    resource = RESOURCES[heading](item)
    meta: Resource = {"lastUpdated": item.stamp + "+00:00"}
    if item.entry.sensitivity:
        meta["security"] = [
            {"system": f"{item.entry.system}/label", "code": item.entry.sensitivity}
        ]
    return {"resourceType": resource.pop("resourceType"), "id": item.id, "meta": meta, **resource}
