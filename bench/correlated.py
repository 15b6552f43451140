"""`python -m bench.correlated`: does modelling fields that move together make probabilities truer?

Three cases with truth, each trained and scored twice, with fields held independent and with the
dependence that training finds:

- *movers*: two records of each of many single people; a third have moved between them, and
  postcode, address and telephone changed together; nothing else depends on anything;
- *people*: records of `bench.people`, with families, namesakes and many kinds of slip;
- *people without date of birth*: the same, where the correlated fields must carry the weight.

Compared are probability and observed share of matches, over a sample that stands for all pairs that
the rules propose:

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
import pyarrow as pa
import pyarrow.parquet as pq

from linkage import charts, link

RESULTS = Path(__file__).parent / "results"
PLOT = Path(__file__).parent.parent / "docs" / "images" / "calibration.png"
BINS = np.linspace(0.0, 1.0, 11)
LEFT_OUT = {
    "movers": ("nhs_number", "date_of_birth"),
    "people": ("nhs_number",),
    "people without date of birth": ("nhs_number", "date_of_birth"),
}
"""Case → columns that are left out."""
MOVED, SLIPS = 0.33, 0.05


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
    for case, left_out in LEFT_OUT.items():
        records, person = movers(table, truth) if case == "movers" else (table, truth)
        for dependence in (False, True):
            linked = link(
                records.drop_columns(list(left_out)), source_column="source", dependence=dependence
            )
            rows, sample = linked.features.row, linked.sample
            match = person[rows[sample.left]] == person[rows[sample.right]]
            name = "dependent" if dependence else "independent"
            figures = measure(sample.match, match, sample.weight)
            bonds = [f"{bond.one} with {bond.two}" for bond in linked.model.dependence]
            found.append({"case": case, "fields held": name, **figures, "bonds": bonds})
            print(
                f"{case:30} {name:12} ECE {figures['ece']:.5f}, of unclear pairs "
                f"{figures['ece_unclear']:.4f}; {'; '.join(bonds)}"
            )
            if case == "movers":
                curves.append(curve(sample.match, match, sample.weight).assign(model=name))
    (RESULTS / "correlated.json").write_text(json.dumps(found, indent=1))
    PLOT.write_bytes(charts.to_png(charts.reliability(pd.concat(curves))))


def movers(table: pa.Table, truth: np.ndarray) -> tuple[pa.Table, np.ndarray]:
    """Two records of each of a third of the people; the others' homes are there to move into."""
    rng = np.random.default_rng(0)
    frame = table.to_pandas().assign(person=truth).drop_duplicates("person").dropna()
    frame = frame.drop_duplicates("address").sample(frac=1.0, random_state=0, ignore_index=True)
    n = len(frame) // 3
    first, second, homes = frame[:n].copy(), frame[:n].copy(), frame[n : 2 * n]
    moved = rng.random(n) < MOVED
    for column in ("postcode", "address", "phone"):
        second.loc[moved, column] = homes[column].to_numpy()[moved]
    for column in ("given_name", "family_name", "postcode", "address", "phone"):
        slip = rng.random(n) < SLIPS
        second.loc[slip, column] = second.loc[slip, column].str.slice(0, -1)
    both = pd.concat([first, second.assign(source="later")], ignore_index=True)
    both["record_id"] = np.arange(len(both))
    return pa.Table.from_pandas(both.drop(columns="person")), both["person"].to_numpy()


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
