"""Audit events found, counted and given as columns, as a plain filter of a list does it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from audit.actions import EventClass, class_of
from audit.event_columns import EVENT_COLUMNS
from audit.events import AuditEvent, EventOutcome, canonical, entry_of, entry_of_bytes
from schemas.dates import Instant
from schemas.errors import InvalidValue, StoreError
from schemas.identifiers import PersonId
from service.audit_ports import COUNTED_BY, AuditQuery, Numbered
from store import audit_queries
from store.audit_tables import audit_event
from store.sql_store import SqlStore

ACTIONS = ("read", "search", "match", "break-glass", "link", "person-export", "consent-write")
ACTORS, PLACES = ("ann", "bob", "Zoë"), ("-", "ZZ01A", "ZZ02A")
PERSONS = tuple(PersonId(f"P{n}") for n in range(4))
TIMES = tuple(
    Instant(f"2026-{day}:30:00Z")
    for day in ("01-31T00", "02-01T07", "02-01T08", "02-28T23", "03-01T00")
)
QUESTIONS = 40


def made(number: int) -> AuditEvent:
    """One of many unlike events; times go back now and then, as those from the journal do."""
    return AuditEvent(
        at=TIMES[(number * 7 // 5 + number % 3) % len(TIMES)],
        action=ACTIONS[number * 5 % len(ACTIONS)],
        outcome=list(EventOutcome)[number % 3],
        actor=ACTORS[number % len(ACTORS)],
        role="gp",
        purpose="direct-care",
        organisation=PLACES[number * 3 % 4 % len(PLACES)],
        persons=PERSONS[number % 3 : number % 3 + number % 2 + 1] if number % 5 else (),
        details={"number": number, "share": number / 7, "words": ["a", {"é": None}]},
    )


EVENTS = [made(number) for number in range(90)]


@pytest.fixture
def filled(store: SqlStore) -> SqlStore:
    for event in EVENTS:
        store.append_event(event)
    return store


def naive(query: AuditQuery) -> list[int]:
    """Leaves of the events that meet the query, in its order."""
    found = [
        leaf
        for leaf, event in enumerate(EVENTS)
        if (query.since is None or event.at >= query.since)
        and (query.until is None or event.at < query.until)
        and (query.person is None or query.person in event.persons)
        and (query.actor is None or event.actor == query.actor)
        and (query.organisation is None or event.organisation == query.organisation)
        and (not query.actions or event.action in query.actions)
        and (not query.classes or class_of(event.action) in query.classes)
        and (not query.outcomes or event.outcome in query.outcomes)
    ]
    if query.newest_first:
        found.reverse()
    if query.after is not None:
        sign = -1 if query.newest_first else 1
        found = [leaf for leaf in found if sign * leaf > sign * query.after]
    return found if query.limit is None else found[: query.limit]


def maybe(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


QUERIES = st.builds(
    AuditQuery,
    since=maybe(st.sampled_from(TIMES)),
    until=maybe(st.sampled_from(TIMES)),
    person=maybe(st.sampled_from([*PERSONS, PersonId("nobody")])),
    actor=maybe(st.sampled_from([*ACTORS, "nobody"])),
    organisation=maybe(st.sampled_from([*PLACES, "ZZ99Z"])),
    actions=st.frozensets(st.sampled_from(ACTIONS), max_size=3),
    classes=st.frozensets(st.sampled_from(EventClass), max_size=3),
    outcomes=st.frozensets(st.sampled_from(EventOutcome), max_size=2),
    after=maybe(st.integers(0, len(EVENTS) + 1)),
    newest_first=st.booleans(),
    limit=maybe(st.integers(0, 40)),
)
ONE_STORE = settings(
    max_examples=QUESTIONS,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("page", [3, 4_000])
def test_found_as_by_a_plain_filter(
    filled: SqlStore, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(audit_queries, "_PAGE", page)
    monkeypatch.setattr(audit_queries, "_BATCH", page)

    @ONE_STORE
    @given(QUERIES)
    def asked(query: AuditQuery) -> None:
        pages = list(filled.find_numbered(query))
        assert all(pages)
        assert all(len(one) <= page for one in pages)
        found = [one for held in pages for one in held]
        assert [one.leaf for one in found] == naive(query)
        assert [one.event for one in found] == [EVENTS[one.leaf] for one in found]
        batches = list(filled.event_columns(query))
        assert [leaf for batch in batches for leaf in batch["leaf"].to_pylist()] == naive(query)

    asked()


@pytest.mark.parametrize("by", [(), ("class",), ("outcome", "organisation"), COUNTED_BY])
def test_counted_as_by_a_plain_filter(filled: SqlStore, by: tuple[str, ...]) -> None:
    def named(event: AuditEvent) -> tuple[str, ...]:
        names = {"class": class_of(event.action).value, "action": event.action,
                 "outcome": event.outcome.value, "organisation": event.organisation,
                 "month": event.at[:7], "day": event.at[:10], "hour": event.at[11:13]}  # fmt: skip
        return tuple(names[name] for name in by)

    @ONE_STORE
    @given(QUERIES)
    def asked(query: AuditQuery) -> None:
        every = AuditQuery(**{
            name: getattr(query, name)
            for name in query.__struct_fields__
            if name not in ("after", "newest_first", "limit")
        })  # fmt: skip
        assert filled.count_events(query, by) == Counter(named(EVENTS[n]) for n in naive(every))

    asked()


def test_counted_by_what_there_is_only(filled: SqlStore) -> None:
    with pytest.raises(InvalidValue, match="not by actor, body"):
        filled.count_events(AuditQuery(), ("actor", "day", "body"))


def test_columns_hold_what_the_events_say(filled: SqlStore) -> None:
    (batch,) = filled.event_columns(AuditQuery())
    assert batch.schema == EVENT_COLUMNS
    for event, row in zip(EVENTS, batch.to_pylist(), strict=True):
        moment = datetime.strptime(event.at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        assert row.pop("leaf") == event.details["number"]
        assert row.pop("at") == moment
        assert row.pop("persons") == list(event.persons)
        assert json.loads(row.pop("details")) == event.details
        assert row.pop("outcome") == event.outcome.value
        assert row == {name: getattr(event, name) for name in row}
        assert len(row) == 5


def test_entries_are_of_what_was_told(filled: SqlStore) -> None:
    held: list[Numbered] = [one for page in filled.find_numbered(AuditQuery()) for one in page]
    assert filled.event_count() == len(EVENTS)
    assert filled.entries(0, len(EVENTS)) == [entry_of(one.salt, one.event) for one in held]
    assert filled.entries(5, 9) == [entry_of_bytes(one.salt, one.told) for one in held[5:9]]
    assert [one.told for one in held] == [canonical(event) for event in EVENTS]
    assert filled.entries(4, 4) == []
    assert len({one.salt for one in held}) == len(EVENTS)
    assert {len(entry) for entry in filled.entries(0, 90)} == {33}


@pytest.mark.parametrize(("first", "last"), [(89, 91), (0, 91), (90, 91)])
def test_entries_that_are_not_there_are_said_to_be(filled: SqlStore, first: int, last: int) -> None:
    with pytest.raises(StoreError, match="leaf 90 of the log is not there"):
        filled.entries(first, last)


def test_a_gap_is_found(filled: SqlStore) -> None:
    with filled.database.writing() as conn:
        conn.execute(audit_event.delete().where(audit_event.c.seq == 40))
    with pytest.raises(StoreError, match="leaf 39 of the log is not there"):
        filled.entries(0, 90)
    assert len(filled.entries(40, 90)) == 50


def test_only_what_is_answered_is_opened(filled: SqlStore) -> None:
    query = AuditQuery(person=PERSONS[3])
    wanted = naive(query)
    with filled.database.writing() as conn:
        others = audit_event.c.seq.not_in([leaf + 1 for leaf in wanted])
        conn.execute(update(audit_event).where(others).values(body=b"altered"))
    assert [one.leaf for page in filled.find_numbered(query) for one in page] == wanted
    with pytest.raises(StoreError, match="not a sealed payload"):
        list(filled.find_numbered(AuditQuery()))


def test_one_person_is_found_by_an_index(filled: SqlStore) -> None:
    """However long the log: the plan begins with the person and never walks the events."""
    asked = audit_queries._asked(
        filled.database, select(audit_event.c.seq), AuditQuery(person=PERSONS[0])
    )
    with filled.database.reading() as conn:
        text = str(asked.compile(conn, compile_kwargs={"literal_binds": True}))
        if conn.dialect.name == "sqlite":
            plan = " ".join(row[3] for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}"))
            assert "SEARCH audit_event_person USING PRIMARY KEY (person_id=?)" in plan
        else:
            conn.exec_driver_sql("SET LOCAL enable_seqscan = off")
            plan = " ".join(row[0] for row in conn.exec_driver_sql(f"EXPLAIN {text}"))
            assert "pk_audit_event_person" in plan
        assert "SCAN audit_event" not in plan


def test_a_limit_holds_over_all_windows(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events of several classes are looked for in windows of numbers, some of them thin."""
    monkeypatch.setattr(audit_queries, "_PAGE", 5)
    for number in range(60):
        store.append_event(made(number))
    classes = frozenset({class_of("link"), class_of("consent-write")})
    for newest_first in (False, True):
        every = AuditQuery(classes=classes, newest_first=newest_first)
        whole = [one.leaf for page in store.find_numbered(every) for one in page]
        assert len(whole) > 10
        for limit in (1, 5, 9):
            some = AuditQuery(classes=classes, limit=limit, newest_first=newest_first)
            found = [one.leaf for page in store.find_numbered(some) for one in page]
            assert found == whole[:limit]


def test_a_limit_is_none_or_more() -> None:
    with pytest.raises(InvalidValue):
        AuditQuery(limit=-1)
