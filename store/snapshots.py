"""Several prepared statements on one snapshot, in one exchange with the database.

Rules:
- All of them see the same moment, on both databases; none of them writes.
- PostgreSQL is sent them together (libpq's pipeline mode), with the transaction around them: one
  journey instead of one for each. A statement by itself is a snapshot already.
- Results come in PostgreSQL's binary form: payloads would be twice as long as text.
- Connections are a pool of their own: how a transaction reads is set when one is opened, not for
  each request. One that failed is not used again; where the server has gone, none is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from sqlalchemy import Engine

from store.prepared import Prepared, Rows

Question = tuple[Prepared, Mapping[str, object]]
"""A statement, and its parameters as `Prepared.rows` takes them."""


class Snapshots(Protocol):
    """Answers questions on snapshots. Thread-safe."""

    def rows(self, asked: Sequence[Question]) -> list[Rows]:
        """The rows of each question, in order. Raises: what the driver raises."""

    def close(self) -> None:
        """Releases connections."""


class SqliteSnapshots:
    """SQLite: there is no journey to spare."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def rows(self, asked: Sequence[Question]) -> list[Rows]:
        """See Snapshots."""
        with self._engine.connect() as conn:
            return [prepared.rows(conn, given) for prepared, given in asked]

    def close(self) -> None:
        """See Snapshots: the engine's own are the engine's to release."""


def snapshots_of(engine: Engine) -> Snapshots:
    """Those that suit the engine's database."""
    return _BY_DIALECT[engine.dialect.name](engine)


def _on_postgresql(engine: Engine) -> Snapshots:
    from store.pipelines import PostgresSnapshots  # noqa: PLC0415 - its driver, only where it works

    return PostgresSnapshots(engine)


_BY_DIALECT: Mapping[str, Callable[[Engine], Snapshots]] = {
    "sqlite": SqliteSnapshots,
    "postgresql": _on_postgresql,
}
