"""Stores for the contract tests: every test that asks for `store` runs on each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from store.keyring import KeyRing
from store.sql_store import SqlStore, open_store
from tests.blank import blank_keys, blank_postgresql, blank_sqlite
from tests.drawings import drawn_once
from tests.postgres import fresh_database, running_server

__all__ = ["drawn_once"]

DATABASES = ("sqlite", "postgresql")
FreshUrl = Callable[[str], str]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with running_server() as uri:
        yield uri


@pytest.fixture
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FreshUrl]:
    """Makes the URL of a new store of the kind named, empty, of the keys of `keys`."""
    with ExitStack() as stack:
        made = []

        def make(kind: str) -> str:
            made.append(kind)
            if kind == "sqlite":
                return blank_sqlite(tmp_path / f"store{len(made)}.db")
            server = request.getfixturevalue("postgres_server")
            return stack.enter_context(fresh_database(server, blank_postgresql(server)))

        yield make


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[KeyRing]:
    ring = blank_keys(tmp_path / "keys")
    yield ring
    ring.close()


@pytest.fixture(params=DATABASES)
def database_kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def url(database_kind: str, fresh_url: FreshUrl) -> str:
    return fresh_url(database_kind)


@pytest.fixture
def empty_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with nothing in it."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    with fresh_database(request.getfixturevalue("postgres_server")) as made:
        yield made


@pytest.fixture
def store(url: str, keys: KeyRing) -> Iterator[SqlStore]:
    opened = open_store(url, keys)
    yield opened
    opened.close()
