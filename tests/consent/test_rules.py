"""The rules of safety and law, row by row, as tests/spec/consent_rules.txt states them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from consent.decide import Administration, Decider
from consent.shared import Decision, Locator, Obligation, Permit, Refusal, Tell
from consent.terms import Terms
from schemas.held import PersonFacts
from schemas.identifiers import OdsCode, SourceId
from schemas.sharing import AccessClass, Category, ClassId, DirectiveKind, Label, Requester
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


def world(asks: Asks) -> World:
    asks = replace(asks, active="left" not in asks.person)
    facts = cases.facts(asks.person)
    if "barred" in asks.person:
        facts = replace(facts, barred_staff=frozenset({cases.ME}))
    decider = Decider(Terms(practices=frozenset({PRACTICE})), checked=True)
    return World(decider, asks, cases.requester(asks), facts)


def opened(now: World, _: str) -> Decision:
    decision = read(now, {})
    if isinstance(decision.opening, Permit):
        return replace(decision.opening, obligations=decision.obligations)
    return decision.opening


def read(now: World, classes: dict[ClassId, AccessClass]):  # type: ignore[no-untyped-def]
    return now.decider.may_read(
        now.requester, now.facts, cases.relationships(now.asks), cases.agreements(now.asks.purpose),
        cases.directives(now.asks), classes, cases.AT,
    )  # fmt: skip


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
    agreed = [
        replace(
            cases.agreement("agreed"),
            provider=one.custodian or cases.OURS,
            signed_by=frozenset({one.custodian or cases.OURS, cases.OURS}),
            purposes=frozenset({"planning", "research"}),
        )
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


QUESTIONS: dict[str, Callable[[World, str], Decision]] = {
    r"open": opened,
    r"read (.*)": reading,
    r"flag": lambda now, _: read(now, {}).flags,
    r"trace by (.*)": tracing,
    r"locate": locating,
    r"search by (.*)": lambda now, field: now.decider.may_search(
        now.requester, frozenset({Locator(field)})
    ),
    r"break glass( with second)?": glass,
    r"write (.*)": writing,
    r"disclose (.*)": disclosing,
    r"administer": lambda now, _: now.decider.may_administer(
        now.requester, Administration.AGREEMENTS
    ),
}


def answered(row: Row) -> str:
    for pattern, ask in QUESTIONS.items():
        if match := re.fullmatch(pattern, row.question):
            decision = ask(world(row.asks), (match.groups() or ("",))[0] or "")
            if isinstance(decision, Refusal):
                return "silent" if decision.tell is Tell.SILENT else "told"
            return " ".join(["permit", *sorted(decision.obligations)])
    raise AssertionError(f"no such question: {row.question}")


@pytest.mark.parametrize(
    "row", ROWS, ids=lambda row: f"{row.rule}: {row.question}, {row.asks.role}"
)
def test_rule(row: Row) -> None:
    assert answered(row) == row.answer


def test_every_rule_that_decides_has_a_table() -> None:
    assert {row.rule for row in ROWS} == {
        "Sharing", *(f"Rule {n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 10))
    }  # fmt: skip


def test_every_obligation_is_met_with() -> None:
    told = {word for row in ROWS for word in row.answer.split()[1:]}
    assert told == {one.value for one in Obligation}
