"""What is shown after a decision: nothing without a permit, no place of a restricted person, and
silences that tell nothing of what is hidden."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import consent.shared as shared
from consent.decide import Decider
from consent.redact import redact_read, redact_trace
from consent.shared import (
    Locator,
    Permit,
    SharedRecord,
    SilenceState,
)
from schemas.codes import Gender, NameUse, TelecomSystem
from schemas.dates import Instant, PartialDate
from schemas.demographics import Address, HumanName, Identifier, Telecom
from schemas.held import FeedState, HeldDemographics, HeldItem, SourceView
from schemas.identifiers import LocalId, OdsCode, Postcode, SourceId
from schemas.items import CareItem, Coding, Heading
from schemas.records import ClientRecord
from schemas.sharing import AccessClass, Category, ClassId, Label
from tests.consent import cases
from tests.consent.oracle import Asks

ROOT = Path(__file__).parent.parent.parent
SNOMED = "http://snomed.info/sct"
HOSPITAL, SURGERY, CLINIC = SourceId("pas"), SourceId("gp"), SourceId("clinic")
GP = OdsCode("ZZX01")
"""Shares with the requester's organisation under an agreement."""
STRANGER = OdsCode("ZZX02")
SEEN = Instant("2026-02-28T01:00:00Z")
SOURCES = (
    SourceView(source=HOSPITAL, custodians=(cases.OURS,), headings=frozenset(Heading),
               state=FeedState.CURRENT),
    SourceView(source=SURGERY, custodians=(GP,), headings=frozenset(Heading),
               state=FeedState.STALE, since=SEEN),
    SourceView(source=CLINIC, custodians=(STRANGER,), headings=frozenset(Heading),
               state=FeedState.FAILED, since=SEEN),
)  # fmt: skip
RECORD = ClientRecord(
    local_id=LocalId("R0001"),
    identifiers=(Identifier("hospital", "R0001"),),
    names=(HumanName("Teal", ("Alma",)), HumanName("Quill", ("Alma",), NameUse.MAIDEN)),
    birth_date=PartialDate("1970-01-01"),
    gender=Gender.FEMALE,
    birth_sex=Gender.FEMALE,
    addresses=(Address(("3 Larkspur Wharf",), Postcode("BS9 1AA")),),
    telecoms=(Telecom(TelecomSystem.PHONE, "0117 496 0300"),),
    gp_practice=OdsCode("ZZG01"),
    details={"note": "lives at Larkspur Wharf"},
)
PLACES = ("Larkspur", "BS9 1AA", "0117 496 0300", "ZZG01", "R0001", "pas", "ZZR01", "ZZX01")


def item(heading: Heading, key: str, **more: Any) -> CareItem:
    fields: dict[str, Any] = {
        "codes": (Coding("91936005", SNOMED, "Allergy to penicillin"),),
        "text": "Seen at Larkspur Wharf",
        "start": PartialDate("2026-01-01"),
        "author": "Dr Larkspur",
        "organisation": cases.OURS,
        "details": {"site": "Larkspur ward", "value": "7"},
        "original": {"resourceType": "Observation", "note": "Larkspur"},
    } | more
    return CareItem(heading=heading, item_id=f"pas/{key}", subject=LocalId("R0001"), **fields)


@dataclasses.dataclass
class Holdings:
    """Items and classes of one person, as a store would hand them over."""

    classes: dict[ClassId, AccessClass] = dataclasses.field(default_factory=dict)
    items: list[HeldItem] = dataclasses.field(default_factory=list)

    def number(self, held: AccessClass) -> ClassId:
        for key, one in self.classes.items():
            if one == held:
                return key
        key = ClassId(max(self.classes, default=0) + 1)
        self.classes[key] = held
        return key

    def add(
        self, heading: Heading, source: SourceId = HOSPITAL, label: Label | None = None, **more: Any
    ) -> str:
        custodian = next(v.custodians[0] for v in SOURCES if v.source == source)
        labels = frozenset({label}) if label else frozenset[Label]()
        held = AccessClass(Category(heading.value), source, custodian, labels)
        key = f"k{len(self.items)}"
        self.items.append(
            HeldItem(item_key=key, item=item(heading, key, **more), source=source,
                     custodian=custodian, class_id=self.number(held), received_at=SEEN)
        )  # fmt: skip
        return key

    def who(self, label: Label | None = None) -> list[HeldDemographics]:
        labels = frozenset({label}) if label else frozenset[Label]()
        return [
            HeldDemographics(
                record=RECORD, source=HOSPITAL, custodian=cases.OURS,
                demographics=self.number(
                    AccessClass(Category.DEMOGRAPHICS, HOSPITAL, cases.OURS, labels)
                ),
                whereabouts=self.number(
                    AccessClass(Category.WHEREABOUTS, HOSPITAL, cases.OURS, labels)
                ),
                as_at=SEEN, received_at=SEEN,
            )
        ]  # fmt: skip


