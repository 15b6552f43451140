"""Decisions as values, names of tasks, and when a record has become another person."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dates import Instant, PartialDate
from schemas.decisions import (
    ACTING,
    Decision,
    Origin,
    Standing,
    Verdict,
    another_person,
    task_id,
)
from schemas.demographics import HumanName, NhsNumberClaim
from schemas.errors import InvalidValue
from schemas.identifiers import LocalId, NhsNumber
from schemas.records import ClientRecord

NOW = Instant("2026-11-02T03:00:00Z")
ONE, OTHER = "9434765919", "9999999468"


def decision(**more: Any) -> Decision:
    values = {
        "left": 1, "right": 2, "left_version": 1, "right_version": 2, "verdict": Verdict.SAME,
        "standing": Standing.LIVE, "origin": Origin.REVIEW, "reason": "seen", "author": "ann",
        "decided_at": NOW,
    }  # fmt: skip
    return Decision(**{**values, **more})


def record(family: str, given: str, born: str | None, number: str | None = None) -> ClientRecord:
    return ClientRecord(
        local_id=LocalId("1"),
        names=(HumanName(family=family, given=(given,)),),
        birth_date=PartialDate(born) if born else None,
        nhs_number=NhsNumberClaim(NhsNumber(number)) if number else None,
    )


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"left": 2, "right": 2}, id="a record with itself"),
        pytest.param({"left": 3, "right": 2}, id="the greater first"),
        pytest.param({"reason": " "}, id="no reason"),
        pytest.param({"author": ""}, id="no author"),
        pytest.param({"standing": Standing.REVOKED}, id="revoked by nobody"),
        pytest.param({"revoked_by": "bob", "revoked_at": NOW}, id="revoked and live"),
    ],
)
def test_what_cannot_be_is_not_built(fault: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        decision(**fault)


@pytest.mark.parametrize("standing", [s for s in Standing if s is not Standing.REVOKED])
@pytest.mark.parametrize("verdict", Verdict)
def test_what_binds(standing: Standing, verdict: Verdict) -> None:
    binds = decision(standing=standing, verdict=verdict).binds
    assert binds == (standing in ACTING and verdict is not Verdict.UNDECIDED)


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_a_task_is_named_after_its_pair(one: int, two: int) -> None:
    name = task_id(one, two)
    assert name == task_id(two, one)
    assert name[0] == "t"
    assert len(name) == 11
    assert name != task_id(one, two + 1)


BASE = record("Smith", "Ann", "1980-05-17", ONE)


@pytest.mark.parametrize(
    ("present", "another"),
    [
        pytest.param(BASE, False, id="nothing changed"),
        pytest.param(record("Jones", "Bob", "1951-01-02", OTHER), True, id="all changed"),
        pytest.param(record("Jones", "Bob", "1951-01-02"), True, id="all, and no number now"),
        pytest.param(record("Jones", "Bob", "1951-01-02", ONE), False, id="one number"),
        pytest.param(record("Jones", "Bob", "1980-05-17", OTHER), False, id="one birth date"),
        pytest.param(record("Jones", "Bob", "1980", OTHER), False, id="its year"),
        pytest.param(record("Jones", "Bob", None, OTHER), False, id="no birth date now"),
        pytest.param(record("Jones", "Ann", "1951-01-02", OTHER), False, id="one forename"),
        pytest.param(record("SMITH", "Bob", "1951-01-02", OTHER), False, id="one family name"),
        pytest.param(
            record("Smith-Jones", "Bob", "1951-01-02", OTHER), False, id="half a family name"
        ),
    ],
)
def test_a_reused_id(present: ClientRecord, another: bool) -> None:
    assert another_person(BASE, present) is another
    assert another_person(present, BASE) is another
