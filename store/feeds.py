"""Feeds: what came from whom, and how far it has been loaded.

Rules:
- A feed is known by source and sha256. One left `loading` goes on from `batches_done`.
- A refused feed, and one left `loading`, is begun again from its first batch when it would be read
  with other settings: its own counts, quarantine and issues go, what it loaded stays (and counts
  as unchanged this time).
- A refused feed counts as one unit, quarantined.
- The file's name is sealed: people are named in file names.
- That a feed was taken in, or refused, is written to the log in the transaction that ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select, update

from audit.actions import PROGRAM
from audit.events import AuditEvent, EventOutcome
from schemas.dates import Instant
from schemas.errors import NotFound, StoreError
from schemas.identifiers import SourceId
from schemas.records import REASONS, Outcome
from service.ports import FeedFile, FeedRow, FeedState, QuarantinedUnit
from store.database import LOADS, Database, next_id
from store.events import write_event
from store.segments import compact
from store.tables import feed, field_issue, quarantine

WHOLE_FEED = "whole file"
_COUNTS = {
    Outcome.NEW: feed.c.units_new,
    Outcome.CHANGED: feed.c.units_changed,
    Outcome.UNCHANGED: feed.c.units_unchanged,
    Outcome.QUARANTINED: feed.c.units_quarantined,
}
_PAGE = 1_000
_ASKED_AT_ONCE = 500
"""Digests in one question: a statement takes so many values, and then no more."""


class Detail(msgspec.Struct, frozen=True):
    """What is sealed of a quarantined unit."""

    where: str
    field: str
    message: str
    raw: bytes


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Detail)


def sealed_details(
    database: Database, source: str, first_id: int, details: list[Detail]
) -> list[bytes]:
    """Details sealed for quarantine rows with ids from `first_id`."""
    ids = range(first_id, first_id + len(details))
    plains = [_ENCODER.encode(detail) for detail in details]
    return database.sealer.seal_many(source, quarantine, "detail", ids, plains)


def opened_detail(database: Database, quarantine_id: int, payload: bytes) -> Detail:
    """The detail of one quarantine row."""
    return _DECODER.decode(database.sealer.unseal(quarantine, "detail", quarantine_id, payload))


def feed_row(row: Row[Any]) -> FeedRow:
    """A row of the feed table as the port's value."""
    return FeedRow(
        feed_id=row.feed_id,
        source=SourceId(row.source),
        sha256=row.sha256,
        state=FeedState(row.state),
        batches_done=row.batches_done,
        reader_hash=row.reader_hash,
        counts={outcome: row._mapping[column] for outcome, column in _COUNTS.items()},
        as_at=Instant(row.as_at),
    )


def read_feed(conn: Connection, feed_id: int) -> FeedRow:
    """The feed of this id. Raises: NotFound."""
    row = conn.execute(select(feed).where(feed.c.feed_id == feed_id)).one_or_none()
    if row is None:
        raise NotFound(f"feed {feed_id}: no such feed in the database")
    return feed_row(row)


def progress(feed_id: int, batches_done: int, counts: Mapping[Outcome, int]) -> Any:
    """The statement that moves a feed on by one batch."""
    added = {column: column + counts[outcome] for outcome, column in _COUNTS.items()}
    return (
        update(feed)
        .where(feed.c.feed_id == feed_id)
        .values({feed.c.batches_done: batches_done, **added})
    )


def feeds(
    database: Database, source: SourceId, digests: Sequence[str] | None = None
) -> dict[str, FeedRow]:
    """See service.ports.Store.feeds."""
    mine = select(feed).where(feed.c.source == source).order_by(feed.c.feed_id)
    with database.reading() as conn:
        if digests is None:
            return {row.sha256: feed_row(row) for row in conn.execute(mine)}
        blocks = (digests[n : n + _ASKED_AT_ONCE] for n in range(0, len(digests), _ASKED_AT_ONCE))
        asked = (conn.execute(mine.where(feed.c.sha256.in_(block))) for block in blocks)
        return {row.sha256: feed_row(row) for rows in asked for row in rows}


def begin_feed(
    database: Database, source: SourceId, file: FeedFile, reader_hash: str, now: Instant
) -> FeedRow:
    """See service.ports.Store.begin_feed."""

    given = {
        "source": source,
        "sha256": file.sha256,
        "reader_hash": reader_hash,
        "size": file.size,
        "as_at": file.as_at,
        "received_at": now,
        **_BEGINNING,
    }

    def prepare(snapshot: Connection, _: int) -> Callable[[Connection], int]:
        known = snapshot.execute(
            select(feed).where(feed.c.source == source, feed.c.sha256 == file.sha256)
        ).one_or_none()
        if known is None:
            return _founding(database, snapshot, given, file.path.name)
        if known.state == FeedState.LOADED or known.reader_hash == reader_hash:
            return lambda _: int(known.feed_id)
        return lambda conn: _begin_again(conn, known.feed_id, reader_hash, now)

    feed_id = database.optimistic(LOADS, prepare)
    with database.reading() as conn:
        return read_feed(conn, feed_id)


