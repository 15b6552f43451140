"""New, empty stores for tests: made once a process by the real migrations, then copied with their
keys.

A test that is about making a store makes its own.
"""

from __future__ import annotations

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import psycopg

from store.keyring import KEY_FILE, FileKey, KeyRing, create_keyring, open_keyring
from store.sql_store import open_store
from tests.postgres import url_of

_TEMPLATE = "blank"


@cache
def _made() -> Path:
    """A folder with keys and the SQLite database of an empty store."""
    root = Path(mkdtemp(prefix="commonthread-blank-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    keys = create_keyring(root / "keys", FileKey(root / "keys" / KEY_FILE))
    open_store(f"sqlite:///{root}/store.db", keys).close()
    keys.close()
    return root


def blank_keys(folder: Path) -> KeyRing:
    """The keys that every blank store of this process was made with, in a new folder."""
    shutil.copytree(_made() / "keys", folder)
    return open_keyring(folder, FileKey(folder / KEY_FILE))


def blank_sqlite(file: Path) -> str:
    """The URL of an empty store in a new file."""
    shutil.copyfile(_made() / "store.db", file)
    file.chmod(0o600)
    return f"sqlite:///{file}"


@cache
def blank_postgresql(server_uri: str) -> str:
    """The name of a database of the server to make empty stores from."""
    with psycopg.connect(server_uri, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {_TEMPLATE}")
    keys = open_keyring(_made() / "keys", FileKey(_made() / "keys" / KEY_FILE))
    open_store(url_of(server_uri, _TEMPLATE), keys).close()
    keys.close()
    return _TEMPLATE
