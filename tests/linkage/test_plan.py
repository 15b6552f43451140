"""The plan of blocking: what is chosen, within which budget, and that its cost is true."""

from __future__ import annotations

from linkage import plan
from linkage.blocking import ALL, Blocker
from linkage.columns import Features
from linkage.features import build_features
from linkage.model import Rule
from tests.linkage.people import people_table


def people(n: int, *, one_family: bool = False) -> Features:
    names = ["Smith"] * n if one_family else [f"Family{chr(65 + i % 26)}{i % 90}" for i in range(n)]
    return build_features(
        people_table([{"family": name, "birth_date": f"{1930 + i % 70}-05-0{1 + i % 9}"}
                      for i, name in enumerate(names)])
    )  # fmt: skip


def test_a_small_table_is_compared_whole() -> None:
    (rule,) = plan.default_rules(people(30))
    assert rule.keys == (ALL,)
    assert plan.costs(people(30), [rule])[0].proposed == 30 * 29 // 2


def test_rules_need_columns_that_somebody_fills() -> None:
    rules = plan.default_rules(people(plan.WHOLE + 1))
    keys = {key for rule in rules for key in rule.keys}
    assert rules
    assert all(key.startswith(("family", "birth_date")) for key in keys)


def test_the_budget_holds(monkeypatch) -> None:
    features = people(plan.WHOLE + 1)
    monkeypatch.setattr(plan, "SMALLEST_BUDGET", 2_000)
    monkeypatch.setattr(plan, "LARGEST_BLOCK", 1e6)  # no block is cut: only the budget holds
    rules = plan.default_rules(features, pairs_per_record=10.0)
    assert rules
    assert sum(Blocker(features, rule).proposed for rule in rules) <= 10 * len(features)
    every = [Rule("all", keys, 10**6) for keys in (("family",), ("birth_date",))]
    assert sum(cost.proposed for cost in plan.costs(features, every)) > 10 * len(features)


def test_what_is_cut_is_counted_before_anything_is_compared() -> None:
    (cost,) = plan.costs(people(50, one_family=True), [Rule("family", ("family",), 49)])
    assert (cost.proposed, cost.cut_blocks, cost.cut_pairs) == (0, 1, 50 * 49 // 2)
