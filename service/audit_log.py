"""The audit log to read from and to publish: checkpoints, proofs, entries, keys.

Rules:
- Proofs are made from the tiles alone, as any outside reader would make them; nothing asks the
  database.
- What is given is of a signed checkpoint: by default the latest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from audit.checkpoints import Checkpoint
from audit.merkle import Hash, consistency_proof, inclusion_proof, leaf_hash, root_hash
from audit.notes import Verifier
from audit.tiles import WIDTH, tiled, width_at
from schemas.errors import NotFound

CHECKPOINT = "checkpoint"
WITNESSED = "witnessed"
"""Folder of the checkpoints with the signatures of witnesses, named by size."""


class LogKey(Protocol):
    """A signing key: see store/log_keys.py."""

    @property
    def number(self) -> int:
        """From 1; never given twice."""

    @property
    def verifier(self) -> Verifier:
        """Its public half."""

    @property
    def signs(self) -> bool:
        """Whether it still signs; a retired key's private half is gone."""


class Keys(Protocol):
    """The signing keys of the log: store/log_keys.py."""

    origin: str

    def listed(self) -> Sequence[LogKey]:
        """Every key ever, by number."""

    def add(self) -> LogKey:
        """A new key that signs beside the others from the next checkpoint on."""

    def retire(self, number: int) -> LogKey:
        """Destroys a key's private half. Raises: NotFound; InvalidValue: the only one."""


class Files(Protocol):
    """The log's folder: store/log_files.py."""

    def read(self, path: str) -> bytes | None:
        """A file; None where it is not there."""

    def tile(self, level: int, index: int, width: int) -> bytes:
        """Hashes of a tile. Raises: AuditBroken: they are not there."""

    def entries(self, index: int, width: int) -> list[bytes]:
        """Entries of a bundle. Raises: AuditBroken: they are not there."""

    def witnessing(self) -> AbstractContextManager[None]:
        """Nobody else changes what witnesses signed until the end. Raises: StoreError."""

    def names(self, folder: str) -> list[str]:
        """Names of what lies in a folder of the log; none where it is not there."""

    def write(self, files: Mapping[str, bytes]) -> None:
        """Writes files, durable when this returns. Raises: StoreError."""


class Publisher(Protocol):
    """Who takes events in and signs: store/sequencer.py."""

    def checkpoint(self) -> Checkpoint | None:
        """The latest checkpoint, its signature checked."""

    def publish(self) -> Checkpoint | None:
        """Takes in every durable event."""

    def mend(self) -> int:
        """Writes the folder anew from the database."""


@dataclass(frozen=True)
class InclusionProof:
    """That an entry is a leaf of the tree of `size` leaves.

    Attributes:
        leaf, size: which leaf, of how many.
        entry: what the log holds of the event.
        hashes: the audit path, from the leaf up.
    """

    leaf: int
    size: int
    entry: bytes
    hashes: tuple[Hash, ...]

    @property
    def leaf_hash(self) -> Hash:
        """The hash of the leaf."""
        return leaf_hash(self.entry)


class AuditLog:
    """The log of one workspace. See the store's modules for what each part raises."""

    def __init__(self, publisher: Publisher, files: Files, keys: Keys) -> None:
        self._publisher, self._files, self.keys = publisher, files, keys

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.keys.origin

    def verifiers(self) -> list[Verifier]:
        """The public half of every key that ever signed."""
        return [key.verifier for key in self.keys.listed()]

    def publish(self) -> Checkpoint | None:
        """Takes in every durable event; the latest checkpoint, None where there is no event yet.

        Raises: AuditBroken: what was signed is not what is there; StoreError.
        """
        return self._publisher.publish()

    def mend(self) -> int:
        """Writes the log's files anew where the database gives the signed root; returns how many
        were wrong. Raises: AuditBroken: it does not; StoreError."""
        return self._publisher.mend()

    def checkpoint(self) -> Checkpoint | None:
        """The latest checkpoint. Raises: AuditBroken: altered, or signed by nobody we know."""
        return self._publisher.checkpoint()

    def note(self) -> bytes:
        """The latest checkpoint as it was signed. Raises: NotFound: there is none yet."""
        note = self._files.read(CHECKPOINT)
        if note is None:
            raise NotFound(
                "the audit log has no checkpoint yet: run `commonthread audit checkpoint`"
            )
        return note

    def size(self) -> int:
        """Entries that are signed. Raises: as `checkpoint`."""
        found = self.checkpoint()
        return 0 if found is None else found.size

    def _sizes(self, size: int | None = None) -> tuple[int, int]:
        """Entries that are signed, and how many of them are asked about. Raises: NotFound."""
        signed = self.size()
        if size is not None and not 0 <= size <= signed:
            raise NotFound(f"the audit log has no {size:,} entries; {signed:,} are signed")
        return signed, signed if size is None else size

    def root(self, size: int) -> Hash:
        """The root of the tree of the first `size` entries. Raises: NotFound: not so many."""
        signed, size = self._sizes(size)
        return root_hash(size, tiled(signed, self._files.tile))

    def prove(self, leaf: int, size: int | None = None) -> InclusionProof:
        """The proof that a leaf is in the tree of `size` entries (default: all that are signed).

        Raises: NotFound: no such leaf; AuditBroken: tiles are missing.
        """
        signed, size = self._sizes(size)
        if not 0 <= leaf < size:
            raise NotFound(f"the audit log has no leaf {leaf:,} among its first {size:,}")
        index, at = divmod(leaf, WIDTH)
        entry = self._files.entries(index, width_at(signed, 0, index))[at]
        hashes = inclusion_proof(leaf, size, tiled(signed, self._files.tile))
        return InclusionProof(leaf, size, entry, tuple(hashes))

    def consistency(self, old: int, new: int | None = None) -> list[Hash]:
        """The proof that the tree of `old` entries is the beginning of that of `new` (default: all
        that are signed). Raises: NotFound: there are no such trees; AuditBroken: tiles missing."""
        signed, new = self._sizes(new)
        if not 1 <= old <= new:
            raise NotFound(f"the audit log cannot compare {old:,} entries with {new:,}")
        return consistency_proof(old, new, tiled(signed, self._files.tile))

    def entries(self, first: int, last: int) -> Iterator[list[bytes]]:
        """The entries of the leaves from `first` to before `last`, in parts, as they were
        published. Raises: NotFound: not so many; AuditBroken: they are not there."""
        signed, _ = self._sizes(last)
        for index in range(first // WIDTH, -(-last // WIDTH) if first < last else 0):
            held = self._files.entries(index, width_at(signed, 0, index))
            yield held[max(0, first - index * WIDTH) : last - index * WIDTH]

    # --- what witnesses signed ------------------------------------------------------------------

    def witnessing(self) -> AbstractContextManager[None]:
        """Nobody else changes what witnesses signed until the end. Raises: StoreError."""
        return self._files.witnessing()

    def keep_witnessed(self, size: int, note: bytes) -> None:
        """Keeps a checkpoint with the signatures of witnesses. Raises: StoreError. Requires:
        `witnessing`."""
        self._files.write({f"{WITNESSED}/{size}": note})

    def witnessed(self, size: int) -> bytes | None:
        """The checkpoint at this size with the signatures of witnesses; None where none signed."""
        return self._files.read(f"{WITNESSED}/{size}")

    def witnessed_sizes(self) -> list[int]:
        """The sizes at which a witness signed, ascending."""
        return sorted(int(name) for name in self._files.names(WITNESSED) if name.isdecimal())
