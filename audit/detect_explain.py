"""Explanations come first: which accesses a tie between the person and the actor accounts for.

Rules:
- `OWN`: the tie is of the actor, or of the team that the actor signed in with.
- `EPISODE`: a tie of the actor's organisation that names no team: an appointment, an admission, an
  encounter, a referral, a caseload.
- `STANDING`: the organisation as such has to do with the person: registration, or another team.
- A slip explains as a standing tie does: somebody of the name of one who is cared for was opened,
  and within two minutes the right one.
- What is somebody's duty is explained as by a standing tie: a data team that puts records right, an
  IG officer who checks, a person at their own record (`DUTIES`).
- Where several ties hold, the closest counts. A tie that begins up to `LATER` days afterwards
  accounts for a broken glass, a claim, a refusal: the record came after the care.
- What somebody claims themself is no explanation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit.detect_facts import NOBODY, Accesses, Facts, Mask, Vocabulary, Words
from audit.detect_levels import EPISODE, NONE, OWN, STANDING

LATER = 3
"""Days. A contact is on the system of nearly every service by then."""
STANDING_KINDS = frozenset({"registration"})
CLAIMED = "claimed"
SLIP, DUTY = "slip", "duty"
DUTIES: dict[str, frozenset[str]] = {
    "data-quality": frozenset({"data_team", "operator"}),
    "audit": frozenset({"ig_officer", "privacy_officer"}),
    "own-record": frozenset({"person", "proxy"}),
}
"""Purpose → roles whose duty it is."""
PUT_RIGHT = 120
"""Seconds in which somebody sees that they opened the wrong person."""
_AT_ONCE = 4_000_000
"""Pairs of access and tie held at once."""

Levels = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Explained:
    """For each access: the closest tie that held then (`level`), or that held then or began up to
    `LATER` days after (`later`); and the kind of the tie of `level`, an index of `kinds`."""

    level: Levels
    later: Levels
    kind: npt.NDArray[np.int8]
    kinds: tuple[str, ...]


def explain(rows: Accesses, facts: Facts, words: Vocabulary) -> Explained:
    """Which of the accesses are accounted for, and how closely."""
    ties = facts.ties[facts.ties.kind != CLAIMED]
    kinds = Words(ties.kind)
    width = len(words.organisations) + 1
    person, place = words.persons.codes(ties.person), words.organisations.codes(ties.organisation)
    key = person.astype(np.int64) * width + place
    known = (person != NOBODY) & (place != NOBODY)
    order = np.argsort(key, kind="stable")
    order = order[known[order]]
    held = _Ties(
        key[order],
        words.teams.codes(ties.team)[order],
        _actor_codes(words, ties.actor)[order],
        kinds.codes(ties.kind)[order].astype(np.int8),
        np.array([kind in STANDING_KINDS for kind in kinds.list], np.bool_),
        ties.start.to_numpy(np.int64)[order],
        ties.end.to_numpy(np.int64)[order],
    )
    asked = rows.person.astype(np.int64) * width + rows.organisation
    asked[(rows.person == NOBODY) | (rows.organisation == NOBODY)] = -1
    low, high = np.searchsorted(held.key, asked), np.searchsorted(held.key, asked, "right")
    found = Explained(
        np.zeros(len(rows), np.int8), np.zeros(len(rows), np.int8),
        np.full(len(rows), NOBODY, np.int8), (*kinds.list, SLIP, DUTY),
    )  # fmt: skip
    _fill(found, rows, held, low, high - low)
    slips, duties = _slips(rows, facts, words, found.level), _duties(rows, words)
    for n, seen in enumerate((slips, duties)):
        found.kind[seen & (found.level == NONE)] = len(kinds) + n
        for level in (found.level, found.later):
            level[seen] = np.maximum(level[seen], STANDING)
    return found


def _duties(rows: Accesses, words: Vocabulary) -> Mask:
    """Accesses for a purpose that is the role's duty."""
    found = np.zeros(len(rows), np.bool_)
    for purpose, roles in DUTIES.items():
        known = [code for role in roles if (code := words.roles.code(role)) != NOBODY]
        found |= (rows.purpose == words.purposes.code(purpose)) & np.isin(rows.role, known)
    return found


