"""What a database answers, as a file that reads back as the same values."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.delimited_rows import DelimitedFile
from adapters.sql_source import texts
from schemas.errors import InputError
from schemas.settings import FileSettings
from schemas.settings_interfaces import SqlQuery

QUERY = SqlQuery("clients", "SELECT 1")
COLLECTED = FileSettings(pattern="*", format="delimited", collected=True)
TEXT = st.text(
    st.one_of(
        st.sampled_from(',"\n\r\t; a'),
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
    ),
    max_size=12,
)


def read_back(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[Any]:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows(texts(QUERY, columns, row) for row in rows)
    stream = io.BufferedReader(io.BytesIO(out.getvalue().encode()))
    file = DelimitedFile(stream, COLLECTED, 1 << 20)
    assert file.header == tuple(columns)
    return [fields for block in file.blocks() for _, fields, _ in block]


@given(st.integers(2, 4).flatmap(lambda n: st.lists(st.lists(TEXT, min_size=n, max_size=n))))
def test_any_text_reads_back(rows: list[list[str]]) -> None:
    columns = [f"c{n}" for n in range(len(rows[0]) if rows else 2)]
    assert read_back(columns, rows) == rows


def test_lines_of_a_text_that_look_like_rows_are_none() -> None:
    rows = [["1", "first\nP2,Wren,1950-01-31\nlast", "1960-01-31"], ["2", "", "1970-01-31"]]
    assert read_back(["id", "note", "born"], rows) == rows


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "true"),
        (7, "7"),
        (9434765919.0, "9434765919"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (Decimal("9434765919"), "9434765919"),
        (Decimal("1E+3"), "1000"),
        (date(1950, 1, 31), "1950-01-31"),
        (datetime(1950, 1, 31, 4, 5, 6, tzinfo=UTC), "1950-01-31T04:05:06+00:00"),
        (time(4, 5), "04:05:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_values_of_every_kind(value: object, shown: str) -> None:
    assert texts(QUERY, ["c"], [value]) == [shown]


@pytest.mark.parametrize("value", [b"Wren", ["Wren"], {"Wren": 1}])
def test_what_has_no_text_is_told_without_the_value(value: object) -> None:
    with pytest.raises(InputError, match=r"column 'photo' holds .*; CAST") as caught:
        texts(QUERY, ["photo"], [value])
    assert "Wren" not in str(caught.value)
