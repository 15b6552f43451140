"""A database, its keys and its log, small; and what an administrator can do to them. For tests."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, update

from audit.events import AuditEvent
from audit.verifier import VerifierKey, verifier_key
from schemas.identifiers import PersonId
from service.audit_log import AuditLog
from service.audit_verify import Verified, verify
from store.audit_tables import audit_event, audit_event_person
from store.database import EVENTS
from store.entering import EVENT_COLUMNS, PERSON_COLUMNS, event_rows, salted
from store.keyring import KEY_FILE, FileKey, KeyRing, create_keyring, open_keyring
from store.log_files import LogFiles
from store.log_keys import LogKeys
from store.sequencer import Sequencer
from store.sql_store import SqlStore, open_store
from store.tables import store_meta
from tests.audit.small_log import ORIGIN, event

COUNT = 300
_E, _P = audit_event.c, audit_event_person.c


@dataclass
class Kept:
    """A database, its keys and its log."""

    root: Path
    store: SqlStore
    ring: KeyRing
    log: AuditLog

    @property
    def keys(self) -> list[VerifierKey]:
        """As somebody outside knows them."""
        return [verifier_key(key.vkey()) for key in self.log.verifiers()]

    def check(self, held: Sequence[bytes] = ()) -> Verified:
        """As `audit verify` does."""
        named = [(f"held {n}", note) for n, note in enumerate(held)]
        return verify(self.root / "log", self.store, self.keys, named)

    def change(self, *statements: Any) -> None:
        """What an administrator does to the database."""
        with self.store.database.writing() as conn:
            for statement in statements:
                conn.execute(statement)

    def write_over(self, leaf: int, told: AuditEvent) -> None:
        """Puts another event in the place of one, all of it: payload, entry, clear columns."""
        rows, persons = event_rows(self.store.database, [leaf + 1], [salted(told)])
        values = dict(zip(EVENT_COLUMNS, rows[0], strict=True))
        self.change(
            update(audit_event).where(_E.seq == leaf + 1).values(**values),
            delete(audit_event_person).where(_P.seq == leaf + 1),
        )
        for row in persons:
            self.change(
                insert(audit_event_person).values(**dict(zip(PERSON_COLUMNS, row, strict=True)))
            )

    def publish_anew(self) -> None:
        """Forgets what was published and signs what is there, with the log's own keys."""
        shutil.rmtree(self.root / "log")
        self.log = log_of(self.root, self.store, self.ring)
        self.log.publish()


def log_of(root: Path, store: SqlStore, ring: KeyRing) -> AuditLog:
    files, keys = LogFiles(root / "log"), LogKeys(ring, ORIGIN)
    return AuditLog(Sequencer(files, keys, store), files, keys)


def opened(root: Path) -> Kept:
    ring = open_keyring(root / "keys", FileKey(root / "keys" / KEY_FILE))
    store = open_store(f"sqlite:///{root}/store.db", ring)
    return Kept(root, store, ring, log_of(root, store, ring))


def make(root: Path) -> Path:
    """A log of three hundred events, kept; two thirds of it were there last Tuesday."""
    (root / "keys").mkdir(parents=True)
    create_keyring(root / "keys", FileKey(root / "keys" / KEY_FILE)).close()
    kept = opened(root)
    for number in range(COUNT):
        if number == 200:
            kept.log.publish()
            (root / "tuesday").write_bytes(kept.log.note())
        kept.store.append_event(event(number))
    kept.log.publish()
    assert kept.check().faults() == []
    kept.store.close()
    kept.ring.close()
    return root


def tuesday(kept: Kept) -> bytes:
    """The checkpoint that somebody else kept."""
    return (kept.root / "tuesday").read_bytes()


def rewrite_tuesday(kept: Kept) -> None:
    """Another in the place of who looked, everything signed anew with the log's own key."""
    kept.write_over(137, event(137, actor="somebody-else", persons=(PersonId("other"),)))
    kept.publish_anew()


def roll_back(kept: Kept) -> None:
    """Database and log as they were at 150 events, then other events."""
    kept.change(
        delete(audit_event).where(_E.seq > 150),
        delete(audit_event_person).where(_P.seq > 150),
        update(store_meta).where(store_meta.c.name == EVENTS).values(value=150),
    )
    for number in range(2_000, 2_150):
        kept.store.append_event(event(number))
    kept.publish_anew()
