"""Lifecycles of records, persons and ids: the scenarios of `lifecycle.txt`, on real stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pages import text_of
from tests.postgres import fresh_database, running_server
from tests.spec.lifecycle_steps import STEPS, run
from tests.spec.lifecycle_text import Scenario, page, scenarios
from tests.spec.lifecycle_world import world

ALL = scenarios()


def cases(some: list[Scenario]) -> list[object]:
    """Each scenario under its name."""
    return [pytest.param(one, id=one.name) for one in some]


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[str]:
    with running_server() as uri:
        yield uri


@pytest.mark.parametrize("scenario", cases(ALL))
def test_scenario(scenario: Scenario) -> None:
    with world() as partnership:
        run(scenario.lines, partnership)


@pytest.mark.parametrize("scenario", cases([one for one in ALL if one.on_postgresql]))
def test_scenario_on_postgresql(scenario: Scenario, postgres_server: str) -> None:
    with fresh_database(postgres_server) as url, world(url) as partnership:
        run(scenario.lines, partnership)


def test_the_page_is_made_of_the_scenarios() -> None:
    assert text_of("docs/lifecycle.md") == page(ALL)


def test_scenarios_have_names_of_their_own_and_use_every_sentence() -> None:
    assert len({one.name for one in ALL}) == len(ALL)
    said = [line.sentence for one in ALL for line in one.lines]
    unused = [p.pattern for p, _, _ in STEPS if not any(map(p.fullmatch, said))]
    assert not unused


def test_what_is_not_a_sentence_is_found_out() -> None:
    lines = scenarios("A name\n  when  the moon is full\n")[0].lines
    with world() as partnership, pytest.raises(ValueError, match="no step says"):
        run(lines, partnership)
    with pytest.raises(ValueError, match="not a line of a scenario"):
        scenarios("A name\n  perhaps all is linked\n")
