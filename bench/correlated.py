"""`python -m bench.correlated`: does modelling fields that move together make probabilities truer?

Records of `bench.people`, with truth. People who move change postcode, address and often telephone
at once; households share them. The same records are trained and scored twice, with fields held
independent and with the dependence that training finds, once with all fields and once without the
date of birth, where the correlated fields must carry the weight. Compared are probability and
observed share of matches, over a sample that stands for all pairs that the rules propose:

    expected calibration error = sum over ten bins of share of pairs * |mean probability - observed|

(Naeini, Cooper and Hauskrecht 2015), for all pairs, and for those that are not clear (between 1 %
and 99 %), because a million sure pairs hide what happens at the threshold.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from linkage import charts, link

RESULTS = Path(__file__).parent / "results"
PLOT = Path(__file__).parent.parent / "docs" / "images" / "calibration.png"
BINS = np.linspace(0.0, 1.0, 11)
FIELDS = {
    "all fields": ("nhs_number",),
    "without date of birth": ("nhs_number", "date_of_birth"),
}
"""Case → columns that are left out."""


def main() -> None:
    """Prints the table, keeps it in bench/results/correlated.json, draws the reliability curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    people = RESULTS / "correlated.parquet"
    command = [sys.executable, "-m", "bench.people", "--records", str(options.records)]
    subprocess.run([*command, "--seed", str(options.seed), "--out", str(people)], check=True)
    table = pq.read_table(people)
    truth = pq.read_table(people.with_suffix(".truth.parquet"))["person_id"].to_numpy()
    found, curves = [], []
    for case, left_out in FIELDS.items():
        for dependence in (False, True):
            linked = link(
                table.drop_columns(list(left_out)), source_column="source", dependence=dependence
            )
            rows, sample = linked.features.row, linked.sample
            match = truth[rows[sample.left]] == truth[rows[sample.right]]
            name = "dependent" if dependence else "independent"
            figures = measure(sample.match, match, sample.weight)
            bonds = [f"{bond.one} with {bond.two}" for bond in linked.model.dependence]
            found.append({"case": case, "fields held": name, **figures, "bonds": bonds})
            print(
                f"{case:24} {name:12} ECE {figures['ece']:.5f}, of unclear pairs "
                f"{figures['ece_unclear']:.4f}; {'; '.join(bonds)}"
            )
            if "birth" in case:
                curves.append(curve(sample.match, match, sample.weight).assign(model=name))
    (RESULTS / "correlated.json").write_text(json.dumps(found, indent=1))
    PLOT.write_bytes(charts.to_png(charts.reliability(pd.concat(curves))))


def curve(expected: np.ndarray, match: np.ndarray, weight: np.ndarray) -> pd.DataFrame:
    """Bin by bin: mean probability, observed share of matches, pairs."""
    bins = np.clip(np.digitize(expected, BINS) - 1, 0, len(BINS) - 2)
    rows = []
    for number in np.unique(bins):
        at = bins == number
        rows.append(
            {
                "bin": int(number),
                "expected": np.average(expected[at], weights=weight[at]),
                "observed": np.average(match[at], weights=weight[at]),
                "pairs": weight[at].sum(),
            }
        )
    return pd.DataFrame(rows)


def measure(expected: np.ndarray, match: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    """Expected calibration error of all pairs and of unclear ones, and the Brier score."""
    unclear = (expected > 0.01) & (expected < 0.99)
    out = {"brier": float(np.average((expected - match) ** 2, weights=weight))}
    for name, chosen in (("ece", np.ones(len(match), bool)), ("ece_unclear", unclear)):
        bins = curve(expected[chosen], match[chosen], weight[chosen])
        share = bins["pairs"] / bins["pairs"].sum()
        out[name] = float((share * (bins["expected"] - bins["observed"]).abs()).sum())
    return out


if __name__ == "__main__":
    main()
