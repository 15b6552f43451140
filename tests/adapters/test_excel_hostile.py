"""Workbooks that are damaged, locked, too big, or made to do harm: refused or read in bounds, and
no message shows a value."""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from schemas.errors import FeedRefused
from schemas.settings import Limits
from tests.adapters.delimited_feeds import loaded, rejections
from tests.adapters.excel_feeds import (
    HEADER,
    SHEET,
    clients,
    person,
    raw_row,
    raw_sheet,
    read,
    read_in_turn,
    sheet_settings,
    with_part,
    with_strings,
)

CANARY = "Quillfeather"
PEOPLE = clients(*(person(ID=f"C{n}", SURNAME=CANARY) for n in range(40)))
BASE = clients()
OLD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(70_000)
LOCKED = OLD + "EncryptedPackage".encode("utf-16-le") + bytes(100)
BILLION = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
ROW = raw_row(2, "1", "9434765919", "Ann", CANARY)
LONG = raw_row(3, "2", "9434765919", "Ann", CANARY * 20_000)


def archive(**parts: bytes) -> bytes:
    """A zip file in memory."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in parts.items():
            new.writestr(name, data)
    return stream.getvalue()


def binary(data: bytes) -> bytes:
    """The workbook as if its main part were binary."""
    relations = zipfile.ZipFile(io.BytesIO(data)).read("_rels/.rels")
    return with_part(data, "_rels/.rels", relations.replace(b"workbook.xml", b"workbook.bin"))


def sheet(rows: str, before: str = "", after: str = "") -> bytes:
    """A workbook whose one sheet has the header and these rows."""
    return with_part(BASE, SHEET, raw_sheet(raw_row(1, *HEADER) + rows, before, after))


def raw_cell(attributes: str) -> str:
    """A row with one cell."""
    return f'<row r="2"><c r="A2" {attributes}><v>7</v></c></row>'


REFUSED = [
    ("nothing", b"", "empty", "no bytes"),
    ("a password", LOCKED, "not_the_format", "protected by a password"),
    ("the older format", OLD, "not_the_format", ".xls"),
    ("the binary format", binary(PEOPLE), "not_the_format", ".xlsb"),
    ("text", f"ID,NAME\n1,{CANARY}\n".encode(), "not_the_format", "no zip file"),
    ("another zip", archive(a=CANARY.encode()), "not_the_format", "no Excel workbook"),
    ("torn", PEOPLE[:-40], "torn", "damaged"),
    ("a document type", sheet(ROW, BILLION), "bomb", "document type"),
    ("an outside entity", sheet(ROW, OUTSIDE), "bomb", "document type"),
    ("a document type in the strings",
     with_part(with_strings(BASE), "xl/sharedStrings.xml", BILLION.encode() + b"<sst/>"),
     "bomb", "document type"),
    ("a document type in the list of sheets",
     with_part(BASE, "xl/workbook.xml", BILLION.encode() + b"<workbook/>"), "bomb", "document"),
    ("a bomb", sheet(f"{ROW}{' ' * 50_000_000}"), "bomb", "expands"),
    ("bad XML", sheet(ROW + "<row><c></row>"), "bad_syntax", "well-formed"),
    ("a row in a row", sheet(f"<row r='2'>{ROW}"), "bad_syntax", "well-formed"),
    ("no such string", sheet(raw_cell('t="s"')), "bad_syntax", "ECMA"),
    ("no such style", sheet(raw_cell('s="9999"')), "bad_syntax", "ECMA"),
    ("no such type", sheet(raw_cell('t="zz"')), "bad_syntax", "ECMA"),
    ("a style that is no number", sheet(raw_cell('s="x"')), "bad_syntax", "ECMA"),
    ("a style below nought", sheet(raw_cell('s="-1"')), "bad_syntax", "ECMA"),
    ("a place of too many digits",
     sheet(f'<row r="2"><c r="A2" t="s"><v>{"9" * 5000}</v></c></row>'), "bad_syntax", "ECMA"),
    ("rows that break off", with_part(BASE, SHEET, sheet_torn := raw_sheet(
        raw_row(1, *HEADER) + ROW)[: -len("</sheetData></worksheet>")]), "torn", "breaks off"),
    ("no rows", with_part(BASE, SHEET, b"<worksheet/>"), "not_the_format", "no rows"),
    ("another encoding", with_part(BASE, SHEET, sheet_torn.replace(b"UTF-8", b"latin1")),
     "encoding", "UTF-8"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "reason", "message"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_refused(tmp_path: Path, data: bytes, reason: str, message: str) -> None:
    with pytest.raises(FeedRefused, match=message.replace(".", r"\.")) as caught:
        read(tmp_path, data)
    assert caught.value.reason == reason
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_what_stands_after_the_rows_is_part_of_the_checksum(tmp_path: Path) -> None:
    """Damage that is only found at the end of the part: the workbook is not taken for whole."""
    after = "".join(f"<x>{hashlib.sha256(bytes([n % 256, n // 256])).hexdigest()}</x>"
                    for n in range(40_000))  # fmt: skip
    data = bytearray(sheet(ROW, after=after))
    entry = data.index(b"PK\x01\x02")
    while data[entry + 46 :][: len(SHEET)] != SHEET.encode():
        entry = data.index(b"PK\x01\x02", entry + 1)
    data[entry + 16] ^= 1  # its checksum, in the list of parts
    with pytest.raises(FeedRefused) as caught:
        read(tmp_path, bytes(data))
    assert caught.value.reason == "torn"


def test_parts_held_in_memory_are_bounded(tmp_path: Path) -> None:
    data = with_strings(BASE, *(f"<t>{n:09d}</t>" for n in range(2_000)))
    with pytest.raises(FeedRefused, match="at most 20000"):
        read(tmp_path, data, limits=Limits(max_document_bytes=20_000))


def shared(text: str, rows: int) -> bytes:
    """A workbook whose rows have the id and name one long shared text."""
    cells = "".join(
        f'<row r="{n}"><c r="A{n}"><v>{n}</v></c><c r="D{n}" t="s"><v>0</v></c></row>'
        for n in range(2, rows + 2)
    )
    data = with_part(BASE, SHEET, raw_sheet(raw_row(1, *HEADER) + cells))
    return with_strings(data, f"<t>{text}</t>")


def test_a_short_cell_that_names_a_long_text_is_too_long(tmp_path: Path) -> None:
    batches = read(tmp_path, shared("x" * 3_000, 3), limits=Limits(max_unit_bytes=2_000))
    assert {reason for _, _, reason in rejections(batches)} == {"too_long"}
    assert sum(one.units for one in batches) == 3


def test_rows_that_name_a_long_text_again_and_again_are_a_bomb(tmp_path: Path) -> None:
    data = shared("x" * 900_000, 998)
    tracemalloc.start()
    with pytest.raises(FeedRefused, match="rows expand"):
        read(tmp_path, data, limits=Limits(max_expanded_bytes=20_000_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 << 20


def test_a_number_format_of_no_excel_is_refused(tmp_path: Path) -> None:
    for code in ("0" * 300, "[" * 40_000):
        with zipfile.ZipFile(io.BytesIO(PEOPLE)) as old:
            styles = old.read("xl/styles.xml").decode()
        own = f'<numFmts count="1"><numFmt numFmtId="200" formatCode="{code}"/></numFmts>'
        styles = re.sub(r"<numFmts.*?/>|<numFmts.*?</numFmts>", "", styles)
        styles = re.sub(r"(<styleSheet[^>]*>)", rf"\1{own}", styles)
        styles = styles.replace('<xf numFmtId="0"', '<xf numFmtId="200"')
        with pytest.raises(FeedRefused, match="number format"):
            read(tmp_path, with_part(PEOPLE, "xl/styles.xml", styles.encode()))


def test_two_cells_at_the_ends_of_a_sheet_cost_little(tmp_path: Path) -> None:
    def far(book: Workbook) -> None:
        book["Clients"]["XFD1048576"] = CANARY

    data = clients(person(), change=far)
    tracemalloc.start()
    batches = read(tmp_path, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(loaded(batches)) == 1
    assert rejections(batches) == [("sheet Clients, row 1048576", "local_id", "missing_value")]
    assert peak < 64 << 20


def test_a_long_sheet_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    mapped = sheet_settings(columns={"local_id": ("ID",)}, codes={})
    peaks = []
    for last in (1_500, 1_500, 6_000):
        rows = "".join(raw_row(n, f"C{n}") for n in range(2, last))
        data = with_part(BASE, SHEET, raw_sheet(raw_row(1, "ID") + rows))
        del rows
        tracemalloc.start()
        limits = Limits(batch_units=100)
        assert sum(b.units for b in read_in_turn(tmp_path, data, mapped, limits=limits)) == last - 2
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < peaks[1] * 1.3


def test_a_row_over_the_limit_is_lost_alone(tmp_path: Path) -> None:
    data = sheet(ROW + LONG + raw_row(4, "3", "9434765919", "Ann", CANARY))
    batches = read(tmp_path, data, limits=Limits(max_unit_bytes=1024))
    assert rejections(batches) == [("sheet Clients, row 3", "", "too_long")]
    assert [row["local_id"] for row in loaded(batches)] == ["1", "3"]
    assert [row["local_id"] for row in loaded(read(tmp_path, data))] == ["1", "2", "3"]


@given(at=st.integers(0, len(PEOPLE) - 1), size=st.integers(0, 30), byte=st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_damage_is_refused_or_costs_no_other_row(at: int, size: int, byte: int) -> None:
    data = PEOPLE[:at] + bytes([byte]) * size + PEOPLE[at + size :]
    with tempfile.TemporaryDirectory() as folder:
        try:
            batches = read(Path(folder), data)
        except FeedRefused as refusal:
            batches, told = None, str(refusal)
    assert sum(b.units for b in batches) == 40 if batches else CANARY not in told
