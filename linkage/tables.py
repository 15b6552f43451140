"""A user's table as the columns that linkage reads: mapped by the user, or by well-known names.

Rules:
- Every value is read as text, whatever its column's type (linkage/texts.py).
- Values that are not what their field says (an NHS number with a wrong check digit, a date that is
  none) carry no evidence, and are counted.
- Records are put in the order of id and source, or of their content where there is no id: the
  order of rows decides nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage import birthdates
from linkage import standardise as std
from linkage.columns import distinct, encode
from linkage.model import ColumnSpec
from linkage.table_names import (
    ID_NAMES,
    SOURCE_OF_FILE,
    WELL_KNOWN,
    WELL_KNOWN_IDENTIFIERS,
    as_columns,
    check_exact,
    check_names,
    check_once,
    plain,
    shown,
)
from linkage.texts import as_arrow, as_text, by_value, lists_of_texts
from schemas.errors import InputError, NotUsable

EXTRA: Mapping[str, str] = {
    "town": "category", "region": "category", "birth_place": "category", "occupation": "category",
    "ethnicity": "category",
}  # fmt: skip
"""Fields beyond the standard columns → kind of column."""


@dataclass
class Reading:
    """How a table was understood.

    Attributes:
        table: the columns that linkage reads, one row per record, in the input's order.
        ids: record ids as text. extra: declared columns beyond the standard ones.
        mapping: field → columns; recognised: those that were not mapped by the user.
        without_evidence: field → how many values were none of their kind.
    """

    table: pa.Table
    ids: pa.Array
    extra: tuple[ColumnSpec, ...]
    mapping: dict[str, list[str]]
    recognised: list[str]
    without_evidence: dict[str, int] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    """Columns of the table that nothing reads."""

    def __repr__(self) -> str:
        """Counts and names of columns: the last line of a notebook's cell shows no person."""
        return f"Reading({len(self.table)} records, mapping={self.mapping})"

    @property
    def sources(self) -> pa.Array:
        """Each record's source."""
        return self.table["source"].combine_chunks().dictionary_decode()


def read_columns(
    data: Any,
    *,
    mapping: Mapping[str, str | Sequence[str]] | None = None,
    identifiers: str | Sequence[str] = (),
    exact: str | Sequence[str] = (),
    id_column: str | None = None,
    source_column: str | None = None,
) -> Reading:
    """Reads a user's table; see the module's rules.

    Args:
        mapping: field (`WELL_KNOWN`) → column or columns, in order (a date in three).
        identifiers: columns of further identifying numbers; exact: of further categories.
        id_column, source_column: where they are not called by a well-known name.

    Raises: InputError (no such field or column, an id that stands twice), NotUsable (nothing to
        link on).
    """
    table = as_arrow(data)
    identifiers, exact = as_columns(identifiers), as_columns(exact)
    taken = [*identifiers, *exact, *filter(None, (source_column, id_column))]
    asked = {name: as_columns(columns) for name, columns in (mapping or {}).items()}
    check_names(table, asked, taken)
    check_exact(exact)
    used, numbers, recognised = _recognise(table, asked, identifiers, taken)
    if not used and not numbers and not exact:
        raise NotUsable(
            "no column to link on: map some with --map field=column; fields are "
            + ", ".join(WELL_KNOWN)
        )
    for column in [c for columns in used.values() for c in columns] + numbers:
        check_once(table, column)
    id_column = id_column or _id_column(table)
    texts = _Texts(table)
    ids = texts.read(
        [*(c for columns in used.values() for c in columns), *numbers, *exact], id_column
    )
    sources = texts.of([source_column]) if source_column else _plain_source(texts, table)
    issues: dict[str, int] = {}
    columns: dict[str, pa.Array] = {"source": sources, **_standard(texts, used, sources, issues)}
    if numbers:
        columns["identifier"] = _identifiers(texts, numbers)
    extra = [ColumnSpec(name, kind) for name, kind in EXTRA.items() if name in used]
    columns |= {spec.name: texts.of(used[spec.name]) for spec in extra}
    columns |= {plain(name): texts.of([name]) for name in exact}
    extra += [ColumnSpec(plain(name), "category") for name in exact]
    ids, founder = _ids(table, id_column, ids, sources, columns)
    columns["founder"] = pa.array(founder)
    read = {*(c for columns in used.values() for c in columns), *numbers, *taken, id_column}
    unused = tuple(name for name in shown(table) if name not in read)
    return Reading(pa.table(columns), ids, tuple(extra), used, recognised, issues, unused)


