"""Audit events found and counted by what stands in clear; only what is answered is opened.

Rules:
- A span of time is turned into a span of numbers first, from an index: numbers follow times but
  for what the second journal brought in later, and for clocks that were set.
- Pages go by number, so that no question holds a snapshot or a lock for long.
- Where a person, an actor, an organisation or one class is named, its own index leads. Several
  classes are asked for by windows of numbers, because no index has them in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import ColumnElement, Select, and_, func, literal, select

from audit.event_columns import EVENT_COLUMNS
from audit.events import ENTRY_BYTES, AuditEvent
from schemas.dates import Instant
from schemas.errors import InvalidValue, StoreError
from schemas.identifiers import PersonId
from service.audit_ports import COUNTED_BY, AuditQuery, Numbered
from store.audit_tables import audit_event, audit_event_person
from store.database import EVENTS, Database, read_counter
from store.entering import DECODER, opened_bodies

_PAGE = 4_000
_BATCH = 65_536
_WINDOW = 4
"""Events asked for at once of several classes, in pages of them."""
_C = audit_event.c
_ALTERED = (
    "somebody changed the database, or put an older one in its place by hand. Change nothing, keep"
    " a copy of log/ and the database, and run `commonthread audit verify`: it names every such"
    " event. A backup from before, put back with `commonthread restore`, has what is missing"
)
"""Why an entry is not as it has to be, and what to do."""
_COUNTED: Mapping[str, ColumnElement[str]] = {
    "class": _C.event_class,
    "action": _C.action,
    "outcome": _C.outcome,
    "organisation": _C.organisation,
    "month": func.substr(_C.at, 1, 7),
    "day": func.substr(_C.at, 1, 10),
    "hour": func.substr(_C.at, 12, 2),
}
assert tuple(_COUNTED) == COUNTED_BY  # the port names them


class _Lean(msgspec.Struct, gc=False):
    """An event's canonical bytes as they become columns: details are left as they are."""

    at: str
    action: str
    outcome: str
    actor: str
    role: str
    purpose: str
    organisation: str = "-"
    persons: tuple[str, ...] = ()
    details: msgspec.Raw = msgspec.Raw(b"{}")


_LEAN = msgspec.json.Decoder(_Lean)


def event_count(database: Database) -> int:
    """See service.audit_ports.AuditStore.event_count."""
    with database.reading() as conn:
        return read_counter(conn, EVENTS)


def entries(database: Database, first: int, last: int) -> list[bytes]:
    """See service.audit_ports.AuditStore.entries."""
    query = select(_C.seq, _C.entry).where(_C.seq > first, _C.seq <= last).order_by(_C.seq)
    with database.reading() as conn:
        rows = conn.execute(query).all()
    for leaf in range(first, last):
        place = leaf - first
        if place >= len(rows) or rows[place][0] != leaf + 1:
            raise StoreError(f"audit_event: leaf {leaf} of the log is not there; {_ALTERED}")
        if len(rows[place][1] or b"") != ENTRY_BYTES:
            raise StoreError(f"audit_event: leaf {leaf} of the log has no entry; {_ALTERED}")
    return [bytes(row[1]) for row in rows]


def find_numbered(database: Database, query: AuditQuery) -> Iterator[Sequence[Numbered]]:
    """See service.audit_ports.AuditStore.find_numbered."""
    for rows in _pages(database, query, _PAGE):
        yield [
            Numbered(leaf=seq - 1, salt=salt, event=DECODER.decode(told), told=told)
            for seq, salt, told in opened_bodies(database, rows)
        ]


def find_events(
    database: Database, since: Instant, until: Instant, person: PersonId | None = None
) -> Sequence[AuditEvent]:
    """See service.sharing_ports.SharingStore.find_events."""
    query = AuditQuery(since=since, until=until, person=person, newest_first=True)
    return [one.event for page in find_numbered(database, query) for one in page]


def event_columns(database: Database, query: AuditQuery) -> Iterator[pa.RecordBatch]:
    """See service.audit_ports.AuditStore.event_columns."""
    for rows in _pages(database, query, _BATCH):
        leaves: list[int] = []
        read: list[_Lean] = []
        for seq, _, told in opened_bodies(database, rows):
            leaves.append(seq - 1)
            read.append(_LEAN.decode(told))
        yield _columns(leaves, read)


def count_events(
    database: Database, query: AuditQuery, by: tuple[str, ...] = ()
) -> Mapping[tuple[str, ...], int]:
    """See service.audit_ports.AuditStore.count_events."""
    strange = [name for name in by if name not in _COUNTED]
    if strange:
        raise InvalidValue(
            f"events are counted by {', '.join(COUNTED_BY)}; not by {', '.join(strange)}"
        )
    columns = [_COUNTED[name] for name in by]
    counted: list[Any] = [*columns, func.count()]
    wanted: Select[Any] = select(*counted).select_from(audit_event).group_by(*columns)
    with database.reading() as conn:
        rows = conn.execute(_asked(database, wanted, query)).all()
    return {tuple(row[:-1]): row[-1] for row in rows if row[-1]}


