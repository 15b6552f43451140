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
  joins leaves it, so it is clustered by itself.
- What is read for scoring is read once, of the rows compared and of all that a region could hold
  whatever the comparisons give, in row numbers of its own.
- Labels and tasks beyond the region stay. A task hangs on the labels of its two records.
- Records are told by their ids; a decision about a record that is not live waits for it.
- A pair that a person decided apart is nobody's task, but where somebody also declared it one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage.blocking import Blocker, Proposals, RuleReport
from linkage.cluster import cluster
from linkage.columns import Features, Versions
from linkage.engine import CHUNK, Edges, Progress, block, compared_blocks, histogram, joining
from linkage.few_pairs import at_once, compared_at_once
from linkage.guards import DECIDED_APART, GUARDS, PairKeys, among, pair_keys
from linkage.live import (
    Ids,
    Live,
    Marks,
    difference,
    ends_of,
    found_at,
    guard_codes,
    guard_numbers,
    spliced,
)
from linkage.model import Model
from linkage.part_scorers import Part, Scorers
from linkage.prepared import Prepared
from linkage.score import Bits
from linkage.state import EDGES, RECORDS, TASKS, Decided, LinkState
from linkage.touched import touched_blockers
from linkage.views import Bools, Rows

CONTESTED = "contested"
"""The reason of a task about a pair that nothing forbids and that still ended apart."""
_APART = 1 + [guard.code for guard in GUARDS].index(DECIDED_APART)


@dataclass(frozen=True)
class Linked:
    """The new state, and what was done.

    Attributes:
        rules, compared: what each blocking rule did among pairs with a dirty record.
        histogram: (edges of bins in bits, counts) of all edges of the state.
        prepared: what it read the records from.
        stats: records `dirty`, `crossed` (through a block or a crowd), in the `region`;
            `components_over_two` and `contested` of the region.
    """

    state: LinkState
    rules: tuple[RuleReport, ...]
    compared: int
    histogram: tuple[Bits, npt.NDArray[np.int64]]
    stats: dict[str, int]
    prepared: Prepared


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
    prepared: Prepared | None = None,
) -> Linked:
    """Links the live records, given what the last link left.

    Args:
        now: every live record: `record_id`, `version_id` int64, and what `engine.link` reads.
        past: the same columns of the versions in `state` that are changed or withdrawn now.
        state: of the last link under this model and these settings; None links from nothing.
        decided, before: declarations as they stand, and as they stood at the last link.
        progress: told when each of the stages features, blocks, compare, decide, state is done,
            and of pairs within compare.
        prepared: every version of `now` and `past`, where they were read before under the same
            columns and settings; `now` and `past` need only say which they are then.

    Raises: ValueError where `past` is not of the records that are changed or withdrawn, or where
    `prepared` lacks a version.
    """
    if prepared is None:
        both = pa.concat_tables([now, past.select(now.column_names)]) if len(past) else now
        prepared = Prepared.read(both, accept_test_numbers=accept_test_numbers, extra=model.columns)
    rows = prepared.rows_of(now["version_id"].to_numpy())
    order = prepared.in_order(rows)
    live = Live.of(now, order, state)
    features, versions = _features(live, rows[order], past, prepared, keeps_apart)
    _tell(progress, "features", len(live))
    blockers, dirty, crossed = _blockers(live, features, versions, model, threads)
    _tell(progress, "blocks", len(live))
    step = _Step(live, dirty, join_bits, decided, before, state)
    compared = _rows_compared(blockers, len(live), whole=versions is None)
    scorers = Scorers(features, model, live.rows_of(decided.apart))
    scorer = scorers.of(np.sort(live.row[step.region(places=live.place[compared])]))
    floor = min(review_bits, join_bits)
    if at_once(blockers, len(features), chunk):
        found, rules = compared_at_once(scorer, blockers, len(features), floor)
        _tell(progress, "compare", sum(rule.proposed for rule in rules))
    else:
        found, rules = compared_blocks(
            scorer, Proposals(blockers), floor, threads=threads, chunk=chunk, progress=progress
        )
    new = step.placed(found)
    region = step.region(step.leads(new))
    close = step.close(new, region, scorers)
    label, tasks, counted = step.decide(close, region, scorer)
    _tell(progress, "decide", len(live))
    left = step.left_behind(close, region, label, tasks)
    counts = {"dirty": int(dirty.sum()), "crossed": crossed, "region": int(region.sum())}
    linked = Linked(
        left,
        rules,
        sum(rule.credited for rule in rules),
        histogram(left.edges["bits"].to_numpy()),
        {**counts, **counted},
        prepared,
    )
    _tell(progress, "state", len(live))
    return linked


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
    live: Live, position: Ids, past: pa.Table, held: Prepared, keeps_apart: Collection[str]
) -> tuple[Features, Versions | None]:
    """Features of the live records, in the order of rows, and after them of former versions; and
    which rows stand for what. Where nothing went before, all rows are live.

    Args:
        position: the row in `held` of each row.
    """
    changed = live.ids[live.fresh & (live.known >= 0)]
    former = np.sort(np.concatenate([changed, live.withdrawn]))
    if not np.array_equal(np.sort(past["record_id"].to_numpy()), former):
        raise ValueError("past: expected one row of each record that is changed or withdrawn")
    rows = np.concatenate([position, held.rows_of(past["version_id"].to_numpy())])
    current = np.arange(len(rows)) < len(live)
    before = ~live.fresh[live.place]
    versions = Versions(current, np.append(before, np.ones(len(past), bool)))
    features, versions = held.features(rows, versions, keeps_apart)
    return features, versions if versions.before.any() else None


