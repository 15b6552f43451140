"""Where the records of a link stand: by id, by place among the live ones, by row in the features.

Rules:
- A record has an id, for ever; a *place*, in the order of the ids that are live; and a *row* in the
  features, which stand in founder order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage.compare import Levels
from linkage.features import in_founder_order
from linkage.guards import GUARDS, PairKeys, pair_keys
from linkage.state import PAIRS, RECORDS, LinkState
from linkage.views import Bools, Rows

Ids = npt.NDArray[np.int64]
_CODES = pa.array([guard.code for guard in GUARDS], pa.string())


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
    def of(now: pa.Table, state: LinkState | None) -> tuple[Live, pa.Table]:
        """The live records, and their table in the order of rows."""
        position, table = in_founder_order(now)
        ids = now["record_id"].to_numpy()
        by_id = np.argsort(ids, kind="stable")
        place = _inverse(by_id)[position]
        ids, version = ids[by_id], now["version_id"].to_numpy()[by_id]
        records = RECORDS.empty_table() if state is None else state.records
        held = records["record_id"].to_numpy()
        known = _found(ids, held)
        fresh = known < 0
        fresh[~fresh] = records["version_id"].to_numpy()[known[~fresh]] != version[~fresh]
        live = Live(
            ids=ids,
            version=version,
            row=_inverse(place),
            place=place,
            known=known,
            fresh=fresh,
            withdrawn=held[_found(held, ids) < 0],
        )
        return live, table

    def find(self, ids: Ids) -> Ids:
        """Places of records, -1 for those that are not live."""
        return _found(ids, self.ids)

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


def _inverse(order: npt.NDArray[np.integer]) -> Rows:
    out = np.empty(len(order), np.int32)
    out[order] = np.arange(len(order), dtype=np.int32)
    return out


def _found(wanted: Ids, ids: Ids) -> Ids:
    """Where each wanted id stands among ids (ascending), -1 for nowhere."""
    if not len(ids):
        return np.full(len(wanted), -1)
    low, span = int(ids[0]), int(ids[-1]) - int(ids[0]) + 1
    if span > 8 * len(ids) + 1_000 or len(wanted) < len(ids) // 16:
        at = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
        return np.where(ids[at] == wanted, at, -1)
    # Ids are mostly dense: one look into a table each in the place of a search.
    table = np.full(span + 1, -1, np.int64)
    table[ids - low] = np.arange(len(ids))
    inside = (wanted >= low) & (wanted < low + span)
    return table[np.where(inside, wanted - low, span)]


def ends_of(keys: PairKeys) -> tuple[Rows, Rows]:
    """The lower and the upper ends of pairs."""
    return (keys >> 32).astype(np.int32), (keys & 0xFFFFFFFF).astype(np.int32)


def guard_codes(guard: Levels) -> pa.Array:
    """Codes of guards, null where none forbids."""
    return _CODES.take(pa.array(guard.astype(np.int32) - 1, mask=guard == 0))


def guard_numbers(guard: pa.ChunkedArray) -> Levels:
    """The inverse of `guard_codes`."""
    found = pc.fill_null(pc.index_in(guard.combine_chunks(), value_set=_CODES), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False) + 1, np.uint8)


def difference(one: pa.Table, two: pa.Table) -> pa.Table:
    """Pairs that stand in one table alone, whichever way round."""
    sides = []
    for table in (one, two):
        ends = np.stack([table["left"].to_numpy(), table["right"].to_numpy()], axis=1)
        sides.append(np.unique(np.sort(ends, axis=1), axis=0))
    pairs, counts = np.unique(np.concatenate(sides), axis=0, return_counts=True)
    return pa.Table.from_arrays([*pairs[counts == 1].T.copy()], schema=PAIRS)
