"""Arrow tables as bytes, to be sealed, in parts of bounded size; and the memory they stand in."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pyarrow as pa

PART_ROWS = 65_536
"""Rows of a part: some megabytes at most, so that writing one holds no lock for long."""
_WRITE = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=1))


def choose_pool() -> None:
    """Takes Arrow's memory from jemalloc where this build has it and the environment names no other
    pool: tables of a million rows come and go, and the pool that Arrow would choose spends more
    time in the operating system on them than all reading does."""
    if "ARROW_DEFAULT_MEMORY_POOL" in os.environ:
        return
    if "jemalloc" in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())


def packed(table: pa.Table) -> bytes:
    """The table as a compressed Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_WRITE) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue().to_pybytes())


def unpacked(plain: bytes) -> pa.Table:
    """The table of an Arrow stream."""
    return pa.ipc.open_stream(plain).read_all()


def parts(table: pa.Table) -> Iterator[pa.Table]:
    """The table in parts of at most `PART_ROWS` rows; an empty table is one part."""
    for start in range(0, max(table.num_rows, 1), PART_ROWS):
        yield table.slice(start, PART_ROWS)
