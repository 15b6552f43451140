"""Reads feeds in a process of its own, so that one core parses while the other seals and stores.

Rules:
- The result is the reader's, batch for batch; only where it is computed differs.
- At most `BATCHES_WAITING` batches of a feed wait between the two processes: memory stays bounded.
- The other process is started with the first feed; until it is ready, small feeds are read here.
- If either process dies the other notices at its next batch: the run fails, and is run again.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import Queue
from threading import Event, Thread
from types import TracebackType
from typing import Any

from adapters.registry import READERS, bring_in
from schemas.columns import UnitBatch
from schemas.errors import FeedRefused, StoreError
from schemas.settings import Limits, SourceSettings
from service.ports import FeedFile, Reader

WORTH_WAITING = 2 << 20
"""Bytes of a feed from which reading it elsewhere is worth waiting for the process to start."""
BATCHES_WAITING = 2
READY = ("ready", None)
_Waiting = Queue[tuple[str, Any]]
"""Messages of one feed that were not taken yet."""
COLLECT_AFTER = 50_000
"""Allocations between two looks of the garbage collector: batches make many objects, few cycles."""


def calm_collector() -> None:
    """Makes Python's cycle collector look less often, and never again at what is loaded now."""
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)


class ReadAhead:
    """The registered readers, large feeds being read ahead in one child process.

    A context manager; `readers` is what `service.ingest` takes. A feed is begun when it is asked
    for, so that the next may be read while this one is stored; feeds are to be taken in the order
    in which they were asked for, each to its end.
    """

    def __init__(self) -> None:
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._ready = Event()
        self._asked: Queue[_Waiting] = Queue()

    @property
    def readers(self) -> dict[str, Reader]:
        """One reader for each format."""
        return dict.fromkeys(READERS, self.read)

    def read(self, feed: FeedFile, source: SourceSettings, limits: Limits) -> Iterator[UnitBatch]:
        """As the format's own reader. Raises: FeedRefused."""
        pipe = self._started()
        if not self._ready.is_set() and feed.size < WORTH_WAITING:
            return READERS[feed.settings.format](feed, source, limits)
        waiting: _Waiting = Queue(BATCHES_WAITING)
        self._asked.put(waiting)
        try:
            pipe.send((feed, source, limits))
        except (BrokenPipeError, ConnectionResetError):
            raise self._ended() from None
        return self._batches(waiting)

    def _batches(self, waiting: _Waiting) -> Iterator[UnitBatch]:
        ended = False
        try:
            while not ended:
                kind, content = waiting.get()
                ended = kind != "batch"
                if kind == "batch":
                    yield content
                elif kind == "refused":
                    raise FeedRefused(*content)
                elif kind == "gone":
                    raise self._ended()
        finally:
            if not ended:
                # Left off half way: what the child still sends must not be taken for another feed.
                self.__exit__(None, None, None)

    def _ended(self) -> StoreError:
        self.__exit__(None, None, None)
        return StoreError("the reading process ended; run again, nothing is lost")

    def _started(self) -> Connection:
        if self._pipe is None:
            context = get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
            self._ready, self._asked = Event(), Queue()
            told = self._pipe, self._ready, self._asked
            Thread(target=_receive, args=told, daemon=True).start()
        return self._pipe

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.join()
            self._process = None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None


def _receive(pipe: Connection, ready: Event, asked: Queue[_Waiting]) -> None:
    """A thread of the parent: takes messages off the pipe as they come, for each feed in turn."""

    def received() -> tuple[str, Any]:
        try:
            message: tuple[str, Any] = pipe.recv()
        except (EOFError, OSError):
            message = ("gone", None)
        return message

    if received() == READY:
        ready.set()
    while True:
        waiting = asked.get()
        kind = "batch"
        while kind == "batch":
            message = received()
            kind = message[0]
            waiting.put(message)


def _serve(pipe: Connection) -> None:
    """The child: reads what it is told and sends batches, until the other end is closed."""
    bring_in()
    calm_collector()
    pipe.send(READY)
    while True:
        try:
            feed, source, limits = pipe.recv()
            for message in _messages(feed, source, limits):
                pipe.send(message)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


def _messages(feed: FeedFile, source: SourceSettings, limits: Limits) -> Iterator[tuple[str, Any]]:
    try:
        for batch in READERS[feed.settings.format](feed, source, limits):
            yield "batch", batch
    except FeedRefused as refusal:
        yield "refused", (refusal.reason, refusal.message)
        return
    except Exception as error:  # its text may hold a person's values: only its kind is told
        yield "refused", ("unforeseen", f"the reader failed ({type(error).__name__})")
        return
    yield "end", None
