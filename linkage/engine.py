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
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linkage.blocking import Blocker, Piece, Proposals, RuleReport, pieces
from linkage.cluster import Clusters, cluster
from linkage.columns import Features, order_of
from linkage.compare import Levels
from linkage.declared import with_what_follows
from linkage.features import build_features
from linkage.guards import (
    GUARDS,
    NO_PAIRS,
    SETTLED_BY_DECLARATION,
    SETTLED_BY_PERSON,
    PairKeys,
    among,
    forbidden,
    pair_keys,
)
from linkage.model import Model
from linkage.score import Bits, Scored, Scorer
from linkage.views import Bools, Rows

CHUNK = 500_000
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

    def taken(self, which: Bools) -> Edges:
        """Those that are flagged."""
        return Edges(self.left[which], self.right[which], self.bits[which], self.guard[which])

    def joined(self, more: Edges) -> Edges:
        """These and more, one after the other."""
        return Edges(
            np.concatenate([self.left, more.left]),
            np.concatenate([self.right, more.right]),
            np.concatenate([self.bits, more.bits]),
            np.concatenate([self.guard, more.guard]),
        )


@dataclass(frozen=True)
class Partition:
    """The result, in terms of the input table's rows.

    Attributes:
        rules: what each blocking rule did.
        compared: how many pairs were compared.
        stats: further counts for reports.
        scored, clusters, join_bits: what `edges` and `tasks` are made of, in rows of the features;
        row: (n,) where each of these stood in the input.
    """

    rules: tuple[RuleReport, ...]
    compared: int
    stats: dict[str, int]
    scored: Edges = field(repr=False)
    clusters: Clusters = field(repr=False)
    row: npt.NDArray[np.int64] = field(repr=False)
    join_bits: float

    @cached_property
    def label(self) -> npt.NDArray[np.int64]:
        """(n,) for each input row, the input row that stands for its person."""
        label = np.empty(len(self.row), np.int64)
        label[self.row] = self.row.take(self.clusters.label)
        return label

    @cached_property
    def histogram(self) -> tuple[Bits, npt.NDArray[np.int64]]:
        """(edges of bins in bits, counts) of the pairs of `edges`, forbidden ones included."""
        return histogram(self.scored.bits)

    @cached_property
    def edges(self) -> pa.Table:
        """Every scored pair at or above the review threshold: `left` int64, `right` int64, `bits`
        float64, `guard` string or null; rows of the input, left < right."""
        return _edge_table(self.row, self.scored)

    @cached_property
    def tasks(self) -> pa.Table:
        """Pairs a person should look at: as `edges`, with `reason`."""
        return _tasks(self.row, self.scored, self.clusters, self.join_bits)

    @property
    def joined_pairs(self) -> int:
        """How many scored pairs reach the join threshold, forbidden ones included."""
        return int(np.count_nonzero(self.scored.bits >= self.join_bits))


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
    proposals: Proposals | None = None,
    scorer: Scorer | None = None,
) -> Partition:
    """As `link`, of records whose features are at hand.

    Args:
        proposals: of the model's rules over these features, where they are at hand; they are let
            go when their pairs are compared.
        scorer: of the model over these features, whatever its thresholds, where it is at hand.
    """
    scorer = Scorer(features, model) if scorer is None else scorer
    scorer.comparer.prepare(threads)
    proposals = block(features, model, threads) if proposals is None else proposals
    floor = min(review_bits, join_bits)
    edges, rules = compared_blocks(
        scorer, proposals, floor, threads=threads, chunk=chunk, progress=progress
    )
    linked = joining(scorer, edges, join_bits, merged=_declared(features, must_links))
    clusters = cluster(len(features), linked.left, linked.right, linked.bits, linked.guard, scorer)
    return Partition(
        rules=rules,
        compared=sum(rule.credited for rule in rules),
        stats={"components_over_two": clusters.components, "contested": clusters.disputed},
        scored=edges,
        clusters=clusters,
        row=features.row,
        join_bits=join_bits,
    )


class PairScorer(Protocol):
    """Scores any pairs of rows: which of them reach the floor, and with what."""

    def score(self, left: Rows, right: Rows, floor: float) -> Scored: ...


def compared_blocks(
    scorer: PairScorer,
    proposals: Proposals,
    floor: float,
    *,
    threads: int | None = None,
    chunk: int = CHUNK,
    progress: Progress | None = None,
) -> tuple[Edges, tuple[RuleReport, ...]]:
    """All pairs of the blocks that reach the floor (bits), sorted, and what each rule did. The
    proposals are let go."""
    blockers = proposals.blockers
    credited = np.zeros(len(blockers), np.int64)
    kept: list[Edges] = []
    total = sum(b.proposed for b in blockers)
    done = 0
    for piece, compared, edges in _scored(scorer, proposals, floor, threads, chunk):
        credited[piece.rule] += compared
        done += piece.pairs
        kept.append(edges)
        if progress:
            progress("compare", done, total)
    reports = tuple(
        RuleReport(b.rule.name, b.proposed, int(credited[i]), b.cut_blocks, b.cut_pairs)
        for i, b in enumerate(blockers)
    )
    proposals.let_go()
    return _gathered(kept), reports


