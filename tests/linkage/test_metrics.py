"""Figures of quality against naive counting, and bounds against their definition."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from linkage.metrics import mixed_labels, quality, recall_by, upper_bound

partitions = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 4), min_size=n, max_size=n),
        st.lists(st.integers(0, 4), min_size=n, max_size=n),
        st.lists(st.sampled_from("xyz"), min_size=n, max_size=n),
    )
)


@settings(max_examples=200, deadline=None)
@given(partitions)
def test_figures_equal_naive_counts(drawn: tuple[list[int], list[int], list[str]]) -> None:
    predicted, truth, group = drawn
    pairs = list(combinations(range(len(truth)), 2))
    joined = {p for p in pairs if predicted[p[0]] == predicted[p[1]]}
    right = {p for p in pairs if truth[p[0]] == truth[p[1]]}
    found = quality(np.array(predicted), np.array(truth))
    assert found.precision == pytest.approx(len(joined & right) / len(joined) if joined else 1)
    assert found.recall == pytest.approx(len(joined & right) / len(right) if right else 1)
    members = {p: [i for i, x in enumerate(predicted) if x == p] for p in set(predicted)}
    mixed = [p for p, rows in members.items() if len({truth[i] for i in rows}) > 1]
    assert found.mixed_persons == len(mixed)
    assert mixed_labels(predicted, truth).tolist() == [int(p in mixed) for p in predicted]
    for i_precision, other, value in (
        (predicted, truth, found.b3_precision),
        (truth, predicted, found.b3_recall),
    ):
        shares = []
        for i in range(len(truth)):
            block = [j for j in range(len(truth)) if i_precision[j] == i_precision[i]]
            shares.append(sum(other[j] == other[i] for j in block) / len(block))
        assert value == pytest.approx(sum(shares) / len(shares))
    for name, (hit, there) in recall_by(predicted, truth, group).items():
        touching = {p for p in right if name in (group[p[0]], group[p[1]])}
        assert (hit, there) == (len(touching & joined), len(touching))


@pytest.mark.parametrize(("events", "trials"), [(0, 100_000), (3, 1_000), (12, 110_000)])
def test_the_upper_bound_is_where_so_few_events_become_unlikely(events: int, trials: int) -> None:
    bound = upper_bound(events, trials)
    assert binom.cdf(events, trials, bound) == pytest.approx(0.05, abs=1e-6)


def test_the_upper_bound_of_all_events_is_one() -> None:
    assert upper_bound(5, 5) == 1.0
