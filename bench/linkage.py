"""`make bench-linkage`: time and memory of commonthread and its peers, at growing sizes.

Every run is a whole process over the same file of `bench.people`, without the NHS number: read,
train, link, group, write. Runs alternate (ours, Splink, ours, Splink ...), so that what else the
machine does falls on both; the ratio is of medians within one call of this command. The Python
Record Linkage Toolkit runs once. An engine is left out above its greatest size in `GREATEST`, or
stopped at the time limit, and a line says so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import altair as alt
import pandas as pd
import pyarrow.parquet as pq
import vl_convert

from bench.engines import Run, our_command, peer_command, watched
from bench.prior import write
from bench.sets import ARGUMENTS, PROGRAM, ROOT, peer_job
from linkage.metrics import dense, quality

RESULTS = Path(__file__).parent / "results"
PLOT = ROOT / "docs" / "images" / "linkage-growth.svg"
OURS = "commonthread"
GREATEST = {OURS: 10_000_000, "splink": 3_000_000, "recordlinkage": 1_000_000}
REPEATED = 1_000_000
"""Sizes up to this are run several times."""
"""Engine → most records it is tried on."""


def main() -> None:
    """Runs all, prints, keeps the figures in bench/results/linkage.json and draws the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=3, help="runs of ours and of Splink")
    parser.add_argument("--engines", nargs="*", choices=list(GREATEST), default=list(GREATEST))
    parser.add_argument("--limit", type=float, default=1_800.0, help="seconds a run may take")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--program", type=Path, default=PROGRAM, help="our command")
    parser.add_argument("--prior", type=Path, help="a model file to give to link-file")
    parser.add_argument("--work", type=Path, default=RESULTS / "people")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    document = {"machine": machine(), "load_before": os.getloadavg()[0], "sizes": []}
    print(f"{document['machine']}; load before {document['load_before']:.1f}")
    for size in options.sizes:
        document["sizes"].append(measure(size, options))
        (RESULTS / "linkage.json").write_text(json.dumps(document, indent=1))
    draw(document["sizes"])


def machine() -> str:
    """Cores, memory and Python of this machine."""
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = models[0] if models else platform.processor()
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GB, Python {platform.python_version()}"


def people_file(size: int, seed: int, work: Path) -> Path:
    """The records of this size without the NHS number; made where it is not there yet."""
    path = work / f"people-{size}-{seed}.parquet"
    if not path.exists():
        command = [sys.executable, "-m", "bench.people", "--records", str(size)]
        whole = work / "whole.parquet"
        subprocess.run([*command, "--seed", str(seed), "--out", str(whole)], check=True, cwd=ROOT)
        with pq.ParquetFile(whole) as source:
            kept = [name for name in source.schema_arrow.names if name != "nhs_number"]
            pq.write_table(source.read(columns=kept), path)
        whole.unlink()
        whole.with_suffix(".truth.parquet").rename(path.with_suffix(".truth.parquet"))
    return path


def measure(size: int, options: argparse.Namespace) -> dict:
    """All runs of one size: engine → its runs and figures."""
    path = people_file(size, options.seed, options.work)
    truth = pq.read_table(path.with_suffix(".truth.parquet")).to_pandas()
    runs: dict[str, list[Run]] = {}
    figures: dict[str, dict] = {}
    for engine in _turns(size, options):
        out = options.work / f"{engine}.parquet"
        done = watched(_command(engine, path, out, options), options.limit)
        runs.setdefault(engine, []).append(done)
        if done.output is None:
            print(f"{size:>12,} {engine:14} stopped after {done.wall:.0f} s, unfinished")
        elif engine not in figures:
            figures[engine] = _figures(out, truth)
    found = {"records": size, "engines": {}}
    for engine, done in runs.items():
        found["engines"][engine] = _summary(done, figures.get(engine))
        print(_line(size, engine, found["engines"][engine]))
    _print_ratios(found["engines"])
    return found


