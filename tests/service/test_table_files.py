"""Files read by value hold what they hold when read plainly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from service.table_files import read_table, reading

PEOPLE = pa.table(
    {
        "id": pa.array([f"r{n}" for n in range(200)]),
        "name": pa.array([None if n % 7 == 0 else f"n{n % 11}" for n in range(200)]),
        "a.b": pa.array([f"x{n % 3}" for n in range(200)]),
        "number": pa.array(range(200)),
    }
)
NESTED = PEOPLE.append_column("phones", pa.array([["1", "2"]] * 200)).append_column(
    "place", pa.array([{"town": "Bath"}] * 200)
)
WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "parquet": (".parquet", lambda path: pq.write_table(PEOPLE, path)),
    "groups": (".parquet", lambda path: pq.write_table(PEOPLE, path, row_group_size=30)),
    "plain": (".parquet", lambda path: pq.write_table(PEOPLE, path, use_dictionary=False)),
    "nested": (".parquet", lambda path: pq.write_table(NESTED, path)),
    "no rows": (".parquet", lambda path: pq.write_table(PEOPLE.slice(0, 0), path)),
    "csv": (".csv", lambda path: pa_csv.write_csv(PEOPLE, path)),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_columns_read_by_value_hold_the_same(kind: str, tmp_path: Path) -> None:
    ending, write = WRITERS[kind]
    path = tmp_path / f"people{ending}"
    write(path)
    plainly = read_table(path)
    with reading([path], lambda name: name in ("name", "a.b", "number")) as read:
        found = read(path)
    assert found.column_names == plainly.column_names
    assert found.to_pylist() == plainly.to_pylist()
    if kind in ("plain", "csv"):
        assert pa.types.is_dictionary(found["name"].type)
        assert pa.types.is_dictionary(found["a.b"].type)
    assert found["id"].type == plainly["id"].type
