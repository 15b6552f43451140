"""One page of a FHIR search: a Bundle of type searchset, as lines of resources. No I/O.

Rules:
- Resources are passed on byte for byte, but for line ends between their parts: what is wrong within
  one is for the reader of feeds to say.
- Messages of the server (entries of mode "outcome", OperationOutcomes) are no data: left out and
  counted. So are entries without a resource.
- What is not a searchset is none: a message says so, and nothing of what came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from adapters.fhir_values import instant
from schemas.dates import Instant

_MEDIA_TYPES = frozenset({"application/json", "text/json"})


@dataclass(frozen=True)
class Page:
    """What a page holds.

    Attributes:
        fault: why it cannot be used, or ''.
        lines: the resources, a line each.
        resources: how many they are.
        newest, oldest: the latest and the first `meta.lastUpdated` among them, if any has one.
        ordered: whether each has one, and none is later than the one before.
        tail: how many bytes the last of the lines have whose `meta.lastUpdated` is `oldest`.
        next: the address of the page that follows, as told; None: there is none.
        outcomes, empty: how many entries were left out, as messages and for want of a resource.
    """

    fault: str = ""
    lines: bytes = b""
    resources: int = 0
    newest: Instant | None = None
    oldest: Instant | None = None
    ordered: bool = True
    tail: int = 0
    next: str | None = None
    outcomes: int = 0
    empty: int = 0


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"")
    search: Any = None


class _Bundle(msgspec.Struct):
    resourceType: Any = None  # noqa: N815 - as FHIR spells it
    type: Any = None
    link: list[dict[str, Any]] | None = None
    entry: list[_Entry] | None = None


class _Resource(msgspec.Struct):
    resourceType: Any = None  # noqa: N815
    meta: Any = None


_BUNDLE = msgspec.json.Decoder(_Bundle)
_RESOURCE = msgspec.json.Decoder(_Resource)
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
"""Within a text of JSON there is neither."""


def read_page(body: bytes, media_type: str) -> Page:
    """The page that a server sent."""
    if media_type not in _MEDIA_TYPES and not media_type.endswith("+json"):
        return Page("a page is not JSON: expected application/fhir+json")
    try:
        bundle = _BUNDLE.decode(body)
        followed = _next(bundle.link or [])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Page("a page is not well-formed JSON, or no Bundle")
    if (bundle.resourceType, bundle.type) != ("Bundle", "searchset"):
        return Page("a page is no Bundle of type searchset")
    if followed is not None and not isinstance(followed, str):
        return Page("a page's link to the next is no address")
    lines: list[bytes] = []
    stamps: list[Instant | None] = []
    outcomes = empty = 0
    for entry in bundle.entry or []:
        raw = bytes(entry.resource)
        kind, updated = _told(raw)
        if kind == "OperationOutcome" or _mode(entry.search) == "outcome":
            outcomes += 1
        elif not raw.startswith(b"{"):
            empty += 1
        else:
            lines.append(raw.translate(_ONE_LINE) + b"\n")
            stamps.append(updated)
    known = [stamp for stamp in stamps if stamp is not None]
    oldest = min(known, default=None)
    return Page(
        lines=b"".join(lines),
        resources=len(lines),
        newest=max(known, default=None),
        oldest=oldest,
        ordered=stamps == sorted(known, reverse=True),
        tail=sum(len(line) for line, stamp in zip(lines, stamps, strict=True) if stamp == oldest),
        next=followed or None,
        outcomes=outcomes,
        empty=empty,
    )


def _next(links: list[dict[str, Any]]) -> Any:
    return next((link.get("url") for link in links if link.get("relation") == "next"), None)


def _mode(search: Any) -> Any:
    return search.get("mode") if isinstance(search, dict) else None


def _told(raw: bytes) -> tuple[Any, Instant | None]:
    """The type of a resource and when it was last changed, so far as it can be told."""
    try:
        resource = _RESOURCE.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None, None
    meta = resource.meta
    updated = meta.get("lastUpdated") if isinstance(meta, dict) else None
    return resource.resourceType, instant(updated)
