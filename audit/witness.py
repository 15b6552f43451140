"""A witness: another organisation's word that a log only ever grew. Values only; no I/O, no clock.

After C2SP tlog-witness (the request `add-checkpoint`) and tlog-cosignature v1. Whoever holds a
log's key and its database can write another past; not one that agrees with what a witness signed.

Rules, in the order in which a request meets them:
- A request that is not of the one form there is: 400.
- A log that this witness does not know: 404. No signature by a key of that log: 403.
- An old size above the checkpoint's: 400. One that is not the size signed last: 409, with that
  size as the answer, so that the log can try again from there.
- The same size and another root: 409. The log shows two histories, and one of them here.
- A proof that does not show that the old tree is the beginning of the new one: 422.
- Else 200, and one cosignature a line: but first the new state is kept, durably (`Witness.add`).
- A witness never signs an earlier time than before, whatever its clock says.
- Nothing here is shared with what writes the log: reading and proving are the verifier's.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.verifier import (
    COSIGNER_KEY,
    LOG_KEY,
    Signed,
    Unsound,
    VerifierKey,
    consistent,
    cosigned_message,
    decoded,
    number,
    read_checkpoint,
    signers,
    verifier_key,
)
from schemas.errors import InvalidValue

MOST_PROOF_LINES = 63
MOST_REQUEST_BYTES = 1 << 16
SIZE_TYPE = "text/x.tlog.size"
_SEED_BYTES = 32
_KEY_PREFIX = "PRIVATE+KEY+"


@dataclass(frozen=True)
class Request:
    """A log asks: it had `old` entries when this witness signed last, here is what it has now.

    Attributes:
        proof: hashes that show the one to be the beginning of the other (RFC 6962, 2.1.2).
    """

    old: int
    proof: tuple[bytes, ...]
    checkpoint: Signed


@dataclass(frozen=True)
class Head:
    """The last checkpoint signed for a log; `time`: when, in seconds since 1970."""

    size: int
    root: bytes
    time: int
    note: str


@dataclass(frozen=True)
class Answer:
    """What the log is told: an HTTP status, a body, its type."""

    status: int
    body: str = ""
    kind: str = "text/plain; charset=utf-8"


class State(Protocol):
    """What a witness remembers: origin → the last checkpoint it signed."""

    def heads(self) -> Mapping[str, Head]:
        """All of it."""

    def keep(self, origin: str, head: Head) -> None:
        """Returns once the head is durable."""


@dataclass(frozen=True)
class WitnessKey:
    """A witness's name and its private key (Ed25519), which is never shown."""

    name: str
    private: Ed25519PrivateKey

    @property
    def public(self) -> VerifierKey:
        """What others check its cosignatures with."""
        return VerifierKey(self.name, COSIGNER_KEY, self.private.public_key().public_bytes_raw())

    def line(self) -> str:
        """The key as it is kept, on one line. Secret."""
        seed = bytes([COSIGNER_KEY]) + self.private.private_bytes_raw()
        return f"{_KEY_PREFIX}{self.name}+{self.public.key_id.hex()}+{_base64(seed)}"


def new_key(name: str) -> WitnessKey:
    """A fresh key. Raises: InvalidValue: not a name that a signature can bear."""
    key = WitnessKey(name, Ed25519PrivateKey.from_private_bytes(os.urandom(_SEED_BYTES)))
    try:
        verifier_key(str(key.public))
    except Unsound:
        raise InvalidValue(
            "a witness's name: expected text without spaces and plus signs, such as"
            " hospital.example/witness"
        ) from None
    return key


def read_key(text: str) -> WitnessKey:
    """A key from its line. Raises: InvalidValue."""
    name, _, rest = text.strip().removeprefix(_KEY_PREFIX).partition("+")
    try:
        seed = decoded(rest.partition("+")[2])
    except Unsound:
        seed = b""
    if len(seed) == 1 + _SEED_BYTES and seed[0] == COSIGNER_KEY:
        key = WitnessKey(name, Ed25519PrivateKey.from_private_bytes(seed[1:]))
        if key.line() == text.strip():
            return key
    raise InvalidValue("a witness's key: expected the line that `audit witness --new-key` wrote")


def log_keys(
    lines: Sequence[str], origin: str | None = None
) -> Mapping[str, Sequence[VerifierKey]]:
    """Origin → the keys of that log. A key's own name is the origin if none is given.

    Raises: InvalidValue: not a key of a log.
    """
    found: dict[str, list[VerifierKey]] = {}
    for line in lines:
        try:
            key = verifier_key(line.strip())
        except Unsound as error:
            raise InvalidValue(f"a log's key: {error}") from None
        if key.kind != LOG_KEY:
            raise InvalidValue("a log's key: this is the key of a witness")
        found.setdefault(origin or key.name, []).append(key)
    return found


