"""One night in a process of its own: how long each stage takes, how fast each format is read.

Prints one JSON document. Peak memory is this process's own, generation of the demo left out
(it runs in another process).
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from time import perf_counter, process_time

from service.ingest import ingest
from service.linking import link_records
from wiring import clock, open_workspace


def measure(people: int, seed: int, items: float) -> dict[str, object]:
    """Generates a partnership, runs its first night and a second with nothing new."""
    with tempfile.TemporaryDirectory(prefix="commonthread-bench-") as folder:
        root = Path(folder) / "partnership"
        command = [
            str(Path(sys.executable).parent / "commonthread"), "-w", str(root), "demo",
            "--people", str(people), "--seed", str(seed), "--items-per-person", str(items),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        workspace = open_workspace(root)
        with workspace.store() as store, workspace.inputs() as inputs:
            formats = _ingest(workspace, store, inputs)
            link = link_records(store, workspace.settings, workspace.model_file, clock)
            began = perf_counter()
            _ingest(workspace, store, inputs)
            link_records(store, workspace.settings, workspace.model_file, clock)
            again = perf_counter() - began
            totals = dict(store.counts())
        database = sum(f.stat().st_size for f in root.glob("partnership.db*"))
        inbox = sum(f.stat().st_size for f in root.glob("inbox/*/*"))
    return {
        "people": people,
        "records": totals["records"],
        "formats": formats,
        "link": link.seconds,
        "compared": link.compared,
        "second_night": again,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "database_mb": database / 1e6,
        "inbox_mb": inbox / 1e6,
        "totals": totals,
    }


def _ingest(workspace, store, inputs) -> dict[str, dict[str, float]]:  # type: ignore[no-untyped-def]
    """Seconds and units by format."""
    out: dict[str, dict[str, float]] = defaultdict(lambda: {"units": 0, "wall": 0.0, "cpu": 0.0})
    for source in workspace.settings.sources:
        wall, cpu = perf_counter(), process_time()
        (report,) = ingest(
            store,
            workspace.settings,
            inputs.inbox,
            inputs.readers,
            inputs.find_feeds,
            clock,
            only=[source.id],
        )
        entry = out[source.files[0].format]
        entry["units"] += report.read
        entry["wall"] += perf_counter() - wall
        entry["cpu"] += process_time() - cpu
    return dict(out)


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))))
