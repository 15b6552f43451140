"""What the FHIR tests share: small resources, and feeds of them read by the real reader."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from adapters.fhir import read_fhir
from schemas.columns import UnitBatch
from schemas.dates import Instant
from schemas.identifiers import OdsCode, SourceId
from schemas.items import CareItem
from schemas.records import ClientRecord, Rejected, SourceMerge, StaffEntry
from schemas.settings import FileSettings, Limits, SourceSettings
from service.ports import FeedFile

UK_CORE = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-"
NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
LIMITS = Limits()
SHARED = Path(__file__).parents[3] / "shared" / "data"


def source(**changes: Any) -> SourceSettings:
    settings: dict[str, Any] = {
        "id": SourceId("acute"),
        "name": "Acute",
        "organisations": (OdsCode("RA7"),),
        "files": (FileSettings(pattern="*", format="fhir"),),
    }
    return SourceSettings(**(settings | changes))


@dataclass(frozen=True)
class Read:
    """All that a feed gave, unsealed from its batches."""

    batches: list[UnitBatch]
    records: list[ClientRecord]
    items: list[CareItem]
    staff: list[StaffEntry]
    merges: list[SourceMerge]
    rejected: list[Rejected]
    issues: Mapping[tuple[str, str], int]
    as_at: list[Instant | None]

    @property
    def units(self) -> int:
        return sum(batch.units for batch in self.batches)

    def check_accounts(self) -> None:
        """Every unit is in exactly one batch, and rejected or in a table."""
        expected = 0
        for batch in self.batches:
            assert batch.first_unit == expected
            expected += batch.units
            loaded: set[int] = set()
            tables = (batch.records, batch.items, batch.merges, batch.staff, batch.withdrawals)
            for table in tables:
                loaded |= set(table["unit"].to_pylist())
            rejected = {r.unit for r in batch.rejected}
            assert not loaded & rejected
            assert loaded | rejected == set(range(batch.first_unit, expected))


def feed_file(path: Path, data: bytes) -> FeedFile:
    path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    settings = FileSettings(pattern="*", format="fhir")
    return FeedFile(path, digest, len(data), Instant("2026-03-01T06:00:00Z"), settings)


def read_bytes(
    folder: Path,
    data: bytes,
    limits: Limits = LIMITS,
    **changes: Any,
) -> Read:
    batches = list(read_fhir(feed_file(folder / "feed", data), source(**changes), limits))
    issues: dict[tuple[str, str], int] = {}
    for batch in batches:
        for key, count in batch.issues.items():
            issues[key] = issues.get(key, 0) + count
    read = Read(
        batches,
        _contents(batches, "records", ClientRecord),
        _contents(batches, "items", CareItem),
        _contents(batches, "staff", StaffEntry),
        [SourceMerge(m["retired"], m["survivor"]) for b in batches for m in b.merges.to_pylist()],
        [r for b in batches for r in b.rejected],
        issues,
        [at for b in batches for t in (b.records, b.items) for at in t["as_at"].to_pylist()],
    )
    read.check_accounts()
    return read


def _contents(batches: list[UnitBatch], table: str, kind: Any) -> list[Any]:
    decoder = msgspec.json.Decoder(kind)
    return [decoder.decode(c) for b in batches for c in getattr(b, table)["content"].to_pylist()]


def read_ndjson(folder: Path, *resources: Any, **changes: Any) -> Read:
    lines = [json.dumps(resource) for resource in resources]
    return read_bytes(folder, ("\n".join(lines) + "\n").encode(), **changes)


def read_bundle(folder: Path, *entries: Any, **changes: Any) -> Read:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": list(entries)}
    return read_bytes(folder, json.dumps(bundle, indent=1).encode(), **changes)


def coded_extension(name: str, code: str, url: str | None = None) -> dict[str, Any]:
    return {"url": url or UK_CORE + name, "valueCodeableConcept": {"coding": [{"code": code}]}}


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "p1", **elements}


def full_patient() -> dict[str, Any]:
    """A Patient with everything that is read."""
    status = coded_extension("NHSNumberVerificationStatus", "number-present-and-verified")
    uprn = [
        {"url": "type", "valueCoding": {"code": "UPRN"}},
        {"url": "value", "valueString": "000123456"},
    ]
    born = {"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime"}
    return patient(
        meta={"lastUpdated": "2026-02-03T10:00:00+01:00", "security": [{"code": "R"}]},
        extension=[coded_extension("EthnicCategory", "G"), coded_extension("BirthSex", "F")],
        identifier=[
            {"system": "https://trust.example/mrn", "value": "MRN1"},
            {"extension": [status], "system": NHS_NUMBER, "value": "9912003888"},
        ],
        name=[
            {"use": "old", "family": "Jones", "given": ["Ann"], "period": {"end": "2001-05-01"}},
            {"use": "official", "family": "Smith", "given": ["Ann", "B"], "prefix": ["Dr"]},
        ],
        telecom=[
            {"system": "phone", "value": "0117 900 0000", "use": "home"},
            {"system": "email", "value": "ann@example.org", "rank": 1},
        ],
        gender="female",
        birthDate="1970-09-11",
        _birthDate={"extension": [{**born, "valueDateTime": "1970-09-11T02:00:00+00:00"}]},
        deceasedDateTime="2026-01-02T03:04:05Z",
        address=[
            {"use": "old", "line": ["9 Past St"], "postalCode": "BS2 2AA"},
            {
                "use": "home",
                "line": ["1 High St"],
                "city": "Bristol",
                "district": "Clifton",
                "postalCode": "bs15tr",
                "extension": [{"url": UK_CORE + "AddressKey", "extension": uprn}],
            },
        ],
        generalPractitioner=[{"identifier": {"system": ODS, "value": "L81001"}}],
        managingOrganization={"reference": "Organization/RA7"},
        maritalStatus={"coding": [{"code": "M"}]},
        communication=[{"language": {"coding": [{"code": "bfi"}]}}],
    )


def observation(**elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "75367002"}]},
        "subject": {"reference": "Patient/p1"},
        **elements,
    }
