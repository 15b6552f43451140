"""What bears a new name is found after a power cut: the file is made durable, and so is each folder
in which a name is new."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import backup
from store.journal import Journal
from store.keyring import KEY_FILE, FileKey, create_keyring
from tests.audit.logs import Log


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """What was made durable, in order; a file by the name it had then."""
    real, paths = os.fsync, list[Path]()

    def fsync(handle: int) -> None:
        paths.append(Path(os.readlink(f"/proc/self/fd/{handle}")))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "fdatasync", fsync)
    return paths


def test_of_the_second_journal(tmp_path: Path, synced: list[Path]) -> None:
    keys = create_keyring(tmp_path / "keys", FileKey(tmp_path / "keys" / KEY_FILE))
    journal = Journal(tmp_path / "new" / "second", keys.journal)
    synced.clear()
    journal.append([(b"salt", b"{}")])
    (file,) = journal.folder.iterdir()
    assert {file, journal.folder, journal.folder.parent, tmp_path} <= {*synced}
    synced.clear()
    journal.append([(b"salt", b"{}")])
    assert synced == [file]
    journal.close()
    keys.close()


def test_a_folder_of_the_journal_that_was_not_durable_is_made_so_with_the_next_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an error the folder is there, and nobody knows whether its name lasts."""
    keys = create_keyring(tmp_path / "keys", FileKey(tmp_path / "keys" / KEY_FILE))
    real, paths, failing = os.fsync, list[Path](), {tmp_path}

    def fsync(handle: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        if path in failing:
            failing.remove(path)
            raise OSError(5, "input/output error")
        paths.append(path)
        real(handle)

    journal = Journal(tmp_path / "new" / "second", keys.journal)
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="input/output"):
        journal.append([(b"salt", b"{}")])
    paths.clear()
    journal.append([(b"salt", b"{}")])
    assert {journal.folder, journal.folder.parent, tmp_path} <= {*paths}
    journal.close()
    # Nor whether whoever made it came so far: it may have been killed.
    journal = Journal(tmp_path / "new" / "second", keys.journal)
    paths.clear()
    journal.append([(b"salt", b"{}")])
    assert {journal.folder, journal.folder.parent} <= {*paths}
    journal.close()
    keys.close()


def test_of_the_published_log(tmp_path: Path, synced: list[Path]) -> None:
    log = Log(tmp_path)
    log.publish(3)
    written = [path for path in log.folder.rglob("[!.]*") if path.is_file()]
    folders = {at for path in written for at in path.parents if at.is_relative_to(log.folder)}
    assert {path.with_name(f".{path.name}.part") for path in written} <= {*synced}
    assert {*folders, log.folder.parent} <= {*synced}
    assert log.folder in folders
    # A list of keys that is there may be of somebody who died before it was durable.
    (log.folder / "checkpoint").unlink()
    log.reopen()
    synced.clear()
    log.publish(3)
    log.ring.close()
    assert {log.folder / ".vkeys.part", log.folder} <= {*synced}


def test_of_a_backup(tmp_path: Path, synced: list[Path]) -> None:
    part, place = begun(tmp_path)
    backup._finish(part, place)
    assert {part / "tables" / "a", part / "tables", part} <= {*synced}
    assert (synced[-1], place.is_dir(), part.exists()) == (tmp_path, True, False)


def test_a_backup_whose_name_may_not_last_bears_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, place = begun(tmp_path)

    def fails(path: Path) -> None:
        if path == tmp_path:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(backup, "make_durable", fails)
    with pytest.raises(OSError, match="Input/output"):
        backup._finish(part, place)
    assert (place.exists(), (part / "tables" / "a").read_bytes()) == (False, b"rows")


def begun(folder: Path) -> tuple[Path, Path]:
    """A backup that was not given its name yet, and where it is to be."""
    part = folder / ".backup.part"
    (part / "tables").mkdir(parents=True)
    (part / "tables" / "a").write_bytes(b"rows")
    return part, folder / "backup"
