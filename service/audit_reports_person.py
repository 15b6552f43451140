"""Who looked at me: the report that is given to the person themselves.

Rules (rule 7 of docs/safety/rules.md: own-record views pass the exemptions, without a gap):
- Staff stand by role and organisation, never by id or name.
- What `EXEMPT` names is left out before anything is counted, sorted, dated or numbered; and nothing
  of the log's own order (leaf numbers, size, checkpoint) is told, because a gap in it would tell.
  So the page is the same, byte for byte, whether there were such accesses or not.
- Only looks that showed something are told: a refused attempt showed nothing, and a barred member
  of staff is dealt with silently.
- What was found under which heading is told as far as the heading was asked for; counts of items
  are not.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pandas as pd

from schemas.items import Heading
from service.audit_reports import Column, Fact, Number, Report, Row, Table
from service.audit_reports_access import looks
from service.audit_reports_asked import Asked, heading_words, role_words
from service.audit_reports_frame import kept, lines

SEALED_HEADINGS = frozenset({Heading.SAFEGUARDING.value})
"""Headings that the own view leaves out (policy own-view-safeguarding)."""
SEALED_LABELS = frozenset(
    {"serious-harm", "third-party", "child-abuse", "crime", "adoption", "restricted", "unknown"}
)
"""Labels that the own view leaves out (policy own-view-exemptions)."""

EXEMPT: dict[str, Callable[[Any], bool]] = {
    "for safeguarding": lambda e: e.purpose == "safeguarding",
    "by a safeguarding lead": lambda e: e.role == "safeguarding_lead",
    "by somebody named on an investigation": lambda e: e.relationship == "investigation",
    "glass broken because of serious harm": lambda e: (
        "serious-harm" in (e.break_glass, e.reason if e.action == "break-glass" else "")
    ),
    "only of what the own view leaves out": lambda e: (
        bool(e.headings) and set(e.headings) <= SEALED_HEADINGS
    ),
    "of one item that the own view leaves out": lambda e: (
        e.action == "item" and bool(set(e.labels) & SEALED_LABELS)
    ),
    "dealt with silently": lambda e: bool(e.escalate),
}
"""Why an access is left out → whether it is such a one."""

WHY: dict[str, str] = {
    "direct-care": "To care for you",
    "explicit-consent": "Because you agreed to this look",
    "vital-interests": "To protect life in an emergency",
    "data-quality": "To keep your records right",
    "audit": "To check who looked and why",
    "own-record": "You, or somebody who acts for you, looked",
    "planning": "To plan services",
    "research": "For research",
}
"""Purpose → in words to the person."""
DID: dict[str, str] = {
    "search": "Found you in a search",
    "match": "Found you in a search",
    "identify": "Found you in a search",
    "break-glass": "Opened your record in an emergency",
    "claim": "Said that they care for you",
    "review-show": "Checked that your records are yours",
    "explain": "Checked that your records are yours",
    "person-show": "Checked that your records are yours",
    "person-history": "Checked that your records are yours",
    "read": "Opened who you are",
    "everything": "Opened the whole record",
}
"""Action → in words to the person."""


def person_own_report(frame: pd.DataFrame, asked: Asked) -> Report:
    """Who looked, as the person is told it."""
    shown = _tellable(looks(frame))
    told = _visits(shown, asked)
    rows = tuple(Row(line) for line in told)
    organisations = len({line[2] for line in told})
    opened = sum(not line[3].startswith("Found") for line in told)
    table = Table(
        "looks",
        "Each look, the newest first",
        "Times are by the clock here, to the minute. What the same role did in one minute is one"
        " line.",
        (
            Column("when", "When", "time"),
            Column("role", "Who: their role"),
            Column("organisation", "Where they work"),
            Column("did", "What they did"),
            Column("why", "Why"),
        ),
        rows,
        empty="Nobody looked at your shared record in this time.",
    )
    return Report(
        "person-own",
        "Who looked at my shared record",
        "Who looked at your shared record, when, where do they work, and for which reason?",
        asked.period,
        asked.made_at,
        facts=(
            Fact("looks", "looks", Number(len(told))),
            Fact("opened", "times your record was opened", Number(opened)),
            Fact("organisations", "organisations", Number(organisations, unit="organisations")),
        ),
        tables=(table,),
        act=(
            "If a look surprises you, ask the information governance officer: they can see who it"
            " was and will look into it. Say the date, the role and the organisation.",
            "A search can find people of a similar name: to be found is not to be opened.",
        ),
        limits=(
            "This lists looks at the record that the partner organisations share. What each of them"
            " keeps in its own system is not in it; ask there.",
            "The law lets some information be left out of any such list, for anybody. What is left"
            " out, if anything is, is not said here.",
        ),
        for_person=True,
    )


def _tellable(frame: pd.DataFrame) -> pd.DataFrame:
    """What the person may be told of."""
    permitted = frame[frame["outcome"] == "permitted"]
    exempt = EXEMPT.values()
    return kept(permitted, (not any(told(one) for told in exempt) for one in lines(permitted)))


def _visits(frame: pd.DataFrame, asked: Asked) -> list[tuple[str, str, str, str, str]]:
    """A line for each role, organisation and reason in each minute, the newest first."""
    did: dict[tuple[str, str, str, str], set[str]] = {}
    for one in lines(frame):
        key = (
            one.when.strftime("%Y-%m-%d %H:%M"),
            role_words(one.role),
            asked.names.organisation(one.organisation),
            WHY.get(one.purpose, "No reason was written down"),
        )
        did.setdefault(key, set()).add(_done(one))
    return [
        (_day_words(key[0]), key[1], key[2], _joined(parts), key[3])
        for key, parts in sorted(did.items(), reverse=True)
    ]


def _day_words(minute: str) -> str:
    at = datetime.fromisoformat(minute)
    return f"{at.day} {at:%B %Y, %H:%M}"


def _joined(parts: set[str]) -> str:
    """What was done in one minute; to be found in a search and then opened is to be opened."""
    opened = sorted(one.removeprefix("Opened ") for one in parts if one.startswith("Opened "))
    other = sorted(one for one in parts if not one.startswith("Opened "))
    if opened:
        other = [one for one in other if not one.startswith("Found")]
        other.insert(0, f"Opened {', '.join(opened)}")
    return "; ".join(other)


def _done(one: Any) -> str:
    if one.action in DID:
        return DID[one.action]
    headings = [h for h in one.headings if h not in SEALED_HEADINGS]
    if one.event_class != "access":
        return "Used your record"
    return f"Opened {heading_words(headings, one.all_headings)}"
