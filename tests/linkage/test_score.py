"""Scores: the formula on small examples, term frequencies, dependence; guard rails as a table."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from linkage.engine import Scorer
from linkage.features import build_features
from linkage.guards import DECIDED_APART, GUARDS
from linkage.model import Dependence, Field, Frequencies, Level, Model, uk_person
from linkage.score import MAX_FREQUENCY_BITS, probability
from schemas.errors import InvalidValue
from tests.linkage.people import people_table, shipped_model

ZERO, ONE = np.array([0], np.int32), np.array([1], np.int32)


def level(name: str, test: str, m: float, r: float, u: float, **more: Any) -> Level:
    """A level by its probabilities."""
    return Level(name=name, test=test, m=m, r=r, u=u, **more)


GIVEN = Field(
    name="given",
    column="given",
    levels=(
        level("same", "equal", 0.5, 0.125, 0.0625, frequency=1.0),
        level("close", "jaro_winkler", 0.25, 0.25, 0.25, at=0.9, frequency=0.5),
        level("different", "", 0.25, 0.625, 0.6875),
    ),
)
SEX = Field(
    name="sex",
    column="sex",
    levels=(level("same", "equal", 0.75, 0.5, 0.5), level("different", "", 0.25, 0.5, 0.5)),
)
SMALL = Model(
    name="small",
    fields=(GIVEN, SEX),
    rules=(),
    matches_per_record=1.0,
    relatives_per_record=2.0,
    records=64,
)
BOTH = {"given": "Martha", "gender": "female"}


def bits(model: Model, one: dict[str, Any], two: dict[str, Any]) -> float:
    """The match weight of two records."""
    features = build_features(people_table([one, two]))
    return float(Scorer(features, model).score(ZERO, ONE).bits[0])


def test_the_weight_is_the_log_odds_against_relatives_and_strangers() -> None:
    match = 1 / 64 * 0.5 * 0.75
    relative, stranger = 2 / 64 * 0.125 * 0.5, 0.0625 * 0.5
    assert bits(SMALL, BOTH, BOTH) == pytest.approx(math.log2(match / (relative + stranger)))


def test_what_is_missing_says_nothing() -> None:
    relative, stranger = 2 / 64 * 0.125, 0.0625
    wanted = math.log2(1 / 64 * 0.5 / (relative + stranger))
    assert bits(SMALL, {"given": "Martha"}, BOTH) == pytest.approx(wanted)
    prior = math.log2(1 / 64 / (2 / 64 + 1))
    assert bits(SMALL, {}, BOTH) == pytest.approx(prior)


TERMS = [
    ("a common name", "Martha", "Martha", 0.5, 1.0),
    ("an unlisted one", "Zelda", "Zelda", 0.002, 1.0),
    ("two alike: the more frequent counts, by half", "Martha", "Marhta", 0.5, 0.5),
    ("two different", "Martha", "Zelda", None, 0.0),
]


@pytest.mark.parametrize(
    ("one", "two", "share", "weight"), [x[1:] for x in TERMS], ids=[x[0] for x in TERMS]
)
def test_a_rare_value_tells_more(one: str, two: str, share: float | None, weight: float) -> None:
    listed = Frequencies({"MARTHA": 0.5, "ANN": 0.1}, 0.002)
    model = msgspec.structs.replace(SMALL, frequencies={"given": listed})
    against = {"same": 0.0625, "close": 0.25, "different": 0.6875}
    name = "same" if one == two else "close" if share else "different"
    kinds = next(x for x in GIVEN.levels if x.name == name)
    tf = (share / 0.26) ** weight if share else 1.0
    wanted = math.log2(1 / 64 * kinds.m / (2 / 64 * kinds.r + against[name] * tf))
    assert bits(model, {"given": one}, {"given": two}) == pytest.approx(wanted)


def test_frequencies_are_held_within_bounds() -> None:
    model = msgspec.structs.replace(
        SMALL, frequencies={"given": Frequencies({"ANN": 0.5, "BEA": 1e-30}, 1e-30)}
    )
    wanted = math.log2(1 / 64 * 0.5 / (2 / 64 * 0.125 + 0.0625 * 2**-MAX_FREQUENCY_BITS))
    assert bits(model, {"given": "Bea"}, {"given": "Bea"}) == pytest.approx(wanted)


def test_fields_that_go_together_count_once() -> None:
    """With log2(1/m) bits of dependence at same-same, the second field adds nothing to a match."""
    none = ((0.0, 0.0),) * 3
    bound = ((math.log2(1 / 0.75), 0.0), (0.0, 0.0), (0.0, 0.0))
    model = msgspec.structs.replace(
        SMALL, dependence=(Dependence("given", "sex", bound, none, none),)
    )
    relative, stranger = 2 / 64 * 0.125 * 0.5, 0.0625 * 0.5
    wanted = math.log2(1 / 64 * 0.5 / (relative + stranger))
    assert bits(model, BOTH, BOTH) == pytest.approx(wanted)
    assert bits(model, {"given": "Martha"}, BOTH) == bits(SMALL, {"given": "Martha"}, BOTH)
    features = build_features(people_table([BOTH, BOTH]))
    shown = Scorer(features, model).field_bits(ZERO, ONE)
    assert shown["together"][0] == pytest.approx(math.log2(1 / 0.75))
    assert shown["given"][0] == pytest.approx(3.0)


def test_conflict_is_what_fields_say_against_a_pair() -> None:
    features = build_features(people_table([BOTH, {"given": "Zoe", "gender": "female"}]))
    scored = Scorer(features, SMALL).score(ZERO, ONE)
    assert scored.conflict[0] == pytest.approx(math.log2(0.25 / 0.6875))


def test_a_pair_scores_the_same_bits_in_any_company() -> None:
    """To the last bit: what a pair scores does not depend on the pairs scored with it."""
    rows = [
        {
            **JOHN,
            "family": f"Name{n}",
            "birth_date": f"19{n}-05-04",
            "gp_practice": "L81001",
            "email": f"j{n}@example.org",
            "phone": f"0117 496 00{n}",
            "identifier": f"mrn|{n}",
        }
        for n in range(10, 40)
    ]
    features = build_features(people_table([*rows, *rows]))
    scorer = Scorer(features, uk_person())
    left, right = (a.astype(np.int32) for a in np.triu_indices(60, 1))
    left, right = left[::9], right[::9]
    together = scorer.score(left, right)
    alone = [scorer.score(left[i : i + 1], right[i : i + 1]) for i in range(len(left))]
    assert together.bits.tobytes() == np.concatenate([s.bits for s in alone]).tobytes()
    assert together.conflict.tobytes() == np.concatenate([s.conflict for s in alone]).tobytes()


def test_odds_in_bits_as_a_probability() -> None:
    found = probability(np.array([-np.inf, -1.0, 0.0, 1.0, 3.0, np.inf]))
    np.testing.assert_allclose(found, [0, 1 / 3, 0.5, 2 / 3, 8 / 9, 1], atol=1e-15)


JOHN = {
    "given": "John Paul",
    "family": "Smith",
    "birth_date": "1980-05-04",
    "gender": "male",
    "postcode": "BS1 5TR",
    "address": "1 High Street",
    "nhs_number": "9990000018",
    "nhs_status": "01",
}
NO_NUMBER = {"nhs_number": None}
OTHER_NUMBER = {"nhs_number": "9990000026"}
MRN = {"identifier": "mrn|123"}
Row = dict[str, Any]
GUARD_TABLE: list[tuple[str, Row, Row, str | None]] = [
    ("two traced numbers", {}, OTHER_NUMBER, "verified_numbers_differ"),
    ("an untraced other number", {}, {**OTHER_NUMBER, "nhs_status": "02"}, None),
    (
        "a baby under its mother's number",
        {},
        {"given": "Zoe", "birth_date": "2010-02-03", "nhs_status": "03"},
        "one_number_two_people",
    ),
    ("one number, another day of birth", {}, {"birth_date": "1971-05-04"}, None),
    ("one number, another name", {}, {"given": "Zoe"}, None),
    (
        "one number, another name, no birth date",
        {},
        {"given": "Zoe", "birth_date": None},
        "one_number_two_people",
    ),
    ("one number, nothing else", {}, {"given": "", "birth_date": None}, None),
    (
        "a son of his father's name",
        NO_NUMBER,
        {"birth_date": "2008-11-23"},
        "generation_apart",
    ),
    ("eleven years between", NO_NUMBER, {"birth_date": "1991-11-23"}, None),
    ("twelve years by one slip", NO_NUMBER, {"birth_date": "1880-05-04"}, "generation_apart"),
    ("twelve years by one slip, one number", {}, {"birth_date": "1880-05-04"}, None),
    ("a twin", NO_NUMBER, {"given": "Peter"}, "twins"),
    ("a twin of one traced number", {}, {"given": "Peter"}, None),
    (
        "a twin of one untraced number",
        {"nhs_status": "03"},
        {"given": "Peter", "nhs_status": "02"},
        "untraced_number_two_names",
    ),
    (
        "a newborn not yet named, under one untraced number, in one source",
        {"nhs_status": "03"},
        {"given": "Baby", "nhs_status": "02", "source": "a"},
        "untraced_number_two_names",
    ),
    (
        "the same newborn in another source",
        {"nhs_status": "03"},
        {"given": "Baby", "nhs_status": "02"},
        None,
    ),
    (
        "before and after an adoption",
        {**NO_NUMBER, "postcode": [], "address": [], "phone": []},
        {"family": "Okonkwo", "nhs_number": None},
        "nothing_but_forename",
    ),
    (
        "another family name at one address",
        NO_NUMBER,
        {"family": "Okonkwo", "nhs_number": None},
        None,
    ),
    ("a nickname", NO_NUMBER, {"given": "Jack"}, None),
    ("a slip in the birth date", NO_NUMBER, {"birth_date": "1980-05-05"}, None),
    (
        "a record that was born after its own death says nothing of the other",
        {"birth_date": "1970-05-04"},
        {"birth_date": "1980-05-04", "death": "1975-12-30"},
        None,
    ),
    (
        "the other born after this death",
        {"birth_date": "1980-06-04"},
        {"birth_date": "1980-05-04", "death": "1980-05-30"},
        "born_after_death",
    ),
    ("born in the month of the death", {}, {"birth_date": None, "death": "1980-05-01"}, None),
    ("a death known by its year", {}, {"birth_date": None, "death": "1980"}, None),
    ("a death the year before", {}, {"birth_date": None, "death": "1979"}, "born_after_death"),
    ("a death known as such", {}, {"death": "yes"}, None),
    (
        "two deaths years apart",
        {"death": "1999-12-01"},
        {"death": "2003-01-01"},
        "died_years_apart",
    ),
    ("two deaths about one new year", {"death": "1999-12-31"}, {"death": "2000-01-01"}, None),
    ("a source that keeps its people apart", NO_NUMBER, {"source": "a"}, "source_holds_apart"),
    ("one that does, with one number", {}, {"source": "a"}, None),
    ("one that does, with one identifier", {**NO_NUMBER, **MRN}, {"source": "a"}, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "two", "guard"),
    [row[1:] for row in GUARD_TABLE],
    ids=[row[0] for row in GUARD_TABLE],
)
def test_guard_rails(one: Row, two: Row, guard: str | None) -> None:
    first = {**JOHN, **one}
    second = {**first, "source": "b", **two}
    for rows in ([first, second], [second, first]):
        features = build_features(people_table(rows), keeps_apart={"a"}, accept_test_numbers=True)
        code = Scorer(features, shipped_model()).score(ZERO, ONE).guard[0]
        assert (GUARDS[code - 1].code if code else None) == guard


def test_every_guard_is_in_the_table_and_in_the_shipped_model() -> None:
    codes = {guard.code for guard in GUARDS} - {DECIDED_APART}
    assert {row[3] for row in GUARD_TABLE} - {None} == codes == set(uk_person().guards)
    assert all(guard.reason for guard in GUARDS)


def test_a_guard_that_the_model_does_not_hold_forbids_nothing() -> None:
    model = msgspec.structs.replace(shipped_model(), guards=("twins",))
    rows = [JOHN, {**JOHN, **OTHER_NUMBER, "source": "b"}]
    features = build_features(people_table(rows), accept_test_numbers=True)
    assert Scorer(features, model).score(ZERO, ONE).guard.tolist() == [0]


def test_a_guard_that_there_is_not_is_refused() -> None:
    """A slip in a guard's code must not let go of a guard rail in silence."""
    model = msgspec.structs.replace(shipped_model(), guards=("twin",))
    with pytest.raises(InvalidValue, match="no guard 'twin'"):
        Scorer(build_features(people_table([JOHN, JOHN])), model)