def _recognise(
    table: pa.Table,
    asked: Mapping[str, list[str]],
    identifiers: Sequence[str],
    taken: Sequence[str],
) -> tuple[dict[str, list[str]], list[str], list[str]]:
    """Field → columns and the columns of identifiers, with what was recognised added."""
    used = {name: list(columns) for name, columns in asked.items()}
    spoken_for = {c for columns in used.values() for c in columns} | set(taken)
    by_plain = {plain(c): c for c in shown(table)}
    recognised = []
    for name, known in WELL_KNOWN.items():
        free = (by_plain[k] for k in known if by_plain.get(k) not in (None, *spoken_for))
        found = next(free, None)
        if name not in used and found is not None:
            if name == "full_name" and {"given_name", "family_name"} & set(used):
                continue
            used[name] = [found]
            recognised.append(f"{found} as {name}")
    numbers = list(identifiers)
    for known_as in WELL_KNOWN_IDENTIFIERS:
        found = by_plain.get(known_as)
        if found is not None and found not in spoken_for:
            numbers.append(found)
            recognised.append(f"{found} as an identifier")
    return used, numbers, recognised


class _Texts:
    """The table's columns as trimmed texts, null where empty; each distinct value read once."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._done: dict[str, pa.Array] = {}

    def of(self, columns: Sequence[str], separator: str = " ") -> pa.Array:
        """One column, or several joined, those that are missing left out: a dictionary array."""
        parts = [self._one(name) for name in columns]
        if len(parts) == 1:
            return parts[0]
        # Not null_handling="skip": that drops rows of which every part is null.
        plain = (pc.fill_null(part.dictionary_decode(), "") for part in parts)
        joined = pc.utf8_trim(pc.binary_join_element_wise(*plain, separator), characters=separator)
        return by_value(joined, as_text)

    def several(
        self, columns: Sequence[str], read: Callable[[pa.Array], pa.Array] | None = None
    ) -> pa.Array:
        """As `of`, but a list column keeps its values apart: any of them may agree."""
        array = self._table[columns[0]].combine_chunks()
        if len(columns) > 1 or not pa.types.is_list(array.type):
            found = self.of(columns)
            return by_value(found, read) if read else found
        lists = lists_of_texts(array)
        return pa.ListArray.from_arrays(lists.offsets, read(lists.values)) if read else lists

    def read(self, names: Sequence[str], id_column: str | None) -> pa.Array | None:
        """Reads columns side by side, as Arrow's kernels let other threads run; gives the ids."""
        # What is not kept by value takes longest: it comes first.
        kept = {name: pa.types.is_dictionary(self._table[name].type) for name in names}
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            ids = pool.submit(self._ids, id_column)
            list(pool.map(self._one, sorted(kept, key=kept.__getitem__)))
            return ids.result()

    def _ids(self, column: str | None) -> pa.Array | None:
        """Ids as texts."""
        return as_text(self._table[column].combine_chunks()) if column else None

    def _one(self, name: str) -> pa.Array:
        if name not in self._done:
            array = self._table[name].combine_chunks()
            if pa.types.is_nested(array.type):
                array = as_text(array)
            self._done[name] = by_value(array, as_text)
        return self._done[name]


def _plain_source(texts: _Texts, table: pa.Table) -> pa.Array:
    if SOURCE_OF_FILE in table.column_names:
        return texts.of([SOURCE_OF_FILE])
    same = pa.array(np.zeros(len(table), np.int32))
    return pa.DictionaryArray.from_arrays(same, pa.array(["0"]))


def _missing(read: pa.Array, sent: pa.Array) -> int:
    """How many values were sent and not understood."""
    return int(read.null_count - sent.null_count)


