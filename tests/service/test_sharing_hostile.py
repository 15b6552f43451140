"""What somebody tries who has a right to ask a little and wants to know more: searches by what is
left out, wishes that are not to be told, agreement of a name alone, traces that nobody hears of."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.events import EventOutcome
from consent import labels
from consent.shared import SilenceState
from schemas.dates import Instant, PartialDate
from schemas.errors import (
    InvalidValue,
    NotFound,
    NotPermitted,
)
from schemas.identifiers import PersonId, SourceId
from schemas.items import Coding, Heading
from schemas.sharing import Category, DirectiveKind, Effect, Label, Targets
from service import sharing as sharing_module
from service.access import Actor
from service.sharing import Sharing
from service.sharing_admin import Asking, check, review_claim
from service.sharing_ports import Claim, ClaimKind
from tests.service.sharing_world import (
    BORN,
    COUNCIL,
    EVE,
    MUM,
    NOW,
    TOM,
    TRUST,
    asks,
    care,
    found,
    last_event,
    lay_down,
    sees,
    wish,
)
from tests.store_samples import load, one

_FEEDS = count()
NOBODY = PersonId("pnobody")
SNOMED = "http://snomed.info/sct"


def sent(sharing: Sharing, source: str, *parts: Any) -> None:
    """What a source sends afterwards."""
    load(sharing.store, [one(part) for part in parts], f"later-{next(_FEEDS)}", SourceId(source))


# --- what is left out is not found by asking for it ---------------------------------------------


def test_nothing_of_an_entry_is_found_out_that_is_only_told_to_be_there(sharing: Sharing) -> None:
    """A social worker reads safeguarding; a doctor is told that there is an entry."""
    only = frozenset({Heading.SAFEGUARDING})
    (told,) = sharing.items(asks(sharing, "ST1"), EVE, only).record.items
    assert told.presence_only
    for filtered in (
        {"code": "CPP"}, {"since": "2026-10-01"}, {"until": "2026-10-31"}, {"code": "LAC"},
        {"since": "2026-10-31"}, {"status": "active"},
    ):  # fmt: skip
        assert sharing.items(asks(sharing, "ST1"), EVE, only, **filtered).total == 0, filtered
    assert sharing.items(asks(sharing, "ST3"), EVE, only, code="CPP").total == 1


def test_of_attendance_nothing_is_found_but_that_and_when(sharing: Sharing) -> None:
    visit = care(
        Heading.APPOINTMENT, "ap1", "s1", "Review of drinking", status="booked",
        codes=(Coding("X9"),), start=Instant("2026-11-20T09:00:00Z"),
    )  # fmt: skip
    sent(sharing, "care", visit)
    only, worker = frozenset({Heading.APPOINTMENT}), asks(sharing, "ST3")
    (told,) = sharing.items(worker, TOM, only).record.items
    assert told.attendance_only
    assert sharing.items(worker, TOM, only, code="X9").total == 0
    assert sharing.items(worker, TOM, only, status="booked").total == 1
    assert sharing.items(worker, TOM, only, since="2026-11-20").total == 1
    assert sharing.items(asks(sharing, "ST1"), TOM, only, code="X9").total == 1


def test_an_entry_that_is_only_told_to_be_there_does_not_tell_when_by_its_place(
    sharing: Sharing,
) -> None:
    doctor = asks(sharing, "ST1")

    def place(begins: str) -> int:
        sent(sharing, "care", care(Heading.SAFEGUARDING, "p1", "s2", "Plan", codes=(Coding("CPP"),),
                                   start=PartialDate(begins)))  # fmt: skip
        shown = sharing.items(doctor, EVE, None).record.items
        return [item.presence_only for item in shown].index(True)

    assert place("1999-01-01") == place("2026-11-01")


# --- silence ------------------------------------------------------------------------------------


def states(sharing: Sharing, person: PersonId, heading: Heading, **asked: Any) -> Any:
    page = sharing.items(asks(sharing, "ST1"), person, frozenset({heading}), **asked)
    return {one.source: one.state for one in page.record.silences}


@pytest.mark.parametrize(
    "asked",
    [{"code": "other"}, {"status": "x"}, {"types": frozenset({"MedicationRequest"})}, {"count": 0},
     {"since": "2030-01-01"}],
)  # fmt: skip
def test_what_a_search_leaves_aside_is_not_said_to_be_unrecorded(
    sharing: Sharing, asked: dict[str, Any]
) -> None:
    sent(sharing, "gp", care(Heading.MEDICATION, "m1", "tom", "Insulin"))
    assert states(sharing, TOM, Heading.MEDICATION, **asked)["gp"] is SilenceState.PRESENT
    assert states(sharing, TOM, Heading.ALLERGY, **asked)["gp"] is SilenceState.PRESENT


@pytest.mark.parametrize("asked", [{}, {"count": 0}, {"code": "other"}, {"offset": 1}])
def test_a_sources_own_word_that_there_is_nothing_is_told(
    sharing: Sharing, asked: dict[str, Any]
) -> None:
    none = care(Heading.ALLERGY, "n1", "s1", "None known", codes=(Coding("716186003", SNOMED),))
    sent(sharing, "care", none)
    said = states(sharing, TOM, Heading.ALLERGY, **asked)
    assert said["care"] is SilenceState.RECORDED_AS_NONE
    assert said["gp"] is SilenceState.PRESENT


def test_nothing_is_told_of_a_sealed_item_that_nobody_may_know_of(sharing: Sharing) -> None:
    """Sealed so that it may be told, and labelled so that it must not be."""
    doctor = asks(sharing, "ST1")
    targets = Targets(labels=frozenset({Label.ADOPTION}))
    permission = wish(DirectiveKind.PERMISSION, Effect.PERMIT, targets=targets)
    kept = lay_down(sharing, EVE, directive=permission)
    shown = sharing.everything(doctor, EVE).items
    (secret,) = (one for one in shown if "Adoption" in (one.item.text or ""))
    (eczema,) = (one for one in shown if one.item.text == "Eczema")
    ended = sharing.event(asks(sharing, "ST8", "audit"), "consent-write", EventOutcome.PERMITTED)
    sharing.store.end_provision(kept.provision_id, NOW, ended)
    before = sharing.everything(doctor, EVE).withheld
    lay_down(sharing, EVE, directive=wish(DirectiveKind.SEAL, item_key=secret.item_key))
    assert sharing.everything(doctor, EVE).withheld == before
    lay_down(sharing, EVE, directive=wish(DirectiveKind.SEAL, item_key=eczema.item_key))
    assert len(sharing.everything(doctor, EVE).withheld) == len(before) + 1


# --- labels of all that was sent ------------------------------------------------------------------


@pytest.mark.parametrize(
    "around",
    [
        {"reasonCode": [{"coding": [{"system": SNOMED, "code": "86406008"}]}]},
        {"note": [{"text": "Started when found HIV positive"}]},
        {"extension": [{"url": "x", "valueString": "after gender reassignment"}]},
    ],
)
def test_what_law_bars_travels_in_no_part_of_an_item(
    sharing: Sharing, around: dict[str, Any]
) -> None:
    whole = {"resourceType": "MedicationRequest", "status": "active", "intent": "order", **around}
    sent(sharing, "gp", care(Heading.MEDICATION, "m1", "tom", "Tablets", original=whole))
    plain = {"resourceType": "MedicationRequest", "note": [{"text": "Archived"}]}
    sent(sharing, "gp", care(Heading.MEDICATION, "m2", "tom", "Syrup", original=plain))
    shown = sharing.items(asks(sharing, "ST1"), TOM, frozenset({Heading.MEDICATION}))
    assert [held.item.text for held in shown.record.items] == ["Syrup"]


@given(
    st.sampled_from([pattern for pattern, _ in labels.WORDS]).flatmap(
        lambda pattern: st.from_regex(pattern, alphabet=st.characters(max_codepoint=127))
    )
)
def test_whatever_gives_a_label_is_seen_at_a_quick_look(words: str) -> None:
    assert labels.labels_within({"note": [{"text": words}]})
    assert any(hint in words.lower() for hint in labels.HINTS)


def test_what_a_questionnaire_asks_is_no_word_about_the_person() -> None:
    asked: dict[str, Any] = {"linkId": "1", "text": "Tested for HIV?"}
    no, yes = ([{"valueString": said}] for said in ("No", "HIV found in 2020"))
    assert labels.labels_within({"item": [asked | {"answer": no}]}) == frozenset()
    assert labels.labels_within({"item": [asked | {"answer": yes}]}) == {Label.SEXUAL_HEALTH}


# --- far dates ------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", ["9999-12-31", "9999-12", "9999", "0001-01-01"])
def test_a_day_that_stands_for_ever_breaks_nothing(sharing: Sharing, day: str) -> None:
    far = {"start": PartialDate("2026-10-01"), "end": PartialDate(day)}
    if day.startswith("0"):
        far = {"start": PartialDate(day)}
    sent(sharing, "pas", care(Heading.ADMISSION, "far", "h5", "Admitted", **far))
    sent(
        sharing, "care", care(Heading.SAFEGUARDING, "fs", "s1", "x", codes=(Coding("CPP"),), **far)
    )
    doctor = asks(sharing, "ST1")
    assert sees(sharing, doctor, MUM) == (not day.startswith("0"))
    assert sharing.everything(doctor, TOM).items


# --- wishes that are not to be told -------------------------------------------------------------


def test_an_invisible_wish_is_shown_to_the_person_and_ig_officers_only(sharing: Sharing) -> None:
    targets = Targets(staff=frozenset({"ST6"}), categories=frozenset({Category.CONDITION}))
    kept = lay_down(
        sharing, TOM, directive=wish(DirectiveKind.PARTY, targets=targets, invisible=True)
    )
    gp, officer = asks(sharing, "ST6"), asks(sharing, "ST8", "audit")
    name = f"d{kept.provision_id}"
    assert list(sharing.directives(gp, TOM)) == []
    for ask in (sharing.directive, sharing.end_directive):
        with pytest.raises(NotFound) as hidden:
            ask(gp, name)
        with pytest.raises(NotFound) as absent:
            ask(gp, "d999")
        assert str(hidden.value) == str(absent.value)
    assert [one.directive_id for one in sharing.directives(officer, TOM)] == [name]
    sharing.end_directive(officer, name)
    assert list(sharing.directives(officer, TOM)) == []


def test_nobody_lifts_a_protection_on_their_own_word(sharing: Sharing) -> None:
    """A doctor to whom no system gives a relationship claims one."""
    doctor = asks(sharing, "ST1")
    opted = lay_down(sharing, MUM, directive=wish(DirectiveKind.OPT_OUT))
    sharing.claim_relationship(doctor, MUM, "came to the clinic this morning")
    assert not sees(sharing, doctor, MUM)
    with pytest.raises(NotPermitted):
        sharing.end_directive(doctor, f"d{opted.provision_id}")
    permit = wish(
        DirectiveKind.PERMISSION, Effect.PERMIT,
        targets=Targets(labels=frozenset({Label.SEXUAL_HEALTH})),
    )  # fmt: skip
    with pytest.raises(NotPermitted):
        sharing.write_directive(doctor, MUM, permit, "she agreed to it")
    assert last_event(sharing).outcome == "refused"
    sharing.write_directive(doctor, MUM, wish(DirectiveKind.OPT_OUT), "she asked for it again")
    assert not sees(sharing, doctor, MUM)


# --- break-glass ----------------------------------------------------------------------------------


def bar(sharing: Sharing, person: PersonId, staff_id: str) -> None:
    targets = Targets(staff=frozenset({staff_id}))
    lay_down(sharing, person, directive=wish(DirectiveKind.BAR_STAFF, targets=targets))


@pytest.mark.parametrize(("reason", "text"), [("curiosity", "brought in by ambulance"),
                                              ("unconscious", "short"),
                                              ("unconscious", "x" * 2_001)])  # fmt: skip
def test_words_at_fault_do_not_tell_whether_somebody_is_there(
    sharing: Sharing, reason: str, text: str
) -> None:
    bar(sharing, TOM, "ST2")
    said = set()
    for person in (TOM, MUM, NOBODY):
        with pytest.raises(InvalidValue) as fault:
            sharing.break_glass(asks(sharing, "ST2"), person, reason, text)
        said.add(str(fault.value))
    assert len(said) == 1


def test_a_name_alone_is_no_second_person(sharing: Sharing) -> None:
    bar(sharing, TOM, "ST2")
    nurse, emergency = asks(sharing, "ST2"), ("unconscious", "brought in by ambulance")
    for named in ("ST1", "ST2", "nobody", " ST2", "st2"):
        with pytest.raises(NotFound):
            sharing.break_glass(nurse, TOM, *emergency, second_person=named)
        assert last_event(sharing).details["escalate"] is True
    sharing.break_glass(asks(sharing, "ST1"), TOM, *emergency)
    given = sharing.break_glass(nurse, TOM, *emergency, second_person="ST1")
    assert given.second_person == "ST1"
    assert sees(sharing, nurse, TOM)


def test_one_who_is_barred_as_well_is_no_second_person(sharing: Sharing) -> None:
    emergency = ("unconscious", "brought in by ambulance")
    sharing.break_glass(asks(sharing, "ST1"), TOM, *emergency)
    bar(sharing, TOM, "ST1")
    bar(sharing, TOM, "ST2")
    with pytest.raises(NotFound):
        sharing.break_glass(asks(sharing, "ST2"), TOM, *emergency, second_person="ST1")


def test_a_glass_is_broken_for_one_purpose(sharing: Sharing) -> None:
    sharing.break_glass(asks(sharing, "ST1"), MUM, "unconscious", "brought in by ambulance")
    assert sees(sharing, asks(sharing, "ST1"), MUM)
    assert not sees(sharing, asks(sharing, "ST1", "vital-interests"), MUM)


def test_a_system_by_itself_breaks_no_glass_and_claims_nothing(sharing: Sharing) -> None:
    system = replace(asks(sharing, "ST1"), system=True)
    with pytest.raises(NotPermitted):
        sharing.break_glass(system, MUM, "unconscious", "brought in by ambulance")
    with pytest.raises(NotPermitted):
        sharing.claim_relationship(system, MUM, "came to the clinic this morning")
    assert sharing.store.claims(unreviewed=False) == []


def test_what_was_declared_counts_to_the_minute_and_for_one_person(sharing: Sharing) -> None:
    def glass(made: str, expires: str) -> None:
        claim = Claim(
            kind=ClaimKind.BREAK_GLASS, person=MUM, staff_id="ST1", organisation=TRUST,
            role="doctor", purpose="direct-care", reason="unconscious",
            text="brought in by ambulance", made_at=Instant(made), expires_at=Instant(expires),
        )  # fmt: skip
        event = sharing.event(asks(sharing, "ST1"), "break-glass", EventOutcome.PERMITTED)
        sharing.store.write_claim(claim, event)

    doctor = asks(sharing, "ST1")
    glass("2026-11-02T11:00:00Z", NOW)
    glass("2026-11-02T12:00:01Z", "2026-11-02T13:00:00Z")
    assert not sees(sharing, doctor, MUM)
    glass("2026-11-02T11:00:00Z", "2026-11-02T12:00:01Z")
    assert sees(sharing, doctor, MUM)
    assert not sees(sharing, asks(sharing, "ST2"), MUM)


def test_a_follow_up_can_end_what_was_declared(sharing: Sharing) -> None:
    doctor = asks(sharing, "ST1")
    officer = Actor(name="officer", role="ig_officer", purpose="audit")
    sharing.break_glass(doctor, MUM, "unconscious", "brought in by ambulance")
    sharing.claim_relationship(doctor, MUM, "came to the clinic this morning")
    first, second = sharing.store.claims(unreviewed=True)
    review_claim(sharing.store, officer, first.claim_id, "nobody came", sharing.clock, ends=True)
    assert sees(sharing, doctor, MUM)
    review_claim(sharing.store, officer, second.claim_id, "was there", sharing.clock)
    assert sees(sharing, doctor, MUM)
    review_claim(sharing.store, officer, second.claim_id, "was not", sharing.clock, ends=True)
    assert not sees(sharing, doctor, MUM)


def test_nobody_looks_through_the_eyes_of_the_named_team(sharing: Sharing) -> None:
    through = Asking("ST9", COUNCIL, "social_worker", "direct-care")
    officer = Actor(name="officer", role="ig_officer", purpose="audit")
    with pytest.raises(NotPermitted):
        check(sharing, officer, TOM, through)
    event = last_event(sharing)
    assert (event.outcome, event.persons) == ("refused", (TOM,))
    assert check(sharing, replace(officer, named=True), TOM, through)["classes"]


def test_a_single_item_that_is_withheld_is_written_down_as_refused(sharing: Sharing) -> None:
    doctor = asks(sharing, "ST1")
    (asthma,) = sharing.items(doctor, TOM, frozenset({Heading.CONDITION})).record.items
    lay_down(sharing, TOM, directive=wish(DirectiveKind.SEAL, item_key=asthma.item_key))
    with pytest.raises(NotPermitted):
        sharing.item(doctor, None, asthma.item_key)
    event = last_event(sharing)
    assert (event.outcome, event.persons, event.details["policies"]) == (
        "refused", (TOM,), ["sealed"],
    )  # fmt: skip


# --- what somebody has to hear of ---------------------------------------------------------------


def test_barred_staff_who_look_for_the_person_are_heard_of(sharing: Sharing) -> None:
    bar(sharing, TOM, "ST2")
    nurse = asks(sharing, "ST2")
    for ask in (
        lambda: found(sharing, "ST2", family="Open"),
        lambda: (
            sharing.match(nurse, {"family": "Open", "given": "Tom", "birth_date": BORN}).persons
        ),
        lambda: sharing.find_by_identifier(nurse, "urn:commonthread:person", TOM),
        lambda: sharing.find_by_identifier(nurse, "urn:commonthread:source:pas", "h2"),
    ):
        assert list(ask()) == []
        event = last_event(sharing)
        assert (event.persons, event.details["escalate"]) == ((TOM,), True)
        assert event.details["shown"] == 0
    with pytest.raises(NotFound):
        sharing.claim_relationship(nurse, TOM, "came to the clinic this morning")
    assert last_event(sharing).details["escalate"] is True
    assert found(sharing, "ST2", family="Plain") == [MUM]
    assert "escalate" not in last_event(sharing).details


# --- work without end -----------------------------------------------------------------------------


def test_one_thread_opens_the_index_that_all_wait_for(
    sharing: Sharing, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    opens = sharing_module.open_index

    def slowly(*given: Any) -> Any:
        opened.append(1)
        time.sleep(0.1)
        return opens(*given)

    monkeypatch.setattr(sharing_module, "open_index", slowly)
    threads = [threading.Thread(target=sharing.index) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1
