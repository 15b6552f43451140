"""How long a log takes to be sequenced, proven and checked, and how much memory.

`python -m bench.audit_fill FOLDER EVENTS`, then `python -m bench.audit_verify FOLDER`. The tree is
written to FOLDER/log where that is not there yet; `--anew` takes it away first. `--proofs` makes
proofs only.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from audit.merkle import is_consistent, is_included
from audit.verifier import check_log, verifier_key
from bench.audit_fill import held_store
from service.audit_log import AuditLog
from service.audit_verify import verify
from store.log_files import LogFiles
from store.log_keys import LogKeys
from store.sequencer import Sequencer

ORIGIN = "bench.example/log"
PROOFS = 200


@contextmanager
def _timed(found: dict[str, Any], name: str) -> Iterator[None]:
    began, worked = time.perf_counter(), time.process_time()
    yield
    found[f"{name}_s"] = round(time.perf_counter() - began, 2)
    found[f"{name}_cpu_s"] = round(time.process_time() - worked, 2)


def proofs(log: AuditLog, random: Random) -> dict[str, float]:
    """How long it takes to make a proof of an entry and one of growth, and to check both: median
    and worst of `PROOFS` places chosen by chance, in milliseconds."""
    size = log.size()
    root = log.root(size)
    made: dict[str, list[float]] = {"inclusion": [], "consistency": [], "check": []}
    for _ in range(PROOFS):
        leaf, old = random.randrange(size), random.randrange(1, size + 1)
        began = time.perf_counter()
        proof = log.prove(leaf)
        made["inclusion"].append(1_000 * (time.perf_counter() - began))
        began = time.perf_counter()
        path = log.consistency(old)
        made["consistency"].append(1_000 * (time.perf_counter() - began))
        old_root = log.root(old)
        began = time.perf_counter()
        assert is_included(leaf, size, proof.leaf_hash, proof.hashes, root)
        assert is_consistent(old, size, path, old_root, root)
        made["check"].append(1_000 * (time.perf_counter() - began))
    return {
        f"{name}_{what}_ms": round(value, 3)
        for name, times in made.items()
        for what, value in (("median", statistics.median(times)), ("worst", max(times)))
    }


def measured(folder: Path, url: str | None, *, whole: bool) -> dict[str, Any]:
    """Sequences what is not sequenced yet, makes proofs; `whole`: checks the files alone, then
    everything."""
    store = held_store(folder, url)
    files, keys = LogFiles(folder / "log"), LogKeys(store.database.keys, ORIGIN)
    log = AuditLog(Sequencer(files, keys, store), files, keys)
    found: dict[str, Any] = {"events": store.event_count()}
    signed = log.size() if (folder / "log").exists() else 0
    with _timed(found, "sequence"):
        log.publish()
    found["sequenced"] = log.size() - signed
    found |= proofs(log, Random(1))
    if whole:
        known = [verifier_key(key.vkey()) for key in log.verifiers()]
        with _timed(found, "files_alone"):
            alone = check_log(folder / "log", known)
        with _timed(found, "verify"):
            checked = verify(folder / "log", store, known)
        found["opened"] = checked.opened
        found["sound"] = alone.sound and checked.sound
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    store.close()
    return found


def main() -> None:
    """Prints it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--url", help="of the database, where it is not the folder's own")
    parser.add_argument("--anew", action="store_true")
    parser.add_argument("--proofs", action="store_true")
    given = parser.parse_args()
    if given.anew:
        shutil.rmtree(given.folder / "log", ignore_errors=True)
    print(json.dumps(measured(given.folder, given.url, whole=not given.proofs), indent=1))


if __name__ == "__main__":
    main()
