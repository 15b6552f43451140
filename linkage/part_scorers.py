"""Scorers of some rows only: what an increment compares, and what it decides anew.

Rules:
- What is done once per distinct value costs what the rows at hand cost, not what all records do.
- They are asked by the features' rows, whichever of them they hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from linkage.columns import Features
from linkage.engine import Edges
from linkage.guards import PairKeys, pair_keys
from linkage.live import ends_of
from linkage.model import Model
from linkage.score import Scored, Scorer
from linkage.views import Rows


@dataclass(frozen=True)
class Scorers:
    """Scorers of some of the features' rows each; `apart` are pairs of rows decided to be two."""

    features: Features
    model: Model
    apart: PairKeys

    def of(self, rows: Rows) -> Part:
        """A scorer of these rows (ascending)."""
        number = np.full(len(self.features), -1, np.int32)
        number[rows] = np.arange(len(rows), dtype=np.int32)
        if len(rows) == len(self.features):
            return Part(rows, number, self.whole)
        features = self.features.only(rows)
        return Part(rows, number, Scorer(features, self.model, _renumbered(self.apart, number)))

    @cached_property
    def whole(self) -> Scorer:
        """The scorer of all rows."""
        return Scorer(self.features, self.model, self.apart)


@dataclass(frozen=True)
class Part:
    """A scorer that is asked by the features' rows, and holds some of them only.

    Attributes:
        rows: those held, ascending.
        number: the row in `inner` of each row, -1 for those not held.
    """

    rows: Rows
    number: Rows
    inner: Scorer

    def score(self, left: Rows, right: Rows, floor: float = -np.inf) -> Scored:
        """See `Scorer.score`."""
        return self.inner.score(self.number.take(left), self.number.take(right), floor)

    def within(self, edges: Edges) -> Edges:
        """Edges between rows held, in inner rows."""
        return Edges(self.number[edges.left], self.number[edges.right], edges.bits, edges.guard)

    def pairs(self, keys: PairKeys) -> PairKeys:
        """Those of the pairs whose rows are held, as pairs of inner rows."""
        return _renumbered(keys, self.number)


def _renumbered(keys: PairKeys, number: Rows) -> PairKeys:
    """Pairs in other numbers, ascending; those without one are left out."""
    one, two = (number[ends] for ends in ends_of(keys))
    held = (one >= 0) & (two >= 0)
    return np.sort(pair_keys(one[held], two[held]))
