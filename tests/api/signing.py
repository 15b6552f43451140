"""A made-up identity provider: its key, its documents, tokens with anything in them."""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import replace
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from api.providers import ProviderKeys
from api.tokens import TokenCheck
from schemas.identifiers import OdsCode
from schemas.settings_api import ClientSettings, IdentityProvider

NOW = 1_772_400_000.0
PROVIDER = IdentityProvider(
    issuer="https://idp.example", audience="https://records.example",
    algorithms=("ES256", "RS256"),
    roles={"R8000": "doctor", "nurse": "nurse"},
    clients=(
        ClientSettings("sepsis-app", OdsCode("RA7"), "integration", ("direct-care", "audit")),
    ),
)  # fmt: skip
KEY = ECKey.generate_key("P-256", parameters={"kid": "first", "use": "sig"})
RSA = RSAKey.generate_key(2048, parameters={"kid": "rsa", "use": "sig"})


class Idp:
    """The provider's documents, and how often they were asked for."""

    def __init__(self, *keys: Any, issuer: str = PROVIDER.issuer) -> None:
        self.keys, self.issuer, self.asked, self.down = list(keys), issuer, 0, False

    def fetch(self, url: str) -> Any:
        if self.down:
            raise ValueError("no answer")
        if url.endswith("/jwks"):
            self.asked += 1
            return {"keys": [key.as_dict(private=False) for key in self.keys]}
        return {"issuer": self.issuer, "jwks_uri": f"{PROVIDER.issuer}/jwks"}


class Times:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def checker(idp: Idp, times: Times, **changes: Any) -> TokenCheck:
    keys = ProviderKeys(replace(PROVIDER, **changes), times, idp.fetch)
    return TokenCheck((keys,), times)


def claims(**changes: Any) -> dict[str, Any]:
    iua = {
        "subject_organization_id": "RA7",
        "subject_role": [{"system": "urn:roles", "code": "R8000"}],
        "purpose_of_use": [{"system": "urn:oid:2.16.840.1.113883.5.8", "code": "TREAT"}],
    }
    held = {
        "iss": PROVIDER.issuer, "aud": PROVIDER.audience, "sub": "ST000001",
        "iat": NOW, "exp": NOW + 600, "scope": "openid user/*.rs", "extensions": {"ihe_iua": iua},
    }  # fmt: skip
    return {name: value for name, value in (held | changes).items() if value is not None}


def signed(key: Any = KEY, header: dict[str, Any] | None = None, **changes: Any) -> str:
    algorithm = {"EC": "ES256", "RSA": "RS256", "oct": "HS256"}[key.key_type]
    head = {"alg": algorithm, "kid": key.kid, "typ": "at+jwt"} | (header or {})
    return jwt.encode(head, claims(**changes), key, algorithms=[head["alg"]])


def unsigned(**changes: Any) -> str:
    return f"{_part({'alg': 'none', 'typ': 'at+jwt'})}.{_part(claims(**changes))}."


def confused() -> str:
    """Signed with the provider's public key as if it were a shared secret."""
    secret = RSA.as_pem(private=False)
    said = f"{_part({'alg': 'HS256', 'kid': 'rsa', 'typ': 'at+jwt'})}.{_part(claims())}"
    mac = hmac.new(secret, said.encode(), "sha256").digest()
    return f"{said}.{_encoded(mac)}"


def _part(value: Any) -> str:
    return _encoded(json.dumps(value).encode())


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
