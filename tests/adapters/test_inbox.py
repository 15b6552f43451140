"""Which files of an inbox are feeds, when they stood so, and what is left alone."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from pathlib import Path

import pytest

from adapters.inbox import find_feeds
from schemas.settings import AsAt, FileSettings, Limits
from tests.adapters.delimited_feeds import file_settings, source_settings

QUICK = Limits(settle_seconds=0.2)
MARCH = 1_772_323_200  # 2026-03-01T00:00:00Z
DATED = AsAt(re.compile(r"_(\d{8})"), "%Y%m%d")


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An inbox with the source's folder."""
    folder = tmp_path / "inbox"
    (folder / "pas").mkdir(parents=True)
    return folder


def put(inbox: Path, name: str, data: bytes = b"x", mtime: float = MARCH) -> Path:
    """A file that has lain there for long."""
    path = inbox / "pas" / name
    path.write_bytes(data)
    os.utime(path, (mtime, mtime))
    return path


def find(inbox: Path, *files: FileSettings) -> tuple[list[str], list[str]]:
    """Names of the feeds found, and the notices."""
    settings = files or (file_settings(),)
    feeds, notices = find_feeds(inbox, source_settings(settings[0], files=settings), QUICK)
    return [feed.path.name for feed in feeds], notices


def test_a_feed_is_described(inbox: Path) -> None:
    put(inbox, "a.csv", b"A,B\n" * 500_000)
    ((feed,), notices) = find_feeds(inbox, source_settings(file_settings()), QUICK)
    assert feed.sha256 == hashlib.sha256(b"A,B\n" * 500_000).hexdigest()
    assert (feed.size, feed.as_at) == (2_000_000, "2026-03-01T00:00:00Z")
    assert feed.settings == file_settings()
    assert notices == []


def test_feeds_come_by_when_they_stood_so_and_then_by_name(inbox: Path) -> None:
    put(inbox, "b.csv", mtime=MARCH + 5)
    put(inbox, "c.csv", mtime=MARCH)
    put(inbox, "a.csv", mtime=MARCH + 5)
    assert find(inbox)[0] == ["c.csv", "a.csv", "b.csv"]


def test_the_first_pattern_that_matches_counts(inbox: Path) -> None:
    put(inbox, "items_1.csv")
    put(inbox, "clients.csv")
    items = file_settings(pattern="items_*.csv", kind="care_item")
    source = source_settings(items, files=(items, file_settings()))
    feeds, _ = find_feeds(inbox, source, QUICK)
    assert {f.path.name: f.settings.kind for f in feeds} == {
        "items_1.csv": "care_item",
        "clients.csv": "client_record",
    }


def test_the_name_tells_when_in_the_source_s_zone(inbox: Path) -> None:
    put(inbox, "clients_20260701.csv")
    put(inbox, "clients_20269999.csv")
    put(inbox, "clients.csv")
    source = source_settings(file_settings(as_at=DATED))
    feeds, notices = find_feeds(inbox, source, QUICK)
    assert [(f.path.name, f.as_at) for f in feeds] == [
        ("clients.csv", "2026-03-01T00:00:00Z"),
        ("clients_20269999.csv", "2026-03-01T00:00:00Z"),
        ("clients_20260701.csv", "2026-06-30T23:00:00Z"),
    ]
    assert notices == ["2 files not named as the settings say: taken as of the last change"]


def test_what_is_left_alone_is_counted_not_named(inbox: Path, tmp_path: Path) -> None:
    for name in ("a.csv.part", "a.TMP", "a.filepart", ".a.csv", "~$a.csv", "a.csv~"):
        put(inbox, name)
    put(inbox, "John Smith.doc")
    os.mkfifo(inbox / "pas" / "pipe.csv")
    (inbox / "pas" / "folder.csv").mkdir()
    (inbox / "pas" / "loop.csv").symlink_to(inbox / "pas" / "loop.csv")
    (tmp_path / "secret.csv").write_bytes(b"x")
    (inbox / "pas" / "out.csv").symlink_to(tmp_path / "secret.csv")
    names, notices = find(inbox)
    assert names == []
    assert notices == [
        "6 files with a temporary name left alone",
        "2 files leading outside the inbox not followed",
        "1 file matching no pattern of the source left alone",
        "1 file not regular, or gone, left alone",
        "1 folder named like a feed not looked into",
    ]


def test_a_link_inside_the_inbox_is_followed(inbox: Path) -> None:
    (inbox / "archive").mkdir()
    target = inbox / "archive" / "a.csv"
    target.write_bytes(b"x")
    os.utime(target, (MARCH, MARCH))
    (inbox / "pas" / "a.csv").symlink_to(target)
    assert find(inbox) == (["a.csv"], [])


def test_a_source_s_folder_missing_or_elsewhere(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    assert find(inbox) == ([], ["inbox/pas is not there"])
    (tmp_path / "elsewhere").mkdir()
    (inbox / "pas").symlink_to(tmp_path / "elsewhere")
    assert find(inbox) == ([], ["inbox/pas leads outside the inbox and was not followed"])


def test_a_young_file_is_waited_for_once(inbox: Path) -> None:
    put(inbox, "a.csv", mtime=time.time())
    put(inbox, "ahead.csv", mtime=time.time() + 9_999)
    begun = time.monotonic()
    assert find(inbox)[0] == ["a.csv", "ahead.csv"]
    assert 0.1 < time.monotonic() - begun < 5


def test_old_files_are_not_waited_for(inbox: Path) -> None:
    put(inbox, "a.csv")
    source = source_settings(file_settings())
    begun = time.monotonic()
    find_feeds(inbox, source, Limits(settle_seconds=30))
    assert time.monotonic() - begun < 10


def test_a_file_still_being_written_is_left(inbox: Path) -> None:
    path = put(inbox, "a\nb.csv", mtime=time.time())
    put(inbox, "c.csv")
    writer = threading.Timer(0.05, path.write_bytes, [b"more"])
    writer.start()
    names, notices = find(inbox)
    writer.join()
    assert names == ["c.csv"]
    assert notices == ["a?b.csv is still being written; left for the next run"]


def test_a_file_that_goes_away_is_left(inbox: Path) -> None:
    path = put(inbox, "a.csv", mtime=time.time())
    remover = threading.Timer(0.05, path.unlink)
    remover.start()
    names, notices = find(inbox)
    remover.join()
    assert (names, len(notices)) == ([], 1)
    assert notices[0].startswith("a.csv could not be read")
