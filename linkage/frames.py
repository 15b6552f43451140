"""What the charts of a linkage draw, as small pandas tables: from `Linked` and its parts.

Rules:
- Pure functions; columns are those that the chart functions of linkage/charts.py name.
- No value of a person stands in a table: fields, levels, rules, counts; record ids and sources in
  `contested_cluster` alone, and names of groups in `errors_by`, which its caller gives.
- What is counted is counted over all records and edges; what is estimated rests on the sample of
  pairs that the thresholds rest on (linkage/thresholds.py).
- The order of the input's rows decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from linkage.api import Linked
from linkage.engine import CHUNK, Partition
from linkage.metrics import interval
from linkage.model import Field, Model
from linkage.score import Bits, Scorer, TermFrequencies, Weights
from linkage.thresholds import GRID, Rates, rates, rates_by
from linkage.train import Trained
from schemas.errors import InputError

Record: TypeAlias = str | tuple[str, str]
"""A record's id, or its source and id where several sources have that id."""
Rows = npt.NDArray[np.int64]

MOST_RECORDS = 60
"""A component with more records than this is not drawn."""
MOST_PASSES = 5
"""Rules whose own estimates are shown: those with the most expected matches."""
FEWEST_PAIRS = 50.0
"""Expected pairs of a kind from which a pass is worth showing for a field."""
NOT_RECORDED = "not recorded"


def compared_fields(linked: Linked) -> tuple[Field, ...]:
    """The model's fields that these records can be compared in."""
    return tuple(
        found
        for found in linked.model.fields
        if not linked.features.column(found.column).empty
        and (found.column != "source" or len(linked.features.column("source").values) > 1)
    )


def evidence(linked: Linked) -> pd.DataFrame:
    """Per field: records with a usable value, their share, and how many values differ."""
    n = max(len(linked.features), 1)
    rows = []
    for found in compared_fields(linked):
        codes = linked.features.main(found.column)
        held = codes[codes >= 0]
        rows.append((found.name, len(held), len(held) / n, len(np.unique(held))))
    return pd.DataFrame(rows, columns=["field", "records", "share", "different"])


def match_weights(model: Model, fields: Sequence[Field] | None = None) -> pd.DataFrame:
    """Per level of each field log2 m/u and the three probabilities; `fields` limits them."""
    return pd.DataFrame(
        [
            (f.name, level.name, float(np.log2(level.m / level.u)), level.m, level.u, level.r)
            for f in (model.fields if fields is None else fields)
            for level in f.levels
        ],
        columns=["field", "level", "bits", "m", "u", "r"],
    )


def dependence(model: Model) -> pd.DataFrame:
    """Per bond of two fields: the level of each where it says most, and the bits against strangers
    that it adds or takes there beside what the two fields say by themselves."""
    rows = []
    for bond in model.dependence:
        bits = np.array(bond.m) - np.array(bond.u)
        for pick in (np.argmax, np.argmin):
            one, two = np.unravel_index(int(pick(bits)), bits.shape)
            level_one = model.field(bond.one).levels[int(one)].name
            level_two = model.field(bond.two).levels[int(two)].name
            rows.append((bond.one, level_one, bond.two, level_two, float(bits[one, two])))
    return pd.DataFrame(rows, columns=["one", "level_one", "two", "level_two", "bits"])


def threshold_frame(found: Rates) -> pd.DataFrame:
    """Estimated pairs, precision, recall and F1 by threshold."""
    return pd.DataFrame(
        {
            "bits": found.bits,
            "pairs": found.pairs,
            "precision": found.precision,
            "recall": found.recall,
            "f1": found.f1,
        }
    )


def error_frame(found: Rates) -> pd.DataFrame:
    """Estimated shares of false and of missed matches by threshold."""
    return pd.DataFrame(
        {
            "bits": found.bits,
            "false_match": np.clip(1.0 - found.precision, 0.0, 1.0),
            "missed_match": np.clip(1.0 - found.recall, 0.0, 1.0),
        }
    )


