"""Columns of any type as the texts that a person would write.

Rules:
- Tables are anything with the Arrow interface (pandas, Polars, DuckDB, PyArrow). Every value is
  read as text, however its column was typed; a list of texts is several values.
- What says that nothing is known (schemas/settings.py, `FileSettings.missing_values`) is null.
- Each distinct value is read once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from linkage.columns import as_indices, by_code, encode, in_pieces
from linkage.standardise import bytes_of
from linkage.table_names import check_no_name_twice
from schemas.errors import InputError
from schemas.settings import FileSettings


def as_arrow(data: Any) -> pa.Table:
    """Any table as Arrow. Raises: InputError."""
    if isinstance(data, pa.Table):
        return data
    check_no_name_twice(data)
    if hasattr(data, "__arrow_c_stream__"):
        try:
            return pa.table(data)
        except (pa.ArrowException, TypeError) as error:
            return _column_by_column(data, error)
    raise InputError(f"expected a table with the Arrow interface, got {type(data).__name__}")


def _column_by_column(frame: Any, error: Exception) -> pa.Table:
    """A table of pandas whose columns hold values of several types: those become text."""
    if not hasattr(frame, "columns") or not hasattr(frame, "astype"):
        raise InputError(f"the table cannot be read as Arrow ({type(error).__name__})") from None
    columns = {}
    for name in frame.columns:
        try:
            columns[str(name)] = pa.array(frame[name], from_pandas=True)
        except (pa.ArrowException, TypeError):
            texts = frame[name].map(lambda v: str(v).strip(), na_action="ignore")
            columns[str(name)] = pa.array(texts, pa.string(), from_pandas=True)
    return pa.table(columns)


def as_text(array: pa.Array) -> pa.Array:  # noqa: PLR0911 - one line for each kind of column
    """An array of any type as texts, as a person would write them; empty ones null."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return as_text(array.dictionary_decode())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return as_text(pc.binary_join(lists_of_texts(array), " "))
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        return pa.array([None if v is None else str(v) for v in array.to_pylist()], pa.string())
    if pa.types.is_floating(kind):
        return _whole_where_possible(array)
    if pa.types.is_timestamp(kind):
        return pc.strftime(array, format="%Y-%m-%d")
    text = pc.cast(array, pa.string())
    if pa.types.is_decimal(kind):
        return pc.replace_substring_regex(text, r"\.0+$", "")
    if pa.types.is_integer(kind):
        return text
    text = pc.utf8_trim_whitespace(text)
    if _spaces_meet(text):
        text = pc.replace_substring_regex(text, r"\s{2,}", " ")
    nothing = pc.is_in(text, value_set=pa.array(sorted(FileSettings.missing_values)))
    return pc.if_else(nothing, pa.scalar(None, pa.string()), text)


def _spaces_meet(text: pa.Array) -> bool:
    """Whether two white spaces stand side by side somewhere."""
    data, _ = bytes_of(text)
    space = (data == ord(" ")) | ((data >= ord("\t")) & (data <= ord("\r")))
    return bool((space[1:] & space[:-1]).any())


def lists_of_texts(array: pa.Array) -> pa.ListArray:
    """A list column as lists of texts, what is empty left out; a missing list is an empty one."""
    texts = as_text(pc.list_flatten(array))
    present = texts.is_valid().to_numpy(zero_copy_only=False)
    parents = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
    counts = np.bincount(parents[present], minlength=len(array))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), texts.drop_null())


def _whole_where_possible(array: pa.Array) -> pa.Array:
    """Numbers as texts: whole ones beside empty cells come as floats, and 1980.0 is 1980."""
    whole = pc.and_(pc.equal(array, pc.floor(array)), pc.less(pc.abs(array), 1e15))
    plain = pc.cast(pc.if_else(pc.fill_null(whole, False), array, None), pa.int64())
    text = pc.coalesce(pc.cast(plain, pa.string()), pc.cast(array, pa.string()))
    return pc.if_else(pc.fill_null(pc.is_nan(array), False), pa.scalar(None, pa.string()), text)


def by_value(array: pa.Array, read: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Each distinct value read once: a dictionary array of what was read, null where nothing."""
    codes, values = encode(array)
    found = in_pieces(read, values)
    if not _as_they_were(values, found):
        again, found = encode(found)
        if len(again) > len(found):  # else each value is still told from the others
            codes = by_code(again, codes)
    return pa.DictionaryArray.from_arrays(as_indices(codes), found, safe=False)


def _as_they_were(values: pa.Array, read: pa.Array) -> bool:
    """Whether reading left every value as it was: then they need not be told apart anew."""
    return bool(values.type == read.type and not read.null_count and values.equals(read))
