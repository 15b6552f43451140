"""Which of a person's items a page shows: chosen by what was decided, then by what was asked for.

Rules:
- An item that may not be seen is neither opened for the page nor counted.
- Newest first, by when an item begins (else was recorded), then by its name; undated ones last.
- Items are sorted and searched as they are shown: what is left out of one is not found by asking.
- What silence means does not hang on what was asked for: an item that a search leaves aside is not
  an item that its source does not have.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from consent.redact import as_shown
from consent.shared import Obligation, Permit, ReadDecision, Refusal, Tell
from consent.silences import says_none
from schemas.held import HeldItem
from schemas.identifiers import SourceId
from schemas.items import HEADINGS, CareItem, Heading
from service.sharing_open import Known, Opener
from service.sharing_ports import SealedItem

_TYPES = frozenset(name for spec in HEADINGS.values() for name in spec.fhir_types)
"""Types that items are written as; an empty List is told as what silence means."""


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
        present: source and heading of all that may be seen, asked for or not.
        none_said: those by which a source says that it has none.
    """

    page: list[HeldItem]
    total: int
    next: int | None
    present: frozenset[tuple[SourceId, Heading]]
    none_said: list[HeldItem]


def may_be_seen(known: Known, decision: ReadDecision, item: SealedItem) -> bool:
    """Whether the decision lets an item through."""
    return (
        known.class_of[item.care_item_id] in decision.permitted
        and item.name not in decision.hidden_items
    )


def refusal_of(known: Known, decision: ReadDecision, item: SealedItem) -> Refusal | None:
    """Why an item may not be seen, None where it may. Of a restricted person it names no custodian:
    that would give a place away."""
    strip = Obligation.STRIP_PLACES in decision.obligations
    for one in (
        decision.opening,
        decision.classes[known.class_of[item.care_item_id]],
        decision.items.get(item.name),
    ):
        if isinstance(one, Refusal):
            ring = replace(one.ring, organisation=None) if one.ring and strip else one.ring
            return replace(one, ring=ring)
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
    opened = opener.held_items(known, seen)
    write = as_shown(decision, known.demographics)
    none_said: list[HeldItem] = []
    present: set[tuple[SourceId, Heading]] = set()
    found: list[tuple[str, HeldItem]] = []
    for one in opened:
        if says_none(one.item):
            none_said.append(one)
        else:
            present.add((one.source, one.item.heading))
        shown = write(one)
        if wanted.fits(shown) and (wanted.types is None or written_as(one.item) in _TYPES):
            found.append((shown.start or shown.recorded_at or "", one))
    found.sort(key=lambda pair: pair[1].item_key)
    found.sort(key=lambda pair: pair[0], reverse=True)
    held = [one for _, one in found]
    if wanted.count is None:
        return Picked(held, len(held), None, frozenset(present), none_said)
    end = wanted.offset + wanted.count
    more = end if wanted.count and end < len(held) else None
    return Picked(held[wanted.offset : end], len(held), more, frozenset(present), none_said)


def tellable(known: Known, decision: ReadDecision) -> ReadDecision:
    """The decision, with nothing said of single items that must not be known of: those of a class
    that is refused silently, and those that the person does not have under these headings."""
    silent = {key for key, one in decision.classes.items() if _silent(one)}
    class_of = {one.name: known.class_of[one.care_item_id] for one in known.view.items}
    items = {
        key: one
        for key, one in decision.items.items()
        if key in class_of and class_of[key] not in silent
    }
    return decision if len(items) == len(decision.items) else replace(decision, items=items)


def _silent(decision: Permit | Refusal) -> bool:
    return isinstance(decision, Refusal) and decision.tell is Tell.SILENT
