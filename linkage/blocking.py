"""Blocking: which pairs are compared. Sorted integer keys, expanded in chunks of pairs.

Rules:
- A pair is proposed by a rule when both records agree on all its keys and the block is no larger
  than the rule's cap. It is credited to the first rule that proposes it, and yielded once.
- A block over the cap is cut as a whole: an explained loss, counted in `RuleReport`.
- Memory is bounded by the chunk, not by the number of pairs.
- A key may hold several values per record (telephones): agreeing on any of them proposes the pair.
- Where only some rows are dirty, the pairs are those of a dirty row with any other, and cost
  follows them. A block that crossed its cap since the last time, either way, is told (`crossed`).

A key is written `column` (its current value), `column.part` (a part of it: `birth_date.year`),
`column[2]` (any of its first two values), `one~other` (two values, whichever way round) or `*`
(every record).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from linkage.columns import Features, Versions, distinct
from linkage.model import Rule
from linkage.rowwise import Rowwise
from linkage.views import Rows
from schemas.errors import InvalidValue

Keys = npt.NDArray[np.int64]
Groups = npt.NDArray[np.int32]
Counts = npt.NDArray[np.signedinteger[Any]]
Pairs = tuple[Rows, Rows]

_KEY = re.compile(r"^([\w-]+)(?:\.([\w-]+)|\[([1-9])\]|~([\w-]+))?$")
ALL = "*"
"""The key that all records share."""
_NEAR: dict[str, tuple[str, ...]] = {"postcode": ("address",), "address": ("postcode",)}
"""Columns of which one fixes the other nearly."""
_LARGEST = 2**62
"""Keys are joined into one as long as it stays below this."""


@dataclass(frozen=True)
class Key:
    """What a key reads, as it is written (see above); of `*` no column.

    Attributes:
        columns: one, or two that count whichever way round.
        part: of the current value; the empty text for the value itself.
        slots: of how many values any counts; None where only the current one is read.
    """

    columns: tuple[str, ...]
    part: str = ""
    slots: int | None = None

    @staticmethod
    def of(key: str) -> Key:
        """Reads a key. Raises: InvalidValue where it is not written as one."""
        if key == ALL:
            return Key(())
        found = _KEY.match(key)
        if not found:
            raise InvalidValue(
                f"blocking key '{key}' is not one of: column, column.part, column[2], one~other, *"
            )
        one, part, slots, other = found.groups()
        columns = (one, other) if other else (one,)
        return Key(columns, part or "", int(slots) if slots else None)


def key_columns(key: str) -> tuple[str, ...]:
    """The columns that a key reads. Raises: InvalidValue where it is not written as a key."""
    return Key.of(key).columns


def blocked_columns(rule: Rule) -> frozenset[str]:
    """Columns that pairs of this rule agree on by construction: they teach nothing about m."""
    named = [column for key in rule.keys for column in key_columns(key)]
    return frozenset([*named, *(near for name in named for near in _NEAR.get(name, ()))])


def key_values(features: Features, key: str) -> Keys:
    """(slots, n) values of a key, -1 for none.

    Of two values, whichever way round, the lower counts in steps of one more than the highest.
    """
    read = Key.of(key)
    if not read.columns:
        return np.zeros((1, len(features)), np.int64)
    if len(read.columns) == 2:
        one, two = (features.main(name) for name in read.columns)
        low, high = np.minimum(one, two), np.maximum(one, two)
        step = pair_step(features, read)
        return np.where(low >= 0, low.astype(np.int64) * step + high, -1)[None, :]
    (column,) = read.columns
    if read.part:
        return features.part(column, read.part)[None, :].astype(np.int64)
    return features.column(column).codes[: read.slots or 1].astype(np.int64)


def rule_keys(features: Features, rule: Rule) -> Keys:
    """(slots, n) of each record its keys of the rule as one, -1 for none. Raises: InvalidValue
    where the rule cannot be read so."""
    if not rule.keys:
        raise InvalidValue(f"blocking rule '{rule.name}' has no key")
    columns = [key_values(features, key) for key in rule.keys]
    if sum(Key.of(key).slots is not None for key in rule.keys) > 1:
        raise InvalidValue(f"blocking rule '{rule.name}': two of its keys hold several values")
    return joined(columns)[0]


def pair_step(features: Features, key: Key) -> int:
    """The step in which the lower of a key's two values counts."""
    return max(int(features.main(name).max(initial=0)) for name in key.columns) + 1


