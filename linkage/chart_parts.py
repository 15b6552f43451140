"""What all charts of a linkage share: one look, clean rows, threshold marks, decade axes, a layout.

Rules:
- Altair is loaded when the first chart is made, so that `import linkage` stays quick.
- Names and values travel as data rows only: no text of the caller becomes part of an expression.
- Colours are told apart with any colour vision (Okabe and Ito 2008) and stand out on white and on
  near-black paper alike. Where colour carries meaning, a dash, a shape or a place carries it too.
- A number that is not finite is not drawn, and the chart says how many there were.
- Nothing here is random: the same input gives the same specification, character by character.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import shortest_path
from scipy.spatial.distance import cdist

if TYPE_CHECKING:
    import altair

    Chart: TypeAlias = altair.Chart

BLUE, RED, GREEN, PINK, SKY, ORANGE = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00",
)  # fmt: skip
GREY = "#7F868C"
SERIES = (BLUE, RED, GREEN, PINK, SKY, ORANGE, GREY)

WIDTH = 640
"""Pixels of the drawing area of a chart that fills the page."""
BITS = "match weight (bits)"
FOR, AGAINST = "for one person", "against"
"""The two sides of evidence, as legends name them."""
COUNT_FOOT = 0.5
"""Where bars of counts begin on a log axis: a count of 1 still shows, 0 does not."""
IN_ORDER = {"field": "at", "op": "min"}
"""A sort by the column `at`: the row's place in the caller's frame."""
_LABEL_LIMIT = 240
# Vega keeps groups in plain JavaScript objects, where this one name is none: all other groups would
# be lost. An invisible character (U+2060, word joiner) in front makes a name of it.
_PROTO = "\u2060__proto__"
_STROKE = {"symbolType": "stroke", "symbolSize": 500, "symbolOpacity": 1, "columns": len(SERIES)}
_DASHES = ([1, 0], [7, 3], [2, 2])


def altair_module() -> Any:
    """Altair itself, loaded now and not when this package is imported."""
    import altair  # noqa: PLC0415

    return altair


def look(ink: str, paper: str) -> dict[str, Any]:
    """The Vega-Lite configuration of every chart.

    Args:
        ink: CSS colour of text, axes and rules; `currentColor` follows the page it stands in.
        paper: CSS colour behind the chart; may be `transparent`.
    """
    faint = {"gridColor": ink, "gridOpacity": 0.13, "domainColor": ink, "tickColor": ink}
    text = {"labelColor": ink, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12}
    return {
        "background": paper,
        "font": "Arial, Liberation Sans, sans-serif",
        "padding": 8,
        "view": {"stroke": None},
        "axis": {
            **faint,
            **text,
            "domainOpacity": 0.5,
            "tickOpacity": 0.5,
            "labelLimit": _LABEL_LIMIT,
            "titleFontWeight": "normal",
            "titlePadding": 8,
        },
        "header": {**text, "labelFontWeight": "bold", "labelLimit": 0.9 * WIDTH},
        "legend": {
            **text,
            "orient": "bottom",
            "titleFontWeight": "normal",
            "labelLimit": _LABEL_LIMIT,
            "columns": 3,
            "symbolStrokeWidth": 2,
            "symbolBaseFillColor": ink,
            "symbolBaseStrokeColor": ink,
        },
        "title": {
            "anchor": "start",
            "color": ink,
            "subtitleColor": ink,
            "fontSize": 15,
            "subtitleFontSize": 12,
            "subtitlePadding": 5,
            "offset": 20,
            "limit": 1.4 * WIDTH,
        },
        "text": {"color": ink, "fontSize": 11},
        "rule": {"color": ink},
    }


def rows(frame: pd.DataFrame) -> Any:
    """The frame as inline Vega data; numbers that are not finite become null."""
    text = frame.to_json(orient="records", double_precision=12)
    return altair_module().Data(values=json.loads(text.replace('"__proto__"', f'"{_PROTO}"')))


def usable(name: str) -> str:
    """The name as `rows` sends it, for the domains of scales."""
    return _PROTO if name == "__proto__" else name


def need(frame: pd.DataFrame, *columns: str) -> None:
    """Refuses a frame that lacks a column a chart draws.

    Raises:
        ValueError: with the names of the missing columns.
    """
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise ValueError(f"the chart's frame lacks the column(s) {', '.join(missing)}")


def gaps(frame: pd.DataFrame, *columns: str) -> int:
    """How many numbers of these columns are not finite and thus cannot be drawn."""
    return int((~np.isfinite(frame[list(columns)].to_numpy(np.float64))).sum())


def distinct(labels: Sequence[str]) -> list[str]:
    """The labels in their order, a repeated one with its number behind it."""
    seen: dict[str, int] = {}
    out: list[str] = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        out.append(usable(label) if seen[label] == 1 else f"{label} ({seen[label]})")
    return out


def tips(*columns: tuple[str, str, str]) -> list[Any]:
    """Tooltip lines from (column with type, title, number format or "")."""
    alt = altair_module()
    return [
        alt.Tooltip(column, title=title, format=form) if form else alt.Tooltip(column, title=title)
        for column, title, form in columns
    ]


def finish(chart: Any, title: str, about: str, summary: str, left_out: int = 0) -> Chart:
    """The chart with its title, its line of explanation, its text alternative and the look.

    Args:
        chart: any Altair chart.
        about: what is drawn, in one or more lines under the title.
        summary: what the chart says, for those who do not see it.
        left_out: numbers that were not finite.
    """
    lines = about.splitlines()
    if left_out:
        lines.append(f"{left_out} value(s) that are not finite numbers are not drawn.")
    heading = altair_module().TitleParams(text=title, subtitle=lines)
    spoken = ". ".join(part.rstrip(".:") for part in (title, *lines, summary) if part) + "."
    return chart.properties(title=heading, description=spoken, config=look("#212B32", "white"))


def nothing(title: str, why: str) -> Chart:
    """A chart that says why there is nothing to draw."""
    alt = altair_module()
    text = alt.Chart(alt.Data(values=[{"note": why}])).mark_text(fontSize=13).encode(text="note:N")
    return finish(text.properties(width=WIDTH, height=60), title, "", why)


def threshold_marks(marks: Mapping[str, float | None]) -> list[Any]:
    """Dashed upright lines at thresholds, in bits; names stand above the drawing area.

    Args:
        marks: name to bits, lowest first. The last name stands right of its line and the others
            left of theirs, so that two near thresholds keep their names apart.
    """
    alt = altair_module()
    given = [(name, bits) for name, bits in marks.items() if bits is not None]
    layers = []
    for name, bits in given:
        right = name == given[-1][0]
        base = alt.Chart(alt.Data(values=[{"bits": bits, "mark": f"{name} at {bits:g} bits"}]))
        x = alt.X("bits:Q", title=BITS)
        layers.append(base.mark_rule(strokeDash=[5, 3], strokeWidth=1.5).encode(x=x))
        label = base.mark_text(
            align="left" if right else "right", dx=3 if right else -3, baseline="bottom"
        )
        layers.append(label.encode(x=x, y=alt.value(-4), text="mark:N"))
    return layers


def decades(values: npt.ArrayLike) -> tuple[float, list[float]]:
    """Foot and ticks of a log axis for shares of which some may be 0.

    Returns:
        The foot, a power of ten below every positive value, which stands for 0 where a value is 0;
        and the powers of ten from it up past the largest value (at most 1 above it).
    """
    given = np.asarray(values, np.float64)
    positive = given[np.isfinite(given) & (given > 0)]
    if not positive.size:
        return 0.1, [0.1, 1.0]
    low = math.floor(math.log10(positive.min()) + 1e-9) - int((given == 0).any())
    high = max(math.ceil(math.log10(positive.max()) - 1e-9), low + 1)
    return 10.0**low, [float(10.0**k) for k in range(low, high + 1)]


def share_axis(values: npt.ArrayLike, form: str) -> dict[str, Any]:
    """Scale and axis settings of a log axis over `values`; its foot reads 0 where a value is 0."""
    foot, ticks = decades(values)
    zero = bool((np.asarray(values, np.float64) == 0).any())
    shown = f"format(datum.value, '{form}')"
    # The foot is our own number, never the caller's text.
    label = f"datum.value <= {foot * 1.001!r} ? '0' : {shown}" if zero else shown
    return {
        "scale": {"type": "log", "domain": [foot, ticks[-1]], "nice": False},
        "axis": {"values": ticks, "labelExpr": label},
    }


def in_panels(column: str, limit: float = 0.9 * WIDTH) -> Any:
    """A facet with one panel for each value of the column, in the caller's order."""
    alt = altair_module()
    header = alt.Header(title=None, labelAnchor="start", labelOrient="top", labelLimit=limit)
    return alt.Facet(f"{column}:N", sort=IN_ORDER, header=header)


