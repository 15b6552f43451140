"""Where the records of a link stand: by id, by place among the live ones, by row in the features.

Rules:
- A record has an id, for ever; a *place*, in the order of the ids that are live; and a *row* in the
  features, which stand in founder order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage.compare import Levels
from linkage.guards import GUARDS, PairKeys, pair_keys
from linkage.state import PAIRS, RECORDS, LinkState
from linkage.views import Bools, Rows

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Live:
    """The live records by *place*, the order of their ids, and by row, that of the features.

    Attributes:
        ids, version: (n,) by place; ids ascending.
        row, place: (n,) the row of each place, and the place of each row.
        known: (n,) each place's place in the state's records, -1 where it is not there.
        fresh: (n,) by place: new or changed.
        withdrawn: ids in the state that are not live.
    """

    ids: Ids
    version: Ids
    row: Rows
    place: Rows
    known: Ids
    fresh: Bools
    withdrawn: Ids

    def __len__(self) -> int:
        return len(self.ids)

    @staticmethod
    def of(now: pa.Table, position: Ids, state: LinkState | None) -> Live:
        """The live records.

        Args:
            position: (n,) where in the table each row stands.
        """
        ids = now["record_id"].to_numpy()
        by_id = np.argsort(ids, kind="stable")
        place = _inverse(by_id)[position]
        ids, version = ids[by_id], now["version_id"].to_numpy()[by_id]
        records = RECORDS.empty_table() if state is None else state.records
        held = records["record_id"].to_numpy()
        known = found_at(ids, held)
        fresh = known < 0
        fresh[~fresh] = records["version_id"].to_numpy()[known[~fresh]] != version[~fresh]
        return Live(
            ids=ids,
            version=version,
            row=_inverse(place),
            place=place,
            known=known,
            fresh=fresh,
            withdrawn=held[found_at(held, ids) < 0],
        )

    def find(self, ids: Ids) -> Ids:
        """Places of records, -1 for those that are not live."""
        if self._place_of is None:
            return found_at(ids, self.ids)
        return self._place_of.take(ids, mode="clip")

    @cached_property
    def _place_of(self) -> Ids | None:
        """The place of each id that there could be, where ids are dense; -1 for none, and at both
        ends."""
        if not len(self.ids) or self.ids[0] < 0 or not _dense(int(self.ids[-1]), len(self.ids)):
            return None
        places = np.full(int(self.ids[-1]) + 2, -1, np.int64)
        places[self.ids] = np.arange(len(self.ids))
        return places

    def places_of(self, pairs: pa.Table) -> tuple[Ids, Ids]:
        """Places of both records of each pair; -1 for those that are not live."""
        return self.find(pairs["left"].to_numpy()), self.find(pairs["right"].to_numpy())

    def pairs_of(self, pairs: pa.Table) -> PairKeys:
        """Pairs of which both records are live, as pairs of places; one of a record with itself
        says nothing."""
        left, right = self.places_of(pairs)
        both = (left >= 0) & (right >= 0) & (left != right)
        return np.unique(pair_keys(left[both], right[both]))

    def rows_of(self, pairs: pa.Table) -> PairKeys:
        """As `pairs_of`, as pairs of rows."""
        left, right = ends_of(self.pairs_of(pairs))
        return np.sort(pair_keys(self.row[left], self.row[right]))


def _dense(span: int, count: int) -> bool:
    """Whether a table of all ids that there could be is worth its room."""
    return span <= 8 * count + 1_000


def _inverse(order: npt.NDArray[np.integer]) -> Rows:
    out = np.empty(len(order), np.int32)
    out[order] = np.arange(len(order), dtype=np.int32)
    return out


def found_at(wanted: Ids, ids: Ids) -> Ids:
    """Where each wanted id stands among ids (ascending), -1 for nowhere."""
    if not len(ids):
        return np.full(len(wanted), -1)
    low, span = int(ids[0]), int(ids[-1]) - int(ids[0]) + 1
    if not _dense(span, len(ids)) or len(wanted) < len(ids) // 16:
        at = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
        return np.where(ids[at] == wanted, at, -1)
    # Ids are mostly dense: one look into a table each in the place of a search.
    table = np.full(span + 1, -1, np.int64)
    table[ids - low] = np.arange(len(ids))
    inside = (wanted >= low) & (wanted < low + span)
    return table[np.where(inside, wanted - low, span)]


class Places:
    """Where ids stand that are in no order; each once."""

    def __init__(self, ids: Ids) -> None:
        high, low = (int(some) for some in (ids.max(initial=0), ids.min(initial=0)))
        self._ids = None if low >= 0 and _dense(high, len(ids)) else np.sort(ids)
        if self._ids is None:
            self._place = np.full(high + 2, -1, np.int64)
            self._place[ids] = np.arange(len(ids))
        else:
            self._place = np.append(np.argsort(ids), -1)

    def find(self, wanted: Ids) -> Ids:
        """The place of each wanted id (0 or more), -1 for nowhere."""
        if self._ids is None:
            return self._place.take(wanted, mode="clip")
        return self._place[found_at(wanted, self._ids)]


class Marks:
    """Flags of records, by id."""

    def __init__(self, *ids: Ids) -> None:
        """ids: of the records that may be flagged, ascending each."""
        high = max((int(some[-1]) for some in ids if len(some)), default=0)
        low = min((int(some[0]) for some in ids if len(some)), default=0)
        # Ids are mostly dense: a flag for each that there could be is found without a search.
        dense = low >= 0 and _dense(high, max(map(len, ids)))
        self._ids = None if dense else np.unique(np.concatenate(ids))
        self._flags = np.zeros(high + 1 if self._ids is None else len(self._ids), bool)

    def _at(self, ids: Ids) -> Ids:
        return ids if self._ids is None else np.searchsorted(self._ids, ids)

    def set(self, ids: Ids) -> None:
        """Flags some records."""
        self._flags[self._at(ids)] = True

    @property
    def count(self) -> int:
        """How many records are flagged."""
        return int(self._flags.sum())

    def of(self, ids: Ids) -> Bools:
        """Whether each record is flagged."""
        return self._flags.take(self._at(ids))

    def spread(self, one: Ids, two: Ids) -> None:
        """Flags all that pairs lead to from the records flagged."""
        while len(met := np.flatnonzero(self.of(one) != self.of(two))):
            self.set(one[met])
            self.set(two[met])


def spliced(table: pa.Table, gone: Ids, came: pa.Table) -> pa.Table:
    """A table of pairs by (left, right) without the rows at some places, and with others.

    Args:
        gone: places in the table, ascending.
        came: rows of its columns, in its order; none of a pair that stays.
    """
    if not len(gone) and not len(came):
        return table
    stays = np.ones(len(table), bool)
    stays[gone] = False
    places = np.flatnonzero(stays)
    keys = _pair_order(table)[places]
    at = np.searchsorted(keys, _pair_order(came))
    places = np.insert(places, at, len(table) + np.arange(len(came)))
    columns = [
        pa.concat_arrays([*one.chunks, *two.chunks]).take(pa.array(places))
        for one, two in zip(table.columns, came.columns, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=table.schema)


def _pair_order(table: pa.Table) -> PairKeys:
    return pair_keys(table["left"].to_numpy(), table["right"].to_numpy())


def ends_of(keys: PairKeys) -> tuple[Rows, Rows]:
    """The lower and the upper ends of pairs."""
    return (keys >> 32).astype(np.int32), (keys & 0xFFFFFFFF).astype(np.int32)


@cache
def _codes() -> pa.Array:
    # Not when the module comes in: the first array brings pandas with it.
    return pa.array([guard.code for guard in GUARDS], pa.string())


def guard_codes(guard: Levels) -> pa.Array:
    """Codes of guards, null where none forbids."""
    return _codes().take(pa.array(guard.astype(np.int32) - 1, mask=guard == 0))


def guard_numbers(guard: pa.ChunkedArray) -> Levels:
    """The inverse of `guard_codes`."""
    found = pc.fill_null(pc.index_in(guard.combine_chunks(), value_set=_codes()), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False) + 1, np.uint8)


def difference(one: pa.Table, two: pa.Table) -> pa.Table:
    """Pairs that stand in one table alone, whichever way round."""
    sides = []
    for table in (one, two):
        ends = np.stack([table["left"].to_numpy(), table["right"].to_numpy()], axis=1)
        sides.append(np.unique(np.sort(ends, axis=1), axis=0))
    pairs, counts = np.unique(np.concatenate(sides), axis=0, return_counts=True)
    return pa.Table.from_arrays([*pairs[counts == 1].T.copy()], schema=PAIRS)
