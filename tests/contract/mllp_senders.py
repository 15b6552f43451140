"""Systems that send messages over MLLP, and listeners that run beside a test."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

from adapters.hl7v2_frames import read_frames
from adapters.mllp_answers import Verdict
from adapters.mllp_frames import Framed, Framer, framed
from adapters.mllp_server import Listener, Place, listen
from adapters.spool import Spool
from schemas.dates import Instant
from schemas.identifiers import OdsCode, SourceId
from schemas.settings import FileSettings, Limits, SourceSettings
from schemas.settings_interfaces import MllpInterface
from tests.functional import small

LIMITS = Limits(max_message_bytes=20_000, settle_seconds=0)
HERE = MllpInterface("127.0.0.1:0", roll_seconds=0.1, idle_seconds=20)
PEOPLE = small.with_ids(small.clients(30), "acute")


def now() -> Instant:
    return Instant("2026-03-01T04:05:06Z")


def admission(n: int, visit: str = "") -> bytes:
    """An admission of the n-th client, by the number of its visit."""
    text = small.message(PEOPLE[n]).replace("A28", "A01")
    return f"{text}PV1|1|I|W1^^^RA7|||||||||||||||{visit or f'V{n}'}\r".encode()


def place(folder: Path, interface: MllpInterface = HERE, limits: Limits = LIMITS) -> Place:
    source = SourceSettings(
        SourceId("acute"), "A", (OdsCode("RA7"),), (FileSettings("*", "hl7v2"),),
        interface=interface, local_id_system="RA7",
    )  # fmt: skip
    return Place(source, interface, limits, Spool(folder, now), folder, now)


OPENED: list[socket.socket] = []


def close_all() -> None:
    """Closes what senders opened."""
    while OPENED:
        OPENED.pop().close()


class Sender:
    """A system that sends messages."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=30)
        OPENED.append(plain)
        self.socket = plain if tls is None else tls.wrap_socket(plain, server_hostname="localhost")
        OPENED.append(self.socket)
        self.framer = Framer(1 << 20)
        self.waiting: list[Framed] = []

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> str:
        """The next answer: code and id, as they stand in MSA; '' if the connection was closed."""
        while not self.waiting:
            data = self.socket.recv(65_536)
            if not data:
                return ""
            self.waiting += self.framer.feed(data)
        msa = self.waiting.pop(0).content.split(b"\r")[1].split(b"|")
        return b" ".join(msa[1:3]).decode()

    def ask(self, message: bytes) -> str:
        self.send(framed(message))
        return self.answer()

    def closed(self) -> bool:
        """Waits for the other end to close the connection."""
        with suppress(ConnectionError):
            return self.socket.recv(1) == b""
        return True


class Running:
    """A listener in a thread, which hands over to nobody."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.handed = 0
        self.loading: Callable[[], bool] = lambda: True
        self.port = 0
        self.counts: Counter[Verdict] = Counter()
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.counts = await listen([self.place], self._hand_over, self._stop)

    def _hand_over(self) -> bool:
        self.handed += 1
        return self.loading()

    def stop(self) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self.thread.join(30)
        assert not self.thread.is_alive()

    def sender(self, tls: ssl.SSLContext | None = None) -> Sender:
        return Sender(self.port, tls)


@contextmanager
def running(place: Place) -> Iterator[Running]:
    made, real = Running(place), Listener.start
    listens = threading.Event()

    async def start(listener: Listener) -> tuple[str, int]:
        host, made.port = await real(listener)
        listens.set()
        return host, made.port

    Listener.start = start
    try:
        made.thread.start()
        assert listens.wait(30)
    finally:
        Listener.start = real
    try:
        yield made
    finally:
        if made.thread.is_alive():
            made.stop()


def wait_for(what: Callable[[], bool]) -> bool:
    """Waits until it is so; whether that was within a minute."""
    until = time.monotonic() + 60
    while not what() and time.monotonic() < until:
        time.sleep(0.02)
    return what()


def arrived(folder: Path) -> list[bytes]:
    """The messages of all feeds of a folder, as the reader of files cuts them."""
    found = []
    for path in sorted(folder.glob("messages_*.hl7")):
        frames = list(read_frames(BytesIO(path.read_bytes()), LIMITS.max_message_bytes, []))
        assert all(frame.is_message and not frame.torn for frame in frames)
        found += [frame.raw for frame in frames]
    return found


def raw(*numbers: int) -> list[bytes]:
    return [admission(n).rstrip(b"\r") for n in numbers]
