"""Arrays as the store encodes them are what PostgreSQL's driver would have sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.arrays import array_of
from tests.postgres import fresh_database, running_server

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "double precision": st.floats(allow_nan=False),
    "text": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    "bytea": st.binary(max_size=300),
}


@pytest.fixture(scope="module")
def conn() -> Iterator[psycopg.Connection[Any]]:
    with (
        running_server() as uri,
        fresh_database(uri) as url,
        psycopg.connect(url.replace("+psycopg", "")) as opened,
    ):
        yield opened


@given(st.data())
def test_every_array_comes_back(conn: psycopg.Connection[Any], data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(VALUES)))
    values = data.draw(st.lists(st.none() | VALUES[kind], max_size=30))
    sent = array_of(kind, values)
    (back, same) = conn.execute(
        f"SELECT %s, %s = %s::{kind}[]", [sent, array_of(kind, values), values]
    ).fetchone() or (None, None)
    assert back == values
    assert same
    assert [row[0] for row in conn.execute("SELECT * FROM unnest(%s)", [sent])] == values
