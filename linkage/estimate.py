"""Estimation: probabilities of levels per kind of pair, by EM over counts of patterns.

Pairs arrive in passes (pairs of one blocking rule; random pairs), each reduced to its distinct
patterns and their counts. Each pass has kind shares of its own; a field's probabilities are common
to all passes. In a pass, fields that its rule blocks on say nothing and learn nothing: they agree
by construction. That, and u being learnt from random pairs alone, is what makes the estimate
identifiable where one EM over all blocked pairs is not.

Rules:
- Deterministic: the same passes and the same start give the same numbers.
- A prior counts as pseudo-pairs per level; without it the estimate is plain maximum likelihood.
- Bonds are pairs of fields that depend on one another within a kind. They form a forest, so that
  P(levels) = prod P(one level) * prod over bonds P(both) / (P(one) P(two))   (Chow and Liu 1968).

Sources: Dempster, Laird and Rubin 1977 (EM); Winkler 1988 (EM for Fellegi-Sunter).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.float64]
Levels = npt.NDArray[np.uint8]
Tables = Mapping[str, Bits]
"""Kind → (fields, widest level count) probabilities; 0 where a level does not exist."""
Bond = tuple[int, int]

FLOOR = 1e-7
SHRINK = 10.0
"""Pseudo-pairs by which each cell of a joint table leans on independence: where hardly a pair is to
be expected, that none was seen (or one) says nothing."""
LEAST_INFORMATION = 0.01
"""Bits of mutual information from which two fields count as bound."""
LEAST_PAIRS = 500.0
"""Expected matches that compare both fields, from which a bond is believed."""


@dataclass(frozen=True)
class Pass:
    """Patterns of one pass.

    Attributes:
        levels: (fields, patterns) level codes, 0 missing. counts: (patterns,) pairs of each.
        counts_for: (fields,) which fields say and learn something here.
        teaches: kinds whose probabilities are learnt from this pass.
        allowed: kinds that its pairs can be of (labelled pairs: one, or all but one).
        start: kind → share that EM starts from.
        credited: (patterns,) how many of the pairs no earlier pass proposes.
        proposed, compared: pairs of the rule, and of the sample at hand.
    """

    name: str
    levels: Levels
    counts: Bits
    counts_for: npt.NDArray[np.bool_]
    teaches: str
    allowed: str
    start: Mapping[str, float]
    credited: Bits
    proposed: int
    compared: int

    @cached_property
    def used(self) -> npt.NDArray[np.intp]:
        """The fields that count and that some pattern compares: others add nothing."""
        return np.flatnonzero(self.counts_for & self.levels.any(axis=1))

    @cached_property
    def places(self) -> npt.NDArray[np.intp]:
        """`levels` as NumPy counts places."""
        return self.levels.astype(np.intp)


@dataclass(frozen=True)
class Estimate:
    """What EM found.

    Attributes:
        tables: probabilities of levels by kind.
        corrections: bond → kind → natural log of P(both) / (P(one) P(two)) by level codes, 0 where
            one is missing.
        shares: pass → kind → share of its pairs.
        rounds, change: how many rounds it took, and the largest change in the last.
        trace: m after each round, (rounds, fields, widest).
    """

    tables: dict[str, Bits]
    corrections: dict[Bond, dict[str, Bits]]
    shares: list[dict[str, float]]
    rounds: int
    change: float
    trace: Bits
    passes: Sequence[Pass] = field(repr=False, default=())

    def posterior(self, index: int) -> dict[str, Bits]:
        """(patterns,) probability of each kind, in a pass."""
        return posterior(self.passes[index], self.tables, self.shares[index], self.corrections)


def estimate(
    passes: Sequence[Pass],
    start: Tables,
    pseudo: Tables | None = None,
    *,
    bonds: Sequence[Bond] = (),
    fixed: str = "",
    rounds: int = 100,
    tolerance: float = 1e-5,
) -> Estimate:
    """Probabilities that make the passes likeliest.

    Args:
        start: first guess per kind; its keys are the kinds there are.
        pseudo: expected level counts that the prior stands for; None for none.
        fixed: kinds whose probabilities stay as they start.
    """
    tables = {kind: table.copy() for kind, table in start.items()}
    shares = [dict(one.start) for one in passes]
    width = next(iter(tables.values())).shape[1]
    none = np.zeros((width + 1, width + 1))
    corrections = {bond: dict.fromkeys(tables, none) for bond in bonds}
    change, done, trace = np.inf, 0, []
    while change >= tolerance and done < rounds:
        done += 1
        counts = {k: (pseudo[k].copy() if pseudo else np.zeros_like(t)) for k, t in tables.items()}
        both = {bond: {k: np.zeros((width, width)) for k in tables} for bond in bonds}
        for index, one in enumerate(passes):
            weights = posterior(one, tables, shares[index], corrections)
            total = max(float(one.counts.sum()), 1.0)
            shares[index] = {k: float(w @ one.counts) / total for k, w in weights.items()}
            _add_counts(counts, both, one, weights)
        updated = {
            k: tables[k] if k in fixed else _normalised(counts[k], tables[k]) for k in tables
        }
        corrections = {bond: _corrections(found) for bond, found in both.items()}
        change = max(float(np.abs(updated[k] - tables[k]).max()) for k in tables)
        tables = updated
        trace.append(tables["m"])
    return Estimate(tables, corrections, shares, done, float(change), np.array(trace), passes)


def posterior(
    one: Pass,
    tables: Tables,
    shares: Mapping[str, float],
    corrections: Mapping[Bond, Mapping[str, Bits]],
) -> dict[str, Bits]:
    """Kind → (patterns,) how likely each pattern of a pass is of that kind."""
    kinds = list(tables)
    logs = np.full((len(kinds), one.levels.shape[1]), -np.inf)
    for row, kind in enumerate(kinds):
        if kind not in one.allowed:
            continue
        table = np.zeros((tables[kind].shape[0], tables[kind].shape[1] + 1))
        table[:, 1:] = np.log(np.maximum(tables[kind], FLOOR))
        logs[row] = np.log(max(shares[kind], 1e-12))
        logs[row] += sum(table[f].take(one.places[f]) for f in one.used.tolist())
        for (a, b), by_kind in corrections.items():
            if one.counts_for[a] and one.counts_for[b]:
                logs[row] += by_kind[kind][one.levels[a], one.levels[b]]
    logs -= logs.max(axis=0)
    likelihood = np.exp(logs)
    likelihood /= likelihood.sum(axis=0)
    return dict(zip(kinds, likelihood, strict=True))


def _add_counts(
    counts: dict[str, Bits],
    both: Mapping[Bond, dict[str, Bits]],
    one: Pass,
    weights: Mapping[str, Bits],
) -> None:
    """Adds the expected level counts of a pass."""
    for kind, weight in weights.items():
        if kind not in one.teaches:
            continue
        expected = weight * one.counts
        width = counts[kind].shape[1] + 1
        for row in one.used:
            per_level = np.bincount(one.places[row], weights=expected, minlength=width)
            counts[kind][row] += per_level[1:width]
        for (a, b), by_kind in both.items():
            if one.counts_for[a] and one.counts_for[b]:
                by_kind[kind] += _together(one, expected, a, b, width - 1)


def _together(one: Pass, expected: Bits, a: int, b: int, width: int) -> Bits:
    """(width, width) expected pairs by the levels of two fields, both present."""
    present = (one.levels[a] > 0) & (one.levels[b] > 0)
    cells = (one.levels[a][present].astype(np.int64) - 1) * width + one.levels[b][present] - 1
    found = np.bincount(cells, weights=expected[present], minlength=width * width)
    return np.asarray(found.reshape(width, width), np.float64)


def _normalised(counts: Bits, before: Bits) -> Bits:
    """Rows as probabilities; a row without any count stays as it was."""
    total = counts.sum(axis=1, keepdims=True)
    return np.where(total > 0, counts / np.where(total > 0, total, 1.0), before)


def _corrections(found: Mapping[str, Bits]) -> dict[str, Bits]:
    """Kind → natural log of P(both) / (P(one) P(two)) by level codes, from expected pairs."""
    out = {}
    for kind, cells in found.items():
        total = max(float(cells.sum()), 1e-12)
        alone = np.outer(cells.sum(axis=1), cells.sum(axis=0)) / total
        out[kind] = np.zeros((len(cells) + 1, len(cells) + 1))
        out[kind][1:, 1:] = np.log((cells + SHRINK) / (alone + SHRINK))
    return out


def bond_bits(corrections: Mapping[str, Bits], shape: tuple[int, int]) -> dict[str, Bits]:
    """log2 corrections of a bond per kind, cut to the fields' own levels."""
    return {
        kind: table[1 : shape[0] + 1, 1 : shape[1] + 1] / np.log(2)
        for kind, table in corrections.items()
    }


