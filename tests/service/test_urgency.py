"""What makes a review task more urgent: every row of the table by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.review_queue import (
    FACTORS,
    KINDS,
    PROTECTED,
    REPORTED,
    REUSED,
    SECOND,
    STILL_APART,
    Facts,
)

PLAIN = Facts(
    kind="near the threshold", bits=20.0, near=False, records=2, large=False,
    restricted=False, safeguarding=False,
)  # fmt: skip


def codes(**more: Any) -> list[str]:
    facts = replace(PLAIN, **more)
    return [factor.code for factor in FACTORS if factor.holds(facts)]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"safeguarding": True}, "safeguarding"),
        ({"restricted": True}, "restricted"),
        ({"kind": REPORTED}, "wrong_person"),
        ({"kind": SECOND}, "second_person"),
        ({"kind": REUSED}, "reused_id"),
        ({"kind": PROTECTED}, "protected"),
        ({"kind": STILL_APART}, "still_apart"),
        ({"kind": "contested"}, "contested"),
        ({"large": True}, "many_records"),
        ({"near": True}, "near_threshold"),
    ],
)
def test_one_fact_is_one_factor(more: dict[str, Any], code: str) -> None:
    assert codes(**more) == [code]


def test_a_plain_task_has_no_factor_and_every_kind_has_at_most_one() -> None:
    assert codes() == []
    assert all(len(codes(kind=kind)) <= 1 for kind in KINDS)
    assert {code for kind in KINDS for code in codes(kind=kind)} == {
        "wrong_person", "second_person", "reused_id", "contested", "protected", "still_apart",
    }  # fmt: skip


def test_who_may_be_harmed_comes_before_all_that_is_only_unsure() -> None:
    points = {factor.code: factor.points for factor in FACTORS}
    unsure = ("contested", "many_records", "near_threshold")
    assert min(points["safeguarding"], points["restricted"]) >= sum(points[c] for c in unsure)
    assert points["wrong_person"] > points["second_person"] > points["contested"]
    assert points["contested"] > points["near_threshold"] > 0
