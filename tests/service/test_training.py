"""Training a workspace's model: what it learns from, what it keeps, when it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from linkage.model import ColumnSpec, Model, uk_person
from schemas.errors import NotUsable
from schemas.settings_file import parse_settings
from service import training
from service.ports import Store
from service.training import train_model, train_workspace
from service.training_summary import train_document, train_lines
from tests.functional.small import SETTINGS, clients
from tests.linkage.people import people_table

PEOPLE = 150
PARTNERSHIP = parse_settings(
    SETTINGS.format(actor="a", role="data_team", database="x", batch_units=3, settle=0)
)


class Holding:
    """A store of which nothing but its match columns is asked."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def match_columns(self) -> pa.Table:
        return self.table


def records(people: int = PEOPLE, moved: int = 0) -> pa.Table:
    """Each of the people in two sources; of every ten, so many moved in between."""
    rows: list[dict[str, Any]] = []
    for source in ("pas", "gp"):
        for n, client in enumerate(clients(people)):
            away = source == "gp" and n % 10 < moved
            rows.append(
                {
                    "source": source,
                    "given": [client.given],
                    "family": [client.family],
                    "birth_date": client.birth_date,
                    "gender": client.gender,
                    "nhs_number": client.nhs_number,
                    "postcode": ["EX1 1EX" if away else client.postcode],
                    "address": [f"{n} Away Road" if away else client.street],
                }
            )
    return people_table(rows)


def store(table: pa.Table) -> Store:
    return cast("Store", Holding(table))


@pytest.fixture
def model_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(training, "SMALLEST_TRAINING", 2 * PEOPLE)
    return tmp_path / "model.json"


def test_the_first_training_has_no_model_to_keep(model_file: Path) -> None:
    report = train_workspace(store(records()), PARTNERSHIP, model_file)
    assert (report.records, report.before) == (2 * PEOPLE, None)
    assert [path.name for path in model_file.parent.iterdir()] == ["model.json"]
    assert Model.from_json(model_file.read_bytes()).hash == report.model


def test_one_record_too_few_teaches_nothing(model_file: Path) -> None:
    held = records().slice(1)
    with pytest.raises(NotUsable, match=f"{2 * PEOPLE - 1} records teach too little"):
        train_workspace(store(held), PARTNERSHIP, model_file)
    assert list(model_file.parent.iterdir()) == []


def test_each_model_that_is_replaced_is_kept_once(model_file: Path) -> None:
    hashes = []
    for moved in (0, 5, 0):
        report = train_workspace(store(records(moved=moved)), PARTNERSHIP, model_file)
        assert report.before == (hashes[-1] if hashes else None)
        hashes.append(report.model)
    assert hashes[0] == hashes[2] != hashes[1]
    kept = {path.name: path for path in model_file.parent.iterdir() if path != model_file}
    assert set(kept) == {f"model-{hash_[:12]}.json" for hash_ in hashes[:2]}
    for name, path in kept.items():
        assert Model.from_json(path.read_bytes()).hash.startswith(name[6:18])


def test_what_moves_more_counts_for_less(model_file: Path) -> None:
    found = {}
    for moved in (0, 5):
        train_workspace(store(records(moved=moved)), PARTNERSHIP, model_file)
        model = Model.from_json(model_file.read_bytes())
        found[moved] = model.field("postcode").levels[0].m
    assert found[0] > found[5] + 0.05


def test_the_order_of_records_teaches_nothing() -> None:
    held = records(moved=3)
    turned = held.take(pa.array(np.arange(len(held))[::-1]))
    models = [train_model(table, PARTNERSHIP, uk_person()).model for table in (held, turned)]
    assert models[0].to_json() == models[1].to_json()


def test_a_prior_is_kept_in_what_training_does_not_learn(model_file: Path) -> None:
    prior = msgspec.structs.replace(
        uk_person(),
        name="ours",
        rules=uk_person().rules[:3],
        columns=(ColumnSpec("ethnicity", "category"),),
        guards=uk_person().guards[:2],
    )
    train_workspace(store(records()), PARTNERSHIP, model_file, prior=prior)
    model = Model.from_json(model_file.read_bytes())
    for name in ("name", "rules", "columns", "guards"):
        assert getattr(model, name) == getattr(prior, name)
    assert model.provenance == {"prior": prior.hash, "records": str(2 * PEOPLE)}


def test_the_summary_says_what_the_report_holds(model_file: Path) -> None:
    report = train_workspace(store(records()), PARTNERSHIP, model_file)
    document = train_document(report)
    assert document["model"] == report.model
    assert document["passes"] == report.passes
    assert msgspec.json.decode(msgspec.json.encode(document)) == document
    lines = train_lines(report)
    assert len(lines) == len(report.passes) + 2
    assert all(any(line.startswith(name) for line in lines) for name in report.passes)
    assert report.model[:12] in lines[-1]
