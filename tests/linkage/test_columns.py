"""Codes of values: in order of first appearance, whatever dictionary an array came with."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkage import columns
from linkage.columns import Column, Values, as_indices, by_code, encode

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


@given(st.lists(st.integers(-1, 4), max_size=30))
def test_codes_as_arrow_has_them_are_read_back(codes: list[int]) -> None:
    sent = as_indices(np.array(codes, np.int32))
    assert sent.to_pylist() == [None if code < 0 else code for code in codes]
    sent.validate(full=True)
    found = pa.DictionaryArray.from_arrays(sent, pa.array(list("abcde")))
    assert found.to_pylist() == [None if code < 0 else "abcde"[code] for code in codes]
    same_as_plain(found)


@given(st.lists(st.integers(0, 6), max_size=40), st.integers(0, 2), st.integers(1, 9))
def test_whether_codes_count_in_order_of_first_appearance(
    codes: list[int], unused: int, piece: int
) -> None:
    size = max(codes, default=-1) + 1 + unused
    met = list(dict.fromkeys(codes))
    expected = met == list(range(size))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "_PIECE", piece)
        assert columns._canonical(np.array(codes, np.int32), size) == expected


def test_many_values_are_read_in_pieces_as_if_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_PIECE", 7)
    seen: list[int] = []

    def read(texts: pa.Array) -> pa.Array:
        seen.append(len(texts))
        return pc.utf8_upper(texts)

    values = pa.array([f"a{n}" if n % 5 else None for n in range(31)])
    assert columns.in_pieces(read, values).to_pylist() == pc.utf8_upper(values).to_pylist()
    assert sorted(seen) == [3, 7, 7, 7, 7]


def test_counts_are_of_current_values_alone() -> None:
    codes = np.array([[0, 2, 2, -1, 0], [1, -1, -1, -1, 1]], np.int32)
    held = Column(codes, Values(pa.array(["a", "b", "c", "d"])))
    assert held.counts.tolist() == [2, 0, 2, 0]
    assert Column(np.full((1, 3), -1, np.int32), Values(pa.array([], pa.string()))).empty
