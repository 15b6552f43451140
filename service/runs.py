"""What link runs leave behind and what they answer to, as values: state, runs, undos, ids.

The store keeps these (service/ports.py); the use cases of linking read and make them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pyarrow as pa

from audit.actions import PROGRAM
from linkage.state import Decided, LinkState
from schemas.dates import Instant
from schemas.identifiers import PersonId

DELTA_SCHEMA = pa.schema([("record_id", pa.int64()), ("before", pa.int64()), ("after", pa.int64())])
"""Records whose version a run was the first to see: version ids, null where the record was not
there."""


class RunState(StrEnum):
    """How far a run has come."""

    PUBLISHING = "publishing"
    PUBLISHED = "published"
    HELD = "held"
    """Stopped by a limit: only what never waits was published of it."""


class RunKind(StrEnum):
    """What brought a run about."""

    LINK = "link"
    APPROVAL = "approval"
    UNDO = "undo"
    """The first run after a run was undone, or an undo was released."""


class Fate(StrEnum):
    """What has become of a person's id."""

    PRESENT = "present"
    MERGED = "merged"
    """It leads to the person that took its records in."""
    SPLIT = "split"
    """Its records lie in several persons: identify again."""
    EMPTIED = "emptied"
    """No record of it is left."""
    UNDONE = "undone"
    """The run that made it was undone: identify again."""
    UNKNOWN = "unknown"


GONE = frozenset({Fate.SPLIT, Fate.EMPTIED, Fate.UNDONE})
"""Fates in which an id leads nowhere: whoever kept it must identify the person again."""


@dataclass(frozen=True)
class Resolution:
    """What an id answers. `person` is set exactly where the id leads to a present person.

    Attributes:
        fate: of the id asked for; where it was merged into a person that has since gone, the fate
            of that person.
    """

    person: PersonId | None
    fate: Fate

    def __post_init__(self) -> None:
        if (self.person is not None) != (self.fate in (Fate.PRESENT, Fate.MERGED)):
            raise ValueError("a resolution names a person exactly where the id leads to one")


@dataclass(frozen=True)
class StateKey:
    """What a link state was computed from, beside the records themselves.

    Attributes:
        input_hash: digest of the model and of the settings that decide the partition.
        generation: of the records (Store.generation).
        decisions: sequence of the decisions (Store.decision_sequence).
        holds: sequence of undos and releases (Store.undo_sequence).
    """

    input_hash: str
    generation: int
    decisions: int
    holds: int


@dataclass(frozen=True)
class KeptState:
    """A computed partition as the store keeps it for the next link.

    Attributes:
        delta: see NewRun.
        report: what the link that computed it did, in counts.
        persons: (n,) string, in step with `state.records`: the person that each record is shown
            in once the run of this state is published; null where in none.
    """

    state_id: int
    key: StateKey
    state: LinkState
    decided: Decided
    delta: pa.Table
    persons: pa.ChunkedArray
    report: Mapping[str, Any]


@dataclass(frozen=True)
class NewRun:
    """What is told of a run beside what it changes.

    Attributes:
        state_id: of the link state that it publishes.
        delta: of `DELTA_SCHEMA`: how its records differ from those of the last run that was
            published in full.
        summary: counts and settings, for reports; no person's value.
        by, role, purpose: who had it published, for its event.
    """

    model_hash: str
    generation: int
    summary: Mapping[str, Any]
    by: str = PROGRAM
    role: str = "-"
    purpose: str = "-"
    kind: RunKind = RunKind.LINK
    held: bool = False
    state_id: int | None = None
    delta: pa.Table = field(default_factory=DELTA_SCHEMA.empty_table)


@dataclass(frozen=True)
class RunRow:
    """One link run that was published, in full or in part."""

    run_id: int
    state: RunState
    kind: RunKind
    model_hash: str
    generation: int
    """The ingest generation it covers: the highest batch loaded before it began."""
    started_at: Instant
    state_id: int | None
    summary: Mapping[str, Any]


@dataclass(frozen=True)
class Undo:
    """One run undone: its records and its model stand as before it, until it is released.

    Attributes:
        basis: the run whose persons it brings back; 0 for none.
        inputs: the model and the settings of that run.
        undone_by, released_by: the runs that first showed it, None while no run has.
    """

    undo_id: int
    run_id: int
    basis: int
    inputs: Mapping[str, Any]
    undone_at: Instant
    undone_by: int | None = None
    released_at: Instant | None = None
    released_by: int | None = None

    @property
    def active(self) -> bool:
        """Whether it holds."""
        return self.released_at is None

    @property
    def pending(self) -> bool:
        """Whether no run has shown its latest change yet."""
        return self.undone_by is None if self.active else self.released_by is None


@dataclass(frozen=True)
class Stay:
    """A span of runs in which a person was present; `to_run` None: still."""

    from_run: int
    to_run: int | None = None
    ending: Fate | None = None
    merged_into: PersonId | None = None


@dataclass(frozen=True)
class PersonPast:
    """What is known of one person over time.

    Attributes:
        continues: the person whose larger part it took on after a split.
        records: ids of all records that were ever in it.
        stays: in order.
        arrivals, departures: run → how many records came to it or left it.
        merged: (run, person) of persons that were merged into it.
        parts: (run, person) of persons that continue it after a split, or hold records of it.
        runs: the runs named above.
        erased: (run, when) of its records that were erased since: the run that it lost each with,
            the latest one where it has not been linked anew yet.
    """

    person_id: PersonId
    continues: PersonId | None
    records: frozenset[int]
    stays: tuple[Stay, ...]
    arrivals: Mapping[int, int]
    departures: Mapping[int, int]
    merged: tuple[tuple[int, PersonId], ...]
    parts: tuple[tuple[int, PersonId], ...]
    runs: Mapping[int, RunRow]
    erased: tuple[tuple[int, Instant], ...] = ()
