"""The living partition: what changed comes in, and what it touches is decided anew.

    partition = f(records, model, decisions)

`link_increment` gives what a link from nothing gives for the same records, model and decisions, to
the last bit, at a cost that follows what changed; a link from nothing is an increment to nothing.

Rules:
- A record is *dirty* where it is new or changed; where a value of it became a crowd's or ceased to
  be (linkage/features.py); where a block that it stands in crossed its cap (linkage/blocking.py).
  Scores and proposals of pairs without a dirty record are what they were.
- Pairs with a dirty record are compared; of the old edges those without one stay.
- The *region* is what may get another label: dirty records, ends of joins that went, ends of
  decisions that came or went, and all that joins and declarations lead to from there. No edge that
  joins leaves it, so it is clustered by itself, in its own row numbers.
- Labels and tasks beyond the region stay. A task hangs on the labels of its two records.
- Records are told by their ids; a decision about a record that is not live waits for it.
- A pair that a person decided apart is nobody's task, but where somebody also declared it one.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage.blocking import Blocker, Blocks, RuleReport
from linkage.cluster import cluster
from linkage.columns import Features, Versions
from linkage.engine import CHUNK, Edges, Progress, compared_blocks, histogram, joining
from linkage.features import build_features
from linkage.guards import DECIDED_APART, GUARDS, PairKeys, among, pair_keys
from linkage.live import Ids, Live, difference, ends_of, guard_codes, guard_numbers
from linkage.model import Model
from linkage.score import Bits, Scored, Scorer
from linkage.state import EDGES, RECORDS, TASKS, Decided, LinkState
from linkage.views import Bools, Rows

_APART = 1 + [guard.code for guard in GUARDS].index(DECIDED_APART)


@dataclass(frozen=True)
class Linked:
    """The new state, and what was done.

    Attributes:
        rules, compared: what each blocking rule did among pairs with a dirty record.
        histogram: (edges of bins in bits, counts) of all edges of the state.
        stats: records `dirty`, `crossed` (through a block or a crowd), in the `region`;
            `components_over_two` and `contested` of the region.
    """

    state: LinkState
    rules: tuple[RuleReport, ...]
    compared: int
    histogram: tuple[Bits, npt.NDArray[np.int64]]
    stats: dict[str, int]


def link_increment(
    now: pa.Table,
    past: pa.Table,
    state: LinkState | None,
    decided: Decided,
    before: Decided,
    model: Model,
    *,
    join_bits: float,
    review_bits: float,
    keeps_apart: Collection[str] = (),
    accept_test_numbers: bool = False,
    threads: int | None = None,
    chunk: int = CHUNK,
    progress: Progress | None = None,
) -> Linked:
    """Links the live records, given what the last link left.

    Args:
        now: every live record: `record_id`, `version_id` int64, and what `engine.link` reads.
        past: the same columns of the versions in `state` that are changed or withdrawn now.
        state: of the last link under this model and these settings; None links from nothing.
        decided, before: declarations as they stand, and as they stood at the last link.
        progress: told when each of the stages features, blocks, compare, decide is done, and of
            pairs within compare.

    Raises: ValueError where `past` is not of the records that are changed or withdrawn.
    """
    live, table = Live.of(now, state)
    features, versions = _features(
        live, table, past, keeps_apart=keeps_apart, accept=accept_test_numbers, model=model
    )
    _tell(progress, "features", len(live))
    blockers, dirty, crossed = _blockers(live, features, versions, model, threads)
    _tell(progress, "blocks", len(live))
    scorers = _Scorers(features, model, live.rows_of(decided.apart))
    floor = min(review_bits, join_bits)
    found, rules = compared_blocks(
        scorers.of(_rows_compared(blockers, len(live), whole=versions is None)),
        blockers,
        floor,
        threads=threads,
        chunk=chunk,
        progress=progress,
    )
    step = _Step(live, dirty, join_bits, decided, before, scorers)
    edges, region = step.edges(found, state)
    label, tasks, counted = step.decide(edges, region, state)
    _tell(progress, "decide", len(live))
    counts = {"dirty": int(dirty.sum()), "crossed": crossed, "region": int(region.sum())}
    return Linked(
        _left_behind(live, edges, label, tasks),
        rules,
        sum(rule.credited for rule in rules),
        histogram(edges.bits),
        {**counts, **counted},
    )


def _left_behind(live: Live, edges: Edges, label: Ids, tasks: pa.Table) -> LinkState:
    """What the next link goes on from."""
    ends = live.ids[edges.left], live.ids[edges.right]
    return LinkState(
        pa.Table.from_arrays([live.ids, live.version, label], schema=RECORDS),
        pa.Table.from_arrays([*ends, edges.bits, guard_codes(edges.guard)], schema=EDGES),
        tasks,
    )


def _rows_compared(blockers: list[Blocker], n: int, *, whole: bool) -> npt.NDArray[np.int64]:
    """Rows that stand in some block, or all."""
    compared = np.full(n, whole)
    for blocker in blockers:
        compared[blocker.members] = True
    return np.flatnonzero(compared)


def _tell(progress: Progress | None, stage: str, done: int) -> None:
    if progress:
        progress(stage, done, done)


def _features(
    live: Live,
    table: pa.Table,
    past: pa.Table,
    *,
    keeps_apart: Collection[str],
    accept: bool,
    model: Model,
) -> tuple[Features, Versions | None]:
    """Features of the live records, in the order of rows, and after them of former versions; and
    which rows stand for what. Where nothing went before, all rows are live."""
    n = len(live)
    changed = live.ids[live.fresh & (live.known >= 0)]
    former = np.sort(np.concatenate([changed, live.withdrawn]))
    if not np.array_equal(np.sort(past["record_id"].to_numpy()), former):
        raise ValueError("past: expected one row of each record that is changed or withdrawn")
    versions = None
    if len(former) or (live.known >= 0).any():
        unchanged = ~live.fresh[live.place]
        versions = Versions(
            np.concatenate([np.ones(n, bool), np.zeros(len(past), bool)]),
            np.concatenate([unchanged, np.ones(len(past), bool)]),
        )
        both = pa.concat_tables([table, past.select(table.column_names)])
        table = both.combine_chunks()
    features = build_features(
        table,
        keeps_apart=keeps_apart,
        accept_test_numbers=accept,
        extra=model.columns,
        versions=versions,
    )
    twice = features.row[len(table) :] if versions else np.zeros(0, np.int64)
    if versions is None or not len(twice):
        return features, versions
    before = versions.before.copy()
    before[twice] = False
    return features, Versions(
        np.concatenate([versions.now, np.zeros(len(twice), bool)]),
        np.concatenate([before, np.ones(len(twice), bool)]),
    )


def _blockers(
    live: Live,
    features: Features,
    versions: Versions | None,
    model: Model,
    threads: int | None,
) -> tuple[list[Blocker], Bools, int]:
    """The model's rules over pairs with a dirty record; which places are dirty; how many of them
    are neither new nor changed."""
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        if versions is None:
            whole = list(pool.map(lambda rule: Blocker(features, rule), model.rules))
            return whole, np.ones(len(live), bool), 0
        blocks = list(pool.map(lambda rule: Blocks.of(features, rule, versions), model.rules))
        dirty = versions.now & ~versions.before
        for found in blocks:
            dirty[found.crossed] = True
        blockers = list(
            pool.map(
                lambda rule, found: Blocker(features, rule, blocks=found, dirty=dirty),
                model.rules,
                blocks,
            )
        )
    by_place = dirty[live.row]
    return blockers, by_place, int((by_place & ~live.fresh).sum())


@dataclass(frozen=True)
class _Scorers:
    """Scorers of some of the features' rows each; `apart` are pairs of rows decided to be two."""

    features: Features
    model: Model
    apart: PairKeys

    def of(self, rows: npt.NDArray[np.integer]) -> _Part:
        """A scorer of these rows (ascending)."""
        number = np.full(len(self.features), -1, np.int32)
        number[rows] = np.arange(len(rows), dtype=np.int32)
        if len(rows) == len(self.features):
            return _Part(number, self.whole)
        features = self.features.only(rows)
        return _Part(number, Scorer(features, self.model, _renumbered(self.apart, number)))

    @cached_property
    def whole(self) -> Scorer:
        """The scorer of all rows."""
        return Scorer(self.features, self.model, self.apart)


