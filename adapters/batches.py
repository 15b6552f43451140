"""Gathers what a reader makes of each unit into columnar batches.

Rules:
- `next_unit` opens a unit; whatever is added until the next call belongs to it.
- A unit ends in `reject` or with at least one thing added; the builder checks that it did, because
  a unit without an outcome would be a loss nobody sees.
"""

from __future__ import annotations

from collections import Counter

from adapters.feed_bytes import KEPT_RAW_BYTES
from schemas.columns import (
    Envelope,
    UnitBatch,
    change_table,
    item_table,
    merge_table,
    record_table,
    staff_table,
    withdrawal_table,
)
from schemas.dates import Instant
from schemas.items import CareItem
from schemas.records import (
    ClientRecord,
    IdentityChanged,
    Rejected,
    SourceMerge,
    StaffEntry,
    Withdrawal,
)


class BatchBuilder:
    """Builds one `UnitBatch` after another. A reader opens at most one unit at a time."""

    def __init__(self, batch_units: int) -> None:
        self._batch_units = batch_units
        self._next = 0
        self._begin()

    def _begin(self) -> None:
        self._first = self._next
        self._filled = True
        self._records: list[tuple[Envelope, ClientRecord]] = []
        self._items: list[tuple[Envelope, CareItem]] = []
        self._merges: list[tuple[Envelope, SourceMerge]] = []
        self._staff: list[tuple[Envelope, StaffEntry]] = []
        self._withdrawals: list[tuple[Envelope, Withdrawal]] = []
        self._changes: list[tuple[Envelope, IdentityChanged]] = []
        self._rejected: list[Rejected] = []
        self._issues: Counter[tuple[str, str]] = Counter()

    @property
    def unit(self) -> int:
        """Ordinal of the open unit."""
        return self._next - 1

    @property
    def full(self) -> bool:
        """Whether the batch holds as many units as it may; `take` it before opening another."""
        return self._next - self._first >= self._batch_units

    def next_unit(self) -> int:
        """Opens the next unit and gives its ordinal."""
        self._check_filled()
        self._filled = False
        self._next += 1
        return self.unit

    def record(self, record: ClientRecord, as_at: Instant | None = None) -> None:
        """Adds a client record to the open unit."""
        self._filled = True
        self._records.append(((self.unit, as_at), record))

    def item(self, item: CareItem, as_at: Instant | None = None) -> None:
        """Adds a care item to the open unit."""
        self._filled = True
        self._items.append(((self.unit, as_at), item))

    def merge(self, merge: SourceMerge, as_at: Instant | None = None) -> None:
        """Adds a source merge to the open unit."""
        self._filled = True
        self._merges.append(((self.unit, as_at), merge))

    def staff(self, entry: StaffEntry, as_at: Instant | None = None) -> None:
        """Adds a staff entry to the open unit."""
        self._filled = True
        self._staff.append(((self.unit, as_at), entry))

    def withdrawal(self, withdrawal: Withdrawal, as_at: Instant | None = None) -> None:
        """Adds a withdrawal to the open unit."""
        self._filled = True
        self._withdrawals.append(((self.unit, as_at), withdrawal))

    def identity_change(self, change: IdentityChanged, as_at: Instant | None = None) -> None:
        """Adds a change of identity to the open unit."""
        self._filled = True
        self._changes.append(((self.unit, as_at), change))

    def issue(self, field: str, reason: str, count: int = 1) -> None:
        """Counts fields that could not be read as their type and were kept as sent."""
        self._issues[field, reason] += count

    def reject(self, where: str, field: str, reason: str, message: str, raw: bytes) -> None:
        """Quarantines the open unit; the bytes are cut at 64 KiB."""
        self._filled = True
        self._rejected.append(
            Rejected(self.unit, where, field, reason, message, raw[:KEPT_RAW_BYTES])
        )

    def take(self) -> UnitBatch:
        """The batch gathered so far; begins an empty one."""
        self._check_filled()
        batch = UnitBatch(
            first_unit=self._first,
            units=self._next - self._first,
            records=record_table(self._records),
            items=item_table(self._items),
            merges=merge_table(self._merges),
            staff=staff_table(self._staff),
            withdrawals=withdrawal_table(self._withdrawals),
            changes=change_table(self._changes),
            rejected=tuple(self._rejected),
            issues=dict(self._issues),
        )
        self._begin()
        return batch

    def _check_filled(self) -> None:
        if not self._filled:
            raise RuntimeError(f"unit {self.unit} has no outcome")
