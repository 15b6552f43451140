"""The pairs of a small increment, compared at once.

Rules:
- The pairs are those that `Proposals` would give, each credited to the first rule that proposes it;
  what is found is what `compared_blocks` finds.
- Few pairs repay neither a start for each rule nor threads that wait for one another: they are
  told apart by one sort, and scored together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from linkage.blocking import Blocker, Pairs, RuleReport
from linkage.engine import Edges, PairScorer


def at_once(blockers: Sequence[Blocker], rows: int, chunk: int) -> bool:
    """Whether the blocks' pairs are to be compared here: not more than a chunk of them, of so few
    rows that a pair and its rule fit into one integer."""
    fits = 2 * _bits(rows) + _bits(len(blockers)) < 63
    return fits and sum(blocker.proposed for blocker in blockers) <= chunk


def compared_at_once(
    scorer: PairScorer, blockers: Sequence[Blocker], rows: int, floor: float
) -> tuple[Edges, tuple[RuleReport, ...]]:
    """All pairs of the blocks that reach the floor (bits), sorted, and what each rule did.

    Requires: `at_once` of them.
    """
    left, right, credited = _credited(blockers, rows)
    scored = scorer.score(left, right, floor)
    edges = Edges(left.take(scored.keep), right.take(scored.keep), scored.bits, scored.guard)
    reports = tuple(
        RuleReport(b.rule.name, b.proposed, int(count), b.cut_blocks, b.cut_pairs)
        for b, count in zip(blockers, credited, strict=True)
    )
    return edges, reports


def _credited(
    blockers: Sequence[Blocker], rows: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Each pair once, by (left, right), and how many each rule was the first to propose."""
    bits, of_rule = _bits(rows), _bits(len(blockers))
    proposed = [_packed(b.expand(0, len(b.members)), bits) for b in blockers]
    marked = [pairs << of_rule | rule for rule, pairs in enumerate(proposed)]
    every = np.sort(np.concatenate([np.zeros(0, np.int64), *marked]))
    pairs = every >> of_rule
    first = np.flatnonzero(np.diff(pairs, prepend=-1))
    rule = every.take(first) & (1 << of_rule) - 1
    pairs = pairs.take(first)
    left, right = pairs >> bits, pairs & (1 << bits) - 1
    credited = np.bincount(rule, minlength=len(blockers)).astype(np.int64)
    return left.astype(np.int32), right.astype(np.int32), credited


def _packed(pairs: Pairs, bits: int) -> npt.NDArray[np.int64]:
    left, right = pairs
    return left.astype(np.int64) << bits | right


def _bits(count: int) -> int:
    return max(count - 1, 1).bit_length()
