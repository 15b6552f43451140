"""What the delimited reader makes of whole files: rows found, refused, quarantined, resumed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import FeedRefused
from schemas.settings import FileSettings, Limits
from tests.adapters.delimited_feeds import (
    COLUMNS,
    HEADER,
    ROW,
    SEXES,
    file_settings,
    issues,
    loaded,
    read,
    rejections,
)

SHARED = Path(__file__).parents[3] / "shared" / "data"
SMALL = file_settings(
    columns={"local_id": ("A",), "detail.b": ("B",), "detail.c": ("C",)}, codes={}
)


def small(folder: Path, data: bytes | str, **changes: Any) -> tuple[list[str], list[Any]]:
    """Local ids and rejections (line, reason) of a file with the columns A, B and C."""
    settings = FileSettings(**(vars(SMALL) | changes))
    batches = read(folder, data, settings, Limits(max_unit_bytes=1024, batch_units=3))
    ids = [row["local_id"] for row in loaded(batches)]
    return ids, [(where, reason) for where, _, reason in rejections(batches)]


def test_a_plain_row_becomes_a_record(tmp_path: Path) -> None:
    batches = read(tmp_path, f"{HEADER}\r\n{ROW}\r\n")
    (row,) = loaded(batches)
    assert json.loads(row.pop("content")) == {
        "local_id": "1",
        "nhs_number": {"value": "9434765919"},
        "names": [{"family": "Smith", "given": ["John", "Paul"]}],
        "birth_date": "1980-05-17",
        "gender": "male",
        "addresses": [{"lines": ["1 High Street", "Bristol"], "postcode": "BS1 5TR"}],
    }
    assert row["birth_date"] == "1980-05-17"
    assert row["address"] == ["1 High Street, Bristol"]
    assert not rejections(batches)
    assert not issues(batches)


ROWS = [
    ("LF", "A,B,C\n1,x,y\n2,x,y\n", ["1", "2"], []),
    ("CRLF", "A,B,C\r\n1,x,y\r\n2,x,y\r\n", ["1", "2"], []),
    ("no last line end", "A,B,C\n1,x,y\n2,x,y", ["1", "2"], []),
    ("columns swapped around", "C,A,B\ny,1,x\n", ["1"], []),
    ("header with margins and quotes", ' A ,"B", C\n1,x,y\n', ["1"], []),
    ("header only", "A,B,C\n", [], []),
    ("header only, no line end", "A,B,C", [], []),
    ("blank lines", "\n\nA,B,C\n\n1,x,y\n   \n\n2,x,y\n\n", ["1", "2"], []),
    ("a line of delimiters", "A,B,C\n,,\n2,x,y\n", ["2"], [("line 2", "missing_value")]),
    ("a quoted delimiter", 'A,B,C\n1,"x,y",z\n2,x,y\n', ["1", "2"], []),
    ("a quoted line end", 'A,B,C\n1,"x\ny",z\n2,x,y\n', ["1", "2"], []),
    ("quoted line ends, first field", 'A,B,C\n"1",x,"y\n\nz"\n2,x,y\n', ["1", "2"], []),
    ("doubled quotes", 'A,B,C\n1,"say ""x""",z\n2,x,""""\n', ["1", "2"], []),
    ("a quote inside a field", 'A,B,C\n1,5" pipe,z\n2,x,y\n', ["1", "2"], []),
    ("too few", "A,B,C\n1,x\n2,x,y\n", ["2"], [("line 2", "columns")]),
    ("too many", "A,B,C\n1,x,y,z\n2,x,y\n", ["2"], [("line 2", "columns")]),
    ("torn row", "A,B,C\n1,x,y\n2,x", ["1"], [("line 3", "torn")]),
    ("torn quote", 'A,B,C\n1,x,y\n2,"x,', ["1"], [("line 3", "torn")]),
    ("torn quote over lines", 'A,B,C\n1,x,y\n2,"x\ny\nz', ["1"], [("line 3", "torn")]),
    ("torn inside a character", b"A,B,C\n1,x,y\n2,x,\xc3", ["1"], [("line 3", "torn")]),
    ("bad bytes", b"A,B,C\n1,\xe9,y\n2,x,y\n", ["2"], [("line 2", "encoding")]),
    ("a NUL", b"A,B,C\n1,\0,y\n2,x,y\n", ["2"], [("line 2", "nul")]),
    ("text after a quote", 'A,B,C\n1,"x"y,z\n2,x,y\n', ["2"], [("line 2", "bad_syntax")]),
    ("an old Mac line end", "A,B,C\n1,x,y\r2,x,y\n3,x,y\n", ["3"], [("line 2", "bad_syntax")]),
    (
        "a quote never closed",
        'A,B,C\n1,"x,y\n2,x,y\n3,x,y\n',
        ["2", "3"],
        [("line 2", "bad_syntax")],
    ),
    (
        "closed by a later row's quote",
        'A,B,C\n1,"x,y\n2,x,y\n3,"x",y\n4,x,y\n',
        ["2", "3", "4"],
        [("line 2", "bad_syntax")],
    ),
    (
        "closed so that the count comes right",
        'A,B,C\n1,"x,y\n2,x",y\n4,x,y\n',
        ["2", "4"],
        [("line 2", "bad_syntax")],
    ),
    ("never closed, last row", 'A,B,C\n1,x,y\n2,"x,y\n', ["1"], [("line 3", "bad_syntax")]),
    ("a long line", f"A,B,C\n1,{'x' * 1100},y\n2,x,y\n", ["2"], [("line 2", "too_long")]),
    (
        "a line longer than a block",
        f"A,B,C\n1,{'x' * 200_000},y\n2,x,y\n",
        ["2"],
        [("line 2", "too_long")],
    ),
    (
        "an open quote before a line longer than a block",
        f'A,B,C\n1,"x\n2,{"x" * 200_000},y\n3,x,y\n',
        ["3"],
        [("line 2", "bad_syntax"), ("line 3", "too_long")],
    ),
    (
        "a quoted text over the limit",
        'A,B,C\n1,"' + "x\n" * 600 + '",y\n2,x,y\n',
        ["2"],
        [
            ("line 2", "bad_syntax"),
            *[(f"line {n}", "columns") for n in range(3, 602)],
            ("line 602", "bad_syntax"),
        ],
    ),
    ("BOM", b"\xef\xbb\xbfA,B,C\n1,\xc3\xa9,y\n", ["1"], []),
    ("UTF-16, little end first", "\ufeffA,B,C\r\n1,é,y\r\n".encode("utf-16-le"), ["1"], []),
    ("UTF-16, big end first", "\ufeffA,B,C\n1,é,y\n".encode("utf-16-be"), ["1"], []),
    (
        "UTF-16 with half a character",
        "\ufeffA,B,C\n1,".encode("utf-16-le") + b"\x00\xd8" + ",y\n2,x,y\n".encode("utf-16-le"),
        ["2"],
        [("line 2", "encoding")],
    ),
    (
        "UTF-16 that breaks off",
        "\ufeffA,B,C\n1,x,y\n2,x,y".encode("utf-16-le")[:-1],
        ["1"],
        [("line 3", "encoding")],
    ),
]


@pytest.mark.parametrize(
    ("data", "ids", "rejected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_rows(tmp_path: Path, data: bytes | str, ids: list[str], rejected: list[Any]) -> None:
    found, lost = small(tmp_path, data)
    assert found == ids
    assert lost == rejected


@pytest.mark.parametrize("filler", [65_500, 65_530, 65_536, 131_050])
def test_a_row_over_two_blocks_is_one_row(tmp_path: Path, filler: int) -> None:
    lines = filler // 100
    data = "A,B,C\n" + f"0,{'x' * 93},y\n" * lines + '1,"x\ny",z\r\n2,x,y\n'
    found, lost = small(tmp_path, data)
    assert (len(found), found[-2:], lost) == (lines + 2, ["1", "2"], [])


def test_other_dialects(tmp_path: Path) -> None:
    data = "A|B|C\n1|'x|y'|é\n2|x|y\n".encode("latin-1")
    assert small(tmp_path, data, delimiter="|", quote="'", encoding="latin-1") == (["1", "2"], [])
    assert small(tmp_path, 'A|B|C\n1|"x|y\n', delimiter="|", quote="") == (["1"], [])
    assert small(tmp_path, "1,x,y\n", header=("A", "B", "C")) == (["1"], [])
    utf16 = "A,B,C\n1,x,y\n".encode("utf-16-le")
    assert small(tmp_path, utf16, encoding="utf-16-le") == (["1"], [])
    assert small(tmp_path, gzip.compress(b"A,B,C\n1,x,y\n")) == (["1"], [])


REFUSED = [
    ("nothing", b"", "empty"),
    ("a mark and nothing", b"\xef\xbb\xbf", "empty"),
    ("blank lines", b"\n\n  \n", "empty"),
    ("a column missing", b"A,B\n1,x\n", "missing_column"),
    ("another delimiter", b"A;B;C\n1;x;y\n", "missing_column"),
    ("no header", b"1,x,y\n", "missing_column"),
    ("a name twice", b"A,B,C,B\n1,x,y,z\n", "not_the_format"),
    ("a binary file", b"\x7fELF\0\0\0\n", "not_the_format"),
    ("UTF-16 without a mark", "A,B,C\n".encode("utf-16-le"), "not_the_format"),
    ("Latin-1 in the header", b"A,B,C\xe9\n", "encoding"),
    ("a broken header", b'A,"B"x,C\n', "not_the_format"),
    ("a long header", b"A" * 2000 + b",B,C\n", "too_long"),
    ("a torn archive", gzip.compress(b"A,B,C\n" * 99)[:-12], "torn"),
]


@pytest.mark.parametrize(
    ("data", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_file_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(FeedRefused) as caught:
        small(tmp_path, data)
    assert caught.value.reason == reason


def test_the_missing_column_is_named_and_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(FeedRefused) as caught:
        small(tmp_path, "A,SECRET\n")
    assert "'B'" in caught.value.message
    assert "SECRET" not in caught.value.message


def test_an_optional_column_may_be_missing_but_never_an_id(tmp_path: Path) -> None:
    optional = frozenset({"A", "C"})
    assert small(tmp_path, "A,B\n1,x\n", optional=optional) == (["1"], [])
    with pytest.raises(FeedRefused):
        small(tmp_path, "B,C\n1,x\n", optional=optional)


def test_a_column_not_mapped_is_counted_once(tmp_path: Path) -> None:
    batches = read(tmp_path, f"{HEADER},X,Y\n" + f"{ROW},a,b\n" * 5, limits=Limits(batch_units=2))
    assert issues(batches) == {("header", "column not mapped"): 2}
    assert [batch.units for batch in batches] == [2, 2, 1]


def test_a_rejection_keeps_the_row_as_it_came(tmp_path: Path) -> None:
    settings = file_settings(columns=SMALL.columns, codes={}, encoding="cp1252")
    batches = read(tmp_path, "A,B,C\n1,é\n2,x,y\n".encode("cp1252"), settings)
    assert batches[0].rejected[0].raw == "1,é".encode("cp1252")
    assert batches[0].rejected[0].message == "expected 3 fields; got 2"


def test_real_children_s_services_returns(tmp_path: Path) -> None:
    folder = SHARED / "social" / "ssda903" / "tests" / "fake_data"
    if not folder.is_dir():
        pytest.skip("the shared inputs are not here")
    settings = file_settings(
        columns={"local_id": ("CHILD",), "gender": ("SEX",), "birth_date": ("DOB",)},
        codes={"gender": {"1": "male", "2": "female"}},
        encoding="cp1252",
    )
    batches = read(tmp_path, (folder / "header.csv").read_bytes(), settings)
    rows = loaded(batches)
    assert len(rows) == sum(batch.units for batch in batches) > 0
    assert {row["gender"] for row in rows} <= {"male", "female"}


# --- withdrawals --------------------------------------------------------------------------------
ACTIONS = file_settings(
    columns={**COLUMNS, "action": ("ACTION",), "as_at": ("CHANGED",)},
    codes={**SEXES, "action": {"U": "upsert", "D": "deleted", "E": "in_error", "M": "moved_away"}},
    date_formats=("%d/%m/%Y", "%Y-%m-%d %H:%M"),
)


@pytest.mark.parametrize(
    ("row", "withdrawn"),
    [
        ("D,2026-02-01 10:00,1,,,,,,,,", ("1", "deleted", "2026-02-01T10:00:00Z")),
        ("E,,1,,,,,,,,", ("1", "in_error", None)),
        ("M,,1,12,?,,never,M,,,", ("1", "moved_away", None)),
        ("U,," + ROW, None),
        (",," + ROW, None),
    ],
)
def test_a_row_whose_action_says_so_is_a_withdrawal(
    tmp_path: Path, row: str, withdrawn: tuple[str, ...] | None
) -> None:
    batches = read(tmp_path, f"ACTION,CHANGED,{HEADER}\n{row}\n", ACTIONS)
    rows = loaded(batches, "withdrawals")
    assert rejections(batches) == []
    found = [(r["local_id"], r["reason"], r["as_at"]) for r in rows]
    assert found == ([withdrawn] if withdrawn else [])
    assert len(loaded(batches)) == (0 if withdrawn else 1)


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [("X,," + ROW, "action", "bad_value"), ("D,,,,,,,,,,", "local_id", "missing_value")],
)
def test_an_action_that_cannot_be_told_is_quarantined(
    tmp_path: Path, row: str, field: str, reason: str
) -> None:
    batches = read(tmp_path, f"ACTION,CHANGED,{HEADER}\n{row}\n", ACTIONS)
    assert rejections(batches) == [("line 2", field, reason)]
    assert loaded(batches) == loaded(batches, "withdrawals") == []


# --- protected changes of identity --------------------------------------------------------------
RENEWALS = file_settings(
    columns={**COLUMNS, "action": ("ACTION",), "former_local_id": ("WAS",)},
    codes={
        **SEXES,
        "action": {"U": "upsert", "P": "identity_changed", "X": "identity_change_undone"},
    },
    date_formats=("%d/%m/%Y",),
)


@pytest.mark.parametrize(
    ("start", "declared"),
    [
        ("P,,", ("1", "1", False)),
        ("P,7,", ("7", "1", False)),
        ("X,7,", ("7", "1", True)),
        ("X,,", ("1", "1", True)),
        ("U,7,", None),
        (",7,", None),
    ],
)
def test_a_row_whose_action_says_so_declares_a_new_identity(
    tmp_path: Path, start: str, declared: tuple[str, str, bool] | None
) -> None:
    batches = read(tmp_path, f"ACTION,WAS,{HEADER}\n{start}{ROW}\n", RENEWALS)
    rows = loaded(batches, "changes")
    assert rejections(batches) == loaded(batches, "withdrawals") == []
    found = [(row["before"], row["after"], row["undone"]) for row in rows]
    assert found == ([declared] if declared else [])
    assert [row["local_id"] for row in loaded(batches)] == ["1"]


def test_a_new_identity_that_cannot_be_read_is_quarantined_not_lost(tmp_path: Path) -> None:
    batches = read(tmp_path, f"ACTION,WAS,{HEADER}\nP,7,,,,,,,,,\n", RENEWALS)
    assert rejections(batches) == [("line 2", "local_id", "missing_value")]
    assert loaded(batches) == loaded(batches, "changes") == []
