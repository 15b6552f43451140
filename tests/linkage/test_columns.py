"""Codes of values: in order of first appearance, whatever dictionary an array came with."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkage.columns import by_code, encode

WORDS = ["a", "b", "c", None]


def dictionary(indices: list[int | None], words: list[str | None]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(words))


def same_as_plain(array: pa.DictionaryArray) -> None:
    codes, values = encode(array)
    plain_codes, plain_values = encode(array.cast(pa.string()))
    assert codes.tolist() == plain_codes.tolist()
    assert values.to_pylist() == plain_values.drop_null().to_pylist()


@pytest.mark.parametrize(
    ("indices", "words"),
    [
        ([0, 1, 2], ["a", "b", "c"]),
        ([1, 0], ["a", "b"]),
        ([0, 0], ["a", "b"]),
        ([0, 2, 1], ["a", "b", "c"]),
        ([1], ["a", "b"]),
        ([None, 1, None, 0], ["a", "b"]),
        ([None, None], ["a"]),
        ([], ["a"]),
        ([], []),
        ([0, 1], [None, "b"]),
        ([1, 0, 1], ["a", None]),
    ],
)
def test_a_dictionary_is_read_as_its_values_are(
    indices: list[int | None], words: list[str | None]
) -> None:
    same_as_plain(dictionary(indices, words))


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 3)), max_size=12),
    st.permutations(WORDS),
    st.integers(0, 5),
    st.integers(0, 12),
)
def test_any_dictionary_and_any_slice_of_it_is_read_as_its_values_are(
    indices: list[int | None], words: list[str | None], begin: int, length: int
) -> None:
    same_as_plain(dictionary(indices, words).slice(min(begin, len(indices)), length))


def test_a_missing_code_has_nothing() -> None:
    codes = np.array([2, -1, 0], np.int32)
    assert by_code(np.array([5, 6, 7], np.int64), codes).tolist() == [7, -1, 5]
    assert by_code(np.array([], np.int64), np.array([-1], np.int32)).tolist() == [-1]
