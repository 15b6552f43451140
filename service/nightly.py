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
from datetime import datetime
from pathlib import Path
from time import perf_counter

from consent.commands import Action
from schemas.dates import Clock, Instant
from schemas.settings import Settings
from service.access import Actor, failure_recorded, record
from service.ingest import FeedFinder, SourceReport, ingest
from service.linking import Ahead, LinkReport, link_records
from service.ports import Reader, Store


@dataclass
class NightlyReport:
    """What the night did, for the summary and the report page."""

    sources: list[SourceReport] = field(default_factory=list)
    link: LinkReport = field(default_factory=LinkReport)
    seconds: dict[str, float] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)
    """Sources whose data is older than the settings expect, or that never sent any."""


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
    clock: Clock,
    *,
    read_progress: Callable[[str, int], None] | None = None,
    link_progress: Callable[[str, int, int], None] | None = None,
) -> NightlyReport:
    """Runs the night. Raises: NeedsDecision when the guard on publication stops it."""
    with failure_recorded(actor, Action.NIGHTLY, store, clock):
        return _night(store, settings, inputs, actor, clock, read_progress, link_progress)


def _night(
    store: Store,
    settings: Settings,
    inputs: Inputs,
    actor: Actor,
    clock: Clock,
    read_progress: Callable[[str, int], None] | None,
    link_progress: Callable[[str, int, int], None] | None,
) -> NightlyReport:
    report = NightlyReport()
    began = perf_counter()
    store.finish_erasures()
    with Ahead(store, settings, inputs.model_file) as ahead:
        report.sources = ingest(
            store,
            settings,
            inputs.inbox,
            inputs.readers,
            inputs.find_feeds,
            clock,
            progress=read_progress,
            begun=ahead.begin,
        )
    report.seconds["ingest"] = round(perf_counter() - began, 3)
    renewed = sum(one.identity_changes for one in report.sources)
    if renewed:  # of itself, because a held run ends the night with an event of its failure only
        record(actor, Action.INGEST, store, clock, identity_changes=renewed)
    report.link = link_records(
        store,
        settings,
        inputs.model_file,
        clock,
        progress=link_progress,
        by=actor,
        ahead=ahead,
    )
    report.seconds.update(report.link.seconds)
    last = store.last_run()
    run_id = last.run_id if last else None
    record(actor, Action.NIGHTLY, store, clock, run=run_id, generation=store.generation())
    report.totals = dict(store.counts())
    report.late = late_sources(store, settings, clock())
    report.seconds["total"] = round(perf_counter() - began, 3)
    return report


def late_sources(store: Store, settings: Settings, now: Instant) -> list[str]:
    """A sentence for each source that is late: what is shown of it may be out of date."""
    last_feeds = store.last_feeds()
    sentences = []
    for source in settings.sources:
        last = last_feeds.get(source.id)
        if last is None:
            sentences.append(f"{source.id}: not connected yet, no feed has ever been loaded")
            continue
        hours = (_moment(now) - _moment(last)).total_seconds() / 3600
        if hours > source.fresh_hours:
            sentences.append(
                f"{source.id}: stale, the last feed came {hours:.0f} hours ago; "
                f"one is expected every {source.fresh_hours}"
            )
    return sentences


def _moment(instant: Instant) -> datetime:
    return datetime.fromisoformat(instant)
