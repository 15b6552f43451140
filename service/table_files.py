"""Files of tables as a user gives and takes them: columns in, CSV or Parquet out.

Rules:
- Every value of a CSV file comes as the text that stands there: a whole number stays whole beside
  empty cells, a date stays in its order, and a person may be called Null or Na. Parquet keeps its
  types; `linkage.texts` reads them as texts.
- Outputs are checked before the work begins; they appear whole or not at all, and no output is an
  input or another output.
- Columns that a caller reads by value may come as dictionaries: telling values apart takes longest,
  and is done while other columns are read.
- No message holds a value.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from schemas.errors import InputError

OUTPUTS = (".csv", ".parquet")
Read = Callable[[Path], pa.Table]
"""Reads a file. Raises: InputError."""
ByValue = Callable[[str], bool]
"""Whether the texts of a column, by its name, shall come as a dictionary of values."""


def _as_it_stands(_name: str) -> bool:
    return False


def read_table(path: Path, by_value: ByValue = _as_it_stands) -> pa.Table:
    """A file as a table. Raises: InputError."""
    kind = path.suffix.lower()
    read = _READERS.get(kind)
    if read is None:
        raise InputError(f"{path}: expected a name ending in {', '.join(_READERS)}")
    if path.is_dir():
        raise InputError(f"{path}: is a folder, not a file")
    try:
        return read(path, by_value)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, OSError, pa.ArrowException, msgspec.MsgspecError) as error:
        raise InputError(f"{path}: cannot be read as {kind}: {_fault(path, kind, error)}") from None


@contextmanager
def reading(paths: Sequence[Path], by_value: ByValue = _as_it_stands) -> Iterator[Read]:
    """Begins to read the files, one after the other, and gives what hands each of them out."""
    with ThreadPoolExecutor(1) as pool:
        begun = {path: pool.submit(read_table, path, by_value) for path in paths}
        yield lambda path: begun.pop(path).result() if path in begun else read_table(path)


def _fault(path: Path, kind: str, error: Exception) -> str:
    """What is wrong with a file that could not be read, and what to do; never a value."""
    if not path.is_file() or not path.stat().st_size:
        return "it is empty"
    if kind == ".parquet":
        return "it is no Parquet file, or a part of one"
    try:
        with path.open(encoding="utf-8") as stream:
            for _ in stream:
                pass
    except UnicodeDecodeError:
        return "it is not in UTF-8; save it so (in Excel: CSV UTF-8), or convert it with iconv"
    if kind in (".ndjson", ".jsonl"):
        return "a line is not a JSON object"
    ragged = re.search(r"Expected (\d+) columns, got (\d+)", str(error))
    if ragged:
        wanted, got = ragged.groups()
        return f"a row has {got} columns, the heading {wanted}; look for a separator in a value"
    return f"its rows are not those of a table ({type(error).__name__})"


def _read_csv(path: Path, by_value: ByValue, separator: str = ",") -> pa.Table:
    parse = pa_csv.ParseOptions(delimiter=separator, newlines_in_values=True)
    with pa_csv.open_csv(path, parse_options=parse) as stream:
        names = stream.schema.names
    table = pa_csv.read_csv(
        path,
        parse_options=parse,
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        columns = pool.map(_told_apart, map(by_value, names), table.columns)
        return pa.Table.from_arrays(list(columns), names)


def _told_apart(wanted: bool, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of texts as a dictionary of its values, where that is wanted."""
    return column.dictionary_encode() if wanted and pa.types.is_string(column.type) else column


def _read_parquet(path: Path, by_value: ByValue) -> pa.Table:
    # Not `read_table`: that brings in the data sets of folders.
    with pq.ParquetFile(path) as file:
        metadata, names, kept = file.metadata, file.schema_arrow.names, _kept_by_value(file)
        sizes = _bytes_of_columns(file)
    if sorted(sizes) != sorted(names):  # lists and structures go by other names
        with pq.ParquetFile(path, read_dictionary=kept) as file:
            return file.read()

    def column(name: str) -> pa.ChunkedArray:
        with pq.ParquetFile(path, metadata=metadata, read_dictionary=kept) as file:
            found = file.read(columns=[name], use_threads=False).column(0)
        return _told_apart(by_value(name), found)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        # The longest columns take longest: they come first.
        begun = {name: pool.submit(column, name) for name in sorted(names, key=lambda n: -sizes[n])}
        return pa.table({name: begun[name].result() for name in names})


