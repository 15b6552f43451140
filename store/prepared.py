"""Statements that every request makes: compiled once, then run by the driver itself.

Rules:
- A statement is written with SQLAlchemy, which knows both databases; only its running is direct.
- It runs in the connection's transaction, which is begun if it was not.
- A list is filled up with its last value to the next power of two, so that there are few texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ClauseElement, Connection, Dialect, Select

Rows = Sequence[tuple[Any, ...]]


class Prepared:
    """One statement; the parameters that it expands are given as lists, to a SELECT only.
    Thread-safe."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._texts: dict[tuple[str, tuple[int, ...]], tuple[str, Sequence[str] | None]] = {}

    def rows(self, conn: Connection, given: Mapping[str, object]) -> Rows:
        """The rows as tuples, in the order of the statement's columns. Requires: no empty list."""
        if not conn.in_transaction():
            conn.begin()
        text, values = self.ready(conn.dialect, given)
        cursor = conn.connection.cursor()
        try:
            cursor.execute(text, values)
            return cursor.fetchall()
        finally:
            cursor.close()

    def ready(self, dialect: Dialect, given: Mapping[str, object]) -> tuple[str, Any]:
        """The text and the parameters as the driver takes them. Requires: no empty list."""
        values: dict[str, object] = {}
        sizes: list[int] = []
        for name, value in given.items():
            if not isinstance(value, list):
                values[name] = value
                continue
            size = 1 << (len(value) - 1).bit_length()
            sizes.append(size)
            for n in range(size):
                values[f"{name}_{n + 1}"] = value[min(n, len(value) - 1)]
        text, order = self._text(dialect, given, tuple(sizes))
        return text, values if order is None else [values[name] for name in order]

    def _text(
        self, dialect: Dialect, given: Mapping[str, object], sizes: tuple[int, ...]
    ) -> tuple[str, Sequence[str] | None]:
        """The text for lists of these sizes, and the order of its parameters where they have no
        names."""
        key = dialect.name, sizes
        found = self._texts.get(key)
        if found is None:
            compiled: Any = self._filled(given, sizes).compile(
                dialect=dialect, compile_kwargs={"render_postcompile": bool(sizes)}
            )
            found = str(compiled), compiled.positiontup
            self._texts[key] = found
        return found

    def _filled(self, given: Mapping[str, object], sizes: tuple[int, ...]) -> ClauseElement:
        """The statement with lists of these sizes; the compiler asks for all values."""
        if not isinstance(self._statement, Select):
            return self._statement
        left = iter(sizes)
        return self._statement.params(
            {
                name: [value[0]] * next(left) if isinstance(value, list) else value
                for name, value in given.items()
            }
        )
