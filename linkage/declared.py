"""What follows from decisions that two records are one: it holds for whole groups.

Rules:
- Records that decisions join, one by one, are one group; every pair of it counts as decided.
- A pair that somebody decided to be two does not follow, whatever leads round it.
"""

from __future__ import annotations

import numpy as np

from linkage.cluster import components
from linkage.guards import PairKeys, among, pair_keys
from linkage.live import ends_of


def with_what_follows(same: PairKeys, apart: PairKeys) -> PairKeys:
    """The pairs that were decided to be one, and those that follow from them; ascending.

    Args:
        same, apart: pairs decided to be one, and to be two; ascending.
    """
    if len(same) < 2:
        return same
    rows, place = np.unique(np.concatenate(ends_of(same)), return_inverse=True)
    one, two = np.split(place.astype(np.int32), 2)
    group = components(len(rows), one, two)
    order = np.argsort(group, kind="stable")
    _, sizes = np.unique(group, return_counts=True)
    # Each record stands with all that come after it in its group.
    counts = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(rows)) - 1
    first = np.repeat(np.arange(len(rows)), counts)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    follow = np.sort(pair_keys(rows[order[first]], rows[order[second]]))
    return np.union1d(same, follow[~among(follow, apart)])
