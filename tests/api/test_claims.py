"""Claims to who has signed in: IHE IUA, NHS CIS2, systems, purposes, scopes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from api.claims import signed_in
from api.outcomes import Refused
from api.scopes import allows, granted
from api.tokens import Checked
from schemas.settings_api import IdentityProvider
from schemas.sharing import SignedIn
from tests.api.signing import PROVIDER, claims


def who(
    provider: IdentityProvider = PROVIDER, purpose: str | None = None, **changes: Any
) -> SignedIn:
    return signed_in(Checked(provider, claims(**changes)), purpose, emergency=False)


def iua(**changes: Any) -> dict[str, Any]:
    held = claims()["extensions"]["ihe_iua"] | changes
    return {"extensions": {"ihe_iua": held}}


def test_iua_claims() -> None:
    assert who(team="North") == SignedIn(
        issuer=PROVIDER.issuer, subject="ST000001", organisation="RA7", role="doctor",
        purpose="direct-care", team="North", scopes=frozenset({"openid", "user/*.rs"}),
    )  # fmt: skip


CIS2 = replace(
    PROVIDER,
    staff_id="nhsid_useruid", organisation="org_code", role="role_code", team="workgroups",
    role_list="nhsid_nrbac_roles", purpose="purpose_of_use", scopes_required=False,
)  # fmt: skip
NRBAC = [
    {"person_roleid": "1", "org_code": "A81001", "role_code": "S0030:G0100:R8000",
     "workgroups": ["Cardiology"]},
    {"person_roleid": "2", "org_code": "RA7", "role_code": "S0030:G0100:R9999"},
]  # fmt: skip


def cis2(selected: str | None, **changes: Any) -> SignedIn:
    held = {
        "nhsid_useruid": "555021935107", "nhsid_nrbac_roles": NRBAC, "selected_roleid": selected,
        "purpose_of_use": "TREAT", "scope": "openid nhsperson",
    } | changes  # fmt: skip
    return who(CIS2, **held)


def test_cis2_takes_the_selected_role_and_no_other() -> None:
    found = cis2("1")
    assert (found.subject, found.organisation, found.role, found.team, found.scopes) == (
        "555021935107", "A81001", "doctor", "Cardiology", None
    )  # fmt: skip


@pytest.mark.parametrize("selected", ["2", "3", None])
def test_cis2_without_a_known_selected_role_is_refused(selected: str | None) -> None:
    with pytest.raises(Refused) as caught:
        cis2(selected)
    assert caught.value.code == "ROLE_NEEDED"
    assert "R9999" not in caught.value.message


REFUSED = [
    ({"sub": None}, "ROLE_NEEDED"),
    ({"sub": ["ST000001"]}, "ROLE_NEEDED"),
    (iua(subject_organization_id="not an ods code!"), "ROLE_NEEDED"),
    (iua(subject_role=[]), "ROLE_NEEDED"),
    (iua(subject_role=[{"code": "R8000"}, {"code": "nurse"}]), "ROLE_NEEDED"),
    (iua(purpose_of_use=[]), "PURPOSE_NEEDED"),
    (iua(purpose_of_use=[{"code": "CURIOSITY"}]), "PURPOSE_NEEDED"),
    (iua(purpose_of_use=[{"code": "TREAT"}, {"code": "ETREAT"}]), "PURPOSE_NEEDED"),
    ({"extensions": "x"}, "ROLE_NEEDED"),
]


@pytest.mark.parametrize(("changes", "code"), REFUSED)
def test_what_a_token_does_not_say_clearly_is_refused(changes: Any, code: str) -> None:
    with pytest.raises(Refused) as caught:
        who(**changes)
    assert caught.value.code == code


PURPOSES = [
    # the token carries, the request chooses, what counts
    (["TREAT"], None, "direct-care"),
    (["TREAT", "THREAT"], "THREAT", "safeguarding"),
    (["TREAT", "THREAT"], "safeguarding", "safeguarding"),
    (["TREAT"], "safeguarding", None),
    (["TREAT"], "anything", None),
]


@pytest.mark.parametrize(("carried", "chosen", "counts"), PURPOSES)
def test_a_request_chooses_among_the_token_s_purposes_and_adds_none(
    carried: list[str], chosen: str | None, counts: str | None
) -> None:
    held = iua(purpose_of_use=[{"code": code} for code in carried])
    if counts is None:
        with pytest.raises(Refused) as caught:
            who(purpose=chosen, **held)
        assert caught.value.code == "PURPOSE_NEEDED"
    else:
        assert who(purpose=chosen, **held).purpose == counts


def test_a_system_is_known_by_the_settings() -> None:
    found = who(
        purpose="audit", sub="sepsis-app", client_id="sepsis-app", scope="system/*.rs",
        extensions=None,
    )  # fmt: skip
    assert (found.system, found.role, found.purpose) == (True, "integration", "audit")


def test_a_user_of_a_client_is_no_system() -> None:
    assert not who(client_id="sepsis-app").system


def test_a_system_that_the_settings_do_not_name_is_refused() -> None:
    with pytest.raises(Refused):
        who(sub="unknown-app", client_id="unknown-app", extensions=None)


# --- scopes ------------------------------------------------------------------------------------

SCOPES = [
    # scopes, for a system, type, letter, whether it is allowed
    ("user/*.rs", False, "Patient", "r", True),
    ("user/*.rs", False, "Consent", "c", False),
    ("user/Patient.r", False, "Patient", "s", False),
    ("user/Patient.r user/Patient.s", False, "Patient", "s", True),
    ("user/Patient.read", False, "Patient", "s", True),
    ("user/Patient.write", False, "Patient", "r", False),
    ("user/*.*", False, "Consent", "c", True),
    ("user/Patient.sr", False, "Patient", "r", False),
    ("user/Observation.rs?category=laboratory", False, "Observation", "r", False),
    ("patient/*.rs", False, "Patient", "r", False),
    ("system/*.rs", False, "Patient", "r", False),
    ("system/*.rs", True, "Patient", "r", True),
    ("user/*.rs", True, "Patient", "r", False),
    ("openid", False, "Patient", "r", False),
]


@pytest.mark.parametrize(("scopes", "system", "kind", "letter", "allowed"), SCOPES)
def test_scopes(scopes: str, system: bool, kind: str, letter: str, allowed: bool) -> None:
    assert allows(granted(scopes.split(), system), kind, letter) is allowed


def test_where_scopes_are_required_a_token_without_any_grants_nothing() -> None:
    assert who(scope="openid").scopes == frozenset()
    assert who(replace(PROVIDER, scopes_required=False), scope="openid").scopes is None
