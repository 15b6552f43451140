"""Stable person ids: which new cluster carries which old person on, and who is founded.

Rules:
- A person whose records all stay together keeps its id. A cluster that several such persons meet
  in keeps the one with most records in it (ties: the earliest record); the others are merged into
  it and their ids lead to it.
- A person whose records part is split: its id leads nowhere from then on, because whoever kept it
  may have meant any of the parts. The part with most of its records (ties: the earliest) carries
  its identity on under a new id, which names the old one.
- A record that was withdrawn and is back counts with the person that it was in last: where the two
  are apart now, that person was split, because whoever kept its id may have meant the record.
- A person of whom no record is left is emptied, and its id leads nowhere; likewise one of whom only
  records are left that are another person's now (service/reuse.py).
- The cluster of a new identity never carries on a person of the old one (service/former.py): that
  ends with the records that stay, or is emptied.
- A cluster that no id goes over to founds a person. Its id derives from the founding record (the
  member with the smallest founder key) and a counter of how many persons that record has founded
  before: opaque, and the same if the run is repeated. A founder key is itself a keyed digest, so
  the id tells nothing to one without the database.
- Where persons of a former run are to be restored (an undo, or its release), a cluster that has
  just the records of a former person takes its id, before all other rules; persons that end for
  one that comes back are undone and lead nowhere.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage.founders import founder_order
from schemas.identifiers import PersonId
from service.ports import Publication
from service.runs import Fate

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def person_id(founder: bytes, counter: int) -> PersonId:
    """The id of the person that a record founds: `p` and 16 letters and digits (80 bits)."""
    digest = hashlib.sha256(b"commonthread person\0" + founder + counter.to_bytes(4, "big"))
    return PersonId("p" + base64.b32encode(digest.digest()[:10]).decode().lower())


@dataclass(frozen=True)
class Changes:
    """A publication and what it amounts to.

    Attributes:
        persons: (n,) string: the person of each record once it is published.
        created: persons with only records that were in none.
        joined: persons merged into others.
        split: persons whose records now lie in more than one.
        moved: (n,) records that changed person, other than with the larger part of a split one.
        joined_records, split_records: (n,) records that were in a joined, in a split person.
        withdrawn: records that were in a person and are no longer there.
    """

    publication: Publication
    persons: pa.Array
    created: int
    joined: int
    split: int
    moved: Flags
    joined_records: Flags
    split_records: Flags
    withdrawn: int

    @property
    def changed_persons(self) -> int:
        """How many persons that were published before this run changes."""
        return self.joined + self.split

    @property
    def empty(self) -> bool:
        """Whether it changes nobody's person."""
        p = self.publication
        return not any(map(len, (p.founded, p.ended, p.revived, p.closed, p.opened)))


@dataclass(frozen=True)
class _Meeting:
    """Old persons and new clusters.

    Attributes:
        cluster: (n,) each record's cluster, 0 to clusters.
        old: (n,) each record's old person, 0 to persons, -1 for none.
        person, target, size, earliest: each pair of an old person and a cluster that have records
            in common: how many, and the first row of them.
        keeper: (clusters,) the old person each keeps, -1 for none.
        fate: (persons,) how each ends, `_STAYS` where it does not.
        into: (persons,) the cluster a merged person went to.
    """

    cluster: Ints
    old: Ints
    person: Ints
    target: Ints
    size: Ints
    earliest: Ints
    keeper: Ints
    fate: Ints
    into: Ints


_STAYS, _MERGED, _SPLIT, _EMPTIED, _UNDONE = range(5)
_FATES = np.array(["", Fate.MERGED, Fate.SPLIT, Fate.EMPTIED, Fate.UNDONE], dtype=object)


_NO_RECORDS: Ints = np.zeros(0, np.int64)


def changes(
    record_ids: Ints,
    founders: pa.Array,
    label: Ints,
    memberships: pa.Table,
    founded_counts: Mapping[int, int],
    tasks: pa.Table,
    restore: pa.Table | None = None,
    another: Ints = _NO_RECORDS,
    returning: pa.Table | None = None,
    parting: Sequence[tuple[int, Collection[PersonId]]] = (),
) -> Changes:
    """What must be published so that the partition `label` becomes the published one.

    Args:
        record_ids: (n,) ids of all live records, ascending.
        founders: (n,) binary founder keys.
        label: (n,) what stands for each record's cluster, equal within it.
        memberships: the published partition, `record_id` ascending, `person_id`.
        restore: the partition of a former run, likewise, whose persons are to come back.
        another: ids of records that have become another person.
        returning: `record_id` ascending, `person_id`: records that are back, and the published
            person that the last one they were in leads to.
        parting: records of new identities, and the persons of the old that their clusters never
            carry on.
    """
    ids, old_codes, present = _encoded(memberships, restore)
    old_ids = memberships["record_id"].to_numpy()
    old = _on_records(record_ids, old_ids, old_codes)
    still = np.append(
        np.bincount(old[(old >= 0) & ~_among(record_ids, another)], minlength=len(ids)), 0
    )
    claimed = old if returning is None else _claimed(record_ids, old, returning, ids, present)
    claimed = np.where(still[claimed] > 0, claimed, -1)
    claimed = _unclaimed(record_ids, label, claimed, parting, ids)
    meeting = replace(_met(label, claimed, len(ids), present), old=old)
    revived = np.zeros(0, np.int64)
    if restore is not None:
        former = _on_records(record_ids, restore["record_id"].to_numpy(), _codes(restore, ids))
        revived = _restore(meeting, former, present)
    keeper = meeting.keeper
    founding = np.flatnonzero(keeper < 0)
    founded = _founded(
        record_ids,
        founders,
        _founders(meeting.cluster, founders, len(keeper))[founding],
        founded_counts,
    )
    continues = _continued(meeting, founding)
    names = np.array([*ids, *founded["person_id"].to_pylist(), None], dtype=object)
    founded = founded.append_column("continues", pa.array(names[continues], pa.string()))
    carried = keeper.copy()
    carried[founding] = len(ids) + np.arange(len(founding))
    now = carried[meeting.cluster]
    return _changes(record_ids, old_ids, meeting, now, names, founded, continues, revived, tasks)


