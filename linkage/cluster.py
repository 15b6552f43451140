"""Clustering: scored pairs in, a partition out, with the reasons for what was kept apart.

Rules:
- Candidates for one person are the connected components of edges at or above the join threshold
  and must-links; nothing outside a component decides what happens in it.
- A component whose records are all joined to one another is one person. In any other one *every*
  pair is scored, also those that no blocking rule proposed: if none speaks against the whole
  (`AGAINST`), it is one person. A pair that has little to compare speaks neither way.
- Otherwise it is contested: groups between which a join edge stands are joined greedily, best
  first, by the average over the cross pairs that speak, and never across a forbidden pair; so one
  weak bridge does not glue two strong persons, and nothing is joined that no edge would join.
- What fits two persons about equally well who must not be joined (an initial that could be
  either twin's) goes to neither: the pair is not joined on the toss of a coin.
- What was kept apart against an edge at or above the join threshold becomes a review task.
- Ties are broken by founder order: the result depends on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from linkage.columns import order_of
from linkage.contested import Components, join_greedily

Rows = npt.NDArray[np.int32]
Bits = npt.NDArray[np.float64]
Guards = npt.NDArray[np.uint8]
Places = npt.NDArray[np.intp]


class PairScores(Protocol):
    """What clustering asks of scored pairs: match weight, the sum of what fields say against the
    pair (bits, at most 0), and 0 or the number of the guard that forbids it."""

    @property
    def bits(self) -> Bits: ...
    @property
    def conflict(self) -> Bits: ...
    @property
    def guard(self) -> Guards: ...


class Scorer(Protocol):
    """Scores any pairs of rows."""

    def score(self, left: Rows, right: Rows) -> PairScores: ...


AGAINST = -3.0
"""Bits at which a pair inside a component speaks against it (odds of eight to one)."""
LARGEST = 400
"""A component with more records than this is taken apart at its weakest edges first."""
BATCH = 500_000
"""Pairs scored at a time."""


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
    contested: tuple[Rows, Rows, Bits, Guards]
    components: int
    disputed: int


def cluster(n: int, left: Rows, right: Rows, bits: Bits, guard: Guards, scorer: Scorer) -> Clusters:
    """The partition of n rows by the given join edges.

    Args:
        left, right: edges at or above the join threshold, and must-links; each pair once.
        bits: their match weight; infinite for must-links.
        guard: 0, or the number of the guard that forbids the pair.
    """
    # Few pairs are forbidden, and most joins lie inside: what is looked up by place is quicker so.
    allowed = np.flatnonzero(guard == 0)
    one, two, weight = left, right, bits
    if len(allowed) < len(guard):
        one, two, weight = left.take(allowed), right.take(allowed), bits.take(allowed)
    component = _small_components(n, one, two, weight)
    sizes = np.bincount(component, minlength=n)
    of_edge = component.take(one)
    inside = of_edge == component.take(two)
    edges = np.bincount(of_edge.take(np.flatnonzero(inside)), minlength=n)
    incomplete = (sizes > 2) & (edges < sizes * (sizes - 1) // 2)
    at = np.flatnonzero(inside & incomplete.take(of_edge))
    joins = one.take(at), two.take(at), weight.take(at)
    label, within = component.copy(), _Within(n)
    disputed = 0
    for found in _disputed(component, sizes, np.flatnonzero(incomplete), scorer):
        for part in found.parts():
            disputed += len(part.rows)
            member = join_greedily(part, *within(part, *joins))
            label[part.rows] = np.take_along_axis(part.rows, member, axis=1)
    apart = np.flatnonzero(label.take(left) != label.take(right))
    contested = (left.take(apart), right.take(apart), bits.take(apart), guard.take(apart))
    return Clusters(label, contested, int((sizes > 2).sum()), disputed)


def _small_components(n: int, left: Rows, right: Rows, bits: Bits) -> Rows:
    """Components of at most `LARGEST` rows: in a larger one the weakest edges are let go, two bits
    at a time; must-links (infinite bits) always stay."""
    component = components(n, left, right)
    # From an even number on: the weakest edge elsewhere has no say in where a component parts.
    floor = 2.0 * np.floor(float(bits.min(initial=0.0)) / 2.0)
    highest = float(bits[np.isfinite(bits)].max(initial=0.0))
    while floor <= highest:
        floor += 2.0
        oversize = np.bincount(component, minlength=n)[component] > LARGEST
        if not oversize.any():
            break
        keep = ~oversize[left] | (bits >= floor)
        left, right, bits = left[keep], right[keep], bits[keep]
        component = components(n, left, right)
    return component


def components(n: int, left: Rows, right: Rows) -> Rows:
    """(n,) for each row the smallest row of its connected component.

    Each round hooks the larger of two labels that meet in an edge onto the smaller, then follows
    labels to their ends (Shiloach and Vishkin 1982); edges within one component drop out.
    """
    label = np.arange(n, dtype=np.int32)
    while len(left):
        low, high = np.minimum(left, right), np.maximum(left, right)
        np.minimum.at(label, high, low)
        ends = label.take(label)
        while not np.array_equal(ends, label):
            label, ends = ends, ends.take(ends)
        left, right = label.take(left), label.take(right)
        apart = np.flatnonzero(left != right)
        left, right = left.take(apart), right.take(apart)
    return label


def _disputed(
    component: Rows,
    sizes: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.int64],
    scorer: Scorer,
) -> Iterator[Components]:
    """The wanted components in which some pair speaks against the whole."""
    chosen = np.zeros(len(component), bool)
    chosen[wanted] = True
    rows = np.flatnonzero(chosen.take(component)).astype(np.int32)
    rows = rows[order_of(component[rows].astype(np.int64))]
    ends = np.cumsum(sizes[wanted])
    pairs = np.cumsum(sizes[wanted] * (sizes[wanted] - 1) // 2)
    begin = 0
    while begin < len(wanted):
        done = int(pairs[begin - 1]) if begin else 0
        end = max(int(np.searchsorted(pairs, done + BATCH, side="right")), begin + 1)
        first = int(ends[begin - 1]) if begin else 0
        yield from _disputed_in(rows[first : ends[end - 1]], sizes[wanted[begin:end]], scorer)
        begin = end


def _disputed_in(rows: Rows, sizes: npt.NDArray[np.int64], scorer: Scorer) -> Iterator[Components]:
    """As `_disputed`, for one batch of components that stand one after the other in `rows`."""
    ends = np.cumsum(sizes)
    place = np.arange(len(rows))
    counts = np.repeat(ends, sizes) - place - 1
    first = np.repeat(place, counts)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    owner = np.repeat(np.arange(len(sizes)), sizes * (sizes - 1) // 2)
    scored = scorer.score(rows[first], rows[second])
    speaks = (scored.bits < AGAINST) & (scored.conflict < AGAINST)
    against = np.zeros(len(sizes), bool)
    against[owner[speaks | (scored.guard > 0)]] = True
    row_starts = ends - sizes
    pair_counts = sizes * (sizes - 1) // 2
    pair_starts = np.cumsum(pair_counts) - pair_counts
    for size in np.unique(sizes[against]).tolist():
        chosen = np.flatnonzero(against & (sizes == size))[:, None]
        pairs = pair_starts[chosen] + np.arange(size * (size - 1) // 2)
        yield Components(
            rows[row_starts[chosen] + np.arange(size)],
            scored.bits[pairs],
            scored.conflict[pairs],
            scored.guard[pairs],
        )


class _Within:
    """Finds the join edges of components: which component, the places of both rows in it, bits."""

    def __init__(self, n: int) -> None:
        self._owner = np.full(n, -1, np.int32)
        self._place = np.zeros(n, np.int32)

    def __call__(
        self, found: Components, left: Rows, right: Rows, bits: Bits
    ) -> tuple[Places, Places, Places, Bits]:
        count, size = found.rows.shape
        self._owner[found.rows] = np.arange(count)[:, None]
        self._place[found.rows] = np.arange(size)
        of_edge = self._owner.take(left)
        at = np.flatnonzero(of_edge >= 0)
        one, two = (self._place.take(side.take(at)).astype(np.intp) for side in (left, right))
        self._owner[found.rows] = -1
        return of_edge.take(at).astype(np.intp), one, two, bits.take(at)
