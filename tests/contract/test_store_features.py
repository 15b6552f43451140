"""Feature sets on every database: kept whole, read as they were, forgotten with an erasure."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import delete, func, select

from linkage.prepared import Prepared
from schemas.identifiers import LocalId
from store import arrow
from store.feature_sets import FEATURE_SOURCE
from store.sql_store import SqlStore
from store.tables import feature_part, feature_set
from tests.linkage.people import people_table
from tests.store_samples import NOW, SOURCE, client, day, load, one

JOHN = {"given": "John", "family": "Smith", "birth_date": "1980-05-04", "phone": "0117 496 0300"}
MARY = {"given": "Mary", "family": "Jones", "postcode": "BS2 8HW"}


def read(*rows: dict[str, str]) -> Prepared:
    """Records 1, 2 ... in versions 11, 12 ..."""
    ids = np.arange(1, len(rows) + 1)
    table = people_table(list(rows)).append_column("record_id", pa.array(ids))
    return Prepared.read(table.append_column("version_id", pa.array(ids + 10)))


def kept(store: SqlStore, input_hash: str = "inputs") -> dict[str, list[dict[str, object]]] | None:
    """What the store gives back, as rows by table."""
    found = store.prepared(input_hash)
    return None if found is None else rows_of(found[1])


def rows_of(prepared: Prepared) -> dict[str, list[dict[str, object]]]:
    return {kind: table.to_pylist() for kind, table in prepared.tables().items()}


def test_a_set_is_kept_in_parts_and_read_as_it_was(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow, "PART_ROWS", 2)
    assert kept(store) is None
    first, second = read(JOHN, MARY, JOHN), read(MARY)
    store.keep_prepared("inputs", first)
    assert kept(store) == rows_of(first)
    assert kept(store, "other inputs") is None
    store.keep_prepared("inputs", second)
    assert kept(store) == rows_of(second)
    with store.database.reading() as conn:
        assert conn.scalars(select(feature_set.c.set_id)).all() == [2]
        assert set(conn.scalars(select(feature_part.c.set_id))) == {2}


def test_a_set_that_is_not_whole_is_none(store: SqlStore) -> None:
    store.keep_prepared("inputs", read(JOHN))
    with store.database.writing() as conn:
        conn.execute(delete(feature_part).where(feature_part.c.kind == "family"))
    assert kept(store) is None


def test_what_was_loaded_since_is_given_by_version(store: SqlStore) -> None:
    load(store, [one(client("1", "Old"), day(1)), one(client("2", "Two"), day(1))], "a.csv")
    store.keep_prepared("inputs", read(JOHN))
    found = store.prepared("inputs")
    assert found is not None
    load(store, [one(client("1", "New"), day(2)), one(client("3", "Three"), day(2))], "b.csv")
    table = store.match_columns()
    live = store.live_versions().tolist()
    assert live == sorted(table["version_id"].to_pylist())
    recent = store.recent_columns(found[0], live).sort_by("record_id")
    assert recent["family"].to_pylist() == [["New"], ["Three"]]
    shown = table.select(recent.column_names).filter(
        pa.compute.is_in(table["version_id"], value_set=recent["version_id"].combine_chunks())
    )
    assert recent.equals(shown.cast(recent.schema))
    assert store.recent_columns(found[0], []).num_rows == 0


def test_an_erasure_forgets_sets_and_their_keys(store: SqlStore) -> None:
    load(store, [one(client("1", "Gone"), day(1)), one(client("2", "Stays"), day(1))])
    store.keep_prepared("inputs", read(JOHN))
    keystore = store.database.keys.keystore
    keys = {k for k, owner in keystore.key_sources().items() if owner == FEATURE_SOURCE}
    assert keys
    store.erase(SOURCE, LocalId("1"), NOW, may_return=False)
    assert kept(store) is None
    with store.database.reading() as conn:
        assert conn.scalar(select(func.count()).select_from(feature_part)) == 0
    assert keys.isdisjoint(keystore.key_sources())
    store.keep_prepared("inputs", read(MARY))
    assert kept(store) == rows_of(read(MARY))
