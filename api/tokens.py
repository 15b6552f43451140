"""Access tokens: a bearer token in, its checked claims out (RFC 6750, RFC 8725, RFC 9068).

Rules, in the order in which they are checked:
- A token is a signed JWT of at most `MAX_TOKEN` characters, not encrypted, not unsigned.
- The issuer is one of the settings', letter by letter: it says whose keys count.
- The signature's algorithm is one that the provider is allowed: all are asymmetric.
- The signature fits one of the provider's keys.
- It is an access token: an ID token (a type of its own, a nonce, an at_hash) does not count.
- It is meant for this API (`aud`), in time (`exp`, `nbf`, `iat`), and does not live too long.
- A refusal says which rule, never what stood in the token.

A signature that was found to fit is not worked out again while the very same keys count: it is
remembered by the token's digest, as the token itself is not kept. All that hangs on time, and on
who somebody is now, is asked of every request.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from api.outcomes import Refused
from api.providers import ProviderKeys
from schemas.settings_api import IdentityProvider

MAX_TOKEN = 8_192
REMEMBERED = 4_096
"""Tokens whose signature is remembered before all are forgotten."""
CHALLENGE = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
_ACCESS_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt", ""})


@dataclass(frozen=True)
class Checked:
    """A token that counts."""

    provider: IdentityProvider
    claims: Mapping[str, Any]


@dataclass(frozen=True)
class _Signed:
    """Claims whose signature fits one of these keys; `key_id`: as the token names it."""

    keys: ProviderKeys
    key_id: str | None
    key_set: KeySet
    claims: Mapping[str, Any]


class TokenCheck:
    """Checks tokens of the providers that the settings name. Any thread may ask.

    Args:
        keys: of each provider.
        now: the present moment, seconds since 1970.
    """

    def __init__(self, keys: tuple[ProviderKeys, ...], now: Callable[[], float]) -> None:
        self._keys = {one.provider.issuer: one for one in keys}
        self._now = now
        self._signed: dict[bytes, _Signed] = {}

    def check(self, token: str) -> Checked:
        """The claims of a token that counts. Raises: Refused."""
        digest = sha256(token.encode()).digest()
        signed = self._signed.get(digest)
        if signed is None or signed.keys.key_set(signed.key_id) is not signed.key_set:
            signed = self._verified(token)
            if len(self._signed) >= REMEMBERED:
                self._signed = {}
            self._signed[digest] = signed
        provider = signed.keys.provider
        self._check_claims(provider, signed.claims)
        return Checked(provider, signed.claims)

    def _verified(self, token: str) -> _Signed:
        """What an access token says whose signature fits. Raises: Refused."""
        header, unproven = _parts(token)
        keys = self._keys.get(unproven.get("iss"))  # type: ignore[arg-type]
        if keys is None:
            raise _invalid("its issuer is none that this partnership trusts")
        provider = keys.provider
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in provider.algorithms:
            raise _invalid("its signature is of a kind that is not accepted")
        if key_id is not None and not isinstance(key_id, str):
            raise _invalid("it does not name its key by a text")
        if str(header.get("typ", "")).lower() not in _ACCESS_TYPES or "crit" in header:
            raise _invalid("it is not an access token")
        key_set = keys.key_set(key_id)
        try:
            claims = jwt.decode(token, key_set, algorithms=list(provider.algorithms)).claims
        except (JoseError, ValueError, TypeError):
            raise _invalid("its signature fits none of its issuer's keys") from None
        if "nonce" in claims or "at_hash" in claims:
            raise _invalid("it is an ID token; send the access token")
        return _Signed(keys, key_id, key_set, claims)

    def _check_claims(self, provider: IdentityProvider, claims: Mapping[str, Any]) -> None:
        audience = claims.get("aud")
        meant = audience if isinstance(audience, list) else [audience]
        if provider.audience not in meant:
            raise _invalid("it is meant for another service")
        now, leeway = self._now(), provider.leeway_seconds
        ends, issued = _seconds(claims, "exp"), _seconds(claims, "iat")
        begins = _seconds(claims, "nbf") if "nbf" in claims else issued
        if now > ends + leeway:
            raise Refused("EXPIRED_TOKEN", "the access token has expired; sign in again", CHALLENGE)
        if max(begins, issued) > now + leeway:
            raise _invalid("it is not valid yet")
        if ends - issued > provider.max_token_minutes * 60:
            raise _invalid("it lives longer than tokens may here")


def _parts(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims as they stand there, unproven."""
    pieces = token.split(".")
    if len(token) > MAX_TOKEN or len(pieces) != 3 or not pieces[2]:
        raise _invalid("it is no signed JWT")
    try:
        header, claims = (json.loads(_decoded(piece)) for piece in pieces[:2])
    except (ValueError, binascii.Error, RecursionError):
        raise _invalid("it is no signed JWT") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise _invalid("it is no signed JWT")
    if not isinstance(claims.get("iss"), str):
        raise _invalid("its issuer is none that this partnership trusts")
    return header, claims


def _decoded(piece: str) -> bytes:
    return base64.b64decode(piece + "=" * (-len(piece) % 4), altchars=b"-_", validate=True)


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise _invalid(f"its claim {name} is missing, or no time")
    return float(value)


def _invalid(reason: str) -> Refused:
    return Refused("INVALID_TOKEN", f"the access token does not count: {reason}", CHALLENGE)
