"""What is held of persons, for a decision to share: read on one snapshot, for many at once.

Rules:
- Records, care items, provisions and claims are each one query, whatever the number of persons.
  Most persons have neither provisions nor claims: the query for records says whether they have,
  and only then it is all asked again, with those.
- A care item's payload stays sealed; its access class says all that policy reads of it.
- Only what is live of a present person is found, as in store/looking.py.
- The name of an item is its keyed digest: it says nothing, and it is the same for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec
from sqlalchemy import and_, bindparam, exists, func, select

from schemas.dates import Instant
from schemas.identifiers import PersonId, SourceId
from schemas.items import CareItem, Heading
from schemas.records import ClientRecord, StaffEntry
from service.ports import FeedState, HeldRecord
from service.sharing_ports import Claim, FeedNews, PersonView, Provision, SealedItem
from store.database import COUNTERS, PUBLISHED, Database, read_counter
from store.indexes import DIGEST_BYTES
from store.linking import PUBLISHED_NOW, is_published
from store.prepared import Prepared, Rows
from store.registers import CLAIMS_ABOUT, PROVISIONS_ON, claims_about, provisions_on
from store.snapshots import Question
from store.tables import (
    access_claim,
    care_item,
    care_item_version,
    feed,
    membership,
    provision_record,
    record,
    record_version,
    staff_entry,
    staff_entry_version,
    store_meta,
)

_RECORD = msgspec.json.Decoder(ClientRecord)
_ITEM = msgspec.json.Decoder(CareItem)
_STAFF = msgspec.json.Decoder(StaffEntry)


_COUNTERS = Prepared(select(store_meta.c.name, store_meta.c.value))
_OF_THEM = and_(
    membership.c.person_id.in_(bindparam("persons", expanding=True)),
    is_published(PUBLISHED_NOW),
    record.c.withdrawn_at.is_(None),
)
_CLAIMED = and_(
    access_claim.c.person_id == membership.c.person_id,
    access_claim.c.expires_at > bindparam("now"),
)
_RECORDS = Prepared(
    select(
        record.c.record_id, record.c.version_id, record.c.source, record.c.as_at,
        record_version.c.content, membership.c.person_id, feed.c.received_at,
        exists().where(provision_record.c.record_id == record.c.record_id),
        exists().where(_CLAIMED),
    )
    .join(membership, membership.c.record_id == record.c.record_id)
    .join(record_version, record_version.c.version_id == record.c.version_id)
    .join(feed, feed.c.feed_id == record_version.c.feed_id)
    .where(_OF_THEM)
    .order_by(record.c.record_id)
)  # fmt: skip
_ALL_ITEMS = (
    select(
        care_item.c.care_item_id, care_item.c.item_key, care_item.c.source, care_item.c.heading,
        record.c.record_id, membership.c.person_id, care_item.c.class_id, care_item.c.as_at,
        care_item.c.version_id, care_item_version.c.content, feed.c.received_at,
    )
    .join(record, record.c.record_key == care_item.c.subject_key)
    .join(membership, membership.c.record_id == record.c.record_id)
    .join(care_item_version, care_item_version.c.version_id == care_item.c.version_id)
    .join(feed, feed.c.feed_id == care_item_version.c.feed_id)
    .where(_OF_THEM)
    .order_by(care_item.c.as_at.desc(), care_item.c.care_item_id.desc())
)  # fmt: skip
_ITEMS = Prepared(_ALL_ITEMS)
_ITEMS_UNDER = Prepared(
    _ALL_ITEMS.where(care_item.c.heading.in_(bindparam("headings", expanding=True)))
)
_STAFF_ENTRY = Prepared(
    select(staff_entry_version.c.version_id, staff_entry_version.c.content)
    .join(staff_entry, staff_entry.c.version_id == staff_entry_version.c.version_id)
    .where(staff_entry.c.staff_key == bindparam("key"))
)
_HEADINGS: dict[str, Heading] = {heading.value: heading for heading in Heading}
_MOST_HEADINGS = len(_HEADINGS) // 2
_HAS_PROVISIONS, _HAS_CLAIMS = 7, 8
"""Places in a row of `_RECORDS`."""


def counters(database: Database) -> dict[str, int]:
    """See service.sharing_ports.SharingStore.counters."""
    return _of_counters(database.snapshot((_COUNTERS, {}))[0])


def _of_counters(rows: Rows) -> dict[str, int]:
    return {name: value for name, value in rows if name in COUNTERS}


def views_now(
    database: Database,
    persons: Collection[PersonId],
    headings: Collection[Heading] | None,
    now: Instant,
) -> tuple[dict[str, int], dict[PersonId, PersonView]]:
    """See service.sharing_ports.SharingStore.views_now."""
    if not persons:
        return counters(database), {}
    wanted: dict[str, object] = {"persons": sorted(persons)}
    asked: list[Question] = [(_COUNTERS, {}), (_RECORDS, {**wanted, "now": now})]
    if headings is None or headings:
        asked.append(_items_under(wanted, headings))
    counted, rows, *found = database.snapshot(*asked)
    provisions: dict[PersonId, list[Provision]] = {}
    claims: dict[PersonId, list[Claim]] = {}
    if any(row[_HAS_PROVISIONS] or row[_HAS_CLAIMS] for row in rows):
        more = (PROVISIONS_ON, wanted), (CLAIMS_ABOUT, {**wanted, "now": now})
        counted, rows, *found, laid_down, claimed = database.snapshot(*asked, *more)
        provisions = provisions_on(database, laid_down, persons)
        claims = claims_about(database, claimed)
    records, received = _records(database, rows)
    items = _items(found[0], headings) if found else {}
    return _of_counters(counted), {
        person: PersonView(
            person,
            held,
            {one.record_id: received[one.record_id] for one in held},
            items.get(person, []),
            provisions.get(person, []),
            claims.get(person, []),
        )
        for person, held in records.items()
    }


def _records(
    database: Database, rows: Rows
) -> tuple[dict[PersonId, list[HeldRecord]], dict[int, Instant]]:
    """The persons' live records; record id → when it came in."""
    contents = database.sealer.unseal_many(record_version, "content", ((r[1], r[4]) for r in rows))
    found: dict[PersonId, list[HeldRecord]] = {}
    received: dict[int, Instant] = {}
    for row, content in zip(rows, contents, strict=True):
        record_id, version_id, source, as_at, _, person, received_at = row[:_HAS_PROVISIONS]
        held = HeldRecord(
            record_id=record_id,
            version_id=version_id,
            source=source,
            as_at=as_at,
            record=_RECORD.decode(content),
            person_id=person,
        )
        found.setdefault(person, []).append(held)
        received[record_id] = received_at
    return found, received


