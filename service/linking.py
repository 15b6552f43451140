"""Link: brings the published persons up to date with the records.

Rules:
- The first link trains the model on what is there, from the shipped one, and freezes it in the
  workspace; later links use the frozen file, until somebody trains anew.
- Nothing new since the last published run under the same model and settings: nothing is done.
- A run that would change more published persons than the settings allow stops and asks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa

from linkage.engine import Partition, link
from linkage.model import Model, uk_person
from schemas.dates import Instant
from schemas.errors import NeedsDecision
from schemas.settings import Settings
from service.identity import Changes, changes
from service.model_files import load_model, write_whole
from service.ports import Store
from service.training import SMALLEST_TRAINING, train_model

Clock = Callable[[], Instant]


@dataclass
class LinkReport:
    """What one link did. `seconds` by stage; `run_id` None where nothing was to be done."""

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
    progress: Callable[[str, int, int], None] | None = None,
) -> LinkReport:
    """Links all live records and publishes the persons.

    Raises: NeedsDecision where the guard on publication stops the run; nothing is published then.
    """
    watch = _Stopwatch()
    generation, last = store.generation(), store.last_run()
    if not full and last and last.generation == generation and model_file.exists():
        model = load_model(model_file)
        if last.model_hash == _run_hash(model, settings):
            return LinkReport(model=model.hash, seconds={"check": perf_counter() - watch._last})
    table = store.match_columns()
    watch.lap("read")
    model = _frozen_model(model_file, table, settings)
    watch.lap("model")
    apart = frozenset(s.id for s in settings.sources if s.keeps_people_apart)
    partition = link(
        table,
        model,
        join_bits=settings.link.join_bits,
        review_bits=settings.link.review_bits,
        keeps_apart=apart,
        accept_test_numbers=settings.link.accept_test_numbers,
        must_links=_source_merges(table),
        threads=threads,
        progress=progress,
    )
    watch.lap("link")
    change = _changes(store, table, partition)
    _guard_publication(settings, store, change)
    watch.lap("identify")
    report = _report(table, partition, change, model)
    summary = {k: v for k, v in asdict(report).items() if k not in ("seconds", "run_id")}
    run_hash = _run_hash(model, settings)
    report.run_id = store.publish(run_hash, generation, change.publication, summary, clock())
    watch.lap("publish")
    report.seconds = watch.seconds
    return report


def _frozen_model(path: Path, table: pa.Table, settings: Settings) -> Model:
    if path.exists():
        return load_model(path)
    model = uk_person()
    if len(table) >= SMALLEST_TRAINING:
        model = train_model(table, settings, model).model
    write_whole(path, model.to_json())
    return model


def _run_hash(model: Model, settings: Settings) -> str:
    """Digest of everything beside the records that decides the partition."""
    apart = sorted(s.id for s in settings.sources if s.keeps_people_apart)
    text = f"{model.hash}|{settings.link!r}|{apart}"
    return hashlib.sha256(text.encode()).hexdigest()


def _source_merges(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Input rows that their source merged: (retired, survivor)."""
    ids = table["record_id"].to_numpy()
    target = table["same_as"].combine_chunks()
    retired = np.flatnonzero(target.is_valid().to_numpy(zero_copy_only=False))
    wanted = target.take(pa.array(retired)).to_numpy(zero_copy_only=False).astype(np.int64)
    place = np.minimum(np.searchsorted(ids, wanted), max(len(ids) - 1, 0))
    known = ids[place] == wanted if len(ids) else np.zeros(0, bool)
    return retired[known].astype(np.int64), place[known].astype(np.int64)


def _changes(store: Store, table: pa.Table, partition: Partition) -> Changes:
    ids = table["record_id"].to_numpy()
    tasks = pa.table(
        {
            "left": ids[partition.tasks["left"].to_numpy()],
            "right": ids[partition.tasks["right"].to_numpy()],
            "bits": partition.tasks["bits"],
            "reason": pa.array(
                [
                    g or r
                    for g, r in zip(
                        partition.tasks["guard"].to_pylist(),
                        partition.tasks["reason"].to_pylist(),
                        strict=True,
                    )
                ],
                pa.string(),
            ),
        }
    )
    return changes(
        ids,
        table["founder"].combine_chunks(),
        partition.label,
        store.memberships(),
        store.founded_counts(),
        tasks,
    )


def _guard_publication(settings: Settings, store: Store, change: Changes) -> None:
    limit = settings.link.max_changed_fraction
    if limit is None:
        return
    persons = store.counts()["persons"]
    if persons and change.changed_persons > limit * persons:
        raise NeedsDecision(
            f"this run would join {change.joined} and split {change.split} of {persons} published "
            f"persons, more than the {limit:.1%} that [link] max_changed_fraction allows; nothing "
            "was published. Raise the limit for one run if the change is right."
        )


def _report(table: pa.Table, partition: Partition, change: Changes, model: Model) -> LinkReport:
    _, counts = np.unique(partition.label, return_counts=True)
    sizes, how_many = np.unique(counts, return_counts=True)
    edges, weights = partition.histogram
    return LinkReport(
        records=len(table),
        persons=len(counts),
        compared=partition.compared,
        created=change.created,
        joined=change.joined,
        split=change.split,
        moved=change.moved,
        withdrawn=change.withdrawn,
        tasks=len(partition.tasks),
        model=model.hash,
        rules=[asdict(r) for r in partition.rules],
        histogram={"bits": edges.tolist(), "pairs": weights.tolist()},
        sizes={int(s): int(c) for s, c in zip(sizes, how_many, strict=True)},
        stats=dict(partition.stats),
    )