def _slips(rows: Accesses, facts: Facts, words: Vocabulary, level: Levels) -> Mask:
    """Unexplained looks that an explained one at a namesake follows at once."""
    names = Words(facts.names.family)
    family = np.full(len(words.persons) + 1, NOBODY, np.int32)
    family[words.persons.codes(facts.names.person)] = names.codes(facts.names.family)
    family[-1] = NOBODY
    looks = np.flatnonzero(rows.opens)
    order = looks[np.lexsort((rows.at[looks], rows.actor[looks]))]
    here, then = order[:-1], order[1:]
    one, other = family[rows.person[here]], family[rows.person[then]]
    slip = (
        (rows.actor[here] == rows.actor[then])
        & (rows.at[then] - rows.at[here] <= PUT_RIGHT)
        & (rows.person[here] != rows.person[then])
        & (one == other)
        & (one != NOBODY)
        & (level[here] == NONE)
        & (level[then] >= EPISODE)
    )
    found = np.zeros(len(rows), np.bool_)
    found[here[slip]] = True
    return found


def _actor_codes(words: Vocabulary, names: pd.Series[str]) -> npt.NDArray[np.int32]:
    """-1: of no actor alone; -2: of one who is in no directory and has done nothing."""
    codes = words.actors.codes(names)
    named = (names != "").to_numpy(bool)
    return np.where(named & (codes == NOBODY), -2, codes).astype(np.int32)


@dataclass(frozen=True, eq=False)
class _Ties:
    """Sorted by key: person and organisation in one number."""

    key: npt.NDArray[np.int64]
    team: npt.NDArray[np.int32]
    actor: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int8]
    standing: npt.NDArray[np.bool_]
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]


def _fill(
    found: Explained,
    rows: Accesses,
    held: _Ties,
    low: npt.NDArray[np.intp],
    counts: npt.NDArray[np.intp],
) -> None:
    """Works through the rows that have ties at all, in slices of bounded size."""
    some = np.flatnonzero(counts)
    ends = np.cumsum(counts[some])
    begun = 0
    while begun < len(some):
        past = ends[begun - 1] if begun else 0
        stop = max(begun + 1, int(np.searchsorted(ends, past + _AT_ONCE, "right")))
        part = some[begun:stop]
        n = counts[part]
        first = np.concatenate([[0], np.cumsum(n)[:-1]])
        row = np.repeat(part, n)
        tie = np.repeat(low[part] - first, n) + np.arange(len(row))
        level = _levels(rows, held, row, tie)
        over = rows.day[row] <= held.end[tie]
        now = np.where(over & (held.start[tie] <= rows.day[row]), level, 0).astype(np.int8)
        late = np.where(over & (held.start[tie] <= rows.day[row] + LATER), level, 0)
        best = np.maximum.reduceat(now, first)
        found.level[part] = best
        found.later[part] = np.maximum.reduceat(late, first)
        is_best = (now == np.repeat(best, n)) & (now > 0)
        found.kind[row[is_best]] = held.kind[tie[is_best]]
        begun = stop


def _levels(
    rows: Accesses, held: _Ties, row: npt.NDArray[np.intp], tie: npt.NDArray[np.intp]
) -> npt.NDArray[np.int8]:
    """How closely each tie concerns the actor of the access beside it."""
    actor, team = held.actor[tie], held.team[tie]
    mine = (actor == rows.actor[row]) | ((actor == NOBODY) & (team == rows.team[row]) & (team >= 0))
    whole = (actor == NOBODY) & (team == NOBODY)
    plain = np.where(held.standing[held.kind[tie]], STANDING, EPISODE)
    return np.where(mine, OWN, np.where(whole, plain, STANDING)).astype(np.int8)
