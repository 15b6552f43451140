"""What a name sounds like, columnar: short keys that spellings of one name share, for blocking.

Rules:
- A letter's sound follows from the letter before and the letter after it. `_sound` says how; its
  answers for all 27 x 27 x 27 contexts are tabled once, so that a whole array is one look-up.
- Sounds are broad: B and P are one, so are D and T, F, V and W, the hissing sounds, and the hard C,
  G, K and Q. Vowels count only in front, where all are A. One sound twice running counts once.
- Spellings from Arabic, Slavic, South Asian and Chinese romanisations are meant to meet
  (Sergei, Sergey; Yusuf, Youssef; Xu, Hsu), not only English ones (Wright, Right).
- Letters are A to Z after `standardise.plain_upper`; everything else in a value is skipped. A value
  without letters has no key: null.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage.standardise import bytes_of, plain_upper

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

SOUNDS = 4
"""Length of a key at most, as in Soundex."""
_SILENT, _VOWEL = 0, 1
_VOWELS = "AEIOU"
_EDGE = " "
_LETTERS = _EDGE + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CODE_OF = np.zeros(256, np.uint8)
_CODE_OF[65:91] = np.arange(1, 27)
_STEADY = dict(zip("BDFLMNPQRSTVZ", "PTFLMNPKRSTFS", strict=True))
"""Letters with one sound wherever `_silent` and `_shifted` say nothing else."""


def key(array: pa.Array) -> pa.Array:
    """The sound of each name: up to four capital letters, null where there is no letter.

    Args:
        array: (n,) distinct strings; words run together, so that `Van Dijk` is `VanDijk`.
    """
    text = plain_upper(array)
    # X is two sounds; CHR is Greek, and the letter after next decides it.
    for written, heard in (("X", "KS"), ("CHR", "KR")):
        text = pc.replace_substring(text, pattern=written, replacement=heard)
    letters, starts = _letters(text)
    before, after = _neighbours(letters, starts)
    sounds = _table()[(before.astype(np.int32) * 27 + letters) * 27 + after]
    sounds, starts = _kept(sounds, starts, sounds != _SILENT)
    first = np.zeros(len(sounds), bool)
    first[starts[:-1][np.diff(starts) > 0]] = True
    sounds = np.where(first & (sounds == _VOWEL), np.uint8(ord("A")), sounds)
    before, _ = _neighbours(sounds, starts)
    sounds, starts = _kept(sounds, starts, (sounds != before) & (sounds != _VOWEL))
    return _texts(sounds, starts, SOUNDS)


def soundex(array: pa.Array) -> pa.Array:
    """American Soundex as the US National Archives give it: a letter and three digits.

    Source: National Archives, "Soundex System" (the rule for name prefixes is left out).
    H and W do not part two letters of one code, vowels do. Null where there is no letter.
    """
    letters, starts = _letters(plain_upper(array))
    codes = _soundex_codes()[letters]
    first = np.zeros(len(letters), bool)
    first[starts[:-1][np.diff(starts) > 0]] = True
    heard = first | (codes != _SILENT)
    letters, first, codes = letters[heard], first[heard], codes[heard]
    _, starts = _kept(heard, starts, heard)
    before, _ = _neighbours(codes, starts)
    keep = first | ((codes != before) & (codes != _VOWEL))
    codes = np.where(first, letters + np.uint8(64), codes)
    codes, starts = _kept(codes, starts, keep)
    return pc.utf8_rpad(_texts(codes, starts, 4), width=4, padding="0")


def prefix(array: pa.Array, length: int) -> pa.Array:
    """The first `length` letters of each name as it stands; null for the empty text."""
    text = pc.utf8_slice_codeunits(array, start=0, stop=length)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def initial(array: pa.Array) -> pa.Array:
    """The first letter of each name as it stands; null for the empty text."""
    return prefix(array, 1)


def _letters(array: pa.Array) -> tuple[Bytes, Places]:
    """All letters of an array, 1 to 26, one row after the other; row i is starts[i]:starts[i+1]."""
    data, offsets = bytes_of(array)
    codes = _CODE_OF[data]
    return _kept(codes, offsets, codes > 0)


def _kept(
    values: npt.NDArray[np.uint8] | npt.NDArray[np.bool_],
    starts: Places,
    keep: npt.NDArray[np.bool_],
) -> tuple[Bytes, Places]:
    """The values to keep and where each row now starts."""
    before = np.concatenate(([0], np.cumsum(keep, dtype=np.int64)))
    return np.asarray(values[keep], np.uint8), before[starts]


def _neighbours(values: Bytes, starts: Places) -> tuple[Bytes, Bytes]:
    """For each value the one before and the one after in its row, 0 at the row's edges."""
    before, after = np.zeros_like(values), np.zeros_like(values)
    before[1:], after[:-1] = values[:-1], values[1:]
    edges = starts[(starts > 0) & (starts < len(values))]
    before[edges] = 0
    after[edges - 1] = 0
    return before, after


