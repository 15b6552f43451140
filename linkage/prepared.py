"""Features of many records as they were read once, to be kept and gone on from.

Rules:
- Rows are versions of records, each once. What a row says does not depend on other rows: crowds
  are still in (linkage/features.py), which source keeps its people apart is asked later.
- More rows are read alone and added: only their own values are standardised, and looked for among
  the values that are held. Codes of values mean nothing beyond their column.
- Columns that share their values go on sharing them.
- Kept tables hold people's values: they are for a sealed store only.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage.columns import Codes, Column, Features, Values, Versions, by_code
from linkage.features import (
    CROWDED,
    NAMES,
    bearers,
    compacted,
    features_of,
    is_crowd,
    standardised,
)
from linkage.founders import founder_order
from linkage.live import Places
from linkage.model import ColumnSpec

Ids = npt.NDArray[np.int64]

ROWS = "rows"
"""Kind of the kept table of rows; the others are named for the column whose values they hold."""
_IDS = ("record_id", "version_id", "founder", "verified")


def _group(name: str) -> str:
    """What stands for the values of a column: all names share theirs."""
    return NAMES[0] if name in NAMES else name


class Chunks:
    """One column of many rows: codes (slots, n) in pieces, one after another, and their values."""

    def __init__(self, pieces: Sequence[Codes], values: Values) -> None:
        self.pieces, self.values = tuple(pieces), values
        self.slots = max(len(piece) for piece in pieces)

    def take(self, rows: Ids) -> Column:
        """Some rows."""
        first, *others = self.pieces
        size = first.shape[1]
        if not others:
            return Column(first.take(rows, axis=1), self.values)
        codes = np.full((self.slots, len(rows)), -1, np.int32)
        if size:
            first.take(rows, axis=1, mode="clip", out=codes[: len(first)])
        later = np.flatnonzero(rows >= size)
        codes[:, later] = -1
        for piece in others:
            inside = later[(rows[later] >= size) & (rows[later] < size + piece.shape[1])]
            codes[: len(piece), inside] = piece.take(rows[inside] - size, axis=1)
            size += piece.shape[1]
        return Column(codes, self.values)


@dataclass(frozen=True)
class Prepared:
    """Versions of records as columns of codes; n rows, in any order.

    Attributes:
        record_id, version_id: (n,) of each row; no version twice.
        founder: (n,) what puts records in order.
        verified: (n,) whether the NHS number was traced, if there is one.
        columns: name → column, with crowds, in as many rows; `source` is among them.
    """

    record_id: Ids
    version_id: Ids
    founder: pa.Array
    verified: npt.NDArray[np.bool_]
    columns: Mapping[str, Chunks]

    def __len__(self) -> int:
        return len(self.version_id)

    @staticmethod
    def read(
        table: pa.Table, *, accept_test_numbers: bool = False, extra: Sequence[ColumnSpec] = ()
    ) -> Prepared:
        """Reads versions of records: `record_id`, `version_id`, and what
        `linkage.features.build_features` reads."""
        table = table.combine_chunks()
        columns, verified = standardised(
            table, accept_test_numbers=accept_test_numbers, extra=extra
        )
        return Prepared(
            table["record_id"].to_numpy(),
            table["version_id"].to_numpy(),
            table["founder"].combine_chunks(),
            verified,
            {name: Chunks([column.codes], column.values) for name, column in columns.items()},
        )

    def with_more(self, more: Prepared) -> Prepared:
        """These rows, and after them others."""
        if not len(more):
            return self
        shared = {_group(name) for name in (*self.columns, *more.columns)}
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            joined = dict(pool.map(lambda group: (group, self._joined(more, group)), shared))
            columns = pool.map(
                lambda name: (name, self._column(more, name, *joined[_group(name)])),
                dict.fromkeys([*self.columns, *more.columns]),
            )
            return Prepared(
                np.append(self.record_id, more.record_id),
                np.append(self.version_id, more.version_id),
                pa.concat_arrays([self.founder, more.founder]),
                np.append(self.verified, more.verified),
                dict(columns),
            )

    def _joined(self, more: Prepared, group: str) -> tuple[Values, Codes]:
        """The values of both, and where those of the other stand among them."""
        one, two = (held._values(group) for held in (self, more))
        if one is None or two is None:
            found = one or two
            assert found is not None  # one of the two has the column
            return found, np.arange(len(found), dtype=np.int32)
        place = pc.index_in(one.array, value_set=two.array)
        known = np.flatnonzero(place.is_valid().to_numpy(zero_copy_only=False))
        at = np.full(len(two), -1, np.int32)
        at[place.drop_null().to_numpy()] = known
        new = np.flatnonzero(at < 0)
        at[new] = len(one) + np.arange(len(new), dtype=np.int32)
        return Values(pa.concat_arrays([one.array, two.array.take(pa.array(new))])), at

    def _values(self, group: str) -> Values | None:
        found = (column.values for name, column in self.columns.items() if _group(name) == group)
        return next(found, None)

    def _column(self, more: Prepared, name: str, values: Values, at: Codes) -> Chunks:
        """Only the codes of what comes are changed: values that were there stand as they did."""
        one, two = self.columns.get(name), more.columns.get(name)
        pieces = list(one.pieces) if one else [np.full((1, len(self)), -1, np.int32)]
        if two is None:
            return Chunks([*pieces, np.full((1, len(more)), -1, np.int32)], values)
        found = two.take(np.arange(len(more)))
        return Chunks([*pieces, by_code(at, found.codes)], values)

    def rows_of(self, versions: Ids) -> Ids:
        """(n,) the row of each version. Raises: ValueError where one is not here."""
        rows = self._find(versions)
        if (rows < 0).any():
            raise ValueError("prepared: expected a row of each version")
        return rows

    def held(self, versions: Ids) -> npt.NDArray[np.bool_]:
        """Which of some versions are here."""
        return self._find(versions) >= 0

    def _find(self, versions: Ids) -> Ids:
        return self._by_version.find(versions)

    @cached_property
    def _by_version(self) -> Places:
        return Places(self.version_id)

    def in_order(self, rows: Ids) -> Ids:
        """Places in `rows`, in the order of founders. Requires: no founder twice."""
        # Rows that were kept stand in that order but for few: what sorts them finds them so.
        as_held = np.argsort(rows, kind="stable")
        founders = self.founder.take(pa.array(rows[as_held]))
        return as_held[founder_order(founders)]

    def _picked(self, rows: Ids, names: Sequence[str] | None = None) -> dict[str, Column]:
        """Columns, those of some names or all, of some rows, in the order given."""
        some = list(self.columns) if names is None else names
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            found = pool.map(lambda name: self.columns[name].take(rows), some)
            return dict(zip(some, found, strict=True))

    def features(
        self, rows: Ids, versions: Versions, keeps_apart: Collection[str]
    ) -> tuple[Features, Versions]:
        """Features of some rows, in their order, and after them once more those rows that stand for
        a record as it is and as it was, and changed with a crowd: at the end as they were.

        Args:
            versions: which rows stand for what.
        """
        crowds = Crowds(versions)
        crowded = self._picked(rows, [name for name in CROWDED if name in self.columns])
        crowded = {name: crowds.without(name, column) for name, column in crowded.items()}
        twice = crowds.changed
        if len(twice):
            crowded = {name: crowds.appended(name, column) for name, column in crowded.items()}
            before = versions.before.copy()
            before[twice] = False
            versions = Versions(
                np.append(versions.now, np.zeros(len(twice), bool)),
                np.append(before, np.ones(len(twice), bool)),
            )
            rows = np.append(rows, rows[twice])
        others = self._picked(rows, [name for name in self.columns if name not in crowded])
        columns = {**others, **crowded}
        features = features_of(np.arange(len(rows)), columns, self.verified[rows], keeps_apart)
        return features, versions

    # --- kept ------------------------------------------------------------------------------------

    def tables(self) -> dict[str, pa.Table]:
        """As tables, by kind: the rows, and the values of each column."""
        ids = [self.record_id, self.version_id, self.founder, self.verified]
        rows = dict(zip(_IDS, map(pa.array, ids), strict=True))
        columns = self._picked(np.arange(len(self)))
        for name, column in columns.items():
            rows |= {f"{name}:{slot}": pa.array(some) for slot, some in enumerate(column.codes)}
        found = {ROWS: pa.table(rows)}
        for name, column in columns.items():
            found.setdefault(_group(name), pa.table({"value": column.values.array}))
        return found

    @staticmethod
    def of_tables(tables: Mapping[str, pa.Table]) -> Prepared:
        """As `tables` gave it."""
        rows = tables[ROWS]
        shared = {
            kind: Values(_whole(table["value"])) for kind, table in tables.items() if kind != ROWS
        }
        slots: dict[str, list[str]] = {}
        for name in rows.column_names[len(_IDS) :]:
            slots.setdefault(name.rpartition(":")[0], []).append(name)
        columns = {}
        for name, parts in slots.items():
            codes = np.empty((len(parts), len(rows)), np.int32)
            for slot, part in enumerate(parts):
                at = 0
                for chunk in rows[part].chunks:
                    codes[slot, at : at + len(chunk)] = chunk.to_numpy()
                    at += len(chunk)
            columns[name] = Chunks([codes], shared[_group(name)])
        record_id, version_id, founder, verified = (_whole(rows[name]) for name in _IDS)
        return Prepared(
            record_id.to_numpy(),
            version_id.to_numpy(),
            founder,
            verified.to_numpy(zero_copy_only=False),
            columns,
        )

    def compact(self, rows: Ids) -> Prepared:
        """Some rows, in the order given, with no other values than they bear."""
        everything = np.arange(len(rows))
        verified = self.verified[rows]
        some = features_of(everything, self._picked(rows), verified, ()).only(everything)
        return Prepared(
            self.record_id[rows],
            self.version_id[rows],
            self.founder.take(pa.array(rows)),
            verified,
            {name: Chunks([c.codes], c.values) for name, c in some.columns.items()},
        )


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


class Crowds:
    """Makes missing the values that more than `CROWD` records bear, where rows stand for records as
    they are and as they were; and remembers the rows that stand for both and changed with it."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._former: dict[str, Codes] = {}
        self._changed: dict[str, npt.NDArray[np.int64]] = {}

    def without(self, name: str, column: Column) -> Column:
        """The column without crowds: each row's among the records of its time."""
        codes, times = column.codes, (self._versions.now, self._versions.before)
        whole = bearers(codes, len(column.values))
        # Few rows are of one time only: what they bear is taken off.
        off = (bearers(codes[:, ~time], len(column.values)) for time in times)
        crowded = [is_crowd(whole - some) for some in off]
        # Few rows bear a crowd's value at either time: only these are looked at.
        rows = np.flatnonzero((crowded[0] | crowded[1])[codes].any(axis=0))
        if not len(rows):
            return column
        some = codes[:, rows]
        now, before = (compacted(np.where(crowd[some], -1, some)) for crowd in crowded)
        at_now, both = (flags[rows] for flags in (times[0], times[0] & times[1]))
        changed = (now != before).any(axis=0)
        codes = codes.copy()
        if changed.any():
            codes[:, rows] = before
            self._former[name] = codes.copy()
            self._changed[name] = rows[changed & both]
        codes[:, rows] = np.where(at_now, now, before)
        return Column(codes, column.values)

    @property
    def changed(self) -> npt.NDArray[np.int64]:
        """Rows that stand for both and changed, ascending."""
        found = list(self._changed.values())
        return np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)

    def appended(self, name: str, column: Column) -> Column:
        """The column with the changed rows as they were at its end."""
        former = self._former.get(name, column.codes)[:, self.changed]
        return Column(np.concatenate([column.codes, former], axis=1), column.values)
