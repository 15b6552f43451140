"""What tables are made of, once for SQLite and PostgreSQL: columns by what they hold."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    text,
)
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Whole: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")
"""64-bit integer; SQLite's rowid alias needs the name INTEGER."""


def id_column(name: str) -> Column[int]:
    """A row id, given by the store."""
    return Column(name, Whole, primary_key=True, autoincrement=False)


def sealed_column(name: str) -> Column[bytes]:
    """Ciphertext of a payload that identifies a person."""
    return Column(name, LargeBinary, nullable=False, info={"sealed": True})


def digest_column(name: str, *, nullable: bool = False) -> Column[bytes]:
    """A keyed digest."""
    return Column(name, LargeBinary, nullable=nullable)


def text_column(name: str, *, nullable: bool = False) -> Column[str]:
    """Text in clear."""
    return Column(name, Text, nullable=nullable)


def whole_column(name: str, *args: ForeignKey, nullable: bool = False) -> Column[int]:
    """A whole number, or a reference to a row."""
    return Column(name, Whole, *args, nullable=nullable)


def only_where(condition: str) -> dict[str, Any]:
    """Makes an index partial, on both databases."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


def is_sealed(column: Column[object]) -> bool:
    """Whether the column holds sealed payloads."""
    return bool(column.info.get("sealed"))
