"""How good a partition is, against the truth. Pure functions of two label arrays.

Pairwise: of the pairs joined, how many are right (precision); of the right pairs, how many are
joined (recall). B-cubed (Bagga and Baldwin 1998): the same per record, averaged. The headline
figure is the share of persons that show a record of somebody else, with its exact one-sided upper
95 % bound (Clopper and Pearson 1934).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Quality:
    """Figures of one partition. Rates are in [0, 1]; those without a denominator are 1."""

    records: int
    persons: int
    true_persons: int
    true_pairs: int
    precision: float
    recall: float
    b3_precision: float
    b3_recall: float
    mixed_persons: int
    mixed_per_100k: float
    mixed_per_100k_upper95: float

    @property
    def f1(self) -> float:
        """Harmonic mean of pairwise precision and recall."""
        return harmonic(self.precision, self.recall)

    @property
    def b3_f1(self) -> float:
        """Harmonic mean of B-cubed precision and recall."""
        return harmonic(self.b3_precision, self.b3_recall)


def harmonic(a: float, b: float) -> float:
    """Harmonic mean; 0 where both are 0."""
    return 2 * a * b / (a + b) if a + b else 0.0


def upper_bound(events: int, trials: int, confidence: float = 0.95) -> float:
    """Exact one-sided upper bound of a binomial proportion. Requires: 0 <= events <= trials."""
    from scipy.special import betaincinv  # noqa: PLC0415 - slow; only where it is wanted

    if events >= trials:
        return 1.0
    return float(betaincinv(events + 1, trials - events, confidence))


def interval(events: float, trials: float, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of a binomial proportion (Clopper and Pearson 1934); (0, 1) where
    nothing was tried. Expected counts need not be whole. Requires: 0 <= events <= trials."""
    from scipy.special import betaincinv  # noqa: PLC0415 - as above

    tail = (1.0 - confidence) / 2
    missing = max(trials - events, 0.0)
    low = float(betaincinv(events, missing + 1, tail)) if events > 0 else 0.0
    high = float(betaincinv(events + 1, missing, 1.0 - tail)) if missing > 0 else 1.0
    return low, high


def dense(labels: npt.ArrayLike) -> Labels:
    """Any labels as integers from 0."""
    return np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.int64)


def quality(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> Quality:
    """Figures of a predicted partition. Requires: both name the same records, in the same order."""
    person, true = dense(predicted), dense(truth)
    cells, sizes = _cells(person, true)
    person_size, true_size = np.bincount(person), np.bincount(true)
    of_person, of_true = person_size[cells[0]], true_size[cells[1]]
    right, joined, wanted = _pairs(sizes), _pairs(person_size), _pairs(true_size)
    n = max(len(person), 1)
    mixed = int((np.bincount(cells[0]) > 1).sum()) if len(person) else 0
    persons = len(person_size)
    return Quality(
        records=len(person),
        persons=persons,
        true_persons=len(true_size),
        true_pairs=wanted,
        precision=right / joined if joined else 1.0,
        recall=right / wanted if wanted else 1.0,
        b3_precision=float((sizes**2 / of_person).sum() / n),
        b3_recall=float((sizes**2 / of_true).sum() / n),
        mixed_persons=mixed,
        mixed_per_100k=1e5 * mixed / max(persons, 1),
        mixed_per_100k_upper95=1e5 * upper_bound(mixed, max(persons, 1)),
    )


def recall_by(
    predicted: npt.ArrayLike, truth: npt.ArrayLike, group: npt.ArrayLike
) -> dict[str, tuple[int, int]]:
    """For each group of records: (right pairs found, right pairs there are) among pairs with a
    record in the group; a pair across two groups counts in both."""
    person, true, groups = dense(predicted), dense(truth), np.asarray(group)
    names, codes = np.unique(groups, return_inverse=True)
    cells, sizes = _cells(person, true)
    true_size = np.bincount(true)
    out: dict[str, tuple[int, int]] = {}
    for code, name in enumerate(names):
        inside = codes == code
        cell_in, count_in = _cells(person[inside], true[inside])
        key_all = cells[0] * len(true_size) + cells[1]
        key_in = cell_in[0] * len(true_size) + cell_in[1]
        size_of = sizes[np.searchsorted(key_all, key_in)]
        found = _pairs(count_in) + int((count_in * (size_of - count_in)).sum())
        per_true = np.bincount(true[inside], minlength=len(true_size))
        there = _pairs(per_true) + int((per_true * (true_size - per_true)).sum())
        out[str(name)] = (found, there)
    return out


def mixed_labels(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> Labels:
    """(n,) 1 where the record's predicted person holds records of more than one true person."""
    person, true = dense(predicted), dense(truth)
    cells, _ = _cells(person, true)
    return (np.bincount(cells[0])[person] > 1).astype(np.int64)


def _cells(person: Labels, true: Labels) -> tuple[tuple[Labels, Labels], Labels]:
    """Non-empty cells of the contingency table: (person, true) and how many records each holds."""
    width = int(true.max(initial=0)) + 1
    keys, sizes = np.unique(person * width + true, return_counts=True)
    return (keys // width, keys % width), sizes.astype(np.int64)


def _pairs(sizes: npt.NDArray[np.int64]) -> int:
    return int((sizes * (sizes - 1) // 2).sum())
