"""Clustering: scored pairs in, a partition out, with the reasons for what was kept apart.

Rules:
- Candidates for one person are the connected components of edges at or above the join threshold
  and must-links; nothing outside a component decides what happens in it.
- A component of two is one person. In a larger one *every* pair is scored, also those that no
  blocking rule proposed: if none speaks against the whole (`AGAINST`), it is one person.
- Otherwise it is contested: records are joined greedily, best first, by the average over all cross
  pairs, and never across a forbidden pair; so one weak bridge does not glue two strong persons.
- What was kept apart against an edge at or above the join threshold becomes a review task.
- Ties are broken by founder order: the result depends on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Rows = npt.NDArray[np.int32]
Bits = npt.NDArray[np.float64]
Scorer = Callable[[Rows, Rows], tuple[Bits, npt.NDArray[np.uint8]]]
"""Pairs → bits, and 0 or the number of the guard that forbids."""

AGAINST = -3.0
"""Bits at which a pair inside a component speaks against it (odds of eight to one)."""
LARGEST = 400
"""Components with more records than this are not scored in full: their joins need review."""
CLIP = 20.0
"""In averages a pair counts for at most this many bits either way."""


@dataclass(frozen=True)
class Clusters:
    """A partition.

    Attributes:
        label: (n,) the smallest row of each record's cluster.
        contested: pairs (left, right, bits, guard) kept apart in spite of a join edge.
        components: how many components had more than two records; `disputed` how many of them
            were contested.
    """

    label: Rows
    contested: tuple[Rows, Rows, Bits, npt.NDArray[np.uint8]]
    components: int
    disputed: int


def cluster(
    n: int, left: Rows, right: Rows, bits: Bits, guard: npt.NDArray[np.uint8], scorer: Scorer
) -> Clusters:
    """The partition of n rows by the given join edges.

    Args:
        left, right: edges at or above the join threshold, and must-links.
        bits: their match weight; infinite for must-links.
        guard: 0, or the number of the guard that forbids the pair.
        scorer: scores any pairs of rows.
    """
    allowed = guard == 0
    component = _components(n, left[allowed], right[allowed])
    sizes = np.bincount(component, minlength=n)
    large = np.flatnonzero(sizes > 2).astype(np.int32)
    label = component.copy()
    members = _members(component, large)
    disputed = _disputed(members, scorer)
    for rows in disputed:
        label[rows] = _greedy(rows, left, right, bits, scorer)
    apart = label[left] != label[right]
    contested = (left[apart], right[apart], bits[apart], guard[apart])
    return Clusters(label, contested, len(large), len(disputed))


def _components(n: int, left: Rows, right: Rows) -> Rows:
    """(n,) for each row the smallest row of its connected component."""
    graph = coo_matrix((np.ones(len(left), np.int8), (left, right)), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    smallest = np.full(n, n, np.int32)
    np.minimum.at(smallest, labels, np.arange(n, dtype=np.int32))
    return smallest[labels]


def _members(component: Rows, wanted: Rows) -> list[Rows]:
    """The rows of each wanted component, ascending."""
    order = np.argsort(component, kind="stable").astype(np.int32)
    ordered = component[order]
    starts = np.searchsorted(ordered, wanted, side="left")
    ends = np.searchsorted(ordered, wanted, side="right")
    return [order[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]


def _all_pairs(groups: list[Rows]) -> tuple[Rows, Rows, npt.NDArray[np.int64]]:
    """Every pair within each group, and the group's number."""
    left, right, owner = [], [], []
    for number, rows in enumerate(groups):
        a, b = np.triu_indices(len(rows), 1)
        left.append(rows[a])
        right.append(rows[b])
        owner.append(np.full(len(a), number))
    if not groups:
        empty = np.zeros(0, np.int32)
        return empty, empty, np.zeros(0, np.int64)
    return np.concatenate(left), np.concatenate(right), np.concatenate(owner)


def _disputed(members: list[Rows], scorer: Scorer) -> list[Rows]:
    """The components in which some pair speaks against the whole."""
    out = [rows for rows in members if len(rows) > LARGEST]
    rest = [rows for rows in members if len(rows) <= LARGEST]
    for batch in _batches(rest, 500_000):
        left, right, owner = _all_pairs(batch)
        bits, guard = scorer(left, right)
        against = np.zeros(len(batch), bool)
        against[owner[(bits < AGAINST) | (guard > 0)]] = True
        out += [rows for rows, bad in zip(batch, against.tolist(), strict=True) if bad]
    return out


def _batches(groups: list[Rows], pairs: int) -> list[list[Rows]]:
    """Groups in runs of about `pairs` pairs."""
    out: list[list[Rows]] = []
    total = pairs + 1
    for rows in groups:
        if total > pairs:
            out.append([])
            total = 0
        out[-1].append(rows)
        total += len(rows) * (len(rows) - 1) // 2
    return out


def _greedy(rows: Rows, left: Rows, right: Rows, bits: Bits, scorer: Scorer) -> Rows:
    """Labels for the rows of one contested component: best average first, no forbidden pair."""
    if len(rows) > LARGEST:
        return rows.copy()
    size = len(rows)
    a, b = np.triu_indices(size, 1)
    score, guard = scorer(rows[a], rows[b])
    weight = np.zeros((size, size))
    weight[a, b] = weight[b, a] = np.clip(score, -CLIP, CLIP)
    for one, two in _must_links(rows, left, right, bits):
        weight[one, two] = weight[two, one] = CLIP * size
    barred = np.zeros((size, size), bool)
    barred[a, b] = barred[b, a] = guard > 0
    group = np.arange(size)
    while True:
        best = _best_join(weight, barred, group)
        if best is None:
            return rows[_smallest_of_group(group)]
        group[group == best[1]] = best[0]


def _best_join(
    weight: Bits, barred: npt.NDArray[np.bool_], group: npt.NDArray[np.int64]
) -> tuple[int, int] | None:
    """The two groups with the highest positive average cross weight that nothing bars."""
    ids = np.unique(group)
    indicator = (group[None, :] == ids[:, None]).astype(float)
    total = indicator @ weight @ indicator.T
    count = indicator.sum(axis=1)
    average = total / np.outer(count, count)
    average[(indicator @ barred @ indicator.T) > 0] = -np.inf
    average[np.tril_indices(len(ids))] = -np.inf
    if not len(ids) or average.max() <= 0:
        return None
    one, two = np.unravel_index(int(np.argmax(average)), average.shape)
    return int(ids[one]), int(ids[two])


def _smallest_of_group(group: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    smallest = {int(g): int(np.flatnonzero(group == g)[0]) for g in np.unique(group)}
    return np.array([smallest[int(g)] for g in group])


def _must_links(rows: Rows, left: Rows, right: Rows, bits: Bits) -> list[tuple[int, int]]:
    must = np.flatnonzero(np.isinf(bits))
    inside = must[np.isin(left[must], rows) & np.isin(right[must], rows)]
    return [
        (int(np.searchsorted(rows, left[i])), int(np.searchsorted(rows, right[i]))) for i in inside
    ]
