"""Statutory safeguarding flags, read from care items: which plan, whose, from when to when."""

from __future__ import annotations

from schemas.dates import PartialDate
from schemas.held import FlagKind, SafeguardingFlag
from schemas.identifiers import OdsCode
from schemas.items import CareItem, Heading

CODES: dict[str, FlagKind] = {
    "342191000000101": FlagKind.CHILD_PROTECTION_PLAN,
    "764841000000100": FlagKind.LOOKED_AFTER_CHILD,
    "818901000000100": FlagKind.UNBORN_CHILD_PLAN,
    "cpp": FlagKind.CHILD_PROTECTION_PLAN,
    "child-protection-plan": FlagKind.CHILD_PROTECTION_PLAN,
    "lac": FlagKind.LOOKED_AFTER_CHILD,
    "looked-after-child": FlagKind.LOOKED_AFTER_CHILD,
    "ucpp": FlagKind.UNBORN_CHILD_PLAN,
    "unborn": FlagKind.UNBORN_CHILD_PLAN,
}
"""Codes, folded → flag. Numbers: SNOMED CT, as Child Protection - Information Sharing uses them."""

WORDS: tuple[tuple[str, FlagKind], ...] = (
    ("unborn", FlagKind.UNBORN_CHILD_PLAN),
    ("child protection plan", FlagKind.CHILD_PROTECTION_PLAN),
    ("looked after child", FlagKind.LOOKED_AFTER_CHILD),
)
"""Words, folded, that say it where no code does; the first that is found counts."""

VOID = frozenset({"entered-in-error", "cancelled"})


def from_item(item: CareItem, custodian: OdsCode | None) -> SafeguardingFlag | None:
    """The flag that a safeguarding item is; None where it is another thing. An item without a
    beginning stands from when it was recorded, or has always stood."""
    if item.heading is not Heading.SAFEGUARDING or custodian is None:
        return None
    if (item.status or "").casefold() in VOID:
        return None
    kind = _kind(item)
    if kind is None:
        return None
    start = item.start or item.recorded_at or "1900"
    end = PartialDate(item.end[:10]) if item.end else None
    return SafeguardingFlag(kind, custodian, PartialDate(start[:10]), end)


def _kind(item: CareItem) -> FlagKind | None:
    for one in item.codes:
        if one.code.casefold() in CODES:
            return CODES[one.code.casefold()]
    texts = " ".join([item.text or "", *(one.display or "" for one in item.codes)])
    folded = " ".join(texts.casefold().replace("-", " ").split())
    return next((kind for words, kind in WORDS if words in folded), None)
