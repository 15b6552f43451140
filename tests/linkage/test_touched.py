"""What a change touches: blocks made of the keys that count are those of all keys, one by one."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from linkage.blocking import Blocker, Blocks
from linkage.columns import Features, Versions
from linkage.few_pairs import at_once, compared_at_once
from linkage.model import Rule
from linkage.score import Scored
from linkage.touched import Touched

Keys = npt.NDArray[np.int64]


@st.composite
def keyed(draw: st.DrawFn) -> tuple[Keys, npt.NDArray[np.bool_]]:
    slots, n = draw(st.integers(1, 2)), draw(st.integers(1, 30))
    domain = st.sampled_from([-1, 0, 1, 2, 3, 2**40, 2**61])
    keys = draw(st.lists(st.lists(domain, min_size=n, max_size=n), min_size=slots, max_size=slots))
    flags = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    return np.array(keys, np.int64), np.array(flags)


def members(blocks: Blocks) -> set[frozenset[int]]:
    ends = np.cumsum(blocks.sizes)
    return {frozenset(part.tolist()) for part in np.split(blocks.members, ends[:-1])} - {
        frozenset()
    }


@given(keyed(), st.integers(1, 5))
def test_blocks_of_what_changed_are_those_of_all_keys(
    drawn: tuple[Keys, npt.NDArray[np.bool_]], cap: int
) -> None:
    keys, changed = drawn
    n = keys.shape[1]
    rule = Rule("any", ("a",), cap)
    now = np.ones(n, bool)
    versions = Versions(now, ~changed)
    whole = Blocks.grouped(keys, rule, versions)
    some = Blocks.grouped(Touched(keys, cap).keys(changed), rule, versions)
    assert (some.cut_blocks, some.cut_pairs) == (whole.cut_blocks, whole.cut_pairs)
    assert some.crossed.tolist() == whole.crossed.tolist()
    touched = {block for block in members(whole) if any(changed[place % n] for place in block)}
    assert touched <= members(some) <= members(whole)


class _All:
    """Scores nothing: every pair reaches the floor with as many bits as its rows add up to."""

    def score(
        self, left: npt.NDArray[np.int32], right: npt.NDArray[np.int32], floor: float
    ) -> Scored:
        bits = (left + right).astype(np.float64)
        return Scored(np.arange(len(left)), bits, bits, np.zeros(len(left), np.uint8))


@given(st.lists(keyed(), min_size=1, max_size=3))
def test_each_pair_is_credited_to_the_first_rule_that_proposes_it(
    rules: list[tuple[Keys, npt.NDArray[np.bool_]]],
) -> None:
    n = min(keys.shape[1] for keys, _ in rules)
    nothing = Features(np.arange(n), {}, np.zeros(n, bool), np.zeros(n, bool))
    blockers, expected = [], defaultdict[tuple[int, int], set[int]](set)
    for number, (keys, _) in enumerate(rules):
        rule = Rule(str(number), ("a",), 100)
        blockers.append(Blocker(nothing, rule, blocks=Blocks.grouped(keys[:, :n].copy(), rule)))
        for a in range(n):
            for b in range(a + 1, n):
                if set(keys[:, a].tolist()) & set(keys[:, b].tolist()) - {-1}:
                    expected[a, b].add(number)
    assert at_once(blockers, n, 10_000)
    edges, reports = compared_at_once(_All(), blockers, n, 0.0)
    assert list(zip(edges.left.tolist(), edges.right.tolist(), strict=True)) == sorted(expected)
    first = [min(rules) for rules in expected.values()]
    assert [one.credited for one in reports] == [first.count(n) for n in range(len(rules))]


def test_many_pairs_are_not_compared_at_once() -> None:
    nothing = Features(np.arange(9), {}, np.zeros(9, bool), np.zeros(9, bool))
    rule = Rule("all", ("a",), 100)
    blocker = Blocker(nothing, rule, blocks=Blocks.grouped(np.zeros((1, 9), np.int64), rule))
    assert at_once([blocker], 9, 36)
    assert not at_once([blocker], 9, 35)
    assert not at_once([blocker], 2**31, 36)
