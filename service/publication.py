"""Guarded publication: limits on what one run may change, holds, difference reports.

Rules:
- A run over a limit is held: its partition is kept and nothing of it is published but what never
  waits (service/urgent.py). A held run is published by approval, or replaced by the next link.
- A difference report holds counts and record ids, and nothing else of anybody.
- The limits of a run that restores a former one are counted against that one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.settings import LinkSettings
from service.identity import Changes, Flags, Ints

EXAMPLES = 20
"""Examples in a difference report, at most."""


@dataclass(frozen=True)
class Difference:
    """How a computed partition differs from the published one.

    Attributes:
        joined, split, created: persons; moved, withdrawn: records.
        sources: source → records in joined persons, in split ones, moved, and contested (named
            by a review task).
        examples: at most `EXAMPLES`, of each kind some: `kind` (joined, split, moved) and the
            `records` of the person as it would be (split: as it is).
        over: limits that it is over, in words.
    """

    persons: int
    created: int
    joined: int
    split: int
    moved: int
    withdrawn: int
    sources: dict[str, dict[str, int]]
    examples: list[dict[str, Any]]
    over: list[str]

    @property
    def document(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def over_limits(limits: LinkSettings, change: Changes, persons: int, records: int) -> list[str]:
    """The limits that a change is over, in words.

    Args:
        persons, records: how many are published.
    """
    found = [
        f"{what} {count:,} of {whole:,}: more than the {most:,} and the {share:.1%} that [link]"
        f" max_{name} and max_{name}_fraction allow"
        for name, what, count, whole, most, share in (
            ("joined", "persons joined", change.joined, persons, limits.max_joined,
             limits.max_joined_fraction),
            ("split", "persons split", change.split, persons, limits.max_split,
             limits.max_split_fraction),
            ("moved", "records moved", int(change.moved.sum()), records, limits.max_moved,
             limits.max_moved_fraction),
        )
        if whole and count > max(most, share * whole)
    ]  # fmt: skip
    share_of_all = limits.max_changed_fraction
    if persons and share_of_all is not None and change.changed_persons > share_of_all * persons:
        found.append(
            f"persons joined or split {change.changed_persons:,} of {persons:,}: more than the"
            f" {share_of_all:.1%} that [link] max_changed_fraction allows"
        )
    return found


def difference(
    table: pa.Table, label: Ints, members: pa.Table, change: Changes, over: list[str], persons: int
) -> Difference:
    """The report of a change.

    Args:
        table: `record_id` ascending and `source` of the records.
        label: (n,) their clusters.
        members: the published partition.
        persons: how many are published.
    """
    ids = table["record_id"].to_numpy()
    tasks = change.publication.tasks
    contested = np.isin(ids, np.concatenate([tasks["left"].to_numpy(), tasks["right"].to_numpy()]))
    flags = {
        "joined": change.joined_records,
        "split": change.split_records,
        "moved": change.moved,
        "contested": contested,
    }
    return Difference(
        persons=persons,
        created=change.created,
        joined=change.joined,
        split=change.split,
        moved=int(change.moved.sum()),
        withdrawn=change.withdrawn,
        sources=_by_source(table["source"], flags),
        examples=list(_examples(ids, label, members, flags)),
        over=over,
    )


def _by_source(source: pa.ChunkedArray, flags: dict[str, Flags]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for name, flag in flags.items():
        for row in source.filter(pa.array(flag)).value_counts().to_pylist():
            found.setdefault(row["values"], dict.fromkeys(flags, 0))[name] = row["counts"]
    return dict(sorted(found.items()))


def _examples(
    ids: Ints, label: Ints, members: pa.Table, flags: dict[str, Flags]
) -> Iterator[dict[str, Any]]:
    """Of each kind some: the first by record id."""
    each = {"split": 8, "joined": 8, "moved": EXAMPLES - 16}
    old = pc.index_in(pa.array(ids), members["record_id"].combine_chunks())
    person = pc.take(members["person_id"].combine_chunks(), old)
    for kind, most in each.items():
        groups = person if kind == "split" else pa.array(label)
        chosen = pc.unique(groups.filter(pa.array(flags[kind])))[:most]
        for value in chosen:
            rows = pc.equal(groups, value)
            yield {"kind": kind, "records": pa.array(ids).filter(rows).to_pylist()}
