"""The rules of detection against a slow reference, on drawn partnerships of a few people."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.detect_explain import explain
from audit.detect_facts import NEVER, Facts, accesses, vocabulary
from audit.detect_pairs import PAIR_RULES, Scene, habits_of
from audit.detect_periods import PERIOD_RULES, History, span_of
from tests.audit.naive_detect import EPOCH, Event, Naive, facts_of, table

DAY = 20_550  # a Tuesday in April 2026: summer time
PERSONS = [f"P{n}" for n in range(6)]
ACTORS = [f"S{n}" for n in range(4)]
TEAMS, ORGS = ["", "red", "blue"], ["ORG1", "ORG2"]
KINDS = ["registration", "admission", "encounter", "claimed"]

_person, _actor = st.sampled_from(PERSONS), st.sampled_from(ACTORS)
_days = st.integers(DAY - 4, DAY + 4)


@st.composite
def partnerships(draw: st.DrawFn) -> Facts:
    """Facts about a few people, most of whom have something to do with one another."""

    def rows(size: int, *columns: st.SearchStrategy[object]) -> list[tuple[object, ...]]:
        return draw(st.lists(st.tuples(*columns), max_size=size))

    text = st.sampled_from
    people = [
        (
            p,
            draw(text([NEVER, DAY - 200, DAY - 91, DAY - 90])),
            *draw(st.tuples(*[st.booleans()] * 3)),
        )
        for p in PERSONS
    ]
    staff = [
        (a, draw(text(ORGS)), "nurse", draw(text(TEAMS)), DAY - 2,
         draw(text([DAY, DAY + 1, NEVER])),
         draw(text(["", "weekdays", "early", "late", "nights", "bank"])),
         draw(text(["", "smith", "quill"])))
        for a in draw(st.lists(_actor, unique=True))
    ]  # fmt: skip
    names = {(p, draw(text(["smith", "quill", "zeb"]))) for p in PERSONS}
    homes = sorted({(p, f"h{n}", f"post{n // 2}") for p, n in rows(8, _person, st.integers(0, 3))})
    own = sorted(set(rows(4, _actor, _person)))
    return facts_of(
        people=people, staff=staff, names=sorted(names), homes=homes, own=own,
        ties=rows(8, _person, text(ORGS), text(TEAMS), text(["", *ACTORS]), text(KINDS), _days,
                  _days),
        wishes=rows(3, _person, _days, _days), bonds=sorted(set(rows(3, _actor, _person))),
    )  # fmt: skip


_details = st.fixed_dictionaries(
    {},
    optional={
        "team": st.sampled_from(["red", "blue"]), "located": st.just(True),
        "escalate": st.just(True), "sealed": st.integers(0, 2), "sensitive": st.booleans(),
        "break_glass": st.just("life-at-risk"),
    },
)  # fmt: skip
_events = st.builds(
    Event,
    at=st.integers(-4 * 1_440, 5 * 1_440 - 1).map(lambda m: EPOCH + timedelta(days=DAY, minutes=m)),
    actor=_actor,
    persons=st.lists(_person, max_size=2, unique=True).map(tuple),
    action=st.sampled_from(["items", "items", "read", "search", "break-glass", "claim"]),
    outcome=st.sampled_from(["permitted", "permitted", "refused", "failed"]),
    role=st.sampled_from(["nurse", "data_team", "person"]),
    purpose=st.sampled_from(["direct-care", "own-record", "safeguarding", "data-quality"]),
    organisation=st.sampled_from(ORGS),
    details=_details,
)


def _scene(facts: Facts, events: list[Event]) -> Scene:
    told = table(events)
    words = vocabulary(facts, told)
    rows = accesses(told, facts, words)
    return Scene(rows, facts, words, explain(rows, facts, words), habits_of(rows, words))


def _named(scene: Scene, where: np.ndarray) -> set[tuple[int, str]]:
    persons = [*scene.words.persons.list, ""]
    rows = scene.rows
    return {(int(rows.leaf[n]), persons[rows.person[n]]) for n in np.flatnonzero(where)}


PAIRS = [name for name in PAIR_RULES if name not in {"role", "reason"}]


@given(partnerships(), st.lists(_events, min_size=1, max_size=12))
@settings(max_examples=30, deadline=None)
def test_pairs_and_levels_are_those_of_the_reference(facts: Facts, events: list[Event]) -> None:
    events.sort(key=lambda one: one.at)
    scene = _scene(facts, events)
    naive = Naive(facts, events)
    persons = [*scene.words.persons.list, ""]
    for n in range(len(scene.rows)):
        if scene.rows.person[n] < 0:
            continue
        e, person = events[scene.rows.leaf[n]], persons[scene.rows.person[n]]
        assert scene.explained.level[n] == naive.level(e, person), (e, person)
        assert scene.explained.later[n] == max(
            naive.level(e, person), naive.level(e, person, later=3)
        )
    for rule in PAIRS:
        expected = {(e.leaf, p) for e in events for p in e.persons if naive.sees(rule, e, p)}
        assert _named(scene, PAIR_RULES[rule](scene)) == expected, rule


@given(partnerships(), st.lists(_events, min_size=1, max_size=25))
@settings(max_examples=10, deadline=None)
@pytest.mark.parametrize("rule", ["off-rota", "refusals", "leaver"])
def test_days_are_those_of_the_reference(rule: str, facts: Facts, events: list[Event]) -> None:
    events.sort(key=lambda one: one.at)
    scene = _scene(facts, events)
    fired = PERIOD_RULES[rule](span_of(scene, History())).fired
    actors = scene.words.actors.list
    found = {(actors[int(a)], int(d)) for a, d in zip(fired.actor, fired.day, strict=True)}
    assert found == Naive(facts, events).days(rule)


@given(
    st.lists(
        st.tuples(st.integers(0, 90), _actor, st.sampled_from(["10.1", "10.2"])),
        min_size=1, max_size=12, unique_by=lambda one: one[0],
    )
)  # fmt: skip
@settings(max_examples=10, deadline=None)
def test_one_account_at_two_places(moments: list[tuple[int, str, str]]) -> None:
    start = EPOCH + timedelta(days=DAY, hours=9)
    events = [
        Event(start + timedelta(minutes=m), actor, ("P0",), details={"terminal": terminal})
        for m, actor, terminal in sorted(moments)
    ]
    scene = _scene(facts_of(), events)
    fired = PERIOD_RULES["shared"](span_of(scene, History())).fired
    actors = scene.words.actors.list
    found = {(actors[int(a)], int(d)) for a, d in zip(fired.actor, fired.day, strict=True)}
    assert found == Naive(facts_of(), events).moves()
