"""Under which heading each FHIR resource is kept: the table, read by the real reader.

Each line: type, what it says, the heading, and the status that is kept.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.items import HEADINGS, Heading
from tests.adapters.fhir_feeds import read_ndjson

ME = '"subject": {"reference": "Patient/p1"}'
MINE = '"patient": {"reference": "Patient/p1"}'
CODE = '"code": {"text": "x"}'
TABLE = """
Encounter             | "status": "finished", "class": {"code": "IMP"}, "period": {"start": "2020"}, ME | admission | finished
Encounter             | "status": "finished", "class": {"code": "AMB"}, "type": [{"text": "x"}], ME     | encounter | finished
Encounter             | "status": "planned", "class": {"code": "EMER"}, ME                              | unclassified | planned
Condition             | CODE, ME                                                           | condition  | -
Condition             | CODE, ME, "clinicalStatus": {"coding": [{"code": "active"}]}       | condition  | active
Condition             | CODE, ME, "verificationStatus": {"coding": [{"code": "entered-in-error"}]}, "clinicalStatus": {"coding": [{"code": "active"}]} | condition | entered-in-error
MedicationStatement   | "status": "active", "medicationCodeableConcept": {"text": "x"}, ME | medication | active
MedicationStatement   | "status": "active", "medicationReference": {"reference": "Medication/m"}, ME | medication | active
MedicationRequest     | "status": "active", "intent": "order", "medicationCodeableConcept": {"text": "x"}, ME | medication | active
AllergyIntolerance    | CODE, MINE                                                         | allergy | -
Observation           | "status": "final", CODE, ME                                        | observation | final
Observation           | "status": "entered-in-error", CODE, ME                             | observation | entered-in-error
Observation           | "status": "final", CODE                                            | unclassified | final
DiagnosticReport      | "status": "final", CODE, ME                                        | observation | final
Procedure             | "status": "completed", CODE, ME                                    | procedure | completed
Immunization          | "status": "completed", "vaccineCode": {"text": "x"}, "occurrenceDateTime": "2020", MINE | immunisation | completed
CarePlan              | "status": "active", "intent": "plan", "title": "x", ME             | care_plan | active
QuestionnaireResponse | "status": "completed", "questionnaire": "https://x.example/q", ME  | assessment | completed
Flag                  | "status": "active", CODE, ME                                       | alert | active
Flag                  | "status": "active", "code": {"coding": [{"code": "342191000000101"}]}, ME | safeguarding | active
Flag                  | "status": "active", "category": [{"text": "Safeguarding"}], CODE, ME | safeguarding | active
Flag                  | "status": "active", "code": {"text": "On a Child Protection Plan"}, ME | safeguarding | active
ServiceRequest        | "status": "active", "intent": "order", CODE, ME                    | referral | active
Appointment           | "status": "booked", "start": "2026-01-01T10:00:00Z", "participant": [{"status": "accepted", "actor": {"reference": "Practitioner/1"}}, {"status": "accepted", "actor": {"reference": "Patient/p1"}}] | appointment | booked
Appointment           | "status": "booked", "description": "x", "participant": [{"status": "accepted", "actor": {"display": "Dr"}}] | unclassified | booked
EpisodeOfCare         | "status": "active", "type": [{"text": "x"}], MINE                  | caseload | active
EpisodeOfCare         | "status": "active", "type": [{"coding": [{"code": "registration", "display": "GP"}]}], MINE | registration | active
CareTeam              | "name": "x", ME                                                    | professional_contact | -
RelatedPerson         | "name": [{"family": "Smith", "given": ["Joy"]}], MINE              | personal_contact | -
DocumentReference     | "status": "current", "content": [{"attachment": {}}], ME           | document | current
Consent               | "status": "active", "scope": {"text": "x"}, "category": [{"text": "y"}], MINE | sharing_preference | active
List                  | "status": "current", "mode": "snapshot", "code": {"coding": [{"code": "886921000000105", "display": "Allergies"}]}, "emptyReason": {"coding": [{"code": "nilknown"}]}, ME | allergy | current
List                  | "status": "current", "mode": "snapshot", "code": {"coding": [{"code": "886921000000105"}]}, ME | unclassified | current
Location              | "status": "active"                                                 | unclassified | active
Specimen              | "status": "available", ME                                          | unclassified | available
"""  # noqa: E501 - a table
ROWS = [tuple(cell.strip() for cell in line.split(" | ")) for line in TABLE.strip().splitlines()]


SHORT = {"ME": ME, "MINE": MINE, "CODE": CODE}


def resource(kind: str, says: str) -> dict[str, Any]:
    parts = ", ".join(SHORT.get(part, part) for part in says.split(", "))
    return json.loads(f'{{"resourceType": "{kind}", "id": "x1", {parts}}}')


@pytest.mark.parametrize(("kind", "says", "heading", "status"), ROWS)
def test_headings(tmp_path: Path, kind: str, says: str, heading: str, status: str) -> None:
    sent = resource(kind, says)
    read = read_ndjson(tmp_path, sent)
    assert read.rejected == []
    (item,) = read.items
    assert item.heading == heading
    assert (item.status or "-") == status
    assert item.item_id == f"{kind}/x1"
    assert item.original == sent


def test_the_table_reaches_every_heading_and_type() -> None:
    types = {kind for spec in HEADINGS.values() for kind in spec.fhir_types}
    untold = {"Binary", "MedicationAdministration", "MedicationDispense"}
    assert {row[2] for row in ROWS} == {heading.value for heading in Heading}
    assert types - {row[0] for row in ROWS} == untold
