"""The report of a linkage as one page: what was linked, how sure it is, and what to look at.

Rules:
- Sections come in the order in which a data analyst asks; one that has nothing to say is left out,
  or says so in a sentence.
- No value of a person: fields, levels, rules, counts and estimates; record ids stand in the graph
  of the most contested cluster alone.
- Every figure is one of `Linked`, or follows from it by linkage/frames.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from linkage import charts, frames
from linkage.api import Linked
from linkage.guards import GUARDS
from linkage.thresholds import recommend, sampling_plan
from service.link_page import Cell, Section, Table, link_page

HALF_WIDTH = 0.005
SMALLEST_GROUP = 10
"""Groups of fewer records are not shown: too few to judge, and a step towards naming somebody."""
FEWEST_MATCHES = 5
"""Nor are groups with fewer expected matches."""
MOST_GROUPS = 30
_NOTHING = "No pairs were compared, so nothing can be estimated."
_GROUPS = {"source": "source", "sex": "sex", "ethnicity": "ethnicity"}
"""Column of the features → what it is called."""


def link_report(linked: Linked) -> str:
    """The page as HTML; see the module's rules."""
    return link_page("Linkage report", list(_sections(linked)))


def _sections(linked: Linked) -> Iterator[Section]:
    yield _what(linked)
    yield _columns(linked)
    yield _evidence(linked)
    yield _blocking(linked)
    yield _weights(linked)
    yield _dependence(linked)
    yield _histogram(linked)
    yield _thresholds(linked)
    yield _errors(linked)
    yield _clerical(linked)
    yield from _subgroups(linked)
    yield _sizes(linked)
    yield _contested(linked)
    yield _unlinkable(linked)
    yield from _training(linked)
    yield _model(linked)


def _table(caption: str, columns: tuple[str, ...], frame: pd.DataFrame) -> Table:
    """A table of a frame's columns, in their order, under other names."""
    cells: list[list[Cell]] = [frame[name].tolist() for name in frame.columns]
    return Table(caption, columns, tuple(zip(*cells, strict=True)))


