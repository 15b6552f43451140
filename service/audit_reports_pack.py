"""The monthly pack: one month in figures, beside the twelve before it. Tables in, a report out.

Rules:
- A month is one of UTC, as the log counts, so that months add up to the whole log.
- Figures of the months before are counted by the database from what stands in clear; each says how
  its entries are listed. Figures of the month itself have their entries behind them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pandas as pd

from audit.alerts import Alert
from audit.detect_rules import RULES
from service.audit_reports import (
    Column,
    Fact,
    Leaves,
    Number,
    Period,
    Plot,
    Report,
    Row,
    Table,
    month_after,
)
from service.audit_reports_access import looks, permitted
from service.audit_reports_asked import Asked, glass_words, purpose_words, role_words
from service.audit_reports_frame import (
    EVERY,
    broken,
    counts_by,
    distinct,
    how_many,
    number,
    where,
    words_of,
)
from service.audit_reports_sharing import flows, uncovered

MONTHS_BEFORE = 12
_COLUMNS = (
    "leaf", "action", "event_class", "outcome", "actor", "role", "purpose", "organisation", "day",
    "hour", "persons", "break_glass", "reason", "what", "verdict", "rule", "custodians",
    "relationship",
)  # fmt: skip
"""Columns of the frame that the pack reads: the others are not carried along."""


def months_until(period: Period) -> list[str]:
    """The month of the pack and those before it, `YYYY-MM`, the oldest first."""
    first = date.fromisoformat(period.since[:10])
    return [f"{month_after(first, n):%Y-%m}" for n in range(-MONTHS_BEFORE, 1)]


_KINDS: dict[str, tuple[str, str, str | None]] = {
    "opened": ("Records opened", "access", "permitted"),
    "searches": ("Searches", "search", "permitted"),
    "glass": ("Break-glass and claims", "break-glass", "permitted"),
    "consent": ("Wishes and agreements", "consent", "permitted"),
    "audit": ("Log read or kept", "audit", None),
    "refused": ("Refused", "", "refused"),
}
"""Column of the trend → its title, class and outcome; an empty class is every class."""


def trend(asked: Asked) -> Table:
    """The months beside one another."""
    rows = []
    for month in months_until(asked.period):
        cells = [
            _counted(asked, month, event_class, outcome)
            for _, event_class, outcome in _KINDS.values()
        ]
        rows.append(Row((month, *cells)))
    titles = tuple(Column(name, title, "number") for name, (title, _, _) in _KINDS.items())
    return Table(
        "trend", "The month beside the twelve before", "Log entries a month.",
        (Column("month", "Month", "time"), *titles), tuple(rows),
        plot=Plot("line", "month", ("opened", "searches", "refused"),
                  "Lines of records opened, searches and refusals, month by month."),
    )  # fmt: skip


def _counted(asked: Asked, month: str, event_class: str, outcome: str | None) -> Number:
    found = sum(
        n
        for (when, kind, ended), n in asked.months.items()
        if when == month and event_class in ("", kind) and outcome in (None, ended)
    )
    query = f"--month {month}"
    query += f" --class {event_class}" if event_class else ""
    query += f" --outcome {outcome}" if outcome else ""
    return Number(found, query=query)


_OPENED = where(
    "opened", "Opened", lambda f: (f["event_class"] == "access") & (f["outcome"] == "permitted")
)
_SEARCHED = where("searched", "Searched", lambda f: f["event_class"] == "search")
_REFUSED = where("refused", "Refused", lambda f: f["outcome"] == "refused")
_GLASS = where("glass", "Break-glass", broken)
_STAFF = how_many("staff", "Staff", "actor", "staff")
_PEOPLE = how_many("persons", "Persons", "persons", "persons")
_ORGANISATION = Column("organisation", "Organisation")
_ROLE = Column("role", "Role")


def pack_report(frame: pd.DataFrame, asked: Asked) -> Report:
    """The pack."""
    whole = frame.assign(rule=frame["policies"].map(lambda p: ", ".join(p) or "no rule named"))
    month = whole[list(_COLUMNS)]
    seen = looks(month)
    opened = seen[(seen["event_class"] == "access") & (seen["outcome"] == "permitted")]
    bare = uncovered(flows(month), asked.agreements)
    tables = (
        trend(asked),
        *_over_time(seen, asked),
        *_by_whom(seen, opened, asked),
        *_to_look_into(month, seen, bare, asked),
        _alerts(asked),
        *_kept(month),
    )
    return Report(
        "pack", "Monthly pack", "What happened to the shared record this month, what changed"
        " against the months before, and what needs somebody's eye?",
        asked.period, asked.made_at, subject=f"Month {asked.period.since[:7]}",
        facts=tuple(_facts(month, seen, opened, bare)), tables=tables,
        notes=_notes(month, asked),
        act=(
            "Take the numbers that jumped to the organisation they belong to: its own report is"
            " `commonthread audit report organisation`.",
            "See that every broken glass was followed up, and every flow without an agreement has"
            " an owner.",
            "Put the log integrity certificate of the month with it: `commonthread audit report"
            " integrity`.",
        ),
        limits=("Months are of UTC; days and hours are by the clock here.",
            "Whether a relationship was reported is as it was known when the record was opened;"
            " `commonthread audit report unexplained` judges by what is known now.",),
    )  # fmt: skip


def _facts(
    month: pd.DataFrame,
    seen: pd.DataFrame,
    opened: pd.DataFrame,
    bare: pd.DataFrame,
) -> list[Fact]:
    facts = [
        Fact("entries", "log entries", number(month)),
        Fact("opened", "records opened", number(opened)),
        Fact(
            "persons", "persons opened or matched", distinct(permitted(seen), "persons", "persons")
        ),
        Fact("staff", "staff looked", distinct(seen, "actor", "staff")),
        Fact("refused", "refused", number(month[month["outcome"] == "refused"])),
        Fact("glass", "entries of broken glass", number(seen[broken(seen)])),
        Fact("bare", "looks that no agreement covers", number(bare)),
    ]
    facts.append(
        Fact(
            "untied",
            "openings without a relationship that a system reported",
            number(untied(opened)),
        )
    )
    return facts


OWN_WORD = frozenset({"", "none", "claimed", "declared", "break-glass"})
"""Relationships that rest on nothing but the word of whoever opened the record."""


def untied(opened: pd.DataFrame) -> pd.DataFrame:
    """The openings that no relationship from a source system let through at that time."""
    return opened[opened["relationship"].isin(OWN_WORD) & opened["persons"].map(bool).astype(bool)]


def _notes(month: pd.DataFrame, asked: Asked) -> tuple[str, ...]:
    """What does not add up, said."""
    counted = sum(n for (when, _, _), n in asked.months.items() if when == asked.period.since[:7])
    gone = counted - len(month)
    if gone <= 0:
        return ()
    return (
        f"{gone:,} entries of this month were erased because their time was over: they count in the"
        " trend, and in nothing else.",
    )


def _over_time(seen: pd.DataFrame, asked: Asked) -> list[Table]:
    days = counts_by(
        "days", "Day by day", "Looks at records.", seen, {"day": Column("day", "Day")},
        (_OPENED, _SEARCHED, _REFUSED, _PEOPLE, _STAFF),
    )  # fmt: skip
    hours = counts_by(
        "hours", "Hour by hour", "Looks at records by the hour of the day, by the clock here.",
        seen.assign(clock=seen["hour"].map(lambda h: f"{h:02}:00")),
        {"clock": Column("clock", "From")}, (_OPENED, _SEARCHED, _STAFF),
    )  # fmt: skip
    first, last = asked.hours
    return [
        replace(days, plot=Plot("bar", "day", ("opened",), "Bars of records opened, day by day.")),
        replace(
            hours,
            about=f"{hours.about} The working day is {first} to {last}.",
            plot=Plot("bar", "clock", ("opened",), "Bars of records opened, hour by hour."),
        ),
    ]


def _by_whom(seen: pd.DataFrame, opened: pd.DataFrame, asked: Asked) -> list[Table]:
    bare = set(untied(opened)["leaf"])
    counts = (
        _OPENED, _SEARCHED, _REFUSED, _GLASS, _PEOPLE, _STAFF,
        where("untied", "Opened, no relationship", lambda f: f["leaf"].isin(bare)),
    )  # fmt: skip
    words: dict[str, Any] = {
        "organisation": asked.names.organisation, "role": role_words, "purpose": purpose_words,
    }  # fmt: skip
    return [
        counts_by(
            "organisations", "By organisation", "Who used the shared record.", seen,
            {"organisation": _ORGANISATION}, counts, words=words,
        ),
        counts_by(
            "roles", "By role and reason", "The thirty most frequent.", seen,
            {"role": _ROLE, "purpose": Column("purpose", "Reason chosen")}, counts, words=words,
            most=30,
        ),
        counts_by(
            "staff", "The twenty most active", "Much is not wrong by itself; compare the role.",
            seen, {"actor": Column("staff", "Staff id", "id"), "role": _ROLE,
                   "organisation": _ORGANISATION}, counts, words=words, most=20,
        ),
    ]  # fmt: skip


def _to_look_into(
    month: pd.DataFrame, seen: pd.DataFrame, bare: pd.DataFrame, asked: Asked
) -> list[Table]:
    name = asked.names.organisation
    words: dict[str, Any] = {
        "organisation": name, "role": role_words, "reason": glass_words, "holder": name,
        "purpose": purpose_words, "action": words_of,
    }  # fmt: skip
    given = seen[(seen["action"] == "break-glass") & (seen["outcome"] == "permitted")]
    return [
        counts_by(
            "glass", "Broken glass", "Who followed up: `commonthread audit report break-glass`.",
            given, {"organisation": _ORGANISATION, "role": _ROLE,
                    "reason": Column("reason", "Reason")}, (EVERY, _STAFF, _PEOPLE), words=words,
            empty="Nobody broke the glass.",
        ),
        counts_by(
            "refusals", "What refused most", "The twenty rules and requests with most refusals.",
            month[month["outcome"] == "refused"],
            {"action": Column("did", "Asked"), "rule": Column("rule", "Rule")},
            (EVERY, _STAFF, _PEOPLE), words=words, most=20, empty="Nothing was refused.",
        ),
        counts_by(
            "bare", "Flows without an agreement",
            "What one organisation was shown of another's with none in force for that reason.",
            bare,
            {"holder": Column("holder", "Held by"), "organisation": Column("asker", "Shown to"),
                   "purpose": Column("purpose", "Reason chosen")}, (EVERY, _PEOPLE, _STAFF),
            words=words, empty="Every flow has its agreement.",
        ),
    ]  # fmt: skip


def _alerts(asked: Asked) -> Table:
    """What detection raised in the month, by rule and by what became of it."""
    span = asked.period
    raised = [one for one in asked.alerts if span.since <= one.raised_at < span.until]
    groups: dict[tuple[str, str], list[Alert]] = {}
    for one in raised:
        state = one.outcome.value if one.outcome else one.state.value
        for rule in {signal.rule for signal in one.signals}:
            groups.setdefault((rule, state), []).append(one)

    def counted(alerts: list[Alert]) -> Number:
        leaves = Leaves.of([n for one in alerts for signal in one.signals for n in signal.leaves])
        return Number(len(alerts), leaves, "groups")

    rows = tuple(
        Row((RULES[rule].words if rule in RULES else rule, state, counted(alerts)))
        for (rule, state), alerts in sorted(groups.items())
    )
    total = Row(("All together, each once", None, counted(raised))) if rows else None
    return Table(
        "alerts", "Alerts raised", "By what was seen, and what became of it; an alert can rest on"
        " several rules. Work them with `commonthread audit alerts list`.",
        (Column("rule", "What was seen"), Column("state", "State or outcome"),
         Column("alerts", "Alerts", "number")), rows, empty="No alert was raised.", total=total,
    )  # fmt: skip


def _kept(month: pd.DataFrame) -> list[Table]:
    did = {"action": Column("did", "What was done"), "outcome": Column("outcome", "Outcome")}
    said = {"action": words_of}
    wishes = month[month["event_class"] == "consent"]
    linkage = month[month["event_class"] == "linkage"]
    kept = month[month["event_class"].isin(["audit", "administration", "export", "system"])]
    return [
        counts_by("wishes", "Wishes and agreements", "What was written or read.", wishes, did,
                  (EVERY, _STAFF, _PEOPLE), words=said),
        counts_by("linkage", "Linkage", "Nights, and decisions by people.", linkage, did,
                  (EVERY, _STAFF), words=said),
        counts_by("kept", "The log, exports and the system", "Who read the log stands here too.",
                  kept, {**did, "role": Column("role", "Role")}, (EVERY, _STAFF),
                  words={**said, "role": role_words}),
    ]  # fmt: skip
