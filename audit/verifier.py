"""Checks an audit log from outside. One file: the standard library, `cryptography`, nothing else.

It may be copied alone to a machine that has never seen the system, and shares no code with what
writes the log. `python -m audit.verifier --help`, or `python verifier.py --help` where copied.

What it reads: a log folder in the layout of C2SP tlog-tiles (RFC 6962 tree over SHA-256), signed
notes and checkpoints (C2SP signed-note, tlog-checkpoint; Ed25519), cosignatures (C2SP
tlog-cosignature, v1), and proof bundles (`check_bundle`).

Rules:
- A key that counts is given from outside; keys that lie with the log prove nothing about whoever
  can write there, and it says so where it used them.
- Every byte counts: texts and encodings have one form only, files end where they must, and every
  tile equals the one computed anew from the entries. Superseded partial tiles are not read.
- A signature that names a known key must verify. One by an unknown key is no proof; in the log's
  own checkpoint it is a fault.
- An entry is 0x01 ‖ SHA-256(salt ‖ canonical event), 33 bytes.
- Memory is bounded whatever the size: 256 entries and one tile a level are held at a time.
- Faults are collected, then told; text out of files is shown with control characters escaped.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LOG_KEY, COSIGNER_KEY = 0x01, 0x04
"""Signature types: Ed25519 over the note; timestamped Ed25519 cosignature."""
TILE = 256
ENTRY_BYTES = 33
ENTRY_VERSION = b"\x01"
BUNDLE_FORMAT = "commonthread-audit-bundle-1"
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_EM_DASH = "\N{EM DASH} "
_HASH_BYTES = 32
_RECORD_BYTES = 2 + ENTRY_BYTES
_MOST_SIGNATURES = 64
_MOST_NOTE_BYTES = 1 << 20
_MOST_LINE_BYTES = 1 << 22
_MOST_FAULTS = 100
_NO_BUNDLE = (
    zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, TypeError, AttributeError,
    RuntimeError,
)  # fmt: skip
"""What comes of bytes that are no bundle; `RuntimeError`: an archive with a password or of a kind
unknown here, and a document nested without end."""


class Unsound(Exception):
    """Something is not what it must be; the message says what."""


def shown(text: str) -> str:
    """Text out of a file, with whatever does not print (control characters, direction marks)
    written as an escape."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def decoded(text: str) -> bytes:
    """Standard base64 with padding, in its one form. Raises: Unsound."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Unsound("expected base64") from None
    if base64.b64encode(data).decode() != text:
        raise Unsound("expected base64 in its one form")
    return data


def number(text: str) -> int:
    """A decimal number, at least 0, without leading zeroes. Raises: Unsound."""
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or (text[0] == "0" != text):
        raise Unsound("expected a decimal number without leading zeroes")
    return int(text)


# --- keys, notes, checkpoints ------------------------------------------------------------------


@dataclass(frozen=True)
class VerifierKey:
    """A public key: name, signature type (`LOG_KEY` or `COSIGNER_KEY`), 32 bytes."""

    name: str
    kind: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes by which a signature names its key."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        material = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{material}"


def verifier_key(text: str) -> VerifierKey:
    """`name+hhhhhhhh+base64`, as C2SP signed-note writes verifier keys. Raises: Unsound."""
    name, _, rest = text.partition("+")
    material = decoded(rest.partition("+")[2])
    if not _is_name(name) or len(material) != 1 + _HASH_BYTES:
        raise Unsound("expected a verifier key of Ed25519: name+id+base64")
    key = VerifierKey(name, material[0], material[1:])
    if key.kind not in (LOG_KEY, COSIGNER_KEY) or str(key) != text:
        raise Unsound("a verifier key whose id or type is not its own")
    return key


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and name.isprintable() and not any(map(str.isspace, name))


@dataclass(frozen=True)
class Signature:
    """One signature line of a note."""

    name: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True)
class Signed:
    """A checkpoint as it stands in a note: `text` is what is signed."""

    text: str
    signatures: tuple[Signature, ...]
    origin: str
    size: int
    root: bytes


def read_checkpoint(data: bytes) -> Signed:
    """A checkpoint; its signatures are not checked yet. Raises: Unsound."""
    if len(data) > _MOST_NOTE_BYTES:
        raise Unsound("a note of more than a megabyte")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise Unsound("a note that is not UTF-8") from None
    if _CONTROL.search(whole):
        raise Unsound("a note with control characters")
    text, blank, lines = whole.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise Unsound("a note without signatures, or without its last newline")
    signatures = tuple(map(_signature, lines[:-1].split("\n")))
    if len(signatures) > _MOST_SIGNATURES:
        raise Unsound(f"a note of more than {_MOST_SIGNATURES} signatures")
    head = text.split("\n")
    if len(head) < 3 or not all(head):
        raise Unsound("a checkpoint needs origin, size and root, and no empty line")
    root = decoded(head[2])
    if len(root) != _HASH_BYTES:
        raise Unsound("a root hash has 32 bytes")
    return Signed(text + "\n", signatures, head[0], number(head[1]), root)


def _signature(line: str) -> Signature:
    name, space, value = line.removeprefix(_EM_DASH).partition(" ")
    if not line.startswith(_EM_DASH) or not space or not _is_name(name):
        raise Unsound("expected a signature line: em dash, name, base64")
    data = decoded(value)
    if len(data) <= 4:
        raise Unsound("a signature of no bytes")
    return Signature(name, data[:4], data[4:])


@dataclass(frozen=True)
class Signer:
    """A known key that signed; `time`: seconds since 1970 that a cosigner vouches for."""

    key: VerifierKey
    time: int | None


def signers(note: Signed, keys: Iterable[VerifierKey]) -> tuple[list[Signer], int]:
    """Who of the known keys signed the note, and how many signatures are by unknown ones.

    Raises: Unsound if a signature that names a known key does not verify.
    """
    known = {(key.name, key.key_id): key for key in keys}
    found, strange = [], 0
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            strange += 1
            continue
        time, message, value = None, note.text.encode(), signature.value
        if key.kind == COSIGNER_KEY:
            time, value = int.from_bytes(value[:8], "big"), value[8:]
            message = cosigned_message(time, note.text)
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(value, message)
        except (InvalidSignature, ValueError):
            raise Unsound(f"the signature of {shown(key.name)} does not verify") from None
        found.append(Signer(key, time))
    return found, strange


def cosigned_message(time: int, text: str) -> bytes:
    """What a cosigner signs (C2SP tlog-cosignature, v1)."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def trusted(note: Signed, keys: Sequence[VerifierKey], origin: str | None = None) -> list[Signer]:
    """The log keys that signed, and cosigners. Raises: Unsound where no log key did, or the origin
    is another."""
    if origin is not None and note.origin != origin:
        raise Unsound(f"a checkpoint of another log: {shown(note.origin)}")
    return _vouched(signers(note, keys)[0])


