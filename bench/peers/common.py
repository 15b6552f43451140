"""What the peers' programs share: their command line, the clock by stage, peak memory.

These programs run in an environment of their own (`make bench-peers`) and import nothing of the
project. A job is a JSON document; `bench.sets` and `bench.linkage` write them. Every peer takes

    python run_PEER.py JOB --out CLUSTERS [--pairs SCORED]

and writes Parquet: clusters `record_id, person_id`; scored pairs `left_id, right_id, score`. On
standard output it prints one JSON document: seconds by stage, peak memory, counts of pairs.
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter


@dataclass
class Report:
    """Seconds by stage and counts of pairs of one run."""

    peer: str
    seconds: dict[str, float] = field(default_factory=dict)
    pairs: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time spent inside to the stage."""
        began = perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - began

    def show(self) -> None:
        """Prints the report as JSON. Peak memory is the greatest of this process's and of any one
        child's resident set, in bytes."""
        kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        peak = max(resource.getrusage(kind).ru_maxrss for kind in kinds) * 1024
        document = {"peer": self.peer, "seconds": self.seconds, "pairs": self.pairs}
        print(json.dumps({**document, "peak_bytes": peak}))


def arguments(description: str) -> argparse.Namespace:
    """The command line: `job` (a dict), `out`, `pairs`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("job", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, help="write the scored pairs too")
    options = parser.parse_args()
    options.job = json.loads(options.job.read_text(encoding="utf-8"))
    return options
