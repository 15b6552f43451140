"""FHIR Patient to ClientRecord, field by field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.codes import AddressUse, Gender, NameUse, NumberStatus, TelecomSystem
from schemas.demographics import (
    Address,
    Death,
    HumanName,
    Identifier,
    NhsNumberClaim,
    Period,
    Telecom,
)
from schemas.records import ClientRecord
from tests.adapters.fhir_feeds import (
    NHS_NUMBER,
    coded_extension,
    full_patient,
    patient,
    read_ndjson,
)


def test_every_field(tmp_path: Path) -> None:
    sent = full_patient()
    read = read_ndjson(tmp_path, sent, identifier_systems={"https://trust.example/mrn": "mrn"})
    assert read.issues == {}
    assert read.as_at == ["2026-02-03T09:00:00Z"]
    assert read.records == [
        ClientRecord(
            local_id="p1",
            nhs_number=NhsNumberClaim("9912003888", NumberStatus.VERIFIED),
            identifiers=(Identifier("mrn", "MRN1"),),
            names=(
                HumanName("Smith", ("Ann", "B"), NameUse.OFFICIAL, "Dr"),
                HumanName("Jones", ("Ann",), NameUse.OLD, period=Period(end="2001-05-01")),
            ),
            birth_date="1970-09-11",
            gender=Gender.FEMALE,
            birth_sex=Gender.FEMALE,
            ethnicity="G",
            addresses=(
                Address(
                    ("1 High St", "Clifton", "Bristol"), "BS1 5TR", "123456", AddressUse.HOME
                ),
                Address(("9 Past St",), "BS2 2AA", None, AddressUse.OLD),
            ),
            telecoms=(
                Telecom(TelecomSystem.EMAIL, "ann@example.org"),
                Telecom(TelecomSystem.PHONE, "0117 900 0000", "home"),
            ),
            gp_practice="L81001",
            organisation="RA7",
            death=Death("2026-01-02"),
            restricted=True,
            details={
                "birth_time": "1970-09-11T02:00:00Z", "languages": ["bfi"], "marital_status": "M",
            },
            original=sent,
        )
    ]  # fmt: skip


def number(value: str = "9912003888", **more: Any) -> dict[str, Any]:
    return {"system": NHS_NUMBER, "value": value, **more}


def status(code: str, url: str | None = None) -> list[dict[str, Any]]:
    return [coded_extension("NHSNumberVerificationStatus", code, url)]


CARE_CONNECT = (
    "https://fhir.hl7.org.uk/STU3/StructureDefinition/"
    "Extension-CareConnect-GPC-NHSNumberVerificationStatus-1"
)
ETHNIC_STU3 = (
    "https://fhir.hl7.org.uk/STU3/StructureDefinition/Extension-CareConnect-EthnicCategory-1"
)
US_SEX = {"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"}
ROWS: list[Any] = [
    ("identifier", [number(extension=status("01"))], "nhs_number.status", "01"),
    ("identifier", [number(extension=status("Trace-Required"))], "nhs_number.status", "03"),
    ("identifier", [number(extension=status("08", CARE_CONNECT))], "nhs_number.status", "08"),
    ("identifier", [number()], "nhs_number.status", "02"),
    ("identifier", [number("991 200 3888")], "nhs_number.value", "9912003888"),
    ("identifier", [number(system="urn:oid:2.16.840.1.113883.2.1.4.1")], "nhs_number.value",
     "9912003888"),
    ("identifier", [number("9912003890", use="old"), number()], "nhs_number.value", "9912003888"),
    ("birthDate", "1970", "birth_date", "1970"),
    ("birthDate", "1970-05", "birth_date", "1970-05"),
    ("deceasedBoolean", True, "death", Death()),
    ("deceasedBoolean", False, "death", None),
    ("deceasedDateTime", "2020", "death", Death("2020")),
    ("gender", "unknown", "gender", Gender.UNKNOWN),
    ("extension", [coded_extension("", "CA", ETHNIC_STU3)], "ethnicity", "C"),
    ("extension", [coded_extension("EthnicCategory", "99")], "ethnicity", "99"),
    ("extension", [{**US_SEX, "valueCode": "M"}], "birth_sex", Gender.MALE),
    ("meta", {"security": [{"code": "N"}]}, "restricted", False),
    ("meta", {"security": [{"code": "N"}, {"code": "redacted"}]}, "restricted", True),
    ("name", [{"text": "Ann Smith"}], "names", (HumanName(text="Ann Smith"),)),
    ("name", [{"use": "usual", "id": "x"}], "names", ()),
    ("address", [{"text": "1 High St, Bristol"}], "addresses", (Address(("1 High St, Bristol",)),)),
    ("address", [{"line": ["Bristol"], "city": "BRISTOL"}], "addresses", (Address(("Bristol",)),)),
    ("address", [{"country": "GB"}], "addresses", ()),
    ("telecom", [{"system": "phone"}], "telecoms", ()),
    ("identifier", [{"type": {"coding": [{"code": "MR"}]}, "value": "1"}], "identifiers",
     (Identifier("MR", "1"),)),
    ("generalPractitioner", [{"reference": "Practitioner/L81001"},
                             {"reference": "https://x.example/Organization/L81001"}],
     "gp_practice", "L81001"),
    ("generalPractitioner", [{"reference": "Organization/12345"}], "gp_practice", None),
    ("active", False, "details", {"inactive": True}),
    ("multipleBirthInteger", 2, "details", {"multiple_birth": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("element", "sent", "field", "expected"), ROWS)
def test_fields(tmp_path: Path, element: str, sent: Any, field: str, expected: Any) -> None:
    read = read_ndjson(tmp_path, patient(**{element: sent}))
    value: Any = read.records[0]
    for name in field.split("."):
        value = getattr(value, name)
    assert value == expected


UNREADABLE: list[Any] = [
    ("identifier", [number("9912003889")], "nhs_number", {"nhs_number": "9912003889"}),
    ("gender", "Woman", "gender", {"gender": "Woman"}),
    ("birthDate", "1066-10-14", "birth_date", {"birth_date": "1066-10-14"}),
    ("extension", [coded_extension("EthnicCategory", "QQQ")], "ethnicity", {"ethnicity": "QQQ"}),
    ("extension", [coded_extension("BirthSex", "?")], "birth_sex", {"birth_sex": "?"}),
    ("identifier", [number(extension=status("77"))], "nhs_number_status", {}),
    ("address", [{"postalCode": "nowhere"}], "address.postcode", {}),
    ("telecom", [{"system": "pigeon", "value": "x"}], "telecom.system", {}),
    ("name", [{"use": "nom", "family": "X"}], "name.use", {}),
]


@pytest.mark.parametrize(("element", "sent", "issue", "unread"), UNREADABLE)
def test_what_cannot_be_read_is_kept_and_counted(
    tmp_path: Path, element: str, sent: Any, issue: str, unread: dict[str, str]
) -> None:
    read = read_ndjson(tmp_path, patient(**{element: sent}))
    assert read.issues == {(issue, "bad_value"): 1}
    assert read.records[0].unread == unread
    assert read.records[0].original == patient(**{element: sent})


def test_an_unreadable_postcode_stays_in_the_lines(tmp_path: Path) -> None:
    (record,) = read_ndjson(tmp_path, patient(address=[{"postalCode": "nowhere"}])).records
    assert record.addresses == (Address(("nowhere",)),)


def test_spare_nhs_numbers_are_identifiers(tmp_path: Path) -> None:
    verified = number("9434765919", extension=status("01"))
    (record,) = read_ndjson(tmp_path, patient(identifier=[number(), verified])).records
    assert record.nhs_number == NhsNumberClaim("9434765919", NumberStatus.VERIFIED)
    assert record.identifiers == (Identifier(NHS_NUMBER, "9912003888"),)


def test_the_local_id(tmp_path: Path) -> None:
    held = {"system": "https://x.example/id", "value": "L7"}
    read = read_ndjson(
        tmp_path, patient(identifier=[held]), patient(), local_id_system="https://x.example/id"
    )
    assert [r.local_id for r in read.records] == ["L7", "p1"]
    assert read.records[0].identifiers == ()
