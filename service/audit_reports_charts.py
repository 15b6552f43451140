"""Charts of reports, drawn as SVG: nothing in the page needs a script or a network."""

from __future__ import annotations

import re
from typing import Any

import altair as alt
import pandas as pd
import vl_convert
from markupsafe import Markup, escape

from service.audit_reports import Number, Plot, Table

_COLOURS = ("#005eb8", "#aa4b00", "#00703c", "#7c2855", "#4c6272", "#330072")
"""Colours that hold 4.5:1 against white, told apart by the colour-blind; shapes help."""
_FONT = "Arial, sans-serif"


def drawn(table: Table) -> Markup | None:
    """The chart of a table, with its words for who cannot see it; None where it has none."""
    if table.plot is None or not table.rows:
        return None
    frame = _frame(table)
    chart = _chart(table, table.plot, frame)
    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    return Markup(_worded(svg, table))  # noqa: S704 - our own chart, its words escaped below


def _frame(table: Table) -> pd.DataFrame:
    names = [column.name for column in table.columns]
    rows = [
        [cell.value if isinstance(cell, Number) else cell for cell in row.cells]
        for row in table.rows
    ]
    return pd.DataFrame(rows, columns=names)


def _chart(table: Table, plot: Plot, frame: pd.DataFrame) -> alt.Chart:
    titles = {column.name: column.title for column in table.columns}
    kinds = [titles[name] for name in plot.y]
    long = frame.rename(columns=titles).melt(
        titles[plot.x], kinds, var_name="what", value_name="count"
    )
    long.columns = pd.Index(["x", "what", "count"])
    encoded: dict[str, Any] = {
        "x": alt.X("x:O", title=titles[plot.x], sort=None, axis=alt.Axis(labelAngle=-45)),
        "y": alt.Y("count:Q", title="log entries", axis=alt.Axis(tickMinStep=1, format=",d")),
    }
    scale = alt.Scale(domain=kinds, range=list(_COLOURS[: len(kinds)]))
    if len(kinds) > 1 or plot.mark == "line":
        encoded["color"] = alt.Color("what:N", title=None, scale=scale)
    base = alt.Chart(long)
    if plot.mark == "line":
        encoded["shape"] = alt.Shape("what:N", title=None, scale=alt.Scale(domain=kinds))
        made = base.mark_line(point=alt.OverlayMarkDef(size=50))
    else:
        made = base.mark_bar(color=_COLOURS[0])
    return (
        made.encode(**encoded)
        .properties(width=680, height=220)
        .configure(font=_FONT)
        .configure_axis(labelFontSize=12, titleFontSize=12, labelColor="#212b32")
    )


def _worded(svg: str, table: Table) -> str:
    """The SVG with a title that a screen reader says, its own ids apart from other charts'."""
    assert table.plot is not None
    mark = f"{table.name}-"
    svg = re.sub(r'id="([^"]+)"', rf'id="{mark}\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{mark}\1)", svg)
    words = f"{escape(table.title)}. {escape(table.plot.words)} The table below has the figures."
    return svg.replace("<svg ", f'<svg role="img" aria-label="{words}" ', 1)
