"""Keyed digests: how the store finds and compares what it holds only sealed.

Rules:
- HMAC-SHA-256 (RFC 2104) under three keys, one per kind of question, and no others: is this NHS
  number held; is this thing of this source held (source and local id, likewise a care item's and a
  staff entry's own id, and the name of who acted); is this the content held already.
- Digests are cut to 16 bytes, the shortest that RFC 2104 section 5 allows for SHA-256: chance
  collisions among 10^9 values stay below 10^-20.
- A message begins with what kind of thing it is and its source, NUL-ended, so that no two
  different questions have one message. Neither holds a NUL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

DIGEST_BYTES = 16
_BLOCK_BYTES = 64


class KeyedDigest:
    """HMAC-SHA-256 under one key. The padded key is hashed once, not once per message."""

    def __init__(self, key: bytes) -> None:
        padded = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(bytes(b ^ 0x36 for b in padded))
        self._outer = hashlib.sha256(bytes(b ^ 0x5C for b in padded))

    def many(self, prefix: bytes, messages: Iterable[bytes]) -> list[bytes]:
        """The digest of prefix + message, for each message."""
        inner = self._inner.copy()
        inner.update(prefix)
        begin, finish = inner.copy, self._outer.copy
        digests = []
        for message in messages:
            first = begin()
            first.update(message)
            second = finish()
            second.update(first.digest())
            digests.append(second.digest()[:DIGEST_BYTES])
        return digests


@dataclass(frozen=True)
class Indexes:
    """The three keyed digests of a workspace."""

    number: KeyedDigest
    local: KeyedDigest
    content: KeyedDigest

    def number_keys(self, numbers: Iterable[str]) -> list[bytes]:
        """Keys of NHS numbers in canonical form."""
        return self.number.many(b"nhs\0", (n.encode() for n in numbers))

    def record_keys(self, source: str, local_ids: Iterable[str]) -> list[bytes]:
        """Keys of client records by their source's local id."""
        return self.local.many(_prefix("record", source), (i.encode() for i in local_ids))

    def item_keys(self, source: str, headings: Iterable[str], ids: Iterable[str]) -> list[bytes]:
        """Keys of care items by heading and the source's own id."""
        messages = (f"{h}\0{i}".encode() for h, i in zip(headings, ids, strict=True))
        return self.local.many(_prefix("item", source), messages)

    def staff_keys(self, source: str, staff_ids: Iterable[str]) -> list[bytes]:
        """Keys of staff entries by the source's own id."""
        return self.local.many(_prefix("staff", source), (i.encode() for i in staff_ids))

    def actor_keys(self, names: Iterable[str]) -> list[bytes]:
        """Keys of those who did what the audit log tells of."""
        return self.local.many(_prefix("actor", ""), (n.encode() for n in names))

    def content_hashes(self, kind: str, source: str, contents: Iterable[bytes]) -> list[bytes]:
        """Digests of contents: equal content of one source, equal digest."""
        return self.content.many(_prefix(kind, source), contents)


def _prefix(kind: str, source: str) -> bytes:
    return f"{kind}\0{source}\0".encode()
