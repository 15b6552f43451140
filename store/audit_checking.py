"""Audit events checked row by row: payload against entry, clear columns against payload.

Rules:
- Nothing is taken from one column to excuse another: the entry is worked out anew from the sealed
  salt and bytes, each clear column from the event that they hold.
- A row that does not open is one fault, and the next is looked at.
- Whom events are about is compared as a whole: the table is read once, and the rows that there
  must be and those that there are add up to the same number in every bucket of 4,096 events, under
  a key that nobody knows beforehand. Where they do not, the events of that bucket are compared.
- A row whose number no event was given (below 1, above the events' counter) is a fault: it would
  be found and reported as if it were of the log.
- Pages are short transactions; memory does not grow with the log.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import func, select

from audit.actions import EventClass, class_of
from audit.events import AUDIT_ERASE, SALT_BYTES, AuditEvent, entry_of_bytes
from schemas.errors import InvalidValue, StoreError
from service.audit_verify import CheckedPage
from store.audit_tables import audit_event, audit_event_person
from store.database import EVENTS, Database
from store.entering import DECODER
from store.sealing import key_of
from store.tables import store_meta

BUCKET = 4_096
_COLUMNS = (
    "seq", "at", "action", "event_class", "outcome", "actor_key", "organisation", "entry", "body",
    "key_id",
)  # fmt: skip
_CLEAR = ("at", "action", "event_class", "outcome", "actor_key", "organisation", "key_id")
_PERSONS_PAGE = 50_000
_FULL = (1 << 64) - 1


class EventChecker:
    """Checks the events of one database in order. See service.audit_verify.EventChecker."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._key = os.urandom(32)
        self._expected: defaultdict[int, int] = defaultdict(int)
        self._actors: dict[str, bytes] = {}
        self._last = 0

    def page(self, first: int, last: int) -> CheckedPage:
        """The events of the leaves from `first` to before `last`."""
        c = audit_event.c
        query = select(*(c[name] for name in _COLUMNS)).order_by(c.seq)
        with self._database.reading() as conn:
            rows = conn.execute(query.where(c.seq > first, c.seq <= last)).all()
        found = CheckedPage(first, [None] * (last - first))
        for row in rows:
            found.entries[row[0] - 1 - first] = row[7]
        for row, plain in zip(rows, self._plains(rows), strict=True):
            self._check(row, plain, found)
        self._last = max(self._last, last)
        return found

    def _plains(self, rows: Sequence[Any]) -> list[bytes | str]:
        """The opened bodies; the fault where one does not open, empty where there is none."""
        held = [(row[0], row[8]) for row in rows if row[8]]
        unseal = self._database.sealer.unseal_many
        opened: Iterator[bytes | str]
        try:
            opened = iter(list(unseal(audit_event, "body", held)))
        except StoreError:
            opened = (self._opened(row) for row in held)
        return [next(opened) if row[8] else b"" for row in rows]

    def _opened(self, row: tuple[int, bytes]) -> bytes | str:
        try:
            return self._database.sealer.unseal(audit_event, "body", *row)
        except StoreError:
            return "its payload does not open"

    def _check(self, row: Any, plain: bytes | str, found: CheckedPage) -> None:
        seq, at, action, event_class, outcome, actor_key, organisation, entry, body, key_id = row
        leaf = seq - 1
        if not plain:
            found.missing.append(leaf)
            return
        if isinstance(plain, str):
            found.faults.append((leaf, plain))
            return
        told = plain[SALT_BYTES:]
        if entry_of_bytes(plain[:SALT_BYTES], told) != entry:
            found.faults.append((leaf, "its payload is not what its entry commits to"))
        try:
            event = DECODER.decode(told)
        except (ValueError, InvalidValue):
            found.faults.append((leaf, "its payload is not an event"))
            return
        found.times.append((leaf, event.at))
        expected = (
            event.at, event.action, _class_of(event.action), event.outcome.value,
            self._actor_key(event.actor), event.organisation, key_of(body),
        )  # fmt: skip
        clear = (at, action, event_class, outcome, actor_key, organisation, key_id)
        if clear != expected:
            wrong = [n for n, a, b in zip(_CLEAR, clear, expected, strict=True) if a != b]
            found.faults.append((leaf, f"in clear otherwise than sealed: {', '.join(wrong)}"))
        self._expect(seq, event)
        if event.action == AUDIT_ERASE:
            try:
                ranges = msgspec.convert(event.details.get("leaves"), list[tuple[int, int]])
            except msgspec.ValidationError:
                found.faults.append((leaf, "it does not say what was erased"))
                return
            found.erased += [(one, other, leaf) for one, other in ranges]

    def _actor_key(self, actor: str) -> bytes:
        key = self._actors.get(actor)
        if key is None:
            (key,) = self._database.keys.indexes.actor_keys([actor])
            self._actors[actor] = key
        return key

    def _expect(self, seq: int, event: AuditEvent) -> None:
        if event.persons:
            bucket = seq // BUCKET
            for person in {*event.persons}:
                self._expected[bucket] += self._mark(person, seq)

    def _mark(self, person: str, seq: int) -> int:
        told = hashlib.blake2b(f"{person}\0{seq}".encode(), digest_size=8, key=self._key)
        return int.from_bytes(told.digest(), "big")

    def persons(self) -> list[tuple[int, str]]:
        """What is at fault in whom the checked events are said to be about: leaf, what. Called once
        every page was checked."""
        held: defaultdict[int, int] = defaultdict(int)
        for person, seq in self._person_rows():
            if seq <= self._last:
                held[seq // BUCKET] += self._mark(person, seq)
        buckets = {*held, *self._expected}
        wrong = [b for b in buckets if (held[b] ^ self._expected[b]) & _FULL]
        return [fault for bucket in sorted(wrong) for fault in self._differing(bucket)]

    def strays(self) -> list[tuple[int, str]]:
        """Rows whose number no event was given: leaf, what. An event and its number come in one
        transaction, and one statement reads both, so that those that come in meanwhile are none."""
        counter = select(store_meta.c.value).where(store_meta.c.name == EVENTS).scalar_subquery()
        found = []
        with self._database.reading() as conn:
            for what, seq in (
                ("a row whose number no event was given", audit_event.c.seq),
                (
                    "about somebody in clear, and no event was given its number",
                    audit_event_person.c.seq,
                ),
            ):
                none = (seq < 1) | (seq > func.coalesce(counter, 0))
                rows = conn.execute(select(seq).where(none).distinct().order_by(seq))
                found += [(row[0] - 1, what) for row in rows.yield_per(_PERSONS_PAGE)]
        return found

    def _person_rows(self) -> Iterator[tuple[str, int]]:
        c = audit_event_person.c
        query = select(c.person_id, c.seq).order_by(c.person_id, c.seq).limit(_PERSONS_PAGE)
        place = query
        while True:
            with self._database.reading() as conn:
                rows = conn.execute(place).all()
            yield from ((row[0], row[1]) for row in rows)
            if len(rows) < _PERSONS_PAGE:
                return
            person, seq = rows[-1]
            after = (c.person_id > person) | ((c.person_id == person) & (c.seq > seq))
            place = query.where(c.person_id >= person, after)

    def _differing(self, bucket: int) -> Iterator[tuple[int, str]]:
        """The events of a bucket whose persons in clear are others than sealed."""
        first, last = bucket * BUCKET, min((bucket + 1) * BUCKET, self._last + 1)
        e, p = audit_event.c, audit_event_person.c
        within = (e.seq >= first) & (e.seq < last)
        with self._database.reading() as conn:
            bodies = conn.execute(select(e.seq, e.body).where(within)).all()
            clear = conn.execute(
                select(p.seq, p.person_id).where(p.seq >= first, p.seq < last)
            ).all()
        held: defaultdict[int, set[str]] = defaultdict(set)
        for seq, person in clear:
            held[seq].add(person)
        for seq, body in bodies:
            plain = self._opened((seq, body)) if body else b""
            if isinstance(plain, bytes):
                sealed = {*DECODER.decode(plain[SALT_BYTES:]).persons} if plain else set()
                if sealed != held.pop(seq, set()):
                    yield seq - 1, "about others in clear than sealed"
        for seq in sorted(held):
            yield seq - 1, "about others in clear than sealed"


def _class_of(action: str) -> str:
    """As the event was written: those of a program that is gone are of the system."""
    try:
        return class_of(action).value
    except InvalidValue:
        return EventClass.SYSTEM.value
