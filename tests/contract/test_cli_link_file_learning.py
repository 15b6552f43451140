"""What link-file learns from: models, priors, judged pairs; and what it writes down of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from linkage.model import Model, uk_person
from tests.contract.link_file import PEOPLE, link, linked, people, table, two_files, written


def test_a_saved_model_gives_the_same_persons_and_learns_nothing(tmp_path: Path) -> None:
    files, saved = two_files(tmp_path), tmp_path / "model.json"
    first = linked(tmp_path, *files, "--save-model", saved)
    again = linked(tmp_path, *files, "--model", saved, out="again.csv")
    assert again.equals(first)
    document = link(
        tmp_path, *files, "--model", saved, "--out", tmp_path / "out.csv", "--json"
    ).document
    model = Model.from_json(saved.read_bytes())
    assert document["model"] == model.hash
    assert document["join_bits"] == model.join_bits
    half = linked(tmp_path, files[0], "--model", saved, out="half.csv")
    assert len(half) == len(first) // 2
    assert saved.read_bytes() == model.to_json()
    assert saved.stat().st_mode & 0o077 == 0, "for the owner's eyes"


def test_a_prior_keeps_its_rules_and_is_learnt_from(tmp_path: Path) -> None:
    text = json.loads(uk_person().to_json())
    text["rules"] = text["rules"][1:3]
    prior, saved = tmp_path / "prior.json", tmp_path / "model.json"
    prior.write_text(json.dumps(text))
    linked(tmp_path, *two_files(tmp_path), "--prior", prior, "--save-model", saved)
    model = Model.from_json(saved.read_bytes())
    assert [rule.name for rule in model.rules] == [rule["name"] for rule in text["rules"]]
    assert model.provenance["prior"] == Model.from_json(prior.read_bytes()).hash
    assert model.field("family") != uk_person().field("family")


def test_labels_move_what_is_learnt(tmp_path: Path) -> None:
    """Judged pairs say that one person's given name often differs, which the data do not show."""
    one, two = two_files(tmp_path)
    ids = [client.local_id for client in people()]
    pairs = pd.DataFrame(
        {
            "left_id": ["a" + i for i in ids],
            "right_id": ["b" + j for j in ids[7:] + ids[:7]],
            "match": "true",
        }
    )
    labels = written(tmp_path, "labels.csv", pairs)
    differs = {}
    for name, extra in (("plain", []), ("taught", ["--labels", labels])):
        saved = tmp_path / f"{name}.json"
        linked(tmp_path, one, two, "--save-model", saved, *extra, out=f"{name}.csv")
        model = Model.from_json(saved.read_bytes())
        differs[name] = model.field("birth_date").levels[-1].m
    assert differs["taught"] > 2 * differs["plain"]


def judged(**changes: Any) -> pd.DataFrame:
    """Two judged pairs, with columns changed or (None) left out."""
    columns: dict[str, Any] = {
        "left_id": ["aL0", "aL1"], "right_id": ["bL0", "bL2"], "match": ["true", "false"], **changes
    }  # fmt: skip
    return pd.DataFrame({name: values for name, values in columns.items() if values is not None})


BAD_LABELS: dict[str, tuple[pd.DataFrame, str]] = {
    "no judgement": (judged(match=None), "no column 'match'"),
    "no right id": (judged(right_id=None), "no column 'right_id'"),
    "an id that is nobody's": (judged(left_id=["aL0", "Zqx"]), "1 values of 'left_id'"),
    "an id that is empty": (judged(left_id=["aL0", ""]), "1 values of 'left_id'"),
    "a judgement that is neither": (judged(match=["true", "perhaps Zqx"]), "neither true nor"),
    "a judgement left empty": (judged(match=["true", ""]), "neither true nor"),
    "a record with itself": (judged(right_id=["bL0", "aL1"]), "with itself"),
    "judged both ways": (
        judged(left_id=["aL0", "bL0"], right_id=["bL0", "aL0"]), "1 pairs are judged both ways",
    ),
    "no pair": (judged(left_id=[], right_id=[], match=[]), "no judged pair"),
}  # fmt: skip


@pytest.mark.parametrize(("labels", "said"), BAD_LABELS.values(), ids=BAD_LABELS)
def test_labels_that_cannot_be_learnt_from(tmp_path: Path, labels: pd.DataFrame, said: str) -> None:
    one = written(tmp_path, "one.csv", table(PEOPLE, "a"))
    two = written(tmp_path, "two.csv", table(PEOPLE, "b"))
    path = written(tmp_path, "labels.csv", labels)
    ended = link(tmp_path, one, two, "--labels", path, "--out", tmp_path / "out.csv")
    assert (ended.code, ended.out) == (4, "")
    assert said in ended.err
    assert "Zqx" not in ended.err
    assert not (tmp_path / "out.csv").exists()


def test_labels_of_ids_that_two_sources_share_need_the_source(tmp_path: Path) -> None:
    one = written(tmp_path, "one.csv", table(PEOPLE, ""))
    two = written(tmp_path, "two.csv", table(PEOPLE, ""))
    pairs = judged(left_id=["L0", "L1"], right_id=["L0", "L2"])
    labels = written(tmp_path, "labels.csv", pairs)
    asked = [one, two, "--labels", labels, "--out", tmp_path / "out.csv"]
    ended = link(tmp_path, *asked)
    assert ended.code == 4
    assert "'left_source'" in ended.err
    written(tmp_path, "labels.csv", pairs.assign(left_source="one", right_source="two"))
    ended = link(tmp_path, *asked)
    assert ended.code == 0, ended.said


def test_a_frozen_model_learns_from_nothing(tmp_path: Path) -> None:
    model = tmp_path / "model.json"
    model.write_bytes(uk_person().to_json())
    one = written(tmp_path, "one.csv", table(PEOPLE, "a"))
    labels = written(tmp_path, "labels.csv", judged(right_id=["aL2", "aL3"]))
    for option, path in (("--labels", labels), ("--prior", model)):
        ended = link(tmp_path, one, "--model", model, option, path, "--out", tmp_path / "out.csv")
        assert ended.code == 4, option
        assert "learns nothing" in ended.err


def test_labels_are_never_written_over(tmp_path: Path) -> None:
    one = written(tmp_path, "one.csv", table(PEOPLE, "a"))
    labels = written(tmp_path, "labels.csv", judged(right_id=["aL2", "aL3"]))
    before = labels.read_bytes()
    assert link(tmp_path, one, "--labels", labels, "--out", labels).code == 4
    assert labels.read_bytes() == before
