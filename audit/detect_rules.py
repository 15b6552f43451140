"""The rules of detection, in one table: what each looks at, how much it says, who works its alerts.

Rules:
- A rule speaks of an actor and a person (`PAIR`), or of an actor and a week (`PERIOD`).
- It says as much as its match weight: log2 of how often misuse shows it (`misuse`, a stated
  judgement) over how often innocent work does (`innocent`). Where `estimated`, the latter is
  measured on what a tie explains, held within `BOUND` times the stated figure either way.
- Weak signals never alert alone: an alert takes a strong one, or weak ones of two families.
- Signals of one family tell the same thing in other words: only the heaviest counts.
- An access that is explained at `excused` or closer gives no signal of the rule; otherwise a strong
  signal is not outweighed by an explanation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import log2

from audit.detect_levels import EPISODE, NONE, OWN, STANDING

ALERT_BITS = 10.0
"""An alert is raised from here on. One look in two thousand is taken to be misuse (11 bits against
it); at ten bits the odds are one in two: about half of such alerts should be false at worst."""
BOUND = 8.0
"""An estimate goes at most so many times above or below the stated figure."""
LEAST_PAIRS = 5_000
"""Explained pairs from which on an estimate is taken."""
MISUSE_BY_LEVEL: dict[int, float] = {NONE: 0.80, STANDING: 0.12, EPISODE: 0.05, OWN: 0.03}
"""How closely looks are explained that are misuse: stated."""
INNOCENT_BY_LEVEL: dict[int, float] = {NONE: 0.08, STANDING: 0.25, EPISODE: 0.30, OWN: 0.37}
"""The same of all looks: measured where there are enough."""


class Strength(StrEnum):
    """Whether a signal may raise an alert by itself."""

    WEAK = "weak"
    STRONG = "strong"


class Scope(StrEnum):
    """What a rule speaks of."""

    PAIR = "pair"
    PERIOD = "period"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule.

    Attributes:
        words: what was seen. evidence: what must be known for the rule to speak.
        family: see the module. owner: role that works its alerts; due: within so many days.
        misuse, innocent: shares of pairs or of weeks. excused: a level of `detect_explain`; None:
            no explanation excuses it.
        threshold: a figure whose meaning and reason `because` tells.
    """

    scope: Scope
    words: str
    evidence: str
    family: str
    strength: Strength
    owner: str
    due: int
    misuse: float
    innocent: float
    estimated: bool = False
    excused: int | None = None
    threshold: float = 0.0
    because: str = ""

    @property
    def bits(self) -> float:
        """Match weight as stated."""
        return log2(self.misuse / self.innocent)


_PAIR, _PERIOD = Scope.PAIR, Scope.PERIOD
_WEAK, _STRONG = Strength.WEAK, Strength.STRONG
_PRIVACY, _IG = "privacy_officer", "ig_officer"

