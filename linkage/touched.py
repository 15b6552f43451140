"""Which blocks of a rule a change of some records can touch, told without sorting all keys.

Rules:
- Keys fall into buckets. What stands in no bucket of a changed record, nor in one of more members
  than the rule's cap, is in a block that changed nothing and that is not cut: it is left out.
- Blocks that share a bucket are told apart where blocks are made (linkage/blocking.py): nothing
  depends on what else a bucket holds.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from linkage.blocking import Blocker, Blocks, Keys, rule_keys
from linkage.columns import Features, Versions
from linkage.model import Model
from linkage.views import Bools

_BITS = 20
"""Of a bucket's number: a flag for each stays in the nearest memories."""
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""An odd number without pattern (Knuth, The Art of Computer Programming 3, 6.4: multiplicative
hashing by the golden ratio)."""


class Touched:
    """One rule's keys, ready to be asked which of them count."""

    def __init__(self, keys: Keys, cap: int) -> None:
        """Args:
        keys: (slots, n), -1 for none.
        cap: members from which on a block is cut, less one.
        """
        self._keys = keys
        self._bucket: npt.NDArray[np.intp] = (
            (keys.view(np.uint64) * _SPREAD) >> np.uint64(64 - _BITS)
        ).astype(np.intp)
        self._over = np.bincount(self._bucket.reshape(-1), minlength=1 << _BITS) > cap

    def keys(self, rows: Bools) -> Keys:
        """The keys, -1 for those that neither one of the rows nor a block over the cap can have.

        Args:
            rows: (n,) flags of the records that changed.
        """
        wanted = self._over.copy()
        wanted[self._bucket.take(np.flatnonzero(rows), axis=1)] = True
        return np.where(wanted.take(self._bucket), self._keys, -1)


def touched_blockers(
    features: Features, versions: Versions, model: Model, threads: int | None
) -> tuple[list[Blocker], Bools]:
    """The model's rules over pairs with a dirty row, and which rows are dirty: those of records
    that are new or changed, and those in blocks that crossed their cap."""
    rules = model.rules
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        found = pool.map(lambda rule: Touched(rule_keys(features, rule), rule.cap), rules)
        touched = list(found)

        def blocks_of(rows: Bools) -> list[Blocks]:
            keys = pool.map(lambda one: one.keys(rows), touched)
            return list(
                pool.map(lambda rule, some: Blocks.grouped(some, rule, versions), rules, keys)
            )

        changed = versions.now != versions.before
        blocks = blocks_of(changed)
        dirty = versions.now & ~versions.before
        for some in blocks:
            dirty[some.crossed] = True
        if (dirty & ~changed).any():
            blocks = blocks_of(dirty | changed)  # those of what crossed, in every rule
        blockers = pool.map(
            lambda rule, some: Blocker(features, rule, blocks=some, dirty=dirty), rules, blocks
        )
        return list(blockers), dirty
