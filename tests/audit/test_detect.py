"""Detection as an IG officer meets it: what each rule raises, and what looks alike and is left."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audit.detect import Detection, detect
from audit.detect_facts import NEVER
from audit.detect_pairs import PAIR_RULES
from audit.detect_periods import PERIOD_RULES, History
from audit.detect_rules import ALERT_BITS, RULES, Scope, Strength
from tests.audit.naive_detect import EPOCH, Event, facts_of, table

DAY = 20_550  # a Tuesday in April 2026


def at(hour: float = 10.0, day: int = DAY) -> Any:
    return EPOCH + timedelta(days=day, hours=hour)


def look(person: str = "ANN", hour: float = 10.0, day: int = DAY, **more: Any) -> Event:
    """ST1, a nurse of the red team, opens a record in the morning."""
    return Event(at(hour, day), more.pop("actor", "ST1"), (person,) if person else (), **more)


def crowd() -> dict[str, list[tuple[Any, ...]]]:
    """A partnership: ST1 is the person SUE, who lives in the house h1; ANN is a stranger."""
    many = [(f"Q{n}", NEVER, False, False, False) for n in range(60)]
    people = [(p, NEVER, False, False, False) for p in ("SUE", "ANN", "TIM", "NED", "RAY")]
    return {
        "people": people + many,
        "names": [("SUE", "quill"), ("RAY", "quill"), ("ANN", "smith"), ("TIM", "quill")]
        + [(f"Q{n}", "smith") for n in range(60)],
        "homes": [("SUE", "h1", "p1"), ("TIM", "h1", "p1"), ("NED", "h2", "p1"),
                  ("ANN", "h9", "p9"), ("RAY", "h7", "p7")]
        + [(f"Q{n}", f"flat{n}", "tower") for n in range(60)],
        "staff": [("ST1", "ORG1", "nurse", "red", DAY - 900, NEVER, "weekdays", "quill"),
                  ("ST2", "ORG1", "nurse", "red", DAY - 900, NEVER, "nights", "smith"),
                  ("ST3", "ORG1", "nurse", "blue", DAY - 900, DAY - 5, "weekdays", "smith")],
        "own": [("ST1", "SUE"), ("ST2", "ANN"), ("ST3", "Q1")],
        "ties": [], "wishes": [], "bonds": [],
    }  # fmt: skip


def tied(person: str, team: str = "red", start: int = DAY - 1, kind: str = "admission") -> Any:
    return {"ties": [(person, "ORG1", team, "", kind, start, DAY + 30)]}


def marked(person: str, **marks: Any) -> Any:
    died, restricted, watched, flagged = NEVER, False, False, False
    row = {"died": died, "restricted": restricted, "watched": watched, "flagged": flagged} | marks
    return {"people": [(person, *row.values())]}


def raised(events: list[Event], *more: Any, history: History | None = None) -> Detection:
    """What is detected of the events in the crowd, with further facts; a person that is named
    again stands as named last."""
    tables = crowd()
    for one in more:
        for name, rows in one.items():
            if name == "people":
                named = {row[0] for row in rows}
                tables[name] = [row for row in tables[name] if row[0] not in named]
            tables[name] = tables[name] + rows
    events = sorted(events, key=lambda one: one.at)
    return detect(table(events), facts_of(**tables), history)


def rules_of(found: Detection) -> set[str]:
    return set(found.evidence.rule)


def search(person: str, hour: float, **details: Any) -> Event:
    return look(person, hour, action="search", details=details)


def glass(person: str, day: int = DAY, words: str = "aa") -> Event:
    details = {"reason": "life-at-risk", "words": words}
    return look(person, 10, day, action="break-glass", details=details)


def refused(count: int) -> list[Event]:
    return [look(f"Q{n}", 10 + n / 20, outcome="refused") for n in range(count)]


def ties_of(count: int, start: int = DAY) -> Any:
    return {"ties": [(f"Q{n}", "ORG1", "", "", "encounter", start, DAY + 30) for n in range(count)]}


def moving(*hours: float) -> list[Event]:
    return [look("ANN", h, details={"terminal": f"10.{n % 2}"}) for n, h in enumerate(hours)]


def draws(rows: int, action: str = "person-export", role: str = "doctor") -> list[Event]:
    return [look("", 10, action=action, role=role, details={"rows": rows})]


def busy(count: int, hour: float = 10.0) -> list[Event]:
    return [look(f"Q{n}", hour + n / 60) for n in range(count)]


def calm(days: int = 30, each: int = 2, actor: str = "ST1") -> list[Event]:
    """Five weeks of a few explained looks a day."""
    return [
        look(f"Q{n}", 10 + n, DAY - d, actor=actor) for d in range(1, days) for n in range(each)
    ]


CARED = ties_of(60, DAY - 60)
SPEC: list[tuple[str, list[Event], list[Any], list[Event], list[Any]]] = [
    # rule, what is done, with which facts; what looks alike, with which facts
    ("self", [look("SUE")], [], [look("SUE", purpose="own-record")], []),
    ("self", [look("SUE")], [tied("SUE")], [look("ANN")], []),
    ("household", [look("TIM")], [], [look("Q2", actor="ST3")], []),
    ("household", [look("TIM", outcome="refused")], [], [look("TIM", outcome="failed")], []),
    ("surname", [look("RAY")], [], [look("Q3", actor="ST2")], []),
    ("surname", [look("RAY")], [], [look("RAY")], [tied("RAY")]),
    ("colleague", [look("ANN")], [], [look("ANN")], [tied("ANN", "")]),
    ("neighbour", [look("NED")], [], [look("Q2", actor="ST3", day=DAY - 9)], []),
    ("watched", [look("ANN")], [marked("ANN", watched=True)],
     [look("ANN")], [marked("ANN", watched=True), tied("ANN", "")]),
    ("restricted", [search("NED", 10, located=True)], [marked("NED", restricted=True)],
     [search("NED", 10)], [marked("NED", restricted=True)]),
    ("restricted", [look("ANN", outcome="refused")], [marked("ANN", restricted=True)],
     [look("ANN", outcome="refused")],
     [marked("ANN", restricted=True), tied("ANN", "", DAY + 1)]),
    ("dissent", [look("Q4")], [{"wishes": [("Q4", DAY - 9, NEVER)]}],
     [look("Q4", outcome="refused")], [{"wishes": [("Q4", DAY - 9, NEVER)]}]),
    ("sealed", [look("Q4", details={"sealed": 2})], [],
     [look("Q4", details={"sealed": 2})], [tied("Q4")]),
    ("glass-unborne", [glass("Q4")], [], [glass("Q4")], [tied("Q4", "", DAY + 3)]),
    ("claim-unborne", [look("Q4", action="claim")], [],
     [look("Q4", action="claim")], [tied("Q4", "", DAY + 2)]),
    ("bond", [look("Q4")], [{"bonds": [("ST1", "Q4")]}],
     [look("Q5")], [{"bonds": [("ST1", "Q4")]}]),
    ("after-death", [look("Q4")], [marked("Q4", died=DAY - 91)],
     [look("Q4")], [marked("Q4", died=DAY - 90)]),
    ("leaver", [look("Q4", actor="ST3")], [], [look("Q4", actor="ST3", day=DAY - 5)], []),
    ("volume", [*calm(), *busy(40)], [ties_of(2, DAY - 60)],
     [*calm(), *busy(40)], [CARED]),
    ("many-unexplained", [*calm(), *busy(40)], [ties_of(2, DAY - 60)], busy(40), [CARED]),
    ("off-rota", [*calm(), *busy(9, 21)], [ties_of(2, DAY - 60)], [*busy(2, 22), *busy(8, 10)], []),
    ("browsing", [search(f"Q{n}", 10 + n / 60) for n in range(12)], [],
     [one for n in range(12)
      for one in (search(f"Q{n}", 10 + n / 60), look(f"Q{n}", 10.005 + n / 60))], []),
    ("browsing", [search(f"Q{n}", 10 + n / 60) for n in range(12)], [],
     [search(f"Q{n}", 10 + n / 60) for n in range(12)], [ties_of(12, DAY + 1)]),
    ("shared", moving(10, 10.1, 10.2), [], moving(10, 10.1, 12), []),
    ("export", draws(501), [], draws(499), []),
    ("refusals", refused(5), [], refused(5), [ties_of(5, DAY + 2)]),
    ("glass-repeated", [glass(f"Q{n}", DAY + 5 * n) for n in range(3)], [],
     [glass(f"Q{n}", DAY + 16 * n) for n in range(3)], []),
    ("glass-repeated", [glass(f"Q{n}", DAY + n) for n in range(3)], [],
     [glass(f"Q{n}", DAY + n, words=f"{n}") for n in range(3)], []),
    ("audit-export", draws(1_001, "audit-events", "ig_officer"), [],
     draws(900, "audit-events", "ig_officer"), []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "done", "facts", "alike", "known"),
    SPEC,
    ids=[f"{n}-{case[0]}" for n, case in enumerate(SPEC)],
)
def test_each_rule_and_its_look_alike(
    rule: str, done: list[Event], facts: list[Any], alike: list[Event], known: list[Any]
) -> None:
    found = raised(done, *facts)
    assert rule in rules_of(found)
    assert (found.alerts.bits >= ALERT_BITS).all()
    assert rule not in rules_of(raised(alike, *known))


def test_every_rule_has_a_function_and_a_row_in_the_table_of_cases() -> None:
    by_scope = {Scope.PAIR: PAIR_RULES, Scope.PERIOD: PERIOD_RULES}
    for name, rule in RULES.items():
        assert name in by_scope[rule.scope]
    assert len(RULES) == len(PAIR_RULES) + len(PERIOD_RULES)
    alone = {"unexplained", "sensitive", "flagged", "hours", "role", "reason", "dormant"}
    assert set(RULES) - {case[0] for case in SPEC} == alone


def test_a_strong_rule_suffices_and_a_weak_one_never_does() -> None:
    for name, rule in RULES.items():
        assert (rule.bits >= ALERT_BITS) == (rule.strength is Strength.STRONG), name


WEAK: list[tuple[str, Event, list[Any]]] = [
    ("unexplained", look("Q4"), []),
    ("hours", look("Q4", 23), [CARED]),
    ("sensitive", look("Q4", details={"sensitive": True}), [CARED]),
    ("flagged", look("Q4"), [marked("Q4", flagged=True), CARED]),
    ("surname", look("RAY"), [tied("RAY", "")]),
    ("neighbour", look("NED"), [tied("NED", "")]),
    ("colleague", look("ANN"), [tied("ANN", "")]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "done", "facts"), WEAK, ids=[one[0] for one in WEAK])
def test_a_weak_signal_alone_raises_nothing(rule: str, done: Event, facts: list[Any]) -> None:
    assert RULES[rule].strength is Strength.WEAK
    assert len(raised([done], *facts).alerts) == 0


def test_weak_signals_add_up() -> None:
    together = look("Q4", 23, details={"sensitive": True})
    found = raised([together], marked("Q4", flagged=True))
    assert rules_of(found) == {"unexplained", "hours", "sensitive", "flagged"}
    assert found.alerts.bits.iloc[0] == pytest.approx(
        found.weights["unexplained"] + found.weights["hours"] + found.weights["sensitive"]
    )


def test_of_one_family_only_the_heaviest_counts() -> None:
    found = raised([look("TIM")])  # lives with ST1 and bears the same name
    assert {"household", "surname"} <= rules_of(found)
    kin = max(found.weights["household"], found.weights["surname"])
    assert found.alerts.bits.iloc[0] == pytest.approx(kin + found.weights["unexplained"])


def test_a_slip_put_right_at_once_is_none() -> None:
    slip = [look("Q4"), look("Q5", 10.01)]
    wish = marked("Q4", died=DAY - 300)
    assert "after-death" in rules_of(raised([look("Q4")], wish))
    assert rules_of(raised(slip, wish, tied("Q5"))) == set()


def test_an_account_that_comes_back_and_looks_at_many() -> None:
    before = [look("Q0", 10, DAY - 120)]
    before += calm(actor="ST2")
    found = raised([*before, *busy(30)], ties_of(2, DAY - 130))
    assert "dormant" in rules_of(found)
    still = [look("Q0", 10, DAY - d) for d in range(120, 0, -7)]
    still += calm(actor="ST2")
    assert "dormant" not in rules_of(raised([*still, *busy(30)], ties_of(2, DAY - 130)))


def test_what_a_role_hardly_ever_does() -> None:
    usual = [
        look(f"Q{n % 60}", 9 + n % 400 / 60, DAY - n // 400, details={"headings": ["appointment"]})
        for n in range(1_600)
    ]
    odd = look("RAY", 10, DAY, details={"headings": ["safeguarding"]})
    asked = look("Q7", 11, DAY + 1, purpose="vital-interests")
    tables = ties_of(60, DAY - 60)
    tables["ties"] = [one for one in tables["ties"] if one[0] != "Q7"]
    found = raised([*usual, odd, asked], tables)
    assert {"role", "reason"} <= rules_of(found)


def test_history_carries_over_from_span_to_span() -> None:
    first = raised([*calm(), glass("Q5", DAY - 3), glass("Q6", DAY - 2)], ties_of(2, DAY - 60))
    found = raised([*busy(40), glass("Q3", DAY)], ties_of(2, DAY - 60), history=first.history)
    assert {"volume", "glass-repeated"} <= rules_of(found)
    alone = raised([*busy(40), glass("Q3", DAY)], ties_of(2, DAY - 60))
    assert not {"volume", "glass-repeated"} & rules_of(alone)


def test_nothing_happens_where_nothing_happened() -> None:
    found = raised([])
    assert len(found.alerts) == 0
    assert found.looks == 0


def test_an_alert_names_its_events() -> None:
    found = raised([look("Q4", 9), look("SUE", 10), look("SUE", 11)])
    (alert,) = found.alerts.itertuples()
    assert (alert.actor, alert.person, alert.scope) == ("ST1", "SUE", "pair")
    mine = found.evidence[found.evidence.rule == "self"]
    assert mine.leaf.tolist() == [1, 2]


def test_the_guide_tells_every_rule_as_the_table_has_it() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "audit-alerts.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in guide.splitlines() if line.startswith("| `")]
    owners = {"privacy_officer": "privacy officer", "ig_officer": "IG officer"}
    assert {row[0].strip("`"): row[1:5] for row in rows} == {
        name: [
            rule.words,
            rule.evidence,
            f"{rule.strength.value}, {rule.bits:.1f}",
            f"{owners[rule.owner]}, {rule.due}",
        ]
        for name, rule in RULES.items()
    }
