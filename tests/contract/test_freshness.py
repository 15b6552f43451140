"""What silence of a source means: never connected, fresh, or stale. On both stores."""

from __future__ import annotations

from dataclasses import replace

from schemas.dates import Instant
from schemas.identifiers import OdsCode, SourceId
from schemas.settings import FileSettings, Settings, SourceSettings
from service.nightly import late_sources
from service.ports import FeedState
from store.sql_store import SqlStore
from tests.store_samples import NOW, feed_file

FILE = FileSettings("*", "delimited")


def source(name: str, hours: int) -> SourceSettings:
    """A source that is expected to send every so many hours."""
    return SourceSettings(SourceId(name), name, (OdsCode("AAA"),), (FILE,), fresh_hours=hours)


def test_each_late_source_is_named_with_the_reason(store: SqlStore) -> None:
    sources = (source("fresh", 36), source("stale", 12), source("silent", 36))
    settings = Settings("P", "sqlite://", False, (), sources, {}, {})
    for one in sources[:2]:
        feed = replace(feed_file(), sha256=one.id.ljust(64, "0"))
        row = store.begin_feed(one.id, feed, "hash", NOW)
        store.end_feed(row.feed_id, FeedState.LOADED, "", NOW)
    assert store.last_feeds() == {one.id: NOW for one in sources[:2]}
    refused = store.begin_feed(sources[2].id, feed_file(), "hash", NOW)
    store.end_feed(refused.feed_id, FeedState.REFUSED, "empty: nothing in it", NOW)
    later = Instant("2026-11-03T03:00:00Z")
    assert late_sources(store, settings, later) == [
        "stale: stale, the last feed came 24 hours ago; one is expected every 12",
        "silent: not connected yet, no feed has ever been loaded",
    ]
