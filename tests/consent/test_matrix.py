"""Every decision against a second opinion: role by purpose by relationship by wish by person by
agreement by label by category. A leak or a wrongful refusal in any case fails."""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import product

import pytest

from consent.decide import Decider
from consent.policy_files import Policies, packaged_texts
from consent.roles import ROLES
from consent.shared import Decision, Obligation, Permit, Tell
from schemas.codes import PURPOSES
from tests.consent import oracle
from tests.consent.cases import (
    AT,
    LABEL_WORDS,
    PERSON_WORDS,
    TIE_WORDS,
    WISH_WORDS,
    agreements,
    directives,
    facts,
    relationships,
    requester,
    things,
)
from tests.consent.oracle import Answer, Asks

VALID = [(role, purpose) for role, its in oracle.PURPOSES.items() for purpose in sorted(its)]


@pytest.fixture(scope="module")
def decider() -> Decider:
    return Decider()


def words(text: str) -> frozenset[str]:
    return frozenset(part for part in text.split(" + ") if part)


def word_of(decision: Decision) -> str:
    if isinstance(decision, Permit):
        return "permit"
    return "silent" if decision.tell is Tell.SILENT else "told"


def differences(
    decider: Decider, asks: Asks, labels: tuple[str | None, ...]
) -> tuple[int, list[str]]:
    """How many cases were compared, and where the two opinions differ."""
    held = things(labels)
    decision = decider.may_read(
        requester(asks),
        facts(asks.person),
        relationships(asks),
        agreements(asks.purpose),
        directives(asks),
        {key: one for key, (_, one) in held.items()},
        AT,
    )
    found: list[str] = []
    opening = oracle.opening(asks)
    if word_of(decision.opening) != opening.word:
        found.append(f"opening {asks}: {opening.word} expected, {decision.opening}")
    if opening.word == "permit" and decision.obligations != set(opening.obliges):
        found.append(f"obligations {asks}: {sorted(opening.obliges)} expected")
    flags = oracle.flags(asks).word == "permit"
    if isinstance(decision.flags, Permit) != flags:
        found.append(f"flags {asks}: {flags} expected, {decision.flags}")
    for key, (thing, _) in held.items():
        wanted, got = oracle.reading(asks, thing), decision.classes[key]
        if not same(wanted, got):
            found.append(f"{asks} {thing}: {wanted} expected, {got}")
    return len(held) + 2, found


def same(wanted: Answer, got: Decision) -> bool:
    if word_of(got) != wanted.word:
        return False
    return not isinstance(got, Permit) or got.obligations == {
        Obligation(one) for one in wanted.obliges
    }


def run(
    decider: Decider, cases: Iterable[Asks], rng: random.Random, labels: int
) -> tuple[int, list[str]]:
    compared, found = 0, list[str]()
    for asks in cases:
        chosen = tuple(sorted(rng.sample(LABEL_WORDS, labels), key=str))
        number, differ = differences(decider, asks, chosen)
        compared += number
        found += differ
    return compared, found


def drawn(rng: random.Random, number: int) -> Iterator[Asks]:
    """Cases drawn at random, of each role and purpose in turn, one word or two of each kind."""
    for n in range(number):
        role, purpose = VALID[n % len(VALID)]
        take = rng.choice((1, 2))
        yield Asks(
            role,
            purpose if rng.random() < 0.9 else rng.choice(sorted(PURPOSES)),
            words(" + ".join(_ties(rng, take))),
            frozenset(rng.sample(WISH_WORDS, take)),
            words(" + ".join(rng.sample(PERSON_WORDS, take)))
            if rng.random() < 0.6
            else frozenset(),
            active=rng.random() < 0.97,
            scope="all" if rng.random() < 0.9 else "allergies",
        )


def _ties(rng: random.Random, take: int) -> list[str]:
    """Words for relationships, of broken glass one at most."""
    chosen = rng.sample(TIE_WORDS, take) if rng.random() < 0.6 else ["related"]
    glass = [word for word in chosen if word.startswith("glass")]
    return [word for word in chosen if word not in glass[1:]]


def pairwise() -> Iterator[Asks]:
    """Every role and purpose with every relationship, every wish and every state of the person, one
    at a time."""
    for (role, purpose), tie in product(VALID, TIE_WORDS):
        yield Asks(role, purpose, words(tie))
    for (role, purpose), wish in product(VALID, WISH_WORDS):
        yield Asks(role, purpose, frozenset({"related"}), frozenset({wish}))
    for (role, purpose), person in product(VALID, PERSON_WORDS):
        yield Asks(role, purpose, frozenset({"related"}), frozenset(), words(person))


