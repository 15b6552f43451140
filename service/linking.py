"""Link: brings the published persons up to date with the records.

Rules:
- The first link trains the model on what is there, from the shipped one, and freezes it in the
  workspace; later links use the frozen file, until somebody trains anew.
- Nothing new since the last published run under the same inputs: nothing is done.
- A link starts from the state that the last one left, and decides anew what the changes touch;
  where there is no state under these inputs, or a version that it was computed from is no longer
  held, it links from nothing. The partition is the same either way.
- What is computed is kept before it is published: a run that dies is resumed, not repeated.
- A run over a limit is held (service/publication.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa

from linkage.increment import Linked, link_increment
from linkage.model import Model, uk_person
from linkage.state import Decided
from schemas.dates import Clock
from schemas.errors import NeedsDecision
from schemas.settings import Settings
from service.identity import Changes, changes
from service.inputs import (
    Inputs,
    active_undos,
    counting_records,
    delta_between,
    delta_since_publication,
    former_versions,
    in_force,
    restored,
    returned,
)
from service.model_files import kept_model, load_model, write_whole
from service.ports import Store
from service.protected import Bound, bound, partings
from service.publication import Difference, difference, over_limits
from service.reuse import become_another
from service.runs import KeptState, NewRun, RunKind, RunRow, RunState, StateKey, Undo
from service.training import SMALLEST_TRAINING, train_model
from service.urgent import urgent_changes

Progress = Callable[[str, int, int], None]


@dataclass
class LinkReport:
    """What one link did. `seconds` by stage; `run_id` None where nothing was to be done.

    Attributes:
        full: whether it linked from nothing.
        differing: records that the full link asked for put elsewhere than the increment did, which
            must be none; None where the two were not compared.
        undoable: whether it is known how the records differ from those before it.
        compared, rules, stats: of what was decided anew.
    """

    run_id: int | None = None
    records: int = 0
    persons: int = 0
    compared: int = 0
    created: int = 0
    joined: int = 0
    split: int = 0
    moved: int = 0
    withdrawn: int = 0
    tasks: int = 0
    model: str = ""
    full: bool = False
    differing: int | None = None
    undoable: bool = True
    rules: list[dict[str, Any]] = field(default_factory=list)
    histogram: dict[str, list[float]] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    stats: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


class _Stopwatch:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, stage: str) -> None:
        now = perf_counter()
        self.seconds[stage] = round(now - self._last, 3)
        self._last = now


@dataclass(frozen=True)
class Ground:
    """What a link stands on.

    Attributes:
        table: the records that count, in the versions that count.
        bound: what people and sources declared, changes of identity included.
        kept, last: the latest link state and run.
        past: columns of the versions in that state whose records are changed or gone, as far as
            they are still held.
    """

    table: pa.Table
    inputs: Inputs
    key: StateKey
    bound: Bound
    kept: KeptState | None
    last: RunRow | None
    past: pa.Table

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


def link_records(
    store: Store,
    settings: Settings,
    model_file: Path,
    clock: Clock,
    *,
    full: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> LinkReport:
    """Links all live records and publishes the persons.

    Raises: NeedsDecision where a limit holds the run; NotFound where an undone run's model is not.
    """
    watch = _Stopwatch()
    last, head = store.last_run(), store.state_key()
    undone = active_undos(store)
    sequences = store.generation(), store.decision_sequence(), store.undo_sequence()
    model = _model_in_force(model_file, undone)
    if model is not None:
        key = StateKey(in_force(settings, model.hash, undone).hash, *sequences)
        if not full and _settled(head, last, key):
            return LinkReport(model=model.hash, seconds={"check": perf_counter() - watch._last})
    table = counting_records(store, undone)
    watch.lap("read")
    if model is None:
        model = _frozen_model(model_file, table, settings)
    watch.lap("model")
    inputs = in_force(settings, model.hash, undone)
    key = StateKey(inputs.hash, *sequences)
    held_to = bound(store, table, store.decided())
    kept = store.link_state()
    past = store.past_columns(former_versions(kept, table))
    ground = Ground(table, inputs, key, held_to, kept, last, past)
    watch.lap("state")
    if ground.kept is not None and ground.kept.key == key and not full:
        computed = ground.kept
    else:
        computed = compute(ground, model, full=full, threads=threads, progress=progress)
    watch.lap("link")
    report = _publish(store, settings, ground, computed, clock, watch)
    report.seconds = watch.seconds
    return report


def _settled(head: tuple[int, StateKey] | None, last: RunRow | None, key: StateKey) -> bool:
    """Whether the last run shows, in full, what would be computed now."""
    if head is None or last is None or last.state is RunState.HELD:
        return False
    state_id, computed = head
    return computed == key and last.state_id == state_id


def _model_in_force(path: Path, undone: Sequence[Undo]) -> Model | None:
    """The frozen model, or that of before an undone run; None before the first training."""
    if undone:
        return kept_model(path, str(undone[0].inputs["model"]))
    return load_model(path) if path.exists() else None


def _frozen_model(path: Path, table: pa.Table, settings: Settings) -> Model:
    model = uk_person()
    if len(table) >= SMALLEST_TRAINING:
        model = train_model(table, settings, model).model
    write_whole(path, model.to_json())
    return model


def compute(
    ground: Ground,
    model: Model,
    *,
    full: bool,
    threads: int | None,
    progress: Progress | None,
) -> KeptState:
    """The partition of what counts, as a state that is not kept yet and has no persons.

    Args:
        full: link from nothing, and compare with the increment where there is one.
    """
    kept, table = ground.kept, ground.table
    same = kept is not None and kept.key.input_hash == ground.key.input_hash
    found = _increment(ground, model, threads, progress) if same else None
    differing = None
    linked = found
    if linked is None or full:
        linked = _linked(ground, model, None, table.slice(0, 0), threads, progress)
        if found is not None:
            differing = _differing(found.state.records, linked.state.records)
    return KeptState(
        state_id=0,
        key=ground.key,
        state=linked.state,
        decided=ground.decided,
        delta=delta_since_publication(kept, table, shown=ground.continues),
        persons=pa.chunked_array([pa.nulls(len(table), pa.string())]),
        report=_report_of(linked, model, full=linked is not found, differing=differing)
        | {"undoable": _undoable(ground)},
    )


def _undoable(ground: Ground) -> bool:
    """Whether it is known how the records differ from those of the last full publication."""
    if ground.kept is None:
        return ground.last is None
    return ground.continues or bool(ground.kept.report["undoable"])


def _increment(
    ground: Ground, model: Model, threads: int | None, progress: Progress | None
) -> Linked | None:
    """The increment; None where a version that the state was computed from is no longer held."""
    if len(ground.past) != len(former_versions(ground.kept, ground.table)):
        return None
    return _linked(ground, model, ground.kept, ground.past, threads, progress)


def _linked(
    ground: Ground,
    model: Model,
    kept: KeptState | None,
    past: pa.Table,
    threads: int | None,
    progress: Progress | None,
) -> Linked:
    inputs = ground.inputs
    return link_increment(
        ground.table,
        past,
        kept.state if kept else None,
        ground.decided,
        kept.decided if kept else Decided(),
        model,
        join_bits=inputs.join_bits,
        review_bits=inputs.review_bits,
        keeps_apart=frozenset(inputs.keeps_apart),
        accept_test_numbers=inputs.accept_test_numbers,
        threads=threads,
        progress=progress,
    )


def _differing(one: pa.Table, two: pa.Table) -> int:
    return int((one["label"].to_numpy() != two["label"].to_numpy()).sum())


def _report_of(
    linked: Linked, model: Model, *, full: bool, differing: int | None
) -> dict[str, Any]:
    """What is told of a computation, as fields of `LinkReport`."""
    _, counts = np.unique(linked.state.records["label"].to_numpy(), return_counts=True)
    sizes, how_many = np.unique(counts, return_counts=True)
    edges, weights = linked.histogram
    return {
        "records": len(linked.state.records),
        "persons": len(counts),
        "compared": linked.compared,
        "model": model.hash,
        "full": full,
        "differing": differing,
        "rules": [asdict(r) for r in linked.rules],
        "histogram": {"bits": edges.tolist(), "pairs": weights.tolist()},
        "sizes": {int(s): int(c) for s, c in zip(sizes, how_many, strict=True)},
        "stats": dict(linked.stats),
    }


def _publish(
    store: Store,
    settings: Settings,
    ground: Ground,
    computed: KeptState,
    clock: Clock,
    watch: _Stopwatch,
) -> LinkReport:
    """Keeps the state and publishes it, or what never waits of it.

    Raises: NeedsDecision where a limit holds it.
    """
    members = published_members(store, ground.kept, ground.last)
    ids = computed.state.records["record_id"].to_numpy()
    label = computed.state.records["label"].to_numpy()
    founders = ground.table["founder"].combine_chunks()
    tasks, counts = computed.state.tasks, store.founded_counts()
    reference = restored(store, computed.delta)
    another = become_another(store, _news(ground, computed), (ground.past, ground.table))
    returning = returned(store, ids, members)
    parting = partings(store)
    change = changes(
        ids, founders, label, members, counts, tasks, reference, another, returning, parting
    )
    judged, against = change, members
    if reference is not None:
        judged = changes(ids, founders, label, reference, counts, tasks, parting=parting)
        against = reference
    persons = len(against["person_id"].unique())
    over = over_limits(settings.link, judged, persons, len(against))
    told = difference(ground.table, label, against, judged, over, persons) if over else None
    if over and ground.held and ground.kept is computed and ground.last:
        raise _held(ground.last.run_id, over)
    shown = change
    if over:
        apart = computed.decided.apart
        shown = urgent_changes(
            store, ground.table, label, members, apart, tasks, another, returning
        )
    watch.lap("identify")
    state_id = _kept(store, computed, pa.chunked_array([shown.persons]))
    watch.lap("keep")
    report = whole_report(computed, shown if over else change)
    report.run_id = store.publish(
        _new_run(ground, computed, report, state_id, told, undoing=reference is not None),
        shown.publication,
        clock(),
    )
    watch.lap("publish")
    if over:
        raise _held(report.run_id, over)
    return report


def _held(run_id: int, over: list[str]) -> NeedsDecision:
    return NeedsDecision(
        f"run {run_id} is held; nothing of it was published but what never waits: withdrawals,"
        f" separations, restrictions and deaths. "
        + "; ".join(over)
        + f". Read `person difference {run_id}`; then"
        f" `link --approve {run_id}` publishes it, `person undo run {run_id}` drops it"
    )


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


def _kept(store: Store, computed: KeptState, persons: pa.ChunkedArray) -> int:
    """The id of the state, kept now unless it is as it stands."""
    if computed.state_id and computed.persons.equals(persons):
        return computed.state_id
    return store.save_link_state(replace(computed, persons=persons))


def whole_report(computed: KeptState, change: Changes) -> LinkReport:
    """What is told of a computation and of what is published of it."""
    report = LinkReport(**computed.report)
    report.sizes = {int(size): count for size, count in report.sizes.items()}
    report.created, report.joined, report.split = change.created, change.joined, change.split
    report.moved, report.withdrawn = int(change.moved.sum()), change.withdrawn
    report.tasks = len(computed.state.tasks)
    return report


def _new_run(
    ground: Ground,
    computed: KeptState,
    report: LinkReport,
    state_id: int,
    told: Difference | None,
    *,
    undoing: bool,
) -> NewRun:
    summary = {k: v for k, v in asdict(report).items() if k not in ("seconds", "run_id")}
    summary |= {"inputs": ground.inputs.document, "key": asdict(ground.key)}
    summary |= {"protected": ground.bound.document}
    if told is not None:
        summary["difference"] = told.document
    return NewRun(
        model_hash=ground.inputs.model,
        generation=ground.key.generation,
        summary=summary,
        kind=RunKind.UNDO if undoing else RunKind.LINK,
        held=told is not None,
        state_id=state_id,
        delta=computed.delta,
    )
