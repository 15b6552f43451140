"""Small logs for tests, made of the writer's own parts: events, keys, a folder of tiles."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit import verifier
from audit.checkpoints import Checkpoint
from audit.events import AuditEvent, EventOutcome, canonical, entry_of_bytes
from audit.notes import Note, Signature, cosigned, signed, verifier_of
from audit.tiles import Edge, grow
from schemas.dates import Instant
from schemas.identifiers import PersonId

ORIGIN = "partnership.example/log"
WITNESS = "hospital.example/witness"
NOW = 1_790_000_000


def private(seed: str) -> Ed25519PrivateKey:
    """A key that is the same in every run."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest())


def event(number: int, **said: object) -> AuditEvent:
    """An event like many; number by number a minute later."""
    minutes, hours = number % 60, number // 60 % 24
    fields: dict[str, object] = {
        "at": Instant(f"2026-11-{1 + number // 1440:02}T{hours:02}:{minutes:02}:00.000000Z"),
        "action": "person-show", "outcome": EventOutcome.PERMITTED, "actor": f"staff-{number % 7}",
        "role": "ig_officer", "purpose": "audit", "persons": (PersonId(f"p{number % 5}"),),
        "details": {"number": number},
    }  # fmt: skip
    return AuditEvent(**{**fields, **said})  # type: ignore[arg-type]


def salt(number: int) -> bytes:
    """A salt that is the same in every run."""
    return hashlib.sha256(b"salt" + number.to_bytes(8, "big")).digest()


def entry(number: int, said: AuditEvent | None = None) -> bytes:
    """The entry of an event."""
    return entry_of_bytes(salt(number), canonical(said or event(number)))


def entries(count: int, first: int = 0) -> list[bytes]:
    """The entries of so many events."""
    return [entry(number) for number in range(first, first + count)]


@dataclass
class SmallLog:
    """A log folder that grows by `publish`, as the writer writes it.

    Attributes:
        keys: names of the keys that sign.
        vkeys: what stands in `vkeys`; every key that ever signed.
    """

    folder: Path
    keys: Sequence[str] = ("log/1",)
    entries: list[bytes] = field(default_factory=list)
    vkeys: list[str] = field(default_factory=list)

    def publish(self, more: Sequence[bytes]) -> Checkpoint:
        """Takes entries in and signs a checkpoint."""
        before, self.entries = len(self.entries), [*self.entries, *more]
        grown = grow(Edge(), self.entries, before)
        for name, data in grown.files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        found = Checkpoint(ORIGIN, grown.size, grown.root)
        self.folder.mkdir(exist_ok=True)
        (self.folder / "checkpoint").write_bytes(self.note(found))
        for key in self.keys:
            line = verifier_of(ORIGIN, private(key)).vkey()
            if line not in self.vkeys:
                self.vkeys.append(line)
        (self.folder / "vkeys").write_text("".join(f"{line}\n" for line in self.vkeys), "utf-8")
        return found

    def note(self, checkpoint: Checkpoint, *more: Signature) -> bytes:
        """The checkpoint signed by the log's keys, and whoever else."""
        text = checkpoint.text()
        own = [signed(text, ORIGIN, private(key)) for key in self.keys]
        return Note(text, (*own, *more)).data()

    def cosign(self, checkpoint: Checkpoint, time: int = NOW) -> bytes:
        """A witness's signature is kept beside the log; the note."""
        more = cosigned(checkpoint.text(), WITNESS, private("witness"), time)
        note = self.note(checkpoint, more)
        folder = self.folder / "witnessed"
        folder.mkdir(exist_ok=True)
        (folder / str(checkpoint.size)).write_bytes(note)
        return note


def log_key(name: str = "log/1") -> verifier.VerifierKey:
    """A key of the log, as it is known elsewhere."""
    return verifier.VerifierKey(
        ORIGIN, verifier.LOG_KEY, private(name).public_key().public_bytes_raw()
    )


def witness_key() -> verifier.VerifierKey:
    """The key of the witness, as it is known elsewhere."""
    public = private("witness").public_key().public_bytes_raw()
    return verifier.VerifierKey(WITNESS, verifier.COSIGNER_KEY, public)


BOTH = (log_key(), witness_key())
