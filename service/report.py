"""The run report: one HTML page with its charts inside, readable with the network off."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined, select_autoescape

from schemas.dates import Instant
from schemas.records import Outcome
from schemas.settings import Settings
from service.model_files import write_whole
from service.nightly import NightlyReport
from service.summary import ingest_document, ingest_lines, link_lines


def write_report(folder: Path, settings: Settings, report: NightlyReport, now: Instant) -> Path:
    """Writes the page whole or not at all and returns where it is.

    Requires: the workspace's lock, because what a run that died left unfinished is cleared away.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for unfinished in folder.glob("nightly-*.part"):
        unfinished.unlink()
    page = folder / f"nightly-{now.replace(':', '').replace('-', '')}.html"
    environment = Environment(undefined=StrictUndefined, autoescape=select_autoescape(["html"]))
    template = (resources.files("service") / "templates" / "nightly.html").read_text("utf-8")
    html = environment.from_string(template).render(
        name=settings.name,
        demo=settings.demo,
        now=now,
        sources=ingest_document(report.sources),
        outcomes=[o.value for o in Outcome],
        notes=[*ingest_lines(report.sources)[len(report.sources) + 2 :], *report.late],
        link=report.link,
        link_lines=link_lines(report.link),
        seconds=report.seconds,
        totals=report.totals,
        charts=_charts(report),
    )
    write_whole(page, html.encode())
    return page


def _charts(report: NightlyReport) -> list[dict[str, object]]:
    """The night's charts; none where nothing was read and nothing linked."""
    if report.link.run_id is None and not any(r.read for r in report.sources):
        return []
    # Drawing needs heavy libraries, which a quiet night need not wait for.
    from service.charts import charts  # noqa: PLC0415

    return charts(report)
