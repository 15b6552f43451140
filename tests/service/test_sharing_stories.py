"""The planted stories, walked through the facade: domestic abuse, adoption, proxy, barred staff;
and what holds for every request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit.events import EventOutcome
from consent.shared import SharedRecord
from schemas.dates import Instant, PartialDate
from schemas.errors import InvalidSearch, NotFound, NotPermitted, PersonGone
from schemas.held import Proxy, ProxyBasis
from schemas.identifiers import LocalId, OdsCode, PersonId, SourceId
from schemas.items import Heading
from schemas.sharing import Directive, DirectiveKind, Effect, Label, SignedIn, Targets
from service.sharing import NHS_NUMBER, PersonQuery, Sharing
from service.sharing_ports import Provision
from tests.service.sharing_world import (
    AMY,
    ANN,
    EVE,
    MUM,
    NHS,
    NOW,
    TOM,
    TRUST,
    asks,
    care,
    client,
    world,
)
from tests.store_samples import load, one, publication, publish, renew

BORN, CHILD = PartialDate("1980-05-04"), PartialDate("2014-02-03")
LOCATING = ("Hidden Row", "BS1 5TR", "496 0001", "GP001", "7hiddenrow", "h1", "pas")


@pytest.fixture
def sharing(tmp_path: Path) -> Iterator[Sharing]:
    with world(tmp_path) as opened:
        yield opened


def told(record: SharedRecord) -> str:
    """All that a record says, as text."""
    return str({name: value for name, value in vars(record).items() if name != "token"})


def sees(sharing: Sharing, who: Any, person: PersonId) -> bool:
    """Whether any item of the person's is shown."""
    try:
        return bool(sharing.everything(who, person).items)
    except (NotFound, NotPermitted):
        return False


def wish(kind: DirectiveKind, effect: Effect = Effect.DENY, **more: Any) -> Directive:
    return Directive(
        directive_id="new", kind=kind, effect=effect, start=PartialDate("2026-01-01"),
        made_by="person", **more,
    )  # fmt: skip


def lay_down(sharing: Sharing, person: PersonId, **what: Any) -> Provision:
    laid_down = Provision(made_by="test", made_at=NOW, reason="a story", **what)
    ids = [held.record_id for held in sharing.store.person_records(person)]
    event = sharing.event(asks(sharing, "ST8", "audit"), "test", EventOutcome.PERMITTED)
    return sharing.store.write_provision(laid_down, ids, event)


def last_event(sharing: Sharing) -> Any:
    return list(sharing.store.events())[-1]


def found(sharing: Sharing, staff_id: str, born: PartialDate = BORN, **fields: Any) -> list[str]:
    query = PersonQuery(fields, born=(born, born))
    return [one.record.person for one in sharing.search(asks(sharing, staff_id), query).persons]


# --- every request ------------------------------------------------------------------------------


def test_a_record_is_read_and_written_down(sharing: Sharing) -> None:
    shown = sharing.everything(asks(sharing, "ST1"), TOM)
    texts = {one.item.text for one in shown.items}
    assert {"Peanut", "Asthma", "Admitted", "Social work"} <= texts
    assert {one.source for one in shown.demographics} == {"gp", "pas", "care"}
    event = last_event(sharing)
    assert (event.action, event.persons, event.actor) == ("everything", (TOM,), "ST1")
    assert event.details["organisation"] == TRUST
    assert event.details["shown"] == len(shown.items)


def test_nothing_of_the_sexual_health_service_travels(sharing: Sharing) -> None:
    shown = sharing.everything(asks(sharing, "ST1"), TOM)
    assert "clinic" not in {one.source for one in (*shown.items, *shown.demographics)}
    assert "Treated" not in told(shown)


