"""The charts of the run report, drawn as SVG: nothing in the page needs a script or a network."""

from __future__ import annotations

from markupsafe import Markup

from schemas.records import Outcome
from service.bars import Part, across, upright
from service.nightly import NightlyReport

_BLUE = "#005eb8"
_COLOURS = {
    Outcome.NEW: _BLUE,
    Outcome.CHANGED: "#41b6e6",
    Outcome.UNCHANGED: "#aeb7bd",
    Outcome.QUARANTINED: "#d5281b",
}


def charts(report: NightlyReport) -> list[dict[str, object]]:
    """Title, what it shows, and the chart as SVG."""
    drawn = [
        ("Units by source", "How what each source sent ended.", _outcomes),
        ("Seconds by stage", "Where the night's time went.", _seconds),
        ("Match weights", "All compared pairs by match weight, in bits.", _weights),
        ("Records a person", "How many persons have how many records.", _sizes),
    ]
    return [
        {"title": title, "about": about, "svg": chart}
        for title, about, draw in drawn
        if (chart := draw(title, report)) is not None
    ]


def _outcomes(title: str, report: NightlyReport) -> Markup | None:
    values = [[source.counts[one] for one in _COLOURS] for source in report.sources]
    if not any(map(any, values)):
        return None
    parts = [Part(one.value, colour) for one, colour in _COLOURS.items()]
    return across(title, [source.source for source in report.sources], parts, values, "units")


def _seconds(title: str, report: NightlyReport) -> Markup:
    stages = {stage: taken for stage, taken in report.seconds.items() if stage != "total"}
    values = [[taken] for taken in stages.values()]
    return across(title, list(stages), [Part("", _BLUE)], values, "seconds")


def _weights(title: str, report: NightlyReport) -> Markup | None:
    histogram = report.link.histogram
    if not histogram:
        return None
    # Of all bins those from the first to the last that hold a pair; below the first nobody is.
    counts = histogram["pairs"][1:]
    held = [place for place, count in enumerate(counts) if count]
    if not held:
        return None
    some = slice(held[0], held[-1] + 1)
    labels = [f"{bits:.0f}" for bits in histogram["bits"][some]]
    return upright(
        title, labels, counts[some], along="match weight (bits)", unit="pairs (log scale)",
        colour=_BLUE, logarithmic=True,
    )  # fmt: skip


def _sizes(title: str, report: NightlyReport) -> Markup | None:
    sizes = report.link.sizes
    if not sizes:
        return None
    ordered = sorted(sizes)
    return upright(
        title, [str(size) for size in ordered], [sizes[size] for size in ordered],
        along="records", unit="persons", colour=_BLUE,
    )  # fmt: skip
