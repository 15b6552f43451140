"""What people laid down about sharing: provisions about a person, agreements, claims.

Rules:
- Each write is one transaction with its audit event, and moves the counter SHARING on.
- A provision belongs to the records that made up its person when it was made. It is found by any of
  them, so that merges and splits never lose it; where some are in another person by now, it is
  said to be parted, and whoever decides takes the cautious side.
- A version of an agreement is never changed: a new version takes its place.
- What names somebody, or is in somebody's own words, is sealed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, and_, bindparam, func, insert, select, update

from audit.events import AuditEvent
from schemas.dates import Instant
from schemas.errors import InvalidValue, NotFound
from schemas.identifiers import PersonId
from schemas.sharing import Agreement
from service.sharing_ports import Claim, Provision
from store.database import PUBLISHED, SHARING, Database, next_id, next_value, read_counter
from store.events import write_event
from store.linking import PUBLISHED_NOW, is_published
from store.prepared import Prepared, Rows
from store.tables import access_claim, agreement, membership, provision, provision_record, record

REGISTER_SOURCE = "sharing"
"""The key group that provisions, agreements and claims are sealed in."""
T = TypeVar("T")


_ENCODER = msgspec.json.Encoder(order="deterministic")
_PROVISION = msgspec.json.Decoder(Provision)
_AGREEMENT = msgspec.json.Decoder(Agreement)
_CLAIM = msgspec.json.Decoder(Claim)


_HOME = membership.join(
    record, and_(record.c.record_id == membership.c.record_id, record.c.withdrawn_at.is_(None))
)
_MADE_ON_THEM = (
    select(provision_record.c.provision_id)
    .join(_HOME, membership.c.record_id == provision_record.c.record_id)
    .where(
        membership.c.person_id.in_(bindparam("persons", expanding=True)),
        is_published(PUBLISHED_NOW),
    )
)
PROVISIONS_ON = Prepared(
    select(
        provision.c.provision_id, provision.c.ended_at, provision.c.content,
        provision_record.c.record_id, membership.c.person_id,
    )
    .join(provision_record, provision_record.c.provision_id == provision.c.provision_id)
    .outerjoin(
        _HOME,
        and_(membership.c.record_id == provision_record.c.record_id, is_published(PUBLISHED_NOW)),
    )
    .where(provision.c.provision_id.in_(_MADE_ON_THEM))
    .order_by(provision.c.provision_id, provision_record.c.record_id)
)  # fmt: skip
"""`persons` → their live records' provisions, with every record that each was made on and the
person that this is in now."""
_CLAIMS = select(access_claim).order_by(access_claim.c.claim_id)
CLAIMS_ABOUT = Prepared(
    select(access_claim.c.claim_id, access_claim.c.content)
    .where(
        access_claim.c.person_id.in_(bindparam("persons", expanding=True)),
        access_claim.c.expires_at > bindparam("now"),
    )
    .order_by(access_claim.c.claim_id)
)


def _write(database: Database, event: AuditEvent, work: Callable[[Connection], T]) -> T:
    """Does the work in one transaction with its event."""
    with database.writing() as conn:
        next_value(conn, SHARING)
        done = work(conn)
        write_event(database, conn, event)
        return done


# --- provisions ---------------------------------------------------------------------------------


def write_provision(
    database: Database, wanted: Provision, records: Collection[int], event: AuditEvent
) -> Provision:
    """See service.sharing_ports.SharingStore.write_provision."""
    if not records:
        raise InvalidValue("a provision is about a person with at least one record")

    def work(conn: Connection) -> Provision:
        row_id = next_id(conn, provision.c.provision_id)
        given = _numbered(wanted, row_id)
        plain = _ENCODER.encode(given)
        sealed = database.sealer.seal(REGISTER_SOURCE, provision, "content", row_id, plain)
        row = {"made_at": wanted.made_at, "ended_at": wanted.ended_at, "content": sealed}
        conn.execute(insert(provision), {"provision_id": row_id, **row})
        anchors = [{"record_id": r, "provision_id": row_id} for r in sorted(records)]
        conn.execute(insert(provision_record), anchors)
        return given

    return _write(database, event, work)


def _numbered(wanted: Provision, row_id: int) -> Provision:
    """The provision under its id; a directive's own is `d` and the number."""
    said = wanted.directive
    named = None if said is None else replace(said, directive_id=f"d{row_id}")
    return replace(wanted, provision_id=row_id, directive=named)


