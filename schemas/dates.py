"""Dates as people's records hold them: sometimes only a year, sometimes a year and a month.

Rules:
- A `PartialDate` is ISO text: `1980`, `1980-05` or `1980-05-17`; text order is date order.
- An `Instant` is ISO text in UTC with seconds: `2026-11-02T10:00:00Z`; text order is time order.
- Parsing takes the formats that the caller names; nothing guesses day-month order.
- Two-digit years are not accepted for births: a guess of the century is a wrong birth date.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache
from typing import NewType

from schemas.errors import InvalidValue, shape_of

PartialDate = NewType("PartialDate", str)
Instant = NewType("Instant", str)

_ISO_PARTIAL = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_FORMAT_PRECISION = (("%d", 10), ("%j", 10), ("%m", 7), ("%b", 7), ("%B", 7))

EARLIEST_YEAR = 1850
"""Births before this year are taken for slips: nobody alive or lately dead was born then."""


@lru_cache(maxsize=131_072)
def parse_partial_date(
    text: str, formats: tuple[str, ...] = ("%Y-%m-%d", "%Y-%m", "%Y")
) -> PartialDate:
    """A date from text in one of the named `strptime` formats, at the precision of that format.

    Args:
        text: the sender's text; space around it is ignored.
        formats: tried in order; the first that fits wins. No two-digit years (`%y`).

    Raises:
        InvalidValue: no format fits, or the year is before `EARLIEST_YEAR` or after 2200.
    """
    stripped = text.strip()
    for fmt in formats:
        if "%y" in fmt:
            raise ValueError("two-digit years are ambiguous: use %Y")
        try:
            parsed = datetime.strptime(stripped, fmt)  # noqa: DTZ007 - a birth date has no zone
        except ValueError:
            continue
        if not EARLIEST_YEAR <= parsed.year <= 2200:
            raise InvalidValue(f"the year is outside {EARLIEST_YEAR} to 2200")
        length = next((n for mark, n in _FORMAT_PRECISION if mark in fmt), 4)
        return PartialDate(parsed.date().isoformat()[:length])
    raise InvalidValue(f"expected a date as {' or '.join(formats)}; got {shape_of(stripped)}")


@lru_cache(maxsize=131_072)
def check_partial_date(value: str) -> PartialDate:
    """The value itself if it is a canonical partial date. Raises: InvalidValue."""
    match = _ISO_PARTIAL.fullmatch(value)
    if match:
        year, month, day = match.groups()
        try:
            date(int(year), int(month or 1), int(day or 1))
        except ValueError:
            match = None
    if not match:
        raise InvalidValue(f"expected YYYY, YYYY-MM or YYYY-MM-DD; got {shape_of(value)}")
    return PartialDate(value)


@lru_cache(maxsize=65_536)
def parse_instant(text: str, formats: tuple[str, ...] = (), zone: tzinfo = UTC) -> Instant:
    """A moment in UTC from text in one of the named `strptime` formats, else in ISO 8601.

    The named formats come first: eight digits can be read as ISO 8601 in more than one order. A
    date alone is its midnight. `zone` is that of texts that name none.

    Raises:
        InvalidValue: no format fits, or the year is before `EARLIEST_YEAR` or after 2200.
    """
    stripped = text.strip()
    parsed = _parse_datetime(stripped, formats)
    if parsed is None:
        raise InvalidValue(f"expected a date and time in ISO 8601; got {shape_of(stripped)}")
    if not EARLIEST_YEAR <= parsed.year <= 2200:
        raise InvalidValue(f"the year is outside {EARLIEST_YEAR} to 2200")
    return to_instant(parsed if parsed.tzinfo else parsed.replace(tzinfo=zone))


def _parse_datetime(text: str, formats: tuple[str, ...]) -> datetime | None:
    for fmt in formats:
        try:
            return datetime.strptime(text, fmt)  # noqa: DTZ007 - the caller adds the zone
        except ValueError:
            continue
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def to_instant(moment: datetime) -> Instant:
    """A datetime as UTC text with whole seconds; a naive one counts as UTC.

    Requires: 1000 <= year <= 9998, so that text order is time order in every zone.
    """
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Instant(aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
