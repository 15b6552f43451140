"""Tables and files that are not as they should be: a clear error, or a sound result. Never a half
of one, and never a person's value in what is said."""

from __future__ import annotations

import datetime as dt
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

import cli
from linkage import Model, link, uk_person
from linkage.model import Rule
from schemas.errors import CommonthreadError, InputError, InvalidValue, NotUsable
from tests.functional import road
from tests.functional.small import clients
from tests.processes import split_off

COUNT = 30
SECRET = "Zqxsecret"


def people(count: int = COUNT) -> pd.DataFrame:
    """So many different people, as texts."""
    found = clients(count)
    return pd.DataFrame(
        {
            "id": [c.local_id for c in found],
            "first_name": [c.given for c in found],
            "surname": [c.family for c in found],
            "dob": [c.birth_date for c in found],
            "postcode": [c.postcode for c in found],
        }
    )


def sizes(table: Any, **options: Any) -> list[int]:
    """Links; how many records each person has, the largest first."""
    linked = link(table, **options)
    assert len(linked.records) == linked.partition.label.shape[0]
    return sorted(np.bincount(linked.records["person_id"].to_numpy()).tolist(), reverse=True)


# --- tables that are refused ---------------------------------------------------------------------


def model_with(**changes: Any) -> Model:
    return msgspec.structs.replace(uk_person(), **changes)


def with_test(name: str) -> Model:
    """A model of one field, whose first level asks for the named test."""
    field = uk_person().field("given")
    first = msgspec.structs.replace(field.levels[0], test=name)
    return model_with(fields=(msgspec.structs.replace(field, levels=(first, *field.levels[1:])),))


def only(*fields: str) -> Model:
    return model_with(fields=tuple(f for f in uk_person().fields if f.name in fields))


