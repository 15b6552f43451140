"""Contested components: which of their records are one person. Many components at a time.

Groups of records are joined greedily, best first (rules in linkage/cluster.py). Components of one
size are worked on side by side, as arrays (components, size, size) over their pairs of groups; each
round joins, in every component, the two groups whose average is best, or lets go of joins that
contend with one another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int32]
Bits = npt.NDArray[np.float64]
Guards = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
Places = npt.NDArray[np.intp]

SILENT = -1.0
"""A pair below the join threshold whose fields say no more than this against it has no vote."""
MARGIN = 5.0
"""A record that fits two persons who cannot be one, within so many bits, is given to neither."""
CLIP = 20.0
"""In averages a pair counts for at most this many bits either way."""
CELLS = 1_000_000
"""Pairs of groups held at a time."""
_WEIGHT, _VOTES, _BARRED, _STRONG = range(4)
"""What is summed between two groups: bits and number of votes, forbidden pairs, join edges."""


@dataclass(frozen=True)
class Components:
    """Contested components of one size.

    Attributes:
        rows: (components, size) rows, ascending in each.
        bits, conflict, guard: (components, size * (size - 1) / 2) scores of all pairs, in the order
            of `itertools.combinations`.
    """

    rows: Rows
    bits: Bits
    conflict: Bits
    guard: Guards

    def parts(self) -> Iterator[Components]:
        """A bounded number at a time."""
        step = max(CELLS // self.rows.shape[1] ** 2, 1)
        for start in range(0, len(self.rows), step):
            part = slice(start, start + step)
            yield Components(
                self.rows[part], self.bits[part], self.conflict[part], self.guard[part]
            )


class _Between:
    """What stands between any two groups: sum and number of votes, forbidden pairs, join edges; and
    `average`, the bits by which they would be joined, minus infinity where they may not be.

    All are (components, size, size) and symmetric. A group is known by its smallest record's place.
    What is summed lies side by side in `cells`, so that a group's row is fetched once.
    """

    def __init__(self, found: Components) -> None:
        count, size = found.rows.shape
        one, two = np.triu_indices(size, 1)
        for_it = found.bits > 0
        against = ~for_it & (found.conflict < SILENT)
        vote = np.where(for_it, found.bits, np.where(against, found.conflict, 0.0))
        self.cells = np.zeros((count, size, size, 4))
        for number, pairs in enumerate(
            (np.clip(vote, -CLIP, CLIP), for_it | against, found.guard > 0)
        ):
            self.cells[:, one, two, number] = pairs
            self.cells[:, two, one, number] = pairs
        self.average = np.full((count, size, size), -np.inf)

    @property
    def barred(self) -> Bits:
        """How many forbidden pairs there are."""
        return self.cells[..., _BARRED]

    def add_joins(self, component: Places, one: Places, two: Places, bits: Bits) -> None:
        """Join edges, by the component they stand in and the places they join."""
        size = self.cells.shape[1]
        declared = np.isinf(bits)
        for a, b in ((one, two), (two, one)):
            self.cells[component, a, b, _STRONG] = 1
            # An edge that came this far is allowed: its source may otherwise hold the two apart.
            # It outweighs all votes that can come between: what is declared is joined first.
            at = component[declared], a[declared], b[declared]
            self.cells[at] = CLIP * size**2, 1, 0, 1
        self.average = _settled(self.cells)

    def best(self) -> tuple[Bits, Places, Places]:
        """Per component the best average and the two groups; of equal ones the smallest places."""
        count, size, _ = self.average.shape
        flat = self.average.reshape(count, size * size)
        at = flat.argmax(axis=1)
        return flat[np.arange(count), at], at // size, at % size

    def kept(self, keep: npt.NDArray[np.bool_]) -> None:
        """Goes on with some of the components."""
        self.cells, self.average = self.cells[keep], self.average[keep]

    def rivals(
        self, best: Bits, one: Places, two: Places
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """(components, size) the groups that contend with the join of two: those that could join
        `one` nearly as well and are barred from `two`, and the other way round."""
        near = np.maximum(best - MARGIN, 0.0)[:, None]
        each = np.arange(len(best))
        barred = self.barred
        with_one = (self.average[each, one] > near) & (barred[each, two] > 0)
        with_two = (self.average[each, two] > near) & (barred[each, one] > 0)
        return with_one, with_two

    def let_go(self, component: Places, one: Places, two: Places) -> None:
        """These joins are made no more, unless a later edge joins the groups."""
        for a, b in ((one, two), (two, one)):
            self.cells[component, a, b, _STRONG] = 0
            self.average[component, a, b] = -np.inf

    def join(self, component: Places, one: Places, two: Places) -> None:
        """Puts the second group into the first, in each of the components."""
        cells, each = self.cells, np.arange(len(component))
        row = cells[component, one] + cells[component, two]
        cells[component, two] = 0
        cells[component, :, two] = 0
        row[each, one] = row[each, two] = 0
        cells[component, one] = row
        cells[component, :, one] = row
        self.average[component, two] = -np.inf
        self.average[component, :, two] = -np.inf
        settled = _settled(row)
        self.average[component, one] = settled
        self.average[component, :, one] = settled


def _settled(cells: Bits) -> Bits:
    """Averages from what stands now. Rounded: the order in which votes were added is no say."""
    average = np.rint(cells[..., _WEIGHT] / np.maximum(cells[..., _VOTES], 1) * 1e6) / 1e6
    open_to = (cells[..., _BARRED] == 0) & (cells[..., _STRONG] > 0)
    return np.where(open_to, average, -np.inf)


def join_greedily(
    found: Components, component: Places, one: Places, two: Places, bits: Bits
) -> Places:
    """(components, size) for each record the place of its group's smallest record.

    Args:
        component, one, two, bits: the allowed join edges inside the components.
    """
    count, size = found.rows.shape
    between = _Between(found)
    between.add_joins(component, one, two, bits)
    member = np.tile(np.arange(size), (count, 1))
    active = np.arange(count)
    while len(active):
        best, first, second = between.best()
        going = best > 0
        if not going.all():
            between.kept(going)
            active, best, first, second = active[going], best[going], first[going], second[going]
        with_first, with_second = between.rivals(best, first, second)
        contended = with_first.any(axis=1) | with_second.any(axis=1)
        for here, rivals in ((first, with_first), (second, with_second)):
            at, third = np.nonzero(rivals)
            between.let_go(at, here[at], third)
        at = np.flatnonzero(contended)
        between.let_go(at, first[at], second[at])
        at = np.flatnonzero(~contended)
        between.join(at, first[at], second[at])
        of = member[active[at]]
        member[active[at]] = np.where(of == second[at][:, None], first[at][:, None], of)
    return member
