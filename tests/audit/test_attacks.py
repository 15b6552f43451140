"""Attacks on the files of a log: every one is detected."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from audit.verifier import check_log
from tests.audit.attacks import shows
from tests.audit.small_log import BOTH, SmallLog, entries, entry, log_key

FORTY, THOUSAND, FLIPS = 40, 1_000, 2_000


def made(folder: Path, count: int) -> SmallLog:
    """A log in several steps, its key rotated on the way, with what a witness signed."""
    log = SmallLog(folder)
    log.cosign(log.publish(entries(count // 4)))
    log.keys = ("log/1", "log/2")
    log.cosign(log.publish(entries(count // 4, count // 4)))
    log.cosign(log.publish(entries(count - count // 2, count // 2)))
    keep_current(log.folder, count)
    return log


def keep_current(folder: Path, count: int) -> None:
    """Takes superseded partial tiles away: nobody reads them any more."""
    for path in [p for p in folder.rglob("*") if p.is_file() and p.parent.name.endswith(".p")]:
        level = path.relative_to(folder / "tile").parts[0]
        size = count if level == "entries" else count >> 8 * int(level)
        whole, width = path.parent.with_suffix(""), int(path.name)
        if whole.exists() or width != size % 256:
            path.unlink()


def files(log: SmallLog) -> list[Path]:
    return sorted(path for path in log.folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallLog:
    return made(tmp_path_factory.mktemp("forty") / "log", FORTY)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> SmallLog:
    return made(tmp_path_factory.mktemp("thousand") / "log", THOUSAND)


@pytest.fixture
def copied(large: SmallLog, tmp_path: Path) -> Path:
    return Path(shutil.copytree(large.folder, tmp_path / "log"))


def sound(folder: Path) -> bool:
    return check_log(folder, [*BOTH, log_key("log/2")]).sound


def flipped_is_found(log: SmallLog, path: Path, at: int, mask: int) -> bool:
    right = path.read_bytes()
    path.write_bytes(right[:at] + bytes([right[at] ^ mask]) + right[at + 1 :])
    try:
        return not sound(log.folder)
    finally:
        path.write_bytes(right)


@pytest.mark.slow
@shows("a byte of any file of the log is flipped")
def test_every_byte_of_a_log_of_forty(small: SmallLog) -> None:
    generator = random.Random(40)
    assert sound(small.folder)
    names = {path.relative_to(small.folder).parts[0] for path in files(small)}
    assert names == {"checkpoint", "tile", "vkeys", "witnessed"}
    missed = [
        (path.name, at)
        for path in files(small)
        for at in range(path.stat().st_size)
        if not flipped_is_found(small, path, at, generator.randrange(1, 256))
    ]
    assert missed == []
    assert sound(small.folder)


@pytest.mark.slow
@shows("a byte of any file of the log is flipped")
def test_two_thousand_bytes_of_a_log_of_a_thousand(large: SmallLog) -> None:
    generator = random.Random(1_000)
    assert sound(large.folder)
    places = [(path, at) for path in files(large) for at in range(path.stat().st_size)]
    chosen = generator.sample(places, FLIPS)
    missed = [
        (path.name, at)
        for path, at in chosen
        if not flipped_is_found(large, path, at, 1 << generator.randrange(8))
    ]
    assert missed == []


@shows("a byte of any file of the log is flipped")
def test_every_file_lost_and_every_file_longer(copied: Path) -> None:
    for path in sorted(p for p in copied.rglob("*") if p.is_file()):
        right = path.read_bytes()
        path.write_bytes(right + b"\n")
        assert not sound(copied), path
        if path.parent.name != "witnessed":  # its loss shows in `audit status`
            path.unlink()
            assert not sound(copied), path
        path.write_bytes(right)
    assert sound(copied)


def rewritten(folder: Path, changed: list[bytes]) -> None:
    """The files of these entries, with everything that can be worked out without the key."""
    note = (folder / "checkpoint").read_bytes()
    forged = SmallLog(folder.with_name("forged"), keys=("log/1", "log/2"))
    forged.publish(changed)
    shutil.rmtree(folder / "tile")
    shutil.move(forged.folder / "tile", folder / "tile")
    (folder / "checkpoint").write_bytes(note)


@shows("an entry is taken out of the files")
@pytest.mark.parametrize("at", [0, 255, 256, 700, 999])
def test_an_entry_taken_out(copied: Path, large: SmallLog, at: int) -> None:
    rewritten(copied, large.entries[:at] + large.entries[at + 1 :])
    assert not sound(copied)


@shows("an entry is taken out of the files")
def test_an_entry_taken_out_and_another_put_in_at_the_end(copied: Path, large: SmallLog) -> None:
    rewritten(copied, [*large.entries[:500], *large.entries[501:], entry(5_000)])
    assert not sound(copied)


@shows("entries of the files change places")
@pytest.mark.parametrize(("one", "other"), [(0, 1), (255, 256), (3, 999)])
def test_entries_that_change_places(copied: Path, large: SmallLog, one: int, other: int) -> None:
    changed = list(large.entries)
    changed[one], changed[other] = changed[other], changed[one]
    rewritten(copied, changed)
    assert not sound(copied)


@shows("an entry of the files stands twice")
def test_an_entry_that_stands_twice(copied: Path, large: SmallLog) -> None:
    rewritten(copied, [*large.entries[:10], large.entries[9], *large.entries[11:]])
    assert not sound(copied)
    rewritten(copied, [*large.entries, large.entries[-1]])
    assert not sound(copied)


@shows("the files are cut short")
def test_files_that_are_cut_short(copied: Path, large: SmallLog) -> None:
    rewritten(copied, large.entries[:900])
    assert not sound(copied)


@shows("a checkpoint is signed with a key that is not the log's")
def test_a_checkpoint_signed_with_another_key(copied: Path, large: SmallLog) -> None:
    forged = SmallLog(copied.with_name("forged"), keys=("mine",))
    forged.publish([*large.entries[:-1], entry(5_000)])
    shutil.rmtree(copied)
    shutil.copytree(forged.folder, copied)
    assert check_log(copied).sound  # by the keys that lie with it: they prove nothing
    assert not check_log(copied, [log_key()]).sound
