"""No failure of the file system loses an acknowledged event or leaves a log that cannot be read.

A seeded part of all the failures there are; `python -m tests.functional.test_log_faults --all`
tries every one.
"""

from __future__ import annotations

import shutil
import sys
from random import Random

from tests.functional import log_faults
from tests.functional.log_faults import Fault, Shown

SEED, SAMPLE = 20_261_122, 45
ALWAYS = (
    Fault("fsync", "EIO", 1), Fault("fdatasync", "EIO", 1), Fault("rename", "SIGKILL", 3),
    Fault("pwrite64", "ENOSPC", 2), Fault("all", "ENOSPC", 1, kept=True),
)  # fmt: skip


def test_failures_at_file_system_calls() -> None:
    shown, wrong = Shown(), list[str]()
    with log_faults.in_memory() as folder:
        template = log_faults.prepared(folder)
        shutil.copytree(template, folder / "counted")
        made = log_faults.calls(folder / "counted", folder / "strace.txt")
        every = list(log_faults.faults(made))
        chosen = {*ALWAYS, *Random(SEED).sample(every, SAMPLE)}
        for fault in sorted(chosen):
            wrong += log_faults.survived(template, folder, fault, shown)
    assert not wrong, "\n".join(wrong)
    assert len(every) > 500
    assert shown.reached >= 0.8 * shown.tried, shown
    assert shown.killed >= 5, shown
    assert shown.refused >= 5, shown


def test_a_call_that_no_failure_is_tried_at_is_told() -> None:
    trace = """openat(AT_FDCWD, "log/x", O_RDONLY) = 3
77 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f
mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3, 0) = 0x7f
clone3({flags=CLONE_VM|CLONE_THREAD}) = 78
exit_group(0) = ?
"""
    made = log_faults.counted(trace)
    assert made == {"openat": 1, "mmap": 1, "clone3": 1, "exit_group": 1}
    swept = {*log_faults.KINDS["EIO"], *log_faults.UNSWEPT}
    assert made.keys() - swept == {"mmap", "clone3"}
    assert not log_faults.UNSWEPT.keys() & {*log_faults.KINDS["EIO"]}
    assert {*log_faults.KINDS["ENOSPC"], *log_faults.FULL} <= {*log_faults.KINDS["EIO"]}


if __name__ == "__main__":
    assert sys.argv[1:] == ["--all"], "expected --all"
    sys.exit(log_faults.main())
