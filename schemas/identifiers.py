"""Identifiers: NHS numbers, ODS codes, postcodes, UPRNs. Text in, named types out; no I/O.

Rules:
- A parser takes text as a sender wrote it and gives the canonical form, or raises `InvalidValue`
  with a reason that never shows the text.
- An NHS number is ten digits, the last a Modulus 11 check digit (NHS Data Dictionary).
- Ten numbers of repeated digits, and the sequential ones, pass Modulus 11 by accident: they are
  placeholders and carry no evidence.
- Numbers of Scotland (CHI) and Northern Ireland (H&C) pass the same check; they are other
  identifiers and are told apart by range.
- A pseudo-postcode (ZZ99 and its kin) says "no address", not "this address".
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import NewType

from schemas.errors import InvalidValue, shape_of

NhsNumber = NewType("NhsNumber", str)
"""Ten digits, Modulus 11 checked, without spaces."""
OdsCode = NewType("OdsCode", str)
"""An Organisation Data Service code: 3 to 10 letters and digits, upper case."""
Postcode = NewType("Postcode", str)
"""A UK postcode in canonical form: upper case, one space before the inward code."""
Uprn = NewType("Uprn", str)
"""Unique Property Reference Number: 1 to 12 digits, no leading zeros."""

SourceId = NewType("SourceId", str)
"""The short name of one client record system, as in partnership.toml."""
LocalId = NewType("LocalId", str)
"""The identifier a source gives to one of its clients."""
PersonId = NewType("PersonId", str)
"""An opaque, stable id of one integrated person."""


class NumberRange(StrEnum):
    """Whose number a Modulus 11 ten-digit number is, by its range."""

    ENGLAND_WALES = "england_wales"
    SCOTLAND_CHI = "scotland_chi"
    NORTHERN_IRELAND = "northern_ireland"
    TEST = "test"
    PLACEHOLDER = "placeholder"
    UNALLOCATED = "unallocated"


_SEPARATORS = re.compile(r"[\s\-. ]+")
_PLACEHOLDERS = frozenset(
    [d * 10 for d in "0123456789"] + ["0123456789", "9876543210", "1234567881"]
)


_WEIGHED_ZEROS = ord("0") * (10 + 9 + 8 + 7 + 6 + 5 + 4 + 3 + 2)


def check_digit(first_nine: str) -> int | None:
    """Modulus 11 check digit of nine digits, or None where none exists (remainder 10).

    Requires: nine ASCII digits. Source: NHS Data Dictionary, NHS NUMBER.
    """
    a, b, c, d, e, f, g, h, i = first_nine.encode()
    weighed = 10 * a + 9 * b + 8 * c + 7 * d + 6 * e + 5 * f + 4 * g + 3 * h + 2 * i
    digit = -(weighed - _WEIGHED_ZEROS) % 11
    return None if digit == 10 else digit


@lru_cache(maxsize=8_192)
def parse_nhs_number(text: str) -> NhsNumber:
    """Ten digits with a right check digit, from text with spaces, dots or hyphens allowed.

    Raises: InvalidValue with the reason (length, non-digits, check digit).
    """
    digits = text if text.isdigit() else _SEPARATORS.sub("", text)
    if not (len(digits) == 10 and digits.isdigit() and digits.isascii()):
        raise InvalidValue(f"an NHS number has ten digits; got {shape_of(digits)}")
    if check_digit(digits[:9]) != int(digits[9]):
        raise InvalidValue("the NHS number's check digit is wrong (Modulus 11)")
    return NhsNumber(digits)


@lru_cache(maxsize=65_536)
def number_range(number: NhsNumber) -> NumberRange:
    """Whose number this is. Ranges: NHS England "NHS number" guidance; CHI begins with a date."""
    if number in _PLACEHOLDERS:
        return NumberRange.PLACEHOLDER
    if number.startswith("999"):
        return NumberRange.TEST
    value = int(number)
    if 3_200_000_000 <= value <= 3_999_999_999:
        return NumberRange.NORTHERN_IRELAND
    if 4_000_000_000 <= value <= 4_999_999_999 or 6_000_000_000 <= value <= 7_999_999_999:
        return NumberRange.ENGLAND_WALES
    if 1 <= int(number[:2]) <= 31 and 1 <= int(number[2:4]) <= 12:
        return NumberRange.SCOTLAND_CHI
    return NumberRange.UNALLOCATED


_ODS = re.compile(r"[A-Za-z0-9]{3,10}")


@lru_cache(maxsize=16_384)
def parse_ods_code(text: str) -> OdsCode:
    """An ODS organisation code in upper case. Raises: InvalidValue."""
    code = text.strip()
    if not _ODS.fullmatch(code):
        raise InvalidValue(f"an ODS code has 3 to 10 letters and digits; got {shape_of(text)}")
    return OdsCode(code.upper())


_POSTCODE = re.compile(
    r"GIR0AA|[A-Z]{1,2}[0-9][A-Z0-9]?[0-9][A-Z]{2}|BFPO[0-9]{1,4}|[A-Z]{4}1ZZ", re.IGNORECASE
)
_BETWEEN = re.compile(r"[\s\-.,]+")


@lru_cache(maxsize=131_072)
def parse_postcode(text: str) -> Postcode:
    """A full UK postcode in canonical form ("bs1 5tr" → "BS1 5TR"). Raises: InvalidValue.

    Only the form is checked: whether Royal Mail has allocated it is not known here.
    """
    letters = _BETWEEN.sub("", text)
    if not (letters.isascii() and _POSTCODE.fullmatch(letters)):
        raise InvalidValue(f"not the form of a UK postcode; got {shape_of(text)}")
    letters = letters.upper()
    if letters.startswith("BFPO"):
        return Postcode(f"BFPO {letters[4:]}")
    return Postcode(f"{letters[:-3]} {letters[-3:]}")


def is_pseudo_postcode(postcode: Postcode) -> bool:
    """Whether the postcode says "no fixed abode", "not known", "overseas" (NHS Data Dictionary,
    ZZ99 pseudo-postcodes) rather than naming a place."""
    return postcode.startswith("ZZ99 ")


def postcode_parts(postcode: Postcode) -> tuple[str, str, str]:
    """Area, district and sector: "BS1 5TR" → ("BS", "BS1", "BS1 5").

    A BFPO number is one office, so it is district and sector in one: "BFPO 12" → ("BFPO",
    "BFPO 12", "BFPO 12").
    """
    outward, _, inward = postcode.partition(" ")
    if outward == "BFPO":
        return (outward, postcode, postcode)
    area = re.match(r"[A-Z]+", outward)
    return (area.group() if area else outward, outward, f"{outward} {inward[:1]}")


def parse_uprn(text: str) -> Uprn:
    """A Unique Property Reference Number without leading zeros. Raises: InvalidValue."""
    digits = text.strip().lstrip("0")
    if not (len(digits) <= 12 and digits.isdigit() and digits.isascii()):
        raise InvalidValue(f"a UPRN has 1 to 12 digits; got {shape_of(text)}")
    return Uprn(digits)
