"""Blocking: which pairs are compared. Sorted integer keys, expanded in chunks of pairs.

Rules:
- A pair is proposed by a rule when both records agree on all its keys and the block is no larger
  than the rule's cap. It is credited to the first rule that proposes it, and yielded once.
- A block over the cap is cut as a whole: an explained loss, counted in `RuleReport`.
- Memory is bounded by the chunk, not by the number of pairs.
- A key may hold several values per record (telephones): agreeing on any of them proposes the pair.

A key is written `column` (its current value), `column.part` (a part of it: `birth_date.year`),
`column[2]` (any of its first two values), `one~other` (two values, whichever way round) or `*`
(every record).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linkage.columns import Features, distinct
from linkage.model import Rule
from schemas.errors import InvalidValue

Keys = npt.NDArray[np.int64]
Groups = npt.NDArray[np.int32]
Rows = npt.NDArray[np.int32]
Pairs = tuple[Rows, Rows]

_KEY = re.compile(r"^([\w-]+)(?:\.([\w-]+)|\[([1-9])\]|~([\w-]+))?$")
ALL = "*"
"""The key that all records share."""
_NEAR: dict[str, tuple[str, ...]] = {"postcode": ("address",), "address": ("postcode",)}
"""Columns of which one fixes the other nearly."""


def key_columns(key: str) -> tuple[str, ...]:
    """The columns that a key reads. Raises: InvalidValue where it is not written as a key."""
    if key == ALL:
        return ()
    found = _KEY.match(key)
    if not found:
        raise InvalidValue(
            f"blocking key '{key}' is not one of: column, column.part, column[2], one~other, *"
        )
    return tuple(name for name in (found[1], found[4]) if name)


def blocked_columns(rule: Rule) -> frozenset[str]:
    """Columns that pairs of this rule agree on by construction: they teach nothing about m."""
    named = [column for key in rule.keys for column in key_columns(key)]
    return frozenset([*named, *(near for name in named for near in _NEAR.get(name, ()))])


def _key_values(features: Features, key: str) -> Keys:
    """(slots, n) values of a key, -1 for none."""
    if key == ALL:
        return np.zeros((1, len(features)), np.int64)
    one, *two = key_columns(key)
    found = _KEY.match(key)
    assert found
    if found[2]:
        return features.part(one, found[2])[None, :].astype(np.int64)
    codes = features.column(one).codes
    if found[3]:
        return codes[: int(found[3])].astype(np.int64)
    if not two:
        return codes[:1].astype(np.int64)
    other = features.main(two[0])
    low, high = np.minimum(codes[0], other), np.maximum(codes[0], other)
    size = int(high.max(initial=0)) + 1
    return np.where(low >= 0, low.astype(np.int64) * size + high, -1)[None, :]


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


class Blocker:
    """One rule's blocks over all records, ready to be expanded and to be asked.

    Attributes:
        groups: (slots, n) number of the block that each of a record's keys stands in; -1 for none,
            for a block of one and for one that was cut.
        proposed: how many pairs there are (several slots may propose one pair twice).
    """

    def __init__(self, features: Features, rule: Rule) -> None:
        self.rule = rule
        if not rule.keys:
            raise InvalidValue(f"blocking rule '{rule.name}' has no key")
        columns = [_key_values(features, key) for key in rule.keys]
        if sum("[" in key for key in rule.keys) > 1:
            raise InvalidValue(f"blocking rule '{rule.name}': two of its keys hold several values")
        keys = _joined(columns)
        slots, n = keys.shape
        order, sizes = _sorted_groups(keys.reshape(-1))
        cut = sizes > rule.cap
        self.cut_blocks = int(cut.sum())
        self.cut_pairs = int((sizes[cut] * (sizes[cut] - 1) // 2).sum())
        live = (sizes > 1) & ~cut
        members = order[np.repeat(live, sizes)]
        kept = sizes[live]
        groups = np.full(slots * n, -1, np.int32)
        groups[members] = np.repeat(np.arange(len(kept), dtype=np.int32), kept)
        self.groups = groups.reshape(slots, n)
        self._members = (members % max(n, 1)).astype(np.int32)
        self._slots = (members // max(n, 1)).astype(np.int8) if slots > 1 else None
        self._ends: npt.NDArray[np.int64] = np.repeat(np.cumsum(kept), kept).astype(np.int64)
        self._total: npt.NDArray[np.int64] = np.cumsum(self._ends - np.arange(len(members)) - 1)
        self.proposed = int(self._total[-1]) if len(members) else 0

    def agrees(
        self, left: npt.NDArray[np.integer], right: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.bool_]:
        """Whether this rule proposes each pair."""
        out = np.zeros(len(left), bool)
        rights = [groups.take(right) for groups in self.groups]
        for groups in self.groups:
            a = groups.take(left)
            for b in rights:
                out |= (a >= 0) & (a == b)
        return out

    def pieces(self, index: int, chunk: int) -> Iterator[Piece]:
        """The rule's pairs in runs of about `chunk`."""
        begin, done = 0, 0
        while begin < len(self._total):
            end = max(int(np.searchsorted(self._total, done + chunk, side="right")), begin + 1)
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
        first = np.searchsorted(self._total, wanted, side="right")
        second = self._ends[first] - (self._total[first] - wanted)
        return self._pairs(first, second)

    def expand(self, begin: int, end: int) -> Pairs:
        """The pairs of a run of members, left < right, each once in the whole rule."""
        places = np.arange(begin, end)
        counts = self._ends[begin:end] - places - 1
        first = np.repeat(places, counts)
        second = np.arange(1, len(first) + 1) + np.repeat(
            places - (np.cumsum(counts) - counts), counts
        )
        return self._pairs(first, second)

    def _pairs(self, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> Pairs:
        """The pairs that stand at two places each, but those met before in other slots."""
        a, b = self._members.take(first), self._members.take(second)
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


def _sorted_groups(
    keys: Keys,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Places of the keys that are not missing, in order of key and place, and the sizes of the
    runs of equal keys."""
    places = np.flatnonzero(keys >= 0)
    present = keys[places]
    bits = len(keys).bit_length()
    if int(present.max(initial=0)) >= 2 ** (62 - bits):
        present = distinct(present)[1].astype(np.int64)
    # One sort of plain integers: the key in the upper bits, the place in the lower.
    packed = np.sort((present << bits) | places)
    ordered = packed >> bits
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(np.append(starts, len(ordered))) if len(ordered) else np.zeros(0, np.int64)
    return packed & ((1 << bits) - 1), sizes


def _joined(columns: Sequence[Keys]) -> Keys:
    """Several keys as one, -1 where any is missing. At most one of them has several slots."""
    out = columns[0]
    for column in columns[1:]:
        size = int(column.max(initial=0)) + 1
        if int(out.max(initial=0)) >= 2**62 // size:
            out = np.where(out >= 0, distinct(out.reshape(-1))[1].reshape(out.shape), -1)
        out = np.where((out >= 0) & (column >= 0), out * size + column, -1)
    return out


def candidate_pairs(blockers: Sequence[Blocker], piece: Piece) -> Pairs:
    """The pairs of a piece that no earlier rule proposes."""
    left, right = blockers[piece.rule].expand(piece.begin, piece.end)
    met = np.zeros(len(left), bool)
    one, two = left.astype(np.intp), right.astype(np.intp)
    for earlier in blockers[: piece.rule]:
        if earlier.proposed:
            met |= earlier.agrees(one, two)
    keep = np.flatnonzero(~met)
    return left.take(keep), right.take(keep)


def pieces(blockers: Sequence[Blocker], chunk: int) -> Iterator[Piece]:
    """All the work, rule by rule, in pieces of about `chunk` pairs."""
    for index, blocker in enumerate(blockers):
        yield from blocker.pieces(index, chunk)
