"""What counts as an NHS number, an ODS code, a postcode, a UPRN."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import InvalidValue
from schemas.identifiers import (
    NumberRange,
    check_digit,
    is_pseudo_postcode,
    number_range,
    parse_nhs_number,
    parse_ods_code,
    parse_postcode,
    parse_uprn,
    postcode_parts,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        pytest.param("9434765919", "9434765919", id="NHS Data Dictionary's example"),
        pytest.param("943 476 5919", "9434765919", id="spaces"),
        pytest.param(" 943-476-5919 ", "9434765919", id="hyphens and margins"),
        pytest.param("943.476.5919", "9434765919", id="dots"),
        pytest.param("943\u00a0476\u00a05919", "9434765919", id="no-break spaces"),
        pytest.param("9990000060", None, id="a test number with a wrong digit"),
        pytest.param("9434765918", None, id="wrong check digit"),
        pytest.param("9434765191", None, id="two digits swapped"),
        pytest.param("943476591", None, id="nine digits"),
        pytest.param("94347659190", None, id="eleven digits"),
        pytest.param("943476591X", None, id="a letter"),
        pytest.param("٩٤٣٤٧٦٥٩١٩", None, id="digits of another script"),
        pytest.param("²²²²²²²²²²", None, id="superscripts"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_nhs_number(text: str, number: str | None) -> None:
    if number is None:
        with pytest.raises(InvalidValue) as caught:
            parse_nhs_number(text)
        assert not text or text not in str(caught.value)
    else:
        assert parse_nhs_number(text) == number


def _check_digit_by_the_book(first_nine: str) -> int | None:
    """NHS Data Dictionary, NHS NUMBER: weights 10 to 2, remainder of 11, 11 counts as 0."""
    total = sum(int(digit) * (10 - place) for place, digit in enumerate(first_nine))
    check = 11 - total % 11
    return {11: 0, 10: None}.get(check, check)


@given(st.from_regex(r"[0-9]{9}", fullmatch=True))
@settings(max_examples=50, deadline=None)
def test_check_digit_is_the_data_dictionary_s(first_nine: str) -> None:
    assert check_digit(first_nine) == _check_digit_by_the_book(first_nine)


@given(st.from_regex(r"[0-9]{9}", fullmatch=True), st.integers(0, 9), st.integers(1, 9))
@settings(max_examples=50, deadline=None)
def test_any_single_wrong_digit_is_found(first_nine: str, place: int, shift: int) -> None:
    digit = check_digit(first_nine)
    if digit is None:
        return
    number = f"{first_nine}{digit}"
    wrong = f"{number[:place]}{(int(number[place]) + shift) % 10}{number[place + 1 :]}"
    with pytest.raises(InvalidValue):
        parse_nhs_number(wrong)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("4505577104", NumberRange.ENGLAND_WALES, id="England: 4..."),
        pytest.param("9990000042", NumberRange.TEST, id="999: test"),
        pytest.param("9434765919", NumberRange.UNALLOCATED, id="943: not in use"),
        pytest.param("0123456789", NumberRange.PLACEHOLDER, id="rising"),
        pytest.param("9876543210", NumberRange.PLACEHOLDER, id="falling"),
        *(
            pytest.param(str(digit) * 10, NumberRange.PLACEHOLDER, id=f"all {digit}")
            for digit in range(10)
        ),
    ],
)
def test_number_range(text: str, expected: NumberRange) -> None:
    assert number_range(parse_nhs_number(text)) is expected


@pytest.mark.parametrize(
    ("first_nine", "expected"),
    [
        ("320000000", NumberRange.NORTHERN_IRELAND),
        ("399999990", NumberRange.NORTHERN_IRELAND),
        ("400000000", NumberRange.ENGLAND_WALES),
        ("499999990", NumberRange.ENGLAND_WALES),
        ("500000000", NumberRange.UNALLOCATED),
        ("600000000", NumberRange.ENGLAND_WALES),
        ("799999990", NumberRange.ENGLAND_WALES),
        ("800000000", NumberRange.UNALLOCATED),
        ("010170123", NumberRange.SCOTLAND_CHI),
        ("311299999", NumberRange.SCOTLAND_CHI),
        ("321370123", NumberRange.NORTHERN_IRELAND),
        ("001370123", NumberRange.UNALLOCATED),
    ],
)
def test_number_range_by_first_digits(first_nine: str, expected: NumberRange) -> None:
    while check_digit(first_nine) is None:
        first_nine = f"{int(first_nine) + 1:09}"
    assert number_range(parse_nhs_number(f"{first_nine}{check_digit(first_nine)}")) is expected


@pytest.mark.parametrize(
    ("text", "postcode", "parts"),
    [
        ("bs1 5tr", "BS1 5TR", ("BS", "BS1", "BS1 5")),
        ("BS15TR", "BS1 5TR", ("BS", "BS1", "BS1 5")),
        ("B33-8TH", "B33 8TH", ("B", "B33", "B33 8")),
        ("M1 1AE", "M1 1AE", ("M", "M1", "M1 1")),
        ("W1A 1AA", "W1A 1AA", ("W", "W1A", "W1A 1")),
        ("SW1A\u00a01AA", "SW1A 1AA", ("SW", "SW1A", "SW1A 1")),
        ("GIR 0AA", "GIR 0AA", ("GIR", "GIR", "GIR 0")),
        ("gir0aa", "GIR 0AA", ("GIR", "GIR", "GIR 0")),
        ("BFPO 1", "BFPO 1", ("BFPO", "BFPO 1", "BFPO 1")),
        ("bfpo1234", "BFPO 1234", ("BFPO", "BFPO 1234", "BFPO 1234")),
        ("BF1 1AA", "BF1 1AA", ("BF", "BF1", "BF1 1")),
        ("ZZ99 3VZ", "ZZ99 3VZ", ("ZZ", "ZZ99", "ZZ99 3")),
        ("ASCN 1ZZ", "ASCN 1ZZ", ("ASCN", "ASCN", "ASCN 1")),
    ],
)
def test_postcode(text: str, postcode: str, parts: tuple[str, str, str]) -> None:
    parsed = parse_postcode(text)
    assert parsed == postcode
    assert postcode_parts(parsed) == parts


@pytest.mark.parametrize(
    "text",
    ["", "BS1", "BS1 5T", "BS1 5TRX", "1BS 5TR", "BS1 STR", "BFPO", "BFPO 12345", "ABC1 2DE",
     "BS1é5TR", "ﬁqq1zz", "BS1 5TR Bristol"],
)  # fmt: skip
def test_no_postcode(text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_postcode(text)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "pseudo"),
    [("ZZ99 3VZ", True), ("zz993wz", True), ("ZZ9 9AA", False), ("BS1 5TR", False)],
)
def test_pseudo_postcode(text: str, pseudo: bool) -> None:
    assert is_pseudo_postcode(parse_postcode(text)) is pseudo


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("RA7", "RA7"), (" l81001 ", "L81001"), ("8hk10", "8HK10"), ("RA", None),
        ("A" * 11, None), ("RA 7", None), ("", None), ("Raß", None),
    ],
)  # fmt: skip
def test_ods_code(text: str, code: str | None) -> None:
    if code is None:
        with pytest.raises(InvalidValue):
            parse_ods_code(text)
    else:
        assert parse_ods_code(text) == code


@pytest.mark.parametrize(
    ("text", "uprn"),
    [
        ("1", "1"), ("000123456789", "123456789"), (" 100040236817 ", "100040236817"),
        ("0000000000001234", "1234"), ("1234567890123", None), ("0", None), ("", None),
        ("12a", None), ("١٢", None), ("-1", None),
    ],
)  # fmt: skip
def test_uprn(text: str, uprn: str | None) -> None:
    if uprn is None:
        with pytest.raises(InvalidValue):
            parse_uprn(text)
    else:
        assert parse_uprn(text) == uprn
