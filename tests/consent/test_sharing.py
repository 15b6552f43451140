"""What cannot be built: values that no decision could be made on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from schemas.dates import Instant, PartialDate
from schemas.errors import InvalidValue
from schemas.identifiers import OdsCode
from schemas.sharing import (
    BreakGlass,
    Category,
    Directive,
    DirectiveKind,
    Effect,
    RelationshipKind,
    Requester,
    Targets,
)
from tests.consent import cases

BASIS = ("article_6", "article_9", "schedule_1", "confidentiality", "gateway")


@pytest.mark.parametrize("name", BASIS)
def test_an_agreement_states_its_basis(name: str) -> None:
    with pytest.raises(InvalidValue, match=name.replace("_", " ")):
        cases.agreement("agreed", **{name: " "})


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"version": 0}, "versions from 1"),
        ({"agreement_id": ""}, "an id"),
        ({"receiver": cases.CUSTODIANS["agreed"]}, "two organisations"),
        ({"end": PartialDate("2024-01-01")}, "ends after"),
        ({"categories": frozenset()}, "categories and purposes"),
        ({"purposes": frozenset()}, "categories and purposes"),
        ({"purposes": frozenset({"curiosity"})}, "unknown purposes"),
        ({"signed_by": frozenset({OdsCode("ZZQ99")})}, "signed by its two"),
    ],
)
def test_agreements_at_fault(more: dict[str, object], fault: str) -> None:
    with pytest.raises(InvalidValue, match=fault):
        cases.agreement("agreed", **more)


def directive(kind: DirectiveKind, effect: Effect, **more: object) -> Directive:
    return replace(cases.wish(DirectiveKind.OPT_OUT), kind=kind, effect=effect, **more)  # type: ignore[arg-type]


ALLERGIES = Targets(categories=frozenset({Category.ALLERGY}))


@pytest.mark.parametrize(
    ("build", "fault"),
    [
        (lambda: directive(DirectiveKind.OPT_OUT, Effect.PERMIT), "denies"),
        (lambda: directive(DirectiveKind.BAR_STAFF, Effect.DENY), "names staff"),
        (lambda: directive(DirectiveKind.SEAL, Effect.DENY), "an item or categories"),
        (lambda: directive(DirectiveKind.PARTY, Effect.DENY), "names some"),
        (lambda: directive(DirectiveKind.PERMISSION, Effect.PERMIT), "names the labels"),
        (lambda: directive(DirectiveKind.OPT_OUT, Effect.DENY, item_key="k"), "only a seal"),
        (lambda: directive(DirectiveKind.OPT_OUT, Effect.DENY, made_by=""), "a maker"),
        (lambda: cases.tie(kind=RelationshipKind.CLAIMED), "names the member of staff"),
        (lambda: _requester(purpose="curiosity"), "a purpose is one of"),
        (lambda: _requester(staff_id=""), "needs an id"),
        (lambda: _glass(reason="curiosity"), "one of these reasons"),
        (lambda: _glass(text="urgent"), "in words"),
        (lambda: _glass(expires=Instant("2026-03-01T09:00:00Z")), "ends after"),
    ],
)
def test_what_cannot_be_built(build: Callable[[], object], fault: str) -> None:
    with pytest.raises(InvalidValue, match=fault):
        build()


def test_what_can_be_built() -> None:
    assert directive(DirectiveKind.SEAL, Effect.DENY, targets=ALLERGIES).targets == ALLERGIES
    assert directive(DirectiveKind.SEAL, Effect.DENY, item_key="k").item_key == "k"
    assert _requester().purpose == "direct-care"
    assert _glass().reason == "life-at-risk"


def _requester(**more: object) -> Requester:
    fields: dict[str, object] = {
        "staff_id": "ST1", "organisation": cases.OURS, "role": "doctor", "purpose": "direct-care",
        "active": True,
    }  # fmt: skip
    return Requester(**(fields | more))  # type: ignore[arg-type]


def _glass(**more: object) -> BreakGlass:
    fields: dict[str, object] = {
        "reason": "life-at-risk", "text": "found without a pulse", "person": cases.PERSON,
        "at": cases.AT, "expires": Instant("2026-03-01T11:00:00Z"),
    }  # fmt: skip
    return BreakGlass(**(fields | more))  # type: ignore[arg-type]
