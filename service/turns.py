"""Requests of one process take turns at the processor, and stand aside while they wait.

Python lets one thread compute at a time anyway. Threads that compute at once take the interpreter
from one another at every call that lets it go, which costs up to twice the work (bench/api.py).
Threads that wait (for a commit, for an index that another opens) cost nothing: there may be more.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """One turn, had by one thread at a time."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._mine = threading.local()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Has the turn. Raises: RuntimeError: this thread has it already; it would wait for itself
        for ever."""
        if getattr(self._mine, "had", False):
            raise RuntimeError("this thread has the turn already, and would wait for itself")
        with self._turn:
            self._mine.had = True
            try:
                yield
            finally:
                self._mine.had = False

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Lets another thread have the turn meanwhile; does nothing where this one has none."""
        if not getattr(self._mine, "had", False):
            yield
            return
        self._mine.had = False
        self._turn.release()
        try:
            yield
        finally:
            self._turn.acquire()
            self._mine.had = True
