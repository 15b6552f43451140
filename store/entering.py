"""How an event becomes a row, and is read again: salted, committed to, sealed by its class.

Rules:
- The body is salt ‖ canonical bytes, sealed; the entry is a hash of both (audit/events.py).
- An event's class says in which key group it is sealed (`audit/<class>`), so that what is over its
  time can be erased by destroying keys.
- The actor is found by a keyed digest; whom an event is about, by the opaque ids in
  audit_event_person.
- Events of before there were entries are filled in pages, when the database is opened.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, select

from audit.actions import EventClass, class_of
from audit.events import SALT_BYTES, AuditEvent, canonical, entry_of_bytes
from schemas.errors import InvalidValue
from store.audit_tables import audit_event, audit_event_person
from store.bulk import Rows
from store.database import EVENTS, Database, next_value
from store.sealing import key_of

EVENT_COLUMNS = (
    "seq", "at", "action", "event_class", "outcome", "actor_key", "organisation", "entry", "key_id",
    "body",
)  # fmt: skip
PERSON_COLUMNS = ("person_id", "seq")
DECODER = msgspec.json.Decoder(AuditEvent)
_PAGE = 2_000
_FILLED = ("event_class", "actor_key", "organisation", "entry", "key_id", "body")


class Salted(NamedTuple):
    """An event on its way, with what is committed to."""

    event: AuditEvent
    event_class: EventClass
    salt: bytes
    told: bytes


def salted(event: AuditEvent) -> Salted:
    """The event with fresh salt. Raises: InvalidValue: an unknown action; TypeError: details that
    cannot be written."""
    return Salted(event, class_of(event.action), os.urandom(SALT_BYTES), canonical(event))


def key_group(event_class: str) -> str:
    """The key group that events of a class are sealed in."""
    return f"audit/{event_class}"


def write_salted(database: Database, conn: Connection, told: Sequence[Salted]) -> range:
    """Writes events within a writing transaction, as the next in the log, in order; returns their
    numbers."""
    last = next_value(conn, EVENTS, len(told))
    for event_class in {one.event_class for one in told}:
        # Here, where no erasure can come between: a key that is destroyed seals nothing more.
        database.keys.drop_destroyed(key_group(event_class))
    numbers = range(last - len(told) + 1, last + 1)
    rows, persons = event_rows(database, numbers, told)
    database.bulk.insert(conn, audit_event, EVENT_COLUMNS, rows)
    database.bulk.insert(conn, audit_event_person, PERSON_COLUMNS, persons)
    return numbers


def event_rows(
    database: Database, numbers: Sequence[int], told: Sequence[Salted]
) -> tuple[Rows, Rows]:
    """Rows of `EVENT_COLUMNS` and of `PERSON_COLUMNS`."""
    bodies = _bodies(database, numbers, told)
    actors = database.keys.indexes.actor_keys(one.event.actor for one in told)
    rows = [
        (seq, e.at, e.action, one.event_class.value, e.outcome.value, actor, e.organisation,
         entry_of_bytes(one.salt, one.told), key_of(body), body)
        for seq, one, actor, body in zip(numbers, told, actors, bodies, strict=True)
        for e in (one.event,)
    ]  # fmt: skip
    persons = [
        (person, seq)
        for seq, one in zip(numbers, told, strict=True)
        for person in dict.fromkeys(one.event.persons)
    ]
    return rows, persons


def _bodies(database: Database, numbers: Sequence[int], told: Sequence[Salted]) -> list[bytes]:
    groups: dict[EventClass, list[int]] = {}
    for place, one in enumerate(told):
        groups.setdefault(one.event_class, []).append(place)
    bodies = [b""] * len(told)
    for event_class, places in groups.items():
        sealed = database.sealer.seal_many(
            key_group(event_class.value),
            audit_event,
            "body",
            [numbers[place] for place in places],
            [told[place].salt + told[place].told for place in places],
        )
        for place, body in zip(places, sealed, strict=True):
            bodies[place] = body
    return bodies


def opened_bodies(
    database: Database, rows: Sequence[tuple[int, bytes]]
) -> Iterator[tuple[int, bytes, bytes]]:
    """(number, salt, canonical bytes) of those of the (number, body) rows that have a body. Raises:
    StoreError: one was altered, or its key is not there."""
    held = [row for row in rows if row[1]]
    plains = database.sealer.unseal_many(audit_event, "body", held)
    for (seq, _), plain in zip(held, plains, strict=True):
        yield seq, plain[:SALT_BYTES], plain[SALT_BYTES:]


def keys_gone(database: Database, keys: Collection[int]) -> set[int]:
    """Those of the data keys that are in the keystore no more."""
    keystore = database.keys.keystore
    return {key for key in keys if not keystore.data_keys(key, key)}


def seal_anew(
    database: Database, conn: Connection, sealed: Sequence[tuple[int, int | None, Salted]]
) -> int:
    """Seals events anew whose key was destroyed when they came in, within a writing transaction;
    how many. What was erased meanwhile stays so.

    Args: `sealed`: number, key (None: erased) and event of rows that are in the log.
    """
    next_value(conn, EVENTS, 0)  # no erasure comes between
    gone = keys_gone(database, {key for _, key, _ in sealed if key is not None})
    told = {seq: one for seq, key, one in sealed if key in gone}
    still = audit_event.c.seq.in_(told), audit_event.c.key_id.in_(gone)
    numbers = sorted(conn.scalars(select(audit_event.c.seq).where(*still)))
    for event_class in {told[seq].event_class for seq in numbers}:
        database.keys.drop_destroyed(key_group(event_class))
    bodies = _bodies(database, numbers, [told[seq] for seq in numbers])
    changed = [(seq, key_of(body), body) for seq, body in zip(numbers, bodies, strict=True)]
    return database.bulk.update(conn, audit_event, "seq", ("key_id", "body"), changed)


# --- events of before there were entries ----------------------------------------------------------


def fill(database: Database) -> None:
    """Gives entries to the events that have none. What died half-way is gone on with."""
    c = audit_event.c
    query = select(c.seq, c.body).where(c.event_class.is_(None)).order_by(c.seq).limit(_PAGE)
    while True:
        with database.reading() as conn:
            held = [(row.seq, row.body) for row in conn.execute(query)]
        if not held:
            return
        plains = database.sealer.unseal_many(audit_event, "body", held)
        told = [_of_old(DECODER.decode(plain)) for plain in plains]
        rows, persons = event_rows(database, [seq for seq, _ in held], told)
        places = [EVENT_COLUMNS.index(name) for name in _FILLED]
        changed = [(row[0], *(row[place] for place in places)) for row in rows]
        with database.writing() as conn:
            next_value(conn, EVENTS, 0)
            if [row[0] for row in conn.execute(query)] != [seq for seq, _ in held]:
                continue  # another process filled them: an entry that is there never changes
            database.bulk.update(conn, audit_event, "seq", _FILLED, changed)
            database.bulk.insert(conn, audit_event_person, PERSON_COLUMNS, persons)


def _of_old(event: AuditEvent) -> Salted:
    """An event as it is committed to now: the organisation stood among the details."""
    details = dict(event.details)
    organisation = details.pop("organisation", None)
    if event.organisation == "-" and isinstance(organisation, str):
        event = msgspec.structs.replace(event, organisation=organisation, details=details)
    try:
        event_class = class_of(event.action)
    except InvalidValue:  # of a program that is gone
        event_class = EventClass.SYSTEM
    return Salted(event, event_class, os.urandom(SALT_BYTES), canonical(event))