def at_join(linked: Linked) -> Rates:
    """The estimates at the join threshold itself; arrays of length 1."""
    return rates(linked.sample, grid=np.array([linked.join_bits]), found=linked.rates.found)


def rule_frame(partition: Partition) -> pd.DataFrame:
    """What each blocking rule proposed, was credited with, and cut."""
    columns = ["rule", "proposed", "credited", "cut_blocks", "cut_pairs"]
    return pd.DataFrame(
        [tuple(getattr(r, name) for name in columns) for r in partition.rules], columns=columns
    )


def sizes(partition: Partition) -> Mapping[int, int]:
    """Number of records → number of persons that have so many."""
    _, records = np.unique(partition.label, return_counts=True)
    size, persons = np.unique(records, return_counts=True)
    return dict(zip(size.tolist(), persons.tolist(), strict=True))


def histogram(linked: Linked) -> tuple[Bits, Rows]:
    """(n + 1 edges of bins in bits, n counts) of the pairs that no guard rail forbids.

    Both thresholds are edges of bins. From the review threshold up pairs are counted; below it
    they are estimated from the sample.
    """
    edges = linked.partition.edges
    allowed = np.asarray(edges["guard"].combine_chunks().is_null(), bool)
    counted = edges["bits"].to_numpy()[allowed]
    below = linked.sample.bits < linked.review_bits
    below &= np.isfinite(linked.sample.bits)
    bits = np.concatenate([counted, linked.sample.bits[below]])
    weight = np.concatenate([np.ones(len(counted)), linked.sample.weight[below]])
    if not len(bits):
        return np.array([linked.review_bits, linked.review_bits + 1.0]), np.zeros(1, np.int64)
    join = linked.join_bits
    first, last = np.floor(bits.min() - join), np.floor(bits.max() - join) + 1
    bins = np.unique(np.append(join + np.arange(first, last + 1), linked.review_bits))
    bins[0] = min(bins[0], bits.min())
    counts = np.bincount(np.digitize(bits, bins) - 1, weights=weight, minlength=len(bins) - 1)
    return bins, np.round(counts).astype(np.int64)[: len(bins) - 1]


def unlinkable(linked: Linked, thresholds: Bits = GRID) -> pd.DataFrame:
    """Per threshold the share of records that stay below it even against an equal record."""
    scorer = Scorer(linked.features, linked.model)
    n = len(linked.features)
    most = np.sort(
        np.concatenate(
            [
                scorer.against_itself(np.arange(start, min(start + CHUNK, n), dtype=np.int32))
                for start in range(0, n, CHUNK)
            ]
            or [np.zeros(0)]
        )
    )
    below = np.searchsorted(most, np.asarray(thresholds, np.float64))
    return pd.DataFrame({"bits": thresholds, "share": below / max(n, 1)})


def convergence(
    trained: Trained, model: Model, fields: Sequence[Field] | None = None
) -> pd.DataFrame:
    """m of each level after each round of the training's last EM."""
    names = {f.name for f in (model.fields if fields is None else fields)}
    return pd.DataFrame(
        [
            (number, f.name, level.name, "m", float(after[row, at]))
            for number, after in enumerate(trained.estimate.trace, start=1)
            for row, f in enumerate(model.fields)
            if f.name in names
            for at, level in enumerate(f.levels)
        ],
        columns=["round", "field", "level", "kind", "probability"],
    )