def _texts(values: Bytes, starts: Places, most: int) -> pa.Array:
    """Rows of ASCII as strings of at most `most` letters; null for an empty row."""
    lengths = np.diff(starts)
    rank = np.arange(len(values)) - np.repeat(starts[:-1], lengths)
    values, starts = _kept(values, starts, rank < most)
    buffers = [None, pa.py_buffer(starts.astype(np.int32)), pa.py_buffer(values)]
    text = pa.Array.from_buffers(pa.string(), len(starts) - 1, buffers)
    return pc.if_else(pa.array(lengths > 0), text, pa.scalar(None, pa.string()))


@cache
def _soundex_codes() -> Bytes:
    """Soundex code of each letter as ASCII: a digit, or `_VOWEL`, or `_SILENT` for H and W."""
    codes = np.full(27, _VOWEL, np.uint8)
    groups = {"BFPV": "1", "CGJKQSXZ": "2", "DT": "3", "L": "4", "MN": "5", "R": "6"}
    for letters, digit in groups.items():
        codes[[_LETTERS.index(letter) for letter in letters]] = ord(digit)
    codes[[_LETTERS.index(letter) for letter in "HW"]] = _SILENT
    return codes


@cache
def _table() -> Bytes:
    """`_sound` of every letter in every context, at (before * 27 + letter) * 27 + after."""
    sounds = [_sound(b, c, a) for b in _LETTERS for c in _LETTERS for a in _LETTERS]
    return np.array(sounds, np.uint8)


def _sound(before: str, letter: str, after: str) -> int:
    """The sound of a letter: ASCII of its class, or `_VOWEL`, or `_SILENT`."""
    if letter == _EDGE or _silent(before, letter, after):
        return _SILENT
    heard = _shifted(before, letter, after) or _STEADY.get(letter, "K")
    return _VOWEL if heard == "A" else ord(heard)


def _silent(before: str, letter: str, after: str) -> bool:
    """Whether the letter is not heard between these two."""
    in_front = before == _EDGE
    return (
        (letter == "H" and (not in_front or after == "S"))  # Hsu
        or (in_front and letter + after in {"KN", "KS", "GN", "WR", "PS", "PF", "TS", "DJ"})
        or letter + after in {"CK", "CQ", "CZ", "TC", "TZ", "DG", "DJ"}
        or (letter == "G" and after == "H" and before in _VOWELS)  # Vaughan; but Singh, Ghulam
        or (letter == "P" and before == "M" and after in "ST")  # Thompson
        or (letter == "B" and before == "M" and after == _EDGE)  # Lamb
        or (letter == "C" and before == "S" and after == "H")  # Schmidt
        or (letter == "Z" and before == "R" and after in _VOWELS)  # Andrzej
    )


def _shifted(before: str, letter: str, after: str) -> str:
    """The sound of a letter whose sound depends on its neighbours, else nothing."""
    in_front = before == _EDGE
    after_vowel = before in _VOWELS
    rules = {
        "C": "S" if after in "HEIY" else "K",
        "P": "F" if after == "H" else "P",
        "G": "J" if in_front and after in "EIY" else "K",
        "H": "H",
        "J": "A" if after_vowel and after == _EDGE else "J",  # Sergej
        "Q": "S" if in_front and after == "I" else "K",  # Qing, Ching
        "W": "A" if after_vowel and after not in _VOWELS else "F",  # Shawn, Ewa
        "Y": "J" if in_front and after in _VOWELS else "A",  # Youssef, Yvonne
    }
    return "A" if letter in _VOWELS else rules.get(letter, "")
