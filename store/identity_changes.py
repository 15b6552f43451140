"""Protected changes of identity: what sources declared, and which records and persons are the old.

Rules:
- A change is known by its two local ids, its moment and whether it is undone: said again it is
  `unchanged`. All of that is sealed, and the local ids as keyed digests even there: nothing in
  clear leads from an old identity to the new one, and an erasure has nothing to take out of it.
- A change that comes with the new identity's record counts, with that record, from the second after
  its moment: what else was said of the client in that moment, in whatever file, is of before it.
- A change holds until its source says that it was in error, at its moment or later.
- The generation that brought it is kept with it: runs of an earlier one showed the old identity.
- What the old identity is: service/former.py. Where the record said the new one before its source
  declared it, and a run parted the two by that, the person before that run showed the old one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, func, or_, select

from schemas.dates import Instant, to_instant
from schemas.identifiers import PersonId
from service.former import FormerIdentity
from service.ports import FeedRow
from store.database import GENERATION, PUBLISHED, Database, next_id, read_counter
from store.linking import run_delta
from store.tables import (
    identity_change,
    link_run,
    membership,
    person,
    person_return,
    record,
    record_version,
)
from store.versions import CHANGED, UNCHANGED, Arrivals

COLUMNS = ("change_id", "feed_id", "source", "content_hash", "content")
_KIND = "identity_change"


class _Declared(msgspec.Struct, frozen=True):
    """One declaration as it is sealed."""

    before: str
    after: str
    undone: bool
    as_at: Instant
    generation: int


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(_Declared)


@dataclass
class ChangePlan:
    """What a batch's changes of identity write: outcomes per row, rows of `COLUMNS`."""

    outcomes: list[int] = field(default_factory=list)
    founded: list[tuple[Any, ...]] = field(default_factory=list)


Moments = frozenset[tuple[bytes, str]]
"""Record keys of new identities that came with their change, and when both say that it was."""


def after_the_change(
    database: Database, source: str, changes: pa.Table, arrivals: Arrivals, default_as_at: Instant
) -> tuple[Arrivals, Moments]:
    """The arrivals of client records, those that came with their change as of after its moment; and
    which these are."""
    told = {
        (key, as_at or default_as_at)
        for key, as_at, undone in zip(
            database.keys.indexes.record_keys(source, changes["after"].to_pylist()),
            changes["as_at"].to_pylist(),
            changes["undone"].to_pylist(),
            strict=True,
        )
        if not undone
    }
    said = list(zip(arrivals.keys, arrivals.as_ats, strict=True))
    together = frozenset(told.intersection(said))
    if not together:
        return arrivals, together
    as_ats = [_next_second(one[1]) if one in together else one[1] for one in said]
    return replace(arrivals, as_ats=as_ats), together


def _next_second(as_at: str) -> Instant:
    return to_instant(datetime.fromisoformat(as_at) + timedelta(seconds=1))


def plan_changes(
    database: Database,
    snapshot: Connection,
    known: FeedRow,
    rows: pa.Table,
    default_as_at: Instant,
    together: Moments,
) -> ChangePlan:
    """Plans rows of `CHANGE_SCHEMA`; `together` as `after_the_change` gives it."""
    plan = ChangePlan([UNCHANGED] * len(rows))
    if not len(rows):
        return plan
    told = _declared(database, known.source, rows, default_as_at, snapshot, together)
    indexes = database.keys.indexes
    plain = [_ENCODER.encode((one.before, one.after, one.undone, one.as_at)) for one in told]
    hashes = indexes.content_hashes(_KIND, known.source, plain)
    look = database.bulk.lookup
    held = {
        row[0] for row in look(snapshot, identity_change, "content_hash", ("content_hash",), hashes)
    }
    news: dict[bytes, bytes] = {}
    for at, (digest, one) in enumerate(zip(hashes, told, strict=True)):
        if digest not in held and digest not in news:
            plan.outcomes[at] = CHANGED
            news[digest] = _ENCODER.encode(one)
    first = next_id(snapshot, identity_change.c.change_id)
    ids = range(first, first + len(news))
    sealed = database.sealer.seal_many(
        known.source, identity_change, "content", ids, list(news.values())
    )
    plan.founded = [
        (row_id, known.feed_id, known.source, digest, content)
        for row_id, digest, content in zip(ids, news, sealed, strict=True)
    ]
    return plan


