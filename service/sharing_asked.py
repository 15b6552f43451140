"""What can be asked of sharing, and how it is answered. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from consent.shared import Locator, SharedRecord
from linkage.grades import Grade
from schemas.dates import PartialDate
from service.audit_ports import Numbered
from service.matching import Caution

Days = tuple[PartialDate | None, PartialDate | None]
"""From and until a day, both included; an open end is None."""

LOCATORS: dict[str, Locator] = {
    "given": Locator.NAME,
    "family": Locator.NAME,
    "name_text": Locator.NAME,
    "birth_date": Locator.BIRTH_DATE,
    "death": Locator.BIRTH_DATE,
    "gender": Locator.GENDER,
    "nhs_number": Locator.NUMBER,
    "identifier": Locator.NUMBER,
    "postcode": Locator.POSTCODE,
    "address": Locator.ADDRESS,
    "phone": Locator.TELECOM,
    "email": Locator.TELECOM,
    "gp_practice": Locator.PRACTICE,
}
"""Field of a question → by what it looks for a person."""


@dataclass(frozen=True)
class PersonQuery:
    """A search for persons.

    Attributes:
        fields: of `service.matching.SEARCHABLE`; names and postcodes may hold `*`.
        born, died: spans of days. fuzzy, exact, history, max_results: see service.matching.search.
    """

    fields: Mapping[str, Any]
    born: Days = (None, None)
    died: Days = (None, None)
    fuzzy: bool = False
    exact: bool = False
    history: bool = False
    max_results: int | None = None

    def locators(self) -> frozenset[Locator]:
        """By what it looks for persons."""
        dates = {Locator.BIRTH_DATE} if any((*self.born, *self.died)) else set()
        return frozenset({LOCATORS[name] for name in self.fields if name in LOCATORS} | dates)


@dataclass(frozen=True)
class Matched:
    """One person found: what may be shown of them, how well they fit (0 to 1)."""

    record: SharedRecord
    score: float
    grade: Grade | None = None


@dataclass(frozen=True)
class Matches:
    """The persons found, the best first. Where there were too many, none is shown."""

    persons: tuple[Matched, ...]
    too_many: bool = False
    cautions: tuple[Caution, ...] = field(default=())


@dataclass(frozen=True)
class ItemPage:
    """A page of a person's items.

    Attributes:
        total: items that may be seen, on all pages. next: where the next page begins, if any.
    """

    record: SharedRecord
    total: int
    next: int | None


@dataclass(frozen=True)
class EventPage:
    """A page of audit events, the newest first.

    Attributes:
        total: how many meet the question; those too whose time to be kept was over.
        next: the leaf behind which the next page begins, if any.
    """

    events: tuple[Numbered, ...]
    total: int
    next: int | None