def parameters(
    trained: Trained, model: Model, fields: Sequence[Field] | None = None, most: int = MOST_PASSES
) -> pd.DataFrame:
    """What each pass by itself says of m and u for each level, and what the model holds.

    Shown are the random pass, labelled pairs, and the `most` rules with the most expected matches.
    A pass says nothing of a field that its rule blocks on, nor of a kind of which it holds fewer
    than `FEWEST_PAIRS` pairs that compare the field.
    """
    names = {f.name for f in (model.fields if fields is None else fields)}
    chosen = [(row, f) for row, f in enumerate(model.fields) if f.name in names]
    out = [
        ("model", f.name, level.name, kind, float(getattr(level, kind)))
        for _, f in chosen
        for level in f.levels
        for kind in "mu"
    ]
    for index in _shown_passes(trained, most):
        one, weights = trained.estimate.passes[index], trained.estimate.posterior(index)
        for kind in set("mu") & set(one.teaches):
            for row, f in chosen:
                if not one.counts_for[row]:
                    continue
                counts = np.bincount(
                    one.levels[row], weights[kind] * one.counts, minlength=len(f.levels) + 1
                )[1 : len(f.levels) + 1]
                if counts.sum() >= FEWEST_PAIRS:
                    shares = (counts / counts.sum()).tolist()
                    out += [
                        (one.name, f.name, level.name, kind, share)
                        for level, share in zip(f.levels, shares, strict=True)
                    ]
    return pd.DataFrame(out, columns=["pass", "field", "level", "kind", "probability"])


def _shown_passes(trained: Trained, most: int) -> list[int]:
    """Passes in their order: all that are no rule's, and the rules with the most matches."""
    passes = trained.estimate.passes
    matches = [
        float(trained.estimate.posterior(i)["m"] @ one.counts) if one.credited.any() else np.inf
        for i, one in enumerate(passes)
    ]
    others = sum(m == np.inf for m in matches)
    return sorted(sorted(range(len(passes)), key=lambda i: -matches[i])[: others + most])


def _place(linked: Linked, record: Record) -> int:
    """The record's row of the features. Raises: InputError."""
    source, name = record if isinstance(record, tuple) else (None, record)
    found = pc.equal(linked.records["record_id"], pa.scalar(name, pa.string()))
    if source is not None:
        of_source = pc.equal(linked.records["source"], pa.scalar(source, pa.string()))
        found = pc.and_(found, of_source)
    rows = np.flatnonzero(found.to_numpy())
    if not len(rows):
        raise InputError("no record of that id")
    if len(rows) > 1:
        raise InputError("several sources have a record of that id: give (source, id)")
    return int(_places(linked)[rows[0]])


def _places(linked: Linked) -> Rows:
    """(n,) the row of the features for each row of the input."""
    place = np.empty(len(linked.features), np.int64)
    place[linked.features.row] = np.arange(len(linked.features))
    return place


def waterfall(linked: Linked, left: Record, right: Record) -> pd.DataFrame:
    """How the match weight of two records comes together; the bits of all rows sum to it.

    Prior; per field log2 m/u, with its level as `value`; what fields say together beside what they
    say alone; the frequency of shared values; what it costs that relatives agree too. With one
    record it is no pair. Raises: InputError (no such record, or several of that id).
    """
    one, two = (_place(linked, record) for record in (left, right))
    if one == two:
        raise InputError("a match weight needs two records")
    lefts, rights = np.array([min(one, two)], np.int32), np.array([max(one, two)], np.int32)
    model, weights = linked.model, Weights(linked.model)
    levels = Scorer(linked.features, model).levels(lefts, rights)
    gains = weights.tables["m"] - weights.tables["u"]
    steps: list[tuple[str, str | None, float]] = [("prior", None, weights.match_prior)]
    shown = {f.name for f in compared_fields(linked)}
    for row, f in enumerate(model.fields):
        code = int(levels[row, 0])
        if f.name in shown or gains[row, code]:
            level = f.levels[code - 1].name if code else "missing"
            steps.append((f.name, level, float(gains[row, code])))
    if model.dependence:
        steps.append(("fields together", None, float(weights.together(levels)[0])))
    _, relative, stranger = weights.kind_bits(levels)
    if model.frequencies:
        frequencies = TermFrequencies(linked.features, model)
        shared = frequencies.bits(linked.features, lefts, rights, levels)
        steps.append(("term frequency", None, -float(shared[0])))
        stranger = stranger + shared
    cost = stranger - np.logaddexp2(relative, stranger)
    steps.append(("relatives", None, float(cost[0])))
    return pd.DataFrame(steps, columns=["label", "value", "bits"])


