"""Searches a FHIR server of a source, type by type, for what has changed.

Rules:
- The answer for a type becomes one file TYPE_TIME.ndjson in the source's inbox folder, whole or not
  at all; an empty one becomes none. It is written page by page: what dies goes on after its last
  whole page.
- What was changed last comes first. So what changes meanwhile is at the front, where it shifts what
  is still to come backwards: where a server counts off pages afresh each time, some may come twice,
  and none is left out. It is after what was read, and so of the next search.
- A search goes on by time: with what was changed no later than the last that was read. Where the
  pages are not in that order, it goes on at the address of the next page; if the server has
  forgotten that, the type begins anew. A search that went on is followed by one for what came
  since.
- Only when the file is there is written down how far the search came: to the latest
  `meta.lastUpdated` in it, but not beyond what the server's clock (the header Date) and ours said
  when it began; less the overlap. A search that found nothing leaves it where it was.
- A type that the server refuses does not stop the others; a server that is away does.
- Pages that lead to another server, back to one that was read, or on for ever are refused.
- No message holds an address, a value or a word of the server's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from time import sleep as wait_seconds
from typing import Any

import httpx

from adapters.fhir_pages import Page, read_page
from adapters.http_server import Answer, HttpServer, Patience, http_client
from adapters.http_tokens import token_of
from adapters.spool import Spool
from adapters.spool_pages import Pages
from schemas.dates import Instant, to_instant
from schemas.errors import InputError
from schemas.settings import Limits
from schemas.settings_interfaces import FhirInterface

_UNKNOWN_PAGE = frozenset({400, 404, 410, 500})
"""What servers say of a link to a page that they have forgotten."""
_WITHOUT_END = "the pages lead on for ever"


@dataclass(frozen=True)
class _Reached:
    """What is known after a page.

    Attributes:
        next: the address of the page that follows.
        begun: when the search began, by whichever clock was behind: the server's or ours.
        newest, oldest: the latest change that was read, and the first.
        ordered, tail: as for a page, of all of them.
        pages, resources, outcomes, empty: what there was of each so far.
    """

    next: str | None
    begun: Instant | None = None
    newest: Instant | None = None
    oldest: Instant | None = None
    ordered: bool = True
    tail: int = 0
    pages: int = 0
    resources: int = 0
    outcomes: int = 0
    empty: int = 0

    def after(self, page: Page, followed: str | None, begun: Instant) -> _Reached:
        later = page.newest is not None and self.oldest is not None and page.newest > self.oldest
        same = page.oldest == self.oldest and page.tail == len(page.lines)
        return _Reached(
            next=followed,
            begun=self.begun or begun,
            newest=max(filter(None, (self.newest, page.newest)), default=None),
            oldest=page.oldest or self.oldest,
            ordered=self.ordered and page.ordered and not later,
            tail=page.tail + (self.tail if same or not page.resources else 0),
            pages=self.pages + 1,
            resources=self.resources + page.resources,
            outcomes=self.outcomes + page.outcomes,
            empty=self.empty + page.empty,
        )


@dataclass(frozen=True)
class _Fault:
    """Why a search came to no end.

    Attributes:
        away: whether the other types need not be asked for either.
        anew: whether it may come to one if it begins anew.
        forget: whether what was read of it so far is of no use.
    """

    told: str
    away: bool = False
    anew: bool = False
    forget: bool = False


@dataclass(frozen=True)
class FhirPull:
    """The FHIR server of one source, ready to be asked. `root` is the workspace's folder."""

    settings: FhirInterface
    spool: Spool
    root: Path
    limits: Limits
    sleep: Callable[[float], None] = wait_seconds

    def collect(self) -> list[str]:
        """See service.ports.Collector."""
        notices: list[str] = []
        faults: list[str] = []
        with self._server() as server:
            for kind in self.settings.resources:
                outcome = self._pulled(server, kind)
                if not isinstance(outcome, _Fault):
                    notices += outcome
                    continue
                faults.append(f"{kind}: {outcome.told}")
                if outcome.away:
                    break
        if faults:
            raise InputError("; ".join([*notices, *faults, "asked again next time"]))
        return notices

    @contextmanager
    def _server(self) -> Iterator[HttpServer]:
        settings = self.settings
        patience = Patience(settings.tries, settings.timeout_seconds, self.sleep)
        with http_client(settings.timeout_seconds) as client:
            token = token_of(settings, self.root, client, patience)
            most = self.limits.max_document_bytes
            yield HttpServer(settings.url, client, token, patience, most)

    def _pulled(self, server: HttpServer, kind: str) -> list[str] | _Fault:
        """Brings one type up to date: what an earlier run left open, and then what came since."""
        outcome, resumed = self._searched(server, kind)
        if isinstance(outcome, _Fault) or not resumed:
            return outcome
        since, _ = self._searched(server, kind)
        return since if isinstance(since, _Fault) else outcome + since

    def _searched(self, server: HttpServer, kind: str) -> tuple[list[str] | _Fault, bool]:
        """Searches for one type to the end, from where it was left; and whether it was left."""
        question = f"{self.settings.url}\n{kind}"
        since = self.spool.position(kind, question)
        pages = Pages(self.spool, kind, "ndjson", f"{question}\n{since}")
        resumed = pages.note is not None
        fault = self._pages(server, kind, since, pages)
        if fault is not None and fault.anew:
            pages.forget()
            resumed = False
            fault = self._pages(server, kind, since, pages)
        if fault is not None:
            if fault.forget:
                pages.forget()
            return fault, resumed
        pages.end()
        reached = _reached(pages.note)
        position = self._position(reached)
        if position is not None:
            self.spool.set_position(kind, question, position)
        pages.forget()
        return _left_out(kind, reached), resumed

    def _pages(
        self, server: HttpServer, kind: str, since: datetime | None, pages: Pages
    ) -> _Fault | None:
        """Reads pages until there is none; why it could not."""
        reached = _reached(pages.note)
        address = self._first(kind, since) if pages.note is None else reached.next
        if address is not None and reached.ordered and reached.oldest is not None:
            kept = replace(reached, tail=0)
            pages.cut(reached.tail, asdict(kept))
            reached, address = kept, self._first(kind, since, reached.oldest)
        seen: set[bytes] = set()
        while address is not None and not pages.ended:
            mark = blake2b(address.encode(), digest_size=16).digest()
            if mark in seen or reached.pages >= self.settings.max_pages:
                return _Fault(_WITHOUT_END, forget=True)
            seen.add(mark)
            now = self.spool.now()
            answer = server.get(address)
            if answer.fault:
                remembered = len(seen) == 1 and reached.pages > 0
                return _refused(answer, reached, remembered)
            page = read_page(answer.body, answer.media_type)
            if page.fault:
                return _Fault(page.fault)
            address = None if page.next is None else server.within(page.next, answer.address)
            if page.next is not None and address is None:
                return _Fault("a page leads to another server, where we do not go")
            reached = reached.after(page, address, _earlier(now, answer.moment))
            pages.append(page.lines, asdict(reached))
        return None

    def _first(self, kind: str, since: datetime | None, until: Instant | None = None) -> str:
        """The address of a search for what was changed from a moment on, to the end of a second."""
        asked = [("_count", str(self.settings.page_size)), ("_sort", "-_lastUpdated")]
        if since is not None:
            asked.append(("_lastUpdated", f"ge{to_instant(since)}"))
        if until is not None:
            end = datetime.fromisoformat(until) + timedelta(seconds=1)
            asked.append(("_lastUpdated", f"lt{to_instant(end)}"))
        return str(httpx.URL(f"{self.settings.url}/{kind}", params=asked))

    def _position(self, reached: _Reached) -> datetime | None:
        """From when on it is to be searched the next time; None: as this time."""
        if not reached.resources or reached.begun is None:
            return None
        latest = min(reached.begun, reached.newest or reached.begun)
        overlap = timedelta(minutes=self.settings.overlap_minutes)
        return datetime.fromisoformat(latest) - overlap


def _reached(note: Mapping[str, Any] | None) -> _Reached:
    return _Reached(None) if note is None else _Reached(**note)


def _earlier(ours: Instant, theirs: datetime | None) -> Instant:
    return ours if theirs is None else min(ours, to_instant(theirs))


def _refused(answer: Answer, reached: _Reached, remembered: bool) -> _Fault:
    """What is to be done where a page could not be had; whether an earlier run left it."""
    told = answer.fault
    if remembered and answer.status in _UNKNOWN_PAGE:
        return _Fault(told, away=answer.passing, anew=True)
    if not reached.pages and answer.status in (400, 404):
        told += "; leave the type out of `resources` if the server has none of it"
    if reached.resources:
        told += "; what was read of it is kept, to go on from"
    return _Fault(told, away=answer.passing)


def _left_out(kind: str, reached: _Reached) -> list[str]:
    counted = (
        (reached.outcomes, "messages of the server (OperationOutcome)"),
        (reached.empty, "entries without a resource"),
    )
    return [f"{kind}: {count} {what} left out" for count, what in counted if count]
