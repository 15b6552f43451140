"""The bytes of a FHIR feed as units: one resource each, with its place.

Rules:
- The form is told by the content: XML; NDJSON when the first line is a JSON object by itself;
  else one JSON document (a resource, a Bundle, a list of either). A file that is no document but
  has lines that are resources is NDJSON with a bad first line.
- A Bundle is an envelope: each entry's resource is a unit, nested Bundles are opened too. A DELETE
  of a transaction is a unit that names what is gone (so bulk exports list deletions); any other
  entry without a resource (a request, a response) is one that is not supported. A Bundle with no
  entries is itself the unit.
- NDJSON is read line by line, in the memory of a line. A document is read whole, up to
  `max_document_bytes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from adapters.feed_bytes import Line, open_feed, read_lines
from adapters.fhir_json import Decoded, decode, decode_document
from adapters.fhir_xml import resource_of_xml
from schemas.columns import canonical_json
from schemas.errors import FeedRefused
from schemas.settings import Limits
from service.ports import FeedFile

_BOM = b"\xef\xbb\xbf"
_MAX_NESTED_BUNDLES = 8
_LINES_TRIED = 1000
"""So many lines of a file that is no document are tried for being resources."""


class Unit(NamedTuple):
    """One unit of a feed.

    Attributes:
        where: its place, for a person.
        raw: its bytes; for a part of a document, its canonical JSON.
        value: the decoded JSON; None where `reason` says why there is none.
        reason, message: why the unit cannot be read, '' if it can.
        full_url: the Bundle's address of it.
        stamp: when the Bundle was put together, as sent.
        suspect: whether doubled keys or NULs must be looked for.
        deleted: the address of a resource that is gone; there is no value then.
    """

    where: str
    raw: bytes
    value: Any
    reason: str = ""
    message: str = ""
    full_url: str | None = None
    stamp: Any = None
    suspect: bool = False
    deleted: str | None = None


def flatten(decoded: Decoded, where: str, raw: bytes | None) -> Iterator[Unit]:
    """The units in a decoded value: itself, or what a list or Bundle holds.

    Args:
        where: the place of the value; entries add theirs.
        raw: the bytes of the value, where it is a unit by itself.
    """
    value = decoded.value
    if isinstance(value, list) and raw is None:
        for number, element in enumerate(value, 1):
            yield from _opened(element, f"element {number}", None, _Envelope(None, decoded.suspect))
        return
    yield from _opened(value, where, raw, _Envelope(None, decoded.suspect))


class _Envelope(NamedTuple):
    stamp: Any
    suspect: bool
    full_url: str | None = None
    depth: int = 0


def _opened(value: Any, where: str, raw: bytes | None, outer: _Envelope) -> Iterator[Unit]:
    entries = value.get("entry") if _is_bundle(value) else None
    if not isinstance(entries, list) or not entries:
        unit_raw = _bytes_of(value) if raw is None else raw
        yield Unit(where, unit_raw, value, "", "", outer.full_url, outer.stamp, outer.suspect)
        return
    if outer.depth == _MAX_NESTED_BUNDLES:
        yield Unit(where, _bytes_of(value), None, "bad_syntax", "Bundles nest too deeply")
        return
    inner = where.removesuffix("the resource")
    for number, entry in enumerate(entries, 1):
        place = f"{inner}, entry {number}" if inner else f"entry {number}"
        if not isinstance(entry, dict):
            message = "expected an object as a Bundle entry"
            yield Unit(place, _bytes_of(entry), None, "bad_resource", message)
        elif (deleted := _deleted(value, entry)) is not None:
            stamp = value.get("timestamp")
            yield Unit(place, _bytes_of(entry), None, stamp=stamp, deleted=deleted)
        elif "resource" not in entry:
            message = "an entry without a resource carries no data"
            yield Unit(place, _bytes_of(entry), None, "not_supported", message)
        else:
            full_url = entry.get("fullUrl")
            envelope = _Envelope(
                value.get("timestamp"),
                outer.suspect,
                full_url if isinstance(full_url, str) else None,
                outer.depth + 1,
            )
            yield from _opened(entry["resource"], place, None, envelope)


def _deleted(bundle: dict[str, Any], entry: dict[str, Any]) -> str | None:
    """The address of the resource that an entry of a transaction deletes; None for any other, and
    where only one version of it goes."""
    request = entry.get("request")
    if bundle.get("type") != "transaction" or "resource" in entry or not isinstance(request, dict):
        return None
    url = request.get("url")
    if request.get("method") != "DELETE" or not isinstance(url, str) or "/_history/" in url:
        return None
    return url


def _is_bundle(value: Any) -> bool:
    return isinstance(value, dict) and value.get("resourceType") == "Bundle"


def _bytes_of(value: Any) -> bytes:
    try:
        return canonical_json(value)
    except (RecursionError, OverflowError):
        return b""


class _Form(Enum):
    LINES = "lines"
    DOCUMENT = "document"


class Head(NamedTuple):
    """What other resources may want to know of one: how it is addressed, who it is."""

    full_url: str | None
    kind: Any
    id: Any
    identifier: Any
    code: Any


class _HeadLine(msgspec.Struct):
    kind: Any = msgspec.field(name="resourceType", default=None)
    id: Any = None
    identifier: Any = None
    code: Any = None


_HEAD_DECODER = msgspec.json.Decoder(_HeadLine)


class FhirFeed:
    """One feed, to be gone through as units, and again as heads. Raises: FeedRefused."""

    def __init__(self, feed: FeedFile, limits: Limits) -> None:
        self._feed, self._limits = feed, limits
        self._document: Decoded | None = None
        if self._form() is _Form.DOCUMENT:
            self._document = self._read_document()

    def units(self) -> Iterator[Unit]:
        """Every unit, in the order of the feed."""
        if self._document is not None:
            yield from flatten(self._document, "the resource", None)
            return
        with open_feed(self._feed.path, self._limits) as stream:
            for line in read_lines(stream, self._limits.max_message_bytes):
                raw = _line_bytes(line)
                if raw and not raw.isspace():
                    yield from self._line_units(line, raw)

    def _line_units(self, line: Line, raw: bytes) -> Iterator[Unit]:
        where = f"line {line.number}"
        if line.too_long:
            limit = self._limits.max_message_bytes
            message = f"expected at most {limit} bytes on a line; got {line.length}"
            yield Unit(where, raw, None, "too_long", message)
            return
        decoded = decode(raw)
        if not decoded.reason:
            yield from flatten(decoded, where, raw)
            return
        reason, message = decoded.reason, decoded.message
        if reason == "torn" and line.ended:
            reason = "bad_syntax"
        elif reason == "bad_syntax" and not line.ended:
            reason, message = "torn", "the file ends in a line that is not well-formed JSON"
        yield Unit(where, raw, None, reason, message)

    def heads(self) -> Iterator[Head]:
        """The head of every resource that can be read."""
        if self._document is not None:
            yield from _heads(self._document.value)
            return
        with open_feed(self._feed.path, self._limits) as stream:
            for line in read_lines(stream, self._limits.max_message_bytes):
                yield from _line_heads(_line_bytes(line))

    def _form(self) -> _Form:
        with open_feed(self._feed.path, self._limits) as stream:
            lines = read_lines(stream, self._limits.max_message_bytes)
            first = next((line for line in lines if _line_bytes(line).strip()), None)
        if first is None:
            raise FeedRefused("empty", "the file holds nothing but white space")
        if not first.too_long and isinstance(decode(_line_bytes(first)).value, dict):
            return _Form.LINES
        if _line_bytes(first).lstrip()[:1] == b"<":
            return _Form.DOCUMENT
        return _Form.LINES if self._has_resource_lines() else _Form.DOCUMENT

    def _has_resource_lines(self) -> bool:
        """Whether the file is no document, but some line of its beginning is a resource."""
        with open_feed(self._feed.path, self._limits) as stream:
            lines = read_lines(stream, self._limits.max_message_bytes)
            for _, line in zip(range(_LINES_TRIED), lines, strict=False):
                value = None if line.too_long else decode(_line_bytes(line)).value
                if isinstance(value, dict) and "resourceType" in value:
                    break
            else:
                return False
        with open_feed(self._feed.path, self._limits) as stream:
            data = stream.read(self._limits.max_document_bytes + 1)
        return len(data) > self._limits.max_document_bytes or bool(decode(data).reason)

    def _read_document(self) -> Decoded:
        limit = self._limits.max_document_bytes
        with open_feed(self._feed.path, self._limits) as stream:
            data = stream.read(limit + 1).removeprefix(_BOM)
        if len(data) > limit:
            raise FeedRefused(
                "too_long",
                f"expected a document of at most {limit} bytes (max_document_bytes), or NDJSON",
            )
        start = data.lstrip()[:1]
        if start == b"<":
            return Decoded(resource_of_xml(data.lstrip()))
        if start not in (b"{", b"["):
            reason = "encoding" if b"\0" in data[:64] else "not_the_format"
            raise FeedRefused(reason, "expected FHIR as JSON, NDJSON or XML in UTF-8")
        decoded = decode_document(data)
        if decoded.reason:
            raise FeedRefused(decoded.reason, decoded.message)
        if decoded.value == []:
            raise FeedRefused("empty", "the list holds no resources")
        return decoded


def _line_bytes(line: Line) -> bytes:
    return line.data.removeprefix(_BOM) if line.number == 1 else line.data


def _heads(value: Any) -> Iterator[Head]:
    pending: list[tuple[Any, Any]] = [(None, value)]
    while pending:
        full_url, node = pending.pop()
        if isinstance(node, list):
            pending.extend((None, element) for element in node)
        elif _is_bundle(node) and isinstance(node.get("entry"), list):
            entries = [entry for entry in node["entry"] if isinstance(entry, dict)]
            pending.extend((entry.get("fullUrl"), entry.get("resource")) for entry in entries)
        elif isinstance(node, dict):
            parts = (node.get(key) for key in ("resourceType", "id", "identifier", "code"))
            yield Head(full_url if isinstance(full_url, str) else None, *parts)


def _line_heads(raw: bytes) -> Iterator[Head]:
    try:
        line = _HEAD_DECODER.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return  # The line is a rejected unit; nothing can refer to it.
    if line.kind == "Bundle":
        yield from _heads(decode(raw).value)
    else:
        yield Head(None, line.kind, line.id, line.identifier, line.code)
