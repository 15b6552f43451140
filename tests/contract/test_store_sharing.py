"""What sharing is decided on, on every store: classes, views, provisions, agreements, claims."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from audit.events import AuditEvent, EventOutcome
from schemas.dates import Instant, PartialDate
from schemas.errors import InvalidValue, NotFound
from schemas.held import Proxy, ProxyBasis
from schemas.identifiers import OdsCode, PersonId, SourceId
from schemas.items import Coding, Heading
from schemas.sharing import (
    AccessClass,
    Agreement,
    Category,
    ClassId,
    Directive,
    DirectiveKind,
    Effect,
    Label,
)
from service.sharing_ports import Claim, ClaimKind, Provision
from store import classing
from store.database import CLASSED
from store.keyring import KeyRing
from store.sql_store import SqlStore, open_store
from tests.store_samples import (
    SOURCE,
    client,
    item,
    load,
    one,
    publication,
    publish,
    staff,
    withdraw,
)

NOW = Instant("2026-11-02T03:00:00Z")
LATER = Instant("2026-11-02T04:00:00Z")
OTHER = SourceId("council")
ANN, BEN = PersonId("pann"), PersonId("pben")


def said(action: str = "consent-write", *persons: PersonId, at: Instant = NOW) -> AuditEvent:
    return AuditEvent(
        at=at,
        action=action,
        outcome=EventOutcome.PERMITTED,
        actor="a",
        role="r",
        purpose="audit",
        persons=persons,
    )


def filled(store: SqlStore) -> None:
    """Ann of two records, and Ben of one; four items of Ann's, one of Ben's."""
    load(
        store,
        [
            one(client("1", restricted=True)),
            one(client("2")),
            one(item("i1", "1", organisation=OdsCode("RVJ"))),
            one(item("i2", "1", organisation=OdsCode("RVJ"))),
            one(item("i3", "1", heading=Heading.CONDITION, sensitivity=("HIV",))),
            one(item("i4", "2")),
            one(staff("s1")),
        ],
    )
    load(store, [one(client("1")), one(item("i1", "1"))], "council.csv", OTHER)
    ids = {(h.source, h.record.local_id): h.record_id for h in store.held(range(1, 9))}
    a, b, c = ids[SOURCE, "1"], ids[OTHER, "1"], ids[SOURCE, "2"]
    founded = [(ANN, a), (BEN, c)]
    publish(store, publication(founded=founded, opened=[(a, ANN), (b, ANN), (c, BEN)]))


def view(store: SqlStore, person: PersonId, *headings: Heading) -> Any:
    return store.views_now([person], headings or None, NOW)[1][person]


def test_items_that_are_alike_have_one_class(store: SqlStore) -> None:
    filled(store)
    items = view(store, ANN).items
    known = store.access_classes()
    told = sorted((i.source, known[i.class_id].category, known[i.class_id].labels) for i in items)
    assert told == [
        (OTHER, Category.ENCOUNTER, frozenset()),
        (SOURCE, Category.CONDITION, frozenset({Label.SEXUAL_HEALTH})),
        (SOURCE, Category.ENCOUNTER, frozenset()),
        (SOURCE, Category.ENCOUNTER, frozenset()),
    ]
    assert len({i.class_id for i in items}) == 3
    assert AccessClass(Category.ENCOUNTER, SOURCE, OdsCode("RVJ")) in known.values()


def test_known_classes_are_not_read_again(store: SqlStore) -> None:
    filled(store)
    last = max(store.access_classes())
    assert store.access_classes(last) == {}
    load(store, [one(item("i9", "1", heading=Heading.ALLERGY))], "more.csv")
    assert [c.category for c in store.access_classes(last).values()] == [Category.ALLERGY]


def test_an_item_said_anew_changes_its_class(store: SqlStore) -> None:
    filled(store)
    coded = item("i2", "1", codes=(Coding("86406008"),), text="changed")
    load(store, [one(coded, Instant("2026-10-20T00:00:00Z"))], "anew.csv")
    known = store.access_classes()
    labels = [known[i.class_id].labels for i in view(store, ANN, Heading.ENCOUNTER).items]
    assert sorted(map(sorted, labels)) == [[], [], [Label.SEXUAL_HEALTH]]


def test_a_view_holds_all_of_a_person_and_of_no_other(store: SqlStore) -> None:
    filled(store)
    seen = view(store, ANN)
    assert {(h.source, h.record.local_id) for h in seen.records} == {(SOURCE, "1"), (OTHER, "1")}
    assert set(seen.received) == {h.record_id for h in seen.records}
    assert len(seen.items) == 4
    assert [i.text for i in store.open_items(view(store, BEN).items)] == ["seen"]


def test_a_view_is_of_the_headings_asked_for(store: SqlStore) -> None:
    filled(store)
    assert [i.heading for i in view(store, ANN, Heading.CONDITION).items] == [Heading.CONDITION]
    assert store.views_now([ANN], [], NOW)[1][ANN].items == []


def test_nobody_has_no_view(store: SqlStore) -> None:
    filled(store)
    assert store.views_now([PersonId("pnobody")], None, NOW)[1] == {}
    assert store.views_now([], None, NOW)[1] == {}


def test_items_of_a_withdrawn_record_are_not_seen(store: SqlStore) -> None:
    filled(store)
    load(store, [one(withdraw("1"), Instant("2026-10-20T00:00:00Z"))], "gone.csv")
    assert [i.source for i in view(store, ANN).items] == [OTHER]


def test_an_item_is_found_by_its_name(store: SqlStore) -> None:
    filled(store)
    for held in view(store, ANN).items:
        assert store.item_named(held.name) == (ANN, held.heading)
        assert len(held.name) == 32
    for strange in ("", "x", "a" * 32, "A" * 32, "é" * 32, "1" * 30, "a a" * 11):
        assert store.item_named(strange) is None


def test_names_of_items_are_unlike(store: SqlStore) -> None:
    filled(store)
    items = [*view(store, ANN).items, *view(store, BEN).items]
    assert len({i.name for i in items}) == len(items)


def test_restricted_records_are_known_without_opening_any(store: SqlStore) -> None:
    filled(store)
    (record_id,) = store.restricted_versions()
    (held,) = store.held([record_id])
    assert held.record.restricted
    assert store.restricted_versions() == {record_id: held.version_id}
    load(store, [one(client("1"), Instant("2026-10-20T00:00:00Z"))], "lifted.csv")
    assert store.restricted_versions() == {}


def test_what_was_written_before_there_were_classes_is_filled(
    url: str, keys: KeyRing, store: SqlStore
) -> None:
    filled(store)
    before = {i.name: i.class_id for i in view(store, ANN).items}
    known = store.access_classes()
    restricted = store.restricted_versions()
    with store.database.writing() as conn:
        conn.execute(text("UPDATE care_item SET class_id = NULL"))
        conn.execute(text("UPDATE record SET restricted = NULL"))
        conn.execute(text("DELETE FROM access_class"))
        conn.execute(text(f"UPDATE store_meta SET value = 0 WHERE name = '{CLASSED}'"))
    again = open_store(url, keys)
    anew = {i.name: i.class_id for i in view(again, ANN).items}
    told = again.access_classes()
    assert {n: told[c] for n, c in anew.items()} == {n: known[c] for n, c in before.items()}
    assert again.restricted_versions() == restricted
    again.close()


def test_items_are_classed_anew_when_the_lists_change(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(store)
    monkeypatch.setattr(classing, "VERSION", classing.VERSION + 1)
    monkeypatch.setattr(classing, "labels_of", lambda _: frozenset({Label.CRIME}))
    classing.fill(store.database)
    known = store.access_classes()
    assert {known[i.class_id].labels for i in view(store, ANN).items} == {frozenset({Label.CRIME})}


# --- provisions ---------------------------------------------------------------------------------


def opting_out() -> Provision:
    wish = Directive(
        directive_id="new",
        kind=DirectiveKind.OPT_OUT,
        effect=Effect.DENY,
        start=PartialDate("2026-01-01"),
        made_by="person",
    )
    return Provision(made_by="account a", made_at=NOW, reason="asked", directive=wish)


def records_of(store: SqlStore, person: PersonId) -> list[int]:
    return [held.record_id for held in store.person_records(person)]


def test_a_provision_is_seen_with_its_person_alone(store: SqlStore) -> None:
    filled(store)
    kept = store.write_provision(opting_out(), records_of(store, ANN), said("consent-write", ANN))
    assert kept.directive is not None
    assert kept.directive.directive_id == f"d{kept.provision_id}"
    assert view(store, ANN).provisions == [kept]
    assert view(store, BEN).provisions == []
    assert store.provision_persons(kept.provision_id) == {ANN}
    assert [e.action for e in store.events()][-1] == "consent-write"


def test_every_kind_of_provision_comes_back_as_it_was(store: SqlStore) -> None:
    filled(store)
    proxy = Proxy(
        proxy_id="m",
        basis=ProxyBasis.COURT_ORDER,
        evidenced=True,
        orders_checked=False,
        start=PartialDate("2020-01-01"),
    )
    wanted = [
        opting_out(),
        replace(opting_out(), directive=None, proxy=proxy),
        replace(opting_out(), directive=None, investigator="s1"),
    ]
    kept = [store.write_provision(p, records_of(store, ANN), said()) for p in wanted]
    assert view(store, ANN).provisions == kept
    assert [p.provision_id for p in kept] == [1, 2, 3]


def test_a_provision_ends_once(store: SqlStore) -> None:
    filled(store)
    kept = store.write_provision(opting_out(), records_of(store, ANN), said())
    store.end_provision(kept.provision_id, LATER, said("directive-end"))
    assert [p.ended_at for p in view(store, ANN).provisions] == [LATER]
    with pytest.raises(InvalidValue, match="ended already"):
        store.end_provision(kept.provision_id, LATER, said("consent-write"))
    with pytest.raises(NotFound):
        store.end_provision(99, LATER, said("consent-write"))
    assert [e.action for e in store.events()][-1] == "directive-end"


def test_a_provision_follows_its_records(store: SqlStore) -> None:
    filled(store)
    a, b = records_of(store, ANN)
    store.write_provision(opting_out(), [a, b], said())
    (c,) = records_of(store, BEN)
    publish(store, publication(closed=[b], opened=[(b, BEN)]))
    assert [p.parted for p in view(store, ANN).provisions] == [True]
    assert [p.parted for p in view(store, BEN).provisions] == [True]
    publish(store, publication(closed=[a], opened=[(a, BEN)], merged=[(ANN, BEN)]))
    assert [p.parted for p in view(store, BEN).provisions] == [False]
    assert set(records_of(store, BEN)) == {a, b, c}


def test_a_provision_needs_a_record(store: SqlStore) -> None:
    with pytest.raises(InvalidValue):
        store.write_provision(opting_out(), [], said())


def test_erasing_takes_what_was_laid_down_with_the_last_record(store: SqlStore) -> None:
    filled(store)
    store.write_provision(opting_out(), records_of(store, ANN), said())
    store.write_claim(claimed(), said())
    local_ids = [h.record.local_id for h in store.person_records(ANN)]
    store.erase(SOURCE, local_ids[0], NOW, may_return=False)
    assert len(view(store, ANN).provisions) == 1
    assert len(store.claims(unreviewed=False)) == 1
    store.erase(OTHER, local_ids[1], NOW, may_return=False)
    for table in ("provision", "provision_record"):
        with store.database.reading() as conn:
            assert conn.scalar(text(f"SELECT count(*) FROM {table}")) == 0
    assert store.claims(unreviewed=False) == []


# --- agreements and claims ----------------------------------------------------------------------


def agreement(version: int = 1, **more: Any) -> Agreement:
    fields: dict[str, Any] = {
        "agreement_id": "a1",
        "version": version,
        "provider": OdsCode("RVJ"),
        "receiver": OdsCode("ZZC01"),
        "categories": frozenset({Category.ALLERGY, Category.CONDITION}),
        "purposes": frozenset({"direct-care"}),
        "start": PartialDate("2026-01-01"),
        "end": PartialDate("2027-01-01"),
        "article_6": "6(1)(e)",
        "article_9": "9(2)(h)",
        "schedule_1": "paragraph 2",
        "confidentiality": "implied",
        "gateway": "section 251B",
        "signed_by": frozenset({OdsCode("RVJ"), OdsCode("ZZC01")}),
    }
    return Agreement(**{**fields, **more})


def test_agreements_are_kept_by_version(store: SqlStore) -> None:
    store.write_agreements([agreement(), agreement(agreement_id="a2")], said("agreement-write"))
    store.write_agreements([agreement(2, end=PartialDate("2026-02-01"))], said("agreement-write"))
    held = store.agreements()
    assert held[0] == agreement()
    assert [(a.agreement_id, a.version) for a in held] == [("a1", 1), ("a2", 1), ("a1", 2)]


@pytest.mark.parametrize("version", [1, 3])
def test_versions_follow_one_another(store: SqlStore, version: int) -> None:
    store.write_agreements([agreement()], said())
    with pytest.raises(InvalidValue, match="expected version 2"):
        store.write_agreements(
            [agreement(agreement_id="a9"), agreement(version)], said("agreement-write")
        )
    assert store.agreements() == [agreement()]
    assert [e.action for e in store.events()] == ["consent-write"]


def claimed(**more: Any) -> Claim:
    fields: dict[str, Any] = {
        "kind": ClaimKind.BREAK_GLASS,
        "person": ANN,
        "staff_id": "s1",
        "organisation": OdsCode("RVJ"),
        "role": "nurse",
        "purpose": "direct-care",
        "reason": "unconscious",
        "text": "found in the street",
        "made_at": NOW,
        "expires_at": LATER,
    }
    return Claim(**{**fields, **more})


def test_a_claim_counts_until_it_expires(store: SqlStore) -> None:
    filled(store)
    kept = store.write_claim(claimed(), said())
    assert view(store, ANN).claims == [kept]
    assert view(store, BEN).claims == []
    assert store.views_now([ANN], [], LATER)[1][ANN].claims == []


def test_a_claim_is_followed_up(store: SqlStore) -> None:
    kept = store.write_claim(claimed(), said())
    other = store.write_claim(claimed(staff_id="s2"), said())
    done = replace(kept, reviewed_at=LATER, reviewed_by="ig", finding="in order")
    store.review_claim(done, said("break-glass-review"))
    assert store.claims(unreviewed=True) == [other]
    assert store.claims(unreviewed=False) == [done, other]
    with pytest.raises(NotFound):
        store.review_claim(replace(done, claim_id=99), said("agreement-write"))
    assert [e.action for e in store.events()][-1] == "break-glass-review"


# --- the rest -----------------------------------------------------------------------------------


def test_each_change_moves_the_counter_on(store: SqlStore) -> None:
    filled(store)
    seen = [store.counters()["sharing"]]
    store.write_agreements([agreement()], said())
    seen.append(store.counters()["sharing"])
    kept = store.write_provision(opting_out(), records_of(store, ANN), said())
    seen.append(store.counters()["sharing"])
    store.end_provision(kept.provision_id, LATER, said())
    seen.append(store.counters()["sharing"])
    store.write_claim(claimed(), said())
    seen.append(store.counters()["sharing"])
    assert len(set(seen)) == len(seen)


def test_staff_are_found_by_id(store: SqlStore) -> None:
    filled(store)
    assert store.staff_entry(SOURCE, "s1") == staff("s1")
    assert store.staff_entry(SOURCE, "s2") is None
    assert store.staff_entry(OTHER, "s1") is None
    assert store.staff_entries(SOURCE) == [staff("s1")]


def test_news_of_feeds(store: SqlStore) -> None:
    filled(store)
    news = store.feed_news()
    assert set(news) == {SOURCE, OTHER}
    assert news[OTHER].loaded_at is not None
    assert news[OTHER].failed_at is None


def test_events_are_found_by_time_and_person(store: SqlStore) -> None:
    moments = [Instant(f"2026-11-0{n}T00:00:00Z") for n in (1, 2, 3)]
    looks = ("read", "items", "item")
    for at, action, person in zip(moments, looks, (ANN, BEN, ANN), strict=True):
        store.append_event(said(action, person, at=at))
    until = Instant("2026-11-09T00:00:00Z")
    assert [e.action for e in store.find_events(moments[0], until)] == ["item", "items", "read"]
    assert [e.action for e in store.find_events(moments[0], until, ANN)] == ["item", "read"]
    assert [e.action for e in store.find_events(moments[1], moments[2])] == ["items"]


def test_no_class_is_read_as_another(store: SqlStore) -> None:
    filled(store)
    known = store.access_classes()
    assert len(set(known.values())) == len(known)
    assert ClassId(0) not in known
