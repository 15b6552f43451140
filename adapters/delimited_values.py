"""Texts of a delimited row read as names, addresses and times. Pure; the dear ones are cached.

Rules:
- A name that holds a date, a postcode or ten digits is no name: its columns are probably swapped.
- A name in one text is taken apart only where its form says how: `FAMILY, Given` (with a title at
  either end of the given names), or `Title Given Family`, where the family name is the last word
  with the particles before it. The text is always kept; any other form is kept as text alone.
- An address in one text is split at commas and line ends; a postcode at its end is read, and is
  kept in the last line unless it stands there alone.
"""

from __future__ import annotations

import re
from datetime import tzinfo
from functools import lru_cache

from schemas.dates import Instant, PartialDate, parse_instant, parse_partial_date
from schemas.demographics import HumanName
from schemas.errors import InvalidValue, shape_of
from schemas.identifiers import Postcode, parse_postcode

_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE = re.compile(
    rf"\d{{1,4}}[-/. ]\d{{1,2}}[-/. ]\d{{1,4}}|\d{{1,2}}[-/ ]?({_MONTHS})[a-z]*[-/ ,]*\d{{2,4}}",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d{8}|\d{10}")
_BETWEEN = re.compile(r"[\s\-.]+")
_DIGIT = re.compile(r"\d")
_TITLES = frozenset({
    "mr", "mrs", "miss", "ms", "mx", "dr", "prof", "professor", "rev", "revd", "reverend", "sir",
    "dame", "lady", "lord", "fr", "sr", "master",
})  # fmt: skip
_SUFFIXES = frozenset({"jr", "jnr", "snr", "ii", "iii", "mbe", "obe", "cbe", "esq"})
_PARTICLES = frozenset({
    "van", "von", "der", "den", "de", "del", "della", "di", "da", "dos", "du", "la", "le", "al",
    "el", "bin", "ibn", "abu", "mac", "st", "ter", "ten",
})  # fmt: skip
_MOST_FAMILY_WORDS = 4


@lru_cache(maxsize=131_072)
def clean_name(text: str) -> str:
    """A name with single spaces. Raises: InvalidValue where the text cannot be a name."""
    name = " ".join(text.split())
    if not _DIGIT.search(name):
        return name
    if _NUMBER.fullmatch(_BETWEEN.sub("", name)) or _DATE.search(name):
        raise InvalidValue("expected a name; got what looks like a date or a number")
    try:
        parse_postcode(name)
    except InvalidValue:
        return name
    raise InvalidValue("expected a name; got what looks like a postcode")


@lru_cache(maxsize=131_072)
def given_names(text: str) -> tuple[str, ...]:
    """Forenames in order. Raises: InvalidValue where the text cannot be a name."""
    return tuple(clean_name(text).split())


def full_name(text: str) -> HumanName:
    """A name in one text. Raises: InvalidValue where the text cannot be a name."""
    name = clean_name(text)
    parts = [part.strip() for part in name.split(",")]
    if len(parts) == 1:
        return _titled(name)
    if len(parts) == 3 and _is(_TITLES, parts[2]):
        parts = [parts[0], f"{parts[2]} {parts[1]}"]
    family = parts[0].split()
    if len(parts) != 2 or not parts[1] or not 1 <= len(family) <= _MOST_FAMILY_WORDS:
        return HumanName(text=name)
    given = parts[1].split()
    prefix = suffix = None
    if _is(_SUFFIXES, given[-1]):
        suffix = given.pop().strip("().")
    if given and _is(_TITLES, given[0]):
        prefix = given.pop(0).strip("().")
    elif given and _is(_TITLES, given[-1]):
        prefix = given.pop().strip("().")
    return HumanName(
        family=" ".join(family), given=tuple(given), prefix=prefix, suffix=suffix, text=name
    )


def _titled(name: str) -> HumanName:
    """`Title Given Family`; without a title, the text alone."""
    words = name.split()
    titles = 0
    while titles < len(words) and _is(_TITLES, words[titles]):
        titles += 1
    prefix, rest = " ".join(words[:titles]), words[titles:]
    if not prefix or not rest:
        return HumanName(text=name)
    suffix = rest.pop() if len(rest) > 1 and _is(_SUFFIXES, rest[-1]) else None
    first = len(rest) - 1
    while first > 1 and _is(_PARTICLES, rest[first - 1]):
        first -= 1
    return HumanName(
        family=" ".join(rest[first:]),
        given=tuple(rest[:first]),
        prefix=prefix,
        suffix=suffix,
        text=name,
    )


def _is(words: frozenset[str], word: str) -> bool:
    return word.strip("().").lower() in words


_LINE_END = re.compile(r"[\r\n]+")
_PART_END = re.compile(r"[,\r\n]+")
_TRAILING_POSTCODE = re.compile(r"\b[A-Za-z]{1,2}[0-9][A-Za-z0-9]? ?[0-9][A-Za-z]{2}$")


def address_lines(texts: list[str]) -> tuple[str, ...]:
    """Lines of an address whose columns are lines; a text of several lines gives several."""
    for text in texts:
        if "\n" in text:
            pieces = (piece.strip() for text in texts for piece in _LINE_END.split(text))
            return tuple(piece for piece in pieces if piece)
    return tuple(texts)


def full_address(text: str) -> tuple[tuple[str, ...], Postcode | None]:
    """Lines and, where the text ends in one, the postcode of an address in one text."""
    lines = [part for piece in _PART_END.split(text) if (part := piece.strip())]
    found = _TRAILING_POSTCODE.search(lines[-1]) if lines else None
    if not found:
        return tuple(lines), None
    if found.group() == lines[-1]:
        lines.pop()
    return tuple(lines), parse_postcode(found.group())


@lru_cache(maxsize=65_536)
def parse_when(text: str, formats: tuple[str, ...], zone: tzinfo) -> PartialDate | Instant:
    """A date, or a moment where the text tells the time, in a named format or ISO 8601.

    Raises: InvalidValue.
    """
    timed = tuple(f for f in formats if "%H" in f or "%I" in f)
    for read in (
        lambda: parse_partial_date(text, tuple(f for f in formats if f not in timed)),
        lambda: parse_partial_date(text),
        lambda: parse_instant(text, timed, zone),
    ):
        try:
            return read()
        except InvalidValue:
            continue
    raise InvalidValue(f"expected a date or a time; got {shape_of(text)}")
