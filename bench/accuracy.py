"""`make evaluate`: the demo partnership under several seeds, each from feeds to published persons.

Every seed makes its own partnership, runs the night through the command line and is compared with
its truth, beside both baselines. Counts are added up over the seeds; the headline figure is the
share of persons that show another person's record, with its exact upper 95 % bound.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from linkage.metrics import interval, upper_bound

PROGRAM = str(Path(sys.executable).parent / "commonthread")


def main() -> None:
    """Prints the table and keeps the figures in bench/results/accuracy.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=[401, 402, 403, 404, 405])
    parser.add_argument("--people", type=int, default=20_000)
    options = parser.parse_args()
    found = {}
    for seed in options.seeds:
        found[seed] = _evaluate(options.people, seed)
        ours = found[seed]["engines"]["commonthread"]
        print(
            f"seed {seed}: mixed {ours['mixed_persons']} of {ours['persons']:,} persons, "
            f"precision {ours['precision']:.5f}, recall {ours['recall']:.4f}"
        )
    _print_engines(list(found.values()))
    _print_groups(list(found.values()))
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "accuracy.json").write_text(json.dumps(found, indent=1))


def _evaluate(people: int, seed: int) -> dict:
    with tempfile.TemporaryDirectory(prefix="commonthread-bench-") as folder:
        root = ["-w", f"{folder}/partnership"]
        size = ["--people", str(people), "--seed", str(seed), "--items-per-person", "0.5"]
        for command in (["demo", *size], ["nightly"]):
            subprocess.run([PROGRAM, *root, *command], check=True, capture_output=True)
        done = subprocess.run(
            [PROGRAM, *root, "evaluate", "--json"], check=True, capture_output=True, text=True
        )
    return json.loads(done.stdout)


def _print_engines(found: list[dict]) -> None:
    print(f"\n{'partition':42} mixed  per 100k  upper 95 %  precision  recall   B3 p     B3 r")
    for name in found[0]["engines"]:
        runs = [f["engines"][name] for f in found]
        mixed, persons = (sum(r[k] for r in runs) for k in ("mixed_persons", "persons"))
        mean = {
            k: sum(r[k] for r in runs) / len(runs)
            for k in ("precision", "recall", "b3_precision", "b3_recall")
        }
        print(
            f"{name:42} {mixed:5d}  {1e5 * mixed / persons:8.1f}  "
            f"{1e5 * upper_bound(mixed, persons):10.1f}  {mean['precision']:9.5f}  "
            f"{mean['recall']:.4f}  {mean['b3_precision']:.5f}  {mean['b3_recall']:.4f}"
        )


def _print_groups(found: list[dict]) -> None:
    for kind in found[0]["recall"]:
        totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for run in found:
            for group, (hit, there) in run["recall"][kind].items():
                totals[group][0] += hit
                totals[group][1] += there
        print(f"\nmissed-match rate by {kind}, with its 95 % interval (Clopper-Pearson)")
        for group, (hit, there) in sorted(totals.items()):
            low, high = interval(there - hit, there)
            missed = (there - hit) / there if there else 0.0
            print(f"  {group:20} {there:9,} true pairs  {missed:7.2%}  {low:7.2%} to {high:7.2%}")
    planted: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for run in found:
        for kind, (records, mixed) in run["planted"].items():
            planted[kind][0] += records
            planted[kind][1] += mixed
    print("\nplanted cases: records, of them in a mixed person")
    for kind, (records, mixed) in sorted(planted.items()):
        print(f"  {kind:30} {records:7,} {mixed:5}")


if __name__ == "__main__":
    main()
