"""Persons as the commands of the audit log are given them.

Rules:
- A person is known here while any id of theirs leads anywhere, and for as long after that as an
  event names the id: the log outlives the records.
- What service/former.py hides answers as unknown, in holds as everywhere.
"""

from __future__ import annotations

from typing import Protocol

from schemas.errors import NotFound
from schemas.identifiers import PersonId
from service.access import Actor
from service.audit_ports import AuditQuery, AuditStore
from service.former import Hidden
from service.ports import Store
from service.runs import Fate
from service.shielded import hidden_of


class EventsOfPersons(Store, AuditStore, Protocol):
    """What naming a person to the log asks of a store."""


def hidden_from(store: Store, actor: Actor) -> Hidden:
    """What answers as unknown to the actor."""
    return Hidden() if actor.named else hidden_of(store)


def person_of_log(store: EventsOfPersons, actor: Actor, asked: str) -> PersonId:
    """The id that was given, as it is: events name the ids of their own time. Raises: NotFound: it
    leads nowhere, and no event names it."""
    person = PersonId(asked)
    found = store.resolve(person)
    hidden = hidden_from(store, actor).persons
    known = found.fate is not Fate.UNKNOWN or any(
        store.find_numbered(AuditQuery(person=person, limit=1))
    )
    if not known or person in hidden or found.person in hidden:
        raise NotFound(
            "no person of that id, and no event names it; expected it as `match` and `person"
            " export` write it"
        )
    return person
