"""The engine against the slow reference, on drawn tables under drawn models; and what it owes its
callers whatever the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.blocking import Blocker, Proposals, pieces
from linkage.engine import Partition, Scorer, link
from linkage.features import build_features
from linkage.guards import GUARDS
from linkage.model import Model
from linkage.reference import reference_pairs, reference_partition
from schemas.errors import InvalidValue
from tests.linkage.people import EXTRA, models, pairs_of, people_table, shipped_model, tables

THOROUGH = settings(max_examples=15, deadline=None)
QUICK = settings(max_examples=15, deadline=None)
READ: dict[str, Any] = {"keeps_apart": {"b"}, "accept_test_numbers": True}
any_model = st.one_of(st.just(shipped_model()), models())


@THOROUGH
@given(tables(), any_model)
def test_the_engine_gives_the_pairs_levels_and_bits_of_the_reference(
    table: pa.Table, model: Model
) -> None:
    wanted = reference_pairs(table, model, **READ)
    features = build_features(table, extra=model.columns, **READ)
    blockers = [Blocker(features, rule) for rule in model.rules]
    chunks = [Proposals(blockers).pairs(piece) for piece in pieces(blockers, 5)]
    left = np.concatenate([a for a, _ in chunks] or [np.zeros(0, np.int32)])
    right = np.concatenate([b for _, b in chunks] or [np.zeros(0, np.int32)])
    rows = np.sort(np.stack([features.row[left], features.row[right]]), axis=0)
    order = np.lexsort((rows[1], rows[0]))
    assert rows[:, order].T.tolist() == wanted[["left", "right"]].astype(int).to_numpy().tolist()
    scorer = Scorer(features, model)
    for field, row in zip(model.fields, scorer.levels(left, right)[:, order], strict=True):
        names = [None, *(level.name for level in field.levels)]
        named = [names[code] for code in row.tolist()]
        assert named == [x if isinstance(x, str) else None for x in wanted[field.name]], field.name
    scored = scorer.score(left, right)
    np.testing.assert_allclose(scored.bits[order], wanted["bits"].to_numpy(float), atol=1e-9)
    np.testing.assert_allclose(
        scored.conflict[order], wanted["conflict"].to_numpy(float), atol=1e-9
    )
    codes = [GUARDS[code - 1].code if code else None for code in scored.guard[order].tolist()]
    assert codes == [x if isinstance(x, str) else None for x in wanted["guard"]]


@THOROUGH
@given(tables(), any_model, st.data())
def test_the_engine_gives_the_persons_and_tasks_of_the_reference(
    table: pa.Table, model: Model, data: st.DataObject
) -> None:
    rows = st.integers(0, len(table) - 1)
    declared = data.draw(
        st.lists(st.tuples(rows, rows).filter(lambda p: p[0] != p[1]), max_size=2), "must-links"
    )
    links = tuple(np.array([p[side] for p in declared], np.int64) for side in (0, 1))
    join = data.draw(st.floats(-4, 12), "join") + 1 / 3
    options = {"join_bits": join, "review_bits": join - 3.0, "must_links": links, **READ}
    wanted = reference_partition(table, model, **options)
    found = link(table, model, threads=1, chunk=7, **options)
    assert found.label.tolist() == wanted.label.tolist()
    edges = {(e["left"], e["right"]): (e["bits"], e["guard"]) for e in found.edges.to_pylist()}
    assert edges.keys() == wanted.edges.keys()
    assert len(edges) == len(found.edges)
    for pair, (bits, guard) in wanted.edges.items():
        assert edges[pair] == (pytest.approx(bits, abs=1e-9), guard)
    tasks = [(t["left"], t["right"], t["reason"]) for t in found.tasks.to_pylist()]
    assert sorted(tasks) == sorted(wanted.tasks)


@THOROUGH
@given(tables(), any_model, st.floats(-20, 30))
def test_the_bound_never_loses_a_pair_that_reaches_the_floor(
    table: pa.Table, model: Model, floor: float
) -> None:
    features = build_features(table, extra=model.columns, **READ)
    scorer = Scorer(features, model)
    left, right = pairs_of(len(features))
    every = scorer.score(left, right)
    some = scorer.score(left, right, floor)
    wanted = every.bits >= floor
    np.testing.assert_array_equal(some.keep, np.flatnonzero(wanted))
    np.testing.assert_allclose(some.bits, every.bits[wanted], atol=1e-9)
    np.testing.assert_allclose(some.conflict, every.conflict[wanted], atol=1e-9)
    np.testing.assert_array_equal(some.guard, every.guard[wanted])


def partition(table: pa.Table, model: Model, **options: Any) -> Partition:
    """Linked at loose thresholds, on one thread."""
    given_options = {"join_bits": 0.0, "review_bits": -5.0, "threads": 1, **READ, **options}
    return link(table, model, **given_options)


@QUICK
@given(tables(), any_model)
def test_no_cluster_holds_a_forbidden_pair(table: pa.Table, model: Model) -> None:
    found = partition(table, model)
    features = build_features(table, extra=model.columns, **READ)
    label = found.label[features.row]
    left, right = pairs_of(len(features))
    inside = label[left] == label[right]
    assert not Scorer(features, model).score(left[inside], right[inside]).guard.any()


@QUICK
@given(any_model)
def test_a_model_on_a_table_without_its_columns_gives_no_evidence(model: Model) -> None:
    bare = people_table([{}, {}, {"source": "b"}]).select(["source", "founder"])
    found = partition(bare, model, join_bits=1e6, review_bits=1e6)
    assert found.label.tolist() == [0, 1, 2]
    features = build_features(bare, extra=model.columns)
    left, right = pairs_of(3)
    levels = Scorer(features, model).levels(left, right)
    for field, row in zip(model.fields, levels, strict=True):
        assert field.column == "source" or not row.any()


def test_every_record_is_alone_in_an_empty_or_single_table() -> None:
    assert len(partition(people_table([]), shipped_model()).label) == 0
    one = partition(people_table([{"given": "Ann"}]), shipped_model())
    assert one.label.tolist() == [0]
    assert len(one.edges) == len(one.tasks) == 0


def test_progress_reaches_all_pairs_and_the_histogram_counts_the_edges() -> None:
    rows = [{"given": "Ann", "family": "Lee", "birth_date": "1980-05-04"}] * 9
    told: list[tuple[str, int, int]] = []
    found = partition(
        people_table(rows), shipped_model(), chunk=4, progress=lambda *x: told.append(x)
    )
    done = [x[1] for x in told]
    assert done == sorted(done)
    assert told[-1][1] == told[-1][2] == sum(rule.proposed for rule in found.rules)
    assert found.compared == sum(rule.credited for rule in found.rules) == 36
    assert found.histogram[1].sum() == len(found.edges) == 36


JOHN = {
    "given": "John Paul",
    "family": "Smith",
    "birth_date": "1980-05-04",
    "gender": "male",
    "postcode": "BS1 5TR",
    "address": "1 High Street",
    "nhs_number": "9990000018",
    "nhs_status": "01",
}
PLAIN = {**JOHN, "nhs_number": None}
LOOSE = {"join_bits": 3.0, "review_bits": -2.0}


def test_one_weak_bridge_does_not_glue_two_strong_persons() -> None:
    mary = {"given": "Mary", "family": "Jones", "birth_date": "1951-07-09", "postcode": "BS2 8HW"}
    bridge = {"given": "", "family": "", "nhs_number": "9990000018", "phone": "0117 496 0001"}
    rows = [
        JOHN,
        {**JOHN, "source": "c", "phone": "0117 496 0001"},
        {**mary, "nhs_number": "9990000018", "nhs_status": "03", "phone": "0117 496 0001"},
        {**mary, "source": "c", "phone": "0117 496 0001"},
        {**bridge, "source": "d"},
    ]
    label = partition(people_table(rows), shipped_model(), **LOOSE).label.tolist()
    assert label[0] == label[1] != label[2]
    assert label[2] == label[3]


def test_a_source_that_keeps_people_apart_is_believed_unless_it_declares_a_merge() -> None:
    table = people_table([PLAIN, PLAIN])
    apart = partition(table, shipped_model(), keeps_apart={"a"}, **LOOSE)
    assert apart.label.tolist() == [0, 1]
    assert apart.tasks["guard"].to_pylist() == ["source_holds_apart"]
    links = (np.array([0]), np.array([1]))
    merged = partition(table, shipped_model(), keeps_apart={"a"}, must_links=links, **LOOSE)
    assert merged.label.tolist() == [0, 0]


def test_a_declared_merge_holds_in_a_larger_component_too() -> None:
    """The third record joins one of the declared two only, so that all pairs are looked at."""
    rows = [{"given": "John", "family": "Smith"}, PLAIN, {**PLAIN, "source": "b"}]
    links = (np.array([0]), np.array([1]))
    merged = partition(
        people_table(rows), shipped_model(), keeps_apart={"a"}, must_links=links, **LOOSE
    )
    assert merged.label.tolist() == [0, 0, 0]


def test_a_forbidden_merge_makes_one_task() -> None:
    rows = [JOHN, {**JOHN, "nhs_number": "9990000026", "email": "j@example.org"}]
    links = (np.array([0, 0]), np.array([1, 1]))
    found = partition(people_table(rows), shipped_model(), must_links=links, **LOOSE)
    assert found.label.tolist() == [0, 1]
    assert [(t["left"], t["right"]) for t in found.tasks.to_pylist()] == [(0, 1)]


def test_a_record_declared_to_be_itself_changes_nothing() -> None:
    """It would be counted among the edges of a component, which then looked like a whole."""
    other = {**JOHN, "nhs_number": "9990000026", "source": "d"}
    table = people_table([JOHN, {**PLAIN, "source": "c"}, other])
    links = (np.array([1]), np.array([1]))
    plain = partition(table, shipped_model(), **LOOSE)
    declared = partition(table, shipped_model(), must_links=links, **LOOSE)
    assert declared.label.tolist() == plain.label.tolist() == [0, 1, 2]
    assert declared.tasks.equals(plain.tasks)


def test_a_declared_merge_joins_what_no_rule_would_compare() -> None:
    rows = [{"given": "Ann", "family": "Lee"}, {"given": "Bo", "family": "Ray", "source": "c"}]
    links = (np.array([0]), np.array([1]))
    found = partition(people_table(rows), shipped_model(), must_links=links, **LOOSE)
    assert found.label.tolist() == [0, 0]
    assert len(found.edges) == 0


def test_an_initial_that_could_be_either_twins_goes_to_neither() -> None:
    phone = {"phone": "0117 496 0001"}
    both = [{**PLAIN, **phone}, {**PLAIN, "given": "James", "source": "c", **phone}]
    initial = {**PLAIN, "given": "J", "source": "d", **phone}
    found = partition(
        people_table([*both, initial]), shipped_model(), join_bits=1.0, review_bits=-5.0
    )
    assert len(set(found.label.tolist())) == 3
    assert len(found.tasks) >= 2


def test_records_with_little_to_compare_speak_neither_way() -> None:
    """Two records with no field in common stay together where each joins the ones between."""
    number = {"nhs_number": "9990000018", "nhs_status": "02"}
    rows = [
        PLAIN,
        JOHN,
        {**JOHN, "source": "c"},
        {**number, "source": "d"},
        {"phone": "0117 496 0001", "source": "d"},
    ]
    found = partition(people_table(rows), shipped_model(), **LOOSE)
    assert found.label.tolist() == [0, 0, 0, 0, 4]


def test_an_unknown_kind_of_column_is_refused() -> None:
    with pytest.raises(InvalidValue, match="no column kind 'colour'"):
        build_features(people_table([{}]), extra=[type(EXTRA[0])("ward", "colour")])
