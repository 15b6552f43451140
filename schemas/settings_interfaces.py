"""The [source.interface] tables of partnership.toml: systems that are asked for what is new.

No I/O. What is collected lies in the inbox as files, which the source's [[source.file]] blocks map
as any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from schemas.settings_table import Table

Watermark = int | str | date | datetime
"""How far a query has been read: compared by the database that is asked, never here with others."""


@dataclass(frozen=True)
class SqlQuery:
    """One question to a database; its answer becomes the file NAME_TIME.csv.

    Attributes:
        sql: one SELECT. `:since` in it stands for the greatest value of `watermark` that was read.
        watermark: the column that grows with every change; None: all is asked for each time.
        first: what `:since` is the first time.
    """

    name: str
    sql: str
    watermark: str | None = None
    first: Watermark | None = None


@dataclass(frozen=True)
class SqlInterface:
    """A database of the source, to be read.

    Attributes:
        url: as SQLAlchemy takes it, without a password.
        password_file: holds the password, in the workspace; None: there is none.
        timeout_seconds: the longest that one exchange with it may take.
    """

    url: str
    queries: tuple[SqlQuery, ...] = ()
    password_file: str | None = None
    timeout_seconds: int = 600


Interface = SqlInterface

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_SINCE = re.compile(r"(?<!:):since\b")
_FIRST: Any = (int, str, date)


def read_interface(table: Table) -> Interface | None:
    """The interface of a source; None where its files are brought."""
    if not table.values:
        return None
    table.choice("kind", ("sql",))
    interface = SqlInterface(
        url=_url(table),
        queries=tuple(_query(one) for one in table.tables("query")),
        password_file=_inside(table, "password_file"),
        timeout_seconds=table.whole("timeout_seconds", 600, 1, 3_600),
    )
    if not interface.queries:
        table.fault("query", "expected at least one [[source.interface.query]]")
    names = [query.name for query in interface.queries]
    for twice in sorted({name for name in names if names.count(name) > 1}):
        table.fault("query", f"{twice} stands twice")
    table.done()
    return interface


def _url(table: Table) -> str:
    url = table.text("url")
    if url and "://" not in url:
        table.fault("url", "expected DIALECT://HOST/DATABASE, or sqlite:///FILE")
    elif url and urlsplit(url).password:
        table.fault("url", "holds a password: put it into a file, and name that in password_file")
    return url


def _inside(table: Table, key: str) -> str | None:
    """A path in the workspace, or none."""
    text = table.text(key, None)
    if not text:
        return None
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts:
        table.fault(key, "expected a path in the workspace, such as keys/NAME")
    return text


def _query(table: Table) -> SqlQuery:
    query = SqlQuery(
        name=table.text("name"),
        sql=table.text("sql"),
        watermark=table.text("watermark", None) or None,
        first=table.get("first", _FIRST, None, "a number, a text, a date or a time"),
    )
    if query.name and not _NAME.fullmatch(query.name):
        table.fault("name", "expected lower-case letters, digits, _; 1 to 31 long")
    if query.sql and not re.match(r"\s*(select|with)\b", query.sql, re.IGNORECASE):
        table.fault("sql", "expected one SELECT (or WITH ... SELECT)")
    asks = bool(_SINCE.search(query.sql))
    if asks and query.watermark is None:
        table.fault("watermark", "missing; `:since` stands for its greatest value so far")
    if asks and query.first is None:
        table.fault("first", "missing; `:since` stands for it the first time")
    if not asks and (query.watermark, query.first) != (None, None):
        table.fault("watermark", "the query has no `:since` that would make use of it")
    table.done()
    return query
