"""Listens for HL7 v2 messages at the addresses of sources, and answers each once it is on the disk.

Rules:
- A message is judged, written, made durable, and then answered, in the order in which it came. All
  that wait, over all connections of a source, are made durable together.
- A connection is not read further while messages of it wait: what a sender cannot be answered, it
  cannot send. It is closed when it brings nothing, or takes no answer, for `idle_seconds`, and when
  it brings 64 KiB that no frame holds: that is no MLLP.
- One connection too many is closed at once.
- What cannot be written is refused, and its sender sends it again.
- When it is told to stop it takes no more connections, reads no more, answers what was read, and
  hands over what came.
- Lines of the log name a source and an address, and count; they hold nothing of a message.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from adapters.mllp_answers import NOT_KEPT, Judge, Judged, Verdict, answer
from adapters.mllp_frames import Framed, Framer, framed
from adapters.mllp_spool import MessageSpool
from adapters.secrets import check_private
from adapters.spool import Spool
from schemas.dates import Clock
from schemas.errors import InputError
from schemas.settings import FileSettings, Limits, SourceSettings
from schemas.settings_interfaces import MllpInterface

_LOGGER = logging.getLogger("commonthread.listen")
_READ_BYTES = 64 << 10
_MOST_OUTSIDE = 64 << 10
_LONG = 256 << 10
"""Bytes of a message that is judged beside the others, so that these do not wait for it."""
_HANDSHAKE_SECONDS = 20.0
_SLOWEST_RETRY = 60.0
"""Seconds between two tries to hand over, at most."""
_PENDING_CONNECTIONS = 100
_END_SECONDS = 2.0
"""For the other end to take the end of a connection."""
_LAST_SECONDS = 10.0
"""For answers, once it is told to stop."""


class _Commit:
    """Makes messages durable: those that wait while the disk is at work go together next."""

    def __init__(self, spool: MessageSpool) -> None:
        self._spool = spool
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mllp-spool")
        self._waiting: list[tuple[bytes, asyncio.Future[bool]]] = []
        self._at_work: asyncio.Task[None] | None = None

    def keep(self, block: bytes) -> asyncio.Future[bool]:
        """Whether the block is durable, once that is known."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((block, done))
        if self._at_work is None:
            self._at_work = asyncio.create_task(self._work())
        return done

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            blocks = [block for block, _ in waiting]
            try:
                await loop.run_in_executor(self._thread, self._spool.append, blocks)
                kept = True
            except Exception as error:  # whatever it is, somebody waits for an answer
                told = getattr(error, "strerror", None) or type(error).__name__
                _LOGGER.error("messages could not be written (%s); refused", told)
                kept = False
            for _, done in waiting:
                if not done.done():
                    done.set_result(kept)
        self._at_work = None

    async def roll(self) -> bool:
        """Makes what came a feed; whether there was anything. Raises: OSError."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._spool.roll) is not None

    async def close(self) -> None:
        if self._at_work is not None:
            await self._at_work
        self._thread.shutdown()
        self._spool.close()


@dataclass(frozen=True)
class Place:
    """Where a source listens, and what of the workspace it needs: `root` for its certificates,
    `spool` for what comes."""

    source: SourceSettings
    interface: MllpInterface
    limits: Limits
    spool: Spool
    root: Path
    clock: Clock

    @property
    def files(self) -> FileSettings:
        """How what comes is read."""
        return self.source.files[0]


class Listener:
    """The address of one source, and its connections.

    Attributes:
        counts: messages by what became of them.
    """

    def __init__(self, place: Place) -> None:
        self._place, self._interface = place, place.interface
        self._name = place.source.id
        self._judge = Judge(place.source, place.files, place.limits)
        self._commit = _Commit(MessageSpool(place.spool))
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._reading: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.counts: Counter[Verdict] = Counter()

    async def start(self) -> tuple[str, int]:
        """Begins to listen; host and port. Raises: InputError: it cannot listen there, or its
        certificates cannot be used."""
        host, port = self._interface.address
        tls = tls_context(self._interface, self._place.root)
        try:
            self._server = await asyncio.start_server(
                self._accepted, host, port, limit=_READ_BYTES, backlog=_PENDING_CONNECTIONS,
                ssl=tls, ssl_handshake_timeout=_HANDSHAKE_SECONDS if tls else None,
            )  # fmt: skip
        except OSError as error:
            raise InputError(
                f"source {self._name}: cannot listen at {self._interface.listen}"
                f" ({error.strerror}); see `listen` of its interface"
            ) from None
        told = self._server.sockets[0].getsockname()
        _LOGGER.info("%s: listens at %s port %d", self._name, told[0], told[1])
        return str(told[0]), int(told[1])

    async def roll(self) -> bool:
        """Makes what came a feed; whether there was anything."""
        try:
            return await self._commit.roll()
        except OSError as error:
            _LOGGER.error("%s: the feed has no name yet (%s)", self._name, error.strerror)
            return True

    async def stop(self) -> None:
        """Takes no more, and answers what was read."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for task in self._reading:
            task.cancel()
        if self._open:
            _, late = await asyncio.wait(self._open, timeout=_LAST_SECONDS)
            for task in late:  # its sender takes no answer
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def close(self) -> None:
        """Lets go of the disk."""
        await self._commit.close()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task, peer = asyncio.current_task(), _peer(writer)
        if task is None or self._stopping or len(self._open) >= self._interface.max_connections:
            _LOGGER.warning("%s: %s turned away: too many connections", self._name, peer)
            await _closed(writer)
            return
        self._open.add(task)
        framer = Framer(self._place.limits.max_message_bytes)
        try:
            why = await self._exchange(task, reader, writer, framer)
        except TimeoutError:
            why = f"idle for {self._interface.idle_seconds:g} seconds"
        except OSError as error:  # a TLS error is one too
            why = f"lost ({type(error).__name__})"
        except asyncio.CancelledError:
            why = "stopping"
        except Exception as error:  # its text may hold a person's values: only its kind is told
            _LOGGER.error("%s: unforeseen error (%s)", self._name, type(error).__name__)
            why = "failed"
        finally:
            self._reading.discard(task)
            await _closed(writer)
            self._open.discard(task)
        _LOGGER.info("%s: %s closed: %s%s", self._name, peer, why, _left(framer))

    async def _exchange(
        self,
        task: asyncio.Task[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        framer: Framer,
    ) -> str:
        """Reads and answers until one side ends it; says why."""
        while not self._stopping:
            self._reading.add(task)
            async with asyncio.timeout(self._interface.idle_seconds):
                data = await reader.read(_READ_BYTES)
            self._reading.discard(task)
            if not data:
                return "by its sender"
            answers = await self._answered(framer.feed(data))
            if answers:
                writer.write(answers)
                async with asyncio.timeout(self._interface.idle_seconds):
                    await writer.drain()
            if framer.outside > _MOST_OUTSIDE:
                return "it speaks no MLLP"
        return "stopping"

    async def _answered(self, messages: Sequence[Framed]) -> bytes:
        """The answers to messages of one connection, once those that are kept are durable."""
        judged = [await self._judged(message) for message in messages]
        kept = [
            None if one.verdict is Verdict.REFUSED else self._commit.keep(framed(message.content))
            for message, one in zip(messages, judged, strict=True)
        ]
        found = []
        for message, one, durable in zip(messages, judged, kept, strict=True):
            ended = one if durable is None or await durable else NOT_KEPT
            self.counts[ended.verdict] += 1
            told = answer(message.content, ended, self._place.clock(), secrets.token_hex(10))
            if told is not None:
                found.append(framed(told))
        return b"".join(found)

    async def _judged(self, message: Framed) -> Judged:
        if len(message.content) > _LONG:
            return await asyncio.to_thread(self._judge.judge, message)
        return self._judge.judge(message)


async def _closed(writer: asyncio.StreamWriter) -> None:
    """Closes a connection; a sender that does not take its end is cut off."""
    writer.close()
    try:
        async with asyncio.timeout(_END_SECONDS):
            await writer.wait_closed()
    except (TimeoutError, OSError):
        writer.transport.abort()


def _peer(writer: asyncio.StreamWriter) -> str:
    told = writer.get_extra_info("peername")
    return str(told[0]) if told else "somebody"


def _left(framer: Framer) -> str:
    """What of a connection was no message, in words that follow others."""
    told = []
    if framer.unfinished is not None:
        told.append(f"{framer.unfinished} bytes of an unfinished message dropped")
    if framer.broken:
        told.append(f"{framer.broken} messages broken off by their sender")
    if framer.outside:
        told.append(f"{framer.outside} bytes outside any frame")
    return "".join(f"; {one}" for one in told)


def tls_context(interface: MllpInterface, root: Path) -> ssl.SSLContext | None:
    """The TLS of this end; None where the settings name no certificate. Raises: InputError."""
    if interface.certificate_file is None or interface.key_file is None:
        return None
    check_private(root, interface.key_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(root / interface.certificate_file, root / interface.key_file)
        if interface.client_ca_file is not None:
            context.load_verify_locations(root / interface.client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise InputError(
            f"the certificates of `listen` cannot be used ({type(error).__name__}): expected"
            " certificate_file, key_file and client_ca_file in PEM, the key without a password"
        ) from None
    return context


async def listen(
    places: Sequence[Place],
    hand_over: Callable[[], bool],
    stop: asyncio.Event,
) -> Counter[Verdict]:
    """Listens until it is told to stop; what became of the messages.

    Args:
        hand_over: has the feeds that lie there loaded, in a thread; whether all is done, or is to
            be tried again. It is called once at the beginning, for what a former process left.

    Raises: InputError: one of them cannot listen; none does then.
    """
    listeners = [Listener(place) for place in places]
    stopping = asyncio.create_task(_stopped(listeners, stop))
    try:
        for listener in listeners:
            await listener.start()
        await _rolling(listeners, hand_over, stop, min(p.interface.roll_seconds for p in places))
    finally:
        stop.set()
        await stopping
        rolled = [await listener.roll() for listener in listeners]
        for listener in listeners:
            await listener.close()
    if any(rolled):
        await asyncio.to_thread(hand_over)
    return sum((listener.counts for listener in listeners), Counter())


async def _stopped(listeners: Sequence[Listener], stop: asyncio.Event) -> None:
    """Stops them once it is told, also while something is handed over."""
    await stop.wait()
    await asyncio.gather(*(listener.stop() for listener in listeners))


async def _rolling(
    listeners: Sequence[Listener],
    hand_over: Callable[[], bool],
    stop: asyncio.Event,
    seconds: float,
) -> None:
    """Hands over what came, every so many seconds, until it is told to stop."""
    wait, owing = seconds, True
    while not stop.is_set():
        rolled = [await listener.roll() for listener in listeners]
        if owing or any(rolled):
            owing = not await asyncio.to_thread(hand_over)
            wait = min(2 * wait, _SLOWEST_RETRY) if owing else seconds
        try:
            async with asyncio.timeout(wait):
                await stop.wait()
        except TimeoutError:
            continue
