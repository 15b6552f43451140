"""Connections spread evenly over the processes that answer at one socket.

Left to themselves, whichever process wakes first accepts all that is there: of 48 connections one
had 38, and who was on those waited while the other idled. uvicorn makes its listeners with the
`create_server` of its event loop, which is why this loop is named to it (commands/serve.py).

Rules:
- Each process writes down how many connections it has, where all of them see it (`Places`).
- Who has more than another leaves a new connection to that one for `LEFT_TO_OTHERS`, then takes it:
  a process that hangs costs others a moment, never a connection.
- Nobody listens until all do, or until `TOGETHER` is over: the first to be ready would have
  everything that comes at once.
- A place is a process's own while it lives: the operating system gives it back.
"""

from __future__ import annotations

import asyncio
import fcntl
import mmap
import os
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

PLACES_VARIABLE = "COMMONTHREAD_PLACES"
"""Environment variable: the file of the places, for processes that share a socket."""
LEFT_TO_OTHERS = 0.05
TOGETHER = 120.0
REFRESH = 0.25
"""Seconds; `REFRESH`: between two counts of what has been closed."""
SPARE = 8
"""Places for processes that come before others go, beside one for each that does."""
_ABSENT = -1
_NUMBER, _NUMBERS = struct.Struct("=i"), struct.Struct("=ii")

Protocols = Callable[[], asyncio.BaseProtocol]


class Places:
    """How many connections each process has: a file that all have in memory, a number for each.

    Before those stand how many processes begin together, and whether they have begun.
    """

    @staticmethod
    def make(file: Path, processes: int) -> None:
        """Makes the file for so many processes, and for those that come before others go."""
        places = 2 * processes + SPARE
        file.write_bytes(_NUMBERS.pack(processes, 0) + _NUMBER.pack(_ABSENT) * places)

    def __init__(self, file: Path) -> None:
        """Takes the first place that no living process has. Raises: OSError: there is none."""
        self._file = file.open("r+b")
        self._held = mmap.mmap(self._file.fileno(), 0)
        self._mine = self._taken()
        self.has(_ABSENT)  # as long as it was somebody's who died, it says what that one had

    def _taken(self) -> int:
        for place in range(_NUMBERS.size, len(self._held), _NUMBER.size):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, _NUMBER.size, place)
            except OSError:
                continue
            return place
        raise OSError("more processes than there are places")

    def has(self, connections: int) -> None:
        """Says how many this process has."""
        _NUMBER.pack_into(self._held, self._mine, connections)

    def fewest_of_others(self) -> int | None:
        """The fewest that another process has; None where there is no other."""
        return min((one for place, one in self._there() if place != self._mine), default=None)

    def may_begin(self) -> bool:
        """Whether everybody is there with whom this process begins, or they began before."""
        processes, begun = _NUMBERS.unpack_from(self._held)
        return bool(begun) or len(self._there()) >= processes

    def begin(self) -> None:
        """Says that whoever comes now need not wait for others."""
        processes, _ = _NUMBERS.unpack_from(self._held)
        _NUMBERS.pack_into(self._held, 0, processes, 1)

    def _there(self) -> list[tuple[int, int]]:
        """(place, connections) of the processes that are there."""
        told = _NUMBER.iter_unpack(self._held[_NUMBERS.size :])
        places = range(_NUMBERS.size, len(self._held), _NUMBER.size)
        return [(at, has) for at, (has,) in zip(places, told, strict=True) if has != _ABSENT]

    def close(self) -> None:
        """Leaves the place: this process takes no more."""
        self.has(_ABSENT)
        self._held.close()
        self._file.close()


class EvenServer:
    """Accepts for one of several processes; what uvicorn asks of a server."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocols: Protocols,
        listener: socket.socket,
        places: Places,
    ) -> None:
        self._loop, self._protocols = loop, protocols
        self._listener, self._places = listener, places
        self._open: list[asyncio.BaseTransport] = []
        self._coming: set[asyncio.Task[None]] = set()
        self._later: asyncio.TimerHandle | None = None
        self._closed = False
        self._counting: asyncio.TimerHandle | None = None

    async def begin(self, backlog: int) -> None:
        """Listens, once all processes are ready to."""
        self._places.has(0)
        until = time.monotonic() + TOGETHER
        while not self._places.may_begin() and time.monotonic() < until:
            await asyncio.sleep(0.02)
        self._places.begin()
        self._listener.setblocking(False)
        self._listener.listen(backlog)
        self._listen()
        self._recount()

    def _listen(self) -> None:
        self._later = None
        self._loop.add_reader(self._listener.fileno(), self._offered)

    def _recount(self) -> None:
        self._count()
        self._counting = self._loop.call_later(REFRESH, self._recount)

    def _count(self) -> int:
        self._open = [one for one in self._open if not one.is_closing()]
        mine = len(self._open) + len(self._coming)
        self._places.has(mine)
        return mine

    def _offered(self) -> None:
        """A connection waits: takes it, or leaves it to another process for a moment."""
        fewest = self._places.fewest_of_others()
        if fewest is None or self._count() <= fewest:
            self._accept()
            return
        self._loop.remove_reader(self._listener.fileno())
        self._later = self._loop.call_later(LEFT_TO_OTHERS, self._left)

    def _left(self) -> None:
        """Nobody may have taken it."""
        self._accept()
        self._listen()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # another process has it, or whoever called is gone
            return
        connection.setblocking(False)
        task = self._loop.create_task(self._connected(connection))
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)
        self._count()

    async def _connected(self, connection: socket.socket) -> None:
        try:
            transport, _ = await self._loop.connect_accepted_socket(self._protocols, connection)
            self._open.append(transport)
        except OSError:
            connection.close()

    def close(self) -> None:
        """Accepts no more; what is open stays so."""
        if self._closed:
            return
        self._closed = True
        for timer in (self._later, self._counting):
            if timer is not None:
                timer.cancel()
        self._loop.remove_reader(self._listener.fileno())
        self._places.close()

    async def wait_closed(self) -> None:
        """There is nothing to wait for."""


class EvenLoop(uvloop.Loop):
    """An event loop whose listeners share evenly with other processes."""

    async def create_server(
        self,
        protocol_factory: Protocols,
        *args: Any,
        sock: socket.socket | None = None,
        backlog: int = 100,
        **more: Any,
    ) -> Any:
        """As any loop's; a socket that processes share is shared evenly."""
        file = os.environ.get(PLACES_VARIABLE)
        if sock is None or file is None:
            return await super().create_server(
                protocol_factory, *args, sock=sock, backlog=backlog, **more
            )
        server = EvenServer(self, protocol_factory, sock, Places(Path(file)))
        await server.begin(backlog)
        return server
