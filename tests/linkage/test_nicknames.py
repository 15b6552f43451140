"""Names that stand for one another: pairs by hand, and the tables against a naive reading."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.nicknames import equivalent, families, numbers_of
from linkage.standardise import name_words

NAMES = sorted({name for family in families() for name in family})
SAME = {pair for family in families() for pair in permutations(family, 2)}


def numbered(names: list[str]) -> npt.NDArray[np.int64]:
    return numbers_of(pa.array(names, pa.string()))


def stand_for_one_another(one: str, other: str) -> bool:
    """Whether the tables say so."""
    return bool(equivalent(numbered([one]), numbered([other]))[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ROBERT", "BOB"),
        ("MOHAMMED", "MUHAMMAD"),
        ("MOHAMED", "MOHAMMAD"),
        ("MUHAMMED", "MD"),
        ("YUSUF", "YOUSSEF"),
        ("SERGEI", "SERGEY"),
        ("SERHII", "SERGEY"),
        ("KATARZYNA", "CATHERINE"),
        ("KATERYNA", "EKATERINA"),
        ("KRZYSZTOF", "CHRISTOPHER"),
        ("AISHA", "AYESHA"),
        ("DEEPAK", "DIPAK"),
        ("XIAO", "HSIAO"),
        ("ALASTAIR", "ALISTAIR"),
    ],
)
def test_they_stand_for_one_another(one: str, other: str) -> None:
    assert stand_for_one_another(one, other)
    assert stand_for_one_another(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [("LOUISA", "LAURA"), ("IDA", "ADA"), ("HASSAN", "HUSSAIN"), ("ALI", "OMAR"), ("X", "X")],
)
def test_they_do_not(one: str, other: str) -> None:
    assert not stand_for_one_another(one, other)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=20))
def test_any_pair_as_the_lines_say(pairs: list[tuple[str, str]]) -> None:
    left, right = (numbered([pair[side] for pair in pairs]) for side in (0, 1))
    assert equivalent(left, right).tolist() == [pair in SAME for pair in pairs]


def test_every_pair_of_the_tables() -> None:
    left, right = (numbered([pair[side] for pair in sorted(SAME)]) for side in (0, 1))
    assert equivalent(left, right).all()


def test_every_name_is_as_standardising_gives_it() -> None:
    assert name_words(pa.array(NAMES)).to_pylist() == NAMES


def test_every_line_holds_different_names() -> None:
    assert all(len(set(family)) == len(family) >= 2 for family in families())


def test_unknown_names_have_no_number() -> None:
    assert numbered(["", "QQQQ"]).tolist() == [-1, -1]
    assert not equivalent(np.array([-1, -1]), np.array([-1, 0])).any()
