"""The planted stories, walked through the facade: domestic abuse, adoption, proxy, barred staff."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from schemas.dates import Instant, PartialDate
from schemas.errors import NotFound
from schemas.held import Proxy, ProxyBasis
from schemas.identifiers import LocalId, OdsCode, PersonId, SourceId
from schemas.sharing import DirectiveKind, SignedIn, Targets
from service.access import Actor
from service.audit_ports import AuditQuery
from service.sharing import NHS_NUMBER, Sharing
from service.sharing_admin import claims, review_claim
from tests.service.sharing_world import (
    AMY,
    ANN,
    BORN,
    CHILD,
    EVE,
    MUM,
    NHS,
    TOM,
    asks,
    client,
    found,
    last_event,
    lay_down,
    sees,
    told,
    wish,
)
from tests.store_samples import load, one, publication, publish, renew

LOCATING = ("Hidden Row", "BS1 5TR", "496 0001", "GP001", "7hiddenrow", "h1", "pas")


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
    since, until = Instant("2026-11-01T00:00:00Z"), Instant("2026-11-03T00:00:00Z")
    everybody = AuditQuery(since=since, until=until, limit=50)
    hers = AuditQuery(since=since, until=until, person=EVE, limit=50)
    officer = asks(sharing, "ST8", "audit")
    assert sharing.audit_events(officer, hers).total == 1
    adopted(sharing)
    assert sharing.audit_events(officer, hers).total == 0
    shown = sharing.audit_events(officer, everybody).events
    assert shown
    assert all(EVE not in one.event.persons for one in shown)


def test_a_declaration_names_a_former_identity_to_named_staff_only(sharing: Sharing) -> None:
    given = sharing.claim_relationship(asks(sharing, "ST1"), MUM, "came to the clinic with a fall")
    sharing.break_glass(asks(sharing, "ST1"), EVE, "unconscious", "Eve was brought in by ambulance")
    adopted(sharing)
    officer = Actor(name="officer", role="ig_officer", purpose="audit")
    mum, eve = claims(sharing, officer, all_of_them=True)
    assert (mum["person_id"], mum["expires_at"]) == (MUM, given)
    assert mum["text"] == "came to the clinic with a fall"
    assert (eve["person_id"], eve["text"], eve["staff_id"]) == (None, None, "ST1")
    assert last_event(sharing).persons == (MUM,)
    review_claim(sharing.store, officer, eve["number"], "Eve was there", sharing.clock)
    assert "Eve" not in str(claims(sharing, officer, all_of_them=True))
    _, named = claims(sharing, replace(officer, named=True), all_of_them=True)
    assert (named["person_id"], named["finding"]) == (EVE, "Eve was there")


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
