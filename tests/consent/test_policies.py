"""The policies themselves: checked when read, said in words, the page for IG officers current."""

from __future__ import annotations

from pathlib import Path

import pytest

from consent.decide import Decider
from consent.explain import explain, page
from consent.policy_files import Policies, packaged_texts
from consent.roles import COLUMNS, ROLES
from consent.shared import Permit, Refusal, Tell
from schemas.codes import PURPOSES
from schemas.errors import SettingsError
from schemas.items import Heading
from schemas.sharing import ACT_REASONS, PERSONAL, AccessClass, Category, ClassId
from tests.consent import cases
from tests.consent.oracle import Asks

ROOT = Path(__file__).parent.parent.parent
POLICY = """@id("x") @sentence("X.") @rule("4") @tell("silent")
forbid (principal, action == Action::"open", resource) when { context.barred };"""


def test_the_page_of_sentences_is_current() -> None:
    assert (ROOT / "docs" / "policies.md").read_text("utf-8") == page()


def test_every_policy_is_said_on_the_page() -> None:
    text = page()
    policies = Policies().policies
    assert len(policies) > 50
    for policy in policies:
        assert policy.sentence.endswith(".")
        assert explain(policy) in text
        assert f"**{policy.id}**" in text


def test_every_heading_is_in_one_column_of_the_table_of_roles() -> None:
    placed = [one for categories in COLUMNS.values() for one in categories]
    assert len(placed) == len(set(placed))
    assert set(placed) == set(Category) - {Category.UNCLASSIFIED}
    assert {one.value for one in Category} == {h.value for h in Heading} | {
        one.value for one in PERSONAL
    }


def test_every_purpose_has_a_reason_on_the_wire_and_a_role() -> None:
    assert ACT_REASONS.keys() == PURPOSES.keys()
    assert len(set(ACT_REASONS.values())) == len(ACT_REASONS)
    assert set().union(*(role.purposes for role in ROLES.values())) == PURPOSES.keys()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (POLICY.replace('@id("x") ', ""), "@id is missing"),
        (POLICY.replace('@sentence("X.") ', ""), "@sentence is missing"),
        (POLICY.replace('@tell("silent")', ""), "@tell belongs to what forbids"),
        (POLICY.replace("silent", "loudly"), "@tell is one of"),
        (POLICY.replace("silent", "may be told"), "whom to @ring"),
        (POLICY.replace("@rule", '@colour("red") @rule'), "@colour is unknown"),
        (POLICY.replace("forbid", '@obliges("tea") forbid'), "@obliges is one of"),
        (POLICY.replace("context.barred", "context.bared"), "bared"),
        (POLICY.replace("context.barred", "context.barred +"), "unexpected token"),
        (POLICY + POLICY, "two policies have the id x"),
        (POLICY, "no policy has @otherwise for open"),
    ],
)
def test_policies_at_fault_are_refused(text: str, fault: str) -> None:
    with pytest.raises(SettingsError, match=fault):
        Policies({"x.cedar": text})


def test_a_schema_at_fault_is_refused() -> None:
    with pytest.raises(SettingsError, match="schema"):
        Policies(schema="entity {")


def test_a_policy_that_fails_refuses() -> None:
    """An evaluation error of a forbidding policy must not let anybody through."""
    texts = dict(packaged_texts())
    texts["99.cedar"] = """@id("overflow") @sentence("X.") @rule("4") @tell("silent")
    forbid (principal, action == Action::"open", resource)
    when { 9223372036854775807 + 1 == 0 };"""
    decider = Decider(policies=Policies(texts))
    asks = Asks("doctor", "direct-care", frozenset({"related"}))
    decision = decider.may_read(
        cases.requester(asks), cases.facts(asks.person), cases.relationships(asks), (), (), {},
        cases.AT,
    )  # fmt: skip
    assert isinstance(decision.opening, Refusal)
    assert decision.opening.policies == ("policy-error",)


def read(asks: Asks, thing: AccessClass) -> Permit | Refusal:
    decision = Decider().may_read(
        cases.requester(asks), cases.facts(asks.person), cases.relationships(asks),
        cases.agreements(asks.purpose), cases.directives(asks), {ClassId(1): thing}, cases.AT,
    )  # fmt: skip
    return decision.classes[ClassId(1)]


ALLERGY = AccessClass(Category.ALLERGY, cases.SourceId("gp"), cases.CUSTODIANS["agreed"])


