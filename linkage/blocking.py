"""Blocking: which pairs are compared. Sorted integer keys, expanded in chunks of pairs.

Rules:
- A pair is proposed by a rule when both records agree on all its keys and the block is no larger
  than the rule's cap. It is credited to the first rule that proposes it, and yielded once.
- A block over the cap is cut as a whole: an explained loss, counted in `RuleReport`.
- Memory is bounded by the chunk, not by the number of pairs.
- A key may hold several values per record (telephones): agreeing on any of them proposes the pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linkage.features import Features
from linkage.model import Rule
from schemas.errors import InvalidValue

Keys = npt.NDArray[np.int64]
Pairs = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]


def _single(values: npt.NDArray[np.integer]) -> Keys:
    return values.astype(np.int64).reshape(len(values), 1)


def _birth_year(f: Features) -> Keys:
    return _single(np.where(f.birth > 0, f.birth // 10_000, -1))


def _names_either_way(f: Features) -> Keys:
    """Given and family name, whichever way round."""
    low, high = np.minimum(f.given, f.family), np.maximum(f.given, f.family)
    return _single(np.where(low >= 0, low.astype(np.int64) * (len(f.names) + 1) + high, -1))


def _families(f: Features) -> Keys:
    return np.column_stack([f.family, f.family_other[:, :1]]).astype(np.int64)


KEYS: dict[str, Callable[[Features], Keys]] = {
    "nhs_number": lambda f: _single(f.nhs),
    "birth_date": lambda f: _single(np.where(f.birth > 0, f.birth, -1)),
    "birth_year": _birth_year,
    "given": lambda f: _single(f.given),
    "family": lambda f: _single(f.family),
    "families": _families,
    "names_either_way": _names_either_way,
    "postcode": lambda f: f.postcode.astype(np.int64),
    "address": lambda f: _single(f.address[:, 0]),
    "phone": lambda f: f.phone.astype(np.int64),
    "email": lambda f: f.email.astype(np.int64),
    "identifier": lambda f: f.identifier.astype(np.int64),
}
"""Key name → (n, slots) values, -1 for none. A rule joins at most one key of several slots."""

BLOCKED_FIELDS: dict[str, tuple[str, ...]] = {
    "birth_year": ("birth_date",),
    "families": ("family",),
    "names_either_way": ("given", "family"),
    "postcode": ("postcode", "address"),
    "address": ("postcode", "address"),
}
"""Fields whose level a key fixes or nearly so, where not the field of the key's own name."""


def blocked_fields(rule: Rule) -> frozenset[str]:
    """Fields that pairs of this rule agree on by construction: they teach nothing about m."""
    return frozenset(f for key in rule.keys for f in BLOCKED_FIELDS.get(key, (key,)))


@dataclass(frozen=True)
class RuleReport:
    """What one rule did. Pairs cut are those of whole blocks over the cap."""

    rule: str
    proposed: int
    credited: int
    cut_blocks: int
    cut_pairs: int


