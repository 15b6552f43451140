"""Stable person ids: which new cluster carries which old person on, and who is founded.

Rules:
- A person follows the cluster that holds most of its records (a split: the larger part keeps the
  identity); ties go to the part with the person's earliest record.
- A cluster that several persons follow keeps the one with most records in it (ties: the earliest
  record); the others are merged into it and their ids lead to it, unless they were split at the
  same time: then their ids lead nowhere, because they might lead to a stranger.
- A cluster that nobody follows founds a person. Its id derives from the founding record (the
  member with the smallest founder key) and a counter of how many persons that record has founded
  before: opaque, and the same if the run is repeated. A founder key is itself a keyed digest, so
  the id tells nothing to one without the database.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.identifiers import PersonId
from service.ports import Publication

Ints = npt.NDArray[np.int64]


def person_id(founder: bytes, counter: int) -> PersonId:
    """The id of the person that a record founds: `p` and 16 letters and digits (80 bits)."""
    digest = hashlib.sha256(b"commonthread person\0" + founder + counter.to_bytes(4, "big"))
    return PersonId("p" + base64.b32encode(digest.digest()[:10]).decode().lower())


@dataclass(frozen=True)
class Changes:
    """A publication and what it amounts to.

    `created` persons have only records that were in none; `joined` counts persons merged away;
    `split` counts persons whose records now lie in more than one; `moved` counts records that
    changed person.
    """

    publication: Publication
    created: int
    joined: int
    split: int
    moved: int
    withdrawn: int

    @property
    def changed_persons(self) -> int:
        """How many persons that were published before this run changes."""
        return self.joined + self.split


def changes(
    record_ids: Ints,
    founders: pa.Array,
    label: Ints,
    memberships: pa.Table,
    founded_counts: Mapping[int, int],
    tasks: pa.Table,
) -> Changes:
    """What must be published so that the partition `label` becomes the published one.

    Args:
        record_ids: (n,) ids of all live records, ascending.
        founders: (n,) binary founder keys.
        label: (n,) position of the record that stands for each record's cluster.
        memberships: the published partition, `record_id`, `person_id`.
    """
    old_ids = memberships["record_id"].to_numpy()
    encoded = memberships["person_id"].combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    persons = encoded.dictionary.to_pylist()
    old = _old_person(record_ids, old_ids, encoded.indices.to_numpy(zero_copy_only=False))
    clusters, cluster = np.unique(label, return_inverse=True)
    keeper, follows = _followers(cluster, old, len(clusters), len(persons))
    founding = np.flatnonzero(keeper < 0)
    founded = _founded(
        record_ids, founders, _founders(cluster, founders, len(clusters))[founding], founded_counts
    )
    names = np.array([*persons, *founded["person_id"].to_pylist(), ""], dtype=object)
    carried = keeper.copy()
    carried[founding] = len(persons) + np.arange(len(founding))
    now = carried[cluster]
    moved = now != old
    gone = np.setdiff1d(old_ids, record_ids)
    parts = np.unique(old[old >= 0] * len(clusters) + cluster[old >= 0])
    split = np.flatnonzero(np.bincount(parts // max(len(clusters), 1)) > 1)
    merged = np.flatnonzero((follows >= 0) & (keeper[follows] != np.arange(len(persons))))
    into = names[keeper[follows[merged]]]
    into[np.isin(merged, split)] = None
    publication = Publication(
        founded=founded,
        merged=pa.table(
            {
                "person_id": pa.array(names[merged], pa.string()),
                "into": pa.array(into, pa.string()),
            }
        ),
        closed=pa.table({"record_id": np.sort(np.append(record_ids[moved & (old >= 0)], gone))}),
        opened=pa.table(
            {"record_id": record_ids[moved], "person_id": pa.array(names[now[moved]], pa.string())}
        ),
        tasks=tasks,
        split=tuple(names[split]),
    )
    return Changes(
        publication,
        created=len(clusters) - len(np.unique(cluster[old >= 0])),
        joined=len(merged),
        split=len(split),
        moved=int((moved & (old >= 0)).sum()),
        withdrawn=len(gone),
    )


def _founded(
    record_ids: Ints, founders: pa.Array, rows: Ints, founded_counts: Mapping[int, int]
) -> pa.Table:
    """New persons, named after the records (by row) that found them."""
    ids = record_ids[rows]
    counters = [founded_counts.get(int(r), 0) for r in ids]
    keys = founders.take(pa.array(rows)).to_pylist()
    named = [person_id(key, counter) for key, counter in zip(keys, counters, strict=True)]
    return pa.table(
        {
            "person_id": pa.array(named, pa.string()),
            "founder": pa.array(ids, pa.int64()),
            "counter": pa.array(counters, pa.int32()),
        }
    )


def _old_person(record_ids: Ints, old_ids: Ints, old_codes: Ints) -> Ints:
    """(n,) the published person's code of each live record, -1 for none."""
    out = np.full(len(record_ids), -1, np.int64)
    if not len(old_ids):
        return out
    place = np.minimum(np.searchsorted(old_ids, record_ids), len(old_ids) - 1)
    known = old_ids[place] == record_ids
    out[known] = old_codes[place[known]]
    return out


def _followers(cluster: Ints, old: Ints, clusters: int, persons: int) -> tuple[Ints, Ints]:
    """The person each cluster keeps (-1: none), and the cluster each person follows (-1: none)."""
    rows = np.flatnonzero(old >= 0)
    keys, first, size = np.unique(
        old[rows] * max(clusters, 1) + cluster[rows], return_index=True, return_counts=True
    )
    person, target, earliest = keys // max(clusters, 1), keys % max(clusters, 1), rows[first]
    follows = np.full(persons, -1, np.int64)
    by_person = np.lexsort((earliest, -size, person))
    chosen = by_person[_first_of_runs(person[by_person])]
    follows[person[chosen]] = target[chosen]
    keeper = np.full(clusters, -1, np.int64)
    by_cluster = chosen[np.lexsort((earliest[chosen], -size[chosen], target[chosen]))]
    kept = by_cluster[_first_of_runs(target[by_cluster])]
    keeper[target[kept]] = person[kept]
    return keeper, follows


def _first_of_runs(values: Ints) -> npt.NDArray[np.int64]:
    if not len(values):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))


def _founders(cluster: Ints, founders: pa.Array, clusters: int) -> Ints:
    """(clusters,) the row with the smallest founder key of each cluster."""
    order = pc.sort_indices(founders).to_numpy().astype(np.int64)
    out = np.full(clusters, -1, np.int64)
    out[cluster[order[::-1]]] = order[::-1]
    return out
