"""What sources take back: single records, and all that a source's whole list lacks.

Rules:
- A withdrawal is known by its record and its as_at; its local id and reason are sealed. One of a
  record that is not held is kept: an older record that comes late does not stand then.
- It is `changed` where a record that stood stands no longer, `unchanged` otherwise: withdrawn
  already, said later than that, or never held.
- A whole list withdraws the source's records that were last said before it, once it is loaded. If
  those are more than its settings allow, the list is not believed and nothing is withdrawn.
- Records are withdrawn in short transactions; a run that dies goes on with those left.
- What stands, and what does not: store/versions.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, func, select, update

from schemas.dates import Instant
from schemas.errors import FeedRefused
from schemas.records import Withdrawal, WithdrawalReason
from service.ports import FeedRow
from store.database import GENERATION, LOADS, Database, advance, next_id, read_counter
from store.feeds import read_feed
from store.tables import feed, record, withdrawal
from store.versions import CHANGED, UNCHANGED, Head, TakenBack

COLUMNS = ("withdrawal_id", "feed_id", "source", "record_key", "as_at", "content")
_PAGE = 2_000
"""Records withdrawn in one transaction."""
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True)
class Withdrawals:
    """A batch's withdrawals, in order of arrival."""

    units: Sequence[int] = ()
    keys: Sequence[bytes] = ()
    as_ats: Sequence[str] = ()
    said: Sequence[Withdrawal] = ()


@dataclass
class WithdrawalPlan:
    """What a batch's withdrawals write: outcomes per row, rows of `COLUMNS`."""

    outcomes: list[int] = field(default_factory=list)
    founded: list[tuple[Any, ...]] = field(default_factory=list)


def read_withdrawals(
    database: Database, source: str, rows: pa.Table, default_as_at: Instant
) -> Withdrawals:
    """Rows of `WITHDRAWAL_SCHEMA` with the keys of their records."""
    local_ids = rows["local_id"].to_pylist()
    reasons = map(WithdrawalReason, rows["reason"].to_pylist())
    return Withdrawals(
        units=rows["unit"].to_pylist(),
        keys=database.keys.indexes.record_keys(source, local_ids),
        as_ats=[as_at or default_as_at for as_at in rows["as_at"].to_pylist()],
        said=[Withdrawal(*row) for row in zip(local_ids, reasons, strict=True)],
    )


def taken_back(
    database: Database, snapshot: Connection, source: str, keys: Iterable[bytes]
) -> TakenBack:
    """What the source has said before that it has no longer, of these records."""
    said: dict[bytes, str] = {}
    columns = ("record_key", "as_at")
    for key, as_at in database.bulk.lookup(snapshot, withdrawal, "record_key", columns, keys):
        said[key] = max(as_at, said.get(key, ""))
    whole = select(func.max(feed.c.whole_at)).where(feed.c.source == source)
    return TakenBack(said, snapshot.scalar(whole) or "")


def plan_withdrawals(
    database: Database,
    snapshot: Connection,
    known: FeedRow,
    arrivals: Withdrawals,
    heads: MutableMapping[bytes, Head],
) -> WithdrawalPlan:
    """Plans a batch's withdrawals, and withdraws what they concern.

    Args:
        heads: what is held of the records they name, the batch's own records folded in; updated.
    """
    plan = WithdrawalPlan()
    held = set(
        database.bulk.lookup(
            snapshot, withdrawal, "record_key", ("record_key", "as_at"), arrivals.keys
        )
    )
    news: dict[tuple[bytes, str], bytes] = {}
    for key, as_at, said in zip(arrivals.keys, arrivals.as_ats, arrivals.said, strict=True):
        if (key, as_at) not in held:
            news.setdefault((key, as_at), _ENCODER.encode(said))
        head = heads.get(key)
        if head is None or as_at < head.as_at:
            plan.outcomes.append(UNCHANGED)
            continue
        plan.outcomes.append(UNCHANGED if head.withdrawn_at else CHANGED)
        head.withdraw(max(as_at, head.withdrawn_at or ""))
    first = next_id(snapshot, withdrawal.c.withdrawal_id)
    ids = range(first, first + len(news))
    sealed = database.sealer.seal_many(
        known.source, withdrawal, "content", ids, list(news.values())
    )
    plan.founded = [
        (row_id, known.feed_id, known.source, key, as_at, content)
        for row_id, (key, as_at), content in zip(ids, news, sealed, strict=True)
    ]
    return plan


def withdraw_absent(database: Database, feed_id: int, most: float) -> int:
    """See service.ports.Store.withdraw_absent."""
    with database.reading() as conn:
        known = read_feed(conn, feed_id)
        standing = (record.c.source == known.source, record.c.withdrawn_at.is_(None))
        held = int(conn.scalar(select(func.count()).select_from(record).where(*standing)) or 0)
        absent = conn.scalars(
            select(record.c.record_id)
            .where(*standing, record.c.as_at < known.as_at)
            .order_by(record.c.record_id)
        ).all()
    if len(absent) > most * held:
        raise FeedRefused(
            "incomplete",
            f"the file is its source's whole list, but lacks {len(absent)} of the {held} records"
            f" held; at most {most:.1%} may go at once (max_withdrawn), so none was withdrawn",
        )
    for start in range(0, len(absent), _PAGE):
        of_page = record.c.record_id.in_(absent[start : start + _PAGE])
        database.optimistic(LOADS, _withdrawing((*standing, of_page), known.as_at))
    whole = update(feed).where(feed.c.feed_id == feed_id).values(whole_at=known.as_at)
    database.optimistic(LOADS, lambda _snapshot, _seen: lambda conn: conn.execute(whole))
    return len(absent)


def _withdrawing(
    where: Sequence[ColumnElement[bool]], as_at: Instant
) -> Callable[[Connection, int], Callable[[Connection], None]]:
    """Prepares the withdrawal of the records that stand and were last said before the moment."""

    def write(conn: Connection) -> None:
        older = (*where, record.c.as_at < as_at)
        conn.execute(update(record).where(*older).values(withdrawn_at=as_at))
        advance(conn, GENERATION, read_counter(conn, GENERATION))

    return lambda _snapshot, _seen: write
