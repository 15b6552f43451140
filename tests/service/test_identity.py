"""Stable person ids: spec table of merges and splits, and properties of any change."""

from __future__ import annotations

from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.identity import Changes, changes, person_id

NO_TASKS = pa.table({"left": pa.array([], pa.int64())})


def publish(
    held: dict[int, str], label: dict[int, int], founded: dict[int, int] | None = None
) -> tuple[dict[int, str], Changes]:
    """Applies a new partition (record → representative) to what is published."""
    ids = np.array(sorted(label), np.int64)
    place = {int(r): n for n, r in enumerate(ids)}
    labels = np.array([place[label[int(r)]] for r in ids], np.int64)
    memberships = pa.table(
        {
            "record_id": pa.array(sorted(held), pa.int64()),
            "person_id": pa.array([held[r] for r in sorted(held)], pa.string()),
        }
    )
    founders = pa.array([f"k{r}".encode() for r in ids], pa.binary())
    change = changes(ids, founders, labels, memberships, founded or {}, NO_TASKS)
    after = {
        r: p
        for r, p in held.items()
        if r not in set(change.publication.closed["record_id"].to_pylist())
    }
    opened = change.publication.opened.to_pydict()
    after |= dict(zip(opened["record_id"], opened["person_id"], strict=True))
    return after, change


SPEC = [
    ("a new record founds a person", {}, {1: 1}, (1, 0, 0)),
    ("a record joins a person", {1: "p"}, {1: 1, 2: 1}, (0, 0, 0)),
    ("two persons merge into the larger", {1: "p", 2: "q", 3: "q"}, {1: 1, 2: 1, 3: 1}, (0, 1, 0)),
    (
        "a split: the larger part keeps the id",
        {1: "p", 2: "p", 3: "p"},
        {1: 1, 2: 2, 3: 2},
        (0, 0, 1),
    ),
    ("nothing changes", {1: "p", 2: "q"}, {1: 1, 2: 2}, (0, 0, 0)),
    (
        "a record moves",
        {1: "p", 2: "p", 3: "q", 4: "q", 5: "p"},
        {1: 1, 2: 1, 3: 3, 4: 3, 5: 3},
        (0, 0, 1),
    ),
]


@pytest.mark.parametrize(
    ("held", "label", "counts"), [s[1:] for s in SPEC], ids=[s[0] for s in SPEC]
)
def test_what_a_change_amounts_to(
    held: dict[int, str], label: dict[int, int], counts: tuple[int, int, int]
) -> None:
    _, change = publish(held, label)
    assert (change.created, change.joined, change.split) == counts


def test_the_larger_part_keeps_the_identity() -> None:
    after, _ = publish({1: "p", 2: "p", 3: "p"}, {1: 1, 2: 2, 3: 2})
    assert after[2] == after[3] == "p"
    assert after[1] not in ("p", "q")


def test_the_merged_person_leads_to_the_one_that_stays() -> None:
    after, change = publish({1: "p", 2: "q", 3: "q"}, {1: 1, 2: 1, 3: 1})
    assert set(after.values()) == {"q"}
    assert change.publication.merged.to_pylist() == [{"person_id": "p", "into": "q"}]


def test_a_person_split_and_merged_at_once_leads_nowhere() -> None:
    held = {1: "p", 2: "p", 3: "p", 4: "q", 5: "q", 6: "q"}
    after, change = publish(held, dict.fromkeys(range(1, 6), 1) | {6: 6})
    assert {after[record] for record in range(1, 6)} == {"p"}
    assert after[6] not in ("p", "q")
    assert change.publication.split == ("q",)
    assert change.publication.merged.to_pylist() == [{"person_id": "q", "into": None}]


def test_a_record_that_founds_again_gets_another_id() -> None:
    first, _ = publish({}, {1: 1})
    again, _ = publish({}, {1: 1}, founded={1: 1})
    assert first[1] != again[1]
    assert first[1] == person_id(b"k1", 0)


def test_withdrawn_records_leave_their_person() -> None:
    after, change = publish({1: "p", 2: "p"}, {1: 1})
    assert after == {1: "p"}
    assert change.withdrawn == 1


held_and_label = st.integers(1, 9).flatmap(
    lambda n: st.tuples(
        st.dictionaries(st.integers(1, n), st.sampled_from("pqrs"), max_size=n),
        st.lists(st.integers(1, n), min_size=n, max_size=n),
    )
)


@settings(max_examples=200, deadline=None)
@given(held_and_label)
def test_after_any_change_persons_are_just_the_clusters(
    drawn: tuple[dict[int, str], list[int]],
) -> None:
    held, parents = drawn
    groups = {
        n + 1: min(m + 1 for m, q in enumerate(parents) if q == p) for n, p in enumerate(parents)
    }
    after, change = publish(held, groups)
    assert sorted(after) == sorted(groups)
    for (a, group_a), (b, group_b) in product(groups.items(), repeat=2):
        assert (after[a] == after[b]) == (group_a == group_b)
    gone = set(held.values()) - set(after.values())
    merged = change.publication.merged["person_id"].to_pylist()
    assert set(merged) <= gone
    again, second = publish(after, groups)
    assert again == after
    assert len(second.publication.opened) == len(second.publication.closed) == 0
