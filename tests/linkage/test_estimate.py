"""EM over patterns: recovers known parameters, is the textbook's step, finds what goes together."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.estimate import (
    Bits,
    Estimate,
    Levels,
    Pass,
    bond_bits,
    estimate,
    find_bonds,
    posterior,
)

KNOWN = {"m": (0.7, 0.9, 0.95), "u": (0.1, 0.025, 0.2)}
"""Probability that each field agrees, by kind; half of the pairs are matches."""
VECTORS = (
    Path(__file__).resolve().parents[3]
    / "shared"
    / "data"
    / "splink/known_params_comparison_vectors.csv"
)
"""Splink's test data of these parameters (MIT licence), beside the checkout where there is any."""


def tables_of(agree: Mapping[str, tuple[float, ...]]) -> dict[str, Bits]:
    """Tables of fields of two levels from the probability of the first."""
    return {kind: np.array([[p, 1 - p] for p in row]) for kind, row in agree.items()}


def one_pass(levels: Levels, counts: Bits, kinds: str = "mu", share: float = 0.5) -> Pass:
    """A pass that learns all from all fields."""
    start = {"m": share, **{kind: (1 - share) / (len(kinds) - 1) for kind in kinds[1:]}}
    return Pass(
        name="all",
        levels=levels,
        counts=counts,
        counts_for=np.ones(len(levels), bool),
        teaches=kinds,
        allowed=kinds,
        start=start,
        credited=counts,
        proposed=int(counts.sum()),
        compared=int(counts.sum()),
    )


def patterns(fields: int, levels: int = 2) -> Levels:
    """Every pattern of present levels."""
    return np.array(list(product(range(1, levels + 1), repeat=fields)), np.uint8).T


def likelihood(levels: Levels, agree: Mapping[str, tuple[float, ...]], kind: str) -> Bits:
    """(patterns,) probability of each pattern of fields of two levels in a kind."""
    p = np.array(agree[kind])[:, None]
    return np.asarray(np.where(levels == 1, p, 1 - p).prod(axis=0))


def known_sample() -> tuple[Levels, Bits, Bits]:
    """Patterns, expected counts among 4,000 pairs, and the true probability of a match."""
    levels = patterns(3)
    match, other = (0.5 * likelihood(levels, KNOWN, kind) for kind in "mu")
    return levels, 4_000 * (match + other), match / (match + other)


def known_vectors() -> tuple[Levels, Bits, Bits]:
    """As `known_sample`, from the file."""
    with VECTORS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    codes = [[2 - int(row[f"gamma_col_{n}"]) for n in (1, 2, 3)] for row in rows]
    true = np.array([float(row["true_match_probability_l"]) for row in rows])
    return np.array(codes, np.uint8).T, np.ones(len(rows)), true


SAMPLES = [
    pytest.param(known_sample, id="expected counts"),
    pytest.param(
        known_vectors,
        id="a file of vectors",
        marks=pytest.mark.skipif(not VECTORS.exists(), reason="no shared data beside the checkout"),
    ),
]


@pytest.mark.parametrize("sample", SAMPLES)
def test_known_parameters_are_recovered(sample) -> None:  # type: ignore[no-untyped-def]
    levels, counts, _ = sample()
    start = tables_of({"m": (0.8, 0.8, 0.8), "u": (0.2, 0.2, 0.2)})
    found = estimate([one_pass(levels, counts, share=0.3)], start, rounds=5000, tolerance=1e-9)
    for kind, wanted in KNOWN.items():
        np.testing.assert_allclose(found.tables[kind][:, 0], wanted, rtol=0.01)
    assert found.shares[0]["m"] == pytest.approx(0.5, rel=0.01)
    assert found.change < 1e-9
    assert len(found.trace) == found.rounds < 5000


@pytest.mark.parametrize("sample", SAMPLES)
def test_known_parameters_give_the_known_probabilities(sample) -> None:  # type: ignore[no-untyped-def]
    levels, counts, true = sample()
    found = posterior(one_pass(levels, counts), tables_of(KNOWN), {"m": 0.5, "u": 0.5}, {})
    np.testing.assert_allclose(found["m"], true, atol=1e-9)
    np.testing.assert_allclose(found["m"] + found["u"], 1.0, atol=1e-12)


def test_kinds_that_are_fixed_stay_as_they_start() -> None:
    levels, counts, _ = known_sample()
    start = tables_of({"m": (0.8, 0.8, 0.8), "u": KNOWN["u"]})
    found = estimate([one_pass(levels, counts)], start, fixed="u", rounds=2000, tolerance=1e-9)
    np.testing.assert_array_equal(found.tables["u"], start["u"])
    np.testing.assert_allclose(found.tables["m"][:, 0], KNOWN["m"], rtol=1e-4)


