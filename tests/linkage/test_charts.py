"""The charts of a linkage: what they show, in which order, and that no name breaks them."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage import charts
from linkage.chart_parts import decades, distinct, stress_layout
from tests.linkage import chart_samples as samples

# A chart takes some 50 ms to build, more on a busy machine.
QUICK = settings(max_examples=25, deadline=None)
DRAWN, EMPTY, HOSTILE = samples.drawn(), samples.empty(), samples.hostile()
# How many marks of which kind (the role Vega gives them) each sample must show at least.
MARKS = {
    "match_weights": ("bar", 9),
    "waterfall": ("bar", 5),
    "weight_histogram": ("bar", 40),
    "thresholds": ("line mark", 3),
    "error_rates": ("line mark", 2),
    "blocking": ("bar", 4),
    "cluster_sizes": ("bar", 5),
    "unlinkable": ("line mark", 1),
    "convergence": ("line mark", 12),
    "parameters": ("point", 36),
    "reliability": ("point", 20),
    "subgroups": ("point", 6),
    "cluster_graph": ("circle", 4),
}


def texts(svg: str) -> list[str]:
    """Every text of the image, in the order it is drawn."""
    spans = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(t.itertext()) for t in spans]


def marks(svg: str, role: str) -> int:
    root = ElementTree.fromstring(svg)
    return sum(e.get("aria-roledescription") == role for e in root.iter())


def data_of(chart: Any) -> list[list[dict[str, Any]]]:
    """Every inline table of a specification."""
    found = []

    def walk(part: Any) -> None:
        if isinstance(part, dict):
            if isinstance(part.get("data"), dict) and "values" in part["data"]:
                found.append(part["data"]["values"])
            for inner in part.values():
                walk(inner)
        elif isinstance(part, list):
            for inner in part:
                walk(inner)

    walk(chart.to_dict())
    return found


def test_the_samples_draw_every_chart() -> None:
    named = set(charts.__all__) - {"to_png", "to_svg"}
    assert set(DRAWN) == set(EMPTY) == set(MARKS) == named


@pytest.mark.parametrize("name", DRAWN)
def test_a_chart_shows_its_marks_and_speaks(name: str) -> None:
    chart = DRAWN[name]()
    svg = charts.to_svg(chart)
    role, count = MARKS[name]
    assert marks(svg, role) >= count
    spec = chart.to_dict()
    assert spec["title"]["text"] in texts(svg)
    assert spec["description"].startswith(spec["title"]["text"])
    assert len(spec["description"]) > len(spec["title"]["text"]) + 10


@pytest.mark.parametrize("name", DRAWN)
def test_a_chart_is_a_picture_of_the_asked_scale(name: str) -> None:
    small, large = (charts.to_png(DRAWN[name](), scale) for scale in (1.0, 2.0))
    assert small.startswith(b"\x89PNG\r\n\x1a\n")
    one, two = (int.from_bytes(png[16:20], "big") for png in (small, large))
    assert abs(two - 2 * one) <= 2


@pytest.mark.parametrize("name", EMPTY)
def test_nothing_to_draw_is_said(name: str) -> None:
    chart = EMPTY[name]()
    (note,) = (t for t in texts(charts.to_svg(chart)) if t.endswith("."))
    assert note in chart.to_dict()["description"]
    assert charts.to_png(chart).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", DRAWN)
def test_the_same_input_gives_the_same_specification(name: str) -> None:
    first, second = (json.dumps(DRAWN[name]().to_dict()) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_a_name(name: str) -> None:
    svg = charts.to_svg(HOSTILE[name]())
    shown = texts(svg)
    assert "<b>" not in svg
    assert any(samples.HOSTILE[0] in t for t in shown), shown


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("match_weights", "u"),
        ("waterfall", "value"),
        ("thresholds", "f1"),
        ("error_rates", "missed_match"),
        ("blocking", "cut_pairs"),
        ("unlinkable", "share"),
        ("convergence", "round"),
        ("parameters", "pass"),
        ("reliability", "model"),
        ("subgroups", "lower"),
    ],
)
def test_a_missing_column_is_named(name: str, column: str) -> None:
    everything = pd.concat(
        [samples.model(), samples.steps(), samples.swept(), samples.rules(), samples.rounds(),
         samples.bins(), samples.groups()]
    ).drop(columns=column)  # fmt: skip
    with pytest.raises(ValueError, match=rf"lacks the column\(s\) {column}$"):
        getattr(charts, name)(everything)


def test_fields_and_levels_stand_in_the_models_order() -> None:
    frame = samples.model(("zebra", "apple", "mango"))
    shown = texts(charts.to_svg(charts.match_weights(frame)))
    fields = [t for t in shown if t in ("zebra", "apple", "mango")]
    levels = [t for t in shown if t in ("exact", "close", "different")]
    assert fields == ["zebra", "apple", "mango"]
    assert levels == ["exact", "close", "different"] * 3


@pytest.mark.parametrize("count", [1, 20])
def test_one_field_and_twenty_fields_fit(count: int) -> None:
    names = tuple(f"a_field_with_a_very_long_name_that_goes_on_and_on_{n}" for n in range(count))
    svg = charts.to_svg(charts.match_weights(samples.model(names)))
    assert marks(svg, "bar") == 3 * count
    assert set(names) <= set(texts(svg))


def test_numbers_that_are_not_finite_are_counted_not_drawn() -> None:
    frame = samples.model()
    frame.loc[0, "bits"] = np.inf
    frame.loc[1, "bits"] = np.nan
    svg = charts.to_svg(charts.match_weights(frame))
    assert marks(svg, "bar") == len(frame) - 2
    said = "2 value(s) that are not finite numbers are not drawn."
    assert any(said in t for t in texts(svg))


@QUICK
@given(st.lists(st.floats(-60, 60), min_size=1, max_size=12))
def test_a_waterfall_adds_up(bits: list[float]) -> None:
    frame = pd.DataFrame({"label": "same", "value": None, "bits": bits})
    steps = data_of(charts.waterfall(frame))[1]
    for before, after in itertools.pairwise(steps[:-1]):
        assert after["start"] == pytest.approx(before["end"], abs=1e-9)
    assert [s["bits"] for s in steps[:-1]] == pytest.approx(bits, abs=1e-9)
    assert steps[-1]["start"] == 0
    assert steps[-1]["end"] == pytest.approx(sum(bits), abs=1e-6)
    assert steps[-1]["probability"] == pytest.approx(1 / (1 + 2 ** -sum(bits)), abs=1e-9)
    assert len({s["label"] for s in steps}) == len(bits) + 1


def test_a_waterfall_shows_values_only_when_given() -> None:
    given_values = charts.waterfall(samples.steps().assign(value="SECRET"))
    assert "SECRET" in texts(charts.to_svg(given_values))
    assert "SECRET" not in given_values.to_dict()["description"]
    bare = texts(charts.to_svg(charts.waterfall(samples.steps().assign(value=None))))
    assert not {"null", "None", "nan", "exact"} & set(bare)


def test_a_histogram_counts_each_zone() -> None:
    chart = charts.weight_histogram([0, 5, 10, 15], [7, 20, 300], join_bits=10, review_bits=5)
    assert "327 pairs: 7 apart, 20 review, 300 joined" in chart.to_dict()["description"]
    shown = texts(charts.to_svg(chart))
    assert {"review at 5 bits", "join at 10 bits"} <= set(shown)
    bare = texts(charts.to_svg(charts.weight_histogram([0, 5, 10], [7, 20])))
    assert not [t for t in bare if "review" in t or "join" in t]


@pytest.mark.parametrize(("edges", "counts"), [([0, 1], [1, 2]), ([0, np.inf], [3])])
def test_a_histogram_refuses_edges_that_do_not_fit(edges: list[float], counts: list[int]) -> None:
    with pytest.raises(ValueError, match="finite edges"):
        charts.weight_histogram(edges, counts)


def test_bounds_are_drawn_where_they_are_given() -> None:
    bare = samples.swept().drop(columns=["precision_lower", "precision_upper"])
    with_bounds, without = (
        charts.to_svg(charts.thresholds(frame)) for frame in (samples.swept(), bare)
    )
    assert marks(with_bounds, "area mark") == 1
    assert marks(without, "area mark") == 0


@QUICK
@given(st.dictionaries(st.integers(1, 400), st.integers(0, 10**6), max_size=30))
def test_no_person_is_lost_among_the_sizes(sizes: dict[int, int]) -> None:
    tables = data_of(charts.cluster_sizes(sizes))
    shown = [row for row in tables[0] if "persons" in row]
    assert sum(r["persons"] for r in shown) == sum(sizes.values())
    assert sum(r["records"] for r in shown) == sum(s * n for s, n in sizes.items())
    for row in shown:
        low, _, high = row["size"].rstrip("+").partition("–")  # noqa: RUF001 - as drawn
        top = 10**9 if row["size"].endswith("+") else int(high or low)
        inside = {s: n for s, n in sizes.items() if int(low) <= s <= top}
        assert row["persons"] == sum(inside.values())


@QUICK
@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(1, 10**6)), min_size=1, max_size=20
    )
)
def test_the_calibration_error_is_the_weighted_mean_distance(
    rows: list[tuple[float, float, int]],
) -> None:
    frame = pd.DataFrame(rows, columns=["expected", "observed", "pairs"])
    chart = charts.reliability(frame.assign(bin="b", model="ours"))
    naive = sum(abs(e - o) * n for e, o, n in rows) / sum(n for _, _, n in rows)
    stated = float(chart.to_dict()["title"]["text"].rsplit(" ", 1)[1])
    assert stated == pytest.approx(naive, abs=5.1e-5)


def test_subgroups_stay_together_in_the_order_given() -> None:
    frame = samples.groups(("z", "a")).iloc[[0, 2, 1, 3]]
    shown = texts(charts.to_svg(charts.subgroups(frame)))
    assert [t for t in shown if t in ("sex", "age band")] == ["sex", "age band"]
    assert [t for t in shown if t in ("z", "a")] == ["z", "a", "z", "a"]


def test_thousands_of_points_are_no_obstacle() -> None:
    """Altair by itself refuses more than 5,000 rows."""
    bits = np.linspace(0, 40, 2_600)
    frame = pd.DataFrame({"bits": bits, "false_match": 2.0**-bits, "missed_match": bits / 100})
    assert marks(charts.to_svg(charts.error_rates(frame)), "line mark") == 2


def test_a_graph_marks_weak_links_and_refuses_what_it_does_not_know() -> None:
    nodes, edges = samples.cluster()
    svg = charts.to_svg(charts.cluster_graph(nodes, edges))
    assert svg.count('stroke-dasharray="6,4"') == 1
    assert texts(svg).count("12.5") == len(edges)
    with pytest.raises(ValueError, match=r"not among the nodes$"):
        charts.cluster_graph(nodes, edges.assign(right=99))
    with pytest.raises(ValueError, match=r"ids that differ$"):
        charts.cluster_graph(nodes.assign(id=7), edges)


def test_one_record_without_links_is_a_graph() -> None:
    nodes, edges = samples.cluster(("only",))
    assert "only" in texts(charts.to_svg(charts.cluster_graph(nodes, edges)))


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    count = draw(st.integers(1, 12))
    node = st.integers(0, count - 1)
    pairs = st.tuples(node, node).filter(lambda p: p[0] < p[1])
    return count, draw(st.lists(pairs, unique=True, max_size=30)) if count > 1 else []


@QUICK
@given(graphs())
def test_a_layout_is_steady_and_keeps_nodes_apart(graph: tuple[int, list[tuple[int, int]]]) -> None:
    count, edges = graph
    ends = np.array(edges, np.int64).reshape(-1, 2).T
    place = stress_layout(count, *ends)
    assert place.shape == (count, 2)
    assert np.isfinite(place).all()
    assert (place == stress_layout(count, *ends)).all()
    apart = np.linalg.norm(place[:, None] - place[None], axis=2)[~np.eye(count, dtype=bool)]
    assert (apart > 0.25).all()


def test_a_chain_is_laid_out_as_a_line() -> None:
    at = np.arange(8)
    place = stress_layout(8, at[:-1], at[1:])
    assert (np.diff(place[:, 0]) > 0.5).all()
    assert np.ptp(place[:, 1]) < 0.5 * np.ptp(place[:, 0])


@QUICK
@given(st.lists(st.one_of(st.just(0.0), st.floats(1e-12, 1.0)), min_size=1, max_size=20))
def test_decades_hold_every_share(shares: list[float]) -> None:
    foot, ticks = decades(shares)
    positive = [s for s in shares if s > 0]
    assert ticks[0] == foot
    assert np.allclose(np.diff(np.log10(ticks)), 1)
    assert all(foot <= s * (1 + 1e-6) and s <= ticks[-1] * (1 + 1e-6) for s in positive)
    if 0.0 in shares and positive:
        assert foot < min(positive) / 9.99


@QUICK
@given(st.lists(st.sampled_from("ab"), max_size=8))
def test_repeated_labels_are_told_apart(labels: list[str]) -> None:
    named = distinct(labels)
    assert len(set(named)) == len(labels)
    assert [n.split(" ")[0] for n in named] == labels


def test_importing_the_charts_does_not_load_altair() -> None:
    code = "import sys, linkage.charts; sys.exit('altair' in sys.modules)"
    root = Path(__file__).parent.parent.parent
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
