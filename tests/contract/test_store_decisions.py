"""What every store does with decisions and the review queue. On SQLite and on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from audit.events import AuditEvent, EventOutcome
from schemas.dates import PartialDate
from schemas.decisions import Decision, Origin, Standing, Verdict
from schemas.demographics import HumanName
from schemas.errors import StoreError, WorkspaceBusy
from schemas.identifiers import LocalId, PersonId
from schemas.items import Heading
from schemas.records import ClientRecord
from store.sql_store import SqlStore
from tests.store_samples import (
    NOW,
    SOURCE,
    client,
    day,
    item,
    load,
    merge,
    one,
    publication,
    publish,
    withdraw,
)

SAME, DIFFERENT, UNDECIDED = Verdict


def event(action: str = "review-decide") -> AuditEvent:
    return AuditEvent(
        at=NOW, action=action, outcome=EventOutcome.PERMITTED, actor="ann", role="data_team",
        purpose="data-quality",
    )  # fmt: skip


def record_id(store: SqlStore, local_id: str) -> int:
    held = store.record(SOURCE, LocalId(local_id))
    assert held
    return held.record_id


def decision(store: SqlStore, a: str, b: str, verdict: Verdict = SAME, **more: Any) -> Decision:
    held = sorted(
        (h for i in (a, b) if (h := store.record(SOURCE, LocalId(i)))), key=lambda h: h.record_id
    )
    values: dict[str, Any] = {
        "left": held[0].record_id, "right": held[1].record_id,
        "left_version": held[0].version_id, "right_version": held[1].version_id,
        "verdict": verdict, "standing": Standing.LIVE, "origin": Origin.REVIEW,
        "reason": "they told us", "author": "ann", "decided_at": NOW,
    }  # fmt: skip
    return Decision(**{**values, **more})


def write(store: SqlStore, *new: Decision) -> list[Decision]:
    return list(store.write_decisions(store.decision_sequence(), new, [], event()))


def pairs(table: pa.Table) -> list[tuple[int, int]]:
    return list(zip(table["left"].to_pylist(), table["right"].to_pylist(), strict=True))


@pytest.fixture
def four(store: SqlStore) -> SqlStore:
    load(store, [one(client(i, f"Name{i}")) for i in "1234"])
    return store


def test_decisions_come_back_as_they_were_written(four: SqlStore) -> None:
    assert list(four.decisions()) == []
    first = write(four, decision(four, "1", "2"), decision(four, "1", "3", DIFFERENT))
    assert [d.decision_id for d in first] == [1, 2]
    assert {d.act for d in first} == {1}
    (third,) = write(four, decision(four, "2", "3", UNDECIDED, awaits="why", reported=3))
    assert (third.decision_id, third.act) == (3, 3)
    assert list(four.decisions()) == [*first, third]


def test_the_sequence_grows_with_every_change(four: SqlStore) -> None:
    seen = [four.decision_sequence()]
    (made,) = write(four, decision(four, "1", "2"))
    seen.append(four.decision_sequence())
    ended = replace(
        made, standing=Standing.REVOKED, revoked_by="bob", revoked_at=NOW, revoked_reason="a slip"
    )
    four.write_decisions(seen[-1], [], [ended], event("review-revoke"))
    seen.append(four.decision_sequence())
    assert seen == sorted(set(seen))
    assert list(four.decisions()) == [ended]


def test_a_decision_and_its_event_are_written_together(four: SqlStore) -> None:
    before = four.counts()["events"]
    write(four, decision(four, "1", "2"))
    assert [e.action for e in four.events()][before:] == ["review-decide"]
    with pytest.raises(WorkspaceBusy, match="run this again"):
        four.write_decisions(0, [decision(four, "3", "4")], [], event())
    not_held = replace(decision(four, "3", "4"), decision_id=99, act=99)
    with pytest.raises(StoreError, match="not held"):
        four.write_decisions(four.decision_sequence(), [], [not_held], event())
    assert four.counts()["events"] == before + 1
    assert len(four.decisions()) == 1
    assert four.decision_sequence() == 1


@pytest.mark.parametrize(
    ("standing", "verdict", "acts"),
    [
        (Standing.LIVE, SAME, "same"),
        (Standing.LIVE, DIFFERENT, "apart"),
        (Standing.PROVISIONAL, DIFFERENT, "apart"),
        (Standing.LIVE, UNDECIDED, None),
        (Standing.PENDING, SAME, None),
        (Standing.LABEL, SAME, None),
        (Standing.LABEL, DIFFERENT, None),
    ],
)
def test_what_acts_on_linkage(
    four: SqlStore, standing: Standing, verdict: Verdict, acts: str | None
) -> None:
    write(four, decision(four, "1", "2", verdict, standing=standing))
    decided = four.decided()
    pair = [(record_id(four, "1"), record_id(four, "2"))]
    assert pairs(decided.same) == (pair if acts == "same" else [])
    assert pairs(decided.apart) == (pair if acts == "apart" else [])
    assert decided.same.schema == decided.apart.schema == decided.merged.schema


def test_merges_of_sources_are_told_apart_from_decisions(four: SqlStore) -> None:
    load(four, [one(merge("2", "1"))], "merges.csv")
    decided = four.decided()
    assert pairs(decided.merged) == [tuple(sorted((record_id(four, "1"), record_id(four, "2"))))]
    assert (decided.same.num_rows, decided.apart.num_rows) == (0, 0)


def test_a_withdrawn_record_is_bound_by_nothing(four: SqlStore) -> None:
    write(four, decision(four, "1", "2"), decision(four, "1", "3", DIFFERENT))
    load(four, [one(withdraw("2"), day(20))], "gone.csv")
    decided = four.decided()
    assert pairs(decided.same) == []
    assert pairs(decided.apart) == [(record_id(four, "1"), record_id(four, "3"))]
    load(four, [one(client("2", "Name2"), day(21))], "back.csv")
    assert pairs(four.decided().same) == [(record_id(four, "1"), record_id(four, "2"))]


def person(local_id: str, family: str, given: str, born: str) -> ClientRecord:
    names = (HumanName(family=family, given=(given,)),)
    return ClientRecord(local_id=LocalId(local_id), names=names, birth_date=PartialDate(born))


@pytest.mark.parametrize("verdict", [SAME, DIFFERENT])
def test_a_decision_rests_while_its_record_is_another_person(
    store: SqlStore, verdict: Verdict
) -> None:
    ann, bob = person("1", "Smith", "Ann", "1980-05-17"), person("1", "Jones", "Bob", "1951-01-02")
    married = person("1", "Hill", "Ann", "1980-05-17")
    load(store, [one(ann, day(1)), one(client("2"), day(1))])
    (made,) = write(store, decision(store, "1", "2", verdict))
    acting = lambda: pairs(store.decided().same) + pairs(store.decided().apart)  # noqa: E731
    load(store, [one(married, day(2))], "b.csv")
    assert (acting(), store.resting_decisions()) == ([made.pair], frozenset())
    load(store, [one(bob, day(3))], "c.csv")
    assert (acting(), store.resting_decisions()) == ([], frozenset({made.decision_id}))
    load(store, [one(ann, day(4))], "d.csv")
    assert (acting(), store.resting_decisions()) == ([made.pair], frozenset())


def test_what_the_queue_asks(four: SqlStore) -> None:
    load(four, [one(item("i", "1", heading=Heading.SAFEGUARDING)), one(item("j", "2"))], "i.csv")
    ids = [record_id(four, i) for i in "1234"]
    assert four.review_tasks().num_rows == 0
    publish(
        four,
        publication(
            founded=[("p1", ids[0]), ("p3", ids[2])],
            opened=[(ids[0], "p1"), (ids[1], "p1"), (ids[2], "p3")],
            tasks=[(ids[0], ids[2], 5.5, "review band"), (ids[1], ids[3], 9.0, "twins")],
        ),
    )
    assert four.review_tasks().to_pylist() == [
        {"left": ids[0], "right": ids[2], "bits": 5.5, "reason": "review band"},
        {"left": ids[1], "right": ids[3], "bits": 9.0, "reason": "twins"},
    ]
    assert [h.record_id for h in four.held([ids[3], ids[0], 99])] == [ids[0], ids[3]]
    assert four.members([PersonId("p1"), PersonId("nobody")]) == {ids[0], ids[1]}
    assert four.with_items(ids, Heading.SAFEGUARDING) == {ids[0]}


def test_who_was_shown_with_whom_is_known_of_persons_that_have_gone(four: SqlStore) -> None:
    a, b, c, d = (record_id(four, i) for i in "1234")
    assert four.shown_together([a], [b]) == {}
    publish(
        four,
        publication(
            founded=[("p1", a), ("p3", c)],
            opened=[(a, "p1"), (b, "p1"), (c, "p3")],
        ),
        day(19),
    )
    publish(four, publication(closed=[b], opened=[(b, "p3"), (d, "p3")]), day(20))
    publish(
        four,
        publication(
            founded=[("p2", b)],
            merged=[("p1", "p2")],
            closed=[a, b],
            opened=[(a, "p2"), (b, "p2")],
        ),
        day(21),
    )
    assert four.shown_together([a], [b]) == {"p1": day(19), "p2": day(21)}
    assert four.shown_together([b], [c, d]) == {"p3": day(20)}
    assert four.shown_together([a], [c, d]) == {}, "never at the same time, or never in one"
    assert four.shown_together([c], [d]) == {"p3": day(20)}
    assert four.shown_together([], [d]) == {}


def test_pairs_for_quality_control(four: SqlStore) -> None:
    assert four.quality_pairs().num_rows == 0
    drawn = pa.table(
        {
            "left": [1, 2], "right": [3, 4], "bits": [8.5, 30.0], "low": [7.0, 15.0],
            "stratum_pairs": [10, 90], "judgements": [2, 1],
        }
    )  # fmt: skip
    four.add_quality_pairs(drawn, NOW)
    four.add_quality_pairs(drawn.slice(0, 1), day(20))
    rows = four.quality_pairs().to_pylist()
    assert [(r["left"], r["right"], r["drawn_at"], r["judgements"]) for r in rows] == [
        (1, 3, NOW, 2), (2, 4, NOW, 1), (1, 3, day(20), 2),
    ]  # fmt: skip
    assert [r["low"] for r in rows] == [7.0, 15.0, 7.0]