def drawn(seed: int, fields: int) -> tuple[Pass, dict[str, Bits]]:
    """A pass of random patterns, some with missing fields, and a random start of three kinds."""
    rng = np.random.default_rng(seed)
    levels = np.unique(rng.integers(0, 4, (fields, 30)), axis=1).astype(np.uint8)
    counts = rng.integers(1, 50, levels.shape[1]).astype(float)
    start = {kind: rng.dirichlet((2.0, 2.0, 2.0), fields) for kind in "mru"}
    return one_pass(levels, counts, "mru", share=0.4), start


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_a_round_is_the_textbook_one(seed: int, fields: int) -> None:
    """Dempster, Laird and Rubin's step, pattern by pattern in plain Python."""
    one, tables = drawn(seed, fields)
    found = estimate([one], tables, rounds=1)
    shares = dict.fromkeys("mru", 0.0)
    counts = {kind: np.zeros((fields, 3)) for kind in "mru"}
    for pattern, count in zip(one.levels.T.tolist(), one.counts.tolist(), strict=True):
        chance = {
            kind: one.start[kind]
            * math.prod(table[row, c - 1] for row, c in enumerate(pattern) if c)
            for kind, table in tables.items()
        }
        for kind in "mru":
            weight = count * chance[kind] / sum(chance.values())
            shares[kind] += weight / one.counts.sum()
            for row, code in enumerate(pattern):
                if code:
                    counts[kind][row, code - 1] += weight
    assert found.shares[0] == pytest.approx(shares, abs=1e-12)
    for kind in "mru":
        total = counts[kind].sum(axis=1, keepdims=True)
        wanted = np.where(total > 0, counts[kind] / np.maximum(total, 1e-300), tables[kind])
        np.testing.assert_allclose(found.tables[kind], wanted, atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_no_round_makes_the_data_less_likely(seed: int, fields: int) -> None:
    one, start = drawn(seed, fields)

    def log_likelihood(found: Estimate) -> float:
        total = np.zeros(one.levels.shape[1])
        for kind, table in found.tables.items():
            padded = np.hstack([np.ones((fields, 1)), table])
            total += found.shares[0][kind] * padded[np.arange(fields)[:, None], one.levels].prod(0)
        return float(one.counts @ np.log(total))

    course = [log_likelihood(estimate([one], start, rounds=r, tolerance=0)) for r in range(1, 9)]
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(course))


def test_a_prior_of_many_pairs_holds_and_one_of_few_gives_way() -> None:
    levels, counts, _ = known_sample()
    start = tables_of({"m": (0.6, 0.6, 0.6), "u": (0.3, 0.3, 0.3)})

    def learnt(pairs: float) -> Bits:
        pseudo = {kind: table * pairs for kind, table in start.items()}
        return estimate([one_pass(levels, counts)], start, pseudo, rounds=500).tables["m"][:, 0]

    np.testing.assert_allclose(learnt(1e9), 0.6, atol=1e-3)
    np.testing.assert_allclose(learnt(1.0), KNOWN["m"], atol=0.01)


def test_a_pass_teaches_only_its_kinds_from_only_its_fields() -> None:
    levels, counts, _ = known_sample()
    start = tables_of({"m": (0.8, 0.8, 0.8), "u": (0.2, 0.2, 0.2)})
    fields = dict(one_pass(levels, counts).__dict__)
    only = Pass(**fields | {"teaches": "m", "counts_for": np.array([True, True, False])})
    found = estimate([only], start, rounds=5)
    np.testing.assert_array_equal(found.tables["u"], start["u"])
    np.testing.assert_array_equal(found.tables["m"][2], start["m"][2])
    assert (found.tables["m"][:2, 0] != 0.8).all()


def test_pairs_that_can_only_be_of_one_kind_are_of_it() -> None:
    levels, counts, _ = known_sample()
    fields = dict(one_pass(levels, counts).__dict__)
    labelled = Pass(**fields | {"allowed": "m", "start": {"m": 1.0, "u": 0.0}})
    found = estimate([labelled], tables_of(KNOWN), rounds=2)
    assert found.posterior(0)["m"].tolist() == [1.0] * 8
    wanted = [float(counts[row == 1].sum() / counts.sum()) for row in levels]
    np.testing.assert_allclose(found.tables["m"][:, 0], wanted)
    np.testing.assert_array_equal(found.tables["u"], tables_of(KNOWN)["u"])


AGREE = {"m": (0.8, 0.8, 0.9, 0.85, 0.9), "u": (0.1, 0.15, 0.05, 0.1, 0.1)}
BOUND, COPIED = (1, 3), 0.85
"""The two fields that slip together, and in how many matches the second does as the first."""


def dependent_sample() -> tuple[list[Pass], Bits]:
    """Random pairs, all strangers, that teach u; pairs of a rule, in which two fields go together
    among matches; and how many of each of the rule's patterns match."""
    rng = np.random.default_rng(11)
    n = 40_000
    match = rng.random(n) < 0.3
    chance = np.where(match, np.array(AGREE["m"])[:, None], np.array(AGREE["u"])[:, None])
    agree = rng.random((5, n)) < chance
    copied = match & (rng.random(n) < COPIED)
    agree[BOUND[1]] = np.where(copied, agree[BOUND[0]], agree[BOUND[1]])
    codes = np.where(agree, 1, 2)
    codes[0, rng.random(n) < 0.2] = 0
    levels, place, counts = np.unique(codes, axis=1, return_inverse=True, return_counts=True)
    matches = np.bincount(place.reshape(-1), weights=match, minlength=len(counts))
    rule = dict(one_pass(levels.astype(np.uint8), counts.astype(float)).__dict__)
    strangers = rng.random((5, 100_000)) < np.array(AGREE["u"])[:, None]
    levels, counts = np.unique(np.where(strangers, 1, 2), axis=1, return_counts=True)
    random = one_pass(levels.astype(np.uint8), counts.astype(float), share=1e-6)
    return [random, Pass(**rule | {"teaches": "m"})], matches


