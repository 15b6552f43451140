"""How the shipped model is made: `python -m bench.train_uk_person`.

The starting point is set by hand from the literature (`uk_person_base.json`). It is trained,
without labels, on the demo partnership under seeds that no accuracy figure uses. Half of what is
shipped is the mean over the seeds, half the starting point: synthetic records are cleaner than
life, and a prior that is sure of itself teaches dirty data slowly. Names are left out: their
frequencies belong to a place and are counted at each training.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import msgspec
import numpy as np

from bench.accuracy import PROGRAM
from linkage.model import KINDS, Model
from linkage.train import positive
from service.training import train_model
from wiring import open_workspace

BASE = Path(__file__).parent / "uk_person_base.json"
SHIPPED = Path(__file__).parent.parent / "linkage" / "data" / "uk_person.json"
SEEDS = (1, 2, 3)
PEOPLE = 20_000


def main() -> None:
    """Writes the shipped model."""
    base = Model.from_json(BASE.read_bytes())
    trained = [_trained(base, seed) for seed in SEEDS]
    fields = []
    for row, field in enumerate(base.fields):
        means = {
            kind: positive(
                np.mean(
                    [
                        [getattr(x, kind) for x in model.fields[row].levels]
                        for model in (*trained, *[base] * len(trained))
                    ],
                    axis=0,
                )
            )
            for kind in KINDS
        }
        levels = tuple(
            msgspec.structs.replace(level, **{kind: float(means[kind][i]) for kind in KINDS})
            for i, level in enumerate(field.levels)
        )
        fields.append(msgspec.structs.replace(field, levels=levels))
    shipped = msgspec.structs.replace(
        base,
        fields=tuple(fields),
        provenance={
            "base": base.hash,
            "method": "half set by hand from the literature, half EM without labels on "
            "synthetic partnerships",
            "people": str(PEOPLE),
            "seeds": " ".join(map(str, SEEDS)),
        },
    )
    SHIPPED.write_bytes(shipped.to_json())
    print(f"{SHIPPED.name}: {shipped.hash}")


def _trained(base: Model, seed: int) -> Model:
    with tempfile.TemporaryDirectory(prefix="commonthread-bench-") as folder:
        root = Path(folder) / "partnership"
        size = ["--people", str(PEOPLE), "--seed", str(seed), "--items-per-person", "0.2"]
        for command in (["demo", *size], ["ingest"]):
            done = [PROGRAM, "-w", str(root), *command]
            subprocess.run(done, check=True, capture_output=True)
        workspace = open_workspace(root)
        with workspace.store() as store:
            return train_model(store.match_columns(), workspace.settings, base).model


if __name__ == "__main__":
    main()
