"""Standardising, as a table of what is sent and what is compared."""

from __future__ import annotations

import pyarrow as pa
import pytest

from linkage import standardise as std
from linkage.features import build_features
from tests.linkage.people import people_table

NAMES = [
    ("Mr. O'Brien-Smith Jr", "OBRIEN SMITH"),
    ("O\u2019Brien", "OBRIEN"),
    ("Łukasz Żak", "LUKASZ ZAK"),
    ("  mary   ann ", "MARY ANN"),
    ("Müller", "MULLER"),
    ("Dr Jones", "JONES"),
    ("Smith (Jones)", "SMITH"),
    ("O\u00b4Brien", "OBRIEN"),
    ("O\u2018Brien", "OBRIEN"),
    ("Weiß", "WEISS"),
    ("Lord", "LORD"),
    ("Mr Master", "MR MASTER"),
    ("1234", None),
    ("", None),
    (None, None),
]
PHONES = [
    ("+44 (0)117 496 0000", "1174960000"),
    ("0117 496 0000", "1174960000"),
    ("00441174960000", "1174960000"),
    ("496 0000", None),
    ("0000000000", None),
]
EMAILS = [
    (" A.B@Example.ORG ", "a.b@example.org"),
    ("none@none.com", None),
    ("not an address", None),
]
ADDRESSES = [
    ("Flat 2, 14 High St, Bristol", "FLAT 2 14 HIGH STREET"),
    ("14 HIGH STREET, CLIFTON", "14 HIGH STREET"),
    ("The Oaks, Long Ln", "THE OAKS LONG LANE"),
    ("12 St Pauls Road", "12 SAINT PAULS ROAD"),
    ("12 Park Road, Bristol", "12 PARK ROAD"),
    ("10 Green Lane", "10 GREEN LANE"),
    ("NFA", None),
    ("No fixed abode", None),
]


def one(function, value):  # type: ignore[no-untyped-def]
    return function(pa.array([value], pa.string())).to_pylist()[0]


@pytest.mark.parametrize(("sent", "wanted"), NAMES)
def test_names(sent: str | None, wanted: str | None) -> None:
    assert one(std.name_words, sent) == wanted


@pytest.mark.parametrize(("sent", "wanted"), PHONES)
def test_telephones(sent: str, wanted: str | None) -> None:
    assert one(std.telephone, sent) == wanted


@pytest.mark.parametrize(("sent", "wanted"), EMAILS)
def test_emails(sent: str, wanted: str | None) -> None:
    assert one(std.email, sent) == wanted


@pytest.mark.parametrize(("sent", "wanted"), ADDRESSES)
def test_addresses(sent: str, wanted: str | None) -> None:
    assert one(lambda a: std.street(std.address(a)), sent) == wanted


def test_pseudo_postcodes_are_no_place() -> None:
    assert one(std.postcode, "ZZ99 3VZ") is None
    assert one(std.postcode, "BS1 5TR") == "BS1 5TR"


@pytest.mark.parametrize("given", ["Baby", "UNKNOWN", "Test", "Twin"])
def test_placeholders_carry_no_evidence(given: str) -> None:
    features = build_features(people_table([{"given": given, "family": "Smith"}]))
    assert features.given[0] == -1
    assert features.family[0] >= 0


def test_a_test_patient_carries_no_name() -> None:
    features = build_features(people_table([{"given": "Donald", "family": "ZZZTest"}]))
    assert (features.given[0], features.family[0]) == (-1, -1)


@pytest.mark.parametrize(
    "number", ["1111111111", "4444444444", "1234567890", "9990000018", "0123456789"]
)
def test_numbers_that_are_no_evidence(number: str) -> None:
    assert build_features(people_table([{"nhs_number": number}])).nhs[0] == -1


def test_test_numbers_count_where_the_settings_say_so() -> None:
    table = people_table([{"nhs_number": "9990000018"}])
    assert build_features(table, accept_test_numbers=True).nhs[0] == 9990000018


def test_hyphenated_and_former_names_are_alternatives() -> None:
    row = {"given": ["Ann", "Ann"], "family": ["Smith-Jones", "Brown"]}
    features = build_features(people_table([row]))
    others = {features.names[c] for c in features.family_other[0] if c >= 0}
    assert others == {"BROWN", "JONES", "SMITH"}
    assert features.names[features.family[0]] == "SMITHJONES"


def test_particles_are_no_names_by_themselves() -> None:
    features = build_features(people_table([{"given": "Jan", "family": "Van Dijk"}]))
    others = {features.names[c] for c in features.family_other[0] if c >= 0}
    assert others == {"DIJK"}


def test_a_name_sent_as_one_text_is_divided() -> None:
    rows = [{"given": "", "family": "", "name_text": "Idris Owen Edwards"}]
    features = build_features(people_table(rows))
    named = [features.names[c[0]] for c in (features.given, features.middle, features.family)]
    assert named == ["IDRIS", "OWEN", "EDWARDS"]


def test_an_identifier_borne_by_a_crowd_is_a_placeholder() -> None:
    rows = [{"identifier": "mrn|0000", "given": f"P{n}"} for n in range(40)]
    assert (build_features(people_table(rows)).identifier == -1).all()


def test_a_crowds_telephone_is_nobodys() -> None:
    rows = [{"phone": "0117 496 0000", "given": f"P{n}"} for n in range(40)]
    assert (build_features(people_table(rows)).phone == -1).all()
