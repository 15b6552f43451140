"""Ingest: what lies new in the inbox goes into the store, feed by feed, batch by batch.

Rules:
- A feed is known by the digest of its bytes: one that was loaded is not read again, whatever it is
  called now. One that was refused is tried again when its source's settings or the limits change.
- A file whose bytes the operating system does not give is left for the next run, not refused.
- Each batch and its progress are one transaction: a run that dies goes on where it was, if the
  settings and limits are still the same; else the feed is begun again.
- One bad unit is quarantined, one bad file is refused, and the night goes on.
- read = new + changed + unchanged + quarantined, for every feed. Records that a source's whole list
  lacks are no units of it: they are counted as withdrawn, apart.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from schemas.columns import UnitBatch
from schemas.dates import Clock
from schemas.errors import CommonthreadError, FeedRefused, NotFound
from schemas.identifiers import SourceId
from schemas.records import Outcome
from schemas.settings import Limits, Settings, SourceSettings
from service.ports import FeedFile, FeedRow, FeedState, Reader, Store

FeedFinder = Callable[[Path, SourceSettings, Limits], tuple[Sequence[FeedFile], Sequence[str]]]
Progress = Callable[[str, int], None]
"""Told of the source and how many more units were read."""
UNREADABLE = "unreadable"
"""The reason that says nothing of the feed itself (schemas.records.REASONS)."""


@dataclass(frozen=True)
class Refusal:
    """A feed that could not be read as a whole."""

    sha256: str
    reason: str
    message: str


@dataclass
class SourceReport:
    """What one ingest did for one source.

    Attributes:
        feeds: how many files were read; `known` were seen before.
        counts: outcome → units.
        withdrawn: records that whole lists lacked.
        identity_changes: declarations of protected changes of identity that were read.
        issues: (field, reason) → fields kept as sent.
        rejected: (field, reason, message) → units, without values.
        notices: sentences on files left alone.
    """

    source: SourceId
    feeds: int = 0
    known: int = 0
    counts: Counter[Outcome] = field(default_factory=Counter)
    withdrawn: int = 0
    identity_changes: int = 0
    issues: Counter[tuple[str, str]] = field(default_factory=Counter)
    rejected: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    refusals: list[Refusal] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def read(self) -> int:
        """Units read: the sum of the outcomes."""
        return sum(self.counts.values())


def ingest(
    store: Store,
    settings: Settings,
    inbox: Path,
    readers: Mapping[str, Reader],
    find_feeds: FeedFinder,
    clock: Clock,
    *,
    only: Sequence[str] = (),
    progress: Progress | None = None,
    begun: Callable[[], None] | None = None,
) -> list[SourceReport]:
    """Loads every new feed of the sources (or of those named). Raises: NotFound (a source).

    Args:
        begun: called for each feed before it is loaded.
    """
    for name in only:
        if settings.source(name) is None:
            raise unknown_source(settings)
    wanted = [s for s in settings.sources if not only or s.id in only]
    reports: list[SourceReport] = []
    limits = settings.limits
    asked: _Asked | None = None
    for source, feed, report in _new_feeds(store, wanted, inbox, find_feeds, limits, reports):
        upcoming = _Asked(source, feed, report, _batches(readers, feed, source, limits))
        if begun:
            begun()
        if asked:
            _load(store, asked, limits, clock, progress)
        asked = upcoming
    if asked:
        _load(store, asked, limits, clock, progress)
    return reports


@dataclass(frozen=True)
class _Asked:
    """A feed that its reader was asked for: it may be read while the one before it is stored."""

    source: SourceSettings
    feed: FeedFile
    report: SourceReport
    batches: Iterator[UnitBatch]


def _new_feeds(
    store: Store,
    wanted: Sequence[SourceSettings],
    inbox: Path,
    find_feeds: FeedFinder,
    limits: Limits,
    reports: list[SourceReport],
) -> Iterator[tuple[SourceSettings, FeedFile, SourceReport]]:
    """The feeds to load, source by source; `reports` grows by one for each source."""
    for source in wanted:
        report = SourceReport(source.id)
        reports.append(report)
        feeds, notices = find_feeds(inbox, source, limits)
        report.notices += notices
        known = store.feeds(source.id, [feed.sha256 for feed in feeds])
        seen: set[str] = set()
        for feed in feeds:
            row = known.get(feed.sha256)
            if feed.sha256 in seen or _already_read(row, reader_hash(source, feed, limits)):
                report.known += 1
                continue
            seen.add(feed.sha256)
            yield source, feed, report


def unknown_source(settings: Settings) -> NotFound:
    """The error for a name that is no source's: it names those that there are."""
    known = ", ".join(sorted(source.id for source in settings.sources))
    return NotFound(f"no source of that name; partnership.toml has {known or 'none'}")