def _items_under(wanted: Mapping[str, object], headings: Collection[Heading] | None) -> Question:
    """What asks for the persons' items. Most headings are asked for as all, and sorted out here."""
    if headings is None or len(headings) > _MOST_HEADINGS:
        return _ITEMS, wanted
    return _ITEMS_UNDER, {**wanted, "headings": sorted(headings)}


def _items(rows: Rows, headings: Collection[Heading] | None) -> dict[PersonId, list[SealedItem]]:
    """The persons' care items, newest first."""
    found: dict[PersonId, list[SealedItem]] = {}
    for row in rows:
        row_id, key, source, name, record_id, person, class_id, as_at, version_id, payload, came = (
            row
        )
        heading = _HEADINGS[name]
        if headings is None or heading in headings:
            item = SealedItem(
                row_id, version_id, key.hex(), record_id, source, heading, class_id, as_at, came,
                payload,
            )  # fmt: skip
            found.setdefault(person, []).append(item)
    return found


def open_items(database: Database, items: Sequence[SealedItem]) -> list[CareItem]:
    """See service.sharing_ports.SharingStore.open_items."""
    pairs = ((item.version_id, item.payload) for item in items)
    decode = _ITEM.decode
    opened = database.sealer.unseal_many(care_item_version, "content", pairs)
    return [decode(content) for content in opened]


def name_of(item_key: bytes) -> str:
    """An item's name."""
    return item_key.hex()


def _key_of(name: str) -> bytes | None:
    try:
        key = bytes.fromhex(name)
    except ValueError:
        return None
    return key if name_of(key) == name and len(key) == DIGEST_BYTES else None


def item_named(database: Database, name: str) -> tuple[PersonId, Heading] | None:
    """See service.sharing_ports.SharingStore.item_named."""
    key = _key_of(name)
    if key is None:
        return None
    with database.reading() as conn:
        published = is_published(read_counter(conn, PUBLISHED))
        query = (
            select(membership.c.person_id, care_item.c.heading)
            .join(record, record.c.record_key == care_item.c.subject_key)
            .join(membership, and_(membership.c.record_id == record.c.record_id, published))
            .where(care_item.c.item_key == key, record.c.withdrawn_at.is_(None))
        )
        row = conn.execute(query).one_or_none()
    return None if row is None else (PersonId(row[0]), Heading(row[1]))


def feed_news(database: Database) -> dict[SourceId, FeedNews]:
    """See service.sharing_ports.SharingStore.feed_news."""
    query = (
        select(feed.c.source, feed.c.state, func.max(feed.c.received_at))
        .where(feed.c.state != FeedState.LOADING.value)
        .group_by(feed.c.source, feed.c.state)
    )
    last: dict[str, dict[str, Instant]] = {}
    with database.reading() as conn:
        for source, state, at in conn.execute(query):
            last.setdefault(source, {})[state] = Instant(at)
    return {SourceId(source): _news(states) for source, states in last.items()}


def _news(states: Mapping[str, Instant]) -> FeedNews:
    loaded, refused = states.get(FeedState.LOADED.value), states.get(FeedState.REFUSED.value)
    return FeedNews(loaded, refused if refused and refused > (loaded or "") else None)


def restricted_versions(database: Database) -> dict[int, int]:
    """See service.sharing_ports.SharingStore.restricted_versions."""
    query = select(record.c.record_id, record.c.version_id)
    query = query.where(record.c.restricted == 1, record.c.withdrawn_at.is_(None))
    with database.reading() as conn:
        return {row[0]: row[1] for row in conn.execute(query)}


def staff_entries(database: Database, source: SourceId) -> list[StaffEntry]:
    """See service.sharing_ports.SharingStore.staff_entries."""
    version = staff_entry_version
    query = (
        select(version.c.version_id, version.c.content)
        .join(staff_entry, staff_entry.c.version_id == version.c.version_id)
        .where(staff_entry.c.source == source)
    )
    with database.reading() as conn:
        rows = [(row.version_id, row.content) for row in conn.execute(query)]
    found = map(_STAFF.decode, database.sealer.unseal_many(version, "content", rows))
    return sorted(found, key=lambda entry: entry.staff_id)


def staff_of(database: Database, source: SourceId, staff_id: str) -> StaffEntry | None:
    """See service.sharing_ports.SharingStore.staff_entry."""
    (key,) = database.keys.indexes.staff_keys(source, [staff_id])
    (rows,) = database.snapshot((_STAFF_ENTRY, {"key": key}))
    if not rows:
        return None
    ((version_id, sealed),) = rows
    content = database.sealer.unseal(staff_entry_version, "content", version_id, sealed)
    return _STAFF.decode(content)
