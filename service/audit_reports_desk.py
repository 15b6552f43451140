"""Reports of the audit log, asked for: permitted, gathered, written down, given.

Rules:
- Permit first, event next, report last: the event names the report, how many log entries it rests
  on, and the person or the member of staff that it is about.
- A report is made from what the log says and the register; a person whom the reader must not know
  of is named in none, and a report about them is answered as about nobody.
- Only the entries that a report needs are opened.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace as changed

from audit.actions import EventClass
from audit.detect_facts import EVENT_SCHEMA, Facts
from audit.events import EventOutcome
from consent.commands import Action
from schemas.dates import Clock, Instant, to_instant
from schemas.errors import InputError
from schemas.identifiers import PersonId
from schemas.settings import Settings
from service.access import Actor, permit, record
from service.alert_ports import AlertStore
from service.audit_ports import AuditQuery, AuditStore
from service.audit_reports import Names, Period, Report, month_of
from service.audit_reports_access import (
    organisation_report,
    person_report,
    refusals_report,
    same_name_report,
    staff_report,
    unexplained_report,
)
from service.audit_reports_asked import BEGINNING, Asked, LogState
from service.audit_reports_events import events_report
from service.audit_reports_facts import explanations, namesakes
from service.audit_reports_frame import frame_of
from service.audit_reports_glass import break_glass_report
from service.audit_reports_log import KEEPING, integrity_report
from service.audit_reports_pack import MONTHS_BEFORE, months_until, pack_report
from service.audit_reports_person import person_own_report
from service.audit_reports_sharing import (
    agreements_report,
    consent_report,
    disclosures_report,
    linkage_report,
)
from service.looking import present_person
from service.sharing_ports import SharingStore
from service.shielded import hidden_of, seen_by

_LOOKS = frozenset({EventClass.ACCESS, EventClass.SEARCH, EventClass.BREAK_GLASS})
_GLASS = _LOOKS - {EventClass.SEARCH}
DAYS = 31
"""The span of a report where none is named, to now; one about a person is of all that is kept."""


class ReportStore(SharingStore, AuditStore, AlertStore, Protocol):
    """A store that reports can be made from."""


class FactsOf(Protocol):
    """Facts of detection about these persons; names: with who bears which name."""

    def __call__(self, persons: Collection[PersonId], *, names: bool) -> Facts:
        """The facts."""


@dataclass(frozen=True)
class Kind:
    """A report that can be asked for.

    Attributes:
        says: what it answers, in a line.
        needs: what it is about: person, actor, organisation, or nothing.
        classes, actions, outcomes: which entries it opens; empty is all.
        facts: what it takes from detection: explained, namesakes.
    """

    says: str
    build: Callable[[pd.DataFrame, Asked], Report]
    needs: str = ""
    classes: frozenset[EventClass] = frozenset()
    actions: frozenset[str] = frozenset()
    outcomes: frozenset[EventOutcome] = frozenset()
    facts: frozenset[str] = frozenset()


REPORTS: dict[str, Kind] = {
    "person": Kind(
        "Who looked at this person, for the IG officer.", person_report, "person",
        facts=frozenset({"explained"}),
    ),
    "person-own": Kind(
        "Who looked at this person, to give to the person: no staff names, exemptions left out.",
        person_own_report, "person",
    ),
    "staff": Kind(
        "All that one member of staff did.", staff_report, "actor", facts=frozenset({"explained"})
    ),
    "organisation": Kind(
        "What one organisation's staff did.", organisation_report, "organisation"
    ),
    "break-glass": Kind(
        "Who broke the glass, what they opened by it, what was followed up.", break_glass_report,
        classes=_GLASS,
    ),
    "unexplained": Kind(
        "A sample of the openings that nothing explains.", unexplained_report,
        classes=frozenset({EventClass.ACCESS}), outcomes=frozenset({EventOutcome.PERMITTED}),
        facts=frozenset({"explained"}),
    ),
    "same-name": Kind(
        "Staff who looked at persons of their own surname.", same_name_report, classes=_LOOKS,
        facts=frozenset({"explained", "namesakes"}),
    ),
    "refusals": Kind(
        "What was refused to whom, by which rule, and who keeps trying.", refusals_report,
        outcomes=frozenset({EventOutcome.REFUSED}),
    ),
    "disclosures": Kind(
        "What passed from which organisation to which.", disclosures_report, classes=_LOOKS,
        outcomes=frozenset({EventOutcome.PERMITTED}),
    ),
    "agreements": Kind(
        "The register of agreements, and what passed without one.", agreements_report,
        classes=_LOOKS, outcomes=frozenset({EventOutcome.PERMITTED}),
    ),
    "consent": Kind(
        "Wishes, proxies and agreements written down or ended.", consent_report,
        classes=frozenset({EventClass.CONSENT}),
    ),
    "linkage": Kind(
        "Decisions by people about which records are one person.", linkage_report,
        classes=frozenset({EventClass.LINKAGE, EventClass.ADMINISTRATION}),
    ),
    "integrity": Kind(
        "Whether the log is whole, and who outside can vouch for it.", integrity_report,
        actions=KEEPING,
    ),
    "pack": Kind(
        "A month in figures and plots, beside the twelve before.", pack_report,
    ),
    "events": Kind(
        "The log entries behind a number: by time, class, action, outcome, person, staff.",
        events_report,
    ),
}  # fmt: skip
"""Name → the report."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for on the command line.

    Attributes:
        since, until: of the span; None leaves it to the report.
        month: of the pack, YYYY-MM.
        classes, actions, outcomes: of the report `events`, beside what the others take.
    """

    name: str
    person: str | None = None
    actor: str | None = None
    organisation: str | None = None
    since: Instant | None = None
    until: Instant | None = None
    month: str | None = None
    seed: int = 1
    size: int = 40
    classes: frozenset[EventClass] = frozenset()
    actions: frozenset[str] = frozenset()
    outcomes: frozenset[EventOutcome] = frozenset()


@dataclass(frozen=True)
class Desk:
    """Where reports are asked for.

    Attributes:
        log: what the log is known to hold, looked up when a report needs it.
        facts: what detection knows.
    """

    store: ReportStore
    settings: Settings
    clock: Clock
    actor: Actor
    log: Callable[[], LogState]
    facts: FactsOf


def make_report(desk: Desk, wanted: Wanted, **told: str) -> tuple[Report, Asked]:
    """The report, written down. told: how it is given, for the event.

    Raises: NotPermitted; NotFound: no such person; InputError: what it is about is not named.
    """
    kind = REPORTS[wanted.name]
    permit(desk.actor, Action.AUDIT_REPORT, desk.store, desk.clock)
    return _made(desk, kind, wanted, told)


def deliver_report(desk: Desk, wanted: Wanted, role: str) -> tuple[Report, Asked]:
    """The report, for a role whose right to it was checked; nobody is shown it here."""
    unnamed = replace(desk, actor=replace(desk.actor, named=False))  # the role reads it, not we
    return _made(unnamed, REPORTS[wanted.name], wanted, {"delivered_to": role})


def _made(desk: Desk, kind: Kind, wanted: Wanted, told: Mapping[str, str]) -> tuple[Report, Asked]:
    asked = _asked(desk, kind, wanted)
    hidden = frozenset() if desk.actor.named else hidden_of(desk.store).persons
    events = pa.Table.from_batches(_events(desk, kind, wanted, asked), schema=EVENT_SCHEMA)
    asked = _with_facts(desk, kind, asked, events)
    report = kind.build(frame_of(events.to_batches(), asked.zone, hidden), asked)
    details: dict[str, Any] = dict(told)
    if asked.actor:
        details["staff"] = asked.actor
    record(
        desk.actor, Action.AUDIT_REPORT, desk.store, desk.clock,
        persons=[asked.person] if asked.person else [],
        report=wanted.name, entries=report_entries(report, events), since=asked.period.since,
        until=asked.period.until, **details,
    )  # fmt: skip
    return report, asked


def report_entries(report: Report, events: pa.Table) -> int:
    """How many log entries were read for it: those behind its numbers, or, of a report that tells
    none, all that were opened."""
    return len(events) if report.for_person else report.leaves().count


def _asked(desk: Desk, kind: Kind, wanted: Wanted) -> Asked:
    """What it is about, made sure of. Raises: InputError; NotFound; InvalidValue."""
    for name in ("person", "actor", "organisation"):
        if kind.needs == name and getattr(wanted, name) is None:
            raise InputError(f"the report '{wanted.name}' needs --{name}")
        if kind.needs != name and wanted.name != "events" and getattr(wanted, name) is not None:
            raise InputError(f"the report '{wanted.name}' takes no --{name}; `events` does")
    now = desk.clock()
    audit = desk.settings.audit
    person, persons = _person(desk, wanted) if wanted.person else (None, frozenset())
    names = {one.code: one.name for one in desk.settings.organisations}
    asked = Asked(
        period=_period(wanted, kind, now), made_at=now, zone=audit.time_zone,
        names=Names(desk.settings.name, {str(k): v for k, v in names.items()},
                    desk.settings.demo),
        person=person, persons=persons, actor=wanted.actor, organisation=wanted.organisation,
        seed=wanted.seed, size=wanted.size,
        hours=(audit.day_starts, audit.day_ends),
    )  # fmt: skip
    if wanted.name in ("agreements", "pack"):
        asked = replace(asked, agreements=desk.store.agreements())
    if wanted.name == "break-glass":
        asked = replace(asked, claims=desk.store.claims(unreviewed=False))
    if wanted.name == "integrity":
        asked = replace(asked, log=desk.log())
    if wanted.name == "pack":
        months = _months(desk, asked.period)
        asked = replace(asked, months=months, alerts=tuple(desk.store.alerts()))
    return asked


def _person(desk: Desk, wanted: Wanted) -> tuple[PersonId, frozenset[PersonId]]:
    """The present person, and every id that was merged into it."""
    store = seen_by(desk.actor, desk.store)
    asked_for = wanted.person or ""
    person = present_person(store, desk.actor, Action.AUDIT_REPORT, asked_for, desk.clock)
    found: set[PersonId] = set()
    waiting = [person]
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        found.add(one)
        past = store.person_past(one)
        waiting += [before for _, before in past.merged] if past else []
    return person, frozenset(found)


def _period(wanted: Wanted, kind: Kind, now: Instant) -> Period:
    if wanted.month is not None:
        month = month_of(wanted.month)
        if month.since > now:
            raise InputError(f"--month: expected one that has begun; it is {now[:7]} now")
        return month
    if wanted.name == "pack":
        raise InputError("the monthly pack needs --month YYYY-MM")
    until = wanted.until or _plus(now, timedelta(seconds=1))
    since = wanted.since or (
        BEGINNING if kind.needs == "person" else _plus(until, -timedelta(days=DAYS))
    )
    if since >= until:
        raise InputError("--until: expected a day not before --since")
    return Period(since, until)


def _plus(at: Instant, span: timedelta) -> Instant:
    return to_instant(datetime.fromisoformat(at) + span)


def _months(desk: Desk, period: Period) -> dict[tuple[str, str, str], int]:
    """Counts by month, class and outcome of the pack's month and those before it."""
    first = month_of(months_until(period)[0])
    assert len(months_until(period)) == MONTHS_BEFORE + 1
    query = AuditQuery(since=first.since, until=period.until)
    counted = desk.store.count_events(query, ("month", "class", "outcome"))
    return {(month, kind, outcome): n for (month, kind, outcome), n in counted.items()}


