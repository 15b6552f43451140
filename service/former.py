"""Former identities: what a protected change of identity sets apart, as values.

Adoption, gender recognition, witness protection: a source declares that the client of one local id
is known under another from a moment on, or under the same one (schemas.records.IdentityChanged).

Rules:
- The old identity is the record of before, in the versions said before the change where the local
  id is the same; and every record of the person that showed it when the change came.
- The new identity is the record of after, from that moment on. A record of the old one that the
  engine shows with the new one afterwards, because it tells the new one now, has gone over to it.
- A person that shows the old identity, or showed it since, is of the old one; so are the ids that
  led to such a person before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from schemas.dates import Instant
from schemas.identifiers import PersonId


@dataclass(frozen=True)
class FormerIdentity:
    """One change of identity that holds, as the store knows it.

    Attributes:
        after: the record of the new identity; None where it is not held, withdrawn, or was not said
            anew since the change.
        as_at: the moment of the change; first_run: the first run that saw it.
        old: records of the old identity.
        old_versions: versions that tell the old identity: all of the record before, or those of the
            one record that were said before the change.
        persons: of the old identity; new_persons: the person that shows the new one, if any does.
        own: the one local id goes on under the new identity.
    """

    after: int | None
    as_at: Instant
    first_run: int
    old: frozenset[int]
    old_versions: frozenset[int]
    persons: frozenset[PersonId]
    new_persons: frozenset[PersonId]
    own: bool

    def crosses(self, one: int, person: PersonId | None, two: int, other: PersonId | None) -> bool:
        """Whether two records, with the persons that show them, lie on either side of it."""
        sides = [
            (record in self.old or shown in self.persons,
             record == self.after or shown in self.new_persons)
            for record, shown in ((one, person), (two, other))
        ]  # fmt: skip
        return (sides[0][0] and sides[1][1]) or (sides[1][0] and sides[0][1])


@dataclass(frozen=True)
class Hidden:
    """What answers as unknown to everyone but the named team.

    Attributes:
        records, persons: of former identities.
        since: record → the first run under its new identity; before that it is hidden too.
    """

    records: frozenset[int] = frozenset()
    persons: frozenset[PersonId] = frozenset()
    since: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, changes: Collection[FormerIdentity], besides: Collection[int] = ()) -> Hidden:
        """That of the changes, and of other records that bear what was old."""
        since: dict[int, int] = {}
        for one in changes:
            if one.after is not None and one.own:
                since[one.after] = max(one.first_run, since.get(one.after, 0))
        return cls(
            frozenset(besides).union(*(one.old for one in changes)),
            frozenset[PersonId]().union(*(one.persons for one in changes)),
            since,
        )

    def __bool__(self) -> bool:
        return bool(self.records or self.persons or self.since)
