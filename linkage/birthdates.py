"""Dates of birth and death as sent, columnar: many writings become yyyymmdd numbers.

Rules, in order:
- A value is up to three runs of digits with one separator between two of them; that is read for the
  whole array at once. What has a time of day, a weekday or a month's name is first rewritten to
  that form.
- Read are `1985-03-02`, `02/03/1985`, `2.3.85`, `19850302`, `02031985`, `1985-03`, `03/1985`,
  `1985`, `2 March 1985`, `March 2, 1985`, `02-MAR-85`, and each of them with a time of day behind
  it. A month or day of 00 is an unknown one.
- Day first or month first is the one thing that a value may not tell. The whole column tells it
  (`day_first`); values that can be read in no other way (`1985-03-02`, `2 March`) do not count.
- A year of two digits is read only where the caller says which century it means: a guessed
  century is a wrong birth date. Serial numbers of spreadsheets are never guessed.
- What cannot be a date (31 February, a year before 1850 or after 2100, text) is 0 and is reported
  as unreadable. What says "none" (empty, unknown, 01/01/1900) is 0 and is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Dates = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]
First = Literal["day", "month"]

EARLIEST, LATEST = 1850, 2100
"""Years outside these are slips of the pen."""
NO_DATE = (19000101, 18000101, 18991230, 18991231)
"""What systems fill in for "not known": spreadsheets' and databases' day nought among them."""
_WIDTH = 10
_DAY_FIRST_MARK = "~"
"""Separator of rewritten dates whose month was named."""
_KIND = np.full(256, 3, np.uint8)
"""Kind of each character: 0 padding, 1 digit, 2 separator, 3 other."""
_KIND[0], _KIND[48:58], _KIND[[ord(c) for c in "-/. " + _DAY_FIRST_MARK]] = 0, 1, 2
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_TIME = (
    r"^(.*?[0-9])(?:T| *,? +)[0-9]{1,2}[:.][0-9]{2}(?:[:.][0-9]{2}(?:[.,][0-9]+)?)? *"
    r"(?:[AP]\.?M\.?)? *(?:Z|UTC|GMT|BST|[+-][0-9]{2}:?[0-9]{2})?$"
)
_PACKED_TIME = r"^([0-9]{8})T?[0-9]{4,6}(?:\.[0-9]+)?(?:Z|[+-][0-9]{4})?$"
_NAMED = rf"(?P<month>{'|'.join(_MONTHS)})[A-Z]*"
_DAY = "(?P<day>[0-9]{1,2})(?:ST|ND|RD|TH)?"
_YEAR = "(?P<year>[0-9]{4}|[0-9]{2})"
_GAP = "(?: OF |[-/., ]*)"
_WEEKDAY = "^(?:(?:MON|TUE|WED|THU|FRI|SAT|SUN)[A-Z]*[., ]+)?"
_WITH_NAMES = (
    f"{_WEEKDAY}{_DAY}{_GAP}{_NAMED}{_GAP}{_YEAR}$",
    f"{_WEEKDAY}{_NAMED}[-/., ]*{_DAY}[-/., ]+{_YEAR}$",
    f"^(?P<year>[0-9]{{4}})[-/., ]*{_NAMED}[-/., ]*{_DAY}$",
    f"^{_NAMED}[-/., ]*(?P<year>[0-9]{{4}})$",
)
_NOTHING = (
    r"^(?:|N/?K|N/?A|NIL|NONE|NULL|UNK(?:NOWN)?|NOT (?:KNOWN|GIVEN|STATED|RECORDED)|[-/.?0 ]+)$"
)


@dataclass(frozen=True)
class _Runs:
    """Up to three numbers of each value, (3, n) each with how many digits it had.

    Attributes:
        number, digits: (3, n) int32; 0 for a run that is not there.
        certain: (n,) the day is known to stand in front of the month.
        sound: (n,) the value is digits and single separators only.
    """

    number: Dates
    digits: Dates
    certain: Flags
    sound: Flags


def dates(
    array: pa.Array, *, first: First | None = None, pivot: int | None = None
) -> tuple[Dates, Flags]:
    """Dates of an array of texts.

    Args:
        array: (n,) distinct strings as sent.
        first: whether the day or the month stands in front in `02/03/1985`; None: as the array
            itself tells (`day_first`).
        pivot: the latest year that a year of two digits means (2026: `26` is 2026, `27` is 1927);
            None: years of two digits are not read.

    Returns:
        (n,) int32 yyyymmdd, month and day 0 where unknown, 0 where there is no date; and (n,)
        whether a value is there that is no date.
    """
    if not len(array):
        return np.zeros(0, np.int32), np.zeros(0, bool)
    text, nothing = _prepared(array)
    runs = _runs(text)
    day_in_front = first == "day" if first else _day_first(runs, pivot)
    found = _read(runs, day_in_front, pivot)
    unreadable = (found == 0) & ~nothing
    return np.where(np.isin(found, NO_DATE), 0, found).astype(np.int32), unreadable


def day_first(array: pa.Array, *, pivot: int | None = None) -> bool:
    """Whether `02/03/1985` is the second of March in this array: true, as in the United Kingdom,
    unless fewer values would be impossible with the month in front."""
    if not len(array):
        return True
    return _day_first(_runs(_prepared(array)[0]), pivot)


def _day_first(runs: _Runs, pivot: int | None) -> bool:
    read = [np.count_nonzero(_read(runs, day, pivot)) for day in (True, False)]
    return bool(read[0] >= read[1])


def _prepared(array: pa.Array) -> tuple[pa.Array, Flags]:
    """Values as digits and separators where they can be brought to that, and which say "none"."""
    text = pc.fill_null(pc.cast(array, pa.string()), "")
    plain = pc.match_substring_regex(text, r"^[0-9]{1,4}(?:[-/.][0-9]{1,4}){0,2}$|^[0-9]{1,8}$")
    other = pc.filter(text, pc.invert(plain))
    nothing = np.zeros(len(text), bool)
    if len(other):
        other = pc.utf8_trim_whitespace(pc.utf8_upper(pc.utf8_normalize(other, form="NFKC")))
        none = pc.match_substring_regex(other, _NOTHING).to_numpy(zero_copy_only=False)
        nothing[~plain.to_numpy(zero_copy_only=False)] = none
        text = pc.replace_with_mask(text, pc.invert(plain), _rewritten(other))
    zeros = pc.match_substring_regex(text, r"^[-/.0]+$").to_numpy(zero_copy_only=False)
    return text, nothing | zeros


def _rewritten(text: pa.Array) -> pa.Array:
    """Values without time of day, and with a named month as `day~month~year`."""
    for pattern in (_TIME, _PACKED_TIME):
        text = pc.replace_substring_regex(text, pattern=pattern, replacement=r"\1")
    text = pc.replace_substring_regex(text, pattern=" *([-/. ]) *", replacement=r"\1")
    named = pc.match_substring_regex(text, "[A-Z]{3}")
    if not pc.any(named, min_count=0).as_py():
        return text
    return pc.replace_with_mask(text, named, _without_names(pc.filter(text, named)))


def _without_names(text: pa.Array) -> pa.Array:
    """`2 March 1985` as `2~03~1985`; the value itself where it names no month."""
    numbers = pa.array([f"{n:02d}" for n in range(1, 13)])
    for pattern in _WITH_NAMES:
        found = pc.extract_regex(text, pattern=pattern)
        name = pc.struct_field(found, "month")
        month = numbers.take(pc.index_in(name, value_set=pa.array(_MONTHS)))
        day = pc.struct_field(found, "day") if found.type.get_field_index("day") >= 0 else "00"
        year = pc.struct_field(found, "year")
        text = pc.coalesce(pc.binary_join_element_wise(day, month, year, _DAY_FIRST_MARK), text)
    return text


def _runs(text: pa.Array) -> _Runs:
    """Numbers of each value, read one character of all values at a time."""
    n = len(text)
    short = pc.and_(pc.less_equal(pc.binary_length(text), _WIDTH), pc.string_is_ascii(text))
    padded = pc.ascii_rpad(pc.if_else(short, text, "?"), width=_WIDTH, padding="\0")
    raw = np.frombuffer(padded.buffers()[2], np.uint8)[padded.offset * _WIDTH :][: n * _WIDTH]
    signs = np.ascontiguousarray(raw.reshape(n, _WIDTH).T)
    kind = _KIND[signs]
    digit, separator = kind == 1, kind == 2
    run = np.cumsum(separator, axis=0, dtype=np.uint8)
    number, digits = np.zeros((3, n), np.int32), np.zeros((3, n), np.int32)
    for k in range(3):
        here = digit & (run == k)
        digits[k] = here.sum(axis=0)
        for column, sign in zip(here, signs, strict=True):
            number[k] = np.where(column, number[k] * 10 + (sign & 15), number[k])
    # A separator stands behind a digit and before one: at the end, the runs are one too few.
    misplaced = separator[0] | (separator[1:] & ~digit[:-1]).any(axis=0) | (kind == 3).any(axis=0)
    ended = (digits > 0).sum(axis=0) == run[-1] + 1
    return _Runs(number, digits, (signs == ord(_DAY_FIRST_MARK)).any(axis=0), ended & ~misplaced)


def _read(runs: _Runs, day_in_front: bool, pivot: int | None) -> Dates:
    """yyyymmdd of each value, 0 where it is none; (n,)."""
    (a, b, c), (la, lb, lc) = runs.number, runs.digits
    front = runs.certain | day_in_front
    packed = (la == 8) & (lb == 0)
    year = _where_first((la == 4, a), (packed, a // 10_000), (lc > 0, c), (lb == 4, b))
    month = _where_first(
        ((la == 4) & (lb > 0), b), (packed, a // 100 % 100), ((lc > 0) & front, b), (lc > 0, a),
        (lb == 4, a),
    )  # fmt: skip
    day = _where_first(
        ((la == 4) & (lc > 0), c), (packed, a % 100), ((lc > 0) & front & (la < 4), a),
        ((lc > 0) & (la < 4), b),
    )  # fmt: skip
    brief = (lc == 2) & (la <= 2)
    year = np.where(brief, _in_full(year, pivot), year)
    shaped = runs.sound & (
        packed
        | ((la == 4) & (lb <= 2) & (lc <= 2))
        | ((la <= 2) & (lb <= 2) & ((lc == 4) | brief))
        | ((la <= 2) & (lb == 4) & (lc == 0))
    )
    # Eight digits may also be ddmmyyyy: 20 to 21 of the one's year is no month of the other.
    turned = packed & ~_possible(year, month, day)
    year = np.where(turned, a % 10_000, year)
    month, day = (
        np.where(turned, a // 10_000 % 100 if front_part else a // 1_000_000, part)
        for front_part, part in ((day_in_front, month), (not day_in_front, day))
    )
    found = np.where(shaped & _possible(year, month, day), year * 10_000 + month * 100 + day, 0)
    return found.astype(np.int32)


def _where_first(*cases: tuple[Flags, Dates]) -> Dates:
    """For each element the value of the first case that holds, else 0."""
    return np.select([case for case, _ in cases], [value for _, value in cases], 0)


def _in_full(year: Dates, pivot: int | None) -> Dates:
    """Years of two digits as the latest such year up to the pivot; 0 without one."""
    if pivot is None:
        return np.zeros_like(year)
    return pivot - (pivot - year) % 100


def _possible(year: Dates, month: Dates, day: Dates) -> Flags:
    """Whether there is such a date; a month or day of 0 is unknown, a day needs its month."""
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    lengths = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    longest = lengths[np.minimum(month, 12)] + ((month == 2) & leap)
    filler = np.isin(year * 10_000 + month * 100 + day, NO_DATE)
    in_range = ((year >= EARLIEST) & (year <= LATEST)) | filler
    return np.asarray(in_range & (month <= 12) & (day <= longest))
