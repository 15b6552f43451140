"""The kinds of thing that have versions: client records, care items, staff entries. A table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from sqlalchemy import Table

from schemas.columns import UnitBatch
from store import tables
from store.classing import Classes, restricted
from store.indexes import Indexes

Values = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Kind:
    """One row of `KINDS`.

    Attributes:
        name: told apart in content digests by this.
        head, version: its tables.
        id_column, key_column: of the head: its row id, and the keyed digest of the source's id.
        withdrawn_columns: of the head, where things of this kind can be withdrawn.
        extra_columns: of the head, beside those that every head has.
        rows: its rows in a batch.
        keys: (indexes, source, rows) → `key_column` of each row.
        extra_sources: columns of a batch's rows that `extras` reads.
        extras: (indexes, source, rows, classes) → values of `extra_columns` of each row.
    """

    name: str
    head: Table
    version: Table
    id_column: str
    key_column: str
    withdrawn_columns: Sequence[str]
    extra_columns: Sequence[str]
    extra_sources: Sequence[str]
    rows: Callable[[UnitBatch], pa.Table]
    keys: Callable[[Indexes, str, pa.Table], list[bytes]]
    extras: Callable[[Indexes, str, pa.Table, Classes], Values]


def _record_extras(indexes: Indexes, _: str, rows: pa.Table, _classes: Classes) -> Values:
    numbers = rows["nhs_number"].to_pylist()
    keys = iter(indexes.number_keys(n for n in numbers if n is not None))
    digests = [None if number is None else next(keys) for number in numbers]
    return list(zip(digests, restricted(rows["content"].to_pylist()), strict=True))


def _item_extras(indexes: Indexes, source: str, rows: pa.Table, classes: Classes) -> Values:
    subjects = rows["subject"].to_pylist()
    keys = iter(indexes.record_keys(source, (s for s in subjects if s is not None)))
    subject_keys = [None if subject is None else next(keys) for subject in subjects]
    ids = classes.ids(source, rows["content"].to_pylist())
    return list(zip(rows["heading"].to_pylist(), subject_keys, ids, strict=True))


RECORD = Kind(
    name="record",
    head=tables.record,
    version=tables.record_version,
    id_column="record_id",
    key_column="record_key",
    withdrawn_columns=("withdrawn_at",),
    extra_columns=("nhs_key", "restricted"),
    extra_sources=("nhs_number", "content"),
    rows=lambda batch: batch.records,
    keys=lambda indexes, source, rows: indexes.record_keys(source, rows["local_id"].to_pylist()),
    extras=_record_extras,
)
ITEM = Kind(
    name="item",
    head=tables.care_item,
    version=tables.care_item_version,
    id_column="care_item_id",
    key_column="item_key",
    withdrawn_columns=(),
    extra_columns=("heading", "subject_key", "class_id"),
    extra_sources=("heading", "subject", "content"),
    rows=lambda batch: batch.items,
    keys=lambda indexes, source, rows: indexes.item_keys(
        source, rows["heading"].to_pylist(), rows["item_id"].to_pylist()
    ),
    extras=_item_extras,
)
STAFF = Kind(
    name="staff",
    head=tables.staff_entry,
    version=tables.staff_entry_version,
    id_column="staff_entry_id",
    key_column="staff_key",
    withdrawn_columns=(),
    extra_columns=(),
    extra_sources=("staff_id",),
    rows=lambda batch: batch.staff,
    keys=lambda indexes, source, rows: indexes.staff_keys(source, rows["staff_id"].to_pylist()),
    extras=lambda _indexes, _source, rows, _classes: [()] * int(rows.num_rows),
)
KINDS = (RECORD, ITEM, STAFF)
