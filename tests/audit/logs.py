"""Logs in a folder for tests: a sequencer over entries in memory."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from service.audit_log import AuditLog
from store.keyring import KEY_FILE, FileKey, KeyRing, create_keyring
from store.log_files import LogFiles
from store.log_keys import LogKeys
from store.sequencer import Sequencer

ORIGIN = "avonmere.example/audit"


def entry(number: int) -> bytes:
    """What the log might hold of an event."""
    return b"\x01" + sha256(b"event %d" % number).digest()


class Events:
    """Durable events, in memory: `upto` of them are asked for."""

    def __init__(self, count: int = 0) -> None:
        self.held = [entry(n) for n in range(count)]

    def grow(self, count: int) -> None:
        """Until there are so many."""
        self.held += [entry(n) for n in range(len(self.held), count)]

    def event_count(self) -> int:
        """See store.sequencer.EntrySource."""
        return len(self.held)

    def entries(self, first: int, last: int) -> list[bytes]:
        """See store.sequencer.EntrySource."""
        assert 0 <= first <= last <= len(self.held)
        return self.held[first:last]


class Log:
    """A whole log over `Events`."""

    def __init__(self, folder: Path, count: int = 0, ring: KeyRing | None = None) -> None:
        keys = folder / "keys"
        self.ring = ring or create_keyring(keys, FileKey(keys / KEY_FILE))
        self.folder = folder / "log"
        self.events = Events(count)
        self.files = LogFiles(self.folder)
        self.keys = LogKeys(self.ring, ORIGIN)
        self.reopen()

    def reopen(self) -> None:
        """As another process finds it."""
        self.sequencer = Sequencer(self.files, self.keys, self.events)
        self.log = AuditLog(self.sequencer, self.files, self.keys)

    def publish(self, count: int) -> bytes:
        """Publishes so many events; returns the root."""
        self.events.grow(count)
        found = self.sequencer.publish()
        assert found is not None
        assert found.size == count
        return found.root
