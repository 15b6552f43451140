"""What a batch command does before it brings in what computes, to be quick and small.

The C library gives every large block back to the system as soon as it is freed and asks for the
next one anew, page by page. A batch that makes hundreds of columns of like sizes pays a sixth of
its time for that, and, with a heap for each thread, a third more memory at its peak.

PyArrow brings in pandas when it first makes an array, in case the values are a pandas column. A
batch that has none pays a quarter of a second for that.
"""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec

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


class _NoPandas(MetaPathFinder):
    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError("not needed here", name=name)
        return None


def leave_pandas_out() -> None:
    """PyArrow looks for pandas now, once, and does not find it. `import pandas` and conversions to
    it work afterwards; what does not is an Arrow array straight from a pandas column."""
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    nowhere = _NoPandas()
    sys.meta_path.insert(0, nowhere)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(nowhere)
