"""One record as a row of what linkage reads: the same as the row of the table, read the same."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.asked import AskedReader
from schemas.codes import Gender, NumberStatus, TelecomSystem
from schemas.columns import MATCH_SCHEMA, match_row, match_table
from schemas.dates import PartialDate
from schemas.demographics import Address, Death, HumanName, Identifier, NhsNumberClaim, Telecom
from schemas.identifiers import LocalId, NhsNumber, OdsCode, Postcode
from schemas.records import ClientRecord

WORDS = st.sampled_from(["Martha", "O'Hara", "Zoë Anne", "", "Unknown", "MRS", "1 High St"])
GIVEN = st.lists(WORDS, min_size=1, max_size=2).map(tuple)
DAYS = st.sampled_from(["1980-05-04", "1980-05", "1980", "1900-01-01"]).map(PartialDate)
NUMBERS = st.sampled_from(["9990000018", "9434765919", "0101010001"]).map(NhsNumber)
POSTCODES = st.none() | st.sampled_from(["BS1 5TR", "ZZ99 3VZ"]).map(Postcode)
RECORDS = st.builds(
    ClientRecord,
    local_id=st.just(LocalId("1")),
    names=st.lists(
        st.builds(HumanName, family=st.none() | WORDS, given=GIVEN, text=st.none() | WORDS),
        max_size=2,
    ).map(tuple),
    birth_date=st.none() | DAYS,
    gender=st.none() | st.sampled_from(Gender),
    birth_sex=st.none() | st.sampled_from(Gender),
    addresses=st.lists(
        st.builds(Address, lines=GIVEN, postcode=POSTCODES, uprn=st.none() | st.just("100012345")),
        max_size=2,
    ).map(tuple),
    telecoms=st.lists(
        st.builds(Telecom, st.sampled_from(TelecomSystem), st.sampled_from(["0117 496 0001", "a"])),
        max_size=3,
    ).map(tuple),
    gp_practice=st.none() | st.just(OdsCode("L81001")),
    nhs_number=st.none() | st.builds(NhsNumberClaim, NUMBERS, st.sampled_from(NumberStatus)),
    identifiers=st.lists(
        st.builds(Identifier, system=st.just("urn:x"), value=st.just("7")), max_size=2
    ).map(tuple),
    death=st.none() | st.builds(Death, on=st.none() | DAYS),
)
READER = AskedReader()


@settings(deadline=None)
@given(RECORDS)
def test_a_row_is_that_of_the_table(record: ClientRecord) -> None:
    row, table = match_row(record), match_table([record])
    assert row == table.to_pylist()[0]
    assert list(row) == MATCH_SCHEMA.names
    plain = (str, list, type(None))
    assert all(type(value) in plain for value in row.values())
    assert READER.read_row(row) == READER.read(table)
