"""Charts of the clusters: how large they are, and one of them as a graph.

The rules of linkage/charts.py hold here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.chart_parts import (
    BITS,
    BLUE,
    GREY,
    RED,
    WIDTH,
    altair_module,
    count_axis,
    finish,
    gaps,
    need,
    nothing,
    rows,
    series,
    stress_layout,
    tips,
    with_foot,
)

if TYPE_CHECKING:
    import altair

    Chart: TypeAlias = altair.Chart

_Reach: TypeAlias = tuple[tuple[float, float], tuple[float, float]]
_LABELLED_LINKS, _LABELLED_NODES = 40, 20
_SIZE_BANDS = (*range(1, 11), 20, 50, 100)


def cluster_sizes(sizes: Mapping[int, int]) -> Chart:
    """How many persons have how many records: single sizes up to 10, bands above.

    Args:
        sizes: number of records to number of persons.
    """
    title = "Records a person"
    given = {int(s): int(n) for s, n in sizes.items() if n}
    if not given:
        return nothing(title, "No persons.")
    alt = altair_module()
    size, persons = np.array(list(given)), np.array(list(given.values()))
    band = np.searchsorted(_SIZE_BANDS, size)
    frame = pd.DataFrame({"size": _band_names()[: int(band.max()) + 1]})
    frame["persons"] = np.bincount(band, persons, len(frame)).astype(np.int64)
    frame["records"] = np.bincount(band, persons * size, len(frame)).astype(np.int64)
    base = alt.Chart(rows(with_foot(frame, "persons"))).encode(
        x=alt.X("size:N", title="records", sort=None, axis={"labelAngle": 0, "labelFontSize": 11}),
        tooltip=tips(
            ("size:N", "records a person", ""),
            ("persons:Q", "persons", ",d"),
            ("records:Q", "their records", ",d"),
        ),
    )
    y = alt.Y("persons:Q", title="persons (log scale)", **count_axis(persons))
    bars = base.mark_bar(color=BLUE).encode(y=y, y2="foot:Q")
    text = base.mark_text(baseline="bottom", dy=-2).encode(
        y=alt.Y("end:Q", title="persons (log scale)"), text=alt.Text("persons:Q", format=".3~s")
    )
    return finish(
        alt.layer(bars, text).properties(width=WIDTH, height=220),
        title,
        f"The largest has {size.max():,} records.",
        f"Persons: {persons.sum():,}; with one record: {given.get(1, 0):,}",
    )


def cluster_graph(nodes: pd.DataFrame, edges: pd.DataFrame) -> Chart:
    """The records of a cluster and the pairs that hold them together.

    Args:
        nodes: id (unique), label, group (such as the source).
        edges: left, right (ids), bits, weak (true: would not hold by itself).

    Raises:
        ValueError: an edge names a node that is not there, or an id stands twice.
    """
    need(nodes, "id", "label", "group")
    need(edges, "left", "right", "bits", "weak")
    title = "Records and their links"
    if nodes.empty:
        return nothing(title, "No records.")
    alt = altair_module()
    nodes = nodes.assign(key=nodes["id"].astype(str)).sort_values("key", ignore_index=True)
    if nodes["key"].duplicated().any():
        raise ValueError("the nodes of a graph need ids that differ")
    ends = [pd.Index(nodes["key"]).get_indexer(edges[c].astype(str)) for c in ("left", "right")]
    if min(*(e.min(initial=0) for e in ends)) < 0:
        raise ValueError("an edge of the graph names a node that is not among the nodes")
    place = stress_layout(len(nodes), *ends)
    nodes = nodes.assign(x=place[:, 0], y=place[:, 1], above=_above(place, *ends))
    lines = edges.assign(
        x=place[ends[0], 0], y=place[ends[0], 1], x2=place[ends[1], 0], y2=place[ends[1], 1]
    )
    # Bits stand off the middle, where links cross.
    near, far = 0.62, 0.38
    lines["mx"] = near * lines["x"] + far * lines["x2"]
    lines["my"] = near * lines["y"] + far * lines["y2"]
    lines["kind"] = np.where(edges["weak"].astype(bool), "weak", "strong")
    weak = int(edges["weak"].astype(bool).sum())
    across, down = _reach(place[:, 0], 1.5), _reach(place[:, 1], 0.3)
    reach = (across, down)
    height = int(WIDTH * (down[1] - down[0]) / (across[1] - across[0]))
    return finish(
        alt.layer(*_graph_lines(lines, reach), *_graph_nodes(nodes, reach)).properties(
            width=WIDTH, height=height
        ),
        title,
        "A dashed red line is a weak link.",
        f"Records: {len(nodes)}, links: {len(edges)}, weak: {weak}",
        gaps(edges, "bits"),
    )


def _graph_lines(lines: pd.DataFrame, reach: _Reach) -> list[Any]:
    """The links, and their bits in the middle while there are few."""
    alt = altair_module()
    kinds = ["strong", "weak"]
    base = alt.Chart(rows(lines.drop(columns=["left", "right"]))).encode(
        tooltip=tips(("bits:Q", BITS, ".1f"), ("kind:N", "link", ""))
    )
    drawn = base.mark_rule(strokeWidth=2).encode(
        x=_place("x", reach[0]),
        y=_place("y", reach[1]),
        x2="x2:Q",
        y2="y2:Q",
        stroke=alt.Stroke("kind:N", scale=alt.Scale(domain=kinds, range=[GREY, RED]), legend=None),
        strokeDash=alt.StrokeDash(
            "kind:N", scale=alt.Scale(domain=kinds, range=[[1, 0], [6, 4]]), legend=None
        ),
        opacity=alt.Opacity("kind:O", scale=alt.Scale(domain=kinds, range=[0.55, 1]), legend=None),
    )
    if len(lines) > _LABELLED_LINKS:
        return [drawn]
    label = base.mark_text(baseline="bottom", dy=-2).encode(
        x=_place("mx", reach[0]), y=_place("my", reach[1]), text=alt.Text("bits:Q", format=".1f")
    )
    return [drawn, label]


def _graph_nodes(nodes: pd.DataFrame, reach: _Reach) -> list[Any]:
    """The records, their labels beside them while there are few."""
    alt = altair_module()
    groups = sorted({str(g) for g in nodes["group"]})
    kept = nodes[["label", "group", "x", "y", "above"]].astype({"label": str, "group": str})
    base = alt.Chart(rows(kept)).encode(
        x=_place("x", reach[0]),
        y=_place("y", reach[1]),
        tooltip=tips(("label:N", "record", ""), ("group:N", "group", "")),
    )
    dots = base.mark_circle(size=170, opacity=1).encode(color=series("group", groups, "group"))
    if len(nodes) > _LABELLED_NODES:
        return [dots]
    labels = []
    for above, side, dy in ((True, "bottom", -10), (False, "top", 10)):
        text = base.mark_text(baseline=side, dy=dy, limit=160, fontWeight="bold")
        kept_side = text.transform_filter(f"datum.above === {str(above).lower()}")
        labels.append(kept_side.encode(text="label:N"))
    return [dots, *labels]


def _place(column: str, reach: tuple[float, float]) -> dict[str, Any]:
    """A position without an axis, with room at the edges for the labels."""
    return {
        "field": column,
        "type": "quantitative",
        "axis": None,
        "scale": {"domain": list(reach), "nice": False, "zero": False},
    }


def _above(
    place: npt.NDArray[np.float64], left: npt.NDArray[np.intp], right: npt.NDArray[np.intp]
) -> npt.NDArray[np.bool_]:
    """Whether a node's links run mostly downwards, so that its label has room above it."""
    rise = np.zeros(len(place))
    slope = place[right, 1] - place[left, 1]
    np.add.at(rise, left, slope)
    np.add.at(rise, right, -slope)
    return rise < 0


def _reach(place: npt.NDArray[np.float64], floor: float) -> tuple[float, float]:
    """The lowest and highest place with a margin, at least `floor` steps apart."""
    low, high = float(place.min()), float(place.max())
    spare = max(0.12 * (high - low), (floor - (high - low)) / 2, 0.1)
    return round(low - spare, 3), round(high + spare, 3)


def _band_names() -> list[str]:
    """Sizes and bands of sizes as text; the last band has no upper end."""
    starts = [1, *(b + 1 for b in _SIZE_BANDS)]
    named = [
        f"{low}" if low == high else f"{low}–{high}"  # noqa: RUF001 - a range takes an en dash
        for low, high in zip(starts, _SIZE_BANDS, strict=False)
    ]
    return [*named, f"{starts[-1]}+"]
