"""What of a held run never waits: what leaves, what must not be shown as one, what protects.

Rules:
- Memberships of withdrawn records end.
- A person that holds a pair decided apart, or a record that has become another person
  (service/reuse.py), is parted as the computed partition parts it.
- A record that is in no person yet, or has become another person, and flags a restriction or tells
  a death is admitted to the published person that its cluster meets, if that is one. Where it meets
  several, it goes to none: a review task names it with each of them.
- Beyond that nothing is joined.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from linkage.state import TASKS
from service.identity import Changes, Flags, Ints, changes
from service.ports import Store
from service.protected import partings

RESTRICTION_WAITS = "restriction waits"
"""The reason of the review task about a record that protects, and a person that it may be of."""


def urgent_changes(
    store: Store,
    table: pa.Table,
    label: Ints,
    members: pa.Table,
    apart: pa.Table,
    tasks: pa.Table,
    another: Ints,
    returning: pa.Table,
) -> Changes:
    """What of a change never waits. `Changes.persons` is null for records that are in no person.

    Args:
        table: `record_id` ascending, `founder` and `death` of the records that count.
        label: (n,) their clusters.
        members: the published partition.
        apart: pairs that people, or a change of identity, hold apart.
        another, returning: see `service.identity.changes`.
    """
    ids = table["record_id"].to_numpy()
    _, cluster = np.unique(label, return_inverse=True)
    width = int(cluster.max(initial=0)) + 2
    old = _codes(ids, members)
    leaving = np.isin(ids, another)
    admitted, asked = _admitted(store, table, cluster, old, leaving)
    code = np.where(admitted >= 0, admitted, old)
    at = [pc.index_in(apart[side], value_set=pa.array(ids)) for side in ("left", "right")]
    one, two = (pc.fill_null(pc.take(pa.array(code), rows), -1).to_numpy() for rows in at)
    parting = np.isin(code, np.concatenate([one[one == two], old[leaving]]))
    rows = np.flatnonzero(code >= 0)
    change = changes(
        ids[rows],
        table["founder"].combine_chunks().take(pa.array(rows)),
        (code * width + np.where(parting, 1 + cluster, 0))[rows],
        members,
        store.founded_counts(),
        _with_tasks(tasks, asked),
        None,
        another,
        returning,
        partings(store),
    )
    place = np.cumsum(code >= 0) - 1
    return replace(change, persons=change.persons.take(pa.array(place, mask=code < 0)))


def protecting(store: Store, table: pa.Table, rows: Ints) -> Ints:
    """Those of the rows whose record flags a restriction or tells a death."""
    ids = table["record_id"].to_numpy()[rows]
    dead = table["death"].combine_chunks().take(pa.array(rows)).is_valid()
    restricted = [one.record_id for one in store.held(ids.tolist()) if one.record.restricted]
    found: Ints = rows[dead.to_numpy(zero_copy_only=False) | np.isin(ids, restricted)]
    return found


def _admitted(
    store: Store, table: pa.Table, cluster: Ints, old: Ints, leaving: Flags
) -> tuple[Ints, list[tuple[int, int]]]:
    """(n,) the code of the person that each record is admitted to, -1 for none; and pairs of record
    ids, smaller first, that somebody must look at."""
    width = int(old.max(initial=0)) + 1
    staying = np.flatnonzero((old >= 0) & ~leaving)
    keys, first = np.unique(cluster[staying] * width + old[staying], return_index=True)
    met, person, first = keys // width, keys % width, staying[first]
    begin, end = (np.searchsorted(met, cluster, side) for side in ("left", "right"))
    admitted = np.full(len(old), -1, np.int64)
    asked: list[tuple[int, int]] = []
    ids = table["record_id"].to_numpy()
    for row in protecting(store, table, np.flatnonzero(((old < 0) | leaving) & (end > begin))):
        if end[row] - begin[row] == 1:
            admitted[row] = person[begin[row]]
        else:
            others = ids[first[begin[row] : end[row]]]
            asked += [(min(ids[row], o), max(ids[row], o)) for o in others]
    return admitted, asked


def _with_tasks(tasks: pa.Table, asked: list[tuple[int, int]]) -> pa.Table:
    """The tasks and those asked for besides; a pair that has one already keeps it."""
    there = set(zip(tasks["left"].to_pylist(), tasks["right"].to_pylist(), strict=True))
    rows = [
        {"left": int(left), "right": int(right), "bits": 0.0, "reason": RESTRICTION_WAITS}
        for left, right in sorted(set(asked))
        if (left, right) not in there
    ]
    more = pa.Table.from_pylist(rows, TASKS)
    return pa.concat_tables([tasks.select(TASKS.names).cast(TASKS), more]).sort_by(
        [("left", "ascending"), ("right", "ascending")]
    )


def _codes(ids: Ints, members: pa.Table) -> Ints:
    """(n,) a code of each record's published person, -1 for none."""
    place = pc.index_in(pa.array(ids), value_set=members["record_id"].combine_chunks())
    person = pc.take(members["person_id"].combine_chunks(), place).dictionary_encode()
    codes: Ints = pc.fill_null(person.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes
