"""Erasure: a record goes for ever, from the database, its keys and whatever is restored later.

Rules:
- The erasure list stands in the keystore (store/keystore.py), outside what a restore of the
  database brings back. An erasure is written there first, so that it is carried out even if the
  process that began it dies: running it again, the next night or a restore goes on with it.
- What is erased: every version of the record, its care items, what its source said of merging or
  withdrawing it, its rows of match segments, the bytes of quarantined units that name it, what was
  laid down or claimed about its person where nothing else is left of them, and the digest of its
  NHS number. Its head stays, empty, because persons and decisions name its id.
- A data key seals up to 256 rows. The rows that stay are sealed anew first; then what is erased is
  removed in one transaction; then every data key of the source that seals nothing any more is
  destroyed. So old copies of those rows (free pages, logs, dead tuples) open no more either.
- Each step may be repeated, and finds by itself what is left to do.
- Version ids of erased versions are not given again: runs and states name them.
- A record that was let back in (store/barring.py) comes back under its own record id.
- Whoever erases holds the workspace: nothing is loaded meanwhile.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Column, Connection, Table, delete, func, select, update

from schemas.dates import Instant, to_instant
from schemas.errors import InvalidValue, NotFound
from schemas.identifiers import LocalId, SourceId
from schemas.records import ClientRecord
from service.ports import Erased
from store.arrow import unpacked
from store.barring import barred_keys
from store.columns import is_sealed
from store.database import ERASED, GENERATION, LOADS, Database, advance, next_id, read_counter
from store.feature_sets import FEATURE_SOURCE, forget_sets
from store.feeds import opened_detail, sealed_details
from store.keystore import Act, Erasure
from store.registers import claimed, orphaned
from store.segments import COLUMNS as SEGMENT_COLUMNS
from store.segments import segment_row
from store.tables import (
    access_claim,
    all_tables,
    care_item,
    care_item_version,
    feed,
    match_segment,
    provision,
    provision_record,
    quarantine,
    record,
    record_version,
    source_merge,
    source_unmerge,
    store_meta,
    withdrawal,
)

PAGE_ROWS = 500
"""Rows sealed anew in one transaction."""
_KEY_ID = struct.Struct(">Q")
_RECORD = msgspec.json.Decoder(ClientRecord)
_SEALED = tuple(
    (table, column)
    for table in all_tables.sorted_tables
    for column in table.columns
    if is_sealed(column)
)
_SHARED = tuple((table, column) for table, column in _SEALED if table is not match_segment)
"""Sealed columns whose rows share data keys."""
T = TypeVar("T")


# --- use ----------------------------------------------------------------------------------------


def erase(
    database: Database, source: SourceId, local_id: LocalId, now: Instant, *, may_return: bool
) -> Erased:
    """See service.ports.Store.erase."""
    (key,) = database.keys.indexes.record_keys(source, [local_id])
    with database.reading() as conn:
        head = conn.execute(select(record).where(record.c.record_key == key)).one_or_none()
    if head is None:
        raise NotFound(f"no record of that local id in source {source!r}")
    keystore = database.keys.keystore
    entries = [entry for entry in keystore.erasures() if entry.record_key == key]
    if head.version_id == 0 and any(entry.act is Act.DONE for entry in entries):
        if not (may_return and key in barred_keys(database)):
            raise InvalidValue(f"that record was erased already, at {head.erased_at}")
        keystore.extend([Erasure(key, _after(entries, now), Act.LIFTED, source)])
        return Erased(lifted=True)
    begun = [entry for entry in _due(database) if entry.record_key == key]
    if not begun:
        begun = [Erasure(key, _after(entries, now), Act.ERASED, source)]
        keystore.extend(begun)
    if may_return:
        keystore.extend([replace(begun[0], act=Act.LIFTED)])
    return _carry_out(database, begun)


def finish(database: Database, *, restored: bool = False) -> Erased:
    """Carries out what is due of the erasure list: see service.ports.Store.finish_erasures.

    Args:
        restored: the database was put back, so that anything on the list may be due.
    """
    if restored:
        database.keys.keystore.forget_done()
    return _carry_out(database, _due(database))


def _after(entries: Sequence[Erasure], now: Instant) -> Instant:
    """The moment of a new entry: later than those there are, whatever the clock says."""
    last = max((entry.at for entry in entries if entry.act is not Act.DONE), default="")
    if now > last:
        return now
    return to_instant(datetime.fromisoformat(last) + timedelta(seconds=1))


def _due(database: Database) -> list[Erasure]:
    """The latest erasure of each record, where it is not known to have been carried out."""
    entries = database.keys.keystore.erasures()
    done = {(entry.record_key, entry.at) for entry in entries if entry.act is Act.DONE}
    latest = {entry.record_key: entry for entry in entries if entry.act is Act.ERASED}
    columns = ("record_key", "erased_at")
    with database.reading() as conn:
        held = dict(database.bulk.lookup(conn, record, "record_key", columns, latest))
    return [
        entry
        for key, entry in latest.items()
        if (key, entry.at) not in done or (key in held and (held[key] or "") < entry.at)
    ]


# --- carrying out -------------------------------------------------------------------------------


@dataclass
class _Work:
    """What of one source is erased.

    Attributes:
        heads: record id → (its key, when it was erased).
        doomed: table → ids of its rows that go.
        cleaned: quarantine rows that lose their bytes.
        last_version: the greatest version id that goes.
    """

    source: str
    heads: dict[int, tuple[bytes, str]] = field(default_factory=dict)
    doomed: dict[Table, set[int]] = field(default_factory=dict)
    cleaned: set[int] = field(default_factory=set)
    last_version: int = 0

    def leaving(self, table: Table) -> set[int]:
        """Rows of the table whose present payload goes."""
        return self.cleaned if table is quarantine else self.doomed.get(table, set())


def _carry_out(database: Database, due: Sequence[Erasure]) -> Erased:
    told = Erased()
    if due:
        forget_sets(database)
        _destroy_unused(database, FEATURE_SOURCE, max(e.at for e in due))
    for source in sorted({entry.source for entry in due}):
        mine = [entry for entry in due if entry.source == source]
        database.keys.held_back(source)
        work = _planned(database, source, mine)
        told = told.plus(
            records=len(work.heads),
            versions=len(work.doomed.get(record_version, ())),
            items=len(work.doomed.get(care_item, ())),
            resealed=_seal_rest_anew(database, work),
            segments=_rewrite_segments(database, work),
        )
        _remove(database, work)
        told = told.plus(keys=_destroy_unused(database, source, max(e.at for e in mine)))
        database.keys.keystore.extend([replace(entry, act=Act.DONE) for entry in mine])
    return told


def _planned(database: Database, source: str, due: Sequence[Erasure]) -> _Work:
    """Finds what there is of the records: nothing of those that were erased before."""
    work = _Work(source)
    when = {entry.record_key: entry.at for entry in due}
    look = database.bulk.lookup
    with database.reading() as conn:
        columns = ("record_id", "record_key", "erased_at")
        for record_id, key, erased_at in look(conn, record, "record_key", columns, when):
            if (erased_at or "") < when[key]:
                work.heads[record_id] = key, when[key]
        keys = [key for key, _ in work.heads.values()]
        found = _ids(conn, record_version, "record_id", list(work.heads))
        work.doomed[record_version] = found
        items = _ids(conn, care_item, "subject_key", keys)
        work.doomed[care_item] = items
        work.doomed[care_item_version] = _ids(conn, care_item_version, "care_item_id", list(items))
        for table, names in (
            (source_merge, ("retired_key", "survivor_key")),
            (source_unmerge, ("left_key", "right_key")),
            (withdrawal, ("record_key",)),
        ):
            rows = (_ids(conn, table, name, keys) for name in names)
            work.doomed[table] = set().union(*rows)
        work.last_version = max(*found, *work.doomed[care_item_version], 0, 0)
        work.doomed[provision] = orphaned(conn, list(work.heads))
        work.doomed[access_claim] = claimed(conn, list(work.heads))
        work.cleaned = _naming(database, conn, source, _names(database, conn, found))
    return work


def _ids(conn: Connection, table: Table, column: str, values: Sequence[Any]) -> set[int]:
    """Ids of the rows whose column holds one of the values."""
    found: set[int] = set()
    key = _key(table)
    for part in _parts(values):
        found |= set(conn.scalars(select(key).where(table.c[column].in_(part))))
    return found


def _names(database: Database, conn: Connection, version_ids: Iterable[int]) -> set[str]:
    """What a quarantined unit may call the records by: their local ids and numbers."""
    names: set[str] = set()
    for part in _parts(sorted(version_ids)):
        query = select(record_version.c.version_id, record_version.c.content)
        rows = [(r[0], r[1]) for r in conn.execute(query.where(_key(record_version).in_(part)))]
        for plain in database.sealer.unseal_many(record_version, "content", rows):
            held = _RECORD.decode(plain)
            names.add(held.local_id)
            if held.nhs_number is not None:
                names.add(held.nhs_number.value)
    return names


def _naming(database: Database, conn: Connection, source: str, names: Collection[str]) -> set[int]:
    """Quarantined units of the source in whose bytes one of the names stands as a word."""
    if not names:
        return set()
    either = b"|".join(re.escape(name.encode()) for name in sorted(names))
    word = re.compile(rb"(?<![0-9A-Za-z])(?:" + either + rb")(?![0-9A-Za-z])")
    query = select(quarantine.c.quarantine_id, quarantine.c.detail).join(feed)
    rows = conn.execute(query.where(feed.c.source == source))
    return {
        row.quarantine_id
        for row in rows
        if word.search(opened_detail(database, row.quarantine_id, row.detail).raw)
    }


# --- keys ---------------------------------------------------------------------------------------


def _key(table: Table) -> Column[int]:
    (key,) = table.primary_key.columns
    return key


def _sealed_under(column: Column[bytes]) -> Any:
    """The part of a payload's header that tells its data key (store/sealing.py)."""
    return func.substr(column, 2, _KEY_ID.size)


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[start : start + PAGE_ROWS] for start in range(0, len(values), PAGE_ROWS))


