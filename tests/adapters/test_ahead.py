"""Reading in another process gives what reading here gives, and its failures are clear."""

from __future__ import annotations

import gzip
import hashlib
import os
import signal
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from adapters import ahead
from adapters.ahead import ReadAhead
from adapters.registry import READERS
from schemas.dates import Instant
from schemas.errors import FeedRefused, StoreError
from schemas.identifiers import OdsCode, SourceId
from schemas.settings import FileSettings, Limits, SourceSettings
from service.ports import FeedFile

FILE = FileSettings(
    pattern="*.csv",
    format="delimited",
    columns={"local_id": ("id",), "name.family": ("family",)},
)
SOURCE = SourceSettings(SourceId("a"), "A", (OdsCode("AAA"),), (FILE,))
LIMITS = replace(Limits(), batch_units=7)


@pytest.fixture(autouse=True)
def _everything_is_worth_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "WORTH_WAITING", 0)


def feed(path: Path, data: bytes) -> FeedFile:
    """A feed of these bytes."""
    path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return FeedFile(path, digest, len(data), Instant("2026-01-01T00:00:00Z"), FILE)


ROWS = b"id,family\n" + b"".join(b"%d,Name\n" % n for n in range(50)) + b"x\n"


def test_batches_are_those_of_the_reader(tmp_path: Path) -> None:
    one = feed(tmp_path / "a.csv", ROWS)
    with ReadAhead() as elsewhere:
        for _ in range(2):
            found = list(elsewhere.readers["delimited"](one, SOURCE, LIMITS))
            assert found == list(READERS["delimited"](one, SOURCE, LIMITS))
    assert sum(b.units for b in found) == 51


def test_a_refusal_arrives_as_it_was(tmp_path: Path) -> None:
    bomb = feed(tmp_path / "a.csv", gzip.compress(b"0" * 50_000_000))
    with ReadAhead() as elsewhere, pytest.raises(FeedRefused, match="bomb"):
        list(elsewhere.read(bomb, SOURCE, LIMITS))


def test_the_reading_process_being_killed_is_an_error_not_an_end(tmp_path: Path) -> None:
    one = feed(tmp_path / "a.csv", ROWS)
    with ReadAhead() as elsewhere:
        batches = elsewhere.read(one, SOURCE, LIMITS)
        next(batches)
        assert elsewhere._process is not None
        assert elsewhere._process.pid is not None
        os.kill(elsewhere._process.pid, signal.SIGKILL)
        with pytest.raises(StoreError, match="run again"):
            list(batches)


def test_a_feed_left_off_half_way_does_not_spill_into_the_next(tmp_path: Path) -> None:
    one, two = feed(tmp_path / "a.csv", ROWS), feed(tmp_path / "b.csv", ROWS.replace(b"Name", b"B"))
    with ReadAhead() as elsewhere:
        left_off = elsewhere.read(one, SOURCE, LIMITS)
        next(left_off)
        left_off.close()
        found = list(elsewhere.read(two, SOURCE, LIMITS))
    assert found == list(READERS["delimited"](two, SOURCE, LIMITS))


def test_the_next_feed_may_be_asked_for_before_this_one_is_taken(tmp_path: Path) -> None:
    feeds = [
        feed(tmp_path / "a.csv", ROWS),
        feed(tmp_path / "b.csv", gzip.compress(b"0" * 50_000_000)),
        feed(tmp_path / "c.csv", ROWS.replace(b"Name", b"C")),
    ]
    with ReadAhead() as elsewhere:
        one, bomb, two = (elsewhere.read(each, SOURCE, LIMITS) for each in feeds)
        assert list(one) == list(READERS["delimited"](feeds[0], SOURCE, LIMITS))
        with pytest.raises(FeedRefused, match="bomb"):
            list(bomb)
        assert list(two) == list(READERS["delimited"](feeds[2], SOURCE, LIMITS))


def test_the_death_of_the_process_ends_every_feed_that_was_asked_of_it(tmp_path: Path) -> None:
    one = feed(tmp_path / "a.csv", ROWS)
    with ReadAhead() as elsewhere:
        batches = [elsewhere.read(one, SOURCE, LIMITS) for _ in range(2)]
        next(batches[0])
        assert elsewhere._process is not None
        elsewhere._process.kill()
        for left in batches:
            with pytest.raises(StoreError, match="run again"):
                list(left)


def test_what_a_reader_fails_of_is_told_without_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_arguments: Any) -> Any:
        raise ValueError("Zqxfamily")

    monkeypatch.setitem(READERS, "delimited", failing)
    (told,) = ahead._messages(feed(tmp_path / "a.csv", ROWS), SOURCE, LIMITS)
    assert told == ("refused", ("unforeseen", "the reader failed (ValueError)"))


def test_until_the_process_is_ready_small_feeds_are_read_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = feed(tmp_path / "a.csv", ROWS)
    with ReadAhead() as elsewhere:
        list(elsewhere.read(one, SOURCE, LIMITS))
        elsewhere._ready = Event()
        assert elsewhere._process is not None
        elsewhere._process.kill()
        elsewhere._process.join()
        monkeypatch.setattr(ahead, "WORTH_WAITING", one.size + 1)
        found = list(elsewhere.read(one, SOURCE, LIMITS))
        assert found == list(READERS["delimited"](one, SOURCE, LIMITS))
        monkeypatch.setattr(ahead, "WORTH_WAITING", one.size)
        with pytest.raises(StoreError, match="run again"):
            list(elsewhere.read(one, SOURCE, LIMITS))
