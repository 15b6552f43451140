"""What comes the night after: some records changed, some are new, two were merged by their system,
some are withdrawn."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

WRITTEN = 1_772_500_000
"""When these files were last changed, seconds since 1970: as the demo's, long ago."""


def add_second_night(root: Path) -> None:
    """Puts the feeds of a second night into the inbox, made from those of the first."""
    inbox = root / "inbox"
    _write(inbox / "adult_avonmere" / "clients_20260302.csv", _clients(_first(inbox, "clients_*")))
    patients = _first(inbox, "Patient_*")
    _write(inbox / "gp_harbour" / "Patient_20260302.ndjson", _patients(patients))
    _write(inbox / "gp_harbour" / "Deleted_20260302.ndjson", _deleted(patients))
    _write(inbox / "acute_northmoor" / "adt_20260302.hl7", _messages(_first(inbox, "adt_*")))


def _first(inbox: Path, pattern: str) -> bytes:
    (found,) = (
        inbox.glob(f"a*/{pattern}20260301*")
        if pattern != "Patient_*"
        else inbox.glob("gp_harbour/Patient_20260301*")
    )
    return found.read_bytes()


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    os.utime(path, (WRITTEN, WRITTEN))


def _clients(first: bytes) -> bytes:
    """Everybody has moved; every third is known under another id too."""
    rows = list(csv.DictReader(io.StringIO(first.decode())))
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    for n, row in enumerate(rows):
        moved = {**row, "AddressLine1": f"{n + 1} New Street", "LastUpdated": "2026-03-02 01:00:00"}
        writer.writerow(moved)
        if n % 3 == 0:
            writer.writerow({**moved, "PersonID": f"9{row['PersonID']}"})
    return out.getvalue().encode()


def _patients(first: bytes) -> bytes:
    """Every fifth has another family name; every seventh another birth date and no number."""
    out = []
    for n, line in enumerate(first.splitlines()):
        patient = json.loads(line)
        patient["meta"]["lastUpdated"] = "2026-03-02T01:00:00+00:00"
        if n % 5 == 0:
            patient["name"][0]["family"] = "Newname"
        if n % 7 == 0:
            patient["birthDate"] = "1931-01-02"
            patient["identifier"] = [
                i for i in patient["identifier"] if not i["system"].endswith("nhs-number")
            ]
        out.append(json.dumps(patient))
    return "\n".join(out).encode() + b"\n"


def _deleted(first: bytes) -> bytes:
    """Every eleventh is gone, and one whom nobody knows."""
    ids = [json.loads(line)["id"] for line in first.splitlines()[::11]]
    entries = [{"request": {"method": "DELETE", "url": f"Patient/{i}"}} for i in [*ids, "nobody"]]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    return json.dumps(bundle | {"timestamp": "2026-03-02T02:00:00+00:00"}).encode() + b"\n"


def _messages(first: bytes) -> bytes:
    """The first two patients are merged by their system, the third is deleted; the others' records
    come once more."""
    starts = [m for m in first.split(b"MSH|") if m]
    ids = []
    for message in starts:
        pid = next(s for s in message.split(b"\r") if s.startswith(b"PID|"))
        ids.append(pid.split(b"|")[3].split(b"^")[0])
    retired, survivor, deleted = list(dict.fromkeys(ids))[:3]
    stamp = b"20260302010000"
    merge = (
        b"MSH|^~\\&|PAS|NMGH|COMMONTHREAD|PARTNERSHIP|" + stamp + b"||ADT^A40|M1|P|2.4\r"
        b"EVN|A40|" + stamp + b"\rPID|1||" + survivor + b"^^^NMGH^MR\r"
        b"MRG|" + retired + b"^^^NMGH^MR\r"
    )
    gone = (
        b"MSH|^~\\&|PAS|NMGH|COMMONTHREAD|PARTNERSHIP|" + stamp + b"||ADT^A29|M2|P|2.4\r"
        b"EVN|A29|" + stamp + b"\rPID|1||" + deleted + b"^^^NMGH^MR\r"
    )
    return merge + gone + b"".join(b"MSH|" + m for m in starts[2:])
