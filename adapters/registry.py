"""The readers, by the name of the format that the settings declare."""

from __future__ import annotations

from adapters.delimited import read_delimited
from adapters.fhir import read_fhir
from adapters.hl7v2 import read_hl7v2
from service.ports import Reader

READERS: dict[str, Reader] = {
    "delimited": read_delimited,
    "fhir": read_fhir,
    "hl7v2": read_hl7v2,
}
"""One reader for each of `schemas.settings.FORMATS`."""
