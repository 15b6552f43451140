"""The whole check of a log: files, database, and what others hold of it.

Rules:
- The files are checked by audit/verifier.py, which shares no code with what writes them; the keys
  are those of the keystore and of the settings, not those that lie with the log.
- Every entry that was published is compared with the database's, every payload with its entry,
  every clear column with its payload.
- A payload may be missing where a later event of the log says that its time was over and names it.
- A gap in the numbers is a fault; so are a row whose number no event was given, and a database that
  holds fewer events than were signed. Events that are not signed yet are no fault: they are told.
- Events whose time is before that of events logged earlier are told: a clock that was set back, or
  events that waited in the second journal. Which it was is for people to find out.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from audit.verifier import TILE, Findings, VerifierKey, check_log
from schemas.dates import Instant

PAGE = 16 * TILE
"""Events that are opened together."""
CLOCK_TOLERANCE = timedelta(minutes=10)
"""So much earlier than an event logged before it an event may be, unremarked."""
_MOST_STEPS = 100


@dataclass
class CheckedPage:
    """Some events as the database holds them.

    Attributes:
        first: leaf of the first; `entries` are those from there on, None where one is not there.
        times: leaf, and when, of those that were opened.
        faults: leaf, and what is wrong.
        missing: leaves without a payload.
        erased: first, last (both included), and the leaf of the event that says so.
    """

    first: int
    entries: list[bytes | None]
    times: list[tuple[int, Instant]] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    erased: list[tuple[int, int, int]] = field(default_factory=list)


class EventChecker(Protocol):
    """Checks the events of a database, a page after the other: store/audit_checking.py."""

    def page(self, first: int, last: int) -> CheckedPage:
        """The events of the leaves from `first` to before `last`."""

    def persons(self) -> Sequence[tuple[int, str]]:
        """What is wrong in the table of whom events are about: leaf, what. After the last page."""

    def strays(self) -> Sequence[tuple[int, str]]:
        """Rows whose number no event was given: leaf, what."""


class CheckableStore(Protocol):
    """What a check asks of the store."""

    def event_count(self) -> int:
        """How many events the log has."""

    def event_checker(self) -> EventChecker:
        """A check of the events, from the beginning."""


@dataclass
class Verified:
    """What a whole check found.

    Attributes:
        log: of the files.
        events: in the database. unsigned: of these, not in a checkpoint yet.
        erased: payloads that are gone as the log says. opened: payloads that were opened.
        faults: of the database, beside those of the files; the first hundred.
        clock_steps: leaf, its time, and the later time that was logged before it; the first
            hundred.
    """

    log: Findings
    events: int = 0
    unsigned: int = 0
    erased: int = 0
    opened: int = 0
    database: Findings = field(default_factory=Findings)
    clock_steps: list[tuple[int, Instant, Instant]] = field(default_factory=list)
    clock_step_count: int = 0

    @property
    def sound(self) -> bool:
        """No fault was found."""
        return self.log.sound and self.database.sound

    def faults(self) -> list[str]:
        """Every fault, in words."""
        more = self.log.more_faults + self.database.more_faults
        told = [*self.log.faults, *self.database.faults]
        return told + ([f"and {more} more"] if more else [])

    def document(self) -> dict[str, Any]:
        """As a document."""
        return self.log.told() | {
            "sound": self.sound,
            "faults": self.faults(),
            "events": self.events,
            "unsigned": self.unsigned,
            "opened": self.opened,
            "erased": self.erased,
            "clock_steps": [
                {"leaf": leaf, "at": at, "after": after} for leaf, at, after in self.clock_steps
            ],
            "clock_step_count": self.clock_step_count,
        }


def verify(
    folder: Path,
    store: CheckableStore,
    keys: Sequence[VerifierKey],
    held: Sequence[tuple[str, bytes]] = (),
) -> Verified:
    """Checks the log in this folder, and the database behind it.

    Args:
        keys: of the log and its witnesses.
        held: name and bytes of checkpoints kept elsewhere.
    """
    count = store.event_count()
    reader = _Reader(store.event_checker(), count)
    log = check_log(folder, keys, held, reader.compare)
    reader.finish()
    found = reader.found
    if count < log.size:
        found.fault(f"the database holds {count} events, {log.size} were signed")
    return Verified(
        log, count, max(0, count - log.size), reader.erased, reader.opened, found,
        reader.steps, reader.step_count,
    )  # fmt: skip


def verified_lines(found: Verified) -> list[str]:
    """For people."""
    told = found.log.told()
    lines = [
        f"{found.log.origin or 'the log'}: {found.log.size:,} entries signed,"
        f" {found.log.checked:,} checked; {found.opened:,} events opened"
    ]
    if found.unsigned:
        lines.append(f"{found.unsigned:,} events are not signed yet")
    if found.erased:
        lines.append(f"{found.erased:,} payloads are gone as the log says: their time was over")
    lines += [
        f"witness {one['witness']} signed {one['size']:,} entries" for one in told["cosigned"]
    ] or ["no witness has signed: nobody else could tell if the log were written anew"]
    if found.clock_step_count:
        lines.append(
            f"{found.clock_step_count:,} events say an earlier time than events logged before them"
            " (a clock was set back, or they waited in the second journal):"
        )
        lines += [
            f"  leaf {leaf}: {at} after {after}" for leaf, at, after in found.clock_steps[:10]
        ]
    lines += [*told["notes"], *(f"FAULT {fault}" for fault in found.faults())]
    return [*lines, "the log is sound" if found.sound else "THE LOG IS NOT SOUND"]


class _Reader:
    """Reads the database beside the files, and compares."""

    def __init__(self, checker: EventChecker, count: int) -> None:
        self.found = Findings()
        self.steps: list[tuple[int, Instant, Instant]] = []
        self.step_count = self.opened = self.erased = 0
        self._checker, self._count = checker, count
        self._held: list[bytes | None] = []
        self._next = 0
        self._latest: Instant | None = None
        self._missing = array("q")
        self._ranges: list[tuple[int, int, int]] = []

    def compare(self, first: int, entries: list[bytes]) -> None:
        """A bundle of the log: see audit.verifier.Seen."""
        while self._next <= first and self._next < self._count:
            self._page()
        at = first % PAGE
        held = self._held[at : at + len(entries)] if first < self._next else []
        if held == entries:
            return
        for place, entry in enumerate(entries):
            mine = held[place] if place < len(held) else None
            if mine is not None and mine != entry:
                self.found.fault(f"leaf {first + place}: another event than was published")

    def finish(self) -> None:
        """What is not published yet, whom events are about, and what is missing."""
        while self._next < self._count:
            self._page()
        for leaf, what in (*self._checker.persons(), *self._checker.strays()):
            self.found.fault(f"leaf {leaf}: {what}")
        self._check_missing()

    def _page(self) -> None:
        last = min(self._next + PAGE, self._count)
        page = self._checker.page(self._next, last)
        self._held = page.entries
        for place, entry in enumerate(page.entries):
            if entry is None:
                self.found.fault(f"leaf {page.first + place}: no such event in the database")
        for leaf, what in page.faults:
            self.found.fault(f"leaf {leaf}: {what}")
        self.opened += len(page.times)
        self._missing.extend(page.missing)
        self._ranges += page.erased
        for leaf, at in page.times:
            self._check_time(leaf, at)
        self._next += PAGE

    def _check_time(self, leaf: int, at: Instant) -> None:
        if self._latest is None or at >= self._latest:
            self._latest = at
        elif _moment(self._latest) - _moment(at) > CLOCK_TOLERANCE:
            self.step_count += 1
            if len(self.steps) < _MOST_STEPS:
                self.steps.append((leaf, at, self._latest))

    def _check_missing(self) -> None:
        """A payload may be missing only where a later event says so."""
        ranges = _joined([(first, last) for first, last, by in self._ranges if last < by])
        starts = [first for first, _ in ranges]
        for leaf in self._missing:
            place = bisect_right(starts, leaf) - 1
            if place >= 0 and leaf <= ranges[place][1]:
                self.erased += 1
            else:
                self.found.fault(f"leaf {leaf}: its payload is gone, and no event says why")


def _joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges that do not touch, in order."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def _moment(at: Instant) -> datetime:
    return datetime.fromisoformat(at)
