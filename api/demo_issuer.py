"""The demo's own sign-in: mints tokens for the synthetic partnership, and for no other.

Rules:
- It exists only in a workspace whose settings say `demo = true`: elsewhere it is not among the
  issuers that count, and mints nothing.
- Its key is made at first use and lies in the workspace's keys, for their owner only.
- Its tokens are checked like those of any other provider; only its keys come from the folder.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from api.providers import ProviderKeys
from consent.roles import ROLES
from schemas.errors import NotPermitted, StoreError
from schemas.records import StaffEntry
from schemas.settings import Settings
from schemas.settings_api import IdentityProvider
from schemas.sharing import ACT_REASONS

ISSUER = "urn:commonthread:demo-issuer"
AUDIENCE = "urn:commonthread:demo"
KEY_FILE = "demo-issuer.json"
SCOPES = "user/*.crus"
_CONFIGURATION = "demo:configuration"
_KEYS = "demo:keys"


def provider() -> IdentityProvider:
    """The demo's issuer, as settings would name it."""
    return IdentityProvider(
        issuer=ISSUER, audience=AUDIENCE, discovery=_CONFIGURATION, algorithms=("ES256",),
        roles={role: role for role in ROLES},
    )  # fmt: skip


def demo_keys(settings: Settings, folder: Path, now: Callable[[], float]) -> ProviderKeys:
    """The demo issuer's keys. Raises: NotPermitted outside a demo; StoreError."""
    key = _key(settings, folder)
    documents = {
        _CONFIGURATION: {"issuer": ISSUER, "jwks_uri": _KEYS},
        _KEYS: {"keys": [key.as_dict(private=False)]},
    }
    return ProviderKeys(provider(), now, documents.__getitem__)


def mint(
    settings: Settings,
    folder: Path,
    who: StaffEntry,
    role: str,
    purposes: Sequence[str],
    now: float,
    *,
    scopes: str = SCOPES,
    minutes: int = 60,
) -> str:
    """A token for a member of the synthetic staff.

    Args:
        role: a key of `consent.roles.ROLES`.
        purposes: keys of PURPOSES; a request chooses one where there are several.
        now: seconds since 1970.

    Raises: NotPermitted outside a demo; StoreError.
    """
    key = _key(settings, folder)
    reasons = [{"code": ACT_REASONS[purpose]} for purpose in purposes]
    iua: dict[str, Any] = {
        "subject_organization_id": who.organisation,
        "subject_role": [{"code": role}],
        "purpose_of_use": reasons,
    }
    claims: dict[str, Any] = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": who.staff_id, "jti": str(uuid.uuid4()),
        "iat": int(now), "nbf": int(now), "exp": int(now) + minutes * 60,
        "scope": scopes, "extensions": {"ihe_iua": iua},
    }  # fmt: skip
    if who.team:
        claims["team"] = who.team
    header = {"alg": "ES256", "typ": "at+jwt", "kid": key.kid}
    return jwt.encode(header, claims, key)


def _key(settings: Settings, folder: Path) -> ECKey:
    """The issuer's key, made where there is none."""
    if not settings.demo:
        raise NotPermitted("tokens are minted in a demo workspace only; here, sign in")
    path = folder / KEY_FILE
    if not path.exists():
        _make(path)
    try:
        return ECKey.import_key(json.loads(path.read_bytes()))
    except (JoseError, ValueError):
        raise StoreError(f"{path} holds no key; delete it, and a new one is made") from None


def _make(path: Path) -> None:
    """Writes a new key; where another process has just written one, that one stays."""
    made = ECKey.generate_key("P-256", parameters={"kid": uuid.uuid4().hex, "use": "sig"})
    draft = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        json.dump(made.as_dict(private=True), stream)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
