"""Reports as files: each for its owner only, there whole or not at all.

Rules:
- Files are made with mode 0600 from their first byte, folders with 0700.
- A name says the report and when it was made, never whom it is about.
- Where numbers have more entries behind them than JSON lists, all of them stand in Parquet beside
  it: `number`, `first`, `last` (leaf numbers, both included).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError
from service.audit_reports import Report
from service.audit_reports_asked import Asked
from service.audit_reports_page import IN_JSON, csv_files, json_bytes, page
from service.model_files import write_whole

FORMATS = ("html", "csv", "json")
FILE_MODE, FOLDER_MODE = 0o600, 0o700


def write_files(
    folder: Path, report: Report, asked: Asked, formats: Collection[str], stamp: str = ""
) -> list[Path]:
    """Writes the report in these formats and returns where. stamp: ends the names; by default the
    time at which it was made. Raises: InputError where it cannot be written."""
    ending = stamp or "-" + report.made_at.replace("-", "").replace(":", "")
    files: dict[str, bytes] = {}
    if "html" in formats:
        files[f"{report.name}.html"] = page(report, asked)
    if "csv" in formats:
        files |= csv_files(report)
    if "json" in formats:
        files[f"{report.name}.json"] = json_bytes(report)
    if not report.for_person and "json" in formats and (behind := _behind(report)):
        files[f"{report.name}-leaves.parquet"] = behind
    make_folder(folder)
    return [_write(folder / _named(name, ending), data) for name, data in files.items()]


def _named(name: str, ending: str) -> str:
    stem, _, kind = name.rpartition(".")
    return f"{stem}{ending}.{kind}"


def make_folder(folder: Path) -> None:
    """Makes a folder, and those above it that are missing, for their owner only. Raises:
    InputError."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        for one in reversed(missing):
            one.mkdir(mode=FOLDER_MODE, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror or 'no room'})") from None
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder; got a file")


def _write(path: Path, data: bytes) -> Path:
    write_whole(path, data, FILE_MODE)
    return path


def _behind(report: Report) -> bytes:
    """Every entry behind every number, where JSON leaves some out."""
    held = [(name, n.leaves.ranges) for name, n in report.numbers() if n.leaves is not None]
    if all(len(ranges) <= IN_JSON for _, ranges in held):
        return b""
    names = pa.array([name for name, ranges in held for _ in range(len(ranges))], pa.string())
    first = pa.concat_arrays([pa.array(ranges[:, 0]) for _, ranges in held])
    last = pa.concat_arrays([pa.array(ranges[:, 1]) for _, ranges in held])
    table = pa.table({"number": names.dictionary_encode(), "first": first, "last": last})
    out = pa.BufferOutputStream()
    pq.write_table(table, out, compression="zstd", use_dictionary=["number"],
                   column_encoding={"first": "DELTA_BINARY_PACKED",
                                    "last": "DELTA_BINARY_PACKED"})  # fmt: skip
    return bytes(out.getvalue().to_pybytes())
