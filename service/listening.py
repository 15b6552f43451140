"""Listening: what systems send by themselves all day is loaded every few seconds, not by night.

Rules:
- A hand-over is an ingest of the sources that are listened for. An item of a record that is in a
  person is visible as soon as it is loaded.
- Then the persons are brought up to date with what is new, where the settings say so and a run was
  published before: the first link trains the model, and belongs to a night.
- A held run stops neither the listening nor the loading. No other is tried until somebody has
  published one, or the night has.
- Each hand-over is written down, also one that failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audit.events import EventOutcome
from consent.commands import Action
from schemas.dates import Clock
from schemas.errors import CommonthreadError, NeedsDecision
from schemas.identifiers import SourceId
from schemas.records import Outcome
from schemas.settings import Settings
from service.access import Actor, record
from service.ingest import SourceReport, ingest
from service.linking import link_records
from service.nightly import Inputs
from service.ports import Store


@dataclass(frozen=True)
class HandedOver:
    """What one hand-over did.

    Attributes:
        run: number of the link run that was published; None: there was none.
        held: a run that would be published waits for somebody.
    """

    reports: Sequence[SourceReport]
    run: int | None = None
    held: bool = False

    @property
    def read(self) -> int:
        """Units read."""
        return sum(report.read for report in self.reports)


class HandOver:
    """Loads what came, time after time.

    Args:
        sources: those that are listened for. link: whether the persons are brought up to date.
    """

    def __init__(
        self,
        settings: Settings,
        sources: Sequence[SourceId],
        actor: Actor,
        clock: Clock,
        link: bool,
    ) -> None:
        self._settings, self._sources, self._link = settings, sources, link
        self._actor, self._clock = actor, clock
        self._unlinked = True
        self._held_after: int | None = None

    def started(self, store: Store, step: str) -> None:
        """Writes down that it listens (`start`), or no more (`stop`)."""
        sources = list(self._sources)
        record(self._actor, Action.LISTEN, store, self._clock, step=step, sources=sources)

    def load(self, store: Store, inputs: Inputs) -> HandedOver:
        """Loads what lies in the inbox. Raises: CommonthreadError, which is written down."""
        try:
            reports = ingest(
                store, self._settings, inputs.inbox, inputs.readers, inputs.find_feeds,
                self._clock, only=self._sources,
            )  # fmt: skip
            self._unlinked |= any(_is_news(report) for report in reports)
            done = self._linked(store, inputs, reports)
        except CommonthreadError as error:
            record(
                self._actor, Action.LISTEN, store, self._clock, outcome=EventOutcome.FAILED,
                step="load", error=type(error).__name__,
            )  # fmt: skip
            raise
        if any(report.feeds for report in reports) or done.run is not None:
            details: dict[str, Any] = {} if done.run is None else {"run": done.run}
            changes = sum(report.identity_changes for report in reports)
            record(
                self._actor, Action.LISTEN, store, self._clock, step="load", read=done.read,
                identity_changes=changes, held=done.held, **details,
            )  # fmt: skip
        return done

    def _linked(self, store: Store, inputs: Inputs, reports: Sequence[SourceReport]) -> HandedOver:
        last = store.last_run()
        if not self._link or not self._unlinked or last is None:
            return HandedOver(reports)
        if self._held_after == last.run_id:
            return HandedOver(reports, held=True)
        try:
            report = link_records(
                store, self._settings, inputs.model_file, self._clock, by=self._actor
            )
        except NeedsDecision:
            after = store.last_run()
            self._held_after = after.run_id if after else None
            return HandedOver(reports, held=True)
        self._unlinked, self._held_after = False, None
        return HandedOver(reports, run=report.run_id)


def _is_news(report: SourceReport) -> bool:
    """Whether anything was loaded that was not known before."""
    known = report.counts[Outcome.UNCHANGED] + report.counts[Outcome.QUARANTINED]
    return report.read > known or report.withdrawn > 0
