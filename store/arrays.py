"""PostgreSQL arrays as parameters of a statement, encoded whole.

Rules:
- An array is sent in PostgreSQL's binary form: dimensions, whether there are nulls, the element
  type, then a length and the bytes of each element (`array_send` and the `send` functions of the
  types; length -1 is null). So its type needs no cast, and no value is looked at twice.
- Only the types that the store's columns have: bigint, double precision, text, bytea.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEAD = struct.Struct(">iii")
_DIMENSION = struct.Struct(">ii")
_LENGTH = struct.Struct(">i")
_WHOLE = struct.Struct(">iq")
_FLOAT = struct.Struct(">id")
_NULL = _LENGTH.pack(-1)


class Array:
    """An encoded array; its subclass says of what type."""

    __slots__ = ("encoded",)

    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded


def _registered(name: str, oid: int) -> type[Array]:
    """A subclass that the driver sends as an array of this type."""
    kind = type(name, (Array,), {"__slots__": ()})
    sent = {"format": Format.BINARY, "oid": oid, "dump": lambda _, given: given.encoded}
    psycopg.adapters.register_dumper(kind, type(f"{name}Dumper", (Dumper,), sent))
    return kind


def _wholes(values: Sequence[int | None]) -> list[bytes]:
    pack = _WHOLE.pack
    return [_NULL if value is None else pack(8, value) for value in values]


def _floats(values: Sequence[float | None]) -> list[bytes]:
    pack = _FLOAT.pack
    return [_NULL if value is None else pack(8, value) for value in values]


def _blobs(values: Sequence[bytes | None]) -> list[bytes]:
    pack, parts = _LENGTH.pack, list[bytes]()
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            parts.append(pack(len(value)))
            parts.append(value)
    return parts


def _texts(values: Sequence[str | None]) -> list[bytes]:
    return _blobs([None if value is None else value.encode() for value in values])


_KINDS: Mapping[str, tuple[int, type[Array], Callable[[Sequence[Any]], list[bytes]]]] = {
    "bigint": (20, _registered("Wholes", 1016), _wholes),
    "double precision": (701, _registered("Floats", 1022), _floats),
    "text": (25, _registered("Texts", 1009), _texts),
    "bytea": (17, _registered("Blobs", 1001), _blobs),
}
"""Type → its own object id in pg_type, what an array of it is sent as, how elements are encoded."""


def array_of(kind: str, values: Sequence[Any]) -> Array:
    """The values, None among them, as a parameter. Requires: `kind` is one of those above."""
    oid, sent, encoded = _KINDS[kind]
    if not values:
        return sent(_HEAD.pack(0, 0, oid))
    parts = encoded(values)
    head = _HEAD.pack(1, int(any(value is None for value in values)), oid)
    return sent(b"".join([head, _DIMENSION.pack(len(values), 1), *parts]))
