"""Reports of what passes between organisations, of wishes, and of linkage decisions. Tables in,
reports out.

Rules:
- A disclosure is a permitted look in which an organisation was shown what another one holds. Who
  held what was shown stands in the entry.
- Whether an agreement covered a flow is judged by the day of the look, by the register as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from consent.facts import in_force
from schemas.dates import Instant
from schemas.sharing import Agreement
from service.audit_reports import Column, Fact, Leaves, Number, Report, Row, Table
from service.audit_reports_asked import Asked, listed, purpose_words, role_words
from service.audit_reports_frame import (
    EVERY,
    counts_by,
    distinct,
    how_many,
    kept,
    number,
    words_of,
)

FLAG_ALARM = "alarm-ig-officer"
"""Obligation of a look that showed a safeguarding flag although no agreement covers it."""
EXPIRING_DAYS = 60
"""An agreement that ends within so many days is said to end soon."""
_STAFF = how_many("staff", "Staff", "actor", "staff")
_PEOPLE = how_many("persons", "Persons", "persons", "persons")
_FROM, _TO = Column("holder", "Held by"), Column("asker", "Shown to")
_ROLE = Column("role", "Role")
_PURPOSE = Column("purpose", "Reason chosen")


def flows(frame: pd.DataFrame) -> pd.DataFrame:
    """The permitted looks that showed what others hold: one row for each holder, `holder`."""
    shown = kept(
        frame,
        (
            o == "permitted" and bool(c)
            for o, c in zip(frame["outcome"], frame["custodians"], strict=True)
        ),
    )
    each = shown.assign(holder=shown["custodians"]).explode("holder")
    return each[each["holder"] != each["organisation"]]


def disclosures_report(frame: pd.DataFrame, asked: Asked) -> Report:
    """What passed between organisations."""
    each = flows(frame)
    name = asked.names.organisation
    words = {"holder": name, "organisation": name, "purpose": purpose_words}
    pairs = each.groupby(["holder", "organisation"], observed=True).ngroups if len(each) else 0
    once = each.drop_duplicates("leaf")
    tables = (
        counts_by(
            "flows", "From whom to whom", "Looks in which one organisation was shown what another"
            " one holds, by reason.", each,
            {"holder": _FROM, "organisation": _TO, "purpose": _PURPOSE},
            (EVERY, _PEOPLE, _STAFF), words=words,
            empty="Nothing passed between organisations.",
        ),
        counts_by(
            "days", "Day by day", "Looks that showed what others hold.", once,
            {"day": Column("day", "Day")}, (EVERY, _PEOPLE),
        ),
    )  # fmt: skip
    return Report(
        "disclosures", "Disclosures between organisations",
        "Which organisation was shown what which other one holds, how often, and for which reason?",
        asked.period, asked.made_at,
        facts=(
            Fact("looks", "looks that showed what others hold", number(once)),
            Fact("pairs", "pairs of holder and asker",
                 Number(pairs, Leaves.of(once["leaf"].to_numpy()), "groups")),
            Fact("persons", "persons", distinct(once, "persons", "persons")),
        ),
        tables=tables,
        act=("Compare with the register: `commonthread audit report agreements` names every flow"
             " without an agreement.",),
        limits=("A look that showed what three organisations hold counts once for each of them; in"
                " the total, once.",),
    )  # fmt: skip


class Register:
    """The agreements, asked day by day."""

    def __init__(self, agreements: Sequence[Agreement]) -> None:
        self._agreements = agreements
        self._days: dict[str, frozenset[tuple[str, int]]] = {}
        self._flows: dict[str, frozenset[tuple[str, str, str]]] = {}

    def has(self, one: Agreement, day: str) -> bool:
        """Whether this version was in force on the day."""
        self._look_up(day)
        return (one.agreement_id, one.version) in self._days[day]

    def covers(self, holder: str, asker: str, purpose: str, day: str) -> bool:
        """Whether some agreement was in force between the two for the purpose."""
        self._look_up(day)
        return (holder, asker, purpose) in self._flows[day]

    def _look_up(self, day: str) -> None:
        if day in self._days:
            return
        held = in_force(self._agreements, Instant(f"{day}T12:00:00Z"))
        self._days[day] = frozenset((a.agreement_id, a.version) for a in held)
        self._flows[day] = frozenset((a.provider, a.receiver, p) for a in held for p in a.purposes)


def uncovered(each: pd.DataFrame, agreements: Sequence[Agreement]) -> pd.DataFrame:
    """The flows that no agreement was in force for on their day."""
    register = Register(agreements)
    keys = each[["holder", "organisation", "purpose", "day"]]
    bare = {
        key
        for key in keys.drop_duplicates().itertuples(index=False, name=None)
        if not register.covers(*key)
    }
    return kept(each, (key in bare for key in keys.itertuples(index=False, name=None)))


def agreements_report(frame: pd.DataFrame, asked: Asked) -> Report:
    """The register, and what flowed without an agreement."""
    each = flows(frame)
    bare = uncovered(each, asked.agreements)
    flags = kept(frame, (FLAG_ALARM in told for told in frame["obligations"]))
    name = asked.names.organisation
    words = {"holder": name, "organisation": name, "purpose": purpose_words}
    held = Register(asked.agreements)
    rows = tuple(_register_row(one, state, each, held, asked) for one, state in _states(asked))
    by_state = [row.cells[6] for row in rows]
    facts = (
        Fact("in_force", "agreements in force today",
             Number(sum(str(s).startswith("in force") for s in by_state), unit="agreements")),
        Fact("soon", f"of them end within {EXPIRING_DAYS} days",
             Number(sum("ends soon" in str(s) for s in by_state), unit="agreements")),
        Fact("bare", "looks that no agreement covers", number(bare.drop_duplicates("leaf"))),
        Fact("flags", "safeguarding flags shown without one", number(flags)),
    )  # fmt: skip
    register = Table(
        "register", "The register", "The latest version of each agreement.", _REGISTER, rows,
        empty="No agreement has been written.",
    )  # fmt: skip
    tables = (
        counts_by(
            "bare", "Flows without an agreement",
            "What one organisation was shown of another's, with no agreement between them for that"
            " reason in force on that day.", bare,
            {"holder": _FROM, "organisation": _TO, "purpose": _PURPOSE},
            (EVERY, _PEOPLE, _STAFF), words=words, empty="Every flow has its agreement.",
        ),
        register,
        listed(
            "flags", "Safeguarding flags shown without an agreement",
            "They are shown whatever the register says, and you hear of it.", flags,
            ("when", "role", "organisation", "persons", "purpose", "leaf"), asked,
            empty="None was.",
        ),
    )  # fmt: skip
    return Report(
        "agreements", "Sharing agreements, and flows without one",
        "Which agreements stand, which end soon, and what passed without one?",
        asked.period, asked.made_at, facts=facts, tables=tables,
        act=(
            "For a flow without an agreement: find out on which lawful basis it rests, and have an"
            " agreement written, or stop it with `commonthread agreement end`.",
            "Renew what ends soon: `commonthread agreement add FILE`.",
        ),
        limits=(
            "Whether an agreement names the category of what was shown is decided at each look;"
            " here it counts that one was in force between the two for the reason.",
        ),
    )  # fmt: skip


_REGISTER = (
    Column("agreement", "Agreement", "id"), Column("version", "Version", "text"),
    Column("holder", "Held by"), Column("asker", "Shown to"), Column("purposes", "For"),
    Column("dates", "From and to"), Column("state", "State"),
    Column("basis", "Lawful basis"), Column("looks", "Looks it covers", "number"),
)  # fmt: skip


def _states(asked: Asked) -> Iterable[tuple[Agreement, str]]:
    """The newest version of each agreement, and how it stands today."""
    today = asked.made_at[:10]
    standing = {(a.agreement_id, a.version) for a in in_force(asked.agreements, asked.made_at)}
    newest = {one.agreement_id: one for one in sorted(asked.agreements, key=lambda a: a.version)}
    soon = (pd.Timestamp(today) + pd.Timedelta(days=EXPIRING_DAYS)).strftime("%Y-%m-%d")
    for one in sorted(newest.values(), key=lambda a: a.agreement_id):
        if (one.agreement_id, one.version) in standing:
            ends = one.end is not None and str(one.end) <= soon
            yield one, "in force, ends soon" if ends else "in force"
        elif one.signed_by != {one.provider, one.receiver}:
            yield one, "not signed by both"
        elif one.start > today:
            yield one, "not begun"
        else:
            yield one, "ended"


def _register_row(
    one: Agreement, state: str, each: pd.DataFrame, register: Register, asked: Asked
) -> Row:
    between = each[(each["holder"] == one.provider) & (each["organisation"] == one.receiver)]
    mine = between[between["purpose"].isin(one.purposes)]
    if len(mine):
        days = [day for day in mine["day"].unique() if register.has(one, day)]
        mine = mine[mine["day"].isin(days)]
    leaves = Leaves.of(mine["leaf"].to_numpy())
    basis = "; ".join(
        str(part) for part in (one.article_6, one.article_9, one.schedule_1, one.gateway) if part
    )
    return Row(
        (
            one.agreement_id, str(one.version), asked.names.organisation(one.provider),
            asked.names.organisation(one.receiver),
            ", ".join(map(purpose_words, sorted(one.purposes))),
            f"{one.start} to {one.end or 'further notice'}", state, basis,
            Number(leaves.count, leaves),
        ),
        leaves,
    )  # fmt: skip


WRITES = frozenset({"directive-write", "directive-end", "consent-write", "agreement-write"})
"""Actions by which wishes and agreements change."""


def consent_report(frame: pd.DataFrame, asked: Asked) -> Report:
    """Changes of wishes, proxies, findings and agreements."""
    changed = frame[frame["action"].isin(WRITES)]
    done = changed[changed["outcome"] == "permitted"]
    kinds = done.assign(kind=done["what"].map(lambda w: w or "not said"))
    tables = (
        counts_by(
            "kinds", "By what was done", "What was laid down or ended.", kinds,
            {"action": Column("did", "What was done"), "kind": Column("kind", "Of what kind")},
            (EVERY, _PEOPLE, _STAFF), words={"action": words_of},
            empty="No wish was written down or ended.",
        ),
        counts_by(
            "roles", "By organisation and role", "Who wrote them down.", kinds,
            {"organisation": Column("organisation", "Organisation"), "role": _ROLE},
            (EVERY, _PEOPLE),
            words={"organisation": asked.names.organisation, "role": role_words},
        ),
        listed(
            "changes", "Every change, the newest first", "One line for each.", changed,
            ("when", "staff", "role", "organisation", "did", "said", "persons", "outcome", "leaf"),
            asked, empty="Nothing was changed.",
        ),
    )  # fmt: skip
    return Report(
        "consent", "Changes of wishes",
        "Which opt-outs, seals, permissions, proxies, findings and agreements were written down or"
        " ended, by whom?",
        asked.period, asked.made_at,
        facts=(
            Fact("changes", "changes", number(done)),
            Fact("persons", "persons", distinct(done, "persons", "persons")),
            Fact("refused", "attempts refused", number(changed[changed["outcome"] == "refused"])),
        ),
        tables=tables,
        act=("Sample some against the form or the letter on which the wish rests.",),
        limits=("Wishes that came in a feed of a source system stand with that feed, not here.",),
    )  # fmt: skip


DECIDES = frozenset({
    "review-decide", "review-revoke", "person-split", "person-merge", "person-wrong",
    "person-undo", "link-approve", "person-erase",
})  # fmt: skip
"""Actions by which people decide who is who."""


def linkage_report(frame: pd.DataFrame, asked: Asked) -> Report:
    """Decisions about which records are one person."""
    made = frame[frame["action"].isin(DECIDES)]
    done = made[made["outcome"] == "permitted"]
    tables = (
        counts_by(
            "kinds", "By what was decided", "Decisions by people, not by the program.", done,
            {"action": Column("did", "What was done"), "verdict": Column("verdict", "Verdict")},
            (EVERY, _PEOPLE, _STAFF), words={"action": words_of, "verdict": lambda v: v or "-"},
            empty="Nobody decided anything.",
        ),
        counts_by(
            "staff", "By who decided", "Who decided how much.", done,
            {"actor": Column("staff", "Staff id", "id"), "role": Column("role", "Role")},
            (EVERY, _PEOPLE), words={"role": role_words},
        ),
        listed(
            "decisions", "Every decision, the newest first", "One line for each.", made,
            ("when", "staff", "role", "did", "said", "persons", "outcome", "leaf"), asked,
            empty="Nobody decided anything.",
        ),
    )  # fmt: skip
    wrong = done[done["action"] == "person-wrong"]
    return Report(
        "linkage", "Linkage decisions",
        "Who decided that records are, or are not, one person; what was parted, joined, undone?",
        asked.period, asked.made_at,
        facts=(
            Fact("decisions", "decisions by people", number(done)),
            Fact("persons", "persons", distinct(done, "persons", "persons")),
            Fact("wrong", "reports that records are of somebody else", number(wrong)),
        ),
        tables=tables,
        act=(
            "Each report of somebody else's records: everybody who saw the mixed record was named"
            " then; see that they were told.",
        ),
        limits=("What the program links by itself stands in the reports of the night.",),
    )  # fmt: skip