def _claimed(
    record_ids: Ints, old: Ints, returning: pa.Table, ids: list[str], present: Flags
) -> Ints:
    """(n,) the code of each record's old person; of one that is back, of its last."""
    last = _on_records(record_ids, returning["record_id"].to_numpy(), _codes(returning, ids))
    known = np.append(present, False)[last]
    return np.where((old < 0) & known, last, old)


def _unclaimed(
    record_ids: Ints,
    label: Ints,
    claimed: Ints,
    parting: Sequence[tuple[int, Collection[PersonId]]],
    ids: list[str],
) -> Ints:
    """`claimed` without what clusters of new identities would claim of the old."""
    place = {person: code for code, person in enumerate(ids)} if parting else {}
    for record_id, persons in parting:
        codes = [place[person] for person in persons if person in place]
        cluster = label[record_ids == record_id]
        claimed = np.where(np.isin(label, cluster) & np.isin(claimed, codes), -1, claimed)
    return claimed


def _changes(
    record_ids: Ints,
    old_ids: Ints,
    meeting: _Meeting,
    now: Ints,
    names: npt.NDArray[np.object_],
    founded: pa.Table,
    continues: Ints,
    revived: Ints,
    tasks: pa.Table,
) -> Changes:
    old, fate = meeting.old, meeting.fate
    was, differs = old >= 0, now != old
    gone = old_ids[~_among(old_ids, record_ids)]
    ended = np.flatnonzero(fate != _STAYS)
    into = np.full(len(ended), None, dtype=object)
    merged = fate[ended] == _MERGED
    into[merged] = names[_name_of(meeting, len(fate), founded)[meeting.into[ended[merged]]]]
    publication = Publication(
        founded=founded,
        ended=pa.table(
            {
                "person_id": pa.array(names[ended], pa.string()),
                "ending": pa.array(_FATES[fate[ended]], pa.string()),
                "into": pa.array(into, pa.string()),
            }
        ),
        revived=pa.table({"person_id": pa.array(names[revived], pa.string())}),
        closed=pa.table({"record_id": np.sort(np.append(record_ids[differs & was], gone))}),
        opened=pa.table(
            {
                "record_id": record_ids[differs],
                "person_id": pa.array(names[now[differs]], pa.string()),
            }
        ),
        tasks=tasks,
    )
    # Records that go on in the larger part of a split person have not moved: `before` is whom
    # their new person carries on.
    before = np.append(np.arange(len(fate)), continues)[now]
    held = np.where(was, fate[old] if len(fate) else 0, _STAYS)
    clusters = len(meeting.keeper)
    # A person that ended because others stand in all its records is counted as joined, where they
    # went to a person that was there: limits see it alike.
    taken_in = (held == _EMPTIED) & (meeting.keeper[meeting.cluster] >= 0)
    return Changes(
        publication,
        persons=pa.array(names[now], pa.string()),
        created=int((np.bincount(meeting.cluster[was], minlength=clusters) == 0).sum()),
        joined=int((fate == _MERGED).sum()) + len(np.unique(old[taken_in])),
        split=int((fate == _SPLIT).sum()),
        moved=was & differs & (before != old),
        joined_records=(held == _MERGED) | taken_in,
        split_records=held == _SPLIT,
        withdrawn=len(gone),
    )


def _name_of(meeting: _Meeting, persons: int, founded: pa.Table) -> Ints:
    """(clusters,) the code of each cluster's person."""
    carried = meeting.keeper.copy()
    carried[carried < 0] = persons + np.arange(len(founded))
    return carried


