"""What the rows of all kinds of delimited file share: parsers, needed fields, what stays unread.

Rules:
- A row that lacks a needed field, or whose `vital` fields do not hold what their type says, is
  `Unfit`: it is quarantined with the field and the reason.
- Any other field that cannot be read as its type is kept as sent and counted.
- A time without a zone is in the source's zone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from adapters.delimited_values import clean_name, full_name, given_names, parse_when
from adapters.mapping import Parse, RowPlan, Unread, Values
from schemas.dates import Instant, parse_instant, parse_partial_date
from schemas.errors import InvalidValue
from schemas.identifiers import parse_nhs_number, parse_ods_code, parse_postcode, parse_uprn
from schemas.records import IdentityChanged, Withdrawal
from schemas.settings import Mapped, SourceSettings

SWAPPED = "if many rows say so, columns are swapped, or `date_formats` is not the file's"


class Unfit(InvalidValue):
    """A row that cannot be loaded: the field at fault, and a key of `schemas.records.REASONS`."""

    def __init__(self, field: str, code: str, message: str) -> None:
        self.field = field
        self.code = code
        super().__init__(message)


def needed(field: str, text: str | None) -> str:
    """The text of a field that every row must have. Raises: Unfit."""
    if not text:
        raise Unfit(field, "missing_value", f"every row needs {field!r}; here it is empty")
    if not text.isprintable():
        raise Unfit(field, "bad_value", f"{field!r} holds a line end or a control character")
    return text


def _parsers(kind: str, formats: tuple[str, ...], zone: ZoneInfo) -> dict[str, Parse]:
    """How the fields of a kind of file are read that are neither plain text nor codes."""
    date = partial(_parse_date, formats)
    moment = partial(_parse_moment, formats, zone)
    shared: dict[str, Parse] = {"as_at": moment, "organisation": parse_ods_code}
    kinds: dict[str, dict[str, Parse]] = {
        "client_record": {
            "nhs_number": parse_nhs_number,
            "nhs_number_traced_on": date,
            "name.given": given_names,
            "name.family": clean_name,
            "name.full": full_name,
            "name.previous_family": clean_name,
            "name.known_as": given_names,
            "birth_date": date,
            "death_date": date,
            "address.postcode": parse_postcode,
            "address.uprn": parse_uprn,
            "previous_address.postcode": parse_postcode,
            "gp_practice": parse_ods_code,
        },
        "care_item": {
            "start": partial(_parse_either, formats, zone),
            "end": partial(_parse_either, formats, zone),
            "recorded_at": moment,
        },
        "staff": {"start": date, "end": date},
    }
    return shared | kinds[kind]


def _parse_date(formats: tuple[str, ...], text: str) -> Any:
    return parse_partial_date(text, formats)


def _parse_moment(formats: tuple[str, ...], zone: ZoneInfo, text: str) -> Any:
    return parse_instant(text, formats, zone)


def _parse_either(formats: tuple[str, ...], zone: ZoneInfo, text: str) -> Any:
    return parse_when(text, formats, zone)


class RowFields(ABC):
    """The fields of one kind of file, and how a row of them is read.

    Attributes:
        vital: fields without which, if sent, a row is not loaded.
        plan: where each field stands.
    """

    vital: ClassVar[frozenset[str]]

    def __init__(self, header: Sequence[str], settings: Mapped, source: SourceSettings) -> None:
        """Raises: FeedRefused (`missing_column`)."""
        zone = ZoneInfo(source.time_zone)
        parsers = _parsers(settings.kind, settings.date_formats, zone)
        self.plan = plan = RowPlan(header, settings, parsers)
        self._as_at = plan.slot("as_at")
        self._details = plan.open_slots("detail.")

    def withdrawal(self, values: Values) -> Withdrawal | None:
        """What a row takes back; None for one that says something. Raises: Unfit."""
        del values
        return None

    def identity_change(self, values: Values) -> IdentityChanged | None:
        """The protected change of identity that a row declares beside what it says; mostly none."""
        del values
        return None

    @abstractmethod
    def unit(self, values: Values, unread: Unread) -> Any:
        """What a row says. Keeps what it uses of `unread`. Raises: Unfit."""

    def check(self, unread: Unread) -> None:
        """That all that could not be read can be done without. Raises: Unfit."""
        for field, text in unread.items():
            if field in self.vital:
                why = self.plan.why(field, text)
                raise Unfit(field, "bad_value", f"{field}: {why}; {SWAPPED}")

    def as_at(self, values: Values) -> Instant | None:
        """When the row says that it stood so."""
        stood: Instant | None = values[self._as_at]
        return stood

    def details(self, values: Values) -> dict[str, Any]:
        """The fields `detail.NAME` that have a value, by name."""
        return {name: text for name, slot in self._details if (text := values[slot])}
