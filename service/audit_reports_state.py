"""What the log is known to hold when a certificate is made: its checkpoint, and who cosigned."""

from __future__ import annotations

from collections.abc import Callable

from schemas.dates import Clock, to_instant
from schemas.settings_audit import AuditSettings
from service.audit_log import AuditLog
from service.audit_ports import AuditStore
from service.audit_reports_asked import LogState
from service.audit_verify import Verified
from service.audit_witness import states


def log_state(
    log: AuditLog,
    store: AuditStore,
    settings: AuditSettings,
    clock: Clock,
    check: Callable[[], Verified] | None = None,
) -> LogState:
    """The log as it is signed now; what is not yet published is published first. check: verifies
    the whole log.

    Raises: AuditBroken: what was signed is not what is there; StoreError.
    """
    found = log.publish()
    if found is None:
        return LogState(0, "", log.origin, store.event_count())
    return LogState(
        size=found.size,
        root=found.root.hex(),
        origin=found.origin,
        events=store.event_count(),
        at=clock(),
        cosigned={
            one.name: (to_instant(one.time), one.size)
            for one in states(log, settings, clock())
            if one.time is not None
        },
        checked=None if check is None else _found(check()),
    )


def _found(found: Verified) -> tuple[str, ...]:
    """What a verification found, in sentences."""
    if not found.sound:
        return tuple(f"FAULT: {one}" for one in found.faults())
    said = (
        f"{found.log.checked:,} entries were checked against the tree and its signature: sound.",
        f"{found.opened:,} events were opened and agree with their entries.",
        f"{found.erased:,} events are erased, each named by a later entry.",
    )
    steps = found.clock_step_count
    return (*said, f"The clock went back {steps:,} times between entries.") if steps else said
