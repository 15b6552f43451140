"""Small feeds, batches and publications for tests of stores, built as readers build them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapters.batches import BatchBuilder
from schemas.columns import UnitBatch
from schemas.dates import Instant, PartialDate
from schemas.demographics import Address, HumanName, NhsNumberClaim
from schemas.identifiers import LocalId, NhsNumber, OdsCode, Postcode, SourceId
from schemas.items import CareItem, Heading
from schemas.records import (
    ClientRecord,
    IdentityChanged,
    Outcome,
    SourceMerge,
    StaffEntry,
    Withdrawal,
    WithdrawalReason,
)
from schemas.settings import FileSettings
from service.ports import FeedFile, FeedRow, FeedState, Publication, Store
from service.runs import NewRun

NOW = Instant("2026-11-02T03:00:00Z")
SOURCE = SourceId("gp_north")


def day(number: int) -> Instant:
    """Midnight of a day of October 2026."""
    return Instant(f"2026-10-{number:02d}T00:00:00Z")


DEFAULT = day(15)


def feed_file(name: str = "clients.csv", as_at: Instant = DEFAULT) -> FeedFile:
    """A feed whose digest is that of its name."""
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    return FeedFile(Path("inbox") / name, sha256, 100, as_at, FileSettings("*", "delimited"))


def client(local_id: str, family: str = "Example", **more: Any) -> ClientRecord:
    """A client record."""
    names = (HumanName(family=family, given=("Ann",)),)
    return ClientRecord(local_id=LocalId(local_id), names=names, **more)


def full_client(local_id: str) -> ClientRecord:
    """A client record with one of each thing that identifies a person."""
    return client(
        local_id,
        "Quillfeather",
        nhs_number=NhsNumberClaim(NhsNumber("9434765919")),
        birth_date=PartialDate("1957-03-29"),
        addresses=(Address(lines=("7 Zebrafinch Lane",), postcode=Postcode("BS99 7QX")),),
    )


def item(item_id: str, subject: str | None, text: str = "seen", **more: Any) -> CareItem:
    """A care item under `encounter`."""
    heading = more.pop("heading", Heading.ENCOUNTER)
    owner = None if subject is None else LocalId(subject)
    return CareItem(heading=heading, item_id=item_id, subject=owner, text=text, **more)


def staff(staff_id: str, role: str = "nurse") -> StaffEntry:
    """A staff entry."""
    return StaffEntry(staff_id=staff_id, organisation=OdsCode("RVJ"), role=role)


def merge(retired: str, survivor: str) -> SourceMerge:
    """A merge."""
    return SourceMerge(LocalId(retired), LocalId(survivor))


def unmerge(one_id: str, other: str) -> SourceMerge:
    """The undoing of a merge."""
    return SourceMerge(LocalId(one_id), LocalId(other), undone=True)


def withdraw(local_id: str) -> Withdrawal:
    """A withdrawal."""
    return Withdrawal(LocalId(local_id), WithdrawalReason.DELETED)


def renew(before: str, after: str, *, undone: bool = False) -> IdentityChanged:
    """A protected change of identity."""
    return IdentityChanged(LocalId(before), LocalId(after), undone)


class Bad:
    """A unit to be rejected."""

    def __init__(self, message: str = "expected 10 digits", raw: bytes = b"raw") -> None:
        self.message, self.raw = message, raw


Part = ClientRecord | CareItem | SourceMerge | StaffEntry | Withdrawal | IdentityChanged | Bad
Unit = Sequence[tuple[Part, Instant | None]]


def one(part: Part, as_at: Instant | None = None) -> Unit:
    """A unit of one part."""
    return [(part, as_at)]


def batches(
    units: Iterable[Unit], size: int = 1_000, issues: Mapping[tuple[str, str], int] | None = None
) -> list[UnitBatch]:
    """Units as batches of at most `size`; the issues belong to the first."""
    builder = BatchBuilder(size)
    for (name, reason), number in (issues or {}).items():
        for _ in range(number):
            builder.issue(name, reason)
    found = []
    for unit in units:
        if builder.full:
            found.append(builder.take())
        builder.next_unit()
        for part, as_at in unit:
            _add(builder, part, as_at)
    return [*found, builder.take()]


def _add(builder: BatchBuilder, part: Part, as_at: Instant | None) -> None:
    match part:
        case ClientRecord():
            builder.record(part, as_at)
        case CareItem():
            builder.item(part, as_at)
        case SourceMerge():
            builder.merge(part, as_at)
        case StaffEntry():
            builder.staff(part, as_at)
        case Withdrawal():
            builder.withdrawal(part, as_at)
        case IdentityChanged():
            builder.identity_change(part, as_at)
        case Bad():
            builder.reject("line 2", "nhs_number", "bad_value", part.message, part.raw)


def load(
    store: Store,
    units: Iterable[Unit],
    name: str = "clients.csv",
    source: SourceId = SOURCE,
    size: int = 1_000,
    issues: Mapping[tuple[str, str], int] | None = None,
) -> dict[Outcome, int]:
    """Loads the units as one feed, or goes on with it; outcomes that are not 0."""
    row = store.begin_feed(source, feed_file(name), "reader-1", NOW)
    for number, batch in enumerate(batches(units, size, issues)):
        if number >= row.batches_done:
            store.load_batch(row.feed_id, number, batch, DEFAULT)
    store.end_feed(row.feed_id, FeedState.LOADED, "", NOW)
    return outcomes(store.feeds(source)[row.sha256])


def outcomes(row: FeedRow) -> dict[Outcome, int]:
    """The row's counts without zeros."""
    return {outcome: number for outcome, number in row.counts.items() if number}


def publication(
    founded: Sequence[tuple[str, int]] = (),
    opened: Sequence[tuple[int, str]] = (),
    closed: Sequence[int] = (),
    merged: Sequence[tuple[str, str]] = (),
    tasks: Sequence[tuple[int, int, float, str]] = (),
    gone: Sequence[tuple[str, str]] = (),
    revived: Sequence[str] = (),
    continues: Mapping[str, str] | None = None,
) -> Publication:
    """A publication of rows. `gone`: person and ending of those that end without a lead."""

    def table(rows: Sequence[Sequence[Any]], **types: pa.DataType) -> pa.Table:
        columns = zip(*rows, strict=True) if rows else [()] * len(types)
        arrays = [pa.array(c, t) for c, t in zip(columns, types.values(), strict=True)]
        return pa.table(arrays, names=list(types))

    whole, text = pa.int64(), pa.string()
    return Publication(
        founded=table(
            [(p, r, 0, (continues or {}).get(p)) for p, r in founded],
            person_id=text,
            founder=whole,
            counter=pa.int32(),
            continues=text,
        ),
        ended=table(
            [*((p, "merged", into) for p, into in merged), *((p, how, None) for p, how in gone)],
            person_id=text,
            ending=text,
            into=text,
        ),
        revived=table([(p,) for p in revived], person_id=text),
        closed=table([(r,) for r in closed], record_id=whole),
        opened=table(opened, record_id=whole, person_id=text),
        tasks=table(tasks, left=whole, right=whole, bits=pa.float64(), reason=text),
    )


def publish(store: Store, changes: Publication, now: Instant = NOW, **more: Any) -> int:
    """Publishes under a fixed model."""
    run = NewRun("model-1", store.generation(), {"persons": 2}, **more)
    return store.publish(run, changes, now)
