"""Charts of a model and its training: weights, one pair's sum, rounds, passes.

The rules of linkage/charts.py hold here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from linkage.chart_parts import (
    AGAINST,
    BITS,
    BLUE,
    FOR,
    GREEN,
    GREY,
    IN_ORDER,
    RED,
    WIDTH,
    altair_module,
    dashes,
    decades,
    distinct,
    finish,
    gaps,
    in_panels,
    need,
    nothing,
    rows,
    series,
    share_axis,
    sides,
    tips,
    usable,
)

if TYPE_CHECKING:
    import altair

    Chart: TypeAlias = altair.Chart


_DASH_NAMES = ("solid", "dashed", "dotted")
_FALL_WIDTH = 480
"""Pixels; what the fields said stands right of them."""


def match_weights(frame: pd.DataFrame) -> Chart:
    """Bars of log2(m/u) for each level of each field, in the frame's order.

    Args:
        frame: field, level, bits, and the probabilities of the level among pairs of one person
            (m), of strangers (u) and of relatives (r).
    """
    need(frame, "field", "level", "bits", "m", "u", "r")
    title = "Match weights"
    if frame.empty:
        return nothing(title, "The model has no fields.")
    alt = altair_module()
    side = np.where(frame["bits"] > 0, FOR, AGAINST)
    bars = (
        alt.Chart(rows(frame.assign(at=range(len(frame)), side=side)))
        .mark_bar()
        .encode(
            x=alt.X("bits:Q", title="match weight (bits, log2 m/u)"),
            y=alt.Y("level:N", title=None, sort=IN_ORDER),
            color=sides(),
            tooltip=tips(
                ("field:N", "field", ""),
                ("level:N", "level", ""),
                ("bits:Q", "bits", "+.2f"),
                ("m:Q", "m, one person", ".3~g"),
                ("u:Q", "u, strangers", ".3~g"),
                ("r:Q", "r, relatives", ".3~g"),
            ),
        )
        .properties(width=WIDTH, height=alt.Step(16))
    )
    finite = frame[np.isfinite(frame["bits"])]
    said = f"Fields: {frame['field'].nunique()}, levels: {len(frame)}"
    if len(finite):
        top = finite.sort_values("bits").iloc[-1]
        said += f". Most evidence: {top['field']}, {top['level']}, {top['bits']:.1f} bits"
    return finish(
        bars.facet(facet=in_panels("field"), columns=1, spacing=12).resolve_scale(y="independent"),
        title,
        "How much each level of agreement speaks for or against one person.",
        said,
        gaps(frame, "bits"),
    )


def waterfall(frame: pd.DataFrame) -> Chart:
    """How one pair's match weight comes together, from the prior to the total.

    Args:
        frame: label, value, bits, one row a step. The first row is the prior; the sum of all rows
            is drawn last, as the total. `value` stands beside the bar as given, or is null.
    """
    need(frame, "label", "value", "bits")
    title = "Match weight of one pair"
    if frame.empty:
        return nothing(title, "The pair has no score.")
    alt = altair_module()
    steps = _steps(frame)
    order = list(steps["label"])
    base = alt.Chart(rows(steps)).encode(
        y=alt.Y("label:N", title=None, scale=alt.Scale(domain=order, paddingInner=0.25)),
        tooltip=tips(
            ("label:N", "step", ""),
            ("value:N", "value", ""),
            ("bits:Q", "bits", "+.2f"),
            ("end:Q", "bits so far", "+.2f"),
            ("probability:Q", "probability so far", ".4~g"),
        ),
    )
    kinds = alt.Scale(domain=["prior", FOR, AGAINST, "total"], range=[GREY, BLUE, RED, GREEN])
    bars = base.mark_bar().encode(
        x=alt.X("start:Q", title=BITS),
        x2="end:Q",
        color=alt.Color("kind:N", scale=kinds, legend=alt.Legend(title=None, columns=4)),
    )
    ends = base.mark_text(align="left", dx=4).encode(
        x=alt.X("edge:Q", title=BITS), text=alt.Text("bits:Q", format="+.1f")
    )
    zero = alt.Chart(alt.Data(values=[{"edge": 0}])).mark_rule(strokeWidth=1, opacity=0.4)
    layers = [zero.encode(x=alt.X("edge:Q", title=BITS)), bars, ends]
    if frame["value"].notna().any():
        values = base.mark_text(align="left", limit=200, opacity=0.8)
        layers.append(values.encode(x=alt.value(_FALL_WIDTH + 40), text="value:N"))
    total = float(steps["end"].iloc[-1])
    return finish(
        alt.layer(*layers).properties(width=_FALL_WIDTH, height=alt.Step(24)),
        title,
        "Each step adds its bits to what stands before it.",
        f"Steps after the prior: {len(frame) - 1}; the total is {total:.1f} bits",
        gaps(frame, "bits"),
    )


def convergence(frame: pd.DataFrame) -> Chart:
    """How the probabilities of each level settle, round by round of the training.

    Args:
        frame: round, field, level, kind (m, u or r), probability.
    """
    need(frame, "round", "field", "level", "kind", "probability")
    title = "Convergence of the training"
    if frame.empty:
        return nothing(title, "The model was not trained.")
    alt = altair_module()
    place = _level_places(frame)
    kinds = [str(k) for k in frame["kind"].unique()]
    ticks = min(5, max(1, frame["round"].nunique() - 1))
    names = [str(p) for p in sorted(set(place))]
    said = ", ".join(f"{k} {name}" for k, name in zip(kinds, _DASH_NAMES, strict=False))
    lines = (
        alt.Chart(rows(frame.assign(place=[str(p) for p in place], at=range(len(frame)))))
        .mark_line(strokeWidth=1.5, point="transparent")
        .encode(
            x=alt.X("round:Q", title="round", axis=alt.Axis(format="d", tickCount=ticks)),
            y=alt.Y("probability:Q", title="probability", scale=alt.Scale(domain=[0, 1])),
            color=series("place", names, "level, from the closest", line=True),
            strokeDash=dashes("kind", kinds, legend=False),
            detail="level:N",
            tooltip=tips(
                ("field:N", "field", ""),
                ("level:N", "level", ""),
                ("kind:N", "kind", ""),
                ("round:Q", "round", "d"),
                ("probability:Q", "probability", ".4~g"),
            ),
        )
        .properties(width=180, height=100)
    )
    return finish(
        lines.facet(facet=in_panels("field", 180), columns=3, spacing=14),
        title,
        f"Flat lines at the right: more rounds would change nothing. {said}.",
        f"Fields: {frame['field'].nunique()}, rounds: {frame['round'].nunique()}",
        gaps(frame, "probability"),
    )


def parameters(frame: pd.DataFrame) -> Chart:
    """What each pass of the training found for each level: passes that agree can be trusted.

    The axis is logarithmic, so that equal distances are equal differences in bits.

    Args:
        frame: pass (its name), field, level, kind (m, u or r), probability.
    """
    need(frame, "pass", "field", "level", "kind", "probability")
    title = "Estimates by training pass"
    if frame.empty:
        return nothing(title, "The model was not trained.")
    alt = altair_module()
    shares = frame["probability"].to_numpy(np.float64)
    foot = decades(shares)[0]
    passes = [str(p) for p in frame["pass"].unique()]
    kinds = [str(k) for k in frame["kind"].unique()]
    drawn = frame.assign(at=range(len(frame)), drawn=np.maximum(shares, foot), run=frame["pass"])
    dots = (
        alt.Chart(rows(drawn.astype({"run": str}).drop(columns="pass")))
        .mark_point(filled=True, size=55, opacity=0.85)
        .encode(
            x=alt.X("drawn:Q", title="probability (log scale)", **share_axis(shares, "~g")),
            y=alt.Y("level:N", title=None, sort=IN_ORDER),
            color=series("run", passes, "pass"),
            shape=alt.Shape(
                "kind:N", title="kind", scale=alt.Scale(domain=[usable(k) for k in kinds])
            ),
            tooltip=tips(
                ("run:N", "pass", ""),
                ("field:N", "field", ""),
                ("level:N", "level", ""),
                ("kind:N", "kind", ""),
                ("probability:Q", "probability", ".4~g"),
            ),
        )
        .properties(width=WIDTH, height=alt.Step(16))
    )
    return finish(
        dots.facet(facet=in_panels("field"), columns=1, spacing=12).resolve_scale(y="independent"),
        title,
        "One mark a pass: marks of one shape that lie together agree.",
        f"Passes: {len(passes)}, fields: {frame['field'].nunique()}",
        gaps(frame, "probability"),
    )


def _level_places(frame: pd.DataFrame) -> list[int]:
    """Each row's level as its place in its field, from 1: fields share colours."""
    places: dict[str, dict[str, int]] = {}
    out = []
    for field, level in zip(frame["field"], frame["level"], strict=True):
        known = places.setdefault(str(field), {})
        out.append(known.setdefault(str(level), len(known) + 1))
    return out


def _steps(frame: pd.DataFrame) -> pd.DataFrame:
    """The bars of a waterfall: where each starts and ends, its kind, and the total at the end."""
    bits = frame["bits"].to_numpy(np.float64)
    added = np.where(np.isfinite(bits), bits, 0.0)
    end = np.cumsum(added)
    total = float(end[-1])
    kind = np.where(added > 0, FOR, AGAINST).astype(object)
    kind[0] = "prior"
    steps = pd.DataFrame(
        {
            "label": distinct([*(str(x) for x in frame["label"]), "total"]),
            "value": ["" if pd.isna(v) else str(v) for v in frame["value"]] + [""],
            "bits": [*bits, total],
            "start": [*(end - added), 0.0],
            "end": [*end, total],
            "kind": [*kind, "total"],
        }
    )
    steps["edge"] = steps[["start", "end"]].max(axis=1)
    # expit in base 2; a weight beyond ±1,000 bits is certainty in a float anyway.
    steps["probability"] = 1 / (1 + 2.0 ** -steps["end"].clip(-1000, 1000))
    return steps