def _blockers(
    live: Live,
    features: Features,
    versions: Versions | None,
    model: Model,
    threads: int | None,
) -> tuple[list[Blocker], Bools, int]:
    """The model's rules over pairs with a dirty record; which places are dirty; how many of them
    are neither new nor changed."""
    if versions is None:
        whole = block(features, model, threads).blockers
        return whole, np.ones(len(live), bool), 0
    blockers, dirty = touched_blockers(features, versions, model, threads)
    by_place = dirty[live.row]
    return blockers, by_place, int((by_place & ~live.fresh).sum())


@dataclass(frozen=True)
class _Step:
    """From what was compared to what is decided. Edges are in places, by (left, right)."""

    live: Live
    dirty: Bools
    join_bits: float
    decided: Decided
    before: Decided
    state: LinkState | None

    def placed(self, found: Edges) -> Edges:
        """Edges of rows, as edges of places."""
        one, two = self.live.place[found.left], self.live.place[found.right]
        left, right = np.minimum(one, two), np.maximum(one, two)
        order = np.argsort(pair_keys(left, right))
        return Edges(left[order], right[order], found.bits[order], found.guard[order])

    @cached_property
    def label(self) -> Ids:
        """Each place's label as it was; a new record's is itself."""
        if self.state is None or not len(self.state.records):
            return self.live.ids
        known = self.live.known
        label: Ids = self.state.records["label"].to_numpy().take(known, mode="clip")
        new = np.flatnonzero(known < 0)
        label[new] = self.live.ids[new]
        return label

    def leads(self, new: Edges) -> tuple[Ids, Ids]:
        """Labels, as they were, that new edges join."""
        joins = (new.bits >= self.join_bits) & (new.guard == 0)
        return self.label[new.left[joins]], self.label[new.right[joins]]

    def region(self, leads: tuple[Ids, Ids] | None = None, places: Rows | None = None) -> Bools:
        """Which places are in the region.

        Joins that stay lead through whole clusters, and from one to another where a task says so:
        only these, and what is new, need be followed.

        Args:
            leads: labels that something new joins.
            places: count as dirty too.
        """
        if self.state is None:
            return np.ones(len(self.live), bool)
        seeds, one, two = self._clusters
        marks = Marks(self.live.ids, self.state.records["record_id"].to_numpy())
        marks.set(seeds)
        if places is not None:
            marks.set(self.label[places])
        if leads is not None:
            one, two = np.concatenate([one, leads[0]]), np.concatenate([two, leads[1]])
        marks.spread(one, two)
        return marks.of(self.label)

    @cached_property
    def _clusters(self) -> tuple[Ids, Ids, Ids]:
        """Labels, as they were: of clusters that something dirty or gone was in, and pairs of
        those between which tasks and declarations lead."""
        assert self.state is not None  # without one nothing was
        records, tasks = self.state.records, self.state.tasks
        held, former = records["record_id"].to_numpy(), records["label"].to_numpy()
        seed = self.dirty.copy()
        self._seed_declared(seed)
        gone = former[found_at(self.live.withdrawn, held)]
        contested = tasks.filter(pc.equal(tasks["reason"], CONTESTED))
        one, two = (
            np.concatenate([former[found_at(contested[side].to_numpy(), held)], self.label[of]])
            for side, of in zip(("left", "right"), ends_of(self._declared()), strict=True)
        )
        return np.concatenate([self.label[seed], gone]), one, two

    def close(self, new: Edges, region: Bools, scorers: Scorers) -> Edges:
        """The edges that touch the region, as they stand now."""
        if self.state is None:
            return new
        table = self.state.edges
        near = np.flatnonzero(self._touched(table, region))
        left, right = (self.live.find(table[side].to_numpy()[near]) for side in ("left", "right"))
        stays = np.append(~self.dirty, False)  # -1, not live, is the last
        at = stays[left] & stays[right]
        held = table.take(pa.array(near[at]))
        kept = Edges(
            left[at].astype(np.int32),
            right[at].astype(np.int32),
            held["bits"].to_numpy(),
            guard_numbers(held["guard"]),
        )
        self._guard_anew(kept, scorers)
        return _merged(kept, new)

    def left_behind(self, close: Edges, region: Bools, label: Ids, tasks: pa.Table) -> LinkState:
        """What the next link goes on from: beyond the region, what this one went on from.

        Args:
            close, tasks: those that touch the region.
        """
        ends = self.live.ids[close.left], self.live.ids[close.right]
        columns = [*ends, close.bits, guard_codes(close.guard)]
        edges = pa.Table.from_arrays(columns, schema=EDGES)
        if self.state is not None:
            edges, tasks = (
                spliced(table, np.flatnonzero(self._touched(table, region)), came)
                for table, came in ((self.state.edges, edges), (self.state.tasks, tasks))
            )
        records = [self.live.ids, self.live.version, label]
        return LinkState(pa.Table.from_arrays(records, schema=RECORDS), edges, tasks)

    def _touched(self, pairs: pa.Table, region: Bools) -> Bools:
        """Which pairs of the state's records have an end in the region, or one that is live no
        more."""
        marks = Marks(self.live.ids, self.live.withdrawn)
        marks.set(self.live.ids[region])
        marks.set(self.live.withdrawn)
        return marks.of(pairs["left"].to_numpy()) | marks.of(pairs["right"].to_numpy())

    def _guard_anew(self, kept: Edges, scorers: Scorers) -> None:
        """Puts right the guards of pairs that were decided apart, or are so no more."""
        changed = self.live.pairs_of(difference(self.decided.apart, self.before.apart))
        again = np.flatnonzero(among(pair_keys(kept.left, kept.right), changed))
        if len(again):
            one, two = self.live.row[kept.left[again]], self.live.row[kept.right[again]]
            scorer = scorers.of(np.unique(np.concatenate([one, two])))
            kept.guard[again] = scorer.score(np.minimum(one, two), np.maximum(one, two)).guard

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
        self, close: Edges, region: Bools, scorer: Part
    ) -> tuple[Ids, pa.Table, dict[str, int]]:
        """The label of each place, the tasks that touch the region, and counts of its clustering.

        Args:
            close: the edges that touch the region.
            scorer: holds the rows of the region, and maybe others.
        """
        live = self.live
        inside = region[close.left] & region[close.right]
        one, two = live.row[close.left], live.row[close.right]
        close = Edges(np.minimum(one, two), np.maximum(one, two), close.bits, close.guard)
        linked = joining(
            scorer.inner, scorer.within(close.taken(inside)), self.join_bits,
            merged=scorer.pairs(self._rows_in(region, self.decided.merged)),
            same=scorer.pairs(self._rows_in(region, self.decided.same)),
        )  # fmt: skip
        clusters = cluster(
            len(scorer.rows), linked.left, linked.right, linked.bits, linked.guard, scorer.inner
        )
        rows = live.row[region]
        label = self.label.copy()
        label[region] = live.ids[live.place[scorer.rows[clusters.label[scorer.number[rows]]]]]
        left, right = scorer.rows[linked.left], scorer.rows[linked.right]
        linked = Edges(left, right, linked.bits, linked.guard)
        # What would join across the region's border is forbidden: nothing else was left outside.
        border = close.taken(~inside & (close.bits >= self.join_bits))
        tasks = self._tasks(close, linked.joined(border), label)
        counted = {"components_over_two": clusters.components, "contested": clusters.disputed}
        return label, tasks, counted

    def _rows_in(self, region: Bools, pairs: pa.Table) -> PairKeys:
        """Pairs of live records, as pairs of rows; of which one is in the region, both are."""
        keys = self.live.rows_of(pairs)
        return keys[region[self.live.place[ends_of(keys)[0]]]]

    def _tasks(self, close: Edges, linked: Edges, label: Ids) -> pa.Table:
        """Tasks of the region's edges (`close`, `linked`; rows), by (left, right): joins and
        declared pairs that ended apart, and pairs of the review band that did."""

        def parted(edges: Edges) -> Bools:
            one, two = (label[self.live.place[side]] for side in (edges.left, edges.right))
            return np.asarray(one != two)

        settled = (linked.guard == _APART) & np.isfinite(linked.bits)
        refused = linked.taken(parted(linked) & ~settled)
        asked = np.unique(pair_keys(refused.left, refused.right))
        band = close.taken((close.bits < self.join_bits) & (close.guard == 0))
        band = band.taken(parted(band) & ~among(pair_keys(band.left, band.right), asked))
        parts = [
            self._task_table(refused, pc.fill_null(guard_codes(refused.guard), CONTESTED)),
            self._task_table(band, pa.array(["review band"] * len(band.left), pa.string())),
        ]
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


def _merged(kept: Edges, new: Edges) -> Edges:
    """Two sorted runs of edges as one."""
    at = np.searchsorted(pair_keys(kept.left, kept.right), pair_keys(new.left, new.right))
    return Edges(
        np.insert(kept.left, at, new.left),
        np.insert(kept.right, at, new.right),
        np.insert(kept.bits, at, new.bits),
        np.insert(kept.guard, at, new.guard),
    )
