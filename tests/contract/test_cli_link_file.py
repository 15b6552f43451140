"""link-file as scripts depend on it: what it takes, what it writes, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from linkage.model import Model, uk_person
from service.table_files import read_table
from tests.contract.link_file import FORMS, PEOPLE, link, linked, table, two_files, written


def groups(found: pd.DataFrame) -> set[frozenset[str]]:
    return {frozenset(map(str, ids)) for _, ids in found.groupby("person_id")["record_id"]}


PAIRS = {frozenset({"a" + c.local_id, "b" + c.local_id}) for c in PEOPLE}


@pytest.mark.parametrize("ending", FORMS)
def test_well_known_columns_are_recognised_and_said_to_be(tmp_path: Path, ending: str) -> None:
    one = written(tmp_path, "one" + ending, table(PEOPLE, "a"))
    two = written(tmp_path, "two" + ending, table(PEOPLE[::-1], "b"))
    found = linked(tmp_path, one, two)
    assert list(found.columns) == ["record_id", "source", "person_id"]
    assert groups(found) == PAIRS
    assert set(found["source"]) == {"one", "two"}
    said = link(tmp_path, one, two, "--out", tmp_path / "out.csv").out
    for text in ("Surname as family_name", "DOB as date_of_birth", "NHS Number as nhs_number"):
        assert f"recognised: {text}" in said


def test_every_output_form_holds_the_same(tmp_path: Path) -> None:
    one = written(tmp_path, "one.csv", table([*PEOPLE, *PEOPLE[:9]], "a").drop(columns="id"))
    as_csv = linked(tmp_path, one)
    as_parquet = linked(tmp_path, one, out="out.parquet")
    assert as_csv.astype(str).equals(as_parquet.astype(str))
    assert as_csv["record_id"].tolist() == list(range(39)), "without an id the place is the id"
    assert as_csv["person_id"].nunique() == 30


def test_mapped_columns_and_a_date_in_three(tmp_path: Path) -> None:
    plain = table(PEOPLE, "a")
    parts = plain["DOB"].str.split("-", expand=True)
    odd = pd.DataFrame(
        {
            "key": plain["id"], "y": parts[0], "m": parts[1], "d": parts[2],
            "f1": plain["First name"], "f2": "", "n": plain["Surname"], "p": plain["Postcode"],
            "h": plain["NHS Number"],
        }
    )  # fmt: skip
    one = written(tmp_path, "odd.csv", odd)
    two = written(tmp_path, "odd2.csv", odd.assign(key="b" + odd["key"].str[1:]))
    arguments = [
        one, two, "--id", "key", "--map", "date_of_birth=d+m+y", "--map", "given_name=f1+f2",
        "--map", "family_name=n", "--map", "postcode=p", "--map", "nhs_number=h",
    ]  # fmt: skip
    ended = link(tmp_path, *arguments, "--out", tmp_path / "out.csv", "--json")
    assert ended.err == ""
    assert ended.document["without_evidence"] == {"nhs_number": 0, "date_of_birth": 0}
    assert ended.document["mapping"]["date_of_birth"] == ["d", "m", "y"]
    assert ended.document["recognised"] == []
    assert groups(pd.read_csv(tmp_path / "out.csv")) == PAIRS


def test_a_source_column_tells_sources_apart(tmp_path: Path) -> None:
    frame = pd.concat([table(PEOPLE, "").assign(system="x"), table(PEOPLE, "").assign(system="y")])
    one = written(tmp_path, "one.csv", frame)
    found = linked(tmp_path, one, "--source", "system")
    assert set(found["source"]) == {"x", "y"}
    assert found["person_id"].nunique() == len(PEOPLE)
    assert link(tmp_path, one, "--out", tmp_path / "out.csv").code == 4, "ids stand twice"


def test_files_of_one_name_are_two_sources(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    one = written(tmp_path / "x", "people.csv", table(PEOPLE, ""))
    two = written(tmp_path / "y", "people.csv", table(PEOPLE, ""))
    three = written(tmp_path / "y", "people.parquet", table(PEOPLE, ""))
    assert linked(tmp_path, one, two)["source"].nunique() == 2
    assert set(linked(tmp_path, two, three)["source"]) == {"people.csv", "people.parquet"}


def test_further_identifiers_are_evidence(tmp_path: Path) -> None:
    frame = table(PEOPLE, "a")[["id", "Surname"]]
    frame["badge"] = [f"QX{n}77{n * 7 % 90:02d}" for n in range(len(PEOPLE))]
    one = written(tmp_path, "one.csv", frame)
    two = written(tmp_path, "two.csv", frame.assign(id="b" + frame["id"].str[1:]))
    with_badge = linked(tmp_path, one, two, "--identifier", "badge")
    without = linked(tmp_path, one, two)
    assert groups(with_badge) == PAIRS
    assert without["person_id"].nunique() != len(PEOPLE)


def test_pairs(tmp_path: Path) -> None:
    one = written(tmp_path, "one.csv", table(PEOPLE, "a"))
    two = written(tmp_path, "two.csv", table(PEOPLE, "b"))
    linked(tmp_path, one, two, "--pairs", tmp_path / "pairs.parquet")
    pairs = pd.read_parquet(tmp_path / "pairs.parquet")
    assert list(pairs.columns)[:4] == ["left_id", "right_id", "match_weight", "probability"]
    assert set(pairs.columns) >= {f.name for f in uk_person().fields}, "a column of bits per field"
    assert {frozenset(p) for p in zip(pairs["left_id"], pairs["right_id"], strict=True)} >= PAIRS
    assert pairs["probability"].between(0, 1).all()


def test_a_given_model_is_frozen(tmp_path: Path) -> None:
    model = tmp_path / "model.json"
    model.write_bytes(uk_person().to_json())
    hashes = []
    for count in (5, 30):
        one = written(tmp_path, "one.csv", table([*PEOPLE[:count]] * 2, "").drop(columns="id"))
        ended = link(tmp_path, one, "--out", tmp_path / "out.csv", "--model", model, "--json")
        hashes.append(ended.document["model"])
    assert set(hashes) == {uk_person().hash}
    trained = link(tmp_path, one, "--out", tmp_path / "out.csv", "--json").document["model"]
    assert trained not in hashes


NAMES = ["Null", "NA", "None", "nan"]


@pytest.mark.parametrize("ending", FORMS)
def test_names_that_look_like_nothing_are_names(tmp_path: Path, ending: str) -> None:
    frame = pd.DataFrame({"id": range(4), "Surname": NAMES, "DOB": "1971-03-04"})
    one = written(tmp_path, "one" + ending, frame)
    assert read_table(one)["Surname"].to_pylist() == NAMES
    assert len(linked(tmp_path, one)) == len(NAMES)


@pytest.mark.parametrize("ending", [".parquet", ".ndjson"])
def test_whole_numbers_stay_whole_beside_empty_cells(tmp_path: Path, ending: str) -> None:
    frame = pd.DataFrame(
        {"id": [1, 2, 3], "nhs_number": pd.array([9434765919, None, 9434765870], "Int64")}
    )
    one = written(tmp_path, "one" + ending, frame)
    report = link(tmp_path, one, "--out", tmp_path / "out.csv", "--json").document
    assert report["without_evidence"] == {"nhs_number": 0}
    assert pd.read_csv(tmp_path / "out.csv")["record_id"].tolist() == [1, 2, 3]


def test_ndjson_values_come_as_they_stand(tmp_path: Path) -> None:
    rows = [{"id": n, "date": "03/04/1971", "tags": [n], "ok": True} for n in range(3)]
    path = tmp_path / "a.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    frame = read_table(path)
    assert list(frame.to_pylist()[1].values()) == ["1", "03/04/1971", "[1]", "true"]


# --- what may be asked for beside the table -----------------------------------------------------


def test_further_categories_are_compared(tmp_path: Path) -> None:
    frame = table(PEOPLE, "a")[["id", "Surname", "DOB"]]
    teams = [("red", "green", "blue")[n % 3] for n in range(len(frame))]
    one = written(tmp_path, "one.csv", frame.assign(**{"Care team": teams}))
    arguments = ["--exact", "Care team", "--save-model", tmp_path / "model.json"]
    linked(tmp_path, one, *arguments, "--pairs", tmp_path / "pairs.csv")
    model = Model.from_json((tmp_path / "model.json").read_bytes())
    assert [column.name for column in model.columns] == ["care_team"]
    assert "care_team" in [field.name for field in model.fields]
    assert "care_team" in pd.read_csv(tmp_path / "pairs.csv").columns


def test_the_join_threshold_is_what_was_asked_for(tmp_path: Path) -> None:
    files = two_files(tmp_path)
    persons = {}
    for bits in (-5, 10, 500):
        arguments = [*files, "--join-bits", bits, "--out", tmp_path / "out.csv", "--json"]
        document = link(tmp_path, *arguments).document
        assert document["join_bits"] == bits
        persons[bits] = document["persons"]
    assert persons[-5] <= persons[10] < persons[500] == document["records"]
    said = link(tmp_path, *files, "--join-bits", 10, "--out", tmp_path / "out.csv").out
    assert "joined from +10.0 bits" in said


@pytest.mark.parametrize("bits", ["nan", "inf", "-inf"])
def test_a_join_threshold_is_a_number(tmp_path: Path, bits: str) -> None:
    one = written(tmp_path, "one.csv", table(PEOPLE, "a"))
    ended = link(tmp_path, one, "--join-bits", bits, "--out", tmp_path / "out.csv")
    assert (ended.code, ended.out) == (4, "")
    assert "number of bits" in ended.err
    assert not (tmp_path / "out.csv").exists()


def test_the_threshold_and_its_estimates_are_said(tmp_path: Path) -> None:
    ended = link(tmp_path, *two_files(tmp_path), "--out", tmp_path / "out.csv", "--json")
    document = ended.document
    assert 0 < document["estimated_precision"] <= 1
    assert 0 < document["estimated_recall"] <= 1
    assert document["join_bits"] >= 0


def test_the_plan_writes_nothing_and_costs_what_is_compared(tmp_path: Path) -> None:
    one, two = two_files(tmp_path, 1000)
    arguments = [one, two, "--out", tmp_path / "out.csv", "--pairs", tmp_path / "pairs.csv",
                 "--report", tmp_path / "r.html", "--save-model", tmp_path / "m.json"]  # fmt: skip
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    planned = link(tmp_path, *arguments, "--plan", "--json")
    assert planned.err == ""
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    costs = {rule["rule"]["name"]: rule["proposed"] for rule in planned.document}
    assert len(costs) > 1, "a table of this size is not compared whole"
    did = link(tmp_path, one, two, "--out", tmp_path / "out.csv", "--json").document
    assert {rule["rule"]: rule["proposed"] for rule in did["rules"]} == costs
    said = link(tmp_path, *arguments, "--plan").out
    assert f"{sum(costs.values()):,} pairs at most" in said


def test_the_plan_of_a_model_is_that_of_its_own_rules(tmp_path: Path) -> None:
    model = tmp_path / "model.json"
    model.write_bytes(uk_person().to_json())
    one = written(tmp_path, "one.csv", table(PEOPLE, "a"))
    for option in ("--model", "--prior"):
        asked = [one, option, model, "--out", tmp_path / "o.csv", "--plan", "--json"]
        planned = link(tmp_path, *asked).document
        assert [p["rule"]["name"] for p in planned] == [r.name for r in uk_person().rules]


def test_the_report_is_one_page_that_loads_nothing(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    linked(tmp_path, *two_files(tmp_path), "--report", page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    for heading in ("What was linked", "Which pairs were compared", "A clerical check"):
        assert heading in text
    assert page.stat().st_mode & 0o077 == 0, "for the owner's eyes"


@pytest.mark.parametrize("option", ["--report", "--save-model"])
def test_no_output_takes_the_place_of_another_or_of_an_input(tmp_path: Path, option: str) -> None:
    one = written(tmp_path, "one.csv", table(PEOPLE[:4], "a"))
    for path in (one, tmp_path / "out.csv", tmp_path / "nosuch" / "x"):
        ended = link(tmp_path, one, "--out", tmp_path / "out.csv", option, path)
        assert (ended.code, ended.out) == (4, "")
    assert not (tmp_path / "out.csv").exists()


def test_the_number_of_threads_changes_nothing(tmp_path: Path) -> None:
    files = two_files(tmp_path)
    one = linked(tmp_path, *files, "--threads", 1)
    assert linked(tmp_path, *files, "--threads", 3).equals(one)
    assert link(tmp_path, *files, "--threads", 0, "--out", tmp_path / "out.csv").code == 2


@pytest.mark.parametrize("option", ["--model", "--prior", "--labels"])
def test_a_folder_is_no_file_to_learn_from(tmp_path: Path, option: str) -> None:
    good = written(tmp_path, "good.csv", table(PEOPLE[:4], "a"))
    ended = link(tmp_path, good, option, tmp_path, "--out", tmp_path / "out.csv")
    assert ended.code == 2
    assert "is a directory" in ended.err


REFUSED: dict[str, tuple[Callable[[Path], list[Any]], str]] = {
    "no such file": (lambda f: [f / "nosuch.csv"], "no such file"),
    "another ending": (lambda f: [f / "good.xlsx"], "expected a name ending in"),
    "a folder": (lambda f: [f / "folder.csv"], "is a folder"),
    "not Parquet": (lambda f: [f / "fake.parquet"], "cannot be read as .parquet"),
    "not NDJSON": (lambda f: [f / "fake.ndjson"], "cannot be read as .ndjson"),
    "not UTF-8": (lambda f: [f / "latin.csv"], "it is not in UTF-8; save it so"),
    "a ragged row": (lambda f: [f / "ragged.csv"], "a row has 3 columns, the heading 2"),
    "semicolons": (
        lambda f: [f / "semi.csv", "--map", "family_name=Surname"], "another than a comma?",
    ),
    "an empty file": (lambda f: [f / "empty.csv"], "it is empty"),
    "no usable column": (lambda f: [f / "odd.csv"], "map some with --map"),
    "no such field": (lambda f: [f / "good.csv", "--map", "shoe_size=DOB"], "no such field"),
    "no such column": (lambda f: [f / "good.csv", "--map", "email=nosuch"], "columns are id, "),
    "no such id column": (lambda f: [f / "good.csv", "--id", "nosuch"], "columns are id, "),
    "no such source column": (lambda f: [f / "good.csv", "--source", "nosuch"], "columns are id, "),
    "a field mapped twice": (
        lambda f: [f / "good.csv", "--map", "email=Email", "--map", "email=DOB"], "given twice",
    ),
    "not a mapping": (lambda f: [f / "good.csv", "--map", "email"], "expected field=column"),
    "ids that stand twice": (lambda f: [f / "twice.csv"], "4 ids stand twice"),
    "an id that is empty": (lambda f: [f / "noid.csv"], "an id is empty"),
    "not a model": (lambda f: [f / "good.csv", "--model", f / "good.csv"], "not a model file"),
    "pairs of another ending": (
        lambda f: [f / "good.csv", "--pairs", f / "p.xlsx"], ".csv or .parquet",
    ),
    "pairs over the output": (
        lambda f: [f / "good.csv", "--pairs", f / "out.csv"], "must not be an input",
    ),
    "pairs over an input": (
        lambda f: [f / "good.csv", "--pairs", f / "good.csv"], "must not be an input",
    ),
    "pairs in no folder": (
        lambda f: [f / "good.csv", "--pairs", f / "nosuch" / "p.csv"], "folder is not there",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "said"), REFUSED.values(), ids=REFUSED)
def test_refusals_leave_nothing(
    tmp_path: Path, arguments: Callable[[Path], list[Any]], said: str
) -> None:
    good = table(PEOPLE[:4], "a")
    written(tmp_path, "good.csv", good)
    written(tmp_path, "twice.csv", pd.concat([good, good]))
    written(tmp_path, "noid.csv", good.assign(id=[None, "1", "2", "3"]))
    written(tmp_path, "odd.csv", pd.DataFrame({"colour": ["red"]}))
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "fake.parquet").write_bytes(b"id\n1\n")
    (tmp_path / "fake.ndjson").write_bytes(b'["Zqxfamily"]\n')
    (tmp_path / "latin.csv").write_bytes("Surname\nZqxé\n".encode("latin-1"))
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "ragged.csv").write_bytes(b"Surname,DOB\nZqxa,1971\nZqxb,1972,Zqxc\n")
    (tmp_path / "semi.csv").write_bytes(b"Surname;DOB\nZqxa;1971\n")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    ended = link(tmp_path, *arguments(tmp_path), "--out", tmp_path / "out.csv")
    assert (ended.code, ended.out) == (4, "")
    assert said in ended.err
    assert "Zqx" not in ended.err
    assert {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == before


def test_the_output_is_never_an_input(tmp_path: Path) -> None:
    one = written(tmp_path, "one.csv", table(PEOPLE[:4], "a"))
    before = one.read_bytes()
    ended = link(tmp_path, one, "--out", one)
    assert ended.code == 4
    assert one.read_bytes() == before


def test_what_is_not_used_and_what_a_model_misses_is_said(tmp_path: Path) -> None:
    model = tmp_path / "model.json"
    model.write_bytes(uk_person().to_json())
    frame = table(PEOPLE[:4], "a")[["id", "Surname"]].assign(Ward="7", Shelf="2")
    one = written(tmp_path, "one.csv", frame)
    said = link(tmp_path, one, "--out", tmp_path / "out.csv", "--model", model).out
    assert "not used: Ward, Shelf (use --map" in said
    assert "the model also compares nhs_number, " in said
    assert "family" not in said.split("the model also compares")[1].split(":")[0]
    assert "nothing reached that" in said
    assert "%" not in said
    trained = link(tmp_path, one, "--out", tmp_path / "out.csv", "--exact", "Ward").out
    assert "not used: Shelf (use --map" in trained
    assert "also compares" not in trained


def test_an_output_is_asked_for_unless_it_is_a_plan(tmp_path: Path) -> None:
    one = written(tmp_path, "one.csv", table(PEOPLE[:4], "a"))
    ended = link(tmp_path, one)
    assert (ended.code, ended.out) == (4, "")
    assert "--out FILE" in ended.err
    assert link(tmp_path, one, "--plan").code == 0


def test_a_heading_without_rows_is_no_person(tmp_path: Path) -> None:
    one = written(tmp_path, "one.csv", table([], "a"))
    assert linked(tmp_path, one).empty
