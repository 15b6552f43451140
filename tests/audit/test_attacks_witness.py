"""What only a witness can tell: real witnesses in processes of their own, and the log's side."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import delete, update

from audit.events import EventOutcome
from audit.verifier import check_log, read_checkpoint, signers
from audit.witness import Witness, WitnessKey
from schemas.dates import Instant
from schemas.errors import InputError, InvalidValue
from schemas.settings_audit import AuditSettings, WitnessSettings
from service.audit_log import AuditLog
from service.audit_ports import AuditQuery
from service.audit_witness import (
    ACTION,
    Reply,
    Trouble,
    add_by_hand,
    ask_witnesses,
    request_by_hand,
    states,
    states_written,
    witness_keys,
    write_changes,
)
from store.audit_tables import audit_event, audit_event_person
from store.database import EVENTS
from store.tables import store_meta
from tests.audit.attacks import shows
from tests.audit.kept import COUNT, Kept, log_of, rewrite_tuesday, roll_back
from tests.audit.small_log import NOW, ORIGIN, WITNESS, event, log_key, private, witness_key
from tests.audit.test_witness import InMemory
from web.witness import answer_by_hand, post

AT = Instant("2026-09-21T14:13:20Z")
"""The time of the witness in these tests, `NOW`."""
LATER = Instant("2026-09-21T16:13:20Z")
SETTINGS = AuditSettings(
    witnesses=(WitnessSettings(WITNESS, str(witness_key()), "http://127.0.0.1:1/w/"),)
)


@dataclass
class Standing:
    """A witness in this process, asked as over the network."""

    witness: Witness

    def send(self, url: str, body: bytes) -> Reply:
        assert url == "http://127.0.0.1:1/w/add-checkpoint"
        answer = self.witness.add(body)
        return Reply(answer.status, answer.body)


def standing(kept: Kept, time: float = NOW) -> Standing:
    key = WitnessKey(WITNESS, private("witness"))
    return Standing(Witness(key, {ORIGIN: kept.keys}, InMemory(), lambda: time))


def trouble(log: AuditLog, send: Callable[[str, bytes], Reply], now: Instant = AT) -> Trouble:
    (state,) = ask_witnesses(log, SETTINGS, send, now)
    return state.trouble


# --- the log's side ----------------------------------------------------------------------------


def test_what_a_witness_gives_is_kept_and_checked(kept: Kept) -> None:
    asked = standing(kept)
    assert states(kept.log, SETTINGS, AT)[0].trouble is Trouble.NEVER
    (state,) = ask_witnesses(kept.log, SETTINGS, asked.send, AT)
    assert (state.size, state.trouble) == (COUNT, Trouble.NONE)
    kept.store.append_event(event(COUNT))
    kept.log.publish()
    (state,) = ask_witnesses(kept.log, SETTINGS, asked.send, AT)
    assert (state.size, state.document()["time"]) == (COUNT + 1, AT)
    assert states(kept.log, SETTINGS, AT) == [state]
    found = check_log(kept.root / "log", [*kept.keys, *witness_keys(SETTINGS)])
    assert found.cosigned == {WITNESS: (COUNT + 1, NOW)}
    assert kept.log.witnessed_sizes() == [COUNT, COUNT + 1]


def test_one_that_lost_our_answer_is_asked_from_where_it_is(kept: Kept) -> None:
    asked = standing(kept)
    assert trouble(kept.log, asked.send) is Trouble.NONE
    shutil.rmtree(kept.root / "log" / "witnessed")
    kept.store.append_event(event(COUNT))
    kept.log.publish()
    assert trouble(kept.log, asked.send) is Trouble.NONE


def test_one_that_another_process_asks_at_once_is_no_trouble(kept: Kept) -> None:
    asked, behind = standing(kept), log_of(kept.root, kept.store, kept.ring)

    def overtaken(times: int) -> Callable[[str, bytes], Reply]:
        left = [times]

        def send(url: str, body: bytes) -> Reply:
            if left[0]:
                left[0] -= 1
                kept.store.append_event(event(kept.store.event_count()))
                kept.log.publish()
                assert trouble(kept.log, asked.send) is Trouble.NONE
            return asked.send(url, body)

        return send

    # Between reading the checkpoint and asking, the other has a greater one signed; so twice.
    for times in (1, 2):
        (state,) = ask_witnesses(
            behind, SETTINGS, overtaken(times), Instant("2026-09-21T14:50:00Z")
        )
        assert (state.trouble, state.size) == (Trouble.NONE, kept.log.size())


def test_one_that_is_not_due_is_left_alone(kept: Kept) -> None:
    asked = standing(kept)
    trouble(kept.log, asked.send)

    def fail(*_: object) -> Reply:
        raise AssertionError("it was asked again")

    assert trouble(kept.log, fail, Instant("2026-09-21T14:40:00Z")) is Trouble.NONE
    with pytest.raises(AssertionError):
        trouble(kept.log, fail, Instant("2026-09-21T14:50:00Z"))


@shows("an administrator with key and database writes last Tuesday anew")
@pytest.mark.parametrize("forget", [False, True], ids=["what was kept", "nothing kept"])
def test_a_witness_tells_that_tuesday_was_rewritten(kept: Kept, forget: bool) -> None:
    asked = standing(kept)
    assert trouble(kept.log, asked.send) is Trouble.NONE
    witnessed = kept.root / "log" / "witnessed"
    shutil.copytree(witnessed, kept.root / "aside")
    rewrite_tuesday(kept)
    if not forget:
        shutil.copytree(kept.root / "aside", witnessed)
        keys = [*kept.keys, *witness_keys(SETTINGS)]
        assert not check_log(kept.root / "log", keys).sound
    later = Instant("2026-09-21T14:50:00Z")
    assert trouble(kept.log, asked.send, later) is Trouble.FORKED
    kept.store.append_event(event(COUNT))
    kept.log.publish()
    assert trouble(kept.log, asked.send, later) is Trouble.FORKED


@shows("the log and the database are rolled back together")
def test_a_witness_tells_that_the_log_was_rolled_back(kept: Kept) -> None:
    asked = standing(kept)
    assert trouble(kept.log, asked.send) is Trouble.NONE
    roll_back(kept)
    assert trouble(kept.log, asked.send) is Trouble.FORKED
    kept.change(
        delete(audit_event).where(audit_event.c.seq > 250),
        delete(audit_event_person).where(audit_event_person.c.seq > 250),
        update(store_meta).where(store_meta.c.name == EVENTS).values(value=250),
    )
    kept.publish_anew()
    (state,) = ask_witnesses(kept.log, SETTINGS, asked.send, AT)
    assert (state.trouble, state.told) == (Trouble.AHEAD, COUNT)


@shows("two readers are shown two histories")
def test_a_witness_signs_one_of_two_histories(kept: Kept, tmp_path: Path) -> None:
    asked = standing(kept)
    for_one = log_of(kept.root, kept.store, kept.ring)
    assert trouble(for_one, asked.send) is Trouble.NONE
    shutil.copytree(kept.root / "log", tmp_path / "shown to one")
    kept.write_over(299, event(299, actor="somebody-else"))
    kept.publish_anew()
    assert trouble(kept.log, asked.send) is Trouble.FORKED
    # Both are sound to whoever sees one only; only the first bears the witness's signature.
    for folder, cosigned in ((tmp_path / "shown to one", True), (kept.root / "log", False)):
        found = check_log(folder, [*kept.keys, *witness_keys(SETTINGS)])
        assert (found.sound, bool(found.cosigned)) == (True, cosigned)


@shows("two readers are shown two histories")
def test_two_readers_who_compare_tell_without_a_witness(kept: Kept) -> None:
    mine = kept.log.note()
    kept.write_over(299, event(299, actor="somebody-else"))
    kept.publish_anew()
    assert not check_log(kept.root / "log", kept.keys, [("yours", mine)]).sound


@shows("old signatures of a witness are shown as new")
def test_a_signature_that_is_too_old(kept: Kept) -> None:
    trouble(kept.log, standing(kept).send)
    assert states(kept.log, SETTINGS, AT)[0].trouble is Trouble.NONE
    assert states(kept.log, SETTINGS, LATER)[0].trouble is Trouble.TOO_OLD
    assert trouble(kept.log, lambda *_: Reply(0), LATER) is Trouble.TOO_OLD
    assert trouble(kept.log, standing(kept, NOW + 7_200).send, LATER) is Trouble.NONE


def test_witnesses_that_are_asked_at_once_are_all_kept(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [WitnessKey(f"w{n}.example", private(f"w{n}")) for n in range(4)]
    held = kept.log.witnessed

    def slowly(size: int) -> bytes | None:
        found = held(size)
        time.sleep(0.05)  # so that whoever does not wait reads what the other is about to change
        return found

    monkeypatch.setattr(kept.log, "witnessed", slowly)

    def ask(key: WitnessKey) -> None:
        named = WitnessSettings(key.name, str(key.public), "http://127.0.0.1:1/w/")
        asked = Standing(Witness(key, {ORIGIN: kept.keys}, InMemory(), lambda: NOW))
        ask_witnesses(kept.log, AuditSettings(witnesses=(named,)), asked.send, AT)

    with ThreadPoolExecutor(len(keys)) as threads:
        list(threads.map(ask, keys))
    found = check_log(kept.root / "log", [*kept.keys, *(key.public for key in keys)])
    assert set(found.cosigned) == {key.name for key in keys}


@shows("a stranger signs as the witness")
def test_a_stranger_who_signs_as_the_witness(kept: Kept) -> None:
    stranger = WitnessKey(WITNESS, private("stranger"))
    asked = Standing(Witness(stranger, {ORIGIN: kept.keys}, InMemory(), lambda: NOW))
    assert trouble(kept.log, asked.send) is Trouble.WRONG
    assert kept.log.witnessed_sizes() == []
    kept.log.keep_witnessed(
        COUNT,
        kept.log.note()
        + asked.witness.add(request_by_hand(kept.log, SETTINGS, WITNESS)).body.encode(),
    )
    found = check_log(kept.root / "log", [*kept.keys, *witness_keys(SETTINGS)])
    assert not found.sound


ANSWERS = {
    (0, ""): Trouble.NEVER_REACHED, (500, "no"): Trouble.NEVER_REACHED, (403, ""): Trouble.UNKNOWN,
    (404, ""): Trouble.UNKNOWN, (422, ""): Trouble.FORKED, (400, ""): Trouble.REFUSED,
    (409, "0\n"): Trouble.FORKED, (409, "x"): Trouble.REFUSED, (409, "999\n"): Trouble.AHEAD,
    (200, ""): Trouble.WRONG, (200, "\N{EM DASH} a AAAAAAAA\n"): Trouble.WRONG,
    (302, ""): Trouble.REFUSED,
}  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
def test_what_each_answer_means(kept: Kept, answer: tuple[int, str]) -> None:
    assert trouble(kept.log, lambda *_: Reply(*answer)) is ANSWERS[answer]


def test_alarms_are_written_once_and_so_is_their_end(kept: Kept) -> None:
    asked = standing(kept)

    def round_of(send: Callable[[str, bytes], Reply], now: Instant) -> list[str]:
        found = ask_witnesses(kept.log, SETTINGS, send, now)
        return [one.trouble.value for one in write_changes(kept.store, found, "a", "-", now)]

    def away(*_: object) -> Reply:
        return Reply(0)

    assert round_of(asked.send, AT) == []
    assert round_of(away, AT) == []
    assert round_of(away, LATER) == [Trouble.TOO_OLD]
    assert round_of(away, LATER) == []
    assert round_of(standing(kept, NOW + 7_200).send, LATER) == [""]
    assert round_of(asked.send, LATER) == []
    query = AuditQuery(actions=frozenset({ACTION}))
    written = [one.event for page in kept.store.find_numbered(query) for one in page]
    assert [one.outcome for one in written] == [EventOutcome.FAILED, EventOutcome.PERMITTED]
    assert written[0].details == {
        "witness": WITNESS, "trouble": "too-old", "size": COUNT,
    }  # fmt: skip


def test_one_that_never_signed_and_does_not_answer_is_told_apart(kept: Kept) -> None:
    def known() -> Trouble:
        (state,) = states_written(kept.store, kept.log, SETTINGS, AT)
        return state.trouble

    assert known() is Trouble.NEVER
    found = ask_witnesses(kept.log, SETTINGS, lambda *_: Reply(0), AT)
    write_changes(kept.store, found, "a", "-", AT)
    assert known() is Trouble.NEVER_REACHED
    asked = standing(kept)
    kept.log.publish()
    write_changes(kept.store, ask_witnesses(kept.log, SETTINGS, asked.send, AT), "a", "-", AT)
    assert known() is Trouble.NONE


def test_by_hand(kept: Kept) -> None:
    asked = standing(kept).witness
    with pytest.raises(InputError, match="no witness of that name"):
        request_by_hand(kept.log, SETTINGS, "nobody")
    signed = answer_by_hand(asked, request_by_hand(kept.log, SETTINGS, WITNESS))
    assert add_by_hand(kept.log, SETTINGS, signed.encode()) == [WITNESS]
    assert states(kept.log, SETTINGS, AT)[0].size == COUNT
    for wrong in (kept.log.note().decode(), "no note", signed.replace(ORIGIN, "another.example")):
        with pytest.raises(InputError):
            add_by_hand(kept.log, SETTINGS, wrong.encode())


def test_a_witness_in_the_settings_whose_key_is_none() -> None:
    for key in (f"{WITNESS}+00000000+AAAA", str(log_key())):
        with pytest.raises(InvalidValue, match=r"audit\.witness"):
            witness_keys(AuditSettings(witnesses=(WitnessSettings(WITNESS, key),)))


# --- witnesses in processes of their own --------------------------------------------------------


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "cli", "audit", "witness", *map(str, arguments)]


@contextmanager
def at_work(
    folder: Path, kept: Kept, port: int, program: list[str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A witness as a partner runs it; its key and state lie in the folder."""
    keys = folder / "log.keys"
    keys.write_text("".join(f"{key}\n" for key in kept.keys), "ascii")
    given = ("--key", folder / "key", "--state", folder / "state", "--log", keys, "--port", port)
    arguments = command(*given)
    if program is not None:
        arguments = [*program, *arguments[3:]]
    with subprocess.Popen(arguments, stderr=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(600):
                try:
                    httpx.get(url, timeout=5)
                    break
                except httpx.HTTPError:
                    assert process.poll() is None, "the witness did not start"
                    time.sleep(0.1)
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


def new_witness(folder: Path, port: int) -> AuditSettings:
    folder.mkdir()
    made = subprocess.run(
        command("--new-key", "ward.example/w", "--key", folder / "key"),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = WitnessSettings("ward.example/w", made.stdout.strip(), f"http://127.0.0.1:{port}")
    return AuditSettings(witnesses=(found,))


def now() -> Instant:
    return Instant(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


@shows("an administrator with key and database writes last Tuesday anew")
def test_a_witness_of_its_own_process(kept: Kept, tmp_path: Path) -> None:
    folder, port = tmp_path / "witness", free_port()
    settings = new_witness(folder, port)
    with at_work(folder, kept, port) as process:
        (state,) = ask_witnesses(kept.log, settings, post, now())
        assert (state.size, state.trouble) == (COUNT, Trouble.NONE)
        again = subprocess.run(
            command("--key", folder / "key", "--state", folder / "state", "--log", kept.keys[0]),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (again.returncode, "another witness is at work" in again.stderr) == (7, True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
    rewrite_tuesday(kept)
    with at_work(folder, kept, port):
        (state,) = ask_witnesses(kept.log, settings, post, now())
        assert state.trouble is Trouble.FORKED


DIES = """
import os, signal, sys
import web.witness as place
real = place.StateFile.keep
def keep(self, origin, head):
    if os.environ["DIE"] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, origin, head)
    os.kill(os.getpid(), signal.SIGKILL)
place.StateFile.keep = keep
import cli
sys.argv = ["commonthread", *sys.argv[1:]]
cli.main()
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_between_keeping_and_answering(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    folder, port = tmp_path / "witness", free_port()
    settings = new_witness(folder, port)
    monkeypatch.setenv("DIE", when)
    with at_work(folder, kept, port, [sys.executable, "-c", DIES]) as process:
        (state,) = ask_witnesses(kept.log, settings, post, now())
        assert state.trouble is Trouble.NEVER_REACHED
        assert process.wait(30) == -signal.SIGKILL
    held = json.loads((folder / "state").read_text("utf-8")) if when == "after" else {}
    assert [one["size"] for one in held.values()] == ([COUNT] if when == "after" else [])
    # The same checkpoint is signed by the next one; another of that size would not be.
    with at_work(folder, kept, port):
        (state,) = ask_witnesses(kept.log, settings, post, now())
        assert (state.size, state.trouble) == (COUNT, Trouble.NONE)
        signed = kept.log.witnessed(COUNT)
        assert signed is not None
        assert signers(read_checkpoint(signed), witness_keys(settings))[0]


def test_who_posts_to_nobody_gets_no_answer() -> None:
    assert post(f"http://127.0.0.1:{free_port()}/", b"") == Reply(0)
    assert post("no address", b"") == Reply(0)
