"""Wishes over HTTP: kept, read, ended, and counted from the next request on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.outcomes import Refused
from api.render_consent import DIRECTIVE_CODES, REASON, consent, directive_of
from schemas.dates import Instant
from schemas.errors import InvalidValue
from schemas.identifiers import OdsCode, PersonId
from schemas.sharing import Category, Directive, DirectiveKind, Effect, Label, Targets
from tests.api.small_demo import DOCTOR, PATIENT, SmallDemo
from tests.api.test_http import code_of, entries
from tests.api.valid import valid

NOW = Instant("2026-03-01T12:00:00Z")
WISHES = [
    Directive(directive_id="d1", kind=DirectiveKind.OPT_OUT, effect=Effect.DENY, start=NOW,
              made_by="staff ST1"),
    Directive(directive_id="d2", kind=DirectiveKind.SEAL, effect=Effect.DENY, start="2026-03",
              end="2027-01-01", made_by="staff ST1", item_key="k" * 26, invisible=True),
    Directive(directive_id="d3", kind=DirectiveKind.PARTY, effect=Effect.PERMIT, start=NOW,
              made_by="staff ST1",
              targets=Targets(organisations=frozenset({OdsCode("RA7")}), roles=frozenset({"gp"}),
                              staff=frozenset({"ST9"}), purposes=frozenset({"safeguarding"}),
                              categories=frozenset({Category.CARE_PLAN}))),
    Directive(directive_id="d4", kind=DirectiveKind.PERMISSION, effect=Effect.PERMIT, start=NOW,
              made_by="staff ST1", targets=Targets(labels=frozenset({Label.SEXUAL_HEALTH}))),
]  # fmt: skip


@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: wish.kind)
def test_a_wish_as_consent_reads_back_the_same(wish: Directive) -> None:
    written = valid(consent(PersonId("p1"), wish)) | {"status": "active"}
    again = directive_of(written, wish.made_by, NOW)
    assert again == Directive(
        **{name: getattr(wish, name) for name in wish.__dataclass_fields__}
        | {"directive_id": "new"}
    )


@given(
    body=st.recursive(
        st.none() | st.booleans() | st.text(max_size=5) | st.integers(),
        lambda held: st.lists(held, max_size=3)
        | st.dictionaries(
            st.sampled_from(["coding", "system", "code", "reference", "identifier", "value", "x"]),
            held, max_size=3,
        ),
        max_leaves=8,
    ),
    element=st.sampled_from(["category", "provision", "extension", "dateTime", "status"]),
)  # fmt: skip
def test_a_malformed_consent_is_refused_and_never_an_error_nobody_foresaw(
    body: Any, element: str
) -> None:
    whole = consent(PersonId("p1"), WISHES[0]) | {"status": "active", element: body}
    try:
        kept = directive_of(whole, "staff ST1", NOW)
    except (Refused, InvalidValue):
        return
    assert kept.kind is DirectiveKind.OPT_OUT


def body_of(person: str, **changes: Any) -> dict[str, Any]:
    wish = consent(PersonId(person), WISHES[0]) | {
        "extension": [{"url": REASON, "valueString": "Asked for it in clinic"}]
    }
    del wish["id"]
    return wish | changes


def test_an_opt_out_counts_from_the_next_request_on_and_so_does_its_end(served: SmallDemo) -> None:
    person = served.person(PATIENT)
    allergies = {"patient": person}
    assert served.search("AllergyIntolerance", DOCTOR, **allergies).json()["total"] == 1
    made = served.ask("Consent", DOCTOR, method="POST", json=body_of(person))
    assert made.status_code == 201, made.text
    kept = made.json()
    try:
        assert made.headers["Location"] == f"{served.base}/Consent/{kept['id']}"
        assert kept["category"][0]["coding"] == [{"system": DIRECTIVE_CODES, "code": "opt-out"}]
        hidden = served.search("AllergyIntolerance", DOCTOR, **allergies)
        assert hidden.json()["total"] == 0
        assert "withheld" in hidden.text
        assert served.ask(f"Consent/{kept['id']}", DOCTOR).json() == kept
        listed = entries(served.search("Consent", DOCTOR, patient=person))
        assert kept["id"] in [one["id"] for one in listed]
    finally:
        nothing = {"resourceType": "Parameters"}
        ended = served.ask(f"Consent/{kept['id']}/$end", DOCTOR, method="POST", json=nothing)
    assert ended.status_code == 200, ended.text
    assert served.search("AllergyIntolerance", DOCTOR, **allergies).json()["total"] == 1


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"extension": []}, "MISSING_VALUE"),
    ({"category": [{"text": "opt out"}]}, "INVALID_RESOURCE"),
    ({"category": [{"coding": [{"system": DIRECTIVE_CODES, "code": "x"}]}]}, "INVALID_VALUE"),
    ({"verification": [{"verified": True}]}, "INVALID_RESOURCE"),
    ({"provision": {"type": "deny", "provision": [{}]}}, "INVALID_RESOURCE"),
    ({"provision": {"type": "permit"}}, "INVALID_VALUE"),
    ({"status": "draft"}, "INVALID_RESOURCE"),
    ({"patient": {"reference": "Group/1"}}, "INVALID_RESOURCE"),
]


@pytest.mark.parametrize(("changes", "code"), REFUSED)
def test_a_consent_that_cannot_be_kept_whole_is_refused(
    served: SmallDemo, changes: Any, code: str
) -> None:
    body = body_of(served.person(PATIENT), **changes)
    answer = served.ask("Consent", DOCTOR, method="POST", json=body)
    assert (answer.status_code, code_of(answer)) == (400, code)
