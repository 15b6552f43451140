"""Nightly: ingest, link, publish, write down, report. Safe to run again after any crash.

Rules:
- Each stage commits its own progress, so a run that dies is simply run again.
- The audit event says what stands after the night (the published run and the ingest generation),
  not what this process did of it: a night that died and was run again is written down like one
  that nothing disturbed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from consent.commands import Action
from schemas.dates import Instant
from schemas.settings import Settings
from service.access import Actor, record
from service.ingest import FeedFinder, SourceReport, ingest
from service.linking import LinkReport, link_records
from service.ports import Reader, Store


@dataclass
class NightlyReport:
    """What the night did, for the summary and the report page."""

    sources: list[SourceReport] = field(default_factory=list)
    link: LinkReport = field(default_factory=LinkReport)
    seconds: dict[str, float] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Inputs:
    """Where a night's work finds its feeds, and with what it reads them."""

    inbox: Path
    model_file: Path
    readers: Mapping[str, Reader]
    find_feeds: FeedFinder


def nightly(
    store: Store,
    settings: Settings,
    inputs: Inputs,
    actor: Actor,
    clock: Callable[[], Instant],
    *,
    read_progress: Callable[[str, int], None] | None = None,
    link_progress: Callable[[str, int, int], None] | None = None,
) -> NightlyReport:
    """Runs the night. Raises: NeedsDecision when the guard on publication stops it."""
    report = NightlyReport()
    began = perf_counter()
    report.sources = ingest(
        store,
        settings,
        inputs.inbox,
        inputs.readers,
        inputs.find_feeds,
        clock,
        progress=read_progress,
    )
    report.seconds["ingest"] = round(perf_counter() - began, 3)
    report.link = link_records(store, settings, inputs.model_file, clock, progress=link_progress)
    report.seconds.update(report.link.seconds)
    last = store.last_run()
    run_id = last.run_id if last else None
    record(actor, Action.NIGHTLY, store, clock, run=run_id, generation=store.generation())
    report.totals = dict(store.counts())
    report.seconds["total"] = round(perf_counter() - began, 3)
    return report
