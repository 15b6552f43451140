"""A report as a page that prints, as CSV, and as JSON.

Rules:
- The page needs no network and no script; it is read by a screen reader, and prints on A4 without
  a column cut off. What a page is too small for stands whole in the CSV and the JSON, and it says
  so.
- Text that somebody else gave (staff ids, codes) cannot act: markup is escaped, characters that
  steer a terminal or turn the direction of writing are shown by their code, and in CSV whatever a
  spreadsheet would take for a formula gets an apostrophe before it.
- CSV is UTF-8 with a byte order mark: the spreadsheet that most officers open it in takes it for
  another encoding without one. JSON has none.
- Beside each number stand the log entries behind it, as ranges of leaf numbers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import msgspec
from jinja2 import Environment, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from schemas.visible import visible
from service.audit_reports import Cell, Column, Leaves, Number, Report, Row, Table, month_of
from service.audit_reports_asked import BEGINNING, Asked, local

ON_PAGE = 500
"""Rows of a table that a page prints; the files have all."""
BESIDE_ROWS = 3
"""Ranges of leaf numbers that a page prints beside a row."""
IN_JSON = 2_000
"""Ranges behind one number that the JSON lists; of more, their digest and number, and the first."""
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001 - as spreadsheets read them


def harmless(text: str) -> str:
    """A text that a spreadsheet will not take for a formula."""
    shown = visible(text)
    return f"'{shown}" if shown.lstrip(" ").startswith(_FORMULA) else shown


# --- CSV ----------------------------------------------------------------------------------------


def csv_files(report: Report) -> dict[str, bytes]:
    """File name → content: the numbers above the tables, then one file a table."""
    facts = [
        [fact.label, fact.number.value, *_behind(fact.number.leaves, report)]
        for fact in report.facts
    ]
    heads = ["what", "number", *_behind_names(report)]
    files = {f"{report.name}.csv": _csv(heads, facts)}
    for table in report.tables:
        names = [column.name for column in table.columns]
        rows = [*table.rows, *([table.total] if table.total else [])]
        lines = [[*map(_value, row.cells), *_behind(row.leaves, report)] for row in rows]
        files[f"{report.name}-{table.name}.csv"] = _csv([*names, *_behind_names(report)], lines)
    return files


def _behind_names(report: Report) -> list[str]:
    return [] if report.for_person else ["behind_count", "behind_entries"]


def _behind(leaves: Leaves | None, report: Report) -> list[str | int]:
    if report.for_person:
        return []
    return ["", ""] if leaves is None else [leaves.count, leaves.words(IN_JSON)]


def _value(cell: Cell) -> str | int:
    return cell.value if isinstance(cell, Number) else cell or ""


def _csv(heads: Sequence[str], rows: Sequence[Sequence[str | int]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(heads)
    for row in rows:
        writer.writerow([one if isinstance(one, int) else harmless(one) for one in row])
    return out.getvalue().encode("utf-8-sig")


# --- JSON ---------------------------------------------------------------------------------------


def json_document(report: Report) -> dict[str, Any]:
    """The report as JSON takes it: every number with the entries behind it."""
    told: dict[str, Any] = {
        "report": report.name,
        "title": report.title,
        "question": report.question,
        "subject": report.subject,
        "since": report.period.since,
        "until": report.period.until,
        "made_at": report.made_at,
        "facts": [
            {"name": fact.name, "label": fact.label, **_number(fact.number)}
            for fact in report.facts
        ],
        "tables": [_table(table) for table in report.tables],
        "notes": list(report.notes),
        "act": list(report.act),
        "limits": list(report.limits),
    }
    return told


def _table(table: Table) -> dict[str, Any]:
    def row(one: Row) -> dict[str, Any]:
        cells = {
            column.name: _number(cell) if isinstance(cell, Number) else cell
            for column, cell in zip(table.columns, one.cells, strict=True)
        }
        return cells if one.leaves is None else cells | {"leaves": _ranges(one.leaves)}

    return {
        "name": table.name,
        "title": table.title,
        "columns": [{"name": c.name, "title": c.title} for c in table.columns],
        "rows": [row(one) for one in table.rows],
        "total": row(table.total) if table.total else None,
    }


def _number(number: Number) -> dict[str, Any]:
    told: dict[str, Any] = {"value": number.value, "counts": number.unit}
    if number.query:
        told["query"] = number.query
    if number.leaves is not None:
        told["leaves"] = _ranges(number.leaves)
    return told


def _ranges(leaves: Leaves) -> dict[str, Any]:
    told: dict[str, Any] = {"count": leaves.count, "ranges": leaves.ranges[:IN_JSON].tolist()}
    if len(leaves.ranges) > IN_JSON:
        told |= {"all_ranges": len(leaves.ranges), "digest": leaves.digest()}
    return told


def json_bytes(report: Report) -> bytes:
    """The report as one JSON document."""
    return msgspec.json.format(msgspec.json.encode(json_document(report)), indent=1)


# --- the page -----------------------------------------------------------------------------------


@cache
def _template() -> Any:
    folder = resources.files("service") / "templates"
    environment = Environment(
        undefined=StrictUndefined, autoescape=select_autoescape(["html", "j2"], default=True)
    )
    environment.filters["plain"] = visible
    environment.filters["coded"] = coded
    environment.globals["css"] = (folder / "audit_report.css").read_text("utf-8")
    return environment.from_string((folder / "audit_report.html.j2").read_text("utf-8"))


def page(report: Report, asked: Asked, *, charts: bool = True) -> bytes:
    """The report as one HTML page."""
    if charts and any(table.plot and table.rows for table in report.tables):
        # Drawing needs heavy libraries, which a report without a chart need not wait for.
        from service.audit_reports_charts import drawn  # noqa: PLC0415

        plots: Mapping[str, Any] = {table.name: drawn(table) for table in report.tables}
    else:
        plots = {table.name: None for table in report.tables}
    html: str = _template().render(
        report=report,
        names=asked.names,
        span=_span(report, asked),
        made_at=local(report.made_at, asked.zone),
        zone=asked.zone,
        facts=[
            {"label": f.label, "value": _thousands(f.number), "words": f.words,
             "behind": _entries(f.number.leaves, f.number.query)}
            for f in report.facts
        ],
        tables=[_shown(table, plots[table.name]) for table in report.tables],
    )  # fmt: skip
    return html.encode()


def coded(text: str) -> Markup:
    """Escaped, with what stands between backquotes set as code."""
    parts = [str(escape(one)) for one in text.split("`")]
    if len(parts) % 2 == 0:
        return Markup("`".join(parts))  # noqa: S704 - each part is escaped
    marked = [f"<code>{one}</code>" if n % 2 else one for n, one in enumerate(parts)]
    return Markup("".join(marked))  # noqa: S704 - each part is escaped


def _span(report: Report, asked: Asked) -> str:
    """The report's span, in words."""
    since, until = report.period.since, report.period.until
    if since == BEGINNING:
        return f"everything kept, until {local(until, asked.zone)}"
    if since.endswith("-01T00:00:00Z") and report.period == month_of(since[:7]):
        return f"the month {since[:7]}, by UTC"
    return f"{local(since, asked.zone)} to {local(until, asked.zone)}"