def read_request(body: bytes) -> Request:
    """The body of `add-checkpoint`. Raises: Unsound."""
    if len(body) > MOST_REQUEST_BYTES:
        raise Unsound(f"a request of more than {MOST_REQUEST_BYTES} bytes")
    head, blank, note = body.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Unsound("expected a line `old` and lines of base64") from None
    word, _, size = first.partition(" ")
    if not blank or word != "old" or not size:
        raise Unsound("expected a line `old SIZE`, proof lines, an empty line, a checkpoint")
    if len(lines) > MOST_PROOF_LINES:
        raise Unsound(f"more than {MOST_PROOF_LINES} proof lines")
    proof = tuple(map(decoded, lines))
    if any(len(one) != 32 for one in proof):
        raise Unsound("a proof line is not a hash of 32 bytes")
    return Request(number(size), proof, read_checkpoint(note))


def write_request(old: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """The body of `add-checkpoint`."""
    lines = "".join(f"{_base64(one)}\n" for one in proof)
    return f"old {old}\n{lines}\n".encode() + note


def judge(
    request: Request, logs: Mapping[str, Sequence[VerifierKey]], heads: Mapping[str, Head]
) -> Answer | None:
    """Why the checkpoint is not signed; None where it may be."""
    origin = request.checkpoint.origin
    if origin not in logs:
        return Answer(404, "this witness does not know the log\n")
    try:
        signed, _ = signers(request.checkpoint, logs[origin])
    except Unsound as error:
        return Answer(403, f"{error}\n")
    if not signed:
        return Answer(403, "no signature by a known key of the log\n")
    return _judge_growth(request, heads.get(origin))


def _judge_growth(request: Request, last: Head | None) -> Answer | None:
    note, size = request.checkpoint, last.size if last else 0
    if request.old > note.size:
        return Answer(400, "the old size is above the checkpoint's\n")
    if request.old != size or (last and size == note.size and last.root != note.root):
        return Answer(409, f"{size}\n", SIZE_TYPE)
    if last is None or size == 0:
        grown = not request.proof
    else:
        grown = consistent(size, note.size, last.root, note.root, request.proof)
    return None if grown else Answer(422, "the proof does not lead from the one to the other\n")


class Witness:
    """Answers one log after another. Safe to use from several threads.

    Args:
        clock: seconds since 1970.
    """

    def __init__(
        self,
        key: WitnessKey,
        logs: Mapping[str, Sequence[VerifierKey]],
        state: State,
        clock: Callable[[], float],
    ) -> None:
        self.key = key
        self.logs = logs
        self._state = state
        self._clock = clock
        self._lock = threading.Lock()

    def heads(self) -> Mapping[str, Head]:
        """What it signed last, by origin."""
        return self._state.heads()

    def add(self, body: bytes) -> Answer:
        """Answers `add-checkpoint`. What is compared and what is kept is one step: nobody comes
        between. Raises: what `State.keep` raises; nothing was signed then."""
        try:
            request = read_request(body)
        except Unsound as error:
            return Answer(400, f"{error}\n")
        with self._lock:
            heads = self._state.heads()
            refused = judge(request, self.logs, heads)
            if refused is not None:
                return refused
            note, last = request.checkpoint, heads.get(request.checkpoint.origin)
            time = max(int(self._clock()), last.time if last else 0)
            whole = body.partition(b"\n\n")[2].decode()
            self._state.keep(note.origin, Head(note.size, note.root, time, whole))
            return Answer(200, cosignature(self.key, note.text, time))


def cosignature(key: WitnessKey, text: str, time: int) -> str:
    """The line that says: at this time this was the log, and it continues what I saw before."""
    value = key.private.sign(cosigned_message(time, text))
    told = _base64(key.public.key_id + time.to_bytes(8, "big") + value)
    return f"\N{EM DASH} {key.name} {told}\n"


def with_cosignature(note: Signed, answer: str, witness: VerifierKey) -> tuple[Signed, int]:
    """The checkpoint with a witness's signature out of its answer, and when it was given.

    Raises: Unsound: no such signature, or one that does not verify.
    """
    plain = note.text + "\n"
    for line in answer.splitlines(keepends=True):
        try:
            told = read_checkpoint((plain + line).encode())
        except Unsound:
            continue
        found, _ = signers(told, [witness])
        for one in found:
            assert one.time is not None, "a witness's key is of a cosigner"
            return replace(note, signatures=(*note.signatures, *told.signatures)), one.time
    raise Unsound("the answer holds no signature of the witness")


def note_bytes(note: Signed) -> bytes:
    """The checkpoint as a signed note."""
    lines = (
        f"\N{EM DASH} {one.name} {_base64(one.key_id + one.value)}\n" for one in note.signatures
    )
    return (note.text + "\n" + "".join(lines)).encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