def end_provision(database: Database, row_id: int, at: Instant, event: AuditEvent) -> None:
    """See service.sharing_ports.SharingStore.end_provision."""
    c = provision.c

    def work(conn: Connection) -> None:
        found = conn.execute(select(c.ended_at).where(c.provision_id == row_id)).one_or_none()
        if found is None:
            raise NotFound("nothing of that number was laid down; `consent list` shows what was")
        if found.ended_at is not None:
            raise InvalidValue(f"that was ended already, at {found.ended_at}")
        conn.execute(update(provision).where(c.provision_id == row_id).values(ended_at=at))

    _write(database, event, work)


def provision_persons(database: Database, row_id: int) -> frozenset[PersonId]:
    """See service.sharing_ports.SharingStore.provision_persons."""
    c = provision_record.c
    with database.reading() as conn:
        records = conn.scalars(select(c.record_id).where(c.provision_id == row_id)).all()
        return frozenset(_homes(conn, set(records), read_counter(conn, PUBLISHED)).values())


def provisions_on(
    database: Database, rows: Rows, persons: Collection[PersonId]
) -> dict[PersonId, list[Provision]]:
    """What was laid down on any live record of these persons, by the person; of rows of
    `PROVISIONS_ON`."""
    if not rows:
        return {}
    heads = {row[0]: row for row in rows}
    pairs = [(row_id, row[2]) for row_id, row in heads.items()]
    opened = map(_PROVISION.decode, database.sealer.unseal_many(provision, "content", pairs))
    homes: dict[int, set[PersonId]] = {row_id: set() for row_id in heads}
    for row in rows:
        if row[4] is not None:
            homes[row[0]].add(PersonId(row[4]))
    found: dict[PersonId, list[Provision]] = {}
    for row, one in zip(heads.values(), opened, strict=True):
        ended = None if row[1] is None else Instant(row[1])
        held = replace(one, ended_at=ended, parted=len(homes[row[0]]) > 1)
        for person in homes[row[0]] & set(persons):
            found.setdefault(person, []).append(held)
    return found


def _homes(conn: Connection, record_ids: Collection[int], published: int) -> dict[int, PersonId]:
    """Record id → the person it is published in, of the live records among these."""
    if not record_ids:
        return {}
    query = (
        select(membership.c.record_id, membership.c.person_id)
        .join(record, record.c.record_id == membership.c.record_id)
        .where(
            membership.c.record_id.in_(sorted(record_ids)),
            is_published(published),
            record.c.withdrawn_at.is_(None),
        )
    )
    return {row[0]: PersonId(row[1]) for row in conn.execute(query)}


# --- agreements ---------------------------------------------------------------------------------


def agreements(database: Database) -> list[Agreement]:
    """See service.sharing_ports.SharingStore.agreements."""
    c = agreement.c
    with database.reading() as conn:
        rows = conn.execute(select(c.agreement_row, c.content).order_by(c.agreement_row)).all()
    pairs = [(row.agreement_row, row.content) for row in rows]
    return [_AGREEMENT.decode(p) for p in database.sealer.unseal_many(agreement, "content", pairs)]


def write_agreements(database: Database, wanted: Sequence[Agreement], event: AuditEvent) -> None:
    """See service.sharing_ports.SharingStore.write_agreements."""
    c = agreement.c

    def work(conn: Connection) -> None:
        query = select(c.agreement_id, func.max(c.version)).group_by(c.agreement_id)
        last = {row[0]: int(row[1]) for row in conn.execute(query)}
        for one in wanted:
            expected = last.get(one.agreement_id, 0) + 1
            if one.version != expected:
                raise InvalidValue(
                    f"an agreement's versions follow one another: expected version {expected}; got"
                    f" {one.version}"
                )
            last[one.agreement_id] = expected
        first = next_id(conn, c.agreement_row)
        ids = range(first, first + len(wanted))
        plains = [_ENCODER.encode(one) for one in wanted]
        sealed = database.sealer.seal_many(REGISTER_SOURCE, agreement, "content", ids, plains)
        columns = ("agreement_row", "agreement_id", "version", "written_at", "content")
        rows = [
            (row_id, one.agreement_id, one.version, event.at, content)
            for row_id, one, content in zip(ids, wanted, sealed, strict=True)
        ]
        database.bulk.insert(conn, agreement, columns, rows)

    _write(database, event, work)