def _count(number: int, one: str, many: str | None = None) -> str:
    """A number and its noun: `1 pair`, `2,000 pairs`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _what(linked: Linked) -> Section:
    partition, at = linked.partition, frames.at_join(linked)
    sources = len(pc.unique(linked.records["source"]))
    rows: tuple[tuple[Cell, ...], ...] = (
        ("Records", len(linked.records)),
        ("Sources", sources),
        ("Persons", linked.persons),
        ("Pairs compared", partition.compared),
        ("Pairs joined or worth a look (table of pairs)", len(partition.edges)),
        ("Pairs for a person to decide", len(partition.tasks)),
    )
    text = (
        f"{_count(len(linked.records), 'record')} from {_count(sources, 'source')} are "
        f"{_count(linked.persons, 'person', 'persons')}. Pairs are joined from "
        f"{linked.join_bits:+.1f} bits."
    )
    if not at.pairs[0]:
        text += " No pair reaches that threshold."
    else:
        text += (
            f" At that threshold an estimated {at.precision[0]:.2%} of joined pairs are right "
            f"(precision) and {at.recall[0]:.2%} of the pairs that should be joined are (recall)."
        )
    text += (
        "\n\nA match weight is counted in bits: each further bit doubles the odds that two records "
        "are one person; at 0 bits they are even. Estimates rest on the model alone, without any "
        f"judged pairs, and take it that {linked.rates.found:.0%} of all matches are among "
        "the pairs compared: the clerical check below says how to test them."
    )
    return Section(
        "What was linked", text, table=Table("The linkage in figures", ("", "number"), rows)
    )


def _columns(linked: Linked) -> Section:
    reading = linked.reading
    known = {entry.rsplit(" as ", 1)[0] for entry in reading.recognised}
    alike = {re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") for name in known}
    rows: list[tuple[Cell, ...]] = [
        (name, " + ".join(columns), "recognised" if set(columns) <= known else "as you mapped it")
        for name, columns in reading.mapping.items()
    ]
    rows += [
        ("identifier", name, "recognised" if name in alike else "as you named it")
        for name in _identifiers(linked)
    ]
    mapped = set(reading.mapping)
    rows += [
        (spec.name, "", "a further column to compare")
        for spec in reading.extra
        if spec.name not in mapped
    ]
    text = (
        "Which of your columns stands for which field. Beside the columns of the record's id and "
        "source, those that are not here were not used."
    )
    named = Table("Fields and columns", ("field", "column", "how"), tuple(rows))
    return Section("How your columns were understood", text, table=named)


def _identifiers(linked: Linked) -> list[str]:
    """Names of the columns of further numbers, as their values carry them."""
    values = linked.features.column("identifier").values.array
    named = pc.list_element(pc.split_pattern(values, "|", max_splits=1), 0)
    return sorted(str(name) for name in pc.unique(named).to_pylist())


def _evidence(linked: Linked) -> Section:
    frame = frames.evidence(linked)
    unread = {name: n for name, n in linked.reading.without_evidence.items() if n}
    text = (
        "A missing value speaks neither for nor against a pair. So does a placeholder (“Unknown”, "
        "1 January 1900, ZZ99), and a value that is not what its field says: both count as missing."
    )
    text += "".join(
        f" {_count(n, 'value')} of {name} could not be read as such." for name, n in unread.items()
    )
    if not len(frame):
        return Section("What carries no evidence", f"{text}\n\nNo field holds any value.")
    frame = frame.assign(missing=(1.0 - frame["share"]).round(4))[
        ["field", "records", "missing", "different"]
    ]
    columns = ("field", "records with a value", "share without", "different values")
    named = _table("Values by field", columns, frame)
    return Section("What carries no evidence", text, table=named)


def _blocking(linked: Linked) -> Section:
    frame = frames.rule_frame(linked.partition)
    cut = frame[frame["cut_pairs"] > 0]
    text = (
        "Two records are compared where they agree on all parts of some blocking rule. A pair "
        f"counts for the first rule that proposes it: {linked.partition.compared:,} in all."
    )
    if len(cut):
        text += "\n\nBlocks too large to compare were left out: " + "; ".join(
            f"rule “{name}” lost {_count(blocks, 'block')} ({_count(pairs, 'pair')})"
            for name, blocks, pairs in cut[["rule", "cut_blocks", "cut_pairs"]].to_numpy().tolist()
        )
        text += ". Records of one person that meet in no other rule are missed."
    elif len(frame):
        text += " No block was too large: nothing was cut."
    columns = ("rule", "proposed", "credited", "blocks cut", "pairs cut")
    table = _table("Blocking rules", columns, frame) if len(frame) else None
    return Section("Which pairs were compared", text, charts.blocking(frame), table)


def _weights(linked: Linked) -> Section:
    frame = frames.match_weights(linked.model, frames.compared_fields(linked))
    text = (
        "Bars to the right speak for one person, bars to the left against. m is how often a level "
        "is seen in pairs of one person, u in pairs of strangers, r in pairs of relatives. Rare "
        "values that agree count for more than their bar says, common ones for less."
    )
    return Section("What each field says", text, charts.match_weights(frame))


def _dependence(linked: Linked) -> Section:
    frame = frames.dependence(linked.model)
    title = "Fields that go together"
    if not len(frame):
        return Section(title, "None: every field's evidence counts by itself.")
    text = (
        "Some fields agree or differ together more often than chance would have it: they would be "
        "counted twice if each counted by itself. The model adds bits to such pairs of levels or "
        "takes some away. The table shows the largest correction each way."
    )
    columns = ("field", "level", "with field", "at level", "bits")
    return Section(title, text, table=_table("Corrections", columns, frame.round(2)))


def _histogram(linked: Linked) -> Section:
    table = linked.partition.edges
    forbidden = pc.value_counts(table["guard"].drop_null())
    text = (
        f"Pairs from {linked.join_bits:+.1f} bits up are joined. Those from "
        f"{linked.review_bits:+.1f} bits up to there are worth a look. Counts below the review "
        "threshold are estimated from a sample."
    )
    if len(forbidden):
        reasons = {guard.code: guard.reason for guard in GUARDS}
        text += "\n\nNot in the chart: pairs that a guard rail forbids, whatever they score: " + (
            "; ".join(
                f"{_count(int(f['counts'].as_py()), 'pair')} ({reasons[f['values'].as_py()]})"
                for f in forbidden
            )
        )
        text += "."
    edges, counts = frames.histogram(linked)
    marks = round(linked.join_bits, 2), round(linked.review_bits, 2)
    chart = charts.weight_histogram(edges.round(2), counts, *marks)
    return Section("Pairs by match weight", text, chart)


def _thresholds(linked: Linked) -> Section:
    title = "Precision and recall by threshold"
    if not linked.partition.compared:
        return Section(title, _NOTHING)
    join, _ = recommend(linked.rates)
    bits = linked.partition.edges["bits"].to_numpy()
    band = int(((bits >= linked.review_bits) & (bits < linked.join_bits)).sum())
    text = (
        f"Recommended: join from {join:+.1f} bits, where the estimated F1 is best, never below "
        "even odds."
    )
    if linked.join_bits != join:
        text += f" This linkage joined from {linked.join_bits:+.1f} bits, as it was told to."
    text += (
        f" Review band: {linked.review_bits:+.2f} to {linked.join_bits:+.2f} bits, "
        f"{_count(band, 'pair')}.\n\nA higher threshold is safer where showing another person's "
        "record does harm; a lower one where a missed record does."
    )
    frame = frames.threshold_frame(linked.rates)
    chart = charts.thresholds(frame, linked.join_bits)
    shown = frame[frame["bits"] % 5 == 0].round(5).astype({"pairs": np.int64})
    columns = ("bits", "pairs from here up", "precision", "recall", "F1")
    named = _table("Estimates at some thresholds", columns, shown)
    return Section(title, text, chart, named)


def _errors(linked: Linked) -> Section:
    title = "Error rates by threshold"
    if not linked.partition.compared:
        return Section(title, _NOTHING)
    frame = frames.error_frame(linked.rates)
    text = (
        "False matches: of the pairs joined, the share that are two people. Missed matches: of the "
        "pairs of one person, the share that are not joined. Estimates of pairs as they score; "
        "clustering mends some of them."
    )
    marks = round(linked.join_bits, 2), round(linked.review_bits, 2)
    chart = charts.error_rates(frame, *marks)
    return Section(title, text, chart)


def _clerical(linked: Linked) -> Section:
    title = "A clerical check"
    if not linked.partition.compared:
        return Section(title, _NOTHING)
    plan = sampling_plan(linked.sample, linked.join_bits, half_width=HALF_WIDTH)
    total = sum(stratum.look_at for stratum in plan)
    text = (
        f"To know the true precision to within ±{HALF_WIDTH:.1%} (with 95 % confidence), draw at "
        f"random from each band as many pairs as the table says, {total:,} in all, and judge each. "
        "Judged pairs can be given back as labels (left_id, right_id, match): the next training "
        "learns from them."
    )
    rows: list[tuple[Cell, ...]] = [
        (_band(s.low, s.high), s.pairs, round(s.expected_matches, 1), s.look_at) for s in plan
    ]
    columns = ("match weight (bits)", "pairs", "expected matches", "look at")
    return Section(title, text, table=Table("Pairs to look at", columns, tuple(rows)))


def _band(low: float, high: float) -> str:
    return f"{low:+g} and more" if high == np.inf else f"{low:+g} up to {high:+g}"


def _subgroups(linked: Linked) -> Iterator[Section]:
    """Expected errors by what is known of groups; nothing where there are no two groups."""
    parts = []
    for name, group in _group_values(linked):
        frame = frames.errors_by(linked, group, name)
        frame = frame[(frame["records"] >= SMALLEST_GROUP) & (frame["pairs"] >= FEWEST_MATCHES)]
        if 1 < len(frame) <= MOST_GROUPS:
            parts.append(frame)
    if not parts:
        return
    frame = pd.concat(parts, ignore_index=True)
    text = (
        "The expected share of missed matches (not joined at the threshold though one person), "
        "because missed matches seldom fall on all groups alike. Bars: 95 % interval, if the model "
        f"is right. Groups of fewer than {SMALLEST_GROUP} records or {FEWEST_MATCHES} expected "
        "matches are left out."
    )
    chart = charts.subgroups(frame, "missed matches")
    columns = ("group", "value", "missed", "false", "expected matches", "records")
    table = frame[["group", "value", "rate", "false_match", "pairs", "records"]].round(4)
    named = _table("Expected errors by subgroup", columns, table)
    yield Section("Expected errors by subgroup", text, chart, named)


def _group_values(linked: Linked) -> Iterator[tuple[str, pd.Series[str]]]:
    """Name of a group → its value for each row of the input."""
    features = linked.features
    order = np.argsort(features.row, kind="stable")
    for column, name in _GROUPS.items():
        found = features.column(column)
        if not found.empty:
            texts = np.append(found.values.texts, frames.NOT_RECORDED)
            yield name, pd.Series(texts[found.codes[0]][order])
    years = features.part("birth_date", "decade")
    if (years > 0).any():
        decades = pd.Series(years[order])
        yield "born", (decades.astype(str) + "0s").where(decades > 0, frames.NOT_RECORDED)


def _sizes(linked: Linked) -> Section:
    found = frames.sizes(linked.partition)
    alone = found.get(1, 0)
    text = (
        f"{_count(linked.persons, 'person', 'persons')}, {alone:,} of them with one record alone. "
        "A person with many more records than you have sources is worth a look."
    )
    return Section("Records per person", text, charts.cluster_sizes(found))


def _contested(linked: Linked) -> Section:
    tasks = pc.value_counts(linked.partition.tasks["reason"]).to_pylist()
    counts = {t["values"]: int(t["counts"]) for t in tasks}
    nodes, edges = frames.contested_cluster(linked)
    title = "The most contested cluster"
    reasons = {
        "contested": "score enough to be joined, but other records speak against it",
        "forbidden": "score enough to be joined, but a guard rail forbids it",
        "review band": "score in the review band",
    }
    rows = tuple((why, counts.get(name, 0)) for name, why in reasons.items())
    table = Table("Pairs kept apart that a person should look at", ("they", "pairs"), rows)
    if nodes.empty:
        return Section(title, "No two records were joined.", table=table)
    text = (
        f"{_count(len(nodes), 'record')} and the match weights between them, as bits; colours are "
        "sources. A dashed link joins nobody: too weak, forbidden, or outweighed by the other "
        "records. Record ids are those of your table."
    )
    return Section(title, text, charts.cluster_graph(nodes, edges), table)


def _unlinkable(linked: Linked) -> Section:
    grid = np.unique(np.append(linked.rates.bits, linked.join_bits))
    frame = frames.unlinkable(linked, grid)
    share = float(frame.loc[frame["bits"] == linked.join_bits, "share"].iloc[0])
    text = (
        f"{share:.2%} of the records hold so little that not even an equal record would be joined "
        "to them at this threshold."
    )
    chart = charts.unlinkable(frame, linked.join_bits)
    return Section("Records that cannot be linked", text, chart)


def _training(linked: Linked) -> Iterator[Section]:
    trained, model = linked.trained, linked.model
    if trained is None:
        return
    shown = frames.compared_fields(linked)
    settled = (
        f"It stopped after {_count(trained.rounds, 'round')}; the last changed no probability by "
        f"more than {trained.change:.2g}."
    )
    chart = charts.convergence(frames.convergence(trained, model, shown))
    yield Section("How the training settled", settled, chart)
    text = (
        "Each pass of the training saw other pairs. Passes that tell the same of a level make it "
        "believable; where they differ, the field may go together with what the rule blocks on. "
        "“model” is what the model holds in the end."
    )
    rows: list[tuple[Cell, ...]] = [
        (name, int(p["proposed"]), int(p["compared"]), *(round(p[k], 5) for k in _KINDS))
        for name, p in trained.passes.items()
    ]
    columns = ("pass", "pairs", "compared", *(f"share of {plural}" for plural in _KINDS.values()))
    table = Table("Passes of the training", columns, tuple(rows))
    chart = charts.parameters(frames.parameters(trained, model, shown))
    yield Section("What each pass found", text, chart, table)


_KINDS = {"match": "matches", "relative": "relatives", "stranger": "strangers"}


def _model(linked: Linked) -> Section:
    model = linked.model
    how = (
        "The model was frozen: nothing was learnt from these records."
        if linked.trained is None
        else "The model was trained on these records. Save it to link the next ones the same way."
    )
    rows: tuple[tuple[Cell, ...], ...] = (
        ("Name", model.name),
        ("Hash (SHA-256)", model.hash),
        ("Records that its priors are for", f"{model.records:,}"),
        ("Matches per record", f"{model.matches_per_record:.3f}"),
        ("Relatives per record", f"{model.relatives_per_record:.3f}"),
        ("Join threshold (bits)", f"{linked.join_bits:+.2f}"),
        ("Review threshold (bits)", f"{linked.review_bits:+.2f}"),
        ("Fields", ", ".join(f.name for f in model.fields)),
        ("Guard rails", ", ".join(model.guards) or "none"),
        *((f"From: {key}", value) for key, value in sorted(model.provenance.items())),
    )
    text = how + " Equal hashes mean equal scores for equal records."
    return Section("The model", text, table=Table("The model", ("", "value"), rows))
