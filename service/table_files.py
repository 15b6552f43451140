"""Files of tables as a user gives and takes them: text columns in, CSV or Parquet out.

Rules:
- Every value comes as the text that stands there: a whole number stays whole beside empty cells, a
  date stays in its order, and a person may be called Null or Na (`MISSING` says what is nothing).
- Outputs are checked before the work begins; they appear whole or not at all, and no output is an
  input or another output.
- No message holds a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.errors import InputError
from schemas.settings import FileSettings

MISSING = FileSettings.missing_values
"""Texts that mean "nothing", as in feeds."""
OUTPUTS = (".csv", ".parquet")


def read_table(path: Path) -> pd.DataFrame:
    """A file as text columns. Raises: InputError."""
    kind = path.suffix.lower()
    read = _READERS.get(kind)
    if read is None:
        raise InputError(f"{path}: expected a name ending in {', '.join(_READERS)}")
    try:
        frame = read(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, OSError, pa.ArrowException, msgspec.MsgspecError) as error:
        raise InputError(f"{path}: cannot be read as {kind} ({type(error).__name__})") from None
    return frame.mask(frame.isin(MISSING))


def _read_csv(path: Path, separator: str = ",") -> pd.DataFrame:
    frame: pd.DataFrame = pd.read_csv(path, dtype="string", sep=separator, keep_default_na=False)
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    table = pq.read_table(path)
    columns = [pd.Series(_as_text(c).to_pylist(), dtype="string") for c in table.columns]
    return pd.DataFrame(dict(zip(table.column_names, columns, strict=True)))


def _as_text(column: Any) -> Any:
    if pa.types.is_nested(column.type):
        return pa.array([_text(value) for value in column.to_pylist()], pa.string())
    return pc.cast(column, pa.string())


def _read_ndjson(path: Path) -> pd.DataFrame:
    decoder = msgspec.json.Decoder(dict[str, Any])
    rows = [decoder.decode(line) for line in path.read_bytes().splitlines() if line.strip()]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {
        name: pd.Series([_text(row.get(name)) for row in rows], dtype="string") for name in names
    }
    return pd.DataFrame(columns)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


_READERS: Mapping[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": _read_csv,
    ".txt": _read_csv,
    ".tsv": lambda path: _read_csv(path, "\t"),
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


def check_outputs(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """That the outputs can be written without harm. Raises: InputError."""
    taken = {path.resolve() for path in inputs}
    for out in outputs:
        if out.suffix.lower() not in OUTPUTS:
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
    temporary = out.with_name(out.name + ".part")
    try:
        temporary.touch(mode=0o600)
        if out.suffix.lower() == ".parquet":
            pq.write_table(table, temporary)
        else:
            table.to_pandas().to_csv(temporary, index=False)
        temporary.replace(out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from None
    finally:
        temporary.unlink(missing_ok=True)
