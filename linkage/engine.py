"""The engine: records and a model in, a partition out. A pure function, in bounded pieces.

    partition = f(records, model, decisions)

Rules:
- The result depends on the records' content, the model and the decisions; not on row order, thread
  count or size of the pieces.
- Threads work on pieces of blocking rules: expand, credit, compare, score. Their results are put
  together in one order.
- Only pairs at or above the review threshold outlive their piece.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linkage.blocking import Blocker, Piece, RuleReport, candidate_pairs, pieces
from linkage.cluster import Clusters, cluster
from linkage.columns import Features
from linkage.comparators import Rows
from linkage.compare import Levels
from linkage.features import build_features
from linkage.guards import GUARDS, forbidden
from linkage.model import Model
from linkage.score import Bits, Scorer

CHUNK = 250_000
"""Pairs scored at a time: enough that threads seldom wait for one another."""

Progress = Callable[[str, int, int], None]
"""Told of stage, done, total (pairs)."""
MustLinks = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


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
        histogram: (edges of bins in bits, counts) of the pairs of `edges`, forbidden ones included.
        stats: further counts for reports.
    """

    label: npt.NDArray[np.int64]
    edges: pa.Table
    tasks: pa.Table
    rules: tuple[RuleReport, ...]
    compared: int
    histogram: tuple[Bits, npt.NDArray[np.int64]]
    stats: dict[str, int] = field(default_factory=dict)


_BINS = np.arange(-60.0, 61.0, 1.0)


def link(
    table: pa.Table,
    model: Model,
    *,
    join_bits: float,
    review_bits: float,
    keeps_apart: Collection[str] = (),
    accept_test_numbers: bool = False,
    must_links: MustLinks | None = None,
    threads: int | None = None,
    chunk: int = CHUNK,
    progress: Progress | None = None,
) -> Partition:
    """Links the records of a table.

    Args:
        table: `source` string, `founder` (a stable key, unique per record) and columns of
            `schemas.columns.MATCH_SCHEMA`.
        join_bits, review_bits: thresholds of match weight.
        must_links: pairs of input rows that a person or a source declared to be one.
        threads: how many pieces are scored at once; None takes the machine's cores.
    """
    features = build_features(
        table,
        keeps_apart=keeps_apart,
        accept_test_numbers=accept_test_numbers,
        extra=model.columns,
    )
    return link_features(
        features,
        model,
        join_bits=join_bits,
        review_bits=review_bits,
        must_links=must_links,
        threads=threads,
        chunk=chunk,
        progress=progress,
    )


def link_features(
    features: Features,
    model: Model,
    *,
    join_bits: float,
    review_bits: float,
    must_links: MustLinks | None = None,
    threads: int | None = None,
    chunk: int = CHUNK,
    progress: Progress | None = None,
    blockers: list[Blocker] | None = None,
) -> Partition:
    """As `link`, of records whose features are at hand.

    Args:
        blockers: the model's rules over these features, where they are at hand; they are let go
            when their pairs are compared.
    """
    scorer = Scorer(features, model)
    blockers = block(features, model, threads) if blockers is None else blockers
    credited = np.zeros(len(blockers), np.int64)
    kept: list[Edges] = []
    total = sum(b.proposed for b in blockers)
    done = 0
    floor = min(review_bits, join_bits)
    for piece, compared, edges in _scored(scorer, blockers, floor, threads, chunk):
        credited[piece.rule] += compared
        done += piece.pairs
        kept.append(edges)
        if progress:
            progress("compare", done, total)
    reports = tuple(
        RuleReport(b.rule.name, b.proposed, int(credited[i]), b.cut_blocks, b.cut_pairs)
        for i, b in enumerate(blockers)
    )
    blockers.clear()
    edges = _gathered(kept)
    linked = _with_must_links(scorer, edges, join_bits, must_links)
    clusters = cluster(len(features), linked.left, linked.right, linked.bits, linked.guard, scorer)
    counts = np.bincount(np.digitize(edges.bits, _BINS), minlength=len(_BINS) + 1)
    return Partition(
        label=_labels(features, clusters),
        edges=_edge_table(features, edges),
        tasks=_tasks(features, edges, clusters, join_bits),
        rules=reports,
        compared=int(credited.sum()),
        histogram=(_BINS, counts),
        stats={"components_over_two": clusters.components, "contested": clusters.disputed},
    )


def block(features: Features, model: Model, threads: int | None = None) -> list[Blocker]:
    """The blocks of every rule of the model."""
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        return list(pool.map(lambda rule: Blocker(features, rule), model.rules))


def _scored(
    scorer: Scorer, blockers: list[Blocker], floor: float, threads: int | None, chunk: int
) -> Iterator[tuple[Piece, int, Edges]]:
    """Pieces of pairs, scored on several threads: how many were compared, what reached the floor.

    In order of the pieces: what is put together from them is the same whatever the threads.
    """

    def work(piece: Piece) -> tuple[Piece, int, Edges]:
        left, right = candidate_pairs(blockers, piece)
        scored = scorer.score(left, right, floor)
        left_kept, right_kept = left.take(scored.keep), right.take(scored.keep)
        return piece, len(left), Edges(left_kept, right_kept, scored.bits, scored.guard)

    workers = threads or os.cpu_count() or 1
    waiting: deque[Future[tuple[Piece, int, Edges]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for piece in pieces(blockers, chunk):
            waiting.append(pool.submit(work, piece))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _gathered(kept: list[Edges]) -> Edges:
    """All edges, sorted by (left, right)."""
    if not kept:
        empty = np.zeros(0, np.int32)
        return Edges(empty, empty, np.zeros(0), np.zeros(0, np.uint8))
    left = np.concatenate([e.left for e in kept])
    right = np.concatenate([e.right for e in kept])
    order = np.argsort(left.astype(np.int64) << 32 | right)
    return Edges(
        left[order],
        right[order],
        np.concatenate([e.bits for e in kept])[order],
        np.concatenate([e.guard for e in kept])[order],
    )


def _with_must_links(
    scorer: Scorer, edges: Edges, join_bits: float, must_links: MustLinks | None
) -> Edges:
    """The edges that join, and the declared ones with infinite weight."""
    features = scorer.features
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
    declared = declared[declared // n != declared % n]
    low, high = (declared // n).astype(np.int32), (declared % n).astype(np.int32)
    # A declared pair stands once, however it also scored.
    keep = ~np.isin(left.astype(np.int64) * n + right, declared)
    left, right, bits, guard = left[keep], right[keep], bits[keep], guard[keep]
    levels = scorer.levels(low, high)
    return Edges(
        np.concatenate([left, low]),
        np.concatenate([right, high]),
        np.concatenate([bits, np.full(len(low), np.inf)]),
        np.concatenate(
            [guard, forbidden(features, scorer.model, low, high, levels, declared=True)]
        ),
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
