"""The tests that levels ask for: pairs of records in, true or false (or a measure) out.

Rules:
- A test sees pairs that no earlier level of its field took. It reads features only; no weights.
- A test of equality is a comparison of integer codes. A measure of two texts is computed once per
  distinct pair of unequal values, by rapidfuzz or by the user's own function (`REGISTERED`).
- Tests marked `costly` wait until the engine knows that the pair can still matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rapidfuzz import fuzz
from rapidfuzz.distance import DamerauLevenshtein, Indel, Jaro, JaroWinkler, Levenshtein
from rapidfuzz.process import cpdist

from linkage import nicknames
from linkage.columns import Part, distinct
from linkage.model import Level
from linkage.views import Bools, View
from schemas.errors import InvalidValue

Measure = npt.NDArray[np.float32]
EARTH_RADIUS_KM = 6371.0088
"""Mean radius (IUGG)."""


def _equal(v: View, _level: Level) -> Bools:
    """The current values are one."""
    a, b = v.codes()
    return np.asarray((a == b) & (a >= 0))


def _unequal(v: View, _level: Level) -> Bools:
    """The current values are two."""
    a, b = v.codes()
    return np.asarray((a != b) & (a >= 0) & (b >= 0))


def _flagged(v: View, level: Level) -> Bools:
    """The named part is set on both sides."""
    a, b = v.parts(level.of)
    return (a > 0) & (b > 0)


def _any_equal(v: View, _level: Level) -> Bools:
    """Some value of the one is some value of the other."""
    out = np.zeros(len(v.left), bool)
    slots = range(v.column.slots)
    lefts = [v.codes(slot=s)[0] for s in slots]
    rights = [v.codes(slot=s)[1] for s in slots]
    for i in slots:
        for j in slots:
            out |= (lefts[i] >= 0) & (lefts[i] == rights[j])
    return out


def _same_part(v: View, level: Level) -> Bools:
    """Some value of the one and some value of the other have the named part in common."""
    if v.column.slots == 1:
        a, b = v.parts(level.of)
        return np.asarray((a == b) & (a >= 0))
    part = v.column.values.part(level.of)
    out = np.zeros(len(v.left), bool)
    codes = v.column.codes
    for i in range(v.column.slots):
        a = codes[i][v.left]
        part_a = np.where(a >= 0, part[a], -1)
        for j in range(v.column.slots):
            b = codes[j][v.right]
            out |= (part_a >= 0) & (b >= 0) & (part_a == part[b])
    return out


def _other_part(v: View, level: Level) -> Bools:
    """The current values both have the named part, and it differs."""
    a, b = v.parts(level.of)
    return np.asarray((a != b) & (a >= 0) & (b >= 0))


def _nickname(v: View, _level: Level) -> Bools:
    """Given names that stand for one another."""
    a, b = v.parts("nickname")
    return nicknames.equivalent(a.astype(np.int64), b.astype(np.int64))


def _initial(v: View, _level: Level) -> Bools:
    """One is a single letter, the other begins with it."""
    first_a, first_b = v.parts("initial")
    long_a, long_b = v.parts("length")
    return np.asarray((first_a == first_b) & ((long_a == 1) | (long_b == 1)))


def _equal_in(v: View, level: Level) -> Bools:
    """The two records agree on another column: its current values are one."""
    a, b = v.codes(level.of)
    return np.asarray((a == b) & (a >= 0))


def _equal_to(v: View, level: Level) -> Bools:
    """The value of the one stands in another column of the other (a second forename)."""
    a, b = v.codes()
    other_a, other_b = v.codes(level.of)
    return np.asarray((a == other_b) | (b == other_a))


def _transposed(v: View, level: Level) -> Bools:
    """The two values stand the other way round."""
    a, b = v.codes()
    other_a, other_b = v.codes(level.of)
    return np.asarray((a == other_b) & (b == other_a))


_YEAR, _MONTH, _DAY = 0x11110000, 0x00001100, 0x00000011
"""One bit for each digit of a date whose digits are written in four bits each (part `digits`)."""


def _differing(v: View) -> Part:
    """Which digits of two dates differ, one bit each."""
    a, b = v.parts("digits")
    differ = a ^ b
    differ |= differ >> 2
    return (differ | differ >> 1) & (_YEAR | _MONTH | _DAY)


def _whole(date: Part) -> Bools:
    return (date & 0xFF) > 0


def _first_january(date: Part) -> Bools:
    return np.asarray((date & 0xFFFF) == 0x0101)


def _same_date(v: View, _level: Level) -> Bools:
    """One whole date. 1 January is a placeholder more often than a day of birth: not here."""
    a, _ = v.parts("digits")
    return _equal(v, _level) & _whole(a) & ~_first_january(a)


def _same_first_january(v: View, _level: Level) -> Bools:
    """One year, both on 1 January."""
    return _equal(v, _level) & _first_january(v.parts("digits")[0])


def _day_month_swapped(v: View, _level: Level) -> Bools:
    a, b = v.parts("digits")
    same_year = (_differing(v) & _YEAR) == 0
    return np.asarray(
        same_year & (a != b) & ((a >> 8 & 0xFF) == (b & 0xFF)) & ((b >> 8 & 0xFF) == (a & 0xFF))
    )


def _one_digit(v: View, _level: Level) -> Bools:
    """Whole dates that differ in one digit."""
    a, b = v.parts("digits")
    differ = _differing(v)
    return np.asarray((differ != 0) & ((differ & (differ - 1)) == 0) & _whole(a) & _whole(b))


def _partly_known(v: View, _level: Level) -> Bools:
    """One year, and nothing of what is known of month and day speaks against."""
    a, b = v.parts("digits")
    differ = _differing(v)
    unknown = ~(_whole(a) & _whole(b))
    agree = ((differ & _MONTH) == 0) | ((a & 0xFF00) == 0) | ((b & 0xFF00) == 0)
    first = _first_january(a) | _first_january(b)
    return np.asarray(((differ & _YEAR) == 0) & ((unknown & agree) | first))


def _two_parts(v: View, _level: Level) -> Bools:
    """Two of day, month and year agree."""
    differ = _differing(v)
    parts = [((differ & part) == 0).astype(np.int8) for part in (_YEAR, _MONTH, _DAY)]
    return np.asarray((parts[0] + parts[1] + parts[2]) == 2)


def _same_month(v: View, _level: Level) -> Bools:
    """One year and one month, both known."""
    a, _ = v.parts("digits")
    return np.asarray(((_differing(v) & (_YEAR | _MONTH)) == 0) & ((a & 0xFF00) > 0))


def _years_apart(v: View, _level: Level) -> Measure:
    a, b = v.parts("year")
    return np.asarray(np.abs(a - b).astype(np.float32))


def _days_apart(v: View, _level: Level) -> Measure:
    """Days between two whole dates; infinite where one is not whole."""
    a, b = v.codes()
    dates = v.column.values.array.to_numpy().astype(np.int64)
    year, month, day = dates // 10_000, dates // 100 % 100, dates % 100
    months = (year - 1970) * 12 + month - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + day - 1
    apart = np.abs(days[a] - days[b]).astype(np.float32)
    return np.where((day[a] > 0) & (day[b] > 0), apart, np.float32(np.inf))


def _number_apart(v: View, _level: Level) -> Measure:
    """Absolute difference of two numbers; infinite where one is none."""
    a, b = v.codes()
    numbers = v.column.values.numbers
    apart = np.abs(numbers[a] - numbers[b])
    return np.nan_to_num(apart, nan=np.inf, posinf=np.inf).astype(np.float32)


def _share_apart(v: View, _level: Level) -> Measure:
    """Difference of two numbers as a share of the larger; infinite where one is none."""
    a, b = v.codes()
    x, y = v.column.values.numbers[a], v.column.values.numbers[b]
    apart = np.abs(x - y) / np.maximum(np.maximum(np.abs(x), np.abs(y)), 1e-300)
    return np.nan_to_num(apart, nan=np.inf).astype(np.float32)


def _km_apart(v: View, level: Level) -> Measure:
    """Great-circle distance in km of two points, latitude in this column and longitude in `of`
    (haversine; Sinnott 1984); infinite where one is unknown."""
    a, b = v.codes()
    other_a, other_b = v.codes(level.of)
    known = (a >= 0) & (b >= 0) & (other_a >= 0) & (other_b >= 0)
    latitudes = np.radians(v.column.values.numbers)
    longitudes = np.radians(v.features.column(level.of).values.numbers)
    lat_a, lat_b = latitudes[a], latitudes[b]
    step = np.sin((lat_b - lat_a) / 2) ** 2
    turn = np.sin((longitudes[other_b] - longitudes[other_a]) / 2) ** 2
    arc = np.sqrt(np.clip(step + np.cos(lat_a) * np.cos(lat_b) * turn, 0.0, 1.0))
    apart = np.where(known, 2 * EARTH_RADIUS_KM * np.arcsin(arc), np.inf)
    return np.nan_to_num(apart, nan=np.inf, posinf=np.inf).astype(np.float32)


def _overlap(v: View, _level: Level) -> Measure:
    """Jaccard share of the values that both sets hold."""
    slots = range(v.column.slots)
    lefts = [v.codes(slot=s)[0] for s in slots]
    rights = [v.codes(slot=s)[1] for s in slots]
    common = np.zeros(len(v.left), np.float32)
    total = np.zeros(len(v.left), np.float32)
    for i in slots:
        met = np.zeros(len(v.left), bool)
        for j in slots:
            met |= (lefts[i] >= 0) & (lefts[i] == rights[j])
        common += met
        total += (lefts[i] >= 0).astype(np.float32) + (rights[i] >= 0)
    return np.asarray(common / np.maximum(total - common, 1.0))


PairFunction = Callable[[Sequence[str], Sequence[str]], npt.ArrayLike]
"""A user's comparator: two lists of distinct unequal values in, their similarities out."""
REGISTERED: dict[str, PairFunction] = {}