def test_a_specific_permission_lets_labelled_items_travel(sharing: Sharing) -> None:
    before = {one.item.text for one in sharing.everything(asks(sharing, "ST1"), EVE).items}
    assert "Eczema" in before
    assert "Adoption panel on 3 May" not in before
    targets = Targets(labels=frozenset({Label.ADOPTION}))
    lay_down(
        sharing, EVE,
        directive=wish(DirectiveKind.PERMISSION, Effect.PERMIT, targets=targets),
    )  # fmt: skip
    after = {one.item.text for one in sharing.everything(asks(sharing, "ST1"), EVE).items}
    assert after == before | {"Adoption panel on 3 May"}


def test_who_has_no_relationship_reads_nothing_until_one_is_declared(sharing: Sharing) -> None:
    doctor = asks(sharing, "ST1")
    assert sharing.everything(doctor, MUM).items == ()
    until = sharing.claim_relationship(doctor, MUM, "came to the clinic this morning")
    assert until > NOW
    assert {one.item.text for one in sharing.everything(doctor, MUM).items} == {"Latex"}
    assert sharing.everything(asks(sharing, "ST2"), MUM).items == ()


def test_an_admission_makes_the_relationship_as_it_arrives(sharing: Sharing) -> None:
    doctor = asks(sharing, "ST1")
    assert not sees(sharing, doctor, MUM)
    arrived = care(Heading.ADMISSION, "v9", "h5", "Admitted", start=PartialDate("2026-11-02"))
    load(sharing.store, [one(arrived)], "live.hl7", SourceId("pas"))
    texts = {i.item.text for i in sharing.everything(doctor, MUM).items}
    assert texts == {"Admitted", "Latex"}


def test_each_source_says_what_its_silence_means(sharing: Sharing) -> None:
    only = frozenset({Heading.ALLERGY})
    page = sharing.items(asks(sharing, "ST1"), TOM, only)
    states = {one.source: one.state for one in page.record.silences}
    assert states["gp"] == "present"
    assert states["never"] == "not connected"
    assert "staff" not in states


def test_broken_glass_opens_one_record_to_one_person_and_waits_for_a_follow_up(
    sharing: Sharing,
) -> None:
    doctor = asks(sharing, "ST1")
    given = sharing.break_glass(doctor, MUM, "unconscious", "brought in by ambulance")
    assert given.expires > NOW
    assert {one.item.text for one in sharing.everything(doctor, MUM).items} == {"Latex"}
    assert last_event(sharing).details["break_glass"] == "unconscious"
    assert sharing.everything(asks(sharing, "ST2"), MUM).items == ()
    (waiting,) = sharing.store.claims(unreviewed=True)
    assert (waiting.staff_id, waiting.text) == ("ST1", "brought in by ambulance")
    assert "ambulance" not in str(list(sharing.store.events()))


def test_a_role_without_that_power_breaks_no_glass(sharing: Sharing) -> None:
    with pytest.raises((NotPermitted, NotFound)):
        sharing.break_glass(asks(sharing, "ST7"), MUM, "unconscious", "brought in by ambulance")
    assert sharing.store.claims(unreviewed=True) == []


def test_who_left_yesterday_sees_nothing_today(sharing: Sharing) -> None:
    gone = asks(sharing, "ST0")
    assert not gone.active
    with pytest.raises(NotPermitted):
        sharing.search(gone, PersonQuery({"family": "Open"}, born=(BORN, BORN)))
    assert not sees(sharing, gone, TOM)


def test_an_opted_out_person_is_said_to_be_so_and_nothing_more(sharing: Sharing) -> None:
    kept = lay_down(sharing, TOM, directive=wish(DirectiveKind.OPT_OUT))
    shown = sharing.everything(asks(sharing, "ST1"), TOM)
    assert "opted out" in shown.labels
    assert shown.items == ()
    assert shown.withheld
    sharing.store.end_provision(
        kept.provision_id,
        NOW,
        sharing.event(asks(sharing, "ST8", "audit"), "end", EventOutcome.PERMITTED),
    )
    assert sharing.everything(asks(sharing, "ST1"), TOM).items


