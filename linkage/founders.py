"""The order of founders: a stable key, unique per record, by which everything is settled that the
order of arrival must not decide."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_WORD = 8
"""Bytes that are compared at once."""


def founder_order(founders: pa.Array) -> npt.NDArray[np.int64]:
    """(n,) the places of founders, binary or integer, in ascending order.

    Keys of one length are sorted by their first bytes, as numbers: several times as fast as by all
    of them. Only where two begin alike are all looked at.
    """
    words = _first_words(founders)
    if words is not None:
        order = np.argsort(words, kind="stable")
        ascending = words[order]
        if not (ascending[1:] == ascending[:-1]).any():
            return order.astype(np.int64, copy=False)
    return np.asarray(pc.sort_indices(founders).to_numpy(), np.int64)


def _first_words(founders: pa.Array) -> npt.NDArray[np.uint64] | None:
    """The first bytes of binary keys, none null, that are all of one length; else None."""
    if not pa.types.is_binary(founders.type) or founders.null_count or not len(founders):
        return None
    _, offsets, data = founders.buffers()
    ends = np.frombuffer(offsets, np.int32)[founders.offset : founders.offset + len(founders) + 1]
    width = int(ends[1] - ends[0])
    if width < _WORD or (np.diff(ends) != width).any():
        return None
    keys = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]].reshape(len(founders), width)
    return np.ascontiguousarray(keys[:, :_WORD]).view(">u8")[:, 0].astype(np.uint64)
