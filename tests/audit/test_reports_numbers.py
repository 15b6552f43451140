"""Every number of every report, counted anew from the raw events by plain loops.

The naive side knows each report's facts and tables by a rule in words of Python: what is counted,
by which keys. A number that it does not know fails the test, so that none goes unchecked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings

from audit.actions import class_of, words_of
from audit.events import AuditEvent
from schemas.sharing import BREAK_GLASS_REASONS
from service.audit_reports import Leaves, Number, Report
from service.audit_reports_asked import Asked, purpose_words, role_words
from service.audit_reports_desk import REPORTS
from service.audit_reports_sharing import FLAG_ALARM
from tests.audit.histories import AGREEMENTS, asked, frame, histories

Place = tuple[int, AuditEvent]
"""Leaf and event."""
Rule = Callable[[Place, Asked], bool]
LONDON = ZoneInfo("Europe/London")


def kind(e: AuditEvent) -> str:
    return class_of(e.action).value


def look(e: AuditEvent) -> bool:
    shows = ("review-show", "review-decisions", "person-difference")
    return kind(e) in ("access", "search", "break-glass") or e.action in shows


def glass(e: AuditEvent) -> bool:
    return e.action == "break-glass" or bool(e.details.get("break_glass"))


def ok(e: AuditEvent) -> bool:
    return e.outcome == "permitted"


def no(e: AuditEvent) -> bool:
    return e.outcome == "refused"


def opened(e: AuditEvent) -> bool:
    return kind(e) == "access" and ok(e)


def local(e: AuditEvent) -> datetime:
    return datetime.fromisoformat(e.at).astimezone(LONDON)


def untied(e: AuditEvent) -> bool:
    own_word = ("", "none", "claimed", "declared", "break-glass")
    return opened(e) and bool(e.persons) and e.details.get("relationship", "") in own_word


def rule_of(e: AuditEvent) -> str:
    return ", ".join(e.details.get("policies", [])) or "no rule named"


def org(e: AuditEvent, a: Asked) -> str:
    return a.names.organisation(e.organisation)


def bare(p: Place, a: Asked) -> bool:
    return a.explained is not None and p[0] in a.explained and not a.explained[p[0]]


def holders(e: AuditEvent) -> list[str]:
    if not (ok(e) and (look(e) or True)):
        return []
    return [h for h in e.details.get("custodians", []) if h != e.organisation]


def covered(holder: str, e: AuditEvent) -> bool:
    day = local(e).date().isoformat()
    return any(
        one.provider == holder and one.receiver == e.organisation and e.purpose in one.purposes
        and one.start <= day <= str(one.end) for one in AGREEMENTS
    )  # fmt: skip


WRITES = ("directive-write", "directive-end", "consent-write", "agreement-write")
DECIDES = (
    "review-decide", "review-revoke", "person-split", "person-merge", "person-wrong",
    "person-undo", "link-approve", "person-erase",
)  # fmt: skip

# What a column or a fact counts: which entries, and what of them (entries, staff, persons, days).
COLUMNS: dict[str, tuple[str, Rule]] = {
    "entries": ("entries", lambda p, a: True),
    "staff": ("staff", lambda p, a: True),
    "persons": ("persons", lambda p, a: True),
    "days": ("days", lambda p, a: True),
    "permitted": ("entries", lambda p, a: ok(p[1])),
    "refused": ("entries", lambda p, a: no(p[1])),
    "break_glass": ("entries", lambda p, a: glass(p[1])),
    "glass": ("entries", lambda p, a: glass(p[1])),
    "opened": ("entries", lambda p, a: opened(p[1])),
    "searched": ("entries", lambda p, a: kind(p[1]) == "search"),
    "untied": ("entries", lambda p, a: untied(p[1])),
}

FACTS: dict[str, dict[str, tuple[str, Rule]]] = {
    "person": {
        "opened": ("entries", lambda p, a: opened(p[1])),
        "staff": ("staff", lambda p, a: opened(p[1])),
        "searches": ("entries", lambda p, a: kind(p[1]) == "search" and ok(p[1])),
        "glass": ("entries", lambda p, a: look(p[1]) and glass(p[1])),
        "refused": ("entries", lambda p, a: look(p[1]) and no(p[1])),
        "unexplained": ("entries", lambda p, a: opened(p[1]) and bare(p, a)),
    },
    "staff": {
        "entries": ("entries", lambda p, a: True),
        "persons": ("persons", lambda p, a: look(p[1]) and ok(p[1])),
        "refused": ("entries", lambda p, a: no(p[1])),
        "glass": ("entries", lambda p, a: look(p[1]) and glass(p[1])),
        "hours": (
            "entries",
            lambda p, a: look(p[1]) and not a.hours[0] <= f"{local(p[1]):%H:%M}" < a.hours[1],
        ),
    },
    "organisation": {
        "entries": ("entries", lambda p, a: True),
        "staff": ("staff", lambda p, a: True),
        "persons": ("persons", lambda p, a: look(p[1]) and ok(p[1])),
        "refused": ("entries", lambda p, a: no(p[1])),
        "glass": ("entries", lambda p, a: look(p[1]) and glass(p[1])),
    },
    "break-glass": {
        "given": ("entries", lambda p, a: p[1].action == "break-glass" and ok(p[1])),
        "staff": ("staff", lambda p, a: p[1].action == "break-glass" and ok(p[1])),
        "persons": ("persons", lambda p, a: p[1].action == "break-glass" and ok(p[1])),
        "refused": ("entries", lambda p, a: p[1].action == "break-glass" and no(p[1])),
        "opened": (
            "entries", lambda p, a: opened(p[1]) and bool(p[1].details.get("break_glass"))
        ),
        "waiting": ("entries", lambda p, a: p[1].action == "break-glass" and ok(p[1])),
    },
    "unexplained": {
        "opened": ("entries", lambda p, a: opened(p[1]) and bool(p[1].persons)),
        "explained": (
            "entries", lambda p, a: opened(p[1]) and bool(p[1].persons) and not bare(p, a)
        ),
        "unexplained": ("entries", lambda p, a: opened(p[1]) and bool(p[1].persons) and bare(p, a)),
        "sample": ("entries", lambda p, a: opened(p[1]) and bool(p[1].persons) and bare(p, a)),
    },
    "same-name": {
        "looks": ("entries", lambda p, a: look(p[1]) and p[0] % 3 == 0),
        "staff": ("staff", lambda p, a: look(p[1]) and p[0] % 3 == 0),
        "persons": ("persons", lambda p, a: look(p[1]) and p[0] % 3 == 0),
    },
    "refusals": {
        "refused": ("entries", lambda p, a: no(p[1])),
        "staff": ("staff", lambda p, a: no(p[1])),
        "escalated": ("entries", lambda p, a: no(p[1]) and bool(p[1].details.get("escalate"))),
    },
    "disclosures": {
        "looks": ("entries", lambda p, a: bool(holders(p[1]))),
        "pairs": ("pairs", lambda p, a: bool(holders(p[1]))),
        "persons": ("persons", lambda p, a: bool(holders(p[1]))),
    },
    "agreements": {
        "bare": ("entries", lambda p, a: any(not covered(h, p[1]) for h in holders(p[1]))),
        "flags": ("entries", lambda p, a: FLAG_ALARM in p[1].details.get("obligations", [])),
    },
    "consent": {
        "changes": ("entries", lambda p, a: p[1].action in WRITES and ok(p[1])),
        "persons": ("persons", lambda p, a: p[1].action in WRITES and ok(p[1])),
        "refused": ("entries", lambda p, a: p[1].action in WRITES and no(p[1])),
    },
    "linkage": {
        "decisions": ("entries", lambda p, a: p[1].action in DECIDES and ok(p[1])),
        "persons": ("persons", lambda p, a: p[1].action in DECIDES and ok(p[1])),
        "wrong": ("entries", lambda p, a: p[1].action == "person-wrong" and ok(p[1])),
    },
    "pack": {
        "entries": ("entries", lambda p, a: True),
        "opened": ("entries", lambda p, a: opened(p[1])),
        "persons": ("persons", lambda p, a: look(p[1]) and ok(p[1])),
        "staff": ("staff", lambda p, a: look(p[1])),
        "refused": ("entries", lambda p, a: no(p[1])),
        "glass": ("entries", lambda p, a: look(p[1]) and glass(p[1])),
        "bare": ("entries", lambda p, a: any(not covered(h, p[1]) for h in holders(p[1]))),
        "untied": ("entries", lambda p, a: untied(p[1])),
    },
    "events": {
        "entries": ("entries", lambda p, a: True),
        "persons": ("persons", lambda p, a: True),
        "staff": ("staff", lambda p, a: True),
    },
}  # fmt: skip

Keys = Callable[[AuditEvent, Asked], Iterable[tuple[str, ...]]]
ROLE_PURPOSE: Keys = lambda e, a: [(role_words(e.role), purpose_words(e.purpose))]  # noqa: E731
DAY: Keys = lambda e, a: [(f"{local(e):%Y-%m-%d}",)]  # noqa: E731
GLASS: Keys = lambda e, a: [  # noqa: E731
    (org(e, a), role_words(e.role), BREAK_GLASS_REASONS[e.details["reason"]])
]
RULE: Keys = lambda e, a: [(words_of(e.action), rule_of(e))]  # noqa: E731
STAFF: Keys = lambda e, a: [(e.actor, role_words(e.role), org(e, a))]  # noqa: E731
DONE: Keys = lambda e, a: [(words_of(e.action), e.outcome.value)]  # noqa: E731


def flow(only_bare: bool) -> Keys:
    return lambda e, a: [
        (a.names.organisation(h), org(e, a), purpose_words(e.purpose))
        for h in holders(e) if not only_bare or not covered(h, e)
    ]  # fmt: skip


ALWAYS: Rule = lambda p, a: True  # noqa: E731
TABLES: dict[str, dict[str, tuple[Rule, Keys]]] = {
    "person": {"groups": (lambda p, a: look(p[1]), lambda e, a: [(org(e, a), role_words(e.role))])},
    "staff": {
        "days": (ALWAYS, DAY),
        "roles": (
            ALWAYS, lambda e, a: [(role_words(e.role), org(e, a), purpose_words(e.purpose))]
        ),
    },
    "organisation": {
        "roles": (ALWAYS, ROLE_PURPOSE), "days": (ALWAYS, DAY),
        "staff": (ALWAYS, lambda e, a: [(e.actor, role_words(e.role))]),
    },
    "break-glass": {"reasons": (lambda p, a: p[1].action == "break-glass" and ok(p[1]), GLASS)},
    "unexplained": {
        "groups": (FACTS["unexplained"]["unexplained"][1],
                   lambda e, a: [(org(e, a), role_words(e.role))]),
    },
    "same-name": {"staff": (FACTS["same-name"]["looks"][1], STAFF)},
    "refusals": {"rules": (lambda p, a: no(p[1]), RULE)},
    "disclosures": {"flows": (ALWAYS, flow(False)),
                    "days": (lambda p, a: bool(holders(p[1])), DAY)},
    "agreements": {"bare": (ALWAYS, flow(True))},
    "consent": {
        "kinds": (FACTS["consent"]["changes"][1],
                  lambda e, a: [(words_of(e.action), e.details.get("what", "not said"))]),
        "roles": (FACTS["consent"]["changes"][1], lambda e, a: [(org(e, a), role_words(e.role))]),
    },
    "linkage": {
        "kinds": (FACTS["linkage"]["decisions"][1],
                  lambda e, a: [(words_of(e.action), e.details.get("verdict", "-"))]),
        "staff": (FACTS["linkage"]["decisions"][1], lambda e, a: [(e.actor, role_words(e.role))]),
    },
    "pack": {
        "days": (lambda p, a: look(p[1]), DAY),
        "hours": (lambda p, a: look(p[1]), lambda e, a: [(f"{local(e):%H}:00",)]),
        "organisations": (lambda p, a: look(p[1]), lambda e, a: [(org(e, a),)]),
        "roles": (lambda p, a: look(p[1]), ROLE_PURPOSE),
        "staff": (lambda p, a: look(p[1]), STAFF),
        "glass": (lambda p, a: p[1].action == "break-glass" and ok(p[1]), GLASS),
        "refusals": (lambda p, a: no(p[1]), RULE),
        "bare": (ALWAYS, flow(True)),
        "wishes": (lambda p, a: kind(p[1]) == "consent", DONE),
        "linkage": (lambda p, a: kind(p[1]) == "linkage", DONE),
        "kept": (
            lambda p, a: kind(p[1]) in ("audit", "administration", "export", "system"),
            lambda e, a: [(words_of(e.action), e.outcome.value, role_words(e.role))],
        ),
    },
    "events": {"actions": (ALWAYS, lambda e, a: [(kind(e), e.action, e.outcome.value)])},
}  # fmt: skip


def count(what: str, places: Sequence[Place]) -> int:
    """How many of what, by a plain loop."""
    if what == "entries":
        return len({leaf for leaf, _ in places})
    if what == "pairs":
        return len({(h, e.organisation) for _, e in places for h in holders(e)})
    values: Callable[[AuditEvent], Iterable[str]] = {
        "staff": lambda e: [e.actor], "persons": lambda e: e.persons,
        "days": lambda e: [f"{local(e):%Y-%m-%d}"],
    }[what]  # fmt: skip
    return len({one for _, e in places for one in values(e)})


def same(number: Number, what: str, places: Sequence[Place], where: Any) -> None:
    assert number.value == count(what, places), where
    assert number.leaves == Leaves.of([leaf for leaf, _ in places]), where


MINE: dict[str, Callable[[AuditEvent], bool]] = {
    "unexplained": opened,
    "disclosures": lambda e: ok(e) and kind(e) in ("access", "search", "break-glass"),
    "agreements": lambda e: ok(e) and kind(e) in ("access", "search", "break-glass"),
    "refusals": no,
}
"""Report → which entries the store gives it; others are given all."""
SELF_CHECKED = {
    ("agreements", "fact.in_force"), ("agreements", "fact.soon"), ("refusals", "fact.repeated"),
}  # fmt: skip
"""Numbers that tests of their own count."""


@pytest.mark.parametrize("name", sorted(FACTS))
@settings(max_examples=15, deadline=None)
@given(history=histories)
def test_every_number_is_that_of_a_plain_count(name: str, history: list[AuditEvent]) -> None:
    given_ = [e for e in history if MINE.get(name, lambda _: True)(e)]
    places = list(enumerate(given_))
    a = asked(given_, months=_months(given_))
    report = REPORTS[name].build(frame(given_), a)
    checked = _facts(name, report, places, a) | _tables(name, report, places, a)
    left = {number for number, _ in report.numbers()} - checked
    assert {(name, one) for one in left} <= SELF_CHECKED, left


def _months(history: Sequence[AuditEvent]) -> dict[tuple[str, str, str], int]:
    found: dict[tuple[str, str, str], int] = {}
    for e in history:
        key = (e.at[:7], kind(e), e.outcome.value)
        found[key] = found.get(key, 0) + 1
    return found


def _facts(name: str, report: Report, places: Sequence[Place], a: Asked) -> set[str]:
    checked = set()
    for fact in report.facts:
        if (name, f"fact.{fact.name}") in SELF_CHECKED:
            continue
        what, rule = FACTS[name][fact.name]
        same(fact.number, what, [p for p in places if rule(p, a)], (name, fact.name))
        checked.add(f"fact.{fact.name}")
    return checked


def _tables(name: str, report: Report, places: Sequence[Place], a: Asked) -> set[str]:
    checked = set()
    for table in report.tables:
        if table.name in TABLES.get(name, {}):
            rule, keys = TABLES[name][table.name]
            by: dict[tuple[str, ...], list[Place]] = {}
            for place in (p for p in places if rule(p, a)):
                for key in keys(place[1], a):
                    by.setdefault(key, []).append(place)
            named = len(next(iter(by), ()))
            rows = {tuple(map(str, row.cells[:named])): row for row in table.rows}
            assert rows.keys() == by.keys() if len(by) <= 20 else rows.keys() <= by.keys()
            everything = [p for found in by.values() for p in found]
            for label, cells, found in [
                *((n, row.cells, by[tuple(map(str, row.cells[:named]))])
                  for n, row in enumerate(table.rows, 1)),
                *([("total", table.total.cells, everything)] if table.total else []),
            ]:  # fmt: skip
                for column, cell in zip(table.columns[named:], cells[named:], strict=True):
                    what, chosen = COLUMNS[column.name]
                    assert isinstance(cell, Number)
                    where = (name, table.name, label, column.name)
                    same(cell, what, [p for p in found if chosen(p, a)], where)
                    checked.add(f"{table.name}.{label}.{column.name}")
        else:
            checked |= _special(name, table.name, report, places, a)
    return checked


def _special(name: str, table: str, report: Report, places: Sequence[Place], a: Asked) -> set[str]:
    """Tables that are not counts by keys."""
    shown = next(one for one in report.tables if one.name == table)
    if table == "declared":
        declared = [p for p in places if p[1].action == "break-glass" and ok(p[1])][::-1]
        for (leaf, e), row in zip(declared, shown.rows, strict=True):
            later = [
                n for n, o in declared if n > leaf and (o.actor, o.persons) == (e.actor, e.persons)
            ]
            mine = [
                (n, o) for n, o in places
                if opened(o) and o.details.get("break_glass")
                and (o.actor, o.persons) == (e.actor, e.persons)
                and leaf < n < min(later, default=10**9)
            ]  # fmt: skip
            assert isinstance(row.cells[6], Number)
            same(row.cells[6], "entries", mine, (name, table, leaf))
        return {f"declared.{n}.opened" for n in range(1, len(declared) + 1)}
    if table == "register":
        for one, row in zip(AGREEMENTS, shown.rows, strict=True):
            mine = [
                (n, e) for n, e in places
                if one.provider in holders(e) and e.organisation == one.receiver
                and covered(one.provider, e) and e.purpose in one.purposes
            ]  # fmt: skip
            assert isinstance(row.cells[-1], Number)
            same(row.cells[-1], "entries", mine, (name, table, one.agreement_id))
        return {f"register.{n}.looks" for n in range(1, len(AGREEMENTS) + 1)}
    if table == "trend":
        row = shown.rows[-1]
        assert row.cells[0] == "2026-10"
        wanted: tuple[Callable[[AuditEvent], bool], ...] = (
            opened, lambda e: kind(e) == "search" and ok(e),
            lambda e: kind(e) == "break-glass" and ok(e), lambda e: kind(e) == "consent" and ok(e),
            lambda e: kind(e) == "audit", no,
        )  # fmt: skip
        for cell, rule in zip(row.cells[1:], wanted, strict=True):
            assert isinstance(cell, Number)
            assert cell.value == sum(rule(e) for _, e in places)
            assert cell.query.startswith("--month 2026-10")
        return {number for number, _ in report.numbers() if number.startswith("trend.")}
    if table == "staff" and name == "refusals":
        often = [
            a for a in {e.actor for _, e in places} if sum(e.actor == a for _, e in places) > 4
        ]
        assert {row.cells[0] for row in shown.rows} == set(often)
        return {number for number, _ in report.numbers() if number.startswith("staff.")}
    assert not any(isinstance(c, Number) for row in shown.rows for c in row.cells), (name, table)
    return set()


def test_every_report_has_its_plain_count() -> None:
    assert FACTS.keys() == REPORTS.keys() - {"integrity", "person-own"}
