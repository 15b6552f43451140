"""What follows from decisions that two records are one, against a naive reference."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from linkage.declared import with_what_follows
from linkage.guards import PairKeys, pair_keys

Pairs = set[tuple[int, int]]
rows = st.integers(0, 9) | st.integers(2**31 - 3, 2**31 - 1)
pairs = st.sets(st.tuples(rows, rows).filter(lambda p: p[0] < p[1]), max_size=9)


def keys(some: Pairs) -> PairKeys:
    """The pairs as keys, ascending."""
    left, right = (np.array([p[side] for p in sorted(some)], np.int32) for side in (0, 1))
    return np.sort(pair_keys(left, right))


def naive(same: Pairs, apart: Pairs) -> Pairs:
    """Groups are joined until none touches another; all their pairs, less those held apart."""
    groups = [set(pair) for pair in same]
    for row in {row for pair in same for row in pair}:
        touching = [group for group in groups if row in group]
        groups = [group for group in groups if row not in group] + [set().union(*touching)]
    follow = {pair for group in groups for pair in combinations(sorted(group), 2)}
    return same | (follow - apart)


@given(pairs, pairs)
@example({(0, 1), (1, 2)}, {(0, 2)})
@example({(0, 1), (1, 2)}, {(0, 1)})
def test_what_follows_is_every_pair_of_each_group_but_what_is_held_apart(
    same: Pairs, apart: Pairs
) -> None:
    found = with_what_follows(keys(same), keys(apart))
    assert found.tolist() == keys(naive(same, apart)).tolist()
