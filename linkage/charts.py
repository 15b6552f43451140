"""The charts of a linkage: small tables in, Altair charts out.

Weights are in bits (log2 of a likelihood ratio), shares in [0, 1]. Every frame is a plain pandas
DataFrame with the columns its function names; more columns do no harm. Every chart has a title, a
text alternative (`description`), and tooltips.

Rules:
- Pure functions: no I/O, no clock, nothing random; the same input gives the same specification.
- An empty frame gives a chart that says so; a missing column is an error.
- No value of a person stands in a chart, except what the caller puts into `waterfall`'s column
  `value` and into the labels of `cluster_graph`.
- What all charts share is in linkage/chart_parts.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.chart_parts import (
    BITS,
    BLUE,
    GREY,
    RED,
    SKY,
    WIDTH,
    altair_module,
    count_axis,
    dashes,
    decades,
    distinct,
    finish,
    gaps,
    line_chart,
    need,
    nothing,
    rows,
    series,
    share_axis,
    threshold_marks,
    tips,
    with_foot,
)
from linkage.cluster_charts import cluster_graph, cluster_sizes
from linkage.model_charts import convergence, match_weights, parameters, waterfall

if TYPE_CHECKING:
    import altair

    Chart: TypeAlias = altair.Chart

__all__ = [
    "blocking",
    "cluster_graph",
    "cluster_sizes",
    "convergence",
    "error_rates",
    "match_weights",
    "parameters",
    "reliability",
    "subgroups",
    "thresholds",
    "to_png",
    "to_svg",
    "unlinkable",
    "waterfall",
    "weight_histogram",
]

_UNIT = {"domain": [0, 1]}


def weight_histogram(
    edges: npt.ArrayLike,
    counts: npt.ArrayLike,
    join_bits: float | None = None,
    review_bits: float | None = None,
) -> Chart:
    """Compared pairs by match weight, on a log scale, with both thresholds.

    Args:
        edges: n + 1 finite rising edges of bins, in bits.
        counts: n counts of pairs.

    Raises:
        ValueError: edges and counts do not fit each other.
    """
    bounds, pairs = np.asarray(edges, np.float64), np.asarray(counts, np.int64)
    if len(bounds) != len(pairs) + 1 or not np.isfinite(bounds).all():
        raise ValueError("a histogram of n counts needs n + 1 finite edges")
    title = "Pairs by match weight"
    if not pairs.sum():
        return nothing(title, "No pairs were compared.")
    alt = altair_module()
    left = bounds[:-1]
    zone = np.full(len(left), "apart", dtype=object)
    if review_bits is not None:
        zone[left >= review_bits] = "review"
    if join_bits is not None:
        zone[left >= join_bits] = "joined"
    frame = pd.DataFrame({"left": left, "right": bounds[1:], "pairs": pairs, "zone": zone})
    colours = {"apart": GREY, "review": RED, "joined": BLUE}
    kept = {z: c for z, c in colours.items() if z in set(zone)}
    bars = (
        alt.Chart(rows(with_foot(frame, "pairs")))
        .mark_bar(binSpacing=0.5)
        .encode(
            x=alt.X("left:Q", title=BITS, scale=alt.Scale(nice=False)),
            x2="right:Q",
            y=alt.Y("pairs:Q", title="pairs (log scale)", **count_axis(pairs)),
            y2="foot:Q",
            color=alt.Color(
                "zone:N",
                scale=alt.Scale(domain=list(kept), range=list(kept.values())),
                legend=alt.Legend(title=None),
            ),
            tooltip=tips(
                ("left:Q", "from bits", ".2f"),
                ("right:Q", "to bits", ".2f"),
                ("pairs:Q", "pairs", ",d"),
            ),
        )
    )
    layers = [bars, *threshold_marks({"review": review_bits, "join": join_bits})]
    said = ", ".join(f"{int(pairs[zone == z].sum()):,} {z}" for z in kept)
    return finish(
        alt.layer(*layers).properties(width=WIDTH, height=240),
        title,
        "All compared pairs; each bar counts in the zone where it starts.",
        f"{int(pairs.sum()):,} pairs: {said}",
    )


def thresholds(frame: pd.DataFrame, join_bits: float | None = None) -> Chart:
    """Precision, recall and F1 as the threshold moves.

    Args:
        frame: bits, precision, recall, f1; bounds are drawn for each measure that has the columns
            `<measure>_lower` and `<measure>_upper`.
    """
    measures = ["precision", "recall", "f1"]
    need(frame, "bits", *measures)
    title = "Precision and recall by threshold"
    if frame.empty:
        return nothing(title, "No threshold was tried.")
    alt = altair_module()
    bounded = [m for m in measures if {f"{m}_lower", f"{m}_upper"} <= set(frame.columns)]
    lines = line_chart(frame, measures, "measure", "share")
    y = alt.Y("drawn:Q", title="share", scale=alt.Scale(zero=False), axis=alt.Axis(format="~%"))
    layers = [lines.encode(y=y), *threshold_marks({"join": join_bits})]
    if bounded:
        layers.append(_bands(frame, bounded, measures))
    best = frame.sort_values("f1", na_position="first").iloc[-1]
    return finish(
        alt.layer(*layers).properties(width=WIDTH, height=260),
        title,
        "Pairs at or above the threshold are joined." + (" Bands: bounds." if bounded else ""),
        f"F1 is highest, {best['f1']:.4f}, at {best['bits']:.1f} bits",
        gaps(frame, *measures),
    )


def error_rates(
    frame: pd.DataFrame, join_bits: float | None = None, review_bits: float | None = None
) -> Chart:
    """False and missed matches as the threshold moves, on a log scale.

    Args:
        frame: bits, false_match, missed_match (shares).
    """
    need(frame, "bits", "false_match", "missed_match")
    title = "Error rates by threshold"
    if frame.empty:
        return nothing(title, "No threshold was tried.")
    alt = altair_module()
    names = {"false_match": "false matches", "missed_match": "missed matches"}
    axis = share_axis(frame[list(names)].to_numpy(np.float64), ".1~p")
    foot = decades(frame[list(names)].to_numpy(np.float64))[0]
    lines = line_chart(frame.rename(columns=names), list(names.values()), "error", "share", foot)
    y = alt.Y("drawn:Q", title="share of pairs (log scale)", **axis)
    marks = threshold_marks({"review": review_bits, "join": join_bits})
    return finish(
        alt.layer(lines.encode(y=y), *marks).properties(width=WIDTH, height=260),
        title,
        "A higher threshold joins fewer strangers and misses more of the same person.",
        f"Thresholds from {frame['bits'].min():.1f} to {frame['bits'].max():.1f} bits",
        gaps(frame, *names),
    )


def blocking(frame: pd.DataFrame) -> Chart:
    """What each blocking rule brings: pairs proposed, credited to it first, and cut by its cap.

    Args:
        frame: rule, proposed, credited, cut_pairs (counts).
    """
    kinds = {"proposed": SKY, "credited": BLUE, "cut_pairs": RED}
    need(frame, "rule", *kinds)
    title = "Pairs by blocking rule"
    if frame.empty:
        return nothing(title, "The model has no blocking rules.")
    alt = altair_module()
    order = distinct([str(r) for r in frame["rule"]])
    names = ["proposed", "credited first", "cut by the cap"]
    long = pd.concat(
        [
            pd.DataFrame({"rule": order, "kind": name, "pairs": frame[kind].to_numpy(np.int64)})
            for kind, name in zip(kinds, names, strict=True)
        ]
    )
    base = alt.Chart(rows(with_foot(long, "pairs"))).encode(
        y=alt.Y("rule:N", title=None, scale=alt.Scale(domain=order, paddingInner=0.25)),
        yOffset=alt.YOffset("kind:N", scale=alt.Scale(domain=names)),
        tooltip=tips(("rule:N", "rule", ""), ("kind:N", "pairs", ""), ("pairs:Q", "count", ",d")),
    )
    axis = count_axis(long["pairs"].to_numpy())
    bars = base.mark_bar().encode(
        x=alt.X("foot:Q", title="pairs (log scale)", **axis),
        x2="pairs:Q",
        color=alt.Color(
            "kind:N",
            scale=alt.Scale(domain=names, range=list(kinds.values())),
            legend=alt.Legend(title=None),
        ),
    )
    text = base.mark_text(align="left", dx=4).encode(
        x=alt.X("end:Q", title="pairs (log scale)"), text=alt.Text("pairs:Q", format=",d")
    )
    return finish(
        alt.layer(bars, text).properties(width=WIDTH, height=alt.Step(14)),
        title,
        "A pair is credited to the first rule that proposes it.",
        f"Rules: {len(order)}; pairs credited: {int(frame['credited'].sum()):,}; "
        f"pairs cut: {int(frame['cut_pairs'].sum()):,}",
    )


def unlinkable(frame: pd.DataFrame, join_bits: float | None = None) -> Chart:
    """The share of records that could not reach a threshold even against themselves.

    Args:
        frame: bits, share.
    """
    need(frame, "bits", "share")
    title = "Records that cannot be linked"
    if frame.empty:
        return nothing(title, "No records.")
    alt = altair_module()
    base = alt.Chart(rows(frame)).encode(
        x=alt.X("bits:Q", title=BITS),
        tooltip=tips(("bits:Q", "bits", ".2f"), ("share:Q", "share of records", ".2~%")),
    )
    y = alt.Y("share:Q", title="share of records", axis=alt.Axis(format="~%"))
    step = "step-before"
    layers = [
        base.mark_area(color=BLUE, opacity=0.2, interpolate=step).encode(y=y),
        base.mark_line(color=BLUE, interpolate=step, point="transparent").encode(y=y),
        *threshold_marks({"join": join_bits}),
    ]
    said = f"Up to {frame['share'].max():.1%} of records"
    if join_bits is not None and (frame["bits"] <= join_bits).any():
        at = frame[frame["bits"] <= join_bits].sort_values("bits").iloc[-1]
        said = f"{at['share']:.1%} of records at the join threshold"
    return finish(
        alt.layer(*layers).properties(width=WIDTH, height=220),
        title,
        "Compared with itself, such a record stays below the threshold: it says too little.",
        said,
        gaps(frame, "share"),
    )


def reliability(frame: pd.DataFrame) -> Chart:
    """Expected against observed share of matches; the expected calibration error in the title.

    The error is the mean of |expected - observed| over bins, weighted by pairs (Naeini, Cooper and
    Hauskrecht 2015), for each model.

    Args:
        frame: bin (its name), expected, observed (shares), pairs, model (name). A bin without
            pairs or shares says nothing and is left out.
    """
    need(frame, "bin", "expected", "observed", "pairs", "model")
    title = "Reliability"
    known = np.isfinite(frame[["expected", "observed"]].to_numpy(np.float64)).all(axis=1)
    frame = frame[known & (frame["pairs"] > 0)].astype({"model": str})
    if frame.empty:
        return nothing(title, "No pairs to judge by.")
    alt = altair_module()
    errors = {
        str(model): _calibration_error(part) for model, part in frame.groupby("model", sort=False)
    }
    names = list(errors)
    base = alt.Chart(rows(frame)).encode(
        x=alt.X("expected:Q", title="expected share of matches", scale=_UNIT),
        y=alt.Y("observed:Q", title="observed share of matches", scale=_UNIT),
        color=series("model", names, None, line=True),
        tooltip=tips(
            ("model:N", "model", ""),
            ("bin:N", "bin", ""),
            ("expected:Q", "expected", ".2~%"),
            ("observed:Q", "observed", ".2~%"),
            ("pairs:Q", "pairs", ",d"),
        ),
    )
    corners = alt.Data(values=[{"expected": 0, "observed": 0}, {"expected": 1, "observed": 1}])
    diagonal = alt.Chart(corners).mark_line(strokeDash=[4, 4], color=GREY)
    lines = base.mark_line(strokeWidth=1.5).encode(strokeDash=dashes("model", names))
    dots = base.mark_point(filled=True, opacity=0.9).encode(
        size=alt.Size("pairs:Q", legend=None, scale=alt.Scale(type="sqrt", range=[15, 300]))
    )
    said = "\n".join(f"{error:.4f}: {name}" for name, error in errors.items())
    return finish(
        alt.layer(diagonal.encode(x="expected:Q", y="observed:Q"), lines, dots).properties(
            width=380, height=380
        ),
        f"{title}: expected calibration error {next(iter(errors.values())):.4f}"
        if len(errors) == 1
        else title,
        "On the grey line, stated probabilities come true. Larger dots: more pairs."
        if len(errors) == 1
        else f"Expected calibration errors:\n{said}",
        f"Bins: {len(frame)}, pairs: {int(frame['pairs'].sum()):,}",
    )


def subgroups(frame: pd.DataFrame, measure: str = "rate") -> Chart:
    """A rate for each value of each group, with its interval: who is served worse.

    Args:
        frame: group (such as age band), value, rate, lower, upper (shares), pairs.
        measure: what the rate is, for the axis.
    """
    need(frame, "group", "value", "rate", "lower", "upper", "pairs")
    title = f"By subgroup: {measure}"
    if frame.empty:
        return nothing(title, "No subgroup is known.")
    alt = altair_module()
    # One axis of rows with a heading row before each group: the places line up across groups.
    codes = pd.factorize(frame["group"])[0]
    frame = frame.assign(code=codes).sort_values("code", kind="stable", ignore_index=True)
    frame["at"] = [str(at) for at in np.arange(len(frame)) + frame["code"] + 1]
    first = frame.drop_duplicates("code")
    heads = pd.DataFrame({"at": [str(int(at) - 1) for at in first["at"]], "text": first["group"]})
    labels = frame[["at", "value"]].set_axis(["at", "text"], axis=1)
    order = [str(at) for at in range(len(frame) + len(first))]
    y = alt.Y("at:N", scale=alt.Scale(domain=order), axis=None)
    x_axis = {"scale": alt.Scale(zero=False), "axis": alt.Axis(format="~%", tickCount=8)}
    base = alt.Chart(rows(frame)).encode(
        y=y,
        tooltip=tips(
            ("group:N", "group", ""),
            ("value:N", "value", ""),
            ("rate:Q", measure, ".2%"),
            ("lower:Q", "from", ".2%"),
            ("upper:Q", "to", ".2%"),
            ("pairs:Q", "pairs", ",d"),
        ),
    )
    spans = base.mark_rule(color=BLUE, strokeWidth=2)
    dots = base.mark_point(filled=True, size=60, color=BLUE, opacity=1)
    panel = alt.layer(
        spans.encode(x=alt.X("lower:Q", title=measure, **x_axis), x2="upper:Q"),
        dots.encode(x=alt.X("rate:Q", title=measure, **x_axis)),
        _row_names(heads, y, "left", 6, "bold"),
        _row_names(labels, y, "right", -8, "normal"),
    ).properties(width=WIDTH, height=alt.Step(20))
    lowest = frame.sort_values("rate").iloc[0]
    return finish(
        panel,
        title,
        "Dot: the rate. Line: its interval.",
        f"Lowest: {lowest['group']}, {lowest['value']}, {lowest['rate']:.1%} of "
        f"{int(lowest['pairs']):,} pairs",
        gaps(frame, "rate", "lower", "upper"),
    )


def to_svg(chart: Chart) -> str:
    """The chart as one SVG document that loads nothing."""
    import vl_convert  # noqa: PLC0415

    return str(vl_convert.vegalite_to_svg(chart.to_dict(), allowed_base_urls=[]))


def to_png(chart: Chart, scale: float = 2.0) -> bytes:
    """The chart as a PNG image of `scale` pixels a point."""
    import vl_convert  # noqa: PLC0415

    return bytes(vl_convert.vegalite_to_png(chart.to_dict(), scale=scale, allowed_base_urls=[]))


def _bands(frame: pd.DataFrame, bounded: list[str], measures: list[str]) -> Any:
    """The room between the bounds of each measure that has them."""
    alt = altair_module()
    parts = [
        frame[["bits", f"{m}_lower", f"{m}_upper"]].set_axis(["bits", "low", "high"], axis=1)
        for m in bounded
    ]
    bands = pd.concat([p.assign(series=m) for p, m in zip(parts, bounded, strict=True)])
    return (
        alt.Chart(rows(bands))
        .mark_area(opacity=0.18)
        .encode(
            x=alt.X("bits:Q", title=BITS),
            y=alt.Y("low:Q", title="share"),
            y2="high:Q",
            color=series("series", measures, None, line=True),
        )
    )


def _row_names(names: pd.DataFrame, y: Any, align: str, dx: int, weight: str) -> Any:
    """Texts of rows beside the left edge of the drawing area."""
    alt = altair_module()
    text = alt.Chart(rows(names.astype(str))).mark_text(
        align=align, dx=dx, limit=240, fontSize=12, fontWeight=weight
    )
    return text.encode(x=alt.value(0), y=y, text="text:N")


def _calibration_error(part: pd.DataFrame) -> float:
    apart = (part["expected"] - part["observed"]).abs()
    return float((apart * part["pairs"]).sum() / part["pairs"].sum())
