"""Requests of one process take turns at the processor, and stand aside while they wait.

Python lets one thread compute at a time anyway. Threads that compute at once take the interpreter
from one another at every call that lets it go, which costs up to twice the work (bench/api.py).
Threads that wait (for a commit, for an index that another opens) cost nothing: there may be more.

The turn goes to whoever waited longest, and to those who come back before those who begin: what is
half done is finished first. A plain lock goes to whoever happens to be awake, and some wait long.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """One turn, had by one thread at a time."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._had = False
        self._beginning: deque[threading.Lock] = deque()
        self._back: deque[threading.Lock] = deque()
        """Who waits, each by a lock that is let go when the turn is theirs."""
        self._mine = threading.local()

    @property
    def waiting(self) -> int:
        """How many threads wait for the turn."""
        with self._guard:
            return len(self._beginning) + len(self._back)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Has the turn. Raises: RuntimeError: this thread has it already; it would wait for itself
        for ever."""
        if getattr(self._mine, "had", False):
            raise RuntimeError("this thread has the turn already, and would wait for itself")
        self._take(self._beginning)
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Lets another thread have the turn meanwhile; does nothing where this one has none."""
        if not getattr(self._mine, "had", False):
            yield
            return
        self._leave()
        try:
            yield
        finally:
            self._take(self._back)

    def _take(self, waiting: deque[threading.Lock]) -> None:
        """Returns once this thread has the turn."""
        with self._guard:
            mine = None if not self._had else threading.Lock()
            self._had = True
            if mine is not None:
                mine.acquire()
                waiting.append(mine)
        if mine is not None:
            try:
                mine.acquire()
            except BaseException:  # the others must not wait for a thread that was interrupted
                with self._guard:
                    waits = mine in waiting
                    if waits:
                        waiting.remove(mine)
                if not waits:
                    self._pass_on()
                raise
        self._mine.had = True

    def _leave(self) -> None:
        self._mine.had = False
        self._pass_on()

    def _pass_on(self) -> None:
        """Gives the turn to whoever is next. Requires: the turn."""
        with self._guard:
            waiting = self._back or self._beginning
            if waiting:
                waiting.popleft().release()
            else:
                self._had = False
