"""How long a whole check of the log takes, and how much memory.

python -m bench.audit_fill FOLDER EVENTS, then python -m bench.audit_verify FOLDER
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from audit.verifier import check_log, verifier_key
from service.audit_log import AuditLog
from service.audit_verify import verify
from store.keyring import KEY_FILE, FileKey, open_keyring
from store.log_files import LogFiles
from store.log_keys import LogKeys
from store.sequencer import Sequencer
from store.sql_store import open_store

ORIGIN = "bench.example/log"


def main(folder: Path) -> None:
    """Publishes what is there, then checks the files alone, then everything; prints seconds."""
    ring = open_keyring(folder / "keys", FileKey(folder / "keys" / KEY_FILE))
    store = open_store(f"sqlite:///{folder}/partnership.db", ring)
    files, keys = LogFiles(folder / "log"), LogKeys(ring, ORIGIN)
    log = AuditLog(Sequencer(files, keys, store), files, keys)
    marks = [(time.perf_counter(), time.process_time())]
    log.publish()
    marks.append((time.perf_counter(), time.process_time()))
    known = [verifier_key(key.vkey()) for key in log.verifiers()]
    alone = check_log(folder / "log", known)
    marks.append((time.perf_counter(), time.process_time()))
    found = verify(folder / "log", store, known)
    marks.append((time.perf_counter(), time.process_time()))
    names = ("publish", "files_alone", "everything")
    spans = {
        name: {"wall_s": round(after[0] - before[0], 2), "cpu_s": round(after[1] - before[1], 2)}
        for name, before, after in zip(names, marks, marks[1:], strict=False)
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    told = {"events": found.opened, "sound": alone.sound and found.sound, "peak_mb": peak}
    print(json.dumps(told | spans, indent=1))
    store.close()
    ring.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
