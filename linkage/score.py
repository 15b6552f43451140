"""Scores: levels and shared values to bits of match weight (formula in linkage/model.py).

Rules:
- Everything that depends on the levels alone is computed once per distinct pattern; what is left
  per pair is the term frequency of shared values and one sum.
- A bound on what a pair can still reach decides whether its costly comparisons are made at all:
  a pair is passed over only where it cannot reach the floor, so the result is the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linkage.columns import Features, distinct
from linkage.compare import Comparer, Levels
from linkage.guards import NO_PAIRS, PairKeys, check_guards, forbidden
from linkage.model import KINDS, Dependence, Field, Model, average_share
from linkage.views import Places, Rows

Bits = npt.NDArray[np.float64]

MAX_FREQUENCY_BITS = 8.0
"""A rare value adds at most this much, a common one takes at most this much: rare spellings are
often slips."""
CLEAR = 1e-9
"""Bits by which a bound must fall short: sums in another order differ by less."""


class Weights:
    """A model as arrays, by field and level code.

    Attributes:
        tables: kind → (fields, widest + 2) log2 probabilities; 0 for missing and for OPEN.
        match_prior, relative_prior: log2 of the kinds' shares among pairs.
    """

    def __init__(self, model: Model) -> None:
        self.fields = model.fields
        width = max(len(f.levels) for f in model.fields) + 2
        self.tables = {kind: np.zeros((len(model.fields), width)) for kind in KINDS}
        for row, field in enumerate(model.fields):
            for code, level in enumerate(field.levels, start=1):
                for kind, table in self.tables.items():
                    table[row, code] = math.log2(getattr(level, kind))
        self.match_prior = math.log2(model.matches_per_record / model.records)
        self.relative_prior = math.log2(model.relatives_per_record / model.records)
        names = [f.name for f in model.fields]
        self._bonds = [
            (names.index(bond.one), names.index(bond.two), _bond_tables(bond))
            for bond in model.dependence
        ]

    def kind_bits(self, levels: Levels) -> tuple[Bits, Bits, Bits]:
        """log2 of prior times likelihood for each kind: match, relative, stranger (before term
        frequency). levels: (fields, patterns)."""
        match, relative, stranger = (self._likelihood(kind, levels) for kind in KINDS)
        return self.match_prior + match, self.relative_prior + relative, stranger

    def _likelihood(self, kind: str, levels: Levels) -> Bits:
        # Field by field: a sum over an axis adds in another order where there is one pattern only.
        bits = np.zeros(levels.shape[1])
        for row, codes in enumerate(levels):
            bits += self.tables[kind][row, codes]
        for one, two, tables in self._bonds:
            bits += tables[kind][levels[one], levels[two]]
        return bits

    def conflict(self, levels: Levels) -> Bits:
        """Sum of what fields say against a pair; at most 0."""
        against = np.minimum(self.tables["m"] - self.tables["u"], 0.0)
        bits = np.zeros(levels.shape[1])
        for row, codes in enumerate(levels):
            bits += against[row, codes]
        return bits

    def together(self, levels: Levels) -> Bits:
        """Bits against strangers that fields add because they go together; (pairs,)."""
        bits = np.zeros(levels.shape[1])
        for one, two, tables in self._bonds:
            bits += (tables["m"] - tables["u"])[levels[one], levels[two]]
        return bits

    def ceilings(self, levels: Levels, open_codes: Levels, undecided: Levels) -> tuple[Bits, Bits]:
        """The most that patterns with OPEN fields can reach against strangers (before the term
        frequency of levels already known) and against relatives.

        Args:
            levels: (fields, patterns); `open_codes`: (fields,) the code of OPEN;
            undecided: (fields,) the first level that a field's costly tests can give.
        """
        priors = (self.match_prior, self.match_prior - self.relative_prior)
        out = []
        for prior, against in zip(priors, ("u", "r"), strict=True):
            gain = self.tables["m"] - self.tables[against]
            for row, field in enumerate(self.fields):
                first = int(undecided[row])
                best = gain[row, first : len(field.levels) + 1].copy()
                if against == "u":
                    best += [MAX_FREQUENCY_BITS * x.frequency for x in field.levels[first - 1 :]]
                gain[row, open_codes[row]] = best.max(initial=-np.inf)
            bits = prior + gain[np.arange(len(self.fields))[:, None], levels].sum(axis=0)
            for one, two, tables in self._bonds:
                extra = tables["m"] - tables[against]
                at = extra[levels[one], levels[two]]
                unsure = (levels[one] == open_codes[one]) | (levels[two] == open_codes[two])
                bits += np.where(unsure, extra.max(), at)
            out.append(bits)
        return out[0], out[1]


def _bond_tables(bond: Dependence) -> dict[str, Bits]:
    """A dependence as arrays by level codes, 0 where a field is missing or OPEN."""
    tables = {}
    for kind in KINDS:
        inner = np.array(getattr(bond, kind), np.float64)
        tables[kind] = np.zeros((inner.shape[0] + 2, inner.shape[1] + 2))
        tables[kind][1:-1, 1:-1] = inner
    return tables


class TermFrequencies:
    """log2 of a shared value's frequency over the average one, per distinct value of a column."""

    def __init__(
        self, features: Features, model: Model, averages: Mapping[str, float] | None = None
    ) -> None:
        self.averages = _averages(model) if averages is None else averages
        self._fields: list[tuple[int, Field, Bits]] = []
        for row, field in enumerate(model.fields):
            table = model.frequencies.get(field.column)
            column = features.column(field.column)
            if table is None or not table.shares or column.empty:
                continue
            if not any(level.frequency for level in field.levels):
                continue
            average = self.averages[field.column]
            texts = column.values.texts.tolist()
            bits = np.log2(np.array([table.shares.get(t, table.other) for t in texts]) / average)
            clipped = np.clip(bits, -MAX_FREQUENCY_BITS, MAX_FREQUENCY_BITS)
            self._fields.append((row, field, clipped))

    def bits(self, features: Features, left: Rows, right: Rows, levels: Levels) -> Bits:
        """What is added to a stranger's log likelihood where the pair shares a value. Of two values
        that are only alike, the more frequent counts."""
        out = np.zeros(len(left))
        for row, field, bits in self._fields:
            codes = features.main(field.column)
            for code, level in enumerate(field.levels, start=1):
                if level.frequency:
                    at = np.flatnonzero(levels[row] == code)
                    found = bits.take(codes.take(left.take(at)))
                    if level.test != "equal":
                        found = np.maximum(found, bits.take(codes.take(right.take(at))))
                    out[at] += level.frequency * found
        return out


