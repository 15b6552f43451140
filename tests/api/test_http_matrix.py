"""Every route, over HTTP, against a second opinion: role by purpose by relationship by wish by
state of the person by agreement by label. A leak or a wrongful refusal in any case fails.

The cases are chosen so that every pair of values of different kinds stands in some case.
"""

from __future__ import annotations

import random
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from api.table import ROUTES
from tests.api.http_cases import CHANGING, Case, chosen_cases, who_of
from tests.api.http_exam import Exam
from tests.api.http_world import (
    claim,
    matrix_world,
)
from tests.api.in_process import asked

CASES = 2_050
SEED = 20_260_301


def run(folder: Path, cases: list[Case], seed: int) -> tuple[Counter[str], list[str]]:
    """Asks every case; how many ended in which status, and the faults."""
    rng, verdicts, faults = random.Random(seed), Counter[str](), list[str]()
    ended: set[str] = set()
    with ExitStack() as stack:
        world = stack.enter_context(matrix_world(folder, {case.spec for case in cases}, seed))
        api = stack.enter_context(asked(world.sharing, world.keys))
        order = {name: n for n, name in enumerate(CHANGING)}
        for case in sorted(cases, key=lambda case: order.get(case.route, -1)):
            held = world.people[case.spec]
            if case.tie.startswith(("claimed", "glass")):
                claim(world.sharing, held, who_of(case, held))
            exam = Exam(api, case, held, rng, ended)
            verdicts[f"{exam.judge()}"] += 1
            faults += exam.faults
    return verdicts, faults


def test_each_route_against_the_oracle_in_small(tmp_path: Path) -> None:
    cases = random.Random(SEED).sample(chosen_cases(SEED, CASES), 80)
    verdicts, faults = run(tmp_path, cases, SEED)
    assert not faults, f"{len(faults)} of {len(cases)}: {faults[:5]}"
    assert min(verdicts["200"], verdicts["403"]) >= 10, verdicts


@pytest.mark.slow
def test_every_route_against_the_oracle(tmp_path: Path) -> None:
    cases = chosen_cases(SEED, CASES)
    assert len(cases) >= 2_000
    assert {case.route for case in cases} == {route.name for route in ROUTES}
    verdicts, faults = run(tmp_path, cases, SEED)
    assert not faults, f"{len(faults)} of {len(cases)}: {faults[:5]}"
    assert min(verdicts["200"], verdicts["403"], verdicts["404"]) >= 200, verdicts
