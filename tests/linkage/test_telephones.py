"""Telephone numbers as sent, as a table, and against the `phonenumbers` library."""

from __future__ import annotations

import phonenumbers
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat as Form

from linkage import telephones
from linkage.telephones import telephone

TABLE = [
    ("0117 496 0000", "441174960000"),
    ("+44 (0)117 496 0000", "441174960000"),
    ("+44 117 496 0000", "441174960000"),
    ("(+44) 117 496 0000", "441174960000"),
    ("0044 117 496 0000", "441174960000"),
    ("00441174960000", "441174960000"),
    ("44 117 496 0000", "441174960000"),
    ("1174960000", "441174960000"),
    ("(0117) 496-0000", "441174960000"),
    ("0117.496.0000", "441174960000"),
    ("0117\u2011496\u20110000", "441174960000"),
    ("0117\u00a0496\u00a00000", "441174960000"),
    ("\uff10\uff11\uff11\uff17 496 0000", "441174960000"),
    ("tel:+44-117-496-0000;ext=5", "441174960000"),
    ("0117 496 0000 ext 12", "441174960000"),
    ("0117 496 0000 ext. 12", "441174960000"),
    ("0117 496 0000 extension 12", "441174960000"),
    ("01174960000x12", "441174960000"),
    ("0117 496 0000 #12", "441174960000"),
    ("0117 496 0000 (mum)", "441174960000"),
    ("mum: 0117 496 0000", "441174960000"),
    ("0117 496 0000 / 07700 900123", "441174960000"),
    ("0117 496 0000 or 07700 900123", "441174960000"),
    ("0117 496 0000, 07700 900123", "441174960000"),
    ("07700 900123", "447700900123"),
    ("+447700900123", "447700900123"),
    ("+33 1 23 45 67 89", "33123456789"),
    ("0033 1 23 45 67 89", "33123456789"),
    ("+48 22 123 45 67", "48221234567"),
    ("+1 212 555 0142", "12125550142"),
    ("+353 1 234 5678", "35312345678"),
    ("496 0000", "444960000"),
    ("0117 496 00000", "11749600000"),
    ("+44 117 496 00000", "11749600000"),
    ("+999 123 456 789", "999123456789"),
    ("999", None),
    ("12345", None),
    ("none", None),
    ("", None),
    (None, None),
]
DRAMA = [
    "0113 496 0123", "0114 496 0123", "0115 496 0123", "0116 496 0123", "0117 496 0123",
    "0118 496 0123", "0121 496 0123", "0131 496 0123", "0141 496 0123", "0151 496 0123",
    "0161 496 0123", "0191 498 0123", "020 7946 0123", "028 9649 6123", "029 2018 0123",
    "01632 960123", "07700 900123", "0808 157 0123", "0909 879 0123", "03069 990123",
]  # fmt: skip
"""Ofcom, "Telephone numbers for use in TV and radio drama programmes"."""
FILLINGS = [
    "00000000000", "07000000000", "07777777777", "01111111111", "0000000000", "9999999999",
    "01234567890", "1234567890", "01234 567890", "07123456789", "1234567", "12345678",
    "07900000000", "+44 0000 000000", "+441234567890", "9876543210", "02000000000",
]  # fmt: skip

numbers = st.builds(
    lambda start, rest: phonenumbers.parse(start + rest, "GB"),
    st.sampled_from(["01", "02", "03", "07", "08", "011", "0208", "0161", "077", "0700", "016977"]),
    st.text("0123456789", min_size=6, max_size=9),
)
valid = numbers.filter(phonenumbers.is_valid_number)


def one(sent: str | None, region: str = "GB") -> str | None:
    """The number of a single value."""
    return telephone(pa.array([sent], pa.string()), region).to_pylist()[0]


@pytest.mark.parametrize(("sent", "wanted"), TABLE)
def test_the_table(sent: str | None, wanted: str | None) -> None:
    assert one(sent) == wanted


@pytest.mark.parametrize("sent", DRAMA)
def test_numbers_for_drama_are_kept(sent: str) -> None:
    assert one(sent) == "44" + sent.replace(" ", "")[1:]


@pytest.mark.parametrize("sent", FILLINGS)
def test_fillings_are_no_evidence(sent: str) -> None:
    assert one(sent) is None


@settings(deadline=None)
@given(valid, st.sampled_from([Form.E164, Form.INTERNATIONAL, Form.NATIONAL, Form.RFC3966]))
def test_valid_numbers_are_what_the_library_says(
    number: phonenumbers.PhoneNumber, form: int
) -> None:
    wanted = phonenumbers.format_number(number, Form.E164)[1:]
    assert one(phonenumbers.format_number(number, form)) in (wanted, None)
    assert one(wanted) == one("+" + wanted)
    filling = len(set(wanted[-8:])) == 1 or "12345" in wanted or "9876543210" in wanted
    if not filling and not wanted.endswith("000000"):
        assert one(wanted) == wanted


@settings(deadline=None)
@given(st.text("0123456789 +()-./", max_size=18))
def test_dialled_signs_are_read_as_the_library_reads_them(sent: str) -> None:
    """Or kept as digits; never another number."""
    found = one(sent)
    try:
        number = phonenumbers.parse(sent, "GB")
    except phonenumbers.NumberParseException:
        return
    if found and phonenumbers.is_valid_number(number):
        assert found == phonenumbers.format_number(number, Form.E164)[1:]


@settings(deadline=None)
@given(st.text("123456789", min_size=1, max_size=1), st.text("0123456789", max_size=18))
def test_dialled_numbers_of_any_length_are_read_as_one_by_one(first: str, rest: str) -> None:
    sent = pa.array(["0" + first + rest])
    assert telephone(sent).equals(telephones._evidence(telephones._one_by_one(sent, "GB")))


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), max_size=5), st.sampled_from(["GB", "IE", "PL"]))
def test_neighbours_do_not_matter_and_no_text_is_too_odd(sent: list[str], region: str) -> None:
    once = telephone(pa.array(sent, pa.string()), region)
    assert once.to_pylist() == [one(text, region) for text in sent]
    assert all(text is None or (text.isdigit() and len(text) >= 7) for text in once.to_pylist())


def test_other_regions() -> None:
    assert one("01 234 5678", "IE") == "35312345678"
    assert one("+44 117 496 0000", "IE") == "441174960000"
