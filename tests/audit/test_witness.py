"""The witness: the specification's answers, a naive model, what survives, nothing signed twice."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from audit.checkpoints import Checkpoint
from audit.notes import Verifier as NoteVerifier
from audit.notes import parse_note, parse_vkey, signed, verified
from audit.verifier import Unsound, read_checkpoint, signers
from audit.witness import (
    MOST_PROOF_LINES,
    MOST_REQUEST_BYTES,
    SIZE_TYPE,
    Answer,
    Head,
    Witness,
    WitnessKey,
    log_keys,
    new_key,
    note_bytes,
    read_key,
    read_request,
    with_cosignature,
    write_request,
)
from schemas.errors import InputError, InvalidValue, WorkspaceBusy
from tests.audit import naive_tree
from tests.audit.small_log import (
    NOW,
    ORIGIN,
    WITNESS,
    SmallLog,
    entries,
    log_key,
    private,
    witness_key,
)
from web.witness import answer_by_hand, make_key, state_file, witness_app

KEY = WitnessKey(WITNESS, private("witness"))
ENTRIES = entries(40)
OTHER = [b"\x01" + hashlib.sha256(b"other").digest(), *ENTRIES[1:]]


class InMemory:
    """A state that is told what it kept, and when."""

    def __init__(self) -> None:
        self.held: dict[str, Head] = {}
        self.kept: list[Head] = []

    def heads(self) -> Mapping[str, Head]:
        return self.held

    def keep(self, origin: str, head: Head) -> None:
        self.held = {**self.held, origin: head}
        self.kept.append(head)


def checkpoint(size: int, of: list[bytes] = ENTRIES) -> Checkpoint:
    return Checkpoint(ORIGIN, size, naive_tree.mth(of[:size]))


def note(size: int, of: list[bytes] = ENTRIES, key: str = "log/1") -> bytes:
    return SmallLog(Path(), keys=(key,)).note(checkpoint(size, of))


def asked(old: int, size: int, of: list[bytes] = ENTRIES) -> bytes:
    proof = naive_tree.proof(old, of[:size]) if 0 < old <= size else []
    return write_request(old, proof, note(size, of))


def witness(state: InMemory | None = None, time: float = NOW) -> Witness:
    return Witness(KEY, {ORIGIN: [log_key()]}, state or InMemory(), lambda: time)


# --- what the specification says, line by line -------------------------------------------------


def lines(old: str, proof: list[bytes], what: bytes) -> bytes:
    head = f"old {old}\n" + "".join(b64encode(one).decode() + "\n" for one in proof)
    return head.encode() + b"\n" + what


PROOF = naive_tree.proof(10, ENTRIES[:20])
SAID: dict[str, tuple[bytes, int]] = {
    "grown": (asked(10, 20), 200),
    "the same again": (asked(10, 10), 200),
    "empty body": (b"", 400),
    "not text": (b"\xff\xfe old 1\n\n", 400),
    "no old line": (note(20), 400),
    "old in capitals": (asked(10, 20).replace(b"old", b"OLD", 1), 400),
    "two spaces": (asked(10, 20).replace(b"old 10", b"old  10", 1), 400),
    "leading zero": (asked(10, 20).replace(b"old 10", b"old 010", 1), 400),
    "negative": (asked(10, 20).replace(b"old 10", b"old -10", 1), 400),
    "no number": (asked(10, 20).replace(b"old 10", b"old ten", 1), 400),
    "no empty line": (asked(10, 20).replace(b"\n\n", b"\n", 1), 400),
    "proof not base64": (lines("10", [], b"").replace(b"\n\n", b"\n!!!\n\n") + note(20), 400),
    "proof of 31 bytes": (lines("10", [bytes(31)], note(20)), 400),
    "too many proof lines": (lines("10", [bytes(32)] * (MOST_PROOF_LINES + 1), note(20)), 400),
    "carriage returns": (asked(10, 20).replace(b"\n", b"\r\n"), 400),
    "too long": (asked(10, 20) + b" " * MOST_REQUEST_BYTES, 400),
    "checkpoint cut off": (asked(10, 20)[:-1], 400),
    "checkpoint without signatures": (lines("10", PROOF, checkpoint(20).text().encode()), 400),
    "another log": (asked(10, 20).replace(ORIGIN.encode(), b"another.example/log"), 404),
    "another key": (lines("10", PROOF, note(20, key="stranger")), 403),
    "a signature that does not hold": (
        lines("10", PROOF, note(20).replace(b"\n20\n", b"\n21\n")), 403,
    ),
    "old above the size": (lines("10", [], note(9)), 400),
    "old not what was signed": (asked(9, 20), 409),
    "from nothing, although it signed": (asked(0, 20), 409),
    "another tree of the same size": (asked(10, 10, OTHER), 409),
    "another tree, grown": (asked(10, 20, OTHER), 422),
    "no proof": (lines("10", [], note(20)), 422),
    "a proof too short": (lines("10", PROOF[:-1], note(20)), 422),
    "a proof too long": (lines("10", [*PROOF, bytes(32)], note(20)), 422),
    "the same with a proof": (lines("10", [bytes(32)], note(10)), 422),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_answers_of_the_specification(name: str) -> None:
    state = InMemory()
    asking = witness(state)
    assert asking.add(asked(0, 10)).status == 200
    before = dict(state.held)
    body, status = SAID[name]
    answer = asking.add(body)
    assert answer.status == status, answer
    if status == 409:
        assert (answer.body, answer.kind) == ("10\n", SIZE_TYPE)
    if status != 200:
        assert state.held == before
        assert "\N{EM DASH}" not in answer.body


def test_every_status_of_the_specification_is_shown() -> None:
    assert {status for _, status in SAID.values()} == {200, 400, 403, 404, 409, 422}


def test_a_proof_from_an_empty_tree_is_empty() -> None:
    assert witness().add(lines("0", [bytes(32)], note(10))).status == 422


def test_the_cosignature_is_what_the_other_reader_checks() -> None:
    answer = witness().add(asked(0, 10))
    mine, time = with_cosignature(read_checkpoint(note(10)), answer.body, witness_key())
    told = parse_note(note_bytes(mine))
    keys: list[NoteVerifier] = [parse_vkey(str(log_key())), parse_vkey(str(witness_key()))]
    assert [key.name for key, _ in verified(told, keys)] == [ORIGIN, WITNESS]
    assert time == told.signatures[1].time() == NOW
    assert told.text == checkpoint(10).text()


def test_extension_lines_are_signed_with_the_rest() -> None:
    text = checkpoint(10).text() + "more\n"
    line = signed(text, ORIGIN, private("log/1")).line()
    body = b"old 0\n\n" + f"{text}\n{line}".encode()
    answer = witness().add(body)
    assert answer.status == 200
    whole = read_checkpoint(f"{text}\n{answer.body}".encode())
    assert signers(whole, [witness_key()])[0]
    with pytest.raises(Unsound):
        signers(
            read_checkpoint(f"{checkpoint(10).text()}\n{answer.body}".encode()), [witness_key()]
        )


def test_signatures_by_others_are_passed_over_and_one_of_several_keys_is_enough() -> None:
    log = SmallLog(Path(), keys=("stranger", "log/2"))
    rotated = Witness(KEY, {ORIGIN: [log_key("log/1"), log_key("log/2")]}, InMemory(), lambda: NOW)
    assert rotated.add(b"old 0\n\n" + log.note(checkpoint(10))).status == 200


def test_a_clock_that_is_set_back_is_not_followed() -> None:
    times = iter([NOW, NOW - 5_000, NOW + 1])
    asking = Witness(KEY, {ORIGIN: [log_key()]}, InMemory(), lambda: next(times))
    seen = []
    for old, size in ((0, 10), (10, 20), (20, 30)):
        answer = asking.add(asked(old, size))
        seen.append(with_cosignature(read_checkpoint(note(size)), answer.body, witness_key())[1])
    assert seen == [NOW, NOW, NOW + 1]


def test_an_answer_that_bears_no_such_signature_is_none() -> None:
    right = witness().add(asked(0, 10)).body
    head = read_checkpoint(note(10))
    for wrong in ("", "no", "\N{EM DASH} x AAAA\n", right.replace(WITNESS, "another.example/w")):
        with pytest.raises(Unsound):
            with_cosignature(head, wrong, witness_key())
    with pytest.raises(Unsound):
        with_cosignature(read_checkpoint(note(11)), right, witness_key())
    assert with_cosignature(head, "\N{EM DASH} x AAAAAAAA\n" + right, witness_key())


# --- against a naive model ---------------------------------------------------------------------


class AgainstAModel(RuleBasedStateMachine):
    """A log that forks, goes back and lies, before a witness; and a model that remembers which
    entries were signed."""

    @initialize()
    def begin(self) -> None:
        self.state = InMemory()
        self.witness = witness(self.state)
        self.model: list[bytes] = []
        self.ever = False

    @rule(
        old=st.integers(0, 14), size=st.integers(0, 14), fork=st.integers(0, 14), lie=st.booleans()
    )
    def ask(self, old: int, size: int, fork: int, lie: bool) -> None:
        tree = [*ENTRIES[:fork], *OTHER[:1], *ENTRIES[fork + 1 :]][:size]
        proof = naive_tree.proof(old, tree) if 0 < old <= size else []
        if lie:
            proof = [*proof, bytes(32)]
        body = write_request(old, proof, SmallLog(Path()).note(checkpoint(size, tree)))
        answer = self.witness.add(body)
        signed_size = len(self.model)
        if old > size:
            expected = 400
        elif old != signed_size or (self.ever and size == signed_size and tree != self.model):
            expected = 409
        elif lie or (old and tree[:old] != self.model):
            expected = 422
        else:
            expected = 200
            self.model, self.ever = tree, True
        assert answer.status == expected
        if expected == 200:
            with_cosignature(
                read_checkpoint(body.partition(b"\n\n")[2]), answer.body, witness_key()
            )

    @invariant()
    def what_it_signed_is_one_history(self) -> None:
        if not hasattr(self, "state"):
            return
        for head in self.state.kept:
            assert head.root == naive_tree.mth(self.model[: head.size])


AgainstAModel.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestAgainstAModel = AgainstAModel.TestCase


# --- keys --------------------------------------------------------------------------------------


def test_a_key_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "witness.key"
    public = make_key(path, "hospital.example/witness")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert str(read_key(path.read_text("ascii")).public) == public
    with pytest.raises(InputError, match="already"):
        make_key(path, "hospital.example/witness")
    with pytest.raises(InputError, match="cannot be written"):
        make_key(tmp_path / "nowhere" / "key", "name")


@pytest.mark.parametrize("fails", ["_full", "_full_of_folders"])
def test_a_key_that_may_not_last_is_not_given_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    path = tmp_path / "witness.key"
    monkeypatch.setattr("web.witness.os.fsync", globals()[fails])
    with pytest.raises(InputError, match="cannot be written"):
        make_key(path, "hospital.example/witness")
    assert not path.exists()
    monkeypatch.undo()
    public = make_key(path, "hospital.example/witness")
    assert str(read_key(path.read_text("ascii")).public) == public


@pytest.mark.parametrize("name", ["", "two words", "a+b", "tab\there", "line\n", "\u202ename"])
def test_names_that_no_signature_can_bear(name: str) -> None:
    with pytest.raises(InvalidValue):
        new_key(name)


def test_a_key_that_was_altered_is_none() -> None:
    line = KEY.line()
    for at in range(len(line)):
        bent = line[:at] + ("A" if line[at] != "A" else "B") + line[at + 1 :]
        with pytest.raises(InvalidValue):
            read_key(bent)


def test_keys_of_logs() -> None:
    assert log_keys([str(log_key())]) == {ORIGIN: [log_key()]}
    assert log_keys([str(log_key())], "other") == {"other": [log_key()]}
    for wrong in ("no key", str(witness_key())):
        with pytest.raises(InvalidValue):
            log_keys([wrong])


# --- what is remembered ------------------------------------------------------------------------


def test_it_remembers_across_restarts_and_holds_its_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with state_file(path) as state:
        assert (
            Witness(KEY, {ORIGIN: [log_key()]}, state, lambda: NOW).add(asked(0, 10)).status == 200
        )
        with pytest.raises(WorkspaceBusy), state_file(path):
            raise AssertionError("two witnesses hold one state")
    with state_file(path) as state:
        again = Witness(KEY, {ORIGIN: [log_key()]}, state, lambda: NOW)
        assert again.add(asked(0, 20)) == Answer(409, "10\n", SIZE_TYPE)
        assert again.add(asked(10, 10, OTHER)).status == 409
        assert again.add(asked(10, 20)).status == 200
        kept = state.heads()[ORIGIN]
        assert kept.note.encode() == note(20)


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"a": 1}', b'{"a": {"size": "x"}}', b"\xff"]
)
def test_a_damaged_state_is_not_an_empty_one(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(damage)
    with pytest.raises(InputError, match="another history"), state_file(path):
        raise AssertionError("it was taken")


def test_where_nothing_can_be_kept_nothing_is_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with state_file(tmp_path / "state.json") as state:
        asking = Witness(KEY, {ORIGIN: [log_key()]}, state, lambda: NOW)
        monkeypatch.setattr("web.witness.os.fsync", _full)
        answer = over_http(asking, "POST", "/add-checkpoint", asked(0, 10))
        assert answer.status_code == 500
        assert "\N{EM DASH}" not in answer.text
        monkeypatch.undo()
        assert state.heads() == {}
        monkeypatch.setattr("service.durable.os.fsync", _full_of_folders)
        with pytest.raises(InputError, match="nothing was signed"):
            answer_by_hand(asking, asked(0, 10))
        monkeypatch.undo()
        assert state.heads() == {}
        assert asking.add(asked(0, 20)).status == 200
    with pytest.raises(InputError, match="cannot be written"), state_file(tmp_path / "no" / "s"):
        raise AssertionError("there is no such folder")


def _full(_: int) -> None:
    raise OSError(28, "No space left on device")


def _full_of_folders(handle: int) -> None:
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        _full(handle)


# --- over HTTP, and by hand --------------------------------------------------------------------


def over_http(asking: Witness, method: str, path: str, body: bytes = b"") -> httpx.Response:
    """A request to the service, in this process."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=witness_app(asking))
        async with httpx.AsyncClient(transport=transport, base_url="http://witness") as client:
            return await client.request(method, path, content=body)

    return asyncio.run(ask())


