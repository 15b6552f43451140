"""What a link leaves in the store for the next: a part of `service.ports.Store`.

Rules:
- The link state is what the next link goes on from.
- Records as they were read save time and change no answer: they may be absent, or go up to an
  earlier night. What differs since is read from the segments loaded since, or from the versions
  themselves.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linkage.prepared import Prepared
from service.runs import KeptState, StateKey


class LinkStore(Protocol):
    """Keeps the link state, and records as they were read."""

    def state_key(self) -> tuple[int, StateKey] | None:
        """The id of the latest link state and what it was computed from, without opening it."""

    def link_state(self) -> KeptState | None:
        """The latest link state, whole; None where there is none."""

    def save_link_state(self, kept: KeptState) -> int:
        """Keeps a link state in the place of the one before and returns its id (its `state_id` is
        not read). A save that dies leaves the one before."""

    def live_versions(self) -> npt.NDArray[np.int64]:
        """Ids of the versions of live records, ascending."""

    def prepared(self, input_hash: str) -> tuple[int, Prepared] | None:
        """What was read for an earlier link under these inputs, and the segment that it goes up
        to; None where nothing was kept."""

    def keep_prepared(self, input_hash: str, prepared: Prepared) -> None:
        """Keeps what was read in the place of what was kept before, until a record is erased."""

    def recent_columns(self, since: int, versions: Collection[int]) -> pa.Table:
        """As `past_columns`, without `same_as` and in no order, of those of the versions that
        stand in a segment after `since`."""
