"""The sequencer: in any steps, after any crash, beside others; and what it never signs."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.checkpoints import parse_checkpoint
from audit.merkle import is_consistent, is_included
from audit.notes import parse_note
from schemas.errors import AuditBroken, InvalidValue, NotFound, StoreError
from store import log_files, sequencer
from store.keyring import KEY_FILE, KEYSTORE_FILE, FileKey, open_keyring
from store.log_keys import LogKey, LogKeys, take_over
from store.sequencer import SequencerThread
from tests.audit import naive_tree as naive
from tests.audit.logs import ORIGIN, Log, entry


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = Log(tmp_path)
    yield made
    made.ring.close()


def rooted(count: int) -> bytes:
    return naive.mth([entry(n) for n in range(count)])


def test_nothing_is_signed_before_the_first_event(log: Log) -> None:
    assert log.sequencer.publish() is None
    assert log.log.size() == 0
    with pytest.raises(NotFound, match="no checkpoint"):
        log.log.note()


def test_proofs_and_entries_at_every_size(log: Log) -> None:
    roots = {}
    for size in (1, 3, 256, 300, 900):
        roots[size] = log.publish(size)
        assert roots[size] == rooted(size) == log.log.root(size)
        assert log.log.checkpoint() == parse_checkpoint(parse_note(log.log.note()).text)
        for old, root in roots.items():
            assert is_consistent(old, size, log.log.consistency(old), root, roots[size])
        for leaf in (0, size - 1, size // 2):
            proof = log.log.prove(leaf)
            assert proof.entry == entry(leaf)
            assert is_included(leaf, size, proof.leaf_hash, proof.hashes, roots[size])
    assert [one for part in log.log.entries(250, 600) for one in part] == [
        entry(n) for n in range(250, 600)
    ]
    assert not list(log.log.entries(5, 5))
    assert log.log.prove(2, 3).hashes == tuple(naive.path(2, [entry(n) for n in range(3)]))


@pytest.mark.parametrize(("leaf", "size"), [(900, None), (-1, None), (3, 3), (0, 0), (0, 901)])
def test_what_cannot_be_proven(log: Log, leaf: int, size: int | None) -> None:
    log.publish(900)
    with pytest.raises(NotFound):
        log.log.prove(leaf, size)
    with pytest.raises(NotFound):
        log.log.consistency(leaf + 1 if leaf > 5 else 0, size)


def test_a_step_is_never_longer_than_the_longest(log: Log, monkeypatch: Any) -> None:
    monkeypatch.setattr(sequencer, "TOGETHER", 512)
    asked, entries = list[int](), log.events.entries
    monkeypatch.setattr(log.events, "entries", lambda a, b: (asked.append(b - a), entries(a, b))[1])
    assert log.publish(3_000) == rooted(3_000)
    assert max(asked) == 512


def test_unfinished_tiles_go_when_the_full_one_is_signed(log: Log) -> None:
    for size in (10, 20, 255, 256, 257):
        log.publish(size)
    paths = {str(p.relative_to(log.folder)) for p in (log.folder / "tile").rglob("*")}
    assert {"tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1", "tile/entries/000"} <= paths
    assert not any("000.p" in path for path in paths if not path.startswith("tile/1/"))


def test_unfinished_tiles_of_a_sequencer_that_died_go_at_the_next_run(log: Log) -> None:
    log.publish(256)
    left = log.folder / "tile/0/000.p"
    left.mkdir()
    (left / "7").write_bytes(bytes(7 * 32))
    log.reopen()
    log.publish(257)
    assert not left.exists()


def test_only_one_of_two_takes_the_events_in(log: Log) -> None:
    log.publish(5)
    assert log.sequencer.checkpoint() is not None
    log.events.grow(9)
    with log.files.elected() as mine:
        assert mine
        other = sequencer.Sequencer(log_files.LogFiles(log.folder), log.keys, log.events)
        found = other.publish()
        assert found is not None
        assert found.size == 5
        with pytest.raises(StoreError, match="at work"):
            other.mend()
    found = other.publish()
    assert found is not None
    assert found.size == 9
    # The first has not seen that, and goes on from what is there: not from what it signed itself.
    assert log.sequencer.checkpoint() == found
    late = log.events.held[7:]
    del log.events.held[7:]
    with pytest.raises(AuditBroken, match="holds 7 events, 9 were signed"):
        log.sequencer.publish()
    log.events.held += late
    assert log.publish(12) == rooted(12)


def test_two_threads_at_once_make_one_log(log: Log) -> None:
    others = [sequencer.Sequencer(log.files, log.keys, log.events) for _ in range(2)]
    log.publish(1)

    def at_work(one: sequencer.Sequencer) -> None:
        for _ in range(30):
            one.publish()

    threads = [threading.Thread(target=at_work, args=(one,)) for one in others]
    for thread in threads:
        thread.start()
    for count in range(10, 700, 30):
        log.events.grow(count)
    for thread in threads:
        thread.join()
    assert log.publish(700) == rooted(700)


# --- what is never signed -----------------------------------------------------------------------


def refused(log: Log, words: str) -> None:
    """Publishing is refused, and everything is as it was; to one that was at work as to another."""
    before = {p: p.read_bytes() for p in log.folder.rglob("*") if p.is_file()}
    for again in range(2):
        with pytest.raises(AuditBroken, match=words):
            log.sequencer.publish()
        if not again:
            log.reopen()
    assert before == {p: p.read_bytes() for p in log.folder.rglob("*") if p.is_file()}


def test_a_database_that_holds_fewer_events(log: Log) -> None:
    log.publish(300)
    del log.events.held[299:]
    refused(log, "holds 299 events, 300 were signed")


@pytest.mark.parametrize("size", [1, 10, 256, 300, 512])
def test_a_database_that_holds_another_event(log: Log, size: int) -> None:
    """Also where the last bundle is full, and where the database has grown since."""
    log.publish(size)
    log.events.held[size - 1] = entry(10**6)
    log.events.grow(size + 20)
    refused(log, f"leaf {size - 1} is another event in the database")


def test_a_database_that_was_put_back_and_wrote_on(log: Log) -> None:
    log.publish(256)
    del log.events.held[200:]
    log.events.held += [entry(10**6 + n) for n in range(100)]
    refused(log, "leaf 200 is another event")


@pytest.mark.parametrize("path", ["tile/1/000.p/2", "tile/0/002.p/88"])
def test_tiles_that_were_changed(log: Log, path: str) -> None:
    """A changed unfinished tile of hashes of entries is only noticed by those who read it: the
    sequencer works from the entries."""
    log.publish(600)
    file = log.folder / path
    whole = file.read_bytes()
    file.write_bytes(bytes(32) + whole[32:])
    log.events.grow(601)
    log.reopen()
    if path.startswith("tile/1"):
        refused(log, "tiles do not give the root")
    else:
        assert log.publish(601) == rooted(601)


@pytest.mark.parametrize("path", ["tile/1/000.p/2", "tile/entries/002.p/88"])
def test_tiles_that_are_gone(log: Log, path: str) -> None:
    log.publish(600)
    (log.folder / path).unlink()
    log.reopen()
    if "entries" in path:
        log.events.held[599] = entry(0)
    log.events.grow(601)
    refused(log, "is missing")


def changed(log: Log, old: bytes, new: bytes) -> None:
    file = log.folder / "checkpoint"
    data = file.read_bytes()
    assert old in data
    file.write_bytes(data.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"\n300\n", b"\n299\n", "does not hold"),
        (b"\n300\n", b"\n0300\n", "altered"),
        (b"avonmere", b"elsewhere", "another log"),
        ("— avonmere".encode(), "— elsewhere".encode(), "no known key"),
        (b"\n\n", b"\n", "altered"),
    ],
)
def test_a_checkpoint_that_was_altered(log: Log, old: bytes, new: bytes, words: str) -> None:
    log.publish(300)
    changed(log, old, new)
    log.events.grow(301)
    refused(log, words)
    with pytest.raises(AuditBroken, match=words):
        log.log.checkpoint()


def test_a_log_that_was_signed_is_not_signed_by_new_keys_alone(log: Log, tmp_path: Path) -> None:
    log.publish(300)
    other = Log(tmp_path / "other")
    shutil.copytree(log.folder, other.folder)
    other.events.grow(301)
    refused(other, "no known key")
    assert not other.keys.listed()
    other.ring.close()


def test_a_log_folder_that_is_lost_is_made_anew_from_the_database(log: Log) -> None:
    root, note = log.publish(700), log.log.note()
    shutil.rmtree(log.folder)
    log.reopen()
    assert log.publish(700) == root
    assert log.log.note() == note


# --- mending ------------------------------------------------------------------------------------


def test_files_are_mended_from_a_database_that_is_whole(log: Log, monkeypatch: Any) -> None:
    monkeypatch.setattr(sequencer, "TOGETHER", 512)
    assert log.sequencer.mend() == 0
    for size in (1_000, 1_500):
        log.publish(size)
    assert log.sequencer.mend() == 0
    (log.folder / "tile/1/000.p/5").unlink()
    (log.folder / "tile/0/002").write_bytes(b"")
    (log.folder / "tile/entries/001").write_bytes(bytes(300))
    assert log.sequencer.mend() == 3
    assert log.sequencer.mend() == 0
    assert log.publish(1_501) == rooted(1_501)


def test_files_are_not_mended_from_a_database_that_was_changed(log: Log) -> None:
    log.publish(700)
    log.events.held[3] = entry(10**6)
    before = {p: p.read_bytes() for p in log.folder.rglob("*") if p.is_file()}
    with pytest.raises(AuditBroken, match="does not hold"):
        log.sequencer.mend()
    del log.events.held[600:]
    with pytest.raises(AuditBroken, match="does not hold"):
        log.sequencer.mend()
    assert before == {p: p.read_bytes() for p in log.folder.rglob("*") if p.is_file()}


# --- keys ---------------------------------------------------------------------------------------


def signers(log: Log) -> int:
    return len(parse_note(log.log.note()).signatures)


def vkeys(log: Log, name: str = "vkeys") -> list[str]:
    return (log.folder / name).read_text().splitlines()


def test_keys_are_added_beside_one_another_and_retired(log: Log) -> None:
    log.publish(3)
    assert [(key.number, key.signs) for key in log.keys.listed()] == [(1, True)]
    first = log.keys.listed()[0].verifier
    assert vkeys(log) == [first.vkey()]
    with pytest.raises(InvalidValue, match="only one"):
        log.keys.retire(1)
    second = log.keys.add().verifier
    assert signers(log) == 1
    log.publish(3)
    assert signers(log) == 2
    assert vkeys(log) == [first.vkey(), second.vkey()]
    log.keys.retire(1)
    root = log.publish(3)
    assert signers(log) == 1
    assert (vkeys(log), vkeys(log, "vkeys.retired")) == ([second.vkey()], [first.vkey()])
    with pytest.raises(NotFound, match="no key 1"):
        log.keys.retire(1)
    assert log.keys.add().number == 3
    log.reopen()
    assert log.publish(3) == root
    assert [(key.number, key.signs) for key in log.keys.listed()] == [
        (1, False), (2, True), (3, True),
    ]  # fmt: skip


def test_two_keys_retired_at_once_leave_one_that_signs(log: Log, tmp_path: Path) -> None:
    """Each process has looked at the keys before the other retires its own."""
    log.publish(3)
    log.keys.add()
    looked, ended = threading.Barrier(2), []

    def retire(number: int) -> None:
        ring = open_keyring(tmp_path / "keys", FileKey(tmp_path / "keys" / KEY_FILE))
        keys = LogKeys(ring, ORIGIN)
        listed = keys.listed()

        def listed_before() -> list[LogKey]:
            looked.wait(30)
            return listed

        keys.listed = listed_before  # type: ignore[method-assign]
        try:
            keys.retire(number)
            ended.append("retired")
        except InvalidValue:
            ended.append("the only one")
        finally:
            ring.close()

    threads = [threading.Thread(target=retire, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(ended) == ["retired", "the only one"]
    assert len([key for key in log.keys.listed() if key.signs]) == 1
    log.reopen()
    log.publish(4)
    assert signers(log) == 1


def test_nothing_is_signed_by_no_key(log: Log) -> None:
    log.publish(3)
    before = log.log.note()
    public = log.keys.listed()[0].verifier.public
    log.ring.keep_secrets({"log/1/retired": public}, dropped=["log/1"])
    log.events.grow(5)
    log.reopen()
    with pytest.raises(StoreError, match="no key signs it"):
        log.sequencer.publish()
    assert log.log.note() == before


def test_the_private_half_of_a_retired_key_is_nowhere(log: Log, tmp_path: Path) -> None:
    log.publish(3)
    log.keys.add()
    wrapped = log.ring.keystore.fixed()["log/1"]
    secret = log.ring.secrets("log/1")["log/1"]
    held = b"".join(p.read_bytes() for p in (tmp_path / "keys").glob("keystore.db*"))
    assert wrapped in held
    log.keys.retire(1)
    held = b"".join(p.read_bytes() for p in (tmp_path / "keys").glob("keystore.db*"))
    assert wrapped not in held
    assert secret not in log.ring.secrets("log/").values()


def test_a_key_retired_while_the_keystore_was_in_use_goes_the_next_time(
    log: Log, tmp_path: Path
) -> None:
    log.publish(3)
    log.keys.add()
    wrapped = log.ring.keystore.fixed()["log/1"]
    with closing(sqlite3.connect(tmp_path / "keys" / KEYSTORE_FILE)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM fixed_key").fetchone()
        with pytest.raises(StoreError, match="another program is reading"):
            log.keys.retire(1)
    with pytest.raises(NotFound, match="no key 1"):
        log.keys.retire(1)
    held = b"".join(p.read_bytes() for p in (tmp_path / "keys").glob("keystore.db*"))
    assert wrapped not in held
    assert [key.signs for key in log.keys.listed()] == [False, True]


def test_two_copies_that_retired_each_others_key_leave_one_that_signs(
    log: Log, tmp_path: Path
) -> None:
    log.publish(3)
    log.keys.add()
    shutil.copytree(tmp_path / "keys", tmp_path / "copy")
    copy = open_keyring(tmp_path / "copy", FileKey(tmp_path / "copy" / KEY_FILE))
    log.keys.retire(1)
    LogKeys(copy, ORIGIN).retire(2)
    take_over(log.ring, copy)
    copy.close()
    assert [(key.number, key.signs) for key in log.keys.listed()] == [(1, False), (2, True)]
    log.reopen()
    log.publish(4)
    assert signers(log) == 1


def test_a_log_keeps_its_name(log: Log) -> None:
    log.publish(3)
    assert type(log.keys)(log.ring, "", "new/name").origin == ORIGIN
    assert type(log.keys)(log.ring, "asked/name").origin == "asked/name"


# --- what fails ---------------------------------------------------------------------------------

CALLS = ("mkdir", "open", "write", "fsync", "close", "rename")


class Disk:
    """Lets the nth call of a kind fail, of those that the log's files make."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts = dict.fromkeys(CALLS, 0)
        self.fails: tuple[str, int] | None = None
        for name in ("open", "write", "fsync", "close"):
            monkeypatch.setattr(log_files.os, name, self._counted(name, getattr(os, name)))
        for name in ("mkdir", "rename"):
            monkeypatch.setattr(Path, name, self._counted(name, getattr(Path, name)))

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.counts[name] += 1
            if (name, self.counts[name]) == self.fails:
                if name == "close":
                    real(*arguments)
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*arguments, **options)

        return call


