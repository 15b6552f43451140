"""Signed notes, as C2SP signed-note has them: a text that people can read, and who signed it.

Rules:
- A note is a text of whole lines, an empty line, and one line a signature:
  `— NAME BASE64(key id ‖ signature)`. Text and names are UTF-8 without control characters.
- A key is told as `NAME+HEX(key id)+BASE64(kind ‖ public key)`. Its id is the first four bytes of
  SHA-256(NAME ‖ 0x0A ‖ kind ‖ public key), so that it cannot be taken for another's.
- Kind 1 is Ed25519 over the text. Kind 4 (C2SP tlog-cosignature) is Ed25519 over the text with the
  time before it; its signature begins with that time in eight bytes.
- A signature of an unknown key says nothing and is passed over. One of a known key that does not
  hold makes the whole note worthless.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schemas.errors import AuditBroken, InvalidValue

LONGEST_NOTE = 1_000_000
MOST_SIGNATURES = 100
_DASH = "— "
_KEY_ID_BYTES, _PUBLIC_BYTES, _SIGNATURE_BYTES, _TIME_BYTES = 4, 32, 64, 8


class Kind(IntEnum):
    """What a signature is over."""

    ED25519 = 1
    COSIGNATURE = 4


@dataclass(frozen=True)
class Signature:
    """One signature as it stands in a note: whose it claims to be, and its bytes."""

    name: str
    key_id: bytes
    raw: bytes

    def line(self) -> str:
        """Its line in a note."""
        return f"{_DASH}{self.name} {b64encode(self.key_id + self.raw).decode()}\n"

    def time(self) -> int:
        """When a cosignature was made, in seconds since 1970. Requires: it holds."""
        return int.from_bytes(self.raw[:_TIME_BYTES], "big")


@dataclass(frozen=True)
class Verifier:
    """A public key with its owner's name. Raises: InvalidValue on building one of no such name."""

    name: str
    kind: Kind
    public: bytes

    def __post_init__(self) -> None:
        if not _is_name(self.name):
            raise InvalidValue("a key's name holds no space, no plus sign and no control character")
        if len(self.public) != _PUBLIC_BYTES:
            raise InvalidValue(f"a verifier key: expected {_PUBLIC_BYTES} bytes of Ed25519")

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell it from other keys of the name."""
        told = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return sha256(told).digest()[:_KEY_ID_BYTES]

    def vkey(self) -> str:
        """The key as one line of text."""
        told = b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{told}"

    def holds(self, text: str, signature: Signature) -> bool:
        """Whether the signature is this key's, over this text."""
        raw, message = signature.raw, text.encode()
        if self.kind is Kind.COSIGNATURE:
            if len(raw) != _TIME_BYTES + _SIGNATURE_BYTES:
                return False
            raw, message = raw[_TIME_BYTES:], _cosigned(text, signature.time())
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(raw, message)
        except (InvalidSignature, ValueError):
            return False
        return (signature.name, signature.key_id) == (self.name, self.key_id)


def parse_vkey(line: str) -> Verifier:
    """A key from its line. Raises: InvalidValue."""
    name, _, rest = line.strip().partition("+")
    key_id, _, told = rest.partition("+")
    try:
        raw = _decoded(told)
        found = Verifier(name, Kind(raw[0]), raw[1:])
    except (ValueError, IndexError):
        raise InvalidValue("a verifier key: expected NAME+KEYID+BASE64 of an Ed25519 key") from None
    if found.key_id.hex() != key_id:
        raise InvalidValue("a verifier key: its id is not that of its name and key")
    return found


def verifier_of(name: str, private: Ed25519PrivateKey, kind: Kind = Kind.ED25519) -> Verifier:
    """The public half of a key. Raises: InvalidValue: no such name."""
    return Verifier(name, kind, private.public_key().public_bytes_raw())


def signed(text: str, name: str, private: Ed25519PrivateKey) -> Signature:
    """A signature over a text. Raises: InvalidValue: no text of whole lines, or no such name."""
    _check_text(text)
    return Signature(name, verifier_of(name, private).key_id, private.sign(text.encode()))


def cosigned(text: str, name: str, private: Ed25519PrivateKey, time: int) -> Signature:
    """A witness's signature over a text that it saw at this time (seconds since 1970).

    Raises: as `signed`.
    """
    _check_text(text)
    raw = time.to_bytes(_TIME_BYTES, "big") + private.sign(_cosigned(text, time))
    return Signature(name, verifier_of(name, private, Kind.COSIGNATURE).key_id, raw)


def _cosigned(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


@dataclass(frozen=True)
class Note:
    """A text and its signatures, none of them checked."""

    text: str
    signatures: tuple[Signature, ...]

    def data(self) -> bytes:
        """The note as it is handed on."""
        return (self.text + "\n" + "".join(one.line() for one in self.signatures)).encode()


def parse_note(data: bytes) -> Note:
    """A note from its bytes, with nothing checked but its form. Raises: InvalidValue."""
    if len(data) > LONGEST_NOTE:
        raise InvalidValue(f"a signed note: longer than {LONGEST_NOTE:,} bytes")
    try:
        told = data.decode()
    except UnicodeDecodeError:
        raise InvalidValue("a signed note: not UTF-8 text") from None
    text, gap, lines = told.rpartition("\n\n")
    if not gap or not lines.endswith("\n"):
        raise InvalidValue("a signed note: expected a text, an empty line, signatures")
    _check_text(text + "\n")
    signatures = lines[:-1].split("\n")
    if len(signatures) > MOST_SIGNATURES:
        raise InvalidValue(f"a signed note: more than {MOST_SIGNATURES} signatures")
    return Note(text + "\n", tuple(map(_parse_signature, signatures)))


def _parse_signature(line: str) -> Signature:
    name, space, told = line.removeprefix(_DASH).partition(" ")
    try:
        raw = _decoded(told)
    except ValueError:
        raw = b""
    if not line.startswith(_DASH) or not space or not _is_name(name) or len(raw) <= _KEY_ID_BYTES:
        raise InvalidValue("a signed note: a signature is not as it has to be")
    return Signature(name, raw[:_KEY_ID_BYTES], raw[_KEY_ID_BYTES:])


def verified(note: Note, known: Collection[Verifier]) -> Sequence[tuple[Verifier, Signature]]:
    """Who of the known signed the note, each once; none where nobody did.

    Raises: AuditBroken: a signature claims to be of a known key and does not hold.
    """
    keys = {(one.name, one.key_id): one for one in known}
    found: dict[tuple[str, bytes], tuple[Verifier, Signature]] = {}
    for signature in note.signatures:
        who = signature.name, signature.key_id
        if who not in keys or who in found:
            continue
        if not keys[who].holds(note.text, signature):
            raise AuditBroken(
                f"a signed note: the signature of {signature.name} does not hold; it was altered,"
                " or is another text's"
            )
        found[who] = keys[who], signature
    return list(found.values())


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(char < " " and char != "\n" for char in text):
        raise InvalidValue("a signed note: expected whole lines without control characters")


def _is_name(name: str) -> bool:
    """Spaces are what Unicode calls so."""
    return bool(name) and "+" not in name and not any(c.isspace() or c < " " for c in name)


def _decoded(text: str) -> bytes:
    """Base64 in its one right form. Raises: ValueError."""
    raw = b64decode(text, validate=True)
    if b64encode(raw).decode() != text:
        raise binascii.Error("not the canonical form")
    return raw
