"""Thresholds without labels: what a join threshold would let in and leave out, from the scores.

A calibrated match weight says how likely each pair is a match; summing that over the pairs above a
threshold estimates the right joins, over those below it the missed ones (Fellegi and Sunter 1969;
Belin and Rubin 1995). Pairs that no rule proposes are estimated by `found`. The figures are of the
pairs before clustering, which mends some of them, and they are only as good as the model is
calibrated: `sampling_plan` says which pairs to look at to check them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from linkage.blocking import Proposals
from linkage.score import Bits, Scorer, probability
from linkage.views import Rows

PAIRS_PER_RULE = 40_000
FOUND = 0.95
"""Share of all matches that blocking proposes, unless a caller knows better."""
GRID = np.round(np.arange(-5.0, 25.01, 0.5), 2)
FEWEST_JOINS = 0.0
"""The join threshold is never recommended below even odds, in bits."""
REVIEW_PROBABILITY = 0.1
"""Pairs less likely than this are not worth a reviewer's time."""


@dataclass(frozen=True)
class Sample:
    """Scored pairs that stand for all that the rules propose.

    Attributes:
        left: (n,) one record of each pair. bits: match weight; weight: pairs that each stands for.
    """

    left: Rows
    right: Rows
    bits: Bits
    weight: Bits

    @property
    def match(self) -> Bits:
        """Probability of each being a match; forbidden pairs are none."""
        return probability(self.bits)


@dataclass(frozen=True)
class Rates:
    """Estimates at each threshold, arrays of the length of `bits`.

    Attributes:
        pairs: pairs at or above. precision, recall: of those joined how many are right, of the
            matches how many are joined.
        found: the share of all matches that blocking is taken to propose.
    """

    bits: Bits
    pairs: Bits
    precision: Bits
    recall: Bits
    found: float

    @property
    def f1(self) -> Bits:
        """Harmonic mean of precision and recall."""
        return 2 * self.precision * self.recall / np.maximum(self.precision + self.recall, 1e-12)


def draw(
    scorer: Scorer,
    proposals: Proposals,
    size: int = PAIRS_PER_RULE,
    threads: int | None = None,
) -> Sample:
    """Evenly spaced pairs of each rule that no earlier rule proposes, scored."""

    def drawn(index: int) -> tuple[Rows, Rows, Bits, Bits]:
        blocker = proposals.blockers[index]
        left, right = blocker.sample(size)
        each = blocker.proposed / max(len(left), 1)
        new = proposals.new(index, left, right)
        scored = scorer.score(left[new], right[new])
        bits = np.where(scored.guard > 0, -np.inf, scored.bits)
        return left[new], right[new], bits, np.full(len(bits), each)

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        live = [i for i, b in enumerate(proposals.blockers) if b.proposed]
        parts = list(pool.map(drawn, live))
    if not parts:
        none = np.zeros(0, np.int32)
        return Sample(none, none, np.zeros(0), np.zeros(0))
    left, right, bits, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Sample(left, right, bits, weight)


def rates(sample: Sample, *, grid: Bits = GRID, found: float = FOUND) -> Rates:
    """Estimated rates at each threshold of the grid."""
    order = np.argsort(sample.bits)
    bits, weight = sample.bits[order], sample.weight[order]
    right = weight * sample.match[order]
    first = np.searchsorted(bits, grid)
    pairs = np.append(np.cumsum(weight[::-1])[::-1], 0.0)[first]
    matches = np.append(np.cumsum(right[::-1])[::-1], 0.0)[first]
    total = float(right.sum()) / found
    return Rates(
        grid,
        pairs,
        precision=np.where(pairs > 0, matches / np.maximum(pairs, 1e-12), 1.0),
        recall=matches / max(total, 1e-12),
        found=found,
    )


