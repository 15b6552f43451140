"""Who asks: from the headers of a request to a requester, or why not.

Rules, in the order in which they are kept:
- No token, or one that does not count: nothing is looked up.
- What a token that counts does not carry (a role, a purpose) turns the request down.
- Then the limit, then scopes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from api.claims import client_of, signed_in
from api.metrics import Metrics
from api.outcomes import Refused
from api.route import Desk, Route
from api.scopes import allows, granted
from api.throttle import Throttle
from api.tokens import Checked, TokenCheck
from schemas.sharing import Call, Requester

PURPOSE_HEADER = "Purpose-Of-Use"
EMERGENCY_HEADER = "Emergency-Declared"


@dataclass(frozen=True)
class Service:
    """What the application is made of."""

    desk: Desk
    tokens: TokenCheck
    throttle: Throttle
    metrics: Metrics


def let_in(
    service: Service, route: Route, requester: Requester
) -> dict[str, frozenset[str]] | None:
    """What the token's scopes grant. Raises: Refused."""
    grants = granted(requester.scopes, requester.system)
    service.throttle.take(route.rate, f"{requester.issuer} {requester.staff_id}")
    if not allows(grants, route.kind, route.letter):
        level = "system" if requester.system else "user"
        raise Refused(
            "INSUFFICIENT_SCOPE", f"this needs the scope {level}/{route.kind}.{route.letter}"
        )
    return grants


def _checked(service: Service, headers: Mapping[str, str]) -> Checked:
    """The request's token, if it counts. Raises: Refused."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        challenge = {"WWW-Authenticate": "Bearer"}
        raise Refused("ACCESS_DENIED", "send an access token: Authorization: Bearer …", challenge)
    return service.tokens.check(token.strip())


def named_by(
    service: Service, headers: Mapping[str, str], call: Call
) -> Requester | tuple[str, str]:
    """Who asked, of a request at fault; issuer and subject where the token does not say in which
    role and for which purpose, or where they cannot be looked up. Raises: Refused where no token
    counts."""
    checked = _checked(service, headers)
    call.client = client_of(checked.claims)
    try:
        who = signed_in(checked, headers.get(PURPOSE_HEADER.lower()), emergency=False)
        return replace(service.desk.sharing.requester(who), call=call)
    except Exception:  # the request may have ended by this very error, which is told already
        return _subject(checked)


def _subject(checked: Checked) -> tuple[str, str]:
    return checked.provider.issuer, str(checked.claims.get("sub") or "-")[:200]


def requester_of(
    service: Service, route: Route, headers: Mapping[str, str], call: Call
) -> Requester:
    """Who asks. Raises: Refused."""
    checked = _checked(service, headers)
    call.client = client_of(checked.claims)
    emergency = headers.get(EMERGENCY_HEADER.lower(), "false").lower()
    if emergency not in ("true", "false"):
        raise Refused("INVALID_VALUE", f"{EMERGENCY_HEADER}: expected true or false")
    purpose = headers.get(PURPOSE_HEADER.lower())
    try:
        who = signed_in(checked, purpose, emergency == "true")
    except Refused:
        service.throttle.take(route.rate, " ".join(_subject(checked)))
        raise
    return replace(service.desk.sharing.requester(who), call=call)
