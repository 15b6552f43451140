"""Blocking: just the pairs that agree on a live rule, each once, in pieces of any size."""

from __future__ import annotations

import math
import re
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, product

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage import blocking
from linkage.blocking import (
    Blocker,
    Blocks,
    Proposals,
    blocked_columns,
    key_columns,
    pieces,
)
from linkage.columns import Column, Features, Values, Versions
from linkage.features import build_features
from linkage.model import Rule
from schemas.errors import InvalidValue
from tests.linkage.people import EXTRA, people_table

QUICK = settings(max_examples=60, deadline=None)
Slots = list[list[int]]
"""Per record the values of a column, current first."""


def column(records: Slots, slots: int, values: int = 5) -> Column:
    """A column with the records' values as codes."""
    codes = np.full((slots, len(records)), -1, np.int32)
    for row, record in enumerate(records):
        codes[: len(record), row] = record
    return Column(codes, Values(pa.array([f"{chr(65 + v)}{v % 2}" for v in range(values)])))


def features(one: Slots, several: Slots) -> Features:
    """Features with a column of one value and one of several; `twin` shares the first's values."""
    first = column(one, 1)
    return Features(
        row=np.arange(len(one)),
        columns={
            "one": first,
            "twin": Column(first.codes[:, ::-1].copy(), first.values),
            "several": column(several, 3),
        },
        apart=np.zeros(len(one), bool),
        verified=np.zeros(len(one), bool),
    )


@st.composite
def drawn(draw: st.DrawFn) -> Features:
    """Features of up to 12 records."""
    n = draw(st.integers(0, 12))
    value = st.integers(0, 4)
    one = draw(st.lists(st.lists(value, max_size=1), min_size=n, max_size=n))
    several = draw(st.lists(st.lists(value, max_size=3, unique=True), min_size=n, max_size=n))
    return features(one, several)


KEYS = ("one", "several", "several[1]", "several[2]", "several[3]", "one~twin", "one.initial")
rules = st.lists(
    st.builds(
        lambda name, keys, cap: Rule(name, tuple(keys), cap),
        st.sampled_from(("x", "y")),
        st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True).filter(
            lambda keys: sum("[" in key for key in keys) < 2
        ),
        st.integers(1, 8),
    ),
    min_size=1,
    max_size=3,
)


def values_of(found: Features, row: int, key: str) -> list[object]:
    """The values of a key, straight from the codes."""
    if key == "one~twin":
        both = sorted(int(found.column(c).codes[0][row]) for c in ("one", "twin"))
        return [tuple(both)] if both[0] >= 0 else []
    name = re.split(r"[.\[]", key)[0]
    count = int(key[-2]) if "[" in key else 1
    codes = [int(c) for c in found.column(name).codes[:count, row] if c >= 0]
    return codes


def naive_pairs(found: Features, rule: Rule) -> set[tuple[int, int]]:
    """All pairs that share a block no larger than the cap, by a dictionary of lists."""
    blocks: dict[tuple[object, ...], list[int]] = {}
    for row in range(len(found)):
        for key in product(*(values_of(found, row, key) for key in rule.keys)):
            blocks.setdefault(key, []).append(row)
    live = [members for members in blocks.values() if len(members) <= rule.cap]
    return {pair for members in live for pair in combinations(sorted(members), 2)}


def expanded_ahead(blockers: list[Blocker], chunk: int) -> list[tuple[int, int]]:
    """All pairs, of pieces that another thread has begun."""
    proposals = Proposals(blockers)
    with ThreadPoolExecutor(1) as pool:
        proposals.begin(chunk, pool)
        return [pair for p in pieces(blockers, chunk) for pair in listed(*proposals.pairs(p))]


def listed(left: np.ndarray, right: np.ndarray) -> list[tuple[int, int]]:
    """Pairs as tuples."""
    return list(zip(left.tolist(), right.tolist(), strict=True))


@QUICK
@given(drawn(), rules, st.integers(1, 9))
def test_each_pair_that_agrees_on_a_live_rule_comes_once_from_its_first_rule(
    found: Features, chosen: list[Rule], chunk: int
) -> None:
    blockers = [Blocker(found, rule) for rule in chosen]
    by_rule: list[list[tuple[int, int]]] = [[] for _ in chosen]
    for piece in pieces(blockers, chunk):
        by_rule[piece.rule] += listed(*Proposals(blockers).pairs(piece))
    assert expanded_ahead(blockers, chunk) == [pair for pairs in by_rule for pair in pairs]
    earlier: set[tuple[int, int]] = set()
    for rule, pairs in zip(chosen, by_rule, strict=True):
        assert len(pairs) == len(set(pairs))
        assert set(pairs) == naive_pairs(found, rule) - earlier
        earlier |= set(pairs)


