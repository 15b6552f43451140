"""Training: what it learns from generated records; any records and any prior are enough to run."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from linkage.columns import Features
from linkage.comparators import COMPARATORS
from linkage.engine import Scorer
from linkage.features import build_features
from linkage.model import Field, Level, Model, Rule, uk_person
from linkage.train import FLOOR, SMALL_NUMBER, Labels, Trained, in_order, positive, train
from tests.linkage.people import models, people_table, shipped_model, tables

LETTERS = np.array(list("abcdefghijklmnoprstuvwy"))


def people(count: int, seed: int = 7, moved: float = 0.5) -> pa.Table:
    """Two records of each of so many people; some move house between the two."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for _ in range(count):
        base = {
            "given": "".join(rng.choice(LETTERS, 5)),
            "family": "".join(rng.choice(LETTERS, 6)),
            "birth_date": str(np.datetime64("1940-02-02") + rng.integers(0, 20_000)),
            "postcode": f"BS{rng.integers(1, 9)} {rng.integers(1, 9)}AB",
            "gender": str(rng.choice(["male", "female"])),
        }
        away = {"postcode": f"TA{rng.integers(1, 9)} 1ZZ"} if rng.random() < moved else {}
        rows += [{**base, "source": "a"}, {**base, **away, "source": "b"}]
    return people_table(rows)


def features_of(count: int = 400, **options: Any) -> Features:
    """The features of generated people."""
    return build_features(people(count, **options))


def share(trained: Trained, field: str, level: str, kind: str) -> float:
    """A probability of the trained model."""
    found = next(x for x in trained.model.field(field).levels if x.name == level)
    return float(getattr(found, kind))


@pytest.fixture(scope="module")
def trained() -> Trained:
    """Trained on four hundred people."""
    return train(features_of(), uk_person())


def test_training_learns_from_the_data(trained: Trained) -> None:
    assert 0.45 < share(trained, "postcode", "same", "m") < 0.65
    assert 0.9 < trained.model.matches_per_record < 1.3
    assert share(trained, "given", "same", "u") < 1e-3
    assert share(trained, "sex", "same", "u") == pytest.approx(0.5, abs=0.02)
    assert trained.model.provenance["prior"] == uk_person().hash
    assert trained.passes["both names, birth year"]["match"] > 0.95


def test_what_moves_less_teaches_a_larger_m(trained: Trained) -> None:
    settled = train(features_of(moved=0.1), uk_person())
    assert share(settled, "postcode", "same", "m") > share(trained, "postcode", "same", "m") + 0.2


def test_a_small_file_leans_on_its_prior() -> None:
    few = train(features_of(5), uk_person())
    prior = next(x for x in uk_person().field("postcode").levels if x.name == "same")
    assert share(few, "postcode", "same", "m") == pytest.approx(prior.m, abs=0.05)


def test_chance_agreement_is_counted_from_the_values() -> None:
    """Two sexes in proportions 3 to 1 agree by chance in 10 cases of 16."""
    rows = [{"gender": "male" if n % 4 else "female", "given": f"g{n}"} for n in range(400)]
    found = train(build_features(people_table(rows)), shipped_model())
    assert share(found, "sex", "same", "u") == pytest.approx(0.625, abs=0.01)


def test_labels_teach_what_the_data_do_not_show() -> None:
    """Pairs that a person called one, although they agree on nothing but the postcode."""
    features = features_of()
    rng = np.random.default_rng(3)
    left = rng.choice(800, 400, replace=False).astype(np.int32)
    right = (left + 401) % 800
    labels = Labels(left, right.astype(np.int32), np.ones(400, bool))
    plain, taught = (train(features, uk_person(), labels=x) for x in (None, labels))
    assert share(taught, "given", "different", "m") > share(plain, "given", "different", "m") + 0.1
    assert taught.passes["labelled matches"]["match"] == 1.0
    others = Labels(left, right.astype(np.int32), np.zeros(400, bool))
    refused = train(features, uk_person(), labels=others)
    assert refused.passes["labelled others"]["match"] == 0.0


def test_values_that_few_records_bear_are_not_in_the_file() -> None:
    rows = [{"given": "Ann", "family": f"Rare{'x' * (n % 40)}"} for n in range(200)]
    rows += [{"given": "Zelda", "family": "Smith"}] * (SMALL_NUMBER - 1)
    found = train(build_features(people_table(rows)), uk_person()).model
    assert set(found.frequencies["given"].shares) == {"ANN"}
    assert found.frequencies["given"].shares["ANN"] == pytest.approx(200 / 209)
    assert found.frequencies["family"].shares == {}
    assert b"ZELDA" not in found.to_json()


