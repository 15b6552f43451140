"""Whether detection has anything to look at: told without the libraries that it looks with.

Most nights of a small partnership bring no look at anybody; they should not wait for what a
detection computes with.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from audit.actions import EventClass
from audit.alerts import Alert, AlertState
from audit.detect_rules import Scope
from consent.commands import Action
from schemas.dates import Clock, Instant, to_instant
from schemas.settings import Settings
from service.access import Actor
from service.alert_ports import AlertStore, Progress
from service.audit_ports import AuditQuery, AuditStore
from service.sharing_ports import SharingStore

LOOKED_AT = frozenset(
    {EventClass.ACCESS, EventClass.SEARCH, EventClass.BREAK_GLASS, EventClass.EXPORT,
     EventClass.AUDIT}
)  # fmt: skip
"""Classes of event that rules read."""
LOOKED_AT_AGAIN_DAYS = 60
"""So long after an alert a tie that comes in late may still explain it."""


class DetectionStore(SharingStore, AuditStore, AlertStore, Protocol):
    """A store that detection works on."""


def detect_where_due(store: DetectionStore, settings: Settings, actor: Actor, clock: Clock) -> None:
    """As `audit_detection.detect_new`, which is brought in only where it has something to do."""
    progress = store.detection_progress()
    if unseen(store, progress) or waiting(store, clock()):
        from service.audit_detection import detect_new  # noqa: PLC0415 - slow to bring in

        detect_new(store, settings, actor, clock)


def unseen(store: AuditStore, progress: Progress | None) -> bool:
    """Whether the log holds something that was not looked at, beside the event of a detection. The
    first time it does: so that there is a place to go on from."""
    if progress is None:
        return True
    news = store.find_numbered(AuditQuery(after=progress.leaf, classes=LOOKED_AT))
    return any(one.event.action != Action.AUDIT_DETECT.value for page in news for one in page)


def waiting(store: AlertStore, at: Instant) -> Sequence[Alert]:
    """Open alerts of a person that a tie which came in late may still explain."""
    since = to_instant(datetime.fromisoformat(at) - timedelta(days=LOOKED_AT_AGAIN_DAYS))
    return [
        one
        for one in store.alerts(closed=False)
        if one.scope is Scope.PAIR and one.state is AlertState.OPEN and one.raised_at >= since
    ]
