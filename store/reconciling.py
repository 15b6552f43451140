"""What the second journal holds is brought into the log.

Rules:
- In pages, so that the write lock is held for milliseconds. A page is written in one transaction
  with how far its file has been read: nothing is brought in twice, whoever does it at once.
- Whether a file is left by its writer is asked before it is read: only then is its tail final.
- Events keep their own time. One event of the log says of each file how many came in and of when.
- What does not open is told in the log once, by file and place, and the file stays for somebody to
  look at it. It is read again at each turn, so that it comes in once the right keys are there.
- An event that the database can never hold, or this program cannot read, is told likewise; it
  holds up neither those after it nor other files. Whatever else fails is tried again from there.
- What was told and not brought in is tried once more when somebody asks for it (`tried_again`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update

from audit.actions import EventClass, class_of
from audit.events import AuditEvent, EventOutcome, entry_of_bytes
from schemas.dates import Clock
from schemas.errors import InvalidValue, RowRefused, StoreError
from store.audit_tables import audit_event, audit_journal
from store.database import EVENTS, Database, next_value
from store.entering import DECODER, Salted, salted, seal_anew, write_salted
from store.journal import Journal, Kept, is_left, read_journal, remove

RECONCILED, DAMAGED = "journal-reconciled", "journal-damaged"
"""The actions of the events that say what came of a file."""
_BY = "commonthread"
_PAGE = 200
_J = audit_journal.c


def reconcile(database: Database, journal: Journal, clock: Clock) -> int:
    """Brings in what is not in the log yet; returns how many events. May be repeated.

    Raises: StoreError: the database does not take them yet, or a file cannot be read.
    """
    brought, failed = 0, None
    for path in journal.files():
        try:
            brought += _reconcile_file(database, journal, path, clock)
        except StoreError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return brought


def _reconcile_file(database: Database, journal: Journal, path: Path, clock: Clock) -> int:
    left = is_left(path)
    with database.reading() as conn:
        seen, told = _state(conn, path.name)
    try:
        read = read_journal(path, journal.key, seen, left=left)
    except FileNotFoundError:
        return 0  # another process brought it in and removed it
    except OSError as error:
        raise StoreError(
            f"{path.name}: the second journal cannot be read ({error.strerror})"
        ) from None
    if read.damaged and not told:
        # Before any page: once the file is read beyond its damage, nobody sees that again.
        _tell_damage(database, path.name, read.damaged, clock)
    brought, refused = 0, False
    for at in range(0, len(read.events), _PAGE):
        page = read.events[at : at + _PAGE]
        try:
            taken = _write_page(database, path.name, seen, page, clock)
        except RowRefused:
            taken = _write_singly(database, path.name, seen, page, clock)
            refused = True
        if taken is None:
            return brought  # another process is at it
        seen, brought = page[-1].end, brought + taken
    if left and not told and not read.damaged and not refused:
        remove(path)
    return brought


def _state(conn: Connection, name: str) -> tuple[int, bool]:
    """How far the file has been read, and whether damage in it was told."""
    row = conn.execute(select(_J.read_to, _J.damaged).where(_J.file == name)).one_or_none()
    return (0, False) if row is None else (row.read_to, bool(row.damaged))


def files_told(database: Database) -> list[str]:
    """The files of the second journal of which not everything came in, by name."""
    with database.reading() as conn:
        return list(conn.scalars(select(_J.file).where(_J.damaged > 0).order_by(_J.file)))


def tried_again(database: Database, journal: Journal, clock: Clock) -> int:
    """Reads the files anew of which not everything came in; returns how many events came in now.
    What is in the log already is not taken twice. Raises: StoreError."""
    with database.writing() as conn:
        conn.execute(update(audit_journal).where(_J.damaged > 0).values(read_to=0, damaged=0))
    return reconcile(database, journal, clock)


def _set_state(conn: Connection, name: str, **values: int) -> None:
    if conn.execute(update(audit_journal).where(_J.file == name).values(**values)).rowcount == 0:
        conn.execute(
            insert(audit_journal).values({"file": name, "read_to": 0, "damaged": 0} | values)
        )


def _write_page(
    database: Database, name: str, seen: int, page: Sequence[Kept], clock: Clock
) -> int | None:
    """Writes one page; how many of it were not in the log yet. None: the file has been read
    further meanwhile."""
    with database.writing() as conn:
        next_value(conn, EVENTS, 0)  # others wait here, on both databases
        if _state(conn, name)[0] != seen:
            return None
        told = [_of_journal(one) for one in page]
        held = _held(conn, told)
        new = [one for one in told if _entry(one) not in held]
        # A writer that found no time to look after a key that went left that to this one.
        seal_anew(
            database,
            conn,
            [(*held[_entry(one)], one) for one in told if _entry(one) in held],
        )
        if new:
            times = sorted(one.event.at for one in new)
            said = _event(clock, RECONCILED, EventOutcome.PERMITTED, file=name, events=len(new),
                          earliest=times[0], latest=times[-1])  # fmt: skip
            write_salted(database, conn, [*new, salted(said)])
        _set_state(conn, name, read_to=page[-1].end)
        return len(new)


def _write_singly(
    database: Database, name: str, seen: int, page: Sequence[Kept], clock: Clock
) -> int | None:
    """As `_write_page`, event by event; those that are refused are told and passed over. Raises:
    StoreError: the database does not take one that it could hold."""
    brought = 0
    for one in page:
        try:
            taken = _write_page(database, name, seen, [one], clock)
        except RowRefused:
            _tell_damage(database, name, [(seen, one.end)], clock, read_to=one.end)
            taken = 0
        if taken is None:
            return None
        seen, brought = one.end, brought + taken
    return brought


def _tell_damage(
    database: Database,
    name: str,
    damaged: Sequence[tuple[int, int]],
    clock: Clock,
    **state: int,
) -> None:
    """Writes down which bytes of a file do not come in, and how far it has been read."""
    said = _event(clock, DAMAGED, EventOutcome.FAILED, file=name, bytes=[list(d) for d in damaged])
    with database.writing() as conn:
        next_value(conn, EVENTS, 0)
        if state or not _state(conn, name)[1]:
            write_salted(database, conn, [salted(said)])
            _set_state(conn, name, damaged=1, **state)


def _of_journal(kept: Kept) -> Salted:
    try:
        event = DECODER.decode(kept.told)
    except msgspec.ValidationError:
        raise RowRefused("an event of another version of the program") from None
    try:
        event_class = class_of(event.action)
    except InvalidValue:  # of another version of the program
        event_class = EventClass.SYSTEM
    return Salted(event, event_class, kept.salt, kept.told)


def _entry(told: Salted) -> bytes:
    return entry_of_bytes(told.salt, told.told)


def _held(conn: Connection, told: Sequence[Salted]) -> dict[bytes, tuple[int, int | None]]:
    """Entry → number and key (None: erased since) of what the database took after all: a commit may
    have ended well although its connection was lost. Salt makes entries unlike."""
    c = audit_event.c
    times = sorted({one.event.at for one in told})
    query = select(c.entry, c.seq, c.key_id).where(c.at.in_(times))
    return {bytes(row.entry): (row.seq, row.key_id) for row in conn.execute(query)}


def _event(clock: Clock, action: str, outcome: EventOutcome, **details: Any) -> AuditEvent:
    return AuditEvent(
        at=clock(), action=action, outcome=outcome, actor=_BY, role="-", purpose="-",
        details=details,
    )  # fmt: skip