def test_an_ended_agreement_closes_the_record_at_the_next_request(sharing: Sharing) -> None:
    doctor = asks(sharing, "ST1")
    assert "gp" in {one.source for one in sharing.everything(doctor, TOM).items}
    first = next(a for a in sharing.store.agreements() if a.agreement_id == f"GP001-{TRUST}")
    ended = replace(first, version=2, end=PartialDate("2026-11-01"))
    sharing.store.write_agreements([ended], sharing.event(doctor, "test", EventOutcome.PERMITTED))
    assert "gp" not in {one.source for one in sharing.everything(doctor, TOM).items}


def test_totals_and_pages_are_of_what_may_be_seen(sharing: Sharing) -> None:
    only = frozenset({Heading.CONDITION})
    doctor = asks(sharing, "ST1")
    page = sharing.items(doctor, TOM, only)
    assert (page.total, page.next) == (1, None)
    assert [one.item.text for one in page.record.items] == ["Asthma"]
    assert sharing.items(doctor, EVE, only).total == 1
    everything = sharing.items(doctor, TOM, None, count=2)
    assert everything.next == 2
    seen, offset = [], 0
    while offset is not None:
        part = sharing.items(doctor, TOM, None, offset=offset, count=2)
        seen += [one.item_key for one in part.record.items]
        offset = part.next
    assert len(seen) == len(set(seen)) == everything.total


def test_a_sealed_item_is_answered_as_one_that_is_not_there(sharing: Sharing) -> None:
    doctor = asks(sharing, "ST1")
    (asthma,) = sharing.items(doctor, TOM, frozenset({Heading.CONDITION})).record.items
    assert sharing.item(doctor, None, asthma.item_key).items[0].item.text == "Asthma"
    lay_down(
        sharing, TOM,
        directive=wish(DirectiveKind.SEAL, item_key=asthma.item_key, invisible=True),
    )  # fmt: skip
    assert sharing.items(doctor, TOM, frozenset({Heading.CONDITION})).total == 0
    with pytest.raises(NotFound) as sealed:
        sharing.item(doctor, None, asthma.item_key)
    with pytest.raises(NotFound) as unknown:
        sharing.item(doctor, None, "a" * 32)
    assert str(sealed.value) == str(unknown.value)


def test_an_item_is_not_found_under_another_heading(sharing: Sharing) -> None:
    doctor = asks(sharing, "ST1")
    (asthma,) = sharing.items(doctor, TOM, frozenset({Heading.CONDITION})).record.items
    with pytest.raises(NotFound):
        sharing.item(doctor, frozenset({Heading.ALLERGY}), asthma.item_key)


def test_a_merged_id_leads_on_and_a_split_one_is_gone(sharing: Sharing) -> None:
    ids = [held.record_id for held in sharing.store.person_records(MUM)]
    publish(
        sharing.store,
        publication(closed=ids, opened=[(i, TOM) for i in ids], merged=[(MUM, TOM)]),
    )
    assert sharing.read(asks(sharing, "ST1"), MUM).person == TOM
    ids = [held.record_id for held in sharing.store.person_records(EVE)]
    publish(
        sharing.store,
        publication(closed=ids, opened=[(i, AMY) for i in ids], gone=[(EVE, "split")]),
    )
    with pytest.raises(PersonGone):
        sharing.read(asks(sharing, "ST1"), EVE)


def test_own_and_household_records_are_refused(sharing: Sharing) -> None:
    nurse = asks(sharing, "ST4")
    assert not sees(sharing, nurse, TOM)
    assert not sees(sharing, nurse, EVE)
    assert sees(sharing, nurse, AMY)


# --- domestic abuse -----------------------------------------------------------------------------