def _encoded(memberships: pa.Table, restore: pa.Table | None) -> tuple[list[str], Ints, Flags]:
    """Person ids of both partitions, the codes of the first, and which ids it has."""
    tables = [memberships] if restore is None else [memberships, restore]
    both = pa.chunked_array(
        [chunk for table in tables for chunk in table["person_id"].chunks], pa.string()
    )
    encoded = both.combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)[: len(memberships)]
    ids = encoded.dictionary.to_pylist()
    present = np.zeros(len(ids), np.bool_)
    present[codes] = True
    return ids, codes, present


def _codes(table: pa.Table, ids: list[str]) -> Ints:
    found = pc.index_in(table["person_id"].combine_chunks(), value_set=pa.array(ids, pa.string()))
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    codes: Ints = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _on_records(record_ids: Ints, held_ids: Ints, codes: Ints) -> Ints:
    """(n,) the person's code of each live record, -1 for none."""
    out = np.full(len(record_ids), -1, np.int64)
    if not len(held_ids):
        return out
    place = np.minimum(np.searchsorted(held_ids, record_ids), len(held_ids) - 1)
    known = held_ids[place] == record_ids
    out[known] = codes[place[known]]
    return out


def _among(some: Ints, others: Ints) -> Flags:
    """Which of some ids are among others; both ascending."""
    if not len(others):
        return np.zeros(len(some), np.bool_)
    found: Flags = others[np.minimum(np.searchsorted(others, some), len(others) - 1)] == some
    return found


def _pairs(one: Ints, cluster: Ints, clusters: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Each pair of a code of `one` (-1 left out) and a cluster that share rows: the code, the
    cluster, how many rows, the first of them."""
    rows = np.flatnonzero(one >= 0)
    keys, first, size = np.unique(
        one[rows] * max(clusters, 1) + cluster[rows], return_index=True, return_counts=True
    )
    return keys // max(clusters, 1), keys % max(clusters, 1), size, rows[first]


def _met(label: Ints, old: Ints, persons: int, present: Flags) -> _Meeting:
    found, cluster = np.unique(label, return_inverse=True)
    clusters = len(found)
    person, target, size, earliest = _pairs(old, cluster, clusters)
    parts = np.bincount(person, minlength=persons)
    keeper = np.full(clusters, -1, np.int64)
    fate = np.where(parts > 1, _SPLIT, np.where(parts == 0, _EMPTIED, _MERGED))
    fate[~present] = _STAYS
    whole = np.flatnonzero(parts[person] == 1)
    best = whole[np.lexsort((earliest[whole], -size[whole], target[whole]))]
    best = best[_first_of_runs(target[best])]
    keeper[target[best]] = person[best]
    fate[person[best]] = _STAYS
    into = np.full(persons, -1, np.int64)
    into[person[whole]] = target[whole]
    return _Meeting(cluster, old, person, target, size, earliest, keeper, fate, into)


def _restore(meeting: _Meeting, former: Ints, present: Flags) -> Ints:
    """Gives former persons' ids to the clusters that have just their records; changes the meeting
    in place and returns the persons that come back."""
    keeper, fate = meeting.keeper, meeting.fate
    clusters = len(keeper)
    person, target, size, _ = _pairs(former, meeting.cluster, clusters)
    sizes = np.bincount(meeting.cluster, minlength=clusters)
    same = (np.bincount(person, minlength=len(fate))[person] == 1) & (size == sizes[target])
    person, target = person[same], target[same]
    back = ~present[person]
    displaced = keeper[target]
    fate[displaced[displaced >= 0]] = _MERGED
    # A cluster whose id goes elsewhere founds a person.
    keeper[np.isin(keeper, person)] = -1
    keeper[target] = person
    merged = np.flatnonzero(fate == _MERGED)
    fate[merged[np.isin(meeting.into[merged], target[back])]] = _UNDONE
    fate[fate == _EMPTIED] = _UNDONE
    fate[person] = _STAYS
    revived: Ints = np.sort(person[back])
    return revived


def _continued(meeting: _Meeting, founding: Ints) -> Ints:
    """(founding,) the split person whose larger part each founding cluster takes on; -1: none.

    A person's larger part is carried on where it founds; of several persons that a cluster would
    carry on it takes the one with most records in it.
    """
    person, target = meeting.person, meeting.target
    out = np.full(len(meeting.keeper), -1, np.int64)
    parted = np.flatnonzero(meeting.fate[person] == _SPLIT)
    by_person = parted[
        np.lexsort((meeting.earliest[parted], -meeting.size[parted], person[parted]))
    ]
    largest = by_person[_first_of_runs(person[by_person])]
    by_target = largest[
        np.lexsort((meeting.earliest[largest], -meeting.size[largest], target[largest]))
    ]
    chosen = by_target[_first_of_runs(target[by_target])]
    out[target[chosen]] = person[chosen]
    return out[founding]


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


def _first_of_runs(values: Ints) -> npt.NDArray[np.int64]:
    if not len(values):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))


def _founders(cluster: Ints, founders: pa.Array, clusters: int) -> Ints:
    """(clusters,) the row with the smallest founder key of each cluster."""
    order = founder_order(founders)
    out = np.full(clusters, -1, np.int64)
    out[cluster[order[::-1]]] = order[::-1]
    return out
