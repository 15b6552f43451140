"""Columnar batches: how records travel in bulk from an adapter to the store and the linkage core.

Rules:
- A reader yields `UnitBatch`es. Each unit of the feed is in exactly one batch and, within it, in
  `rejected` or in at least one of the tables, told by its ordinal `unit`.
- `content` is the canonical JSON of a record without its envelope (`as_at`, `unit`): equal content
  means nothing changed.
- `MATCH_SCHEMA` columns are what linkage reads; they repeat what `content` holds, as sent, flat.
  List columns hold the current value first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa

from schemas.codes import TelecomSystem
from schemas.dates import Instant
from schemas.demographics import NhsNumberClaim
from schemas.identifiers import NumberRange, number_range
from schemas.items import CareItem
from schemas.records import (
    ClientRecord,
    IdentityChanged,
    Rejected,
    SourceMerge,
    StaffEntry,
    Withdrawal,
)

_LIST = pa.list_(pa.string())

MATCH_SCHEMA = pa.schema(
    [
        ("nhs_number", pa.string()),
        ("nhs_status", pa.string()),
        ("given", _LIST),
        ("family", _LIST),
        ("name_text", _LIST),
        ("birth_date", pa.string()),
        ("gender", pa.string()),
        ("birth_sex", pa.string()),
        ("ethnicity", pa.string()),
        ("postcode", _LIST),
        ("address", _LIST),
        ("uprn", _LIST),
        ("phone", _LIST),
        ("email", _LIST),
        ("gp_practice", pa.string()),
        ("identifier", _LIST),
        ("death", pa.string()),
    ]
)
"""Columns for linkage. `given` and `family` run in parallel, one entry per name (empty text where a
name lacks that part); `address` and `postcode` run in parallel likewise; `identifier` entries are
`system|value`, a Scottish or Northern Irish number among them; `death` is a date, or `yes` where
only the fact is known."""

RECORD_SCHEMA = pa.schema(
    [
        ("unit", pa.int64()),
        ("local_id", pa.string()),
        ("as_at", pa.string()),
        ("content", pa.large_binary()),
        *MATCH_SCHEMA,
    ]
)
ITEM_SCHEMA = pa.schema(
    [
        ("unit", pa.int64()),
        ("subject", pa.string()),
        ("heading", pa.string()),
        ("item_id", pa.string()),
        ("as_at", pa.string()),
        ("content", pa.large_binary()),
    ]
)
MERGE_SCHEMA = pa.schema(
    [
        ("unit", pa.int64()),
        ("retired", pa.string()),
        ("survivor", pa.string()),
        ("undone", pa.bool_()),
        ("as_at", pa.string()),
    ]
)
WITHDRAWAL_SCHEMA = pa.schema(
    [
        ("unit", pa.int64()),
        ("local_id", pa.string()),
        ("reason", pa.string()),
        ("as_at", pa.string()),
    ]
)
CHANGE_SCHEMA = pa.schema(
    [
        ("unit", pa.int64()),
        ("before", pa.string()),
        ("after", pa.string()),
        ("undone", pa.bool_()),
        ("as_at", pa.string()),
    ]
)
STAFF_SCHEMA = pa.schema(
    [
        ("unit", pa.int64()),
        ("staff_id", pa.string()),
        ("as_at", pa.string()),
        ("content", pa.large_binary()),
    ]
)

_ENCODER = msgspec.json.Encoder(order="deterministic", decimal_format="number")


def canonical_json(value: Any) -> bytes:
    """The one byte form of a record: fields as declared, mapping keys sorted, no white space."""
    return _ENCODER.encode(value)


@dataclass(frozen=True)
class UnitBatch:
    """A run of consecutive units of one feed, as columns.

    Attributes:
        first_unit: ordinal of the first unit.
        units: how many units were read into this batch.
        records, items, merges, staff, withdrawals, changes: tables of the schemas above; `changes`
            are those of identity.
        rejected: units that were not loaded.
        issues: (field, reason) → how many fields of loaded units could not be read as their type
            and were kept as sent; no values.
    """

    first_unit: int
    units: int
    records: pa.Table
    items: pa.Table
    merges: pa.Table
    staff: pa.Table
    withdrawals: pa.Table
    changes: pa.Table
    rejected: tuple[Rejected, ...] = ()
    issues: Mapping[tuple[str, str], int] = field(default_factory=dict)


Envelope = tuple[int, Instant | None]
"""The unit a thing came in, and when the source says it stood so (None: as the feed says)."""


def record_table(rows: Sequence[tuple[Envelope, ClientRecord]]) -> pa.Table:
    """Client records as a table of `RECORD_SCHEMA`."""
    records = [record for _, record in rows]
    columns: dict[str, Any] = {
        "unit": [envelope[0] for envelope, _ in rows],
        "local_id": [r.local_id for r in records],
        "as_at": [envelope[1] for envelope, _ in rows],
        "content": [canonical_json(r) for r in records],
        **_match_columns(records),
    }
    return _table(RECORD_SCHEMA, columns)


def item_table(rows: Sequence[tuple[Envelope, CareItem]]) -> pa.Table:
    """Care items as a table of `ITEM_SCHEMA`."""
    columns = {
        "unit": [envelope[0] for envelope, _ in rows],
        "subject": [item.subject for _, item in rows],
        "heading": [item.heading.value for _, item in rows],
        "item_id": [item.item_id for _, item in rows],
        "as_at": [envelope[1] for envelope, _ in rows],
        "content": [canonical_json(item) for _, item in rows],
    }
    return _table(ITEM_SCHEMA, columns)


def merge_table(rows: Sequence[tuple[Envelope, SourceMerge]]) -> pa.Table:
    """Source merges as a table of `MERGE_SCHEMA`."""
    columns = {
        "unit": [envelope[0] for envelope, _ in rows],
        "retired": [merge.retired for _, merge in rows],
        "survivor": [merge.survivor for _, merge in rows],
        "undone": [merge.undone for _, merge in rows],
        "as_at": [envelope[1] for envelope, _ in rows],
    }
    return _table(MERGE_SCHEMA, columns)


def withdrawal_table(rows: Sequence[tuple[Envelope, Withdrawal]]) -> pa.Table:
    """Withdrawals as a table of `WITHDRAWAL_SCHEMA`."""
    columns = {
        "unit": [envelope[0] for envelope, _ in rows],
        "local_id": [withdrawal.local_id for _, withdrawal in rows],
        "reason": [withdrawal.reason.value for _, withdrawal in rows],
        "as_at": [envelope[1] for envelope, _ in rows],
    }
    return _table(WITHDRAWAL_SCHEMA, columns)


def change_table(rows: Sequence[tuple[Envelope, IdentityChanged]]) -> pa.Table:
    """Changes of identity as a table of `CHANGE_SCHEMA`."""
    columns = {
        "unit": [envelope[0] for envelope, _ in rows],
        "before": [change.before for _, change in rows],
        "after": [change.after for _, change in rows],
        "undone": [change.undone for _, change in rows],
        "as_at": [envelope[1] for envelope, _ in rows],
    }
    return _table(CHANGE_SCHEMA, columns)


def staff_table(rows: Sequence[tuple[Envelope, StaffEntry]]) -> pa.Table:
    """Staff entries as a table of `STAFF_SCHEMA`."""
    columns = {
        "unit": [envelope[0] for envelope, _ in rows],
        "staff_id": [entry.staff_id for _, entry in rows],
        "as_at": [envelope[1] for envelope, _ in rows],
        "content": [canonical_json(entry) for _, entry in rows],
    }
    return _table(STAFF_SCHEMA, columns)


def match_table(records: Iterable[ClientRecord]) -> pa.Table:
    """What linkage reads of client records, as a table of `MATCH_SCHEMA`."""
    return _table(MATCH_SCHEMA, _match_columns(list(records)))


def match_row(record: ClientRecord) -> dict[str, str | list[str] | None]:
    """The one row of `match_table([record])`, of plain values; for one record no table is made."""
    return {
        name: column.entries
        if isinstance(column, _Lists)
        else None
        if column[0] is None
        else str(column[0])
        for name, column in _match_columns([record]).items()
    }


def _table(schema: pa.Schema, columns: Mapping[str, Any]) -> pa.Table:
    arrays = [
        columns[f.name].array() if f.type == _LIST else pa.array(columns[f.name], type=f.type)
        for f in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


class _Lists:
    """A list column under construction: entries of one row after another, and where rows end.

    Flat, because a list object per row and column keeps the garbage collector busier than all else.
    """

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.ends = [0]
        self.add = self.entries.append

    def end_row(self) -> None:
        self.ends.append(len(self.entries))

    def array(self) -> pa.Array:
        ends, entries = pa.array(self.ends, pa.int32()), pa.array(self.entries, pa.string())
        return pa.ListArray.from_arrays(ends, entries)


_PHONES = (TelecomSystem.PHONE, TelecomSystem.SMS)


def _match_columns(records: Sequence[ClientRecord]) -> dict[str, Any]:
    claims = [_claim(r) for r in records]
    return {
        "nhs_number": [claim and claim.value for claim in claims],
        "nhs_status": [claim and claim.status for claim in claims],
        **_name_columns(records),
        "birth_date": [r.birth_date for r in records],
        "gender": [r.gender for r in records],
        "birth_sex": [r.birth_sex for r in records],
        "ethnicity": [r.ethnicity for r in records],
        **_address_columns(records),
        **_telecom_columns(records),
        "gp_practice": [r.gp_practice for r in records],
        "identifier": _identifier_column(records),
        "death": [(r.death.on or "yes") if r.death else None for r in records],
    }


def _name_columns(records: Sequence[ClientRecord]) -> dict[str, _Lists]:
    given, family, text = _Lists(), _Lists(), _Lists()
    for record in records:
        for name in record.names:
            given.add(" ".join(name.given))
            family.add(name.family or "")
            if name.text:
                text.add(name.text)
        given.end_row()
        family.end_row()
        text.end_row()
    return {"given": given, "family": family, "name_text": text}


def _address_columns(records: Sequence[ClientRecord]) -> dict[str, _Lists]:
    postcode, lines, uprn = _Lists(), _Lists(), _Lists()
    for record in records:
        for address in record.addresses:
            postcode.add(address.postcode or "")
            lines.add(", ".join(address.lines))
            if address.uprn:
                uprn.add(address.uprn)
        postcode.end_row()
        lines.end_row()
        uprn.end_row()
    return {"postcode": postcode, "address": lines, "uprn": uprn}


def _telecom_columns(records: Sequence[ClientRecord]) -> dict[str, _Lists]:
    phone, email = _Lists(), _Lists()
    for record in records:
        for telecom in record.telecoms:
            if telecom.system in _PHONES:
                phone.add(telecom.value)
            elif telecom.system is TelecomSystem.EMAIL:
                email.add(telecom.value)
        phone.end_row()
        email.end_row()
    return {"phone": phone, "email": email}


_OTHER_NATIONS = {
    NumberRange.SCOTLAND_CHI: "https://phs.scot/chi-number",
    NumberRange.NORTHERN_IRELAND: "https://fhir.hscni.net/Id/hcn-number",
}
"""Numbers that pass the same check as an NHS number, and what they are kept as for linkage."""


def _claim(record: ClientRecord) -> NhsNumberClaim | None:
    """The record's NHS number; another nation's number is another identifier."""
    claim = record.nhs_number
    return None if claim is None or number_range(claim.value) in _OTHER_NATIONS else claim


def _identifier_column(records: Sequence[ClientRecord]) -> _Lists:
    column = _Lists()
    for record in records:
        for identifier in record.identifiers:
            column.add(f"{identifier.system}|{identifier.value}")
        if record.nhs_number is not None:
            nation = _OTHER_NATIONS.get(number_range(record.nhs_number.value))
            if nation is not None:
                column.add(f"{nation}|{record.nhs_number.value}")
        column.end_row()
    return column
