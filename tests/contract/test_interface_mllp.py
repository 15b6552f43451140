"""Messages over MLLP: what was answered is on the disk, and is loaded once, whatever breaks and
whenever it breaks. Real sockets, real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import count
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters import mllp_server
from adapters.inbox import find_feeds
from adapters.mllp_answers import Verdict
from adapters.mllp_frames import framed
from adapters.mllp_server import listen
from adapters.mllp_spool import MessageSpool, MllpSource, whole_length
from adapters.spool import OPEN, Spool
from schemas.errors import InputError
from tests.contract.mllp_senders import (
    HERE,
    LIMITS,
    admission,
    arrived,
    close_all,
    now,
    place,
    raw,
    running,
    wait_for,
)
from tests.functional.killer import die_at
from tests.processes import split_off


@pytest.fixture(autouse=True)
def closed_in_the_end() -> Iterator[None]:
    yield
    close_all()


# --- what comes in, and how ---------------------------------------------------------------------


def test_taken_kept_and_refused(tmp_path: Path) -> None:
    with running(place(tmp_path)) as at:
        sender = at.sender()
        assert sender.ask(admission(0)) == "AA acuteL0"
        faulty = admission(1).replace(b"PID|1", b"XXX|1")
        assert sender.ask(faulty) == "AE acuteL1"
        assert sender.ask(admission(2).replace(b"ADT^A01", b"QRY^A19")) == "AR acuteL2"
        assert sender.ask(b"hello") == "AR "
        at.stop()
    assert at.counts == {Verdict.TAKEN: 1, Verdict.FAULTY: 1, Verdict.REFUSED: 2}
    assert arrived(tmp_path) == [*raw(0), faulty.rstrip(b"\r")]
    assert at.handed >= 2, "at the beginning, and what came"


def test_however_the_bytes_come(tmp_path: Path) -> None:
    with running(place(tmp_path)) as at:
        sender = at.sender()
        for byte in framed(admission(0)):
            sender.send(bytes([byte]))
        assert sender.answer() == "AA acuteL0"
        sender.send(framed(admission(1)) + b"\r\n" + framed(admission(2)) + b"noise")
        assert [sender.answer(), sender.answer()] == ["AA acuteL1", "AA acuteL2"]
        sender.send(b"\x0bMSH|^~\\&|half a mess" + framed(admission(3)))
        assert sender.answer() == "AA acuteL3"
        sender.send(framed(admission(4))[:-1])
        sender.socket.shutdown(socket.SHUT_WR)
        assert sender.closed()
        at.stop()
    assert arrived(tmp_path) == raw(0, 1, 2, 3)


def test_one_over_the_limit_is_refused_and_the_next_is_taken(tmp_path: Path) -> None:
    with running(place(tmp_path)) as at:
        sender = at.sender()
        sender.send(framed(admission(0) + b"ZZZ|" + b"x" * 300_000))
        assert sender.answer() == "AR acuteL0"
        assert sender.ask(admission(1)) == "AA acuteL1"
        at.stop()
    assert arrived(tmp_path) == raw(1)


def test_who_speaks_something_else_or_nothing_is_closed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "commonthread.listen")
    with running(place(tmp_path, replace(HERE, idle_seconds=0.3))) as at:
        chatty, silent = at.sender(), at.sender()
        with suppress(ConnectionError):
            for _ in range(4):
                chatty.send(b"Pemberton" * 9_999)
        assert chatty.closed()
        silent.send(b"\x0bMSH|half Pemberton")
        assert silent.closed()
        assert at.sender().ask(admission(0)) == "AA acuteL0"
    assert "it speaks no MLLP; " in caplog.text
    assert "idle for 0.3 seconds; 18 bytes of an unfinished message dropped" in caplog.text
    assert "Pemberton" not in caplog.text


def test_one_connection_too_many_is_turned_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(place(tmp_path, replace(HERE, max_connections=2))) as at:
        first, second = at.sender(), at.sender()
        assert [first.ask(admission(0)), second.ask(admission(1))] == ["AA acuteL0", "AA acuteL1"]
        assert at.sender().closed()
        assert "too many connections" in caplog.text
        first.socket.close()
        until = time.monotonic() + 10
        told = ""
        while told != "AA acuteL2" and time.monotonic() < until:
            with suppress(ConnectionError):
                told = at.sender().ask(admission(2))
        assert told == "AA acuteL2"


class Gate:
    """Lets what is written to the disk wait, and counts how often it is made durable."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open, self.entered = threading.Event(), threading.Event()
        self.sizes: list[int] = []
        real = MessageSpool.append

        def append(spool: MessageSpool, blocks: list[bytes]) -> None:
            self.entered.set()
            assert self.open.wait(30)
            self.sizes.append(len(blocks))
            real(spool, blocks)

        monkeypatch.setattr(MessageSpool, "append", append)


