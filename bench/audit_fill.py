"""Fills a log with true events, fast: salted, sealed, committed to, numbered; sequenced later.

`fill(database, events)` takes a store's database (`store.database` of an open SqlStore) and adds
events until there are so many. They are what a partnership's year looks like: staff of 17
organisations who open and search for persons, the busy ones far more often than the others; nights;
now and then a refusal, a broken glass, a decision, an export. The same seed and number give the
same events (their salts and seals differ).

`python -m bench.audit_fill FOLDER EVENTS` makes a workspace's database in a folder, or goes on with
one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, inspect, select

from audit.events import AuditEvent, EventOutcome
from schemas.dates import Instant
from schemas.identifiers import PersonId
from store.audit_tables import audit_event, audit_event_person
from store.database import EVENTS, Database, next_value, read_counter
from store.entering import EVENT_COLUMNS, PERSON_COLUMNS, event_rows, salted
from store.keyring import KEY_FILE, KEYSTORE_FILE, FileKey, create_keyring, open_keyring
from store.sql_store import SqlStore, open_store

PAGE = 10_000
ORGANISATIONS = tuple(f"ZZ{n:02d}A" for n in range(17))
ROLES = ("gp", "nurse", "social_worker", "paramedic", "pharmacist", "admin")
ACTIONS = (
    ("everything", 0.34), ("items", 0.22), ("read", 0.14), ("item", 0.06), ("search", 0.13),
    ("match", 0.06), ("identify", 0.03), ("claim", 0.006), ("break-glass", 0.004),
    ("directives", 0.004), ("review-decide", 0.003), ("link", 0.002), ("person-export", 0.001),
)  # fmt: skip
STAFF = 4_000
PER_PERSON = 25
"""Events for each person there is."""
BEGINS = datetime(2025, 11, 1, tzinfo=UTC)
DAYS = 365
APART = Table("filled_person", MetaData(), Column("person_id", Text), Column("seq", BigInteger))


def fill(database: Database, events: int, seed: int = 1) -> None:
    """Adds events until there are so many, in transactions of `PAGE`; what died half-way is gone on
    with. Indexes of SQLite are taken away meanwhile, where more comes in than is there."""
    with database.reading() as conn:
        held = read_counter(conn, EVENTS)
    chosen = np.random.default_rng(seed)
    persons = max(events // PER_PERSON, 40)
    with _persons_table(database, apart=events > 2 * held) as table:
        for first in range(0, events, PAGE):
            count = min(PAGE, events - first)
            drawn = _drawn(chosen, persons, count)  # also of what is there: the same comes after it
            if first + count <= held:
                continue
            new = islice(_page(drawn, first, events), max(held - first, 0), None)
            page = [salted(event) for event in new]
            with database.writing() as conn:
                last = next_value(conn, EVENTS, len(page))
                rows, about = event_rows(database, range(last - len(page) + 1, last + 1), page)
                database.bulk.insert(conn, audit_event, EVENT_COLUMNS, rows)
                database.bulk.insert(conn, table, PERSON_COLUMNS, about)


@contextmanager
def _persons_table(database: Database, *, apart: bool) -> Iterator[Table]:
    """Where it is written whom events are about: apart, in the order in which they come, and sorted
    at the end; then there are no indexes meanwhile either. SQLite only."""
    if database.engine.dialect.name != "sqlite":
        yield audit_event_person
        return
    with database.writing() as conn:
        apart = apart or inspect(conn).has_table(APART.name)
        if apart:
            APART.create(conn, checkfirst=True)
            for index in audit_event.indexes:
                index.drop(conn, checkfirst=True)
    yield APART if apart else audit_event_person
    if apart:
        with database.writing() as conn:
            sort = select(APART).order_by(*APART.c)
            conn.execute(audit_event_person.insert().from_select(PERSON_COLUMNS, sort))
            APART.drop(conn)
        for index in audit_event.indexes:
            with database.writing() as conn:
                index.create(conn, checkfirst=True)


def person(number: int) -> PersonId:
    """The id of one of the persons."""
    return PersonId(f"p{number:013d}")


class _Drawn(NamedTuple):
    """What chance says of a page of events, an entry each."""

    actions: np.ndarray
    staff: np.ndarray
    about: np.ndarray
    outcomes: np.ndarray


def _drawn(chosen: np.random.Generator, persons: int, count: int) -> _Drawn:
    weights = np.array([weight for _, weight in ACTIONS])
    return _Drawn(
        actions=chosen.choice(len(ACTIONS), count, p=weights / weights.sum()),
        staff=(STAFF * chosen.random(count) ** 2).astype(int),
        about=(persons * chosen.random((count, 3)) ** 1.5).astype(int),
        outcomes=chosen.random(count),
    )


def _page(drawn: _Drawn, first: int, events: int) -> Iterator[AuditEvent]:
    step = DAYS * 86_400 / events
    for n, (action, staff, about, outcome) in enumerate(zip(*drawn, strict=True)):
        at = BEGINS + timedelta(seconds=int((first + n) * step))
        yield _event(ACTIONS[action][0], int(staff), about, outcome, at)


def _event(
    action: str, staff: int, about: Sequence[int], outcome: float, at: datetime
) -> AuditEvent:
    several = 3 if action in ("search", "match") else 1
    nobody = action in ("link", "person-export")
    refused = outcome > 0.97
    details = {"issuer": "https://idp.example", "team": f"T{staff % 90}",
               "request": f"{staff:032x}", "policies": ["care-read", "agreement"],
               "shown": several * 7, "relationship": "registration"}  # fmt: skip
    return AuditEvent(
        at=Instant(f"{at.isoformat()[:19]}Z"),
        action=action,
        outcome=EventOutcome.REFUSED if refused else EventOutcome.PERMITTED,
        actor=f"ST{staff:05d}",
        role=ROLES[staff % len(ROLES)],
        purpose="direct-care",
        organisation=ORGANISATIONS[staff % len(ORGANISATIONS)],
        persons=() if nobody else tuple(sorted({person(int(one)) for one in about[:several]})),
        details=details,
    )


def new_store(folder: Path, url: str | None = None) -> SqlStore:
    """A store of its own in a folder: SQLite, or the database of the URL."""
    keys = create_keyring(folder / "keys", FileKey(folder / "keys" / KEY_FILE))
    return open_store(url or f"sqlite:///{folder}/partnership.db", keys)


def held_store(folder: Path, url: str | None = None) -> SqlStore:
    """The store of a folder that was filled before; a new one where there is none."""
    if not (folder / "keys" / KEYSTORE_FILE).exists():
        return new_store(folder, url)
    keys = open_keyring(folder / "keys", FileKey(folder / "keys" / KEY_FILE))
    return open_store(url or f"sqlite:///{folder}/partnership.db", keys)


def main() -> None:
    """Fills a database, new or begun, and says how long it took."""
    folder, events = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    store = held_store(folder)
    added = events - store.event_count()
    began = time.perf_counter()
    fill(store.database, events)
    took = time.perf_counter() - began
    size = (folder / "partnership.db").stat().st_size
    print(
        f"{added:,} events in {took:.1f} s ({added / took:,.0f}/s), {size / events:,.0f} bytes each"
    )
    store.close()


if __name__ == "__main__":
    main()
