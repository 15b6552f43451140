"""docs/data-at-rest.md lists every column; what it calls sealed is sealed."""

from __future__ import annotations

import re
from pathlib import Path

from store import columns, tables

PAGE = Path(__file__).parents[2] / "docs" / "data-at-rest.md"
ROW = re.compile(r"^\| (\w+) \| (\w+) \| [^|]+ \|(?P<why> [^|]+ \|)?$", re.MULTILINE)


def listed(heading: str) -> list[tuple[str, str]]:
    section = PAGE.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    return [(m[1], m[2]) for m in ROW.finditer(section) if (m[1], m[2]) != ("table", "column")]


def held(*, sealed: bool) -> list[tuple[str, str]]:
    return [
        (table.name, column.name)
        for table in tables.all_tables.tables.values()
        for column in table.columns
        if columns.is_sealed(column) == sealed
    ]


def test_columns_in_clear_are_listed() -> None:
    assert sorted(listed("Columns in clear")) == sorted(held(sealed=False))


def test_sealed_columns_are_listed() -> None:
    assert sorted(listed("Sealed columns")) == sorted(held(sealed=True))


def test_keyed_digests_are_listed() -> None:
    section = PAGE.read_text().split("## How sealed things are found\n")[1].split("\n## ")[0]
    digests = {
        column.name
        for table in tables.all_tables.tables.values()
        for column in table.columns
        if column.type.python_type is bytes and not columns.is_sealed(column)
    }
    named = set(re.findall(r"`(\w+)`", section))
    assert named == digests
