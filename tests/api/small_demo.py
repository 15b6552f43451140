"""A partnership of one trust with people written by hand, served as a demo: who is who is known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from api.serving import serving_app
from schemas.identifiers import OdsCode, PersonId
from schemas.records import StaffEntry
from tests.api.served import Served, listening, run
from tests.functional import small
from wiring import open_workspace

ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
TRUST = {"identifier": {"system": ODS, "value": "RA7"}}
DOCTOR = StaffEntry(staff_id="ST1", organisation=OdsCode("RA7"), role="doctor")
NURSE = StaffEntry(staff_id="ST2", organisation=OdsCode("RA7"), role="nurse")
ELSEWHERE = StaffEntry(staff_id="ST3", organisation=OdsCode("RA9"), role="doctor")
OFFICER = StaffEntry(staff_id="ST4", organisation=OdsCode("RA7"), role="ig_officer")
RECEPTIONIST = StaffEntry(staff_id="ST5", organisation=OdsCode("RA7"), role="receptionist")

PATIENT = small.Client(
    "M1", "Martha", "Okafor", "1980-05-04", nhs_number=small.nhs_number(400),
    street="7 Quay Street", postcode="BS1 4QA", phone="0117 496 0777", email="m@example.org",
)  # fmt: skip
"""The person who is cared for: items of every kind."""
NAMESAKES = (
    small.Client("N1", "Pearl", "Quince", "1962-02-03", nhs_number=small.nhs_number(410),
                 street="1 Hill Road", postcode="BS5 1AA", phone="0117 496 0801", email="a@x.org"),
    small.Client("N2", "Pearl", "Quince", "1962-02-03", nhs_number=small.nhs_number(420),
                 street="2 Vale Road", postcode="BS6 2BB", phone="0117 496 0802", email="b@x.org"),
)  # fmt: skip
"""Two people of one name and birth date."""
HIDDEN = small.Client(
    "H1", "Hester", "Harbour", "1975-06-07", nhs_number=small.nhs_number(430),
    street="3 Secret Lane", postcode="BS7 3CC", phone="0117 496 0803", email="h@x.org",
    restricted=True,
)  # fmt: skip
ALLERGY = b"AL1|1|DA|91935009^Nuts^SCT||Rash\r"
"""A segment of the trust's last message: so it is known to send allergies."""
CROWD = 52


def crowd() -> list[small.Client]:
    """So many people of one family name and birth date that a search has too many."""
    return [
        small.Client(
            f"C{n}", f"Given{chr(97 + n // 26)}{chr(97 + n % 26)}", "Throngley", "1990-01-02",
            nhs_number=small.nhs_number(500 + n), street=f"{n} Long Street",
            postcode=f"BS{1 + n % 9} {n % 9}XX", phone=f"0117 47{n:05d}", email=f"c{n}@x.org",
        )
        for n in range(CROWD)
    ]  # fmt: skip


def items() -> list[dict[str, Any]]:
    """Resources about the patient, of each type that is searched."""
    me: dict[str, Any] = {"subject": {"reference": "Patient/p1"}}
    mine: dict[str, Any] = {"patient": {"reference": "Patient/p1"}}
    coded = {"coding": [{"system": "http://snomed.info/sct", "code": "38341003"}], "text": "BP"}
    period = {"period": {"start": "2025-11-01"}}
    made = [
        ("EpisodeOfCare", {"status": "active", "managingOrganization": TRUST, **period, **mine,
                           "type": [{"coding": [{"code": "registration"}]}]}),
        ("Encounter", {"status": "finished", "class": {"code": "AMB"}, "type": [{"text": "Clinic"}],
                       "period": {"start": "2026-02-01", "end": "2026-02-01"}, **me}),
        ("Condition", {"code": coded, "onsetDateTime": "2024-01-01", **me,
                       "clinicalStatus": {"coding": [{"code": "active"}]}}),
        ("MedicationStatement", {"status": "active", "medicationCodeableConcept": coded, **me}),
        ("MedicationRequest", {"status": "active", "intent": "order", **me,
                               "medicationCodeableConcept": coded, "authoredOn": "2026-01-05"}),
        ("AllergyIntolerance", {"code": {"text": "Penicillin"}, **mine}),
        ("Procedure", {"status": "completed", "code": coded, **me}),
        ("Immunization", {"status": "completed", "vaccineCode": coded,
                          "occurrenceDateTime": "2020-01-01", **mine}),
        ("CarePlan", {"status": "active", "intent": "plan", "title": "Plan", **me}),
        ("QuestionnaireResponse", {"status": "completed", "questionnaire": "https://x.example/q",
                                   **me}),
        ("Flag", {"status": "active", "code": {"text": "Falls"}, **me}),
        ("ServiceRequest", {"status": "active", "intent": "order", "code": coded, **me}),
        ("Appointment", {"status": "booked", "start": "2026-12-01T10:00:00Z", "participant": [
            {"status": "accepted", "actor": {"reference": "Patient/p1"}}]}),
        ("CareTeam", {"name": "Heart failure team", **me}),
        ("RelatedPerson", {"name": [{"family": "Bell", "given": ["Joy"]}], **mine}),
        ("DocumentReference", {"status": "current", "content": [
            {"attachment": {"contentType": "text/plain", "data": "SGVsbG8="}}], **me}),
        ("DiagnosticReport", {"status": "final", "code": coded, **me}),
    ]  # fmt: skip
    made += [
        ("Observation", {"status": "final", "code": coded, **me,
                         "effectiveDateTime": f"2025-{1 + n % 12:02}-{1 + n % 28:02}",
                         "valueQuantity": {"value": 100 + n, "unit": "mmHg"}})
        for n in range(60)
    ]  # fmt: skip
    return [{"resourceType": kind, "id": f"i{n}", **rest} for n, (kind, rest) in enumerate(made)]


@contextmanager
def served_small(folder: Path, **api: Any) -> Iterator[SmallDemo]:
    """The small demo after its night, served. `api`: settings of [api]."""
    root = small.new_workspace(folder)
    settings = root / "partnership.toml"
    text = settings.read_text("utf-8").replace("[partnership]\n", "[partnership]\ndemo = true\n")
    text += "\n[api]\n" + "".join(f"{name} = {json.dumps(v)}\n" for name, v in api.items())
    settings.write_text(text, "utf-8")
    others = [*small.clients(40), *crowd(), *NAMESAKES, HIDDEN]
    small.put(root, "pas", "first.csv", small.csv_feed([*others, PATIENT]))
    small.put(
        root, "acute", "first.hl7", small.hl7_feed(small.with_ids(others[:20], "acute")) + ALLERGY
    )
    lines = [small.patient(replace(PATIENT, local_id="gM1")), *map(json.dumps, items())]
    small.put(root, "gp", "first.ndjson", ("\n".join(lines) + "\n").encode())
    run(root, "nightly")
    workspace = open_workspace(root)
    app = serving_app(workspace.sharing, workspace.settings, workspace.keys)
    with listening(app) as address:
        demo = SmallDemo(workspace, address)
        with demo.client:
            yield demo


class SmallDemo(Served):
    """The served small demo."""

    def person(self, client: small.Client) -> PersonId:
        """The id of one of its people."""
        with self.workspace.store() as store:
            return next(
                person
                for chunk in store.export_rows()
                for source, local_id, person in chunk
                if source == "pas" and local_id == client.local_id
            )
