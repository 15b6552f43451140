"""Small parsers of the demo's feeds, written apart from the adapters, to check one by the other.

Each gives, per record: local id, NHS number as sent (digits only), status, birth date as ISO.
"""

import csv
import json
from collections.abc import Iterator
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from schemas.settings import FileSettings, Settings, SourceSettings


class Sent(NamedTuple):
    local_id: str
    nhs: str
    status: str
    birth: str


def settings_of(source: SourceSettings, path: Path) -> FileSettings:
    """The one file setting that matches."""
    (matching,) = [f for f in source.files if fnmatch(path.name, f.pattern)]
    return matching


def rows_of(path: Path, settings: FileSettings) -> list[dict[str, str]]:
    with path.open(encoding=settings.encoding, newline="") as file:
        return list(csv.DictReader(file, delimiter=settings.delimiter))


def delimited(path: Path, settings: FileSettings) -> Iterator[Sent]:
    def cell(row: dict[str, str], field: str) -> str:
        columns = settings.columns.get(field, ())
        value = row[columns[0]] if columns else ""
        return "" if value in ("NULL", "N/A") else value

    for row in rows_of(path, settings):
        born = cell(row, "birth_date")
        iso = datetime.strptime(born, settings.date_formats[0]).date().isoformat() if born else ""  # noqa: DTZ007 - a birth date has no zone
        yield Sent(cell(row, "local_id"), cell(row, "nhs_number").replace(" ", ""),
                   cell(row, "nhs_number_status"), iso)  # fmt: skip


def messages(path: Path) -> Iterator[dict[str, list[list[str]]]]:
    """Messages as segment name → its segments, each a list of fields."""
    text = path.read_bytes().decode("latin-1")
    message: dict[str, list[list[str]]] = {}
    for segment in text.split("\r"):
        fields = segment.split("|")
        if fields[0] in ("MSH", "BTS") and message:
            yield message
            message = {}
        if fields[0] and fields[0] not in ("FHS", "BHS", "BTS", "FTS"):
            message.setdefault(fields[0], []).append(fields)
    if message:
        yield message


def hl7v2(path: Path) -> Iterator[Sent]:
    for message in messages(path):
        pid = message["PID"][0]
        ids = [repetition.split("^") for repetition in pid[3].split("~")]
        nhs = [i[0] for i in ids if i[4] == "NH"]
        birth = f"{pid[7][:4]}-{pid[7][4:6]}-{pid[7][6:8]}" if pid[7] else ""
        yield Sent(ids[0][0], nhs[0] if nhs else "", pid[32] if len(pid) > 32 else "", birth)


STATUSES = {
    "number-present-and-verified": "01",
    "number-present-but-not-traced": "02",
    "trace-required": "03",
    "trace-attempted-no-match-or-multiple-match": "04",
    "trace-in-progress": "06",
}


def resources(path: Path) -> Iterator[dict]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        yield from (entry["resource"] for entry in json.loads(text)["entry"])
    else:
        yield from (json.loads(line) for line in text.splitlines())


def fhir(path: Path) -> Iterator[Sent]:
    for resource in resources(path):
        if resource["resourceType"] != "Patient":
            continue
        nhs, status = "", ""
        for identifier in resource.get("identifier", []):
            nhs = identifier["value"]
            coding = identifier["extension"][0]["valueCodeableConcept"]["coding"][0]
            status = STATUSES[coding["code"]]
        yield Sent(resource["id"], nhs, status, resource.get("birthDate", ""))


PARSERS = {
    "delimited": delimited,
    "hl7v2": lambda path, _settings: hl7v2(path),
    "fhir": lambda path, _settings: fhir(path),
}


def records(workspace: Path, settings: Settings) -> Iterator[tuple[str, Sent]]:
    """(source, record) of every client record in every feed."""
    for source in settings.sources:
        for path in sorted((workspace / "inbox" / source.id).iterdir()):
            file = settings_of(source, path)
            if file.kind == "client_record":
                for sent in PARSERS[file.format](path, file):
                    yield source.id, sent