def _declared(
    database: Database,
    source: str,
    rows: pa.Table,
    default_as_at: Instant,
    snapshot: Connection,
    together: Moments,
) -> list[_Declared]:
    before, after = (
        database.keys.indexes.record_keys(source, rows[name].to_pylist())
        for name in ("before", "after")
    )
    as_ats = [Instant(as_at or default_as_at) for as_at in rows["as_at"].to_pylist()]
    coming = read_counter(snapshot, GENERATION) + 1
    return [
        _Declared(
            old.hex(),
            new.hex(),
            undone,
            _next_second(as_at) if (new, as_at) in together and not undone else as_at,
            coming,
        )
        for old, new, undone, as_at in zip(
            before, after, rows["undone"].to_pylist(), as_ats, strict=True
        )
    ]


def former_identities(database: Database) -> tuple[FormerIdentity, ...]:
    """See service.ports.Store.former_identities."""
    with database.reading() as conn:
        rows = conn.execute(select(identity_change.c.change_id, identity_change.c.content)).all()
        if not rows:
            return ()
        contents = database.sealer.unseal_many(
            identity_change, "content", ((row.change_id, row.content) for row in rows)
        )
        said = _Said(database, conn, holding([_DECODER.decode(one) for one in contents]))
        return tuple(found for one in said.changes if (found := said.identity(one)) is not None)


def holding(told: Sequence[_Declared]) -> list[_Declared]:
    """The declarations that were not taken back at their moment or later, oldest first."""
    ended: dict[tuple[str, str], str] = {}
    for one in told:
        if one.undone:
            pair = one.before, one.after
            ended[pair] = max(_next_second(one.as_at), ended.get(pair, ""))
    stand = [o for o in told if not o.undone and o.as_at > ended.get((o.before, o.after), "")]
    return sorted(stand, key=lambda o: (o.as_at, o.before, o.after))


@dataclass(frozen=True)
class _Head:
    """A record that a change names, as it is held."""

    record_id: int
    version_id: int
    as_at: str
    live: bool


@dataclass(frozen=True)
class _Stay:
    """A record in a person, from a run on, until another."""

    record_id: int
    person: PersonId
    from_run: int
    to_run: int | None

    def at(self, run: int) -> bool:
        return self.from_run <= run and (self.to_run is None or self.to_run > run)


