"""Match and search, against IHE PDQm's cases and the Personal Demographics Service's rules; what is
audited; that restriction is asked of the store each time; when the index is opened anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest

from audit.events import AuditEvent, EventOutcome
from linkage.grades import Grade
from linkage.model import Rule
from schemas.codes import Gender, NumberStatus, TelecomSystem
from schemas.columns import match_table
from schemas.dates import Instant, PartialDate
from schemas.demographics import Address, HumanName, NhsNumberClaim, Telecom
from schemas.errors import InputError, InvalidSearch, NotFound, NotPermitted
from schemas.identifiers import LocalId, NhsNumber, OdsCode, PersonId, Postcode, SourceId
from schemas.records import ClientRecord
from schemas.settings_file import parse_settings
from service.access import Actor
from service.candidates import minimum
from service.matching import (
    TOO_MANY,
    Access,
    Caution,
    match,
    question,
    search,
)
from service.ports import HeldRecord, Store
from service.warm_index import WarmIndex, open_index
from tests.functional import small
from tests.linkage.people import shipped_model

NOW = Instant("2026-11-02T03:00:00Z")
WORKER = Actor("desk", "data_team", "data-quality")
RULES = (
    Rule("number", ("nhs_number",), 20),
    Rule("family and birth", ("birth_date", "family[2]"), 5),
    Rule("given and birth", ("birth_date", "given"), 5),
    Rule("given and postcode", ("given", "postcode[2]"), 5),
    Rule("telephone", ("phone[2]",), 5),
)


def clock() -> Instant:
    return NOW


def person(
    given: str = "Martha",
    family: str = "Okafor",
    born: str = "1980-05-04",
    *,
    former: str = "",
    postcode: str = "BS1 5TR",
    phone: str = "0117 496 0001",
    number: str = "",
    restricted: bool = False,
) -> ClientRecord:
    """One record of a person."""
    names = [HumanName(family=family, given=(given,))]
    if former:
        names.append(HumanName(family=former, given=(given,)))
    return ClientRecord(
        local_id=LocalId("1"),
        names=tuple(names),
        birth_date=PartialDate(born),
        gender=Gender.FEMALE,
        addresses=(Address(lines=("1 High Street",), postcode=Postcode(postcode)),),
        telecoms=(Telecom(TelecomSystem.PHONE, phone),),
        gp_practice=OdsCode("L81001"),
        nhs_number=NhsNumberClaim(NhsNumber(number), NumberStatus.VERIFIED) if number else None,
        restricted=restricted,
    )


class FakeStore:
    """What a warm index and a match ask of a store, in memory: persons by id, events written."""

    def __init__(self, persons: dict[str, list[ClientRecord]]) -> None:
        self.persons = persons
        self.run_id = 1
        self.events: list[AuditEvent] = []

    def _rows(self) -> list[tuple[str, ClientRecord]]:
        return [(name, one) for name, records in self.persons.items() for one in records]

    def published_run(self) -> int:
        return self.run_id

    def former_identities(self) -> tuple[()]:
        return ()

    def match_columns(self) -> pa.Table:
        rows = self._rows()
        table = match_table([one for _, one in rows])
        numbers = range(len(rows))
        for name, values in {
            "founder": pa.array([f"{n:06d}".encode() for n in numbers], pa.binary()),
            "source": pa.array([f"s{n % 3}" for n in numbers], pa.string()),
            "record_id": pa.array(numbers, pa.int64()),
        }.items():
            table = table.append_column(name, values)
        return table

    def memberships(self) -> pa.Table:
        names = [name for name, _ in self._rows()]
        ids = pa.array(range(len(names)), pa.int64())
        return pa.table({"record_id": ids, "person_id": pa.array(names, pa.string())})

    def person_records(self, asked: PersonId) -> Sequence[HeldRecord]:
        return [
            HeldRecord(
                record_id=n,
                version_id=n,
                source=SourceId("s"),
                as_at=Instant(f"2026-01-{n + 1:02d}T00:00:00Z"),
                record=one,
                person_id=asked,
            )
            for n, one in enumerate(self.persons.get(asked, []))
        ]

    def append_event(self, event: AuditEvent) -> None:
        self.events.append(event)


@pytest.fixture
def settings() -> Any:
    text = small.SETTINGS.format(
        database="sqlite:///x.db", actor="desk", role="data_team", settle=0, batch_units=100
    )
    return parse_settings(text)


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.json"
    path.write_bytes(shipped_model(RULES).to_json())
    return path


class Desk:
    """A store, its index, and one who asks."""

    def __init__(self, persons: dict[str, list[ClientRecord]], settings: Any, path: Path) -> None:
        self.fake = FakeStore(persons)
        self.store = cast(Store, self.fake)
        self.settings, self.path = settings, path
        self.index: WarmIndex = open_index(self.store, settings, path)

    def match(self, actor: Actor = WORKER, **asked: Any) -> Any:
        options = {k: asked.pop(k) for k in ("only_certain", "count") if k in asked}
        return match(self.store, self.index, actor, asked, clock, **options)

    def search(self, access: Access = Access.WORKER, **asked: Any) -> Any:
        options = {
            k: asked.pop(k) for k in ("fuzzy", "exact", "history", "max_results") if k in asked
        }
        return search(self.store, self.index, WORKER, asked, clock, access=access, **options)


@pytest.fixture
def desk(settings: Any, model_file: Path) -> Any:
    return lambda **persons: Desk(persons, settings, model_file)


FULL = {
    "given": "Martha", "family": "Okafor", "birth_date": "1980-05-04", "gender": "female",
    "postcode": "BS1 5TR", "phone": "0117 496 0001",
}  # fmt: skip
NAMES = {"given": "Martha", "family": "Okafor", "birth_date": "1980-05-04"}
ELSEWHERE = {"postcode": "BS9 9AA", "phone": "0117 496 0099"}
ONE = {"pa": [person()]}
TWO = {"pa": [person()], "pb": [person(**ELSEWHERE)]}

CASES = [
    # case, persons, asked, options, (person, grade) in order, cautions
    (1, ONE, FULL, {}, [("pa", "certain")], []),
    (2, TWO, NAMES, {}, [("pa", "possible"), ("pb", "possible")], []),
    (3, ONE, FULL, {"only_certain": True}, [("pa", "certain")], []),
    (4, ONE, {**FULL, "family": "Smith", "phone": "0117 496 0099"}, {"only_certain": True}, [], []),
    (5, TWO, NAMES, {"only_certain": True}, [], []),
    (6, TWO, NAMES, {"count": 1}, [("pa", "possible")], [Caution.OMITTED]),
    (7, ONE, {**NAMES, "given": "Boris", "family": "Teal", "birth_date": "1931-01-02"}, {}, [], []),
]
"""IHE PDQm 2:3.119.4.1.3, cases 1 to 7: what the consumer asks and the supplier finds."""


@pytest.mark.parametrize(
    ("case", "persons", "asked", "options", "expected", "cautions"),
    CASES,
    ids=[f"case {case[0]}" for case in CASES],
)
def test_pdqm_cases(
    desk: Any,
    case: int,
    persons: Any,
    asked: Any,
    options: Any,
    expected: Any,
    cautions: Any,
) -> None:
    del case
    result = desk(**persons).match(**asked, **options)
    assert [(one.person_id, one.grade) for one in result.matches] == expected
    assert list(result.cautions) == cautions
    assert all(0.0 <= one.score <= 1.0 for one in result.matches)
    scores = [one.score for one in result.matches]
    assert scores == sorted(scores, reverse=True)


def test_pdqm_case_8_a_person_that_ended_is_not_in_the_answer(desk: Any) -> None:
    found = desk(**TWO)
    del found.fake.persons["pa"]
    assert [one.person_id for one in found.match(**NAMES).matches] == ["pb"]


def test_pdqm_case_9_what_is_wrong_with_the_question_is_an_error(desk: Any) -> None:
    found = desk(**ONE)
    with pytest.raises(InvalidSearch) as caught:
        found.match(birth_date="not a date")
    assert caught.value.code == "INVALID_VALUE"
    assert "not a date" not in str(caught.value)
    assert found.fake.events[-1].outcome is EventOutcome.FAILED
    assert found.fake.events[-1].details == {"reason": "INVALID_VALUE"}


def test_pdqm_case_10_what_is_too_common_is_a_caution_beside_the_answer(desk: Any) -> None:
    crowd = {f"p{n}": [person(f"Name{chr(65 + n)}", postcode="BS9 9AA")] for n in range(6)}
    result = desk(**ONE, **crowd).match(**FULL)
    assert result.matches[0].person_id == "pa"
    assert result.cautions == (Caution.TOO_COMMON,)


def test_certainly_not_is_never_shown(desk: Any) -> None:
    found = desk(pa=[person(number="9990000018")])
    asked = {**FULL, "birth_date": "1950-11-20", "nhs_number": "9990000018"}
    assert found.match(**asked).matches == ()


# --- who may, and what is written down --------------------------------------------------------


def test_everyone_matched_is_written_down_before_anything_is_shown(desk: Any) -> None:
    found = desk(**TWO)
    found.match(**NAMES, count=1)
    (event,) = found.fake.events
    assert (event.action, event.outcome) == ("match", EventOutcome.PERMITTED)
    assert event.persons == ("pa", "pb")
    assert event.details == {"shown": 1, "certain_only": False}


@pytest.mark.parametrize(
    ("role", "purpose"),
    [(None, "data-quality"), ("operator", "data-quality"), ("data_team", "audit")],
)
def test_who_may_not_match_learns_nothing_and_is_written_down(
    desk: Any, role: str | None, purpose: str
) -> None:
    found = desk(**ONE)
    with pytest.raises(NotPermitted):
        found.match(Actor("somebody", role, purpose), **FULL)
    assert [event.outcome for event in found.fake.events] == [EventOutcome.REFUSED]


def test_nothing_is_shown_where_the_event_cannot_be_written(desk: Any) -> None:
    found = desk(**ONE)

    def fail(event: AuditEvent) -> None:
        raise OSError("disk full")

    found.fake.append_event = fail
    with pytest.raises(OSError, match="disk full"):
        found.match(**FULL)


def test_minimum_demographics_hold_no_place_and_no_contact(desk: Any) -> None:
    (one,) = desk(**ONE).match(**FULL).matches
    shown = repr(one.demographics)
    for value in ("BS1 5TR", "High Street", "496 0001", "L81001"):
        assert value not in shown
    assert one.demographics.names == ("Martha Okafor",)


def test_minimum_demographics_come_from_the_newest_record_with_a_traced_number() -> None:
    store = FakeStore({"p": [person("Old", number="9990000018"), person("New")]})
    shown = minimum(store.person_records(PersonId("p")))
    assert (shown.names, shown.nhs_number_verified) == (("Old Okafor",), True)


# --- restricted persons -----------------------------------------------------------------------


def test_a_person_restricted_today_is_no_longer_found_by_telephone_or_postcode(desk: Any) -> None:
    found = desk(pa=[person()])
    by_place = {"given": "Martha", "postcode": "BS1 5TR", "phone": "0117 496 0001"}
    assert [one.person_id for one in found.match(**by_place).matches] == ["pa"]
    found.fake.persons["pa"] = [person(restricted=True)]
    assert found.match(**by_place).matches == ()


def test_where_a_restricted_person_lives_changes_no_score(desk: Any) -> None:
    found = desk(pa=[person(restricted=True)])
    scores = {
        found.match(**NAMES, **more).matches[0].bits
        for more in ({}, {"postcode": "BS1 5TR", "phone": "0117 496 0001"}, ELSEWHERE)
    }
    assert len(scores) == 1


@pytest.mark.parametrize(
    "more", [{"postcode": "BS1 5TR"}, {"gp_practice": "L81001"}, {"phone": "0117 496 0001"}]
)
@pytest.mark.parametrize("access", Access)
def test_a_search_by_place_or_contact_finds_no_restricted_person(
    desk: Any, access: Access, more: dict[str, str]
) -> None:
    found = desk(pa=[person(restricted=True)])
    assert found.search(access, **NAMES, **more).matches == ()
    (one,) = found.search(access, **NAMES).matches
    assert one.demographics.restricted


# --- search -----------------------------------------------------------------------------------

BY_NAME = {"family": "Okafor", "birth_date": "1980-05-04"}
MARRIED = {"pa": [person(family="Teal", former="Okafor")]}
SEARCHES = [
    # persons, access, asked, expected persons or issue
    ("one", ONE, Access.SYSTEM, BY_NAME, ["pa"]),
    ("nobody", ONE, Access.SYSTEM, {**BY_NAME, "family": "Teal"}, []),
    ("two for a system", TWO, Access.SYSTEM, BY_NAME, TOO_MANY),
    ("two told apart", TWO, Access.SYSTEM, {**BY_NAME, "postcode": "BS9 9AA"}, ["pb"]),
    ("two for a worker", TWO, Access.WORKER, BY_NAME, ["pa", "pb"]),
    ("two, one wanted", TWO, Access.WORKER, {**BY_NAME, "max_results": 1}, TOO_MANY),
    ("two, two wanted", TWO, Access.WORKER, {**BY_NAME, "max_results": 2}, ["pa", "pb"]),
    ("a slip is not found", ONE, Access.WORKER, {**BY_NAME, "family": "Okafur"}, []),
    (
        "a slip is found fuzzily", ONE, Access.WORKER,
        {**NAMES, "family": "Okafur", "fuzzy": True}, ["pa"],
    ),
    ("a former name is not current", MARRIED, Access.WORKER, BY_NAME, []),
    ("history", MARRIED, Access.WORKER, {**BY_NAME, "history": True}, ["pa"]),
    (
        "history is not exact", MARRIED, Access.WORKER,
        {**BY_NAME, "history": True, "exact": True}, [],
    ),
    ("exact", ONE, Access.WORKER, {**BY_NAME, "exact": True}, ["pa"]),
    ("other gender", ONE, Access.WORKER, {**BY_NAME, "gender": "male"}, []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("persons", "access", "asked", "expected"),
    [case[1:] for case in SEARCHES],
    ids=[case[0] for case in SEARCHES],
)
def test_searches(desk: Any, persons: Any, access: Access, asked: Any, expected: Any) -> None:
    found = desk(**persons)
    result = found.search(access, **asked)
    if isinstance(expected, str):
        assert (result.issue, result.matches) == (expected, ())
        assert found.fake.events[-1].details["shown"] == 0
        assert found.fake.events[-1].persons
    else:
        assert result.issue is None
        assert sorted(one.person_id for one in result.matches) == expected
        assert sorted(found.fake.events[-1].persons) == expected


def test_so_many_of_one_name_and_date_are_too_many(desk: Any) -> None:
    crowd = {f"p{n}": [person(postcode=f"BS9 {n}AA")] for n in range(6)}
    assert desk(**crowd).search(**BY_NAME).issue == TOO_MANY


def test_a_score_of_one_means_that_all_is_met_by_what_is_current(desk: Any) -> None:
    (exact,) = desk(**ONE).search(**BY_NAME).matches
    (former,) = desk(**MARRIED).search(**BY_NAME, history=True).matches
    assert exact.score == 1.0
    assert former.score < 1.0


REFUSED = [
    ({}, {}, "UNSUPPORTED_SERVICE"),
    ({"family": "Okafor"}, {}, "INVALID_SEARCH_DATA"),
    ({"given": "Martha", "birth_date": "1980-05-04"}, {}, "INVALID_SEARCH_DATA"),
    ({"phone": "0117 496 0001", "email": "a@example.org"}, {}, "INVALID_SEARCH_DATA"),
    (BY_NAME, {"fuzzy": True}, "INVALID_SEARCH_DATA"),
    ({**BY_NAME, "gender": "female"}, {"fuzzy": True}, "INVALID_SEARCH_DATA"),
    (NAMES, {"fuzzy": True, "exact": True}, "INVALID_SEARCH_DATA"),
    ({**BY_NAME, "family": "Ok*"}, {}, "INVALID_VALUE"),
    ({**BY_NAME, "birth_date": "04/05/1980"}, {}, "INVALID_VALUE"),
    ({**BY_NAME, "gender": "F"}, {}, "INVALID_VALUE"),
    ({**BY_NAME, "postcode": "nowhere"}, {}, "INVALID_VALUE"),
    ({**BY_NAME, "family": "Unknown"}, {}, "INVALID_VALUE"),
    ({**BY_NAME, "family": ""}, {}, "INVALID_VALUE"),
    ({**BY_NAME, "family": 7}, {}, "INVALID_VALUE"),
    (BY_NAME, {"max_results": 0}, "INVALID_VALUE"),
    (BY_NAME, {"max_results": 51}, "INVALID_VALUE"),
    ({**BY_NAME, "nickname": "Mar"}, {}, "ADDITIONAL_PROPERTIES"),
    ({**BY_NAME, "address": "1 High Street"}, {}, "ADDITIONAL_PROPERTIES"),
]


@pytest.mark.parametrize(("asked", "options", "code"), REFUSED)
def test_searches_that_cannot_be_made(desk: Any, asked: Any, options: Any, code: str) -> None:
    found = desk(**ONE)
    with pytest.raises(InvalidSearch) as caught:
        found.search(**asked, **options)
    assert caught.value.code == code
    assert found.fake.events[-1].outcome is EventOutcome.FAILED
    for value in asked.values():
        assert not value or f"'{value}'" not in str(caught.value)


def test_a_system_is_given_one_person_only(desk: Any) -> None:
    with pytest.raises(InvalidSearch, match="one person only"):
        desk(**ONE).search(Access.SYSTEM, **BY_NAME, max_results=2)


@pytest.mark.parametrize(
    "fuzzy_enough",
    [
        NAMES,
        {**BY_NAME, "gender": "female", "postcode": "BS1 5TR"},
        {"given": "Martha", "birth_date": "1980-05-04", "gender": "female", "postcode": "BS1 5TR"},
    ],
)
def test_what_is_enough_for_a_fuzzy_search(desk: Any, fuzzy_enough: dict[str, str]) -> None:
    assert len(desk(**ONE).search(**fuzzy_enough, fuzzy=True).matches) == 1


def test_count_below_one_is_refused(desk: Any) -> None:
    with pytest.raises(InvalidSearch, match="count"):
        desk(**ONE).match(**NAMES, count=0)


def test_a_question_is_standard_texts_of_the_match_columns() -> None:
    row = question({"postcode": "bs15tr", "nhs_number": "999 000 0018", "given": "Ann"})
    assert row.to_pylist() == [
        {"postcode": ["BS1 5TR"], "nhs_number": "9990000018", "given": ["Ann"]}
    ]


# --- the warm index ---------------------------------------------------------------------------


def test_the_index_is_opened_anew_when_another_run_is_published(desk: Any) -> None:
    found = desk(**ONE)
    assert found.index.fresh(found.store, found.settings, found.path) is found.index
    found.fake.persons["pb"] = [person("Boris", "Teal", "1931-01-02", **ELSEWHERE)]
    asked = {"given": "Boris", "family": "Teal", "birth_date": "1931-01-02"}
    assert found.match(**asked).matches == ()
    found.fake.run_id = 2
    found.index = found.index.fresh(found.store, found.settings, found.path)
    assert found.index.run_id == 2
    assert [one.person_id for one in found.match(**asked).matches] == ["pb"]


def test_there_is_no_index_without_a_run_or_a_model(settings: Any, tmp_path: Path) -> None:
    fake = FakeStore({})
    with pytest.raises(InputError, match="no model"):
        open_index(cast(Store, fake), settings, tmp_path / "model.json")
    fake.run_id = 0
    path = tmp_path / "model.json"
    path.write_bytes(shipped_model(RULES).to_json())
    with pytest.raises(NotFound, match="no run"):
        open_index(cast(Store, fake), settings, path)


def test_an_index_of_nobody_answers(desk: Any) -> None:
    assert desk().match(**FULL).matches == ()


def test_grades_are_the_codes_of_fhir() -> None:
    assert [grade.value for grade in Grade] == ["certain", "probable", "possible", "certainly-not"]
