"""What alerts ask of a store: alerts, the watch list, and how far detection has come.

Rules:
- Every write is durable together with its audit event, or neither is.
- What an alert says is sealed; only its state, when it was raised and by when it is due are clear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from audit.alerts import Alert
from audit.events import AuditEvent
from schemas.dates import Instant
from schemas.errors import InvalidValue
from schemas.identifiers import PersonId


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """That looks at a person are to be reported: somebody in the public eye, a member of staff.

    Attributes:
        watch_id: 0 until it is held. reason: why, in words.
    """

    person: PersonId
    by: str
    reason: str
    made_at: Instant
    watch_id: int = 0
    ended_at: Instant | None = None

    def __post_init__(self) -> None:
        if not self.by or not self.reason.strip():
            raise InvalidValue("a watch says who laid it down, and why")


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far detection has come.

    Attributes:
        leaf: the last leaf that it has looked at, -1 before the first.
        at: when. history: what it keeps of the time before (Arrow).
    """

    leaf: int
    at: Instant
    history: bytes


class AlertStore(Protocol):
    """A store of alerts. `SqlStore` implements it for SQLite and PostgreSQL."""

    def alerts(self, *, closed: bool = True) -> Sequence[Alert]:
        """Every alert, or those that are not closed, by their number."""

    def alert(self, alert_id: int) -> Alert:
        """One alert. Raises: NotFound."""

    def write_alerts(
        self,
        new: Sequence[Alert],
        changed: Sequence[Alert],
        progress: Progress | None,
        event: AuditEvent,
    ) -> Sequence[Alert]:
        """Keeps new alerts, under numbers of their own and returned with them, and held ones as
        they are now; and how far detection has come, where that is given. Raises: NotFound."""

    def detection_progress(self) -> Progress | None:
        """How far detection has come; None before the first."""

    def watches(self) -> Sequence[Watch]:
        """The whole watch list, ended ones too, oldest first."""

    def write_watch(self, watch: Watch, event: AuditEvent) -> Watch:
        """Keeps a watch, under a number of its own."""

    def end_watch(self, watch_id: int, at: Instant, event: AuditEvent) -> None:
        """Ends a watch. Raises: NotFound; InvalidValue: it has ended."""