def dependent() -> Features:
    """People whose address and postcode change together, and whose telephone does not with them."""
    rng = np.random.default_rng(17)

    def home() -> dict[str, str]:
        area, unit = rng.integers(1, 99), "".join(rng.choice(LETTERS, 2)).upper()
        street = "".join(rng.choice(LETTERS, 9))
        return {"postcode": f"BS{area} {rng.integers(10)}{unit}", "address": f"{area} {street}"}

    rows = []
    for _ in range(1500):
        base = {
            "given": "".join(rng.choice(LETTERS, 6)),
            "family": "".join(rng.choice(LETTERS, 6)),
            "birth_date": str(np.datetime64("1940-02-02") + rng.integers(0, 20_000)),
            "phone": f"0117{rng.integers(2_000_000, 9_000_000)}",
            **home(),
        }
        moved, rung = rng.random(2) < 0.4
        other = home() if moved else {}
        if rung:
            other["phone"] = f"0117{rng.integers(2_000_000, 9_000_000)}"
        rows += [{**base, "source": "a"}, {**base, **other, "source": "b"}]
    return build_features(people_table(rows))


def test_fields_that_move_together_are_bound() -> None:
    found = train(dependent(), uk_person(), dependence=True)
    bonds = [{bond.one, bond.two} for bond in found.model.dependence]
    assert bonds == [{"postcode", "address"}]
    assert train(dependent(), uk_person()).model.dependence == ()


def level(test: str, at: float, m: float, u: float) -> Level:
    """A level whose relatives are as strangers."""
    return Level(name=f"{test} {at}", test=test, at=at, m=m, r=u, u=u)


def test_a_closer_value_never_counts_for_less() -> None:
    levels = (
        level("jaro_winkler", 0.95, 0.2, 0.3),
        level("jaro_winkler", 0.9, 0.3, 0.1),
        level("jaro_winkler", 0.8, 0.2, 0.2),
        level("", 0.0, 0.3, 0.4),
    )
    prior = Model(
        name="turned", fields=(Field(name="family", column="family", levels=levels),), rules=(),
        matches_per_record=1.0, relatives_per_record=1.0, records=100,
    )  # fmt: skip
    found = train(build_features(people_table([])), prior).model.fields[0].levels
    ratios = [x.m / x.u for x in found]
    assert ratios[0] == pytest.approx(ratios[1], rel=1e-4)
    assert ratios[0] == pytest.approx(0.5 / 0.4, rel=1e-4)
    assert ratios[2:] == [pytest.approx(1.0, rel=1e-4), pytest.approx(0.75, rel=1e-4)]


MEASURES = ("jaro_winkler", "levenshtein", "any_equal", "custom:of_the_user")
"""Tests of levels that are drawn: the third does not measure, and the last is not registered."""
Triples = list[tuple[float, float, float]]


@st.composite
def unordered(draw: st.DrawFn) -> tuple[Field, dict[str, np.ndarray]]:
    """A field of up to four measures, and m, r and u of its levels in any order."""
    tests = [test for test in MEASURES for _ in range(draw(st.integers(0, 5)))] or ["jaro"]
    power = st.floats(-8, 0)
    drawn = draw(
        st.lists(st.tuples(power, power, power), min_size=len(tests) + 1, max_size=len(tests) + 1)
    )
    return levelled([*tests, ""], [(10**m, 10**r, 10**u) for m, r, u in drawn])


def levelled(tests: list[str], triples: Triples) -> tuple[Field, dict[str, np.ndarray]]:
    """A field with a level for each test, and its m, r and u of these proportions."""
    table = np.array(triples)
    kinds = dict(zip("mru", (table / table.sum(axis=0)).T, strict=True))
    even = 1 / len(tests)
    levels = (Level(name=str(n), test=t, m=even, r=even, u=even) for n, t in enumerate(tests))
    return Field(name="family", column="family", levels=tuple(levels)), kinds


def measured(field: Field) -> list[range]:
    """The levels that must be in order: of each measure, with the last of all after the last."""
    runs: list[range] = []
    tests = [one.test for one in field.levels[:-1]]
    for test in dict.fromkeys(tests):
        begin, count = tests.index(test), tests.count(test)
        last = begin + count == len(tests)
        if test not in COMPARATORS or COMPARATORS[test].measures:
            runs.append(range(begin, begin + count + last))
    return runs


def falls(kinds: dict[str, np.ndarray], run: range, by: float) -> bool:
    """Whether m falls against r and against u along the run, but for a share of rounding."""
    m, r, u = (kinds[kind][run.start : run.stop] for kind in "mru")
    return all((m[:-1] * x[1:] >= m[1:] * x[:-1] * (1 - by)).all() for x in (r, u))