def register(name: str, function: PairFunction) -> None:
    """Makes a function usable as the test `custom:NAME` of a model's levels.

    It is called with two lists of texts of one length, each pair of unequal values once per chunk,
    and answers one number per pair: the more alike, the larger.
    """
    REGISTERED[name] = function


def _measured(v: View, function: PairFunction, *, sort_words: bool = False) -> Measure:
    """A measure of the texts of slot 0, computed once per distinct pair of values."""
    a, b = v.codes()
    values = v.column.values
    size = max(len(values), 1)
    keys, place = distinct(np.minimum(a, b).astype(np.int64) * size + np.maximum(a, b))
    texts = (values.texts_at(side, sort_words=sort_words) for side in (keys // size, keys % size))
    found = np.asarray(function(*texts), np.float32)
    if found.shape != keys.shape:
        raise InvalidValue(f"field '{v.field.name}': its comparator must give one number per pair")
    return np.asarray(found[place])


CLEAR = 1e-6
"""By how much the cutoff of a similarity lies below its threshold."""


def _by_rapidfuzz(
    scorer: Callable[..., float],
    scale: float = 1.0,
    *,
    distance: bool = False,
    by_word: bool = False,
) -> Callable[[View, Level], Measure]:
    def measure(v: View, level: Level) -> Measure:
        def compute(a: Sequence[str], b: Sequence[str]) -> npt.ArrayLike:
            # A score that misses the cutoff may be left at nought (a distance just above it). It
            # is compared in double precision, a measure in single: it must not be the stricter.
            cutoff = max(level.at - CLEAR, 0.0) / scale if not distance else level.at
            return cpdist(a, b, scorer=scorer, score_cutoff=cutoff, dtype=np.float64) * scale

        return _measured(v, compute, sort_words=by_word)

    return measure


@dataclass(frozen=True)
class Comparator:
    """One test. A measuring one passes from the level's `at` up, or (`distance`) up to it."""

    function: Callable[[View, Level], Bools | Measure]
    measures: bool = False
    distance: bool = False
    costly: bool = False
    needs: str = ""
    """What the level's `of` names: a `column` or a `part`; nothing for the empty text."""
    possible: Callable[[View, Level], Bools] | None = None
    """A cheap test that every pair passes which can reach the level's threshold."""
    reads: tuple[str, ...] = ()
    """Parts of values that it reads, beside the one that a level names."""


def _letters_apart(v: View) -> Part:
    """At least so many letters stand in one of two texts and not in the other, counted as often as
    they occur there."""
    a, b = v.parts("letters")
    return np.asarray(np.bitwise_count(a ^ b))


def _near_in_edits(v: View, level: Level) -> Bools:
    """An edit changes at most two letters."""
    return _letters_apart(v) <= 2 * level.at


def _near_in_words(v: View, level: Level) -> Bools:
    """Similarity by insertions and deletions: at best 1 - letters apart / both lengths."""
    a, b = v.parts("length")
    total = a.astype(np.float32) + b
    return _letters_apart(v) <= (1.0 - level.at) * total + 1e-3


def _near_in_jaro(v: View, level: Level, prefix: float = 0.0) -> Bools:
    """At best all letters in common match, in order; a common prefix of four takes away 0.4 of what
    is left to 1."""
    a, b = (np.maximum(x, 1).astype(np.float32) for x in v.parts("length"))
    common = np.maximum(a + b - _letters_apart(v), 0.0) * 0.5
    best = (common / a + common / b + 1.0) / 3.0
    return np.asarray(best >= (level.at - prefix) / (1.0 - prefix) - 1e-3)


def _near_in_jaro_winkler(v: View, level: Level) -> Bools:
    return _near_in_jaro(v, level, prefix=0.4)


def _texts(
    scorer: Callable[..., float],
    *,
    distance: bool = False,
    scale: float = 1.0,
    by_word: bool = False,
    possible: Callable[[View, Level], Bools] | None = None,
) -> Comparator:
    measure = _by_rapidfuzz(scorer, scale, distance=distance, by_word=by_word)
    reads = ("letters", "length") if possible else ()
    return Comparator(
        measure, measures=True, distance=distance, costly=True, possible=possible, reads=reads
    )


_DIGITS = ("digits",)
COMPARATORS: dict[str, Comparator] = {
    "equal": Comparator(_equal),
    "unequal": Comparator(_unequal),
    "flagged": Comparator(_flagged, needs="part"),
    "any_equal": Comparator(_any_equal),
    "same_part": Comparator(_same_part, needs="part"),
    "other_part": Comparator(_other_part, needs="part"),
    "nickname": Comparator(_nickname, reads=("nickname",)),
    "initial": Comparator(_initial, reads=("initial", "length")),
    "equal_in": Comparator(_equal_in, needs="column"),
    "equal_to": Comparator(_equal_to, needs="column"),
    "transposed": Comparator(_transposed, needs="column"),
    "same_date": Comparator(_same_date, reads=_DIGITS),
    "same_first_january": Comparator(_same_first_january, reads=_DIGITS),
    "day_month_swapped": Comparator(_day_month_swapped, reads=_DIGITS),
    "one_digit": Comparator(_one_digit, reads=_DIGITS),
    "partly_known": Comparator(_partly_known, reads=_DIGITS),
    "two_parts": Comparator(_two_parts, reads=_DIGITS),
    "same_month": Comparator(_same_month, reads=_DIGITS),
    "years_apart": Comparator(_years_apart, measures=True, distance=True, reads=("year",)),
    "days_apart": Comparator(_days_apart, measures=True, distance=True),
    "number_apart": Comparator(_number_apart, measures=True, distance=True),
    "share_apart": Comparator(_share_apart, measures=True, distance=True),
    "km_apart": Comparator(_km_apart, measures=True, distance=True, needs="column"),
    "overlap": Comparator(_overlap, measures=True),
    "jaro_winkler": _texts(JaroWinkler.similarity, possible=_near_in_jaro_winkler),
    "jaro": _texts(Jaro.similarity, possible=_near_in_jaro),
    "levenshtein": _texts(Levenshtein.distance, distance=True, possible=_near_in_edits),
    "damerau_levenshtein": _texts(
        DamerauLevenshtein.distance, distance=True, possible=_near_in_edits
    ),
    "levenshtein_share": _texts(Levenshtein.normalized_similarity),
    "token_set": _texts(fuzz.token_set_ratio, scale=0.01),
    "token_sort": _texts(Indel.normalized_similarity, by_word=True, possible=_near_in_words),
}
"""Name in a model's levels → test."""
CUSTOM = "custom:"


def comparator_of(level: Level) -> Comparator:
    """The test of a level. Raises: InvalidValue where there is none of its name."""
    if level.test in COMPARATORS:
        return COMPARATORS[level.test]
    function = REGISTERED.get(level.test.removeprefix(CUSTOM))
    if not level.test.startswith(CUSTOM) or function is None:
        raise InvalidValue(
            f"level '{level.name}': no comparator '{level.test}'; there are "
            f"{', '.join(COMPARATORS)}, and custom:NAME for those registered with linkage.register"
        )
    chosen = function
    return Comparator(lambda v, _level: _measured(v, chosen), measures=True, costly=True)


def passes(test: Comparator, found: Bools | Measure, level: Level) -> Bools:
    """Which pairs pass, of what the test found: thresholds are of single precision, as measures
    are."""
    if not test.measures:
        return found.astype(bool)
    at = np.float32(level.at)
    return found <= at if test.distance else found >= at