@QUICK
@given(drawn(), rules)
def test_keys_too_large_to_be_joined_as_they_are_propose_the_same(
    found: Features, chosen: list[Rule]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocking, "_LARGEST", 1)
        for rule in chosen:
            blocker = Blocker(found, rule)
            pairs = listed(*blocker.expand(0, len(blocker.members)))
            assert len(pairs) == len(set(pairs))
            assert set(pairs) == naive_pairs(found, rule)


@QUICK
@given(drawn(), rules)
def test_a_rule_counts_what_it_proposes_and_what_it_cut(
    found: Features, chosen: list[Rule]
) -> None:
    for rule in chosen:
        blocker = Blocker(found, rule)
        assert blocker.proposed >= len(naive_pairs(found, rule))
        sizes: dict[tuple[object, ...], int] = {}
        for row in range(len(found)):
            for key in product(*(values_of(found, row, key) for key in rule.keys)):
                sizes[key] = sizes.get(key, 0) + 1
        cut = [size for size in sizes.values() if size > rule.cap and size > 1]
        assert blocker.cut_pairs == sum(math.comb(size, 2) for size in cut)


@QUICK
@given(drawn(), rules, st.integers(1, 30))
def test_a_sample_holds_only_pairs_of_the_rule(
    found: Features, chosen: list[Rule], size: int
) -> None:
    for rule in chosen:
        blocker = Blocker(found, rule)
        pairs = listed(*blocker.sample(size))
        assert set(pairs) <= naive_pairs(found, rule)
        assert len(pairs) == len(set(pairs)) <= size
        if size >= blocker.proposed:
            assert set(pairs) == naive_pairs(found, rule)


flags = st.lists(st.booleans(), min_size=12, max_size=12)


@QUICK
@given(drawn(), rules, st.integers(1, 9), flags)
def test_with_dirty_rows_the_pairs_are_those_of_a_dirty_row(
    found: Features, chosen: list[Rule], chunk: int, dirty: list[bool]
) -> None:
    of_row = np.array(dirty[: len(found)], bool)
    blockers = [Blocker(found, rule, dirty=of_row) for rule in chosen]
    pairs = [
        pair for p in pieces(blockers, chunk) for pair in listed(*Proposals(blockers).pairs(p))
    ]
    wanted = {p for rule in chosen for p in naive_pairs(found, rule) if of_row[list(p)].any()}
    assert sorted(pairs) == sorted(wanted)
    assert all(a < b for a, b in pairs)
    for blocker in blockers:
        sampled = listed(*blocker.sample(max(blocker.proposed, 1)))
        assert set(sampled) == {
            p for p in naive_pairs(found, blocker.rule) if of_row[list(p)].any()
        }


@QUICK
@given(drawn(), rules, flags, flags)
def test_blocks_count_records_as_they_are_and_tell_who_crossed_the_cap(
    found: Features, chosen: list[Rule], former: list[bool], both: list[bool]
) -> None:
    """Rows stand for records as they are, as they were, or for both."""
    before = np.array(former[: len(found)], bool)
    now = ~before | np.array(both[: len(found)], bool)
    live = np.flatnonzero(now)
    for rule in chosen:
        blocks = Blocks.of(found, rule, Versions(now, before))
        alone = Blocker(found.only(live), rule)
        blocker = Blocker(found, rule, blocks=blocks)
        assert (blocks.cut_blocks, blocks.cut_pairs) == (alone.cut_blocks, alone.cut_pairs)
        got, wanted = (
            {
                pair
                for piece in b.pieces(0, 50)
                for pair in listed(*b.expand(piece.begin, piece.end))
            }
            for b in (blocker, alone)
        )
        assert got == {(int(live[a]), int(live[b])) for a, b in wanted}
        bearers: dict[tuple[object, ...], list[int]] = {}
        for row in range(len(found)):
            for key in product(*(values_of(found, row, key) for key in rule.keys)):
                bearers.setdefault(key, []).append(row)
        crossed = {
            row
            for rows in bearers.values()
            for row in rows
            if now[row] and (now[rows].sum() > rule.cap) != (before[rows].sum() > rule.cap)
        }
        assert set(blocks.crossed.tolist()) == crossed


