"""Broken feeds through the whole road: one spec table, a row per damage and format.

Whatever comes, `ingest` ends well, says what it left out in words a data team can act on, shows no
person's value, accounts for every unit, and loads everything else.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.functional import road
from tests.functional.small import (
    COLUMNS,
    WRITTEN,
    Client,
    clients,
    csv_feed,
    fhir_feed,
    hl7_feed,
    message,
    new_workspace,
    nhs_number,
    patient,
    put,
    put_all,
    row,
    with_ids,
)

PEOPLE = clients(7)
GOOD = with_ids(clients(4, first=20), "good")
SECRET = Client(
    "Zqxlocal1", "Zqxgiven", "Zqxfamily", "1913-11-27", "female", nhs_number(999),
    "77 Zqxstreet", "ZE3 9JZ", "07700 913577", "zqx@zqxmail.example",
)  # fmt: skip
VALUES = (
    "Zqxlocal1", "Zqxgiven", "Zqxfamily", "1913-11-27", "19131127", SECRET.nhs_number, "Zqxstreet",
    "ZE3 9JZ", "913577", "zqxmail",
)  # fmt: skip
"""What may be shown nowhere."""
N = len(GOOD)


@dataclass(frozen=True)
class Damage:
    """One row.

    Attributes:
        what: its name.
        source: whose inbox it lies in.
        file: the file's name.
        data: its bytes, or what puts it there.
        phrase: what the output must say.
        counts: new and quarantined units, of this file alone.
    """

    what: str
    source: str
    file: str
    data: bytes | Callable[[Path], None] = field(repr=False)
    phrase: str
    new: int = 0
    quarantined: int = 0


def zipped(data: bytes, names: tuple[str, ...] = ("a.csv",)) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, data)
    return out.getvalue()


def broken_csv(line: bytes) -> bytes:
    """A good file with one more line."""
    return csv_feed(GOOD) + line


SECRET_ROW = row(SECRET).encode()
SECRET_PATIENT = patient(SECRET).encode()
SECRET_MESSAGE = message(SECRET).encode()
LATIN = "Zqxfamilyé".encode("latin-1")
ZEROS = b"0" * (64 << 20)
LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE Patient [<!ENTITY a "Zqxfamily">%s]>
<Patient xmlns="http://hl7.org/fhir"><id value="&j;"/></Patient>""" % b"".join(
    b'<!ENTITY %c "%s">' % (new, b"&%c;" % old * 10)
    for old, new in zip(b"abcdefghi", b"bcdefghij", strict=True)
)
SWAPPED = ("NHS", "ID", *COLUMNS[2:])