def find_bonds(found: Estimate, *, leave_out: Sequence[int] = ()) -> list[Bond]:
    """The forest of fields whose levels go together most among matches (or among strangers).

    Mutual information is taken from the pairs' expected kinds, corrected for its bias in small
    samples (Miller 1955); the forest is that of Chow and Liu 1968.
    """
    size = found.tables["m"].shape[0]
    width = found.tables["m"].shape[1]
    posteriors = [found.posterior(index) for index in range(len(found.passes))]
    gain = np.zeros((size, size))
    for a in range(size):
        for b in range(a + 1, size):
            if a in leave_out or b in leave_out:
                continue
            for kind in ("m", "u"):
                cells = np.zeros((width, width))
                for one, weights in zip(found.passes, posteriors, strict=True):
                    if kind in one.teaches and one.counts_for[a] and one.counts_for[b]:
                        cells += _together(one, weights[kind] * one.counts, a, b, width)
                gain[a, b] = max(gain[a, b], _mutual_information(cells))
    gain[gain < LEAST_INFORMATION] = 0.0
    return _forest(gain)


def _forest(gain: Bits) -> list[Bond]:
    """The pairs of fields of most gain that close no ring (Kruskal 1956); nought is no bond."""
    root = list(range(len(gain)))
    kept = []
    for a, b in sorted(zip(*np.nonzero(gain), strict=True), key=lambda ab: (-gain[ab], ab)):
        if root[a] != root[b]:
            kept.append((int(a), int(b)))
            root = [root[a] if of == root[b] else of for of in root]
    return sorted(kept)


def _mutual_information(cells: Bits) -> float:
    """Bits, less the bias of its estimate; 0 where there are too few pairs to tell."""
    total = cells.sum()
    if total < LEAST_PAIRS:
        return 0.0
    p = cells / total
    alone = np.outer(p.sum(axis=1), p.sum(axis=0))
    present = p > 0
    information = float((p[present] * np.log2(p[present] / alone[present])).sum())
    rows, columns = int((p.sum(axis=1) > 0).sum()), int((p.sum(axis=0) > 0).sum())
    return float(max(information - (rows - 1) * (columns - 1) / (2 * np.log(2) * total), 0.0))
