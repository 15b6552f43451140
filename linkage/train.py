"""Training: a model's probabilities from unlabelled records, by EM over counts of patterns.

Method, in order:
1. Passes: one for each blocking rule (a capped, evenly spaced sample of its pairs), and one of
   random pairs. Each pass is reduced to its distinct patterns and their counts.
2. EM with three kinds of pair (linkage/model.py). Each pass has kind shares of its own; a field's
   probabilities are common to all passes. In a pass, the fields that its rule blocks on say
   nothing (they agree by construction): they are left out of its likelihood and it teaches
   nothing about them. That, and u being learnt from the random pass, is what makes the estimate
   identifiable where one EM over all blocked pairs is not.
3. The prior model counts as pseudo-pairs: a small file leans on it, a large one does not.
4. Name frequencies are counted, and frozen with a share for every name not listed.

Deterministic: the same features, prior and seed give the same model to the byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linkage.blocking import Blocker, blocked_fields
from linkage.compare import FIELDS, LEVELS, compare, pack, unpack
from linkage.features import Features
from linkage.model import Field, Frequencies, Level, Model
from linkage.score import Bits

PAIRS_PER_PASS = 200_000
RANDOM_PAIRS = 1_000_000
PSEUDO_PAIRS: Mapping[str, float] = {"m": 300.0, "r": 20_000.0, "u": 20.0}
"""How many pairs the prior model counts for, per kind. Relatives cannot be told from matches and
strangers by the data alone as surely as these from one another: their prior weighs most."""
ROUNDS = 60
TOLERANCE = 1e-5
LISTED_NAMES = 20_000
SMALL_NUMBER = 10
"""Names that fewer records bear are not listed: the model file is no list of people."""
FLOOR = 1e-6
SMALLEST_POPULATION = 500
"""Priors are never for fewer records than this: of three people, six are not relatives."""
_SOURCE = FIELDS.index("source")
"""Two people of one household are as often in one source as strangers are."""


@dataclass(frozen=True)
class Pass:
    """Patterns of one pass, their counts, and the fields that count in it."""

    name: str
    levels: npt.NDArray[np.uint8]
    counts: Bits
    counts_for: npt.NDArray[np.bool_]
    proposed: int
    compared: int


@dataclass(frozen=True)
class Trained:
    """A model and how its training went."""

    model: Model
    rounds: int
    change: float
    passes: Mapping[str, Mapping[str, float]]


def train(features: Features, prior: Model, *, seed: int = 0) -> Trained:
    """A model of these records, from the prior. Needs no labels; two records are enough to run."""
    passes = _passes(features, prior, np.random.default_rng(seed))
    kinds = {kind: _table(prior, kind) for kind in "mru"}
    pseudo = {kind: kinds[kind] * PSEUDO_PAIRS[kind] for kind in "mru"}
    shares = [_start_shares(p) for p in passes]
    change, rounds = np.inf, 0
    while change >= TOLERANCE and rounds < ROUNDS:
        rounds += 1
        counts = {kind: pseudo[kind].copy() for kind in "mru"}
        for index, one in enumerate(passes):
            weights = _posterior(one, kinds, shares[index])
            shares[index] = weights @ one.counts / max(one.counts.sum(), 1.0)
            _add_counts(counts, one, weights)
        updated = {kind: _normalised(counts[kind]) for kind in "mru"}
        updated["r"][_SOURCE] = updated["u"][_SOURCE]
        change = max(float(np.abs(updated[k] - kinds[k]).max()) for k in "mru")
        kinds = updated
    if len(np.unique(features.source)) < 2:
        # Everything is of one source: that two records are tells nothing about them.
        kinds["m"][_SOURCE] = kinds["r"][_SOURCE] = kinds["u"][_SOURCE]
    model = _model(features, prior, kinds, passes, shares)
    return Trained(model, rounds, change, _summary(passes, shares))


def _passes(features: Features, model: Model, rng: np.random.Generator) -> list[Pass]:
    passes = [_random_pass(features, rng)] if len(features) > 1 else []
    for rule in model.rules:
        blocker = Blocker(features, rule)
        if not blocker.proposed:
            continue
        keep = max(1, -(-blocker.proposed // PAIRS_PER_PASS))
        chunks = [(a[::keep].copy(), b[::keep].copy()) for a, b in blocker.pairs(1_000_000)]
        left = np.concatenate([a for a, _ in chunks])
        right = np.concatenate([b for _, b in chunks])
        use = np.array([name not in blocked_fields(rule) for name in FIELDS])
        passes.append(_pass(rule.name, features, left, right, use, blocker.proposed))
    return passes


def _random_pass(features: Features, rng: np.random.Generator) -> Pass:
    n = len(features)
    if n * (n - 1) // 2 <= RANDOM_PAIRS:
        left, right = (a.astype(np.int32) for a in np.triu_indices(n, 1))
    else:
        left = rng.integers(0, n, RANDOM_PAIRS, dtype=np.int32)
        right = (left + rng.integers(1, n, RANDOM_PAIRS, dtype=np.int32)) % np.int32(n)
    return _pass("random", features, left, right, np.ones(len(FIELDS), bool), len(left))


def _pass(
    name: str,
    features: Features,
    left: npt.NDArray[np.int32],
    right: npt.NDArray[np.int32],
    use: npt.NDArray[np.bool_],
    proposed: int,
) -> Pass:
    parts = []
    for start in range(0, len(left), 250_000):
        part = slice(start, start + 250_000)
        parts.append(pack(compare(features, left[part], right[part])))
    patterns, counts = np.unique(np.concatenate(parts), return_counts=True)
    return Pass(name, unpack(patterns), counts.astype(float), use, proposed, len(left))


def _table(model: Model, kind: str) -> Bits:
    """(fields, widest level count) probabilities of one kind; 0 where a level does not exist."""
    width = max(len(levels) for levels in LEVELS.values())
    table = np.zeros((len(FIELDS), width))
    for field in model.fields:
        row = [getattr(level, kind) for level in field.levels]
        table[FIELDS.index(field.name), : len(row)] = row
    return table


def _start_shares(one: Pass) -> Bits:
    return np.array([1e-6, 1e-5, 1.0]) if one.name == "random" else np.array([0.5, 0.2, 0.3])


def _posterior(one: Pass, kinds: Mapping[str, Bits], shares: Bits) -> Bits:
    """(3, patterns): how likely each pattern is of each kind, in this pass."""
    logs = np.empty((3, one.levels.shape[1]))
    fields = np.flatnonzero(one.counts_for)
    for row, kind in enumerate("mru"):
        table = np.ones((len(FIELDS), kinds[kind].shape[1] + 1))
        table[:, 1:] = np.maximum(kinds[kind], FLOOR)
        logs[row] = np.log(np.maximum(shares[row], 1e-12))
        logs[row] += np.log(table)[fields[:, None], one.levels[fields]].sum(axis=0)
    logs -= logs.max(axis=0)
    likelihood = np.exp(logs)
    return np.asarray(likelihood / likelihood.sum(axis=0))


def _add_counts(counts: Mapping[str, Bits], one: Pass, weights: Bits) -> None:
    """Adds the expected level counts of a pass. Only random pairs teach u."""
    for row, kind in enumerate("mru"):
        if kind == "u" and one.name != "random":
            continue
        expected = weights[row] * one.counts
        width = counts[kind].shape[1] + 1
        for field in np.flatnonzero(one.counts_for):
            per_level = np.bincount(one.levels[field], weights=expected, minlength=width)
            counts[kind][field] += per_level[1:width]


def _normalised(counts: Bits) -> Bits:
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _model(
    features: Features,
    prior: Model,
    kinds: Mapping[str, Bits],
    passes: Sequence[Pass],
    shares: Sequence[Bits],
) -> Model:
    n = max(len(features), 2)
    found = [
        2.0 * share[0] * one.proposed / n
        for one, share in zip(passes, shares, strict=True)
        if one.name != "random"
    ]
    fields = []
    for index, (name, levels) in enumerate(LEVELS.items()):
        rows = {k: _positive(kinds[k][index, : len(levels)]) for k in "mru"}
        fields.append(
            Field(
                name,
                tuple(
                    Level(level, float(rows["m"][i]), float(rows["r"][i]), float(rows["u"][i]))
                    for i, level in enumerate(levels)
                ),
            )
        )
    return Model(
        name=prior.name,
        fields=tuple(fields),
        rules=prior.rules,
        matches_per_record=float(np.clip(max(found, default=0.0) / 0.9, 0.05, 20.0)),
        relatives_per_record=prior.relatives_per_record,
        records=max(n, SMALLEST_POPULATION),
        frequencies={field: _frequencies(features, field) for field in ("given", "family")},
        provenance={"prior": prior.hash, "records": str(len(features))},
    )


def _positive(row: Bits) -> Bits:
    """Probabilities rounded to 9 places, none below the floor, summing to 1."""
    floored = np.maximum(row, FLOOR)
    rounded = np.round(floored / floored.sum(), 9)
    rounded[np.argmax(rounded)] += 1.0 - rounded.sum()
    return np.asarray(rounded)


def _frequencies(features: Features, field: str) -> Frequencies:
    """Shares of the most frequent names, and what a name not among them counts for."""
    codes = getattr(features, field)
    counts = np.bincount(codes[codes >= 0], minlength=len(features.names))
    total = max(int(counts.sum()), 1)
    order = np.lexsort((np.arange(len(counts)), -counts))[:LISTED_NAMES]
    listed = order[counts[order] >= SMALL_NUMBER]
    shares = {features.names[i]: round(float(counts[i] / total), 9) for i in listed.tolist()}
    rest = np.delete(counts, listed).astype(np.float64)
    # What a record's unlisted name is borne by, on average over records.
    borne_by = float(rest @ rest / rest.sum()) if rest.any() else 1.0
    other = round(max(borne_by / total, 1e-7), 12)
    return Frequencies(dict(sorted(shares.items())), other=other)


def _summary(passes: Sequence[Pass], shares: Sequence[Bits]) -> dict[str, dict[str, float]]:
    return {
        one.name: {
            "proposed": float(one.proposed),
            "compared": float(one.compared),
            "match": float(share[0]),
            "relative": float(share[1]),
            "stranger": float(share[2]),
        }
        for one, share in zip(passes, shares, strict=True)
    }
