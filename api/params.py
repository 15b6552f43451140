"""Search parameters: what each route takes, how it is read, and what does not belong in addresses.

Rules:
- A parameter that the route's table does not name is refused, by name; so is a modifier. Nothing
  that was asked for is silently left out (an ignored filter shows more than was asked for).
- Names, numbers, birth dates, addresses and the like do not belong in addresses, which logs on the
  way keep: in a GET they are refused with the way to POST _search, unless the settings allow them.
- Messages name the parameter, never its value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from api.outcomes import Refused
from schemas.dates import Instant, check_partial_date, to_instant
from schemas.errors import InvalidValue

ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")
"""What an id can look like (FHIR R4)."""
MAX_VALUE = 1_000
"""Characters of a parameter's value."""


class Kind(StrEnum):
    """FHIR R4 search parameter types, and three of ours for what is no search parameter."""

    TOKEN = "token"  # noqa: S105 - a search parameter type
    STRING = "string"
    DATE = "date"
    REFERENCE = "reference"
    NUMBER = "number"
    FLAG = "flag"
    WORDS = "words"


@dataclass(frozen=True)
class Param:
    """One parameter of a route.

    Attributes:
        personal: a person's value: not in addresses.
        many: how often it may stand.
        choices: the values it takes, where they are few.
        standard: whether it is a FHIR search parameter (told in `metadata`).
    """

    name: str
    kind: Kind
    text: str
    personal: bool = False
    many: int = 1
    choices: tuple[str, ...] = ()
    standard: bool = True


COUNT = Param("_count", Kind.NUMBER, "Entries of a page", standard=False)
CURSOR = Param("_cursor", Kind.STRING, "The next page, as a link gave it", standard=False)
FORMAT = Param("_format", Kind.TOKEN, "Form of the answer: JSON", standard=False)
PRETTY = Param("_pretty", Kind.FLAG, "Whether lines are broken for people", standard=False)
ELEMENTS = Param("_elements", Kind.WORDS, "Elements to show, with commas between", standard=False)
SUMMARY = Param(
    "_summary", Kind.TOKEN, "How much to show", standard=False,
    choices=("true", "false", "text", "data", "count"),
)  # fmt: skip
TOTAL = (
    Param(
        "_total", Kind.TOKEN, "Totals are always told, and accurate", standard=False,
        choices=("none", "estimate", "accurate"),
    ),
    Param(
        "_totalMethod", Kind.TOKEN, "As _total, in the words of some clients", standard=False,
        choices=("count", "estimate", "accurate"),
    ),
)  # fmt: skip
SHAPE = (ELEMENTS, SUMMARY, FORMAT, PRETTY)
"""Parameters that every route takes which shows resources."""

Given = Sequence[tuple[str, str]]
"""Parameters as given, in order."""


