"""Wishes as feeds and FHIR send them, read into directives.

Rules:
- A practice's dissent code stands until a later consent code of the same kind takes it back:
  `standing` works that out over all of a person's preferences.
- A FHIR Consent of a feed that denies, in whatever detail, is taken for a denial of the whole: a
  detail that cannot be kept must not open what the person closed.
- What cannot be read as a wish that is honoured here makes none, and is kept as an item
  of the heading sharing preferences, to be read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from schemas.dates import PartialDate
from schemas.items import CareItem, Heading
from schemas.sharing import Directive, DirectiveKind, Effect


@dataclass(frozen=True)
class Meaning:
    """What a code says: that a wish of a kind begins, or ends."""

    kind: DirectiveKind
    begins: bool


CODES: dict[str, Meaning] = {
    # Read v2 and CTV3: consent to, and dissent from, the local shared electronic record, and
    # electronic record sharing as a whole.
    "93C1": Meaning(DirectiveKind.GP_DISSENT, True),
    "XaKRw": Meaning(DirectiveKind.GP_DISSENT, True),
    "9Nd1": Meaning(DirectiveKind.GP_DISSENT, True),
    "XaKII": Meaning(DirectiveKind.GP_DISSENT, True),
    "93C0": Meaning(DirectiveKind.GP_DISSENT, False),
    "XaKRv": Meaning(DirectiveKind.GP_DISSENT, False),
    # Read v2 and CTV3: dissent from secondary use of what the practice holds (Type 1).
    "9Nu0": Meaning(DirectiveKind.TYPE_1, True),
    "XaZ89": Meaning(DirectiveKind.TYPE_1, True),
    "9Nu1": Meaning(DirectiveKind.TYPE_1, False),
    "XaZ8A": Meaning(DirectiveKind.TYPE_1, False),
    # SNOMED CT: the same, as practices send them today.
    "416409005": Meaning(DirectiveKind.GP_DISSENT, True),
    "417528008": Meaning(DirectiveKind.GP_DISSENT, False),
    "827241000000103": Meaning(DirectiveKind.TYPE_1, True),
    "827261000000102": Meaning(DirectiveKind.TYPE_1, False),
}
"""Code → what it says (UK SNOMED CT subset 43961000000137, Read v2 chapters 93C and 9Nd to 9Nu).
Read codes are compared without their trailing dots. What is said of the national shared record
alone (93C2, 93C3, 417370002, 416308001) neither begins nor ends a wish about this one, and consent
to sharing in general (9Nd7, 425691002) ends no refusal of it."""

_SCOPES: dict[str, DirectiveKind] = {
    "patient-privacy": DirectiveKind.GP_DISSENT,
    "research": DirectiveKind.NATIONAL_DATA_OPT_OUT,
}
"""Scope of a FHIR Consent → what its denial is."""
_VOID = frozenset({"entered-in-error", "rejected", "proposed", "draft"})


def meaning_of(item: CareItem) -> Meaning | None:
    """What a sharing preference says, None where that is not known here."""
    if item.heading is not Heading.SHARING_PREFERENCE:
        return None
    if (item.status or "").casefold() in _VOID:
        return None
    for one in item.codes:
        meaning = CODES.get(one.code.rstrip("."))
        if meaning is not None:
            return meaning
    return _of_consent(item.original or {})


def _of_consent(resource: dict[str, Any]) -> Meaning | None:
    """What a FHIR Consent says where no code does."""
    if resource.get("resourceType") != "Consent":
        return None
    provision, rule = resource.get("provision") or {}, _codes(resource.get("policyRule"))
    denies = provision.get("type") == "deny" or "OPTOUT" in rule
    permits = provision.get("type") == "permit" or "OPTIN" in rule
    kind = _SCOPES.get(next(iter(sorted(_codes(resource.get("scope")))), ""))
    if kind is None or not (denies or permits):
        return None
    return Meaning(kind, denies)


def _codes(concept: Any) -> set[str]:
    held = concept.get("coding") if isinstance(concept, dict) else None
    return {str(one.get("code")) for one in held or () if isinstance(one, dict)}


def standing(preferences: Iterable[tuple[str, CareItem]]) -> tuple[Directive, ...]:
    """The wishes that stand by a person's sharing preferences, of one source.

    Args: item key and item, in any order. The latest of a kind counts; of two on one day, and of
        one without a date, the dissent.
    """
    latest: dict[DirectiveKind, tuple[tuple[str, bool], str, CareItem]] = {}
    for key, item in preferences:
        meaning = meaning_of(item)
        if meaning is None:
            continue
        when = item.start or item.recorded_at
        rank = (when[:10] if when else "9999", meaning.begins)
        if meaning.kind not in latest or latest[meaning.kind][0] < rank:
            latest[meaning.kind] = (rank, key, item)
    return tuple(
        _directive(kind, key, item) for kind, (rank, key, item) in sorted(latest.items()) if rank[1]
    )


def _directive(kind: DirectiveKind, key: str, item: CareItem) -> Directive:
    start = item.start or item.recorded_at or "1900"
    return Directive(
        directive_id=f"feed-{key}",
        kind=kind,
        effect=Effect.DENY,
        start=PartialDate(start[:10]),
        end=PartialDate(item.end[:10]) if item.end else None,
        made_by="gp feed",
    )
