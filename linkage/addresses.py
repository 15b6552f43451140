"""Addresses, columnar: one line of text becomes house number, flat, building, street and the rest.

Rules, in order:
- An address is words. Abbreviations are spelt out; `14 a` is `14A`, `14 - 16` is `14-16`, `2/14`
  is flat 2 of number 14; ST is SAINT in front of a name and STREET behind one. Postcodes and "care
  of" are left out.
- The flat is what follows FLAT, APARTMENT, UNIT, ROOM and the like, wherever that stands, or a
  floor (`Ground Floor Flat`), or the first of two numbers in a row.
- The street ends with the best word that can end one: behind a number before without, a sure kind
  of street (ROAD) before one that names houses too (VIEW), that before a building (COURT), that
  before the last word in front of a comma; of equals the first. It begins behind the number, the
  comma or the building before it.
- The number is the one in front of the street, else the one right behind it. A number in front of a
  building that has a street besides is the flat. What else stands in front of the street is the
  building; what stands behind it is the locality.
- A building without number, flat and street besides is a building. With a number or a flat
  (`7 Elm Court`, `Flat 7 Elm Court`) it stands where the street would.
- No fixed abode and unknown addresses are no evidence: all parts null.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage.standardise import (
    STREET_WORDS,
    bytes_of,
    plain_upper,
    without_apostrophes,
    words_replaced,
)

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_ROWS_AT_ONCE = 1 << 14
"""Rows worked on together: as many as stay in the processor's cache."""
(
    _EDGE, _OTHER, _COMMA, _SLASH, _NUMBER, _LETTER, _FLAT, _FLOOR, _LEVEL, _FLOOR_FLAT, _SURE,
    _LOOSE, _BUILDING, _DIRECTION, _OUTWARD, _INWARD, _POSTCODE, _CARE_OF, _NUMERO, _SAINT,
) = range(20)  # fmt: skip
"""Kinds of word."""
_WORDS_OF = {
    _COMMA: (",",),
    _SLASH: ("/",),
    _FLAT: ("FLAT", "ROOM", "STUDIO", "MAISONETTE", "SUITE", "BEDSIT"),
    _FLOOR: ("FLOOR", "FLR"),
    _LEVEL: (
        "GROUND", "FIRST", "SECOND", "THIRD", "FOURTH", "FIFTH", "TOP", "BASEMENT", "LOWER",
        "UPPER", "GARDEN", "ATTIC", "1ST", "2ND", "3RD", "4TH", "5TH",
    ),
    _FLOOR_FLAT: ("GFF", "FFF", "SFF", "TFF", "BFF"),
    _SURE: (
        "ROAD", "STREET", "AVENUE", "CLOSE", "CRESCENT", "DRIVE", "LANE", "SQUARE", "TERRACE",
        "WAY", "BOULEVARD", "PARADE", "ESPLANADE", "PROMENADE",
    ),
    _LOOSE: (
        "GARDENS", "GREEN", "GROVE", "PLACE", "PARK", "HILL", "WALK", "MEWS", "RISE", "VIEW",
        "ROW", "BANK", "GATE", "END", "CIRCUS", "QUAY", "WHARF", "YARD", "MOUNT", "CROFT", "FIELD",
        "FIELDS", "MEADOW", "MEADOWS", "DENE", "DALE", "VALE", "BRAE", "LOAN", "WYND", "PASSAGE",
        "ALLEY", "ARCADE", "APPROACH", "CHASE", "COMMON", "CORNER", "COPSE", "CROSS", "PATH",
        "VILLAS", "COTTAGES", "STRAND",
    ),
    _BUILDING: (
        "COURT", "HOUSE", "LODGE", "TOWER", "TOWERS", "MANSION", "MANSIONS", "FLATS", "COTTAGE",
        "FARM", "HALL", "BUILDING", "BUILDINGS", "POINT", "HEIGHTS", "APARTMENTS", "BLOCK",
        "VILLA", "BARN", "HOSTEL", "HOME", "FARMHOUSE", "BUNGALOW", "BOX",
    ),
    _DIRECTION: ("NORTH", "SOUTH", "EAST", "WEST"),
    _CARE_OF: ("CAREOF",),
    _NUMERO: ("NO", "NUMBER", "NUM"),
    _SAINT: ("ST",),
}  # fmt: skip
_FORM_OF = {
    _NUMBER: "^[0-9]+[A-Z]?(?:-[0-9]+[A-Z]?)?$",
    _LETTER: "^[A-Z]$",
    _OUTWARD: "^[A-Z]{1,2}[0-9][A-Z0-9]?$",
    _INWARD: "^[0-9][A-Z]{2}$",
    _POSTCODE: "^[A-Z]{1,2}[0-9][A-Z0-9]?[0-9][A-Z]{2}$",
}
_FLOORS = {
    "GFF": "GROUND", "FFF": "FIRST", "SFF": "SECOND", "TFF": "TOP", "BFF": "BASEMENT",
    "1ST": "FIRST", "2ND": "SECOND", "3RD": "THIRD", "4TH": "FOURTH", "5TH": "FIFTH",
}  # fmt: skip
_NOWHERE = (
    r"^\W*(?:NFA\b|(?:OF )?NO FIXED (?:ABODE|ADDRESS)|(?:ADDRESS )?(?:UNKNOWN|NOT KNOWN)\b|ZZ99)"
)
_SPACE, _COMMA_SIGN, _DASH, _SLASH_SIGN = (ord(c) for c in " ,-/")
_SIGN = np.full(256, _SPACE, np.uint8)
"""What each byte stands for: a capital, a digit, a comma, a slash, a dash, else a space."""
_SIGN[48:58], _SIGN[65:91] = np.arange(48, 58), np.arange(65, 91)
_SIGN[[ord(c) for c in ",;|\n\r"]] = _COMMA_SIGN
_SIGN[[_DASH, _SLASH_SIGN]] = _DASH, _SLASH_SIGN


