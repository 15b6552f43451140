"""What a link reads: model, settings and decisions in force, and the records as they count.

Rules:
- Model and thresholds are those of the workspace; while a run is undone, those in force before
  it (before the earliest, where several are).
- A record counts in its live version; where a run that saw another version of it first is undone,
  in the version before that run (before the earliest), or not at all if it was not there.
- Two kinds of records count as they are now, whatever was undone, because they are shown so: one
  that has become another person, and one that a run that is undone saw first, that flags a
  restriction or tells a death and was shown there with records of at most one former person.
- A withdrawn record stays withdrawn, and a version that was erased is never brought back: such a
  record counts as it is now.
- How the records differ from those of the last full publication is a *delta*, so that a run can be
  undone; deltas of runs of which not all was published go on into the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from linkage.live import found_at
from linkage.model import code_versions
from schemas.settings import Settings
from service.ports import Store
from service.reuse import become_another, same_still
from service.runs import DELTA_SCHEMA, KeptState, RunRow, RunState, StateKey, Undo
from service.urgent import protecting


@dataclass(frozen=True)
class Inputs:
    """What decides the partition beside records and decisions."""

    model: str
    join_bits: float
    review_bits: float
    accept_test_numbers: bool
    keeps_apart: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings, model_hash: str) -> Inputs:
        """Those of the settings."""
        link = settings.link
        apart = tuple(sorted(s.id for s in settings.sources if s.keeps_people_apart))
        return cls(model_hash, link.join_bits, link.review_bits, link.accept_test_numbers, apart)

    @classmethod
    def told(cls, document: Mapping[str, Any]) -> Inputs:
        """Those of a run, as `document` gave them."""
        return cls(**{**document, "keeps_apart": tuple(document["keeps_apart"])})

    @property
    def document(self) -> dict[str, Any]:
        """As plain values, to be kept."""
        return asdict(self)

    @property
    def hash(self) -> str:
        """Digest of all of it, and of the versions of the code that reads and compares: a model
        that is in force again after an undo bears those of its own time."""
        return hashlib.sha256(f"{code_versions()}:{self!r}".encode()).hexdigest()


def active_undos(store: Store) -> list[Undo]:
    """The undos that hold, the earliest run first."""
    undos = store.undos()
    active = sorted((u for u in undos if u.active), key=lambda u: u.run_id)
    if not active:
        return []
    runs = store.runs()
    return [replace(u, inputs=former_inputs(runs, undos, u.run_id) or u.inputs) for u in active]


def former_inputs(
    runs: Sequence[RunRow], undos: Sequence[Undo], run_id: int
) -> Mapping[str, Any] | None:
    """The inputs of the last run before it that was published in full and showed no undo that was
    released since; None if there is none."""
    for run in reversed(runs):
        full = run.state is RunState.PUBLISHED
        if run.run_id < run_id and full and not _lifted(undos, run.run_id):
            return dict(run.summary["inputs"])
    return None


def former_run(undos: Sequence[Undo], run_id: int) -> int:
    """The last run before it that showed no undo that was released since; 0 if there is none."""
    before = run_id - 1
    while before and _lifted(undos, before):
        before -= 1
    return before


def _lifted(undos: Sequence[Undo], run_id: int) -> bool:
    """Whether the run showed an undo that was released since."""
    return any(
        not u.active
        and u.undone_by is not None
        and u.undone_by <= run_id
        and (u.released_by is None or run_id < u.released_by)
        for u in undos
    )


def in_force(settings: Settings, model_hash: str, undone: Sequence[Undo]) -> Inputs:
    """The inputs in force. `undone` as `active_undos` gives them."""
    if undone:
        return Inputs.told(undone[0].inputs)
    return Inputs.of(settings, model_hash)


def key_of(store: Store, inputs: Inputs) -> StateKey:
    """What a link would be computed from now."""
    return StateKey(
        inputs.hash, store.generation(), store.decision_sequence(), store.undo_sequence()
    )


def counting_records(store: Store, undone: Sequence[Undo]) -> pa.Table:
    """The match columns of the records that count, in the versions that count."""
    live = store.match_columns()
    if not undone:
        return live
    former = live
    for run in reversed(undone):
        former = _before(store, former, store.run_delta(run.run_id))
    step = delta_between(former, live)
    as_now = np.concatenate([become_another(store, step), _protecting(store, undone, live, step)])
    kept, back = (pc.is_in(t["record_id"], value_set=pa.array(as_now)) for t in (former, live))
    whole = pa.concat_tables([former.filter(pc.invert(kept)), live.filter(back)])
    return whole.take(pc.sort_indices(whole["record_id"]))


def _protecting(
    store: Store, undone: Sequence[Undo], live: pa.Table, step: pa.Table
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Ids of the records that undone runs saw first, and that count because they protect."""
    absent = step.filter(step["before"].is_null())["record_id"]
    rows = np.flatnonzero(pc.is_in(live["record_id"], value_set=absent.combine_chunks()).to_numpy())
    ids = live["record_id"].to_numpy()[protecting(store, live, rows)]
    shown = store.memberships(undone[-1].run_id)
    own = pc.take(shown["person_id"], pc.index_in(pa.array(ids), value_set=shown["record_id"]))
    together = shown.filter(pc.is_in(shown["person_id"], value_set=own))
    before = store.memberships(undone[0].basis).rename_columns(["record_id", "former"])
    met = together.join(before, "record_id", join_type="inner").group_by("person_id")
    several = met.aggregate([("former", "count_distinct")]).filter(
        pc.field("former_count_distinct") > 1
    )["person_id"]
    one = pc.and_(own.is_valid(), pc.invert(pc.is_in(own, value_set=several)))
    found: np.ndarray[Any, np.dtype[np.int64]] = ids[one.to_numpy(zero_copy_only=False)]
    return found