class Params:
    """The parameters of one request, by the table of its route. Raises: Refused, when built."""

    def __init__(self, table: Sequence[Param], given: Given) -> None:
        known = {param.name: param for param in table}
        self._values: dict[str, list[str]] = {}
        for name, value in given:
            if name not in known:
                raise Refused("ADDITIONAL_PROPERTIES", _unknown(name, known))
            if len(value) > MAX_VALUE or "\0" in value:
                raise Refused("INVALID_VALUE", f"{name}: too long, or not text")
            self._values.setdefault(name, []).append(value.strip())
        for name, values in self._values.items():
            _check(known[name], values)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def given(self) -> list[tuple[str, str]]:
        """Name and value of each."""
        return [(name, value) for name, values in self._values.items() for value in values]

    def names(self) -> frozenset[str]:
        """Names of those given."""
        return frozenset(self._values)

    def one(self, name: str) -> str | None:
        """The value of one that stands once, None where it does not stand."""
        return self._values.get(name, [None])[0]

    def all(self, name: str) -> list[str]:
        """The values of one that may stand several times."""
        return list(self._values.get(name, ()))

    def flag(self, name: str) -> bool:
        """Whether it is true."""
        return self.one(name) == "true"

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number; above `high`, `high`. Raises: Refused below `low`."""
        text = self.one(name)
        if text is None:
            return default
        if int(text) < low:
            raise Refused("INVALID_VALUE", f"{name}: expected {low} or more")
        return min(int(text), high)

    def words(self, name: str) -> tuple[str, ...]:
        """The words of a list with commas."""
        text = self.one(name)
        return tuple(w.strip() for w in text.split(",") if w.strip()) if text else ()


def _unknown(name: str, known: Mapping[str, Param]) -> str:
    shown = [param for param in known if param not in ("_cursor",)]
    base = name.partition(":")[0].partition(".")[0]
    if base in known and base != name:
        return f"{base}: this search has no modifiers and no chains; it takes: {', '.join(shown)}"
    return f"a parameter that is not known here; there are: {', '.join(shown)}"


_NUMBER = re.compile(r"[0-9]{1,9}")
_FORMATS = frozenset(
    ("json", "application/json", "application/fhir+json", "text/json", "application/json+fhir")
)


def _check(param: Param, values: Sequence[str]) -> None:
    if len(values) > param.many:
        raise Refused("INVALID_VALUE", f"{param.name}: expected at most {param.many} of it")
    for value in values:
        if not value:
            raise Refused("INVALID_VALUE", f"{param.name}: expected a value")
        if param.choices and value not in param.choices:
            wanted = ", ".join(param.choices)
            raise Refused("INVALID_VALUE", f"{param.name}: expected one of {wanted}")
        if param.kind is Kind.FLAG and value not in ("true", "false"):
            raise Refused("INVALID_VALUE", f"{param.name}: expected true or false")
        if param.kind is Kind.NUMBER and not _NUMBER.fullmatch(value):
            raise Refused("INVALID_VALUE", f"{param.name}: expected a whole number")
        if param.name == "_format" and value.partition(";")[0] not in _FORMATS:
            raise Refused("NOT_ACCEPTABLE", "_format: answers are FHIR R4 as JSON")


def refuse_personal(table: Iterable[Param], given: Given, post: str) -> None:
    """Raises: Refused, where an address holds what does not belong there.

    Args:
        post: the way to ask instead.
    """
    personal = {param.name for param in table if param.personal}
    for name, value in given:
        base = name.partition(":")[0].partition(".")[0]
        if base in personal or "identifier" in name.lower() or _like_a_number(value):
            raise Refused(
                "USE_POST_SEARCH",
                "the address holds a person's details, and logs on the way keep addresses; send"
                f" the same parameters as a form to {post}",
            )


_TEN_DIGITS = re.compile(r"\d{3}[ -]?\d{3}[ -]?\d{4}")


def _like_a_number(value: str) -> bool:
    """Whether it looks like an NHS number, alone or after its system."""
    return bool(_TEN_DIGITS.fullmatch(value.rpartition("|")[2]))


def looks_like_number(text: str) -> bool:
    """Whether an id looks like an NHS number."""
    return bool(_TEN_DIGITS.fullmatch(text))


_PREFIXED = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(\d{4}.*)")


@dataclass(frozen=True)
class Span:
    """A span of dates, both ends included; None where open. ISO texts of the same kind."""

    start: str | None = None
    end: str | None = None


def date_span(name: str, values: Sequence[str]) -> Span:
    """The days that all values of a date parameter allow, as partial dates.

    `ge2020-01` begins on the first of January, `le2020-01` ends with the 31st; `gt` and `lt` leave
    the named span out. Raises: Refused.
    """
    low, high = None, None
    for value in values:
        match = _PREFIXED.fullmatch(value)
        prefix = match.group(1) or "eq" if match else ""
        if match is None or prefix not in ("eq", "gt", "lt", "ge", "le"):
            raise Refused(
                "INVALID_VALUE", f"{name}: expected a date, alone or after eq, ge, le, gt, lt"
            )
        first, last = _days(name, match.group(2))
        if prefix in ("eq", "ge", "gt"):
            begin = first if prefix != "gt" else _shifted(last, 1)
            low = begin if low is None else max(low, begin)
        if prefix in ("eq", "le", "lt"):
            end = last if prefix != "lt" else _shifted(first, -1)
            high = end if high is None else min(high, end)
    return Span(low, high)


def _days(name: str, text: str) -> tuple[str, str]:
    """The first and last day of a partial date; of a moment, its day in UTC."""
    try:
        if "T" in text:
            return (text[:10], text[:10]) if check_partial_date(text[:10]) else ("", "")
        partial = check_partial_date(text)
    except InvalidValue:
        raise Refused("INVALID_VALUE", f"{name}: expected YYYY, YYYY-MM or YYYY-MM-DD") from None
    if len(partial) == 10:
        return partial, partial
    if len(partial) == 4:
        return f"{partial}-01-01", f"{partial}-12-31"
    year, month = int(partial[:4]), int(partial[5:])
    after = (year + month // 12, month % 12 + 1)
    return f"{partial}-01", _shifted(f"{after[0]:04}-{after[1]:02}-01", -1)


def _shifted(day: str, days: int) -> str:
    try:
        moved = datetime.fromisoformat(day) + timedelta(days=days)
    except (OverflowError, ValueError):
        return day
    return moved.date().isoformat()


def moments(span: Span) -> tuple[Instant | None, Instant | None]:
    """The first second of a span of days, and the first after it."""

    def at(day: str) -> Instant:
        return to_instant(datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=UTC))

    after = _shifted(span.end, 1) if span.end else None
    open_end = after is None or after == span.end
    return at(span.start) if span.start else None, None if open_end else at(after or "")
