"""Alerts, the watch list, how far detection has come: see service.alert_ports.AlertStore.

Rules:
- Each write is one transaction with its audit event.
- Of an alert state, due day and time stand in clear; whom it is about and what was seen is sealed.
- Only the last progress of detection is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from audit.alerts import Alert, AlertState
from audit.events import AuditEvent
from schemas.dates import Instant
from schemas.errors import InvalidValue, NotFound
from service.alert_ports import Progress, Watch
from store.audit_tables import audit_alert, audit_detection, audit_watch
from store.database import Database, next_id
from store.events import write_event

ALERT_SOURCE = "audit alert"
"""The key group that alerts, watches and progress are sealed in."""
_A, _W, _D = audit_alert.c, audit_watch.c, audit_detection.c
_ENCODER = msgspec.json.Encoder(order="deterministic")
_ALERT = msgspec.json.Decoder(Alert)
_WATCH = msgspec.json.Decoder(Watch)
_PROGRESS = msgspec.msgpack.Decoder(Progress)


class Alerts:
    """Implements service.alert_ports.AlertStore over one database."""

    database: Database

    def alerts(self, *, closed: bool = True) -> Sequence[Alert]:
        """Every alert, or those that are not closed."""
        query = select(_A.alert_id, _A.content).order_by(_A.alert_id)
        if not closed:
            query = query.where(_A.state != AlertState.CLOSED.value)
        with self.database.reading() as conn:
            rows = [(row.alert_id, row.content) for row in conn.execute(query)]
        plains = self.database.sealer.unseal_many(audit_alert, "content", rows)
        return [_ALERT.decode(plain) for plain in plains]

    def alert(self, alert_id: int) -> Alert:
        """One alert."""
        query = select(_A.content).where(_A.alert_id == alert_id)
        with self.database.reading() as conn:
            content = conn.scalar(query)
        if content is None:
            raise NotFound("no alert of that number; `audit alerts list` shows them")
        plain = self.database.sealer.unseal(audit_alert, "content", alert_id, content)
        return _ALERT.decode(plain)

    def write_alerts(
        self,
        new: Sequence[Alert],
        changed: Sequence[Alert],
        progress: Progress | None,
        event: AuditEvent,
    ) -> Sequence[Alert]:
        """Keeps new alerts and changed ones, and the progress."""
        with self.database.writing() as conn:
            write_event(self.database, conn, event)
            first = next_id(conn, _A.alert_id)
            numbered = [
                msgspec.structs.replace(one, alert_id=first + n) for n, one in enumerate(new)
            ]
            if numbered:
                conn.execute(insert(audit_alert), _rows(self.database, numbered))
            for one, row in zip(changed, _rows(self.database, changed), strict=True):
                where = _A.alert_id == one.alert_id
                if conn.execute(update(audit_alert).where(where).values(**row)).rowcount != 1:
                    raise NotFound("no alert of that number; `audit alerts list` shows them")
            if progress is not None:
                _keep(self.database, conn, progress)
        return numbered

    def detection_progress(self) -> Progress | None:
        """How far detection has come."""
        with self.database.reading() as conn:
            row = conn.execute(select(audit_detection)).one_or_none()
        if row is None:
            return None
        plain = self.database.sealer.unseal(
            audit_detection, "content", row.detection_id, row.content
        )
        return _PROGRESS.decode(plain)

    def watches(self) -> Sequence[Watch]:
        """The whole watch list."""
        with self.database.reading() as conn:
            rows = conn.execute(select(audit_watch).order_by(_W.watch_id)).all()
        pairs = [(row.watch_id, row.content) for row in rows]
        plains = self.database.sealer.unseal_many(audit_watch, "content", pairs)
        return [
            msgspec.structs.replace(_WATCH.decode(plain), ended_at=row.ended_at)
            for row, plain in zip(rows, plains, strict=True)
        ]

    def write_watch(self, watch: Watch, event: AuditEvent) -> Watch:
        """Keeps a watch."""
        with self.database.writing() as conn:
            write_event(self.database, conn, event)
            given = msgspec.structs.replace(watch, watch_id=next_id(conn, _W.watch_id))
            content = self.database.sealer.seal(
                ALERT_SOURCE, audit_watch, "content", given.watch_id, _ENCODER.encode(given)
            )
            row = {"watch_id": given.watch_id, "made_at": given.made_at, "content": content}
            conn.execute(insert(audit_watch), row)
        return given

    def end_watch(self, watch_id: int, at: Instant, event: AuditEvent) -> None:
        """Ends a watch."""
        with self.database.writing() as conn:
            write_event(self.database, conn, event)
            query = select(_W.ended_at).where(_W.watch_id == watch_id)
            found = conn.execute(query).one_or_none()
            if found is None:
                raise NotFound("no watch of that number; `audit watch list` shows them")
            if found.ended_at is not None:
                raise InvalidValue("that watch has ended already")
            where = _W.watch_id == watch_id
            conn.execute(update(audit_watch).where(where).values(ended_at=at))


def _rows(database: Database, alerts: Sequence[Alert]) -> list[dict[str, Any]]:
    ids = [one.alert_id for one in alerts]
    plains = [_ENCODER.encode(one) for one in alerts]
    contents = database.sealer.seal_many(ALERT_SOURCE, audit_alert, "content", ids, plains)
    return [
        {"alert_id": one.alert_id, "state": one.state.value, "raised_at": one.raised_at,
         "due": one.due, "content": content}
        for one, content in zip(alerts, contents, strict=True)
    ]  # fmt: skip


def _keep(database: Database, conn: Connection, progress: Progress) -> None:
    number = next_id(conn, _D.detection_id)
    conn.execute(delete(audit_detection))
    plain = msgspec.msgpack.encode(progress)
    content = database.sealer.seal(ALERT_SOURCE, audit_detection, "content", number, plain)
    row = {"detection_id": number, "at": progress.at, "content": content}
    conn.execute(insert(audit_detection), row)
