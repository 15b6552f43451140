"""Periods and ages that decisions use, and what holds on a day. Values only.

Rules:
- Every number stands here with its meaning. A partnership may set the periods
  (schemas/settings_sharing.py); the ages are the law's and the rules'.
- What is uncertain counts the cautious way: a person is of age when every source says so, and
  grown out of a proxy's reach when any does.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date

from schemas.dates import Instant, PartialDate
from schemas.held import PersonFacts, Proxy, ProxyBasis, SafeguardingFlag
from schemas.identifiers import OdsCode
from schemas.settings_sharing import SharingSettings


@dataclass(frozen=True)
class Terms:
    """The periods and ages that hold in a partnership.

    Attributes:
        practices: ODS codes of general practices (Type 1 opt-outs are about what they hold).
        break_glass_minutes: for so long a broken glass opens one person's record.
        care_days_after_death: for so long a record stays open for care after a death.
        flag_months: for so long an ended safeguarding flag is still told.
        own_view_age, national_opt_out_age: years; proxy_review_age, proxy_end_age: years.
    """

    practices: frozenset[OdsCode] = frozenset()
    break_glass_minutes: int = SharingSettings.break_glass_minutes
    care_days_after_death: int = SharingSettings.care_days_after_death
    flag_months: int = SharingSettings.flag_months
    own_view_age: int = 13
    national_opt_out_age: int = 13
    proxy_review_age: int = 11
    proxy_end_age: int = 16


def holds(start: str, end: str | None, at: Instant) -> bool:
    """Whether something from `start` to `end` holds at a moment. A date as an end includes that
    whole day, a month that whole month."""
    return start <= at and (end is None or at[: len(end)] <= end)


def first_day(value: PartialDate) -> date:
    """The earliest day that a partial date can mean."""
    year, month, day = (*value.split("-"), "1", "1")[:3]
    return date(int(year), int(month), int(day))


def last_day(value: PartialDate) -> date:
    """The latest day that a partial date can mean."""
    start = first_day(value)
    if len(value) == 10:
        return start
    if len(value) == 7:
        return start.replace(day=monthrange(start.year, start.month)[1])
    return start.replace(month=12, day=31)


def moved(day: date, days: int) -> date:
    """So many days later, or earlier; no further than calendars go. Systems say `for ever` by a
    day of the year 9999."""
    return date.fromordinal(min(max(day.toordinal() + days, 1), date.max.toordinal()))


def birthday(born: date, years: int) -> date:
    """The day on which somebody turns so many years; 1 March for those born on 29 February."""
    try:
        return born.replace(year=born.year + years)
    except ValueError:
        return date(born.year + years, 3, 1)


def surely(facts: PersonFacts, years: int, at: Instant) -> bool:
    """Whether the person has turned so many years by every source; unknown is no."""
    today = date.fromisoformat(at[:10])
    return bool(facts.birth_dates) and all(
        birthday(last_day(born), years) <= today for born in facts.birth_dates
    )


def possibly(facts: PersonFacts, years: int, at: Instant) -> bool:
    """Whether the person has turned so many years by any source; unknown is yes."""
    today = date.fromisoformat(at[:10])
    return not facts.birth_dates or any(
        birthday(first_day(born), years) <= today for born in facts.birth_dates
    )


def proxy_stands(proxy_id: str, facts: PersonFacts, terms: Terms, at: Instant) -> bool:
    """Whether somebody may act for the person now."""
    if facts.deceased_on is not None:
        return False
    return any(
        _stands(proxy, facts, terms, at) for proxy in facts.proxies if proxy.proxy_id == proxy_id
    )


def _stands(proxy: Proxy, facts: PersonFacts, terms: Terms, at: Instant) -> bool:
    suspended = facts.proxies_suspended or facts.restricted or facts.restricted_household
    if suspended and not proxy.let_stand:
        return False
    if not proxy.evidenced or not holds(proxy.start, proxy.end, at):
        return False
    if proxy.basis not in _FOR_CHILDREN:
        return True
    if not proxy.orders_checked or not facts.birth_dates:
        return False
    return _looked_at(
        proxy.reviewed_on or proxy.renewed_on, facts, terms.proxy_review_age, at
    ) and (_looked_at(proxy.renewed_on, facts, terms.proxy_end_age, at))


_FOR_CHILDREN = frozenset({ProxyBasis.PARENTAL_RESPONSIBILITY, ProxyBasis.COURT_ORDER})


def _looked_at(on: PartialDate | None, facts: PersonFacts, years: int, at: Instant) -> bool:
    """Whether the child is younger, or somebody looked since that birthday."""
    if not possibly(facts, years, at):
        return True
    return on is not None and all(
        first_day(on) >= birthday(first_day(born), years) for born in facts.birth_dates
    )


def flag_stands(flag: SafeguardingFlag, terms: Terms, at: Instant) -> bool:
    """Whether a flag stands, or ended so lately that it is still told."""
    today = date.fromisoformat(at[:10])
    if first_day(flag.start) > today:
        return False
    if flag.end is None:
        return True
    months = last_day(flag.end).year * 12 + last_day(flag.end).month - 1 + terms.flag_months
    months = min(months, date.max.year * 12 + 11)
    last = last_day(PartialDate(f"{months // 12:04d}-{months % 12 + 1:02d}"))
    return today <= min(last, last.replace(day=min(last.day, last_day(flag.end).day)))


def long_dead(facts: PersonFacts, terms: Terms, at: Instant) -> bool:
    """Whether care has had its time to be written up."""
    if facts.deceased_on is None:
        return False
    until = moved(last_day(facts.deceased_on), terms.care_days_after_death)
    return date.fromisoformat(at[:10]) > until
