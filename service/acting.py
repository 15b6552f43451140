"""The decisions that act now: which records are held to be one, which to be two, and what follows.

Rules:
- A chain of `same` decisions makes one group of all its records; a link holds every pair of it to
  be decided (linkage/declared.py).
- A decision about records of which one is another person's meanwhile rests: it does not act.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence

from schemas.decisions import Decision, Verdict
from service.ports import Store


class Acting:
    """The decisions that act now: groups of records held to be one, and pairs held to be two.

    The groups are kept up to date as decisions are added, the smaller joining the larger; a chain
    is walked only where there is something to tell.
    """

    def __init__(self, decisions: Iterable[Decision] = ()) -> None:
        self.decisions: list[Decision] = []
        self._same: dict[int, list[Decision]] = {}
        self._apart: dict[int, list[Decision]] = {}
        self._groups: dict[int, set[int]] = {}
        for one in decisions:
            self.add(one)

    def add(self, one: Decision) -> None:
        """One more, of one person or two. Whether it contradicts these is not asked."""
        self.decisions.append(one)
        table = self._same if one.verdict is Verdict.SAME else self._apart
        for end in one.pair:
            table.setdefault(end, []).append(one)
        if one.verdict is Verdict.SAME:
            small, large = sorted(map(self.group, one.pair), key=len)
            if small is not large:
                large |= small
                both_new = len(large) == 2
                self._groups |= dict.fromkeys(large if both_new else small, large)

    def group(self, record: int) -> set[int]:
        """Every record that `record` is held to be one with, itself included; not to be changed."""
        return self._groups.get(record) or {record}

    def chains(self, record: int) -> dict[int, tuple[Decision, ...]]:
        """As `group`, and by which decisions."""
        found: dict[int, tuple[Decision, ...]] = {record: ()}
        waiting = deque([record])
        while waiting:
            here = waiting.popleft()
            for one in self._same.get(here, ()):
                other = one.left + one.right - here
                if other not in found:
                    found[other] = (*found[here], one)
                    waiting.append(other)
        return found

    def apart(self, ones: Collection[int], others: Collection[int]) -> list[Decision]:
        """The decisions that hold a record of one group apart from a record of the other."""
        return [
            one
            for record in ones
            for one in self._apart.get(record, ())
            if one.left + one.right - record in others
        ]

    def answer(self, ones: Collection[int], others: Collection[int]) -> Verdict | None:
        """What follows for two groups of records, each taken to be one person, from all that was
        decided; None: nothing."""
        near = set[int]().union(*map(self.group, ones))
        if not near.isdisjoint(others):
            return Verdict.SAME
        far = set[int]().union(*map(self.group, others))
        return Verdict.DIFFERENT if self.apart(near, far) else None

    def contradicted(self, left: int, right: int, verdict: Verdict) -> list[Decision]:
        """The acting decisions that cannot stand beside the verdict; [] if it may be given."""
        together = right in self.group(left)
        if verdict is Verdict.DIFFERENT:
            return sorted(self.chains(left)[right], key=_by_id) if together else []
        if verdict is Verdict.UNDECIDED or together:
            return []
        walls = self.apart(*sorted((self.group(left), self.group(right)), key=len))
        if not walls:
            return []
        ones, others = self.chains(left), self.chains(right)
        found: dict[int, Decision] = {}
        for apart in walls:
            near, far = apart.pair if apart.left in ones else apart.pair[::-1]
            for one in (apart, *ones[near], *others[far]):
                found[one.decision_id] = one
        return sorted(found.values(), key=_by_id)

    def without(self, gone: Collection[int]) -> Acting:
        """These without the ones of these ids."""
        return Acting(one for one in self.decisions if one.decision_id not in gone)


def _by_id(one: Decision) -> int:
    return one.decision_id


def acting(store: Store, decisions: Sequence[Decision]) -> Acting:
    """The decisions that act now."""
    rests = store.resting_decisions()
    return Acting(d for d in decisions if d.binds and d.decision_id not in rests)
