"""Settings of the audit log: where it stands, who witnesses it, how long it is kept. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from schemas.settings_table import Table

RETAINED_CLASSES = (
    "access", "search", "break-glass", "consent", "linkage", "export", "administration", "system",
    "audit",
)  # fmt: skip
"""Classes of event that a time to be kept can be set for (audit/actions.py)."""
_ORIGIN = re.compile(r"[!-*,-~]{1,200}")
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class WitnessSettings:
    """A partner organisation that cosigns the log.

    Attributes:
        name: how it signs, as in its verifier key.
        key: its verifier key, `NAME+HASH+BASE64`.
        url: where its service answers; empty where checkpoints travel by hand.
    """

    name: str
    key: str
    url: str = ""


@dataclass(frozen=True)
class AuditSettings:
    """What a partnership decides about its log.

    Attributes:
        origin: the log's name in every checkpoint; no spaces, no `+`; by default one is made of
            the partnership's name.
        second_journal: folder for events that the database cannot take; a relative one lies in the
            workspace. Other storage than the database's.
        witnesses: who cosigns.
        checkpoint_too_old_minutes: a log whose latest cosigned checkpoint is older alarms.
        retention_days: so many days an event is kept, where its class says nothing else.
        retention: class of event → days.
        day_starts, day_ends: local working hours, HH:MM.
        time_zone: of the working hours (IANA).
        privacy_officer: the role that alerts go to.
        delivery: role → folder that `nightly` puts its reports of the log in; a relative one lies
            in the workspace. Only roles that may have such reports are given any.
    """

    origin: str = ""
    second_journal: str = "second-journal"
    witnesses: tuple[WitnessSettings, ...] = ()
    checkpoint_too_old_minutes: int = 60
    retention_days: int = 3_653
    retention: Mapping[str, int] = field(default_factory=dict)
    day_starts: str = "08:00"
    day_ends: str = "19:00"
    time_zone: str = "Europe/London"
    privacy_officer: str = "ig_officer"
    delivery: Mapping[str, str] = field(default_factory=lambda: {"ig_officer": "reports/audit"})

    def kept_days(self, event_class: str) -> int:
        """For how many days events of the class are kept."""
        return self.retention.get(event_class, self.retention_days)


def read_audit(table: Table, time_zone: Callable[[Table], str]) -> AuditSettings:
    """The [audit] table; `time_zone` reads and checks the setting of that name."""
    d = AuditSettings()
    audit = AuditSettings(
        origin=table.text("origin", d.origin),
        second_journal=table.text("second_journal", d.second_journal),
        witnesses=tuple(_witness(one) for one in table.tables("witness")),
        checkpoint_too_old_minutes=table.whole(
            "checkpoint_too_old_minutes", d.checkpoint_too_old_minutes, 1, 100_000
        ),
        retention_days=table.whole("retention_days", d.retention_days, 1, 36_525),
        retention=_retention(table.table("retention")),
        day_starts=_hours(table, "day_starts", d.day_starts),
        day_ends=_hours(table, "day_ends", d.day_ends),
        time_zone=time_zone(table),
        privacy_officer=table.text("privacy_officer", d.privacy_officer),
        delivery=table.mapping("delivery") if "delivery" in table.values else d.delivery,
    )
    table.done()
    if audit.origin and not _ORIGIN.fullmatch(audit.origin):
        table.fault("origin", "expected letters, digits and marks without spaces and without +")
    if not audit.second_journal:
        table.fault("second_journal", "expected a folder; got nothing")
    if audit.day_starts >= audit.day_ends:
        table.fault("day_starts", "expected a time before day_ends")
    names = [one.name for one in audit.witnesses if one.name]
    for name in sorted({name for name in names if names.count(name) > 1}):
        table.fault("witness", f"{name} stands twice")
    return audit


def _hours(table: Table, key: str, default: str) -> str:
    text = table.text(key, default)
    if not _TIME.fullmatch(text):
        table.fault(key, 'expected a time such as "08:00"')
        return default
    return text


def _retention(table: Table) -> dict[str, int]:
    days = {name: table.whole(name, 1, 1, 36_525) for name in table.values}
    for name in days:
        if name not in RETAINED_CLASSES:
            table.fault(name, f"expected one of {', '.join(RETAINED_CLASSES)}")
    return days


def _witness(table: Table) -> WitnessSettings:
    witness = WitnessSettings(table.text("name"), table.text("key"), table.text("url", ""))
    table.done()
    parts = urlsplit(witness.url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)
    if witness.url and not (safe and parts.hostname):
        table.fault("url", "expected an address that begins with https://")
    if witness.key and not witness.key.startswith(f"{witness.name}+"):
        table.fault("key", "expected the verifier key of that name: NAME+HASH+BASE64")
    return witness
