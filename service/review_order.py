"""The order of a queue's tasks: a pure function.

A task is about two persons. Who has read one has read half of the next that shares a person with
it, so tasks of equal urgency that hang together follow one another.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def kin_together(
    urgency: Sequence[Hashable], persons: Sequence[tuple[Hashable, Hashable]]
) -> list[int]:
    """Positions of sorted tasks in the order in which they are offered.

    Within a run of equal urgency the tasks that hang together by shared persons, directly or
    through others of any urgency, come at the place of the first of them, in their order.

    Args:
        urgency: of each task; equal ones stand side by side.
        persons: of each task, the two that it is about.
    """
    first: dict[Hashable, int] = {}
    parent = list(range(len(urgency)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    for at, both in enumerate(persons):
        for person in both:
            one, two = sorted((root(at), root(first.setdefault(person, at))))
            parent[two] = one
    lead: dict[tuple[Hashable, int], int] = {}
    place = {at: lead.setdefault((urgency[at], root(at)), at) for at in range(len(urgency))}
    return sorted(place, key=lambda at: (place[at], at))