@dataclass(frozen=True)
class Parts:
    """Parts of n addresses; each (n,) strings, null where the address has no such part.

    Attributes:
        house_number: `14`, `14A`, `14-16`.
        flat: its number or letter, or its floor (`GROUND`).
        building: a building's name that stands besides the street.
        street: without number, abbreviations spelt out.
        locality: the words behind the street, without postcode.
    """

    house_number: pa.Array
    flat: pa.Array
    building: pa.Array
    street: pa.Array
    locality: pa.Array


@dataclass(frozen=True)
class _Words:
    """The words of n addresses, one address after the other.

    Attributes:
        texts: the distinct words.
        code: (w,) which of them each word is; `kind`: (w,) its kind.
        starts: (n + 1,) where each address begins and ends.
    """

    texts: pa.Array
    code: Ints
    kind: npt.NDArray[np.int8]
    starts: Ints

    @cached_property
    def row(self) -> Ints:
        """(w,) the address of each word."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def near(self, step: int) -> npt.NDArray[np.int8]:
        """(w,) kind of the word `step` places on in the same address, `_EDGE` where none is."""
        out = np.full(len(self.kind), _EDGE, np.int8)
        if abs(step) < len(out):
            here, there = (slice(None, -step), slice(step, None))
            if step < 0:
                here, there = slice(-step, None), slice(None, step)
            same = self.row[here] == self.row[there]
            out[here] = np.where(same, self.kind[there], _EDGE)
        return out

    def kept(self, keep: Flags) -> _Words:
        """The words to keep."""
        before = np.concatenate(([0], np.cumsum(keep)))
        return _Words(self.texts, self.code[keep], self.kind[keep], before[self.starts])

    def joined(self, which: Flags) -> pa.Array:
        """(n,) the chosen words of each address with spaces between, null where none are."""
        chosen = self.kept(which)
        words = self.texts.take(pa.array(chosen.code))
        lists = pa.ListArray.from_arrays(pa.array(chosen.starts.astype(np.int32)), words)
        text = pc.binary_join(lists, " ")
        return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def parts(array: pa.Array) -> Parts:
    """The parts of addresses.

    Args:
        array: (n,) distinct strings, each an address as sent: one line, or several parted by
            commas or line ends. Nulls have no parts.
    """
    text = plain_upper(without_apostrophes(array))
    nowhere = pc.match_substring_regex(text, _NOWHERE)
    text = pc.if_else(pc.fill_null(nowhere, True), "", text)
    pieces = [
        _parts(text.slice(start, _ROWS_AT_ONCE))
        for start in range(0, max(len(text), 1), _ROWS_AT_ONCE)
    ]
    return Parts(*(pa.concat_arrays(column) for column in zip(*pieces, strict=True)))


def uprn(array: pa.Array) -> pa.Array:
    """Unique Property Reference Numbers: 1 to 12 digits without leading zeros, else null.

    Read are `100023336956`, `000012345678`, `UPRN 1234` and a spreadsheet's `1234.0`. Nought and
    numbers of nines alone are fillings.
    """
    found = pc.extract_regex(
        pc.utf8_trim_whitespace(pc.ascii_upper(array)),
        pattern=r"^(?:UPRN[ :]*)?0*(?P<number>[0-9]{1,12})(?:\.0+)?$",
    )
    number = pc.struct_field(found, "number")
    filling = pc.match_substring_regex(number, "^(?:0+|9+)$")
    return pc.if_else(pc.fill_null(filling, False), pa.scalar(None, pa.string()), number)


def _parts(text: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array, pa.Array, pa.Array]:
    """House number, flat, building, street and locality of plain upper-case addresses."""
    words, flat = _without_flat(_tidied(_words(text)))
    words = _without_idle_commas(words)
    street = _streets(words)
    place, row, numeral = np.arange(len(words.kind)), words.row, words.kind == _NUMBER
    begin, end, number = street.begin[row], street.end[row], street.number[row]
    found = end >= 0
    inside, behind = found & (place >= begin) & (place <= end), found & (place > end)
    in_front = ~inside & ~behind
    follows = behind & (place == end + 1) & numeral & (number < 0)
    follows &= _among(words.near(1), _EDGE, _COMMA)
    numbered = (street.number >= 0) | (_last(words, follows) >= 0)
    spare = place == _last(words, in_front & numeral & ~numbered[row])[row]
    flatless = np.asarray(pc.is_null(flat).to_numpy(zero_copy_only=False))
    to_flat = spare & found & flatless[row]
    flat = pc.coalesce(flat, words.joined(to_flat))
    unlabelled = ~numbered & np.asarray(pc.is_null(flat).to_numpy(zero_copy_only=False))
    named = inside & (unlabelled & ~_among(street.ending, _SURE, _LOOSE))[row]
    plain = words.kind != _COMMA
    return (
        words.joined((place == number) | follows | (spare & ~to_flat)),
        flat,
        words.joined((in_front & plain & ~numeral) | named),
        words.joined(inside & ~named),
        words.joined(behind & plain & ~follows),
    )


def _words(text: pa.Array) -> _Words:
    """The words of each address, abbreviations spelt out. Commas and slashes are words."""
    signs, offsets = _signs(text)
    kept = (signs != _SPACE) & (signs != 0)
    alone = (signs == _COMMA_SIGN) | (signs == _SLASH_SIGN)
    first = kept & (alone | ~_moved(kept & ~alone, 1))
    before = np.concatenate(([0], np.cumsum(kept, dtype=np.int32)))
    begins = np.flatnonzero(first)
    edges = np.append(before[begins], before[-1])
    buffers = [None, pa.py_buffer(edges), pa.py_buffer(signs[kept])]
    raw = pa.Array.from_buffers(pa.large_string(), len(begins), buffers)
    encoded = pc.dictionary_encode(raw)
    texts = pc.cast(encoded.dictionary, pa.string())
    texts = words_replaced(texts, {k: v for k, v in STREET_WORDS.items() if k != "ST"})
    texts = pa.concat_arrays([texts, pa.array(["SAINT", "STREET"])])
    code = encoded.indices.to_numpy().astype(np.int64)
    starts = np.concatenate(([0], np.cumsum(first, dtype=np.int64)))[offsets]
    return _Words(texts, code, _kinds(texts)[code], starts)


def _signs(text: pa.Array) -> tuple[npt.NDArray[np.uint8], Ints]:
    """Each address as signs (see `_SIGN`) with a 0 behind it, and where each begins: (n + 1,).

    Dashes stand within a range of numbers only, slashes between two numbers; the spaces of
    `14 - 16` and `14 A` are gone.
    """
    for sent, plain in (("\u2013", "-"), ("C/O", " CAREOF ")):
        text = pc.replace_substring(text, pattern=sent, replacement=plain)
    if pc.any(pc.match_substring(text, "  "), min_count=0).as_py():
        text = pc.replace_substring_regex(text, pattern=" {2,}", replacement=" ")
    data, offsets = bytes_of(pc.binary_join_element_wise(text, "\0", ""))
    signs = _SIGN[data]
    signs[offsets[1:] - 1] = 0
    digit, space = (signs >= 48) & (signs <= 57), signs == _SPACE
    numeral = digit | ((signs >= 65) & _moved(digit, 1))
    dash, slash = signs == _DASH, signs == _SLASH_SIGN
    behind_number = _moved(numeral, 1) | (_moved(space, 1) & _moved(numeral, 2))
    before_number = _moved(digit, -1) | (_moved(space, -1) & _moved(digit, -2))
    between = behind_number & before_number
    signs[(dash | slash) & ~between] = _SPACE
    dash &= between
    suffix = (signs >= ord("A")) & (signs <= ord("H"))
    lone = _moved(suffix, -1) & _moved((signs < 48) | (signs > 90), -2)
    idle = space & (_moved(dash, 1) | _moved(dash, -1) | (_moved(digit, 1) & lone))
    kept = np.concatenate(([0], np.cumsum(~idle, dtype=np.int32)))
    return signs[~idle], kept[offsets]


def _moved(flags: Flags, step: int) -> Flags:
    """The flags moved on by `step` places (back where negative), false where none came from."""
    out = np.zeros_like(flags)
    if step > 0:
        out[step:] = flags[:-step]
    else:
        out[:step] = flags[-step:]
    return out


def _among(kinds: npt.NDArray[np.int8] | Ints, *wanted: int) -> Flags:
    """Whether each kind is one of the wanted."""
    table = np.zeros(32, bool)
    table[list(wanted)] = True
    return table[kinds]


def _kinds(texts: pa.Array) -> npt.NDArray[np.int8]:
    """The kind of each distinct word."""
    kinds = np.full(len(texts), _OTHER, np.int8)
    for kind, form in _FORM_OF.items():
        kinds[pc.match_substring_regex(texts, form).to_numpy(zero_copy_only=False)] = kind
    for kind, words in _WORDS_OF.items():
        of_kind = pc.is_in(texts, value_set=pa.array(words))
        kinds[of_kind.to_numpy(zero_copy_only=False)] = kind
    return kinds


def _tidied(words: _Words) -> _Words:
    """Words without postcodes, care-of lines and "No."; ST told apart."""
    kind, near, behind = words.kind, words.near(1), words.near(-1)
    saint = _among(behind, _EDGE, _COMMA, _NUMBER, _SLASH) & _among(near, _OTHER, _LOOSE)
    code = np.where(kind == _SAINT, len(words.texts) - 1 - saint, words.code)
    drop = (kind == _POSTCODE) | ((kind == _NUMERO) & (near == _NUMBER))
    drop |= (kind == _OUTWARD) & (near == _INWARD)
    drop |= (kind == _INWARD) & (behind == _OUTWARD)
    last_care = _last_so_far(words, kind == _CARE_OF)
    drop |= last_care > _last_so_far(words, _among(kind, _COMMA, _NUMBER))
    kind = np.where(kind == _SAINT, np.where(saint, _OTHER, _SURE), kind).astype(np.int8)
    kind[_among(kind, _INWARD, _NUMERO)] = _OTHER
    return _Words(words.texts, code, kind, words.starts).kept(~drop)


def _without_flat(words: _Words) -> tuple[_Words, pa.Array]:
    """The words without those that name a flat or floor, and each address's flat."""
    kind, near, row = words.kind, words.near(1), words.row
    labelled = (words.near(-1) == _FLAT) & _among(kind, _NUMBER, _LETTER, _OUTWARD)
    labelled &= ~_among(words.near(-2), _LEVEL, _FLOOR)
    apart = _among(near, _SLASH, _COMMA) & (words.near(2) == _NUMBER)
    first_of_two = (kind == _NUMBER) & (apart | (near == _NUMBER))
    first_of_two &= (_last(words, labelled) < 0)[row]
    level = (kind == _LEVEL) & _among(near, _FLOOR, _FLAT)
    level |= (kind == _LEVEL) & (near == _LEVEL) & _moved(level, -1)
    level |= kind == _FLOOR_FLAT
    chosen = labelled | first_of_two
    one = np.arange(len(kind)) == _first(words, chosen)[row]
    flat = pc.coalesce(words.joined(one), words_replaced(words.joined(level), _FLOORS))
    idle = labelled | (first_of_two & one) | level | _among(kind, _FLAT, _FLOOR, _SLASH)
    kind = np.where(kind == _OUTWARD, _OTHER, kind).astype(np.int8)
    return _Words(words.texts, words.code, kind, words.starts).kept(~idle), flat


