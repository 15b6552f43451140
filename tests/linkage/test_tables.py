"""A user's table as linkage reads it: values, dates in either order, numbers, ids."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from linkage import link, uk_person
from linkage.features import build_features
from linkage.table_names import TAKEN
from linkage.tables import nhs_numbers, postcodes, read_columns
from linkage.texts import as_text
from schemas.errors import InputError, InvalidValue
from schemas.identifiers import parse_nhs_number
from tests.linkage.people import people_table


def births(frame: pd.DataFrame, **options) -> list[int | None]:
    return read_columns(frame, **options).table["birth_date"].to_pylist()


def test_each_source_has_its_own_order_of_day_and_month() -> None:
    frame = pd.DataFrame(
        {
            "source": ["uk", "uk", "us", "us"],
            "surname": list("abcd"),
            "dob": ["03/04/1971", "25/12/1980", "03/04/1971", "12/25/1980"],
        }
    )
    assert births(frame, source_column="source") == [19710403, 19801225, 19710304, 19801225]


def test_what_cannot_be_read_is_counted() -> None:
    frame = pd.DataFrame({"surname": ["a", "b", "c"], "dob": ["1971-02-31", "1971-02-03", None],
                          "nhs_number": ["9990000018", "9990000019", None]})  # fmt: skip
    found = read_columns(frame).without_evidence
    assert found == {"date_of_birth": 1, "nhs_number": 1}


@pytest.mark.parametrize("last", range(10))
@pytest.mark.parametrize("form", ["943 476 591{}", "943-476-591{}", "943.476.591{}", "943476591{}"])
def test_check_digits_are_those_of_the_strict_parser(form: str, last: int) -> None:
    sent = form.format(last)
    try:
        wanted = str(parse_nhs_number(sent))
    except InvalidValue:
        wanted = None
    assert nhs_numbers(pa.array([sent])).to_pylist() == [wanted]


def test_postcodes_of_the_kingdom_have_one_space_and_others_none() -> None:
    sent = pa.array(["bs15tr", "BS1  5TR", "12345-6789", "2000", "?"])
    assert postcodes(sent).to_pylist() == ["BS1 5TR", "BS1 5TR", "123456789", "2000", None]


def test_texts_as_a_person_would_write_them() -> None:
    assert as_text(pa.array([1980.0, 1.5, None])).to_pylist() == ["1980", "1.5", None]
    assert as_text(pa.array([dt.date(1971, 3, 4)])).to_pylist() == ["1971-03-04"]
    assert as_text(pa.array([" a  b ", "", "NULL"])).to_pylist() == ["a b", None, None]


def test_an_id_that_stands_twice_is_refused_without_its_value() -> None:
    frame = pd.DataFrame({"id": ["Zqx1", "Zqx1"], "surname": ["a", "b"]})
    with pytest.raises(InputError, match="1 ids stand twice") as refused:
        read_columns(frame)
    assert "Zqx" not in str(refused.value)


def test_codes_of_no_practice_and_former_names() -> None:
    rows = [
        {"family": "Jones née Okonkwo", "gp_practice": "V81999"},
        {"family": "Okonkwo", "gp_practice": "L81001"},
    ]
    features = build_features(people_table(rows))
    assert features.main("practice").tolist() == [-1, 0]
    texts = features.column("family").values.texts
    assert {texts[c] for c in features.column("family").codes[:, 0] if c >= 0} == {
        "JONES", "OKONKWO",
    }  # fmt: skip


def test_a_declared_category_is_evidence() -> None:
    """Namesakes of one day: the team tells them apart, or together."""
    rows = [("a", "red"), ("b", "blue")]
    frame = pd.DataFrame(
        [
            {"id": f"{s}{n}", "surname": "Lee", "first_name": "Ann", "team": f"{t}{n}", "s": s}
            for s, t in (*rows[:1], ("b", "red"))
            for n in range(40)
        ]
    )
    found = link(frame, source_column="s", exact=["team"])
    assert "team" in {field.name for field in found.model.fields}
    assert "team" not in {field.name for field in uk_person().fields}
    assert "team" in found.pairs.column_names


def test_what_a_notebook_shows_of_a_result_is_no_person() -> None:
    frame = pd.DataFrame({"surname": ["Zqxname", "Zqxname"], "dob": ["1971-03-04"] * 2})
    found = link(frame)
    for shown in (repr(found), repr(found.reading), str(found)):
        assert "Zqx" not in shown.title()
        assert "1971" not in shown
    assert "2 records" in repr(found)


@pytest.mark.parametrize("named", [["Z"], "a", ["a", "Z"]])
def test_a_mistyped_source_does_not_let_go_of_what_keeps_people_apart(named: object) -> None:
    frame = pd.DataFrame({"s": ["a", "b"], "surname": ["x", "x"]})
    with pytest.raises(InputError, match="keeps_apart is a list of sources"):
        link(frame, source_column="s", keeps_apart=named)
    link(frame, source_column="s", keeps_apart=["a"])


def test_the_probability_of_a_pair_is_that_of_its_weight() -> None:
    rows = [{"id": n, "surname": "Zo" if n % 2 else "Zoe", "dob": "1971-03-04"} for n in range(6)]
    pairs = link(pd.DataFrame(rows), join_bits=-40.0).pairs
    weight = pairs["match_weight"].to_numpy()
    assert len(weight)
    assert pairs["probability"].to_numpy() == pytest.approx(1 / (1 + 2.0**-weight))


def test_the_order_of_rows_decides_nothing_where_sources_take_turns() -> None:
    """Ids that ascend over all sources, and the same rows shuffled."""
    n = 2_400
    frame = pd.DataFrame(
        {
            "id": range(n),
            "s": ["b", "a"] * (n // 2),
            "surname": [f"Name{chr(65 + i % 23)}{chr(65 + i % 7)}" for i in range(n)],
            "dob": [f"19{40 + i % 50}-0{1 + i % 9}-1{i % 9}" for i in range(n)],
        }
    )
    plain = link(frame, source_column="s")
    shuffled = link(frame.sample(frac=1.0, random_state=1), source_column="s")
    assert plain.model.hash == shuffled.model.hash
    persons = [
        dict(zip(*(r.records[c].to_pylist() for c in ("record_id", "person_id")), strict=True))
        for r in (plain, shuffled)
    ]
    assert persons[0] == persons[1]


def test_any_of_several_values_may_agree_and_an_empty_one_hides_no_other() -> None:
    table = pa.table(
        {
            "surname": ["x", "y", "z"],
            "phone": [["07700 900123", None], ["0117 496 0001", "07700 900123"], None],
            "postcode": [["bs15tr", "BS2 8HW"], [], ["BS2 8HW"]],
        }
    )
    features = build_features(read_columns(table).table)
    phone, postcode = features.column("phone").codes, features.column("postcode").codes
    assert set(phone[:, 0]) & set(phone[:, 1]) - {-1}
    assert set(postcode[:, 0]) & set(postcode[:, 2]) - {-1}
    assert (phone[:, 2] == -1).all()
    assert (postcode[:, 1] == -1).all()


def test_decimals_are_whole_numbers_where_they_are() -> None:
    sent = pa.array([Decimal("9434765919.00"), None, Decimal("1.50")])
    assert as_text(sent).to_pylist() == ["9434765919", None, "1.50"]


@pytest.mark.parametrize("name", sorted(TAKEN))
def test_no_category_takes_the_place_of_a_column_that_linkage_reads(name: str) -> None:
    frame = pd.DataFrame({"surname": ["a", "b"], name: ["01", "x"]})
    with pytest.raises(InputError, match="rename the column"):
        read_columns(frame, exact=[name])


def test_every_column_that_linkage_reads_is_taken() -> None:
    held = build_features(people_table([{"given": "A B", "family": "C", "nhs_number": "9990000018",
        "birth_date": "1971-02-03", "death": "2020", "gender": "male", "gp_practice": "L81001",
        "address": "1 High Street", "postcode": "BS1 5TR", "uprn": "12", "phone": "0117 496 0001",
        "email": "a@b.org", "identifier": "mrn|1"}]), accept_test_numbers=True)  # fmt: skip
    assert set(held.columns) <= TAKEN


def test_one_column_may_be_given_by_its_name() -> None:
    frame = pd.DataFrame({"fam": ["a"], "team": ["x"], "badge": ["1"]})
    found = read_columns(frame, mapping={"family_name": "fam"}, exact="team", identifiers="badge")
    assert found.mapping == {"family_name": ["fam"]}
    assert "team" in found.table.column_names


@pytest.mark.parametrize("wrong", [[(0, 1)], [(0, 1), (1, 0)], (np.array([0]), np.array([9]))])
def test_must_links_are_two_arrays_of_rows(wrong: object) -> None:
    frame = pd.DataFrame({"surname": ["a", "b"]})
    with pytest.raises(InputError, match="must_links"):
        link(frame, must_links=wrong)
    joined = link(frame, must_links=(np.array([0]), np.array([1])))
    assert joined.persons == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "model.json"}, "model is a linkage.Model"),
        ({"prior": b"{}"}, "prior is a linkage.Model"),
        ({"join_bits": "8"}, "a number of bits"),
    ],
)
def test_options_of_another_type_are_told(options: dict[str, object], said: str) -> None:
    frame = pd.DataFrame({"id": ["1", "2"], "surname": ["Hall", "Hale"]})
    with pytest.raises(InputError, match=said):
        link(frame, **options)
