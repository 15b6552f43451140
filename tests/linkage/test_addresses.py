"""Addresses, as a table of what is sent and what its parts are."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.addresses import Parts, parts, uprn

NAMES = ("house_number", "flat", "building", "street", "locality")
TABLE = """
sent                                    | number | flat | building    | street        | locality
14 High Street                          | 14     |      |             | HIGH STREET   |
14 High St                              | 14     |      |             | HIGH STREET   |
14 High St., Bristol                    | 14     |      |             | HIGH STREET   | BRISTOL
14, High Street, Clifton, Bath       | 14     |      |             | HIGH STREET   | CLIFTON BATH
14a High Street                         | 14A    |      |             | HIGH STREET   |
14 a High Street                        | 14A    |      |             | HIGH STREET   |
14-16 High Street                       | 14-16  |      |             | HIGH STREET   |
14 - 16 High Street                     | 14-16  |      |             | HIGH STREET   |
No. 14 High Street                      | 14     |      |             | HIGH STREET   |
High Street 14                          | 14     |      |             | HIGH STREET   |
High Street                             |        |      |             | HIGH STREET   |
Flat 2, 14a High St.                    | 14A    | 2    |             | HIGH STREET   |
14A HIGH STREET FLAT 2                  | 14A    | 2    |             | HIGH STREET   |
flat 2 14A high street                  | 14A    | 2    |             | HIGH STREET   |
Apt 2, 14A High Street                  | 14A    | 2    |             | HIGH STREET   |
Apartment 2, 14A High Street            | 14A    | 2    |             | HIGH STREET   |
Unit 2, 14A High Street                 | 14A    | 2    |             | HIGH STREET   |
Flat No 2, 14A High Street              | 14A    | 2    |             | HIGH STREET   |
2/14 High Street                        | 14     | 2    |             | HIGH STREET   |
Flat 2/14 High Street                   | 14     | 2    |             | HIGH STREET   |
2, 14 High Street                       | 14     | 2    |             | HIGH STREET   |
Flat A, 14 High Street                  | 14     | A    |             | HIGH STREET   |
Flat 2B, 14 High Street                 | 14     | 2B   |             | HIGH STREET   |
Flat 2 b 14 High Street                 | 14     | 2B   |             | HIGH STREET   |
Room 7, 14 High Street                  | 14     | 7    |             | HIGH STREET   |
Ground Floor Flat, 14 High Street       | 14     | GROUND |             | HIGH STREET   |
GFF 14 High Street                      | 14     | GROUND |             | HIGH STREET   |
Basement Flat 14 High Street            | 14     | BASEMENT |             | HIGH STREET   |
14 High Street, Top Floor Flat          | 14     | TOP  |             | HIGH STREET   |
1st Floor, 14 High Street               | 14     | FIRST |             | HIGH STREET   |
Flat 2, First Floor, 14 High Street     | 14     | 2    |             | HIGH STREET   |
Lower Ground Floor Flat, 14 High Street | 14     | LOWER GROUND |             | HIGH STREET   |
The Willows, Church Lane                |        |      | THE WILLOWS | CHURCH LANE   |
The Willows, Church Ln, Clifton         |        |      | THE WILLOWS | CHURCH LANE   | CLIFTON
The Willows, 3 Church Lane              | 3      |      | THE WILLOWS | CHURCH LANE   |
Rose Cottage, Church Lane               |        |      | ROSE COTTAGE | CHURCH LANE   |
Rose Cottage, Clifton                   |        |      | ROSE COTTAGE |               | CLIFTON
The Willows, Bristol                    |        |      | THE WILLOWS |               | BRISTOL
Hill View, Church Lane                  |        |      | HILL VIEW   | CHURCH LANE   |
Meadow View Cottage, Church Lane        |        |      | MEADOW VIEW COTTAGE | CHURCH LANE   |
Apt 5 Elm Court 7 Park Rd               | 7      | 5    | ELM COURT   | PARK ROAD     |
Flat 5, Elm Court, 7 Park Road, Bristol | 7      | 5    | ELM COURT   | PARK ROAD     | BRISTOL
Flat 5 Elm Court Park Road              |        | 5    | ELM COURT   | PARK ROAD     |
Flat 5, Elm Ct, Park Rd                 |        | 5    | ELM COURT   | PARK ROAD     |
5 Elm Court, Park Road                  |        | 5    | ELM COURT   | PARK ROAD     |
Flat 2, 14 Elm Court, Park Road         | 14     | 2    | ELM COURT   | PARK ROAD     |
5 Elm Court                             | 5      |      |             | ELM COURT     |
Flat 5 Elm Court                        |        | 5    |             | ELM COURT     |
12 Park Road                            | 12     |      |             | PARK ROAD     |
12 Park Road, Green Lane                | 12     |      |             | PARK ROAD     | GREEN LANE
10 Green Lane                           | 10     |      |             | GREEN LANE    |
10 The Green                            | 10     |      |             | THE GREEN     |
10 Green Man Lane                       | 10     |      |             | GREEN MAN LANE |
3 Court Road                            | 3      |      |             | COURT ROAD    |
3 Old Hall Farm Road                    | 3      |      |             | OLD HALL FARM ROAD |
8 Royal Crescent Mews                   | 8      |      |             | ROYAL CRESCENT MEWS |
9 Strand                                | 9      |      |             | STRAND        |
12 St Paul's Road                       | 12     |      |             | SAINT PAULS ROAD |
12 St. Pauls Rd                         | 12     |      |             | SAINT PAULS ROAD |
St Mary's House, 12 St Pauls St         | 12     |      | SAINT MARYS HOUSE | SAINT PAULS STREET |
22 Broadway, London                     | 22     |      |             | BROADWAY      | LONDON
22, Broadway, London                    | 22     |      |             | BROADWAY      | LONDON
1 Fifth Avenue                          | 1      |      |             | FIFTH AVENUE  |
1 5th Avenue                            | 1      |      |             | 5TH AVENUE    |
6 Marine Parade West, Clacton           | 6      |      |             | MARINE PARADE WEST | CLACTON
6 High Street East Ham                  | 6      |      |             | HIGH STREET   | EAST HAM
14 High Street, Bristol BS1 5TR         | 14     |      |             | HIGH STREET   | BRISTOL
14 High Street, BS15TR                  | 14     |      |             | HIGH STREET   |
14 High Street; Clifton; Bath        | 14     |      |             | HIGH STREET   | CLIFTON BATH
c/o Mrs Hill, 14 High Street            | 14     |      |             | HIGH STREET   |
PO Box 12, Bristol                      | 12     |      |             | PO BOX        | BRISTOL
4 Bryn-y-Mor, Swansea                   | 4      |      |             | BRYN Y MOR    | SWANSEA
4 Cwrt Llanfabon Rd, Barry              | 4      |      |             | CWRT LLANFABON ROAD | BARRY
7 Crèche Gdns                           | 7      |      |             | CRECHE GARDENS |
14                                      | 14     |      |             |               |
Flat 2                                  |        | 2    |             |               |
NFA                                     |        |      |             |               |
No fixed abode, Bristol                 |        |      |             |               |
Unknown                                 |        |      |             |               |
, ,                                     |        |      |             |               |
"""
ROWS = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()[1:]]
WORDS = (
    "14 14a 2 / , - Flat Apt Ground Floor GFF St High Street Road Park Green Elm Court House The "
    "BS1 5TR c/o A West No"
)
words = st.sampled_from(WORDS.split())
lines = st.lists(words, max_size=9).map(" ".join)


def columns(found: Parts) -> list[tuple[str | None, ...]]:
    """The parts of each address, in the order of the table."""
    return list(zip(*(getattr(found, name).to_pylist() for name in NAMES), strict=True))


@pytest.mark.parametrize(("sent", "wanted"), [(row[0], row[1:]) for row in ROWS])
def test_the_table(sent: str, wanted: list[str]) -> None:
    found = columns(parts(pa.array([sent])))[0]
    assert dict(zip(NAMES, found, strict=True)) == {
        name: part or None for name, part in zip(NAMES, wanted, strict=True)
    }


def test_many_at_once_give_what_each_gives_alone() -> None:
    sent = [row[0] for row in ROWS]
    array = pa.array([None, *sent, "", None])
    assert columns(parts(array)) == [
        *columns(parts(pa.array([None], pa.string()))),
        *(columns(parts(pa.array([one])))[0] for one in sent),
        *columns(parts(pa.array(["", None]))),
    ]


@settings(deadline=None)
@given(st.lists(lines | st.text(max_size=20), max_size=6), st.integers(0, 3))
def test_neither_neighbours_nor_the_place_in_memory_matter(sent: list[str], cut: int) -> None:
    array = pa.array(sent, pa.string())
    assert columns(parts(array.slice(cut))) == columns(parts(array))[cut:]
    assert columns(parts(array)) == [columns(parts(pa.array([one])))[0] for one in sent]


def test_a_dash_of_any_length_makes_a_range() -> None:
    assert parts(pa.array(["14\u201316 High Street"])).house_number.to_pylist() == ["14-16"]


@settings(deadline=None)
@given(lines)
def test_the_parts_put_together_have_the_same_parts(sent: str) -> None:
    """Number and street read again are themselves, whatever stood around them."""
    number, _, _, street, _ = columns(parts(pa.array([sent])))[0]
    if number and street:
        again = columns(parts(pa.array([f"{number}, {street}"])))[0]
        assert again[0] == number
        assert again[3] == street


@settings(deadline=None)
@given(lines)
def test_capitals_and_spaces_do_not_matter(sent: str) -> None:
    spread = f"  {sent.lower()} ".replace(" ", "  ")
    assert columns(parts(pa.array([spread]))) == columns(parts(pa.array([sent])))


def test_nothing_in_nothing_out() -> None:
    assert columns(parts(pa.array([], pa.string()))) == []


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
    assert uprn(pa.array([sent], pa.string())).to_pylist() == [wanted]


@settings(deadline=None)
@given(st.lists(st.text(), max_size=5))
def test_uprn_twice_is_uprn_once(sent: list[str]) -> None:
    once = uprn(pa.array(sent, pa.string()))
    assert uprn(once).equals(once)
