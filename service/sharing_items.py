"""Which of a person's items a page shows: chosen by what was decided, then by what was asked for.

Rules:
- An item that may not be seen is neither opened for the page nor counted.
- Newest first, by when an item begins (else was recorded, else stood so), then by its name.
"""

from __future__ import annotations

from dataclasses import dataclass

from consent.shared import ReadDecision, Refusal
from schemas.held import HeldItem
from schemas.identifiers import SourceId
from schemas.items import HEADINGS, CareItem, Heading
from service.sharing_open import Known, Opener
from service.sharing_ports import SealedItem


@dataclass(frozen=True)
class Wanted:
    """What of the permitted items is asked for; see service.sharing.Sharing.items.

    Attributes:
        count: items of a page; None for all.
    """

    types: frozenset[str] | None = None
    offset: int = 0
    count: int | None = 50
    status: str | None = None
    since: str | None = None
    until: str | None = None
    code: str | None = None

    def fits(self, item: CareItem) -> bool:
        """Whether an item is asked for."""
        begins = item.start or item.recorded_at
        return (
            (self.types is None or written_as(item) in self.types)
            and (self.status is None or item.status == self.status)
            and (self.since is None or (begins is not None and begins >= self.since))
            and (
                self.until is None
                or (begins is not None and begins[: len(self.until)] <= self.until)
            )
            and (self.code is None or _coded(item, self.code))
        )


def written_as(item: CareItem) -> str:
    """The FHIR resource type that an item is written as."""
    if item.original is not None and isinstance(item.original.get("resourceType"), str):
        return str(item.original["resourceType"])
    return next(iter(HEADINGS[item.heading].fhir_types), "")


def _coded(item: CareItem, asked: str) -> bool:
    system, bar, code = asked.rpartition("|")
    return any(one.code == code and (not bar or (one.system or "") == system) for one in item.codes)


@dataclass(frozen=True)
class Picked:
    """A page of items.

    Attributes:
        total: how many may be seen that were asked for; next: offset of the next page.
        present: source and heading of all of them.
    """

    page: list[HeldItem]
    total: int
    next: int | None
    present: frozenset[tuple[SourceId, Heading]]


def may_be_seen(known: Known, decision: ReadDecision, item: SealedItem) -> bool:
    """Whether the decision lets an item through."""
    return (
        known.class_of[item.care_item_id] in decision.permitted
        and item.name not in decision.hidden_items
    )


def refusal_of(known: Known, decision: ReadDecision, item: SealedItem) -> Refusal | None:
    """Why an item may not be seen, None where it may."""
    for one in (
        decision.opening,
        decision.classes[known.class_of[item.care_item_id]],
        decision.items.get(item.name),
    ):
        if isinstance(one, Refusal):
            return one
    return None


def pick(
    opener: Opener,
    known: Known,
    decision: ReadDecision,
    headings: frozenset[Heading] | None,
    wanted: Wanted,
) -> Picked:
    """The page that is asked for, of what may be seen."""
    seen = [
        one
        for one in known.view.items
        if (headings is None or one.heading in headings) and may_be_seen(known, decision, one)
    ]
    held = [one for one in opener.held_items(known, seen) if wanted.fits(one.item)]
    as_at = {one.name: one.as_at for one in seen}
    held.sort(key=lambda one: one.item_key)
    held.sort(
        key=lambda one: one.item.start or one.item.recorded_at or as_at[one.item_key], reverse=True
    )
    present = frozenset((one.source, one.item.heading) for one in held)
    if wanted.count is None:
        return Picked(held, len(held), None, present)
    end = wanted.offset + wanted.count
    more = end if wanted.count and end < len(held) else None
    return Picked(held[wanted.offset : end], len(held), more, present)
