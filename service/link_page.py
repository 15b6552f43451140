"""The report of a linkage as one HTML page: text, interactive charts, tables.

Rules:
- One file: Vega, Vega-Lite and vega-embed stand inside it once. It works with the network off, and
  its Content-Security-Policy forbids every load, every other script (scripts and styles are named
  by their SHA-256), and `eval`: Vega interprets its expressions instead.
- Every text is escaped: by Jinja in HTML, and as `\\u003c` in the charts' JSON. No name of a field
  can end a script or start an element.
- Each chart has its text alternative as a caption, and each table its own; headings go one level at
  a time. Colours follow the reader's light or dark setting by `currentColor` alone; paper is light.
- The same sections give the same page, byte by byte.
- Nothing is read or written but the page's own template.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeAlias

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from linkage.chart_parts import look

if TYPE_CHECKING:
    import altair

    Chart: TypeAlias = altair.Chart

Cell: TypeAlias = str | int | float | None


@dataclass(frozen=True)
class Table:
    """A table whose first column names the row.

    Numbers are set flush right: whole ones with thousands separators, others with up to six
    significant digits. None is an empty cell.

    Raises:
        ValueError: a row has not as many cells as there are columns.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        if not self.columns or any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError("every row of a table needs one cell for each of its columns")

    @property
    def numeric(self) -> tuple[bool, ...]:
        """For each column, whether all its cells are numbers or empty."""
        return tuple(
            all(row[at] is None or isinstance(row[at], int | float) for row in self.rows)
            for at in range(len(self.columns))
        )


@dataclass(frozen=True)
class Section:
    """A part of the page: heading, text (a blank line parts paragraphs), chart, table."""

    title: str
    text: str
    chart: Chart | None = None
    table: Table | None = None


def link_page(title: str, sections: Sequence[Section]) -> str:
    """The whole page as HTML.

    Args:
        title: the page's name and first heading.
        sections: in the order of the page; each has an entry in the table of contents.
    """
    folder = resources.files("service") / "templates"
    style = (folder / "link_report.css").read_text("utf-8")
    specs = [None if s.chart is None else _spec(s.chart) for s in sections]
    charts = [spec for spec in specs if spec is not None]
    script = _library() if charts else ""
    environment = Environment(undefined=StrictUndefined, autoescape=True, trim_blocks=True)
    environment.filters["cell"] = _cell
    template = environment.from_string((folder / "link_report.html.j2").read_text("utf-8"))
    return template.render(
        title=title,
        sections=[_parts(*both) for both in zip(sections, specs, strict=True)],
        specs=_json(charts),
        policy=_policy(script, style),
        script=Markup(script),  # noqa: S704 - the bundled library, checked for end tags
        style=Markup(style),  # noqa: S704 - our own file
    )


def _parts(section: Section, spec: dict[str, Any] | None) -> dict[str, Any]:
    """What the template shows of a section."""
    return {
        "title": section.title,
        "paragraphs": [p.strip() for p in re.split(r"\n\s*\n", section.text) if p.strip()],
        "alternative": None if spec is None else spec["description"],
        "table": section.table,
    }


def _spec(chart: Chart) -> dict[str, Any]:
    """The chart's specification in the page's own colours."""
    spec: dict[str, Any] = chart.to_dict()
    named = str(spec.get("description") or "A chart without a description.")
    return {**spec, "description": named, "config": look("currentColor", "transparent")}


def _json(charts: Sequence[dict[str, Any]]) -> Markup:
    """The specifications as JSON that cannot end the element it stands in."""
    text = json.dumps(charts, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704 - escaped just above


def _policy(script: str, style: str) -> str:
    """The Content-Security-Policy: nothing is loaded, and only this script and style count."""
    allowed = f"script-src {_digest(script)}" if script else "script-src 'none'"
    return "; ".join(
        (
            "default-src 'none'",
            allowed,
            f"style-src {_digest(style)}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(text: str) -> str:
    """The source expression of an inline element (Content Security Policy Level 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@functools.cache
def _library() -> str:
    """Vega and its kin with the few lines that draw the page's charts, as one script."""
    # Loading and bundling takes seconds, which a page without charts need not wait for.
    import vl_convert  # noqa: PLC0415

    draw = (resources.files("service") / "templates" / "link_report.js").read_text("utf-8")
    bundle = str(vl_convert.javascript_bundle(draw)).strip()
    if re.search(r"</script|<!--", bundle, re.I):
        raise RuntimeError("the chart library holds a tag that would end its own element")
    return bundle


def _cell(value: Cell) -> str:
    """A table's cell as text."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return "" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
