"""How long audit events are kept: holds, and the erasure of what is over its time.

Rules:
- What is erased of an event is its salt, its bytes, its actor's digest and whom it was about. Time,
  action, class, outcome, organisation and entry stay: the log keeps its shape and its counts.
- Erasing destroys the data keys. What shares a key with what goes, and stays (it is held, or not
  over its time yet), is sealed anew first.
- The event that names the leaves is written in the transaction that empties them. Then, in another,
  the keys go; whoever writes events looks whether its key is still there, under the same lock.
- Holds outrank every time. They are read under the lock too: a hold that came in between counts.
- In parts of some `_PART` events, so that the write lock is held for milliseconds. A run that died
  between the two transactions is finished by the next: the event names the keys.
- The events that name what was erased are never erased.
- A backup of before an erasure, restored, is emptied of what no key opens any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    false,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy import update as change

from audit.actions import EventClass
from audit.events import AUDIT_ERASE, AuditEvent, EventOutcome
from schemas.dates import Instant
from schemas.errors import InvalidValue, NotFound
from service.audit_ports import AuditQuery, Due, Hold, Shredded
from store.audit_queries import find_numbered
from store.audit_tables import audit_event, audit_event_person, audit_hold
from store.database import EVENTS, Database, next_id, next_value
from store.entering import DECODER, key_group, opened_bodies, salted, write_salted
from store.sealing import key_of

HOLD_SOURCE = "audit hold"
"""The key group that holds are sealed in."""
_PART = 1_024
_PAGE = 500
_BY = "commonthread"
_C, _H = audit_event.c, audit_hold.c
_HOLD = msgspec.json.Decoder(Hold)
_ENCODER = msgspec.json.Encoder()


# --- holds --------------------------------------------------------------------------------------


def holds(database: Database) -> list[Hold]:
    """See service.audit_ports.AuditStore.holds."""
    with database.reading() as conn:
        return _holds(database, conn)


def _holds(database: Database, conn: Connection) -> list[Hold]:
    rows = conn.execute(select(audit_hold).order_by(_H.hold_id)).all()
    pairs = [(row.hold_id, row.content) for row in rows]
    plains = database.sealer.unseal_many(audit_hold, "content", pairs)
    return [
        msgspec.structs.replace(
            _HOLD.decode(plain), hold_id=row.hold_id, released_at=row.released_at
        )
        for row, plain in zip(rows, plains, strict=True)
    ]


def write_hold(database: Database, hold: Hold, event: AuditEvent) -> Hold:
    """See service.audit_ports.AuditStore.write_hold."""
    with database.writing() as conn:
        _wait(conn)
        hold_id = next_id(conn, _H.hold_id)
        content = database.sealer.seal(
            HOLD_SOURCE, audit_hold, "content", hold_id, _ENCODER.encode(hold)
        )
        conn.execute(
            insert(audit_hold).values(hold_id=hold_id, made_at=hold.made_at, content=content)
        )
        details = event.details | {"hold": hold_id}
        written = msgspec.structs.replace(event, details=details)
        write_salted(database, conn, [salted(written)])
    return msgspec.structs.replace(hold, hold_id=hold_id)


def release_hold(database: Database, hold_id: int, at: Instant, event: AuditEvent) -> None:
    """See service.audit_ports.AuditStore.release_hold."""
    with database.writing() as conn:
        _wait(conn)
        found = conn.execute(select(_H.released_at).where(_H.hold_id == hold_id)).one_or_none()
        if found is None:
            raise NotFound(f"no hold {hold_id}")
        if found.released_at is not None:
            raise InvalidValue(f"hold {hold_id} was released already, at {found.released_at}")
        conn.execute(change(audit_hold).where(_H.hold_id == hold_id).values(released_at=at))
        write_salted(database, conn, [salted(event)])


def _wait(conn: Connection) -> None:
    """Waits for whoever writes events, and keeps them waiting until the transaction ends."""
    next_value(conn, EVENTS, 0)


def _is_held(database: Database, standing: Sequence[Hold]) -> ColumnElement[bool]:
    """Whether one of the holds names an event."""
    about = audit_event_person.c
    says: list[ColumnElement[bool]] = []
    for hold in standing:
        named: list[ColumnElement[bool]] = []
        if hold.person is not None:
            persons = select(about.seq).where(about.person_id == hold.person)
            named.append(_C.seq.in_(persons))
        if hold.actor is not None:
            (key,) = database.keys.indexes.actor_keys([hold.actor])
            named.append(_C.actor_key == key)
        if hold.since is not None:
            named.append(_C.at >= hold.since)
        if hold.until is not None:
            named.append(_C.at < hold.until)
        says.append(and_(*named))
    return or_(false(), *says)


# --- what is over its time ----------------------------------------------------------------------


def _standing(database: Database, conn: Connection) -> list[Hold]:
    return [hold for hold in _holds(database, conn) if hold.released_at is None]


def _over(event_class: EventClass, before: Instant) -> ColumnElement[bool]:
    return and_(
        _C.event_class == event_class.value,
        _C.at < before,
        _C.action != AUDIT_ERASE,
        func.length(_C.body) > 0,
    )


def due_events(database: Database, before: Mapping[EventClass, Instant]) -> list[Due]:
    """See service.audit_ports.AuditStore.due_events."""
    found = []
    with database.reading() as conn:
        held = _is_held(database, _standing(database, conn))
        for event_class in sorted(before):
            over = _over(event_class, before[event_class])
            count = select(func.count()).select_from(audit_event).where(over)
            found.append(
                Due(
                    event_class=event_class,
                    before=before[event_class],
                    due=int(conn.scalar(count) or 0),
                    held=int(conn.scalar(count.where(held)) or 0),
                )
            )
    return found


def shred_events(
    database: Database, before: Mapping[EventClass, Instant], event: AuditEvent, now: Instant
) -> Shredded:
    """See service.audit_ports.AuditStore.shred_events."""
    done = Shredded(keys=_finish(database, now))
    for event_class in sorted(before):
        over = _over(event_class, before[event_class])
        while part := _shred_part(database, event_class, over, event, now):
            done = _plus(done, part)
    return done


def _plus(one: Shredded, other: Shredded) -> Shredded:
    return Shredded(
        events=one.events + other.events,
        resealed=one.resealed + other.resealed,
        keys=one.keys + other.keys,
    )


def _shred_part(
    database: Database,
    event_class: EventClass,
    over: ColumnElement[bool],
    event: AuditEvent,
    now: Instant,
) -> Shredded | None:
    """Erases the first ones that are over their time and not held; None: there are none."""
    group = key_group(event_class)
    with database.reading() as conn:
        standing = _standing(database, conn)
        free = and_(over, ~_is_held(database, standing))
        first = conn.execute(
            select(_C.seq, _C.key_id).where(free).order_by(_C.seq).limit(_PART)
        ).all()
        keys = sorted({row.key_id for row in first})
        going = set(conn.scalars(select(_C.seq).where(free, _C.key_id.in_(keys))))
        staying = set(conn.scalars(select(_C.seq).where(_C.key_id.in_(keys)))) - going
    if not going:
        return None
    database.keys.held_back(group)
    resealed = 0
    for numbers in _parts(sorted(staying)):
        with database.writing() as conn:
            _wait(conn)  # or what another erasure empties meanwhile would come back
            resealed += _reseal(database, conn, group, _bodies(conn, numbers))
    persons = _persons(database, sorted(going))
    with database.writing() as conn:
        _wait(conn)
        if _standing(database, conn) != standing or not _is_there(conn, keys, going):
            return Shredded(resealed=resealed)  # begun anew, by the holds and events of now
        resealed += _reseal(database, conn, group, _under(conn, keys, going))
        details = {"leaves": ranges(going), "class": event_class.value, "keys": keys}
        told = msgspec.structs.replace(event, at=now, details=event.details | details)
        write_salted(database, conn, [salted(told)])
        _empty(conn, sorted(going), persons)
    return Shredded(events=len(going), resealed=resealed, keys=_destroy(database, group, keys, now))


def _is_there(conn: Connection, keys: Sequence[int], going: set[int]) -> bool:
    """Whether no other erasure took any of these events meanwhile."""
    return going <= set(conn.scalars(select(_C.seq).where(_C.key_id.in_(keys))))


def ranges(numbers: Collection[int]) -> list[list[int]]:
    """The leaves of these events as ranges [first, last], both included."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        leaf = number - 1
        if found and found[-1][1] == leaf - 1:
            found[-1][1] = leaf
        else:
            found.append([leaf, leaf])
    return found


