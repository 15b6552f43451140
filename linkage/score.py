"""Scores: pattern and shared names to bits of match weight (formula in linkage/model.py)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linkage.compare import FIELDS, LEVELS, Levels, Rows
from linkage.features import Features
from linkage.model import Model, average_share

Bits = npt.NDArray[np.float64]

FREQUENCY_FIELDS = ("given", "family")
MAX_FREQUENCY_BITS = 8.0
"""A rare name adds at most this much, a common one takes at most this much: rare spellings are
often slips."""


@dataclass(frozen=True)
class Weights:
    """A model as arrays. `m`, `r`, `u`: (fields, levels + 1) log2 probabilities, 0 for missing."""

    m: Bits
    r: Bits
    u: Bits
    match_prior: float
    relative_prior: float


def weights_of(model: Model) -> Weights:
    """The model's log2 probabilities, by field and level code."""
    width = max(len(levels) for levels in LEVELS.values()) + 1
    tables = {kind: np.zeros((len(FIELDS), width)) for kind in "mru"}
    for field in model.fields:
        for code, level in enumerate(field.levels, start=1):
            for kind, table in tables.items():
                table[FIELDS.index(field.name), code] = math.log2(getattr(level, kind))
    return Weights(
        **tables,
        match_prior=math.log2(model.matches_per_record / model.records),
        relative_prior=math.log2(model.relatives_per_record / model.records),
    )


def kind_bits(weights: Weights, levels: Levels) -> tuple[Bits, Bits, Bits]:
    """log2 of prior times likelihood for each kind: match, relative, stranger (without names)."""
    fields = np.arange(len(FIELDS))[:, None]
    match = weights.match_prior + weights.m[fields, levels].sum(axis=0)
    relative = weights.relative_prior + weights.r[fields, levels].sum(axis=0)
    return match, relative, weights.u[fields, levels].sum(axis=0)


class NameFrequencies:
    """log2 of a shared name's frequency over the average one, per distinct name of the features."""

    def __init__(self, features: Features, model: Model) -> None:
        self._bits: dict[str, Bits] = {}
        for field in FREQUENCY_FIELDS:
            table = model.frequencies.get(field)
            if table is None or not table.shares:
                continue
            average = max(average_share(table.shares), table.other)
            shares = np.array([table.shares.get(n, table.other) for n in features.names] or [1.0])
            bits = np.log2(shares / average)
            self._bits[field] = np.clip(bits, -MAX_FREQUENCY_BITS, MAX_FREQUENCY_BITS)

    def stranger_bits(self, features: Features, left: Rows, levels: Levels) -> Bits:
        """What is added to a stranger's log likelihood where the pair shares a name."""
        out = np.zeros(len(left))
        for field, bits in self._bits.items():
            same = levels[FIELDS.index(field)] == 1
            codes = getattr(features, field)[left]
            out[same] += bits[codes[same]]
        return out


def match_bits(match: Bits, relative: Bits, stranger: Bits) -> Bits:
    """Log2 odds of being one person."""
    return match - np.logaddexp2(relative, stranger)


def probability(bits: Bits) -> Bits:
    """Odds in bits as a probability."""
    return 1.0 / (1.0 + np.exp2(-np.clip(bits, -60, 60)))
