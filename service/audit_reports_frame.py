"""The log's entries as a table to count from, and counts that keep the entries behind them.

Rules:
- One row an entry, by leaf. Days and hours are of the partnership's own clock, not of UTC.
- What is unknown of an old entry is empty: an entry is never left out because it lacks a detail.
- Nothing here is per entry in Python, save reading each distinct text of details once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from audit.actions import EventClass, row_of
from schemas.errors import InvalidValue
from schemas.identifiers import PersonId
from service.audit_reports import Cell, Column, Leaves, Number, Row, Table, Unit

UNKNOWN = "-"
LOOKS = frozenset({EventClass.ACCESS.value, EventClass.SEARCH.value, EventClass.BREAK_GLASS.value})
"""Classes of entries in which somebody looks, or tries to."""
ASIDE = "unknown action"
"""Class of an entry whose action this version does not know."""


class _Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What reports read of an entry's details; whatever else is there is passed over."""

    organisation: Any = None
    team: Any = None
    shown: Any = None
    headings: Any = None
    break_glass: Any = None
    reason: Any = None
    obligations: Any = None
    escalate: Any = None
    alert: Any = None
    expires: Any = None
    custodians: Any = None
    labels: Any = None
    relationship: Any = None
    terminal: Any = None
    what: Any = None
    verdict: Any = None
    agreement: Any = None
    version: Any = None
    issuer: Any = None
    policies: Any = None
    run: Any = None
    decisions: Any = None
    ended: Any = None
    system: Any = None


_DECODER = msgspec.json.Decoder(_Told)
_ENCODER = msgspec.json.Encoder()
_TOGETHER = 65_536
_TEXTS = (
    "team", "break_glass", "reason", "relationship", "terminal", "what", "verdict", "agreement",
    "issuer",
)  # fmt: skip
_LISTS = ("headings", "obligations", "custodians", "labels", "policies")


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else str(value)


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, (list, tuple)):
        return tuple(map(_text, value))
    return (_text(value),) if value else ()


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _read_once(details: pa.StringArray) -> tuple[list[dict[str, Any]], NDArray[np.int64]]:
    """What each unlike text says, and which of them is whose. Two that differ only in what no
    report reads, as in the number of a request, are alike."""
    places: dict[bytes, int] = {}
    codes = np.empty(len(details), np.int64)
    for start in range(0, len(details), _TOGETHER):
        texts = details.slice(start, _TOGETHER).to_pylist()
        for at, text in enumerate(texts, start):
            read = _ENCODER.encode(_DECODER.decode(text or "{}"))
            codes[at] = places.setdefault(read, len(places))
    return [_read(text) for text in places or [b"{}"]], codes


def _read(details: bytes) -> dict[str, Any]:
    told = _DECODER.decode(details)
    row: dict[str, Any] = {name: _text(getattr(told, name)) for name in _TEXTS}
    row |= {name: _texts(getattr(told, name)) for name in _LISTS}
    row["told_organisation"] = _text(told.organisation)
    row["all_headings"] = told.headings is None
    row["shown"] = _whole(told.shown)
    row["escalate"] = told.escalate is True
    row["alert"] = told.alert is True
    row["system"] = bool(told.system)
    row["number"] = next(
        (one for one in (told.version, told.run, told.decisions, told.ended) if one is not None),
        "",
    )
    row["number"] = _text(row["number"])
    return row


def _class(action: str) -> str:
    try:
        return row_of(action).event_class.value
    except InvalidValue:
        return ASIDE


def words_of(action: str) -> str:
    """What was done, in words that follow who did it."""
    try:
        return row_of(action).words
    except InvalidValue:
        return f"did “{action}”"


def frame_of(
    batches: Iterable[pa.RecordBatch], zone: str, hidden: Collection[PersonId] = ()
) -> pd.DataFrame:
    """The entries as a table, sorted by leaf.

    Args:
        batches: as `AuditStore.event_columns` gives them. zone: IANA zone of days and hours.
        hidden: persons whom the reader must not know of; they are named in no row.

    Returns: leaf, at (UTC), when (local, to the second), day, hour, minute (of the day), action,
        event_class, outcome, actor, role, purpose, organisation, persons (tuples), and what `_Told`
        reads of details.
    """
    found = [batch for batch in batches if batch.num_rows]
    table = pa.Table.from_batches(found) if found else _EMPTY.empty_table()
    details = table["details"].combine_chunks().dictionary_encode()
    frame = table.drop_columns(["details"]).to_pandas(strings_to_categorical=False)
    distinct, read = _read_once(details.dictionary)
    codes = read[details.indices.to_numpy()]
    for name in distinct[0]:
        values = np.empty(len(distinct), object)
        values[:] = [one[name] for one in distinct]
        frame[name] = values[codes]
    return _dressed(frame, zone, hidden)


_EMPTY = pa.schema(
    [("leaf", pa.int64()), ("at", pa.timestamp("us"))]
    + [(n, pa.string()) for n in ("action", "outcome", "actor", "role", "purpose", "organisation")]
    + [("persons", pa.list_(pa.string())), ("details", pa.string())]
)


