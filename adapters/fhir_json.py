"""Strict JSON (RFC 8259) into Python values, with what FHIR needs to know of it.

Rules:
- Decimals keep their digits: FHIR demands it (hl7.org/fhir/R4/datatypes.html#decimal).
- NaN, lone surrogates and bytes that are not UTF-8 are not JSON. Nor is what nests too deeply.
- A key that stands twice in an object is legal JSON and ambiguous data. It is found by counting:
  the quick decoder keeps one of the two, the bytes hold both.
- A message tells a place and a kind, never the text.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_OFFSET = re.compile(r"\(byte [0-9]+\)")
_HOLDERS = frozenset({dict, list})


class DoubledKeys(dict[str, Any]):
    """A JSON object in which a key stood twice; holds the last value of each."""


class Decoded(NamedTuple):
    """A JSON text decoded, or the reason why not.

    `suspect` tells that it may hold NULs or doubled keys, which are still to be looked for.
    """

    value: Any
    reason: str = ""
    message: str = ""
    suspect: bool = False


def decode(raw: bytes) -> Decoded:
    """One JSON text. Doubled keys go unnoticed here (see `doubled`)."""
    try:
        value = _DECODER.decode(raw)
    except RecursionError:
        return Decoded(None, "bad_syntax", "the JSON nests too deeply")
    except (msgspec.MsgspecError, UnicodeDecodeError, InvalidOperation) as error:
        return _undecodable(raw, str(error))
    return Decoded(value, suspect=b"\\u0000" in raw)


def decode_document(raw: bytes) -> Decoded:
    """One JSON text, in which objects with doubled keys are `DoubledKeys`."""
    decoded = decode(raw)
    if decoded.reason or not doubled(raw, decoded.value):
        return decoded
    try:
        value = json.loads(raw, object_pairs_hook=_marked, parse_float=Decimal)
    except (ValueError, RecursionError):
        return Decoded(None, "bad_syntax", "not well-formed JSON")
    return Decoded(value, suspect=True)


def _marked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    return plain if len(plain) == len(pairs) else DoubledKeys(plain)


def doubled(raw: bytes, value: Any) -> bool:
    """Whether the decoded value may lack keys that the bytes hold.

    Sure when it says no. It may say yes of odd white space; `decode_document` then knows.
    """
    return keys_in(raw) != count_keys(value)


def keys_in(raw: bytes) -> int:
    """How many keys the bytes seem to hold: a closing quote and a colon. White space between the
    two makes it fewer."""
    return raw.count(b'":') - raw.count(b'\\":')


def count_keys(value: Any) -> int:
    """How many keys the objects in a decoded JSON value have, all told."""
    total, pending = 0, [value]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            total += len(node)
            pending.extend([v for v in node.values() if v.__class__ in _HOLDERS])
        elif isinstance(node, list):
            pending.extend([v for v in node if v.__class__ in _HOLDERS])
    return total


def _undecodable(raw: bytes, error: str) -> Decoded:
    if b"\0" in raw:
        return Decoded(None, "nul", "expected JSON in UTF-8; got a NUL byte")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as fault:
        return Decoded(None, "encoding", f"expected UTF-8; byte {fault.start} is not")
    if "truncated" in error:
        return Decoded(None, "torn", "the JSON breaks off")
    offset = _OFFSET.search(error)
    place = f" {offset.group()}" if offset else ""
    return Decoded(None, "bad_syntax", f"not well-formed JSON{place}")
