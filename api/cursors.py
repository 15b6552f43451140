"""Page addresses: sealed, so that nothing of a search can be read from them or changed in them.

Rules:
- A cursor holds the route, its parameters and where the next page begins, sealed with AES-256-GCM.
- It counts for who got it, in the same role and for the same purpose, and for `LIFETIME` seconds.
- It grants nothing: the next page is decided anew, as a request of its own.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from api.outcomes import Refused
from schemas.sharing import Requester

LIFETIME = 3_600.0
_NONCE = 12


class Page(msgspec.Struct, frozen=True, array_like=True):
    """What a cursor holds."""

    route: str
    params: tuple[tuple[str, str], ...]
    offset: int
    made: float


@dataclass(frozen=True)
class Cursors:
    """Makes and opens cursors.

    Args:
        key: 32 bytes, the same in all workers.
        now: the present moment, seconds since 1970.
    """

    key: bytes
    now: Callable[[], float]

    def make(self, asker: Requester, route: str, params: list[tuple[str, str]], offset: int) -> str:
        """The cursor of a page."""
        page = Page(route, tuple(params), offset, self.now())
        nonce = os.urandom(_NONCE)
        sealed = AESGCM(self.key).encrypt(nonce, msgspec.msgpack.encode(page), _whose(asker))
        return base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")

    def open(self, asker: Requester, route: str, cursor: str) -> Page:
        """What a cursor holds. Raises: Refused."""
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            plain = AESGCM(self.key).decrypt(raw[:_NONCE], raw[_NONCE:], _whose(asker))
            page = msgspec.msgpack.decode(plain, type=Page)
        except (InvalidTag, ValueError, binascii.Error, msgspec.MsgspecError):
            raise _not_yours() from None
        if page.route != route or self.now() - page.made > LIFETIME:
            raise _not_yours()
        return page


def _whose(asker: Requester) -> bytes:
    who = (asker.issuer, asker.staff_id, asker.organisation, asker.role, asker.purpose)
    return msgspec.json.encode(who)


def _not_yours() -> Refused:
    return Refused(
        "INVALID_CURSOR",
        "the page address is not one that was given to you for this search, or is older than an"
        " hour; search again",
    )
