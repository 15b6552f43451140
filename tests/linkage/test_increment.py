"""The increment is the link from nothing: generated histories, and the cases that people meet.

    python -m tests.linkage.test_increment --histories 1000 --seed 7

lives through more histories than the suite has time for.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, seed, settings

from linkage.engine import link
from linkage.increment import Decided, Linked, LinkState, link_increment
from linkage.state import EDGES, RECORDS, TASKS
from tests.linkage.histories import (
    CROWD,
    History,
    assert_same,
    histories,
    live_through,
    records_table,
)
from tests.linkage.people import shipped_model

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]


def live_through_many(count: int, start: int) -> Counter[str]:
    """Lives through histories generated from one seed; what came to pass in them."""
    met: Counter[str] = Counter()

    @seed(start)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=CHECKS)
    @given(histories())
    def check(history: History) -> None:
        live_through(history, met)

    with patch("linkage.features.CROWD", CROWD):
        check()
    return met


@settings(max_examples=8, deadline=None, suppress_health_check=CHECKS)
@given(histories())
def test_after_every_night_the_increment_is_the_link_from_nothing(history: History) -> None:
    with patch("linkage.features.CROWD", CROWD):
        live_through(history, Counter())


def test_histories_meet_what_makes_an_increment_hard() -> None:
    met = live_through_many(16, start=1)
    for name in (
        "caps crossed", "crowds crossed", "records dirty through others", "nights with tasks",
        "nights with a smaller region", "nights with former versions",
        "nights with declared pairs",
    ):  # fmt: skip
        assert met[name], name


# --- by hand -----------------------------------------------------------------------------------

JOHN = {
    "given": "John", "family": "Smith", "birth_date": "1980-05-04", "gender": "male",
    "postcode": "BS1 5TR", "address": "1 High Street", "nhs_number": "9990000018",
    "nhs_status": "01",
}  # fmt: skip
OTHER = {**JOHN, "nhs_number": "9990000026"}
PLAIN = {**JOHN, "nhs_number": None}
MARY = {"given": "Mary", "family": "Jones", "postcode": "BS2 8HW", "gender": "female"}
ANN = {"given": "Ann", "family": "Lee", "postcode": "BS3 1AA"}
OLD = {**MARY, "birth_date": "1951-07-09"}
NOTHING = Decided()


def pairs(*listed: tuple[int, int]) -> pa.Table:
    """Pairs of record ids."""
    return pa.table(
        {side: pa.array([p[n] for p in listed], pa.int64()) for n, side in enumerate(SIDES)}
    )


SIDES = ("left", "right")


def records(**rows: dict[str, Any]) -> pa.Table:
    """Records `r1`, `r2` ... in their first versions, each of a source of its own unless said."""
    held = {int(name[1:]): {"source": name, **row} for name, row in rows.items()}
    return records_table({n: (n, row) for n, row in held.items()})


def linked(
    now: pa.Table,
    decided: Decided = NOTHING,
    *,
    state: LinkState | None = None,
    past: pa.Table | None = None,
    before: Decided = NOTHING,
    **options: Any,
) -> Linked:
    """Linked at loose thresholds under the shipped model."""
    past = now.slice(0, 0) if past is None else past
    wanted = {"join_bits": 3.0, "review_bits": -2.0, "accept_test_numbers": True, **options}
    return link_increment(now, past, state, decided, before, shipped_model(), **wanted)


def labels(found: Linked) -> list[int]:
    """For each record, by id, the smallest id of its person: who is with whom."""
    label = found.state.records["label"].to_pylist()
    ids = found.state.records["record_id"].to_pylist()
    return [ids[label.index(one)] for one in label]


def tasks(found: Linked) -> list[tuple[int, int, str]]:
    """Left, right and reason of each task."""
    return [(t["left"], t["right"], t["reason"]) for t in found.state.tasks.to_pylist()]


FORBIDDEN = "verified_numbers_differ"
CASES: list[tuple[str, dict[str, Any], Decided, list[int], list[tuple[int, int, str]]]] = [
    ("one person", {"r1": JOHN, "r2": JOHN}, Decided(), [1, 1], []),
    ("a guard forbids", {"r1": JOHN, "r2": OTHER}, Decided(), [1, 2], [(1, 2, FORBIDDEN)]),
    ("a person settles a guard", {"r1": JOHN, "r2": OTHER}, Decided(same=pairs((2, 1))), [1, 1],
     []),
    ("a source does not settle it", {"r1": JOHN, "r2": OTHER}, Decided(merged=pairs((1, 2))),
     [1, 2], [(1, 2, FORBIDDEN)]),
    ("a source settles that it holds two apart",
     {"r1": PLAIN | {"source": "b"}, "r2": PLAIN | {"source": "b"}},
     Decided(merged=pairs((1, 2))), [1, 1], []),
    ("which it does otherwise",
     {"r1": PLAIN | {"source": "b"}, "r2": PLAIN | {"source": "b"}},
     Decided(), [1, 2], [(1, 2, "source_holds_apart")]),
    ("decided the same, though nothing is alike", {"r1": MARY, "r2": ANN},
     Decided(same=pairs((1, 2))), [1, 1], []),
    ("decided apart: nobody is asked again", {"r1": JOHN, "r2": JOHN},
     Decided(apart=pairs((2, 1))), [1, 2], []),
    ("decided apart and the same: apart, and a task", {"r1": JOHN, "r2": JOHN},
     Decided(same=pairs((1, 2)), apart=pairs((2, 1))), [1, 2], [(1, 2, "decided_apart")]),
    ("decided apart and merged by the source", {"r1": JOHN, "r2": JOHN},
     Decided(merged=pairs((1, 2)), apart=pairs((1, 2))), [1, 2], [(1, 2, "decided_apart")]),
    ("no chain leads round a decision", {"r1": MARY, "r2": ANN, "r3": JOHN},
     Decided(same=pairs((1, 2), (2, 3)), apart=pairs((1, 3))), [1, 2, 3],
     [(1, 2, "contested"), (2, 3, "contested")]),
    ("a decision outweighs a score on the other side", {"r1": MARY, "r2": JOHN, "r3": JOHN},
     Decided(same=pairs((1, 2)), apart=pairs((1, 3))), [1, 1, 3], [(2, 3, "contested")]),
    ("three decided the same hold against a rival",
     {"r1": MARY, "r2": ANN, "r3": JOHN, "r4": JOHN},
     Decided(same=pairs((1, 2), (2, 3)), apart=pairs((1, 4))), [1, 1, 1, 4],
     [(3, 4, "contested")]),
    ("decisions hold for every pair of the group they make", {"r1": OLD, "r2": ANN, "r3": JOHN},
     Decided(same=pairs((1, 2), (2, 3))), [1, 1, 1], []),
    ("a group of four, in whatever order it was decided",
     {"r1": JOHN, "r2": ANN, "r3": OTHER, "r4": OLD},
     Decided(same=pairs((3, 4), (1, 2), (4, 2))), [1, 1, 1, 1], []),
    ("who is one with the group by score, and is forbidden to one of it, stays out",
     {"r1": JOHN, "r2": ANN, "r3": OTHER, "r4": PLAIN | {"nhs_number": "9990000034"}},
     Decided(same=pairs((1, 2), (2, 3))), [1, 1, 1, 4], [(1, 4, FORBIDDEN), (3, 4, FORBIDDEN)]),
    ("merges of a source settle no guard of a third pair",
     {"r1": JOHN, "r2": PLAIN | {"nhs_number": None}, "r3": OTHER},
     Decided(merged=pairs((1, 2), (2, 3))), [1, 2, 3],
     [(1, 2, "contested"), (1, 3, FORBIDDEN), (2, 3, "contested")]),
    ("a chain leads through no record that is not there", {"r1": OLD, "r3": JOHN},
     Decided(same=pairs((1, 2), (2, 3))), [1, 3], []),
    ("a record and itself", {"r1": JOHN, "r2": ANN},
     Decided(same=pairs((1, 1)), apart=pairs((2, 2))), [1, 2], []),
    ("a record that is not there", {"r1": JOHN}, Decided(same=pairs((1, 9))), [1], []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "decided", "wanted", "asked"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_decisions(
    rows: dict[str, Any], decided: Decided, wanted: list[int], asked: list[tuple[int, int, str]]
) -> None:
    """From nothing; as they come to records linked before; and as they are taken back."""
    now, apart = records(**rows), {"keeps_apart": {"b"}}
    whole, plain = linked(now, decided, **apart), linked(now, **apart)
    assert (labels(whole), tasks(whole)) == (wanted, asked)
    assert_same(linked(now, decided, state=plain.state, **apart), whole)
    assert_same(linked(now, state=whole.state, before=decided, **apart), plain)


def test_nothing_new_costs_nothing_and_changes_nothing() -> None:
    now = records(r1=JOHN, r2=JOHN, r3=MARY)
    first = linked(now)
    again = linked(now, state=first.state)
    assert_same(again, first)
    assert again.compared == again.stats["dirty"] == again.stats["region"] == 0


def test_only_what_an_arrival_touches_is_decided_anew() -> None:
    now = records(r1=JOHN, r2=JOHN, r3=MARY, r4=MARY, r5=ANN, r6=JOHN)
    first = linked(now.slice(0, 5))
    found = linked(now, state=first.state)
    assert found.compared == 2
    assert (found.stats["dirty"], found.stats["region"]) == (1, 3)
    assert labels(found) == [1, 1, 3, 3, 5, 1]


def test_who_stood_for_a_person_may_leave() -> None:
    now = records(r1=JOHN, r2=MARY, r3=ANN)
    decided = Decided(same=pairs((1, 2), (1, 3)))
    first = linked(now, decided)
    left = linked(now.slice(1), decided, state=first.state, past=now.slice(0, 1), before=decided)
    assert labels(left) == [2, 3]
    back = linked(now, decided, state=left.state, before=decided)
    assert_same(back, first)


def test_former_versions_must_be_those_of_what_changed() -> None:
    now = records(r1=JOHN, r2=JOHN)
    first = linked(now)
    with pytest.raises(ValueError, match="past: expected one row of each record"):
        linked(now.slice(1), state=first.state)
    with pytest.raises(ValueError, match="past: expected one row of each record"):
        linked(now, state=first.state, past=now.slice(0, 1))


def test_without_decisions_it_is_the_link_of_tables() -> None:
    rows = {f"r{n}": row for n, row in enumerate([JOHN, OTHER, PLAIN, MARY, ANN, JOHN], 1)}
    now = records(**rows)
    table = link(now, shipped_model(), join_bits=3.0, review_bits=-2.0, accept_test_numbers=True)
    found = linked(now)
    ids = now["record_id"].to_numpy()
    assert found.state.records["label"].to_pylist() == ids[table.label].tolist()
    assert found.compared == table.compared
    assert found.rules == table.rules
    assert found.histogram[1].tolist() == table.histogram[1].tolist()
    assert len(found.state.edges) == len(table.edges)


def test_states_are_those_of_their_schemas_even_of_nothing() -> None:
    empty = linked(records(r1=JOHN).slice(0, 0)).state
    some = linked(records(r1=JOHN, r2=OTHER)).state
    for state in (empty, some):
        assert (state.records.schema, state.edges.schema, state.tasks.schema) == SCHEMAS
    assert len(empty.records) == 0
    assert linked(records(r1=JOHN), state=empty).state.records["label"].to_pylist() == [1]


SCHEMAS = (RECORDS, EDGES, TASKS)


def main() -> None:
    """Lives through many histories and says what came to pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name, count in sorted(live_through_many(options.histories, options.seed).items()):
        print(f"{count:>9,} {name}")


if __name__ == "__main__":
    main()
