"""Train: a new model for a workspace, from its live records, frozen until the next training.

Rules:
- The new file takes the old one's place whole; the old one stays beside it under its own hash, so
  that the change can be undone by putting it back.
- A changed model makes the next link a full one: it decides every pair anew, under the limit on
  published changes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from linkage.features import build_features
from linkage.model import Model, uk_person
from linkage.train import Trained, train
from schemas.errors import InvalidValue, NotUsable
from schemas.settings import Settings
from service.model_files import kept_file, write_whole
from service.ports import Store

SMALLEST_TRAINING = 2_000
"""Fewer records than this teach too little: the shipped model is used as it is."""


@dataclass(frozen=True)
class TrainReport:
    """What a training learnt.

    Attributes:
        before, model: hashes of the model before (None: there was none) and after.
        passes: blocking rule → pairs proposed and compared, and the share of each kind of pair.
        trained: all of it, for a page with charts.
    """

    records: int
    before: str | None
    model: str
    rounds: int
    change: float
    passes: dict[str, dict[str, float]]
    trained: Trained = field(repr=False)


def train_model(table: pa.Table, settings: Settings, prior: Model) -> Trained:
    """Trains on match columns as the store gives them."""
    features = build_features(
        table,
        keeps_apart=frozenset(s.id for s in settings.sources if s.keeps_people_apart),
        accept_test_numbers=settings.link.accept_test_numbers,
        extra=prior.columns,
    )
    return train(features, prior)


def train_workspace(
    store: Store,
    settings: Settings,
    model_file: Path,
    *,
    prior: Model | None = None,
) -> TrainReport:
    """Trains on the live records and freezes the result in the workspace.

    Raises: NotUsable where there are too few records to learn from.
    """
    table = store.match_columns()
    if len(table) < SMALLEST_TRAINING:
        raise NotUsable(
            f"{len(table)} records teach too little: at least {SMALLEST_TRAINING} are needed; the "
            "shipped model is used as it is"
        )
    trained = train_model(table, settings, prior or uk_person())
    before = _keep(model_file) if model_file.exists() else None
    write_whole(model_file, trained.model.to_json())
    return TrainReport(
        records=len(table),
        before=before,
        model=trained.model.hash,
        rounds=trained.rounds,
        change=trained.change,
        passes={name: dict(found) for name, found in trained.passes.items()},
        trained=trained,
    )


def _keep(model_file: Path) -> str:
    """Copies the old model to a name of its own; its hash, or that of its bytes where they are no
    model that this program can read."""
    data = model_file.read_bytes()
    try:
        name = Model.from_json(data).hash
    except InvalidValue:
        name = hashlib.sha256(data).hexdigest()
    write_whole(kept_file(model_file, name), data)
    return name