def test_all_that_wait_are_made_durable_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    with running(place(tmp_path)) as at:
        senders = [at.sender() for _ in range(8)]
        senders[0].send(framed(admission(0)))
        assert gate.entered.wait(30)
        for n, sender in enumerate(senders[1:], 1):
            sender.send(framed(admission(n)) + framed(admission(n + 8)))
        senders[1].socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            senders[1].answer()
        senders[1].socket.settimeout(30)
        gate.open.set()
        assert senders[0].answer() == "AA acuteL0"
        for n, sender in enumerate(senders[1:], 1):
            assert [sender.answer(), sender.answer()] == [f"AA acuteL{n}", f"AA acuteL{n + 8}"]
        at.stop()
    assert gate.sizes == [1, 14], "one, and then all that came meanwhile"
    assert Counter(arrived(tmp_path)) == Counter(raw(*range(16))[:8] + raw(*range(9, 16)))


def test_a_connection_is_not_read_while_its_messages_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    with running(place(tmp_path)) as at:
        sender = at.sender()
        sender.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        block, sent = framed(admission(0)) * 1_000, 0
        sender.send(framed(admission(0)))
        assert gate.entered.wait(30)
        sender.socket.settimeout(0.3)
        with suppress(TimeoutError):
            while sent < 64 << 20:
                sent += sender.socket.send(block)
        assert sent < 32 << 20, "what the system's own buffers hold"
        sender.socket.close()
        gate.open.set()


def test_what_cannot_be_written_is_refused_and_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fdatasync, count(1)

    def failing(handle: int) -> None:
        if next(calls) == 2:
            raise OSError(28, "No space left on device")
        real(handle)

    with running(place(tmp_path, replace(HERE, roll_seconds=30))) as at:
        sender = at.sender()
        monkeypatch.setattr(os, "fdatasync", failing)
        told = [sender.ask(admission(n)) for n in (0, 1, 1, 2)]
        assert told == ["AA acuteL0", "AR acuteL1", "AA acuteL1", "AA acuteL2"]
        at.stop()
    MllpSource(HERE, Spool(tmp_path, now), tmp_path).collect()
    assert Counter(arrived(tmp_path)).keys() == set(raw(0, 1, 2))
    assert not list(tmp_path.glob(".*"))


def test_told_to_stop_it_answers_what_it_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    with running(place(tmp_path)) as at:
        idle, busy = at.sender(), at.sender()
        busy.send(framed(admission(0)))
        assert gate.entered.wait(30)
        stopping = threading.Thread(target=at.stop)
        stopping.start()
        assert idle.closed()
        gate.open.set()
        assert busy.answer() == "AA acuteL0"
        assert busy.closed()
        stopping.join()
        with pytest.raises(ConnectionError):
            at.sender()
    assert arrived(tmp_path) == raw(0)


def test_what_could_not_be_loaded_is_handed_over_again(tmp_path: Path) -> None:
    with running(place(tmp_path)) as at:
        assert wait_for(lambda: at.handed == 1)
        at.loading = lambda: at.handed > 3
        assert at.sender().ask(admission(0)) == "AA acuteL0"
        assert wait_for(lambda: at.handed == 4), "three times in vain"
        time.sleep(0.3)
        assert at.handed == 4, "nothing came since"


