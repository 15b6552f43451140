"""Telephone numbers, columnar: a number as written becomes canonical digits.

Rules, in order:
- A number of the United Kingdom in any usual writing (`0117 496 0000`, `+44 (0)117 496 0000`,
  `0044117...`, `1174960000`) is read by one pattern over the whole array.
- Only what is left (other countries, extensions, words beside the number) goes through the
  `phonenumbers` library, value by value. Extensions are dropped; of two numbers in one value the
  first counts; letters are labels ("mum"), never digits.
- A possible number gives country code and national number without a plus sign: E.164, less its +.
- An impossible number keeps its digits, so that two records with the same slip still agree; the
  home country's code and trunk zero are taken off, so that it agrees across writings too.
- Fewer than seven digits, one digit repeated and the well-known fillings of a form (07000000000,
  01234567890) are no evidence: null. Ofcom's drama numbers are kept, as synthetic data uses them.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_PUNCTUATION = r"[\s\p{Z}\p{Pd}\p{Cf}()./]+"
_ASCII_PUNCTUATION = r"[\s()./-]+"
"""The same in texts of ASCII, ten times as fast to compile."""
_UNITED_KINGDOM = r"^(?:(?:\+|00)?440?|0)?[1-9][0-9]{9}$"
_DOMESTIC = r"^0[1-9](?:[0-9]{6}|[0-9]{8}|[0-9]{10,14})$"
"""A number as it is dialled inside the country: of a length that there is, or too long."""
_LONGEST = 10
"""Digits of the longest national number of the United Kingdom."""
_EXTENSION = (
    r"(?i)[\s,;]*(?:\bext(?:ensi[oó]n|n)?|xtn|x|#|\bint(?:ernal)?)[\s:.=]*[0-9]{1,7}\s*#?\s*$"
)
_LABEL = r"^[^+0-9(]+"
_FURTHER = r"^((?:[^0-9/;,&\p{L}]*[0-9]){9,}[^0-9/;,&\p{L}]*)[/;,&\p{L}].*$"
"""Nine digits or more, then a mark that parts two numbers, or a word."""
_FILLING = (
    r"^(?:44)?(?:[0-9]{0,2}(?:"
    + "|".join(f"{digit}{{8,}}" for digit in range(10))
    + r")|[07]?12345(?:6(?:7(?:8(?:90?)?)?)?)?|9876543210|[1-9]?0{6,})$"
)
"""Eight or more of one digit to the end, or the digits in their order."""


def telephone(array: pa.Array, region: str = "GB") -> pa.Array:
    """Canonical digits of telephone numbers.

    Args:
        array: (n,) distinct strings as sent; nulls stay null.
        region: two-letter code of the country whose numbers are written without country code.

    Returns:
        (n,) strings of digits: country code and national number (`441174960000`) where the number
        is possible, the digits as sent where it is not, null where it is no evidence.
    """
    if region != "GB":
        return _evidence(_one_by_one(array, region))
    compact = pc.replace_substring_regex(array, pattern=_ASCII_PUNCTUATION, replacement="")
    if not pc.all(pc.string_is_ascii(compact), min_count=0).as_py():
        compact = pc.replace_substring_regex(array, pattern=_PUNCTUATION, replacement="")
    plain = pc.match_substring_regex(compact, _UNITED_KINGDOM)
    national = pc.utf8_slice_codeunits(compact, start=-10, stop=None)
    found = pc.if_else(plain, pc.binary_join_element_wise("44", national, ""), None)
    rest = pc.fill_null(pc.invert(plain), False)
    if pc.any(rest, min_count=0).as_py():
        others = _others(pc.filter(array, rest), pc.filter(compact, rest), region)
        found = pc.replace_with_mask(found, rest, others)
    return _evidence(found)


def _others(array: pa.Array, compact: pa.Array, region: str) -> pa.Array:
    """Numbers that are not as long as most: what is dialled with a leading nought gets the country
    code unless it is too long; the others are read one by one."""
    domestic = pc.match_substring_regex(compact, _DOMESTIC)
    tail = pc.utf8_slice_codeunits(compact, start=1, stop=None)
    possible = pc.less_equal(pc.utf8_length(tail), _LONGEST)
    found = pc.if_else(possible, pc.binary_join_element_wise("44", tail, ""), tail)
    odd = pc.invert(domestic)
    return pc.replace_with_mask(found, odd, _one_by_one(pc.filter(array, odd), region))


def _evidence(digits: pa.Array) -> pa.Array:
    """Null where there are fewer than seven digits, or only a form's filling."""
    none = pc.or_(
        pc.less(pc.utf8_length(digits), 7), pc.match_substring_regex(digits, pattern=_FILLING)
    )
    return pc.if_else(pc.fill_null(none, False), pa.scalar(None, pa.string()), digits)


def _one_by_one(array: pa.Array, region: str) -> pa.Array:
    """The number of each value by the `phonenumbers` library; digits where it has none."""
    text = pc.utf8_normalize(array, form="NFKC")
    for pattern, replacement in ((_EXTENSION, ""), (_LABEL, ""), (_FURTHER, r"\1")):
        text = pc.replace_substring_regex(text, pattern=pattern, replacement=replacement)
    values = [None if t is None else _digits(t, region) for t in text.to_pylist()]
    return pa.array(values, pa.string())


def _digits(text: str, region: str) -> str:
    """Digits of one number."""
    import phonenumbers  # noqa: PLC0415 - heavy, and most arrays do without it

    sent = "".join(c for c in text if c in "0123456789")
    if len(sent) < 7:
        return sent
    try:
        number = phonenumbers.parse(
            ("+" if text.lstrip("( ").startswith("+") else "") + sent, region
        )
    except phonenumbers.NumberParseException:
        return sent
    national = phonenumbers.national_significant_number(number)
    home = number.country_code == phonenumbers.country_code_for_region(region)
    if home and not phonenumbers.is_possible_number(number):
        return national
    return f"{number.country_code}{national}"
