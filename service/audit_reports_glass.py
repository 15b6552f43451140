"""The break-glass review: who broke the glass, what they opened by it, who followed up."""

from __future__ import annotations

import pandas as pd

from schemas.dates import Instant
from service.audit_reports import Column, Fact, Leaves, Report, Row, Table
from service.audit_reports_access import permitted
from service.audit_reports_asked import (
    ENTRIES,
    ORGANISATION,
    PERSON,
    ROLE,
    STAFF,
    WHEN,
    Asked,
    glass_words,
    listed,
    local,
    named,
    role_words,
)
from service.audit_reports_frame import EVERY, counts_by, distinct, how_many, lines, number

PEOPLE = how_many("persons", "Persons", "persons", "persons")
STAFF_COUNT = how_many("staff", "Staff", "actor", "staff")
REVIEW_DAYS = 7
"""A declaration that nobody has followed up after so many days is overdue."""


def break_glass_report(frame: pd.DataFrame, asked: Asked) -> Report:
    """Broken glass: who, why, what was opened by it, and whether it was followed up."""
    declared = frame[frame["action"] == "break-glass"]
    given = declared[declared["outcome"] == "permitted"]
    looked = frame[frame["break_glass"].ne("") & (frame["event_class"] == "access")]
    opened = permitted(looked)
    followed = _followed_up(given, asked)
    waiting = given[given["leaf"].isin([leaf for leaf, at in followed.items() if not at])]
    facts = (
        Fact("given", "times the glass was broken", number(given)),
        Fact("staff", "staff broke it", distinct(given, "actor", "staff")),
        Fact("persons", "persons", distinct(given, "persons", "persons")),
        Fact("refused", "were refused", number(declared[declared["outcome"] == "refused"])),
        Fact("opened", "openings by it", number(opened)),
        Fact("waiting", "wait for a follow-up", number(waiting)),
    )
    words = {"reason": glass_words, "organisation": asked.names.organisation, "role": role_words}
    tables = (
        _declarations(given, opened, followed, asked),
        counts_by(
            "reasons", "By reason", "A reason that one team gives always is a habit.", given,
            {"organisation": ORGANISATION, "role": ROLE, "reason": Column("reason", "Reason")},
            (EVERY, STAFF_COUNT, PEOPLE), words=words, empty="Nobody broke the glass.",
        ),
        listed(
            "refused", "Refused", "Attempts that were refused; some are barred staff, who do not"
            " know that they are.", declared[declared["outcome"] == "refused"],
            ("when", "staff", "role", "organisation", "persons", "said", "policies", "leaf"),
            asked, empty="Nothing was refused.",
        ),
    )  # fmt: skip
    return Report(
        "break-glass", "Break-glass review",
        "Who broke the glass, for which reason, what did they open by it, and has it been followed"
        " up?",
        asked.period, asked.made_at, facts=facts, tables=tables,
        act=(
            "Follow up each line: `commonthread break-glass list` shows the words in which it was"
            " declared, `commonthread break-glass review NUMBER --finding FINDING` closes it.",
            f"What waits longer than {REVIEW_DAYS} days is overdue.",
        ),
        limits=("The typed words are sealed and stand in no report.",),
    )  # fmt: skip


def _followed_up(given: pd.DataFrame, asked: Asked) -> dict[int, Instant | None]:
    """Leaf of a declaration → when it was followed up, None where it was not."""
    held = {(c.staff_id, c.person, c.made_at): c.reviewed_at for c in asked.claims}
    made = given["at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ") if len(given) else []
    return {
        int(leaf): next((held[key] for p in persons if (key := (actor, p, at)) in held), None)
        for leaf, actor, persons, at in zip(
            given["leaf"], given["actor"], given["persons"], made, strict=True
        )
    }


def _declarations(
    given: pd.DataFrame, opened: pd.DataFrame, followed: dict[int, Instant | None], asked: Asked
) -> Table:
    """A row for each broken glass, with what was opened by it until the next."""
    columns = (
        WHEN, STAFF, ROLE, ORGANISATION, PERSON, Column("reason", "Reason"),
        Column("opened", "Openings by it", "number"), Column("followed", "Followed up", "time"),
        ENTRIES,
    )  # fmt: skip
    rows = []
    for one in lines(given.iloc[::-1]):
        mine = opened[
            (opened["actor"] == one.actor)
            & (opened["persons"] == one.persons)
            & (opened["leaf"] > one.leaf)
        ]
        later = given[
            (given["actor"] == one.actor)
            & (given["persons"] == one.persons)
            & (given["leaf"] > one.leaf)
        ]
        if len(later):
            mine = mine[mine["leaf"] < later["leaf"].min()]
        cells = (
            one.when.strftime("%Y-%m-%d %H:%M:%S"), one.actor, role_words(one.role),
            asked.names.organisation(one.organisation), named(one.persons),
            glass_words(one.reason), number(mine),
            local(followed[one.leaf], asked.zone) or "not yet", str(one.leaf),
        )  # fmt: skip
        rows.append(Row(cells, Leaves.of([one.leaf, *mine["leaf"]])))
    return Table(
        "declared", "Each time the glass was broken",
        "The newest first, with what was opened by it.", columns, tuple(rows),
        empty="Nobody broke the glass.",
    )  # fmt: skip
