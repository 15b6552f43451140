"""Clustering of scored pairs given by hand."""

from __future__ import annotations

import numpy as np

from linkage.cluster import LARGEST, Rows, cluster


def clusters(
    size: int,
    scores: dict[tuple[int, int], float],
    barred: tuple[tuple[int, int], ...] = (),
    join: float = 5.0,
) -> list[int]:
    """Labels; `scores`: bits of pairs (others -1); `barred`: forbidden pairs."""

    def scorer(left: Rows, right: Rows) -> tuple[np.ndarray, np.ndarray]:
        pairs = list(zip(left.tolist(), right.tolist(), strict=True))
        bits = np.array([scores.get(p, -1.0) for p in pairs])
        guard = np.array([p in barred for p in pairs], np.uint8)
        return bits, guard

    edges = sorted(p for p, bits in scores.items() if bits >= join)
    left = np.array([a for a, _ in edges], np.int32)
    right = np.array([b for _, b in edges], np.int32)
    bits, guard = scorer(left, right)
    return cluster(size, left, right, bits, guard, scorer).label.tolist()


def test_nothing_is_joined_that_no_edge_joins() -> None:
    scores = {(0, 1): 20.0, (0, 2): 7.0, (0, 3): 7.0, (2, 3): 0.5}
    label = clusters(4, scores, barred=((1, 2), (1, 3)))
    assert label[2] != label[3]
    assert label[0] == label[1]


def test_a_chain_of_good_pairs_is_one_person() -> None:
    scores = {(0, 1): 9.0, (1, 2): 9.0, (0, 2): 1.0}
    assert clusters(3, scores) == [0, 0, 0]


def test_a_bridge_does_not_join_what_is_forbidden() -> None:
    scores = {(0, 1): 15.0, (2, 3): 15.0, (1, 2): 6.0}
    assert clusters(4, scores, barred=((0, 3),)) == [0, 0, 2, 2]


def test_a_record_that_fits_two_barred_persons_goes_to_neither() -> None:
    scores = {(0, 2): 9.0, (1, 2): 8.0}
    assert clusters(3, scores, barred=((0, 1),)) == [0, 1, 2]


def test_a_record_that_fits_one_much_better_goes_there() -> None:
    scores = {(0, 2): 19.0, (1, 2): 8.0}
    assert clusters(3, scores, barred=((0, 1),)) == [0, 1, 0]


def test_declared_merges_hold_in_a_component_beyond_the_limit() -> None:
    n = LARGEST + 2
    declared = {(i, i + 1): float("inf") for i in range(n - 1)}
    everything = {(i, j): 30.0 for i in range(n) for j in range(i + 1, n)} | declared
    assert set(clusters(n, everything)) == {0}


def test_a_component_beyond_the_limit_parts_at_its_weakest_edges() -> None:
    half = LARGEST // 2 + 10
    strong = {
        (base + i, base + j): 20.0
        for base in (0, half)
        for i in range(half)
        for j in range(i + 1, half)
    }
    label = clusters(2 * half, strong | {(half - 1, half): 5.5})
    assert label == [0] * half + [half] * half
