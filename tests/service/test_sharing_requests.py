"""What holds for every request to share, and of wishes that are written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from audit.events import AuditEvent, EventOutcome
from schemas.dates import Instant, PartialDate
from schemas.errors import LogFailed, NotFound, NotPermitted, PersonGone, StoreError
from schemas.identifiers import PersonId, SourceId
from schemas.items import Heading
from schemas.sharing import DirectiveKind, Effect, Label, Targets
from service.audit_ports import AuditQuery
from service.sharing import NHS_NUMBER, PersonQuery, Sharing
from tests.service.sharing_world import (
    AMY,
    BORN,
    EVE,
    MUM,
    NHS,
    NOW,
    TOM,
    TRUST,
    asks,
    care,
    last_event,
    lay_down,
    sees,
    told,
    wish,
)
from tests.store_samples import load, one, publication, publish


def test_a_record_is_read_and_written_down(sharing: Sharing) -> None:
    shown = sharing.everything(asks(sharing, "ST1"), TOM)
    texts = {one.item.text for one in shown.items}
    assert {"Peanut", "Asthma", "Admitted", "Social work"} <= texts
    assert {one.source for one in shown.demographics} == {"gp", "pas", "care"}
    event = last_event(sharing)
    assert (event.action, event.persons, event.actor) == ("everything", (TOM,), "ST1")
    assert event.organisation == TRUST
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
        sharing.event(asks(sharing, "ST8", "audit"), "consent-write", EventOutcome.PERMITTED),
    )
    assert sharing.everything(asks(sharing, "ST1"), TOM).items


def test_an_ended_agreement_closes_the_record_at_the_next_request(sharing: Sharing) -> None:
    doctor = asks(sharing, "ST1")
    assert "gp" in {one.source for one in sharing.everything(doctor, TOM).items}
    first = next(a for a in sharing.store.agreements() if a.agreement_id == f"GP001-{TRUST}")
    ended = replace(first, version=2, end=PartialDate("2026-11-01"))
    sharing.store.write_agreements(
        [ended], sharing.event(doctor, "agreement-write", EventOutcome.PERMITTED)
    )
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


# --- wishes ----------------------------------------------------------------------------------


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
    since, until = Instant("2026-11-01T00:00:00Z"), Instant("2026-11-03T00:00:00Z")
    query = AuditQuery(since=since, until=until, person=TOM, limit=9)
    with pytest.raises(NotPermitted):
        sharing.audit_events(asks(sharing, "ST1"), query)
    page = sharing.audit_events(asks(sharing, "ST8", "audit"), query)
    assert [one.event.action for one in page.events] == ["read"]


# --- a log that fails -----------------------------------------------------------------------------


def test_nothing_is_shown_that_cannot_be_written_down(
    sharing: Sharing, monkeypatch: pytest.MonkeyPatch
) -> None:
    doctor = asks(sharing, "ST1")
    (allergy,) = sharing.items(doctor, TOM, frozenset({Heading.ALLERGY})).record.items

    def fails(event: AuditEvent) -> None:
        raise StoreError("database: the operation failed (DiskFull); nothing of it was kept")

    monkeypatch.setattr(sharing.store, "append_event", fails)
    asked = (
        lambda: sharing.read(doctor, TOM),
        lambda: sharing.everything(doctor, TOM),
        lambda: sharing.item(doctor, None, allergy.item_key),
        lambda: sharing.search(doctor, PersonQuery({"family": "Open"}, born=(BORN, BORN))),
        lambda: sharing.match(doctor, {"family": "Open", "birth_date": BORN}),
        lambda: sharing.find_by_identifier(doctor, NHS_NUMBER, NHS),
        lambda: sharing.directives(doctor, TOM),
        lambda: sharing.read(doctor, PersonId("pnobody")),
    )
    for ask in asked:
        with pytest.raises(LogFailed, match="ring the IG officer"):
            ask()


def test_a_declaration_that_cannot_be_written_down_opens_nothing(
    sharing: Sharing, monkeypatch: pytest.MonkeyPatch
) -> None:
    doctor = asks(sharing, "ST1")

    def fails(*_: Any) -> None:
        raise StoreError("database: the operation failed (DiskFull); nothing of it was kept")

    with monkeypatch.context() as broken:
        broken.setattr("store.registers.write_event", fails)
        with pytest.raises(LogFailed, match="ring the IG officer"):
            sharing.break_glass(doctor, MUM, "unconscious", "brought in by ambulance")
        with pytest.raises(LogFailed, match="ring the IG officer"):
            sharing.write_directive(
                asks(sharing, "ST6"), TOM, wish(DirectiveKind.OPT_OUT), "asked at the desk"
            )
    assert not sees(sharing, doctor, MUM)
    assert sees(sharing, doctor, TOM)
