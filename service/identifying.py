"""Which persons a computed partition is shown as: what must be published of it.

Rules:
- Where the last run shows the state that the partition goes on from, only persons that a change
  touches are looked at: of a person whose records are those that they were, in one cluster as they
  were, nothing can change (service/identity.py).
- Where persons of a former run are to come back, all are looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from linkage.live import Marks, found_at
from schemas.identifiers import PersonId
from service.identity import Changes, Flags, Ints, changes
from service.inputs import delta_between, restored, returned
from service.ports import Store
from service.protected import partings
from service.reading import Ground
from service.reuse import become_another
from service.runs import KeptState, RunRow


@dataclass(frozen=True)
class Identified:
    """What a partition amounts to.

    Attributes:
        change: what must be published.
        judged, against: what the limits look at, and the partition that it starts from: that of a
            former run, where its persons are to come back.
        persons: how many `against` has.
        members: the published partition.
        another, returning: see `service.identity.changes`.
        undoing: whether persons of a former run are to come back.
    """

    change: Changes
    judged: Changes
    against: pa.Table
    persons: int
    members: pa.Table
    another: Ints
    returning: pa.Table
    undoing: bool = False


def identified(store: Store, ground: Ground, computed: KeptState) -> Identified:
    """The persons of a computed partition."""
    members = published_members(store, ground.kept, ground.last)
    ids = computed.state.records["record_id"].to_numpy()
    reading = ground.reading
    another = become_another(
        store,
        _news(ground, computed),
        reading.known if reading else (ground.past, ground.table),
        reading.born_alike if reading else None,
    )
    returning, parting = returned(store, ids, members), partings(store)
    reference = restored(store, computed.delta)
    if reference is None and ground.continues and ground.kept is not None:
        touched = _Touched(ground, ground.kept, computed)
        change = touched.changes(store, another, returning, parting)
        return Identified(change, change, members, touched.persons, members, another, returning)
    label, tasks = computed.state.records["label"].to_numpy(), computed.state.tasks
    founders, counts = ground.founders(np.arange(len(ids))), store.founded_counts()
    change = changes(
        ids, founders, label, members, counts, tasks, reference, another, returning, parting
    )
    if reference is None:
        return Identified(change, change, members, _persons(members), members, another, returning)
    judged = changes(ids, founders, label, reference, counts, tasks, parting=parting)
    return Identified(
        change, judged, reference, _persons(reference), members, another, returning, undoing=True
    )


def _persons(members: pa.Table) -> int:
    return len(members["person_id"].unique())


def published_members(store: Store, kept: KeptState | None, last: RunRow | None) -> pa.Table:
    """The published partition: from the state where the last run published that, else as held."""
    if kept is None or last is None or last.state_id != kept.state_id:
        return store.memberships()
    table = pa.table({"record_id": kept.state.records["record_id"], "person_id": kept.persons})
    return table.filter(table["person_id"].is_valid())


def _news(ground: Ground, computed: KeptState) -> pa.Table:
    """How the records differ from those of the last run, in full or in part: what that run showed
    of a record that became another person is not to be parted again."""
    kept, last = ground.kept, ground.last
    if kept is None or last is None or last.state_id != kept.state_id:
        return computed.delta
    return delta_between(kept.state.records, computed.state.records)


class _Touched:
    """Persons and clusters that have something to do with what changed since a state that the last
    run shows in full: each of its clusters is one person.

    Everything is told by labels, those of then and those of now: a record's two labels differ only
    where it is marked, and so all of a marked person's records are, and all of a marked cluster's.
    """

    def __init__(self, ground: Ground, kept: KeptState, computed: KeptState) -> None:
        self._ground, self._kept, self._computed = ground, kept, computed
        records, then = computed.state.records, kept.state.records
        self._ids, self._label = (records[name].to_numpy() for name in ("record_id", "label"))
        self._then_ids, self._then = (then[name].to_numpy() for name in ("record_id", "label"))
        self._known = found_at(self._ids, self._then_ids)
        self._before = np.where(
            self._known >= 0, np.append(self._then, 0)[self._known], self._label
        )
        self._marks = Marks(self._ids, self._then_ids)
        self._mark((self._known < 0) | (self._before != self._label))
        self._marks.set(self._then[found_at(self._then_ids, self._ids) < 0])

    @property
    def persons(self) -> int:
        """How many persons the state shows."""
        shown = self._kept.persons.is_valid().to_numpy()
        clusters = Marks(self._ids, self._then_ids)
        clusters.set(self._then[shown])
        return clusters.count

    def _mark(self, some: Flags) -> None:
        """Marks both labels of some records."""
        self._marks.set(self._label[some])
        self._marks.set(self._before[some])

    def changes(
        self,
        store: Store,
        another: Ints,
        returning: pa.Table,
        parting: Sequence[tuple[int, Collection[PersonId]]],
    ) -> Changes:
        """What must be published: see `service.identity.changes`."""
        apart = [record_id for record_id, _ in parting]
        self._mark(found_at(self._ids, np.union1d(another, np.array(apart, np.int64))) >= 0)
        if len(returning):
            back = returning["person_id"].combine_chunks()
            theirs = pc.is_in(self._kept.persons, value_set=back).to_numpy()
            self._marks.set(self._then[theirs])
        rows = np.flatnonzero(self._marks.of(self._label) | self._marks.of(self._before))
        near = pa.array(self._marks.of(self._then))
        members = pa.table(
            {"record_id": self._kept.state.records["record_id"], "person_id": self._kept.persons}
        ).filter(near)
        change = changes(
            self._ids[rows],
            self._ground.founders(rows),
            self._label[rows],
            members.filter(members["person_id"].is_valid()),
            store.founded_counts(self._ids[rows].tolist()),
            self._computed.state.tasks,
            None,
            another,
            returning,
            parting,
        )
        return self._of_all(change, rows)

    def _of_all(self, change: Changes, rows: Ints) -> Changes:
        """The change with what is told of each record told of all."""
        held = [*self._kept.persons.chunks, change.persons]
        place = self._known.copy()
        place[rows] = len(self._then) + np.arange(len(rows))
        persons = pa.concat_arrays(held).take(pa.array(place))

        def everywhere(some: Flags) -> Flags:
            found = np.zeros(len(self._ids), bool)
            found[rows] = some
            return found

        return replace(
            change,
            persons=persons,
            moved=everywhere(change.moved),
            joined_records=everywhere(change.joined_records),
            split_records=everywhere(change.split_records),
        )
