"""Search parameters, page cursors and limits, by tables."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cursors import LIFETIME, Cursors
from api.item_routes import ITEM_ROUTES
from api.outcomes import OUTCOMES, Refused
from api.params import Kind, Param, Params, Span, date_span, moments, refuse_personal
from api.throttle import Throttle
from schemas.identifiers import OdsCode
from schemas.sharing import Requester
from tests.api.signing import Times

TABLE = (
    Param("family", Kind.STRING, "", personal=True),
    Param("date", Kind.DATE, "", many=2),
    Param("_count", Kind.NUMBER, ""),
    Param("gender", Kind.TOKEN, "", choices=("male", "female")),
    Param("_history", Kind.FLAG, ""),
    Param("_format", Kind.TOKEN, ""),
    Param("_elements", Kind.WORDS, ""),
)

REFUSED = [
    ([("surname", "x")], "ADDITIONAL_PROPERTIES"),
    ([("family:exact", "x")], "ADDITIONAL_PROPERTIES"),
    ([("family.given", "x")], "ADDITIONAL_PROPERTIES"),
    ([("family", "")], "INVALID_VALUE"),
    ([("family", "x"), ("family", "y")], "INVALID_VALUE"),
    ([("family", "x" * 1_001)], "INVALID_VALUE"),
    ([("family", "a\0b")], "INVALID_VALUE"),
    ([("_count", "-1")], "INVALID_VALUE"),
    ([("_count", "1e3")], "INVALID_VALUE"),
    ([("_count", "9" * 30)], "INVALID_VALUE"),
    ([("gender", "MALE")], "INVALID_VALUE"),
    ([("_history", "yes")], "INVALID_VALUE"),
    ([("_format", "xml")], "NOT_ACCEPTABLE"),
]


@pytest.mark.parametrize(("given_", "code"), REFUSED)
def test_what_a_route_does_not_take_is_refused(given_: Any, code: str) -> None:
    with pytest.raises(Refused) as caught:
        Params(TABLE, given_)
    assert caught.value.code == code
    for _, value in given_:
        assert not value or len(value) < 3 or value not in caught.value.message


def test_values_as_given() -> None:
    sent = [("family", " Smith "), ("date", "ge2020"), ("date", "le2021"), ("_count", "7"),
            ("_elements", "id, name ,"), ("_history", "true"), ("_format", "json")]  # fmt: skip
    params = Params(TABLE, sent)
    assert params.one("family") == "Smith"
    assert params.all("date") == ["ge2020", "le2021"]
    assert params.words("_elements") == ("id", "name")
    assert params.flag("_history")
    assert params.number("_count", 50, 0, 5) == 5
    assert dict(params.given())["family"] == "Smith"


SPANS = [
    (["2020-02"], Span("2020-02-01", "2020-02-29")),
    (["2021-12"], Span("2021-12-01", "2021-12-31")),
    (["2020"], Span("2020-01-01", "2020-12-31")),
    (["eq2020-05-04"], Span("2020-05-04", "2020-05-04")),
    (["ge2020-05"], Span("2020-05-01", None)),
    (["gt2020-05"], Span("2020-06-01", None)),
    (["le2020-05"], Span(None, "2020-05-31")),
    (["lt2020-05"], Span(None, "2020-04-30")),
    (["ge2020", "le2020-03-04"], Span("2020-01-01", "2020-03-04")),
    (["ge2020-05-01T23:00:00Z"], Span("2020-05-01", None)),
    ([], Span()),
]


@pytest.mark.parametrize(("values", "span"), SPANS)
def test_date_ranges(values: list[str], span: Span) -> None:
    assert date_span("date", values) == span


@pytest.mark.parametrize(
    "value", ["2020-13", "ap2020", "ne2020", "yesterday", "20", "ge", "04/05/2020"]
)
def test_dates_that_are_none(value: str) -> None:
    with pytest.raises(Refused) as caught:
        date_span("date", [value])
    assert caught.value.code == "INVALID_VALUE"
    assert len(value) < 5 or value not in caught.value.message


@given(text=st.text(max_size=30))
def test_any_text_is_a_date_or_refused(text: str) -> None:
    with suppress(Refused):
        moments(date_span("date", [text]))


ADDRESSES = [
    # what stands in an address, whether it is refused
    ([("family", "Smith")], True),
    ([("family:exact", "Smith")], True),
    ([("patient", "https://fhir.nhs.uk/Id/nhs-number|9990000018")], True),
    ([("patient.identifier", "x|1")], True),
    ([("code", "999 000 0018")], True),
    ([("patient", "Patient/p0123456789abcdef")], False),
    ([("gender", "male")], False),
]


@pytest.mark.parametrize(("query", "refused"), ADDRESSES)
def test_persons_details_do_not_belong_in_addresses(query: Any, refused: bool) -> None:
    if refused:
        with pytest.raises(Refused) as caught:
            refuse_personal(TABLE, query, "/fhir/R4/Patient/_search")
        assert caught.value.code == "USE_POST_SEARCH"
        assert "/fhir/R4/Patient/_search" in caught.value.message
        assert query[0][1] not in caught.value.message
    else:
        refuse_personal(TABLE, query, "")


def test_every_outcome_has_a_status_and_an_issue() -> None:
    assert {spec.severity for spec in OUTCOMES.values()} <= {"error", "fatal"}
    for code, spec in OUTCOMES.items():
        assert 200 <= spec.status < 600, code
        assert spec.display, code


def test_no_two_routes_share_a_form() -> None:
    forms = [form for route in ITEM_ROUTES for form in route.forms]
    assert len(forms) == len(set(forms))


# --- cursors -----------------------------------------------------------------------------------

ASKER = Requester(
    staff_id="ST1", organisation=OdsCode("RA7"), role="doctor", purpose="direct-care", active=True
)


def test_a_cursor_holds_the_search_and_shows_nothing_of_it() -> None:
    cursors = Cursors(b"k" * 32, Times())
    made = cursors.make(ASKER, "search Patient", [("family", "Smithson")], 50)
    page = cursors.open(ASKER, "search Patient", made)
    assert (page.params, page.offset) == ((("family", "Smithson"),), 50)
    assert "Smithson" not in made


CHANGES: list[dict[str, Any]] = [
    {"staff_id": "ST2"}, {"organisation": OdsCode("RA8")}, {"role": "nurse"},
    {"purpose": "safeguarding"}, {"issuer": "https://other.example"},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_cursor_counts_for_who_got_it(change: dict[str, Any]) -> None:
    cursors = Cursors(b"k" * 32, Times())
    made = cursors.make(ASKER, "r", [], 1)
    with pytest.raises(Refused) as caught:
        cursors.open(replace(ASKER, **change), "r", made)
    assert caught.value.code == "INVALID_CURSOR"


def test_a_cursor_counts_for_its_route_its_key_and_its_hour() -> None:
    times = Times()
    cursors = Cursors(b"k" * 32, times)
    made = cursors.make(ASKER, "r", [], 1)
    for other, route in ((cursors, "s"), (Cursors(b"l" * 32, times), "r")):
        with pytest.raises(Refused):
            other.open(ASKER, route, made)
    times.now += LIFETIME + 1
    with pytest.raises(Refused):
        cursors.open(ASKER, "r", made)


@given(text=st.text(max_size=100))
def test_any_text_is_no_cursor(text: str) -> None:
    with pytest.raises(Refused):
        Cursors(b"k" * 32, Times()).open(ASKER, "r", text)


# --- limits ------------------------------------------------------------------------------------


def test_a_minute_s_worth_and_then_as_it_refills() -> None:
    times = Times()
    throttle = Throttle({"searches": 3}, times)
    for _ in range(3):
        throttle.take("searches", "one")
    throttle.take("searches", "another")
    with pytest.raises(Refused) as caught:
        throttle.take("searches", "one")
    assert caught.value.code == "THROTTLED"
    assert caught.value.headers == {"Retry-After": "21"}
    times.now += 20
    throttle.take("searches", "one")
    with pytest.raises(Refused):
        throttle.take("searches", "one")
