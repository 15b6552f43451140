"""`_summary` and `_elements`: how much of each resource is shown. What is shown so is tagged.

What always stays: resourceType, id, meta, and what the type requires. The elements of a summary are
those that FHIR R4 marks so (a table; a test compares it with the library's models).
"""

from __future__ import annotations

from collections.abc import Callable

from api.outcomes import Refused
from api.summaries import REQUIRED, SUMMARIES
from schemas.fhir_items import TERMINOLOGY, Resource

_ALWAYS = frozenset({"resourceType", "id", "meta", "implicitRules"})
_SUBSETTED = {"system": f"{TERMINOLOGY}/v3-ObservationValue", "code": "SUBSETTED"}
_UNSHAPED = frozenset({"OperationOutcome", "Parameters", "CapabilityStatement"})


def shaped(held: Resource, summary: str | None, elements: tuple[str, ...]) -> Resource:
    """A resource, or the matches of a Bundle, as far as asked for. Raises: Refused."""
    if elements and summary not in (None, "false"):
        raise Refused("INVALID_SEARCH_DATA", "_elements and _summary do not go together")
    if not elements and summary in (None, "false"):
        return held
    if held["resourceType"] == "Bundle":
        return _bundle(held, summary, elements)
    return _one(held, _keeps(summary, elements))


def _bundle(held: Resource, summary: str | None, elements: tuple[str, ...]) -> Resource:
    if summary == "count":
        return {key: value for key, value in held.items() if key not in ("entry", "link")}
    keeps = _keeps(summary, elements)
    entries = [
        {**entry, "resource": _one(entry["resource"], keeps)}
        if entry.get("search", {}).get("mode") != "outcome"
        else entry
        for entry in held.get("entry", ())
    ]
    return held | ({"entry": entries} if entries else {})


def _keeps(summary: str | None, elements: tuple[str, ...]) -> Callable[[str, str], bool]:
    def named(kind: str, name: str) -> bool:
        return name in elements or name in REQUIRED.get(kind, ())

    def in_summary(kind: str, name: str) -> bool:
        return name in SUMMARIES.get(kind, ()) or name in REQUIRED.get(kind, ())

    def required(kind: str, name: str) -> bool:
        return name in REQUIRED.get(kind, ())

    def data(_: str, name: str) -> bool:
        return name != "text"

    if elements:
        return named
    return {"true": in_summary, "text": required, "count": required, "data": data}[summary or ""]


def _one(held: Resource, keeps: Callable[[str, str], bool]) -> Resource:
    kind = held["resourceType"]
    if kind in _UNSHAPED:
        return held
    kept = {
        name: value
        for name, value in held.items()
        if name in _ALWAYS or keeps(kind, name.lstrip("_"))
    }
    if len(kept) < len(held):
        meta = dict(kept.get("meta", {}))
        meta["tag"] = [*meta.get("tag", ()), _SUBSETTED]
        kept["meta"] = meta
    return kept
