"""Events checked row by row, on every store: what is sound, and one fault of each kind."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, insert, update

from schemas.identifiers import PersonId
from store import audit_checking
from store.audit_tables import audit_event, audit_event_person
from store.sql_store import SqlStore
from tests.audit.small_log import event

COUNT = 25
_E, _P = audit_event.c, audit_event_person.c


@pytest.fixture
def filled(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> SqlStore:
    monkeypatch.setattr(audit_checking, "BUCKET", 8)
    monkeypatch.setattr(audit_checking, "_PERSONS_PAGE", 3)
    for number in range(COUNT):
        persons = tuple(PersonId(f"p{n}") for n in range(number % 4))
        store.append_event(event(number, persons=persons))
    return store


def faults(store: SqlStore) -> list[tuple[int, str]]:
    """Of every event, in pages of seven."""
    checker = store.event_checker()
    pages = [checker.page(first, min(first + 7, COUNT)) for first in range(0, COUNT, 7)]
    assert [one.first for one in pages] == list(range(0, COUNT, 7))
    assert [entry for page in pages for entry in page.entries if entry] == [
        entry
        for leaf in range(COUNT)
        for entry in store.entries(leaf, leaf + 1)
        if (leaf + 1) not in _gone(store)
    ]
    return [fault for page in pages for fault in page.faults] + list(checker.persons())


def _gone(store: SqlStore) -> set[int]:
    with store.database.reading() as conn:
        return set(range(1, COUNT + 1)) - {row[0] for row in conn.execute(audit_event.select())}


def test_what_is_sound_has_no_fault(filled: SqlStore) -> None:
    assert faults(filled) == []
    # Events that come in while the check is under way are left to the next.
    filled.append_event(event(COUNT))
    assert faults(filled) == []


def test_rows_that_bear_no_number_of_the_log(filled: SqlStore) -> None:
    assert filled.event_checker().strays() == []
    with filled.database.writing() as conn:
        for old, new in ((4, 0), (24, COUNT + 1)):
            conn.execute(update(audit_event).where(_E.seq == old).values(seq=new))
        conn.execute(insert(audit_event_person).values(person_id="zz", seq=COUNT + 9))
    assert filled.event_checker().strays() == [
        (-1, "a row whose number no event was given"),
        (COUNT, "a row whose number no event was given"),
        (COUNT + 8, "about somebody in clear, and no event was given its number"),
    ]


def test_one_fault_of_each_kind(filled: SqlStore) -> None:
    with filled.database.writing() as conn:
        conn.execute(update(audit_event).where(_E.seq == 3).values(organisation="X26"))
        conn.execute(update(audit_event).where(_E.seq == 5).values(body=b"\x01" * 80))
        conn.execute(insert(audit_event_person).values(person_id="zz", seq=9))
        conn.execute(delete(audit_event_person).where(_P.seq == 16, _P.person_id == "p1"))
    assert faults(filled) == [
        (2, "in clear otherwise than sealed: organisation"),
        (4, "its payload does not open"),
        (8, "about others in clear than sealed"),
        (15, "about others in clear than sealed"),
    ]
