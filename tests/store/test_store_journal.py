"""The second journal's files: what was kept is read, what was not is told."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from store import journal
from store.journal import Journal, is_left, read_journal

KEY, OTHER = AESGCM(b"k" * 32), AESGCM(b"o" * 32)
SALTED = [(bytes([n]) * 32, f'{{"event":{n}}}'.encode() * (n + 1)) for n in range(4)]


def written(folder: Path, batches: list[list[tuple[bytes, bytes]]]) -> Path:
    """The one file of a journal that these went to."""
    one = Journal(folder, KEY)
    for batch in batches:
        one.append(batch)
    one.close()
    (path,) = one.files()
    return path


def told(path: Path, key: AESGCM = KEY, start: int = 0, *, left: bool = True) -> tuple:
    read = read_journal(path, key, start, left=left)
    return [(one.salt, one.told) for one in read.events], list(read.damaged)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.tuples(st.binary(min_size=32, max_size=32), st.binary(max_size=90)),
                         min_size=1, max_size=4), min_size=1, max_size=4))  # fmt: skip
def test_what_is_kept_is_read(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[bytes, bytes]]]
) -> None:
    path = written(tmp_path_factory.mktemp("journal"), batches)
    assert told(path) == ([one for batch in batches for one in batch], [])


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    path = written(tmp_path / "second", [SALTED])
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not any(event in path.read_bytes() for _, event in SALTED)


def test_a_file_that_is_begun_is_never_taken_for_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process that looks at any moment removes nothing that is going to be written to."""
    seen = list[Path]()

    def looked(*_: object) -> None:
        seen.extend(path for path in Journal(tmp_path, KEY).files() if is_left(path))

    for place, name in ((fcntl, "flock"), (os, "fsync"), (os, "write")):
        monkeypatch.setattr(place, name, _after(looked, getattr(place, name)))
    Journal(tmp_path, KEY).append(SALTED[:1])
    assert seen == []
    assert [path.suffix for path in tmp_path.iterdir()] == [journal.SUFFIX]


def _after(looked: Callable[..., None], real: Callable[..., Any]) -> Callable[..., Any]:
    """The call, with a look at the folder before it, but for what the look itself calls."""
    looking = list[bool]()

    def call(*given: Any) -> Any:
        if not looking:
            looking.append(True)
            looked()
            looking.clear()
        return real(*given)

    return call


def test_a_file_that_cannot_be_locked_is_not_left_lying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fails)
    with pytest.raises(OSError, match="No locks"):
        Journal(tmp_path, KEY).append(SALTED[:1])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_written_to_is_not_left(tmp_path: Path) -> None:
    one = Journal(tmp_path, KEY)
    one.append(SALTED[:1])
    (path,) = one.files()
    assert not is_left(path)
    one.close()
    assert is_left(path)
    one.append(SALTED[1:2])
    assert len(one.files()) == 2


@pytest.mark.parametrize("left", [True, False])
def test_torn_at_every_byte(tmp_path: Path, left: bool) -> None:
    path = written(tmp_path, [[one] for one in SALTED])
    whole = path.read_bytes()
    ends = [one.end for one in read_journal(path, KEY, left=True).events]
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        kept = sum(end <= length for end in ends)
        last = ends[kept - 1] if kept else 0
        rest = [(last, length)] if left and length > last else []
        assert told(path, left=left) == (SALTED[:kept], rest)


def test_every_byte_altered_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, [[one] for one in SALTED])
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        events, damaged = told(path)
        assert len(events) == len(SALTED) - 1
        assert [one for one in SALTED if one in events] == events
        assert len(damaged) == 1
        assert damaged[0][0] <= place < damaged[0][1]


def test_read_on_from_where_reading_ended(tmp_path: Path) -> None:
    path = written(tmp_path, [[one] for one in SALTED])
    for number, one in enumerate(read_journal(path, KEY, left=True).events):
        assert told(path, start=one.end) == (SALTED[number + 1 :], [])


def test_other_keys_open_nothing_and_say_so(tmp_path: Path) -> None:
    path = written(tmp_path, [SALTED])
    assert told(path, OTHER) == ([], [(0, path.stat().st_size)])


def test_a_record_moved_does_not_open(tmp_path: Path) -> None:
    path = written(tmp_path, [[one] for one in SALTED])
    first = read_journal(path, KEY, left=True).events[0].end
    whole = path.read_bytes()
    path.write_bytes(whole[first:])
    assert told(path)[0] == []
    other = path.with_name("other.journal")
    other.write_bytes(whole)
    assert told(other)[0] == []


def test_after_an_error_another_file_is_begun(tmp_path: Path) -> None:
    one = Journal(tmp_path, KEY)
    one.append(SALTED[:1])
    (first,) = one.files()
    size = first.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            one.append(SALTED[1:2])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert told(first) == (SALTED[:1], [])
    one.append(SALTED[2:3])
    (second,) = (path for path in one.files() if path != first)
    assert told(second, left=False) == (SALTED[2:3], [])
    one.close()


def test_an_error_of_the_disc_is_no_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Journal(tmp_path, KEY)
    one.append(SALTED[:1])

    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fails)
        with pytest.raises(OSError, match="Input/output"):
            one.append(SALTED[1:2])
    (path,) = one.files()
    assert told(path) == (SALTED[:1], [])
    assert is_left(path)


def test_a_file_that_does_not_close_keeps_what_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = Journal(tmp_path, KEY)
    one.append(SALTED)
    real = os.close

    def fails(handle: int) -> None:
        real(handle)
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(journal.os, "close", fails)
        one.close()
    (path,) = one.files()
    assert told(path) == (SALTED, [])
    assert [
        path.name in x.getMessage() and "durable" in x.getMessage() for x in caplog.records
    ] == [True]
    one.append(SALTED[:1])
    assert len(one.files()) == 2
    one.close()


def test_a_folder_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "second").write_text("a file")
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the system
        Journal(tmp_path / "second", KEY).append(SALTED)
    assert Journal(tmp_path / "none", KEY).files() == []


def test_nobody_removes_what_is_written_to(tmp_path: Path) -> None:
    """The lock is the file's own: it holds against the same process too."""
    one = Journal(tmp_path, KEY)
    one.append(SALTED[:1])
    (path,) = one.files()
    with path.open("rb") as again, pytest.raises(BlockingIOError):
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    one.close()
    journal.remove(path)
    journal.remove(path)
    assert one.files() == []
