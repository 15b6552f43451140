"""How fast rows are read: each format of tables beside a bare parse of the same file.

`python -m bench.formats`: rows a second of processor time, the best of three.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from time import process_time

from openpyxl import Workbook
from python_calamine import CalamineWorkbook

from adapters.excel_book import open_workbook
from adapters.excel_sheet import SheetRows
from adapters.registry import READERS
from schemas.dates import Instant
from schemas.identifiers import OdsCode, SourceId
from schemas.settings import FileSettings, Limits, SheetSettings, SourceSettings
from service.ports import FeedFile
from tests.adapters.delimited_feeds import COLUMNS, SEXES

NAMES = [column for columns in COLUMNS.values() for column in columns]
BORN = datetime(1930, 1, 1)  # noqa: DTZ001 - dates in sheets have no zone


def main() -> None:
    """Writes the same people in each format, reads them, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    rows = parser.parse_args().rows
    print(f"{rows:,} rows of {len(NAMES)} columns; rows a second of processor time\n")
    print("| format | bare parse | our parse | to records |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="commonthread-bench-") as folder:
        for name, (write, bare) in WAYS.items():
            path = Path(folder) / name
            write(path, rows)
            ours = _rate(_parse_excel, path) if name == "excel" else ""
            print(f"| {name} | {_rate(bare, path)} | {ours} | {_rate(_read, path)} |")


def _rate(count: Callable[[Path], int], path: Path) -> str:
    best = 0.0
    for _ in range(3):
        began = process_time()
        best = max(best, count(path) / (process_time() - began))
    return f"{best:,.0f}"


def _person(n: int) -> list[object]:
    day = (BORN + timedelta(days=n % 30_000)).date()
    street = f"{n % 200} High Street"
    return [f"C{n}", "9434765919", f"Ann{n % 300}", f"Smith{n % 5_000}", day, "F", street,
            "Bristol", "BS1 5TR"]  # fmt: skip


def _write_csv(path: Path, rows: int) -> None:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([NAMES, *(_person(n) for n in range(rows))])


def _write_excel(path: Path, rows: int) -> None:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("People")
    sheet.append(NAMES)
    for n in range(rows):
        sheet.append(_person(n))
    book.save(path)


def _write_xml(path: Path, rows: int) -> None:
    with path.open("w") as stream:
        stream.write("<L>")
        for n in range(rows):
            fields = zip(NAMES, _person(n), strict=True)
            stream.write("<R>" + "".join(f"<{k}>{v}</{k}>" for k, v in fields) + "</R>")
        stream.write("</L>")


def _bare_csv(path: Path) -> int:
    with path.open(newline="") as stream:
        return sum(1 for _ in csv.reader(stream)) - 1


def _bare_excel(path: Path) -> int:
    return sum(1 for _ in CalamineWorkbook.from_path(path).get_sheet_by_index(0).iter_rows()) - 1


def _parse_excel(path: Path) -> int:
    with open_workbook(path, Limits()) as book:
        return sum(len(b) for b in SheetRows(book, book.sheets[0], 1 << 20).blocks()) - 1


def _bare_xml(path: Path) -> int:
    count = 0
    for _, element in ET.iterparse(path):
        if element.tag == "R":
            count += 1
            element.clear()
    return count


def _read(path: Path) -> int:
    name = path.name
    sheet = SheetSettings("People", columns=COLUMNS, codes=SEXES)
    settings = {
        "delimited": FileSettings("*", name, columns=COLUMNS, codes=SEXES),
        "excel": FileSettings("*", name, sheets=(sheet,)),
        "xml": FileSettings("*", name, record="L/R", columns=COLUMNS, codes=SEXES),
    }[name]
    feed = FeedFile(path, "0" * 64, path.stat().st_size, Instant("2026-03-01T00:00:00Z"), settings)
    source = SourceSettings(SourceId("s"), "S", (OdsCode("RA7"),), (settings,))
    return sum(batch.records.num_rows for batch in READERS[name](feed, source, Limits()))


WAYS: dict[str, tuple[Callable[[Path, int], None], Callable[[Path], int]]] = {
    "delimited": (_write_csv, _bare_csv),
    "excel": (_write_excel, _bare_excel),
    "xml": (_write_xml, _bare_xml),
}
"""By format: how the people are written, and a bare parse that makes nothing of them."""

if __name__ == "__main__":
    main()
