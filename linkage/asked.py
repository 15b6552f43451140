"""The record that is asked about: the values that features would hold of it, one record at a time.

Rules:
- What a value means is said in linkage/features.py alone: its readers are called on a table of one
  row, column by column, and only for the columns that were given.
- What was read is remembered by its text (the last `REMEMBERED` of each column), because desks ask
  for the same names, dates and practices again and again.
- A name of plain words, a whole date and the like are read without those readers, which take as
  long for one value as for a thousand; tests hold both ways to be one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa

from linkage import standardise as std
from linkage.columns import Column
from linkage.features import NO_DATES, column_jobs, name_columns
from linkage.model import ColumnSpec
from schemas.errors import InvalidValue

REMEMBERED = 8_192
"""How many cells of each column are remembered."""
NAMES = ("given", "middle", "family")
"""Columns of features that share one dictionary."""
_NAME_CELLS = ("given", "family", "family_previous", "name_text")
_CELL_OF = {"sex": "gender", "practice": "gp_practice"}
"""Column of features → column of the table, where their names differ."""
_PLAIN_NAME = re.compile(r"[A-Za-z]+(?: [A-Za-z]+)?")
_PLAIN = {
    "birth_date": re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "nhs_number": re.compile(r"(?!([0-9])\1{9})[2-8][0-9]{9}"),
    "postcode": re.compile("[A-Y][A-Z0-9]{1,3} [0-9][A-Z]{2}"),
    "sex": re.compile("male|female"),
}
"""Column → what is standard already (a date without its hyphens)."""
_NOT_PLAIN = frozenset(
    (
        *std.TITLES, *std.SUFFIXES, *std.GIVEN_PLACEHOLDERS, *std.FAMILY_PLACEHOLDERS,
        "NEE", "FORMERLY", "PREVIOUSLY", "KNOWN", "AKA", "FKA", "ALIAS",
    )
)  # fmt: skip
"""Words in names that are no names, or may say that others are none."""

Value = str | int
Cell = str | int | tuple[str | None, ...]


@dataclass(frozen=True, repr=False)
class Asked:
    """One record as features would hold it. Its text form shows no value.

    Attributes:
        columns: column of features → its values, the current one first; no empty ones.
        verified: whether its NHS number was traced.
    """

    columns: Mapping[str, tuple[Value, ...]]
    verified: bool


class AskedReader:
    """Reads records that are asked about, under one model's columns."""

    def __init__(self, extra: Sequence[ColumnSpec] = (), accept_test_numbers: bool = False) -> None:
        self._extra, self._accept_test_numbers = tuple(extra), accept_test_numbers
        empty = pa.table({"source": pa.array([], pa.string())})
        self._columns = tuple(column_jobs(empty, accept_test_numbers, self._extra))
        self._names: Callable[[tuple[Cell | None, ...]], dict[str, tuple[Value, ...]]]
        self._names = lru_cache(REMEMBERED)(_names)
        self._value: Callable[[str, Cell], tuple[Value, ...]]
        self._value = lru_cache(REMEMBERED * len(self._columns))(self._read)

    def read(self, table: pa.Table) -> Asked:
        """The one row of a table of `schemas.columns.MATCH_SCHEMA` columns (those it has), and
        `source` where the record is one of a source's. Raises: InvalidValue for other than one row.
        """
        if len(table) != 1:
            raise InvalidValue(f"one record is asked about at a time, not {len(table)}")
        return self.read_row(table.to_pylist()[0])

    def read_row(self, cells: Mapping[str, Any]) -> Asked:
        """As `read`, of the row's cells by their columns: texts, lists of texts, or None."""
        row = {name: _cell(value) for name, value in cells.items()}
        columns: dict[str, tuple[Value, ...]] = {}
        names = tuple(row.get(name) for name in _NAME_CELLS)
        if any(names):
            columns |= self._names(names)
        for name in self._columns:
            cell = row.get(_CELL_OF.get(name, name))
            if cell:
                columns[name] = self._value(name, cell)
        if isinstance(row.get("source"), str):
            columns["source"] = (row["source"],)
        columns = {name: values for name, values in columns.items() if values}
        return Asked(columns, row.get("nhs_status") == "01" and "nhs_number" in columns)

    def _read(self, name: str, cell: Cell) -> tuple[Value, ...]:
        one = cell[0] if isinstance(cell, tuple) and len(cell) == 1 else cell
        if name in _PLAIN and isinstance(one, str) and _PLAIN[name].fullmatch(one):
            value = int(one.replace("-", "")) if name == "birth_date" else one
            return () if value in NO_DATES else (value,)
        table = _one_row({_CELL_OF.get(name, name): cell})
        jobs = column_jobs(table, self._accept_test_numbers, self._extra)
        return _values(jobs[name]())


def _cell(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _names(cells: tuple[Cell | None, ...]) -> dict[str, tuple[Value, ...]]:
    plain = _plain_names(*cells)
    if plain is not None:
        return plain
    found = name_columns(_one_row(dict(zip(_NAME_CELLS, cells, strict=True))))
    return {name: _values(column) for name, column in found.items()}


def _plain_names(
    given: Cell | None, family: Cell | None, previous: Cell | None, text: Cell | None
) -> dict[str, tuple[Value, ...]] | None:
    """One forename, perhaps with a second one, and one family name, all of plain letters; None
    where that is not what was sent."""
    if previous or text:
        return None
    words = []
    for cell in (given, family):
        one = cell[0] if isinstance(cell, tuple) and len(cell) == 1 else cell
        if not isinstance(one, str) or not _PLAIN_NAME.fullmatch(one):
            return None
        words.append(one.upper().split(" "))
    if len(words[1]) > 1:
        return None
    for word in (*words[0], *words[1]):
        if word in _NOT_PLAIN or word.startswith(("ZZ", "XX")):
            return None
    return {"given": (words[0][0],), "middle": tuple(words[0][1:]), "family": (words[1][0],)}


def _one_row(cells: Mapping[str, Cell | None]) -> pa.Table:
    arrays = {}
    for name, cell in cells.items():
        if isinstance(cell, tuple):
            arrays[name] = pa.array([list(cell)], pa.list_(pa.string()))
        elif cell is not None:
            arrays[name] = pa.array([cell])
    return pa.table(arrays) if arrays else pa.table({"source": pa.array([""])})


def _values(column: Column) -> tuple[Value, ...]:
    return tuple(column.values.array[code].as_py() for code in column.codes[:, 0] if code >= 0)
