"""The audit log after a restore: it goes on where it was signed, and never forks.

Rules:
- A database that comes from a backup lacks the events that were written since. Where the log's
  folder outlived it, what the log holds of them is known: their entries are put back as events
  without payload, and an event says which leaves were lost. Then the log goes on, and what
  witnesses hold stays true.
- That is done only where the folder is signed, whole, and the beginning of it is what the database
  holds. Otherwise the folder is set aside, never deleted, and the log goes on from the checkpoint
  that was saved with the database; its tiles are made anew from the database.
- Where somebody outside holds a later checkpoint than that, the log has to go on under another
  origin: docs/operator.md says how.
"""

from __future__ import annotations

from sqlalchemy import Connection

from audit.actions import EventClass
from audit.checkpoints import Checkpoint, open_checkpoint
from audit.events import AUDIT_ERASE, AuditEvent, EventOutcome
from audit.notes import parse_note
from audit.tiles import WIDTH, width_at
from schemas.dates import Instant
from schemas.errors import AuditBroken, InvalidValue
from service.ports import LogPlaces
from store.audit_tables import audit_event
from store.database import EVENTS, next_value
from store.entering import EVENT_COLUMNS
from store.log_files import CHECKPOINT, LogFiles
from store.log_keys import LogKeys
from store.sequencer import Sequencer, root_of
from store.sql_store import SqlStore

TOGETHER = 32 * WIDTH
_LOST = "-"


def go_on(store: SqlStore, origin: str, logs: LogPlaces, now: Instant) -> dict[str, object]:
    """Makes log and restored database fit; returns what became of the log, for the event.

    Args:
        origin: of the settings; empty where they name none.
        logs: where the log was, is, and is to be.
        now: when the restore is made.
    """
    keys = LogKeys(store.database.keys, origin)
    before = _signed(LogFiles(logs.saved), keys)
    found = LogFiles(logs.live)
    try:
        signed = _signed(found, keys)
        if signed is not None and signed.size >= (before.size if before else 0):
            return {"log": "went on", "lost": _take_up(store, found, signed, now, logs.by)}
    except AuditBroken as error:
        reason = str(error)
    else:
        reason = (
            "" if not logs.live.exists() else "it is older than the backup, or was never signed"
        )
    told: dict[str, object] = {"log": "set aside", "why": reason} if reason else {}
    logs.staged.mkdir()
    if before is None:
        return told or {"log": "none yet"}
    files = LogFiles(logs.staged)
    files.write({path.name: path.read_bytes() for path in logs.saved.iterdir()})
    try:
        Sequencer(files, keys, store).mend()
    except AuditBroken as error:
        # It is restored all the same, for care; every command will say so until it is settled.
        return told | {"log": "broken", "problem": str(error)}
    return {"log": "from the backup"} | told | {"size": before.size}


def _signed(files: LogFiles, keys: LogKeys) -> Checkpoint | None:
    """The folder's checkpoint; None where there is none. Raises: AuditBroken."""
    note = files.read(CHECKPOINT)
    if note is None:
        return None
    try:
        origin = keys.origin or parse_note(note).text.partition("\n")[0]
        return open_checkpoint(note, origin, [key.verifier for key in keys.listed()])
    except InvalidValue as error:
        raise AuditBroken(f"the audit log: its checkpoint was altered ({error})") from None


class _Published:
    """The entries as a folder has them: a source as the database is one."""

    def __init__(self, files: LogFiles, size: int) -> None:
        self._files, self._size = files, size

    def event_count(self) -> int:
        """How many are signed."""
        return self._size

    def entries(self, first: int, last: int) -> list[bytes]:
        """Those of the leaves from `first` to before `last`. Raises: AuditBroken: missing."""
        begin = first // WIDTH
        held: list[bytes] = []
        for index in range(begin, -(-last // WIDTH)):
            held += self._files.entries(index, width_at(self._size, 0, index))
        return held[first - begin * WIDTH : last - begin * WIDTH]


def _take_up(store: SqlStore, files: LogFiles, signed: Checkpoint, now: Instant, by: str) -> int:
    """Puts back what the log holds of lost events; returns how many. Raises: AuditBroken: the
    folder is not whole, or its beginning is not what the database holds."""
    published = _Published(files, signed.size)
    if root_of(published, signed.size) != signed.root:
        raise AuditBroken("the audit log: its entries do not give the root that was signed")
    held = store.event_count()
    for first in range(0, min(held, signed.size), TOGETHER):
        last = min(held, signed.size, first + TOGETHER)
        if store.entries(first, last) != published.entries(first, last):
            raise AuditBroken("the audit log: it is not the restored database's")
    for first in range(held, signed.size, TOGETHER):
        entries = published.entries(first, min(signed.size, first + TOGETHER))
        with store.database.writing() as conn:
            _put_back(store, conn, entries, now)
    if held >= signed.size:
        return 0
    store.append_event(
        AuditEvent(
            at=now, action=AUDIT_ERASE, outcome=EventOutcome.PERMITTED, actor=by, role="-",
            purpose="-",
            details={
                "leaves": [[held, signed.size - 1]], "class": EventClass.SYSTEM.value, "keys": [],
                "restored": True,
            },
        )
    )  # fmt: skip
    return signed.size - held


def _put_back(store: SqlStore, conn: Connection, entries: list[bytes], now: Instant) -> None:
    last = next_value(conn, EVENTS, len(entries))
    numbers = range(last - len(entries) + 1, last + 1)
    rows = [
        (seq, now, "restore", EventClass.SYSTEM.value, EventOutcome.FAILED.value, b"", _LOST,
         entry, None, b"")
        for seq, entry in zip(numbers, entries, strict=True)
    ]  # fmt: skip
    store.database.bulk.insert(conn, audit_event, EVENT_COLUMNS, rows)
