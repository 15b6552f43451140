"""The records of a link as linkage takes them: what was read for an earlier one, and what differs.

Rules:
- Where records were read before under the same model and settings, only versions that were not
  are read now. The rest is told by their ids.
- Where nothing was kept, or not all that counts can be found so, every record is read.
- What was read is kept for the next link, once enough of it is new.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linkage.model import Model
from linkage.prepared import Prepared
from linkage.state import Decided
from schemas.errors import StoreError
from service.inputs import Inputs, former_versions
from service.ports import Store
from service.protected import Bound
from service.runs import KeptState, RunRow, RunState, StateKey

KEPT_ANEW = 0.02
"""What was read is kept anew once more than this share of the records is not in what was kept."""
Ids = npt.NDArray[np.int64]
_IDS = ("record_id", "version_id")


@dataclass(frozen=True)
class Reading:
    """What a link reads.

    Attributes:
        table: the records that count, in the versions that count, by record_id: all match columns,
            or only their ids where `prepared` has them.
        past: likewise the versions in the latest state that are changed or gone, as far as they
            are still held.
        prepared: all of these as features; None where they are not read yet.
        known: match columns of versions that are at hand.
        lacking: records that were not in what was kept.
    """

    table: pa.Table
    past: pa.Table
    prepared: Prepared | None = None
    known: tuple[pa.Table, ...] = ()
    lacking: int = 0

    def born_alike(self, delta: pa.Table) -> npt.NDArray[np.bool_]:
        """Which changed records of a delta have the birth date that they had, for certain.

        Args:
            delta: of `service.runs.DELTA_SCHEMA`, without nulls.
        """
        held = self.prepared
        alike = np.zeros(len(delta), bool)
        if held is None or "birth_date" not in held.columns:
            return alike
        before, after = (delta[side].to_numpy() for side in ("before", "after"))
        both = np.flatnonzero(held.held(before) & held.held(after))
        born = held.columns["birth_date"]
        one, two = (born.take(held.rows_of(side[both])).codes[0] for side in (before, after))
        alike[both] = (one == two) & (one >= 0)
        return alike


@dataclass(frozen=True)
class Opened:
    """What the last link left, opened. Loading feeds changes nothing of it.

    Attributes:
        kept: the latest state.
        prepared: see `Store.prepared`.
    """

    kept: KeptState | None
    prepared: tuple[int, Prepared] | None = None


def opened(store: Store, inputs: Inputs) -> Opened:
    """What the last link left, as far as one under these inputs can go on from it."""
    return Opened(store.link_state(), store.prepared(inputs.hash))


def read_again(store: Store, inputs: Inputs, model: Model, last: Opened) -> Reading | None:
    """The live records, from what was kept of them; None where that is not enough."""
    if last.prepared is None:
        return None
    (since, held), kept = last.prepared, last.kept
    live = store.live_versions()
    fresh = live[~held.held(live)]
    recent = store.recent_columns(since, fresh.tolist())
    if len(recent) != len(fresh):
        return None
    known = [recent]
    held = held.with_more(_read(recent, inputs, model))
    rows = held.rows_of(live)
    rows = rows[_ascending(held.record_id[rows])]
    table = pa.table([held.record_id[rows], held.version_id[rows]], names=_IDS)
    past = np.array(former_versions(kept, table), np.int64)
    lacking = past[~held.held(past)]
    if len(lacking):
        known.append(store.past_columns(lacking.tolist()))
        held = held.with_more(_read(known[-1], inputs, model))
        past = past[held.held(past)]
    rows = held.rows_of(past)
    rows = rows[_ascending(held.record_id[rows])]
    gone = pa.table([held.record_id[rows], held.version_id[rows]], names=_IDS)
    return Reading(table, gone, held, tuple(known), len(fresh))


def _ascending(ids: Ids) -> Ids:
    """The order of ids, each once."""
    # Record ids are mostly dense: a place for each that there could be takes less than sorting.
    high = int(ids.max(initial=0))
    if high > 8 * len(ids):
        return np.argsort(ids)
    place = np.full(high + 1, -1, np.int64)
    place[ids] = np.arange(len(ids))
    return place[place >= 0]


def _read(table: pa.Table, inputs: Inputs, model: Model) -> Prepared:
    return Prepared.read(table, accept_test_numbers=inputs.accept_test_numbers, extra=model.columns)


def read_all(
    store: Store, table: pa.Table, inputs: Inputs, model: Model, kept: KeptState | None
) -> Reading:
    """The records that count, every one of them read.

    Args:
        table: their match columns.
    """
    past = store.past_columns(former_versions(kept, table))
    both = pa.concat_tables([table, past]) if len(past) else table
    return Reading(table, past, _read(both, inputs, model), (past, table), len(table))


def keep_reading(store: Store, inputs: Inputs, reading: Reading) -> None:
    """Keeps what was read of the records that count, if what is kept lacks too many of them."""
    held = reading.prepared
    if held is not None and reading.lacking > KEPT_ANEW * len(reading.table):
        rows = held.rows_of(reading.table["version_id"].to_numpy())
        store.keep_prepared(inputs.hash, held.compact(rows[held.in_order(rows)]))


def whole(store: Store, table: pa.Table) -> pa.Table:
    """All match columns of the records that count. Raises: StoreError where they changed since."""
    if "founder" in table.column_names:
        return table
    found = store.match_columns()
    if not found["version_id"].combine_chunks().equals(table["version_id"].combine_chunks()):
        raise StoreError("records changed while they were linked; run again, nothing is lost")
    return found


@dataclass(frozen=True)
class Ground:
    """What a link stands on.

    Attributes:
        table: the records that count, in the versions that count.
        bound: what people and sources declared, changes of identity included.
        kept, last: the latest link state and run.
        past: of the versions in that state whose records are changed or gone, as far as they are
            still held.
        reading: what was read of all these; None where linkage reads it.
    """

    table: pa.Table
    inputs: Inputs
    key: StateKey
    bound: Bound
    kept: KeptState | None
    last: RunRow | None
    past: pa.Table
    reading: Reading | None = None

    def founders(self, rows: Ids) -> pa.Array:
        """Founder keys of some records, by their place in the table."""
        held = self.reading.prepared if self.reading else None
        if held is None:
            return self.table["founder"].combine_chunks().take(pa.array(rows))
        return held.founder.take(pa.array(held.rows_of(self.table["version_id"].to_numpy()[rows])))

    @property
    def decided(self) -> Decided:
        """What is declared, as linkage takes it."""
        return self.bound.decided

    @property
    def continues(self) -> bool:
        """Whether the last run shows the latest state, in full."""
        if self.kept is None or self.last is None or self.held:
            return False
        return self.last.state_id == self.kept.state_id

    @property
    def held(self) -> bool:
        """Whether the last run was published in part."""
        return self.last is not None and self.last.state is RunState.HELD