def test_whatever_call_fails_the_next_run_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call of a publication over a full tile fails once. The checkpoint stays that of before
    or is the new one, and both can be proven from what is there."""
    made = Log(tmp_path / "first")
    made.publish(250)
    disk = Disk(monkeypatch)
    shutil.copytree(made.folder, tmp_path / "kept")
    made.publish(530)
    total = {name: count for name, count in disk.counts.items() if name != "open"}
    assert all(total.values())
    for name, calls in total.items():
        for nth in range(1, calls + 1):
            shutil.rmtree(made.folder)
            shutil.copytree(tmp_path / "kept", made.folder)
            made.reopen()
            disk.counts = dict.fromkeys(CALLS, 0)
            disk.fails = name, nth
            # What fails as superseded tiles are removed does not matter.
            with suppress(StoreError):
                made.sequencer.publish()
            disk.fails = None
            size = made.log.size()
            assert size in (250, 530)
            assert made.log.root(size) == rooted(size)
            assert is_included(9, size, made.log.prove(9).leaf_hash, made.log.prove(9).hashes,
                               rooted(size))  # fmt: skip
            assert made.publish(530) == rooted(530)
    made.ring.close()


@pytest.mark.parametrize("name", ["write", "fsync", "rename"])
def test_a_call_that_fails_among_many_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Many files are written by several threads: one that fails is heard of."""
    made = Log(tmp_path)
    made.publish(250)
    made.events.grow(9_000)
    disk = Disk(monkeypatch)
    disk.fails = name, 20
    with pytest.raises(StoreError, match="cannot be written"):
        made.sequencer.publish()
    disk.fails = None
    assert made.log.size() == 250
    assert made.publish(9_000) == rooted(9_000)
    made.ring.close()


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=5), st.integers(0, 3))
def test_any_steps_with_restarts(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], again: int
) -> None:
    made = Log(tmp_path_factory.mktemp("log"))
    size = 0
    for n, step in enumerate(steps):
        size += step
        if n % 4 == again:
            made.reopen()
        root = made.publish(size)
    assert root == rooted(size)
    made.ring.close()


# --- the thread ---------------------------------------------------------------------------------


def test_the_thread_publishes_and_a_last_time_at_the_end(log: Log) -> None:
    seen = threading.Event()

    def publish() -> None:
        log.sequencer.publish()
        if log.events.event_count() == 3:
            seen.set()

    with SequencerThread(publish, lambda _: None, pause=0.01):
        log.events.grow(3)
        assert seen.wait(10)
        log.events.grow(7)
    assert log.log.size() == 7


def test_the_thread_tells_of_a_trouble_once(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    log.publish(5)
    del log.events.held[4:]
    alarms, turns = list[str](), threading.Semaphore(0)

    def publish() -> None:
        turns.release()
        log.sequencer.publish()

    def alarm(error: Exception) -> None:
        alarms.append(str(error))
        raise StoreError("the database is away")

    with SequencerThread(publish, alarm, pause=0.01):
        for _ in range(3):
            assert turns.acquire(timeout=10)
    assert len(alarms) == 1
    assert "holds 4 events, 5 were signed" in alarms[0]
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "the audit log was not published", "nor could the alarm be written down",
    ]  # fmt: skip