def used_keys(conn: Connection) -> set[int]:
    """Ids of the data keys under which something is sealed."""
    found: set[int] = set()
    for _, column in _SEALED:
        for prefix in conn.scalars(select(_sealed_under(column)).distinct()):
            if prefix:  # an event that was erased has no payload
                found.add(_KEY_ID.unpack(prefix)[0])
    return found


def _seal_rest_anew(database: Database, work: _Work) -> int:
    """Seals anew what shares a data key with what goes, and stays; returns how many rows."""
    keystore = database.keys.keystore
    doomed = {d.key_id for d in keystore.destroyed()} & keystore.key_sources().keys()
    with database.reading() as conn:
        for table, column in _SHARED:
            for part in _parts(sorted(work.leaving(table))):
                query = select(_sealed_under(column)).where(_key(table).in_(part))
                doomed |= {_KEY_ID.unpack(prefix)[0] for prefix in conn.scalars(query)}
    return sum(
        _reseal(database, table, column, part, work)
        for table, column in _SHARED
        for part in _parts(sorted(doomed))
    )


def _reseal(
    database: Database, table: Table, column: Column[bytes], key_ids: Sequence[int], work: _Work
) -> int:
    key = _key(table)
    under = _sealed_under(column).in_([_KEY_ID.pack(key_id) for key_id in key_ids])
    leaving = work.leaving(table)
    with database.reading() as conn:
        found = [
            i for i in conn.scalars(select(key).where(under).order_by(key)) if i not in leaving
        ]
    sources = database.keys.keystore.key_sources()
    for part in _parts(found):
        database.optimistic(LOADS, _resealing(database, table, column, part, sources))
    return len(found)


