"""Comparators, as tables of two records and what each test says; levels against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage import comparators
from linkage.columns import Column, Features, Values
from linkage.comparators import COMPARATORS, register
from linkage.compare import Comparer
from linkage.features import build_features
from linkage.model import Field, Level, uk_person
from linkage.reference_levels import Record, level_of, similarities
from schemas.errors import InvalidValue
from tests.linkage.people import EXTRA, models, people_table, shipped_model, tables

ZERO, ONE = np.array([0], np.int32), np.array([1], np.int32)


def field(column: str, *tests: tuple[str, str, float], comparable: str = "") -> Field:
    """A field with these levels (test, of, at), named for their place, and a last one."""
    share = 1 / (len(tests) + 1)
    levels = [
        Level(name=f"level {place}", test=test, of=of, at=at, m=share, r=share, u=share)
        for place, (test, of, at) in enumerate(tests, start=1)
    ]
    last = Level(name="different", m=share, r=share, u=share)
    return Field(name=column, column=column, levels=(*levels, last), comparable=comparable)


def codes(one: dict[str, Any], two: dict[str, Any], compared: Field) -> tuple[int, int]:
    """The level of two records, either way round."""
    features = build_features(
        people_table([one, two], EXTRA),
        keeps_apart={"kept"},
        accept_test_numbers=True,
        extra=EXTRA,
    )
    comparer = Comparer(features, [compared])
    there, back = comparer.compare(ZERO, ONE)[0, 0], comparer.compare(ONE, ZERO)[0, 0]
    return int(there), int(back)


Case = tuple[str, float, str, Any, Any, bool]


def column_cases(column: str, *cases: Case) -> list[tuple[str, Case]]:
    """Cases (test, at, of, one value, other value, passes) of one column."""
    return [(column, case) for case in cases]


BORN = "1980-05-04"
CASES = [
    *column_cases(
        "given",
        ("equal", 0, "", "Ann", "ANN", True),
        ("equal", 0, "", "Ann", "Anne", False),
        ("equal", 0, "", ["Ann", "Bea"], ["Bea", "Ann"], False),
        ("unequal", 0, "", "Ann", "Anne", True),
        ("unequal", 0, "", "Ann", "ann", False),
        ("any_equal", 0, "", ["Ann", "Bea"], ["Cat", "Ann"], True),
        ("any_equal", 0, "", ["Ann", "Bea"], ["Cat", "Dot"], False),
        ("nickname", 0, "", "Bob", "Robert", True),
        ("nickname", 0, "", "Bob", "Bill", False),
        ("nickname", 0, "", "Xqzt", "Xqzu", False),
        ("initial", 0, "", "A", "Ann", True),
        ("initial", 0, "", "Al", "Ann", False),
        ("initial", 0, "", "B", "Ann", False),
        ("equal_to", 0, "middle", "Ann", "Bea Ann", True),
        ("equal_to", 0, "middle", "Bea Ann", "Cat Ann", False),
        ("equal_to", 0, "middle", "Ann", "Bea", False),
        ("other_part", 0, "initial", "Ann", "Bea", True),
        ("other_part", 0, "initial", "Ann", "Al", False),
        ("same_part", 0, "initial", ["Ann", "Bea"], "Ben", True),
        ("same_part", 0, "initial", "Ann", "Bea", False),
        ("same_part", 0, "start", "Christine", "Christopher", True),
        ("jaro", 0.9444, "", "Martha", "Marhta", True),
        ("jaro", 0.9445, "", "Martha", "Marhta", False),
        ("jaro_winkler", 0.9611, "", "Martha", "Marhta", True),
        ("jaro_winkler", 0.9612, "", "Martha", "Marhta", False),
        ("jaro_winkler", 0.84, "", "Dwayne", "Duane", True),
        ("jaro_winkler", 0.8401, "", "Dwayne", "Duane", False),
        ("jaro_winkler", 0.8133, "", "Dixon", "Dicksonx", True),
        ("levenshtein", 3, "", "Kitten", "Sitting", True),
        ("levenshtein", 2, "", "Kitten", "Sitting", False),
        ("levenshtein", 1, "", "Ann", "Nan", False),
        ("levenshtein", 1.5, "", "Ann", "Bnn", True),
        ("levenshtein", 1.5, "", "Ann", "Bno", False),
        ("levenshtein", 0, "", "Ann", "Ann", True),
        ("damerau_levenshtein", 1, "", "Brian", "Brain", True),
        ("damerau_levenshtein", 1, "", "Brian", "Brn", False),
        ("damerau_levenshtein", 2, "", "Ca", "Abc", True),
        ("levenshtein_share", 0.8, "", "Smyth", "Smith", True),
        ("levenshtein_share", 0.81, "", "Smyth", "Smith", False),
        ("custom:same_length", 1.0, "", "Ann", "Bea", True),
        ("custom:same_length", 1.0, "", "Ann", "Anne", False),
    ),
    *column_cases(
        "birth_date",
        ("same_date", 0, "", BORN, BORN, True),
        ("same_date", 0, "", "1980-01-01", "1980-01-01", False),
        ("same_date", 0, "", "1980-05", "1980-05", False),
        ("same_date", 0, "", BORN, "1980-05-05", False),
        ("same_first_january", 0, "", "1980-01-01", "1980-01-01", True),
        ("same_first_january", 0, "", "1980-01-01", "1981-01-01", False),
        ("same_first_january", 0, "", BORN, BORN, False),
        ("day_month_swapped", 0, "", BORN, "1980-04-05", True),
        ("day_month_swapped", 0, "", BORN, "1981-04-05", False),
        ("day_month_swapped", 0, "", "1980-05-05", "1980-05-05", False),
        ("one_digit", 0, "", BORN, "1980-05-24", True),
        ("one_digit", 0, "", BORN, "1980-05-14", True),
        ("one_digit", 0, "", BORN, "1990-05-04", True),
        ("one_digit", 0, "", BORN, "1980-06-05", False),
        ("one_digit", 0, "", BORN, BORN, False),
        ("one_digit", 0, "", "1980", "1981", False),
        ("partly_known", 0, "", "1980", BORN, True),
        ("partly_known", 0, "", "1980-05", BORN, True),
        ("partly_known", 0, "", "1980-06", BORN, False),
        ("partly_known", 0, "", "1980-01-01", BORN, True),
        ("partly_known", 0, "", "1981", BORN, False),
        ("partly_known", 0, "", "1980-05-05", BORN, False),
        ("two_parts", 0, "", BORN, "1955-05-04", True),
        ("two_parts", 0, "", BORN, "1980-11-04", True),
        ("two_parts", 0, "", BORN, "1981-11-04", False),
        ("two_parts", 0, "", BORN, BORN, False),
        ("same_month", 0, "", BORN, "1980-05-30", True),
        ("same_month", 0, "", BORN, "1980-05", True),
        ("same_month", 0, "", "1980", "1980", False),
        ("same_month", 0, "", BORN, "1981-05-04", False),
        ("years_apart", 2, "", BORN, "1982-12-31", True),
        ("years_apart", 2, "", BORN, "1983-01-01", False),
        ("years_apart", 0, "", BORN, "1980", True),
        ("days_apart", 2, "", "1980-02-28", "1980-03-01", True),
        ("days_apart", 1, "", "1980-02-28", "1980-03-01", False),
        ("days_apart", 366, "", "1980-01-01", "1981-01-01", True),
        ("days_apart", 365, "", "1980-01-01", "1981-01-01", False),
        ("days_apart", 1e6, "", "1980", BORN, False),
        ("same_part", 0, "decade", "1980", "1989-03-03", True),
        ("same_part", 0, "year", "1980", "1981", False),
    ),
    *column_cases(
        "income",
        ("number_apart", 4.5, "", "100", "104.5", True),
        ("number_apart", 4.4, "", "100", "104.5", False),
        ("number_apart", 1e9, "", "100", "many", False),
        ("number_apart", 1e9, "", "many", "more", False),
        ("number_apart", 7, "", "-3", "4", True),
        ("number_apart", 7, "", "-3", "+4", True),
        ("number_apart", 0.1, "", "0.3", "0.2", True),
        ("share_apart", 0.05, "", "100", "95", True),
        ("share_apart", 0.05, "", "100", "94", False),
        ("share_apart", 0, "", "0", "-0", True),
        ("share_apart", 2, "", "3", "-3", True),
        ("share_apart", 1e9, "", "100", "many", False),
    ),
    *column_cases(
        "tags",
        ("overlap", 0.5, "", ["a", "b", "c"], ["b", "c", "d"], True),
        ("overlap", 0.51, "", ["a", "b", "c"], ["b", "c", "d"], False),
        ("overlap", 1, "", ["a", "b"], ["b", "a", "A"], True),
        ("overlap", 0.01, "", ["a"], ["b"], False),
    ),
    *column_cases(
        "remarks",
        ("token_set", 1, "", "knee pain left", "left knee", True),
        ("token_set", 0.99, "", "knee pain left", "left hip", False),
        ("token_sort", 1, "", "knee pain left", "left knee pain", True),
        ("token_sort", 0.99, "", "knee pain left", "left knee", False),
        *(
            # Twenty letters of which so many agree: a score that is the threshold itself.
            ("token_sort", n / 20, "", "a" * 20, "a" * n + "b" * (20 - n), True)
            for n in (1, 3, 4, 8, 12, 16, 18)
        ),
    ),
    *column_cases(
        "source",
        ("unequal", 0, "", "x", "y", True),
        ("flagged", 0, "apart", "kept", "kept", True),
        ("flagged", 0, "apart", "kept", "y", False),
    ),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _custom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparators, "REGISTERED", dict(comparators.REGISTERED))
    register(
        "same_length",
        lambda left, right: [float(len(a) == len(b)) for a, b in zip(left, right, strict=True)],
    )


def _passed(case: tuple[str, Case]) -> bool:
    return case[1][5]


@pytest.mark.parametrize(("column", "case"), CASES, ids=[f"{c}-{x[0]}-{n}" for n, (c, x) in enumerate(CASES)])  # fmt: skip # noqa: E501
def test_what_a_test_says_of_two_records(column: str, case: Case) -> None:
    test, at, of, one, two, wanted = case
    rows = ({column: one}, {column: two})
    assert codes(*rows, field(column, (test, of, at))) == ((1, 1) if wanted else (2, 2))


CROSSWISE = [
    ("Ann", "Lee", "Lee", "Ann", True),
    ("Ann", "Lee", "Lee", "Bea", False),
    ("Ann", "Lee", "Ann", "Lee", False),
    ("Ann", "", "Lee", "Ann", False),
]


@pytest.mark.parametrize(("given_a", "family_a", "given_b", "family_b", "wanted"), CROSSWISE)
def test_names_the_other_way_round(
    given_a: str, family_a: str, given_b: str, family_b: str, wanted: bool
) -> None:
    rows = [{"given": given_a, "family": family_a}, {"given": given_b, "family": family_b}]
    level = codes(rows[0], rows[1], field("given", ("transposed", "family", 0)))
    assert level == ((1, 1) if wanted else (2, 2))


DISTANCES = [
    (("51.5007", "-0.1246"), ("48.8584", "2.2945"), 340.6),
    (("0", "0"), ("0", "180"), 20015.1),
    (("90", "0"), ("-90", "77"), 20015.1),
    (("51.45", "-2.58"), ("51.45", "-2.58"), 0.0),
]


@pytest.mark.parametrize(("one", "two", "km"), DISTANCES)
def test_kilometres_between_two_points(
    one: tuple[str, str], two: tuple[str, str], km: float
) -> None:
    rows = [{"latitude": lat, "longitude": lon} for lat, lon in (one, two)]
    at = [("km_apart", "longitude", km + step) for step in (-0.2, 0.2)]
    assert codes(rows[0], rows[1], field("latitude", *at)) == (2, 2)


def test_an_unknown_longitude_is_far_away() -> None:
    rows = [{"latitude": "51", "longitude": "0"}, {"latitude": "51"}]
    assert codes(*rows, field("latitude", ("km_apart", "longitude", 1e9))) == (2, 2)


def test_every_comparator_has_cases_where_it_passes_and_where_it_does_not() -> None:
    elsewhere = {"transposed", "km_apart", "equal_in"}
    for outcome in (True, False):
        seen = {case[1][0] for case in CASES if _passed(case) is outcome} | elsewhere
        assert set(COMPARATORS) <= seen


def test_missing_on_either_side_is_no_level() -> None:
    columns = {case[0]: column for column, case in CASES} | {"transposed": "given"}
    values = {"birth_date": BORN, "income": "100", "tags": ["red"]}
    for test, comparator in COMPARATORS.items():
        column = columns.get(test, "latitude")
        of = {"part": "apart" if column == "source" else "start", "column": "middle", "": ""}
        compared = field(column, (test, of[comparator.needs], 0))
        one = {column: values.get(column, "Ann")}
        assert codes(one, {column: None}, compared) == (0, 0), test


def test_values_of_different_systems_cannot_differ() -> None:
    compared = field("identifier", ("any_equal", "", 0), comparable="system")
    one, two = {"identifier": "mrn|1"}, {"identifier": "chi|2"}
    assert codes(one, two, compared) == (0, 0)
    assert codes(one, {"identifier": ["chi|2", "mrn|3"]}, compared) == (2, 2)
    assert codes(one, {"identifier": ["chi|2", "mrn|1"]}, compared) == (1, 1)


def test_the_first_level_that_passes_counts() -> None:
    names = field("given", ("initial", "", 0), ("jaro_winkler", "", 0.9), ("equal", "", 0))
    assert codes({"given": "Ann"}, {"given": "Ann"}, names) == (2, 2)


def test_a_strict_level_after_a_loose_one_of_the_same_measure_takes_nothing_from_it() -> None:
    names = field("given", ("jaro_winkler", "", 0.8), ("jaro_winkler", "", 0.99))
    assert codes({"given": "Martha"}, {"given": "Marhta"}, names) == (1, 1)
    edits = field("given", ("levenshtein", "", 3), ("levenshtein", "", 1))
    assert codes({"given": "Kitten"}, {"given": "Sitting"}, edits) == (1, 1)


TEXTS = (
    "jaro", "jaro_winkler", "levenshtein", "damerau_levenshtein", "levenshtein_share", "token_set",
    "token_sort",
)  # fmt: skip
words = st.text("abc1 ", min_size=1, max_size=14)
long_words = st.text("ab c7", min_size=50, max_size=90)
sound = st.one_of(words, words, long_words).map(str.strip).filter(bool)


@settings(max_examples=80, deadline=None)
@given(st.lists(sound, min_size=2, max_size=8), st.sampled_from(TEXTS), st.data())
def test_measures_of_texts_are_those_of_the_reference(
    texts: list[str], test: str, data: st.DataObject
) -> None:
    if "levenshtein" in test and not test.endswith("share"):
        at = data.draw(st.lists(st.integers(0, 8), min_size=1, max_size=3))
    else:
        shares = st.sampled_from([x / 20 for x in range(1, 21)])
        at = data.draw(st.lists(st.one_of(shares, st.floats(0.01, 1)), min_size=1, max_size=3))
    texts = [text.upper() for text in texts]
    distinct, places = np.unique(np.array(texts, object), return_inverse=True)
    column = Column(places.astype(np.int32)[None, :], Values(pa.array(distinct.tolist())))
    none = np.zeros(len(texts), bool)
    features = Features(np.arange(len(texts)), {"text": column}, none, none)
    compared = field("text", *((test, "", float(x)) for x in at))
    left, right = (a.astype(np.int32) for a in np.triu_indices(len(texts), 1))
    found = Comparer(features, [compared]).compare(left, right)[0]
    records = [Record({"text": (text,)}, apart=False, verified=False) for text in texts]
    pairs = list(zip(left.tolist(), right.tolist(), strict=True))
    model = type(shipped_model())(
        name="x", fields=(compared,), rules=(), records=9,
        matches_per_record=1, relatives_per_record=1,
    )  # fmt: skip
    similar = similarities(records, model, pairs)
    wanted = [
        level_of(records[a], records[b], compared, known)
        for (a, b), known in zip(pairs, similar, strict=True)
    ]
    assert [compared.levels[code - 1].name for code in found.tolist()] == wanted


@settings(max_examples=30, deadline=None)
@given(tables(6), models())
def test_patterns_unpack_to_the_levels_they_were_packed_from(table: pa.Table, model: Any) -> None:
    comparer = Comparer(build_features(table, extra=model.columns), model.fields)
    left, right = (a.astype(np.int32) for a in np.triu_indices(len(table), 1))
    levels = comparer.compare(left, right)
    assert (comparer.unpack(comparer.pack(levels)) == levels).all()
    open_too = comparer.cheap(left, right)
    assert (comparer.unpack(comparer.pack(open_too)) == open_too).all()
    decided = open_too != comparer.open[:, None]
    assert (open_too[decided] == levels[decided]).all()
    undecided = np.broadcast_to(comparer.undecided[:, None], levels.shape)
    assert (levels[~decided] >= undecided[~decided]).all()


def test_levels_are_those_of_the_model() -> None:
    comparer = Comparer(build_features(people_table([{"given": "Ann"}] * 2)), uk_person().fields)
    levels = comparer.compare(ZERO, ONE)
    assert levels.shape == (len(uk_person().fields), 1)
    assert levels[:, 0].astype(bool).sum() == 2  # given names, source


PERSON = {"given": "Ann Bea", "family": "Lee", "postcode": "BS1 5TR", "birth_date": BORN}
OTHER = {"given": "Cat Dot", "family": "Ray", "postcode": "BS2 8HW", "birth_date": "1999"}
REFUSED = [
    ("given", "sounds_like", "", "no comparator 'sounds_like'"),
    ("given", "custom:nobody", "", "no comparator 'custom:nobody'"),
    ("given", "equal_to", "", "needs `of`"),
    ("given", "same_part", "", "needs `of`"),
    ("given", "equal", "family", "takes no `of`"),
    ("given", "transposed", "postcode", "do not share their values"),
    ("given", "same_part", "colour", "no part 'colour'"),
    ("given", "one_digit", "", "date"),
    ("given", "same_part", "year", "no part 'year'"),
    ("birth_date", "jaro_winkler", "", "text"),
]


@pytest.mark.parametrize(("column", "test", "of", "message"), REFUSED)
def test_a_level_that_cannot_be_tested_is_refused(
    column: str, test: str, of: str, message: str
) -> None:
    with pytest.raises(InvalidValue, match=message):
        codes(PERSON, OTHER, field(column, (test, of, 0.5)))


def test_a_custom_comparator_is_asked_once_for_each_pair_of_unequal_values() -> None:
    asked: list[tuple[str, str]] = []

    def count(left: Any, right: Any) -> list[float]:
        asked.extend(zip(left, right, strict=True))
        return [0.5] * len(left)

    register("counted", count)
    table = people_table([{"given": name} for name in ("Ann", "Bea", "Ann", "Bea", "Ann")])
    names = field("given", ("equal", "", 0), ("custom:counted", "", 0.5))
    left, right = (a.astype(np.int32) for a in np.triu_indices(5, 1))
    levels = Comparer(build_features(table), [names]).compare(left, right)
    assert sorted(map(sorted, asked)) == [["ANN", "BEA"]]
    assert sorted(levels[0].tolist()) == [1] * 4 + [2] * 6


def test_a_custom_comparator_must_give_one_number_per_pair() -> None:
    register("short", lambda left, right: [1.0] * (len(left) + 1))
    rows = ({"given": "Ann"}, {"given": "Bea"})
    with pytest.raises(InvalidValue, match="one number per pair"):
        codes(*rows, field("given", ("custom:short", "", 0.5)))


def test_agreement_on_another_column_is_a_level_of_this_one() -> None:
    """One property by its reference number, whatever its address looks like."""
    rows = [
        {"address": "The Oaks, Long Lane", "uprn": "1234"},
        {"address": "1 Long Lane", "uprn": "UPRN 0001234"},
        {"address": "1 Long Lane", "uprn": "99"},
        {"address": "9 Long Lane"},
    ]
    features = build_features(people_table(rows))
    comparer = Comparer(features, [uk_person().field("address")])
    left, right = np.zeros(3, np.int32), np.arange(1, 4, dtype=np.int32)
    names = [level.name for level in comparer.fields[0].levels]
    found = [names[code - 1] for code in comparer.compare(left, right)[0].tolist()]
    assert found[0] == "same property"
    assert "same property" not in found[1:]