def _without_idle_commas(words: _Words) -> _Words:
    """The words with commas only between two other words, one at a time."""
    words = words.kept((words.kind != _COMMA) | ~_among(words.near(1), _EDGE, _COMMA))
    return words.kept((words.kind != _COMMA) | (words.near(-1) != _EDGE))


@dataclass(frozen=True)
class _Streets:
    """For each address the places of its street's first and last word and of the number in front
    of it, -1 for none, and the kind of its last word; each (n,)."""

    begin: Ints
    end: Ints
    number: Ints
    ending: Ints


def _streets(words: _Words) -> _Streets:
    """The best street of each address: the candidates' ranks are in the module's rules."""
    kind, near, second = words.kind, words.near(1), words.near(2)
    place = np.arange(len(kind))
    floor = words.starts[words.row]
    stop = _last_so_far(words, _among(kind, _COMMA, _NUMBER))
    at = np.maximum(stop, 0)
    by_comma = (stop > floor) & (kind[at] == _COMMA) & (kind[np.maximum(stop - 1, 0)] == _NUMBER)
    number = np.where((stop >= 0) & (kind[at] == _NUMBER), stop, np.where(by_comma, stop - 1, -1))
    of_street, ends = _among(kind, _SURE, _LOOSE), _among(near, _EDGE, _COMMA)
    before_street = _among(near, _SURE, _LOOSE)
    parting = (kind == _BUILDING) & ~ends & (number < 0)
    parting &= ~before_street | ((near == _LOOSE) & _among(second, _SURE, _LOOSE))
    earlier = np.concatenate(([-1], _last_so_far(words, parting)))[:-1]
    part = np.where((earlier >= floor) & (earlier > stop), earlier, -1)
    begin = np.maximum(np.maximum(stop, part), floor - 1) + 1
    number = np.where(part >= 0, -1, number)
    rank = np.where(ends & ~_among(kind, _COMMA, _NUMBER), 0, -1)
    rank[(kind == _BUILDING) & (~before_street | parting)] = 2
    complete = of_street & ~before_street & (near != _BUILDING) & ((place > begin) | ends)
    rank[complete] = np.where(kind == _SURE, 5, 4)[complete]
    rank += np.where((number >= 0) & (rank >= 0), np.where(rank >= 4, 2, 1), 0)
    size = max(len(kind), 1)
    best = _greatest(words, np.where(rank >= 0, rank * size + size - 1 - place, -1))
    end = np.where(best >= 0, size - 1 - best % size, -1)
    if not len(kind):
        return _Streets(end, end, end, end)
    turned = of_street & (near == _DIRECTION) & _among(second, _EDGE, _COMMA)
    return _Streets(
        np.where(end >= 0, begin[end], -1),
        np.where(end >= 0, end + turned[end], -1),
        np.where(end >= 0, number[end], -1),
        np.where(end >= 0, kind[end], _EDGE),
    )


def _greatest(words: _Words, values: Ints) -> Ints:
    """The greatest value of each address's words, -1 where it has none; (n,)."""
    out = np.full(len(words.starts) - 1, -1, np.int64)
    some = np.diff(words.starts) > 0
    if some.any():
        out[some] = np.maximum.reduceat(values, words.starts[:-1][some])
    return out


def _last(words: _Words, flags: Flags) -> Ints:
    """The place of each address's last flagged word, -1 where it has none; (n,)."""
    return _greatest(words, np.where(flags, np.arange(len(flags)), -1))


def _first(words: _Words, flags: Flags) -> Ints:
    """The place of each address's first flagged word, -1 where it has none; (n,)."""
    size = len(flags)
    found = _greatest(words, np.where(flags, size - np.arange(size), -1))
    return np.where(found >= 0, size - found, -1)


def _last_so_far(words: _Words, flags: Flags) -> Ints:
    """For each word the place of the last flagged one up to it in its address, else -1; (w,)."""
    place = np.maximum.accumulate(np.where(flags, np.arange(len(flags)), -1))
    return np.where(place >= words.starts[words.row], place, -1)
