"""Partial dates and instants: what is read, at what precision, and what is refused."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.dates import (
    check_partial_date,
    parse_instant,
    parse_partial_date,
    read_format,
    to_instant,
)
from schemas.errors import InvalidValue

UK = ("%d/%m/%Y", "%d %b %Y", "%m/%Y", "%Y")


@pytest.mark.parametrize(
    ("text", "formats", "expected"),
    [
        pytest.param("1980-05-17", ("%Y-%m-%d",), "1980-05-17", id="a day"),
        pytest.param(" 17/05/1980 ", UK, "1980-05-17", id="UK order, margins"),
        pytest.param("7/5/1980", UK, "1980-05-07", id="no leading zeros"),
        pytest.param("17 May 1980", UK, "1980-05-17", id="month by name"),
        pytest.param("05/1980", UK, "1980-05", id="a month"),
        pytest.param("1980", UK, "1980", id="a year"),
        pytest.param("1980137", ("%Y%j",), "1980-05-16", id="day of the year"),
        pytest.param("17/05/1980 00:00", ("%d/%m/%Y %H:%M",), "1980-05-17", id="a time is dropped"),
        pytest.param("29/02/2000", UK, "2000-02-29", id="a leap day"),
        pytest.param("29/02/1900", UK, None, id="no leap day in 1900"),
        pytest.param("05/17/1980", UK, None, id="US order is not guessed"),
        pytest.param("17/05/80", UK, None, id="two-digit year"),
        pytest.param("17/05/1849", UK, None, id="before 1850"),
        pytest.param("31/12/9999", UK, None, id="the end of time"),
        pytest.param("", UK, None, id="nothing"),
        pytest.param("unknown", UK, None, id="a word"),
    ],
)
def test_partial_date(text: str, formats: tuple[str, ...], expected: str | None) -> None:
    if expected is None:
        with pytest.raises(InvalidValue) as caught:
            parse_partial_date(text, formats)
        assert not text or text not in str(caught.value)
    else:
        assert parse_partial_date(text, formats) == expected


def test_two_digit_years_are_no_format() -> None:
    with pytest.raises(ValueError, match="two-digit"):
        parse_partial_date("17/05/80", ("%d/%m/%y",))


@pytest.mark.parametrize("text", ["1980", "1980-05", "1980-05-17"])
def test_canonical_dates_pass(text: str) -> None:
    assert check_partial_date(text) == text


@pytest.mark.parametrize(
    "text", ["", "80", "1980-13", "1980-02-30", "1980-5-17", "1980-05-17\n", "١٩٨٠", "0000"]
)
def test_other_dates_do_not(text: str) -> None:
    with pytest.raises(InvalidValue):
        check_partial_date(text)


@given(st.dates(min_value=date(1850, 1, 1), max_value=date(2200, 1, 1)))
@settings(max_examples=50, deadline=None)
def test_a_written_date_is_read_back(day: date) -> None:
    text = f"{day:%d/%m/%Y}"
    assert parse_partial_date(text, ("%d/%m/%Y",)) == str(day)


LONDON = ZoneInfo("Europe/London")


@pytest.mark.parametrize(
    ("text", "formats", "zone", "expected"),
    [
        pytest.param("2026-11-02T10:00:00Z", (), UTC, "2026-11-02T10:00:00Z", id="UTC"),
        pytest.param("2026-11-02T10:00:00+02:00", (), UTC, "2026-11-02T08:00:00Z", id="an offset"),
        pytest.param("2026-11-02T10:00:00.987", (), UTC, "2026-11-02T10:00:00Z", id="fractions go"),
        pytest.param("2026-11-02", (), UTC, "2026-11-02T00:00:00Z", id="midnight"),
        pytest.param("2026-07-02T10:00", (), LONDON, "2026-07-02T09:00:00Z", id="summer time"),
        pytest.param("2026-07-02T10:00Z", (), LONDON, "2026-07-02T10:00:00Z", id="its own zone"),
        pytest.param(
            "02/07/2026 10:00", ("%d/%m/%Y %H:%M",), LONDON, "2026-07-02T09:00:00Z", id="a format"
        ),
        pytest.param(
            "10052026", ("%d%m%Y",), UTC, "2026-05-10T00:00:00Z", id="a format before ISO 8601"
        ),
        pytest.param("0001-01-01T00:00:00+05:00", (), UTC, None, id="before time began"),
        pytest.param("9999-12-31T23:59:59-05:00", (), UTC, None, id="after it ended"),
        pytest.param("yesterday", (), UTC, None, id="a word"),
    ],
)
def test_instant(text: str, formats: tuple[str, ...], zone: object, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(InvalidValue) as caught:
            parse_instant(text, formats, zone)
        assert text not in str(caught.value)
    else:
        assert parse_instant(text, formats, zone) == expected


def test_instants_sort_as_text() -> None:
    east = timezone(timedelta(hours=5))
    moments = [datetime(2026, 3, 1, 2, tzinfo=east), datetime(2026, 3, 1, tzinfo=UTC)]
    assert [to_instant(m) for m in moments] == sorted(to_instant(m) for m in moments)
    assert to_instant(datetime(2026, 3, 1)) == "2026-03-01T00:00:00Z"  # noqa: DTZ001


FORMATS = ("%d/%m/%Y", "%Y%m%d", "%Y-%m-%d %H:%M:%S", "%Y%m%d%H%M", "%m/%Y", "%d %b %Y", "%Y-%j")


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(FORMATS),
    st.one_of(
        st.datetimes(datetime(1850, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001
        st.text("0123456789/-: ", max_size=19),
        st.from_regex(r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}", fullmatch=True),
        st.from_regex(
            r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2} +[0-9]{1,2}:[0-9]{2}:[0-9]{2}", fullmatch=True
        ),
    ),
)
def test_a_format_reads_as_strptime_reads_it(fmt: str, drawn: datetime | str) -> None:
    text = drawn.strftime(fmt) if isinstance(drawn, datetime) else drawn
    try:
        wanted = datetime.strptime(text, fmt)  # noqa: DTZ007
    except ValueError:
        wanted = None
    assert read_format(text, fmt) == wanted
