"""What would come of holding two persons to be one, and whether one answer is enough for it.

Rules:
- A `same` holds for all that was decided before, too: where A and B are held to be one, an answer
  about B and C is one about A and C.
- A second person is needed where a row of `TWO_PEOPLE` says so, of the pairs that are asked about
  or of those that follow from them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from linkage.model import Model
from schemas.settings import ReviewSettings, Settings
from service.acting import Acting
from service.looking import explain_records
from service.ports import HeldRecord, Store

Pair = tuple[int, int]
Held = tuple[HeldRecord, HeldRecord]


@dataclass(frozen=True)
class Forecast:
    """What a `same` would bring.

    Attributes:
        records: of the person that would come of it.
        guard: what forbids a pair that is asked about, in words; None: nothing.
        chained: what forbids a pair that follows from it and from decisions before.
    """

    records: int
    guard: str | None = None
    chained: str | None = None


@dataclass(frozen=True)
class TwoPeople:
    """One row of `TWO_PEOPLE`: when a `same` needs a second person. `because` is shown."""

    because: str
    holds: Callable[[Forecast, ReviewSettings], bool]


TWO_PEOPLE: tuple[TwoPeople, ...] = (
    TwoPeople("a guard rail forbids it", lambda would, _: would.guard is not None),
    TwoPeople(
        "with what was decided before it joins records that a guard rail keeps apart",
        lambda would, _: would.chained is not None,
    ),
    TwoPeople(
        "it would make a very large person",
        lambda would, settings: would.records > settings.two_people_above,
    ),
)
"""(forecast, settings) → whether a second person is needed. The first row that holds gives the
reason."""


def needs_second(would: Forecast, settings: ReviewSettings) -> str:
    """Why a `same` needs a second person, '' if it does not."""
    return next((row.because for row in TWO_PEOPLE if row.holds(would, settings)), "")


def what_follows(now: Acting, pairs: Iterable[Pair]) -> list[Pair]:
    """Further pairs that would be held to be one, if these were: those across groups that they
    bring together. Ascending; without the pairs themselves."""
    asked = {(min(pair), max(pair)) for pair in pairs}
    group: dict[int, int] = {}
    after: dict[int, set[int]] = {}
    for first, second in sorted(asked):
        for end in (first, second):
            if end not in group:
                members = set(now.group(end))
                group |= dict.fromkeys(members, end)
                after |= dict.fromkeys(members, members)
        small, large = sorted((after[first], after[second]), key=len)
        if small is not large:
            large |= small
            after |= dict.fromkeys(small, large)
    distinct = {id(members): members for members in after.values()}
    found = (pair for members in distinct.values() for pair in combinations(sorted(members), 2))
    return sorted(p for p in found if group[p[0]] != group[p[1]] and p not in asked)


def size_of(store: Store, now: Acting, records: Collection[int]) -> int:
    """Records of the person that would come of these being one."""
    held = store.held(set[int]().union(*map(now.group, records)))
    persons = {h.person_id for h in held if h.person_id}
    members = {h.record_id for person in persons for h in store.person_records(person)}
    return len(members | {h.record_id for h in held})


def guards(settings: Settings, model: Model, pairs: Iterable[Held]) -> Iterator[str | None]:
    """What forbids each of the pairs, one compared after the other."""
    for one, two in pairs:
        yield explain_records(settings, model, one, two, together=False).guard


def chained_guard(
    store: Store, settings: Settings, model: Model, pairs: Sequence[Pair]
) -> str | None:
    """The first guard that forbids one of the pairs, of those whose records are both held."""
    held = {h.record_id: h for h in store.held({end for pair in pairs for end in pair})}
    both = ((held[a], held[b]) for a, b in pairs if a in held and b in held)
    return next(filter(None, guards(settings, model, both)), None)


def awaits_second(
    store: Store,
    settings: Settings,
    model: Model,
    now: Acting,
    pairs: Sequence[Held],
    follow: Sequence[Pair],
) -> str:
    """Why a `same` of these pairs, together, needs a second person; '' if it does not. No more
    pairs are compared than it takes: the first alone where their number settles it.

    Args:
        follow: what follows from them (`what_follows`).
    """
    size = size_of(store, now, {h.record_id for pair in pairs for h in pair})
    for guard in guards(settings, model, pairs):
        because = needs_second(Forecast(size, guard), settings.review)
        if because:
            return because
    chained = chained_guard(store, settings, model, follow)
    return needs_second(Forecast(size, None, chained), settings.review)