def _standard(
    texts: _Texts, used: Mapping[str, list[str]], sources: pa.Array, issues: dict[str, int]
) -> dict[str, pa.Array]:
    """Columns of `schemas.columns.MATCH_SCHEMA` from the fields that are mapped."""
    out: dict[str, pa.Array] = {}
    given = [*used.get("given_name", ()), *used.get("middle_name", ())]
    if given:
        out["given"] = texts.of(given)
    if "family_name" in used:
        out["family"] = texts.of(used["family_name"])
    if "previous_family_name" in used:
        out["family_previous"] = texts.of(used["previous_family_name"])
    if "full_name" in used:
        out["name_text"] = texts.of(used["full_name"])
    lines = [c for f in ("house_number", "street", "address") for c in used.get(f, ())]
    if lines:
        out["address"] = texts.several(lines)
    if "gp_practice" in used:
        out["gp_practice"] = texts.of(used["gp_practice"])
    for name in ("phone", "email", "uprn"):
        if name in used:
            out[name] = texts.several(used[name])
    if "postcode" in used:
        out["postcode"] = texts.several(used["postcode"], postcodes)
    if "gender" in used:
        out["gender"] = by_value(texts.of(used["gender"]), _genders)
    if "nhs_number" in used:
        sent = texts.of(used["nhs_number"])
        out["nhs_number"] = by_value(sent, nhs_numbers)
        issues["nhs_number"] = _missing(out["nhs_number"], sent)
    if "date_of_birth" in used:
        columns = used["date_of_birth"]
        sent = texts.of(columns, "-")
        out["birth_date"], issues["date_of_birth"] = _dates(sent, sources)
    return out


def _dates(sent: pa.Array, sources: pa.Array) -> tuple[pa.Array, int]:
    """Dates as yyyymmdd numbers, each source's in its own order of day and month, and how many
    could not be read."""
    codes, values = encode(sent)
    day, unread_day = birthdates.dates(values, first="day")
    # What is missing (-1) reads the last entry.
    found = np.append(day, np.int32(0)).take(codes)
    unread = np.append(unread_day, False).take(codes)
    month, unread_month = day, unread_day
    if unread_day.any():
        month, unread_month = birthdates.dates(values, first="month")
    if (unread_day & ~unread_month).any():
        present = codes >= 0
        source, names = encode(sources)
        seen, _ = distinct(source[present].astype(np.int64) * len(values) + codes[present])
        of, value = seen // len(values), seen % len(values)
        bad_day = np.bincount(of, weights=unread_day[value], minlength=len(names))
        bad_month = np.bincount(of, weights=unread_month[value], minlength=len(names))
        turned = present & (bad_month < bad_day)[source]
        found = np.where(turned, month[codes], found)
        unread = np.where(turned, unread_month[codes], unread)
    return pa.array(found.astype(np.int32), mask=found == 0), int(unread.sum())


def postcodes(array: pa.Array) -> pa.Array:
    """Postcodes in capitals, those of the UK with one space in the right place."""
    compact = pc.replace_substring_regex(std.plain_upper(array), "[^A-Z0-9]+", "")
    british = pc.match_substring_regex(compact, r"^[A-Z]{1,2}[0-9][A-Z0-9]?[0-9][A-Z]{2}$")
    spaced = pc.replace_substring_regex(compact, r"^(.*)(...)$", r"\1 \2")
    text = pc.if_else(british, spaced, compact)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def nhs_numbers(array: pa.Array) -> pa.Array:
    """NHS numbers as ten digits; null where the check digit is wrong (Modulus 11, NHS Data
    Dictionary)."""
    digits = pc.replace_substring_regex(array, r"^(\d{10})\.0$", r"\1")
    digits = pc.replace_substring_regex(digits, r"[\s.-]+", "")
    sound = pc.fill_null(pc.match_substring_regex(digits, r"^[0-9]{10}$"), False)
    numbers = pc.fill_null(pc.cast(pc.if_else(sound, digits, None), pa.int64()), 0)
    values = numbers.to_numpy(zero_copy_only=False)
    powers = 10 ** np.arange(9, -1, -1, dtype=np.int64)
    figures = values[:, None] // powers % 10
    check = 11 - (figures[:, :9] * np.arange(10, 1, -1)).sum(axis=1) % 11
    right = np.where(check == 11, 0, check) == figures[:, 9]
    return pc.if_else(pc.and_(sound, pa.array(right)), digits, pa.scalar(None, pa.string()))