def histogram(bits: Bits) -> tuple[Bits, npt.NDArray[np.int64]]:
    """Edges of bins in bits, and how many of the bits lie below the first, between two, above the
    last."""
    place = np.clip(np.floor(bits) - _BINS[0] + 1, 0, len(_BINS)).astype(np.int64)
    return _BINS, np.bincount(place, minlength=len(_BINS) + 1)


def block(features: Features, model: Model, threads: int | None = None) -> Proposals:
    """What the rules of the model propose."""
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        return Proposals(list(pool.map(lambda rule: Blocker(features, rule), model.rules)))


def _scored(
    scorer: PairScorer, proposals: Proposals, floor: float, threads: int | None, chunk: int
) -> Iterator[tuple[Piece, int, Edges]]:
    """Pieces of pairs, scored on several threads: how many were compared, what reached the floor.

    In order of the pieces: what is put together from them is the same whatever the threads.
    """

    def work(piece: Piece) -> tuple[Piece, int, Edges]:
        left, right = proposals.pairs(piece)
        scored = scorer.score(left, right, floor)
        left_kept, right_kept = left.take(scored.keep), right.take(scored.keep)
        return piece, len(left), Edges(left_kept, right_kept, scored.bits, scored.guard)

    workers = threads or os.cpu_count() or 1
    waiting: deque[Future[tuple[Piece, int, Edges]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for piece in pieces(proposals.blockers, chunk):
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
    order = order_of(left.astype(np.int64) * (int(right.max(initial=0)) + 1) + right)
    return Edges(
        left.take(order),
        right.take(order),
        np.concatenate([e.bits for e in kept]).take(order),
        np.concatenate([e.guard for e in kept]).take(order),
    )


def _declared(features: Features, must_links: MustLinks | None) -> PairKeys:
    """Pairs of input rows as pairs of the features' rows; a row with itself says nothing."""
    if must_links is None or not len(must_links[0]):
        return NO_PAIRS
    place = np.empty(len(features), np.int32)
    place[features.row] = np.arange(len(features), dtype=np.int32)
    one, two = place[must_links[0]], place[must_links[1]]
    other = one != two
    return np.unique(pair_keys(one[other], two[other]))


def joining(
    scorer: Scorer,
    edges: Edges,
    join_bits: float,
    *,
    merged: PairKeys = NO_PAIRS,
    same: PairKeys = NO_PAIRS,
) -> Edges:
    """The edges that join, and the declared ones with infinite weight: those that the records' own
    source merged, and those that people decided to be the same, with what follows from these."""
    join = np.flatnonzero(edges.bits >= join_bits)
    left, right = edges.left.take(join), edges.right.take(join)
    bits, guard = edges.bits.take(join), edges.guard.take(join)
    same = with_what_follows(same, scorer.apart)
    merged = merged[~among(merged, same)]
    declared = np.concatenate([merged, same])
    if not len(declared):
        return Edges(left, right, bits, guard)
    # A declared pair stands once, however it also scored.
    keep = ~among(pair_keys(left, right), np.sort(declared))
    low, high = (declared >> 32).astype(np.int32), (declared & 0xFFFFFFFF).astype(np.int32)
    levels = scorer.levels(low, high)
    begin = len(merged)
    guards = [
        forbidden(
            scorer.features, scorer.model, low[of], high[of], levels[:, of],
            settled=settled, apart=scorer.apart,
        )
        for of, settled in (
            (slice(0, begin), SETTLED_BY_DECLARATION),
            (slice(begin, None), SETTLED_BY_PERSON),
        )
    ]  # fmt: skip
    return Edges(
        np.concatenate([left[keep], low]),
        np.concatenate([right[keep], high]),
        np.concatenate([bits[keep], np.full(len(low), np.inf)]),
        np.concatenate([guard[keep], *guards]),
    )


def _edge_table(row: npt.NDArray[np.int64], edges: Edges) -> pa.Table:
    one, two = row.take(edges.left), row.take(edges.right)
    codes = pa.array([None, *(g.code for g in GUARDS)], pa.string())
    return pa.table(
        {
            "left": np.minimum(one, two),
            "right": np.maximum(one, two),
            "bits": edges.bits,
            "guard": codes.take(pa.array(edges.guard)),
        }
    )


def _tasks(
    row: npt.NDArray[np.int64], edges: Edges, clusters: Clusters, join_bits: float
) -> pa.Table:
    """Pairs in the review band that ended apart, and joins that were refused."""
    left, right, bits, guard = clusters.contested
    apart = clusters.label[edges.left] != clusters.label[edges.right]
    asked = among(pair_keys(edges.left, edges.right), np.unique(pair_keys(left, right)))
    band = apart & (edges.bits < join_bits) & (edges.guard == 0) & ~asked
    parts = [
        _edge_table(row, Edges(left, right, bits, guard)).append_column(
            "reason", pa.array(np.where(guard > 0, "forbidden", "contested"))
        ),
        _edge_table(
            row, Edges(edges.left[band], edges.right[band], edges.bits[band], edges.guard[band])
        ).append_column("reason", pa.array(["review band"] * int(band.sum()), pa.string())),
    ]
    return pa.concat_tables(parts)
