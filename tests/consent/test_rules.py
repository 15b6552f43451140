"""The rules of safety and law, row by row, as tests/spec/consent_rules.txt states them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import pytest

from consent.decide import Administration, Decider
from consent.policy_files import Policies, packaged_texts
from consent.shared import Decision, Locator, Obligation, Permit, ReadDecision, Refusal, Tell
from consent.terms import Terms
from schemas.held import PersonFacts
from schemas.identifiers import OdsCode, SourceId
from schemas.sharing import (
    AccessClass,
    Category,
    ClassId,
    Directive,
    DirectiveKind,
    Label,
    Requester,
)
from tests.consent import cases
from tests.consent.oracle import Asks

SPEC = Path(__file__).parent.parent / "spec" / "consent_rules.txt"
PRACTICE = OdsCode("ZZG01")


@dataclass(frozen=True)
class Row:
    rule: str
    question: str
    asks: Asks
    answer: str


def words(cell: str) -> frozenset[str]:
    return frozenset(part for part in cell.split(" + ") if part != "-")


def rows() -> list[Row]:
    found, rule = [], ""
    for line in SPEC.read_text("utf-8").splitlines():
        if line.startswith("== "):
            rule = line[3:].split(":")[0]
        elif line and not line.startswith("#"):
            question, role, purpose, ties, wishes, person, answer = line.split(" | ")
            asks = Asks(role, purpose, words(ties), words(wishes), words(person))
            found.append(Row(rule, question, asks, answer))
    return found


ROWS = rows()


@dataclass(frozen=True)
class World:
    decider: Decider
    asks: Asks
    requester: Requester
    facts: PersonFacts


@lru_cache(maxsize=2)
def decides(policies: Policies | None = None) -> Decider:
    """These policies, or those of the package; every request is held to the schema."""
    return Decider(Terms(practices=frozenset({PRACTICE})), policies, checked=True)


def world(asks: Asks, decider: Decider) -> World:
    scope = "allergies" if "token for allergies" in asks.person else asks.scope
    asks = replace(asks, active="left" not in asks.person, scope=scope)
    facts = cases.facts(asks.person)
    if "barred" in asks.person:
        facts = replace(facts, barred_staff=frozenset({cases.ME}))
    return World(decider, asks, cases.requester(asks), facts)


def opened(now: World, _: str) -> Decision:
    decision = read(now, {})
    if isinstance(decision.opening, Permit):
        return replace(decision.opening, obligations=decision.obligations)
    return decision.opening


def read(now: World, classes: dict[ClassId, AccessClass], *seals: Directive) -> ReadDecision:
    return now.decider.may_read(
        now.requester, now.facts, cases.relationships(now.asks), cases.agreements(now.asks.purpose),
        (*cases.directives(now.asks), *seals), classes, cases.AT,
    )  # fmt: skip


def sealed(now: World, invisibly: str) -> Decision:
    seal = cases.wish(DirectiveKind.SEAL, item_key="k1", invisible=bool(invisibly))
    return read(now, {}, seal).items["k1"]


def held(thing: str) -> AccessClass:
    category, agreement, label = (
        (*thing.split(", "), "agreed", "")[:3]
        if thing.count(",") != 1
        else (*thing.split(", "), "")
    )
    custodian = PRACTICE if agreement == "practice" else cases.CUSTODIANS[agreement]
    labels = frozenset({Label(label)}) if label else frozenset[Label]()
    return AccessClass(Category(category), SourceId("s"), custodian, labels)


def reading(now: World, thing: str) -> Decision:
    return read(now, {ClassId(1): held(thing)}).classes[ClassId(1)]


def disclosing(now: World, thing: str) -> Decision:
    one = held(thing)
    provider = one.custodian or cases.OURS
    agreed = [
        replace(
            cases.agreement("agreed"),
            provider=provider,
            signed_by=frozenset({provider, cases.OURS}),
            purposes=frozenset({"planning", "research"}),
        )
        for _ in range(provider != cases.CUSTODIANS["none"])
    ]
    exemption = "regulation 5 support" if "exempt" in now.asks.person else None
    decision = now.decider.may_disclose(
        now.requester, now.facts, agreed, cases.directives(now.asks), {ClassId(1): one}, cases.AT,
        exemption=exemption,
    )  # fmt: skip
    return decision.classes[ClassId(1)]


def tracing(now: World, field: str) -> Decision:
    locators = frozenset({Locator(field)})
    (traced,) = now.decider.may_trace(now.requester, locators, [now.facts], cases.AT)
    return traced.decision


def locating(now: World, _: str) -> Decision:
    (traced,) = now.decider.may_trace(
        now.requester, frozenset({Locator.NAME}), [now.facts], cases.AT
    )
    return Permit((), ()) if traced.whereabouts else Refusal((), (), Tell.SILENT)


def glass(now: World, second: str) -> Decision:
    broken = now.decider.may_break_glass(
        now.requester, now.facts, "life-at-risk", "found without a pulse", cases.AT,
        directives=cases.directives(now.asks), second_person="ST0777" if second else None,
    )  # fmt: skip
    return broken if isinstance(broken, Refusal) else Permit((), ())


def writing(now: World, kind: str) -> Decision:
    samples = {
        DirectiveKind.SEAL: "seal allergies",
        DirectiveKind.PARTY: "deny another",
        DirectiveKind.PERMISSION: "permission adoption",
        DirectiveKind.BAR_STAFF: "bar a colleague",
    }
    wanted = cases.wishes(samples.get(DirectiveKind(kind), kind), now.asks.role)
    return now.decider.may_direct(
        now.requester, now.facts, wanted, cases.AT,
        relationships=cases.relationships(now.asks), directives=cases.directives(now.asks),
    )  # fmt: skip


QUESTIONS: dict[str, tuple[str, Callable[[World, str], Decision]]] = {
    r"open": ("open", opened),
    r"read (.*)": ("read", reading),
    r"sealed item( invisibly)?": ("unseal", sealed),
    r"flag": ("flag", lambda now, _: read(now, {}).flags),
    r"trace by (.*)": ("trace", tracing),
    r"locate": ("locate", locating),
    r"search by (.*)": (
        "search", lambda now, field: now.decider.may_search(
            now.requester, frozenset({Locator(field)})
        ),
    ),
    r"break glass( with second)?": ("break-glass", glass),
    r"write (.*)": ("direct", writing),
    r"disclose (.*)": ("disclose", disclosing),
    r"administer": (
        "administer", lambda now, _: now.decider.may_administer(
            now.requester, Administration.AGREEMENTS
        ),
    ),
}  # fmt: skip
"""How a question is put → the action that policies are asked about, and how they are asked."""


def action_of(row: Row) -> str:
    return next(a for pattern, (a, _) in QUESTIONS.items() if re.fullmatch(pattern, row.question))


def answered(row: Row, decider: Decider) -> str:
    for pattern, (_, ask) in QUESTIONS.items():
        if match := re.fullmatch(pattern, row.question):
            decision = ask(world(row.asks, decider), (match.groups() or ("",))[0] or "")
            if isinstance(decision, Refusal):
                return "silent" if decision.tell is Tell.SILENT else "told"
            return " ".join(["permit", *sorted(decision.obligations)])
    raise AssertionError(f"no such question: {row.question}")


@pytest.mark.parametrize(
    "row", ROWS, ids=lambda row: f"{row.rule}: {row.question}, {row.asks.role}"
)
def test_rule(row: Row) -> None:
    assert answered(row, decides()) == row.answer


ACTIONS = frozenset(action for action, _ in QUESTIONS.values())
ASIDE = [
    (policy.id, action)
    for policy in Policies().policies
    for action in sorted(policy.actions or ACTIONS)
    if not (action in {"read", "unseal"} and "open" in (policy.actions or ACTIONS))
]
"""Each policy for each action that it is about. Nothing of a record that does not open is read or
unsealed, whatever else is said of that: such policies are told by the opening."""
ALIKE = {
    ("denied", "unseal"),
    ("denied-invisibly", "unseal"),
    # What is asked has no person in it.
    ("former-identity", "administer"),
    ("former-identity", "search"),
    # Neither the person nor a proxy has a power that permits it, and that is not told either.
    ("only-the-own-record", "flag"),
    ("only-the-own-record", "locate"),
    ("only-the-own-record", "trace"),
    # What permits it says the same.
    ("proxy-must-stand", "direct"),
}
"""Where another policy gives the same answer. A single item is never denied, only sealed."""


@pytest.mark.parametrize(("policy_id", "action"), ASIDE)
def test_a_policy_put_aside_for_one_action_changes_an_answer(policy_id: str, action: str) -> None:
    texts = dict(packaged_texts())
    for name, text in texts.items():
        parts = [
            f'\nunless {{ action == Action::"{action}" }};'.join(part.rsplit(";", 1))
            if f'@id("{policy_id}")' in part
            else part
            for part in text.split("\n\n")
        ]
        texts[name] = "\n\n".join(parts)
    assert texts != packaged_texts()
    without = decides(Policies(texts))
    asked = [row for row in ROWS if action_of(row) == action]
    changed = any(answered(row, without) != row.answer for row in asked)
    assert changed == ((policy_id, action) not in ALIKE)


def test_every_rule_that_decides_has_a_table() -> None:
    assert {row.rule for row in ROWS} == {
        "Sharing", *(f"Rule {n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 10))
    }  # fmt: skip


def test_every_obligation_is_met_with() -> None:
    told = {word for row in ROWS for word in row.answer.split()[1:]}
    assert told == {one.value for one in Obligation}