def _thousands(number: Number) -> str:
    return f"{number.value:,}"


def _entries(leaves: Leaves | None, query: str) -> str:
    if query:
        return f"listed by: commonthread audit report events {query}"
    return "" if leaves is None else leaves.words()


def _few(leaves: Leaves | None) -> str:
    return "" if leaves is None else leaves.words(BESIDE_ROWS)


def _shown(table: Table, plot: Any) -> dict[str, Any]:
    own = any(column.name == "log_entries" for column in table.columns)
    behind = not own and any(row.leaves is not None for row in table.rows)
    return {
        "name": table.name,
        "title": table.title,
        "about": table.about,
        "empty": table.empty,
        "plot": plot,
        "columns": [(column.title, _style(column)) for column in table.columns],
        "rows": [_cells(table, row) for row in table.rows[:ON_PAGE]],
        "behind": [_few(row.leaves) for row in table.rows[:ON_PAGE]] if behind else None,
        "total": _cells(table, table.total) if table.total else None,
        "more": max(len(table.rows) - ON_PAGE, 0),
    }


def _style(column: Column) -> str:
    return {"number": "n", "id": "id", "time": "t"}.get(column.kind, "")


def _cells(table: Table, row: Row) -> list[tuple[str, str]]:
    return [
        (_thousands(cell) if isinstance(cell, Number) else visible(cell or ""), _style(column))
        for column, cell in zip(table.columns, row.cells, strict=True)
    ]
