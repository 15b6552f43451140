"""Collecting: a source that has an interface is asked for what is new before its inbox is read.

Rules:
- What cannot be collected now is told, and collected the next time; what lies in the inbox is read
  all the same, and so are the other sources.
- No sentence holds what a system said of its failure: that may quote values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from schemas.errors import InputError
from schemas.identifiers import SourceId
from schemas.settings import Limits, SourceSettings
from service.ingest import FeedFinder
from service.ports import Collector, FeedFile


def collecting(find_feeds: FeedFinder, collectors: Mapping[SourceId, Collector]) -> FeedFinder:
    """Finds the feeds of a source after those of its interface were collected."""

    def found(
        inbox: Path, source: SourceSettings, limits: Limits
    ) -> tuple[Sequence[FeedFile], Sequence[str]]:
        collector = collectors.get(source.id)
        told = [] if collector is None else _collected(collector, inbox / source.id)
        feeds, notices = find_feeds(inbox, source, limits)
        return feeds, [*told, *notices]

    return found


def _collected(collector: Collector, folder: Path) -> list[str]:
    try:
        folder.mkdir(exist_ok=True)  # nobody else brings anything to it
        return collector.collect()
    except InputError as error:
        return [f"{NOT_COLLECTED}: {error}"]
    except OSError as error:
        return [f"{NOT_COLLECTED}: the inbox cannot be written ({error.strerror})"]


NOT_COLLECTED = "not collected"
"""How a sentence begins on an interface that could not be asked."""
