"""What a report of the audit log is: numbers, tables, and the log entries behind each. Values only.

Rules:
- A number that counts log entries says which: their leaf numbers, as ranges. One that does not
  count what it names cannot be built.
- A report names nobody by name: persons by opaque ids, staff by the ids that they sign in with.
- A report says what it answers, of what span, what it leaves out, and what to do with it.
- One that is made for the person themselves carries no leaf numbers: a gap in them would tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from hashlib import sha256
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas.dates import EARLIEST_YEAR, Instant
from schemas.errors import InvalidValue

LATEST_YEAR = 2200
"""Of a month that a report can be asked for; the first is the earliest of any moment."""
SHOWN_RANGES = 8
"""Ranges of leaf numbers that a page prints beside a number; the files have all."""


@dataclass(frozen=True, eq=False)
class Leaves:
    """Leaf numbers of log entries, each once.

    Attributes:
        ranges: int64 of shape (n, 2), ascending: first and last of each range, both included.
    """

    ranges: NDArray[np.int64]

    @classmethod
    def of(cls, numbers: Iterable[int] | NDArray[np.int64]) -> Leaves:
        """These leaf numbers, in whatever order."""
        given = numbers if isinstance(numbers, np.ndarray) else np.array([*numbers], np.int64)
        sorted_ = given.astype(np.int64)
        if np.any(np.diff(sorted_) <= 0):  # those of a log come in order, each once
            sorted_ = np.unique(sorted_)
        if not len(sorted_):
            return cls(np.empty((0, 2), np.int64))
        breaks = np.flatnonzero(np.diff(sorted_) != 1)
        first = sorted_[np.concatenate([[0], breaks + 1])]
        last = sorted_[np.concatenate([breaks, [len(sorted_) - 1]])]
        return cls(np.column_stack([first, last]))

    @property
    def count(self) -> int:
        """How many there are."""
        return int((self.ranges[:, 1] - self.ranges[:, 0] + 1).sum())

    def __iter__(self) -> Iterator[int]:
        for first, last in self.ranges.tolist():
            yield from range(first, last + 1)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Leaves) and np.array_equal(self.ranges, other.ranges)

    def __hash__(self) -> int:
        return hash(self.ranges.tobytes())

    def digest(self) -> str:
        """SHA-256 over the ranges as big-endian pairs of 64 bits, hex: two lists are told apart by
        it where they are too long to compare."""
        return sha256(self.ranges.astype(">i8").tobytes()).hexdigest()

    def words(self, most: int = SHOWN_RANGES) -> str:
        """Such as `12-15, 18, and 5 more ranges, the last 90-91`."""
        shown = [_range(first, last) for first, last in self.ranges[:most].tolist()]
        more = len(self.ranges) - most
        if more > 0:
            last = _range(*self.ranges[-1].tolist())
            shown.append(f"and {more:,} more {'ranges' if more > 1 else 'range'}, to {last}")
        return ", ".join(shown) or "none"


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


Unit = Literal["entries", "persons", "staff", "organisations", "days", "agreements", "groups"]


@dataclass(frozen=True)
class Number:
    """A counted thing and what is behind it.

    Attributes:
        unit: what was counted. `entries` are log entries, and then value is how many are behind
            it. One entry can name many persons, but one member of staff, organisation, day.
        leaves: the log entries; None in a report for the person, and where `query` counted.
        query: the options of `audit report events` that list the entries, for numbers that the
            database counted without opening them.
    """

    value: int
    leaves: Leaves | None = None
    unit: Unit = "entries"
    query: str = ""

    def __post_init__(self) -> None:
        if self.leaves is None:
            return
        if self.unit == "entries" and self.value != self.leaves.count:
            raise InvalidValue("a number of log entries differs from the entries behind it")
        if self.unit in ("staff", "organisations", "days") and self.value > self.leaves.count:
            raise InvalidValue("a number counts more than the entries behind it can hold")


Cell = str | Number | None
"""Text, a number, or nothing."""
Kind = Literal["text", "time", "number", "id"]


@dataclass(frozen=True)
class Column:
    """A column of a table. name: of the field in CSV and JSON; kind: how it is set."""

    name: str
    title: str
    kind: Kind = "text"


@dataclass(frozen=True)
class Row:
    """A row. leaves: the log entries that it tells of; None in a report for the person."""

    cells: tuple[Cell, ...]
    leaves: Leaves | None = None


@dataclass(frozen=True)
class Plot:
    """A chart of a table's columns.

    Attributes:
        mark: bars over categories, or lines over time. x: name of a column; y: names of columns of
            numbers, each told apart by colour and, of lines, by shape.
        words: what the chart shows, for who cannot see it.
    """

    mark: Literal["bar", "line"]
    x: str
    y: tuple[str, ...]
    words: str


@dataclass(frozen=True)
class Table:
    """One table of a report.

    Attributes:
        about: what it shows, in a sentence. empty: what is said where there are no rows.
        total: a last row.
    """

    name: str
    title: str
    about: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    empty: str = "Nothing was found."
    total: Row | None = None
    plot: Plot | None = None

    def __post_init__(self) -> None:
        lines = [*self.rows, self.total] if self.total else self.rows
        if any(len(row.cells) != len(self.columns) for row in lines):
            raise InvalidValue(f"table {self.name}: a row has not as many cells as columns")


@dataclass(frozen=True)
class Fact:
    """A number above the tables. label: what it counts."""

    name: str
    label: str
    number: Number
    words: str = ""


@dataclass(frozen=True)
class Period:
    """The span that a report is about: since is included, until is not."""

    since: Instant
    until: Instant

    def __post_init__(self) -> None:
        if self.since >= self.until:
            raise InvalidValue("a report's span ends after it begins")


def month_of(text: str) -> Period:
    """The span of a month, `YYYY-MM`, in UTC. Raises: InvalidValue."""
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        raise InvalidValue("expected a month as YYYY-MM, such as 2026-10") from None
    if not EARLIEST_YEAR <= first.year <= LATEST_YEAR:
        raise InvalidValue(f"expected a month of the years {EARLIEST_YEAR} to {LATEST_YEAR}")
    after = month_after(first, 1)
    return Period(Instant(f"{first}T00:00:00Z"), Instant(f"{after}T00:00:00Z"))


def month_after(first: date, months: int) -> date:
    """The first day of the month so many months later. Requires: a first day."""
    index = first.year * 12 + first.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)


@dataclass(frozen=True)
class Report:
    """One report.

    Attributes:
        name: as the command line calls it. subject: of whom or what, empty where of everything.
        question: what it answers. act: what to do with it. limits: what it does not show.
        notes: sentences on these figures in particular.
        for_person: made for the person themselves. public: names nobody, and may leave.
    """

    name: str
    title: str
    question: str
    period: Period
    made_at: Instant
    subject: str = ""
    facts: tuple[Fact, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    act: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    for_person: bool = False
    public: bool = False

    def __post_init__(self) -> None:
        if self.for_person and any(True for _ in self._leaves()):
            raise InvalidValue("a report for the person names no log entries")

    def _leaves(self) -> Iterator[Leaves]:
        for _, number in self.numbers():
            if number.leaves is not None:
                yield number.leaves
        for table in self.tables:
            yield from (row.leaves for row in table.rows if row.leaves is not None)

    def numbers(self) -> Iterator[tuple[str, Number]]:
        """Every number with a name of its own: `fact.NAME`, or `TABLE.ROW.COLUMN` (rows from 1,
        the last `total`)."""
        for fact in self.facts:
            yield f"fact.{fact.name}", fact.number
        for table in self.tables:
            rows = [(str(n), row) for n, row in enumerate(table.rows, 1)]
            rows += [("total", table.total)] if table.total else []
            for label, row in rows:
                for column, cell in zip(table.columns, row.cells, strict=True):
                    if isinstance(cell, Number):
                        yield f"{table.name}.{label}.{column.name}", cell

    def leaves(self) -> Leaves:
        """All log entries that are behind anything in the report."""
        spans = [one.ranges for one in self._leaves() if len(one.ranges)]
        return join(spans)


def join(spans: Sequence[NDArray[np.int64]]) -> Leaves:
    """The union of ranges of leaf numbers, each of shape (n, 2)."""
    if not any(len(one) for one in spans):
        return Leaves.of([])
    ranges = np.concatenate(spans)
    ranges = ranges[np.argsort(ranges[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ranges[:, 1])
    begins = np.concatenate([[True], ranges[1:, 0] > reach[:-1] + 1])
    first = ranges[begins, 0]
    ends = np.concatenate([np.flatnonzero(begins)[1:] - 1, [len(ranges) - 1]])
    return Leaves(np.column_stack([first, reach[ends]]))


def without_leaves(table: Table) -> Table:
    """The table as the person is shown it."""

    def bare(row: Row) -> Row:
        cells = tuple(replace(c, leaves=None) if isinstance(c, Number) else c for c in row.cells)
        return Row(cells)

    total = bare(table.total) if table.total else None
    return replace(table, rows=tuple(map(bare, table.rows)), total=total)


@dataclass(frozen=True)
class Names:
    """What ids are called on a page, from the settings.

    Attributes:
        organisations: code → name. partnership: its name. demo: synthetic data.
    """

    partnership: str
    organisations: dict[str, str] = field(default_factory=dict)
    demo: bool = False

    def organisation(self, code: str) -> str:
        """The organisation's name, or its code where it is none of the partnership."""
        if code in ("", "-"):
            return "The partnership itself"
        return self.organisations.get(code, code)
