"""`python -m bench.increment`: what a nightly increment costs beside a link from nothing.

Records of `bench.people` under the shipped model. On the first night all but the arrivals are
linked; on the second a share of the records is new (4 in 10), changed (5 in 10: another address,
postcode and telephone) or withdrawn (1 in 10), and the same night is linked both ways: with what
the first one left, and from nothing. Both must leave the same state, or the run fails.

Seconds are wall time by stage: `features` and `blocks` read all records and `state` puts the new
state together, `compare` and `decide` follow what changed; only these two go into the ratio. Beside
it stand the processor's seconds of the two, which other work on the machine sways less.

`--dirty` gives the increment as a number of records instead of a share: the same increment of ever
larger indexes should cost the same.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.linkage import RESULTS, machine
from bench.people import write
from linkage.increment import Decided, Linked, LinkState, link_increment
from linkage.model import uk_person
from linkage.tables import read_columns

STAGES = ("features", "blocks", "compare", "decide", "state")
WORK = ("compare", "decide")
"""Stages that go into the ratio."""
NEW, CHANGED, WITHDRAWN = 0.4, 0.5, 0.1
"""Shares of the increment."""
MOVED = ("address", "postcode", "phone")
JOIN_BITS, REVIEW_BITS = 5.0, 0.0


def main() -> None:
    """Measures, prints, and keeps the figures in bench/results/increment.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 1_000_000, 3_000_000])
    parser.add_argument("--percent", type=float, nargs="*", default=[0.25, 1.0, 4.0])
    parser.add_argument("--dirty", type=int, nargs="*", default=[10_000], help="records")
    parser.add_argument("--repeats", type=int, default=3, help="of each increment; the median")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, default=RESULTS / "people")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    document = {"machine": machine(), "load_before": os.getloadavg()[0], "sizes": []}
    print(f"{document['machine']}; load before {document['load_before']:.1f}")
    stages = " ".join(f"{stage:>9}" for stage in STAGES)
    print(f"{'records':>10} {'run':>16} {stages} {'processor':>9} {'ratio':>6}")
    for size in options.sizes:
        document["sizes"].append(measure(size, options))
        (RESULTS / "increment.json").write_text(json.dumps(document, indent=1))


def measure(size: int, options: argparse.Namespace) -> dict:
    """All runs of one size."""
    records = _records(size, options.seed, options.work)
    found: dict = {"records": size, "increments": []}
    shares = [(f"{percent:g} %", percent / 100) for percent in options.percent]
    shares += [(f"{dirty:,} records", dirty / size) for dirty in options.dirty]
    for name, share in shares:
        entry = _increment(records, share, options)
        found["increments"].append({"name": name} | entry)
        _print(size, "from nothing", entry["full"], None)
        _print(size, name, entry["increment"], _work(entry["full"]) / _work(entry["increment"]))
        compared, whole = entry["compared"], entry["compared_full"]
        print(f"{'':>10} compared {compared:,} of {whole:,}; {entry['stats']}", flush=True)
    return found


def _increment(records: pa.Table, share: float, options: argparse.Namespace) -> dict:
    """One increment's figures, checked against the link from nothing."""
    one, two, past = _nights(records, share, options.seed)
    state = _linked(one, past.slice(0, 0), None)[0].state
    del one
    whole, full = _linked(two, past.slice(0, 0), None)
    runs = []
    for _ in range(options.repeats):
        linked, seconds = _linked(two, past, state)
        _check_same(linked.state, whole.state)
        runs.append(seconds)
    return {
        "full": full,
        "increment": {name: float(np.median([run[name] for run in runs])) for name in runs[0]},
        "compared_full": whole.compared,
        "compared": linked.compared,
        "stats": linked.stats,
    }


def _work(seconds: dict[str, float]) -> float:
    return sum(seconds[stage] for stage in WORK)


def _print(size: int, run: str, seconds: dict[str, float], ratio: float | None) -> None:
    stages = " ".join(f"{seconds[stage]:9.3f}" for stage in STAGES)
    print(
        f"{size:>10,} {run:>16} {stages} {seconds['processor']:9.3f} "
        + (f"{ratio:6.1f}" if ratio else "")
    )


@dataclass
class _Clock:
    """Seconds by stage, from the calls of progress; `processor` of the stages of `WORK`."""

    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys((*STAGES, "processor"), 0.0)
    )
    last: float = field(default_factory=perf_counter)
    used: float = field(default_factory=process_time)

    def told(self, stage: str, _done: int, _total: int) -> None:
        now, used = perf_counter(), process_time()
        self.seconds[stage] += now - self.last
        if stage in WORK:
            self.seconds["processor"] += used - self.used
        self.last, self.used = now, used


def _linked(
    now: pa.Table, past: pa.Table, state: LinkState | None
) -> tuple[Linked, dict[str, float]]:
    clock = _Clock()
    linked = link_increment(
        now, past, state, Decided(), Decided(), uk_person(),
        join_bits=JOIN_BITS, review_bits=REVIEW_BITS, progress=clock.told,
    )  # fmt: skip
    return linked, clock.seconds


def _check_same(one: LinkState, two: LinkState) -> None:
    for name in ("records", "edges", "tasks"):
        if not getattr(one, name).equals(getattr(two, name)):
            raise SystemExit(f"the increment left other {name} than the link from nothing")


def _records(size: int, seed: int, work: Path) -> pa.Table:
    """Records of `bench.people` as the store would give them."""
    path = work / f"living-{size}-{seed}.parquet"
    if not path.exists():
        write(size, seed, path)
    table = read_columns(pq.read_table(path)).table
    ids = pa.array(np.arange(1, len(table) + 1))
    return table.append_column("record_id", ids).append_column("version_id", ids)


def _nights(records: pa.Table, share: float, seed: int) -> tuple[pa.Table, pa.Table, pa.Table]:
    """The live records of the first night and of the second, and the versions replaced between."""
    n = len(records)
    lot = np.random.default_rng(seed).permutation(n)
    counts = [int(part * share * n) for part in (NEW, CHANGED, WITHDRAWN)]
    new, changed, withdrawn = np.split(lot[: sum(counts)], np.cumsum(counts)[:2])
    later = records
    moved = np.arange(n)
    moved[changed] = np.roll(changed, 1)
    for name in MOVED:
        if name in records.column_names:
            at = records.column_names.index(name)
            later = later.set_column(at, name, records[name].take(pa.array(moved)))
    version = records["version_id"].to_numpy().copy()
    version[changed] += n
    at = records.column_names.index("version_id")
    later = later.set_column(at, "version_id", pa.array(version))
    held_back, gone = np.ones(n, bool), np.ones(n, bool)
    held_back[new] = gone[withdrawn] = False
    past = records.take(pa.array(np.sort(np.concatenate([changed, withdrawn]))))
    return records.filter(pa.array(held_back)), later.filter(pa.array(gone)), past


if __name__ == "__main__":
    main()
