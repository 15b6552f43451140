"""Tokens: which count, which do not, and that a refusal says nothing of what stood in them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey

from api.outcomes import Refused
from api.providers import ASK_AGAIN_SECONDS, STALE_SECONDS
from api.tokens import MAX_TOKEN
from tests.api.signing import (
    KEY,
    NOW,
    PROVIDER,
    RSA,
    Idp,
    Times,
    checker,
    confused,
    signed,
    unsigned,
)

OTHER = ECKey.generate_key("P-256", parameters={"kid": "first"})


@pytest.mark.parametrize("key", [KEY, RSA], ids=["ES256", "RS256"])
def test_a_token_of_the_provider_counts(key: Any) -> None:
    checked = checker(Idp(KEY, RSA), Times()).check(signed(key))
    assert checked.claims["sub"] == "ST000001"
    assert checked.provider.issuer == PROVIDER.issuer


CASES = [
    # what is wrong, the token, the code, what the refusal says
    ("unsigned", unsigned(), "INVALID_TOKEN", "no signed JWT"),
    ("alg none with a signature", unsigned() + "AAAA", "INVALID_TOKEN", "a kind that is not"),
    ("public key as a secret", confused(), "INVALID_TOKEN", "a kind that is not accepted"),
    ("another's key", signed(OTHER), "INVALID_TOKEN", "fits none"),
    ("changed claims", signed()[:-6] + "AAAAAA", "INVALID_TOKEN", "fits none"),
    ("expired", signed(exp=NOW - 31), "EXPIRED_TOKEN", "expired"),
    ("not yet", signed(nbf=NOW + 31), "INVALID_TOKEN", "not valid yet"),
    ("issued tomorrow", signed(iat=NOW + 86_400, exp=NOW + 86_460), "INVALID_TOKEN", "not valid"),
    ("no end", signed(exp=None), "INVALID_TOKEN", "claim exp"),
    ("an end that is no number", signed(exp="soon"), "INVALID_TOKEN", "claim exp"),
    ("endless", signed(exp=NOW + 721 * 60), "INVALID_TOKEN", "lives longer"),
    ("another issuer", signed(iss="https://other.example"), "INVALID_TOKEN", "none that this"),
    ("issuer of another form", signed(iss=["https://idp.example"]), "INVALID_TOKEN", "none that"),
    ("issuer with a slash", signed(iss=PROVIDER.issuer + "/"), "INVALID_TOKEN", "none that"),
    ("another audience", signed(aud="https://other.example"), "INVALID_TOKEN", "another service"),
    ("no audience", signed(aud=None), "INVALID_TOKEN", "another service"),
    ("an ID token by its nonce", signed(nonce="x"), "INVALID_TOKEN", "ID token"),
    ("an ID token by its type", signed(header={"typ": "id+jwt"}), "INVALID_TOKEN", "not an access"),
    ("a critical header", signed(header={"crit": ["b64"], "b64": True}), "INVALID_TOKEN", "not an"),
    ("five parts", "a.b.c.d.e", "INVALID_TOKEN", "no signed JWT"),
    ("not base64", "é.é.é", "INVALID_TOKEN", "no signed JWT"),
    ("too long", "a." + "b" * MAX_TOKEN + ".c", "INVALID_TOKEN", "no signed JWT"),
]


@pytest.mark.parametrize(("_", "token", "code", "says"), CASES, ids=[case[0] for case in CASES])
def test_a_token_that_does_not_count(_: str, token: str, code: str, says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        checker(Idp(KEY, RSA), Times()).check(token)
    assert caught.value.code == code
    assert caught.value.headers["WWW-Authenticate"].startswith("Bearer")
    assert "ST000001" not in caught.value.message
    assert "other.example" not in caught.value.message


def test_several_audiences_and_an_edge_of_the_leeway_count() -> None:
    check = checker(Idp(KEY), Times())
    check.check(signed(aud=["https://other.example", PROVIDER.audience]))
    check.check(signed(exp=NOW - 30, nbf=NOW - 600))


@given(
    token=st.text(max_size=200) | st.binary(max_size=90).map(lambda b: b.hex().replace("0", "."))
)
def test_nothing_that_can_be_sent_is_an_error_nobody_foresaw(token: str) -> None:
    with pytest.raises(Refused):
        checker(Idp(KEY), Times()).check(token)


# --- keys --------------------------------------------------------------------------------------


def test_a_new_key_counts_once_the_provider_names_it() -> None:
    idp, times = Idp(KEY), Times()
    check = checker(idp, times)
    check.check(signed())
    fresh = ECKey.generate_key("P-256", parameters={"kid": "second"})
    idp.keys.append(fresh)
    times.now += ASK_AGAIN_SECONDS
    assert check.check(signed(fresh)).claims["sub"]
    assert idp.asked == 2


def test_a_key_that_was_withdrawn_no_longer_counts() -> None:
    idp, times = Idp(KEY, RSA), Times()
    check = checker(idp, times)
    check.check(signed(RSA))
    idp.keys.remove(RSA)
    times.now += 601
    with pytest.raises(Refused, match="fits none"):
        check.check(signed(RSA, exp=NOW + 1_200))


def test_a_signature_that_was_seen_to_fit_counts_while_its_key_and_its_time_do() -> None:
    idp, times = Idp(KEY, RSA), Times()
    check, token = checker(idp, times), signed(RSA, exp=NOW + 1_200)
    first = check.check(token)
    assert check.check(token) == first
    with pytest.raises(Refused, match="fits none"):
        check.check(f"{token[:-6]}AAAAAA")
    idp.keys.remove(RSA)
    assert check.check(token) == first
    times.now = NOW + 601
    with pytest.raises(Refused, match="fits none"):
        check.check(token)
    idp.keys.append(RSA)
    times.now = NOW + 1_202
    assert check.check(token) == first
    times.now = NOW + 1_231
    with pytest.raises(Refused, match="expired"):
        check.check(token)


def test_made_up_key_names_do_not_make_us_ask_again_and_again() -> None:
    idp = Idp(KEY)
    check = checker(idp, Times())
    for n in range(20):
        made_up = ECKey.generate_key("P-256", parameters={"kid": f"made up {n}"})
        with pytest.raises(Refused):
            check.check(signed(made_up))
    assert idp.asked == 1


def test_while_the_provider_is_away_its_keys_count_for_a_day() -> None:
    idp, times = Idp(KEY), Times()
    check = checker(idp, times)
    check.check(signed())
    idp.down = True
    times.now += STALE_SECONDS - 60
    check.check(signed(iat=times.now, exp=times.now + 60))
    times.now += 120
    with pytest.raises(Refused) as caught:
        check.check(signed(iat=times.now, exp=times.now + 60))
    assert caught.value.code == "UNAVAILABLE"
    assert "Retry-After" in caught.value.headers


def test_a_provider_that_names_another_issuer_gives_no_keys() -> None:
    with pytest.raises(Refused) as caught:
        checker(Idp(KEY, issuer="https://other.example"), Times()).check(signed())
    assert caught.value.code == "UNAVAILABLE"


def test_a_shared_secret_among_the_keys_does_not_count() -> None:
    idp = Idp(KEY)
    secret = OctKey.generate_key(256, parameters={"kid": "secret"})
    idp.keys.append(secret)
    with pytest.raises(Refused, match="not accepted"):
        checker(idp, Times()).check(signed(secret))
