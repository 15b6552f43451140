"""What a report is asked for with, and the words that all reports share. Values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from audit.alerts import Alert
from audit.events import EventOutcome
from consent.roles import TITLES
from schemas.codes import PURPOSES
from schemas.dates import Instant
from schemas.identifiers import PersonId
from schemas.items import HEADINGS, Heading
from schemas.sharing import BREAK_GLASS_REASONS, Agreement
from service.audit_reports import Column, Leaves, Names, Period, Row, Table
from service.audit_reports_frame import UNKNOWN, lines, words_of
from service.sharing_ports import Claim

BEGINNING = Instant("2000-01-01T00:00:00Z")
"""Since when a report is that is of everything kept."""
ZONE = "Europe/London"
"""The partnership's clock: days, hours and months of reports are by it."""


@dataclass(frozen=True)
class LogState:
    """What the log is known to hold when a report is made.

    Attributes:
        size: entries under the checkpoint; root: its root hash, hex; at: when it was looked at.
        origin: the log's name. events: entries that the database holds.
        cosigned: witness → when it last cosigned, and which size.
        checked: what the whole verification found, in sentences; None where it was not run.
    """

    size: int
    root: str
    origin: str
    events: int
    at: Instant | None = None
    cosigned: Mapping[str, tuple[Instant, int]] = field(default_factory=dict)
    checked: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Asked:
    """What a report is asked for with, and the facts beside the log that it rests on.

    Attributes:
        person, actor, organisation: of whom or what, where the report is of one.
        persons: the person's id and those that were merged into it.
        seed, size: of a sample.
        hours: the working day, local, from and until: HH:MM.
        explained: leaf → what explains the access, "" where nothing does; None: not looked for.
        namesakes: leaf numbers of accesses by somebody of the person's own surname.
        alerts: every alert that detection raised.
        months: counts by (month, class, outcome) of the months before, from the clear columns.
    """

    period: Period
    made_at: Instant
    names: Names
    zone: str = ZONE
    person: PersonId | None = None
    persons: frozenset[PersonId] = frozenset()
    actor: str | None = None
    organisation: str | None = None
    seed: int = 1
    size: int = 40
    hours: tuple[str, str] = ("08:00", "19:00")
    explained: Mapping[int, str] | None = None
    namesakes: Leaves | None = None
    agreements: Sequence[Agreement] = ()
    claims: Sequence[Claim] = ()
    months: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    alerts: Sequence[Alert] = ()
    log: LogState | None = None


OUTCOMES: dict[str, str] = {
    EventOutcome.PERMITTED.value: "permitted",
    EventOutcome.REFUSED.value: "refused",
    EventOutcome.FAILED.value: "failed",
}
_OTHER_ROLES = {"operator": "Operator", "data_team": "Data team", UNKNOWN: "no role known"}


def role_words(role: str) -> str:
    """What a role is called."""
    return TITLES.get(role) or _OTHER_ROLES.get(role, role)


def purpose_words(purpose: str) -> str:
    """What a purpose is called."""
    return PURPOSES.get(purpose, "no purpose given" if purpose in ("", UNKNOWN) else purpose)


def heading_words(headings: Sequence[str], everything: bool) -> str:
    """Which parts of a record were asked for."""
    if not headings:
        return "the whole record" if everything else "who the person is"
    known = set(Heading)
    return ", ".join(
        HEADINGS[Heading(one)].title if one in known else one for one in sorted(headings)
    )


def why_open(row: Any) -> str:
    """What opened the record: broken glass, or the relationship, where the entry says."""
    if row.break_glass:
        return f"break-glass: {glass_words(row.break_glass)}"
    return "" if row.relationship == "none" else str(row.relationship)


def glass_words(reason: str) -> str:
    """What a reason for breaking the glass says."""
    return BREAK_GLASS_REASONS.get(reason, reason)


def local(at: Instant | None, zone: str) -> str:
    """A moment by the partnership's clock, to the minute."""
    if not at:
        return ""
    moment = datetime.fromisoformat(at)
    return moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


WHEN = Column("when", "When", "time")
STAFF = Column("staff", "Staff id", "id")
ROLE = Column("role", "Role")
ORGANISATION = Column("organisation", "Organisation")
PERSON = Column("persons", "Persons", "id")
ENTRIES = Column("log_entries", "Log entry", "id")
MOST_NAMED = 5
"""Persons that a row names; more are counted."""


def named(persons: Sequence[str]) -> str:
    """Opaque ids of persons, in a row."""
    shown = ", ".join(persons[:MOST_NAMED])
    more = len(persons) - MOST_NAMED
    return f"{shown} and {more:,} more" if more > 0 else shown


Teller = Callable[[Any, Asked], str]
"""What a column of a list says of an entry (a row of the frame, as `itertuples` gives it)."""
LISTED: dict[str, tuple[Column, Teller]] = {
    "when": (WHEN, lambda row, _: row.when.strftime("%Y-%m-%d %H:%M:%S")),
    "staff": (STAFF, lambda row, _: row.actor),
    "role": (ROLE, lambda row, _: role_words(row.role)),
    "organisation": (ORGANISATION, lambda row, a: a.names.organisation(row.organisation)),
    "team": (Column("team", "Team"), lambda row, _: row.team),
    "persons": (PERSON, lambda row, _: named(row.persons)),
    "did": (Column("did", "What was done"), lambda row, _: words_of(row.action)),
    "parts": (
        Column("parts", "Of the record"),
        lambda row, _: (
            heading_words(row.headings, row.all_headings) if row.event_class == "access" else ""
        ),
    ),
    "purpose": (Column("purpose", "Reason chosen"), lambda row, _: purpose_words(row.purpose)),
    "outcome": (
        Column("outcome", "Outcome"),
        lambda row, _: OUTCOMES.get(row.outcome, row.outcome),
    ),
    "opened": (Column("opened", "What opened it"), lambda row, _: why_open(row)),
    "explained": (
        Column("explained", "Explained by"),
        lambda row, a: explanation(a, row.leaf),
    ),
    "policies": (Column("policies", "Rules that decided"), lambda row, _: ", ".join(row.policies)),
    "said": (Column("said", "Said"), lambda row, _: row.what or row.verdict or row.reason),
    "leaf": (ENTRIES, lambda row, _: str(row.leaf)),
}
"""Name → column of a list of entries, and what it says."""


def explanation(asked: Asked, leaf: int) -> str:
    """What explains an access, in words."""
    if asked.explained is None:
        return "not checked"
    if leaf not in asked.explained:
        return ""
    return asked.explained[leaf] or "nothing found"


def listed(
    name: str,
    title: str,
    about: str,
    frame: pd.DataFrame,
    columns: Sequence[str],
    asked: Asked,
    *,
    newest_first: bool = True,
    empty: str = "Nothing was found.",
) -> Table:
    """A row for each entry."""
    chosen = [LISTED[one] for one in columns]
    ordered = frame.iloc[::-1] if newest_first else frame
    rows = tuple(
        Row(tuple(tell(one, asked) for _, tell in chosen), Leaves.of([one.leaf]))
        for one in lines(ordered)
    )
    return Table(name, title, about, tuple(column for column, _ in chosen), rows, empty=empty)
