"""What an increment goes by: the order of founders, flags of records, tables that are patched."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.founders import founder_order
from linkage.live import Marks, spliced
from linkage.state import EDGES

few_bytes = st.lists(st.sampled_from((b"\0", b"a", b"\xff")), min_size=8, max_size=8)
alike = few_bytes.map(b"".join)
"""Keys that often begin alike."""
pairs = st.tuples(st.integers(1, 9), st.integers(1, 9)).filter(lambda pair: pair[0] < pair[1])


@settings(deadline=None)
@given(
    st.one_of(
        st.lists(st.builds(bytes.__add__, alike, alike), unique=True),
        st.lists(st.binary(max_size=20), unique=True),
        st.lists(st.integers(-(2**63), 2**63 - 1), unique=True),
    )
)
def test_founders_are_ordered_as_python_orders_them(founders: list[bytes] | list[int]) -> None:
    kind = pa.int64() if founders and isinstance(founders[0], int) else pa.binary()
    wanted = sorted(range(len(founders)), key=founders.__getitem__)
    assert founder_order(pa.array(founders, kind)).tolist() == wanted
    behind_others = pa.array([*founders[:1], *founders], kind).slice(min(len(founders), 1))
    assert founder_order(behind_others).tolist() == wanted


@settings(deadline=None)
@given(st.sets(st.integers(1, 60)), st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60))))
def test_flags_spread_to_all_that_pairs_lead_to(
    flagged: set[int], leading: list[tuple[int, int]]
) -> None:
    wanted = set(flagged)
    while more := {end for pair in leading if wanted & {*pair} for end in pair} - wanted:
        wanted |= more
    for step in (1, 10**9):  # dense ids, and such as a table would have no room for
        ids = np.arange(1, 61) * step
        marks = Marks(ids)
        marks.set(np.array(sorted(flagged), np.int64) * step)
        marks.spread(*(np.array([p[side] for p in leading], np.int64) * step for side in (0, 1)))
        assert {int(i) // step for i in ids[marks.of(ids)]} == wanted


@settings(deadline=None)
@given(st.sets(pairs), st.sets(pairs), st.data())
def test_a_patched_table_is_one_that_was_sorted_anew(
    held: set[tuple[int, int]], came: set[tuple[int, int]], data: st.DataObject
) -> None:
    rows = sorted(held)
    gone = [n for n, pair in enumerate(rows) if pair in came or data.draw(st.booleans())]
    kept = [pair for n, pair in enumerate(rows) if n not in gone]
    found = spliced(_edges(rows, 1.0), np.array(gone, np.int64), _edges(sorted(came), 2.0))
    wanted = sorted([(pair, 1.0) for pair in kept] + [(pair, 2.0) for pair in came])
    assert found.schema == EDGES
    assert [((e["left"], e["right"]), e["bits"]) for e in found.to_pylist()] == wanted
    assert all(e["guard"] == ("twins" if e["left"] == 1 else None) for e in found.to_pylist())


def _edges(rows: list[tuple[int, int]], bits: float) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"left": a, "right": b, "bits": bits, "guard": "twins" if a == 1 else None}
            for a, b in rows
        ],
        EDGES,
    )