def test_a_permit_says_by_which_policy() -> None:
    decision = read(Asks("doctor", "direct-care", frozenset({"related"})), ALLERGY)
    assert isinstance(decision, Permit)
    assert decision.policies == ("role-reads",)
    assert decision.reasons == ("A role may read the headings that the table of roles gives it.",)


def test_a_refusal_says_why_whom_to_ring_and_what_would_change_it() -> None:
    asks = Asks(
        "doctor", "direct-care", frozenset({"related"}), frozenset({"seal allergies", "deny us"})
    )
    decision = read(asks, ALLERGY)
    assert isinstance(decision, Refusal)
    assert decision.policies == ("denied", "sealed")
    assert len(decision.reasons) == 2
    assert decision.ring is not None
    assert decision.remedies == ("ask the person", "break the glass, if the role may")


def test_whom_to_ring_about_a_sealed_item_is_its_custodian() -> None:
    asks = Asks("doctor", "direct-care", frozenset({"related"}), frozenset({"seal allergies"}))
    decision = read(asks, ALLERGY)
    assert isinstance(decision, Refusal)
    assert decision.ring is not None
    assert (decision.ring.office, decision.ring.organisation) == (
        "records desk", cases.CUSTODIANS["agreed"],
    )  # fmt: skip


def test_a_role_that_breaks_no_glass_is_not_told_to() -> None:
    asks = Asks(
        "physiotherapist", "direct-care", frozenset({"related"}), frozenset({"seal allergies"})
    )
    decision = read(asks, ALLERGY)
    assert isinstance(decision, Refusal)
    assert decision.remedies == ("ask the person",)


def test_a_silent_refusal_says_nothing_and_can_escalate() -> None:
    asks = Asks("doctor", "direct-care", frozenset({"related"}), frozenset({"bar me"}))
    decision = read(asks, ALLERGY)
    assert isinstance(decision, Refusal)
    assert (decision.tell, decision.ring, decision.remedies) == (Tell.SILENT, None, ())
    assert decision.escalate
    assert "barred-staff" in decision.policies


def test_break_glass_lasts_an_hour_and_needs_its_words() -> None:
    decider, asks = Decider(), Asks("doctor", "direct-care")
    who, facts = cases.requester(asks), cases.facts(asks.person)
    broken = decider.may_break_glass(who, facts, "unconscious", "found in the street", cases.AT)
    assert not isinstance(broken, Refusal)
    assert (broken.at, broken.expires) == (cases.AT, "2026-03-01T11:00:00Z")
    for reason, text in (("curiosity", "found in the street"), ("unconscious", "urgent")):
        with pytest.raises(Exception, match="break-glass needs"):
            decider.may_break_glass(who, facts, reason, text, cases.AT)


def test_what_is_taken_back_counts_from_the_next_request() -> None:
    """No decision is kept: the same decider answers anew."""
    decider, asks = Decider(), Asks("doctor", "direct-care", frozenset({"related"}))
    held = {ClassId(1): ALLERGY}
    facts = cases.facts(asks.person)
    for wishes, permitted in (((), True), (("opt-out",), False), ((), True)):
        decision = decider.may_read(
            cases.requester(asks), facts, cases.relationships(asks),
            cases.agreements(asks.purpose), [cases.wishes(w, asks.role) for w in wishes], held,
            cases.AT,
        )  # fmt: skip
        assert bool(decision.permitted) == permitted
    gone = decider.may_read(
        cases.requester(asks), facts, (), cases.agreements(asks.purpose), (), held, cases.AT
    )
    assert not gone.permitted


def test_single_sealed_items_are_decided_by_themselves() -> None:
    asks = Asks("doctor", "direct-care", frozenset({"related"}))
    told, locked = (
        cases.wish(cases.DirectiveKind.SEAL, item_key=key, invisible=invisible)
        for key, invisible in (("k1", False), ("k2", True))
    )
    for ties, hidden in (({"related"}, {"k1", "k2"}), ({"related", "glass"}, {"k2"})):
        asks = Asks("doctor", "direct-care", frozenset(ties))
        decision = Decider().may_read(
            cases.requester(asks), cases.facts(asks.person), cases.relationships(asks),
            cases.agreements(asks.purpose), [told, locked], {ClassId(1): ALLERGY}, cases.AT,
        )  # fmt: skip
        assert decision.hidden_items == hidden
        assert decision.permitted == {1}