def _founding(
    database: Database, snapshot: Connection, given: Mapping[str, Any], name: str
) -> Callable[[Connection], int]:
    feed_id = next_id(snapshot, feed.c.feed_id)
    # A name in the file system is bytes; those that are not UTF-8 stand as surrogates.
    plain = name.encode("utf-8", "surrogateescape")
    sealed = database.sealer.seal(given["source"], feed, "file_name", feed_id, plain)

    def write(conn: Connection) -> int:
        conn.execute(insert(feed), {"feed_id": feed_id, "file_name": sealed, **given})
        return feed_id

    return write


_BEGINNING: dict[str, Any] = {
    "state": FeedState.LOADING.value,
    "batches_done": 0,
    "ended_at": None,
    "reason": None,
    **{column.name: 0 for column in _COUNTS.values()},
}


def _begin_again(conn: Connection, feed_id: int, reader_hash: str, now: Instant) -> int:
    conn.execute(delete(quarantine).where(quarantine.c.feed_id == feed_id))
    conn.execute(delete(field_issue).where(field_issue.c.feed_id == feed_id))
    values = {"reader_hash": reader_hash, "received_at": now, **_BEGINNING}
    conn.execute(update(feed).where(feed.c.feed_id == feed_id).values(values))
    return feed_id


def end_feed(database: Database, feed_id: int, state: FeedState, reason: str, now: Instant) -> None:
    """See service.ports.Store.end_feed.

    Args:
        reason: for a refused feed a key of `REASONS`, alone or before `: message`; else ''.

    Raises:
        ValueError: another state, or another reason.
        StoreError: the feed has ended already.
    """
    code, _, message = reason.partition(": ")
    if state is FeedState.LOADING or (state is FeedState.REFUSED) != (code in REASONS):
        raise ValueError("a feed ends loaded without a reason, or refused with one of REASONS")

    def prepare(snapshot: Connection, _: int) -> Callable[[Connection], str]:
        known = read_feed(snapshot, feed_id)
        refused = None
        if known.state is not FeedState.LOADING:
            raise StoreError(f"feed {feed_id}: expected one that is loading; it is {known.state}")
        if state is FeedState.REFUSED:
            row_id = next_id(snapshot, quarantine.c.quarantine_id)
            detail = Detail(WHOLE_FEED, "", message or REASONS[code], b"")
            refused = {
                "quarantine_id": row_id,
                "feed_id": feed_id,
                "unit": None,
                "reason": code,
                "detail": sealed_details(database, known.source, row_id, [detail])[0],
            }

        def write(conn: Connection) -> str:
            ended = {"state": state.value, "ended_at": now, "reason": code or None}
            changed = update(feed).where(feed.c.feed_id == feed_id).values(ended)
            if refused:
                conn.execute(insert(quarantine), refused)
                changed = changed.values(units_quarantined=feed.c.units_quarantined + 1)
            conn.execute(changed)
            write_event(database, conn, _ended(known, state, code, now))
            return known.source

        return write

    compact(database, database.optimistic(LOADS, prepare))


def _ended(row: FeedRow, state: FeedState, reason: str, now: Instant) -> AuditEvent:
    """The event of a feed that was taken in, or was not; of its units the counts."""
    told = {"source": row.source, "feed": row.sha256[:12], "state": state.value,
            "units": {outcome.value: count for outcome, count in row.counts.items() if count},
            "reason": reason or None}  # fmt: skip
    refused = state is FeedState.REFUSED
    return AuditEvent(
        at=now,
        action="feed",
        outcome=EventOutcome.FAILED if refused else EventOutcome.PERMITTED,
        actor=PROGRAM,
        role="-",
        purpose="-",
        details={name: value for name, value in told.items() if value is not None},
    )


def quarantined(
    database: Database, source: SourceId | None, limit: int | None
) -> Iterator[QuarantinedUnit]:
    """See service.ports.Store.quarantined."""
    last, left = 0, limit
    while left is None or left > 0:
        page = _PAGE if left is None else min(_PAGE, left)
        query = (
            select(quarantine, feed.c.source, feed.c.sha256)
            .join(feed)
            .where(quarantine.c.quarantine_id > last)
            .order_by(quarantine.c.quarantine_id)
            .limit(page)
        )
        with database.reading() as conn:
            rows = conn.execute(query if source is None else query.where(feed.c.source == source))
            found = [(row, opened_detail(database, row.quarantine_id, row.detail)) for row in rows]
        for row, detail in found:
            yield QuarantinedUnit(
                source=SourceId(row.source),
                sha256=row.sha256,
                unit=row.unit,
                where=detail.where,
                field=detail.field,
                reason=row.reason,
                message=detail.message,
            )
        if len(found) < page:
            return
        last = found[-1][0].quarantine_id
        left = None if left is None else left - len(found)