_GENDERS = {
    **dict.fromkeys(("m", "male", "man", "boy", "1"), "male"),
    **dict.fromkeys(("f", "female", "woman", "girl", "2"), "female"),
}
"""Texts for gender; the digits are those of ISO 5218 and of the NHS Data Dictionary."""


def _genders(array: pa.Array) -> pa.Array:
    sent = pc.utf8_lower(array).to_pylist()
    return pa.array([_GENDERS.get(text) for text in sent], pa.string())


def _identifiers(texts: _Texts, columns: Sequence[str]) -> pa.Array:
    """One list per record of `column|value`."""
    parts = []
    for name in columns:
        codes, values = encode(texts.of([name]))
        compact = pc.replace_substring_regex(std.plain_upper(values), "[^A-Z0-9]+", "")
        nothing = pc.fill_null(pc.match_substring_regex(compact, "^0*$"), True)
        named = pc.binary_join_element_wise(pa.scalar(plain(name)), compact, "|")
        named = pc.if_else(nothing, pa.scalar(None, pa.string()), named)
        parts.append(named.take(pa.array(codes, mask=codes < 0)))
    n = len(parts[0])
    flat = pa.concat_arrays(parts).take(
        pa.array(np.arange(n * len(parts)).reshape(len(parts), n).T.reshape(-1))
    )
    present = flat.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(present.reshape(n, -1).sum(axis=1))])
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), flat.drop_null())


def _id_column(table: pa.Table) -> str | None:
    """The column that names each record, by its well-known name."""
    return next((c for c in shown(table) if plain(c) in ID_NAMES), None)


_WHOLE_NUMBER = "^(?:0|[1-9][0-9]{0,17})$"


def _ids(
    table: pa.Table,
    id_column: str | None,
    ids: pa.Array | None,
    sources: pa.Array,
    columns: Mapping[str, pa.Array],
) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """Record ids as text, and each record's place in the canonical order."""
    n = len(table)
    if id_column is None or ids is None:
        return pa.array(np.arange(n)).cast(pa.string()), _rank_by_content(columns, n)
    sent = table[id_column].combine_chunks()
    if ids.null_count:
        raise InputError(f"column {id_column!r}: an id is empty")
    keys = sent if pa.types.is_integer(sent.type) else ids
    if keys is ids and pc.all(pc.match_substring_regex(ids, _WHOLE_NUMBER)).as_py():
        keys = pc.cast(ids, pa.int64())
    if bool(pc.all(pc.less(keys[:-1], keys[1:])).as_py() is not False):
        return ids, np.arange(n)
    order = pc.sort_indices(
        pa.table({"id": keys, "source": sources.dictionary_decode()}),
        sort_keys=[("id", "ascending"), ("source", "ascending")],
    )
    sorted_ids = keys.take(order)
    sorted_sources = sources.take(order).dictionary_decode()
    twice = pc.and_(
        pc.equal(sorted_ids[:-1], sorted_ids[1:]), pc.equal(sorted_sources[:-1], sorted_sources[1:])
    )
    again = int(pc.sum(twice).as_py() or 0)
    if again:
        raise InputError(
            f"column {id_column!r}: {again:,} ids stand twice in one source; name a column of ids "
            "that are unique, or the column of sources"
        )
    rank = np.empty(n, np.int64)
    rank[order.to_numpy()] = np.arange(n)
    return ids, rank


def _rank_by_content(columns: Mapping[str, pa.Array], n: int) -> npt.NDArray[np.int64]:
    """Places in the order of what the records hold: equal records may change places freely."""
    plain = {k: v for k, v in columns.items() if not pa.types.is_list(v.type)}
    decoded = {
        k: v.dictionary_decode() if pa.types.is_dictionary(v.type) else v for k, v in plain.items()
    }
    order = pc.sort_indices(pa.table(decoded), sort_keys=[(k, "ascending") for k in decoded])
    rank = np.empty(n, np.int64)
    rank[order.to_numpy()] = np.arange(n)
    return rank
