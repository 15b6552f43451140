"""What a link leaves for the next, and what is declared for it: tables of record ids.

Rules:
- Tables are sorted: records by id, pairs by (left, right) with left < right. Equal partitions are
  equal tables.
- Nothing of the engine is brought in: stores and commands know these tables without it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

RECORDS = pa.schema([("record_id", pa.int64()), ("version_id", pa.int64()), ("label", pa.int64())])
PAIRS = pa.schema([("left", pa.int64()), ("right", pa.int64())])
EDGES = pa.schema([*PAIRS, ("bits", pa.float64()), ("guard", pa.string())])
TASKS = pa.schema([*PAIRS, ("bits", pa.float64()), ("reason", pa.string())])


@dataclass(frozen=True)
class LinkState:
    """What a link leaves for the next: the whole partition.

    Attributes:
        records: `RECORDS`, by record_id: the versions that were linked; `label` is the record that
            stands for the cluster, its first in founder order.
        edges: `EDGES`, by (left, right), record ids with left < right: every compared pair at or
            above the lower threshold, its match weight and the guard that forbids it or null.
        tasks: `TASKS`, by (left, right): pairs for a person to look at; `reason` is the code of a
            guard, "contested" or "review band"; bits are infinite where the pair was declared one.
    """

    records: pa.Table
    edges: pa.Table
    tasks: pa.Table


@dataclass(frozen=True)
class Decided:
    """What people and sources declared: tables `left`, `right` of record ids, any way round.

    Attributes:
        same: pairs that a person decided to be one; every guard of such a pair is settled, but not
            that another decision holds it apart.
        merged: pairs that their source merged (`guards.SETTLED_BY_DECLARATION` is settled).
        apart: pairs that a person decided to be two.
    """

    same: pa.Table = field(default_factory=PAIRS.empty_table)
    merged: pa.Table = field(default_factory=PAIRS.empty_table)
    apart: pa.Table = field(default_factory=PAIRS.empty_table)