@dataclass(frozen=True)
class _Part:
    """A scorer that is asked by the features' rows, and holds some of them only.

    Attributes:
        number: the row in `inner` of each row, -1 for those not held.
    """

    number: Rows
    inner: Scorer

    def score(self, left: Rows, right: Rows, floor: float = -np.inf) -> Scored:
        """See `Scorer.score`."""
        return self.inner.score(self.number.take(left), self.number.take(right), floor)

    def within(self, edges: Edges) -> Edges:
        """Edges between rows held, in inner rows."""
        return Edges(self.number[edges.left], self.number[edges.right], edges.bits, edges.guard)

    def pairs(self, keys: PairKeys) -> PairKeys:
        """Those of the pairs whose rows are held, as pairs of inner rows."""
        return _renumbered(keys, self.number)


def _renumbered(keys: PairKeys, number: Rows) -> PairKeys:
    """Pairs in other numbers, ascending; those without one are left out."""
    one, two = (number[ends] for ends in ends_of(keys))
    held = (one >= 0) & (two >= 0)
    return np.sort(pair_keys(one[held], two[held]))


@dataclass(frozen=True)
class _Step:
    """From what was compared to what is decided. Edges are in places, by (left, right)."""

    live: Live
    dirty: Bools
    join_bits: float
    decided: Decided
    before: Decided
    scorers: _Scorers

    def edges(self, found: Edges, state: LinkState | None) -> tuple[Edges, Bools]:
        """All edges as they stand now, and which places are in the region.

        Args:
            found: pairs with a dirty record, in rows.
        """
        seed = self.dirty.copy()
        new = _sorted(self.live.place[found.left], self.live.place[found.right], found)
        if state is None:
            return new, np.ones(len(seed), bool)
        kept = self._kept(state, seed)
        self._seed_declared(seed)
        changed = self.live.pairs_of(difference(self.decided.apart, self.before.apart))
        again = np.flatnonzero(among(pair_keys(kept.left, kept.right), changed))
        if len(again):
            one, two = self.live.row[kept.left[again]], self.live.row[kept.right[again]]
            scorer = self.scorers.of(np.unique(np.concatenate([one, two])))
            kept.guard[again] = scorer.score(np.minimum(one, two), np.maximum(one, two)).guard
        edges = _merged(kept, new)
        leads = (edges.bits >= self.join_bits) & (edges.guard == 0)
        one, two = ends_of(self._declared())
        _spread(
            seed,
            np.concatenate([edges.left[leads], one]),
            np.concatenate([edges.right[leads], two]),
        )
        return edges, seed

    def _kept(self, state: LinkState, seed: Bools) -> Edges:
        """The state's edges between live records that are not dirty; `seed` gets the ends of joins
        that are not among them."""
        left, right = self.live.places_of(state.edges)
        bits, guard = state.edges["bits"].to_numpy(), guard_numbers(state.edges["guard"])
        gone = np.append(self.dirty, True)  # -1, not live, is the last
        stays = ~(gone[left] | gone[right])
        lost = ~stays & (bits >= self.join_bits) & (guard == 0)
        _mark(seed, left[lost], right[lost])
        at = np.flatnonzero(stays)
        return Edges(left[at].astype(np.int32), right[at].astype(np.int32), bits[at], guard[at])

    def _seed_declared(self, seed: Bools) -> None:
        """Marks ends of declarations that came or went, or of which one record is live no more."""
        for name in ("same", "merged", "apart"):
            old, new = getattr(self.before, name), getattr(self.decided, name)
            _mark(seed, *self.live.places_of(difference(old, new)))
            if name != "apart":
                left, right = self.live.places_of(old)
                half = (left < 0) != (right < 0)
                _mark(seed, left[half], right[half])

    def _declared(self) -> PairKeys:
        """Pairs of places that are declared to be one."""
        pairs = (self.live.pairs_of(t) for t in (self.decided.merged, self.decided.same))
        return np.unique(np.concatenate(list(pairs)))

    def decide(
        self, edges: Edges, region: Bools, state: LinkState | None
    ) -> tuple[Ids, pa.Table, dict[str, int]]:
        """Each place's label (a record id), all tasks, and counts of the region's clustering."""
        live = self.live
        rows = np.flatnonzero(region[live.place]).astype(np.int32)
        scorer = self.scorers.of(rows)
        near = np.flatnonzero(region[edges.left] | region[edges.right])
        one, two = live.row[edges.left[near]], live.row[edges.right[near]]
        close = Edges(
            np.minimum(one, two), np.maximum(one, two), edges.bits[near], edges.guard[near]
        )
        inside = region[edges.left[near]] & region[edges.right[near]]
        linked = joining(
            scorer.inner, scorer.within(close.taken(inside)), self.join_bits,
            merged=scorer.pairs(live.rows_of(self.decided.merged)),
            same=scorer.pairs(live.rows_of(self.decided.same)),
        )  # fmt: skip
        clusters = cluster(
            len(rows), linked.left, linked.right, linked.bits, linked.guard, scorer.inner
        )
        label = np.empty(len(live), np.int64)
        if state is not None:
            stays = np.flatnonzero(~region)
            label[stays] = state.records["label"].to_numpy()[live.known[stays]]
        label[live.place[rows]] = live.ids[live.place[rows[clusters.label]]]
        left, right = rows[linked.left], rows[linked.right]
        linked = Edges(left, right, linked.bits, linked.guard)
        # What would join across the region's border is forbidden: nothing else was left outside.
        border = close.taken(~inside & (close.bits >= self.join_bits))
        tasks = self._tasks(close, linked.joined(border), label, region, state)
        return label, tasks, {
            "components_over_two": clusters.components, "contested": clusters.disputed
        }  # fmt: skip

    def _tasks(
        self, close: Edges, linked: Edges, label: Ids, region: Bools, state: LinkState | None
    ) -> pa.Table:
        """Tasks beyond the region as they were, and those of its edges (`close`, `linked`; rows):
        joins and declared pairs that ended apart, and pairs of the review band that did."""
        person = label[self.live.place]
        apart = person[linked.left] != person[linked.right]
        settled = (linked.guard == _APART) & np.isfinite(linked.bits)
        refused = linked.taken(apart & ~settled)
        asked = np.unique(pair_keys(refused.left, refused.right))
        apart = person[close.left] != person[close.right]
        apart &= (close.bits < self.join_bits) & (close.guard == 0)
        band = close.taken(apart & ~among(pair_keys(close.left, close.right), asked))
        parts = [
            self._task_table(refused, pc.fill_null(guard_codes(refused.guard), "contested")),
            self._task_table(band, pa.array(["review band"] * len(band.left), pa.string())),
        ]
        if state is not None:
            live_or_not = np.append(region, True)  # -1, not live, is the last
            left, right = self.live.places_of(state.tasks)
            stays = ~(live_or_not[left] | live_or_not[right])
            parts.append(state.tasks.filter(pa.array(stays)))
        order = [("left", "ascending"), ("right", "ascending")]
        return pa.concat_tables(parts).sort_by(order).combine_chunks()

    def _task_table(self, edges: Edges, reason: pa.Array) -> pa.Table:
        one, two = (self.live.ids[self.live.place[side]] for side in (edges.left, edges.right))
        columns = [np.minimum(one, two), np.maximum(one, two), edges.bits, reason]
        return pa.Table.from_arrays([pa.array(column) for column in columns], schema=TASKS)


def _mark(seed: Bools, *places: Ids) -> None:
    """Sets the flags of live places."""
    for some in places:
        seed[some[some >= 0]] = True


def _spread(seed: Bools, left: Rows, right: Rows) -> None:
    """Sets the flags of all places that edges lead to from those set."""
    while True:
        met = np.flatnonzero(seed[left] != seed[right])
        if not len(met):
            return
        seed[left[met]] = seed[right[met]] = True


def _sorted(one: Rows, two: Rows, edges: Edges) -> Edges:
    """Edges with these ends in the place of their own, by (left, right)."""
    left, right = np.minimum(one, two), np.maximum(one, two)
    order = np.argsort(pair_keys(left, right))
    return Edges(left[order], right[order], edges.bits[order], edges.guard[order])


def _merged(kept: Edges, new: Edges) -> Edges:
    """Two sorted runs of edges as one."""
    at = np.searchsorted(pair_keys(kept.left, kept.right), pair_keys(new.left, new.right))
    return Edges(
        np.insert(kept.left, at, new.left),
        np.insert(kept.right, at, new.right),
        np.insert(kept.bits, at, new.bits),
        np.insert(kept.guard, at, new.guard),
    )
