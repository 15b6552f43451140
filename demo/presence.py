"""Which systems know whom, and who stands in one system twice.

Rules:
- Everybody is known to at least one system and at most eight.
- A practice system knows the people of its practice groups; those who changed group are for a while
  known to both.
- Some people need much of every service and most need little (`need`), so that systems overlap.
- Second records of one person in one system come at the rate `registered_twice` of errors.py.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from demo.errors import ERRORS
from demo.households import EXTRACT_DAY, YEAR
from demo.names import Flags, Ints
from demo.partnership import AGE_BANDS, OUTSIDE_AREA, PRESENCE, SYSTEM_IDS, SYSTEMS
from demo.population import NEVER, Population
from demo.records import NEWBORN_SYSTEMS

MOST_SYSTEMS = 8
STILL_REGISTERED = 0.25
"""Share of those who changed practice group whom the old group still sends. Assumed."""
_PRACTICE_SYSTEMS = ("gp_harbour", "gp_moorland")

Presence = npt.NDArray[np.bool_]
"""People x systems."""


def age_band(population: Population) -> npt.NDArray[np.int64]:
    """Index into `AGE_BANDS` per person."""
    ages = (EXTRACT_DAY - population.birth) / YEAR
    return np.searchsorted([low for _, low in AGE_BANDS], ages, side="right") - 1


def choose_presence(rng: np.random.Generator, p: Population) -> Presence:
    """Who is in which system."""
    n = len(p)
    band = age_band(p)
    area = p.dwellings.area[np.maximum(p.dwelling, 0)]
    need = rng.gamma(2.2, 1 / 2.2, size=n)
    out = np.zeros((n, len(SYSTEMS)), dtype=bool)
    for column, system in enumerate(SYSTEMS):
        share = np.array(PRESENCE[system.id])[band]
        if system.id in _PRACTICE_SYSTEMS:
            mine = _practice_system(p.practice) == system.id
            before = (p.previous_practice >= 0) & (
                _practice_system(p.previous_practice) == system.id
            )
            share = np.where(mine, share, np.where(before, STILL_REGISTERED, 0.0))
        else:
            elsewhere = (area != system.area) if system.area is not None else np.zeros(n, bool)
            share = np.where(elsewhere, share * OUTSIDE_AREA, share)
            share = 1 - (1 - share) ** need
        if system.id in NEWBORN_SYSTEMS:
            share[p.planted["newborn"]] *= 1.8
        if system.id == "hospice":
            share[p.planted["died"]] = np.maximum(share[p.planted["died"]], 0.15)
        out[:, column] = rng.random(n) < share
    bound = p.only_system >= 0
    out[bound] = False
    out[bound, p.only_system[bound]] = True
    unknown = ~out.any(axis=1)
    practice = np.isin(p.practice % 4, (0, 1))
    home = [SYSTEM_IDS.index(s) for s in _PRACTICE_SYSTEMS]
    out[unknown, np.where(practice, *home)[unknown]] = True
    for row in np.flatnonzero(out.sum(axis=1) > MOST_SYSTEMS).tolist():
        known = np.flatnonzero(out[row])
        out[row, rng.permutation(known)[MOST_SYSTEMS:]] = False
    return out


def _practice_system(practice: Ints) -> npt.NDArray[np.str_]:
    """Practice sites go round the four groups; two groups use each system."""
    return np.where(np.isin(practice % 4, (0, 1)), *_PRACTICE_SYSTEMS)


def records_of(
    rng: np.random.Generator, p: Population, presence: Presence, system: int
) -> tuple[Ints, Flags]:
    """Rows of the population, one per record of a system in random order, and which are second."""
    once = np.flatnonzero(presence[:, system]).astype(np.int32)
    real = once[p.only_system[once] < 0]
    rate = ERRORS["registered_twice"].rate(SYSTEM_IDS[system])
    alive = real[p.death[real] == NEVER]
    count = int(rng.binomial(len(real), rate))
    twice = rng.permutation(alive)[:count]
    person = np.concatenate([once, twice])
    double = np.arange(len(person)) >= len(once)
    order = rng.permutation(len(person))
    return person[order], double[order]
