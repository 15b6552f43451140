"""`python -m bench.detection`: what detection finds in a simulated year, and what it costs.

Rules:
- A year of 2,000,000 accesses (`--ten-million`: 10,000,000) in months, as nights would bring them:
  each month is looked at with the history of those before it.
- Seed 1 is the one that the rules were built with; what is reported is of other seeds.
- A planted case is found if an alert names one of its events. A look-alike that an alert names
  stands beside it. An alert that names no event of a snoop counts as false, though some of them
  are what their rule is for (a broken glass that no contact bore out): precision is of the planted
  alone.
- Seconds are of the processor, because the machine may be shared; memory is the process's peak.
"""

from __future__ import annotations

import argparse
import json
import resource
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import pandas as pd

from audit.detect import detect
from audit.detect_periods import History
from demo.accesses import Year, simulate

RESULTS = Path(__file__).parent / "results"


def measure(accesses: int, seed: int, cases: int) -> dict[str, Any]:
    """One year, simulated and searched."""
    began, clock = process_time(), perf_counter()
    year = simulate(accesses, seed, cases)
    simulated = process_time() - began
    memory = _peak()
    began = process_time()
    found = search(year)
    searched = process_time() - began
    told = judged(year, found)
    return {
        "seed": seed, "events": len(year), "people": len(year.people), "staff": len(year.staff),
        "ties": len(year.ties.person), "simulate_s": round(simulated, 1),
        "detect_s": round(searched, 1), "wall_s": round(perf_counter() - clock, 1),
        "simulate_mb": memory, "peak_mb": _peak(), **told,
    }  # fmt: skip


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def search(year: Year) -> dict[str, Any]:
    """Alerts and evidence of all months, and how looks are explained."""
    history, alerts, evidence = History(), [], []
    levels: dict[str, int] = {}
    number = 0
    for month in year.months():
        seen = detect(month, year.facts, history)
        history = seen.history
        alerts.append(seen.alerts)
        evidence.append(seen.evidence.assign(alert=seen.evidence.alert + number))
        number += len(seen.alerts)
        for name, count in seen.by_level.items():
            levels[name] = levels.get(name, 0) + count
    return {
        "alerts": pd.concat(alerts, ignore_index=True),
        "evidence": pd.concat(evidence, ignore_index=True),
        "levels": levels,
    }


def judged(year: Year, found: dict[str, Any]) -> dict[str, Any]:
    """Recall and look-alikes by kind, precision, alerts per 1,000 events, share explained."""
    labels, evidence = year.labels, found["evidence"]
    case_of = {leaf: case for case, leaves in zip(labels.case, labels.leaves, strict=True)
               if isinstance(leaves, list) for leaf in leaves}  # fmt: skip
    evidence = evidence.assign(case=evidence.leaf.map(case_of))
    named = set(evidence.case.dropna().astype(int))
    guilty = set(labels.case[labels.guilty])
    right = set(evidence.alert[evidence.case.isin(guilty)])
    kinds = {
        str(kind): {
            "planted": int(part.guilty.sum()),
            "found": len(named & set(part.case[part.guilty])),
            "alike": int((~part.guilty).sum()),
            "alike_named": len(named & set(part.case[~part.guilty])),
        }
        for kind, part in labels.groupby("kind", sort=False)
    }
    levels = found["levels"]
    looks = sum(levels.values())
    wrong = evidence[~evidence.alert.isin(right)]
    reasons = wrong.groupby("alert").rule.agg(lambda rules: " + ".join(sorted(set(rules))))
    return {
        "looks": looks,
        "explained": round(1 - levels["none"] / looks, 4),
        "levels": levels,
        "alerts": len(found["alerts"]),
        "alerts_per_1000": round(1000 * len(found["alerts"]) / len(year), 3),
        "planted": len(guilty),
        "found": len(named & guilty),
        "precision": round(len(right) / max(1, len(found["alerts"])), 3),
        "kinds": kinds,
        "false": reasons.value_counts().head(12).to_dict(),
    }


def _print(one: dict[str, Any]) -> None:
    print(
        f"\nseed {one['seed']}: {one['events']:,} events, {one['people']:,} people,"
        f" {one['staff']:,} staff; {one['explained']:.1%} of {one['looks']:,} looks explained;"
        f" {one['alerts']:,} alerts ({one['alerts_per_1000']} per 1,000), planted found"
        f" {one['found']} of {one['planted']}, precision {one['precision']:.0%}; simulated in"
        f" {one['simulate_s']} s, searched in {one['detect_s']} s of processor, peak"
        f" {one['peak_mb']:,} MB"
    )
    print("| kind | planted | found | look-alikes | named |\n|---|---|---|---|---|")
    for kind, n in one["kinds"].items():
        print(f"| {kind} | {n['planted']} | {n['found']} | {n['alike']} | {n['alike_named']} |")
    for rules, count in one["false"].items():
        print(f"  {count:5} of no planted snoop: {rules}")


def main() -> None:
    """Measures, prints, and keeps the figures in bench/results/detection*.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ten-million", action="store_true")
    parser.add_argument("--accesses", type=int, default=2_000_000)
    parser.add_argument("--seeds", type=int, nargs="*", default=[2, 3])
    parser.add_argument("--cases", type=int, default=12)
    options = parser.parse_args()
    accesses = 10_000_000 if options.ten_million else options.accesses
    found = []
    for seed in options.seeds[: 1 if options.ten_million else None]:
        found.append(measure(accesses, seed, options.cases))
        _print(found[-1])
    name = "detection_ten_million" if options.ten_million else "detection"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
