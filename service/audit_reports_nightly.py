"""Reports that every night makes, and the monthly pack, put where the settings say.

Rules:
- A role is given reports only if it may ask for them; any other role in the settings is named, and
  gets nothing.
- A night makes them of the whole days since the last that were delivered, at most `MOST_DAYS`; of
  the month before, once. What was delivered is not made again: a folder says so when it is whole.
- Each report is an event of its own, with the role it was delivered to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from consent.commands import Action, decide
from schemas.dates import Instant, to_instant
from schemas.settings import Settings
from service.audit_ports import AuditQuery, AuditStore

if TYPE_CHECKING:
    from service.audit_reports_desk import Desk

DAILY = ("break-glass", "refusals", "agreements", "integrity")
MONTHLY = ("pack", "unexplained", "disclosures", "consent", "linkage")
FORMATS = ("html", "csv", "json")
MOST_DAYS = 31
DONE = "delivered"
"""A file that stands in a folder once all of its reports do."""


@dataclass(frozen=True)
class Delivered:
    """What a night delivered: folders that are whole now, and sentences on what was not given."""

    folders: tuple[Path, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Due:
    """Reports that are due: into which folder, of which span."""

    folder: Path
    since: Instant
    until: Instant
    names: tuple[str, ...]
    month: str | None = None


def deliver(
    store: AuditStore, settings: Settings, now: Instant, root: Path, desk: Callable[[], Desk]
) -> Delivered:
    """Makes what is due for each role of the settings.

    Args: root: the workspace. desk: opened only where something is due.
    """
    folders: list[Path] = []
    notices: list[str] = []
    for role, where in sorted(settings.audit.delivery.items()):
        said = decide(role, Action.AUDIT_REPORT, "audit")
        if not said.permitted:
            notices.append(f"no reports of the log were delivered to '{role}': {said.reason}")
            continue
        for due in _due(root / where, now, ZoneInfo(settings.audit.time_zone)):
            if sum(store.count_events(AuditQuery(since=due.since, until=due.until)).values()):
                _make(desk(), role, due)
                folders.append(due.folder)
    return Delivered(tuple(folders), tuple(notices))


def _due(folder: Path, now: Instant, zone: ZoneInfo) -> Iterator[_Due]:
    today = datetime.fromisoformat(now).astimezone(zone).date()
    span = _days_due(folder, today)
    if span is not None:
        since, until = _midnight(span[0], zone), _midnight(today, zone)
        yield _Due(folder / span[1].isoformat(), since, until, DAILY)
    month = f"{today.replace(day=1) - timedelta(days=1):%Y-%m}"
    monthly = folder / f"month-{month}"
    if not (monthly / DONE).exists():
        first, after = f"{month}-01T00:00:00Z", f"{today:%Y-%m}-01T00:00:00Z"
        yield _Due(monthly, Instant(first), Instant(after), MONTHLY, month)


def _midnight(day: date, zone: ZoneInfo) -> Instant:
    return to_instant(datetime.combine(day, time(), zone))


def _days_due(folder: Path, today: date) -> tuple[date, date] | None:
    """The first and the last day that are due; None where yesterday was delivered."""
    yesterday = today - timedelta(days=1)
    done = sorted(
        day for one in folder.glob(f"????-??-??/{DONE}") if (day := _day(one.parent.name))
    )
    if not done:
        return yesterday, yesterday
    if done[-1] >= yesterday:
        return None
    return max(done[-1] + timedelta(days=1), today - timedelta(days=MOST_DAYS)), yesterday


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None


def _make(desk: Desk, role: str, due: _Due) -> None:
    """Makes the reports into their folder."""
    # Reports need heavy libraries, which a night on which none is due need not wait for.
    from service.audit_reports_desk import Wanted, deliver_report  # noqa: PLC0415
    from service.audit_reports_files import make_folder, write_files  # noqa: PLC0415

    make_folder(due.folder)
    for name in due.names:
        wanted = Wanted(name, since=due.since, until=due.until, month=due.month)
        report, asked = deliver_report(desk, wanted, role)
        stamp = "-" + due.folder.name.removeprefix("month-")
        write_files(due.folder, report, asked, FORMATS, stamp=stamp)
    (due.folder / DONE).touch(mode=0o600)
