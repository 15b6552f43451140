"""Stores for the contract tests: every test that asks for `store` runs on each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from store.keyring import KEY_FILE, FileKey, KeyRing, create_keyring
from store.sql_store import SqlStore, open_store
from tests.postgres import fresh_database, running_server

DATABASES = ("sqlite", "postgresql")
FreshUrl = Callable[[str], str]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with running_server() as uri:
        yield uri


@pytest.fixture
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FreshUrl]:
    """Makes the URL of a new, empty database of the kind named."""
    with ExitStack() as stack:
        made = []

        def make(kind: str) -> str:
            made.append(kind)
            if kind == "sqlite":
                return f"sqlite:///{tmp_path}/store{len(made)}.db"
            return stack.enter_context(fresh_database(request.getfixturevalue("postgres_server")))

        yield make


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[KeyRing]:
    folder = tmp_path / "keys"
    ring = create_keyring(folder, FileKey(folder / KEY_FILE))
    yield ring
    ring.close()


@pytest.fixture(params=DATABASES)
def database_kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def url(database_kind: str, fresh_url: FreshUrl) -> str:
    return fresh_url(database_kind)


@pytest.fixture
def store(url: str, keys: KeyRing) -> Iterator[SqlStore]:
    opened = open_store(url, keys)
    yield opened
    opened.close()
