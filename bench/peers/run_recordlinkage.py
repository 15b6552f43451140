"""The Python Record Linkage Toolkit as its guides use it, then connected components.

The job:

| key | what |
|---|---|
| `inputs` | Parquet files: one to deduplicate, two to link one with the other |
| `id` | the column that names each record, unique over all files |
| `blocking` | rules: lists of columns (`Index.block`), `derive` columns among them |
| `derive` | further column → `[column, first characters]` |
| `compare` | `[method of recordlinkage.Compare, column, named arguments]` |
| `classifier` | `ecm` (matches of its `predict`), or a number that the agreements must exceed |
| `processes` | for comparing |

A score is the probability that ECM gives, or the sum of agreements. Dates are compared as dates.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import recordlinkage
from common import Report, arguments
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

warnings.filterwarnings("ignore", category=FutureWarning)


def main() -> None:
    """Runs the job of the command line."""
    options = arguments("Python Record Linkage Toolkit")
    job, report = options.job, Report("recordlinkage")
    with report.stage("load"):
        frames = [load(path, job) for path in job["inputs"]]
    with report.stage("index"):
        indexer = recordlinkage.Index()
        for columns in job["blocking"]:
            indexer.block(columns)
        candidates = indexer.index(*frames)
    with report.stage("compare"):
        features = compare(job).compute(candidates, *frames)
    with report.stage("classify"):
        matches, score = classify(features, job["classifier"])
    with report.stage("cluster"):
        ids = np.concatenate([frame.index.to_numpy() for frame in frames])
        person = components(ids, matches)
    with report.stage("write"):
        pq.write_table(pa.table({"record_id": ids, "person_id": person}), options.out)
    if options.pairs:
        left, right = (features.index.get_level_values(n).to_numpy() for n in (0, 1))
        scored = pa.table({"left_id": left, "right_id": right, "score": score})
        pq.write_table(scored, options.pairs)
    report.pairs = {"compared": len(features), "joined": len(matches)}
    report.show()


def load(path: str, job: dict) -> pd.DataFrame:
    """One file, its id as index, dates as dates."""
    frame = pq.read_table(path).to_pandas().set_index(job["id"])
    for name, (column, first) in job["derive"].items():
        frame[name] = frame[column].str[:first]
    for method, column, _ in job["compare"]:
        if method == "date":
            frame[f"{column}_as_date"] = pd.to_datetime(
                frame[column], format="%Y-%m-%d", errors="coerce"
            )
    return frame


def compare(job: dict) -> recordlinkage.Compare:
    """The comparisons of the job, as 0 or 1 (or between, for dates swapped)."""
    compared = recordlinkage.Compare(n_jobs=job["processes"])
    for method, column, named in job["compare"]:
        read = f"{column}_as_date" if method == "date" else column
        getattr(compared, method)(read, read, label=column, **named)
    return compared


def classify(features: pd.DataFrame, classifier: str | float) -> tuple[pd.MultiIndex, np.ndarray]:
    """(pairs that match, score of every pair)."""
    if classifier == "ecm":
        model = recordlinkage.ECMClassifier(binarize=0.5)
        matches = model.fit_predict(features)
        return matches, model.prob(features).to_numpy()
    total = features.sum(axis=1)
    return features.index[total > classifier], total.to_numpy()


def components(ids: np.ndarray, matches: pd.MultiIndex) -> np.ndarray:
    """The connected component of each id."""
    place = pd.Index(ids)
    left, right = (place.get_indexer(matches.get_level_values(n)) for n in (0, 1))
    graph = coo_matrix((np.ones(len(left), np.int8), (left, right)), shape=(len(ids), len(ids)))
    return connected_components(graph, directed=False)[1]


if __name__ == "__main__":
    main()
