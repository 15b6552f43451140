"""Codes kept record by record give what the columns give, however many columns there are."""

from __future__ import annotations

import numpy as np
import pytest

from linkage import rowwise
from linkage.rowwise import Rowwise


@pytest.mark.parametrize("columns", [1, 2, 3, 7, 8, 9, 16, 21])
@pytest.mark.parametrize("places", [0, 1, 500])
def test_what_is_taken_is_what_the_columns_hold(
    columns: int, places: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rowwise, "_STEP", 64)
    rng = np.random.default_rng(columns)
    held = rng.integers(-1, 9, (columns, 300)).astype(np.int32)
    at = rng.integers(0, 300, places)
    found = Rowwise(list(held)).take(at)
    assert found.dtype == np.int32
    assert found.tolist() == [[int(held[c, p]) for p in at] for c in range(columns)]


def test_no_columns_give_no_codes() -> None:
    assert Rowwise([]).take(np.array([0, 5])).shape == (0, 2)


def test_no_records_give_no_codes() -> None:
    none = np.zeros(0, np.int32)
    assert Rowwise([none, none]).take(np.zeros(0, np.intp)).shape == (2, 0)
