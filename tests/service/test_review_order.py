"""The order in which tasks of the queue are offered."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.review_order import kin_together

TASKS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 5)), max_size=12)


@pytest.mark.parametrize(
    ("tasks", "order"),
    [
        ("", ""),
        ("1ab 1cd 1ef", "012"),
        ("1ab 1cd 1be", "021"),
        ("1ab 1cd 1ef 1ga 1fg", "02341"),
        ("2ab 1cd 1bd 1ae", "0123"),
        ("2ab 1cd 1be 1fc 1ga", "01324"),
        ("2ab 1ac 1de 1bf", "0132"),
    ],
)
def test_kin_follow_one_another(tasks: str, order: str) -> None:
    """Each task: its urgency, its two persons."""
    told = tasks.split()
    found = kin_together([t[0] for t in told], [(t[1], t[2]) for t in told])
    assert "".join(map(str, found)) == order


@given(TASKS)
def test_the_order_is_that_of_a_naive_search(drawn: list[tuple[int, int, int]]) -> None:
    tasks = sorted(drawn, key=lambda t: -t[0])
    found = kin_together([t[0] for t in tasks], [(t[1], t[2]) for t in tasks])
    wanted: list[int] = []
    for _, run in groupby(range(len(tasks)), key=lambda at: tasks[at][0]):
        block = list(run)
        for at in block:
            if at not in wanted:
                near = kin_of(at, tasks)
                wanted += [other for other in block if other in near and other not in wanted]
    assert found == wanted


def kin_of(at: int, tasks: list[tuple[int, int, int]]) -> set[int]:
    """Every task that hangs together with one, by walking until nothing new is found."""
    near = {at}
    while True:
        persons = {person for one in near for person in tasks[one][1:]}
        more = {i for i, task in enumerate(tasks) if {*task[1:]} & persons}
        if more <= near:
            return near
        near |= more
