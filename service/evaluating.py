"""Evaluate: the published persons against the truth, beside two naive baselines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from linkage.baselines import baselines
from linkage.metrics import mixed_labels, quality, recall_by
from schemas.errors import InputError
from schemas.settings import Settings
from service.ports import Store

GROUP_COLUMNS = ("ethnicity", "sex", "age_band")


@dataclass(frozen=True)
class Evaluation:
    """Figures of the published partition.

    Attributes:
        engines: name of the partition → its figures (`linkage.metrics.Quality` and both F1).
        recall: kind of group → group → (pairs found, pairs there are).
        planted: kind of planted case → (records so planted, of them in a mixed person).
        unknown: published records that the truth does not name.
    """

    engines: dict[str, dict[str, float]]
    recall: dict[str, dict[str, tuple[int, int]]]
    planted: dict[str, tuple[int, int]]
    unknown: int


def evaluate(store: Store, settings: Settings, truth_file: Path) -> Evaluation:
    """Compares what is published with a truth file (`source, local_id, person`).

    Beside it, `truth_groups.parquet` adds figures by group: `person`, columns of groups, and
    `planted`, a list of the kinds of hard case that the person is.
    Raises: InputError where the file lacks a column or names no published record.
    """
    keys = ["source", "local_id"]
    truth = _read(truth_file, (*keys, "person")).astype(dict.fromkeys(keys, str))
    if truth.duplicated(keys).any():
        raise InputError(f"{truth_file.name} names a record twice (source, local_id)")
    rows = store.record_sources().join(store.memberships(), "record_id", join_type="inner")
    held = rows.to_pandas()
    joined = held.merge(truth, on=keys, how="left", validate="one_to_one")
    known = joined["person"].notna()
    joined = joined[known].sort_values("record_id", ignore_index=True)
    if joined.empty:
        raise InputError(f"{truth_file.name} names none of the published records")
    person, true = joined["person_id"].to_numpy(), joined["person"].to_numpy()
    engines = {"commonthread": _figures(person, true)}
    for name, labels in _baselines(store, settings, joined["record_id"].to_numpy()).items():
        engines[name] = _figures(labels, true)
    recall = {"source": recall_by(person, true, joined["source"].to_numpy().astype(str))}
    groups = truth_file.with_name("truth_groups.parquet")
    planted: dict[str, tuple[int, int]] = {}
    if groups.exists():
        table = joined.merge(_read(groups, ("person",)), on="person", how="left")
        for column in GROUP_COLUMNS:
            if column in table:
                recall[column] = recall_by(person, true, table[column].fillna("?").astype(str))
        planted = _planted(table, mixed_labels(person, true))
    return Evaluation(engines, recall, planted, int((~known).sum()))


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        frame: pd.DataFrame = pq.read_table(path).to_pandas()
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; name a truth file (source, local_id, person) with --truth"
        ) from None
    except (OSError, pa.ArrowInvalid):
        raise InputError(f"{path}: cannot be read as Parquet; expected a truth file") from None
    missing = [c for c in columns if c not in frame]
    if missing:
        raise InputError(f"{path.name} lacks the column(s) {', '.join(missing)}")
    return frame


def _figures(predicted: Any, true: Any) -> dict[str, float]:
    found = quality(predicted, true)
    return {**asdict(found), "f1": found.f1, "b3_f1": found.b3_f1}


def _baselines(store: Store, settings: Settings, wanted: Any) -> dict[str, Any]:
    table = store.match_columns()
    ids = table["record_id"].to_numpy()
    place = np.searchsorted(ids, wanted)
    found = baselines(table, accept_test_numbers=settings.link.accept_test_numbers)
    return {name: labels[place] for name, labels in found.items()}


def _planted(table: pd.DataFrame, mixed: Any) -> dict[str, tuple[int, int]]:
    if "planted" not in table:
        return {}
    frame = pd.DataFrame({"kind": table["planted"], "mixed": mixed}).explode("kind")
    frame = frame[frame["kind"].notna()]
    return {
        str(kind): (len(part), int(part["mixed"].sum())) for kind, part in frame.groupby("kind")
    }
