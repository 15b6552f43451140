"""`python -m bench.increment`: what a nightly increment costs beside a link from nothing.

Records of `bench.people` under the shipped model. On the first night all but the arrivals are
linked; on the second a share of the records is new (4 in 10), changed (5 in 10: another address,
postcode and telephone) or withdrawn (1 in 10), and the same night is linked both ways: with what
the first one left, and from nothing. Both must leave the same state, or the run fails.

Seconds are wall time by stage: `features` and `blocks` read all records, `compare` and `decide`
follow what changed; only these two go into the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.linkage import RESULTS, machine
from bench.people import write
from linkage.increment import Decided, Linked, LinkState, link_increment
from linkage.model import uk_person
from linkage.tables import read_columns

STAGES = ("features", "blocks", "compare", "decide")
NEW, CHANGED, WITHDRAWN = 0.4, 0.5, 0.1
"""Shares of the increment."""
MOVED = ("address", "postcode", "phone")
JOIN_BITS, REVIEW_BITS = 5.0, 0.0


def main() -> None:
    """Measures, prints, and keeps the figures in bench/results/increment.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 1_000_000, 3_000_000])
    parser.add_argument("--percent", type=float, nargs="*", default=[0.25, 1.0, 4.0])
    parser.add_argument("--repeats", type=int, default=3, help="of each increment; the median")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, default=RESULTS / "people")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    document = {"machine": machine(), "load_before": os.getloadavg()[0], "sizes": []}
    print(f"{document['machine']}; load before {document['load_before']:.1f}")
    print(f"{'records':>10} {'run':>16} " + " ".join(f"{s:>9}" for s in STAGES) + f" {'ratio':>6}")
    for size in options.sizes:
        document["sizes"].append(measure(size, options))
        (RESULTS / "increment.json").write_text(json.dumps(document, indent=1))


def measure(size: int, options: argparse.Namespace) -> dict:
    """All runs of one size."""
    records = _records(size, options.seed, options.work)
    found = {"records": size, "increments": []}
    for percent in options.percent:
        one, two, past = _nights(records, percent / 100, options.seed)
        state = _linked(one, past.slice(0, 0), None)[0].state
        whole, full = _linked(two, past.slice(0, 0), None)
        runs = [_linked(two, past, state) for _ in range(options.repeats)]
        for linked, _ in runs:
            _check_same(linked.state, whole.state)
        seconds = {s: float(np.median([r[1].get(s, 0.0) for r in runs])) for s in STAGES}
        linked = runs[0][0]
        entry = {
            "percent": percent, "full": full, "increment": seconds,
            "compared_full": whole.compared, "compared": linked.compared, "stats": linked.stats,
        }  # fmt: skip
        found["increments"].append(entry)
        _print(size, "from nothing", full, None)
        _print(size, f"{percent:g} %", seconds, _work(full) / _work(seconds))
        print(f"{'':>10} compared {linked.compared:,} of {whole.compared:,}; {linked.stats}")
    return found


def _work(seconds: dict[str, float]) -> float:
    return seconds.get("compare", 0.0) + seconds["decide"]


def _print(size: int, run: str, seconds: dict[str, float], ratio: float | None) -> None:
    stages = " ".join(f"{seconds.get(stage, 0.0):9.3f}" for stage in STAGES)
    print(f"{size:>10,} {run:>16} {stages} " + (f"{ratio:6.1f}" if ratio else ""))


@dataclass
class _Clock:
    """Seconds by stage, from the calls of progress."""

    seconds: dict[str, float] = field(default_factory=dict)
    last: float = field(default_factory=perf_counter)

    def told(self, stage: str, _done: int, _total: int) -> None:
        now = perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self.last
        self.last = now


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
