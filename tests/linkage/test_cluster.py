"""Clustering of scored pairs given by hand, and drawn ones against the naive clustering."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from linkage.cluster import LARGEST, Clusters, Rows, cluster
from linkage.reference_cluster import persons

Pair = tuple[int, int]
DECLARED = float("inf")


@dataclass(frozen=True)
class Scores:
    """Scores of pairs as `cluster` reads them."""

    bits: np.ndarray
    conflict: np.ndarray
    guard: np.ndarray


@dataclass(frozen=True)
class ByHand:
    """A scorer that knows some pairs; any other has `otherwise`: bits, conflict."""

    bits: dict[Pair, float]
    barred: Collection[Pair] = ()
    conflict: dict[Pair, float] | None = None
    otherwise: tuple[float, float] = (-1.0, -0.5)

    def score(self, left: Rows, right: Rows) -> Scores:
        pairs = list(zip(left.tolist(), right.tolist(), strict=True))
        conflict = self.conflict or {}
        return Scores(
            np.array([self.bits.get(p, self.otherwise[0]) for p in pairs], float),
            np.array([conflict.get(p, self.otherwise[1]) for p in pairs], float),
            np.array([p in self.barred for p in pairs], np.uint8),
        )


def clustered(
    size: int,
    scorer: ByHand,
    *,
    join: float = 5.0,
    declared: Collection[Pair] = (),
) -> Clusters:
    """The clusters of pairs from `join` bits up, and of declared ones."""
    edges = sorted({p for p, bits in scorer.bits.items() if bits >= join} | set(declared))
    left = np.array([a for a, _ in edges], np.int32)
    right = np.array([b for _, b in edges], np.int32)
    scored = scorer.score(left, right)
    bits = np.array([DECLARED if pair in declared else scorer.bits[pair] for pair in edges])
    return cluster(size, left, right, bits, scored.guard, scorer)


def labels(size: int, scorer: ByHand, **options: object) -> list[int]:
    """As `clustered`, only who is with whom."""
    return clustered(size, scorer, **options).label.tolist()  # type: ignore[arg-type]


def test_nothing_is_joined_that_no_edge_joins() -> None:
    scores = {(0, 1): 20.0, (0, 2): 7.0, (0, 3): 7.0, (2, 3): 0.5}
    label = labels(4, ByHand(scores, barred=((1, 2), (1, 3))))
    assert label[2] != label[3]
    assert label[0] == label[1]


def test_a_chain_of_good_pairs_is_one_person() -> None:
    assert labels(3, ByHand({(0, 1): 9.0, (1, 2): 9.0, (0, 2): 1.0})) == [0, 0, 0]


def test_a_bridge_does_not_join_what_is_forbidden() -> None:
    scores = {(0, 1): 15.0, (2, 3): 15.0, (1, 2): 6.0}
    found = clustered(4, ByHand(scores, barred=((0, 3),)))
    assert found.label.tolist() == [0, 0, 2, 2]
    left, right, bits, guard = (column.tolist() for column in found.contested)
    assert (left, right, bits, guard) == ([1], [2], [6.0], [0])
    assert (found.components, found.disputed) == (1, 1)


def test_a_record_that_fits_two_barred_persons_goes_to_neither() -> None:
    assert labels(3, ByHand({(0, 2): 9.0, (1, 2): 8.0}, barred=((0, 1),))) == [0, 1, 2]


def test_a_record_that_fits_one_much_better_goes_there() -> None:
    assert labels(3, ByHand({(0, 2): 19.0, (1, 2): 8.0}, barred=((0, 1),))) == [0, 1, 0]


LOW = -9.0
SILENCE = [
    ("little to compare and nothing against", (LOW, 0.0), [0, 0, 0]),
    ("low only because relatives are likelier", (LOW, -2.9), [0, 0, 0]),
    ("fields that speak against it", (LOW, -14.0), [0, 0, 2]),
    ("against, but not by much", (-2.9, -14.0), [0, 0, 0]),
]


@pytest.mark.parametrize(
    ("outer", "wanted"), [(o, w) for _, o, w in SILENCE], ids=[name for name, _, _ in SILENCE]
)
def test_only_a_pair_with_something_to_say_speaks_against_a_component(
    outer: tuple[float, float], wanted: list[int]
) -> None:
    scorer = ByHand(
        {(0, 1): 12.0, (1, 2): 6.0, (0, 2): outer[0]},
        conflict={(0, 2): outer[1], (0, 1): 0.0, (1, 2): 0.0},
    )
    assert labels(3, scorer) == wanted


def test_silent_pairs_have_no_vote_in_an_average() -> None:
    """Row 3 joins row 0 and has nothing to compare with rows 1 and 2; row 4 is contested."""
    scores = {(0, 1): 20.0, (0, 2): 20.0, (1, 2): 20.0, (0, 3): 6.0, (0, 4): 5.5, (3, 4): -9.0}
    conflict = {(1, 4): -19.0, (2, 4): -19.0, (3, 4): -19.0}
    scorer = ByHand(scores, conflict=conflict, otherwise=(-8.0, -0.9))
    assert labels(5, scorer) == [0, 0, 0, 0, 4]


@pytest.mark.parametrize(("against", "joined"), [(-0.95, True), (-1.05, False)])
def test_many_pairs_that_say_next_to_nothing_do_not_add_up(against: float, joined: bool) -> None:
    """Row 8 joins row 0 and says hardly anything of the seven others; row 9 is contested."""
    scores = {(a, b): 20.0 for a in range(8) for b in range(a + 1, 8)} | {(0, 8): 6.0, (0, 9): 5.5}
    conflict = {(a, 9): -19.0 for a in range(1, 9)}
    scorer = ByHand(scores, conflict=conflict, otherwise=(-8.0, against))
    assert labels(10, scorer) == [0] * 8 + [0 if joined else 8, 9]


def test_no_pair_outweighs_another_without_bound() -> None:
    """One pair weighs no more for a join than another against it, however sure it is."""
    sure = ByHand({(0, 1): 60.0, (1, 2): 60.0, (0, 2): -25.0}, conflict={(0, 2): -25.0})
    assert labels(3, sure) == [0, 0, 2]
    scores = dict.fromkeys([(0, 1), (0, 3), (1, 3)], 20.0) | {(0, 2): 18.0, (1, 2): 18.0}
    unsure = ByHand(scores | {(2, 3): -60.0}, conflict={(2, 3): -60.0})
    assert labels(4, unsure) == [0, 0, 0, 0]


def test_a_complete_component_needs_no_second_look() -> None:
    scores = {(a, b): 6.0 for a in range(5) for b in range(a + 1, 5)}
    found = clustered(5, ByHand(scores))
    assert found.label.tolist() == [0] * 5
    assert (found.components, found.disputed) == (1, 0)


def test_declared_merges_hold_in_a_component_beyond_the_limit() -> None:
    n = LARGEST + 2
    declared = {(i, i + 1) for i in range(n - 1)}
    everything = {(i, j): 30.0 for i in range(n) for j in range(i + 1, n)}
    assert set(labels(n, ByHand(everything), declared=declared)) == {0}


def two_halves() -> tuple[int, dict[Pair, float]]:
    """Two groups, each joined throughout, and one weak edge between them."""
    half = LARGEST // 2 + 10
    strong = {
        (base + i, base + j): 20.0
        for base in (0, half)
        for i in range(half)
        for j in range(i + 1, half)
    }
    return half, strong | {(half - 1, half): 5.5}


def test_a_component_beyond_the_limit_parts_at_its_weakest_edges() -> None:
    half, scores = two_halves()
    assert labels(2 * half, ByHand(scores)) == [0] * half + [half] * half


@pytest.mark.parametrize("lowest", [0.0, -0.5, -1.3])
def test_edges_elsewhere_have_no_say_in_where_a_large_component_parts(lowest: float) -> None:
    """Edges of 5.1 and 5.8 bits go together, whatever the weakest edge of all."""
    half, scores = two_halves()
    n = 2 * half
    scores |= {(half - 1, half): 5.1, (half, n): 5.8, (n + 1, n + 2): lowest}
    found = labels(n + 3, ByHand(scores), join=-2.0)
    assert found == [0] * half + [half] * half + [n, n + 1, n + 1]


@settings(max_examples=150, deadline=None)
@example(size=8, seed=20676, bars=0.1)  # two averages that tie, summed in different orders
@given(st.integers(2, 8), st.integers(0, 2**32), st.sampled_from((0.0, 0.1, 0.3)))
def test_clusters_are_those_of_the_naive_clustering(size: int, seed: int, bars: float) -> None:
    rng = np.random.default_rng(seed)
    pairs = [(a, b) for a in range(size) for b in range(a + 1, size)]
    # Few different numbers, not exact in binary: ties are many, and go by founder order.
    bits = {p: float(rng.choice([-12.1, -3.3, 0.7, 5.1, 5.3, 10.4, 15.7, 22.0])) for p in pairs}
    conflict = {p: -float(rng.choice([0, 0.5, 2, 8, 30])) for p in pairs}
    barred = {p for p in pairs if rng.random() < bars}
    declared = {p for p in pairs if rng.random() < 0.04}
    scorer = ByHand(bits, barred, conflict)
    joins = {p: x for p, x in bits.items() if x >= 5.0} | dict.fromkeys(declared, DECLARED)
    allowed = {p: x for p, x in joins.items() if p not in barred}
    wanted = persons(
        size, allowed, lambda some: {p: (bits[p], conflict[p], p in barred) for p in some}
    )
    found = labels(size, scorer, declared=declared)
    assert found == [min(group) for row in range(size) for group in wanted if row in group]


@settings(max_examples=50, deadline=None)
@given(st.integers(3, 8), st.integers(0, 2**32))
def test_a_component_is_clustered_as_it_would_be_alone(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = [(a, b) for a in range(size) for b in range(a + 1, size)]
    bits = {p: rng.uniform(-12, 25) for p in pairs}
    barred = {p for p in pairs if rng.random() < 0.2}
    conflict = {p: -rng.uniform(0, 20) for p in pairs}
    alone = labels(size, ByHand(bits, barred, conflict))
    moved = [{(a + size, b + size): x for (a, b), x in found.items()} for found in (bits, conflict)]
    both = ByHand(
        bits | moved[0],
        barred | {(a + size, b + size) for a, b in barred},
        conflict | moved[1],
        otherwise=(-50.0, -50.0),
    )
    assert labels(2 * size, both) == [*alone, *(x + size for x in alone)]
