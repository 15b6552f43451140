"""Dates as sent, as a table, against naive readings, and by whole columns."""

from __future__ import annotations

import calendar
from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.birthdates import EARLIEST, LATEST, NO_DATE, dates, day_first

READ = [
    ("1985-03-02", 19850302),
    ("1985-3-2", 19850302),
    ("1985/03/02", 19850302),
    ("1985.03.02", 19850302),
    ("1985 03 02", 19850302),
    ("02/03/1985", 19850302),
    ("2/3/1985", 19850302),
    ("02-03-1985", 19850302),
    ("02.03.1985", 19850302),
    (" 02 / 03 / 1985 ", 19850302),
    ("2.3.85", 19850302),
    ("02/03/26", 20260302),
    ("02/03/27", 19270302),
    ("19850302", 19850302),
    ("02031985", 19850302),
    ("20111985", 19851120),
    ("20112011", 20111120),
    ("1985-03", 19850300),
    ("03/1985", 19850300),
    ("1985", 19850000),
    ("1985-00-00", 19850000),
    ("00/00/1985", 19850000),
    ("00/03/1985", 19850300),
    ("2 March 1985", 19850302),
    ("2 Mar 85", 19850302),
    ("02-MAR-1985", 19850302),
    ("02-MAR-85", 19850302),
    ("02MAR1985", 19850302),
    ("2nd of March 1985", 19850302),
    ("March 2, 1985", 19850302),
    ("Mar 2 1985", 19850302),
    ("Sat 2 Mar 1985", 19850302),
    ("Saturday, 2 March 1985", 19850302),
    ("1985-Mar-02", 19850302),
    ("Mar 1985", 19850300),
    ("1985-03-02T00:00:00Z", 19850302),
    ("1985-03-02T23:59:59.999+01:00", 19850302),
    ("1985-03-02 00:00:00.000", 19850302),
    ("1985-03-02 00:00", 19850302),
    ("02/03/1985 00:00", 19850302),
    ("02/03/1985 10:15:00 PM", 19850302),
    ("2 March 1985 09:30", 19850302),
    ("198503021530", 19850302),
    ("19850302153000+0100", 19850302),
    ("29/02/2000", 20000229),
    ("29 Feb 1984", 19840229),
]
UNREADABLE = [
    "31/02/1985", "29/02/1900", "1985-02-29", "1985-13-01", "31 April 1985", "2999-01-01",
    "9999-12-31", "1849-12-31", "2101-01-01", "1985-00-05", "12345", "31085", "198503", "99",
    "0302-85-19", "1985--03", "-1985", "02/03/1985/", "1/2/3/4", "13/25/1985", "about 1985",
    "2 Marchember", "1985-03-02T99", "\u0661\u0669", "123456789012345",
]  # fmt: skip
NOTHING = [
    None, "", " ", "-", "unknown", "N/A", "Not known", "0", "00/00/0000", "0000-00-00", "00000000",
    "01/01/1900", "1900-01-01", "1 January 1900", "1899-12-30",
]  # fmt: skip

real = st.dates(date(EARLIEST, 1, 1), date(LATEST, 12, 31))


def read(*sent: str | None, **options: object) -> tuple[list[int], list[bool]]:
    """What the values are read as, and which are unreadable."""
    found, unreadable = dates(pa.array(sent, pa.string()), **options)  # type: ignore[arg-type]
    assert found.dtype == np.int32
    return found.tolist(), unreadable.tolist()


@pytest.mark.parametrize(("sent", "wanted"), READ)
def test_read(sent: str, wanted: int) -> None:
    assert read(sent, pivot=2026) == ([wanted], [False])


@pytest.mark.parametrize("sent", UNREADABLE)
def test_unreadable(sent: str) -> None:
    assert read(sent, pivot=2026) == ([0], [True])


@pytest.mark.parametrize("sent", NOTHING)
def test_nothing_there(sent: str | None) -> None:
    assert read(sent) == ([0], [False])


def test_all_in_one_column_are_read_as_each_alone() -> None:
    sent = [s for s, _ in READ] + UNREADABLE + NOTHING
    found, unreadable = read(*sent, first="day", pivot=2026)
    assert found == [w for _, w in READ] + [0] * (len(UNREADABLE) + len(NOTHING))
    assert unreadable == [False] * len(READ) + [True] * len(UNREADABLE) + [False] * len(NOTHING)


def test_two_digits_are_no_year_without_a_pivot() -> None:
    assert read("02/03/85", "2 Mar 85") == ([0, 0], [True, True])


def test_month_first_where_the_caller_says_so() -> None:
    assert read("02/03/1985", "02031985", first="month") == ([19850203, 19850203], [False, False])
    assert read("2 March 1985", "1985-03-02", first="month")[0] == [19850302, 19850302]


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        ([], True),
        ([None], True),
        (["02/03/1985"], True),
        (["25/03/1985", "02/03/1985"], True),
        (["03/25/1985", "02/03/1985"], False),
        (["03/25/1985", "03/26/1985", "25/03/1985"], False),
        (["03/25/1985", "25/03/1985"], True),
        (["1985-03-25", "25 March 1985", "03/25/1985"], False),
        (["02/30/1985", "02/03/1985"], True),
    ],
)
def test_the_column_tells_the_order(sent: list[str | None], wanted: bool) -> None:
    assert day_first(pa.array(sent, pa.string())) is wanted


def test_an_american_column_is_read_as_one() -> None:
    assert read("02/03/1985", "12/25/1985")[0] == [19850203, 19851225]


FORMATS = {
    "%Y-%m-%d": "day", "%d/%m/%Y": "day", "%m/%d/%Y": "month", "%Y%m%d": "day", "%d-%m-%Y": "day",
    "%d.%m.%Y": "day", "%d %b %Y": "day", "%d-%B-%Y": "month", "%B %d, %Y": "day",
    "%Y-%m-%dT%H:%M:%S": "day", "%d%m%Y": "day", "%m%d%Y": "month",
}  # fmt: skip


@settings(deadline=None)
@given(st.lists(real, max_size=8), st.sampled_from(sorted(FORMATS)))
def test_every_date_in_every_format(days: list[date], form: str) -> None:
    found, unreadable = read(*(day.strftime(form) for day in days), first=FORMATS[form])
    wanted = [day.year * 10_000 + day.month * 100 + day.day for day in days]
    assert found == [0 if w in NO_DATE else w for w in wanted]
    assert not any(unreadable)


@settings(deadline=None)
@given(st.integers(1700, 2200), st.integers(0, 15), st.integers(0, 35))
def test_only_what_the_calendar_has(year: int, month: int, day: int) -> None:
    in_calendar = 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
    partial = day == 0 and month <= 12
    number = year * 10_000 + month * 100 + day
    wanted = number if EARLIEST <= year <= LATEST and (in_calendar or partial) else 0
    found, unreadable = read(f"{year}-{month:02d}-{day:02d}")
    assert unreadable == [wanted == 0 and number not in NO_DATE]
    assert found == [0 if wanted in NO_DATE else wanted]


@settings(deadline=None)
@given(st.lists(st.text(max_size=15), max_size=6), st.integers(0, 3))
def test_any_text_is_read_or_reported_wherever_it_stands(sent: list[str], cut: int) -> None:
    array = pa.array(sent, pa.string())
    found, unreadable = dates(array, first="day", pivot=2026)
    assert not (unreadable & (found > 0)).any()
    for i, one in enumerate(sent):
        assert read(one, first="day", pivot=2026) == ([found[i]], [unreadable[i]])
    assert dates(array.slice(cut), first="day", pivot=2026)[0].tolist() == found[cut:].tolist()
