"""Reports of who looked at what: one person, one member of staff, one organisation, refusals,
accesses without an explanation, namesakes. Tables in, reports out.

Rules:
- A look is an entry of the classes access, search and break-glass: opened, matched, or tried; and
  what shows persons while records are matched.
- Persons stand by their opaque ids, staff by the ids that they sign in with.
"""

from __future__ import annotations

from hashlib import sha256

import pandas as pd

from service.audit_reports import Column, Fact, Leaves, Report
from service.audit_reports_asked import (
    ORGANISATION,
    ROLE,
    STAFF,
    Asked,
    listed,
    purpose_words,
    role_words,
)
from service.audit_reports_frame import (
    EVERY,
    LOOKS,
    broken,
    counts_by,
    distinct,
    grouped,
    how_many,
    kept,
    number,
    where,
    words_of,
)

_PERMITTED = where("permitted", "Permitted", lambda f: f["outcome"] == "permitted")
_REFUSED = where("refused", "Refused", lambda f: f["outcome"] == "refused")
_GLASS = where("break_glass", "Break-glass", broken)
_PEOPLE = how_many("persons", "Persons", "persons", "persons")
_STAFF = how_many("staff", "Staff", "actor", "staff")
_LIMITS = (
    "Looks inside a partner's own system are not in this log: only what was asked of the shared"
    " record is.",
    "A search entry names everybody who was matched, also where fewer were shown.",
)


SHOWS = frozenset({"review-show", "review-decisions", "person-difference"})
"""Actions of other classes that show persons."""


def looks(frame: pd.DataFrame) -> pd.DataFrame:
    """The entries in which somebody looked, or tried to."""
    return frame[frame["event_class"].isin(LOOKS) | frame["action"].isin(SHOWS)]


def permitted(frame: pd.DataFrame) -> pd.DataFrame:
    """The entries of what was shown or done, not of what was refused or failed."""
    return frame[frame["outcome"] == "permitted"]


def without_explanation(frame: pd.DataFrame, asked: Asked) -> pd.DataFrame:
    """The permitted accesses that nothing explains. Requires: explanations were looked for."""
    told = asked.explained or {}
    bare = [leaf for leaf, words in told.items() if not words]
    return frame[frame["leaf"].isin(bare)]


def person_report(frame: pd.DataFrame, asked: Asked) -> Report:
    """Who looked at one person, for the IG officer."""
    seen = looks(frame)
    opened = seen[(seen["event_class"] == "access") & (seen["outcome"] == "permitted")]
    other = frame[~frame["leaf"].isin(seen["leaf"])]
    facts = [
        Fact("opened", "openings of the record, or of a part of it", number(opened)),
        Fact("staff", "staff opened it", distinct(opened, "actor", "staff")),
        Fact(
            "searches",
            "searches that matched the person",
            number(seen[(seen["event_class"] == "search") & (seen["outcome"] == "permitted")]),
        ),
        Fact("glass", "entries of broken glass", number(seen[broken(seen)])),
        Fact("refused", "refused", number(seen[seen["outcome"] == "refused"])),
    ]
    if asked.explained is not None:
        bare = without_explanation(opened, asked)
        facts.append(Fact("unexplained", "openings with no explanation found", number(bare)))
    keys = {"organisation": ORGANISATION, "role": ROLE}
    words = {"organisation": asked.names.organisation, "role": role_words}
    tables = (
        counts_by(
            "groups", "By organisation and role", "Who came from where.", seen, keys,
            (_STAFF, EVERY, _PERMITTED, _REFUSED, _GLASS), words=words,
            empty="Nobody looked at this person.",
        ),
        listed(
            "looks", "Every look, the newest first",
            "One line for each entry of the log in which somebody opened, searched for, or tried to"
            " open this person's record.",
            seen,
            ("when", "staff", "role", "organisation", "team", "did", "parts", "purpose", "outcome",
             "opened", "explained", "leaf"),
            asked, empty="Nobody looked at this person.",
        ),
        listed(
            "others", "Other entries about this person",
            "Wishes written down, records joined or parted, the log read about this person.",
            other, ("when", "staff", "role", "did", "said", "outcome", "leaf"), asked,
        ),
    )  # fmt: skip
    return Report(
        "person", "Who looked at this person",
        "Who opened this person's record or came upon it, when, from where, for which reason, and"
        " what opened it to them?",
        asked.period, asked.made_at, subject=f"Person {asked.person}", facts=tuple(facts),
        tables=tables,
        act=(
            "Look first at openings with no explanation, at refusals, and at broken glass.",
            "Ask the line manager of whoever needs to explain; do not name the person's details.",
            "To answer the person, give them the report made for them: `commonthread audit report"
            " person-own`. This one names staff.",
        ),
        limits=_LIMITS,
    )  # fmt: skip


