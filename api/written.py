"""What comes to its end before anybody's record is asked for is written down too.

Rules:
- Every request that reaches a route leaves an event: a question at fault, a token that does not
  count, an error nobody foresaw. One of whose making an event is durable already leaves no other.
- It names whose token it is as far as that counts, the route, and the code of the answer; no
  person and no value.
- Requests without a token that counts are limited by where they come from: beyond the limit they
  are counted (`/metrics`) and not written, so that nobody fills the log from outside.
"""

from __future__ import annotations

from collections.abc import Callable

from api.outcomes import OUTCOMES, Refused
from api.route import Route
from api.throttle import Throttle
from audit.events import EventOutcome
from schemas.sharing import Call, Requester
from service.sharing import Sharing

UNSIGNED = "unsigned"
_REFUSALS = frozenset({401, 403, 429})


def outcome_of(code: str) -> EventOutcome:
    """How a request ended that was answered by an error's code."""
    refused = OUTCOMES[code].status in _REFUSALS
    return EventOutcome.REFUSED if refused else EventOutcome.FAILED


def write_ended(
    sharing: Sharing,
    throttle: Throttle,
    route: Route,
    call: Call,
    code: str,
    sign_in: Callable[[], Requester | tuple[str, str]],
) -> None:
    """Writes down a request that ended with an error, unless an event of it is durable.

    Args:
        code: of the answer.
        sign_in: who asks, or issuer and subject of a token that says no more. Raises: Refused.

    Raises: LogFailed.
    """
    if call.events:
        return
    try:
        who = sign_in()
    except Refused:
        who = ("-", "-")
        try:
            throttle.take(route.rate, f"{UNSIGNED} {call.terminal}")
        except Refused:
            return
    if isinstance(who, Requester):
        sharing.refused(who, route.action, code, outcome_of(code))
    else:
        sharing.turned_away(*who, route.action, code, call, outcome_of(code))
