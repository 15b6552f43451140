"""Excel workbooks: sheets, headers, what cells show, and what is quarantined or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from schemas.errors import FeedRefused
from schemas.settings import Limits, SheetSettings
from tests.adapters.delimited_feeds import issues, loaded, rejections
from tests.adapters.excel_feeds import (
    HEADER,
    PERSON,
    SHEET,
    clients,
    person,
    raw_row,
    raw_sheet,
    read,
    sheet_settings,
    with_part,
    with_strings,
    workbook,
)

CANARY = "Quillfeather"


def ids(folder: Path, data: bytes, *sheets: SheetSettings) -> list[str]:
    """The local ids loaded from a workbook."""
    return [row["local_id"] for row in loaded(read(folder, data, *sheets))]


def content(folder: Path, data: bytes, **changes: Any) -> dict[str, Any]:
    """The one record of a workbook."""
    (record,) = loaded(read(folder, data, sheet_settings(**changes)))
    return json.loads(record["content"])


# --- where the header stands -------------------------------------------------------------------

TITLES = [["Housing register", None], [None], ["Printed", date(2026, 3, 1)], HEADER, PERSON]


def test_titles_above_the_header_are_passed_over(tmp_path: Path) -> None:
    def merge(book: Workbook) -> None:
        book["Clients"].merge_cells("A1:I2")

    batches = read(tmp_path, workbook({"Clients": TITLES}, merge))
    assert [row["local_id"] for row in loaded(batches)] == ["1"]
    assert rejections(batches) == []


def test_columns_stand_in_any_order_under_spaced_names(tmp_path: Path) -> None:
    order = sorted(range(len(HEADER)), key=lambda n: (n * 5) % 9)
    header = [f" {HEADER[n]}\n" for n in order]
    (found,) = loaded(read(tmp_path, workbook({"Clients": [header, [PERSON[n] for n in order]]})))
    (plain,) = loaded(read(tmp_path, clients(PERSON)))
    assert found == plain


def test_the_declared_row_is_the_header_though_another_would_do(tmp_path: Path) -> None:
    data = clients(PERSON, HEADER, person(ID="2"))
    assert ids(tmp_path, data, sheet_settings(header_row=3)) == ["2"]


@pytest.mark.parametrize(
    ("rows", "changes", "reason", "message"),
    [
        (
            [["x"], HEADER[:-1], PERSON],
            {},
            "missing_column",
            r"mapped \(3 show anything\); the likest, row 2, lacks 'POSTCODE'; capitals count",
        ),
        (
            [[n.lower() for n in HEADER]],
            {},
            "missing_column",
            "row 1, lacks 'DOB', 'FORENAME', 'ID'",
        ),
        ([], {}, "missing_column", r"mapped \(0 show anything\)$"),
        ([["x"]] * 100 + [HEADER], {}, "missing_column", r"\(100 show anything\)"),
        (
            [HEADER, PERSON],
            {"header_row": 2},
            "missing_column",
            "sheet Clients, row 2: declared as the header, lacks 'DOB', 'FORENAME'",
        ),
        ([HEADER, PERSON], {"header_row": 7}, "missing_column", "row 7"),
        ([[*HEADER, "ID"], PERSON], {}, "not_the_format", "'ID' stands twice"),
    ],
)
def test_a_sheet_without_its_header_refuses_the_workbook(
    tmp_path: Path, rows: list[list[Any]], changes: dict[str, Any], reason: str, message: str
) -> None:
    with pytest.raises(FeedRefused, match=message) as caught:
        read(tmp_path, workbook({"Clients": rows}), sheet_settings(**changes))
    assert caught.value.reason == reason


def test_an_optional_column_may_be_lacking(tmp_path: Path) -> None:
    data = workbook({"Clients": [HEADER[:-1], PERSON[:-1]]})
    assert ids(tmp_path, data, sheet_settings(optional=frozenset({"POSTCODE"}))) == ["1"]


# --- sheets ------------------------------------------------------------------------------------

VISITS = SheetSettings(
    "visits",
    kind="care_item",
    columns={"local_id": ("ID",), "item_id": ("VISIT",), "start": ("DAY", "AT"), "code": ("CODE",),
             "display": ("WHAT",)},
    constants={"heading": "encounter"},
    date_formats=("%d/%m/%Y %H:%M",),
)  # fmt: skip
VISIT_ROWS = [
    ["ID", "VISIT", "DAY", "AT", "CODE", "WHAT"],
    ["1", "V1", date(2026, 2, 3), time(9, 30), 185317003, "Telephone call"],
]


def test_each_sheet_has_a_mapping_of_its_own(tmp_path: Path) -> None:
    data = workbook({"Clients": [HEADER, PERSON], "Visits": VISIT_ROWS})
    batches = read(tmp_path, data, VISITS, sheet_settings(), limits=Limits(batch_units=1))
    assert [batch.units for batch in batches] == [1, 1]
    assert [row["local_id"] for row in loaded(batches)] == ["1"]
    (item,) = loaded(batches, "items")
    assert item["unit"] == 1
    told = json.loads(item["content"])
    assert told["start"] == "2026-02-03T09:30:00Z"
    assert told["codes"][0]["code"] == "185317003"


def test_sheets_are_told_by_pattern_whatever_their_case(tmp_path: Path) -> None:
    sheets = {f"LIST {n}": [HEADER, person(ID=f"{n}")] for n in range(3)}
    sheets["list 9"] = [HEADER, person(ID="")]
    batches = read(tmp_path, workbook(sheets), sheet_settings(name="List*"))
    assert [row["local_id"] for row in loaded(batches)] == ["0", "1", "2"]
    assert rejections(batches) == [("sheet 4 (List*), row 2", "local_id", "missing_value")]


def test_other_sheets_are_counted_and_never_named(tmp_path: Path) -> None:
    def hide(book: Workbook) -> None:
        book[CANARY].sheet_state = "veryHidden"
        book["Clients"].sheet_state = "hidden"

    sheets = {"Clients": [HEADER, PERSON], CANARY: [["x"]], "Notes": [["y"]]}
    found = issues(read(tmp_path, workbook(sheets, hide)))
    assert found == {
        ("sheet Clients", "sheet is hidden"): 1,
        ("workbook", "hidden sheet not mapped"): 1,
        ("workbook", "sheet not mapped"): 1,
    }


def test_a_declared_sheet_must_be_there_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(FeedRefused, match="sheet 'visits' is not among the 1") as caught:
        read(tmp_path, clients(PERSON), sheet_settings(), VISITS)
    assert caught.value.reason == "missing_sheet"


def test_blank_rows_are_counted_where_rows_follow(tmp_path: Path) -> None:
    rows = [PERSON, [], ["", " "], person(ID="2"), [" "], []]
    batches = read(tmp_path, clients(*rows))
    assert sum(batch.units for batch in batches) == 2
    assert issues(batches) == {("sheet Clients", "blank row"): 2}


def test_what_stands_beside_the_header_is_counted(tmp_path: Path) -> None:
    found = issues(read(tmp_path, clients([*PERSON, None, CANARY])))
    assert found == {("sheet Clients", "value beside the header's columns"): 1}


# --- what cells show ---------------------------------------------------------------------------


def formatted(cell: str, number_format: str) -> Callable[[Workbook], None]:
    """Gives a cell a number format."""

    def change(book: Workbook) -> None:
        book["Clients"][cell].number_format = number_format

    return change


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (1234, "General", "1234"),
        (1234, "0000000", "0001234"),
        (1234567890, "000\\ 000\\ 0000", "1234567890"),
        (12345678, '000" "000" "0000', "0012345678"),
        (12345678, "000-000-0000;[Red]-0", "0012345678"),
        (1234, "0", "1234"),
        (1234, "0.00", "1234"),
        (1234.0, "#,##0", "1234"),
        ("0001234", "@", "0001234"),
        (123456789012345, "General", "123456789012345"),
        (True, "General", "TRUE"),
    ],
)
def test_identifiers_are_as_shown(
    tmp_path: Path, value: Any, number_format: str, shown: str
) -> None:
    assert ids(tmp_path, clients(person(ID=value), change=formatted("A2", number_format))) == [
        shown
    ]


@pytest.mark.parametrize(
    ("value", "number_format", "formats", "born"),
    [
        (date(1980, 5, 17), "dd/mm/yyyy", ("%d/%m/%Y",), "1980-05-17"),
        (date(1980, 5, 4), "mm-dd-yy", ("%Y-%d-%m",), "1980-05-04"),
        (
            datetime.fromisoformat("1980-05-17T23:59:59"),
            "dd/mm/yyyy hh:mm",
            ("%d/%m/%Y",),
            "1980-05-17",
        ),
        (date(1980, 5, 17), "[$-809]d mmmm yyyy", ("%m/%Y",), "1980-05-17"),
        (date(1900, 1, 1), "dd/mm/yyyy", ("%d/%m/%Y",), "1900-01-01"),
        (date(1900, 3, 1), "dd/mm/yyyy", ("%d/%m/%Y",), "1900-03-01"),
        ("17/05/1980", "General", ("%d/%m/%Y",), "1980-05-17"),
        ("04/05/1980", "General", ("%m/%d/%Y", "%d/%m/%Y"), "1980-04-05"),
        (date(1980, 5, 4), "dd/mm/yyyy", ("%m/%d/%Y", "%d/%m/%Y"), "1980-05-04"),
    ],
)
@pytest.mark.parametrize("epoch", [None, CALENDAR_MAC_1904], ids=["1900", "1904"])
def test_dates_are_read_as_dates_or_as_text(
    tmp_path: Path, value: Any, number_format: str, formats: tuple[str, ...], born: str, epoch: Any
) -> None:
    if epoch and born < "1904":
        return

    def change(book: Workbook) -> None:
        if epoch:
            book.epoch = epoch
            book["Clients"]["E2"].value = value
        book["Clients"]["E2"].number_format = number_format

    found = content(tmp_path, clients(person(DOB=value), change=change), date_formats=formats)
    assert found["birth_date"] == born


CELLS = [
    ('<c r="A2" t="str"><f>"C"&amp;1</f><v>C1</v></c>', "C1", None),
    ('<c r="A2"><f>1+6</f><v>7</v></c>', "7", None),
    ('<c r="A2" t="s"><v>0</v></c>', "first", None),
    ('<c r="A2" s="0" t="s"><v>1</v></c>', "second", None),
    ('<c r="A2" t="b"><v>1</v></c>', "TRUE", None),
    ('<c r="A2" t="inlineStr"><is><r><t>C</t></r><r><t xml:space="preserve"> 1</t></r></is></c>',
     "C 1", None),
    ('<c r="A2" t="inlineStr"><is><t/><r><t>C1</t></r></is></c>', "C1", None),
    ('<c r="A2" t="d"><v>2026-03-01T10:00:00</v></c>', None, "a date where every character"),
    ('<c t="inlineStr"><is><t>A&amp;B</t></is></c>', "A&B", None),
    ('<c r="A2" t="inlineStr"><is><t>A_x0042_</t></is></c>', "AB", None),
    ('<c r="A2" t="inlineStr"><is><t>A_x005F_x0042_</t></is></c>', "A_x0042_", None),
    ('<c r="A2" t="n"><v>1E3</v></c>', "1000", None),
    ('<c r="A2"><f>1+6</f></c>', None, "never calculated"),
    ('<c r="A2"><f>1+6</f><v/></c>', None, "never calculated"),
    ('<c r="A2" t="e"><v>#N/A</v></c>', None, "an error of Excel"),
    ('<c r="A2" t="n"><v>1234567890123456</v></c>', None, "over 15 digits"),
    ('<c r="A2"><v>12.5</v></c>', None, "not whole"),
    ('<c r="A2"><v>-12</v></c>', None, "not whole"),
]  # fmt: skip
STRINGS = ("<t>first</t><rPh><t>x</t></rPh>", "<r><t>se</t></r><r><rPr/><t>cond</t></r>")


@pytest.mark.parametrize(("cell", "shown", "fault"), CELLS)
def test_cells_of_every_type(
    tmp_path: Path, cell: str, shown: str | None, fault: str | None
) -> None:
    rows = f'{raw_row(1, "ID", "NAME")}<row r="2">{cell}</row>'
    data = with_part(with_strings(clients(), *STRINGS), SHEET, raw_sheet(rows))
    batches = read(tmp_path, data, SheetSettings("Clients", columns={"local_id": ("ID",)}))
    assert [row["local_id"] for row in loaded(batches)] == ([shown] if shown else [])
    messages = [r.message for batch in batches for r in batch.rejected]
    assert len(messages) == (fault is not None)
    assert all(fault in message for message in messages if fault)


def test_a_header_is_looked_for_among_a_hundred_rows(tmp_path: Path) -> None:
    data = workbook({"Clients": [["x"]] * 99 + [HEADER, PERSON]})
    assert ids(tmp_path, data) == ["1"]


WHEN = datetime(2016, 2, 1)  # noqa: DTZ001 - dates in sheets have no zone


@pytest.mark.parametrize(
    "field",
    ["nhs_number", "replaced_by", "gp_practice", "organisation", "address.uprn", "phone", "mobile",
     "identifier.passport"],
)  # fmt: skip
def test_no_date_is_taken_for_a_number_of_somebody(tmp_path: Path, field: str) -> None:
    sheet = sheet_settings(columns={"local_id": ("ID",), field: ("X",)})
    batches = read(tmp_path, workbook({"Clients": [["ID", "X"], ["C1", WHEN]]}), sheet)
    assert rejections(batches) == [("sheet Clients, row 2", field, "bad_value")]


@pytest.mark.parametrize("field", ["code", "item_id"])
def test_no_date_is_taken_for_the_number_of_an_item(tmp_path: Path, field: str) -> None:
    columns = {"local_id": ("ID",), "item_id": ("I",), "text": ("T",), field: ("X",)}
    sheet = sheet_settings(columns=columns, codes={}, constants={"heading": "encounter"})
    headings = ["ID", "X", *({"I", "T"} - ({"I"} if field == "item_id" else set()))]
    data = workbook({"Clients": [headings, ["C1", WHEN, *headings[2:]]]})
    assert rejections(read(tmp_path, data, sheet)) == [("sheet Clients, row 2", field, "bad_value")]


@pytest.mark.parametrize("field", ["birth_date", "death_date", "nhs_number_traced_on"])
def test_a_date_cell_means_its_date_in_every_column_of_dates(tmp_path: Path, field: str) -> None:
    columns = {"local_id": ("ID",), "nhs_number": ("NHS",), field: ("X",)}
    sheet = sheet_settings(columns=columns, codes={}, date_formats=("%Y-%d-%m",))
    data = workbook({"Clients": [["ID", "NHS", "X"], ["C1", "9434765919", WHEN]]})
    (record,) = loaded(read(tmp_path, data, sheet))
    assert "2016-02-01" in str(record)
    assert "2016-01-02" not in str(record)


def test_a_declared_header_may_stand_far_down(tmp_path: Path) -> None:
    above = [["a note"] for _ in range(150)]
    data = workbook({"Clients": [*above, HEADER, PERSON]})
    assert ids(tmp_path, data, sheet_settings(header_row=151)) == ["1"]


def test_an_error_can_be_declared_to_mean_nothing(tmp_path: Path) -> None:
    def fail(book: Workbook) -> None:
        book["Clients"]["I2"].value = "#N/A"

    data = clients(PERSON, change=fail)
    assert rejections(read(tmp_path, data)) == [
        ("sheet Clients, row 2", "address.postcode", "bad_value")
    ]
    nothing = sheet_settings(missing_values=frozenset({"", "#N/A"}))
    assert ids(tmp_path, data, nothing) == ["1"]


def test_an_error_in_a_column_that_nothing_is_mapped_to_costs_nothing(tmp_path: Path) -> None:
    data = workbook({"Clients": [[*HEADER, "AGE"], [*PERSON, "=1/0"]]})
    assert ids(tmp_path, data) == ["1"]


def test_rows_say_where_they_stand_and_are_kept(tmp_path: Path) -> None:
    batches = read(tmp_path, clients(PERSON, [], person(ID=None, SURNAME=CANARY)))
    (rejected,) = [r for batch in batches for r in batch.rejected]
    assert (rejected.where, rejected.field) == ("sheet Clients, row 4", "local_id")
    assert CANARY.encode() in rejected.raw
    assert CANARY not in repr(rejected)
