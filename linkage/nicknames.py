"""Given names that stand for one another (Bob, Robert): a symmetric table, not transitive."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

VERSION = 1


@cache
def _pairs() -> tuple[dict[str, int], npt.NDArray[np.int64]]:
    """A number for each name of the table, and its pairs as sorted `a * size + b`, both ways."""
    text = (resources.files("linkage") / "data" / "nicknames.csv").read_text(encoding="utf-8")
    lines = [line.split(",") for line in text.splitlines() if not line.startswith("#")]
    numbers = {name: n for n, name in enumerate(sorted({name for line in lines for name in line}))}
    size = len(numbers)
    keys = [numbers[a] * size + numbers[b] for a, b in lines]
    keys += [numbers[b] * size + numbers[a] for a, b in lines]
    return numbers, np.unique(np.array(keys, np.int64))


def numbers_of(names: Sequence[str]) -> npt.NDArray[np.int64]:
    """For each name its number in the table, -1 where the table does not hold it."""
    numbers, _ = _pairs()
    return np.array([numbers.get(name, -1) for name in names], np.int64)


def equivalent(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether two table numbers stand for one another, element by element."""
    numbers, keys = _pairs()
    wanted = left * len(numbers) + right
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.asarray((left >= 0) & (right >= 0) & (keys[place] == wanted))
