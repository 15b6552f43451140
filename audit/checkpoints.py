"""Checkpoints, as C2SP tlog-checkpoint has them: what a log commits to at one size.

Rules:
- A checkpoint is the text of a signed note: origin, size, root in base64, each on a line; then
  extension lines, which are kept as they are and mean nothing here.
- Each has one written form: no leading zeros, canonical base64. Another is refused, because two
  signatures over "the same" checkpoint would be over different texts.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Collection
from dataclasses import dataclass

from audit.merkle import HASH_BYTES, Hash
from audit.notes import Verifier, parse_note, verified
from schemas.errors import AuditBroken, InvalidValue

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True)
class Checkpoint:
    """What a log says of itself.

    Attributes:
        origin: which log.
        size, root: of its tree.
        extensions: further lines of other logs; ours have none.
    """

    origin: str
    size: int
    root: Hash
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """The text that is signed."""
        lines = (self.origin, str(self.size), b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def parse_checkpoint(text: str) -> Checkpoint:
    """A checkpoint from the text of a note. Raises: InvalidValue."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise InvalidValue("a checkpoint: expected origin, size and root, each on a line")
    origin, size, told, *extensions = lines[:-1]
    if _SIZE.fullmatch(size) is None:
        raise InvalidValue("a checkpoint: its size is not a plain number")
    try:
        root = b64decode(told, validate=True)
    except ValueError:
        root = b""
    if len(root) != HASH_BYTES or b64encode(root).decode() != told:
        raise InvalidValue(f"a checkpoint: its root is not {HASH_BYTES} bytes in base64")
    return Checkpoint(origin, int(size), root, tuple(extensions))


def open_checkpoint(data: bytes, origin: str, known: Collection[Verifier]) -> Checkpoint:
    """The checkpoint in a signed note, once a known key has vouched for it.

    Raises: InvalidValue: not a checkpoint; AuditBroken: of another log, signed by nobody known, or
    a signature that does not hold.
    """
    note = parse_note(data)
    found = parse_checkpoint(note.text)
    if found.origin != origin:
        raise AuditBroken("a checkpoint: it is another log's; expected the origin of the settings")
    if not verified(note, known):
        raise AuditBroken(f"a checkpoint of {found.size:,} entries: no known key has signed it")
    return found