@pytest.fixture(scope="module")
def decider() -> Decider:
    return Decider()


def asks(
    role: str = "doctor", purpose: str = "direct-care", *, person: str = "", wish: str = ""
) -> Asks:
    return Asks(
        role, purpose, frozenset({"related"}), frozenset({wish} - {""}), frozenset({person} - {""})
    )


def shown(
    decider: Decider, holdings: Holdings, asked: Asks, sources: Sequence[SourceView] = SOURCES
) -> SharedRecord | None:
    who = holdings.who()
    facts = cases.facts(asked.person)
    decision = decider.may_read(
        cases.requester(asked), facts, cases.relationships(asked),
        cases.agreements(asked.purpose), cases.directives(asked), holdings.classes, cases.AT,
        sources=sources,
    )  # fmt: skip
    return redact_read(
        decision, who, holdings.items, sources, holdings.classes, cases.AT,
        flags=facts.safeguarding_flags,
    )  # fmt: skip


def test_only_redact_builds_a_shared_record() -> None:
    with pytest.raises(TypeError):
        SharedRecord(person=cases.PERSON, token=None)
    with pytest.raises(TypeError):
        SharedRecord(person=cases.PERSON, token=object())
    holders = []
    for path in sorted(ROOT.glob("[a-z]*/**/*.py")):
        if ".venv" in path.parts or "tests" in path.parts:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        names |= {a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
        names |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        if "_TOKEN" in names:
            holders.append(str(path.relative_to(ROOT)))
    assert holders == ["consent/redact.py", "consent/shared.py"]
    assert shared.__name__ == "consent.shared"


def test_a_shared_record_cannot_be_changed_into_another(decider: Decider) -> None:
    record = shown(decider, Holdings(), asks())
    assert record is not None
    with pytest.raises(TypeError):
        dataclasses.replace(record, items=())
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.items = ()  # type: ignore[misc]


def test_items_of_classes_not_permitted_are_dropped_whoever_hands_them_in(decider: Decider) -> None:
    held = Holdings()
    plain = held.add(Heading.CONDITION)
    held.add(Heading.CONDITION, label=Label.ADOPTION)
    held.add(Heading.CONDITION, CLINIC)
    held.add(Heading.DOCUMENT)
    record = shown(decider, held, asks("social_worker"))
    assert record is not None
    assert [one.item_key for one in record.items] == [plain]


def test_conflicting_demographics_stand_side_by_side(decider: Decider) -> None:
    record = shown(decider, Holdings(), asks())
    assert record is not None
    (one,) = record.demographics
    assert (one.source, one.custodian, one.local_id) == (HOSPITAL, cases.OURS, "R0001")
    assert (one.addresses, one.gp_practice) == (RECORD.addresses, RECORD.gp_practice)


@pytest.mark.parametrize("person", ["restricted", "household"])
@pytest.mark.parametrize("role", ["doctor", "social_worker", "safeguarding_lead"])
def test_nothing_of_a_restricted_person_names_a_place(
    decider: Decider, person: str, role: str
) -> None:
    held = Holdings()
    for heading in sorted(set(Heading) - {Heading.UNCLASSIFIED}):
        held.add(heading)
        held.add(heading, SURGERY, codes=(Coding("X1", "urn:larkspur", "Larkspur clinic"),))
    record = shown(decider, held, asks(role, person=person))
    assert record is not None
    assert record.items
    assert record.labels == ("restricted",)
    told = repr((record.items, record.demographics, record.flags))
    assert [place for place in PLACES if place in told] == []
    (one,) = record.demographics
    assert one.names == RECORD.names
    assert one.birth_date == "1970-01-01"


@pytest.mark.parametrize("heading", [Heading.ALLERGY, Heading.CARE_PLAN, Heading.ENCOUNTER])
@pytest.mark.parametrize("more", [{}, {"details": {"empty_reason": "nilknown"}}])
def test_of_a_restricted_person_nothing_tells_which_source_it_is_from(
    decider: Decider, heading: Heading, more: dict[str, Any]
) -> None:
    """A stale source and a current one, each with the item: the records are one."""
    records = []
    for source in (HOSPITAL, SURGERY):
        held = Holdings()
        held.add(heading, source, **more)
        records.append(shown(decider, held, asks(person="restricted")))
    first, second = records
    assert first is not None
    assert first == second
    states = {s.state for s in first.silences if s.heading is heading and s.source is None}
    wanted = SilenceState.RECORDED_AS_NONE if more else SilenceState.PRESENT
    assert states == {wanted}
    assert {(s.source, s.state) for s in first.silences if s.heading is heading and s.source} == {
        (SURGERY, SilenceState.STALE), (CLINIC, SilenceState.WITHHELD)
    }  # fmt: skip


def test_what_is_clinical_of_a_restricted_person_is_kept(decider: Decider) -> None:
    held = Holdings()
    held.add(Heading.ALLERGY, text="Penicillin")
    record = shown(decider, held, asks(person="restricted"))
    assert record is not None
    (one,) = record.items
    assert (one.item.text, one.item.codes[0].code) == ("Penicillin", "91936005")
    assert one.item.details == {"value": "7"}


def test_a_restricted_person_is_traced_without_a_source(decider: Decider) -> None:
    held = Holdings()
    who = held.who()
    (traced,) = decider.may_trace(
        cases.requester(asks()), frozenset({Locator.NAME}),
        [cases.facts(frozenset({"restricted"}))], cases.AT,
    )  # fmt: skip
    record = redact_trace(who, traced, held.classes)
    assert record is not None
    assert record.labels == ("restricted",)
    assert [place for place in PLACES if place in repr(record.demographics)] == []


def test_a_trace_shows_whereabouts_to_roles_that_policy_names(decider: Decider) -> None:
    for role, wanted in (("doctor", RECORD.addresses), ("housing_officer", ())):
        held = Holdings()
        who = held.who()
        (traced,) = decider.may_trace(
            cases.requester(asks(role)), frozenset({Locator.NAME}),
            [cases.facts(frozenset())], cases.AT,
        )  # fmt: skip
        record = redact_trace(who, traced, held.classes)
        assert record is not None
        (one,) = record.demographics
        assert (one.source, one.local_id, one.addresses) == (None, None, wanted)


def test_after_a_protected_change_the_former_name_is_left_out(decider: Decider) -> None:
    held = Holdings()
    held.add(Heading.CONDITION)
    record = shown(decider, held, asks(person="changed identity"))
    assert record is not None
    (one,) = record.demographics
    assert "Quill" not in repr(record)
    assert (one.names, one.birth_sex, one.identifiers) == (RECORD.names[:1], None, ())
    assert record.items[0].item.original is None


def test_where_a_contact_lives_is_in_nobodys_record(decider: Decider) -> None:
    held = Holdings()
    sent = {
        "resourceType": "RelatedPerson",
        "telecom": [{"value": "0117 496 0301"}],
        "address": [{"line": ["4 Larkspur Wharf"]}],
        "text": {"div": "Ada, 4 Larkspur Wharf"},
        "contained": [{"resourceType": "Location", "name": "Larkspur"}],
    }
    told = {"telecoms": ["0117 496 0301"], "addresses": ["4 Larkspur Wharf"]}
    held.add(Heading.PERSONAL_CONTACT, text="Mother: Ada", original=sent, details=told, author=None)
    record = shown(decider, held, asks("social_worker"))
    assert record is not None
    (one,) = record.items
    assert one.item.text == "Mother: Ada"
    assert one.item.original == {"resourceType": "RelatedPerson", "telecom": sent["telecom"]}
    assert one.item.details == {"telecoms": told["telecoms"]}


def test_attendance_only(decider: Decider) -> None:
    held = Holdings()
    held.add(Heading.APPOINTMENT, status="booked")
    record = shown(decider, held, asks("social_worker"))
    assert record is not None
    (one,) = record.items
    assert one.attendance_only
    assert (one.item.text, one.item.codes, one.item.status) == ("Attendance", (), "booked")
    assert "Larkspur" not in repr(one)
    assert "penicillin" not in repr(one)


def test_presence_only(decider: Decider) -> None:
    held = Holdings()
    held.add(Heading.SAFEGUARDING, text="Strategy meeting")
    record = shown(decider, held, asks("nurse"))
    assert record is not None
    (one,) = record.items
    assert one.presence_only
    assert one.custodian == cases.OURS
    assert "Strategy" not in repr(one)
    assert one.item.start is None


def test_an_opted_out_person_shows_as_opted_out_with_whom_to_ring(decider: Decider) -> None:
    held = Holdings()
    held.add(Heading.CONDITION)
    record = shown(decider, held, asks(person="opted out"))
    assert record is not None
    assert (record.items, record.demographics, record.labels) == ((), (), ("opted out",))
    assert record.withheld[0].ring.office == "records desk"
    assert {one.state for one in record.silences} == {SilenceState.WITHHELD}


def test_flags_are_told_of_an_opted_out_child(decider: Decider) -> None:
    asked = Asks(
        "social_worker", "safeguarding", frozenset(), frozenset({"opt-out"}), frozenset({"flag"})
    )
    record = shown(decider, Holdings(), asked)
    assert record is not None
    assert [one.kind.value for one in record.flags] == ["looked-after-child"]
    assert record.flags[0].ring.organisation == GP
    assert record.items == ()


def test_a_barred_member_of_staff_finds_no_such_person(decider: Decider) -> None:
    assert shown(decider, Holdings(), asks(wish="bar me")) is None


def test_what_the_person_sealed_is_told_and_what_they_locked_is_not(decider: Decider) -> None:
    held = Holdings()
    held.add(Heading.ALLERGY, SURGERY)
    sealed = shown(decider, held, asks(wish="seal allergies"))
    locked = shown(decider, held, asks(wish="seal allergies invisibly"))
    absent = shown(decider, Holdings(), asks(wish="seal allergies invisibly"))
    assert sealed is not None
    assert locked == absent
    states = {(s.source, s.heading): s.state for s in sealed.silences}
    assert states[SURGERY, Heading.ALLERGY] is SilenceState.WITHHELD


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, SilenceState.PRESENT),
        ({"codes": (Coding("716186003", SNOMED),)}, SilenceState.RECORDED_AS_NONE),
        ({"details": {"empty_reason": "nilknown"}}, SilenceState.RECORDED_AS_NONE),
        ({"details": {"empty_reason": "notasked"}}, SilenceState.PRESENT),
    ],
)
def test_silence_is_what_the_source_said(
    decider: Decider, more: dict[str, Any], wanted: SilenceState
) -> None:
    held = Holdings()
    held.add(Heading.ALLERGY, **more)
    record = shown(decider, held, asks())
    assert record is not None
    states = {s.source: s.state for s in record.silences if s.heading is Heading.ALLERGY}
    assert states == {
        HOSPITAL: wanted, SURGERY: SilenceState.STALE, CLINIC: SilenceState.WITHHELD
    }  # fmt: skip