class Blocker:
    """One rule's keys over all records, sorted, ready to be expanded and to be asked."""

    def __init__(self, features: Features, rule: Rule) -> None:
        self.rule = rule
        if not rule.keys or not set(rule.keys) <= set(KEYS):
            raise InvalidValue(f"blocking rule '{rule.name}': keys are {', '.join(KEYS)}")
        columns = [KEYS[name](features) for name in rule.keys]
        if sum(column.shape[1] > 1 for column in columns) > 1:
            raise InvalidValue(f"blocking rule '{rule.name}': two of its keys hold several values")
        keys = _joined(columns)
        n, slots = keys.shape
        flat = keys.reshape(-1)
        order = np.argsort(flat, kind="stable")
        order = order[np.searchsorted(flat[order], 0) :]
        sizes = _group_sizes(flat[order])
        cut = sizes > rule.cap
        self.cut_blocks = int(cut.sum())
        self.cut_pairs = int((sizes[cut].astype(np.int64) * (sizes[cut] - 1) // 2).sum())
        cut_rows = np.repeat(cut, sizes)
        flat = flat.copy()
        flat[order[cut_rows]] = -1
        self.keys = flat.reshape(n, slots)
        self._members = (order[~cut_rows] // slots).astype(np.int32)
        self._slots = (order[~cut_rows] % slots).astype(np.int8)
        kept = sizes[~cut]
        self._after = _after(kept)
        self.proposed = int(self._after.sum())

    def agrees(
        self, left: npt.NDArray[np.int32], right: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.bool_]:
        """Whether this rule proposes each pair."""
        slots = self.keys.shape[1]
        out = np.zeros(len(left), bool)
        for a in range(slots):
            key = self.keys[left, a]
            for b in range(slots):
                out |= (key >= 0) & (key == self.keys[right, b])
        return out

    def pairs(self, chunk: int) -> Iterator[Pairs]:
        """All pairs of the rule, left < right, each once, in chunks of about `chunk`."""
        total = np.cumsum(self._after)
        begin = 0
        while begin < len(total):
            done = total[begin - 1] if begin else 0
            end = max(int(np.searchsorted(total, done + chunk, side="right")), begin + 1)
            counts = self._after[begin:end]
            first = np.repeat(np.arange(begin, end), counts)
            offset = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
            second = first + 1 + offset
            yield self._distinct(first, second)
            begin = end

    def _distinct(self, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> Pairs:
        a, b = self._members[first], self._members[second]
        if self.keys.shape[1] == 1:
            return np.minimum(a, b), np.maximum(a, b)
        keep = (a != b) & ~self._met_before(a, b, self._slots[first], self._slots[second])
        a, b = a[keep], b[keep]
        return np.minimum(a, b), np.maximum(a, b)

    def _met_before(
        self,
        a: npt.NDArray[np.int32],
        b: npt.NDArray[np.int32],
        a_slot: npt.NDArray[np.int8],
        b_slot: npt.NDArray[np.int8],
    ) -> npt.NDArray[np.bool_]:
        """Whether the pair also agrees in an earlier combination of slots."""
        slots = self.keys.shape[1]
        here = a_slot.astype(np.int16) * slots + b_slot
        before = np.zeros(len(a), bool)
        for i in range(slots):
            for j in range(slots):
                same = (self.keys[a, i] >= 0) & (self.keys[a, i] == self.keys[b, j])
                before |= same & (i * slots + j < here)
        return before


def _after(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each member in sorted order, how many members of its group come after it."""
    if not len(sizes):
        return np.zeros(0, np.int64)
    ends = np.repeat(np.cumsum(sizes), sizes)
    return ends - np.arange(int(sizes.sum())) - 1


def _group_sizes(keys: Keys) -> npt.NDArray[np.int64]:
    """Sizes of the runs of equal keys in a sorted array."""
    if not len(keys):
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return np.diff(np.append(starts, len(keys)))


def _joined(columns: Sequence[Keys]) -> Keys:
    """Several keys as one, -1 where any is missing. At most one of them has several slots."""
    out = columns[0]
    for column in columns[1:]:
        low = int(column.max(initial=0)) + 1
        if int(out.max(initial=0)) > (2**62) // low:
            out = _dense(out)
        out = np.where((out >= 0) & (column >= 0), out * low + column, -1)
    return out


def _dense(keys: Keys) -> Keys:
    values, codes = np.unique(keys, return_inverse=True)
    return codes.reshape(keys.shape).astype(np.int64) - int(len(values) > 0 and values[0] < 0)


def candidate_pairs(
    blockers: Sequence[Blocker], chunk: int
) -> Iterator[tuple[int, npt.NDArray[np.int32], npt.NDArray[np.int32]]]:
    """Every pair that any rule proposes, once, with the index of the rule it is credited to."""
    for index, blocker in enumerate(blockers):
        for left, right in blocker.pairs(chunk):
            keep = np.ones(len(left), bool)
            for earlier in blockers[:index]:
                keep &= ~earlier.agrees(left, right)
            if keep.all():
                yield index, left, right
            elif keep.any():
                yield index, left[keep], right[keep]
