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
from concurrent.futures import Future, ThreadPoolExecutor
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
from service.access import Actor
from service.identifying import identified
from service.identity import Changes
from service.inputs import (
    Inputs,
    active_undos,
    counting_records,
    delta_since_publication,
    former_versions,
    in_force,
)
from service.model_files import kept_model, load_model, write_whole
from service.ports import Store
from service.protected import bound
from service.publication import Difference, difference, over_limits
from service.reading import (
    Ground,
    Opened,
    keep_reading,
    opened,
    read_again,
    read_all,
    whole,
)
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


def link_records(
    store: Store,
    settings: Settings,
    model_file: Path,
    clock: Clock,
    *,
    full: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
    by: Actor | None = None,
    ahead: Ahead | None = None,
) -> LinkReport:
    """Links all live records and publishes the persons.

    Args:
        by: who has it published, for its event; None for the program itself.
        ahead: opens what the last link left, while feeds are loaded.

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
    inputs = None if model is None else in_force(settings, model.hash, undone)
    reading = None
    if model is not None and inputs is not None and not undone and not full:
        found = ahead.opened(inputs) if ahead else opened(store, inputs)
        kept = found.kept
        watch.lap("state")
        reading = read_again(store, inputs, model, found)
    else:
        kept = store.link_state()
        watch.lap("state")
    if model is None or inputs is None or reading is None:
        table = counting_records(store, undone)
        if model is None:
            watch.lap("read")
            model = _frozen_model(model_file, table, settings)
            watch.lap("model")
        inputs = in_force(settings, model.hash, undone)
        reading = read_all(store, table, inputs, model, kept)
    key = StateKey(inputs.hash, *sequences)
    held_to = bound(store, lambda: whole(store, reading.table), store.decided())
    ground = Ground(reading.table, inputs, key, held_to, kept, last, reading.past, reading)
    watch.lap("read")
    if ground.kept is not None and ground.kept.key == key and not full:
        computed = ground.kept
    else:
        computed = compute(ground, model, full=full, threads=threads, progress=progress)
    watch.lap("link")
    report = _publish(store, settings, ground, computed, clock, watch, by)
    if not undone:
        keep_reading(store, inputs, reading)
        watch.lap("kept for the next")
    report.seconds = watch.seconds
    return report


class Ahead:
    """Opens what the last link left in a thread, under the inputs that will be in force if nobody
    changes them meanwhile. A context manager."""

    def __init__(self, store: Store, settings: Settings, model_file: Path) -> None:
        self._store, self._settings, self._model_file = store, settings, model_file
        self._pool = ThreadPoolExecutor(1)
        self._found: Future[tuple[Inputs, Opened] | None] | None = None

    def begin(self) -> None:
        """Begins, if it has not yet."""
        if self._found is None:
            self._found = self._pool.submit(self._open)

    def _open(self) -> tuple[Inputs, Opened] | None:
        undone = active_undos(self._store)
        model = None if undone else _model_in_force(self._model_file, undone)
        if model is None:
            return None
        inputs = in_force(self._settings, model.hash, undone)
        return inputs, opened(self._store, inputs)

    def opened(self, inputs: Inputs) -> Opened:
        """What was opened; opened now where that was not begun, or under other inputs."""
        found = self._found.result() if self._found else None
        return found[1] if found and found[0] == inputs else opened(self._store, inputs)

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()


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
        prepared=ground.reading.prepared if ground.reading else None,
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
    by: Actor | None,
) -> LinkReport:
    """Keeps the state and publishes it, or what never waits of it.

    Raises: NeedsDecision where a limit holds it.
    """
    step = identified(store, ground, computed)
    label, tasks = computed.state.records["label"].to_numpy(), computed.state.tasks
    change, judged, against = step.change, step.judged, step.against
    persons = step.persons
    over = over_limits(settings.link, judged, persons, len(against))
    table = whole(store, ground.table) if over else ground.table
    told = difference(table, label, against, judged, over, persons) if over else None
    if over and ground.held and ground.kept is computed and ground.last:
        raise _held(ground.last.run_id, over)
    shown = change
    if over:
        apart = computed.decided.apart
        shown = urgent_changes(
            store, table, label, step.members, apart, tasks, step.another, step.returning
        )
    watch.lap("identify")
    state_id = _kept(store, computed, pa.chunked_array([shown.persons]))
    watch.lap("keep")
    report = whole_report(computed, shown if over else change)
    report.run_id = store.publish(
        published_by(_new_run(ground, computed, report, state_id, told, undoing=step.undoing), by),
        shown.publication,
        clock(),
    )
    watch.lap("publish")
    if over:
        raise _held(report.run_id, over)
    return report


def published_by(run: NewRun, by: Actor | None) -> NewRun:
    """The run, with who has it published."""
    return run if by is None else replace(run, by=by.name, role=by.role or "-", purpose=by.purpose)


def _held(run_id: int, over: list[str]) -> NeedsDecision:
    return NeedsDecision(
        f"run {run_id} is held; nothing of it was published but what never waits: withdrawals,"
        f" separations, restrictions and deaths. "
        + "; ".join(over)
        + f". Read `person difference {run_id}`; then"
        f" `link --approve {run_id}` publishes it, `person undo run {run_id}` drops it"
    )


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