class _Said:
    """What is held about the records that some changes name."""

    def __init__(self, database: Database, conn: Connection, changes: list[_Declared]) -> None:
        self.database, self.conn, self.changes = database, conn, changes
        keys = {bytes.fromhex(key) for one in changes for key in (one.before, one.after)}
        columns = ("record_key", "record_id", "version_id", "as_at", "withdrawn_at")
        self._heads = {
            row[0].hex(): _Head(row[1], row[2], row[3], row[4] is None and row[2] > 0)
            for row in database.bulk.lookup(conn, record, "record_key", columns, keys)
        }
        self.published = read_counter(conn, PUBLISHED)

    def identity(self, one: _Declared) -> FormerIdentity | None:
        """What the change sets apart; None where nothing is held of the old identity."""
        before, after, own = (
            self._heads.get(one.before), self._heads.get(one.after), one.before == one.after,
        )  # fmt: skip
        if before is None:
            return None
        versions = self._versions(before, one.as_at if own else None)
        waits = after is None or not after.live or (own and after.version_id in versions)
        first = self._first_run(one.generation)
        base = next((s for s in self._stays([before.record_id]) if s.at(first - 1)), None)
        if base and own and (earlier := self._parted_before(base, versions)):
            base, first = earlier, base.from_run
        others = (
            {s.record_id for s in self._of_person(base.person) if s.at(first - 1)}
            if base
            else set()
        )
        others -= {after.record_id} if after else set()
        old = others | ({before.record_id} if not own or waits else set())
        stays = self._stays(old)
        shown = self._shown(after, base, first) if after and not waits else frozenset[PersonId]()
        gone = {s.record_id for s in stays if s.at(self.published) and s.person in shown}
        old -= gone - {before.record_id}
        since = {s.person for s in stays if s.record_id in old and (s.to_run or first) >= first}
        persons = (since - shown) | ({base.person} if base else set())
        return FormerIdentity(
            after=None if waits or after is None else after.record_id,
            as_at=one.as_at,
            first_run=first,
            old=frozenset(old),
            old_versions=versions,
            persons=self._with_former_ids(persons),
            new_persons=shown,
            own=own,
        )

    def _parted_before(self, base: _Stay, old: Collection[int]) -> _Stay | None:
        """Where the record was before `base`, if it came to that by saying the new identity: then
        the declaration came after a run had parted the two."""
        stays = self._stays([base.record_id])
        earlier = next((s for s in stays if s.to_run == base.from_run), None)
        if earlier is None:
            return None
        moved = run_delta(self.database, base.from_run)
        moved = moved.filter(pc.equal(moved["record_id"], base.record_id)).to_pylist()
        parted = any(row["before"] in old and row["after"] not in old for row in moved)
        return earlier if parted else None

    def _shown(self, after: _Head, base: _Stay | None, first: int) -> frozenset[PersonId]:
        """The person that shows the new identity now."""
        return frozenset(
            stay.person
            for stay in self._stays([after.record_id])
            if stay.at(self.published)
            and (stay.from_run >= first or base is None or stay.person != base.person)
            and (base is None or stay.record_id != base.record_id or stay.from_run >= first)
        )

    def _versions(self, head: _Head, until: str | None) -> frozenset[int]:
        """Versions of a record: all, or those said before a moment; the live one only if it was not
        said since."""
        columns = record_version.c.version_id, record_version.c.first_as_at
        rows = self.conn.execute(
            select(*columns).where(
                record_version.c.record_id == head.record_id,
                or_(
                    record_version.c.last_as_at.is_not(None),
                    record_version.c.version_id == head.version_id,
                ),
            )
        )
        said = {int(version): first for version, first in rows}
        if head.version_id in said:
            said[head.version_id] = head.as_at
        return frozenset(version for version, at in said.items() if until is None or at < until)

    def _first_run(self, generation: int) -> int:
        """The first run that saw a generation; the next one where none has yet."""
        query = select(func.min(link_run.c.run_id)).where(
            link_run.c.generation >= generation, link_run.c.run_id <= self.published
        )
        return int(self.conn.scalar(query) or self.published + 1)

    def _stays(self, record_ids: Iterable[int]) -> list[_Stay]:
        columns = ("record_id", "person_id", "from_run", "to_run")
        look = self.database.bulk.lookup
        found = look(self.conn, membership, "record_id", columns, sorted(record_ids))
        return [self._stay(row) for row in found if row[2] <= self.published]

    def _of_person(self, person_id: PersonId) -> list[_Stay]:
        columns = ("record_id", "person_id", "from_run", "to_run")
        look = self.database.bulk.lookup
        found = look(self.conn, membership, "person_id", columns, [person_id])
        return [self._stay(row) for row in found if row[2] <= self.published]

    def _stay(self, row: Sequence[Any]) -> _Stay:
        until = row[3] if row[3] is not None and row[3] <= self.published else None
        return _Stay(row[0], PersonId(row[1]), row[2], until)

    def _with_former_ids(self, persons: Collection[PersonId]) -> frozenset[PersonId]:
        """The persons, and those that they carried on or that were merged into them, and so on."""
        found, news = set(persons), set(persons)
        while news:
            carried = select(person.c.continues).where(person.c.person_id.in_(news))
            earlier = {PersonId(p) for p in self.conn.scalars(carried) if p}
            for table in (person, person_return):
                merged = select(table.c.person_id).where(table.c.merged_into.in_(news))
                earlier |= {PersonId(p) for p in self.conn.scalars(merged)}
            news = earlier - found
            found |= news
        return frozenset(found)
