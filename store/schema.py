"""Opening: brings the schema up to date, and refuses what is not ours.

Rules:
- A database without tables becomes a commonthread database of the newest schema.
- An older schema is migrated in process; a newer or unknown one is refused, untouched.
- A database with tables of something else is refused.
- A database belongs to one keystore for ever: the keystore's identity is written at creation and
  compared at every opening.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, inspect, select, text

from schemas.errors import StoreError
from store.database import COUNTERS, KEYSTORE, Database, read_counter
from store.tables import store_meta

_MIGRATIONS = Path(__file__).parent / "migrations"
_VERSION_TABLE = "alembic_version"


def alembic_config(conn: Connection | None = None) -> Config:
    """The migrations of this package, to run on the connection."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = conn
    return config


def prepare_schema(database: Database) -> None:
    """Migrates to the newest schema and checks that database and keys belong together.

    Raises: StoreError: a newer or foreign schema, or another workspace's keys.
    """
    scripts = ScriptDirectory.from_config(alembic_config())
    head = scripts.get_current_head()
    with database.reading() as conn:
        present = schema_revision(conn)
    if present != head:
        known = {script.revision for script in scripts.walk_revisions()}
        if present is not None and present not in known:
            raise StoreError(
                f"database: schema {present} is not known here (this program knows up to {head});"
                " open it with the newer program that wrote it"
            )
        with database.writing() as conn:
            command.upgrade(alembic_config(conn), "head")
            _create_meta(conn, database.keys.identity)
    with database.reading() as conn:
        if read_counter(conn, KEYSTORE) != database.keys.identity:
            raise StoreError(
                "database: it was made with another workspace's keys; open it with its own keys"
            )


def schema_revision(conn: Connection) -> str | None:
    """The schema that the database has; None for an empty one. Raises: StoreError: not ours."""
    tables = set(inspect(conn).get_table_names())
    if not tables:
        return None
    if _VERSION_TABLE not in tables:
        raise StoreError("database: it holds tables of something else; expected none, or ours")
    revision = conn.scalar(text(f"SELECT version_num FROM {_VERSION_TABLE}"))  # noqa: S608
    return None if revision is None else str(revision)


def _create_meta(conn: Connection, identity: int) -> None:
    held = set(conn.scalars(select(store_meta.c.name)))
    rows = dict.fromkeys(COUNTERS, 0) | {KEYSTORE: identity}
    missing = [{"name": name, "value": value} for name, value in rows.items() if name not in held]
    if missing:
        conn.execute(insert(store_meta), missing)
