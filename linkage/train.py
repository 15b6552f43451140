"""Training: a model of these records, from a prior model, with labels or without.

Method, in order:
1. Passes: an evenly spaced sample of each blocking rule's pairs, one of random pairs, and labelled
   pairs where there are any (linkage/estimate.py says what a pass is).
2. EM with three kinds of pair, from the prior, which counts as pseudo-pairs: a small file leans on
   it, a large one does not. Then again with the bonds between fields that it shows, if asked for.
3. What the random sample is too small to show is counted: how often two records agree by chance on
   a value follows from how often each value occurs.
4. Levels of one measure keep their order: a closer value never counts for less, against relatives
   as against strangers.
5. Frequencies of shared values are counted, and frozen with a share for every value not listed.

Deterministic: the same features, prior and seed give the same model to the byte, whatever the
number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

import msgspec
import numpy as np
import numpy.typing as npt

from linkage.blocking import Blocker, Proposals, blocked_columns
from linkage.columns import Features, distinct
from linkage.comparators import COMPARATORS
from linkage.compare import Comparer
from linkage.estimate import Bits, Estimate, Pass, bond_bits, estimate, find_bonds
from linkage.model import KINDS, Dependence, Field, Frequencies, Level, Model
from linkage.views import Rows

PAIRS_PER_PASS = 50_000
RANDOM_PAIRS = 100_000
PSEUDO_PAIRS: Mapping[str, float] = {"m": 300.0, "r": 20_000.0, "u": 20.0}
"""How many pairs the prior model counts for, per kind. Relatives cannot be told from matches and
strangers by the data alone as surely as these from one another: their prior weighs most."""
LISTED_VALUES = 20_000
SMALL_NUMBER = 10
"""Values that fewer records bear are not listed: the model file is no list of people."""
FLOOR = 1e-6
ROUNDING = 1e-9
"""Ratios that differ by no more than this share are equal."""
NEGLIGIBLE = 1e-200
"""As small beside 1 as a number need be told from 0."""
SMALLEST_POPULATION = 500
"""Priors are never for fewer records than this: of three people, six are not relatives."""
FOUND = 0.9
"""Share of all matches that the blocking rules are taken to propose."""
FEWEST_RELATIVES = 0.05
CHANCE = 0.3
"""Agreement by chance is counted where matches make up no more than this share of it."""
_SOURCE = "source"
"""Two people of one household are as often in one source as strangers are."""


@dataclass(frozen=True)
class Labels:
    """Pairs of rows of the features that somebody judged, each once."""

    left: Rows
    right: Rows
    match: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Trained:
    """A model and how its training went.

    Attributes:
        passes: pass → pairs proposed and compared, and the share of each kind among them.
        estimate: all that EM found, the course of m by round among it.
    """

    model: Model
    rounds: int
    change: float
    passes: Mapping[str, Mapping[str, float]]
    estimate: Estimate


def train(
    features: Features,
    prior: Model,
    *,
    labels: Labels | None = None,
    dependence: bool = False,
    count_relatives: bool = False,
    seed: int = 0,
    threads: int | None = None,
    proposals: Proposals | None = None,
) -> Trained:
    """A model of these records, from the prior. Needs no labels; two records are enough to run.

    Args:
        dependence: look for fields that move together, and model that.
        count_relatives: estimate how many relatives a record has from the rules' pairs. Only rules
            that propose people of one household can show them; else the prior's number stands.
        proposals: of the prior's rules over these features, where they are at hand.
    """
    comparer = Comparer(features, prior.fields)
    if proposals is None:
        proposals = Proposals([Blocker(features, rule) for rule in prior.rules])
    passes = _passes(comparer, proposals, labels, np.random.default_rng(seed), threads)
    start = {kind: _table(prior, kind) for kind in KINDS}
    pseudo = {kind: start[kind] * PSEUDO_PAIRS[kind] for kind in KINDS}
    found = estimate(passes, start, pseudo)
    if dependence:
        bonds = find_bonds(found, leave_out=[r for r, f in enumerate(prior.fields)
                                             if f.name == _SOURCE])  # fmt: skip
        if bonds:
            found = estimate(passes, found.tables, pseudo, bonds=bonds)
    return Trained(
        _model(features, prior, found, count_relatives),
        found.rounds,
        found.change,
        {
            one.name: {
                "proposed": float(one.proposed),
                "compared": float(one.compared),
                "match": share["m"],
                "relative": share["r"],
                "stranger": share["u"],
            }
            for one, share in zip(passes, found.shares, strict=True)
        },
        found,
    )


def _passes(
    comparer: Comparer,
    proposals: Proposals,
    labels: Labels | None,
    rng: np.random.Generator,
    threads: int | None,
) -> list[Pass]:
    comparer.prepare(threads)
    everything = np.ones(len(comparer.fields), bool)
    random = _random_pairs(len(comparer.features), rng)

    def rule_pass(index: int) -> Pass:
        blocker = proposals.blockers[index]
        left, right = blocker.sample(PAIRS_PER_PASS)
        blocked = blocked_columns(blocker.rule)
        use = np.array([f.column not in blocked for f in comparer.fields])
        new = proposals.new(index, left, right)
        start = {"m": 0.5, "r": 0.2, "u": 0.3}
        name = blocker.rule.name
        return _pass(name, comparer, left, right, use, "mr", KINDS, start, blocker.proposed, new)

    def random_pass() -> Pass:
        start = {"m": 1e-6, "r": 1e-5, "u": 1.0}
        return _pass("random", comparer, *random, everything, KINDS, KINDS, start, len(random[0]))

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        jobs = [pool.submit(random_pass)] if len(random[0]) else []
        live = [i for i, b in enumerate(proposals.blockers) if b.proposed]
        jobs += [pool.submit(rule_pass, i) for i in live]
        if labels is not None:
            for name, allowed, chosen in (
                ("labelled matches", "m", labels.match),
                ("labelled others", "ru", ~labels.match),
            ):
                if chosen.any():
                    left, right = labels.left[chosen], labels.right[chosen]
                    start = {k: float(k in allowed) / len(allowed) for k in KINDS}
                    jobs.append(
                        pool.submit(_pass, name, comparer, left, right, everything,
                                    "mr", allowed, start, len(left))
                    )  # fmt: skip
        return [job.result() for job in jobs]


def _random_pairs(n: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    if n * (n - 1) // 2 <= RANDOM_PAIRS:
        left, right = np.triu_indices(n, 1)
        return left.astype(np.int32), right.astype(np.int32)
    left = rng.integers(0, n, RANDOM_PAIRS)
    right = (left + rng.integers(1, n, RANDOM_PAIRS)) % n
    return left.astype(np.int32), right.astype(np.int32)


def _pass(
    name: str,
    comparer: Comparer,
    left: Rows,
    right: Rows,
    use: npt.NDArray[np.bool_],
    teaches: str,
    allowed: str,
    start: Mapping[str, float],
    proposed: int,
    new: npt.NDArray[np.bool_] | None = None,
) -> Pass:
    patterns, place = distinct(comparer.pack(comparer.compare(left, right)))
    order = np.argsort(patterns)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    where = rank[place]
    counts = np.bincount(where, minlength=len(patterns)).astype(float)
    credited = np.zeros(len(patterns))
    if new is not None:
        credited = np.bincount(where[new], minlength=len(patterns)).astype(float)
    return Pass(
        name=name,
        levels=comparer.unpack(patterns[order]),
        counts=counts,
        counts_for=use,
        teaches=teaches,
        allowed=allowed,
        start=start,
        credited=credited,
        proposed=proposed,
        compared=len(left),
    )


def _table(model: Model, kind: str) -> Bits:
    """(fields, widest level count) probabilities of one kind; 0 where a level does not exist."""
    table = np.zeros((len(model.fields), max(len(f.levels) for f in model.fields)))
    for row, field in enumerate(model.fields):
        table[row, : len(field.levels)] = [getattr(level, kind) for level in field.levels]
    return table


def _model(features: Features, prior: Model, found: Estimate, count_relatives: bool) -> Model:
    n = max(len(features), 2)
    per_record = float(np.clip(_per_record(found, "m", n) / FOUND, 0.02, 20.0))
    relatives = prior.relatives_per_record
    if count_relatives:
        relatives = float(np.clip(_per_record(found, "r", n) / FOUND, FEWEST_RELATIVES, relatives))
    records = max(n, SMALLEST_POPULATION)
    tables = {kind: table.copy() for kind, table in found.tables.items()}
    fields = []
    for row, field in enumerate(prior.fields):
        _count_chance(tables, row, field, features, per_record / records)
        kinds = in_order(field, {k: table[row, : len(field.levels)] for k, table in tables.items()})
        if field.name == _SOURCE:
            kinds["r"] = kinds["u"]
            if len(features.column(_SOURCE).values) < 2:
                # Everything is of one source: that two records are tells nothing about them.
                kinds["m"] = kinds["u"]
        fields.append(_field(field, kinds))
    return msgspec.structs.replace(
        prior,
        fields=tuple(fields),
        matches_per_record=per_record,
        relatives_per_record=relatives,
        records=records,
        frequencies={
            field.column: _frequencies(features, field.column)
            for field in prior.fields
            if any(level.frequency for level in field.levels)
        },
        dependence=tuple(_dependence(prior, bond, found) for bond in found.corrections),
        provenance={"prior": prior.hash, "records": str(len(features))},
    )


def _per_record(found: Estimate, kind: str, n: int) -> float:
    """Expected pairs of a kind per record, among all that the rules propose."""
    pairs = 0.0
    for index, one in enumerate(found.passes):
        if one.credited.any():
            expected = float(found.posterior(index)[kind] @ one.credited)
            pairs += expected * one.proposed / one.compared
    return 2 * pairs / n


def _count_chance(
    tables: dict[str, Bits], row: int, field: Field, features: Features, share: float
) -> None:
    """Puts the counted chance of agreeing on one value in the place of the sampled one."""
    column = features.column(field.column)
    if field.levels[0].test != "equal" or column.empty:
        return
    counts = column.counts.astype(np.float64)
    n = counts.sum()
    agree = float((counts * (counts - 1)).sum() / max(n * (n - 1), 1.0))
    of_matches = share * float(tables["m"][row, 0])
    if of_matches > CHANCE * agree:
        return
    counted = min(max((agree - of_matches) / (1 - share), FLOOR), 1.0 - FLOOR)
    rest = tables["u"][row, 1:]
    rest *= (1.0 - counted) / max(float(rest.sum()), FLOOR)
    tables["u"][row, 0] = counted


def in_order(field: Field, kinds: Mapping[str, Bits]) -> dict[str, Bits]:
    """Probabilities of a field's levels, as `positive` gives them: m/u and m/r both fall from level
    to level of one measure, and the last of a measure says no less than `different`.

    Args:
        kinds: kind → (levels,) probabilities, in order or not.
    """
    # What rises to the floor may leave its order by that: first the floor, then the order.
    found = {kind: np.maximum(row, FLOOR) for kind, row in kinds.items()}
    for run in _measured(field):
        _order(*(found[kind][run] for kind in KINDS))
    return {kind: positive(row) for kind, row in found.items()}


def _measured(field: Field) -> Iterator[slice]:
    """The runs of levels of one measure; the last run goes on to `different`."""
    tests = [level.test for level in field.levels[:-1]]
    begin = 0
    for test, some in groupby(tests):
        end = begin + len(list(some))
        known = COMPARATORS.get(test)
        if known is None or known.measures:
            yield slice(begin, end + 1 if end == len(tests) else end)
        begin = end


def _order(m: Bits, r: Bits, u: Bits) -> None:
    """Puts one run in order, in place.

    Both ratios fall where m falls against the flattest shape that falls against r and u. Runs of
    levels that violate this share their m out as that shape is (isotonic regression by pooling
    violators). Where r and u are so much at odds that a level would be left without any m, levels
    that violate either order are as one level: each kind is shared out evenly among them.
    """
    steps = np.minimum(r[1:] / r[:-1], u[1:] / u[:-1])
    shape = np.maximum(np.concatenate(([1.0], np.cumprod(steps))), NEGLIGIBLE)
    shared = m.copy()
    for pool in _pools(m, shape):
        shared[pool] = m[pool].sum() * shape[pool] / shape[pool].sum()
    if shared.min() >= FLOOR:
        m[:] = shared
        return
    for pool in _pools(m, r, u):
        for kind in (m, r, u):
            kind[pool] = kind[pool].mean()


def _pools(m: Bits, *against: Bits) -> list[slice]:
    """The runs of several levels that must be pooled for m to fall against each of the others."""
    pools: list[slice] = []
    for index in range(len(m)):
        pools.append(slice(index, index + 1))
        while len(pools) > 1 and any(_rises(m, one, *pools[-2:]) for one in against):
            last = pools.pop()
            pools[-1] = slice(pools[-1].start, last.stop)
    return [pool for pool in pools if pool.stop - pool.start > 1]


def _rises(m: Bits, other: Bits, before: slice, after: slice) -> bool:
    """Whether m/other is larger after than before, by more than rounding."""
    product = m[before].sum() * other[after].sum()
    return bool(product < m[after].sum() * other[before].sum() * (1.0 - ROUNDING))


def _field(field: Field, kinds: Mapping[str, Bits]) -> Field:
    levels: tuple[Level, ...] = tuple(
        msgspec.structs.replace(level, **{k: float(kinds[k][i]) for k in KINDS})
        for i, level in enumerate(field.levels)
    )
    return msgspec.structs.replace(field, levels=levels)


def positive(row: Bits) -> Bits:
    """Probabilities rounded to 9 places, none below the floor, summing to 1."""
    floored = np.maximum(row, FLOOR)
    rounded = np.round(floored / floored.sum(), 9)
    rounded[np.argmax(rounded)] += 1.0 - rounded.sum()
    return np.asarray(rounded)


def _dependence(prior: Model, bond: tuple[int, int], found: Estimate) -> Dependence:
    one, two = (prior.fields[row] for row in bond)
    bits = bond_bits(found.corrections[bond], (len(one.levels), len(two.levels)))
    tables = {
        kind: tuple(tuple(round(float(x), 6) for x in row) for row in table)
        for kind, table in bits.items()
    }
    return Dependence(one.name, two.name, **tables)


def _frequencies(features: Features, name: str) -> Frequencies:
    """Shares of the most frequent values, and what a value not among them counts for."""
    column = features.column(name)
    counts = column.counts
    total = max(int(counts.sum()), 1)
    texts = column.values.texts
    frequent = np.flatnonzero(counts >= SMALL_NUMBER)
    order = np.lexsort((texts[frequent].astype(str), -counts[frequent]))[:LISTED_VALUES]
    listed = frequent[order]
    shares = {str(texts[i]): round(float(counts[i] / total), 9) for i in listed.tolist()}
    rest = np.delete(counts, listed).astype(np.float64)
    # What a record's unlisted value is borne by, on average over records.
    borne_by = float(rest @ rest / rest.sum()) if rest.any() else 1.0
    other = round(max(borne_by / total, 1e-7), 12)
    return Frequencies(dict(sorted(shares.items())), other=other)
