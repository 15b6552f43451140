"""`python -m bench.nights`: ten nights of change, each linked as it comes, against the truth.

After each night the published persons are compared with the truth and with a full link of a copy of
the workspace, which knows nothing of the nights before but the model. Prints a table and keeps the
figures in bench/results/nights.json.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from bench.__main__ import RESULTS
from demo.nights import Nights
from linkage.metrics import quality
from wiring import open_workspace

KEYS = ["source", "local_id"]
COLUMNS = ("records", "seconds", "full_seconds", "precision", "recall", "full_precision",
           "full_recall", "elsewhere", "protected_joined")  # fmt: skip


def main() -> None:
    """Measures, prints, and keeps the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--nights", type=int, default=10)
    parser.add_argument("--items", type=float, default=0.2, help="care items a person")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="commonthread-nights-") as folder:
        found = measure(Path(folder), options.people, options.nights, options.items, options.seed)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "nights.json").write_text(json.dumps(found, indent=1) + "\n")


def measure(
    folder: Path, people: int, nights: int, items: float, seed: int
) -> list[dict[str, Any]]:
    """One row of figures per night, printed as they come; night 0 is the first load."""
    root = folder / "partnership"
    _run(root, "demo", "--people", people, "--seed", seed, "--items-per-person", items)
    print(f"{'night':>5} " + " ".join(f"{name:>16}" for name in COLUMNS))
    world, rows = Nights(root), []
    for night in range(nights + 1):
        brought = asdict(world.write_next()) if night else {}
        brought.pop("files", None)
        row = {"night": night, **brought, **_night(root, folder / "full")}
        rows.append(row)
        print(f"{night:>5} " + " ".join(f"{row[name]:>16.6g}" for name in COLUMNS), flush=True)
    return rows


def _night(root: Path, copy: Path) -> dict[str, float]:
    """Runs the night, then a full link of a copy of what it left."""
    seconds = _run(root, "nightly", "--json")
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("inbox", "reports"))
    full_seconds = _run(copy, "link", "--full", "--json")
    ours, full = _persons(root), _persons(copy)
    shutil.rmtree(copy)
    found, whole = _quality(ours), _quality(full)
    both = ours.merge(full, on=KEYS, suffixes=("", "_full"), validate="one_to_one")
    return {
        "records": len(ours),
        "seconds": seconds,
        "full_seconds": full_seconds,
        "precision": found.precision,
        "recall": found.recall,
        "full_precision": whole.precision,
        "full_recall": whole.recall,
        "elsewhere": _elsewhere(both),
        "protected_joined": _protected_joined(ours),
    }


def _elsewhere(both: pd.DataFrame) -> int:
    """How many records do not have the same company in both."""
    names = ("person_id", "person_id_full")
    one, other = (both.groupby(name)["local_id"].transform("size") for name in names)
    together = both.groupby(list(names))["local_id"].transform("size")
    return int(((one != together) | (other != together)).sum())


def _persons(root: Path) -> pd.DataFrame:
    """Every published record with its person and the true one."""
    with open_workspace(root).store() as store:
        members = store.record_sources().join(store.memberships(), "record_id", join_type="inner")
    truth = pq.read_table(root / "truth.parquet").to_pandas()
    frame: pd.DataFrame = members.to_pandas()
    return frame.merge(truth, on=KEYS, how="inner", validate="one_to_one")


def _quality(frame: pd.DataFrame) -> Any:
    return quality(frame["person_id"].to_numpy(), frame["person"].to_numpy())


def _protected_joined(frame: pd.DataFrame) -> int:
    """People whose identity changed under protection and who are one person with who they were."""
    persons = frame.groupby("person")["person_id"].agg(set)
    after = [name for name in persons.index if name.endswith("-after")]
    return sum(
        bool(persons[name] & persons.get(name.removesuffix("-after"), set())) for name in after
    )


def _run(root: Path, *arguments: object) -> float:
    """Runs a command of the program; returns how many seconds it took."""
    program = str(Path(sys.executable).parent / "commonthread")
    began = perf_counter()
    command = [program, "-w", str(root), *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)
    return round(perf_counter() - began, 2)


if __name__ == "__main__":
    main()
