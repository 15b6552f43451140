"""The quality report with truth, as one page: the published persons beside naive baselines.

Rules:
- The headline is safety: persons that show another person's record, with the upper bound.
- A missed match is always shown by group, with its exact interval: it falls on some more often.
- Counts and rates only; no value of a person and no record's id.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from linkage import charts
from linkage.metrics import interval
from service.evaluating import Evaluation
from service.link_page import Cell, Section, Table, link_page

OURS = "commonthread"
GROUPS = {"ethnicity": "ethnicity", "age_band": "age band", "sex": "sex", "source": "source"}
"""Groups in the order of the page → what they are called."""
_NO_PAIRS = "No two records in the truth are one person, so no match could be missed."


def evaluation_page(evaluation: Evaluation) -> str:
    """The page as HTML; see the module's rules."""
    return link_page("Quality of the linkage", list(_sections(evaluation)))


def subgroup_frame(evaluation: Evaluation) -> pd.DataFrame:
    """Missed-match rate (1 - recall) by group, as `linkage.charts.subgroups` draws it.

    Intervals are exact, 95 %, two-sided (Clopper and Pearson 1934). Groups without a true pair are
    left out: nothing could be missed there.
    """
    rows = []
    known = [*GROUPS, *sorted(set(evaluation.recall) - set(GROUPS))]
    for kind in known:
        for value, (found, there) in sorted(evaluation.recall.get(kind, {}).items()):
            if there:
                missed = there - found
                lower, upper = interval(missed, there)
                name = GROUPS.get(kind, kind)
                rows.append((name, value, missed / there, lower, upper, there, found))
    columns = ["group", "value", "rate", "lower", "upper", "pairs", "found"]
    return pd.DataFrame(rows, columns=columns)


def _sections(evaluation: Evaluation) -> Iterator[Section]:
    yield _headline(evaluation)
    yield _engines(evaluation)
    yield _missed(evaluation)
    if evaluation.planted:
        yield _planted(evaluation)


def _headline(evaluation: Evaluation) -> Section:
    ours = evaluation.engines[OURS]
    text = (
        f"{ours['mixed_per_100k']:,.1f} persons in 100,000 show a record of somebody else "
        f"({int(ours['mixed_persons']):,} of {int(ours['persons']):,}). With 95 % confidence it is "
        f"no more than {ours['mixed_per_100k_upper95']:,.1f} in 100,000.\n\n"
        f"{int(ours['records']):,} published records, which the truth says are of "
        f"{int(ours['true_persons']):,} persons, in {int(ours['true_pairs']):,} pairs. "
        f"{ours['precision']:.3%} of the pairs joined are right (precision); {ours['recall']:.2%} "
        "of the true pairs are joined (recall)."
    )
    if evaluation.unknown:
        text += (
            f" {evaluation.unknown:,} further published records are not in the truth file and "
            "count nowhere on this page."
        )
    return Section("Persons showing another person's record", text)


_FIGURES = {
    "persons": "persons",
    "mixed_persons": "mixed persons",
    "mixed_per_100k": "per 100,000",
    "mixed_per_100k_upper95": "upper 95 %",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "b3_precision": "B-cubed precision",
    "b3_recall": "B-cubed recall",
    "b3_f1": "B-cubed F1",
}
_WHOLE = ("persons", "mixed_persons")
_PLACES = {"mixed_per_100k": 1, "mixed_per_100k_upper95": 1}


def _engines(evaluation: Evaluation) -> Section:
    rows: list[tuple[Cell, ...]] = [
        (name, *(_figure(figures[key], key) for key in _FIGURES))
        for name, figures in evaluation.engines.items()
    ]
    text = (
        "The same records, joined by simpler means. A mixed person is one that shows a record of "
        "somebody else. Pairwise figures weigh large persons more; B-cubed figures weigh every "
        "record alike."
    )
    columns = ("partition", *_FIGURES.values())
    table = Table("The linkage beside the baselines", columns, tuple(rows))
    return Section("Beside simpler means", text, table=table)


def _figure(value: float, key: str) -> Cell:
    return int(value) if key in _WHOLE else round(value, _PLACES.get(key, 5))


def _missed(evaluation: Evaluation) -> Section:
    title = "Missed matches by group"
    frame = subgroup_frame(evaluation)
    if frame.empty:
        return Section(title, _NO_PAIRS)
    overall = 1 - evaluation.engines[OURS]["recall"]
    text = (
        f"Of all true pairs {overall:.2%} are missed. A pair counts in each group that one of its "
        "records is in. Lines: exact 95 % intervals; a group whose line lies wholly to the right "
        "of another's is served worse."
    )
    worst = frame.sort_values("rate", ascending=False, kind="stable").iloc[0]
    text += f"\n\nHighest: {worst['group']} “{worst['value']}”, {worst['rate']:.2%}."
    order = ["group", "value", "pairs", "found", "rate", "lower", "upper"]
    cells = [frame.round(5)[name].tolist() for name in order]
    columns = ("group", "value", "true pairs", "found", "missed", "from", "to")
    table = Table("Missed matches by group", columns, tuple(zip(*cells, strict=True)))
    return Section(title, text, charts.subgroups(frame, "missed matches"), table)


def _planted(evaluation: Evaluation) -> Section:
    text = (
        "Hard cases that were put into the records on purpose: how many records are of each kind, "
        "and how many of them ended in a person that shows somebody else's record."
    )
    rows: list[tuple[Cell, ...]] = [
        (kind.replace("_", " "), records, mixed, mixed / records if records else None)
        for kind, (records, mixed) in sorted(evaluation.planted.items())
    ]
    columns = ("case", "records", "in a mixed person", "share")
    return Section("Planted cases", text, table=Table("Planted cases", columns, tuple(rows)))
