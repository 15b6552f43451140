"""PostgreSQL's snapshots: several statements in one exchange (store/snapshots.py). Its driver comes
in with this module, so that a workspace on SQLite does without."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import psycopg
from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool, PoolProxiedConnection

from store.prepared import Rows
from store.snapshots import Question

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class _CutOff(psycopg.OperationalError):
    """The connection was lost."""


class PostgresSnapshots:
    """PostgreSQL by pipelines, over connections that begin no transactions by themselves."""

    def __init__(self, engine: Engine) -> None:
        self._dialect = engine.dialect
        self._pool = self._new(engine.pool)
        self._renewing = threading.Lock()

    def rows(self, asked: Sequence[Question]) -> list[Rows]:
        """See Snapshots."""
        ready = [prepared.ready(self._dialect, given) for prepared, given in asked]
        pool = self._pool
        try:
            return self._rows(pool, ready)
        except _CutOff:
            # The server went, and with it all connections that were kept: the question harms nobody
            # when it is asked again.
            self._renew(pool)
            return self._rows(self._pool, ready)

    def _rows(self, pool: Pool, ready: Sequence[tuple[str, Any]]) -> list[Rows]:
        held: PoolProxiedConnection = pool.connect()
        driver: Any = held.driver_connection
        try:
            if len(ready) == 1:
                cursors = [driver.execute(*ready[0], binary=True)]
            else:
                with driver.pipeline():
                    driver.execute(_BEGIN)
                    cursors = [driver.execute(*one, binary=True) for one in ready]
                    driver.execute("COMMIT")
            return [cursor.fetchall() for cursor in cursors]
        except psycopg.Error as error:
            closed = driver.closed
            held.invalidate()
            if closed:
                raise _CutOff from error
            raise
        finally:
            held.close()

    def _renew(self, pool: Pool) -> None:
        """Lets go of connections to a server that has gone, once for all who noticed."""
        with self._renewing:
            if self._pool is pool:
                self._pool = self._new(pool)
                pool.dispose()

    @staticmethod
    def _new(pool: Pool) -> Pool:
        made = pool.recreate()
        event.listen(made, "connect", _by_themselves)
        return made

    def close(self) -> None:
        """See Snapshots."""
        self._pool.dispose()


def _by_themselves(driver: Any, _: object) -> None:
    driver.autocommit = True