def _dressed(frame: pd.DataFrame, zone: str, hidden: Collection[PersonId]) -> pd.DataFrame:
    at = pd.to_datetime(frame["at"])
    at = at.dt.tz_localize("UTC") if at.dt.tz is None else at.dt.tz_convert("UTC")
    local = at.dt.tz_convert(ZoneInfo(zone))
    frame["at"], frame["when"] = at, local.dt.tz_localize(None)
    frame["day"] = _formatted(local, "%Y-%m-%d")
    frame["hour"] = local.dt.hour
    frame["minute"] = local.dt.hour * 60 + local.dt.minute
    for column in ("shown", "hour", "minute"):
        frame[column] = frame[column].astype("int64")
    for column in ("escalate", "alert", "all_headings", "system"):
        frame[column] = frame[column].astype(bool)
    own = frame["organisation"].fillna(UNKNOWN).astype(object)
    told = frame["told_organisation"].astype(object)
    frame["organisation"] = own.where(own.ne(UNKNOWN), told.where(told.ne(""), UNKNOWN))
    kinds = {action: _class(action) for action in frame["action"].unique()}
    frame["event_class"] = frame["action"].map(kinds).astype(object)
    frame["persons"] = _persons(frame["persons"], frozenset(hidden))
    return frame.sort_values("leaf", kind="stable").reset_index(drop=True)


def _formatted(moments: pd.Series[Any], pattern: str) -> pd.Series[Any]:
    """As text, each distinct day formatted once."""
    days = moments.dt.tz_localize(None).dt.normalize()
    words = {day: day.strftime(pattern) for day in days.unique()}
    said: pd.Series[Any] = days.map(words).astype(object)
    return said


def _persons(column: pd.Series[Any], hidden: frozenset[PersonId]) -> pd.Series[Any]:
    kept = [
        tuple(one for one in named if one not in hidden) if named is not None else ()
        for named in column
    ]
    return pd.Series(kept, index=column.index, dtype=object)


def broken(frame: pd.DataFrame) -> pd.Series[bool]:
    """Which entries are of broken glass: the declaration, and what was opened by it."""
    return (frame["action"] == "break-glass") | frame["break_glass"].ne("")


def kept(frame: pd.DataFrame, keep: Iterable[bool]) -> pd.DataFrame:
    """The rows for which it says so."""
    return frame[np.fromiter(keep, np.bool_, len(frame))]


def lines(frame: pd.DataFrame) -> Iterator[Any]:
    """The entries one by one, their columns as attributes."""
    return iter(frame.itertuples(index=False))


def number(frame: pd.DataFrame) -> Number:
    """How many entries, with them; one that stands in several rows counts once."""
    leaves = Leaves.of(frame["leaf"].to_numpy())
    return Number(leaves.count, leaves)


def distinct(frame: pd.DataFrame, column: str, unit: Unit) -> Number:
    """How many values of a column (of persons: how many are named), with the entries."""
    values = frame[column].explode().dropna() if column == "persons" else frame[column]
    return Number(int(values.nunique()), Leaves.of(frame["leaf"].to_numpy()), unit)


def grouped(frame: pd.DataFrame, keys: Sequence[str]) -> dict[tuple[Any, ...], pd.DataFrame]:
    """The rows by the values of some columns, in the order of those values."""
    if not len(frame):
        return {}
    parts = frame.groupby(list(keys), sort=True, observed=True)
    return {(key if isinstance(key, tuple) else (key,)): part for key, part in parts}


Measure = Callable[[pd.DataFrame], Cell]
"""What a column of counts says of the entries of a row."""


@dataclass(frozen=True)
class Counted:
    """A column of counts: what it is called, and what it says of a row's entries."""

    column: Column
    measure: Measure


def where(name: str, title: str, chosen: Callable[[pd.DataFrame], Any]) -> Counted:
    """Counts the entries of a row that a condition holds for."""
    return Counted(Column(name, title, "number"), lambda part: number(part[chosen(part)]))


def how_many(name: str, title: str, column: str, unit: Unit) -> Counted:
    """Counts the values of a column."""
    return Counted(Column(name, title, "number"), lambda part: distinct(part, column, unit))


EVERY = Counted(Column("entries", "Log entries", "number"), number)


def counts_by(
    name: str,
    title: str,
    about: str,
    frame: pd.DataFrame,
    keys: Mapping[str, Column],
    counts: Sequence[Counted],
    *,
    words: Mapping[str, Callable[[str], str]] | None = None,
    most: int | None = None,
    empty: str = "Nothing was found.",
) -> Table:
    """A table of counts by the values of some columns, with a total.

    Args:
        keys: column of the frame → column of the table. words: what values of a column are called.
        most: only the rows with most entries are kept, in falling order; the total is of all.
    """
    said = words or {}
    parts = list(grouped(frame, list(keys)).items())
    if most is not None:
        parts = sorted(parts, key=lambda one: (-len(one[1]), one[0]))[:most]
    rows = [
        Row(
            tuple(said.get(k, str)(value) for k, value in zip(keys, key, strict=True))
            + tuple(one.measure(part) for one in counts),
            Leaves.of(part["leaf"].to_numpy()),
        )
        for key, part in parts
    ]
    labels: tuple[Cell, ...] = ("All together", *[None] * (len(keys) - 1))
    total = Row((*labels, *(one.measure(frame) for one in counts)), None) if rows else None
    columns = (*keys.values(), *(one.column for one in counts))
    return Table(name, title, about, columns, tuple(rows), empty=empty, total=total)