def recommend(found: Rates) -> tuple[float, float]:
    """(join, review) thresholds in bits: the best estimated F1 from even odds up, and where a pair
    is still worth looking at.

    Where rates come from the probabilities themselves, as in `rates`, F1 gains by every pair more
    likely than F1 / 2, so that this is even odds: the recommendation is then worth what the
    calibration is worth. Other rates (counted on judged pairs) may say otherwise.
    """
    usable = found.bits >= FEWEST_JOINS
    if not usable.any() or not found.pairs[usable].any():
        return FEWEST_JOINS, float(np.log2(REVIEW_PROBABILITY / (1 - REVIEW_PROBABILITY)))
    join = float(found.bits[usable][int(np.argmax(found.f1[usable]))])
    review = float(np.log2(REVIEW_PROBABILITY / (1 - REVIEW_PROBABILITY)))
    return join, min(review, join)


@dataclass(frozen=True)
class Stratum:
    """Pairs with match weight in [low, high): how many there are, and how many to look at."""

    low: float
    high: float
    pairs: int
    expected_matches: float
    look_at: int


def sampling_plan(
    sample: Sample,
    join_bits: float,
    *,
    half_width: float = 0.005,
    confidence: float = 0.95,
    edges: Sequence[float] = (-5.0, -2.0, 0.0, 2.0, 5.0, 10.0, 15.0),
) -> list[Stratum]:
    """How many pairs of each stratum to look at, so that the precision at the join threshold is
    known to within `half_width` at the confidence stated, and the misses below it as well as the
    same effort allows (Neyman 1934: more where pairs are many and unsure)."""
    cuts = [-np.inf, *sorted({*edges, join_bits}), np.inf]
    strata = []
    for low, high in pairwise(cuts):
        inside = (sample.bits >= low) & (sample.bits < high)
        pairs = float(sample.weight[inside].sum())
        matches = float((sample.weight * sample.match)[inside].sum())
        if low >= cuts[1]:
            strata.append((low, high, pairs, matches))
    above = [s for s in strata if s[0] >= join_bits and s[2] > 0]
    spread = sum(_spread(s[2], s[3]) for s in above)
    joined = max(sum(s[2] for s in above), 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    wanted = (z * spread / (half_width * joined)) ** 2
    return [
        Stratum(low, high, round(pairs), matches,
                _to_look_at(wanted * _spread(pairs, matches) / max(spread, 1e-12), pairs))
        for low, high, pairs, matches in strata
    ]  # fmt: skip


def _spread(pairs: float, matches: float) -> float:
    """Pairs times the standard deviation of one: at least that of one error in fifty, because the
    model may be surer than it should be."""
    if pairs <= 0:
        return 0.0
    share = min(max(matches / pairs, 0.02), 0.98)
    return pairs * float(np.sqrt(share * (1 - share)))


def _to_look_at(wanted: float, pairs: float) -> int:
    """With the finite population correction; at least ten where there are as many."""
    if pairs < 1:
        return 0
    return int(min(np.ceil(max(wanted / (1 + wanted / pairs), min(10.0, pairs))), pairs))


def rates_by(
    sample: Sample, groups: npt.NDArray[np.object_], join_bits: float
) -> dict[str, tuple[float, float, float]]:
    """Group → (missed matches, false matches, pairs expected), as shares, at a threshold; a pair of
    two groups counts half in each. groups: (rows,) the group of each row of the features."""
    names, codes = np.unique(groups.astype(str), return_inverse=True)
    above = sample.bits >= join_bits
    match = sample.match * sample.weight * 0.5
    weight = sample.weight * 0.5
    out = {}
    sides = (codes[sample.left], codes[sample.right])

    def total(values: Bits) -> Bits:
        return np.asarray(sum(np.bincount(s, weights=values, minlength=len(names)) for s in sides))

    matches, joined = total(match), total(weight * above)
    missed, wrong = total(match * ~above), total((weight - match) * above)
    for index, name in enumerate(names.tolist()):
        out[str(name)] = (
            float(missed[index] / max(matches[index], 1e-12)),
            float(wrong[index] / max(joined[index], 1e-12)),
            float(matches[index]),
        )
    return out