def test_a_restricted_person_is_found_by_name_and_birth_date_only(sharing: Sharing) -> None:
    assert found(sharing, "ST1", family="Hidden") == [ANN]
    for field, value in (
        ("postcode", ["BS1 5TR"]), ("phone", ["0117 496 0001"]), ("gp_practice", "GP001"),
    ):  # fmt: skip
        assert found(sharing, "ST1", family="Hidden", **{field: value}) == []


@pytest.mark.parametrize("person", [ANN, AMY])
@pytest.mark.parametrize("staff_id", ["ST1", "ST2"])
def test_nothing_that_is_shown_says_where_they_are(
    sharing: Sharing, person: PersonId, staff_id: str
) -> None:
    shown = sharing.everything(asks(sharing, staff_id), person)
    assert shown.demographics
    assert "restricted" in shown.labels or person == AMY
    said = told(shown)
    for value in LOCATING[:4]:
        assert value not in said, value
    assert all(one.source is None for one in shown.demographics)


def test_the_child_of_the_household_is_not_found_by_place_either(sharing: Sharing) -> None:
    assert found(sharing, "ST1", CHILD, family="Hidden") == [AMY]
    assert found(sharing, "ST1", CHILD, family="Hidden", postcode=["BS1 5TR"]) == []
    assert found(sharing, "ST1", CHILD, family="Hidden", phone=["0117 496 0001"]) == []


def test_hits_of_those_who_are_open_are_the_same_with_and_without_place(sharing: Sharing) -> None:
    assert found(sharing, "ST1", family="Open", postcode=["BS2 8AA"]) == [TOM]


def test_a_match_by_place_alone_finds_nobody_restricted(sharing: Sharing) -> None:
    fields = {"postcode": ["BS1 5TR"], "address": ["7 Hidden Row"], "gender": "female"}
    assert sharing.match(asks(sharing, "ST1"), fields).persons == ()


def test_number_finds_and_shows_no_place(sharing: Sharing) -> None:
    (record,) = sharing.find_by_identifier(asks(sharing, "ST1"), NHS_NUMBER, NHS)
    assert record.person == ANN
    assert all(value not in told(record) for value in LOCATING[:4])


# --- adoption -----------------------------------------------------------------------------------


def adopted(sharing: Sharing) -> None:
    """Eve is declared to be another from now on, under another id; Eva is a person of her own."""
    new = client("eva", "Eva", "Newname", birth_date=CHILD)
    declared = renew("eve", "eva")
    load(sharing.store, [one(new), one(declared, Instant("2026-10-30T00:00:00Z"))],
         "change.json", SourceId("gp"))  # fmt: skip
    held = sharing.store.record(SourceId("gp"), LocalId("eva"))
    assert held is not None
    publish(sharing.store, publication(founded=[(NEW, held.record_id)],
                                       opened=[(held.record_id, NEW)]))  # fmt: skip


NEW = PersonId("peva")


def test_a_former_identity_is_unknown_to_all_but_the_named_team(sharing: Sharing) -> None:
    assert found(sharing, "ST1", CHILD, family="Adopted") == [EVE]
    adopted(sharing)
    doctor = asks(sharing, "ST1")
    with pytest.raises(NotFound) as former:
        sharing.everything(doctor, EVE)
    with pytest.raises(NotFound) as unknown:
        sharing.everything(doctor, PersonId("pnobody"))
    assert str(former.value) == str(unknown.value)
    assert found(sharing, "ST1", CHILD, family="Adopted") == []
    assert found(sharing, "ST1", CHILD, family="Newname") == [NEW]
    assert sharing.match(
        doctor, {"family": "Adopted", "given": "Eve", "birth_date": CHILD}
    ).persons == ()  # fmt: skip
    assert sharing.find_by_identifier(doctor, "urn:commonthread:source:gp", "eve") == ()
    assert sharing.find_by_identifier(doctor, "urn:commonthread:person", EVE) == ()
    for ask in (
        lambda: sharing.directives(doctor, EVE),
        lambda: sharing.break_glass(doctor, EVE, "unconscious", "brought in by ambulance"),
    ):
        with pytest.raises(NotFound):
            ask()
    assert found(sharing, "ST9", CHILD, family="Adopted") == [EVE]
    assert sharing.everything(asks(sharing, "ST9"), EVE).person == EVE


