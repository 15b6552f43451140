"""The tables that charts draw: they say what `Linked` says, and no person's value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage import charts, frames
from linkage.api import Linked
from linkage.engine import block, link_features
from linkage.features import build_features
from linkage.metrics import interval, upper_bound
from linkage.model import Model
from linkage.score import Scorer
from linkage.tables import Reading
from linkage.thresholds import draw, rates, rates_by
from schemas.errors import InputError
from tests.linkage import linked_samples as samples
from tests.linkage.people import models, tables

TRAINED = samples.trained()
FEW = settings(max_examples=60, deadline=None)


@pytest.fixture(params=list(samples.SHAPES))
def linked(request: pytest.FixtureRequest) -> Linked:
    return samples.SHAPES[request.param]()


def ids(linked: Linked) -> list[str]:
    return linked.records["record_id"].to_pylist()


# --- one pair ----------------------------------------------------------------------------------


@FEW
@given(st.data())
def test_a_waterfall_sums_to_the_match_weight(data: st.DataObject) -> None:
    one, two = data.draw(
        st.lists(st.integers(0, len(TRAINED.records) - 1), min_size=2, max_size=2, unique=True)
    )
    frame = frames.waterfall(TRAINED, ids(TRAINED)[one], ids(TRAINED)[two])
    place = np.argsort(TRAINED.features.row)
    sides = (np.array([min(place[one], place[two])], np.int32),)
    sides += (np.array([max(place[one], place[two])], np.int32),)
    weight = Scorer(TRAINED.features, TRAINED.model).score(*sides).bits[0]
    assert frame["bits"].sum() == pytest.approx(weight, abs=1e-9)


def test_a_waterfall_sums_to_the_weight_in_the_table_of_pairs() -> None:
    pairs = TRAINED.pairs.slice(0, 40).to_pandas()
    assert len(pairs) == 40
    for pair in pairs.itertuples():
        frame = frames.waterfall(TRAINED, pair.left_id, pair.right_id)
        assert frame["bits"].sum() == pytest.approx(pair.match_weight, abs=1e-9)
        for name in ("family", "birth_date", "identifier"):
            (bits,) = frame.loc[frame["label"] == name, "bits"]
            assert bits == pytest.approx(getattr(pair, name), abs=1e-12)


@FEW
@given(model=models(), table=tables(), pick=st.data())
def test_a_waterfall_sums_under_any_model(
    model: Model, table: pa.Table, pick: st.DataObject
) -> None:
    linked = _under(model, table)
    one, two = pick.draw(
        st.lists(st.integers(0, len(table) - 1), min_size=2, max_size=2, unique=True)
    )
    frame = frames.waterfall(linked, ids(linked)[one], ids(linked)[two])
    place = np.argsort(linked.features.row)
    low, high = sorted((place[one], place[two]))
    rows = np.array([low], np.int32), np.array([high], np.int32)
    weight = Scorer(linked.features, model).score(*rows).bits[0]
    assert frame["bits"].sum() == pytest.approx(weight, abs=1e-9)


def _under(model: Model, table: pa.Table) -> Linked:
    """Drawn records under a drawn model, as `link` would give them back."""
    features = build_features(table, accept_test_numbers=True, extra=model.columns)
    sample = draw(Scorer(features, model), block(features, model, 1))
    names = pa.array([str(n) for n in range(len(table))])
    return Linked(
        records=pa.table({"record_id": names, "source": table["source"]}),
        model=model,
        trained=None,
        partition=link_features(features, model, join_bits=1.0, review_bits=-3.0, threads=1),
        reading=Reading(table, names, (), {}, []),
        features=features,
        sample=sample,
        rates=rates(sample),
        join_bits=1.0,
        review_bits=-3.0,
    )


def test_a_waterfall_names_levels_and_no_values() -> None:
    frame = frames.waterfall(TRAINED, *ids(TRAINED)[:2])
    levels = {level.name for f in TRAINED.model.fields for level in f.levels}
    assert set(frame["value"].dropna()) <= levels | {"missing"}
    assert frame["label"].iloc[0] == "prior"
    assert {"term frequency", "relatives"} <= set(frame["label"])


def test_a_waterfall_needs_two_records_that_are_there() -> None:
    first = ids(TRAINED)[0]
    with pytest.raises(InputError, match="two records"):
        frames.waterfall(TRAINED, first, first)
    with pytest.raises(InputError, match="no record") as error:
        frames.waterfall(TRAINED, first, "Zorwina")
    assert "Zorwina" not in str(error.value)


def test_an_id_of_two_sources_needs_its_source() -> None:
    table = samples.people(40)
    table["record_id"] = table.groupby("system").cumcount().astype(str)
    linked = samples.link(table, source_column="system", threads=1)
    with pytest.raises(InputError, match="several sources"):
        frames.waterfall(linked, "0", "1")
    frame = frames.waterfall(linked, ("clinic", "0"), ("ward", "0"))
    assert np.isfinite(frame["bits"]).all()
    with pytest.raises(InputError, match="no record"):
        frames.waterfall(linked, ("clinic", "0"), ("nowhere", "0"))


# --- the model and its training ----------------------------------------------------------------


def test_match_weights_are_those_of_the_model() -> None:
    model = TRAINED.model
    frame = frames.match_weights(model)
    assert len(frame) == sum(len(f.levels) for f in model.fields)
    row = frame[(frame["field"] == "postcode") & (frame["level"] == "same")].iloc[0]
    level = model.field("postcode").levels[0]
    assert row["bits"] == pytest.approx(np.log2(level.m / level.u))
    shown = frames.match_weights(model, frames.compared_fields(TRAINED))
    assert set(shown["field"]) == set(frame["field"]) - {"nhs_number", "phone", "email", "practice"}


def test_the_last_round_of_the_training_is_near_the_model() -> None:
    assert TRAINED.trained
    frame = frames.convergence(TRAINED.trained, TRAINED.model)
    assert frame["round"].max() == TRAINED.trained.rounds
    last = frame[(frame["round"] == TRAINED.trained.rounds) & (frame["field"] == "birth_date")]
    assert last["probability"].sum() == pytest.approx(1.0)


def test_each_pass_shows_shares_that_sum_to_one() -> None:
    assert TRAINED.trained
    frame = frames.parameters(TRAINED.trained, TRAINED.model)
    assert set(frame["pass"]) == {"model", "random", "every pair"}
    for _, part in frame.groupby(["pass", "field", "kind"]):
        assert part["probability"].sum() == pytest.approx(1.0)
    assert set(frame.loc[frame["pass"] == "every pair", "kind"]) == {"m"}


def test_of_many_rules_only_those_with_most_matches_are_shown() -> None:
    cut = samples.SHAPES["cut"]()
    assert cut.trained
    shown = set(frames.parameters(cut.trained, cut.model, most=1)["pass"])
    assert "year" not in shown or "name" not in shown


# --- counts and estimates ----------------------------------------------------------------------


def test_sizes_count_every_record_and_person(linked: Linked) -> None:
    found = frames.sizes(linked.partition)
    assert sum(found.values()) == linked.persons
    assert sum(size * persons for size, persons in found.items()) == len(linked.records)


def test_rules_are_those_of_the_partition(linked: Linked) -> None:
    frame = frames.rule_frame(linked.partition)
    assert frame["credited"].sum() == linked.partition.compared
    assert list(frame["rule"]) == [rule.name for rule in linked.model.rules]


def test_evidence_counts_values() -> None:
    frame = frames.evidence(TRAINED).set_index("field")
    table = samples.people()
    assert frame.loc["address", "records"] == table["address"].notna().sum()
    assert frame.loc["birth_date", "different"] == table["dob"].nunique()
    assert frame.loc["family", "share"] == 1.0


def test_the_histogram_counts_joined_and_review_pairs(linked: Linked) -> None:
    bins, counts = frames.histogram(linked)
    edges = linked.partition.edges.to_pandas()
    free = edges.loc[edges["guard"].isna(), "bits"]
    assert (np.diff(bins) > 0).all()
    join, review = linked.join_bits, linked.review_bits
    assert counts[bins[:-1] >= join].sum() == (free >= join).sum()
    assert counts[bins[:-1] >= review].sum() == len(free)
    assert charts.weight_histogram(bins, counts, join, review)


def test_thresholds_and_errors_are_the_rates_of_the_linkage() -> None:
    found = TRAINED.rates
    frame, errors = frames.threshold_frame(found), frames.error_frame(found)
    assert (frame["precision"].to_numpy() == found.precision).all()
    assert (frame["f1"].to_numpy() == found.f1).all()
    assert errors["missed_match"].to_numpy() == pytest.approx(1 - found.recall)
    at = frames.at_join(TRAINED)
    row = frame[frame["bits"] == TRAINED.join_bits].iloc[0]
    assert (at.precision[0], at.recall[0]) == (row["precision"], row["recall"])


@pytest.mark.parametrize("share", [0.8, 1.0])
def test_what_blocking_is_taken_to_propose_is_that_of_the_rates(share: float) -> None:
    linked = replace(TRAINED, rates=rates(TRAINED.sample, found=share))
    assert linked.rates.found == share
    assert frames.at_join(linked).recall[0] == linked.rates.recall[linked.rates.bits == 0.0][0]


def test_unlinkable_counts_records_that_say_too_little(linked: Linked) -> None:
    frame = frames.unlinkable(linked, np.array([-1000.0, 0.0, 10.0, 1000.0]))
    assert frame["share"].is_monotonic_increasing
    assert (frame["share"].iloc[0], frame["share"].iloc[-1]) == (0.0, 1.0)
    most = Scorer(linked.features, linked.model).against_itself(
        np.arange(len(linked.records), dtype=np.int32)
    )
    assert frame["share"].iloc[2] == pytest.approx((most < 10.0).mean())


def test_errors_by_group_are_those_of_the_sample() -> None:
    table = samples.people()
    frame = frames.errors_by(TRAINED, table["sex"], "sex").set_index("value")
    assert set(frame.index) == {"female", "male", frames.NOT_RECORDED}
    names = table["sex"].fillna(frames.NOT_RECORDED).to_numpy(object)[TRAINED.features.row]
    for value, (missed, false, pairs) in rates_by(TRAINED.sample, names, 0.0).items():
        row = frame.loc[value]
        assert (row["rate"], row["false_match"], row["pairs"]) == (missed, false, pairs)
        assert row["lower"] <= row["rate"] <= row["upper"]
        assert row["records"] == (names == value).sum()
    with pytest.raises(InputError):
        frames.errors_by(TRAINED, table["sex"][:5], "sex")


# --- the most contested cluster ----------------------------------------------------------------


def test_a_contested_component_is_whole(linked: Linked) -> None:
    nodes, edges = frames.contested_cluster(linked)
    assert set(edges["left"]) | set(edges["right"]) <= set(nodes["id"])
    assert set(nodes["label"]) <= set(ids(linked))
    if len(nodes):
        assert charts.cluster_graph(nodes, edges)


def test_the_most_contested_component_comes_first() -> None:
    """A reference over sets: components of join edges, ranked by joins between two persons."""
    linked = samples.SHAPES["disputed"]()
    label = linked.partition.label
    edges = linked.partition.edges.to_pandas()
    joins = edges[edges["bits"] >= linked.join_bits]
    groups: dict[int, set[int]] = {}
    for row, name in enumerate(label.tolist()):
        groups.setdefault(name, set()).add(row)
    sets = list(groups.values())
    for left, right in zip(joins["left"], joins["right"], strict=True):
        touched = [s for s in sets if left in s or right in s]
        sets = [s for s in sets if s not in touched] + [set().union(*touched)]

    def disputes(rows: set[int]) -> int:
        inside = joins[joins["left"].isin(rows)]
        return int((label[inside["left"]] != label[inside["right"]]).sum())

    most = max(disputes(s) for s in sets)
    assert most > 0
    nodes, shown = frames.contested_cluster(linked)
    rows = {ids(linked).index(name) for name in nodes["label"]}
    assert rows in sets
    assert disputes(rows) == most
    assert (shown["bits"] < linked.join_bits).sum() <= shown["weak"].sum()


def test_a_join_that_is_forbidden_is_weak() -> None:
    linked = samples.SHAPES["disputed"]()
    nodes, edges = frames.contested_cluster(linked)
    person = dict(zip(ids(linked), linked.records["person_id"].to_pylist(), strict=True))
    of = {row.id: person[row.label] for row in nodes.itertuples()}
    apart = np.array([of[e.left] != of[e.right] for e in edges.itertuples()])
    assert apart.any()
    assert edges.loc[apart, "weak"].all()
    assert not edges["weak"].all()


def test_large_components_are_passed_over() -> None:
    nodes, edges = frames.contested_cluster(TRAINED, most=1)
    assert nodes.empty
    assert edges.empty


# --- the interval ------------------------------------------------------------------------------


@given(trials=st.integers(0, 400), share=st.floats(0, 1))
def test_the_interval_is_made_of_two_one_sided_bounds(trials: int, share: float) -> None:
    events = round(trials * share)
    low, high = interval(events, trials)
    assert 0.0 <= low <= high <= 1.0
    if trials:
        assert low <= events / trials <= high
        assert high == pytest.approx(upper_bound(events, trials, 0.975))
        assert low == pytest.approx(1 - upper_bound(trials - events, trials, 0.975))


def test_the_interval_is_that_of_the_tables() -> None:
    # R: binom.test(3, 50)$conf.int
    assert interval(3, 50) == pytest.approx((0.01254859, 0.16548195), abs=1e-7)