def contested_cluster(
    linked: Linked, most: int = MOST_RECORDS
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(nodes, edges) of the most contested component of at most `most` records.

    A component is what join edges hold together, forbidden ones included. Most contested is the
    one with the most join edges between different persons, then the one with the most pairs that
    no edge joins. Both tables are empty where no component has two records. An edge is weak where
    it joins nobody: below the threshold, forbidden, or between different persons.
    """
    place = _places(linked)
    table = linked.partition.edges
    left, right = (place[table[side].to_numpy()] for side in ("left", "right"))
    bits = table["bits"].to_numpy()
    label = place[linked.partition.label][linked.features.row]
    joins = bits >= linked.join_bits
    apart = label[left] != label[right]
    component = _components(label, left[joins], right[joins])
    chosen = _most_contested(component, left[joins], apart[joins], most)
    rows = np.flatnonzero(component == chosen)
    inside = np.flatnonzero(component[left] == chosen)
    inside = inside[component[right[inside]] == chosen]
    inside = inside[np.lexsort((right[inside], left[inside]))]
    records = linked.records.take(pa.array(linked.features.row[rows]))
    nodes = pd.DataFrame(
        {
            "id": rows,
            "label": records["record_id"].to_pandas(),
            "group": records["source"].to_pandas(),
        }
    )
    forbidden = np.asarray(table["guard"].combine_chunks().is_valid(), bool)
    edges = pd.DataFrame(
        {
            "left": left[inside],
            "right": right[inside],
            "bits": bits[inside],
            "weak": (~joins | forbidden | apart)[inside],
        }
    )
    return nodes, edges


def _components(label: Rows, left: Rows, right: Rows) -> Rows:
    """(n,) for each row the smallest row of its component of persons and edges between them."""
    n = len(label)
    one, two = np.concatenate([np.arange(n), left]), np.concatenate([label, right])
    graph = coo_matrix((np.ones(len(one), np.int8), (one, two)), shape=(n, n))
    number = connected_components(graph, directed=False)[1]
    smallest = np.zeros(n, np.int64)
    smallest[number[::-1]] = np.arange(n - 1, -1, -1)
    return smallest[number]


def _most_contested(component: Rows, left: Rows, apart: npt.NDArray[np.bool_], most: int) -> int:
    """The component's name; -1 where none has two records and at most `most`."""
    n = len(component)
    size = np.bincount(component, minlength=n)
    joins = np.bincount(component[left], minlength=n)
    disputes = np.bincount(component[left], weights=apart, minlength=n)
    named = np.flatnonzero((size > 1) & (size <= most))
    if not len(named):
        return -1
    lacking = size * (size - 1) // 2 - joins
    order = np.lexsort((named, -size[named], -lacking[named], -disputes[named]))
    return int(named[order[0]])


def errors_by(linked: Linked, values: Any, group: str) -> pd.DataFrame:
    """Expected missed and false matches at the join threshold for each value of a group.

    Intervals are those of Clopper and Pearson, as if the expected pairs had been counted. A pair of
    two values counts half in each; pairs that no blocking rule proposes are not in it.

    Args:
        values: one value per row of the input (a column of it), in its order; null is a value.
        group: what the values are, for the chart.

    Raises: InputError where there is not one value for each row.
    """
    names = np.array(
        [NOT_RECORDED if pd.isna(v) else str(v) for v in pd.Series(values).tolist()], dtype=object
    )
    if len(names) != len(linked.features):
        raise InputError("a group needs one value for each row of the input")
    names = names[linked.features.row]
    records = dict(zip(*np.unique(names.astype(str), return_counts=True), strict=True))
    rows = []
    for value, (missed, false, pairs) in rates_by(linked.sample, names, linked.join_bits).items():
        lower, upper = interval(missed * pairs, pairs)
        rows.append((group, value, missed, lower, upper, pairs, false, int(records[value])))
    columns = ["group", "value", "rate", "lower", "upper", "pairs", "false_match", "records"]
    return pd.DataFrame(rows, columns=columns)
