"""Searching without slips: every parameter must be a value of the person's, as the index knows it.

Rules (as the Personal Demographics Service searches):
- A family name and a birth date, or a span of them, are the least that is asked for.
- Each parameter is met by some record of the person: by what is current, or with `history` by a
  former name or address too.
- `*` stands for any letters in a name and in a postcode, after two characters or more.
- Dates are spans of days, both ends included. A record whose date is only a month or a year is met
  by no day.
- Columns narrow the persons; whether one is met is then asked of the records as they are now.
- Whom the gate leaves out is neither counted nor ranked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage.asked import Value
from schemas.columns import match_row
from schemas.errors import InvalidSearch
from schemas.identifiers import PersonId
from service.candidates import MOST, Gate, PersonMatch, Standing, minimum
from service.matching import (
    COLUMNS,
    TOO_MANY,
    FoundBySearch,
    SearchResult,
    check_searchable,
    question,
)
from service.ports import HeldRecord
from service.sharing_asked import Days, PersonQuery
from service.warm_index import WarmIndex

WILD = frozenset({"given", "family", "postcode"})
"""Parameters in which `*` stands for any letters."""
MOST_WILDCARDS = 5
WIDEST = 1_000
"""Persons, at most, that are looked at one by one: more are too many, whoever they are."""


@dataclass(frozen=True)
class _Condition:
    """What one parameter asks of a column of features."""

    column: str
    meets: Callable[[Value], bool]
    among: Callable[[pa.Array], pa.Array]
    """Distinct values of the column → which of them meet it."""
    value: Value | None = None
    """The only value that meets it, where there is but one."""


def find_exactly(gate: Gate, index: WarmIndex, query: PersonQuery, most: int) -> FoundBySearch:
    """What a search that is not fuzzy answers, of those persons whom the gate lets through.

    Raises: InvalidSearch.
    """
    conditions = _conditions(index, query)
    names = _narrowed(index, conditions)
    if len(names) > WIDEST:
        return FoundBySearch((), SearchResult((), TOO_MANY))
    standing: dict[PersonId, Standing] = {}
    for start in range(0, len(names), MOST + 1):
        standing |= gate(names[start : start + MOST + 1])
    found = []
    for person, one in standing.items():
        current, former = _met(index, conditions, one.records)
        if current or (former and query.history and not query.exact and one.history):
            score = 1.0 if current else 0.9999
            found.append(PersonMatch(person, None, score, 0.0, minimum(one.records)))
    found.sort(key=lambda one: (-one.score, one.person_id))
    result = SearchResult((), TOO_MANY) if len(found) > most else SearchResult(tuple(found))
    return FoundBySearch(tuple(one.person_id for one in found), result)


def _conditions(index: WarmIndex, query: PersonQuery) -> list[_Condition]:
    """Raises: InvalidSearch: nothing to go by, or what nobody is searched by."""
    check_searchable(query.fields)
    born = query.born != (None, None) or "birth_date" in query.fields
    if "family" not in query.fields or not born:
        raise InvalidSearch(
            "INVALID_SEARCH_DATA", "a search needs at least a family name and a birth date"
        )
    found = []
    tame = {}
    for name, value in query.fields.items():
        texts = [value] if isinstance(value, str) else list(value)
        wild = [text for text in texts if "*" in text]
        if wild and name not in WILD:
            raise InvalidSearch("INVALID_VALUE", f"{name}: `*` stands in names and postcodes only")
        found += [_wild(COLUMNS[name], text) for text in wild]
        if len(wild) < len(texts):
            tame[name] = value if isinstance(value, str) else [t for t in texts if "*" not in t]
    if tame:
        found += _plain(index, tame)
    spans = (("birth_date", query.born), ("death", query.died))
    return found + [_span(column, days) for column, days in spans if days != (None, None)]


def _plain(index: WarmIndex, fields: Mapping[str, object]) -> list[_Condition]:
    row = question(fields)
    asked = index.lookup.read(row).columns
    found = []
    for name in fields:
        values = asked.get(COLUMNS[name], ())
        if not values and name != "gender":
            raise InvalidSearch("INVALID_VALUE", f"{name}: it says that nothing is known")
        wanted = values if name == "given" else values[:1]
        found += [_same(COLUMNS[name], value) for value in wanted]
    return found


def _same(column: str, wanted: Value) -> _Condition:
    return _Condition(
        column, lambda value: value == wanted, lambda values: pc.equal(values, wanted), wanted
    )


def _wild(column: str, text: str) -> _Condition:
    """Raises: InvalidSearch: fewer than two characters before the first `*`."""
    letters = re.sub(r"[^A-Z0-9* ]" if column == "postcode" else r"[^A-Z*]", "", text.upper())
    if len(letters.partition("*")[0].strip()) < 2:
        raise InvalidSearch("INVALID_VALUE", "two characters or more must stand before a `*`")
    parts = re.sub(r"\*+", "*", letters).split("*")
    if len(parts) > MOST_WILDCARDS + 1:
        raise InvalidSearch("INVALID_VALUE", f"at most {MOST_WILDCARDS} `*` stand in a text")
    pattern = "^" + ".*".join(re.escape(part) for part in parts) + "$"
    return _Condition(
        column,
        lambda value: _fits(str(value), parts),
        lambda values: pc.match_substring_regex(values, pattern),
    )


def _fits(value: str, parts: Sequence[str]) -> bool:
    """Whether a value is these parts with any letters between them. Each is sought after the one
    before it, once: nothing that is asked for makes this slow, as a pattern that goes back can."""
    first, *between, last = parts
    if not value.startswith(first) or len(value) < len(first) + len(last):
        return False
    place, end = len(first), len(value) - len(last)
    for part in between:
        found = value.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return value.endswith(last)


def _span(column: str, days: Days) -> _Condition:
    first, last = days
    low = int(first.replace("-", "").ljust(8, "0")) if first else 0
    high = int(last.replace("-", "").ljust(8, "9")) if last else 99_999_999

    def whole(value: Value) -> bool:
        return isinstance(value, int) and low <= value <= high and bool(value % 100)

    def among(values: pa.Array) -> pa.Array:
        dates = values.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return pa.array((dates >= low) & (dates <= high) & (dates % 100 > 0))

    return _Condition(column, whole, among)


def _narrowed(index: WarmIndex, conditions: Sequence[_Condition]) -> list[PersonId]:
    """The persons some record of whom has, at one time or another, what each condition asks for;
    one more than `WIDEST` at most. Who bears the rarer of name and birth date is looked up; the
    other conditions are asked of the records of those.

    Requires: a condition on a column of `index.bearers`.
    """
    codes = [_codes(index, one) for one in conditions]
    if not all(len(some) for some in codes):
        return []
    driving = [n for n, one in enumerate(conditions) if one.column in index.bearers]
    first = min(driving, key=lambda n: index.bearers[conditions[n].column].count(codes[n]))
    rows = index.bearers[conditions[first].column].rows(codes[first])
    persons = _persons(index, rows)
    for n, one in enumerate(conditions):
        if n != first and len(persons):
            rows = index.rows_of.rows(persons)
            held = index.lookup.features.columns[one.column].codes[:, rows]
            persons = _persons(index, rows[np.isin(held, codes[n]).any(axis=0)])
    return [index.person_id(number) for number in persons[: WIDEST + 1].tolist()]


def _codes(index: WarmIndex, one: _Condition) -> npt.NDArray[np.int64]:
    """The codes of the column's values that meet the condition."""
    column = index.lookup.features.columns.get(one.column)
    if column is None:
        return np.zeros(0, np.int64)
    if one.value is not None:
        code = index.lookup.code(one.column, one.value)
        return np.array([code] if code >= 0 else [], np.int64)
    return np.flatnonzero(one.among(column.values.array).to_numpy(zero_copy_only=False))


def _persons(index: WarmIndex, rows: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """The persons whose records these rows are, each once, ascending."""
    persons = np.unique(index.row_persons[rows])
    return persons[persons >= 0]


def _met(
    index: WarmIndex, conditions: Iterable[_Condition], records: Sequence[HeldRecord]
) -> tuple[bool, bool]:
    """Whether what is current meets all conditions, and whether something former does."""
    held = [index.lookup.read_row(match_row(h.record)).columns for h in records]
    current = former = True
    for one in conditions:
        values = [columns.get(one.column, ()) for columns in held]
        latest = 2 if one.column == "given" else 1
        current &= any(one.meets(v) for some in values for v in some[:latest])
        former &= any(one.meets(v) for some in values for v in some)
    return current, former
