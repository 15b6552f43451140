"""Clients that others wrote read a whole record, unmodified: fhirclient, fhirpy, @medplum/core."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.real_provider import HERE
from tests.api.small_demo import DOCTOR, PATIENT, SmallDemo

ITEMS = 77
"""Items in the record of the small demo's patient."""


@pytest.fixture
def quiet() -> Iterator[None]:
    """The clients' own warnings are theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.usefixtures("quiet")
def test_fhirclient(served: SmallDemo) -> None:
    from fhirclient import client
    from fhirclient.models.allergyintolerance import AllergyIntolerance
    from fhirclient.models.bundle import Bundle
    from fhirclient.models.capabilitystatement import CapabilityStatement
    from fhirclient.models.patient import Patient

    smart = client.FHIRClient({"app_id": "test", "api_base": served.base})
    server = smart.server
    server.session.headers["Authorization"] = f"Bearer {served.token(DOCTOR)}"
    person = served.person(PATIENT)
    assert CapabilityStatement.read_from("metadata", server).fhirVersion == "4.0.1"
    patient = Patient.read(person, server)
    assert {name.family for name in patient.name} == {"Okafor"}
    found = AllergyIntolerance.where({"patient": f"Patient/{person}"}).perform_resources(server)
    assert [one.code.text for one in found if one.resource_type == "AllergyIntolerance"] == [
        "Penicillin"
    ]
    kinds: Counter[str] = Counter()
    whole = f"Patient/{person}/$everything?_revinclude=Provenance:target"
    bundle: Any = Bundle.read_from(whole, server)
    while bundle is not None:
        kinds.update(entry.resource.resource_type for entry in bundle.entry)
        following = [link.url for link in bundle.link if link.relation == "next"]
        path = following[0].removeprefix(f"{served.base}/") if following else None
        bundle = Bundle.read_from(path, server) if path else None
    server.session.close()
    assert kinds["Observation"] == 60
    assert kinds["Provenance"] == ITEMS


@pytest.mark.usefixtures("quiet")
def test_fhirpy(served: SmallDemo) -> None:
    from fhirpy import SyncFHIRClient

    client = SyncFHIRClient(served.base, authorization=f"Bearer {served.token(DOCTOR)}")
    person = served.person(PATIENT)
    patient = client.reference("Patient", person).to_resource()
    assert patient["birthDate"] == PATIENT.birth_date
    observations = client.resources("Observation").search(patient=person)
    assert observations.count() == 60
    assert len(observations.fetch_all()) == 60
    assert client.resources("AllergyIntolerance").search(patient=person).first()["code"] == {
        "text": "Penicillin"
    }
    whole = client.execute(f"Patient/{person}/$everything", method="GET")
    assert whole["total"] == ITEMS


def test_medplum(served: SmallDemo) -> None:
    node = shutil.which("node")
    assert node
    person = served.person(PATIENT)
    command = [node, "medplum.mjs", served.base, served.token(DOCTOR), person]
    done = subprocess.run(
        command, check=False, cwd=HERE, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    assert read["patient"]["id"] == person
    assert read["kinds"]["Observation"] == 60
    assert sum(n for kind, n in read["kinds"].items() if kind not in ("Patient", "List")) == ITEMS
    assert read["allergies"] == ["Penicillin"]
