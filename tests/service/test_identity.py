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


def members(held: dict[int, str]) -> pa.Table:
    """A partition as the store gives it."""
    return pa.table(
        {
            "record_id": pa.array(sorted(held), pa.int64()),
            "person_id": pa.array([held[r] for r in sorted(held)], pa.string()),
        }
    )


def publish(
    held: dict[int, str],
    label: dict[int, int],
    founded: dict[int, int] | None = None,
    restore: dict[int, str] | None = None,
    another: list[int] | None = None,
    returning: dict[int, str] | None = None,
) -> tuple[dict[int, str], Changes]:
    """Applies a new partition (record → representative) to what is published."""
    ids = np.array(sorted(label), np.int64)
    place = {int(r): n for n, r in enumerate(ids)}
    labels = np.array([place[label[int(r)]] for r in ids], np.int64)
    former = None if restore is None else members(restore)
    founders = pa.array([f"k{r}".encode() for r in ids], pa.binary())
    change = changes(
        ids, founders, labels, members(held), founded or {}, NO_TASKS, former,
        np.array(another or [], np.int64), members(returning or {}),
    )  # fmt: skip
    after = {
        r: p
        for r, p in held.items()
        if r not in set(change.publication.closed["record_id"].to_pylist())
    }
    opened = change.publication.opened.to_pydict()
    after |= dict(zip(opened["record_id"], opened["person_id"], strict=True))
    return after, change


SPEC = [
    # what: held, new partition, (created, joined, split, records moved)
    ("a new record founds a person", {}, {1: 1}, (1, 0, 0, 0)),
    ("a record joins a person", {1: "p"}, {1: 1, 2: 1}, (0, 0, 0, 0)),
    (
        "two persons merge into the larger",
        {1: "p", 2: "q", 3: "q"},
        {1: 1, 2: 1, 3: 1},
        (0, 1, 0, 1),
    ),
    (
        "a split: only the smaller part has moved",
        {1: "p", 2: "p", 3: "p"},
        {1: 1, 2: 2, 3: 2},
        (0, 0, 1, 1),
    ),
    ("nothing changes", {1: "p", 2: "q"}, {1: 1, 2: 2}, (0, 0, 0, 0)),
    (
        "a record moves",
        {1: "p", 2: "p", 3: "q", 4: "q", 5: "p"},
        {1: 1, 2: 1, 3: 3, 4: 3, 5: 3},
        (0, 0, 1, 1),
    ),
    ("a record is withdrawn", {1: "p", 2: "p"}, {1: 1}, (0, 0, 0, 0)),
]


@pytest.mark.parametrize(
    ("held", "label", "counts"), [s[1:] for s in SPEC], ids=[s[0] for s in SPEC]
)
def test_what_a_change_amounts_to(
    held: dict[int, str], label: dict[int, int], counts: tuple[int, int, int, int]
) -> None:
    _, change = publish(held, label)
    found = (change.created, change.joined, change.split, int(change.moved.sum()))
    assert found == counts


def ended(change: Changes) -> dict[str, tuple[str, str | None]]:
    rows = change.publication.ended.to_pylist()
    return {row["person_id"]: (row["ending"], row["into"]) for row in rows}


def test_the_larger_part_of_a_split_goes_on_under_a_new_id() -> None:
    after, change = publish({1: "p", 2: "p", 3: "p"}, {1: 1, 2: 2, 3: 2})
    assert ended(change) == {"p": ("split", None)}
    assert len({after[1], after[2], "p"}) == 3
    continued = {r["person_id"]: r["continues"] for r in change.publication.founded.to_pylist()}
    assert continued == {after[1]: None, after[2]: "p"}


def test_of_equal_parts_the_one_with_the_earliest_record_goes_on() -> None:
    after, change = publish({1: "p", 2: "p"}, {1: 1, 2: 2})
    continued = {r["person_id"]: r["continues"] for r in change.publication.founded.to_pylist()}
    assert continued == {after[1]: "p", after[2]: None}


def test_the_merged_person_leads_to_the_one_that_stays() -> None:
    after, change = publish({1: "p", 2: "q", 3: "q"}, {1: 1, 2: 1, 3: 1})
    assert set(after.values()) == {"q"}
    assert ended(change) == {"p": ("merged", "q")}


def test_of_persons_of_one_size_the_one_with_the_earliest_record_stays() -> None:
    for held in ({1: "p", 2: "q"}, {1: "q", 2: "p"}):
        after, change = publish(held, {1: 1, 2: 1})
        assert set(after.values()) == {held[1]}
        assert ended(change) == {held[2]: ("merged", held[1])}


@pytest.mark.parametrize(
    ("others", "wanted"),
    [((5, 6), "p"), ((5, 6, 7), "q"), ((5,), "p")],
    ids=["as many: the earliest", "more of q", "fewer of q"],
)
def test_a_new_person_takes_on_the_split_person_that_it_has_most_of(
    others: tuple[int, ...], wanted: str
) -> None:
    held = {1: "p", 2: "p", 3: "p", 4: "q"} | dict.fromkeys(others, "q")
    after, change = publish(held, {1: 1, 4: 4, 2: 2, 3: 2} | dict.fromkeys(others, 2))
    continued = {r["person_id"]: r["continues"] for r in change.publication.founded.to_pylist()}
    assert continued[after[2]] == wanted


