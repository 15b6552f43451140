"""Two naive partitions to measure against: what a partnership would have without this engine.

Rules:
- `nhs_number_only`: records of one NHS number are one person; a record without is alone.
- `nhs_number_or_exact`: also records of exactly one forename, family name and birth date.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from linkage.features import build_features


def baselines(table: pa.Table, *, accept_test_numbers: bool) -> dict[str, npt.NDArray[np.int64]]:
    """Labels of both baselines, in the order of the table's rows."""
    features = build_features(table, accept_test_numbers=accept_test_numbers)
    n = len(features)
    number = features.main("nhs_number").astype(np.int64)
    exact = np.zeros(n, np.int64)
    for name in ("given", "family", "birth_date"):
        codes = features.main(name).astype(np.int64)
        joined = np.where(
            (exact >= 0) & (codes >= 0), exact * (codes.max(initial=0) + 1) + codes, -1
        )
        exact = np.where(joined >= 0, np.unique(joined, return_inverse=True)[1], -1)
    out = {}
    for name, keys in (
        ("NHS number alone", [number]),
        ("NHS number, or exact name and birth date", [number, exact]),
    ):
        links = [_chain(key) for key in keys]
        left = np.concatenate([a for a, _ in links])
        right = np.concatenate([b for _, b in links])
        graph = coo_matrix((np.ones(len(left), np.int8), (left, right)), shape=(n, n))
        label = np.empty(n, np.int64)
        label[features.row] = connected_components(graph, directed=False)[1]
        out[name] = label
    return out


def _chain(keys: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs of rows that chain all rows of each key; -1 is no key."""
    order = np.argsort(keys, kind="stable")
    order = order[keys[order] >= 0]
    same = keys[order[1:]] == keys[order[:-1]]
    return order[:-1][same], order[1:][same]