def _averages(model: Model) -> dict[str, float]:
    """Column → the probability that two strangers share a value."""
    return {
        column: max(average_share(table.shares), table.other)
        for column, table in model.frequencies.items()
    }


@dataclass(frozen=True)
class Scored:
    """Pairs that reach the floor, of those given.

    Attributes:
        keep: places of these pairs among those given, ascending.
        bits: match weight. conflict: sum of the fields' log2 m/u below nought: what speaks against.
        guard: 0 or the number of the guard that forbids.
    """

    keep: Places
    bits: Bits
    conflict: Bits
    guard: Levels


class Scorer:
    """Scores pairs of the features' rows under one model; `apart` are those that people decided to
    be two."""

    def __init__(self, features: Features, model: Model, apart: PairKeys = NO_PAIRS) -> None:
        check_guards(model)
        self.features, self.model, self.apart = features, model, apart
        self.comparer = Comparer(features, model.fields)
        self._weights = Weights(model)
        self._frequencies = TermFrequencies(features, model)

    def over(self, features: Features) -> Scorer:
        """The same model over other features: what depends on the model alone is shared. What
        people decided is not: it names rows."""
        other = copy(self)
        other.features, other.apart = features, NO_PAIRS
        other.comparer = Comparer(features, self.model.fields)
        other._frequencies = TermFrequencies(features, self.model, self._frequencies.averages)
        return other

    def levels(self, left: Rows, right: Rows) -> Levels:
        """(fields, pairs) levels."""
        return self.comparer.compare(left, right)

    def score(self, left: Rows, right: Rows, floor: float = -np.inf) -> Scored:
        """Match weights of the pairs that reach the floor."""
        levels = self.comparer.cheap(left, right)
        keep = np.arange(len(left))
        if floor > -np.inf:
            keep = self._can_reach(left, right, levels, floor)
            left, right, levels = left.take(keep), right.take(keep), levels.take(keep, axis=1)
        self.comparer.finish(levels, left, right)
        patterns, place = distinct(self.comparer.pack(levels))
        match, relative, stranger = self._weights.kind_bits(self.comparer.unpack(patterns))
        shared = self._frequencies.bits(self.features, left, right, levels)
        stranger = stranger.take(place) + shared
        bits = match.take(place) - np.logaddexp2(relative.take(place), stranger)
        conflict = self._weights.conflict(self.comparer.unpack(patterns)).take(place)
        reach = np.flatnonzero(bits >= floor)
        if len(reach) < len(bits):
            keep = keep.take(reach)
            left, right, levels = left.take(reach), right.take(reach), levels.take(reach, axis=1)
            bits, conflict = bits.take(reach), conflict.take(reach)
        guard = forbidden(self.features, self.model, left, right, levels, apart=self.apart)
        return Scored(keep, bits, conflict, guard)

    def _can_reach(self, left: Rows, right: Rows, levels: Levels, floor: float) -> Places:
        """Places of the pairs that may reach the floor."""
        patterns, place = distinct(self.comparer.pack(levels))
        against_stranger, against_relative = self._weights.ceilings(
            self.comparer.unpack(patterns), self.comparer.open, self.comparer.undecided
        )
        near = np.minimum(against_stranger + self._most_rare, against_relative) >= floor - CLEAR
        at = np.flatnonzero(near.take(place))
        shared = self._frequencies.bits(
            self.features, left.take(at), right.take(at), levels.take(at, axis=1)
        )
        reach = against_stranger[place.take(at)] - shared >= floor - CLEAR
        return at.take(np.flatnonzero(reach))

    @property
    def _most_rare(self) -> float:
        """The most that term frequencies of known levels can add, in bits."""
        return MAX_FREQUENCY_BITS * sum(
            max(level.frequency for level in field.levels) for field in self.model.fields
        )

    def against_itself(self, rows: Rows) -> Bits:
        """Match weight of each record with its equal in another source: the most it can reach."""
        levels = self.levels(rows, rows)
        for row, field in enumerate(self.model.fields):
            if field.name == "source":
                levels[row] = 0
        match, relative, stranger = self._weights.kind_bits(levels)
        shared = self._frequencies.bits(self.features, rows, rows, levels)
        return np.asarray(match - np.logaddexp2(relative, stranger + shared))

    def field_bits(self, left: Rows, right: Rows) -> dict[str, Bits]:
        """Per field log2 m/u of each pair, 0 where missing. They do not add up to the match
        weight where relatives are the likelier alternative (linkage/model.py)."""
        gains = self._weights.tables["m"] - self._weights.tables["u"]
        levels = self.levels(left, right)
        named = {f.name: gains[row, levels[row]] for row, f in enumerate(self.model.fields)}
        if self.model.dependence:
            named["together"] = self._weights.together(levels)
        return named


def probability(bits: Bits) -> Bits:
    """Odds in bits as a probability."""
    return 1.0 / (1.0 + np.exp2(-np.clip(bits, -60, 60)))
