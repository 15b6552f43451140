"""What stands across the two persons of a task: which records speak against, and who else is in it.

Rules:
- An answer is about two persons, so every pair of records across them is compared, not only the
  strongest, which stands for all.
- A pair speaks against where a guard rail forbids it or it is too weak for the review band.
- Whether `same` would need a second person is told before it is asked.
- Where third persons make the question, they are compared with both. Left out are those whose
  tasks this actor may not see, and restricted ones: nothing tells that they are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from schemas.decisions import Verdict
from service.acting import acting
from service.decisions import Desk
from service.forecast import Forecast, chained_guard, needs_second, size_of, what_follows
from service.looking import Explanation, explain_pairs, shown_record
from service.ports import HeldRecord
from service.review_persons import Persons, locked
from service.review_queue import Queue

MOST_PAIRS = 400
"""Of more pairs across two persons, those of the records first held are compared; it is said."""
SHOWN = 3
"""So many pairs that speak against, and so many third persons, are shown."""
TELLING = 2
"""So many fields of a pair that speaks against are shown: those that count most against it."""


@dataclass(frozen=True)
class Third:
    """Somebody else whom the link holds near both: of whom records are in question too."""

    records: Sequence[HeldRecord]
    shown: dict[str, Any]


def across(
    queue: Queue, sides: tuple[Sequence[HeldRecord], Sequence[HeldRecord]]
) -> dict[str, Any]:
    """Every pair of records across the two persons of a task, counted, and the worst of them.

    Args:
        sides: all records of either person, the one in front first.
    """
    desk = queue.desk
    everyone = Persons(desk, [*sides[0], *sides[1]])
    restricted = everyone.restricted([*sides[0], *sides[1]])
    found = _compared(desk, *sides)
    counts = Counter(_stance(desk, one) for _, _, one in found)
    known = {d.pair for d in queue.answers.decisions if d.verdict is Verdict.SAME}
    fresh = [
        one
        for left, right, one in found
        if tuple(sorted((left.record_id, right.record_id))) not in known
    ]
    rail = next((one.guard for one in fresh if one.guard), None)
    return {
        "pairs": len(sides[0]) * len(sides[1]),
        "compared": len(found),
        "join": counts["join"],
        "between": counts["between"],
        "against": counts["against"],
        "forbidden": counts["forbidden"],
        "worst": [
            _told(left, right, one, restricted)
            for left, right, one in sorted(found, key=_worst_first)[:SHOWN]
            if _stance(desk, one) in ("against", "forbidden")
        ],
        "second_person": _second_person(queue, sides, rail) if fresh else "",
        "guard_across": rail,
    }


def _second_person(
    queue: Queue, sides: tuple[Sequence[HeldRecord], Sequence[HeldRecord]], rail: str | None
) -> str:
    """Why `same` would need a second person, '' if it would not.

    Args:
        rail: the guard that forbids a pair across, in words.
    """
    desk = queue.desk
    now = acting(desk.store, queue.decisions)
    size = size_of(desk.store, now, {held.record_id for side in sides for held in side})
    because = needs_second(Forecast(size, rail), desk.settings.review)
    if because:
        return because
    pairs = what_follows(now, ((a.record_id, b.record_id) for a, b in product(*sides)))
    chained = chained_guard(desk.store, desk.settings, desk.model, pairs)
    return needs_second(Forecast(size, rail, chained), desk.settings.review)


def thirds(queue: Queue, sides: tuple[Sequence[HeldRecord], Sequence[HeldRecord]]) -> list[Third]:
    """Other persons of whom the link asks whether they are one with either, at most `SHOWN`."""
    desk = queue.desk
    own = {held.record_id for side in sides for held in side}
    ends = [(row["left"], row["right"]) for row in queue.linked]
    near = {b if a in own else a for a, b in ends if (a in own) is not (b in own)}
    found = desk.store.held(near)
    persons = Persons(desk, found)
    seen: set[int] = set()
    kept: list[Third] = []
    for held in sorted(found, key=lambda h: h.record_id):
        records = list(persons.of([held]).values())
        if held.record_id in seen or _kept_from(queue, records, persons, sides):
            continue
        seen |= {r.record_id for r in records}
        kept.append(Third(records, _third(desk, held, records, sides)))
    return kept[:SHOWN]


def _kept_from(
    queue: Queue,
    records: Sequence[HeldRecord],
    persons: Persons,
    sides: tuple[Sequence[HeldRecord], Sequence[HeldRecord]],
) -> bool:
    """Whether this actor may not be told of a third person here."""
    if persons.restricted(records) or locked(queue.desk, False, persons.families(records)):
        return True
    return any(queue.crosses(one, two) for side in sides for one, two in product(side, records))


def _third(
    desk: Desk,
    held: HeldRecord,
    records: Sequence[HeldRecord],
    sides: tuple[Sequence[HeldRecord], Sequence[HeldRecord]],
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "record": shown_record(held, False),
        "records": len(records),
        "person_id": held.person_id,
    }
    for name, side in zip(("left", "right"), sides, strict=True):
        worst = min(_compared(desk, side, records), key=_worst_first)
        stance = _stance(desk, worst[2])
        told[name] = _told(*worst, False) | {"stance": stance}
    return told


def _compared(
    desk: Desk, left: Sequence[HeldRecord], right: Sequence[HeldRecord]
) -> list[tuple[HeldRecord, HeldRecord, Explanation]]:
    """Pairs across, each with its explanation."""
    records = [*left, *right]
    pairs = [(a, len(left) + b) for a in range(len(left)) for b in range(len(right))][:MOST_PAIRS]
    found = explain_pairs(desk.settings, desk.model, records, pairs, together=False)
    return [(records[a], records[b], one) for (a, b), one in zip(pairs, found, strict=True)]


def _stance(desk: Desk, one: Explanation) -> str:
    link = desk.settings.link
    if one.guard:
        return "forbidden"
    if one.bits >= link.join_bits:
        return "join"
    return "between" if one.bits >= link.review_bits else "against"


def _worst_first(pair: tuple[HeldRecord, HeldRecord, Explanation]) -> tuple[bool, float, int, int]:
    left, right, one = pair
    return one.guard is None, one.bits, left.record_id, right.record_id


def _told(
    left: HeldRecord, right: HeldRecord, one: Explanation, restricted: bool
) -> dict[str, Any]:
    against = sorted(one.fields, key=lambda f: float(f["bits_against_strangers"]))[:TELLING]
    return {
        "records": [_name(held, restricted) for held in (left, right)],
        "bits": one.bits,
        "guard": one.guard,
        "fields": [
            {"field": f["field"], "level": f["level"], "bits": f["bits_against_strangers"]}
            for f in against
            if f["bits_against_strangers"] < 0
        ],
    }


def _name(held: HeldRecord, restricted: bool) -> str:
    shown: Mapping[str, Any] = shown_record(held, restricted)
    return str(shown["source"]) if restricted else f"{shown['source']} / {shown['local_id']}"