def test_a_person_that_another_stands_in_is_emptied_and_counted_as_joined() -> None:
    after, change = publish({1: "p", 2: "q"}, {1: 1, 2: 1}, another=[2])
    assert after == {1: "p", 2: "p"}
    assert ended(change) == {"q": ("emptied", None)}
    assert (change.joined, change.split) == (1, 0)
    assert change.joined_records.tolist() == [False, True]
    _, alone = publish({1: "p", 2: "q"}, {1: 1, 2: 2}, another=[2])
    assert (alone.joined, ended(alone)) == (0, {"q": ("emptied", None)})


def test_a_record_that_is_back_counts_with_its_last_person() -> None:
    after, change = publish({1: "p"}, {1: 1, 2: 1}, returning={2: "p"})
    assert (after, ended(change)) == ({1: "p", 2: "p"}, {})
    after, change = publish({1: "p"}, {1: 1, 2: 2}, returning={2: "p"})
    assert ended(change) == {"p": ("split", None)}
    assert len({after[1], after[2], "p"}) == 3
    after, change = publish({1: "p"}, {1: 1, 2: 2}, returning={2: "gone"})
    assert (after[1], ended(change)) == ("p", {})


def test_a_person_split_and_joined_at_once_leads_nowhere() -> None:
    held = {1: "p", 2: "p", 3: "p", 4: "q", 5: "q", 6: "q"}
    after, change = publish(held, dict.fromkeys(range(1, 6), 1) | {6: 6})
    assert {after[record] for record in range(1, 6)} == {"p"}
    assert after[6] not in ("p", "q")
    assert ended(change) == {"q": ("split", None)}


def test_a_whole_person_keeps_its_id_though_a_larger_part_of_a_split_one_joins_it() -> None:
    after, change = publish({1: "p", 2: "p", 3: "p", 4: "q"}, {1: 1, 2: 2, 3: 2, 4: 2})
    assert {after[2], after[3], after[4]} == {"q"}
    assert ended(change) == {"p": ("split", None)}
    assert change.publication.founded["continues"].to_pylist() == [None]


RESTORE = [
    # what: held, new partition, the former one, what is shown after (None: a new id), endings
    ("a join taken back", {1: "p", 2: "p"}, {1: 1, 2: 2}, {1: "p", 2: "q"}, {1: "p", 2: "q"}, {}),
    (
        "a split taken back", {1: "x", 2: "y"}, {1: 1, 2: 1}, {1: "p", 2: "p"},
        {1: "p", 2: "p"}, {"x": ("undone", None), "y": ("undone", None)},
    ),
    (
        "a join done again", {1: "p", 2: "q"}, {1: 1, 2: 1}, {1: "p", 2: "p"},
        {1: "p", 2: "p"}, {"q": ("merged", "p")},
    ),
    (
        "a split done again", {1: "p", 2: "p"}, {1: 1, 2: 2}, {1: "x", 2: "y"},
        {1: "x", 2: "y"}, {"p": ("split", None)},
    ),
    ("a person that had only new records", {1: "p", 2: "n"}, {1: 1}, {1: "p"}, {1: "p"}, {
        "n": ("undone", None)}),
    (
        "other records than before: no former id", {1: "p", 2: "p", 3: "p"}, {1: 1, 2: 2, 3: 2},
        {1: "p", 2: "q"}, {1: "p", 2: None, 3: None}, {},
    ),
    ("a withdrawn record is no matter", {1: "x"}, {1: 1}, {1: "p", 2: "p"}, {1: "p"}, {
        "x": ("undone", None)}),
    (
        "ids go to and fro", {1: "p", 2: "q"}, {1: 1, 2: 2}, {1: "q", 2: "p"},
        {1: "q", 2: "p"}, {},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("held", "label", "former", "shown", "endings"),
    [s[1:] for s in RESTORE],
    ids=[s[0] for s in RESTORE],
)
def test_a_former_run_is_restored(
    held: dict[int, str],
    label: dict[int, int],
    former: dict[int, str],
    shown: dict[int, str | None],
    endings: dict[str, tuple[str, str | None]],
) -> None:
    after, change = publish(held, label, restore=former)
    known = set(held.values()) | set(former.values())
    assert {r: p if p in known else None for r, p in after.items()} == shown
    assert ended(change) == endings
    back = change.publication.revived["person_id"].to_pylist()
    assert back == sorted(set(after.values()) & set(former.values()) - set(held.values()))


def test_a_record_that_founds_again_gets_another_id() -> None:
    first, _ = publish({}, {1: 1})
    again, _ = publish({}, {1: 1}, founded={1: 1})
    assert first[1] != again[1]
    assert first[1] == person_id(b"k1", 0)


def test_withdrawn_records_leave_their_person() -> None:
    after, change = publish({1: "p", 2: "p"}, {1: 1})
    assert after == {1: "p"}
    assert change.withdrawn == 1
    assert change.publication.ended.num_rows == 0


def test_a_person_without_records_is_emptied() -> None:
    after, change = publish({1: "p", 2: "q"}, {1: 1})
    assert after == {1: "p"}
    assert ended(change) == {"q": ("emptied", None)}


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
    assert set(ended(change)) == gone
    for person in set(held.values()) & set(after.values()):
        had = {record for record, holder in held.items() if holder == person and record in groups}
        assert had <= {record for record, holder in after.items() if holder == person}
    assert after == dict(zip(sorted(after), change.persons.to_pylist(), strict=True))
    again, second = publish(after, groups)
    assert again == after
    assert len(second.publication.opened) == len(second.publication.closed) == 0
