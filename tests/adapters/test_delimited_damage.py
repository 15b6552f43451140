"""Broken feeds: whatever happens to a good file, no row is lost unseen, sound rows are loaded."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.columns import UnitBatch
from schemas.errors import FeedRefused
from schemas.settings import Limits
from tests.adapters.delimited_feeds import COLUMNS, loaded, read

NAMES = [column for columns in COLUMNS.values() for column in columns]
LIMITS = Limits(max_unit_bytes=1024, batch_units=4)
ROWS = 12


def cells(number: int) -> dict[str, str]:
    """A sound row."""
    street = f"{number} High Street" if number % 3 else f"{number} High Street, Flat 2"
    return {
        "ID": f"C{number}", "NHS": "9434765919", "FORENAME": "Zoë", "SURNAME": "Smith",
        "DOB": "17/05/1980", "SEX": "F", "STREET": street, "TOWN": "Bristol",
        "POSTCODE": "BS1 5TR",
    }  # fmt: skip


def line(values: dict[str, str], order: list[str]) -> bytes:
    """A row as bytes, quoted where it must be."""
    quoted = [f'"{v}"' if "," in v else v for v in (values[name] for name in order)]
    return ",".join(quoted).encode()


def take(data: bytes) -> list[UnitBatch] | None:
    """The batches of a file, or None if it is refused as a whole. Anything else raised is a bug."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return read(Path(folder), data, limits=LIMITS)
        except FeedRefused:
            return None


def assert_complete(batches: list[UnitBatch]) -> None:
    """Every unit has one fate, and the units run on from batch to batch."""
    expected = 0
    for batch in batches:
        assert batch.first_unit == expected
        fates = batch.records.column("unit").to_pylist() + [r.unit for r in batch.rejected]
        assert sorted(fates) == list(range(expected, expected + batch.units))
        expected += batch.units


DAMAGE = {
    "a NUL": lambda row, at: row[:at] + b"\0" + row[at:],
    "a Latin-1 byte": lambda row, at: row[:at] + b"\xe9" + row[at:],
    "a quote": lambda row, at: row[:at] + b'"' + row[at:],
    "a delimiter": lambda row, at: row[:at] + b"," + row[at:],
    "a byte lost": lambda row, at: row[:at] + row[at + 1 :],
    "the end lost": lambda row, at: row[:at],
    "a line end": lambda row, at: row[:at] + b"\n" + row[at:],
    "a carriage return": lambda row, at: row[:at] + b"\r" + row[at:],
    "far too long": lambda row, at: row[:at] + b"x" * 3000 + row[at:],
    "blanked": lambda _row, _at: b"",
    "twice": lambda row, at: row + b"\n" + row,
    "values swapped around": lambda row, at: b",".join(reversed(row.split(b","))),
}


@given(
    order=st.permutations(NAMES),
    harm=st.dictionaries(
        st.integers(0, ROWS - 1), st.tuples(st.sampled_from(sorted(DAMAGE)), st.integers(0, 60))
    ),
    end=st.sampled_from([b"\n", b"\r\n"]),
)
@settings(max_examples=60, deadline=None)
@example(order=NAMES, harm={0: ("a quote", 0), 1: ("a quote", 3), 5: ("a quote", 8)}, end=b"\n")
def test_damaged_rows_take_no_others_with_them(
    order: list[str], harm: dict[int, tuple[str, int]], end: bytes
) -> None:
    rows = [line(cells(number), order) for number in range(ROWS)]
    for number, (kind, at) in harm.items():
        rows[number] = DAMAGE[kind](rows[number], at)
    batches = take(end.join([",".join(order).encode(), *rows, b""]))
    assert batches is not None
    assert_complete(batches)
    found = {row["local_id"] for row in loaded(batches)}
    assert {f"C{number}" for number in range(ROWS)} - {f"C{n}" for n in harm} <= found


@given(
    changes=st.lists(
        st.tuples(st.integers(0, 900), st.integers(0, 3), st.binary(max_size=4)), max_size=8
    ),
    cut=st.integers(0, 1000),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@settings(max_examples=80, deadline=None)
def test_nothing_but_a_refusal_is_ever_raised(
    changes: list[tuple[int, int, bytes]], cut: int, encoding: str
) -> None:
    rows = [",".join(NAMES), *(line(cells(number), NAMES).decode() for number in range(ROWS))]
    data = "\n".join([*rows, ""]).encode(encoding)
    for at, lost, added in changes:
        data = data[:at] + added + data[at + lost :]
    batches = take(data[: len(data) - cut] if cut < len(data) else data)
    if batches is not None:
        assert_complete(batches)


@given(st.binary(max_size=300))
@settings(max_examples=50, deadline=None)
def test_any_bytes_after_the_header(data: bytes) -> None:
    batches = take(",".join(NAMES).encode() + b"\n" + data)
    assert batches is not None
    assert_complete(batches)
