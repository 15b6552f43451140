"""Rows of a table, whatever file they came in, to units by the mapping that the settings declare.

Rules:
- Every row is one unit; a row that is at fault or is not what its kind says is quarantined alone.
- A column that no field is mapped to is left out and counted, once per table.
- No message holds a value: messages name columns, fields, places and kinds of character.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from adapters.batches import BatchBuilder
from adapters.delimited_fields import RowFields, Unfit
from adapters.delimited_items import ItemFields, StaffFields
from adapters.delimited_lines import Row, RowFault
from adapters.delimited_records import RecordFields
from adapters.mapping import Unread, Values
from schemas.columns import UnitBatch
from schemas.dates import Instant
from schemas.records import ClientRecord, SourceMerge
from schemas.settings import Mapped, SourceSettings

_KINDS: dict[str, type[RowFields]] = {
    "client_record": RecordFields,
    "care_item": ItemFields,
    "staff": StaffFields,
}
"""How rows of each of `schemas.settings.KINDS` are read."""


class RowUnits:
    """Makes a unit of each row of one table and adds it to a builder."""

    def __init__(
        self, header: Sequence[str], settings: Mapped, source: SourceSettings, builder: BatchBuilder
    ) -> None:
        """Raises: FeedRefused (`missing_column`)."""
        adds: dict[str, Callable[[Any, Instant | None], None]] = {
            "client_record": builder.record,
            "care_item": builder.item,
            "staff": builder.staff,
        }
        self._add, self._issue, self._merge = adds[settings.kind], builder.issue, builder.merge
        self._withdraw, self._change = builder.withdrawal, builder.identity_change
        self._fields = fields = _KINDS[settings.kind](header, settings, source)
        self._width, self._builder = fields.plan.width, builder
        for _ in fields.plan.unmapped:
            builder.issue("header", "column not mapped")

    def load(
        self, block: list[Row], where: Callable[[int], str], encoding: str = "utf-8"
    ) -> Iterator[UnitBatch]:
        """Adds a block's rows, and gives each batch that is full before the next unit.

        Args:
            where: the place of a row, by its number.
            encoding: of what is kept of a rejected row, where that is text.
        """
        builder = self._builder
        fitting = [row for _, row, _ in block if self._misfit(row) is None]
        values = self._fields.plan.values(cast("list[list[str]]", fitting))
        for number, row, raw in block:
            if builder.full:
                yield builder.take()
            builder.next_unit()
            fault = self._misfit(row) or self._unit(*next(values))
            if fault:
                kept = raw if isinstance(raw, bytes) else raw.encode(encoding)
                builder.reject(where(number), fault.field, fault.code, fault.reason, kept)

    def _misfit(self, row: list[str] | RowFault) -> Unfit | None:
        if isinstance(row, RowFault):
            return Unfit(row.field, row.reason, row.message)
        if len(row) != self._width:
            return Unfit("", "columns", f"expected {self._width} fields; got {len(row)}")
        return None

    def _unit(self, values: Values, unread: Unread) -> Unfit | None:
        """Adds a row to the open unit, or says why it cannot be loaded."""
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
