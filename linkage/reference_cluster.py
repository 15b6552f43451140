"""The reference's clustering: sets and dictionaries, by the rules that linkage/cluster.py states.

It shares with the engine the named constants alone. Averages are compared after rounding to a
millionth of a bit, so that what ties in arithmetic ties here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import combinations

from linkage.cluster import AGAINST, LARGEST
from linkage.contested import CLIP, MARGIN, SILENT
from linkage.reference_levels import Pair

Opinion = tuple[float, float, bool]
"""Of one pair: bits, conflict (bits, at most 0), and whether a guard forbids it."""
Opinions = Callable[[Collection[Pair]], Mapping[Pair, Opinion]]
"""Scores any pairs."""


def persons(rows: int, joins: Mapping[Pair, float], opinions: Opinions) -> list[set[int]]:
    """Groups of rows that are one person each.

    Args:
        joins: allowed pairs at or above the join threshold → bits; infinite where declared.
    """
    out = []
    for group in _parted(set(range(rows)), joins):
        inside = {pair: bits for pair, bits in joins.items() if group.issuperset(pair)}
        pairs = set(combinations(sorted(group), 2))
        if len(group) <= 2 or inside.keys() == pairs:
            out.append(group)
            continue
        judged = opinions(pairs)
        if any(_speaks_against(opinion) for opinion in judged.values()):
            out += _agglomerated(group, inside, judged)
        else:
            out.append(group)
    return out


def _speaks_against(opinion: Opinion) -> bool:
    bits, conflict, forbidden = opinion
    return forbidden or (bits < AGAINST and conflict < AGAINST)


def _parted(rows: set[int], joins: Mapping[Pair, float]) -> Iterator[set[int]]:
    """Connected components; in one of more than `LARGEST` rows the weakest edges are let go, two
    bits at a time, from an even number of bits on."""
    for component in _components(rows, joins):
        inside = {pair: bits for pair, bits in joins.items() if component.issuperset(pair)}
        weights = [bits for bits in inside.values() if math.isfinite(bits)]
        if len(component) <= LARGEST or not weights:
            yield component
        else:
            floor = 2.0 * (math.floor(min(weights) / 2.0) + 1.0)
            kept = {pair: bits for pair, bits in inside.items() if bits >= floor}
            yield from _parted(component, kept)


def _components(rows: set[int], joins: Collection[Pair]) -> Iterator[set[int]]:
    neighbours: dict[int, set[int]] = {row: set() for row in rows}
    for one, two in joins:
        neighbours[one].add(two)
        neighbours[two].add(one)
    left = set(rows)
    while left:
        waiting = [min(left)]
        component = set(waiting)
        while waiting:
            new = neighbours[waiting.pop()] - component
            component |= new
            waiting += new
        left -= component
        yield component


def _agglomerated(
    rows: set[int], joins: Mapping[Pair, float], judged: Mapping[Pair, Opinion]
) -> list[set[int]]:
    """Greedy joining of a contested component: best average first, in ties the lowest rows."""
    declared = {pair for pair, bits in joins.items() if math.isinf(bits)}
    votes = {pair: _vote(judged[pair]) for pair in judged} | dict.fromkeys(
        declared, CLIP * len(rows) ** 2
    )
    forbidden = {pair for pair in judged if judged[pair][2]} - declared
    strong = set(joins)
    groups = [{row} for row in sorted(rows)]
    while True:
        averages = _averages(groups, votes, strong, forbidden)
        best = max(averages.values(), default=0.0)
        if best <= 0:
            return groups
        one, two = min(at for at, average in averages.items() if average == best)
        contenders = _contenders(one, two, groups, averages, forbidden)
        if contenders:
            for here, there in [(one, two), *contenders]:
                strong -= _across(groups[here], groups[there])
        else:
            groups[one] |= groups.pop(two)


def _vote(opinion: Opinion) -> float | None:
    """Bits that a pair has in an average; None where it is silent."""
    bits, conflict, _ = opinion
    if bits > 0:
        return min(bits, CLIP)
    return max(conflict, -CLIP) if conflict < SILENT else None


def _across(one: set[int], two: set[int]) -> set[Pair]:
    return {(min(a, b), max(a, b)) for a in one for b in two}


def _averages(
    groups: list[set[int]],
    votes: Mapping[Pair, float | None],
    strong: set[Pair],
    forbidden: set[Pair],
) -> dict[Pair, float]:
    """(place, place) of two groups that a join edge joins and no pair forbids → average vote."""
    out = {}
    for one, two in combinations(range(len(groups)), 2):
        across = _across(groups[one], groups[two])
        if across & strong and not across & forbidden:
            heard = [vote for vote in map(votes.__getitem__, across) if vote is not None]
            out[one, two] = round(math.fsum(heard) / max(len(heard), 1) * 1e6) / 1e6
    return out


def _contenders(
    one: int,
    two: int,
    groups: list[set[int]],
    averages: Mapping[Pair, float],
    forbidden: set[Pair],
) -> list[Pair]:
    """Joins of a third group to one of two, nearly as good, where the other bars the third."""
    least = max(averages[one, two] - MARGIN, 0.0)
    return [
        (here, third)
        for here, there in ((one, two), (two, one))
        for third in range(len(groups))
        if third not in (one, two)
        and averages.get((min(here, third), max(here, third)), -math.inf) > least
        and _across(groups[there], groups[third]) & forbidden
    ]
