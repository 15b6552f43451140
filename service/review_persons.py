"""The persons that tasks of the review queue are about, and to whom such tasks go.

Rules:
- Tasks of restricted persons go to named staff only. So do tasks of a colleague's own family, and
  never to that colleague.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemas.identifiers import LocalId, PersonId, SourceId
from schemas.items import Heading
from service.decisions import Desk
from service.ports import HeldRecord, Store


def locked(desk: Desk, restricted: bool, families: set[str]) -> str:
    """Why the actor may not see a task, or what is said of its persons; '' if they may.

    Args:
        families: accounts whose own family they may be.
    """
    if desk.actor.name in families:
        return "this task may be about your own family; a named colleague decides it"
    if (restricted or families) and desk.actor.name not in desk.settings.review.named_staff:
        return "this task goes to named staff; see [review] named_staff in partnership.toml"
    return ""


class Persons:
    """What is known of the persons that tasks are about."""

    def __init__(self, desk: Desk, records: Sequence[HeldRecord]) -> None:
        self.members = members_of(desk.store, {h.person_id for h in records if h.person_id})
        everyone = {h.record_id: h for h in records}
        everyone |= {h.record_id: h for group in self.members.values() for h in group}
        self.flagged = desk.store.with_items(everyone, Heading.SAFEGUARDING)
        self.own = {
            account: [found for name in names if (found := _own_record(desk.store, name))]
            for account, names in desk.settings.review.own_records.items()
        }

    def of(self, records: Sequence[HeldRecord]) -> dict[int, HeldRecord]:
        """All records of the persons of these."""
        found = {h.record_id: h for h in records}
        for held in records:
            found |= {h.record_id: h for h in self.members.get(held.person_id or "", ())}
        return found

    def size(self, records: Sequence[HeldRecord]) -> int:
        return len(self.of(records))

    def restricted(self, records: Sequence[HeldRecord]) -> bool:
        return any(h.record.restricted for h in self.of(records).values())

    def safeguarding(self, records: Sequence[HeldRecord]) -> bool:
        return not self.flagged.isdisjoint(self.of(records))

    def families(self, records: Sequence[HeldRecord]) -> set[str]:
        """Accounts whose own family this may be."""
        everyone = self.of(records).values()
        return {
            account
            for account, own in self.own.items()
            if any(_own_family(mine, held) for mine in own for held in everyone)
        }


def members_of(store: Store, persons: set[PersonId]) -> Mapping[str, Sequence[HeldRecord]]:
    """Person → its records."""
    if not persons:
        return {}
    found: dict[str, list[HeldRecord]] = {}
    for held in store.held(store.members(persons)):
        if held.person_id:
            found.setdefault(held.person_id, []).append(held)
    return found


def _own_record(store: Store, name: str) -> HeldRecord | None:
    source, _, local_id = name.partition("/")
    return store.record(SourceId(source), LocalId(local_id))


def _own_family(mine: HeldRecord, other: HeldRecord) -> bool:
    """The same person, or one family name at one postcode, past ones included."""
    if mine.record_id == other.record_id:
        return True
    if mine.person_id and mine.person_id == other.person_id:
        return True
    names = _families(mine) & _families(other)
    return bool(names and _postcodes(mine) & _postcodes(other))


def _families(held: HeldRecord) -> set[str]:
    return {n.family.casefold() for n in held.record.names if n.family}


def _postcodes(held: HeldRecord) -> set[str]:
    return {str(a.postcode) for a in held.record.addresses if a.postcode}
