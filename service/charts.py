"""The charts of the run report, drawn as SVG: nothing in the page needs a script or a network."""

from __future__ import annotations

import altair as alt
import pandas as pd
import vl_convert
from markupsafe import Markup

from schemas.records import Outcome
from service.nightly import NightlyReport

_COLOURS = {
    Outcome.NEW.value: "#005eb8",
    Outcome.CHANGED.value: "#41b6e6",
    Outcome.UNCHANGED.value: "#aeb7bd",
    Outcome.QUARANTINED.value: "#d5281b",
}


def charts(report: NightlyReport) -> list[dict[str, object]]:
    """Title, what it shows, and the chart as SVG."""
    drawn = [
        ("Units by source", "How what each source sent ended.", _outcomes(report)),
        ("Seconds by stage", "Where the night's time went.", _seconds(report)),
        ("Match weights", "All compared pairs by match weight, in bits.", _weights(report)),
        ("Records a person", "How many persons have how many records.", _sizes(report)),
    ]
    return [
        {"title": title, "about": about, "svg": Markup(vl_convert.vegalite_to_svg(chart.to_dict()))}  # noqa: S704 - our own chart of counts
        for title, about, chart in drawn
        if chart is not None
    ]


def _outcomes(report: NightlyReport) -> alt.Chart | None:
    rows = [
        {"source": r.source, "outcome": o.value, "units": r.counts[o]}
        for r in report.sources
        for o in Outcome
    ]
    if not any(r["units"] for r in rows):
        return None
    return (
        alt.Chart(pd.DataFrame(rows))
        .mark_bar()
        .encode(
            x=alt.X("units:Q", title="units"),
            y=alt.Y("source:N", title=None),
            color=alt.Color(
                "outcome:N",
                scale=alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values())),
            ),
        )
        .properties(width=520)
    )


def _seconds(report: NightlyReport) -> alt.Chart:
    stages = {k: v for k, v in report.seconds.items() if k != "total"}
    frame = pd.DataFrame({"stage": list(stages), "seconds": list(stages.values())})
    return (
        alt.Chart(frame)
        .mark_bar(color="#005eb8")
        .encode(x="seconds:Q", y=alt.Y("stage:N", sort=None, title=None))
        .properties(width=520)
    )


def _weights(report: NightlyReport) -> alt.Chart | None:
    histogram = report.link.histogram
    if not histogram:
        return None
    frame = pd.DataFrame({"bits": histogram["bits"], "pairs": histogram["pairs"][1:]})
    return (
        alt.Chart(frame[frame["pairs"] > 0])
        .mark_bar(color="#005eb8")
        .encode(
            x=alt.X("bits:Q", title="match weight (bits)"),
            y=alt.Y("pairs:Q", scale=alt.Scale(type="symlog"), title="pairs (log scale)"),
        )
        .properties(width=520, height=220)
    )


def _sizes(report: NightlyReport) -> alt.Chart | None:
    sizes = report.link.sizes
    if not sizes:
        return None
    frame = pd.DataFrame({"records": list(sizes), "persons": list(sizes.values())})
    return (
        alt.Chart(frame)
        .mark_bar(color="#005eb8")
        .encode(x=alt.X("records:O", title="records"), y=alt.Y("persons:Q", title="persons"))
        .properties(width=520, height=220)
    )
