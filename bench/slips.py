"""Slips of ear and keyboard over whole columns of text, for `bench.people`.

Rules:
- Columns are NumPy arrays of fixed-width text; every function returns a new one of the same length,
  wide enough for what it adds.
- A value too short for a slip stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from demo.names import nicknames

Texts = npt.NDArray[np.str_]
Ints = npt.NDArray[np.int64]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_NEAR = "svxfrghjoklknmiowtzyibezux"
"""Beside each letter of the alphabet, the letter it is mistyped as."""
_SOUNDS = (("ph", "f"), ("ie", "ei"), ("ck", "k"), ("ll", "l"), ("nn", "n"), ("tt", "t"),
           ("ss", "s"), ("ee", "ea"), ("ey", "y"), ("mac", "mc"), ("th", "t"), ("sh", "sch"),
           ("y", "i"), ("ou", "oo"), ("son", "sen"), ("er", "ar"), ("an", "en"),
           ("e", ""))  # fmt: skip


def pick(rng: np.random.Generator, shares: Sequence[float], count: int) -> Ints:
    """`count` indices into `shares`, drawn by share."""
    ends = np.cumsum(shares)
    return np.searchsorted(ends[:-1] / ends[-1], rng.random(count), side="right")


def _matrix(values: Texts, extra: int) -> npt.NDArray[np.uint32]:
    """(n, width) code points, 0 after the end, with at least `extra` columns of 0."""
    width = max(values.dtype.itemsize // 4, 1) + extra
    return values.astype(f"U{width}").view(np.uint32).reshape(len(values), width)


def _neighbours() -> npt.NDArray[np.uint32]:
    """What each code point below 256 is mistyped as."""
    table = np.arange(256, dtype=np.uint32)
    for letter, near in zip(_LETTERS, _NEAR, strict=True):
        table[ord(letter)], table[ord(letter.upper())] = ord(near), ord(near.upper())
    for digit in range(10):
        table[48 + digit] = 48 + (digit * 3 + 4) % 10 if digit != 3 else 56
    return table


_NEIGHBOURS = _neighbours()


def typo(rng: np.random.Generator, values: Texts) -> Texts:
    """One letter lost, doubled, swapped with the one before, or hit beside; never the first."""
    chars = _matrix(values, 2)
    n, width = chars.shape
    length = (chars != 0).sum(axis=1)
    at = (1 + (rng.random(n) * (length - 1)).astype(np.int64))[:, None]
    kind = rng.integers(0, 4, n)[:, None]
    column = np.arange(width)[None, :]
    shift = np.where(kind == 0, column >= at, 0) - np.where(kind == 1, column > at, 0)
    swap = np.where(column == at, -1, np.where(column == at - 1, 1, 0))
    swap = np.where(at > 1, swap, 0)
    source = np.clip(column + np.where(kind == 2, swap, shift), 0, width - 1)
    out = np.take_along_axis(chars, source, axis=1)
    beside = (kind == 3) & (column == at) & (chars < 256)
    out = np.where(beside, _NEIGHBOURS[np.minimum(chars, 255)], out)
    out = np.where((length > 2)[:, None], out, chars)
    return np.ascontiguousarray(out).view(f"U{width}").ravel()


def sound_slip(rng: np.random.Generator, values: Texts) -> Texts:
    """A sound written otherwise: the first of the sounds, from a random one on, that it has."""
    out = values.astype(f"U{max(values.dtype.itemsize // 4, 1) + 1}")
    waiting = np.strings.str_len(values) > 3
    begin = rng.integers(0, len(_SOUNDS), len(values))
    for turn in range(2 * len(_SOUNDS)):
        sound, other = _SOUNDS[turn % len(_SOUNDS)]
        rows = waiting & (begin <= turn) & (np.strings.find(out, sound) > 0)
        if rows.any():
            out[rows] = np.strings.replace(out[rows], sound, other, 1)
            waiting &= ~rows
    return out


@lru_cache(maxsize=1)
def _short_table() -> tuple[Texts, Texts, Ints, Ints]:
    """Names in order; all their short forms one after another; where each begins; how many."""
    forms = sorted(nicknames().items())
    counts = np.array([len(short) for _, short in forms])
    flat = np.array([short for _, shorts in forms for short in shorts])
    return np.array([name for name, _ in forms]), flat, np.cumsum(counts) - counts, counts


def short_forms(rng: np.random.Generator, values: Texts) -> Texts:
    """A nickname of each forename that has one."""
    names, flat, begin, count = _short_table()
    at = np.minimum(np.searchsorted(names, values), len(names) - 1)
    chosen = flat[begin[at] + (rng.random(len(values)) * count[at]).astype(np.int64)]
    return np.where(names[at] == values, chosen, values)


def change_date(rng: np.random.Generator, values: Texts) -> Texts:
    """An ISO date with day and month swapped (where both are months), a digit of the day or month
    off, the year off by one or ten, or only the year known (1 January)."""
    days = values.astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    year = days.astype("datetime64[Y]").astype(np.int64) + 1970
    month = months.astype(np.int64) % 12 + 1
    day = (days - months.astype("datetime64[D]")).astype(np.int64) + 1
    kind = pick(rng, (0.3, 0.25, 0.15, 0.2, 0.1), len(values))
    step = rng.choice(np.array([-1, 1]), len(values))
    swap = (kind == 0) & (day <= 12)
    slip_day, slip_month = (kind == 1) | ((kind == 0) & ~swap), kind == 2
    new_month = np.where(swap, day, np.where(slip_month, (month - 1 + step) % 12 + 1, month))
    new_day = np.where(swap, month, np.where(slip_day, (day - 1 + step * 2) % 28 + 1, day))
    year += np.where(kind == 3, step * rng.choice(np.array([1, 10]), len(values)), 0)
    first = kind == 4
    new_month, new_day = np.where(first, 1, new_month), np.where(first, 1, new_day)
    new_day = np.minimum(new_day, 28 + 2 * (new_month != 2))
    whole = (year - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (new_month - 1)
    return np.datetime_as_string(whole.astype("datetime64[D]") + (new_day - 1))
