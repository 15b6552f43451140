"""Claims of a checked token to who has signed in: staff id, organisation, role, purpose, scopes.

Rules:
- Which claim says what stands in the settings of its provider; the defaults are those of IHE
  Internet User Authorization [ITI-71]. Of NHS CIS2 the selected role counts, no other.
- A role code counts only by the settings' table. A purpose counts only if the token carries it: a
  request may choose among those, never add one.
- What a token does not say clearly, it does not say: a refusal names the claim, never its value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.outcomes import Refused
from api.tokens import Checked
from schemas.codes import PURPOSES
from schemas.errors import InvalidValue
from schemas.identifiers import OdsCode, parse_ods_code
from schemas.settings_api import ClientSettings, IdentityProvider
from schemas.sharing import ACT_REASONS, SignedIn

_PURPOSE_OF_CODE = {code: purpose for purpose, code in ACT_REASONS.items()}
_MOST = 200
"""Characters of an id in a token."""


def signed_in(checked: Checked, asked_purpose: str | None, emergency: bool) -> SignedIn:
    """Who brought the token.

    Args:
        asked_purpose: the purpose that the request chooses, as a key of PURPOSES or an ActReason
            code; None takes the token's only one.
        emergency: the request declares that the person is before the asker.

    Raises: Refused.
    """
    provider, claims = checked.provider, checked.claims
    client = _system(provider, claims)
    scopes = _scopes(claims)
    if scopes is None and provider.scopes_required:
        scopes = frozenset()
    if client is not None:
        return _client(client, checked, scopes, asked_purpose)
    chosen = _chosen(provider, claims)
    return SignedIn(
        issuer=provider.issuer,
        subject=_text(claims, provider.staff_id, "staff id"),
        organisation=_organisation(chosen, provider.organisation),
        role=_role(provider, chosen),
        purpose=_purpose(_purposes(at(claims, provider.purpose)), asked_purpose),
        team=_team(chosen, provider.team),
        scopes=scopes,
        emergency_declared=emergency,
    )


def _client(
    client: ClientSettings, checked: Checked, scopes: frozenset[str] | None, asked: str | None
) -> SignedIn:
    claim = at(checked.claims, checked.provider.purpose)
    said = client.purposes if claim is None else _purposes(claim)
    carried = [one for one in client.purposes if one in said]
    return SignedIn(
        issuer=checked.provider.issuer,
        subject=client.id,
        organisation=client.organisation,
        role=client.role,
        purpose=_purpose(carried, asked),
        scopes=scopes if scopes is not None else frozenset(),
        system=True,
    )


def client_of(claims: Mapping[str, Any]) -> str | None:
    """The program that the token was given to, where it says so."""
    said = claims.get("client_id") or claims.get("azp")
    return said if isinstance(said, str) and said.isprintable() and len(said) <= _MOST else None


def at(claims: Any, path: str) -> Any:
    """What stands at a path of names joined by dots; None where nothing does. A name that holds
    dots itself (a claim named by an address) is found too."""
    if not path or not isinstance(claims, Mapping):
        return None
    if path in claims:
        return claims[path]
    first, dot, rest = path.partition(".")
    return at(claims.get(first), rest) if dot else None


def _system(provider: IdentityProvider, claims: Mapping[str, Any]) -> ClientSettings | None:
    """The client that asks for itself: a token whose subject is the client."""
    client_id = claims.get("client_id") or claims.get("azp")
    if not isinstance(client_id, str) or claims.get("sub", client_id) != client_id:
        return None
    if provider.staff_id != "sub" and at(claims, provider.staff_id) is not None:
        return None  # it names a member of staff: no system asks for itself
    return provider.client(client_id)


def _scopes(claims: Mapping[str, Any]) -> frozenset[str] | None:
    """Its scopes, None where it has no SMART scope."""
    said = claims.get("scope", claims.get("scp"))
    words = said.split() if isinstance(said, str) else said if isinstance(said, list) else []
    scopes = frozenset(word for word in words if isinstance(word, str))
    return scopes if any("/" in scope for scope in scopes) else None


def _chosen(provider: IdentityProvider, claims: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where organisation, role and team stand: the selected entry of a list, or the claims."""
    if not provider.role_list:
        return claims
    entries = at(claims, provider.role_list)
    wanted = at(claims, provider.role_selected)
    found = [
        entry
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, Mapping) and entry.get(provider.role_key) == wanted
    ]
    if wanted is None and isinstance(entries, list) and len(entries) == 1:
        found = [entry for entry in entries if isinstance(entry, Mapping)]
    if len(found) != 1:
        raise Refused("ROLE_NEEDED", "no single role is selected in the token; select one")
    return found[0]


def _text(claims: Mapping[str, Any], path: str, what: str) -> str:
    value = at(claims, path)
    if not isinstance(value, str) or not value.strip() or len(value) > _MOST:
        raise Refused("ROLE_NEEDED", f"the token does not say the {what} (claim {path})")
    return value.strip()


def _organisation(claims: Mapping[str, Any], path: str) -> OdsCode:
    said = at(claims, path)
    code = said.get("value") if isinstance(said, Mapping) else said
    try:
        return parse_ods_code(code if isinstance(code, str) else "")
    except InvalidValue:
        raise Refused(
            "ROLE_NEEDED", f"the token names no organisation by its ODS code (claim {path})"
        ) from None


def _codes(value: Any) -> list[str]:
    """The codes that a claim holds: a text, a coding, or a list of either."""
    entries = value if isinstance(value, list) else [value]
    codes = [entry.get("code") if isinstance(entry, Mapping) else entry for entry in entries]
    return [code.strip() for code in codes if isinstance(code, str) and code.strip()]


def _role(provider: IdentityProvider, claims: Mapping[str, Any]) -> str:
    """The one role here that the token's codes lead to. A code of several parts, as NRBAC's
    S0030:G0100:R0260, may stand in the table whole or by its last part."""
    roles = {
        provider.roles[part]
        for code in _codes(at(claims, provider.role))
        for part in (code, code.rpartition(":")[2])
        if part in provider.roles
    }
    if len(roles) != 1:
        raise Refused(
            "ROLE_NEEDED",
            f"the token's role (claim {provider.role}) leads to {len(roles)} roles here; expected"
            " one: see `roles` of the identity provider in the settings",
        )
    return roles.pop()


def _purposes(value: Any) -> list[str]:
    """The purposes that a claim carries, those that are known."""
    found = (_PURPOSE_OF_CODE.get(code, code) for code in _codes(value))
    return [purpose for purpose in dict.fromkeys(found) if purpose in PURPOSES]


def _purpose(carried: list[str], asked: str | None) -> str:
    if asked is not None:
        wanted = _PURPOSE_OF_CODE.get(asked, asked)
        if wanted not in carried:
            raise Refused("PURPOSE_NEEDED", "the token does not carry the purpose that was chosen")
        return wanted
    if len(carried) != 1:
        raise Refused(
            "PURPOSE_NEEDED",
            f"the token carries {len(carried)} purposes of use; choose one with the header"
            " Purpose-Of-Use",
        )
    return carried[0]


def _team(claims: Mapping[str, Any], path: str) -> str | None:
    value = at(claims, path)
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, str) and first and len(first) <= _MOST else None
