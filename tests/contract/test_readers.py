"""The contract that every reader of feeds passes, each on a small good and a small broken feed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from adapters.registry import READERS
from schemas.columns import (
    ITEM_SCHEMA,
    MERGE_SCHEMA,
    RECORD_SCHEMA,
    STAFF_SCHEMA,
    WITHDRAWAL_SCHEMA,
    UnitBatch,
)
from schemas.dates import Instant
from schemas.errors import FeedRefused
from schemas.identifiers import OdsCode, SourceId
from schemas.records import REASONS
from schemas.settings import FORMATS, FileSettings, Limits, SheetSettings, SourceSettings
from service.ports import FeedFile
from tests.adapters.excel_feeds import workbook

SCHEMAS = {
    "records": RECORD_SCHEMA,
    "items": ITEM_SCHEMA,
    "merges": MERGE_SCHEMA,
    "staff": STAFF_SCHEMA,
    "withdrawals": WITHDRAWAL_SCHEMA,
}
SECRETS = ("Quillfeather", "9434765919", "BS1 5TR", "1980-05-17", "19800517")
"""Values of the samples' persons, which no message may show."""


@dataclass(frozen=True)
class Sample:
    """Two feeds of one format: `good` holds three clients, `broken` holds `rejected` bad units
    between two good ones."""

    settings: FileSettings
    good: bytes
    broken: bytes
    rejected: int


def _patient(number: int, **changes: object) -> bytes:
    patient: dict[str, object] = {
        "resourceType": "Patient",
        "id": f"p{number}",
        "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9434765919"}],
        "name": [{"family": "Quillfeather", "given": ["Ann"]}],
        "gender": "female",
        "birthDate": "1980-05-17",
        "address": [{"line": ["1 High Street"], "postalCode": "BS1 5TR"}],
    }
    return json.dumps({k: v for k, v in (patient | changes).items() if v is not None}).encode()


def _adt(number: int, pid: str | None = None) -> bytes:
    person = f"PID|1||{number}^^^RA7^MR||Quillfeather^Ann||19800517|F|||1 High Street^^^^BS1 5TR"
    return "\r".join([
        f"MSH|^~\\&|PAS|RA7|CT|X|20260301100000||ADT^A28|M{number}|P|2.4",
        "EVN|A28|20260301100000",
        person if pid is None else pid,
    ]).encode() + b"\r"  # fmt: skip


_COLUMNS = {
    "local_id": ("ID",),
    "nhs_number": ("NHS",),
    "name.family": ("NAME",),
    "birth_date": ("DOB",),
    "address.postcode": ("PC",),
}


def _clients(*rows: list[object]) -> bytes:
    header = [column for columns in _COLUMNS.values() for column in columns]
    return workbook({"Clients": [header, *rows]})


def _elements(*rows: list[object]) -> bytes:
    names = [column for columns in _COLUMNS.values() for column in columns]
    records = (
        "".join(f"<{name}>{text}</{name}>" for name, text in zip(names, row, strict=True))
        for row in rows
    )
    return f"<L><C>{'</C><C>'.join(records)}</C></L>".encode()


SAMPLES = {
    "delimited": Sample(
        FileSettings(
            pattern="*",
            format="delimited",
            columns=_COLUMNS,
        ),
        b"ID,NHS,NAME,DOB,PC\n"
        + b"".join(b"%d,9434765919,Quillfeather,1980-05-17,BS1 5TR\n" % n for n in range(3)),
        b"ID,NHS,NAME,DOB,PC\n"
        b"1,9434765919,Quillfeather,1980-05-17,BS1 5TR\n"
        b"2,9434765919,Quillfeather,1980-05-17\n"
        b"3,9434765919,1980-05-17,Quillfeather,BS1 5TR\n"
        b"4,9434765919,Quillfeather\xe9,1980-05-17,BS1 5TR\n"
        b",9434765919,Quillfeather,1980-05-17,BS1 5TR\n"
        b"6,9434765919,Quillfeather,1980-05-17,BS1 5TR\n",
        rejected=4,
    ),
    "excel": Sample(
        FileSettings(
            pattern="*", format="excel", sheets=(SheetSettings("Clients", columns=_COLUMNS),)
        ),
        _clients(
            *([n, 9434765919, "Quillfeather", date(1980, 5, 17), "BS1 5TR"] for n in range(3))
        ),
        _clients(
            [1, "9434765919", "Quillfeather", date(1980, 5, 17), "BS1 5TR"],
            [2, "9434765919", "Quillfeather", "=TODAY()", "BS1 5TR"],
            [3, "9434765919", "1980-05-17", "Quillfeather", "BS1 5TR"],
            [4, 943476591.9, "Quillfeather", date(1980, 5, 17), "BS1 5TR"],
            [None, "9434765919", "Quillfeather", date(1980, 5, 17), "BS1 5TR"],
            [6, "9434765919", "Quillfeather", "1980-05-17", "BS1 5TR"],
        ),
        rejected=4,
    ),
    "fhir": Sample(
        FileSettings(pattern="*", format="fhir"),
        b"\n".join(_patient(n) for n in range(3)) + b"\n",
        b"\n".join(
            [
                _patient(1),
                _patient(2)[:-20],
                _patient(3, birthDate="Quillfeather"),
                _patient(4, name="Quillfeather"),
                _patient(5),
                b"",
            ]
        ),
        rejected=3,
    ),
    "xml": Sample(
        FileSettings("*", "xml", record="L/C", columns={k: (v[0],) for k, v in _COLUMNS.items()}),
        _elements(*([n, "9434765919", "Quillfeather", "1980-05-17", "BS1 5TR"] for n in range(3))),
        _elements(
            [1, "9434765919", "Quillfeather", "1980-05-17", "BS1 5TR"],
            [3, "9434765919", "1980-05-17", "Quillfeather", "BS1 5TR"],
            ["", "9434765919", "Quillfeather", "1980-05-17", "BS1 5TR"],
            [6, "9434765919", "Quillfeather", "1980-05-17", "BS1 5TR"],
        ),
        rejected=2,
    ),
    "hl7v2": Sample(
        FileSettings(pattern="*", format="hl7v2"),
        b"".join(_adt(n) for n in range(3)),
        b"".join(
            [
                _adt(1),
                _adt(2, "PID|1||||Quillfeather^Ann||19800517|F"),
                _adt(3, "ZZZ|Quillfeather|9434765919"),
                _adt(4),
            ]
        ),
        rejected=2,
    ),
}


