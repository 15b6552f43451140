"""link-file as scripts depend on it: what it takes, what it writes, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from linkage.compare import FIELDS
from linkage.model import uk_person
from service.table_files import read_table
from tests.functional import road
from tests.functional.small import Client, clients

PEOPLE = clients(30)


def table(people: list[Client], prefix: str) -> pd.DataFrame:
    """The people under well-known names of columns."""
    return pd.DataFrame(
        {
            "id": [prefix + c.local_id for c in people],
            "NHS Number": [c.nhs_number for c in people],
            "First name": [c.given for c in people],
            "Surname": [c.family for c in people],
            "DOB": [c.birth_date for c in people],
            "Sex": [c.gender for c in people],
            "Postcode": [c.postcode for c in people],
            "Address 1": [c.street for c in people],
            "Telephone": [c.phone for c in people],
            "Email": [c.email for c in people],
        }
    )


FORMS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    ".csv": lambda frame, path: frame.to_csv(path, index=False),
    ".tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    ".parquet": lambda frame, path: frame.to_parquet(path),
    ".ndjson": lambda frame, path: frame.to_json(path, orient="records", lines=True),
}


def written(folder: Path, name: str, frame: pd.DataFrame) -> Path:
    path = folder / name
    FORMS[path.suffix](frame, path)
    return path


def link(folder: Path, *arguments: Any) -> road.Ended:
    return road.call(folder / "no-workspace", "link-file", *arguments)


def linked(folder: Path, *arguments: Any, out: str = "out.csv") -> pd.DataFrame:
    """Links, which must go well; what was written."""
    ended = link(folder, *arguments, "--out", folder / out)
    assert ended.code == 0, ended.said
    read = pd.read_csv if out.endswith(".csv") else pd.read_parquet
    found: pd.DataFrame = read(folder / out)
    return found


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
    assert set(pairs.columns) >= set(FIELDS), "a column of bits per field"
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
    assert read_table(one)["Surname"].tolist() == NAMES
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
    assert frame.iloc[1].tolist() == ["1", "03/04/1971", "[1]", "true"]


REFUSED: dict[str, tuple[Callable[[Path], list[Any]], str]] = {
    "no such file": (lambda f: [f / "nosuch.csv"], "no such file"),
    "another ending": (lambda f: [f / "good.xlsx"], "expected a name ending in"),
    "a folder": (lambda f: [f / "folder.csv"], "IsADirectoryError"),
    "not Parquet": (lambda f: [f / "fake.parquet"], "cannot be read as .parquet"),
    "not NDJSON": (lambda f: [f / "fake.ndjson"], "cannot be read as .ndjson"),
    "not UTF-8": (lambda f: [f / "latin.csv"], "UnicodeDecodeError"),
    "an empty file": (lambda f: [f / "empty.csv"], "EmptyDataError"),
    "no usable column": (lambda f: [f / "odd.csv"], "map some with --map"),
    "no such field": (lambda f: [f / "good.csv", "--map", "shoe_size=DOB"], "no such field"),
    "no such column": (lambda f: [f / "good.csv", "--map", "email=nosuch"], "columns are id, "),
    "no such id column": (lambda f: [f / "good.csv", "--id", "nosuch"], "columns are id, "),
    "not a mapping": (lambda f: [f / "good.csv", "--map", "email"], "expected field=column"),
    "ids that stand twice": (lambda f: [f / "twice.csv"], "stands twice"),
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


def test_a_heading_without_rows_is_no_person(tmp_path: Path) -> None:
    one = written(tmp_path, "one.csv", table([], "a"))
    assert linked(tmp_path, one).empty
