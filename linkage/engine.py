"""The engine: records and a model in, a partition out. A pure function, in bounded chunks.

    partition = f(records, model, decisions)

Rules:
- The result depends on the records' content, the model and the decisions; not on row order, thread
  count or chunk size.
- Threads work on chunks of pairs; their results are used in the order of the chunks.
- Only pairs at or above the review threshold, and forbidden pairs above it, outlive their chunk.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linkage.blocking import Blocker, RuleReport, candidate_pairs
from linkage.cluster import Clusters, cluster
from linkage.compare import FIELDS, Levels, Rows, compare, pack
from linkage.features import Features, build_features
from linkage.guards import GUARDS, forbidden
from linkage.model import Model
from linkage.score import Bits, NameFrequencies, kind_bits, match_bits, weights_of

CHUNK = 250_000
"""Pairs scored at a time."""

Progress = Callable[[str, int, int], None]
"""Told of stage, done, total (pairs)."""


@dataclass(frozen=True)
class Edges:
    """Scored pairs at or above the review threshold, in row numbers of the features."""

    left: Rows
    right: Rows
    bits: Bits
    guard: Levels


@dataclass(frozen=True)
class Partition:
    """The result, in terms of the input table's rows.

    Attributes:
        label: (n,) int64: for each input row, the input row that stands for its person.
        edges: table `left` int64, `right` int64, `bits` float64, `guard` string or null: every
            scored pair at or above the review threshold; rows of the input, left < right.
        tasks: table as `edges` with `reason`: pairs a person should look at.
        rules: what each blocking rule did.
        compared: how many pairs were compared.
        histogram: (bin edges in bits, counts) of all compared pairs.
        stats: further counts for reports.
    """

    label: npt.NDArray[np.int64]
    edges: pa.Table
    tasks: pa.Table
    rules: tuple[RuleReport, ...]
    compared: int
    histogram: tuple[Bits, npt.NDArray[np.int64]]
    stats: dict[str, int] = field(default_factory=dict)


class Scorer:
    """Scores pairs of the features' rows under one model."""

    def __init__(self, features: Features, model: Model) -> None:
        self.features, self.model = features, model
        self._weights = weights_of(model)
        self._names = NameFrequencies(features, model)

    def levels(self, left: Rows, right: Rows) -> Levels:
        """(fields, pairs) levels."""
        return compare(self.features, left, right)

    def score(self, left: Rows, right: Rows) -> tuple[Bits, Levels]:
        """Match weight in bits, and 0 or the number of the guard that forbids."""
        levels = self.levels(left, right)
        patterns, inverse = np.unique(pack(levels), return_index=True, return_inverse=True)[1:]
        match, relative, stranger = kind_bits(self._weights, levels[:, patterns])
        named = stranger[inverse] + self._names.stranger_bits(self.features, left, levels)
        bits = match_bits(match[inverse], relative[inverse], named)
        return bits, forbidden(self.features, left, right, levels)

    def field_bits(self, left: Rows, right: Rows) -> dict[str, Bits]:
        """Per field log2 m/u of each pair, 0 where missing. They do not add up to the match
        weight where relatives are the likelier alternative (linkage/model.py)."""
        gains = self._weights.m - self._weights.u
        levels = self.levels(left, right)
        return {name: gains[row, levels[row]] for row, name in enumerate(FIELDS)}


_BINS = np.arange(-60.0, 61.0, 1.0)


def link(
    table: pa.Table,
    model: Model,
    *,
    join_bits: float,
    review_bits: float,
    keeps_apart: Collection[str] = (),
    accept_test_numbers: bool = False,
    must_links: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None,
    threads: int | None = None,
    chunk: int = CHUNK,
    progress: Progress | None = None,
) -> Partition:
    """Links the records of a table.

    Args:
        table: `source` string, `founder` binary (a stable key, unique per record) and
            `schemas.columns.MATCH_SCHEMA`.
        join_bits, review_bits: thresholds of match weight.
        must_links: pairs of input rows that a person or a source declared to be one.
        threads: how many chunks are scored at once; None takes the machine's cores.
    """
    features = build_features(
        table, keeps_apart=keeps_apart, accept_test_numbers=accept_test_numbers
    )
    scorer = Scorer(features, model)
    blockers = [Blocker(features, rule) for rule in model.rules]
    credited = np.zeros(len(blockers), np.int64)
    counts = np.zeros(len(_BINS) + 1, np.int64)
    kept: list[Edges] = []
    compared = 0
    total = sum(b.proposed for b in blockers)
    for rule, edges, bits in _scored(scorer, blockers, review_bits, threads, chunk):
        credited[rule] += len(bits)
        compared += len(bits)
        counts += np.bincount(np.digitize(bits, _BINS), minlength=len(counts))
        kept.append(edges)
        if progress:
            progress("compare", compared, total)
    edges = _gathered(kept)
    linked = _with_must_links(features, edges, join_bits, must_links)
    clusters = cluster(
        len(features), linked.left, linked.right, linked.bits, linked.guard, scorer.score
    )
    reports = tuple(
        RuleReport(b.rule.name, b.proposed, int(credited[i]), b.cut_blocks, b.cut_pairs)
        for i, b in enumerate(blockers)
    )
    return Partition(
        label=_labels(features, clusters),
        edges=_edge_table(features, edges),
        tasks=_tasks(features, edges, clusters, join_bits),
        rules=reports,
        compared=compared,
        histogram=(_BINS, counts),
        stats={"components_over_two": clusters.components, "contested": clusters.disputed},
    )