def _before(store: Store, now: pa.Table, delta: pa.Table) -> pa.Table:
    """The records with those of the delta as they were before it."""
    place = pc.index_in(now["record_id"], value_set=delta["record_id"])
    before = pc.take(delta["before"], place).combine_chunks()
    named = place.combine_chunks().is_valid()
    differs = pc.fill_null(pc.not_equal(before, now["version_id"].combine_chunks()), False)
    former = store.past_columns(before.filter(differs).to_pylist())
    absent = pc.and_(named, before.is_null())
    replaced = pc.is_in(now["record_id"], value_set=former["record_id"])
    same_as = pc.take(now["same_as"], pc.index_in(former["record_id"], now["record_id"]))
    column = former.schema.get_field_index("same_as")
    former = former.set_column(column, former.schema.field(column), same_as)
    kept = now.filter(pc.invert(pc.or_(absent, replaced.combine_chunks())))
    whole = pa.concat_tables([kept, former])
    return whole.take(pc.sort_indices(whole["record_id"]))


def former_versions(kept: KeptState | None, now: pa.Table) -> list[int]:
    """Versions in the state whose records are changed or gone now."""
    if kept is None:
        return []
    step = delta_between(kept.state.records, now)
    found: list[int] = step["before"].drop_null().to_pylist()
    return found


def delta_between(past: pa.Table, now: pa.Table) -> pa.Table:
    """Which records differ, of `DELTA_SCHEMA`. Tables with record_id ascending and version_id."""
    (ids, version), (held, former) = (
        (table["record_id"].to_numpy(), table["version_id"].to_numpy()) for table in (now, past)
    )
    known = found_at(ids, held)
    was = np.where(known >= 0, np.append(former, 0)[known], 0)
    news = np.flatnonzero((known < 0) | (was != version))
    gone = np.flatnonzero(found_at(held, ids) < 0)
    record = np.concatenate([ids[news], held[gone]])
    before = pa.array(
        np.concatenate([was[news], former[gone]]),
        mask=np.concatenate([known[news] < 0, np.zeros(len(gone), bool)]),
    )
    after = pa.array(
        np.concatenate([version[news], former[gone]]),
        mask=np.arange(len(record)) >= len(news),
    )
    table = pa.Table.from_arrays([pa.array(record), before, after], schema=DELTA_SCHEMA)
    return table.take(pa.array(np.argsort(record)))


def _differing(delta: pa.Table) -> pa.Table:
    same = pc.equal(pc.fill_null(delta["before"], -1), pc.fill_null(delta["after"], -1))
    return delta.filter(pc.invert(same))


def composed(first: pa.Table, then: pa.Table) -> pa.Table:
    """One delta that does what two do, one after the other."""
    joined = first.join(then, "record_id", join_type="full outer", right_suffix="_then")
    known = pc.is_in(joined["record_id"], value_set=first["record_id"])
    moved_on = pc.is_in(joined["record_id"], value_set=then["record_id"])
    before = pc.if_else(known, joined["before"], joined["before_then"])
    after = pc.if_else(moved_on, joined["after_then"], joined["after"])
    columns = [joined["record_id"], before, after]
    return _differing(pa.Table.from_arrays(columns, schema=DELTA_SCHEMA)).sort_by("record_id")


def delta_since_publication(kept: KeptState | None, now: pa.Table, *, shown: bool) -> pa.Table:
    """How the records differ from those of the last run that was published in full.

    Args:
        kept: the latest link state; None where none was ever kept.
        shown: whether the last run shows that state in full.
    """
    if kept is None:
        return delta_between(_VERSIONS.empty_table(), now)
    step = delta_between(kept.state.records, now)
    return step if shown else composed(kept.delta, step)


def returned(
    store: Store, record_ids: np.ndarray[Any, np.dtype[np.int64]], members: pa.Table
) -> pa.Table:
    """Records that are back, and the person that their last one leads to (see `changes`)."""
    if not len(members):
        return members
    new = found_at(record_ids, members["record_id"].to_numpy()) < 0
    return store.last_persons(record_ids[new].tolist())


def restored(store: Store, delta: pa.Table) -> pa.Table | None:
    """The partition of the run that the next one is to bring back, None where it brings none.
    Records that have become another person since that run are left out of it.

    Args:
        delta: how the records differ from those of the last run that was published in full.
    """
    basis = _basis(store)
    if basis is None:
        return None
    since = DELTA_SCHEMA.empty_table()
    for run in store.runs():
        if run.run_id > basis:
            since = composed(since, store.run_delta(run.run_id))
    return same_still(store, store.memberships(basis), composed(since, delta))


def _basis(store: Store) -> int | None:
    """The run whose persons the next one is to bring back."""
    pending = [undo for undo in store.undos() if undo.pending]
    if not pending:
        return None
    latest = max(pending, key=lambda undo: (undo.released_at or undo.undone_at, undo.undo_id))
    if latest.active:
        return latest.basis
    return None if latest.undone_by is None else latest.undone_by - 1


_VERSIONS = pa.schema([("record_id", pa.int64()), ("version_id", pa.int64())])
