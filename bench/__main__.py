"""`make bench`: the nightly run by stage at growing sizes, each in a process of its own.

The last column of the growth table is the exponent between one size and the next: 1 is linear, and
n log n shows as 1.05 to 1.1 here. Sizes are told in people; records are about two and a half times
as many. Runs are repeated where they are short, and the spread is the machine's noise.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measures, prints, and keeps the figures in bench/results/nightly.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, nargs="*", default=[4_000, 20_000, 40_000, 400_000])
    parser.add_argument("--items", type=float, default=1.0, help="care items a person")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(_machine())
    runs = []
    for people in options.people:
        repeats = 3 if people <= 20_000 else 1
        found = [_night(people, options.seed, options.items) for _ in range(repeats)]
        runs.append(found)
        _print_size(found)
    _print_growth(runs)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "nightly.json").write_text(json.dumps(runs, indent=1))


def _night(people: int, seed: int, items: float) -> dict:
    command = [sys.executable, "-m", "bench.night", str(people), str(seed), str(items)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def _machine() -> str:
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores of {model}, {memory:.0f} GB, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}"
    )


def _print_size(found: list[dict]) -> None:
    first = found[0]
    print(f"\n{first['records']:,} records ({first['people']:,} people), {len(found)} run(s)")
    for name in first["formats"]:
        units = first["formats"][name]["units"]
        walls = [run["formats"][name]["wall"] for run in found]
        rates = ", ".join(f"{units / wall:,.0f}/s" for wall in sorted(walls))
        print(
            f"  ingest {name:10} {units:>10,.0f} units {statistics.median(walls):8.1f} s  {rates}"
        )
    for stage in first["link"]:
        seconds = statistics.median(run["link"][stage] for run in found)
        print(f"  {stage:28} {seconds:17.2f} s")
    print(
        f"  compared {first['compared']:,} pairs; peak memory {first['peak_mb']:,.0f} MB;", end=""
    )
    print(f" inbox {first['inbox_mb']:,.0f} MB; database {first['database_mb']:,.0f} MB")
    whole = statistics.median(_whole(run) for run in found)
    again = statistics.median(run["second_night"] for run in found)
    print(f"  whole night {whole:.1f} s; nothing new {again:.2f} s ({again / whole:.1%})")


def _whole(run: dict) -> float:
    return sum(f["wall"] for f in run["formats"].values()) + sum(run["link"].values())


def _print_growth(runs: list[list[dict]]) -> None:
    stages = {f"ingest {n}": ("formats", n) for n in runs[0][0]["formats"]}
    stages |= {s: ("link", s) for s in runs[0][0]["link"]}
    print("\ngrowth: seconds at each size, and the exponent between the last two")
    for label, (group, name) in stages.items():
        seconds = [
            statistics.median(
                run[group][name]["wall"] if group == "formats" else run[group][name]
                for run in found
            )
            for found in runs
        ]
        sizes = [found[0]["records"] for found in runs]
        exponent = math.nan
        if len(runs) > 1 and min(seconds[-2:]) > 0:
            exponent = math.log(seconds[-1] / seconds[-2]) / math.log(sizes[-1] / sizes[-2])
        cells = "  ".join(f"{s:9.2f}" for s in seconds)
        print(f"  {label:20} {cells}   {exponent:5.2f}")


if __name__ == "__main__":
    main()
