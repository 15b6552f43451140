"""What the event of a look tells beside who and whom: on what it rested, what of the record it was.

Rules:
- Codes, counts and opaque keys alone (audit/details.py): no value of anybody's.
- What was shown is told by the record as it was shown: what redaction left out is not among it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from consent.facts import tied
from consent.relationships import LASTING, from_item
from consent.shared import LOCATING, Locator, Permit, ReadDecision, Refusal, SharedRecord
from schemas.dates import Instant
from schemas.items import Heading
from schemas.sharing import PERSONAL, AccessClass, Category, RelationshipKind
from service.sharing_open import PROXY, Known
from service.sharing_ports import ClaimKind

NO_BASIS = ("none", None)
_ORDER = {
    kind.value: place
    for place, kind in enumerate(
        (
            RelationshipKind.ADMISSION,
            RelationshipKind.CASELOAD,
            RelationshipKind.APPOINTMENT,
            RelationshipKind.ENCOUNTER,
            RelationshipKind.REFERRAL,
            RelationshipKind.REGISTRATION,
        )
    )
}
"""Where several relationships hold, which is told: the closest to care given now."""


def basis_of(known: Known, at: Instant) -> tuple[str, str | None]:
    """On what a look at the person rests: its kind and an opaque key of what says so.

    Relationships that a system knows of come before what somebody declared.
    """
    asks, facts = known.requester, known.facts
    if asks.subject is not None and asks.subject == facts.person:
        return ("proxy" if asks.role == PROXY else "subject"), None
    ties = sorted(_ties(known, at), key=lambda one: (_ORDER[one[0]], one[1]))
    if ties:
        return ties[0]
    for kind, word in ((ClaimKind.BREAK_GLASS, "break-glass"), (ClaimKind.RELATIONSHIP, "claimed")):
        mine = [
            one.claim_id
            for one in known.view.claims
            if one.kind is kind
            and one.staff_id == asks.staff_id
            and one.organisation == asks.organisation
            and one.made_at <= at < one.expires_at
        ]
        if mine:
            return word, f"claim-{max(mine)}"
    if asks.emergency_declared:
        return "declared", None
    return ("investigation", None) if asks.staff_id in facts.investigators else NO_BASIS


def _ties(known: Known, at: Instant) -> Iterator[tuple[str, str]]:
    """Relationships of the requester that hold now and that a system knows of."""
    asks = known.requester
    for one in known.open.values():
        if one.item.heading in LASTING and one.custodian == asks.organisation:
            for tie in from_item(one.item, one.custodian):
                if tied(tie, asks, at):
                    yield tie.kind.value, one.held.name
    registered = any(
        tie.kind is RelationshipKind.REGISTRATION and tied(tie, asks, at)
        for tie in known.relationships
    )
    if registered:
        for held, record in zip(known.demographics, known.view.records, strict=True):
            if held.custodian == asks.organisation:
                yield RelationshipKind.REGISTRATION.value, f"record-{record.record_id}"


def told_of_look(
    known: Known,
    decision: ReadDecision,
    headings: Collection[Heading] | None,
    at: Instant,
    shared: SharedRecord | None,
    *,
    who: bool,
) -> dict[str, Any]:
    """Details of the event of a look.

    Args:
        headings: those asked for; None for all.
        shared: what is shown; None where nothing is.
        who: whether the person's demographics are shown too.
    """
    kind, key = basis_of(known, at)
    told: dict[str, Any] = {
        "relationship": kind,
        "basis": key,
        "states": list(decision.labels) or None,
        "refused": _refused(known, decision, headings) or None,
    }
    return told if shared is None else told | _shown(known, decision, shared, who=who)


def _refused(
    known: Known, decision: ReadDecision, headings: Collection[Heading] | None
) -> list[str]:
    """Categories that are held, were asked for, and may not be seen, or not all of them."""
    if isinstance(decision.opening, Refusal):
        return []
    asked = None if headings is None else {Category(one.value) for one in headings} | PERSONAL
    return sorted(
        {
            known.classes[key].category.value
            for key, one in decision.classes.items()
            if isinstance(one, Refusal) and (asked is None or known.classes[key].category in asked)
        }
    )


def _shown(
    known: Known, decision: ReadDecision, shared: SharedRecord, *, who: bool
) -> dict[str, Any]:
    rows = {one.name: one.care_item_id for one in known.view.items}
    classes: list[AccessClass] = [
        known.classes[known.class_of[rows[one.item_key]]] for one in shared.items
    ]
    categories = {one.category for one in classes}
    custodians = {one.custodian for one in shared.items}
    if who and shared.demographics:
        categories.add(Category.DEMOGRAPHICS)
        custodians |= {one.custodian for one in shared.demographics}
        if any(one.addresses or one.telecoms or one.gp_practice for one in shared.demographics):
            categories.add(Category.WHEREABOUTS)
    labels = {label.value for one in classes for label in one.labels}
    mine = known.requester.organisation
    sealed = sum(isinstance(decision.items.get(one.item_key), Permit) for one in shared.items)
    return {
        "categories": sorted(one.value for one in categories) or None,
        "custodians": sorted(one for one in custodians if one is not None) or None,
        "labels": sorted(labels) or None,
        "sensitive": any(one.labels and one.custodian != mine for one in classes) or None,
        "sealed": sealed or None,
        "flags": len(shared.flags) or None,
    }


def told_of_search(locators: Collection[Locator]) -> dict[str, Any]:
    """Details of the event of a search: by what it looked for people, without a value."""
    located = any(one in LOCATING for one in locators)
    return {"by": sorted(one.value for one in locators), "located": located or None}
