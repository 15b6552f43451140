"""train as scripts depend on it: what it says, what it keeps, whom it refuses, what survives it."""

from __future__ import annotations

import errno
import json
import os
import signal
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from linkage.model import Model, uk_person
from service import linking, model_files, training
from tests.functional import killer, road
from tests.functional.killer import SMALLEST_TRAINING
from tests.functional.small import clients, new_workspace, put_all, rewrite_settings
from tests.processes import split_off

PEOPLE = 40
RECORDS = 3 * PEOPLE


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace after its first night: too few records to train on, so the model is the shipped
    one."""
    root = new_workspace(tmp_path_factory.mktemp("train") / "p")
    put_all(root, clients(PEOPLE))
    road.done(root, "nightly")
    assert (root / "model.json").read_bytes() == uk_person().to_json()
    return root


@pytest.fixture
def workspace(loaded: Path, tmp_path: Path) -> Path:
    return road.copy_of(loaded, tmp_path / "p")


@pytest.fixture
def little_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (training, linking):
        monkeypatch.setattr(module, "SMALLEST_TRAINING", SMALLEST_TRAINING)


def models(root: Path) -> dict[str, bytes]:
    """The model files of a workspace, what is half-written among them."""
    return {path.name: path.read_bytes() for path in root.glob("model*")}


def kept_name(model: Model) -> str:
    return f"model-{model.hash[:12]}.json"


@pytest.mark.usefixtures("little_is_enough")
def test_train_as_json_is_one_document_and_nothing_else(workspace: Path) -> None:
    ended = road.done(workspace, "train", "--json")
    assert ended.err == ""
    document = ended.document
    assert document["records"] == RECORDS
    assert document["model_before"] == uk_person().hash
    assert document["model"] == Model.from_json((workspace / "model.json").read_bytes()).hash
    assert 0 < document["rounds"] <= 100
    assert set(document["passes"]) <= {"random", *(rule.name for rule in uk_person().rules)}
    for found in document["passes"].values():
        assert found["match"] + found["relative"] + found["stranger"] == pytest.approx(1)
        assert 0 < found["compared"] <= found["proposed"]


@pytest.mark.usefixtures("little_is_enough")
def test_train_says_what_taught_and_that_the_model_is_frozen(workspace: Path) -> None:
    said = road.done(workspace, "train").out
    assert "NHS number" in said
    assert f"{RECORDS} records" in said
    hash_ = Model.from_json((workspace / "model.json").read_bytes()).hash
    assert f"model {hash_[:12]} is frozen" in said


@pytest.mark.usefixtures("little_is_enough")
def test_a_training_is_written_down(workspace: Path) -> None:
    before = len(road.events(workspace))
    road.done(workspace, "train")
    (event,) = road.events(workspace)[before:]
    assert (event["action"], event["outcome"], event["role"]) == ("train", "permitted", "data_team")
    assert event["purpose"] == "data-quality"
    assert event["details"]["records"] == RECORDS


@pytest.mark.usefixtures("little_is_enough")
@pytest.mark.parametrize(
    ("role", "purpose"),
    [("operator", "data-quality"), ("ig_officer", "audit"), ("data_team", "direct-care")],
)
def test_whom_the_table_does_not_name_is_refused(workspace: Path, role: str, purpose: str) -> None:
    rewrite_settings(workspace, role=role)
    before, events = models(workspace), len(road.events(workspace))
    ended = road.call(workspace, "train", "--purpose", purpose, "--report", workspace / "t.html")
    assert (ended.code, ended.out) == (6, "")
    assert models(workspace) == before
    assert not (workspace / "t.html").exists()
    (event,) = road.events(workspace)[events:]
    assert (event["action"], event["outcome"]) == ("train", "refused")


def test_too_few_records_teach_nothing_and_change_nothing(workspace: Path) -> None:
    before = models(workspace)
    ended = road.call(workspace, "train")
    assert (ended.code, ended.out) == (4, "")
    assert f"{RECORDS} records teach too little" in ended.err
    assert str(training.SMALLEST_TRAINING) in ended.err
    assert models(workspace) == before


@pytest.mark.usefixtures("little_is_enough")
def test_the_old_model_is_kept_and_the_next_link_publishes_under_the_new_one(
    workspace: Path,
) -> None:
    assert road.done(workspace, "link", "--json").document["run_id"] is None, "nothing is new"
    new = road.done(workspace, "train", "--json").document["model"]
    assert models(workspace)[kept_name(uk_person())] == uk_person().to_json()
    linked = road.done(workspace, "link", "--json").document
    assert (linked["run_id"], linked["model"]) == (2, new)
    assert linked["records"] == RECORDS, "every pair is decided anew"
    assert road.done(workspace, "link", "--json").document["run_id"] is None, "and then no more"

    (workspace / kept_name(uk_person())).replace(workspace / "model.json")
    back = road.done(workspace, "link", "--json").document
    assert (back["run_id"], back["model"]) == (3, uk_person().hash)


@pytest.mark.usefixtures("little_is_enough")
def test_the_same_records_teach_the_same(workspace: Path) -> None:
    """The prior is the shipped model, not the last one: trainings do not add up."""
    first = road.done(workspace, "train", "--json").document
    road.done(workspace, "link")
    again = road.done(workspace, "train", "--json").document
    assert again["model"] == again["model_before"] == first["model"]
    assert road.done(workspace, "link", "--json").document["run_id"] is None


@pytest.mark.usefixtures("little_is_enough")
def test_a_prior_is_what_the_training_starts_from(workspace: Path) -> None:
    text = json.loads(uk_person().to_json())
    text["rules"] = text["rules"][:2]
    prior = Model.from_json(json.dumps(text).encode())
    path = workspace / "prior.json"
    path.write_bytes(prior.to_json())
    road.done(workspace, "train", "--prior", path)
    trained = Model.from_json((workspace / "model.json").read_bytes())
    assert trained.rules == prior.rules
    assert trained.provenance["prior"] == prior.hash
    assert path.read_bytes() == prior.to_json()


@pytest.mark.usefixtures("little_is_enough")
@pytest.mark.parametrize("content", [b"", b"{}", uk_person().to_json()[:4000], b"id,name\n1,x\n"])
def test_a_prior_that_is_no_model_changes_nothing(workspace: Path, content: bytes) -> None:
    path = workspace / "prior.json"
    path.write_bytes(content)
    before = models(workspace)
    ended = road.call(workspace, "train", "--prior", path)
    assert (ended.code, ended.out) == (4, "")
    assert "not a model file" in ended.err
    assert models(workspace) == before


@pytest.mark.usefixtures("little_is_enough")
@pytest.mark.parametrize("content", [b"", b'{"format": 1}', uk_person().to_json()[:4000]])
def test_a_model_that_cannot_be_read_is_replaced_and_kept(workspace: Path, content: bytes) -> None:
    """A file of an older program, or one cut in half: training anew is the way out."""
    (workspace / "model.json").write_bytes(content)
    ended = road.call(workspace, "link")
    assert ended.code == 4
    assert "model" in ended.err
    before = road.persons(workspace)
    road.done(workspace, "train")
    assert content in [data for name, data in models(workspace).items() if name != "model.json"]
    road.done(workspace, "link")
    assert set(road.persons(workspace)) == set(before)


@pytest.mark.usefixtures("little_is_enough")
def test_the_page_is_one_file_that_loads_nothing(workspace: Path, tmp_path: Path) -> None:
    page = tmp_path / "training.html"
    road.done(workspace, "train", "--report", page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    for section in ("Match weights", "Convergence", "Parameters", "NHS number"):
        assert section in text
    assert page.stat().st_mode & 0o077 == 0, "for the owner's eyes"
    assert list(tmp_path.glob("*.part")) == []


@pytest.mark.usefixtures("little_is_enough")
def test_a_page_that_has_no_place_is_told_before_anything_is_learnt(workspace: Path) -> None:
    before = models(workspace)
    ended = road.call(workspace, "train", "--report", workspace / "nosuch" / "t.html")
    assert ended.code == 4
    assert "folder is not there" in ended.err
    assert models(workspace) == before


@pytest.mark.usefixtures("little_is_enough")
@pytest.mark.parametrize("nth", [1, 2], ids=["for the old one", "for the new one"])
def test_no_room_for_a_model_keeps_the_old_one(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    calls = count(1)

    def fsync(descriptor: int) -> None:
        if next(calls) == nth:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)

    monkeypatch.setattr(model_files, "os", SimpleNamespace(**vars(os) | {"fsync": fsync}))
    ended = road.call(workspace, "train")
    assert (ended.code, ended.out) == (4, "")
    assert "cannot be written (No space left on device)" in ended.err
    assert (workspace / "model.json").read_bytes() == uk_person().to_json()
    assert not list(workspace.glob("*.part"))
    road.done(workspace, "train")


# --- killed in the middle -----------------------------------------------------------------------

MOMENTS = {
    # moment: (target, nth call, before or after, whether the new model is in its place)
    "trained, nothing written": ("service.training:write_whole", 1, "before", False),
    "the old one half kept": ("pathlib:Path.replace", 1, "before", False),
    "the old one kept": ("service.training:write_whole", 1, "after", False),
    "the new one beside its place": ("pathlib:Path.replace", 2, "before", False),
    "the new one in its place, the event not written": (
        "service.training:write_whole", 2, "after", True,
    ),
}  # fmt: skip


def dies(told: list[str]) -> None:
    """The process that is killed."""
    training.SMALLEST_TRAINING = SMALLEST_TRAINING
    killer.main(told)


@pytest.mark.slow
@pytest.mark.usefixtures("little_is_enough")
@pytest.mark.parametrize(("target", "nth", "when", "replaced"), MOMENTS.values(), ids=MOMENTS)
def test_killed_in_the_middle_the_workspace_still_works(
    workspace: Path, tmp_path: Path, target: str, nth: int, when: str, replaced: bool
) -> None:
    undisturbed = road.copy_of(workspace, tmp_path / "undisturbed")
    road.done(undisturbed, "train")
    road.done(undisturbed, "link")

    published = road.persons(workspace)
    ended = split_off(dies, [target, nth, when, "--", "-w", workspace, "train"])
    assert ended.code == -signal.SIGKILL, ended.err
    found = Model.from_json((workspace / "model.json").read_bytes())
    assert (found.hash != uk_person().hash) == replaced, "one model or the other, and whole"
    assert road.persons(workspace) == published

    linked = road.done(workspace, "link", "--json").document
    assert linked["model"] == found.hash
    assert (linked["run_id"] is not None) == replaced

    road.done(workspace, "train")
    road.done(workspace, "link")
    assert models(workspace)["model.json"] == models(undisturbed)["model.json"]
    assert road.persons(workspace) == road.persons(undisturbed)
    assert not list(workspace.glob("*.part")), "nothing half-written is left lying"
