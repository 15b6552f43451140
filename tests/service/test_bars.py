"""The bars of the nightly report: as long as what they stand for, and readable by a machine."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bars import Part, across, powers_to, ticks_to, upright

SVG = "{http://www.w3.org/2000/svg}"
PARTS = [Part("new", "#005eb8"), Part("changed", "#41b6e6")]
COUNTS = st.integers(0, 10**7)


def bars(svg: str, along: str) -> dict[str, float]:
    """What each bar says of itself → its length."""
    told = {
        (rect.findtext(f"{SVG}title") or ""): float(rect.get(along, "nan"))
        for rect in ElementTree.fromstring(svg).iter(f"{SVG}rect")
    }
    return {text: length for text, length in told.items() if ":" in text}


def texts(svg: str) -> list[str]:
    return [one.text or "" for one in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@given(st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=8))
def test_a_bar_across_is_as_long_as_its_number(values: list[tuple[int, int]]) -> None:
    labels = [f"s{place}" for place in range(len(values))]
    svg = across("Units", labels, PARTS, values, "units")
    found = bars(svg, "width")
    assert len(found) == 2 * len(values)
    longest = max(sum(row) for row in values) or 1
    scale = max(found.values()) / max(*map(max, values), 1)
    for label, row in zip(labels, values, strict=True):
        for part, value in zip(PARTS, row, strict=True):
            told = found[f"{label}, {part.name}: {value:,} units"]
            assert told == pytest.approx(value * scale, abs=0.2 + longest * 1e-6)
    assert {"new", "changed", "units", *labels} <= set(texts(svg))


@given(st.lists(COUNTS, min_size=1, max_size=60), st.booleans())
def test_more_is_never_shorter(values: list[int], logarithmic: bool) -> None:
    labels = [str(place) for place in range(len(values))]
    svg = upright(
        "Sizes", labels, values, along="records", unit="persons", colour="#000",
        logarithmic=logarithmic,
    )  # fmt: skip
    found = bars(svg, "height")
    tall = [found[f"records {n}: {value:,} persons"] for n, value in enumerate(values)]
    by_value = [height for _, height in sorted(zip(values, tall, strict=True))]
    assert by_value == sorted(by_value)
    assert all((height == 0) == (value == 0) or height < 0.1
               for value, height in zip(values, tall, strict=True))  # fmt: skip


@given(st.floats(1e-6, 1e12))
def test_ticks_reach_the_highest_and_are_few(highest: float) -> None:
    ticks = ticks_to(highest)
    assert ticks[0] == 0
    assert ticks[-1] >= highest * (1 - 1e-9)
    assert 2 <= len(ticks) <= 7


POWERS: list[tuple[float, Sequence[float]]] = [
    (0, [0, 1]), (1, [0, 1]), (2, [0, 1, 10]), (10, [0, 1, 10]), (11, [0, 1, 10, 100]),
]  # fmt: skip


@pytest.mark.parametrize(("highest", "expected"), POWERS)
def test_powers(highest: float, expected: Sequence[float]) -> None:
    assert powers_to(highest) == expected


def test_what_is_written_in_a_label_is_text() -> None:
    svg = across("<b>", ["<script>"], [Part("", "#000")], [[1.5]], "a & b")
    assert "<script>" not in svg
    assert "&lt;script&gt;" in svg
    assert list(bars(svg, "width")) == ["<script>: 1.5 a & b"]
    assert ElementTree.fromstring(svg).get("aria-label") == "<b>"


def test_nothing_to_draw_is_an_empty_picture() -> None:
    svg = upright("Sizes", [], [], along="records", unit="persons", colour="#000")
    assert not bars(svg, "height")