# --- claims -------------------------------------------------------------------------------------


def claims(database: Database, *, unreviewed: bool) -> list[Claim]:
    """See service.sharing_ports.SharingStore.claims."""
    query = _CLAIMS.where(access_claim.c.reviewed_at.is_(None)) if unreviewed else _CLAIMS
    with database.reading() as conn:
        return _claims(database, [(row.claim_id, row.content) for row in conn.execute(query)])


def claims_about(database: Database, rows: Rows) -> dict[PersonId, list[Claim]]:
    """The claims to see persons, by the person; of rows of `CLAIMS_ABOUT`."""
    found: dict[PersonId, list[Claim]] = {}
    for claim in _claims(database, rows):
        found.setdefault(claim.person, []).append(claim)
    return found


def _claims(database: Database, rows: Iterable[tuple[Any, ...]]) -> list[Claim]:
    """The claims of rows of number and payload."""
    opened = database.sealer.unseal_many(access_claim, "content", ((r[0], r[1]) for r in rows))
    return [_CLAIM.decode(content) for content in opened]


def write_claim(database: Database, wanted: Claim, event: AuditEvent) -> Claim:
    """See service.sharing_ports.SharingStore.write_claim."""

    def work(conn: Connection) -> Claim:
        given = replace(wanted, claim_id=next_id(conn, access_claim.c.claim_id))
        conn.execute(insert(access_claim), _claim_row(database, given))
        return given

    return _write(database, event, work)


def review_claim(database: Database, claim: Claim, event: AuditEvent) -> None:
    """See service.sharing_ports.SharingStore.review_claim."""

    def work(conn: Connection) -> None:
        where = access_claim.c.claim_id == claim.claim_id
        row = _claim_row(database, claim)
        if conn.execute(update(access_claim).where(where).values(**row)).rowcount != 1:
            raise NotFound("no claim of that number; `break-glass list` shows them")

    _write(database, event, work)


def _claim_row(database: Database, claim: Claim) -> dict[str, Any]:
    plain = _ENCODER.encode(claim)
    return {
        "claim_id": claim.claim_id,
        "kind": claim.kind.value,
        "person_id": claim.person,
        "made_at": claim.made_at,
        "expires_at": claim.expires_at,
        "reviewed_at": claim.reviewed_at,
        "content": database.sealer.seal(
            REGISTER_SOURCE, access_claim, "content", claim.claim_id, plain
        ),
    }


# --- erasure ------------------------------------------------------------------------------------


def orphaned(conn: Connection, record_ids: Collection[int]) -> set[int]:
    """Ids of the provisions that were made on these records alone."""
    c = provision_record.c
    mine = set(conn.scalars(select(c.provision_id).where(c.record_id.in_(sorted(record_ids)))))
    rows = conn.execute(select(provision_record).where(c.provision_id.in_(sorted(mine))))
    return mine - {row.provision_id for row in rows if row.record_id not in record_ids}


def claimed(conn: Connection, record_ids: Collection[int]) -> set[int]:
    """Ids of the claims to see persons of whom no other record than these is held any more."""
    c = membership.c
    persons = set(conn.scalars(select(c.person_id).where(c.record_id.in_(sorted(record_ids)))))
    rows = conn.execute(
        select(c.person_id, c.record_id)
        .join(record, record.c.record_id == c.record_id)
        .where(c.person_id.in_(sorted(persons)), record.c.version_id > 0)
    )
    persons -= {row.person_id for row in rows if row.record_id not in record_ids}
    claim = access_claim.c
    return set(conn.scalars(select(claim.claim_id).where(claim.person_id.in_(sorted(persons)))))
