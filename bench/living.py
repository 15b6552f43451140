"""`python -m bench.living`: the nights after the first, from feed to published, as they grow.

A demo of a few sizes (2.5 records a person, no care items) has its first night. Then comes a night
that brings about 1 % of the records new or changed, in feeds of what changed; then one that brings
nothing. Each is the command `commonthread nightly` as a whole process. Reported are its wall time,
its own stages, and its peak memory. Feeds that are a whole list each night are left out: what they
cost is reading them, whatever they bring.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from bench.engines import Run, watched
from bench.linkage import machine
from bench.sets import PROGRAM
from demo import nights
from demo.layouts import LAYOUTS

RESULTS = Path(__file__).parent / "results"
NEW, CHANGED = 0.004, 0.012
"""Shares of the people that a night brings: with those, about 1 % of the records."""


def main() -> None:
    """Measures, prints, and keeps the figures in bench/results/living.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, nargs="*", default=[40_000, 400_000])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    document: dict[str, Any] = {"machine": machine(), "sizes": []}
    print(document["machine"])
    for people in options.people:
        with tempfile.TemporaryDirectory(prefix="commonthread-living-") as folder:
            document["sizes"].append(measure(Path(folder) / "partnership", people, options.seed))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "living.json").write_text(json.dumps(document, indent=1) + "\n")


def measure(root: Path, people: int, seed: int) -> dict[str, Any]:
    """The first night, one of 1 %, and one of nothing, of a demo of so many people."""
    watched([PROGRAM, "-w", root, "demo", "--people", str(people), "--seed", str(seed),
             "--items-per-person", "0"])  # fmt: skip
    found: dict[str, Any] = {"people": people, "nights": {}}
    for name in ("first", "1 %", "nothing new"):
        if name == "1 %":
            _write_changes(root)
        run = watched([PROGRAM, "-w", root, "nightly", "--json"])
        found["nights"][name] = _figures(run)
        print(_line(people, name, found["nights"][name]))
    return found


def _write_changes(root: Path) -> None:
    """A night's feeds, but those that are whole lists."""
    nights.NEW_PEOPLE, nights.CHANGED_PEOPLE = NEW, CHANGED
    for path in nights.generate_night(root, 1).files:
        system = path.relative_to(root / "inbox").parts[0]
        if system in LAYOUTS and LAYOUTS[system].whole_list:
            path.unlink()


def _figures(run: Run) -> dict[str, Any]:
    document = json.loads(run.output or "{}")
    return {
        "wall": run.wall,
        "peak_bytes": run.peak_bytes,
        "records": document["link"]["records"],
        "told": sum(source["new"] + source["changed"] for source in document["sources"]),
        "compared": document["link"]["compared"],
        "seconds": document["seconds"],
    }


def _line(people: int, name: str, one: dict[str, Any]) -> str:
    stages = ", ".join(f"{stage} {s:.2f}" for stage, s in one["seconds"].items() if s >= 0.01)
    return (
        f"{people:>9,} people {name:12} {one['told']:>9,} units new or changed  "
        f"wall {one['wall']:7.1f} s  peak {one['peak_bytes'] / 1e9:5.2f} GB  "
        f"compared {one['compared']:>9,}  ({stages})"
    )


if __name__ == "__main__":
    main()
