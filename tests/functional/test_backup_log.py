"""The audit log after a restore: it goes on where it was signed, or says that it cannot."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audit.events import AUDIT_ERASE
from audit.merkle import is_consistent
from schemas.errors import AuditBroken
from tests.audit import naive_tree as naive
from tests.contract.conftest import DATABASES
from tests.functional import road
from tests.functional.log_faults import event
from tests.functional.small import new_workspace
from tests.functional.test_backup import as_role, restored, saved
from wiring import open_workspace


@dataclass(frozen=True)
class Signed:
    """What an outside reader might have kept."""

    size: int
    root: bytes


@pytest.fixture
def partnership(tmp_path: Path) -> Path:
    root = new_workspace(tmp_path / "p")
    write(root, 300)
    return root


def write(root: Path, count: int) -> None:
    with open_workspace(root).store() as store:
        for n in range(count):
            store.append_event(event(f"{n}"))


def signed(root: Path) -> Signed:
    workspace = open_workspace(root)
    with workspace.store() as store:
        found = workspace.log(store).publish()
    assert found is not None
    return Signed(found.size, found.root)


def held(root: Path) -> list[bytes]:
    with road.opened(root) as store:
        return store.entries(0, store.event_count())


def consistent(root: Path, before: Signed) -> bool:
    """Whether the log as it stands goes on from what was kept, and is that of its database."""
    now = signed(root)
    workspace = open_workspace(root)
    with workspace.store() as store:
        log = workspace.log(store)
        path = log.consistency(before.size, now.size)
        published = [one for part in log.entries(0, now.size) for one in part]
        assert naive.mth(store.entries(0, now.size)) == now.root == naive.mth(published)
    return is_consistent(before.size, now.size, path, before.root, now.root)


def told(root: Path) -> dict[str, Any]:
    """What the restore's event says."""
    details: dict[str, Any] = road.events(root)[-1]["details"]
    return details


def test_a_log_that_outlived_its_database_goes_on(partnership: Path) -> None:
    """The events are lost, the log knows that they were, and nobody outside sees a fork."""
    out, keys = saved(partnership)
    assert {p.name for p in (out / "log").iterdir()} >= {"checkpoint", "vkeys"}
    at_backup = signed(partnership).size
    write(partnership, 250)
    later = signed(partnership)
    restored(partnership, out, keys, "--replace")
    assert consistent(partnership, later)
    assert not list(partnership.glob("log.set-aside-*"))
    lost = [one for one in road.events(partnership) if one["action"] == AUDIT_ERASE]
    # The backup's own event came after the database was saved.
    assert [one["details"]["leaves"] for one in lost] == [[[at_backup - 1, later.size - 1]]]
    assert told(partnership)["lost"] == later.size - at_backup + 1
    write(partnership, 300)
    assert consistent(partnership, later)
    as_role(partnership, "ig_officer")
    checked = road.done(partnership, "audit", "verify", "--json").document
    assert checked["erased"] == later.size - at_backup + 1


@pytest.mark.parametrize("kind", DATABASES)
def test_a_log_that_is_lost_too_goes_on_from_the_backup(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    more = {}
    if kind == "postgresql":
        more["database"] = request.getfixturevalue("postgres_url")
    root = new_workspace(tmp_path / "p", **more)
    write(root, 600)
    before = signed(root)
    out, keys = saved(root)
    shutil.rmtree(root / "log")
    restored(root, out, keys, "--replace")
    assert told(root)["log"] == "from the backup"
    assert consistent(root, before)


def test_into_another_place(partnership: Path, tmp_path: Path) -> None:
    before = signed(partnership)
    out, keys = saved(partnership)
    restored(partnership, out, keys, "--into", tmp_path / "elsewhere")
    assert consistent(tmp_path / "elsewhere", before)
    assert consistent(partnership, before)


@pytest.mark.parametrize("path", ["tile/entries/000", "checkpoint"])
def test_a_folder_that_was_altered_is_set_aside(partnership: Path, path: str) -> None:
    before = signed(partnership)
    out, keys = saved(partnership)
    write(partnership, 20)
    file = partnership / "log" / path
    altered = bytearray(file.read_bytes())
    altered[50] ^= 1
    file.write_bytes(altered)
    restored(partnership, out, keys, "--replace")
    assert (partnership / "log.set-aside-1" / path).read_bytes() == altered
    assert told(partnership)["log"] == "set aside"
    assert told(partnership)["why"]
    assert consistent(partnership, before)


def test_a_folder_of_another_history_is_set_aside(partnership: Path) -> None:
    """The same keys, but what was signed is not what the database holds."""
    out, keys = saved(partnership)
    shutil.copytree(partnership / "log", partnership.parent / "kept")
    write(partnership, 10)
    other = signed(partnership)
    shutil.rmtree(partnership / "log")
    shutil.copytree(partnership.parent / "kept", partnership / "log")
    restored(partnership, out, keys, "--replace")
    write(partnership, 9)
    forked = signed(partnership)
    assert forked.size >= other.size
    with pytest.raises(AssertionError):
        assert consistent(partnership, other)
    out, keys = saved(partnership, "second")
    restored(partnership, out, keys, "--replace")
    assert consistent(partnership, forked)


def test_keys_that_sign_since_the_backup_sign_on(partnership: Path) -> None:
    out, keys = saved(partnership)
    workspace = open_workspace(partnership)
    with workspace.store() as store:
        log = workspace.log(store)
        log.keys.add()
        log.keys.retire(1)
        vkey = log.verifiers()[1].vkey()
    write(partnership, 5)
    later = signed(partnership)
    restored(partnership, out, keys, "--replace")
    assert consistent(partnership, later)
    assert (partnership / "log" / "vkeys").read_text().split() == [vkey]
    with workspace.store() as store:
        assert [key.signs for key in workspace.log(store).keys.listed()] == [False, True]


def test_a_database_put_back_by_hand_is_not_signed(partnership: Path) -> None:
    """Not by `restore`, which knows the log: a file copied over. Every command says so."""
    shutil.copy(partnership / "partnership.db", partnership.parent / "kept.db")
    write(partnership, 30)
    later = signed(partnership)
    for part in ("-wal", "-shm"):
        Path(f"{partnership / 'partnership.db'}{part}").unlink(missing_ok=True)
    shutil.copy(partnership.parent / "kept.db", partnership / "partnership.db")
    ended = road.run(partnership, "ingest")
    assert ended.code == 0
    assert "nothing more is signed" in ended.said
    assert road.events(partnership)[-1]["action"] == "log-broken"
    with pytest.raises(AuditBroken, match="nothing more is signed"):
        signed(partnership)
    assert f"\n{later.size}\n" in (partnership / "log" / "checkpoint").read_text("utf-8")
