"""Quality control: who agrees with whom, and the precision that judgements show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkage.metrics import interval
from schemas.decisions import Verdict
from service.quality_control import StratumPrecision, _allocated, estimate, kappa

SAME, DIFFERENT, UNDECIDED = Verdict


def test_kappa_of_a_worked_example() -> None:
    """Twenty yes-yes, fifteen no-no, five and ten crossed: 0.7 observed, 0.5 by chance."""
    pairs = (
        [(SAME, SAME)] * 20 + [(SAME, DIFFERENT)] * 5
        + [(DIFFERENT, SAME)] * 10 + [(DIFFERENT, DIFFERENT)] * 15
    )  # fmt: skip
    assert kappa(pairs) == pytest.approx(0.4)


ANSWERS = st.lists(
    st.tuples(st.sampled_from(Verdict), st.sampled_from(Verdict)), min_size=1, max_size=40
)


@given(ANSWERS)
def test_kappa_is_one_for_agreement_and_never_more(pairs: list[tuple[Verdict, Verdict]]) -> None:
    found = kappa(pairs)
    assert found == kappa([(b, a) for a, b in pairs])
    assert kappa([(SAME, SAME)] * len(pairs)) is None, "chance alone would always agree"
    if found is not None:
        assert found <= 1.0 + 1e-12
        agreed = all(a is b for a, b in pairs)
        assert (abs(found - 1.0) < 1e-12) == agreed


def stratum(pairs: int, same: int, different: int) -> StratumPrecision:
    sure = same + different
    lower, upper = interval(same, sure)
    return StratumPrecision(
        7.0, pairs, sure, same, different, 0, same / sure if sure else None, lower, upper
    )


def test_strata_count_by_their_pairs() -> None:
    precision, lower, upper, covered = estimate([stratum(900, 10, 0), stratum(100, 5, 5)])
    assert precision == pytest.approx(0.95)
    assert lower < 0.95 < upper
    assert covered == 1.0


def test_one_stratum_is_the_plain_binomial_interval() -> None:
    precision, *bounds, _ = estimate([stratum(500, 48, 2)])
    assert precision == pytest.approx(0.96)
    assert tuple(bounds) == pytest.approx(interval(48, 50))


def test_without_errors_a_small_sample_proves_little() -> None:
    _, lower, upper, _ = estimate([stratum(10_000, 5, 0), stratum(10, 50, 0)])
    assert lower < 0.5
    assert upper == 1.0


def test_strata_without_judgements_are_told() -> None:
    assert estimate([stratum(300, 5, 0), stratum(700, 0, 0)])[3] == pytest.approx(0.3)
    assert estimate([stratum(300, 0, 0)]) == (None, 0.0, 1.0, 0.0)


@given(
    st.integers(1, 200),
    st.lists(st.tuples(st.integers(0, 60), st.floats(0, 50)), min_size=1, max_size=7),
)
def test_what_is_drawn(size: int, strata: list[tuple[int, float]]) -> None:
    there = np.array([n for n, _ in strata])
    wanted = _allocated(size, there, np.array([w for _, w in strata]))
    assert (wanted <= there).all()
    assert (wanted >= 0).all()
    assert wanted.sum() == min(size, there.sum())
    even = size // 2 // max(int((there > 0).sum()), 1)
    assert (wanted >= np.minimum(there, even)).all()
