"""The people: families, names, numbers, and slips of the pen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo import slips
from demo.households import EXTRACT_DAY, YEAR
from demo.names import CUSTOM, feminine, forename_pool
from demo.population import Population, build_population, draw_numbers
from schemas.identifiers import check_digit

LUCK = st.floats(0, 1, exclude_max=True)
NUMBERS = draw_numbers(np.random.default_rng(5), 500).tolist()


@pytest.fixture(scope="module")
def people() -> Population:
    return build_population(np.random.default_rng(2), 20_000)


def test_twins_share_birth_date_and_home(people: Population) -> None:
    twins = people.planted["twin"]
    assert len(twins) >= 20
    for row in twins.tolist():
        pair = [
            r for r in (row - 1, row + 1) if r in twins and people.mother[r] == people.mother[row]
        ]
        assert any(people.birth[r] == people.birth[row] for r in pair)
        assert any(people.dwelling[r] == people.dwelling[row] for r in pair)
    for row in people.planted["twin_same_initial"].tolist():
        pair = [r for r in (row - 1, row + 1) if people.birth[r] == people.birth[row]]
        assert any(people.given[r][0] == people.given[row][0] for r in pair)
        assert all(people.given[r] != people.given[row] for r in pair)


def test_namesakes_bear_one_name(people: Population) -> None:
    pairs = zip(
        people.planted["namesake_child"].tolist(),
        people.planted["namesake_parent"].tolist(),
        strict=True,
    )
    for child, parent in pairs:
        if people.previous_given[parent] == "" and parent not in people.planted["gender_changed"]:
            assert people.given[child] == people.given[parent]
        assert people.birth[child] - people.birth[parent] > 14 * YEAR


def test_mothers_are_old_enough(people: Population) -> None:
    child = people.mother >= 0
    age = (people.birth[child] - people.birth[people.mother[child]]) / YEAR
    assert age.min() > 12
    assert age.max() < 62


def test_numbers_are_distinct_and_sound(people: Population) -> None:
    numbers = [n for n in [*people.number, *people.old_number] if n]
    assert len(numbers) == len(set(numbers)) > 19_000
    assert all(n.startswith("999") and check_digit(n[:9]) == int(n[9]) for n in numbers)


def test_common_names_collide_as_in_life(people: Population) -> None:
    names: dict[tuple[str, str], int] = {}
    for name in zip(people.given, people.family, strict=True):
        names[name] = names.get(name, 0) + 1
    shared = sum(count for count in names.values() if count > 1) / len(people)
    assert 0.08 < shared < 0.5
    smiths = sum(people.family == "Smith") / len(people)
    assert 0.005 < smiths < 0.02
    assert names.get(("Mohammed", "Khan"), 0) + names.get(("Muhammad", "Khan"), 0) >= 2
    assert max(names.values()) >= 4


def test_past_identities_share_nothing_that_leads_back(people: Population) -> None:
    number_of = dict(zip(people.label, people.number, strict=True))
    for row in people.planted["past_identity"].tolist():
        now = people.label[row].removesuffix("-before")
        assert people.number[row] != number_of[now]
        assert people.only_system[row] >= 0
    for row in people.planted["adopted"].tolist():
        assert people.previous_family[row] == people.old_number[row] == ""
        assert people.previous_dwelling[row] == -1


def test_nobody_is_born_or_dies_tomorrow(people: Population) -> None:
    assert people.birth.max() < EXTRACT_DAY
    dead = people.planted["died"]
    assert (people.death[dead] >= people.birth[dead]).all()
    assert people.death.max() < EXTRACT_DAY


def test_customs_have_their_names() -> None:
    assert feminine("Kowalski") == "Kowalska"
    assert feminine("Nowak") == "Nowak"
    assert "Oscar" in set(forename_pool("british", "M", 2015).names)
    assert "Oscar" not in set(forename_pool("british", "M", 1945).names)
    assert CUSTOM["british"] == 0


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NUMBERS), LUCK)
def test_a_slip_in_a_number_is_told_by_its_check_digit(number: str, luck: float) -> None:
    for slip in (slips.wrong_digit, slips.transpose_digits):
        wrong = slip(number, luck)
        assert wrong != number
        assert wrong.startswith("999")
        assert check_digit(wrong[:9]) != int(wrong[9])


@settings(max_examples=60, deadline=None)
@given(st.dates(min_value=np.datetime64("1920-01-01").item(),
                max_value=np.datetime64("2026-02-28").item()), LUCK)  # fmt: skip
def test_a_slip_in_a_date_is_another_date(day: object, luck: float) -> None:
    text = str(day)
    wrong = slips.slip_digit(text, luck)
    assert wrong != text
    assert np.datetime64(wrong) <= np.datetime64("2026-02-28")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["Smith", "O'Brien", "Ng", "Lee", "Phillips", "Anna", "Al-Hassan"]), LUCK)
def test_a_misspelt_name_is_near_the_name(name: str, luck: float) -> None:
    wrong = slips.misspell(name, luck)
    assert abs(len(wrong) - len(name)) <= 1
    assert wrong[0] == name[0]


@pytest.mark.parametrize(
    ("slip", "value", "results"),
    [
        (slips.swap_day_month, "1980-05-07", {"1980-07-05"}),
        (slips.first_of_january, "1980-05-07", {"1980-01-01"}),
        (slips.short_form, "Elizabeth", {"Liz", "Beth", "Betty"}),
        (slips.other_spelling, "Mohammed", {"Muhammad", "Mohamed"}),
        (slips.part_of_name, "Smith-Jones", {"Smith", "Jones", "Smith Jones", "SmithJones"}),
        (slips.part_of_name, "Garcia Lopez", {"Garcia", "Lopez", "Garcia-Lopez"}),
        (slips.rewrite_line, "12 Park Road", {"12 PARK ROAD", "12, Park Road", "12 Park Rd"}),
    ],
    ids=["day and month", "1 January", "nickname", "spelling", "hyphen", "two names", "address"],
)
def test_slips_give_these(slip: slips.Slip, value: str, results: set[str]) -> None:
    given_by_luck = {slip(value, luck) for luck in np.linspace(0, 0.9999, 200)}
    assert results <= given_by_luck