def staff_report(frame: pd.DataFrame, asked: Asked) -> Report:
    """All that one member of staff did."""
    seen = looks(frame)
    first, last = asked.hours
    out_of_hours = seen[(seen["minute"] < _minute(first)) | (seen["minute"] >= _minute(last))]
    facts = (
        Fact("entries", "log entries by this staff id", number(frame)),
        Fact(
            "persons", "persons opened or matched", distinct(permitted(seen), "persons", "persons")
        ),
        Fact("refused", "refused", number(frame[frame["outcome"] == "refused"])),
        Fact("glass", "entries of broken glass", number(seen[broken(seen)])),
        Fact("hours", f"looks before {first} or from {last}", number(out_of_hours)),
    )
    opened = where(
        "opened",
        "Opened",
        lambda f: (f["event_class"] == "access") & (f["outcome"] == "permitted"),
    )
    searched = where("searched", "Searched", lambda f: f["event_class"] == "search")
    tables = (
        counts_by(
            "days", "Day by day", "How much on which day.", frame, {"day": Column("day", "Day")},
            (EVERY, opened, searched, _REFUSED, _GLASS, _PEOPLE),
        ),
        counts_by(
            "roles", "By role, organisation and reason", "In which capacity, and why.", frame,
            {"role": ROLE, "organisation": ORGANISATION, "purpose": Column("purpose", "Reason")},
            (EVERY, _PEOPLE),
            words={"role": role_words, "organisation": asked.names.organisation,
                   "purpose": purpose_words},
        ),
        listed(
            "entries", "Every entry, the newest first", "One line for each entry of the log.",
            frame,
            ("when", "did", "persons", "parts", "purpose", "outcome", "opened", "explained",
             "leaf"),
            asked,
        ),
    )  # fmt: skip
    return Report(
        "staff", "All that one member of staff did",
        "Which persons did this account open or come upon, when, and for which reason?",
        asked.period, asked.made_at, subject=f"Staff id {asked.actor}", facts=facts, tables=tables,
        act=(
            "Compare days with the rota, and persons with the caseload, before you ask anybody.",
            "A staff id that acts in two organisations or roles on one day needs a look.",
        ),
        limits=(
            "A staff id is what the sign-in gave: a shared sign-in looks like one member of staff.",
            *_LIMITS,
        ),
    )  # fmt: skip


def _minute(time: str) -> int:
    """The minute of the day of HH:MM."""
    return int(time[:2]) * 60 + int(time[3:])