def calibration_error(found: Estimate, matches: Bits) -> float:
    """Expected calibration error of the rule's pairs over ten bins (Naeini and others 2015)."""
    one = found.passes[1]
    probability = found.posterior(1)["m"]
    bins = np.minimum((probability * 10).astype(int), 9)
    error = 0.0
    for number in range(10):
        inside = bins == number
        error += abs(float((probability * one.counts - matches)[inside].sum()))
    return error / float(one.counts.sum())


def test_the_fields_that_go_together_are_found_and_calibration_gains() -> None:
    passes, matches = dependent_sample()
    start = tables_of({"m": (0.85,) * 5, "u": (0.1,) * 5})
    plain = estimate(passes, start, rounds=500)
    assert find_bonds(plain) == [BOUND]
    assert find_bonds(plain, leave_out=[BOUND[0]]) == []
    bound = estimate(passes, plain.tables, bonds=[BOUND], rounds=500)
    assert calibration_error(plain, matches) > 0.01
    assert calibration_error(bound, matches) < 0.004
    assert bound.shares[1]["m"] == pytest.approx(0.3, abs=0.01)


def test_bonds_correct_towards_the_joint_probabilities() -> None:
    passes, _ = dependent_sample()
    found = estimate(passes, tables_of(AGREE), bonds=[BOUND], rounds=500)
    bits = bond_bits(found.corrections[BOUND], (2, 2))
    first, own = (AGREE["m"][row] for row in BOUND)
    second = COPIED * first + (1 - COPIED) * own
    both = COPIED * first + (1 - COPIED) * first * own
    assert bits["m"][0, 0] == pytest.approx(math.log2(both / (first * second)), abs=0.02)
    only = first - both
    assert bits["m"][0, 1] == pytest.approx(math.log2(only / (first * (1 - second))), abs=0.4)
    np.testing.assert_allclose(bits["u"], 0.0, atol=0.1)


def test_bonds_form_a_forest() -> None:
    """Three fields that are one: two bonds, not three."""
    rng = np.random.default_rng(3)
    agree = rng.random(5_000) < 0.8
    codes = np.where(np.stack([agree, agree, agree, rng.random(5_000) < 0.8]), 1, 2)
    levels, counts = np.unique(codes, axis=1, return_counts=True)
    one = one_pass(levels.astype(np.uint8), counts.astype(float))
    labelled = Pass(**dict(one.__dict__) | {"allowed": "m", "start": {"m": 1.0, "u": 0.0}})
    found = estimate([labelled], tables_of({"m": (0.8,) * 4, "u": (0.1,) * 4}), rounds=1)
    bonds = find_bonds(found)
    assert len(bonds) == 2
    assert {row for bond in bonds for row in bond} == {0, 1, 2}


def test_too_few_pairs_show_no_bond() -> None:
    codes = np.array([[1, 2], [1, 2]], np.uint8)
    one = one_pass(codes, np.array([200.0, 200.0]))
    found = estimate([one], tables_of({"m": (0.8, 0.8), "u": (0.1, 0.1)}), rounds=3)
    assert find_bonds(found) == []


NOTHING = [
    ("no pass", []),
    ("no pattern", [one_pass(np.zeros((2, 0), np.uint8), np.zeros(0))]),
    ("nothing present", [one_pass(np.zeros((2, 1), np.uint8), np.array([9.0]))]),
]


@pytest.mark.parametrize("passes", [x[1] for x in NOTHING], ids=[x[0] for x in NOTHING])
def test_where_there_is_nothing_to_learn_the_start_stands(passes: list[Pass]) -> None:
    start = tables_of({"m": (0.8, 0.7), "u": (0.1, 0.2)})
    found = estimate(passes, start, bonds=[(0, 1)])
    for kind in "mu":
        np.testing.assert_array_equal(found.tables[kind], start[kind])
        np.testing.assert_allclose(
            bond_bits(found.corrections[0, 1], (2, 2))[kind], 0.0, atol=1e-12
        )
    assert find_bonds(found) == []


def test_one_pattern_throughout_is_finite() -> None:
    one = one_pass(np.ones((2, 1), np.uint8), np.array([500.0]))
    found = estimate([one], tables_of({"m": (0.8, 0.7), "u": (0.1, 0.2)}), rounds=50)
    for kind in "mu":
        assert np.isfinite(found.tables[kind]).all()
        np.testing.assert_allclose(found.tables[kind].sum(axis=1), 1.0)
    assert np.isfinite(found.posterior(0)["m"]).all()
