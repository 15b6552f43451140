"""Detection at work: the log since the last time, told with the facts of now, becomes alerts.

Rules:
- It goes on behind the last leaf that it has looked at; what it keeps of before is sealed beside
  it. Run again after a crash it looks at the same events again, and raises nothing twice. Where
  the log holds nothing new but its own event, it writes nothing.
- A tie that came in late explains: open alerts of a person are looked at again every time, and end
  as explained where nothing is left of them.
- Alerts, progress and the event of it are one transaction.
- Persons who are another by now are looked up under the id that they have today.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from audit.alerts import Alert, AlertState, alerts_of, brought_together, explained
from audit.detect import detect
from audit.detect_periods import History
from audit.event_columns import EVENT_COLUMNS
from consent.commands import Action
from schemas.dates import Clock, Instant
from schemas.identifiers import PersonId
from schemas.settings import Settings
from service.access import Actor, event
from service.alert_ports import AlertStore, Progress
from service.audit_facts import collect
from service.audit_ports import AuditQuery, AuditStore
from service.audit_unseen import LOOKED_AT, DetectionStore, unseen, waiting
from service.sharing_ports import SharingStore

AT_ONCE = 1_000_000
"""Events looked at together."""


@dataclass(frozen=True)
class Detected:
    """What a run of detection did: events looked at, looks (of these how many a tie explains),
    alerts raised, added to, and explained by what came in late."""

    events: int
    looks: int
    explained: int
    raised: int
    added_to: int
    explained_late: int


def detect_new(store: DetectionStore, settings: Settings, actor: Actor, clock: Clock) -> Detected:
    """Looks at what the log holds since the last time. Whether the actor may is asked before."""
    total = Detected(0, 0, 0, 0, 0, 0)
    late = _explained_late(store, settings, actor, clock)
    while True:
        progress = store.detection_progress()
        if not unseen(store, progress):
            return _with(total, explained_late=late)
        events = _table(store, AuditQuery(
            after=progress.leaf if progress else None, classes=LOOKED_AT, limit=AT_ONCE,
        ))  # fmt: skip
        if progress is not None and not len(events):
            return _with(total, explained_late=late)  # erased since
        total = _looked(store, settings, actor, clock, events, progress, total)


def _looked(
    store: DetectionStore,
    settings: Settings,
    actor: Actor,
    clock: Clock,
    events: pa.Table,
    progress: Progress | None,
    total: Detected,
) -> Detected:
    """One part of the log: its alerts written down with how far it goes."""
    at = clock()
    history = opened_history(progress.history) if progress else History()
    events = _today(store, events)
    facts = collect(store, settings, _persons(events), _watched(store, at), at)
    found = detect(events, facts, history, settings.audit.time_zone)
    new, changed = brought_together(store.alerts(), alerts_of(found, at))
    last = int(np.max(events.column("leaf").to_numpy(), initial=progress.leaf if progress else -1))
    seen = found.looks - found.by_level["none"]
    told = event(
        actor, Action.AUDIT_DETECT, clock, persons=_about([*new, *changed]), until_leaf=last,
        events=len(events), raised=len(new), added_to=len(changed),
    )  # fmt: skip
    kept = Progress(leaf=last, at=at, history=packed_history(found.history))
    store.write_alerts(new, changed, kept, told)
    return _with(
        total, events=total.events + len(events), looks=total.looks + found.looks,
        explained=total.explained + seen, raised=total.raised + len(new),
        added_to=total.added_to + len(changed),
    )  # fmt: skip


def _with(total: Detected, **more: int) -> Detected:
    known = {one.name: getattr(total, one.name) for one in fields(total)}
    return Detected(**(known | more))


def _about(alerts: Iterable[Alert]) -> list[PersonId]:
    return sorted({one.person for one in alerts if one.person is not None})


def _watched(store: AlertStore, at: Instant) -> frozenset[PersonId]:
    """Whose looks are to be reported now."""
    return frozenset(
        one.person for one in store.watches() if one.ended_at is None or one.ended_at > at
    )


# --- late ties ----------------------------------------------------------------------------------


def _explained_late(store: DetectionStore, settings: Settings, actor: Actor, clock: Clock) -> int:
    """Closes open alerts of a person of which nothing is left under the facts of now."""
    at = clock()
    open_ones = waiting(store, at)
    progress = store.detection_progress()
    if not open_ones or progress is None:
        return 0
    looked = pa.concat_tables(
        [_table(store, AuditQuery(person=one.person, actor=one.actor, classes=LOOKED_AT,
                                  since=one.first_at)) for one in open_ones]
    )  # fmt: skip
    looked = _today(store, looked).sort_by("leaf")
    # A watch that ended since explains nothing: who was on the list then still counts.
    watched = _watched(store, min(one.raised_at for one in open_ones))
    facts = collect(store, settings, _persons(looked), watched, at)
    history = opened_history(progress.history)
    found = detect(looked, facts, history, settings.audit.time_zone)
    left = {one.subject for one in alerts_of(found, at)}
    done = [explained(one, at) for one in open_ones if one.subject not in left]
    if done:
        told = event(
            actor, Action.AUDIT_DETECT, clock, persons=_about(done), explained_late=len(done),
            alerts=[one.alert_id for one in done],
        )  # fmt: skip
        store.write_alerts([], done, None, told)
    return len(done)


# --- events -------------------------------------------------------------------------------------


def _table(store: AuditStore, query: AuditQuery) -> pa.Table:
    return pa.Table.from_batches(list(store.event_columns(query)), schema=EVENT_COLUMNS)


def _persons(events: pa.Table) -> list[PersonId]:
    flat = pc.unique(pc.list_flatten(events.column("persons")))
    return [PersonId(text) for text in flat.to_pylist()]


def _today(store: SharingStore, events: pa.Table) -> pa.Table:
    """The events with the ids that persons have today."""
    named = pc.unique(pc.list_flatten(events.column("persons")))
    present = pc.is_in(named, value_set=store.memberships().column("person_id"))
    moved = {
        one: lead
        for one in named.filter(pc.invert(present)).to_pylist()
        if (lead := store.resolve(PersonId(one)).person) not in (None, one)
    }
    if not moved:
        return events
    lists = events.column("persons").combine_chunks()
    flat = pc.dictionary_encode(lists.flatten())
    texts = pa.array([moved.get(one, one) for one in flat.dictionary.to_pylist()], pa.string())
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    renamed = pa.ListArray.from_arrays(offsets, texts.take(flat.indices))
    return events.set_column(events.column_names.index("persons"), "persons", renamed)


# --- history ------------------------------------------------------------------------------------


def packed_history(history: History) -> bytes:
    """The history as bytes: each table as Arrow, compressed."""
    return msgspec.msgpack.encode(
        {one.name: _packed(getattr(history, one.name)) for one in fields(history)}
    )


def _packed(table: pd.DataFrame) -> bytes:
    out = io.BytesIO()
    plain = pa.Table.from_pandas(table, preserve_index=False)
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(out, plain.schema, options=options) as writer:
        writer.write_table(plain)
    return out.getvalue()


def opened_history(packed: bytes) -> History:
    """The history of `packed_history`."""
    tables: dict[str, bytes] = msgspec.msgpack.decode(packed)
    return History(
        **{name: pa.ipc.open_stream(body).read_all().to_pandas() for name, body in tables.items()}
    )


def unworked(alerts: Sequence[Alert]) -> list[Alert]:
    """Those that are not closed: first what is due first, then the heaviest."""
    open_ones = [one for one in alerts if one.state is not AlertState.CLOSED]
    return sorted(open_ones, key=lambda one: (one.due, -one.bits, one.alert_id))
