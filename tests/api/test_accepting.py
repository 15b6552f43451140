"""Processes that answer at one socket have as many connections as one another, whoever of them was
there first, died or hangs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.accepting import PLACES_VARIABLE, SPARE, Places
from tests.api.real_provider import free_port

WORKERS = 3
SOON = 120.0
"""Seconds after which a test fails that would otherwise hang; a busy machine is slow to begin."""
_SERVER = f"""
import uvicorn
if __name__ == "__main__":
    uvicorn.run(
        "tests.api.test_accepting:who", port={{port}}, workers={WORKERS}, ws="none", lifespan="off",
        loop="api.accepting:EvenLoop", log_level="error",
    )
"""
_ASKED = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


async def who(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers which process it is."""
    del scope, receive
    body = str(os.getpid()).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Caller:
    """Somebody with connections that are kept open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.held: dict[socket.socket, int] = {}

    def call(self, times: int) -> Counter[int]:
        """Opens connections at once and asks over each; how many each process has of them all."""
        opened = [socket.create_connection(("127.0.0.1", self._port), SOON) for _ in range(times)]
        for connection in opened:
            connection.sendall(_ASKED)
        for connection in opened:
            self.held[connection] = _process(connection)
        return Counter(self.held.values())

    def hang_up(self, process: int) -> None:
        """Closes the connections to a process."""
        for connection in [one for one, of in self.held.items() if of == process]:
            del self.held[connection]
            connection.close()

    def close(self) -> None:
        for connection in self.held:
            connection.close()


def _process(connection: socket.socket) -> int:
    answer = b""
    while b"\r\n\r\n" not in answer or not answer.rpartition(b"\r\n\r\n")[2]:
        part = connection.recv(4_096)
        assert part, "the connection was closed"
        answer += part
    return int(answer.rpartition(b"\r\n\r\n")[2])


@contextmanager
def _serving(folder: Path) -> Iterator[Caller]:
    port, places = free_port(), folder / "places"
    Places.make(places, WORKERS)
    script = folder / "serve.py"
    script.write_text(_SERVER.format(port=port))
    paths = os.pathsep.join((str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")))
    environment = os.environ | {PLACES_VARIABLE: str(places), "PYTHONPATH": paths}
    with ExitStack() as stack:
        server = stack.enter_context(subprocess.Popen([sys.executable, script], env=environment))
        stack.callback(server.terminate)
        caller = Caller(port)
        stack.callback(caller.close)
        _until(lambda: _answers(port))
        yield caller


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    with _serving(tmp_path) as serving:
        yield serving


def test_connections_are_spread_evenly_from_the_first(caller: Caller) -> None:
    _check_even(caller.call(8 * WORKERS))
    gone = min(caller.held.values())
    caller.hang_up(gone)
    time.sleep(1.0)  # processes look now and then at what was closed
    found = caller.call(8)
    assert found[gone] >= 5
    _check_even(found)


def _check_even(found: Counter[int]) -> None:
    """Nearly as many each: a process that the machine keeps from running for longer than others
    wait for it goes without one."""
    assert len(found) == WORKERS
    assert max(found.values()) - min(found.values()) <= 3


def test_who_dies_is_replaced_and_who_hangs_is_passed_over(caller: Caller) -> None:
    first = caller.call(2 * WORKERS)
    dead, hangs, lives = sorted(first)
    os.kill(dead, signal.SIGKILL)
    caller.hang_up(dead)
    replaced: list[int] = []

    def has_another() -> bool:
        replaced.extend(set(caller.call(1)) - set(first))
        return bool(replaced)

    _until(has_another)
    os.kill(hangs, signal.SIGSTOP)
    try:
        caller.hang_up(hangs)
        found = caller.call(6)
        assert found[hangs] == 0
        assert found[lives] + found[replaced[0]] == sum(found.values())
    finally:
        os.kill(hangs, signal.SIGCONT)


def test_there_are_no_more_processes_than_places(tmp_path: Path) -> None:
    file = tmp_path / "places"
    Places.make(file, 1)
    places = Places(file)
    assert not places.may_begin()
    places.has(3)
    assert places.may_begin()
    assert places.fewest_of_others() is None
    script = "from pathlib import Path; from api.accepting import Places\n"
    script += f"mine = Places(Path({str(file)!r}))\n"
    stays = script + "mine.has(5)\nprint('there', flush=True)\ninput()"
    others = [
        subprocess.Popen(
            [sys.executable, "-c", stays], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(SPARE + 1)
    ]
    with ExitStack() as stack:
        for other in others:
            stack.enter_context(other)
            stack.callback(other.kill)
            assert other.stdout is not None
            assert other.stdout.readline() == b"there\n"
        assert places.fewest_of_others() == 5
        late = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
        assert late.returncode != 0
        assert b"more processes than there are places" in late.stderr
        places.close()
