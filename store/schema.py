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
from typing import TYPE_CHECKING

from sqlalchemy import Connection, insert, inspect, select, text

from schemas.errors import StoreError
from store import classing, entering
from store.database import COUNTERS, KEYSTORE, Database, read_counter
from store.tables import store_meta

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS = Path(__file__).parent / "migrations"
_VERSION_TABLE = "alembic_version"


def alembic_config(conn: Connection | None = None) -> Config:
    """The migrations of this package, to run on the connection."""
    from alembic.config import Config  # noqa: PLC0415 - see `newest_schema`

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = conn
    return config


def newest_schema() -> str:
    """The schema that this program knows last, from the names of the migrations: Alembic takes most
    of a second to come in, and most databases need nothing of it."""
    return max(path.stem[1:5] for path in (_MIGRATIONS / "versions").glob("v[0-9]*.py"))


def _migrate(database: Database, present: str | None) -> None:
    from alembic import command  # noqa: PLC0415 - see `newest_schema`
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    scripts = ScriptDirectory.from_config(alembic_config())
    if present is not None and present not in {s.revision for s in scripts.walk_revisions()}:
        raise StoreError(
            f"database: schema {present} is not known here (this program knows up to"
            f" {newest_schema()}); open it with the newer program that wrote it"
        )
    with database.writing() as conn:
        command.upgrade(alembic_config(conn), "head")
        _create_meta(conn, database.keys.identity)


def prepare_schema(database: Database) -> None:
    """Migrates to the newest schema and checks that database and keys belong together.

    Raises: StoreError: a newer or foreign schema, or another workspace's keys.
    """
    with database.reading() as conn:
        present = schema_revision(conn)
    if present != newest_schema():
        _migrate(database, present)
    with database.reading() as conn:
        if read_counter(conn, KEYSTORE) != database.keys.identity:
            raise StoreError(
                "database: it was made with another workspace's keys; open it with its own keys"
            )
    classing.fill(database)
    entering.fill(database)


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
