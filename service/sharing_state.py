"""What a worker keeps between requests to share, and how it knows that it is out of date.

Rules:
- Nothing about consent is kept but what a counter vouches for: at every request the store's
  counters are read, and what has moved on is read anew before anything is decided.
- Access classes never change: only those not seen yet are read.
- Where a restricted person lives is kept as digests of the addresses, in memory only.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from schemas.codes import AddressUse
from schemas.dates import Instant, to_instant
from schemas.held import FeedState, SourceView
from schemas.identifiers import OdsCode, SourceId, is_pseudo_postcode
from schemas.items import Heading
from schemas.records import ClientRecord
from schemas.settings import Settings, SourceSettings
from schemas.sharing import AccessClass, Agreement, ClassId, Label
from service.former import FormerIdentity, Hidden
from service.sharing_ports import FeedNews, SharingStore
from service.shielded import hidden_of

T = TypeVar("T")
_NO_NEWS = frozenset(Heading) - {Heading.UNCLASSIFIED}
"""What a source may come to send that has sent nothing yet."""
_DIGITS = str.maketrans("", "", "-:T")
SEXUAL_HEALTH = "sexual_health"
"""Kind of organisation whose clients are known to be so only by what law bars."""
Places = frozenset[bytes]
"""Digests of addresses."""


@dataclass(frozen=True)
class Identities:
    """Protected changes of identity, and what is hidden because of them."""

    changes: tuple[FormerIdentity, ...]
    hidden: Hidden


class SharingState:
    """What one process keeps. Thread-safe."""

    def __init__(self, store: SharingStore, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[tuple[int, ...], object]] = {}
        self._classes: dict[ClassId, AccessClass] = {}
        self._places_of: dict[int, tuple[int, Places]] = {}
        self._sexual_health = frozenset(
            one.code for one in settings.organisations if one.kind == SEXUAL_HEALTH
        )
        self.custodian_of: Mapping[SourceId, OdsCode] = {
            source.id: source.organisations[0] for source in settings.sources
        }

    def _fresh(self, name: str, seen: tuple[int, ...], read: Callable[[], T]) -> T:
        """What is kept under the name if the counters stand where they stood, else read anew."""
        kept = self._kept.get(name)
        if kept is None or kept[0] != seen:
            kept = seen, read()
            self._kept[name] = kept
        return kept[1]  # type: ignore[return-value]

    def agreements(self, counters: Mapping[str, int]) -> tuple[Agreement, ...]:
        """Every version of every agreement."""
        return self._fresh(
            "agreements", (counters["sharing"],), lambda: tuple(self._store.agreements())
        )

    def identities(self, counters: Mapping[str, int]) -> Identities:
        """Protected changes of identity."""

        def read() -> Identities:
            changes = tuple(self._store.former_identities())
            return Identities(changes, hidden_of(self._store) if changes else Hidden())

        seen = counters["loads"], counters["published_run"]
        return self._fresh("identities", seen, read)

    def classes(self, wanted: Collection[ClassId]) -> dict[ClassId, AccessClass]:
        """The access classes of these numbers, with the source's own custodian where no other is
        named."""
        if any(one not in self._classes for one in wanted):
            self._read_classes()
        return {one: self._classes[one] for one in wanted}

    def _read_classes(self) -> None:
        with self._lock:
            news = self._store.access_classes(max(self._classes, default=0))
            self._classes |= {key: self._answered_for(one) for key, one in news.items()}

    def _answered_for(self, held: AccessClass) -> AccessClass:
        return self.labelled(
            replace(held, custodian=held.custodian or self.custodian_of.get(held.source))
        )

    def labelled(self, held: AccessClass) -> AccessClass:
        """The class with the label that its custodian's kind gives it: that somebody is known to a
        sexual health service is itself about sexual health."""
        if held.custodian not in self._sexual_health:
            return held
        return replace(held, labels=held.labels | {Label.SEXUAL_HEALTH})

    def sources(self, counters: Mapping[str, int], at: Instant) -> tuple[SourceView, ...]:
        """How each source of clients stands with the partnership, the same for every person."""
        seen = (counters["loads"],)
        news = self._fresh("news", seen, self._store.feed_news)
        sends = self._fresh("sends", seen, self._read_headings)
        minute = int(at[:16].translate(_DIGITS))
        return self._fresh("sources", (*seen, minute), lambda: self._sources(news, sends, at))

    def _read_headings(self) -> Mapping[SourceId, frozenset[Heading]]:
        """Under which headings each source has ever sent something."""
        self._read_classes()
        sends: dict[SourceId, set[Heading]] = {}
        for one in list(self._classes.values()):
            sends.setdefault(one.source, set()).add(Heading(one.category.value))
        return {source: frozenset(headings) for source, headings in sends.items()}

    def _sources(
        self,
        news: Mapping[SourceId, FeedNews],
        sends: Mapping[SourceId, frozenset[Heading]],
        at: Instant,
    ) -> tuple[SourceView, ...]:
        return tuple(
            SourceView(
                source=source.id,
                custodians=source.organisations,
                headings=sends.get(source.id, _NO_NEWS if source.id not in news else frozenset()),
                state=_state(source, news.get(source.id), at),
                since=said.loaded_at if (said := news.get(source.id)) else None,
            )
            for source in self._settings.sources
            if any(file.kind != "staff" for file in source.files)
        )

    def restricted_places(self, counters: Mapping[str, int]) -> Mapping[bytes, frozenset[int]]:
        """Digest of an address → the restricted records that name it as where they live now."""
        return self._fresh("places", (counters["loads"],), self._read_places)

    def _read_places(self) -> Mapping[bytes, frozenset[int]]:
        with self._lock:
            versions = self._store.restricted_versions()
            known = {
                record: kept
                for record, kept in self._places_of.items()
                if versions.get(record) == kept[0]
            }
            news = self._store.held([record for record in versions if record not in known])
            for held in news:
                known[held.record_id] = held.version_id, places_of([held.record])
            self._places_of = known
        found: dict[bytes, set[int]] = {}
        for record, (_, places) in known.items():
            for place in places:
                found.setdefault(place, set()).add(record)
        return {place: frozenset(records) for place, records in found.items()}


def _state(source: SourceSettings, news: FeedNews | None, at: Instant) -> FeedState:
    if news is None or news.loaded_at is None:
        return FeedState.NOT_CONNECTED if news is None else FeedState.FAILED
    if news.failed_at is not None:
        return FeedState.FAILED
    late = to_instant(datetime.fromisoformat(at) - timedelta(hours=source.fresh_hours))
    return FeedState.STALE if news.loaded_at < late else FeedState.CURRENT


def places_of(records: Iterable[ClientRecord]) -> Places:
    """Digests of the addresses at which these records say that somebody lives now: property number,
    or postcode with the first line in plain letters and digits."""
    told: set[str] = set()
    for record in records:
        for address in record.addresses[:1]:
            if address.use is AddressUse.OLD:
                continue
            if address.uprn:
                told.add(f"uprn {address.uprn}")
            if address.postcode and address.lines and not is_pseudo_postcode(address.postcode):
                line = "".join(c for c in address.lines[0].casefold() if c.isalnum())
                told.add(f"{address.postcode} {line}")
    return frozenset(hashlib.sha256(text.encode()).digest() for text in told)