def _already_read(row: FeedRow | None, reader: str) -> bool:
    if row is None or row.state is FeedState.LOADING:
        return False
    return row.state is FeedState.LOADED or row.reader_hash == reader


def _load(
    store: Store, asked: _Asked, limits: Limits, clock: Clock, progress: Progress | None
) -> None:
    source, feed, report = asked.source, asked.feed, asked.report
    row = store.begin_feed(source.id, feed, reader_hash(source, feed, limits), clock())
    report.feeds += 1
    counts = Counter(row.counts)
    report.counts.update(counts)
    try:
        for number, batch in enumerate(asked.batches):
            if number < row.batches_done:
                continue
            loaded = store.load_batch(row.feed_id, number, batch, row.as_at)
            report.counts.update(loaded)
            counts.update(loaded)
            report.identity_changes += batch.changes.num_rows
            report.issues.update(batch.issues)
            report.rejected.update((r.field, r.reason, r.message) for r in batch.rejected)
            if progress:
                progress(source.id, batch.units)
        _withdraw_absent(store, row.feed_id, feed, counts, report)
    except FeedRefused as refusal:
        if refusal.reason == UNREADABLE:
            report.notices.append(
                f"feed {feed.sha256[:12]}: {refusal.message}; left for the next run"
            )
            return
        store.end_feed(row.feed_id, FeedState.REFUSED, str(refusal), clock())
        report.counts[Outcome.QUARANTINED] += 1
        report.refusals.append(Refusal(feed.sha256, refusal.reason, refusal.message))
        return
    store.end_feed(row.feed_id, FeedState.LOADED, "", clock())


def _withdraw_absent(
    store: Store, feed_id: int, feed: FeedFile, counts: Counter[Outcome], report: SourceReport
) -> None:
    """Withdraws what a whole list lacks, if it was read whole. Raises: FeedRefused."""
    whole_list = feed.settings.snapshot
    if whole_list is None:
        return
    lost = counts[Outcome.QUARANTINED] - store.barred_units(feed_id)
    if lost > whole_list.max_quarantined * counts.total():
        report.notices.append(
            f"feed {feed.sha256[:12]}: {lost} of {counts.total()} units of this whole list were"
            " quarantined (max_quarantined); no record that it lacks was withdrawn"
        )
        return
    report.withdrawn += store.withdraw_absent(feed_id, whole_list.max_withdrawn)


def _batches(
    readers: Mapping[str, Reader], feed: FeedFile, source: SourceSettings, limits: Limits
) -> Iterator[UnitBatch]:
    """The reader's batches, asked for at once; whatever else goes wrong in it refuses this feed,
    not the night."""
    return _safely(readers[feed.settings.format](feed, source, limits))


def _safely(batches: Iterator[UnitBatch]) -> Iterator[UnitBatch]:
    try:
        yield from batches
    except CommonthreadError:
        raise
    except Exception as error:
        # Its text may hold a person's values: only its kind is told.
        raise FeedRefused("unforeseen", f"the reader failed ({type(error).__name__})") from None


def reader_hash(source: SourceSettings, feed: FeedFile, limits: Limits) -> str:
    """Digest of everything in the settings that decides how the feed is read, and in how many
    batches."""
    relevant = (
        replace(limits, settle_seconds=0),
        feed.settings,
        source.organisations,
        source.time_zone,
        source.identifier_systems,
        source.local_id_system,
        source.nhs_number_systems,
        source.identity_change_sign,
    )
    encoded = msgspec.json.encode(relevant, enc_hook=_pattern_text, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()


def _pattern_text(value: object) -> str:
    if isinstance(value, re.Pattern):
        return str(value.pattern)
    raise TypeError(f"no text for {type(value).__name__}")
