"""Standardising, as a table of what is sent and what is compared."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage import standardise as std
from linkage.features import build_features
from schemas.errors import InvalidValue
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
    ("Mr Master", "MASTER"),
    ("Mary Lord", "MARY LORD"),
    ("Dr.Smith", "SMITH"),
    ("Prof. Sir John", "JOHN"),
    ("Smith III", "SMITH"),
    ("Ann Jones OBE", "ANN JONES"),
    ("J.P.", "J P"),
    ("MacDonald", "MACDONALD"),
    ("Mc Donald", "MC DONALD"),
    ("van der Berg", "VAN DER BERG"),
    ("Md. Ali", "MD ALI"),
    ("Smith n\u00e9e Jones", "SMITH"),
    ("SMITH NEE JONES", "SMITH"),
    ("Nee", "NEE"),
    ("Smith (Jones", "SMITH"),
    ("(Smith)", "SMITH"),
    ('Robert "Bob"', "ROBERT"),
    ("Robert \u201cBob\u201d", "ROBERT"),
    ("\u0130smail", "ISMAIL"),
    ("Nguy\u1ec5n", "NGUYEN"),
    ("\u0110\u1eb7ng", "DANG"),
    ("Stra\u00dfe", "STRASSE"),
    ("1234", None),
    ("", None),
    (None, None),
]
FULL = [
    ("John Smith", "JOHN", None, "SMITH"),
    ("John Paul Smith", "JOHN", "PAUL", "SMITH"),
    ("SMITH, John Paul", "JOHN", "PAUL", "SMITH"),
    ("Smith,John", "JOHN", None, "SMITH"),
    ("SMITH John Paul", "JOHN", "PAUL", "SMITH"),
    ("JOHN SMITH", "JOHN", None, "SMITH"),
    ("John SMITH", "JOHN", None, "SMITH"),
    ("O'BRIEN Siobh\u00e1n", "SIOBHAN", None, "OBRIEN"),
    ("Dr John P. Smith Jr", "JOHN", "P", "SMITH"),
    ("John Smith, Jr", "JOHN", None, "SMITH"),
    ("Smith, Mr John", "JOHN", None, "SMITH"),
    ("Smith, John, Mr", "JOHN", None, "SMITH"),
    ("MRS Jane Doe", "JANE", None, "DOE"),
    ("Dr Mary Lord", "MARY", None, "LORD"),
    ("Ann Senior", "ANN", None, "SENIOR"),
    ("John Smith Senior", "JOHN", None, "SMITH"),
    ("J. R. R. Hill", "J", "R R", "HILL"),
    ("J.R. Hill", "J", "R", "HILL"),
    ("Mary-Ann Smith-Jones", "MARY ANN", None, "SMITH JONES"),
    ("Smith - Jones, Ann", "ANN", None, "SMITH JONES"),
    ("Jan van der Berg", "JAN", None, "VAN DER BERG"),
    ("VAN DER BERG, Jan", "JAN", None, "VAN DER BERG"),
    ("Van Morrison", "VAN", None, "MORRISON"),
    ("Juan Carlos de la Cruz", "JUAN", "CARLOS", "DE LA CRUZ"),
    ("Ahmed bin Ali", "AHMED", None, "BIN ALI"),
    ("Ian Mc Donald", "IAN", None, "MC DONALD"),
    ("Mary O Brien", "MARY", None, "O BRIEN"),
    ("Mary O Smith", "MARY", "O", "SMITH"),
    ("Mary St John", "MARY", None, "ST JOHN"),
    ("John Smith (Johnny)", "JOHN", None, "SMITH"),
    ("Jane Smith n\u00e9e Jones", "JANE", None, "SMITH"),
    ("Cher", "CHER", None, None),
    ("SMITH,", None, None, "SMITH"),
    (", John", "JOHN", None, None),
    ("-", None, None, None),
    ("", None, None, None),
    (None, None, None, None),
]
FORMER = [
    ("Smith (n\u00e9e Jones)", "JONES"),
    ("Smith n\u00e9e Jones", "JONES"),
    ("Smith (Jones)", "JONES"),
    ("Smith [formerly Smith-Jones]", "SMITH JONES"),
    ("Smith, previously Jones", "JONES"),
    ("Ann (known as Nan)", "NAN"),
    ("Smith", None),
    ("(Smith)", None),
    ("Nee", None),
    (None, None),
]
ONE_FAMILY = (
    "MacDonald McDonald Mc-Donald MAC-DONALD", "O'Brien OBrien O-Brien O\u2019Brien",
    "St.John St-John Saint-John", "Van-Dijk VanDijk van-dijk",
)  # fmt: skip
PLACEHOLDERS = [
    ("given", "Baby"), ("given", "Baby Girl"), ("given", "Not known"), ("given", "ZZZ"),
    ("family", "ZZZTest"), ("family", "Test-Patient"), ("family", "XXTEST"), ("family", "-"),
    ("birth_date", "01/01/1900"), ("birth_date", "1900-01-01"), ("nhs_number", "444 444 4444"),
    ("nhs_number", "1234567890"), ("identifier", "0000"), ("identifier", "N/A"),
    ("telephone", "07777 777777"), ("telephone", "01234 567890"), ("email", "none@none.com"),
    ("address", "NFA"), ("address", "No fixed abode"), ("postcode", "ZZ99 3VZ"),
    ("practice", "V81999"), ("practice", "V81997"), ("postcode", "unknown"), ("given", "?"),
]  # fmt: skip
EVIDENCE = [
    ("given", "Babette"), ("given", "Nona"), ("given", "Testimony"), ("family", "Patience"),
    ("family", "Unwin"), ("birth_date", "1901-01-01"), ("nhs_number", "999 000 0018"),
    ("identifier", "1000"), ("telephone", "07700 900123"), ("email", "ann@example.org"),
    ("address", "1 Unknown Lane"), ("postcode", "BS1 5TR"), ("practice", "L81001"),
    ("given", None),
]  # fmt: skip
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
    ("12 St Paul's Rd", "12 SAINT PAULS ROAD"),
    ("12 Mill La. Gdns", "12 MILL LA GARDENS"),
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


@pytest.mark.parametrize(("sent", "given", "middle", "family"), FULL)
def test_full_names(
    sent: str | None, given: str | None, middle: str | None, family: str | None
) -> None:
    parts = std.full_name(pa.array([sent], pa.string()))
    assert tuple(part.to_pylist()[0] for part in parts) == (given, middle, family)


@pytest.mark.parametrize(("sent", "wanted"), FORMER)
def test_former_names(sent: str | None, wanted: str | None) -> None:
    assert one(std.former_name, sent) == wanted


@pytest.mark.parametrize("names", ONE_FAMILY)
def test_writings_of_one_family_name_share_a_key(names: str) -> None:
    keys = std.family_key(std.name_words(pa.array(names.split())))
    assert len(set(keys.to_pylist())) == 1


def test_a_family_key_is_no_other_familys() -> None:
    names = pa.array(["MACK", "MACE", "MCE", "MACHIN", "MACMILLAN", "SAINT", "STONE", "SAINSBURY"])
    assert len(set(std.family_key(names).to_pylist())) == len(names)


@pytest.mark.parametrize(("field", "sent"), PLACEHOLDERS)
def test_placeholders(field: str, sent: str) -> None:
    assert one(lambda a: std.no_evidence(a, field), sent) is True


@pytest.mark.parametrize(("field", "sent"), EVIDENCE)
def test_what_is_no_placeholder(field: str, sent: str | None) -> None:
    assert one(lambda a: std.no_evidence(a, field), sent) is False


def test_placeholders_of_an_unknown_field() -> None:
    with pytest.raises(InvalidValue, match="no placeholders for 'shoe'"):
        std.no_evidence(pa.array(["x"]), "shoe")


texts = st.lists(
    st.text(max_size=15)
    | st.lists(
        st.sampled_from(
            ["Mr", "Smith", "O'", "-", ",", "(", ")", "nee", "Jr", "MC", "van", "J.", '"', "Senior"]
        ),
        max_size=6,
    ).map(" ".join),
    max_size=5,
)
FUNCTIONS = {
    "plain_upper": std.plain_upper,
    "name_words": std.name_words,
    "email": std.email,
    "postcode": std.postcode,
    "address": std.address,
    "family_key": std.family_key,
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@settings(deadline=None)
@given(sent=texts)
def test_twice_is_once_and_each_value_counts_alone(name: str, sent: list[str]) -> None:
    function = FUNCTIONS[name]
    once = function(pa.array(sent, pa.string()))
    assert function(once).to_pylist() == once.to_pylist()
    assert once.to_pylist() == [one(function, text) for text in sent]


@settings(deadline=None)
@given(sent=texts, cut=st.integers(0, 2))
def test_full_names_are_words_wherever_they_stand(sent: list[str], cut: int) -> None:
    array = pa.array(sent, pa.string())
    whole, tail = std.full_name(array), std.full_name(array.slice(cut))
    for part, later in zip(whole, tail, strict=True):
        assert later.to_pylist() == part.to_pylist()[cut:]
        assert all(re.fullmatch("[A-Z]+( [A-Z]+)*", text) for text in part.drop_null().to_pylist())


@settings(deadline=None)
@given(sent=texts)
def test_no_text_is_too_odd_to_ask_about(sent: list[str]) -> None:
    array = pa.array([None, *sent], pa.string())
    for field in ("given", "telephone", "practice"):
        assert std.no_evidence(array, field).null_count == 0
    assert len(std.former_name(array)) == len(array)


def test_words_are_replaced_whole() -> None:
    sent = pa.array(["A RD", None, "", "RD RDS RD"])
    assert std.words_replaced(sent.slice(1), {"RD": "ROAD"}).to_pylist() == [
        None,
        "",
        "ROAD RDS ROAD",
    ]


@pytest.mark.parametrize(("sent", "wanted"), EMAILS)
def test_emails(sent: str, wanted: str | None) -> None:
    assert one(std.email, sent) == wanted


@pytest.mark.parametrize(("sent", "wanted"), ADDRESSES)
def test_addresses(sent: str, wanted: str | None) -> None:
    assert one(lambda a: std.street(std.address(a)), sent) == wanted


def test_pseudo_postcodes_are_no_place() -> None:
    assert one(std.postcode, "ZZ99 3VZ") is None
    assert one(std.postcode, "BS1 5TR") == "BS1 5TR"


def borne(row: dict[str, Any], column: str, **settings: bool) -> list[Any]:
    """The values that one record bears in a column of features."""
    found = build_features(people_table([row]), **settings).column(column)
    return [found.values.array[code].as_py() for code in found.codes[:, 0].tolist() if code >= 0]


@pytest.mark.parametrize("given", ["Baby", "UNKNOWN", "Test", "Twin"])
def test_placeholders_carry_no_evidence(given: str) -> None:
    row = {"given": given, "family": "Smith"}
    assert borne(row, "given") == []
    assert borne(row, "family") == ["SMITH"]


def test_a_test_patient_carries_no_name() -> None:
    row = {"given": "Donald", "family": "ZZZTest"}
    assert borne(row, "given") + borne(row, "family") == []


@pytest.mark.parametrize(
    "number", ["1111111111", "4444444444", "1234567890", "9990000018", "0123456789"]
)
def test_numbers_that_are_no_evidence(number: str) -> None:
    assert borne({"nhs_number": number}, "nhs_number") == []


def test_test_numbers_count_where_the_settings_say_so() -> None:
    row = {"nhs_number": "9990000018"}
    assert len(borne(row, "nhs_number", accept_test_numbers=True)) == 1


def test_hyphenated_and_former_names_are_alternatives() -> None:
    row = {"given": ["Ann", "Ann"], "family": ["Smith-Jones", "Brown"]}
    found = borne(row, "family")
    assert found[0] == "SMITHJONES"
    assert set(found[1:]) == {"BROWN", "JONES", "SMITH"}


def test_particles_are_no_names_by_themselves() -> None:
    assert borne({"given": "Jan", "family": "Van Dijk"}, "family") == ["VANDIJK", "DIJK"]


def test_a_name_sent_as_one_text_is_divided() -> None:
    row = {"given": "", "family": "", "name_text": "Idris Owen Edwards"}
    named = [borne(row, column)[0] for column in ("given", "middle", "family")]
    assert named == ["IDRIS", "OWEN", "EDWARDS"]


def test_an_identifier_borne_by_a_crowd_is_a_placeholder() -> None:
    rows = [{"identifier": "mrn|0000", "given": f"P{n}"} for n in range(40)]
    assert (build_features(people_table(rows)).column("identifier").codes == -1).all()


def test_a_crowds_telephone_is_nobodys() -> None:
    rows = [{"phone": "0117 496 0000", "given": f"P{n}"} for n in range(40)]
    assert (build_features(people_table(rows)).column("phone").codes == -1).all()


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        ("100023336956", "100023336956"),
        ("000012345678", "12345678"),
        (" 1 ", "1"),
        ("UPRN 1234", "1234"),
        ("uprn:0001234", "1234"),
        ("1234.0", "1234"),
        ("1234567890123", None),
        ("0000123456789012", "123456789012"),
        ("0", None),
        ("999999999999", None),
        ("12A", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_uprn(sent: str | None, wanted: str | None) -> None:
    assert std.uprn(pa.array([sent], pa.string())).to_pylist() == [wanted]


@settings(deadline=None)
@given(st.lists(st.text(), max_size=5))
def test_uprn_twice_is_uprn_once(sent: list[str]) -> None:
    once = std.uprn(pa.array(sent, pa.string()))
    assert std.uprn(once).equals(once)
