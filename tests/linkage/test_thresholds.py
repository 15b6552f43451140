"""Thresholds without labels: estimates against counts of a truth drawn from the scores."""

from __future__ import annotations

import numpy as np
import pytest

from linkage.score import probability
from linkage.thresholds import Rates, Sample, rates, rates_by, recommend, sampling_plan

GRID = np.array([-2.0, 0.0, 3.0, 8.0])


def drawn(n: int = 40_000, seed: int = 1) -> tuple[Sample, np.ndarray]:
    """Pairs of calibrated weight, and which of them are matches; a pair stands for 1 to 3."""
    rng = np.random.default_rng(seed)
    bits = rng.normal(0.0, 6.0, n)
    weight = rng.integers(1, 4, n).astype(float)
    match = rng.random(n) < probability(bits)
    left = rng.integers(0, 100, n).astype(np.int32)
    right = ((left + 1 + rng.integers(0, 98, n)) % 100).astype(np.int32)
    return Sample(left, right, bits, weight), match


def test_estimates_are_what_counting_the_truth_gives() -> None:
    sample, match = drawn()
    found = rates(sample, grid=GRID, found=0.8)
    for at, threshold in enumerate(GRID):
        above = sample.bits >= threshold
        joined = sample.weight[above].sum()
        right = (sample.weight * match)[above].sum()
        assert found.pairs[at] == pytest.approx(joined)
        assert found.precision[at] == pytest.approx(right / joined, abs=0.01)
        every = (sample.weight * match).sum() / 0.8
        assert found.recall[at] == pytest.approx(right / every, abs=0.01)


def test_a_pair_counts_for_as_many_as_it_stands_for() -> None:
    one = np.zeros(2, np.int32)
    sample = Sample(one, one + 1, np.array([5.0, 1.0]), np.array([1.0, 9.0]))
    found = rates(sample, grid=np.array([0.0]), found=1.0)
    sure, unsure = probability(np.array([5.0, 1.0]))
    assert found.pairs.tolist() == [10.0]
    assert found.precision[0] == pytest.approx((sure + 9 * unsure) / 10)


def test_a_forbidden_pair_is_no_match() -> None:
    one = np.zeros(1, np.int32)
    sample = Sample(one, one + 1, np.array([-np.inf]), np.array([7.0]))
    assert rates(sample, grid=np.array([-5.0]), found=1.0).pairs.tolist() == [0.0]
    assert sample.match[0] < 1e-12


def test_the_best_estimated_f1_from_even_odds_up_is_recommended() -> None:
    bits = np.array([-4.0, 0.0, 4.0, 9.0])
    ones = np.full(4, 100.0)
    found = Rates(bits, ones, np.array([0.9, 0.7, 0.95, 1.0]), np.array([1.0, 0.97, 0.9, 0.4]), 1.0)
    join, review = recommend(found)
    assert join == 4.0
    assert review == pytest.approx(np.log2(0.1 / 0.9))
    assert recommend(Rates(bits, ones * 0, ones * 0, ones * 0, 1.0))[0] == 0.0


def test_a_check_of_the_planned_size_has_the_planned_precision() -> None:
    sample, match = drawn()
    plan = sampling_plan(sample, 0.0, half_width=0.01)
    above = [s for s in plan if s.low >= 0.0]
    truth = np.average(match[sample.bits >= 0], weights=sample.weight[sample.bits >= 0])
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(300):
        estimate = 0.0
        for s in above:
            pool = np.flatnonzero((sample.bits >= s.low) & (sample.bits < s.high))
            looked = rng.choice(pool, s.look_at, p=sample.weight[pool] / sample.weight[pool].sum())
            estimate += s.pairs * match[looked].mean()
        estimate /= sum(s.pairs for s in above)
        inside += abs(estimate - truth) <= 0.01
    assert inside >= 0.92 * 300, "95 % asked for"
    finer = sampling_plan(sample, 0.0, half_width=0.002)
    assert sum(s.look_at for s in finer) > sum(s.look_at for s in plan)
    assert all(s.look_at <= s.pairs for s in finer)


def test_rates_by_group_tell_the_group_that_is_missed() -> None:
    left = np.array([0, 0, 2, 2], np.int32)
    right = np.array([1, 1, 3, 3], np.int32)
    sample = Sample(left, right, np.array([9.0, 9.0, 9.0, 1.0]), np.ones(4))
    groups = np.array(["a", "a", "b", "b"], dtype=object)
    found = rates_by(sample, groups, join_bits=5.0)
    assert found["a"][0] == 0.0
    unsure, sure = probability(np.array([1.0, 9.0]))
    assert found["b"][0] == pytest.approx(unsure / (unsure + sure))
