"""The log: how fast entries are taken in, proofs made and checked, at sizes that grow tenfold.

python -m bench.audit_log [--largest N]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random
from time import perf_counter, process_time
from typing import Any

from audit.merkle import is_consistent, is_included
from audit.tiles import WIDTH
from service.audit_log import AuditLog
from store.keyring import KEY_FILE, FileKey, create_keyring
from store.log_files import LogFiles
from store.log_keys import LogKeys
from store.sequencer import Sequencer

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
PROOFS = 200


class Numbered:
    """Durable events without a database: entry n is a hash of n."""

    def __init__(self) -> None:
        self.count = 0

    def event_count(self) -> int:
        """See store.sequencer.EntrySource."""
        return self.count

    def entries(self, first: int, last: int) -> list[bytes]:
        """See store.sequencer.EntrySource."""
        return [b"\x01" + sha256(n.to_bytes(8, "big")).digest() for n in range(first, last)]


def measured(folder: Path, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """A row a size."""
    ring = create_keyring(folder / "keys", FileKey(folder / "keys" / KEY_FILE))
    files, keys, events = LogFiles(folder / "log"), LogKeys(ring, "bench/audit"), Numbered()
    sequencer = Sequencer(files, keys, events)
    log, rows, random = AuditLog(sequencer, files, keys), [], Random(1)
    for size in sizes:
        before, events.count = events.count, size
        began, worked = perf_counter(), process_time()
        sequencer.publish()
        took, work = perf_counter() - began, process_time() - worked
        events.count += 1
        one_more = _milliseconds(sequencer.publish)
        row = {"size": size, "entries_per_second": round((size - before) / took)}
        row["entries_per_cpu_second"] = round((size - before) / work)
        row["publish_one_ms"] = round(one_more, 2)
        row |= proofs(log, random)
        rows.append(row)
        print(json.dumps(row), flush=True)
    ring.close()
    return rows


def _milliseconds(run: Callable[[], object]) -> float:
    began = perf_counter()
    run()
    return 1_000 * (perf_counter() - began)


def proofs(log: AuditLog, random: Random) -> dict[str, float]:
    """How long it takes to make a proof of an entry and one of growth, and to check both."""
    size = log.size()
    root = log.root(size)
    made: dict[str, list[float]] = {"inclusion": [], "consistency": [], "check": []}
    for _ in range(PROOFS):
        leaf, old = random.randrange(size), random.randrange(1, size + 1)
        began = perf_counter()
        proof = log.prove(leaf)
        made["inclusion"].append(1_000 * (perf_counter() - began))
        began = perf_counter()
        path = log.consistency(old)
        made["consistency"].append(1_000 * (perf_counter() - began))
        old_root = log.root(old)
        began = perf_counter()
        assert is_included(leaf, size, proof.leaf_hash, proof.hashes, root)
        assert is_consistent(old, size, path, old_root, root)
        made["check"].append(1_000 * (perf_counter() - began))
    return {
        f"{name}_{what}_ms": round(value, 3)
        for name, times in made.items()
        for what, value in (("median", statistics.median(times)), ("worst", max(times)))
    }


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--folder", help="where the log is written; by default a temporary one")
    asked = parser.parse_args()
    sizes = tuple(size for size in SIZES if size <= asked.largest)
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        rows = measured(Path(name), sizes)
        files = sum(len(found) for _, _, found in os.walk(Path(name) / "log"))
    print(json.dumps({"files": files, "full_bundles": sizes[-1] // WIDTH, "rows": rows}))


if __name__ == "__main__":
    main()
