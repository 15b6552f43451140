"""Asking who somebody is: the same bits as the nightly run, the rows that rules propose, restricted
persons, crowds, blocks over their cap, grades."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage import blocking
from linkage.asked import AskedReader
from linkage.blocking import Blocker
from linkage.features import CROWD, build_features
from linkage.grades import Grade, grade_of
from linkage.guards import GUARDS
from linkage.lookup import Lookup
from linkage.lookup_index import NOWHERE, Bearers, Dictionary, Texts
from linkage.model import Model, Rule, uk_person
from linkage.score import Scorer
from schemas.errors import InvalidValue
from tests.linkage.people import EXTRA, models, people_table, shipped_model, tables

NO_CAP = 10**9
APART = frozenset(["a"])
MARTHA = {
    "given": "Martha", "family": "Okafor", "birth_date": "1980-05-04", "gender": "female",
    "postcode": "BS1 5TR", "address": "1 High Street", "phone": "0117 496 0001",
    "email": "martha@example.org", "gp_practice": "L81001", "nhs_number": "9990000018",
}  # fmt: skip


def index_of(
    rows: list[dict[str, Any]],
    persons: list[int] | None = None,
    *,
    model: Model | None = None,
    restricted: list[bool] | None = None,
) -> Lookup:
    """An index of a few records, each a person of its own unless told otherwise."""
    features = build_features(people_table(rows), accept_test_numbers=True)
    return Lookup.build(
        features,
        model or shipped_model(),
        np.array(persons or range(len(rows))),
        restricted=None if restricted is None else np.array(restricted),
        accept_test_numbers=True,
    )


def found(lookup: Lookup, asked: dict[str, Any], **more: Any) -> list[tuple[int, Grade]]:
    """(person, grade) of the answer, in order."""
    answer = lookup.ask(people_table([{"source": None, **asked}]), **more)
    return [(c.person, c.grade) for c in answer.candidates]


def with_copy(table: pa.Table, row: int, source: str) -> pa.Table:
    """The table with one of its records once more, at its end, from another source."""
    one = table.slice(row, 1)
    for name, value in (("source", pa.array([source])), ("founder", pa.array([b"999999"]))):
        one = one.set_column(one.column_names.index(name), name, value)
    return pa.concat_tables([table, one])


@settings(max_examples=60, deadline=None)
@given(tables(), models(), st.integers(0, 13), st.sampled_from(("a", "b", "z")))
def test_a_record_gets_the_bits_that_the_nightly_run_would_give_it(
    table: pa.Table, model: Model, row: int, source: str
) -> None:
    row %= len(table)
    whole = with_copy(table, row, source)
    scorer = Scorer(build_features(whole, keeps_apart=APART, extra=EXTRA), model)
    left = np.arange(len(table), dtype=np.int32)
    expected = scorer.score(left, np.full_like(left, len(table)))
    features = build_features(table, keeps_apart=APART, extra=EXTRA)
    lookup = Lookup.build(features, model, np.arange(len(table)))
    asked = lookup.read(whole.slice(len(table), 1))
    scored = lookup.score(left, asked, np.zeros(len(table), bool), -np.inf)
    assert scored.bits.tolist() == expected.bits.tolist()
    assert scored.guard.tolist() == expected.guard.tolist()


@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("largest", [2**62, 1])
@given(table=tables(), model=models(), row=st.integers(0, 13))
def test_candidates_are_the_rows_that_some_rule_proposes(
    largest: int, table: pa.Table, model: Model, row: int
) -> None:
    rules = tuple(Rule(rule.name, rule.keys, NO_CAP) for rule in model.rules)
    model = msgspec.structs.replace(model, rules=rules)
    row %= len(table)
    whole = build_features(with_copy(table, row, "z"), extra=EXTRA)
    expected: set[int] = set()
    for rule in rules:
        blocker = Blocker(whole, rule)
        left, right = blocker.expand(0, len(blocker.members))
        expected |= set(left[right == len(table)].tolist())
    one = with_copy(table, row, "z").slice(len(table), 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocking, "_LARGEST", largest)
        lookup = Lookup.build(build_features(table, extra=EXTRA), model, np.arange(len(table)))
        answer = lookup.ask(one, floor=-np.inf, everyone=True)
    assert answer.compared == len(expected)
    assert {candidate.person for candidate in answer.candidates} == expected
    assert not answer.too_common


@settings(max_examples=60, deadline=None)
@given(
    tables(most=3), st.sampled_from(("Mary Ann", "Dr John", "O'Brien", "Jean-Luc", "ZZTEST", "mc"))
)
def test_one_record_is_read_as_features_are(table: pa.Table, name: str) -> None:
    for place in range(len(table)):
        one = table.slice(place, 1)
        if place == 0:
            names = pa.array([[name]], pa.list_(pa.string()))
            one = one.set_column(one.column_names.index("given"), "given", names)
        features = build_features(one, accept_test_numbers=True, extra=EXTRA)
        expected = {
            column: tuple(held.values.array[c].as_py() for c in held.codes[:, 0] if c >= 0)
            for column, held in features.columns.items()
        }
        asked = AskedReader(EXTRA, accept_test_numbers=True).read(one)
        assert dict(asked.columns) == expected
        assert asked.verified == features.verified[0]


@given(st.sets(st.text(max_size=6)), st.text(max_size=6))
def test_texts_are_found_where_they_stand(texts: set[str], other: str) -> None:
    ordered = list(texts)
    places = Texts(pa.array(ordered, pa.string()))
    assert [places.find(text) for text in ordered] == list(range(len(ordered)))
    assert places.find(other) == (ordered.index(other) if other in texts else NOWHERE)


@settings(max_examples=40, deadline=None)
@given(tables(), models(), st.integers(0, 13), st.sampled_from((-4.25, 0.0, 7.0)), st.booleans())
def test_a_floor_leaves_out_what_is_below_it_and_nothing_else(
    table: pa.Table, model: Model, row: int, floor: float, few: bool
) -> None:
    lookup = Lookup.build(build_features(table, extra=EXTRA), model, np.arange(len(table)))
    asked = lookup.read(table.slice(row % len(table), 1))
    rows, hidden = np.arange(len(table), dtype=np.int32), np.zeros(len(table), bool)
    whole = lookup.score(rows, asked, hidden, -np.inf)
    with pytest.MonkeyPatch.context() as patch:
        if not few:
            patch.setattr("linkage.lookup.FEW", 0)
        above = lookup.score(rows, asked, hidden, floor)
    expected = np.flatnonzero(whole.bits >= floor)
    assert above.keep.tolist() == expected.tolist()
    assert above.bits.tolist() == whole.bits[expected].tolist()
    assert above.guard.tolist() == whole.guard[expected].tolist()


def test_what_was_asked_shows_no_value_in_text() -> None:
    asked = AskedReader().read(people_table([MARTHA]))
    assert "MARTHA" not in repr(asked)


def test_other_than_one_record_is_refused() -> None:
    with pytest.raises(InvalidValue, match="one record"):
        index_of([MARTHA]).ask(people_table([MARTHA, MARTHA]))


def test_an_index_needs_a_person_for_each_record() -> None:
    features = build_features(people_table([MARTHA]))
    with pytest.raises(InvalidValue, match="one person for each"):
        Lookup.build(features, uk_person(), np.array([1, 2]))


def test_an_empty_index_knows_nobody() -> None:
    assert not index_of([]).ask(people_table([MARTHA])).candidates


def test_a_person_is_found_by_any_of_several_records() -> None:
    moved = {**MARTHA, "postcode": "BS2 8HW", "address": "9 Oak Lane", "phone": None}
    lookup = index_of([MARTHA, moved, {**MARTHA, "family": "Khan", "nhs_number": None}], [5, 5, 7])
    answer = lookup.ask(people_table([{**moved, "source": None}]))
    assert (answer.candidates[0].person, answer.candidates[0].records) == (5, 2)


def test_records_of_no_person_are_not_found() -> None:
    assert found(index_of([MARTHA], [-1]), MARTHA) == []


def test_a_slip_in_a_name_nobody_bears_still_finds() -> None:
    assert found(index_of([MARTHA]), {**MARTHA, "given": "Marhta"})[0] == (0, Grade.CERTAIN)


LOCATING_VALUES = {
    name: MARTHA[name] for name in ("postcode", "address", "phone", "email", "gp_practice")
}


def without_rules() -> Model:
    """A model whose rules go by place and contact, each alone and all together, and by names."""
    keys = (("postcode[2]",), ("address",), ("phone[2]",), ("email",), ("practice",),
            ("given", "family"), ("nhs_number",))  # fmt: skip
    return shipped_model(tuple(Rule(" ".join(k), k, 100) for k in keys))


@pytest.mark.parametrize("name", [*LOCATING_VALUES, "all of them"])
@pytest.mark.parametrize("when", ["at the build", "when asked"])
def test_a_restricted_person_is_never_found_by_place_or_contact(name: str, when: str) -> None:
    asked = LOCATING_VALUES if name == "all of them" else {name: LOCATING_VALUES[name]}
    open_index = index_of([MARTHA], model=without_rules())
    row = people_table([{"source": None, **asked}])
    assert open_index.ask(row, floor=-np.inf).compared == 1
    if when == "at the build":
        lookup = index_of([MARTHA], model=without_rules(), restricted=[True])
        assert lookup.ask(row, floor=-np.inf).compared == 0
    else:
        assert open_index.ask(row, floor=-np.inf, restricted=[0]).compared == 0


@pytest.mark.parametrize("when", ["at the build", "when asked"])
def test_where_a_restricted_person_lives_is_no_evidence_either_way(when: str) -> None:
    names = {name: value for name, value in MARTHA.items() if name not in LOCATING_VALUES}
    elsewhere = {**names, "postcode": "BS9 1AA", "address": "7 Elm Row", "phone": "0117 496 0099"}
    bits = set()
    for asked in (names, MARTHA, elsewhere):
        lookup = index_of(
            [MARTHA], model=without_rules(), restricted=[True] if when == "at the build" else None
        )
        answer = lookup.ask(
            people_table([{"source": None, **asked}]),
            restricted=[0] if when == "when asked" else [],
        )
        bits.add(answer.candidates[0].bits)
    assert len(bits) == 1


def test_a_crowds_telephone_is_no_evidence() -> None:
    home = [{"given": f"Resident{chr(65 + i)}", "phone": "0117 496 0009"} for i in range(CROWD + 1)]
    lookup = index_of([MARTHA, *home])
    with_phone = lookup.ask(people_table([{**MARTHA, "phone": "0117 496 0009"}]))
    without = lookup.ask(people_table([{**MARTHA, "phone": None}]))
    assert with_phone.candidates == without.candidates


def test_a_block_over_its_cap_is_named_and_proposes_nobody() -> None:
    rules = (Rule("family name", ("family",), 3), Rule("birth date", ("birth_date",), 3))
    same_name = [{**MARTHA, "birth_date": f"19{50 + i}-02-03"} for i in range(4)]
    answer = index_of(same_name, model=shipped_model(rules)).ask(
        people_table([{"family": "Okafor", "given": "Martha", "birth_date": "1951-02-03"}])
    )
    assert answer.too_common == ("family name",)
    assert answer.compared == 1


def test_namesakes_with_one_birth_date_are_not_certain() -> None:
    two = [{**MARTHA, "nhs_number": None}, {**MARTHA, "nhs_number": None, "postcode": "BS9 9AA"}]
    asked = {name: MARTHA[name] for name in ("given", "family", "birth_date", "gender")}
    answer = index_of(two).ask(people_table([{"source": None, **asked}]))
    assert [c.grade for c in answer.candidates] == [Grade.POSSIBLE, Grade.POSSIBLE]
    assert answer.candidates[0].probability == pytest.approx(0.5, abs=0.01)


def test_a_guard_rail_makes_it_certainly_not() -> None:
    lookup = index_of([{**MARTHA, "nhs_status": "01"}])
    asked = {**MARTHA, "nhs_number": "9990000026", "nhs_status": "01"}
    answer = lookup.ask(people_table([{"source": None, **asked}]))
    (candidate,) = answer.candidates
    assert candidate.grade is Grade.CERTAINLY_NOT
    assert candidate.guard == "verified_numbers_differ"
    assert candidate.guard in {guard.code for guard in GUARDS}
    assert candidate.probability == 0.0


def test_who_died_before_somebody_was_born_is_not_them() -> None:
    """Though the question says no birth date."""
    other = {"given": "Ivo", "family": "Brandt", "postcode": "LS1 4AP", "death": "2001-05-04"}
    asked = {name: value for name, value in MARTHA.items() if name != "birth_date"}
    lookup = index_of([MARTHA, other])
    assert found(lookup, asked) == [(0, Grade.CERTAIN)]
    assert found(lookup, {**asked, "death": "1975-05"}) == [(0, Grade.CERTAINLY_NOT)]


def test_a_guard_rail_against_one_record_leaves_the_person_in_doubt() -> None:
    wrong = {**MARTHA, "nhs_number": "9990000026", "nhs_status": "01"}
    lookup = index_of([MARTHA, wrong], [3, 3])
    asked = {**MARTHA, "nhs_status": "01"}
    assert found(lookup, asked) == [(3, Grade.PROBABLE)]


def test_a_second_forename_is_compared_where_no_record_has_one() -> None:
    lookup = index_of([{**MARTHA, "given": "Ann"}])
    plain = lookup.ask(people_table([{**MARTHA, "given": "Rose"}]), floor=-np.inf)
    second = lookup.ask(people_table([{**MARTHA, "given": "Rose Ann"}]), floor=-np.inf)
    assert second.candidates[0].bits > plain.candidates[0].bits


INFINITE = float("inf")


@pytest.mark.parametrize(
    ("probability", "margin", "settled", "doubted", "forbidden", "grade"),
    [
        (0.9999, INFINITE, True, False, False, Grade.CERTAIN),
        (0.999, 10.0, True, False, False, Grade.CERTAIN),
        (0.9989, INFINITE, True, False, False, Grade.PROBABLE),
        (0.9999, 9.9, True, False, False, Grade.PROBABLE),
        (0.9999, INFINITE, False, False, False, Grade.PROBABLE),
        (0.9999, INFINITE, True, True, False, Grade.PROBABLE),
        (0.9, 3.0, False, False, False, Grade.PROBABLE),
        (0.9, 2.9, False, False, False, Grade.POSSIBLE),
        (0.89, INFINITE, True, False, False, Grade.POSSIBLE),
        (0.05, -20.0, False, True, False, Grade.POSSIBLE),
        (0.049, INFINITE, True, False, False, None),
        (0.9999, INFINITE, True, True, True, Grade.CERTAINLY_NOT),
    ],
)
def test_grades(
    probability: float,
    margin: float,
    settled: bool,
    doubted: bool,
    forbidden: bool,
    grade: Grade | None,
) -> None:
    assert (
        grade_of(probability, margin, settled=settled, doubted=doubted, forbidden=forbidden)
        is grade
    )


def test_a_part_of_a_new_value_has_the_number_of_those_that_share_it() -> None:
    features = build_features(people_table([MARTHA, {**MARTHA, "postcode": "BS2 8HW"}]))
    column = features.column("postcode")
    whole = Dictionary(column.values)
    sectors = whole.part("sector")
    same, other = whole.part_of("sector", ["BS1 5ZZ", "CF10 1AA"]).tolist()
    assert same == sectors[whole.find("BS1 5TR")]
    assert other not in sectors.tolist()


@given(st.lists(st.lists(st.integers(-1, 6), min_size=2, max_size=2), max_size=30), st.data())
def test_bearers_are_the_rows_that_hold_a_code(rows: list[list[int]], data: st.DataObject) -> None:
    codes = np.array(rows, np.int32).reshape(-1, 2).T
    wanted = sorted(data.draw(st.sets(st.integers(0, 6))))
    bearers = Bearers(codes, 7)
    asked = np.array(wanted, np.int64)
    naive = [n for n, held in enumerate(rows) for code in held if code in wanted]
    assert sorted(bearers.rows(asked).tolist()) == naive
    assert bearers.count(asked) == len(naive)