def test_over_http() -> None:
    asking, path = witness(), "/add-checkpoint"
    answer = over_http(asking, "POST", path, asked(0, 10))
    assert (answer.status_code, answer.text[0]) == (200, "\N{EM DASH}")
    conflict = over_http(asking, "POST", path, asked(0, 20))
    assert (conflict.status_code, conflict.text) == (409, "10\n")
    assert conflict.headers["content-type"] == SIZE_TYPE
    assert over_http(asking, "GET", path).status_code == 405
    assert over_http(asking, "GET", "/").text == f"{witness_key()}\n\n{ORIGIN} 10\n"
    assert over_http(asking, "POST", path, b"x" * (1 << 20)).status_code == 400


def test_by_hand() -> None:
    asking = witness()
    cosigned = read_checkpoint(answer_by_hand(asking, asked(0, 10)).encode())
    assert {one.key for one in signers(cosigned, [log_key(), witness_key()])[0]} == {
        log_key(), witness_key(),
    }  # fmt: skip
    with pytest.raises(InputError, match="409"):
        answer_by_hand(asking, asked(0, 20))


def test_a_request_as_it_is_written_is_read() -> None:
    request = read_request(asked(10, 20))
    assert (request.old, list(request.proof), request.checkpoint.size) == (10, PROOF, 20)
