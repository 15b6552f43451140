"""Rows of every kind of table on every store: all accounted for, once, in any order, after a crash,
and the same persons' records whatever they came in."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.inbox import find_feeds
from adapters.registry import READERS
from schemas.dates import Instant
from schemas.identifiers import LocalId, SourceId
from schemas.records import Outcome
from schemas.settings import Settings
from schemas.settings_file import parse_settings
from service.ingest import SourceReport, ingest
from store.sql_store import SqlStore
from tests.adapters.excel_feeds import workbook

NAMES = ("no", "family", "born")
MAPPED = "[{}.columns]\nlocal_id = 'no'\n'name.family' = 'family'\nbirth_date = 'born'\n"
BLOCKS = {
    "delimited": "[[source.file]]\n" + MAPPED.format("source.file"),
    "excel": "[[source.file]]\n[[source.file.sheet]]\nname = 'People'\n"
    + MAPPED.format("source.file.sheet"),
    "xml": "[[source.file]]\nrecord = 'L/R'\n" + MAPPED.format("source.file"),
}
Row = tuple[str, str, str]
PEOPLE: list[Row] = [(f"P{n}", f"Name {'abcdefgh'[n % 8]}", f"19{50 + n}-01-31") for n in range(20)]
BAD: list[Row] = [("", "Nobody", "1950-01-31"), ("X1", "Wren", "soon"), ("X2", "1950-01-31", "")]


def _elements(rows: Sequence[Row]) -> bytes:
    parts = (
        "".join(f"<{name}>{text}</{name}>" for name, text in zip(NAMES, row, strict=True))
        for row in rows
    )
    return f"<L>{''.join(f'<R>{part}</R>' for part in parts)}</L>".encode()


WRITERS: dict[str, Callable[[Sequence[Row]], bytes]] = {
    "delimited": lambda rows: "".join(f"{','.join(row)}\n" for row in [NAMES, *rows]).encode(),
    "excel": lambda rows: workbook({"People": [NAMES, *rows]}),
    "xml": _elements,
}


def partnership(format_: str) -> Settings:
    """Settings of one source of this format, three units a batch."""
    return parse_settings(
        "[partnership]\nname = 'P'\n[limits]\nbatch_units = 3\nsettle_seconds = 0\n"
        "[[organisation]]\ncode = 'A1A1A'\nname = 'A'\nkind = 'k'\n"
        f"[[source]]\nid = 'list'\nname = 'L'\nformat = '{format_}'\norganisations = 'A1A1A'\n"
        + BLOCKS[format_]
    )


class _Cut(BaseException):
    """The night ended here."""


class Night:
    """An inbox beside a store."""

    def __init__(self, store: SqlStore, folder: Path, format_: str) -> None:
        self.store, self.format = store, format_
        self.settings = partnership(format_)
        self.inbox = folder / "inbox"
        (self.inbox / "list").mkdir(parents=True)

    def put(self, name: str, rows: Sequence[Row], at: int = 1_772_000_000) -> None:
        path = self.inbox / "list" / name
        path.write_bytes(WRITERS[self.format](rows))
        os.utime(path, (at, at))

    def ingest(self, cut_after: int | None = None) -> SourceReport:
        def reader(*arguments: Any) -> Iterator[Any]:
            for number, batch in enumerate(READERS[self.format](*arguments)):
                if number == cut_after:
                    raise _Cut
                yield batch

        (report,) = ingest(
            self.store, self.settings, self.inbox, {self.format: reader}, find_feeds,
            lambda: Instant("2026-03-02T00:00:00Z"),
        )  # fmt: skip
        return report

    def held(self) -> list[tuple[str | None, ...]]:
        """What the store holds of each of the people."""
        found = [self.store.record(SourceId("list"), LocalId(key)) for key, _, _ in PEOPLE]
        assert all(found)
        return [(h.record.names[0].family, h.record.birth_date) for h in found if h]


@pytest.fixture(params=sorted(WRITERS))
def night(request: pytest.FixtureRequest, store: SqlStore, tmp_path: Path) -> Night:
    return Night(store, tmp_path, request.param)


EXPECTED = [(family, born) for _, family, born in PEOPLE]


def test_every_row_is_loaded_unchanged_or_quarantined(night: Night) -> None:
    night.put("first", [*PEOPLE[:7], *BAD, *PEOPLE[7:]])
    report = night.ingest()
    assert report.read == len(PEOPLE) + len(BAD)
    assert report.counts == Counter({Outcome.NEW: len(PEOPLE), Outcome.QUARANTINED: len(BAD)})
    assert len(list(night.store.quarantined())) == len(BAD)
    assert night.held() == EXPECTED


def test_the_same_again_and_in_another_order_changes_nothing(night: Night) -> None:
    night.put("first", PEOPLE)
    night.ingest()
    assert night.ingest().known == 1
    night.put("second", PEOPLE[::-1], at=1_772_000_100)
    assert night.ingest().counts == Counter({Outcome.UNCHANGED: len(PEOPLE)})
    assert night.held() == EXPECTED


@pytest.mark.parametrize("batches", [0, 1, 5])
def test_a_night_that_was_cut_goes_on_where_it_was(night: Night, batches: int) -> None:
    night.put("first", [*PEOPLE[:7], *BAD, *PEOPLE[7:]])
    with pytest.raises(_Cut):
        night.ingest(cut_after=batches)
    report = night.ingest()
    assert report.counts == Counter({Outcome.NEW: len(PEOPLE), Outcome.QUARANTINED: len(BAD)})
    assert len(list(night.store.quarantined())) == len(BAD)
    assert night.held() == EXPECTED
