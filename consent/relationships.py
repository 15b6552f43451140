"""Legitimate relationships, read from care items: who cares for the person, from when to when.

Rules:
- A relationship is of the organisation that holds the item: its staff, in their roles.
- It lasts as long as the item says, and a while longer to write things up (`LASTING`); an item
  that never ends lasts no longer than `longest` days.
- A cancelled item makes no relationship, nor does one without a beginning.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from consent.terms import first_day, last_day, moved
from schemas.dates import Instant, PartialDate
from schemas.identifiers import OdsCode
from schemas.items import CareItem, Heading
from schemas.sharing import Relationship, RelationshipKind


@dataclass(frozen=True)
class Lasting:
    """How long a relationship lasts. Days.

    Attributes:
        before: so long before the item begins; after: so long after it ends.
        longest: so long after its beginning an item without an end lasts; None for open ends.
    """

    kind: RelationshipKind
    before: int
    after: int
    longest: int | None


LASTING: dict[Heading, Lasting] = {
    Heading.REGISTRATION: Lasting(RelationshipKind.REGISTRATION, 0, 0, None),
    Heading.ADMISSION: Lasting(RelationshipKind.ADMISSION, 14, 90, 365),
    Heading.ENCOUNTER: Lasting(RelationshipKind.ENCOUNTER, 0, 90, 90),
    Heading.APPOINTMENT: Lasting(RelationshipKind.APPOINTMENT, 14, 90, 90),
    Heading.REFERRAL: Lasting(RelationshipKind.REFERRAL, 0, 90, 365),
    Heading.CASELOAD: Lasting(RelationshipKind.CASELOAD, 0, 90, None),
}
"""Heading → how long the relationship lasts that its items make."""

VOID = frozenset(
    {
        "cancelled", "entered-in-error", "noshow", "proposed", "revoked", "rejected", "draft",
        "not-accepted", "nullified",
    }
)  # fmt: skip
"""States of an item that make no relationship."""
CLAIM_DAYS = 7
"""For so long a claimed relationship lasts."""


def from_item(item: CareItem, custodian: OdsCode | None) -> tuple[Relationship, ...]:
    """The relationship that an item makes; none for most.

    Args: `custodian`: the organisation that holds it, None where nobody is named.
    """
    lasting = LASTING.get(item.heading)
    if lasting is None or custodian is None or item.start is None:
        return ()
    if (item.status or "").casefold() in VOID:
        return ()
    return (
        Relationship(
            kind=lasting.kind,
            organisation=custodian,
            start=_from(item.start[:10], -lasting.before),
            end=_end(item, lasting),
            basis=item.heading,
        ),
    )


def _end(item: CareItem, lasting: Lasting) -> PartialDate | None:
    if item.end is not None:
        return _until(item.end[:10], lasting.after)
    if lasting.longest is None or item.start is None:
        return None
    return _until(item.start[:10], lasting.longest)


@lru_cache(maxsize=16_384)
def _from(day: str, days: int) -> PartialDate:
    """So many days after the first that a partial date can mean."""
    return _day(moved(first_day(PartialDate(day)), days))


@lru_cache(maxsize=16_384)
def _until(day: str, days: int) -> PartialDate:
    """So many days after the last that a partial date can mean."""
    return _day(moved(last_day(PartialDate(day)), days))


def _day(value: date) -> PartialDate:
    return PartialDate(value.isoformat())


def claimed(organisation: OdsCode, staff_id: str, at: Instant) -> Relationship:
    """A relationship that a member of staff claims, from now on, for `CLAIM_DAYS` days."""
    return Relationship(
        kind=RelationshipKind.CLAIMED,
        organisation=organisation,
        staff_id=staff_id,
        start=at,
        end=_day(date.fromisoformat(at[:10]) + timedelta(days=CLAIM_DAYS)),
    )
