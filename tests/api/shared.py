"""Shared records for tests of rendering, built as everywhere: by consent.redact from a decision."""

from __future__ import annotations

from typing import Any

from consent.redact import redact_read
from consent.shared import Obligation, Permit, ReadDecision, SharedRecord
from schemas.dates import Instant
from schemas.held import FeedState, HeldDemographics, HeldItem, SourceView
from schemas.identifiers import OdsCode, PersonId, SourceId
from schemas.items import CareItem, Heading
from schemas.records import ClientRecord
from schemas.sharing import AccessClass, Category, ClassId

AT = Instant("2026-03-01T12:00:00Z")
RECEIVED = Instant("2026-03-01T06:00:00Z")
PERSON = PersonId("p0123456789abcdef")
TRUST = OdsCode("RA7")


def shared(
    *items: CareItem,
    records: dict[str, ClientRecord] | None = None,
    source: str = "pas",
    sources: dict[str, FeedState] | None = None,
    obligations: frozenset[Obligation] = frozenset(),
    labels: tuple[str, ...] = (),
    headings: frozenset[Heading] | None = None,
    present: Any = frozenset(),
    **changes: Any,
) -> SharedRecord:
    """A record of which everything may be seen."""
    names = {source, *(records or {}), *(sources or {})}
    categories = {item.heading for item in items}
    classes = {
        ClassId(n): AccessClass(Category(category), SourceId(name), TRUST)
        for n, (category, name) in enumerate(
            (category, name)
            for category in sorted({"demographics", "whereabouts", *categories})
            for name in sorted(names)
        )
    }
    number = {(held.category.value, held.source): key for key, held in classes.items()}
    held_items = [
        HeldItem(
            item_key=f"k{n:025}", item=item, source=SourceId(source), custodian=TRUST,
            class_id=number[item.heading.value, SourceId(source)], received_at=RECEIVED, **changes,
        )
        for n, item in enumerate(items)
    ]  # fmt: skip
    held_records = [
        HeldDemographics(
            record=record, source=SourceId(name), custodian=TRUST, as_at=RECEIVED,
            received_at=RECEIVED, demographics=number["demographics", SourceId(name)],
            whereabouts=number["whereabouts", SourceId(name)],
        )
        for name, record in (records or {}).items()
    ]  # fmt: skip
    permit = Permit(("all",), ("Everything may be seen.",))
    decision = ReadDecision(
        PERSON, permit, dict.fromkeys(classes, permit), {}, permit, obligations, labels
    )
    views = [
        SourceView(
            source=SourceId(name), custodians=(TRUST,), headings=frozenset(Heading),
            state=(sources or {}).get(name, FeedState.CURRENT), since=RECEIVED,
        )
        for name in sorted(names)
    ]  # fmt: skip
    record = redact_read(
        decision, held_records, held_items, views, classes, AT, headings=headings, present=present
    )
    assert record is not None
    return record