def organisation_report(frame: pd.DataFrame, asked: Asked) -> Report:
    """What the staff of one organisation did."""
    seen = looks(frame)
    facts = (
        Fact("entries", "log entries by its staff", number(frame)),
        Fact("staff", "staff", distinct(frame, "actor", "staff")),
        Fact(
            "persons", "persons opened or matched", distinct(permitted(seen), "persons", "persons")
        ),
        Fact("refused", "refused", number(frame[frame["outcome"] == "refused"])),
        Fact("glass", "entries of broken glass", number(seen[broken(seen)])),
    )
    counts = (EVERY, _STAFF, _PEOPLE, _PERMITTED, _REFUSED, _GLASS)
    tables = (
        counts_by(
            "roles", "By role and reason", "Who asked for what reason.", frame,
            {"role": ROLE, "purpose": Column("purpose", "Reason chosen")}, counts,
            words={"role": role_words, "purpose": purpose_words},
        ),
        counts_by(
            "days", "Day by day", "How much on which day.", frame, {"day": Column("day", "Day")},
            counts,
        ),
        counts_by(
            "staff", "The fifty most active", "Staff with most entries; much is not wrong by"
            " itself.", frame, {"actor": STAFF, "role": ROLE}, counts, words={"role": role_words},
            most=50,
        ),
    )  # fmt: skip
    name = asked.names.organisation(asked.organisation or "")
    return Report(
        "organisation", "What one organisation's staff did",
        "How does this organisation use the shared record, in which roles, for which reasons?",
        asked.period, asked.made_at, subject=name, facts=facts, tables=tables,
        act=("Send it to the organisation's own IG lead; they know the rota and the teams.",),
        limits=_LIMITS,
    )  # fmt: skip


def refusals_report(frame: pd.DataFrame, asked: Asked) -> Report:
    """What was refused, by which rule, and who is refused again and again."""
    turned = frame[frame["outcome"] == "refused"]
    rules = turned.assign(rule=turned["policies"].map(lambda p: ", ".join(p) or "no rule named"))
    repeated = {
        key: part for key, part in grouped(turned, ["actor"]).items() if len(part) >= REPEATED
    }
    again = turned[turned["actor"].isin([key[0] for key in repeated])]
    facts = (
        Fact("refused", "refusals", number(turned)),
        Fact("staff", "staff were refused", distinct(turned, "actor", "staff")),
        Fact(
            "repeated",
            f"staff refused {REPEATED} times or more",
            distinct(again, "actor", "staff"),
        ),
        Fact("escalated", "refusals that somebody must hear of", number(turned[turned.escalate])),
    )
    words = {"action": words_of, "role": role_words, "organisation": asked.names.organisation}
    tables = (
        counts_by(
            "rules", "By what was asked and what refused it",
            "Which rule refused; `commonthread consent explain-policy` says each in words.",
            rules, {"action": Column("did", "Asked"), "rule": Column("rule", "Rule")},
            (EVERY, _STAFF, _PEOPLE), words=words,
        ),
        counts_by(
            "staff", "Refused again and again",
            f"Staff refused {REPEATED} times or more in this span: a wrong role in the directory,"
            " or somebody who tries doors.", again,
            {"actor": STAFF, "role": ROLE, "organisation": ORGANISATION}, (EVERY, _PEOPLE),
            words=words, empty="Nobody was refused so often.",
        ),
        listed(
            "refusals", "Every refusal, the newest first", "One line for each.", turned,
            ("when", "staff", "role", "organisation", "did", "persons", "purpose", "policies",
             "said", "leaf"),
            asked, empty="Nothing was refused.",
        ),
    )  # fmt: skip
    return Report(
        "refusals", "What was refused",
        "Who was refused what, by which rule, and does somebody keep trying?",
        asked.period, asked.made_at, facts=facts, tables=tables,
        act=(
            "Many refusals of one role at one rule: ask whether role or agreement is wrong.",
            "Many refusals of one staff id on one person: treat as a concern.",
        ),
        limits=(
            "Whoever was refused silently does not know it: do not tell them by asking.",
        ),
    )  # fmt: skip


REPEATED = 5
"""So many refusals of one member of staff in a report's span are called repeated."""


def sample_of(leaves: Leaves, seed: int, size: int) -> list[int]:
    """So many of the leaf numbers, by chance: those with the smallest SHA-256 of `seed:leaf`. The
    same for whoever draws again with the same seed."""

    def rank(leaf: int) -> bytes:
        return sha256(f"{seed}:{leaf}".encode()).digest()

    return sorted(sorted(leaves, key=rank)[:size])


