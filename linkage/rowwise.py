"""Columns of codes kept record by record, so that what is read of a record lies together.

Pairs name records all over a table: fetching a record's place in memory costs more than all that is
done with it, and here it is fetched once for all columns.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int32]

_LINE = 64
"""Bytes that memory hands over at once; a row that lies in one line is fetched by one access."""
_WIDEST = 8
"""Columns in one row: NumPy copies rows of 4, 8, 16 and 32 bytes faster than others."""
_STEP = 32_768
"""Records copied at a time: what one step leaves stays near for the next, and steps are few."""


class Rowwise:
    """Codes of several columns by record; what is left over of a row is never read."""

    def __init__(self, columns: Sequence[Codes]) -> None:
        """columns: (n,) each."""
        self._columns = len(columns)
        self._parts = [
            _by_row(columns[start : start + _WIDEST]) for start in range(0, len(columns), _WIDEST)
        ]

    def take(self, places: npt.NDArray[np.intp]) -> Codes:
        """(columns, places) codes of the records at some places."""
        out = np.empty((self._columns, len(places)), np.int32)
        for number, rows in enumerate(self._parts):
            part = out[number * _WIDEST : (number + 1) * _WIDEST]
            for start in range(0, len(places), _STEP):
                some = rows.take(places[start : start + _STEP], axis=0)
                part[:, start : start + len(some)] = some.T[: len(part)]
        return out


def _by_row(columns: Sequence[Codes]) -> Codes:
    """(n, width) the columns side by side, the width a power of two, each row in one line."""
    n, width = len(columns[0]), 1 << (len(columns) - 1).bit_length()
    raw = np.empty(n * width + _LINE // 4, np.int32)
    first = -raw.ctypes.data % _LINE // 4
    rows = raw[first : first + n * width].reshape(n, width)

    def copy(start: int) -> None:
        some = slice(start, start + _STEP)
        for number, column in enumerate(columns):
            rows[some, number] = column[some]

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(copy, range(0, n, _STEP)))
    return rows
