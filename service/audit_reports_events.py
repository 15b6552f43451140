"""The log entries behind a number, one by one: what any figure of another report is traced to."""

from __future__ import annotations

import pandas as pd

from service.audit_reports import Column, Fact, Report
from service.audit_reports_asked import Asked, listed
from service.audit_reports_frame import EVERY, counts_by, distinct, number


def events_report(frame: pd.DataFrame, asked: Asked) -> Report:
    """The entries of a span, of a class, action, outcome, person, member of staff, organisation."""
    tables = (
        counts_by(
            "actions", "By what was done", "How the entries divide.", frame,
            {"event_class": Column("class", "Class"), "action": Column("action", "Action"),
             "outcome": Column("outcome", "Outcome")}, (EVERY,),
        ),
        listed(
            "entries", "Every entry, in the order of the log", "One line for each.", frame,
            ("leaf", "when", "staff", "role", "organisation", "did", "persons", "purpose", "said",
             "outcome"),
            asked, newest_first=False,
        ),
    )  # fmt: skip
    return Report(
        "events", "Log entries", "Which entries of the log meet these conditions?",
        asked.period, asked.made_at, subject=_subject(asked),
        facts=(
            Fact("entries", "log entries", number(frame)),
            Fact("persons", "persons named", distinct(frame, "persons", "persons")),
            Fact("staff", "staff", distinct(frame, "actor", "staff")),
        ),
        tables=tables,
        act=("To prove an entry to somebody outside: `commonthread audit prove NUMBER`.",),
        limits=("Entries whose time was over are erased, and stand in no report.",),
    )  # fmt: skip


def _subject(asked: Asked) -> str:
    parts = (
        ("Person", asked.person),
        ("Staff id", asked.actor),
        ("Organisation", asked.organisation and asked.names.organisation(asked.organisation)),
    )
    return ", ".join(f"{what} {value}" for what, value in parts if value)