_CODE_BYTES = 4
"""Places in a dictionary take no more than this each."""
_DICTIONARY_BYTES = 2**20
"""A dictionary that grows beyond this is given up by the writer (a default that few change)."""


def _kept_by_value(file: pq.ParquetFile) -> list[str]:
    """The columns of texts that stand in the file as a dictionary of values and places in it. To
    read any other one so costs more than to read it plainly."""
    data, size = file.metadata, _bytes_of_columns(file)
    most = _CODE_BYTES * data.num_rows + _DICTIONARY_BYTES * data.num_row_groups
    return [
        f.name for f in file.schema_arrow if pa.types.is_string(f.type) and size[f.name] <= most
    ]


def _bytes_of_columns(file: pq.ParquetFile) -> Counter[str]:
    """Path of a column in the schema → how large it is, read."""
    data = file.metadata
    size: Counter[str] = Counter()
    for group in range(data.num_row_groups):
        for index in range(data.num_columns):
            column = data.row_group(group).column(index)
            size[column.path_in_schema] += column.total_uncompressed_size
    return size


def _read_ndjson(path: Path, _by_value: ByValue) -> pa.Table:
    decoder = msgspec.json.Decoder(dict[str, Any])
    rows = [decoder.decode(line) for line in path.read_bytes().splitlines() if line.strip()]
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table(
        {name: pa.array([_text(row.get(name)) for row in rows], pa.string()) for name in names}
    )


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


_READERS: Mapping[str, Callable[[Path, ByValue], pa.Table]] = {
    ".csv": _read_csv,
    ".txt": _read_csv,
    ".tsv": lambda path, by_value: _read_csv(path, by_value, "\t"),
    ".parquet": _read_parquet,
    ".ndjson": _read_ndjson,
    ".jsonl": _read_ndjson,
}
"""What reads a file, by its name's ending."""


def source_names(paths: Sequence[Path]) -> list[str]:
    """A name for each file: without ending and folder, as long as that tells them apart."""
    for names in ([path.stem for path in paths], [path.name for path in paths]):
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def check_outputs(
    outputs: Sequence[Path], inputs: Sequence[Path], others: Sequence[Path] = ()
) -> None:
    """That the outputs can be written without harm; `others` are no tables. Raises: InputError."""
    taken = {path.resolve() for path in inputs}
    for out in (*outputs, *others):
        if out not in others and out.suffix.lower() not in OUTPUTS:
            raise InputError(f"{out}: expected a name ending in {' or '.join(OUTPUTS)}")
        if not out.parent.is_dir():
            raise InputError(f"{out}: its folder is not there")
        if out.resolve() in taken:
            raise InputError(f"{out}: an output must not be an input or another output")
        taken.add(out.resolve())


def write_table(table: pa.Table, out: Path) -> None:
    """Writes CSV or Parquet by the name's ending, whole or not at all, for the owner's eyes.

    Requires: `check_outputs` has passed. Raises: InputError where it cannot be written.
    """

    def write(temporary: Path) -> None:
        if out.suffix.lower() == ".parquet":
            # Ids stand once each: a dictionary of them would be given up half-way.
            names = [name for name in table.column_names if not name.endswith("_id")]
            pq.write_table(table, temporary, use_dictionary=names, write_statistics=False)
        else:
            pa_csv.write_csv(table, temporary, pa_csv.WriteOptions(quoting_style="needed"))

    _write_whole(out, write)


def write_text(text: str, out: Path) -> None:
    """Writes a text, whole or not at all, for the owner's eyes. Raises: InputError."""
    _write_whole(out, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _write_whole(out: Path, write: Callable[[Path], object]) -> None:
    temporary = out.with_name(out.name + ".part")
    try:
        temporary.touch(mode=0o600)
        write(temporary)
        temporary.replace(out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or 'no room'})") from None
    finally:
        temporary.unlink(missing_ok=True)
