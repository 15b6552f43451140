"""Access classes: what policy reads about a care item, told once for all items that are alike.

Rules:
- A class is a heading, a source, a custodian and a set of security labels: those that the source
  sent, and those that the item's codes ask for (consent/labels.py).
- Classes are found by a keyed digest and are never changed, so that a reader may keep those it
  has seen. The labels say what an item is about: they are sealed.
- A record's `restricted` is that of its live version.
- Rows of before there were classes, or of other label lists than today's, are filled anew when the
  database is opened, in pages: the counter CLASSED tells which lists they were filled by.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Table, select, update

from consent.labels import HINTS, VERSION, labels_of, labels_within
from schemas.identifiers import OdsCode, SourceId
from schemas.items import Coding, Heading
from schemas.sharing import AccessClass, Category, ClassId, Label
from store.bulk import Rows
from store.database import CLASSED, LOADS, Database, next_id, read_counter
from store.tables import (
    access_class,
    care_item,
    care_item_version,
    record,
    record_version,
    store_meta,
)

CLASS_SOURCE = "access class"
"""The key group that classes are sealed in."""
CLASS_COLUMNS = ("class_id", "class_key", "content")
_PAGE = 5_000
_HINTED = "|".join(map(re.escape, HINTS))
_PLAIN: frozenset[Label] = frozenset()


class _Read(msgspec.Struct, gc=False):
    """What a class is told by, of a care item's canonical JSON."""

    heading: Heading
    codes: tuple[Coding, ...] = ()
    text: str | None = None
    organisation: OdsCode | None = None
    sensitivity: tuple[str, ...] = ()


class _Around(msgspec.Struct, gc=False):
    """What a source sent around what an item keeps of it."""

    details: dict[str, Any] | None = None
    original: dict[str, Any] | None = None


class _Flagged(msgspec.Struct, gc=False):
    restricted: bool = False


class _Class(msgspec.Struct, frozen=True, array_like=True):
    """A class as it is sealed: labels in order."""

    heading: str
    source: str
    custodian: str | None
    labels: tuple[str, ...]


_ITEM = msgspec.json.Decoder(_Read)
_AROUND = msgspec.json.Decoder(_Around)
_FLAG = msgspec.json.Decoder(_Flagged)
_CLASS = msgspec.json.Decoder(_Class)
_ENCODER = msgspec.json.Encoder()


def restricted(contents: Sequence[bytes]) -> list[int]:
    """1 for each client record whose source restricts it, else 0."""
    decode = _FLAG.decode
    return [int(decode(content).restricted) for content in contents]


class Classes:
    """Numbers the classes of one batch's items on a snapshot; `founded` are rows of new ones."""

    def __init__(self, database: Database, snapshot: Connection) -> None:
        self._database, self._snapshot = database, snapshot
        self.founded: list[tuple[int, bytes, bytes]] = []
        self._ids: dict[_Class, int] = {}
        self._known: dict[tuple[Any, ...], _Class] = {}

    def ids(self, source: str, contents: Sequence[bytes]) -> list[int]:
        """The class id of each item, given as canonical JSON."""
        hinted = pc.match_substring_regex(
            pa.array(contents, pa.binary()), _HINTED, ignore_case=True
        ).to_pylist()
        classes = [
            self._told(source, content, _around(content) if hint else _PLAIN)
            for content, hint in zip(contents, hinted, strict=True)
        ]
        missing = list(dict.fromkeys(one for one in classes if one not in self._ids))
        if missing:
            self._number(missing)
        return [self._ids[one] for one in classes]

    def _told(self, source: str, content: bytes, around: frozenset[Label]) -> _Class:
        item = _ITEM.decode(content)
        telling = item.heading, item.organisation, item.sensitivity, item.codes, item.text, around
        found = self._known.get((source, *telling))
        if found is None:
            labels = labels_of(item) | around
            found = _Class(item.heading, source, item.organisation, tuple(sorted(labels)))
            self._known[source, *telling] = found
        return found

    def _number(self, classes: Sequence[_Class]) -> None:
        database = self._database
        contents = [_ENCODER.encode(one) for one in classes]
        keys = database.keys.indexes.content_hashes("class", "", contents)
        held = dict(
            database.bulk.lookup(
                self._snapshot, access_class, "class_key", ("class_key", "class_id"), keys
            )
        )
        new = [at for at, key in enumerate(keys) if key not in held]
        first = next_id(self._snapshot, access_class.c.class_id) + len(self.founded)
        ids = range(first, first + len(new))
        sealed = database.sealer.seal_many(
            CLASS_SOURCE, access_class, "content", ids, [contents[at] for at in new]
        )
        for class_id, at, payload in zip(ids, new, sealed, strict=True):
            held[keys[at]] = class_id
            self.founded.append((class_id, keys[at], payload))
        self._ids |= {one: held[key] for one, key in zip(classes, keys, strict=True)}