def test_it_stops_also_while_something_is_loaded(tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()
    with running(place(tmp_path)) as at:
        assert wait_for(lambda: at.handed == 1)
        at.loading = lambda: entered.set() or leave.wait(30)
        sender = at.sender()
        assert sender.ask(admission(0)) == "AA acuteL0"
        assert entered.wait(30)
        assert sender.ask(admission(1)) == "AA acuteL1", "it answers all the while"
        stopping = threading.Thread(target=at.stop)
        stopping.start()
        assert sender.closed()
        assert stopping.is_alive()
        leave.set()
        stopping.join()
    assert arrived(tmp_path) == raw(0, 1)
    assert at.handed == 3


# --- TLS ----------------------------------------------------------------------------------------


def certificates(folder: Path, name: str) -> None:
    """An authority NAME.pem, and a certificate for localhost that it signed, with its key."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.now(UTC) - timedelta(days=1)
    for at, (subject, file, authority) in enumerate(
        [(issuer, name, True),
         (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), f"{name}-end", False)]
    ):  # fmt: skip
        made = (
            x509.CertificateBuilder()
            .subject_name(subject).issuer_name(issuer).public_key(keys[at].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start).not_valid_after(start + timedelta(days=9))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(keys[0], hashes.SHA256())
        )  # fmt: skip
        (folder / f"{file}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{name}-end.key").write_bytes(key)
    (folder / f"{name}-end.key").chmod(0o600)


def client(folder: Path, own: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "ours.pem"))
    if own:
        context.load_cert_chain(folder / f"{own}-end.pem", folder / f"{own}-end.key")
    return context


def test_over_tls_only_who_shows_a_certificate(tmp_path: Path) -> None:
    for name in ("ours", "theirs", "strange"):
        certificates(tmp_path, name)
    tls = replace(HERE, certificate_file="ours-end.pem", key_file="ours-end.key",
                  client_ca_file="theirs.pem")  # fmt: skip
    with running(place(tmp_path, tls)) as at:
        assert at.sender(client(tmp_path, "theirs")).ask(admission(0)) == "AA acuteL0"
        for own in (None, "strange"):
            told = ""
            with suppress(ssl.SSLError, ConnectionError):
                told = at.sender(client(tmp_path, own)).ask(admission(1))
            assert told == ""
        at.stop()
    assert arrived(tmp_path) == raw(0)


FILES: list[tuple[str, Callable[[Path], object], str]] = [
    ("a key that others can read", lambda f: (f / "ours-end.key").chmod(0o644), "chmod 600"),
    ("no key", lambda f: (f / "ours-end.key").unlink(), "cannot be read"),
    ("no certificate", lambda f: (f / "ours-end.pem").unlink(), "cannot be used"),
    ("a file that is none", lambda f: (f / "theirs.pem").write_text("x"), "cannot be used"),
]


@pytest.mark.parametrize(("damage", "message"), [row[1:] for row in FILES],
                         ids=[row[0] for row in FILES])  # fmt: skip
def test_certificates_that_cannot_be_used(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    for name in ("ours", "theirs"):
        certificates(tmp_path, name)
    damage(tmp_path)
    tls = replace(HERE, certificate_file="ours-end.pem", key_file="ours-end.key",
                  client_ca_file="theirs.pem")  # fmt: skip
    with pytest.raises(InputError, match=message):
        mllp_server.tls_context(tls, tmp_path)


def test_an_address_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        one = place(tmp_path, replace(HERE, listen=taken))
        with pytest.raises(InputError, match=f"source acute: cannot listen at {taken}"):
            asyncio.run(listen([one], lambda: True, asyncio.Event()))


# --- what a process that died has left ------------------------------------------------------------


MOMENTS = {
    "before the file is made durable": ("os:fdatasync", 2, "before"),
    "once the file is durable": ("os:fdatasync", 2, "after"),
    "before the feed has its name": ("os:link", 1, "before"),
    "after the feed has its name": ("os:link", 1, "after"),
    "before the first name is gone": ("pathlib:Path.unlink", 1, "before"),
    "after the first name is gone": ("pathlib:Path.unlink", 1, "after"),
}


def write_and_die(told: list[str]) -> None:
    """Writes four messages and a roll in a process that dies at a moment; says what it answered."""
    folder, moment = told
    die_at(*MOMENTS[moment])
    spool = MessageSpool(Spool(Path(folder), now))
    for pair in ((0, 1), (2, 3)):
        spool.append([framed(admission(n)) for n in pair])
        os.write(1, b"%d %d " % pair)
    spool.roll()


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_what_was_answered_is_a_feed_once(tmp_path: Path, moment: str) -> None:
    left = split_off(write_and_die, [tmp_path, moment])
    assert left.code == -signal.SIGKILL
    answered = raw(*map(int, left.out.split()))
    for _ in range(2):
        assert MllpSource(HERE, Spool(tmp_path, now), tmp_path).collect() == []
    found = arrived(tmp_path)
    assert found[: len(answered)] == answered
    assert len(found) == len(set(found)) <= 4
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("piece", [b"", b"\x0b", b"\x0bMSH|^~\\&|PAS", b"x" * (2 << 20), b"\x1c"])
@pytest.mark.parametrize("whole", [0, 2])
def test_the_piece_of_a_message_that_nobody_answered_is_cut_off(
    tmp_path: Path, piece: bytes, whole: int
) -> None:
    blocks = b"".join(framed(admission(n)) for n in range(whole))
    (tmp_path / f"{OPEN}messages-1.hl7").write_bytes(blocks + piece)
    MllpSource(HERE, Spool(tmp_path, now), tmp_path).collect()
    assert arrived(tmp_path) == raw(*range(whole))
    assert [p.name for p in tmp_path.iterdir()] == ["messages_20260301T040506Z.hl7"][:whole]
    assert whole_length(BytesIO(blocks + piece)) == len(blocks)


def test_what_is_still_written_is_left_alone_and_no_feed_is_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "acute"
    folder.mkdir()
    one, other = (MessageSpool(Spool(folder, now)) for _ in range(2))
    one.append([framed(admission(0))])
    other.append([framed(admission(1))])
    MllpSource(HERE, Spool(folder, now), folder).collect()
    assert arrived(folder) == []
    settings = place(folder).source
    assert find_feeds(tmp_path, settings, LIMITS) == ([], []), "nothing that need be told"
    assert [one.roll(), other.roll(), one.roll()] == [
        folder / "messages_20260301T040506Z.hl7", folder / "messages_20260301T040507Z.hl7", None,
    ]  # fmt: skip
    assert arrived(folder) == raw(0, 1)