Refused = tuple[Callable[[], Any], dict[str, Any], type[CommonthreadError], str]
REFUSED: dict[str, Refused] = {
    # what: (table, options of link, error, what is said)
    "no usable column": (
        lambda: pd.DataFrame({"colour": [SECRET]}), {}, NotUsable, "map some with --map",
    ),
    "no column at all": (pd.DataFrame, {}, NotUsable, "map some with --map"),
    "no table": (lambda: [{"surname": SECRET}], {}, InputError, "Arrow interface, got list"),
    "nothing": (lambda: None, {}, InputError, "Arrow interface, got NoneType"),
    "ids that stand twice": (
        lambda: pd.concat([people(), people()]), {}, InputError, "'id': 30 ids stand twice",
    ),
    "an id that is empty": (
        lambda: people().assign(id=[None, *range(COUNT - 1)]), {}, InputError, "an id is empty",
    ),
    "column names twice": (
        lambda: pd.concat([people(), people()["dob"]], axis=1), {}, InputError, "one name",
    ),
    "column names twice, unused": (
        lambda: pd.DataFrame([[SECRET, "b", "c"]], columns=["surname", "x", "x"]), {},
        InputError, "one name",
    ),
    "column names twice, in Arrow": (
        lambda: pa.table([pa.array([SECRET]), pa.array(["b"])], names=["surname", "surname"]), {},
        InputError, "more than one column 'surname'",
    ),
    "no such column": (people, {"exact": ["nosuch"]}, InputError, "no column 'nosuch'"),
    "a category named as a column of ours": (
        lambda: people().assign(birth_date=SECRET), {"exact": ["birth_date"]},
        InputError, "cannot be called so",
    ),
    "a category whose name has no letter": (
        lambda: people().assign(**{"***": SECRET}), {"exact": ["***"]},
        InputError, "cannot be called so",
    ),
    "two categories of one name": (
        lambda: people().assign(**{"a b": SECRET, "A_B": SECRET}), {"exact": ["a b", "A_B"]},
        InputError, "two categories",
    ),
    "an unknown comparator": (people, {"model": with_test("nosuch")}, InvalidValue, "'nosuch'"),
    "an unknown comparator in a prior": (
        people, {"prior": with_test("nosuch")}, InvalidValue, "'nosuch'",
    ),
    "a comparator nobody registered": (
        people, {"model": with_test("custom:nosuch")}, InvalidValue, "custom:nosuch",
    ),
    "a model of other fields": (
        people, {"model": only("email", "phone")}, NotUsable, "trained on other fields",
    ),
    "a model on columns without values": (
        lambda: people().assign(first_name=None, surname=None, dob=None, postcode=None),
        {"model": uk_person()}, NotUsable, "trained on other fields",
    ),
    "a key that is none": (
        people, {"model": model_with(rules=(Rule("odd", ("given..x",), 24),))},
        InvalidValue, "is not one of",
    ),
    "a threshold that is no number": (people, {"join_bits": float("nan")}, InputError, "number"),
    "a frozen model and a prior": (
        people, {"model": uk_person(), "prior": uk_person()}, InputError, "learns nothing",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("table", "options", "error", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_linked_is_told(
    table: Callable[[], Any], options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as raised:
        link(table(), **options)
    assert said in str(raised.value)
    assert SECRET not in str(raised.value)


# --- tables that are odd, and linked -------------------------------------------------------------

NUL_AND_EMOJI = [
    "A\0b",
    "\U0001f600",
    "e\u0301\u200d",
    "\0",
    "\u202eabc",
    "\U0001f469\u200d\U0001f467",
]


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("frozen", [False, True])
def test_hardly_any_rows(count: int, frozen: bool) -> None:
    model = uk_person() if frozen else None
    assert sizes(people(count), model=model) == [1] * count


def test_two_rows_of_one_person_are_one() -> None:
    one = people(1)
    assert sizes(pd.concat([one, one.assign(id="again")])) == [2]


@pytest.mark.parametrize("nothing", [None, np.nan, "", "  ", "NULL"])
def test_columns_without_values_join_nobody(nothing: Any) -> None:
    odd = people().astype(object).assign(first_name=nothing, surname=nothing, dob=nothing)
    linked = link(odd.drop(columns="postcode"))
    assert linked.persons == COUNT
    assert linked.reading.without_evidence == {"date_of_birth": 0}


def test_one_value_everywhere_is_one_person_or_a_cut_that_is_told() -> None:
    same = {"first_name": "Alma", "surname": "Teal", "dob": "1971-03-04"}
    assert sizes(pd.DataFrame([same] * 50)) == [50]
    many = link(pd.DataFrame([same] * 3_000))
    assert many.persons == 3_000, "a block too large to compare is cut as a whole"
    assert sum(rule.cut_blocks for rule in many.partition.rules) > 0
    assert sum(rule.cut_pairs for rule in many.partition.rules) >= 3_000 * 2_999 // 2


def test_values_of_several_types_in_one_column() -> None:
    """A column of Python objects: each value is read as the text that a person would write."""
    born = [dt.date(1971, 3, 4), "1971-03-04", 19710304, pd.Timestamp("1971-03-04"), "04/03/1971"]
    rows = [("Alma", "Teal", b, "BS1 5TR") for b in born] + [(7, 2.5, None, True)]
    frame = pd.DataFrame(rows, columns=["first_name", "surname", "dob", "postcode"], dtype=object)
    linked = link(frame)
    assert linked.reading.without_evidence == {"date_of_birth": 0}
    assert sizes(frame) == [5, 1]


@pytest.mark.parametrize(
    "dates",
    [
        ["1971-03-04", "04/03/1971", "19710304", "4 March 1971", "04-Mar-1971"],
        ["1971-03-14", "03/14/1971", "19710314", "March 14, 1971", "14-Mar-1971"],
    ],
    ids=["day first", "month first"],
)
def test_dates_in_five_formats_are_one_date(dates: Sequence[str]) -> None:
    rows = pd.DataFrame({"first_name": "Alma", "surname": "Teal", "dob": dates})
    linked = link(rows)
    assert linked.reading.without_evidence == {"date_of_birth": 0}
    column = linked.features.column("birth_date")
    assert len(np.unique(column.codes[0])) == 1
    assert linked.persons == 1


def test_what_is_no_date_is_counted_and_joins_nobody() -> None:
    odd = people().assign(dob=[f"{SECRET}{n}" for n in range(COUNT)])
    linked = link(odd)
    assert linked.reading.without_evidence == {"date_of_birth": COUNT}
    assert linked.features.column("birth_date").empty


def test_nul_and_emoji_are_read_like_other_names(tmp_path: Path) -> None:
    odd = people().assign(first_name=NUL_AND_EMOJI * 5, surname=NUL_AND_EMOJI[::-1] * 5)
    linked = link(pd.concat([odd, odd.assign(id="x" + odd["id"])]))
    person = linked.records["person_id"].to_numpy()
    assert (person[:COUNT] == person[COUNT:]).all(), "a record and its copy are one person"
    assert linked.persons > 1
    odd.to_parquet(tmp_path / "odd.parquet")
    ended = road.call(tmp_path, "link-file", tmp_path / "odd.parquet", "--out", tmp_path / "o.csv")
    assert ended.code == 0, ended.said
    assert len(pd.read_csv(tmp_path / "o.csv")) == COUNT


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.assign(surname=f["surname"].astype("category")),
        lambda f: f.assign(surname=[s.encode() for s in f["surname"]]),
        lambda f: f.assign(dob=pd.to_datetime(f["dob"])),
        lambda f: f.assign(dob=pd.to_datetime(f["dob"]).dt.tz_localize("UTC")),
        lambda f: f.assign(dob=[dt.date.fromisoformat(d) for d in f["dob"]]),
        lambda f: f.assign(first_name=[[n, "Zoe"] for n in f["first_name"]]),
        lambda f: f.set_index("id", drop=False).rename_axis(None),
        lambda f: pa.Table.from_pandas(f, preserve_index=False),
        lambda f: pa.concat_tables([pa.Table.from_pandas(f[:9]), pa.Table.from_pandas(f[9:])]),
    ],
    ids=[
        "categories", "bytes", "times", "times of a zone", "dates", "lists", "an index", "Arrow",
        "Arrow in chunks",
    ],
)  # fmt: skip
def test_types_of_columns_change_nobody(change: Callable[[pd.DataFrame], Any]) -> None:
    twice = pd.concat([people(), people().assign(id=[f"x{n}" for n in range(COUNT)])])
    assert sizes(change(twice.reset_index(drop=True))) == [2] * COUNT


# --- very many alike -----------------------------------------------------------------------------

MILLION = 1_000_000
GIGABYTE = 2**30
MANY_ALIKE = """
import json, sys
from tests.functional import road
from pathlib import Path
folder = Path(sys.argv[1])
ended = road.call(folder, "link-file", folder / "alike.csv", "--out", folder / "out.parquet")
# Of this program alone: ru_maxrss counts what the process was before it became this one.
(most,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(json.dumps({"code": ended.code, "out": ended.out, "err": ended.err, "kilobytes": int(most)}))
"""


@pytest.mark.slow
def test_a_million_alike_stay_within_memory_and_the_cut_is_told(tmp_path: Path) -> None:
    table = pa.table(
        {
            name: pa.DictionaryArray.from_arrays(
                pa.array(np.zeros(MILLION, np.int32)), pa.array([value])
            ).dictionary_decode()
            for name, value in (("surname", SECRET), ("first_name", "A"), ("dob", "1971-03-04"))
        }
    )
    pa_csv.write_csv(table, tmp_path / "alike.csv")
    ended = subprocess.run(
        [sys.executable, "-c", MANY_ALIKE, str(tmp_path)],
        cwd=road.CHECKOUT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(ended.stdout)
    assert found["code"] == 0, found["err"]
    assert found["kilobytes"] * 1024 < 2 * GIGABYTE
    assert "blocks too large to compare were cut" in found["out"]
    assert f"{MILLION:,} records" in found["out"]
    assert SECRET not in found["out"] + found["err"]


# --- files ---------------------------------------------------------------------------------------


def without_room(told: list[str]) -> None:
    """Runs a command in a process whose files cannot grow beyond so many bytes."""
    limit = int(told[0])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.argv = ["commonthread", *told[1:]]
    cli.main()


OUTPUTS = {
    # what: (option, name, records, bytes to which files may grow; what is written before fits)
    "the table as CSV": ("--out", "out.csv", 2_000, 20_000),
    "the table as Parquet": ("--out", "out.parquet", 2_000, 20_000),
    "the pairs": ("--pairs", "pairs.csv", 2_000, 120_000),
    "the report": ("--report", "report.html", 2_000, 120_000),
    "the model": ("--save-model", "model.json", 30, 8_000),
}


@pytest.mark.parametrize(("option", "name", "count", "limit"), OUTPUTS.values(), ids=OUTPUTS)
def test_no_room_leaves_no_half_written_file(
    tmp_path: Path, option: str, name: str, count: int, limit: int
) -> None:
    # Ids that no format can make short.
    ids = [f"{n}-{n * 7919 % 10_007:030}" for n in range(count)]
    people(count).assign(id=ids).to_csv(tmp_path / "one.csv", index=False)
    target = tmp_path / name
    target.write_text("what stood here before")
    arguments = ["link-file", tmp_path / "one.csv", option, target]
    if option != "--out":
        arguments += ["--out", tmp_path / "first.parquet"]
    ended = split_off(without_room, [limit, *arguments])
    assert ended.code == 4, ended.err
    assert f"{name}: cannot be written" in ended.err
    assert target.read_text() == "what stood here before"
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("option", ["--model", "--prior"])
@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
def test_a_model_file_cut_short_is_refused(tmp_path: Path, option: str, part: float) -> None:
    whole = uk_person().to_json()
    model = tmp_path / "model.json"
    model.write_bytes(whole[: int(part * len(whole))])
    people().to_csv(tmp_path / "one.csv", index=False)
    ended = road.call(
        tmp_path, "link-file", tmp_path / "one.csv", "--out", tmp_path / "out.csv", option, model
    )
    assert (ended.code, ended.out) == (4, "")
    assert "not a model file" in ended.err
    assert not (tmp_path / "out.csv").exists()


def test_a_file_whose_columns_have_one_name_is_refused(tmp_path: Path) -> None:
    one = tmp_path / "one.csv"
    one.write_text(f"surname,surname,dob\n{SECRET},{SECRET},1971-03-04\n")
    ended = road.call(tmp_path, "link-file", one, "--out", tmp_path / "out.csv")
    assert (ended.code, ended.out) == (4, "")
    assert "unforeseen" not in ended.err
    assert SECRET not in ended.err
