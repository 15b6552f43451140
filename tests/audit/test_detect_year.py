"""A small simulated year: planted snoops are found, their look-alikes are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from audit.detect_rules import RULES
from bench.detection import judged, search
from demo.accesses import Year, simulate
from demo.accesses_planted import KINDS

SILENT_ALONE = frozenset({"flagged", "sensitive"})
"""Kinds whose one weak sign raises nothing by itself, as the docs say."""


@pytest.fixture(scope="module")
def year() -> Year:
    return simulate(60_000, seed=7, cases=2)


def test_snoops_are_found_and_innocents_left_alone(year: Year) -> None:
    told = judged(year, search(year))
    assert told["explained"] >= 0.90
    missed = {kind for kind, n in told["kinds"].items() if not n["found"]}
    assert missed <= SILENT_ALONE
    assert told["found"] >= 0.9 * (told["planted"] - 2 * len(SILENT_ALONE))
    alike = sum(n["alike_named"] for n in told["kinds"].values())
    assert alike <= 0.1 * sum(n["alike"] for n in told["kinds"].values())
    assert told["alerts"] - told["found"] < len(year) / 500


def test_every_kind_is_planted_guilty_and_innocent(year: Year) -> None:
    planted = set(zip(year.labels.kind, year.labels.guilty, strict=True))
    assert planted == {(kind, guilty) for kind in KINDS for guilty in (True, False)}
    assert set(KINDS) - set(RULES) == set()
    combined = {"unexplained", "hours", "many-unexplained"}
    assert set(RULES) - set(KINDS) == combined


def test_a_year_is_the_same_for_the_same_seed(year: Year) -> None:
    again = simulate(60_000, seed=7, cases=2)
    assert all(np.array_equal(year.rows[name], again.rows[name]) for name in year.rows)
    other = simulate(60_000, seed=8, cases=2)
    assert len(other) != len(year) or not np.array_equal(other.rows["at"], year.rows["at"])


def test_events_stand_in_order_of_time_with_their_leaves(year: Year) -> None:
    leaves, moments = [], []
    for month in year.months():
        leaves.append(month.column("leaf").to_numpy())
        moments.append(month.column("at").to_numpy())
    assert np.array_equal(np.concatenate(leaves), np.arange(len(year)))
    assert np.all(np.diff(np.concatenate(moments).astype(np.int64)) >= 0)
