"""Persons over time: what an id answers, and how a person came to be what it is.

Rules:
- A person has stays: spans of runs in which it was present. The first stands in its own row, each
  return after an end in `person_return`. Runs that are not published yet are not seen.
- An id leads on only through merges, step by step, to a person that is present. A person that was
  split, emptied or undone leads nowhere, and so do the ids that were merged into it: what they
  would open might be a stranger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, Row, func, select

from schemas.dates import Instant
from schemas.identifiers import PersonId
from service.runs import Fate, PersonPast, Resolution, Stay
from store.database import PUBLISHED, Database, read_counter
from store.linking import MEMBERS_SCHEMA, read_runs
from store.tables import link_run, membership, person, person_return, record


def resolve(database: Database, person_id: PersonId) -> Resolution:
    """See service.ports.Store.resolve."""
    with database.reading() as conn:
        return _resolved(conn, person_id, read_counter(conn, PUBLISHED))


def _resolved(conn: Connection, person_id: PersonId, published: int) -> Resolution:
    leads_to = person_id
    while stays := _stays(conn, leads_to, published):
        last = stays[-1]
        if last.to_run is None:
            fate = Fate.PRESENT if leads_to == person_id else Fate.MERGED
            return Resolution(leads_to, fate)
        if last.merged_into is None:
            return Resolution(None, last.ending or Fate.SPLIT)
        leads_to = last.merged_into
    return Resolution(None, Fate.UNKNOWN)


def last_persons(database: Database, record_ids: Sequence[int]) -> pa.Table:
    """See service.ports.Store.last_persons."""
    with database.reading() as conn:
        published = read_counter(conn, PUBLISHED)
        columns = ("record_id", "from_run", "to_run", "person_id")
        last: dict[int, tuple[int, int | None, PersonId]] = {}
        for row in database.bulk.lookup(conn, membership, "record_id", columns, record_ids):
            if row[1] <= published and row[1] > last.get(row[0], (0,))[0]:
                last[row[0]] = row[1], row[2], PersonId(row[3])
        gone = {
            record_id: person
            for record_id, (_, to_run, person) in sorted(last.items())
            if to_run is not None and to_run <= published
        }
        leads = {person: _resolved(conn, person, published).person for person in {*gone.values()}}
    rows = [(record_id, leads[person]) for record_id, person in gone.items() if leads[person]]
    columns_of = {"record_id": [row[0] for row in rows], "person_id": [row[1] for row in rows]}
    return pa.table(columns_of, MEMBERS_SCHEMA)


def _stays(conn: Connection, person_id: PersonId, published: int) -> list[Stay]:
    """The stays begun at or before the run, in order; none for an unknown id."""
    own = conn.execute(
        select(person.c.founded_run, person.c.ended_run, person.c.ending, person.c.merged_into)
        .where(person.c.person_id == person_id, person.c.founded_run <= published)
    ).all()  # fmt: skip
    returns = conn.execute(
        select(
            person_return.c.from_run,
            person_return.c.to_run,
            person_return.c.ending,
            person_return.c.merged_into,
        )
        .where(person_return.c.person_id == person_id, person_return.c.from_run <= published)
        .order_by(person_return.c.from_run)
    ).all()
    return [_stay(row, published) for row in [*own, *returns]]


def _stay(row: Row[*tuple[Any, ...]], published: int) -> Stay:
    until = row[1]
    if until is None or until > published:
        return Stay(row[0])
    return Stay(row[0], until, Fate(row[2]), row[3])


def person_past(database: Database, person_id: PersonId) -> PersonPast | None:
    """See service.ports.Store.person_past."""
    with database.reading() as conn:
        published = read_counter(conn, PUBLISHED)
        stays = _stays(conn, person_id, published)
        if not stays:
            return None
        rows = _memberships(conn, person_id, published)
        arrivals = _counted(row[1] for row in rows)
        departures = _counted(row[2] for row in rows if row[2] is not None and row[2] <= published)
        merged = _merged(conn, person_id, published)
        ends = [stay.to_run for stay in stays if stay.ending is Fate.SPLIT and stay.to_run]
        parts = [(run, part) for run in ends for part in _parts(conn, person_id, run)]
        erased = _erased(conn, person_id, published)
        named = {*arrivals, *departures, *(run for run, _ in (*merged, *erased))}
        named |= {run for stay in stays for run in (stay.from_run, stay.to_run) if run}
        runs = read_runs(database, conn, link_run.c.run_id.in_(sorted(named)))
        continues = conn.scalar(select(person.c.continues).where(person.c.person_id == person_id))
    return PersonPast(
        person_id=person_id,
        continues=continues,
        records=frozenset(row[0] for row in rows),
        stays=tuple(stays),
        arrivals=arrivals,
        departures=departures,
        merged=tuple(merged),
        parts=tuple(parts),
        runs={run.run_id: run for run in runs},
        erased=tuple(erased),
    )


def _memberships(
    conn: Connection, person_id: PersonId, published: int
) -> list[tuple[int, int, int | None]]:
    """(record id, from run, to run) of each membership that was ever shown."""
    rows = conn.execute(
        select(membership.c.record_id, membership.c.from_run, membership.c.to_run).where(
            membership.c.person_id == person_id, membership.c.from_run <= published
        )
    )
    return [(row[0], row[1], row[2]) for row in rows]


def _counted(runs: Iterable[int]) -> dict[int, int]:
    return dict(sorted(Counter(runs).items()))


def _merged(conn: Connection, person_id: PersonId, published: int) -> list[tuple[int, PersonId]]:
    found: list[tuple[int, PersonId]] = []
    for table, run in ((person, person.c.ended_run), (person_return, person_return.c.to_run)):
        rows = conn.execute(
            select(run, table.c.person_id).where(table.c.merged_into == person_id, run <= published)
        )
        found += [(int(at), PersonId(gone)) for at, gone in rows]
    return sorted(found)


def _erased(conn: Connection, person_id: PersonId, published: int) -> list[tuple[int, Instant]]:
    """(run, when) of each record that was erased since it came to the person."""
    joined = membership.c.record_id == record.c.record_id
    rows = conn.execute(
        select(membership.c.to_run, record.c.erased_at, link_run.c.started_at)
        .join(record, joined)
        .join(link_run, link_run.c.run_id == membership.c.from_run)
        .where(membership.c.person_id == person_id, membership.c.from_run <= published)
        .where(record.c.erased_at >= link_run.c.started_at)
    )
    return sorted((int(min(row[0] or published, published)), Instant(row[1])) for row in rows)


def _parts(conn: Connection, person_id: PersonId, run_id: int) -> list[PersonId]:
    """The persons into which the run brought the records that it took from the person."""
    left = select(membership.c.record_id).where(
        membership.c.person_id == person_id, membership.c.to_run == run_id
    )
    rows = conn.scalars(
        select(membership.c.person_id)
        .where(membership.c.record_id.in_(left.scalar_subquery()), membership.c.from_run == run_id)
        .distinct()
        .order_by(membership.c.person_id)
    )
    return [PersonId(part) for part in rows]


def present_count(conn: Connection, published: int) -> int:
    """How many persons are present."""
    ended = person.c.ended_run
    first = (person.c.founded_run <= published), (ended.is_(None) | (ended > published))
    until = person_return.c.to_run
    again = (person_return.c.from_run <= published), (until.is_(None) | (until > published))
    return sum(
        int(conn.scalar(select(func.count()).select_from(table).where(*where)) or 0)
        for table, where in ((person, first), (person_return, again))
    )
