"""HL7 v2 messages and files for the tests: built small, read by the real reader."""

from __future__ import annotations

import json
from pathlib import Path

from adapters.hl7v2 import read_hl7v2
from schemas.dates import Instant
from schemas.identifiers import OdsCode, SourceId
from schemas.settings import FileSettings, Limits, SourceSettings
from service.ports import FeedFile

SPEC = Path(__file__).parent.parent / "spec"
NUMBER = "9434765919"


def source(**given) -> SourceSettings:
    given = {"organisations": (OdsCode("RA7"),), "files": (), **given}
    return SourceSettings(id=SourceId("pas"), name="PAS", **given)


def read(path: Path, data: bytes, of: SourceSettings | None = None, limits=None, **file):
    path = path / "feed.hl7" if path.is_dir() else path
    path.write_bytes(data)
    feed = FeedFile(
        path,
        "0" * 64,
        len(data),
        Instant("2026-01-01T00:00:00Z"),
        FileSettings(pattern="*", format="hl7v2", **file),
    )
    return list(read_hl7v2(feed, of or source(), limits or Limits()))


def message(*segments: str, kind: str = "ADT^A31", control: str = "M1", head: str = "") -> bytes:
    head = head or f"MSH|^~\\&|PAS|RA7|CT|CT|20260102030405||{kind}|{control}|P|2.4"
    return "".join(f"{line}\r" for line in (head, *segments)).encode()


PID = f"PID|1||R1^^^RA7^PI~{NUMBER}^^^NHS^NH||HIGGS^Ann||19800517|F"


def segment(name: str, *first: str, **numbered: str) -> str:
    """A segment from its first fields and others by number: segment("PV1", "1", f19="V1")."""
    fields = dict(enumerate(first, 1)) | {int(k[1:]): v for k, v in numbered.items()}
    return "|".join([name, *(fields.get(n, "") for n in range(1, max(fields) + 1))])


def read_one(tmp_path: Path, *segments: str, of: SourceSettings | None = None, file=None, **given):
    """Reads one message: (records, items, merges, batch), contents as plain data."""
    (batch,) = read(tmp_path, message(*segments, **given), of, **(file or {}))
    assert batch.units == 1
    columns = (batch.merges[c].to_pylist() for c in ("retired", "survivor"))
    return (
        [json.loads(c) for c in batch.records["content"].to_pylist()],
        [json.loads(c) for c in batch.items["content"].to_pylist()],
        list(zip(*columns, strict=True)),
        batch,
    )


def spec_rows(name: str) -> list[list[str]]:
    """The rows of a text table under tests/spec."""
    lines = (SPEC / name).read_text("utf-8").splitlines()
    return [[c.strip() for c in line.split("|")] for line in lines if not line.startswith("#")]
