"""Limits on what a run may change: each of them, just at it and just over it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from schemas.settings import LinkSettings
from service.identity import Changes
from service.publication import over_limits
from tests.store_samples import publication

WIDE = {
    f"max_{what}{suffix}": most
    for what in ("joined", "split", "moved")
    for suffix, most in (("", 10**9), ("_fraction", 1.0))
}


def change(joined: int = 0, split: int = 0, moved: int = 0) -> Changes:
    """A change of so many."""
    flags = np.arange(100) < moved
    return Changes(
        publication(), pa.nulls(100, pa.string()), 0, joined, split, flags, flags, flags, 0
    )


def names(found: list[str]) -> list[str]:
    """The counts that are told to be too many."""
    return [text.split(" of ")[0] for text in found]


LIMITS: list[tuple[str, dict[str, Any], Changes, list[str]]] = [
    # what: limits, the change of 50 persons and 100 records, what it is over
    ("wide", {}, change(50, 50, 100), []),
    *(
        (f"{what}: {name}", {f"max_{what}": most, f"max_{what}_fraction": share}, made, over)
        for what, word, whole in (
            ("joined", "persons joined", 50), ("split", "persons split", 50),
            ("moved", "records moved", 100),
        )
        for name, most, share, made, over in (
            ("none is allowed, none is there", 0, 0.0, change(), []),
            ("at the number", 3, 0.0, change(**{what: 3}), []),
            ("over the number", 3, 0.0, change(**{what: 4}), [f"{word} 4"]),
            ("at the share", 0, 0.1, change(**{what: whole // 10}), []),
            ("over the share", 0, 0.1, change(**{what: whole // 10 + 1}),
             [f"{word} {whole // 10 + 1}"]),
            ("the larger of both counts", 3, 0.1, change(**{what: whole // 10}), []),
        )
    ),
    ("together: at it", {"max_changed_fraction": 0.1}, change(3, 2, 100), []),
    ("together: over it", {"max_changed_fraction": 0.1}, change(3, 3),
     ["persons joined or split 6"]),
    ("together: none is allowed", {"max_changed_fraction": 0.0}, change(0, 1),
     ["persons joined or split 1"]),
    ("each is told", {"max_joined": 0, "max_joined_fraction": 0.0, "max_moved": 1,
                      "max_moved_fraction": 0.0}, change(1, 1, 2),
     ["persons joined 1", "records moved 2"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("limits", "made", "over"), [row[1:] for row in LIMITS], ids=[row[0] for row in LIMITS]
)
def test_what_a_change_is_over(limits: dict[str, Any], made: Changes, over: list[str]) -> None:
    settings = LinkSettings(**{**WIDE, **limits})
    assert names(over_limits(settings, made, 50, 100)) == over


def test_a_first_publication_is_over_no_limit() -> None:
    none = LinkSettings(**{**dict.fromkeys(WIDE, 0), "max_changed_fraction": 0.0})
    assert over_limits(none, change(5, 5, 5), 0, 0) == []
