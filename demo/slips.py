"""Slips of the pen and the keyboard: one true value in, one wrong value out. No tables of rates.

Rules:
- Every function takes a value and a number of luck in [0, 1) and is a pure function of both.
- A wrong NHS number stays in the 999 range.
- A slip always gives another value than the true one, or the same where there is no other.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from demo.names import nicknames, variants

Slip = Callable[[str, float], str]

_NEAR = {
    "a": "se", "b": "vn", "c": "xk", "d": "sf", "e": "ra", "f": "dg", "g": "fh", "h": "gj",
    "i": "oy", "j": "hk", "k": "jc", "l": "k", "m": "n", "n": "m", "o": "iu", "p": "o", "q": "w",
    "r": "te", "s": "az", "t": "ry", "u": "io", "v": "b", "w": "e", "x": "z", "y": "ui", "z": "sx",
}  # fmt: skip
"""Letters beside each other on the keyboard, or of like sound."""
_SOUNDS = (("ph", "f"), ("ie", "ei"), ("ck", "k"), ("ll", "l"), ("nn", "n"), ("tt", "t"),
           ("ss", "s"), ("ee", "ea"), ("ey", "y"), ("mc", "mac"), ("gh", "g"), ("ou", "oo"),
           ("th", "t"), ("sh", "s"), ("ch", "sh"), ("ow", "ou"))  # fmt: skip


def _pick(options: int, luck: float) -> tuple[int, float]:
    """One of `options`, and luck for the next choice."""
    scaled = luck * options
    return int(scaled), scaled - int(scaled)


def misspell(name: str, luck: float) -> str:
    """A name with one slip: a sound written otherwise; a letter swapped, doubled, lost, beside."""
    if len(name) < 3:
        return name
    kind, luck = _pick(5, luck)
    place, luck = _pick(len(name) - 2, luck)
    at = place + 1
    letter = name[at]
    lower = name.lower()
    swaps = [(a, b) for a, b in _SOUNDS if a in lower[1:]]
    if kind == 0 and swaps:
        sound, other = swaps[_pick(len(swaps), luck)[0]]
        where = lower.index(sound, 1)
        return name[:where] + other + name[where + len(sound) :]
    if kind == 1 and name[at] != name[at + 1] and name[at : at + 2].isalpha():
        return name[:at] + name[at + 1] + letter + name[at + 2 :]
    if kind == 2:
        return name[:at] + letter + name[at:]
    near = _NEAR.get(letter.lower())
    if kind == 3 and near:
        return name[:at] + near[_pick(len(near), luck)[0]] + name[at + 1 :]
    return name[:at] + name[at + 1 :]


def short_form(name: str, luck: float) -> str:
    """A nickname of the forename."""
    forms = nicknames()[name]
    return forms[_pick(len(forms), luck)[0]]


def other_spelling(name: str, luck: float) -> str:
    """Another spelling of the same name."""
    forms = variants()[name]
    return forms[_pick(len(forms), luck)[0]]


def part_of_name(name: str, luck: float) -> str:
    """One part of a family name of two, or both run together."""
    parts = name.replace("-", " ").split()
    kind, _ = _pick(5, luck)
    if kind < 2:
        return parts[kind * (len(parts) - 1)]
    return (" ".join(parts) if "-" in name else "-".join(parts)) if kind < 4 else "".join(parts)


def swap_day_month(day: str, luck: float) -> str:
    """1980-05-07 → 1980-07-05. Requires: both are at most 12. `luck` has no part in it."""
    del luck
    return f"{day[:4]}-{day[8:]}-{day[5:7]}"


def slip_digit(day: str, luck: float) -> str:
    """A date with one digit of year, month or day typed wrong that is still a date."""
    kind, luck = _pick(4, luck)
    year, month, dom = int(day[:4]), int(day[5:7]), int(day[8:])
    delta = (1, -1, 2, 3, -2, 10, -10)[_pick(7, luck)[0]]
    tries = {
        0: (year + delta, month, dom), 1: (year, month + delta, dom),
        2: (year, month, dom + delta), 3: (year + (10 if delta > 0 else -10), month, dom),
    }  # fmt: skip
    for candidate in (tries[kind], (year, month, dom - 1), (year, month, dom + 1)):
        try:
            slipped = date(*candidate)
        except ValueError:
            continue
        if slipped <= date(2026, 2, 28):
            return slipped.isoformat()
    return day


def first_of_january(day: str, luck: float) -> str:
    """The year kept, day and month not known. `luck` has no part in it."""
    del luck
    return f"{day[:4]}-01-01"


def wrong_digit(number: str, luck: float) -> str:
    """An NHS number with one of its last seven digits wrong: Modulus 11 always tells."""
    place, luck = _pick(7, luck)
    step, _ = _pick(9, luck)
    digit = (int(number[3 + place]) + 1 + step) % 10
    return number[: 3 + place] + str(digit) + number[4 + place :]


def transpose_digits(number: str, luck: float) -> str:
    """An NHS number with two unlike neighbours of its last seven digits swapped."""
    places = [i for i in range(3, 9) if number[i] != number[i + 1]]
    at = places[_pick(len(places), luck)[0]]
    return number[:at] + number[at + 1] + number[at] + number[at + 2 :]


def mistype_postcode(postcode: str, luck: float) -> str:
    """A postcode with one slip in its inward part: a digit or letter wrong, letters swapped."""
    kind, luck = _pick(3, luck)
    head, inward = postcode[:-3], postcode[-3:]
    if kind == 0:
        digit = (int(inward[0]) + 1 + _pick(9, luck)[0]) % 10
        return f"{head}{digit}{inward[1:]}"
    if kind == 1 and inward[1] != inward[2]:
        return f"{head}{inward[0]}{inward[2]}{inward[1]}"
    others = [c for c in "ABDEFGHJLNPQRSTUWXYZ" if c != inward[2]]
    return head + inward[:2] + others[_pick(len(others), luck)[0]]


_SHORT = {"Road": "Rd", "Street": "St", "Avenue": "Ave", "Close": "Cl", "Lane": "La", "Drive": "Dr",
          "Terrace": "Terr", "Gardens": "Gdns", "Crescent": "Cres", "Place": "Pl",
          "Grove": "Grv", "Court": "Ct", "Flat": "Apt"}  # fmt: skip


def rewrite_line(line: str, luck: float) -> str:
    """An address line as another clerk writes it: abbreviated, in capitals, or with a comma."""
    kind, _ = _pick(3, luck)
    if kind == 0:
        return line.upper()
    if kind == 1 and line[:1].isdigit():
        number, _, rest = line.partition(" ")
        return f"{number}, {rest}"
    return " ".join(_SHORT.get(word, word) for word in line.split(" "))