def test_the_log_names_a_former_identity_to_the_named_team_only(sharing: Sharing) -> None:
    sharing.everything(asks(sharing, "ST1"), EVE)
    span = {"since": Instant("2026-11-01T00:00:00Z"), "until": Instant("2026-11-03T00:00:00Z")}
    officer = asks(sharing, "ST8", "audit")
    assert sharing.audit_events(officer, person=EVE, **span).total == 1
    adopted(sharing)
    assert sharing.audit_events(officer, person=EVE, **span).total == 0
    shown = sharing.audit_events(officer, **span).events
    assert all(EVE not in event.persons for event in shown)


# --- proxy --------------------------------------------------------------------------------------


def mother(sharing: Sharing) -> Any:
    return sharing.requester(
        SignedIn(
            issuer="portal", subject="mother", organisation=OdsCode("GP001"), role="proxy",
            purpose="own-record",
        )
    )  # fmt: skip


def proxy(**more: Any) -> Proxy:
    fields: dict[str, Any] = {
        "proxy_id": "mother", "basis": ProxyBasis.PARENTAL_RESPONSIBILITY, "evidenced": True,
        "orders_checked": True, "start": PartialDate("2020-01-01"),
        "reviewed_on": PartialDate("2026-01-01"),
    }  # fmt: skip
    return Proxy(**{**fields, **more})


@pytest.mark.parametrize(
    ("said", "stands"),
    [
        ({}, True),
        ({"evidenced": False}, False),
        ({"orders_checked": False}, False),
        ({"reviewed_on": None}, False),
        ({"end": PartialDate("2026-10-01")}, False),
        ({"proxy_id": "another"}, False),
    ],
)
def test_a_proxy_sees_while_evidence_stands(
    sharing: Sharing, said: dict[str, Any], stands: bool
) -> None:
    lay_down(sharing, EVE, proxy=proxy(**said))
    assert sees(sharing, mother(sharing), EVE) == stands
    assert not sees(sharing, mother(sharing), TOM)


def test_a_restricted_household_suspends_the_proxy(sharing: Sharing) -> None:
    lay_down(sharing, AMY, proxy=proxy())
    assert not sees(sharing, mother(sharing), AMY)


def test_a_proxy_of_a_parted_person_is_suspended(sharing: Sharing) -> None:
    lay_down(sharing, EVE, proxy=proxy())
    moved = sharing.store.person_records(EVE)[1].record_id
    publish(sharing.store, publication(closed=[moved], opened=[(moved, MUM)]))
    assert not sees(sharing, mother(sharing), EVE)


# --- barred staff -------------------------------------------------------------------------------


def test_barred_staff_learn_nothing_and_the_attempt_is_escalated(sharing: Sharing) -> None:
    nurse = asks(sharing, "ST2")
    assert sharing.everything(nurse, TOM).items
    targets = Targets(staff=frozenset({"ST2"}))
    lay_down(sharing, TOM, directive=wish(DirectiveKind.BAR_STAFF, targets=targets))
    with pytest.raises(NotFound) as barred:
        sharing.everything(nurse, TOM)
    assert last_event(sharing).details["escalate"] is True
    with pytest.raises(NotFound) as unknown:
        sharing.everything(nurse, PersonId("pnobody"))
    assert str(barred.value) == str(unknown.value)
    assert found(sharing, "ST2", family="Open") == []
    assert found(sharing, "ST1", family="Open") == [TOM]
    with pytest.raises(NotFound):
        sharing.break_glass(nurse, TOM, "unconscious", "brought in by ambulance")
    assert sharing.everything(asks(sharing, "ST1"), TOM).items