def _events(desk: Desk, kind: Kind, wanted: Wanted, asked: Asked) -> Iterable[pa.RecordBatch]:
    """The entries that the report is about, each once."""
    since = None if asked.period.since == BEGINNING else asked.period.since
    query = AuditQuery(
        since=since, until=asked.period.until, actor=asked.actor,
        organisation=asked.organisation, classes=kind.classes or wanted.classes,
        actions=kind.actions or wanted.actions, outcomes=kind.outcomes or wanted.outcomes,
    )  # fmt: skip
    persons: list[PersonId | None] = [*sorted(asked.persons)] or [None]
    seen: set[int] = set()
    for person in persons:
        about = changed(query, person=person)
        for batch in desk.store.event_columns(about):
            fresh = batch
            if len(persons) > 1:
                leaves = batch.column("leaf").to_pylist()
                fresh = batch.filter(pa.array([leaf not in seen for leaf in leaves]))
                seen.update(leaves)
            yield _plain_times(fresh)


def _plain_times(batch: pa.RecordBatch) -> pa.RecordBatch:
    """`at` without its zone (it is UTC), as detection takes it."""
    arrays = [
        column.cast(EVENT_SCHEMA.field(name).type)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=EVENT_SCHEMA)


def _with_facts(desk: Desk, kind: Kind, asked: Asked, events: pa.Table) -> Asked:
    """With what detection knows of these entries."""
    if not kind.facts:
        return asked
    named = pc.unique(pc.list_flatten(events.column("persons"))).to_pylist()
    persons = [one for one in named if not asked.persons or one in asked.persons]
    facts = desk.facts(persons, names="namesakes" in kind.facts)
    if "explained" in kind.facts:
        asked = replace(asked, explained=explanations(events, facts, asked.zone))
    if "namesakes" in kind.facts:
        asked = replace(asked, namesakes=namesakes(events, facts, asked.zone))
    return asked
