"""Identity providers' keys: discovery, JWKS, their rotation.

Rules:
- A provider's configuration counts only if it names the provider itself as issuer.
- Keys are asked for when first needed, when they have been kept long enough, and when a token names
  a key that is not among them: then at most once in `ASK_AGAIN_SECONDS`, so that made-up key names
  cannot make us a burden to the provider.
- While a provider does not answer, keys fetched less than `STALE_SECONDS` ago still count.
- Only public keys for signatures are kept: a shared secret in a JWKS is left out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from api.outcomes import Refused
from schemas.settings_api import IdentityProvider

ASK_AGAIN_SECONDS = 30.0
STALE_SECONDS = 86_400.0
_KINDS = ("RSA", "EC")
_TIMEOUT = httpx.Timeout(5.0)
_MOST_BYTES = 1 << 20

Fetch = Callable[[str], Any]
"""The JSON document at an address."""


def fetch_json(url: str) -> Any:
    """The JSON document at an address. Raises: httpx.HTTPError, ValueError."""
    with httpx.stream("GET", url, timeout=_TIMEOUT, follow_redirects=False) as answer:
        answer.raise_for_status()
        body = b""
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > _MOST_BYTES:
                raise ValueError("the document is too long")
    return httpx.Response(200, content=body).json()


@dataclass
class ProviderKeys:
    """The signing keys of one provider, kept for a while. Any thread may ask.

    Attributes:
        fetch: how documents are got; now: seconds that only grow.
    """

    provider: IdentityProvider
    now: Callable[[], float]
    fetch: Fetch = fetch_json
    _keys: KeySet | None = None
    _fetched: float = 0.0
    _asked: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def key_set(self, key_id: str | None) -> KeySet:
        """The keys, with the one of this id among them if the provider has it.

        Raises: Refused: the provider does not answer, and nothing fetched before counts still.
        """
        with self._lock:
            now = self.now()
            keys = self._keys
            old = keys is None or now - self._fetched > self.provider.keys_minutes * 60
            if old or not _has(keys, key_id):
                self._renew(now)
            if self._keys is None or now - self._fetched > STALE_SECONDS:
                raise Refused(
                    "UNAVAILABLE",
                    "the identity provider's keys cannot be had now; try again shortly",
                    {"Retry-After": str(int(ASK_AGAIN_SECONDS))},
                )
            return self._keys

    def _renew(self, now: float) -> None:
        if now - self._asked < ASK_AGAIN_SECONDS:
            return
        self._asked = now
        try:
            document = self.fetch(self.provider.discovery_url())
            if document["issuer"] != self.provider.issuer:
                return
            held = self.fetch(document["jwks_uri"])["keys"]
            usable = [key for key in held if _usable(key)]
            self._keys = KeySet.import_key_set({"keys": usable})
            self._fetched = now
        except (httpx.HTTPError, JoseError, ValueError, KeyError, TypeError, AttributeError):
            # It is asked again later; keys that are held still count until they are stale.
            return


def _usable(key: Any) -> bool:
    return key.get("kty") in _KINDS and key.get("use", "sig") == "sig"


def _has(keys: KeySet | None, key_id: str | None) -> bool:
    if keys is None:
        return False
    return key_id is None or any(key.kid == key_id for key in keys.keys)