def test_the_table_of_roles_names_the_same_roles() -> None:
    assert ROLES.keys() == oracle.READS.keys() == oracle.PURPOSES.keys()


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_purpose_that_the_role_does_not_have_opens_nothing(decider: Decider, role: str) -> None:
    for purpose in sorted(PURPOSES.keys() - oracle.PURPOSES[role]):
        asks = Asks(role, purpose, frozenset({"related"}), frozenset({"permit us"}))
        compared, found = differences(decider, asks, (None,))
        assert compared > 100
        assert not found, found[:3]


def test_a_hundred_thousand_cases_drawn(decider: Decider) -> None:
    rng = random.Random(20260301)
    compared, found = run(decider, drawn(rng, 220), rng, 2)
    assert compared >= 100_000
    assert not found, f"{len(found)} of {compared}: {found[:5]}"


def test_requests_fit_the_schema(decider: Decider) -> None:
    """Held to the schema, Cedar answers the same."""
    rng = random.Random(7)
    strict = Decider(checked=True)
    _, found = run(strict, drawn(rng, 12), rng, 2)
    assert not found, found[:3]


def crossed() -> Iterator[Asks]:
    """Every relationship with every wish, of each role and purpose in turn."""
    for n, (tie, wish) in enumerate(product(TIE_WORDS, WISH_WORDS)):
        yield Asks(*VALID[n % len(VALID)], words(tie), frozenset({wish}))


@pytest.mark.slow
def test_an_eighth_of_every_role_and_purpose_with_each_tie_wish_and_person(
    decider: Decider,
) -> None:
    """The whole is a long run: `python -m tests.consent.test_matrix`."""
    rng = random.Random(1)
    compared, found = run(decider, (x for x in pairwise() if rng.random() < 1 / 8), rng, 2)
    assert compared >= 150_000
    assert not found, f"{len(found)} of {compared}: {found[:5]}"


def without(policy_id: str) -> Policies:
    """The policies, but one."""
    texts = {
        name: "\n\n".join(part for part in text.split("\n\n") if f'@id("{policy_id}")' not in part)
        for name, text in packaged_texts().items()
    }
    return Policies(texts)


READING = sorted(
    policy.id
    for policy in Policies().policies
    if not policy.otherwise and (not policy.actions or policy.actions & {"open", "read", "flag"})
)


@pytest.mark.slow
@pytest.mark.parametrize("policy_id", READING)
def test_a_policy_less_is_noticed(policy_id: str) -> None:
    """The second opinion tells each policy's absence: none of them is idle, none unwatched."""
    mutilated = Decider(policies=without(policy_id))
    rng = random.Random(3)
    shuffled = list(pairwise())
    rng.shuffle(shuffled)
    shuffled.sort(key=lambda asks: asks.purpose != "own-record")
    noticed = any(
        differences(mutilated, asks, (None, *rng.sample(LABEL_WORDS, 2)))[1]
        for asks in [*nearest(policy_id, shuffled)[:40], *drawn(rng, 150), *shuffled[:600]]
    )
    assert noticed


def nearest(policy_id: str, shuffled: list[Asks]) -> list[Asks]:
    """The cases, first those that have the rarest words in common with the policy's text: they most
    likely meet it."""
    told = [_tokens(asks.purpose, *asks.ties, *asks.wishes, *asks.person) for asks in shuffled]
    often = Counter(word for words in told for word in words)
    (text,) = (
        part
        for file in packaged_texts().values()
        for part in file.split("\n\n")
        if f'@id("{policy_id}")' in part
    )
    wanted = _tokens(text)
    near = [sum(1 / often[word] for word in words & wanted) for words in told]
    order = sorted(range(len(shuffled)), key=lambda n: -near[n])
    return [shuffled[n] for n in order]


def _tokens(*texts: str) -> frozenset[str]:
    return frozenset(re.findall("[a-z]{3,}", " ".join(texts).lower()))


def main() -> str | None:
    """Compares the whole: every role and purpose with every relationship, wish and state of the
    person; then every relationship with every wish."""
    total, rng, decider = 0, random.Random(1), Decider()
    for cases in (pairwise(), crossed()):
        compared, found = run(decider, cases, rng, 2)
        total += compared
        if found:
            return f"{len(found)} of {compared}: {found[:5]}"
    print(f"{total:,} cases: no leak, no wrongful refusal")
    return None


if __name__ == "__main__":
    sys.exit(main())