def test_feeds_that_never_came_and_feeds_that_failed(decider: Decider) -> None:
    sources = (
        dataclasses.replace(SOURCES[0], state=FeedState.NOT_CONNECTED),
        dataclasses.replace(SOURCES[1], state=FeedState.FAILED),
    )
    record = shown(decider, Holdings(), asks(), sources)
    assert record is not None
    states = {s.source: (s.state, s.since) for s in record.silences if s.heading == "allergy"}
    assert states == {
        HOSPITAL: (SilenceState.NOT_CONNECTED, None), SURGERY: (SilenceState.FEED_FAILED, SEEN)
    }  # fmt: skip


DECIDER = Decider()
HIDDEN = st.tuples(
    st.sampled_from(sorted(set(Heading) - {Heading.UNCLASSIFIED})),
    st.sampled_from([HOSPITAL, SURGERY, CLINIC]),
    st.sampled_from([None, *Label]),
)


@settings(max_examples=60, deadline=None)
@given(
    held=st.lists(HIDDEN, max_size=12),
    role=st.sampled_from(["doctor", "social_worker", "receptionist", "person"]),
    person=st.sampled_from(["", "restricted", "changed identity"]),
    wish=st.sampled_from(["", "seal allergies invisibly", "deny us invisibly"]),
)
def test_what_is_silently_refused_looks_like_what_is_not_there(
    held: list[tuple[Heading, SourceId, Label | None]], role: str, person: str, wish: str
) -> None:
    """The record with the silently refused items and the record without them are one."""
    purpose = "own-record" if role == "person" else "direct-care"
    asked = asks(role, purpose, person=person, wish=wish)
    whole = Holdings()
    for heading, source, label in held:
        whole.add(heading, source, label)
    decision = DECIDER.may_read(
        cases.requester(asked), cases.facts(asked.person), cases.relationships(asked),
        cases.agreements(purpose), cases.directives(asked), whole.classes, cases.AT,
    )  # fmt: skip
    silent = {
        key
        for key, one in decision.classes.items()
        if not isinstance(one, Permit) and one.tell is shared.Tell.SILENT
    }
    bare = Holdings()
    bare.classes = {key: one for key, one in whole.classes.items() if key not in silent}
    bare.items = [one for one in whole.items if one.class_id not in silent]
    assert shown(DECIDER, whole, asked) == shown(DECIDER, bare, asked)
