"""The readers, by the name of the format that the settings declare.

Each is brought in with the first feed of its format: a night that brings none waits for none.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from schemas.columns import UnitBatch
from schemas.settings import Limits, SourceSettings
from service.ports import FeedFile, Reader


def _delimited(feed: FeedFile, source: SourceSettings, limits: Limits) -> Iterator[UnitBatch]:
    from adapters.delimited import read_delimited  # noqa: PLC0415 - see above

    return read_delimited(feed, source, limits)


def _excel(feed: FeedFile, source: SourceSettings, limits: Limits) -> Iterator[UnitBatch]:
    from adapters.excel import read_excel  # noqa: PLC0415

    return read_excel(feed, source, limits)


def _fhir(feed: FeedFile, source: SourceSettings, limits: Limits) -> Iterator[UnitBatch]:
    from adapters.fhir import read_fhir  # noqa: PLC0415

    return read_fhir(feed, source, limits)


def _hl7v2(feed: FeedFile, source: SourceSettings, limits: Limits) -> Iterator[UnitBatch]:
    from adapters.hl7v2 import read_hl7v2  # noqa: PLC0415

    return read_hl7v2(feed, source, limits)


def _xml(feed: FeedFile, source: SourceSettings, limits: Limits) -> Iterator[UnitBatch]:
    from adapters.xml_rows import read_xml  # noqa: PLC0415

    return read_xml(feed, source, limits)


READERS: dict[str, Reader] = {
    "delimited": _delimited,
    "excel": _excel,
    "fhir": _fhir,
    "hl7v2": _hl7v2,
    "xml": _xml,
}
"""One reader for each of `schemas.settings.FORMATS`."""


def bring_in() -> None:
    """Brings all of them in at once."""
    for name in ("delimited", "excel", "fhir", "hl7v2", "xml_rows"):
        import_module(f"adapters.{name}")
