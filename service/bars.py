"""Bars as SVG, drawn without a library: a night should not wait two seconds for four small charts.

Rules:
- What is drawn is told in words too: the picture has a title, and each bar says what it stands for.
- Texts are escaped; numbers are counts and seconds of the program's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH = 640
"""Of a drawing, in pixels."""
_LABELS, _BAR, _HEIGHT, _FOOT, _SIDE, _TOP = 150, 22, 220, 44, 64, 20
_TICKS = 5
"""About so many numbers along an axis."""
_INK, _GRID = "#212b32", "#d8dde0"


@dataclass(frozen=True)
class Part:
    """A kind of thing that bars are made of, and its colour."""

    name: str
    colour: str


def across(
    title: str, labels: Sequence[str], parts: Sequence[Part], values: Sequence[Sequence[float]],
    unit: str,
) -> Markup:  # fmt: skip
    """A bar across the page for each label, of parts one after the other.

    Args:
        values: (labels, parts), none below nought.
    """
    highest = max((sum(row) for row in values), default=0.0)
    ticks = ticks_to(highest)
    scale = (WIDTH - _LABELS - _SIDE) / (ticks[-1] or 1.0)
    foot = len(labels) * _BAR
    drawn = [
        _line(_LABELS + tick * scale, 0, _LABELS + tick * scale, foot)
        + _text(_LABELS + tick * scale, foot + 16, _number(tick), "middle")
        for tick in ticks
    ]
    for place, (label, row) in enumerate(zip(labels, values, strict=True)):
        drawn.append(_text(_LABELS - 8, place * _BAR + 15, label, "end"))
        at = float(_LABELS)
        for part, value in zip(parts, row, strict=True):
            named = f"{label}, {part.name}" if part.name else label
            drawn.append(_bar(at, place * _BAR + 3, value * scale, _BAR - 6, part.colour,
                              f"{named}: {_number(value)} {unit}"))  # fmt: skip
            at += value * scale
    drawn.append(_text((WIDTH + _LABELS - _SIDE) / 2, foot + 34, unit, "middle"))
    named_parts = [part for part in parts if part.name]
    drawn += _legend(named_parts, foot + 50)
    return _svg(title, foot + (70 if named_parts else _FOOT), drawn)


def upright(
    title: str, labels: Sequence[str], values: Sequence[float], *, along: str, unit: str,
    colour: str, logarithmic: bool = False,
) -> Markup:  # fmt: skip
    """A bar up the page for each label, side by side.

    Args:
        values: none below nought. along: what the labels are.
        logarithmic: bars grow with log(1 + value).
    """
    highest = max(values, default=0.0)
    ticks = powers_to(highest) if logarithmic else ticks_to(highest)
    top = _grown(ticks[-1], logarithmic) or 1.0
    step = (WIDTH - 2 * _SIDE) / max(len(labels), 1)
    every = -(-len(labels) // 20)  # of more labels than that, not each has room
    drawn = []
    for tick in ticks:
        y = _HEIGHT * (1 - _grown(tick, logarithmic) / top) + _TOP
        drawn += [_line(_SIDE, y, WIDTH - _SIDE, y), _text(_SIDE - 6, y + 4, _number(tick), "end")]
    for place, (label, value) in enumerate(zip(labels, values, strict=True)):
        tall = _HEIGHT * _grown(value, logarithmic) / top
        x = _SIDE + place * step
        drawn.append(_bar(x + step * 0.05, _HEIGHT - tall + _TOP, step * 0.9, tall, colour,
                          f"{along} {label}: {_number(value)} {unit}"))  # fmt: skip
        if place % every == 0:
            drawn.append(_text(x + step / 2, _HEIGHT + _TOP + 16, label, "middle"))
    drawn.append(_text(WIDTH / 2, _HEIGHT + _TOP + 34, along, "middle"))
    drawn.append(_text(4, 4, unit, "start"))
    return _svg(title, _HEIGHT + _TOP + _FOOT, drawn)


def ticks_to(highest: float) -> list[float]:
    """Round numbers from nought to the highest or beyond it, at one distance."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough)
    return [step * n for n in range(math.ceil(highest / step) + 1)]


def powers_to(highest: float) -> list[float]:
    """Nought, and powers of ten from one to the highest or beyond it."""
    reach = math.ceil(math.log10(highest)) if highest > 1 else 0
    return [0.0, *(10.0**power for power in range(reach + 1))]


def _grown(value: float, logarithmic: bool) -> float:
    return math.log1p(value) if logarithmic else value


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.4g}"


def _legend(parts: Sequence[Part], y: float) -> Iterator[Markup]:
    for place, part in enumerate(parts):
        x = _LABELS + place * 115
        yield _bar(x, y, 12, 12, part.colour, part.name) + _text(x + 18, y + 11, part.name, "start")


def _bar(x: float, y: float, wide: float, tall: float, colour: str, told: str) -> Markup:
    return Markup(
        '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}"><title>{}</title>'
        "</rect>"
    ).format(x, y, wide, tall, colour, told)


def _line(x: float, y: float, to_x: float, to_y: float) -> Markup:
    return Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="{}"/>').format(
        x, y, to_x, to_y, _GRID
    )


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        x, y, anchor, text
    )


def _svg(title: str, tall: float, drawn: Sequence[Markup]) -> Markup:
    head = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-4 -10 {} {}" width="{}" role="img"'
        ' aria-label="{}" font-family="Arial, sans-serif" font-size="12" fill="{}">'
    ).format(WIDTH + 8, round(tall) + 14, WIDTH, title, _INK)
    return head + Markup("").join(drawn) + Markup("</svg>")
