"""The collectors, by the kind of interface that the settings declare.

Each is brought in with the first source that has such an interface.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapters.spool import Spool
from schemas.dates import Clock
from schemas.settings import Limits, SourceSettings
from schemas.settings_interfaces import FhirInterface, MllpInterface, SqlInterface
from service.ports import Collector


def _sql(interface: SqlInterface, spool: Spool, root: Path, _: Limits) -> Collector:
    from adapters.sql_source import SqlSource  # noqa: PLC0415 - see above

    return SqlSource(interface, spool, root)


def _fhir(interface: FhirInterface, spool: Spool, root: Path, limits: Limits) -> Collector:
    from adapters.fhir_pull import FhirPull  # noqa: PLC0415

    return FhirPull(interface, spool, root, limits)


def _mllp(interface: MllpInterface, spool: Spool, root: Path, _: Limits) -> Collector:
    from adapters.mllp_spool import MllpSource  # noqa: PLC0415

    return MllpSource(interface, spool, root)


_COLLECTORS: dict[type, Callable[[Any, Spool, Path, Limits], Collector]] = {
    SqlInterface: _sql,
    FhirInterface: _fhir,
    MllpInterface: _mllp,
}
_LIMITS = Limits()


def collector_of(
    source: SourceSettings, root: Path, inbox: Path, clock: Clock, limits: Limits = _LIMITS
) -> Collector:
    """What collects from the interface of a source, for a workspace in the folder `root`."""
    if source.interface is None:
        raise ValueError(f"{source.id} has no interface")
    collector = _COLLECTORS[type(source.interface)]
    return collector(source.interface, Spool(inbox / source.id, clock), root, limits)
