"""What a batch command does before it brings in what computes, to be quick and small.

The C library gives every large block back to the system as soon as it is freed and asks for the
next one anew, page by page. A batch that makes hundreds of columns of like sizes pays a sixth of
its time for that, and, with a heap for each thread, a third more memory at its peak.

The linear algebra behind NumPy keeps a thread for each core, and these wait for work by spinning. A
batch multiplies small matrices only, and its cores have other work.

PyArrow brings in pandas when it first makes an array, in case the values are a pandas column. A
batch that has none pays a quarter of a second for that.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from threading import Thread

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
"""Names of options in glibc's malloc.h."""
_MOST_TOUCHED = 2**27
"""Bytes that are touched ahead: what takes about as long as it takes to bring in what computes."""


def keep_memory() -> None:
    """From here on freed memory stays with the process, in one heap for all threads and libraries;
    linear algebra has no threads of its own.

    For commands that end when their batch ends, before they import what computes. Where the C
    library is not glibc, only Arrow's share of it is set.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for option, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_ARENA_MAX, 1)):
        mallopt(option, value)


def use_soon(size: int) -> Thread | None:
    """A thread touches so many bytes and gives them back to the process: memory that was used
    before is several times as fast as new, and while a command comes in all cores but one wait.

    Requires: `keep_memory`, or they go back to the system. Where there is no C library to ask,
    nothing is done and None is returned.
    """
    try:
        library = ctypes.CDLL(None)
        malloc, memset, free = library.malloc, library.memset, library.free
    except (AttributeError, OSError, TypeError):
        return None
    malloc.restype, malloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
    memset.argtypes = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
    free.argtypes = (ctypes.c_void_p,)

    def touch() -> None:
        block = malloc(min(size, _MOST_TOUCHED))
        if block:
            memset(block, 0, min(size, _MOST_TOUCHED))
            free(block)

    thread = Thread(target=touch, daemon=True)
    thread.start()
    return thread


def ended() -> None:
    """The batch is done and its results are written: as the program ends, the collector need not
    go through all that it brought in."""
    gc.freeze()


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
