"""Clustering: scored pairs in, a partition out, with the reasons for what was kept apart.

Rules:
- Candidates for one person are the connected components of edges at or above the join threshold
  and must-links; nothing outside a component decides what happens in it.
- A component of two is one person. In a larger one *every* pair is scored, also those that no
  blocking rule proposed: if none speaks against the whole (`AGAINST`), it is one person.
- Otherwise it is contested: groups between which a join edge stands are joined greedily, best
  first, by the average over all cross pairs, and never across a forbidden pair; so one weak bridge
  does not glue two strong persons, and nothing is joined that no edge would join.
- What fits two persons about equally well who must not be joined (an initial that could be
  either twin's) goes to neither: the pair is not joined on the toss of a coin.
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
"""A component with more records than this is taken apart at its weakest edges first."""
MARGIN = 5.0
"""A record that fits two persons who cannot be one, within so many bits, is given to neither."""
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
    component = _small_components(n, left[allowed], right[allowed], bits[allowed])
    sizes = np.bincount(component, minlength=n)
    large = np.flatnonzero(sizes > 2).astype(np.int32)
    members = _members(component, large)
    disputed = _disputed(members, scorer)
    label = component.copy()
    inside = allowed & (component[left] == component[right])
    joins = _Joins.of(component, left[inside], right[inside], bits[inside])
    for rows in disputed:
        label[rows] = _greedy(rows, joins.within(rows, int(component[rows[0]])), scorer)
    apart = label[left] != label[right]
    contested = (left[apart], right[apart], bits[apart], guard[apart])
    return Clusters(label, contested, len(large), len(disputed))


def _small_components(n: int, left: Rows, right: Rows, bits: Bits) -> Rows:
    """Components of at most `LARGEST` rows: in a larger one the weakest edges are let go, two bits
    at a time; must-links (infinite bits) always stay."""
    component = _components(n, left, right)
    floor = float(bits.min(initial=0.0))
    highest = float(bits[np.isfinite(bits)].max(initial=0.0))
    while floor <= highest:
        floor += 2.0
        oversize = np.bincount(component, minlength=n)[component] > LARGEST
        if not oversize.any():
            break
        keep = ~oversize[left] | (bits >= floor)
        left, right, bits = left[keep], right[keep], bits[keep]
        component = _components(n, left, right)
    return component


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
    out = []
    for batch in _batches(members, 500_000):
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


@dataclass(frozen=True)
class _Joins:
    """The allowed join edges, by component: `starts` gives each component's run of edges."""

    component: Rows
    left: Rows
    right: Rows
    bits: Bits

    @staticmethod
    def of(component: Rows, left: Rows, right: Rows, bits: Bits) -> _Joins:
        order = np.argsort(component[left], kind="stable")
        return _Joins(component[left][order], left[order], right[order], bits[order])

    def within(self, rows: Rows, component: int) -> tuple[Rows, Rows, Bits]:
        """The component's edges, as places in its ascending rows."""
        run = slice(*np.searchsorted(self.component, [component, component + 1]))
        places = [
            np.searchsorted(rows, side[run]).astype(np.int32) for side in (self.left, self.right)
        ]
        return places[0], places[1], self.bits[run]


def _greedy(rows: Rows, joins: tuple[Rows, Rows, Bits], scorer: Scorer) -> Rows:
    """Labels for the rows of one contested component: best average first, no forbidden pair, and
    only groups between which some edge joins."""
    size = len(rows)
    a, b = np.triu_indices(size, 1)
    score, guard = scorer(rows[a], rows[b])
    weight, barred, strong = np.zeros((size, size)), np.zeros((size, size)), np.zeros((size, size))
    weight[a, b] = weight[b, a] = np.clip(score, -CLIP, CLIP)
    barred[a, b] = barred[b, a] = guard > 0
    left, right, bits = joins
    strong[left, right] = strong[right, left] = 1
    declared = np.isinf(bits)
    for from_, to in ((left[declared], right[declared]), (right[declared], left[declared])):
        weight[from_, to] = CLIP * size
    group = np.arange(size)
    alive = np.ones(size, bool)
    count = np.ones(size)
    while True:
        average = np.where((barred == 0) & (strong > 0), weight / np.outer(count, count), -np.inf)
        average[~alive] = -np.inf
        average[np.tril_indices(size)] = -np.inf
        one, two = np.unravel_index(int(np.argmax(average)), average.shape)
        if not average[one, two] > 0:
            return rows[group]
        rivals = _rivals(int(one), int(two), average, barred)
        if rivals:
            for here, there in rivals:
                strong[here, there] = strong[there, here] = 0
            continue
        for matrix in (weight, barred, strong):
            matrix[one] += matrix[two]
            matrix[:, one] += matrix[:, two]
            matrix[two] = matrix[:, two] = 0
        count[one] += count[two]
        alive[two] = False
        group[group == two] = one


def _rivals(one: int, two: int, average: Bits, barred: Bits) -> list[tuple[int, int]]:
    """The joins that contend with the join of two groups, it included; [] where none does.

    A third group contends that could join one of the two nearly as well (`MARGIN`) and is barred
    from the other.
    """
    both_ways = np.maximum(average, average.T)
    found: list[tuple[int, int]] = []
    for here, there in ((one, two), (two, one)):
        near = both_ways[here] > max(average[one, two] - MARGIN, 0.0)
        contending = np.flatnonzero(near & (barred[there] > 0))
        found += [(here, int(third)) for third in contending]
    return [(one, two), *found] if found else []
