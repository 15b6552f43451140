"""Tokens that sign us in to a server: from a file, or got from a token endpoint by OAuth 2.0 client
credentials (RFC 6749 section 4.4).

Rules:
- Secrets are read when they are needed, and kept in memory only.
- A token that was got is used until shortly before it expires, or until it is refused.
- The token endpoint is asked at the address that the settings name, and follows nobody elsewhere.
- No message holds a secret, a token or what the endpoint says in words.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import httpx
import msgspec

from adapters.http_server import Answer, Patience, Token, patiently, read_answer, unreached
from adapters.secrets import read_secret
from schemas.errors import InputError
from schemas.settings_interfaces import FhirInterface

_MOST_BYTES = 1 << 16
_MARGIN = 30.0
"""Seconds before its end at which a token is not used any more."""
_UNSAID = 300.0
"""Seconds that a token is used whose end is not told."""
_VISIBLE = re.compile(r"[\x21-\x7e]{1,65536}")
_ERRORS = frozenset(
    [
        "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client",
        "unsupported_grant_type", "invalid_scope",
    ]
)  # fmt: skip
"""RFC 6749 section 5.2: no other code is repeated."""


class NoToken:
    """For a server that asks nobody who they are."""

    def bearer(self) -> str | None:
        """See Token."""
        return None

    def renew(self) -> None:
        """See Token."""


@dataclass(frozen=True)
class FileToken:
    """A token that stands in a file, which others may renew."""

    root: Path
    name: str

    def bearer(self) -> str | None:
        """See Token."""
        token = read_secret(self.root, self.name)
        if not _VISIBLE.fullmatch(token):
            raise InputError(f"{self.name}: expected a token, of visible ASCII characters")
        return token

    def renew(self) -> None:
        """See Token: the file is read each time."""


@dataclass
class ClientToken:
    """A token that is got with a secret. `now`: seconds that only grow."""

    settings: FhirInterface
    root: Path
    client: httpx.Client
    patience: Patience
    now: Callable[[], float] = time.monotonic
    _held: str | None = field(default=None, repr=False)
    _until: float = 0.0

    def bearer(self) -> str | None:
        """See Token."""
        if self._held is None or self.now() >= self._until:
            self._held = self._got()
        return self._held

    def renew(self) -> None:
        """See Token."""
        self._held = None

    def _got(self) -> str:
        secret = read_secret(self.root, self.settings.client_secret_file or "")
        answer = patiently(lambda: self._asked(secret), self.patience)
        if answer.fault:
            raise InputError(f"`token_url` gives no token: {answer.fault}")
        try:
            told: Any = msgspec.json.decode(answer.body)
            token, kind, seconds = told["access_token"], told["token_type"], told.get("expires_in")
            usable = kind.lower() == "bearer" and _VISIBLE.fullmatch(token) is not None
            lasts = _UNSAID if seconds is None else float(seconds)
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError):
            usable = False
        if not usable:
            raise InputError("`token_url` gives no token: expected JSON with a bearer token")
        self._until = self.now() + max(lasts - _MARGIN, lasts / 2)
        return str(token)

    def _asked(self, secret: str) -> Answer:
        form = {"grant_type": "client_credentials"}
        if self.settings.scope is not None:
            form["scope"] = self.settings.scope
        auth = httpx.BasicAuth(quote_plus(self.settings.client_id or ""), quote_plus(secret))
        until = time.monotonic() + self.patience.seconds
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        try:
            with self.client.stream(
                "POST", self.settings.token_url or "", data=form, auth=auth, headers=headers
            ) as response:
                answer = read_answer(response, _MOST_BYTES, until)
        except httpx.RequestError as error:
            return unreached(error)
        code = _error_code(answer.body) if answer.fault else ""
        return replace(answer, fault=f"{answer.fault} ({code})") if code else answer


def _error_code(body: bytes) -> str:
    try:
        code: Any = msgspec.json.decode(body)["error"]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        return ""
    return code if isinstance(code, str) and code in _ERRORS else ""


def token_of(
    settings: FhirInterface, root: Path, client: httpx.Client, patience: Patience
) -> Token:
    """What signs us in to the server of the settings. `root` is the workspace's folder."""
    if settings.token_file is not None:
        return FileToken(root, settings.token_file)
    if settings.token_url is not None:
        return ClientToken(settings, root, client, patience)
    return NoToken()
