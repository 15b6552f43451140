"""Reads delimited files (CSV and its kin) by the mapping that the settings declare.

Rules:
- Every row is one unit; a row that cannot be taken apart (`adapters.delimited_rows`) or is not
  what its file's kind says is quarantined alone.
- The file is refused as a whole only where its header, its compression or its first bytes are not
  what the settings declare.
- A column that no field is mapped to is left out and counted, once per file.
- No message holds a value: messages name columns, fields, lines and kinds of character.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from adapters.batches import BatchBuilder
from adapters.delimited_fields import RowFields, Unfit
from adapters.delimited_items import ItemFields, StaffFields
from adapters.delimited_lines import Row, RowFault
from adapters.delimited_records import RecordFields
from adapters.delimited_rows import DelimitedFile
from adapters.feed_bytes import open_feed
from adapters.mapping import Unread, Values
from schemas.columns import UnitBatch
from schemas.dates import Instant
from schemas.records import ClientRecord, SourceMerge
from schemas.settings import Limits, SourceSettings
from service.ports import FeedFile

_KINDS: dict[str, type[RowFields]] = {
    "client_record": RecordFields,
    "care_item": ItemFields,
    "staff": StaffFields,
}
"""How rows of each of `schemas.settings.KINDS` are read."""


def read_delimited(feed: FeedFile, source: SourceSettings, limits: Limits) -> Iterator[UnitBatch]:
    """One feed's rows as batches. Raises (as it goes): FeedRefused."""
    with open_feed(feed.path, limits) as stream:
        file = DelimitedFile(stream, feed.settings, limits.max_unit_bytes)
        fields = _KINDS[feed.settings.kind](file.header, feed.settings, source)
        builder = BatchBuilder(limits.batch_units)
        for _ in fields.plan.unmapped:
            builder.issue("header", "column not mapped")
        load = _Loader(feed.settings.kind, fields, builder)
        for block in file.blocks():
            load.begin(block)
            for number, row, raw in block:
                if builder.full:
                    yield builder.take()
                builder.next_unit()
                fault = load.unit(row)
                if fault:
                    line = raw if isinstance(raw, bytes) else raw.encode(file.form.encoding)
                    builder.reject(f"line {number}", fault.field, fault.code, fault.reason, line)
        last = builder.take()
        if last.units or last.issues:
            yield last


class _Loader:
    """Adds rows to the open units of a builder."""

    def __init__(self, kind: str, fields: RowFields, builder: BatchBuilder) -> None:
        adds: dict[str, Callable[[Any, Instant | None], None]] = {
            "client_record": builder.record,
            "care_item": builder.item,
            "staff": builder.staff,
        }
        self._add, self._issue, self._merge = adds[kind], builder.issue, builder.merge
        self._withdraw, self._change = builder.withdrawal, builder.identity_change
        self._fields, self._width = fields, fields.plan.width
        self._values: Iterator[tuple[Values, Unread]] = iter(())

    def begin(self, block: list[Row]) -> None:
        """Takes the block's rows apart, to be given to `unit` in this order."""
        fitting = [row for _, row, _ in block if self._misfit(row) is None]
        self._values = self._fields.plan.values(cast("list[list[str]]", fitting))

    def _misfit(self, row: list[str] | RowFault) -> Unfit | None:
        if isinstance(row, RowFault):
            return Unfit("", row.reason, row.message)
        if len(row) != self._width:
            return Unfit("", "columns", f"expected {self._width} fields; got {len(row)}")
        return None

    def unit(self, row: list[str] | RowFault) -> Unfit | None:
        """Adds the block's next row to the open unit, or says why it cannot be loaded."""
        misfit = self._misfit(row)
        if misfit:
            return misfit
        values, unread = next(self._values)
        kept = list(unread)
        try:
            withdrawal = self._fields.withdrawal(values)
            if withdrawal is not None:
                self._withdraw(withdrawal, self._fields.as_at(values))
                return None
            self._fields.check(unread)
            thing = self._fields.unit(values, unread)
            change = self._fields.identity_change(values)
        except Unfit as unfit:
            return unfit
        as_at = self._fields.as_at(values)
        self._add(thing, as_at)
        if change is not None:
            self._change(change, as_at)
        if isinstance(thing, ClientRecord) and thing.replaced_by is not None:
            self._merge(SourceMerge(thing.local_id, thing.replaced_by), as_at)
        if kept or unread:
            for field in dict.fromkeys([*kept, *unread]):
                self._issue(field, "bad_value")
        return None