def flattest(kinds: dict[str, np.ndarray], run: range) -> np.ndarray:
    """m along a run, in order against both: the least of the largest averages (isotonic
    regression by its definition) over the flattest shape that falls against r and u."""
    m, r, u = (kinds[kind][run.start : run.stop] for kind in "mru")
    shape = [1.0]
    for i in range(1, len(m)):
        shape.append(shape[-1] * min(r[i] / r[i - 1], u[i] / u[i - 1]))
    every = range(len(m))
    return np.array([
        shape[i] * min(
            max(sum(m[a : b + 1]) / sum(shape[a : b + 1]) for b in every[i:])
            for a in every[: i + 1]
        )
        for i in every
    ])  # fmt: skip


TWO_WAYS = levelled(["jaro"] * 2 + [""], [(0.1, 0.9, 0.05), (0.6, 0.02, 0.9), (0.3, 0.08, 0.05)])
"""Pooled against strangers, m no longer falls against relatives; and the other way round."""


@settings(deadline=None)
@given(unordered())
@example(TWO_WAYS)
def test_both_orders_hold_whatever_was_found(drawn: tuple[Field, dict[str, np.ndarray]]) -> None:
    field, kinds = drawn
    found = in_order(field, kinds)
    floored = {kind: np.maximum(row, FLOOR) for kind, row in kinds.items()}
    runs = measured(field)
    for row in found.values():
        assert row.sum() == pytest.approx(1.0)
        assert row.min() >= FLOOR * 0.999
    assert all(falls(found, run, 0.003) for run in runs)
    if all(falls(floored, run, 0.0) for run in runs):
        assert all((found[kind] == positive(kinds[kind])).all() for kind in "mru")
    wanted = {run: flattest(floored, run) for run in runs}
    if all(row.min() > FLOOR for row in wanted.values()):
        assert all((found[kind] == positive(kinds[kind])).all() for kind in "ru")
        total = floored["m"].sum()
        for run, row in wanted.items():
            assert found["m"][run.start : run.stop] == pytest.approx(row / total, abs=2e-8)


def test_levels_whose_two_orders_are_at_odds_are_as_one() -> None:
    """Sixty levels that fall against relatives where they rise against strangers: no m that falls
    against both leaves the last of them any."""
    by_turns = [(1.0, 1e-7 if n % 2 else 1.0, 1.0 if n % 2 else 1e-7) for n in range(60)]
    field, kinds = levelled(["jaro"] * 59 + [""], by_turns)
    found = in_order(field, kinds)
    assert falls(found, range(60), 0.003)
    for row in found.values():
        assert row.min() > 1e-3


@settings(max_examples=12, deadline=None)
@given(tables(), models())
def test_any_records_and_any_prior_give_a_model_that_scores(table: pa.Table, prior: Model) -> None:
    features = build_features(table, extra=prior.columns)
    found = train(features, prior, dependence=True).model
    left, right = (a.astype(np.int32) for a in np.triu_indices(len(features), 1))
    assert np.isfinite(Scorer(features, found).score(left, right).bits).all()
    for field in found.fields:
        for one, two in pairwise(field.levels):
            in_run = one.test in (two.test, "") or two.test == ""
            known = COMPARATORS.get(one.test)
            if in_run and (known is None or known.measures):
                for kind in "ru":
                    ratios = [x.m / getattr(x, kind) for x in (one, two)]
                    assert ratios[0] >= ratios[1] * 0.99, (field.name, one.name, kind)


DEGENERATE = [
    ("no record", []),
    ("one record", [{"given": "Ann"}]),
    ("two records", [{"given": "Ann", "birth_date": "1980-05-04"}] * 2),
    ("nothing but sources", [{}] * 5),
    ("one value everywhere", [{"given": "Ann", "family": "Lee", "birth_date": "1980"}] * 30),
]


@pytest.mark.parametrize("dependence", [False, True])
@pytest.mark.parametrize("rows", [x[1] for x in DEGENERATE], ids=[x[0] for x in DEGENERATE])
def test_hardly_any_records_are_enough_to_run(rows: list[dict[str, Any]], dependence: bool) -> None:
    features = build_features(people_table(rows))
    found = train(features, uk_person(), dependence=dependence)
    assert found.model.fields[0].column == "nhs_number"
    assert found.model.dependence == ()
    assert np.isfinite(found.model.matches_per_record)
    assert Model.from_json(found.model.to_json()) == found.model


def test_a_prior_of_no_rules_trains_from_random_pairs() -> None:
    prior = shipped_model((Rule("absent", ("absent",), 9),))
    found = train(features_of(50), prior)
    assert set(found.passes) == {"random"}
    assert share(found, "sex", "same", "u") == pytest.approx(0.5, abs=0.1)