def unexplained_report(frame: pd.DataFrame, asked: Asked) -> Report:
    """A sample of the accesses that nothing explains."""
    opened = frame[(frame["event_class"] == "access") & (frame["outcome"] == "permitted")]
    opened = kept(opened, map(bool, opened["persons"]))
    bare = without_explanation(opened, asked)
    explained = opened[~opened["leaf"].isin(bare["leaf"])]
    drawn = bare[bare["leaf"].isin(sample_of(number(bare).leaves or Leaves.of([]), asked.seed,
                                             asked.size))]  # fmt: skip
    facts = (
        Fact("opened", "openings of a record", number(opened)),
        Fact("explained", "have an explanation", number(explained)),
        Fact("unexplained", "have none", number(bare)),
        Fact("sample", "drawn for this sample", number(drawn)),
    )
    words = {"organisation": asked.names.organisation, "role": role_words}
    tables = (
        listed(
            "sample", "The sample", "Openings drawn by chance from those that nothing explains.",
            drawn,
            ("when", "staff", "role", "organisation", "persons", "did", "parts", "purpose", "leaf"),
            asked, newest_first=False, empty="Every opening has an explanation.",
        ),
        counts_by(
            "groups", "Where they come from", "All openings without an explanation.", bare,
            {"organisation": ORGANISATION, "role": ROLE}, (EVERY, _STAFF, _PEOPLE), words=words,
        ),
    )  # fmt: skip
    return Report(
        "unexplained", "Accesses that nothing explains, a sample",
        "Which openings have no referral, appointment, caseload, ward, registration or declared"
        " emergency that would explain them?",
        asked.period, asked.made_at, facts=facts, tables=tables,
        notes=(f"Drawn with seed {asked.seed}: the same seed draws the same sample.",),
        act=(
            "Ask the line manager about each line; write down what they say.",
            "A line without an explanation is a question, no finding: care that a system has not"
            " reported yet looks the same.",
        ),
        limits=("Explanations are what source systems reported until now.",),
    )  # fmt: skip


def same_name_report(frame: pd.DataFrame, asked: Asked) -> Report:
    """Looks at persons who bear the surname of whoever looked."""
    found = looks(frame)
    if asked.namesakes is not None:
        found = found[found["leaf"].isin([*asked.namesakes])]
    keys = {"actor": STAFF, "role": ROLE, "organisation": ORGANISATION}
    words = {"organisation": asked.names.organisation, "role": role_words}
    counts = (EVERY, _PEOPLE, how_many("days", "Days", "day", "days"))
    tables = (
        counts_by(
            "staff", "By member of staff", "Who looked at namesakes, how many, on how many days.",
            found, keys, counts, words=words, empty="Nobody looked at a namesake.",
        ),
        listed(
            "looks", "Every such look, the newest first", "One line for each.", found,
            ("when", "staff", "role", "organisation", "persons", "did", "purpose", "outcome",
             "explained", "leaf"),
            asked, empty="Nobody looked at a namesake.",
        ),
    )  # fmt: skip
    return Report(
        "same-name", "Staff who looked at their own surname",
        "Who opened or searched for persons that bear their own surname?",
        asked.period, asked.made_at,
        facts=(
            Fact("looks", "looks at namesakes", number(found)),
            Fact("staff", "staff", distinct(found, "actor", "staff")),
            Fact("persons", "persons", distinct(found, "persons", "persons")),
        ),
        tables=tables,
        act=(
            "Most are chance, the more so the commoner the name: look at those without an"
            " explanation, and at those that come again.",
        ),
        limits=(
            "The names themselves stand in no report. Relatives of another surname are not found"
            " here: `commonthread audit alerts list` has households and addresses too.",
        ),
    )  # fmt: skip