def _vouched(signed: Iterable[Signer]) -> list[Signer]:
    found = list(signed)
    if not any(one.key.kind == LOG_KEY for one in found):
        raise Unsound("no signature by a known key of the log")
    return found


# --- the tree (RFC 6962) -----------------------------------------------------------------------


def leaf_hash(entry: bytes) -> bytes:
    """Hash of a leaf."""
    return sha256(b"\x00" + entry).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _perfect(hashes: Sequence[bytes]) -> bytes:
    """Root over 2^k hashes."""
    while len(hashes) > 1:
        pairs = iter(hashes)
        hashes = [sha256(b"\x01" + a + b).digest() for a, b in zip(pairs, pairs, strict=True)]
    return hashes[0]


def includes(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a leaf of this hash is number `index` (from 0) of the tree. RFC 9162, 2.1.3.2."""
    if not 0 <= index < size or any(len(h) != _HASH_BYTES for h in (leaf, root, *proof)):
        return False
    at, last, found = index, size - 1, leaf
    for one in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = _node(one, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = _node(found, one)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def consistent(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the new tree has the old one as its beginning. RFC 9162, 2.1.4.2. An empty tree is
    the beginning of all, so that nothing is proven by it: false."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    if any(len(h) != _HASH_BYTES for h in (old_root, new_root, *proof)):
        return False
    hashes = iter(proof if old & (old - 1) else (old_root, *proof))
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = next(hashes, b"")
    for one in hashes:
        if last == 0:
            return False
        if at & 1 or at == last:
            first, second = _node(one, first), _node(one, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = _node(second, one)
        at, last = at >> 1, last >> 1
    return last == 0 and (first, second) == (old_root, new_root)


class _Tree:
    """A tree growing by whole tiles: at each level the hashes that make no whole tile yet."""

    def __init__(self) -> None:
        self.levels: list[list[bytes]] = [[]]
        self.tiles: list[int] = [0]

    def add(self, hashes: list[bytes], full: Callable[[int, int, list[bytes]], None]) -> None:
        """Adds a tile of leaf hashes; tells every tile that becomes whole: level, index, hashes."""
        level = 0
        while True:
            full(level, self.tiles[level], hashes)
            self.tiles[level] += 1
            level += 1
            if level == len(self.levels):
                self.levels.append([])
                self.tiles.append(0)
            self.levels[level].append(_perfect(hashes))
            if len(self.levels[level]) < TILE:
                return
            hashes, self.levels[level] = self.levels[level], []

    def root(self, leaves: Sequence[bytes]) -> bytes:
        """Root of the tree with some leaves more, fewer than a tile."""
        peaks: list[bytes] = []
        for hashes in (*reversed(self.levels[1:]), leaves):
            at = 0
            for bit in reversed(range(8)):
                if len(hashes) >> bit & 1:
                    peaks.append(_perfect(hashes[at : at + (1 << bit)]))
                    at += 1 << bit
        if not peaks:
            return sha256().digest()
        found = peaks.pop()
        while peaks:
            found = _node(peaks.pop(), found)
        return found


# --- a whole log -------------------------------------------------------------------------------


@dataclass
class Findings:
    """What was found. `cosigned`: witness → the greatest size it signed, and when (seconds)."""

    origin: str = ""
    size: int = 0
    root: bytes = b""
    signed_by: list[str] = field(default_factory=list)
    cosigned: dict[str, tuple[int, int]] = field(default_factory=dict)
    checked: int = 0
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    more_faults: int = 0

    @property
    def sound(self) -> bool:
        """No fault was found."""
        return not self.faults

    def fault(self, what: str) -> None:
        """Notes a fault; the first hundred are kept, the others counted."""
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(what)
        else:
            self.more_faults += 1

    def note_cosigners(self, size: int, signed: Iterable[Signer]) -> None:
        """Notes who vouches for a checkpoint of this size."""
        for one in signed:
            if one.time is not None:
                so_far = self.cosigned.get(one.key.name, (-1, 0))
                self.cosigned[one.key.name] = max(so_far, (size, one.time))

    def told(self) -> dict[str, Any]:
        """As a document."""
        return {
            "sound": self.sound, "origin": self.origin, "size": self.size,
            "root": base64.b64encode(self.root).decode(), "signed_by": self.signed_by,
            "cosigned": [
                {"witness": name, "size": size, "time": time}
                for name, (size, time) in sorted(self.cosigned.items())
            ],
            "checked": self.checked, "faults": self.faults + (
                [f"and {self.more_faults} more"] if self.more_faults else []
            ),
            "notes": self.notes,
        }  # fmt: skip


Seen = Callable[[int, list[bytes]], None]
"""Told of every bundle of entries, in order: index of the first leaf, entries."""


def check_log(
    folder: Path,
    keys: Sequence[VerifierKey] = (),
    held: Sequence[tuple[str, bytes]] = (),
    seen: Seen | None = None,
) -> Findings:
    """Checks a whole log folder: signatures, every entry, every tile, every checkpoint held.

    Args:
        keys: of the log and of its witnesses. No log key: those that lie with the log are used.
        held: name and bytes of checkpoints that were kept elsewhere: the log must continue them.
        seen: see `Seen`.
    """
    found = Findings()
    lying = _lying_keys(folder, found)
    known = tuple(keys)
    if not any(key.kind == LOG_KEY for key in keys):
        known += tuple(key for key in lying if key.kind == LOG_KEY)
        found.notes.append(
            "the log's keys were taken from the log folder itself: name those you hold with --key"
        )
    try:
        head = read_checkpoint(_read(folder / "checkpoint", _MOST_NOTE_BYTES))
        signed, strange = signers(head, {*known, *lying})
        if strange:
            found.fault("checkpoint: a signature by a key that stands nowhere")
        _vouched(one for one in signed if one.key in known)
    except Unsound as error:
        found.fault(f"checkpoint: {error}")
        return found
    found.origin, found.size, found.root = shown(head.origin), head.size, head.root
    found.signed_by = [str(one.key) for one in signed]
    if {one.key for one in signed} - set(known):
        found.notes.append("the checkpoint also bears a signature by a key that you did not name")
    kept = sorted((folder / "witnessed").glob("[0-9]*"), key=lambda p: (len(p.name), p.name))
    wanted = {head.size: [("checkpoint", head.root)]}
    told: list[tuple[str, bytes | Path]] = [
        *held,
        *((f"witnessed/{one.name}", one) for one in kept),
    ]
    for name, data in told:
        _expect(found, wanted, (known, lying), shown(name), data)
    _walk(folder, found, wanted, seen)
    return found


def _lying_keys(folder: Path, found: Findings) -> tuple[VerifierKey, ...]:
    """The keys that lie with the log, retired ones too. They are read in any case: a fault in them
    counts."""
    keys: list[VerifierKey] = []
    for name in ("vkeys", "vkeys.retired"):
        retired = name != "vkeys"
        if retired and not (folder / name).exists():
            continue
        try:
            lines = _read(folder / name, _MOST_NOTE_BYTES).decode().split("\n")
            if lines.pop() or not (lines or retired):
                raise Unsound("expected lines, each ended")
            keys += map(verifier_key, lines)
        except (Unsound, UnicodeDecodeError) as error:
            found.fault(f"{name}: {error if isinstance(error, Unsound) else 'not UTF-8'}")
    return tuple(keys)


def _expect(
    found: Findings,
    wanted: dict[int, list[tuple[str, bytes]]],
    keys: tuple[Sequence[VerifierKey], Sequence[VerifierKey]],
    name: str,
    data: bytes | Path,
) -> None:
    """A checkpoint that the log must continue. `keys`: those that count, those that only lie with
    the log."""
    known, lying = keys
    try:
        note = read_checkpoint(_read(data, _MOST_NOTE_BYTES) if isinstance(data, Path) else data)
        if note.origin != found.origin:
            raise Unsound(f"a checkpoint of another log: {shown(note.origin)}")
        signed, strange = signers(note, {*known, *lying})
        found_signers = _vouched(one for one in signed if one.key in known)
        if strange and isinstance(data, Path) and any(k.kind == COSIGNER_KEY for k in known):
            raise Unsound("a signature by a key that stands nowhere")
        found.note_cosigners(note.size, found_signers)
        if isinstance(data, Path) and number(data.name) != note.size:
            raise Unsound("its name is not its size")
        if note.size > found.size:
            raise Unsound(f"it has {note.size} entries, the log {found.size}: entries are gone")
    except Unsound as error:
        found.fault(f"{name}: {error}")
    else:
        wanted.setdefault(note.size, []).append((name, note.root))


def _walk(
    folder: Path,
    found: Findings,
    wanted: dict[int, list[tuple[str, bytes]]],
    seen: Seen | None,
) -> None:
    tree, leaves = _Tree(), list[bytes]()

    def full(level: int, index: int, hashes: list[bytes]) -> None:
        if level:
            _compare_tile(folder, found, level, index, hashes)

    waiting = sorted(wanted)
    for first in range(0, found.size + 1, TILE):
        width = min(TILE, found.size - first)
        leaves = _leaves(folder, found, first // TILE, width, seen) if width else []
        if len(leaves) < width:
            return
        while waiting and waiting[0] < first + TILE:
            size = waiting.pop(0)
            root = tree.root(leaves[: size - first])
            for name, expected in wanted[size]:
                if root != expected:
                    found.fault(f"{name}: its root is not that of the first {size} entries")
        if width == TILE:
            tree.add(leaves, full)
    for level, hashes in enumerate(tree.levels[1:], start=1):
        if hashes:
            _compare_tile(folder, found, level, tree.tiles[level], hashes)


def _leaves(
    folder: Path, found: Findings, index: int, width: int, seen: Seen | None
) -> list[bytes]:
    """Leaf hashes of one bundle, compared with their tile. Where the bundle is at fault, those of
    the tile, so that what comes after can be checked; none where both are gone."""
    name = tile_path("entries", index, width)
    try:
        data = _tile(folder, "entries", index, width, _RECORD_BYTES)
        if (
            data[::_RECORD_BYTES] != bytes(width)
            or data[1::_RECORD_BYTES] != bytes([ENTRY_BYTES]) * width
            or data[2::_RECORD_BYTES] != ENTRY_VERSION * width
        ):
            raise Unsound(f"expected entries of {ENTRY_BYTES} bytes and of version 1")
    except Unsound as error:
        found.fault(f"{name}: {error}")
        return _tile_hashes(folder, found, index, width)
    entries = [data[at + 2 : at + _RECORD_BYTES] for at in range(0, len(data), _RECORD_BYTES)]
    hashes = [sha256(b"\x00" + entry).digest() for entry in entries]
    _compare_tile(folder, found, 0, index, hashes)
    found.checked += width
    if seen is not None:
        seen(index * TILE, entries)
    return hashes


def _tile_hashes(folder: Path, found: Findings, index: int, width: int) -> list[bytes]:
    try:
        data = _tile(folder, "0", index, width, _HASH_BYTES)
    except Unsound as error:
        found.fault(f"{tile_path('0', index, width)}: {error}; what follows cannot be checked")
        return []
    return [data[at : at + _HASH_BYTES] for at in range(0, len(data), _HASH_BYTES)]


def _compare_tile(
    folder: Path, found: Findings, level: int, index: int, hashes: list[bytes]
) -> None:
    name = tile_path(str(level), index, len(hashes))
    try:
        if _tile(folder, str(level), index, len(hashes), _HASH_BYTES) != b"".join(hashes):
            raise Unsound("its hashes are not those of the entries")
    except Unsound as error:
        found.fault(f"{name}: {error}")


def tile_path(level: str, index: int, width: int) -> str:
    """Where a tile lies (C2SP tlog-tiles): three digits a folder, all but the last begin with x."""
    digits = f"{index:d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    path = "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])
    return f"tile/{level}/{path}" + (f".p/{width}" if width < TILE else "")


def _tile(folder: Path, level: str, index: int, width: int, unit: int) -> bytes:
    """A tile of this width; where only the whole one is left, its beginning."""
    path, whole = (folder / tile_path(level, index, w) for w in (width, TILE))
    if width < TILE and not path.exists() and whole.exists():
        return _read(whole, unit * TILE)[: unit * width]
    data = _read(path, unit * width)
    if len(data) != unit * width:
        raise Unsound(f"expected {unit * width} bytes; got {len(data)}")
    return data


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        raise Unsound(f"cannot be read ({error.strerror})") from None
    if len(data) > most:
        raise Unsound(f"longer than {most} bytes")
    return data


# --- a bundle: events, proofs, checkpoint ------------------------------------------------------


def check_bundle(
    path: Path, keys: Sequence[VerifierKey], held: Sequence[tuple[str, bytes]] = ()
) -> Findings:
    """Checks an exported bundle: every event is in the log that the checkpoint stands for.

    A bundle is a JSON document: format, checkpoint (a note), keys, `earlier` (checkpoints with the
    proof that this one continues them), `events` (leaf, salt, event, proof; where the payload was
    erased: leaf, entry, proof). Large ones are a zip of `bundle.json` (all but the events) and
    `events.ndjson` (one event a line).
    """
    found = Findings()
    try:
        with _bundle(path) as (document, events):
            _check_head(document, keys, held, found)
            for event in events:
                _check_event(event, found)
    except Unsound as error:
        found.fault(str(error))
    except OSError as error:
        found.fault(f"the bundle cannot be read ({error.strerror or 'it is damaged'})")
    except _NO_BUNDLE:
        found.fault("not a bundle, or not whole")
    return found


@contextmanager
def _bundle(path: Path) -> Iterator[tuple[dict[str, Any], Iterable[dict[str, Any]]]]:
    if not zipfile.is_zipfile(path):
        document = json.loads(path.read_bytes())
        yield document, document["events"]
        return
    with zipfile.ZipFile(path) as archive:
        with archive.open("bundle.json") as stream:
            document = json.loads(_line(stream.read(_MOST_LINE_BYTES + 1)))
        with archive.open("events.ndjson") as stream:
            lines = iter(lambda: stream.readline(_MOST_LINE_BYTES + 1), b"")
            yield document, (json.loads(_line(line)) for line in lines)


def _line(data: bytes) -> bytes:
    if len(data) > _MOST_LINE_BYTES:
        raise Unsound("a line of more than four megabytes")
    return data


def _check_head(
    document: dict[str, Any],
    keys: Sequence[VerifierKey],
    held: Sequence[tuple[str, bytes]],
    found: Findings,
) -> None:
    if document["format"] != BUNDLE_FORMAT:
        raise Unsound("a bundle of another format")
    known = tuple(keys)
    if not any(key.kind == LOG_KEY for key in known):
        lying = map(verifier_key, document["keys"])
        known += tuple(key for key in lying if key.kind == LOG_KEY)
        found.notes.append(
            "the log's keys were taken from the bundle itself: name those you hold with --key"
        )
    head = read_checkpoint(document["checkpoint"].encode())
    signed = trusted(head, known)
    found.origin, found.size, found.root = head.origin, head.size, head.root
    found.signed_by = [str(one.key) for one in signed if one.time is None]
    found.note_cosigners(head.size, signed)
    roots = {head.size: head.root}
    for number_, one in enumerate(document["earlier"]):
        earlier = read_checkpoint(one["checkpoint"].encode())
        found.note_cosigners(earlier.size, trusted(earlier, known, head.origin))
        proof = [decoded(text) for text in one["proof"]]
        sizes, its = (earlier.size, head.size), (earlier.root, head.root)
        if earlier.size and not consistent(*sizes, *its, proof):
            found.fault(f"earlier[{number_}]: the log does not continue this checkpoint")
        roots[earlier.size] = earlier.root
    for name, data in held:
        try:
            kept = read_checkpoint(data)
            trusted(kept, known, head.origin)
        except Unsound as error:
            found.fault(f"{shown(name)}: {error}")
            continue
        if kept.size not in roots:
            found.fault(
                f"{shown(name)}: the bundle proves nothing about {kept.size} entries;"
                " ask for one that was made with this checkpoint"
            )
        elif roots[kept.size] != kept.root:
            found.fault(f"{shown(name)}: another history: the roots at {kept.size} differ")


def _check_event(event: dict[str, Any], found: Findings) -> None:
    leaf, proof = event["leaf"], [decoded(text) for text in event["proof"]]
    if type(leaf) is not int:
        raise Unsound("a leaf is a whole number")
    if "event" in event:
        salt = decoded(event["salt"])
        if len(salt) != _HASH_BYTES:
            raise Unsound(f"leaf {leaf}: a salt has 32 bytes")
        entry = ENTRY_VERSION + sha256(salt + event["event"].encode()).digest()
    else:
        entry = decoded(event["entry"])
    if not includes(leaf, found.size, leaf_hash(entry), proof, found.root):
        found.fault(f"leaf {leaf}: not in the log as it is told here")
    found.checked += 1


# --- the command -------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="verifier", description="Checks an audit log from outside. Exit code 0: sound."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    log = commands.add_parser("log", help="a whole log folder")
    log.add_argument("path", type=Path, help="the folder that holds `checkpoint` and `tile`")
    bundle = commands.add_parser("bundle", help="an exported bundle of events with proofs")
    bundle.add_argument("path", type=Path)
    pair = commands.add_parser("consistency", help="does one checkpoint continue another?")
    pair.add_argument("old", type=Path)
    pair.add_argument("new", type=Path)
    pair.add_argument("proof", type=Path, help="lines of base64: RFC 6962 consistency proof")
    for command in (log, bundle, pair):
        command.add_argument(
            "--key", action="append", default=[], metavar="VKEY",
            help="a verifier key of the log, or a file of them, one a line; repeat",
        )  # fmt: skip
        command.add_argument(
            "--witness", action="append", default=[], metavar="VKEY",
            help="likewise, of a witness",
        )  # fmt: skip
        command.add_argument("--json", action="store_true", help="one JSON document")
    for command in (log, bundle):
        command.add_argument(
            "--held", action="append", type=Path, default=[], metavar="FILE",
            help="a checkpoint that you kept: the log must continue it; repeat",
        )  # fmt: skip
        command.add_argument(
            "--quorum", type=int, default=0, metavar="N",
            help="so many of the witnesses named must have signed",
        )  # fmt: skip
    return parser


def _keys(option: str, arguments: Sequence[str], kind: int) -> list[VerifierKey]:
    """The keys named with an option. Raises: Unsound: one is no key, or of the other kind; a file
    names none, which must not pass for an option that was not given."""
    found = []
    for argument in arguments:
        lines = [argument] if "+" in argument else _given(Path(argument)).splitlines()
        try:
            keys = [verifier_key(line) for line in lines]
        except Unsound as error:
            raise Unsound(f"{option} {shown(argument)}: {error}") from None
        if not keys:
            raise Unsound(f"{option} {shown(argument)}: no key stands there")
        if any(key.kind != kind for key in keys):
            whose = "a witness, not of a log" if kind == LOG_KEY else "a log, not of a witness"
            raise Unsound(f"{option} {shown(argument)}: this is the key of {whose}")
        found += keys
    return found


def _given(path: Path) -> str:
    """The text of a file that the command names. Raises: Unsound, with its name."""
    try:
        return _read(path, _MOST_NOTE_BYTES).decode()
    except UnicodeDecodeError:
        raise Unsound(f"{shown(str(path))}: not UTF-8") from None
    except Unsound as error:
        raise Unsound(f"{shown(str(path))}: {error}") from None


def _check_pair(old: Path, new: Path, proof: Path, keys: Sequence[VerifierKey]) -> Findings:
    found = Findings()
    try:
        before, after = (read_checkpoint(_given(path).encode()) for path in (old, new))
        trusted(before, keys)
        found.signed_by = [str(one.key) for one in trusted(after, keys, before.origin)]
        found.origin, found.size, found.root = after.origin, after.size, after.root
        hashes = [decoded(line) for line in _given(proof).splitlines()]
        if not consistent(before.size, after.size, before.root, after.root, hashes):
            raise Unsound("the second checkpoint does not continue the first")
    except Unsound as error:
        found.fault(str(error))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Checks what the arguments name; prints what was found. Returns 0 if sound, 1 if not, 2 where
    what is to be checked with cannot be used."""
    said = _parser().parse_args(arguments)
    try:
        keys = [
            *_keys("--key", said.key, LOG_KEY), *_keys("--witness", said.witness, COSIGNER_KEY)
        ]  # fmt: skip
        if said.command == "consistency":
            found = _check_pair(said.old, said.new, said.proof, keys)
        else:
            held = [(path.name, _given(path).encode()) for path in said.held]
            check = check_log if said.command == "log" else check_bundle
            found = check(said.path, keys, held)
            if len(found.cosigned) < said.quorum:
                found.fault(f"signed by {len(found.cosigned)} witnesses, not {said.quorum}")
    except Unsound as error:
        print(f"cannot check: {error}", file=sys.stderr)
        return 2
    told = found.told()
    if said.json:
        print(json.dumps(told, indent=2))
    else:
        print("\n".join(_lines(told)))
    return 0 if found.sound else 1


def _lines(told: dict[str, Any]) -> Iterator[str]:
    yield f"log        {shown(told['origin']) or '-'}"
    yield f"entries    {told['size']}, checked {told['checked']}"
    yield f"root       {told['root']}"
    for key in told["signed_by"]:
        yield f"signed by  {key}"
    for one in told["cosigned"]:
        moment = datetime.fromtimestamp(one["time"], UTC) if one["time"] < 1 << 36 else one["time"]
        yield f"witness    {one['witness']}: {one['size']} entries at {moment}"
    for line in told["notes"]:
        yield f"note       {line}"
    for line in told["faults"]:
        yield f"FAULT      {line}"
    yield "sound" if told["sound"] else "NOT SOUND"


if __name__ == "__main__":
    sys.exit(main())