TABLE = [
    # --- torn
    Damage("torn", "pas", "a.csv", broken_csv(SECRET_ROW[:25]), "torn", N, 1),
    Damage("torn in quotes", "pas", "a.csv", broken_csv(b'"' + SECRET_ROW), "torn", N, 1),
    Damage("torn", "gp", "a.ndjson", fhir_feed(GOOD) + SECRET_PATIENT[:90], "torn", N, 1),
    Damage("torn", "acute", "a.hl7", hl7_feed(GOOD) + SECRET_MESSAGE[:-9], "segment end", N, 1),
    Damage("torn gzip", "pas", "a.csv.gz", gzip.compress(csv_feed(GOOD) * 9)[:-9], "damaged", 0, 1),
    # --- bytes
    Damage(
        "NUL", "pas", "a.csv", broken_csv(SECRET_ROW.replace(b"Zqxg", b"\0") + b"\n"), "NUL", N, 1
    ),
    Damage(
        "NUL", "gp", "a.ndjson", fhir_feed(GOOD) + SECRET_PATIENT.replace(b"Zqxg", b"\0"), "nul",
        N, 1,
    ),
    Damage("NUL", "acute", "a.hl7", hl7_feed(GOOD) + SECRET_MESSAGE.replace(b"Zqxg", b"\0"), "nul",
           N, 1),
    Damage("Latin-1", "pas", "a.csv", broken_csv(SECRET_ROW.replace(b"Zqxfamily", LATIN) + b"\n"),
           "encoding", N, 1),
    Damage("Latin-1", "gp", "a.ndjson",
           fhir_feed(GOOD) + SECRET_PATIENT.replace(b"Zqxfamily", LATIN), "encoding", N, 1),
    Damage("Latin-1", "acute", "a.hl7",
           hl7_feed(GOOD) + SECRET_MESSAGE.replace(b"Zqxfamily", LATIN), "encoding", N, 1),
    Damage("byte order mark", "pas", "a.csv", b"\xef\xbb\xbf" + csv_feed(GOOD), "", N),
    Damage("byte order mark", "gp", "a.ndjson", b"\xef\xbb\xbf" + fhir_feed(GOOD), "", N),
    Damage("byte order mark", "acute", "a.hl7", b"\xef\xbb\xbf" + hl7_feed(GOOD), "", N),
    # --- structure
    Damage("columns in another order", "pas", "a.csv", csv_feed(GOOD, COLUMNS[::-1]), "", N),
    Damage("swapped headings", "pas", "a.csv",
           ",".join(SWAPPED).encode() + b"\n" + SECRET_ROW + b"\n", "nhs_number"),
    Damage("a missing column", "pas", "a.csv",
           csv_feed([SECRET], [c for c in COLUMNS if c != "DOB"]), "DOB", 0, 1),
    Damage("only a heading", "pas", "a.csv", csv_feed([]), ""),
    Damage("an unknown version", "acute", "a.hl7", message(GOOD[0], version="9.9").encode(),
           "unknown version", 1),
    Damage("no such message", "acute", "a.hl7",
           hl7_feed(GOOD) + SECRET_MESSAGE.replace(b"ADT^A28", b"ZZZ^Z99"), "not taken", N, 1),
    Damage("not a message", "acute", "a.hl7", SECRET_ROW + b"\n", "MSH", 0, 1),
    Damage("not a resource", "gp", "a.ndjson",
           fhir_feed(GOOD) + patient(SECRET, resourceType=["Zqxfamily"]).encode(), "resource", N,
           1),
    Damage("no resource type", "gp", "a.ndjson",
           fhir_feed(GOOD) + b'{"id":"x"}\n', "resourceType", N, 1),
    Damage("a resource that breaks R4", "gp", "a.ndjson",
           fhir_feed(GOOD) + patient(SECRET, birthDate="Zqxgiven").encode(), "birthDate", N, 1),
    Damage("not JSON", "gp", "a.ndjson", fhir_feed(GOOD) + SECRET_ROW + b"\n", "bad_syntax", N, 1),
    Damage("empty", "pas", "a.csv", b"", "no bytes", 0, 1),
    Damage("empty", "gp", "a.ndjson", b"", "no bytes", 0, 1),
    Damage("empty", "acute", "a.hl7", b"", "no bytes", 0, 1),
    # --- bombs
    Damage("gzip bomb", "pas", "a.csv.gz", gzip.compress(csv_feed(GOOD) + ZEROS), "limit", 0, 1),
    Damage("gzip bomb", "gp", "a.ndjson", gzip.compress(fhir_feed(GOOD) + ZEROS), "limit", 0, 1),
    Damage("gzip bomb", "acute", "a.hl7", gzip.compress(hl7_feed(GOOD) + ZEROS), "limit", 0, 1),
    Damage("zip bomb", "pas", "a.csv.zip", zipped(csv_feed(GOOD) + ZEROS), "limit", 0, 1),
    Damage("zip of two", "pas", "a.csv.zip", zipped(b"x", ("a.csv", "b.csv")), "exactly one", 0, 1),
    Damage("billion laughs", "gp", "a.xml", LAUGHS, "document type", 0, 1),
    # --- what the file system can do
    Damage("a directory", "pas", "a.csv", lambda path: path.mkdir(), "folder"),
    Damage("a dangling link", "pas", "a.csv", lambda path: path.symlink_to("gone"), "not regular"),
    Damage("a link to elsewhere", "pas", "a.csv",
           lambda path: path.symlink_to("/etc/passwd"), "outside the inbox"),
    Damage("a pipe", "pas", "a.csv", os.mkfifo, "not regular"),
    Damage("a half-sent file", "pas", "a.csv.part", SECRET_ROW, "temporary name"),
]  # fmt: skip


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of the small partnership in which nothing is loaded yet."""
    root = new_workspace(tmp_path_factory.mktemp("bad") / "p")
    put_all(root, PEOPLE)
    return root


def placed(root: Path, damage: Damage) -> None:
    path = root / "inbox" / damage.source / damage.file
    if isinstance(damage.data, bytes):
        path.write_bytes(damage.data)
        os.utime(path, (WRITTEN - 1, WRITTEN - 1))
    else:
        damage.data(path)


def check_shown(*said: str) -> None:
    for text in said:
        for value in VALUES:
            assert value.lower() not in text.lower(), f"{value} is shown"


def balanced(document: list[dict[str, Any]]) -> None:
    for source in document:
        parts = (source[o] for o in ("new", "changed", "unchanged", "quarantined"))
        assert source["read"] == sum(parts), source["source"]


@pytest.mark.parametrize("damage", TABLE, ids=lambda d: f"{d.what}, {d.source}")
def test_a_broken_feed(loaded: Path, tmp_path: Path, damage: Damage) -> None:
    root = road.copy_of(loaded, tmp_path / "p")
    placed(root, damage)
    ended = road.done(root, "ingest", "--json")
    again = road.done(root, "ingest")
    listed = road.done(root, "quarantine", "list")
    check_shown(ended.said, again.said, listed.said)
    balanced(ended.document)
    found = {source["source"]: source for source in ended.document}
    for name, source in found.items():
        mine = name == damage.source
        assert source["new"] >= len(PEOPLE)
        if mine and damage.what != "swapped headings":
            assert source["new"] == len(PEOPLE) + damage.new, source
            assert source["quarantined"] == damage.quarantined, source
    assert damage.phrase in ended.out + listed.out
    assert "unforeseen" not in ended.said
    for line in again.out.splitlines():
        if line.startswith(("pas ", "gp ", "acute ")):
            assert line.split()[1:] == ["0"] * 6, "what was read is not read again"


def test_a_file_that_may_not_be_read(loaded: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("nothing is forbidden to root")
    root = road.copy_of(loaded, tmp_path / "p")
    put(root, "pas", "a.csv", csv_feed(GOOD)).chmod(0)
    ended = road.done(root, "ingest")
    assert "a.csv could not be read (Permission denied)" in ended.out


def test_a_file_still_being_written(loaded: Path, tmp_path: Path) -> None:
    root = road.copy_of(loaded, tmp_path / "p")
    settings = root / "partnership.toml"
    settings.write_text(settings.read_text().replace("settle_seconds = 0", "settle_seconds = 0.5"))
    path = root / "inbox" / "pas" / "a.csv"
    path.write_bytes(csv_feed(GOOD[:1]))
    writer = subprocess.Popen(
        [sys.executable, "-c", "import sys, time\nwhile True:\n with open(sys.argv[1], 'ab') as f:"
         " f.write(b'x,')\n time.sleep(0.05)", str(path)]
    )  # fmt: skip
    try:
        ended = road.done(root, "ingest", "--json")
    finally:
        writer.kill()
        writer.wait()
    (pas, *_) = ended.document
    assert pas["notices"] == ["a.csv is still being written; left for the next run"]
    assert pas["new"] == len(PEOPLE)
    path.write_bytes(csv_feed(GOOD))
    (pas, *_) = road.done(root, "ingest", "--json").document
    assert (pas["new"], pas["notices"]) == (N, [])


HUGE = 200 << 20
PEAK_MIB = 600
_MEASURED = """
import json, resource, subprocess, sys
ended = subprocess.run(sys.argv[1:], capture_output=True, text=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([ended.returncode, ended.stdout, ended.stderr, peak // 1024]))
"""
LINES = {
    "csv": ("pas", "a.csv", csv_feed(GOOD), b"\n", N, 1),
    "ndjson": ("gp", "a.ndjson", fhir_feed(GOOD), b"\n", N, 1),
    "one resource": ("gp", "a.json", b'{"resourceType":"Patient","id":"', b'"}', 0, 1),
    "hl7": ("acute", "a.hl7", hl7_feed(GOOD) + b"MSH|^~\\&|", b"\r", N, 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LINES)
def test_a_line_of_200_megabytes(loaded: Path, tmp_path: Path, kind: str) -> None:
    source, name, before, after, new, quarantined = LINES[kind]
    root = road.copy_of(loaded, tmp_path / "p")
    path = root / "inbox" / source / name
    with path.open("wb") as stream:
        stream.write(before)
        for _ in range(HUGE >> 20):
            stream.write(b"z" * (1 << 20))
        stream.write(after)
    os.utime(path, (WRITTEN, WRITTEN))
    measured = subprocess.run(
        [sys.executable, "-c", _MEASURED, *road.command(root, "ingest", "--json")],
        capture_output=True,
        check=True,
    )
    path.unlink()
    code, out, err, peak = json.loads(measured.stdout)
    assert code == 0, err
    found = {s["source"]: s for s in json.loads(out)}[source]
    assert (found["new"], found["quarantined"]) == (len(PEOPLE) + new, quarantined)
    assert peak < PEAK_MIB