@dataclass(frozen=True)
class RuleReport:
    """What one rule did. Pairs cut are those of whole blocks over the cap."""

    rule: str
    proposed: int
    credited: int
    cut_blocks: int
    cut_pairs: int


@dataclass(frozen=True)
class Piece:
    """A run of members whose pairs are expanded together: the unit of work."""

    rule: int
    begin: int
    end: int
    pairs: int


@dataclass(frozen=True)
class Blocks:
    """One rule's blocks of two members or more that are not cut, one after the other.

    Attributes:
        shape: slots and n.
        members: slot * n + row of each member, by block, then in their own order.
        sizes: of the blocks.
        crossed: rows of the records in blocks that are cut now and were not before, or the other
            way round.
    """

    shape: tuple[int, int]
    members: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    cut_blocks: int
    cut_pairs: int
    crossed: npt.NDArray[np.int64]

    @staticmethod
    def of(features: Features, rule: Rule, versions: Versions | None = None) -> Blocks:
        """The blocks of records as they are now; without `versions` all rows are."""
        return Blocks.grouped(rule_keys(features, rule), rule, versions)

    @staticmethod
    def grouped(keys: Keys, rule: Rule, versions: Versions | None = None) -> Blocks:
        """As `of`, by keys of the rule that are at hand: (slots, n), -1 for none."""
        slots, n = keys.shape
        order, sizes = groups_of(keys.reshape(-1))
        crossed = np.zeros(0, np.int64)
        if versions is not None and len(order):
            order, sizes, crossed = _counted_now(order, sizes, n, rule.cap, versions)
        cut = sizes > rule.cap
        live = (sizes > 1) & ~cut
        return Blocks(
            (slots, n),
            order.take(np.flatnonzero(np.repeat(live, sizes))),
            sizes[live],
            cut_blocks=int(cut.sum()),
            cut_pairs=int((sizes[cut] * (sizes[cut] - 1) // 2).sum()),
            crossed=crossed,
        )

    def dirty_first(
        self, dirty: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Members and sizes of the blocks that hold a dirty row, dirty members first, and which
        members are dirty."""
        n = max(self.shape[1], 1)
        of_member = dirty[self.members % n]
        if not of_member.any():
            return self.members[:0], self.sizes[:0], of_member[:0]
        starts = np.cumsum(self.sizes) - self.sizes
        held = np.logical_or.reduceat(of_member, starts)
        inside = np.repeat(held, self.sizes)
        members, sizes, of_member = self.members[inside], self.sizes[held], of_member[inside]
        block = np.repeat(np.arange(len(sizes)), sizes)
        order = np.argsort(block * 2 + ~of_member, kind="stable")
        return members[order], sizes, of_member[order]


def _counted_now(
    order: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    n: int,
    cap: int,
    versions: Versions,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Places and sizes as from `groups_of`, of records as they are now alone, and the rows in
    groups that crossed the cap."""
    rows = order % n
    now = versions.now[rows]
    starts = np.cumsum(sizes) - sizes
    sizes_now = np.add.reduceat(now, starts, dtype=np.int64)
    before = np.add.reduceat(versions.before[rows], starts, dtype=np.int64)
    crossed = np.repeat((sizes_now > cap) != (before > cap), sizes) & now
    return order[now], sizes_now[sizes_now > 0], np.unique(rows[crossed])


class Blocker:
    """One rule's blocks over all records, ready to be expanded.

    Attributes:
        groups: (slots, n) number of the block that each of a record's keys stands in; -1 for none,
            for a block of one, for one that was cut and for one without a dirty row.
        members: rows of the blocks' members, one block after the other.
        proposed: how many pairs there are (several slots may propose one pair twice).
    """

    def __init__(
        self,
        features: Features,
        rule: Rule,
        *,
        blocks: Blocks | None = None,
        dirty: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Args:
        blocks: the rule's, where they are at hand.
        dirty: (n,) rows of which the pairs are wanted; None wants all.
        """
        self.rule = rule
        blocks = Blocks.of(features, rule) if blocks is None else blocks
        self.cut_blocks, self.cut_pairs = blocks.cut_blocks, blocks.cut_pairs
        slots, n = blocks.shape
        members, kept = blocks.members, blocks.sizes
        if dirty is not None:
            members, kept, first = blocks.dirty_first(dirty)
        groups = np.full(slots * n, -1, np.int32)
        groups[members] = np.repeat(np.arange(len(kept), dtype=np.int32), kept)
        self.groups = groups.reshape(slots, n)
        self.members = (members % max(n, 1) if slots > 1 else members).astype(np.int32)
        self._slots = (members // max(n, 1)).astype(np.int8) if slots > 1 else None
        ends: npt.NDArray[np.int64] = np.repeat(np.cumsum(kept), kept)
        counts = ends - np.arange(1, len(members) + 1)
        if dirty is not None:
            # A clean member has no pairs of its own: the dirty ones before it have them.
            counts *= first
            ends = np.where(first, ends, np.arange(1, len(members) + 1))
        self.proposed = int(counts.sum())
        # Half as wide where that holds them.
        small = max(self.proposed, len(members)) < 2**31
        narrow: type[np.signedinteger[Any]] = np.int32 if small else np.int64
        self._ends: Counts = ends.astype(narrow)
        self._total: Counts = np.cumsum(counts, dtype=narrow)

    def pieces(self, index: int, chunk: int) -> Iterator[Piece]:
        """The rule's pairs in runs of about `chunk`."""
        begin, done = 0, 0
        while begin < len(self._total):
            last = self._total.dtype.type(min(done + chunk, self.proposed))
            end = max(int(np.searchsorted(self._total, last, side="right")), begin + 1)
            total = int(self._total[end - 1])
            if total > done:
                yield Piece(index, begin, end, total - done)
            begin, done = end, total

    def sample(self, size: int) -> Pairs:
        """About `size` of the rule's pairs, one from each stretch; all where there are fewer.

        Which one of a stretch is drawn by lot, always the same: at even steps the numbering of
        pairs can keep step with the order of records.
        """
        step = max(1, -(-self.proposed // size))
        wanted: npt.NDArray[np.int64] = np.arange(0, self.proposed, step, dtype=np.int64)
        if step > 1:
            wanted = wanted + np.random.default_rng(size).integers(0, step, len(wanted))
            wanted = wanted[wanted < self.proposed]
        first = np.searchsorted(self._total, wanted.astype(self._total.dtype), side="right")
        second = self._ends[first] - (self._total[first] - wanted)
        return self._pairs(first, second)

    def expand(self, begin: int, end: int) -> Pairs:
        """The pairs of a run of members, left < right, each once in the whole rule."""
        places = np.arange(begin, end)
        counts = self._ends[begin:end] - places - 1
        before = np.cumsum(counts) - counts
        second = np.arange(1, int(counts.sum()) + 1) + np.repeat(places - before, counts)
        if self._slots is None:
            a, b = np.repeat(self.members[begin:end], counts), self.members.take(second)
            return np.minimum(a, b), np.maximum(a, b)
        return self._pairs(np.repeat(places, counts), second)

    def _pairs(self, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> Pairs:
        """The pairs that stand at two places each, but those met before in other slots."""
        a, b = self.members.take(first), self.members.take(second)
        low, high = np.minimum(a, b), np.maximum(a, b)
        if self._slots is None:
            return low, high
        # From the lower row's side: two blocks may hold one pair, each in its own order.
        one, two, swap = self._slots[first], self._slots[second], a > b
        met = self._met_before(low, high, np.where(swap, two, one), np.where(swap, one, two))
        keep = (a != b) & ~met
        return low[keep], high[keep]

    def _met_before(
        self,
        a: npt.NDArray[np.int32],
        b: npt.NDArray[np.int32],
        a_slot: npt.NDArray[np.int8],
        b_slot: npt.NDArray[np.int8],
    ) -> npt.NDArray[np.bool_]:
        """Whether the pair also agrees in an earlier combination of slots."""
        slots = len(self.groups)
        here = a_slot.astype(np.int16) * slots + b_slot
        before = np.zeros(len(a), bool)
        for i in range(slots):
            for j in range(slots):
                of_a = self.groups[i][a]
                before |= (of_a >= 0) & (of_a == self.groups[j][b]) & (i * slots + j < here)
        return before


def groups_of(keys: Keys) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Places of the (n,) keys that are not missing, equal keys together and each group in order of
    place, and the groups' sizes. Groups stand in no order that means anything."""
    places = np.flatnonzero(keys >= 0)
    packed = keys.take(places)
    bits = len(keys).bit_length()
    if int(packed.max(initial=0)) >= 2 ** (62 - bits):
        packed = distinct(packed)[1].astype(np.int64)
    # One sort of plain integers: the key in the upper bits, the place in the lower. In one place:
    # memory that was never used before costs more than what is done in it.
    packed <<= bits
    packed |= places
    del places
    packed.sort()
    last_place = (1 << bits) - 1
    begins = np.ones(len(packed), bool)
    np.greater(packed[1:] ^ packed[:-1], last_place, out=begins[1:])
    starts = np.flatnonzero(begins)
    sizes = np.diff(np.append(starts, len(packed))) if len(packed) else np.zeros(0, np.int64)
    packed &= last_place
    return packed, sizes


def joined(columns: Sequence[Keys]) -> tuple[Keys, dict[int, npt.NDArray[np.int64]]]:
    """Several keys as one, -1 where any is missing. At most one of them has several slots.

    A key counts in steps of one more than the highest of the next. Where that would not fit, what
    was joined so far is numbered anew: place of the next column → what each number stands for.
    """
    out = columns[0]
    renumbered: dict[int, npt.NDArray[np.int64]] = {}
    for place, column in enumerate(columns[1:], start=1):
        size = int(column.max(initial=0)) + 1
        if int(out.max(initial=0)) >= _LARGEST // size:
            renumbered[place], numbers = distinct(out.reshape(-1))
            out = np.where(out >= 0, numbers.reshape(out.shape), -1)
        out = np.where((out >= 0) & (column >= 0), out * size + column, -1)
    return out, renumbered


_FEW = 0.3
"""Share of rows below which those alone are kept."""
_AHEAD = 8
"""Pieces that are expanded ahead."""


class Proposals:
    """What the rules propose together: each pair is credited to the first that proposes it.

    Attributes:
        blockers: of each rule.
    """

    def __init__(self, blockers: Sequence[Blocker]) -> None:
        self.blockers = list(blockers)
        live = [blocker for blocker in blockers if blocker.proposed]
        self._slots = [len(b.groups) if b.proposed else 0 for b in blockers]
        self._ends = np.cumsum(self._slots).tolist()
        groups = [slot for blocker in live for slot in blocker.groups]
        n = len(groups[0]) if groups else 0
        # Where few rows stand in blocks at all (a nightly increment), only those are kept.
        self._number = None
        if max((len(b.members) / len(b.groups) for b in live), default=0.0) < _FEW * n:
            held = np.zeros(n, bool)
            for blocker in live:
                held[blocker.members] = True
            rows = np.flatnonzero(held)
            if len(rows) < _FEW * n:
                self._number = np.cumsum(held) - 1
                groups = [slot[rows] for slot in groups]
        self._groups, self._begun = Rowwise(groups), dict[Piece, Future[Pairs]]()

    def let_go(self) -> None:
        """Frees what it holds: it proposes nothing any more."""
        self.blockers, self._groups, self._begun = [], Rowwise([]), {}

    def begin(self, chunk: int, pool: Executor) -> None:
        """Has the pool expand the first pieces, of so many pairs, for whoever asks later."""
        for piece in islice(pieces(self.blockers, chunk), _AHEAD):
            self._begun[piece] = pool.submit(self._expanded, piece)

    def new(self, rule: int, left: Rows, right: Rows) -> npt.NDArray[np.bool_]:
        """Whether no rule before this one proposes the pairs. Each row stands in some block."""
        met = np.zeros(len(left), bool)
        if any(self._slots[:rule]):
            places = (
                (left, right) if self._number is None else (self._number[left], self._number[right])
            )
            one, two = (self._groups.take(side.astype(np.intp)) for side in places)
            for end, slots in zip(self._ends[:rule], self._slots, strict=False):
                for a in one[end - slots : end]:
                    for b in two[end - slots : end]:
                        met |= (a >= 0) & (a == b)
        return ~met

    def pairs(self, piece: Piece) -> Pairs:
        """The pairs of a piece that are credited to its rule."""
        begun = self._begun.pop(piece, None)
        if begun is None or begun.cancel():  # none is at it yet
            return self._expanded(piece)
        return begun.result()

    def _expanded(self, piece: Piece) -> Pairs:
        left, right = self.blockers[piece.rule].expand(piece.begin, piece.end)
        keep = np.flatnonzero(self.new(piece.rule, left, right))
        return left.take(keep), right.take(keep)


def pieces(blockers: Sequence[Blocker], chunk: int) -> Iterator[Piece]:
    """All the work, rule by rule, in pieces of about `chunk` pairs."""
    for index, blocker in enumerate(blockers):
        yield from blocker.pieces(index, chunk)
