"""Bundles: entries, totals, paging links. Addresses in them name opaque ids and sealed cursors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from schemas.fhir_items import Resource


def entry(base: str, held: Resource, mode: str = "match", **search: Any) -> Resource:
    """One entry of a searchset. `mode` is match, include or outcome; `search` adds a score."""
    made: Resource = {"resource": held, "search": {"mode": mode, **search}}
    if "id" in held and mode != "outcome":
        made["fullUrl"] = f"{base}/{held['resourceType']}/{held['id']}"
    return made


def searchset(
    entries: Iterable[Resource], *, total: int | None, links: Sequence[tuple[str, str]]
) -> Resource:
    """A searchset.

    Args:
        total: how many matches there are over all pages; None where none is told.
        links: relation and address.
    """
    listed = list(entries)
    bundle: Resource = {"resourceType": "Bundle", "type": "searchset"}
    if links:
        bundle["link"] = [{"relation": relation, "url": url} for relation, url in links]
    if total is not None:
        bundle["total"] = total
    if listed:
        bundle["entry"] = listed
    return bundle