def _turns(size: int, options: argparse.Namespace) -> list[str]:
    """Engines in the order of their runs."""
    fit = []
    for engine in options.engines:
        if size > GREATEST[engine]:
            print(f"{size:>12,} {engine:14} left out: tried up to {GREATEST[engine]:,} records")
        else:
            fit.append(engine)
    often = [engine for engine in fit if engine != "recordlinkage"]
    repeats = options.repeats if size <= REPEATED else 1
    return often * repeats + [engine for engine in fit if engine not in often]


def _command(engine: str, path: Path, out: Path, options: argparse.Namespace) -> list[str | Path]:
    if engine != OURS:
        return peer_command(engine, peer_job("people", engine, [path]), out)
    prior = options.prior or write(options.work / "prior.json")
    return our_command(options.program, [path], out, (*ARGUMENTS["people"], "--prior", str(prior)))


def _figures(out: Path, truth: pd.DataFrame) -> dict:
    table = pq.read_table(out, columns=["record_id", "person_id"]).to_pandas()
    person = table.set_index(table["record_id"].astype("int64"))["person_id"]
    found = quality(dense(person.loc[truth["record_id"]].to_numpy()), dense(truth["person_id"]))
    return {**asdict(found), "f1": found.f1, "b3_f1": found.b3_f1}


def _summary(done: list[Run], figures: dict | None) -> dict:
    """Medians of the finished runs (of the stopped ones where none finished), and every run."""
    finished = [run for run in done if run.output is not None] or done
    reports = [json.loads(run.output) for run in finished if run.output and run.output[0] == "{"]
    return {
        "wall": statistics.median(run.wall for run in finished),
        "cpu": statistics.median(run.cpu for run in finished),
        "peak_bytes": max(run.peak_bytes for run in finished),
        "finished": any(run.output is not None for run in done),
        "walls": [run.wall for run in done],
        "stages": [report.get("seconds") for report in reports],
        "figures": figures,
    }


def _line(size: int, engine: str, one: dict) -> str:
    walls = " ".join(f"{wall:.1f}" for wall in one["walls"])
    text = (
        f"{size:>12,} {engine:14} wall {one['wall']:8.1f} s ({walls})  CPU {one['cpu']:8.1f} s  "
        f"peak {one['peak_bytes'] / 1e9:6.2f} GB"
    )
    if one["figures"]:
        q = one["figures"]
        text += f"  P {q['precision']:.4f} R {q['recall']:.4f} F1 {q['f1']:.4f} "
        text += f"B3 {q['b3_precision']:.4f} {q['b3_recall']:.4f}"
    return text


def _print_ratios(engines: dict[str, dict]) -> None:
    if OURS not in engines:
        return
    ours = engines[OURS]
    for peer, theirs in engines.items():
        if peer != OURS:
            wall, memory = (theirs[k] / ours[k] for k in ("wall", "peak_bytes"))
            print(f"{'':>12} {peer} takes {wall:.2f} times our time, {memory:.2f} times our memory")


def draw(sizes: list[dict]) -> None:
    """Time and memory against records on logarithmic axes; stopped runs as hollow points."""
    rows = [
        {"records": size["records"], "engine": name, "seconds": one["wall"],
         "memory, GB": one["peak_bytes"] / 1e9, "finished": one["finished"]}
        for size in sizes
        for name, one in size["engines"].items()
    ]  # fmt: skip
    ticks = alt.Axis(values=[size["records"] for size in sizes], format="~s")
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("records:Q", scale=alt.Scale(type="log", nice=False, padding=12), axis=ticks),
        color=alt.Color("engine:N", title=None),
    )
    panels = []
    for name in ("seconds", "memory, GB"):
        shown = base.encode(y=alt.Y(f"{name}:Q", scale=alt.Scale(type="log")))
        full = shown.mark_point(filled=True, size=60).transform_filter("datum.finished")
        hollow = shown.mark_point(filled=False, size=60).transform_filter("!datum.finished")
        layers = shown.mark_line() + full + hollow
        panels.append(layers.properties(width=330, height=260))
    chart = alt.hconcat(*panels)
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    PLOT.write_text(vl_convert.vegalite_to_svg(chart.to_json()), encoding="utf-8")


if __name__ == "__main__":
    main()
