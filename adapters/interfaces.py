"""The collectors, by the kind of interface that the settings declare."""

from __future__ import annotations

from pathlib import Path

from adapters.spool import Spool
from adapters.sql_source import SqlSource
from schemas.dates import Clock
from schemas.settings import SourceSettings
from schemas.settings_interfaces import SqlInterface
from service.ports import Collector

_COLLECTORS = {SqlInterface: SqlSource}


def collector_of(source: SourceSettings, root: Path, inbox: Path, clock: Clock) -> Collector:
    """What collects from the interface of a source, for a workspace in the folder `root`."""
    if source.interface is None:
        raise ValueError(f"{source.id} has no interface")
    collector = _COLLECTORS[type(source.interface)]
    return collector(source.interface, Spool(inbox / source.id, clock), root)