def series(column: str, names: Sequence[str], title: str | None, *, line: bool = False) -> Any:
    """Colours for the named series; the eighth name and later ones take the colours again.

    `line` shows them as strokes in the legend.
    """
    alt = altair_module()
    colours = [SERIES[at % len(SERIES)] for at in range(len(names))]
    scale = alt.Scale(domain=[usable(n) for n in names], range=colours)
    legend = alt.Legend(title=title, **(_STROKE if line else {}))
    return alt.Color(f"{column}:N", scale=scale, legend=legend)


def dashes(column: str, names: Sequence[str], *, legend: bool = True) -> Any:
    """Dash patterns for the named series, beside their colours or explained elsewhere."""
    alt = altair_module()
    kinds = [_DASHES[at % len(_DASHES)] for at in range(len(names))]
    scale = alt.Scale(domain=[usable(n) for n in names], range=kinds)
    shown = alt.Legend(title=None, **_STROKE) if legend else None
    return alt.StrokeDash(f"{column}:N", scale=scale, legend=shown)


def sides() -> Any:
    """Colours of evidence for and against one person."""
    alt = altair_module()
    scale = alt.Scale(domain=[FOR, AGAINST], range=[BLUE, RED])
    return alt.Color("side:N", scale=scale, legend=alt.Legend(title=None))


