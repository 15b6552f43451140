"""When two people are needed, and what a decision contradicts: a truth table, and a naive check."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dates import Instant
from schemas.decisions import Decision, Origin, Standing, Verdict
from schemas.settings import ReviewSettings
from service.acting import Acting
from service.forecast import Forecast, needs_second, what_follows

SAME, DIFFERENT, UNDECIDED = Verdict
GUARD = "born the same day with different forenames (twins)"
FORBIDDEN = "a guard rail forbids it"
CHAINED = "with what was decided before it joins records that a guard rail keeps apart"
LARGE = "it would make a very large person"


@pytest.mark.parametrize(
    ("size", "guard", "chained", "above", "needed"),
    [
        # records, guard rail, one among what follows, [review] two_people_above, why a second
        (2, None, None, 8, ""),
        (8, None, None, 8, ""),
        (9, None, None, 8, LARGE),
        (2, GUARD, None, 8, FORBIDDEN),
        (9, GUARD, GUARD, 8, FORBIDDEN),
        (3, None, GUARD, 8, CHAINED),
        (9, None, GUARD, 8, CHAINED),
        (2, None, None, 1, LARGE),
        (40, None, None, 100, ""),
    ],
)
def test_when_a_second_person_is_needed(
    size: int, guard: str | None, chained: str | None, above: int, needed: str
) -> None:
    settings = ReviewSettings(two_people_above=above)
    assert needs_second(Forecast(size, guard, chained), settings) == needed


def decided(number: int, left: int, right: int, verdict: Verdict) -> Decision:
    return Decision(
        left=min(left, right),
        right=max(left, right),
        left_version=1,
        right_version=1,
        verdict=verdict,
        standing=Standing.LIVE,
        origin=Origin.REVIEW,
        reason="seen",
        author="ann",
        decided_at=Instant("2026-11-02T03:00:00Z"),
        decision_id=number,
        act=number,
    )


def acting(*rows: tuple[int, int, Verdict]) -> Acting:
    return Acting(tuple(decided(n, *row) for n, row in enumerate(rows, 1)))


@pytest.mark.parametrize(
    ("held", "asked", "against"),
    [
        pytest.param([], (1, 2, SAME), [], id="nothing decided"),
        pytest.param([(1, 2, SAME)], (1, 2, DIFFERENT), [1], id="directly"),
        pytest.param([(1, 2, DIFFERENT)], (1, 2, SAME), [1], id="directly, the other way"),
        pytest.param([(1, 2, SAME)], (1, 2, SAME), [], id="the same again"),
        pytest.param([(1, 2, SAME), (2, 3, SAME)], (1, 3, DIFFERENT), [1, 2], id="A=B, B=C, A!=C"),
        pytest.param([(1, 2, SAME), (2, 3, DIFFERENT)], (1, 3, SAME), [1, 2], id="A=B, B!=C, A=C"),
        pytest.param([(1, 2, SAME), (2, 3, DIFFERENT)], (1, 3, DIFFERENT), [], id="A!=C follows"),
        pytest.param([(1, 2, DIFFERENT), (2, 3, DIFFERENT)], (1, 3, SAME), [], id="A!=B, B!=C"),
        pytest.param(
            [(1, 2, SAME), (3, 4, SAME), (2, 4, DIFFERENT)], (1, 3, SAME), [1, 2, 3],
            id="two chains and a wall between",
        ),
        pytest.param([(1, 2, SAME), (5, 6, DIFFERENT)], (1, 5, SAME), [], id="a wall elsewhere"),
        pytest.param([(1, 2, SAME)], (1, 2, UNDECIDED), [], id="undecided contradicts nothing"),
    ],
)  # fmt: skip
def test_what_a_decision_contradicts(
    held: list[tuple[int, int, Verdict]], asked: tuple[int, int, Verdict], against: list[int]
) -> None:
    assert [d.decision_id for d in acting(*held).contradicted(*asked)] == against


def consistent(rows: list[tuple[int, int, Verdict]]) -> bool:
    """Naively: whether some partition of the records fits all."""
    group = {n: n for row in rows for n in row[:2]}
    for _ in rows:
        for a, b, verdict in rows:
            if verdict is SAME:
                group[a] = group[b] = min(group[a], group[b])
    return all(group[a] != group[b] for a, b, verdict in rows if verdict is DIFFERENT)


PAIRS = st.tuples(st.sampled_from(list(combinations(range(1, 7), 2))), st.sampled_from(Verdict))


@given(st.lists(PAIRS, max_size=14))
def test_what_is_let_in_can_stand_together(offered: list[tuple[tuple[int, int], Verdict]]) -> None:
    kept: list[tuple[int, int, Verdict]] = []
    for (a, b), verdict in offered:
        now = acting(*[row for row in kept if row[2] is not UNDECIDED])
        fits = consistent([*kept, (a, b, verdict)])
        against = now.contradicted(a, b, verdict)
        assert bool(against) != fits
        assert not consistent([*[(d.left, d.right, d.verdict) for d in against], (a, b, verdict)]) \
            or not against  # fmt: skip
        follows = now.answer([a], [b])
        assert (follows is not None) == (
            not consistent([*kept, (a, b, SAME)]) or not consistent([*kept, (a, b, DIFFERENT)])
        )
        if fits:
            kept.append((a, b, verdict))


def rebuilt(kept: list[Decision], record: int) -> set[int]:
    """Naively: every record that one is held to be one with."""
    group = {record}
    for _ in kept:
        group |= {e for d in kept if d.verdict is SAME and group & {*d.pair} for e in d.pair}
    return group


RECORDS = list(combinations(range(1, 9), 2))


@given(
    st.lists(st.sampled_from(RECORDS), max_size=8),
    st.lists(st.sampled_from(RECORDS), min_size=1, max_size=4),
)
def test_what_follows_is_all_that_the_groups_gain(
    held: list[tuple[int, int]], asked: list[tuple[int, int]]
) -> None:
    def as_one(pairs: list[tuple[int, int]]) -> set[tuple[int, int]]:
        kept = [decided(n, *pair, SAME) for n, pair in enumerate(pairs, 1)]
        groups = [rebuilt(kept, record) for record in range(1, 9)]
        return {pair for pair in RECORDS if any(group.issuperset(pair) for group in groups)}

    found = what_follows(acting(*((a, b, SAME) for a, b in held)), [p[::-1] for p in asked])
    assert found == sorted(as_one([*held, *asked]) - as_one(held) - set(asked))


@given(st.lists(PAIRS.filter(lambda row: row[1] is not UNDECIDED), max_size=16), st.data())
def test_added_one_by_one_as_built_at_once(
    offered: list[tuple[tuple[int, int], Verdict]], data: st.DataObject
) -> None:
    """Whatever was added, contradictions included."""
    rows = [decided(n, *pair, verdict) for n, (pair, verdict) in enumerate(offered, 1)]
    cut = data.draw(st.integers(0, len(rows)))
    grown, whole = Acting(rows[:cut]), Acting(rows)
    for one in rows[cut:]:
        grown.add(one)
    assert grown.decisions == whole.decisions == rows
    for record in range(1, 7):
        assert grown.group(record) == whole.group(record) == rebuilt(rows, record)
        assert set(grown.chains(record)) == grown.group(record)
    for a, b in combinations(range(1, 7), 2):
        assert grown.answer([a], [b]) is whole.answer([a], [b])
        for verdict in Verdict:
            assert grown.contradicted(a, b, verdict) == whole.contradicted(a, b, verdict)


def test_a_whole_act_beside_many_decisions_is_weighed_in_steps_that_do_not_grow_with_them() -> None:
    """Each pair of two large persons asks for a chain only where it is contradicted."""
    walked: list[int] = []

    class Counting(Acting):
        def chains(self, record: int) -> dict[int, tuple[Decision, ...]]:
            walked.append(record)
            return super().chains(record)

    now = Counting(decided(n, 1_000 + 2 * n, 1_001 + 2 * n, SAME) for n in range(1, 2_001))
    for left in range(1, 51):
        for right in range(51, 101):
            assert now.contradicted(left, right, SAME) == []
            now.add(decided(0, left, right, SAME))
    assert walked == []
    assert now.group(1) == set(range(1, 101))
    assert len(now.contradicted(1, 100, DIFFERENT)) == 1
    assert walked == [1]