def _parts(numbers: Sequence[int], size: int = _PAGE) -> Iterator[Sequence[int]]:
    return (numbers[start : start + size] for start in range(0, len(numbers), size))


def _bodies(conn: Connection, numbers: Sequence[int]) -> list[tuple[int, bytes]]:
    query = select(_C.seq, _C.body).where(_C.seq.in_(numbers)).order_by(_C.seq)
    return [(row[0], row[1]) for row in conn.execute(query)]


def _under(
    conn: Connection, keys: Sequence[int], going: Collection[int] = ()
) -> list[tuple[int, bytes]]:
    """The bodies under these keys, but for those that are going."""
    query = select(_C.seq, _C.body).where(_C.key_id.in_(keys)).order_by(_C.seq)
    return [(row[0], row[1]) for row in conn.execute(query) if row[0] not in going]


def _reseal(
    database: Database, conn: Connection, group: str, held: Sequence[tuple[int, bytes]]
) -> int:
    """Seals bodies anew under other keys of their group; returns how many. Requires: `_wait`."""
    database.keys.drop_destroyed(group)
    plains = list(database.sealer.unseal_many(audit_event, "body", held))
    numbers = [seq for seq, _ in held]
    bodies = database.sealer.seal_many(group, audit_event, "body", numbers, plains)
    rows = [(seq, key_of(body), body) for seq, body in zip(numbers, bodies, strict=True)]
    return database.bulk.update(conn, audit_event, "seq", ("key_id", "body"), rows)