def test_a_hidden_person_weighs_on_nobody_elses_score(sharing: Sharing) -> None:
    fields = {"family": "Open", "given": "Tom", "birth_date": BORN}
    assert [m.record.person for m in sharing.match(asks(sharing, "ST1"), fields).persons] == [TOM]
    lay_down(
        sharing, TOM,
        directive=wish(DirectiveKind.BAR_STAFF, targets=Targets(staff=frozenset({"ST1"}))),
    )  # fmt: skip
    assert sharing.match(asks(sharing, "ST1"), fields).persons == ()
    assert last_event(sharing).details["shown"] == 0


# --- wishes -------------------------------------------------------------------------------------


def test_a_wish_is_written_shown_and_ended(sharing: Sharing) -> None:
    gp = asks(sharing, "ST6")
    kept = sharing.write_directive(gp, TOM, wish(DirectiveKind.OPT_OUT), "asked at the desk")
    assert sharing.directive(gp, kept.directive_id) == (TOM, kept)
    assert list(sharing.directives(gp, TOM)) == [kept]
    assert sharing.everything(asks(sharing, "ST1"), TOM).items == ()
    sharing.end_directive(gp, kept.directive_id)
    assert sharing.everything(asks(sharing, "ST1"), TOM).items


def test_who_may_not_write_wishes_is_refused(sharing: Sharing) -> None:
    with pytest.raises((NotFound, NotPermitted)):
        sharing.write_directive(asks(sharing, "ST7"), TOM, wish(DirectiveKind.OPT_OUT), "asked")
    assert last_event(sharing).outcome == "refused"


def test_only_an_ig_officer_reads_the_log(sharing: Sharing) -> None:
    sharing.read(asks(sharing, "ST1"), TOM)
    span = {"since": Instant("2026-11-01T00:00:00Z"), "until": Instant("2026-11-03T00:00:00Z")}
    with pytest.raises(NotPermitted):
        sharing.audit_events(asks(sharing, "ST1"), **span)
    page = sharing.audit_events(asks(sharing, "ST8", "audit"), person=TOM, **span)
    assert [event.action for event in page.events] == ["read"]


@pytest.mark.parametrize(
    ("fields", "born"),
    [
        ({"family": "O*"}, (BORN, BORN)),
        ({"family": "Open"}, (None, None)),
        ({"given": ["Tom"]}, (BORN, BORN)),
        ({"family": "Open", "gender": "f*"}, (BORN, BORN)),
        ({"family": "Open", "address": ["x"]}, (BORN, BORN)),
    ],
)
def test_searches_that_cannot_be_made(sharing: Sharing, fields: Any, born: Any) -> None:
    with pytest.raises(InvalidSearch):
        sharing.search(asks(sharing, "ST1"), PersonQuery(fields, born=born))
    assert last_event(sharing).outcome == "failed"


@pytest.mark.parametrize(
    ("fields", "born", "wanted"),
    [
        ({"family": "Op*"}, (BORN, BORN), [TOM]),
        ({"family": "op*n"}, (BORN, BORN), [TOM]),
        ({"family": "Open", "given": ["To*"]}, (BORN, BORN), [TOM]),
        ({"family": "Open", "postcode": ["BS2*"]}, (BORN, BORN), [TOM]),
        ({"family": "Open", "postcode": ["BS9*"]}, (BORN, BORN), []),
        ({"family": "Open"}, (PartialDate("1979-01-01"), PartialDate("1981-01-01")), [TOM]),
        ({"family": "Open"}, (PartialDate("1980-05-05"), None), []),
        ({"family": "Open"}, (None, PartialDate("1980-05-03")), []),
        ({"family": "Nobody"}, (BORN, BORN), []),
    ],
)
def test_wildcards_and_spans(sharing: Sharing, fields: Any, born: Any, wanted: Any) -> None:
    matches = sharing.search(asks(sharing, "ST1"), PersonQuery(fields, born=born))
    assert [one.record.person for one in matches.persons] == wanted