def _asked(database: Database, wanted: Select[Any], query: AuditQuery) -> Select[Any]:
    c, says = _C, list[ColumnElement[bool]]()
    if query.person is not None:
        about = audit_event_person.c
        wanted = wanted.join(audit_event_person, about.seq == c.seq)
        says.append(about.person_id == query.person)
    if query.actor is not None:
        (key,) = database.keys.indexes.actor_keys([query.actor])
        says.append(c.actor_key == key)
    if query.organisation is not None:
        says.append(c.organisation == query.organisation)
    for column, values in (
        (c.action, query.actions),
        (c.event_class, {one.value for one in query.classes}),
        (c.outcome, {one.value for one in query.outcomes}),
    ):
        if values:
            says.append(column.in_(sorted(values)))
    if query.since is not None:
        says.append(c.at >= query.since)
    if query.until is not None:
        says.append(c.at < query.until)
    return wanted.where(and_(True, *says))


def _pages(
    database: Database, query: AuditQuery, size: int
) -> Iterator[Sequence[tuple[int, bytes]]]:
    """(number, body) rows that have a body, by number, in pages that are not empty."""
    span = _span(database, query)
    if span is None:
        return
    left = query.limit
    down = query.newest_first
    # The times are compared as an expression, so that no database follows their index here.
    clear = msgspec.structs.replace(query, since=None, until=None)
    wanted = _asked(database, select(_C.seq, _C.body), clear)
    wanted = wanted.where(*_within(query), func.length(_C.body) > 0)
    number = audit_event_person.c.seq if query.person is not None else _C.seq
    wanted = wanted.order_by(number.desc() if down else number)
    for first, last in _windows(query, *span, size):
        lowest, highest = first, last
        while left is None or left > 0:
            most = size if left is None else min(size, left)
            with database.reading() as conn:
                part = wanted.where(number >= lowest, number <= highest).limit(most)
                rows = [(row[0], row[1]) for row in conn.execute(part)]
            if rows:
                yield rows
            left = None if left is None else left - len(rows)
            if len(rows) < most:
                break
            lowest, highest = (lowest, rows[-1][0] - 1) if down else (rows[-1][0] + 1, highest)


def _windows(query: AuditQuery, lowest: int, highest: int, size: int) -> Iterator[tuple[int, int]]:
    """Spans of numbers to be asked for, one after the other. An index holds the events of one
    class, person, actor or organisation by number; those of several classes have to be sorted, so
    that each question must be about few of them."""
    if len(query.classes) < 2 or query.person or query.actor or query.organisation:
        yield lowest, highest
        return
    width = _WINDOW * size
    for start in range(0, highest - lowest + 1, width):
        if query.newest_first:
            yield max(lowest, highest - start - width + 1), highest - start
        else:
            yield lowest + start, min(highest, lowest + start + width - 1)


def _within(query: AuditQuery) -> Iterator[ColumnElement[bool]]:
    time = _C.at + literal("")
    if query.since is not None:
        yield time >= query.since
    if query.until is not None:
        yield time < query.until


def _span(database: Database, query: AuditQuery) -> tuple[int, int] | None:
    """The least and the greatest number that an answer can have; None: there is no answer."""
    with database.reading() as conn:
        lowest, highest = 1, read_counter(conn, EVENTS)
        bounded = query.since is not None or query.until is not None
        if bounded and query.person is None:  # a person's own index is shorter than any span
            times = AuditQuery(since=query.since, until=query.until)
            # An expression again: the least number that meets a condition is not to be looked for
            # from the log's beginning.
            seq = _C.seq + 0
            least, most = conn.execute(
                _asked(database, select(func.min(seq), func.max(seq)), times)
            ).one()
            if least is None:
                return None
            lowest, highest = least, most
    if query.after is not None:
        if query.newest_first:
            highest = min(highest, query.after)
        else:
            lowest = max(lowest, query.after + 2)
    return (lowest, highest) if lowest <= highest else None


def _columns(leaves: Sequence[int], read: Sequence[_Lean]) -> pa.RecordBatch:
    texts = {
        name: pa.array([getattr(one, name) for one in read], pa.string())
        for name in ("action", "outcome", "actor", "role", "purpose", "organisation")
    }
    times = pa.array([one.at[:19] for one in read], pa.string())
    moments = pc.strptime(times, format="%Y-%m-%dT%H:%M:%S", unit="us")
    persons = pa.array([one.persons for one in read], pa.list_(pa.string()))
    details = pa.array([bytes(one.details) for one in read], pa.binary()).cast(pa.string())
    given = {
        "leaf": pa.array(leaves, pa.int64()),
        "at": moments.cast(EVENT_COLUMNS.field("at").type),
        "persons": persons,
        "details": details,
        **texts,
    }
    return pa.record_batch([given[name] for name in EVENT_COLUMNS.names], schema=EVENT_COLUMNS)
