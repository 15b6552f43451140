"""What sheets show, beside two other programs that read them, and beside our own slower way."""

from __future__ import annotations

import io
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.utils import get_column_letter
from python_calamine import CalamineWorkbook

from adapters.excel_book import open_workbook
from adapters.excel_sheet import Cells, Inexact, SheetRows
from schemas.settings import Limits
from tests.adapters.excel_feeds import SHEET, raw_sheet, with_part, with_strings, workbook

WORDS = st.text(
    st.characters(
        codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="_\ufffe\uffff"
    ),
    max_size=12,
)
VALUES = st.one_of(
    st.none(),
    WORDS.map(lambda text: f"x{text}"),
    st.booleans(),
    st.integers(-(10**15) + 1, 10**15 - 1),
    st.decimals(-9999, 9999, places=3).map(float),
    st.datetimes(datetime(1900, 3, 1), datetime(2199, 1, 1)).map(  # noqa: DTZ001
        lambda moment: moment.replace(microsecond=0)
    ),
    st.dates(datetime(1900, 3, 1).date(), datetime(2199, 1, 1).date()),  # noqa: DTZ001
)
ROWS = st.lists(st.lists(VALUES, max_size=5), min_size=1, max_size=12)


def read(data: bytes) -> dict[int, Cells | None]:
    """The rows of the first sheet that show anything."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "book.xlsx"
        path.write_bytes(data)
        with open_workbook(path, Limits()) as book:
            blocks = SheetRows(book, book.sheets[0], 1 << 20).blocks()
            return {number: cells for block in blocks for number, cells in block if cells}


def shown(value: Any) -> str:
    """A value of the other program, in the form of ours."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return f"{value:.15g}"
    if isinstance(value, str):
        return value
    return str(value).removesuffix(" 00:00:00")


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_cells_are_those_that_another_program_reads(rows: list[list[Any]]) -> None:
    data = workbook({"A": rows})
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0)
    theirs = sheet.to_python(skip_empty_area=False)
    expected = {
        number: cells
        for number, row in enumerate(theirs, 1)
        if (cells := {at: shown(value) for at, value in enumerate(row) if value != ""})
    }
    ours = read(data)
    assert ours == expected
    exact = [v for row in rows for v in row if type(v) is int and v >= 0]
    whole = [v for cells in ours.values() for v in (cells or {}).values() if type(v) is Inexact]
    assert not {str(number) for number in exact} & set(whole)


CELL = st.tuples(
    st.sampled_from(["", ' t="n"', ' t="s"', ' t="inlineStr"', ' t="str"', ' t="b"', ' t="e"']),
    st.integers(0, 3),
    st.booleans(),
)


def raw(row: int, column: int, kind: str, value: int, formula: bool) -> str:
    """A cell of a type, as Excel writes it."""
    head = f'<c r="{get_column_letter(column)}{row}"{kind}>'
    if "inlineStr" in kind:
        return f"{head}<is><t>in {value}</t></is></c>"
    before = '<f t="shared" si="0"/>' if formula and value % 2 else "<f>1+1</f>" if formula else ""
    return f"{head}{before}<v>{value}</v></c>"


@given(
    rows=st.lists(st.lists(CELL, max_size=4), max_size=10),
    gap=st.integers(0, 3),
    empty=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_quick_way_and_the_careful_way_agree(
    rows: list[list[tuple[str, int, bool]]], gap: int, empty: bool
) -> None:
    base = with_strings(workbook({"A": []}), *(f"<t>text {n}</t>" for n in range(4)))
    parts = []
    for n, row in enumerate(rows):
        number = 1 + n * (1 + gap)
        cells = "".join(raw(number, at, *cell) for at, cell in enumerate(row, 1))
        parts.append(f'<row r="{number}" spans="1:4">{cells}</row>')
        if empty:
            parts.append(f'<row r="{number + 1}" spans="1:4"/>')
    quick = with_part(base, SHEET, raw_sheet("".join(parts)))
    careful = with_part(base, SHEET, raw_sheet("<!-- -->" + "<!-- -->".join(parts)))
    other = raw_sheet("".join(parts)).decode()
    for name in ("worksheet", "sheetData", "row", "c", "f", "v", "is", "t"):
        for mark in (" ", ">", "/>"):
            other = other.replace(f"<{name}{mark}", f"<x:{name}{mark}")
        other = other.replace(f"</{name}>", f"</x:{name}>")
    prefixed = with_part(base, SHEET, other.replace("xmlns=", "xmlns:x=").encode())
    assert read(quick) == read(careful) == read(prefixed)