RULES: dict[str, Rule] = {
    "unexplained": Rule(
        scope=_PAIR, words="no tie between the person and the organisation explains the look",
        evidence="appointments, admissions, referrals, caseloads, encounters, registrations",
        family="explanation", strength=_WEAK, owner=_IG, due=28, misuse=0.80, innocent=0.08,
    ),
    "self": Rule(
        scope=_PAIR, words="looked at their own record",
        evidence="which record is the member of staff's own",
        family="kin", strength=_STRONG, owner=_PRIVACY, due=10, misuse=0.05, innocent=0.00001,
    ),
    "household": Rule(
        scope=_PAIR, words="looked at somebody who lives with them",
        evidence="own record, addresses",
        family="kin", strength=_STRONG, owner=_PRIVACY, due=10, misuse=0.10, innocent=0.00005,
        threshold=12, because="most who live at one address: above it it is a home or a hostel,"
        " whose residents are strangers",
    ),
    "surname": Rule(
        scope=_PAIR, words="looked at somebody of the same rare family name",
        evidence="family names of staff and persons",
        family="kin", strength=_WEAK, owner=_PRIVACY, due=20, misuse=0.10, innocent=0.0002,
        estimated=True, threshold=0.0002, because="rare is borne by at most this share of persons"
        " (or by four): with a Smith it says nothing",
    ),
    "colleague": Rule(
        scope=_PAIR, words="looked at a colleague of their team",
        evidence="own record of the colleague, staff directory",
        family="work", strength=_WEAK, owner=_PRIVACY, due=20, misuse=0.15, innocent=0.0005,
        estimated=True,
    ),
    "neighbour": Rule(
        scope=_PAIR, words="looked at a neighbour",
        evidence="own record, postcodes",
        family="kin", strength=_WEAK, owner=_PRIVACY, due=20, misuse=0.10, innocent=0.0002,
        estimated=True, threshold=40, because="most homes of one postcode: in a tower block people"
        " do not know one another",
    ),
    "watched": Rule(
        scope=_PAIR, words="looked at somebody on the watch list",
        evidence="the watch list",
        family="protected", strength=_STRONG, owner=_PRIVACY, due=5, misuse=0.10,
        innocent=0.00005, excused=EPISODE,
    ),
    "restricted": Rule(
        scope=_PAIR, words="looked for a restricted person by where they live, or was turned away",
        evidence="restrictions; searches by address; refusals",
        family="protected", strength=_STRONG, owner=_PRIVACY, due=2, misuse=0.05,
        innocent=0.00002, excused=EPISODE,
    ),
    "dissent": Rule(
        scope=_PAIR, words="opened a record against the person's wish",
        evidence="opt-outs and dissent in force on the day",
        family="wish", strength=_STRONG, owner=_PRIVACY, due=5, misuse=0.05, innocent=0.00004,
        excused=EPISODE,
    ),
    "sealed": Rule(
        scope=_PAIR, words="opened what the person sealed",
        evidence="seals, as the event marks them",
        family="wish", strength=_STRONG, owner=_PRIVACY, due=5, misuse=0.05, innocent=0.00004,
        excused=OWN,
    ),
    "sensitive": Rule(
        scope=_PAIR, words="opened another organisation's sensitive data",
        evidence="labels and custodians, as the event marks them",
        family="protected", strength=_WEAK, owner=_PRIVACY, due=10, misuse=0.15, innocent=0.002,
        estimated=True,
    ),
    "glass-unborne": Rule(
        scope=_PAIR, words="broke the glass, and no contact with the person followed",
        evidence="admissions, encounters, appointments, referrals up to three days later",
        family="own-word", strength=_STRONG, owner=_PRIVACY, due=7, misuse=0.10,
        innocent=0.00005, excused=EPISODE,
    ),
    "claim-unborne": Rule(
        scope=_PAIR, words="claimed to care for the person, and no contact followed",
        evidence="as of a broken glass",
        family="own-word", strength=_WEAK, owner=_PRIVACY, due=14, misuse=0.20, innocent=0.0015,
        excused=EPISODE,
    ),
    "bond": Rule(
        scope=_PAIR, words="looked at somebody whom they are barred from, or a former partner",
        evidence="barred staff, recorded former partners",
        family="kin", strength=_STRONG, owner=_PRIVACY, due=2, misuse=0.10, innocent=0.00001,
    ),
    "flagged": Rule(
        scope=_PAIR, words="looked at somebody with a safeguarding flag",
        evidence="safeguarding flags",
        family="protected", strength=_WEAK, owner=_PRIVACY, due=5, misuse=0.05, innocent=0.005,
        estimated=True,
    ),
    "hours": Rule(
        scope=_PAIR, words="looked outside the hours of their rota",
        evidence="rotas of the staff directory",
        family="time", strength=_WEAK, owner=_IG, due=28, misuse=0.10, innocent=0.03,
        estimated=True, threshold=1.5, because="hours before and after a shift that are no sign:"
        " handovers run over",
    ),
    "after-death": Rule(
        scope=_PAIR, words="looked long after the person's death",
        evidence="deaths",
        family="time-of-person", strength=_WEAK, owner=_PRIVACY, due=20, misuse=0.05,
        innocent=0.0004, threshold=90, because="days in which care is written up",
    ),
    "role": Rule(
        scope=_PAIR, words="opened what their role hardly ever opens",
        evidence="headings opened by all of the role",
        family="fit", strength=_WEAK, owner=_IG, due=28, misuse=0.10, innocent=0.003,
        estimated=True, threshold=0.005, because="share of the role's looks: below it the heading"
        " is not part of the work",
    ),
    "reason": Rule(
        scope=_PAIR, words="gave a reason that their role hardly ever gives",
        evidence="purposes given by all of the role",
        family="fit", strength=_WEAK, owner=_IG, due=28, misuse=0.10, innocent=0.002,
        estimated=True, threshold=0.005, because="as for the role",
    ),
    "leaver": Rule(
        scope=_PERIOD, words="looked before the post began or after it ended",
        evidence="start and end in the staff directory",
        family="account", strength=_STRONG, owner=_IG, due=2, misuse=0.05, innocent=0.00002,
    ),
    "dormant": Rule(
        scope=_PERIOD, words="an account came back that had not looked for long",
        evidence="the last look before",
        family="account", strength=_WEAK, owner=_IG, due=10, misuse=0.10, innocent=0.002,
        threshold=90, because="days: longer than leave, shorter than a career break",
    ),
    "volume": Rule(
        scope=_PERIOD, words="opened far more persons in a day than they or their peers do",
        evidence="own and peers' days of the last five weeks",
        family="volume", strength=_WEAK, owner=_IG, due=10, misuse=0.20, innocent=0.002,
        estimated=True, threshold=4, because="times the own median day; and above all but one in"
        " two hundred of the peers' days; and 20 persons",
    ),
    "many-unexplained": Rule(
        scope=_PERIOD, words="opened many persons in a day whom nothing explains",
        evidence="ties, peers' share of unexplained looks",
        family="explanation", strength=_WEAK, owner=_IG, due=20, misuse=0.50, innocent=0.01,
        estimated=True, threshold=5, because="persons; and so many by chance, at the peers' rate,"
        " less than once in ten thousand days",
    ),
    "off-rota": Rule(
        scope=_PERIOD, words="opened several unexplained persons in a day outside their rota",
        evidence="rotas, ties",
        family="time", strength=_WEAK, owner=_IG, due=20, misuse=0.30, innocent=0.002,
        estimated=True, threshold=3, because="persons: one may be a call from home",
    ),
    "browsing": Rule(
        scope=_PERIOD, words="searched for many persons in a day and opened none of them",
        evidence="searches, looks within an hour, ties that began within three days",
        family="search", strength=_STRONG, owner=_IG, due=14, misuse=0.20, innocent=0.0001,
        threshold=12, because="searches: clerks at a desk register whom they looked for, and those"
        " do not count",
    ),
    "shared": Rule(
        scope=_PERIOD, words="one account at two places at once",
        evidence="where it signed in, moments",
        family="account", strength=_STRONG, owner=_IG, due=2, misuse=0.20, innocent=0.0001,
        threshold=2, because="changes of place within ten minutes in a day: once is a moved desk",
    ),
    "export": Rule(
        scope=_PERIOD, words="drew far more rows out than usual",
        evidence="rows of exports; own exports before",
        family="export", strength=_STRONG, owner=_IG, due=5, misuse=0.20, innocent=0.0001,
        threshold=500, because="rows; and four times the largest of the last year",
    ),
    "refusals": Rule(
        scope=_PERIOD, words="was turned away from many persons in a day",
        evidence="refusals that no tie explains within three days",
        family="refusal", strength=_STRONG, owner=_IG, due=7, misuse=0.20, innocent=0.0001,
        threshold=5, because="persons: a feed that is late turns a ward away from two or three",
    ),
    "glass-repeated": Rule(
        scope=_PERIOD, words="broke the glass again and again for the same reason",
        evidence="reasons of broken glasses that no contact bears out",
        family="own-word", strength=_STRONG, owner=_PRIVACY, due=7, misuse=0.10,
        innocent=0.00005, threshold=3, because="within 30 days and without a contact after:"
        " crews break the glass daily, but see whom they broke it for",
    ),
    "audit-export": Rule(
        scope=_PERIOD, words="a reader of the log took much of it away",
        evidence="readings and exports of the log",
        family="export", strength=_STRONG, owner=_PRIVACY, due=5, misuse=0.20, innocent=0.0001,
        threshold=1_000, because="rows of the log in a week; and four times the usual",
    ),
}  # fmt: skip
"""Rule by name."""


@dataclass(frozen=True)
class Shift:
    """Working hours of a rota, local. until: below `since` where it ends the day after."""

    days: int
    since: float
    until: float


ROTAS: dict[str, Shift] = {
    "weekdays": Shift(5, 7.5, 18.5),
    "early": Shift(7, 7.0, 15.5),
    "late": Shift(7, 12.5, 22.0),
    "nights": Shift(7, 19.5, 8.5),
}
"""Rota → its hours on the first so many days of the week. Of any other rota nothing is known."""
