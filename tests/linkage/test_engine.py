"""The engine against the slow reference, and against itself in other circumstances."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage import link, uk_person
from linkage.blocking import KEYS, Blocker, candidate_pairs
from linkage.compare import FIELDS, LEVELS, compare, pack, unpack
from linkage.engine import Scorer
from linkage.features import build_features
from linkage.guards import GUARDS
from linkage.model import Frequencies, Model, Rule
from linkage.reference import reference_pairs
from linkage.train import train
from tests.linkage.people import people_table, tables

QUICK = settings(max_examples=25, deadline=None)


def model_for(rules: tuple[Rule, ...] | None = None) -> Model:
    """The shipped model for a small table, with some name frequencies."""
    shipped = uk_person()
    common = Frequencies({"SMITH": 0.2, "JOHN": 0.1, "KHAN": 0.05}, 0.01)
    return Model(
        name="test",
        fields=shipped.fields,
        rules=rules or shipped.rules,
        matches_per_record=1.0,
        relatives_per_record=4.0,
        records=1_000,
        frequencies={"given": common, "family": common},
    )


@QUICK
@given(tables)
def test_the_engine_gives_the_levels_and_bits_of_the_reference(table: pa.Table) -> None:
    model = model_for()
    wanted = reference_pairs(table, model, keeps_apart={"b"}, accept_test_numbers=True)
    features = build_features(table, keeps_apart={"b"}, accept_test_numbers=True)
    blockers = [Blocker(features, rule) for rule in model.rules]
    chunks = [(a, b) for _, a, b in candidate_pairs(blockers, 5)]
    left = np.concatenate([a for a, _ in chunks] or [np.zeros(0, np.int32)])
    right = np.concatenate([b for _, b in chunks] or [np.zeros(0, np.int32)])
    rows = np.sort(np.stack([features.row[left], features.row[right]]), axis=0)
    order = np.lexsort((rows[1], rows[0]))
    assert rows[:, order].T.tolist() == wanted[["left", "right"]].astype(int).to_numpy().tolist()
    if not len(left):
        return
    scorer = Scorer(features, model)
    levels = scorer.levels(left, right)[:, order]
    for name, row in zip(FIELDS, levels, strict=True):
        named = [LEVELS[name][code - 1] if code else None for code in row.tolist()]
        assert named == [x if isinstance(x, str) else None for x in wanted[name]], name
    bits, _ = scorer.score(left, right)
    np.testing.assert_allclose(bits[order], wanted["bits"].to_numpy(float), atol=1e-9)


@QUICK
@given(tables, st.randoms(use_true_random=False))
def test_the_partition_does_not_depend_on_row_order_threads_or_chunks(
    table: pa.Table, random: object
) -> None:
    model = model_for()
    order = list(range(len(table)))
    random.shuffle(order)  # type: ignore[attr-defined]
    options = {"join_bits": 3.0, "review_bits": -3.0, "accept_test_numbers": True}
    plain = link(table, model, threads=1, **options)
    other = link(table.take(pa.array(order)), model, threads=2, chunk=3, **options)
    together = {
        frozenset(np.flatnonzero(plain.label == x).tolist()) for x in np.unique(plain.label)
    }
    shuffled = {
        frozenset(order[i] for i in np.flatnonzero(other.label == x))
        for x in np.unique(other.label)
    }
    assert together == shuffled
    assert plain.compared == other.compared


@QUICK
@given(tables)
def test_no_cluster_holds_a_forbidden_pair(table: pa.Table) -> None:
    model = model_for()
    partition = link(
        table, model, join_bits=0.0, review_bits=-5.0, accept_test_numbers=True, threads=1
    )
    features = build_features(table, accept_test_numbers=True)
    scorer = Scorer(features, model)
    label = partition.label[features.row]
    left, right = (a.astype(np.int32) for a in np.triu_indices(len(features), 1))
    inside = label[left] == label[right]
    _, guard = scorer.score(left[inside], right[inside])
    assert not guard.any()


@QUICK
@given(tables, st.integers(1, 4))
def test_blocking_proposes_just_the_pairs_that_agree_on_a_live_rule(
    table: pa.Table, cap: int
) -> None:
    rules = (Rule("one", ("birth_date", "families"), cap), Rule("two", ("phone",), cap))
    features = build_features(table)
    blockers = [Blocker(features, rule) for rule in rules]
    found = [
        (int(a), int(b))
        for _, x, y in candidate_pairs(blockers, 4)
        for a, b in zip(x, y, strict=True)
    ]
    assert len(found) == len(set(found))
    assert set(found) == _naive_pairs(features, rules)


def _naive_pairs(features, rules) -> set[tuple[int, int]]:
    """All pairs that share a block no larger than the cap, by dictionaries of lists."""
    out = set()
    for rule in rules:
        blocks: dict[tuple[int, ...], list[int]] = {}
        for row in range(len(features)):
            combinations: list[tuple[int, ...]] = [()]
            for name in rule.keys:
                values = [v for v in KEYS[name](features)[row].tolist() if v >= 0]
                combinations = [(*c, v) for c in combinations for v in values]
            for key in combinations:
                blocks.setdefault(key, []).append(row)
        for members in blocks.values():
            if len(members) <= rule.cap:
                out |= {(a, b) for a in members for b in members if a < b}
    return out


def test_a_block_over_its_cap_is_cut_and_counted() -> None:
    table = people_table([{"given": "John", "family": "Smith", "birth_date": "1980-05-04"}] * 5)
    model = model_for((Rule("birth date, family name", ("birth_date", "family"), 4),))
    partition = link(table, model, join_bits=0, review_bits=0)
    (report,) = partition.rules
    assert (report.proposed, report.cut_blocks, report.cut_pairs) == (0, 1, 10)
    assert len(set(partition.label.tolist())) == 5


@given(st.integers(0, 2**31))
def test_patterns_unpack_to_the_levels_they_were_packed_from(seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = np.stack([rng.integers(0, len(v) + 1, 7, dtype=np.uint8) for v in LEVELS.values()])
    assert (unpack(pack(levels)) == levels).all()


def test_every_record_is_alone_in_an_empty_or_single_table() -> None:
    assert len(link(people_table([]), model_for(), join_bits=1, review_bits=0).label) == 0
    one = link(people_table([{"given": "Ann"}]), model_for(), join_bits=1, review_bits=0)
    assert one.label.tolist() == [0]


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
GUARD_TABLE = [
    ("two traced numbers", {"nhs_number": "9990000026"}, "verified_numbers_differ"),
    (
        "a baby under its mother's number",
        {"given": "Zoe", "birth_date": "2010-02-03", "nhs_status": "03"},
        "one_number_two_people",
    ),
    (
        "a son of his father's name",
        {"birth_date": "2008-11-23", "nhs_number": None},
        "generation_apart",
    ),
    ("a twin", {"given": "Peter", "nhs_number": None}, "twins"),
    (
        "born after the other's death",
        {"birth_date": "1980-06-04", "death": "1980-05-30"},
        "born_after_death",
    ),
    (
        "an infant whose death is known by its year",
        {"birth_date": "1980-05-04", "death": "1980"},
        None,
    ),
    ("two deaths years apart", {"death": "2003-01-01"}, "died_years_apart"),
    ("a slip in the birth date", {"birth_date": "1980-05-05", "nhs_number": None}, None),
    ("a nickname", {"given": "Jack", "nhs_number": None}, None),
    ("an untraced other number", {"nhs_number": "9990000026", "nhs_status": "02"}, None),
]


@pytest.mark.parametrize(
    ("other", "guard"), [(o, g) for _, o, g in GUARD_TABLE], ids=[n for n, _, _ in GUARD_TABLE]
)
def test_guard_rails(other: dict[str, object], guard: str | None) -> None:
    died = {"death": "1999-12-01"} if guard == "died_years_apart" else {}
    table = people_table([{**JOHN, **died}, {**JOHN, **other, "source": "b"}])
    features = build_features(table, accept_test_numbers=True)
    zero, one = np.array([0], np.int32), np.array([1], np.int32)
    _, code = Scorer(features, model_for()).score(zero, one)
    assert (GUARDS[code[0] - 1].code if code[0] else None) == guard


def test_one_weak_bridge_does_not_glue_two_strong_persons() -> None:
    mary = {"given": "Mary", "family": "Jones", "birth_date": "1951-07-09", "postcode": "BS2 8HW"}
    bridge = {"given": "", "family": "", "nhs_number": "9990000018", "phone": "0117 496 0001"}
    rows = [
        JOHN,
        {**JOHN, "source": "b", "phone": "0117 496 0001"},
        {**mary, "nhs_number": "9990000018", "nhs_status": "03", "phone": "0117 496 0001"},
        {**mary, "source": "c", "phone": "0117 496 0001"},
        {**bridge, "source": "d"},
    ]
    partition = link(
        people_table(rows), model_for(), join_bits=3.0, review_bits=-2.0, accept_test_numbers=True
    )
    label = partition.label.tolist()
    assert label[0] == label[1] != label[2]
    assert label[2] == label[3]


def test_a_source_that_keeps_people_apart_is_believed_unless_it_declares_a_merge() -> None:
    rows = [{**JOHN, "nhs_number": None}, {**JOHN, "nhs_number": None}]
    options = {"join_bits": 3.0, "review_bits": -2.0}
    apart = link(people_table(rows), model_for(), keeps_apart={"a"}, **options)
    assert apart.label.tolist() == [0, 1]
    assert apart.tasks["guard"].to_pylist() == ["source_holds_apart"]
    links = (np.array([0]), np.array([1]))
    merged = link(people_table(rows), model_for(), keeps_apart={"a"}, must_links=links, **options)
    assert merged.label.tolist() == [0, 0]


def test_a_forbidden_merge_makes_one_task() -> None:
    rows = [JOHN, {**JOHN, "nhs_number": "9990000026", "email": "j@example.org"}]
    links = (np.array([0, 0]), np.array([1, 1]))
    found = link(
        people_table(rows), model_for(), join_bits=3, review_bits=-9, must_links=links,
        accept_test_numbers=True,
    )  # fmt: skip
    assert found.label.tolist() == [0, 1]
    assert [(t["left"], t["right"]) for t in found.tasks.to_pylist()] == [(0, 1)]


def test_an_initial_that_could_be_either_twins_goes_to_neither() -> None:
    twin = {**JOHN, "nhs_number": None, "given": "James", "source": "b"}
    initial = {**JOHN, "nhs_number": None, "given": "J", "source": "c", "phone": "0117 496 0001"}
    both = [
        {**JOHN, "nhs_number": None, "phone": "0117 496 0001"},
        {**twin, "phone": "0117 496 0001"},
    ]
    found = link(people_table([*both, initial]), model_for(), join_bits=1.0, review_bits=-5.0)
    assert len(set(found.label.tolist())) == 3
    assert len(found.tasks) >= 2


def test_numbers_of_different_systems_cannot_differ() -> None:
    rows = [{**JOHN, "identifier": "mrn|1"}, {**JOHN, "identifier": "chi|2", "source": "b"}]
    features = build_features(people_table(rows))
    levels = compare(features, np.array([0], np.int32), np.array([1], np.int32))
    assert levels[FIELDS.index("identifier"), 0] == 0


def test_a_declared_merge_joins_what_no_rule_would_compare() -> None:
    rows = [{"given": "Ann", "family": "Lee"}, {"given": "Bo", "family": "Ray", "source": "b"}]
    links = (np.array([0]), np.array([1]))
    partition = link(people_table(rows), model_for(), join_bits=3, review_bits=0, must_links=links)
    assert partition.label.tolist() == [0, 0]


def test_training_is_deterministic_and_learns_from_the_data() -> None:
    rng = np.random.default_rng(7)
    rows = []
    letters = np.array(list("abcdefghijklmnoprstuvwy"))
    for _ in range(400):
        base = {
            "given": "".join(rng.choice(letters, 5)),
            "family": "".join(rng.choice(letters, 6)),
            "birth_date": str(np.datetime64("1940-02-02") + rng.integers(0, 20_000)),
            "postcode": f"BS{rng.integers(1, 9)} {rng.integers(1, 9)}AB",
        }
        rows.append({**base, "source": "a"})
        moved = {"postcode": f"TA{rng.integers(1, 9)} 1ZZ"} if rng.random() < 0.5 else {}
        rows.append({**base, **moved, "source": "b"})
    features = build_features(people_table(rows))
    first, second = train(features, uk_person()), train(features, uk_person())
    assert first.model.to_json() == second.model.to_json()
    same = next(x for x in first.model.field("postcode").levels if x.name == "same")
    assert 0.45 < same.m < 0.65
    assert 0.9 < first.model.matches_per_record < 1.3


def test_a_model_file_round_trips_and_its_hash_covers_every_number() -> None:
    model = uk_person()
    again = Model.from_json(model.to_json())
    assert again == model
    assert again.hash == model.hash
    assert model_for().hash != model.hash


def test_compare_reads_every_field_of_the_model() -> None:
    assert tuple(f.name for f in uk_person().fields) == FIELDS
    for field in uk_person().fields:
        assert tuple(level.name for level in field.levels) == LEVELS[field.name]
    features = build_features(people_table([JOHN, JOHN]), accept_test_numbers=True)
    zero, one = np.array([0], np.int32), np.array([1], np.int32)
    assert compare(features, zero, one).shape == (len(FIELDS), 1)