def _persons(database: Database, numbers: Sequence[int]) -> list[tuple[str, int]]:
    """(person id, number) of whom these events are about."""
    found: list[tuple[str, int]] = []
    for part in _parts(numbers):
        with database.reading() as conn:
            rows = _bodies(conn, part)
        for seq, _, told in opened_bodies(database, rows):
            found += [(person, seq) for person in dict.fromkeys(DECODER.decode(told).persons)]
    return found


def _empty(conn: Connection, numbers: Sequence[int], persons: Sequence[tuple[str, int]]) -> None:
    for part in _parts(numbers):
        gone = change(audit_event).where(_C.seq.in_(part))
        conn.execute(gone.values(body=b"", actor_key=b"", key_id=None))
    if persons:
        about = audit_event_person.c
        gone_too = delete(audit_event_person).where(
            about.person_id == bindparam("whom"), about.seq == bindparam("number")
        )
        conn.execute(gone_too, [{"whom": whom, "number": number} for whom, number in persons])


def _destroy(database: Database, group: str, keys: Sequence[int], now: Instant) -> int:
    """Destroys keys under which nothing is left that stays; returns how many.

    What was sealed anew is committed first: a key that is destroyed does not come back with a
    transaction that fails.
    """
    while True:
        with database.writing() as conn:
            _wait(conn)
            # The key of this process's own may be among them, where another's erasure died.
            database.keys.held_back(group)
            left = _under(conn, keys)
            if not left:
                database.keys.destroy(group, keys, now)
                return len(keys)
            _reseal(database, conn, group, left)


def _finish(database: Database, now: Instant) -> int:
    """Destroys the keys of erasures that died before that; returns how many."""
    keystore = database.keys.keystore
    if keystore.destroyed():
        keystore.empty_log()  # one that died, or found the keystore in use, left them there
    there = keystore.key_sources()
    done = 0
    query = AuditQuery(actions=frozenset({AUDIT_ERASE}), classes=frozenset({EventClass.AUDIT}))
    for page in find_numbered(database, query):
        for one in page:
            left = [key for key in one.event.details.get("keys", ()) if key in there]
            if left:
                done += _destroy(database, there[left[0]], left, now)
    return done


# --- restored -----------------------------------------------------------------------------------


def destroyed_keys(database: Database) -> dict[int, str]:
    """Data key of audit events that was destroyed → when."""
    held = database.keys.keystore.destroyed()
    return {one.key_id: one.at for one in held if one.source.startswith(key_group(""))}


def finish_restored(database: Database) -> int:
    """Empties what was sealed under keys that were destroyed since; returns how many events."""
    gone = destroyed_keys(database)
    emptied = 0
    with database.reading() as conn:
        used = set(conn.scalars(select(_C.key_id).where(_C.key_id.is_not(None)).distinct()))
    for key_id in sorted(used & gone.keys()):
        with database.writing() as conn:
            _wait(conn)
            rows = conn.execute(
                select(_C.seq, _C.event_class).where(_C.key_id == key_id).order_by(_C.seq)
            ).all()
            numbers = [row.seq for row in rows]
            details: dict[str, Any] = {
                "leaves": ranges(numbers), "class": rows[0].event_class, "keys": [key_id],
                "restored": True,
            }  # fmt: skip
            told = AuditEvent(
                at=Instant(gone[key_id]), action=AUDIT_ERASE, outcome=EventOutcome.PERMITTED,
                actor=_BY, role="-", purpose="-", details=details,
            )  # fmt: skip
            write_salted(database, conn, [salted(told)])
            _empty(conn, numbers, ())
            for part in _parts(numbers):
                about = audit_event_person.c.seq.in_(part)
                conn.execute(delete(audit_event_person).where(about))
            emptied += len(numbers)
    return emptied
