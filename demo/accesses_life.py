"""What goes on in a simulated year: care, practices, walk-ins, emergencies, claims, refusals.

Rules:
- Every method makes a batch of what staff do, and keeps the ties that come of it in `ties`.
- Nobody looks off a shift, save overtime; nobody looks who has no post on the day.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from demo.accesses_rows import (
    CLAIM,
    EVERYTHING,
    EXPORT,
    GLASS,
    HEADINGS,
    ITEMS,
    LOG,
    PURPOSES,
    READ,
    SEARCH,
    SITES,
    Batch,
    batch,
    chosen,
    joined,
    moment,
)
from demo.accesses_world import (
    OPEN_END,
    YEAR_DAYS,
    YEAR_START,
    Episodes,
    People,
    Staff,
    Ties,
    tie_rows,
)

Ints = npt.NDArray[np.int64]

COVER, ELSEWHERE, ASKED_ALONG = 0.12, 0.05, 0.03
"""Shares of an episode's looks: by cover staff signed in for the team, by another team of the
organisation, by another organisation (half of these were referred to)."""
OVERTIME = 0.02
SEARCHED_FIRST = 0.35
WRONG_ONE = 0.006
"""Share of looks before which somebody else of the name was opened by mistake."""
WRITTEN_UP = 45
"""Days after a death on which its care is still looked at."""
SENSITIVE, SEALED, LOCATED, OTHER_SITE = 0.008, 0.0004, 0.03, 0.03
"""Shares of innocent looks that show another organisation's sensitive data, or what was sealed; of
searches by where somebody lives; of days at another site."""
HOURS = ((8.0, 18.0), (7.0, 15.4), (12.6, 21.9), (19.6, 32.4), (7.0, 23.0))
"""Hours of `ROTA_NAMES`; above 24 is the morning after."""
_CLINICAL = ("encounter", "medication", "condition", "allergy", "observation", "document")
_CLERICAL = ("encounter", "appointment")
_SOCIAL = ("encounter", "care_plan", "assessment", "safeguarding")
HEADINGS_OF: dict[str, tuple[str, ...]] = {
    "receptionist": _CLERICAL, "practice_manager": _CLERICAL, "call_handler": _CLERICAL,
    "control_room": _CLERICAL, "housing_officer": ("care_plan",), "social_worker": _SOCIAL,
    "team_manager": _SOCIAL, "safeguarding_lead": _SOCIAL, "early_help_worker": _SOCIAL,
    "support_worker": ("care_plan", "encounter"), "volunteer_coordinator": ("care_plan",),
    "health_visitor": (*_CLINICAL, "safeguarding"),
}  # fmt: skip
"""Role → headings that it opens; all others are clinical."""


class Life:
    """Makes batches of what goes on; keeps the ties that come of it."""

    def __init__(self, rng: np.random.Generator, people: People, staff: Staff) -> None:
        self.rng, self.people, self.staff = rng, people, staff
        self.ties: list[Ties] = []
        order = np.argsort(people.family, kind="stable")
        self._by_family = order
        self._family_first = np.searchsorted(people.family[order], np.arange(20_001))
        masks = []
        for name in staff.roles:
            opened = HEADINGS_OF.get(name, _CLINICAL)
            masks.append([1 << HEADINGS.index(h) for h in opened])
        self._masks = masks

    # --- who and when -----------------------------------------------------------------------
    def member_of(self, team: Ints) -> Ints:
        """Somebody of each team."""
        size = self.staff.team_size[team]
        return self.staff.team_first[team] + (self.rng.random(len(team)) * size).astype(np.int64)

    def at_work(self, actor: Ints, day: Ints) -> npt.NDArray[np.bool_]:
        """Who has a post on the day."""
        return (self.staff.start[actor] <= day) & (day <= self.staff.end[actor])

    def when(self, actor: Ints, day: Ints) -> tuple[Ints, Ints]:
        """Day and second of a look on a shift; weekday staff look on the Monday after."""
        rng, rota = self.rng, self.staff.rota[actor]
        late = (day + 3) % 7 - 4
        day = np.where((rota == 0) & (late > 0), day + 3 - late, day)
        first, last = np.array(HOURS).T[:, rota]
        hour = first + rng.random(len(day)) * (last - first)
        over = rng.random(len(day)) < OVERTIME
        hour = np.where(over, 6 + rng.random(len(day)) * 17, hour)
        return day, moment(day, hour)

    def looks(self, actor: Ints, person: Ints, day: Ints, **more: Ints) -> Batch:
        """A look of each actor at each person on a shift of about that day."""
        day, at = self.when(actor, day)
        fits = self.at_work(actor, day) & (day < YEAR_START + YEAR_DAYS) & (day >= YEAR_START)
        fits &= day <= self.people.died[person] + WRITTEN_UP
        given = {"at": at, "actor": actor, "person": person, **more}
        given = {name: column[fits] for name, column in given.items()}
        size = int(fits.sum())
        barred = self.people.dissents[given["person"]] & (self.rng.random(size) < 0.97)
        given = {"outcome": barred.astype(np.int64)} | given
        return batch(
            action=self.rng.choice([EVERYTHING, ITEMS, READ], size=size, p=[0.5, 0.4, 0.1]),
            headings=self.headings(given["actor"]),
            terminal=self.terminal(given["actor"], given["at"] // 86_400),
            purpose=self.purpose(given["actor"]), sensitive=self.rng.random(size) < SENSITIVE,
            sealed=self.rng.random(size) < SEALED, **given,
        )  # fmt: skip

    def headings(self, actor: Ints) -> Ints:
        """One or two of the headings that the role opens, as bits."""
        found = np.zeros(len(actor), np.int64)
        for n, masks in enumerate(self._masks):
            mine = np.flatnonzero(self.staff.role[actor] == n)
            bits = np.array(masks)
            both = self.rng.integers(0, len(bits), size=(2, len(mine)))
            found[mine] = bits[both[0]] | bits[both[1]]
        return found

    def terminal(self, actor: Ints, day: Ints | None = None) -> Ints:
        """The site that somebody mostly works at; on some days it is the next one."""
        day = np.zeros(len(actor), np.int64) if day is None else day
        away = (actor * 7_919 + day * 104_729) % 1_000 < 1_000 * OTHER_SITE
        site = np.where(away, actor + 1, actor) % SITES
        return np.asarray(self.staff.organisation[actor] * SITES + site, np.int64)

    def purpose(self, actor: Ints) -> Ints:
        """Why, as the role says it."""
        drawn = self.rng.random(len(actor))
        urgent = self.staff.role_is("paramedic", "control_room")[actor] & (drawn < 0.15)
        guards = self.staff.role_is("social_worker", "safeguarding_lead", "health_visitor")[actor]
        agreed = self.staff.role_is("gp", "nurse", "doctor")[actor] & (drawn > 0.97)
        names = np.zeros(len(actor), np.int64)
        names[urgent] = PURPOSES.index("vital-interests")
        names[guards & (drawn < 0.2)] = PURPOSES.index("safeguarding")
        names[agreed] = PURPOSES.index("explicit-consent")
        return names

    def namesake(self, person: Ints) -> Ints:
        """Somebody of the same family name, possibly the same person."""
        family = self.people.family[person]
        first, last = self._family_first[family], self._family_first[family + 1]
        at = first + (self.rng.random(len(person)) * (last - first)).astype(np.int64)
        return self._by_family[at]

    # --- what goes on -----------------------------------------------------------------------
    def episodes(self, care: Episodes) -> Batch:
        """Looks at those in a team's care, with searches before and mistakes."""
        rng, staff = self.rng, self.staff
        of = np.repeat(np.arange(len(care.team)), rng.poisson(2.8, size=len(care.team)))
        span = care.until[of] - care.begin[of] + 1
        day = care.begin[of] + (rng.random(len(of)) * span).astype(np.int64)
        team, person = care.team[of], care.person[of]
        way = rng.random(len(of))
        house = staff.team_organisation[team]
        first = np.searchsorted(staff.team_organisation, house)
        count = np.searchsorted(staff.team_organisation, house, "right") - first
        other = first + (rng.random(len(of)) * count).astype(np.int64)
        away = way < COVER + ELSEWHERE
        actor = self.member_of(np.where(away, other, team))
        signed = np.where((way < COVER) & (other != team), team, -1)
        along = (way >= COVER + ELSEWHERE) & (way < COVER + ELSEWHERE + ASKED_ALONG)
        helpers = np.flatnonzero(staff.role_is("social_worker", "care_coordinator", "nurse", "gp"))
        actor[along] = rng.choice(helpers, size=int(along.sum()))
        referred = along & (rng.random(len(of)) < 0.5)
        self.ties.append(
            tie_rows(
                person=person[referred], organisation=staff.organisation[actor[referred]],
                team=staff.team[actor[referred]], actor=-1, kind=4, start=day[referred],
                end=day[referred] + 120,
            )
        )  # fmt: skip
        return self._with_searches(self.looks(actor, person, day, team=signed))

    def _with_searches(self, looks: Batch) -> Batch:
        """The looks with what came before them: a search, the wrong one opened."""
        rng = self.rng
        first = chosen(looks, rng.random(len(looks["at"])) < SEARCHED_FIRST)
        found = self.namesake(first["person"])
        more = rng.random(len(found)) < 0.6
        searches = first | {
            "at": first["at"] - rng.integers(10, 180, size=len(found)),
            "action": np.full(len(found), SEARCH, np.int32),
            "other": np.where(more & (found != first["person"]), found, -1).astype(np.int32),
            "headings": np.zeros(len(found), np.int32),
            "located": (rng.random(len(found)) < LOCATED).astype(np.int32),
            "sensitive": np.zeros(len(found), np.int32), "sealed": np.zeros(len(found), np.int32),
            "outcome": np.zeros(len(found), np.int32),
        }  # fmt: skip
        wrong = chosen(looks, rng.random(len(looks["at"])) < WRONG_ONE)
        wrong = wrong | {
            "at": wrong["at"] - 30,
            "person": self.namesake(wrong["person"]).astype(np.int32),
        }
        return joined([looks, searches, wrong])

    def practices(self, count: int) -> list[Batch]:
        """Practices look at whom they register; half have an appointment."""
        rng, staff, people = self.rng, self.staff, self.people
        practice = {n: np.flatnonzero(staff.organisation == n) for n in set(people.practice)}
        person = rng.integers(0, len(people), size=count)
        day = YEAR_START + rng.integers(0, YEAR_DAYS, size=count)
        living = day < people.died[person]
        person, day = person[living], day[living]
        actor = np.empty(len(person), np.int64)
        for n, members in practice.items():
            mine = np.flatnonzero(people.practice[person] == n)
            actor[mine] = rng.choice(members, size=len(mine))
        seen = rng.random(len(person)) < 0.5
        self.ties.append(
            tie_rows(
                person=person[seen], organisation=people.practice[person[seen]], team=-1, actor=-1,
                kind=3, start=day[seen] - 14, end=day[seen] + 90,
            )
        )  # fmt: skip
        return [self._with_searches(self.looks(actor, person, day))]

    def registrations(self) -> Ties:
        """Everybody is registered somewhere until they die."""
        return tie_rows(
            person=np.arange(len(self.people)), organisation=self.people.practice, team=-1,
            actor=-1, kind=0, start=YEAR_START - 2_000, end=np.minimum(self.people.died, OPEN_END),
        )  # fmt: skip

    def walk_ins(self, count: int) -> Batch:
        """Clerks look a stranger up, open some, and register nearly all that day."""
        rng, staff = self.rng, self.staff
        clerks = np.flatnonzero(staff.role_is("receptionist", "call_handler", "control_room"))
        actor = rng.choice(clerks, size=count)
        person = rng.integers(0, len(self.people), size=count)
        day = YEAR_START + rng.integers(0, YEAR_DAYS, size=count)
        looks = self.looks(actor, person, day)
        kept = rng.random(len(looks["at"])) < 0.88
        self.ties.append(
            tie_rows(
                person=looks["person"][kept], organisation=staff.organisation[looks["actor"][kept]],
                team=-1, actor=-1, kind=2, start=looks["at"][kept] // 86_400,
                end=looks["at"][kept] // 86_400 + 90,
            )
        )  # fmt: skip
        size = len(looks["at"])
        search = looks | {
            "at": looks["at"] - 60, "action": np.full(size, SEARCH, np.int32),
            "other": self.namesake(looks["person"]).astype(np.int32),
            "third": self.namesake(looks["person"]).astype(np.int32),
            "headings": np.zeros(size, np.int32),
        }  # fmt: skip
        return joined([search, chosen(looks, rng.random(size) < 0.7)])

    def emergencies(self, count: int) -> list[Batch]:
        """Broken glasses with looks through them; the encounter comes in within two days."""
        rng, staff = self.rng, self.staff
        crews = np.flatnonzero(staff.role_is("paramedic", "doctor", "gp", "nurse"))
        actor, person = rng.choice(crews, size=count), rng.integers(0, len(self.people), size=count)
        day = YEAR_START + rng.integers(0, YEAR_DAYS, size=count)
        words = np.where(rng.random(count) < 0.3, actor, rng.integers(10**6, 10**9, size=count))
        reason = rng.integers(0, 5, size=count)
        looks = self.looks(actor, person, day, reason=reason, words=words)
        at = looks["at"]
        borne = rng.random(len(at)) < 0.95
        self.ties.append(
            tie_rows(
                person=looks["person"][borne], team=-1, actor=-1, kind=2,
                organisation=staff.organisation[looks["actor"][borne]],
                start=(at // 86_400 + rng.integers(0, 3, size=len(at)))[borne],
                end=(at // 86_400 + 90)[borne],
            )
        )  # fmt: skip
        glass = looks | {
            "action": np.full(len(at), GLASS, np.int32), "headings": np.zeros(len(at), np.int32)
        }  # fmt: skip
        through = looks | {
            "at": at + 40, "glass": np.ones(len(at), np.int32),
            "words": np.full(len(at), -1, np.int32),
        }  # fmt: skip
        return [glass, through]

    def claims(self, count: int) -> Batch:
        """Claimed relationships; most are borne out within three days."""
        rng, staff = self.rng, self.staff
        who = np.flatnonzero(staff.role_is("nurse", "doctor", "social_worker", "care_coordinator"))
        actor, person = rng.choice(who, size=count), rng.integers(0, len(self.people), size=count)
        day = YEAR_START + rng.integers(0, YEAR_DAYS, size=count)
        looks = self.looks(actor, person, day)
        start = looks["at"] // 86_400 + rng.integers(0, 4, size=len(looks["at"]))
        borne = rng.random(len(start)) < 0.88
        self.ties.append(
            tie_rows(
                person=looks["person"][borne], team=-1, actor=-1, kind=4,
                organisation=staff.organisation[looks["actor"][borne]],
                start=start[borne], end=start[borne] + 90,
            )
        )  # fmt: skip
        claim = looks | {
            "at": looks["at"] - 60, "action": np.full(len(start), CLAIM, np.int32),
            "headings": np.zeros(len(start), np.int32),
        }  # fmt: skip
        return joined([claim, looks])

    def refusals(self, count: int) -> Batch:
        """Looks turned away; of most the tie comes in late."""
        rng, staff = self.rng, self.staff
        actor = rng.integers(0, len(staff), size=count)
        person = rng.integers(0, len(self.people), size=count)
        day = YEAR_START + rng.integers(0, YEAR_DAYS, size=count)
        looks = self.looks(actor, person, day)
        looks["outcome"][:] = 1
        start = looks["at"] // 86_400 + rng.integers(0, 3, size=len(looks["at"]))
        late = rng.random(len(start)) < 0.7
        self.ties.append(
            tie_rows(
                person=looks["person"][late], team=-1, actor=-1, kind=3,
                organisation=staff.organisation[looks["actor"][late]],
                start=start[late], end=start[late] + 60,
            )
        )  # fmt: skip
        return looks

    def clerks_of_data(self) -> Batch:
        """The data teams' monthly extracts, the IG officers' weekly readings of the log."""
        rng, staff = self.rng, self.staff
        parts = []
        for role, every, action, purpose, size in (
            ("data_team", 30, EXPORT, "data-quality", 3_000),
            ("ig_officer", 7, LOG, "audit", 200),
        ):
            who = np.flatnonzero(staff.role_is(role))
            days = np.arange(YEAR_START, YEAR_START + YEAR_DAYS, every)
            actor, day = np.repeat(who, len(days)), np.tile(days, len(who))
            day, at = self.when(actor, day)
            fits = self.at_work(actor, day) & (day < YEAR_START + YEAR_DAYS)
            rows = np.maximum(1, size * rng.lognormal(0, 0.3, size=len(at))).astype(np.int64)
            parts.append(
                batch(
                    at=at[fits], actor=actor[fits], action=action, rows=rows[fits],
                    purpose=PURPOSES.index(purpose), terminal=self.terminal(actor)[fits],
                )
            )  # fmt: skip
        return joined(parts)
