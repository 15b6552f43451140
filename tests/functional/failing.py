"""Runs a command in a process in which an unforeseen error arises that quotes what it was given.

python -m tests.functional.failing -- ARGUMENTS...
"""

from __future__ import annotations

import sys
from typing import Any

import cli
from store.sql_store import SqlStore


def main(arguments: list[str]) -> None:
    """See the module."""

    def load_batch(_: SqlStore, feed_id: int, number: int, batch: Any, as_at: str) -> None:
        raise RuntimeError(f"cannot load {batch.records.to_pylist()} {batch.rejected}")

    SqlStore.load_batch = load_batch  # type: ignore[assignment, method-assign]
    sys.argv = ["commonthread", *arguments[1:]]
    cli.main()


if __name__ == "__main__":
    main(sys.argv[1:])
