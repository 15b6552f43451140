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
from heapq import heapify, heappop, heappush
from itertools import combinations
from typing import Protocol

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int32]
Bits = npt.NDArray[np.float64]
Guards = npt.NDArray[np.uint8]


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
SILENT = -1.0
"""A pair below the join threshold whose fields say no more than this against it has no vote."""
LARGEST = 400
"""A component with more records than this is taken apart at its weakest edges first."""
MARGIN = 5.0
"""A record that fits two persons who cannot be one, within so many bits, is given to neither."""
CLIP = 20.0
"""In averages a pair counts for at most this many bits either way."""
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
    allowed = guard == 0
    component = _small_components(n, left[allowed], right[allowed], bits[allowed])
    sizes = np.bincount(component, minlength=n)
    inside = allowed & (component[left] == component[right])
    edges = np.bincount(component[left[inside]], minlength=n)
    incomplete = np.flatnonzero((sizes > 2) & (edges < sizes * (sizes - 1) // 2))
    label = component.copy()
    joins = _Joins.of(component, left[inside], right[inside], bits[inside])
    disputed = 0
    for group in _disputed(component, sizes, incomplete, scorer):
        disputed += 1
        label[group.rows] = _greedy(group, joins.within(group.rows, int(component[group.rows[0]])))
    apart = label[left] != label[right]
    contested = (left[apart], right[apart], bits[apart], guard[apart])
    return Clusters(label, contested, int((sizes > 2).sum()), disputed)


def _small_components(n: int, left: Rows, right: Rows, bits: Bits) -> Rows:
    """Components of at most `LARGEST` rows: in a larger one the weakest edges are let go, two bits
    at a time; must-links (infinite bits) always stay."""
    component = _components(n, left, right)
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
        component = _components(n, left, right)
    return component


def _components(n: int, left: Rows, right: Rows) -> Rows:
    """(n,) for each row the smallest row of its connected component.

    Each round hooks the larger of two labels that meet in an edge onto the smaller, then follows
    labels to their ends (Shiloach and Vishkin 1982); edges within one component drop out.
    """
    label = np.arange(n, dtype=np.int32)
    while len(left):
        low, high = np.minimum(left, right), np.maximum(left, right)
        np.minimum.at(label, high, low)
        ends = label[label]
        while not np.array_equal(ends, label):
            label, ends = ends, ends[ends]
        left, right = label[left], label[right]
        apart = np.flatnonzero(left != right)
        left, right = left.take(apart), right.take(apart)
    return label


@dataclass(frozen=True)
class _Group:
    """The rows of one contested component, ascending, and the scores of all its pairs, in the
    order of `itertools.combinations`."""

    rows: Rows
    bits: Bits
    conflict: Bits
    guard: Guards


def _disputed(
    component: Rows,
    sizes: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.int64],
    scorer: Scorer,
) -> Iterator[_Group]:
    """The wanted components in which some pair speaks against the whole."""
    chosen = np.zeros(len(component), bool)
    chosen[wanted] = True
    rows = np.flatnonzero(chosen[component]).astype(np.int32)
    rows = rows[np.argsort(component[rows], kind="stable")]
    ends = np.cumsum(sizes[wanted])
    pairs = np.cumsum(sizes[wanted] * (sizes[wanted] - 1) // 2)
    begin = 0
    while begin < len(wanted):
        done = int(pairs[begin - 1]) if begin else 0
        end = max(int(np.searchsorted(pairs, done + BATCH, side="right")), begin + 1)
        first = int(ends[begin - 1]) if begin else 0
        yield from _disputed_in(rows[first : ends[end - 1]], sizes[wanted[begin:end]], scorer)
        begin = end


def _disputed_in(rows: Rows, sizes: npt.NDArray[np.int64], scorer: Scorer) -> Iterator[_Group]:
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
    pair_ends = np.cumsum(sizes * (sizes - 1) // 2)
    for number in np.flatnonzero(against).tolist():
        of = slice(int(ends[number] - sizes[number]), int(ends[number]))
        size = int(sizes[number])
        run = slice(int(pair_ends[number]) - size * (size - 1) // 2, int(pair_ends[number]))
        yield _Group(rows[of], scored.bits[run], scored.conflict[run], scored.guard[run])


@dataclass(frozen=True)
class _Joins:
    """The allowed join edges, by component: c has those from starts[c] to starts[c + 1]."""

    starts: npt.NDArray[np.int64]
    left: Rows
    right: Rows
    bits: Bits

    @staticmethod
    def of(component: Rows, left: Rows, right: Rows, bits: Bits) -> _Joins:
        of_edge = component[left]
        order = np.argsort(of_edge, kind="stable")
        counts = np.bincount(of_edge, minlength=len(component))
        starts = np.concatenate([[0], np.cumsum(counts)])
        return _Joins(starts, left[order], right[order], bits[order])

    def within(self, rows: Rows, component: int) -> tuple[Rows, Rows, Bits]:
        """The component's edges, as places in its ascending rows."""
        run = slice(int(self.starts[component]), int(self.starts[component + 1]))
        left, right = (np.searchsorted(rows, side[run]) for side in (self.left, self.right))
        return left.astype(np.int32), right.astype(np.int32), self.bits[run]


@dataclass(slots=True)
class _Link:
    """What stands between two groups: sum and number of votes, forbidden pairs, join edges; and
    `average`, the bits by which they would be joined, minus infinity where they may not be."""

    weight: float
    votes: float
    barred: int
    strong: int
    average: float = -np.inf

    def settle(self) -> None:
        """Brings the average up to date."""
        if self.barred or not self.strong:
            self.average = -np.inf
        else:
            self.average = round(self.weight / max(self.votes, 1.0), 6)


_Links = list[dict[int, _Link]]


def _greedy(group: _Group, joins: tuple[Rows, Rows, Bits]) -> Rows:
    """Labels for the rows of one contested component: best average first, no forbidden pair, and
    only groups between which some edge joins. Of equal averages the smallest rows come first."""
    size = len(group.rows)
    links = _links(group, joins)
    queue = [(-link.average, a, b) for a in range(size) for b, link in links[a].items() if a < b]
    queue = [entry for entry in queue if entry[0] < 0]
    heapify(queue)
    member = list(range(size))
    while queue:
        best, one, two = heappop(queue)
        found = links[one].get(two) if links[one] else None
        if found is None or -found.average != best:
            continue  # superseded
        rivals = _rivals(one, two, links)
        if rivals:
            for here, there in rivals:
                links[here][there].strong = 0
                links[here][there].settle()
            continue
        del links[one][two], links[two][one]
        for third, link in links[two].items():
            into = links[one][third]
            into.weight += link.weight
            into.votes += link.votes
            into.barred += link.barred
            into.strong += link.strong
            into.settle()
            del links[third][two]
            if into.average > 0:
                heappush(queue, (-into.average, min(one, third), max(one, third)))
        links[two] = {}
        member = [one if group_of == two else group_of for group_of in member]
    return group.rows[member]


def _links(group: _Group, joins: tuple[Rows, Rows, Bits]) -> _Links:
    """For each row its links to all others; the two of a pair share one."""
    size = len(group.rows)
    for_it = group.bits > 0
    against = ~for_it & (group.conflict < SILENT)
    vote = np.where(for_it, group.bits, np.where(against, group.conflict, 0.0))
    columns = (np.clip(vote, -CLIP, CLIP), (for_it | against).astype(float), 1 * (group.guard > 0))
    pairs = combinations(range(size), 2)
    links: _Links = [{} for _ in range(size)]
    cells = zip(pairs, *(column.tolist() for column in columns), strict=True)
    for (a, b), weight, votes, barred in cells:
        links[a][b] = links[b][a] = _Link(weight, votes, barred, 0)
    for a, b, bits in zip(*(column.tolist() for column in joins), strict=True):
        link = links[a][b]
        link.strong = 1
        if bits == np.inf:
            # An edge that came this far is allowed: its source may otherwise hold the two apart.
            link.weight, link.votes, link.barred = CLIP * size, 1.0, 0
        link.settle()
    return links


def _rivals(one: int, two: int, links: _Links) -> list[tuple[int, int]]:
    """The joins that contend with the join of two groups, it included; [] where none does.

    A third group contends that could join one of the two nearly as well (`MARGIN`) and is barred
    from the other.
    """
    near = max(links[one][two].average - MARGIN, 0.0)
    found = [
        (here, third)
        for here, there in ((one, two), (two, one))
        for third, link in links[here].items()
        if third != there and link.average > near and links[there][third].barred
    ]
    return [(one, two), *found] if found else []