def test_a_sample_is_spread_evenly_over_the_rule() -> None:
    """Forty blocks of ten: a tenth of the pairs holds about a tenth of each quarter's."""
    found = features([[row // 10 % 5] for row in range(400)], [[]] * 400)
    names = Column(
        np.arange(400, dtype=np.int32)[None, :] // 10,
        Values(pa.array([f"v{v}" for v in range(40)])),
    )
    found = Features(found.row, {"one": names}, found.apart, found.verified)
    blocker = Blocker(found, Rule("x", ("one",), 10))
    assert blocker.proposed == 40 * 45
    left, _ = blocker.sample(180)
    assert np.bincount(left // 100, minlength=4).tolist() == [45, 45, 45, 45]


def test_a_pair_that_agrees_crosswise_comes_once() -> None:
    found = features([[], []], [[0, 1], [1, 0]])
    blocker = Blocker(found, Rule("x", ("several[2]",), 9))
    pairs = [pair for piece in blocker.pieces(0, 9) for pair in listed(*blocker.expand(piece.begin, piece.end))]  # fmt: skip # noqa: E501
    assert pairs == [(0, 1)]


def test_a_block_at_its_cap_lives_and_one_over_it_is_cut_as_a_whole() -> None:
    table = people_table([{"family": "Smith", "birth_date": "1980-05-04"}] * 5)
    found = build_features(table)
    keys = ("birth_date", "family[2]")
    at, over = (Blocker(found, Rule("x", keys, cap)) for cap in (5, 4))
    assert (at.proposed, at.cut_blocks, at.cut_pairs) == (10, 0, 0)
    assert (over.proposed, over.cut_blocks, over.cut_pairs) == (0, 1, 10)


def test_keys_of_many_columns_do_not_run_over() -> None:
    """Values of many large columns are combined without two combinations becoming one."""
    n = 3000
    rng = np.random.default_rng(5)
    names = [f"c{i}" for i in range(8)]
    values = Values(pa.array([f"v{v}" for v in range(n)]))
    columns = {name: Column(rng.permutation(n).astype(np.int32)[None, :], values) for name in names}
    for column_ in columns.values():
        column_.codes[0, 1] = column_.codes[0, 0]
    none = np.zeros(n, bool)
    found = Features(np.arange(n), columns, none, none)
    blocker = Blocker(found, Rule("all", tuple(names), 9))
    assert listed(*blocker.sample(10)) == [(0, 1)]


PARTS = [
    ("given.initial", {"given": "Ann"}, {"given": "Ada"}, True),
    ("given.nickname", {"given": "Robert"}, {"given": "Robert"}, True),
    ("given.nickname", {"given": "Xqzt"}, {"given": "Xqzt"}, False),
    ("birth_date.year", {"birth_date": "1980-05-04"}, {"birth_date": "1980"}, True),
    ("birth_date.decade", {"birth_date": "1980"}, {"birth_date": "1989"}, True),
    ("birth_date.decade", {"birth_date": "1989"}, {"birth_date": "1990"}, False),
    ("postcode.sector", {"postcode": "BS1 5TR"}, {"postcode": "BS1 5AB"}, True),
    ("postcode.sector", {"postcode": "BS1 5TR"}, {"postcode": "BS1 6TR"}, False),
    ("postcode.district", {"postcode": "BS1 5TR"}, {"postcode": "BS1 6TR"}, True),
    ("postcode.area", {"postcode": "BS1 5TR"}, {"postcode": "BS9 6TR"}, True),
    ("address.figures", {"address": "12 Elm Road"}, {"address": "12 Oak Lane"}, True),
    ("tags[8]", {"tags": ["red", "blue"]}, {"tags": ["green", "red"]}, True),
    ("tags", {"tags": ["red", "blue"]}, {"tags": ["green", "red"]}, False),
    ("tags[8]", {"tags": []}, {"tags": []}, False),
    ("given~family", {"given": "Ann", "family": "Lee"}, {"given": "Lee", "family": "Ann"}, True),
    ("given~family", {"given": "Ann"}, {"given": "Ann"}, False),
    ("absent", {"given": "Ann"}, {"given": "Ann"}, False),
    ("absent.initial", {"given": "Ann"}, {"given": "Ann"}, False),
]


@pytest.mark.parametrize(("key", "one", "two", "wanted"), PARTS)
def test_what_a_key_says_of_two_records(
    key: str, one: dict[str, object], two: dict[str, object], wanted: bool
) -> None:
    found = build_features(people_table([one, two], EXTRA), extra=EXTRA)
    assert Blocker(found, Rule("x", (key,), 9)).proposed == wanted


BAD_KEYS = ("", "one two", "one.", "one[", "one[0]", "one[x]", "one~", "~one", "one.a.b", "one[12]")


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_key_badly_written_is_refused(key: str) -> None:
    with pytest.raises(InvalidValue, match="is not one of"):
        Blocker(features([[0], [0]], [[0], [0]]), Rule("x", (key,), 9))


def test_a_part_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidValue, match="no part 'colour'"):
        Blocker(features([[0], [0]], [[], []]), Rule("x", ("one.colour",), 9))


def test_a_rule_without_keys_is_refused() -> None:
    with pytest.raises(InvalidValue, match="has no key"):
        Blocker(features([[0], [0]], [[], []]), Rule("x", (), 9))


@pytest.mark.parametrize("several", [[[0, 1], [1, 0]], [[0], [0]], [[], []]])
def test_two_keys_of_several_values_are_refused_whatever_the_records(several: Slots) -> None:
    with pytest.raises(InvalidValue, match="several values"):
        Blocker(features([[], []], several), Rule("x", ("several[2]", "one[2]"), 9))


def test_columns_that_a_rule_fixes() -> None:
    rule = Rule("x", ("given~family", "birth_date.year", "postcode[2]"), 9)
    assert blocked_columns(rule) == {"given", "family", "birth_date", "postcode", "address"}
    assert key_columns("given~family") == ("given", "family")
