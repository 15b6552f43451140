"""Decisions of people: written with their audit event, read as what linkage is bound by.

Rules:
- Decisions are written only on the sequence that they were weighed on: two people who decide at
  once cannot contradict one another unseen.
- A decision and its event become durable together, or neither does.
- What binds linkage is of live records only. Where a record has become another person since it was
  judged (schemas/decisions.py), the decision rests; should the record come back, it acts again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
from sqlalchemy import Connection, Row, insert, select, update

from audit.events import AuditEvent
from linkage.state import Decided
from schemas.dates import Instant
from schemas.decisions import Decision, Origin, Standing, Verdict, another_person
from schemas.errors import StoreError, WorkspaceBusy
from schemas.records import ClientRecord
from store.database import DECISIONS, Database, next_id, read_counter
from store.events import write_event
from store.linking import declared_merges
from store.tables import decision, record, record_version

DECISION_SOURCE = "decision"
"""The key group that decisions are sealed in."""
PAIRS_SCHEMA = pa.schema([("left", pa.int64()), ("right", pa.int64())])
_PAGE = 500
_SEALED = (
    "reason", "author", "awaits", "reported", "confirmed_by", "confirmed_at", "revoked_by",
    "revoked_at", "revoked_reason",
)  # fmt: skip
"""Fields of a decision that stand in its sealed column."""
_ENCODER = msgspec.json.Encoder(order="sorted")
_RECORD = msgspec.json.Decoder(ClientRecord)

T = TypeVar("T")


def sequence(database: Database) -> int:
    """See service.ports.Store.decision_sequence."""
    with database.reading() as conn:
        return read_counter(conn, DECISIONS)


def decisions(database: Database) -> list[Decision]:
    """See service.ports.Store.decisions."""
    with database.reading() as conn:
        return _decisions(database, conn)


def _decisions(database: Database, conn: Connection) -> list[Decision]:
    rows = conn.execute(select(decision).order_by(decision.c.decision_id)).all()
    contents = database.sealer.unseal_many(
        decision, "content", ((row.decision_id, row.content) for row in rows)
    )
    return [_decision(row, content) for row, content in zip(rows, contents, strict=True)]


def _decision(row: Row[Any], content: bytes) -> Decision:
    return Decision(
        left=row.left_id,
        right=row.right_id,
        left_version=row.left_version,
        right_version=row.right_version,
        verdict=Verdict(row.verdict),
        standing=Standing(row.standing),
        origin=Origin(row.origin),
        decided_at=Instant(row.decided_at),
        decision_id=row.decision_id,
        act=row.act,
        **msgspec.json.decode(content),
    )


def write(
    database: Database,
    seen: int,
    new: Sequence[Decision],
    changed: Sequence[Decision],
    event: AuditEvent,
) -> list[Decision]:
    """See service.ports.Store.write_decisions."""

    def prepare(snapshot: Connection, standing: int) -> Callable[[Connection], list[Decision]]:
        if standing != seen:
            raise _meanwhile()
        first = next_id(snapshot, decision.c.decision_id)
        given = [
            replace(one, decision_id=first + at, act=one.act or first) for at, one in enumerate(new)
        ]
        rows = [_row(one, content) for one, content in _sealed(database, given)]
        moved = [_row(one, content) for one, content in _sealed(database, changed)]

        def run(conn: Connection) -> list[Decision]:
            if rows:
                conn.execute(insert(decision), rows)
            for row in moved:
                where = decision.c.decision_id == row["decision_id"]
                if conn.execute(update(decision).where(where).values(**row)).rowcount != 1:
                    raise StoreError("a decision that is to be changed is not held")
            write_event(database, conn, event)
            return given

        return run

    return database.optimistic(DECISIONS, prepare)


def _meanwhile() -> WorkspaceBusy:
    return WorkspaceBusy("somebody else decided something at the same moment; run this again")


def _sealed(database: Database, given: Sequence[Decision]) -> Iterable[tuple[Decision, bytes]]:
    plains = [_ENCODER.encode({name: getattr(one, name) for name in _SEALED}) for one in given]
    ids = [one.decision_id for one in given]
    payloads = database.sealer.seal_many(DECISION_SOURCE, decision, "content", ids, plains)
    return zip(given, payloads, strict=True)


def _row(one: Decision, content: bytes) -> dict[str, Any]:
    return {
        "decision_id": one.decision_id,
        "act": one.act,
        "left_id": one.left,
        "right_id": one.right,
        "left_version": one.left_version,
        "right_version": one.right_version,
        "verdict": one.verdict.value,
        "standing": one.standing.value,
        "origin": one.origin.value,
        "decided_at": one.decided_at,
        "content": content,
    }


def decided(database: Database) -> Decided:
    """See service.ports.Store.decided."""
    with database.reading() as conn:
        binding = [one for one in _decisions(database, conn) if one.binds]
        live = _live_versions(conn, {end for one in binding for end in one.pair})
        rests = _resting(database, conn, binding, live)
        merged = declared_merges(database, conn)
        held = _live_versions(conn, {end for pair in merged for end in pair})
    acting = [
        one
        for one in binding
        if one.decision_id not in rests and one.left in live and one.right in live
    ]
    return Decided(
        same=_pairs(one.pair for one in acting if one.verdict is Verdict.SAME),
        merged=_pairs((min(pair), max(pair)) for pair in merged if {*pair} <= held.keys()),
        apart=_pairs(one.pair for one in acting if one.verdict is Verdict.DIFFERENT),
    )


def resting(database: Database) -> frozenset[int]:
    """See service.ports.Store.resting_decisions."""
    with database.reading() as conn:
        binding = [one for one in _decisions(database, conn) if one.binds]
        live = _live_versions(conn, {end for one in binding for end in one.pair})
        return _resting(database, conn, binding, live)


def _pairs(pairs: Iterable[tuple[int, int]]) -> pa.Table:
    rows = sorted(set(pairs))
    columns = [[row[side] for row in rows] for side in (0, 1)]
    return pa.table([pa.array(c, pa.int64()) for c in columns], schema=PAIRS_SCHEMA)


def _live_versions(conn: Connection, record_ids: Collection[int]) -> dict[int, int]:
    """Live record → its live version."""
    found: dict[int, int] = {}
    columns = select(record.c.record_id, record.c.version_id).where(record.c.withdrawn_at.is_(None))
    for part in _parts(sorted(record_ids)):
        for row in conn.execute(columns.where(record.c.record_id.in_(part))):
            found[int(row[0])] = int(row[1])
    return found


def _resting(
    database: Database, conn: Connection, binding: Sequence[Decision], live: Mapping[int, int]
) -> frozenset[int]:
    """Ids of the decisions of which a record has become another person."""
    sides = [
        (one.decision_id, judged, live[end])
        for one in binding
        for end, judged in ((one.left, one.left_version), (one.right, one.right_version))
        if end in live and live[end] != judged
    ]
    contents = _contents(database, conn, {v for _, *versions in sides for v in versions})
    return frozenset(
        one
        for one, judged, present in sides
        if judged not in contents  # erased: what was judged cannot be compared any more
        or (present in contents and another_person(contents[judged], contents[present]))
    )


def _contents(
    database: Database, conn: Connection, version_ids: Collection[int]
) -> dict[int, ClientRecord]:
    """Version → the record as it said; one that was erased is absent."""
    found: dict[int, ClientRecord] = {}
    columns = select(record_version.c.version_id, record_version.c.content)
    for part in _parts(sorted(version_ids)):
        where = record_version.c.version_id.in_(part)
        rows = [(int(row[0]), row[1]) for row in conn.execute(columns.where(where))]
        plains = database.sealer.unseal_many(record_version, "content", rows)
        for (version_id, _), plain in zip(rows, plains, strict=True):
            found[version_id] = _RECORD.decode(plain)
    return found


def _parts(values: Sequence[T]) -> Iterable[Sequence[T]]:
    return (values[start : start + _PAGE] for start in range(0, len(values), _PAGE))