def line_chart(
    frame: pd.DataFrame, names: Sequence[str], key: str, value: str, foot: float | None = None
) -> Any:
    """Lines of several columns over bits, told apart by colour and dash.

    Args:
        frame: bits and the named columns.
        key, value: titles of what the columns are and of their numbers.
        foot: where to draw 0 on a log axis, in the column `drawn`.
    """
    alt = altair_module()
    long = frame[["bits", *names]].melt("bits", var_name="series", value_name="number")
    long["drawn"] = long["number"] if foot is None else long["number"].clip(lower=foot)
    return (
        alt.Chart(rows(long))
        .mark_line(point="transparent", strokeWidth=2)
        .encode(
            x=alt.X("bits:Q", title=BITS),
            color=series("series", names, None, line=True),
            strokeDash=dashes("series", names),
            tooltip=tips(
                ("series:N", key, ""), ("bits:Q", "bits", ".2f"), ("number:Q", value, ".4~g")
            ),
        )
    )


def count_axis(counts: npt.ArrayLike) -> dict[str, Any]:
    """Scale and axis settings of a log axis for counts; bars rise from `COUNT_FOOT`."""
    top = max(float(np.max(counts, initial=1)), 1.0)
    ticks = [10.0**k for k in range(math.floor(math.log10(top)) + 1)]
    return {
        "scale": {"type": "log", "domain": [COUNT_FOOT, max(2 * top, 10.0)], "nice": False},
        "axis": {"values": ticks, "format": "~s"},
    }


def with_foot(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """The frame with what bars of counts on a log axis need.

    Returns:
        The frame with `foot`, where bars begin, and `end`, where they end: at the foot for 0.
    """
    return frame.assign(foot=COUNT_FOOT, end=frame[column].clip(lower=COUNT_FOOT))


def stress_layout(count: int, left: npt.ArrayLike, right: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Places of a graph's nodes, so that distance on paper follows steps along edges.

    Stress majorisation (Gansner, Koren and North 2004, equation 10) from a circle, with weights
    1/d²; nodes that no path joins stand a little further apart than the longest path. The result
    is turned so that its longer side lies level, and rounded so that it is the same everywhere.

    Args:
        count: how many nodes. Time grows with its cube: meant for clusters, not for populations.
        left, right: node numbers of each edge, in [0, count).

    Returns:
        (count, 2) places around the origin.
    """
    turn = 2 * np.pi * np.arange(count) / max(count, 1)
    place = np.column_stack([np.cos(turn), np.sin(turn)]) * max(count, 1) / (2 * np.pi)
    if count < 3:
        return np.column_stack([np.arange(count) - (count - 1) / 2, np.zeros(count)])
    ends = (np.asarray(left, np.int64), np.asarray(right, np.int64))
    degree = np.bincount(np.concatenate(ends), minlength=count)
    # Longer links where many meet, so that dense groups spread out.
    length = (degree[ends[0]] * degree[ends[1]]) ** 0.25
    graph = coo_array((length, ends), shape=(count, count)).tocsr()
    steps = np.asarray(shortest_path(graph, directed=False))
    steps[np.isinf(steps)] = steps[np.isfinite(steps)].max() + 1
    np.fill_diagonal(steps, 1)
    weight = steps**-2
    np.fill_diagonal(weight, 0)
    solve = np.linalg.pinv(np.diag(weight.sum(1)) - weight)
    for _ in range(150):
        apart = cdist(place, place)
        pull = -weight * steps / np.maximum(apart, 1e-9)
        np.fill_diagonal(pull, 0)
        np.fill_diagonal(pull, -pull.sum(1))
        place = solve @ (pull @ place)
    place = place - place.mean(0)
    axes = np.linalg.svd(place, full_matrices=False)[2]
    place = place @ axes.T
    # An axis has no sign of its own: the first node off the centre line stands left and above.
    for side in range(2):
        off = place[np.abs(place[:, side]) > 1e-6, side]
        place[:, side] *= -1 if off.size and off[0] > 0 else 1
    out: npt.NDArray[np.float64] = np.round(place, 3) + 0.0
    return out