def _around(content: bytes) -> frozenset[Label]:
    """The labels that the details and the resource of an item ask for."""
    sent = _AROUND.decode(content)
    return labels_within(sent.details) | labels_within(sent.original)


def access_classes(database: Database, after: int = 0) -> dict[ClassId, AccessClass]:
    """See service.sharing_ports.SharingStore.access_classes."""
    query = select(access_class.c.class_id, access_class.c.content)
    with database.reading() as conn:
        rows = conn.execute(query.where(access_class.c.class_id > after)).all()
    pairs = [(row.class_id, row.content) for row in rows]
    told = map(_CLASS.decode, database.sealer.unseal_many(access_class, "content", pairs))
    return {
        ClassId(row.class_id): AccessClass(
            category=Category(one.heading),
            source=SourceId(one.source),
            custodian=None if one.custodian is None else OdsCode(one.custodian),
            labels=frozenset(map(Label, one.labels)),
        )
        for row, one in zip(rows, told, strict=True)
    }


def fill(database: Database) -> None:
    """Fills what was written before there were access classes, or by other label lists. What died
    half-way is done anew."""
    with database.reading() as conn:
        if read_counter(conn, CLASSED) == VERSION:
            return
    for rows in _pages(database, record, record_version):
        _write(database, record, "restricted", rows, _flags)
    for rows in _pages(database, care_item, care_item_version):
        _write(database, care_item, "class_id", rows, _class_ids)
    with database.writing() as conn:
        conn.execute(update(store_meta).where(store_meta.c.name == CLASSED).values(value=VERSION))


_Held = Sequence[tuple[int, str, int, bytes]]
"""Rows of (head id, source, live version id, sealed content)."""
_Told = Callable[[Database, Connection, _Held], tuple[list[int], Rows]]


def _pages(database: Database, head: Table, version: Table) -> Iterator[_Held]:
    (key,) = head.primary_key.columns
    joined = version.c.version_id == head.c.version_id
    query = select(key, head.c.source, version.c.version_id, version.c.content)
    query = query.join(version, joined).order_by(key).limit(_PAGE)
    seen = 0
    while True:
        with database.reading() as conn:
            rows = conn.execute(query.where(key > seen)).all()
        if not rows:
            return
        yield [(row[0], row[1], row[2], row[3]) for row in rows]
        seen = rows[-1][0]


def _contents(database: Database, version: Table, rows: _Held) -> list[bytes]:
    pairs = ((row[2], row[3]) for row in rows)
    return list(database.sealer.unseal_many(version, "content", pairs))


def _flags(database: Database, _: Connection, rows: _Held) -> tuple[list[int], Rows]:
    return restricted(_contents(database, record_version, rows)), ()


def _class_ids(database: Database, snapshot: Connection, rows: _Held) -> tuple[list[int], Rows]:
    classes = Classes(database, snapshot)
    contents = _contents(database, care_item_version, rows)
    by_source: dict[str, list[int]] = {}
    for at, row in enumerate(rows):
        by_source.setdefault(row[1], []).append(at)
    found: dict[int, int] = {}
    for source, places in by_source.items():
        ids = classes.ids(source, [contents[at] for at in places])
        found.update(zip(places, ids, strict=True))
    return [found[at] for at in range(len(rows))], classes.founded


def _write(database: Database, head: Table, column: str, rows: _Held, told: _Told) -> None:
    (key,) = head.primary_key.columns

    def prepare(snapshot: Connection, _: int) -> Callable[[Connection], None]:
        values, founded = told(database, snapshot, rows)
        pairs = [(row[0], value) for row, value in zip(rows, values, strict=True)]

        def write(conn: Connection) -> None:
            database.bulk.insert(conn, access_class, CLASS_COLUMNS, founded)
            database.bulk.update(conn, head, key.name, (column,), pairs)

        return write

    database.optimistic(LOADS, prepare)