def _scored(
    scorer: Scorer, blockers: list[Blocker], review_bits: float, threads: int | None, chunk: int
) -> Iterator[tuple[int, Edges, Bits]]:
    """Chunks of pairs, scored on several threads, in order."""

    def work(left: Rows, right: Rows) -> tuple[Edges, Bits]:
        bits, guard = scorer.score(left, right)
        keep = bits >= review_bits
        return Edges(left[keep], right[keep], bits[keep], guard[keep]), bits

    workers = threads or os.cpu_count() or 1
    waiting: list[tuple[int, Future[tuple[Edges, Bits]]]] = []
    with ThreadPoolExecutor(workers) as pool:
        for rule, left, right in candidate_pairs(blockers, chunk):
            waiting.append((rule, pool.submit(work, left, right)))
            if len(waiting) > workers:
                first, future = waiting.pop(0)
                yield first, *future.result()
        for first, future in waiting:
            yield first, *future.result()


def _gathered(kept: list[Edges]) -> Edges:
    """All edges, sorted by (left, right)."""
    if not kept:
        empty = np.zeros(0, np.int32)
        return Edges(empty, empty, np.zeros(0), np.zeros(0, np.uint8))
    left = np.concatenate([e.left for e in kept])
    right = np.concatenate([e.right for e in kept])
    order = np.lexsort((right, left))
    return Edges(
        left[order],
        right[order],
        np.concatenate([e.bits for e in kept])[order],
        np.concatenate([e.guard for e in kept])[order],
    )


def _with_must_links(
    features: Features,
    edges: Edges,
    join_bits: float,
    must_links: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None,
) -> Edges:
    """The edges that join, and the declared ones with infinite weight."""
    join = edges.bits >= join_bits
    left, right = edges.left[join], edges.right[join]
    bits, guard = edges.bits[join], edges.guard[join]
    if must_links is None or not len(must_links[0]):
        return Edges(left, right, bits, guard)
    place = np.empty(len(features), np.int32)
    place[features.row] = np.arange(len(features), dtype=np.int32)
    one, two = place[must_links[0]], place[must_links[1]]
    n = len(features)
    declared = np.unique(np.minimum(one, two).astype(np.int64) * n + np.maximum(one, two))
    low, high = (declared // n).astype(np.int32), (declared % n).astype(np.int32)
    # A declared pair stands once, however it also scored.
    keep = ~np.isin(left.astype(np.int64) * n + right, declared)
    left, right, bits, guard = left[keep], right[keep], bits[keep], guard[keep]
    levels = compare(features, low, high)
    return Edges(
        np.concatenate([left, low]),
        np.concatenate([right, high]),
        np.concatenate([bits, np.full(len(low), np.inf)]),
        np.concatenate([guard, forbidden(features, low, high, levels, declared=True)]),
    )


def _labels(features: Features, clusters: Clusters) -> npt.NDArray[np.int64]:
    label = np.empty(len(features), np.int64)
    label[features.row] = features.row[clusters.label]
    return label


def _edge_table(features: Features, edges: Edges) -> pa.Table:
    one, two = features.row[edges.left], features.row[edges.right]
    codes = np.array([None, *(g.code for g in GUARDS)], dtype=object)
    return pa.table(
        {
            "left": np.minimum(one, two),
            "right": np.maximum(one, two),
            "bits": edges.bits,
            "guard": pa.array(codes[edges.guard], pa.string()),
        }
    )


def _tasks(features: Features, edges: Edges, clusters: Clusters, join_bits: float) -> pa.Table:
    """Pairs in the review band that ended apart, and joins that were refused."""
    left, right, bits, guard = clusters.contested
    apart = clusters.label[edges.left] != clusters.label[edges.right]
    band = apart & (edges.bits < join_bits) & (edges.guard == 0)
    parts = [
        _edge_table(features, Edges(left, right, bits, guard)).append_column(
            "reason", pa.array(np.where(guard > 0, "forbidden", "contested"))
        ),
        _edge_table(
            features,
            Edges(edges.left[band], edges.right[band], edges.bits[band], edges.guard[band]),
        ).append_column("reason", pa.array(["review band"] * int(band.sum()), pa.string())),
    ]
    return pa.concat_tables(parts)
