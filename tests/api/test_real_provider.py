"""Sign-in against a real identity provider: discovery, its keys and their change, who asks."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from api.claims import signed_in
from api.outcomes import Refused
from api.providers import ProviderKeys
from api.tokens import TokenCheck
from schemas.identifiers import OdsCode
from schemas.settings_api import ClientSettings, IdentityProvider
from tests.api.real_provider import (
    AUDIENCE,
    free_port,
    key,
    running,
    staff_tokens,
    system_token,
)

CLIENT = key("backend")
OWN = key("own")


class Later:
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def check_for(issuer: str, later: Later) -> TokenCheck:
    settings = IdentityProvider(
        issuer=issuer, audience=AUDIENCE, roles={"R8001": "nurse"},
        clients=(ClientSettings("backend", OdsCode("ZZR01"), "integration", ("direct-care",)),),
    )  # fmt: skip
    return TokenCheck((ProviderKeys(settings, later),), time.time)


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with running(free_port(), [OWN], CLIENT) as address:
        yield address


def test_a_member_of_staff_signs_in(issuer: str) -> None:
    checked = check_for(issuer, Later()).check(staff_tokens(issuer, "ST000017")["access_token"])
    found = signed_in(checked, None, emergency=False)
    assert (found.subject, found.organisation, found.role, found.purpose) == (
        "ST000017", "ZZH01", "nurse", "direct-care"
    )  # fmt: skip
    assert found.scopes == {"user/*.rs"}
    assert not found.system


def test_a_backend_service_signs_in_with_a_signed_jwt(issuer: str) -> None:
    checked = check_for(issuer, Later()).check(system_token(issuer, CLIENT))
    found = signed_in(checked, None, emergency=False)
    assert (found.subject, found.role, found.system) == ("backend", "integration", True)
    assert found.scopes == {"system/*.rs"}


def test_its_id_token_is_no_access_token(issuer: str) -> None:
    tokens = staff_tokens(issuer, "ST000017")
    with pytest.raises(Refused, match=r"another service|ID token"):
        check_for(issuer, Later()).check(tokens["id_token"])


def test_a_provider_that_changes_its_keys() -> None:
    port, later = free_port(), Later()
    with running(port, [OWN], CLIENT) as address:
        check = check_for(address, later)
        old = system_token(address, CLIENT)
        check.check(old)
    later.ahead += 60
    with running(port, [key("fresh"), OWN], CLIENT) as address:
        # The first key of the set signs; the former one still counts while it is published.
        check.check(system_token(address, CLIENT))
        check.check(old)
    later.ahead += 900
    with running(port, [key("third")], CLIENT) as address:
        check.check(system_token(address, CLIENT))
        with pytest.raises(Refused, match="fits none"):
            check.check(old)