def _resealing(
    database: Database,
    table: Table,
    column: Column[bytes],
    ids: Sequence[int],
    sources: Mapping[int, str],
) -> Callable[[Connection, int], Callable[[Connection], None]]:
    """Prepares rows sealed anew, each in the key group of the source that it was sealed for."""

    def prepare(snapshot: Connection, _: int) -> Callable[[Connection], None]:
        query = select(_key(table), column).where(_key(table).in_(ids))
        rows = [(row[0], row[1]) for row in snapshot.execute(query)]
        groups: dict[str, list[tuple[int, bytes]]] = {}
        for row_id, payload in rows:
            (key_id,) = _KEY_ID.unpack(payload[1 : 1 + _KEY_ID.size])
            groups.setdefault(sources[key_id], []).append((row_id, payload))
        written: list[tuple[int, bytes]] = []
        for source, held in groups.items():
            plains = list(database.sealer.unseal_many(table, column.name, held))
            row_ids = [row_id for row_id, _ in held]
            sealed = database.sealer.seal_many(source, table, column.name, row_ids, plains)
            written += zip(row_ids, sealed, strict=True)
        name = _key(table).name

        def write(conn: Connection) -> None:
            database.bulk.update(conn, table, name, (column.name,), written)

        return write

    return prepare


def _destroy_unused(database: Database, source: str, at: str) -> int:
    """Destroys the source's data keys that seal nothing; returns how many."""
    with database.reading() as conn:
        used = used_keys(conn)
    mine = {k for k, owner in database.keys.keystore.key_sources().items() if owner == source}
    unused = sorted(mine - used)
    database.keys.destroy(source, unused, at)
    return len(unused)