def test_every_format_has_a_reader_and_a_sample() -> None:
    assert set(READERS) == set(SAMPLES) == set(FORMATS)


def take(folder: Path, format_: str, data: bytes, batch_units: int = 2) -> list[UnitBatch]:
    """What the format's reader makes of the bytes."""
    settings = SAMPLES[format_].settings
    path = folder / "feed"
    path.write_bytes(data)
    at = Instant("2026-03-01T00:00:00Z")
    source = SourceSettings(SourceId("x"), "X", (OdsCode("RA7"),), (settings,))
    feed = FeedFile(path, "0" * 64, len(data), at, settings)
    return list(READERS[format_](feed, source, Limits(batch_units=batch_units)))


def fates(batch: UnitBatch) -> list[int]:
    """The units that a batch accounts for, in order; one that is in several tables once."""
    loaded = {unit for name in SCHEMAS for unit in getattr(batch, name).column("unit").to_pylist()}
    return sorted([*loaded, *(rejected.unit for rejected in batch.rejected)])


def assert_same(ours: Sequence[UnitBatch], theirs: Sequence[UnitBatch]) -> None:
    """That two readings agree in everything."""
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert (one.first_unit, one.units) == (other.first_unit, other.units)
        assert (one.rejected, one.issues) == (other.rejected, other.issues)
        for name in SCHEMAS:
            assert getattr(one, name).equals(getattr(other, name))


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("kind", ["good", "broken"])
class TestReader:
    """What holds whatever the feed."""

    def test_the_same_bytes_give_the_same_batches(
        self, tmp_path: Path, format_: str, kind: str
    ) -> None:
        data = getattr(SAMPLES[format_], kind)
        assert_same(take(tmp_path, format_, data), take(tmp_path, format_, data))

    @pytest.mark.parametrize("batch_units", [1, 2, 100])
    def test_units_run_on_and_each_has_one_fate(
        self, tmp_path: Path, format_: str, kind: str, batch_units: int
    ) -> None:
        following = 0
        for batch in take(tmp_path, format_, getattr(SAMPLES[format_], kind), batch_units):
            assert batch.first_unit == following
            assert batch.units <= batch_units
            following += batch.units
            assert fates(batch) == list(range(batch.first_unit, following))
        assert following

    def test_tables_have_their_schemas(self, tmp_path: Path, format_: str, kind: str) -> None:
        for batch in take(tmp_path, format_, getattr(SAMPLES[format_], kind)):
            for name, schema in SCHEMAS.items():
                assert getattr(batch, name).schema.equals(schema)

    def test_messages_show_no_value(self, tmp_path: Path, format_: str, kind: str) -> None:
        for batch in take(tmp_path, format_, getattr(SAMPLES[format_], kind)):
            shown = [f"{r.where} {r.field} {r.reason} {r.message} {r!r}" for r in batch.rejected]
            shown += [f"{field} {reason}" for field, reason in batch.issues]
            for text in shown:
                assert not any(secret in text for secret in SECRETS), text


@pytest.mark.parametrize("format_", FORMATS)
def test_the_good_feed_is_loaded_whole(tmp_path: Path, format_: str) -> None:
    batches = take(tmp_path, format_, SAMPLES[format_].good)
    assert sum(batch.records.num_rows for batch in batches) == 3
    assert not any(batch.rejected for batch in batches)


@pytest.mark.parametrize("format_", FORMATS)
def test_what_is_broken_is_quarantined_alone(tmp_path: Path, format_: str) -> None:
    sample = SAMPLES[format_]
    batches = take(tmp_path, format_, sample.broken)
    rejected = [r for batch in batches for r in batch.rejected]
    assert sum(batch.records.num_rows for batch in batches) == 2
    assert len(rejected) == sample.rejected
    assert {r.reason for r in rejected} <= set(REASONS)
    assert all(r.where and r.message and r.raw for r in rejected)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("data", [b"", b"\x1f\x8bnot gzip"], ids=["empty", "damaged archive"])
def test_a_hopeless_file_is_refused(tmp_path: Path, format_: str, data: bytes) -> None:
    with pytest.raises(FeedRefused) as caught:
        take(tmp_path, format_, data)
    assert caught.value.reason in REASONS
