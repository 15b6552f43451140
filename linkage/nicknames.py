"""Given names that stand for one another (Bob, Robert; Yusuf, Youssef): symmetric, not transitive.

Two tables, each with its source in its head: `data/nicknames.csv` holds pairs, `data/spellings.csv`
families, each name of which stands for each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

VERSION = 2

TABLES = ("nicknames.csv", "spellings.csv")


def families() -> Iterator[tuple[str, ...]]:
    """The lines of both tables: names in capitals, two or more."""
    for table in TABLES:
        text = (resources.files("linkage") / "data" / table).read_text(encoding="utf-8")
        yield from (
            tuple(line.split(",")) for line in text.splitlines() if not line.startswith("#")
        )


@cache
def _pairs() -> tuple[dict[str, int], npt.NDArray[np.int64]]:
    """A number for each name of the tables, in order, and their pairs as sorted `a * size + b`,
    both ways."""
    lines = list(families())
    numbers = {name: n for n, name in enumerate(sorted({name for line in lines for name in line}))}
    pairs = [(numbers[a], numbers[b]) for line in lines for a, b in combinations(line, 2)]
    one, other = np.array(pairs, np.int64).T
    size = len(numbers)
    return numbers, np.unique(np.concatenate([one * size + other, other * size + one]))


def numbers_of(names: pa.Array) -> npt.NDArray[np.int64]:
    """For each name (text) its number in the tables, -1 where they do not hold it."""
    numbers, _ = _pairs()
    found = pc.index_in(names, value_set=pa.array(list(numbers), pa.string()))
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), np.int64)


def equivalent(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether two table numbers stand for one another, element by element."""
    numbers, keys = _pairs()
    wanted = left * len(numbers) + right
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.asarray((left >= 0) & (right >= 0) & (keys[place] == wanted))