# --- rows ---------------------------------------------------------------------------------------


def _rewrite_segments(database: Database, work: _Work) -> int:
    """Writes the source's segments without the records; returns how many were written."""
    with database.reading() as conn:
        query = select(match_segment.c.segment_id).where(match_segment.c.source == work.source)
        segments = list(conn.scalars(query.order_by(match_segment.c.segment_id)))
    gone = pa.array(sorted(work.heads), pa.int64())
    return sum(
        database.optimistic(LOADS, _rewriting(database, work.source, segment_id, gone))
        for segment_id in segments
    )


def _rewriting(
    database: Database, source: str, segment_id: int, gone: pa.Array
) -> Callable[[Connection, int], Callable[[Connection], bool]]:
    def opened(snapshot: Connection, column: str) -> pa.Table:
        query = select(match_segment.c[column]).where(match_segment.c.segment_id == segment_id)
        payload = snapshot.execute(query).scalar_one()
        return unpacked(database.sealer.unseal(match_segment, column, segment_id, payload))

    def prepare(snapshot: Connection, _: int) -> Callable[[Connection], bool]:
        ids = opened(snapshot, "ids")
        left = pc.invert(pc.is_in(ids["record_id"], value_set=gone))
        if pc.all(left).as_py() is not False:
            return lambda _: False
        features = opened(snapshot, "features").filter(left)
        new_id = next_id(snapshot, match_segment.c.segment_id)
        row = segment_row(database, new_id, source, ids.filter(left), features)

        def write(conn: Connection) -> bool:
            conn.execute(delete(match_segment).where(match_segment.c.segment_id == segment_id))
            if row[2]:
                database.bulk.insert(conn, match_segment, SEGMENT_COLUMNS, [row])
            return True

        return write

    return prepare


def _remove(database: Database, work: _Work) -> None:
    """Removes what goes, and empties the heads, at once."""
    if work.heads:
        database.optimistic(LOADS, _removing(database, work))


def _removing(
    database: Database, work: _Work
) -> Callable[[Connection, int], Callable[[Connection], None]]:
    def prepare(snapshot: Connection, _: int) -> Callable[[Connection], None]:
        cleaned = [
            (row_id, _without_bytes(database, snapshot, work.source, row_id))
            for row_id in sorted(work.cleaned)
        ]
        names = (
            "as_at", "content_hash", "version_id", "nhs_key", "withdrawn_at", "erased_at",
            "restricted",
        )  # fmt: skip
        heads = [(i, "", b"", 0, None, at, at, 0) for i, (_, at) in work.heads.items()]

        def write(conn: Connection) -> None:
            for table, ids in work.doomed.items():
                for part in _parts(sorted(ids)):
                    conn.execute(delete(table).where(_key(table).in_(part)))
            for part in _parts(sorted(work.heads)):
                conn.execute(delete(provision_record).where(provision_record.c.record_id.in_(part)))
            database.bulk.update(conn, quarantine, "quarantine_id", ("detail",), cleaned)
            database.bulk.update(conn, record, "record_id", names, heads)
            erased = store_meta.c.name == ERASED, store_meta.c.value < work.last_version
            conn.execute(update(store_meta).where(*erased).values(value=work.last_version))
            advance(conn, GENERATION, read_counter(conn, GENERATION))

        return write

    return prepare


def _without_bytes(database: Database, conn: Connection, source: str, row_id: int) -> bytes:
    """The quarantined unit's detail, sealed anew without what it held."""
    query = select(quarantine.c.detail).where(quarantine.c.quarantine_id == row_id)
    detail = opened_detail(database, row_id, conn.execute(query).scalar_one())
    return sealed_details(database, source, row_id, [msgspec.structs.replace(detail, raw=b"")])[0]
