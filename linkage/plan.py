"""The plan of blocking: which rules a set of columns deserves, and what they will cost.

Rules:
- Rules are taken in the order of `CANDIDATES` (identifiers first, loose rules last) as long as the
  pairs they propose fit in what is left of the budget; a rule over columns that no record fills is
  left out.
- A small table is compared whole.
- What is planned is counted, not guessed: the same blocks are expanded later.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from linkage.blocking import ALL, Blocker, Blocks, key_columns
from linkage.columns import Features
from linkage.model import Rule

PAIRS_PER_RECORD = 12
SMALLEST_BUDGET = 3_000_000
WHOLE = 1_500
"""Up to so many records every pair is compared."""
LARGEST_BLOCK = 0.02
"""A block may cost this share of the budget; a larger one is cut, counted and reported."""

CANDIDATES: tuple[tuple[str, ...], ...] = (
    ("nhs_number",),
    ("identifier[6]",),
    ("email",),
    ("phone[2]",),
    ("birth_date", "given"),
    ("birth_date", "family[2]"),
    ("birth_date", "postcode[2]"),
    ("given~family", "birth_date.year"),
    ("given", "family"),
    ("given", "postcode[2]"),
    ("family", "postcode[2]"),
    ("given", "address"),
    ("family", "address"),
    ("address", "postcode"),
    ("given.phonetic", "family.phonetic", "birth_date.year"),
    ("birth_date", "given.initial"),
    ("birth_date", "family.initial"),
    ("birth_date", "sex"),
    ("given.start", "family.start"),
    ("family.phonetic", "postcode"),
    ("given.phonetic", "postcode"),
    ("given", "birth_date.year", "birth_date.month"),
    ("family", "birth_date.year"),
    ("given", "birth_date.year"),
    ("family.phonetic", "town", "birth_date.year"),
    ("given.phonetic", "town", "birth_date.year"),
    ("given", "town"),
    ("family", "town"),
    ("given", "birth_place"),
    ("family", "birth_place"),
    ("birth_date", "town"),
    ("birth_date", "birth_place"),
    ("birth_date",),
    ("address",),
    ("postcode[2]", "birth_date.year"),
    ("postcode", "sex"),
    ("given", "family.initial"),
    ("family", "given.initial"),
    ("family",),
    ("given",),
    ("postcode",),
    ("given.phonetic", "family.initial"),
    ("family.phonetic", "given.initial"),
    ("birth_date.year", "birth_place"),
    ("family.phonetic",),
    ("given.phonetic",),
    ("family.start",),
    ("birth_date.year", "birth_date.month"),
)  # fmt: skip


@dataclass(frozen=True)
class RuleCost:
    """What a rule will cost: pairs (some of which other rules propose too) and what it cuts."""

    rule: Rule
    proposed: int
    cut_blocks: int
    cut_pairs: int


def default_rules(features: Features, *, pairs_per_record: float = PAIRS_PER_RECORD) -> list[Rule]:
    """The rules for the columns at hand, within a budget of pairs."""
    n = len(features)
    if n <= WHOLE:
        return [Rule("every pair", (ALL,), WHOLE)]
    budget = max(SMALLEST_BUDGET, int(pairs_per_record * n))
    cap = int(np.sqrt(2 * LARGEST_BLOCK * budget)) + 1
    named = [
        Rule(", ".join(keys), keys, cap)
        for keys in CANDIDATES
        if not any(features.column(c).empty for key in keys for c in key_columns(key))
    ]

    def cost(rule: Rule) -> int:
        sizes = Blocks.of(features, rule).sizes
        return int((sizes * (sizes - 1) // 2).sum())

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        proposed = list(pool.map(cost, named))
    rules: list[Rule] = []
    for rule, pairs in zip(named, proposed, strict=True):
        if 0 < pairs <= budget:
            rules.append(rule)
            budget -= pairs
    return rules


def costs(features: Features, rules: Sequence[Rule]) -> list[RuleCost]:
    """What each rule will cost over these features."""
    found = []
    for rule in rules:
        blocker = Blocker(features, rule)
        found.append(RuleCost(rule, blocker.proposed, blocker.cut_blocks, blocker.cut_pairs))
    return found
