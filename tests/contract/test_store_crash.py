"""A process killed at any moment leaves what its successor completes to the same content.

The child processes here are real and die by SIGKILL; what they share with the test is the database
and the keys.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection

from store import publishing
from store.database import Database
from store.dump import logical_dump
from store.keyring import KEY_FILE, FileKey, KeyRing, create_keyring, open_keyring
from store.sql_store import SqlStore, open_store
from tests.contract.conftest import DATABASES, FreshUrl
from tests.processes import split_off
from tests.store_samples import (
    Bad,
    Unit,
    client,
    day,
    item,
    load,
    merge,
    one,
    publication,
    publish,
    staff,
    unmerge,
    withdraw,
)

CHUNK_ROWS = 2
FOUNDED = [("P1", 1), ("P2", 3), ("P3", 4)]
OPENED = [(1, "P1"), (2, "P1"), (3, "P2"), (4, "P3")]


def work(store: SqlStore, step: str) -> None:
    """What a nightly run does to the store, small."""
    if step == "load":
        units: list[Unit] = [one(client(str(n)), day(1)) for n in range(1, 5)]
        units += [one(client("2", "Changed"), day(3)), one(merge("1", "2")), one(Bad())]
        units += [one(item("i", "1")), one(staff("s")), one(client("2", "Older"), day(2))]
        units += [one(withdraw("4"), day(4)), one(unmerge("1", "2")), one(withdraw("9"), day(4))]
        units += [one(client("9"), day(2)), one(client("4", "Back"), day(5))]
        load(store, units, size=2)
    else:
        if store.last_run() is None:
            publish(store, publication(FOUNDED, OPENED))
        tasks = [(1, 2, 1.0, "a"), (1, 3, 2.0, "b"), (2, 3, 3.0, "c")]
        moved = [(1, "P9"), (2, "P3"), (3, "P3")]
        publish(store, publication([("P9", 1)], moved, [1, 2, 3], [("P2", "P3")], tasks))


def die_at(moment: int, *, committed: bool) -> None:
    """Makes this process die in its write transaction number `moment`, before or after commit."""
    real, left = Database.writing, iter(range(moment, -1, -1))

    @contextmanager
    def writing(self: Database) -> Iterator[Connection]:
        last = next(left) == 0
        with real(self) as conn:
            yield conn
            if last and not committed:
                os.kill(os.getpid(), signal.SIGKILL)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)

    Database.writing = writing  # type: ignore[method-assign]


def main(told: list[str]) -> None:
    """The child: URL, keys, step, moment, whether committed."""
    url, keys, step, moment, committed = told
    publishing.CHUNK_ROWS = CHUNK_ROWS
    folder = Path(keys)
    store = open_store(url, open_keyring(folder, FileKey(folder / KEY_FILE)))
    die_at(int(moment), committed=committed == "yes")
    work(store, step)


def run_child(url: str, folder: Path, step: str, moment: int, *, committed: bool) -> int:
    child = split_off(main, [url, folder, step, moment, "yes" if committed else "no"])
    assert child.code in (0, -signal.SIGKILL), child.err
    return child.code


@pytest.fixture
def undisturbed(tmp_path: Path) -> dict[str, list[str]]:
    """The content after each step without any crash, under other keys."""
    folder = tmp_path / "other-keys"
    keys = create_keyring(folder, FileKey(folder / KEY_FILE))
    store = open_store(f"sqlite:///{tmp_path}/undisturbed.db", keys)
    found = {}
    for step in ("load", "publish"):
        work(store, step)
        found[step] = list(logical_dump(store.database))
    store.close()
    return found


KILLS = [
    # step, (write transaction, after its commit?) of each kill, one child after another
    ("load", [(0, True)]),
    ("load", [(1, False)]),
    ("load", [(4, True)]),
    ("load", [(2, True), (3, False), (1, False)]),
    ("load", [(6, False)]),
    ("load", [(7, True), (1, False)]),
    ("publish", [(0, True)]),
    ("publish", [(4, False)]),
    ("publish", [(6, True)]),
    ("publish", [(9, False)]),
    ("publish", [(8, True), (2, True)]),
]
QUICK = (2, 8)
"""Rows that also stand for the others where time is short."""


@pytest.mark.parametrize(
    ("step", "kills"),
    [
        pytest.param(*row, id=f"{row[0]}-{row[1]}", marks=[] if at in QUICK else pytest.mark.slow)
        for at, row in enumerate(KILLS)
    ],
)
def test_killed_and_begun_again(
    url: str,
    keys: KeyRing,
    tmp_path: Path,
    undisturbed: dict[str, list[str]],
    step: str,
    kills: list[tuple[int, bool]],
) -> None:
    store = open_store(url, keys)
    if step == "publish":
        work(store, "load")
        publish(store, publication(FOUNDED, OPENED))
    shown = store.memberships()
    store.close()
    for moment, committed in kills:
        code = run_child(url, tmp_path / "keys", step, moment, committed=committed)
        assert code == -signal.SIGKILL
        store = open_store(url, keys)
        assert store.memberships().equals(shown), "nothing of a run that died is seen"
        store.close()
    store = open_store(url, keys)
    work(store, step)
    assert list(logical_dump(store.database)) == undisturbed[step]
    store.close()


def test_both_databases_hold_the_same(keys: KeyRing, fresh_url: FreshUrl) -> None:
    dumps = []
    for kind in DATABASES:
        store = open_store(fresh_url(kind), keys)
        for step in ("load", "publish"):
            work(store, step)
        dumps.append(list(logical_dump(store.database)))
        store.close()
    assert dumps[0] == dumps[1]
    assert {line.split("\t")[0] for line in dumps[0]} >= {"record", "membership", "match_segment"}
