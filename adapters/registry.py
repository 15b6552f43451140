"""The readers, by the name of the format that the settings declare."""

from __future__ import annotations

from adapters.delimited import read_delimited
from adapters.excel import read_excel
from adapters.fhir import read_fhir
from adapters.hl7v2 import read_hl7v2
from adapters.xml_rows import read_xml
from service.ports import Reader

READERS: dict[str, Reader] = {
    "delimited": read_delimited,
    "excel": read_excel,
    "fhir": read_fhir,
    "hl7v2": read_hl7v2,
    "xml": read_xml,
}
"""One reader for each of `schemas.settings.FORMATS`."""
